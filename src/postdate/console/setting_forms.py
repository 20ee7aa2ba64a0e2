"""Forms for the settings of a connection, made from what its kind says of them, and read back into the API's JSON.

A field is named `Settings.` and the setting. A secret is never in a page: the form says whether it is set, and left
empty it stays as it is. What is empty, or the same as the default, is taken out of the settings, so that they hold what
somebody chose and nothing else.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec.inspect import (
    BoolType,
    DictType,
    EnumType,
    FloatType,
    IntType,
    ListType,
    LiteralType,
    Metadata,
    NoneType,
    StrType,
    StructType,
    UnionType,
    VarTupleType,
)

from postdate.connectors.kinds import Kind, SettingField, setting_fields
from postdate.console.carrier_words import description_of
from postdate.console.view import View
from postdate.core.errors import Rejected

PREFIX: Final = "Settings."
_LONG: Final = 4_096  # what may be longer has several lines
_NUMBER = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,6})?")
_NAMED = re.compile(r"Settings: .*(?:`\$\.|field `)(\w+)", re.S)
_LINES: Final = frozenset({"private_key"})  # secrets of several lines, which a password field would join
# What one fills in at a kind with very many settings; the rest of them stands below.
_USUAL: Final[Mapping[str, frozenset[str]]] = {
    "smpp": frozenset({"host", "port", "system_id", "password", "system_type", "tls", "bind"}),
    "generic": frozenset({"url", "method", "headers", "body", "body_type", "user", "password", "token", "id_pointer"}),
}


class Shape(StrEnum):
    """How a setting is filled in."""

    TEXT = "text"
    LONG = "long"
    NUMBER = "number"
    FLAG = "flag"
    CHOICE = "choice"
    JSON = "json"
    SECRET = "secret"
    SECRET_LINES = "secret_lines"


@dataclass(frozen=True, slots=True)
class SettingInput:
    """One field of the form. `value` is never a secret; `default` is what holds where it is left empty."""

    name: str
    field: str
    says: str
    shape: Shape
    required: bool
    choices: tuple[str, ...]
    value: str
    on: bool
    is_set: bool
    default: str
    usual: bool

    @property
    def options(self) -> list[tuple[str, str]]:
        """Return the choices as pairs; none may be chosen where there need not be one."""
        none = [] if self.required or self.default else [("", "–")]
        return [*none, *((one, one) for one in self.choices)]


def setting_inputs(language: str, kind: Kind, now: Mapping[str, Any]) -> list[SettingInput]:
    """Return the fields for a kind, filled in with the settings as they are `now`, secrets as anything but null."""
    info = msgspec.inspect.type_info(kind.settings)
    assert isinstance(info, StructType)
    types = {field.encode_name: field.type for field in info.fields}
    return [_input(language, kind, field, types[field.name], now.get(field.name)) for field in setting_fields(kind)]


def _input(language: str, kind: Kind, field: SettingField, of: msgspec.inspect.Type, now: Any) -> SettingInput:
    shape, choices = _shape(of)
    if field.secret:
        shape = Shape.SECRET_LINES if field.name in _LINES else Shape.SECRET
    default = msgspec.json.decode(field.default) if field.default is not None else None
    shown = now if now is not None else default
    return SettingInput(
        name=field.name,
        field=PREFIX + field.name,
        says=description_of(language, kind, field),
        shape=shape,
        required=field.default is None,
        choices=choices,
        value=_written(shape, now if shape not in (Shape.CHOICE, Shape.FLAG) else shown),
        on=shown is True,
        is_set=now is not None,
        default=_written(shape, default),
        usual=_is_usual(kind, field),
    )


def _is_usual(kind: Kind, field: SettingField) -> bool:
    if kind.name in _USUAL:
        return field.name in _USUAL[kind.name]
    return field.secret or field.default in (None, "null") or field.name == "region"


def _shape(of: msgspec.inspect.Type) -> tuple[Shape, tuple[str, ...]]:
    match _inner(of):
        case BoolType():
            return Shape.FLAG, ()
        case IntType() | FloatType():
            return Shape.NUMBER, ()
        case LiteralType(values=values):
            return Shape.CHOICE, tuple(map(str, values))
        case EnumType(cls=cls):
            return Shape.CHOICE, tuple(str(one.value) for one in cls)
        case DictType() | ListType() | VarTupleType():
            return Shape.JSON, ()
        case StrType(max_length=int(longest)) if longest > _LONG:
            return Shape.LONG, ()
        case _:
            return Shape.TEXT, ()


def _inner(of: msgspec.inspect.Type) -> msgspec.inspect.Type:
    """Return the type without its description, and without null; a union of several stays as it is."""
    match of:
        case Metadata(type=inner):
            return _inner(inner)
        case UnionType(types=types):
            some = [one for one in types if not isinstance(one, NoneType)]
            return _inner(some[0]) if len(some) == 1 else of
        case _:
            return of


def _written(shape: Shape, value: Any) -> str:
    """Return a value as a person edits it."""
    if value is None or shape in (Shape.SECRET, Shape.SECRET_LINES, Shape.FLAG):
        return ""
    if shape is Shape.JSON:
        return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() if value else ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def refused_setting(trouble: Rejected | None, inputs: Sequence[SettingInput]) -> SettingInput | None:
    """Return the setting that the API's words name as the one that cannot be used; None where they name none."""
    found = _NAMED.search(trouble.detail) if trouble is not None else None
    return next((one for one in inputs if found is not None and one.name == found[1]), None)


# -- reading -----------------------------------------------------------------------------------------------------------


def read_setting_form(view: View, kind: Kind) -> str:
    """Return the form's settings as the JSON that the API takes; raise Rejected (20001) where one is no JSON."""
    given: dict[str, Any] = {}
    defaults = {field.name: field.default for field in setting_fields(kind)}
    for one in setting_inputs(view.language, kind, {}):
        if one.shape in (Shape.SECRET, Shape.SECRET_LINES):
            _read_secret(view, one, given)
        elif one.field in view.form:
            value = _value(view, one)
            default = defaults[one.name]
            is_default = default is not None and value == msgspec.json.decode(default)
            given[one.name] = None if is_default else value
    return msgspec.json.encode(given).decode()


def _read_secret(view: View, one: SettingInput, given: dict[str, Any]) -> None:
    text = view.form.text(one.field)
    if text is not None:
        given[one.name] = text.replace("\r\n", "\n")
    elif view.form.flag(f"{one.field}.clear"):
        given[one.name] = None


def _value(view: View, one: SettingInput) -> Any:
    text = (view.form.one(one.field) or "").replace("\r\n", "\n")
    match one.shape:
        case Shape.FLAG:
            return text == "true"
        case Shape.NUMBER if _NUMBER.fullmatch(text.strip()):
            return msgspec.json.decode(text.strip().lstrip("0") or "0") if "." not in text else float(text)
        case Shape.JSON if text.strip():
            return _json(view, one, text)
        case Shape.LONG:
            return text or None
        case _:
            return text.strip() or None


def _json(view: View, one: SettingInput, text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        raise Rejected(20001, view.t("connections.not_json", name=one.name)) from None
