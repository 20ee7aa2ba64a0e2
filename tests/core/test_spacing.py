"""What left late must not make the next second too full, and nothing overdue goes all at once."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from postdate.core.instant import MILLISECOND, SECOND, Monotonic
from postdate.core.spacing import Spacing


def run(spacing: Spacing, slots: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return when each of (slot, segments) leaves: at its slot, or when the spacing lets it."""
    went: list[tuple[int, int]] = []
    now = 0
    for slot, segments in slots:
        now = spacing.earliest(Monotonic(max(now, slot)), segments)
        spacing.went(Monotonic(now), segments)
        went.append((now, segments))
    return went


def fullest(went: list[tuple[int, int]], second: int) -> int:
    """Return the most segments of several messages that left in a second, wherever it begins."""
    most = 0
    for i, (begin, _) in enumerate(went):
        inside = [segments for at, segments in went[i:] if at < begin + second]
        most = max(most, sum(inside) if len(inside) > 1 else 0)
    return most


@given(
    mps=st.integers(2, 50),
    late=st.lists(st.integers(0, 400_000), min_size=1, max_size=120),
    margin=st.sampled_from([0, 5 * MILLISECOND]),
)
def test_no_second_is_too_full_however_late_they_leave(mps: int, late: list[int], margin: int) -> None:
    slots = [(n * SECOND // mps + delay, 1) for n, delay in enumerate(late)]
    went = run(Spacing(mps, margin), slots)
    assert fullest(went, SECOND + margin) <= mps
    assert all(at >= slot for (at, _), (slot, _) in zip(went, slots, strict=True))


def test_what_is_on_time_is_not_held_back() -> None:
    slots = [(n * SECOND // 20, 1) for n in range(100)]
    assert run(Spacing(20), slots) == slots


def test_what_is_overdue_goes_at_twice_the_rate_and_not_at_once() -> None:
    went = [at for at, _ in run(Spacing(10), [(3 * SECOND, 1)] * 6)]
    gaps = [b - a for a, b in pairwise(went)]
    assert min(gaps) >= SECOND // 20 - 5 * MILLISECOND
    assert sum(gaps) >= 5 * SECOND // 20 - 5 * MILLISECOND


def test_a_margin_costs_less_than_a_hundredth_of_the_rate() -> None:
    went = run(Spacing(20, 5 * MILLISECOND), [(n * SECOND // 20, 1) for n in range(20 * 60)])
    assert (len(went) - 1) / ((went[-1][0] - went[0][0]) / SECOND) >= 19.8


def test_a_message_longer_than_the_rate_goes_alone() -> None:
    went = run(Spacing(2), [(0, 5), (0, 1)])
    assert went == [(0, 5), (max(SECOND, 5 * SECOND // 4 - 5 * MILLISECOND), 1)]


def test_a_new_rate_counts_from_the_last_message_on() -> None:
    spacing = Spacing(1)
    spacing.went(Monotonic(0), 1)
    spacing.change_rate(10)
    assert spacing.earliest(Monotonic(0), 1) == SECOND // 20 - 5 * MILLISECOND
