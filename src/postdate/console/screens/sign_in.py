"""Signing in and out, the welcome to whoever has a one-time link, and which account and language one looks at."""

import unicodedata

import msgspec
from starlette.responses import Response

from postdate.api.configuration import sid_for
from postdate.console import cookies, languages
from postdate.console.links import invitation_of
from postdate.console.page import Action, Page, Screen
from postdate.console.passwords import check_password
from postdate.console.roles import accounts_of, standing_of
from postdate.console.view import NOBODY, View
from postdate.core.errors import Rejected
from postdate.core.resources import Account, Role, User
from postdate.flow.directory import changed

LONGEST_NAME = 64


# -- signing in --------------------------------------------------------------------------------------------------------


async def show(view: View) -> Response:
    """Show the form."""
    if view.session is not None:
        return view.go("/")
    # Whose name was tried is for the audit log: the page must not tell, not even by another token in its form.
    view.user, view.account = NOBODY, view.parts.nobody
    wanted = view.form.text("Next") or view.query.text("next") or ""
    nobody_yet = not view.parts.directory.every(User)
    return view.render("sign_in.html", next=wanted, nobody_yet=nobody_yet)


async def sign_in(view: View) -> Response:
    """Begin a session for a name and its password; an unknown name costs the same time as a wrong password."""
    tools, directory = view.tools, view.parts.directory
    name, password = view.form.one("Name") or "", view.form.one("Password") or ""
    key = plain(name).casefold()[: LONGEST_NAME + 1]
    wait = tools.attempts.wait(key, view.address)
    if wait:
        raise Rejected(20429, view.t("sign_in.wait", count=wait))
    # Counted before it is tried, so that many at once are not all tried.
    tools.attempts.failed(key, view.address)
    kept = _hash_of(named(view, name))
    right = await tools.passwords.matches(password, kept)
    # As he is now: it took its time, and the password may be another, or he himself taken off.
    user = named(view, name)
    accounts = accounts_of(directory, user) if user is not None else []
    if not right or user is None or user.disabled or _hash_of(user) != kept or not accounts:
        view.user = user or view.user
        view.account = accounts[0] if accounts else view.account
        raise Rejected(20003, view.t("sign_in.wrong"), 403)
    tools.attempts.succeeded(key, view.address)
    return await enter(view, user, _next(view))


def _hash_of(user: User | None) -> str | None:
    return user.password_hash if user is not None else None


def _next(view: View) -> str:
    """Return where the person wanted to go: a path of the console, whatever the form says."""
    wanted = view.form.text("Next") or "/"
    plain_path = wanted.startswith("/") and not wanted.startswith("//") and wanted.isprintable() and "\\" not in wanted
    return wanted if plain_path and len(wanted) <= 2_000 else "/"


async def enter(view: View, user: User, path: str, note: str = "") -> Response:
    """Begin a session and go on to a page."""
    accounts = accounts_of(view.parts.directory, user)
    if not accounts:  # the one that he has a role for was closed or suspended
        return view.go("/sign-in", note)
    account = accounts[0]
    if view.session is not None:
        await view.tools.sessions.end(view.session)
    token = await view.tools.sessions.begin(user, account.sid, view.address)
    response = view.go(path, note)
    cookies.put(response, cookies.SESSION, token, view.is_secure)
    view.user, view.account = user, account
    return response


def plain(name: str) -> str:
    """Return a name as it is compared and kept."""
    return unicodedata.normalize("NFC", name).strip()


def named(view: View, name: str) -> User | None:
    """Return the user of this name."""
    key = plain(name).casefold()
    return next((user for user in view.parts.directory.every(User) if user.name.casefold() == key), None)


def read_user_name(view: View) -> str:
    """Return the name that a form chooses; raise Rejected where it is none."""
    name = plain(view.form.one("Name") or "")
    if not (1 <= len(name) <= LONGEST_NAME and name.isprintable()):
        raise Rejected(20001, view.t("sign_in.bad_name", most=str(LONGEST_NAME)))
    return name


def read_password(view: View, name: str) -> str:
    """Return the password that a form chooses; raise Rejected where it cannot be one."""
    password = view.form.one("Password") or ""
    if password != (view.form.one("Again") or ""):
        raise Rejected(20001, view.t("welcome.differ"))
    check_password(password, name)
    return password


# -- signing out, and what one looks at --------------------------------------------------------------------------------


async def sign_out(view: View) -> Response:
    """End this session."""
    if view.session is not None:
        await view.tools.sessions.end(view.session)
    return _left(view, "sign_in.signed_out")


async def sign_out_everywhere(view: View) -> Response:
    """End every session of the user."""
    await view.tools.sessions.end_all(view.user.sid)
    return _left(view, "sign_in.signed_out_everywhere")


def _left(view: View, note: str) -> Response:
    response = view.go("/sign-in", note)
    cookies.drop(response, cookies.SESSION, view.is_secure)
    return response


async def choose_account(view: View) -> Response:
    """Look at another account."""
    directory = view.parts.directory
    account = directory.find(Account, view.form.text("AccountSid"))
    if account is None or view.session is None or standing_of(directory, view.user, account) is None:
        raise Rejected(20404)
    await view.tools.sessions.look_at(view.session, account.sid)
    return view.go("/")


async def choose_language(view: View) -> Response:
    """Read the console in another language: kept with the user, or in the browser of whoever has not signed in."""
    language = view.form.choice("Language", *languages.LANGUAGES) or view.language
    if view.session is not None:
        await _keep_language(view, language)
    response = view.go(view.came_from)
    cookies.keep_language(response, language, view.is_secure)
    return response


async def _keep_language(view: View, language: str) -> None:
    directory = view.parts.directory
    async with directory.changing:
        user = directory.find(User, view.user.sid)
        if user is not None:
            await directory.put(changed(user, language=language, updated_at=view.now))


# -- the one-time link -------------------------------------------------------------------------------------------------


async def welcome(view: View) -> Response:
    """Show the form to whoever has a link that is good."""
    key = view.form.text("Key") or view.query.text("key") or ""
    invited = invitation_of(view.parts.directory, view.tools.watch, key)
    account = view.tools.links.account_of(key)
    owners = owners_of(view, account) if account is not None else []
    good = invited is not None or account is not None
    status = 200 if good else 404
    return view.render("welcome.html", status=status, key=key, good=good, invited=invited, owners=owners)


async def take_welcome(view: View) -> Response:
    """Give a name its password, and begin a session."""
    key = view.form.text("Key") or ""
    directory, links = view.parts.directory, view.tools.links
    invited = invitation_of(directory, view.tools.watch, key)
    account = links.account_of(key)
    if invited is None and account is None:  # before anything that costs time is done for whoever has no link
        return await welcome(view)
    name = invited.name if invited is not None else read_user_name(view)
    password_hash = await view.tools.passwords.hashed(read_password(view, name))
    async with directory.changing:
        # Again, now that nobody else changes anything: a link is good once.
        invited, account = invitation_of(directory, view.tools.watch, key), links.account_of(key)
        if invited is not None:
            user = invited
        elif account is not None:
            user = _owner(view, account, name)
        else:
            return await welcome(view)
        user = changed(
            user, password_hash=password_hash, invite_digest=None, invite_expires_at=None, updated_at=view.now
        )
        await directory.put(user)
        if account is not None:
            links.use(account.sid)
    await view.tools.sessions.end_all(user.sid)
    view.about = user.sid
    return await enter(view, user, "/", "welcome.done")


def owners_of(view: View, account: Account) -> list[User]:
    """Return the owners of an account whom its auth token may help: those with no role outside of it."""
    return [user for user in view.parts.directory.every(User) if _is_within(view, user, account)]


def _is_within(view: View, user: User, account: Account) -> bool:
    directory = view.parts.directory
    return user.roles.get(account.sid) is Role.OWNER and all(
        directory.may_act_on(account, sid) is not None for sid in user.roles
    )


def _owner(view: View, account: Account, name: str) -> User:
    """Return the owner of that name, made now where there is none; raise Rejected where the name is another's."""
    found = named(view, name)
    if found is None:
        at = view.now
        return User(sid=sid_for("US", at), name=name, roles={account.sid: Role.OWNER}, created_at=at, updated_at=at)
    if not _is_within(view, found, account):
        raise Rejected(20001, view.t("welcome.taken"))
    return msgspec.structs.replace(found, disabled=False)


SCREEN = Screen(
    "sign_in",
    pages=(Page("/sign-in", show, public=True), Page("/welcome", welcome, public=True)),
    actions=(
        Action("in", "/sign-in", sign_in, Role.VIEWER, back=show, public=True),
        Action("out", "/sign-out", sign_out, Role.VIEWER, public=True),
        Action("everywhere", "/sign-out/everywhere", sign_out_everywhere, Role.VIEWER),
        Action("account", "/account", choose_account, Role.VIEWER, audited=False),
        Action("language", "/language", choose_language, Role.VIEWER, public=True, audited=False),
        Action("welcome", "/welcome", take_welcome, Role.VIEWER, back=welcome, public=True),
    ),
)
