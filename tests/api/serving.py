"""A node on a frozen test clock, and customers who call its API without sockets.

A call is one ASGI exchange, put together the way the web server does it: the path is decoded, header names are small.
The exchange itself is checked too: one start, one body, a length that is true. Nothing here knows the handlers.
"""

import base64
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

from starlette.types import ASGIApp, Message

from postdate.api.app import App
from postdate.clock import TestClock
from postdate.core.address import SenderKind
from postdate.core.instant import HOUR, MILLISECOND, SECOND, Instant, format_iso_exact
from postdate.core.resources import Account, ApiKey, Application, Sender, Service
from postdate.flow.directory import digest_of
from postdate.node import Node
from postdate.settings import load

TO = "+14155550100"
FROM = "+15005550006"
API = "/2010-04-01/Accounts"
KEY_SECRET = "the secret of the key"

Params = Mapping[str, str | Sequence[str]] | Sequence[tuple[str, str]] | bytes


def encoded(params: Params) -> bytes:
    """Return parameters as a form's body; a list is a repeated parameter, bytes are taken as they are."""
    return params if isinstance(params, bytes) else urlencode(params, doseq=True).encode()


def basic(user: str, secret: str) -> str:
    """Return the value of an Authorization header."""
    return "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()


def instant(at: datetime) -> Instant:
    """Return a point in time as the node keeps it."""
    return Instant((at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1))


@dataclass(frozen=True, slots=True)
class Reply:
    """What was answered; header names are small."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Return the JSON that the body is."""
        assert self.headers["content-type"].startswith("application/json"), self
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, int]:
        """Return code and HTTP status of an error in Twilio's shape; anything else fails."""
        told = self.json
        assert set(told) == {"code", "message", "more_info", "status"}, told
        assert told["status"] == self.status
        assert told["more_info"].endswith(f"/{told['code']}")
        assert told["message"]
        return told["code"], self.status


@dataclass(frozen=True, slots=True)
class Customer:
    """Whoever calls with these credentials; `account` is the one in its URLs."""

    app: ASGIApp
    account: str
    user: str
    secret: str

    async def call(
        self,
        method: str,
        path: str,
        form: Params = b"",
        query: Params = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Call a path (from the root, still percent-encoded); the form is sent as the body."""
        given = {"authorization": basic(self.user, self.secret), **(headers or {})}
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in given.items() if value]
        return await exchange(self.app, method, path, raw, [encoded(form)], encoded(query))

    async def on(self, method: str, resource: str, form: Params = b"", query: Params = b"", **headers: str) -> Reply:
        """Call a resource of the account, such as `/Messages.json`; a header's `_` stands for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.call(method, f"{API}/{self.account}{resource}", form, query, named)

    async def send(self, **params: str | Sequence[str] | None) -> Reply:
        """Create a message: to TO, `Hi`, with `params` changed; None takes one out."""
        given = {"To": TO, "Body": "Hi", **params}
        return await self.on("POST", "/Messages.json", {k: v for k, v in given.items() if v is not None})

    async def fetch(self, sid: str) -> dict[str, Any]:
        """Return a message as it is now."""
        reply = await self.on("GET", f"/Messages/{sid}.json")
        assert reply.status == 200, reply
        found: dict[str, Any] = reply.json
        return found

    async def list(self, **query: str) -> dict[str, Any]:
        """Return a page of messages."""
        reply = await self.on("GET", "/Messages.json", query=query)
        assert reply.status == 200, reply
        page: dict[str, Any] = reply.json
        return page

    async def follow(self, uri: str) -> dict[str, Any]:
        """Return the page that a link of another one leads to."""
        parts = urlsplit(uri)
        assert not parts.netloc, f"links of this API are relative: {uri}"
        reply = await self.call("GET", parts.path, query=parts.query.encode())
        assert reply.status == 200, reply
        page: dict[str, Any] = reply.json
        return page


async def exchange(
    app: ASGIApp,
    method: str,
    path: str,
    headers: Iterable[tuple[bytes, bytes]],
    body: Sequence[bytes],
    query: bytes = b"",
) -> Reply:
    """Make one ASGI exchange, the body in chunks; a customer who hangs up is a body that ends in `b""` too early."""
    chunks = list(body)
    sent: list[Message] = []

    async def receive() -> Message:
        if not chunks:
            return {"type": "http.disconnect"}
        chunk = chunks.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode("ascii"),
        "query_string": query,
        "root_path": "",
        "headers": list(headers),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await app(scope, receive, send)
    return _reply(sent)


def _reply(sent: Sequence[Message]) -> Reply:
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    headers = {name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]}
    assert len(headers) == len(sent[0]["headers"]), "a header came twice"
    body: bytes = sent[1]["body"]
    if sent[0]["status"] == 204:
        assert not body
        assert "content-length" not in headers
    else:
        assert int(headers["content-length"]) == len(body)
    return Reply(sent[0]["status"], headers, body)


@dataclass(slots=True)
class Site:
    """A node, its first account with a service and a number in it, and the customer who owns them."""

    node: Node
    app: ASGIApp
    customer: Customer
    service: str
    _made: int = field(default=0)

    @property
    def clock(self) -> TestClock:
        """Return the node's clock, frozen."""
        assert isinstance(self.node.clock, TestClock)
        return self.node.clock

    @property
    def frozen(self) -> bool:
        """Say whether time stands still between calls of `advance`."""
        return isinstance(self.node.clock, TestClock) and self.clock.frozen

    @property
    def now(self) -> Instant:
        """Return the time by the node's clock."""
        return self.node.clock.now()

    def ahead(self, micros: int) -> str:
        """Return a SendAt so many microseconds ahead."""
        return format_iso_exact(Instant(self.now + micros))

    async def advance(self, micros: int) -> None:
        """Let time pass, with all that happens in it."""
        await self.node.advance_to(Instant(self.now + micros))

    async def schedule(self, **params: str | Sequence[str] | None) -> Reply:
        """Create a message scheduled two hours ahead through the service, with `params` changed."""
        given = {
            "MessagingServiceSid": self.service,
            "ScheduleType": "fixed",
            "SendAt": self.ahead(2 * HOUR),
            **params,
        }
        return await self.customer.send(**given)

    async def scheduled(self, **params: str | Sequence[str] | None) -> str:
        """Return the SID of a message scheduled so."""
        reply = await self.schedule(**params)
        assert reply.status == 201, reply
        sid: str = reply.json["sid"]
        return sid

    def sid(self, prefix: str) -> str:
        """Return a SID that nothing has yet."""
        self._made += 1
        return f"{prefix}{self._made:032x}"

    async def add_account(self, owner: str | None = None, **changes: Any) -> Customer:
        """Make an account, a subaccount where it has an owner, and return whoever signs in with its token."""
        sid = self.sid("AC")
        token = f"token of {sid}"
        fields: dict[str, Any] = {
            "sid": sid,
            "owner_sid": owner or sid,
            "friendly_name": "Another",
            "sealed_token": self.node.directory.seal(token),
            "created_at": self.now,
            "updated_at": self.now,
        }
        await self.node.directory.put(Account(**(fields | changes)))
        return Customer(self.app, sid, sid, token)

    async def add_service(self, account: str | None = None, **changes: Any) -> str:
        """Make a messaging service and return its SID."""
        fields: dict[str, Any] = {
            "sid": self.sid("MG"),
            "account_sid": account or self.customer.account,
            "friendly_name": "Reminders",
            "created_at": self.now,
            "updated_at": self.now,
        }
        service = Service(**(fields | changes))
        await self.node.directory.put(service)
        return service.sid

    async def add_sender(self, address: str, service: str | None = None, **changes: Any) -> str:
        """Register a number, without a limit of its rate, and return its SID."""
        fields: dict[str, Any] = {
            "sid": self.sid("PN"),
            "account_sid": self.customer.account,
            "kind": SenderKind.PHONE_NUMBER,
            "address": address,
            "friendly_name": address,
            "country": "US",
            "mps": 0.0,
            "service_sid": service,
            "added_at": self.now if service else None,
            "created_at": self.now,
            "updated_at": self.now,
        }
        sender = Sender(**(fields | changes))
        await self.node.directory.put(sender)
        return sender.sid

    async def add_application(self, **changes: Any) -> str:
        """Make an application and return its SID."""
        fields: dict[str, Any] = {
            "sid": self.sid("AP"),
            "account_sid": self.customer.account,
            "friendly_name": "App",
            "created_at": self.now,
            "updated_at": self.now,
        }
        application = Application(**(fields | changes))
        await self.node.directory.put(application)
        return application.sid

    async def add_key(self, account: str | None = None) -> Customer:
        """Make an API key and return whoever signs in with it."""
        at, owner = self.now, account or self.customer.account
        key = ApiKey(
            sid=self.sid("SK"),
            account_sid=owner,
            friendly_name="Key",
            secret_digest=digest_of(KEY_SECRET),
            created_at=at,
            updated_at=at,
        )
        await self.node.directory.put(key)
        return Customer(self.app, owner, key.sid, KEY_SECRET)


@asynccontextmanager
async def a_site(folder: Path, **settings: Any) -> AsyncIterator[Site]:
    """Run a node on a frozen test clock, with a service whose pool is the number FROM."""
    given = {"data": folder, "port": 0, "test_clock": True, "allow_networks": "127.0.0.0/8", **settings}
    async with Node(load(**given)) as node:
        app = App(node.parts())
        account, token = node.first_account()
        site = Site(node, app, Customer(app, account.sid, account.sid, token), "")
        if settings.get("test_clock", True):
            site.clock.freeze()
        site.service = await site.add_service()
        await site.add_sender(FROM, site.service)
        try:
            yield site
        finally:
            # What is with the carrier is answered by this clock: on a frozen one a node would wait for it for ever.
            if site.frozen:
                await site.advance(2 * SECOND)


TAKEN = 100 * MILLISECOND  # for what is due to be with the carrier, and its answer on disk
LONG_ENOUGH = 10 * SECOND  # for whatever is due to be sent, answered and reported
