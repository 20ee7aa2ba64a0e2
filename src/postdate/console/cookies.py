"""The console's cookies: their names, how they are set, and the note that one page leaves for the next."""

import base64
import binascii
from collections.abc import Mapping

import msgspec
from starlette.responses import Response

SESSION = "postdate-session"
VISIT = "postdate-visit"  # a browser that has not signed in: its forms are bound to it
NOTE = "postdate-note"
LANGUAGE = "postdate-language"
THEME = "postdate-theme"  # set by console.js
ZONE = "postdate-zone"  # set by console.js

THEMES = ("light", "dark")
_NOTE_SECONDS = 60
_LONGEST_NOTE = 1_024
_YEAR_SECONDS = 365 * 24 * 3_600


class Note(msgspec.Struct, frozen=True):
    """What was done, as a key of the catalogue and its values."""

    key: str
    values: dict[str, str | int] = {}


def name_of(name: str, secure: bool) -> str:
    """Return a cookie's name: by https it can be set by this host alone."""
    return f"__Host-{name}" if secure else name


def read(cookies: Mapping[str, str], name: str, secure: bool) -> str:
    """Return a cookie's value, an empty text where it is missing."""
    return cookies.get(name_of(name, secure), "")


def put(response: Response, name: str, value: str, secure: bool, seconds: int | None = None) -> None:
    """Set a cookie that no script reads, for `seconds` or for as long as the browser is open."""
    response.set_cookie(
        name_of(name, secure), value, max_age=seconds, path="/", secure=secure, httponly=True, samesite="lax"
    )


def drop(response: Response, name: str, secure: bool) -> None:
    """Remove a cookie."""
    response.delete_cookie(name_of(name, secure), path="/", secure=secure, httponly=True, samesite="lax")


def keep_language(response: Response, language: str, secure: bool) -> None:
    """Keep the language of a browser that has not signed in."""
    put(response, LANGUAGE, language, secure, _YEAR_SECONDS)


def leave_note(response: Response, note: Note, secure: bool) -> None:
    """Leave a note for the next page."""
    put(response, NOTE, base64.urlsafe_b64encode(msgspec.json.encode(note)).decode(), secure, _NOTE_SECONDS)


def note_in(text: str) -> Note | None:
    """Return the note that a cookie holds; None where it is none of ours."""
    if not 0 < len(text) <= _LONGEST_NOTE:
        return None
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text.encode()), type=Note)
    except (binascii.Error, msgspec.DecodeError, UnicodeError):
        return None
