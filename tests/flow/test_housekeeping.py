"""Housekeeping refuses what is new before the disk is full, forgets what is old, and minds no trouble of the store."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from postdate.clock import breathe
from postdate.core.errors import Rejected
from postdate.core.instant import DAY, MINUTE, SECOND, Instant
from postdate.core.message import Status
from postdate.flow.housekeeping import EVERY, KEPT_FOR, PRUNE_EVERY, Housekeeping
from postdate.store.contract import StoreFull
from tests.flow.building import START, CountingClock, Flow, JumpingClock, StepClock

NOBODY_HAS_SO_MUCH = 2**80


class House:
    """Housekeeping of a flow, and what it said about room."""

    def __init__(self, flow: Flow, clock: StepClock, min_free: int) -> None:
        self.flow = flow
        self.clock = clock
        self.said: list[str | None] = []
        self.housekeeping = Housekeeping(flow.store, clock, flow.folder, min_free)
        self.housekeeping.refuse = self.said.append

    async def settle(self) -> None:
        while not self.flow.store.idle:
            await breathe(0.0002)
        for _ in range(5):
            await breathe()

    async def advance(self, micros: int) -> None:
        await self.clock.advance_to(Instant(self.clock.now() + micros), self.settle)


@asynccontextmanager
async def keeping(flow: Flow, clock: StepClock | None = None, min_free: int = 0) -> AsyncIterator[House]:
    house = House(flow, clock or JumpingClock(START), min_free)
    task = asyncio.create_task(house.housekeeping.run())
    await house.settle()
    yield house
    house.housekeeping.stop()
    await asyncio.wait_for(task, 60)


def prunings(flow: Flow) -> int:
    return flow.store.calls.count("prune")


async def test_with_room_on_the_disk_nothing_is_refused(flow: Flow) -> None:
    async with keeping(flow) as house:
        assert house.said == [None]


async def test_without_room_it_says_why_and_what_to_do(flow: Flow) -> None:
    async with keeping(flow, min_free=NOBODY_HAS_SO_MUCH) as house:
        (reason,) = house.said
        assert reason is not None
        assert str(flow.folder) in reason
        assert "free some space" in reason


async def test_new_messages_are_refused_and_accepted_ones_still_go_out(flow: Flow) -> None:
    accepted = await flow.send(Instant(flow.clock.now() + MINUTE))
    async with keeping(flow, min_free=NOBODY_HAS_SO_MUCH) as house:
        flow.ingest.refusing = house.said[-1]
        with pytest.raises(Rejected, match="nearly full") as refusal:
            await flow.send()
        assert refusal.value.code == 20503
        await flow.advance(60)
        assert (await flow.read(accepted)).status is Status.SENT


async def test_it_looks_every_few_seconds(flow: Flow) -> None:
    found = os.statvfs(flow.folder)
    free = found.f_bavail * found.f_frsize
    async with keeping(flow, min_free=free // 2) as house:
        await house.advance(3 * EVERY)
        assert 4 <= len(house.said) <= 4 + 3 * EVERY // SECOND
        assert set(house.said) == {None}


async def test_it_prunes_at_once_and_then_now_and_then(flow: Flow) -> None:
    async with keeping(flow) as house:
        assert prunings(flow) == 1
        await house.advance(PRUNE_EVERY - SECOND)
        assert prunings(flow) == 1
        await house.advance(EVERY + SECOND)
        assert prunings(flow) == 2


async def test_what_is_old_is_forgotten_and_what_may_come_again_is_not(flow: Flow) -> None:
    first = await flow.send(idempotency_key="key")
    await flow.settle()
    clock = JumpingClock(Instant(START + KEPT_FOR - DAY))
    async with keeping(flow, clock):
        assert (await flow.send(idempotency_key="key")).sid == first.sid
    clock.jump(DAY + MINUTE)
    async with keeping(flow, clock):
        assert (await flow.send(idempotency_key="key")).sid != first.sid


async def test_trouble_of_the_store_is_survived(flow: Flow) -> None:
    flow.store.fail("prune", StoreFull("no room"))
    async with keeping(flow) as house:
        assert prunings(flow) == 0
        await house.advance(PRUNE_EVERY + EVERY)
        assert prunings(flow) == 1


async def test_a_clock_that_is_moved_by_hand_is_not_made_to_stop_for_it(flow: Flow) -> None:
    clock = CountingClock(START)
    async with keeping(flow, clock) as house:
        assert house.said == [None]
        assert clock.timers == 0


async def test_it_stops_at_once(flow: Flow) -> None:
    async with keeping(flow, CountingClock(START)):
        pass
