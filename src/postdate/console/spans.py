"""Lengths of time as people say them: about so many of a unit that suits."""

from collections.abc import Callable

from postdate.core.instant import DAY, HOUR, MILLISECOND, MINUTE, SECOND

Translate = Callable[..., str]

_UNITS = (("day", DAY), ("hour", HOUR), ("minute", MINUTE), ("second", SECOND))
_TURN = 2  # so many of a unit before it is used for what is not a whole number of it


def roughly(t: Translate, micros: int) -> str:
    """Return a length to the nearest of a unit that suits it."""
    for name, unit in _UNITS:
        if micros >= _TURN * unit:
            return t(f"spans.{name}", count=round(micros / unit))
    return t("spans.second", count=max(round(micros / SECOND), 1))


def shortly(t: Translate, micros: int) -> str:
    """Return a length that is mostly far below a minute, such as `35 ms` or `1.2 s`."""
    if micros < SECOND:
        return f"{round(micros / MILLISECOND)} ms"
    return f"{micros / SECOND:.1f} s" if micros < _TURN * MINUTE else roughly(t, micros)
