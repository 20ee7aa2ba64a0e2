"""Texts into parts and back: the same cuts as the segments that were counted, and nothing that comes in is an error."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.connectors.contract import Part
from postdate.connectors.smpp_text import Coding, LongMode, Piece, Read, read_text, write_text
from postdate.core import gsm7
from postdate.core.segment import segment
from postdate.smpp.codes import Tag
from postdate.smpp.pdu import DataSm, DeliverSm, SubmitSm

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"  # one character for a person: eight UTF-16 units
UDH8, UDH16, SAR, PAYLOAD = LongMode


def long_and_short(characters: list[str]) -> st.SearchStrategy[str]:
    """Texts of these characters; many are longer than a segment, with something other at each cut."""
    return st.builds(
        lambda before, repeated, times: "".join(before + repeated * times),
        st.lists(st.sampled_from(characters), max_size=9),
        st.lists(st.sampled_from(characters), max_size=9),
        st.integers(1, 60),
    )


gsm7_texts = long_and_short(["a", "b", "c", "€", "{", "à", "\n", "@", "Δ", " "])
any_texts = long_and_short(["a", "b", "€", "é", "ç", "ё", "語", "\U0001f600", FAMILY, "\r\n", " "])


def read_back(pieces: tuple[Piece, ...], coding: Coding) -> list[Read]:
    """What we would read, were we the carrier."""
    return [read_text(submit(piece), coding) for piece in pieces]


def submit(piece: Piece) -> SubmitSm:
    """The PDU of a part."""
    return SubmitSm(
        short_message=piece.short_message,
        data_coding=piece.data_coding,
        esm_class=piece.esm_class,
        tlvs=piece.tlvs,
    )


def received(octets: bytes, data_coding: int = 0, coding: Coding = Coding.GSM7, **fields: Any) -> str:
    """The text of a message that a carrier delivers."""
    return read_text(DeliverSm(short_message=octets, data_coding=data_coding, **fields), coding).text


@pytest.mark.parametrize(
    ("text", "coding", "mode", "expected"),
    [
        pytest.param("h\u00e9 @", Coding.GSM7, UDH8, (Piece(b"h\x05 \x00", 0),), id="unpacked septets"),
        pytest.param("5 \u20ac", Coding.GSM7, SAR, (Piece(b"5 \x1b\x65", 0),), id="an escape"),
        pytest.param(
            "hellohello", Coding.GSM7_PACKED, UDH8, (Piece(bytes.fromhex("e8329bfd4697d9ec37"), 0),), id="packed"
        ),
        pytest.param("h\u00e9", Coding.LATIN1, UDH8, (Piece(b"h\xe9", 0),), id="Latin-1"),
        pytest.param("he", Coding.ASCII, UDH8, (Piece(b"he", 0),), id="ASCII"),
        pytest.param("h\u00e9", Coding.ASCII, UDH8, (Piece(b"\0h\0\xe9", 8),), id="not in ASCII"),
        pytest.param("\u0394", Coding.LATIN1, UDH8, (Piece(b"\x03\x94", 8),), id="not in Latin-1"),
        pytest.param("\u8a9e", Coding.GSM7, PAYLOAD, (Piece(b"\x8a\x9e", 8),), id="UCS-2"),
        pytest.param("\U0001f600", Coding.GSM7, UDH8, (Piece(b"\xd8\x3d\xde\x00", 8),), id="a surrogate pair"),
        pytest.param("", Coding.GSM7, UDH8, (Piece(b"", 0),), id="nothing"),
        pytest.param(
            "a" * 161,
            Coding.GSM7,
            UDH8,
            (
                Piece(b"\x05\0\x03\x34\2\1" + b"a" * 153, 0, 0x40),
                Piece(b"\x05\0\x03\x34\2\2" + b"a" * 8, 0, 0x40),
            ),
            id="two parts, 8-bit reference",
        ),
        pytest.param(
            "a" * 161,
            Coding.GSM7,
            UDH16,
            (
                Piece(b"\x06\x08\x04\x12\x34\2\1" + b"a" * 152, 0, 0x40),
                Piece(b"\x06\x08\x04\x12\x34\2\2" + b"a" * 9, 0, 0x40),
            ),
            id="two parts, 16-bit reference",
        ),
        pytest.param(
            "\u8a9e" * 71,
            Coding.GSM7,
            UDH16,
            (
                Piece(b"\x06\x08\x04\x12\x34\2\1" + b"\x8a\x9e" * 66, 8, 0x40),
                Piece(b"\x06\x08\x04\x12\x34\2\2" + b"\x8a\x9e" * 5, 8, 0x40),
            ),
            id="two parts of UCS-2, 16-bit reference",
        ),
        pytest.param(
            "a" * 161,
            Coding.GSM7,
            SAR,
            (
                Piece(b"a" * 153, 0, 0, ((0x020C, b"\x12\x34"), (0x020E, b"\2"), (0x020F, b"\1"))),
                Piece(b"a" * 8, 0, 0, ((0x020C, b"\x12\x34"), (0x020E, b"\2"), (0x020F, b"\2"))),
            ),
            id="two parts, parameters",
        ),
        pytest.param("a" * 161, Coding.GSM7, PAYLOAD, (Piece(b"", 0, 0, ((0x0424, b"a" * 161),)),), id="payload"),
        pytest.param("a" * 160, Coding.GSM7, PAYLOAD, (Piece(b"a" * 160, 0),), id="payload, but it fits"),
    ],
)
def test_what_is_written(text: str, coding: Coding, mode: LongMode, expected: tuple[Piece, ...]) -> None:
    assert write_text(text, coding, mode, ref=0x1234) == expected


@given(gsm7_texts | any_texts, st.sampled_from([UDH8, SAR]), st.integers(0, 2**40))
def test_the_parts_are_the_segments_that_were_counted(text: str, mode: LongMode, ref: int) -> None:
    pieces = write_text(text, Coding.GSM7, mode, ref)
    counted = segment(text).segments
    read = read_back(pieces, Coding.GSM7)
    assert tuple(one.text for one in read) == counted
    total = len(counted)
    kept = ref & (0xFFFF if mode is SAR else 0xFF)
    assert [one.part for one in read] == (
        [Part(kept, total, at) for at in range(1, total + 1)] if total > 1 else [None]
    )


@given(gsm7_texts | any_texts, st.sampled_from(Coding), st.sampled_from(LongMode))
def test_what_is_written_is_read(text: str, coding: Coding, mode: LongMode) -> None:
    pieces = write_text(text, coding, mode, ref=7)
    read = read_back(pieces, coding)
    assert "".join(one.text for one in read) == text
    assert all(len(piece.short_message) <= 160 for piece in pieces)
    for piece in pieces:
        has_header, tags = bool(piece.esm_class & 0x40), {tag for tag, _ in piece.tlvs}
        assert has_header == (len(pieces) > 1 and mode in (UDH8, UDH16))
        assert not (has_header and tags)
        assert bool(tags) == (mode is SAR and len(pieces) > 1) or mode is PAYLOAD
        assert piece.data_coding in (0, 8)


@given(gsm7_texts | any_texts, st.sampled_from(LongMode))
def test_a_part_fits_into_140_octets_on_the_air_and_no_character_is_cut(text: str, mode: LongMode) -> None:
    pieces = write_text(text, Coding.GSM7, mode, ref=7)
    if mode is PAYLOAD:
        assert len(pieces) == 1
        return
    header = {UDH8: 6, UDH16: 7, SAR: 6}[mode] if len(pieces) > 1 else 0
    for piece in pieces:
        octets = piece.short_message[header if mode is not SAR else 0 :]
        bits = len(octets) * (8 if piece.data_coding else 7)
        assert header * 8 + bits <= 1120
        if piece.data_coding:
            octets.decode("utf-16-be")  # raises at half a pair
        else:
            assert not octets.endswith(b"\x1b")


def test_the_header_with_a_16_bit_reference_makes_another_cut() -> None:
    text = "a" * (153 * 3)
    assert [len(write_text(text, Coding.GSM7, mode, 1)) for mode in (UDH8, SAR, UDH16, PAYLOAD)] == [3, 3, 4, 1]
    emoji = FAMILY * 17  # eight units each: eight in 67 and in 66 units alike
    assert [len(write_text(emoji, Coding.GSM7, mode, 1)) for mode in (UDH8, UDH16)] == [3, 3]


def test_a_text_that_latin1_lacks_is_cut_as_ucs2() -> None:
    text = "a" * 99 + "\u20ac"  # one segment of GSM-7, which the carrier's default alphabet cannot say
    assert segment(text).count == 1
    pieces = write_text(text, Coding.LATIN1, UDH8, ref=1)
    assert [len(one.short_message) - 6 for one in pieces] == [134, 66]
    assert "".join(one.text for one in read_back(pieces, Coding.LATIN1)) == text


@pytest.mark.parametrize("length", range(1, 18))
def test_packed_text_of_any_length_comes_back(length: int) -> None:
    for text in ("a" * length, "@" * length):
        (piece,) = write_text(text, Coding.GSM7_PACKED, UDH8, ref=1)
        assert len(piece.short_message) == -(-length * 7 // 8)
        assert read_text(submit(piece), Coding.GSM7_PACKED).text == text


@pytest.mark.parametrize("mode", [UDH8, UDH16])
def test_packed_text_behind_a_header_begins_on_a_septet(mode: LongMode) -> None:
    first, *_ = write_text("a" * 400, Coding.GSM7_PACKED, mode, ref=1)
    assert len(first.short_message) == 140
    header = first.short_message[0] + 1
    fill = 1 if mode is UDH8 else 0
    most = 153 if mode is UDH8 else 152
    assert gsm7.unpack(first.short_message[header:], most, fill) == b"a" * most


@pytest.mark.parametrize(
    ("octets", "data_coding", "coding", "expected"),
    [
        pytest.param(b"\x00 \x1b\x65", 0, Coding.GSM7, "@ €", id="GSM-7"),
        pytest.param(b"caf\xe9", 0, Coding.GSM7, "café", id="Latin-1 where GSM-7 should be"),
        pytest.param("café 語".encode(), 0, Coding.GSM7, "café 語", id="UTF-8 where GSM-7 should be"),
        pytest.param(b"hi\x1b", 0, Coding.GSM7, "hi ", id="an escape at the end"),
        pytest.param(b"caf\xe9 @_", 0, Coding.LATIN1, "café @_", id="Latin-1 by default"),
        pytest.param(b"a@_", 0, Coding.ASCII, "a@_", id="ASCII by default"),
        pytest.param(b"caf\xe9", 0, Coding.ASCII, "café", id="Latin-1 where ASCII should be"),
        pytest.param(bytes.fromhex("e8329bfd4697d9ec37"), 0, Coding.GSM7_PACKED, "hellohello", id="packed by default"),
        pytest.param(b"a@_\x80", 1, Coding.GSM7, "a@_\x80", id="IA5"),
        pytest.param(b"a@_ {b}\r\n\tc\0", 1, Coding.GSM7, "a@_ {b}\r\n\tc", id="IA5 and a zero at the end"),
        pytest.param(b"\0 \x02 a", 1, Coding.GSM7, "@ $ a", id="GSM-7 that is called IA5"),
        pytest.param(b"f\x7e\x1b\x28r", 1, Coding.LATIN1, "fü{r", id="an escape that is called IA5"),
        pytest.param(b"a@\xe9", 3, Coding.GSM7, "a@é", id="Latin-1"),
        pytest.param(b"a\xff\x01", 4, Coding.GSM7, "aÿ\x01", id="octets"),
        pytest.param(b"a\xff\x01", 2, Coding.GSM7, "aÿ\x01", id="octets, too"),
        pytest.param(b"\xbf\xe0", 6, Coding.GSM7, "Пр", id="Cyrillic"),
        pytest.param(b"\xf9\xec", 7, Coding.GSM7, "של", id="Hebrew"),
        pytest.param(b"\xb0\xa1", 14, Coding.GSM7, "가", id="Korean"),
        pytest.param(b"\x8a\x9e", 8, Coding.GSM7, "語", id="UCS-2"),
        pytest.param(b"\xd8\x3d\xde\x00", 8, Coding.GSM7, "\U0001f600", id="UTF-16"),
        pytest.param(b"\x8a\x9e\x00", 8, Coding.GSM7, "語", id="an odd octet at the end"),
        pytest.param(b"\x8a", 8, Coding.GSM7, "", id="nothing but an odd octet"),
        pytest.param(b"\xd8\x3d\x00a", 8, Coding.GSM7, "\ufffda", id="the first half of a pair"),
        pytest.param(b"\x00a\xd8\x3d", 8, Coding.GSM7, "a\ufffd", id="the first half at the end"),
        pytest.param(b"\xde\x00\x00a", 8, Coding.GSM7, "\ufffda", id="the second half of a pair"),
        pytest.param(b"\xfe\xff\x00a", 8, Coding.GSM7, "a", id="byte order mark"),
        pytest.param(b"\xff\xfea\x00", 8, Coding.GSM7, "a", id="the other byte order"),
        pytest.param(b"\0a\0\0\0b", 8, Coding.GSM7, "ab", id="NUL in UCS-2"),
        pytest.param(b"a\0b", 3, Coding.GSM7, "ab", id="NUL in Latin-1"),
        pytest.param(b"\0a", 0xF0, Coding.GSM7, "@a", id="flash, default alphabet"),
        pytest.param(b"a\xe9", 0xF5, Coding.GSM7, "aé", id="class 1, octets"),
        pytest.param(b"\0a", 0x10, Coding.GSM7, "@a", id="GSM's own flash"),
        pytest.param(b"a\xe9", 0x15, Coding.GSM7, "aé", id="GSM's own octets"),
        pytest.param(b"\0a", 0x18, Coding.GSM7, "a", id="GSM's own UCS-2 flash"),
        pytest.param(b"\0a", 0xC8, Coding.GSM7, "@a", id="message waiting"),
        pytest.param(b"\0a", 0xE0, Coding.GSM7, "a", id="message waiting, UCS-2"),
        pytest.param(b"a\xe9", 0x99, Coding.GSM7, "aé", id="a number that means nothing"),
    ],
)
def test_what_is_read_of_each_data_coding(octets: bytes, data_coding: int, coding: Coding, expected: str) -> None:
    assert received(octets, data_coding, coding) == expected


@pytest.mark.parametrize("coding", Coding)
@pytest.mark.parametrize("header", [b"\x05\0\3\7\2\1", b"\6\x08\4\0\7\2\1", b"\0", b"\1\1", b""])
def test_nothing_may_stand_behind_a_header(header: bytes, coding: Coding) -> None:
    assert received(header, coding=coding, esm_class=0x40) == ""


SAR_3_OF_4 = ((Tag.SAR_MSG_REF_NUM, b"\1\2"), (Tag.SAR_TOTAL_SEGMENTS, b"\4"), (Tag.SAR_SEGMENT_SEQNUM, b"\3"))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(
            DeliverSm(esm_class=0x40, short_message=b"\x05\x00\x03\xc8\x04\x03hi"),
            Read("hi", Part(200, 4, 3)),
            id="8 bits",
        ),
        pytest.param(
            DeliverSm(esm_class=0x40, short_message=b"\x06\x08\x04\x01\x02\x04\x03hi"),
            Read("hi", Part(258, 4, 3)),
            id="16 bits",
        ),
        pytest.param(
            DeliverSm(esm_class=0x40, short_message=b"\x0b\x05\x04\x0b\x84\0\0\x00\x03\x07\x02\x01hi"),
            Read("hi", Part(7, 2, 1)),
            id="behind another element",
        ),
        pytest.param(
            DeliverSm(esm_class=0x43, short_message=b"\x05\x00\x03\x07\x02\x01hi"),
            Read("hi", Part(7, 2, 1)),
            id="mode bits",
        ),
        pytest.param(
            DeliverSm(esm_class=0x40, data_coding=8, short_message=b"\x05\x00\x03\x07\x02\x01\x8a\x9e"),
            Read("語", Part(7, 2, 1)),
            id="in front of UCS-2",
        ),
        pytest.param(
            DeliverSm(esm_class=0x40, tlvs=((Tag.MESSAGE_PAYLOAD, b"\x05\x00\x03\x07\x02\x01hi"),)),
            Read("hi", Part(7, 2, 1)),
            id="in the payload",
        ),
        pytest.param(DeliverSm(short_message=b"hi", tlvs=SAR_3_OF_4), Read("hi", Part(258, 4, 3)), id="parameters"),
        pytest.param(
            DataSm(tlvs=((Tag.MESSAGE_PAYLOAD, b"hi"), *SAR_3_OF_4)), Read("hi", Part(258, 4, 3)), id="data_sm"
        ),
        pytest.param(
            DeliverSm(esm_class=0x40, short_message=b"\x05\x00\x03\x07\x02\x01hi", tlvs=SAR_3_OF_4),
            Read("hi", Part(7, 2, 1)),
            id="both: the header counts",
        ),
        pytest.param(DeliverSm(tlvs=((Tag.MESSAGE_PAYLOAD, b"hi"),)), Read("hi"), id="payload"),
        pytest.param(
            DeliverSm(short_message=b"hi", tlvs=((Tag.MESSAGE_PAYLOAD, b"ho"),)), Read("hi"), id="payload beside a text"
        ),
        pytest.param(DeliverSm(short_message=b"\x05\x00\x03"), Read("é@¥"), id="no header without the bit"),
        pytest.param(DeliverSm(esm_class=0x40), Read(""), id="the bit without a header"),
        pytest.param(DeliverSm(esm_class=0x40, short_message=b"\x00hi"), Read("hi"), id="an empty header"),
        pytest.param(DeliverSm(esm_class=0x40, short_message=b"hi"), Read("hi"), id="longer than all there is"),
        pytest.param(
            DeliverSm(esm_class=0x40, short_message=b"\x05\x00\x09\1\1\1hi"), Read("hi"), id="element too long"
        ),
        pytest.param(DeliverSm(esm_class=0x40, short_message=b"\x05\x00\x03\7\0\1hi"), Read("hi"), id="of no parts"),
        pytest.param(DeliverSm(esm_class=0x40, short_message=b"\x05\x00\x03\7\2\0hi"), Read("hi"), id="part 0"),
        pytest.param(DeliverSm(esm_class=0x40, short_message=b"\x05\x00\x03\7\2\3hi"), Read("hi"), id="part 3 of 2"),
        pytest.param(DeliverSm(esm_class=0x40, short_message=b"\x05\x00\x03\7\1\1hi"), Read("hi"), id="part 1 of 1"),
        pytest.param(DeliverSm(short_message=b"hi", tlvs=SAR_3_OF_4[:2]), Read("hi"), id="a parameter is missing"),
        pytest.param(
            DeliverSm(short_message=b"hi", tlvs=(*SAR_3_OF_4[:2], (Tag.SAR_SEGMENT_SEQNUM, b""))),
            Read("hi"),
            id="a parameter is empty",
        ),
    ],
)
def test_which_part_it_is(body: DeliverSm | DataSm, expected: Read) -> None:
    assert read_text(body, Coding.GSM7) == expected


@given(
    st.binary(max_size=254) | st.binary(max_size=8).map(lambda rest: bytes([len(rest)]) + rest),
    st.integers(0, 255),
    st.integers(0, 255),
    st.lists(st.tuples(st.sampled_from(Tag), st.binary(max_size=300)), max_size=4).map(tuple),
    st.sampled_from(Coding),
)
def test_nothing_that_comes_in_is_an_error(
    octets: bytes, data_coding: int, esm_class: int, tlvs: tuple[tuple[int, bytes], ...], coding: Coding
) -> None:
    for kind in (DeliverSm, SubmitSm):
        body = kind(short_message=octets, data_coding=data_coding, esm_class=esm_class, tlvs=tlvs)
        text = read_text(body, coding).text
        assert "\0" not in text
        text.encode("utf-8")  # raises at half a surrogate pair
    read_text(DataSm(data_coding=data_coding, esm_class=esm_class, tlvs=tlvs), coding)


@pytest.mark.parametrize("mode", LongMode)
def test_half_a_pair_in_a_body_is_no_error(mode: LongMode) -> None:
    pieces = write_text("\ud83d" * 100, Coding.GSM7, mode, ref=1)
    assert "".join(one.text for one in read_back(pieces, Coding.GSM7)) == "?" * 100
