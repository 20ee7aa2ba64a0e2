"""The times of a submit_sm as points in time. Pure."""

from datetime import UTC, datetime, timedelta
from typing import Final

from postdate.core.instant import DAY, Instant
from postdate.smpp import when

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_FARTHEST: Final = 3_660 * DAY


class InvalidTime(ValueError):
    """A time that is none, or too far away; `status` is the answer to it."""

    def __init__(self, status: int) -> None:
        super().__init__("a field holds no time of the form YYMMDDhhmmsstnnp, or one more than ten years away")
        self.status = status


def read_time(text: str, at: Instant, status: int) -> Instant | None:
    """Return the point in time that a field means at `at`, None where it is empty; raise InvalidTime."""
    try:
        found = when.read(text)
    except ValueError:
        raise InvalidTime(status) from None
    if found is None:
        return None
    micros = (found - _EPOCH) // _MICROSECOND if isinstance(found, datetime) else at + found // _MICROSECOND
    if abs(micros - at) > _FARTHEST:
        raise InvalidTime(status)
    return Instant(micros)
