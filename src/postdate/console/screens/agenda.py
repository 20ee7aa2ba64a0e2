"""What goes out next: by day and hour; many at once can be canceled, and those that were too late are named.

An hour that is chosen means all of its messages that were in it when the page was shown, also those of further pages.
"""

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from postdate.api import messages
from postdate.console.cursors import digest_of_view, read_cursor, write_cursor
from postdate.console.local_times import NoLocalTime, bounds_of_days, bounds_of_hours, day_of, read_day
from postdate.console.log_filters import services_of
from postdate.console.page import Action, Nav, Page, Screen
from postdate.console.view import View
from postdate.console.words import Words
from postdate.core.errors import Rejected
from postdate.core.instant import HOUR, Instant
from postdate.core.message import Message, Status
from postdate.core.resources import Role
from postdate.core.sid import is_sid
from postdate.store.contract import AgendaQuery, Cursor, DueCount, Found

PAGE_SIZE = 100
DAYS = 35
DAYS_AT_FIRST = 14
MOST_AT_ONCE = 2_000
MOST_LOOKED_AT = 10 * MOST_AT_ONCE
MOST_NAMED = 20
_PATH = "/agenda"
_HOUR = re.compile(r"([0-9]{1,18})-([0-9]{1,18})", re.ASCII)
_INSTANT = re.compile(r"[0-9]{1,18}", re.ASCII)
_TOO_LATE, _NOT_FOUND = 30409, 20404


@dataclass(frozen=True, slots=True)
class _Hour:
    """An hour of the day that is shown, what goes out in it, and what of that is on this page."""

    begin: Instant
    end: Instant
    count: DueCount
    messages: list[Message]

    @property
    def key(self) -> str:
        return f"{self.begin}-{self.end}"

    @property
    def open(self) -> bool:
        """Say whether anything here can still be canceled."""
        return any(message.status is Status.SCHEDULED for message in self.messages)


@dataclass(slots=True)
class Canceling:
    """What came of canceling many: how many were canceled, and those that were not."""

    done: int = 0
    late: int = 0
    gone: int = 0
    named: list[Message] = field(default_factory=list)  # the first of those that were too late, as they are now
    looked: int = 0  # at so many of the hours that were chosen
    unfinished: bool = False  # there are more than can be canceled, or looked at, at once

    @property
    def tried(self) -> int:
        """Return how many were asked for and looked at."""
        return self.done + self.late + self.gone


async def show(view: View) -> Response:
    """Show a day."""
    return await _page(view, None)


async def _page(view: View, result: Canceling | None) -> Response:
    today = day_of(view.now, view.zone)
    day, service = _day(view, today), _service(view)
    days = await _days(view, today)
    hours, after = bounds_of_hours(day, view.zone), read_cursor(view.query.text("After"))
    found = await _read(view, hours[0], hours[-1], service, after)
    shown = await _hours(view, hours, found.messages, service)
    digest = digest_of_view((view.hides, days, [(m.sid, m.due_at, m.status) for m in found.messages]))
    here = _address(day, today, service)
    values: dict[str, Any] = {
        "words": Words(view),
        "days": days,
        "days_at_first": DAYS_AT_FIRST,
        "day": day,
        "day_at": hours[0],
        "hours": shown,
        "service": service or "",
        "services": services_of(view),
        "here": here,
        "first": here if after is not None else "",
        "further": _address(day, today, service, After=write_cursor(found.next)) if found.next is not None else "",
        "live": _address(day, today, service, Seen=digest) if after is None and result is None else "",
        "result": result,
        "most": MOST_AT_ONCE,
    }
    if not view.by_htmx or view.http.method != "GET":
        return view.render("agenda.html", **values)
    if view.query.text("Seen") == digest:
        return Response(status_code=204)
    return view.fragment("agenda.html", "plan", **values)


def _day(view: View, today: date) -> date:
    try:
        return read_day(view.query.text("Day") or "")
    except NoLocalTime:
        return today


def _service(view: View) -> str | None:
    sid = view.query.text("Service") or ""
    return sid if is_sid(sid, "MG") else None


def _address(day: date, today: date, service: str | None, **more: str) -> str:
    given = {"Day": day.isoformat() if day != today else "", "Service": service or "", **more}
    query = urlencode({name: value for name, value in given.items() if value})
    return f"{_PATH}?{query}" if query else _PATH


async def _days(view: View, today: date) -> list[tuple[str, Instant, DueCount]]:
    """Return the next days: each with its address, its beginning, and how many messages go out."""
    bounds = bounds_of_days(today, DAYS, view.zone)
    # What is left of today; its beginning is only its name.
    counted = await view.parts.store.overview(view.account.sid, at=view.now, since=view.now, bounds=bounds)
    service = _service(view)
    return [
        (_address(today + timedelta(days=n), today, service), bounds[n], count) for n, count in enumerate(counted.due)
    ]


async def _read(view: View, begin: Instant, end: Instant, service: str | None, after: Cursor | None) -> Found:
    query = AgendaQuery(
        account_sid=view.account.sid, due_from=begin, due_before=end, service_sid=service, after=after, limit=PAGE_SIZE
    )
    return await view.parts.store.search(query)


async def _hours(view: View, bounds: Sequence[Instant], listed: Sequence[Message], service: str | None) -> list[_Hour]:
    """Return the hours in which something goes out, with those of their messages that are on this page."""
    counted = await view.parts.store.overview(view.account.sid, at=view.now, since=view.now, bounds=bounds)
    found = []
    for (begin, end), count in zip(pairwise(bounds), counted.due, strict=True):
        here = [message for message in listed if begin <= message.due_at < end]
        if here:
            # The counts are those of all services: of one alone, what is on the page is what is known.
            exact = count if service is None and count.number >= len(here) else DueCount(len(here), service is not None)
            found.append(_Hour(begin, end, exact, here))
    return found


# -- canceling ---------------------------------------------------------------------------------------------------------


async def cancel(view: View) -> Response:
    """Cancel what was chosen; the answer says of how many it was true."""
    sids, hours = view.form.all("Sid"), [_read_hour(view, text) for text in view.form.all("Hour")]
    if not sids and not hours:
        raise Rejected(20001, view.t("agenda.none_chosen"))
    result = Canceling()
    for sid in dict.fromkeys(sids):
        await _cancel_one(view, sid, result)
    for begin, end in dict.fromkeys(hours):
        await _cancel_hour(view, begin, end, result)
    view.detail = f"{result.done}/{result.tried}"
    return await _page(view, result)


def _read_hour(view: View, text: str) -> tuple[Instant, Instant]:
    found = _HOUR.fullmatch(text)
    if found is None or not 0 < int(found[2]) - int(found[1]) <= HOUR:
        raise Rejected(20001, view.t("agenda.no_hour"))
    return Instant(int(found[1])), Instant(int(found[2]))


def _read_seen(view: View) -> Instant:
    """Return when the page was shown."""
    text = view.form.text("Seen") or ""
    return Instant(int(text)) if _INSTANT.fullmatch(text) else view.now


async def _cancel_hour(view: View, begin: Instant, end: Instant, result: Canceling) -> None:
    seen = _read_seen(view)
    async for message in _in_hour(view, begin, end):
        result.looked += 1
        if result.tried >= MOST_AT_ONCE or result.looked > MOST_LOOKED_AT:
            result.unfinished = True
            return
        # What came into the hour since the page was shown was not chosen.
        if message.updated_at <= seen and message.status is Status.SCHEDULED:
            await _cancel_one(view, message.sid, result)


async def _in_hour(view: View, begin: Instant, end: Instant) -> AsyncIterator[Message]:
    after: Cursor | None = None
    while True:
        found = await _read(view, begin, end, _service(view), after)
        for message in found.messages:
            yield message
        if found.next is None:
            return
        after = found.next


async def _cancel_one(view: View, sid: str, result: Canceling) -> None:
    try:
        await view.act(messages.update, {"Status": "canceled"}, {"sid": sid})
        result.done += 1
    except Rejected as error:
        if error.code == _NOT_FOUND:
            result.gone += 1
            return
        if error.code != _TOO_LATE:
            raise
        result.late += 1
        if len(result.named) < MOST_NAMED and (now := await view.parts.store.message(view.account.sid, sid)):
            result.named.append(now)


SCREEN = Screen(
    "agenda",
    pages=(Page(_PATH, show),),
    actions=(Action("cancel", _PATH, cancel, Role.OPERATOR, back=show),),
    nav=Nav("next"),
)
