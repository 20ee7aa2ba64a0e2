"""Where something stands in what a carrier says: a JSON pointer (RFC 6901) into JSON, or the name of a field."""

import re
from collections.abc import Sequence
from typing import Final

_POINTER: Final = re.compile(r"(/([^~/]|~[01])*)*")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")
# More digits than any id has; the text of a longer number takes long to make.
_LARGEST: Final = 10**40


def is_pointer(text: str) -> bool:
    """Say whether a text is a JSON pointer."""
    return bool(_POINTER.fullmatch(text))


def pointed(value: object, pointer: str) -> object | None:
    """Return what a JSON pointer points at, None where there is nothing."""
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and _INDEX.fullmatch(name) and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def text_of(value: object) -> str | None:
    """Return a text or a whole number as text, None where it is neither."""
    match value:
        case bool():
            return None
        case str():
            return value
        case int() if -_LARGEST < value < _LARGEST:
            return str(value)
        case _:
            return None


def field(fields: Sequence[tuple[str, str]], name: str) -> str | None:
    """Return the first field of a name, None where there is none."""
    return next((value for one, value in fields if one == name), None)
