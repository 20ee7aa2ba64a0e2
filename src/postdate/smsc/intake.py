"""submit_sm in, answers out: the text is read, parts are joined, the simulated carrier decides, the link hears of it.

What came within one turn of the loop goes to the carrier together. A message is the same one again if the ESME gives
it the same reference, or, without one, if it says the same to the same recipient: that is how the carrier's script
counts attempts.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from postdate.clock import Clock
from postdate.connectors.contract import Part, Submission
from postdate.connectors.sandbox import Exchange, Sandbox
from postdate.connectors.sandbox_agenda import Agenda
from postdate.connectors.smpp_text import Coding, read_text
from postdate.core.address import Channel
from postdate.core.instant import DAY, SECOND, Instant, Monotonic
from postdate.core.outcome import Accepted, Busy, InDoubt, Outcome, Refused, Unreachable
from postdate.core.segment import count_segments
from postdate.smpp.codes import Status, Tag
from postdate.smpp.pdu import DataSmResp, Pdu, SubmitSm, SubmitSmResp
from postdate.smpp.receipt import MessageState
from postdate.smsc.addresses import WireAddress, read_address
from postdate.smsc.link import Link
from postdate.smsc.messages import Joiner, Messages, Taken, Whole, write_id
from postdate.smsc.receipts import error_of
from postdate.smsc.times import InvalidTime, read_time
from postdate.smsc.wire_script import Act, Fault, WireScript

_KNOWN_ATTEMPTS: Final = 10_000
_USUAL_VALIDITY: Final = 2 * DAY
_TRY_AGAIN: Final = 1 * SECOND
_LONGEST_ADDRESS: Final = 20
_LONGEST_PAYLOAD: Final = 8_192  # octets, so that what handsets show is bounded
_LONGEST_REFERENCE: Final = 2

_Key = tuple[str, str, str, str | bytes]


@dataclass(slots=True)
class Counts:
    """What came and what became of it, in submit_sm."""

    submitted: int = 0
    accepted: int = 0
    refused: int = 0
    busy: int = 0
    unanswered: int = 0


@dataclass(slots=True, eq=False)
class _Asked:
    """A submit_sm whose answer the carrier gives; without a link it was answered, and waited for its time."""

    taken: Taken
    whole: Whole
    part: Part | None
    key: _Key
    link: Link | None
    pdu: Pdu
    fault: Fault | None
    submission: Submission | None = None


class Intake:
    """Takes submit_sm of all links."""

    def __init__(self, sandbox: Sandbox, clock: Clock, script: WireScript, messages: Messages, first_id: int) -> None:
        self.counts = Counts()
        self.dedupe = False  # whether the carrier knows an ESME's reference again
        self.finished: Callable[[Taken], None] = lambda taken: None
        self.sent_from: Callable[[Taken], None] = lambda taken: None
        self._sandbox = sandbox
        self._clock = clock
        self._script = script
        self._messages = messages
        self._next_id = first_id
        self._joiner = Joiner()
        self._attempts: OrderedDict[_Key, int] = OrderedDict()
        self._gathered: list[_Asked] = []
        self._open: dict[int, _Asked] = {}  # by the identity of its submission
        self._exchange = Exchange()
        self.agenda: Agenda[Callable[[], None]] = Agenda(clock, lambda act: act())

    # -- taking ------------------------------------------------------------------------------------------------------

    def take(self, link: Link, pdu: Pdu, body: SubmitSm) -> None:
        """Take a submit_sm of a link; it is answered in its time."""
        counts = self.counts
        counts.submitted += 1
        fault = self._script.due(counts.submitted) if self._script.faults else None
        if fault is not None and not self._goes_on(link, pdu, fault):
            return
        at = self._clock.now()
        try:
            starts_at, expires_at = _times(body, at)
        except InvalidTime as wrong:
            self._refuse(link, pdu, wrong.status)
            return
        if (status := _fault_in(body)) is not None:
            self._refuse(link, pdu, status)
            return
        read = read_text(body, Coding.GSM7)
        taken = _taken(self._next_id, link.owner, body, read.text, at)
        self._next_id += 1
        link.unanswered += 1
        self.sent_from(taken)
        whole: Whole | None = (taken,) if read.part is None else self._joiner.add(taken, read.part)
        if whole is None:
            self._messages.add_part(taken)
            counts.accepted += 1
            self._say(_Asked(taken, (), read.part, _NO_KEY, link, pdu, fault), _answer(self._id(taken), pdu))
            return
        asked = _Asked(taken, whole, read.part, _key(taken, whole), link, pdu, fault)
        asked.submission = self._submission(asked, at, expires_at)
        if starts_at > at:
            self._wait(asked, starts_at)
        else:
            self._gather(asked)

    def _gather(self, asked: _Asked) -> None:
        if not self._gathered:
            asyncio.get_running_loop().call_soon(self.hand_over)
        self._gathered.append(asked)

    def _submission(self, asked: _Asked, at: Instant, expires_at: Instant) -> Submission:
        taken, whole = asked.taken, asked.whole
        body = taken.text if len(whole) == 1 else "".join(part.text for part in whole)
        known = self.dedupe and taken.reference is not None
        return Submission(
            sid="/".join(map(str, asked.key)) if known else self._id(taken),
            attempt=self._attempts.get(asked.key, 0) + 1,
            sender=taken.sender,
            recipient=taken.recipient,
            channel=Channel.SMS,
            body=body,
            segments=len(whole) if asked.part else count_segments(body),
            not_before=at,
            expires_at=expires_at,
        )

    def hand_over(self) -> None:
        """Hand what was gathered to the carrier now: a question that comes behind a message must see it."""
        gathered, self._gathered = self._gathered, []
        batch = []
        for asked in gathered:
            assert asked.submission is not None
            batch.append(asked.submission)
            self._open[id(asked.submission)] = asked
        self._sandbox.hand_over(batch, self._exchange)
        for asked in gathered:
            submission = asked.submission
            assert submission is not None
            carrier_ref = self._sandbox.reference_of(submission.sid)
            if carrier_ref is not None and not self._messages.of(carrier_ref):
                self._messages.add(carrier_ref, asked.whole)
        self._settle_all()

    # -- settling ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Give the answers that come later, for ever."""
        while True:
            await self._exchange.more.wait()
            self._exchange.more.clear()
            self._settle_all()

    def _settle_all(self) -> None:
        ready = self._exchange.ready
        while ready:
            submission, outcome = ready.popleft()
            asked = self._open.pop(id(submission))
            if asked.link is None:
                self._settle_scheduled(asked, outcome)
            else:
                self._settle(asked, outcome)

    def _settle(self, asked: _Asked, outcome: Outcome) -> None:
        counts = self.counts
        self._count_attempt(asked, outcome)
        match outcome:
            case Accepted(carrier_ref):
                counts.accepted += 1
                whole = self._messages.of(carrier_ref)
                # Of a message that the carrier knew already, the id that was given first.
                known = asked.taken if not whole or asked.taken in whole else whole[-1]
                self._say(asked, _answer(self._id(known), asked.pdu))
            case Refused(code):
                counts.refused += 1
                self._say(asked, self._script.refusal(code))
            case Busy():
                counts.busy += 1
                self._say(asked, self._script.busy_status)
            case Unreachable():
                counts.busy += 1
                self._say(asked, Status.RSYSERR)
            case InDoubt():
                counts.unanswered += 1
                self._done(asked)

    def _count_attempt(self, asked: _Asked, outcome: Outcome) -> None:
        """Remember an attempt that may be made again, and forget those of a message that is taken or refused."""
        comes_again = not isinstance(outcome, Accepted | Refused)
        if asked.part is not None and not isinstance(outcome, Busy | Unreachable):
            self._joiner.done(asked.taken, asked.part)
        if comes_again:
            self._attempts[asked.key] = self._attempts.pop(asked.key, 0) + 1
            if len(self._attempts) > _KNOWN_ATTEMPTS:
                self._attempts.popitem(last=False)
        elif self._attempts:
            self._attempts.pop(asked.key, None)

    def _say(self, asked: _Asked, answer: SubmitSmResp | DataSmResp | int) -> None:
        """Answer, unless the script has another idea of it."""
        link, pdu, fault = asked.link, asked.pdu, asked.fault
        assert link is not None
        if fault is None or fault.act in (Act.STATUS, Act.SEND):
            link.answer(pdu, answer)
        elif fault.act is Act.ANSWER_TWICE:
            link.answer(pdu, answer)
            link.answer(pdu, answer)
        elif fault.act is Act.ANSWER_LATE:
            self.later(fault.delay, lambda: link.answer(pdu, answer))
        self._done(asked)

    def _done(self, asked: _Asked) -> None:
        link, fault = asked.link, asked.fault
        assert link is not None
        link.unanswered -= 1
        if fault is not None and fault.act is Act.KILL:
            link.kill()
        elif fault is not None and fault.act is Act.SILENCE:
            link.fall_silent()

    def _refuse(self, link: Link, pdu: Pdu, status: int) -> None:
        self.counts.refused += 1
        link.answer(pdu, status)

    def _goes_on(self, link: Link, pdu: Pdu, fault: Fault) -> bool:
        """Do what the script says is wrong before anything is taken; say whether the message is looked at at all."""
        if fault.act is Act.SEND:
            link.say(fault.octets)
        elif fault.act is Act.STATUS:
            self._refuse(link, pdu, fault.status)
            return False
        if fault.taken:
            return True
        self.hand_over()  # what came before it is answered
        if fault.act is Act.KILL:
            link.kill()
        elif fault.act is Act.SILENCE:
            link.fall_silent()
        return False

    # -- what waits for its time -------------------------------------------------------------------------------------

    def _wait(self, asked: _Asked, starts_at: Instant) -> None:
        for part in asked.whole:
            part.state, part.whole = MessageState.SCHEDULED, asked.whole
        self._messages.add(f"scheduled {asked.taken.number}", asked.whole)
        self.counts.accepted += 1
        self._say(asked, _answer(self._id(asked.taken), asked.pdu))
        if asked.part is not None:
            self._joiner.done(asked.taken, asked.part)
        asked.link = None
        self.later(starts_at - self._clock.now(), lambda: self._begin(asked))

    def _begin(self, asked: _Asked) -> None:
        if asked.taken.state is not MessageState.SCHEDULED:
            return  # it was called off
        for part in asked.whole:
            part.state = MessageState.ENROUTE
        self._gather(asked)

    def _settle_scheduled(self, asked: _Asked, outcome: Outcome) -> None:
        if isinstance(outcome, Busy | Unreachable):
            assert asked.submission is not None
            asked.submission = replace(asked.submission, attempt=asked.submission.attempt + 1)
            for part in asked.whole:
                part.state = MessageState.SCHEDULED
            self.later(_TRY_AGAIN, lambda: self._begin(asked))
        elif isinstance(outcome, Refused):
            for part in asked.whole:
                part.state, part.error = MessageState.REJECTED, error_of(outcome.code)
                self.finished(part)

    def call_off(self, taken: Taken) -> bool:
        """Take back a message whose time has not come; say whether that was possible."""
        if taken.state is not MessageState.SCHEDULED:
            return False
        for part in taken.whole:
            part.state = MessageState.DELETED
            self.finished(part)
        return True

    def later(self, micros: int, act: Callable[[], None]) -> None:
        """Do something so many microseconds from now."""
        self.agenda.add(Monotonic(self._clock.monotonic() + micros), act)
        self.agenda.catch_up()

    def _id(self, taken: Taken) -> str:
        return write_id(taken.number, self._script.response_ids)


_NO_KEY: Final[_Key] = ("", "", "", "")


def _key(taken: Taken, whole: Whole) -> _Key:
    reference = taken.reference
    return taken.owner, taken.sender, taken.recipient, whole[0].text if reference is None else reference


def _answer(message_id: str, pdu: Pdu) -> SubmitSmResp | DataSmResp:
    return SubmitSmResp(message_id) if isinstance(pdu.body, SubmitSm) else DataSmResp(message_id)


def _fault_in(body: SubmitSm) -> int | None:
    """Return the status of a message that is not looked at further; None where nothing is wrong."""
    if not 0 < len(body.destination_addr) <= _LONGEST_ADDRESS:
        return Status.RINVDSTADR
    if len(body.source_addr) > _LONGEST_ADDRESS:
        return Status.RINVSRCADR
    if body.tlvs and len(body.tlv(Tag.MESSAGE_PAYLOAD) or b"") > _LONGEST_PAYLOAD:
        return Status.RINVMSGLEN
    return None


def _taken(number: int, owner: str, body: SubmitSm, text: str, at: Instant) -> Taken:
    reference = body.tlv(Tag.USER_MESSAGE_REFERENCE)
    source = WireAddress(body.source_addr_ton, body.source_addr_npi, body.source_addr)
    destination = WireAddress(body.dest_addr_ton, body.dest_addr_npi, body.destination_addr)
    return Taken(
        number,
        owner,
        source,
        destination,
        read_address(source.ton, source.text),
        read_address(destination.ton, destination.text),
        body.registered_delivery,
        None if reference is None else reference[:_LONGEST_REFERENCE],
        text,
        at,
    )


def _times(body: SubmitSm, at: Instant) -> tuple[Instant, Instant]:
    """Return when a message shall be delivered, and until when; raise InvalidTime."""
    if not body.schedule_delivery_time and not body.validity_period:
        return at, Instant(at + _USUAL_VALIDITY)
    starts_at = read_time(body.schedule_delivery_time, at, Status.RINVSCHED) or at
    expires_at = read_time(body.validity_period, at, Status.RINVEXPIRY)
    return starts_at, expires_at or Instant(starts_at + _USUAL_VALIDITY)
