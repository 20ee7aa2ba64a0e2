"""What is counted as messages move, and how sums and percentiles come of it."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.core.instant import DAY, HOUR, MILLISECOND, MINUTE, Instant
from postdate.core.message import TRANSITIONS, Status
from postdate.core.tally import Count, Tally, Totals, by_hour, counted, hour_of, late, lateness, since, totals

NOON = Instant(1_900_000_000_000_000 // HOUR * HOUR)
S = Status
MOVES = [
    (before, now) for before, moves in TRANSITIONS.items() for now in sorted(set(moves.values())) if before is not now
]
COUNTED = {
    (S.SENDING, S.SENT): (Count.SENT,),
    (S.SENDING, S.DELIVERED): (Count.SENT, Count.DELIVERED),
    (S.SENDING, S.READ): (Count.SENT, Count.DELIVERED),
    (S.SENDING, S.UNDELIVERED): (Count.SENT, Count.UNDELIVERED),
    (S.SENT, S.DELIVERED): (Count.DELIVERED,),
    (S.SENT, S.READ): (Count.DELIVERED,),
    (S.SENT, S.UNDELIVERED): (Count.UNDELIVERED,),
    (S.SCHEDULED, S.CANCELED): (Count.CANCELED,),
    (S.RECEIVING, S.RECEIVED): (Count.RECEIVED,),
    **{(before, S.FAILED): (Count.FAILED,) for before in (S.ACCEPTED, S.SCHEDULED, S.QUEUED, S.SENDING)},
}


@pytest.mark.parametrize(("before", "now"), MOVES)
def test_every_move_counts_as_the_table_says(before: Status, now: Status) -> None:
    assert counted(before, now) == COUNTED.get((before, now), ())


@pytest.mark.parametrize(
    ("late_by", "shown"),
    [
        (-5, MILLISECOND),
        (0, MILLISECOND),
        (MILLISECOND, MILLISECOND),
        (2 * MILLISECOND, 2 * MILLISECOND),
        (MINUTE, 65_536 * MILLISECOND),
        (400 * DAY, 2**30 * MILLISECOND),
    ],
)
def test_lateness_is_shown_by_the_edge_of_its_bucket(late_by: int, shown: int) -> None:
    assert lateness([Tally(NOON, late(late_by), 1)]) == (1, shown, shown)


@given(st.lists(st.integers(MILLISECOND, 5 * DAY), min_size=1, max_size=300))
def test_percentiles_are_never_too_low_and_at_most_a_fifth_too_high(values: list[int]) -> None:
    found = lateness([Tally(Instant(NOON + n % 3 * HOUR), late(value), 1) for n, value in enumerate(values)])
    assert found is not None
    assert found.number == len(values)
    for percent, shown in ((50, found.p50), (99, found.p99)):
        true = sorted(values)[math.ceil(len(values) * percent / 100) - 1]
        assert true - 1 <= shown <= true * 1.2


TALLIES: Sequence[Tally] = (
    Tally(NOON, "accepted", 3),
    Tally(Instant(NOON + HOUR), "accepted", 4),
    Tally(Instant(NOON + HOUR), "failed", 1),
    Tally(Instant(NOON + HOUR), late(7), 9),
    Tally(Instant(NOON + HOUR), "something newer", 9),
)


def test_sums() -> None:
    assert totals(TALLIES) == Totals(accepted=7, failed=1)
    assert totals([]) == Totals()
    assert by_hour(reversed(TALLIES)) == {NOON: Totals(accepted=3), NOON + HOUR: Totals(accepted=4, failed=1)}
    assert since(TALLIES, Instant(NOON + HOUR + 5)) == list(TALLIES[1:])
    assert lateness(TALLIES[:3]) is None


def test_an_hour_begins_at_its_beginning() -> None:
    assert hour_of(NOON) == hour_of(Instant(NOON + HOUR - 1)) == NOON
