"""The manual's settings for Kannel against Kannel itself: out through its smsbox, receipts and inbound messages back.

Its `bearerbox` has a fake carrier, which the program `fakesmsc` is the network of. All listen on 127.0.0.1.
"""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from bench.kannel import listens
from postdate.clock import SystemClock, breathe
from postdate.connectors.contract import CarrierEvent, Inbound, Receipt, Submission
from postdate.connectors.http import HttpConnector, HttpWay, http_connector
from postdate.connectors.providers.contract import Call
from postdate.connectors.providers.generic import Generic
from postdate.connectors.providers.generic_settings import GenericSettings
from postdate.core.address import Channel
from postdate.core.instant import HOUR, Instant
from postdate.core.message import Event
from postdate.core.outcome import Accepted, Busy, Refused
from tests.docs.pages import blocks, manual
from tests.held_ports import held_ports

FAKE_NETWORK = Path("/usr/lib/kannel/test/fakesmsc")
SETTINGS = json.loads(blocks(manual("generic-provider"), "json")[0])

pytestmark = pytest.mark.skipif(
    not (shutil.which("bearerbox") and shutil.which("smsbox") and FAKE_NETWORK.exists()),
    reason="Kannel is not here: install Debian's kannel and kannel-extras to run against it",
)

CONFIGURATION = """
group = core
admin-port = {admin}
admin-interface = 127.0.0.1
admin-password = hush
smsbox-port = {box}
smsbox-interface = 127.0.0.1
box-allow-ip = 127.0.0.1

group = smsc
smsc = fake
smsc-id = fake
port = {network}
connect-allow-ip = 127.0.0.1

group = smsbox
bearerbox-host = 127.0.0.1
bearerbox-port = {box}
sendsms-port = {send}
sendsms-interface = 127.0.0.1

group = sendsms-user
username = postdate
password = hush
max-messages = 10
concatenation = true

group = sms-service
keyword = default
catch-all = true
max-messages = 0
get-url = "http://127.0.0.1:{ours}/events?id=%I&from=%p&to=%P&body=%b"
"""


@asynccontextmanager
async def program(folder: Path, *words: str) -> AsyncIterator[None]:
    """Run a program until the end, its output in a file."""
    with (folder / f"{Path(words[0]).name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*words, cwd=folder, stdout=log, stderr=log)
    try:
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until_it_listens(port: int) -> None:
    while not listens(port):
        await breathe(0.05)


class Site:
    """Kannel, and our end of it: a connector, and a way in for what Kannel reports."""

    def __init__(self, send: int, network: int) -> None:
        self.network = network
        self.events: asyncio.Queue[CarrierEvent] = asyncio.Queue()
        self._url = SETTINGS["url"].replace("127.0.0.1:13013", f"127.0.0.1:{send}")
        self._connector: HttpConnector | None = None

    async def open(self, port: int, **changes: str) -> HttpConnector:
        """Open the connector with the manual's settings; `port` is that of our way in."""
        settings = msgspec.convert(SETTINGS | {"url": self._url} | changes, GenericSettings)
        way = HttpWay("kannel", Generic(settings), settings, lambda sid: f"http://127.0.0.1:{port}/e?sid={sid}&mac=ab")
        connector = http_connector(way, SystemClock(), lambda: bytes(16))
        await connector.open(self.events.put)
        return connector

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Take what Kannel reports, as the API of a node does."""
        assert self._connector is not None
        call = Call("GET", str(request.url), list(request.query.items()), {}, b"", Instant(0), request.query.get("sid"))
        heard = await self._connector.take(call)
        return web.Response(status=heard.status, body=heard.body)

    @asynccontextmanager
    async def connected(self, port: int) -> AsyncIterator[HttpConnector]:
        """Give the connector, which takes the reports too."""
        self._connector = await self.open(port)
        try:
            yield self._connector
        finally:
            await self._connector.close()


@asynccontextmanager
async def kannel(folder: Path) -> AsyncIterator[tuple[Site, HttpConnector, int]]:
    """Run Kannel and give it, the connector to it, and the port of our way in."""
    async with AsyncExitStack() as stack:
        admin, box, network, send = stack.enter_context(held_ports(4))
        site = Site(send, network)
        runner = web.ServerRunner(web.Server(site.answer), shutdown_timeout=0.1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        file = folder / "kannel.conf"
        file.write_text(CONFIGURATION.format(admin=admin, box=box, network=network, send=send, ours=port))
        await stack.enter_async_context(program(folder, "bearerbox", str(file)))
        await until_it_listens(box)
        await until_it_listens(network)
        await stack.enter_async_context(program(folder, "smsbox", str(file)))
        await until_it_listens(send)
        yield site, await stack.enter_async_context(site.connected(port)), port


def submission(number: int, body: str, recipient: str = "+15550002222") -> Submission:
    now = SystemClock().now()
    sid = f"SM{number:032x}"
    return Submission(sid, 1, "12345", recipient, Channel.SMS, body, 1, now, Instant(now + HOUR))


def network_log(folder: Path) -> str:
    return (folder / "fakesmsc.log").read_text(encoding="latin-1")


async def test_kannel_carries_both_ways(tmp_path: Path) -> None:
    inbound = "+15550002222 12345 text Gruss an alle"
    async with kannel(tmp_path) as (site, connector, port):
        network = str(site.network)
        words = (str(FAKE_NETWORK), "-H", "127.0.0.1", "-r", network, "-m", "1", inbound)
        async with program(tmp_path, *words):
            heard = await site.events.get()
            assert isinstance(heard, Inbound)
            assert (heard.sender, heard.recipient, heard.body) == ("+15550002222", "12345", "Gruss an alle")
            assert heard.carrier_ref
            batch = [submission(1, "Hello & good-bye = {to}"), submission(2, "Grüße 🙂")]
            outcomes = {one.sid: outcome async for one, outcome in connector.submit(batch)}
            assert outcomes == {one.sid: Accepted(one.sid) for one in batch}
            receipts = [await site.events.get() for _ in batch]
            assert sorted(map(repr, receipts)) == [
                repr(Receipt(one.sid, Event.DELIVER, None, one.sid)) for one in batch
            ]
        log = network_log(tmp_path)
        assert "<12345 +15550002222 text Hello & good-bye = {to}>" in log
        assert "<12345 +15550002222 ucs-2 %00G%00r%00%FC%00%DF%00e%00+%D8%3D%DEB>" in log

        (refused,) = [outcome async for _, outcome in connector.submit([submission(3, "x", recipient="")])]
        assert isinstance(refused, Refused)
        stranger = await site.open(port, password="another")
        (busy,) = [outcome async for _, outcome in stranger.submit([submission(4, "x")])]
        await stranger.close()
        assert isinstance(busy, Busy)
        assert "credentials" in busy.detail
