"""What a person decides about a message in doubt: nobody knows whether the carrier has it, and somebody has to say."""

from enum import StrEnum
from typing import Final


class Verdict(StrEnum):
    """The carrier has it; or has it not, and it has failed; or it is handed over again, whatever came of the first."""

    SENT = "sent"
    FAILED = "failed"
    RETRY = "retry"


FAILED_CODE: Final = 30008  # unknown error: nobody can say more
