"""A sender's rate holds over every second and every stretch, across restarts and changes, without needless waiting."""

import tracemalloc
from collections.abc import Iterable, Sequence
from copy import deepcopy
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from postdate.core.instant import SECOND, Monotonic
from postdate.core.throttle import Throttle

Booking = tuple[int, int]
"""When it goes (microseconds) and its segments."""

RATES = st.one_of(
    st.integers(1, 40).map(Fraction),
    st.fractions(min_value=Fraction(1, 10), max_value=12, max_denominator=12),
    st.sampled_from([Fraction(1, 5), Fraction(100), Fraction(70_001), Fraction(100_000), Fraction(3_000_000)]),
)
GAPS = st.one_of(st.just(0), st.integers(0, 3), st.integers(0, SECOND), st.integers(0, 4 * SECOND))
MESSAGES = st.lists(st.tuples(GAPS, st.one_of(st.just(1), st.integers(1, 12))), min_size=1, max_size=40)
START = 7_000_003


def book(throttle: Throttle, messages: Iterable[tuple[int, int]], at: int) -> list[Booking]:
    """Reserve for messages given as (microseconds since the one before, segments)."""
    booked = []
    for gap, segments in messages:
        at += gap
        when = throttle.reserve(Monotonic(at), segments)
        assert when >= at, "never before it was asked for"
        booked.append((int(when), segments))
    return booked


def arrivals(messages: Sequence[tuple[int, int]], at: int) -> list[int]:
    times = []
    for gap, _ in messages:
        at += gap
        times.append(at)
    return times


def within(booked: Sequence[Booking], start: int, end: int) -> list[int]:
    return [segments for when, segments in booked if start <= when < end]


def assert_every_second(booked: Sequence[Booking], mps: Fraction) -> None:
    for when, _ in booked:  # the fullest windows begin at a booking
        held = within(booked, when, when + SECOND)
        assert sum(held) <= mps or len(held) == 1, f"{held} within a second of {when}"


def assert_every_stretch(booked: Sequence[Booking], mps: Fraction) -> None:
    """From the first booking exactly; from any other one but for the microsecond to which that one was rounded up."""
    for first, (since, _) in enumerate(booked):
        sent = 0
        for (when, _), (_, before) in zip(booked[first + 1 :], booked[first:], strict=False):
            sent += before
            elapsed = when - since if first == 0 else when - since + 1
            assert sent * SECOND <= mps * elapsed, f"{sent} segments from {since} to {when}"


@given(RATES, MESSAGES)
@example(Fraction(10), [(0, 1), (0, 10)])
@example(Fraction(5, 2), [(0, 1)] * 8)
@example(Fraction(7), [(0, 1)] * 40)
@example(Fraction(5), [(0, 12), (0, 1), (0, 1)])
def test_no_second_and_no_stretch_exceeds_the_rate(mps: Fraction, messages: list[tuple[int, int]]) -> None:
    booked = book(Throttle(mps, Monotonic(START)), messages, START)
    assert_every_second(booked, mps)
    assert_every_stretch(booked, mps)
    assert all(earlier <= later for (earlier, _), (later, _) in pairwise(booked)), "first in, first out"


@given(RATES, MESSAGES)
def test_a_microsecond_sooner_would_break_a_rule(mps: Fraction, messages: list[tuple[int, int]]) -> None:
    booked = book(Throttle(mps, Monotonic(START)), messages, START)
    for index, (at, (when, segments)) in enumerate(zip(arrivals(messages, START), booked, strict=True)):
        if when == at:
            continue
        sooner = when - 1
        last_second = sum(within(booked[:index], sooner - SECOND + 1, sooner + 1))
        too_full = last_second > 0 and last_second + segments > mps
        too_close = any(
            sum(count for _, count in booked[first:index]) * SECOND > mps * (sooner - booked[first][0])
            for first in range(index)
        )
        assert too_full or too_close, f"message {index} waits until {when} for nothing"


@given(st.integers(1, 2_000_000), st.integers(2, 200))
@example(3, 200)
@example(70_001, 200)
def test_a_backlog_of_single_segments_is_evenly_spaced_without_drift(mps: int, count: int) -> None:
    booked = book(Throttle(mps, Monotonic(START)), [(0, 1)] * count, START)
    assert [when - START for when, _ in booked] == [-(-index * SECOND // mps) for index in range(count)]


def test_a_backlog_of_fifteen_seconds_keeps_the_rate() -> None:
    booked = book(Throttle(20, Monotonic(START)), [(0, 1)] * 1_000, START)
    assert len(within(booked, START, START + 15 * SECOND)) == 300


@given(RATES, MESSAGES, st.integers(1, 12))
def test_an_idle_sender_goes_at_once(mps: Fraction, messages: list[tuple[int, int]], segments: int) -> None:
    throttle = Throttle(mps, Monotonic(START))
    last, before = book(throttle, messages, START)[-1]
    quiet = last + max(SECOND, int(before * SECOND / mps) + 1)
    assert throttle.reserve(Monotonic(quiet), segments) == quiet


def test_nothing_goes_before_it_is_idle() -> None:
    throttle = Throttle(20, Monotonic(START))
    assert throttle.reserve(Monotonic(START - SECOND), 1) == START


@given(RATES, MESSAGES, st.lists(MESSAGES, min_size=1, max_size=3), GAPS)
def test_restarts_never_exceed_the_rate(
    mps: Fraction, messages: list[tuple[int, int]], later: list[list[tuple[int, int]]], gap: int
) -> None:
    throttle, at = Throttle(mps, Monotonic(START)), START
    booked = book(throttle, messages, at)
    at = arrivals(messages, at)[-1]
    for part in later:
        at += gap
        throttle = Throttle(mps, throttle.free_at(Monotonic(at)))
        booked += book(throttle, part, at)
        at = arrivals(part, at)[-1]
    assert_every_second(booked, mps)
    assert_every_stretch(booked, mps)


@given(RATES, MESSAGES, MESSAGES, GAPS)
def test_a_restarted_sender_is_never_faster(
    mps: Fraction, messages: list[tuple[int, int]], later: list[tuple[int, int]], gap: int
) -> None:
    throttle = Throttle(mps, Monotonic(START))
    book(throttle, messages, START)
    at = arrivals(messages, START)[-1] + gap
    restarted = Throttle(mps, throttle.free_at(Monotonic(at)))
    for (slow, _), (fast, _) in zip(book(restarted, later, at), book(throttle, later, at), strict=True):
        assert slow >= fast


@given(RATES, MESSAGES, GAPS)
def test_a_restart_costs_no_more_than_it_must(mps: Fraction, messages: list[tuple[int, int]], gap: int) -> None:
    throttle = Throttle(mps, Monotonic(START))
    book(throttle, messages, START)
    at = Monotonic(arrivals(messages, START)[-1] + gap)
    longest_that_fits = max(1, int(mps))
    assert deepcopy(throttle).reserve(at, longest_that_fits) == throttle.free_at(at)


def test_an_unused_sender_is_free_from_where_it_was_idle() -> None:
    throttle = Throttle(Fraction(1, 5), Monotonic(START))
    assert throttle.free_at(Monotonic(START - 1)) == START
    assert throttle.free_at(Monotonic(START + 1)) == START + 1


@given(RATES, st.lists(st.tuples(MESSAGES, GAPS, RATES), min_size=1, max_size=4), MESSAGES)
def test_a_changed_rate_holds_for_what_is_booked_after_it(
    mps: Fraction, parts: list[tuple[list[tuple[int, int]], int, Fraction]], rest: list[tuple[int, int]]
) -> None:
    throttle, at = Throttle(mps, Monotonic(START)), START
    booked: list[Booking] = []
    rates: list[tuple[int, Fraction]] = [(START, mps)]
    in_force: list[Fraction] = []
    for messages, gap, changed in [*parts, (rest, 0, mps)]:
        booked += book(throttle, messages, at)
        in_force += [rates[-1][1]] * len(messages)
        at = arrivals(messages, at)[-1] + gap
        throttle.change_rate(changed, Monotonic(at))
        rates.append((max(at, booked[-1][0]), changed))
    sent = 0
    for index, (when, segments) in enumerate(booked):
        held = within(booked[: index + 1], when - SECOND + 1, when + 1)
        assert sum(held) <= in_force[index] or len(held) == 1
        allowed = sum(
            rate * max(0, min(when, end) - max(begin, booked[0][0]))
            for (begin, rate), (end, _) in pairwise([*rates, (when, mps)])
        )
        assert sent * SECOND <= allowed
        sent += segments


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(Fraction(1, 5), 10, 1_080_000, id="raised: the 0.8 segments still owed take 80 ms"),
        pytest.param(2, Fraction(1, 5), 1_000_000, id="lowered: nothing is owed after one second"),
        pytest.param(Fraction(4, 5), Fraction(2, 5), 1_500_000, id="lowered: the 0.2 segments owed take 500 ms"),
    ],
)
def test_what_is_owed_at_a_change_is_paid_at_the_new_rate(
    before: Fraction | int, after: Fraction | int, expected: int
) -> None:
    throttle = Throttle(before, Monotonic(0))
    throttle.reserve(Monotonic(0), 1)
    throttle.change_rate(after, Monotonic(SECOND))
    assert throttle.reserve(Monotonic(SECOND), 1) == expected


def test_a_change_moves_neither_bookings_nor_a_restart() -> None:
    throttle = Throttle(1, Monotonic(START))
    throttle.change_rate(100, Monotonic(0))
    assert throttle.reserve(Monotonic(0), 1) == START
    last = [throttle.reserve(Monotonic(0), 100) for _ in range(5)][-1]
    throttle.change_rate(1_000, Monotonic(START))
    assert throttle.reserve(Monotonic(START), 1) == last + SECOND // 10


@pytest.mark.parametrize("mps", [0.2, 2.5, 0.1])
def test_a_float_means_what_it_says(mps: float) -> None:
    throttle = Throttle(mps, Monotonic(0))
    exact = Throttle(Fraction(round(mps * 10), 10), Monotonic(0))
    for _ in range(100):
        assert throttle.reserve(Monotonic(0), 1) == exact.reserve(Monotonic(0), 1)


@pytest.mark.parametrize("mps", [0, -1, 0.0, float("nan"), float("inf"), Fraction(-1, 2)], ids=str)
def test_a_rate_is_above_zero_and_finite(mps: float | Fraction) -> None:
    with pytest.raises(ValueError, match="segments per second"):
        Throttle(mps, Monotonic(0))
    throttle = Throttle(1, Monotonic(0))
    throttle.reserve(Monotonic(0), 3)
    with pytest.raises(ValueError, match="segments per second"):
        throttle.change_rate(mps, Monotonic(0))
    assert throttle.reserve(Monotonic(0), 1) == 3 * SECOND, "a refused change changes nothing"


@pytest.mark.parametrize("segments", [0, -1])
def test_a_message_has_segments(segments: int) -> None:
    with pytest.raises(ValueError, match="at least one segment"):
        Throttle(1, Monotonic(0)).reserve(Monotonic(0), segments)


def test_memory_depends_on_the_rate_and_not_on_the_traffic() -> None:
    throttle = Throttle(10, Monotonic(0))
    book(throttle, [(0, 1)] * 100, 0)
    tracemalloc.start()
    try:
        for _ in range(20_000):
            throttle.reserve(Monotonic(0), 1)
        assert tracemalloc.get_traced_memory()[0] < 8_000
    finally:
        tracemalloc.stop()
