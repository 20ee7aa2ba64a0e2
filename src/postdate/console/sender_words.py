"""Senders as pages name them, and the choices that forms about them offer."""

from collections.abc import Iterable
from typing import Final

from postdate.console.view import View
from postdate.core.address import SenderKind
from postdate.core.resources import Connection, Sender, Service

_SHOWN_DIGITS: Final = 2


def senders_of(view: View) -> list[Sender]:
    """Return the senders of the account that is shown, in the order they were made."""
    return [found for found in view.parts.directory.every(Sender) if found.account_sid == view.account.sid]


def services_of(view: View) -> dict[str, Service]:
    """Return the messaging services of the account that is shown, by SID."""
    every = view.parts.directory.every(Service)
    return {found.sid: found for found in every if found.account_sid == view.account.sid}


def address_of(view: View, sender: Sender) -> str:
    """Return a sender's address as plain text: a number is hidden where the viewer hides numbers, a name is not."""
    if view.hides and sender.kind is not SenderKind.ALPHA:
        return f"••••{sender.address[-_SHOWN_DIGITS:]}"
    return sender.address


def name_of(view: View, sender: Sender) -> str:
    """Return a sender's own name; empty where it has none but its address."""
    return "" if sender.friendly_name == sender.address else sender.friendly_name


def label_of(view: View, sender: Sender) -> str:
    """Return address and name in one line, for a list to choose from."""
    return " · ".join(filter(None, (address_of(view, sender), name_of(view, sender))))


def connection_choices(view: View, chosen: str = "") -> list[tuple[str, str]]:
    """Return the names of the connections that a sender of this account may go out by, the chosen one among them."""
    mine = (view.account.sid, view.account.owner_sid)
    names = ["sandbox"]
    names += ["http"] if view.parts.settings.carrier_url is not None else []
    names += sorted(found.name for found in view.parts.directory.every(Connection) if found.account_sid in mine)
    if chosen and chosen not in names:
        names.append(chosen)
    return [(name, view.t("numbers.sandbox") if name == "sandbox" else name) for name in names]


def service_choices(view: View) -> list[tuple[str, str]]:
    """Return the messaging services to choose from, and none."""
    return [("", view.t("numbers.no_service")), *((sid, one.friendly_name) for sid, one in services_of(view).items())]


def found_by(view: View, senders: Iterable[Sender], text: str) -> list[Sender]:
    """Return the senders whose address or name has this text in it."""
    wanted = text.casefold()
    return [one for one in senders if wanted in one.address.casefold() or wanted in one.friendly_name.casefold()]
