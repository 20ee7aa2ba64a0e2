"""All lanes of a node: which there are, what they share, and what becomes of hand-offs that an earlier run left."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from postdate.clock import Clock
from postdate.connectors.contract import Asks, Submission
from postdate.core.claim import claim_by, connection_of, freed, held, run_of
from postdate.core.instant import Instant
from postdate.core.message import Message
from postdate.core.outcome import DoubtPolicy
from postdate.core.resources import Sender
from postdate.flow.group_commit import GroupCommit
from postdate.flow.lane import Lane, queue_limit
from postdate.flow.lane_tools import Booking, Entry, LaneTools
from postdate.flow.open_connection import MOST_MEDIA, OpenConnection
from postdate.flow.recorder import Recorder
from postdate.flow.submission import attachments_of, submission_of
from postdate.store.contract import Doubted, Failed, Store, StoreError

Inquire = Callable[[Message, Submission, str], None]  # of the connection with this identity

MOST_IN_A_COMMIT = 16  # bookings in one transaction
_LAST_SECONDS = 0.5


async def _nothing() -> None:
    """Close no connectors: they are somebody else's to close."""


class Lanes:
    """All lanes of this node, made as they are needed."""

    def __init__(self, store: Store, clock: Clock, recorder: Recorder, run: str) -> None:
        self._store = store
        self._clock = clock
        self._run = run
        self._recorder = recorder
        self._claims: dict[str, GroupCommit[Booking, Sequence[Message]]] = {}  # by the connection they are for
        self._lanes: dict[str, Lane] = {}
        self._free_at: dict[str, Instant] = {}
        self._sids: set[str] = set()
        self._places = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()
        self._tools: LaneTools
        self.connections: dict[str, OpenConnection] = {}
        # Told of a hand-off without an outcome whose carrier can be asked about it.
        self.inquire: Inquire = lambda message, submission, connection: None
        # The policy of a connection that is configured and not open now, by its identity; None where there is none.
        self.policy_of: Callable[[str], DoubtPolicy | None] = lambda identity: None
        self.may_send: Callable[[str], bool] = lambda account_sid: True
        self.media_of_closed: Callable[[str], int] = lambda name: MOST_MEDIA
        self._unopened: dict[str, list[Message]] = {}  # in doubt, until the connection of that identity opens
        self._settling: set[asyncio.Task[None]] = set()
        self._stopping = False
        self.broken: Callable[[BaseException], None] = lambda error: None  # told when a lane cannot go on

    @property
    def idle(self) -> bool:
        """Say whether every lane waits for time to pass, or for a carrier."""
        claiming = any(not claims.idle for claims in self._claims.values())
        return not claiming and not self._settling and all(lane.idle for lane in self._lanes.values())

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
            self._store, self._clock, self._claim, self._recorder, self.connections, find_sender, is_smart, media_url,
            chance, self._sids.discard, lambda *doubt: self.inquire(*doubt), self._places,
        )  # fmt: skip

    def has_room(self, sender: Sender, segments: int) -> bool:
        """Say whether the sender's queue can take this many segments more."""
        lane = self._lanes.get(sender.sid)
        return segments <= queue_limit(sender) if lane is None else lane.has_room(segments)

    def segments_of(self, sender_sid: str) -> int:
        """Return how many segments wait for a sender, or are in flight."""
        lane = self._lanes.get(sender_sid)
        return lane.segments if lane is not None else 0

    def use(self, connection: OpenConnection) -> None:
        """Hand messages over to this connection from now on, under its name; settle the doubts that waited for it."""
        self.connections[connection.name] = connection
        self.wake()
        for message in self._unopened.pop(connection.identity, ()):
            task = asyncio.get_running_loop().create_task(self.in_doubt(message))
            self._settling.add(task)
            task.add_done_callback(self._settled)

    def leave(self, name: str) -> None:
        """Hand nothing more over to the connection of this name; its senders' messages wait."""
        self.connections.pop(name, None)

    def find(self, identity: str) -> OpenConnection | None:
        """Return the connection that messages and references remember as this, if it is open."""
        return next((one for one in self.connections.values() if one.identity == identity), None)

    def wake(self) -> None:
        """Hear that a connection may be usable now, or not any more."""
        for lane in self._lanes.values():
            lane.wake()

    def media_of(self, sender: Sender) -> int:
        """Return how many media a message from this sender can carry."""
        connection = self.connections.get(sender.connection)
        return connection.media if connection is not None else self.media_of_closed(sender.connection)

    def follow(self, sender_sid: str) -> None:
        """Hear that a sender was changed or removed."""
        if sender_sid in self._lanes:
            self._lanes[sender_sid].wake()

    def put(self, message: Message, sender: Sender) -> None:
        """Give a decided message to its sender's lane; one that is there already stays once."""
        if message.sid in self._sids or self._stopping:
            return
        self._sids.add(message.sid)
        lane = self._lane(sender)
        segments = max(message.num_segments, 1)
        due_at, doubt_of = message.due_at, connection_of(message.claim) if message.doubt_at is not None else None
        place = next(self._places)
        lane.put(Entry(place, message.sid, segments, due_at, message.expires_at, due_at, doubt_of))

    async def in_doubt(self, message: Message) -> None:
        """Settle a hand-off that an earlier run of the node left without an outcome, as its connection wants.

        Its connection is the one that it was handed to, whatever its sender goes out by now. One that is not open yet
        is waited for.
        """
        identity = connection_of(message.claim)
        sender = self._find_sender(message.sender_sid)
        current = self.connections.get(sender.connection) if sender is not None else None
        connection = self.find(identity) if identity else current
        if connection is None and self.policy_of(identity) is not None:
            self._unopened.setdefault(identity, []).append(message)
            return
        policy = connection.doubt if connection is not None else DoubtPolicy.HOLD
        if policy is DoubtPolicy.RETRY and sender is not None and connection is current:
            doubted = await self._doubt(message, again=True)
            self.put(doubted, sender)
        elif policy is DoubtPolicy.QUERY and connection is not None and isinstance(connection.connector, Asks):
            attachments = await attachments_of(self._store, self._tools.media_url, message)
            submission = submission_of(message, self._tools.is_smart(message), attachments, connection.media)
            self.inquire(await self._doubt(message, again=True), submission, connection.identity)
        else:
            await self._doubt(message, again=False)

    async def _doubt(self, message: Message, *, again: bool) -> Message:
        """Record the doubt in the name of the run that had the message; return it as it stands now."""
        at = self._clock.now()
        await self._store.record([Doubted(message.sid, again)], run_of(message.claim), at)
        claim = freed(message.claim) if again else held(message.claim)
        return msgspec.structs.replace(message, claim=claim, doubt_at=message.doubt_at or at)

    def again(self, message: Message) -> None:
        """Take up a message that its carrier has not, for certain."""
        sender = self._find_sender(message.sender_sid)
        if sender is not None:
            self.put(message, sender)
        else:
            self._recorder.put(Doubted(message.sid))

    async def no_sender(self, message: Message) -> None:
        """Refuse a queued message whose sender was removed meanwhile."""
        self._recorder.put(Doubted(message.sid) if message.doubt_at is not None else Failed(message.sid, 21606))

    async def stop(self, seconds: float = 10.0, close_connectors: Callable[[], Awaitable[None]] = _nothing) -> None:
        """Book nothing more and let what is claimed go; return when all outcomes are in.

        After `seconds` the connectors are closed, which answer truthfully for what they hold. What has no answer then
        is given up: in doubt where it was begun, waiting where it was not.
        """
        self._stopping = True
        for lane in self._lanes.values():
            lane.stop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        if self._tasks:
            await close_connectors()
            await asyncio.wait(self._tasks, timeout=_LAST_SECONDS)
        for lane in self._lanes.values():
            lane.give_up()
        unanswered = set(self._tasks)
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

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._settling.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, StoreError):
            self.broken(error)

    async def _claim(self, booking: Booking) -> Sequence[Message]:
        """Return what was won of a booking; those of one connection share a transaction."""
        claims = self._claims.get(booking.connection)
        if claims is None:
            claim = claim_by(self._run, booking.connection)
            claims = self._claims[booking.connection] = GroupCommit(
                lambda bookings: self._claim_all(bookings, claim), MOST_IN_A_COMMIT
            )
        return await claims.add(booking)

    async def _claim_all(self, bookings: Sequence[Booking], claim: str) -> Sequence[Sequence[Message]]:
        sids = [sid for booking in bookings for sid in booking.sids]
        free_at = [(b.sender_sid, b.free_at) for b in bookings if b.free_at is not None]
        claimed = await self._store.claim(sids, claim, free_at, self._clock.now(), self.may_send)
        won = {message.sid: message for message in claimed}
        return [[won[sid] for sid in booking.sids if sid in won] for booking in bookings]
