"""The second step: hold what is due within the horizon, and release it on time.

Timers are read in order from a cursor, up to a horizon, never from the beginning; a timer that is added inside what was
read already comes by `notice`. So the heap holds what is due soon, however much is pending. One alarm, one task.
"""

import heapq
from collections.abc import Awaitable, Callable, Sequence

from postdate.clock import Clock
from postdate.core.instant import SECOND, Instant, Monotonic
from postdate.flow.alarm import Alarm
from postdate.store.contract import BEGINNING, Cursor, Store, StoreError

HORIZON = 60 * SECOND
WAKE_SHARE = 0.9  # woken for what is due at this share of the lead, so that a batch gathers
MOST_RELEASED = 1_024
MOST_READ = 10_000
ROOM = 50_000  # with this many in the heap, nothing more is read
_FAR = Instant(2**62)
_AFTER_TROUBLE = 1 * SECOND

Take = Callable[[Sequence[str]], Awaitable[None]]


class Scheduler:
    """Releases SIDs to `take` in the order of their timers. Owned by one task: `run`."""

    def __init__(self, store: Store, clock: Clock, take: Take, lead: int) -> None:
        self._store = store
        self._clock = clock
        self._take = take
        self._lead = lead  # microseconds before it is due that a message may be released
        self._alarm = Alarm(clock)
        self._heap: list[Cursor] = []
        self._cursor = BEGINNING  # everything up to here was read
        self._reading_to = BEGINNING  # and up to here it is being read right now
        self._next_unread: Instant | None = Instant(0)  # when the first timer beyond it is due; None: there is none
        self._stopping = False

    @property
    def idle(self) -> bool:
        """Say whether it waits for time to pass."""
        return self._alarm.idle

    @property
    def held(self) -> int:
        """Return how many timers are in memory."""
        return len(self._heap)

    def notice(self, timer: Cursor) -> None:
        """Hear of a timer that is on disk now."""
        if timer <= self._cursor or timer <= self._reading_to:
            heapq.heappush(self._heap, timer)
            if self._heap[0] is timer:
                self._alarm.wake()
        elif self._next_unread is None or timer.due_at < self._next_unread:
            self._next_unread = timer.due_at
            self._alarm.wake()

    def stop(self) -> None:
        """Release nothing more; `run` returns."""
        self._stopping = True
        self._alarm.wake()

    async def run(self) -> None:
        """Read and release until stopped."""
        while not self._stopping:
            try:
                await self._read()
                released = await self._release()
            except StoreError:
                # Nothing was changed: what was not released is still in the heap or on disk.
                released = False
                self._next_unread = Instant(0)  # what could not be read is still to be read
                await self._alarm.wait(Monotonic(self._clock.monotonic() + _AFTER_TROUBLE))
            if not released and not self._stopping:
                await self._alarm.wait(self._next_wake())

    async def _read(self) -> None:
        """Read on from the cursor while something beyond it is due within the horizon."""
        while (
            self._next_unread is not None and len(self._heap) < ROOM and self._next_unread < self._clock.now() + HORIZON
        ):
            before = self._cursor
            limit = Instant(self._clock.now() + HORIZON)
            # A `notice` while the read runs may bring a timer that is read too: twice does no harm, not at all would.
            self._reading_to = Cursor(Instant(limit - 1), "~")
            self._next_unread = None
            read = await self._store.due(before, limit, MOST_READ)
            for timer in read:
                heapq.heappush(self._heap, timer)
            if len(read) == MOST_READ:
                self._cursor = read[-1]
                self._unread_at(self._cursor.due_at)
                continue
            self._cursor = max(before, self._reading_to)
            ahead = await self._store.due(self._cursor, _FAR, 1)
            if ahead:
                self._unread_at(ahead[0].due_at)

    def _unread_at(self, due_at: Instant) -> None:
        if self._next_unread is None or due_at < self._next_unread:
            self._next_unread = due_at

    async def _release(self) -> bool:
        """Hand on one batch of what is due within the lead; say whether there was any."""
        now = self._clock.now()
        batch: dict[str, Cursor] = {}
        while self._heap and self._heap[0].due_at <= now + self._lead and len(batch) < MOST_RELEASED:
            timer = heapq.heappop(self._heap)
            batch[timer.sid] = timer
        if not batch:
            return False
        try:
            await self._take(list(batch))
        except StoreError:
            for timer in batch.values():
                heapq.heappush(self._heap, timer)
            raise
        return True

    def _next_wake(self) -> Monotonic | None:
        wakes: list[int] = []
        if self._heap:
            wakes.append(self._heap[0].due_at - int(self._lead * WAKE_SHARE))
        if self._next_unread is not None and len(self._heap) < ROOM:
            wakes.append(self._next_unread - HORIZON // 2)
        if not wakes:
            return None
        return Monotonic(self._clock.monotonic() + max(min(wakes) - self._clock.now(), 0))
