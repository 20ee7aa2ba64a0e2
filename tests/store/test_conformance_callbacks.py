"""Every store: each change is announced once, to the URL configured when it happens, until the call is settled."""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from postdate.core.decision import Hold
from postdate.core.instant import Instant
from postdate.core.message import Event, Message, Options, Status
from postdate.core.resources import Resource
from postdate.store.contract import Amendment, CallbackRow, Handed, Settled, Store
from tests.store.building import (
    ACCOUNT,
    CONNECTION,
    FAR,
    OTHER_ACCOUNT,
    RECIPIENT,
    RUN,
    SERVICE,
    START,
    STORES,
    a_message,
    a_sender,
    a_service,
    add,
    always,
    an_application,
    an_inbound_message,
    announced,
    assign,
    bring,
    callbacks,
    everything,
    later,
    overtaking,
    perform,
    read,
    receipt,
    ref_of,
    sid_of,
)
from tests.store.conftest import News

AT = later(60)
URL = "https://example.com/"
APPLICATION = an_application().sid

# --- what is announced -----------------------------------------------------------------------------------------------

STEPS: dict[Status, tuple[Status, Event]] = {
    Status.QUEUED: (Status.SCHEDULED, Event.ASSIGN),
    Status.SENDING: (Status.QUEUED, Event.CLAIM),
    Status.SENT: (Status.SENDING, Event.ACCEPT),
    Status.FAILED: (Status.SCHEDULED, Event.REFUSE),
    Status.CANCELED: (Status.SCHEDULED, Event.CANCEL),
    Status.DELIVERED: (Status.SENT, Event.DELIVER),
    Status.UNDELIVERED: (Status.SENT, Event.UNDELIVER),
    Status.READ: (Status.DELIVERED, Event.READ),
}


def is_told(status: Status, service_sid: str | None) -> bool:
    """Say whether Twilio calls back for a status; `queued` only with a messaging service (else it is the first)."""
    return status is not Status.SENDING and (status is not Status.QUEUED or service_sid is not None)


@pytest.mark.parametrize("service_sid", [SERVICE, None], ids=["with a service", "without"])
@pytest.mark.parametrize("status", STEPS)
async def test_a_status_is_announced_where_the_wire_says_so(
    store: Store, status: Status, service_sid: str | None
) -> None:
    before, event = STEPS[status]
    message = await bring(store, a_message(service_sid=service_sid), before)
    rows = await callbacks(store)
    await perform(store, event, message, AT)
    fresh = [row for row in await callbacks(store) if row not in rows]
    now = await read(store, message)
    assert now.status is status
    expected = CallbackRow(
        due_at=AT,
        id=f"{message.sid}:{list(Status).index(status)}:{status}",
        account_sid=ACCOUNT,
        message_sid=message.sid,
        status=status,
        url=f"{URL}1",
        attempts=0,
        first_at=AT,
        sender=now.sender,
        recipient=RECIPIENT,
        service_sid=service_sid,
        error_code=now.error_code,
    )
    assert fresh == ([expected] if is_told(status, service_sid) else [])


@pytest.mark.parametrize("status", [s for s in STEPS if s is not Status.SENDING])
async def test_a_change_that_was_told_is_not_told_again(store: Store, status: Status) -> None:
    before, event = STEPS[status]
    message = await bring(store, a_message(), before)
    await perform(store, event, message, AT)
    await settle_all(store)
    for at in (AT, later(61)):
        await perform(store, event, message, at)
        assert await callbacks(store) == []


async def test_the_life_of_a_message_is_told_once_for_each_status(store: Store) -> None:
    message = await bring(store, a_message(), Status.READ)
    told = await callbacks(store)
    assert [row.status for row in told] == [Status.QUEUED, Status.SENT, Status.DELIVERED, Status.READ]
    assert len({row.id for row in told}) == 4
    await store.record([Handed(message.sid, CONNECTION, ref_of(message.sid))], RUN, AT)
    await store.apply_receipts([overtaking(message.sid, e) for e in (Event.DELIVER, Event.READ)], AT)
    assert await callbacks(store) == told


async def test_every_status_that_a_batch_led_through_is_told(store: Store) -> None:
    message = await bring(store, a_message(), Status.SENT)
    await settle_all(store)
    await store.apply_receipts([overtaking(message.sid, e) for e in (Event.DELIVER, Event.READ)], AT)
    assert [row.status for row in await callbacks(store)] == [Status.DELIVERED, Status.READ]


async def test_what_waited_for_the_answer_is_told_with_it(store: Store) -> None:
    message = await bring(store, a_message(), Status.SENDING)
    await settle_all(store)
    await store.apply_receipts([receipt(message.sid, e) for e in (Event.DELIVER, Event.READ)], AT)
    await store.record([Handed(message.sid, CONNECTION, ref_of(message.sid))], RUN, AT)
    assert [row.status for row in await callbacks(store)] == [Status.SENT, Status.DELIVERED, Status.READ]


async def test_calls_of_one_instant_are_due_in_the_order_of_the_life(store: Store) -> None:
    await add(store, a_message())
    for event in (Event.ASSIGN, Event.CLAIM, Event.ACCEPT, Event.DELIVER, Event.READ):
        await perform(store, event, a_message(), AT)
    told = [row.status for row in await callbacks(store)]
    assert told == [Status.QUEUED, Status.SENT, Status.DELIVERED, Status.READ]


async def test_a_redaction_is_not_announced(store: Store) -> None:
    message = await bring(store, a_message(), Status.DELIVERED)
    before = await callbacks(store)
    for change in (Amendment(redact=True), Amendment(feedback="confirmed")):
        await store.amend(ACCOUNT, message.sid, change, AT)
    assert await callbacks(store) == before


# --- where to --------------------------------------------------------------------------------------------------------

PRECEDENCE: dict[str, tuple[str | None, str | None, str | None, str | None]] = {
    "message before all": ("message", "application", "service", "message"),
    "message before its service": ("message", None, "service", "message"),
    "application before service": (None, "application", "service", "application"),
    "application alone": (None, "application", None, "application"),
    "service alone": (None, None, "service", "service"),
    "nobody": (None, None, None, None),
}


@pytest.mark.parametrize(("message", "application", "service", "told"), PRECEDENCE.values(), ids=PRECEDENCE.keys())
async def test_whose_url_is_called(
    store: Store, message: str | None, application: str | None, service: str | None, told: str | None
) -> None:
    await store.put(an_application(message_status_callback=application and URL + application))
    await store.put(a_service(status_callback=service and URL + service))
    options = Options(application_sid=APPLICATION)
    await add(store, a_message(callback_url=message and URL + message, options=options))
    await store.cancel(ACCOUNT, [sid_of(1)], AT)
    assert [row.url for row in await callbacks(store)] == ([URL + told] if told else [])


@pytest.mark.parametrize("url", [URL + "in", "", None])
async def test_what_came_in_is_told_by_its_own_url_only(store: Store, url: str | None) -> None:
    await store.put(a_service(status_callback=URL + "service"))
    message = an_inbound_message(callback_url=url)
    await store.add_inbound([message], [], AT)
    found = [(row.message_sid, row.status, row.url, row.due_at) for row in await callbacks(store)]
    assert found == ([(message.sid, Status.RECEIVED, url, AT)] if url else [])


async def test_an_empty_url_is_nobodys(store: Store) -> None:
    await add(store, a_message(callback_url=""))
    await store.cancel(ACCOUNT, [sid_of(1)], AT)
    assert await callbacks(store) == []


UNCONFIGURED = a_message(callback_url=None, options=Options(application_sid=APPLICATION))


async def test_without_its_service_or_application_nobody_is_told(store: Store) -> None:
    await add(store, UNCONFIGURED)
    await store.cancel(ACCOUNT, [sid_of(1)], AT)
    assert await callbacks(store) == []


CHANGED: dict[str, tuple[Resource, Resource]] = {
    "service": (a_service(status_callback=URL + "old"), a_service(status_callback=URL + "new")),
    "application": (
        an_application(message_status_callback=URL + "old"),
        an_application(message_status_callback=URL + "new"),
    ),
}


@pytest.mark.parametrize(("old", "changed"), CHANGED.values(), ids=CHANGED.keys())
async def test_the_url_is_the_one_at_the_time_of_the_event(store: Store, old: Resource, changed: Resource) -> None:
    await store.put(old)
    await add(store, UNCONFIGURED)
    await store.dispatch([sid_of(1)], assign(), later(1))
    await store.put(changed)
    await store.claim([sid_of(1)], RUN, [], later(2))
    await store.record([Handed(sid_of(1), CONNECTION, "r")], RUN, later(3))
    await store.remove(changed.sid)
    await store.apply_receipts([overtaking(sid_of(1), Event.DELIVER)], later(4))
    assert [(row.status, row.url) for row in await callbacks(store)] == [
        (Status.QUEUED, URL + "old"),
        (Status.SENT, URL + "new"),
    ]


async def test_each_message_of_a_batch_has_its_own_url(store: Store) -> None:
    await store.put(a_service(status_callback=URL + "service"))
    await add(store, a_message(1, callback_url=URL + "own"), a_message(2, callback_url=None))
    await add(store, a_message(3, callback_url=None, service_sid=None))
    await store.cancel(ACCOUNT, [sid_of(n) for n in (1, 2, 3)], AT)
    assert {row.message_sid: row.url for row in await callbacks(store)} == {
        sid_of(1): URL + "own",
        sid_of(2): URL + "service",
    }


# --- due, settled, tried again ---------------------------------------------------------------------------------------


async def settle_all(store: Store) -> None:
    await store.settle_callbacks([Settled(row.due_at, row.id, None) for row in await callbacks(store)])


async def outbox(store: Store, urls: Sequence[str], **changes: object) -> list[Message]:
    """Cancel one message for each URL, one second after the other, and return them."""
    batch = [a_message(n, callback_url=url, **changes) for n, url in enumerate(urls)]
    await add(store, *batch)
    for n, message in enumerate(batch):
        await store.cancel(message.account_sid, [message.sid], later(n))
    return batch


async def due(store: Store, before: Instant, busy: Sequence[str] = (), limit: int = 100) -> list[str]:
    return [row.url for row in await store.due_callbacks(before, busy, limit)]


async def test_calls_come_when_they_are_due_oldest_first(store: Store) -> None:
    await outbox(store, ["a", "b", "c", "d"])
    assert await due(store, later(0)) == []
    assert await due(store, later(2)) == ["a", "b"]
    assert await due(store, FAR) == ["a", "b", "c", "d"]
    assert await due(store, FAR, limit=3) == ["a", "b", "c"]


async def test_calls_to_busy_urls_are_left_out_before_the_limit(store: Store) -> None:
    await outbox(store, ["slow", "slow", "b'\"", "slow", "c"])
    assert await due(store, FAR, busy=["slow"], limit=2) == ["b'\"", "c"]
    assert await due(store, FAR, busy=["slow", "b'\""]) == ["c"]


async def test_a_busy_place_is_the_beginning_of_its_urls_and_no_pattern(store: Store) -> None:
    urls = [
        "https://a.example/1",
        "https://a.example/2?x",
        "https://b.example/https://a.example/",
        "https://A.example/1",
    ]
    await outbox(store, urls)
    assert await due(store, FAR, busy=["https://a.example/"]) == urls[2:]
    assert await due(store, FAR, busy=["https://_.example/", "https://%", "%", "https://a.example/1?", "/"]) == urls
    assert await due(store, FAR, busy=["https://a.example/1", "https://b."]) == [urls[1], urls[3]]


async def test_calls_from_before_an_instant_are_left_out(store: Store) -> None:
    await outbox(store, ["a", "b", "c", "d"])
    found = await store.due_callbacks(later(3), [], 10, since=later(1))
    assert [row.url for row in found] == ["b", "c"]


async def test_a_call_keeps_when_its_first_attempt_began(store: Store) -> None:
    await outbox(store, ["a"])
    (row,) = await callbacks(store)
    await store.settle_callbacks([Settled(row.due_at, row.id, later(100), later(7))])
    await store.settle_callbacks([Settled(later(100), row.id, later(200))])
    assert await callbacks(store) == [
        msgspec.structs.replace(row, due_at=later(200), attempts=2, first_at=later(7)),
    ]


async def test_a_call_that_is_done_is_gone(store: Store) -> None:
    await outbox(store, ["a", "b", "c"])
    rows = await callbacks(store)
    await store.settle_callbacks([Settled(row.due_at, row.id, None) for row in rows[::2]])
    assert await callbacks(store) == [rows[1]]


async def test_a_call_that_is_tried_again_keeps_its_identity(store: Store) -> None:
    await outbox(store, ["a", "b"])
    first, second = await callbacks(store)
    await store.settle_callbacks([Settled(first.due_at, first.id, later(100))])
    moved = msgspec.structs.replace(first, due_at=later(100), attempts=1)
    assert await callbacks(store) == [second, moved]
    assert await due(store, later(100)) == ["b"]
    await store.settle_callbacks([Settled(moved.due_at, moved.id, later(200))])
    assert await callbacks(store) == [second, msgspec.structs.replace(first, due_at=later(200), attempts=2)]
    await store.settle_callbacks([Settled(later(200), first.id, None), Settled(second.due_at, second.id, None)])
    assert await callbacks(store) == []


async def test_calls_of_one_instant_are_settled_each_for_itself(store: Store) -> None:
    await add(store, *(a_message(n) for n in range(4)))
    await store.cancel(ACCOUNT, [sid_of(n) for n in range(4)], AT)
    a, b, c, d = await callbacks(store)
    await store.settle_callbacks([Settled(AT, a.id, None), Settled(AT, b.id, later(100))])
    assert await callbacks(store) == [c, d, msgspec.structs.replace(b, due_at=later(100), attempts=1)]


async def test_calls_done_and_tried_again_are_settled_together(store: Store) -> None:
    await outbox(store, ["a", "b", "c"])
    a, b, c = await callbacks(store)
    await store.settle_callbacks(
        [Settled(a.due_at, a.id, later(50)), Settled(b.due_at, b.id, None), Settled(c.due_at, c.id, later(50))]
    )
    assert [(row.url, row.due_at, row.attempts) for row in await callbacks(store)] == [
        ("a", later(50), 1),
        ("c", later(50), 1),
    ]


@pytest.mark.parametrize("retry_at", [None, later(100)], ids=["done", "again"])
async def test_settling_twice_or_the_unknown_changes_nothing(store: Store, retry_at: Instant | None) -> None:
    await outbox(store, ["a", "b"])
    first, _ = await callbacks(store)
    await store.settle_callbacks([Settled(first.due_at, first.id, retry_at)])
    before = await everything(store)
    await store.settle_callbacks([Settled(first.due_at, first.id, retry_at), Settled(START, "nobody", retry_at)])
    await store.settle_callbacks([])
    assert await everything(store) == before


async def test_calls_outlive_the_message_they_tell_of(store: Store) -> None:
    (message,) = await outbox(store, ["a"])
    assert await store.delete(ACCOUNT, message.sid)
    assert await announced(store) == [(message.sid, Status.CANCELED)]


async def test_calls_name_their_account_and_sender(store: Store) -> None:
    await add(store, a_message(account_sid=OTHER_ACCOUNT))
    await store.dispatch([sid_of(1)], assign(a_sender(3)), AT)
    (row,) = await callbacks(store)
    assert (row.account_sid, row.sender, row.recipient) == (OTHER_ACCOUNT, a_sender(3).address, RECIPIENT)


# --- news ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", STEPS)
async def test_the_rows_are_handed_over_on_the_loop_where_there_is_a_call_to_make(
    store: Store, news: News, status: Status
) -> None:
    before, event = STEPS[status]
    message = await bring(store, a_message(), before)
    news.clear()
    await perform(store, event, message, AT)
    assert news.threads == ({threading.get_ident()} if is_told(status, message.service_sid) else set())
    assert news.rows == [row for row in await callbacks(store) if row.status is status]


async def test_what_is_told_to_nobody_is_no_news(store: Store, news: News) -> None:
    await add(store, UNCONFIGURED, a_message(2))
    await store.cancel(ACCOUNT, [sid_of(1)], AT)
    await store.cancel(OTHER_ACCOUNT, [sid_of(2)], AT)
    await store.dispatch([sid_of(2)], always(Hold(later(99), "quiet hours")), AT)
    await store.put(a_service())
    assert news.rows == []


@pytest.mark.parametrize("kind", STORES)
async def test_news_is_on_disk_when_it_is_said(tmp_path: Path, kind: str) -> None:
    found: list[asyncio.Task[list[CallbackRow]]] = []
    store = STORES[kind](tmp_path, lambda rows: found.append(asyncio.create_task(callbacks(store))))
    await store.open()
    await add(store, a_message())
    await store.cancel(ACCOUNT, [sid_of(1)], AT)
    (rows,) = await asyncio.gather(*found)
    assert [row.status for row in rows] == [Status.CANCELED]
    await store.close()
