"""Telnyx's Messaging API v2: SMS and MMS, and WhatsApp by its own path.

Checked against: Telnyx's Python library, which is made from its specification (the shapes, and the verifier of
webhooks), and its documentation (error codes, idempotency). The idempotency key is our SID: the same request again is
answered with the first success for a day, so that `retry` does no harm. Another body under a known key is refused with
422, and then the carrier may have the message: after a first attempt a 422 that no code explains is in doubt. There is
no validity in the API; Telnyx gives up by its own clock. The public key is no secret, but the check needs it.
"""

import base64
import binascii
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
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
    busy,
    by_status,
    decode,
    decode_event,
    known_sid,
    links,
    locked_out,
    unclear,
)
from postdate.core.address import Channel
from postdate.core.instant import SECOND
from postdate.core.message import Event
from postdate.core.outcome import Accepted, Outcome, Refused

MOST_MEDIA: Final = 10
TOLERANCE: Final = 300 * SECOND
_KEY_BYTES: Final = 32
_WRONG_CHANNEL: Final = 21612
_TOO_MANY_MEDIA: Final = 21623

_OPERATORS: Final = frozenset(
    {"10009", "10010", "20012", "20013", "20014", "20100", "40311", "40312", "40313", "40314"}
)
_LATER: Final = frozenset({"10011", "40318", "40320"})  # too fast, a full queue, a number that is not ready yet
_UNCERTAIN: Final = frozenset({408, 409})
# Telnyx's codes, of refusals and of receipts, to Twilio's.
_CODES: Final = {
    "10002": 21211,
    "10016": 21211,
    "40001": 30006,  # a landline
    "40002": 30007,
    "40003": 30007,
    "40005": 30036,
    "40006": 30006,
    "40010": 30034,
    "40011": 30022,
    "40012": 30005,
    "40013": 21606,
    "40014": 30036,
    "40015": 30007,
    "40016": 30023,  # a day's limit
    "40017": 30007,
    "40018": 30022,
    "40100": 21606,
    "40300": 21610,  # STOP
    "40301": _WRONG_CHANNEL,
    "40302": 30019,
    "40305": 21606,
    "40306": 21606,
    "40308": 21606,
    "40309": 21408,
    "40310": 21211,
    "40315": 21606,
    "40316": 21602,
    "40317": 21620,
    "40319": _WRONG_CHANNEL,
    "40321": 21606,
    "40322": 30007,
    "40329": 30032,
}
_RECEIPTS: Final = {
    "delivered": Event.DELIVER,
    "delivery_failed": Event.UNDELIVER,
    "sending_failed": Event.UNDELIVER,
    "expired": Event.UNDELIVER,
    "read": Event.READ,
}


class Settings(HttpSettings, frozen=True, kw_only=True):
    """An account with Telnyx."""

    api_key: Annotated[Secret, Meta(description="The API key, KEY….")]
    messaging_profile_id: Annotated[
        Text | None, Meta(description="The messaging profile; needed for alphanumeric senders.")
    ] = None
    public_key: Annotated[
        Text | None,
        Meta(description="The account's public key, as the portal shows it: checks that events are Telnyx's."),
    ] = None
    base_url: Annotated[Url, Meta(description="Where the API is.")] = "https://api.telnyx.com"

    def __post_init__(self) -> None:
        if self.public_key is not None and len(_unpacked(self.public_key)) != _KEY_BYTES:
            raise ValueError("public_key is not the Base64 of 32 bytes")


class _Data(msgspec.Struct, frozen=True):
    id: Id


class _Taken(msgspec.Struct, frozen=True):
    data: _Data


class _Error(msgspec.Struct, frozen=True):
    code: str | int = ""


class _Refusal(msgspec.Struct, frozen=True):
    errors: list[_Error]


class _Party(msgspec.Struct, frozen=True):
    phone_number: Address | None = None
    status: str | None = None


class _Medium(msgspec.Struct, frozen=True):
    url: LongText | None = None


class _Words(msgspec.Struct, frozen=True):
    body: LongText = ""


class _Body(msgspec.Struct, frozen=True):
    text: LongText | _Words | None = None


class _Message(msgspec.Struct, frozen=True):
    """A message as an event tells it; of WhatsApp `to` is a number, and the text is in `body`."""

    id: Id
    sender: _Party | None = msgspec.field(name="from", default=None)
    to: list[_Party] | Address | None = None
    text: LongText | None = None
    media: list[_Medium] | None = None
    errors: list[_Error] | None = None
    type: str | None = None
    body: _Body | None = None


class _News(msgspec.Struct, frozen=True):
    event_type: str
    payload: msgspec.Raw = msgspec.Raw(b"{}")


class _Told(msgspec.Struct, frozen=True):
    data: _News


class Telnyx:
    """Hands messages to Telnyx."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._base = settings.base_url.rstrip("/")
        self._key = (
            Ed25519PublicKey.from_public_bytes(_unpacked(settings.public_key))
            if settings.public_key is not None
            else None
        )

    def request(self, submission: Submission, context: Context) -> Request | Refused:
        """Return the POST of the message; every attempt is the same to the byte, as the idempotency key wants it."""
        match submission.channel:
            case Channel.SMS:
                path, content = "/v2/messages", _text_message(submission) | {"use_profile_webhooks": False}
            case Channel.WHATSAPP:
                if len(submission.attachments) > 1:
                    return Refused(_TOO_MANY_MEDIA, "this carrier takes one media file in a WhatsApp message")
                path, content = "/v2/messages/whatsapp", {"type": "WHATSAPP", "whatsapp_message": _whatsapp(submission)}
            case _:
                return Refused(_WRONG_CHANNEL, "this carrier has no such channel")
        content |= {
            "from": submission.sender.removeprefix("whatsapp:"),
            "to": submission.recipient.removeprefix("whatsapp:"),
            "webhook_url": context.events_url,
        }
        if self._settings.messaging_profile_id is not None:
            content["messaging_profile_id"] = self._settings.messaging_profile_id
        headers = {
            "Authorization": f"Bearer {self._settings.api_key}",
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Idempotency-Key": submission.sid,
        }
        return Request("POST", self._base + path, headers, msgspec.json.encode(content))

    def outcome(self, submission: Submission, answer: Answer) -> Outcome:
        """Believe a 2xx with an id, and a 4xx with a code of Telnyx's."""
        if 200 <= answer.status <= 299:
            taken = decode(answer.body, _Taken)
            return Accepted(taken.data.id) if taken is not None else unclear(answer)
        refusal = decode(answer.body, _Refusal)
        code = str(refusal.errors[0].code) if refusal is not None and refusal.errors else ""
        if answer.status == 429 or code in _LATER:
            return busy(answer)
        if code in _OPERATORS:
            return locked_out()
        if answer.status in OPERATORS_STATUSES and code not in _CODES:
            return by_status(answer) or unclear(answer)
        if not code or answer.status in _UNCERTAIN or not 400 <= answer.status <= 499:
            return unclear(answer)
        if answer.status == 422 and code not in _CODES and submission.attempt > 1:
            return unclear(answer)
        return Refused(_CODES.get(code, UNKNOWN_FAILURE), f"the carrier answered {answer.status}")

    def events(self, call: Call) -> Heard:
        """Read one event; of those about messages only receipts and inbound messages are news."""
        if self._key is not None:
            _check(self._key, call)
        news = decode_event(call.body, _Told).data
        match news.event_type:
            case "message.finalized" | "message.read":
                return Heard(_receipts(decode_event(news.payload, _Message), call.sid))
            case "message.received":
                return Heard([_inbound(decode_event(news.payload, _Message))])
        return Heard()


def _text_message(submission: Submission) -> dict[str, object]:
    content: dict[str, object] = {"text": submission.body} if submission.body else {}
    if submission.attachments:
        content |= {"type": "MMS", "media_urls": [attachment.url for attachment in submission.attachments]}
    return content


def _whatsapp(submission: Submission) -> dict[str, object]:
    if not submission.attachments:
        return {"type": "text", "text": {"body": submission.body}}
    medium = submission.attachments[0]
    kind = medium.content_type.partition("/")[0]
    # Sound has no caption in WhatsApp; as a document it has.
    if kind not in ("image", "video", "audio") or (kind == "audio" and submission.body):
        kind = "document"
    return {"type": kind, kind: {"link": medium.url} | ({"caption": submission.body} if submission.body else {})}


def _receipts(told: _Message, sid: str | None) -> list[CarrierEvent]:
    status = told.to[0].status if isinstance(told.to, list) and told.to else None
    event = _RECEIPTS.get(status or "")
    if event is None:
        return []  # delivery_unconfirmed: nobody knows
    code = str(told.errors[0].code) if told.errors else ""
    failure = _CODES.get(code, UNKNOWN_FAILURE) if event is Event.UNDELIVER else None
    return [Receipt(told.id, event, failure, known_sid(sid))]


def _inbound(told: _Message) -> Inbound:
    sender = told.sender.phone_number if told.sender is not None else None
    recipient = told.to if isinstance(told.to, str) else told.to[0].phone_number if told.to else None
    if not sender or not recipient:
        raise BadEvent("The inbound message has no sender or no recipient.")
    prefix = "whatsapp:" if told.type == "WHATSAPP" else ""
    media = links(medium.url for medium in told.media or ())
    return Inbound(prefix + sender, prefix + recipient, _words(told), media_urls=media, carrier_ref=told.id)


def _words(told: _Message) -> str:
    if told.text is not None or told.body is None:
        return told.text or ""
    within = told.body.text
    return within.body if isinstance(within, _Words) else within or ""


def _check(key: Ed25519PublicKey, call: Call) -> None:
    stamp = call.headers.get("telnyx-timestamp", "")
    signature = _unpacked(call.headers.get("telnyx-signature-ed25519", ""))
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        raise Untrusted("The event has no time of signing.")
    if abs(int(stamp) * SECOND - call.at) > TOLERANCE:
        raise Untrusted("The event was signed too long ago, or the clocks differ.")
    try:
        key.verify(signature, stamp.encode() + b"|" + call.body)
    except InvalidSignature:
        raise Untrusted("The event is not signed with the key that belongs to the connection's public key.") from None


def _unpacked(text: str) -> bytes:
    """Read Base64; nothing where it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


KIND = ProviderKind(
    name="telnyx",
    title="Telnyx",
    settings=Settings,
    make=Telnyx,
    channels=frozenset({Channel.SMS, Channel.WHATSAPP}),
    media=MOST_MEDIA,
    checked="Telnyx's Python library and documentation",
    knows_key=True,
)
