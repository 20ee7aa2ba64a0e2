"""Wall time and waiting time, as two types that cannot be mixed up, and the texts people write for them.

`Instant` is stored and compared with `SendAt`: microseconds since 1970-01-01T00:00:00Z. `Monotonic` is waited on and
paced by: microseconds since an arbitrary start, never stepping back. Nothing in this module reads a clock.

Reading is strict (one meaning or a refusal) and never early: what is finer than a microsecond is rounded up.
There is no leap second and no 24:00: both are refused, for an `Instant` cannot tell them from the second after.
"""

import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import NewType

Instant = NewType("Instant", int)
Monotonic = NewType("Monotonic", int)

MICROSECOND = 1
MILLISECOND = 1_000
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY

_LONGEST_TEXT = 128
_LONGEST_DURATION = 36_500 * DAY
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_FIRST = (date.min.toordinal() - _EPOCH_DAY) * DAY
_LAST = (date.max.toordinal() + 1 - _EPOCH_DAY) * DAY - 1

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ZONES = {"GMT": 0, "UTC": 0, "UT": 0, "Z": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5}
_ZONES |= {"MST": -7, "MDT": -6, "PST": -8, "PDT": -7}

# A space may stand where a "+" was: a form decodes an unescaped plus so.
_ISO = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]+))?)?"
    r"(?:(?:([Zz])|(?: ?([+-])| )([0-9]{2})(?::?([0-9]{2}))?)(?:\[[A-Za-z0-9_+\-/:.= !]{1,64}\])?)?)?"
)
_RFC_2822 = re.compile(
    r"(?:[A-Z][a-z]{2}, ?)?([0-9]{1,2}) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?"
    r"(?: (?:([A-Z]{1,3})|([+ -])([0-9]{2})([0-9]{2})))?"
)
_AMERICAN = re.compile(r"([0-9]{2})/([0-9]{2})/([0-9]{4}) ([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?(?: ([A-Z]{1,3}))?")
_NUMBER = r"(?:([0-9]{1,12}(?:[.,][0-9]{1,12})?)%s)?"
_ISO_DURATION = re.compile(
    "P(?=.)" + _NUMBER % "Y" + _NUMBER % "M" + _NUMBER % "W" + _NUMBER % "D"
    + "(?:T(?=.)" + _NUMBER % "H" + _NUMBER % "M" + _NUMBER % "S" + ")?"
)  # fmt: skip
_SPAN = re.compile(r"([0-9]{1,18})(us|ms|[smhdw])")
_SPAN_UNITS = {"us": 1, "ms": MILLISECOND, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": WEEK}


class InvalidInstant(ValueError):
    """A text that is no point in time; its message says what was received and what is expected."""


class InvalidDuration(ValueError):
    """A text that is no length of time; its message says what was received and what is expected."""


def parse_instant(text: str) -> Instant:
    """Read a date and time with its zone, in any spelling of ISO 8601 that a Twilio library sends; InvalidInstant."""
    try:
        start, has_time, offset = _read_iso(text)
        if not has_time:
            raise ValueError("it has no time of day")
        if offset is None:
            raise ValueError("it names no time zone")
        return _in_range(start - offset)
    except ValueError as wrong:
        raise InvalidInstant(
            f"{_shown(text)} is not a point in time: {wrong}. Write it in UTC, such as 2030-01-01T14:00:00Z, "
            "or with an offset, such as 2030-01-01T23:00:00+09:00."
        ) from None


def parse_date_filter(text: str) -> tuple[Instant, Instant]:
    """Read a `DateSent` value as [start, end): a whole day for a date, else one second; GMT unless a zone is named."""
    try:
        start, length = _read_gmt(text)
        return _in_range(start), Instant(start + length)
    except ValueError as wrong:
        raise InvalidInstant(
            f"{_shown(text)} is not a date or a point in time: {wrong}. Write a day in GMT, such as 2030-01-01, "
            "or a point in time, such as 2030-01-01T14:00:00Z."
        ) from None


def format_rfc2822(at: Instant) -> str:
    """Write `at` as `Fri, 31 Dec 2021 07:56:51 +0000`: English and GMT always, cut to the second."""
    return _rfc2822_at(at // SECOND)


@lru_cache(maxsize=64)  # a resource has the same second two or three times, and so do its neighbours
def _rfc2822_at(second_of_epoch: int) -> str:
    days, rest = divmod(second_of_epoch, 86_400)
    day = date.fromordinal(days + _EPOCH_DAY)
    minutes, second = divmod(rest, 60)
    hour, minute = divmod(minutes, 60)
    month = _MONTHS[day.month - 1]
    return f"{_WEEKDAYS[(days + 3) % 7]}, {day.day:02} {month} {day.year:04} {hour:02}:{minute:02}:{second:02} +0000"


def format_iso(at: Instant) -> str:
    """Write `at` as `2015-07-30T20:12:31Z`, cut to the second."""
    return _iso_at(at // SECOND)


@lru_cache(maxsize=64)
def _iso_at(second_of_epoch: int) -> str:
    days, rest = divmod(second_of_epoch, 86_400)
    minutes, second = divmod(rest, 60)
    hour, minute = divmod(minutes, 60)
    return f"{date.fromordinal(days + _EPOCH_DAY)}T{hour:02}:{minute:02}:{second:02}Z"


def format_iso_exact(at: Instant) -> str:
    """Write `at` without loss: as `format_iso`, with six digits of fraction unless they are all zero."""
    micros = at % SECOND
    whole = format_iso(at)
    return f"{whole[:-1]}.{micros:06}Z" if micros else whole


def parse_duration(text: str) -> int:
    """Read an ISO 8601 duration (`P3D`, `PT1H30M`) or a span (`5m`) as microseconds, or raise InvalidDuration."""
    if not text.startswith("P"):
        return parse_span(text)
    found = _ISO_DURATION.fullmatch(text) if len(text) <= _LONGEST_TEXT else None
    if found is None:
        raise _no_duration(text, "it does not follow ISO 8601")
    years, months, *parts = found.groups()
    if years or months:
        raise _no_duration(text, "years and months have no fixed length; use weeks or days")
    given = [(part, unit) for part, unit in zip(parts, (WEEK, DAY, HOUR, MINUTE, SECOND), strict=True) if part]
    if any("." in part or "," in part for part, _ in given[:-1]):
        raise _no_duration(text, "only the last part may have a fraction")
    return _bounded(text, sum(_scaled(part, unit) for part, unit in given))


def parse_span(text: str) -> int:
    """Read a whole number with a unit (`250ms`, `90s`, `5m`, `2h`, `35d`, `1w`) as microseconds, or InvalidDuration."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise _no_duration(text, "it is not one whole number with one unit of us, ms, s, m, h, d, w")
    return _bounded(text, int(found[1]) * _SPAN_UNITS[found[2]])


def format_span(micros: int) -> str:
    """Write a length of time with the largest unit that divides it (`5m`, `35d`); `parse_span` reads it back."""
    for unit in ("d", "h", "m", "s", "ms"):
        if micros % _SPAN_UNITS[unit] == 0 and micros:
            return f"{micros // _SPAN_UNITS[unit]}{unit}"
    return f"{micros}us" if micros else "0s"


@dataclass(frozen=True, slots=True)
class ScheduleWindow:
    """How far ahead one may schedule, in microseconds, both ends inclusive; `latest` None leaves the far end open."""

    earliest: int
    latest: int | None

    def __post_init__(self) -> None:
        if self.earliest < 0 or (self.latest is not None and self.latest < self.earliest):
            raise InvalidDuration(f"the schedule window {self} never opens; write the nearer end first, as in 60m..7d.")

    @classmethod
    def parse(cls, text: str) -> "ScheduleWindow":
        """Read `60m..7d`, or `0s..` for an open far end; raise InvalidDuration."""
        earliest, dots, latest = text.partition("..")
        if not dots:
            raise InvalidDuration(f"{_shown(text)} is not a schedule window; write it as 60m..7d, or 0s.. if open.")
        return cls(parse_span(earliest.strip()), parse_span(latest.strip()) if latest.strip() else None)

    def contains(self, at: Instant, now: Instant) -> bool:
        """Whether a message accepted at `now` may be scheduled for `at`."""
        ahead = at - now
        return self.earliest <= ahead and (self.latest is None or ahead <= self.latest)

    def __str__(self) -> str:
        return f"{format_span(self.earliest)}..{'' if self.latest is None else format_span(self.latest)}"


def _read_iso(text: str) -> tuple[int, bool, int | None]:
    """The microseconds as if in UTC, whether a time of day was given, and the offset if a zone was named."""
    found = _ISO.fullmatch(text) if len(text) <= _LONGEST_TEXT else None
    if found is None:
        raise ValueError("it does not follow ISO 8601")
    year, month, day, hour, minute, second, fraction, utc, sign, hours, minutes = found.groups()
    start = _day(int(year), int(month), int(day))
    if hour is None:
        return start, False, None
    start += _time_of_day(int(hour), int(minute), int(second or 0))
    if fraction:
        start += _scaled("0." + fraction, SECOND)
    if utc:
        return start, True, 0
    return start, True, None if hours is None else _offset(sign, int(hours), int(minutes or 0))


def _read_gmt(text: str) -> tuple[int, int]:
    """The start and the length, in microseconds, of what a date filter names."""
    if found := _RFC_2822.fullmatch(text):
        return _rfc2822(found), SECOND
    if found := _AMERICAN.fullmatch(text):
        return _american(found), SECOND
    start, has_time, offset = _read_iso(text)
    return (start - (offset or 0), SECOND) if has_time else (start, DAY)


def _rfc2822(found: re.Match[str]) -> int:
    day, month, year, hour, minute, second, zone, sign, hours, minutes = found.groups()
    if month not in _MONTHS:
        raise ValueError("it names no month")
    start = _day(int(year), _MONTHS.index(month) + 1, int(day))
    start += _time_of_day(int(hour), int(minute), int(second or 0))
    return start - (_zone(zone) if hours is None else _offset(sign, int(hours), int(minutes)))


def _american(found: re.Match[str]) -> int:
    month, day, year, hour, minute, second, zone = found.groups()
    return _day(int(year), int(month), int(day)) + _time_of_day(int(hour), int(minute), int(second or 0)) - _zone(zone)


def _day(year: int, month: int, day: int) -> int:
    return (date(year, month, day).toordinal() - _EPOCH_DAY) * DAY


def _time_of_day(hour: int, minute: int, second: int) -> int:
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError("its time of day is not within 00:00:00 and 23:59:59")
    return (hour * 3600 + minute * 60 + second) * SECOND


def _offset(sign: str | None, hours: int, minutes: int) -> int:
    total = hours * HOUR + minutes * MINUTE
    if minutes > 59 or total > 18 * HOUR:
        raise ValueError("its offset from UTC is not within -18:00 and +18:00")
    return -total if sign == "-" else total


def _zone(name: str | None) -> int:
    if name is not None and name not in _ZONES:
        raise ValueError("its time zone is not known; write an offset")
    return _ZONES[name or "GMT"] * HOUR


def _in_range(at: int) -> Instant:
    if not _FIRST <= at <= _LAST:
        raise ValueError("in UTC it is outside the years 1 to 9999")
    return Instant(at)


def _scaled(number: str, unit: int) -> int:
    """A decimal number of units in whole microseconds, rounded up."""
    whole, _, fraction = number.replace(",", ".").partition(".")
    parts = int("1" + "0" * len(fraction))
    return int(whole) * unit - -int(fraction or 0) * unit // parts


def _bounded(text: str, micros: int) -> int:
    if micros > _LONGEST_DURATION:
        raise _no_duration(text, "it is longer than 36500 days")
    return micros


def _no_duration(text: str, reason: str) -> InvalidDuration:
    return InvalidDuration(
        f"{_shown(text)} is not a length of time: {reason}. Write it such as P3D or PT1H30M, or such as 90s, 5m or 35d."
    )


def _shown(text: str) -> str:
    return repr(text if len(text) <= 64 else text[:61] + "...")
