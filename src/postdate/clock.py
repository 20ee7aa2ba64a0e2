"""The one place that reads a clock or waits for one.

`SystemClock` is the machine's. `TestClock` starts where it is told and can be advanced and frozen: everything that
waits does so through `call_at`, so that three days pass in milliseconds and in order. Wall time and waiting time come
from the same clock but are different types; wall time may jump, waiting time never does.
"""

import asyncio
import heapq
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from postdate.core.instant import SECOND, Instant, Monotonic


class Timer(Protocol):
    """Something that will happen unless it is called off."""

    def cancel(self) -> None:
        """Make it not happen."""


class Clock(Protocol):
    """Wall time, waiting time, and a way to be called later."""

    # No wait may be longer than this, so that a jump of the wall clock is noticed; None where it cannot jump.
    longest_wait: int | None

    def now(self) -> Instant:
        """Return the wall time."""

    def monotonic(self) -> Monotonic:
        """Return the waiting time."""

    def call_at(self, when: Monotonic, callback: Callable[[], None]) -> Timer:
        """Call `callback` on the loop at `when` or soon after, never before."""


class SystemClock:
    """The machine's clock."""

    longest_wait: int | None = 1 * SECOND

    def now(self) -> Instant:
        """Return the wall time."""
        return Instant(time.time_ns() // 1_000)

    def monotonic(self) -> Monotonic:
        """Return the waiting time."""
        return Monotonic(time.monotonic_ns() // 1_000)

    def call_at(self, when: Monotonic, callback: Callable[[], None]) -> Timer:
        """Call `callback` at `when`; the loop's timers may fire a little early, so the caller looks again."""
        wait = (when - self.monotonic()) / SECOND
        return asyncio.get_running_loop().call_later(max(wait, 0.0), callback)


class _Entry:
    __slots__ = ("callback", "called_off")

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.called_off = False

    def cancel(self) -> None:
        self.called_off = True


class TestClock:
    """A clock that can be moved: `advance_to` runs all that would have happened on the way, in order.

    It runs with the machine's clock until frozen. It never goes back.
    """

    __test__ = False  # not a test class, whatever pytest thinks of its name
    longest_wait: int | None = None

    def __init__(self, start: Instant, frozen: bool = False) -> None:
        self._system = SystemClock()
        at = self._system.monotonic()
        self._wall_offset = start - at
        self._frozen_at: Monotonic | None = at if frozen else None
        self._entries: list[tuple[Monotonic, int, _Entry]] = []
        self._order = itertools.count()
        self._real: tuple[Monotonic, asyncio.TimerHandle] | None = None
        self._advancing = asyncio.Lock()
        self._runs_after = False
        self._skipped = 0  # how far ahead of the machine's waiting time this clock is

    @property
    def frozen(self) -> bool:
        """Say whether time stands still."""
        return self._frozen_at is not None

    def now(self) -> Instant:
        """Return the wall time."""
        return Instant(self.monotonic() + self._wall_offset)

    def monotonic(self) -> Monotonic:
        """Return the waiting time."""
        if self._frozen_at is not None:
            return self._frozen_at
        return Monotonic(self._system.monotonic() + self._skipped)

    def call_at(self, when: Monotonic, callback: Callable[[], None]) -> Timer:
        """Call `callback` once this clock has reached `when`."""
        entry = _Entry(callback)
        heapq.heappush(self._entries, (when, next(self._order), entry))
        self._arm()
        return entry

    def freeze(self) -> None:
        """Stop time until `resume`."""
        self._runs_after = False
        self._frozen_at = self.monotonic()

    def resume(self) -> None:
        """Let time run with the machine's clock again, from where it stands."""
        if self._advancing.locked():
            self._runs_after = True  # whoever is moving it still needs it to stand still
        elif self._frozen_at is not None:
            self._skipped = self._frozen_at - self._system.monotonic()
            self._frozen_at = None
            self._disarm()
            self._arm()

    async def advance_to(self, target: Instant, settle: Callable[[], Awaitable[None]]) -> None:
        """Move to `target`, stopping at every timer on the way until `settle` says all is quiet.

        Raises ValueError where `target` is in this clock's past.
        """
        if target < self.now():
            raise ValueError("a test clock never goes back")
        try:
            async with self._advancing:  # one at a time: a second one goes on from where the first has left it
                runs = not self.frozen
                self.freeze()
                self._runs_after = runs
                await self._run_to(Monotonic(target - self._wall_offset), settle)
        finally:
            if self._runs_after:
                self.resume()

    async def _run_to(self, end: Monotonic, settle: Callable[[], Awaitable[None]]) -> None:
        await settle()
        while (when := self._next()) is not None and when <= end:
            self._move(when)
            await settle()
        self._move(end)
        await settle()

    def _move(self, when: Monotonic) -> None:
        assert self._frozen_at is not None
        self._frozen_at = max(self._frozen_at, when)
        self._fire()

    def _next(self) -> Monotonic | None:
        while self._entries and self._entries[0][2].called_off:
            heapq.heappop(self._entries)
        return self._entries[0][0] if self._entries else None

    def _fire(self) -> None:
        while (when := self._next()) is not None and when <= self.monotonic():
            heapq.heappop(self._entries)[2].callback()

    def _arm(self) -> None:
        when = self._next()
        if when is None or self.frozen:
            return
        if self._real is not None:
            if self._real[0] <= when:
                return
            self._disarm()
        wait = max((when - self.monotonic()) / SECOND, 0.0)
        self._real = (when, asyncio.get_running_loop().call_later(wait, self._ring))

    def _disarm(self) -> None:
        if self._real is not None:
            self._real[1].cancel()
            self._real = None

    def _ring(self) -> None:
        self._real = None
        if not self.frozen:
            self._fire()
            self._arm()


async def breathe(pause: float = 0.0) -> None:
    """Let other tasks run, for `pause` seconds of the machine's time: only for waiting on work, never on a clock."""
    await asyncio.sleep(pause)
