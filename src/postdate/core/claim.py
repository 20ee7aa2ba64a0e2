"""Who has a message that is being handed over: one text, `RUN:CONNECTION`, kept with it.

RUN is the run of a node that may be handing it over. Without one nobody is, and it may be claimed. With a `-` before it
nobody is either, but it may not: it is in doubt, and left alone. CONNECTION stays when the rest has gone, so that a
doubt is settled, and a receipt believed, only where the message was handed to; it is empty where that is not known.
"""

from typing import Final

_HELD: Final = "-"


def claim_by(run: str, connection: str) -> str:
    """Return the claim of a run for a connection."""
    return f"{run}:{connection}" if connection else run


def run_of(claim: str | None) -> str:
    """Return the run that has it, or had it before it was left alone; empty where none has."""
    return (claim or "").partition(":")[0].removeprefix(_HELD)


def connection_of(claim: str | None) -> str:
    """Return the connection it was handed to, empty where that is not known."""
    return (claim or "").partition(":")[2]


def is_free(claim: str | None) -> bool:
    """Say whether it may be claimed."""
    return claim is None or claim.startswith(":")


def is_held(claim: str | None) -> bool:
    """Say whether it is in doubt and left alone."""
    return claim is not None and claim.startswith(_HELD)


def freed(claim: str | None) -> str | None:
    """Return the claim that anybody may replace."""
    connection = connection_of(claim)
    return f":{connection}" if connection else None


def held(claim: str | None) -> str:
    """Return the claim that nobody may replace."""
    return claim_by(_HELD + run_of(claim), connection_of(claim))
