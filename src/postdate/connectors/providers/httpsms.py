"""httpSMS: an Android phone as a carrier, by its public service or a server of one's own.

Shapes read in the source of its server. The phone's SIM is the sender, so only a phone number can be one. Our SID goes
out as `request_id` and comes back in events; it is no key: the same one twice is two messages. Its own scheduling is
never used, and it knows no validity: what the phone does not fetch in time expires over there.

Events carry a JWT signed with the webhook's signing key (HS256), for ten minutes. It covers no byte of the body: what
protects the body is https. The `aud` in it is the URL as registered over there, which may differ from how we write it.
"""

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
    Untrusted,
    Url,
)
from postdate.connectors.providers.jwt import claims_of, is_current
from postdate.connectors.providers.reading import (
    Address,
    Id,
    LongText,
    by_status,
    decode,
    decode_event,
    known_sid,
    links,
    refused,
    unclear,
)
from postdate.core.address import Channel
from postdate.core.instant import MINUTE
from postdate.core.message import Event
from postdate.core.outcome import Accepted, Outcome, Refused

MOST_MEDIA: Final = 10
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
    attachments: Annotated[list[LongText], Meta(max_length=MOST_MEDIA)] | None = None


class _Event(msgspec.Struct):
    type: str
    data: _Payload


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
        """Believe 200 to 202 with an id, and refusals."""
        outcome = by_status(answer, 200, 201, 202)
        if outcome is not None:
            return outcome
        if answer.status <= 299:
            taken = decode(answer.body, _Taken)
            return Accepted(taken.data.id) if taken is not None else unclear(answer)
        faulty = decode(answer.body, _Faulty)
        return refused(
            answer, next((_FAULTS[name] for name in _FAULTS if faulty and name in faulty.data), UNKNOWN_FAILURE)
        )

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
            media = links(data.attachments or ())
            return Inbound(data.contact, data.owner, data.content or "", media_urls=media, carrier_ref=data.message_id)
    return None  # sent, missed calls, the phone's heartbeat


def _receipt(data: _Payload, event: Event, code: int | None, sid: str | None) -> Receipt:
    ref = data.id or data.message_id
    if ref is None:
        raise BadEvent("The event names no message.")
    return Receipt(ref, event, code, known_sid(sid, data.request_id))


def _check(key: str, call: Call) -> None:
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    claims = claims_of(token, key, _Claims) if scheme.lower() == "bearer" else None
    if claims is None:
        raise Untrusted("The webhook does not carry a token made with this connection's signing_key.")
    if not is_current(claims.nbf, claims.exp, call.at, _LEEWAY):
        raise Untrusted("The webhook's token is too old, or not yet good.")


KIND = ProviderKind(
    name="httpsms",
    title="httpSMS (Android)",
    settings=Settings,
    make=HttpSms,
    channels=frozenset({Channel.SMS}),
    media=MOST_MEDIA,
    checked="the source of its server",
)
