"""PDUs to bytes and back.

What is sent is checked: a wrong value is a ValueError that tells no value, because a field may be a password or a
phone number. The standard's limits on lengths of text are not held, as carriers give out longer passwords and ids than
it allows. What is received is read as kindly as can be: addresses may be over-long, parameters of vendors are kept,
what stands after the last whole parameter is dropped, and a response may lack its body. A frame that still cannot be
read is a `Malformed`, never an error.

`submit_sm`, `deliver_sm` and their responses are written out by hand: they are nearly all there is on a busy link.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from struct import Struct, error
from typing import Any, Final, cast

from postdate.smpp.codes import RESPONSE_BIT
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
    Response,
    SubmitSm,
    SubmitSmResp,
    Tlv,
    Unbind,
    UnbindResp,
)

HEADER_LENGTH: Final = 16
LONGEST_FRAME: Final = HEADER_LENGTH + 65536
LONGEST_SHORT_MESSAGE: Final = 254

_HEADER: Final = Struct(">IIII")
_TLV: Final = Struct(">HH")
_SPACE_FOR_TLV: Final = _TLV.size

_IdResponse = SubmitSmResp | DeliverSmResp | DataSmResp
_Encoder = Callable[[Any], bytes]
_Decoder = Callable[[bytes], Body]


def encode(pdu: Pdu) -> bytes:
    """The frame of a PDU; ValueError if a field cannot be written.

    A response that says no has no body, as the standard wants it (only `DeliverSmResp` keeps its empty id).
    """
    body, status = pdu.body, pdu.status
    try:
        octets = b"" if status and not _has_content(body) else _ENCODERS.get(type(body), _encode_fields)(body)
        frame = _HEADER.pack(HEADER_LENGTH + len(octets), body.command, status, pdu.sequence) + octets
    except (UnicodeEncodeError, error):
        raise ValueError(
            f"a field of this {type(body).__name__} cannot be written: text is Latin-1, numbers are single octets"
        ) from None
    if len(frame) > LONGEST_FRAME:
        raise ValueError(f"{len(frame)} octets are more than a receiver takes in one PDU: send less at once")
    return frame


def decode(frame: bytes) -> Pdu | Malformed:
    """Read one whole frame, header and body; ValueError if it is not as long as it says."""
    if len(frame) < HEADER_LENGTH or int.from_bytes(frame[:4], "big") != len(frame):
        raise ValueError("this is not one whole frame: cut the stream by the length in front of each")
    _, command, status, sequence = _HEADER.unpack_from(frame)
    decoder = _DECODERS.get(command)
    if decoder is None:
        return Malformed(Fault.UNKNOWN_COMMAND, command, status, sequence, frame)
    try:
        return Pdu(decoder(frame), sequence, status)
    except (ValueError, IndexError):
        return Malformed(Fault.CUT_SHORT, command, status, sequence, frame)


def _has_content(body: Body) -> bool:
    match body:
        case SubmitSmResp() | DataSmResp():
            return bool(body.message_id or body.tlvs)
        case BindResp():
            return bool(body.tlvs)
        case QuerySmResp():
            return False
        case _:
            return True


def _encode_short_message(body: SubmitSm | DeliverSm) -> bytes:
    text = body.short_message
    if len(text) > LONGEST_SHORT_MESSAGE:
        raise _too_long(text)
    service, source, destination = body.service_type, body.source_addr, body.destination_addr
    schedule, validity = body.schedule_delivery_time, body.validity_period
    strings = (
        f"{service}\0{chr(body.source_addr_ton)}{chr(body.source_addr_npi)}{source}\0"
        f"{chr(body.dest_addr_ton)}{chr(body.dest_addr_npi)}{destination}\0"
        f"{chr(body.esm_class)}{chr(body.protocol_id)}{chr(body.priority_flag)}{schedule}\0{validity}\0"
        f"{chr(body.registered_delivery)}{chr(body.replace_if_present_flag)}{chr(body.data_coding)}"
        f"{chr(body.sm_default_msg_id)}{chr(len(text))}"
    ).encode("latin-1")
    if "\0" in source or "\0" in destination or "\0" in service or "\0" in schedule or "\0" in validity:
        raise _zero_in_text()
    return strings + text + _encode_tlvs(body.tlvs) if body.tlvs else strings + text


def _decode_short_message(kind: type[SubmitSm] | type[DeliverSm]) -> _Decoder:
    def decode_body(frame: bytes) -> Body:
        text = frame.decode("latin-1")
        service = text.index("\0", HEADER_LENGTH)
        source = text.index("\0", service + 3)
        destination = text.index("\0", source + 3)
        schedule = text.index("\0", destination + 4)
        validity = text.index("\0", schedule + 1)
        message = validity + 6
        end = message + frame[validity + 5]
        if end > len(frame):
            raise IndexError
        return kind(
            service_type=text[HEADER_LENGTH:service],
            source_addr_ton=frame[service + 1],
            source_addr_npi=frame[service + 2],
            source_addr=text[service + 3 : source],
            dest_addr_ton=frame[source + 1],
            dest_addr_npi=frame[source + 2],
            destination_addr=text[source + 3 : destination],
            esm_class=frame[destination + 1],
            protocol_id=frame[destination + 2],
            priority_flag=frame[destination + 3],
            schedule_delivery_time=text[destination + 4 : schedule],
            validity_period=text[schedule + 1 : validity],
            registered_delivery=frame[validity + 1],
            replace_if_present_flag=frame[validity + 2],
            data_coding=frame[validity + 3],
            sm_default_msg_id=frame[validity + 4],
            short_message=frame[message:end],
            tlvs=_decode_tlvs(frame, end) if end < len(frame) else (),
        )

    return decode_body


def _encode_id(body: _IdResponse) -> bytes:
    if "\0" in body.message_id:
        raise _zero_in_text()
    octets = body.message_id.encode("latin-1") + b"\0"
    return octets + _encode_tlvs(body.tlvs) if body.tlvs else octets


def _decode_id(kind: type[_IdResponse]) -> _Decoder:
    def decode_body(frame: bytes) -> Body:
        end = frame.find(0, HEADER_LENGTH)
        if end < 0:
            end = len(frame)
        message_id = frame[HEADER_LENGTH:end].decode("latin-1")
        return kind(message_id, _decode_tlvs(frame, end + 1)) if end + 1 < len(frame) else kind(message_id)

    return decode_body


def _encode_fields(body: Body) -> bytes:
    return b"".join([_WRITE[form](getattr(body, name)) for name, form in _layout(type(body))])


def _decode_fields(kind: type[Body], **known: object) -> _Decoder:
    """A decoder that goes by the fields of a class; a response may end early, and the rest keeps its defaults."""
    layout = _layout(kind)
    is_response = issubclass(kind, Response)
    read = {**_READ, str: _read_last_text} if is_response else _READ

    def decode_body(frame: bytes) -> Body:
        values = dict(known)
        at = HEADER_LENGTH
        for name, form in layout:
            if is_response and at >= len(frame):
                break
            values[name], at = read[form](frame, at)
        return cast(Body, cast(Any, kind)(**values))

    return decode_body


def _layout(kind: type[Body]) -> tuple[tuple[str, Any], ...]:
    return tuple((one.name, one.type) for one in fields(kind) if one.name != "mode")


def _write_text(text: str) -> bytes:
    if "\0" in text:
        raise _zero_in_text()
    return text.encode("latin-1") + b"\0"


def _write_short(octets: bytes) -> bytes:
    if len(octets) > LONGEST_SHORT_MESSAGE:
        raise _too_long(octets)
    return bytes([len(octets)]) + octets


def _read_text(frame: bytes, at: int) -> tuple[str, int]:
    end = frame.index(0, at)
    return frame[at:end].decode("latin-1"), end + 1


def _read_last_text(frame: bytes, at: int) -> tuple[str, int]:
    """A text that the end of the frame may end, too."""
    end = frame.find(0, at)
    return (frame[at:].decode("latin-1"), len(frame)) if end < 0 else (frame[at:end].decode("latin-1"), end + 1)


def _read_octet(frame: bytes, at: int) -> tuple[int, int]:
    return frame[at], at + 1


def _read_short(frame: bytes, at: int) -> tuple[bytes, int]:
    end = at + 1 + frame[at]
    if end > len(frame):
        raise IndexError
    return frame[at + 1 : end], end


def _read_tlvs(frame: bytes, at: int) -> tuple[tuple[Tlv, ...], int]:
    return _decode_tlvs(frame, at), len(frame)


def _encode_tlvs(tlvs: tuple[Tlv, ...]) -> bytes:
    return b"".join([_TLV.pack(tag, len(value)) + value for tag, value in tlvs])


def _decode_tlvs(frame: bytes, at: int) -> tuple[Tlv, ...]:
    """The whole parameters from `at` on; one that is cut off would be a wrong value, so it and the rest are dropped."""
    tlvs: list[Tlv] = []
    end = len(frame)
    while at + _SPACE_FOR_TLV <= end:
        tag, length = _TLV.unpack_from(frame, at)
        at += _SPACE_FOR_TLV + length
        if at > end:
            break
        tlvs.append((tag, frame[at - length : at]))
    return tuple(tlvs)


def _zero_in_text() -> ValueError:
    return ValueError("a zero octet would end the text: take it out")


def _too_long(octets: bytes) -> ValueError:
    return ValueError(f"{len(octets)} octets do not fit into short_message: cut them, or use message_payload")


_WRITE: Final[Mapping[Any, _Encoder]] = {
    str: _write_text,
    int: lambda number: bytes([number]),
    bytes: _write_short,
    tuple[Tlv, ...]: _encode_tlvs,
}
_READ: Final[Mapping[Any, Callable[[bytes, int], tuple[object, int]]]] = {
    str: _read_text,
    int: _read_octet,
    bytes: _read_short,
    tuple[Tlv, ...]: _read_tlvs,
}
_ENCODERS: Final[Mapping[type[Body], _Encoder]] = {
    **dict.fromkeys((SubmitSm, DeliverSm), _encode_short_message),
    **dict.fromkeys((SubmitSmResp, DeliverSmResp, DataSmResp), _encode_id),
}
_DECODERS: Final[Mapping[int, _Decoder]] = {
    SubmitSm.command: _decode_short_message(SubmitSm),
    DeliverSm.command: _decode_short_message(DeliverSm),
    **{kind.command: _decode_id(kind) for kind in (SubmitSmResp, DeliverSmResp, DataSmResp)},
    **{mode.value: _decode_fields(Bind, mode=mode) for mode in BindMode},
    **{mode | RESPONSE_BIT: _decode_fields(BindResp, mode=mode) for mode in BindMode},
    **{
        kind.command: _decode_fields(kind)
        for kind in (
            Outbind,
            DataSm,
            QuerySm,
            QuerySmResp,
            CancelSm,
            CancelSmResp,
            ReplaceSm,
            ReplaceSmResp,
            Unbind,
            UnbindResp,
            EnquireLink,
            EnquireLinkResp,
            AlertNotification,
            GenericNack,
        )
    },
}
