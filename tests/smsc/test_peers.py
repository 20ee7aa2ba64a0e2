"""ESMEs that are not ours bind to our SMSC: short and long messages out, receipts and what handsets write back in.

smpplib, aiosmpplib and Kannel have nothing in common with our session, so two halves of one mistake would not agree.
"""

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from bench.kannel import BEARERBOX, SMSBOX, listens, written
from tests.held_ports import held_ports
from tests.smsc.esme import HANDSET, SENDER, Trial, a_trial, eventually

SHORT = "See you at 3PM {today}"
LONG = "Bring your insurance card, please. " * 12
KANJI = "予約は明日の午後三時です。" * 12
REPLY = "Running late, sorry [10 min] " * 8
BODIES = [SHORT, LONG, KANJI]


@pytest.fixture
async def trial() -> AsyncIterator[Trial]:
    """Give an SMSC whose receipts follow after a moment, as carriers' do."""
    async with a_trial({"rules": [{"receipt": {"delay": "20ms..60ms"}}]}) as running:
        yield running


def on_handset(trial: Trial) -> list[str]:
    return [received.body for received in trial.smsc.sandbox.inbox(f"+{HANDSET}")]


async def write_back(trial: Trial) -> None:
    await trial.smsc.sandbox.reply(f"+{HANDSET}", f"+{SENDER}", "Thanks")
    await trial.smsc.sandbox.reply(f"+{HANDSET}", f"+{SENDER}", REPLY)


# --- smpplib ---------------------------------------------------------------------------------------------------------


def with_smpplib(port: int, deliveries: int) -> tuple[list[bytes], list[Any]]:
    """Bind, send every body, and read until so many deliver_sm have come; return ids and deliver_sm."""
    client_module, gsm = pytest.importorskip("smpplib.client"), pytest.importorskip("smpplib.gsm")
    ids: list[bytes] = []
    delivered: list[Any] = []
    client = client_module.Client("127.0.0.1", port, timeout=60, allow_unknown_opt_params=True)
    client.set_message_sent_handler(lambda pdu: ids.append(pdu.message_id))
    client.set_message_received_handler(lambda pdu: delivered.append(pdu))
    client.connect()
    client.bind_transceiver(system_id="postdate", password="postdate")
    try:
        for body in BODIES:
            parts, coding, esm_class = gsm.make_parts(body)
            for part in parts:
                client.send_message(
                    source_addr_ton=1, source_addr=SENDER, dest_addr_ton=1, destination_addr=HANDSET,
                    short_message=part, data_coding=coding, esm_class=esm_class, registered_delivery=True,
                )  # fmt: skip
        while len(delivered) < deliveries:
            client.read_once()
        client.unbind()
    finally:
        client.disconnect()
    return ids, delivered


async def test_smpplib(trial: Trial) -> None:
    pytest.importorskip("smpplib")
    parts = 1 + 3 + 3
    esme = asyncio.create_task(asyncio.to_thread(with_smpplib, trial.smsc.port, parts + 1 + 2))
    await eventually(lambda: len(on_handset(trial)) == len(BODIES) or esme.done())
    await write_back(trial)
    ids, delivered = await esme
    assert on_handset(trial) == BODIES
    receipts = [pdu for pdu in delivered if pdu.esm_class == 4]
    assert len(ids) == len(receipts) == parts
    assert sorted(pdu.receipted_message_id.strip(b"\0") for pdu in receipts) == sorted(ids)
    assert {pdu.message_state for pdu in receipts} == {2}
    written = [pdu for pdu in delivered if pdu.esm_class != 4]
    assert written[0].short_message == b"Thanks"
    assert [pdu.esm_class for pdu in written[1:]] == [0x40, 0x40]


# --- aiosmpplib ------------------------------------------------------------------------------------------------------


# It gives its connection up without closing it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
async def test_aiosmpplib(trial: Trial) -> None:
    lib = pytest.importorskip("aiosmpplib")
    heard: list[Any] = []

    async def received(self: object, smpp_message: Any, pdu: bytes, client_id: str) -> None:
        heard.append(smpp_message)

    async def ignored(self: object, *what: object) -> None:
        pass

    hook = type("Hook", (lib.AbstractHook,), {"sending": ignored, "send_error": ignored, "received": received})()
    esme = lib.ESME("127.0.0.1", trial.smsc.port, "postdate", "postdate", hook=hook, log_level=50)
    running = asyncio.create_task(esme.start())
    try:
        for body in BODIES:
            message = lib.SubmitSm(
                short_message=body,
                source=lib.PhoneNumber(SENDER, lib.TON.INTERNATIONAL, lib.NPI.ISDN),
                destination=lib.PhoneNumber(HANDSET, lib.TON.INTERNATIONAL, lib.NPI.ISDN),
                encoding="ucs2" if body is KANJI else None,
            )
            await esme.broker.enqueue(message)
        await eventually(lambda: len(on_handset(trial)) == len(BODIES))
        assert on_handset(trial) == BODIES
        await write_back(trial)
        await eventually(lambda: sum(isinstance(one, lib.DeliverSm) for one in heard) == len(BODIES) + 2)
        delivered = [one for one in heard if isinstance(one, lib.DeliverSm)]
        receipts = [one.parse_receipt() for one in delivered if one.is_receipt()]
        ids = [one.message_id for one in heard if isinstance(one, lib.SubmitSmResp)]
        assert sorted(receipt["id"] for receipt in receipts) == sorted(ids)
        assert {receipt["stat"] for receipt in receipts} == {"DELIVRD"}
        assert [one.short_message for one in delivered if not one.is_receipt()] == ["Thanks", REPLY]
    finally:
        await esme.stop()
        await running


# --- Kannel ----------------------------------------------------------------------------------------------------------


class Kannel:
    """Bearerbox and smsbox, and the web server that they call."""

    def __init__(self, folder: Path, smsc_port: int, ports: Sequence[int]) -> None:
        self.folder = folder
        self.calls: list[dict[str, str]] = []
        self.smsc_port = smsc_port
        self.admin, self.box, self.send_port = ports
        self.processes: list[subprocess.Popen[bytes]] = []

    def configure(self, web_port: int) -> Path:
        """Write the configuration."""
        call = f"http://127.0.0.1:{web_port}/?from=%p&to=%P&text=%b"
        groups: list[dict[str, object]] = [
            {
                "group": "core", "admin-port": self.admin, "admin-password": "x", "smsbox-port": self.box,
                "admin-interface": "127.0.0.1", "smsbox-interface": "127.0.0.1", "box-deny-ip": "*.*.*.*",
                "box-allow-ip": "127.0.0.1", "log-file": self.folder / "bearerbox.log", "log-level": 0,
                "dlr-storage": "internal",
            },
            {
                "group": "smsc", "smsc": "smpp", "smsc-id": "ours", "host": "127.0.0.1", "port": self.smsc_port,
                "transceiver-mode": 1, "smsc-username": "postdate", "smsc-password": "postdate",
                "system-type": "test", "source-addr-ton": 1, "source-addr-npi": 1, "dest-addr-ton": 1,
                "dest-addr-npi": 1, "enquire-link-interval": 5,
            },
            {
                "group": "smsbox", "bearerbox-host": "127.0.0.1", "sendsms-port": self.send_port,
                "sendsms-interface": "127.0.0.1", "log-file": self.folder / "smsbox.log", "log-level": 0,
            },
            {
                "group": "sendsms-user", "username": "u", "password": "p", "max-messages": 10, "concatenation": "true",
            },
            {
                "group": "sms-service", "keyword": "default", "catch-all": "true", "concatenation": "true",
                "get-url": call, "max-messages": 0, "omit-empty": "true",
            },
        ]  # fmt: skip
        path = self.folder / "kannel.conf"
        path.write_text(written(groups))
        return path

    def start(self, program: str, path: Path) -> None:
        """Run one of its programs."""
        output = (self.folder / f"{Path(program).name}.out").open("wb")
        with output:
            self.processes.append(subprocess.Popen([program, str(path)], cwd=self.folder, stdout=output, stderr=output))

    def end(self) -> None:
        """End its programs, the last one first."""
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a call to the web server."""
        line = (await reader.readuntil(b"\r\n")).decode()
        await reader.readuntil(b"\r\n\r\n")
        self.calls.append({name: values[0] for name, values in parse_qs(urlsplit(line.split()[1]).query).items()})
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async def send(self, body: str, web_port: int) -> str:
        """Send a message as a customer of Kannel would; return what it answers."""
        query: dict[str, object] = {
            "username": "u", "password": "p", "from": SENDER, "to": HANDSET, "text": body, "dlr-mask": 31,
            "dlr-url": f"http://127.0.0.1:{web_port}/?dlr=%d&of={BODIES.index(body)}", "charset": "UTF-8",
            "coding": 0 if body.isascii() else 2,
        }  # fmt: skip
        reader, writer = await asyncio.open_connection("127.0.0.1", self.send_port)
        writer.write(f"GET /cgi-bin/sendsms?{urlencode(query)} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
        answer = (await reader.read()).decode()
        writer.close()
        return answer.partition("\r\n\r\n")[2]

    def delivered(self) -> set[str]:
        """Return which messages were reported as delivered."""
        return {call["of"] for call in self.calls if call.get("dlr") == "1"}

    def takes_messages(self) -> bool:
        """Say whether smsbox has its bearerbox; its port is open before, and closes again where it finds none."""
        return "Connected to bearerbox" in (self.folder / "smsbox.out").read_text(errors="replace")


@contextlib.asynccontextmanager
async def ended(kannel: Kannel) -> AsyncIterator[None]:
    """End Kannel's programs, while the SMSC goes on to answer them."""
    try:
        yield
    finally:
        await asyncio.to_thread(kannel.end)


async def test_kannel(trial: Trial, tmp_path: Path) -> None:
    if shutil.which(BEARERBOX) is None or shutil.which(SMSBOX) is None:
        pytest.skip("Kannel (bearerbox and smsbox) is not installed here")
    with held_ports(3) as ports:
        await with_kannel(trial, Kannel(tmp_path, trial.smsc.port, ports))


async def with_kannel(trial: Trial, kannel: Kannel) -> None:
    async with await asyncio.start_server(kannel.answer, "127.0.0.1", 0) as web:
        web_port = web.sockets[0].getsockname()[1]
        path = kannel.configure(web_port)
        async with ended(kannel):
            kannel.start(BEARERBOX, path)
            await eventually(lambda: trial.smsc.links == 1 and listens(kannel.box))
            kannel.start(SMSBOX, path)
            await eventually(kannel.takes_messages)
            for body in BODIES:
                assert "Accepted" in await kannel.send(body, web_port)
            await eventually(lambda: len(on_handset(trial)) == len(BODIES))
            assert on_handset(trial) == BODIES
            await write_back(trial)
            await eventually(lambda: sum("text" in call for call in kannel.calls) == 2)
            texts = [call for call in kannel.calls if "text" in call]
            assert {call["from"].removeprefix("+") for call in texts} == {HANDSET}
            assert {call["to"].removeprefix("+") for call in texts} == {SENDER}
            assert sorted(call["text"] for call in texts) == sorted(["Thanks", REPLY])
            await eventually(lambda: kannel.delivered() == {"0", "1", "2"})
        await eventually(lambda: trial.smsc.links == 0)
