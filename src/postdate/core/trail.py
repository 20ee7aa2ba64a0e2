"""Where a message has been: a short text that grows with each move, in the very statement that makes the move.

Written with `entry`, read with `steps`. An entry is a letter, the time in milliseconds (base 36), its fields behind
commas, and a semicolon. What makes a trail long are hand-offs that come back: they are kept one by one up to
`MOST_BACK` characters, everything else up to `MOST`. How a message began is not written at all: the message says it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Final

from postdate.core.instant import MILLISECOND, Instant
from postdate.core.message import Direction, Event, Message

MOST: Final = 1_600  # characters; an entry begun below it is written whole
MOST_BACK: Final = 600
_LONGEST_FIELD: Final = 64
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_UNSAFE: Final = {ord(sign): "_" for sign in (",", ";", *map(chr, range(32)), "\x7f")}


class Kind(StrEnum):
    """What happened. `SKIPPED` stands for hand-offs that came back and were not kept one by one."""

    ACCEPTED = "accepted"
    SCHEDULED = "scheduled"
    RECEIVED = "received"
    ASSIGNED = "assigned"
    HELD = "held"
    REFUSED = "refused"
    CLAIMED = "claimed"
    HANDED = "handed"
    FAILED = "failed"
    BUSY = "busy"
    UNREACHABLE = "unreachable"
    RETURNED = "returned"
    SKIPPED = "skipped"
    DOUBTED = "doubted"
    RETRIED = "retried"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    READ = "read"
    LATE_ACCEPT = "late_accept"
    LATE_REFUSE = "late_refuse"
    LATE_RETURN = "late_return"
    CANCELED = "canceled"
    MOVED = "moved"
    RESOLVED = "resolved"
    REDACTED = "redacted"

    __hash__ = str.__hash__


_LETTERS: Final = {
    Kind.ASSIGNED: "a",
    Kind.HELD: "h",
    Kind.REFUSED: "x",
    Kind.CLAIMED: "c",
    Kind.HANDED: "s",
    Kind.FAILED: "f",
    Kind.BUSY: "b",
    Kind.UNREACHABLE: "u",
    Kind.RETURNED: "r",
    Kind.DOUBTED: "q",
    Kind.RETRIED: "g",
    Kind.DELIVERED: "d",
    Kind.UNDELIVERED: "n",
    Kind.READ: "v",
    Kind.LATE_ACCEPT: "A",
    Kind.LATE_REFUSE: "R",
    Kind.LATE_RETURN: "B",
    Kind.CANCELED: "k",
    Kind.MOVED: "m",
    Kind.RESOLVED: "o",
    Kind.REDACTED: "z",
}
_KINDS: Final = {letter: kind for kind, letter in _LETTERS.items()}
COMES_BACK: Final = frozenset(
    {Kind.CLAIMED, Kind.BUSY, Kind.UNREACHABLE, Kind.RETURNED, Kind.RETRIED, Kind.LATE_RETURN}
)
HEARD: Final = {
    Event.DELIVER: Kind.DELIVERED,
    Event.UNDELIVER: Kind.UNDELIVERED,
    Event.READ: Kind.READ,
    Event.ACCEPT: Kind.LATE_ACCEPT,
    Event.REFUSE: Kind.LATE_REFUSE,
    Event.RETURN: Kind.LATE_RETURN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happened, to the millisecond. What does not belong to its kind is None.

    `carrier_ref` is told with the last hand-off, or late answer, that the carrier took.
    `until`: the time it is held or was moved to, or was first scheduled for; `was`: the time it was moved from.
    """

    at: Instant
    kind: Kind
    attempt: int | None = None
    connection: str | None = None
    carrier_ref: str | None = None
    code: int | None = None
    until: Instant | None = None
    was: Instant | None = None
    verdict: str | None = None


def entry(kind: Kind, at: Instant, *fields: str | int | None) -> str:
    """Return what is added to a trail; texts are cut and made harmless."""
    if not fields:
        return f"{_LETTERS[kind]}{time_field(at)};"
    shown = ",".join([_field(one) for one in fields])
    return f"{_LETTERS[kind]}{time_field(at)},{shown};"


@lru_cache(maxsize=64)
def time_field(at: Instant) -> str:
    """Return an instant as a field of an entry; a batch has one."""
    return _base36(at // MILLISECOND)


@lru_cache(maxsize=1_024)
def _field(value: str | int | None) -> str:
    """Return a field; connections and codes are few."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else value[:_LONGEST_FIELD].translate(_UNSAFE)


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits or "0"


# -- reading -----------------------------------------------------------------------------------------------------------


def steps(message: Message, trail: str) -> list[Step]:
    """Return what happened to a message, in order. What cannot be read is left out."""
    written = [step for step in map(_step, trail.split(";")) if step is not None]
    for place in reversed(range(len(written))):
        if written[place].kind in (Kind.HANDED, Kind.LATE_ACCEPT):
            written[place] = replace(written[place], carrier_ref=message.carrier_ref)
            break
    return [_beginning(message, written), *_numbered(message, written)]


def _beginning(message: Message, written: Sequence[Step]) -> Step:
    if message.direction is Direction.INBOUND:
        return Step(at=message.created_at, kind=Kind.RECEIVED)
    if message.send_at is None:
        return Step(at=message.created_at, kind=Kind.ACCEPTED)
    first = next((step.was for step in written if step.kind is Kind.MOVED), message.send_at)
    return Step(at=message.created_at, kind=Kind.SCHEDULED, until=first)


def _numbered(message: Message, written: Sequence[Step]) -> Iterator[Step]:
    """Number the attempts; say after the last of them that is written how many there were, where not all are."""
    claims = sum(step.kind is Kind.CLAIMED for step in written)
    last = max((place for place, step in enumerate(written) if step.kind in COMES_BACK), default=-1)
    attempt = 0
    for place, step in enumerate(written):
        attempt += step.kind is Kind.CLAIMED
        yield replace(step, attempt=attempt) if step.kind is Kind.CLAIMED else step
        if place == last and claims < message.attempts:
            yield Step(at=step.at, kind=Kind.SKIPPED, attempt=message.attempts)


def _step(text: str) -> Step | None:
    kind = _KINDS.get(text[:1])
    if kind is None:
        return None
    at, *fields = text[1:].split(",")
    fields += [""] * (2 - len(fields))
    try:
        step = Step(at=_instant(at), kind=kind)
        match kind:
            case Kind.HELD:
                return replace(step, until=_instant(fields[0]))
            case Kind.MOVED:
                return replace(step, was=_instant(fields[0]), until=_instant(fields[1]))
            case Kind.HANDED | Kind.LATE_ACCEPT:
                return replace(step, connection=fields[0] or None)
            case Kind.RESOLVED:
                return replace(step, verdict=fields[0])
            case _:
                return replace(step, code=int(fields[0]) if fields[0] else None)
    except ValueError:
        return None


def _instant(text: str) -> Instant:
    return Instant(int(text, 36) * MILLISECOND)
