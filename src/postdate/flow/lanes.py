"""All lanes of a node: which there are, what they share, and what becomes of hand-offs that an earlier run left."""

import asyncio
import itertools
from collections.abc import Callable, Sequence

import msgspec

from postdate.clock import Clock
from postdate.connectors.contract import Asks, Submission
from postdate.core.instant import Instant
from postdate.core.message import Message
from postdate.core.outcome import DoubtPolicy
from postdate.core.resources import Sender
from postdate.flow.group_commit import GroupCommit
from postdate.flow.lane import Lane, queue_limit
from postdate.flow.lane_tools import Booking, Entry, LaneTools
from postdate.flow.open_connection import MOST_MEDIA, OpenConnection
from postdate.flow.recorder import Recorder
from postdate.flow.submission import submission_of
from postdate.store.contract import Doubted, Failed, Store

Inquire = Callable[[Message, Submission, OpenConnection], None]

MOST_IN_A_COMMIT = 16  # bookings in one transaction


class Lanes:
    """All lanes of this node, made as they are needed."""

    def __init__(self, store: Store, clock: Clock, recorder: Recorder, run: str) -> None:
        self._store = store
        self._clock = clock
        self._run = run
        self._recorder = recorder
        self._claims: GroupCommit[Booking, Sequence[Message]] = GroupCommit(self._claim, MOST_IN_A_COMMIT)
        self._lanes: dict[str, Lane] = {}
        self._free_at: dict[str, Instant] = {}
        self._sids: set[str] = set()
        self._places = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()
        self._tools: LaneTools
        self.connections: dict[str, OpenConnection] = {}
        # Told of a hand-off without an outcome whose carrier can be asked about it.
        self.inquire: Inquire = lambda message, submission, connection: None
        self.broken: Callable[[BaseException], None] = lambda error: None  # told when a lane cannot go on

    @property
    def idle(self) -> bool:
        """Say whether every lane waits for time to pass, or for a carrier."""
        return self._claims.idle and all(lane.idle for lane in self._lanes.values())

    @property
    def waiting(self) -> int:
        """Return how many messages are in lanes."""
        return len(self._sids)

    async def open(
        self,
        find_sender: Callable[[str | None], Sender | None],
        is_smart: Callable[[Message], bool],
        media_url: Callable[[str], str],
        chance: Callable[[], float],
    ) -> None:
        """Read when each sender is free, so that a restart exceeds no rate."""
        self._free_at = await self._store.lanes()
        self._find_sender = find_sender
        self._tools = LaneTools(
            self._store, self._clock, self._claims, self._recorder, self.connections, find_sender, is_smart, media_url,
            chance, self._sids.discard, lambda *doubt: self.inquire(*doubt), self._places,
        )  # fmt: skip

    def has_room(self, sender: Sender, segments: int) -> bool:
        """Say whether the sender's queue can take this many segments more."""
        lane = self._lanes.get(sender.sid)
        return segments <= queue_limit(sender) if lane is None else lane.has_room(segments)

    def use(self, connection: OpenConnection) -> None:
        """Hand messages over to this connection from now on, under its name."""
        self.connections[connection.name] = connection
        self.wake()

    def leave(self, name: str) -> None:
        """Hand nothing more over to the connection of this name; its senders' messages wait."""
        self.connections.pop(name, None)

    def wake(self) -> None:
        """Hear that a connection may be usable now, or not any more."""
        for lane in self._lanes.values():
            lane.wake()

    def media_of(self, sender: Sender) -> int:
        """Return how many media a message from this sender can carry."""
        connection = self.connections.get(sender.connection)
        return connection.media if connection is not None else MOST_MEDIA

    def follow(self, sender_sid: str) -> None:
        """Hear that a sender was changed or removed."""
        if sender_sid in self._lanes:
            self._lanes[sender_sid].wake()

    def put(self, message: Message, sender: Sender) -> None:
        """Give a decided message to its sender's lane; one that is there already stays once."""
        if message.sid in self._sids:
            return
        self._sids.add(message.sid)
        lane = self._lane(sender)
        segments = max(message.num_segments, 1)
        doubtful = message.doubt_at is not None
        lane.put(Entry(next(self._places), message.sid, segments, message.due_at, message.expires_at, doubtful))

    async def in_doubt(self, message: Message) -> None:
        """Settle a hand-off that an earlier run of the node left without an outcome, as its connection wants."""
        sender = self._find_sender(message.sender_sid)
        connection = self.connections.get(sender.connection) if sender is not None else None
        policy = connection.doubt if connection is not None else DoubtPolicy.HOLD
        if sender is not None and policy is DoubtPolicy.RETRY:
            # The claim names the earlier run: give it back in that name, then it may be claimed again.
            await self._store.record([Doubted(message.sid, again=True)], message.claim or "", self._clock.now())
            self.put(msgspec.structs.replace(message, doubt_at=self._clock.now()), sender)
        elif connection is not None and policy is DoubtPolicy.QUERY and isinstance(connection.connector, Asks):
            self.inquire(message, submission_of(message, smart=False), connection)
        else:
            await self._store.record([Doubted(message.sid)], message.claim or "", self._clock.now())

    def again(self, message: Message) -> None:
        """Take up a message that its carrier has not, for certain."""
        sender = self._find_sender(message.sender_sid)
        if sender is not None:
            self.put(message, sender)
        else:
            self._recorder.put(Failed(message.sid, 21606))

    async def no_sender(self, message: Message) -> None:
        """Refuse a queued message whose sender was removed meanwhile."""
        self._recorder.put(Doubted(message.sid) if message.doubt_at is not None else Failed(message.sid, 21606))

    async def stop(self, seconds: float = 10.0) -> None:
        """Book nothing more and let what is claimed go; return when all outcomes are in.

        What has none after `seconds` is given up: it is in doubt, and recorded so.
        """
        for lane in self._lanes.values():
            lane.stop()
        if self._tasks:
            _, unanswered = await asyncio.wait(self._tasks, timeout=seconds)
            for lane in self._lanes.values():
                lane.give_up()
            for task in unanswered:
                task.cancel()  # what it holds claimed, and never began, is in doubt at the next start
            if unanswered:
                await asyncio.wait(unanswered)

    def _lane(self, sender: Sender) -> Lane:
        lane = self._lanes.get(sender.sid)
        if lane is None:
            lane = self._lanes[sender.sid] = Lane(sender, self._tools, self._free_at.pop(sender.sid, None))
            task = asyncio.get_running_loop().create_task(lane.run())
            self._tasks.add(task)
            task.add_done_callback(self._ended)
        return lane

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.broken(error)

    async def _claim(self, bookings: Sequence[Booking]) -> Sequence[Sequence[Message]]:
        sids = [sid for booking in bookings for sid in booking.sids]
        free_at = [(b.sender_sid, b.free_at) for b in bookings if b.free_at is not None]
        won = {m.sid: m for m in await self._store.claim(sids, self._run, free_at, self._clock.now())}
        return [[won[sid] for sid in booking.sids if sid in won] for booking in bookings]
