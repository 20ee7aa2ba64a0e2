"""From what a person writes on the clock and calendar of his zone to points in time.

An hour that the clock skips is refused. Of an hour that comes twice the second is meant: late beats early.
"""

import re
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from postdate.console.times import local
from postdate.core.instant import HOUR, Instant

_DAY = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})", re.ASCII)
_LOCAL = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?", re.ASCII)
_FIRST_YEAR, _LAST_YEAR = 1971, 9_998  # a zone's offset must not lead out of what a calendar knows


class NoLocalTime(ValueError):
    """A text that is no time in this zone; `skipped` says that it is one which the clock there leaves out."""

    def __init__(self, skipped: bool = False) -> None:
        super().__init__("the clock skips it" if skipped else "not a date and time")
        self.skipped = skipped


def read_day(text: str) -> date:
    """Read a day such as 2026-11-26; raise NoLocalTime."""
    found = _DAY.fullmatch(text)
    try:
        if found is None or not _FIRST_YEAR <= int(found[1]) <= _LAST_YEAR:
            raise NoLocalTime
        return date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        raise NoLocalTime from None


def read_local(text: str, zone: ZoneInfo) -> Instant:
    """Read `2026-11-26T14:00` as the clock in `zone` shows it; raise NoLocalTime."""
    found = _LOCAL.fullmatch(text)
    if found is None:
        raise NoLocalTime
    day = read_day(found[1])
    try:
        there = datetime(
            day.year, day.month, day.day, int(found[2]), int(found[3]), int(found[4] or 0), tzinfo=zone, fold=1
        )
    except ValueError:
        raise NoLocalTime from None
    at = _instant(there)
    if local(at, zone).replace(tzinfo=None, fold=0) != there.replace(tzinfo=None, fold=0):
        raise NoLocalTime(skipped=True)
    return at


def written_local(at: Instant, zone: ZoneInfo) -> str:
    """Return a point in time as a browser's field for date and time takes it, cut to the minute."""
    return f"{local(at, zone):%Y-%m-%dT%H:%M}"


def start_of(day: date, zone: ZoneInfo) -> Instant:
    """Return when a day begins in `zone`."""
    return _instant(datetime(day.year, day.month, day.day, tzinfo=zone))


def day_of(at: Instant, zone: ZoneInfo) -> date:
    """Return the day of a point in time in `zone`."""
    return local(at, zone).date()


def bounds_of_days(first: date, number: int, zone: ZoneInfo) -> tuple[Instant, ...]:
    """Return when each of `number` days begins, and when the last ends."""
    return tuple(start_of(first + timedelta(days=n), zone) for n in range(number + 1))


def bounds_of_hours(day: date, zone: ZoneInfo) -> tuple[Instant, ...]:
    """Return when each hour of a day begins, and when the day ends: it has 23 or 25 where the clock is changed."""
    begin, end = bounds_of_days(day, 1, zone)
    return (*(Instant(at) for at in range(begin, end, HOUR)), end)


def _instant(there: datetime) -> Instant:
    whole = int(there.timestamp())  # a zone's offset may have seconds, never fractions of them
    return Instant(whole * 1_000_000)
