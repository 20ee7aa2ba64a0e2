"""What a person writes on clock and calendar, in zones that change their clocks, as points in time."""

from datetime import date
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from postdate.console.local_times import (
    NoLocalTime,
    bounds_of_days,
    bounds_of_hours,
    day_of,
    read_day,
    read_local,
    start_of,
    written_local,
)
from postdate.core.instant import HOUR, MINUTE, format_iso, parse_instant

TOKYO, BERLIN, KOLKATA, CAIRO = map(ZoneInfo, ("Asia/Tokyo", "Europe/Berlin", "Asia/Kolkata", "Africa/Cairo"))
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")  # its clock is changed by half an hour


@pytest.mark.parametrize(
    ("text", "zone", "utc"),
    [
        ("2026-11-26T14:00", TOKYO, "2026-11-26T05:00:00Z"),
        ("2026-11-26 14:00", TOKYO, "2026-11-26T05:00:00Z"),
        ("2026-11-26T14:00:59", TOKYO, "2026-11-26T05:00:59Z"),
        ("2026-03-29T01:59", BERLIN, "2026-03-29T00:59:00Z"),
        ("2026-03-29T03:00", BERLIN, "2026-03-29T01:00:00Z"),
        ("2026-10-25T02:30", BERLIN, "2026-10-25T01:30:00Z"),  # comes twice: the later one
        ("2026-04-05T01:45", LORD_HOWE, "2026-04-04T15:15:00Z"),
    ],
)
def test_a_local_time_is_a_point_in_time(text: str, zone: ZoneInfo, utc: str) -> None:
    assert format_iso(read_local(text, zone)) == utc


@pytest.mark.parametrize(
    ("text", "zone", "skipped"),
    [
        ("2026-03-29T02:00", BERLIN, True),
        ("2026-03-29T02:59", BERLIN, True),
        ("", TOKYO, False),
        ("2026-13-01T10:00", TOKYO, False),
        ("2026-02-30T10:00", TOKYO, False),
        ("2026-01-01T24:00", TOKYO, False),
        ("2026-01-01T10:60", TOKYO, False),
        ("0001-01-01T00:00", TOKYO, False),
        ("9999-12-31T23:59", BERLIN, False),
        ("2026-01-01T10:00Z", TOKYO, False),
        ("２０２６-01-01T10:00", TOKYO, False),
    ],
)
def test_what_is_no_time_there_is_refused(text: str, zone: ZoneInfo, skipped: bool) -> None:
    with pytest.raises(NoLocalTime) as wrong:
        read_local(text, zone)
    assert wrong.value.skipped is skipped


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        ("2026-11-26", TOKYO, [HOUR] * 24),
        ("2026-11-26", KOLKATA, [HOUR] * 24),
        ("2026-03-29", BERLIN, [HOUR] * 23),
        ("2026-10-25", BERLIN, [HOUR] * 25),
        ("2026-04-05", LORD_HOWE, [*[HOUR] * 24, 30 * MINUTE]),
        ("2026-04-24", CAIRO, [HOUR] * 23),  # its midnight is skipped
    ],
)
def test_a_day_has_its_hours(day: str, zone: ZoneInfo, hours: list[int]) -> None:
    bounds = bounds_of_hours(read_day(day), zone)
    assert [after - before for before, after in pairwise(bounds)] == hours
    assert (bounds[0], bounds[-1]) == bounds_of_days(read_day(day), 1, zone)
    assert all(day_of(at, zone) == read_day(day) for at in bounds[:-1])


def test_a_field_shows_the_clock_of_the_zone_and_reads_it_back() -> None:
    at = parse_instant("2026-11-26T05:00:00Z")
    assert written_local(at, TOKYO) == "2026-11-26T14:00"
    assert read_local(written_local(at, TOKYO), TOKYO) == at
    assert format_iso(start_of(date(2026, 11, 26), TOKYO)) == "2026-11-25T15:00:00Z"
