"""The fourth step: one sender at its rate. reserve -> claim -> wait -> submit -> record.

A lane belongs to one task, which alone books on its throttle. A hand-off is claimed on disk shortly before its slot,
so that waiting in a long queue is never mistaken for a hand-off after a crash; its first byte leaves at the slot, never
before. What comes back is one of five outcomes, and every one of them is recorded.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, assert_never

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
QUEUE_SECONDS = 36_000  # a lane's queue holds what its rate carries in ten hours, as Twilio's does
UNLIMITED_QUEUE = 1_000_000  # segments, where the rate is not limited
_AFTER_TROUBLE = 1 * SECOND


@dataclass(frozen=True, slots=True)
class Connection:
    """A configured way to a carrier: its connector, and what follows an unknown outcome there."""

    name: str
    connector: Connector
    doubt: DoubtPolicy = DoubtPolicy.HOLD


class Entry(NamedTuple):
    """A message in a lane: its place in the queue, and what the rate and the clock need of it."""

    place: int
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
    find_sender: Callable[[str | None], Sender | None]
    is_smart: Callable[[Message], bool]
    media_url: Callable[[str], str]
    chance: Callable[[], float]
    finished: Callable[[str], None]


def queue_limit(sender: Sender) -> float:
    """Return how many segments may wait for a sender."""
    return sender.mps * QUEUE_SECONDS if sender.mps else UNLIMITED_QUEUE


class Lane:
    """The queue of one sender. Other tasks only `put`."""

    def __init__(self, sender: Sender, tools: LaneTools, free_at: Instant | None) -> None:
        self.sender = sender
        self._tools = tools
        self._clock = tools.clock
        self._alarm = Alarm(tools.clock)
        self._queue: list[Entry] = []  # a heap: first in, first out, and what comes back has its place again
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
        return self.segments + segments <= queue_limit(self.sender)

    def put(self, entry: Entry) -> None:
        """Add a message at the end."""
        self.segments += entry.segments
        heapq.heappush(self._queue, entry)
        self._alarm.wake()

    def wake(self) -> None:
        """Look at the sender's configuration again."""
        self._alarm.wake()

    def stop(self) -> None:
        """Book nothing more; what is claimed already still goes."""
        self._stopping = True
        self._alarm.wake()

    def give_up(self) -> None:
        """Wait for no more answers: what has none is in doubt."""
        for task in self._collecting:
            task.cancel()

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
        """Reserve slots for what can go shortly; refuse what would be too late by its slot."""
        booked: list[tuple[Monotonic, Entry]] = []
        if not self._follow():
            return booked
        now, wall = self._clock.monotonic(), self._clock.now()
        while self._queue and len(booked) < MOST_CLAIMED:
            entry = self._queue[0]
            slot = self._slot(entry, now, wall)
            if entry.expires_at <= wall or (slot <= now + AHEAD and entry.expires_at <= wall + (slot - now)):
                self._finish(heapq.heappop(self._queue), Failed(entry.sid, 30036))
                continue
            if slot > now + AHEAD:
                break
            if self._throttle is not None:
                slot = self._throttle.reserve(slot, entry.segments)
            booked.append((slot, heapq.heappop(self._queue)))
        return booked

    def _slot(self, entry: Entry, now: Monotonic, wall: Instant) -> Monotonic:
        earliest = Monotonic(max(now, now + (entry.due_at - wall), self._paused_until))
        return earliest if self._throttle is None else self._throttle.earliest(earliest, entry.segments)

    def _next_wake(self) -> Monotonic | None:
        if not self._queue:
            return None
        now, wall = self._clock.monotonic(), self._clock.now()
        slot = self._slot(self._queue[0], now, wall)
        # What would be too late by its slot is refused when it expires, not when its turn comes.
        return Monotonic(min(slot - AHEAD, now + (self._queue[0].expires_at - wall)))

    def _follow(self) -> bool:
        """Take on what was changed in the sender's configuration; refuse everything where it was removed."""
        sender = self._tools.find_sender(self.sender.sid)
        if sender is None:
            while self._queue:
                entry = heapq.heappop(self._queue)
                self._finish(entry, Failed(entry.sid, 21606))
            return False
        was, self.sender = self.sender, sender
        if sender.mps != was.mps:
            if self._throttle is not None and sender.mps:
                self._throttle.change_rate(sender.mps, self._clock.monotonic())
            else:
                self._throttle = self._new_throttle(None)
        return True

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
            # Nothing was changed: they go back to their places and wait for the store.
            for _, entry in booked:
                heapq.heappush(self._queue, entry)
            self._pause(Monotonic(self._clock.monotonic() + _AFTER_TROUBLE))
            return
        by_sid = {message.sid: message for message in won}
        for _, entry in booked:
            if entry.sid not in by_sid:
                self._finish(entry)  # somebody else's, or settled by now
        await self._at_their_slots(deque((slot, e, by_sid[e.sid]) for slot, e in booked if e.sid in by_sid))

    async def _at_their_slots(self, claimed: deque[tuple[Monotonic, Entry, Message]]) -> None:
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
        batch = await self._submissions(entries)
        try:
            async for submission, outcome in connection.connector.submit(batch):
                self._settle(*entries.pop(submission.sid), connection, outcome)
        finally:
            # A connector that breaks leaves every message it has not answered for in doubt, never forgotten.
            for entry, message in entries.values():
                self._settle(entry, message, connection, InDoubt("the connector failed"))

    async def _submissions(self, entries: dict[str, tuple[Entry, Message]]) -> list[Submission]:
        """Return what to hand over; what the store cannot give the media of now comes back later."""
        batch: list[Submission] = []
        for entry, message in list(entries.values()):
            try:
                batch.append(await self._submission(entry, message))
            except StoreError:
                del entries[message.sid]
                self._come_back(entry, message.attempts, None)
        return batch

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
        later = entry._replace(due_at=max(entry.due_at, again))
        self._tools.recorder.put(Returned(entry.sid), lambda: self._requeue(later))

    def _requeue(self, entry: Entry) -> None:
        heapq.heappush(self._queue, entry)
        self._alarm.wake()

    def _pause(self, until: Monotonic) -> None:
        self._paused_until = max(self._paused_until, until)
        self._alarm.wake()

    def _finish(self, entry: Entry, result: Result | None = None) -> None:
        self.segments -= entry.segments
        self._tools.finished(entry.sid)
        if result is not None:
            self._tools.recorder.put(result)
