"""What is counted of a connection: what is in flight, what came of it, and the segments of the last ten seconds."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from postdate.core.instant import SECOND, Monotonic
from postdate.core.traffic import Traffic

BATCHES = st.lists(st.tuples(st.integers(0, 4 * SECOND), st.integers(1, 9)), max_size=60)


@given(BATCHES, st.integers(0, 20 * SECOND))
def test_the_rate_is_that_of_the_last_ten_whole_seconds(batches: list[tuple[int, int]], pause: int) -> None:
    traffic, at, handed = Traffic(), 0, []
    for gap, segments in batches:
        at += gap
        traffic.handed(Monotonic(at), 1, segments)
        handed.append((at // SECOND, segments))
    at += pause
    second = at // SECOND
    expected = sum(segments for when, segments in handed if second - 10 <= when < second) / 10
    assert traffic.rate(Monotonic(at)) == expected
    assert traffic.rate(Monotonic(at + 11 * SECOND)) == 0


def test_what_has_no_outcome_is_in_flight() -> None:
    traffic = Traffic()
    traffic.handed(Monotonic(0), 3, 5)
    traffic.answered("Accepted")
    traffic.answered("InDoubt")
    assert (traffic.in_flight, traffic.outcomes) == (1, Counter(Accepted=1, InDoubt=1))


def test_it_remembers_seconds_and_not_messages() -> None:
    traffic = Traffic()
    for tenth in range(10_000):
        traffic.handed(Monotonic(tenth * SECOND // 10), 1, 1)
    assert len(traffic._recent) <= 12
    assert traffic.rate(Monotonic(1_000 * SECOND)) == 10.0
