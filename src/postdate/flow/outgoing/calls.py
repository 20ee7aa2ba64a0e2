"""Calls over kept connections: for each place (scheme, host, port) a few links that are free, and new ones as needed.

No cookies, no proxies from the environment, no redirects, no endless answers, and no text of a result that holds user
info or a query of the URL. The number of calls in flight is the caller's to bound.
"""

import asyncio
import os
import socket
import ssl
from contextlib import ExitStack
from typing import Final

import msgspec
from aiohappyeyeballs import start_connection

from postdate.core.callback import CallbackPolicy, CallbackResult, Forbidden, NotConnected, TimedOut
from postdate.core.instant import SECOND
from postdate.flow.outgoing.gate import NOT_HTTP, ForbiddenAddress, Gate
from postdate.flow.outgoing.link import HungUp, Link, NotHttp

_KEEP_SECONDS: Final = 15  # a link that rests is closed after this long, or twice as long
_NEXT_ADDRESS_SECONDS: Final = 0.25  # a host's next address is tried beside one that is slow to answer


class Place(msgspec.Struct, frozen=True):
    """Where a connection leads."""

    secure: bool
    host: str
    port: int


class Calls:
    """Asks servers. Owned by one event loop."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._free: dict[Place, list[Link]] = {}  # the one used last at the end
        self._links: dict[Link, Place] = {}
        self._sweeping: asyncio.TimerHandle | None = None
        self._tls: ssl.SSLContext | None = None
        self._closed = False

    def close(self) -> None:
        """Close all connections; calls after it raise RuntimeError."""
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        for link in list(self._links):
            link.close()

    async def ask(self, place: Place, request: bytes, policy: CallbackPolicy) -> CallbackResult:
        """Send a request, byte for byte, and say how it ended."""
        if self._closed:
            raise RuntimeError("the outgoing client is closed")
        try:
            free = self._free.get(place)
            while free:
                link = free.pop()
                if not link.free:
                    continue
                try:
                    answer = await link.ask(request, policy.read_timeout, policy.total_timeout)
                except HungUp:
                    continue  # a kept connection that the server was just closing says nothing about the server
                finally:
                    link.rest()
                self._keep(link)
                return answer
            return await self._ask_anew(place, request, policy)
        except TimeoutError:
            return TimedOut("the server did not answer in time")
        except (OSError, UnicodeError, HungUp, NotHttp) as error:
            return _result(error)

    async def _ask_anew(self, place: Place, request: bytes, policy: CallbackPolicy) -> CallbackResult:
        link: Link | None = None
        try:
            async with asyncio.timeout(policy.total_timeout / SECOND):
                async with asyncio.timeout(policy.connect_timeout / SECOND):
                    opened = await self._connect(place)
                link = opened
                answer = await link.ask(request, policy.read_timeout, policy.total_timeout)
        except TimeoutError:
            if link is None:
                return NotConnected("no connection in time")
            return link.so_far() or TimedOut("the server did not answer in time")
        finally:
            if link is not None:
                link.rest()
        self._keep(link)
        return answer

    async def _connect(self, place: Place) -> Link:
        loop = asyncio.get_running_loop()
        addresses = await loop.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
        connected = await start_connection(
            addresses, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS, loop=loop, socket_factory=self._gate.open_socket
        )
        with ExitStack() as undo:
            undo.callback(connected.close)
            _, link = await loop.create_connection(
                lambda: Link(self._lost),
                sock=connected,
                ssl=self._context() if place.secure else None,
                server_hostname=place.host.rstrip(".") if place.secure else None,
            )
            undo.pop_all()
        self._links[link] = place
        return link

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls

    # -- what is kept ------------------------------------------------------------------------------------------------

    def _keep(self, link: Link) -> None:
        if not link.free:
            return
        if self._closed:
            link.close()
            return
        self._free.setdefault(self._links[link], []).append(link)
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(_KEEP_SECONDS, self._sweep)

    def _lost(self, link: Link) -> None:
        place = self._links.pop(link, None)
        free = self._free.get(place) if place is not None else None
        if free is not None and link in free:
            free.remove(link)

    def _sweep(self) -> None:
        """Close what rested since the last sweep."""
        for place, free in list(self._free.items()):
            for link in list(free):
                if link.rested:
                    link.close()
                    free.remove(link)
                link.rested = True
            if not free:
                del self._free[place]
        loop = asyncio.get_running_loop()
        self._sweeping = loop.call_later(_KEEP_SECONDS, self._sweep) if self._free else None


# -- what went wrong, in words of ours ---------------------------------------------------------------------------------


def _result(error: Exception) -> CallbackResult:
    match error:
        case ForbiddenAddress():
            return Forbidden(str(error))
        case UnicodeError():  # a label of a host name that is empty or too long
            return Forbidden(NOT_HTTP)
        case _:
            return NotConnected(_why(error))


def _why(error: Exception) -> str:
    match error:
        case HungUp():
            return "the server closed the connection before it answered"
        case NotHttp():
            return "what the server sent is not HTTP"
        case ssl.SSLCertVerificationError():
            return f"its certificate was not accepted ({error.verify_message})"
        case ssl.SSLError():
            return "TLS could not be agreed on"
        case socket.gaierror():
            return "the host name does not resolve"
        case OSError() if error.errno:
            return os.strerror(error.errno).lower()
        case _:
            return "no address could be reached"
