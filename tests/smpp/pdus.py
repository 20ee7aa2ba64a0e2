"""Any PDU, as hypothesis makes them, and what two bound sessions look like."""

from dataclasses import fields
from typing import Any

import msgspec
from hypothesis import strategies as st

from postdate.smpp.codec import LONGEST_SHORT_MESSAGE
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
    GenericNack,
    Outbind,
    Pdu,
    QuerySm,
    QuerySmResp,
    ReplaceSm,
    ReplaceSmResp,
    SubmitSm,
    SubmitSmResp,
    Tlv,
    Unbind,
    UnbindResp,
)
from postdate.smpp.session import RequestReceived, ResponseReceived, Role, Session

KINDS: list[type[Body]] = [
    AlertNotification,
    Bind,
    BindResp,
    CancelSm,
    CancelSmResp,
    DataSm,
    DataSmResp,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Outbind,
    QuerySm,
    QuerySmResp,
    ReplaceSm,
    ReplaceSmResp,
    SubmitSm,
    SubmitSmResp,
    Unbind,
    UnbindResp,
]

octets = st.integers(0, 255)
sequences = st.integers(0, 0xFFFFFFFF)
latin1 = st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=24)
ascii_text = st.text(st.characters(min_codepoint=1, max_codepoint=127), max_size=24)
short_messages = st.binary(max_size=LONGEST_SHORT_MESSAGE)
tlvs: st.SearchStrategy[tuple[Tlv, ...]] = st.lists(
    st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40)), max_size=4
).map(tuple)


def field_values(kind: type[Body], texts: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Values for all fields of a kind of PDU."""
    forms: dict[Any, st.SearchStrategy[Any]] = {
        str: texts,
        int: octets,
        bytes: short_messages,
        BindMode: st.sampled_from(BindMode),
        tuple[Tlv, ...]: tlvs,
    }
    layout = msgspec.structs.fields(kind) if issubclass(kind, msgspec.Struct) else fields(kind)
    return st.fixed_dictionaries({one.name: forms[one.type] for one in layout})


def bodies(kind: type[Body], texts: st.SearchStrategy[str] = latin1) -> st.SearchStrategy[Any]:
    """Any body of a kind."""
    return field_values(kind, texts).map(lambda values: kind(**values))


pdus: st.SearchStrategy[Pdu] = st.builds(Pdu, st.sampled_from(KINDS).flatmap(bodies), sequences)


def bound(mode: BindMode = BindMode.TRANSCEIVER, first_sequence: int = 1) -> tuple[Session, Session]:
    """An ESME and an SMSC that have bound to each other."""
    esme, smsc = Session(Role.ESME), Session(Role.SMSC, first_sequence)
    _, octets = esme.request(Bind(mode, "clinic", "secret"))
    (asked,) = smsc.receive(octets)
    assert isinstance(asked, RequestReceived)
    (answered,) = esme.receive(smsc.respond(asked.pdu, BindResp(mode, "carrier")))
    assert isinstance(answered, ResponseReceived)
    assert esme.mode is smsc.mode is mode
    return esme, smsc


def raw(command: int, sequence: int = 1, body: bytes = b"", status: int = 0) -> bytes:
    """A frame as a peer may write it, whatever we would say to it."""
    return b"".join(number.to_bytes(4, "big") for number in (16 + len(body), command, status, sequence)) + body


def deliver_body(
    source: bytes = b"4477", message: bytes = b"hi", length: int | None = None, rest: bytes = b""
) -> bytes:
    """The body of a deliver_sm, octet by octet."""
    size = len(message) if length is None else length
    head = b"\0\1\1" + source + b"\0" + b"\1\1" + b"1500\0" + b"\0\0\0" + b"\0\0" + b"\0\0\0\0"
    return head + bytes([size]) + message + rest
