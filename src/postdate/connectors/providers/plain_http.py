"""Plain HTTP: a small JSON protocol of our own that a gateway of the operator's can speak.

What goes out is a `Handover`, what comes back is `Taken` or a `Refusal`, what a carrier tells us later `Told`. There is
no other specification of it than this file and its tests. Only an answer that says what happened is believed: 2xx with
an id, 4xx, 425, 429 or 503. All else, 408 and 409 too, is InDoubt. A 401, 402, 403, 404, 405 or 407 without a code is
about the connection: the message waits until the operator has mended that.
"""

import hmac
import re
from typing import Annotated, Any, Final, Literal

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
)
from postdate.connectors.providers.reading import (
    MOST_EVENTS,
    OPERATORS_STATUSES,
    Address,
    Id,
    LongText,
    busy,
    by_status,
    decode,
    decode_event,
    refused,
    unclear,
)
from postdate.core.address import Channel
from postdate.core.instant import format_iso_exact
from postdate.core.message import Event
from postdate.core.outcome import Accepted, InDoubt, Outcome

_BUSY: Final = frozenset({425, 429, 503})
# 408: somebody on the way gave up waiting, perhaps not for us. 409: an attempt with this key is still in hand.
_UNCERTAIN: Final = frozenset({408, 409})
_CODES: Final = range(10_000, 100_000)
_VISIBLE: Final = re.compile(r"[!-~]+")
_EVENTS: Final = {"delivered": Event.DELIVER, "undelivered": Event.UNDELIVER, "read": Event.READ}

_Code = Annotated[int, Meta(ge=_CODES.start, lt=_CODES.stop)]


class Settings(HttpSettings, frozen=True, kw_only=True):
    """Where the gateway is."""

    url: Annotated[
        str,
        Meta(
            pattern=r"^https?://(\[[0-9A-Fa-f:.]+\]|[^\s@#?/:]+)(:[0-9]{1,5})?([/?][^\s@#]*)?\Z",
            max_length=2048,
            description="Where messages are POSTed to, like https://gateway.example/messages.",
        ),
    ]
    token: Annotated[Secret | None, Meta(description="Sent, and asked of the gateway's events, as a Bearer token.")] = (
        None
    )

    def __post_init__(self) -> None:
        if self.token is not None and not _VISIBLE.fullmatch(self.token):
            raise ValueError("token is empty or holds a blank or a character outside ASCII")


class Handover(msgspec.Struct, frozen=True):
    """What is POSTed, with the header `Idempotency-Key: <sid>`; `media` are links, `expires_at` is ISO 8601 in UTC."""

    sid: str
    attempt: int
    sender: str = msgspec.field(name="from")
    recipient: str = msgspec.field(name="to")
    channel: str
    body: str
    segments: int
    expires_at: str
    media: tuple[str, ...]


class Taken(msgspec.Struct, frozen=True):
    """What a 2xx must hold: the carrier's id for the message."""

    id: Id


class Refusal(msgspec.Struct, frozen=True):
    """What a 4xx may hold: the customer's error code."""

    code: _Code


class Told(msgspec.Struct, frozen=True):
    """What a carrier POSTs to us, alone or in a list: `id` and `status`, or `from`, `to` and `body`.

    An `id` beside the latter is that of what came in: told again, it is known again.
    """

    id: Id | None = None
    sid: Id | None = None
    status: Literal["delivered", "undelivered", "read"] | None = None
    code: _Code | None = None
    sender: Address | None = msgspec.field(name="from", default=None)
    recipient: Address | None = msgspec.field(name="to", default=None)
    body: LongText | None = None


_ALONE_OR_IN_A_LIST: Any = list[Told] | Told


class PlainHttp:
    """A gateway that speaks our own protocol."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.url
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        self._authorization = None if settings.token is None else f"Bearer {settings.token}"
        if self._authorization is not None:
            self._headers["Authorization"] = self._authorization

    def request(self, submission: Submission, context: Context) -> Request:
        """Return the POST of a message, with its SID as the key."""
        headers = {**self._headers, "Idempotency-Key": submission.sid}
        return Request("POST", self._url, headers, write_handover(submission))

    def outcome(self, submission: Submission, answer: Answer) -> Outcome:
        """Say what an answer means."""
        status = answer.status
        if status in _BUSY:
            return busy(answer)
        if 200 <= status <= 299:
            taken = decode(answer.body, Taken)
            if taken is None:
                return InDoubt(f"the carrier answered {status} without an id that can be read")
            return Accepted(taken.id)
        if 400 <= status <= 499 and status not in _UNCERTAIN:
            refusal = decode(answer.body, Refusal)
            if refusal is None and status in OPERATORS_STATUSES:
                return by_status(answer) or unclear(answer)
            return refused(answer, refusal.code if refusal else UNKNOWN_FAILURE)
        return unclear(answer)

    def events(self, call: Call) -> Heard:
        """Read what the gateway POSTed, all of it or BadEvent; with a token in the settings it must come with it."""
        if self._authorization is not None:
            given = call.headers.get("authorization", "")
            if not hmac.compare_digest(given.encode(), self._authorization.encode()):
                raise Untrusted("Send the header 'Authorization: Bearer <token>' with the token of this connection.")
        return Heard(read_events(call.body))


def write_handover(submission: Submission) -> bytes:
    """Write the body of the POST; UnicodeEncodeError where a text holds half a surrogate pair."""
    return msgspec.json.encode(
        Handover(
            submission.sid,
            submission.attempt,
            submission.sender,
            submission.recipient,
            submission.channel,
            submission.body,
            submission.segments,
            format_iso_exact(submission.expires_at),
            tuple(attachment.url for attachment in submission.attachments),
        )
    )


def read_events(body: bytes) -> list[CarrierEvent]:
    """Read what a carrier POSTed, all of it or BadEvent."""
    told: list[Told] | Told = decode_event(body, _ALONE_OR_IN_A_LIST)
    several = told if isinstance(told, list) else [told]
    if len(several) > MOST_EVENTS:
        raise BadEvent(f"There are more than {MOST_EVENTS:,} events; send fewer at a time.")
    return [_event(one, place) for place, one in enumerate(several)]


def _event(told: Told, place: int) -> CarrierEvent:
    match told:
        case Told(id=str(ref), status=str(status), sender=None, recipient=None, body=None):
            failed = status == "undelivered"
            return Receipt(ref, _EVENTS[status], (told.code or UNKNOWN_FAILURE) if failed else None, told.sid)
        case Told(sender=str(sender), recipient=str(recipient), body=str(body), status=None):
            return Inbound(sender, recipient, body, carrier_ref=told.id)
    raise BadEvent(f"Event {place} is neither a receipt (id and status) nor an inbound message (from, to and body).")


KIND: Final = ProviderKind(
    name="plain-http",
    title="A gateway of your own, over plain HTTP",
    settings=Settings,
    make=PlainHttp,
    channels=frozenset(Channel),
    media=10,
    checked="it is our own protocol",
    knows_key=True,
)
