"""Times in PDUs: `YYMMDDhhmmsstnnp`, absolute with a zone in quarters of an hour, or relative with a final R."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

LONGEST_RELATIVE: Final = timedelta(days=30)

_FORM: Final = re.compile(r"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d)(\d\d)([-+R])", re.ASCII)
# The standard does not say how long a relative month is.
_YEAR: Final = timedelta(days=365)
_MONTH: Final = timedelta(days=30)


def absolute(moment: datetime) -> str:
    """A moment (with a zone, in this century) in UTC, to the tenth of a second, rounded down."""
    if moment.tzinfo is None:
        raise ValueError("a moment without a zone is not a moment: give it one")
    utc = moment.astimezone(UTC)
    return f"{utc:%y%m%d%H%M%S}{utc.microsecond // 100_000}00+"


def relative(seconds: int) -> str:
    """So many seconds from when the SMSC has it, 1 second to 30 days; ValueError beyond, where days become months."""
    if not 1 <= seconds <= LONGEST_RELATIVE.total_seconds():
        raise ValueError(f"{seconds} seconds cannot be written as a relative time: 1 second to 30 days can")
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    day, hour = divmod(hours, 24)
    return f"0000{day:02}{hour:02}{minute:02}{second:02}000R"


def read(text: str) -> datetime | timedelta | None:
    """The moment or the span that a field holds, None if it is empty; ValueError if it is neither."""
    if not text:
        return None
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError("not a time of the form YYMMDDhhmmsstnnp")
    year, month, day, hour, minute, second, tenth, quarters = map(int, match.groups()[:8])
    if match[9] == "R":
        span = timedelta(days=day, hours=hour, minutes=minute, seconds=second)
        return year * _YEAR + month * _MONTH + span
    offset = timedelta(minutes=15 * quarters) * (-1 if match[9] == "-" else 1)
    return datetime(2000 + year, month, day, hour, minute, second, tenth * 100_000, timezone(offset))


def in_receipt(moment: datetime) -> str:
    """A moment as the text of a receipt has it: `YYMMDDhhmm`, in the moment's own zone."""
    return f"{moment:%y%m%d%H%M}"
