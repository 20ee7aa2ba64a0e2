"""What is said of a text while it is written: parts, room left, what costs the short alphabet, what is replaced."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.console.text_look import look_at
from postdate.core.segment import Encoding, segment
from tests.console.reminders import HOSTILE

GSM7, UCS2 = Encoding.GSM7, Encoding.UCS2


@pytest.mark.parametrize(
    ("body", "smart", "parts", "encoding", "left"),
    [
        ("", False, 1, GSM7, 160),
        ("a" * 160, False, 1, GSM7, 0),
        ("a" * 161, False, 2, GSM7, 145),
        ("[" * 10, False, 1, GSM7, 140),
        ("あ" * 70, False, 1, UCS2, 0),
        ("あ" * 71, False, 2, UCS2, 63),
        ("🎉", False, 1, UCS2, 68),
        ("it\u2019s", False, 1, UCS2, 66),
        ("it\u2019s", True, 1, GSM7, 156),
    ],
)
def test_parts_and_the_room_that_is_left(body: str, smart: bool, parts: int, encoding: Encoding, left: int) -> None:
    seen = look_at(body, smart)
    assert (len(seen.parts), seen.encoding, seen.left) == (parts, encoding, left)
    assert seen.is_plain is (encoding is GSM7)


def test_what_costs_the_short_alphabet_is_named() -> None:
    seen = look_at("Caf\u00e9 \u0151 and \u0151, a \u200b blank and all of the rest", False)
    assert [(one.shown, one.code, one.number) for one in seen.foreign] == [("ő", "U+0151", 2), ("", "U+200B", 1)]
    assert seen.foreign_stand_out
    assert not look_at("佐藤様、ご予約は明日です。", False).foreign_stand_out
    many = look_at("".join(map(chr, range(0x4E00, 0x4E14))) + " " * 100, False)
    assert (len(many.foreign), many.more_foreign) == (12, 8)


def test_what_smart_encoding_replaces_is_named_with_what_it_saves() -> None:
    seen = look_at("\u201cHi\u201d\u2026" + "a" * 100 + "\u200b\u2003", True)
    assert [(one.shown, one.becomes) for one in seen.replaced] == [
        ("\u201c", '"'),
        ("\u201d", '"'),
        ("\u2026", "..."),
        ("", ""),
        ("", "  "),
    ]
    assert (seen.before, len(seen.parts), seen.foreign) == (2, 1, ())
    assert look_at("\u201cHi\u201d", False).replaced == ()


@given(st.one_of(st.text(max_size=700), st.sampled_from(HOSTILE)), st.booleans())
def test_it_is_what_is_counted_and_paid_for(body: str, smart: bool) -> None:
    seen, cut = look_at(body, smart), segment(body, smart)
    assert (seen.parts, seen.encoding, seen.characters) == (cut.segments, cut.encoding, cut.characters)
    assert 0 <= seen.left <= 160
    assert bool(seen.foreign) is (cut.encoding is UCS2)
    assert seen.before >= 1
