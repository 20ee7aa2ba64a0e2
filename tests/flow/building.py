"""What the tests of the flow are built from: the parts of a node wired by hand around a real store, stepped by hand.

`Flow` is the flow of one node; it can be stopped, killed at any call of the store, and started again on the same file.
`WatchedStore` stands between the flow and the store, `RecordingCarrier` at the end of it, `Customer` is a real web
server. Times grow from START, and nothing happens that a test does not advance the clock to.
"""

import asyncio
import base64
import heapq
import inspect
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from ipaddress import ip_network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol, TypeVar

import msgspec
from aiohttp import web
from cryptography.fernet import Fernet

from postdate.clock import Clock, TestClock, Timer, breathe
from postdate.connectors.contract import CarrierEvent, Condition, OnEvent, State, Submission
from postdate.core.address import SenderKind, country_code
from postdate.core.callback import CallbackPolicy
from postdate.core.commands import SendMessage
from postdate.core.doubt import Verdict
from postdate.core.instant import DAY, SECOND, Instant, Monotonic, ScheduleWindow
from postdate.core.message import FINAL, Message, Status
from postdate.core.outcome import Accepted, DoubtPolicy, InDoubt, Outcome
from postdate.core.resources import SENDER_PREFIX, Account, Resource, Sender, Service
from postdate.flow.callbacks import Callbacks
from postdate.flow.directory import Directory
from postdate.flow.dispatch import LEAD, Dispatcher, Ways, is_smart
from postdate.flow.inbound_calls import InboundCalls
from postdate.flow.ingest import Ingest, IngestRules
from postdate.flow.lanes import Lanes
from postdate.flow.media import MediaFetcher
from postdate.flow.open_connection import OpenConnection
from postdate.flow.outgoing import Network, Outgoing
from postdate.flow.receipts import Receipts
from postdate.flow.recorder import Recorder
from postdate.flow.scheduler import Scheduler
from postdate.store.contract import (
    EPOCH,
    AddResult,
    AgendaQuery,
    Amendment,
    AuditQuery,
    AuditRow,
    CallbackRow,
    Called,
    CallQuery,
    Cursor,
    Decide,
    Dispatched,
    Found,
    MediaRow,
    MessageQuery,
    New,
    OptOutChange,
    Overview,
    ReceiptNews,
    Reschedule,
    Result,
    Settled,
    Source,
)
from postdate.store.sqlite import SqliteStore

T = TypeVar("T")

START = Instant(1_900_000_000_000_000)
ACCOUNT = "AC" + "a" * 32
SERVICE = "MG" + "c" * 32
TOKEN = "token-of-the-account"
SEALER = Fernet(base64.urlsafe_b64encode(b"k" * 32))
CONNECTION = "sandbox"
LOOPBACK: tuple[Network, ...] = (ip_network("127.0.0.0/8"),)
NO_CAP = 1_000_000
NEVER = 1_000.0  # seconds of the machine's time: whoever waits for these waits for ever
_QUIET_ROUNDS = 8
_MOST_ROUNDS = 500_000
_WAITS = 200_000
_FAR = Instant(2**62)


# --- times, resources, commands --------------------------------------------------------------------------------------


def after(seconds: float) -> Instant:
    """Return an instant that many seconds after START."""
    return Instant(START + round(seconds * SECOND))


def recipient(number: int = 1) -> str:
    """Return the number of a handset in San Francisco."""
    return f"+1415555{number:04}"


def an_account(**changes: object) -> Account:
    """Return the account that everything here belongs to, with `changes`."""
    account = Account(
        sid=ACCOUNT,
        owner_sid=ACCOUNT,
        friendly_name="Test",
        sealed_token=SEALER.encrypt(TOKEN.encode()).decode(),
        created_at=START,
        updated_at=START,
    )
    return msgspec.structs.replace(account, **changes)


def a_service(**changes: object) -> Service:
    """Return the messaging service, with `changes`."""
    service = Service(sid=SERVICE, account_sid=ACCOUNT, friendly_name="Reminders", created_at=START, updated_at=START)
    return msgspec.structs.replace(service, **changes)


def a_sender(number: int = 1, **changes: object) -> Sender:
    """Return the phone number of that number in the service's pool, without a limit to its rate, with `changes`."""
    kind = changes.get("kind", SenderKind.PHONE_NUMBER)
    assert isinstance(kind, SenderKind)
    address = str(changes.get("address", f"+1212555{number:04}"))
    sender = Sender(
        sid=f"{SENDER_PREFIX[kind]}{number:032x}",
        account_sid=ACCOUNT,
        kind=kind,
        address=address,
        friendly_name=f"Number {number}",
        country=country_code(address) or "US",
        mps=0.0,
        connection=CONNECTION,
        service_sid=SERVICE,
        added_at=Instant(START + number),
        created_at=Instant(START + number),
        updated_at=START,
    )
    return msgspec.structs.replace(sender, **changes)


def a_command(at: Instant | None = None, **changes: object) -> SendMessage:
    """Return a request to send through the service at a time, with `changes`."""
    given: dict[str, object] = {"recipient": recipient(), "body": "Hello", "service_sid": SERVICE, "send_at": at}
    return msgspec.convert(given | changes, SendMessage, from_attributes=True)


# --- a clock whose wall time can jump --------------------------------------------------------------------------------


class StepClock(Clock, Protocol):
    """A clock that is moved by hand."""

    async def advance_to(self, target: Instant, settle: Callable[[], Awaitable[None]]) -> None:
        """Move on, stopping at every timer on the way."""


class _Call:
    __slots__ = ("callback", "called_off")

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.called_off = False

    def cancel(self) -> None:
        self.called_off = True


class JumpingClock:
    """A clock like the machine's: waits are cut to a second, and `jump` moves its wall time alone, either way."""

    longest_wait: int | None = 1 * SECOND

    def __init__(self, start: Instant) -> None:
        self._waited = 7 * DAY
        self._ahead = start - self._waited
        self._calls: list[tuple[int, int, _Call]] = []
        self._order = itertools.count()

    def now(self) -> Instant:
        """Return the wall time."""
        return Instant(self._waited + self._ahead)

    def monotonic(self) -> Monotonic:
        """Return the waiting time."""
        return Monotonic(self._waited)

    def call_at(self, when: Monotonic, callback: Callable[[], None]) -> Timer:
        """Call `callback` when the clock is moved there."""
        call = _Call(callback)
        heapq.heappush(self._calls, (when, next(self._order), call))
        return call

    def jump(self, by: int) -> None:
        """Move the wall time by `by` microseconds, forward or back; no time passes."""
        self._ahead += by

    async def advance_to(self, target: Instant, settle: Callable[[], Awaitable[None]]) -> None:
        """Let as much time pass as lies between now and `target`, stopping at every timer on the way."""
        end = self._waited + (target - self.now())
        await settle()
        while self._calls and self._calls[0][0] <= end:
            when, _, call = heapq.heappop(self._calls)
            self._waited = max(self._waited, when)
            if not call.called_off:
                call.callback()
                if not self._calls or self._calls[0][0] > when:
                    await settle()
        self._waited = max(self._waited, end)
        await settle()


class CountingClock(TestClock):
    """A test clock that knows how many timers wait on it."""

    def __init__(self, start: Instant) -> None:
        super().__init__(start, frozen=True)
        self._waiting: set[int] = set()
        self._numbers = itertools.count()

    @property
    def timers(self) -> int:
        """Return how many timers are set."""
        return len(self._waiting)

    def call_at(self, when: Monotonic, callback: Callable[[], None]) -> Timer:
        """Call `callback` at `when`, and count until then."""
        number = next(self._numbers)
        self._waiting.add(number)

        def call() -> None:
            self._waiting.discard(number)
            callback()

        return _Counted(super().call_at(when, call), lambda: self._waiting.discard(number))


@dataclass(frozen=True, slots=True)
class _Counted:
    timer: Timer
    forget: Callable[[], None]

    def cancel(self) -> None:
        self.forget()
        self.timer.cancel()


# --- the store, watched ----------------------------------------------------------------------------------------------


class Power:
    """Whether the process lives: once off, no call of it reaches the disk or a carrier."""

    def __init__(self) -> None:
        self.off = False
        self.went_off = asyncio.Event()

    def cut(self) -> None:
        """End the process here."""
        self.off = True
        self.went_off.set()


@dataclass(slots=True)
class Hold:
    """A place where a call of the store waits for the test."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)


Step = Callable[[str], Awaitable[None]]


async def _nothing(_: str) -> None:
    pass


class WatchedStore:
    """`Store` around a real one. Each call passes `before` and `after` with its name; there a test does what it wants.

    `after` runs when the change is on disk and the caller does not know yet.
    """

    def __init__(self, store: SqliteStore, power: Power | None = None) -> None:
        self.real = store
        self.power = power or Power()
        self.calls: list[str] = []
        self.before: Step = _nothing
        self.after: Step = _nothing
        self._failures: dict[str, list[Exception]] = {}
        self._holds: dict[tuple[str, str], list[Hold]] = {}
        self._in_flight = 0
        self._held = 0

    @property
    def idle(self) -> bool:
        """Say whether every call has come back or waits for the test."""
        return self._in_flight == self._held and self.real.idle

    @property
    def held(self) -> bool:
        """Say whether a call waits for the test."""
        return self._held > 0

    def fail(self, name: str, *errors: Exception) -> None:
        """Let the next calls of that name fail, one with each error, and change nothing."""
        self._failures.setdefault(name, []).extend(errors)

    def hold(self, name: str, where: str) -> Hold:
        """Hold the next call of that name `before` or `after` it is done, until the hold is opened."""
        hold = Hold()
        self._holds.setdefault((name, where), []).append(hold)
        return hold

    async def _through(self, name: str, call: Callable[[], Awaitable[T]]) -> T:
        self._in_flight += 1
        try:
            await self._pause(name, "before", self.before)
            if self._failures.get(name):
                raise self._failures[name].pop(0)
            self.calls.append(name)
            result = await call()
            await self._pause(name, "after", self.after)
            return result
        finally:
            self._in_flight -= 1

    async def _pause(self, name: str, where: str, step: Step) -> None:
        if not self.power.off:
            await step(name)
        if self.power.off:
            await self._wait(asyncio.Event())
        if waiting := self._holds.get((name, where)):
            hold = waiting.pop(0)
            hold.reached.set()
            await self._wait(hold.opened)

    async def _wait(self, event: asyncio.Event) -> None:
        self._held += 1
        try:
            await event.wait()
        finally:
            self._held -= 1

    async def open(self) -> None:
        await self._through("open", self.real.open)

    async def close(self) -> None:
        await self.real.close()

    async def add(self, new: Sequence[New], at: Instant) -> list[AddResult]:
        return await self._through("add", lambda: self.real.add(new, at))

    async def cancel(self, account_sid: str, sids: Sequence[str], at: Instant) -> list[Message | None]:
        return await self._through("cancel", lambda: self.real.cancel(account_sid, sids, at))

    async def reschedule(self, account_sid: str, sid: str, change: Reschedule, at: Instant) -> Message | None:
        return await self._through("reschedule", lambda: self.real.reschedule(account_sid, sid, change, at))

    async def due(self, after: Cursor, before: Instant, limit: int) -> list[Cursor]:
        return await self._through("due", lambda: self.real.due(after, before, limit))

    async def dispatch(self, sids: Sequence[str], decide: Decide, at: Instant, ahead: int = 0) -> list[Dispatched]:
        return await self._through("dispatch", lambda: self.real.dispatch(sids, decide, at, ahead))

    async def claim(
        self,
        sids: Sequence[str],
        run: str,
        free_at: Sequence[tuple[str, Instant]],
        at: Instant,
        may_send: Callable[[str], bool] = lambda account_sid: True,
    ) -> list[Message]:
        return await self._through("claim", lambda: self.real.claim(sids, run, free_at, at, may_send))

    async def record(self, results: Sequence[Result], run: str, at: Instant) -> None:
        await self._through("record", lambda: self.real.record(results, run, at))

    async def lanes(self) -> dict[str, Instant]:
        return await self._through("lanes", self.real.lanes)

    async def apply_receipts(self, news: Sequence[ReceiptNews], at: Instant) -> list[Cursor]:
        return await self._through("apply_receipts", lambda: self.real.apply_receipts(news, at))

    async def add_inbound(
        self,
        messages: Sequence[Message],
        changes: Sequence[OptOutChange],
        at: Instant,
        sources: Sequence[Source] = (),
    ) -> None:
        await self._through("add_inbound", lambda: self.real.add_inbound(messages, changes, at, sources))

    async def due_callbacks(
        self, before: Instant, busy: Sequence[str], limit: int, since: Instant = EPOCH
    ) -> list[CallbackRow]:
        return await self._through("due_callbacks", lambda: self.real.due_callbacks(before, busy, limit, since))

    async def settle_callbacks(self, settled: Sequence[Settled]) -> None:
        await self._through("settle_callbacks", lambda: self.real.settle_callbacks(settled))

    async def message(self, account_sid: str, sid: str) -> Message | None:
        return await self._through("message", lambda: self.real.message(account_sid, sid))

    async def messages(self, query: MessageQuery) -> list[Message]:
        return await self._through("messages", lambda: self.real.messages(query))

    async def search(self, query: MessageQuery | AgendaQuery) -> Found:
        return await self._through("search", lambda: self.real.search(query))

    async def trail(self, account_sid: str, sid: str) -> str | None:
        return await self._through("trail", lambda: self.real.trail(account_sid, sid))

    async def overview(self, account_sid: str, at: Instant, since: Instant, bounds: Sequence[Instant] = ()) -> Overview:
        return await self._through("overview", lambda: self.real.overview(account_sid, at, since, bounds))

    async def calls_made(self, query: CallQuery) -> list[Called]:
        return await self._through("calls_made", lambda: self.real.calls_made(query))

    async def resolve(self, account_sid: str, sid: str, verdict: Verdict, at: Instant) -> tuple[Message | None, bool]:
        return await self._through("resolve", lambda: self.real.resolve(account_sid, sid, verdict, at))

    async def amend(self, account_sid: str, sid: str, change: Amendment, at: Instant) -> Message | None:
        return await self._through("amend", lambda: self.real.amend(account_sid, sid, change, at))

    async def delete(self, account_sid: str, sid: str) -> bool:
        return await self._through("delete", lambda: self.real.delete(account_sid, sid))

    async def add_media(self, rows: Sequence[MediaRow], bodies: Sequence[bytes]) -> None:
        await self._through("add_media", lambda: self.real.add_media(rows, bodies))

    async def media(self, message_sid: str) -> list[MediaRow]:
        return await self._through("media", lambda: self.real.media(message_sid))

    async def medium(self, sid: str) -> tuple[MediaRow, bytes] | None:
        return await self._through("medium", lambda: self.real.medium(sid))

    async def put(self, resource: Resource) -> None:
        await self._through("put", lambda: self.real.put(resource))

    async def remove(self, sid: str) -> None:
        await self._through("remove", lambda: self.real.remove(sid))

    async def resources(self) -> list[Resource]:
        return await self._through("resources", self.real.resources)

    async def add_audit(self, rows: Sequence[AuditRow]) -> None:
        await self._through("add_audit", lambda: self.real.add_audit(rows))

    async def audit(self, query: AuditQuery) -> list[AuditRow]:
        return await self._through("audit", lambda: self.real.audit(query))

    async def prune(self, before: Instant, unjoined_before: Instant = EPOCH, counted_before: Instant = EPOCH) -> None:
        await self._through("prune", lambda: self.real.prune(before, unjoined_before, counted_before))


# --- the carrier -----------------------------------------------------------------------------------------------------


class Keeps:
    """The carrier's answer is kept back until `tell`."""


@dataclass(frozen=True, slots=True)
class Breaks:
    """The connector itself fails."""

    error: Exception


Answer = Outcome | Keeps | Breaks
Script = Callable[[Submission], Answer]


@dataclass(frozen=True, slots=True)
class Submitted:
    """One submission as the carrier saw it: when by the wall clock, and by the waiting clock."""

    submission: Submission
    at: Instant
    waited: Monotonic

    @property
    def sid(self) -> str:
        return self.submission.sid


def accept(submission: Submission) -> Answer:
    """Take everything."""
    return Accepted(f"ref-{submission.sid}")


class RecordingCarrier:
    """A connector that writes down what it is given, and answers by its script."""

    def __init__(self, clock: Clock, power: Power, script: Script = accept) -> None:
        self.condition = Condition(State.READY)
        self._clock = clock
        self.power = power
        self.script = script
        self.submitted: list[Submitted] = []
        self.batches: list[int] = []
        self._kept: dict[str, asyncio.Future[Answer]] = {}
        self._on_event: OnEvent | None = None

    @property
    def sids(self) -> list[str]:
        """Return the SIDs that were submitted, in order, each as often as it was."""
        return [one.sid for one in self.submitted]

    @property
    def kept(self) -> list[str]:
        """Return the SIDs that wait for their answer, in order."""
        return list(self._kept)

    async def open(self, on_event: OnEvent) -> None:
        self._on_event = on_event

    async def submit(self, batch: Sequence[Submission]) -> AsyncIterator[tuple[Submission, Outcome]]:
        if self.power.off:
            await asyncio.Event().wait()
        self.batches.append(len(batch))
        waiting: dict[asyncio.Future[Answer], Submission] = {}
        for one in batch:
            self.submitted.append(Submitted(one, self._clock.now(), self._clock.monotonic()))
            answer = self.script(one)
            if isinstance(answer, Keeps):
                told: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
                self._kept[one.sid] = told
                waiting[told] = one
            else:
                yield one, _outcome(answer)
        while waiting:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for told in sorted(done, key=list(waiting).index):
                yield waiting.pop(told), _outcome(told.result())

    def tell(self, sid: str, answer: Answer) -> None:
        """Give the answer that was kept back."""
        self._kept.pop(sid).set_result(answer)

    async def report(self, event: CarrierEvent) -> None:
        """Report to the node; return when it has taken the event."""
        assert self._on_event is not None
        await self._on_event(event)

    async def drain(self) -> None:
        while self._kept:
            await asyncio.wait(list(self._kept.values()))

    async def close(self) -> None:
        for sid in list(self._kept):
            self.tell(sid, InDoubt("closed"))


def _outcome(answer: Answer) -> Outcome:
    if isinstance(answer, Breaks):
        raise answer.error
    assert not isinstance(answer, Keeps)
    return answer


# --- the flow --------------------------------------------------------------------------------------------------------


_PATIENT = CallbackPolicy(100 * SECOND, 100 * SECOND, 100 * SECOND, retries=0)


@dataclass(frozen=True, slots=True)
class Setup:
    """What a flow is made with."""

    doubt: DoubtPolicy = DoubtPolicy.HOLD
    chance: float = 0.0
    window: str = "0s.."
    cap: int = NO_CAP
    send_at_once_without_service: bool = False
    media_policy: CallbackPolicy = _PATIENT
    calls: bool = True  # whether callbacks are made


_USUAL = Setup()


class Flow:
    """The flow of one node. `start` makes its parts anew; the folder, the clock and the carrier stay."""

    def __init__(self, folder: Path, clock: StepClock | None = None, setup: Setup = _USUAL) -> None:
        self.folder = folder
        self.clock: StepClock = clock or TestClock(START, frozen=True)
        self.setup = setup
        self.runs = 0
        self.power = Power()
        self.carrier = RecordingCarrier(self.clock, self.power)
        self.account = an_account()
        self.stopping = False  # what has stopped never comes to rest
        self._tasks: list[asyncio.Task[None]] = []

    # -- life

    async def start(self, *resources: Resource, watch: Callable[[WatchedStore], None] | None = None) -> None:
        """Start a run of the node; `watch` sees the store before anything is read."""
        self.runs += 1
        self.stopping = False
        self.power = self.carrier.power = Power()
        setup, clock = self.setup, self.clock
        real = SqliteStore(self.folder / "postdate.db", on_news=lambda rows: self.callbacks.take(rows))
        self.store = WatchedStore(real, self.power)
        await self.store.open()
        self.directory = Directory(self.store, SEALER)
        for resource in resources:
            await self.store.put(resource)
        await self.directory.load()
        if watch is not None:
            watch(self.store)
        self.outgoing = Outgoing(LOOPBACK, media_policy=setup.media_policy)
        self.inbound_calls = InboundCalls(self.store, self.directory, self.outgoing, clock)
        self.callbacks = Callbacks(
            self.store, self.directory, self.outgoing, self.inbound_calls, clock, lambda: setup.chance
        )
        if setup.calls:
            self._begin(self.callbacks.run)
        run = f"run-{self.runs}"
        self.recorder = Recorder(self.store, clock, run)
        self.receipts = Receipts(self.store, self.directory, clock)
        self.receipts.caught_up = self.recorder.caught_up
        self.lanes = Lanes(self.store, clock, self.recorder, run)
        await self.carrier.open(self._take)
        self.lanes.connections[CONNECTION] = OpenConnection(CONNECTION, self.carrier, setup.doubt)
        await self.lanes.open(self._find_sender, self._is_smart, lambda sid: f"http://node/{sid}", lambda: setup.chance)
        self.lanes.may_send = self.directory.may_send
        self.directory.sender_changed = self.lanes.follow
        ways = Ways(
            to_lane=self.lanes.put,
            has_room=self.lanes.has_room,
            to_media=lambda message: self.media.fetch(message),
            in_doubt=self.lanes.in_doubt,
            no_sender=self.lanes.no_sender,
            notice=lambda timer: self.scheduler.notice(timer),
        )
        self.dispatcher = Dispatcher(self.store, self.directory, clock, ways, run)
        self.media = MediaFetcher(self.store, self.outgoing, clock, self.dispatcher.take)
        self.scheduler = Scheduler(self.store, clock, self.dispatcher.take, LEAD)
        rules = IngestRules(ScheduleWindow.parse(setup.window), setup.cap, setup.send_at_once_without_service)
        self.ingest = Ingest(self.store, self.directory, clock, rules)
        self.ingest.notice = self.receipts.notice = self.scheduler.notice
        self.ingest.has_room = self.lanes.has_room
        self.inbound_calls.accept = self.ingest.accept_reply
        self._begin(self.scheduler.run)

    def _begin(self, run: Callable[[], Awaitable[None]]) -> None:
        async def running() -> None:
            await run()

        self._tasks.append(asyncio.create_task(running()))

    async def stop(self) -> None:
        """Stop as a node does: let go what is claimed, record it, close."""
        self.stopping = True
        self.scheduler.stop()
        await self.media.stop()
        await self.lanes.stop(NEVER)
        await self.receipts.settled()
        await self.recorder.settled()
        self.callbacks.stop()
        await asyncio.gather(*self._tasks)
        self._tasks.clear()
        await self.outgoing.close()
        await self.store.close()

    async def kill(self) -> None:
        """End as a killed process does: nothing more reaches the disk or the carrier."""
        self.power.cut()
        current = asyncio.current_task()
        while ours := [task for task in asyncio.all_tasks() if task is not current and self._is_ours(task)]:
            for task in ours:
                task.cancel()
            await asyncio.wait(ours)
        self._tasks.clear()
        await self.outgoing.close()
        await self.store.close()

    def _is_ours(self, task: "asyncio.Task[object]") -> bool:
        coroutine = task.get_coro()
        if task in self._tasks:
            return True
        return inspect.iscoroutine(coroutine) and "postdate" in Path(coroutine.cr_code.co_filename).parts

    async def restart(self, kill: bool = True, watch: Callable[[WatchedStore], None] | None = None) -> None:
        """End this run and begin the next on the same file."""
        await (self.kill() if kill else self.stop())
        await self.start(watch=watch)

    # -- what the parts ask

    async def _take(self, event: CarrierEvent) -> None:
        await self.receipts.take(CONNECTION, event)

    def _find_sender(self, sid: str | None) -> Sender | None:
        return self.directory.find(Sender, sid)

    def _is_smart(self, message: Message) -> bool:
        return is_smart(message, self.directory.find(Service, message.service_sid))

    # -- time

    @property
    def quiet(self) -> bool:
        """Say whether all that could happen now has happened."""
        return (
            self.store.idle
            and self.ingest.idle
            and (self.scheduler.idle or self.stopping)
            and (self.lanes.idle or self.stopping)
            and self.recorder.idle
            and self.media.idle
            and self.receipts.idle
            and (self.callbacks.idle or self.stopping or not self.setup.calls)
        )

    async def settle(self) -> None:
        """Return when all that could happen now has happened, or when the process has ended."""
        rounds = 0
        for _ in range(_MOST_ROUNDS):
            rounds = rounds + 1 if self.quiet else 0
            if rounds == _QUIET_ROUNDS or self.power.off:
                return
            await breathe(0.0 if self.quiet else 0.0001)
        raise AssertionError("the flow never comes to rest")

    async def advance(self, seconds: float) -> None:
        """Let time pass."""
        await self.advance_to(Instant(self.clock.now() + round(seconds * SECOND)))

    async def advance_to(self, target: Instant) -> None:
        """Let time pass up to an instant."""
        await self.clock.advance_to(target, self.settle)

    # -- acting and looking

    async def send(self, send_at: Instant | None = None, **changes: object) -> Message:
        """Accept a message through the service."""
        return await self.ingest.accept(self.account, a_command(send_at, **changes))

    async def send_many(self, count: int, send_at: Instant | None = None, **changes: object) -> list[Message]:
        """Accept messages to different recipients, in order."""
        return [await self.send(send_at, **({"recipient": recipient(n)} | changes)) for n in range(1, count + 1)]

    async def send_in_turn(self, numbers: Iterable[int], **changes: object) -> list[Message]:
        """Accept messages that are due at once, each once the one before it is in its lane: they go in this order."""
        messages = []
        for number in numbers:
            messages.append(await self.send(None, **({"recipient": recipient(number)} | changes)))
            await self.settle()
        return messages

    async def read(self, message: Message | str) -> Message:
        """Return a message as it is on disk."""
        sid = message if isinstance(message, str) else message.sid
        found = await self.store.real.message(ACCOUNT, sid)
        assert found is not None, f"{sid} is missing"
        return found

    async def everything(self) -> list[Message]:
        """Return every message."""
        return await self.store.real.messages(MessageQuery(account_sid=ACCOUNT, limit=1_000_000))

    async def statuses(self) -> Counter[Status]:
        """Return how many messages are in each status."""
        return Counter(message.status for message in await self.everything())

    async def outbox(self) -> list[CallbackRow]:
        """Return the calls that are still to be made."""
        return await self.store.real.due_callbacks(_FAR, [], 1_000_000)


@asynccontextmanager
async def flowing(
    folder: Path,
    *resources: Resource,
    clock: StepClock | None = None,
    setup: Setup = _USUAL,
) -> AsyncIterator[Flow]:
    """Run a flow with the account, the service and what else is given; one sender where none is."""
    flow = Flow(folder, clock, setup)
    senders = [] if any(isinstance(r, Sender) for r in resources) else [a_sender()]
    services = [] if any(isinstance(r, Service) for r in resources) else [a_service()]
    await flow.start(flow.account, *services, *senders, *resources)
    try:
        yield flow
    finally:
        await flow.kill()


@asynccontextmanager
async def flowing_anew(
    *resources: Resource, clock: StepClock | None = None, setup: Setup = _USUAL
) -> AsyncIterator[Flow]:
    """Run a flow in a folder of its own: for tests with many examples."""
    with TemporaryDirectory() as folder:
        async with flowing(Path(folder), *resources, clock=clock, setup=setup) as flow:
            yield flow


class Restful(Protocol):
    """A part that knows whether it is at rest."""

    @property
    def idle(self) -> bool:
        """Say whether nothing is left to do."""


def is_idle(part: Restful) -> bool:
    """Say whether a part is at rest now: a call, so that nobody takes the answer for lasting."""
    return part.idle


async def until(condition: Callable[[], bool], waits: int = _WAITS) -> None:
    """Let the event loop run until `condition` holds; fail after some seconds, or so many short waits."""
    for _ in range(waits):
        if condition():
            return
        await breathe(0.0002)
    raise AssertionError("it did not come to be")


# --- what must hold --------------------------------------------------------------------------------------------------


def is_settled(message: Message) -> bool:
    """Say whether a message has been handed over, has failed, was canceled or is in doubt."""
    return message.status in FINAL or message.doubt_at is not None


def check_never_early(submitted: Iterable[Submitted]) -> None:
    """Fail where something was submitted before its time."""
    early = [one for one in submitted if one.at < one.submission.not_before]
    assert early == []


def check_rate(submitted: Sequence[Submitted], mps: float) -> None:
    """Fail where submissions of one sender break one of the two rules of a rate."""
    rate = Fraction(str(mps))
    for first, one in enumerate(submitted):
        segments = 0
        for last, other in enumerate(submitted[first:], first):
            passed = other.waited - one.waited
            # A slot is rounded up to a whole microsecond, so two may be one nearer than their exact times.
            assert segments * SECOND <= (passed + 1) * rate, f"{segments} segments in {passed} us before {other}"
            segments += other.submission.segments
            if passed < SECOND and last > first:
                assert segments <= rate, f"{segments} segments in the second from {one.waited}"


def twice(items: Iterable[T]) -> list[T]:
    """Return what occurs more than once."""
    return [item for item, count in Counter(items).items() if count > 1]


# --- a customer's web server -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Call:
    """A request that a customer's server got."""

    path: str
    form: Mapping[str, str]
    headers: Mapping[str, str]

    @property
    def told(self) -> tuple[str, str]:
        """Return of which message which status is told."""
        return self.form["MessageSid"], self.form["MessageStatus"]


Serve = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


async def _thank(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response()


class Customer:
    """A customer's web server: writes down each call when it comes, then answers it as `serve` does."""

    def __init__(self, serve: Serve = _thank) -> None:
        self.serve = serve
        self.calls: list[Call] = []
        self.url = ""

    @property
    def told(self) -> list[tuple[str, str]]:
        """Return of which message which status was told, in order."""
        return [call.told for call in self.calls if "MessageSid" in call.form]

    def statuses(self, message: Message) -> list[str]:
        """Return what was told of a message, in order."""
        return [status for sid, status in self.told if sid == message.sid]

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.calls.append(Call(request.path_qs, form, dict(request.headers)))
        return await self.serve(request)

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator["Customer"]:
        """Serve on 127.0.0.1, on a free port where none is given."""
        runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", port)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()


async def hang_up(request: web.BaseRequest) -> web.StreamResponse:
    """End the connection without an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()
