"""Bandwidth: SMS and MMS in North America by its Messaging API v2.

Shapes taken from Bandwidth's own specification, codes from its documentation; nothing was tried against Bandwidth
itself. Our SID is the `tag`, which comes back in every callback. No idempotency key is known.

Bandwidth says that no message goes out where it answers 4xx or 5xx. That is believed of an answer with Bandwidth's own
error in it, and not of one that some proxy on the way may have made up. A failure that it reports because no receipt
came in time (9902) is no failure: the message stays sent.

Callbacks go to the URL of the application, unsigned, with the name and the password that the application has. A link
to received media is at Bandwidth and wants the API's credentials.
"""

from typing import Annotated, Any, Final
from urllib.parse import quote

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
    busy,
    by_status,
    decode,
    decode_event,
    known_sid,
    links,
    refused,
    same,
    seconds_left,
    unclear,
)
from postdate.core.address import Channel
from postdate.core.instant import SECOND, Instant, format_iso
from postdate.core.message import Event
from postdate.core.outcome import Accepted, Outcome, Refused

_MOST_MEDIA: Final = 10
_LONGEST_TEXT: Final = 2048
_FEWEST_SECONDS: Final = 60
_MOST_SECONDS: Final = 10 * 24 * 3600
_NO_RECEIPT: Final = 9902

_BY_CODE: Final = {
    4303: 30005, 4350: 30005, 4360: 30036, 4401: 30006, 4404: 30006, 4406: 30005, 4408: 30006, 4409: 30006,
    4410: 63019, 4411: 30019, 4420: 30006, 4421: 30006, 4432: 30006, 4434: 30006, 4470: 30007, 4481: 30004,
    4482: 30004, 4492: 30004, 4700: 30006, 4701: 30003, 4702: 30003, 4711: 30019, 4720: 30005, 4721: 30005,
    4730: 30006, 4750: 30007, 4753: 30004, 4770: 30007, 4771: 30007, 4772: 30004, 4773: 30007, 4775: 21610,
    4790: 30004, 4791: 30004, 4792: 30004, 4793: 30004, 4795: 30007, 5600: 30017,
}  # fmt: skip
# What a 400 complains of.
_BY_FIELD: Final = {"from": 21606, "to": 21211, "media": 21620}
_RECEIPTS: Final = {
    "message-delivered": Event.DELIVER,
    "message-failed": Event.UNDELIVER,
    "message-read": Event.READ,
}


class Settings(HttpSettings, frozen=True, kw_only=True):
    """An account with API credentials, and one of its messaging applications."""

    account_id: Annotated[Text, Meta(description="Account ID.")]
    username: Annotated[Text, Meta(description="Name of the API user.")]
    password: Annotated[Secret, Meta(description="Password of the API user.")]
    application_id: Annotated[Text, Meta(description="ID of the messaging application that the numbers are in.")]
    callback_user: Annotated[Text, Meta(description="Name that the application calls with.")] | None = None
    callback_password: Annotated[Secret, Meta(description="Password that the application calls with.")] | None = None
    base_url: Annotated[Url, Meta(description="Where the API is.")] = "https://messaging.bandwidth.com/api/v2"

    def __post_init__(self) -> None:
        if (self.callback_user is None) != (self.callback_password is None):
            raise ValueError("Give both callback_user and callback_password, or neither.")


class _Taken(msgspec.Struct):
    id: Id


class _FieldError(msgspec.Struct, rename="camel"):
    field_name: str = ""


class _Problem(msgspec.Struct, rename="camel"):
    type: str
    description: str
    field_errors: list[_FieldError] = msgspec.field(default_factory=list)


class _Message(msgspec.Struct):
    id: Id
    owner: Address | None = None
    sender: Address | None = msgspec.field(name="from", default=None)
    text: LongText | None = None
    tag: str | None = None
    media: Annotated[list[Annotated[str, Meta(max_length=4096)]], Meta(max_length=50)] | None = None


class _Told(msgspec.Struct, rename="camel"):
    type: str
    message: _Message
    to: Address | None = None
    error_code: int | None = None


_Callback = Annotated[list[_Told], Meta(max_length=MOST_EVENTS)]


class Bandwidth:
    """One messaging application of one account."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._url = f"{settings.base_url.rstrip('/')}/users/{quote(settings.account_id, safe='')}/messages"
        self._headers = {
            "Authorization": basic(settings.username, settings.password),
            "Content-Type": "application/json; charset=utf-8",
        }

    def request(self, submission: Submission, context: Context) -> Request | Refused:
        """Return the request that queues the message."""
        if submission.channel is not Channel.SMS:
            return Refused(21612, "this connection carries SMS and MMS only")
        if len(submission.attachments) > _MOST_MEDIA:
            return Refused(21623, "too many media")
        if len(submission.body) > _LONGEST_TEXT:
            return Refused(21617, f"the carrier takes at most {_LONGEST_TEXT} characters")
        left = seconds_left(submission.expires_at, context.at, _FEWEST_SECONDS, _MOST_SECONDS)
        order: dict[str, Any] = {
            "applicationId": self._settings.application_id,
            "to": [submission.recipient],
            "from": submission.sender,
            "tag": submission.sid,
            "expiration": format_iso(Instant(context.at + left * SECOND)),
        }
        if submission.body:
            order["text"] = submission.body
        if submission.attachments:
            order["media"] = [attachment.url for attachment in submission.attachments]
        return Request("POST", self._url, self._headers, msgspec.json.encode(order))

    def outcome(self, submission: Submission, answer: Answer) -> Outcome:
        """Believe 200 and 202 with an id, refusals, and Bandwidth's own word that it failed."""
        outcome = by_status(answer, 200, 202)
        problem = decode(answer.body, _Problem)
        if answer.status >= 500 and problem is not None:
            return busy(answer)
        if outcome is not None:
            return outcome
        if answer.status <= 299:
            taken = decode(answer.body, _Taken)
            return Accepted(taken.id) if taken is not None else unclear(answer)
        if problem is None:
            return unclear(answer)
        fields = [error.field_name for error in problem.field_errors]
        return refused(answer, next((_BY_FIELD[name] for name in fields if name in _BY_FIELD), UNKNOWN_FAILURE))

    def events(self, call: Call) -> Heard:
        """Read a list of callbacks; what is only under way is no news."""
        self._check(call)
        told = decode_event(call.body, _Callback)
        return Heard([event for one in told for event in _event(one, call.sid)])

    def _check(self, call: Call) -> None:
        user, password = self._settings.callback_user, self._settings.callback_password
        if user is None or password is None:
            return
        if not same(basic(user, password), call.headers.get("authorization", "")):
            raise Untrusted("The call does not carry the connection's callback_user and callback_password.")


def _event(told: _Told, sid: str | None) -> list[CarrierEvent]:
    if told.type == "message-received":
        return [_inbound(told)]
    event = _RECEIPTS.get(told.type)
    if event is None or told.error_code == _NO_RECEIPT:
        return []
    failed = event is Event.UNDELIVER
    code = _BY_CODE.get(told.error_code or 0, UNKNOWN_FAILURE) if failed else None
    return [Receipt(told.message.id, event, code, known_sid(sid, told.message.tag))]


def _inbound(told: _Told) -> Inbound:
    message = told.message
    recipient = told.to or message.owner
    if message.sender is None or recipient is None:
        raise BadEvent("An inbound message does not say from whom or to whom it is.")
    return Inbound(
        message.sender, recipient, message.text or "", media_urls=links(message.media or ()), carrier_ref=message.id
    )


KIND = ProviderKind(
    name="bandwidth",
    title="Bandwidth",
    settings=Settings,
    make=Bandwidth,
    channels=frozenset({Channel.SMS}),
    media=_MOST_MEDIA,
    checked="Bandwidth's own specification and documentation",
)
