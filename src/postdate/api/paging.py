"""Lists as Twilio pages them: `PageSize`, `Page` and an opaque `PageToken`, in the two shapes of its two APIs."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from postdate.api.twilio import Form
from postdate.core.errors import Rejected
from postdate.core.instant import Instant
from postdate.store.contract import Cursor

DEFAULT_SIZE = 50
LARGEST_SIZE = 1_000
_TIME = re.compile("[0-9]{1,18}")
Filters = Mapping[str, str | Sequence[str]]  # what a list was filtered by: its links keep it


@dataclass(frozen=True, slots=True)
class Page:
    """Which page is asked for. `after` is where it begins, `reverse` reads towards the beginning of the list."""

    size: int
    number: int
    after: Cursor | None
    reverse: bool


def read_page(query: Form) -> Page:
    """Return the page that is asked for; sizes over 1,000 are taken as 1,000, since the clients send their limits."""
    size = min(max(query.number("PageSize") or DEFAULT_SIZE, 1), LARGEST_SIZE)
    number = query.number("Page") or 0
    token = query.text("PageToken")
    if token is None:
        return Page(size, 0, None, reverse=False)
    kind, sid, at = token[:2], token[2:36], token[36:]
    if kind not in ("PA", "PB") or len(sid) != 34 or not _TIME.fullmatch(at):
        raise Rejected(20001, "The PageToken is not one of ours: take it from next_page_uri as it is.")
    return Page(size, number, Cursor(Instant(int(at)), sid), reverse=kind == "PB")


def token(cursor: Cursor, reverse: bool) -> str:
    """Return the token of a page that begins at a cursor."""
    return f"{'PB' if reverse else 'PA'}{cursor.sid}{cursor.due_at}"


@dataclass(frozen=True, slots=True)
class Listing:
    """A page that was read: its items, where it begins and ends, and whether there is more on either side."""

    items: Sequence[Any]
    first: Cursor | None
    last: Cursor | None
    more_after: bool
    more_before: bool


def listing(page: Page, rows: Sequence[Any], place: Callable[[Any], Cursor], as_json: Callable[[Any], Any]) -> Listing:
    """Return a page from rows read with one more than its size, in the order of reading."""
    more = len(rows) > page.size
    rows = list(rows[: page.size])
    if page.reverse:
        rows.reverse()
    return Listing(
        items=[as_json(row) for row in rows],
        first=place(rows[0]) if rows else None,
        last=place(rows[-1]) if rows else None,
        more_after=more if not page.reverse else page.after is not None,
        more_before=more if page.reverse else page.after is not None,
    )


def page_of(
    page: Page, everything: Sequence[Any], place: Callable[[Any], Cursor], as_json: Callable[[Any], Any]
) -> Listing:
    """Return a page of a list that is in memory, in its order: ascending by `place`."""
    if page.after is None:
        rows = list(everything)
    elif page.reverse:
        rows = [row for row in reversed(everything) if place(row) < page.after]
    else:
        rows = [row for row in everything if place(row) > page.after]
    return listing(page, rows[: page.size + 1], place, as_json)


def _links(page: Page, found: Listing, path: str, filters: Filters) -> dict[str, str | None]:
    def link(number: int, page_token: str | None) -> str:
        query = {**filters, "PageSize": str(page.size), "Page": str(number)}
        if page_token is not None:
            query["PageToken"] = page_token
        return f"{path}?{urlencode(query, doseq=True)}"

    after = link(page.number + 1, token(found.last, False)) if found.more_after and found.last else None
    before = link(max(page.number - 1, 0), token(found.first, True)) if found.more_before and found.first else None
    here = token(page.after, page.reverse) if page.after else None
    return {"first": link(0, None), "next": after, "previous": before, "here": link(page.number, here)}


def v2010(key: str, page: Page, found: Listing, path: str, filters: Filters) -> dict[str, Any]:
    """Return a list of the API of 2010: one key beside the known paging keys, relative links."""
    links = _links(page, found, path, filters)
    start = page.number * page.size
    return {
        key: found.items,
        "page": page.number,
        "page_size": page.size,
        "start": start,
        "end": max(start + len(found.items) - 1, start),
        "uri": links["here"],
        "first_page_uri": links["first"],
        "next_page_uri": links["next"],
        "previous_page_uri": links["previous"],
    }


def v1(key: str, page: Page, found: Listing, url: str, filters: Filters) -> dict[str, Any]:
    """Return a list of the messaging API: the items and a `meta` with absolute links."""
    links = _links(page, found, url, filters)
    return {
        key: found.items,
        "meta": {
            "key": key,
            "page": page.number,
            "page_size": page.size,
            "url": links["here"],
            "first_page_url": links["first"],
            "next_page_url": links["next"],
            "previous_page_url": links["previous"],
        },
    }
