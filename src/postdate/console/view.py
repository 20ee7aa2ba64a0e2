"""What a page or an action is given: who looks at which account, what was asked, and the ways to answer.

Templates see it as `view`; with it they have `t` (texts), `time`, `url`, `asset` and `sprite`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, RedirectResponse, Response

from postdate.api.endpoint import Answer, Handler
from postdate.api.parts import Parts
from postdate.api.twilio import Form
from postdate.clock import TestClock
from postdate.console import cookies, languages, times
from postdate.console.acting import Asked, Values, act, as_form
from postdate.console.cookies import Note
from postdate.console.rendering import PREFIX, render, render_block
from postdate.console.sessions import form_token
from postdate.console.tools import Tools
from postdate.core.callback import redacted
from postdate.core.errors import Rejected
from postdate.core.instant import Instant, format_iso_exact
from postdate.core.resources import Account, ConsoleSession, Role, User

NOBODY = User(sid="", name="", created_at=Instant(0), updated_at=Instant(0))
_UTC = ZoneInfo("UTC")
_LONGEST_PATH = 2_000
_SAFE_IN_URL = ":/%#?=@[]!$&'()*+,;"  # what has its meaning in an address; the rest is for a header to escape


class Place(NamedTuple):
    """An entry of the navigation."""

    title: str
    path: str
    icon: str
    group: str
    here: bool


@dataclass(slots=True)
class View:
    """One request of one browser. Without a session `user` is NOBODY and `account` the node's nobody."""

    tools: Tools
    http: HttpRequest
    query: Form
    token: str  # the browser's: forms are bound to it
    account: Account
    actor: Account
    user: User = NOBODY
    session: ConsoleSession | None = None
    role: Role | None = None
    language: str = languages.DEFAULT
    zone: ZoneInfo = _UTC
    theme: str = ""
    form: Form = field(default_factory=lambda: Form({}))
    trouble: Rejected | None = None  # why the form that is shown again was not carried out
    about: str = ""  # the SID that an action is about, for the audit log
    detail: str = ""  # what else the audit log says of it: a name, never a secret
    screen: str = ""
    places: Sequence[Place] = ()
    accounts: Sequence[Account] = ()
    deeds: Sequence[str] = ()  # the screens on which something can be done

    # -- what was asked ----------------------------------------------------------------------------------------------

    @property
    def parts(self) -> Parts:
        """Return the parts of the node: store, directory, connections, clock."""
        return self.tools.parts

    @property
    def params(self) -> Mapping[str, str]:
        """Return what stands in the path in place of `{names}`."""
        return self.http.path_params

    @property
    def now(self) -> Instant:
        """Return the node's time."""
        return self.parts.clock.now()

    @property
    def test_clock(self) -> TestClock | None:
        """Return the clock that can be moved, where the node runs on one."""
        clock = self.parts.clock
        return clock if isinstance(clock, TestClock) else None

    @property
    def address(self) -> str:
        """Return the address that the request came from."""
        return self.http.client.host if self.http.client is not None else ""

    @property
    def is_secure(self) -> bool:
        """Say whether the browser reaches the node by https."""
        return self.tools.is_secure(self.http.scope["scheme"])

    @property
    def by_htmx(self) -> bool:
        """Say whether htmx asked, to put the answer into the page that is there."""
        return self.http.headers.get("hx-request") == "true"

    @property
    def polls(self) -> bool:
        """Say whether a page asks for its news by itself: what a person does by htmx is a POST."""
        return self.by_htmx and self.http.method in ("GET", "HEAD")

    @property
    def came_from(self) -> str:
        """Return the page of the console that the browser says it came from, as a path below /console."""
        _, found, path = self.http.headers.get("referer", "").partition(f"{PREFIX}/")
        return f"/{path}" if found and path.isprintable() and len(path) <= _LONGEST_PATH else "/"

    @property
    def form_token(self) -> str:
        """Return what every form must carry."""
        return form_token(self.token, self.account.sid)

    @property
    def hides(self) -> bool:
        """Say whether numbers and bodies are to be hidden from those who look over a shoulder."""
        return self.user.hide_numbers

    @property
    def is_utc(self) -> bool:
        """Say whether the viewer's own time is UTC."""
        return self.zone.key in ("UTC", "Etc/UTC")

    def may(self, role: str) -> bool:
        """Say whether the viewer may do what needs this role: for what to show; the gate checks for itself."""
        return self.role is not None and self.role.covers(Role(role))

    def url_of(self, url: str | None) -> str:
        """Return a customer's URL: whole to owners, who may change it; to others without the secrets in it."""
        if not url or self.may("owner"):
            return url or ""
        return redacted(url)

    def given(self, name: str, otherwise: str | None = "") -> str:
        """Return what a field shows: what was sent, where the form is shown again, else `otherwise`."""
        sent = self.form.one(name)
        return sent if sent is not None else (otherwise or "")

    def ticked(self, name: str, otherwise: bool = False) -> bool:
        """Return whether a checkbox is ticked: as it was sent, where the form is shown again, else `otherwise`."""
        return self.form.one(name) == "true" if name in self.form else otherwise

    # -- texts and times ---------------------------------------------------------------------------------------------

    def t(self, key: str, **values: object) -> str:
        """Return a text in the viewer's language."""
        return languages.translate(self.language, key, **values)

    def rich(self, key: str, **values: object) -> Markup:
        """Return a text with what stands in it between backticks as code."""
        parts = self.t(key, **values).split("`")
        return Markup("").join(Markup("<code>{}</code>").format(p) if i % 2 else escape(p) for i, p in enumerate(parts))

    def explain(self, code: int) -> str:
        """Return what an error code means and what to do, in the viewer's language."""
        return languages.explain(self.language, code)

    def time(self, at: Instant | None, style: str = "second", beside: bool = False) -> Markup:
        """Return a <time> in the viewer's zone, UTC in its title, and with `beside` next to it; nothing for None."""
        if at is None:
            return Markup("")
        own = times.written(at, self.zone, self.language, style) + (" UTC" if self.is_utc and style != "day" else "")
        shown = Markup('<time datetime="{}" title="{}">{}</time>').format(format_iso_exact(at), times.in_utc(at), own)
        if not beside or self.is_utc:
            return shown
        utc = times.in_utc(at, "clock" if times.same_day(at, self.zone) else "second")
        return Markup('{} <span class="utc">{}</span>').format(shown, utc)

    # -- doing -------------------------------------------------------------------------------------------------------

    async def act(
        self,
        handler: Handler,
        form: Form | Values | None = None,
        params: Mapping[str, str] | None = None,
        method: str = "POST",
        key: str = "",
    ) -> Answer:
        """Let one of the API's handlers do something for the account that is shown; raise what it raises.

        `form` is the person's own where nothing else is given; `params` are those in the path of the handler's route;
        `key` is an idempotency key.
        """
        chosen = self.form if form is None else form if isinstance(form, Form) else as_form(form)
        asked = Asked(form=chosen, query=self.query, params=params or dict(self.params), method=method, key=key)
        return await act(self.parts, self.actor, self.account, handler, asked)

    # -- answering ---------------------------------------------------------------------------------------------------

    def render(self, template: str, status: int = 200, **values: Any) -> Response:
        """Return a page. What the form before was rejected for is in `view.trouble`; its status comes first then."""
        secure = self.is_secure
        note = cookies.note_in(cookies.read(self.http.cookies, cookies.NOTE, secure))
        said = languages.say(self.language, note.key, note.values) if note is not None else ""
        status = self.trouble.http_status if self.trouble is not None and status == 200 else status
        response = HTMLResponse(render(template, self._context({"note": said, **values})), status)
        if note is not None:
            cookies.drop(response, cookies.NOTE, secure)
        return response

    def fragment(self, template: str, block: str, status: int = 200, **values: Any) -> Response:
        """Return one block of a page, for htmx to put in place."""
        return HTMLResponse(render_block(template, block, self._context({"note": "", **values})), status)

    def go(self, path: str, note: str = "", **values: str | int) -> Response:
        """Return the way to another page of the console, which shows `note`, a key of the catalogue."""
        response: Response
        if self.by_htmx:
            response = Response(status_code=204, headers={"hx-redirect": quote(f"{PREFIX}{path}", safe=_SAFE_IN_URL)})
        else:
            response = RedirectResponse(f"{PREFIX}{path}", 303)
        if note:
            cookies.leave_note(response, Note(note, dict(values)), self.is_secure)
        return response

    def error(self, status: int, trouble: Rejected | None = None) -> Response:
        """Return the page that says what went wrong, in the frame; with the API's words where it rejected something."""
        self.trouble = None
        return self.render("error.html", status=status, status_shown=status, said=trouble)

    def _context(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {"view": self, "t": self.t, "time": self.time, **values}
