"""The one way into every page and action: who is it, may he, is it his own form; then the page, then the headers.

Whoever has not signed in is sent to sign in. What changes something needs the form's token, which is bound to the
browser's session and the account that the page showed, and must not come from another site.
"""

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from postdate.api.endpoint import HungUp, read_body
from postdate.api.twilio import Form, read_form
from postdate.console import cookies, languages, times
from postdate.console.audit import keep
from postdate.console.page import Action, Page, Screen
from postdate.console.roles import accounts_of, standing_of
from postdate.console.tools import Tools
from postdate.console.view import Place, View
from postdate.core.errors import Rejected
from postdate.core.resources import User
from postdate.store.contract import StoreError

VIEW = "postdate.view"  # where the server's last resort finds who asked
TOKEN_FIELD = "_token"
_TOKEN_HEADER = "x-form-token"
_VISIT_BYTES = 24


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path of the console, as an ASGI application: what is shown there, and what is done there."""

    tools: Tools
    screens: Sequence[Screen]
    screen: Screen
    page: Page | None
    action: Action | None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            sent = await self._sent(scope, receive)
        except HungUp:
            return
        # Only now: while a form was on its way, the session may have ended or the role been taken away.
        view = scope[VIEW] = look(self.tools, HttpRequest(scope), self.screens, self.screen.name)
        response = await self._answer(view, sent)
        if view.session is None and not cookies.read(view.http.cookies, cookies.VISIT, view.is_secure):
            cookies.put(response, cookies.VISIT, view.token, view.is_secure)
        await response(scope, receive, send)

    async def _sent(self, scope: Scope, receive: Receive) -> Form | Rejected:
        """Return the form that was sent; why it cannot be taken is told once it is known who asks."""
        if scope["method"] != "POST":
            return Form({})
        settings = self.tools.parts.settings
        try:
            body = await read_body(receive, dict(scope["headers"]), settings.max_body_bytes)
            return read_form(body, settings.max_parameters)
        except Rejected as error:
            return error

    async def _answer(self, view: View, sent: Form | Rejected) -> Response:
        wanted = self.page if view.http.method in ("GET", "HEAD") else self.action
        if wanted is None or view.http.method not in ("GET", "HEAD", "POST"):
            return view.error(405)
        if not wanted.public and view.session is None:
            return _to_sign_in(view)
        if not wanted.public and not _may_use(view, wanted):
            return view.error(403)
        if view.session is not None and not view.polls:
            await self.tools.sessions.touch(view.session)
        try:
            if isinstance(wanted, Action):
                return await self._do(view, wanted, sent)
            return await wanted.show(view)
        except Rejected as error:
            return view.error(error.http_status, error)
        except StoreError as error:
            return view.error(503, Rejected(20503, str(error)))

    async def _do(self, view: View, action: Action, sent: Form | Rejected) -> Response:
        if isinstance(sent, Rejected):
            raise sent
        view.form = sent
        if not _is_own(view):
            return view.error(419)
        deed = f"{self.screen.name}.{action.name}"
        try:
            response = await action.do(view)
            if action.audited:
                await keep(view, deed)
            return response
        except Rejected as error:
            if action.audited:
                await keep(view, deed, error.code)
            if action.back is None:
                raise
            view.trouble = error
            return await action.back(view)


# -- who it is ---------------------------------------------------------------------------------------------------------


def look(tools: Tools, http: HttpRequest, screens: Sequence[Screen], screen: str) -> View:
    """Return the view of whoever asks; a session whose user or account is there no more is none."""
    view = _view(tools, http)
    view.screen = screen
    if view.session is not None:
        view.accounts = accounts_of(tools.parts.directory, view.user)
        view.places = _places(view, screens)
        view.deeds = [one.name for one in screens if any(action.audited for action in one.actions)]
    return view


def _view(tools: Tools, http: HttpRequest) -> View:
    directory, secure = tools.parts.directory, tools.is_secure(http.scope["scheme"])
    query = _read_query(http, tools.parts.settings.max_parameters)
    token = cookies.read(http.cookies, cookies.SESSION, secure)
    session = tools.sessions.find(token) if token else None
    user = directory.find(User, session.user_sid) if session is not None else None
    if session is None or user is None or user.disabled:
        visit = cookies.read(http.cookies, cookies.VISIT, secure) or secrets.token_urlsafe(_VISIT_BYTES)
        nobody = tools.parts.nobody
        return _styled(
            View(tools, http, query, visit, nobody, nobody), cookies.read(http.cookies, cookies.LANGUAGE, secure)
        )
    accounts = accounts_of(directory, user)
    # The first of them where the one that was looked at was closed, or the role for it taken away.
    account = next(
        (one for one in accounts if one.sid == session.account_sid), next(iter(accounts), tools.parts.nobody)
    )
    standing = standing_of(directory, user, account)
    role, actor = standing if standing is not None else (None, tools.parts.nobody)
    return _styled(View(tools, http, query, token, account, actor, user, session, role), user.language)


def _styled(view: View, language: str | None) -> View:
    wanted = language or ""
    known = wanted in languages.LANGUAGES
    view.language = wanted if known else languages.preferred(view.http.headers.get("accept-language", ""))
    seen = view.http.cookies
    view.zone = times.zone_named(view.user.zone) or times.zone_named(seen.get(cookies.ZONE)) or view.zone
    view.theme = theme if (theme := seen.get(cookies.THEME, "")) in cookies.THEMES else ""
    return view


def _read_query(http: HttpRequest, most: int) -> Form:
    """Return the query; one that cannot be read is as good as none, for a page is shown in any case."""
    try:
        return read_form(http.scope["query_string"], most)
    except Rejected:
        return Form({})


def _places(view: View, screens: Sequence[Screen]) -> list[Place]:
    """Return the navigation: the screens that the viewer's role may see."""
    return [
        Place(
            f"{screen.name}.title", screen.pages[0].path, screen.nav.icon, screen.nav.group, screen.name == view.screen
        )
        for screen in screens
        if screen.nav is not None and _may_use(view, screen.pages[0])
    ]


def _may_use(view: View, wanted: Page | Action) -> bool:
    """Say whether the viewer's role is enough, and is one for a main account where the node itself is shown."""
    if view.role is None or not view.role.covers(wanted.role):
        return False
    return not (isinstance(wanted, Page) and wanted.node) or view.actor.sid == view.actor.owner_sid


def _to_sign_in(view: View) -> Response:
    """Send to sign in, and from there back to where it was wanted to go."""
    http = view.http
    if http.method not in ("GET", "HEAD") or view.by_htmx:
        return view.go("/sign-in")
    wanted = http.scope["path"] + (f"?{http.url.query}" if http.url.query else "")
    return view.go(f"/sign-in?next={quote(wanted, safe='')}")


# -- whether it is his own form ---------------------------------------------------------------------------------------


def _is_own(view: View) -> bool:
    """Say whether a form was made by the console for this browser and account, and sent from there."""
    headers = view.http.headers
    site = headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        return False
    sent = headers.get(_TOKEN_HEADER) or view.form.one(TOKEN_FIELD) or ""
    return hmac.compare_digest(sent.encode("utf-8", "replace"), view.form_token.encode())
