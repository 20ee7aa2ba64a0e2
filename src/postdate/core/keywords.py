"""STOP and START: what a recipient writes to opt out of messages and in again.

The whole message counts, in any case, without surrounding space or punctuation. The words are Twilio's defaults.
"""

from enum import StrEnum

_STOP = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"})
_START = frozenset({"START", "YES", "UNSTOP"})
_HELP = frozenset({"HELP", "INFO"})


class Keyword(StrEnum):
    """What a recipient's message asks for."""

    STOP = "STOP"
    START = "START"
    HELP = "HELP"


def keyword(body: str) -> Keyword | None:
    """Return what the message asks for, or None where it is no keyword."""
    word = body.strip(" \t\r\n.!\"'").upper()
    if word in _STOP:
        return Keyword.STOP
    if word in _START:
        return Keyword.START
    return Keyword.HELP if word in _HELP else None
