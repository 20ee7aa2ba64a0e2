"""What is said of kinds of connections and of their settings: in English by their code, in other languages from here.

`messages/<language>/carrier_words.toml` has a table for each kind, and `any` for settings that several kinds share.
What a catalogue lacks is said in English.
"""

from postdate.connectors.kinds import Kind, SettingField
from postdate.console.languages import catalogue

_FILE = "carrier_words"


def title_of(language: str, kind: Kind) -> str:
    """Return the name of a kind of connection."""
    return _text(language, f"{kind.name}._title", kind.title)


def checked_of(language: str, kind: Kind) -> str:
    """Return what the shapes of a kind were held against."""
    return _text(language, f"{kind.name}._checked", kind.checked)


def description_of(language: str, kind: Kind, field: SettingField) -> str:
    """Return what a setting of a kind is."""
    shared = _text(language, f"any.{field.name}", field.description)
    return _text(language, f"{kind.name}.{field.name}", shared)


def _text(language: str, key: str, otherwise: str) -> str:
    text = catalogue(language).get(f"{_FILE}.{key}")
    return text if isinstance(text, str) else otherwise
