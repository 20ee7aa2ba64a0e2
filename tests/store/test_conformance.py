"""Every store: a message moves as `TRANSITIONS` says, cancel and hand-off never both win, a new time replaces the old.

The rest of the suite is beside this file: `test_conformance_accept`, `_dispatch`, `_receipts`, `_callbacks`,
`_lists`, `_resources`, and `_life`, where hypothesis compares whole lives with a plain model.
"""

import asyncio
from collections.abc import Awaitable, Coroutine, Sequence
from itertools import permutations

import msgspec
import pytest

from postdate.core.decision import Hold
from postdate.core.instant import HOUR, Instant
from postdate.core.message import FINAL, TRANSITIONS, Event, Message, Status
from postdate.store.contract import Cursor, Doubted, NotAdded, Reschedule, Returned, Store
from tests.store.building import (
    ACCOUNT,
    EVENTS,
    OTHER_ACCOUNT,
    OTHER_RUN,
    RECEIPTS,
    RUN,
    SEND_AT,
    START,
    a_message,
    add,
    always,
    announced,
    assign,
    bring,
    everything,
    later,
    new,
    overtaking,
    perform,
    read,
    sid_of,
    timers,
)

AT = later(60)

# --- the table of a message's life -----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", Status)
async def test_every_event_does_what_the_table_says(store: Store, status: Status) -> None:
    reached: dict[Event, Status] = {}
    for number, event in enumerate(EVENTS):
        message = await bring(store, a_message(number), status)
        assert message.status is status
        await perform(store, event, message, AT)
        reached[event] = (await read(store, message)).status
    assert reached == {event: TRANSITIONS[status].get(event, status) for event in EVENTS}


@pytest.mark.parametrize("status", Status)
async def test_an_event_that_the_status_does_not_know_changes_nothing(store: Store, status: Status) -> None:
    unknown = [event for event in EVENTS if event not in TRANSITIONS[status]]
    for number, event in enumerate(unknown):
        message = await bring(store, a_message(number), status)
        before = await everything(store)
        await perform(store, event, message, AT)
        assert await everything(store) == before, f"{event} changed a message that is {status}"


@pytest.mark.parametrize("status", Status)
async def test_timers_stand_while_something_is_to_come(store: Store, status: Status) -> None:
    message = await bring(store, a_message(), status)
    waits = status in (Status.ACCEPTED, Status.SCHEDULED, Status.QUEUED, Status.SENDING)
    assert await timers(store) == ([Cursor(message.due_at, message.sid)] if waits else [])


@pytest.mark.parametrize("event", EVENTS)
async def test_a_message_that_waits_in_its_lane_again(store: Store, event: Event) -> None:
    message = await bring(store, a_message(), Status.SENDING)
    await store.record([Returned(message.sid)], RUN, later(5))
    await perform(store, event, message, AT)
    # Nobody holds it: what only the holder may say is not heard.
    unheard = event is Event.ACCEPT
    expected = Status.SENDING if unheard else TRANSITIONS[Status.SENDING].get(event, Status.SENDING)
    assert (await read(store, message)).status is expected


@pytest.mark.parametrize("event", EVENTS)
async def test_a_message_in_doubt(store: Store, event: Event) -> None:
    message = await bring(store, a_message(), Status.SENDING)
    await store.record([Doubted(message.sid)], RUN, later(5))
    doubted = await read(store, message)
    await perform(store, event, message, AT)
    after = await read(store, message)
    assert after.status is TRANSITIONS[Status.SENDING].get(event, Status.SENDING)
    # The answer or a receipt ends the doubt; while it lasts nothing else changes, and it is not handed over again.
    assert after.doubt_at == (later(5) if after.status is Status.SENDING else None)
    assert after == doubted or after.status is not Status.SENDING


# --- cancel ----------------------------------------------------------------------------------------------------------


async def test_a_cancel_is_answered_with_the_message_as_it_is_now(store: Store) -> None:
    await add(store, a_message(1), a_message(2))
    canceled = msgspec.structs.replace(a_message(1), status=Status.CANCELED, updated_at=AT)
    assert await store.cancel(ACCOUNT, [sid_of(1)], AT) == [canceled]
    assert await read(store, canceled) == canceled
    assert await read(store, a_message(2)) == a_message(2)
    assert await timers(store) == [Cursor(SEND_AT, sid_of(2))]
    assert await announced(store) == [(sid_of(1), Status.CANCELED)]


async def test_repeating_a_cancel_changes_nothing(store: Store) -> None:
    await add(store, a_message(1), a_message(2))
    first = await store.cancel(ACCOUNT, [sid_of(1)], later(1))
    before = await everything(store)
    assert await store.cancel(ACCOUNT, [sid_of(1)], later(1)) == first
    assert await store.cancel(ACCOUNT, [sid_of(1)], later(2)) == first
    assert await everything(store) == before


async def test_answers_come_in_the_order_of_the_question(store: Store) -> None:
    await add(store, *(a_message(n) for n in range(3)))
    asked = [sid_of(2), sid_of(9), sid_of(0), sid_of(2)]
    found = await store.cancel(ACCOUNT, asked, AT)
    assert [m and (m.sid, m.status) for m in found] == [
        (sid_of(2), Status.CANCELED),
        None,
        (sid_of(0), Status.CANCELED),
        (sid_of(2), Status.CANCELED),
    ]
    assert await store.cancel(ACCOUNT, [], AT) == []


async def test_another_accounts_message_is_neither_seen_nor_touched(store: Store) -> None:
    await add(store, a_message(1), a_message(2, account_sid=OTHER_ACCOUNT))
    mine, others = await store.cancel(ACCOUNT, [sid_of(1), sid_of(2)], AT)
    assert mine is not None
    assert mine.status is Status.CANCELED
    assert others is None
    assert await store.message(OTHER_ACCOUNT, sid_of(2)) == a_message(2, account_sid=OTHER_ACCOUNT)
    assert await timers(store) == [Cursor(SEND_AT, sid_of(2))]
    # It still counts: the cap of one is used up.
    assert await store.add([new(a_message(3, account_sid=OTHER_ACCOUNT), cap=1)], AT) == [NotAdded(35125)]


@pytest.mark.parametrize("status", [s for s in Status if s not in (Status.SCHEDULED, Status.CANCELED)])
async def test_what_is_not_scheduled_is_answered_as_it_is(store: Store, status: Status) -> None:
    message = await bring(store, a_message(), status)
    assert await store.cancel(ACCOUNT, [message.sid], AT) == [message]


# --- cancel against hand-off: exactly one wins -----------------------------------------------------------------------

ORDERS = list(permutations(["cancel", "dispatch", "claim"]))


async def race(store: Store, order: tuple[str, ...], numbers: range, together: bool) -> tuple[set[str], set[str]]:
    """Cancel and hand over the same messages in that order; return what was canceled and what was won by the claim."""
    sids = [sid_of(n) for n in numbers]
    canceled: set[str] = set()
    claimed: set[str] = set()

    async def cancel() -> None:
        for m in await store.cancel(ACCOUNT, sids, AT):
            if m is not None and m.status is Status.CANCELED:
                canceled.add(m.sid)

    async def dispatch() -> None:
        await store.dispatch(sids, assign(), AT)

    async def claim() -> None:
        claimed.update(m.sid for m in await store.claim(sids, RUN, [], AT))

    calls: dict[str, Coroutine[None, None, None]] = {"cancel": cancel(), "dispatch": dispatch(), "claim": claim()}
    if together:
        await asyncio.gather(*(calls[name] for name in order))
    else:
        for name in order:
            await calls[name]
    return canceled, claimed


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "at once"])
@pytest.mark.parametrize("order", ORDERS, ids=[", ".join(order) for order in ORDERS])
async def test_cancel_and_hand_off_never_both_win(store: Store, order: tuple[str, ...], together: bool) -> None:
    numbers = range(20)
    await add(store, *(a_message(n) for n in numbers))
    canceled, claimed = await race(store, order, numbers, together)
    claimed |= {m.sid for m in await store.claim([sid_of(n) for n in numbers], RUN, [], later(61))}
    assert not canceled & claimed
    assert canceled | claimed == {sid_of(n) for n in numbers}
    for n in numbers:
        status = (await read(store, a_message(n))).status
        assert status is (Status.CANCELED if sid_of(n) in canceled else Status.SENDING)
    if not together:
        assert bool(canceled) is (order.index("cancel") < order.index("dispatch"))


async def test_many_cancels_and_dispatches_at_once_share_the_messages_out(store: Store) -> None:
    sids = [sid_of(n) for n in range(60)]
    await add(store, *(a_message(n) for n in range(60)))
    woven: list[Awaitable[Sequence[object]]] = []
    for n, sid in enumerate(reversed(sids)):
        woven.append(store.cancel(ACCOUNT, [sid], AT))
        if n % 10 == 5:
            woven.append(store.dispatch(sids[n - 5 : n + 5], assign(), AT))
    results = await asyncio.gather(*woven)
    answers = [answer for result in results for answer in result]
    canceled = {m.sid for m in answers if isinstance(m, Message) and m.status is Status.CANCELED}
    claimed = {m.sid for m in await store.claim(sids, RUN, [], AT)}
    assert canceled
    assert claimed
    assert not canceled & claimed
    assert canceled | claimed == set(sids)


# --- reschedule ------------------------------------------------------------------------------------------------------

NEW_TIME = Reschedule(Instant(SEND_AT + 5 * HOUR), Instant(SEND_AT + 7 * HOUR))


async def test_a_rescheduled_message_has_its_new_time_only(store: Store) -> None:
    await add(store, a_message(1), a_message(2))
    moved = msgspec.structs.replace(
        a_message(1),
        send_at=NEW_TIME.send_at,
        due_at=NEW_TIME.send_at,
        expires_at=NEW_TIME.expires_at,
        updated_at=START + 1,
    )
    assert await store.reschedule(ACCOUNT, sid_of(1), NEW_TIME, Instant(START + 1)) == moved
    assert await read(store, moved) == moved
    assert await timers(store) == [Cursor(SEND_AT, sid_of(2)), Cursor(NEW_TIME.send_at, sid_of(1))]
    assert await announced(store) == []


async def test_a_time_may_be_given_again_earlier_or_the_same(store: Store) -> None:
    await add(store, a_message(1))
    for send_at in (later(60), later(60), later(-60)):
        await store.reschedule(ACCOUNT, sid_of(1), Reschedule(send_at, later(3600)), START)
        assert await timers(store) == [Cursor(send_at, sid_of(1))]


async def test_a_held_message_can_be_rescheduled(store: Store) -> None:
    await add(store, a_message(1))
    await store.dispatch([sid_of(1)], always(Hold(later(3600), "quiet hours")), SEND_AT)
    moved = await store.reschedule(ACCOUNT, sid_of(1), NEW_TIME, later(1))
    assert moved is not None
    assert moved.due_at == NEW_TIME.send_at
    assert await timers(store) == [Cursor(NEW_TIME.send_at, sid_of(1))]


async def test_an_old_timer_that_is_still_in_a_nodes_memory_is_ignored(store: Store) -> None:
    await add(store, a_message(1))
    moved = await store.reschedule(ACCOUNT, sid_of(1), NEW_TIME, START)
    assert moved is not None
    await store.dispatch([sid_of(1)], assign(), SEND_AT)
    assert await read(store, moved) == moved
    (decided,) = await store.dispatch([sid_of(1)], assign(), NEW_TIME.send_at)
    assert decided.message.status is Status.QUEUED


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.SCHEDULED])
async def test_what_is_not_scheduled_keeps_its_time(store: Store, status: Status) -> None:
    message = await bring(store, a_message(), status)
    before = await everything(store)
    assert await store.reschedule(ACCOUNT, message.sid, NEW_TIME, AT) == message
    assert await everything(store) == before


async def test_another_accounts_message_keeps_its_time(store: Store) -> None:
    await add(store, a_message(1, account_sid=OTHER_ACCOUNT))
    before = await everything(store)
    assert await store.reschedule(ACCOUNT, sid_of(1), NEW_TIME, START) is None
    assert await store.reschedule(ACCOUNT, sid_of(2), NEW_TIME, START) is None
    assert await everything(store) == before


@pytest.mark.parametrize("first", ["reschedule", "cancel"])
async def test_a_reschedule_and_a_cancel_at_once(store: Store, first: str) -> None:
    await add(store, a_message(1))
    reschedule = store.reschedule(ACCOUNT, sid_of(1), NEW_TIME, AT)
    cancel = store.cancel(ACCOUNT, [sid_of(1)], AT)
    await (asyncio.gather(reschedule, cancel) if first == "reschedule" else asyncio.gather(cancel, reschedule))
    assert (await read(store, a_message(1))).status is Status.CANCELED
    assert await timers(store) == []


# --- delete: the table's final statuses ------------------------------------------------------------------------------


@pytest.mark.parametrize("status", Status)
async def test_only_what_is_final_can_be_deleted(store: Store, status: Status) -> None:
    message = await bring(store, a_message(), status)
    before = await everything(store)
    assert await store.delete(OTHER_ACCOUNT, message.sid) is False
    assert await everything(store) == before
    assert await store.delete(ACCOUNT, message.sid) is (status in FINAL)
    assert await store.message(ACCOUNT, message.sid) == (None if status in FINAL else message)
    if status in FINAL:
        assert await store.delete(ACCOUNT, message.sid) is False
        # A receipt for what is deleted harms nobody.
        await store.apply_receipts([overtaking(message.sid, event) for event in RECEIPTS], AT)
        assert await store.message(ACCOUNT, message.sid) is None


async def test_a_run_of_another_node_gets_nothing_that_was_canceled(store: Store) -> None:
    message = await bring(store, a_message(), Status.CANCELED)
    assert await store.claim([message.sid], OTHER_RUN, [], AT) == []
