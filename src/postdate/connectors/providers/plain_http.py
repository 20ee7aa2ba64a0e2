"""The wire of the plain HTTP connector: a small JSON protocol of our own that a gateway of the operator's can speak.

What goes out is a `Handover`, what comes back is `Taken` or a `Refusal`, what a carrier tells us later `Told`.
Only an answer that says what happened is believed: 2xx with an id, 4xx, 425, 429 or 503. All else, 408 and 409 too, is
InDoubt. Both answers and events are read as if written by an enemy: bounded, and with no word of theirs in our texts.
"""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Annotated, Final, Literal, TypeVar

import msgspec

from postdate.connectors.contract import CarrierEvent, Inbound, Receipt, Submission
from postdate.core.instant import DAY, SECOND, Instant, format_iso_exact
from postdate.core.message import Event
from postdate.core.outcome import Accepted, Busy, InDoubt, Outcome, Refused

EVENTS_LIMIT: Final = 1024 * 1024
MOST_EVENTS: Final = 1_000
LONGEST_RETRY_AFTER: Final = 1 * DAY
UNKNOWN_FAILURE: Final = 30008

_BUSY: Final = frozenset({425, 429, 503})
# 408: somebody on the way gave up waiting, perhaps not for us. 409: an attempt with this key is still in hand.
_UNCERTAIN: Final = frozenset({408, 409})
_CODES: Final = range(10_000, 100_000)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS: Final = re.compile(r"[0-9]{1,12}")
_EVENTS: Final = {"delivered": Event.DELIVER, "undelivered": Event.UNDELIVER, "read": Event.READ}

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
_Address = Annotated[str, msgspec.Meta(min_length=1, max_length=160, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
# Not every database takes a NUL in a text.
_Text = Annotated[str, msgspec.Meta(max_length=65_536, pattern=r"^[^\x00]*\Z")]
_Code = Annotated[int, msgspec.Meta(ge=_CODES.start, lt=_CODES.stop)]


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

    id: _Id


class Refusal(msgspec.Struct, frozen=True):
    """What a 4xx may hold: the customer's error code."""

    code: _Code


class Told(msgspec.Struct, frozen=True):
    """What a carrier POSTs to us, alone or in a list: `id` and `status`, or `from`, `to` and `body`."""

    id: _Id | None = None
    sid: _Id | None = None
    status: Literal["delivered", "undelivered", "read"] | None = None
    code: _Code | None = None
    sender: _Address | None = msgspec.field(name="from", default=None)
    recipient: _Address | None = msgspec.field(name="to", default=None)
    body: _Text | None = None


_Form = TypeVar("_Form", Taken, Refusal)


class BadEvent(ValueError):
    """What a carrier told us cannot be taken; the text says what is wrong with it."""


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


def read_answer(status: int, asked: str, body: bytes, at: Instant) -> Outcome:
    """Say what an answer means; `asked` is its Retry-After, "" without one, `at` when it came."""
    if status in _BUSY:
        return Busy(read_retry_after(asked, at), f"the carrier answered {status}")
    if 200 <= status <= 299:
        taken = _read(body, Taken)
        if taken is None:
            return InDoubt(f"the carrier answered {status} without an id that can be read")
        return Accepted(taken.id)
    if 400 <= status <= 499 and status not in _UNCERTAIN:
        refusal = _read(body, Refusal)
        return Refused(refusal.code if refusal else UNKNOWN_FAILURE, f"the carrier answered {status}")
    return InDoubt(f"the carrier answered {status}, which does not say whether it took the message")


def read_retry_after(text: str, at: Instant) -> int | None:
    """Read seconds or an HTTP date as microseconds from `at`, at most a day; None where it is neither."""
    if _SECONDS.fullmatch(text):
        return min(int(text) * SECOND, LONGEST_RETRY_AFTER)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    # The oldest form of an HTTP date names no zone; all forms are GMT.
    since_epoch = (date if date.tzinfo else date.replace(tzinfo=UTC)) - _EPOCH
    return min(max(since_epoch // timedelta(microseconds=1) - at, 0), LONGEST_RETRY_AFTER)


def read_events(body: bytes) -> list[CarrierEvent]:
    """Read what a carrier POSTed, all of it or BadEvent."""
    if len(body) > EVENTS_LIMIT:
        raise BadEvent(f"The events take more than {EVENTS_LIMIT:,} bytes; send fewer at a time.")
    try:
        told = msgspec.json.decode(body, type=list[Told] | Told)
    except RecursionError:
        raise BadEvent("The events cannot be read: they are nested too deeply.") from None
    except ValueError as wrong:
        why = "they are not UTF-8" if isinstance(wrong, UnicodeError) else str(wrong)
        raise BadEvent(f"The events cannot be read: {why}.") from None
    several = told if isinstance(told, list) else [told]
    if len(several) > MOST_EVENTS:
        raise BadEvent(f"There are more than {MOST_EVENTS:,} events; send fewer at a time.")
    return [_event(one, place) for place, one in enumerate(several)]


def _event(told: Told, place: int) -> CarrierEvent:
    match told:
        case Told(id=str(ref), status=str(status), sender=None, recipient=None, body=None):
            failed = status == "undelivered"
            return Receipt(ref, _EVENTS[status], (told.code or UNKNOWN_FAILURE) if failed else None, told.sid)
        case Told(sender=str(sender), recipient=str(recipient), body=str(body), id=None, status=None):
            return Inbound(sender, recipient, body)
    raise BadEvent(f"Event {place} is neither a receipt (id and status) nor an inbound message (from, to and body).")


def _read(body: bytes, form: type[_Form]) -> _Form | None:
    try:
        return msgspec.json.decode(body, type=form)
    except (ValueError, RecursionError):
        return None
