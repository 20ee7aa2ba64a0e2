"""The fourth step: one sender at its rate. reserve -> claim -> wait -> submit -> record.

A lane belongs to one task, which alone books on its throttle. A hand-off is claimed on disk shortly before its slot,
so that waiting in a long queue is never mistaken for a hand-off after a crash; its first byte leaves at the slot, never
before. What comes back is one of five outcomes, and every one of them is recorded. A message that its carrier does not
take now waits on its own, and what is behind it goes on; only a carrier that takes nothing stops the lane.
"""

import asyncio
import heapq
from collections import deque
from typing import assert_never

import msgspec

from postdate.connectors.contract import Asks, Attachment, Submission
from postdate.core.instant import MILLISECOND, SECOND, Instant, Monotonic
from postdate.core.message import Message
from postdate.core.outcome import (
    FIRST_RETRY,
    LONGEST_RETRY,
    Accepted,
    Busy,
    DoubtPolicy,
    InDoubt,
    Outcome,
    Refused,
    Unreachable,
    retry_at,
)
from postdate.core.resources import Sender
from postdate.core.throttle import Throttle
from postdate.flow.alarm import Alarm
from postdate.flow.lane_tools import Booking, Entry, LaneTools
from postdate.flow.open_connection import OpenConnection
from postdate.flow.submission import submission_of, with_links
from postdate.store.contract import Doubted, Failed, Handed, Result, Returned, StoreError

AHEAD = 40 * MILLISECOND  # a hand-off is claimed at most this long before its slot
MOST_CLAIMED = 1_024  # in one booking of one lane
QUEUE_SECONDS = 36_000  # a lane's queue holds what its rate carries in ten hours, as Twilio's does
UNLIMITED_QUEUE = 1_000_000  # segments, where the rate is not limited
_AFTER_TROUBLE = 1 * SECOND


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
        self._later: list[tuple[Instant, Entry]] = []  # a heap: what may go again then, or expires then
        self._paused_until = Monotonic(0)
        self._setbacks = 0  # in a row, without anything taken
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
        """Reserve slots for what can go shortly; give up what would be too late by its slot."""
        booked: list[tuple[Monotonic, Entry]] = []
        if not self._follow():
            return booked
        now, wall = self._clock.monotonic(), self._clock.now()
        while self._later and self._later[0][0] <= wall + AHEAD:
            heapq.heappush(self._queue, heapq.heappop(self._later)[1])
        connection = self._usable()
        while self._queue and len(booked) < MOST_CLAIMED:
            entry = self._queue[0]
            if entry.expires_at <= wall:
                self._expire(heapq.heappop(self._queue))
                continue
            slot = self._slot(entry, now, wall, connection) if connection is not None else None
            if slot is None or slot > now + AHEAD:
                break
            if entry.expires_at <= wall + (slot - now):
                self._expire(heapq.heappop(self._queue))
                continue
            booked.append((self._reserve(slot, entry.segments, connection), heapq.heappop(self._queue)))
        return booked

    def _usable(self) -> OpenConnection | None:
        connection = self._tools.connections.get(self.sender.connection)
        return connection if connection is not None and connection.is_usable else None

    def _slot(self, entry: Entry, now: Monotonic, wall: Instant, connection: OpenConnection) -> Monotonic:
        slot = Monotonic(max(now, now + (entry.due_at - wall), self._paused_until))
        if self._throttle is not None:
            slot = self._throttle.earliest(slot, entry.segments)
        return connection.pace.earliest(slot, entry.segments)

    def _reserve(self, slot: Monotonic, segments: int, connection: OpenConnection | None) -> Monotonic:
        if connection is not None:
            slot = connection.pace.reserve(slot, segments)
        return slot if self._throttle is None else self._throttle.reserve(slot, segments)

    def _expire(self, entry: Entry) -> None:
        self._finish(entry, Doubted(entry.sid) if entry.doubtful else Failed(entry.sid, 30036))

    def _next_wake(self) -> Monotonic | None:
        now, wall = self._clock.monotonic(), self._clock.now()
        times = [now + (self._later[0][0] - wall) - AHEAD] if self._later else []
        if self._queue:
            entry, connection = self._queue[0], self._usable()
            # What would be too late by its slot is given up when it expires, not when its turn comes.
            times.append(now + (entry.expires_at - wall))
            # Whoever opens a connection wakes the lanes; should nobody, they look by themselves now and then.
            slot = now + LONGEST_RETRY if connection is None else self._slot(entry, now, wall, connection) - AHEAD
            times.append(slot)
        return Monotonic(min(times)) if times else None

    def _follow(self) -> bool:
        """Take on what was changed in the sender's configuration; refuse everything where it was removed."""
        sender = self._tools.find_sender(self.sender.sid)
        if sender is None:
            for entry in (*self._queue, *(entry for _, entry in self._later)):
                self._finish(entry, Doubted(entry.sid) if entry.doubtful else Failed(entry.sid, 21606))
            self._queue.clear()
            self._later.clear()
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
            if not await self._until(claimed[0][0], claimed[0][1].due_at):
                for _, entry, _ in claimed:
                    self._give_back(entry)
                return
            now, wall = self._clock.monotonic(), self._clock.now()
            group: list[tuple[Entry, Message]] = []
            while claimed and claimed[0][0] <= now and claimed[0][1].due_at <= wall:
                _, entry, message = claimed.popleft()
                group.append((entry, message))
            if group:
                self._submit(group)

    async def _until(self, slot: Monotonic, due_at: Instant) -> bool:
        """Wait for the slot by the waiting clock and for `SendAt` by the wall clock: late beats early.

        False where the lane is being stopped and the time is far, because the wall clock was set back.
        """
        while True:
            now = self._clock.monotonic()
            wait = max(slot - now, due_at - self._clock.now())
            if wait <= 0:
                return True
            if self._stopping and wait > SECOND:
                return False
            await self._alarm.wait(Monotonic(now + wait))

    def _give_back(self, entry: Entry) -> None:
        self._finish(entry, Doubted(entry.sid, again=True) if entry.doubtful else Returned(entry.sid))

    def _submit(self, group: list[tuple[Entry, Message]]) -> None:
        task = asyncio.get_running_loop().create_task(self._hand_over(group))
        self._collecting.add(task)
        task.add_done_callback(self._collecting.discard)

    async def _hand_over(self, group: list[tuple[Entry, Message]]) -> None:
        connection = self._tools.connections.get(self.sender.connection)
        if connection is None:
            for entry, message in group:
                self._come_back(entry, message.attempts)
            return
        entries = {message.sid: (entry, message) for entry, message in group}
        batch = await self._submissions(entries, connection)
        traffic = connection.traffic
        traffic.handed(self._clock.monotonic(), len(entries), sum(entry.segments for entry, _ in entries.values()))
        try:
            async for submission, outcome in connection.connector.submit(batch):
                self._settle(*entries.pop(submission.sid), connection, outcome, submission)
        finally:
            # A connector that breaks leaves every message it has not answered for in doubt, never forgotten.
            left = {submission.sid: submission for submission in batch}
            for entry, message in entries.values():
                self._settle(entry, message, connection, InDoubt("the connector failed"), left[message.sid])

    async def _submissions(
        self, entries: dict[str, tuple[Entry, Message]], connection: OpenConnection
    ) -> list[Submission]:
        """Return what to hand over; what the store cannot give the media of now comes back later."""
        batch: list[Submission] = []
        for entry, message in list(entries.values()):
            try:
                attachments = await self._attachments(message) if message.media_urls else ()
            except StoreError:
                del entries[message.sid]
                self._come_back(entry, message.attempts)
                continue
            smart = self._tools.is_smart(message)
            if len(attachments) > connection.media:
                message = msgspec.structs.replace(message, body=with_links(message.body, attachments))
                attachments = ()
            batch.append(submission_of(message, smart, attachments))
        return batch

    async def _attachments(self, message: Message) -> tuple[Attachment, ...]:
        found = [await self._tools.store.medium(row.sid) for row in await self._tools.store.media(message.sid)]
        return tuple(
            Attachment(row.content_type, body, self._tools.media_url(row.sid)) for row, body in filter(None, found)
        )

    # -- record ------------------------------------------------------------------------------------------------------

    def _settle(
        self,
        entry: Entry,
        message: Message,
        connection: OpenConnection,
        outcome: Outcome,
        submission: Submission,
    ) -> None:
        connection.traffic.answered(type(outcome).__name__)
        match outcome:
            case Accepted(carrier_ref):
                self._setbacks = 0
                self._finish(entry, Handed(entry.sid, connection.name, carrier_ref))
            case Refused(code, _):
                self._finish(entry, Failed(entry.sid, code))
            case InDoubt(_):
                self._doubt(entry, message, connection, submission)
            case Busy(retry_after, _, this_only):
                if not this_only:
                    self._slow_down(connection, retry_after)
                self._come_back(entry, message.attempts, retry_after)
            case Unreachable(_):
                self._set_back()
                self._come_back(entry, message.attempts)
            case _:
                assert_never(outcome)

    def _doubt(self, entry: Entry, message: Message, connection: OpenConnection, submission: Submission) -> None:
        """Do as the connection's policy says."""
        if connection.doubt is DoubtPolicy.RETRY:
            # The carrier knows our key: the same again does no harm.
            self._come_back(entry._replace(doubtful=True), message.attempts)
        elif connection.doubt is DoubtPolicy.QUERY and isinstance(connection.connector, Asks):
            self._finish(entry)
            self._tools.inquire(message, submission, connection)
        else:
            self._finish(entry, Doubted(entry.sid))

    def _slow_down(self, connection: OpenConnection, retry_after: int | None) -> None:
        """Leave the sender alone for as long as its carrier asks; does it not say, go slower on the connection."""
        now = self._clock.monotonic()
        if retry_after is None:
            connection.pace.throttled(now)
        else:
            self._pause(Monotonic(now + max(retry_after, FIRST_RETRY)))

    def _set_back(self) -> None:
        """The carrier cannot be reached: leave it alone, longer each time until something is taken."""
        now, wall = self._clock.monotonic(), self._clock.now()
        if now >= self._paused_until:  # of a group that fails together the first alone counts
            self._setbacks += 1
            self._pause(Monotonic(now + (retry_at(wall, self._setbacks, None, self._tools.chance()) - wall)))

    def _come_back(self, entry: Entry, attempt: int, asked: int | None = None) -> None:
        wall = self._clock.now()
        again = retry_at(wall, attempt, asked, self._tools.chance())
        # It has its place again once; what is not taken a second time lets those go first that wait behind it.
        place = entry.place if attempt < 2 else next(self._tools.places)
        later = entry._replace(place=place, due_at=max(entry.due_at, again))
        result = Doubted(entry.sid, again=True) if entry.doubtful else Returned(entry.sid)
        self._tools.recorder.put(result, lambda: self._requeue(later))

    def _requeue(self, entry: Entry) -> None:
        heapq.heappush(self._later, (min(entry.due_at, entry.expires_at), entry))
        self._alarm.wake()

    def _pause(self, until: Monotonic) -> None:
        self._paused_until = max(self._paused_until, until)
        self._alarm.wake()

    def _finish(self, entry: Entry, result: Result | None = None) -> None:
        self.segments -= entry.segments
        self._tools.finished(entry.sid)
        if result is not None:
            self._tools.recorder.put(result)
