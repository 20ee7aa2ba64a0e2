"""What is due is released once it is due, never before, and never forgotten; what is not due soon costs nothing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postdate.clock import breathe
from postdate.core.errors import Rejected
from postdate.core.instant import HOUR, MILLISECOND, MINUTE, SECOND, Instant
from postdate.core.message import Status
from postdate.flow.dispatch import LEAD
from postdate.flow.scheduler import HORIZON, MOST_READ, MOST_RELEASED, ROOM, Scheduler
from postdate.store.contract import Cursor, StoreError, StoreFull, StoreUnavailable
from postdate.store.sqlite import SqliteStore
from tests.flow.building import (
    START,
    CountingClock,
    Flow,
    JumpingClock,
    StepClock,
    WatchedStore,
    after,
    check_never_early,
    flowing,
    flowing_anew,
    twice,
)
from tests.store import building as stored

AWAY = StoreUnavailable("the store cannot be reached")


class ReadingStore(WatchedStore):
    """A watched store that also keeps from where timers were read."""

    def __init__(self, store: SqliteStore) -> None:
        super().__init__(store)
        self.read_after: list[Cursor] = []

    async def due(self, after: Cursor, before: Instant, limit: int) -> list[Cursor]:
        self.read_after.append(after)
        return await super().due(after, before, limit)


class Bench:
    """A scheduler, and what it released when; what is released stays on disk."""

    def __init__(self, store: ReadingStore, clock: StepClock) -> None:
        self.store = store
        self.clock = clock
        self.due: dict[str, Instant] = {}
        self.released: list[tuple[str, Instant]] = []
        self.batches: list[int] = []
        self.failures: list[Exception] = []
        self.scheduler = Scheduler(store, clock, self._take, LEAD)
        self.stopped = False
        self._numbers = 0

    async def _take(self, sids: Sequence[str]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.batches.append(len(sids))
        self.released.extend((sid, self.clock.now()) for sid in sids)

    @property
    def sids(self) -> list[str]:
        return [sid for sid, _ in self.released]

    async def add(self, *due: int, notice: bool = True) -> list[str]:
        """Put messages on disk that are due so many microseconds from now."""
        messages = []
        for wait in due:
            self._numbers += 1
            at = Instant(self.clock.now() + wait)
            messages.append(stored.a_message(self._numbers, send_at=at, due_at=at))
            self.due[messages[-1].sid] = at
        await self.store.real.add([stored.new(message) for message in messages], self.clock.now())
        if notice:
            for message in messages:
                self.scheduler.notice(Cursor(message.due_at, message.sid))
        return [message.sid for message in messages]

    async def settle(self) -> None:
        rounds = 0
        while rounds < 6:
            rounds = rounds + 1 if (self.scheduler.idle or self.stopped) and self.store.idle else 0
            await breathe(0.0 if rounds else 0.0001)

    async def advance(self, micros: int) -> None:
        await self.clock.advance_to(Instant(self.clock.now() + micros), self.settle)

    def check(self, late: int = 0) -> None:
        """Fail where something was released before its lead, or more than `late` microseconds after it was due."""
        wrong = [(sid, at - self.due[sid]) for sid, at in self.released if not -LEAD <= at - self.due[sid] <= late]
        assert wrong == []


@asynccontextmanager
async def scheduling(folder: Path, clock: StepClock | None = None) -> AsyncIterator[Bench]:
    """Give a scheduler on an empty store; `run` begins it."""
    real = SqliteStore(folder / "postdate.db")
    await real.open()
    bench = Bench(ReadingStore(real), clock or CountingClock(START))
    try:
        yield bench
    finally:
        await real.close()


@asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[None]:
    task = asyncio.create_task(bench.scheduler.run())
    await bench.settle()
    try:
        yield
    finally:
        bench.stopped = True
        bench.scheduler.stop()
        await asyncio.wait_for(task, 60)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """Give a running scheduler on an empty store."""
    async with scheduling(tmp_path) as made, running(made):
        yield made


# --- on time ---------------------------------------------------------------------------------------------------------


async def test_what_is_due_is_released_within_the_lead(bench: Bench) -> None:
    (sid,) = await bench.add(10 * SECOND)
    await bench.advance(10 * SECOND - LEAD)
    assert bench.sids == []
    await bench.advance(LEAD)
    assert bench.sids == [sid]
    bench.check()


@pytest.mark.parametrize("due", [0, -1, -HOUR, LEAD], ids=["now", "just past", "long past", "within the lead"])
async def test_what_is_due_already_is_released_at_once(bench: Bench, due: int) -> None:
    (sid,) = await bench.add(due)
    await bench.settle()
    assert bench.sids == [sid]


async def test_things_are_released_in_the_order_they_are_due_whatever_the_order_they_came_in(bench: Bench) -> None:
    waits = [MINUTE, 3 * SECOND, 2 * HOUR, SECOND, 30 * SECOND, 61 * SECOND, 59 * SECOND]
    sids = await bench.add(*waits)
    await bench.advance(3 * HOUR)
    assert bench.sids == [sid for _, sid in sorted(zip(waits, sids, strict=True))]
    bench.check()


async def test_what_is_due_together_is_released_together_in_batches_that_are_not_too_large(bench: Bench) -> None:
    sids = await bench.add(*[MINUTE] * (2 * MOST_RELEASED + 10))
    await bench.advance(MINUTE)
    assert bench.batches == [MOST_RELEASED, MOST_RELEASED, 10]
    assert bench.sids == sids


EDGES = {
    "just inside": HORIZON - 1,
    "at the horizon": HORIZON,
    "just outside": HORIZON + 1,
    "half a horizon": HORIZON // 2,
    "one and a half": HORIZON + HORIZON // 2,
    "two": 2 * HORIZON,
}


@pytest.mark.parametrize("noticed", [True, False], ids=["noticed", "on disk before"])
@pytest.mark.parametrize("due", EDGES.values(), ids=EDGES.keys())
async def test_nothing_is_missed_at_the_edge_of_the_horizon(tmp_path: Path, due: int, noticed: bool) -> None:
    async with scheduling(tmp_path) as bench:
        expected = [] if noticed else await bench.add(due, due + 1, notice=False)
        async with running(bench):
            expected = expected or await bench.add(due, due + 1)
            await bench.advance(due - SECOND)
            assert bench.sids == []
            await bench.advance(SECOND)
            assert bench.sids == expected
            bench.check()


async def test_what_comes_at_the_very_edge_while_time_passes_is_not_missed(bench: Bench) -> None:
    expected = []
    for _ in range(40):
        expected += await bench.add(HORIZON - 1, HORIZON, HORIZON + 1)
        await bench.advance(HORIZON // 20)
    await bench.advance(2 * HORIZON)
    assert sorted(bench.sids) == sorted(expected)
    bench.check()


@pytest.mark.parametrize("spread", [0, 1], ids=["one time", "many times"])
async def test_more_than_a_page_is_read_page_by_page_and_each_is_released_once(tmp_path: Path, spread: int) -> None:
    async with scheduling(tmp_path) as bench:
        count = 2 * MOST_READ + 7
        expected = await bench.add(*(10 * SECOND + n * spread for n in range(count)), notice=False)
        async with running(bench):
            assert bench.scheduler.held == count
            await bench.advance(11 * SECOND)
            assert bench.sids == expected
        bench.check()
        assert bench.store.read_after == sorted(bench.store.read_after)


async def test_a_page_that_is_exactly_full_is_not_the_last(tmp_path: Path) -> None:
    async with scheduling(tmp_path) as bench:
        expected = await bench.add(*[10 * SECOND] * MOST_READ, notice=False)
        expected += await bench.add(90 * SECOND, notice=False)
        async with running(bench):
            await bench.advance(2 * MINUTE)
            assert bench.sids == expected


async def test_with_too_many_due_soon_the_rest_waits_on_disk_and_is_not_forgotten(tmp_path: Path) -> None:
    async with scheduling(tmp_path) as bench:
        count = ROOM + 2 * MOST_READ
        expected = await bench.add(*(10 * SECOND + n for n in range(count)), notice=False)
        async with running(bench):
            assert ROOM <= bench.scheduler.held < ROOM + MOST_READ
            await bench.advance(11 * SECOND)
            assert bench.sids == expected
        bench.check()


# --- news ------------------------------------------------------------------------------------------------------------

NEWS = {"earlier": 5 * SECOND, "same time": 10 * SECOND, "later": 30 * SECOND, "beyond": 3 * MINUTE, "due": 0}


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("call", [1, 2], ids=["the read", "the look ahead"])
@pytest.mark.parametrize("due", NEWS.values(), ids=NEWS.keys())
async def test_what_comes_during_a_read_is_not_missed(tmp_path: Path, due: int, call: int, where: str) -> None:
    async with scheduling(tmp_path) as bench:
        expected = await bench.add(10 * SECOND, 2 * MINUTE, notice=False)
        holds = [bench.store.hold("due", where) for _ in range(call)]
        task = asyncio.create_task(bench.scheduler.run())
        for hold in holds[:-1]:
            hold.opened.set()
        await holds[-1].reached.wait()
        expected += await bench.add(due)
        holds[-1].opened.set()
        await bench.settle()
        await bench.advance(4 * MINUTE)
        assert sorted(set(bench.sids)) == sorted(expected)
        bench.check()
        bench.scheduler.stop()
        await task


async def test_what_is_on_disk_and_noticed_twice_is_released_in_one_batch_once(bench: Bench) -> None:
    (sid,) = await bench.add(10 * SECOND)
    bench.scheduler.notice(Cursor(bench.due[sid], sid))
    await bench.advance(MINUTE)
    assert bench.sids == [sid]


async def test_the_earliest_of_what_comes_wakes_it(bench: Bench) -> None:
    late = await bench.add(50 * SECOND)
    early = await bench.add(SECOND)
    await bench.advance(SECOND)
    assert bench.sids == early
    await bench.advance(MINUTE)
    assert bench.sids == early + late


# --- trouble ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [1, 2], ids=["the read", "the look ahead"])
@pytest.mark.parametrize("error", [AWAY, StoreFull("no room")], ids=["unavailable", "full"])
async def test_a_read_that_fails_is_made_again(tmp_path: Path, call: int, error: StoreError) -> None:
    async with scheduling(tmp_path) as bench:
        expected = await bench.add(10 * SECOND, 2 * MINUTE, 2 * HOUR, notice=False)
        if call == 2:
            bench.store.hold("due", "before").opened.set()
        first = bench.store.hold("due", "before")
        task = asyncio.create_task(bench.scheduler.run())
        await first.reached.wait()
        bench.store.fail("due", error, error)
        first.opened.set()
        await bench.settle()
        await bench.advance(3 * HOUR)
        assert bench.sids == expected
        bench.check()
        bench.scheduler.stop()
        await task


async def test_a_later_read_that_fails_is_made_again(bench: Bench) -> None:
    expected = await bench.add(*(n * 20 * SECOND for n in range(1, 30)))
    for _ in range(6):
        bench.store.fail("due", AWAY)
        await bench.advance(2 * MINUTE)
    assert bench.sids == expected
    bench.check(late=SECOND)


async def test_what_cannot_be_taken_is_released_again_a_second_later_and_in_order(bench: Bench) -> None:
    bench.failures += [AWAY, AWAY, StoreFull("no room")]
    expected = await bench.add(5 * SECOND, 5 * SECOND, 6 * SECOND)
    await bench.advance(7 * SECOND)
    assert bench.sids == []
    await bench.advance(2 * SECOND)
    assert bench.sids == expected
    assert twice(bench.sids) == []


class Broken(Exception):
    """Not an error of the store."""


async def test_an_error_that_is_not_the_stores_is_not_hidden(tmp_path: Path) -> None:
    async with scheduling(tmp_path) as bench:
        task = asyncio.create_task(bench.scheduler.run())
        await bench.settle()
        bench.failures.append(Broken())
        await bench.add(0)
        with pytest.raises(Broken):
            await asyncio.wait_for(task, 60)


async def test_a_stopped_scheduler_releases_nothing_more(tmp_path: Path) -> None:
    async with scheduling(tmp_path) as bench:
        async with running(bench):
            await bench.add(10 * SECOND)
        await bench.advance(MINUTE)
        assert bench.sids == []


async def test_the_next_start_finds_all_that_is_on_disk_in_order(tmp_path: Path) -> None:
    async with scheduling(tmp_path) as bench:
        expected = await bench.add(30 * SECOND, 5 * SECOND, 3 * HOUR, -SECOND, notice=False)
        async with running(bench):
            await bench.advance(4 * HOUR)
            assert bench.sids == [expected[n] for n in (3, 1, 0, 2)]


# --- a wall clock that jumps -----------------------------------------------------------------------------------------


async def test_where_the_wall_clock_is_set_back_late_beats_early(tmp_path: Path) -> None:
    clock = JumpingClock(START)
    async with scheduling(tmp_path, clock) as bench, running(bench):
        (sid,) = await bench.add(10 * SECOND)
        await bench.advance(5 * SECOND)
        clock.jump(-20 * SECOND)
        await bench.advance(25 * SECOND - LEAD - SECOND)
        assert bench.sids == []
        await bench.advance(LEAD + SECOND)
        assert bench.sids == [sid]
        bench.check()


@pytest.mark.parametrize("ahead", [10 * SECOND, 90 * SECOND, 2 * HOUR], ids=["soon", "beyond the horizon", "far"])
async def test_where_the_wall_clock_is_set_forward_what_is_due_by_it_goes_within_a_second(
    tmp_path: Path, ahead: int
) -> None:
    clock = JumpingClock(START)
    async with scheduling(tmp_path, clock) as bench, running(bench):
        (sid,) = await bench.add(ahead)
        clock.jump(ahead)
        await bench.advance(SECOND)
        assert bench.sids == [sid]


async def test_the_wall_clock_can_swing_and_nothing_is_early_or_lost(tmp_path: Path) -> None:
    clock = JumpingClock(START)
    async with scheduling(tmp_path, clock) as bench, running(bench):
        expected = await bench.add(*(n * 7 * SECOND for n in range(1, 20)))
        for by in (30, -45, 5, -1, 60, -90, 12):
            clock.jump(by * SECOND)
            await bench.advance(10 * SECOND)
        await bench.advance(3 * MINUTE)
        assert sorted(bench.sids) == sorted(expected)
        early = [sid for sid, at in bench.released if at < bench.due[sid] - LEAD]
        assert early == []


# --- what waiting costs ----------------------------------------------------------------------------------------------


async def test_with_nothing_to_wait_for_no_timer_is_set(tmp_path: Path) -> None:
    clock = CountingClock(START)
    async with scheduling(tmp_path, clock) as bench, running(bench):
        assert clock.timers == 0
        reads = len(bench.store.calls)
        await bench.advance(24 * HOUR)
        assert len(bench.store.calls) == reads


async def test_what_is_pending_beyond_the_horizon_is_not_in_memory_and_costs_one_timer(tmp_path: Path) -> None:
    clock = CountingClock(START)
    async with scheduling(tmp_path, clock) as bench:
        await bench.add(*(2 * HOUR + n * SECOND for n in range(2_500)), notice=False)
        async with running(bench):
            await bench.add(*(2 * HOUR + n * SECOND for n in range(2_500)))
            await bench.settle()
            assert (bench.scheduler.held, clock.timers) == (0, 1)
            reads = len(bench.store.calls)
            await bench.advance(HOUR)
            assert (bench.scheduler.held, clock.timers) == (0, 1)
            assert len(bench.store.calls) == reads
            await bench.advance(HOUR)
            assert 0 < bench.scheduler.held <= 2 * (HORIZON // SECOND + 1)
            assert clock.timers == 1


async def test_what_was_read_is_not_read_again(bench: Bench) -> None:
    await bench.add(*(n * 10 * SECOND for n in range(1, 60)))
    await bench.advance(15 * MINUTE)
    assert len(bench.released) == 59
    assert bench.store.read_after == sorted(bench.store.read_after)
    assert len(bench.store.read_after) < 3 * 59


# --- any schedule ----------------------------------------------------------------------------------------------------

WAITS = st.one_of(
    st.integers(0, 3 * HORIZON),
    st.sampled_from([HORIZON - 1, HORIZON, HORIZON + 1, HORIZON // 2, LEAD, LEAD + 1, LEAD - 1, 0]),
)


@settings(max_examples=40)
@given(
    before=st.lists(WAITS, max_size=5),
    steps=st.lists(st.tuples(st.integers(0, 2 * HORIZON), st.lists(WAITS, max_size=3)), max_size=6),
    failing=st.sets(st.integers(0, 12), max_size=3),
)
async def test_any_schedule_is_released_whole_each_once_and_never_early(
    before: list[int], steps: list[tuple[int, list[int]]], failing: set[int]
) -> None:
    with TemporaryDirectory() as folder:
        async with scheduling(Path(folder)) as bench:
            expected = await bench.add(*before, notice=False)
            calls = 0

            async def now_and_then(name: str) -> None:
                nonlocal calls
                if name == "due":
                    calls += 1
                    if calls in failing:
                        raise AWAY

            bench.store.before = now_and_then
            async with running(bench):
                for step, waits in steps:
                    expected += await bench.add(*waits)
                    await bench.advance(step)
                await bench.advance(4 * HORIZON)
                assert sorted(bench.sids) == sorted(expected)
                assert all(at >= bench.due[sid] - LEAD for sid, at in bench.released)


# --- the whole flow: never early, never lost -------------------------------------------------------------------------


async def test_a_message_is_handed_over_at_its_time(flow: Flow) -> None:
    message = await flow.send(after(3600))
    await flow.advance_to(Instant(after(3600) - 1))
    assert flow.carrier.submitted == []
    await flow.advance_to(after(3600))
    assert [(one.sid, one.at) for one in flow.carrier.submitted] == [(message.sid, after(3600))]
    await flow.advance(0.01)
    assert (await flow.read(message)).status is Status.SENT


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(10.0, 5.0, id="soon, sooner"),
        pytest.param(10.0, 40.0, id="soon, later"),
        pytest.param(10.0, 7200.0, id="soon, far"),
        pytest.param(7200.0, 10.0, id="far, soon"),
        pytest.param(7200.0, 3600.0, id="far, nearer"),
        pytest.param(3600.0, 7200.0, id="far, farther"),
        pytest.param(60.0, 60.000001, id="over the edge"),
        pytest.param(10.0, 10.0, id="to the same time"),
        pytest.param(3600.0, 0.5, id="to at once"),
    ],
)
@pytest.mark.parametrize("moved_at", [0.0, 4.0], ids=["at once", "later on"])
async def test_a_message_that_is_moved_goes_at_its_new_time_only(
    flow: Flow, first: float, second: float, moved_at: float
) -> None:
    message = await flow.send(after(first))
    await flow.advance_to(after(moved_at + 0.001))
    second_at = max(after(second), Instant(flow.clock.now() + 1))
    await flow.ingest.reschedule(flow.account, message.sid, second_at)
    if second_at - LEAD > flow.clock.now():
        await flow.advance_to(Instant(second_at - LEAD - 1))
        assert (await flow.read(message)).status is Status.SCHEDULED
    await flow.advance_to(after(3 * 3600))
    assert [(one.sid, one.at) for one in flow.carrier.submitted] == [(message.sid, second_at)]


async def test_a_message_that_is_moved_often_goes_once(flow: Flow) -> None:
    message = await flow.send(after(30))
    for seconds in (50, 20, 4000, 25, 70, 15, 90, 15):
        await flow.ingest.reschedule(flow.account, message.sid, after(seconds))
        await flow.advance(1)
    await flow.advance_to(after(2 * 3600))
    assert [(one.sid, one.at) for one in flow.carrier.submitted] == [(message.sid, after(15))]


async def test_a_message_that_is_moved_away_holds_up_nobody(flow: Flow) -> None:
    message = await flow.send(after(10))
    await flow.ingest.reschedule(flow.account, message.sid, after(3600))
    await flow.advance_to(after(20))
    other = await flow.send(after(30))
    await flow.advance_to(after(40))
    assert flow.carrier.sids == [other.sid]


PLAN = st.tuples(st.integers(0, 130_000), st.none() | st.integers(0, 130_000))  # milliseconds: due, and moved to


@settings(max_examples=25)
@given(plan=st.lists(PLAN, min_size=1, max_size=8), steps=st.lists(st.integers(0, 40_000), max_size=4))
async def test_no_schedule_is_handed_over_early_or_twice_or_not_at_all(
    plan: list[tuple[int, int | None]], steps: list[int]
) -> None:
    async with flowing_anew() as flow:
        start = flow.clock.now()
        expected: dict[str, Instant] = {}
        for due, moved in plan:
            message = await flow.send(Instant(start + due * MILLISECOND))
            expected[message.sid] = message.due_at
            if moved is not None:
                with contextlib.suppress(Rejected):  # it is on its way already
                    changed = await flow.ingest.reschedule(
                        flow.account, message.sid, Instant(start + moved * MILLISECOND)
                    )
                    expected[message.sid] = changed.due_at
        for step in steps:
            await flow.advance(step / 1_000)
        await flow.advance(300)
        check_never_early(flow.carrier.submitted)
        assert sorted(flow.carrier.sids) == sorted(expected)
        late = [one.at - expected[one.sid] for one in flow.carrier.submitted]
        assert max(late) <= LEAD  # behind one that was released before it and is due after it


@settings(max_examples=15)
@given(
    plan=st.lists(st.integers(1_000, 40_000), min_size=1, max_size=6),
    jumps=st.lists(st.tuples(st.integers(-30_000, 30_000), st.integers(0, 12_000)), max_size=5),
)
async def test_whatever_the_wall_clock_does_nothing_is_early_by_it(
    plan: list[int], jumps: list[tuple[int, int]]
) -> None:
    clock = JumpingClock(START)
    async with flowing_anew(clock=clock) as flow:
        messages = [await flow.send(Instant(START + due * MILLISECOND)) for due in plan]
        for by, step in jumps:
            clock.jump(by * MILLISECOND)
            await flow.advance(step / 1_000)
        behind = max(START - clock.now(), 0)
        await flow.advance(behind / SECOND + 45)
        check_never_early(flow.carrier.submitted)
        assert sorted(flow.carrier.sids) == sorted(message.sid for message in messages)


async def test_a_claimed_message_waits_where_the_wall_clock_is_set_back_before_its_slot(tmp_path: Path) -> None:
    clock = JumpingClock(START)
    async with flowing(tmp_path, clock=clock) as flow:
        message = await flow.send(after(10))
        hold = flow.store.hold("claim", "after")
        reached = asyncio.create_task(flow.advance(10))
        await hold.reached.wait()
        clock.jump(-5 * SECOND)
        hold.opened.set()
        await reached
        assert flow.carrier.submitted == []
        await flow.advance(10)
        assert flow.carrier.sids == [message.sid]
        check_never_early(flow.carrier.submitted)


async def test_a_thousand_at_one_time_all_go_at_that_time(flow: Flow) -> None:
    messages = await flow.send_many(1_000, after(120))
    await flow.advance_to(after(121))
    assert sorted(flow.carrier.sids) == sorted(message.sid for message in messages)
    assert {one.at for one in flow.carrier.submitted} == {after(120)}
    assert await flow.statuses() == {Status.SENT: 1_000}
