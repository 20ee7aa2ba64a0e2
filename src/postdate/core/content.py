"""What a content says in one message: its variables filled in, once, when the message is accepted. Pure.

A message keeps what was filled in, so an edit of its content changes nothing of what is scheduled. It always has a text
and media that any carrier can take; where the content has an approved WhatsApp template and goes to WhatsApp, it has
the template too, with its values.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from postdate.core.address import Channel
from postdate.core.callback import InvalidCallbackUrl, parse_callback_url
from postdate.core.commands import LONGEST_BODY, SendMessage
from postdate.core.content_types import (
    AUTHENTICATION,
    CARD,
    MEDIA,
    TEXT,
    WHATSAPP_CARD,
    media_of,
    shown_type,
    text_of,
)
from postdate.core.errors import Rejected
from postdate.core.message import Template, TemplateButton
from postdate.core.resources import ApprovalStatus, Content
from postdate.core.sender import channel_of

MOST_VARIABLES: Final = 100
LONGEST_VALUE: Final = 2_000  # characters of what a header or a button of a template is given

_VARIABLE: Final = re.compile(r"\{\{\s*([A-Za-z0-9_]{1,64})\s*\}\}")
_NAME: Final = re.compile(r"[A-Za-z0-9_]{1,64}")
_NOT_IN_TEMPLATES: Final = re.compile(
    r"[\n\r\t]| {5}"
)  # in a value, by Meta's rule: the words around it may have lines

# What of a type is the body of its template, the richest type first.
_TEMPLATED: Final = {
    AUTHENTICATION: "",
    WHATSAPP_CARD: "body",
    CARD: "title",
    "twilio/call-to-action": "body",
    "twilio/quick-reply": "body",
    MEDIA: "body",
    TEXT: "body",
}


def with_content(command: SendMessage, content: Content | None) -> SendMessage:
    """Return the command with what its content says, in place of its own text and media; raise Rejected if it cannot.

    The variables as they were given are not kept: their values are where they belong.
    """
    options = command.options
    if content is None:
        raise Rejected(21655, f"The ContentSid {options.content_sid} names no content of this account.")
    values = content.variables | read_values(options.content_variables)
    approval = content.approval if channel_of(command.recipient) is Channel.WHATSAPP else None
    template: Template | None = None
    name = shown_type(content.types)
    if approval is not None and approval.status is ApprovalStatus.APPROVED and approval.content_type in content.types:
        name = approval.content_type
        template = _template(approval.name, content, name, values)
    value = content.types[name]
    body = filled(text_of(name, value), values)
    if len(body) > LONGEST_BODY:
        raise Rejected(21617, f"With its variables the body has {len(body)} characters; it may have {LONGEST_BODY}.")
    media = tuple(_url(filled(url, values)) for url in media_of(value))
    if not body and not media:  # a content has words, so only its variables can leave none
        raise Rejected(21656, "With these ContentVariables the content says nothing: it has no text and no media.")
    return msgspec.structs.replace(
        command,
        body=body,
        media_urls=media[:1] if template is not None else media,  # a template's header holds one
        options=msgspec.structs.replace(options, content_variables=None, template=template),
    )


def _url(url: str) -> str:
    try:
        return parse_callback_url(url.partition("#")[0])
    except InvalidCallbackUrl as error:
        raise Rejected(21620, f"A media URL of the content: {error}") from None


# --- variables --------------------------------------------------------------------------------------------------------


def read_values(text: str | None) -> dict[str, str]:
    """Return ContentVariables; raise Rejected (21656) where they are no JSON object of strings, 92002 if too many."""
    if text is None:
        return {}
    try:
        values = msgspec.json.decode(text, type=dict[str, str])
    except (msgspec.DecodeError, UnicodeError):
        raise Rejected(21656, 'ContentVariables must be a JSON object of strings, such as {"1": "Ann"}.') from None
    if len(values) > MOST_VARIABLES:
        raise Rejected(92002)
    if any("\0" in value or len(value) > LONGEST_BODY for value in values.values()):
        raise Rejected(21656, f"A variable has at most {LONGEST_BODY:,} characters, none of them NUL (U+0000).")
    return values


def read_defaults(given: object) -> dict[str, str]:
    """Return the variables of a content, which are the values of those that a message leaves out; raise Rejected."""
    if not isinstance(given, dict):
        raise Rejected(92007)
    for name, value in given.items():
        if not _NAME.fullmatch(name) or not isinstance(value, str) or "\0" in value or len(value) > LONGEST_BODY:
            raise Rejected(92007)
    if len(given) > MOST_VARIABLES:
        raise Rejected(92002)
    return dict(given)


def names_in(text: str) -> list[str]:
    """Return the names of a text's variables, each once, in the order they stand in."""
    return list(dict.fromkeys(_VARIABLE.findall(text)))


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return a text with the values of its variables, taken as they are; raise Rejected where one is missing."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            raise Rejected(
                21656, f"The ContentVariables lack {found[1]!r}, for which the content has no value of its own."
            )
        return values[found[1]]

    return _VARIABLE.sub(value, text)


# --- templates --------------------------------------------------------------------------------------------------------


def template_type(types: Mapping[str, Any]) -> str:
    """Return which of a content's types its template is made of; raise Rejected where none can be sent as one."""
    for name in _TEMPLATED:
        if name in types:
            return name
    raise Rejected(20001, f"Templates are sent of these types only: {', '.join(_TEMPLATED)}.")


def _template(name: str, content: Content, type_name: str, values: Mapping[str, str]) -> Template:
    value = content.types[type_name]
    if type_name == AUTHENTICATION:
        code = _given(filled(text_of(type_name, value), values))
        return Template(name, content.language, {"1": code}, buttons=(TemplateButton(0, "url", code),))
    return Template(
        name,
        content.language,
        _values_in(str(value.get(_TEMPLATED[type_name], "")), values),
        _values_in(str(value.get("header_text", "")), values),
        _buttons(value.get("actions", []), values),
    )


def _values_in(text: str, values: Mapping[str, str]) -> dict[str, str]:
    """Return the values of a text's variables by their names, in the order they stand in."""
    return {name: _given(filled(f"{{{{{name}}}}}", values)) for name in names_in(text)}


def _given(value: str) -> str:
    """Return what a template is given; raise Rejected where Meta would refuse it, for it is known here days before."""
    if not value:
        raise Rejected(21656, "A WhatsApp template takes no empty variable: each of them needs a value.")
    if _NOT_IN_TEMPLATES.search(value):
        raise Rejected(
            21656, "A variable of a WhatsApp template holds no new line, no tab and no five blanks in a row."
        )
    if len(value) > LONGEST_VALUE:
        raise Rejected(21656, f"A part of the WhatsApp template has {len(value):,} characters, not {LONGEST_VALUE:,}.")
    return value


def _suffix(url: str, values: Mapping[str, str]) -> str | None:
    """Return what stands from a link's first variable on, filled in; None where it has none. Meta knows the rest."""
    found = _VARIABLE.search(url)
    return filled(url[found.start() :], values) if found is not None else None


def _buttons(actions: list[dict[str, Any]], values: Mapping[str, str]) -> tuple[TemplateButton, ...]:
    """Return what the buttons of a template are given; those that are the same for all are Meta's alone."""
    given = [_button(index, action, values) for index, action in enumerate(actions)]
    return tuple(button for button in given if button is not None)


def _button(index: int, action: Mapping[str, Any], values: Mapping[str, str]) -> TemplateButton | None:
    match action.get("type", "QUICK_REPLY"):
        case "URL":
            suffix = _suffix(action.get("url", ""), values)
            return TemplateButton(index, "url", _given(suffix)) if suffix is not None else None
        case "COPY_CODE" if action.get("code"):
            return TemplateButton(index, "copy_code", _given(filled(action["code"], values)))
        case "QUICK_REPLY" if action.get("id"):
            return TemplateButton(index, "quick_reply", _given(filled(action["id"], values)))
        case _:
            return None
