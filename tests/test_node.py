"""A node starts whole or not at all, stops without losing anything, and carries every message through any trouble."""

import asyncio
import sqlite3
import stat
import threading
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from postdate.api.server import CannotListen
from postdate.clock import Clock, SystemClock, TestClock, breathe
from postdate.connectors.contract import Receipt
from postdate.core.commands import SendMessage
from postdate.core.instant import HOUR, MINUTE, SECOND, Instant
from postdate.core.message import Event, Message, Status
from postdate.core.outcome import Accepted, Busy, InDoubt
from postdate.core.resources import Account
from postdate.flow.open_connection import OpenConnection
from postdate.node import Node
from postdate.settings import InvalidSettings, Settings, load
from postdate.store.contract import MessageQuery, StoreFull, StoreUnavailable
from tests.flow.building import (
    SERVICE,
    START,
    Customer,
    Flow,
    Keeps,
    Power,
    RecordingCarrier,
    Serve,
    a_sender,
    a_service,
    after,
    check_never_early,
    flowing,
    flowing_anew,
    hang_up,
    is_settled,
    recipient,
    twice,
    until,
)

TOKEN = "a-token-of-more-than-16"
ACCOUNT = "AC" + "a" * 32
AWAY = StoreUnavailable("the store cannot be reached")
FULL = StoreFull("no room on the disk")
FAR = Instant(2**62)


def read_settings(folder: Path, **given: object) -> Settings:
    """Return the settings of a node that is stepped by hand."""
    usual: dict[str, object] = {
        "data": folder,
        "port": 0,
        "test_clock": True,
        "schedule_window": "0s..",
        "account_sid": ACCOUNT,
        "auth_token": TOKEN,
        "allow_networks": "127.0.0.0/8",
        "min_free_bytes": 0,
    }
    return load(None, **(usual | given))


def still() -> TestClock:
    return TestClock(START, frozen=True)


def a_node(folder: Path, clock: Clock | None = None, **given: object) -> Node:
    return Node(read_settings(folder, **given), clock or still())


class NodeWith(Node):
    """A node whose connection `sandbox` is a carrier of the test."""

    async def __aenter__(self) -> "NodeWith":
        await super().__aenter__()
        return self

    def __init__(self, settings: Settings, clock: Clock) -> None:
        super().__init__(settings, clock)
        self.carrier = RecordingCarrier(self.clock, Power())

    async def _open_connections(self) -> None:
        await super()._open_connections()
        await self._open(OpenConnection("sandbox", self.carrier))


async def set_up(node: Node, mps: float = 0.0) -> Account:
    """Add a messaging service with one sender; return the account."""
    account, _ = node.first_account()
    await node.directory.put(a_service(account_sid=account.sid))
    await node.directory.put(a_sender(1, account_sid=account.sid, mps=mps))
    return account


async def send(node: Node, account: Account, wait: int | None = None, **changes: object) -> Message:
    """Accept a message that is due in so many microseconds, or at once."""
    command = SendMessage(recipient=recipient(), body="Hello", service_sid=SERVICE)
    send_at = None if wait is None else Instant(node.clock.now() + wait)
    given = {name: getattr(command, name) for name in ("recipient", "body", "service_sid")} | {"send_at": send_at}
    return await node.ingest.accept(account, msgspec.convert(given | changes, SendMessage, from_attributes=True))


async def advance(node: Node, micros: int) -> None:
    await node.advance_to(Instant(node.clock.now() + micros))


async def everything(node: Node) -> list[Message]:
    return await node.store.messages(MessageQuery(account_sid=node.first_account()[0].sid, limit=100_000))


def threads() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("postdate"))


# --- starting --------------------------------------------------------------------------------------------------------


async def test_the_first_start_makes_an_account_and_the_next_one_finds_it(tmp_path: Path) -> None:
    async with a_node(tmp_path, account_sid=None, auth_token=None) as node:
        account, token = node.first_account()
    assert len(token) >= 32
    async with a_node(tmp_path, account_sid=None, auth_token=None) as node:
        assert node.first_account() == (account, token)
        assert node.directory.sign_in(account.sid, token) == account


async def test_the_account_of_the_settings_is_made_and_a_new_token_taken_on(tmp_path: Path) -> None:
    async with a_node(tmp_path) as node:
        assert node.first_account()[0].sid == ACCOUNT
        assert node.first_account()[1] == TOKEN
    async with a_node(tmp_path, auth_token="another-token-of-enough-length") as node:
        assert node.directory.sign_in(ACCOUNT, TOKEN) is None
        assert node.directory.sign_in(ACCOUNT, "another-token-of-enough-length") is not None
    async with a_node(tmp_path, auth_token=None, account_sid=None) as node:
        assert node.first_account()[1] == "another-token-of-enough-length"
        assert len(node.directory.every(Account)) == 1


async def test_what_is_secret_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with a_node(folder):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "secret.key").stat().st_mode) == 0o600


async def test_with_another_key_it_does_not_start_and_with_the_right_one_it_does(tmp_path: Path) -> None:
    async with a_node(tmp_path, secret_key="the right one"):
        pass
    with pytest.raises(StoreUnavailable, match="POSTDATE_SECRET_KEY"):
        await a_node(tmp_path, secret_key="another one").__aenter__()
    assert threads() == []
    async with a_node(tmp_path, secret_key="the right one") as node:
        assert node.first_account()[1] == TOKEN


async def test_a_key_file_that_is_no_key_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_bytes(b"")
    with pytest.raises(StoreUnavailable, match=r"secret\.key"):
        await a_node(tmp_path).__aenter__()


async def test_one_folder_has_one_node(tmp_path: Path) -> None:
    async with a_node(tmp_path) as node:
        with pytest.raises(StoreUnavailable, match="another process"):
            await a_node(tmp_path).__aenter__()
        account = await set_up(node)
        await send(node, account, HOUR)  # the first goes on as if nothing had been
    async with a_node(tmp_path) as node:
        assert len(await everything(node)) == 1


def no_sqlite(folder: Path) -> None:
    (folder / "postdate.db").write_bytes(b"this is no database, and long enough to be seen as none" * 40)


def newer(folder: Path) -> None:
    with sqlite3.connect(folder / "postdate.db") as db:
        db.execute("PRAGMA user_version = 9999")


@pytest.mark.parametrize("spoil", [no_sqlite, newer])
async def test_a_store_that_cannot_be_read_says_why_and_leaves_nothing_running(tmp_path: Path, spoil: object) -> None:
    assert callable(spoil)
    spoil(tmp_path)
    tasks = len(asyncio.all_tasks())
    for _ in range(2):  # the second time it would find what the first has left behind
        with pytest.raises(StoreUnavailable, match=r"postdate\.db") as refusal:
            await a_node(tmp_path).__aenter__()
        assert "another process" not in str(refusal.value)
    assert threads() == []
    assert len(asyncio.all_tasks()) == tasks


async def test_what_fails_late_in_the_start_undoes_all_of_it(tmp_path: Path) -> None:
    (tmp_path / "rules.json").write_text("no rules")
    tasks = len(asyncio.all_tasks())
    with pytest.raises(InvalidSettings):
        await a_node(tmp_path, sandbox_script=tmp_path / "rules.json").__aenter__()
    assert threads() == []
    assert len(asyncio.all_tasks()) == tasks
    async with a_node(tmp_path):
        pass


@pytest.mark.parametrize("text", [None, "no rules", "[]"], ids=["missing", "no JSON", "no script"])
async def test_a_script_that_cannot_be_used_is_named(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "rules.json").write_text(text)
    with pytest.raises(Exception, match=r"sandbox_script|SANDBOX_SCRIPT") as refusal:
        await a_node(tmp_path, sandbox_script=tmp_path / "rules.json").__aenter__()
    assert not isinstance(refusal.value, OSError | msgspec.DecodeError)


async def test_a_port_that_is_taken_is_an_error_that_says_what_to_do_and_the_node_ends_well(tmp_path: Path) -> None:
    async with a_node(tmp_path / "first") as first:
        port = await first.listen()
        second = a_node(tmp_path / "second", port=port)
        async with second:
            account = await set_up(second)
            await send(second, account, HOUR)
            with pytest.raises(CannotListen, match="choose another --port"):
                await second.listen()
    assert threads() == []
    async with a_node(tmp_path / "second") as second:
        assert len(await everything(second)) == 1


async def test_starting_and_stopping_leaves_nothing_behind(tmp_path: Path) -> None:
    tasks = len(asyncio.all_tasks())
    for _ in range(5):
        async with a_node(tmp_path) as node:
            await node.listen()
            assert threads() != []
        assert threads() == []
        assert len(asyncio.all_tasks()) == tasks


async def test_it_listens_where_it_says_and_answers(tmp_path: Path) -> None:
    async with a_node(tmp_path) as node:
        port = await node.listen()
        assert node.port == port != 0
        url = f"http://127.0.0.1:{port}/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
        headers = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT, TOKEN)}
        async with aiohttp.ClientSession(headers=headers) as session, session.get(url) as answer:
            assert (answer.status, (await answer.json())["messages"]) == (200, [])


# --- from end to end -------------------------------------------------------------------------------------------------


async def test_a_message_goes_its_way_from_the_schedule_to_the_handset(tmp_path: Path) -> None:
    async with Customer().serving() as customer, a_node(tmp_path) as node:
        account = await set_up(node)
        message = await send(node, account, 3 * HOUR, callback_url=customer.url)
        canceled = await send(node, account, 3 * HOUR, callback_url=customer.url)
        await node.ingest.cancel(account, canceled.sid)
        await advance(node, 3 * HOUR - 1)
        assert list(node.sandbox.inbox(recipient())) == []
        await advance(node, MINUTE)
        (received,) = node.sandbox.inbox(recipient())
        assert (received.sid, received.body, received.at) == (message.sid, "Hello", message.due_at)
        assert customer.statuses(message) == ["queued", "sent", "delivered"]
        assert customer.statuses(canceled) == ["canceled"]


async def test_as_soon_as_the_clock_is_there_what_is_due_has_happened(tmp_path: Path) -> None:
    async with a_node(tmp_path) as node:
        account = await set_up(node)
        for number in range(50):
            await send(node, account, HOUR, recipient=recipient(number))
        await advance(node, HOUR)
        assert {message.status for message in await everything(node)} == {Status.SENT}
        assert node.quiet


async def test_what_was_pending_goes_after_a_restart(tmp_path: Path) -> None:
    clock = still()
    async with a_node(tmp_path, clock) as node:
        account = await set_up(node)
        messages = [await send(node, account, wait, recipient=recipient(wait)) for wait in (MINUTE, HOUR, 2 * HOUR)]
    await clock.advance_to(Instant(clock.now() + 90 * MINUTE), breathe)
    async with a_node(tmp_path, clock) as node:
        await node.settle()
        await advance(node, HOUR)
        assert {message.status for message in await everything(node)} <= {Status.SENT, Status.DELIVERED}
        assert node.sandbox.received_total == len(messages)


async def test_a_node_on_the_machines_clock_sends_at_once_and_cannot_be_moved(tmp_path: Path) -> None:
    async with a_node(tmp_path, SystemClock()) as node:
        account = await set_up(node)
        message = await send(node, account)
        await until(lambda: node.sandbox.received_total == 1)
        later = await send(node, account, SECOND // 5)
        await until(lambda: node.sandbox.received_total == 2)
        times = {received.sid: received.at for received in node.sandbox.inbox(recipient())}
        assert times[message.sid] >= message.due_at
        assert times[later.sid] >= later.due_at
        with pytest.raises(ValueError, match="--test-clock"):
            await advance(node, HOUR)


async def test_a_carrier_of_the_tests_takes_the_place_of_the_sandbox(tmp_path: Path) -> None:
    async with a_node(tmp_path) as node:
        account = await set_up(node)
        carrier = RecordingCarrier(node.clock, Power())
        node.lanes.connections["sandbox"] = OpenConnection("sandbox", carrier)
        message = await send(node, account, HOUR)
        await advance(node, HOUR)
        assert carrier.sids == [message.sid]


# --- stopping --------------------------------------------------------------------------------------------------------


async def test_a_stop_in_the_middle_of_everything_loses_and_doubles_nothing(tmp_path: Path) -> None:
    clock = SystemClock()
    slow = asyncio.Event()

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        await slow.wait()
        return web.Response(body=b"\x89PNG\r\n\x1a\n", content_type="image/png")

    async with Customer(serve).serving() as customer:
        node = NodeWith(read_settings(tmp_path, test_clock=False), clock)
        async with node:
            account = await set_up(node, mps=50.0)
            answers = {1: Busy(60 * SECOND), 2: InDoubt("no answer")}
            in_flight = recipient(3)
            node.carrier.script = lambda s: Keeps() if s.recipient == in_flight else Accepted(f"ref-{s.sid}")
            scheduled = await send(node, account, HOUR)
            fetching = await send(node, account, recipient=recipient(4), media_urls=(f"{customer.url}/picture",))
            doubted = await send(node, account, recipient=recipient(2))
            await until(lambda: doubted.sid in node.carrier.sids)
            kept = await send(node, account, recipient=in_flight, callback_url=customer.url)
            await until(lambda: node.carrier.kept == [kept.sid])
            for number in range(100, 160):
                await send(node, account, recipient=recipient(number))
            stopping = asyncio.create_task(node.__aexit__(None, None, None))
            await breathe(0.05)
            assert not stopping.done()
            node.carrier.tell(kept.sid, Accepted("late"))
            slow.set()
            await asyncio.wait_for(stopping, 60)
            assert len(answers) == 2
        first = list(node.carrier.sids)
        async with NodeWith(read_settings(tmp_path, test_clock=False), clock) as again:
            again.carrier.script = node.carrier.script
            await until(lambda: len(again.carrier.sids) + len(first) >= 63)
            while sum(map(is_settled, await everything(again))) < 63:
                await breathe(0.01)
            found = {message.sid: message for message in await everything(again)}
        assert twice([*first, *again.carrier.sids]) == []
        assert found[scheduled.sid].status is Status.SCHEDULED
        assert found[kept.sid].status is Status.SENT
        assert found[fetching.sid].status is Status.SENT
        assert len(found) == 64
        assert len([message for message in found.values() if is_settled(message)]) == 63


async def test_a_clock_that_stands_still_cannot_keep_a_node_from_stopping(tmp_path: Path) -> None:
    node = a_node(tmp_path)
    async with asyncio.timeout(60), node:
        account = await set_up(node)
        message = await send(node, account, HOUR)
        await advance(node, HOUR - 10_000)  # claimed, ten milliseconds before its slot
        (found,) = await everything(node)
        assert found.claim is not None
    async with a_node(tmp_path) as again:
        await again.settle()
        (found,) = await everything(again)
        assert (found.sid, found.doubt_at) == (message.sid, None)


# --- a part that breaks ----------------------------------------------------------------------------------------------


class BreakingClock(TestClock):
    """A clock that can break."""

    def __init__(self) -> None:
        super().__init__(START, frozen=True)
        self.broken = False

    def now(self) -> Instant:
        if self.broken:
            raise OSError("the clock broke")
        return super().now()


async def test_a_part_that_breaks_is_told(tmp_path: Path) -> None:
    clock = BreakingClock()
    async with a_node(tmp_path, clock) as node:
        await node.settle()
        assert node.failed is not None
        assert not node.failed.done()
        clock.broken = True
        node.callbacks.wake()
        with pytest.raises(OSError, match="the clock broke"):
            await asyncio.wait_for(node.failed, 60)
        clock.broken = False
    assert threads() == []


async def test_a_lane_that_breaks_is_told(tmp_path: Path) -> None:
    async with a_node(tmp_path) as node:
        account = await set_up(node, mps=1.0)
        await send(node, account)
        await node.settle()
        await node.directory.put(a_sender(1, account_sid=account.sid, mps=float("inf")))  # no throttle takes that
        await until(lambda: node.failed is not None and node.failed.done())


async def test_an_orderly_end_is_no_failure(tmp_path: Path) -> None:
    async with a_node(tmp_path) as node:
        await node.settle()
    assert node.failed is not None
    assert not node.failed.done()


# --- the whole flow in any trouble of the store ----------------------------------------------------------------------

AT_WORK = (
    "due", "dispatch", "claim", "record", "add_media", "media", "medium", "apply_receipts", "due_callbacks",
    "settle_callbacks",
)  # fmt: skip


def in_trouble_at_first(serve: Serve) -> Serve:
    """Serve so after two calls that are hung up on."""
    left = [hang_up, hang_up]

    async def serving(request: web.BaseRequest) -> web.StreamResponse:
        return await (left.pop() if left else serve)(request)

    return serving


async def picture(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=b"\x89PNG\r\n\x1a\n", content_type="image/png")


@asynccontextmanager
async def a_day_at_work(flow: Flow, customer: Customer) -> AsyncIterator[list[Message]]:
    """Schedule messages with and without media, and check in the end that each was delivered and told."""
    customer.serve = picture
    messages = []
    for number in range(1, 7):
        media = (f"{customer.url}/picture",) if number % 2 else ()
        messages.append(
            await flow.send(
                after(5 + number * 20),
                recipient=recipient(number),
                media_urls=media,
                callback_url=f"{customer.url}/told",
            )
        )
    yield messages
    assert sorted(flow.carrier.sids) == sorted(message.sid for message in messages)
    check_never_early(flow.carrier.submitted)
    for message in messages:
        assert (await flow.read(message)).status is Status.DELIVERED
        assert list(dict.fromkeys(customer.statuses(message))) == ["queued", "sent", "delivered"]
    assert await flow.outbox() == []


async def report_all(flow: Flow, messages: list[Message]) -> None:
    """Report each message delivered, again until the node has taken it."""
    for message in messages:
        for _ in range(20):
            try:
                await flow.carrier.report(Receipt(f"ref-{message.sid}", Event.DELIVER))
                break
            except StoreUnavailable:
                continue
    await flow.advance(60)


async def move(flow: Flow, seconds: float) -> None:
    """Let time pass in steps, without waiting for the flow to come to rest at each."""

    async def settle() -> None:
        for _ in range(12):
            await breathe(0.0002)

    await flow.clock.advance_to(Instant(flow.clock.now() + round(seconds * SECOND)), settle)


@pytest.mark.parametrize("name", AT_WORK)
@pytest.mark.parametrize("error", [AWAY, FULL], ids=["unavailable", "full"])
async def test_a_store_that_fails_at_any_call_for_a_while_loses_nothing(
    flow_with_customer: tuple[Flow, Customer], name: str, error: StoreUnavailable | StoreFull
) -> None:
    flow, customer = flow_with_customer
    async with a_day_at_work(flow, customer) as messages:
        flow.store.fail(name, *[error if name != "apply_receipts" else AWAY] * 3)
        await move(flow, 150)
        await report_all(flow, messages)


@pytest.fixture
async def flow_with_customer(tmp_path: Path) -> AsyncIterator[tuple[Flow, Customer]]:
    """Give a running flow and a customer's web server."""
    async with Customer().serving() as customer, flowing(tmp_path) as flow:
        yield flow, customer


@settings(max_examples=8)
@given(failing=st.lists(st.tuples(st.sampled_from(AT_WORK), st.integers(1, 3)), min_size=1, max_size=6))
async def test_a_store_that_fails_now_and_then_loses_nothing(failing: list[tuple[str, int]]) -> None:
    async with Customer().serving() as customer, flowing_anew() as flow, a_day_at_work(flow, customer) as messages:
        for name, times in failing:
            flow.store.fail(name, *[AWAY] * times)
        await move(flow, 200)
        await report_all(flow, messages)


async def test_a_store_that_is_away_for_long_is_waited_for(tmp_path: Path) -> None:
    async with Customer().serving() as customer, flowing(tmp_path) as flow, a_day_at_work(flow, customer) as messages:
        away = True

        async def fail(name: str) -> None:
            if away and name in AT_WORK:
                raise AWAY

        flow.store.before = fail
        await move(flow, 60)
        assert flow.carrier.submitted == []
        away = False
        await move(flow, 120)
        await report_all(flow, messages)


@pytest.mark.parametrize("name", ["resources", "lanes"])
async def test_a_store_that_cannot_be_read_at_the_start_stops_the_start(tmp_path: Path, name: str) -> None:
    async with flowing(tmp_path) as flow:
        await flow.send(after(60))
        await flow.kill()

        def watch(store: object) -> None:
            flow.store.fail(name, AWAY)

        if name == "lanes":
            with pytest.raises(StoreUnavailable):
                await flow.start(watch=watch)
            await flow.kill()
            await flow.start()
        else:
            await flow.start()
        await flow.advance(61)
        assert len(flow.carrier.submitted) == 1


async def test_waiting_costs_no_memory_and_no_timers(tmp_path: Path) -> None:
    async with flowing(tmp_path) as flow:
        for start in range(0, 5_000, 500):
            await asyncio.gather(
                *(flow.send(after(7_200 + n), recipient=recipient(n % 9_000)) for n in range(start, start + 500))
            )
        await flow.settle()
        assert flow.scheduler.held == 0
        assert flow.lanes.waiting == 0
        assert Counter(m.status for m in await flow.everything()) == {Status.SCHEDULED: 5_000}
        await flow.advance(3_600)
        assert (flow.scheduler.held, flow.carrier.submitted) == (0, [])
