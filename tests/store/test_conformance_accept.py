"""Every store: what is added comes back whole, exactly once, within its account's cap, and not to whom opted out."""

import asyncio
import json
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postdate.core.decision import Fetch, Hold, Refuse
from postdate.core.instant import Instant
from postdate.core.message import Direction, Message, Options, Status
from postdate.store.contract import (
    Added,
    AddResult,
    AlreadyExists,
    Cursor,
    Decide,
    New,
    NotAdded,
    OptOutChange,
    Repeated,
    Reschedule,
    Store,
    StoreError,
)
from tests.store.building import (
    ACCOUNT,
    FAR,
    NO_CAP,
    OTHER_ACCOUNT,
    RECIPIENT,
    SEND_AT,
    SERVICE,
    START,
    a_message,
    add,
    always,
    an_inbound_message,
    announced,
    assign,
    everything,
    later,
    new,
    read,
    sid_of,
    timers,
)

CAP_REACHED = NotAdded(35125)
OPTED_OUT = NotAdded(21610)

# --- what is added comes back ----------------------------------------------------------------------------------------

# A NUL has a test of its own; a lone surrogate is no text.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
instants = st.integers(0, 2**53).map(Instant)
small = st.integers(0, 2**31 - 1)
options = st.builds(
    Options,
    smart_encoded=st.none() | st.booleans(),
    provide_feedback=st.booleans(),
    send_as_mms=st.booleans(),
    application_sid=st.none() | texts,
    content_sid=st.none() | texts,
    content_variables=st.none() | st.dictionaries(texts, texts).map(json.dumps),
    address_retention=st.none() | texts,
    content_retention=st.none() | texts,
    message_intent=st.none() | texts,
    persistent_action=st.lists(texts, max_size=3).map(tuple),
    tags=st.none() | st.dictionaries(texts, texts, max_size=3),
    feedback=st.none() | texts,
    validity=st.none() | small,
)
messages = st.builds(
    Message,
    sid=st.just(""),
    bucket=st.integers(0, 255),
    account_sid=st.sampled_from([ACCOUNT, OTHER_ACCOUNT]),
    service_sid=st.none() | texts,
    direction=st.sampled_from(Direction),
    status=st.sampled_from(Status),
    sender=st.none() | texts,
    sender_sid=st.none() | texts,
    recipient=texts,
    body=texts,
    media_urls=st.lists(texts, max_size=10).map(tuple),
    num_segments=small,
    send_at=st.none() | instants,
    due_at=instants,
    expires_at=instants,
    callback_url=st.none() | texts,
    attempts=small,
    claim=st.none() | texts,
    doubt_at=st.none() | instants,
    carrier_ref=st.none() | texts,
    error_code=st.none() | small,
    created_at=instants,
    updated_at=instants,
    sent_at=st.none() | instants,
    listed_at=instants,
    options=options,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=messages)
async def test_every_column_survives_a_round_trip(store: Store, numbers: Iterator[int], drawn: Message) -> None:
    message = msgspec.structs.replace(drawn, sid=sid_of(next(numbers)))
    assert await add(store, message) == [Added()]
    assert await store.message(message.account_sid, message.sid) == message


BODIES = {
    "empty": "",
    "quotes": "it's \"quoted\" `so` 'twice''",
    "looks like SQL": "'); DROP TABLE messages; --",
    "looks like JSON": '{"a": [1, null]} \\" \\u0041 \\u0000',
    "looks like a number": "007",
    "looks like null": "null",
    "emoji with joiners": "👩‍👩‍👧‍👦🏳️‍🌈🇯🇵",
    "right to left": "مرحبا \u202eשלום\u202c",
    "combining": "e\u0301 is not \u00e9",
    "control characters": "\x01\x1b\x1f\x7f\x80\x9f",
    "ends of lines": "a\r\nb\nc\rd\u2028e\u2029f\u0085g",
    "spaces around": " \t\u00a0x\u3000 ",
    "byte order mark and private use": "\ufeff\ue000\uffff\U0010ffff",
    "1600 characters": "x" * 1600,
    "1600 emoji": "🎉" * 1600,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_a_body_comes_back_as_it_was(store: Store, body: str) -> None:
    message = a_message(
        body=body, media_urls=(f"https://example.com/?q={body}",), options=Options(tags={"k" + body: body})
    )
    await add(store, message)
    assert await read(store, message) == message


async def test_a_nul_is_never_cut_off(store: Store) -> None:
    message = a_message(body="before\0after")
    try:
        await add(store, message)
    except StoreError:
        assert await timers(store) == []
    else:
        assert (await read(store, message)).body == "before\0after"


async def test_a_lone_surrogate_is_no_text_and_does_not_get_in(store: Store) -> None:
    before = await everything(store)
    with pytest.raises((UnicodeEncodeError, StoreError)):
        await add(store, a_message(1), a_message(2, body="half of an emoji: \ud83d"), a_message(3))
    assert await everything(store) == before
    assert await add(store, a_message(1)) == [Added()]


async def test_a_batch_is_added_with_one_timer_for_each_message(store: Store) -> None:
    due = [later(30), later(10), later(20), later(10)]
    batch = [a_message(n, due_at=at) for n, at in enumerate(due)]
    assert await add(store, *batch) == [Added()] * 4
    assert await timers(store) == sorted(Cursor(m.due_at, m.sid) for m in batch)
    assert [await read(store, m) for m in batch] == batch


async def test_adding_announces_nothing(store: Store) -> None:
    await add(
        store, *(a_message(n, status=s) for n, s in enumerate([Status.SCHEDULED, Status.ACCEPTED, Status.QUEUED]))
    )
    assert await announced(store) == []


async def test_nothing_to_add_is_no_error(store: Store) -> None:
    assert await store.add([], START) == []


async def test_a_sid_that_is_taken_fails_the_whole_batch(store: Store) -> None:
    await add(store, a_message(2))
    before = await everything(store)
    with pytest.raises(AlreadyExists):
        await add(store, a_message(1), a_message(2, body="another"), a_message(3))
    assert await everything(store) == before


async def test_a_message_is_seen_by_its_own_account_only(store: Store) -> None:
    await add(store, a_message(1))
    assert await store.message(OTHER_ACCOUNT, sid_of(1)) is None
    assert await store.message(ACCOUNT, sid_of(2)) is None


# --- the cap ---------------------------------------------------------------------------------------------------------


async def is_room(store: Store, number: int, scheduled: int, account_sid: str = ACCOUNT) -> bool:
    """Say whether one more fits under a cap of one above `scheduled` and no more: so many count."""
    probe = a_message(number, account_sid=account_sid)
    refused = await store.add([new(probe, scheduled)], START)
    taken = await store.add([new(probe, scheduled + 1)], START)
    return refused == [CAP_REACHED] and taken == [Added()]


async def test_the_cap_is_exact_within_a_batch(store: Store) -> None:
    results = await store.add([new(a_message(n), cap=3) for n in range(5)], START)
    assert results == [Added(), Added(), Added(), CAP_REACHED, CAP_REACHED]
    assert [cursor.sid for cursor in await timers(store)] == [sid_of(n) for n in range(3)]
    assert await store.message(ACCOUNT, sid_of(3)) is None


async def test_the_cap_is_exact_over_batches(store: Store) -> None:
    await store.add([new(a_message(n), cap=3) for n in range(2)], START)
    assert await store.add([new(a_message(n), cap=3) for n in (2, 3)], START) == [Added(), CAP_REACHED]
    assert await store.add([new(a_message(4), cap=3)], START) == [CAP_REACHED]
    assert await store.add([new(a_message(5), cap=4)], START) == [Added()]


async def test_accounts_have_caps_of_their_own(store: Store) -> None:
    batch = [new(a_message(n, account_sid=(ACCOUNT, OTHER_ACCOUNT)[n % 2]), cap=(1, 2)[n % 2]) for n in range(6)]
    results = await store.add(batch, START)
    assert results == [Added(), Added(), CAP_REACHED, Added(), CAP_REACHED, CAP_REACHED]


async def test_the_cap_is_exact_for_many_at_once(store: Store) -> None:
    results = await asyncio.gather(*(store.add([new(a_message(n), cap=7)], START) for n in range(30)))
    each = [result for (result,) in results]
    assert (each.count(Added()), each.count(CAP_REACHED)) == (7, 23)
    assert len(await timers(store)) == 7


async def test_only_scheduled_messages_count(store: Store) -> None:
    unscheduled = [a_message(n, status=s) for n, s in enumerate([Status.ACCEPTED, Status.QUEUED])]
    assert await store.add([new(m, cap=0) for m in unscheduled], START) == [Added(), Added()]
    assert await is_room(store, 10, scheduled=0)


DECISIONS: dict[str, tuple[Decide, int]] = {
    "assigned": (assign(), 1),
    "refused": (always(Refuse(30036)), 1),
    "held": (always(Hold(later(60), "quiet hours")), 2),
    "its media are fetched": (always(Fetch()), 2),
}


@pytest.mark.parametrize(("decide", "still_counted"), DECISIONS.values(), ids=DECISIONS.keys())
async def test_a_decided_message_counts_no_longer(store: Store, decide: Decide, still_counted: int) -> None:
    await add(store, a_message(1), a_message(2))
    await store.dispatch([sid_of(1)], decide, SEND_AT)
    assert await is_room(store, 10, scheduled=still_counted)


async def test_a_canceled_message_counts_no_longer_and_is_taken_off_once(store: Store) -> None:
    await add(store, *(a_message(n) for n in range(3)))
    for _ in range(3):
        await store.cancel(ACCOUNT, [sid_of(1), sid_of(1)], SEND_AT)
    assert await is_room(store, 10, scheduled=2)


async def test_a_rescheduled_message_counts_once(store: Store) -> None:
    await add(store, a_message(1))
    await store.reschedule(ACCOUNT, sid_of(1), Reschedule(later(60), FAR), START)
    assert await is_room(store, 10, scheduled=1)


# --- idempotency keys ------------------------------------------------------------------------------------------------


async def test_a_repeat_names_the_message_of_the_first_request(store: Store) -> None:
    await store.add([new(a_message(1), key="k", fingerprint="f")], START)
    before = await everything(store)
    assert await store.add([new(a_message(2), key="k", fingerprint="f")], START) == [Repeated(sid_of(1), True)]
    assert await store.add([new(a_message(3), key="k", fingerprint="g")], START) == [Repeated(sid_of(1), False)]
    assert await everything(store) == before


async def test_a_repeat_takes_nothing_from_the_cap(store: Store) -> None:
    await store.add([new(a_message(1), key="k")], START)
    assert await store.add([new(a_message(2), cap=1, key="k")], START) == [Repeated(sid_of(1), True)]
    assert await is_room(store, 10, scheduled=1)


async def test_the_same_key_twice_in_one_batch(store: Store) -> None:
    batch = [new(a_message(1), key="k", fingerprint="f"), new(a_message(2), key="k", fingerprint="f")]
    batch += [new(a_message(3), key="k", fingerprint="g"), new(a_message(4), key="other")]
    repeated: list[AddResult] = [Repeated(sid_of(1), True), Repeated(sid_of(1), False)]
    assert await store.add(batch, START) == [Added(), *repeated, Added()]
    assert [cursor.sid for cursor in await timers(store)] == [sid_of(1), sid_of(4)]


async def test_a_key_is_known_to_its_account_only(store: Store) -> None:
    await store.add([new(a_message(1), key="k")], START)
    assert await store.add([new(a_message(2, account_sid=OTHER_ACCOUNT), key="k")], START) == [Added()]


async def test_one_of_many_with_the_same_key_wins(store: Store) -> None:
    results = await asyncio.gather(*(store.add([new(a_message(n), key="k")], START) for n in range(20)))
    assert [r for (r,) in results].count(Added()) == 1
    (timer,) = await timers(store)
    assert all(r in (Added(), Repeated(timer.sid, True)) for (r,) in results)


async def test_the_key_of_a_message_that_was_not_added_is_not_kept(store: Store) -> None:
    assert await store.add([new(a_message(1), cap=0, key="k")], START) == [CAP_REACHED]
    assert await store.add([new(a_message(2), key="k")], START) == [Added()]


async def test_a_repeat_in_one_batch_never_names_a_message_that_was_not_added(store: Store) -> None:
    results = await store.add([new(a_message(1), cap=0, key="k"), new(a_message(2), cap=0, key="k")], START)
    assert results == [CAP_REACHED, CAP_REACHED]


async def test_keys_are_forgotten_from_before_an_instant(store: Store) -> None:
    await store.add([new(a_message(1), key="old")], later(1))
    await store.add([new(a_message(2), key="young")], later(2))
    await store.prune(later(2))
    results = await store.add([new(a_message(3), key="old"), new(a_message(4), key="young")], later(3))
    assert results == [Added(), Repeated(sid_of(2), True)]


# --- what may not be added -------------------------------------------------------------------------------------------


async def test_a_refusal_is_answered_and_nothing_is_added(store: Store) -> None:
    refused = New(a_message(1), NO_CAP, refusal=35114)
    assert await store.add([refused, new(a_message(2), cap=1)], START) == [NotAdded(35114), Added()]
    assert [cursor.sid for cursor in await timers(store)] == [sid_of(2)]


async def test_a_repeat_is_answered_though_it_may_not_be_added_any_more(store: Store) -> None:
    await store.add([new(a_message(1), key="k", fingerprint="f")], START)
    late = New(a_message(2), NO_CAP, "k", "f", refusal=35114)
    assert await store.add([late], later(9)) == [Repeated(sid_of(1), True)]


async def test_the_key_of_what_was_refused_is_not_kept(store: Store) -> None:
    assert await store.add([New(a_message(1), NO_CAP, "k", refusal=35114)], START) == [NotAdded(35114)]
    assert await store.add([new(a_message(2), key="k")], START) == [Added()]


# --- opt-outs --------------------------------------------------------------------------------------------------------


def change(opted_out: bool, scope: str = SERVICE, account_sid: str = ACCOUNT, to: str = RECIPIENT) -> OptOutChange:
    return OptOutChange(account_sid, scope, to, 7, opted_out)


STOP, START_AGAIN = change(True), change(False)
NOT_SCHEDULED = {"accepted": Status.ACCEPTED, "queued": Status.QUEUED}


@pytest.mark.parametrize("status", NOT_SCHEDULED.values(), ids=NOT_SCHEDULED.keys())
async def test_nothing_is_added_for_whom_opted_out(store: Store, status: Status) -> None:
    await store.add_inbound([], [STOP], START)
    batch = [new(a_message(1, status=status)), new(a_message(2, status=status, recipient="+14155550199"))]
    assert await store.add(batch, START) == [OPTED_OUT, Added()]
    assert [cursor.sid for cursor in await timers(store)] == [sid_of(2)]


async def test_without_a_service_the_scope_is_the_sender(store: Store) -> None:
    await store.add_inbound([], [change(True, "+14155550001")], START)
    direct = a_message(status=Status.QUEUED, service_sid=None)
    batch = [msgspec.structs.replace(direct, sid=sid_of(n), sender=f"+1415555000{n}") for n in (1, 2)]
    assert await store.add([new(m) for m in batch], START) == [OPTED_OUT, Added()]


BOTH = {"to its service": SERVICE, "to its sender": "+14155550001"}


@pytest.mark.parametrize("scope", BOTH.values(), ids=BOTH.keys())
async def test_a_sender_of_a_service_is_stopped_by_either(store: Store, scope: str) -> None:
    await store.add_inbound([], [change(True, scope)], START)
    assert await add(store, a_message(status=Status.ACCEPTED, sender="+14155550001")) == [OPTED_OUT]


async def test_a_scheduled_message_is_added_and_judged_when_it_is_due(store: Store) -> None:
    await store.add_inbound([], [STOP], START)
    assert await add(store, a_message(1)) == [Added()]


ELSEWHERE = {
    "another account": change(True, account_sid=OTHER_ACCOUNT),
    "another service": change(True, scope="MG" + "d" * 32),
    "another recipient": change(True, to="+14155550101"),
}


@pytest.mark.parametrize("elsewhere", ELSEWHERE.values(), ids=ELSEWHERE.keys())
async def test_a_stop_holds_only_where_it_was_said(store: Store, elsewhere: OptOutChange) -> None:
    await store.add_inbound([], [elsewhere], START)
    assert await add(store, a_message(status=Status.ACCEPTED)) == [Added()]


ORDERS: dict[str, tuple[list[OptOutChange], AddResult]] = {
    "stop": ([STOP], OPTED_OUT),
    "stop twice": ([STOP, STOP], OPTED_OUT),
    "stop, start": ([STOP, START_AGAIN], Added()),
    "start, stop": ([START_AGAIN, STOP], OPTED_OUT),
    "stop, start, stop": ([STOP, START_AGAIN, STOP], OPTED_OUT),
    "start": ([START_AGAIN], Added()),
}


@pytest.mark.parametrize("apart", [False, True], ids=["in one batch", "one by one"])
@pytest.mark.parametrize(("changes", "result"), ORDERS.values(), ids=ORDERS.keys())
async def test_the_last_word_counts(store: Store, changes: list[OptOutChange], result: AddResult, apart: bool) -> None:
    for batch in [[c] for c in changes] if apart else [changes]:
        await store.add_inbound([], batch, START)
    assert await add(store, a_message(status=Status.ACCEPTED)) == [result]


async def test_inbound_messages_are_kept_without_a_timer_or_a_call(store: Store) -> None:
    batch = [an_inbound_message(n, body="STOP", sender=RECIPIENT) for n in (1, 2)]
    await store.add_inbound(batch, [STOP], START)
    assert [await read(store, m) for m in batch] == batch
    assert await timers(store) == []
    assert await announced(store) == []
    assert await add(store, a_message(3, status=Status.ACCEPTED)) == [OPTED_OUT]
