"""The processes that are measured: `python -m bench.server ROLE ARGUMENTS`, started by `bench.child`.

Each role tells what it has to tell in JSON lines. Those that serve end when their input is closed.
"""

import asyncio
import math
import resource
import secrets
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send

from bench.figures import share
from bench.looking import fill_mixed, look, serve_console
from bench.peers import Customer, Smsc, Taken, Told
from bench.telling import input_closed, tell
from bench.watching import Place, WatchedNode, address_of, connect, furnish, recipient, settings_for
from postdate import telemetry
from postdate.api.server import WebServer
from postdate.clock import SystemClock, breathe
from postdate.connectors.sandbox_fields import Between
from postdate.connectors.sandbox_script import ReceiptPlan, Report, Rule, Script
from postdate.core.address import bucket_of
from postdate.core.commands import Context, SendMessage, to_message
from postdate.core.instant import DAY, SECOND, Instant, ScheduleWindow
from postdate.core.message import Message
from postdate.core.resources import Account, Service
from postdate.core.sid import CHANCE_BYTES, new_sid
from postdate.node import Node
from postdate.store.contract import AddResult, New
from postdate.store.sqlite import SqliteStore

_OK = b'{"ok":true}'
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(_OK)).encode())]
_MOST_HEAD = 16_384
_BACKLOG = 2_048
_ADDED_AT_ONCE = 2_000
_NO_CAP = 2**62
_SCATTER = 7_919_777_777  # a prime: neighbours in the order of adding are far apart in time
_LONGEST_SECONDS = 240
_TELL_SECONDS = 0.2
_BODY = "Your appointment is tomorrow at 10 o'clock. Reference {}"

SCRIPTS: Mapping[str, Script] = {
    "none": Script((Rule(receipt=ReceiptPlan(Report.NONE)),)),
    "default": Script(),
    "at once": Script((Rule(receipt=ReceiptPlan(delay=Between(0, 0))),)),
}


# -- the trivial route -------------------------------------------------------------------------------------------------


async def _trivial_app(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _OK})


async def trivial(given: Mapping[str, Any]) -> None:
    """A route that does nothing, under the node's own web server or under uvicorn as it comes."""
    if given.get("plain"):
        await _plain_trivial()
        return
    web = WebServer(_trivial_app, "127.0.0.1", 0, _MOST_HEAD)
    await web.start()
    tell(port=web.port)
    await input_closed()
    await web.stop()


async def customer(given: Mapping[str, Any]) -> None:
    """A customer's server: takes callbacks, and tells at the end how many came, and how many of them once."""
    seen: Counter[bytes] = Counter()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen[dict(scope["headers"]).get(b"i-twilio-idempotency-token", b"")] += 1
        await _trivial_app(scope, receive, send)

    web = WebServer(app, "127.0.0.1", 0, _MOST_HEAD)
    await web.start()
    tell(port=web.port)
    await input_closed()
    await web.stop()
    tell(calls=seen.total(), distinct=len(seen))


async def _plain_trivial() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG) as listening:
        server = uvicorn.Server(
            uvicorn.Config(_trivial_app, http="httptools", lifespan="off", log_config=None, access_log=False)
        )
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        tell(port=listening.getsockname()[1])
        await input_closed()
        server.should_exit = True
        await serving


# -- a node that serves ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _node(given: Mapping[str, Any]) -> AsyncIterator[tuple[WatchedNode, Place]]:
    node = WatchedNode(settings_for(Path(given["data"])))
    if given.get("tell_first"):
        node.seen.on_first = lambda at: tell(handed_at=at)
    async with node:
        place = await furnish(node, given.get("senders", 1), given.get("mps", 0))
        await node.listen()
        yield node, place


async def serve(given: Mapping[str, Any]) -> None:
    """A node as customers use it: tells its port and who may use it, and if asked when it first handed over."""
    async with _node(given) as (node, place):
        tell(port=node.port, account=place.account, token=place.token, service=place.service)
        assert node.failed is not None
        await asyncio.wait([asyncio.ensure_future(input_closed()), node.failed], return_when=asyncio.FIRST_COMPLETED)
        if node.failed.done():
            await node.failed


# -- a node between its customer and its carrier ----------------------------------------------------------------------


async def customers(given: Mapping[str, Any]) -> None:
    """A lean server of customers: tells five times a second what it was told until then."""
    told = Told()
    server = await asyncio.get_running_loop().create_server(lambda: Customer(told), "127.0.0.1", 0, backlog=_BACKLOG)
    tell(port=server.sockets[0].getsockname()[1])
    closed = asyncio.ensure_future(input_closed())
    while not closed.done():
        await breathe(_TELL_SECONDS)
        tell(calls=told.calls, delivered=len(told.delivered), last_at=told.last_at)


async def smsc(given: Mapping[str, Any]) -> None:
    """A lean SMSC that reports at once: tells once `expected` messages have come, and at the end."""
    taken = Taken()
    server = await asyncio.get_running_loop().create_server(lambda: Smsc(taken), "127.0.0.1", 0)
    tell(port=server.sockets[0].getsockname()[1])
    closed = asyncio.ensure_future(input_closed())
    while not closed.done() and len(taken.arrivals) < given.get("expected", math.inf):
        await breathe(_TELL_SECONDS)
    arrivals = taken.arrivals
    tell(
        count=len(arrivals),
        put_off=taken.put_off,
        over=arrivals[-1] - arrivals[0] if arrivals else 0,
        worst_second=taken.worst_second(),
        gap_p50=taken.gap(0.5) if len(arrivals) > 1 else 0,
        gap_p99=taken.gap(0.99) if len(arrivals) > 1 else 0,
    )
    await closed


async def carry(given: Mapping[str, Any]) -> None:
    """A node with an SMPP connection: tells its port and who may use it; hands over `count` messages by itself."""
    async with Node(settings_for(Path(given["data"]))) as node:
        connection = await connect(node, given["smsc"], given["in_flight"])
        place = await furnish(node, 1, given.get("mps", 0), connection)
        await node.listen()
        tell(port=node.port, account=place.account, token=place.token, sender=address_of(0))
        account = node.directory.find(Account, place.account)
        assert account is not None
        at_once = (
            SendMessage(recipient=recipient(n), body=_BODY.format(n), sender=address_of(0))
            for n in range(given.get("count", 0))
        )
        await asyncio.gather(*(node.ingest.accept(account, command) for command in at_once))
        await input_closed()


# -- a node that sends -------------------------------------------------------------------------------------------------


async def send(given: Mapping[str, Any]) -> None:
    """Accept `count` messages, due `gap` microseconds apart after a while; tell how late each was handed over."""
    count, callback = given["count"], given["callback"]
    async with _node(given) as (node, place):
        node.sandbox.set_script(SCRIPTS[given["receipts"]])
        account = node.directory.find(Account, place.account)
        assert account is not None
        start = Instant(node.clock.now() + given["lead"] * SECOND)
        commands = (_command(place, n, Instant(start + n * given["gap"]), callback) for n in range(count))
        await asyncio.gather(*(node.ingest.accept(account, command) for command in commands))
        if node.clock.now() > start - SECOND:
            raise SystemExit("this machine did not accept the messages before they were due: give a longer lead")
        before = _processor_seconds()
        async with asyncio.timeout(_LONGEST_SECONDS):
            await node.seen.until(count, 0 if given["receipts"] == "none" else count)
        lateness = node.seen.lateness
        tell(
            p50=share(lateness, 0.5),
            p99=share(lateness, 0.99),
            last=max(lateness),
            first=min(lateness),
            handed=len(lateness),
            all_delivered=node.seen.last_receipt_at - start,
            processor=(_processor_seconds() - before) * SECOND / count,
        )


def _command(place: Place, number: int, send_at: Instant, callback: str | None) -> SendMessage:
    return SendMessage(
        recipient=recipient(number),
        body=_BODY.format(number),
        service_sid=place.service,
        send_at=send_at,
        callback_url=callback,
    )


def _processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


# -- a store with much in it -------------------------------------------------------------------------------------------


async def fill(given: Mapping[str, Any]) -> None:
    """Add `count` scheduled messages, due from `due_in` seconds ahead and scattered over `over` seconds."""
    data = Path(given["data"])
    async with WatchedNode(settings_for(data)) as node:
        place = await furnish(node)
        service = node.directory.find(Service, place.service)
    clock = SystemClock()
    context = Context(place.account, service, None, None, ScheduleWindow.parse("0s.."))
    at = clock.now()
    due = Instant(at + given["due_in"] * SECOND)
    model = to_message(_command(place, 0, Instant(at + DAY), None), context, at, bytes(CHANCE_BYTES))
    over = given["over"] * SECOND
    store = SqliteStore(data / "postdate.db")
    await store.open()
    adding: asyncio.Task[list[AddResult]] | None = None
    for first in range(0, given["count"], _ADDED_AT_ONCE):
        numbers = range(first, min(first + _ADDED_AT_ONCE, given["count"]))
        now = clock.now()
        scattered = [(n, Instant(due + (n * _SCATTER % over if over else 0))) for n in numbers]
        batch = [New(_copy(model, n, send_at, now), _NO_CAP) for n, send_at in scattered]
        if adding is not None:
            await adding
            tell(added=first)
        adding = asyncio.create_task(store.add(batch, now))
        await breathe()  # the store works on this batch while the next one is made
    if adding is not None:
        await adding
        tell(added=given["count"])
    await input_closed()  # a parent that kills us here leaves the store as a crash does
    await store.close()


def _copy(model: Message, number: int, send_at: Instant, at: Instant) -> Message:
    to = recipient(number)
    bucket = bucket_of(model.account_sid, to)
    return msgspec.structs.replace(
        model,
        sid=new_sid("SM", at, bucket, secrets.token_bytes(CHANCE_BYTES)),
        bucket=bucket,
        recipient=to,
        body=_BODY.format(number),
        send_at=send_at,
        due_at=send_at,
        expires_at=Instant(send_at + DAY),
        created_at=at,
        updated_at=at,
        listed_at=at,
    )


ROLES: Mapping[str, Callable[[Mapping[str, Any]], Coroutine[Any, Any, None]]] = {
    "trivial": trivial,
    "customer": customer,
    "serve": serve,
    "send": send,
    "fill": fill,
    "customers": customers,
    "smsc": smsc,
    "carry": carry,
    "fill mixed": fill_mixed,
    "look": look,
    "serve console": serve_console,
}

if __name__ == "__main__":
    telemetry.configure("warning", sys.stderr, people=True)  # our output is for the parent
    uvloop.run(ROLES[sys.argv[1]](msgspec.json.decode(sys.argv[2])))
