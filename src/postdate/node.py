"""The one place that knows everything: builds the parts of a node, starts them in order, stops them in reverse.

No part finds another by itself; what a step needs of another it gets here, as a plain callable.
"""

import asyncio
import base64
import gc
import hashlib
import hmac
import os
import random
import secrets
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from functools import cached_property
from pathlib import Path

import msgspec
from cryptography.fernet import Fernet

from postdate.api.app import App
from postdate.api.parts import Parts, TakeCall
from postdate.api.server import WebServer
from postdate.carriers import Carriers
from postdate.clock import Clock, SystemClock, TestClock, breathe
from postdate.connectors.contract import CarrierEvent, Connector
from postdate.connectors.http import HttpConnector, HttpWay, http_connector
from postdate.connectors.providers import plain_http
from postdate.connectors.sandbox import Sandbox
from postdate.connectors.sandbox_script import Script
from postdate.console.app import Console
from postdate.console.site import Site
from postdate.core.instant import Instant
from postdate.core.message import Message
from postdate.core.outcome import DoubtPolicy
from postdate.core.resources import Account, AccountStatus, Sender, Service, User
from postdate.flow.callbacks import Callbacks
from postdate.flow.connections import Connections, ConnectionTools, close_connector
from postdate.flow.directory import Directory
from postdate.flow.dispatch import LEAD, Dispatcher, Ways, is_smart
from postdate.flow.housekeeping import Housekeeping
from postdate.flow.inbound_calls import InboundCalls
from postdate.flow.ingest import Ingest, IngestRules
from postdate.flow.inquiries import Inquiries
from postdate.flow.lanes import Lanes
from postdate.flow.media import MediaFetcher
from postdate.flow.open_connection import OpenConnection
from postdate.flow.outgoing import Outgoing
from postdate.flow.receipts import Receipts
from postdate.flow.recorder import Recorder
from postdate.flow.scheduler import Scheduler
from postdate.settings import InvalidSettings, Settings
from postdate.store.contract import StoreUnavailable
from postdate.store.sqlite import SqliteStore

# A thread that waits for the interpreter waits this long at most: the writer's statements are few and large, and each
# would otherwise be held up for 5 ms by a busy event loop (docs/decisions/0003).
SWITCH_INTERVAL = 0.0001
# Messages, requests and calls come and go without cycles: looking for cycles after every 700 of them, as Python does by
# itself, takes a tenth of the processor's time.
OBJECTS_BETWEEN_COLLECTIONS = 20_000
# A stop ends within ten seconds, whatever carriers and the store do: what they may take, one after the other.
DRAIN_SECONDS = 5.0
CLOSE_SECONDS = 1.0  # and a connector's own goodbye
RECORD_SECONDS = 1.0
_QUIET_ROUNDS = 6


class Node:
    """One running process of Postdate. `async with Node(settings)`: inside, it accepts and sends."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or _clock(settings)
        self.watch: Clock = SystemClock()
        self.run_name = secrets.token_hex(8)
        self._chance = random.Random(secrets.token_bytes(16)).random
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self._built_in: list[Connector] = []
        self.failed: asyncio.Future[None] | None = None
        self.port = settings.port

    async def __aenter__(self) -> "Node":
        """Start; whatever was started is stopped again where a later part cannot start."""
        sys.setswitchinterval(SWITCH_INTERVAL)
        gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, 20, 100)
        self.failed = asyncio.get_running_loop().create_future()
        async with self._stack:
            await self._start()
            self._stack = self._stack.pop_all()
        return self

    async def __aexit__(self, *error: object) -> None:
        """Stop accepting, let go what is claimed, record it, and close."""
        if isinstance(self.clock, TestClock):
            self.clock.resume()  # what still waits for its time would wait for ever on a clock that stands still
        await self._stack.aclose()

    async def _start(self) -> None:
        settings = self.settings
        self.store = SqliteStore(settings.data / "postdate.db", on_news=lambda rows: self.callbacks.take(rows))
        await self.store.open()
        self._stack.push_async_callback(self.store.close)
        key = _sealing_key(settings)
        self.directory = Directory(self.store, Fernet(key))
        secret = hmac.digest(base64.urlsafe_b64decode(key), b"events of carriers", "sha256")
        self.carriers = Carriers(self.directory, self.clock, self._chance, self._base_url, secret)
        await self.directory.load()
        self.outgoing = Outgoing(settings.allow_networks)
        self._stack.push_async_callback(self.outgoing.close)
        self.inbound_calls = InboundCalls(self.store, self.directory, self.outgoing, self.clock)
        self.callbacks = Callbacks(
            self.store, self.directory, self.outgoing, self.inbound_calls, self.clock, self._chance
        )
        self._begin(self.callbacks.run, self.callbacks.stop)
        self.recorder = Recorder(self.store, self.clock, self.run_name)
        self._stack.push_async_callback(self.recorder.settled, RECORD_SECONDS)
        self.receipts = Receipts(self.store, self.directory, self.clock)
        self.receipts.caught_up = self.recorder.caught_up
        self._stack.push_async_callback(self.receipts.settled)
        await self._start_sending()
        await self._start_accepting()

    async def _start_sending(self) -> None:
        self.lanes = Lanes(self.store, self.clock, self.recorder, self.run_name)
        self.inquiries = Inquiries(self.store, self.clock)
        self.lanes.inquire, self.inquiries.again = self.inquiries.begin, self.lanes.again
        self.inquiries.find = self.lanes.find
        self.lanes.policy_of, self.lanes.media_of_closed = self.carriers.policy_of, self.carriers.media_of
        await self._open_connections()
        self.lanes.may_send = self.directory.may_send
        await self.lanes.open(self._find_sender, self._is_smart, self._media_url, self._chance)
        self.directory.sender_changed = self.lanes.follow
        self.lanes.broken = self._broke
        self._stack.push_async_callback(self.lanes.stop, DRAIN_SECONDS, self._close_connectors)
        self._stack.push_async_callback(self.inquiries.stop)
        ways = Ways(
            to_lane=self.lanes.put,
            has_room=self.lanes.has_room,
            to_media=lambda message: self.media.fetch(message),
            in_doubt=self.lanes.in_doubt,
            no_sender=self.lanes.no_sender,
            notice=lambda timer: self.scheduler.notice(timer),
            media_of=self.lanes.media_of,
            media_url=self._media_url,
        )
        self.dispatcher = Dispatcher(self.store, self.directory, self.clock, ways, self.run_name)
        self.media = MediaFetcher(self.store, self.outgoing, self.clock, self.dispatcher.take)
        self._stack.push_async_callback(self.media.stop)
        self.scheduler = Scheduler(self.store, self.clock, self.dispatcher.take, LEAD)
        self.receipts.notice = self.scheduler.notice
        self._begin(self.scheduler.run, self.scheduler.stop)

    async def _start_accepting(self) -> None:
        settings = self.settings
        rules = IngestRules(settings.window, settings.scheduled_cap, settings.schedule_without_service == "send")
        self.ingest = Ingest(self.store, self.directory, self.clock, rules)
        self.ingest.notice = self.scheduler.notice
        self.ingest.has_room = self.lanes.has_room
        self.inbound_calls.accept = self.ingest.accept_reply
        self._stack.push_async_callback(self.ingest.drain)
        self.housekeeping = Housekeeping(self.store, self.clock, settings.data, settings.min_free_bytes)
        self.housekeeping.refuse = lambda reason: setattr(self.ingest, "refusing", reason)
        self._begin(self.housekeeping.run, self.housekeeping.stop)
        await self._make_first_account()

    @cached_property
    def console(self) -> Console:
        """Return the console; people's sessions follow the machine's time, whatever clock the messages follow."""
        return Console(self.parts(), self.watch)

    async def listen(self) -> int:
        """Answer HTTP; return the port."""
        settings = self.settings
        site = Site(App(self.parts()), self.console)
        web = WebServer(site, settings.host, settings.port, settings.max_header_bytes, settings.trusted_proxies)
        self.port = web.port
        self._stack.push_async_callback(web.stop)
        await web.start()
        return web.port

    def parts(self) -> Parts:
        """Return what the API is given."""
        # Without a token of its own anybody could report for the carrier.
        trusted = self.http is not None and self.settings.carrier_token is not None
        events: dict[str, TakeCall] = {"http": self.http.take} if self.http is not None and trusted else {}
        return Parts(
            settings=self.settings,
            clock=self.clock,
            store=self.store,
            directory=self.directory,
            ingest=self.ingest,
            sandbox=self.sandbox,
            nobody=_nobody(),
            base_url=self._base_url,
            advance_to=self.advance_to,
            carrier_events=events,
            carrier_way=lambda name: self.carriers.way_in(name, self.connections),
            connections=self.connections,
            events_url=self.carriers.events_url,
            console_link=self.console_link,
            waiting=self.lanes.segments_of,
            way=self.lanes.connections.get,
        )

    def console_link(self, account_sid: str) -> str:
        """Return a new one-time link by which the owner of an account chooses a password for the console."""
        return f"{self._base_url()}{self.console.way_in(account_sid)}"

    @property
    def has_users(self) -> bool:
        """Say whether anybody can sign in to the console."""
        return bool(self.directory.every(User))

    async def _open_connections(self) -> None:
        tools = ConnectionTools(
            self.carriers.build, self.receipts.take, self.lanes.use, self.lanes.leave, self.lanes.wake
        )
        self.connections = Connections(self.directory, self.clock, tools)
        settings = self.settings
        self.sandbox = Sandbox(self.clock, settings.sandbox_seed, _script(settings))
        await self._open(OpenConnection("sandbox", self.sandbox))
        self.http: HttpConnector | None = None
        if settings.carrier_url is not None:
            token = settings.carrier_token.get_secret_value() if settings.carrier_token else None
            self.http = _plain_http(settings.carrier_url, token, self.clock)
            await self._open(OpenConnection("http", self.http, DoubtPolicy(settings.carrier_doubt)))
        self.directory.connection_changed = self.connections.follow
        self._stack.push_async_callback(self._close_connectors)
        await self.connections.open()

    async def _open(self, connection: OpenConnection) -> None:
        def on_event(event: CarrierEvent) -> Awaitable[None]:
            return self.receipts.take(connection.name, event)

        connection.connector.condition.on_change = self.lanes.wake
        await connection.connector.open(on_event)
        self._built_in.append(connection.connector)
        self._stack.push_async_callback(self._close_connectors)
        self.lanes.use(connection)

    async def _close_connectors(self) -> None:
        """Close every connector, each once; by now they have had their time."""
        closing, self._built_in = self._built_in, []
        built_in = (close_connector(connector, CLOSE_SECONDS) for connector in closing)
        await asyncio.gather(self.connections.close(CLOSE_SECONDS), *built_in)

    def _begin(self, run: Callable[[], Coroutine[object, object, None]], stop: Callable[[], None]) -> None:
        """Run a part in a task of its own; stop it in its turn. A part that breaks ends the node: `failed` says why."""

        def ended(task: asyncio.Task[None]) -> None:
            error = None if task.cancelled() else task.exception()
            if error is not None:
                self._broke(error)

        task = asyncio.get_running_loop().create_task(run())
        task.add_done_callback(ended)

        async def end() -> None:
            stop()
            await asyncio.wait([task])

        self._tasks.append(task)
        self._stack.push_async_callback(end)

    def _broke(self, error: BaseException) -> None:
        if self.failed is not None and not self.failed.done():
            self.failed.set_exception(error)

    # -- what steps ask of one another -----------------------------------------------------------------------------

    def _find_sender(self, sid: str | None) -> Sender | None:
        return self.directory.find(Sender, sid)

    def _is_smart(self, message: Message) -> bool:
        return is_smart(message, self.directory.find(Service, message.service_sid))

    def _media_url(self, sid: str) -> str:
        return f"{self._base_url()}/media/{sid}"

    def _base_url(self) -> str:
        settings = self.settings
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        return settings.public_url.rstrip("/") if settings.public_url else f"http://{host}:{self.port}"

    # -- the test clock ----------------------------------------------------------------------------------------------

    @property
    def quiet(self) -> bool:
        """Say whether everything that could happen now has happened."""
        return (
            self.store.idle
            and self.ingest.idle
            and self.scheduler.idle
            and self.lanes.idle
            and self.recorder.idle
            and self.media.idle
            and self.receipts.idle
            and self.callbacks.idle
            and self.inquiries.idle
            and self.connections.idle
            and all(getattr(one.connector, "idle", True) for one in self.lanes.connections.values())
        )

    async def settle(self) -> None:
        """Return when everything that could happen now has happened."""
        rounds = 0
        while rounds < _QUIET_ROUNDS:
            rounds = rounds + 1 if self.quiet else 0
            await breathe(0.0 if self.quiet else 0.0002)

    async def advance_to(self, target: Instant) -> None:
        """Move the test clock; ValueError where there is none or `target` is past."""
        if not isinstance(self.clock, TestClock):
            raise ValueError("this node runs on the real clock: start it with --test-clock")
        await self.clock.advance_to(target, self.settle)

    # -- the first account -------------------------------------------------------------------------------------------

    def first_account(self) -> tuple[Account, str]:
        """Return the account that was made at first start, and its token."""
        account = next(a for a in self.directory.every(Account) if a.owner_sid == a.sid)
        return account, self.directory.token_of(account.sid)

    async def _make_first_account(self) -> None:
        """Make the first account, or take on the token that the settings give for it."""
        settings = self.settings
        given = settings.auth_token.get_secret_value() if settings.auth_token else None
        known = [a for a in self.directory.every(Account) if a.owner_sid == a.sid]
        if any(a.sid == settings.account_sid for a in known) or (known and settings.account_sid is None):
            account = next(a for a in known if settings.account_sid in (None, a.sid))
            if given is not None and self.directory.token_of(account.sid) != given:
                await self.directory.put(msgspec.structs.replace(account, sealed_token=self.directory.seal(given)))
            return
        at = self.clock.now()
        sid = settings.account_sid or f"AC{secrets.token_hex(16)}"
        token = self.directory.seal(given or secrets.token_hex(16))
        await self.directory.put(
            Account(sid=sid, owner_sid=sid, friendly_name="Postdate", sealed_token=token, created_at=at, updated_at=at)
        )


def _nobody() -> Account:
    return Account(
        sid="", owner_sid="", friendly_name="", status=AccountStatus.CLOSED, sealed_token="", created_at=Instant(0),
        updated_at=Instant(0),
    )  # fmt: skip


def _script(settings: Settings) -> Script:
    if settings.sandbox_script is None:
        return Script()
    try:
        return Script.parse(msgspec.json.decode(settings.sandbox_script.read_bytes()))
    except (OSError, TypeError, ValueError) as error:
        raise InvalidSettings(f"sandbox_script (POSTDATE_SANDBOX_SCRIPT) {settings.sandbox_script}: {error}") from None


def _plain_http(url: str, token: str | None, clock: Clock) -> HttpConnector:
    try:
        given = msgspec.convert({"url": url, "token": token}, plain_http.Settings)
    except msgspec.ValidationError as error:
        raise InvalidSettings(f"carrier_url and carrier_token (POSTDATE_CARRIER_URL, _TOKEN): {error}") from None
    way = HttpWay("http", plain_http.PlainHttp(given), given)
    return http_connector(way, clock, lambda: secrets.token_bytes(16))


def _clock(settings: Settings) -> Clock:
    system = SystemClock()
    return TestClock(system.now()) if settings.test_clock else system


def _sealing_key(settings: Settings) -> bytes:
    """Return the key for secrets at rest, from the setting or the key file that is made at first start."""
    if settings.secret_key is not None:
        digest = hashlib.sha256(settings.secret_key.get_secret_value().encode()).digest()
        return base64.urlsafe_b64encode(digest)
    path = settings.data / "secret.key"
    key = _key_file(path)
    try:
        Fernet(key)
    except ValueError:
        raise StoreUnavailable(
            f"{path} is not a key: put back the one that was made with this store, or set POSTDATE_SECRET_KEY"
        ) from None
    return key


def _key_file(path: Path) -> bytes:
    if not path.exists():
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(Fernet.generate_key())
            file.flush()
            os.fsync(file.fileno())
    return path.read_bytes()
