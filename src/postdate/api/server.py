"""The web server around the API: uvicorn, with a bounded request head and without signals or logs of its own."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Sequence
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from postdate.api.proxies import BehindProxies
from postdate.clock import breathe
from postdate.settings import Network

BACKLOG = 2_048
KEEP_ALIVE_SECONDS = 75
STOP_SECONDS = 10
_MOST_HELD = 65_536  # bytes of a response that wait for the end of a turn
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"connection: close\r\ncontent-length: 33\r\n\r\nThe head of a request is too long"
)


class CannotListen(Exception):
    """The address cannot be listened on; the text says what to do."""


class _Together:
    """A transport that sends the head of a response with its body, and at the end of a turn of the event loop.

    uvicorn writes them apart, at a system call each. To wake a peer that sleeps is the dearest part of a small write:
    the responses of one turn leave right after each other, and find it awake.
    """

    __slots__ = ("_held", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._held = b""

    def write(self, data: bytes) -> None:
        if self._held and len(self._held) < _MOST_HELD:
            self._held += data
        elif self._held or not data.startswith(b"HTTP/1.1 "):
            self._flush()
            self._transport.write(data)
        else:
            self._held = data
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        data, self._held = self._held, b""
        if data and not self._transport.is_closing():
            self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Bounded(HttpToolsProtocol):
    """Refuses a request head of more than `most` bytes while it is still being read."""

    most = 0
    head = 0  # bytes of a request head that is not complete yet
    piece = before = 0  # bytes of the present piece, and of the last one that completed something
    in_head = True
    got_on = False  # a head or a message was completed in the present piece

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast(asyncio.Transport, _Together(transport)))

    def data_received(self, data: bytes) -> None:
        self.got_on, self.piece = False, len(data)
        super().data_received(data)
        if self.got_on:
            self.head, self.before = 0, len(data)  # what it has of the next head is counted with the one that follows
        elif self.in_head:
            self.head += len(data)
            self.refuse(self.head)

    def on_headers_complete(self) -> None:
        self.in_head, self.got_on = False, True
        # Nearly always all that came is less than a head may have: then there is nothing to count.
        if self.before + self.head + self.piece <= self.most or not self.refuse(self._size()):
            super().on_headers_complete()

    def _size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def on_message_complete(self) -> None:
        self.in_head = self.got_on = True
        super().on_message_complete()

    def refuse(self, size: int) -> bool:
        """Refuse a head that is too large; say whether it is."""
        if size > self.most and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()
        return size > self.most


def bounded(most: int) -> type[HttpToolsProtocol]:
    """Return a protocol that refuses a request head of more than `most` bytes."""
    return type("Bounded", (_Bounded,), {"most": most})


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the process has one handler, and it is not the web server's


class WebServer:
    """Listens for the API. `port` is the one it got where 0 was asked for; only trusted proxies tell who asks."""

    def __init__(
        self, app: ASGIApp, host: str, port: int, max_head: int, trusted_proxies: Sequence[Network] = ()
    ) -> None:
        try:
            self._socket = socket.create_server(
                (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=BACKLOG
            )
        except OSError as error:
            raise CannotListen(
                f"cannot listen on {host}:{port}: {error.strerror}: choose another --port or --host"
            ) from None
        self.port: int = self._socket.getsockname()[1]
        self._server = _Server(
            uvicorn.Config(
                BehindProxies(app, trusted_proxies) if trusted_proxies else app,
                http=bounded(max_head),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # or it would believe whoever connects from this machine
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=STOP_SECONDS,
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when requests are answered."""
        self._task = asyncio.get_running_loop().create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started and not self._task.done():
            await breathe()

    async def stop(self) -> None:
        """Answer what is under way, then stop listening."""
        self._server.should_exit = True
        if self._task is not None:
            await asyncio.wait([self._task])
