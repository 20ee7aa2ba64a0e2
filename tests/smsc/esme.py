"""An ESME of our own for the tests of the SMSC, and an SMSC around it: real sockets, our session on the other side.

An `Esme` keeps all that it hears; `eventually` waits for something to be heard, and fails after a minute. What it hears
is the wire's: nothing here knows the SMSC's parts.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from postdate.clock import Clock, SystemClock, breathe
from postdate.connectors.sandbox_script import Script
from postdate.smpp.codes import Status
from postdate.smpp.pdu import Bind, BindMode, DeliverSm, EnquireLink, Pdu, Request, SubmitSm
from postdate.smpp.session import Ended, Event, RequestReceived, ResponseReceived, Role, Session
from postdate.smsc.server import Smsc
from postdate.smsc.settings import SmscSettings
from postdate.smsc.wire_script import WireScript

SECONDS = 60.0
SENDER = "15005550006"
HANDSET = "14155550101"
AT_ONCE = {"rules": [{"receipt": {"delay": 0}}]}


def text(body: str = "Hi", **changes: Any) -> SubmitSm:
    """Return a submit_sm that asks for a receipt."""
    fields: dict[str, Any] = {
        "source_addr_ton": 1,
        "source_addr_npi": 1,
        "source_addr": SENDER,
        "dest_addr_ton": 1,
        "dest_addr_npi": 1,
        "destination_addr": HANDSET,
        "registered_delivery": 1,
        "short_message": body.encode("ascii"),
    }
    return SubmitSm(**(fields | changes))


async def eventually(seen: Callable[[], object]) -> None:
    """Wait until something is so; fail after a minute."""
    async with asyncio.timeout(SECONDS):
        while not seen():
            await breathe(0.001)


@dataclass
class Esme(asyncio.Protocol):
    """One link to an SMSC. What `answers` is False for is never answered."""

    session: Session = field(default_factory=lambda: Session(Role.ESME))
    heard: list[Event] = field(default_factory=list)
    delivered: list[DeliverSm] = field(default_factory=list)
    octets: bytearray = field(default_factory=bytearray)
    answers: Callable[[Pdu], int | None] = lambda pdu: Status.ROK
    closed: bool = False
    transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.octets += data
        for event in self.session.receive(data):
            self.heard.append(event)
            if isinstance(event, RequestReceived):
                self._take(event.pdu)
            elif isinstance(event, Ended):
                self.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        self.session.end()

    def _take(self, pdu: Pdu) -> None:
        if isinstance(pdu.body, DeliverSm):
            self.delivered.append(pdu.body)
        status = self.answers(pdu)
        if status is not None:
            self.write(self.session.respond(pdu, status))

    def write(self, octets: bytes) -> None:
        assert self.transport is not None
        self.transport.write(octets)

    def send(self, *bodies: Request) -> list[int]:
        """Send requests in one piece; return their numbers."""
        numbered = [self.session.request(body) for body in bodies]
        self.write(b"".join(octets for _, octets in numbered))
        return [number for number, _ in numbered]

    def answer_to(self, number: int) -> Pdu | None:
        """Return the answer to a request, if there is one yet."""
        for event in self.heard:
            if isinstance(event, ResponseReceived) and event.sent.sequence == number:
                return event.pdu
        return None

    async def ask(self, *bodies: Request) -> list[Pdu]:
        """Send requests and return their answers, in the order of the requests."""
        numbers = self.send(*bodies)
        await eventually(lambda: all(self.answer_to(number) for number in numbers))
        return [pdu for number in numbers if (pdu := self.answer_to(number)) is not None]

    async def submit(self, *bodies: SubmitSm) -> list[tuple[int, str]]:
        """Send messages; return status and id of each answer."""
        return [(pdu.status, getattr(pdu.body, "message_id", "")) for pdu in await self.ask(*bodies)]

    async def receives(self, count: int) -> list[DeliverSm]:
        """Wait for so many deliver_sm in all, and return them; fail where there are more."""
        await eventually(lambda: len(self.delivered) >= count)
        assert len(self.delivered) == count
        return self.delivered

    async def closes(self) -> None:
        """Wait until the other side has closed."""
        await eventually(lambda: self.closed)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()


@dataclass
class Trial:
    """A running SMSC and the links to it."""

    smsc: Smsc
    clock: Clock
    links: list[Esme] = field(default_factory=list)

    async def connect(self, tls: ssl.SSLContext | None = None) -> Esme:
        """Connect without binding."""
        loop = asyncio.get_running_loop()
        name = "127.0.0.1" if tls is not None else None
        _, esme = await loop.create_connection(Esme, "127.0.0.1", self.smsc.port, ssl=tls, server_hostname=name)
        self.links.append(esme)
        return esme

    async def bind(
        self,
        mode: BindMode = BindMode.TRANSCEIVER,
        system_id: str = "postdate",
        password: str = "postdate",
        tls: ssl.SSLContext | None = None,
    ) -> Esme:
        """Connect and bind."""
        esme = await self.connect(tls)
        (answer,) = await esme.ask(Bind(mode, system_id, password))
        assert answer.status == Status.ROK
        return esme

    async def is_quiet(self, esme: Esme) -> None:
        """Return when all that was on its way to a link has arrived: the answer to a question comes behind it."""
        await esme.ask(EnquireLink())


@asynccontextmanager
async def a_trial(
    script: dict[str, Any] | None = None,
    wire: dict[str, Any] | None = None,
    clock: Clock | None = None,
    **settings: Any,
) -> AsyncIterator[Trial]:
    """Run an SMSC on a free port; receipts come at once unless `script` says otherwise."""
    clock = clock or SystemClock()
    smsc = Smsc(SmscSettings(port=0, **settings), clock, Script.parse(script or AT_ONCE), WireScript.parse(wire or {}))
    await smsc.start()
    trial = Trial(smsc, clock)
    try:
        yield trial
    finally:
        for esme in trial.links:
            if esme.transport is not None:
                esme.transport.abort()
        await smsc.stop()


def tlv(body: DeliverSm, tag: int) -> bytes:
    """Return a parameter, empty where it is missing."""
    return body.tlv(tag) or b""
