"""How many messages did what in an hour, and how late they were handed over: counted as they move, summed when asked.

A tally is one number: an account, an hour, what is counted. Lateness is counted in buckets that grow by a quarter of a
doubling, so that a percentile is at most a fifth too high and never too low; it is the time from when a message was due
to when the hand-off began that its carrier took, whatever it had to wait for.
"""

import math
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cache
from typing import Final, NamedTuple

from postdate.core.instant import HOUR, MILLISECOND, Instant
from postdate.core.message import Status


class Count(StrEnum):
    """What is counted. `sent` counts a message once, when its carrier had it; `delivered` counts one that was read."""

    ACCEPTED = "accepted"
    SENT = "sent"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    FAILED = "failed"
    CANCELED = "canceled"
    RECEIVED = "received"

    __hash__ = str.__hash__


class Tally(NamedTuple):
    """How many in the hour that begins at `hour`; `what` is a Count, or `late` and the number of a bucket."""

    hour: Instant
    what: str
    number: int


class Totals(NamedTuple):
    """The sum of each count."""

    accepted: int = 0
    sent: int = 0
    delivered: int = 0
    undelivered: int = 0
    failed: int = 0
    canceled: int = 0
    received: int = 0


class Lateness(NamedTuple):
    """How late `number` hand-offs were, in microseconds: half, and all but one in a hundred, were at most so late."""

    number: int
    p50: int
    p99: int


_LATE: Final = "late"
_PER_DOUBLING: Final = 4
_LAST_BUCKET: Final = 120  # twelve days
_AFTER_SENDING: Final = frozenset({Status.SENT, Status.DELIVERED, Status.UNDELIVERED, Status.READ})
_DELIVERED: Final = frozenset({Status.DELIVERED, Status.READ})


def hour_of(at: Instant) -> Instant:
    """Return when the hour began."""
    return Instant(at - at % HOUR)


@cache
def counted(before: Status, now: Status) -> tuple[Count, ...]:
    """Return what a move from one status to another counts as."""
    found: list[Count] = []
    if now in _AFTER_SENDING and before not in _AFTER_SENDING:
        found.append(Count.SENT)
    if now in _DELIVERED and before not in _DELIVERED:
        found.append(Count.DELIVERED)
    elif now in (Status.UNDELIVERED, Status.FAILED, Status.CANCELED, Status.RECEIVED):
        found.append(Count(now))
    return tuple(found)


def late(micros: int) -> str:
    """Return what a hand-off that was so late is counted as."""
    return f"{_LATE}{_bucket(micros)}"


def _bucket(micros: int) -> int:
    if micros <= MILLISECOND:
        return 0
    return min(math.ceil(math.log2(micros / MILLISECOND) * _PER_DOUBLING), _LAST_BUCKET)


def _edge(bucket: int) -> int:
    return round(MILLISECOND * 2 ** (bucket / _PER_DOUBLING))


# -- sums --------------------------------------------------------------------------------------------------------------


def since(tallies: Iterable[Tally], at: Instant) -> list[Tally]:
    """Return those of the hour of `at` and later."""
    first = hour_of(at)
    return [tally for tally in tallies if tally.hour >= first]


def totals(tallies: Iterable[Tally]) -> Totals:
    """Return the sums over all hours."""
    sums: dict[str, int] = {}
    for tally in tallies:
        sums[tally.what] = sums.get(tally.what, 0) + tally.number
    return Totals(**{count.value: sums.get(count, 0) for count in Count})


def by_hour(tallies: Iterable[Tally]) -> Mapping[Instant, Totals]:
    """Return the sums of each hour in which something was counted, by the instant it began, in order."""
    hours: dict[Instant, list[Tally]] = {}
    for tally in sorted(tallies):
        hours.setdefault(tally.hour, []).append(tally)
    return {hour: totals(found) for hour, found in hours.items()}


def lateness(tallies: Iterable[Tally]) -> Lateness | None:
    """Return how late hand-offs were; None where there were none."""
    buckets: dict[int, int] = {}
    for tally in tallies:
        number = tally.what.removeprefix(_LATE)
        if number.isdecimal():
            buckets[int(number)] = buckets.get(int(number), 0) + tally.number
    count = sum(buckets.values())
    return Lateness(count, _percentile(buckets, count, 50), _percentile(buckets, count, 99)) if count else None


def _percentile(buckets: Mapping[int, int], count: int, percent: int) -> int:
    """Return the upper edge of the bucket in which so many percent are reached."""
    wanted, seen = -(-count * percent // 100), 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen >= wanted:
            return _edge(bucket)
    return _edge(_LAST_BUCKET)
