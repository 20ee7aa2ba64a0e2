"""Every store: receipts in any order, early, late, twice or contradicting, never move a message backwards."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise, permutations

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postdate.core.message import TRANSITIONS, Event, Status, advance
from postdate.store.contract import Doubted, Handed, ReceiptNews, Returned, Store
from tests.store.building import (
    CONNECTION,
    OTHER_RUN,
    RECEIPTS,
    RUN,
    a_message,
    announced,
    bring,
    callbacks,
    everything,
    later,
    overtaking,
    read,
    receipt,
    ref_of,
    sid_of,
    timers,
)

AT = later(60)
Says = Callable[[str, Event, int | None], ReceiptNews]
MOVED = {Event.DELIVER: Status.DELIVERED, Event.UNDELIVER: Status.UNDELIVERED, Event.READ: Status.READ}

# --- one receipt -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", RECEIPTS)
@pytest.mark.parametrize("says", [receipt, overtaking], ids=["the carrier's id", "our SID"])
async def test_a_receipt_moves_the_message_it_names(store: Store, says: Says, event: Event) -> None:
    first = await bring(store, a_message(1), Status.SENT)
    second = await bring(store, a_message(2), Status.SENT)
    await store.apply_receipts([says(first.sid, event, 30003)], AT)
    assert await read(store, first) == msgspec.structs.replace(
        first, status=MOVED[event], error_code=30003, updated_at=AT
    )
    assert await read(store, second) == second
    assert (first.sid, MOVED[event]) in await announced(store)


async def test_the_reason_of_a_failure_is_told(store: Store) -> None:
    message = await bring(store, a_message(), Status.SENT)
    await store.apply_receipts([receipt(message.sid, Event.UNDELIVER, 30006)], AT)
    assert [c.error_code for c in await callbacks(store) if c.status is Status.UNDELIVERED] == [30006]


async def test_a_late_receipt_leaves_the_reason_alone(store: Store) -> None:
    message = await bring(store, a_message(), Status.SENT)
    await store.apply_receipts([receipt(message.sid, Event.UNDELIVER, 30006)], AT)
    undelivered = await read(store, message)
    await store.apply_receipts([receipt(message.sid, event, 30003) for event in RECEIPTS], later(61))
    assert await read(store, message) == undelivered


async def test_a_receipt_through_another_connection_is_another_carriers(store: Store) -> None:
    message = await bring(store, a_message(), Status.SENT)
    before = await everything(store)
    await store.apply_receipts([ReceiptNews("another", ref_of(message.sid), Event.DELIVER)], AT)
    assert await everything(store) == before


async def test_an_id_that_the_carrier_uses_again_means_the_newer_message(store: Store) -> None:
    older = await bring(store, a_message(1), Status.SENDING)
    newer = await bring(store, a_message(2), Status.SENDING)
    await store.record([Handed(older.sid, CONNECTION, "0001")], RUN, later(10))
    await store.record([Handed(newer.sid, CONNECTION, "0001")], RUN, later(20))
    await store.apply_receipts([ReceiptNews(CONNECTION, "0001", Event.DELIVER)], AT)
    assert [(await read(store, m)).status for m in (older, newer)] == [Status.SENT, Status.DELIVERED]


async def test_a_receipt_for_nobody_harms_nobody(store: Store) -> None:
    before = await everything(store)
    await store.apply_receipts([overtaking(sid_of(9), event) for event in RECEIPTS], AT)
    await store.apply_receipts([receipt(sid_of(9), event) for event in RECEIPTS], AT)
    await store.apply_receipts([], AT)
    assert await everything(store) == before


async def test_a_batch_names_many_messages_in_both_ways(store: Store) -> None:
    batch = [await bring(store, a_message(n), Status.SENT) for n in range(4)]
    news = [receipt(batch[0].sid, Event.DELIVER), overtaking(batch[1].sid, Event.UNDELIVER)]
    news += [receipt(batch[2].sid, Event.READ), receipt(sid_of(99), Event.DELIVER)]
    await store.apply_receipts(news, AT)
    expected = [Status.DELIVERED, Status.UNDELIVERED, Status.READ, Status.SENT]
    assert [(await read(store, m)).status for m in batch] == expected


# --- before the answer -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", RECEIPTS)
async def test_a_receipt_that_overtakes_the_answer_stays(store: Store, event: Event) -> None:
    message = await bring(store, a_message(), Status.SENDING)
    await store.apply_receipts([overtaking(message.sid, event)], later(10))
    moved = await read(store, message)
    # It has been sent when the receipt says so; nothing is left to time.
    assert (moved.status, moved.sent_at, moved.listed_at) == (MOVED[event], later(10), later(10))
    assert await timers(store) == []
    await store.record([Handed(message.sid, CONNECTION, ref_of(message.sid))], RUN, later(20))
    after = await read(store, message)
    assert (after.status, after.carrier_ref) == (MOVED[event], ref_of(message.sid))


@pytest.mark.parametrize("event", RECEIPTS)
async def test_a_receipt_that_overtakes_the_answer_is_announced_once(store: Store, event: Event) -> None:
    message = await bring(store, a_message(), Status.SENDING)
    await store.apply_receipts([overtaking(message.sid, event)], later(10))
    before = await announced(store)
    await store.record([Handed(message.sid, CONNECTION, ref_of(message.sid))], RUN, later(20))
    assert await announced(store) == before


async def test_after_a_receipt_overtook_it_the_answer_still_makes_the_carriers_id_known(store: Store) -> None:
    message = await bring(store, a_message(), Status.SENDING)
    await store.apply_receipts([overtaking(message.sid, Event.DELIVER)], later(10))
    await store.record([Handed(message.sid, CONNECTION, ref_of(message.sid))], RUN, later(20))
    await store.apply_receipts([receipt(message.sid, Event.READ)], later(30))
    assert (await read(store, message)).status is Status.READ


@pytest.mark.parametrize("event", RECEIPTS)
async def test_a_receipt_without_our_sid_waits_for_the_answer(store: Store, event: Event) -> None:
    message = await bring(store, a_message(), Status.SENDING)
    before = await everything(store)
    await store.apply_receipts([receipt(message.sid, event, 30003)], later(10))
    assert await everything(store) == before
    await store.record([Handed(message.sid, CONNECTION, ref_of(message.sid))], RUN, later(20))
    after = await read(store, message)
    assert (after.status, after.error_code, after.sent_at) == (MOVED[event], 30003, later(20))
    assert [status for _, status in await announced(store)] == sorted([Status.QUEUED, Status.SENT, MOVED[event]])


async def test_a_waiting_receipt_is_used_once(store: Store) -> None:
    first, second = [await bring(store, a_message(n), Status.SENDING) for n in (1, 2)]
    await store.apply_receipts([ReceiptNews(CONNECTION, "0001", Event.DELIVER)], later(10))
    await store.record([Handed(first.sid, CONNECTION, "0001")], RUN, later(20))
    await store.record([Handed(second.sid, CONNECTION, "0001")], RUN, later(30))
    assert [(await read(store, m)).status for m in (first, second)] == [Status.DELIVERED, Status.SENT]


async def test_a_waiting_receipt_is_for_one_connection(store: Store) -> None:
    message = await bring(store, a_message(), Status.SENDING)
    await store.apply_receipts([ReceiptNews("another", ref_of(message.sid), Event.DELIVER)], later(10))
    await store.record([Handed(message.sid, CONNECTION, ref_of(message.sid))], RUN, later(20))
    assert (await read(store, message)).status is Status.SENT


async def test_a_waiting_receipt_is_not_used_by_an_answer_that_is_stale(store: Store) -> None:
    message = await bring(store, a_message(), Status.SENDING)
    await store.record([Returned(message.sid)], RUN, later(1))
    await store.claim([message.sid], OTHER_RUN, [], later(2))
    await store.apply_receipts([receipt(message.sid, Event.DELIVER)], later(10))
    before = await everything(store)
    await store.record([Handed(message.sid, CONNECTION, ref_of(message.sid))], RUN, later(20))
    assert await everything(store) == before
    await store.record([Handed(message.sid, CONNECTION, ref_of(message.sid))], OTHER_RUN, later(30))
    assert (await read(store, message)).status is Status.DELIVERED


async def test_waiting_receipts_are_forgotten_from_before_an_instant(store: Store) -> None:
    old, young = [await bring(store, a_message(n), Status.SENDING) for n in (1, 2)]
    await store.apply_receipts([receipt(old.sid, Event.DELIVER)], later(10))
    await store.apply_receipts([receipt(young.sid, Event.DELIVER)], later(11))
    await store.prune(later(11))
    await store.record([Handed(m.sid, CONNECTION, ref_of(m.sid)) for m in (old, young)], RUN, later(20))
    assert [(await read(store, m)).status for m in (old, young)] == [Status.SENT, Status.DELIVERED]


@pytest.mark.parametrize("event", RECEIPTS)
async def test_a_receipt_ends_a_doubt(store: Store, event: Event) -> None:
    message = await bring(store, a_message(), Status.SENDING)
    await store.record([Doubted(message.sid)], RUN, later(10))
    await store.apply_receipts([overtaking(message.sid, event)], later(20))
    after = await read(store, message)
    assert (after.status, after.doubt_at, after.sent_at) == (MOVED[event], None, later(20))


# --- in any order ----------------------------------------------------------------------------------------------------

ANSWER = "answer"


async def play(store: Store, number: int, order: Sequence[str], named: bool) -> list[Status]:
    """Let answer and receipts come in that order; return every status the message was seen in, without repeats."""
    message = await bring(store, a_message(number), Status.SENDING)
    seen = [Status.SENDING]
    for step, what in enumerate(order):
        if what == ANSWER:
            await store.record([Handed(message.sid, CONNECTION, ref_of(message.sid))], RUN, later(10 + step))
        else:
            says = overtaking if named else receipt
            await store.apply_receipts([says(message.sid, Event(what), None)], later(10 + step))
        status = (await read(store, message)).status
        if status is not seen[-1]:
            seen.append(status)
    return seen


AGREEING = sorted(set(permutations([ANSWER, Event.DELIVER, Event.READ, Event.DELIVER])))


@pytest.mark.parametrize("named", [False, True], ids=["the carrier's id", "our SID"])
@pytest.mark.parametrize("order", AGREEING, ids=[", ".join(order) for order in AGREEING])
async def test_every_order_of_receipts_that_agree_ends_in_the_same_status(
    store: Store, order: tuple[str, ...], named: bool
) -> None:
    assert (await play(store, 1, order, named))[-1] is Status.READ


def forward(status: Status) -> set[Status]:
    """Return every status that the table can still lead to."""
    found: set[Status] = set()
    ahead = [status]
    while ahead:
        steps = set(TRANSITIONS[ahead.pop()].values()) - found
        found |= steps
        ahead += steps
    return found


orders = st.lists(st.sampled_from(RECEIPTS), max_size=6).flatmap(lambda drawn: st.permutations([ANSWER, *drawn]))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=orders, named=st.booleans())
async def test_a_status_never_moves_backwards(
    store: Store, numbers: Iterator[int], order: Sequence[str], named: bool
) -> None:
    seen = await play(store, next(numbers), order, named)
    for before, after in pairwise(seen):
        assert after in forward(before)
        assert before not in forward(after)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.lists(st.sampled_from(RECEIPTS), min_size=1, max_size=5), together=st.booleans())
async def test_receipts_that_waited_end_as_if_they_had_not(
    store: Store, numbers: Iterator[int], drawn: list[Event], together: bool
) -> None:
    message = await bring(store, a_message(next(numbers)), Status.SENDING)
    for step, batch in enumerate([drawn] if together else [[event] for event in drawn]):
        await store.apply_receipts([receipt(message.sid, event) for event in batch], later(10 + step))
    await store.record([Handed(message.sid, CONNECTION, ref_of(message.sid))], RUN, later(30))
    expected = Status.SENT
    for event in drawn:
        expected = advance(expected, event) or expected
    assert (await read(store, message)).status is expected


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.lists(st.sampled_from(RECEIPTS), min_size=1, max_size=5))
async def test_receipts_of_one_batch_end_as_if_they_came_one_by_one(
    store: Store, numbers: Iterator[int], drawn: list[Event]
) -> None:
    message = await bring(store, a_message(next(numbers)), Status.SENT)
    await store.apply_receipts([receipt(message.sid, event) for event in drawn], AT)
    expected = Status.SENT
    for event in drawn:
        expected = advance(expected, event) or expected
    assert (await read(store, message)).status is expected


async def test_the_answer_and_its_receipts_at_once(store: Store) -> None:
    batch = [await bring(store, a_message(n), Status.SENDING) for n in range(30)]
    calls = [store.apply_receipts([receipt(m.sid, Event.DELIVER)], AT) for m in batch]
    answers = [store.record([Handed(m.sid, CONNECTION, ref_of(m.sid))], RUN, AT) for m in batch]
    woven = [call for pair in zip(calls[:15], answers[:15], strict=True) for call in pair]
    woven += [call for pair in zip(answers[15:], calls[15:], strict=True) for call in pair]
    await asyncio.gather(*woven)
    assert {(await read(store, m)).status for m in batch} == {Status.DELIVERED}
