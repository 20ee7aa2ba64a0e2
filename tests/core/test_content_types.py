"""The types of a content: three spellings are one, what does not fit is said, and what is shown of each."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.core.content_types import DEEPEST, SHAPES, media_of, read_types, shown_type, text_of, tidied
from postdate.core.errors import Rejected

REPLIES = [{"title": "Yes", "id": "yes"}, {"title": "No", "id": "no"}]
LINK = {"type": "URL", "title": "Open", "url": "https://a.example/{{1}}"}
COPY = {"type": "COPY_CODE", "copy_code_text": "Copy"}
# One of each type, and the text that a plain message shows of it.
WHOLE: dict[str, tuple[dict[str, Any], str]] = {
    "twilio/text": ({"body": "Hi {{1}}"}, "Hi {{1}}"),
    "twilio/media": ({"body": "Look", "media": ["https://a.example/1.png"]}, "Look"),
    "twilio/location": ({"latitude": 48.85, "longitude": 2.29, "label": "Tower"}, "Tower\n48.85,2.29"),
    "twilio/list-picker": ({"body": "Which?", "button": "Days", "items": [{"id": "1", "item": "Monday"}]}, "Which?"),
    "twilio/call-to-action": ({"body": "See", "actions": [LINK]}, "See"),
    "twilio/quick-reply": ({"body": "Come?", "actions": REPLIES}, "Come?"),
    "twilio/card": ({"title": "Visit", "subtitle": "At 3PM", "media": ["https://a.example/1.png"]}, "Visit\nAt 3PM"),
    "twilio/catalog": ({"title": "All", "body": "We sell", "dynamic_items": "x"}, "All\nWe sell"),
    "twilio/carousel": (
        {"body": "Cards", "cards": [{"body": "One", "media": "https://a.example/1.png", "actions": [LINK]}]},
        "Cards",
    ),
    "twilio/flows": ({"body": "Book", "button_text": "Go", "pages": [{"id": "1"}], "type": "OTHER"}, "Book"),
    "twilio/schedule": ({"id": "1", "title": "When?", "timeSlots": "x"}, "When?"),
    "whatsapp/card": ({"body": "Hi", "header_text": "Clinic", "footer": "STOP ends"}, "Clinic\nHi\nSTOP ends"),
    "whatsapp/authentication": ({"actions": [COPY], "code_expiration_minutes": 5}, "{{1}}"),
    "whatsapp/flows": ({"body": "Book", "button_text": "Go", "flow_id": "7"}, "Book"),
}


def camel(value: Any) -> Any:
    """Return JSON as Twilio's Node.js library writes it."""

    def hump(name: str) -> str:
        first, *more = name.replace("/", "_").replace("-", "_").split("_")
        return first + "".join(word.capitalize() for word in more)

    if isinstance(value, dict):
        return {hump(name): camel(one) for name, one in value.items()}
    return [camel(one) for one in value] if isinstance(value, list) else value


def test_there_is_one_of_each() -> None:
    assert WHOLE.keys() == SHAPES.keys()


@pytest.mark.parametrize("name", WHOLE)
def test_a_type_is_kept_as_it_was_sent_and_shown_by_its_text(name: str) -> None:
    value, text = WHOLE[name]
    assert read_types(tidied({name: value})) == {name: value}
    assert text_of(name, value) == text


@pytest.mark.parametrize("name", WHOLE)
def test_the_spelling_of_the_node_library_is_the_same(name: str) -> None:
    value, _ = WHOLE[name]
    assert read_types(tidied(camel({name: value}))) == {name: value}


@pytest.mark.parametrize("name", WHOLE)
def test_nulls_as_the_python_library_sends_them_are_nothing(name: str) -> None:
    value, _ = WHOLE[name]
    sent = {**dict.fromkeys(SHAPES), name: {**value, "more": None}}
    assert read_types(tidied(sent)) == {name: value}


def test_media_go_before_text_and_text_before_the_rest() -> None:
    types = {name: WHOLE[name][0] for name in ("twilio/quick-reply", "twilio/text", "twilio/media")}
    assert shown_type(types) == "twilio/media"
    del types["twilio/media"]
    assert shown_type(types) == "twilio/text"
    del types["twilio/text"]
    assert shown_type(types) == "twilio/quick-reply"
    assert media_of(WHOLE["twilio/card"][0]) == ("https://a.example/1.png",)
    assert media_of(WHOLE["twilio/text"][0]) == ()


MISFITS: list[tuple[str, Any, str]] = [
    ("twilio/text", {}, "body"),
    ("twilio/text", {"body": ""}, "length"),
    ("twilio/text", {"body": "x" * 1_601}, "1600"),
    ("twilio/text", {"body": 1}, "int"),
    ("twilio/text", "Hi", "object"),
    ("twilio/media", {"body": "Look"}, "media"),
    ("twilio/media", {"media": []}, "length"),
    ("twilio/media", {"media": ["https://a.example/"] * 11}, "length"),
    ("twilio/quick-reply", {"body": "Come?", "actions": []}, "length"),
    ("twilio/quick-reply", {"body": "Come?", "actions": [{"id": "1"}]}, "title"),
    ("twilio/quick-reply", {"body": "Come?", "actions": REPLIES * 6}, "length"),
    ("twilio/call-to-action", {"body": "See", "actions": [{"type": "<b>", "title": "x"}]}, "actions[0].type"),
    ("twilio/call-to-action", {"body": "See", "actions": [{"type": "a`<b>'\n`'", "title": "x"}]}, "actions[0].type"),
    ("twilio/call-to-action", {"body": "See", "actions": [{"title": "x"}]}, "type"),
    ("twilio/list-picker", {"body": "Which?", "button": "Days", "items": []}, "items"),
    ("twilio/location", {"latitude": 1.5}, "longitude"),
    ("twilio/card", {"subtitle": "x"}, "title"),
    ("whatsapp/authentication", {"actions": [COPY, COPY]}, "length"),
    ("whatsapp/flows", {"body": "Book", "button_text": "Go"}, "flow_id"),
    ("telegram/text", {"body": "Hi"}, "twilio/text"),
]


@pytest.mark.parametrize(("name", "value", "told"), MISFITS)
def test_what_does_not_fit_is_said_without_words_of_theirs(name: str, value: Any, told: str) -> None:
    with pytest.raises(Rejected) as caught:
        read_types({name: value})
    assert caught.value.code == 20001
    assert told in caught.value.detail
    assert not any(theirs in caught.value.detail for theirs in ("telegram", "<b>"))


@pytest.mark.parametrize("nothing", [None, {}, [], "twilio/text", 1])
def test_a_content_has_types(nothing: Any) -> None:
    with pytest.raises(Rejected, match="types"):
        read_types(nothing)


@pytest.mark.parametrize(("value", "code"), [({"a": ["x\0"]}, 20001), ("\0", 20001), ({"a": {"\0": "x"}}, 20001)])
def test_nul_is_refused(value: Any, code: int) -> None:
    with pytest.raises(Rejected) as caught:
        tidied(value)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "given",
    [
        {"twilio/text": {"body": "A"}, "twilioText": {"body": "B"}},
        {"whatsapp/card": {"body": "A", "headerText": "B", "header_text": "C"}},
    ],
)
def test_nothing_is_said_twice_in_two_spellings(given: dict[str, Any]) -> None:
    with pytest.raises(Rejected) as caught:
        read_types(tidied(given))
    assert (caught.value.code, "twice" in caught.value.detail) == (20001, True)
    assert tidied({"headerText": None, "header_text": "C"}) == {"header_text": "C"}


def test_json_goes_so_deep_and_no_deeper() -> None:
    value: Any = "x"
    for _ in range(DEEPEST):
        value = [value]
    assert tidied(value) == value
    with pytest.raises(Rejected) as caught:
        tidied([value])
    assert caught.value.code == 20422


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from([*SHAPES, "twilioText", "x"]), JSON, max_size=3))
def test_whatever_comes_is_kept_or_refused(types: dict[str, Any]) -> None:
    kept: dict[str, dict[str, Any]] | Rejected
    try:
        kept = read_types(tidied(types))
    except Rejected as error:
        kept = error
    if isinstance(kept, Rejected):
        assert kept.code in (20001, 20422)
        return
    assert kept.keys() <= SHAPES.keys()
    assert json.dumps(kept)
    assert text_of(name := shown_type(kept), kept[name]) or media_of(kept[name])
