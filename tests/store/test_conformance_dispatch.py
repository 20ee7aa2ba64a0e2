"""Every store: timers come in order and once, decisions are written whole, a claim is won once and held by its run."""

import asyncio
from collections.abc import Iterator, Sequence

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postdate.core.decision import Assign, Decision, Fetch, Hold, Refuse
from postdate.core.instant import MILLISECOND, Instant
from postdate.core.message import Event, Message, Status
from postdate.store.contract import (
    BEGINNING,
    Cursor,
    Dispatched,
    Doubted,
    Due,
    Failed,
    Handed,
    OptOutChange,
    Result,
    Returned,
    Store,
)
from tests.store.building import (
    ACCOUNT,
    CONNECTION,
    FAR,
    OTHER_ACCOUNT,
    OTHER_RUN,
    RECIPIENT,
    RUN,
    SEND_AT,
    SERVICE,
    START,
    a_medium,
    a_message,
    a_sender,
    add,
    always,
    announced,
    assign,
    bring,
    callbacks,
    everything,
    later,
    read,
    receipt,
    ref_of,
    sid_of,
    timers,
)

AT = later(60)

# --- due -------------------------------------------------------------------------------------------------------------


async def pages(store: Store, after: Cursor, before: Instant, limit: int) -> list[Cursor]:
    """Read page by page until one is empty."""
    found: list[Cursor] = []
    while page := await store.due(after, before, limit):
        assert len(page) <= limit
        found += page
        assert len(found) < 10_000, "the pages do not end"
        after = page[-1]
    return found


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(offsets=st.lists(st.integers(0, 4), max_size=25), limit=st.integers(1, 7), horizon=st.integers(0, 5))
async def test_pages_give_each_timer_once_and_in_order(
    store: Store, numbers: Iterator[int], offsets: list[int], limit: int, horizon: int
) -> None:
    base = next(numbers) * 1_000  # what earlier examples left lies before it
    batch = [a_message(base + n, due_at=later(base + offset)) for n, offset in enumerate(offsets)]
    await add(store, *batch)
    expected = sorted(Cursor(m.due_at, m.sid) for m in batch if m.due_at < later(base + horizon))
    assert await pages(store, Cursor(later(base), ""), later(base + horizon), limit) == expected


async def test_equal_times_are_split_over_pages(store: Store) -> None:
    await add(store, *(a_message(n) for n in range(10)))
    assert [c.sid for c in await pages(store, BEGINNING, FAR, 3)] == [sid_of(n) for n in range(10)]


async def test_the_bounds_are_after_the_cursor_and_before_the_horizon(store: Store) -> None:
    await add(store, *(a_message(n, due_at=later(n)) for n in range(4)))
    found = await store.due(Cursor(later(1), sid_of(1)), later(3), 10)
    assert found == [Cursor(later(2), sid_of(2))]
    assert await store.due(Cursor(later(1), ""), later(2), 10) == [Cursor(later(1), sid_of(1))]


async def test_a_timer_that_comes_behind_the_cursor_is_found_from_the_beginning(store: Store) -> None:
    await add(store, a_message(1, due_at=later(10)))
    (cursor,) = await store.due(BEGINNING, FAR, 10)
    await add(store, a_message(2, due_at=later(5)))
    assert await store.due(cursor, FAR, 10) == []
    assert [c.sid for c in await store.due(BEGINNING, FAR, 10)] == [sid_of(2), sid_of(1)]


UNDECIDED = {
    "scheduled": a_message(),
    "accepted": a_message(status=Status.ACCEPTED),
    "queued without a service": a_message(
        status=Status.QUEUED, service_sid=None, sender=a_sender().address, sender_sid=a_sender().sid
    ),
}

# --- dispatch --------------------------------------------------------------------------------------------------------


async def decided(store: Store, message: Message, decision: Decision, **changes: object) -> Message:
    """Dispatch with a decision and hold answer and store to what it changes; return the message as it is then."""
    expected = msgspec.structs.replace(message, **changes)
    assert await store.dispatch([message.sid], always(decision), AT) == [Dispatched(expected, decision)]
    assert await read(store, message) == expected
    return expected


@pytest.mark.parametrize("message", UNDECIDED.values(), ids=UNDECIDED.keys())
async def test_an_assigned_message_is_queued_with_its_sender(store: Store, message: Message) -> None:
    await add(store, message)
    sender = a_sender(7)
    await decided(
        store, message, Assign(sender, 3),
        status=Status.QUEUED, sender=sender.address, sender_sid=sender.sid, num_segments=3, updated_at=AT,
    )  # fmt: skip
    # The timer stays until the carrier has it: a node that starts again finds it by it.
    assert await timers(store) == [Cursor(SEND_AT, message.sid)]
    # Without a service it began as queued: that is told in the answer to the request.
    assert await announced(store) == ([(message.sid, Status.QUEUED)] if message.service_sid else [])


@pytest.mark.parametrize("message", UNDECIDED.values(), ids=UNDECIDED.keys())
async def test_a_held_message_waits_for_its_later_hour(store: Store, message: Message) -> None:
    await add(store, message)
    await decided(store, message, Hold(later(3600), "quiet hours"), due_at=later(3600), updated_at=AT)
    assert await timers(store) == [Cursor(later(3600), message.sid)]
    assert await announced(store) == []
    (again,) = await store.dispatch([message.sid], assign(), later(3600))
    assert again.message.status is Status.QUEUED


@pytest.mark.parametrize("message", UNDECIDED.values(), ids=UNDECIDED.keys())
async def test_while_its_media_are_fetched_nothing_changes(store: Store, message: Message) -> None:
    await add(store, message)
    before = await everything(store)
    await decided(store, message, Fetch())
    assert await everything(store) == before


@pytest.mark.parametrize("message", UNDECIDED.values(), ids=UNDECIDED.keys())
async def test_a_refused_message_has_failed(store: Store, message: Message) -> None:
    await add(store, message)
    await decided(store, message, Refuse(21610), status=Status.FAILED, error_code=21610, updated_at=AT)
    assert await timers(store) == []
    (call,) = await callbacks(store)
    assert (call.message_sid, call.status, call.error_code) == (message.sid, Status.FAILED, 21610)


async def test_a_message_without_a_service_is_decided_about_again_until_it_is_claimed(store: Store) -> None:
    message = UNDECIDED["queued without a service"]
    await add(store, message)
    (first,) = await store.dispatch([message.sid], assign(segments=1), AT)
    (second,) = await store.dispatch([message.sid], assign(segments=2), later(61))
    assert (first.message.num_segments, second.message.num_segments) == (1, 2)
    (won,) = await store.claim([message.sid], RUN, [], later(62))
    assert await store.dispatch([message.sid], always(Refuse(30036)), later(63)) == [Dispatched(won, None)]


async def test_a_batch_of_many_decisions(store: Store) -> None:
    kinds: list[Decision] = [Assign(a_sender(), 1), Hold(later(99), "quiet hours"), Fetch(), Refuse(30036)]
    batch = [a_message(n) for n in range(400)]
    await add(store, *batch)
    decisions = {m.sid: kinds[n % 4] for n, m in enumerate(batch)}
    found = await store.dispatch(list(decisions), lambda due: decisions[due.message.sid], AT)
    assert {d.message.sid: d.decision for d in found} == decisions
    expected = [Status.QUEUED, Status.SCHEDULED, Status.SCHEDULED, Status.FAILED]
    for n, m in enumerate(batch):
        assert (await read(store, m)).status is expected[n % 4]
    assert len(await timers(store)) == 300


@pytest.mark.parametrize("status", [Status.QUEUED, Status.SENDING])
async def test_what_was_decided_before_comes_back_as_it_is(store: Store, status: Status) -> None:
    message = await bring(store, a_message(), status)
    before = await everything(store)
    asked: list[Due] = []

    def decide(due: Due) -> Decision:
        asked.append(due)
        return Refuse(30036)

    assert await store.dispatch([message.sid], decide, AT) == [Dispatched(message, None)]
    assert asked == []
    assert await everything(store) == before


GONE = [Status.SENT, Status.DELIVERED, Status.UNDELIVERED, Status.READ, Status.FAILED, Status.CANCELED, Status.RECEIVED]


@pytest.mark.parametrize("status", GONE)
async def test_what_is_no_longer_due_does_not_come_back(store: Store, status: Status) -> None:
    message = await bring(store, a_message(), status)
    assert await store.dispatch([message.sid, sid_of(99)], assign(), AT) == []
    assert await read(store, message) == message


AHEAD = {
    "the very instant": (0, 0, True),
    "a microsecond early": (-1, 0, False),
    "as early as is allowed": (-250 * MILLISECOND, 250 * MILLISECOND, True),
    "a microsecond earlier": (-250 * MILLISECOND - 1, 250 * MILLISECOND, False),
}


@pytest.mark.parametrize("message", UNDECIDED.values(), ids=UNDECIDED.keys())
@pytest.mark.parametrize(("offset", "ahead", "is_due"), AHEAD.values(), ids=AHEAD.keys())
async def test_a_message_is_decided_no_earlier_than_allowed(
    store: Store, message: Message, offset: int, ahead: int, is_due: bool
) -> None:
    await add(store, message)
    before = await everything(store)
    (found,) = await store.dispatch([message.sid], always(Refuse(30036)), Instant(SEND_AT + offset), ahead)
    assert (found.decision is not None) is is_due
    if not is_due:
        assert found.message == message
        assert await everything(store) == before


async def test_a_message_that_is_named_twice_is_decided_once(store: Store) -> None:
    await add(store, a_message(1), a_message(2))
    asked: list[str] = []

    def decide(due: Due) -> Decision:
        asked.append(due.message.sid)
        return Assign(a_sender(), 1)

    await store.dispatch([sid_of(1), sid_of(1)], decide, AT)
    assert asked == [sid_of(1)]


async def test_two_dispatches_at_once_decide_once(store: Store) -> None:
    await add(store, *(a_message(n) for n in range(10)))
    sids = [sid_of(n) for n in range(10)]
    both = await asyncio.gather(store.dispatch(sids, assign(), AT), store.dispatch(sids, assign(), AT))
    assert sorted(d.message.sid for found in both for d in found if d.decision is not None) == sids


async def test_a_decision_that_fails_changes_nothing(store: Store) -> None:
    await add(store, a_message(1), a_message(2))
    before = await everything(store)

    def decide(due: Due) -> Decision:
        if due.message.sid == sid_of(2):
            raise ZeroDivisionError("the facts could not be used")
        return Assign(a_sender(), 1)

    with pytest.raises(ZeroDivisionError):
        await store.dispatch([sid_of(1), sid_of(2)], decide, AT)
    assert await everything(store) == before


# --- the facts a decision is made from -------------------------------------------------------------------------------


async def facts(store: Store, message: Message, decision: Decision | None = None) -> Due:
    """Dispatch a message and return what the decision was asked with."""
    asked: list[Due] = []

    def decide(due: Due) -> Decision:
        asked.append(due)
        return decision or Fetch()

    await store.dispatch([message.sid], decide, AT)
    (due,) = asked
    assert due.message == message
    return due


async def test_a_message_without_history(store: Store) -> None:
    message = a_message()
    await add(store, message)
    assert await facts(store, message) == Due(message, opted_out=(), sticky=None, media=0)


@pytest.mark.parametrize(
    ("message", "scope"),
    [(a_message(), SERVICE), (a_message(service_sid=None, sender="+14155550001"), "+14155550001")],
    ids=["of a service", "of a sender"],
)
async def test_whom_opted_out_since_is_known(store: Store, message: Message, scope: str) -> None:
    await add(store, message)
    await store.add_inbound([], [OptOutChange(ACCOUNT, scope, RECIPIENT, message.bucket, True)], START)
    assert list((await facts(store, message)).opted_out) == [scope]
    await store.add_inbound([], [OptOutChange(ACCOUNT, scope, RECIPIENT, message.bucket, False)], START)
    assert list((await facts(store, message)).opted_out) == []


async def test_every_stop_of_the_recipient_to_the_account_is_known_and_no_other(store: Store) -> None:
    message = a_message()
    await add(store, message)
    said = [(ACCOUNT, SERVICE, RECIPIENT), (ACCOUNT, "+14155550001", RECIPIENT)]
    elsewhere = [(OTHER_ACCOUNT, "theirs", RECIPIENT), (ACCOUNT, "another's", "+14155550101")]
    await store.add_inbound([], [OptOutChange(*stop, message.bucket, True) for stop in said + elsewhere], START)
    assert sorted((await facts(store, message)).opted_out) == sorted(scope for _, scope, _ in said)


async def test_the_sender_a_recipient_had_last_is_kept_and_changed(store: Store) -> None:
    batch = [a_message(n) for n in range(4)]
    await add(store, *batch)
    first, second = a_sender(1), a_sender(2)
    assert (await facts(store, batch[0], Assign(first, 1))).sticky is None
    assert (await facts(store, batch[1], Assign(first, 1))).sticky == first.sid
    assert (await facts(store, batch[2], Assign(second, 1))).sticky == first.sid
    assert (await facts(store, batch[3], Fetch())).sticky == second.sid


NO_STICKY = {
    "another recipient": a_message(2, recipient="+14155550101"),
    "another service": a_message(2, service_sid="MG" + "d" * 32),
    "no service": a_message(2, service_sid=None),
}


@pytest.mark.parametrize("other", NO_STICKY.values(), ids=NO_STICKY.keys())
async def test_the_sender_is_remembered_for_one_recipient_of_one_service(store: Store, other: Message) -> None:
    await add(store, a_message(1), other)
    await facts(store, a_message(1), Assign(a_sender(), 1))
    assert (await facts(store, other)).sticky is None


async def test_a_sender_that_the_customer_chose_is_not_remembered(store: Store) -> None:
    chosen = a_message(1, sender=a_sender().address, sender_sid=a_sender().sid)
    await add(store, chosen, a_message(2))
    await facts(store, chosen, Assign(a_sender(), 1))
    assert (await facts(store, a_message(2))).sticky is None


@pytest.mark.parametrize("decision", [Hold(later(99), "quiet hours"), Fetch(), Refuse(30036)], ids=repr)
async def test_only_an_assignment_is_remembered(store: Store, decision: Decision) -> None:
    await add(store, a_message(1), a_message(2))
    await facts(store, a_message(1), decision)
    assert (await facts(store, a_message(2))).sticky is None


async def test_fetched_media_are_counted(store: Store) -> None:
    message = a_message(1, media_urls=("https://example.com/a.png", "https://example.com/b.png"))
    await add(store, message, a_message(2))
    assert (await facts(store, message)).media == 0
    await store.add_media([a_medium(1), a_medium(2), a_medium(3, message_number=2)], [b"a", b"b", b"c"])
    assert (await facts(store, message)).media == 2


# --- claim -----------------------------------------------------------------------------------------------------------


async def test_a_claim_is_won_once(store: Store) -> None:
    queued = await bring(store, a_message(), Status.QUEUED)
    won = msgspec.structs.replace(queued, status=Status.SENDING, claim=RUN, attempts=1, updated_at=AT)
    assert await store.claim([queued.sid], RUN, [], AT) == [won]
    assert await read(store, queued) == won
    assert await store.claim([queued.sid], RUN, [], later(61)) == []
    assert await store.claim([queued.sid], OTHER_RUN, [], later(61)) == []
    assert await read(store, queued) == won


@pytest.mark.parametrize("run", [RUN, OTHER_RUN])
async def test_a_claim_is_won_once_even_in_the_same_instant(store: Store, run: str) -> None:
    queued = await bring(store, a_message(), Status.QUEUED)
    assert [m.sid for m in await store.claim([queued.sid], RUN, [], AT)] == [queued.sid]
    assert await store.claim([queued.sid], run, [], AT) == []


async def test_a_message_that_is_named_twice_is_won_once(store: Store) -> None:
    queued = await bring(store, a_message(), Status.QUEUED)
    won = await store.claim([queued.sid, queued.sid], RUN, [], AT)
    assert [(m.sid, m.attempts) for m in won] == [(queued.sid, 1)]


async def test_many_claims_at_once_share_the_messages_out(store: Store) -> None:
    sids = [(await bring(store, a_message(n), Status.QUEUED)).sid for n in range(12)]
    runs = [f"run-{n}" for n in range(8)]
    won = await asyncio.gather(*(store.claim(sids[n : n + 5], run, [], AT) for n, run in enumerate(runs)))
    assert sorted(m.sid for messages in won for m in messages) == sids
    assert all(m.claim == run for run, messages in zip(runs, won, strict=True) for m in messages)


async def test_what_was_returned_can_be_claimed_by_any_run(store: Store) -> None:
    message = await bring(store, a_message(), Status.SENDING)
    await store.record([Returned(message.sid)], RUN, later(10))
    (won,) = await store.claim([message.sid], OTHER_RUN, [], later(11))
    assert (won.claim, won.attempts) == (OTHER_RUN, 2)


@pytest.mark.parametrize("run", [RUN, OTHER_RUN])
async def test_what_is_in_doubt_cannot_be_claimed(store: Store, run: str) -> None:
    message = await bring(store, a_message(), Status.SENDING)
    await store.record([Doubted(message.sid)], RUN, later(10))
    assert await store.claim([message.sid], run, [], later(11)) == []


async def test_a_claim_announces_nothing_and_keeps_the_timer(store: Store) -> None:
    queued = await bring(store, a_message(), Status.QUEUED)
    before = await callbacks(store), await timers(store)
    await store.claim([queued.sid], RUN, [], AT)
    assert (await callbacks(store), await timers(store)) == before


LANES: dict[str, tuple[list[list[tuple[str, int]]], dict[str, int]]] = {
    "none": ([[]], {}),
    "later wins": ([[("PN1", 5)], [("PN1", 9)]], {"PN1": 9}),
    "earlier is ignored": ([[("PN1", 9)], [("PN1", 5)]], {"PN1": 9}),
    "each sender for itself": ([[("PN1", 5), ("PN2", 7)], [("PN2", 8)]], {"PN1": 5, "PN2": 8}),
    "twice in one claim": ([[("PN1", 5), ("PN1", 9), ("PN1", 7)]], {"PN1": 9}),
}


@pytest.mark.parametrize(("claims", "expected"), LANES.values(), ids=LANES.keys())
async def test_when_a_sender_is_free_never_goes_back(
    store: Store, claims: list[list[tuple[str, int]]], expected: dict[str, int]
) -> None:
    for free_at in claims:
        await store.claim([], RUN, [(sender, later(seconds)) for sender, seconds in free_at], AT)
    assert await store.lanes() == {sender: later(seconds) for sender, seconds in expected.items()}


# --- record ----------------------------------------------------------------------------------------------------------


async def test_a_message_the_carrier_took_is_sent(store: Store) -> None:
    message = await bring(store, a_message(), Status.SENDING)
    await store.record([Handed(message.sid, CONNECTION, "ref 'é'")], RUN, AT)
    assert await read(store, message) == msgspec.structs.replace(
        message, status=Status.SENT, claim=None, carrier_ref="ref 'é'", sent_at=AT, listed_at=AT, updated_at=AT
    )
    assert await timers(store) == []
    assert (message.sid, Status.SENT) in await announced(store)


async def test_a_message_that_will_not_be_sent_has_failed(store: Store) -> None:
    message = await bring(store, a_message(), Status.SENDING)
    await store.record([Failed(message.sid, 30008)], RUN, AT)
    assert await read(store, message) == msgspec.structs.replace(
        message, status=Status.FAILED, claim=None, error_code=30008, updated_at=AT
    )
    assert await timers(store) == []
    assert [c.error_code for c in await callbacks(store) if c.status is Status.FAILED] == [30008]


async def test_a_message_of_which_nothing_was_taken_waits_again(store: Store) -> None:
    message = await bring(store, a_message(), Status.SENDING)
    before = await callbacks(store), await timers(store)
    await store.record([Returned(message.sid)], RUN, AT)
    assert await read(store, message) == msgspec.structs.replace(message, claim=None, updated_at=AT)
    assert (await callbacks(store), await timers(store)) == before


async def test_a_message_nobody_knows_of_is_in_doubt(store: Store) -> None:
    message = await bring(store, a_message(), Status.SENDING)
    before = await callbacks(store)
    await store.record([Doubted(message.sid)], RUN, AT)
    assert await read(store, message) == msgspec.structs.replace(message, claim=f"-{RUN}", doubt_at=AT, updated_at=AT)
    # Nothing is left to time, and there is nothing to announce.
    assert await timers(store) == []
    assert await callbacks(store) == before


async def test_the_outcomes_of_a_batch_are_told_apart(store: Store) -> None:
    batch = [await bring(store, a_message(n), Status.SENDING) for n in range(5)]
    sids = [m.sid for m in batch]
    results: list[Result] = [Failed(sids[0], 30005), Handed(sids[1], CONNECTION, "r1"), Returned(sids[2])]
    results += [Doubted(sids[3]), Handed(sids[4], CONNECTION, "r4")]
    await store.record(results, RUN, AT)
    found = [await read(store, m) for m in batch]
    assert [(m.status, m.claim, m.carrier_ref, m.error_code, m.doubt_at) for m in found] == [
        (Status.FAILED, None, None, 30005, None),
        (Status.SENT, None, "r1", None, None),
        (Status.SENDING, None, None, None, None),
        (Status.SENDING, f"-{RUN}", None, None, AT),
        (Status.SENT, None, "r4", None, None),
    ]
    assert await timers(store) == [Cursor(SEND_AT, sids[2])]


async def test_nothing_to_record_is_no_error(store: Store) -> None:
    await store.record([], RUN, AT)
    await store.record([Handed(sid_of(9), CONNECTION, "r"), Failed(sid_of(9), 30008), Doubted(sid_of(9))], RUN, AT)
    assert await store.message(ACCOUNT, sid_of(9)) is None


def results_for(sid: str) -> Sequence[Result]:
    return [Handed(sid, CONNECTION, ref_of(sid)), Failed(sid, 30008), Returned(sid), Doubted(sid)]


RESULTS = [type(result).__name__ for result in results_for("")]


@pytest.mark.parametrize("kind", range(4), ids=RESULTS)
async def test_a_claim_of_another_run_is_not_touched(store: Store, kind: int) -> None:
    message = await bring(store, a_message(), Status.SENDING)
    await store.record([Returned(message.sid)], RUN, later(10))
    await store.claim([message.sid], OTHER_RUN, [], later(11))
    before = await everything(store)
    await store.record([results_for(message.sid)[kind]], RUN, later(12))
    assert await everything(store) == before


async def test_the_carriers_id_of_a_stale_outcome_means_nothing(store: Store) -> None:
    message = await bring(store, a_message(), Status.SENDING)
    await store.record([Handed(message.sid, CONNECTION, ref_of(message.sid))], OTHER_RUN, later(10))
    before = await everything(store)
    await store.apply_receipts([receipt(message.sid, Event.DELIVER)], later(11))
    assert await everything(store) == before


@pytest.mark.parametrize("kind", range(4), ids=RESULTS)
@pytest.mark.parametrize("at", [later(10), later(11)], ids=["same instant", "later"])
async def test_an_outcome_that_is_recorded_twice_changes_nothing(store: Store, kind: int, at: Instant) -> None:
    message = await bring(store, a_message(), Status.SENDING)
    result = results_for(message.sid)[kind]
    await store.record([result], RUN, later(10))
    before = await everything(store)
    await store.record([result], RUN, at)
    assert await everything(store) == before


@pytest.mark.parametrize("status", [Status.SENT, Status.DELIVERED, Status.READ, Status.FAILED, Status.CANCELED])
@pytest.mark.parametrize("kind", range(4), ids=RESULTS)
async def test_an_outcome_that_comes_too_late_changes_nothing(store: Store, status: Status, kind: int) -> None:
    message = await bring(store, a_message(), status)
    before = await everything(store)
    await store.record([results_for(message.sid)[kind]], RUN, AT)
    assert await everything(store) == before


async def test_what_waits_in_its_lane_can_be_given_up_by_any_run(store: Store) -> None:
    queued = await bring(store, a_message(1), Status.QUEUED)
    returned = await bring(store, a_message(2), Status.SENDING)
    await store.record([Returned(returned.sid)], RUN, later(10))
    await store.record([Failed(queued.sid, 30036), Failed(returned.sid, 30036)], OTHER_RUN, AT)
    assert [(await read(store, m)).status for m in (queued, returned)] == [Status.FAILED, Status.FAILED]
    assert await timers(store) == []
