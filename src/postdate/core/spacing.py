"""When a sender's messages really leave: what left late must not make the second after it too full.

A throttle books ahead, and what it books may leave late: a slow disk, a busy machine. This looks at the times at which
messages left, and holds the next one back: no second has more than `mps` segments, unless they are one message's, and
what is overdue goes at twice the rate at most, not all at once. Pure.
"""

from collections import deque
from typing import Final

from postdate.core.instant import MILLISECOND, SECOND, Monotonic

_TOGETHER: Final = 5 * MILLISECOND  # what may leave at once rather than one by one: a timer is no finer
_CATCHING_UP: Final = 2


class Spacing:
    """What one sender handed over in the last second, as (when, segments)."""

    __slots__ = ("_free", "_held", "_log", "_most", "_second", "_step")

    def __init__(self, mps: float, margin: int = 0) -> None:
        """Keep to `mps` > 0 segments per second; `margin` in microseconds makes each second longer.

        Whoever counts at the other end sees a little later what left here, now more and now less.
        """
        self._second = SECOND + margin
        self._log: deque[tuple[int, int]] = deque()
        self._held = 0
        self._free = 0
        self.change_rate(mps)

    def change_rate(self, mps: float) -> None:
        """Keep to another rate from now on."""
        self._most = int(mps)
        self._step = int(SECOND / mps / _CATCHING_UP)
        if self._log:
            went, segments = self._log[-1]
            self._free = went + segments * self._step

    def earliest(self, at: Monotonic, segments: int) -> Monotonic:
        """Return when a message may leave, `at` or later."""
        start, held = max(at, self._free - _TOGETHER), self._held
        for went, freed in self._log:
            if went + self._second > start and held + segments <= self._most:
                break
            held -= freed
            start = max(start, went + self._second)
        return Monotonic(start)

    def went(self, at: Monotonic, segments: int) -> None:
        """Note that a message left."""
        while self._log and self._log[0][0] + self._second <= at:
            self._held -= self._log.popleft()[1]
        self._log.append((at, segments))
        self._held += segments
        self._free = max(self._free, at) + segments * self._step
