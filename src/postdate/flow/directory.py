"""The configuration in memory: accounts, keys, services, senders, applications.

Few and asked for at every request, so every node has all of them; a change goes to the store first and is seen here
once it is on disk. Auth tokens are sealed at rest and opened here once; API keys' secrets exist only as digests.
"""

import hashlib
import hmac
from collections.abc import Iterable
from typing import TypeVar

import msgspec
from cryptography.fernet import Fernet, InvalidToken

from postdate.core.resources import (
    Account,
    AccountStatus,
    ApiKey,
    Application,
    Resource,
    Sender,
    Service,
)
from postdate.store.contract import Store, StoreUnavailable

R = TypeVar("R", Account, ApiKey, Application, Sender, Service)


class Directory:
    """Who may do what, and what they have set up."""

    def __init__(self, store: Store, sealer: Fernet) -> None:
        self._store = store
        self._sealer = sealer
        self._all: dict[str, Resource] = {}
        self._tokens: dict[str, bytes] = {}
        self._senders: dict[tuple[str, str], Sender] = {}
        self._pools: dict[str, tuple[Sender, ...]] = {}

    async def load(self) -> None:
        """Read everything from the store."""
        for resource in await self._store.resources():
            self._keep(resource)

    def seal(self, token: str) -> str:
        """Return a token as it is kept at rest."""
        return self._sealer.encrypt(token.encode()).decode()

    def token_of(self, account_sid: str) -> str:
        """Return an account's auth token, for signing callbacks."""
        return self._tokens[account_sid].decode()

    # -- reading ---------------------------------------------------------------------------------------------------

    def find(self, kind: type[R], sid: str | None) -> R | None:
        """Return the resource of this kind with this SID."""
        found = self._all.get(sid) if sid is not None else None
        return found if isinstance(found, kind) else None

    def every(self, kind: type[R]) -> list[R]:
        """Return all of a kind, in the order they were made."""
        found = [r for r in self._all.values() if isinstance(r, kind)]
        return sorted(found, key=lambda r: (r.created_at, r.sid))

    def sender_at(self, account_sid: str, address: str) -> Sender | None:
        """Return the account's sender with this address."""
        return self._senders.get((account_sid, address))

    def owner_of(self, address: str) -> Sender | None:
        """Return whoever's sender this address is: where an inbound message belongs."""
        return next((s for (_, a), s in self._senders.items() if a == address), None)

    def pool(self, service_sid: str) -> tuple[Sender, ...]:
        """Return the senders of a messaging service, in the order they were added."""
        return self._pools.get(service_sid, ())

    # -- signing in --------------------------------------------------------------------------------------------------

    def sign_in(self, user: str, secret: str) -> Account | None:
        """Return the account that these credentials are of: its SID and token, or an API key and its secret."""
        found = self._all.get(user)
        if isinstance(found, ApiKey):
            same = hmac.compare_digest(digest_of(secret), found.secret_digest)
            return self.find(Account, found.account_sid) if same else None
        token = self._tokens.get(user)
        # An unknown account costs the same comparison as a known one.
        same = hmac.compare_digest(secret.encode("utf-8", "replace"), token if token is not None else b"\0")
        return found if same and isinstance(found, Account) else None

    def may_act_on(self, actor: Account, account_sid: str) -> Account | None:
        """Return the account if it is the actor's own or one of its subaccounts."""
        target = self.find(Account, account_sid)
        if target is None or (target.sid != actor.sid and target.owner_sid != actor.sid):
            return None
        return target

    def is_active(self, account: Account) -> bool:
        """Say whether an account and its parent are active."""
        owner = self.find(Account, account.owner_sid)
        return account.status is AccountStatus.ACTIVE and (owner is None or owner.status is AccountStatus.ACTIVE)

    # -- changing ---------------------------------------------------------------------------------------------------

    async def put(self, resource: Resource) -> None:
        """Keep a resource, on disk first."""
        await self._store.put(resource)
        self._keep(resource)

    async def remove(self, sid: str) -> None:
        """Remove a resource; a service that goes leaves its senders free, but its alpha senders go with it."""
        await self._store.remove(sid)
        gone = self._all.pop(sid, None)
        self._tokens.pop(sid, None)
        if isinstance(gone, Sender):
            self._index_senders()

    def _keep(self, resource: Resource) -> None:
        self._all[resource.sid] = resource
        if isinstance(resource, Account):
            try:
                self._tokens[resource.sid] = self._sealer.decrypt(resource.sealed_token.encode())
            except InvalidToken:
                raise StoreUnavailable(
                    "the auth tokens in the store were sealed with another key: "
                    "give the right one (POSTDATE_SECRET_KEY, or secret.key in the data folder)"
                ) from None
        elif isinstance(resource, Sender):
            self._index_senders()

    def _index_senders(self) -> None:
        senders = self.every(Sender)
        self._senders = {(s.account_sid, s.address): s for s in senders}
        self._pools = _by_service(senders)


def _by_service(senders: Iterable[Sender]) -> dict[str, tuple[Sender, ...]]:
    pools: dict[str, list[Sender]] = {}
    for sender in sorted(senders, key=lambda s: (s.added_at or 0, s.sid)):
        if sender.service_sid is not None:
            pools.setdefault(sender.service_sid, []).append(sender)
    return {sid: tuple(pool) for sid, pool in pools.items()}


def digest_of(secret: str) -> str:
    """Return the digest a key's secret is kept as: the secret is 256 random bits, so a plain SHA-256 will do."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def changed(resource: R, **fields: object) -> R:
    """Return the resource with some fields changed."""
    return msgspec.structs.replace(resource, **fields)
