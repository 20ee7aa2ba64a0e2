"""Limits on signing in: who fails several times waits, longer each time; by name, and by address.

A few failures cost nothing; after that the wait doubles up to a quarter of an hour. What is remembered is bounded, and
of what has to wait as much as of what need not, so that nobody shakes a wait off by trying many other names. Of IPv6
addresses whoever has one has 2^64: they count by their first half.
"""

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from postdate.clock import Clock
from postdate.core.instant import MINUTE, SECOND, Monotonic

FREE_OF_NAME = 5
FREE_OF_ADDRESS = 20
FIRST_WAIT = 2 * SECOND
LONGEST_WAIT = 15 * MINUTE
FORGOTTEN_AFTER = 60 * MINUTE
MOST_REMEMBERED = 10_000
_HOST_BITS = 64
_MOST_DOUBLINGS = 20

_Key = tuple[str, str]


@dataclass(slots=True)
class _Record:
    failures: int
    last: Monotonic
    until: Monotonic


class Attempts:
    """Counts failures and says how long one has to wait."""

    def __init__(self, watch: Clock) -> None:
        self._watch = watch
        self._few: OrderedDict[_Key, _Record] = OrderedDict()
        self._many: OrderedDict[_Key, _Record] = OrderedDict()  # those that no longer fail for nothing

    def wait(self, name: str, address: str) -> int:
        """Return for how many seconds nobody may try this name, or from this address; 0 where one may."""
        now = self._watch.monotonic()
        until = max((found.until for key in _keys(name, address) if (found := self._many.get(key))), default=now)
        return max(0, -(-(until - now) // SECOND))

    def failed(self, name: str, address: str) -> None:
        """Count a failure."""
        now = self._watch.monotonic()
        for key, free in zip(_keys(name, address), (FREE_OF_NAME, FREE_OF_ADDRESS), strict=True):
            found = self._few.pop(key, None) or self._many.pop(key, None)
            fresh = found is None or now - found.last >= FORGOTTEN_AFTER
            failures = 1 if fresh or found is None else found.failures + 1
            self._keep(key, free, _Record(failures, now, now))

    def succeeded(self, name: str, address: str) -> None:
        """Forget the failures of a name, and that this was one.

        Those of an address stay, or one's own account would open it for guessing.
        """
        named, place = _keys(name, address)
        for records in (self._few, self._many):
            records.pop(named, None)
            found = records.pop(place, None)
            if found is not None:
                self._keep(place, FREE_OF_ADDRESS, _Record(found.failures - 1, found.last, found.last))

    def _keep(self, key: _Key, free: int, record: _Record) -> None:
        """Keep a record with the wait that its failures cost, counted from the last of them."""
        over = min(record.failures - free, _MOST_DOUBLINGS)
        if over >= 0:
            record.until = Monotonic(record.last + min(FIRST_WAIT << over, LONGEST_WAIT))
        records = self._many if over >= 0 else self._few
        records[key] = record
        if len(records) > MOST_REMEMBERED:
            records.popitem(last=False)


def _keys(name: str, address: str) -> tuple[_Key, _Key]:
    return ("name", name), ("address", _network_of(address))


def _network_of(address: str) -> str:
    """Return what an address counts as."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(IPv6Address(int(found) >> _HOST_BITS << _HOST_BITS))
