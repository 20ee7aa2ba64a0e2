"""Times as a viewer reads them: in his zone and his language's way, with UTC at hand."""

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from postdate.core.instant import Instant

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_WEEKDAYS = {
    "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
    "ja": ("月", "火", "水", "木", "金", "土", "日"),
}


@cache
def zone_names() -> tuple[str, ...]:
    """Return the names of all zones, sorted, as a person chooses among them."""
    places = (name for name in available_timezones() if "/" in name and not name.startswith("Etc/"))
    return (*sorted(places), "UTC")


@cache
def _known() -> frozenset[str]:
    return frozenset(available_timezones())


def zone_named(name: str | None) -> ZoneInfo | None:
    """Return the zone of this name; None where there is none."""
    return ZoneInfo(name) if name is not None and name in _known() else None


def local(at: Instant, zone: ZoneInfo) -> datetime:
    """Return a point in time as a clock in `zone` shows it."""
    return (_EPOCH + timedelta(microseconds=at)).astimezone(zone)


def written(at: Instant, zone: ZoneInfo, language: str, style: str = "second") -> str:
    """Return a point in time as people write it; `style` is second, minute, day, clock or weekday."""
    there = local(at, zone)
    day = (
        f"{there.year}/{there.month:02}/{there.day:02}"
        if language == "ja"
        else f"{there.day} {_MONTHS[there.month - 1]} {there.year}"
    )
    match style:
        case "second":
            return f"{day} {there:%H:%M:%S}"
        case "minute":
            return f"{day} {there:%H:%M}"
        case "clock":
            return f"{there:%H:%M:%S}"
        case "weekday":
            name = _WEEKDAYS[language][there.weekday()]
            return f"{day}({name})" if language == "ja" else f"{name}, {day}"
        case _:
            return day


def in_utc(at: Instant, style: str = "second") -> str:
    """Return a point in time in UTC, such as `2026-11-26 05:00:00 UTC`; `style` clock leaves the day out."""
    there = _EPOCH + timedelta(microseconds=at)
    return f"{there:%H:%M:%S} UTC" if style == "clock" else f"{there:%Y-%m-%d %H:%M:%S} UTC"


def same_day(at: Instant, zone: ZoneInfo) -> bool:
    """Say whether it is the same day in `zone` as in UTC."""
    return local(at, zone).date() == (_EPOCH + timedelta(microseconds=at)).date()
