"""Infobip: SMS by its API v3, MMS by its MMS API v2, which are alike in all that matters here.

Shapes taken from Infobip's own specification, codes from its list of status and error codes. Nothing was tried against
Infobip itself. Our SID is the `messageId`, so receipts and logs name it without more.

A second message with the same id is refused with a status of its own. It says that the first one is there, and that is
what we wanted. Nowhere is it said for how long ids are remembered, so `knows_key` stays false: after a doubt, ask the
logs (`query`). What they show was taken. What they do not show may be on its way into them, so nobody is told that the
carrier has it not; logs go back 48 hours. A message that was refused for good has used its id up, so no refusal is ever
tried again.

Final are delivery to the handset, and failure. Delivery to the operator is not: the message stays sent, and so it does
where the operator never said what became of it. Infobip signs nothing on a URL that is given with a message; calls of a
subscription carry name and password where the subscription says so, and are checked if they are set here.
"""

import re
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

import msgspec
from msgspec import Meta

from postdate.connectors.contract import CarrierEvent, Inbound, Receipt, Submission
from postdate.connectors.providers.contract import (
    UNKNOWN_FAILURE,
    Answer,
    BadEvent,
    Call,
    Context,
    Heard,
    HttpSettings,
    ProviderKind,
    Request,
    Secret,
    Text,
    Untrusted,
    Url,
)
from postdate.connectors.providers.reading import (
    MOST_EVENTS,
    Address,
    Id,
    LongText,
    basic,
    by_status,
    decode,
    decode_event,
    digits,
    e164,
    known_sid,
    links,
    refused,
    same,
    seconds_left,
    unclear,
)
from postdate.core.address import Channel
from postdate.core.message import Event
from postdate.core.outcome import Accepted, InDoubt, Outcome, Refused

_MOST_MEDIA: Final = 10
_FEWEST_SECONDS: Final = 60
_MOST_SECONDS: Final = 48 * 3600
_EXPIRED: Final = 30036

_DUPLICATE_ID: Final = 23
_TO_OPERATOR: Final = 2  # of the group DELIVERED, though nobody has seen the message
_NEVER_TOLD: Final = 29  # of the group EXPIRED: it may have arrived
_TAKEN: Final = frozenset({"ACCEPTED", "PENDING", "DELIVERED"})
_FAILED: Final = frozenset({"UNDELIVERABLE", "EXPIRED", "REJECTED"})
# Ids of statuses, which answers and receipts share.
_BY_STATUS: Final = {
    6: 30006, 8: 21211, 10: 30004, 11: 21606, 12: 30002, 13: 21606, 14: 30004, 15: _EXPIRED, 17: 30002,
    18: 21612, 19: 30006, 20: 30007, 25: 21617, 51: 21211, 52: 21211, 87: 30007,
}  # fmt: skip
# Ids of errors, which receipts have besides and which say more.
_BY_ERROR: Final = {
    1: 30005, 5: 30005, 6: 30003, 8: 30003, 9: 30004, 10: 30006, 11: 30006, 13: 30004, 21: 30006, 27: 30003,
    31: 30003, 32: 30003, 256: 30003, 345: 30006, 351: 30005, 352: 30005, 368: 21606, 560: 30004, 561: 30007,
    566: 30004, 568: 30006, 569: 30005, 573: 30004, 603: 21610, 604: 30004, 607: 30007, 608: 30007, 628: 30003,
    629: 30006, 630: 30017, 811: _EXPIRED, 2050: 30004, 2051: 30007, 2052: 30004, 3041: 30005, 4098: _EXPIRED,
    4100: _EXPIRED, 4101: _EXPIRED, 4103: 30007, 4104: 30007,
}  # fmt: skip
# What a 400 complains of, by the end of the property's path.
_BY_PROPERTY: Final = {"to": 21211, "sender": 21606, "contentUrl": 21620}
_LAST_NAME: Final = re.compile(r"[A-Za-z]+\Z")


class Settings(HttpSettings, frozen=True, kw_only=True):
    """An account's key, and what its subscriptions identify themselves with."""

    api_key: Annotated[Secret, Meta(description="API key with the scopes to send SMS and to read logs.")]
    base_url: Annotated[Url, Meta(description="The account's own address, such as https://abc123.api.infobip.com.")] = (
        "https://api.infobip.com"
    )
    callback_user: Annotated[Text, Meta(description="Name that a subscription calls with.")] | None = None
    callback_password: Annotated[Secret, Meta(description="Password that a subscription calls with.")] | None = None

    def __post_init__(self) -> None:
        if (self.callback_user is None) != (self.callback_password is None):
            raise ValueError("Give both callback_user and callback_password, or neither.")


class _Status(msgspec.Struct, rename="camel"):
    group_name: str
    id: int = 0


class _Error(msgspec.Struct):
    id: int = 0


class _Message(msgspec.Struct, rename="camel"):
    status: _Status
    message_id: Id | None = None


class _Answered(msgspec.Struct):
    messages: Annotated[list[_Message], Meta(min_length=1, max_length=1)]


class _Violation(msgspec.Struct):
    property: str = ""


class _Problem(msgspec.Struct):
    violations: list[_Violation] = msgspec.field(default_factory=list)


class _Logged(msgspec.Struct, rename="camel"):
    message_id: str
    status: _Status | None = None


class _Logs(msgspec.Struct):
    results: list[_Logged]


class _Segment(msgspec.Struct, rename="camel"):
    content_type: str
    url: Annotated[str, Meta(max_length=4096)] | None = None
    value: LongText | None = None


class _Told(msgspec.Struct, rename="camel"):
    """A delivery report, which has a `status`, or an inbound message, which has a `from`."""

    message_id: Id | None = None
    status: _Status | None = None
    error: _Error | None = None
    callback_data: str | None = None
    sender: Address | None = msgspec.field(name="from", default=None)
    to: Address | None = None
    text: LongText | None = None
    message: Annotated[list[_Segment], Meta(max_length=50)] | None = None


class _Results(msgspec.Struct):
    results: Annotated[list[_Told], Meta(max_length=MOST_EVENTS)]


class Infobip:
    """One account."""

    def __init__(self, settings: Settings) -> None:
        self._base = settings.base_url.rstrip("/")
        self._headers = {"Authorization": f"App {settings.api_key}", "Accept": "application/json"}
        self._callers = (
            basic(settings.callback_user, settings.callback_password)
            if settings.callback_user is not None and settings.callback_password is not None
            else None
        )

    def request(self, submission: Submission, context: Context) -> Request | Refused:
        """Return the request that sends one message to one destination under our id."""
        if submission.channel is not Channel.SMS:
            return Refused(21612, "this connection carries SMS and MMS only")
        if len(submission.attachments) > _MOST_MEDIA:
            return Refused(21623, "too many media")
        left = seconds_left(submission.expires_at, context.at, _FEWEST_SECONDS, _MOST_SECONDS)
        message = {
            "sender": digits(submission.sender),
            "destinations": [{"to": digits(submission.recipient), "messageId": submission.sid}],
            "content": {"messageSegments": _segments(submission)} if submission.attachments else _text(submission),
            "options": {"validityPeriod": {"amount": left, "timeUnit": "SECONDS"}},
            "webhooks": {
                "delivery": {"url": context.events_url},
                "contentType": "application/json",
                "callbackData": submission.sid,
            },
        }
        headers = self._headers | {"Content-Type": "application/json"}
        return Request("POST", self._api(submission, "messages"), headers, msgspec.json.encode({"messages": [message]}))

    def outcome(self, submission: Submission, answer: Answer) -> Outcome:
        """Believe a 200 by the status of its one message, and refusals."""
        outcome = by_status(answer, 200)
        if outcome is not None:
            return outcome
        if answer.status <= 299:
            told = decode(answer.body, _Answered)
            return _by_status(submission, told.messages[0], answer) if told is not None else unclear(answer)
        return refused(answer, _complaint(answer.body))

    def question(self, submission: Submission, context: Context) -> Request:
        """Return the request for what the logs have under our id."""
        query = urlencode({"messageId": submission.sid, "limit": 1})
        return Request("GET", f"{self._api(submission, 'logs')}?{query}", self._headers)

    def verdict(self, submission: Submission, answer: Answer) -> Accepted | InDoubt:
        """Believe a log that names our id; one that does not may lag behind."""
        logs = decode(answer.body, _Logs) if answer.status == 200 else None
        if logs is None:
            return unclear(answer)
        found = next((one for one in logs.results if one.message_id == submission.sid), None)
        if found is not None and found.status is not None and found.status.group_name == "REJECTED":
            return InDoubt("the carrier's logs show that it refused the message")
        if found is not None:
            return Accepted(submission.sid)
        return InDoubt("the carrier's logs do not show the message, or not yet")

    def events(self, call: Call) -> Heard:
        """Read delivery reports, or inbound messages."""
        # The URL that goes with a message is proof enough; name and password belong to a subscription.
        given = call.headers.get("authorization", "")
        if self._callers is not None and call.sid is None and not same(self._callers, given):
            raise Untrusted("The call does not carry the connection's callback_user and callback_password.")
        told = decode_event(call.body, _Results)
        return Heard([event for one in told.results for event in _event(one, call.sid)], status=200)

    def _api(self, submission: Submission, what: Literal["messages", "logs"]) -> str:
        return f"{self._base}/{'mms/2' if submission.attachments else 'sms/3'}/{what}"


def _text(submission: Submission) -> dict[str, str]:
    return {"text": submission.body}


def _segments(submission: Submission) -> list[dict[str, Any]]:
    text = [{"type": "TEXT", "text": submission.body}] if submission.body else []
    return text + [
        {"type": "LINK", "contentType": attachment.content_type, "contentUrl": attachment.url}
        for attachment in submission.attachments
    ]


def _by_status(submission: Submission, message: _Message, answer: Answer) -> Outcome:
    if message.status.id == _DUPLICATE_ID:
        return Accepted(submission.sid)  # only we can have used it: an earlier attempt got there
    if message.status.group_name in _TAKEN and message.message_id is not None:
        return Accepted(message.message_id)
    if message.status.group_name in _FAILED:
        return Refused(_BY_STATUS.get(message.status.id, UNKNOWN_FAILURE), "the carrier refused the message")
    return unclear(answer)


def _complaint(body: bytes) -> int:
    problem = decode(body, _Problem) or _Problem()
    names = [name[0] for violation in problem.violations if (name := _LAST_NAME.search(violation.property[-64:]))]
    return next((_BY_PROPERTY[name] for name in names if name in _BY_PROPERTY), UNKNOWN_FAILURE)


def _event(told: _Told, sid: str | None) -> list[CarrierEvent]:
    if told.status is not None and told.message_id is not None:
        return _receipt(told.message_id, told, told.status, sid)
    if told.sender is None or told.to is None:
        raise BadEvent("A result is neither a delivery report nor an inbound message.")
    segments = told.message or ()
    text = told.text or "\n".join(segment.value for segment in segments if segment.value)
    media = links(segment.url for segment in segments)
    return [Inbound(e164(told.sender), e164(told.to), text, media_urls=media, carrier_ref=told.message_id)]


def _receipt(ref: str, told: _Told, status: _Status, sid: str | None) -> list[CarrierEvent]:
    ours = known_sid(sid, ref, told.callback_data)
    if status.group_name == "DELIVERED" and status.id != _TO_OPERATOR:
        return [Receipt(ref, Event.DELIVER, None, ours)]
    if status.group_name not in _FAILED or status.id in (_NEVER_TOLD, _DUPLICATE_ID):
        return []
    by_error = _BY_ERROR.get(told.error.id) if told.error is not None else None
    return [Receipt(ref, Event.UNDELIVER, by_error or _BY_STATUS.get(status.id, UNKNOWN_FAILURE), ours)]


KIND = ProviderKind(
    name="infobip",
    title="Infobip",
    settings=Settings,
    make=Infobip,
    channels=frozenset({Channel.SMS}),
    media=_MOST_MEDIA,
    checked="Infobip's own specification and its list of codes",
)
