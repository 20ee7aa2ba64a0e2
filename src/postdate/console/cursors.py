"""Places in long lists, as they stand in the address of a page; and the digest by which a page knows news from none."""

import hashlib
import re
from collections.abc import Iterable

from postdate.core.instant import Instant
from postdate.store.contract import Cursor

_PLACE = re.compile(r"([0-9]{1,18})-([A-Z]{2}[0-9a-f]{32})")
_DIGEST_LETTERS = 16


def write_cursor(cursor: Cursor) -> str:
    """Return a place as an address has it; `read_cursor` reads it back."""
    return f"{cursor.due_at}-{cursor.sid}"


def read_cursor(text: str | None) -> Cursor | None:
    """Return the place that an address names; None where it names none."""
    found = _PLACE.fullmatch(text or "")
    return Cursor(Instant(int(found[1])), found[2]) if found is not None else None


def digest_of_view(shown: Iterable[object]) -> str:
    """Return a short text that is another whenever what is shown is another."""
    digest = hashlib.sha256()
    for one in shown:
        digest.update(repr(one).encode("utf-8", "replace") + b"\n")
    return digest.hexdigest()[:_DIGEST_LETTERS]
