"""What a content says in a message: variables, what goes instead of what, and the values of WhatsApp templates."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.core.commands import LONGEST_BODY, SendMessage
from postdate.core.content import (
    LONGEST_VALUE,
    MOST_VARIABLES,
    filled,
    names_in,
    read_defaults,
    read_values,
    with_content,
)
from postdate.core.errors import Rejected
from postdate.core.instant import Instant
from postdate.core.message import Options, Template, TemplateButton
from postdate.core.resources import Approval, ApprovalStatus, Content

HX = "HX" + "1" * 32
SMS, WHATSAPP = "+14155550100", "whatsapp:+14155550100"
TEXT = {"twilio/text": {"body": "Hi {{1}}, see you at {{time}}"}}


def a_content(types: dict[str, Any], approved_as: str | None = None, **changes: Any) -> Content:
    approval = None
    if approved_as is not None:
        approval = Approval(
            name="reminder", category="UTILITY", content_type=approved_as, status=ApprovalStatus.APPROVED
        )
    fields: dict[str, Any] = {"language": "en_US", "variables": {"1": "there"}, "approval": approval, **changes}
    at = Instant(0)
    return Content(
        sid=HX, account_sid="AC", friendly_name="Reminder", types=types, created_at=at, updated_at=at, **fields
    )


def asked(variables: dict[str, str] | str | None = None, to: str = SMS, **more: Any) -> SendMessage:
    text = json.dumps(variables) if isinstance(variables, dict) else variables
    return SendMessage(recipient=to, options=Options(content_sid=HX, content_variables=text), **more)


def refusal(command: SendMessage, content: Content | None) -> Rejected:
    with pytest.raises(Rejected) as caught:
        with_content(command, content)
    return caught.value


# --- variables --------------------------------------------------------------------------------------------------------

FILLED: list[tuple[str, dict[str, str], str]] = [
    ("Hi {{1}}", {"1": "Ann"}, "Hi Ann"),
    ("{{ 1 }}{{1}}", {"1": "Ann"}, "AnnAnn"),
    ("{{first_name}}", {"first_name": "Ann", "1": "x"}, "Ann"),
    ("{{1}} {{2}}", {"1": "{{2}}", "2": "{{1}}"}, "{{2}} {{1}}"),
    ("{{1}}", {"1": r"\1 \g<0>"}, r"\1 \g<0>"),
    ("{{1}}", {"1": ""}, ""),
    ("{1} {{}} {{a-b}} {{{1}}}", {"1": "Ann"}, "{1} {{}} {{a-b}} {Ann}"),
]


@pytest.mark.parametrize(("text", "values", "said"), FILLED)
def test_variables_are_filled_in_once(text: str, values: dict[str, str], said: str) -> None:
    assert filled(text, values) == said


@given(st.lists(st.text(st.characters(exclude_characters="{}"), max_size=5), min_size=1), st.text(max_size=20))
def test_a_value_is_text_whatever_it_says(parts: list[str], value: str) -> None:
    assert filled("{{1}}".join(parts), {"1": value}) == value.join(parts)


def test_names_come_in_their_order_each_once() -> None:
    assert names_in("{{b}} {{2}} {{b}} {{ 1 }}") == ["b", "2", "1"]


def test_a_variable_left_out_has_the_contents_own_value() -> None:
    assert with_content(asked({"time": "3PM"}), a_content(TEXT)).body == "Hi there, see you at 3PM"
    assert with_content(asked({"time": "3PM", "1": "Ann"}), a_content(TEXT)).body == "Hi Ann, see you at 3PM"


def test_a_variable_without_any_value_is_refused_by_name() -> None:
    error = refusal(asked(), a_content(TEXT))
    assert error.code == 21656
    assert "'time'" in error.detail


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Ann", 21656),
        ("[]", 21656),
        ('{"1": 2}', 21656),
        ('{"1": null}', 21656),
        ('{"1": "\\u0000"}', 21656),
        ('{"1": "\\ud800"}', 21656),
        ("[" * 30_000, 21656),
        (json.dumps({"1": "x" * (LONGEST_BODY + 1)}), 21656),
        (json.dumps({str(n): "" for n in range(MOST_VARIABLES + 1)}), 92002),
    ],
)
def test_variables_that_are_none(text: str, code: int) -> None:
    assert refusal(asked(text), a_content(TEXT)).code == code


def test_as_many_variables_as_there_may_be() -> None:
    many = {str(n): "" for n in range(MOST_VARIABLES)}
    assert read_values(json.dumps(many)) == read_defaults(many) == many


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ([], 92007),
        ({"1": 2}, 92007),
        ({"a b": "x"}, 92007),
        ({"": "x"}, 92007),
        ({"1": "\0"}, 92007),
        ({"1": "x" * (LONGEST_BODY + 1)}, 92007),
        ({str(n): "" for n in range(MOST_VARIABLES + 1)}, 92002),
    ],
)
def test_values_that_a_content_cannot_have(given: object, code: int) -> None:
    with pytest.raises(Rejected) as caught:
        read_defaults(given)
    assert caught.value.code == code


# --- what goes --------------------------------------------------------------------------------------------------------


def test_a_content_that_is_not_there_is_named() -> None:
    error = refusal(asked(), None)
    assert error.code == 21655
    assert HX in error.detail


def test_the_content_stands_in_place_of_body_and_media() -> None:
    command = asked({"time": "3PM"}, body="Mine", media_urls=("https://b.example/",))
    made = with_content(command, a_content(TEXT))
    assert (made.body, made.media_urls) == ("Hi there, see you at 3PM", ())


def test_the_variables_as_given_are_not_kept() -> None:
    made = with_content(asked({"time": "3PM"}), a_content(TEXT))
    assert made.options == Options(content_sid=HX)


def test_media_have_variables_too_and_lose_what_stands_behind_a_hash() -> None:
    types = {"twilio/media": {"body": "{{1}}", "media": ["https://a.example/{{id}}.png#x", "https://a.example/2"]}}
    made = with_content(asked({"id": "7"}), a_content(types))
    assert (made.body, made.media_urls) == ("there", ("https://a.example/7.png", "https://a.example/2"))
    refused = refusal(asked({"id": "a b"}), a_content(types))
    assert refused.code == 21620
    assert refused.detail.startswith("A media URL of the content: The URL is empty or holds a blank")


def test_a_text_is_as_long_as_any_body() -> None:
    types = {"twilio/text": {"body": "{{1}}{{1}}"}}
    half = "x" * (LONGEST_BODY // 2)
    assert len(with_content(asked({"1": half}), a_content(types)).body) == LONGEST_BODY
    assert refusal(asked({"1": half + "x"}), a_content(types)).code == 21617


def test_a_message_says_something() -> None:
    media = {"twilio/media": {"body": "{{1}}", "media": ["https://a.example/1"]}}
    assert with_content(asked({"1": ""}), a_content(media)).media_urls == ("https://a.example/1",)
    assert refusal(asked({"1": ""}), a_content({"twilio/text": {"body": "{{1}}"}})).code == 21656
    code = {"whatsapp/authentication": {"actions": [{"type": "COPY_CODE", "copy_code_text": "Copy"}]}}
    assert refusal(asked({"1": ""}), a_content(code)).code == 21656


# --- templates --------------------------------------------------------------------------------------------------------

ACTIONS = [
    {"type": "URL", "title": "Open", "url": "https://a.example/{{1}}?x={{time}}"},
    {"type": "URL", "title": "Site", "url": "https://a.example/"},
    {"type": "PHONE_NUMBER", "title": "Call", "phone": "+14155550111"},
    {"type": "COPY_CODE", "title": "Copy", "code": "SALE{{time}}"},
    {"type": "QUICK_REPLY", "title": "Yes", "id": "yes-{{1}}"},
    {"type": "QUICK_REPLY", "title": "No"},
]
BUTTONS = (
    TemplateButton(0, "url", "there?x=3PM"),
    TemplateButton(3, "copy_code", "SALE3PM"),
    TemplateButton(4, "quick_reply", "yes-there"),
)
CARD = {"body": "{{time}}", "header_text": "Dear {{1}}, hello", "footer": "Clinic", "media": [], "actions": ACTIONS}
PICTURES = ["https://a.example/{{1}}.png", "https://a.example/2.png"]
TEMPLATES: dict[str, tuple[dict[str, Any], Template, str, tuple[str, ...]]] = {
    "twilio/text": (
        TEXT["twilio/text"],
        Template("reminder", "en_US", {"1": "there", "time": "3PM"}),
        "Hi there, see you at 3PM",
        (),
    ),
    "twilio/media": (
        {"body": "Look, {{1}}", "media": PICTURES},
        Template("reminder", "en_US", {"1": "there"}),
        "Look, there",
        ("https://a.example/there.png",),
    ),
    "twilio/quick-reply": (
        {"body": "Come?", "actions": [{"title": "Yes", "id": "yes"}]},
        Template("reminder", "en_US", buttons=(TemplateButton(0, "quick_reply", "yes"),)),
        "Come?",
        (),
    ),
    "twilio/call-to-action": (
        {"body": "{{time}}", "actions": ACTIONS},
        Template("reminder", "en_US", {"time": "3PM"}, buttons=BUTTONS),
        "3PM",
        (),
    ),
    "twilio/card": (
        {"title": "At {{time}}", "subtitle": "Clinic", "media": PICTURES},
        Template("reminder", "en_US", {"time": "3PM"}),
        "At 3PM\nClinic",
        ("https://a.example/there.png",),
    ),
    "whatsapp/card": (
        CARD,
        Template("reminder", "en_US", {"time": "3PM"}, {"1": "there"}, BUTTONS),
        "Dear there, hello\n3PM\nClinic",
        (),
    ),
    "whatsapp/authentication": (
        {"actions": [{"type": "COPY_CODE", "copy_code_text": "Copy"}]},
        Template("reminder", "en_US", {"1": "there"}, buttons=(TemplateButton(0, "url", "there"),)),
        "there",
        (),
    ),
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_an_approved_template_goes_to_whatsapp_with_its_values(name: str) -> None:
    value, template, body, media = TEMPLATES[name]
    types = {"twilio/text": {"body": "Fallback"}, name: value}
    made = with_content(asked({"time": "3PM"}, WHATSAPP), a_content(types, approved_as=name))
    assert made.options.template == template
    assert (made.body, made.media_urls) == (body, media)


@pytest.mark.parametrize("to", [SMS, "rcs:+14155550100", "messenger:7"])
def test_a_template_goes_nowhere_else(to: str) -> None:
    made = with_content(asked({"time": "3PM"}, to), a_content(TEXT, approved_as="twilio/text"))
    assert made.options.template is None
    assert made.body == "Hi there, see you at 3PM"


@pytest.mark.parametrize("status", set(ApprovalStatus) - {ApprovalStatus.APPROVED})
def test_what_is_not_approved_goes_as_text(status: ApprovalStatus) -> None:
    approval = Approval(name="reminder", category="UTILITY", content_type="twilio/quick-reply", status=status)
    types = {**TEXT, "twilio/quick-reply": {"body": "Come?", "actions": [{"title": "Yes"}]}}
    made = with_content(asked({"time": "3PM"}, WHATSAPP), a_content(types, approval=approval))
    assert made.options.template is None
    assert made.body == "Hi there, see you at 3PM"


PARTS: dict[str, dict[str, Any]] = {
    "body": {"body": "At {{v}}"},
    "header": {"body": "Hi", "header_text": "At {{v}}"},
    "url": {"body": "Hi", "actions": [{"type": "URL", "title": "Open", "url": "https://a.example/{{v}}"}]},
    "code": {"body": "Hi", "actions": [{"type": "COPY_CODE", "title": "Copy", "code": "{{v}}"}]},
    "reply": {"body": "Hi", "actions": [{"type": "QUICK_REPLY", "title": "Yes", "id": "{{v}}"}]},
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("value", ["", "3\nPM", "3\rPM", "3\tPM", "3     PM"])
def test_what_meta_takes_in_no_variable_is_told_now(part: str, value: str) -> None:
    content = a_content({"whatsapp/card": PARTS[part]}, approved_as="whatsapp/card")
    assert refusal(asked({"v": value}, WHATSAPP), content).code == 21656
    assert with_content(asked({"v": value}), content).options.template is None
    assert with_content(asked({"v": "3    PM"}, WHATSAPP), content).options.template is not None


@pytest.mark.parametrize("part", ["url", "code", "reply"])
def test_a_template_does_not_grow_without_a_limit(part: str) -> None:
    action = {name: text.replace("{{v}}", "{{v}}" * 4) for name, text in PARTS[part]["actions"][0].items()}
    content = a_content({"whatsapp/card": {**PARTS[part], "actions": [action]}}, approved_as="whatsapp/card")
    fourth = "x" * (LONGEST_VALUE // 4)
    assert with_content(asked({"v": fourth}, WHATSAPP), content).options.template is not None
    assert refusal(asked({"v": fourth + "x"}, WHATSAPP), content).code == 21656


def test_the_code_of_an_authentication_is_a_value_too() -> None:
    name = "whatsapp/authentication"
    content = a_content({name: {"actions": [{"type": "COPY_CODE", "copy_code_text": "Copy"}]}}, approved_as=name)
    assert refusal(asked({"1": "1\n2"}, WHATSAPP), content).code == 21656
