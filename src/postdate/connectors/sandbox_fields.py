"""How an object of a sandbox script is read, field by field, so that whatever is wrong is said with its place. Pure.

`null` is the same as absent. Lengths of time are whole microseconds, a span (`250ms`) or a range (`500ms..2s`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from postdate.core.instant import Instant, InvalidDuration, parse_span

_STEPS: Final = 32
_ATTEMPTS: Final = re.compile(r"([0-9]{1,9})(?:(\.\.)([0-9]{1,9})?)?")

Choice = TypeVar("Choice", bound=StrEnum)


class InvalidScript(ValueError):
    """A script that cannot be followed; its message says where, what was received and what is expected."""


class Unfit(InvalidScript):
    """Fields that do not go together; whoever reads a script puts the place before it."""


@dataclass(frozen=True, slots=True)
class Between:
    """A length of time that is drawn anew each time, in microseconds, both ends inclusive."""

    least: int
    most: int

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.most:
            raise InvalidScript(f"{self.least}..{self.most} is no range of time; write the shorter end first.")

    @classmethod
    def parse(cls, written: object) -> "Between":
        """Read whole microseconds, a span (`250ms`) or two (`500ms..2s`); raise InvalidScript."""
        if isinstance(written, int) and not isinstance(written, bool):
            written = f"{written}us"
        if not isinstance(written, str):
            raise InvalidScript(f"{shown(written)} is no length of time; write 250ms, 500ms..2s or microseconds.")
        least, dots, most = written.partition("..")
        try:
            shorter = parse_span(least.strip())
            return cls(shorter, parse_span(most.strip()) if dots else shorter)
        except InvalidDuration as wrong:
            raise InvalidScript(str(wrong)) from None

    def length(self, start: Instant, chance: float) -> int:
        """Return how long a wait from `start` is, by `chance` in [0, 1). It ends on a grid: many end together."""
        width = self.most - self.least
        drawn = self.least + int((width + 1) * chance)
        grain = width // _STEPS
        if grain < 2:
            return drawn
        down = drawn - (start + drawn) % grain
        return down if down >= self.least else down + grain


class Fields:
    """One object of a script while it is read; null is the same as absent, and `end` refuses what nobody asked for."""

    def __init__(self, written: object, place: str) -> None:
        if not isinstance(written, Mapping):
            raise InvalidScript(f"{place} is {shown(written)}; write an object such as {{}}.")
        self._left = dict(written)
        self._place = place
        self._known: list[str] = []

    def wrong(self, name: str, value: object, expected: str) -> InvalidScript:
        """Return the complaint about one field."""
        return InvalidScript(f"{self._place}: {name} is {shown(value)}; {expected}.")

    def take(self, name: str) -> object:
        """Return a field as it is, None where it is absent."""
        self._known.append(name)
        return self._left.pop(name, None)

    def text(self, name: str, otherwise: str) -> str:
        """Return a text."""
        value = self.take(name)
        if value is None:
            return otherwise
        if not isinstance(value, str):
            raise self.wrong(name, value, "write a text")
        return value

    def flag(self, name: str, otherwise: bool) -> bool:
        """Return true or false."""
        value = self.take(name)
        if value is None:
            return otherwise
        if not isinstance(value, bool):
            raise self.wrong(name, value, "write true or false")
        return value

    def number(self, name: str) -> int | None:
        """Return a whole number, None where it is absent."""
        value = self.take(name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise self.wrong(name, value, "write a whole number")
        return value

    def whole(self, name: str, otherwise: int) -> int:
        """Return a whole number."""
        value = self.number(name)
        return otherwise if value is None else value

    def share(self, name: str) -> float:
        """Return a number, 1 where it is absent."""
        value = self.take(name)
        if value is None:
            return 1.0
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self.wrong(name, value, "write a number from 0 to 1")
        return value

    def one_of(self, name: str, otherwise: Choice) -> Choice:
        """Return one of the words that `otherwise` is of."""
        value = self.take(name)
        if value is None:
            return otherwise
        for word in type(otherwise):
            if word == value:
                return word
        raise self.wrong(name, value, f"write one of {', '.join(type(otherwise))}")

    def between(self, name: str) -> Between | None:
        """Return a length of time or a range, None where it is absent."""
        value = self.take(name)
        try:
            return None if value is None else Between.parse(value)
        except InvalidScript as wrong:
            raise InvalidScript(f"{self._place}: {name}: {wrong}") from None

    def span(self, name: str) -> int | None:
        """Return one length of time in microseconds, None where it is absent."""
        between = self.between(name)
        if between is not None and between.least < between.most:
            raise InvalidScript(f"{self._place}: {name} is a range; write one length of time, such as 2s.")
        return None if between is None else between.least

    def attempts(self) -> tuple[int, int | None]:
        """Return the first and the last attempt that `attempt` means; no last one where it is open."""
        value = self.take("attempt")
        if value is None:
            return 1, None
        if isinstance(value, int) and not isinstance(value, bool):
            return value, value
        found = _ATTEMPTS.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            raise self.wrong("attempt", value, "write 1 for the first, 1..2 for the first two, 3.. from the third on")
        first, dots, last = found.groups()
        return int(first), int(last) if last else None if dots else int(first)

    def end(self) -> None:
        """Refuse the fields that nobody asked for."""
        for name in self._left:
            raise InvalidScript(f"{self._place} has no {shown(name)}; it has {', '.join(self._known)}.")


def shown(written: object) -> str:
    """Return what was written, cut to a length that fits a message."""
    text = repr(written)
    return text if len(text) <= 64 else text[:61] + "..."
