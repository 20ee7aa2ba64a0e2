"""What becomes of a message that is due: its sender, its refusal, its resumption; and cancel against hand-off."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from aiohttp import web

from postdate.core.address import SenderKind, bucket_of
from postdate.core.errors import Rejected
from postdate.core.instant import MILLISECOND, SECOND, Instant
from postdate.core.message import Message, Options, Status
from postdate.core.outcome import DoubtPolicy, InDoubt, Unreachable
from postdate.core.resources import AccountStatus, Resource, Sender
from postdate.flow.dispatch import LEAD
from postdate.store.contract import OptOutChange, StoreUnavailable
from tests.flow.building import (
    ACCOUNT,
    SERVICE,
    Answer,
    Customer,
    Flow,
    Setup,
    a_sender,
    a_service,
    accept,
    after,
    an_account,
    flowing,
    flowing_anew,
    recipient,
)

AWAY = StoreUnavailable("the store cannot be reached")
PARENT = "AC" + "7" * 32
LONDON = "+442079460001"
TOKYO = "+81312345678"
NEW_YORK = "+12125550123"
SOON = 300.0  # beyond the horizon


async def due(flow: Flow, seconds: float = SOON + 1) -> None:
    """Let everything that is due by then happen, and be recorded."""
    await flow.advance_to(after(seconds))


async def sender_of(flow: Flow, to: str, **changes: object) -> str | None:
    """Return which sender a scheduled message leaves with."""
    message = await flow.send(after((flow.clock.now() - after(0)) / SECOND + 10), recipient=to, **changes)
    await flow.advance(11)
    sent = await flow.read(message)
    assert sent.status is Status.SENT, (sent.status, sent.error_code)
    (submitted,) = (one.submission for one in flow.carrier.submitted if one.sid == message.sid)
    assert submitted.sender == sent.sender
    return sent.sender


# --- refusals --------------------------------------------------------------------------------------------------------


async def opt_out(flow: Flow) -> None:
    change = OptOutChange(ACCOUNT, SERVICE, recipient(), bucket_of(ACCOUNT, recipient()), True)
    await flow.store.add_inbound([], [change], flow.clock.now())


async def suspend(flow: Flow) -> None:
    await flow.directory.put(an_account(status=AccountStatus.SUSPENDED))


async def close(flow: Flow) -> None:
    await flow.directory.put(an_account(status=AccountStatus.CLOSED))


async def suspend_parent(flow: Flow) -> None:
    await flow.directory.put(an_account(owner_sid=PARENT))
    await flow.directory.put(an_account(sid=PARENT, owner_sid=PARENT, status=AccountStatus.SUSPENDED))


async def remove_account(flow: Flow) -> None:
    await flow.directory.remove(ACCOUNT)


async def empty_pool(flow: Flow) -> None:
    await flow.directory.remove(a_sender().sid)


async def move_sender(flow: Flow) -> None:
    await flow.directory.put(a_sender(service_sid=None))


async def remove_service(flow: Flow) -> None:
    await flow.directory.remove(SERVICE)


async def leave_one_that_cannot(flow: Flow) -> None:
    await flow.directory.remove(a_sender().sid)
    await flow.directory.put(a_sender(2, kind=SenderKind.ALPHA, address="Postdate", country=""))


GONE_SINCE = [
    pytest.param(opt_out, 21610, id="opted out"),
    pytest.param(suspend, 30002, id="account suspended"),
    pytest.param(suspend_parent, 30002, id="parent suspended"),
    pytest.param(remove_account, 30002, id="account removed"),
]


@pytest.mark.parametrize(("change", "code"), GONE_SINCE)
async def test_what_changed_while_it_waited_for_its_turn_counts(
    tmp_path: Path, change: Callable[[Flow], Awaitable[None]], code: int
) -> None:
    async with flowing(tmp_path, a_sender(mps=1)) as flow:
        first = await flow.send_in_turn([2, 3])
        waiting = await flow.send(None)
        await flow.advance_to(after(1.5))
        assert [one.sid for one in flow.carrier.submitted] == [one.sid for one in first]
        assert (await flow.read(waiting)).status is Status.QUEUED
        await change(flow)
        await flow.advance_to(after(60))
        failed = await flow.read(waiting)
        assert (failed.status, failed.error_code) == (Status.FAILED, code)
        assert len(flow.carrier.submitted) == 2
        assert flow.lanes.waiting == 0


@pytest.mark.parametrize(("change", "code"), GONE_SINCE)
async def test_what_came_back_does_not_go_again(
    flow: Flow, change: Callable[[Flow], Awaitable[None]], code: int
) -> None:
    answers: list[Answer] = [Unreachable()]
    flow.carrier.script = lambda submission: answers.pop() if answers else accept(submission)
    message = await flow.send(None)
    await flow.settle()
    await change(flow)
    await flow.advance_to(after(60))
    failed = await flow.read(message)
    assert (failed.status, failed.error_code) == (Status.FAILED, code)
    assert len(flow.carrier.submitted) == 1


@pytest.mark.parametrize("change", [opt_out, suspend])
async def test_what_is_in_doubt_stays_so_and_does_not_go_again(
    tmp_path: Path, change: Callable[[Flow], Awaitable[None]]
) -> None:
    answers: list[Answer] = [InDoubt("no answer")]
    async with flowing(tmp_path, a_sender(), setup=Setup(doubt=DoubtPolicy.RETRY)) as flow:
        flow.carrier.script = lambda submission: answers.pop() if answers else accept(submission)
        message = await flow.send(None)
        await flow.settle()
        await change(flow)
        await flow.advance_to(after(60))
        left = await flow.read(message)
        assert (left.status, left.error_code) == (Status.SENDING, None)
        assert left.doubt_at is not None
        assert len(flow.carrier.submitted) == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param(opt_out, 21610, id="opted out"),
        pytest.param(suspend, 30002, id="account suspended"),
        pytest.param(close, 30002, id="account closed"),
        pytest.param(suspend_parent, 30002, id="parent suspended"),
        pytest.param(remove_account, 30002, id="account removed"),
        pytest.param(empty_pool, 21704, id="pool empty"),
        pytest.param(move_sender, 21704, id="sender left the pool"),
        pytest.param(remove_service, 21704, id="service removed"),
        pytest.param(leave_one_that_cannot, 21703, id="none able"),
    ],
)
async def test_what_changed_since_it_was_scheduled_counts(
    flow: Flow, change: Callable[[Flow], Awaitable[None]], code: int
) -> None:
    message = await flow.send(after(SOON))
    await due(flow, SOON - 1)
    await change(flow)
    assert (await flow.read(message)).status is Status.SCHEDULED
    await due(flow)
    failed = await flow.read(message)
    assert (failed.status, failed.error_code) == (Status.FAILED, code)
    assert flow.carrier.submitted == []


async def test_a_sender_that_was_named_and_is_gone_refuses(tmp_path: Path) -> None:
    async with flowing(tmp_path, a_sender(1), a_sender(2)) as flow:
        message = await flow.send(after(SOON), sender=a_sender(1).address)
        await flow.directory.remove(a_sender(1).sid)
        await due(flow)
        failed = await flow.read(message)
        assert (failed.status, failed.error_code) == (Status.FAILED, 21606)


async def test_a_sender_that_went_to_another_account_is_not_used(tmp_path: Path) -> None:
    async with flowing(tmp_path, a_sender(1), a_sender(2)) as flow:
        message = await flow.send(after(SOON), sender=a_sender(1).address)
        await flow.directory.put(a_sender(1, account_sid=PARENT))
        await due(flow)
        assert (await flow.read(message)).error_code == 21606


async def test_who_was_refused_for_a_moment_may_be_sent_to_after_it(flow: Flow) -> None:
    first, second = await flow.send(after(10)), await flow.send(after(30))
    await suspend(flow)
    await due(flow, 20)
    await flow.directory.put(an_account())
    await due(flow, 40)
    assert [(await flow.read(m)).status for m in (first, second)] == [Status.FAILED, Status.SENT]


async def test_what_is_due_while_the_node_is_down_goes_when_it_is_up_if_it_is_still_valid(flow: Flow) -> None:
    valid = await flow.send(after(SOON), validity=3600)
    expired = await flow.send(after(SOON), validity=600)
    await flow.kill()
    await flow.clock.advance_to(after(1800), flow.settle)
    await flow.start()
    await flow.advance(1)
    assert (await flow.read(valid)).status is Status.SENT
    failed = await flow.read(expired)
    assert (failed.status, failed.error_code) == (Status.FAILED, 30036)
    assert flow.carrier.sids == [valid.sid]


@pytest.mark.parametrize("late", [-1, 0], ids=["just in time", "at expiry"])
async def test_validity_counts_from_send_at_to_the_microsecond(flow: Flow, late: int) -> None:
    message = await flow.send(after(SOON), validity=100)
    await flow.kill()
    await flow.clock.advance_to(Instant(after(SOON + 100) + late), flow.settle)
    await flow.start()
    await flow.settle()
    await flow.advance(0.01)
    assert (await flow.read(message)).status is (Status.SENT if late < 0 else Status.FAILED)


async def codes(flow: Flow, messages: Sequence[Message]) -> Counter[int | None]:
    """Return with which codes messages failed, None for those that did not."""
    return Counter([(await flow.read(message)).error_code for message in messages])


async def begin_lanes(flow: Flow, *senders: Sender) -> None:
    """Send one message with each sender, so that its lane is there."""
    for sender in senders:
        await flow.send(sender=sender.address, recipient=recipient(9_000))
        await flow.advance(0.1)


async def test_a_queue_that_is_full_fails_what_is_due_and_takes_what_has_room(tmp_path: Path) -> None:
    sender = a_sender(1, mps=3 / 36_000)  # the queue holds three segments
    async with flowing(tmp_path, sender) as flow:
        await begin_lanes(flow, sender)
        messages = await flow.send_many(5, after(SOON))
        await due(flow)
        assert await codes(flow, messages) == {None: 3, 30001: 2}


async def test_the_first_messages_of_a_sender_have_no_more_room_than_others(tmp_path: Path) -> None:
    async with flowing(tmp_path, a_sender(1, mps=3 / 36_000)) as flow:
        messages = await flow.send_many(5, after(SOON))
        await due(flow)
        assert await codes(flow, messages) == {None: 3, 30001: 2}


async def test_segments_count_for_the_room_not_messages(tmp_path: Path) -> None:
    sender = a_sender(1, mps=5 / 36_000)
    async with flowing(tmp_path, sender) as flow:
        await begin_lanes(flow, sender)
        messages = await flow.send_many(3, after(SOON), body="x" * 306)  # two segments each
        await due(flow)
        assert await codes(flow, messages) == {None: 2, 30001: 1}


async def test_a_sender_with_room_takes_what_another_has_not(tmp_path: Path) -> None:
    senders = [a_sender(n, mps=2 / 36_000) for n in (1, 2)]
    async with flowing(tmp_path, *senders) as flow:
        await begin_lanes(flow, *senders)
        messages = await flow.send_many(5, after(SOON))
        await due(flow)
        found = [await flow.read(m) for m in messages]
        assert Counter(m.sender for m in found if m.error_code is None) == {a_sender(n).address: 2 for n in (1, 2)}
        assert [m.error_code for m in found].count(30001) == 1


# --- senders ---------------------------------------------------------------------------------------------------------


async def test_many_recipients_are_spread_evenly(tmp_path: Path) -> None:
    async with flowing(tmp_path, *(a_sender(n) for n in range(1, 8))) as flow:
        await flow.send_many(500, after(SOON))
        await due(flow)
        counts = Counter(one.submission.sender for one in flow.carrier.submitted)
        assert len(counts) == 7
        assert max(counts.values()) - min(counts.values()) <= 1


async def test_each_service_spreads_its_own_recipients_evenly(tmp_path: Path) -> None:
    other = "MG" + "d" * 32
    pools = [a_sender(n, service_sid=SERVICE if n <= 2 else other) for n in range(1, 5)]
    async with flowing(tmp_path, a_service(), a_service(sid=other), *pools) as flow:
        for number in range(40):
            service = (SERVICE, other)[number % 2]
            await flow.send(after(SOON + number), recipient=recipient(number), service_sid=service)
        await due(flow, SOON + 60)
        counts = Counter(one.submission.sender for one in flow.carrier.submitted)
        assert counts == {sender.address: 10 for sender in pools}


async def test_messages_with_media_are_spread_evenly_too(tmp_path: Path, customer: Customer) -> None:
    async def picture(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=b"\x89PNG\r\n\x1a\n", content_type="image/png")

    customer.serve = picture
    async with flowing(tmp_path, a_sender(1), a_sender(2)) as flow:
        for number in range(20):
            await flow.send(after(SOON + number), recipient=recipient(number), media_urls=(f"{customer.url}/1",))
        await due(flow, SOON + 60)
        counts = Counter(one.submission.sender for one in flow.carrier.submitted)
        assert counts == {a_sender(n).address: 10 for n in (1, 2)}


async def test_two_messages_to_one_recipient_at_one_time_have_one_sender(tmp_path: Path) -> None:
    async with flowing(tmp_path, *(a_sender(n) for n in range(1, 6))) as flow:
        for _ in range(5):
            await flow.send(after(SOON))
        await due(flow)
        assert len({one.submission.sender for one in flow.carrier.submitted}) == 1


async def test_a_recipient_keeps_its_sender(tmp_path: Path) -> None:
    async with flowing(tmp_path, *(a_sender(n) for n in range(1, 4))) as flow:
        people = [recipient(n) for n in range(1, 10)]
        had = {to: await sender_of(flow, to) for to in people}
        assert {to: await sender_of(flow, to) for to in reversed(people)} == had
        await flow.restart()
        assert {to: await sender_of(flow, to) for to in people} == had


async def test_without_sticky_senders_it_gets_another(tmp_path: Path) -> None:
    async with flowing(tmp_path, a_service(sticky_sender=False), a_sender(1), a_sender(2)) as flow:
        assert {await sender_of(flow, recipient()) for _ in range(4)} == {a_sender(n).address for n in (1, 2)}


async def test_a_recipient_whose_sender_is_gone_gets_another_and_keeps_that(tmp_path: Path) -> None:
    async with flowing(tmp_path, *(a_sender(n) for n in range(1, 4))) as flow:
        first = await sender_of(flow, recipient())
        gone = flow.directory.sender_at(ACCOUNT, first or "")
        assert gone is not None
        await flow.directory.remove(gone.sid)
        second = await sender_of(flow, recipient())
        assert second != first
        assert {await sender_of(flow, recipient()) for _ in range(4)} == {second}


COUNTRIES = [a_sender(1), a_sender(2, address=LONDON), a_sender(3, address=TOKYO)]
AREAS = [a_sender(1, area_code="212"), a_sender(2, area_code="415"), a_sender(3, area_code="303")]
KINDS: list[Sender] = [
    a_sender(1),
    a_sender(2, kind=SenderKind.SHORT_CODE, address="72975", country="US"),
    a_sender(3, kind=SenderKind.ALPHA, address="Postdate", country=""),
]


@pytest.mark.parametrize(
    ("pool", "to", "expected"),
    [
        pytest.param(COUNTRIES, "+442079460999", LONDON, id="same country"),
        pytest.param(COUNTRIES, "+81399998888", TOKYO, id="another same country"),
        pytest.param(COUNTRIES, "+4930123456", a_sender(1).address, id="no such country: a US number"),
        pytest.param(AREAS, "+14155550101", a_sender(2).address, id="same area"),
        pytest.param(AREAS, NEW_YORK, a_sender(1).address, id="another same area"),
        pytest.param(KINDS, NEW_YORK, "72975", id="a short code first"),
        pytest.param(KINDS, "+442079460999", "Postdate", id="alpha abroad"),
    ],
)
async def test_the_nearest_sender_is_chosen(tmp_path: Path, pool: Sequence[Sender], to: str, expected: str) -> None:
    async with flowing(tmp_path, *pool) as flow:
        assert {await sender_of(flow, to) for _ in range(3)} == {expected}


async def test_without_geomatch_the_area_does_not_matter(tmp_path: Path) -> None:
    service = a_service(area_code_geomatch=False, sticky_sender=False)
    async with flowing(tmp_path, service, *AREAS) as flow:
        assert len({await sender_of(flow, "+14155550101") for _ in range(6)}) == 3


async def test_a_sender_that_was_named_is_used(tmp_path: Path) -> None:
    async with flowing(tmp_path, *(a_sender(n) for n in range(1, 4))) as flow:
        used = {await sender_of(flow, recipient(n), sender=a_sender(2).address) for n in range(5)}
        assert used == {a_sender(2).address}


async def test_what_is_in_the_pool_when_it_is_due_counts(tmp_path: Path) -> None:
    async with flowing(tmp_path, a_sender(1), a_sender(2)) as flow:
        messages = await flow.send_many(20, after(SOON))
        await flow.directory.remove(a_sender(1).sid)
        await flow.directory.put(a_sender(3))
        await due(flow)
        senders = {(await flow.read(m)).sender for m in messages}
        assert senders == {a_sender(2).address, a_sender(3).address}


@pytest.mark.parametrize(
    ("service", "asked", "expected"),
    [
        pytest.param(True, None, 1, id="as the service does"),
        pytest.param(False, None, 2, id="as the service does not"),
        pytest.param(False, True, 1, id="as the message asks"),
        pytest.param(True, False, 2, id="as the message asks not"),
    ],
)
async def test_look_alikes_are_replaced_where_that_is_wanted(
    tmp_path: Path, service: bool, asked: bool | None, expected: int
) -> None:
    body = "\N{RIGHT SINGLE QUOTATION MARK}" + "x" * 100  # one segment in GSM-7, two in UCS-2
    async with flowing(tmp_path, a_service(smart_encoding=service)) as flow:
        message = await flow.send(after(SOON), body=body, options=Options(smart_encoded=asked))
        await due(flow)
        (submitted,) = flow.carrier.submitted
        assert (await flow.read(message)).num_segments == submitted.submission.segments == expected
        assert submitted.submission.body == (body if expected == 2 else "'" + "x" * 100)


# --- what was decided before -----------------------------------------------------------------------------------------


async def test_what_is_decided_twice_goes_once(flow: Flow) -> None:
    messages = await flow.send_many(5, after(0.1))
    sids = [m.sid for m in messages]
    await asyncio.gather(*(flow.dispatcher.take(sids) for _ in range(3)))
    await due(flow)
    assert sorted(flow.carrier.sids) == sorted(sids)


async def test_what_is_queued_goes_on_after_a_crash(tmp_path: Path) -> None:
    async with flowing(tmp_path, a_sender(1, mps=1.0)) as flow:
        messages = await flow.send_many(5, after(SOON))
        await due(flow, SOON + 1.5)
        assert await flow.statuses() == {Status.SENT: 2, Status.QUEUED: 3}
        await flow.restart()
        await due(flow, SOON + 30)
        assert sorted(flow.carrier.sids) == sorted(m.sid for m in messages)


async def test_what_is_queued_for_a_sender_that_is_gone_fails_after_a_restart(tmp_path: Path) -> None:
    async with flowing(tmp_path, a_sender(1, mps=1.0), a_sender(2, service_sid=None)) as flow:
        await flow.send_many(3, after(SOON))
        await due(flow, SOON + 0.5)
        await flow.kill()
        await flow.start()
        await flow.store.real.remove(a_sender(1).sid)
        await flow.restart()
        await flow.advance(5)
        codes = Counter(m.error_code for m in await flow.everything() if m.status is Status.FAILED)
        assert codes == {21606: 2}


def keeps(_: object) -> Answer:
    return InDoubt("no answer")


@pytest.mark.parametrize("policy", list(DoubtPolicy))
async def test_a_hand_off_that_a_crash_cut_off_is_in_doubt(tmp_path: Path, policy: DoubtPolicy) -> None:
    async with flowing(tmp_path, setup=Setup(doubt=policy)) as flow:
        message = await flow.send(after(SOON))
        flow.store.after = _cut_after(flow, "claim")
        advancing = asyncio.create_task(due(flow))
        await flow.power.went_off.wait()
        await flow.kill()
        await asyncio.wait([advancing])
        assert flow.carrier.submitted == []
        await flow.start()
        await flow.advance(SOON)
        found = await flow.read(message)
        if policy is DoubtPolicy.RETRY:
            assert (found.status, found.doubt_at, flow.carrier.sids) == (Status.SENT, None, [message.sid])
            assert found.attempts == 2
        else:
            assert found.status is Status.SENDING
            assert found.doubt_at is not None
            assert flow.carrier.sids == []
            await flow.restart()
            await flow.advance(SOON)
            assert await flow.read(message) == found
            assert flow.carrier.sids == []


def _cut_after(flow: Flow, name: str) -> Callable[[str], Awaitable[None]]:
    async def cut(call: str) -> None:
        if call == name:
            flow.power.cut()

    return cut


async def test_what_this_run_is_handing_over_is_left_alone(flow: Flow) -> None:
    message = await flow.send(after(SOON))
    hold = flow.store.hold("claim", "after")
    advancing = asyncio.create_task(due(flow))
    await hold.reached.wait()
    await flow.dispatcher.take([message.sid])
    assert (await flow.read(message)).doubt_at is None
    hold.opened.set()
    await advancing
    assert flow.carrier.sids == [message.sid]


# --- trouble ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failures", [1, 3])
async def test_a_store_that_cannot_decide_is_asked_again(flow: Flow, failures: int) -> None:
    messages = await flow.send_many(3, after(SOON))
    flow.store.fail("dispatch", *[AWAY] * failures)
    await due(flow, SOON + failures + 1)
    assert sorted(flow.carrier.sids) == sorted(m.sid for m in messages)


async def test_a_doubt_that_cannot_be_recorded_holds_up_nobody_for_long(flow: Flow) -> None:
    doubted = await flow.send(after(SOON))
    flow.store.after = _cut_after(flow, "claim")
    advancing = asyncio.create_task(due(flow))
    await flow.power.went_off.wait()
    await flow.kill()
    await asyncio.wait([advancing])
    await flow.start(watch=lambda store: store.fail("record", AWAY, AWAY))
    other = await flow.send(recipient=recipient(2))
    await flow.advance(10)
    assert (await flow.read(doubted)).doubt_at is not None
    assert flow.carrier.sids == [other.sid]


# --- cancel against hand-off -----------------------------------------------------------------------------------------


async def check_canceled_or_sent(flow: Flow, message: Message, won: bool) -> None:
    """Fail where a cancel that won was sent all the same, or one that lost was not."""
    await flow.advance(30)
    found = await flow.read(message)
    if won:
        assert (found.status, flow.carrier.sids) == (Status.CANCELED, [])
    else:
        assert (found.status, flow.carrier.sids) == (Status.SENT, [message.sid])


async def try_cancel(flow: Flow, message: Message) -> bool:
    """Cancel; say whether the answer was 200, or 30409."""
    try:
        return (await flow.ingest.cancel(flow.account, message.sid)).status is Status.CANCELED
    except Rejected as refusal:
        if refusal.code != 30409:
            raise
        return False


@pytest.mark.parametrize("when", range(-300, 60, 20), ids=lambda when: f"{when} ms")
async def test_a_cancel_at_any_time_wins_or_loses_for_good(flow: Flow, when: int) -> None:
    message = await flow.send(after(SOON))
    await flow.advance_to(Instant(after(SOON) + when * MILLISECOND))
    won = await try_cancel(flow, message)
    assert won is (when * MILLISECOND < -LEAD or (await flow.read(message)).status is Status.CANCELED)
    assert when >= -250 or won, "until the last quarter of a second it is possible"
    assert await try_cancel(flow, message) is won
    await check_canceled_or_sent(flow, message, won)


CALLS = ("due", "dispatch", "claim", "record")


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("name", CALLS)
async def test_a_cancel_at_any_step_wins_or_loses_for_good(flow: Flow, name: str, where: str) -> None:
    message = await flow.send(after(SOON))
    await flow.settle()
    await flow.advance_to(after(1))
    hold = flow.store.hold(name, where)
    advancing = asyncio.create_task(due(flow))
    await hold.reached.wait()
    won = await try_cancel(flow, message)
    assert won is (name == "due" or (name, where) == ("dispatch", "before"))
    hold.opened.set()
    await advancing
    assert await try_cancel(flow, message) is won
    await check_canceled_or_sent(flow, message, won)


@pytest.mark.parametrize("order", [("cancel", "dispatch"), ("dispatch", "cancel")], ids="-".join)
async def test_of_a_cancel_and_a_hand_off_at_once_the_first_wins(flow: Flow, order: tuple[str, str]) -> None:
    message = await flow.send(after(SOON))
    holds = {name: flow.store.hold(name, "before") for name in order}
    advancing = asyncio.create_task(due(flow))
    await holds["dispatch"].reached.wait()
    canceling = asyncio.create_task(try_cancel(flow, message))
    await holds["cancel"].reached.wait()
    for name in order:
        holds[name].opened.set()
    assert await canceling is (order[0] == "cancel")
    await advancing
    await check_canceled_or_sent(flow, message, won=order[0] == "cancel")


async def test_many_cancels_among_many_hand_offs_agree_with_what_was_sent() -> None:
    async with flowing_anew(a_sender(1)) as flow:
        messages = await flow.send_many(60, after(SOON))
        won: dict[str, bool] = {}
        calls = 0

        async def cancel_some(_: str) -> None:
            nonlocal calls
            calls += 1
            if calls < len(messages) and messages[calls].sid not in won and len(won) < 40:
                message = messages[calls]
                won[message.sid] = False
                won[message.sid] = await try_cancel(flow, message)

        flow.store.before = flow.store.after = cancel_some
        await due(flow)
        await flow.advance(1)
        found = {m.sid: m.status for m in await flow.everything()}
        assert {sid for sid, status in found.items() if status is Status.CANCELED} == {s for s, w in won.items() if w}
        assert sorted(flow.carrier.sids) == sorted(sid for sid, s in found.items() if s is Status.SENT)
        assert set(found.values()) <= {Status.CANCELED, Status.SENT}


async def test_a_cancel_while_the_hand_off_is_tried_again_loses(flow: Flow) -> None:
    message = await flow.send(after(SOON))
    flow.store.fail("claim", AWAY)
    await due(flow, SOON + 0.1)
    assert (await flow.read(message)).status is Status.QUEUED
    assert not await try_cancel(flow, message)
    await check_canceled_or_sent(flow, message, won=False)


async def test_a_cancel_before_a_crash_holds_after_it(flow: Flow) -> None:
    message = await flow.send(after(SOON))
    await flow.advance_to(Instant(after(SOON) - LEAD - 1))
    assert await try_cancel(flow, message)
    await flow.restart()
    await check_canceled_or_sent(flow, message, won=True)


# --- without a service -----------------------------------------------------------------------------------------------


async def test_a_message_at_once_goes_at_once(flow: Flow) -> None:
    message = await flow.send(service_sid=None, sender=a_sender().address)
    assert message.status is Status.QUEUED
    await flow.advance(0.01)
    assert (await flow.read(message)).status is Status.SENT


async def test_a_message_without_a_service_is_not_sent_by_a_suspended_account_after_a_restart(tmp_path: Path) -> None:
    async with flowing(tmp_path, a_sender(1, mps=0.1)) as flow:
        sending: dict[str, object] = {"service_sid": None, "sender": a_sender(1).address}
        first, second = await flow.send_in_turn([1, 1], **sending)
        await flow.advance(1)
        await suspend(flow)
        await flow.restart()
        await flow.advance(30)
        assert flow.carrier.sids == [first.sid]
        assert (await flow.read(second)).error_code == 30002


def test_the_resources_of_these_tests_are_what_they_seem() -> None:
    resources: list[Resource] = [*COUNTRIES, *AREAS]
    assert [s.country for s in COUNTRIES] == ["US", "GB", "JP"]
    assert all(isinstance(r, Sender) and r.service_sid == SERVICE for r in resources)
