"""What SMPP 3.4 can say: one class for each kind of PDU; `codec.py` turns them into bytes and back.

Field names and their order are the standard's, and the codec goes by them: a `str` is text that a zero octet ends, an
`int` one octet, `bytes` a length and as many octets, `tlvs` the optional parameters. Text is Latin-1, which has a
character for every octet.

What a busy link is full of are structs, which cost a fifth of a frozen dataclass to make, and which the garbage
collector need not look at.
"""

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import ClassVar

import msgspec

from postdate.smpp.codes import RESPONSE_BIT, Command

Tlv = tuple[int, bytes]
"""Tag and value of an optional parameter."""


class BindMode(IntEnum):
    """Which way messages may go over a link."""

    RECEIVER = Command.BIND_RECEIVER
    TRANSMITTER = Command.BIND_TRANSMITTER
    TRANSCEIVER = Command.BIND_TRANSCEIVER


@dataclass(frozen=True, slots=True)
class Bind:
    """The first request of an ESME: who it is, and which way messages shall go."""

    mode: BindMode
    system_id: str
    password: str = field(repr=False)
    system_type: str = ""
    interface_version: int = 0x34
    addr_ton: int = 0
    addr_npi: int = 0
    address_range: str = ""

    @property
    def command(self) -> int:
        """The mode is the command."""
        return self.mode


@dataclass(frozen=True, slots=True)
class BindResp:
    """The answer to a `Bind` of the same mode."""

    mode: BindMode
    system_id: str = ""
    tlvs: tuple[Tlv, ...] = ()

    @property
    def command(self) -> int:
        """The mode is the command."""
        return self.mode | RESPONSE_BIT


@dataclass(frozen=True, slots=True)
class Outbind:
    """An SMSC asks the ESME it called to bind; there is no answer but the bind."""

    command: ClassVar[int] = Command.OUTBIND
    system_id: str
    password: str = field(repr=False)


class ShortMessage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The layout that `SubmitSm` and `DeliverSm` share."""

    command: ClassVar[int]
    service_type: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""
    esm_class: int = 0
    protocol_id: int = 0
    priority_flag: int = 0
    schedule_delivery_time: str = ""
    validity_period: str = ""
    registered_delivery: int = 0
    replace_if_present_flag: int = 0
    data_coding: int = 0
    sm_default_msg_id: int = 0
    short_message: bytes = b""
    tlvs: tuple[Tlv, ...] = ()

    def tlv(self, tag: int) -> bytes | None:
        """The value of the first parameter with this tag, or None."""
        return _first(self.tlvs, tag) if self.tlvs else None


class SubmitSm(ShortMessage, frozen=True, kw_only=True, gc=False):
    """An ESME hands a message to the SMSC."""

    command: ClassVar[int] = Command.SUBMIT_SM


class DeliverSm(ShortMessage, frozen=True, kw_only=True, gc=False):
    """The SMSC hands a message or a receipt to an ESME."""

    command: ClassVar[int] = Command.DELIVER_SM


class SubmitSmResp(msgspec.Struct, frozen=True, gc=False):
    """The answer to a `SubmitSm`: the SMSC's id for the message."""

    command: ClassVar[int] = Command.SUBMIT_SM_RESP
    message_id: str = ""
    tlvs: tuple[Tlv, ...] = ()


class DeliverSmResp(msgspec.Struct, frozen=True, gc=False):
    """The answer to a `DeliverSm`; the id is unused."""

    command: ClassVar[int] = Command.DELIVER_SM_RESP
    message_id: str = ""
    tlvs: tuple[Tlv, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSm:
    """A message either way, all of it in parameters (`Tag.MESSAGE_PAYLOAD`)."""

    command: ClassVar[int] = Command.DATA_SM
    service_type: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""
    esm_class: int = 0
    registered_delivery: int = 0
    data_coding: int = 0
    tlvs: tuple[Tlv, ...] = ()

    def tlv(self, tag: int) -> bytes | None:
        """The value of the first parameter with this tag, or None."""
        return _first(self.tlvs, tag) if self.tlvs else None


@dataclass(frozen=True, slots=True)
class DataSmResp:
    """The answer to a `DataSm`."""

    command: ClassVar[int] = Command.DATA_SM_RESP
    message_id: str = ""
    tlvs: tuple[Tlv, ...] = ()


@dataclass(frozen=True, slots=True)
class QuerySm:
    """What became of a message? Some SMSCs take the ESME's own reference in a parameter, which the standard has not."""

    command: ClassVar[int] = Command.QUERY_SM
    message_id: str
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    tlvs: tuple[Tlv, ...] = ()

    def tlv(self, tag: int) -> bytes | None:
        """The value of the first parameter with this tag, or None."""
        return _first(self.tlvs, tag) if self.tlvs else None


@dataclass(frozen=True, slots=True)
class QuerySmResp:
    """The answer to a `QuerySm`; `message_state` is a number of `receipt.MessageState`."""

    command: ClassVar[int] = Command.QUERY_SM_RESP
    message_id: str = ""
    final_date: str = ""
    message_state: int = 0
    error_code: int = 0


@dataclass(frozen=True, slots=True)
class CancelSm:
    """Do not deliver a message, or, without an id, any that match the other fields."""

    command: ClassVar[int] = Command.CANCEL_SM
    service_type: str = ""
    message_id: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""


@dataclass(frozen=True, slots=True)
class CancelSmResp:
    """The answer to a `CancelSm`."""

    command: ClassVar[int] = Command.CANCEL_SM_RESP


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceSm:
    """Put another text in place of that of a message which is not delivered yet."""

    command: ClassVar[int] = Command.REPLACE_SM
    message_id: str
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    schedule_delivery_time: str = ""
    validity_period: str = ""
    registered_delivery: int = 0
    sm_default_msg_id: int = 0
    short_message: bytes = b""


@dataclass(frozen=True, slots=True)
class ReplaceSmResp:
    """The answer to a `ReplaceSm`."""

    command: ClassVar[int] = Command.REPLACE_SM_RESP


@dataclass(frozen=True, slots=True)
class Unbind:
    """Let us end this."""

    command: ClassVar[int] = Command.UNBIND


@dataclass(frozen=True, slots=True)
class UnbindResp:
    """The answer to an `Unbind`."""

    command: ClassVar[int] = Command.UNBIND_RESP


@dataclass(frozen=True, slots=True)
class EnquireLink:
    """Are you there?"""

    command: ClassVar[int] = Command.ENQUIRE_LINK


@dataclass(frozen=True, slots=True)
class EnquireLinkResp:
    """The answer to an `EnquireLink`."""

    command: ClassVar[int] = Command.ENQUIRE_LINK_RESP


@dataclass(frozen=True, slots=True)
class AlertNotification:
    """A handset can be reached again; there is no answer."""

    command: ClassVar[int] = Command.ALERT_NOTIFICATION
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    esme_addr_ton: int = 0
    esme_addr_npi: int = 0
    esme_addr: str = ""
    tlvs: tuple[Tlv, ...] = ()


@dataclass(frozen=True, slots=True)
class GenericNack:
    """The answer to what cannot be answered otherwise; the status says why."""

    command: ClassVar[int] = Command.GENERIC_NACK


Response = (
    BindResp
    | SubmitSmResp
    | DeliverSmResp
    | DataSmResp
    | QuerySmResp
    | CancelSmResp
    | ReplaceSmResp
    | UnbindResp
    | EnquireLinkResp
    | GenericNack
)
Request = (
    Bind
    | Outbind
    | SubmitSm
    | DeliverSm
    | DataSm
    | QuerySm
    | CancelSm
    | ReplaceSm
    | Unbind
    | EnquireLink
    | AlertNotification
)
Body = Request | Response


class Pdu(msgspec.Struct, frozen=True, gc=False):
    """A body with the two numbers of its header; `status` is 0 in a request."""

    body: Body
    sequence: int
    status: int = 0


class Fault(Enum):
    """Why a frame could not be read."""

    UNKNOWN_COMMAND = "a command that SMPP 3.4 does not have"
    CUT_SHORT = "the body ends within a field"


@dataclass(frozen=True, slots=True)
class Malformed:
    """A frame that could not be read, with its bytes and what its header says."""

    fault: Fault
    command: int
    status: int
    sequence: int
    frame: bytes = field(repr=False)


def _first(tlvs: tuple[Tlv, ...], wanted: int) -> bytes | None:
    for tag, value in tlvs:
        if tag == wanted:
            return value
    return None
