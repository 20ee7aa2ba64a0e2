"""Limits on signing in: who fails several times waits, longer each time; by name, and by address.

A few failures cost nothing; after that the wait doubles up to a quarter of an hour. What is remembered is bounded.
"""

from collections import OrderedDict
from dataclasses import dataclass

from postdate.clock import Clock
from postdate.core.instant import MINUTE, SECOND, Monotonic

FREE_OF_NAME = 5
FREE_OF_ADDRESS = 20
FIRST_WAIT = 2 * SECOND
LONGEST_WAIT = 15 * MINUTE
FORGOTTEN_AFTER = 60 * MINUTE
MOST_REMEMBERED = 10_000


@dataclass(slots=True)
class _Record:
    failures: int
    last: Monotonic
    until: Monotonic


class Attempts:
    """Counts failures and says how long one has to wait."""

    def __init__(self, watch: Clock) -> None:
        self._watch = watch
        self._records: OrderedDict[tuple[str, str], _Record] = OrderedDict()

    def wait(self, name: str, address: str) -> int:
        """Return for how many seconds nobody may try this name, or from this address; 0 where one may."""
        now = self._watch.monotonic()
        until = max((found.until for key in _keys(name, address) if (found := self._records.get(key))), default=now)
        return max(0, -(-(until - now) // SECOND))

    def failed(self, name: str, address: str) -> None:
        """Count a failure."""
        now = self._watch.monotonic()
        for key, free in zip(_keys(name, address), (FREE_OF_NAME, FREE_OF_ADDRESS), strict=True):
            found = self._records.pop(key, None)
            fresh = found is None or now - found.last >= FORGOTTEN_AFTER
            failures = 1 if fresh or found is None else found.failures + 1
            over = min(failures - free, 20)
            wait = min(FIRST_WAIT << over, LONGEST_WAIT) if over >= 0 else 0
            self._records[key] = _Record(failures, now, Monotonic(now + wait))
        while len(self._records) > MOST_REMEMBERED:
            self._records.popitem(last=False)

    def succeeded(self, name: str, address: str) -> None:
        """Forget the failures of a name; those of an address stay, or one's own account would open it for guessing."""
        self._records.pop(_keys(name, address)[0], None)


def _keys(name: str, address: str) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("name", name), ("address", address)
