"""Texts of points in time, date filters, durations and schedule windows mean one thing or are refused."""

from datetime import UTC, date, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from postdate.core.instant import (
    DAY,
    HOUR,
    MILLISECOND,
    MINUTE,
    SECOND,
    Instant,
    InvalidDuration,
    InvalidInstant,
    ScheduleWindow,
    format_iso,
    format_iso_exact,
    format_rfc2822,
    format_span,
    parse_date_filter,
    parse_duration,
    parse_instant,
    parse_span,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)


NOON = micros(datetime(2030, 1, 1, 14, tzinfo=UTC))
OFFSETS = st.timedeltas(timedelta(hours=-18), timedelta(hours=18)).map(
    lambda offset: timedelta(minutes=offset // timedelta(minutes=1))
)
MOMENTS = st.builds(
    lambda at, offset: at.replace(tzinfo=timezone(offset)),
    st.datetimes().filter(lambda at: (1, 1, 2) < (at.year, at.month, at.day) < (9999, 12, 30)),
    OFFSETS,
)
INSTANTS = st.datetimes(timezones=st.just(UTC)).map(lambda at: Instant(micros(at)))


@pytest.mark.parametrize(
    ("text", "after_noon"),
    [
        pytest.param("2030-01-01T14:00:00Z", 0, id="utc"),
        pytest.param("2030-01-01t14:00:00z", 0, id="lower-case"),
        pytest.param("2030-01-01 14:00:00Z", 0, id="space"),
        pytest.param("2030-01-01T14:00Z", 0, id="no-seconds"),
        pytest.param("2030-01-01T14:00:00.000Z", 0, id="javascript"),
        pytest.param("2030-01-01T14:00:00.25Z", 250_000, id="fraction"),
        pytest.param("2030-01-01T14:00:00,250000000Z", 250_000, id="comma-nanoseconds"),
        pytest.param("2030-01-01T14:00:00.0000001Z", 1, id="finer-is-rounded-up"),
        pytest.param("2030-01-01T13:59:59.9999999Z", 0, id="rounded-up-over-the-second"),
        pytest.param("2030-01-01T23:00:00+09:00", 0, id="offset"),
        pytest.param("2030-01-01T23:00:00+0900", 0, id="offset-no-colon"),
        pytest.param("2030-01-01T23:00:00+09", 0, id="offset-hours"),
        pytest.param("2030-01-01T09:30:00-04:30", 0, id="offset-west"),
        pytest.param("2030-01-02T08:00:00+18:00", 0, id="offset-greatest"),
        pytest.param("2029-12-31T20:00:00-18:00", 0, id="offset-least"),
        pytest.param("2030-01-01T14:00:00-00:00", 0, id="minus-zero"),
        pytest.param("2030-01-01T23:00:00 09:00", 0, id="plus-became-a-space"),
        pytest.param("2030-01-01 23:00 0900", 0, id="plus-became-a-space-short"),
        pytest.param("2030-01-01 23:00:00 +0900", 0, id="ruby"),
        pytest.param("2030-01-01T14:00Z[UTC]", 0, id="java-utc"),
        pytest.param("2030-01-01T23:00+09:00[Asia/Tokyo]", 0, id="java-zone"),
        pytest.param("2030-01-01T23:00+09:00[America/New_York]", 0, id="the-offset-rules"),
        pytest.param("2030-01-01T14:00:00.123456789Z[Etc/GMT+9]", 123_457, id="java-nanoseconds-zone"),
    ],
)
def test_instants(text: str, after_noon: int) -> None:
    assert parse_instant(text) == NOON + after_noon


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "ISO 8601", id="empty"),
        pytest.param("14.44.47", "ISO 8601", id="time-with-dots"),
        pytest.param("2030-01-01T14.44.47Z", "ISO 8601", id="dots"),
        pytest.param("1893506400", "ISO 8601", id="epoch"),
        pytest.param("1893506400000", "ISO 8601", id="epoch-ms"),
        pytest.param("tomorrow", "ISO 8601", id="word"),
        pytest.param("2016-07-31", "no time of day", id="date-only"),
        pytest.param("2030-01-01T14:00:00", "no time zone", id="no-zone"),
        pytest.param("2030-01-01T14:00", "no time zone", id="no-seconds-no-zone"),
        pytest.param("2030-01-01T14:00:00[Asia/Tokyo]", "ISO 8601", id="bracket-only"),
        pytest.param("2030-01-01T14:00:00Z[]", "ISO 8601", id="empty-bracket"),
        pytest.param("2030-01-01T14:00:00Z[<b>]", "ISO 8601", id="markup-in-bracket"),
        pytest.param("2030-01-01T14:00:00 UTC", "ISO 8601", id="zone-name"),
        pytest.param("2030-01-01T14Z", "ISO 8601", id="hour-only"),
        pytest.param("2030-01-01T14:00.5Z", "ISO 8601", id="fraction-of-a-minute"),
        pytest.param("2030-01-01T14:00:00.Z", "ISO 8601", id="empty-fraction"),
        pytest.param("2030-1-1T14:00:00Z", "ISO 8601", id="one-digit"),
        pytest.param("20300101T140000Z", "ISO 8601", id="basic-format"),
        pytest.param("2030-W01-2T14:00:00Z", "ISO 8601", id="week-date"),
        pytest.param("+002030-01-01T14:00:00Z", "ISO 8601", id="long-year"),
        pytest.param("2030-01-01T14:00:00Z\n", "ISO 8601", id="newline"),
        pytest.param(" 2030-01-01T14:00:00Z", "ISO 8601", id="leading-space"),
        pytest.param("2030-01-01T1\u0664:00:00Z", "ISO 8601", id="arabic-digit"),
        pytest.param("2030-01-01T14:00:00\u221209:00", "ISO 8601", id="typographic-minus"),
        pytest.param("2030-01-01T14:00:00.5Z" + "0" * 100_000, "ISO 8601", id="huge"),
        pytest.param("2030-01-01T14:00:00." + "0" * 200 + "Z", "ISO 8601", id="huge-fraction"),
        pytest.param("0000-01-01T14:00:00Z", "year", id="year-0"),
        pytest.param("2030-13-01T14:00:00Z", "month", id="month-13"),
        pytest.param("2030-00-01T14:00:00Z", "month", id="month-0"),
        pytest.param("2030-02-29T14:00:00Z", "day", id="no-leap-year"),
        pytest.param("2030-01-01T24:00:00Z", "time of day", id="24-hours"),
        pytest.param("2030-01-01T14:60:00Z", "time of day", id="minute-60"),
        pytest.param("2016-12-31T23:59:60Z", "time of day", id="leap-second"),
        pytest.param("2030-01-01T14:00:00+18:01", "offset", id="offset-too-great"),
        pytest.param("2030-01-01T14:00:00-19:00", "offset", id="offset-too-little"),
        pytest.param("2030-01-01T14:00:00+09:60", "offset", id="offset-minutes"),
        pytest.param("0001-01-01T00:00:00+01:00", "years 1 to 9999", id="before-year-1"),
        pytest.param("9999-12-31T23:00:00-01:00", "years 1 to 9999", id="after-year-9999"),
        pytest.param("9999-12-31T23:59:59.9999999Z", "years 1 to 9999", id="rounded-up-out-of-range"),
    ],
)
def test_refused_instants(text: str, reason: str) -> None:
    with pytest.raises(InvalidInstant, match=reason) as refused:
        parse_instant(text)
    said = str(refused.value)
    assert "such as 2030-01-01T14:00:00Z, or with an offset, such as 2030-01-01T23:00:00+09:00" in said
    assert said.startswith(repr(text) if len(text) <= 64 else repr(text[:61])[:-1] + "...'"), "what was received"


@given(st.text())
@example("\ud800")
@example("\n" * 64)
def test_any_other_text_is_refused_printably(text: str) -> None:
    for parse in (parse_instant, parse_date_filter):
        with pytest.raises(InvalidInstant) as refused:
            parse(text)
        assert str(refused.value).isprintable()


@given(MOMENTS, st.sampled_from("Tt "), st.sampled_from([":", ""]), st.sampled_from("., "), st.booleans())
def test_a_moment_is_read_in_every_spelling(at: datetime, separator: str, colon: str, mark: str, plus: bool) -> None:
    offset = at.utcoffset() or timedelta()
    sign = "-" if offset < timedelta() else "+" if plus else " "
    hours, minutes = divmod(abs(offset) // timedelta(minutes=1), 60)
    fraction = "" if mark == " " else f"{mark}{at.microsecond:06}"
    if not fraction:
        at = at.replace(microsecond=0)
    text = f"{at:%Y-%m-%d}".rjust(10, "0") + separator + f"{at:%H:%M:%S}{fraction}{sign}{hours:02}{colon}{minutes:02}"
    assert parse_instant(text) == micros(at)
    assert parse_date_filter(text) == (micros(at), micros(at) + SECOND)


@given(INSTANTS)
@example(Instant(0))
@example(Instant(-1))
def test_instants_are_written_as_the_standard_library_writes_them(at: Instant) -> None:
    exact = EPOCH + timedelta(microseconds=at)
    second = exact.replace(microsecond=0)
    assert format_rfc2822(at) == format_datetime(second)
    assert format_iso(at) == second.isoformat().replace("+00:00", "Z")
    assert format_iso_exact(at) == exact.isoformat().replace("+00:00", "Z")
    assert parse_instant(format_iso_exact(at)) == at
    assert parse_date_filter(format_rfc2822(at)) == (at - at % SECOND, at - at % SECOND + SECOND)


def test_the_forms_of_the_wire() -> None:
    at = parse_instant("2021-12-31T07:56:51.25Z")
    assert format_rfc2822(at) == "Fri, 31 Dec 2021 07:56:51 +0000"
    assert format_iso(at) == "2021-12-31T07:56:51Z"
    assert format_iso_exact(at) == "2021-12-31T07:56:51.250000Z"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("2022-03-04T05:06:07Z", "2022-03-04T05:06:07Z", id="utc"),
        pytest.param("2022-03-04T05:06:07", "2022-03-04T05:06:07Z", id="java"),
        pytest.param("2019-06-11 22:05:25.000", "2019-06-11T22:05:25Z", id="space-and-fraction"),
        pytest.param("2019-06-11T22:05+09:00", "2019-06-11T13:05:00Z", id="offset"),
        pytest.param("Fri, 31 Dec 2021 07:56:51 +0000", "2021-12-31T07:56:51Z", id="rfc2822"),
        pytest.param("Fri, 31 Dec 2021 07:56:51  0000", "2021-12-31T07:56:51Z", id="rfc2822-plus-became-a-space"),
        pytest.param("Fri, 31 Dec 2021 07:56:51 -0330", "2021-12-31T11:26:51Z", id="rfc2822-offset"),
        pytest.param("1 Jan 2022 07:56 GMT", "2022-01-01T07:56:00Z", id="rfc2822-short"),
        pytest.param("Thu, 01 Dec 2005 22:12:31 PST", "2005-12-02T06:12:31Z", id="rfc2822-zone"),
        pytest.param("06/11/2019 22:05:25 MST", "2019-06-12T05:05:25Z", id="american"),
        pytest.param("06/11/2019 22:05:25 EST", "2019-06-12T03:05:25Z", id="american-east"),
        pytest.param("06/11/2019 22:05:25", "2019-06-11T22:05:25Z", id="american-gmt"),
    ],
)
def test_date_filters_of_one_second(text: str, expected: str) -> None:
    start = parse_instant(expected)
    assert parse_date_filter(text) == (start, start + SECOND)


@given(st.dates())
def test_a_date_filter_without_time_is_the_whole_day(day: date) -> None:
    start = micros(datetime(day.year, day.month, day.day, tzinfo=UTC))
    assert parse_date_filter(day.isoformat()) == (start, start + DAY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2022",
        "2022-13-01",
        "2022-02-30",
        "06/11/2019",
        "13/11/2019 22:05:25 MST",
        "06/11/2019 22:05:25 JST",
        "Fri, 31 Foo 2021 07:56:51 +0000",
        "Fri, 32 Dec 2021 07:56:51 +0000",
        "Fri, 31 Dec 2021",
        "1645000000",
        "Fri, 31 Dec 2021 24:00:00 +0000",
        "2022-03-04T05:06:07 MST",
        "0001-01-01T00:00:00+01:00",
        "2022-01-01\n",
    ],
    ids=repr,
)
def test_refused_date_filters(text: str) -> None:
    with pytest.raises(InvalidInstant, match="Write a day in GMT") as refused:
        parse_date_filter(text)
    assert str(refused.value).startswith(repr(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("P3D", 3 * DAY, id="days"),
        pytest.param("PT1H30M", 90 * MINUTE, id="hours-minutes"),
        pytest.param("P1W", 7 * DAY, id="week"),
        pytest.param("P1DT12H", 36 * HOUR, id="day-hours"),
        pytest.param("P1W2DT3H4M5S", 9 * DAY + 3 * HOUR + 4 * MINUTE + 5 * SECOND, id="all"),
        pytest.param("PT0S", 0, id="zero"),
        pytest.param("PT1.5H", 90 * MINUTE, id="fraction"),
        pytest.param("PT1H0,5M", HOUR + 30 * SECOND, id="comma-last"),
        pytest.param("P0.5D", 12 * HOUR, id="half-day"),
        pytest.param("PT0.0000001S", 1, id="rounded-up"),
        pytest.param("PT90M", 90 * MINUTE, id="beyond-the-hour"),
        pytest.param("5m", 5 * MINUTE, id="span"),
    ],
)
def test_durations(text: str, expected: int) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("P1Y", "years and months", id="year"),
        pytest.param("P1M", "years and months", id="month"),
        pytest.param("P1Y2M3DT4H", "years and months", id="year-month-day"),
        pytest.param("P", "ISO 8601", id="nothing"),
        pytest.param("PT", "ISO 8601", id="no-time"),
        pytest.param("P1DT", "ISO 8601", id="day-no-time"),
        pytest.param("P-1D", "ISO 8601", id="negative-part"),
        pytest.param("-P1D", "one whole number", id="negative"),
        pytest.param("P1H", "ISO 8601", id="hour-without-T"),
        pytest.param("PT1M1H", "ISO 8601", id="order"),
        pytest.param("PT1.5H30M", "last part", id="fraction-first"),
        pytest.param("PT.5H", "ISO 8601", id="no-digit-before"),
        pytest.param("PT\u0661H", "ISO 8601", id="arabic-digit"),
        pytest.param("P36501D", "longer than", id="too-long"),
        pytest.param("P" + "9" * 100_000 + "D", "ISO 8601", id="huge"),
    ],
)
def test_refused_durations(text: str, reason: str) -> None:
    with pytest.raises(InvalidDuration, match=reason):
        parse_duration(text)


@given(st.timedeltas(timedelta(0), timedelta(days=36_500)))
def test_durations_add_up(length: timedelta) -> None:
    text = f"P{length.days}DT{length.seconds // 3600}H{length.seconds // 60 % 60}M"
    text += f"{length.seconds % 60}.{length.microseconds:06}S"
    assert parse_duration(text) == length // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0s", 0),
        ("250ms", 250 * MILLISECOND),
        ("90s", 90 * SECOND),
        ("5m", 5 * MINUTE),
        ("60m", HOUR),
        ("2h", 2 * HOUR),
        ("35d", 35 * DAY),
        ("1w", 7 * DAY),
        ("7us", 7),
    ],
)
def test_spans(text: str, expected: int) -> None:
    assert parse_span(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "5", "m", "5 m", "-5m", "1.5h", "1h30m", "5M", "5min", "5m\n", "36501d", "9" * 5000 + "d", "\u0665m", "P1D"],
)
def test_refused_spans(text: str) -> None:
    with pytest.raises(InvalidDuration, match="Write it such as"):
        parse_span(text)


@given(st.integers(0, 36_500 * DAY) | st.integers(0, 36_500).map(lambda days: days * DAY))
def test_a_span_is_read_back(length: int) -> None:
    assert parse_span(format_span(length)) == length


@pytest.mark.parametrize(
    ("text", "earliest", "latest", "written"),
    [
        pytest.param("60m..7d", HOUR, 7 * DAY, "1h..7d", id="announcement"),
        pytest.param("5m..35d", 5 * MINUTE, 35 * DAY, "5m..35d", id="today"),
        pytest.param("0s..", 0, None, "0s..", id="open"),
        pytest.param(" 90s .. 2h ", 90 * SECOND, 2 * HOUR, "90s..2h", id="spaces"),
        pytest.param("0s..0s", 0, 0, "0s..0s", id="now-only"),
    ],
)
def test_schedule_windows(text: str, earliest: int, latest: int | None, written: str) -> None:
    window = ScheduleWindow.parse(text)
    assert window == ScheduleWindow(earliest, latest)
    assert str(window) == written
    assert ScheduleWindow.parse(written) == window


@pytest.mark.parametrize("text", ["", "60m", "60m-7d", "..", "..7d", "7d..60m", "60m..7d..8d", "60m...7d", "1..2"])
def test_refused_schedule_windows(text: str) -> None:
    with pytest.raises(InvalidDuration):
        ScheduleWindow.parse(text)


def test_a_schedule_window_that_never_opens_says_so() -> None:
    with pytest.raises(InvalidDuration, match=r"7d\.\.1h never opens"):
        ScheduleWindow.parse("7d..60m")
    with pytest.raises(InvalidDuration):
        ScheduleWindow(-1, None)


@given(st.integers(0, 40 * DAY), st.integers(0, 40 * DAY), INSTANTS, st.integers(-DAY, 90 * DAY))
def test_a_schedule_window_includes_both_ends(first: int, second: int, now: Instant, ahead: int) -> None:
    assume(first != second)
    window = ScheduleWindow(min(first, second), max(first, second))
    assert window.contains(Instant(now + window.earliest), now)
    assert window.contains(Instant(now + max(first, second)), now)
    assert not window.contains(Instant(now + window.earliest - 1), now)
    assert not window.contains(Instant(now + max(first, second) + 1), now)
    assert ScheduleWindow(0, None).contains(Instant(now + ahead), now) is (ahead >= 0)
