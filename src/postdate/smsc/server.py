"""The SMSC as a whole: it listens, hands what comes to the desk, and what the carrier tells to whom it is for.

Receipts and replies are the SMSC's as soon as the carrier has told them: they are kept until an ESME has said that it
has them. All is in memory; an SMSC that ends forgets everything.
"""

import asyncio
from collections import OrderedDict
from typing import Final

from postdate.api.server import CannotListen
from postdate.clock import Clock, Timer
from postdate.connectors.contract import CarrierEvent, Inbound, Receipt
from postdate.connectors.sandbox import Sandbox
from postdate.connectors.sandbox_script import Script
from postdate.core.instant import SECOND, Monotonic
from postdate.core.message import Event
from postdate.smpp.receipt import MessageState
from postdate.smsc.addresses import WireAddress
from postdate.smsc.desk import Desk
from postdate.smsc.intake import Counts, Intake
from postdate.smsc.link import Link
from postdate.smsc.messages import Taken
from postdate.smsc.outbox import Delivery
from postdate.smsc.receipts import error_of, is_wanted, receipt_of, replies_of
from postdate.smsc.settings import SmscSettings
from postdate.smsc.wire_script import WireScript

_TICK: Final = 1 * SECOND
_LEAVE_WITHIN: Final = 2 * SECOND
_KNOWN_SENDERS: Final = 10_000
_NO_RULES: Final = Script()
_NO_FAULTS: Final = WireScript()


class Smsc:
    """An SMSC with a simulated carrier behind it. Owned by one event loop."""

    def __init__(
        self, settings: SmscSettings, clock: Clock, script: Script = _NO_RULES, wire_script: WireScript = _NO_FAULTS
    ) -> None:
        self.sandbox = Sandbox(clock, settings.seed, script)
        self.port = settings.port
        self._settings = settings
        self._clock = clock
        self._script = wire_script
        self._desk = Desk(settings, clock, wire_script)
        first_id = clock.now() // SECOND << 20 if settings.first_id is None else settings.first_id
        self._intake = Intake(self.sandbox, clock, wire_script, self._desk.messages, first_id)
        self._intake.dedupe = script.dedupe
        self._intake.finished = self._tell
        self._intake.sent_from = self._note_sender
        self._desk.intake = self._intake
        self._senders: OrderedDict[str, tuple[str, WireAddress]] = OrderedDict()
        self._replies = 0
        self._server: asyncio.Server | None = None
        self._running: asyncio.Task[None] | None = None
        self._ticking: Timer | None = None

    @property
    def counts(self) -> Counts:
        """Return what came and what became of it."""
        return self._intake.counts

    @property
    def links(self) -> int:
        """Return how many links are bound."""
        return sum(owner.links for owner in self._desk.owners.values())

    @property
    def waiting(self) -> int:
        """Return how many receipts and replies wait for a link."""
        return sum(len(owner.outbox) for owner in self._desk.owners.values())

    async def start(self) -> int:
        """Listen; return the port. Raise CannotListen."""
        settings = self._settings
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: Link(self._desk, settings, self._clock), settings.host, settings.port, ssl=settings.tls
            )
        except OSError as error:
            raise CannotListen(
                f"cannot listen on {settings.host}:{settings.port}: {error.strerror}: choose another --port or --host"
            ) from None
        self.port = self._server.sockets[0].getsockname()[1]
        await self.sandbox.open(self._on_event)
        self._intake.agenda.start()
        self._running = loop.create_task(self._intake.run())
        self._tick()
        return self.port

    async def stop(self) -> None:
        """Unbind from everybody, and end within two seconds."""
        if self._server is None or self._running is None:
            return
        self._server.close()
        if self._ticking is not None:
            self._ticking.cancel()
        self._intake.agenda.stop()
        for link in list(self._desk.links):
            link.leave()
        await self._all_gone()
        for link in list(self._desk.links):
            link.kill()
        self._running.cancel()
        await asyncio.wait([self._running])
        await self.sandbox.close()
        self._server = None

    async def _all_gone(self) -> None:
        """Return when every link is closed, after two seconds at the latest."""
        over = asyncio.Event()
        self._desk.all_gone = over.set
        timer = self._clock.call_at(Monotonic(self._clock.monotonic() + _LEAVE_WITHIN), over.set)
        if self._desk.links:
            await over.wait()
        timer.cancel()

    def _tick(self) -> None:
        now = self._clock.monotonic()
        for link in list(self._desk.links):
            link.tick(now)
        self._ticking = self._clock.call_at(Monotonic(now + _TICK), self._tick)

    # -- what the carrier tells --------------------------------------------------------------------------------------

    def _on_event(self, event: CarrierEvent) -> asyncio.Future[None]:
        """Keep what the carrier tells; it is kept at once, so this is a plain function and costs no task."""
        match event:
            case Receipt(carrier_ref, moved, error_code):
                if moved is not Event.READ:  # SMPP has no word for it
                    state = MessageState.DELIVERED if moved is Event.DELIVER else MessageState.UNDELIVERABLE
                    for taken in self._desk.messages.of(carrier_ref):
                        taken.state, taken.error = state, error_of(error_code)
                        self._tell(taken)
            case Inbound():
                self._reply(event)
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        kept.set_result(None)
        return kept

    def _tell(self, taken: Taken) -> None:
        """Tell whoever sent a message that it is final, where that was asked for."""
        taken.done_at = self._clock.now()
        if is_wanted(taken):
            receipt = receipt_of(taken, self._script.receipt_ids)
            self._desk.owners[taken.owner].outbox.add(Delivery(receipt))

    def _note_sender(self, taken: Taken) -> None:
        """Remember who sends from an address, and how it is written, for what is written back to it."""
        found = (taken.owner, taken.source)
        if self._senders.get(taken.sender) != found:
            self._senders[taken.sender] = found
            if len(self._senders) > _KNOWN_SENDERS:
                self._senders.popitem(last=False)

    def _reply(self, event: Inbound) -> None:
        first = next(iter(self._desk.owners))
        owner, address = self._senders.get(event.recipient, (first, None))
        self._replies = (self._replies + 1) % 256
        for part in replies_of(event, address, self._replies):
            self._desk.owners[owner].outbox.add(Delivery(part))
