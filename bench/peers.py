"""The other ends of a node: a customer that takes callbacks, and a carrier's SMSC that answers and reports at once.

They run in processes of their own on the same processors, so both are lean: bytes in, bytes out, nothing kept that is
not counted. The SMSC is written from the standard, with nothing of ours.
"""

import asyncio
import socket
from array import array
from itertools import pairwise
from struct import Struct
from typing import Final, cast

from bench.figures import share
from postdate.clock import SystemClock
from postdate.core.instant import SECOND, Monotonic

# -- a customer --------------------------------------------------------------------------------------------------------

_ANSWER: Final = b"HTTP/1.1 204 No Content\r\n\r\n"
_ANSWER_TO_GET: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n"
_GET: Final = b"GET "
_LENGTH: Final = b"content-length:"
_SID: Final = b"MessageSid="
_SID_LENGTH: Final = 34
_DELIVERED: Final = (b"MessageStatus=delivered", b"MessageStatus=1 ")  # in a body; at the end of a GET's target


class Told:
    """What the customer was told: how many calls came, which messages were delivered, and when the last one was."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.calls = 0
        self.delivered: set[bytes] = set()
        self.last_at = Monotonic(0)

    def take(self, said: bytes, delivered: bytes = _DELIVERED[0]) -> None:
        """Note one call, by what it said and the words that say `delivered` in it."""
        self.calls += 1
        if delivered in said:
            start = said.find(_SID) + len(_SID)
            self.delivered.add(said[start : start + _SID_LENGTH])
            self.last_at = self.clock.monotonic()


class Customer(asyncio.Protocol):
    """One connection of a customer's server: every POST is noted and answered 204, every GET 200."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        """Answer what is whole by now."""
        self._received += data
        while True:
            head, found, rest = self._received.partition(b"\r\n\r\n")
            if not found:
                return
            if head.startswith(_GET):
                self._told.take(head.partition(b"\r\n")[0], _DELIVERED[1])
                self._received = rest
                self._transport.write(_ANSWER_TO_GET)
                continue
            _, _, length = head.lower().partition(_LENGTH)
            size = int(length.split(b"\r\n", 1)[0])
            if len(rest) < size:
                return
            self._told.take(rest[:size])
            self._received = rest[size:]
            self._transport.write(_ANSWER)


# -- an SMSC -----------------------------------------------------------------------------------------------------------

_HEADER: Final = Struct(">IIII")  # length, command, status, sequence
_ANSWERS: Final = 0x80000000
_SUBMIT_SM: Final = 0x04
_DELIVER_SM: Final = 0x05
_BINDS: Final = frozenset({0x01, 0x02, 0x09})
_RECEIPT_TEXT: Final = (
    b"id:%b sub:001 dlvrd:001 submit date:3001010000 done date:3001010000 stat:DELIVRD err:000 text:Your appointment is"
)
_AGAIN_SECONDS: Final = 0.1


class Taken:
    """When each message arrived, by the waiting clock."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.arrivals = array("q")
        self.put_off = 0  # receipts that the node asked to hear later

    def worst_second(self) -> int:
        """Return the most messages that arrived within any second."""
        most = first = 0
        for number, at in enumerate(self.arrivals):
            while self.arrivals[first] <= at - SECOND:
                first += 1
            most = max(most, number - first + 1)
        return most

    def gap(self, part: float) -> float:
        """Return the gap between arrivals, in microseconds, that `part` of them are not above."""
        return share([later - one for one, later in pairwise(self.arrivals)], part)


class Smsc(asyncio.Protocol):
    """One link: answers every submit_sm, and reports it delivered in the same write.

    What came is acknowledged at once. The other end may hold small frames back until its last ones are acknowledged, as
    Kannel does; where those were answers, nothing of ours would carry the acknowledgement, and the kernel would put it
    off by up to 40 ms: the wait for it, not the work, would then set the rate.
    """

    def __init__(self, taken: Taken) -> None:
        self._taken = taken
        self._received = b""
        self._sequence = 0
        self._receipts: dict[int, bytes] = {}  # by sequence number: not acknowledged yet
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        self._socket: socket.socket = transport.get_extra_info("socket")

    def data_received(self, data: bytes) -> None:
        """Answer every whole frame, all in one write."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)  # the kernel forgets it after a while
        data = self._received + data if self._received else data
        at, out = 0, []
        while len(data) - at >= _HEADER.size:
            length, command, status, sequence = _HEADER.unpack_from(data, at)
            if len(data) - at < length:
                break
            out.append(self._answer(command, status, sequence, data[at + _HEADER.size : at + length]))
            at += length
        self._received = data[at:]
        self._transport.write(b"".join(out))

    def _answer(self, command: int, status: int, sequence: int, body: bytes) -> bytes:
        if command == _SUBMIT_SM:
            self._taken.arrivals.append(self._taken.clock.monotonic())
            carrier_ref = b"%010d" % len(self._taken.arrivals)
            answer = _frame(command | _ANSWERS, sequence, carrier_ref + b"\0")
            return answer + self._report(_receipt(body, carrier_ref))
        if command == _DELIVER_SM | _ANSWERS:
            receipt = self._receipts.pop(sequence)
            if status:
                self._taken.put_off += 1
                asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._report_again, receipt)
            return b""
        if command & _ANSWERS:
            return b""
        return _frame(command | _ANSWERS, sequence, b"bench\0" if command in _BINDS else b"")

    def _report(self, receipt: bytes) -> bytes:
        self._sequence += 1
        self._receipts[self._sequence] = receipt
        return _frame(_DELIVER_SM, self._sequence, receipt)

    def _report_again(self, receipt: bytes) -> None:
        self._transport.write(self._report(receipt))


def _frame(command: int, sequence: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), command, 0, sequence) + body


def _receipt(submitted: bytes, carrier_ref: bytes) -> bytes:
    """Return the deliver_sm that reports a submit_sm, given as its body: from its recipient, to its sender."""
    begin = submitted.index(b"\0") + 1  # after the service type: type, plan and address of the source, then the same
    middle = submitted.index(b"\0", begin + 2) + 1
    end = submitted.index(b"\0", middle + 2) + 1
    text = _RECEIPT_TEXT % carrier_ref
    # An empty service type; after the addresses: esm_class, and eight fields that are zero or empty.
    return b"\0%b%b\4%b%c%b" % (submitted[middle:end], submitted[begin:middle], bytes(8), len(text), text)
