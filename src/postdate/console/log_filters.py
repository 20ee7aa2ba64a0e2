"""What is asked of the log: from the address of its page to a query of the store, and back into addresses.

What cannot be read is said beside the fields and asked of nobody; the other filters stay.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from postdate.console.local_times import NoLocalTime, read_day, start_of
from postdate.console.view import View
from postdate.core.address import InvalidAddress, parse_recipient
from postdate.core.errors import Rejected
from postdate.core.message import Direction, Status
from postdate.core.resources import Service
from postdate.core.sid import is_sid

STATUSES = tuple(status for status in Status if status not in (Status.RECEIVING, Status.PARTIALLY_DELIVERED))
FILTERS = ("Search", "Status", "Direction", "From", "To", "Service", "Since", "Until", "ErrorCode", "InDoubt")
_SEARCH, _SINCE, _UNTIL = "Search", "Since", "Until"
LEAST_DIGITS = 4
LEAST_OF_SID = 8
LONGEST_FILTER = 64
_SID = re.compile(r"[SM]M[0-9a-f]*", re.IGNORECASE | re.ASCII)
_NUMBER = re.compile(r"(?:[a-z]+:)?[0-9+ ().\u2010-\u2014-]+", re.IGNORECASE | re.ASCII)


@dataclass(slots=True)
class LogFilters:
    """The filters in force: as they were given, as the store takes them, and what is wrong with the others."""

    given: dict[str, str] = field(default_factory=dict)
    asked: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def shown(self) -> dict[str, str]:
        """Return every filter by its name, as its field shows it."""
        return {name: self.given.get(name, "") for name in FILTERS}

    def address(self, path: str, **more: str) -> str:
        """Return the address of a page with these filters."""
        query = urlencode({**self.given, **more})
        return f"{path}?{query}" if query else path


def read_filters(view: View) -> LogFilters:
    """Return the filters that the address has."""
    found = LogFilters()
    for name in FILTERS:
        text = (view.query.text(name) or "").strip()[:LONGEST_FILTER]
        if text and not (name == "InDoubt" and text != "true"):
            found.given[name] = text
    for name, read in _READERS.items():
        if name in found.given:
            try:
                found.asked.update(read(view, found.given[name]))
            except _Unreadable as wrong:
                found.problems.append(view.t(f"messages.wrong.{wrong}", value=found.given[name]))
    return found


def whole_sid(filters: LogFilters) -> str | None:
    """Return the SID that is searched for, if it is a whole one."""
    text = filters.given.get(_SEARCH, "")
    sid = text[:2].upper() + text[2:].lower()
    return sid if is_sid(sid, "SM", "MM") else None


def services_of(view: View) -> Sequence[tuple[str, str]]:
    """Return the messaging services of the account, SID and name, as a choice shows them."""
    return [
        (service.sid, service.friendly_name)
        for service in view.parts.directory.every(Service)
        if service.account_sid == view.account.sid
    ]


# -- one by one --------------------------------------------------------------------------------------------------------


class _Unreadable(Exception):
    """A filter that means nothing; its text is the name of the sentence that says so."""


def _search(view: View, text: str) -> Mapping[str, Any]:
    if _SID.fullmatch(text):
        if len(text) < LEAST_OF_SID:
            raise _Unreadable("short_sid")
        return {"search": text[:2].upper() + text[2:].lower()}
    digits = re.sub(r"[^0-9]", "", text)
    if not _NUMBER.fullmatch(text):
        raise _Unreadable("search")
    if len(digits) < LEAST_DIGITS:
        raise _Unreadable("short_number")
    return {"search": digits}


def _status(view: View, text: str) -> Mapping[str, Any]:
    return {"status": _one_of(text, STATUSES)}


def _direction(view: View, text: str) -> Mapping[str, Any]:
    return {"direction": _one_of(text, tuple(Direction))}


def _one_of(text: str, known: Sequence[str]) -> str:
    if text not in known:
        raise _Unreadable("choice")
    return str(text)


def _address(text: str) -> str:
    """Return an address as it is stored; what is none is looked for as it is, and not found."""
    try:
        return str(parse_recipient(text))
    except InvalidAddress:
        return text


def _service(view: View, text: str) -> Mapping[str, Any]:
    if not is_sid(text, "MG"):
        raise _Unreadable("choice")
    return {"service_sid": text}


def _since(view: View, text: str) -> Mapping[str, Any]:
    try:
        return {"listed_from": start_of(read_day(text), view.zone)}
    except NoLocalTime:
        raise _Unreadable("day") from None


def _until(view: View, text: str) -> Mapping[str, Any]:
    try:
        return {"listed_before": start_of(read_day(text) + timedelta(days=1), view.zone)}
    except NoLocalTime:
        raise _Unreadable("day") from None


def _error_code(view: View, text: str) -> Mapping[str, Any]:
    try:
        return {"error_code": view.query.number("ErrorCode")}
    except Rejected:
        raise _Unreadable("code") from None


_READERS: Mapping[str, Callable[[View, str], Mapping[str, Any]]] = {
    "Search": _search,
    "Status": _status,
    "Direction": _direction,
    "From": lambda view, text: {"sender": _address(text)},
    "To": lambda view, text: {"recipient": _address(text)},
    "Service": _service,
    "Since": _since,
    "Until": _until,
    "ErrorCode": _error_code,
    "InDoubt": lambda view, text: {"in_doubt": True},
}
