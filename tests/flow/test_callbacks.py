"""Customers are told: signed, in the order of a message's life, at least once, and nobody waits for a slow one."""

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from twilio.request_validator import RequestValidator

from postdate.clock import breathe
from postdate.connectors.contract import Receipt
from postdate.core.instant import SECOND
from postdate.core.message import Event, Message, Options, Status
from postdate.core.outcome import Refused
from postdate.core.resources import Application
from postdate.flow import callbacks
from postdate.flow.callbacks import MOST_AT_ONCE, MOST_TO_ONE_SERVER
from postdate.store.contract import StoreError, StoreFull, StoreUnavailable
from tests.flow.building import (
    ACCOUNT,
    SERVICE,
    START,
    TOKEN,
    Customer,
    Flow,
    Serve,
    a_sender,
    a_service,
    after,
    an_account,
    flowing,
    hang_up,
    is_idle,
    recipient,
    twice,
    until,
)
from tests.held_ports import held_port

AWAY = StoreUnavailable("the store cannot be reached")
APPLICATION = "AP" + "1" * 32
LIFE = ["queued", "sent", "delivered"]
SHORTLY = 15_000  # waits in which what is not held up has happened, and no time-out of a call ends


def answering(status: int) -> Serve:
    async def serve(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=status)

    return serve


def in_turn(*serves: Serve) -> Serve:
    """Serve in these ways in turn, then answer 200."""
    left = list(serves)

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        return await (left.pop(0) if left else answering(200))(request)

    return serve


async def a_moment() -> None:
    """Let what can happen without the clock happen, as far as it is not waited for."""
    for _ in range(60):
        await breathe(0.0001)


class Slow:
    """A way to serve that answers only when it is let."""

    def __init__(self) -> None:
        self.let = asyncio.Event()

    async def __call__(self, _: web.BaseRequest) -> web.StreamResponse:
        await self.let.wait()
        return web.Response()


@asynccontextmanager
async def two_customers(slow: Slow) -> AsyncIterator[tuple[Customer, Customer]]:
    """Give a customer whose server is slow, and one whose is not."""
    async with Customer(slow).serving() as one, Customer().serving() as other:
        try:
            yield one, other
        finally:
            slow.let.set()


async def deliver(flow: Flow, message: Message) -> None:
    await flow.carrier.report(Receipt(f"ref-{message.sid}", Event.DELIVER))


def urls(customer: Customer, paths: Sequence[object]) -> list[str]:
    return [f"{customer.url}/{path}" for path in paths]


# --- what is told ----------------------------------------------------------------------------------------------------


async def test_the_life_of_a_message_is_told_in_its_order(flow: Flow, customer: Customer) -> None:
    message = await flow.send(after(60), callback_url=customer.url)
    await flow.advance_to(after(59))
    assert customer.calls == []
    await flow.advance_to(after(61))
    assert customer.statuses(message) == ["queued", "sent"]
    await deliver(flow, message)
    await flow.settle()
    assert customer.statuses(message) == LIFE
    assert await flow.outbox() == []


async def test_what_happens_in_one_instant_is_told_in_its_order(flow: Flow, customer: Customer) -> None:
    messages = await flow.send_many(20, None, callback_url=customer.url)
    for message in messages:
        await until(lambda message=message: message.sid in flow.carrier.sids)  # type: ignore[misc]
        await deliver(flow, message)
    await flow.settle()
    assert {tuple(dict.fromkeys(customer.statuses(message))) for message in messages} == {tuple(LIFE)}


@pytest.mark.parametrize("how", ["refused", "canceled", "expired"])
async def test_an_end_of_every_kind_is_told(flow: Flow, customer: Customer, how: str) -> None:
    flow.carrier.script = lambda submission: Refused(30006)
    message = await flow.send(after(60), callback_url=customer.url, validity=5)
    if how == "canceled":
        await flow.ingest.cancel(flow.account, message.sid)
    if how == "expired":
        await flow.kill()
        await flow.clock.advance_to(after(100), flow.settle)
        await flow.start()
    await flow.advance(101)
    told = {"refused": ["queued", "failed"], "canceled": ["canceled"], "expired": ["failed"]}
    codes = {"refused": "30006", "canceled": None, "expired": "30036"}
    assert customer.statuses(message) == told[how]
    assert customer.calls[-1].form.get("ErrorCode") == codes[how]


async def test_a_call_names_the_message_and_its_parties(flow: Flow, customer: Customer) -> None:
    message = await flow.send(callback_url=f"{customer.url}/status?order=7#rc=2")
    await flow.settle()
    call = customer.calls[-1]
    assert call.path == "/status?order=7"
    assert call.form == {
        "AccountSid": ACCOUNT,
        "MessageSid": message.sid,
        "SmsSid": message.sid,
        "MessageStatus": "sent",
        "SmsStatus": "sent",
        "From": a_sender().address,
        "To": recipient(),
        "ApiVersion": "2010-04-01",
        "MessagingServiceSid": SERVICE,
    }


async def test_every_call_is_signed_with_the_token_of_its_account(flow: Flow, customer: Customer) -> None:
    await flow.send(callback_url=f"{customer.url}/status?a=1#rc=3")
    await flow.settle()
    await flow.directory.put(an_account(sealed_token=flow.directory.seal("another-token")))
    await flow.send(callback_url=f"{customer.url}/status?a=1#rc=3")
    await flow.settle()
    url = f"{customer.url}/status?a=1"
    for token, calls in ((TOKEN, customer.calls[:2]), ("another-token", customer.calls[2:])):
        assert len(calls) == 2
        for call in calls:
            assert RequestValidator(token).validate(url, call.form, call.headers["X-Twilio-Signature"])


async def test_a_repeated_call_carries_the_same_token_and_another_call_another(flow: Flow, customer: Customer) -> None:
    customer.serve = in_turn(answering(503))
    await flow.send(callback_url=f"{customer.url}#rp=5xx&rc=1")
    await flow.settle()
    await flow.advance(5)
    tokens = [call.headers["I-Twilio-Idempotency-Token"] for call in customer.calls]
    told = [status for _, status in customer.told]
    assert sorted(told) == ["queued", "queued", "sent"]
    assert len({(token, status) for token, status in zip(tokens, told, strict=True)}) == 2


@pytest.mark.parametrize(
    ("own", "application", "service", "expected"),
    [
        (True, True, True, "own"),
        (False, True, True, "application"),
        (False, False, True, "service"),
        (False, False, False, None),
    ],
)
async def test_whose_url_is_called(
    tmp_path: Path, customer: Customer, own: bool, application: bool, service: bool, expected: str | None
) -> None:
    application_resource = Application(
        sid=APPLICATION,
        account_sid=ACCOUNT,
        friendly_name="Calls",
        message_status_callback=f"{customer.url}/application",
        created_at=START,
        updated_at=START,
    )
    async with flowing(
        tmp_path, a_service(status_callback=f"{customer.url}/service" if service else None), application_resource
    ) as flow:
        await flow.send(
            callback_url=f"{customer.url}/own" if own else None,
            options=Options(application_sid=APPLICATION if application else None),
        )
        await flow.settle()
        assert {call.path for call in customer.calls} == ({f"/{expected}"} if expected else set())


# --- again and again -------------------------------------------------------------------------------------------------

RETRIES = {
    "a 200 is final": ("", [answering(200)], 1),
    "a 204 is final": ("#rp=all&rc=5", [answering(204)], 1),
    "no connection, once by default": ("", [hang_up] * 9, 2),
    "no connection, not wanted": ("#rc=0", [hang_up] * 9, 1),
    "no connection, thrice": ("#rc=3", [hang_up] * 9, 4),
    "no connection, then one": ("#rc=3", [hang_up] * 2, 3),
    "500, not by default": ("", [answering(500)] * 9, 1),
    "500, wanted": ("#rp=5xx&rc=2", [answering(500)] * 9, 3),
    "500, other wanted": ("#rp=4xx&rc=2", [answering(500)] * 9, 1),
    "404, wanted": ("#rp=4xx&rc=2", [answering(404)] * 9, 3),
    "404 then 503, all wanted": ("#rp=all&rc=5", [answering(404), answering(503), hang_up], 4),
    "a redirect is final": ("#rp=all&rc=5", [answering(302)] * 9, 1),
}


@pytest.mark.parametrize(("fragment", "serves", "calls"), RETRIES.values(), ids=RETRIES.keys())
async def test_it_is_tried_again_as_the_url_says(
    flow: Flow, customer: Customer, fragment: str, serves: list[Serve], calls: int
) -> None:
    message = await flow.send(after(60))
    await flow.ingest.cancel(flow.account, message.sid)
    customer.serve = in_turn(*serves)
    other = await flow.send(after(60), callback_url=f"{customer.url}{fragment}")
    await flow.ingest.cancel(flow.account, other.sid)
    await flow.advance(30)
    assert customer.told == [(other.sid, "canceled")] * calls
    assert await flow.outbox() == []


async def test_between_attempts_it_waits_longer_and_longer(flow: Flow, customer: Customer) -> None:
    customer.serve = hang_up
    times: list[int] = []

    async def note(request: web.BaseRequest) -> web.StreamResponse:
        times.append(flow.clock.now())
        return await hang_up(request)

    customer.serve = note
    message = await flow.send(after(60), callback_url=f"{customer.url}#rc=4")
    await flow.ingest.cancel(flow.account, message.sid)
    await flow.advance(30)
    waits = [(b - a) / SECOND for a, b in itertools.pairwise(times)]
    for wait, most in zip(waits, [0.25, 0.5, 1.0, 2.0], strict=True):
        assert most / 2 <= wait <= most


async def test_a_forbidden_address_is_given_up_at_once(flow: Flow) -> None:
    await flow.send(callback_url="http://192.168.0.1/status#rc=5&rp=all")
    await flow.settle()
    assert await flow.outbox() == []
    assert flow.callbacks.given_up == 2


async def test_it_counts_what_was_delivered_and_what_was_given_up(flow: Flow, customer: Customer) -> None:
    customer.serve = in_turn(answering(500))
    await flow.send(callback_url=customer.url)
    await flow.settle()
    assert (flow.callbacks.delivered, flow.callbacks.given_up) == (1, 1)


async def test_a_status_that_is_told_again_is_told_before_the_next_one(flow: Flow, customer: Customer) -> None:
    customer.serve = in_turn(hang_up)
    message = await flow.send(callback_url=customer.url)
    await flow.settle()
    await flow.advance(10)
    assert customer.statuses(message) == ["queued", "queued", "sent"]


async def test_a_call_that_comes_late_is_tried_again_all_the_same(flow: Flow, customer: Customer) -> None:
    message = await flow.send(after(60), callback_url=f"{customer.url}#rc=2")
    hold = flow.store.hold("due_callbacks", "before")
    flow.callbacks.wake()
    await hold.reached.wait()
    canceled = await flow.ingest.cancel(flow.account, message.sid)
    assert canceled.status is Status.CANCELED
    await flow.kill()
    await flow.clock.advance_to(after(3600), flow.settle)
    customer.serve = in_turn(hang_up, hang_up)
    await flow.start()
    await flow.settle()
    await flow.advance(30)
    assert customer.told == [(message.sid, "canceled")] * 3


# --- nobody waits for another ----------------------------------------------------------------------------------------


async def test_of_one_message_only_one_call_is_under_way(flow: Flow, customer: Customer) -> None:
    slow = Slow()
    customer.serve = slow
    message = await flow.send(callback_url=customer.url)
    await until(lambda: message.sid in flow.carrier.sids and len(customer.calls) == 1)
    await deliver(flow, message)
    await a_moment()
    assert customer.statuses(message) == ["queued"]
    slow.let.set()
    await flow.settle()
    assert customer.statuses(message) == LIFE


async def test_a_slow_server_holds_up_nobody_else(flow: Flow) -> None:
    slow = Slow()
    async with two_customers(slow) as (one, other):
        for number in range(MOST_TO_ONE_SERVER * 2):
            await flow.send(recipient=recipient(number), callback_url=one.url)
        await until(lambda: len(one.calls) == MOST_TO_ONE_SERVER)
        message = await flow.send(recipient=recipient(9_000), callback_url=other.url)
        await until(lambda: other.statuses(message) == ["queued", "sent"], SHORTLY)
        assert len(one.calls) == MOST_TO_ONE_SERVER
        slow.let.set()
        await flow.settle()
        assert len(one.calls) == MOST_TO_ONE_SERVER * 4
        assert twice(one.told) == []


async def test_a_slow_server_with_a_url_for_each_message_holds_up_nobody_else(flow: Flow) -> None:
    slow = Slow()
    async with two_customers(slow) as (one, other):
        for number in range(MOST_AT_ONCE + 40):
            await flow.send(recipient=recipient(number), callback_url=f"{one.url}/?id={number}")
        await until(lambda: len(one.calls) >= MOST_TO_ONE_SERVER)
        message = await flow.send(recipient=recipient(9_000), callback_url=other.url)
        await until(lambda: other.statuses(message) == ["queued", "sent"], SHORTLY)


def two_ports(stack: contextlib.ExitStack) -> tuple[int, int]:
    """Hold two free ports, of which one is written as the beginning of the other."""
    for short in range(2_100, 6_500):
        with contextlib.suppress(OSError):
            return stack.enter_context(held_port(short)), stack.enter_context(held_port(short * 10 + 1))
    raise AssertionError("no such ports are free")


async def test_a_slow_server_holds_up_no_server_whose_url_begins_as_its_own_does(flow: Flow) -> None:
    slow, stack = Slow(), contextlib.ExitStack()
    with stack:
        short, long = two_ports(stack)
        await with_a_slow_one(flow, slow, short, long)


async def with_a_slow_one(flow: Flow, slow: Slow, short: int, long: int) -> None:
    async with Customer(slow).serving(short) as one, Customer().serving(long) as other:
        for number in range(MOST_TO_ONE_SERVER + 5):
            await flow.send(recipient=recipient(number), callback_url=one.url)
        await until(lambda: len(one.calls) == MOST_TO_ONE_SERVER)
        message = await flow.send(recipient=recipient(9_000), callback_url=other.url)
        try:
            await until(lambda: other.statuses(message) == ["queued", "sent"], SHORTLY)
        finally:
            slow.let.set()


async def test_a_slow_server_holds_up_no_ones_second_attempt(flow: Flow) -> None:
    slow = Slow()
    async with two_customers(slow) as (one, other):
        other.serve = in_turn(hang_up)
        for number in range(3):
            await flow.send(recipient=recipient(number), callback_url=one.url)
        await until(lambda: len(one.calls) == 3 and len(flow.carrier.sids) == 3)
        message = await flow.send(after(60), callback_url=other.url)
        await flow.ingest.cancel(flow.account, message.sid)
        await until(lambda: "settle_callbacks" in flow.store.calls)
        await a_moment()
        await flow.clock.advance_to(after(10), a_moment)  # the flow is not at rest while the slow one is called
        await until(lambda: len(other.calls) == 2, SHORTLY)


async def test_no_more_calls_are_under_way_than_may_be_and_all_are_made(flow: Flow, customer: Customer) -> None:
    slow = Slow()
    customer.serve = slow
    count = MOST_TO_ONE_SERVER + 50
    for number in range(count):
        await flow.send(recipient=recipient(number), callback_url=f"{customer.url}/{number % 8}")
    await until(lambda: len(customer.calls) >= MOST_TO_ONE_SERVER)
    await a_moment()
    assert len(customer.calls) == MOST_TO_ONE_SERVER
    slow.let.set()
    await flow.settle()
    assert len(customer.calls) == 2 * count
    assert twice(customer.told) == []


async def test_a_thousand_messages_are_told_of_each_status_in_order(flow: Flow, customer: Customer) -> None:
    messages = await flow.send_many(1_000, after(60), callback_url=customer.url)
    await flow.advance_to(after(61))
    told: dict[str, list[str]] = {message.sid: [] for message in messages}
    for sid, status in dict.fromkeys(customer.told):
        told[sid].append(status)
    assert Counter(map(tuple, told.values())) == {("queued", "sent"): 1_000}
    assert await flow.outbox() == []


def servers(customer: Customer, count: int) -> list[str]:
    """Return URLs that are one customer's, and of as many servers to whoever shares out places."""
    return [customer.url.replace("//", f"//server{number}@") for number in range(count)]


async def test_many_slow_servers_hold_up_nobody_else(flow: Flow) -> None:
    slow = Slow()
    async with two_customers(slow) as (one, other):
        for url in servers(one, 2 * MOST_AT_ONCE // MOST_TO_ONE_SERVER):
            for number in range(MOST_TO_ONE_SERVER):
                await flow.send(recipient=recipient(number), callback_url=url)
        await until(lambda: 2 * len(one.calls) > MOST_AT_ONCE)
        message = await flow.send(recipient=recipient(9_000), callback_url=other.url)
        await until(lambda: other.statuses(message) == ["queued", "sent"], SHORTLY)
        assert flow.callbacks.given_up == 0
        slow.let.set()
        await flow.settle()
        assert twice(one.told) == []
        assert await flow.outbox() == []


async def test_a_server_that_was_quick_has_more_places_than_one_that_is_not_known(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("MOST_AT_ONCE", 8), ("MOST_TO_ONE_SERVER", 6), ("MOST_TO_A_SLOW_ONE", 1)):
        monkeypatch.setattr(callbacks, name, value)
    slow = Slow()
    async with two_customers(slow) as (one, other):
        await flow.send_many(6, None, callback_url=one.url)
        await until(lambda: len(one.calls) == 4)
        first, alone = Slow(), {"service_sid": None, "sender": a_sender().address}  # then only `sent` is told
        other.serve = in_turn(first, slow, slow, slow)
        await flow.send_many(4, None, callback_url=other.url, **alone)
        await until(lambda: len(other.calls) == 1)
        await a_moment()
        assert len(other.calls) == 1
        first.let.set()
        await until(lambda: len(other.calls) == 4, SHORTLY)
        assert flow.callbacks.given_up == 0
        slow.let.set()
        await flow.settle()
        assert await flow.outbox() == []


async def test_servers_without_a_call_left_take_no_place(
    flow: Flow, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "MOST_AT_ONCE", 4)
    monkeypatch.setattr(callbacks, "MOST_TO_ONE_SERVER", 2)
    slow = Slow()
    customer.serve = slow
    for number, url in enumerate(servers(customer, 12)):  # more at once than there are places
        await flow.send(recipient=recipient(number), callback_url=url)
    await until(lambda: len(customer.calls) == 4)
    slow.let.set()
    await flow.settle()
    customer.calls.clear()
    messages = await flow.send_many(20, None, callback_url=customer.url)
    await flow.settle()
    assert in_order(customer, messages, ["queued", "sent"])
    assert await flow.outbox() == []


async def test_what_is_handed_over_again_is_told_once(flow: Flow, customer: Customer) -> None:
    # A read can find rows between their commit and its word.
    slow = Slow()
    customer.serve = slow
    messages = await flow.send_many(3, None, callback_url=customer.url)
    await until(lambda: len(customer.calls) == 3)
    await a_moment()
    flow.callbacks.take(await flow.outbox())
    slow.let.set()
    await flow.settle()
    assert in_order(customer, messages, ["queued", "sent"])


@pytest.mark.parametrize("killed", [True, False])
async def test_what_waits_for_its_next_attempt_comes_first_after_a_restart(
    flow: Flow, customer: Customer, killed: bool
) -> None:
    customer.serve = in_turn(*[answering(503)] * 3)
    message = await flow.send(None, callback_url=f"{customer.url}#rc=5&rp=all")
    await flow.settle()
    await flow.advance(0.8)
    await deliver(flow, message)
    await flow.settle()
    await flow.restart(kill=killed)
    await flow.settle()
    await flow.advance(30)
    assert list(dict.fromkeys(customer.statuses(message))) == LIFE


# --- memory ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ten calls to one server be in memory, thirty in all, and four more be read at once."""
    for name, value in (("MOST_KEPT_OF_ONE_SERVER", 10), ("MOST_KEPT", 30), ("MOST_READ", 4)):
        monkeypatch.setattr(callbacks, name, value)


def in_order(customer: Customer, messages: Sequence[Message], life: Sequence[str]) -> bool:
    told: dict[str, list[str]] = {message.sid: [] for message in messages}
    for sid, status in customer.told:
        told[sid].append(status)
    return all(statuses == list(life) for statuses in told.values())


async def test_what_a_commit_hands_over_is_not_read_again(flow: Flow, customer: Customer) -> None:
    await flow.settle()
    before = Counter(flow.store.calls)["due_callbacks"]
    messages = await flow.send_many(50, None, callback_url=customer.url)
    await flow.settle()
    assert in_order(customer, messages, ["queued", "sent"])
    assert Counter(flow.store.calls)["due_callbacks"] == before


@pytest.mark.usefixtures("little_room")
async def test_what_finds_no_room_is_read_later_and_told_once_and_in_order(flow: Flow, customer: Customer) -> None:
    slow = Slow()
    customer.serve = slow
    messages = await flow.send_many(100, None, callback_url=customer.url)
    await until(lambda: len(flow.carrier.sids) == 100)
    await a_moment()
    assert flow.callbacks.kept == 10
    assert len(customer.calls) <= 10
    slow.let.set()
    await flow.settle()
    assert in_order(customer, messages, ["queued", "sent"])
    assert flow.callbacks.kept == 0
    assert Counter(flow.store.calls)["due_callbacks"] < 200, "it reads when there is room, not all the time"
    assert await flow.outbox() == []


@pytest.mark.usefixtures("little_room")
async def test_a_server_without_room_holds_up_nobody_whose_calls_are_on_disk(flow: Flow) -> None:
    slow, ends = Slow(), ("", "/", "/status", "?a=b", "#rc=1")
    async with two_customers(slow) as (one, other):
        for number in range(40):
            await flow.send(recipient=recipient(number), callback_url=f"{one.url}{ends[number % len(ends)]}")
        await until(lambda: len(flow.carrier.sids) == 40)
        called = len(one.calls)
        flow.callbacks.wake()  # what comes now is read from the disk
        messages = [await flow.send(recipient=recipient(9_000 + n), callback_url=other.url) for n in range(20)]
        await until(lambda: len(other.calls) == 40, SHORTLY)
        assert in_order(other, messages, ["queued", "sent"])
        assert len(one.calls) == called <= 10
        slow.let.set()
        await flow.settle()
        assert len(one.calls) == 80
        assert twice(one.told) == []


@pytest.mark.usefixtures("little_room")
async def test_servers_without_room_hold_up_nobody_else(flow: Flow) -> None:
    slow = Slow()
    async with two_customers(slow) as (one, other):
        for number in range(36):
            await flow.send(recipient=recipient(number), callback_url=servers(one, 2)[number % 2])
        await until(lambda: len(flow.carrier.sids) == 36)
        await a_moment()
        messages = [await flow.send(recipient=recipient(9_000 + n), callback_url=other.url) for n in range(9)]
        await until(lambda: len(other.calls) == 18, SHORTLY)
        assert in_order(other, messages, ["queued", "sent"])
        slow.let.set()
        await flow.settle()
        assert len(one.calls) == 72
        assert twice(one.told) == []


@pytest.mark.usefixtures("little_room")
async def test_an_outbox_larger_than_the_memory_is_told_after_a_restart(flow: Flow, customer: Customer) -> None:
    slow = Slow()
    customer.serve = slow
    messages = await flow.send_many(60, None, callback_url=f"{customer.url}#rc=2")
    await until(lambda: flow.carrier.sids != [] and len(flow.carrier.sids) == 60)
    await a_moment()
    await flow.kill()
    slow.let.set()
    customer.calls.clear()
    customer.serve = in_turn(hang_up, hang_up, hang_up)
    await flow.start()
    await flow.settle()
    await flow.advance(30)
    assert {tuple(dict.fromkeys(customer.statuses(message)))[:1] for message in messages} == {("queued",)}
    assert len(set(customer.told)) >= 60
    assert len(customer.told) == len(set(customer.told)) + 3
    assert await flow.outbox() == []


# --- disk first ------------------------------------------------------------------------------------------------------


async def test_nothing_is_told_that_is_not_on_disk(flow: Flow, customer: Customer) -> None:
    hold = flow.store.hold("record", "before")
    message = await flow.send(callback_url=customer.url)
    await hold.reached.wait()
    await until(lambda: customer.statuses(message) == ["queued"])
    await a_moment()
    assert customer.statuses(message) == ["queued"]
    hold.opened.set()
    await flow.settle()
    assert customer.statuses(message) == ["queued", "sent"]


async def test_a_change_that_failed_is_not_told(flow: Flow, customer: Customer) -> None:
    message = await flow.send(after(60), callback_url=customer.url)
    flow.store.fail("cancel", AWAY)
    with pytest.raises(StoreUnavailable):
        await flow.ingest.cancel(flow.account, message.sid)
    await flow.advance(1)
    assert customer.calls == []


async def test_what_is_settled_is_not_told_again(flow: Flow, customer: Customer) -> None:
    message = await flow.send(callback_url=customer.url)
    await flow.settle()
    for _ in range(5):
        flow.callbacks.wake()
        await flow.advance(100)
    await flow.restart()
    await flow.advance(100)
    assert customer.statuses(message) == ["queued", "sent"]


async def test_what_is_settled_while_the_outbox_is_read_is_not_told_again(flow: Flow, customer: Customer) -> None:
    slow = Slow()
    customer.serve = slow
    message = await flow.send(after(60), callback_url=customer.url)
    await flow.ingest.cancel(flow.account, message.sid)
    await until(lambda: len(customer.calls) == 1)
    await a_moment()
    hold = flow.store.hold("due_callbacks", "after")
    flow.callbacks.wake()
    await hold.reached.wait()
    slow.let.set()
    await until(lambda: "settle_callbacks" in flow.store.calls)
    await a_moment()
    hold.opened.set()
    await flow.settle()
    assert customer.told == [(message.sid, "canceled")]


@pytest.mark.parametrize("error", [AWAY, StoreFull("no room")], ids=["unavailable", "full"])
async def test_an_outbox_that_cannot_be_read_is_read_later(flow: Flow, customer: Customer, error: StoreError) -> None:
    flow.store.fail("due_callbacks", error, error)
    message = await flow.send(callback_url=customer.url)
    await flow.settle()
    await flow.advance(3)
    assert customer.statuses(message) == ["queued", "sent"]


async def test_a_call_that_cannot_be_settled_is_not_made_again_meanwhile(flow: Flow, customer: Customer) -> None:
    flow.store.fail("settle_callbacks", AWAY, AWAY)
    message = await flow.send(after(60), callback_url=customer.url)
    await flow.ingest.cancel(flow.account, message.sid)
    await until(lambda: len(customer.calls) == 1)
    await until(lambda: is_idle(flow.callbacks), SHORTLY)
    await flow.advance(5)
    assert customer.told == [(message.sid, "canceled")]
    assert await flow.outbox() == []


# --- the end of a run ------------------------------------------------------------------------------------------------

CUTS = ["before the call", "during the call", "before it is settled", "after it is settled"]


@pytest.mark.parametrize("cut", CUTS)
async def test_a_crash_loses_no_call(flow: Flow, customer: Customer, cut: str) -> None:
    slow = Slow()
    customer.serve = slow
    place = {"before the call": ("due_callbacks", "after"), "before it is settled": ("settle_callbacks", "before")}
    name, where = place.get(cut, ("settle_callbacks", "after"))
    hold = flow.store.hold(name, where)
    message = await flow.send(after(60), callback_url=customer.url)
    if cut == "before the call":
        flow.callbacks.wake()
        await hold.reached.wait()  # what is written while the outbox is read is not begun before that ends
    await flow.ingest.cancel(flow.account, message.sid)
    if cut == "during the call":
        await until(lambda: len(customer.calls) == 1)
    else:
        slow.let.set()
        await hold.reached.wait()
    before = len(customer.calls)
    await flow.kill()
    slow.let.set()
    await flow.start()
    await flow.settle()
    await flow.advance(1)
    again = 0 if cut == "after it is settled" else 1
    assert len(customer.calls) == before + again
    assert set(customer.told) == {(message.sid, "canceled")}
    assert await flow.outbox() == []


async def test_after_a_crash_at_any_step_each_status_is_told_at_least_once(tmp_path: Path, customer: Customer) -> None:
    places = 0
    while True:
        customer.calls.clear()
        folder = tmp_path / str(places)
        places += 1
        passed = 0
        async with flowing(folder) as flow:
            message = await flow.send(after(1), callback_url=customer.url)

            async def step(_: str, flow: Flow = flow, at: int = places) -> None:
                nonlocal passed
                passed += 1
                if passed == at:
                    flow.power.cut()

            flow.store.before = flow.store.after = step
            advancing = asyncio.create_task(flow.advance(2))
            ended = asyncio.create_task(flow.power.went_off.wait())
            await asyncio.wait([advancing, ended], return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
            if not flow.power.off:
                break
            advancing.cancel()
            await asyncio.wait([advancing, ended])
            await flow.restart()
            await flow.advance(5)
            if (await flow.read(message)).doubt_at is None:
                assert set(customer.statuses(message)) == {"queued", "sent"}
                assert customer.statuses(message)[0] == "queued"
            assert await flow.outbox() == []
    assert places > 10


async def test_stopping_lets_calls_under_way_end_and_begins_no_others(flow: Flow, customer: Customer) -> None:
    slow = Slow()
    customer.serve = slow
    for number in range(MOST_TO_ONE_SERVER + 5):
        message = await flow.send(after(60), recipient=recipient(number), callback_url=customer.url)
        await flow.ingest.cancel(flow.account, message.sid)
    await until(lambda: len(customer.calls) == MOST_TO_ONE_SERVER)
    stopping = asyncio.create_task(flow.stop())
    await a_moment()
    assert not stopping.done()
    slow.let.set()
    await asyncio.wait_for(stopping, 60)
    assert len(customer.calls) == MOST_TO_ONE_SERVER
    await flow.start()
    await flow.settle()
    assert len(customer.calls) == MOST_TO_ONE_SERVER + 5
    assert twice(customer.told) == []
