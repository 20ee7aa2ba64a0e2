"""What lanes hold and share: entries of their queues, bookings of hand-offs, and a node's tools for all of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from postdate.clock import Clock
from postdate.connectors.contract import Submission
from postdate.core.instant import Instant
from postdate.core.message import Message
from postdate.core.resources import Sender
from postdate.flow.group_commit import GroupCommit
from postdate.flow.open_connection import OpenConnection
from postdate.flow.recorder import Recorder
from postdate.store.contract import Store


class Entry(NamedTuple):
    """A message in a lane: its place in the queue, and what the rate and the clock need of it.

    `doubtful`: its carrier may have it from an earlier attempt, so that it can never be called failed.
    """

    place: int
    sid: str
    segments: int
    due_at: Instant
    expires_at: Instant
    doubtful: bool = False


@dataclass(frozen=True, slots=True)
class Booking:
    """A lane's next hand-offs, to be claimed together; and when its sender is free again."""

    sender_sid: str
    sids: tuple[str, ...]
    free_at: Instant | None


@dataclass(frozen=True, slots=True)
class LaneTools:
    """What every lane of a node shares."""

    store: Store
    clock: Clock
    claims: GroupCommit[Booking, Sequence[Message]]
    recorder: Recorder
    connections: Mapping[str, OpenConnection]
    find_sender: Callable[[str | None], Sender | None]
    is_smart: Callable[[Message], bool]
    media_url: Callable[[str], str]
    chance: Callable[[], float]
    finished: Callable[[str], None]
    inquire: Callable[[Message, Submission, OpenConnection], None]
    places: Iterator[int]
