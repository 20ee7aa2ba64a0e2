"""The rate of one sender: when its next message may go so that its segments per second are never exceeded.

Two rules, both exact: over any stretch the segments so far fit `mps` (evenly spaced, nothing is saved up while idle),
and no second, wherever it begins, holds more than `mps` segments unless they are one message's. Spacing alone would
break the second rule with a long message behind a short one, hence the log of the last second: it holds at most `mps`
segments, or one message. A fraction of a segment cannot go, so the second rule gives an `mps` of 2.5 two each second.
"""

from collections import deque
from fractions import Fraction
from math import ceil

from postdate.core.instant import SECOND, Monotonic


class Throttle:
    """The bookings of one sender, first in first out, as (when, segments)."""

    __slots__ = ("_free", "_held", "_last", "_log", "_most", "_step", "_ticks")

    def __init__(self, mps: Fraction | float, idle_from: Monotonic) -> None:
        """Pace at `mps` > 0 segments per second; nothing goes before `idle_from`. Raise ValueError on another rate."""
        self._set_rate(_exact(mps))
        self._free = idle_from * self._ticks
        self._last: int = idle_from
        self._log: deque[tuple[int, int]] = deque()
        self._held = 0

    def reserve(self, at: Monotonic, segments: int) -> Monotonic:
        """Book the next message and return when it may go: `at` or later, and never before one booked earlier."""
        if segments < 1:
            raise ValueError(f"a message has at least one segment, not {segments}")
        ticks, free, log = self._ticks, self._free, self._log
        start = max(at, -(-free // ticks))
        held = self._held + segments
        while log and (held > self._most or log[0][0] + SECOND <= start):
            went, freed = log.popleft()
            held -= freed
            start = max(start, went + SECOND)
        log.append((start, segments))
        self._held = held
        self._last = start
        # Within a backlog the exact time is carried on, else rounding up to whole microseconds would add up.
        exact = start * ticks
        self._free = (free if exact - free < ticks else exact) + segments * self._step
        return Monotonic(start)

    def earliest(self, at: Monotonic, segments: int) -> Monotonic:
        """Return what `reserve` would, and book nothing."""
        start, held = max(at, -(-self._free // self._ticks)), self._held + segments
        for went, freed in self._log:
            if held <= self._most and went + SECOND > start:
                break
            held -= freed
            start = max(start, went + SECOND)
        return Monotonic(start)

    def free_at(self, at: Monotonic) -> Monotonic:
        """Return the earliest `idle_from`, `at` or later, with which a new Throttle is never faster than this one."""
        free = -(-self._free // self._ticks)
        clear = self._log[-1][0] + SECOND if self._log else free
        return Monotonic(max(at, free, clear))

    def change_rate(self, mps: Fraction | float, at: Monotonic) -> None:
        """Pace at `mps` from `at` on; what is booked stays, and a later booking counts as the start of the new rate."""
        since = max(at, self._last)
        owed = Fraction(max(0, self._free - since * self._ticks), self._step)
        self._set_rate(_exact(mps))
        self._free = since * self._ticks + ceil(owed * self._step)

    def _set_rate(self, mps: Fraction) -> None:
        # Time is kept in ticks of 1/numerator microsecond: then a segment takes a whole number of them.
        self._ticks = mps.numerator
        self._step = mps.denominator * SECOND
        self._most = mps.numerator // mps.denominator


def _exact(mps: Fraction | float) -> Fraction:
    """The rate as written: 0.2 is one fifth, not the nearest binary number."""
    try:
        rate = Fraction(str(mps)) if isinstance(mps, float) else Fraction(mps)
    except ValueError:
        rate = Fraction(0)
    if rate <= 0:
        raise ValueError(f"a rate is segments per second, above zero, not {mps}; an unlimited sender needs no throttle")
    return rate
