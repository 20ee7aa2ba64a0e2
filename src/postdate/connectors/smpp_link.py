"""One link: a TCP or TLS connection to an SMSC that is bound, from its first byte to its last.

A link holds the window: at most `in_flight` requests without an answer. Frames gather during one turn of the loop and
leave in one write. When the connection ends, every request without an answer is told with whether it had been written.
A silent SMSC is asked, and one that does not answer is dead. After a request came to nothing the window is one until
another is answered, and none while nothing at all is heard. An SMSC that unbinds may still answer what it took.

All waiting goes by the clock it is given; who it works for hears of everything at once and must not wait.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol, cast

from postdate.clock import Clock, Timer
from postdate.connectors.smpp_settings import SmppSettings
from postdate.connectors.smpp_waiting import within
from postdate.core.instant import SECOND, Monotonic
from postdate.smpp.codes import Status
from postdate.smpp.pdu import (
    Bind,
    BindMode,
    BindResp,
    Body,
    DataSm,
    DeliverSm,
    EnquireLink,
    GenericNack,
    Pdu,
    QuerySm,
    Request,
    SubmitSm,
    Unbind,
)
from postdate.smpp.session import (
    Ended,
    Event,
    Nacked,
    ProtocolError,
    RequestReceived,
    RequestRejected,
    ResponseReceived,
    Role,
    Session,
    StrayResponse,
)

LEAVING: Final = 2 * SECOND  # how long a polite end may take
_MOST_UNREAD: Final = 1024 * 1024  # octets that the SMSC leaves unread before its link is given up
_THEY_CLOSED: Final = "the SMSC closed the connection"
_NOT_READ: Final = "the SMSC does not read what it is sent"
_ENQUIRY: Final = object()
_NACK: Final = GenericNack()
_SENDING: Final = (BindMode.TRANSCEIVER, BindMode.TRANSMITTER)


class LinkLost(Exception):
    """The link ended, or gave no answer in time, before the answer to a request."""


class Owner(Protocol):
    """Who a link works for. Tokens are those given to `Link.submit`."""

    def bound(self, link: "Link") -> None:
        """Hear that a link is bound."""

    def ended(self, link: "Link", why: str) -> None:
        """Hear that a link that was bound has ended; all its requests have been answered for."""

    def answered(self, link: "Link", token: object, answer: Pdu, late: bool) -> None:
        """Hear of an answer; `late` if the request had been given up as unanswered before."""

    def unanswered(self, link: "Link", token: object, why: str, written: bool) -> None:
        """Hear that no answer came, or none will."""

    def delivered(self, link: "Link", request: Pdu) -> None:
        """Take a message or a receipt; answer it by `Link.acknowledge` once it is on disk."""

    def odd(self, link: "Link", event: RequestRejected | StrayResponse) -> None:
        """Hear of something that could not be used; it has been answered."""

    def has_room(self, link: "Link") -> None:
        """Hear that answers have made room in the window, or that a write that was stuck has gone on."""


class Link(asyncio.Protocol):
    """A protocol for `create_connection`; `bind` it once the connection stands."""

    def __init__(self, settings: SmppSettings, mode: BindMode, clock: Clock, owner: Owner) -> None:
        self.mode = mode
        self.smsc = ""
        self.why = _THEY_CLOSED
        self._settings = settings
        self._clock = clock
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self.ended = asyncio.Event()
        self._session = Session(Role.ESME)
        self._transport: asyncio.Transport | None = None
        self._patience = int(settings.answer_timeout * SECOND)
        self._out: list[bytes] = []
        self._unflushed: list[int] = []
        self._due: deque[tuple[Monotonic, int]] = deque()
        self._answer_timer: Timer | None = None
        self._life_timer: Timer | None = None
        self._end_timer: Timer | None = None
        self._heard_at = self._turn_at = Monotonic(0)
        self._bound = self._blocked = self._leaving = False
        self._most = settings.in_flight  # requests without an answer; 1 after one came to nothing, 0 in silence
        self._unbind: Pdu | None = None  # the SMSC's, not answered yet
        self._emptied: asyncio.Future[None] | None = None

    @property
    def bound(self) -> bool:
        """Say whether it can be used."""
        return self._bound

    @property
    def sends(self) -> bool:
        """Say whether it is bound for sending and not about to end."""
        return self._bound and self.mode in _SENDING and not (self._leaving or self._session.ended)

    @property
    def room(self) -> int:
        """Return how many requests may be sent now; none if it is below 0."""
        return self._most - len(self._session.outstanding) if self.sends and not self._blocked else 0

    # --- what is sent ---

    async def bind(self) -> int:
        """Bind, tell the owner, and return the status of the answer, 0 for success; LinkLost."""
        settings = self._settings
        body = Bind(self.mode, settings.system_id, settings.password, settings.system_type)
        try:
            answer = await within(self._clock, int(settings.bind_timeout * SECOND), self._request(body))
        except TimeoutError:
            raise LinkLost(f"no answer within {settings.bind_timeout:g} s") from None
        if self._session.ended:
            raise LinkLost(self.why)
        if answer.status == Status.ROK and isinstance(answer.body, BindResp):
            self._bound = True
            self.smsc = answer.body.system_id
            self._watch()
            self._owner.bound(self)
            return 0
        return answer.status or Status.RUNKNOWNERR

    def submit(self, body: SubmitSm, token: object) -> None:
        """Send a message; the answer goes to the owner with `token`. ValueError if a field cannot be written."""
        self._send_timed(body, token)

    async def query(self, body: QuerySm) -> Pdu:
        """Ask about a message and return the answer; LinkLost."""
        return await self._request(body, timed=True)

    def acknowledge(self, request: Pdu, status: int) -> bool:
        """Answer a delivery; False if the link has ended: then the SMSC delivers it again."""
        if self._session.ended or self._transport is None or self._transport.is_closing():
            return False
        self._write(self._session.respond(request, status))
        return True

    async def quiet(self, span: int) -> None:
        """Send no more messages, and wait for open answers, `span` microseconds at most."""
        self._leaving = True
        with suppress(TimeoutError):  # what is open then is told when the link ends
            await within(self._clock, span, self._empty())

    async def leave(self, span: int) -> None:
        """Unbind, wait for the answer, and close, all within `span` microseconds."""
        self._leaving = True
        try:
            await within(self._clock, span, self._part())
        except (LinkLost, TimeoutError):
            self.abort("the link was closed")
            await self.ended.wait()

    async def _part(self) -> None:
        if self._bound and not self._session.ended:
            await self._request(Unbind())
        self.close("the link was closed")
        await self.ended.wait()

    def close(self, why: str) -> None:
        """Close the connection after what is written."""
        if self._transport is None:
            self._finish()
        elif not self._transport.is_closing():
            self.why = why
            self._flush()
            self._transport.close()
            self._end_within_time(lambda: self.abort(self.why))  # it may wait for a peer that reads nothing more

    def abort(self, why: str) -> None:
        """Break the connection off."""
        if self._transport is None:
            self._finish()
        elif not self.ended.is_set():
            self.why = why if not self._transport.is_closing() else self.why
            self._transport.abort()

    def _end_within_time(self, end: Callable[[], None]) -> None:
        if self._end_timer is not None:
            self._end_timer.cancel()
        self._end_timer = self._clock.call_at(Monotonic(self._clock.monotonic() + LEAVING), end)

    async def _request(self, body: Request, timed: bool = False) -> Pdu:
        answer: asyncio.Future[Pdu] = self._loop.create_future()
        if self._session.ended:
            raise LinkLost(self.why)
        if timed:
            self._send_timed(body, answer)
        else:
            self._send(body, answer)
        return await answer

    def _send(self, body: Request, token: object) -> int:
        sequence, frame = self._session.request(body, token)
        self._unflushed.append(sequence)
        self._write(frame)
        return sequence

    def _send_timed(self, body: Request, token: object) -> None:
        """Send what is given up without an answer in time: the same time for all of these, so they are due in order."""
        sequence = self._send(body, token)
        self._due.append((Monotonic(self._turn_at + self._patience), sequence))
        if self._answer_timer is None:
            self._answer_timer = self._clock.call_at(self._due[0][0], self._expire)

    def _write(self, frame: bytes) -> None:
        if not self._out:
            self._turn_at = self._clock.monotonic()
            self._loop.call_soon(self._flush)
        self._out.append(frame)

    def _flush(self) -> None:
        if not self._out or self._transport is None or self._transport.is_closing():
            return
        self._transport.write(b"".join(self._out))
        self._out.clear()
        self._unflushed.clear()
        if self._blocked and self._transport.get_write_buffer_size() > _MOST_UNREAD:
            self.abort(_NOT_READ)

    async def _empty(self) -> None:
        if self._session.outstanding:
            self._emptied = self._loop.create_future()
            await self._emptied

    # --- time ---

    def _expire(self) -> None:
        self._answer_timer = None
        now = self._clock.monotonic()
        given_up = 0
        while self._due and self._due[0][0] <= now:
            sent = self._session.forget(self._due.popleft()[1])
            if sent is not None:
                given_up += 1
                self._give_up(sent.token, f"no answer within {self._settings.answer_timeout:g} s", written=True)
        if given_up and self._blocked:
            self.abort(_NOT_READ)
            return
        if given_up:
            most, self._most = self._most, 0 if now - self._heard_at >= self._patience else 1
            if most and not self._most and self.sends:
                self._send_timed(EnquireLink(), _ENQUIRY)
        self._drop_answered()
        if self._due:
            self._answer_timer = self._clock.call_at(self._due[0][0], self._expire)
        self._owner.has_room(self)

    def _give_up(self, token: object, why: str, *, written: bool) -> None:
        if token is _ENQUIRY:
            if self._clock.monotonic() - self._heard_at >= self._patience:
                self.abort("the SMSC does not answer enquire_link")
        elif isinstance(token, asyncio.Future):
            if not token.done():
                token.set_exception(LinkLost(why))
        else:
            self._owner.unanswered(self, token, why, written)

    def _drop_answered(self) -> None:
        due, outstanding = self._due, self._session.outstanding
        while due and due[0][1] not in outstanding:
            due.popleft()
        if outstanding:
            return
        if self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)
        if self._unbind is not None:
            self._agree_to_unbind()

    def _watch(self) -> None:
        """Ask after a silence; what then comes of it is seen when its answer is due."""
        silence = int(self._settings.enquire_link * SECOND)
        now, since = self._clock.monotonic(), self._heard_at
        if now - since >= silence:
            since = now
            if self._bound and not self._leaving:
                self._send_timed(EnquireLink(), _ENQUIRY)
        self._life_timer = self._clock.call_at(Monotonic(since + silence), self._watch)

    # --- what is received ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._heard_at = self._clock.monotonic()

    def data_received(self, data: bytes) -> None:
        """Take what came; room that answers made is told once, at the end."""
        self._heard_at = self._clock.monotonic()
        self._most = self._most or 1
        for event in self._session.receive(data):
            if isinstance(event, ResponseReceived):
                self._take_answer(event.pdu, event.sent.token, event.late)
            elif isinstance(event, RequestReceived):
                self._take_request(event.pdu)
            else:
                self._take_other(event)
        self._drop_answered()
        self._owner.has_room(self)

    def _take_answer(self, answer: Pdu, token: object, late: bool) -> None:
        if token is _ENQUIRY:
            return
        self._most = self._settings.in_flight
        if not isinstance(token, asyncio.Future):
            self._owner.answered(self, token, answer, late)
        elif not token.done():
            token.set_result(answer)

    def _take_request(self, request: Pdu) -> None:
        body: Body = request.body
        if isinstance(body, DeliverSm | DataSm):
            self._owner.delivered(self, request)
        elif isinstance(body, EnquireLink):
            self._write(self._session.respond(request))
        elif isinstance(body, Unbind):
            self._leaving, self._unbind = True, request
            self._end_within_time(self._agree_to_unbind)

    def _agree_to_unbind(self) -> None:
        if self._unbind is not None and not self._session.ended:
            self._write(self._session.respond(self._unbind))
        self.close("the SMSC unbound")

    def _take_other(self, event: Event) -> None:
        match event:
            case Nacked(status, sent, late):
                # Whatever its status says, it is no success.
                answer = Pdu(_NACK, sent.sequence, status or Status.RUNKNOWNERR)
                self._take_answer(answer, sent.token, late)
            case RequestRejected():
                if event.answer:
                    self._write(event.answer)
                self._owner.odd(self, event)
            case StrayResponse():
                self._owner.odd(self, event)
            case ProtocolError():
                self._write(event.answer)
                self.close("what the SMSC sends is not SMPP")
            case Ended():
                self.close("the link was unbound")

    def pause_writing(self) -> None:
        """Send no messages while the SMSC does not read."""
        self._blocked = True

    def resume_writing(self) -> None:
        """Go on."""
        self._blocked = False
        self._owner.has_room(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell what became of every request without an answer."""
        if isinstance(exc, OSError) and exc.errno and self.why is _THEY_CLOSED:
            self.why = f"the connection broke ({os.strerror(exc.errno).lower()})"
        self._finish()

    def _finish(self) -> None:
        if self.ended.is_set():
            return
        was_bound, self._bound = self._bound, False
        for timer in (self._answer_timer, self._life_timer, self._end_timer):
            if timer is not None:
                timer.cancel()
        unwritten = set(self._unflushed)
        for sent in self._session.end():
            if sent.token is not _ENQUIRY:
                self._give_up(sent.token, self.why, written=sent.sequence not in unwritten)
        if self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)
        self.ended.set()
        if was_bound:
            self._owner.ended(self, self.why)
