"""An alarm wakes its task at its time or when it is woken, whichever is first, and leaves no timer behind."""

import asyncio

import pytest

from postdate.clock import breathe
from postdate.core.instant import HOUR, MILLISECOND, SECOND, Instant, Monotonic
from postdate.flow.alarm import Alarm
from tests.flow.building import START, CountingClock, JumpingClock, is_idle


async def nothing() -> None:
    await breathe()


async def move(clock: CountingClock | JumpingClock, by: int) -> None:
    await clock.advance_to(Instant(clock.now() + by), nothing)


def later(clock: CountingClock | JumpingClock, by: int) -> Monotonic:
    return Monotonic(clock.monotonic() + by)


async def begun(waiting: "asyncio.Task[None]") -> "asyncio.Task[None]":
    """Let a task run until it waits."""
    await breathe()
    await breathe()
    return waiting


async def test_it_rings_at_its_time_and_not_before() -> None:
    clock = CountingClock(START)
    waiting = await begun(asyncio.create_task(Alarm(clock).wait(later(clock, HOUR))))
    await move(clock, HOUR - 1)
    assert not waiting.done()
    await move(clock, 1)
    assert waiting.done()
    assert clock.timers == 0


async def test_without_a_time_it_waits_to_be_woken_and_sets_no_timer() -> None:
    clock = CountingClock(START)
    alarm = Alarm(clock)
    waiting = await begun(asyncio.create_task(alarm.wait()))
    assert clock.timers == 0
    await move(clock, 1_000 * HOUR)
    assert not waiting.done()
    alarm.wake()
    await asyncio.wait_for(waiting, 60)


async def test_waking_ends_the_wait_and_takes_back_the_timer() -> None:
    clock = CountingClock(START)
    alarm = Alarm(clock)
    waiting = await begun(asyncio.create_task(alarm.wait(later(clock, HOUR))))
    assert clock.timers == 1
    alarm.wake()
    await asyncio.wait_for(waiting, 60)
    assert clock.timers == 0


async def test_waking_before_the_wait_ends_the_next_one_and_no_other() -> None:
    clock = CountingClock(START)
    alarm = Alarm(clock)
    alarm.wake()
    alarm.wake()
    await asyncio.wait_for(alarm.wait(later(clock, HOUR)), 60)
    waiting = await begun(asyncio.create_task(alarm.wait(later(clock, HOUR))))
    assert not waiting.done()
    waiting.cancel()


@pytest.mark.parametrize("by", [0, -1, -HOUR], ids=["now", "just past", "long past"])
async def test_a_time_that_has_come_ends_the_wait_at_once(by: int) -> None:
    clock = CountingClock(START)
    alarm = Alarm(clock)
    await asyncio.wait_for(alarm.wait(later(clock, by)), 60)
    waiting = await begun(asyncio.create_task(alarm.wait()))
    assert not waiting.done()  # what ended one wait does not end the next
    waiting.cancel()


async def test_a_wait_that_is_called_off_leaves_nothing() -> None:
    clock = CountingClock(START)
    alarm = Alarm(clock)
    waiting = await begun(asyncio.create_task(alarm.wait(later(clock, HOUR))))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert clock.timers == 0
    assert not is_idle(alarm)


async def test_it_is_idle_only_while_its_task_waits_and_nothing_woke_it() -> None:
    clock = CountingClock(START)
    alarm = Alarm(clock)
    assert not is_idle(alarm)
    waiting = await begun(asyncio.create_task(alarm.wait(later(clock, HOUR))))
    assert is_idle(alarm)
    alarm.wake()
    assert not is_idle(alarm)
    await waiting
    assert not is_idle(alarm)


async def test_where_the_wall_clock_can_jump_it_looks_up_at_least_every_second() -> None:
    clock = JumpingClock(START)
    waiting = await begun(asyncio.create_task(Alarm(clock).wait(later(clock, HOUR))))
    await move(clock, SECOND - 1)
    assert not waiting.done()
    await move(clock, 1)
    assert waiting.done()


async def test_a_short_wait_is_not_made_longer() -> None:
    clock = JumpingClock(START)
    waiting = await begun(asyncio.create_task(Alarm(clock).wait(later(clock, MILLISECOND))))
    await move(clock, MILLISECOND)
    assert waiting.done()
