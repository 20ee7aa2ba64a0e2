"""One HTTP request at a time, and how far it came: what decides between Unreachable and InDoubt.

Until a connection is there no byte has left. From then on only an answer says what happened, and nothing is repeated
here: a connection that breaks off, kept alive or new, may have carried it. The operator's URLs may be at private
addresses; no redirect is followed, no proxy is taken from the environment, no cookie is kept, an answer is read up to
64 KiB. Texts are ours alone: they hold no secret, no URL and no word of the other side's.
"""

import asyncio
import os
import re
import ssl
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Final
from weakref import WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from yarl import URL

from postdate import __version__
from postdate.clock import Clock
from postdate.connectors.providers.contract import Answer, Request
from postdate.core.instant import SECOND, format_span

ANSWER_LIMIT: Final = 64 * 1024

# Shorter than servers keep an idle connection: one that they close just as we take it leaves a message in doubt.
_KEPT_ALIVE: Final = 1.0
_VISIBLE: Final = re.compile(r"[!-~]+")
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER: Final = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]*")
_NOT_OPEN: Final = "the connection is closed"


@dataclass(slots=True, eq=False)
class Exchange:
    """How far a request has come: an answer, or why there is none; `connected` from when bytes may have left."""

    connected: bool = False
    sent: bool = False  # its head has been written
    answer: Answer | None = None
    fault: str = ""
    limit: asyncio.Timeout | None = None


def can_be_sent(request: Request) -> bool:
    """Say whether method, URL and headers are such that nothing in them ends a line or names another host."""
    try:
        url = _url(request)
    except ValueError:
        return False
    return (
        url.scheme in ("http", "https")
        and bool(url.host)
        and url.user is None
        and url.password is None
        and bool(_TOKEN.fullmatch(request.method))
        and all(_TOKEN.fullmatch(name) and _HEADER.fullmatch(value) for name, value in request.headers.items())
    )


class Wire:
    """The connections to one carrier; `timeout` in seconds, to connect and again to be answered."""

    def __init__(self, clock: Clock, timeout: float, tls: ssl.SSLContext | None = None) -> None:
        """Take `tls` for the certificates that are believed; without it, those of the machine."""
        self._clock = clock
        self._timeout = timeout
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    def open(self) -> None:
        """Make ready; nothing is connected before it is needed."""
        tracing = aiohttp.TraceConfig()
        tracing.on_connection_create_end.append(self._note_created)
        tracing.on_connection_reuseconn.append(_note_connected)
        tracing.on_request_headers_sent.append(_send_once)
        # A small compressed answer can unpack to any size.
        headers = {"User-Agent": f"Postdate/{__version__}", "Accept-Encoding": "identity"}
        self._session = aiohttp.ClientSession(
            connector=_Connector(limit=0, keepalive_timeout=_KEPT_ALIVE, ssl=self._tls or True),
            headers=headers,
            skip_auto_headers=("Content-Type",),
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            trace_configs=[tracing],
        )

    async def close(self) -> None:
        """End every connection; whatever is under way ends with a fault."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def send(self, request: Request, exchange: Exchange) -> None:
        """Exchange a request that can be sent; `exchange` says what came of it, also where this is canceled."""
        session = self._session
        if session is None:
            exchange.fault = _NOT_OPEN
            return
        span = format_span(int(self._timeout * SECOND))
        try:
            await self._exchange(session, request, exchange)
        except TimeoutError:
            exchange.fault = f"no answer within {span}" if exchange.connected else f"no connection within {span}"
        except (aiohttp.ClientError, UnicodeError) as error:
            exchange.fault = _why(error)

    async def get(self, url: str) -> Answer | None:
        """Fetch what is at a URL; None where it could not be had whole."""
        exchange, request = Exchange(), Request("GET", url)
        if can_be_sent(request):
            await self.send(request, exchange)
        return exchange.answer if not exchange.fault else None

    async def _exchange(self, session: aiohttp.ClientSession, request: Request, exchange: Exchange) -> None:
        async with asyncio.timeout(self._timeout) as exchange.limit:
            async with session.request(
                request.method,
                _url(request),
                data=request.body,
                headers=request.headers,
                allow_redirects=False,
                trace_request_ctx=exchange,
            ) as response:
                if response.status >= 300:
                    # What the status alone says holds even if the rest of the answer never comes.
                    exchange.answer = self._answer(response, b"")
                body = await _read(response)
                if body is not None:
                    exchange.answer = self._answer(response, body)
                elif exchange.answer is None:
                    exchange.fault = "the answer is too long or compressed: it cannot be read"

    def _answer(self, response: aiohttp.ClientResponse, body: bytes) -> Answer:
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, headers, body, self._clock.now())

    async def _note_created(self, session: aiohttp.ClientSession, context: SimpleNamespace, params: object) -> None:
        await _note_connected(session, context, params)
        limit = context.trace_request_ctx.limit
        assert limit is not None
        limit.reschedule(asyncio.get_running_loop().time() + self._timeout)


class _Connector(aiohttp.TCPConnector):
    """Gives no kept connection on which something came unasked: an answer told twice is not the next message's."""

    def __init__(self, *, limit: int, keepalive_timeout: float, ssl: bool | ssl.SSLContext) -> None:
        super().__init__(limit=limit, keepalive_timeout=keepalive_timeout, ssl=ssl)
        self._given: WeakSet[ResponseHandler] = WeakSet()

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  aiohttp's own
    ) -> Connection:
        """Return a connection that is new, or kept and silent."""
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            assert protocol is not None
            if protocol not in self._given or not protocol.should_close:
                self._given.add(protocol)
                return connection
            connection.close()


async def _note_connected(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    exchange = context.trace_request_ctx
    assert isinstance(exchange, Exchange)
    exchange.connected = True


async def _send_once(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    """Keep aiohttp from writing a GET or PUT again whose connection broke off: to a carrier it is another message."""
    exchange = context.trace_request_ctx
    assert isinstance(exchange, Exchange)
    if exchange.sent:
        raise aiohttp.ServerDisconnectedError
    exchange.sent = True


def _url(request: Request) -> URL:
    # What can stand as it is does: a signature may cover every byte of it.
    return URL(request.url, encoded=bool(_VISIBLE.fullmatch(request.url)))


async def _read(response: aiohttp.ClientResponse) -> bytes | None:
    """Return the body, None if it is larger than any answer or compressed, which nobody asked for."""
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        response.close()
        return None
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ANSWER_LIMIT:
            response.close()
            return None
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
