"""Templates and places: nothing is filled in but what the template asks for, and nothing leaves its place."""

import json
from urllib.parse import parse_qs, unquote
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.connectors.providers.pointing import field, is_pointer, pointed, text_of
from postdate.connectors.providers.template import Template

KNOWN = ("to", "body")
VALUES = {"to": "+15550001111", "body": 'a&b="<{to}>"\n\\é'}

FILLED: list[tuple[str, str, str]] = [
    ("", "url", ""),
    ("x", "url", "x"),
    ("?to={to}", "url", "?to=%2B15550001111"),
    ("?to={to|digits}&x={to|raw}", "url", "?to=15550001111&x=+15550001111"),
    ("{body}", "url", "a%26b%3D%22%3C%7Bto%7D%3E%22%0A%5C%C3%A9"),
    ("{body}", "form", "a%26b%3D%22%3C%7Bto%7D%3E%22%0A%5C%C3%A9"),
    ('{"to": "{to}", "x": {"y": {}}}', "json", '{"to": "+15550001111", "x": {"y": {}}}'),
    ('{"b":"{body}"}', "json", '{"b":"a&b=\\"<{to}>\\"\\n\\\\é"}'),
    ("<b>{body}</b>", "xml", "<b>a&amp;b=&quot;&lt;{to}&gt;&quot;\n\\é</b>"),
    ("{body}", "raw", VALUES["body"]),
    ("{to|base64}", "url", "KzE1NTUwMDAxMTEx"),
    ("{to|digits|utf16hex}", "form", "00310035003500350030003000300031003100310031"),
    ("{to |{|to}{TO}{}{1}{to|}{{to}}", "raw", "{to |{|to}{TO}{}{1}{to|}{+15550001111}"),
]


@pytest.mark.parametrize(("text", "way", "expected"), FILLED, ids=[one[0] for one in FILLED])
def test_a_template_is_filled(text: str, way: str, expected: str) -> None:
    assert Template(text, KNOWN, way).fill(VALUES) == expected


@pytest.mark.parametrize("number", ["Clinic", "12345", "+1555x", "++1", ""])
def test_only_a_number_loses_its_plus(number: str) -> None:
    assert Template("{to|digits}", KNOWN, "raw").fill({"to": number}) == number


WRONG = [
    ("{nothing}", "{nothing} is not known; known are {to}, {body}"),
    ("{to|nothing}", "|nothing is not known"),
    ("{to|json|digits}", "|json must come last"),
    ("{to|url|url}", "|url must come last"),
]


@pytest.mark.parametrize(("text", "told"), WRONG)
def test_a_template_that_asks_for_what_is_not_is_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=r"known|last") as refusal:
        Template(text, KNOWN, "raw")
    assert told in str(refusal.value)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(TEXTS, TEXTS)
def test_whatever_the_values_are_they_stay_in_their_places(to: str, body: str) -> None:
    values = {"to": to, "body": body}
    told = json.loads(Template('{"to": "{to}", "body": "{body}"}', KNOWN, "json").fill(values))
    assert told == values
    form = Template("to={to}&body={body}", KNOWN, "form").fill(values)
    assert parse_qs(form, keep_blank_values=True, strict_parsing=True) == {"to": [to], "body": [body]}
    url = Template("https://a/{to}?b={body}", KNOWN, "url").fill(values)
    path, _, query = url.removeprefix("https://a/").partition("?b=")
    assert (unquote(path), unquote(query)) == (to, body)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_whatever_the_text_is_the_xml_can_be_read(body: str) -> None:
    xml = Template('<a b="{body}">{body}</a>', KNOWN, "xml").fill({"body": body})
    element = ElementTree.fromstring(xml)
    assert [child for child in element] == []
    assert set(element.attrib) == {"b"}


@pytest.mark.parametrize("way", ["url", "form", "utf16hex", "base64"])
def test_half_a_character_cannot_be_written(way: str) -> None:
    with pytest.raises(UnicodeEncodeError):
        Template("{to|" + way + "}", KNOWN, "raw").fill({"to": "\ud83d"})


DOCUMENT = {"a": [{"b/c": 1}, "x"], "": 2, "~": {"1": 3}, "n": None}
POINTERS: list[tuple[str, object]] = [
    ("", DOCUMENT),
    ("/a/0/b~1c", 1),
    ("/a/1", "x"),
    ("/", 2),
    ("/~0/1", 3),
    ("/n", None),
    ("/a/2", None),
    ("/a/-1", None),
    ("/a/01", None),
    ("/a/x", None),
    ("/a/1/0", None),
    ("/x/y", None),
    ("/a/99999999999999999999", None),
]


@pytest.mark.parametrize(("pointer", "expected"), POINTERS)
def test_a_pointer_points(pointer: str, expected: object) -> None:
    assert is_pointer(pointer)
    assert pointed(DOCUMENT, pointer) == expected


@pytest.mark.parametrize("text", ["a", "a/b", "/~2", "/~", "#/a"])
def test_what_is_no_pointer_is_told(text: str) -> None:
    assert not is_pointer(text)


TEXTS_OF: list[tuple[object, str | None]] = [
    ("x", "x"), (17, "17"), (0, "0"), (-1, "-1"), (True, None), (1.0, None), (None, None), ([], None), ({}, None),
    (10**39, "1" + "0" * 39), (10**40, None),
]  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), TEXTS_OF)
def test_texts_and_whole_numbers_are_texts(value: object, expected: str | None) -> None:
    assert text_of(value) == expected


def test_the_first_field_of_a_name_counts() -> None:
    assert field([("a", "1"), ("b", "2"), ("a", "3")], "a") == "1"
    assert field([("a", "1")], "b") is None
