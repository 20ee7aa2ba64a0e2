"""What happened in a crash test: every call of the customer, all that the carrier saw, each life of the node, its end.

`Diary` collects it while it happens, `History` is the frozen whole, and `story` tells it of one message in order.
A history is written to a file as JSON, so that anyone can check it again: `python -m tests.system.checker FILE`.
All times are microseconds of the one wall clock that customer, node and carrier share.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import msgspec

from postdate.core.instant import SECOND, Instant
from postdate.core.message import Status


class Reply(StrEnum):
    """What the caller knows after a call; UNKNOWN where the connection was lost: it may or may not have been done."""

    OK = "ok"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class End(StrEnum):
    """How a life of the node ended."""

    KILLED = "killed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Order:
    """A message the customer wants; its body is no other's. `senders` are those it may come from."""

    number: int
    recipient: str
    senders: tuple[str, ...]
    body_sha256: str
    segments: int
    send_at: Instant | None
    service: bool


@dataclass(frozen=True, slots=True)
class Create:
    """One attempt to have an order accepted; attempts with the same key are one request to the node."""

    number: int
    key: str | None
    invoked_at: Instant
    completed_at: Instant
    reply: Reply
    code: int | None = None
    sid: str | None = None
    status: Status | None = None


@dataclass(frozen=True, slots=True)
class Cancel:
    """One attempt to cancel; `code` is the error code of a refusal."""

    sid: str
    invoked_at: Instant
    completed_at: Instant
    reply: Reply
    code: int | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """A message as it was read; `status` None where it was not found."""

    sid: str
    invoked_at: Instant
    completed_at: Instant
    status: Status | None
    in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """A status callback that came; `signed` says whether its signature is right."""

    sid: str
    status: Status
    at: Instant
    signed: bool


@dataclass(frozen=True, slots=True)
class Submission:
    """A line of the carrier's log."""

    sid: str
    attempt: int
    received_at: Instant
    recipient: str
    sender: str
    body_sha256: str
    key: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A life asked its store to claim these; `done_at` None where it did not live to see the commit."""

    life: int
    at: Instant
    done_at: Instant | None
    sids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Life:
    """From the fork to the end of one process; `ready_at` None where it died before it answered requests."""

    number: int
    began_at: Instant
    ready_at: Instant | None
    ended_at: Instant
    end: End
    failpoint: str | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """A message as the store has it at the end."""

    sid: str
    status: Status
    in_doubt: bool
    error_code: int | None
    recipient: str
    sender: str | None
    body_sha256: str


@dataclass(frozen=True, slots=True)
class Books:
    """The store's other tables at the end, and how many messages of each status the API listed just before."""

    timers: tuple[str, ...]
    scheduled_count: int
    outbox: int
    listed: dict[Status, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All of it. `doubt` is the policy of the connection, `rates` the segments per second of limited senders."""

    seed: int
    doubt: str
    rates: dict[str, float]
    orders: tuple[Order, ...]
    creates: tuple[Create, ...]
    cancels: tuple[Cancel, ...]
    reads: tuple[Read, ...]
    told: tuple[Told, ...]
    submissions: tuple[Submission, ...]
    claims: tuple[Claim, ...]
    lives: tuple[Life, ...]
    kept: tuple[Kept, ...]
    books: Books


@dataclass(slots=True)
class Diary:
    """What is noted while it happens."""

    orders: list[Order] = field(default_factory=list)
    creates: list[Create] = field(default_factory=list)
    cancels: list[Cancel] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)


def digest(body: str) -> str:
    """Return the digest a body is known by."""
    return hashlib.sha256(body.encode()).hexdigest()


def write(history: History, path: Path) -> None:
    """Write a history to a file."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(history), indent=1))


def read(path: Path) -> History:
    """Read a history back."""
    return msgspec.json.decode(path.read_bytes(), type=History)


def numbers_of(history: History) -> dict[str, int]:
    """Return which order each known SID is of: as the node answered, else by the body that is no other order's."""
    by_body = {order.body_sha256: order.number for order in history.orders}
    found = {c.sid: c.number for c in history.creates if c.sid is not None}
    for kept in history.kept:
        if kept.body_sha256 in by_body:
            found.setdefault(kept.sid, by_body[kept.body_sha256])
    for submission in history.submissions:
        if submission.body_sha256 in by_body:
            found.setdefault(submission.sid, by_body[submission.body_sha256])
    return found


# --- by order ---


@dataclass(frozen=True, slots=True)
class Case:
    """All about one order; what has a single time is in the order of it."""

    order: Order
    creates: Sequence[Create]
    cancels: Sequence[Cancel]
    reads: Sequence[Read]
    told: Sequence[Told]
    submissions: Sequence[Submission]
    claims: Sequence[Claim]
    kept: Sequence[Kept]

    @property
    def accepted(self) -> list[Create]:
        """Return the attempts that were answered 201."""
        return [c for c in self.creates if c.reply is Reply.OK]

    @property
    def possible(self) -> bool:
        """Say whether the order may have been accepted."""
        return any(c.reply is not Reply.REFUSED for c in self.creates)


AnyEvent = TypeVar("AnyEvent", Cancel, Read, Told, Submission, Kept)


def cases(history: History) -> list[Case]:
    """Return the history sorted by order."""
    numbers = numbers_of(history)
    creates: dict[int, list[Create]] = defaultdict(list)
    for create in history.creates:
        creates[create.number].append(create)
    claims: dict[int, list[Claim]] = defaultdict(list)
    for claim in sorted(history.claims, key=lambda c: c.at):
        for number in {numbers[sid] for sid in claim.sids if sid in numbers}:
            claims[number].append(claim)
    cancels, reads = _by_number(history.cancels, numbers), _by_number(history.reads, numbers)
    told, submissions = _by_number(history.told, numbers), _by_number(history.submissions, numbers)
    kept = _by_number(history.kept, numbers)
    return [
        Case(
            order,
            sorted(creates[order.number], key=lambda c: c.invoked_at),
            cancels[order.number],
            reads[order.number],
            sorted(told[order.number], key=lambda t: t.at),
            sorted(submissions[order.number], key=lambda s: s.received_at),
            claims[order.number],
            kept[order.number],
        )
        for order in history.orders
    ]


def _by_number(events: Sequence[AnyEvent], numbers: Mapping[str, int]) -> dict[int, list[AnyEvent]]:
    found: dict[int, list[AnyEvent]] = defaultdict(list)
    for event in events:
        if event.sid in numbers:
            found[numbers[event.sid]].append(event)
    return found


def story(history: History, number: int) -> str:
    """Tell all that happened to one order, with the lives of the node that it fell into, one event a line."""
    sids = {sid for sid, of in numbers_of(history).items() if of == number}
    order = next((str(o) for o in history.orders if o.number == number), f"order {number}: never made")
    mine = [c for c in history.creates if c.number == number]
    others: list[Cancel | Read | Told | Submission] = [*history.cancels, *history.reads]
    others += [*history.told, *history.submissions]
    events = [line for c in mine for line in _told(c)]
    events += [line for event in others if event.sid in sids for line in _told(event)]
    events += [line for claim in history.claims if sids.intersection(claim.sids) for line in _told(claim)]
    first, last = (min(events)[0], max(events)[0]) if events else (0, 0)
    lives = [line for life in history.lives for line in _told(life) if first - SECOND <= line[0] <= last + SECOND]
    lines = [f"{(at - first) / SECOND:+10.6f} s  {what}" for at, what in sorted([*events, *lives])]
    kept = [f"at the end       {k}" for k in history.kept if k.sid in sids]
    return "\n".join([order, *lines, *(kept or ["at the end       not in the store"])])


def _told(event: Create | Cancel | Read | Told | Submission | Claim | Life) -> list[tuple[int, str]]:
    """Return the lines of a story that an event makes, each with its time."""
    match event:
        case Create() | Cancel():
            name = type(event).__name__.lower()
            got = f"{name}: {event.reply} {event.code or ''}"
            got += f" {event.sid} {event.status}, key {event.key}" if isinstance(event, Create) else ""
            return [(event.invoked_at, f"{name} ..."), (event.completed_at, got)]
        case Read():
            return [(event.completed_at, f"read: {event.status}{', in doubt' if event.in_doubt else ''}")]
        case Told():
            return [(event.at, f"callback: {event.status}{'' if event.signed else ', wrongly signed'}")]
        case Submission():
            return [(event.received_at, f"AT THE CARRIER, attempt {event.attempt}, from {event.sender}")]
        case Claim():
            return [(event.at, f"claimed by life {event.life}{'' if event.done_at else ', commit not seen'}")]
        case Life():
            ready = [(event.ready_at, f"-- life {event.number} is ready")] if event.ready_at is not None else []
            end = f"-- life {event.number} {event.end} {event.failpoint or ''}"
            return [(event.began_at, f"-- life {event.number} begins"), *ready, (event.ended_at, end)]
