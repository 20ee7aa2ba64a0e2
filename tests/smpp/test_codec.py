"""The codec against frames written by hand from the standard, against another codec, and against odd octets."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import smpp34
from hypothesis import given
from hypothesis import strategies as st

from postdate.smpp.codec import LONGEST_FRAME, decode, encode
from postdate.smpp.codes import Command, Status, Tag, status_name
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
    SubmitSm,
    SubmitSmResp,
    Unbind,
    UnbindResp,
)
from tests.smpp.pdus import ascii_text, bodies, deliver_body, field_values, pdus, raw, sequences

WRITTEN_BY_HAND: list[tuple[Body, int, int, str]] = [
    (Bind(BindMode.RECEIVER, "me", "pw"), 1, 0, "6d6500 707700 00 34 00 00 00"),
    (Bind(BindMode.TRANSMITTER, "me", "pw", "VMS"), 2, 0, "6d6500 707700 564d5300 34 00 00 00"),
    (Bind(BindMode.TRANSCEIVER, "", "", "", 0x50, 1, 2, "^44"), 9, 0, "00 00 00 50 01 02 5e343400"),
    (BindResp(BindMode.TRANSCEIVER, "smsc", ((0x210, b"\x34"),)), 0x80000009, 0, "736d736300 0210 0001 34"),
    (BindResp(BindMode.RECEIVER), 0x80000001, 0x0E, ""),
    (Outbind("smsc", "pw"), 0x0B, 0, "736d736300 707700"),
    (Unbind(), 6, 0, ""),
    (UnbindResp(), 0x80000006, 0, ""),
    (EnquireLink(), 0x15, 0, ""),
    (EnquireLinkResp(), 0x80000015, 0, ""),
    (GenericNack(), 0x80000000, 3, ""),
    (
        SubmitSm(
            service_type="CMT",
            source_addr_ton=5,
            source_addr_npi=0,
            source_addr="Clinic",
            dest_addr_ton=1,
            dest_addr_npi=1,
            destination_addr="4477",
            esm_class=0x40,
            protocol_id=2,
            priority_flag=3,
            schedule_delivery_time="",
            validity_period="000000010000000R",
            registered_delivery=1,
            replace_if_present_flag=4,
            data_coding=8,
            sm_default_msg_id=6,
            short_message=b"\x00h",
            tlvs=((0x204, b"\x00\x07"), (0x1403, b"")),
        ),
        4,
        0,
        "434d5400 05 00 436c696e696300 01 01 3434373700 40 02 03 00 30303030303030313030303030303052 00"
        "01 04 08 06 02 0068 0204 0002 0007 1403 0000",
    ),
    (SubmitSmResp("1a"), 0x80000004, 0, "316100"),
    (SubmitSmResp(), 0x80000004, 0, "00"),
    (SubmitSmResp(), 0x80000004, 0x58, ""),
    (DeliverSm(source_addr="4477", short_message=b"hi"), 5, 0, "00 00 00 3434373700 00 00 00 00 00 00 00 00 00 00 00 00"
     "02 6869"),
    (DeliverSmResp(), 0x80000005, 0, "00"),
    (DeliverSmResp(), 0x80000005, 0x64, "00"),
    (
        DataSm(source_addr="1", destination_addr="2", esm_class=4, registered_delivery=1, data_coding=3,
               tlvs=((0x424, b"hi"),)),
        0x103,
        0,
        "00 00 00 3100 00 00 3200 04 01 03 0424 0002 6869",
    ),
    (DataSmResp("7"), 0x80000103, 0, "3700"),
    (DataSmResp(tlvs=((0x425, b"\1"),)), 0x80000103, 0xFE, "00 0425 0001 01"),
    (QuerySm("1a", 1, 1, "15"), 3, 0, "316100 01 01 313500"),
    (QuerySmResp("1a", "261125", 2, 7), 0x80000003, 0, "316100 32363131323500 02 07"),
    (QuerySmResp(), 0x80000003, 0x67, ""),
    (CancelSm("", "1a", 1, 1, "15", 1, 1, "44"), 8, 0, "00 316100 01 01 313500 01 01 343400"),
    (CancelSmResp(), 0x80000008, 0, ""),
    (
        ReplaceSm(message_id="1a", source_addr="15", registered_delivery=1, short_message=b"no"),
        7,
        0,
        "316100 00 00 313500 00 00 01 00 02 6e6f",
    ),
    (ReplaceSmResp(), 0x80000007, 0x13, ""),
    (AlertNotification(1, 1, "44", 0, 0, "me", ((0x422, b"\0"),)), 0x102, 0, "01 01 343400 00 00 6d6500 0422 0001 00"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "command", "status", "octets"), WRITTEN_BY_HAND, ids=lambda one: type(one).__name__)
def test_frames_are_those_of_the_standard(body: Body, command: int, status: int, octets: str) -> None:
    frame = raw(command, sequence=7, body=bytes.fromhex(octets), status=status)
    assert encode(Pdu(body, 7, status)) == frame
    assert decode(frame) == Pdu(body, 7, status)


def test_every_command_is_written_by_hand_above() -> None:
    assert {command for _, command, _, _ in WRITTEN_BY_HAND} >= set(Command) - {
        Command.BIND_TRANSMITTER_RESP  # as the two others
    }


@given(pdus)
def test_what_is_encoded_is_decoded(pdu: Pdu) -> None:
    assert decode(encode(pdu)) == pdu


@given(field_values(SubmitSm, ascii_text), sequences, st.sampled_from([SubmitSm, DeliverSm]))
def test_another_codec_agrees_both_ways(
    values: dict[str, Any], sequence: int, kind: type[SubmitSm | DeliverSm]
) -> None:
    theirs = getattr(smpp34, kind.__name__)(
        **values | {"tlvs": [smpp34.Tlv(*one) for one in values["tlvs"]]}, sequence_number=sequence
    )
    ours = Pdu(kind(**values), sequence)
    frame = encode(ours)
    assert frame == bytes(theirs.encode())
    assert decode(bytes(theirs.encode())) == ours
    read: Any = smpp34.decode(frame)
    tlvs = [(one.tag, bytes(one.value)) for one in read.tlvs]
    assert {name: getattr(read, name) for name in values} | {"tlvs": tuple(tlvs)} == values
    assert read.sequence_number == sequence


@given(pdus)
def test_another_codec_reads_our_headers(pdu: Pdu) -> None:
    frame = encode(pdu)
    read: Any = smpp34.decode(frame)
    assert (read.command_id, read.sequence_number) == (pdu.body.command, pdu.sequence)


HI: dict[str, Any] = {
    "source_addr_ton": 1,
    "source_addr_npi": 1,
    "dest_addr_ton": 1,
    "dest_addr_npi": 1,
    "destination_addr": "1500",
}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(deliver_body(), {}, id="nothing odd"),
        pytest.param(deliver_body(b"M\xfcller"), {"source_addr": "Müller"}, id="Latin-1 sender"),
        pytest.param(deliver_body(b"4" * 25), {"source_addr": "4" * 25}, id="sender of 25 digits"),
        pytest.param(deliver_body(rest=b"\0"), {}, id="a zero at the end"),
        pytest.param(deliver_body(rest=b"\0\0\0"), {}, id="three zeros at the end"),
        pytest.param(deliver_body(rest=b"\x04\x27\x00\x09\x02"), {}, id="parameter longer than the frame"),
        pytest.param(
            deliver_body(rest=b"\x14\x03\0\1x" + b"\x04\x27\xff\xff"), {"tlvs": ((0x1403, b"x"),)}, id="the same later"
        ),
        pytest.param(deliver_body(rest=b"\x04\x27\0\0"), {"tlvs": ((0x427, b""),)}, id="state without a value"),
        pytest.param(deliver_body(rest=b"\x14\x03\0\3abc"), {"tlvs": ((0x1403, b"abc"),)}, id="parameter of a vendor"),
        pytest.param(deliver_body(message=b"x" * 255), {"short_message": b"x" * 255}, id="255 octets"),
    ],
)
def test_odd_deliveries_are_read(body: bytes, expected: dict[str, Any]) -> None:
    fields: dict[str, Any] = {"source_addr": "4477", "short_message": b"hi"} | HI | expected
    assert decode(raw(Command.DELIVER_SM, 9, body)) == Pdu(DeliverSm(**fields), 9)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        pytest.param(raw(0x80000004, status=0x0410), Pdu(SubmitSmResp(), 1, 0x410), id="status of a vendor"),
        pytest.param(raw(0x80000004, body=b"\0", status=0x58), Pdu(SubmitSmResp(), 1, 0x58), id="no, with an empty id"),
        pytest.param(raw(0x80000004), Pdu(SubmitSmResp(), 1), id="yes, without a body"),
        pytest.param(raw(0x80000004, body=b"abc"), Pdu(SubmitSmResp("abc"), 1), id="id that nothing ends"),
        pytest.param(raw(0x80000004, body=b"abc\0\0\0"), Pdu(SubmitSmResp("abc"), 1), id="zeros behind the id"),
        pytest.param(raw(0x80000004, body=b"a\xe9\0"), Pdu(SubmitSmResp("aé"), 1), id="Latin-1 id"),
        pytest.param(raw(0x80000005), Pdu(DeliverSmResp(), 1), id="deliver_sm_resp without a body"),
        pytest.param(raw(0x80000009), Pdu(BindResp(BindMode.TRANSCEIVER), 1), id="bind_resp without a body"),
        pytest.param(
            raw(0x80000009, body=b"smsc"), Pdu(BindResp(BindMode.TRANSCEIVER, "smsc"), 1), id="its name without an end"
        ),
        pytest.param(
            raw(0x80000003, body=b"1a\0"), Pdu(QuerySmResp("1a"), 1), id="query_sm_resp with nothing but an id"
        ),
        pytest.param(raw(0x80000015, body=b"\0junk"), Pdu(EnquireLinkResp(), 1), id="a body where none is"),
        pytest.param(raw(0x15, body=b"junk"), Pdu(EnquireLink(), 1), id="a body in a request where none is"),
    ],
)
def test_odd_frames_are_read(frame: bytes, expected: Pdu) -> None:
    assert decode(frame) == expected


@pytest.mark.parametrize(
    ("command", "body", "fault"),
    [
        pytest.param(0x01020304, b"", Fault.UNKNOWN_COMMAND, id="unknown request"),
        pytest.param(0x81020304, b"", Fault.UNKNOWN_COMMAND, id="unknown response"),
        pytest.param(0x00000005, b"", Fault.CUT_SHORT, id="deliver_sm without a body"),
        pytest.param(0x00000005, deliver_body()[:9], Fault.CUT_SHORT, id="within an address"),
        pytest.param(0x00000005, deliver_body()[:16], Fault.CUT_SHORT, id="among the numbers"),
        pytest.param(0x00000005, deliver_body(length=40), Fault.CUT_SHORT, id="short_message longer than the frame"),
        pytest.param(0x00000004, deliver_body(length=3), Fault.CUT_SHORT, id="by one octet"),
        pytest.param(0x00000007, b"1a\0\0\0\0\0\0\0\0\x05ab", Fault.CUT_SHORT, id="the text of a replace_sm"),
        pytest.param(0x00000009, b"me", Fault.CUT_SHORT, id="bind without a password"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_octets(command: int, body: bytes, fault: Fault) -> None:
    frame = raw(command, 12, body, status=5)
    assert decode(frame) == Malformed(fault, command, 5, 12, frame)


@given(st.sampled_from([*Command, 0x7000]), st.binary(max_size=80), st.integers(0, 0xFFFFFFFF), sequences)
def test_no_octets_are_an_error(command: int, body: bytes, status: int, sequence: int) -> None:
    read = decode(raw(command, sequence, body, status))
    assert (read.status, read.sequence) == (status, sequence)


@given(st.data(), bodies(DeliverSm), st.integers(0, 400))
def test_a_frame_cut_anywhere_is_no_error(data: st.DataObject, body: DeliverSm, length: int) -> None:
    octets = encode(Pdu(body, 1))[16:]
    at = data.draw(st.integers(0, len(octets)))
    read = decode(raw(Command.DELIVER_SM, 1, octets[:at] + octets[at + length :]))
    assert isinstance(read, Malformed) or isinstance(read.body, DeliverSm)


@pytest.mark.parametrize("frame", [b"", b"\0\0\0\x10", raw(0x15)[:15], raw(0x15) + b"\0"])
def test_what_is_not_one_frame_is_not_read(frame: bytes) -> None:
    with pytest.raises(ValueError, match="one whole frame"):
        decode(frame)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(SubmitSm(short_message=b"x" * 255), "255 octets do not fit", id="submit_sm"),
        pytest.param(DeliverSm(short_message=b"x" * 300), "300 octets do not fit", id="deliver_sm"),
        pytest.param(ReplaceSm(message_id="1", short_message=b"x" * 255), "255 octets do not fit", id="replace_sm"),
        pytest.param(SubmitSm(tlvs=((Tag.MESSAGE_PAYLOAD, bytes(65536)),)), "cannot be written", id="parameter"),
        pytest.param(SubmitSm(tlvs=((Tag.MESSAGE_PAYLOAD, bytes(65530)),)), "more than a receiver takes", id="frame"),
        pytest.param(SubmitSm(esm_class=256), "cannot be written", id="number above an octet"),
        pytest.param(SubmitSm(data_coding=-1), "range", id="number below zero"),
        pytest.param(QuerySm("1", 256), "range", id="number above an octet elsewhere"),
    ],
)
def test_what_does_not_fit_is_not_sent(body: Body, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        encode(Pdu(body, 1))


@pytest.mark.parametrize("value", ["s3cr\0t", "s3crété\u20ac"], ids=["zero", "not Latin-1"])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(lambda value: Bind(BindMode.TRANSMITTER, "me", value), id="password"),
        pytest.param(lambda value: SubmitSm(source_addr=value), id="source_addr"),
        pytest.param(lambda value: SubmitSm(destination_addr=value), id="destination_addr"),
        pytest.param(lambda value: SubmitSm(service_type=value), id="service_type"),
        pytest.param(lambda value: SubmitSm(schedule_delivery_time=value), id="schedule_delivery_time"),
        pytest.param(lambda value: SubmitSm(validity_period=value), id="validity_period"),
        pytest.param(lambda value: SubmitSmResp(value), id="message_id of a response"),
        pytest.param(lambda value: QuerySm(value), id="message_id of a query"),
    ],
)
def test_text_that_cannot_be_written_is_not_told(body: Callable[[str], Body], value: str) -> None:
    with pytest.raises(ValueError, match=r"zero octet|cannot be written") as raised:
        encode(Pdu(body(value), 1))
    assert "s3cr" not in str(raised.value)


def test_a_password_is_not_shown() -> None:
    for body in (Bind(BindMode.RECEIVER, "me", "hunter2"), Outbind("me", "hunter2")):
        assert "hunter2" not in repr(Pdu(body, 1))


def test_a_parameter_is_found_by_its_tag() -> None:
    body = DeliverSm(tlvs=((Tag.MESSAGE_STATE, b"\2"), (0x1403, b"x"), (Tag.MESSAGE_STATE, b"\5")))
    assert body.tlv(Tag.MESSAGE_STATE) == b"\2"
    assert body.tlv(0x1403) == b"x"
    assert body.tlv(Tag.MESSAGE_PAYLOAD) is None
    assert DataSm().tlv(Tag.MESSAGE_PAYLOAD) is None


@pytest.mark.parametrize(
    ("status", "name"), [(0, "ESME_ROK"), (0x58, "ESME_RTHROTTLED"), (0x410, "0x00000410"), (9, "0x00000009")]
)
def test_a_status_has_a_name_for_people(status: int, name: str) -> None:
    assert status_name(status) == name


def test_statuses_agree_with_another_codec() -> None:
    theirs = {name: number for name, number in vars(smpp34).items() if re.match(r"ESME_R", name)}
    assert theirs == {name: Status[name.removeprefix("ESME_")] for name in theirs}


def test_tags_agree_with_another_codec() -> None:
    assert {f"TLV_{tag.name}": tag.value for tag in Tag}.items() <= vars(smpp34).items()


def test_the_longest_frame_is_read() -> None:
    body = deliver_body(rest=b"\x04\x24\xff\xd4" + bytes(0xFFD4))
    frame = raw(Command.DELIVER_SM, 1, body)
    assert LONGEST_FRAME - 100 < len(frame) <= LONGEST_FRAME
    read = decode(frame)
    assert isinstance(read, Pdu)
    assert read.body == DeliverSm(**HI, source_addr="4477", short_message=b"hi", tlvs=((0x424, bytes(0xFFD4)),))
