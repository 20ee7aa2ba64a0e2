"""The fourth step: one sender at its rate. reserve -> claim -> wait -> submit -> record.

A lane belongs to one task, which alone books on its throttle. A hand-off is claimed on disk shortly before its slot,
so that waiting in a long queue is never mistaken for a hand-off after a crash; its first byte leaves at the slot, never
before. What comes back is one of five outcomes, and every one of them is recorded. A message that its carrier does not
take now waits on its own, and what is behind it goes on; only a carrier that takes nothing stops the lane.
"""

import asyncio
from collections import deque
from contextlib import suppress
from typing import assert_never

from postdate.connectors.contract import Asks, Submission
from postdate.core.instant import MILLISECOND, SECOND, Instant, Monotonic
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
from postdate.core.spacing import Spacing
from postdate.core.throttle import Throttle
from postdate.core.trail import Kind
from postdate.flow.alarm import Alarm
from postdate.flow.lane_queue import InHand, LaneQueue
from postdate.flow.lane_tools import Booking, Claimed, Entry, LaneTools
from postdate.flow.open_connection import OpenConnection
from postdate.flow.submission import attachments_of, submission_of
from postdate.store.contract import Doubted, Failed, Handed, Result, Returned, StoreError

AHEAD = 40 * MILLISECOND  # a hand-off is claimed at most this long before its slot
MARGIN = 5 * MILLISECOND  # by which a second is longer for a sender than for whoever counts at the carrier
MOST_CLAIMED = 1_024  # in one booking of one lane
QUEUE_SECONDS = 36_000  # a lane's queue holds what its rate carries in ten hours, as Twilio's does
UNLIMITED_QUEUE = 1_000_000  # segments, where the rate is not limited
MOST_SEGMENTS = 255  # of one message
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
        self._queue = LaneQueue(AHEAD)
        self._connection: OpenConnection | None = None  # the one that pauses and setbacks are of
        self._paused_until = Monotonic(0)
        self._setbacks = 0  # in a row, without anything taken
        self._throttle = self._new_throttle(free_at)
        self._spacing = self._new_spacing()
        self._collecting: set[asyncio.Task[None]] = set()
        self._in_hand = InHand(MOST_CLAIMED, self._alarm.wake)
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
        self._queue.push(entry)
        self._alarm.wake()

    def wake(self) -> None:
        """Look at the sender's configuration again."""
        self._alarm.wake()

    def stop(self) -> None:
        """Book nothing more; what is claimed already still goes."""
        self._stopping = True
        self._alarm.wake()

    def give_up(self) -> None:
        """Wait for no more answers: what was begun and has none is in doubt."""
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
        # A wall clock that was ahead when that was kept must not stop the sender: no booking reaches further.
        longest = SECOND + int(MOST_SEGMENTS * SECOND / self.sender.mps)
        return Throttle(self.sender.mps, Monotonic(now + min(wait, longest)))

    def _new_spacing(self) -> Spacing | None:
        # A clock that is moved by hand is exact, and so is whoever counts by it.
        margin = MARGIN if self._clock.longest_wait is not None else 0
        return Spacing(self.sender.mps, margin) if self.sender.mps else None

    def _book(self) -> list[tuple[Monotonic, Entry]]:
        """Reserve slots for what can go shortly; give up what would be too late by its slot."""
        booked: list[tuple[Monotonic, Entry]] = []
        if not self._follow():
            return booked
        now, wall = self._clock.monotonic(), self._clock.now()
        for entry in self._queue.take_expired(wall):
            self._expire(entry)
        connection = self._usable()
        room = self._in_hand.room(connection)
        while connection is not None and len(booked) < room:
            head = self._queue.head(wall)
            if head is None:
                connection.pace.leave(self)
                break
            slot = self._slot(head, now, wall, connection)
            if self._is_astray(head, connection) or (slot <= now + AHEAD and head.expires_at <= wall + (slot - now)):
                self._expire(self._queue.pop())
                continue
            if slot > now + AHEAD:
                break
            booked.append((self._reserve(slot, head.segments, connection), self._queue.pop()))
        return booked

    def _usable(self) -> OpenConnection | None:
        """Return the sender's connection if messages may go now; what another one asked for counts no more."""
        connection = self._tools.connections.get(self.sender.connection)
        if connection is not self._connection:
            if self._connection is not None:
                self._connection.pace.leave(self)
                self._paused_until, self._setbacks = Monotonic(0), 0
                self._queue.hurry()
            self._connection = connection
        return connection if connection is not None and connection.is_usable else None

    @staticmethod
    def _is_astray(entry: Entry, connection: OpenConnection) -> bool:
        """Say whether another carrier may have it already, or this one may not be given it again."""
        if entry.doubt_of is None:
            return False
        return entry.doubt_of not in ("", connection.identity) or connection.doubt is DoubtPolicy.HOLD

    def _slot(self, entry: Entry, now: Monotonic, wall: Instant, connection: OpenConnection) -> Monotonic:
        slot = Monotonic(max(now, now + (entry.due_at - wall), self._paused_until))
        if self._throttle is not None:
            slot = self._throttle.earliest(slot, entry.segments)
        return connection.pace.earliest(slot, entry.segments, self)

    def _reserve(self, slot: Monotonic, segments: int, connection: OpenConnection) -> Monotonic:
        slot = connection.pace.reserve(slot, segments, self)
        return slot if self._throttle is None else self._throttle.reserve(slot, segments)

    def _expire(self, entry: Entry, code: int = 30036) -> None:
        self._finish(entry, Failed(entry.sid, code) if entry.doubt_of is None else Doubted(entry.sid))

    def _next_wake(self) -> Monotonic | None:
        now, wall = self._clock.monotonic(), self._clock.now()
        next_time, head, connection = self._queue.next_time(), self._queue.head(wall), self._usable()
        times = [now + (next_time - wall)] if next_time is not None else []
        if head is not None:
            # What would be too late by its slot is given up when it expires, not when its turn comes.
            times.append(now + (head.expires_at - wall))
            # Whoever opens a connection, or makes room, wakes the lanes; should nobody, they look now and then.
            if connection is not None and self._in_hand.room(connection):
                times.append(self._slot(head, now, wall, connection) - AHEAD)
            else:
                times.append(now + LONGEST_RETRY)
        return Monotonic(min(times)) if times else None

    def _follow(self) -> bool:
        """Take on what was changed in the sender's configuration; refuse everything where it was removed."""
        sender = self._tools.find_sender(self.sender.sid)
        if sender is None:
            for entry in self._queue.take_all():
                self._expire(entry, 21606)
            return False
        was, self.sender = self.sender, sender
        if sender.mps != was.mps:
            if self._throttle is not None and sender.mps:
                self._throttle.change_rate(sender.mps, self._clock.monotonic())
            else:
                self._throttle = self._new_throttle(None)
            if self._spacing is not None and sender.mps:
                self._spacing.change_rate(sender.mps)
            else:
                self._spacing = self._new_spacing()
        return True

    # -- claim, wait, submit -----------------------------------------------------------------------------------------

    async def _carry(self, booked: list[tuple[Monotonic, Entry]]) -> None:
        connection = self._connection
        assert connection is not None
        free_at: Instant | None = None
        if self._throttle is not None:
            now = self._clock.monotonic()
            free_at = Instant(self._clock.now() + (self._throttle.free_at(now) - now))
        sids = tuple(entry.sid for _, entry in booked)
        try:
            won = await self._tools.claim(Booking(self.sender.sid, sids, free_at, connection.identity))
        except StoreError:
            # Nothing was changed: they go back to their places and wait for the store.
            for _, entry in booked:
                self._queue.push(entry)
            self._pause(Monotonic(self._clock.monotonic() + _AFTER_TROUBLE))
            return
        by_sid = {message.sid: message for message in won}
        for _, entry in booked:
            if entry.sid not in by_sid:
                self._finish(entry)  # somebody else's, or settled by now
        claimed = deque(Claimed(slot, e, by_sid[e.sid]) for slot, e in booked if e.sid in by_sid)
        await self._at_their_slots(claimed, connection)

    async def _at_their_slots(self, claimed: deque[Claimed], connection: OpenConnection) -> None:
        while claimed:
            if not await self._until(claimed[0]):
                for one in claimed:
                    self._come_back(one.entry, 0)
                return
            now, wall = self._clock.monotonic(), self._clock.now()
            group: list[Claimed] = []
            while claimed and self._wait_of(claimed[0], now, wall) <= 0:
                one = claimed.popleft()
                if one.entry.expires_at <= wall:  # the claim took that long
                    self._expire(one.entry)
                    continue
                if self._spacing is not None:
                    self._spacing.went(now, one.entry.segments)
                group.append(one)
            if group:
                self._submit(group, connection)

    def _wait_of(self, one: Claimed, now: Monotonic, wall: Instant) -> int:
        """Return how long until it may leave: by its slot, by `SendAt`, and by what left before it."""
        spaced = now if self._spacing is None else self._spacing.earliest(now, one.entry.segments)
        return max(one.slot - now, one.entry.due_at - wall, spaced - now)

    async def _until(self, one: Claimed) -> bool:
        """Wait for the slot by the waiting clock and for `SendAt` by the wall clock: late beats early.

        False where the wall clock was set back so far that the claim is better given up.
        """
        while True:
            now, wall = self._clock.monotonic(), self._clock.now()
            wait = self._wait_of(one, now, wall)
            if wait <= 0:
                return True
            if one.entry.due_at - wall > SECOND:
                return False
            await self._alarm.wait(Monotonic(now + wait))

    def _submit(self, group: list[Claimed], connection: OpenConnection) -> None:
        task = asyncio.get_running_loop().create_task(self._hand_over(group, connection))
        self._in_hand.given(len(group))
        self._collecting.add(task)
        task.add_done_callback(self._collecting.discard)

    async def _hand_over(self, group: list[Claimed], connection: OpenConnection) -> None:
        left = {one.message.sid: one for one in group}
        batch: list[Submission] = []
        traffic, at = connection.traffic, self._clock.now()
        traffic.handed(self._clock.monotonic(), len(group), sum(one.entry.segments for one in group))
        begun = False
        try:
            if self._tools.connections.get(self.sender.connection) is connection and connection.is_usable:
                batch = await self._submissions(left, connection)
            begun = True
            async for submission, outcome in connection.connector.submit(batch):
                self._settle(left.pop(submission.sid), connection, outcome, submission, at)
        finally:
            # A connector that breaks leaves all it has not answered for in doubt, never forgotten; what it was not
            # given (the media could not be read, the connection was changed) has not left us.
            given = {submission.sid: submission for submission in batch} if begun else {}
            for sid, one in left.items():
                if sid in given:
                    self._settle(one, connection, InDoubt("the connector failed"), given[sid], at)
                else:
                    self._in_hand.answered(connection, "Unreachable")
                    self._come_back(one.entry, one.message.attempts, why=Kind.UNREACHABLE)

    async def _submissions(self, group: dict[str, Claimed], connection: OpenConnection) -> list[Submission]:
        """Return what to hand over; what the store cannot give the media of now is left out."""
        tools = self._tools
        batch: list[Submission] = []
        for one in group.values():
            with suppress(StoreError):
                attachments = await attachments_of(tools.store, tools.media_url, one.message)
                smart = tools.is_smart(one.message)
                batch.append(submission_of(one.message, smart, attachments, connection.media))
        return batch

    # -- record ------------------------------------------------------------------------------------------------------

    def _settle(
        self, one: Claimed, connection: OpenConnection, outcome: Outcome, submission: Submission, at: Instant
    ) -> None:
        self._in_hand.answered(connection, type(outcome).__name__)
        entry, attempts = one.entry, one.message.attempts
        match outcome:
            case Accepted(carrier_ref):
                self._setbacks = 0
                self._finish(entry, Handed(entry.sid, connection.identity, carrier_ref, at - one.message.due_at))
            case Refused(code, _) if entry.doubt_of is None or connection.knows_key:
                self._finish(entry, Failed(entry.sid, code))
            case Refused():
                self._finish(entry, Doubted(entry.sid))  # this attempt was not taken; the one before may have been
            case InDoubt(_):
                self._doubt(one, connection, submission)
            case Busy(retry_after, _, this_only):
                if not this_only:
                    self._slow_down(connection, retry_after)
                self._come_back(entry, attempts, retry_after, Kind.BUSY)
            case Unreachable(_):
                self._set_back()
                self._come_back(entry, attempts, why=Kind.UNREACHABLE)
            case _:
                assert_never(outcome)

    def _doubt(self, one: Claimed, connection: OpenConnection, submission: Submission) -> None:
        """Do as the connection's policy says."""
        entry, message = one.entry, one.message
        if connection.doubt is DoubtPolicy.RETRY:
            # The carrier knows our key: the same again does no harm.
            self._come_back(entry._replace(doubt_of=connection.identity), message.attempts)
        elif connection.doubt is DoubtPolicy.QUERY and isinstance(connection.connector, Asks):
            self.segments -= entry.segments
            self._tools.finished(entry.sid)
            self._tools.recorder.put(
                Doubted(entry.sid, again=True),
                lambda: self._tools.inquire(message, submission, connection.identity),
            )
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

    def _come_back(self, entry: Entry, attempt: int, asked: int | None = None, why: Kind = Kind.RETURNED) -> None:
        wall = self._clock.now()
        again = retry_at(wall, max(attempt, 1), asked, self._tools.chance())
        # It has its place again once; what is not taken a second time lets those go first that wait behind it.
        place = entry.place if attempt < 2 else next(self._tools.places)
        later = entry._replace(place=place, due_at=max(entry.due_at, again))
        result = Returned(entry.sid, why) if entry.doubt_of is None else Doubted(entry.sid, again=True)
        self._tools.recorder.put(result, lambda: self._requeue(later))

    def _requeue(self, entry: Entry) -> None:
        self._queue.push_later(entry)
        self._alarm.wake()

    def _pause(self, until: Monotonic) -> None:
        self._paused_until = max(self._paused_until, until)
        self._alarm.wake()

    def _finish(self, entry: Entry, result: Result | None = None) -> None:
        self.segments -= entry.segments
        self._tools.finished(entry.sid)
        if result is not None:
            self._tools.recorder.put(result)
