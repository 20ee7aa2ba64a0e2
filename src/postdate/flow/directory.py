"""The configuration in memory: accounts, keys, services, senders, applications, users of the console.

Few and asked for at every request, so every node has all of them; a change goes to the store first and is seen here
once it is on disk. Who reads, checks and then writes does so under `changing`, so that no other change comes between.
Auth tokens are sealed at rest and opened here once; API keys' secrets exist only as digests.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from typing import TypeVar

import msgspec
from cryptography.fernet import Fernet, InvalidToken

from postdate.core.address import SenderKind
from postdate.core.inbound_call import InboundWebhook, webhook_of
from postdate.core.resources import (
    Account,
    AccountStatus,
    ApiKey,
    Application,
    Connection,
    ConsoleSession,
    Content,
    Resource,
    Sender,
    Service,
    User,
)
from postdate.store.contract import Store, StoreUnavailable

_OTHER_KEY = (
    "the secrets in the store were sealed with another key: "
    "give the right one (POSTDATE_SECRET_KEY, or secret.key in the data folder)"
)
R = TypeVar("R", Account, ApiKey, Application, Connection, ConsoleSession, Content, Sender, Service, User)
K = TypeVar("K")


class Directory:
    """Who may do what, and what they have set up."""

    def __init__(self, store: Store, sealer: Fernet) -> None:
        self._store = store
        self.sender_changed: Callable[[str], None] = lambda sid: None
        self.connection_changed: Callable[[str], None] = lambda name: None
        self._sealer = sealer
        self._all: dict[str, Resource] = {}
        self._tokens: dict[str, bytes] = {}
        self._addresses: dict[tuple[str, str], tuple[Sender, ...]] = {}  # several of an alpha sender
        self._owners: dict[str, Sender] = {}
        self._pools: dict[str, tuple[Sender, ...]] = {}
        self.changing = asyncio.Lock()
        self.changes = 0  # grows with each: what was concluded from the directory holds while it is the same

    async def load(self) -> None:
        """Read everything from the store."""
        for resource in await self._store.resources():
            self._keep(resource)

    def seal(self, token: str) -> str:
        """Return a token as it is kept at rest."""
        return self._sealer.encrypt(token.encode()).decode()

    def unseal(self, sealed: str) -> str:
        """Return what was sealed; StoreUnavailable where it was sealed with another key."""
        try:
            return self._sealer.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise StoreUnavailable(_OTHER_KEY) from None

    def token_of(self, account_sid: str) -> str:
        """Return the auth token of an account that is there."""
        return self._tokens[account_sid].decode()

    def find_token(self, account_sid: str) -> str | None:
        """Return an account's auth token, None where there is no such account."""
        token = self._tokens.get(account_sid)
        return token.decode() if token is not None else None

    # -- reading ---------------------------------------------------------------------------------------------------

    def find(self, kind: type[R], sid: str | None) -> R | None:
        """Return the resource of this kind with this SID."""
        found = self._all.get(sid) if sid is not None else None
        return found if isinstance(found, kind) else None

    def every(self, kind: type[R]) -> list[R]:
        """Return all of a kind, in the order they were made."""
        found = [r for r in self._all.values() if isinstance(r, kind)]
        return sorted(found, key=lambda r: (r.created_at, r.sid))

    def sender_at(self, account_sid: str, address: str, service_sid: str | None = None) -> Sender | None:
        """Return the account's sender with this address; of several, the one in that service's pool, or the oldest."""
        found = self._addresses.get((account_sid, address), ())
        return next((s for s in found if s.service_sid == service_sid), found[0] if found else None)

    def owner_of(self, address: str) -> Sender | None:
        """Return whoever's sender this address is: where an inbound message belongs. A name cannot be written to."""
        return self._owners.get(address)

    def webhook_of(self, sender: Sender) -> InboundWebhook | None:
        """Return whom to tell what comes in for a sender, as it is configured now; None: nobody."""
        application = self.find(Application, sender.webhooks.sms_application_sid)
        return webhook_of(sender, self.find(Service, sender.service_sid), application)

    def connection(self, name: str) -> Connection | None:
        """Return the connection of this name."""
        return next((found for found in self.every(Connection) if found.name == name), None)

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

    def may_send(self, account_sid: str) -> bool:
        """Say whether an account is there, and it and its parent are active."""
        account = self.find(Account, account_sid)
        return account is not None and self.is_active(account)

    # -- changing ---------------------------------------------------------------------------------------------------

    async def put(self, resource: Resource) -> None:
        """Keep a resource, on disk first."""
        await self._store.put(resource)
        self._keep(resource)
        if isinstance(resource, Sender):
            self.sender_changed(resource.sid)
        elif isinstance(resource, Connection):
            self.connection_changed(resource.name)

    async def remove(self, sid: str) -> None:
        """Remove a resource; a service that goes leaves its senders free, but its alpha senders go with it."""
        # The pool first: should the node end in between, the service is still there to be removed again.
        for sender in self.pool(sid):
            if sender.kind is SenderKind.ALPHA:
                await self.remove(sender.sid)
            else:
                await self.put(changed(sender, service_sid=None, added_at=None))
        await self._store.remove(sid)
        self.changes += 1
        gone = self._all.pop(sid, None)
        self._tokens.pop(sid, None)
        if isinstance(gone, Sender):
            self._forget(gone)
            self.sender_changed(gone.sid)
        elif isinstance(gone, Connection):
            self.connection_changed(gone.name)

    def _keep(self, resource: Resource) -> None:
        before = self._all.get(resource.sid)
        self.changes += 1
        self._all[resource.sid] = resource
        if isinstance(resource, Account):
            self._tokens[resource.sid] = self.unseal(resource.sealed_token).encode()
        elif isinstance(resource, Sender):
            if isinstance(before, Sender):
                self._forget(before)
            self._index(resource)

    # Each sender is found by what it is asked for; only its own entries change with it, for an account may have many.

    def _index(self, sender: Sender) -> None:
        place = (sender.account_sid, sender.address)
        same = (*self._addresses.get(place, ()), sender)
        self._addresses[place] = tuple(sorted(same, key=lambda s: (s.created_at, s.sid)))
        if sender.kind is not SenderKind.ALPHA:
            self._owners[sender.address] = sender
        if sender.service_sid is not None:
            pool = (*self._pools.get(sender.service_sid, ()), sender)
            self._pools[sender.service_sid] = tuple(sorted(pool, key=_place_in_pool))

    def _forget(self, sender: Sender) -> None:
        place = (sender.account_sid, sender.address)
        _take_out(self._addresses, place, sender.sid)
        if sender.kind is not SenderKind.ALPHA:
            del self._owners[sender.address]
        if sender.service_sid is not None:
            _take_out(self._pools, sender.service_sid, sender.sid)


def _place_in_pool(sender: Sender) -> tuple[int, str]:
    return sender.added_at or 0, sender.sid


def _take_out(index: dict[K, tuple[Sender, ...]], key: K, sid: str) -> None:
    left = tuple(sender for sender in index.get(key, ()) if sender.sid != sid)
    if left:
        index[key] = left
    else:
        index.pop(key, None)


def digest_of(secret: str) -> str:
    """Return the digest a key's secret is kept as: the secret is random and long, so a plain SHA-256 will do."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def changed(resource: R, **fields: object) -> R:
    """Return the resource with some fields changed."""
    return msgspec.structs.replace(resource, **fields)
