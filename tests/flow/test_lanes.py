"""One sender at its rate: exact over any second, first in first out; nothing is lost, whatever a carrier does."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postdate.clock import breathe
from postdate.connectors.contract import Receipt, Submission
from postdate.core.claim import is_free
from postdate.core.instant import MILLISECOND, SECOND
from postdate.core.message import Event, Message, Status
from postdate.core.outcome import Accepted, Busy, DoubtPolicy, InDoubt, Outcome, Refused, Unreachable
from postdate.flow.lane import AHEAD
from postdate.store.contract import StoreError, StoreFull, StoreUnavailable
from tests.flow.building import (
    NEVER,
    START,
    Answer,
    Breaks,
    Flow,
    JumpingClock,
    Keeps,
    Setup,
    WatchedStore,
    a_sender,
    after,
    check_never_early,
    check_rate,
    flowing,
    flowing_anew,
    is_settled,
    recipient,
    twice,
)

AWAY = StoreUnavailable("the store cannot be reached")
RETRY = Setup(doubt=DoubtPolicy.RETRY)


def body_of(segments: int) -> str:
    """Return a body of so many segments."""
    return "x" * (100 if segments == 1 else 153 * segments)


async def begin(flow: Flow, count: int, **changes: object) -> list[Message]:
    """Send at once, one after the other; the order is that in which they were accepted."""
    return await flow.send_in_turn(range(1, count + 1), **changes)


def times(flow: Flow) -> list[int]:
    """Return when each submission was made, in microseconds after the first."""
    return [one.waited - flow.carrier.submitted[0].waited for one in flow.carrier.submitted]


def sids(messages: Sequence[Message]) -> list[str]:
    return [message.sid for message in messages]


def script(*answers: Answer) -> Callable[[Submission], Answer]:
    """Give these answers in turn, then accept."""
    left = list(answers)
    return lambda submission: left.pop(0) if left else Accepted(f"ref-{submission.sid}")


# --- the rate --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mps", [1.0, 2.0, 10.0, 100.0, 0.5, 0.2])
async def test_messages_of_one_segment_leave_evenly_spaced(tmp_path: Path, mps: float) -> None:
    async with flowing(tmp_path, a_sender(1, mps=mps)) as flow:
        messages = await begin(flow, 8)
        await flow.advance(8 / mps)
        assert flow.carrier.sids == sids(messages)
        assert times(flow) == [round(n * SECOND / mps) for n in range(8)]


async def test_a_message_of_three_segments_takes_the_time_of_three(tmp_path: Path) -> None:
    async with flowing(tmp_path, a_sender(1, mps=3.0)) as flow:
        for segments in (3, 1, 1, 3):
            await begin(flow, 1, body=body_of(segments))
        await flow.advance(10)
        assert [one.submission.segments for one in flow.carrier.submitted] == [3, 1, 1, 3]
        assert times(flow)[1] == SECOND
        check_rate(flow.carrier.submitted, 3.0)


async def test_a_long_message_at_a_low_rate_holds_up_those_behind_it(tmp_path: Path) -> None:
    async with flowing(tmp_path, a_sender(1, mps=1.0)) as flow:
        await begin(flow, 1, body=body_of(5))
        await begin(flow, 1)
        await flow.advance(4.9)
        assert len(flow.carrier.submitted) == 1
        await flow.advance(0.1)
        assert times(flow) == [0, 5 * SECOND]


async def test_nothing_is_saved_up_while_a_lane_is_idle(tmp_path: Path) -> None:
    async with flowing(tmp_path, a_sender(1, mps=2.0)) as flow:
        await begin(flow, 2)
        await flow.advance(3600)
        await begin(flow, 6)
        await flow.advance(10)
        check_rate(flow.carrier.submitted, 2.0)
        assert len(flow.carrier.submitted) == 8


async def test_without_a_limit_all_leave_at_once(flow: Flow) -> None:
    await flow.send_many(500, after(60))
    await flow.advance_to(after(60))
    assert {one.at for one in flow.carrier.submitted} == {after(60)}
    assert len(flow.carrier.submitted) == 500


async def test_each_sender_has_its_own_rate(tmp_path: Path) -> None:
    async with flowing(tmp_path, a_sender(1, mps=1.0), a_sender(2, mps=4.0)) as flow:
        for number in (1, 2):
            await begin(flow, 6, sender=a_sender(number).address)
        await flow.advance(5)
        for number, mps in ((1, 1.0), (2, 4.0)):
            own = [one for one in flow.carrier.submitted if one.submission.sender == a_sender(number).address]
            assert len(own) == 6
            check_rate(own, mps)
            assert own[-1].waited - own[0].waited == 5 * SECOND / mps


@settings(max_examples=25)
@given(
    mps=st.sampled_from([1.0, 2.0, 2.5, 3.0, 7.0, 10.0, 0.7]),
    arrivals=st.lists(st.tuples(st.integers(0, 1_500), st.integers(1, 4)), min_size=1, max_size=14),
)
async def test_no_second_and_no_stretch_ever_exceeds_the_rate(mps: float, arrivals: list[tuple[int, int]]) -> None:
    async with flowing_anew(a_sender(1, mps=mps)) as flow:
        messages = []
        for pause, segments in arrivals:
            await flow.advance(pause / 1_000)
            messages += await begin(flow, 1, body=body_of(segments))
        await flow.advance(sum(segments for _, segments in arrivals) * 2 / mps + 2)
        assert flow.carrier.sids == sids(messages)
        check_rate(flow.carrier.submitted, mps)


@settings(max_examples=12)
@given(
    schedule=st.lists(st.tuples(st.integers(0, 4_000), st.integers(1, 3)), min_size=2, max_size=14),
    trouble=st.lists(st.sampled_from(["busy", "away", "claim", "record", ""]), max_size=8),
)
async def test_the_rate_is_kept_in_any_trouble(schedule: list[tuple[int, int]], trouble: list[str]) -> None:
    async with flowing_anew(a_sender(1, mps=3.0)) as flow:
        answers: dict[str, Answer] = {"busy": Busy(), "away": Unreachable()}
        flow.carrier.script = script(*(answers[t] for t in trouble if t in answers))
        for name in ("claim", "record"):
            flow.store.fail(name, *[AWAY] * trouble.count(name))
        messages = [
            await flow.send(after(10 + ms / 1_000), recipient=recipient(n), body=body_of(segments))
            for n, (ms, segments) in enumerate(schedule)
        ]
        await flow.advance(600)
        check_never_early(flow.carrier.submitted)
        check_rate(flow.carrier.submitted, 3.0)
        assert await flow.statuses() == {Status.SENT: len(messages)}


@pytest.mark.parametrize(("old", "new"), [(1.0, 10.0), (10.0, 1.0), (2.0, 0.0), (0.5, 3.0)])
async def test_a_new_rate_counts_from_the_next_message_on(tmp_path: Path, old: float, new: float) -> None:
    async with flowing(tmp_path, a_sender(1, mps=old)) as flow:
        await begin(flow, 12)
        await flow.advance(0.3)
        before = len(flow.carrier.submitted)
        await flow.directory.put(a_sender(1, mps=new))
        await begin(flow, 1)
        await flow.advance(40)
        assert len(flow.carrier.submitted) == 13
        check_rate(flow.carrier.submitted[:before], old)
        if new:
            check_rate(flow.carrier.submitted[before + 1 :], new)  # one was booked already


async def test_a_rate_that_is_lowered_counts_for_what_is_queued(tmp_path: Path) -> None:
    async with flowing(tmp_path, a_sender(1, mps=10.0)) as flow:
        await begin(flow, 40)
        await flow.advance(1)
        await flow.directory.put(a_sender(1, mps=1.0))
        await flow.advance(0.2)
        before = len(flow.carrier.submitted)
        await flow.advance(5)
        assert len(flow.carrier.submitted) - before <= 6


async def test_what_is_queued_for_a_sender_that_was_removed_does_not_leave_with_it(tmp_path: Path) -> None:
    async with flowing(tmp_path, a_sender(1, mps=1.0)) as flow:
        await begin(flow, 5)
        await flow.advance(0.5)
        await flow.directory.remove(a_sender(1).sid)
        await flow.advance(10)
        assert len(flow.carrier.submitted) <= 2
        assert {m.error_code for m in await flow.everything()} == {None, 21606}


# --- order -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mps", [0.0, 20.0], ids=["unlimited", "limited"])
async def test_first_in_first_out(tmp_path: Path, mps: float) -> None:
    async with flowing(tmp_path, a_sender(1, mps=mps)) as flow:
        messages = await begin(flow, 60)
        await flow.advance(10)
        assert flow.carrier.sids == sids(messages)


async def test_what_is_due_at_different_times_leaves_in_that_order(tmp_path: Path) -> None:
    async with flowing(tmp_path, a_sender(1, mps=50.0)) as flow:
        messages = [await flow.send(after(60 + (17 * n % 40) / 100), recipient=recipient(n)) for n in range(40)]
        await flow.advance(70)
        assert flow.carrier.sids == sids(sorted(messages, key=lambda m: m.due_at))


async def test_what_comes_back_together_keeps_its_order(flow: Flow) -> None:
    messages = await flow.send_many(3, after(60))
    flow.carrier.script = script(Busy(), Busy(), Busy())
    await flow.advance(65)
    first, second = flow.carrier.sids[:3], flow.carrier.sids[3:]
    assert sorted(first) == sorted(sids(messages))
    assert second == first


async def test_what_comes_back_goes_before_what_was_behind_it(tmp_path: Path) -> None:
    async with flowing(tmp_path, a_sender(1, mps=1.0)) as flow:
        messages = await flow.send_many(3, after(60))
        flow.carrier.script = script(Unreachable())
        await flow.advance(90)
        first, *others = sorted(sids(messages))
        assert flow.carrier.sids == [first, first, *others]


async def test_what_could_not_be_claimed_goes_before_what_was_behind_it(tmp_path: Path) -> None:
    async with flowing(tmp_path, a_sender(1, mps=1.0)) as flow:
        flow.store.fail("claim", AWAY)
        messages = await flow.send_many(3, after(60))
        await flow.advance(70)
        assert flow.carrier.sids == sorted(sids(messages))


# --- what carriers say -----------------------------------------------------------------------------------------------


async def test_what_the_carrier_takes_is_sent_and_what_it_refuses_has_failed(flow: Flow) -> None:
    flow.carrier.script = script(Accepted("their-id"), Refused(30006, "a landline"))
    taken, refused = await begin(flow, 2)
    await flow.advance(0.1)
    sent = await flow.read(taken)
    assert (sent.status, sent.carrier_ref, sent.error_code) == (Status.SENT, "their-id", None)
    failed = await flow.read(refused)
    assert (failed.status, failed.error_code) == (Status.FAILED, 30006)
    await flow.advance(3600)
    assert len(flow.carrier.submitted) == 2


async def test_an_attempt_says_all_that_a_carrier_needs(tmp_path: Path) -> None:
    async with flowing(tmp_path, a_sender(1)) as flow:
        message = await flow.send(after(60), body="Hello", validity=30)
        await flow.advance(61)
        (one,) = flow.carrier.submitted
        assert one.submission == Submission(
            sid=message.sid,
            attempt=1,
            sender=a_sender(1).address,
            recipient=recipient(),
            channel=one.submission.channel,
            body="Hello",
            segments=1,
            not_before=after(60),
            expires_at=after(90),
        )


@pytest.mark.parametrize("answer", [Busy(), Unreachable()], ids=["busy", "unreachable"])
@pytest.mark.parametrize("chance", [0.0, 0.999])
async def test_it_is_tried_again_ever_more_seldom_with_the_same_sid(
    tmp_path: Path, answer: Outcome, chance: float
) -> None:
    async with flowing(tmp_path, setup=Setup(chance=chance)) as flow:
        flow.carrier.script = script(*[answer] * 10)
        (message,) = await begin(flow, 1)
        await flow.advance(600)
        assert flow.carrier.sids == [message.sid] * 11
        assert [one.submission.attempt for one in flow.carrier.submitted] == list(range(1, 12))
        waits = [b - a for a, b in zip(times(flow), times(flow)[1:], strict=False)]
        for wait, least in zip(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60], strict=True):
            assert least * SECOND <= wait <= least * SECOND * 1.25 + 10 * MILLISECOND
        assert (await flow.read(message)).status is Status.SENT


@pytest.mark.parametrize("asked", [0.5, 30.0, 3600.0], ids=lambda asked: f"{asked} s")
async def test_a_busy_carrier_is_left_alone_for_as_long_as_it_asks(flow: Flow, asked: float) -> None:
    flow.carrier.script = script(Busy(round(asked * SECOND)))
    await begin(flow, 1)
    for _ in range(5):
        await begin(flow, 1)
    await flow.advance(max(asked, 1) - 0.01)
    early = [wait for wait in times(flow) if 0 < wait < max(asked, 1) * SECOND]
    assert early == []
    await flow.advance(1)
    assert await flow.statuses() == {Status.SENT: 6}


async def test_a_pause_counts_for_the_message_that_has_its_slot_already(tmp_path: Path) -> None:
    async with flowing(tmp_path, a_sender(1, mps=1.0)) as flow:
        await flow.send_many(3, after(60))
        flow.carrier.script = script(Busy(30 * SECOND))
        await flow.advance_to(after(89))
        assert len(flow.carrier.submitted) == 1
        await flow.advance(10)
        assert await flow.statuses() == {Status.SENT: 3}


async def test_a_busy_carrier_gets_everything_in_the_end_each_once(tmp_path: Path) -> None:
    async with flowing(tmp_path, a_sender(1, mps=10.0)) as flow:
        flow.carrier.script = script(*[Busy(SECOND) if n % 3 else Accepted(f"ref-{n}") for n in range(40)])
        messages = await begin(flow, 30)
        await flow.advance(900)
        assert await flow.statuses() == {Status.SENT: 30}
        assert set(flow.carrier.sids) == set(sids(messages))
        check_rate(flow.carrier.submitted, 10.0)


async def test_while_it_waits_to_be_tried_again_it_shows_as_sending_and_is_nobodys(flow: Flow) -> None:
    flow.carrier.script = script(Busy(60 * SECOND))
    (message,) = await begin(flow, 1)
    await flow.advance(1)
    found = await flow.read(message)
    assert (found.status, is_free(found.claim), found.doubt_at, found.attempts) == (Status.SENDING, True, None, 1)


@pytest.mark.parametrize("answer", [Busy(), Unreachable()], ids=["busy", "unreachable"])
async def test_one_message_that_is_never_taken_does_not_hold_up_the_sender_for_hours(
    tmp_path: Path, answer: Outcome
) -> None:
    async with flowing(tmp_path, a_sender(1, mps=1.0)) as flow:
        flow.carrier.script = lambda s: answer if s.recipient == recipient(1) else Accepted(s.sid)
        never, *others = await begin(flow, 6)
        await flow.advance(1800)
        assert [(await flow.read(m)).status for m in others] == [Status.SENT] * 5
        assert (await flow.read(never)).status is Status.SENDING


async def test_a_busy_sender_holds_up_no_other(tmp_path: Path) -> None:
    async with flowing(tmp_path, a_sender(1), a_sender(2)) as flow:
        flow.carrier.script = lambda s: Busy(600 * SECOND) if s.sender == a_sender(1).address else Accepted(s.sid)
        await begin(flow, 3, sender=a_sender(1).address)
        others = await begin(flow, 3, sender=a_sender(2).address)
        await flow.advance(1)
        assert [(await flow.read(m)).status for m in others] == [Status.SENT] * 3


async def test_a_connection_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    async with flowing(tmp_path, a_sender(1, connection="http")) as flow:
        messages = await begin(flow, 3)
        await flow.advance(20)
        assert flow.carrier.submitted == []
        flow.lanes.connections["http"] = flow.lanes.connections["sandbox"]
        await flow.advance(60)
        assert set(flow.carrier.sids) == set(sids(messages))
        assert await flow.statuses() == {Status.SENT: 3}


# --- doubt -----------------------------------------------------------------------------------------------------------

DOUBTS: dict[str, Answer] = {"in doubt": InDoubt("no answer"), "broken": Breaks(RuntimeError("a bug of a connector"))}


@pytest.mark.parametrize("answer", DOUBTS.values(), ids=DOUBTS.keys())
async def test_a_doubt_is_held_and_shown_and_never_sent_again(flow: Flow, answer: Answer) -> None:
    flow.carrier.script = script(answer)
    (message,) = await begin(flow, 1)
    await flow.advance(3600)
    found = await flow.read(message)
    assert found.status is Status.SENDING
    assert found.doubt_at is not None
    await flow.restart()
    await flow.advance(3600)
    assert flow.carrier.sids == [message.sid]


@pytest.mark.parametrize("answer", DOUBTS.values(), ids=DOUBTS.keys())
async def test_where_the_carrier_knows_our_key_a_doubt_is_sent_again(tmp_path: Path, answer: Answer) -> None:
    async with flowing(tmp_path, setup=RETRY) as flow:
        flow.carrier.script = script(answer, answer)
        (message,) = await begin(flow, 1)
        await flow.advance(60)
        assert flow.carrier.sids == [message.sid] * 3
        assert (await flow.read(message)).status is Status.SENT


async def test_what_is_in_doubt_and_expires_before_it_can_be_sent_again_is_in_doubt(tmp_path: Path) -> None:
    async with flowing(tmp_path, setup=RETRY) as flow:
        flow.carrier.script = lambda s: InDoubt("no answer") if s.attempt == 1 else Unreachable()
        (message,) = await begin(flow, 1, validity=5)
        await flow.advance(60)
        found = await flow.read(message)
        assert found.status is not Status.FAILED
        assert found.doubt_at is not None


async def test_what_a_crash_left_in_doubt_and_expires_before_the_next_start_is_in_doubt(tmp_path: Path) -> None:
    async with flowing(tmp_path, setup=RETRY) as flow:
        flow.carrier.script = script(Keeps())
        (message,) = await begin(flow, 1, validity=60)
        await flow.kill()
        await flow.clock.advance_to(after(120), flow.settle)
        await flow.start()
        await flow.advance(1)
        assert flow.carrier.sids == [message.sid]
        found = await flow.read(message)
        assert found.status is not Status.FAILED
        assert found.doubt_at is not None


async def test_a_connector_that_breaks_in_the_middle_leaves_the_rest_in_doubt_and_goes_on(flow: Flow) -> None:
    messages = await flow.send_many(5, after(60))
    flow.carrier.script = script(Accepted("one"), Accepted("two"), Breaks(RuntimeError("a bug of a connector")))
    await flow.advance(61)
    found = [await flow.read(sid) for sid in sorted(sids(messages))]
    assert [m.status for m in found] == [Status.SENT] * 2 + [Status.SENDING] * 3
    assert [m.doubt_at is not None for m in found] == [False] * 2 + [True] * 3
    later = await begin(flow, 2)
    await flow.advance(1)
    assert [(await flow.read(m)).status for m in later] == [Status.SENT] * 2


@pytest.mark.parametrize("event", [Event.DELIVER, Event.UNDELIVER])
async def test_a_receipt_that_comes_later_settles_a_doubt(flow: Flow, event: Event) -> None:
    flow.carrier.script = script(InDoubt("no answer"))
    (message,) = await begin(flow, 1)
    await flow.advance(3600)
    await flow.carrier.report(Receipt("their-id", event, None, message.sid))
    found = await flow.read(message)
    assert found.doubt_at is None
    assert found.status in (Status.DELIVERED, Status.UNDELIVERED)


async def test_no_more_is_claimed_than_twice_what_the_carrier_takes_at_once(flow: Flow) -> None:
    flow.carrier.condition.at_once = 3
    flow.carrier.script = lambda submission: Keeps()
    messages = await flow.send_many(20, after(60))
    await flow.advance_to(after(60))
    assert Counter([(await flow.read(one)).status for one in messages]) == {Status.SENDING: 6, Status.QUEUED: 14}
    for left in range(20, 0, -1):
        assert min(left, 3) <= len(flow.carrier.kept) <= 6
        flow.carrier.tell(flow.carrier.kept[0], Accepted(f"taken {left}"))
        await flow.settle()
    assert sorted(flow.carrier.sids) == sorted(message.sid for message in messages)


async def test_who_is_never_answered_waits_and_holds_up_nobody(flow: Flow) -> None:
    flow.carrier.script = script(Keeps())
    slow, quick = await begin(flow, 2)
    await flow.advance(3600)
    assert [(await flow.read(m)).status for m in (slow, quick)] == [Status.SENDING, Status.SENT]
    assert flow.lanes.waiting == 1
    flow.carrier.tell(slow.sid, Accepted("late"))
    await flow.advance(1)
    assert (await flow.read(slow)).status is Status.SENT
    assert flow.lanes.waiting == 0


async def test_answers_may_come_in_any_order(flow: Flow) -> None:
    messages = await flow.send_many(6, after(60))
    flow.carrier.script = script(*[Keeps()] * 6)
    await flow.advance(61)
    answers: list[Answer] = [Refused(30006), Accepted("b"), InDoubt(), Busy(), Accepted("e"), Unreachable()]
    for sid, answer in reversed(list(zip(flow.carrier.kept, answers, strict=True))):
        flow.carrier.tell(sid, answer)
        await flow.settle()
    await flow.advance(30)
    assert await flow.statuses() == {Status.FAILED: 1, Status.SENT: 4, Status.SENDING: 1}
    assert len(messages) == 6


# --- validity --------------------------------------------------------------------------------------------------------


async def test_what_cannot_go_in_time_fails_when_it_expires(tmp_path: Path) -> None:
    async with flowing(tmp_path, a_sender(1, mps=0.1)) as flow:
        first, late = await begin(flow, 2, validity=9)
        await flow.advance(8.9)
        assert (await flow.read(late)).status is Status.QUEUED
        await flow.advance(0.15)
        failed = await flow.read(late)
        assert (failed.status, failed.error_code) == (Status.FAILED, 30036)
        assert (await flow.read(first)).status is Status.SENT


@pytest.mark.parametrize(("validity", "status"), [(10, Status.FAILED), (11, Status.SENT)])
async def test_at_its_expiry_it_is_too_late(tmp_path: Path, validity: int, status: Status) -> None:
    async with flowing(tmp_path, a_sender(1, mps=0.1)) as flow:
        _, second = await begin(flow, 2, validity=validity)  # its slot is ten seconds later
        await flow.advance(30)
        assert (await flow.read(second)).status is status


async def test_what_comes_back_fails_when_it_expires(flow: Flow) -> None:
    flow.carrier.script = lambda submission: Busy()
    (message,) = await begin(flow, 1, validity=5)
    await flow.advance(4.9)
    assert (await flow.read(message)).status is Status.SENDING
    await flow.advance(0.2)
    failed = await flow.read(message)
    assert (failed.status, failed.error_code) == (Status.FAILED, 30036)
    tries = len(flow.carrier.submitted)
    await flow.advance(600)
    assert len(flow.carrier.submitted) == tries


async def test_nothing_is_submitted_after_it_expired(tmp_path: Path) -> None:
    async with flowing(tmp_path, a_sender(1, mps=2.0)) as flow:
        for number in range(12):
            await begin(flow, 1, validity=1 + number % 4)
        await flow.advance(60)
        assert [one for one in flow.carrier.submitted if one.at >= one.submission.expires_at] == []
        assert sum((await flow.statuses()).values()) == 12


async def test_what_expired_in_the_queue_costs_no_rate(tmp_path: Path) -> None:
    async with flowing(tmp_path, a_sender(1, mps=1.0)) as flow:
        flow.carrier.script = lambda submission: Unreachable()
        await begin(flow, 50, validity=60)
        await flow.advance(61)
        assert (await flow.statuses())[Status.FAILED] == 50
        flow.carrier.script = script()
        (message,) = await begin(flow, 1, validity=20)
        await flow.advance(25)
        found = await flow.read(message)
        assert (found.status, found.error_code) == (Status.SENT, None)


# --- trouble of the store --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [AWAY, StoreFull("no room")], ids=["unavailable", "full"])
@pytest.mark.parametrize("failures", [1, 4])
async def test_what_cannot_be_claimed_is_not_submitted_and_waits(flow: Flow, error: StoreError, failures: int) -> None:
    flow.store.fail("claim", *[error] * failures)
    messages = await begin(flow, 5)
    await flow.advance(failures * 0.9)
    assert flow.carrier.submitted == []
    await flow.advance(3)
    assert sorted(flow.carrier.sids) == sorted(sids(messages))


async def test_an_outcome_that_cannot_be_recorded_is_not_forgotten_nor_sent_again(flow: Flow) -> None:
    flow.store.fail("record", *[AWAY] * 3)
    messages = await begin(flow, 5)
    await flow.advance(2)
    assert await flow.statuses() == {Status.SENDING: 5}
    await flow.advance(5)
    assert await flow.statuses() == {Status.SENT: 5}
    assert flow.carrier.sids == sids(messages)


async def test_a_claim_that_somebody_else_won_is_not_submitted(flow: Flow) -> None:
    hold = flow.store.hold("claim", "before")
    beginning = asyncio.create_task(begin(flow, 1))
    await hold.reached.wait()
    (message,) = await flow.everything()
    await flow.store.real.claim([message.sid], "another run", [], flow.clock.now())
    hold.opened.set()
    await beginning
    await flow.advance(60)
    assert flow.carrier.submitted == []
    assert flow.lanes.waiting == 0


async def test_claims_of_many_senders_share_a_transaction(tmp_path: Path) -> None:
    async with flowing(tmp_path, *(a_sender(n, mps=1.0) for n in range(1, 9))) as flow:
        await flow.send_many(8, after(300))
        await flow.advance_to(after(301))
        assert len(flow.carrier.submitted) == 8
        assert flow.store.calls.count("claim") <= 2


async def test_a_hand_off_is_claimed_shortly_before_its_slot_and_not_earlier(tmp_path: Path) -> None:
    async with flowing(tmp_path, a_sender(1, mps=0.5)) as flow:
        _, second = await begin(flow, 2)
        await flow.advance(2 - AHEAD / SECOND - 0.001)
        assert (await flow.read(second)).status is Status.QUEUED
        await flow.advance(0.001)
        assert (await flow.read(second)).claim is not None
        assert len(flow.carrier.submitted) == 1
        await flow.advance(AHEAD / SECOND)
        assert len(flow.carrier.submitted) == 2


# --- the end of a run ------------------------------------------------------------------------------------------------


def stop_lanes(flow: Flow) -> "asyncio.Task[None]":
    flow.stopping = True
    return asyncio.create_task(flow.lanes.stop(NEVER))


async def test_stopping_lets_go_what_is_claimed_and_leaves_the_rest(tmp_path: Path) -> None:
    async with flowing(tmp_path, a_sender(1, mps=1.0)) as flow:
        messages = await begin(flow, 4)
        await flow.advance(1.5)
        stopping = stop_lanes(flow)
        await flow.advance(10)
        await asyncio.wait_for(stopping, 60)
        assert flow.carrier.sids == sids(messages[:2])
        assert await flow.statuses() == {Status.SENT: 2, Status.QUEUED: 2}


async def test_stopping_waits_for_the_answers(flow: Flow) -> None:
    flow.carrier.script = script(Keeps())
    (message,) = await begin(flow, 1)
    stopping = stop_lanes(flow)
    await flow.advance(5)
    assert not stopping.done()
    flow.carrier.tell(message.sid, Accepted("late"))
    await asyncio.wait_for(stopping, 60)
    await flow.advance(1)
    assert (await flow.read(message)).status is Status.SENT


async def test_a_carrier_that_does_not_answer_keeps_nobody_from_stopping_and_leaves_a_doubt(flow: Flow) -> None:
    flow.carrier.script = script(Keeps(), Accepted("taken"))
    kept, taken = await begin(flow, 2)
    flow.stopping = True
    await asyncio.wait_for(flow.lanes.stop(0.02), 60)
    await asyncio.wait_for(flow.recorder.settled(), 60)
    assert (await flow.read(kept)).doubt_at is not None
    assert (await flow.read(taken)).status is Status.SENT


async def test_a_wall_clock_that_was_set_back_keeps_nobody_from_stopping(tmp_path: Path) -> None:
    clock = JumpingClock(START)
    async with flowing(tmp_path, clock=clock) as flow:
        message = await flow.send(after(10))
        hold = flow.store.hold("claim", "after")
        reached = asyncio.create_task(flow.advance(10))
        await hold.reached.wait()
        clock.jump(-3600 * SECOND)
        hold.opened.set()
        await reached
        flow.stopping = True
        await asyncio.wait_for(flow.lanes.stop(NEVER), 60)
        await flow.advance(1)
        assert flow.carrier.submitted == []
        assert is_free((await flow.read(message)).claim)


async def test_a_carrier_that_is_closed_answers_and_so_ends_the_stop(flow: Flow) -> None:
    flow.carrier.script = script(Keeps())
    (message,) = await begin(flow, 1)
    stopping = stop_lanes(flow)
    await flow.settle()
    await flow.carrier.close()
    await asyncio.wait_for(stopping, 60)
    await flow.advance(1)
    assert (await flow.read(message)).doubt_at is not None


# --- a crash at every step -------------------------------------------------------------------------------------------

MPS = 3.0
COUNT = 6


class Cut:
    """Ends the process at one of the places a run passes: before and after each call of the store, at each submission.

    A call that is cut before is not made; one that is cut after is on disk, and nobody knows.
    """

    def __init__(self, flow: Flow, at: int) -> None:
        self._flow = flow
        self._at = at
        self.places = 0
        flow.carrier.script = self._submit
        self.watch(flow.store)

    def watch(self, store: WatchedStore) -> None:
        store.before = store.after = self._pass

    async def _pass(self, _: str) -> None:
        self._count()

    def _submit(self, submission: Submission) -> Answer:
        self._count()
        return Accepted(f"ref-{submission.sid}")

    def _count(self) -> None:
        self.places += 1
        if self.places == self._at:
            self._flow.power.cut()


async def live(flow: Flow, seconds: float) -> None:
    """Let time pass until the process ends, or has not for so many seconds."""
    advancing = asyncio.create_task(flow.advance(seconds))
    ended = asyncio.create_task(flow.power.went_off.wait())
    await asyncio.wait([advancing, ended], return_when=asyncio.FIRST_COMPLETED)
    ended.cancel()
    if flow.power.off:
        advancing.cancel()
    await asyncio.wait([advancing, ended])


async def crash_at(at: int, setup: Setup) -> tuple[int, Counter[str]]:
    """Run a schedule with a crash at a place; return how many places there were, and how all ended."""
    async with flowing_anew(a_sender(1, mps=MPS), setup=setup) as flow:
        messages = [
            await flow.send(after(5 + n * 0.05), recipient=recipient(n), body=body_of(1 + n % 2)) for n in range(COUNT)
        ]
        cut = Cut(flow, at)
        await live(flow, 20)
        submitted_before = Counter(flow.carrier.sids)
        await flow.restart()
        flow.carrier.script = script()
        await flow.advance(60)
        check_never_early(flow.carrier.submitted)
        check_rate(flow.carrier.submitted, MPS)
        found = await flow.everything()
        assert len(found) == COUNT
        assert all(is_settled(message) for message in found), "lost"
        counts = Counter(flow.carrier.sids)
        for message in found:
            doubted = message.doubt_at is not None
            if setup.doubt is DoubtPolicy.HOLD:
                assert counts[message.sid] <= 1, "sent twice"
                assert doubted or counts[message.sid] == 1
            else:
                assert not doubted
                assert 1 <= counts[message.sid] <= 2
                assert message.status is Status.SENT
        assert set(submitted_before) <= set(sids(messages))
        return cut.places, Counter("doubt" if m.doubt_at is not None else str(m.status) for m in found)


@pytest.mark.parametrize("doubt", [DoubtPolicy.HOLD, DoubtPolicy.RETRY])
async def test_after_a_crash_at_any_step_nothing_is_lost_doubled_early_or_too_fast(doubt: DoubtPolicy) -> None:
    setup = Setup(doubt=doubt, calls=False)
    places, whole = await crash_at(0, setup)
    assert whole == {"sent": COUNT}
    assert places > 20
    endings: Counter[str] = Counter()
    for at in range(1, places + 1):
        endings += (await crash_at(at, setup))[1]
    if doubt is DoubtPolicy.HOLD:
        assert endings["doubt"] > 0  # some crashes were between a claim and its outcome
    assert endings["sent"] > endings["doubt"]


@settings(max_examples=10)
@given(
    cuts=st.lists(st.integers(1, 25), min_size=2, max_size=5), mps=st.sampled_from([1.0, 3.0, 10.0]), count=st.just(8)
)
async def test_however_often_it_crashes_the_rate_is_kept_and_all_is_sent(
    cuts: list[int], mps: float, count: int
) -> None:
    async with flowing_anew(a_sender(1, mps=mps), setup=Setup(doubt=DoubtPolicy.RETRY, calls=False)) as flow:
        for number in range(count):
            await flow.send(after(2), recipient=recipient(number), body=body_of(1 + number % 3))
        for at in cuts:
            Cut(flow, at)
            await live(flow, 30)
            await flow.restart()
        flow.carrier.script = script()
        flow.store.before = flow.store.after = _let_be
        await flow.advance(120)
        check_never_early(flow.carrier.submitted)
        check_rate(flow.carrier.submitted, mps)
        assert await flow.statuses() == {Status.SENT: count}


async def _let_be(_: str) -> None:
    pass


async def test_a_graceful_stop_and_start_loses_and_doubles_nothing(tmp_path: Path) -> None:
    async with flowing(tmp_path, a_sender(1, mps=MPS)) as flow:
        messages = await begin(flow, 12)
        for _ in range(3):
            await flow.advance(0.9)
            stopping = asyncio.create_task(flow.stop())
            await breathe()
            await flow.advance(1)
            await asyncio.wait_for(stopping, 60)
            await flow.start()
        await flow.advance(60)
        assert await flow.statuses() == {Status.SENT: 12}
        assert twice(flow.carrier.sids) == []
        assert sorted(flow.carrier.sids) == sorted(sids(messages))
        check_rate(flow.carrier.submitted, MPS)
