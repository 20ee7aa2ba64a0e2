"""GSM-7: the tables against data that is not ours, the two forms on the wire, and what becomes of odd input."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.core.gsm7 import BASIC, ESCAPE, EXTENSION, decode, encode, is_gsm7, pack, units, unpack, with_escapes

DATA = Path(__file__).parents[1] / "data" / "segments"
TABLE: dict[str, bytes] = {
    chr(int(point)): bytes(septets)
    for point, septets in json.loads((DATA / "unicode_to_gsm7.json").read_text("utf-8")).items()
}

gsm7_texts = st.text(st.sampled_from(sorted(TABLE)))
septets = st.binary().map(lambda octets: bytes(octet & 0x7F for octet in octets))


def test_the_basic_table_has_128_places_and_each_character_once() -> None:
    assert len(BASIC) == 128
    assert len(set(BASIC)) == 128
    assert BASIC.index(ESCAPE) == 0x1B
    assert not set(EXTENSION) & set(BASIC)


def test_exactly_the_characters_of_the_reference_table_are_gsm7() -> None:
    every_code_point = map(chr, range(0x110000))
    assert {character for character in every_code_point if is_gsm7(character)} == set(TABLE)


@pytest.mark.parametrize("character", sorted(TABLE), ids=lambda character: f"U+{ord(character):04X}")
def test_each_character_has_the_septets_of_the_reference_table(character: str) -> None:
    assert encode(character) == TABLE[character]
    assert decode(TABLE[character]) == character
    assert units(character) == len(TABLE[character])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", True, id="empty"),
        pytest.param("Grüße, è già là", True, id="accents of the table"),
        pytest.param("FAÇADE", True, id="capital C with cedilla"),
        pytest.param("façade", False, id="small c with cedilla"),
        pytest.param("más", False, id="a with acute"),
        pytest.param("Ωmega", True, id="Greek capital that Latin lacks"),
        pytest.param("ω", False, id="Greek small letter"),
        pytest.param("`", False, id="backtick"),
        pytest.param("a\tb", False, id="tab"),
        pytest.param("a\x1bb", False, id="the escape itself"),
        pytest.param("e\u0300", False, id="letter and combining accent"),
        pytest.param("one\r\ntwo\f", True, id="line ends and form feed"),
    ],
)
def test_is_gsm7(text: str, expected: bool) -> None:
    assert is_gsm7(text) is expected


def test_units_count_an_extended_character_twice() -> None:
    assert units("[a]€") == 7


@given(gsm7_texts)
def test_encoding_and_decoding_give_the_text_back(text: str) -> None:
    encoded = encode(text)
    assert decode(encoded) == text
    assert len(encoded) == units(text)
    assert encoded.isascii()


@given(gsm7_texts)
def test_with_escapes_writes_one_character_for_each_septet(text: str) -> None:
    escaped = with_escapes(text)
    assert len(escaped) == len(encode(text))
    assert escaped.replace(ESCAPE, "") == text
    assert [at for at, septet in enumerate(encode(text)) if septet == 0x1B] == [
        at for at, character in enumerate(escaped) if character == ESCAPE
    ]


def test_encoding_names_the_first_character_it_cannot_write() -> None:
    with pytest.raises(ValueError, match=r"U\+0436 at position 2 .*UCS-2"):
        encode("abжç")


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        pytest.param(b"a\x1b", "a ", id="escape at the end is a space"),
        pytest.param(b"\x1b\x1be", " e", id="two escapes are one space, and the next stands for itself"),
        pytest.param(b"\x1ba", "a", id="pair outside the extension shows the basic character"),
        pytest.param(b"\x1b\x00", "@", id="pair with septet zero"),
        pytest.param(b"\x1b\x0a\x0a", "\f\n", id="form feed is a pair, line feed is not"),
        pytest.param(b"\x1b\x65\x65", "€e", id="euro then e"),
    ],
)
def test_decoding_shows_odd_escapes_as_the_standard_says(octets: bytes, text: str) -> None:
    assert decode(octets) == text


@given(septets)
def test_any_septets_decode_to_gsm7_text_no_longer_than_they_are(octets: bytes) -> None:
    text = decode(octets)
    assert is_gsm7(text)
    assert len(text) <= len(octets)


def test_decoding_refuses_an_octet_above_seven_bits() -> None:
    with pytest.raises(ValueError, match=r"0xE9 at position 3 .*Latin-1"):
        decode(b"caf\xe9")


@pytest.mark.parametrize(
    ("text", "packed"),
    [
        pytest.param("", "", id="empty"),
        pytest.param("hello", "E8329BFD06", id="five septets in five octets"),
        pytest.param("hellohello", "E8329BFD4697D9EC37", id="ten septets in nine octets"),
        pytest.param("@@@@@@@@", "00000000000000", id="eight septets of zero in seven octets"),
        pytest.param("€", "9B32", id="escape pair"),
    ],
)
def test_packing_known_texts(text: str, packed: str) -> None:
    assert pack(encode(text)).hex().upper() == packed
    assert decode(unpack(bytes.fromhex(packed), units(text))) == text


def test_a_text_after_a_six_octet_header_starts_one_bit_later() -> None:
    assert pack(b"\x41", fill_bits=1) == b"\x82"
    assert len(pack(b"\x7f" * 153, fill_bits=1)) == 134  # with the header: the 140 octets of a segment


@given(septets, st.integers(0, 6))
def test_packing_and_unpacking_give_the_septets_back(octets: bytes, fill_bits: int) -> None:
    packed = pack(octets, fill_bits)
    assert len(packed) == -(-(len(octets) * 7 + fill_bits) // 8)
    assert unpack(packed, len(octets), fill_bits) == octets


def test_unpacking_refuses_a_text_that_was_cut_short() -> None:
    with pytest.raises(ValueError, match="7 octets cannot hold 9 septets"):
        unpack(bytes(7), 9)
    with pytest.raises(ValueError, match="7 octets cannot hold 8 septets"):
        unpack(bytes(7), 8, fill_bits=1)


def test_packing_refuses_what_is_not_a_septet() -> None:
    with pytest.raises(ValueError, match="above 127"):
        pack(b"\x80")
