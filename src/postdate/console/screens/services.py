"""Messaging services: the list, a new one, and its pages one beside the other, as the tabs of one service.

Sender pool: who is in it, who may join, names (alpha senders). What a setting does not do here is said where it is set.
"""

from collections.abc import Sequence
from typing import Any, Final

from starlette.responses import Response

from postdate.api import pools, services
from postdate.console.page import Action, Nav, Page, Screen, Show
from postdate.console.sender_words import connection_choices, label_of, senders_of, services_of
from postdate.console.view import View
from postdate.console.windows import in_words
from postdate.core.address import SenderKind
from postdate.core.errors import Rejected
from postdate.core.keywords import Keyword, words_of
from postdate.core.resources import Role, Sender, Service

TABS: Final = {
    "properties": "",
    "senders": "/senders",
    "integration": "/integration",
    "content": "/content",
    "compliance": "/compliance",
    "schedule": "/schedule",
}
USECASES: Final = ("notifications", "marketing", "verification", "discussion", "poll", "undeclared")
EXAMPLES: Final = ("60m..7d", "5m..35d", "15m..90d", "0s..")
POOLS: Final[dict[SenderKind, pools.JoinedPool | pools.AlphaPool]] = {
    SenderKind.PHONE_NUMBER: pools.PHONE_NUMBERS,
    SenderKind.SHORT_CODE: pools.SHORT_CODES,
    SenderKind.CHANNEL: pools.CHANNEL_SENDERS,
    SenderKind.ALPHA: pools.DESTINATION_ALPHA_SENDERS,
}
_PARAMETERS: Final = {
    SenderKind.PHONE_NUMBER: "PhoneNumberSid",
    SenderKind.SHORT_CODE: "ShortCodeSid",
    SenderKind.CHANNEL: "Sid",
}


# -- the list, and a new one -------------------------------------------------------------------------------------------


async def show_all(view: View) -> Response:
    """Show the messaging services."""
    directory = view.parts.directory
    rows = [
        {"service": one, "senders": len(directory.pool(one.sid)), "window": _window(view, one)}
        for one in sorted(services_of(view).values(), key=lambda one: one.friendly_name.casefold())
    ]
    return view.render("services.html", rows=rows)


async def show_new(view: View) -> Response:
    """Show the form for a new one."""
    return view.render("service_new.html", usecases=_usecases(view))


async def create(view: View) -> Response:
    """Make a messaging service; the next thing to do is to give it senders."""
    answer = await view.act(services.create)
    view.about, view.detail = answer.json["sid"], answer.json["friendly_name"]
    return view.go(f"/services/{view.about}/senders", "services.created", name=view.detail)


# -- the pages of one --------------------------------------------------------------------------------------------------


async def show_properties(view: View) -> Response:
    """Show name, SID and rules."""
    service = _found(view)
    return _page(
        view,
        "properties",
        service,
        usecases=_usecases(view),
        window=_window(view, service),
        senders=len(view.parts.directory.pool(service.sid)),
    )


async def show_senders(view: View) -> Response:
    """Show the sender pool, and who may join it."""
    service = _found(view)
    mine = senders_of(view)
    free = [(one.sid, one) for one in mine if one.service_sid is None and one.kind is not SenderKind.ALPHA]
    elsewhere = sum(one.service_sid not in (None, service.sid) for one in mine if one.kind is not SenderKind.ALPHA)
    return _page(
        view,
        "senders",
        service,
        pool=view.parts.directory.pool(service.sid),
        free=free,
        elsewhere=elsewhere,
        connections=connection_choices(view),
        label_of=lambda sender: label_of(view, sender),
    )


async def show_integration(view: View) -> Response:
    """Show the URLs."""
    return _page(view, "integration", _found(view))


async def show_content(view: View) -> Response:
    """Show what is done with texts and media."""
    return _page(view, "content", _found(view))


async def show_compliance(view: View) -> Response:
    """Show what recipients may answer to be left alone, and what is registered with nobody."""
    words = {str(keyword): words_of(keyword) for keyword in Keyword}
    return _page(view, "compliance", _found(view), words=words)


async def show_schedule(view: View) -> Response:
    """Show how far ahead one may schedule."""
    service = _found(view)
    return _page(
        view,
        "schedule",
        service,
        window=_window(view, service),
        nodes=in_words(view, view.parts.settings.schedule_window),
        examples=[in_words(view, text) for text in EXAMPLES],
    )


def _page(view: View, tab: str, service: Service, **values: Any) -> Response:
    path = f"/services/{service.sid}"
    tabs = [(path + end, view.t(f"services.tabs.{name}")) for name, end in TABS.items()]
    return view.render(
        f"service_{tab}.html",
        service=service,
        path=path,
        tabs=tabs,
        here=path + TABS[tab],
        owner=view.may("owner"),
        **values,
    )


def _found(view: View) -> Service:
    service = services_of(view).get(view.params["sid"])
    if service is None:
        raise Rejected(20404, view.t("services.not_found"))
    return service


def _window(view: View, service: Service) -> Any:
    return in_words(view, service.schedule_window or view.parts.settings.schedule_window)


def _usecases(view: View) -> Sequence[tuple[str, str]]:
    return [(name, view.t(f"services.usecases.{name}")) for name in USECASES]


# -- what is done ------------------------------------------------------------------------------------------------------


def _saving(tab: str) -> Show:
    async def save(view: View) -> Response:
        """Change what the form of one tab has."""
        answer = await view.act(services.update)
        view.detail = answer.json["friendly_name"]
        return view.go(f"/services/{view.params['sid']}{tab}", "frame.saved")

    return save


async def add_senders(view: View) -> Response:
    """Let senders of the account join the pool, one after the other."""
    service = _found(view)
    chosen = view.form.all("SenderSid")
    if not chosen:
        raise Rejected(20001, view.t("services.none_chosen"))
    for sid in chosen:
        await join(view, service.sid, sid)
    view.detail = service.friendly_name
    return view.go(f"/services/{service.sid}/senders", "services.added", count=len(chosen))


async def join(view: View, service_sid: str, sender_sid: str) -> None:
    """Let one sender join a service, by the API; raise what it raises."""
    sender = view.parts.directory.find(Sender, sender_sid)
    kind = sender.kind if sender is not None else SenderKind.PHONE_NUMBER
    if kind is SenderKind.ALPHA:
        raise Rejected(20404, view.t("services.no_alpha"))
    pool = POOLS[kind]
    await view.act(pool.create, {_PARAMETERS[kind]: sender_sid}, {"service_sid": service_sid})


async def leave(view: View, service_sid: str, sender: Sender) -> None:
    """Take one sender out of a service, by the API; an alpha sender ends with that."""
    params = {"service_sid": service_sid, "sid": sender.sid}
    await view.act(POOLS[sender.kind].delete, {}, params, method="DELETE")


async def add_alpha(view: View) -> Response:
    """Make an alpha sender in the pool."""
    service = _found(view)
    answer = await view.act(pools.DESTINATION_ALPHA_SENDERS.create, params={"service_sid": service.sid})
    view.detail = answer.json["alpha_sender"]
    return view.go(f"/services/{service.sid}/senders", "services.alpha_added", name=view.detail)


async def remove_sender(view: View) -> Response:
    """Take a sender out of the pool."""
    service = _found(view)
    sid = view.form.text("SenderSid") or ""
    sender = next((one for one in view.parts.directory.pool(service.sid) if one.sid == sid), None)
    if sender is None:
        raise Rejected(21711)
    await leave(view, service.sid, sender)
    view.detail = service.friendly_name
    return view.go(f"/services/{service.sid}/senders", "services.taken_out")


async def remove(view: View) -> Response:
    """Remove a messaging service."""
    view.detail = _found(view).friendly_name
    await view.act(services.delete, {}, method="DELETE")
    return view.go("/services", "services.removed", name=view.detail)


_ONE: Final = "/services/{sid}"

SCREEN = Screen(
    "services",
    pages=(
        Page("/services", show_all),
        Page("/services/new", show_new, Role.OWNER),
        Page(_ONE, show_properties),
        Page(f"{_ONE}/senders", show_senders),
        Page(f"{_ONE}/integration", show_integration),
        Page(f"{_ONE}/content", show_content),
        Page(f"{_ONE}/compliance", show_compliance),
        Page(f"{_ONE}/schedule", show_schedule),
    ),
    actions=(
        Action("create", "/services/new", create, back=show_new),
        Action("properties", _ONE, _saving(""), back=show_properties),
        Action("add_senders", f"{_ONE}/senders", add_senders, back=show_senders),
        Action("add_alpha", f"{_ONE}/senders/alpha", add_alpha, back=show_senders),
        Action("remove_sender", f"{_ONE}/senders/remove", remove_sender, back=show_senders),
        Action("integration", f"{_ONE}/integration", _saving("/integration"), back=show_integration),
        Action("content", f"{_ONE}/content", _saving("/content"), back=show_content),
        Action("schedule", f"{_ONE}/schedule", _saving("/schedule"), back=show_schedule),
        Action("remove", f"{_ONE}/remove", remove, back=show_properties),
    ),
    nav=Nav("services", "setup"),
)
