"""The customer of the crash tests: calls the node's API over HTTP and notes what it was answered, or that it was not.

A connection that never came to be is a refusal: nothing left. One that broke off is UNKNOWN: the node may have done it.
It also answers the node's status callbacks and notes them.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web
from twilio.request_validator import RequestValidator

from postdate.clock import SystemClock
from postdate.core.instant import Instant, Monotonic, format_iso_exact
from postdate.core.message import Status
from postdate.flow.alarm import Alarm
from tests.system.history import Cancel, Create, Diary, Order, Read, Reply, Told, digest

API = "/2010-04-01/Accounts"
PATIENCE = 20.0
LIST_SIZE = 1_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `status` 0 where nothing did."""

    reply: Reply
    status: int = 0
    body: Mapping[str, Any] | None = None

    @property
    def code(self) -> int | None:
        """Return the error code of a refusal."""
        return None if self.body is None or self.reply is Reply.OK else self.body.get("code")


@dataclass(frozen=True, slots=True)
class Wish:
    """An order with the form that asks for it."""

    order: Order
    form: Mapping[str, str]
    key: str | None


class Customer:
    """One account's caller. Nothing is tried twice by itself."""

    def __init__(self, session: aiohttp.ClientSession, url: str, account: str, diary: Diary) -> None:
        self._session = session
        self._url = url
        self._account = account
        self._diary = diary
        self._clock = SystemClock()

    async def call(self, method: str, path: str, form: Mapping[str, str], key: str | None = None) -> Answer:
        """Make one call; a GET takes the form as its query."""
        headers = {} if key is None else {"Idempotency-Key": key}
        given: dict[str, Any] = {"params": form} if method == "GET" else {"data": form}
        try:
            async with self._session.request(method, self._url + path, headers=headers, **given) as response:
                body = await response.json()
                # What a server of any kind says with a 5xx is no promise that it did nothing.
                refused = Reply.UNKNOWN if response.status >= 500 else Reply.REFUSED
                return Answer(Reply.OK if response.status < 300 else refused, response.status, body)
        except aiohttp.ClientConnectorError:
            return Answer(Reply.REFUSED)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return Answer(Reply.UNKNOWN)

    async def on(self, method: str, resource: str, form: Mapping[str, str], key: str | None = None) -> Answer:
        """Make one call on a resource of the account."""
        return await self.call(method, f"{API}/{self._account}{resource}", form, key)

    async def create(self, wish: Wish) -> Answer:
        """Ask for a message."""
        invoked_at = self._clock.now()
        answer = await self.on("POST", "/Messages.json", wish.form, wish.key)
        made = answer.body if answer.reply is Reply.OK and answer.body is not None else {}
        status = Status(made["status"]) if made else None
        self._diary.creates.append(
            Create(
                wish.order.number, wish.key, invoked_at, self._clock.now(), answer.reply, answer.code,
                made.get("sid"), status,
            )
        )  # fmt: skip
        return answer

    async def cancel(self, sid: str) -> Answer:
        """Cancel a message."""
        invoked_at = self._clock.now()
        answer = await self.on("POST", f"/Messages/{sid}.json", {"Status": "canceled"})
        self._diary.cancels.append(Cancel(sid, invoked_at, self._clock.now(), answer.reply, answer.code))
        return answer

    async def read(self, sid: str) -> None:
        """Read a message."""
        invoked_at = self._clock.now()
        answer = await self.on("GET", f"/Messages/{sid}.json", {})
        if answer.reply is Reply.OK and answer.body is not None:
            status, in_doubt = Status(answer.body["status"]), bool(answer.body["in_doubt"])
            self._diary.reads.append(Read(sid, invoked_at, self._clock.now(), status, in_doubt))
        elif answer.status == 404:
            self._diary.reads.append(Read(sid, invoked_at, self._clock.now(), None))

    async def listed(self, status: Status | None = None) -> list[Mapping[str, Any]]:
        """Return every message of the account, or every one of a status; it must be answered."""
        query = {"PageSize": str(LIST_SIZE)} | ({"Status": status.value} if status is not None else {})
        answer = await self.on("GET", "/Messages.json", query)
        found: list[Mapping[str, Any]] = []
        while True:
            assert answer.body is not None, answer
            found += answer.body["messages"]
            if (following := answer.body["next_page_uri"]) is None:
                return found
            answer = await self.call("GET", following, {})

    async def make(self, path: str, **form: str) -> str:
        """Make a resource of the configuration and return its SID; it must succeed."""
        answer = await (self.on if path.startswith("/Incoming") else self.call)("POST", path, form)
        assert answer.reply is Reply.OK, answer
        assert answer.body is not None
        return str(answer.body["sid"])


@asynccontextmanager
async def calling(port: int, account: str, token: str, diary: Diary) -> AsyncIterator[Customer]:
    """Give a customer of the node on a port of 127.0.0.1."""
    basic = base64.b64encode(f"{account}:{token}".encode()).decode()
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    headers = {"Authorization": f"Basic {basic}"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector) as session:
        yield Customer(session, f"http://127.0.0.1:{port}", account, diary)


# --- what it wants ---------------------------------------------------------------------------------------------------


def wish(
    number: int,
    recipient: str,
    source: Mapping[str, str],
    senders: tuple[str, ...],
    url: str,
    send_at: Instant | None = None,
    body: str = "",
    segments: int = 1,
    key: str | None = None,
) -> Wish:
    """Return a wish from a source (`From` or `MessagingServiceSid`); its body begins with its number."""
    text = f"{number:06} {body or 'Your table is ready.'}"
    service = "MessagingServiceSid" in source
    order = Order(number, recipient, senders, digest(text), segments, send_at, service)
    form = {"To": recipient, "Body": text, "StatusCallback": url, **source}
    if send_at is not None:
        form |= {"ScheduleType": "fixed", "SendAt": format_iso_exact(send_at)}
    return Wish(order, form, key)


def recipient(number: int) -> str:
    """Return one of two hundred phone numbers."""
    return f"+1415{2_000_000 + number % 200}"


async def until(at: Instant) -> None:
    """Return at a moment that the test has chosen."""
    clock = SystemClock()
    while (wait := at - clock.now()) > 0:
        await Alarm(clock).wait(Monotonic(clock.monotonic() + wait))


# --- what it is told -------------------------------------------------------------------------------------------------


@asynccontextmanager
async def listening(token: str, diary: Diary) -> AsyncIterator[str]:
    """Take status callbacks on a free port; give the URL for them."""
    validator, clock = RequestValidator(token), SystemClock()
    place = ""

    async def take(request: web.BaseRequest) -> web.Response:
        at = clock.now()
        form = {name: str(value) for name, value in (await request.post()).items()}
        signed = validator.validate(place, form, request.headers.get("X-Twilio-Signature", ""))
        diary.told.append(Told(form["MessageSid"], Status(form["MessageStatus"]), at, bool(signed)))
        return web.Response(status=204)

    runner = web.ServerRunner(web.Server(take), shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        place = f"http://127.0.0.1:{runner.addresses[0][1]}/told"
        yield place
    finally:
        await runner.cleanup()


async def gathered(tasks: set[asyncio.Task[None]]) -> None:
    """Wait for all tasks, those begun meanwhile too, and raise what any of them raised."""
    while tasks:
        done, _ = await asyncio.wait(tasks)
        tasks -= done
        for task in done:
            task.result()
