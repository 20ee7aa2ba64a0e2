"""Vonage's Messages API, version 1: SMS, MMS and WhatsApp.

Checked against: Vonage's Python libraries (the fields, `vonage_jwt` both ways) and its specification and documentation
(events, error codes, signed webhooks). Numbers go without their plus sign and come back so. Requests sign in with an
application's private key (a JWT by RS256, made anew for each request) or with the API secret; Vonage reports only to
the former. Webhooks carry a JWT by HS256 over the hash of their body. Vonage names no age at which one is too old; one
that names an end itself is held to it. Told twice, an event changes nothing.
"""

import hashlib
import re
import uuid
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from msgspec import Meta

from postdate.connectors.contract import Attachment, CarrierEvent, Inbound, Receipt, Submission
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
from postdate.connectors.providers.jwt import claims_of, is_current, packed
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
    digits,
    e164,
    known_sid,
    links,
    locked_out,
    same,
    seconds_left,
    unclear,
)
from postdate.core.address import Channel
from postdate.core.instant import MINUTE, SECOND
from postdate.core.message import Event
from postdate.core.outcome import Accepted, Outcome, Refused

MOST_MEDIA: Final = 10
SMS_TTL: Final = (20, 604_800)
MMS_TTL: Final = (300, 259_200)
TOKEN_SECONDS: Final = 900
LEEWAY: Final = 1 * MINUTE
_WRONG_CHANNEL: Final = 21612
_TOO_MANY_MEDIA: Final = 21623

_OPERATORS: Final = frozenset({1060, 1070, 1080, 1140})  # barred, out of credit, not set up
_UNCERTAIN: Final = frozenset({408, 409})
_UNSAID: Final = frozenset({1030, 1100, 1320, 1331})  # a fault of theirs, or sent before
_THROTTLED: Final = 1000
_TOO_MANY_TO_ONE: Final = 1241
# Vonage's codes, of refusals and of receipts, to Twilio's.
_CODES: Final = {
    1040: 21211,
    1050: 30004,
    1090: 30019,
    1120: 21606,
    1160: 21608,
    1170: 21211,
    1180: 30003,
    1190: 30005,
    1200: 30006,
    1210: 30007,
    1220: 30003,
    1230: 30006,
    1240: 21610,  # STOP
    1250: 30006,
    1260: 30003,
    1270: 30004,
    1280: 30004,
    1290: 30004,
    1300: 63003,
    1340: 63016,
    1360: 30036,
    1380: 63019,
    1381: 63034,
    1382: 63019,
}
_RECEIPTS: Final = {
    "delivered": Event.DELIVER,
    "rejected": Event.UNDELIVER,
    "undeliverable": Event.UNDELIVER,
    "read": Event.READ,
}
_KINDS: Final = ("image", "audio", "video", "file", "vcard")
_LAST_NUMBER: Final = re.compile(r"(?:^|[#/])([0-9]{3,5})\Z")


class Settings(HttpSettings, frozen=True, kw_only=True):
    """An application with Vonage, or an account's key and secret."""

    application_id: Annotated[Text | None, Meta(description="The application's id.")] = None
    private_key: Annotated[Secret | None, Meta(description="The application's private key, as PEM.")] = None
    api_key: Annotated[Text | None, Meta(description="The account's API key, where there is no application.")] = None
    api_secret: Annotated[Secret | None, Meta(description="The account's API secret.")] = None
    signature_secret: Annotated[
        Secret | None, Meta(description="The account's signature secret: checks that events are Vonage's.")
    ] = None
    base_url: Annotated[Url, Meta(description="Where the API is; WhatsApp may want a region.")] = (
        "https://api.nexmo.com"
    )

    def __post_init__(self) -> None:
        if (self.application_id is None) != (self.private_key is None):
            raise ValueError("application_id and private_key belong together")
        if (self.api_key is None) != (self.api_secret is None):
            raise ValueError("api_key and api_secret belong together")
        if self.private_key is not None:
            _rsa_key(self.private_key)
        elif self.api_key is None:
            raise ValueError("application_id and private_key are missing, or api_key and api_secret")


class _Taken(msgspec.Struct, frozen=True):
    message_uuid: Id


class _Problem(msgspec.Struct, frozen=True):
    """A refusal, or why a message failed: `type` ends in the code, and `title` may be it."""

    type: str = ""
    title: str | int = ""


class _Medium(msgspec.Struct, frozen=True):
    url: LongText | None = None
    caption: LongText | None = None


class _Told(msgspec.Struct, frozen=True):
    """A status, or an inbound message, which has a `message_type`."""

    message_uuid: Id
    to: Address | None = None
    sender: Address | None = msgspec.field(name="from", default=None)
    channel: str | None = None
    status: str | None = None
    error: _Problem | None = None
    client_ref: str | None = None
    message_type: str | None = None
    text: LongText | None = None
    image: _Medium | None = None
    audio: _Medium | None = None
    video: _Medium | None = None
    file: _Medium | None = None
    vcard: _Medium | None = None
    content: list[_Medium] | None = None


class _Claims(msgspec.Struct, frozen=True):
    payload_hash: str
    exp: int | float | None = None


class Vonage:
    """Hands messages to Vonage."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._messages = f"{settings.base_url.rstrip('/')}/v1/messages"
        self._key = _rsa_key(settings.private_key) if settings.private_key is not None else None

    def request(self, submission: Submission, context: Context) -> Request | Refused:
        """Return the POST of the message."""
        if submission.channel not in KIND.channels:
            return Refused(_WRONG_CHANNEL, "this carrier has no such channel")
        if submission.channel is Channel.WHATSAPP and len(submission.attachments) > 1:
            return Refused(_TOO_MANY_MEDIA, "this carrier takes one media file in a WhatsApp message")
        content = _content(submission) | {
            "to": digits(submission.recipient),
            "from": digits(submission.sender),
            "client_ref": submission.sid,
            "webhook_url": context.events_url,
            "webhook_version": "v1",
        }
        if submission.channel is Channel.SMS:
            shortest, longest = MMS_TTL if submission.attachments else SMS_TTL
            content["ttl"] = seconds_left(submission.expires_at, context.at, shortest, longest)
        headers = {
            "Authorization": self._authorization(context),
            "Content-Type": "application/json",
            "Accept": "application/json",
        }
        return Request("POST", self._messages, headers, msgspec.json.encode(content))

    def outcome(self, submission: Submission, answer: Answer) -> Outcome:
        """Believe a 2xx with an id, and a 4xx that names its problem."""
        if 200 <= answer.status <= 299:
            taken = decode(answer.body, _Taken)
            return Accepted(taken.message_uuid) if taken is not None else unclear(answer)
        problem = decode(answer.body, _Problem)
        code = _code(problem)
        if answer.status == 429 or code in (_THROTTLED, _TOO_MANY_TO_ONE):
            return busy(answer, this_only=code == _TOO_MANY_TO_ONE)
        if code in _OPERATORS:
            return locked_out()
        if answer.status in OPERATORS_STATUSES and code not in _CODES:
            return by_status(answer) or unclear(answer)
        named = problem is not None and problem.type != ""
        if not named or code in _UNSAID or answer.status in _UNCERTAIN or not 400 <= answer.status <= 499:
            return unclear(answer)
        return Refused(_CODES.get(code, UNKNOWN_FAILURE), f"the carrier answered {answer.status}")

    def events(self, call: Call) -> Heard:
        """Read one status or inbound message; other statuses than the last ones are no news."""
        if self._settings.signature_secret is not None:
            _check(self._settings.signature_secret, call)
        told = decode_event(call.body, _Told)
        if told.message_type is not None and told.status is None:
            return Heard([_inbound(told)], status=200)
        if told.status is None:
            raise BadEvent("The event is neither a status nor an inbound message.")
        return Heard(_receipts(told, call.sid), status=200)

    def _authorization(self, context: Context) -> str:
        if self._key is None:
            return basic(self._settings.api_key or "", self._settings.api_secret or "")
        made = context.at // SECOND
        claims = {
            "application_id": self._settings.application_id,
            "iat": made,
            "exp": made + TOKEN_SECONDS,
            "jti": str(uuid.UUID(bytes=context.chance, version=4)),
        }
        signed = ".".join(packed(msgspec.json.encode(part)) for part in ({"alg": "RS256", "typ": "JWT"}, claims))
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), SHA256())
        return f"Bearer {signed}.{packed(signature)}"


def _content(submission: Submission) -> dict[str, object]:
    """Return the fields that hold what the recipient sees; its text is the first medium's caption."""
    if not submission.attachments:
        return {"channel": str(submission.channel), "message_type": "text", "text": submission.body}
    whatsapp = submission.channel is Channel.WHATSAPP
    # Sound has no caption in WhatsApp; as a file it has.
    kinds = [_kind(one, whatsapp=whatsapp, captioned=bool(submission.body)) for one in submission.attachments]
    media = [{"url": one.url} for one in submission.attachments]
    if submission.body:
        media[0]["caption"] = submission.body
    channel = "whatsapp" if whatsapp else "mms"
    if len(media) == 1:
        return {"channel": channel, "message_type": kinds[0], kinds[0]: media[0]}
    items = [{"type": kind, **medium} for kind, medium in zip(kinds, media, strict=True)]
    return {"channel": channel, "message_type": "content", "content": items}


def _kind(medium: Attachment, *, whatsapp: bool, captioned: bool) -> str:
    if medium.content_type == "text/vcard" and not whatsapp:
        return "vcard"
    kind = medium.content_type.partition("/")[0]
    if kind not in ("image", "audio", "video") or (kind == "audio" and whatsapp and captioned):
        return "file"
    return kind


def _code(problem: _Problem | None) -> int:
    """Return the code of a problem, 0 where it has none."""
    if problem is None:
        return 0
    found = _LAST_NUMBER.search(problem.type) or _LAST_NUMBER.search(str(problem.title)[:64])
    return int(found[1]) if found is not None else 0


def _receipts(told: _Told, sid: str | None) -> list[CarrierEvent]:
    event = _RECEIPTS.get(told.status or "")
    if event is None:
        return []
    failure = _CODES.get(_code(told.error), UNKNOWN_FAILURE) if event is Event.UNDELIVER else None
    return [Receipt(told.message_uuid, event, failure, known_sid(sid, told.client_ref))]


def _inbound(told: _Told) -> Inbound:
    if told.sender is None or told.to is None:
        raise BadEvent("The inbound message has no sender or no recipient.")
    prefix = "whatsapp:" if told.channel == "whatsapp" else ""
    media = [medium for medium in (getattr(told, kind) for kind in _KINDS) if medium is not None]
    media += told.content or []
    caption = next((medium.caption for medium in media if medium.caption), "")
    return Inbound(
        prefix + e164(told.sender),
        prefix + e164(told.to),
        told.text if told.text is not None else caption,
        media_urls=links(medium.url for medium in media),
        carrier_ref=told.message_uuid,
    )


# --- tokens ----------------------------------------------------------------------------------------------------------


def _check(secret: str, call: Call) -> None:
    claims = claims_of(call.headers.get("authorization", "").removeprefix("Bearer "), secret, _Claims)
    if claims is None:
        raise Untrusted("The event is not signed with the connection's signature secret.")
    if not same(hashlib.sha256(call.body).hexdigest(), claims.payload_hash.lower()):
        raise Untrusted("The event's signature is of another body.")
    if claims.exp is not None and not is_current(0, claims.exp, call.at, LEEWAY):
        raise Untrusted("The event's signature has ended.")


def _rsa_key(pem: str) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("private_key is no PEM of a private key without a password") from None
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("private_key is not an RSA key")
    return key


KIND = ProviderKind(
    name="vonage",
    title="Vonage",
    settings=Settings,
    make=Vonage,
    channels=frozenset({Channel.SMS, Channel.WHATSAPP}),
    media=MOST_MEDIA,
    checked="Vonage's Python libraries, specification and documentation",
)
