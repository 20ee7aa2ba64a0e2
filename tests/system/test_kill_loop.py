"""`kill -9` at random moments of a burst, again and again: nothing lost, early, doubled, or sent after its cancel.

The carrier is a process of its own and its log is the truth. The customer notes what was answered; a call whose answer
was lost with the node proves nothing either way. A message that is marked in doubt may or may not be at the carrier,
and under the policy `hold` it is never submitted again.
"""

import asyncio
import json
import os
import random
import signal
import socket
import sys
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from postdate.clock import SystemClock, breathe
from postdate.core.instant import SECOND, Instant, format_iso_exact
from tests.system.living import NUMBERS, SERVICE

KILLS = 50
BURST = 24
ACCOUNT, TOKEN, CARRIER_TOKEN = "AC" + "1" * 32, "2" * 32, "carrier-token"
SEED = int(os.environ.get("POSTDATE_KILL_SEED", "20221112"))
SETTLED = {"sent", "delivered", "undelivered", "failed", "canceled"}
ENDED = (aiohttp.ClientError, ConnectionError, TimeoutError)


@dataclass
class Diary:
    """What the customer knows: messages acknowledged with their time, cancels acknowledged, and callbacks heard."""

    send_at: dict[str, int] = field(default_factory=dict)
    canceled: set[str] = field(default_factory=set)
    told: Counter[tuple[str, str]] = field(default_factory=Counter)
    in_flight_cancels: set[str] = field(default_factory=set)
    kills: int = 0


@asynccontextmanager
async def running(*command: str, first_line: bytes) -> AsyncIterator[tuple[asyncio.subprocess.Process, bytes]]:
    """Run a program of ours; give it once its first line has come."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    line = await process.stdout.readline()
    assert line.startswith(first_line), f"{command[0]} did not start: {line!r}"
    try:
        yield process, line
    finally:
        process.stdin.close()
        if process.returncode is None:
            await process.wait()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@dataclass
class Customer:
    """A client that schedules and cancels, and notes what it was answered."""

    http: aiohttp.ClientSession
    base: str
    callback: str
    chance: random.Random
    diary: Diary
    clock: SystemClock = field(default_factory=SystemClock)

    async def burst(self, life: int) -> None:
        """Schedule messages due within a second, many at one instant, and cancel some around that time."""
        instant = Instant(self.clock.now() + SECOND // 5 + self.chance.randrange(SECOND // 2))
        await asyncio.gather(*(self._one(life, n, instant) for n in range(BURST)))

    async def _one(self, life: int, n: int, instant: Instant) -> None:
        at = instant if n % 2 else Instant(instant + self.chance.randrange(SECOND // 2))
        form = {"To": f"+1415{2_000_000 + life * 100 + n}", "Body": f"{life}/{n}", "StatusCallback": self.callback}
        form["MessagingServiceSid"] = SERVICE
        if n % 4:
            form |= {"ScheduleType": "fixed", "SendAt": format_iso_exact(at)}
        try:
            async with self.http.post(f"{self.base}/Messages.json", data=form) as answer:
                message = await answer.json()
                if message.get("code") == 35114:
                    return  # its time had come before the node was up
                assert answer.status == 201, message
                self.diary.send_at[message["sid"]] = at if n % 4 else 0
                if n % 3 == 0 and n % 4:
                    await self._cancel(message["sid"], at)
        except ENDED:
            return  # the answer was lost with the node: it proves nothing

    async def _cancel(self, sid: str, at: Instant) -> None:
        while self.clock.now() < at - self.chance.randrange(SECOND // 3):
            await breathe(0.002)
        self.diary.in_flight_cancels.add(sid)
        async with self.http.post(f"{self.base}/Messages/{sid}", data={"Status": "canceled"}) as answer:
            said = await answer.json()
            assert (answer.status, said.get("code")) in {(200, None), (409, 30409)}, said
            self.diary.in_flight_cancels.discard(sid)
            if answer.status == 200:
                self.diary.canceled.add(sid)

    async def everything(self) -> dict[str, dict[str, Any]]:
        """Return every message there is."""
        found: dict[str, dict[str, Any]] = {}
        path: str | None = f"{self.base}/Messages.json?PageSize=1000"
        origin = self.base.partition("/2010")[0]
        while path is not None:
            async with self.http.get(path) as answer:
                page = await answer.json()
            found |= {message["sid"]: message for message in page["messages"]}
            path = origin + page["next_page_uri"] if page["next_page_uri"] else None
        return found

    async def settled(self) -> dict[str, dict[str, Any]]:
        """Return every message once each has an end or is in doubt."""
        async with asyncio.timeout(60):
            while True:
                found = await self.everything()
                if all(m["status"] in SETTLED or m["in_doubt"] for m in found.values()):
                    return found
                await breathe(0.05)


@asynccontextmanager
async def listening(diary: Diary) -> AsyncIterator[str]:
    """A customer's server that hears status callbacks."""

    async def hear(request: web.Request) -> web.Response:
        form = await request.post()
        diary.told[str(form["MessageSid"]), str(form["MessageStatus"])] += 1
        return web.Response()

    app = web.Application()
    app.router.add_post("/status", hear)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/status"
    finally:
        await runner.cleanup()


async def lives(customer: Customer, settings: dict[str, Any]) -> None:
    """Start the node, begin a burst, kill it at a random moment of it: again and again."""
    for life in range(KILLS):
        async with running(program("living.py"), json.dumps(settings), first_line=b"ready") as (node, _):
            burst = asyncio.create_task(customer.burst(life))
            await breathe(customer.chance.uniform(0.005, 0.9))  # the moment is random: nothing is waited for
            node.send_signal(signal.SIGKILL)
            await burst
            customer.diary.kills += await node.wait() == -signal.SIGKILL


def program(name: str) -> str:
    return str(Path(__file__).with_name(name))


def faults(diary: Diary, kept: dict[str, dict[str, Any]], submitted: dict[str, list[int]]) -> list[str]:
    """Return every broken promise, with the message it was broken for."""
    found = [f"{sid}: submitted {len(times)} times" for sid, times in submitted.items() if len(times) > 1]
    found += [f"{sid}: at the carrier, unknown to the node" for sid in submitted if sid not in kept]
    found += [f"{sid}: acknowledged and lost" for sid in diary.send_at if sid not in kept]
    for sid, message in kept.items():
        found += [f"{sid}: {fault}" for fault in faults_of(diary, message, submitted.get(sid, []))]
    return found


def faults_of(diary: Diary, message: dict[str, Any], times: list[int]) -> list[str]:
    """Return what was broken for one message; `times` are when the carrier got it."""
    sid, status, in_doubt = message["sid"], message["status"], message["in_doubt"]
    ended = status in SETTLED and not in_doubt
    asked = sid in diary.canceled or sid in diary.in_flight_cancels
    checks = {
        "early": any(at < diary.send_at.get(sid, 0) for at in times),
        "canceled with a 200, and not so": sid in diary.canceled and (bool(times) or status != "canceled"),
        "canceled by nobody": status == "canceled" and not asked,
        f"{status}, and never at the carrier": status in {"sent", "delivered"} and not times,
        f"{status}, and never handed over": not times and not in_doubt and status not in {"canceled", "failed"},
        f"nobody was told that it is {status}": ended and not diary.told[sid, status],
    }
    return [fault for fault, broken in checks.items() if broken]


@pytest.mark.timeout(600)
async def test_fifty_kills_lose_hurry_and_double_nothing(tmp_path: Path) -> None:
    diary, port, log = Diary(), free_port(), tmp_path / "carrier.log"
    events = f"http://127.0.0.1:{port}/postdate/v1/Connections/http/Events"
    carrier = (program("carrier.py"), "--log", str(log), "--receipts", events, "--token", CARRIER_TOKEN)
    header = {"Authorization": "Basic " + b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()}
    async with (
        running(*carrier, "--max-seconds", "580", first_line=b"") as (_, line),
        listening(diary) as callback,
        aiohttp.ClientSession(headers=header, timeout=aiohttp.ClientTimeout(total=20)) as http,
    ):
        settings: dict[str, Any] = {
            "data": str(tmp_path / "data"), "port": port, "account_sid": ACCOUNT, "auth_token": TOKEN,
            "schedule_window": "0s..", "allow_networks": "127.0.0.0/8", "default_connection": "http",
            "carrier_url": f"http://127.0.0.1:{int(line)}/messages", "carrier_token": CARRIER_TOKEN,
        }  # fmt: skip
        base = f"http://127.0.0.1:{port}/2010-04-01/Accounts/{ACCOUNT}"
        customer = Customer(http, base, callback, random.Random(SEED), diary)
        await lives(customer, settings)
        async with running(program("living.py"), json.dumps(settings), first_line=b"ready") as (node, _):
            kept = await customer.settled()
            async with asyncio.timeout(30):
                while any(
                    m["status"] in SETTLED and not m["in_doubt"] and not diary.told[sid, m["status"]]
                    for sid, m in (await customer.everything()).items()
                ):
                    await breathe(0.05)
            kept = await customer.everything()
            node.send_signal(signal.SIGTERM)
    submitted: dict[str, list[int]] = {}
    for entry in map(json.loads, log.read_text().splitlines()):
        submitted.setdefault(entry["sid"], []).append(entry["received_at"])
    doubts = sum(m["in_doubt"] for m in kept.values())
    print(f"seed {SEED}: {diary.kills} kills, {len(diary.send_at)} acknowledged, {len(kept)} kept,", end=" ")
    print(f"{len(submitted)} submitted, {len(diary.canceled)} canceled, {doubts} in doubt")
    assert faults(diary, kept, submitted) == []
    assert diary.kills == KILLS
    assert len(submitted) > KILLS
    assert diary.canceled
    assert {m["from"] for m in kept.values() if m["status"] == "delivered"} <= set(NUMBERS)


SID = "SM" + "a" * 32
SENT = {"sid": SID, "status": "sent", "in_doubt": False}


@pytest.mark.parametrize(
    ("message", "times", "canceled", "told", "fault"),
    [
        pytest.param(SENT, [100], False, "sent", None, id="nothing"),
        pytest.param(SENT, [99], False, "sent", "early", id="early"),
        pytest.param(SENT, [100], True, "sent", "canceled with a 200", id="canceled-and-sent"),
        pytest.param(SENT, [100, 101], False, "sent", "submitted 2 times", id="twice"),
        pytest.param(SENT, [], False, "sent", "never at the carrier", id="never-handed-over"),
        pytest.param(SENT, [100], False, "queued", "nobody was told", id="not-told"),
        pytest.param(SENT | {"status": "canceled"}, [], False, "canceled", "by nobody", id="canceled-by-nobody"),
        pytest.param(SENT | {"sid": "SM" + "b" * 32}, [100], False, "sent", "acknowledged and lost", id="lost"),
    ],
)
def test_a_fault_is_seen(
    message: dict[str, Any], times: list[int], canceled: bool, told: str, fault: str | None
) -> None:
    diary = Diary(send_at={SID: 100}, canceled={SID} if canceled else set())
    diary.told[message["sid"], told] += 1
    found = faults(diary, {message["sid"]: message}, {SID: times} if times else {})
    assert (found == []) if fault is None else any(fault in one for one in found)
