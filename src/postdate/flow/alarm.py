"""One alarm for one task: wait until an instant, or until woken; never a task or a timer per message."""

import asyncio

from postdate.clock import Clock, Timer
from postdate.core.instant import Monotonic


class Alarm:
    """What a loop of the flow waits on. Owned by one task; anyone on the same event loop may wake it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rung = asyncio.Event()
        self._waiting = False

    @property
    def idle(self) -> bool:
        """Say whether its task is waiting and nothing has woken it."""
        return self._waiting and not self._rung.is_set()

    def wake(self) -> None:
        """End the present wait, or the next one at once."""
        self._rung.set()

    async def wait(self, until: Monotonic | None = None) -> None:
        """Return when woken or when `until` has come; it may return early, so the caller looks at the time again."""
        timer: Timer | None = None
        if until is not None:
            if until <= self._clock.monotonic():
                self._rung.set()
            else:
                if self._clock.longest_wait is not None:
                    until = Monotonic(min(until, self._clock.monotonic() + self._clock.longest_wait))
                timer = self._clock.call_at(until, self._rung.set)
        self._waiting = True
        try:
            await self._rung.wait()
        finally:
            self._waiting = False
            self._rung.clear()
            if timer is not None:
                timer.cancel()
