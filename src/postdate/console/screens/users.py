"""Who may use the console for this account, and as what: invitations, roles, and ends.

Nobody changes his own role or ends himself, so that an account always keeps an owner. An owner changes only people
whose roles are all for accounts that are his.
"""

import secrets
from typing import Any

from starlette.responses import Response

from postdate.api.configuration import sid_for
from postdate.console.acting import EMPTY
from postdate.console.links import KEY_BYTES
from postdate.console.page import Action, Nav, Page, Screen
from postdate.console.rendering import PREFIX
from postdate.console.roles import standing_of
from postdate.console.screens.sign_in import named, read_user_name
from postdate.console.sessions import digest_of_token
from postdate.console.view import View
from postdate.core.errors import Rejected
from postdate.core.instant import DAY, Instant
from postdate.core.resources import Role, User
from postdate.flow.directory import changed

INVITED_FOR = 7 * DAY


async def show(view: View) -> Response:
    """Show everybody who may look at this account."""
    return _page(view)


def _page(view: View, **values: Any) -> Response:
    rows = [_row(view, user) for user in view.parts.directory.every(User)]
    shown: dict[str, Any] = {"link": "", "link_for": None, **values}
    return view.render("users.html", rows=[row for row in rows if row is not None], roles=list(Role), **shown)


def _row(view: View, user: User) -> dict[str, Any] | None:
    standing = standing_of(view.parts.directory, user, view.account)
    if standing is None:
        return None
    sessions = view.tools.sessions.of(user.sid)
    invited = user.invite_expires_at is not None and view.tools.watch.now() < user.invite_expires_at
    state = "disabled" if user.disabled else "active" if user.password_hash else "invited" if invited else "expired"
    return {
        "user": user,
        "role": standing.role,
        "inherited": view.account.sid not in user.roles,
        "state": state,
        "seen_at": max((session.seen_at for session in sessions), default=None),
        "mine": _is_mine(view, user),
    }


def _is_mine(view: View, user: User) -> bool:
    """Say whether the viewer may change a user here."""
    directory = view.parts.directory
    within = all(directory.may_act_on(view.actor, sid) is not None for sid in user.roles)
    return user.sid != view.user.sid and view.account.sid in user.roles and within


def _found(view: View) -> User:
    """Return the user that the path names; raise Rejected where there is none that the viewer may change here."""
    user = view.parts.directory.find(User, view.params["sid"])
    if user is None or standing_of(view.parts.directory, user, view.account) is None:
        raise Rejected(20404, view.t("users.not_found"))
    view.detail = user.name
    if not _is_mine(view, user):
        raise Rejected(20006, view.t("users.not_yours"))
    return user


def _role(view: View) -> Role:
    return Role(view.form.choice("Role", *Role) or Role.VIEWER)


# -- what is done ------------------------------------------------------------------------------------------------------


async def invite(view: View) -> Response:
    """Give somebody a role, and the link to choose a password by, which is shown once."""
    name, role, directory = read_user_name(view), _role(view), view.parts.directory
    view.detail = name
    async with directory.changing:
        if named(view, name) is not None:
            raise Rejected(20001, view.t("welcome.taken"))
        at = view.now
        roles = {view.account.sid: role}
        user = User(sid=sid_for("US", at), name=name, roles=roles, created_at=at, updated_at=at)
        return await _invited(view, user)


async def link(view: View) -> Response:
    """Make a new link for somebody; the password stays good until it is used."""
    async with view.parts.directory.changing:
        return await _invited(view, _found(view))


async def _invited(view: View, user: User) -> Response:
    key = secrets.token_urlsafe(KEY_BYTES)
    until = Instant(view.tools.watch.now() + INVITED_FOR)
    user = changed(user, invite_digest=digest_of_token(key), invite_expires_at=until, updated_at=view.now)
    await view.parts.directory.put(user)
    view.about, view.form = user.sid, EMPTY
    return _page(view, link=f"{view.parts.base_url()}{PREFIX}/welcome?key={key}", link_for=user)


async def change_role(view: View) -> Response:
    """Give somebody another role for this account."""
    role, directory = _role(view), view.parts.directory
    async with directory.changing:
        user = _found(view)
        await directory.put(changed(user, roles={**user.roles, view.account.sid: role}, updated_at=view.now))
    view.detail = f"{user.name}: {role}"
    return view.go("/users", "users.role_changed", name=user.name, role=view.t(f"frame.role.{role}"))


async def disable(view: View) -> Response:
    """Let somebody sign in no more, or again; who is disabled is signed out at once."""
    off, directory = view.form.flag("Disabled") or False, view.parts.directory
    async with directory.changing:
        user = _found(view)
        await directory.put(changed(user, disabled=off, updated_at=view.now))
    if off:
        await view.tools.sessions.end_all(user.sid)
    return view.go("/users", "users.disabled" if off else "users.enabled", name=user.name)


async def remove(view: View) -> Response:
    """Take somebody's role for this account away; who has none left is removed."""
    directory = view.parts.directory
    async with directory.changing:
        user = _found(view)
        left = {sid: role for sid, role in user.roles.items() if sid != view.account.sid}
        if left:
            await directory.put(changed(user, roles=left, updated_at=view.now))
        else:
            await directory.remove(user.sid)
    if not left:
        await view.tools.sessions.end_all(user.sid)
    return view.go("/users", "users.removed", name=user.name)


SCREEN = Screen(
    "users",
    pages=(Page("/users", show, Role.OWNER),),
    actions=(
        Action("invite", "/users", invite, back=show),
        Action("link", "/users/{sid}/link", link, back=show),
        Action("role", "/users/{sid}/role", change_role, back=show),
        Action("disable", "/users/{sid}/disable", disable, back=show),
        Action("remove", "/users/{sid}/remove", remove, back=show),
    ),
    nav=Nav("users", "admin"),
)
