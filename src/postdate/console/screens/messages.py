"""The log of messages: filters, search, pages by cursor, news on the first page as they come, and the rows as CSV."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response, StreamingResponse

from postdate.console import spreadsheet
from postdate.console.cursors import digest_of_view, read_cursor, write_cursor
from postdate.console.log_filters import STATUSES, LogFilters, read_filters, services_of, whole_sid
from postdate.console.page import Action, Nav, Page, Screen
from postdate.console.screens import message
from postdate.console.view import View
from postdate.console.words import Words
from postdate.core.instant import Instant
from postdate.core.message import Direction, Message
from postdate.core.resources import Role
from postdate.flow.export import export_pages
from postdate.store.contract import Cursor, MessageQuery

PAGE_SIZE = 50
MOST_EXPORTED = 1_000_000
_PATH = "/messages"
_CSV = "text/csv; charset=utf-8"


@dataclass(frozen=True, slots=True)
class _Listing:
    """A page of the log, newest first; addresses are empty where there is nothing."""

    messages: list[Message]
    newer: str = ""
    older: str = ""
    searched_to: Instant | None = None  # the search stopped here: further back, or nearer, is not looked at yet
    onward: str = ""  # where it goes on


async def show(view: View) -> Response:
    """Show a page of the log; for htmx, the rows alone, and nothing where there is no news."""
    filters = read_filters(view)
    sid = whole_sid(filters)
    if sid is not None and await view.parts.store.message(view.account.sid, sid) is not None:
        return view.go(f"{_PATH}/{sid}")
    after = read_cursor(view.query.text("After"))
    towards_newer = after is not None and view.query.text("Towards") == "newer"
    found = await _newer(view, filters, after) if towards_newer and after else await _older(view, filters, after)
    if towards_newer and found is None:  # nothing newer is left out: that is the first page
        return view.go(filters.address(_PATH))
    return _page(view, filters, found or _Listing([]), after is None)


def _page(view: View, filters: LogFilters, found: _Listing, is_first: bool) -> Response:
    services = dict(services_of(view))
    digest = digest_of_view(
        (view.hides, found.older, found.onward, [(m.sid, m.status, m.updated_at, m.doubt_at) for m in found.messages])
    )
    values: dict[str, Any] = {
        "words": Words(view),
        "messages": found.messages,
        "newer": found.newer,
        "older": found.older,
        "searched_to": found.searched_to,
        "onward": found.onward,
        "filters": filters,
        "services": services,
        "statuses": [(status, view.t(f"frame.status.{status}")) for status in STATUSES],
        "directions": [(one, view.t(f"messages.directions.{one}")) for one in Direction],
        "live": filters.address(_PATH, Seen=digest) if is_first else "",
    }
    if not view.by_htmx:
        return view.render("messages.html", export=filters.address("/messages.csv"), **values)
    if view.query.text("Seen") == digest:
        return Response(status_code=204)
    return view.fragment("messages.html", "rows", **values)


async def _older(view: View, filters: LogFilters, after: Cursor | None) -> _Listing:
    found = await view.parts.store.search(_query(view, filters, after))
    rows = list(found.messages)
    onward = filters.address(_PATH, After=write_cursor(found.next)) if found.next is not None else ""
    newer = _towards_newer(filters, _place(rows[0]) if rows else after) if after is not None else ""
    if found.cut and found.next is not None:
        return _Listing(rows, newer, searched_to=found.next.due_at, onward=onward)
    return _Listing(rows, newer, older=onward)


async def _newer(view: View, filters: LogFilters, after: Cursor) -> _Listing | None:
    """Return the page before `after`; None where it is the first."""
    found = await view.parts.store.search(_query(view, filters, after, reverse=True))
    if found.next is None:
        return None
    rows = list(reversed(found.messages))
    older = filters.address(_PATH, After=write_cursor(_place(rows[-1]) if rows else after))
    onward = _towards_newer(filters, found.next)
    if found.cut:
        return _Listing(rows, older=older, searched_to=found.next.due_at, onward=onward)
    return _Listing(rows, newer=onward, older=older)


def _query(view: View, filters: LogFilters, after: Cursor | None, reverse: bool = False) -> MessageQuery:
    return MessageQuery(account_sid=view.account.sid, limit=PAGE_SIZE, after=after, reverse=reverse, **filters.asked)


def _place(found: Message) -> Cursor:
    return Cursor(found.listed_at, found.sid)


def _towards_newer(filters: LogFilters, place: Cursor | None) -> str:
    return filters.address(_PATH, After=write_cursor(place), Towards="newer") if place is not None else ""


async def export(view: View) -> Response:
    """Answer the log as CSV, newest first, as far as the filters go; it is written as it is read.

    One at a time for a person, since all of it costs the node's time.
    """
    filters = read_filters(view)
    if filters.problems:
        return view.go(filters.address(_PATH))
    if view.user.sid in view.tools.exporting:
        return view.go(filters.address(_PATH), "messages.export_busy")
    query = _query(view, filters, None)
    name = f"messages-{view.now // 1_000_000}.csv"
    disposition = {"content-disposition": f'attachment; filename="{name}"'}
    if view.http.method == "HEAD":
        return Response(media_type=_CSV, headers=disposition)
    return StreamingResponse(_written(view, query), media_type=_CSV, headers=disposition)


async def _written(view: View, query: MessageQuery) -> AsyncIterator[str]:
    exporting = view.tools.exporting
    exporting.add(view.user.sid)
    try:
        yield spreadsheet.head()
        async for page in export_pages(view.parts.store, query, most=MOST_EXPORTED):
            yield spreadsheet.lines(page)
    finally:
        exporting.discard(view.user.sid)


SCREEN = Screen(
    "messages",
    pages=(
        Page(_PATH, show),
        Page("/messages.csv", export),
        Page("/messages/{sid}", message.show),
        Page("/messages/{sid}/media/{media_sid}", message.show_medium),
    ),
    actions=(
        Action("cancel", "/messages/{sid}/cancel", message.cancel, Role.OPERATOR, back=message.show),
        Action("reschedule", "/messages/{sid}/reschedule", message.reschedule, Role.OPERATOR, back=message.show),
        Action("resolve", "/messages/{sid}/resolve", message.resolve, Role.OPERATOR, back=message.show),
        Action("redact", "/messages/{sid}/redact", message.redact, Role.OPERATOR, back=message.show),
        Action("delete", "/messages/{sid}/delete", message.delete, Role.OPERATOR, back=message.show),
    ),
    nav=Nav("log"),
)
