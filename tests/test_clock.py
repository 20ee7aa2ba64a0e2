"""The test clock does everything in order and nothing early; the machine's clock never steps back."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.clock import Clock, SystemClock, TestClock, breathe
from postdate.core.instant import DAY, HOUR, MILLISECOND, SECOND, Instant, Monotonic

START = Instant(1_900_000_000_000_000)
LONG = 60.0  # seconds of the machine's time after which something is not going to happen


async def nothing() -> None:
    """There is nobody to wait for."""


def later(clock: Clock, by: int) -> Monotonic:
    return Monotonic(clock.monotonic() + by)


def frozen() -> TestClock:
    return TestClock(START, frozen=True)


async def advance(clock: TestClock, by: int) -> None:
    await clock.advance_to(Instant(clock.now() + by), nothing)


class Passed:
    """How much time has passed on a clock since this was made."""

    def __init__(self, clock: TestClock) -> None:
        self._clock = clock
        self.start = clock.now()

    def __call__(self) -> int:
        return self._clock.now() - self.start

    def at(self, passed: int) -> Instant:
        return Instant(self.start + passed)


# --- standing still --------------------------------------------------------------------------------------------------


async def test_a_frozen_clock_stands_still() -> None:
    clock = frozen()
    shown = clock.now(), clock.monotonic()
    await breathe(0.002)
    assert (clock.now(), clock.monotonic()) == shown
    assert clock.frozen


async def test_a_frozen_clock_shows_the_very_time_it_is_told() -> None:
    assert {frozen().now() for _ in range(100)} == {START}


async def test_a_clock_that_is_not_frozen_begins_where_it_is_told_and_runs() -> None:
    clock = TestClock(START)
    first = clock.now()
    assert START <= first < START + LONG * SECOND
    await breathe(0.002)
    assert clock.now() >= first + 1 * MILLISECOND
    assert not clock.frozen


async def test_freezing_and_resuming_loses_no_time_and_gains_none() -> None:
    clock = TestClock(START)
    clock.freeze()
    shown = clock.now()
    await breathe(0.005)
    assert clock.now() == shown
    machine = SystemClock()
    before = machine.monotonic()
    clock.resume()
    assert 0 <= clock.now() - shown <= machine.monotonic() - before
    await breathe(0.002)
    assert clock.now() >= shown + 1 * MILLISECOND


async def test_freezing_twice_and_resuming_twice_is_as_once() -> None:
    clock = TestClock(START)
    clock.freeze()
    shown = clock.now()
    await breathe(0.002)
    clock.freeze()
    assert clock.now() == shown
    clock.resume()
    clock.resume()
    assert not clock.frozen
    assert clock.now() < shown + LONG * SECOND


async def test_nothing_rings_while_it_is_frozen_and_all_that_is_due_after() -> None:
    clock = TestClock(START)
    rung = asyncio.Event()
    clock.call_at(later(clock, 1 * MILLISECOND), rung.set)
    clock.freeze()
    await breathe(0.005)
    assert not rung.is_set()
    clock.resume()
    await asyncio.wait_for(rung.wait(), LONG)


# --- moving ----------------------------------------------------------------------------------------------------------


async def test_wall_time_and_waiting_time_move_together() -> None:
    clock = frozen()
    wall, waiting = clock.now(), clock.monotonic()
    await advance(clock, 3 * DAY)
    assert (clock.now() - wall, clock.monotonic() - waiting) == (3 * DAY, 3 * DAY)


async def test_each_timer_rings_at_its_own_time() -> None:
    clock = frozen()
    passed = Passed(clock)
    seen: list[int] = []
    for wait in (5 * SECOND, 1, 2 * HOUR, 1 * MILLISECOND):
        clock.call_at(later(clock, wait), lambda: seen.append(passed()))
    await advance(clock, DAY)
    assert seen == [1, 1 * MILLISECOND, 5 * SECOND, 2 * HOUR]
    assert passed() == DAY


async def test_timers_of_one_time_ring_in_the_order_they_were_set() -> None:
    clock = frozen()
    seen: list[int] = []
    when = later(clock, SECOND)
    for number in range(20):
        clock.call_at(when, lambda number=number: seen.append(number))  # type: ignore[misc]
    await advance(clock, SECOND)
    assert seen == list(range(20))


async def test_what_is_due_at_the_target_rings_and_what_is_due_after_it_does_not() -> None:
    clock = frozen()
    seen: list[str] = []
    clock.call_at(later(clock, SECOND), lambda: seen.append("at"))
    clock.call_at(later(clock, SECOND + 1), lambda: seen.append("after"))
    await advance(clock, SECOND)
    assert seen == ["at"]
    await advance(clock, 1)
    assert seen == ["at", "after"]


async def test_advancing_to_the_present_rings_what_is_due_already() -> None:
    clock = frozen()
    passed = Passed(clock)
    seen: list[int] = []
    clock.call_at(Monotonic(clock.monotonic() - SECOND), lambda: seen.append(passed()))
    await advance(clock, 0)
    assert seen == [0]


async def test_a_timer_that_is_called_off_does_not_ring() -> None:
    clock = frozen()
    seen: list[str] = []
    timers = [clock.call_at(later(clock, SECOND), lambda name=name: seen.append(name)) for name in "abc"]  # type: ignore[misc]
    timers[1].cancel()
    timers[1].cancel()
    await advance(clock, SECOND)
    assert seen == ["a", "c"]


async def test_a_timer_can_call_off_another_of_the_same_time() -> None:
    clock = frozen()
    seen: list[str] = []
    second = clock.call_at(later(clock, SECOND), lambda: seen.append("second"))
    other = clock.call_at(later(clock, SECOND), lambda: seen.append("other"))
    clock.call_at(later(clock, SECOND - 1), other.cancel)
    await advance(clock, HOUR)
    assert seen == ["second"]
    second.cancel()


async def test_what_a_timer_sets_happens_on_the_same_way() -> None:
    clock = frozen()
    passed = Passed(clock)
    seen: list[int] = []

    def again() -> None:
        seen.append(passed())
        clock.call_at(later(clock, HOUR), again)

    clock.call_at(later(clock, HOUR), again)
    await advance(clock, 5 * HOUR)
    assert seen == [HOUR, 2 * HOUR, 3 * HOUR, 4 * HOUR, 5 * HOUR]


async def test_what_settling_sets_happens_on_the_same_way() -> None:
    clock = frozen()
    passed = Passed(clock)
    seen: list[int] = []

    async def settle() -> None:
        if passed() == HOUR and not seen:
            clock.call_at(later(clock, MILLISECOND), lambda: seen.append(passed()))

    clock.call_at(later(clock, HOUR), lambda: None)
    await clock.advance_to(passed.at(2 * HOUR), settle)
    assert seen == [HOUR + MILLISECOND]


async def test_it_settles_before_it_moves_at_every_stop_and_at_the_end() -> None:
    clock = frozen()
    passed = Passed(clock)
    stops: list[int] = []

    async def settle() -> None:
        stops.append(passed())

    for wait in (SECOND, SECOND, HOUR):
        clock.call_at(later(clock, wait), lambda: None)
    await clock.advance_to(passed.at(DAY), settle)
    assert stops == [0, SECOND, HOUR, DAY]


async def test_it_never_goes_back() -> None:
    clock = frozen()
    passed = Passed(clock)
    await advance(clock, HOUR)
    seen: list[int] = []
    clock.call_at(later(clock, 0), lambda: seen.append(1))
    with pytest.raises(ValueError, match="never goes back"):
        await clock.advance_to(passed.at(HOUR - 1), nothing)
    assert passed() == HOUR
    assert seen == []


async def test_a_running_clock_runs_on_from_where_it_was_moved_to() -> None:
    clock = TestClock(START)
    seen: list[int] = []
    clock.call_at(later(clock, DAY), lambda: seen.append(clock.now()))
    target = Instant(clock.now() + 2 * DAY)
    await clock.advance_to(target, nothing)
    assert len(seen) == 1
    assert not clock.frozen
    assert target <= clock.now() < target + LONG * SECOND


async def test_a_clock_that_was_frozen_stays_so() -> None:
    clock = frozen()
    await advance(clock, HOUR)
    assert clock.frozen


class Refused(Exception):
    """Settling failed."""


async def test_a_running_clock_still_runs_after_settling_failed() -> None:
    clock = TestClock(START)

    async def settle() -> None:
        raise Refused

    with pytest.raises(Refused):
        await clock.advance_to(Instant(clock.now() + HOUR), settle)
    assert not clock.frozen


async def test_two_who_advance_at_once_get_both_where_they_want() -> None:
    clock = TestClock(START)
    seen: list[int] = []
    for hours in range(1, 6):
        clock.call_at(later(clock, hours * HOUR), lambda hours=hours: seen.append(hours))  # type: ignore[misc]
    start = clock.now()
    await asyncio.gather(
        clock.advance_to(Instant(start + 2 * HOUR + SECOND), breathe),
        clock.advance_to(Instant(start + 5 * HOUR + SECOND), breathe),
    )
    assert seen == [1, 2, 3, 4, 5]
    assert clock.now() >= start + 5 * HOUR + SECOND
    assert not clock.frozen


async def test_resuming_while_it_is_moved_does_not_end_the_way() -> None:
    clock = frozen()
    seen: list[int] = []

    def resume() -> None:
        seen.append(1)
        clock.resume()

    clock.call_at(later(clock, HOUR), resume)
    clock.call_at(later(clock, 2 * HOUR), lambda: seen.append(2))
    await clock.advance_to(Instant(clock.now() + 3 * HOUR), breathe)
    assert seen == [1, 2]


@given(
    st.lists(st.tuples(st.integers(0, 50), st.booleans(), st.none() | st.integers(0, 20)), max_size=30),
    st.lists(st.integers(0, 30), min_size=1, max_size=5),
)
async def test_any_timers_ring_in_order_each_once_and_never_early(
    timers: list[tuple[int, bool, int | None]], steps: list[int]
) -> None:
    clock = frozen()
    passed = Passed(clock)
    rung: list[tuple[int, int]] = []  # (when it was due, when it rang)
    expected: list[int] = []
    end = sum(steps)

    def set_timer(due: int, then: int | None) -> Callable[[], None]:
        def ring() -> None:
            rung.append((due, passed()))
            if then is not None:
                clock.call_at(Monotonic(clock.monotonic() + then), set_timer(due + then, None))

        return ring

    origin = clock.monotonic()
    for due, called_off, then in timers:
        timer = clock.call_at(Monotonic(origin + due), set_timer(due, then))
        if called_off:
            timer.cancel()
            continue
        expected.extend(time for time in (due, due + then if then is not None else None) if time is not None)
    for step in steps:
        await advance(clock, step)
    assert [due for due, _ in rung] == sorted(due for due in expected if due <= end)
    assert all(due == at for due, at in rung)


# --- running with the machine's clock --------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [SystemClock, lambda: TestClock(START)], ids=["system", "test"])
async def test_a_timer_rings_by_itself_and_not_before_its_time(make: Callable[[], Clock]) -> None:
    clock = make()
    rung: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    due = later(clock, 3 * MILLISECOND)

    def ring() -> None:
        if clock.monotonic() < due:  # the loop's timers may fire a little early: whoever waits looks again
            clock.call_at(due, ring)
        else:
            rung.set_result(clock.monotonic())

    clock.call_at(due, ring)
    assert await asyncio.wait_for(rung, LONG) >= due


async def test_a_running_clock_rings_what_is_set_sooner_first() -> None:
    clock = TestClock(START)
    rung: asyncio.Queue[str] = asyncio.Queue()
    clock.call_at(later(clock, HOUR), lambda: rung.put_nowait("late"))
    clock.call_at(later(clock, 4 * MILLISECOND), lambda: rung.put_nowait("second"))
    clock.call_at(later(clock, 1 * MILLISECOND), lambda: rung.put_nowait("first"))
    assert [await asyncio.wait_for(rung.get(), LONG) for _ in range(2)] == ["first", "second"]


async def test_after_it_was_moved_a_running_clock_rings_in_time() -> None:
    clock = TestClock(START)
    rung = asyncio.Event()
    clock.call_at(later(clock, HOUR), rung.set)
    await clock.advance_to(Instant(clock.now() + HOUR - 2 * MILLISECOND), nothing)
    await asyncio.wait_for(rung.wait(), LONG)


async def test_after_it_was_frozen_a_running_clock_does_not_ring_early() -> None:
    clock = TestClock(START)
    due = later(clock, 5 * MILLISECOND)
    rung: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    clock.call_at(due, lambda: rung.set_result(clock.monotonic()))
    clock.freeze()
    await breathe(0.01)
    clock.resume()
    assert await asyncio.wait_for(rung, LONG) >= due


def test_the_machines_clock_counts_microseconds_and_never_steps_back() -> None:
    clock = SystemClock()
    seen = [clock.monotonic() for _ in range(1_000)]
    assert seen == sorted(seen)
    assert 1_700_000_000_000_000 < clock.now() < 10_000_000_000_000_000
    assert clock.longest_wait == SECOND  # a jump of the wall clock is noticed within it
    assert frozen().longest_wait is None  # there it cannot jump


async def test_a_timer_of_the_machines_clock_can_be_called_off() -> None:
    clock = SystemClock()
    rung = asyncio.Event()
    clock.call_at(later(clock, 0), lambda: None)
    clock.call_at(later(clock, 0), rung.set).cancel()
    await breathe(0.003)
    assert not rung.is_set()


async def test_breathing_lets_others_run() -> None:
    seen: list[str] = []

    async def other() -> None:
        seen.append("other")

    task = asyncio.create_task(other())
    await breathe()
    assert seen == ["other"]
    await task
