"""The webhook log: every call to a customer's server, what it was told, what it answered, and how long that took."""

from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from postdate.console.cursors import digest_of_view
from postdate.console.page import Nav, Page, Screen
from postdate.console.timeline import fields_of, is_answered
from postdate.console.view import View
from postdate.console.words import Words
from postdate.core.sid import is_sid
from postdate.store.contract import CallQuery

PAGE_SIZE = 50
_PATH = "/webhooks"
_LONGEST_ID = 18


async def show(view: View) -> Response:
    """Show a page of the log, newest first; for htmx the rows alone, and nothing where there is no news."""
    message = (view.query.text("Message") or "").strip()
    failed, after = view.query.text("Failed") == "true", _read_id(view.query.text("After"))
    wrong = bool(message) and not is_sid(message, "SM", "MM")
    rows = []
    if not wrong:
        query = CallQuery(
            account_sid=view.account.sid, message_sid=message or None, failed=failed, after=after, limit=PAGE_SIZE + 1
        )
        rows = list(await view.parts.store.calls_made(query))
    further = len(rows) > PAGE_SIZE
    rows = rows[:PAGE_SIZE]
    given = {"Message": message, "Failed": "true" if failed else ""}
    digest = digest_of_view((view.hides, further, [row.id for row in rows]))
    values: dict[str, Any] = {
        "words": Words(view),
        "rows": rows,
        "message": message,
        "wrong": wrong,
        "failed": failed,
        "first": _address(given) if after is not None else "",
        "further": _address({**given, "After": str(rows[-1].id)}) if further else "",
        "live": _address({**given, "Seen": digest}) if after is None and not wrong else "",
        "fields_of": fields_of,
        "is_answered": is_answered,
    }
    if not view.by_htmx:
        return view.render("webhooks.html", **values)
    if view.query.text("Seen") == digest:
        return Response(status_code=204)
    return view.fragment("webhooks.html", "rows", **values)


def _read_id(text: str | None) -> int | None:
    known = text is not None and text.isascii() and text.isdigit() and len(text) <= _LONGEST_ID
    return int(text) if known and text else None


def _address(given: dict[str, str]) -> str:
    query = urlencode({name: value for name, value in given.items() if value})
    return f"{_PATH}?{query}" if query else _PATH


SCREEN = Screen("webhooks", pages=(Page(_PATH, show),), nav=Nav("webhooks", "tools"))
