"""What went over one connection: totals since it was opened, what is in flight, and the rate now. Pure."""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final

from postdate.core.instant import SECOND, Monotonic

_SECONDS: Final = 10


@dataclass(slots=True)
class Traffic:
    """Counted by the lanes that use the connection; `outcomes` by the name of the outcome."""

    in_flight: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    _recent: deque[tuple[int, int]] = field(default_factory=deque)  # (second, segments) of the last ten seconds

    def handed(self, at: Monotonic, messages: int, segments: int) -> None:
        """Count messages that are being handed over."""
        self.in_flight += messages
        second = at // SECOND
        if self._recent and self._recent[-1][0] == second:
            self._recent[-1] = (second, self._recent[-1][1] + segments)
        else:
            self._recent.append((second, segments))
            self._forget(second)

    def answered(self, outcome: str) -> None:
        """Count an outcome."""
        self.in_flight -= 1
        self.outcomes[outcome] += 1

    def rate(self, at: Monotonic) -> float:
        """Return the segments per second handed over in the last ten whole seconds."""
        second = at // SECOND
        self._forget(second)
        return sum(segments for when, segments in self._recent if when < second) / _SECONDS

    def _forget(self, second: int) -> None:
        while self._recent and self._recent[0][0] < second - _SECONDS:
            self._recent.popleft()
