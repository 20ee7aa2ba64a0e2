"""The test clock: what it shows, and moving it. Only where the node runs on one.

Moving is for whoever acts on messages: what becomes due on the way is sent on the way.
"""

from typing import Any

from starlette.responses import Response

from postdate.api import clock
from postdate.api.parts import Parts
from postdate.clock import TestClock
from postdate.console.chosen_time import read_chosen
from postdate.console.page import Action, Nav, Page, Screen
from postdate.console.spans import roughly
from postdate.console.times import in_utc, local, zone_names
from postdate.console.view import View
from postdate.core.errors import Rejected
from postdate.core.instant import DAY, Instant, format_iso_exact
from postdate.core.message import Message
from postdate.core.resources import Role
from postdate.store.contract import AgendaQuery

STEPS = ("PT1M", "PT1H", "P1D", "P7D")
_PATH = "/clock"
_UNTIL_NEXT = "next"
_FAR = 3_650 * DAY


async def show(view: View) -> Response:
    """Show the clock, and how to move it."""
    following = await _next(view)
    tomorrow = local(Instant(view.now + DAY), view.zone)
    values: dict[str, Any] = {
        "steps": STEPS,
        "utc": in_utc(view.now),
        "following": following,
        "ahead": roughly(view.t, following.due_at - view.now) if following is not None else "",
        "tomorrow": f"{tomorrow:%Y-%m-%d}",
        "zones": [(name, name) for name in (view.zone.key, *zone_names()) if name],
    }
    return view.render("clock.html", **values)


async def strip(view: View) -> Response:
    """Show what the frame of every page says of the clock: for htmx."""
    return view.fragment("clock_strip.html", "strip")


async def _next(view: View) -> Message | None:
    """Return the account's next message that is to go at a later time."""
    found = await view.parts.store.search(
        AgendaQuery(
            account_sid=view.account.sid, due_from=Instant(view.now + 1), due_before=Instant(view.now + _FAR), limit=1
        )
    )
    return found.messages[0] if found.messages else None


async def advance(view: View) -> Response:
    """Move the clock ahead: by a step, to the next message, or to a chosen time."""
    by = view.form.text("By")
    if by == _UNTIL_NEXT:
        following = await _next(view)
        if following is None:
            raise Rejected(20001, view.t("clock.no_next"))
        wanted = {"AdvanceTo": format_iso_exact(following.due_at)}
    elif by is not None:
        wanted = {"AdvanceBy": by}
    else:
        wanted = {"AdvanceTo": format_iso_exact(read_chosen(view).needed())}
    await view.act(clock.move, wanted)
    view.detail = format_iso_exact(view.now)
    return view.go(_PATH, "clock.moved")


async def freeze(view: View) -> Response:
    """Let the clock stand still, or run again."""
    frozen = view.form.flag("Freeze") or False
    await view.act(clock.move, {"Freeze": "true" if frozen else "false"})
    return view.go(_PATH, "clock.stands" if frozen else "clock.runs")


def _is_here(parts: Parts) -> bool:
    return isinstance(parts.clock, TestClock)


SCREEN = Screen(
    "clock",
    pages=(Page(_PATH, show), Page(f"{_PATH}/strip", strip)),
    actions=(
        Action("advance", f"{_PATH}/advance", advance, Role.OPERATOR, back=show),
        Action("freeze", f"{_PATH}/freeze", freeze, Role.OPERATOR, back=show),
    ),
    nav=Nav("clock", "tools"),
    on=_is_here,
)
