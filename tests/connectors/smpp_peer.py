"""An SMSC for tests, made of our own session in its other role: each test says what it does with what it gets.

A test in which something is not answered in time gives the connector a `still_wire` and lets time `pass_by` on it, for
on a busy machine what is answered takes longer than any short time of the machine's clock.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec

from postdate.clock import Clock, SystemClock, TestClock, breathe
from postdate.connectors.contract import CarrierEvent, OnEvent, Submission
from postdate.connectors.smpp import SmppConnector
from postdate.connectors.smpp_settings import SmppSettings
from postdate.core.address import Channel
from postdate.core.instant import HOUR, SECOND, Instant
from postdate.core.outcome import Outcome
from postdate.smpp.codes import Status
from postdate.smpp.pdu import (
    Bind,
    DataSm,
    DeliverSm,
    EnquireLink,
    Pdu,
    QuerySm,
    Request,
    SubmitSm,
    SubmitSmResp,
    Unbind,
)
from postdate.smpp.session import Event, RequestReceived, ResponseReceived, Role, Session

PASSWORD = "hush-hush"
SENDER = "+15550001111"
RECIPIENT = "+15550002222"


async def until(holds: Callable[[], Any], rounds: int = 100_000) -> None:
    """Let everything run until `holds`; fail if it never does."""
    for _ in range(rounds):
        if holds():
            return
        await breathe(0.0005)
    raise AssertionError("it never came about")


async def some_turns() -> None:
    """Let what is on its way between the two ends arrive."""
    for _ in range(20):
        await breathe(0.0005)


def still_wire() -> TestClock:
    """Return a clock for a connector's wire on which no time passes but by `pass_by`."""
    return TestClock(SystemClock().now(), frozen=True)


async def pass_by(wire: TestClock, seconds: float) -> None:
    """Let time pass on the wire, with all that happens in it."""
    await wire.advance_to(Instant(wire.now() + round(seconds * SECOND)), some_turns)


class SmscLink(asyncio.Protocol):
    """One connection at the SMSC."""

    def __init__(self, smsc: "Smsc") -> None:
        self.smsc = smsc
        self.session = Session(Role.SMSC)
        self.transport: asyncio.Transport
        self.bind: Bind | None = None
        self.closed = False
        self.answers: list[int] = []  # statuses of the answers to our deliveries, as they came

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self.smsc.links.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True

    def data_received(self, data: bytes) -> None:
        for event in self.session.receive(data):
            self.smsc.events.append(event)
            if isinstance(event, RequestReceived):
                self.smsc.handle(self, event.pdu)
            elif isinstance(event, ResponseReceived) and isinstance(event.sent.request, DeliverSm | DataSm):
                self.answers.append(event.pdu.status)

    def answer(self, request: Pdu, answer: Any = Status.ROK) -> None:
        """Answer with a body or a status, if the connection still stands."""
        if not self.closed:
            self.write(self.session.respond(request, answer))

    def write(self, octets: bytes) -> None:
        self.transport.write(octets)

    def send(self, body: Request) -> int:
        """Send a request and return its number."""
        sequence, frame = self.session.request(body)
        self.write(frame)
        return sequence

    def kill(self) -> None:
        self.transport.abort()


@dataclass
class Smsc:
    """All connections of one SMSC; `on_submit` says what it does with each message."""

    on_submit: Callable[[SmscLink, Pdu], None] | None = None
    on_query: Callable[[QuerySm], Any] = lambda query: Status.RINVMSGID
    bind_status: int = Status.ROK
    silent: bool = False  # it answers nothing but the bind
    links: list[SmscLink] = field(default_factory=list)
    submits: list[SubmitSm] = field(default_factory=list)
    queries: list[QuerySm] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    requests: list[Pdu] = field(default_factory=list)
    port: int = 0

    @property
    def bound(self) -> list[SmscLink]:
        return [link for link in self.links if link.bind is not None and not link.closed]

    def handle(self, link: SmscLink, request: Pdu) -> None:
        body = request.body
        self.requests.append(request)
        match body:
            case Bind():
                link.bind = body if self.bind_status == Status.ROK else None
                link.answer(request, self.bind_status)
            case SubmitSm():
                self.submits.append(body)
                (self.on_submit or take)(link, request)
            case QuerySm():
                self.queries.append(body)
                link.answer(request, self.on_query(body))
            case EnquireLink() | Unbind() if not self.silent:
                link.answer(request)

    @property
    def unbinds(self) -> int:
        return sum(isinstance(request.body, Unbind) for request in self.requests)


def take(link: SmscLink, request: Pdu) -> None:
    """Accept; the id tells which message it was, counted over all links from 1."""
    link.answer(request, SubmitSmResp(f"id-{len(link.smsc.submits)}"))


def refuse(status: int) -> Callable[[SmscLink, Pdu], None]:
    return lambda link, request: link.answer(request, status)


def say_nothing(link: SmscLink, request: Pdu) -> None:
    pass


@asynccontextmanager
async def serving(smsc: Smsc, tls: ssl.SSLContext | None = None) -> AsyncIterator[Smsc]:
    """Run the SMSC on a free port."""
    server = await asyncio.get_running_loop().create_server(lambda: SmscLink(smsc), "127.0.0.1", smsc.port, ssl=tls)
    smsc.port = server.sockets[0].getsockname()[1]
    try:
        yield smsc
    finally:
        server.close()
        for link in smsc.links:
            if not link.closed:
                link.kill()
        await server.wait_closed()


def settings_for(port: int, **changes: Any) -> SmppSettings:
    """Read settings as they are stored; times are short, for these are real ones."""
    given = {
        "host": "127.0.0.1",
        "port": port,
        "system_id": "postdate",
        "password": PASSWORD,
        "reconnect_first": 0.01,
        "reconnect_longest": 0.05,
        **changes,
    }
    return msgspec.convert(given, SmppSettings)


async def forget(_: CarrierEvent) -> None:
    """Take an event and do nothing."""


@asynccontextmanager
async def connected(
    smsc: Smsc, on_event: OnEvent = forget, clock: Clock | None = None, wire: Clock | None = None, **changes: Any
) -> AsyncIterator[SmppConnector]:
    """Open a connector to the SMSC and wait for its links, if it will bind them; close it at the end."""
    settings = settings_for(smsc.port, **changes)
    connector = SmppConnector(settings, clock or SystemClock(), lambda: 0.0, wire)
    links = settings.links * (1 if settings.bind == "transceiver" else 2)
    try:
        await connector.open(on_event)
        if smsc.bind_status == Status.ROK:
            await until(lambda: connector.condition.links == links)
        yield connector
    finally:
        if isinstance(wire, TestClock):
            wire.resume()  # to close takes a while where the SMSC is silent
        await connector.close()


def submission(number: int = 1, body: str = "", not_before: Instant | None = None, **changes: Any) -> Submission:
    """Return a message that is due now; its reference is its number."""
    now = SystemClock().now()
    given: dict[str, Any] = {
        "sid": f"SM{number:032x}",
        "attempt": 1,
        "sender": SENDER,
        "recipient": RECIPIENT,
        "channel": Channel.SMS,
        "body": body or f"Hello {number}",
        "segments": 1,
        "not_before": now if not_before is None else not_before,
        "expires_at": Instant(now + 4 * HOUR),
    }
    return Submission(**{**given, **changes})


async def outcomes(connector: SmppConnector, batch: Sequence[Submission]) -> list[Outcome]:
    """Hand over a batch and return the outcomes in its order: exactly one for each."""
    found: dict[str, Outcome] = {}
    async for one, outcome in connector.submit(batch):
        assert one.sid not in found
        found[one.sid] = outcome
    return [found[one.sid] for one in batch]


async def outcome_of(connector: SmppConnector, one: Submission) -> Outcome:
    (outcome,) = await outcomes(connector, [one])
    return outcome


def begin(connector: SmppConnector, batch: Sequence[Submission]) -> asyncio.Task[list[Outcome]]:
    """Hand over in a task of its own."""
    return asyncio.get_running_loop().create_task(outcomes(connector, batch))
