"""Where submissions wait for room on a link, and from where their outcomes go back.

Nothing leaves before its `not_before`, nor after it has expired. The parts of a long message go over one link, one
after the other, each in its own place in the window. What a link loses unwritten while no other link is bound is
unreachable at once, and so is all that waits. Parts that were not taken while others were are sent again for at most
half a minute: the message would be in doubt otherwise.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from postdate.clock import Clock
from postdate.connectors.contract import LateAnswer, Receipt, Submission
from postdate.connectors.providers.contract import UNKNOWN_FAILURE
from postdate.connectors.sandbox_agenda import Agenda
from postdate.connectors.smpp_handover import Exchange, Handover
from postdate.connectors.smpp_known import Known
from postdate.connectors.smpp_link import Link
from postdate.connectors.smpp_outgoing import Outgoing
from postdate.core.instant import SECOND, Instant, Monotonic
from postdate.core.outcome import Accepted, InDoubt, Outcome, Refused, Unreachable
from postdate.smpp.pdu import Pdu

PATIENCE: Final = 30 * SECOND
RESEND_AFTER: Final = 1 * SECOND
_EXPIRED: Final = Refused(30036, "it had expired before there was room for it on a link")


class Desk:
    """All submissions of one connection. `clock` says what is due, `wire` times what the carrier is given time for."""

    def __init__(
        self, clock: Clock, wire: Clock, outgoing: Outgoing, tell: Callable[[LateAnswer | Receipt], None]
    ) -> None:
        self._clock = clock
        self._wire = wire
        self._outgoing = outgoing
        self._tell = tell
        self._links: list[Link] = []
        self._ready: deque[Handover] = deque()
        self._rest: dict[Link, deque[Handover]] = {}
        self._early: Agenda[Handover] = Agenda(clock, self._come_due)
        self._later: Agenda[Handover] = Agenda(wire, self._send_rest)
        self._exchanges: set[Exchange] = set()
        self._unsettled = 0
        self._waiting_early = 0
        self._all_settled = asyncio.Event()
        self._all_settled.set()
        self._open = False
        self._why = "there is no link to the carrier yet"
        self._known = Known(wire, tell)

    @property
    def idle(self) -> bool:
        """Say whether all that is still to happen waits for `not_before`."""
        return self._unsettled == self._waiting_early and not any(one.ready for one in self._exchanges)

    # --- what a connector is asked for ---

    def open(self) -> None:
        """Begin."""
        self._open = True
        self._early.start()
        self._later.start()

    async def submit(self, batch: Sequence[Submission]) -> AsyncIterator[tuple[Submission, Outcome]]:
        """Hand over a batch; yield an outcome for each. What was not begun when nobody asks any more never leaves."""
        exchange = Exchange()
        handovers = [Handover(submission, exchange) for submission in batch]
        self._exchanges.add(exchange)
        self._unsettled += len(handovers)
        if handovers:
            self._all_settled.clear()
        self._ready.extend(handovers)
        self.pump()
        ready = exchange.ready
        try:
            for _ in handovers:
                while not ready:
                    exchange.more.clear()
                    await exchange.more.wait()
                yield ready.popleft()
        finally:
            self._exchanges.discard(exchange)
            exchange.given_up = True
            for handover in handovers:
                if not handover.begun:
                    self._settle(handover, Unreachable("it was called off before it left"))

    async def drain(self) -> None:
        """Return when nothing that was submitted is without an outcome."""
        await self._all_settled.wait()

    def close(self, why: str) -> None:
        """Send nothing more; what waits for a link, for its time or to be sent again gets its outcome now."""
        self._open = False
        self._why = why
        for _, handover in self._early.stop():
            self._settle(handover, Unreachable(why))
        while self._ready:
            self._settle(self._ready.popleft(), Unreachable(why))
        for link in list(self._rest):
            self._give_back(link, why)
        for _, handover in self._later.stop():
            self._conclude(handover)

    # --- links ---

    def add(self, link: Link) -> None:
        """Send over a link that was bound for it."""
        self._links.append(link)
        self.pump()

    def remove(self, link: Link, why: str) -> None:
        """Send no more over a link that has ended; all its requests have been answered for."""
        if link in self._links:
            self._links.remove(link)
        if self._open:
            self._why = why
        self._give_back(link, why)
        self.pump()

    def explain(self, why: str) -> None:
        """Say why there is no link, to what is unreachable for want of one."""
        self._why = why

    def feed(self, link: Link) -> None:
        """Fill the room on a link: first with what is left of messages that were begun there."""
        rest = self._rest.get(link)
        while rest and link.room > 0:
            handover = rest.popleft()
            handover.queued = False
            if handover.setback is None:
                self._send(link, handover)
            else:
                self._conclude(handover)
        self.pump()

    def pump(self) -> None:
        """Begin what can begin now."""
        ready = self._ready
        if not ready:
            return
        now = self._clock.now()
        while ready:
            link = self._roomiest()
            if link is None and self._links:
                return
            handover = ready.popleft()
            if handover.settled:
                continue
            if handover.submission.not_before > now:
                self._keep_back(handover, now)
            elif link is None:
                self._settle(handover, Unreachable(self._why))
            else:
                self._begin(link, handover, now)

    def _roomiest(self) -> Link | None:
        """Return the link with the most room, of several the one chosen longest ago; None if there is no room.

        Otherwise one that takes nothing, and so has room soon again, would get all there is.
        """
        best, most = None, 0
        for link in self._links:
            room = link.room
            if room > most:
                best, most = link, room
        if best is not None and len(self._links) > 1:
            self._links.remove(best)
            self._links.append(best)
        return best

    def _give_back(self, link: Link, why: str) -> None:
        for handover in self._rest.pop(link, ()):
            handover.queued = False
            handover.setback = handover.setback or Unreachable(why)
            self._conclude(handover)

    # --- before it may leave ---

    def _keep_back(self, handover: Handover, now: Instant) -> None:
        if not self._open:
            self._settle(handover, Unreachable(self._why))
            return
        wait = handover.submission.not_before - now
        if self._clock.longest_wait is not None:
            wait = min(wait, self._clock.longest_wait)
        handover.early = True
        self._waiting_early += 1
        self._early.add(Monotonic(self._clock.monotonic() + wait), handover)
        self._early.catch_up()

    def _come_due(self, handover: Handover) -> None:
        self._not_early(handover)
        self._ready.append(handover)
        self.pump()

    def _not_early(self, handover: Handover) -> None:
        self._waiting_early -= handover.early
        handover.early = False

    # --- sending ---

    def _begin(self, link: Link, handover: Handover, now: Instant) -> None:
        submission = handover.submission
        if submission.expires_at <= now:
            self._settle(handover, _EXPIRED)
            return
        bodies = self._outgoing.write(submission, now)
        if isinstance(bodies, Refused):
            self._settle(handover, bodies)
            return
        self._known.begun(submission)
        handover.begin(bodies, Monotonic(self._wire.monotonic() + PATIENCE) if len(bodies) > 1 else None)
        self._send(link, handover)

    def _send(self, link: Link, handover: Handover) -> None:
        unsent = handover.unsent
        while unsent and link.room > 0:
            index = unsent.popleft()
            try:
                link.submit(handover.bodies[index], (handover, index))
            except ValueError:
                # One address for all parts: the first of them fails, so none is out.
                handover.refusal = Refused(UNKNOWN_FAILURE, "one of its addresses has no form in SMPP")
                unsent.clear()
                break
            handover.out += 1
        if unsent:
            handover.queued = True
            self._rest.setdefault(link, deque()).appendleft(handover)
        elif not handover.out:
            self._conclude(handover)

    def _send_rest(self, handover: Handover) -> None:
        handover.setback = None
        link = self._roomiest() or (self._links[0] if self._links else None)
        if link is None:
            handover.setback = Unreachable(self._why)
            self._conclude(handover)
        else:
            self._send(link, handover)

    # --- what comes of it ---

    def answered(self, handover: Handover, index: int, answer: Pdu, late: bool) -> None:
        """Take the answer to a part."""
        outcome = self._outgoing.outcome(answer, handover.submission.sid)
        if len(handover.bodies) > 1 and isinstance(outcome, Accepted):
            self._known.part_taken(handover, index, outcome.carrier_ref)
        if late:
            news = handover.answered_late(index, outcome)
            if news is not None and not self._known.is_out_of_date(handover, news):
                self._tell(news)
            return
        handover.out -= 1
        handover.answered(index, outcome)
        self._conclude(handover)

    def unanswered(self, handover: Handover, index: int, why: str, written: bool) -> None:
        """Hear that there is no answer to a part."""
        handover.out -= 1
        if written:
            handover.unknown[index] = why
        else:
            handover.put_back(index, Unreachable(why))
        self._conclude(handover)

    def _conclude(self, handover: Handover) -> None:
        if handover.out or handover.queued or handover.settled:
            return
        can_wait = self._open and handover.give_up_at is not None and self._wire.monotonic() < handover.give_up_at
        outcome = handover.verdict(can_wait)
        if outcome is not None:
            self._settle(handover, outcome)
            return
        self._later.add(Monotonic(self._wire.monotonic() + RESEND_AFTER), handover)
        self._later.catch_up()

    def _settle(self, handover: Handover, outcome: Outcome) -> None:
        if handover.settled:
            return
        handover.settled = True
        self._not_early(handover)
        if isinstance(outcome, InDoubt):
            handover.in_doubt = True
            self._known.doubted(handover)
        exchange = handover.exchange
        if not exchange.given_up:
            exchange.ready.append((handover.submission, outcome))
            exchange.more.set()
        elif isinstance(outcome, Accepted | Refused):
            # Whoever stopped waiting has noted it as in doubt.
            self._tell(LateAnswer(handover.submission.sid, outcome))
        self._unsettled -= 1
        if not self._unsettled:
            self._all_settled.set()

    # --- whose a receipt is ---

    def owner_of(self, carrier_ref: str, reference: bytes | None, handset: str) -> tuple[str | None, bool]:
        """Return the SID that a receipt belongs to, if it is known here, and whether it is of an early part."""
        return self._known.owner_of(carrier_ref, reference, handset)

    def note_stranger(self, receipt: Receipt) -> None:
        """Take note of a receipt that belongs to nothing known here, or not yet."""
        self._known.note_stranger(receipt)
