"""One-time links for whoever has no password yet, or lost it: the key is random, and only its digest is kept.

While the node has no user, each start makes a link for the first account. `postdate console link` makes one for an
account whose owner lost the password. Links are kept in memory, one an account, and end with the node.
"""

import hmac
import secrets
from dataclasses import dataclass

from postdate.clock import Clock
from postdate.console.sessions import digest_of_token
from postdate.core.instant import HOUR, Instant
from postdate.core.resources import Account, User
from postdate.flow.directory import Directory

VALID_FOR = 1 * HOUR  # of a link that was asked for; that of the first start is valid until it is used
KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class _Link:
    digest: str
    expires_at: Instant | None


class Links:
    """Makes links for owners and knows which are still good."""

    def __init__(self, directory: Directory, watch: Clock) -> None:
        self._directory = directory
        self._watch = watch
        self._links: dict[str, _Link] = {}  # by account

    def make(self, account_sid: str) -> str:
        """Return the key of a new link for an account's owner; one made before is no longer good."""
        nobody_yet = not self._directory.every(User)
        key = secrets.token_urlsafe(KEY_BYTES)
        until = None if nobody_yet else Instant(self._watch.now() + VALID_FOR)
        self._links[account_sid] = _Link(digest_of_token(key), until)
        return key

    def account_of(self, key: str) -> Account | None:
        """Return the account whose owner may come in with this key."""
        digest, found = digest_of_token(key), None
        for account_sid, link in self._links.items():
            good = link.expires_at is None or self._watch.now() < link.expires_at
            if hmac.compare_digest(link.digest, digest) and good:
                found = account_sid
        return self._directory.find(Account, found)

    def use(self, account_sid: str) -> None:
        """Let an account's link be good no more."""
        self._links.pop(account_sid, None)


def invitation_of(directory: Directory, watch: Clock, key: str) -> User | None:
    """Return the user who was invited with this key, unless that is too long ago."""
    digest = digest_of_token(key)
    for user in directory.every(User):
        if user.invite_digest is None or user.disabled or not hmac.compare_digest(user.invite_digest, digest):
            continue
        if user.invite_expires_at is not None and watch.now() < user.invite_expires_at:
            return user
    return None
