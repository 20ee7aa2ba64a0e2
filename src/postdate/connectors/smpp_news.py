"""Carrier events on their way to disk: many at once, each acknowledged to the SMSC when it is there.

An event that could not be kept is refused as a temporary error, so that the SMSC delivers it again. One that no SMSC
would repeat, a late answer, is told again by us.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from postdate.clock import Clock
from postdate.connectors.contract import CarrierEvent, OnEvent
from postdate.connectors.sandbox_agenda import Agenda
from postdate.connectors.smpp_link import Link
from postdate.core.instant import Instant, Monotonic
from postdate.core.outcome import retry_at
from postdate.smpp.codes import Status
from postdate.smpp.pdu import Pdu

CALLS_AT_ONCE: Final = 256  # a group commit takes them in one go
MOST_WAITING: Final = 5_000
_MOST_TRIES: Final = 20


class _News(NamedTuple):
    event: CarrierEvent
    link: Link | None = None
    request: Pdu | None = None
    tries: int = 0


class News:
    """Gives events to `on_event`, so many at once; a receipt costs no task where `on_event` gives a future itself."""

    def __init__(self, wire: Clock, unheard: Callable[[Pdu], None]) -> None:
        """Begin; `unheard` is told of a request that is on disk, but whose SMSC could not be told so any more."""
        self._wire = wire
        self._unheard = unheard
        self._on_event: OnEvent | None = None
        self._waiting: deque[_News] = deque()
        self._calls: dict[asyncio.Future[None], _News] = {}
        self._told: BaseException | None = None
        self._again: Agenda[_News] = Agenda(wire, self._put)

    @property
    def idle(self) -> bool:
        """Say whether no call is under way or about to be."""
        return not self._calls

    def open(self, on_event: OnEvent) -> None:
        """Begin."""
        self._on_event = on_event
        self._again.start()

    def tell(self, event: CarrierEvent) -> None:
        """Tell of something that nobody waits to have acknowledged."""
        self._put(_News(event))

    def take(self, event: CarrierEvent, link: Link, request: Pdu) -> None:
        """Take what the SMSC delivered, or refuse it for now if too much waits already."""
        if self._on_event is None or len(self._waiting) >= MOST_WAITING:
            link.acknowledge(request, Status.RX_T_APPN)
        else:
            self._put(_News(event, link, request))

    async def close(self, span: int) -> None:
        """Take no more, refuse what waits, and let the calls under way end, for `span` microseconds at most."""
        self._on_event = None
        self._again.stop()
        while self._waiting:
            self._done(self._waiting.popleft(), taken=False)
        calls = tuple(self._calls)
        if not calls:
            return

        def give_up() -> None:
            for call in calls:
                call.cancel()

        timer = self._wire.call_at(Monotonic(self._wire.monotonic() + span), give_up)
        await asyncio.wait(calls)
        timer.cancel()

    def _put(self, news: _News) -> None:
        if self._on_event is not None:
            self._waiting.append(news)
            self._call()

    def _call(self) -> None:
        while self._waiting and self._on_event is not None and len(self._calls) < CALLS_AT_ONCE:
            news = self._waiting.popleft()
            call = asyncio.ensure_future(self._on_event(news.event))
            self._calls[call] = news
            call.add_done_callback(self._ended)

    def _ended(self, call: asyncio.Future[None]) -> None:
        news = self._calls.pop(call)
        error = None if call.cancelled() else call.exception()
        self._done(news, taken=error is None and not call.cancelled())
        if error is not None and error is not self._told:  # many share one commit, and its failure
            self._told = error
            message = "a carrier event could not be kept; the carrier was asked to deliver it again"
            asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})
        self._call()

    def _done(self, news: _News, taken: bool) -> None:
        if news.link is not None and news.request is not None:
            told = news.link.acknowledge(news.request, Status.ROK if taken else Status.RX_T_APPN)
            if taken and not told:
                self._unheard(news.request)
        elif not taken and self._on_event is not None and news.tries < _MOST_TRIES:
            pause = retry_at(Instant(0), news.tries + 1, None, 0.0)
            self._again.add(Monotonic(self._wire.monotonic() + pause), news._replace(tries=news.tries + 1))
            self._again.catch_up()
