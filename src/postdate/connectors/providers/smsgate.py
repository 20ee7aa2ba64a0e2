"""sms-gate.app: an Android phone as a carrier, by its own local server, a private server or the public cloud.

Shapes read in the source of its server, its Android app and its documentation. The phone's SIM is the sender, so only
a phone number can be one. Our SID is the message's id there. A second message with an id that the same phone has is
refused with 409: the first one is there, and that is what we wanted. With several phones and no `device_id` the server
chooses one by chance and the second message may reach another: hence `query` and not `retry` is right after a doubt.

The validity of numbers is not checked again over there: its list takes mobile numbers only, and new ranges come late.
The app signs `body + timestamp`. A received message has no id that is unique, so the event's own id stands for it.
Of a received MMS the text is heard; its media come as bytes, for which there is no place yet.
"""

import hashlib
import hmac
import re
from typing import Annotated, Any, Final

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
    OPERATORS_STATUSES,
    Address,
    Id,
    LongText,
    basic,
    busy,
    by_status,
    decode,
    decode_event,
    known_sid,
    same,
    seconds_left,
    unclear,
)
from postdate.core.address import Channel
from postdate.core.instant import HOUR, MINUTE, SECOND
from postdate.core.message import Event
from postdate.core.outcome import Accepted, InDoubt, Outcome, Refused, Unreachable

_TOLERANCE: Final = 5 * MINUTE  # what its documentation advises
_FEWEST_SECONDS: Final = 5
_MOST_SECONDS: Final = 10 * 24 * 3600
# It forgets messages some time after it has sent them; within this it has not.
_REMEMBERS: Final = 12 * HOUR
_SECONDS: Final = re.compile(r"[0-9]{1,12}")
_QUEUE_FULL: Final = "queue limits exceeded"
_NOT_FOUND: Final = "message not found"
_OUT_OF_TIME: Final = "TTL expired"
_EXPIRED: Final = 30036


class Settings(HttpSettings, frozen=True, kw_only=True):
    """How to reach the phone."""

    username: Annotated[Text, Meta(description="Name shown in the app.")]
    password: Annotated[Secret, Meta(description="Password shown in the app.")]
    base_url: Annotated[
        Url, Meta(description="The cloud's address, or the phone's own, such as http://192.0.2.7:8080.")
    ] = "https://api.sms-gate.app/3rdparty/v1"
    signing_key: Annotated[Secret, Meta(description="Signing key of the webhooks.")] | None = None
    device_id: Annotated[Text, Meta(description="Which phone sends, if there are several.")] | None = None
    sim_number: Annotated[int, Meta(ge=1, le=3, description="Which SIM sends; else the phone chooses.")] | None = None
    number: Annotated[Text, Meta(description="The phone's number, for received messages without it.")] | None = None


class _Told(msgspec.Struct):
    id: Id | None = None
    state: str | None = None
    message: str | None = None


class _Payload(msgspec.Struct, rename="camel"):
    message_id: Id | None = None
    message: LongText | None = None
    body: LongText | None = None
    sender: Address | None = None
    recipient: Address | None = None
    phone_number: Address | None = None
    reason: str | None = None


class _Event(msgspec.Struct):
    id: Id
    event: str
    payload: _Payload
    device_id: str | None = msgspec.field(name="deviceId", default=None)


class SmsGate:
    """One phone, or all phones of an account."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._headers = {
            "Authorization": basic(settings.username, settings.password),
            "Content-Type": "application/json",
        }

    def request(self, submission: Submission, context: Context) -> Request | Refused:
        """Return the request that queues the message on the phone."""
        if submission.channel is not Channel.SMS or not submission.sender.startswith("+"):
            return Refused(21612, "a phone sends SMS from its own number only")
        if submission.attachments:
            return Refused(21612, "a phone takes no media this way")
        order: dict[str, Any] = {
            "id": submission.sid,
            "textMessage": {"text": submission.body},
            "phoneNumbers": [submission.recipient],
            "ttl": seconds_left(submission.expires_at, context.at, _FEWEST_SECONDS, _MOST_SECONDS),
            "withDeliveryReport": True,
        }
        if self._settings.device_id is not None:
            order["deviceId"] = self._settings.device_id
        if self._settings.sim_number is not None:
            order["simNumber"] = self._settings.sim_number
        url = f"{self._messages()}?skipPhoneValidation=true"
        return Request("POST", url, self._headers, msgspec.json.encode(order))

    def outcome(self, submission: Submission, answer: Answer) -> Outcome:
        """Believe 202 with an id, 409 for our own id, and refusals; a page is that of some proxy on the way."""
        is_page = bool(answer.body) and decode(answer.body, _Told) is None
        told = decode(answer.body, _Told) or _Told()
        match answer.status:
            case 200 | 201 | 202 if told.id is not None:
                return Accepted(told.id)
            case 409 if not is_page:
                return Accepted(submission.sid)  # only we can have used it: an earlier attempt got there
            case status if status in OPERATORS_STATUSES or status == 429:
                return by_status(answer) or unclear(answer)
            case 503 if told.message is not None and told.message.endswith(_QUEUE_FULL):
                return busy(answer)
            case status if 400 <= status <= 499 and status not in (408, 409, 425) and not is_page:
                return Refused(UNKNOWN_FAILURE, f"the carrier answered {status}")
        return unclear(answer)

    def question(self, submission: Submission, context: Context) -> Request:
        """Return the request for the message with our id, whichever phone has it."""
        return Request("GET", f"{self._messages()}/{submission.sid}", self._headers)

    def verdict(self, submission: Submission, answer: Answer) -> Accepted | Unreachable | InDoubt:
        """Believe a 404 while the carrier cannot have forgotten the message."""
        told = decode(answer.body, _Told)
        if answer.status == 200 and told is not None and told.id == submission.sid:
            return Accepted(submission.sid)
        # A phone says nothing beside its 404, a server says this; what is at a wrong address says something else.
        unknown = not answer.body or (told is not None and (told.message or "").endswith(_NOT_FOUND))
        if answer.status == 404 and unknown and answer.at - submission.not_before < _REMEMBERS:
            return Unreachable("the carrier does not know the message")
        return unclear(answer)

    def events(self, call: Call) -> Heard:
        """Read one webhook of the app."""
        if self._settings.signing_key is not None:
            _check(self._settings.signing_key, call)
        told = decode_event(call.body, _Event)
        event = self._event(told, call.sid)
        return Heard((event,) if event is not None else ())

    def _messages(self) -> str:
        return f"{self._settings.base_url.rstrip('/')}/messages"

    def _event(self, told: _Event, sid: str | None) -> CarrierEvent | None:
        match told.event:
            case "sms:delivered":
                return _receipt(told, Event.DELIVER, sid)
            case "sms:failed" | "sms:cancelled":
                return _receipt(told, Event.UNDELIVER, sid)
            case "sms:received" | "mms:downloaded":
                return self._inbound(told)
        return None  # sent, pings, and what later versions add

    def _inbound(self, told: _Event) -> Inbound | None:
        payload = told.payload
        if (
            payload.recipient is None
            and told.device_id is not None
            and self._settings.device_id not in (None, told.device_id)
        ):
            return None  # another phone of the account, and not the one that `number` is of
        sender = payload.sender or payload.phone_number
        recipient = payload.recipient or self._settings.number
        if sender is None or recipient is None:
            raise BadEvent("The message does not say from whom or to whom it is; set the phone's number.")
        return Inbound(sender, recipient, payload.message or payload.body or "", carrier_ref=told.id)


def _receipt(told: _Event, event: Event, sid: str | None) -> Receipt:
    ref = told.payload.message_id
    if ref is None:
        raise BadEvent("The event names no message.")
    code = None
    if event is Event.UNDELIVER:
        code = _EXPIRED if told.payload.reason == _OUT_OF_TIME else UNKNOWN_FAILURE
    return Receipt(ref, event, code, known_sid(sid, ref))


def _check(key: str, call: Call) -> None:
    stamp = call.headers.get("x-timestamp", "")
    if not _SECONDS.fullmatch(stamp) or abs(int(stamp) * SECOND - call.at) > _TOLERANCE:
        raise Untrusted("The webhook was not signed just now, or the phone's clock is wrong.")
    expected = hmac.new(key.encode(), call.body + stamp.encode(), hashlib.sha256).hexdigest()
    if not same(expected, call.headers.get("x-signature", "").lower()):
        raise Untrusted("The webhook is not signed with this connection's signing_key.")


KIND = ProviderKind(
    name="smsgate",
    title="sms-gate.app (Android)",
    settings=Settings,
    make=SmsGate,
    channels=frozenset({Channel.SMS}),
    media=0,
    checked="the source of its server and its Android app",
)
