"""The SMPP connector against SMSCs that are not ours: node-smpp with its faults, and Net::SMPP.

Each runs in a process of its own, on 127.0.0.1 and a free port, and ends with the test. Where one is not installed its
tests are skipped and say how it is.
"""

import asyncio
import json
import shutil
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from postdate.clock import Clock, SystemClock
from postdate.connectors.contract import CarrierEvent, Inbound, Receipt
from postdate.connectors.smpp import SmppConnector
from postdate.core.message import Event
from postdate.core.outcome import Accepted, Busy, InDoubt, Outcome, Unreachable
from tests.connectors.smpp_peer import (
    PASSWORD,
    outcome_of,
    outcomes,
    pass_by,
    settings_for,
    still_wire,
    submission,
    until,
)
from tests.connectors.test_smpp_links import certificate

NODE = shutil.which("node")
PACKAGE = Path(__file__).parents[1] / "node" / "package.json"
NODE_SMSC = PACKAGE.with_name("smsc.mjs")
NODE_SMPP = (PACKAGE.parent / "node_modules" / "smpp" / "package.json").exists()
PERL = shutil.which("perl")
PERL_SMSC = Path(__file__).parents[1] / "peers" / "smsc.pl"
NET_SMPP = PERL is not None and subprocess.run([PERL, "-MNet::SMPP", "-e", "1"], capture_output=True).returncode == 0

needs_node_smpp = pytest.mark.skipif(
    NODE is None or not NODE_SMPP, reason="node-smpp is missing: npm install --prefix tests/node --no-package-lock"
)
needs_net_smpp = pytest.mark.skipif(not NET_SMPP, reason="Net::SMPP is missing: on Debian, install libnet-smpp-perl")

LONG = "abcdefghi " * 40
ONCE: Mapping[str, Any] = {"reconnect_first": 60, "reconnect_longest": 60}


class Peer:
    """An SMSC in another process that answers in lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.port = 0

    async def line(self) -> str:
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode()

    async def seen(self) -> Any:
        """What node-smpp has seen so far."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        return json.loads(await self.line())


@asynccontextmanager
async def running(*command: str) -> AsyncIterator[Peer]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    try:
        yield Peer(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@asynccontextmanager
async def node_smpp(**wanted: Any) -> AsyncIterator[Peer]:
    async with running(str(NODE), str(NODE_SMSC), str(PACKAGE), json.dumps(wanted)) as peer:
        peer.port = json.loads(await peer.line())["port"]
        yield peer


@asynccontextmanager
async def connected(
    port: int, events: list[CarrierEvent] | None = None, wire: Clock | None = None, **changes: Any
) -> AsyncIterator[SmppConnector]:
    async def keep(event: CarrierEvent) -> None:
        if events is not None:
            events.append(event)

    settings = settings_for(port, **changes)
    connector = SmppConnector(settings, SystemClock(), lambda: 0.0, wire)
    try:
        await connector.open(keep)
        await until(lambda: connector.condition.links == settings.links)
        yield connector
    finally:
        await connector.close()


def sixty() -> Sequence[Any]:
    return [submission(number) for number in range(60)]


# --- node-smpp -------------------------------------------------------------------------------------------------------


@needs_node_smpp
@pytest.mark.parametrize("receipts", ["after", "before", "twice", "shuffled"])
async def test_node_takes_messages_and_reports_them_in_any_order(receipts: str) -> None:
    events: list[CarrierEvent] = []
    async with node_smpp(receipts=receipts, hexIds=True, password=PASSWORD) as peer:
        async with connected(peer.port, events, id_format="hex_to_dec", links=2) as connector:
            found = await outcomes(connector, [submission(number) for number in range(64)])
            refs = {outcome.carrier_ref for outcome in found if isinstance(outcome, Accepted)}
            assert refs == {str(4096 + number) for number in range(1, 65)}
            count = 128 if receipts == "twice" else 64
            await until(lambda: len(events) == count)
            assert set(events) == {Receipt(ref, Event.DELIVER) for ref in refs}
        seen = await peer.seen()
        assert seen["answers"] == {"0": count}
        assert (seen["binds"], seen["unbinds"]) == (2, 2)


@needs_node_smpp
async def test_node_reads_what_we_write() -> None:
    async with node_smpp() as peer, connected(peer.port) as connector:
        await outcomes(connector, [submission(0xBEEF, "Grüße @ {you}"), submission(2, "やあ、元気？", sender="Clinic")])
        assert isinstance(await outcome_of(connector, submission(3, LONG)), Accepted)
        texts = (await peer.seen())["texts"]
        assert [one["text"] for one in texts[:2]] == ["Grüße @ {you}", "やあ、元気？"]
        assert [one["coding"] for one in texts] == [0, 8, 0, 0, 0]
        assert [one["ton"] for one in texts[:2]] == [[1, 1], [5, 1]]
        assert texts[0]["reference"] == 0xBEEF
        assert "".join(one["text"] for one in texts[2:]) == LONG
        assert [one["registered"] for one in texts[2:]] == [2, 2, 1]
        assert all(one["udh"] is not None for one in texts[2:])


@needs_node_smpp
async def test_node_throttles_every_fifth() -> None:
    async with node_smpp(throttleEvery=5) as peer, connected(peer.port) as connector:
        kinds = Counter(type(outcome) for outcome in await outcomes(connector, sixty()))
        assert kinds == {Accepted: 48, Busy: 12}


@needs_node_smpp
async def test_node_never_answers_every_twentieth() -> None:
    wire, found = still_wire(), list[Outcome]()

    async def submit(connector: SmppConnector) -> None:
        async for _, outcome in connector.submit(sixty()):
            found.append(outcome)

    async with node_smpp(silentEvery=20) as peer, connected(peer.port, wire=wire) as connector:
        task = asyncio.create_task(submit(connector))
        await until(lambda: len(found) == 57)
        assert (await peer.seen())["submits"] == 60
        await pass_by(wire, 10)
        await task
        assert Counter(map(type, found)) == {Accepted: 57, InDoubt: 3}


@needs_node_smpp
async def test_node_answers_slowly_and_the_window_holds() -> None:
    async with node_smpp(delay=5) as peer, connected(peer.port) as connector:
        assert all(isinstance(outcome, Accepted) for outcome in await outcomes(connector, sixty()))


@needs_node_smpp
async def test_node_destroys_the_socket_in_mid_burst() -> None:
    async with node_smpp(killAfter=30) as peer, connected(peer.port, **ONCE) as connector:
        found = await outcomes(connector, sixty())
        kinds = Counter(type(outcome) for outcome in found)
        assert kinds[Accepted] <= 29
        assert 1 <= kinds[InDoubt] <= 30
        assert kinds[Unreachable] >= 20
        assert kinds.total() == 60
        # Nobody who is told "it never left" may find it at the SMSC.
        taken = {one["text"] for one in (await peer.seen())["texts"]}
        unsent = {f"Hello {number}" for number, outcome in enumerate(found) if isinstance(outcome, Unreachable)}
        assert not taken & unsent


@needs_node_smpp
async def test_node_is_bound_again_after_it_destroyed_the_socket() -> None:
    async with node_smpp(killAfter=1) as peer, connected(peer.port) as connector:
        assert isinstance(await outcome_of(connector, submission(1)), InDoubt)
        await until(lambda: connector.condition.links == 1)
        assert isinstance(await outcome_of(connector, submission(2)), Accepted)


@needs_node_smpp
async def test_node_refuses_the_password() -> None:
    async with node_smpp(password="another") as peer:
        connector = SmppConnector(settings_for(peer.port), SystemClock(), lambda: 0.0)

        async def forget(event: CarrierEvent) -> None:
            raise AssertionError(event)

        await connector.open(forget)
        await until(lambda: connector.condition.last_error)
        assert "password" in connector.condition.last_error
        await connector.close()


def with_length(octets: bytes) -> str:
    return (len(octets).to_bytes(4, "big") + octets[4:]).hex()


def deliver(source: bytes, rest: bytes) -> str:
    """A `deliver_sm` written by hand, from the source address on."""
    return with_length(bytes.fromhex("000000000000000500000000000000ff000101") + source + rest)


TO_US = b"\x01\x0115550001111\0" + b"\0" * 3 + b"\0\0" + b"\0" * 4 + b"\x02Hi"
ODD: list[tuple[str, str]] = [
    ("unknown command", "00000010000009990000000000000007"),
    ("vendor's response status", "00000010800000040000041000000063"),
    ("Latin-1 sender", deliver(b"Caf\xe9\0", TO_US)),
    ("sender of 25 digits", deliver(b"1" * 25 + b"\0", TO_US)),
    ("trailing NUL", deliver(b"15550002222\0", TO_US + b"\0")),
    ("parameter beyond the end", deliver(b"15550002222\0", TO_US + b"\x14\x03\x00\x50ab")),
    ("short body", with_length(bytes.fromhex("000000000000000500000000000000ff0001"))),
    ("empty message_state", deliver(b"15550002222\0", TO_US + b"\x04\x27\x00\x00")),
    ("data_sm", with_length(bytes.fromhex("000000000000010300000000000000ff") + b"\0\1\1123\0\1\1321\0\0\0\0")),
    ("alert_notification", with_length(bytes.fromhex("000000000000010200000000000000ff") + b"\1\1123\0\1\1321\0")),
]


@needs_node_smpp
@pytest.mark.parametrize("frame", [frame for _, frame in ODD], ids=[name for name, _ in ODD])
async def test_odd_frames_from_node_do_not_end_the_link(frame: str) -> None:
    async with node_smpp(frames=[frame], receipts="after") as peer:
        events: list[CarrierEvent] = []
        async with connected(peer.port, events) as connector:
            found = await outcomes(connector, sixty())
            assert all(isinstance(outcome, Accepted) for outcome in found)
            await until(lambda: sum(isinstance(event, Receipt) for event in events) == 60)
        assert (await peer.seen())["binds"] == 1


@needs_node_smpp
@pytest.mark.parametrize("frame", ["00000008000000040000000000000007", "80000000000000040000000000000007"])
async def test_impossible_lengths_from_node_end_the_link(frame: str) -> None:
    async with node_smpp(frames=[frame]) as peer:
        connector = SmppConnector(settings_for(peer.port, **ONCE), SystemClock(), lambda: 0.0)

        async def forget(event: CarrierEvent) -> None:
            raise AssertionError(event)

        await connector.open(forget)
        await until(lambda: "what the SMSC sends is not SMPP" in connector.condition.last_error)
        await connector.close()


@needs_node_smpp
async def test_node_delivers_messages_from_handsets() -> None:
    wanted = [{"from": "15550002222", "to": "15550001111", "text": text} for text in ("STOP", "Pâté", "停止")]
    events: list[CarrierEvent] = []
    async with node_smpp(inbound=wanted) as peer, connected(peer.port, events):
        await until(lambda: len(events) == 3)
        assert [(one.sender, one.recipient, one.body) for one in events if isinstance(one, Inbound)] == [
            ("+15550002222", "+15550001111", text) for text in ("STOP", "Pâté", "停止")
        ]


@needs_node_smpp
async def test_node_over_tls(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "smsc")
    changes: dict[str, Any] = {"host": "localhost", "tls": True, "ca_file": cert}
    async with node_smpp(key=key, cert=cert) as peer, connected(peer.port, **changes) as connector:
        assert all(isinstance(outcome, Accepted) for outcome in await outcomes(connector, sixty()))


@needs_node_smpp
async def test_a_window_of_receipts_under_load_from_node() -> None:
    events: list[CarrierEvent] = []
    async with node_smpp(receipts="after") as peer, connected(peer.port, events, in_flight=50) as connector:
        found = await outcomes(connector, [submission(number) for number in range(3_000)])
        assert all(isinstance(outcome, Accepted) for outcome in found)
        await until(lambda: len(events) == 3_000)
        assert len(set(events)) == 3_000


# --- Net::SMPP -------------------------------------------------------------------------------------------------------


@needs_net_smpp
async def test_net_smpp_takes_messages_and_reports_them() -> None:
    events: list[CarrierEvent] = []
    async with running(str(PERL), str(PERL_SMSC)) as peer:
        peer.port = int(await peer.line())
        async with connected(peer.port, events) as connector:
            found = await outcomes(connector, [submission(number) for number in range(1, 21)])
            assert found == [Accepted(f"net-{number}") for number in range(1, 21)]
            await until(lambda: len(events) == 20)
            assert events == [Receipt(f"net-{number}", Event.DELIVER) for number in range(1, 21)]
        assert json.loads(await peer.line()) == {"taken": 20, "receipts_answered": 20, "last": "Hello 20"}
