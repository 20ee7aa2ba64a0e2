"""Which accounts a person may look at, and as what: a role for an account covers its subaccounts."""

from typing import NamedTuple

from postdate.core.resources import Account, AccountStatus, Role, User
from postdate.flow.directory import Directory


class Standing(NamedTuple):
    """A person's role for an account, and the account that his role is given for: it acts where he does something."""

    role: Role
    actor: Account


def standing_of(directory: Directory, user: User, account: Account) -> Standing | None:
    """Return what a user is for an account; None where he has no role or the account that gives it is not active."""
    found: Standing | None = None
    for sid in (account.owner_sid, account.sid):
        actor, role = directory.find(Account, sid), user.roles.get(sid)
        if actor is None or role is None or not directory.is_active(actor):
            continue
        if found is None or not found.role.covers(role):
            found = Standing(role, actor)
    return found


def accounts_of(directory: Directory, user: User) -> list[Account]:
    """Return the accounts that a user may look at, those that are not closed, main accounts first."""
    seen = [
        account
        for account in directory.every(Account)
        if account.status is not AccountStatus.CLOSED and standing_of(directory, user, account) is not None
    ]
    return sorted(seen, key=lambda account: account.sid != account.owner_sid)
