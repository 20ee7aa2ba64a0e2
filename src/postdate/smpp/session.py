"""One side of an SMPP 3.4 session, without a socket: bytes in, events out; requests and responses in, bytes out.

The same class plays the ESME and the SMSC. It cuts the stream into frames, numbers requests, and knows which of them
are without a response, so that each response is told with the request it answers and the caller's token for it. It
writes nothing by itself: an event that has an `answer` leaves it to the caller to send, and so does every request, an
`enquire_link` too. Time is the caller's: what has waited too long is told by `forget`, and its response, if it comes
after all, is marked as late.

No input makes `receive` raise or loop. One frame that cannot be read does not end the session; a length that cannot be
right does, because nobody knows where the next frame begins.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from struct import Struct
from typing import Final

import msgspec

from postdate.smpp.codec import HEADER_LENGTH, LONGEST_FRAME, decode, encode
from postdate.smpp.codes import RESPONSE_BIT, Command, Status
from postdate.smpp.pdu import (
    AlertNotification,
    Bind,
    BindMode,
    BindResp,
    Body,
    CancelSm,
    CancelSmResp,
    DataSm,
    DataSmResp,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    Fault,
    GenericNack,
    Malformed,
    Outbind,
    Pdu,
    QuerySm,
    QuerySmResp,
    ReplaceSm,
    ReplaceSmResp,
    Request,
    Response,
    SubmitSm,
    SubmitSmResp,
    Unbind,
    UnbindResp,
)

LAST_SEQUENCE: Final = 0x7FFFFFFF
LATE_KEPT: Final = 10_000

_LENGTH: Final = Struct(">I")
_TAKEN: Final = Struct(">IIIIB")  # half of all answers: a deliver_sm_resp, written out
_DELIVERED: Final = Command.DELIVER_SM_RESP.value


class Role(Enum):
    """Which side of the session this is."""

    ESME = "ESME"
    SMSC = "SMSC"


class Outstanding(msgspec.Struct, frozen=True):
    """A request of ours that has no response, with the caller's token for it."""

    sequence: int
    request: Request
    token: object = None


class RequestReceived(msgspec.Struct, frozen=True):
    """They ask; answer with `Session.respond(pdu, ...)`, except an `Outbind` or an `AlertNotification`."""

    pdu: Pdu


class ResponseReceived(msgspec.Struct, frozen=True):
    """They answered `sent`; `late` if it was given up by `forget` before."""

    pdu: Pdu
    sent: Outstanding
    late: bool = False


@dataclass(frozen=True, slots=True)
class Nacked:
    """They could not make sense of `sent`: nothing of it was done."""

    status: int
    sent: Outstanding
    late: bool = False


@dataclass(frozen=True, slots=True)
class StrayResponse:
    """A response to nothing that waits for one of its kind: sent twice, kept too long, or never asked for."""

    command: int
    status: int
    sequence: int


@dataclass(frozen=True, slots=True)
class RequestRejected:
    """A request that nobody need look at: unreadable, unknown, or not allowed now. `answer` is to be sent.

    `frame` is what came if it was unreadable; `answer` is empty where the standard has no answer.
    """

    command: int
    sequence: int
    status: int
    answer: bytes
    frame: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class ProtocolError:
    """The stream is out of step, the session has ended; send `answer` and close."""

    reason: str
    answer: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """They agreed to our unbind: close."""


Event = RequestReceived | ResponseReceived | Nacked | StrayResponse | RequestRejected | ProtocolError | Ended


class NotAllowed(Exception):
    """A request that the state of the session does not allow; nothing was sent, and nothing will be."""


class Session:
    """One session, from the moment the connection stands.

    `mode` is how it is bound, None if it is not; `ended` says that nothing more will come of it.
    """

    __slots__ = (
        "_bind_asked",
        "_buffer",
        "_late",
        "_leaving",
        "_needed",
        "_next",
        "_outstanding",
        "_sendable",
        "ended",
        "mode",
        "role",
    )

    def __init__(self, role: Role, first_sequence: int = 1) -> None:
        """Begin; `first_sequence` (1..0x7FFFFFFF) is the number of our first request."""
        self.role = role
        self.mode: BindMode | None = None
        self.ended = False
        self._next = first_sequence
        self._sendable = _SENDABLE[role, None]
        self._bind_asked = False  # by them, and not answered yet
        self._leaving = False  # we sent an unbind
        self._buffer = bytearray()
        self._needed = HEADER_LENGTH
        self._outstanding: dict[int, Outstanding] = {}
        self._late: OrderedDict[int, Outstanding] = OrderedDict()

    @property
    def outstanding(self) -> Mapping[int, Outstanding]:
        """Our requests without a response, by sequence number, oldest first."""
        return self._outstanding

    def receive(self, data: bytes) -> list[Event]:
        """Take what came from the connection, cut anywhere; return what it means, in order. Nothing after the end."""
        if self.ended:
            return []
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._needed:
                return []
            data = bytes(self._buffer)
        events: list[Event] = []
        at, end, self._needed = 0, len(data), HEADER_LENGTH
        while end - at >= HEADER_LENGTH:
            (length,) = _LENGTH.unpack_from(data, at)
            if not HEADER_LENGTH <= length <= LONGEST_FRAME:
                events.append(self._out_of_step())
                return events
            if end - at < length:
                self._needed = length
                break
            self._take(data[at : at + length], events)
            if self._has_ended():
                return events
            at += length
        self._buffer = bytearray(data[at:])
        return events

    def request(self, body: Request, token: object = None) -> tuple[int, bytes]:
        """Number a request and return its number and its bytes; `token` comes back with the response.

        NotAllowed if the session cannot carry it now, ValueError if a field cannot be written.
        """
        kind = type(body)
        if kind not in self._sendable or self.ended or self._leaving:
            raise NotAllowed(f"the {self.role.value} cannot send a {kind.__name__} in this state of the session")
        sequence = self._next
        while sequence in self._outstanding or sequence in self._late:
            sequence = sequence + 1 if sequence < LAST_SEQUENCE else 1
        frame = encode(Pdu(body, sequence))
        self._next = sequence + 1 if sequence < LAST_SEQUENCE else 1
        if kind not in _WITHOUT_RESPONSE:
            self._outstanding[sequence] = Outstanding(sequence, body, token)
            self._leaving = kind is Unbind
            if kind is Bind:
                self._sendable = _ALWAYS  # until the answer
        return sequence, frame

    def respond(self, request: Pdu, answer: Response | int = Status.ROK) -> bytes:
        """The bytes that answer a request: with a body, or with a status and the empty body of the right kind.

        Answering a bind with ROK binds the session; answering an unbind with ROK ends it.
        """
        asked = request.body
        if answer == Status.ROK and type(asked) is DeliverSm:
            return _TAKEN.pack(_TAKEN.size, _DELIVERED, Status.ROK, request.sequence, 0)
        body, status = (_EMPTY_ANSWER[asked.command], answer) if isinstance(answer, int) else (answer, 0)
        if body is None:
            raise NotAllowed(f"a {type(asked).__name__} has no response")
        frame = encode(Pdu(body, request.sequence, status))
        if isinstance(asked, Bind) and not self.ended:
            self._bind_asked = False
            self._bind(asked.mode if status == Status.ROK else None)
        elif isinstance(asked, Unbind) and status == Status.ROK:
            self.ended = True
        return frame

    def forget(self, sequence: int) -> Outstanding | None:
        """Give up waiting for a response; if it comes it is late. None if nothing of that number waits."""
        sent = self._outstanding.pop(sequence, None)
        if sent is not None:
            self._late[sequence] = sent
            if len(self._late) > LATE_KEPT:
                self._late.popitem(last=False)
            self._leaving = self._leaving and not isinstance(sent.request, Unbind)
        return sent

    def end(self) -> list[Outstanding]:
        """End the session, because its connection has; return the requests that will have no response."""
        self.ended = True
        self.mode = None
        self._buffer.clear()
        unanswered = list(self._outstanding.values())
        self._outstanding.clear()
        return unanswered

    def _has_ended(self) -> bool:
        return self.ended

    def _bind(self, mode: BindMode | None) -> None:
        self.mode = mode
        self._sendable = _SENDABLE[self.role, mode]

    def _out_of_step(self) -> ProtocolError:
        self.ended = True
        self._buffer.clear()
        return ProtocolError(
            "a length that no PDU can have", encode(Pdu(GenericNack(), sequence=0, status=Status.RINVCMDLEN))
        )

    def _take(self, frame: bytes, events: list[Event]) -> None:
        read = decode(frame)
        if isinstance(read, Malformed):
            events.append(self._unreadable(read))
        elif read.body.command & RESPONSE_BIT:
            self._take_response(read, events)
        else:
            events.append(self._take_request(read))

    def _take_response(self, pdu: Pdu, events: list[Event]) -> None:
        sequence, command = pdu.sequence, pdu.body.command
        sent = self._outstanding.get(sequence)
        late = sent is None
        if sent is None:
            sent = self._late.get(sequence)
        nacked = command == Command.GENERIC_NACK
        if sent is None or not (nacked or sent.request.command | RESPONSE_BIT == command):
            events.append(StrayResponse(command, pdu.status, sequence))
            return
        if late:
            del self._late[sequence]
        else:
            del self._outstanding[sequence]
        if nacked:
            events.append(Nacked(pdu.status, sent, late))
            return
        events.append(ResponseReceived(pdu, sent, late))
        if isinstance(sent.request, Bind) and not late:
            self._bind(sent.request.mode if pdu.status == Status.ROK else None)
        elif isinstance(sent.request, Unbind):
            self.ended = True
            events.append(Ended())

    def _take_request(self, pdu: Pdu) -> Event:
        kind = type(pdu.body)
        if kind not in _RECEIVABLE[self.role, self.mode] or (kind is Bind and self._bind_asked):
            again = kind is Bind and (self._bind_asked or self.mode is not None)
            return self._rejected(pdu.body.command, pdu.sequence, Status.RALYBND if again else Status.RINVBNDSTS)
        if kind is Bind:
            self._bind_asked = True
        return RequestReceived(pdu)

    def _unreadable(self, read: Malformed) -> Event:
        if read.command & RESPONSE_BIT:
            return StrayResponse(read.command, read.status, read.sequence)
        if read.fault is Fault.UNKNOWN_COMMAND:
            answer = encode(Pdu(GenericNack(), read.sequence, Status.RINVCMDID))
            return RequestRejected(read.command, read.sequence, Status.RINVCMDID, answer, read.frame)
        # Refused, it would be delivered again and again, and keep all that waits behind it.
        from_smsc = self.role is Role.ESME and read.command in (Command.DELIVER_SM, Command.DATA_SM)
        status = Status.ROK if from_smsc else Status.RINVCMDLEN
        return self._rejected(read.command, read.sequence, status, read.frame)

    def _rejected(self, command: int, sequence: int, status: int, frame: bytes = b"") -> RequestRejected:
        body = _EMPTY_ANSWER[command]
        answer = b"" if body is None else encode(Pdu(body, sequence, status))
        return RequestRejected(command, sequence, status, answer, frame)


_WITHOUT_RESPONSE: Final = frozenset({Outbind, AlertNotification})
_EMPTY_ANSWER: Final[Mapping[int, Response | None]] = {
    **{mode.value: BindResp(mode) for mode in BindMode},
    Command.SUBMIT_SM: SubmitSmResp(),
    Command.DELIVER_SM: DeliverSmResp(),
    Command.DATA_SM: DataSmResp(),
    Command.QUERY_SM: QuerySmResp(),
    Command.CANCEL_SM: CancelSmResp(),
    Command.REPLACE_SM: ReplaceSmResp(),
    Command.UNBIND: UnbindResp(),
    Command.ENQUIRE_LINK: EnquireLinkResp(),
    Command.OUTBIND: None,
    Command.ALERT_NOTIFICATION: None,
}

_ALWAYS: Final[frozenset[type[Body]]] = frozenset({EnquireLink})
_BOUND: Final[frozenset[type[Body]]] = frozenset({EnquireLink, Unbind})
_TO_SMSC: Final[frozenset[type[Body]]] = frozenset({SubmitSm, DataSm, QuerySm, CancelSm, ReplaceSm}) | _BOUND
_TO_ESME: Final[frozenset[type[Body]]] = frozenset({DeliverSm, DataSm, AlertNotification}) | _BOUND

_SENDABLE: Final[Mapping[tuple[Role, BindMode | None], frozenset[type[Body]]]] = {
    (Role.ESME, None): frozenset({Bind}) | _ALWAYS,
    (Role.ESME, BindMode.TRANSMITTER): _TO_SMSC,
    (Role.ESME, BindMode.RECEIVER): _BOUND,
    (Role.ESME, BindMode.TRANSCEIVER): _TO_SMSC,
    (Role.SMSC, None): frozenset({Outbind}) | _ALWAYS,
    (Role.SMSC, BindMode.TRANSMITTER): _BOUND,
    (Role.SMSC, BindMode.RECEIVER): _TO_ESME,
    (Role.SMSC, BindMode.TRANSCEIVER): _TO_ESME,
}
# Kinder than what is sent: an ESME takes a receipt on a link that it bound for sending only, and anybody an unbind.
_RECEIVABLE: Final[Mapping[tuple[Role, BindMode | None], frozenset[type[Body]]]] = {
    (Role.ESME, None): frozenset({Outbind}) | _BOUND,
    **{(Role.ESME, mode): _TO_ESME for mode in BindMode},
    (Role.SMSC, None): frozenset({Bind}) | _BOUND,
    (Role.SMSC, BindMode.TRANSMITTER): _TO_SMSC,
    (Role.SMSC, BindMode.RECEIVER): _BOUND,
    (Role.SMSC, BindMode.TRANSCEIVER): _TO_SMSC,
}
