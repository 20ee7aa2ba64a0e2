"""The types of a content: their names, the shape of each, and what a plain message shows of it.

A content is kept as it was sent, once it fits. Twilio's clients spell the same thing in three ways: `twilio/text`,
`twilioText` with `friendlyName`, and everything that has no value as null; all three are read as the first one.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from postdate.core.commands import LONGEST_BODY, MOST_MEDIA
from postdate.core.errors import Rejected

MOST_BUTTONS: Final = 10
MOST_ITEMS: Final = 10
DEEPEST: Final = 10  # objects and lists in one another, of a whole request

TEXT: Final = "twilio/text"
MEDIA: Final = "twilio/media"
CARD: Final = "twilio/card"
WHATSAPP_CARD: Final = "whatsapp/card"
AUTHENTICATION: Final = "whatsapp/authentication"

_CODE_ALONE: Final = "{{1}}"  # an authentication template's text is WhatsApp's own: elsewhere the code goes alone

_Body = Annotated[str, Meta(min_length=1, max_length=LONGEST_BODY)]
_Line = Annotated[str, Meta(max_length=256)]
_Title = Annotated[str, Meta(min_length=1, max_length=256)]
_Url = Annotated[str, Meta(max_length=4_000)]
_Media = Annotated[list[Annotated[str, Meta(min_length=1, max_length=4_000)]], Meta(max_length=MOST_MEDIA)]


class _Reply(msgspec.Struct):
    title: _Title
    id: _Line = ""


class _Action(msgspec.Struct):
    type: Literal["URL", "PHONE_NUMBER", "QUICK_REPLY", "COPY_CODE", "VOICE_CALL", "VOICE_CALL_REQUEST"]
    title: _Title
    url: _Url = ""
    phone: _Line = ""
    code: _Line = ""
    id: _Line = ""


_Actions = Annotated[list[_Action], Meta(max_length=MOST_BUTTONS)]


class _Item(msgspec.Struct):
    id: _Line
    item: _Title
    description: _Line = ""


class _CarouselCard(msgspec.Struct):
    body: _Body
    media: _Url
    actions: _Actions


class _CopyCode(msgspec.Struct):
    type: Literal["COPY_CODE"]
    copy_code_text: _Title


class _Text(msgspec.Struct):
    body: _Body


class _TextAndMedia(msgspec.Struct):
    media: Annotated[_Media, Meta(min_length=1)]
    body: Annotated[str, Meta(max_length=LONGEST_BODY)] = ""


class _Location(msgspec.Struct):
    latitude: float
    longitude: float
    label: _Line = ""
    address: _Line = ""


class _ListPicker(msgspec.Struct):
    body: _Body
    button: _Title
    items: Annotated[list[_Item], Meta(min_length=1, max_length=MOST_ITEMS)]


class _CallToAction(msgspec.Struct):
    body: _Body
    actions: Annotated[_Actions, Meta(min_length=1)]


class _QuickReply(msgspec.Struct):
    body: _Body
    actions: Annotated[list[_Reply], Meta(min_length=1, max_length=MOST_BUTTONS)]


class _Card(msgspec.Struct):
    title: _Body
    subtitle: _Line = ""
    media: _Media = []
    actions: _Actions = []


class _Catalog(msgspec.Struct):
    body: _Body
    title: _Line = ""
    subtitle: _Line = ""


class _Carousel(msgspec.Struct):
    body: _Body
    cards: Annotated[list[_CarouselCard], Meta(min_length=1, max_length=MOST_ITEMS)]


class _Flows(msgspec.Struct):
    body: _Body
    button_text: _Title
    pages: list[dict[str, Any]]
    type: _Line


class _Schedule(msgspec.Struct):
    id: _Line
    title: _Title
    timeSlots: str  # Twilio's own spelling


class _WhatsAppCard(msgspec.Struct):
    body: _Body
    header_text: _Line = ""
    footer: _Line = ""
    media: _Media = []
    actions: _Actions = []


class _Authentication(msgspec.Struct):
    actions: Annotated[list[_CopyCode], Meta(min_length=1, max_length=1)]
    add_security_recommendation: bool = False
    code_expiration_minutes: float | None = None


class _WhatsAppFlows(msgspec.Struct):
    body: _Body
    button_text: _Title
    flow_id: _Line


SHAPES: Final[Mapping[str, type[msgspec.Struct]]] = MappingProxyType(
    {
        TEXT: _Text,
        MEDIA: _TextAndMedia,
        "twilio/location": _Location,
        "twilio/list-picker": _ListPicker,
        "twilio/call-to-action": _CallToAction,
        "twilio/quick-reply": _QuickReply,
        CARD: _Card,
        "twilio/catalog": _Catalog,
        "twilio/carousel": _Carousel,
        "twilio/flows": _Flows,
        "twilio/schedule": _Schedule,
        WHATSAPP_CARD: _WhatsAppCard,
        AUTHENTICATION: _Authentication,
        "whatsapp/flows": _WhatsAppFlows,
    }
)

# --- what is read -----------------------------------------------------------------------------------------------------

_HUMP: Final = re.compile(r"(?<=[a-z0-9])([A-Z])")
_AS_THEY_ARE: Final = frozenset({"timeSlots"})


def _plain_name(text: str) -> str:
    return re.sub("[^a-z]", "", text.lower())


_BY_PLAIN_NAME: Final = {_plain_name(name): name for name in SHAPES}


def tidied(value: Any, depth: int = 0) -> Any:
    """Return what JSON says, its names in snake_case, without nulls; raise Rejected where it is too deep (20422)."""
    if depth > DEEPEST:
        raise Rejected(20422, f"The JSON has objects and lists in one another, more than {DEEPEST} deep.")
    if isinstance(value, dict):
        return _tidied_object(value, depth)
    if isinstance(value, list):
        return [tidied(one, depth + 1) for one in value if one is not None]
    if isinstance(value, str):
        _check_text(value)
    return value


def _tidied_object(value: dict[str, Any], depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for spelled, one in value.items():
        if one is None:
            continue
        _check_text(spelled)
        _add(found, _snake(spelled), tidied(one, depth + 1))
    return found


def _check_text(text: str) -> None:
    if "\0" in text:
        raise Rejected(20001, "A text has a NUL character (U+0000), which no handset can show: remove it.")


def _add(found: dict[str, Any], name: str, value: Any) -> None:
    """Keep a value; raise Rejected (20001) where it came before, or one of two would be lost without a word."""
    if name in found:
        raise Rejected(20001, "The JSON says one thing twice, in two spellings of its name: leave one of them out.")
    found[name] = value


def _snake(name: str) -> str:
    return name if name in _AS_THEY_ARE else _HUMP.sub(lambda hump: f"_{hump[1].lower()}", name)


def read_types(given: object) -> dict[str, dict[str, Any]]:
    """Return the types of a content as they are kept; raise Rejected (20001) saying what of which does not fit."""
    if not isinstance(given, dict) or not given:
        raise Rejected(20001, 'A content needs types, such as {"twilio/text": {"body": "See you at {{1}}"}}.')
    types: dict[str, dict[str, Any]] = {}
    for spelled, value in given.items():
        name = _BY_PLAIN_NAME.get(_plain_name(spelled))
        if name is None:
            raise Rejected(20001, f"A content has other types than these: {', '.join(SHAPES)}.")
        try:
            msgspec.convert(value, SHAPES[name])
        except msgspec.ValidationError as error:
            # A value of theirs stands between the first quote and the last; where it stands in the JSON has none.
            fault = re.sub(r"""(?s)['"].*['"]""", "(this one)", str(error))
            raise Rejected(20001, f"The type {name} does not fit: {fault}.") from None
        _add(types, name, value)
    return types


# --- what a plain message shows ---------------------------------------------------------------------------------------

_SHOWN: Final = {
    CARD: ("title", "subtitle"),
    "twilio/catalog": ("title", "body", "subtitle"),
    "twilio/location": ("label", "address"),
    "twilio/schedule": ("title",),
    WHATSAPP_CARD: ("header_text", "body", "footer"),
}


def shown_type(types: Mapping[str, Mapping[str, Any]]) -> str:
    """Return which of a content's types a plain message shows: media, else text, else the first one."""
    return next((name for name in (MEDIA, TEXT) if name in types), next(iter(types)))


def text_of(name: str, value: Mapping[str, Any]) -> str:
    """Return the text of a type, with its variables; without its buttons, which a plain message has none of."""
    if name == AUTHENTICATION:
        return _CODE_ALONE
    lines = [str(value[field]) for field in _SHOWN.get(name, ("body",)) if value.get(field)]
    if name == "twilio/location":
        lines.append(f"{value['latitude']},{value['longitude']}")
    return "\n".join(lines)


def media_of(value: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the URLs of a type's media, with their variables."""
    media = value.get("media")
    return tuple(media) if isinstance(media, list) else ()
