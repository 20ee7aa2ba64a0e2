"""The carrier process itself, with our connector as its client: its log is what the crash tests believe."""

import asyncio
import hashlib
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from postdate.clock import SystemClock
from postdate.connectors.contract import CarrierEvent, Receipt, Submission
from postdate.connectors.http import HttpConnector, HttpWay, http_connector
from postdate.connectors.providers.contract import Call
from postdate.connectors.providers.plain_http import PlainHttp, Settings
from postdate.core.address import Channel
from postdate.core.instant import HOUR, Instant
from postdate.core.message import Event
from postdate.core.outcome import Accepted, Outcome

PROGRAM = Path(__file__).with_name("carrier.py")
TOKEN = "carrier-token"


@asynccontextmanager
async def carrying(log: Path, *options: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Run the carrier until its stdin closes and give it and its URL."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(PROGRAM),
        *("--port", "0", "--log", str(log), *options),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process, f"http://127.0.0.1:{int(await process.stdout.readline())}/messages"
    finally:
        process.stdin.close()
        assert await process.wait() == 0


@asynccontextmanager
async def connected(url: str, events: "asyncio.Queue[CarrierEvent] | None" = None) -> AsyncIterator[HttpConnector]:
    kept = asyncio.Queue[CarrierEvent]() if events is None else events
    settings = Settings(url=url, token=TOKEN)
    way = HttpWay("carrier", PlainHttp(settings), settings)
    connector = http_connector(way, SystemClock(), lambda: bytes(16))
    await connector.open(kept.put)
    try:
        yield connector
    finally:
        await connector.close()


def submissions(count: int, now: Instant) -> list[Submission]:
    return [
        Submission(f"SM{n:032x}", 1, "+15550001111", "+15550002222", Channel.SMS, f"№ {n}", 1, now, Instant(now + HOUR))
        for n in range(count)
    ]


async def outcomes(connector: HttpConnector, batch: list[Submission]) -> dict[str, Outcome]:
    return {one.sid: outcome async for one, outcome in connector.submit(batch)}


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.asyncio
async def test_what_was_answered_is_in_the_log_and_a_second_attempt_gets_the_same_id(tmp_path: Path) -> None:
    log = tmp_path / "carrier.log"
    start = SystemClock().now()
    batch = submissions(200, start)
    async with carrying(log) as (_, url), connected(url) as connector:
        first = await outcomes(connector, batch)
        logged = lines(log)
        end = SystemClock().now()
        again = await outcomes(connector, batch[:1])
        assert len(lines(log)) == 201
    assert first == {line["sid"]: Accepted(line["id"]) for line in logged}
    assert again == {batch[0].sid: first[batch[0].sid]}
    assert len(set(first.values())) == 200
    one = next(line for line in logged if line["sid"] == batch[7].sid)
    assert one.pop("id")
    assert start <= one.pop("received_at") <= end
    assert one == {
        "sid": batch[7].sid,
        "attempt": 1,
        "to": "+15550002222",
        "from": "+15550001111",
        "body_sha256": hashlib.sha256("№ 7".encode()).hexdigest(),
        "idempotency_key": batch[7].sid,
    }


@pytest.mark.asyncio
async def test_a_log_that_exists_is_continued(tmp_path: Path) -> None:
    log = tmp_path / "carrier.log"
    batch = submissions(2, SystemClock().now())
    for one in batch:
        async with carrying(log) as (_, url), connected(url) as connector:
            await outcomes(connector, [one])
    assert [line["sid"] for line in lines(log)] == [one.sid for one in batch]


@pytest.mark.asyncio
async def test_receipts_are_told_until_the_node_has_heard_them(tmp_path: Path) -> None:
    events: asyncio.Queue[CarrierEvent] = asyncio.Queue()
    batch = submissions(300, SystemClock().now())
    answers = iter([503, 500])
    taker: list[HttpConnector] = []

    async def node(request: web.BaseRequest) -> web.Response:
        status = next(answers, 200)
        if status == 200:
            headers = {name.lower(): value for name, value in request.headers.items()}
            body = await request.read()
            await taker[0].take(Call("POST", str(request.url), (), headers, body, SystemClock().now()))
        return web.Response(status=status)

    runner = web.ServerRunner(web.Server(node))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receipts = f"http://127.0.0.1:{runner.addresses[0][1]}/Events"
    options = ("--receipts", receipts, "--token", TOKEN, "--slow-ms", "1")
    try:
        async with carrying(tmp_path / "log", *options) as (_, url), connected(url, events) as connector:
            taker.append(connector)
            refs = await outcomes(connector, batch)
            told = [await events.get() for _ in batch]
    finally:
        await runner.cleanup()
    expected = {
        Receipt(ref.carrier_ref, Event.DELIVER, None, sid) for sid, ref in refs.items() if isinstance(ref, Accepted)
    }
    assert set(told) == expected
    assert len(expected) == 300


@pytest.mark.asyncio
@pytest.mark.parametrize("body", [b"", b"[]", b'{"sid": "SM1"}', b"\xff"])
async def test_what_is_no_submission_is_refused_and_not_logged(tmp_path: Path, body: bytes) -> None:
    log = tmp_path / "carrier.log"
    headers = {"Idempotency-Key": "SM1"}
    async with (
        carrying(log) as (_, url),
        aiohttp.ClientSession() as session,
        session.post(url, data=body, headers=headers) as response,
    ):
        assert response.status == 400
    assert lines(log) == []


@pytest.mark.asyncio
async def test_it_ends_by_itself_when_its_time_is_up(tmp_path: Path) -> None:
    async with carrying(tmp_path / "log", "--max-seconds", "0.1") as (process, _):
        assert await process.wait() == 0
