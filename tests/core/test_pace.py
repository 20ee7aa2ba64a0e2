"""A connection's rate: never over what is configured, halved when throttled, found again, and free once it may be."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from postdate.core.instant import MINUTE, SECOND, Monotonic
from postdate.core.pace import Pace

START = Monotonic(7_000_003)
RATES = st.sampled_from([0.2, 0.5, 1.0, 1.5, 2.5, 3.0, 10.0, 40.0])
GAPS = st.one_of(st.just(0), st.integers(0, SECOND), st.integers(0, 5 * SECOND))
# After a gap a message of so many segments, or (0) a throttled answer.
STEPS = st.lists(st.tuples(GAPS, st.sampled_from([0, 1, 1, 1, 2, 5])), min_size=1, max_size=60)
FIRST_THROTTLED = [(0, 0), *[(0, 1)] * 8]


def later(seconds: float) -> Monotonic:
    """Return an instant that many seconds after START."""
    return Monotonic(START + round(seconds * SECOND))


def book(pace: Pace, count: int, at: Monotonic = START) -> list[int]:
    """Book messages of one segment that all came at once; return how long after `at` each goes, in microseconds."""
    return [pace.reserve(at, 1) - at for _ in range(count)]


def throttled_at(mps: float, going: int = 0) -> Pace:
    """Return a pace of this configured rate, throttled at START when it was given so many segments in its second."""
    pace = Pace(mps, START)
    if going:
        pace.reserve(START, going)
    pace.throttled(START)
    return pace


def assert_never_over(booked: Sequence[tuple[int, int]], mps: float) -> None:
    """Fail where a second holds more than its segments, unless they are one message's."""
    for when, _ in booked:
        held = [segments for other, segments in booked if when <= other < when + SECOND]
        assert sum(held) <= Fraction(str(mps)) or len(held) == 1, f"{held} within a second of {when}"


@given(RATES, STEPS)
@example(0.5, FIRST_THROTTLED)
@example(2.5, FIRST_THROTTLED)
def test_no_second_is_over_the_configured_rate_throttled_or_not(mps: float, steps: list[tuple[int, int]]) -> None:
    pace, at, booked = Pace(mps, START), START, []
    for gap, segments in steps:
        at = Monotonic(at + gap)
        if segments:
            foretold = pace.earliest(at, segments)
            when = pace.reserve(at, segments)
            assert at <= when <= foretold, "what was foretold can only come sooner, as the rate grows"
            booked.append((when, segments))
        else:
            pace.throttled(at)
        assert 0 < pace.limit <= mps
    assert_never_over(booked, mps)


@given(STEPS)
def test_what_was_foretold_is_what_is_booked_where_nobody_throttles(steps: list[tuple[int, int]]) -> None:
    pace, at = Pace(3.0, START), START
    for gap, segments in steps:
        at = Monotonic(at + gap)
        foretold = pace.earliest(at, segments or 1)
        assert pace.earliest(at, segments or 1) == foretold, "to ask books nothing"
        assert pace.reserve(at, segments or 1) == foretold


@given(RATES, RATES, st.integers(1, 12), GAPS)
def test_a_change_of_the_rate_gives_nothing_away(before: float, after: float, count: int, gap: int) -> None:
    pace = Pace(before, START)
    booked = [(pace.reserve(START, 1), 1) for _ in range(count)]
    pace.change(after, Monotonic(START + gap))
    booked += [(pace.reserve(Monotonic(START + gap), 1), 1) for _ in range(count)]
    assert_never_over(booked, max(before, after))
    assert_never_over(booked[count:], after)
    assert pace.limit == after


def test_a_long_message_is_not_passed_for_ever_by_short_ones() -> None:
    pace, at, short, long = Pace(5.0, START), START, "short", "long"
    went: list[object] = []
    while long not in went:
        for who, segments in ((short, 1), (long, 5)):
            if pace.earliest(at, segments, who) <= at:
                assert pace.reserve(at, segments, who) == at
                went.append(who)
        at = Monotonic(at + SECOND // 10)
        assert at < later(10), "it would have waited for ever"
    assert went.count(short) <= 5


def test_who_waits_no_longer_holds_up_nobody() -> None:
    pace = Pace(5.0, START)
    pace.reserve(START, 5, "first")
    assert pace.earliest(START, 5, "long") == later(1)
    behind = pace.earliest(START, 1, "short")
    assert behind > later(1), "its turn comes after"
    pace.leave("long")
    assert pace.earliest(START, 1, "short") < behind


def test_who_does_not_take_its_turn_loses_it() -> None:
    pace = Pace(5.0, START)
    pace.reserve(START, 5, "first")
    pace.earliest(START, 5, "gone")
    assert pace.earliest(later(5), 1, "short") == later(5)


def test_without_a_rate_everything_goes_at_once() -> None:
    pace = Pace(0, START)
    assert book(pace, 1_000) == [0] * 1_000
    assert pace.earliest(START, 50) == START
    assert (pace.limit, pace.is_slowed) == (0.0, False)


@pytest.mark.parametrize(
    ("mps", "going", "limit"),
    [(10.0, 0, 5.0), (10.0, 10, 5.0), (1.5, 0, 1.0), (1.0, 0, 1.0), (0.5, 0, 0.5), (0.0, 80, 40.0), (0.0, 0, 1.0)],
)
def test_a_throttled_answer_halves_the_rate_but_not_below_one(mps: float, going: int, limit: float) -> None:
    pace = throttled_at(mps, going)
    assert pace.limit == limit
    assert pace.is_slowed == (limit != mps)


@pytest.mark.parametrize(
    ("seconds", "limit"), [([0.1, 0.5, 0.999], 20.0), ([1.0], 10.0), ([1.0, 1.5, 2.0], 5.0), ([1, 2, 3, 4, 5, 6], 1.0)]
)
def test_many_throttled_answers_in_a_second_count_once(seconds: list[float], limit: float) -> None:
    pace = throttled_at(40.0)
    for after in seconds:
        pace.throttled(later(after))
    assert pace.limit == limit


def test_it_goes_as_slow_as_it_says() -> None:
    assert book(throttled_at(10.0), 6) == [0, *(n * SECOND // 5 for n in range(1, 6))]


@pytest.mark.parametrize("mps", [10.0, 40.0, 2.5])
def test_it_finds_its_rate_again_little_by_little_and_no_more(mps: float) -> None:
    pace = throttled_at(mps)
    limits = [pace.limit]
    for second in range(1, 61):
        pace.reserve(later(second), 1)
        limits.append(pace.limit)
    assert limits == sorted(limits)
    assert all(more <= less * 1.05 + 0.1001 for less, more in pairwise(limits))
    assert (limits[-1], pace.is_slowed) == (mps, False)


def test_a_long_quiet_time_is_as_good_as_never_throttled() -> None:
    pace = throttled_at(1_000.0)
    pace.reserve(later(3600), 1)
    assert (pace.limit, pace.is_slowed) == (1_000.0, False)


def test_without_a_configured_rate_it_is_free_once_given_four_times_what_it_went_at() -> None:
    pace = throttled_at(0, going=10)
    limits = []
    for second in range(1, 121):
        pace.reserve(later(second), 1)
        limits.append(pace.limit)
    limited = [limit for limit in limits if limit]
    assert limited == sorted(limited)
    assert 30 < limited[-1] < 40
    assert limits[len(limited) :] == [0.0] * (120 - len(limited)), "once free it stays free"
    assert not pace.is_slowed
    assert book(pace, 100, later(MINUTE)) == [0] * 100


def test_what_it_went_at_is_that_of_its_fullest_recent_second() -> None:
    pace = Pace(0, START)
    for second, segments in ((0, 60), (1, 20)):
        pace.reserve(Monotonic((START // SECOND + second) * SECOND), segments)
    pace.throttled(Monotonic((START // SECOND + 1) * SECOND))
    assert pace.limit == 30.0
    long_ago = Pace(0, START)
    long_ago.reserve(START, 60)
    long_ago.throttled(later(10))
    assert long_ago.limit == 1.0
