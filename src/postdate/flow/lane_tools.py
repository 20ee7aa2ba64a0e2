"""What lanes hold and share: entries of their queues, bookings of hand-offs, and a node's tools for all of them."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from postdate.clock import Clock
from postdate.connectors.contract import Submission
from postdate.core.instant import Instant, Monotonic
from postdate.core.message import Message
from postdate.core.resources import Sender
from postdate.flow.open_connection import OpenConnection
from postdate.flow.recorder import Recorder
from postdate.store.contract import Store


class Entry(NamedTuple):
    """A message in a lane: its place in the queue, and what the rate and the clock need of it.

    It goes at `due_at`, which a carrier may have put off; never before `sendable_at`. `doubt_of` names the connection
    whose carrier may have it from an earlier attempt, so that it is never called failed, and goes nowhere else.
    """

    place: int
    sid: str
    segments: int
    due_at: Instant
    expires_at: Instant
    sendable_at: Instant
    doubt_of: str | None = None


class Claimed(NamedTuple):
    """A message that is claimed, and the slot at which it may leave."""

    slot: Monotonic
    entry: Entry
    message: Message


@dataclass(frozen=True, slots=True)
class Booking:
    """A lane's next hand-offs, to be claimed together for a connection; and when its sender is free again."""

    sender_sid: str
    sids: tuple[str, ...]
    free_at: Instant | None
    connection: str


@dataclass(frozen=True, slots=True)
class LaneTools:
    """What every lane of a node shares."""

    store: Store
    clock: Clock
    claim: Callable[[Booking], Awaitable[Sequence[Message]]]
    recorder: Recorder
    connections: Mapping[str, OpenConnection]
    find_sender: Callable[[str | None], Sender | None]
    is_smart: Callable[[Message], bool]
    media_url: Callable[[str], str]
    chance: Callable[[], float]
    finished: Callable[[str], None]
    inquire: Callable[[Message, Submission, str], None]  # of the connection with this identity
    places: Iterator[int]
