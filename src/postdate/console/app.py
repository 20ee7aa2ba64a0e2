"""The console as an ASGI application: every screen in one list, and how to write one.

A screen is a file in `screens/`, templates, and a catalogue for each language:

    # screens/numbers.py
    async def show(view: View) -> Response:
        return view.render("numbers.html", rows=view.parts.directory.every(Sender))

    async def rename(view: View) -> Response:
        await view.act(api.numbers.update_number, params={"sid": view.params["sid"]})   # the API's own handler
        view.about = view.params["sid"]                                                # for the audit log
        return view.go("/numbers", note="numbers.renamed")                             # 303, and a toast there

    SCREEN = Screen("numbers", pages=(Page("/numbers", show),), nav=Nav("senders", "setup"),
                    actions=(Action("rename", "/numbers/{sid}", rename, Role.OWNER, back=show),))

Then one line in SCREENS below: its place there is its place in the navigation. The role of a page or action is checked
by the gate, from this table; `view.may("operator")` only says what to show. What `do` lets the API reject (`Rejected`)
is shown by `back` with the person's input kept: `view.trouble`, `view.given("FriendlyName", sender.friendly_name)`,
`view.ticked(...)`; the macro `ui.trouble()` says it. A person's own form is handed on as it is where `view.act` is
given none; field names are those of the API. Reads may use `view.parts` (store, directory, connections) directly.

    {# templates/numbers.html #}
    {% extends "layout.html" %}
    {% block title %}{{ t("numbers.title") }}{% endblock %}
    {% block main %}
    {{ ui.head(t("numbers.title")) }}
    {% call ui.form("/numbers/" ~ row.sid) %}{{ ui.field("FriendlyName", t("numbers.name"), row.friendly_name) }}
    {{ ui.submit(t("frame.save")) }}{% endcall %}
    {% endblock %}

`ui` are the macros of `templates/macros.html`. No text stands in a template: `t("numbers.count", count=3)` takes it
from `messages/<language>/numbers.toml`, one file a screen, with `title` for the navigation and `did.rename` for the
audit log; both languages have the same keys. Times are
`{{ time(at) }}`, numbers and bodies `{{ ui.number(x) }}` and `{{ ui.body(x) }}`, which hide where the viewer hides.
htmx: answer `view.fragment("numbers.html", "rows", ...)`, a block of the page; the form's token goes along by itself.
There is no inline script or style (the content-security policy forbids it); a screen's own files are
`static/<screen>.css` and `.js`, named in its `{% block extra %}` by `asset("...")`.
"""

from collections.abc import Sequence

from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from postdate.api.parts import Parts
from postdate.clock import Clock
from postdate.console import assets
from postdate.console.gate import VIEW, Endpoint, look
from postdate.console.page import Screen
from postdate.console.rendering import PREFIX
from postdate.console.screens import (
    agenda,
    audit_log,
    clock,
    compose,
    connections,
    handset,
    keys,
    messages,
    numbers,
    overview,
    profile,
    services,
    settings,
    sign_in,
    users,
    webhooks,
)
from postdate.console.tools import Tools

# In the order of the navigation.
SCREENS: tuple[Screen, ...] = (
    overview.SCREEN,
    sign_in.SCREEN,
    profile.SCREEN,
    messages.SCREEN,
    agenda.SCREEN,
    compose.SCREEN,
    services.SCREEN,
    numbers.SCREEN,
    connections.SCREEN,
    handset.SCREEN,
    webhooks.SCREEN,
    clock.SCREEN,
    keys.SCREEN,
    users.SCREEN,
    audit_log.SCREEN,
    settings.SCREEN,
)

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    b"content-security-policy": _POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    # Not `no-referrer`: with that a browser says `Origin: null` of our own forms.
    b"referrer-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}


class Console:
    """The ASGI application below /console."""

    def __init__(self, parts: Parts, watch: Clock, screens: Sequence[Screen] = SCREENS) -> None:
        self.tools = Tools.make(parts, watch)
        self._screens = tuple(screen for screen in screens if screen.on(parts))
        router = Router(_routes(self.tools, self._screens), redirect_slashes=False, default=self._not_found)
        self._router: ASGIApp = ServerErrorMiddleware(router, handler=self._failed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; every answer has the headers that keep other sites out."""
        scope = {**scope, "path": scope["path"].removeprefix(PREFIX).rstrip("/") or "/"}
        await self._router(scope, receive, _guarded(send))

    def way_in(self, account_sid: str) -> str:
        """Return the path of a new one-time link for the owner of an account; it is in nobody's log."""
        return f"{PREFIX}/welcome?key={self.tools.links.make(account_sid)}"

    async def landing(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a browser at the root of the node: a page that points to the console."""
        view = look(self.tools, HttpRequest(scope), self._screens, "")
        await view.render("landing.html")(scope, receive, _guarded(send))

    async def _not_found(self, scope: Scope, receive: Receive, send: Send) -> None:
        view = look(self.tools, HttpRequest(scope), self._screens, "")
        if scope["path"] == "/" and view.places:
            response = view.go(view.places[0].path)
        elif view.session is None:
            response = view.go("/sign-in")
        else:
            response = view.error(404)
        await response(scope, receive, send)

    async def _failed(self, request: HttpRequest, error: Exception) -> Response:
        """Answer what no page expected; the error itself goes to the log, never to the browser."""
        view = request.scope.get(VIEW) or look(self.tools, request, self._screens, "")
        return view.error(500)


def _routes(tools: Tools, screens: Sequence[Screen]) -> list[BaseRoute]:
    """Return a route for each path; a path may both show and do."""
    routes: list[BaseRoute] = [Route(f"{assets.PATH}/{{name}}", assets.serve)]
    for screen in screens:
        pages = {page.path: page for page in screen.pages}
        actions = {action.path: action for action in screen.actions}
        for path in {**pages, **actions}:
            endpoint = Endpoint(tools, screens, screen, pages.get(path), actions.get(path))
            routes.append(Route(path, endpoint))
    return routes


def _guarded(send: Send) -> Send:
    """Return a way to answer that adds the headers; a page is kept nowhere unless it says so itself."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message["headers"])
            headers += [(name, value) for name, value in _HEADERS.items()]
            if not any(name == b"cache-control" for name, _ in headers):
                headers.append((b"cache-control", b"no-store"))
            message = {**message, "headers": headers}
        await send(message)

    return guarded
