"""Bird: one SMS or WhatsApp channel by the Channels API of its CRM platform (api.bird.com).

Shapes, signature and codes are from Bird's documentation alone: there is no library for this API to hold them against,
and nothing was tried against Bird itself. Our SID is the `reference`, which comes back in events. No idempotency key
is known, nor a validity period. Events come by webhook subscriptions that the operator makes, for `sms.outbound` and
`sms.inbound` or `whatsapp.outbound` and `whatsapp.inbound`, each to this connection's URL. Unless the operator filters
them, they tell of every channel of the workspace: those of others are passed over.

The channel has one sender, which no message names; so `sender` says which it is, a message from another is refused, and
a message received without its number was sent to this one. Only pictures can be media. The signature covers the URL
and the body; Bird names no age beyond which an event is to be refused, and tries for eight hours.
"""

import base64
import hashlib
import hmac
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
from postdate.connectors.providers.messagebird import NETWORK_ERRORS
from postdate.connectors.providers.reading import (
    Address,
    Id,
    LongText,
    by_status,
    decode,
    decode_event,
    e164,
    known_sid,
    links,
    refused,
    same,
    unclear,
)
from postdate.core.address import Channel
from postdate.core.message import Event
from postdate.core.outcome import Accepted, Outcome, Refused

_MOST_MEDIA: Final = 10
_FAILED: Final = frozenset({"rejected", "sending_failed", "delivery_failed"})
_NETWORKS: Final = "sms-messagebird"  # where a failure comes from, if its code is one of NETWORK_ERRORS
_UNSUPPORTED_DESTINATION: Final = 12003
_BY_CODE: Final = {_UNSUPPORTED_DESTINATION: 30006}
_PREFIXES: Final = {"sms": "", "whatsapp": "whatsapp:"}


class Settings(HttpSettings, frozen=True, kw_only=True):
    """A channel, and a key that may send through it."""

    access_key: Annotated[Secret, Meta(description="Access key that may send messages through the channel.")]
    workspace_id: Annotated[Text, Meta(description="ID of the workspace.")]
    channel_id: Annotated[Text, Meta(description="ID of the channel.")]
    sender: Annotated[
        Address, Meta(description="The channel's sender, as in From: +14155550100, whatsapp:+14155550100 or a name.")
    ]
    signing_key: Annotated[Secret, Meta(description="Signing key of the webhook subscriptions.")] | None = None
    base_url: Annotated[Url, Meta(description="Where the API is.")] = "https://api.bird.com"


class _Taken(msgspec.Struct):
    id: Id


class _Party(msgspec.Struct, rename="camel"):
    identifier_value: Address | None = None


class _Side(msgspec.Struct):
    """Who sent or received: a contact of Bird's, or the channel's connector."""

    contact: _Party | None = None
    connector: _Party | None = None


class _Picture(msgspec.Struct, rename="camel"):
    media_url: Annotated[str, Meta(max_length=4096)] | None = None


class _Content(msgspec.Struct):
    """A text, or the list of a message with pictures or files, which has a text besides."""

    text: LongText | None = None
    images: Annotated[list[_Picture], Meta(max_length=50)] = msgspec.field(default_factory=list)
    files: Annotated[list[_Picture], Meta(max_length=50)] = msgspec.field(default_factory=list)


class _Body(msgspec.Struct):
    type: str
    text: _Content | None = None
    image: _Content | None = None
    file: _Content | None = None


class _Source(msgspec.Struct):
    name: str = ""
    code: str | int = ""


class _Failure(msgspec.Struct):
    code: int = 0
    source: _Source | None = None


class _Message(msgspec.Struct):
    id: Id
    channel_id: str | None = msgspec.field(name="channelId", default=None)
    status: str | None = None
    reference: str | None = None
    failure: _Failure | None = None
    sender: _Side | None = None
    receiver: _Side | None = None
    body: _Body | None = None


class _Head(msgspec.Struct):
    service: str
    event: str


class _Told(msgspec.Struct):
    payload: _Message


class Bird:
    """One channel."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        workspace, channel = quote(settings.workspace_id, safe=""), quote(settings.channel_id, safe="")
        self._url = f"{settings.base_url.rstrip('/')}/workspaces/{workspace}/channels/{channel}/messages"
        self._headers = {"Authorization": f"AccessKey {settings.access_key}", "Content-Type": "application/json"}

    def request(self, submission: Submission, context: Context) -> Request | Refused:
        """Return the request that sends the message through the channel."""
        if submission.sender != self._settings.sender:
            return Refused(21612, "the channel of this connection has another sender")
        if len(submission.attachments) > _MOST_MEDIA:
            return Refused(21623, "too many media")
        if not all(attachment.content_type.startswith("image/") for attachment in submission.attachments):
            return Refused(21612, "the carrier takes pictures only")
        number = submission.recipient.rpartition(":")[2]
        message = {
            "receiver": {"contacts": [{"identifierValue": number, "identifierKey": "phonenumber"}]},
            "body": _picture_body(submission) if submission.attachments else _text_body(submission),
            "reference": submission.sid,
        }
        return Request("POST", self._url, self._headers, msgspec.json.encode(message))

    def outcome(self, submission: Submission, answer: Answer) -> Outcome:
        """Believe 200 to 202 with an id, refusals, and 429, which Bird says was not processed."""
        outcome = by_status(answer, 200, 201, 202)
        if outcome is not None:
            return outcome
        if answer.status <= 299:
            taken = decode(answer.body, _Taken)
            return Accepted(taken.id) if taken is not None else unclear(answer)
        return refused(answer)

    def events(self, call: Call) -> Heard:
        """Read one event of a subscription; what other services and channels tell is no news."""
        if self._settings.signing_key is not None:
            _check(self._settings.signing_key, call)
        head = decode_event(call.body, _Head)
        platform, _, what = head.event.partition(".")
        if head.service != "channels" or platform not in _PREFIXES or what not in ("outbound", "inbound"):
            return Heard()
        message = decode_event(call.body, _Told).payload
        if message.channel_id is not None and message.channel_id.lower() != self._settings.channel_id.lower():
            return Heard()
        if what == "outbound":
            return Heard(_receipt(message, call.sid))
        return Heard([self._inbound(message, _PREFIXES[platform])])

    def _inbound(self, message: _Message, prefix: str) -> Inbound:
        sender = _value(message.sender.contact) if message.sender is not None else None
        if sender is None or message.body is None:
            raise BadEvent("The message does not say from whom it is, or what.")
        number = _value(message.receiver.connector) if message.receiver is not None else None
        recipient = prefix + number if number is not None else self._settings.sender
        content = message.body.text or message.body.image or message.body.file or _Content()
        media = links(medium.media_url for medium in (*content.images, *content.files))
        return Inbound(prefix + sender, recipient, content.text or "", media_urls=media, carrier_ref=message.id)


def _text_body(submission: Submission) -> dict[str, Any]:
    return {"type": "text", "text": {"text": submission.body}}


def _picture_body(submission: Submission) -> dict[str, Any]:
    pictures = [{"mediaUrl": attachment.url, "altText": "picture"} for attachment in submission.attachments]
    text = {"text": submission.body} if submission.body else {}
    return {"type": "image", "image": {"images": pictures, **text}}


def _receipt(message: _Message, sid: str | None) -> list[CarrierEvent]:
    ours = known_sid(sid, message.reference)
    if message.status == "delivered":
        return [Receipt(message.id, Event.DELIVER, None, ours)]
    if message.status not in _FAILED:
        return []  # accepted, processing, sent, and what later versions add
    return [Receipt(message.id, Event.UNDELIVER, _code(message.failure), ours)]


def _code(failure: _Failure | None) -> int:
    if failure is None:
        return UNKNOWN_FAILURE
    source = failure.source
    number = str(source.code) if source is not None and source.name == _NETWORKS else ""
    by_network = NETWORK_ERRORS.get(int(number)) if number.isascii() and number.isdigit() and len(number) < 9 else None
    return by_network or _BY_CODE.get(failure.code, UNKNOWN_FAILURE)


def _value(party: _Party | None) -> str | None:
    return e164(party.identifier_value) if party is not None and party.identifier_value is not None else None


def _check(key: str, call: Call) -> None:
    stamp = call.headers.get("messagebird-request-timestamp", "")
    given = call.headers.get("messagebird-signature", "")
    signed = b"\n".join((stamp.encode(errors="replace"), call.url.encode(), hashlib.sha256(call.body).digest()))
    right = base64.b64encode(hmac.new(key.encode(), signed, hashlib.sha256).digest()).decode()
    if not stamp or not same(right, given):
        raise Untrusted("The event is not signed with the connection's signing_key.")


KIND = ProviderKind(
    name="bird",
    title="Bird (Channels API)",
    settings=Settings,
    make=Bird,
    channels=frozenset({Channel.SMS, Channel.WHATSAPP}),
    media=_MOST_MEDIA,
    checked="Bird's documentation alone",
)
