"""A tiny language of templates: `{name}` and `{name|filter}`, and nothing else.

A template is cut into pieces once, when it is set up, and only filled after that: a value is never read as a template.
Every value is written in the way of the place where it stands (`url`, `form`, `json`, `xml`), unless the template says
another; so a message's body cannot leave its place. Braces that hold no name are text, as JSON has them.
"""

import base64
import json
import re
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

Filter = Callable[[str], str]

_PLACE: Final = re.compile(r"\{([a-z_]+)((?:\|[a-z0-9_]+)*)\}")
_PLUS_AND_DIGITS: Final = re.compile(r"\+[0-9]+")
_NOT_IN_XML: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_QUOTES: Final = {'"': "&quot;", "'": "&apos;"}


def _digits(value: str) -> str:
    return value[1:] if _PLUS_AND_DIGITS.fullmatch(value) else value


def _raw(value: str) -> str:
    return value


def _xml(value: str) -> str:
    return escape(_NOT_IN_XML.sub("", value), _QUOTES)


# How a value is written where it stands; one of these, once, at the end.
WAYS: Final[Mapping[str, Filter]] = MappingProxyType(
    {
        "url": lambda value: quote(value, safe=""),
        "form": quote_plus,
        "json": lambda value: json.dumps(value, ensure_ascii=False)[1:-1],
        "xml": _xml,
        "base64": lambda value: base64.b64encode(value.encode()).decode(),
        "raw": _raw,
    }
)
# What is made of a value before it is written.
CHANGES: Final[Mapping[str, Filter]] = MappingProxyType(
    {
        "digits": _digits,
        "utf16hex": lambda value: value.encode("utf-16-be").hex(),
    }
)


class Template:
    """A text with places for values, and `names`, the values that it asks for."""

    def __init__(self, text: str, known: Collection[str], way: str) -> None:
        """Read a template whose values are written the `way` of its place; ValueError says what is wrong with it."""
        self._pieces: list[str | tuple[str, tuple[Filter, ...]]] = []
        self.names: set[str] = set()
        end = 0
        for found in _PLACE.finditer(text):
            name, filters = found[1], found[2].split("|")[1:]
            if name not in known:
                raise ValueError(f"{{{name}}} is not known; known are {', '.join(f'{{{one}}}' for one in known)}")
            self.names.add(name)
            self._pieces += [text[end : found.start()], (name, _filters(filters, way))]
            end = found.end()
        self._pieces.append(text[end:])

    def fill(self, values: Mapping[str, str]) -> str:
        """Return the text with its values; UnicodeEncodeError where one holds half a surrogate pair."""
        return "".join(piece if isinstance(piece, str) else _value(piece, values) for piece in self._pieces)


def _value(piece: tuple[str, tuple[Filter, ...]], values: Mapping[str, str]) -> str:
    name, filters = piece
    value = values[name]
    for one in filters:
        value = one(value)
    return value


def _filters(names: list[str], way: str) -> tuple[Filter, ...]:
    changes, written = names, way
    if names and names[-1] in WAYS:
        changes, written = names[:-1], names[-1]
    for name in changes:
        if name not in CHANGES:
            where = "must come last, once" if name in WAYS else "is not known"
            raise ValueError(f"|{name} {where}; known are {', '.join(f'|{one}' for one in (*CHANGES, *WAYS))}")
    return (*(CHANGES[name] for name in changes), WAYS[written])
