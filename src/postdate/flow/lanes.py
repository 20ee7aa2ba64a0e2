"""The fourth step: one sender at its rate. reserve -> claim -> wait -> submit -> record.

A lane belongs to one task, which alone books on its throttle. A hand-off is claimed on disk shortly before its slot,
so that waiting in a long queue is never mistaken for a hand-off after a crash; its first byte leaves at the slot, never
before. What comes back is one of five outcomes, and every one of them is recorded.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from postdate.clock import Clock
from postdate.connectors.contract import Attachment, Connector, Submission
from postdate.core.instant import MILLISECOND, SECOND, Instant, Monotonic
from postdate.core.message import Message
from postdate.core.outcome import Accepted, Busy, DoubtPolicy, InDoubt, Outcome, Refused, Unreachable, retry_at
from postdate.core.resources import Sender
from postdate.core.sender import channel_of
from postdate.core.smart_encoding import smart_encode
from postdate.core.throttle import Throttle
from postdate.flow.alarm import Alarm
from postdate.flow.group_commit import GroupCommit
from postdate.flow.recorder import Recorder
from postdate.store.contract import Doubted, Failed, Handed, Result, Returned, Store, StoreError

AHEAD = 40 * MILLISECOND  # a hand-off is claimed at most this long before its slot
MOST_CLAIMED = 1_024  # in one booking of one lane
MOST_IN_A_COMMIT = 16  # bookings in one transaction
QUEUE_SECONDS = 36_000  # a lane's queue holds what its rate carries in ten hours, as Twilio's does
UNLIMITED_QUEUE = 1_000_000  # segments, where the rate is not limited
_AFTER_TROUBLE = 1 * SECOND


@dataclass(frozen=True, slots=True)
class Connection:
    """A configured way to a carrier: its connector, and what follows an unknown outcome there."""

    name: str
    connector: Connector
    doubt: DoubtPolicy = DoubtPolicy.HOLD


@dataclass(frozen=True, slots=True)
class Entry:
    """A message in a lane: what the rate and the clock need of it, and no more."""

    sid: str
    segments: int
    due_at: Instant
    expires_at: Instant


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
    connections: Mapping[str, Connection]
    is_smart: Callable[[Message], bool]
    media_url: Callable[[str], str]
    chance: Callable[[], float]
    finished: Callable[[str], None]


class Lane:
    """The queue of one sender. Other tasks only `put`."""

    def __init__(self, sender: Sender, tools: LaneTools, free_at: Instant | None) -> None:
        self.sender = sender
        self._tools = tools
        self._clock = tools.clock
        self._alarm = Alarm(tools.clock)
        self._queue: deque[Entry] = deque()
        self._booked: tuple[Monotonic, Entry] | None = None
        self._paused_until = Monotonic(0)
        self._throttle = self._new_throttle(free_at)
        self._collecting: set[asyncio.Task[None]] = set()
        self._stopping = False
        self.segments = 0  # waiting or in flight

    @property
    def idle(self) -> bool:
        """Say whether the lane waits for time to pass, or for a carrier."""
        return self._alarm.idle

    def has_room(self, segments: int) -> bool:
        """Say whether the queue can take this many segments more."""
        limit = self.sender.mps * QUEUE_SECONDS if self.sender.mps else UNLIMITED_QUEUE
        return self.segments + segments <= limit

    def put(self, entry: Entry) -> None:
        """Add a message at the end."""
        self.segments += entry.segments
        self._queue.append(entry)
        self._alarm.wake()

    def follow(self, sender: Sender) -> None:
        """Take on what was changed in the sender's configuration."""
        if sender is self.sender:
            return
        was, self.sender = self.sender, sender
        if sender.mps != was.mps:
            if self._throttle is not None and sender.mps:
                self._throttle.change_rate(sender.mps, self._clock.monotonic())
            else:
                self._throttle = self._new_throttle(None)
            self._alarm.wake()

    def stop(self) -> None:
        """Book nothing more; what is claimed already still goes."""
        self._stopping = True
        self._alarm.wake()

    async def run(self) -> None:
        """Carry messages until stopped."""
        while not self._stopping:
            booked = self._book()
            if booked:
                await self._carry(booked)
            else:
                await self._alarm.wait(self._next_wake())
        if self._collecting:
            await asyncio.wait(self._collecting)

    # -- reserve -----------------------------------------------------------------------------------------------------

    def _new_throttle(self, free_at: Instant | None) -> Throttle | None:
        if not self.sender.mps:
            return None
        now = self._clock.monotonic()
        wait = max(free_at - self._clock.now(), 0) if free_at is not None else 0
        return Throttle(self.sender.mps, Monotonic(now + wait))

    def _book(self) -> list[tuple[Monotonic, Entry]]:
        """Reserve slots for what can go shortly."""
        booked: list[tuple[Monotonic, Entry]] = []
        now, wall = self._clock.monotonic(), self._clock.now()
        while len(booked) < MOST_CLAIMED:
            if self._booked is None:
                if not self._queue:
                    break
                entry = self._queue.popleft()
                self._booked = (self._reserve(entry, now, wall), entry)
            slot, entry = self._booked
            if entry.expires_at <= wall or (slot <= now + AHEAD and entry.expires_at <= wall + (slot - now)):
                self._finish(entry, Failed(entry.sid, 30036))
            elif slot > now + AHEAD:
                break
            else:
                booked.append((slot, entry))
            self._booked = None
        return booked

    def _reserve(self, entry: Entry, now: Monotonic, wall: Instant) -> Monotonic:
        earliest = Monotonic(max(now, now + (entry.due_at - wall), self._paused_until))
        return earliest if self._throttle is None else self._throttle.reserve(earliest, entry.segments)

    def _next_wake(self) -> Monotonic | None:
        if self._booked is None:
            return None
        slot, entry = self._booked
        # What would be too late by its slot is refused when it expires, not when its turn comes.
        expires = self._clock.monotonic() + (entry.expires_at - self._clock.now())
        return Monotonic(min(slot - AHEAD, expires) if expires < slot else slot - AHEAD)

    # -- claim, wait, submit -----------------------------------------------------------------------------------------

    async def _carry(self, booked: list[tuple[Monotonic, Entry]]) -> None:
        free_at: Instant | None = None
        if self._throttle is not None:
            now = self._clock.monotonic()
            free_at = Instant(self._clock.now() + (self._throttle.free_at(now) - now))
        try:
            won = await self._tools.claims.add(
                Booking(self.sender.sid, tuple(entry.sid for _, entry in booked), free_at)
            )
        except StoreError:
            # Nothing was changed: they go back to the front, in their order, and wait for the store.
            self._queue.extendleft(entry for _, entry in reversed(booked))
            self._pause(Monotonic(self._clock.monotonic() + _AFTER_TROUBLE))
            return
        by_sid = {message.sid: message for message in won}
        claimed: deque[tuple[Monotonic, Entry, Message]] = deque()
        for slot, entry in booked:
            if entry.sid in by_sid:
                claimed.append((slot, entry, by_sid[entry.sid]))
            else:
                self._finish(entry)  # somebody else's, or settled by now
        while claimed:
            await self._until(claimed[0][0], claimed[0][1].due_at)
            now, wall = self._clock.monotonic(), self._clock.now()
            group: list[tuple[Entry, Message]] = []
            while claimed and claimed[0][0] <= now and claimed[0][1].due_at <= wall:
                _, entry, message = claimed.popleft()
                group.append((entry, message))
            if group:
                self._submit(group)

    async def _until(self, slot: Monotonic, due_at: Instant) -> None:
        """Wait for the slot by the waiting clock and for `SendAt` by the wall clock: late beats early."""
        while True:
            now = self._clock.monotonic()
            wait = max(slot - now, due_at - self._clock.now())
            if wait <= 0:
                return
            await self._alarm.wait(Monotonic(now + wait))

    def _submit(self, group: list[tuple[Entry, Message]]) -> None:
        task = asyncio.get_running_loop().create_task(self._hand_over(group))
        self._collecting.add(task)
        task.add_done_callback(self._collecting.discard)

    async def _hand_over(self, group: list[tuple[Entry, Message]]) -> None:
        connection = self._tools.connections.get(self.sender.connection)
        if connection is None:
            for entry, message in group:
                self._come_back(entry, message.attempts, None)
            return
        entries = {message.sid: (entry, message) for entry, message in group}
        batch = [await self._submission(entry, message) for entry, message in group]
        try:
            async for submission, outcome in connection.connector.submit(batch):
                self._settle(*entries.pop(submission.sid), connection, outcome)
        finally:
            # A connector that breaks leaves every message it has not answered for in doubt, never forgotten.
            for entry, message in entries.values():
                self._settle(entry, message, connection, InDoubt("the connector failed"))

    async def _submission(self, entry: Entry, message: Message) -> Submission:
        smart = self._tools.is_smart(message)
        return Submission(
            sid=message.sid,
            attempt=message.attempts,
            sender=message.sender or "",
            recipient=message.recipient,
            channel=channel_of(message.recipient),
            body=smart_encode(message.body) if smart else message.body,
            segments=entry.segments,
            not_before=entry.due_at,
            expires_at=entry.expires_at,
            attachments=await self._attachments(message) if message.media_urls else (),
        )

    async def _attachments(self, message: Message) -> tuple[Attachment, ...]:
        found = [await self._tools.store.medium(row.sid) for row in await self._tools.store.media(message.sid)]
        return tuple(
            Attachment(row.content_type, body, self._tools.media_url(row.sid)) for row, body in filter(None, found)
        )

    # -- record ------------------------------------------------------------------------------------------------------

    def _settle(self, entry: Entry, message: Message, connection: Connection, outcome: Outcome) -> None:
        match outcome:
            case Accepted(carrier_ref):
                self._finish(entry, Handed(entry.sid, connection.name, carrier_ref))
            case Refused(code, _):
                self._finish(entry, Failed(entry.sid, code))
            case InDoubt(_) if connection.doubt is DoubtPolicy.RETRY:
                # The carrier knows our key: the same again does no harm.
                self._come_back(entry, message.attempts, None)
            case InDoubt(_):
                self._finish(entry, Doubted(entry.sid))
            case Busy(retry_after, _):
                self._come_back(entry, message.attempts, retry_after)
            case Unreachable(_):
                self._come_back(entry, message.attempts, None)
            case _:
                assert_never(outcome)

    def _come_back(self, entry: Entry, attempt: int, asked: int | None) -> None:
        wall = self._clock.now()
        again = retry_at(wall, attempt, asked, self._tools.chance())
        self._pause(Monotonic(self._clock.monotonic() + (again - wall)))
        later = replace(entry, due_at=max(entry.due_at, again))
        self._tools.recorder.put(Returned(entry.sid), lambda: self._requeue(later))

    def _requeue(self, entry: Entry) -> None:
        self._queue.appendleft(entry)
        self._alarm.wake()

    def _pause(self, until: Monotonic) -> None:
        self._paused_until = max(self._paused_until, until)
        self._alarm.wake()

    def _finish(self, entry: Entry, result: Result | None = None) -> None:
        self.segments -= entry.segments
        self._tools.finished(entry.sid)
        if result is not None:
            self._tools.recorder.put(result)


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
        self._tasks: set[asyncio.Task[None]] = set()
        self._tools: LaneTools
        self.connections: dict[str, Connection] = {}

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
            self._store, self._clock, self._claims, self._recorder, self.connections, is_smart, media_url, chance,
            self._sids.discard,
        )  # fmt: skip

    def has_room(self, sender: Sender, segments: int) -> bool:
        """Say whether the sender's queue can take this many segments more."""
        lane = self._lanes.get(sender.sid)
        return lane is None or lane.has_room(segments)

    def put(self, message: Message, sender: Sender) -> None:
        """Give a decided message to its sender's lane; one that is there already stays once."""
        if message.sid in self._sids:
            return
        self._sids.add(message.sid)
        lane = self._lane(sender)
        lane.follow(sender)
        segments = max(message.num_segments, 1)
        lane.put(Entry(message.sid, segments, message.due_at, message.expires_at))

    async def in_doubt(self, message: Message) -> None:
        """Settle a hand-off that an earlier run of the node left without an outcome, as its connection wants."""
        sender = self._find_sender(message.sender_sid)
        connection = self.connections.get(sender.connection) if sender is not None else None
        if sender is not None and connection is not None and connection.doubt is DoubtPolicy.RETRY:
            # The claim names the earlier run: give it back in that name, then it may be claimed again.
            await self._store.record([Returned(message.sid)], message.claim or "", self._clock.now())
            self.put(message, sender)
        else:
            await self._store.record([Doubted(message.sid)], message.claim or "", self._clock.now())

    async def no_sender(self, message: Message) -> None:
        """Refuse a queued message whose sender was removed meanwhile."""
        self._recorder.put(Failed(message.sid, 21606))

    async def stop(self) -> None:
        """Book nothing more and let what is claimed go; return when all outcomes are in."""
        for lane in self._lanes.values():
            lane.stop()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _lane(self, sender: Sender) -> Lane:
        lane = self._lanes.get(sender.sid)
        if lane is None:
            lane = self._lanes[sender.sid] = Lane(sender, self._tools, self._free_at.pop(sender.sid, None))
            task = asyncio.get_running_loop().create_task(lane.run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return lane

    async def _claim(self, bookings: Sequence[Booking]) -> Sequence[Sequence[Message]]:
        sids = [sid for booking in bookings for sid in booking.sids]
        free_at = [(b.sender_sid, b.free_at) for b in bookings if b.free_at is not None]
        won = {m.sid: m for m in await self._store.claim(sids, self._run, free_at, self._clock.now())}
        return [[won[sid] for sid in booking.sids if sid in won] for booking in bookings]
