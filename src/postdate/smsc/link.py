"""One connection to the SMSC: bytes to requests, answers and deliveries to bytes, and whether the other side is there.

All that is said within one turn of the loop goes out in one write. A link that cannot be written to is not read from
either, so that nobody can make us remember answers without end.
"""

import asyncio
from typing import Protocol, cast

from postdate.clock import Clock
from postdate.core.instant import Monotonic
from postdate.smpp.codes import Status
from postdate.smpp.pdu import BindMode, EnquireLink, Pdu, Response, Unbind
from postdate.smpp.session import (
    Ended,
    Event,
    Nacked,
    NotAllowed,
    ProtocolError,
    RequestReceived,
    RequestRejected,
    ResponseReceived,
    Role,
    Session,
)
from postdate.smsc.outbox import Delivery
from postdate.smsc.settings import SmscSettings


class Office(Protocol):
    """Who deals with what comes over links."""

    def opened(self, link: "Link") -> None:
        """Take note of a connection."""

    def asked(self, link: "Link", pdu: Pdu) -> None:
        """Deal with a request; it is answered now or later."""

    def answered(self, link: "Link", delivery: Delivery, status: int) -> None:
        """Take note of the answer to a delivery; RX_T_APPN stands for none."""

    def closed(self, link: "Link", unanswered: list[Delivery]) -> None:
        """Take note of the end of a connection, and of the deliveries that it ended without an answer."""


class Link(asyncio.Protocol):
    """One connection. `owner` is the system id that bound it, empty until then."""

    def __init__(self, office: Office, settings: SmscSettings, clock: Clock) -> None:
        self.owner = ""
        self.unanswered = 0  # submit_sm
        self.silent = False
        self._session = Session(Role.SMSC)
        self._office = office
        self._settings = settings
        self._clock = clock
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._said: list[bytes] = []
        self._on_their_way = 0  # deliver_sm
        self._blocked = False
        self._heard_at = self._opened_at = clock.monotonic()
        self._enquired_at: Monotonic | None = None

    # -- what the loop calls -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        self._office.opened(self)

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        if self.silent:
            return
        self._heard_at, self._enquired_at = self._clock.monotonic(), None
        for event in self._session.receive(data):
            kind = type(event)
            if not self.is_open:
                return
            if kind is RequestReceived:
                self._office.asked(self, cast(RequestReceived, event).pdu)
            else:
                self._take(event)

    def connection_lost(self, error: Exception | None) -> None:
        """End; what was not answered goes elsewhere."""
        self._transport = None
        self._said.clear()
        unanswered = [one.token for one in self._session.end() if isinstance(one.token, Delivery)]
        self._office.closed(self, unanswered)

    def pause_writing(self) -> None:
        """Wait until the other side reads again."""
        self._blocked = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self._blocked = False
        if self._transport is not None:
            self._transport.resume_reading()

    # -- saying something --------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Say whether anything said here may arrive."""
        return self._transport is not None and not self._transport.is_closing() and not self.silent

    @property
    def receives(self) -> bool:
        """Say whether it is bound for receiving."""
        return self._session.mode in (BindMode.RECEIVER, BindMode.TRANSCEIVER)

    def answer(self, pdu: Pdu, answer: Response | int = Status.ROK) -> None:
        """Answer a request, if there is still somebody to answer."""
        if self.is_open:
            self.say(self._session.respond(pdu, answer))

    def say(self, octets: bytes) -> None:
        """Send octets as they are, together with all else that is said in this turn of the loop."""
        if not self._said:
            self._loop.call_soon(self._flush)
        self._said.append(octets)

    def has_room(self) -> bool:
        """Say whether another deliver_sm may go out now."""
        return self._on_their_way < self._settings.deliver_window and not self._blocked and self.is_open

    def deliver(self, delivery: Delivery) -> None:
        """Send a deliver_sm; `Office.answered` or `Office.closed` tells what became of it."""
        delivery.sent_at = self._clock.monotonic()
        self._on_their_way += 1
        self.say(self._session.request(delivery.body, delivery)[1])

    def fall_silent(self) -> None:
        """Leave the connection open, and neither listen nor speak any more."""
        self._flush()
        self.silent = True

    def leave(self) -> None:
        """Say politely that this is the end; the other side's answer closes the connection."""
        try:
            self.say(self._session.request(Unbind())[1])
        except NotAllowed:  # not bound, or leaving already
            self.close()

    def close(self) -> None:
        """End the connection once all that was said is out."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def kill(self) -> None:
        """Cut the connection at once."""
        self._flush()
        if self._transport is not None:
            self._transport.abort()

    def tick(self, now: Monotonic) -> None:
        """See to what has waited too long: a bind, an answer to a delivery, a sign of life."""
        settings = self._settings
        if not self.owner and now - self._opened_at > settings.bind_within:
            self.kill()
            return
        self._give_up(now)
        if self.silent or not self.owner:
            return
        if self._enquired_at is not None:
            if now - self._enquired_at > settings.answer_within:
                self.kill()
        elif now - self._heard_at > settings.enquire_after and self.is_open:
            self._enquired_at = now
            self.say(self._session.request(EnquireLink())[1])

    # -- inside ------------------------------------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        match event:
            case ResponseReceived(pdu, sent, late):
                if isinstance(sent.token, Delivery):
                    self._settle(sent.token, pdu.status, late)
            case Nacked(status, sent, late):
                if isinstance(sent.token, Delivery):
                    self._settle(sent.token, status or Status.RX_T_APPN, late)
            case RequestRejected(answer=octets):
                self.say(octets)
            case ProtocolError(answer=octets):
                self.say(octets)
                self.close()
            case Ended():
                self.close()
            case _:
                pass  # an answer to nothing that we asked

    def _settle(self, delivery: Delivery, status: int, late: bool) -> None:
        if late:
            if status == Status.ROK:
                delivery.had = True
            return
        self._on_their_way -= 1
        self._office.answered(self, delivery, status)

    def _give_up(self, now: Monotonic) -> None:
        since = now - self._settings.answer_within
        for number, sent in list(self._session.outstanding.items()):
            if isinstance(sent.token, Delivery):
                if sent.token.sent_at is not None and sent.token.sent_at >= since:
                    return  # and so are those behind it
                self._session.forget(number)
                self._settle(sent.token, Status.RX_T_APPN, late=False)

    def _flush(self) -> None:
        if self._said:
            octets = b"".join(self._said)
            self._said.clear()
            if self._transport is not None and not self.silent:
                self._transport.write(octets)
