"""Times of SMPP, written and read."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.smpp.when import absolute, in_receipt, read, relative

NINE = datetime(2026, 11, 25, 9, 0, 30, 450_000, UTC)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (NINE, "261125090030400+"),
        (NINE.astimezone(timezone(timedelta(hours=9))), "261125090030400+"),
        (datetime(2026, 12, 31, 20, 0, 0, 0, timezone(timedelta(hours=-5))), "270101010000000+"),
    ],
)
def test_a_moment_is_written_in_utc(moment: datetime, text: str) -> None:
    assert absolute(moment) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "000000000001000R"),
        (59, "000000000059000R"),
        (3661, "000000010101000R"),
        (36_000, "000000100000000R"),
        (86_399, "000000235959000R"),
        (86_400, "000001000000000R"),
        (30 * 86_400, "000030000000000R"),
    ],
)
def test_a_span_is_written_by_its_parts(seconds: int, text: str) -> None:
    assert relative(seconds) == text
    assert read(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("seconds", [-1, 0, 30 * 86_400 + 1])
def test_a_span_that_has_no_form_is_not_written(seconds: int) -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        relative(seconds)


def test_a_moment_needs_a_zone() -> None:
    with pytest.raises(ValueError, match="zone"):
        absolute(datetime(2026, 11, 25))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("261125090030400+", NINE.replace(microsecond=400_000)),
        ("261125180030436+", NINE.replace(microsecond=400_000)),
        ("261125040030420-", NINE.replace(microsecond=400_000)),
        ("010203040506000R", timedelta(days=365 + 60 + 3, hours=4, minutes=5, seconds=6)),
        ("000000000000000R", timedelta(0)),
    ],
)
def test_what_is_read(text: str, expected: datetime | timedelta | None) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "2611250900",
        "261125090030400",
        "261125090030400*",
        "261325090030400+",
        "261125250030400+",
        "261125090030499+",
        "٢٦1125090030400+",
        "261125090030400+\n",
    ],
)
def test_what_is_not_a_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - some of them are datetime's own
        read(text)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_moment_is_read_to_the_tenth_of_a_second(moment: datetime) -> None:
    assert read(absolute(moment)) == moment.replace(microsecond=moment.microsecond // 100_000 * 100_000)


def test_receipts_tell_minutes() -> None:
    assert in_receipt(NINE) == "2611250900"
