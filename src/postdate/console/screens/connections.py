"""Connections, the configured ways to carriers: how they are doing, their settings, and a test that is followed live.

They are the main account's. Secrets never come into a page; the URL at which a carrier reports is shown to owners.
"""

from typing import Any, Final

import msgspec
from starlette.responses import Response

from postdate.api import connections
from postdate.connectors.kinds import KINDS, Kind
from postdate.console.carrier_words import checked_of, title_of
from postdate.console.cursors import digest_of_view
from postdate.console.page import Action, Nav, Page, Screen
from postdate.console.sender_words import address_of, label_of, senders_of
from postdate.console.setting_forms import Shape, read_setting_form, refused_setting, setting_inputs
from postdate.console.standings import (
    OUTCOMES,
    connections_of,
    may_have_connections,
    senders_by_connection,
    standing_of,
)
from postdate.console.view import View
from postdate.core.address import Channel
from postdate.core.errors import Rejected
from postdate.core.message import Message, Status
from postdate.core.outcome import DoubtPolicy
from postdate.core.resources import Connection, Role
from postdate.core.sid import is_sid

_IN_USE: Final = 20001
_PATH: Final = "/connections"
_ONE: Final = "/connections/{sid}"
_GROUPS: Final = ("operator", "provider", "phone", "own")
_GROUP: Final = {
    "smpp": "operator", "smsgate": "phone", "httpsms": "phone", "generic": "own", "plain-http": "own", "apprise": "own",
}  # fmt: skip
_ENDS: Final = frozenset(
    {Status.DELIVERED, Status.UNDELIVERED, Status.READ, Status.FAILED, Status.CANCELED, Status.PARTIALLY_DELIVERED}
)


# -- the list ----------------------------------------------------------------------------------------------------------


async def show_all(view: View) -> Response:
    """Show how all connections are doing; for htmx the rows alone, and nothing where there is no news."""
    mine, using = connections_of(view), senders_by_connection(view)
    rows = [standing_of(view, one, len(using.get(one.name, ()))) for one in mine]
    built_in = ["sandbox"] + (["http"] if view.parts.settings.carrier_url is not None else [])
    digest = digest_of_view(rows)
    values: dict[str, Any] = {
        "rows": rows,
        "built_in": [(name, len(using.get(name, ()))) for name in built_in],
        "mine": may_have_connections(view),
        "live": f"{_PATH}?Seen={digest}",
        "rate": _rate,
    }
    if not view.by_htmx:
        return view.render("connections.html", **values)
    if view.query.text("Seen") == digest:
        return Response(status_code=204)
    return view.fragment("connections.html", "rows", **values)


def _rate(number: float) -> str:
    """Return segments per second with one decimal at most."""
    return f"{number:,.1f}".removesuffix(".0")


# -- a new one ---------------------------------------------------------------------------------------------------------


async def show_kinds(view: View) -> Response:
    """Show the kinds to choose from, and what each can do."""
    groups = {name: [kind for kind in KINDS.values() if _GROUP.get(kind.name, "provider") == name] for name in _GROUPS}
    return view.render(
        "connection_kinds.html",
        groups=groups,
        mine=may_have_connections(view),
        title_of=lambda kind: title_of(view.language, kind),
        checked_of=lambda kind: checked_of(view.language, kind),
        channels_of=_channels,
    )


def _channels(kind: Kind) -> list[str]:
    return [str(channel) for channel in Channel if channel in kind.channels]


async def show_new(view: View) -> Response:
    """Show the form for a new connection of a kind."""
    kind = _kind(view, view.params["kind"])
    return _form(view, kind, None, {})


async def create(view: View) -> Response:
    """Add a connection; it is opened at once."""
    kind = _kind(view, view.params["kind"])
    given = {
        "Kind": kind.name,
        "Name": (view.form.text("Name") or "").strip(),
        "Doubt": view.form.text("Doubt"),
        "Mps": view.form.text("Mps"),
        "Settings": read_setting_form(view, kind),
    }
    answer = await view.act(connections.create, given)
    view.about, view.detail = answer.json["sid"], answer.json["name"]
    return view.go(f"{_PATH}/{view.about}", "connections.created", name=view.detail)


def _form(view: View, kind: Kind, found: Connection | None, now: dict[str, Any]) -> Response:
    inputs = setting_inputs(view.language, kind, now)
    rarer = [one for one in inputs if not one.usual]
    return view.render(
        "connection_form.html",
        kind=kind,
        found=found,
        path=f"{_PATH}/{found.sid}/edit" if found is not None else f"{_PATH}/new/{kind.name}",
        title=title_of(view.language, kind),
        usual=[one for one in inputs if one.usual],
        rarer=rarer,
        refused=refused_setting(view.trouble, inputs),
        open=view.trouble is not None or any(one.is_set for one in rarer),
        policies=[policy for policy in DoubtPolicy if policy is not DoubtPolicy.QUERY or kind.can_ask],
        shapes=Shape,
    )


def _kind(view: View, name: str) -> Kind:
    kind = KINDS.get(name)
    if kind is None:
        raise Rejected(20404, view.t("connections.no_kind"))
    return kind


# -- one of them -------------------------------------------------------------------------------------------------------


async def show(view: View) -> Response:
    """Show one connection; for htmx how it is doing, or how its test is doing."""
    found = _found(view)
    standing = standing_of(view, found, 0)
    test = await _test(view)
    test_values: dict[str, Any] = {"test": test, "test_ends": _ended(found, test), "test_live": _test_path(found, test)}
    digest = digest_of_view([standing])
    live: dict[str, Any] = {
        "one": standing,
        "live": f"{_PATH}/{found.sid}?Seen={digest}",
        "rate": _rate,
        "outcomes": OUTCOMES,
    }
    if view.by_htmx and view.query.text("Part") == "test":
        return view.fragment("connection.html", "test_state", **test_values)
    if view.by_htmx and view.query.text("Seen") == digest:
        return Response(status_code=204)
    if view.by_htmx:
        return view.fragment("connection.html", "state", **live)
    return view.render("connection.html", **live, **test_values, **_about(view, found))


def _about(view: View, found: Connection) -> dict[str, Any]:
    """Return what does not change by itself."""
    kind, owner = KINDS.get(found.kind), view.may(Role.OWNER)
    now = _settings(view, found)
    users = senders_by_connection(view).get(found.name, [])
    return {
        "kind": kind,
        "found": found,
        "path": f"{_PATH}/{found.sid}",
        "checked": checked_of(view.language, kind) if kind is not None else "",
        "settings": [one for one in setting_inputs(view.language, kind, now) if one.is_set] if kind and owner else [],
        "shapes": Shape,
        "events_url": view.parts.events_url(found) if kind is not None and kind.calls_us and owner else "",
        "senders": [(one, label_of(view, one)) for one in users],
        "from_choices": [
            (one.address, label_of(view, one)) for one in senders_of(view) if one.connection == found.name
        ],
        "address_of": lambda sender: address_of(view, sender),
    }


def _found(view: View) -> Connection:
    found = view.parts.directory.find(Connection, view.params["sid"])
    if found is None or found.account_sid != view.account.sid:
        raise Rejected(20404, view.t("connections.not_found"))
    view.detail = found.name
    return found


def _settings(view: View, found: Connection) -> dict[str, Any]:
    """Return the settings that somebody chose, of secrets only that they are set."""
    hidden = msgspec.json.decode(view.parts.directory.unseal(found.sealed), type=dict[str, Any])
    return {**found.settings, **dict.fromkeys(hidden, connections.HIDDEN)}


async def show_edit(view: View) -> Response:
    """Show the form to change one."""
    found = _found(view)
    return _form(view, _kind(view, found.kind), found, _settings(view, found))


async def save(view: View) -> Response:
    """Change settings, rate or policy; what is under way is finished with the old settings."""
    found = _found(view)
    given = {
        "Doubt": view.form.text("Doubt"),
        "Mps": view.form.text("Mps") or "0",
        "Settings": read_setting_form(view, _kind(view, found.kind)),
    }
    await view.act(connections.update, given)
    return view.go(f"{_PATH}/{found.sid}", "frame.saved")


async def pause(view: View) -> Response:
    """Pause a connection, or let it go on."""
    found, off = _found(view), view.form.flag("Paused") or False
    await view.act(connections.update, {"Paused": "true" if off else "false"})
    return view.go(
        f"{_PATH}/{found.sid}", "connections.was_paused" if off else "connections.was_resumed", name=found.name
    )


async def remove(view: View) -> Response:
    """Remove a connection; the API refuses while senders use it, and they are told here as the viewer sees numbers."""
    found = _found(view)
    try:
        await view.act(connections.delete, {}, method="DELETE")
    except Rejected as error:
        users = senders_by_connection(view).get(found.name, [])
        if error.code != _IN_USE or not users:
            raise
        raise Rejected(_IN_USE, view.t("connections.in_use", name=label_of(view, users[0]), count=len(users))) from None
    return view.go(_PATH, "connections.removed", name=found.name)


# -- a test ------------------------------------------------------------------------------------------------------------


async def send_test(view: View) -> Response:
    """Send one message, and follow it on the page."""
    found = _found(view)
    given = {
        "To": (view.form.text("To") or "").strip() or None,
        "From": view.form.text("From"),
        "Body": view.form.text("Body") or view.t("connections.test_body_default"),
    }
    answer = await view.act(connections.send_test, given)
    return view.go(f"{_PATH}/{found.sid}?Test={answer.json['sid']}#test")


async def _test(view: View) -> Message | None:
    sid = view.query.text("Test") or ""
    return await view.parts.store.message(view.account.sid, sid) if is_sid(sid, "SM", "MM") else None


def _ended(found: Connection, test: Message | None) -> bool:
    """Say whether nothing more is to be heard of a test."""
    kind = KINDS.get(found.kind)
    last = test is not None and test.status is Status.SENT and kind is not None and not kind.receipts
    return test is None or last or test.status in _ENDS


def _test_path(found: Connection, test: Message | None) -> str:
    return f"{_PATH}/{found.sid}?Test={test.sid}&Part=test" if test is not None else ""


SCREEN = Screen(
    "connections",
    pages=(
        Page(_PATH, show_all),
        Page(f"{_PATH}/new", show_kinds, Role.OWNER),
        Page(f"{_PATH}/new/{{kind}}", show_new, Role.OWNER),
        Page(_ONE, show),
        Page(f"{_ONE}/edit", show_edit, Role.OWNER),
    ),
    actions=(
        Action("create", f"{_PATH}/new/{{kind}}", create, back=show_new),
        Action("save", f"{_ONE}/edit", save, back=show_edit),
        Action("pause", f"{_ONE}/pause", pause, Role.OPERATOR, back=show),
        Action("test", f"{_ONE}/test", send_test, Role.OPERATOR, back=show),
        Action("remove", f"{_ONE}/remove", remove, back=show),
    ),
    nav=Nav("connections", "setup"),
)
