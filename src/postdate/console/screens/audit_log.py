"""The audit log: who changed what, by the console or the API, from where, and what came of it."""

import re

from starlette.responses import Response

from postdate.console import languages
from postdate.console.page import Nav, Page, Screen
from postdate.console.roles import standing_of
from postdate.console.view import View
from postdate.core.instant import Instant
from postdate.core.resources import Account, ApiKey, Role, User
from postdate.store.contract import AuditQuery, AuditRow, Cursor

PAGE_SIZE = 50
_PLACE = re.compile(r"([0-9]{1,18})-([A-Z]{2}[0-9a-f]{32})")
_API = "api."


async def show(view: View) -> Response:
    """Show a page of the log, of one person and one kind where that is asked for."""
    person, kind = view.query.text("Person"), view.query.text("Kind")
    kinds = [(f"{name}.", view.t(f"{name}.title")) for name in view.deeds] + [(_API, view.t("audit_log.api"))]
    kind = kind if kind in dict(kinds) else None
    before = _place(view.query.text("Before"))
    query = AuditQuery(account_sid=view.account.sid, actor_sid=person, deed=kind, before=before, limit=PAGE_SIZE + 1)
    rows = await view.parts.store.audit(query)
    further = ""
    if len(rows) > PAGE_SIZE:
        rows = rows[:PAGE_SIZE]
        kept = "".join(f"{name}={value}&" for name, value in (("Person", person), ("Kind", kind)) if value)
        further = f"/audit?{kept}Before={rows[-1].at}-{rows[-1].sid}"
    return view.render(
        "audit_log.html",
        rows=[(row, _deed(view, row)) for row in rows],
        further=further,
        first="/audit" if before is not None else "",
        people=_people(view),
        kinds=kinds,
        person=person or "",
        kind=kind or "",
    )


def _place(text: str | None) -> Cursor | None:
    found = _PLACE.fullmatch(text or "")
    return Cursor(Instant(int(found[1])), found[2]) if found is not None else None


def _deed(view: View, row: AuditRow) -> str:
    """Return what was done, in words."""
    screen, _, name = row.deed.partition(".")
    if row.deed.startswith(_API):
        return name
    key = f"{screen}.did.{name}"
    return view.t(key) if languages.knows(key) else row.deed


def _people(view: View) -> list[tuple[str, str]]:
    """Return everybody who may have done something here: users, then keys and the account itself by the API."""
    directory, account = view.parts.directory, view.account
    users = [user for user in directory.every(User) if standing_of(directory, user, account) is not None]
    keys = [key for key in directory.every(ApiKey) if key.account_sid == account.sid]
    owner = directory.find(Account, account.owner_sid)
    accounts = {one.sid: one for one in (account, owner) if one is not None}
    return [
        *((user.sid, user.name) for user in users),
        *((key.sid, f"{view.t('audit_log.key')}: {key.friendly_name or key.sid}") for key in keys),
        *((sid, f"{view.t('audit_log.token')}: {one.friendly_name or sid}") for sid, one in accounts.items()),
    ]


SCREEN = Screen("audit_log", pages=(Page("/audit", show, Role.OWNER),), nav=Nav("audit", "admin"))
