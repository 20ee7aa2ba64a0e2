"""One's own name, password, language, zone, what is hidden, and where one is signed in."""

from starlette.responses import Response

from postdate.console import languages, times
from postdate.console.page import Action, Page, Screen
from postdate.console.screens.sign_in import named, read_password, read_user_name
from postdate.console.view import View
from postdate.core.errors import Rejected
from postdate.core.resources import Role, User
from postdate.flow.directory import changed


async def show(view: View) -> Response:
    """Show the profile."""
    zones = [(name, name.replace("_", " ")) for name in times.zone_names()]
    sessions = sorted(view.tools.sessions.of(view.user.sid), key=lambda session: -session.seen_at)
    return view.render("profile.html", zones=zones, sessions=sessions)


async def save(view: View) -> Response:
    """Keep name, language, zone and what is hidden."""
    name = read_user_name(view)
    language = view.form.choice("Language", *languages.LANGUAGES)
    zone = view.form.text("Zone")
    if zone is not None and times.zone_named(zone) is None:
        raise Rejected(20001, view.t("profile.no_zone"))
    other = named(view, name)
    if other is not None and other.sid != view.user.sid:
        raise Rejected(20001, view.t("welcome.taken"))
    hides = view.form.flag("Hide") or False
    await _keep(view, name=name, language=language, zone=zone, hide_numbers=hides)
    return view.go("/profile", "frame.saved")


async def hide(view: View) -> Response:
    """Hide numbers and bodies, or show them again; go back to the page one was on."""
    await _keep(view, hide_numbers=view.form.flag("Hide") or False)
    return view.go(view.came_from)


async def change_password(view: View) -> Response:
    """Take a new password for the current one; everywhere else the user is signed out."""
    attempts, passwords = view.tools.attempts, view.tools.passwords
    key = view.user.name.casefold()
    if wait := attempts.wait(key, view.address):
        raise Rejected(20429, view.t("sign_in.wait", count=wait))
    attempts.failed(key, view.address)
    if not await passwords.matches(view.form.one("Current") or "", view.user.password_hash):
        raise Rejected(20001, view.t("profile.wrong_password"))
    attempts.succeeded(key, view.address)
    await _keep(view, password_hash=await passwords.hashed(read_password(view, view.user.name)))
    await view.tools.sessions.end_all(view.user.sid, but=view.session.sid if view.session is not None else None)
    return view.go("/profile", "profile.password_changed")


async def _keep(view: View, **fields: object) -> None:
    directory = view.parts.directory
    async with directory.changing:
        user = directory.find(User, view.user.sid)
        if user is None:  # taken off meanwhile: keeping anything would bring him back
            raise Rejected(20404)
        await directory.put(changed(user, updated_at=view.now, **fields))
    view.about = view.user.sid


SCREEN = Screen(
    "profile",
    pages=(Page("/profile", show),),
    actions=(
        Action("save", "/profile", save, Role.VIEWER, back=show),
        Action("hide", "/profile/hide", hide, Role.VIEWER, audited=False),
        Action("password", "/profile/password", change_password, Role.VIEWER, back=show),
    ),
)
