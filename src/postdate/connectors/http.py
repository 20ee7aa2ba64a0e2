"""The plain HTTP connector: one POST per message to a gateway of the operator's; the wire is `providers/plain_http`.

Until a connection is there no byte of a message has left: Unreachable. From then on it is InDoubt until an answer says
what happened, and nothing is repeated here: a connection that breaks off, kept alive or new, may have carried it.
The URL is the operator's, so it may be a private address; no redirect is followed and no proxy is taken from the
environment. Texts of outcomes are ours alone: they hold neither the token nor the URL nor a word of the carrier's.
"""

import asyncio
import hmac
import itertools
import os
import re
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from types import SimpleNamespace
from typing import Final

import aiohttp
from yarl import URL

from postdate import __version__
from postdate.clock import Clock, Timer
from postdate.connectors.contract import Condition, Inbound, OnEvent, Receipt, State, Submission
from postdate.connectors.providers.plain_http import (
    UNKNOWN_FAILURE,
    BadEvent,
    read_answer,
    read_events,
    write_handover,
)
from postdate.core.instant import SECOND, Instant, Monotonic, format_span
from postdate.core.outcome import InDoubt, Outcome, Refused, Unreachable

ANSWER_LIMIT: Final = 64 * 1024

# Shorter than servers keep an idle connection: one that they close just as we take it leaves a message in doubt.
_KEPT_ALIVE: Final = 1.0
_VISIBLE: Final = re.compile(r"[!-~]+")
_CLOSED: Final = "the connection is closed"


# --- settings --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HttpConnection:
    """Where a gateway is; `timeout` in microseconds, to connect and again to be answered. ValueError for bad values."""

    name: str
    url: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    in_flight: int = 100
    timeout: int = 10 * SECOND

    def __post_init__(self) -> None:
        try:
            url = URL(self.url)
        except ValueError:
            url = URL()
        if url.scheme not in ("http", "https") or not url.host:
            raise self._wrong("its url is none of HTTP; write it like https://gateway.example/messages")
        if url.user or url.password or url.fragment:
            raise self._wrong("its url holds user info or a fragment; put the gateway's secret into token")
        if self.token is not None and not _VISIBLE.fullmatch(self.token):
            raise self._wrong("its token is empty or holds a blank or a character outside ASCII")
        if self.in_flight < 1 or self.timeout < 1:
            raise self._wrong("in_flight and timeout must be above zero")

    def _wrong(self, why: str) -> ValueError:
        # Without a cause: the texts of yarl repeat the URL.
        return ValueError(f"The HTTP connection {self.name!r} cannot be used: {why}.")


class Untrusted(BadEvent):
    """Events that did not come with the connection's token."""

    def __init__(self) -> None:
        super().__init__("Send the header 'Authorization: Bearer <token>' with the token of this connection.")


# --- the connector ---------------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class _Errand:
    """One submission and how far it has come."""

    submission: Submission
    answers: asyncio.Queue[tuple[Submission, Outcome]]
    begun: bool = False
    connected: bool = False
    settled: bool = False
    limit: asyncio.Timeout | None = None
    outcome: Outcome | None = None

    def broke_off(self, why: str) -> None:
        """Conclude from how far it had come, unless an answer has already said what happened."""
        if self.outcome is None:
            self.outcome = InDoubt(why) if self.connected else Unreachable(why)


async def _note_connected(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    errand = context.trace_request_ctx
    assert isinstance(errand, _Errand)
    errand.connected = True


class HttpConnector:
    """Hands messages over to one gateway, at most `in_flight` at once; see the module for what is believed when."""

    def __init__(self, settings: HttpConnection, clock: Clock) -> None:
        self.condition = Condition()
        self._settings = settings
        self._clock = clock
        self._url = URL(settings.url)
        self._authorization = None if settings.token is None else f"Bearer {settings.token}"
        self._session: aiohttp.ClientSession | None = None
        self._on_event: OnEvent | None = None
        self._ready: deque[_Errand] = deque()
        self._early: list[tuple[Instant, int, _Errand]] = []
        self._order = itertools.count()
        self._timer: Timer | None = None
        self._workers: set[asyncio.Task[None]] = set()
        self._unsettled = 0
        self._all_settled = asyncio.Event()
        self._all_settled.set()

    @property
    def idle(self) -> bool:
        """Say whether no request is in flight or about to be; what waits for its `not_before` does not count."""
        return not self._workers and not self._ready

    async def open(self, on_event: OnEvent) -> None:
        """Start; what `take` is given goes to `on_event`."""
        tracing = aiohttp.TraceConfig()
        tracing.on_connection_create_end.append(self._note_created)
        tracing.on_connection_reuseconn.append(_note_connected)
        headers = {
            "User-Agent": f"Postdate/{__version__}",
            "Content-Type": "application/json",
            "Accept": "application/json",
            # A small compressed answer can unpack to any size.
            "Accept-Encoding": "identity",
        }
        if self._authorization is not None:
            headers["Authorization"] = self._authorization
        self._on_event = on_event
        self.condition.state = State.READY
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEPT_ALIVE),
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            trace_configs=[tracing],
        )

    async def submit(self, batch: Sequence[Submission]) -> AsyncIterator[tuple[Submission, Outcome]]:
        """Hand over a batch; yield an outcome for each. What was not begun when nobody asks any more never leaves."""
        answers: asyncio.Queue[tuple[Submission, Outcome]] = asyncio.Queue()
        errands = [_Errand(submission, answers) for submission in batch]
        if errands:
            self._unsettled += len(errands)
            self._all_settled.clear()
            self._put_in_line(errands)
        try:
            for _ in errands:
                yield await answers.get()
        finally:
            self._call_off([errand for errand in errands if not errand.begun], "it was called off before it left")

    async def drain(self) -> None:
        """Return when nothing that was submitted is without an outcome."""
        await self._all_settled.wait()

    async def close(self) -> None:
        """Stop; what is written ends as InDoubt, all else as Unreachable. Submissions after it are Unreachable."""
        session, self._session, self._on_event = self._session, None, None
        self.condition.state = State.CLOSED
        if self._timer is not None:
            self._timer.cancel()
        waiting = [*self._ready, *(errand for _, _, errand in self._early)]
        self._ready.clear()
        self._early.clear()
        self._call_off(waiting, _CLOSED)
        workers = tuple(self._workers)
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        if session is not None:
            await session.close()

    async def take(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Take what the carrier POSTed; when this returns, it is on disk. BadEvent: nothing of it was taken.

        With a token in the settings it must have come with it: Untrusted. Inbound messages keep their order.
        """
        if self._on_event is None:
            raise RuntimeError(f"the HTTP connection {self._settings.name!r} is not open")
        if self._authorization is not None:
            given = next((value for name, value in headers.items() if name.lower() == "authorization"), "")
            if not hmac.compare_digest(given.encode(), self._authorization.encode()):
                raise Untrusted
        events = read_events(body)
        receipts = [self._on_event(event) for event in events if isinstance(event, Receipt)]
        # All are awaited before the first failure is raised: none goes on behind the back of an answer.
        for result in await asyncio.gather(*receipts, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
        for event in events:
            if isinstance(event, Inbound):
                await self._on_event(event)

    # --- who goes next ---

    def _put_in_line(self, errands: Sequence[_Errand]) -> None:
        if self._session is None:
            self._call_off(errands, _CLOSED)
            return
        self._ready.extend(errands)
        self._staff(len(errands))

    def _staff(self, wanted: int) -> None:
        if self._session is None:
            return
        for _ in range(min(wanted, self._settings.in_flight - len(self._workers))):
            worker = asyncio.create_task(self._work(self._session))
            self._workers.add(worker)
            worker.add_done_callback(self._part_with)

    def _part_with(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        # What came in line after it had looked, or was left by a fault of ours, which asyncio reports.
        self._staff(min(len(self._ready), 1))

    async def _work(self, session: aiohttp.ClientSession) -> None:
        while self._ready:
            errand = self._ready.popleft()
            if errand.settled:
                continue
            if errand.submission.not_before > self._clock.now():
                self._put_off(errand)
                continue
            errand.begun = True
            try:
                await self._run(errand, session)
            finally:
                errand.broke_off("the connector failed; the log says where")
                self._settle(errand)

    def _put_off(self, errand: _Errand) -> None:
        heappush(self._early, (errand.submission.not_before, next(self._order), errand))
        if self._early[0][2] is errand:
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._early:
            wait = max(self._early[0][0] - self._clock.now(), 0)
            wait = wait if self._clock.longest_wait is None else min(wait, self._clock.longest_wait)
            self._timer = self._clock.call_at(Monotonic(self._clock.monotonic() + wait), self._ring)

    def _ring(self) -> None:
        due = []
        while self._early and self._early[0][0] <= self._clock.now():
            due.append(heappop(self._early)[2])
        self._put_in_line(due)
        self._arm()

    def _call_off(self, errands: Iterable[_Errand], why: str) -> None:
        for errand in errands:
            errand.broke_off(why)
            self._settle(errand)

    def _settle(self, errand: _Errand) -> None:
        if errand.settled:
            return
        assert errand.outcome is not None
        errand.settled = True
        errand.answers.put_nowait((errand.submission, errand.outcome))
        self._unsettled -= 1
        if not self._unsettled:
            self._all_settled.set()

    # --- one request ---

    async def _run(self, errand: _Errand, session: aiohttp.ClientSession) -> None:
        span = format_span(self._settings.timeout)
        try:
            await self._post(errand, session)
        except TimeoutError:
            errand.broke_off(f"no answer within {span}" if errand.connected else f"no connection within {span}")
        except asyncio.CancelledError:
            errand.broke_off(_CLOSED)
            raise
        except (aiohttp.ClientError, UnicodeError) as error:
            errand.broke_off(_why(error))

    async def _post(self, errand: _Errand, session: aiohttp.ClientSession) -> None:
        try:
            body = write_handover(errand.submission)
        except UnicodeEncodeError:
            errand.outcome = Refused(UNKNOWN_FAILURE, "its text holds half a character, which has no form in UTF-8")
            return
        async with asyncio.timeout(self._settings.timeout / SECOND) as errand.limit:
            async with session.post(
                self._url,
                data=body,
                headers={"Idempotency-Key": errand.submission.sid},
                allow_redirects=False,
                trace_request_ctx=errand,
            ) as response:
                if response.status >= 300:
                    # What the status alone says holds even if the rest of the answer never comes.
                    errand.outcome = self._outcome(response, b"")
                errand.outcome = self._outcome(response, await _read(response))

    async def _note_created(self, session: aiohttp.ClientSession, context: SimpleNamespace, params: object) -> None:
        await _note_connected(session, context, params)
        limit = context.trace_request_ctx.limit
        assert limit is not None
        limit.reschedule(asyncio.get_running_loop().time() + self._settings.timeout / SECOND)

    def _outcome(self, response: aiohttp.ClientResponse, body: bytes) -> Outcome:
        return read_answer(response.status, response.headers.get("Retry-After", ""), body, self._clock.now())


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Return the body, empty if it is larger than any answer."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ANSWER_LIMIT:
            response.close()
            return b""
    return bytes(body)


def _why(error: Exception) -> str:
    """Return what went wrong in words of ours: aiohttp's own texts hold the URL."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return "its certificate was not accepted: check the host in the connection's URL"
        case aiohttp.ClientConnectorSSLError():
            return "TLS could not be agreed on: check that the connection's URL is meant to be https"
        case aiohttp.ClientConnectorDNSError() | UnicodeError():
            return "the host name does not resolve: check the connection's URL"
        case aiohttp.ClientConnectorError():
            fault = os.strerror(error.os_error.errno).lower() if error.os_error.errno else "no address could be reached"
            return f"no connection ({fault}): check that the gateway is running"
        case aiohttp.ClientResponseError():
            return "what the carrier sent is not HTTP"
        case _:
            return "the connection ended before the answer"
