"""Who asks while a commit runs shares the next; each caller hears of its own item and of its own failure."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.clock import breathe
from postdate.flow.group_commit import GroupCommit
from postdate.store.contract import StoreFull
from tests.flow.building import is_idle


class Disk:
    """A commit that takes until the test lets it, and writes down its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.fails: BaseException | None = None
        self._turns: asyncio.Queue[None] = asyncio.Queue()

    def turn(self, turns: int = 1) -> None:
        for _ in range(turns):
            self._turns.put_nowait(None)

    async def commit(self, items: Sequence[int]) -> Sequence[str]:
        self.batches.append(list(items))
        await self._turns.get()
        if self.fails is not None:
            error, self.fails = self.fails, None
            raise error
        return [f"done {item}" for item in items]


def asking(group: "GroupCommit[int, str]", *items: int) -> "list[asyncio.Future[str]]":
    return [group.add(item) for item in items]


async def breathe_often() -> None:
    for _ in range(5):
        await breathe()


async def test_a_single_item_is_committed_at_once() -> None:
    disk = Disk()
    disk.turn()
    assert await GroupCommit(disk.commit, 10).add(1) == "done 1"
    assert disk.batches == [[1]]


async def test_who_asks_while_a_commit_runs_shares_the_next() -> None:
    disk = Disk()
    group = GroupCommit(disk.commit, 10)
    first = asking(group, 1)
    await breathe_often()
    others = asking(group, 2, 3, 4)
    await breathe_often()
    assert (disk.batches, group.waiting) == ([[1]], 3)
    disk.turn(2)
    assert await asyncio.gather(*first, *others) == ["done 1", "done 2", "done 3", "done 4"]
    assert disk.batches == [[1], [2, 3, 4]]


async def test_who_asks_together_shares_the_first() -> None:
    disk = Disk()
    disk.turn()
    group = GroupCommit(disk.commit, 10)
    assert await asyncio.gather(*asking(group, 1, 2, 3)) == ["done 1", "done 2", "done 3"]
    assert disk.batches == [[1, 2, 3]]


async def test_a_batch_holds_no_more_than_it_may_and_keeps_the_order() -> None:
    disk = Disk()
    disk.turn(4)
    group = GroupCommit(disk.commit, 3)
    results = await asyncio.gather(*asking(group, *range(10)))
    assert results == [f"done {n}" for n in range(10)]
    assert disk.batches == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]


async def test_nobody_hears_before_the_commit_is_done() -> None:
    disk = Disk()
    group = GroupCommit(disk.commit, 10)
    (asked,) = asking(group, 1)
    await breathe_often()
    assert not asked.done()
    disk.turn()
    assert await asked == "done 1"


async def test_a_failure_goes_to_those_of_its_batch_and_to_nobody_else() -> None:
    disk = Disk()
    disk.fails = StoreFull("the disk is full")
    group = GroupCommit(disk.commit, 2)
    disk.turn(3)
    results = await asyncio.gather(*asking(group, 1, 2, 3, 4, 5), return_exceptions=True)
    assert [isinstance(result, StoreFull) for result in results] == [True, True, False, False, False]
    assert results[2:] == ["done 3", "done 4", "done 5"]
    assert is_idle(group)


async def test_after_a_failure_it_goes_on() -> None:
    disk = Disk()
    disk.fails = StoreFull("the disk is full")
    group = GroupCommit(disk.commit, 2)
    disk.turn(2)
    with pytest.raises(StoreFull):
        await group.add(1)
    assert await group.add(1) == "done 1"


async def test_a_caller_that_goes_away_disturbs_nobody_and_its_item_is_durable_all_the_same() -> None:
    disk = Disk()
    group = GroupCommit(disk.commit, 10)
    asked = asking(group, 1, 2, 3)
    await breathe_often()
    asked[0].cancel()
    asked[2].cancel()
    await breathe_often()
    disk.turn()
    assert await asked[1] == "done 2"
    assert disk.batches == [[1, 2, 3]]
    assert asked[0].cancelled()


async def test_a_caller_that_goes_away_before_its_turn_disturbs_nobody() -> None:
    disk = Disk()
    group = GroupCommit(disk.commit, 10)
    first = asking(group, 1)
    await breathe_often()
    others = asking(group, 2, 3)
    await breathe_often()
    others[0].cancel()
    disk.turn(2)
    assert await asyncio.gather(*first, others[1]) == ["done 1", "done 3"]


async def test_a_failure_whose_callers_have_gone_is_nobodys() -> None:
    disk = Disk()
    disk.fails = StoreFull("the disk is full")
    group = GroupCommit(disk.commit, 10)
    (asked,) = asking(group, 1)
    await breathe_often()
    asked.cancel()
    disk.turn()
    await group.settled()
    disk.turn()
    assert await group.add(2) == "done 2"


async def test_what_asks_in_the_moment_a_commit_ends_is_not_forgotten() -> None:
    disk = Disk()
    disk.turn(2)
    group = GroupCommit(disk.commit, 10)

    async def twice() -> list[str]:
        return [await group.add(1), await group.add(2)]

    assert await asyncio.wait_for(twice(), 60) == ["done 1", "done 2"]


async def test_it_is_idle_when_nothing_waits_and_nothing_runs() -> None:
    disk = Disk()
    group = GroupCommit(disk.commit, 1)
    assert is_idle(group)
    asked = asking(group, 1, 2)
    await breathe_often()
    assert not is_idle(group)
    settled = asyncio.create_task(group.settled())
    disk.turn()
    await breathe_often()
    assert not is_idle(group)
    assert not settled.done()
    disk.turn()
    await asyncio.gather(*asked)
    await asyncio.wait_for(settled, 60)
    assert is_idle(group)
    assert group.waiting == 0


async def test_when_nothing_was_asked_it_is_settled() -> None:
    await asyncio.wait_for(GroupCommit(Disk().commit, 1).settled(), 60)


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=40), st.integers(1, 7))
async def test_each_item_is_committed_once_and_in_the_order_it_was_asked(
    asked: list[tuple[int, bool]], most: int
) -> None:
    disk = Disk()
    disk.turn(len(asked))
    group = GroupCommit(disk.commit, most)
    tasks: list[asyncio.Future[str]] = []
    for number, (pause, goes_away) in enumerate(asked):
        (task,) = asking(group, number)
        tasks.append(task)
        for _ in range(pause):
            await breathe()
        if goes_away and pause:  # it has begun to wait
            task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [item for batch in disk.batches for item in batch] == list(range(len(asked)))
    assert all(0 < len(batch) <= most for batch in disk.batches)
    for number, result in enumerate(results):
        assert result == f"done {number}" or isinstance(result, asyncio.CancelledError)
        assert asked[number][1] or result == f"done {number}"
