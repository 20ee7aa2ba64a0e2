"""Passwords of people: argon2, computed off the event loop, at most two at a time, since each takes 64 MB."""

import asyncio
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from postdate.core.errors import Rejected

SHORTEST = 12
LONGEST = 200
_AT_ONCE = 2
_hasher = PasswordHasher()


@cache
def _nobodys() -> str:
    """Return the hash that a password is compared with where nobody has the name: the same work as for a known one."""
    return _hasher.hash("nobody has this password")


class Passwords:
    """Makes and checks the hashes of passwords."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def hashed(self, password: str) -> str:
        """Return the hash a password is kept as."""
        async with self._turn:
            return await asyncio.to_thread(_hasher.hash, password)

    async def matches(self, password: str, kept: str | None) -> bool:
        """Say whether a password is the one that `kept` was made of; None costs the same and never matches."""
        async with self._turn:
            return await asyncio.to_thread(_verify, password[: LONGEST + 1], kept)


def _verify(password: str, kept: str | None) -> bool:
    try:
        _hasher.verify(kept if kept is not None else _nobodys(), password)
    except (VerificationError, InvalidHashError):
        return False
    return kept is not None


def check_password(password: str, name: str) -> None:
    """Raise Rejected (20001) where a password is too short, too long, or is made of the name."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise Rejected(20001, f"A password has {SHORTEST} to {LONGEST} characters.")
    bare = name.casefold()
    if not password.casefold().replace(bare, "").strip() or len(set(password)) < 3:
        raise Rejected(20001, "The password is too easy to guess: it must not be the name, nor one letter repeated.")
