"""Numbers and senders: phone numbers, short codes, senders on WhatsApp and other channels, and names (alpha senders).

They are registered here, as a carrier gave them; an alpha sender is made and ends in its messaging service.
"""

from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from postdate.api import channel_senders, numbers
from postdate.api.endpoint import Handler
from postdate.console.page import Action, Nav, Page, Screen
from postdate.console.screens.services import join, leave
from postdate.console.sender_words import (
    address_of,
    connection_choices,
    found_by,
    label_of,
    name_of,
    senders_of,
    service_choices,
    services_of,
)
from postdate.console.view import View
from postdate.core.address import Channel, SenderKind
from postdate.core.errors import Rejected
from postdate.core.resources import Application, Connection, Role, Sender

PAGE_SIZE: Final = 50
_PATH: Final = "/numbers"
_ONE: Final = "/numbers/{sid}"
_LONGEST_PAGE: Final = 6
_REGISTERED: Final = (SenderKind.PHONE_NUMBER, SenderKind.SHORT_CODE, SenderKind.CHANNEL)
_CHANNELS: Final = tuple(channel for channel in Channel if channel is not Channel.SMS)
_CREATE: Final[dict[SenderKind, Handler]] = {
    SenderKind.PHONE_NUMBER: numbers.create_number,
    SenderKind.SHORT_CODE: numbers.create_code,
    SenderKind.CHANNEL: channel_senders.create,
}
_UPDATE: Final[dict[SenderKind, Handler]] = {
    SenderKind.PHONE_NUMBER: numbers.update_number,
    SenderKind.SHORT_CODE: numbers.update_code,
    SenderKind.CHANNEL: channel_senders.update,
}
_DELETE: Final[dict[SenderKind, Handler]] = {
    SenderKind.PHONE_NUMBER: numbers.delete_number,
    SenderKind.SHORT_CODE: numbers.delete_code,
    SenderKind.CHANNEL: channel_senders.delete,
}


# -- the list ----------------------------------------------------------------------------------------------------------


async def show_all(view: View) -> Response:
    """Show the account's senders: of one kind, found by a part of address or name, a page at a time."""
    kind, search = view.query.text("Kind") or "", (view.query.text("Search") or "").strip()
    mine = senders_of(view)
    counts = {one: sum(sender.kind is one for sender in mine) for one in SenderKind}
    found = [one for one in mine if kind in ("", one.kind)]
    found = found_by(view, found, search) if search else found
    page = _page_number(view.query.text("Page"))
    here = found[page * PAGE_SIZE : (page + 1) * PAGE_SIZE]
    connections = {one.name: one.sid for one in view.parts.directory.every(Connection) if _may_open(view, one)}
    return view.render(
        "numbers.html",
        rows=here,
        total=len(mine),
        tabs=[("", len(mine)), *counts.items()],
        kind=kind,
        search=search,
        services=services_of(view),
        connections=connections,
        name_of=lambda sender: name_of(view, sender),
        before=_address(kind, search, page - 1) if page else "",
        after=_address(kind, search, page + 1) if len(found) > (page + 1) * PAGE_SIZE else "",
    )


def _page_number(text: str | None) -> int:
    known = text is not None and text.isascii() and text.isdigit() and len(text) <= _LONGEST_PAGE
    return int(text) if known and text else 0


def _address(kind: str, search: str, page: int) -> str:
    given = {"Kind": kind, "Search": search, "Page": str(page) if page else ""}
    return f"{_PATH}?{urlencode({name: value for name, value in given.items() if value})}"


def _may_open(view: View, one: Connection) -> bool:
    return one.account_sid == view.account.sid


# -- a new one ---------------------------------------------------------------------------------------------------------


async def show_new(view: View) -> Response:
    """Show the form for a new one, of the kind that is asked for."""
    kind = _kind(view.form.text("Kind") or view.query.text("Kind"))
    return view.render(
        "number_new.html",
        kind=kind,
        tabs=[(f"{_PATH}/new?Kind={one}", view.t(f"numbers.kinds.{one}")) for one in _REGISTERED],
        here=f"{_PATH}/new?Kind={kind}",
        channels=[(str(one), view.t(f"numbers.channels.{one}")) for one in _CHANNELS],
        connections=connection_choices(view),
        services=service_choices(view),
        settings=view.parts.settings,
    )


def _kind(text: str | None) -> SenderKind:
    return next((kind for kind in _REGISTERED if kind == text), SenderKind.PHONE_NUMBER)


async def create(view: View) -> Response:
    """Register a sender, and let it join the messaging service that was chosen."""
    kind = _kind(view.form.text("Kind"))
    given = {name: view.form.text(name) for name in ("FriendlyName", "Mps", "Connection", "IsoCountry")}
    for name in ("PhoneNumber", "ShortCode"):
        given[name] = (view.form.text(name) or "").strip() or None
    address = (view.form.text("Address") or "").strip()
    given["Sender"] = f"{view.form.text('Channel') or Channel.WHATSAPP}:{address}" if address else None
    given["Mms"] = view.form.text("Mms")
    answer = await view.act(_CREATE[kind], given)
    view.about = sid = answer.json["sid"]
    service_sid = view.form.text("MessagingServiceSid")
    if service_sid is not None:
        try:
            await join(view, service_sid, sid)
        except Rejected:
            return view.go(f"{_PATH}/{sid}", "numbers.created_alone")
    return view.go(f"{_PATH}/{sid}", "numbers.created")


# -- one of them -------------------------------------------------------------------------------------------------------


async def show(view: View) -> Response:
    """Show one sender and the forms to change it."""
    sender = _found(view)
    applications = [one for one in view.parts.directory.every(Application) if one.account_sid == view.account.sid]
    return view.render(
        "number.html",
        sender=sender,
        address=address_of(view, sender),
        name=name_of(view, sender),
        path=f"{_PATH}/{sender.sid}",
        service=services_of(view).get(sender.service_sid or ""),
        services=service_choices(view),
        connections=connection_choices(view, sender.connection),
        applications=[("", view.t("numbers.no_application")), *((one.sid, one.friendly_name) for one in applications)],
    )


def _found(view: View) -> Sender:
    sender = view.parts.directory.find(Sender, view.params["sid"])
    if sender is None or sender.account_sid != view.account.sid:
        raise Rejected(20404, view.t("numbers.not_found"))
    view.detail = sender.address
    return sender


async def save(view: View) -> Response:
    """Change a sender's name, rate, way out or URLs; an empty name leaves the one that it has."""
    sender = _found(view)
    if sender.kind is SenderKind.ALPHA:
        raise Rejected(20001, view.t("numbers.alpha_fixed"))
    given: dict[str, Any] = {name: view.form.all(name) for name in _FIELDS if name in view.form}
    if not view.form.text("FriendlyName"):
        given.pop("FriendlyName", None)
    await view.act(_UPDATE[sender.kind], given)
    return view.go(f"{_PATH}/{sender.sid}", "frame.saved")


_FIELDS: Final = (
    "FriendlyName", "Mps", "Connection", "Mms", "SmsUrl", "SmsMethod", "SmsFallbackUrl", "SmsFallbackMethod",
    "StatusCallback", "StatusCallbackMethod", "SmsApplicationSid",
)  # fmt: skip


async def move(view: View) -> Response:
    """Move a sender to another messaging service, or out of the one it is in; where it may not join, it stays."""
    sender, wanted = _found(view), view.form.text("MessagingServiceSid")
    before = sender.service_sid
    if sender.kind is SenderKind.ALPHA:
        raise Rejected(20001, view.t("numbers.alpha_fixed"))
    if wanted is not None and wanted not in services_of(view):
        raise Rejected(21701)
    if before is not None and before != wanted:
        await leave(view, before, sender)
    if wanted is not None:
        try:
            await join(view, wanted, sender.sid)
        except Rejected:
            if before is not None and before != wanted:
                await join(view, before, sender.sid)
            raise
    return view.go(f"{_PATH}/{sender.sid}", "numbers.moved" if wanted else "numbers.freed")


async def remove(view: View) -> Response:
    """Remove a sender from the account."""
    sender = _found(view)
    if sender.kind is SenderKind.ALPHA and sender.service_sid is not None:
        await leave(view, sender.service_sid, sender)
    else:
        await view.act(_DELETE[sender.kind], {}, method="DELETE")
    return view.go(_PATH, "numbers.removed", name=label_of(view, sender))


SCREEN = Screen(
    "numbers",
    pages=(Page(_PATH, show_all), Page(f"{_PATH}/new", show_new, Role.OWNER), Page(_ONE, show)),
    actions=(
        Action("create", f"{_PATH}/new", create, back=show_new),
        Action("save", _ONE, save, back=show),
        Action("move", f"{_ONE}/service", move, back=show),
        Action("remove", f"{_ONE}/remove", remove, back=show),
    ),
    nav=Nav("senders", "setup"),
)
