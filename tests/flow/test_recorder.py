"""Outcomes reach the disk whatever the store does, once each and in order; what waits for them hears only then."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from postdate.clock import breathe
from postdate.core.instant import SECOND, Instant
from postdate.core.message import Status
from postdate.flow.recorder import GATHER, MOST_IN_A_COMMIT, Recorder
from postdate.store.contract import Failed, Handed, Result, Returned, StoreError, StoreFull, StoreUnavailable
from postdate.store.sqlite import SqliteStore
from tests.flow.building import CONNECTION, CountingClock, JumpingClock, StepClock, WatchedStore, is_idle
from tests.store import building as stored

FULL = StoreFull("no room on the disk: free some space")
AWAY = StoreUnavailable("the store cannot be reached")


class Recording:
    """A recorder, the store it writes to, and what it told whom."""

    def __init__(self, store: WatchedStore, clock: StepClock) -> None:
        self.store = store
        self.clock = clock
        self.told: list[str] = []
        self.recorder = Recorder(store, clock, stored.RUN)

    def put(self, *results: Result) -> None:
        for result in results:
            self.recorder.put(result, lambda sid=result.sid: self.told.append(sid))  # type: ignore[misc]

    async def settle(self) -> None:
        rounds = 0
        while rounds < 6:
            rounds = rounds + 1 if (self.recorder.idle or self.store.held) and self.store.idle else 0
            await breathe(0.0 if rounds else 0.0001)

    async def advance(self, micros: int) -> None:
        await self.clock.advance_to(Instant(self.clock.now() + micros), self.settle)

    async def statuses(self, numbers: Sequence[int]) -> list[Status]:
        return [(await stored.read(self.store.real, stored.a_message(n))).status for n in numbers]


@pytest.fixture
async def recording(tmp_path: Path) -> AsyncIterator[Recording]:
    """Give a recorder and a store in which the messages 1 to 5 are being handed over by its run."""
    store = SqliteStore(tmp_path / "postdate.db")
    await store.open()
    for number in range(1, 6):
        await stored.bring(store, stored.a_message(number), Status.SENDING)
    yield Recording(WatchedStore(store), JumpingClock(stored.later(60)))
    await store.close()


def handed(number: int) -> Handed:
    return Handed(stored.sid_of(number), CONNECTION, f"ref-{number}")


def sids(*numbers: int) -> list[str]:
    return [stored.sid_of(number) for number in numbers]


async def test_what_waits_for_a_result_hears_when_it_is_on_disk_and_not_before(recording: Recording) -> None:
    hold = recording.store.hold("record", "after")
    recording.put(handed(1), handed(2))
    await recording.advance(GATHER)
    assert hold.reached.is_set()
    assert recording.told == []
    assert await recording.statuses([1, 2]) == [Status.SENT, Status.SENT]
    hold.opened.set()
    await recording.settle()
    assert recording.told == sids(1, 2)


async def test_a_result_waits_a_moment_for_others_and_no_longer(recording: Recording) -> None:
    recording.put(handed(1))
    await recording.advance(GATHER - 1)
    recording.put(handed(2), Failed(stored.sid_of(3), 30007), Returned(stored.sid_of(4)))
    await recording.settle()
    assert recording.store.calls == []
    await recording.advance(1)
    assert recording.store.calls == ["record"]
    assert recording.told == sids(1, 2, 3, 4)
    assert await recording.statuses([1, 2, 3, 4]) == [Status.SENT, Status.SENT, Status.FAILED, Status.SENDING]


async def test_what_comes_while_it_writes_goes_with_the_next_transaction(recording: Recording) -> None:
    hold = recording.store.hold("record", "before")
    recording.put(handed(1))
    await recording.advance(GATHER)
    recording.put(handed(2), handed(3))
    hold.opened.set()
    await recording.advance(GATHER)
    assert recording.store.calls == ["record", "record"]
    assert recording.told == sids(1, 2, 3)


async def test_a_transaction_is_no_larger_than_it_may_be(recording: Recording) -> None:
    recording.put(*(handed(1) for _ in range(2 * MOST_IN_A_COMMIT + 1)))
    await recording.advance(GATHER)
    assert recording.store.calls == ["record"] * 3
    assert len(recording.told) == 2 * MOST_IN_A_COMMIT + 1


@pytest.mark.parametrize("error", [FULL, AWAY], ids=["full", "unavailable"])
async def test_a_store_that_fails_is_tried_again_every_second_and_nothing_is_forgotten(
    recording: Recording, error: StoreError
) -> None:
    recording.store.fail("record", error, error, error)
    recording.put(handed(1), handed(2))
    await recording.advance(GATHER)
    recording.put(handed(3))
    await recording.advance(3 * SECOND - GATHER)
    assert recording.told == []
    assert await recording.statuses([1, 2, 3]) == [Status.SENDING] * 3
    await recording.advance(5 * GATHER)
    assert recording.told == sids(1, 2, 3)
    assert await recording.statuses([1, 2, 3]) == [Status.SENT] * 3


async def test_it_is_idle_while_it_waits_for_the_store_to_recover(recording: Recording) -> None:
    assert is_idle(recording.recorder)
    recording.store.fail("record", AWAY)
    recording.put(handed(1))
    assert not is_idle(recording.recorder)
    await recording.advance(GATHER)
    assert is_idle(recording.recorder)
    assert await recording.statuses([1]) == [Status.SENDING]


async def test_it_is_settled_when_all_is_on_disk(recording: Recording) -> None:
    await asyncio.wait_for(recording.recorder.settled(), 60)
    recording.store.fail("record", AWAY)
    recording.put(handed(1), handed(2))
    settled = asyncio.create_task(recording.recorder.settled())
    await recording.advance(GATHER)
    assert not settled.done()
    await recording.advance(SECOND + GATHER)
    await asyncio.wait_for(settled, 60)
    assert await recording.statuses([1, 2]) == [Status.SENT, Status.SENT]


async def test_it_has_caught_up_when_what_was_put_before_is_on_disk(recording: Recording) -> None:
    await asyncio.wait_for(recording.recorder.caught_up(), 60)
    recording.put(handed(1), handed(2))
    hold = recording.store.hold("record", "before")
    advancing = asyncio.create_task(recording.advance(GATHER))
    await hold.reached.wait()
    first = asyncio.create_task(recording.recorder.caught_up())
    await breathe()
    recording.put(handed(3))
    second = asyncio.create_task(recording.recorder.caught_up())
    await breathe()
    assert not first.done()
    hold.opened.set()
    await advancing
    await asyncio.wait_for(first, 60)
    assert recording.told == sids(1, 2)
    assert not second.done()
    await recording.advance(GATHER)
    await asyncio.wait_for(second, 60)
    assert recording.told == sids(1, 2, 3)


async def test_thousands_may_wait_until_it_has_caught_up(recording: Recording) -> None:
    recording.put(handed(1), handed(2))
    waiting = [asyncio.create_task(recording.recorder.caught_up()) for _ in range(3_000)]
    gone = waiting.pop()
    await breathe()
    gone.cancel()
    recording.put(handed(3))
    await recording.advance(2 * GATHER)
    await asyncio.wait_for(asyncio.gather(*waiting), 60)
    assert recording.told == sids(1, 2, 3)


async def test_on_a_clock_that_is_moved_by_hand_it_waits_for_nobody(recording: Recording) -> None:
    clock = CountingClock(stored.later(60))
    still = Recording(recording.store, clock)
    still.put(handed(1), handed(2))
    await asyncio.wait_for(still.recorder.settled(), 60)
    assert still.told == sids(1, 2)
    assert clock.timers == 0


async def test_what_is_put_by_those_who_hear_is_recorded_too(recording: Recording) -> None:
    recording.recorder.put(Returned(stored.sid_of(1)), lambda: recording.put(Failed(stored.sid_of(1), 30008)))
    await recording.advance(2 * GATHER)
    assert await recording.statuses([1]) == [Status.FAILED]
    assert recording.told == sids(1)


async def test_it_begins_again_after_it_came_to_rest(recording: Recording) -> None:
    for number in (1, 2):
        recording.put(handed(number))
        await recording.advance(GATHER)
    assert await recording.statuses([1, 2]) == [Status.SENT, Status.SENT]
    assert recording.told == sids(1, 2)
