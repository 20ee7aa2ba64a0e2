"""What becomes of a text when it is sent: encoding and parts, what costs it the short alphabet, what is replaced."""

import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from postdate.core import gsm7
from postdate.core.segment import Encoding, segment
from postdate.core.smart_encoding import REPLACEMENTS

_ALONE = {Encoding.GSM7: 160, Encoding.UCS2: 70}
_PART = {Encoding.GSM7: 153, Encoding.UCS2: 67}
_MOST_NAMED = 12
_FEW = 3  # foreign characters are few where they are at most one in so many


class Character(NamedTuple):
    """A character of a text: `shown` is itself where a screen can show it, and how often it is there."""

    shown: str
    code: str
    number: int
    becomes: str = ""


@dataclass(frozen=True, slots=True)
class TextLook:
    """A text as it is sent. `left`: septets or UTF-16 units that the last part still has room for."""

    parts: tuple[str, ...]
    encoding: Encoding
    characters: int
    left: int
    foreign: tuple[Character, ...]  # those that GSM-7 does not have, the first of them
    more_foreign: int
    foreign_stand_out: bool  # they are few among others: not a text in another script
    replaced: tuple[Character, ...]  # what smart encoding replaces, the first of them
    more_replaced: int
    before: int  # parts without smart encoding

    @property
    def is_plain(self) -> bool:
        """Say whether the short alphabet is enough."""
        return self.encoding is Encoding.GSM7


def look_at(body: str, smart: bool) -> TextLook:
    """Return how a text is sent, with smart encoding or without."""
    cut = segment(body, smart)
    sent = "".join(cut.segments)
    used = gsm7.units(cut.segments[-1]) if cut.encoding is Encoding.GSM7 else _utf16_units(cut.segments[-1])
    room = _ALONE if cut.count == 1 else _PART
    foreign = Counter(one for one in sent if not gsm7.is_gsm7(one))
    replaced = Counter(one for one in body if ord(one) in REPLACEMENTS) if smart else Counter[str]()
    return TextLook(
        parts=cut.segments,
        encoding=cut.encoding,
        characters=cut.characters,
        left=room[cut.encoding] - used,
        foreign=_named(foreign),
        more_foreign=max(len(foreign) - _MOST_NAMED, 0),
        foreign_stand_out=foreign.total() * _FEW <= len(sent),
        replaced=_named(replaced),
        more_replaced=max(len(replaced) - _MOST_NAMED, 0),
        before=segment(body).count if replaced else cut.count,
    )


def _named(characters: Counter[str]) -> tuple[Character, ...]:
    return tuple(
        Character(_shown(one), f"U+{ord(one):04X}", number, REPLACEMENTS.get(ord(one), ""))
        for one, number in list(characters.items())[:_MOST_NAMED]
    )


def _shown(character: str) -> str:
    """Return a character, or nothing where alone it would not be seen: blanks, marks, controls."""
    return character if unicodedata.category(character)[0] in "LNPS" else ""


def _utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
