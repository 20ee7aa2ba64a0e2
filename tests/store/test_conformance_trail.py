"""Every store: the trail of every move, the calls that were made, and a person's word on a doubt, whatever it races."""

from collections.abc import Awaitable, Callable

import pytest

from postdate.core.decision import Hold
from postdate.core.doubt import FAILED_CODE, Verdict
from postdate.core.instant import HOUR, SECOND, Instant
from postdate.core.message import Event, Message, Status
from postdate.core.trail import MOST, Kind, Step, steps
from postdate.store.contract import (
    Amendment,
    Called,
    CallQuery,
    Doubted,
    Handed,
    MessageQuery,
    ReceiptNews,
    Reschedule,
    Returned,
    Settled,
    Store,
)
from tests.store.building import (
    ACCOUNT,
    CONNECTION,
    OTHER_ACCOUNT,
    OTHER_RUN,
    RUN,
    SEND_AT,
    a_message,
    add,
    always,
    announced,
    assign,
    bring,
    callbacks,
    later,
    overtaking,
    read,
    receipt,
    sid_of,
    timers,
)

AT = later(60)

# --- trails ----------------------------------------------------------------------------------------------------------


async def story(store: Store, message: Message) -> list[Step]:
    """Return what happened to a message since it was added."""
    text = await store.trail(message.account_sid, message.sid)
    assert text is not None
    return steps(await read(store, message), text)[1:]


async def kinds(store: Store, message: Message) -> list[Kind]:
    return [step.kind for step in await story(store, message)]


ASSIGNED = [Kind.ASSIGNED, Kind.CLAIMED]
STORIES: dict[Status, list[Kind]] = {
    Status.ACCEPTED: [],
    Status.SCHEDULED: [],
    Status.QUEUED: [Kind.ASSIGNED],
    Status.SENDING: ASSIGNED,
    Status.SENT: [*ASSIGNED, Kind.HANDED],
    Status.DELIVERED: [*ASSIGNED, Kind.HANDED, Kind.DELIVERED],
    Status.UNDELIVERED: [*ASSIGNED, Kind.HANDED, Kind.UNDELIVERED],
    Status.READ: [*ASSIGNED, Kind.HANDED, Kind.DELIVERED, Kind.READ],
    Status.FAILED: [Kind.REFUSED],
    Status.CANCELED: [Kind.CANCELED],
    Status.RECEIVED: [],
}


@pytest.mark.parametrize("status", STORIES)
async def test_a_trail_tells_each_move_and_when(store: Store, status: Status) -> None:
    message = await bring(store, a_message(), status)
    found = await story(store, message)
    assert [step.kind for step in found] == STORIES[status]
    assert [step.at for step in found] == [later(n) for n in range(len(found))]


async def test_a_trail_tells_with_what_it_went_and_how_it_ended(store: Store) -> None:
    message = await bring(store, a_message(), Status.SENDING)
    await store.record([Returned(message.sid, Kind.BUSY)], RUN, AT)
    await store.claim([message.sid], RUN, [], AT)
    await store.record([Handed(message.sid, "alpha", "ref-1")], RUN, AT)
    await store.apply_receipts([ReceiptNews("alpha", "ref-1", Event.UNDELIVER, 30005)], AT)
    assert (await story(store, message))[2:] == [
        Step(at=AT, kind=Kind.BUSY),
        Step(at=AT, kind=Kind.CLAIMED, attempt=2),
        Step(at=AT, kind=Kind.HANDED, connection="alpha", carrier_ref="ref-1"),
        Step(at=AT, kind=Kind.UNDELIVERED, code=30005),
    ]


async def test_a_trail_tells_where_a_message_was_moved_and_held(store: Store) -> None:
    message = a_message()
    await add(store, message)
    to, until = Instant(SEND_AT + HOUR), Instant(SEND_AT + 2 * HOUR)
    await store.reschedule(ACCOUNT, message.sid, Reschedule(to, later(99_999)), AT)
    await store.dispatch([message.sid], always(Hold(until, "quiet hours")), to)
    assert await story(store, message) == [
        Step(at=AT, kind=Kind.MOVED, was=SEND_AT, until=to),
        Step(at=to, kind=Kind.HELD, until=until),
    ]


async def test_what_does_not_count_leaves_no_trace(store: Store) -> None:
    message = await bring(store, a_message(), Status.DELIVERED)
    before = await store.trail(ACCOUNT, message.sid)
    await store.record([Returned(message.sid)], RUN, AT)
    await store.apply_receipts([receipt(message.sid, Event.DELIVER)], AT)
    await store.cancel(ACCOUNT, [message.sid], AT)
    await store.claim([message.sid], RUN, [], AT)
    assert await store.trail(ACCOUNT, message.sid) == before


async def test_a_receipt_that_waited_for_its_answer_is_told_after_it(store: Store) -> None:
    message = await bring(store, a_message(), Status.SENDING)
    await store.apply_receipts([receipt(message.sid, Event.DELIVER)], AT)
    await store.record([Handed(message.sid, CONNECTION, f"ref-{message.sid}")], RUN, AT)
    assert (await kinds(store, message))[-2:] == [Kind.HANDED, Kind.DELIVERED]


async def test_a_trail_is_bounded_and_still_tells_the_end(store: Store) -> None:
    message = await bring(store, a_message(), Status.QUEUED)
    for n in range(90):
        await store.claim([message.sid], RUN, [], later(n))
        await store.record([Returned(message.sid, Kind.UNREACHABLE)], RUN, later(n))
    await store.claim([message.sid], RUN, [], AT)
    await store.record([Handed(message.sid, "c" * 500, "ref")], RUN, AT)
    await store.apply_receipts([ReceiptNews("c" * 500, "ref", Event.DELIVER)], AT)
    told = await kinds(store, message)
    assert told[-3:] == [Kind.SKIPPED, Kind.HANDED, Kind.DELIVERED]
    assert len(await store.trail(ACCOUNT, message.sid) or "") < MOST


async def test_moving_for_ever_does_not_make_a_trail_grow_for_ever(store: Store) -> None:
    await add(store, a_message())
    for n in range(120):
        await store.reschedule(ACCOUNT, sid_of(1), Reschedule(later(n), later(9_999)), AT)
    await store.cancel(ACCOUNT, [sid_of(1)], AT)
    text = await store.trail(ACCOUNT, sid_of(1)) or ""
    assert MOST <= len(text) < MOST + 100
    assert (await kinds(store, a_message()))[-1] is Kind.CANCELED


async def test_a_redaction_is_told(store: Store) -> None:
    message = await bring(store, a_message(), Status.DELIVERED)
    await store.amend(ACCOUNT, message.sid, Amendment(redact=True), AT)
    assert (await story(store, message))[-1] == Step(at=AT, kind=Kind.REDACTED)


async def test_a_trail_is_its_accounts_own(store: Store) -> None:
    await add(store, a_message())
    assert await store.trail(ACCOUNT, sid_of(1)) == ""
    assert await store.trail(OTHER_ACCOUNT, sid_of(1)) is None
    assert await store.trail(ACCOUNT, sid_of(2)) is None


# --- calls -----------------------------------------------------------------------------------------------------------


def a_call(number: int, **changes: object) -> Called:
    given: dict[str, object] = {
        "id": 0, "at": later(number), "account_sid": ACCOUNT, "message_sid": sid_of(number % 3),
        "status": Status.SENT, "url": f"https://example.com/{number}", "attempt": 1, "took": 5, "code": 200,
        "fault": None, "request": "A=1", "answer": "'\"é🎉",
    }  # fmt: skip
    return Called(**(given | changes))  # type: ignore[arg-type]


async def settle(store: Store, *made: Called) -> None:
    await store.settle_callbacks([Settled(AT, f"none-{n}", None, None, call) for n, call in enumerate(made)])


def urls(calls: list[Called]) -> list[str]:
    return [call.url.rpartition("/")[2] for call in calls]


async def test_calls_are_kept_with_what_settles_them_newest_first(store: Store) -> None:
    await bring(store, a_message(), Status.CANCELED)
    (row,) = await callbacks(store)
    await store.settle_callbacks([Settled(row.due_at, row.id, AT, AT, a_call(1, code=503))])
    await store.settle_callbacks([Settled(AT, row.id, None, None, a_call(2, attempt=2))])
    assert await callbacks(store) == []
    second, first = await store.calls_made(CallQuery(account_sid=ACCOUNT))
    assert (first.id, second.id) == (1, 2)
    assert [first, second] == [a_call(1, id=1, code=503), a_call(2, id=2, attempt=2)]


async def test_calls_page_by_account_by_message_and_by_failure(store: Store) -> None:
    made = [a_call(n, **({"code": None, "fault": "too slow"} if n % 2 else {})) for n in range(7)]
    await settle(store, *made, a_call(9, account_sid=OTHER_ACCOUNT), a_call(10, code=404))
    assert urls(await store.calls_made(CallQuery(account_sid=ACCOUNT, limit=3))) == ["10", "6", "5"]
    assert urls(await store.calls_made(CallQuery(account_sid=ACCOUNT, after=6, limit=3))) == ["4", "3", "2"]
    assert urls(await store.calls_made(CallQuery(account_sid=ACCOUNT, failed=True))) == ["10", "5", "3", "1"]
    about = CallQuery(account_sid=ACCOUNT, message_sid=sid_of(1))
    assert urls(await store.calls_made(about)) == ["10", "4", "1"]
    assert urls(await store.calls_made(CallQuery(account_sid=ACCOUNT, message_sid=sid_of(1), failed=True))) == [
        "10",
        "1",
    ]
    assert await store.calls_made(CallQuery(account_sid=OTHER_ACCOUNT, message_sid=sid_of(1))) == []


async def test_old_calls_are_forgotten_however_many(store: Store) -> None:
    await settle(store, *(a_call(n) for n in range(-4_500, 2)))
    await store.prune(SEND_AT)
    assert urls(await store.calls_made(CallQuery(account_sid=ACCOUNT))) == ["1", "0"]


# --- a person's word on a doubt --------------------------------------------------------------------------------------


async def doubted(store: Store, **changes: object) -> Message:
    """Return a message in doubt that nobody hands over."""
    message = await bring(store, a_message(1, **changes), Status.SENDING)
    await store.record([Doubted(message.sid)], RUN, later(5))
    return await read(store, message)


RESOLVED = {
    Verdict.SENT: (Status.SENT, None),
    Verdict.FAILED: (Status.FAILED, FAILED_CODE),
    Verdict.RETRY: (Status.SENDING, None),
}


@pytest.mark.parametrize("verdict", Verdict)
async def test_a_doubt_is_settled_as_a_person_says(store: Store, verdict: Verdict) -> None:
    message = await doubted(store)
    told = await announced(store)
    after, won = await store.resolve(ACCOUNT, message.sid, verdict, AT)
    status, code = RESOLVED[verdict]
    assert won
    assert after == await read(store, message)
    assert after is not None
    assert (after.status, after.error_code, after.doubt_at) == (status, code, None)
    assert after.sent_at == (AT if verdict is Verdict.SENT else None)
    news = [] if verdict is Verdict.RETRY else [(message.sid, status)]
    assert await announced(store) == sorted(told + news)
    assert (await story(store, message))[-1] == Step(at=AT, kind=Kind.RESOLVED, verdict=verdict)
    assert await store.messages(MessageQuery(account_sid=ACCOUNT, in_doubt=True)) == []
    assert await store.messages(MessageQuery(account_sid=ACCOUNT, status=status)) == [after]


async def test_what_goes_again_has_its_timer_and_its_time_and_can_be_claimed(store: Store) -> None:
    message = await doubted(store, expires_at=Instant(SEND_AT + 10 * SECOND))
    assert await timers(store) == []
    await store.resolve(ACCOUNT, message.sid, Verdict.RETRY, AT)
    assert await timers(store) == [(message.due_at, message.sid)]
    (claimed,) = await store.claim([message.sid], OTHER_RUN, [], AT)
    assert (claimed.attempts, claimed.expires_at) == (2, AT + 10 * SECOND)
    await store.record([Handed(message.sid, CONNECTION, "ref-2")], OTHER_RUN, AT)
    assert (await read(store, message)).status is Status.SENT


Race = Callable[[Store, str], Awaitable[object]]
RACES: dict[str, Race] = {
    "a receipt": lambda store, sid: store.apply_receipts([overtaking(sid, Event.DELIVER)], AT),
    "a late answer": lambda store, sid: store.apply_receipts([overtaking(sid, Event.ACCEPT)], AT),
    "a late refusal": lambda store, sid: store.apply_receipts([overtaking(sid, Event.REFUSE, 30003)], AT),
    "a late not now": lambda store, sid: store.apply_receipts([overtaking(sid, Event.RETURN)], AT),
    "another person": lambda store, sid: store.resolve(ACCOUNT, sid, Verdict.SENT, AT),
}


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("race", RACES)
async def test_what_settled_it_before_wins(store: Store, race: str, verdict: Verdict) -> None:
    message = await doubted(store)
    await RACES[race](store, message.sid)
    before, told = await read(store, message), await announced(store)
    assert await store.resolve(ACCOUNT, message.sid, verdict, AT) == (before, False)
    assert await read(store, message) == before
    assert await announced(store) == told


@pytest.mark.parametrize(
    ("verdict", "event", "status"),
    [
        (Verdict.SENT, Event.DELIVER, Status.DELIVERED),
        (Verdict.SENT, Event.UNDELIVER, Status.UNDELIVERED),
        (Verdict.SENT, Event.REFUSE, Status.SENT),
        (Verdict.SENT, Event.RETURN, Status.SENT),
        (Verdict.FAILED, Event.DELIVER, Status.FAILED),
        (Verdict.FAILED, Event.RETURN, Status.FAILED),
        (Verdict.FAILED, Event.ACCEPT, Status.FAILED),
        (Verdict.RETRY, Event.DELIVER, Status.DELIVERED),
    ],
)
async def test_what_comes_after_it_moves_no_status_backwards(
    store: Store, verdict: Verdict, event: Event, status: Status
) -> None:
    message = await doubted(store)
    await store.resolve(ACCOUNT, message.sid, verdict, AT)
    await store.apply_receipts([overtaking(message.sid, event)], AT)
    assert (await read(store, message)).status is status


async def test_an_attempt_under_way_is_not_resolved(store: Store) -> None:
    message = await bring(store, a_message(), Status.SENDING)
    await store.record([Doubted(message.sid, again=True)], RUN, AT)
    await store.claim([message.sid], RUN, [], AT)
    before = await read(store, message)
    assert before.doubt_at is not None
    assert await store.resolve(ACCOUNT, message.sid, Verdict.FAILED, AT) == (before, False)


@pytest.mark.parametrize("status", [s for s in Status if s not in (Status.RECEIVING, Status.PARTIALLY_DELIVERED)])
async def test_only_a_doubt_can_be_settled(store: Store, status: Status) -> None:
    message = await bring(store, a_message(), status)
    assert await store.resolve(ACCOUNT, message.sid, Verdict.RETRY, AT) == (message, False)
    assert await store.resolve(OTHER_ACCOUNT, message.sid, Verdict.RETRY, AT) == (None, False)
    assert await read(store, message) == message


async def test_a_message_that_was_assigned_twice_has_one_way(store: Store) -> None:
    message = await bring(store, a_message(), Status.QUEUED)
    await store.dispatch([message.sid], assign(), AT)
    assert await kinds(store, message) == [Kind.ASSIGNED]
