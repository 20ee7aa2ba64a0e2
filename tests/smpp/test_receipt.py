"""Receipts as carriers write them, and as nobody should."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.smpp.codes import Tag
from postdate.smpp.pdu import DataSm, DeliverSm
from postdate.smpp.receipt import (
    IdForm,
    MessageState,
    Receipt,
    format_receipt,
    normal_id,
    read_receipt,
    receipt_tlvs,
)
from tests.smpp.pdus import bodies

STANDARD = (
    b"id:0123456789 sub:001 dlvrd:001 submit date:2611250900 done date:2611250901 "
    b"stat:DELIVRD err:000 Text:See you at 3"
)
READ = Receipt("0123456789", MessageState.DELIVERED, "000", "2611250900", "2611250901", "See you at 3")
ID = (Tag.RECEIPTED_MESSAGE_ID, b"abc\0")
STATE = (Tag.MESSAGE_STATE, b"\5")


def marked(text: bytes = b"", **fields: Any) -> DeliverSm:
    """A deliver_sm that says it is a receipt."""
    values: dict[str, Any] = {"esm_class": 0x04, "short_message": text} | fields
    return DeliverSm(**values)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(marked(STANDARD), READ, id="as the standard suggests"),
        pytest.param(marked(b"", tlvs=((Tag.MESSAGE_PAYLOAD, STANDARD),)), READ, id="in the payload"),
        pytest.param(DataSm(esm_class=4, tlvs=((Tag.MESSAGE_PAYLOAD, STANDARD),)), READ, id="in a data_sm"),
        pytest.param(marked(STANDARD.upper().replace(b"SEE YOU AT", b"See you at")), READ, id="capitals"),
        pytest.param(marked(STANDARD.decode().encode("utf-16-be"), data_coding=8), READ, id="in UCS-2"),
        pytest.param(marked(STANDARD, data_coding=8), READ, id="said to be UCS-2, and is not"),
        pytest.param(marked(b"\x05\0\3\1\2\1" + STANDARD, esm_class=0x44), READ, id="behind a header"),
        pytest.param(marked(STANDARD.replace(b" date", b"_date")), READ, id="names with a line"),
        pytest.param(marked(STANDARD.replace(b":", b": ")), READ, id="a space behind the colon"),
        pytest.param(marked(STANDARD + b"\0"), READ, id="a zero at the end"),
        pytest.param(DeliverSm(short_message=STANDARD), READ, id="unmarked, but clearly one"),
        pytest.param(
            marked(b"id:7;stat:EXPIRED;err:12"), Receipt("7", MessageState.EXPIRED, "12"), id="parted by semicolons"
        ),
        pytest.param(
            marked(b"stat:UNDELIV id:9"), Receipt("9", MessageState.UNDELIVERABLE), id="only two, turned round"
        ),
        pytest.param(marked(b"id:9"), Receipt("9", MessageState.ENROUTE), id="no state"),
        pytest.param(marked(b"id:9 stat:WHATEVER"), Receipt("9", MessageState.UNKNOWN), id="a state of its own"),
        pytest.param(marked(b"id:9 stat:SUBMITD"), Receipt("9", MessageState.ENROUTE), id="on its way, in other words"),
        pytest.param(
            marked(STANDARD, tlvs=(ID, (Tag.MESSAGE_STATE, b"\2"))),
            Receipt("abc", MessageState.DELIVERED),
            id="parameters say delivered, and no more is wanted",
        ),
        pytest.param(marked(b"id: stat:DELIVRD"), Receipt("", MessageState.DELIVERED), id="an empty id"),
        pytest.param(marked(b"hello"), Receipt("", MessageState.ENROUTE), id="nothing of it"),
        pytest.param(marked(), Receipt("", MessageState.ENROUTE), id="nothing at all"),
        pytest.param(marked(tlvs=(ID, STATE)), Receipt("abc", MessageState.UNDELIVERABLE), id="parameters alone"),
        pytest.param(
            marked(STANDARD, tlvs=(ID, STATE)),
            Receipt("abc", MessageState.UNDELIVERABLE, "000", "2611250900", "2611250901", "See you at 3"),
            id="parameters are believed first",
        ),
        pytest.param(marked(STANDARD, tlvs=((Tag.MESSAGE_STATE, b""),)), READ, id="state without a value"),
        pytest.param(marked(STANDARD, tlvs=((Tag.RECEIPTED_MESSAGE_ID, b"\0"),)), READ, id="id without a value"),
        pytest.param(marked(STANDARD, tlvs=((Tag.MESSAGE_STATE, b"\xc8"),)), READ, id="state that is not one"),
        pytest.param(
            marked(STANDARD, tlvs=((Tag.MESSAGE_STATE, bytes(900) + b"\2"),)), READ, id="state of many octets"
        ),
        pytest.param(
            marked(tlvs=((Tag.RECEIPTED_MESSAGE_ID, b"abc"), STATE, (0x1403, b"x"))),
            Receipt("abc", MessageState.UNDELIVERABLE),
            id="id that nothing ends, and a vendor's parameter",
        ),
        pytest.param(
            marked(tlvs=(ID, STATE, (Tag.NETWORK_ERROR_CODE, b"\3\1\0"))),
            Receipt("abc", MessageState.UNDELIVERABLE, "256"),
            id="error of the network",
        ),
        pytest.param(DeliverSm(tlvs=(ID, STATE)), Receipt("abc", MessageState.UNDELIVERABLE), id="unmarked parameters"),
        pytest.param(
            marked(b"id:9 stat:ENROUTE", esm_class=0x20),
            Receipt("9", MessageState.ENROUTE, intermediate=True),
            id="not the last word",
        ),
        pytest.param(
            marked(b"id:9 stat:ACCEPTD done date:2611250901 text:id:8 stat:DELIVRD err:1"),
            Receipt("9", MessageState.ACCEPTED, "1", "", "2611250901", "id:8 stat:DELIVRD err:1"),
            id="the words of the message say otherwise",
        ),
        pytest.param(
            marked(b"id:" + b"9" * 200 + b" stat:DELIVRD"), Receipt("9" * 65, MessageState.DELIVERED), id="long id"
        ),
        pytest.param(DeliverSm(short_message=b"My id:9, my stat:DELIVRD"), None, id="a person's words"),
        pytest.param(DeliverSm(short_message=b"hello"), None, id="a message"),
        pytest.param(DeliverSm(tlvs=(ID,)), None, id="an id alone says nothing"),
        pytest.param(DeliverSm(esm_class=0x08, short_message=STANDARD), None, id="acknowledged by the handset"),
        pytest.param(DeliverSm(esm_class=0x10, short_message=STANDARD), None, id="acknowledged by a person"),
        pytest.param(DeliverSm(esm_class=0x40, short_message=b"\x05\0\3\1\2\1hi"), None, id="a part of a message"),
    ],
)
def test_what_a_receipt_says(body: DeliverSm | DataSm, expected: Receipt | None) -> None:
    assert read_receipt(body) == expected


def test_the_unmarked_can_be_left_to_be_messages() -> None:
    assert read_receipt(DeliverSm(short_message=STANDARD), unmarked=False) is None
    assert read_receipt(DeliverSm(tlvs=(ID, STATE)), unmarked=False) is None
    assert read_receipt(marked(STANDARD), unmarked=False) == READ


def test_fields_come_in_any_order() -> None:
    fields = [b"id:9", b"sub:001", b"submit date:2611250900", b"done date:2611250901", b"stat:REJECTD", b"err:4"]
    for order in itertools.permutations(fields):
        read = read_receipt(marked(b" ".join(order)))
        assert read == Receipt("9", MessageState.REJECTED, "4", "2611250900", "2611250901")


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("DELIVRD", 2),
        ("delivrd", 2),
        ("DELIVERED", 2),
        ("EXPIRED", 3),
        ("DELETED", 4),
        ("UNDELIV", 5),
        ("UNDELIVERED", 5),
        ("ACCEPTD", 6),
        ("ACCEPTED", 6),
        ("UNKNOWN", 7),
        ("REJECTD", 8),
        ("Rejected", 8),
        ("ENROUTE", 1),
        ("SCHEDULED", 0),
        ("SKIPPED", 9),
    ],
)
def test_states_have_these_words_and_numbers(word: str, state: int) -> None:
    by_word = read_receipt(marked(f"id:1 stat:{word}".encode()))
    by_number = read_receipt(marked(tlvs=(ID, (Tag.MESSAGE_STATE, bytes([state])))))
    assert by_word is not None
    assert by_number is not None
    assert by_word.state == by_number.state == state


tokens = st.text("0123456789abcdefABCDEF-", min_size=1, max_size=64)
receipts = st.builds(
    Receipt,
    message_id=tokens,
    state=st.sampled_from(MessageState),
    error=st.from_regex(r"[0-9]{3}", fullmatch=True),
    submitted=st.from_regex(r"[0-9]{10}", fullmatch=True),
    done=st.from_regex(r"[0-9]{10}", fullmatch=True),
    text=st.text("See you at 3", max_size=20).map(str.strip),
)


@given(receipts)
def test_what_is_written_is_read(receipt: Receipt) -> None:
    assert read_receipt(marked(format_receipt(receipt))) == receipt
    by_number = read_receipt(marked(tlvs=receipt_tlvs(receipt)))
    assert by_number is not None
    assert (by_number.message_id, by_number.state) == (receipt.message_id, receipt.state)


@given(receipts, st.text(" ;,|:idstaexDON", max_size=12))
def test_the_usual_layout_is_read_as_any_other(receipt: Receipt, words: str) -> None:
    usual = format_receipt(receipt) + words.encode()
    unusual = usual.replace(b"id:", b"ID:", 1)
    assert read_receipt(marked(usual)) == read_receipt(marked(unusual))


def test_a_receipt_is_written_as_the_standard_suggests() -> None:
    receipt = Receipt("12", MessageState.UNDELIVERABLE, "", "2611250900", "2611250901", "Grüße an alle, die es lesen")
    assert format_receipt(receipt) == (
        b"id:12 sub:001 dlvrd:000 submit date:2611250900 done date:2611250901 stat:UNDELIV err:000 "
        b"text:Gr??e an alle, die e"
    )
    assert receipt_tlvs(receipt) == ((0x001E, b"12\0"), (0x0427, b"\5"))


@given(bodies(DeliverSm) | bodies(DataSm), st.booleans())
def test_no_body_is_an_error(body: DeliverSm | DataSm, unmarked: bool) -> None:
    receipt = read_receipt(body, unmarked)
    assert receipt is None or "\0" not in receipt.message_id + receipt.error + receipt.text


@given(
    st.lists(st.sampled_from([b"id:", b"stat:", b"text:", b"done date:", b"a", b" ", b":", b"\0", b"\xff"])).map(
        b"".join
    )
)
def test_no_text_is_an_error(text: bytes) -> None:
    assert read_receipt(marked(text)) is not None


@pytest.mark.parametrize(
    ("text", "form", "expected"),
    [
        ("1a", IdForm.HEX, "26"),
        ("0000001A", IdForm.HEX, "26"),
        ("0x1a", IdForm.HEX, "26"),
        ("26", IdForm.DECIMAL, "26"),
        ("0000000026", IdForm.DECIMAL, "26"),
        ("0", IdForm.DECIMAL, "0"),
        ("1a", IdForm.DECIMAL, "1a"),
        ("a-b", IdForm.HEX, "a-b"),
        ("", IdForm.HEX, ""),
        ("0x", IdForm.HEX, "0x"),
        ("1_0", IdForm.DECIMAL, "1_0"),
        (" 26", IdForm.DECIMAL, " 26"),
        ("٢٦", IdForm.DECIMAL, "٢٦"),
        ("26\n", IdForm.DECIMAL, "26\n"),
        ("9" * 5000, IdForm.DECIMAL, "9" * 5000),
        ("0026", IdForm.AS_IS, "0026"),
    ],
)
def test_ids_have_one_spelling(text: str, form: IdForm, expected: str) -> None:
    assert normal_id(text, form) == expected


@given(st.integers(0, 2**200))
def test_both_forms_of_an_id_are_equal(number: int) -> None:
    assert normal_id(f"{number:08x}", IdForm.HEX) == normal_id(f"{number:010}", IdForm.DECIMAL) == str(number)
