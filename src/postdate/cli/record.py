"""A resource as the API gave it, read field by field: what a node does not send (yet) is empty, and never a crash."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

# What steers a terminal, and so may not come from whoever writes a message or a name; lines and tabs may.
_STEERING: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|\r(?!\n)")


class Record:
    """One JSON object."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields

    @classmethod
    def parse(cls, body: bytes) -> "Record":
        """Read a JSON object; ValueError where it is none."""
        found = json.loads(body)
        if not isinstance(found, dict):
            raise ValueError("not a JSON object")
        return cls(found)

    def __contains__(self, name: str) -> bool:
        return self._fields.get(name) is not None

    def text(self, name: str) -> str:
        """Return a field as a person reads it, and nothing that steers a terminal; empty where it is absent or null."""
        value = self._fields.get(name)
        if value is None:
            return ""
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, float) and value.is_integer():
            return str(int(value))
        return _STEERING.sub("\ufffd", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))

    def flag(self, name: str) -> bool:
        """Say whether a field is true."""
        return self._fields.get(name) is True

    def number(self, name: str) -> int | None:
        """Return a whole number, None where the field is something else."""
        value = self._fields.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def texts(self, name: str) -> list[str]:
        """Return the texts of a list."""
        value = self._fields.get(name)
        return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []

    def records(self, name: str) -> list["Record"]:
        """Return the objects of a list."""
        value = self._fields.get(name)
        return [Record(one) for one in value if isinstance(one, dict)] if isinstance(value, list) else []

    def pairs(self, name: str) -> list[tuple[str, str]]:
        """Return the names and values of an object, as a person reads them."""
        inner = self.record(name)
        return [(key, inner.text(key)) for key in inner._fields]

    def record(self, name: str) -> "Record":
        """Return an object within this one; an empty one where it is absent."""
        value = self._fields.get(name)
        return Record(value if isinstance(value, dict) else {})
