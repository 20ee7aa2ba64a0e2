"""The shell that all HTTP providers share: it does what they, being pure, cannot.

A provider says what is sent, what an answer means and what a call of the carrier's means; here is the rest: who goes
when (`errands`), the connections (`http_wire`), the token where one is asked for first (`http_token`), and the way in
(`http_calls`). Nothing is repeated here, and what is believed of an exchange is written in `http_wire`.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from postdate.clock import Clock
from postdate.connectors.contract import Condition, OnEvent, State, Submission
from postdate.connectors.errands import CLOSED, Errand, Errands, show
from postdate.connectors.http_calls import Calls, NotNow
from postdate.connectors.http_token import Token
from postdate.connectors.http_wire import Exchange, Wire, can_be_sent
from postdate.connectors.providers.contract import (
    UNKNOWN_FAILURE,
    Answer,
    AsksProvider,
    Call,
    Context,
    Heard,
    HttpSettings,
    Provider,
    Request,
    WithToken,
)
from postdate.core.instant import MINUTE
from postdate.core.outcome import Accepted, Busy, InDoubt, Outcome, Refused, Unreachable

_NO_TOKEN: Final = "no token could be had from the carrier: check the connection's credentials"
_NO_REQUEST: Final = "its text holds half a character, which has no form in UTF-8"
_BAD_REQUEST: Final = "it makes a request that cannot be sent: check the connection's URL and headers"
_MENDING: Final = 1 * MINUTE
_UNAUTHORIZED: Final = 401
_MOST_QUESTIONS: Final = 4  # at once, beside what is in flight


def _no_events(_: str) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class HttpWay:
    """What a connection over HTTP is made of.

    `events_url` gives the URL at which the carrier may report about the message of that SID; `tls` says which
    certificates are believed, where it is not those of the machine.
    """

    name: str
    provider: Provider
    settings: HttpSettings
    events_url: Callable[[str], str] = field(default=_no_events, repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)


def http_connector(way: HttpWay, clock: Clock, chance: Callable[[], bytes]) -> "HttpConnector":
    """Return the connector for a provider: one that can be asked, where its provider can; `chance` gives 16 bytes."""
    if isinstance(way.provider, AsksProvider):
        return AskingHttpConnector(way, clock, chance)
    return HttpConnector(way, clock, chance)


class HttpConnector:
    """Hands messages over to one carrier, at most `in_flight` at once; see the module for what is believed when."""

    def __init__(self, way: HttpWay, clock: Clock, chance: Callable[[], bytes]) -> None:
        self.condition = Condition()
        self.condition.at_once = way.settings.in_flight
        self._way = way
        self._provider = way.provider
        self._clock = clock
        self._chance = chance
        self._on_event: OnEvent | None = None
        self._errands = Errands(clock, way.settings.in_flight, self._carry)
        self._wire = Wire(clock, way.settings.timeout, way.tls)
        self._calls = Calls(way.provider, self._wire.get)
        self._token = (
            Token(way.provider, self._fetch_token, lambda: self._context(None), clock)
            if isinstance(way.provider, WithToken)
            else None
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._way.name!r})"

    @property
    def idle(self) -> bool:
        """Say whether no request is in flight or about to be; what waits for its `not_before` does not count."""
        return self._errands.idle

    async def open(self, on_event: OnEvent) -> None:
        """Start; what `take` is given goes to `on_event`."""
        self._on_event = on_event
        self.condition.state = State.READY
        self._wire.open()
        self._errands.open()

    def submit(self, batch: Sequence[Submission]) -> AsyncIterator[tuple[Submission, Outcome]]:
        """Hand over a batch; yield an outcome for each. What was not begun when nobody asks any more never leaves."""
        return self._errands.submit(batch)

    async def drain(self) -> None:
        """Return when nothing that was submitted is without an outcome."""
        await self._errands.drain()

    async def close(self) -> None:
        """Stop; what is written ends as InDoubt, all else as Unreachable. Submissions after it are Unreachable."""
        self._on_event = None
        self.condition.state = State.CLOSED
        await self._errands.close()
        if self._token is not None:
            await self._token.close()
        await self._wire.close()

    async def take(self, call: Call) -> Heard:
        """Take a call of the carrier's; when this returns, all of it is on disk.

        Raises BadEvent or Untrusted, and nothing of it was taken; NotNow, and the carrier should try again.
        """
        if self._on_event is None:
            raise NotNow(f"the connection {self._way.name!r} is not open")
        return await self._calls.take(call, self._on_event)

    # --- one message ---

    async def _carry(self, errand: Errand) -> None:
        submission = errand.submission
        token = None
        if self._token is not None and (token := await self._token.get()) is None:
            errand.outcome = Unreachable(_NO_TOKEN)
            show(self.condition, errand.outcome, self._clock.now())
            return
        request = self._request(submission, token)
        if not isinstance(request, Request):
            errand.outcome = request
            if isinstance(request, Busy):
                show(self.condition, request, self._clock.now())
            return
        exchange = Exchange()
        try:
            await self._wire.send(request, exchange)
        finally:
            errand.left = exchange.connected
            if exchange.answer is not None:
                errand.outcome = self._provider.outcome(submission, exchange.answer)
                self._look_at(exchange.answer, token)
        errand.broke_off(exchange.fault)
        assert errand.outcome is not None
        show(self.condition, errand.outcome, self._clock.now())

    def _request(self, submission: Submission, token: str | None) -> Request | Refused | Busy:
        try:
            request = self._provider.request(submission, self._context(submission.sid, token))
        except UnicodeEncodeError:
            return Refused(UNKNOWN_FAILURE, _NO_REQUEST)
        if isinstance(request, Request) and not can_be_sent(request):
            return Busy(_MENDING, _BAD_REQUEST, this_only=True)
        return request

    def _context(self, sid: str | None, token: str | None = None) -> Context:
        events_url = "" if sid is None else self._way.events_url(sid)
        return Context(self._clock.now(), self._chance(), events_url, token)

    async def _fetch_token(self, request: Request) -> Answer | None:
        exchange = Exchange()
        if can_be_sent(request):
            await self._wire.send(request, exchange)
        return exchange.answer

    def _look_at(self, answer: Answer, token: str | None) -> None:
        if self._token is not None and answer.status == _UNAUTHORIZED:
            self._token.drop(token)


class AskingHttpConnector(HttpConnector):
    """One whose provider can be asked what became of a message in doubt."""

    def __init__(self, way: HttpWay, clock: Clock, chance: Callable[[], bytes]) -> None:
        super().__init__(way, clock, chance)
        assert isinstance(way.provider, AsksProvider)
        self._asked = way.provider
        self._questions = asyncio.Semaphore(_MOST_QUESTIONS)
        self._asking = 0

    @property
    def idle(self) -> bool:
        """Say whether no request is in flight or about to be; what waits for its `not_before` does not count."""
        return super().idle and not self._asking

    async def ask(self, submission: Submission) -> Accepted | Unreachable | InDoubt:
        """Return Accepted: the carrier has it. Unreachable: it has not, for certain. InDoubt: nobody knows yet."""
        self._asking += 1
        try:
            async with self._questions:
                return await self._ask(submission)
        finally:
            self._asking -= 1

    async def _ask(self, submission: Submission) -> Accepted | Unreachable | InDoubt:
        if self._on_event is None:
            return InDoubt(CLOSED)
        token = None
        if self._token is not None and (token := await self._token.get()) is None:
            return InDoubt(_NO_TOKEN)
        try:
            question = self._asked.question(submission, self._context(submission.sid, token))
        except UnicodeEncodeError:
            return InDoubt(_NO_REQUEST)
        if not can_be_sent(question):
            return InDoubt(_BAD_REQUEST)
        exchange = Exchange()
        await self._wire.send(question, exchange)
        if exchange.answer is None:
            return InDoubt(exchange.fault)
        self._look_at(exchange.answer, token)
        # What a verdict says of the message must come from the whole answer.
        return InDoubt(exchange.fault) if exchange.fault else self._asked.verdict(submission, exchange.answer)
