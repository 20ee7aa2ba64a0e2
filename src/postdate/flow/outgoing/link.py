"""One connection to a customer's server: HTTP/1.1, one request at a time, kept for the next one.

The answer is parsed by httptools and bounded: what is more than the limit is never taken. An answer that began is an
answer, even if its body broke off: to ask again would be to tell twice.
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast

import httptools

from postdate.core.callback import Answered
from postdate.core.instant import SECOND

ANSWER_LIMIT: Final = 64 * 1024
_HEAD_LIMIT: Final = 32 * 1024
_SWITCHING: Final = 101
_OK: Final = 200
_NO_TYPE: Final = "application/octet-stream"


class HungUp(Exception):
    """The connection ended before an answer began."""


class NotHttp(Exception):
    """What came is no HTTP."""


class Link(asyncio.Protocol):
    """A connection; `free` says whether it can take the next request. httptools calls the `on_` methods."""

    def __init__(self, lost: Callable[["Link"], None]) -> None:
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._waiting: asyncio.Future[Answered] | None = None
        self._timer: asyncio.TimerHandle | None = None  # for the whole answer
        self._read_timer: asyncio.TimerHandle | None = None  # for the next piece of it, where that may take less
        self._read_seconds = 0.0
        self._request = b""  # not written yet
        self.rested = False  # unused since the last sweep; the pool's mark
        self._begin()

    def _begin(self) -> None:
        self._head = 0
        self._began = False
        self._status = 0
        self._type = _NO_TYPE
        self._encoded = False
        self._sized = False
        self._body = bytearray()

    # -- asking ----------------------------------------------------------------------------------------------------

    @property
    def free(self) -> bool:
        """Say whether nothing is under way and the connection stands."""
        return self._waiting is None and self._transport is not None and not self._transport.is_closing()

    def ask(self, request: bytes, read_timeout: int, total_timeout: int) -> "asyncio.Future[Answered]":
        """Send a request; what is returned has the answer, or HungUp, NotHttp or TimeoutError where none began.

        Whoever waits for it says `rest` afterwards, however that ended.
        """
        assert self._transport is not None
        self.rested = False
        self._begin()
        waiting: asyncio.Future[Answered] = self._loop.create_future()
        self._waiting = waiting
        self._timer = self._loop.call_later(total_timeout / SECOND, self._time_out)
        if read_timeout < total_timeout:
            self._read_seconds = read_timeout / SECOND
            self._read_timer = self._loop.call_later(self._read_seconds, self._time_out)
        self._request = request
        # At the end of this turn of the loop: calls to one server that leave right after each other wake it once.
        self._loop.call_soon(self._write)
        return waiting

    def _write(self) -> None:
        request, self._request = self._request, b""
        if request and self._transport is not None and not self._transport.is_closing():
            self._transport.write(request)

    def rest(self) -> None:
        """Hear that nobody waits any more: an answer that is still to come is one to a question called off."""
        if self._waiting is not None:
            self._end()
            self.close()

    def so_far(self) -> Answered | None:
        """Return what is known of an answer that began, None where none did."""
        return Answered(self._status, self._type, whole=False) if self._began else None

    def close(self) -> None:
        """Close it."""
        if self._transport is not None:
            self._transport.abort()

    def _end(self) -> None:
        self._waiting = None
        self._request = b""
        if self._timer is not None:
            self._timer.cancel()
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None

    def _answer(self, *, whole: bool) -> None:
        waiting = self._waiting
        if waiting is not None:
            self._end()
            # A compressed body is never unpacked: a small one can unpack to any size.
            body = b"" if self._encoded else bytes(self._body[:ANSWER_LIMIT])
            if not waiting.done():
                waiting.set_result(Answered(self._status, self._type, body, whole and not self._encoded))

    def _fail(self, error: Exception) -> None:
        waiting = self._waiting
        if waiting is not None:
            self._end()
            if not waiting.done():
                waiting.set_exception(error)

    def _break_off(self, error: Exception) -> None:
        """End the exchange here: with what is known of the answer, or with `error` where none began."""
        if self._began:
            self._answer(whole=False)
        else:
            self._fail(error)
        self.close()

    def _time_out(self) -> None:
        self._break_off(TimeoutError())

    # -- asyncio ---------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        """Take a piece of the answer."""
        if self._request:  # no answer to what has not been asked yet: a kept connection that says why it ends
            self._fail(HungUp())
        if self._waiting is None:  # nobody asked
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.close()  # it was answered, and speaks something else from here on
        except httptools.HttpParserError:
            self._break_off(NotHttp())
        if self._waiting is not None:
            self._go_on_reading(len(data))

    def _go_on_reading(self, size: int) -> None:
        if not self._began:
            self._head += size
            if self._head > _HEAD_LIMIT:
                self._break_off(NotHttp())
                return
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = self._loop.call_later(self._read_seconds, self._time_out)

    def connection_lost(self, error: Exception | None) -> None:
        """End what is under way."""
        if self._began:
            # Without a length the body ends with the connection.
            self._answer(whole=not self._sized and error is None)
        else:
            self._fail(HungUp())
        self._transport = None
        self._lost(self)

    # -- httptools -------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Take no second answer to one question."""
        if self._waiting is None:
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note the few headers that matter."""
        name = name.lower()
        if name == b"content-type":
            self._type = value.partition(b";")[0].strip().lower().decode("latin-1") or _NO_TYPE
        elif name == b"content-encoding":
            self._encoded = value.strip().lower() != b"identity"
        elif name in (b"content-length", b"transfer-encoding"):
            self._sized = True

    def on_headers_complete(self) -> None:
        """Note that the answer began, unless it is only one on the way to it (100, 103)."""
        self._status = self._parser.get_status_code()
        self._began = self._status >= _OK or self._status == _SWITCHING

    def on_body(self, piece: bytes) -> None:
        """Take a piece of the body, up to the limit."""
        if self._waiting is None:
            return
        self._body += piece
        if len(self._body) > ANSWER_LIMIT:
            self._answer(whole=False)
            self.close()

    def on_message_complete(self) -> None:
        """Give the answer; keep the connection where the server does."""
        if not self._began:
            self._begin()
            return
        self._answer(whole=True)
        if not self._parser.should_keep_alive():
            self.close()
