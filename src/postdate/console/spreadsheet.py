"""Messages as CSV: what a spreadsheet opens, and runs nothing of.

A cell that a spreadsheet could take for a formula begins with an apostrophe. Columns have the names of the API, times
are in UTC, and the byte order mark tells Excel that it is UTF-8.
"""

from collections.abc import Iterable, Sequence

from postdate.core.instant import Instant, format_iso
from postdate.core.message import Message

BYTE_ORDER_MARK = "\ufeff"
_COLUMNS = (
    "sid", "status", "in_doubt", "direction", "from", "to", "messaging_service_sid", "body", "num_segments",
    "num_media", "error_code", "date_created", "send_at", "date_sent", "date_updated",
)  # fmt: skip
# Also as Japanese input methods write them: Excel takes those for formulas, too.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def cell(value: str) -> str:
    """Return one cell, quoted, so that no spreadsheet computes it."""
    if value.startswith(_FORMULA) or value.lstrip().startswith(_FORMULA):
        value = f"'{value}"
    return '"' + value.replace('"', '""') + '"'


def line(values: Iterable[str]) -> str:
    """Return one line, with its end."""
    return ",".join(map(cell, values)) + "\r\n"


def head() -> str:
    """Return what the file begins with: the mark and the names of the columns."""
    return BYTE_ORDER_MARK + line(_COLUMNS)


def lines(messages: Sequence[Message]) -> str:
    """Return messages, a line each, in the order of the columns."""
    return "".join(line(_values(message)) for message in messages)


def _values(message: Message) -> tuple[str, ...]:
    return (
        message.sid,
        message.status,
        "true" if message.doubt_at is not None else "false",
        message.direction,
        message.sender or "",
        message.recipient,
        message.service_sid or "",
        message.body,
        str(message.num_segments),
        str(len(message.media_urls)),
        "" if message.error_code is None else str(message.error_code),
        format_iso(message.created_at),
        _time(message.send_at),
        _time(message.sent_at),
        format_iso(message.updated_at),
    )


def _time(at: Instant | None) -> str:
    return "" if at is None else format_iso(at)
