"""When to try again after a submission that left nothing with the carrier, and that the five outcomes are five."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.core.instant import HOUR, SECOND, Instant
from postdate.core.outcome import (
    FIRST_RETRY,
    LONGEST_RETRY,
    Accepted,
    Busy,
    InDoubt,
    Outcome,
    Refused,
    Unreachable,
    retry_at,
)

AT = Instant(1_900_000_000_000_000)
WAITS = {1: 1, 2: 2, 3: 4, 4: 8, 5: 16, 6: 32, 7: 60, 8: 60, 20: 60, 10_000: 60}

attempts = st.integers(1, 10_000)
chances = st.floats(0, 1, exclude_max=True)


def test_a_time_out_is_an_outcome_of_its_own() -> None:
    assert set(get_args(Outcome)) == {Accepted, Refused, Busy, Unreachable, InDoubt}


@pytest.mark.parametrize(("attempt", "seconds"), WAITS.items())
def test_waits_double_up_to_a_minute(attempt: int, seconds: int) -> None:
    assert retry_at(AT, attempt, None, 0.0) == AT + seconds * SECOND


@given(attempt=attempts, chance=chances)
def test_chance_adds_up_to_a_quarter(attempt: int, chance: float) -> None:
    least = retry_at(AT, attempt, None, 0.0) - AT
    assert least <= retry_at(AT, attempt, None, chance) - AT <= least * 5 // 4


@given(attempt=attempts, chance=st.tuples(chances, chances))
def test_more_chance_is_never_less_wait(attempt: int, chance: tuple[float, float]) -> None:
    less, more = sorted(chance)
    assert retry_at(AT, attempt, None, less) <= retry_at(AT, attempt, None, more)


def test_chance_spreads_those_who_failed_together() -> None:
    assert len({retry_at(AT, 3, None, n / 100) for n in range(100)}) == 100


@given(attempt=attempts, chance=chances, asked=st.none() | st.integers(0, 2 * HOUR))
def test_never_sooner_than_the_carrier_asked(attempt: int, chance: float, asked: int | None) -> None:
    own = retry_at(AT, attempt, None, chance)
    assert retry_at(AT, attempt, asked, chance) == max(own, AT + (asked or 0))


@given(at=st.integers(0, 2**53).map(Instant), attempt=attempts, chance=chances)
def test_it_is_always_later_and_never_by_much(at: Instant, attempt: int, chance: float) -> None:
    assert at + FIRST_RETRY <= retry_at(at, attempt, None, chance) <= at + LONGEST_RETRY * 5 // 4
