"""`postdate smsc` as a process: what it says, who may bind, its handsets, and how it stops."""

import asyncio
import contextlib
import re
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from postdate.smpp.pdu import Bind, BindMode
from tests.cli.processes import LONGEST_SECONDS, environment, run
from tests.cli.running import Commands
from tests.smsc.certificate import write_certificate
from tests.smsc.esme import HANDSET, SENDER, Esme, text

HEAD_LINES = 5


@dataclass(frozen=True, slots=True)
class Running:
    """An SMSC in the background; `head` is what it said when it listened."""

    process: subprocess.Popen[str]
    head: str

    @property
    def port(self) -> int:
        found = re.search(r"SMSC listens on 127\.0\.0\.1:(\d+)", self.head)
        assert found is not None, self.head
        return int(found[1])

    @property
    def url(self) -> str:
        found = re.search(r"--url (http://127\.0\.0\.1:\d+)", self.head)
        assert found is not None, self.head
        return found[1]

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
        """Send a signal and wait for the end; return exit code, standard output and standard error."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, self.head + out, err


@contextlib.contextmanager
def an_smsc(*arguments: str, cwd: Path, **given: str) -> Iterator[Running]:
    """Run `postdate smsc` on free ports in the background."""
    command = [sys.executable, "-m", "postdate", "smsc", "--port", "0", "--http-port", "0", *arguments]
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=environment(given),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield Running(process, "".join(process.stdout.readline() for _ in range(HEAD_LINES)))
    finally:
        process.terminate()
        process.communicate(timeout=LONGEST_SECONDS)


async def bound(port: int, system_id: str = "postdate", password: str = "postdate", tls: Path | None = None) -> Esme:

    context = None if tls is None else ssl.create_default_context(cafile=str(tls))
    loop = asyncio.get_running_loop()
    _, esme = await loop.create_connection(
        Esme, "127.0.0.1", port, ssl=context, server_hostname="127.0.0.1" if tls else None
    )
    (answer,) = await esme.ask(Bind(BindMode.TRANSCEIVER, system_id, password))
    assert answer.status == 0
    return esme


async def test_a_message_through_it_and_an_answer_from_its_handset(tmp_path: Path, nowhere: Commands) -> None:
    with an_smsc(cwd=tmp_path) as smsc:
        assert [line.split()[:2] for line in smsc.head.splitlines()[1:3]] == [
            ["system", "id"],
            ["password", "postdate"],
        ]
        esme = await bound(smsc.port)
        await esme.submit(text("See you at 3PM", registered_delivery=0))
        assert "See you at 3PM" in nowhere.run("handsets", "show", f"+{HANDSET}", "--url", smsc.url).out
        replied = nowhere.run(
            "handsets", "reply", f"+{HANDSET}", "--to", f"+{SENDER}", "--body", "OK", "--url", smsc.url
        )
        assert replied.code == 0, replied
        (delivered,) = await esme.receives(1)
        assert delivered.short_message == b"OK"
        listed = nowhere.run("handsets", "list", "--url", smsc.url, "--json").json["handsets"]
        assert [(one["received"], one["written"]) for one in listed] == [(1, 1)]
        code, out, err = smsc.end(signal.SIGINT)
        assert code == 0
        assert out.splitlines()[-1] == "Stopped. 1 messages came, 1 were taken, 0 receipts are lost."
        await esme.closes()
        assert "link bound" in err


async def test_its_password_comes_from_the_environment_and_is_shown_nowhere(tmp_path: Path) -> None:
    with an_smsc("--system-id", "one", "--system-id", "two", cwd=tmp_path, POSTDATE_SMSC_PASSWORD="hush-hush") as smsc:
        for system_id in ("one", "two"):
            (await bound(smsc.port, system_id, "hush-hush")).close()
        _, out, err = smsc.end()
        assert "one, two" in out
        assert "hush" not in out + err


async def test_scripts_and_tls(tmp_path: Path) -> None:
    script, wire = tmp_path / "script.json", tmp_path / "wire.json"
    script.write_text('{"rules": [{"body_contains": "no", "answer": "refuse", "code": 30007}]}')
    wire.write_text('{"faults": [{"do": "status", "at": 2, "status": 1040}]}')
    chain, key = write_certificate(tmp_path)
    given = ("--script", str(script), "--wire-script", str(wire), "--tls-cert", str(chain), "--tls-key", str(key))
    with an_smsc(*given, "--first-id", "7", "--rate", "3", cwd=tmp_path) as smsc:
        assert "with TLS" in smsc.head
        esme = await bound(smsc.port, tls=chain)
        assert await esme.submit(*(text(body) for body in ("yes", "odd", "no", "fast"))) == [
            (0, "7"), (1040, ""), (0x66, ""), (0x58, ""),
        ]  # fmt: skip
        esme.close()


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (("--script", "wrong.json"), "wrong.json cannot be followed: the script has no 'fault'"),
        (("--wire-script", "wrong.json"), "wrong.json cannot be followed: the wire script has no 'fault'"),
        (("--script", "broken.json"), "broken.json cannot be followed: "),
        (("--script", "absent.json"), "absent.json: No such file or directory."),
        (("--tls-cert", "broken.json"), "broken.json cannot be used: give a certificate chain in PEM"),
        (("--tls-key", "broken.json"), "give --tls-cert too."),
        (("--system-id", "a name that is far too long"), "a system id has 1 to 15 ASCII characters"),
        (("--log-level", "loud"), "write one of debug, info, warning, error."),
    ],
)
def test_what_is_wrong_is_a_sentence(tmp_path: Path, given: tuple[str, ...], complaint: str) -> None:
    (tmp_path / "wrong.json").write_text('{"fault": 1}')
    (tmp_path / "broken.json").write_text("{")
    ran = run("smsc", "--port", "0", "--http-port", "0", *given, cwd=tmp_path)
    assert ran.returncode in (1, 2)
    assert complaint in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_port_that_is_taken_is_a_sentence(tmp_path: Path) -> None:
    with an_smsc(cwd=tmp_path) as smsc:
        ran = run("smsc", "--port", str(smsc.port), "--http-port", "0", cwd=tmp_path)
        assert ran.returncode == 1
        assert ran.stderr.startswith(f"Cannot listen on 127.0.0.1:{smsc.port}: ")
