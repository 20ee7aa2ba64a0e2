"""The words of the console, by language: one TOML file for each screen, `messages/<language>/<screen>.toml`.

A key is the name of its file and its place in it, joined by dots. A value is a text with `{names}` to fill in, or a
table of plural forms (`one`, `other`) that the value of `count` chooses from.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from postdate.core.errors import MEANINGS

LANGUAGES = MappingProxyType({"en": "English", "ja": "日本語"})
DEFAULT = "en"
_MOST_PREFERENCES = 10
_FORMS = {"one", "other"}

Text = str | Mapping[str, str]


@cache
def catalogue(language: str) -> Mapping[str, Text]:
    """Return every text of a language by its key."""
    found: dict[str, Text] = {}
    for file in (files("postdate.console") / "messages" / language).iterdir():
        if file.name.endswith(".toml"):
            _add(found, file.name.removesuffix(".toml"), tomllib.loads(file.read_text(encoding="utf-8")))
    return MappingProxyType(found)


def _add(found: dict[str, Text], place: str, value: Any) -> None:
    if isinstance(value, str) or ("other" in value and set(value) <= _FORMS):
        found[place] = value
        return
    for name, inner in value.items():
        _add(found, f"{place}.{name}", inner)


def translate(language: str, key: str, **values: object) -> str:
    """Return the text at `key`, with values filled in; KeyError where no catalogue has it."""
    text = catalogue(language).get(key)
    if text is None:
        text = catalogue(DEFAULT)[key]
    if not isinstance(text, str):
        text = text["one" if values.get("count") == 1 and "one" in text else "other"]
    return text.format_map({name: _number(value) for name, value in values.items()})


def say(language: str, key: str, values: Mapping[str, str | int]) -> str:
    """Return the text that a browser's note names; an empty one where key and values are none of ours."""
    if not knows(key) or not {"language", "key"}.isdisjoint(values):
        return ""
    try:
        return translate(language, key, **values)
    except (LookupError, ValueError):
        return ""


def knows(key: str) -> bool:
    """Say whether there is a text at `key`."""
    return key in catalogue(DEFAULT)


def explain(language: str, code: int) -> str:
    """Return what an error code means and what to do about it; an empty text for a code that is not ours."""
    text = catalogue(language).get(f"errors.{code}")
    if isinstance(text, str):
        return text
    return MEANINGS[code].sentence if code in MEANINGS else ""


def describe(language: str, setting: str, otherwise: str) -> str:
    """Return what a setting is for; `otherwise` is what the settings themselves say, in English."""
    text = catalogue(language).get(f"setting_words.{setting}")
    return text if isinstance(text, str) else otherwise


def _number(value: object) -> object:
    """Return a whole number with its thousands apart; years and codes are given as text."""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value


def preferred(header: str) -> str:
    """Return the language that an Accept-Language header likes best of those there are."""
    best, weight = DEFAULT, 0.0
    for part in header.split(",")[:_MOST_PREFERENCES]:
        tag, _, rest = part.strip().partition(";")
        language = tag.partition("-")[0].lower()
        given = _weight(rest)
        if language in LANGUAGES and given > weight:
            best, weight = language, given
    return best


def _weight(text: str) -> float:
    value = text.strip().removeprefix("q=")
    if not value:
        return 1.0
    try:
        return float(value) if len(value) <= 5 else 0.0
    except ValueError:
        return 0.0
