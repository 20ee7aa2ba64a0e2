"""What a connector knows after a submission: five outcomes, and what the node does next.

"In doubt" is one of the five: bytes left us and no answer came. It is never retried blindly; the connection's policy
says what happens. Whoever matches on `Outcome` ends with `assert_never`.
"""

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from postdate.core.instant import SECOND, Instant


class Accepted(msgspec.Struct, frozen=True):
    """The carrier took it; `carrier_ref` is its id for the message."""

    carrier_ref: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The carrier said no for good; `code` is the customer's error code."""

    code: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Busy:
    """The carrier asked us to come back: nothing was taken. `retry_after` in microseconds, if it said.

    `this_only`: it is about this message alone (its recipient, say), and its sender's others may go on.
    """

    retry_after: int | None = None
    detail: str = ""
    this_only: bool = False


@dataclass(frozen=True, slots=True)
class Unreachable:
    """It never left us: safe to try again."""

    detail: str = ""


@dataclass(frozen=True, slots=True)
class InDoubt:
    """It was written and not answered: the carrier may have it."""

    detail: str = ""


Outcome = Accepted | Refused | Busy | Unreachable | InDoubt


class DoubtPolicy(StrEnum):
    """What a connection does with a message in doubt."""

    HOLD = "hold"  # show it and wait for a receipt or a person
    QUERY = "query"  # ask the carrier, where it can be asked
    RETRY = "retry"  # submit again with the same idempotency key: only for carriers that know the key


FIRST_RETRY = 1 * SECOND
LONGEST_RETRY = 60 * SECOND


def retry_at(at: Instant, attempt: int, asked: int | None, chance: float) -> Instant:
    """Say when to try again after `attempt` (1 is the first): doubling, with up to a quarter of jitter.

    `asked` is the carrier's own wish in microseconds and wins where it is longer; `chance` is in [0, 1).
    """
    wait = min(FIRST_RETRY << min(attempt - 1, 16), LONGEST_RETRY)
    wait += int(wait * chance / 4)
    return Instant(at + max(wait, asked or 0))
