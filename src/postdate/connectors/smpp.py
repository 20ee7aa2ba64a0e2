"""The SMPP connector: links to a carrier's SMSC that are kept up, and messages, receipts and inbound over them.

What is told of a submission is what its bytes say. Not written: Unreachable. Answered: Accepted, Refused or Busy, as
the status says at this carrier. Written and not answered, or lost with its link: InDoubt; an answer that comes after
all becomes a LateAnswer.

The parts of this: `smpp_desk` (submissions), `smpp_line` and `smpp_link` (links), `smpp_outgoing` and `smpp_incoming`
(what is on the wire), `smpp_news` (events to disk).

SMPP finds a message by the id in its answer, which one in doubt has not got. A carrier that also finds it by
`user_message_reference` in `query_sm`, and says so in its documents, can be asked: see `query_by_reference`. The
reference has 16 bits, so a carrier that keeps n other messages of a sender finds a wrong one in n of 65,536 questions.

Time-outs and pauses of the network go by the machine's clock, whatever a test clock says: the carrier's does not jump.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, cast

import structlog

from postdate.clock import Clock, SystemClock
from postdate.connectors.contract import Condition, Inbound, OnEvent, Receipt, State, Submission
from postdate.connectors.smpp_desk import Desk
from postdate.connectors.smpp_handover import Handover
from postdate.connectors.smpp_incoming import Told, read
from postdate.connectors.smpp_line import Line, tls_context
from postdate.connectors.smpp_link import LEAVING, Link, LinkLost
from postdate.connectors.smpp_news import News
from postdate.connectors.smpp_outgoing import Outgoing, first_reference, reference_octets
from postdate.connectors.smpp_repeats import Repeats
from postdate.connectors.smpp_settings import SmppSettings
from postdate.core.instant import MILLISECOND
from postdate.core.message import Event
from postdate.core.outcome import Accepted, InDoubt, Outcome, Refused, Unreachable
from postdate.smpp.codes import Status, Tag
from postdate.smpp.pdu import BindMode, DataSm, DeliverSm, Pdu, QuerySm, QuerySmResp, SubmitSm, SubmitSmResp
from postdate.smpp.session import RequestRejected, StrayResponse

_log = structlog.get_logger(__name__)
_CLOSED: Final = "the connection is closed"
_NOT_FOUND: Final = (Status.RINVMSGID, Status.RQUERYFAIL)
_IDS_KNOWN: Final = 65_536
_NAME_LENGTH: Final = 16
_LAST_WORD: Final = 400 * MILLISECOND
_MODES: Final = {
    "transceiver": (BindMode.TRANSCEIVER,),
    "transmitter_receiver": (BindMode.TRANSMITTER, BindMode.RECEIVER),
}


class SmppConnector:
    """One carrier over SMPP; see the module. `chance` gives numbers in [0, 1)."""

    def __init__(
        self, settings: SmppSettings, clock: Clock, chance: Callable[[], float], wire: Clock | None = None
    ) -> None:
        self.condition = Condition()
        self._settings = settings
        self._clock = clock
        self._wire = wire or SystemClock()
        self._chance = chance
        self._outgoing = Outgoing(settings, chance)
        self._repeats = Repeats(self._wire)
        self._news = News(self._wire, self._unheard)
        self._desk = Desk(clock, self._wire, self._outgoing, self._news.tell)
        self._lines: list[Line] = []
        self._links: list[Link] = []
        self._counts: dict[str, int] = {}
        self._closing = False
        self._told = ""  # in the log, since the last bind
        # Whose the carrier's latest ids are, so that a reference that two messages share is seen, and an id given anew.
        self._given: OrderedDict[str, str] = OrderedDict()

    @property
    def idle(self) -> bool:
        """Say whether all that is still to happen waits for `not_before`."""
        return self._desk.idle and self._news.idle

    # --- the contract ---

    async def open(self, on_event: OnEvent) -> None:
        """Start to connect; carrier events go to `on_event`, up to 256 at once. Files that cannot be read: DOWN."""
        settings = self._settings
        self._closing = False
        self.condition.details = {"bind": settings.bind}
        self._news.open(on_event)
        self._desk.open()
        try:
            tls = tls_context(settings)
        except OSError:
            self.condition.state = State.DOWN
            self._note("ca_file, certificate_file or key_file cannot be used: check that they are PEM and readable")
            return
        self.condition.state = State.CONNECTING
        for mode in _MODES[settings.bind] * settings.links:
            line = Line(settings, mode, tls, self._wire, self)
            self._lines.append(line)
            line.start(self._chance)

    def submit(self, batch: Sequence[Submission]) -> AsyncIterator[tuple[Submission, Outcome]]:
        """Hand over a batch; yield an outcome for each. What was not begun when nobody asks any more never leaves."""
        return self._desk.submit(batch)

    async def drain(self) -> None:
        """Return when nothing that was submitted is without an outcome."""
        await self._desk.drain()

    async def close(self) -> None:
        """Stop: wait for open answers, unbind, and end what is left as InDoubt or Unreachable; within three seconds."""
        self._closing = True
        self._desk.close(_CLOSED)
        until = self._wire.monotonic() + LEAVING
        await asyncio.gather(*(link.quiet(LEAVING) for link in self._links))
        await self._news.close(self._left(until))
        await asyncio.gather(*(line.stop(self._left(until)) for line in self._lines))
        self._lines.clear()
        self.condition.state = State.CLOSED

    def _left(self, until: int) -> int:
        """Return what is left of the time to close: enough for a word to a carrier that is there."""
        return max(until - self._wire.monotonic(), _LAST_WORD)

    async def ask(self, submission: Submission) -> Accepted | Unreachable | InDoubt:
        """Find out what became of a message, by its reference; InDoubt where the carrier cannot be asked so.

        A long message is there if all its parts are, and is not if none of them is.
        """
        if not self._settings.query_by_reference:
            return InDoubt("this connection cannot be asked: see query_by_reference")
        parts = self._outgoing.write(submission, self._clock.now())
        link = next((link for link in self._links if link.sends), None)
        if isinstance(parts, Refused) or link is None:
            return InDoubt("there is no link to ask over")
        reference = first_reference(submission.sid)
        try:
            answers = [await self._ask(link, part, reference + index) for index, part in enumerate(parts)]
        except LinkLost:
            return InDoubt("the carrier did not answer the question")
        return self._verdict(submission.sid, answers)

    async def _ask(self, link: Link, part: SubmitSm, reference: int) -> Pdu:
        tlvs = ((Tag.USER_MESSAGE_REFERENCE, reference_octets(reference)),)
        return await link.query(QuerySm("", part.source_addr_ton, part.source_addr_npi, part.source_addr, tlvs))

    def _verdict(self, sid: str, answers: Sequence[Pdu]) -> Accepted | Unreachable | InDoubt:
        found = [one.body for one in answers if one.status == 0 and isinstance(one.body, QuerySmResp)]
        if len(found) == len(answers):
            carrier_ref = self._outgoing.carrier_ref(found[-1].message_id, sid)
            if self._given.get(carrier_ref, sid) != sid:
                return InDoubt("the carrier found another message with the same reference")
            return Accepted(carrier_ref)
        if all(one.status in _NOT_FOUND for one in answers):
            return Unreachable("the carrier does not know it")
        return InDoubt("the carrier has some of its parts only, or could not say")

    # --- what links tell ---

    def answered(self, link: Link, token: object, answer: Pdu, late: bool) -> None:
        """Take the answer to a part of a submission."""
        handover, index = _part(token)
        if answer.status == 0:
            self._remember(handover, answer)
        self._desk.answered(handover, index, answer, late)

    def unanswered(self, link: Link, token: object, why: str, written: bool) -> None:
        """Hear that a part of a submission has no answer."""
        handover, index = _part(token)
        self._desk.unanswered(handover, index, why, written)

    def has_room(self, link: Link) -> None:
        """Send what waits."""
        self._desk.feed(link)

    def delivered(self, link: Link, request: Pdu) -> None:
        """Take a receipt or an inbound message; what has no meaning for a customer is acknowledged at once."""
        body = request.body
        assert isinstance(body, DeliverSm | DataSm)
        heard = read(body, self._settings)
        event = self._receipt(heard) if isinstance(heard, Told) else heard
        if event is None or (isinstance(event, Inbound) and self._repeats.take(body)):
            link.acknowledge(request, Status.ROK)
        else:
            self._news.take(event, link, request)

    def _unheard(self, request: Pdu) -> None:
        body = request.body
        if isinstance(body, DeliverSm | DataSm):
            self._repeats.expect(body)

    def odd(self, link: Link, event: RequestRejected | StrayResponse) -> None:
        """Count what could not be used, and log a little of it: never its bytes, which hold people's messages."""
        name = "stray answers" if isinstance(event, StrayResponse) else "unusable requests"
        count = self._counts[name] = self._counts.get(name, 0) + 1
        self.condition.details[name] = str(count)
        if count & (count - 1) == 0:  # the first, second, fourth ..: a carrier cannot fill the log
            octets = len(event.frame) if isinstance(event, RequestRejected) else 0
            _log.warning("smpp: " + name, command=f"0x{event.command:08X}", octets=octets, so_far=count)

    def bound(self, link: Link) -> None:
        """Use a link."""
        self._links.append(link)
        smsc = "".join(letter for letter in link.smsc if letter.isalnum() or letter in "-_.")[:_NAME_LENGTH]
        if smsc:
            self.condition.details["smsc"] = smsc
        self._told = ""
        _log.info("smpp: bound", links=len(self._links), host=self._settings.host, port=self._settings.port)
        self._refresh()
        if link.sends:
            self._desk.add(link)

    def ended(self, link: Link, why: str) -> None:
        """Use a link no more."""
        if link in self._links:
            self._links.remove(link)
        self._desk.remove(link, why)
        if not self._closing:
            self._note(why)
        self._refresh()

    def trouble(self, why: str) -> None:
        """Show why there is no link."""
        self._desk.explain(why)
        self._note(why)
        self._refresh()

    def _refresh(self) -> None:
        condition = self.condition
        condition.links = len(self._links)
        condition.details["links"] = f"{len(self._links)} of {len(self._lines)}"
        sending = sum(link.sends for link in self._links)
        condition.at_once = self._settings.in_flight * max(sending, 1)
        condition.state = State.READY if sending else State.DOWN

    def _note(self, why: str) -> None:
        if why != self._told:  # once, however often it is tried
            _log.warning("smpp: no link", why=why, host=self._settings.host, port=self._settings.port)
        self._told = self.condition.last_error = why
        self.condition.last_error_at = self._clock.now()

    # --- whose is it ---

    def _receipt(self, told: Told) -> Receipt | None:
        receipt = told.receipt
        sid, early = self._desk.owner_of(receipt.carrier_ref, told.reference, told.handset)
        if sid is None or self._given.get(receipt.carrier_ref, sid) != sid:
            self._desk.note_stranger(receipt)
            return receipt if receipt.carrier_ref else None
        if early and receipt.event is Event.DELIVER:
            return None  # the last part says whether the message was delivered
        return Receipt(receipt.carrier_ref, receipt.event, receipt.error_code, sid)

    def _remember(self, handover: Handover, answer: Pdu) -> None:
        if isinstance(answer.body, SubmitSmResp) and answer.body.message_id:
            sid = handover.submission.sid
            self._given[self._outgoing.carrier_ref(answer.body.message_id, sid)] = sid
            if len(self._given) > _IDS_KNOWN:
                self._given.popitem(last=False)


def _part(token: object) -> tuple[Handover, int]:
    return cast(tuple[Handover, int], token)  # it is what the desk gave to `Link.submit`
