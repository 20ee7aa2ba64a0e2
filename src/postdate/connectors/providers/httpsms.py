"""httpSMS: an Android phone as a carrier, by its public service or a server of one's own.

Shapes read in the source of its server. The phone's SIM is the sender, so only a phone number can be one. Our SID goes
out as `request_id` and comes back in events; it is no key: the same one twice is two messages. Its own scheduling is
never used, and it knows no validity: what the phone does not fetch in time expires over there.

Events carry a JWT signed with the webhook's signing key (HS256), for ten minutes. It covers no byte of the body: what
protects the body is https. The `aud` in it is the URL as registered over there, which may differ from how we write it.
"""

import base64
import binascii
import hashlib
import hmac
from typing import Annotated, Any, Final, TypeVar

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
    Untrusted,
    Url,
)
from postdate.connectors.providers.reading import (
    Address,
    Id,
    LongText,
    busy,
    decode,
    decode_event,
    known_sid,
    locked_out,
    misaddressed,
    same,
    unclear,
)
from postdate.core.address import Channel
from postdate.core.instant import MINUTE, SECOND, Instant
from postdate.core.message import Event
from postdate.core.outcome import Accepted, Busy, Outcome, Refused

MOST_MEDIA: Final = 10
_Form = TypeVar("_Form")
_LEEWAY: Final = 1 * MINUTE  # between two clocks
_EXPIRED: Final = 30036
# Which field of ours it found fault with, in the order asked.
_FAULTS: Final = {"from": 21606, "to": 21211, "attachments": 63021, "content": 21617}


class Settings(HttpSettings, frozen=True, kw_only=True):
    """How to reach the server."""

    api_key: Annotated[Secret, Meta(description="API key of the httpSMS account.")]
    signing_key: Annotated[Secret, Meta(description="Signing key of the webhook.")] | None = None
    base_url: Annotated[Url, Meta(description="The server's address.")] = "https://api.httpsms.com"


class _Data(msgspec.Struct):
    id: Id


class _Taken(msgspec.Struct):
    data: _Data


class _Faulty(msgspec.Struct):
    data: dict[str, Any]


class _Payload(msgspec.Struct):
    id: Id | None = None
    message_id: Id | None = None
    request_id: str | None = None
    is_final: bool = True
    owner: Address | None = None
    contact: Address | None = None
    content: LongText | None = None
    attachments: Annotated[list[Url], Meta(max_length=MOST_MEDIA)] | None = None


class _Event(msgspec.Struct):
    type: str
    data: _Payload


class _Head(msgspec.Struct):
    alg: str


class _Claims(msgspec.Struct):
    exp: int
    nbf: int = 0


class HttpSms:
    """The phones of one httpSMS account."""

    def __init__(self, settings: Settings) -> None:
        self._url = f"{settings.base_url.rstrip('/')}/v1/messages/send"
        self._headers = {"x-api-key": settings.api_key, "Content-Type": "application/json"}
        self._signing_key = settings.signing_key

    def request(self, submission: Submission, context: Context) -> Request | Refused:
        """Return the request that queues the message for the phone."""
        if submission.channel is not Channel.SMS or not submission.sender.startswith("+"):
            return Refused(21612, "a phone sends SMS and MMS from its own number only")
        if not submission.body:
            return Refused(21602, "this carrier takes media with a text only")
        order: dict[str, Any] = {
            "from": submission.sender,
            "to": submission.recipient,
            "content": submission.body,
            "request_id": submission.sid,
        }
        if submission.attachments:
            order["attachments"] = [attachment.url for attachment in submission.attachments]
        return Request("POST", self._url, self._headers, msgspec.json.encode(order))

    def outcome(self, submission: Submission, answer: Answer) -> Outcome:
        """Believe 200 with an id and refusals; the plan that is used up (402) is for the operator to mend."""
        match answer.status:
            case 200 | 201 | 202:
                taken = decode(answer.body, _Taken)
                return Accepted(taken.data.id) if taken is not None else unclear(answer)
            case 401 | 403:
                return locked_out()
            case 402:
                return Busy(MINUTE, "the plan of the httpSMS account is used up")
            case 404 | 405:
                return misaddressed()
            case 429:
                return busy(answer)
            case status if 400 <= status <= 499 and status not in (408, 409):
                faulty = decode(answer.body, _Faulty)
                code = next((_FAULTS[name] for name in _FAULTS if faulty and name in faulty.data), UNKNOWN_FAILURE)
                return Refused(code, f"the carrier answered {status}")
        return unclear(answer)

    def events(self, call: Call) -> Heard:
        """Read one webhook."""
        if self._signing_key is not None:
            _check(self._signing_key, call)
        event = _event(decode_event(call.body, _Event), call.sid)
        return Heard((event,) if event is not None else ())


def _event(told: _Event, sid: str | None) -> CarrierEvent | None:
    data = told.data
    match told.type:
        case "message.phone.delivered":
            return _receipt(data, Event.DELIVER, None, sid)
        case "message.send.failed":
            return _receipt(data, Event.UNDELIVER, UNKNOWN_FAILURE, sid)
        case "message.send.expired":
            return _receipt(data, Event.UNDELIVER, _EXPIRED, sid) if data.is_final else None
        case "message.phone.received":
            if data.contact is None or data.owner is None:
                raise BadEvent("The message does not say from whom or to whom it is.")
            media = tuple(data.attachments or ())
            return Inbound(data.contact, data.owner, data.content or "", media_urls=media, carrier_ref=data.message_id)
    return None  # sent, missed calls, the phone's heartbeat


def _receipt(data: _Payload, event: Event, code: int | None, sid: str | None) -> Receipt:
    ref = data.id or data.message_id
    if ref is None:
        raise BadEvent("The event names no message.")
    return Receipt(ref, event, code, known_sid(data.request_id, sid))


def _check(key: str, call: Call) -> None:
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    signed, _, signature = token.rpartition(".")
    digest = hmac.new(key.encode(), signed.encode(errors="replace"), hashlib.sha256).digest()
    expected = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    # The algorithm is ours to say: whatever the head names, only an HMAC with our key passes.
    if scheme.lower() != "bearer" or not same(expected, signature):
        raise Untrusted("The webhook does not carry a token made with this connection's signing_key.")
    head, _, claims = signed.partition(".")
    named, said = _part(head, _Head), _part(claims, _Claims)
    if named is None or named.alg != "HS256" or said is None or not _is_current(said, call.at):
        raise Untrusted("The webhook's token is too old, or not yet good.")


def _is_current(claims: _Claims, at: Instant) -> bool:
    return claims.nbf * SECOND - _LEEWAY <= at <= claims.exp * SECOND + _LEEWAY


def _part(text: str, form: type[_Form]) -> _Form | None:
    try:
        return decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), form)
    except (binascii.Error, ValueError):
        return None


KIND = ProviderKind(
    name="httpsms",
    title="httpSMS (Android)",
    settings=Settings,
    make=HttpSms,
    channels=frozenset({Channel.SMS}),
    media=MOST_MEDIA,
    checked="the source of its server",
)
