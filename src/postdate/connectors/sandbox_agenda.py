"""Many waits, one timer: what the sandbox has still to do, by the time at which it is due.

Entries that are due at the same microsecond share a place in the heap, so that a thousand receipts cost a few timers.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Generic, TypeVar

from postdate.clock import Clock, Timer
from postdate.core.instant import Monotonic

Entry = TypeVar("Entry")


class Agenda(Generic[Entry]):
    """Calls `happen` with each entry once its time has come, in order; only between `start` and `stop`."""

    def __init__(self, clock: Clock, happen: Callable[[Entry], None]) -> None:
        self._clock = clock
        self._happen = happen
        self._times: list[Monotonic] = []
        self._entries: dict[Monotonic, list[Entry]] = {}
        self._timer: tuple[Monotonic, Timer] | None = None
        self._running = False

    def add(self, when: Monotonic, entry: Entry) -> None:
        """Note an entry. Whoever has added some calls `catch_up` afterwards, once for all of them."""
        entries = self._entries.get(when)
        if entries is None:
            self._entries[when] = [entry]
            heappush(self._times, when)
        else:
            entries.append(entry)

    def start(self) -> None:
        """Begin, with all that became due in the meantime."""
        self._disarm()
        self._running = True
        self.catch_up()

    def stop(self) -> list[tuple[Monotonic, Entry]]:
        """End, and give up all entries with their times, in order."""
        self._disarm()
        self._running = False
        entries, self._entries, self._times = self._entries, {}, []
        return [(when, entry) for when in sorted(entries) for entry in entries[when]]

    def catch_up(self) -> None:
        """Let happen what is due, and set the timer for what comes next."""
        if not self._running:
            return
        now = self._clock.monotonic()
        while self._times and self._times[0] <= now:
            for entry in self._entries.pop(heappop(self._times)):
                self._happen(entry)
        if not self._times or (self._timer is not None and self._timer[0] <= self._times[0]):
            return
        self._disarm()
        self._timer = (self._times[0], self._clock.call_at(self._times[0], self._ring))

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer[1].cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        self.catch_up()
