"""Who is signed in: sessions that end after twelve hours without a request, and after seven days in any case.

The browser has a random token; what is kept is its digest. A session's SID is taken from the digest, so that it is
found without a search. Times are those of the machine: `watch` is no test clock outside of tests. What changes a
session does so under the directory's lock, so that one that has ended does not come back.
"""

import hashlib
import hmac
import secrets

from postdate.clock import Clock
from postdate.core.instant import DAY, HOUR, MINUTE
from postdate.core.resources import ConsoleSession, User
from postdate.flow.directory import Directory, changed
from postdate.store.contract import StoreError

LONGEST_IDLE = 12 * HOUR
LONGEST = 7 * DAY
TOUCH_EVERY = 5 * MINUTE
MOST = 30  # of one user; the oldest ends where one more begins
_TOKEN_BYTES = 32


class Sessions:
    """Begins, finds and ends sessions."""

    def __init__(self, directory: Directory, watch: Clock) -> None:
        self._directory = directory
        self._watch = watch

    async def begin(self, user: User, account_sid: str, address: str) -> str:
        """Begin a session; return its token, which is kept nowhere."""
        token, at = secrets.token_urlsafe(_TOKEN_BYTES), self._watch.now()
        digest = digest_of_token(token)
        session = ConsoleSession(
            sid=_sid(digest),
            user_sid=user.sid,
            account_sid=account_sid,
            token_digest=digest,
            address=address,
            created_at=at,
            seen_at=at,
        )
        async with self._directory.changing:
            await self._forget_expired()
            for oldest in self.of(user.sid)[: 1 - MOST]:
                await self._directory.remove(oldest.sid)
            await self._directory.put(session)
        return token

    def find(self, token: str) -> ConsoleSession | None:
        """Return the session that a token is of, unless it has expired."""
        digest = digest_of_token(token)
        found = self._directory.find(ConsoleSession, _sid(digest))
        if found is None or not hmac.compare_digest(found.token_digest, digest) or self._has_expired(found):
            return None
        return found

    async def touch(self, session: ConsoleSession) -> None:
        """Keep that a session is in use: at most every five minutes, and not where the store cannot be written."""
        at = self._watch.now()
        if at - session.seen_at < TOUCH_EVERY:
            return
        try:
            async with self._directory.changing:
                await self._change(session, seen_at=at)
        except StoreError:
            return  # one can read the console on a full disk

    async def look_at(self, session: ConsoleSession, account_sid: str) -> None:
        """Let a session look at another account."""
        async with self._directory.changing:
            await self._change(session, account_sid=account_sid)

    async def end(self, session: ConsoleSession) -> None:
        """End one session."""
        async with self._directory.changing:
            await self._directory.remove(session.sid)

    async def end_all(self, user_sid: str, but: str | None = None) -> None:
        """End every session of a user, except the one with the SID `but`."""
        async with self._directory.changing:
            for session in self.of(user_sid):
                if session.sid != but:
                    await self._directory.remove(session.sid)

    def of(self, user_sid: str) -> list[ConsoleSession]:
        """Return a user's sessions that have not expired, the oldest first."""
        every = self._directory.every(ConsoleSession)
        return [session for session in every if session.user_sid == user_sid and not self._has_expired(session)]

    async def _change(self, session: ConsoleSession, **fields: object) -> None:
        now = self._directory.find(ConsoleSession, session.sid)
        if now is not None:
            await self._directory.put(changed(now, **fields))

    async def _forget_expired(self) -> None:
        for session in self._directory.every(ConsoleSession):
            if self._has_expired(session):
                await self._directory.remove(session.sid)

    def _has_expired(self, session: ConsoleSession) -> bool:
        at = self._watch.now()
        return at - session.seen_at >= LONGEST_IDLE or at - session.created_at >= LONGEST


def digest_of_token(token: str) -> str:
    """Return the digest that a token is kept as: it is random and long, so a plain SHA-256 will do."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _sid(digest: str) -> str:
    return f"CS{digest[:32]}"


def form_token(token: str, account_sid: str) -> str:
    """Return what every form carries: bound to the browser's token and to the account that the page showed."""
    return hmac.new(token.encode("utf-8", "replace"), f"form:{account_sid}".encode(), "sha256").hexdigest()
