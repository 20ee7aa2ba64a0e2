"""A command is accepted when it is on disk, and only then; what is refused is nowhere; a repeat is harmless."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from postdate.clock import breathe
from postdate.core.errors import Rejected
from postdate.core.instant import DAY, HOUR, MINUTE, SECOND, Instant
from postdate.core.message import Message, Options, Status
from postdate.core.resources import Application
from postdate.core.sid import is_sid
from postdate.flow.ingest import MOST_IN_A_COMMIT, Ingest, IngestRules
from postdate.flow.lane import QUEUE_SECONDS
from postdate.store.contract import Cursor, OptOutChange, StoreError, StoreFull, StoreUnavailable
from tests.flow.building import (
    ACCOUNT,
    SERVICE,
    START,
    Flow,
    Setup,
    a_command,
    a_sender,
    a_service,
    after,
    an_account,
    flowing,
    recipient,
    twice,
)

FULL = StoreFull("no room on the disk: free some space")
AWAY = StoreUnavailable("the store cannot be reached: start it")
NOBODY = "SM" + "0" * 32
STRANGER = "AC" + "9" * 32
OTHER_SERVICE = "MG" + "d" * 32


async def refused(doing: Awaitable[object]) -> Rejected:
    """Return with what a command was refused."""
    with pytest.raises(Rejected) as refusal:
        await doing
    return refusal.value


async def code_of(doing: Awaitable[object]) -> int:
    return (await refused(doing)).code


# --- on disk ---------------------------------------------------------------------------------------------------------


async def test_what_was_accepted_is_on_disk_as_it_was_answered(flow: Flow) -> None:
    message = await flow.send(after(3600), body="Hello", callback_url="https://example.com/", validity=60)
    assert await flow.read(message) == message
    assert (message.status, message.due_at, message.expires_at) == (Status.SCHEDULED, after(3600), after(3660))
    await flow.restart()
    assert await flow.read(message) == message


async def test_nobody_is_answered_before_it_is_on_disk(flow: Flow) -> None:
    hold = flow.store.hold("add", "after")
    accepting = asyncio.create_task(flow.send(after(3600)))
    await hold.reached.wait()
    assert len(await flow.everything()) == 1
    assert not accepting.done()
    hold.opened.set()
    assert (await accepting).status is Status.SCHEDULED


async def test_what_was_answered_outlives_a_crash_right_after_it(flow: Flow) -> None:
    messages = await asyncio.gather(*(flow.send(after(3600), recipient=recipient(n)) for n in range(50)))
    await flow.kill()
    await flow.start()
    assert sorted(m.sid for m in await flow.everything()) == sorted(m.sid for m in messages)


async def test_what_comes_while_the_disk_is_busy_shares_the_next_transaction(flow: Flow) -> None:
    hold = flow.store.hold("add", "before")
    first = asyncio.create_task(flow.send(after(3600)))
    await hold.reached.wait()
    others = [asyncio.create_task(flow.send(after(3600))) for _ in range(100)]
    await breathe()
    hold.opened.set()
    await asyncio.gather(first, *others)
    assert flow.store.calls.count("add") == 2
    assert await flow.statuses() == {Status.SCHEDULED: 101}


async def test_a_transaction_takes_no_more_than_it_may(flow: Flow) -> None:
    await asyncio.gather(*(flow.send(after(3600)) for _ in range(2 * MOST_IN_A_COMMIT + 1)))
    assert flow.store.calls.count("add") == 3


async def test_many_at_once_get_sids_of_their_own(flow: Flow) -> None:
    messages = await asyncio.gather(*(flow.send(after(3600)) for _ in range(500)))
    assert twice(message.sid for message in messages) == []
    assert all(is_sid(message.sid, "SM") for message in messages)


@pytest.mark.parametrize("error", [FULL, AWAY], ids=["full", "unavailable"])
async def test_where_the_store_cannot_the_customer_is_told_and_nothing_is_kept(flow: Flow, error: StoreError) -> None:
    flow.store.fail("add", error)
    refusal = await refused(flow.send(after(3600)))
    assert (refusal.code, refusal.http_status, refusal.detail) == (20503, 503, str(error))
    assert await flow.everything() == []
    await flow.send(after(3600))
    assert len(await flow.everything()) == 1


async def test_a_failure_is_told_to_all_of_its_transaction_and_to_nobody_else(flow: Flow) -> None:
    hold = flow.store.hold("add", "before")
    first = asyncio.create_task(flow.send(after(3600)))
    await hold.reached.wait()
    others = [asyncio.create_task(flow.send(after(3600))) for _ in range(3)]
    await breathe()
    flow.store.fail("add", FULL)
    hold.opened.set()
    assert await code_of(first) == 20503
    await asyncio.gather(*others)
    assert len(await flow.everything()) == 3


async def test_while_it_refuses_it_says_why_and_adds_nothing(flow: Flow) -> None:
    flow.ingest.refusing = "The disk is nearly full: free some space."
    refusal = await refused(flow.send(after(3600)))
    assert (refusal.code, refusal.detail) == (20503, "The disk is nearly full: free some space.")
    assert "add" not in flow.store.calls
    flow.ingest.refusing = None
    await flow.send(after(3600))


async def test_drained_means_that_all_is_on_disk(flow: Flow) -> None:
    hold = flow.store.hold("add", "before")
    accepting = asyncio.create_task(flow.send(after(3600)))
    await hold.reached.wait()
    drained = asyncio.create_task(flow.ingest.drain())
    await breathe()
    assert not drained.done()
    assert not flow.ingest.idle
    hold.opened.set()
    await asyncio.wait_for(drained, 60)
    await accepting
    assert len(await flow.everything()) == 1


# --- the scheduler hears ---------------------------------------------------------------------------------------------


def listening(flow: Flow) -> tuple[Ingest, list[Cursor]]:
    """Return an ingest of its own, and what it told of timers."""
    heard: list[Cursor] = []
    rules = IngestRules(flow.ingest.window_of(None), 2, False)
    ingest = Ingest(flow.store, flow.directory, flow.clock, rules)
    ingest.notice = heard.append
    return ingest, heard


async def test_each_timer_is_told_once_when_it_is_on_disk(flow: Flow) -> None:
    ingest, heard = listening(flow)
    hold = flow.store.hold("add", "after")
    accepting = asyncio.create_task(ingest.accept(flow.account, a_command(after(3600))))
    await hold.reached.wait()
    assert heard == []
    hold.opened.set()
    message = await accepting
    assert heard == [Cursor(after(3600), message.sid)]
    moved = await ingest.reschedule(flow.account, message.sid, after(60))
    assert heard[1:] == [Cursor(moved.due_at, message.sid)]


async def test_what_was_not_added_is_not_told(flow: Flow) -> None:
    ingest, heard = listening(flow)
    flow.store.fail("add", FULL)
    assert await code_of(ingest.accept(flow.account, a_command(after(3600)))) == 20503
    for _ in range(2):
        await ingest.accept(flow.account, a_command(after(3600), idempotency_key="key"))
    assert len(heard) == 1
    await ingest.accept(flow.account, a_command(after(3600)))
    assert await code_of(ingest.accept(flow.account, a_command(after(3600)))) == 35125
    assert len(heard) == 2


async def test_a_message_whose_caller_went_away_is_sent_all_the_same(flow: Flow) -> None:
    await flow.settle()
    hold = flow.store.hold("add", "after")
    accepting = asyncio.create_task(flow.send(after(10), idempotency_key="key"))
    await hold.reached.wait()
    accepting.cancel()
    await asyncio.wait([accepting])
    hold.opened.set()
    await flow.settle()
    message = await flow.send(after(10), idempotency_key="key")  # the customer tries again, and has its 201
    await flow.advance(20)
    assert flow.carrier.sids == [message.sid]


async def test_a_message_that_was_moved_by_one_who_went_away_is_sent_all_the_same(flow: Flow) -> None:
    message = await flow.send(after(3600))
    await flow.settle()
    hold = flow.store.hold("reschedule", "after")
    moving = asyncio.create_task(flow.ingest.reschedule(flow.account, message.sid, after(10)))
    await hold.reached.wait()
    moving.cancel()
    await asyncio.wait([moving])
    hold.opened.set()
    await flow.settle()
    await flow.advance(2 * 3600)
    assert flow.carrier.sids == [message.sid]


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({"service_sid": OTHER_SERVICE}, 21701, id="a service that is not"),
        pytest.param({"service_sid": None}, 21603, id="neither service nor sender"),
        pytest.param({"service_sid": None, "sender": "+12125550999"}, 21606, id="a sender that is not"),
        pytest.param({"sender": a_sender(2).address}, 21606, id="a sender that is not in the pool"),
        pytest.param({"options": Options(application_sid="AP" + "0" * 32)}, 21420, id="an application that is not"),
    ],
)
async def test_what_names_nothing_of_the_account_is_refused(
    tmp_path: Path, changes: dict[str, object], code: int
) -> None:
    async with flowing(tmp_path, a_sender(1), a_sender(2, service_sid=None)) as flow:
        assert await code_of(flow.send(None, **changes)) == code
        assert await flow.everything() == []


@pytest.mark.parametrize("what", ["service", "sender", "application"])
async def test_what_belongs_to_another_account_is_not_there(tmp_path: Path, what: str) -> None:
    application = Application(
        sid="AP" + "1" * 32, account_sid=STRANGER, friendly_name="Theirs", created_at=START, updated_at=START
    )
    theirs = a_sender(2, account_sid=STRANGER, service_sid=OTHER_SERVICE)
    async with flowing(
        tmp_path, a_service(sid=OTHER_SERVICE, account_sid=STRANGER), a_service(), a_sender(1), theirs, application
    ) as flow:
        doing: dict[str, Callable[[], Awaitable[Message]]] = {
            "service": lambda: flow.send(service_sid=OTHER_SERVICE),
            "sender": lambda: flow.send(service_sid=None, sender=theirs.address),
            "application": lambda: flow.send(options=Options(application_sid=application.sid)),
        }
        assert await code_of(doing[what]()) in (21701, 21606, 21420)
        assert await flow.everything() == []


WINDOW = {
    "just too soon": (5 * MINUTE - 1, 35114),
    "as soon as may be": (5 * MINUTE, None),
    "as late as may be": (2 * DAY, None),
    "just too late": (2 * DAY + 1, 35114),
}


@pytest.mark.parametrize(("ahead", "code"), WINDOW.values(), ids=WINDOW.keys())
@pytest.mark.parametrize("whose", ["node", "service"])
async def test_the_schedule_window_is_kept_by_the_microsecond(
    tmp_path: Path, whose: str, ahead: int, code: int | None
) -> None:
    windows = ("5m..2d", None) if whose == "node" else ("60m..7d", "5m..2d")
    async with flowing(tmp_path, a_service(schedule_window=windows[1]), setup=Setup(window=windows[0])) as flow:
        at = Instant(flow.clock.now() + ahead)
        moved = await flow.send(Instant(flow.clock.now() + HOUR))
        for doing in (flow.send(at), flow.ingest.reschedule(flow.account, moved.sid, at)):
            if code is None:
                assert (await doing).due_at == at
            else:
                assert await code_of(doing) == code


@pytest.mark.parametrize("at_once", [False, True], ids=["refuse", "send"])
async def test_a_schedule_without_a_service_is_refused_or_sent_at_once(tmp_path: Path, at_once: bool) -> None:
    async with flowing(tmp_path, setup=Setup(send_at_once_without_service=at_once)) as flow:
        sending = flow.send(after(3600), service_sid=None, sender=a_sender().address)
        if not at_once:
            assert await code_of(sending) == 35118
            return
        message = await sending
        assert (message.status, message.send_at) == (Status.QUEUED, None)
        await flow.advance(0.01)
        assert flow.carrier.sids == [message.sid]


async def test_an_account_has_no_more_scheduled_messages_than_it_may(tmp_path: Path) -> None:
    async with flowing(tmp_path, setup=Setup(cap=2)) as flow:
        first = await flow.send(after(60))
        second = await flow.send(after(120))
        assert await code_of(flow.send(after(60))) == 35125
        await flow.send()  # not scheduled: not counted
        await flow.ingest.cancel(flow.account, first.sid)
        third = await flow.send(after(120))
        assert await code_of(flow.send(after(60))) == 35125
        await flow.advance_to(after(121))
        assert {second.sid, third.sid} <= set(flow.carrier.sids)
        await flow.send_many(2, after(3600))
        assert await code_of(flow.send(after(3600))) == 35125


async def test_of_many_at_once_no_more_are_taken_than_may_be(tmp_path: Path) -> None:
    async with flowing(tmp_path, setup=Setup(cap=10)) as flow:
        sending = (flow.send(after(3600), recipient=recipient(n)) for n in range(30))
        results = await asyncio.gather(*sending, return_exceptions=True)
        assert len([r for r in results if isinstance(r, Message)]) == 10
        assert {r.code for r in results if isinstance(r, Rejected)} == {35125}


async def test_who_opted_out_is_not_written_to_at_once_but_may_opt_in_before_a_schedule(flow: Flow) -> None:
    change = OptOutChange(ACCOUNT, SERVICE, recipient(1), 0, True)
    await flow.store.real.add_inbound([], [change], START)
    assert await code_of(flow.send()) == 21610
    scheduled = await flow.send(after(60))
    await flow.store.real.add_inbound([], [change._replace(opted_out=False)], START)
    await flow.advance_to(after(61))
    assert flow.carrier.sids == [scheduled.sid]


async def test_a_queue_that_is_full_refuses_what_names_its_sender(tmp_path: Path) -> None:
    mps = 1 / QUEUE_SECONDS  # the queue holds one segment
    async with flowing(tmp_path, a_sender(1, mps=mps), a_sender(2, mps=mps)) as flow:
        for number in (1, 2):  # the first leaves at once and is in flight until it is answered
            await flow.send(service_sid=None, sender=a_sender(1).address, recipient=recipient(number))
            await flow.advance(0.02)
        assert await code_of(flow.send(service_sid=None, sender=a_sender(1).address)) == 21611
        await flow.send(service_sid=None, sender=a_sender(2).address)


# --- repeats ---------------------------------------------------------------------------------------------------------


async def test_a_repeated_request_has_the_first_answer(flow: Flow) -> None:
    first = await flow.send(after(3600), idempotency_key="key")
    again = await flow.send(after(3600), idempotency_key="key")
    assert again == first
    assert len(await flow.everything()) == 1


async def test_repeats_at_once_make_one_message(flow: Flow) -> None:
    answers = await asyncio.gather(*(flow.send(after(3600), idempotency_key="key") for _ in range(20)))
    assert len({answer.sid for answer in answers}) == 1
    await flow.advance_to(after(3601))
    assert len(flow.carrier.submitted) == 1


async def test_a_repeat_later_shows_the_message_as_it_is_then(flow: Flow) -> None:
    first = await flow.send(idempotency_key="key")
    await flow.advance(1)
    again = await flow.send(idempotency_key="key")
    assert (again.sid, again.status) == (first.sid, Status.SENT)


async def test_a_repeat_that_comes_a_moment_later_is_not_too_late_for_the_window(tmp_path: Path) -> None:
    async with flowing(tmp_path, setup=Setup(window="60m..7d")) as flow:
        send_at = Instant(flow.clock.now() + HOUR)
        first = await flow.send(send_at, idempotency_key="key")  # the answer was lost on the way
        await flow.advance(2)
        assert (await flow.send(send_at, idempotency_key="key")).sid == first.sid


async def test_a_repeat_is_not_refused_for_a_queue_that_is_full_by_now(tmp_path: Path) -> None:
    async with flowing(tmp_path, a_sender(1, mps=1 / QUEUE_SECONDS)) as flow:
        sending: dict[str, object] = {"service_sid": None, "sender": a_sender(1).address}
        await flow.send(None, **sending)
        await flow.advance(1)
        first = await flow.send(None, idempotency_key="key", **sending)
        await flow.advance(1)
        assert (await flow.send(None, idempotency_key="key", **sending)).sid == first.sid


async def test_a_repeat_outlives_a_crash(flow: Flow) -> None:
    first = await flow.send(after(3600), idempotency_key="key")
    await flow.restart()
    assert (await flow.send(after(3600), idempotency_key="key")).sid == first.sid


@pytest.mark.parametrize(
    "changes",
    [{"body": "Other"}, {"recipient": recipient(2)}, {"send_at": after(7200)}, {"validity": 60}],
    ids=lambda changes: next(iter(changes)),
)
async def test_the_same_key_with_another_request_is_refused(flow: Flow, changes: dict[str, object]) -> None:
    await flow.send(after(3600), idempotency_key="key")
    command = a_command(None, **({"send_at": after(3600), "idempotency_key": "key"} | changes))
    assert await code_of(flow.ingest.accept(flow.account, command)) == 20409
    assert len(await flow.everything()) == 1


async def test_keys_are_an_accounts_own(tmp_path: Path) -> None:
    stranger = an_account(sid=STRANGER, owner_sid=STRANGER)
    service = a_service(sid=OTHER_SERVICE, account_sid=STRANGER)
    async with flowing(tmp_path, a_service(), stranger, service) as flow:
        ours = await flow.send(after(3600), idempotency_key="key")
        command = a_command(after(3600), idempotency_key="key", service_sid=OTHER_SERVICE)
        assert (await flow.ingest.accept(stranger, command)).sid != ours.sid


async def test_a_key_whose_message_was_deleted_says_so(flow: Flow) -> None:
    first = await flow.send(after(3600), idempotency_key="key")
    await flow.ingest.cancel(flow.account, first.sid)
    assert await flow.store.delete(ACCOUNT, first.sid)
    refusal = await refused(flow.send(after(3600), idempotency_key="key"))
    assert (refusal.code, first.sid in refusal.detail) == (20404, True)


async def test_a_request_that_failed_may_be_repeated(flow: Flow) -> None:
    flow.store.fail("add", AWAY)
    assert await code_of(flow.send(after(3600), idempotency_key="key")) == 20503
    assert (await flow.send(after(3600), idempotency_key="key")).status is Status.SCHEDULED


# --- cancel and reschedule -------------------------------------------------------------------------------------------


async def test_a_canceled_message_is_never_sent(flow: Flow) -> None:
    message = await flow.send(after(60))
    canceled = await flow.ingest.cancel(flow.account, message.sid)
    assert canceled.status is Status.CANCELED
    assert await flow.read(message) == canceled
    await flow.advance_to(after(3600))
    assert flow.carrier.submitted == []


async def test_canceling_again_answers_the_same_and_changes_nothing(flow: Flow) -> None:
    message = await flow.send(after(60))
    canceled = await flow.ingest.cancel(flow.account, message.sid)
    await flow.advance(10)
    assert await flow.ingest.cancel(flow.account, message.sid) == canceled
    assert await flow.read(message) == canceled
    assert flow.store.calls.count("cancel") == 2


async def test_what_is_not_there_or_anothers_cannot_be_canceled_or_moved(flow: Flow) -> None:
    message = await flow.send(after(3600))
    stranger = an_account(sid=STRANGER, owner_sid=STRANGER)
    for account, sid in ((flow.account, NOBODY), (stranger, message.sid)):
        assert await code_of(flow.ingest.cancel(account, sid)) == 20404
        assert await code_of(flow.ingest.reschedule(account, sid, after(7200))) == 20404
    assert await flow.read(message) == message


async def test_what_was_sent_cannot_be_canceled_or_moved(flow: Flow) -> None:
    message = await flow.send(after(60))
    await flow.advance_to(after(61))
    sent = await flow.read(message)
    assert sent.status is Status.SENT
    assert await code_of(flow.ingest.cancel(flow.account, message.sid)) == 30409
    assert await code_of(flow.ingest.reschedule(flow.account, message.sid, after(7200))) == 20409
    assert await flow.read(message) == sent


async def test_what_was_canceled_cannot_be_moved(flow: Flow) -> None:
    message = await flow.send(after(60))
    await flow.ingest.cancel(flow.account, message.sid)
    assert await code_of(flow.ingest.reschedule(flow.account, message.sid, after(7200))) == 20409


async def test_a_message_that_is_moved_keeps_its_validity(flow: Flow) -> None:
    message = await flow.send(after(60), validity=90)
    moved = await flow.ingest.reschedule(flow.account, message.sid, after(7200))
    assert (moved.send_at, moved.due_at) == (after(7200), after(7200))
    assert moved.expires_at == after(7200) + 90 * SECOND
    assert moved.status is Status.SCHEDULED
    assert moved.sid == message.sid


async def move(flow: Flow, message: Message) -> Message:
    return await flow.ingest.reschedule(flow.account, message.sid, after(7200))


@pytest.mark.parametrize("name", ["cancel", "reschedule", "message"])
async def test_where_the_store_cannot_nothing_is_changed(flow: Flow, name: str) -> None:
    message = await flow.send(after(60))
    flow.store.fail(name, AWAY)
    canceling = name == "cancel"
    doing = flow.ingest.cancel(flow.account, message.sid) if canceling else move(flow, message)
    with pytest.raises(StoreUnavailable):
        await doing
    assert await flow.read(message) == message
    await flow.advance_to(after(61))
    assert flow.carrier.sids == [message.sid]
