"""What happened in a crash test: every call of the customer, all that the carrier saw, each life of the node, its end.

`Diary` collects it while it happens, `History` is the frozen whole, and `story` tells it of one message in order.
A history is written to a file as JSON, so that anyone can check it again: `python -m tests.system.checker FILE`.
All times are microseconds of the one wall clock that customer, node and carrier share.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

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


def story(history: History, number: int) -> str:
    """Tell all that happened to one order, with the lives of the node that it fell into, one event a line."""
    events = sorted(_events(history, number))
    if not events:
        return f"order {number}: nothing is known of it"
    first, last = events[0][0], events[-1][0]
    events += [event for event in _lives(history) if first - SECOND <= event[0] <= last + SECOND]
    lines = [f"{(at - first) / SECOND:+10.6f} s  {what}" for at, what in sorted(events)]
    kept = [f"at the end       {k}" for k in history.kept if numbers_of(history).get(k.sid) == number]
    order = next((str(o) for o in history.orders if o.number == number), f"order {number}: never made")
    return "\n".join([order, *lines, *(kept or ["at the end       not in the store"])])


def _events(history: History, number: int) -> Iterator[tuple[int, str]]:
    sids = {sid for sid, of in numbers_of(history).items() if of == number}
    for order in history.orders:
        if order.number == number and order.send_at is not None:
            yield order.send_at, "SendAt"
    for create in history.creates:
        if create.number == number:
            yield create.invoked_at, f"create (key {create.key})"
            yield create.completed_at, f"create: {create.reply} {create.code or ''} {create.sid} {create.status}"
    for cancel in history.cancels:
        if cancel.sid in sids:
            yield cancel.invoked_at, "cancel"
            yield cancel.completed_at, f"cancel: {cancel.reply} {cancel.code or ''}"
    for seen in history.reads:
        if seen.sid in sids:
            yield seen.completed_at, f"read: {seen.status or 'not found'}{', in doubt' if seen.in_doubt else ''}"
    for told in history.told:
        if told.sid in sids:
            yield told.at, f"callback: {told.status}{'' if told.signed else ', wrongly signed'}"
    for submission in history.submissions:
        if submission.sid in sids:
            yield submission.received_at, f"AT THE CARRIER, attempt {submission.attempt}, from {submission.sender}"
    for claim in history.claims:
        if sids.intersection(claim.sids):
            yield claim.at, f"life {claim.life} claims it, {'done' if claim.done_at else 'commit not seen'}"


def _lives(history: History) -> Iterator[tuple[int, str]]:
    for life in history.lives:
        yield life.began_at, f"-- life {life.number} begins"
        if life.ready_at is not None:
            yield life.ready_at, f"-- life {life.number} is ready"
        yield life.ended_at, f"-- life {life.number} {life.end} {life.failpoint or ''}"
