"""API keys of the account: made, shown once, removed; all by the API's own handlers."""

from typing import Any

from starlette.responses import Response

from postdate.api import keys
from postdate.console.acting import EMPTY
from postdate.console.page import Action, Nav, Page, Screen
from postdate.console.view import View
from postdate.core.errors import Rejected
from postdate.core.resources import ApiKey, Role


async def show(view: View) -> Response:
    """Show the keys, without their secrets."""
    return _page(view, None)


async def show_again(view: View) -> Response:
    """Show the keys, with a name that was meant for one of them nowhere else."""
    view.form = EMPTY
    return await show(view)


def _page(view: View, made: dict[str, Any] | None) -> Response:
    rows = [key for key in view.parts.directory.every(ApiKey) if key.account_sid == view.account.sid]
    return view.render("keys.html", rows=rows, made=made)


async def create(view: View) -> Response:
    """Make a key and show its secret, this once."""
    name = _name(view)
    answer = await view.act(keys.create, {"FriendlyName": name})
    view.about, view.detail, view.form = answer.json["sid"], name, EMPTY
    return _page(view, answer.json)


def _name(view: View) -> str:
    name = (view.form.text("FriendlyName") or "").strip()
    if not name:
        raise Rejected(20001, view.t("keys.nameless"))
    return name


async def rename(view: View) -> Response:
    """Give a key another name."""
    answer = await view.act(keys.update, {"FriendlyName": _name(view)})
    view.detail = answer.json["friendly_name"]
    return view.go("/keys", "frame.saved")


async def remove(view: View) -> Response:
    """Remove a key: it signs nobody in any more."""
    key = view.parts.directory.find(ApiKey, view.params["sid"])
    await view.act(keys.delete, method="DELETE")
    view.detail = key.friendly_name if key is not None else ""
    return view.go("/keys", "keys.removed")


SCREEN = Screen(
    "keys",
    pages=(Page("/keys", show, Role.OWNER),),
    actions=(
        Action("create", "/keys", create, back=show),
        Action("rename", "/keys/{sid}", rename, back=show_again),
        Action("remove", "/keys/{sid}/remove", remove, back=show),
    ),
    nav=Nav("keys", "admin"),
)
