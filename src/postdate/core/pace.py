"""The rate of one connection, over all its senders: as configured, less where its carrier throttles us.

A throttled answer halves the rate, at most once a second, down to one segment a second (a lower rate stays as it is); a
second without one adds a twentieth. A connection without a configured rate is limited from its first throttled answer
until it has been given four times what it went at then. Pure: instants are arguments.
"""

from fractions import Fraction
from typing import Final

from postdate.core.instant import SECOND, Monotonic
from postdate.core.throttle import Throttle

_LEAST: Final = Fraction(1)
_GROWTH: Final = Fraction(21, 20)
_FREED_AT: Final = 4
_TENTHS: Final = 10  # a rate has one decimal: its ticks stay small


class Pace:
    """The bookings of one connection, for all who hand over to it: first come, first served.

    Whoever asks for a place and cannot have it at once keeps its turn, so that a long message is not passed for ever by
    short ones. `leave` gives the turn up.
    """

    __slots__ = (
        "_changed_at",
        "_configured",
        "_cut_from",
        "_last_second",
        "_now",
        "_rate",
        "_second",
        "_throttle",
        "_waiting",
    )

    def __init__(self, mps: float, at: Monotonic) -> None:
        """Pace at `mps` segments per second, 0 for no limit."""
        self._configured = Fraction(str(mps)) if mps else None
        self._rate = self._configured  # None: not limited now
        self._throttle = Throttle(self._rate, at) if self._rate else None
        self._changed_at = at
        self._cut_from = _LEAST
        self._second = at // SECOND
        self._now = 0
        self._last_second = 0
        self._waiting: dict[object, tuple[Monotonic, int]] = {}  # who waits since when, and for how many segments

    @property
    def is_slowed(self) -> bool:
        """Say whether it goes slower than configured because its carrier asked."""
        return self._rate != self._configured

    @property
    def limit(self) -> float:
        """Return the segments per second allowed now, 0 for no limit."""
        return float(self._rate) if self._rate else 0.0

    def change(self, mps: float, at: Monotonic) -> None:
        """Pace at another configured rate, as if never throttled; what was booked at a rate still counts."""
        self._configured = Fraction(str(mps)) if mps else None
        self._set(self._configured, at)

    def earliest(self, at: Monotonic, segments: int, who: object = None) -> Monotonic:
        """Return when the next message of `who` may go, `at` or later, and book nothing."""
        if self._throttle is None:
            return at
        since = self._waiting[who][0] if who in self._waiting else at
        self._waiting[who] = (since, segments)
        slot = self._throttle.earliest(at, segments)
        first = next(iter(self._waiting))
        if first is who or self._waiting[first][0] > slot:
            return slot
        turn = self._throttle.earliest(*self._waiting[first])
        if turn + SECOND < at:  # it did not take its turn: whoever it was is gone
            del self._waiting[first]
            return self.earliest(at, segments, who)
        return Monotonic(max(slot, turn + 1))

    def reserve(self, at: Monotonic, segments: int, who: object = None) -> Monotonic:
        """Book the next message and return when it may go."""
        self.leave(who)
        self._count(at, segments)
        if self._rate is not None and self.is_slowed:
            self._grow(at)
        return at if self._throttle is None else self._throttle.reserve(at, segments)

    def leave(self, who: object) -> None:
        """Hear that `who` waits no longer."""
        self._waiting.pop(who, None)

    def throttled(self, at: Monotonic) -> None:
        """Hear that the carrier throttled us."""
        if self.is_slowed and at - self._changed_at < SECOND:
            return
        self._count(at, 0)
        going = self._rate if self._rate is not None else Fraction(max(self._last_second, self._now))
        self._cut_from = max(going, _LEAST)
        least = _LEAST if self._configured is None else min(self._configured, _LEAST)
        self._set(max(going / 2, least), at)

    def _grow(self, at: Monotonic) -> None:
        seconds = (at - self._changed_at) // SECOND
        if seconds < 1 or self._rate is None:
            return
        # After a long quiet time it is as good as never throttled: no need to count every second of it.
        grown = self._rate * _GROWTH ** min(seconds, 100) + Fraction(1, _TENTHS)
        if self._configured is not None:
            self._set(min(grown, self._configured), at)
        else:
            self._set(grown if grown < self._cut_from * _FREED_AT else None, at)

    def _set(self, rate: Fraction | None, at: Monotonic) -> None:
        if rate is not None and rate != self._configured:
            rate = Fraction(int(rate * _TENTHS), _TENTHS)
        self._changed_at = at
        self._rate = rate
        if rate is None:
            self._throttle = None
        elif self._throttle is None:
            self._throttle = Throttle(rate, at)
        else:
            self._throttle.change_rate(rate, at)

    def _count(self, at: Monotonic, segments: int) -> None:
        second = at // SECOND
        if second != self._second:
            self._last_second = self._now if second == self._second + 1 else 0
            self._second, self._now = second, 0
        self._now += segments
