"""STOP and START: what a recipient writes to opt out of messages and in again.

The whole message counts, in any case, without surrounding space or punctuation. The words are Twilio's defaults.
"""

from enum import StrEnum

_STOP = ("STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT")
_START = ("START", "YES", "UNSTOP")
_HELP = ("HELP", "INFO")


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


def words_of(asked: Keyword) -> tuple[str, ...]:
    """Return the words that a recipient can ask for it with."""
    return {Keyword.STOP: _STOP, Keyword.START: _START, Keyword.HELP: _HELP}[asked]
