"""Kannel, the SMS gateway in C, on the way that `bench.carriers` measures, in the same minutes and with the same ends.

Created over HTTP, one SMPP link with as many in flight to the same SMSC, and two calls to the same customer for each
message: for "accepted by the SMSC" and for "delivered". Its settings are the best that were found for it: only errors
are logged, nothing holds it up but the window, and it calls no more at once than made it cheapest.

It keeps messages in one of three ways, and all three are measured. None of them waits for the disk: a message that it
has answered for survives its own end with the first two, and a loss of power with none.
"""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final, Self
from urllib.request import urlopen

import msgspec

from bench.child import Child, ChildFailed
from bench.load import HERE, Loaded
from bench.machine import ROOT
from bench.plan import Plan
from bench.watching import address_of
from postdate.clock import SystemClock
from postdate.core.instant import SECOND

BEARERBOX: Final = "/usr/sbin/bearerbox"
SMSBOX: Final = "/usr/sbin/smsbox"
BEST: Final = "one file for all, not synced"
_MEMORY: Final = "in memory only"
_SPOOL: Final = "a file for each message, not synced"
STORES: Final[Mapping[str, Mapping[str, object]]] = {
    BEST: {"store-type": "file", "store-location": "store"},
    _SPOOL: {"store-type": "spool", "store-location": "spool"},
    _MEMORY: {},
}
_SCRIPT: Final = "kannel.lua"
_LOCAL: Final = "127.0.0.1"
_NAME: Final = "bench"  # and password, everywhere
_CALLS_AT_ONCE: Final = 32  # with its own 512 it polls more connections; in most runs that took more processor time
_ERRORS_ONLY: Final = "3"
_LISTEN: Final = "0A"  # TCP_LISTEN, as /proc/net/tcp writes it
_LOOK_SECONDS: Final = 0.05
_LOOKS: Final = 400
_END_SECONDS: Final = 20
_STILL: Final = 5  # words of the customer without news, after which all that was answered has been told
_PATIENCE: Final = 100  # the same while something is missing
_ERROR_CHARACTERS: Final = 500

Group = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Run:
    """One run: messages a second, processor seconds of its programs for a thousand messages, and creates refused."""

    per_second: float
    bearerbox: float
    smsbox: float
    refused: int

    @property
    def processor(self) -> float:
        """Return the processor seconds of both for a thousand messages."""
        return self.bearerbox + self.smsbox


def missing() -> str:
    """Return what has to be installed before Kannel can be measured; empty where nothing is missing."""
    packages = {"kannel": (BEARERBOX, SMSBOX), "wrk": ("wrk",)}
    return " ".join(name for name, programs in packages.items() if not all(map(shutil.which, programs)))


def version() -> str:
    """Return which Kannel is measured, or what has to be installed for that."""
    if lacking := missing():
        return f"not measured: {lacking} is not installed (apt-get install {lacking})"
    told = subprocess.run([BEARERBOX, "--version"], check=False, capture_output=True, text=True)
    found = re.search(r"version `([^']*)'", told.stdout + told.stderr)
    return found[1] if found else "of an unknown version"


def run(plan: Plan, store: str, connections: int, in_flight: int) -> Run:
    """Measure the whole way once; raise ChildFailed where a message that it took did not get its two calls."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(dir=plan.folder)))
        customer = stack.enter_context(Child("customers"))
        callback = f"http://{_LOCAL}:{customer.hear()['port']}/status"
        smsc = stack.enter_context(Child("smsc"))
        kannel = stack.enter_context(_Kannel(folder, smsc.hear()["port"], in_flight, STORES[store]))
        before = kannel.cpu_seconds()
        begun = SystemClock().monotonic()
        seen = _load(kannel.port, connections, plan.load_seconds, callback)
        answered = seen.requests - seen.refused
        calls, delivered, last_at = _all_told(customer, answered)
        bearerbox, smsbox = (later - one for later, one in zip(kannel.cpu_seconds(), before, strict=True))
        count = int(smsc.last_words()["count"])
        whole = answered <= count <= answered + connections + 1  # at the end each connection had one more under way
        if seen.broken or not whole or delivered != count or calls != 2 * count:
            raise ChildFailed(
                f"Kannel answered for {answered} messages while {seen.broken} requests broke; {count} came to the SMSC,"
                f" {delivered} were told of as delivered, in {calls} calls. {kannel.errors()}"
            )
    thousands = count / 1_000
    return Run(count * SECOND / (last_at - begun), bearerbox / thousands, smsbox / thousands, seen.refused)


def _load(port: int, connections: int, seconds: int, callback: str) -> Loaded:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(HERE / _SCRIPT)]
    command += [f"http://{_LOCAL}:{port}/", "--", address_of(0), callback]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return msgspec.json.decode(done.stdout.strip().splitlines()[-1], type=Loaded)


def _all_told(customer: Child, answered: int) -> tuple[int, int, int]:
    """Return once nothing more comes: how many calls there were, how many messages are delivered, and since when."""
    calls = delivered = quiet = 0
    while True:
        told = customer.hear()
        quiet = quiet + 1 if told["calls"] == calls else 0
        calls, delivered = told["calls"], told["delivered"]
        if quiet >= (_STILL if delivered >= answered else _PATIENCE):
            return calls, delivered, told["last_at"]


# -- its programs ------------------------------------------------------------------------------------------------------


class _Kannel:
    """Bearerbox, bound to an SMSC, and smsbox; a context manager that ends both."""

    def __init__(self, folder: Path, smsc_port: int, in_flight: int, store: Mapping[str, object]) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self._admin_port, self._box_port, self.port = _free_ports(3)
        self._configuration = folder / "kannel.conf"
        self._configuration.write_text(written(self._groups(smsc_port, in_flight, store)))
        (folder / "spool").mkdir()

    def _groups(self, smsc_port: int, in_flight: int, store: Mapping[str, object]) -> list[Group]:
        return [
            {
                "group": "core", "admin-port": self._admin_port, "admin-interface": _LOCAL, "admin-password": _NAME,
                "smsbox-port": self._box_port, "smsbox-interface": _LOCAL, "dlr-storage": "internal", **store,
            },
            {
                "group": "smsc", "smsc": "smpp", "smsc-id": _NAME, "host": _LOCAL, "port": smsc_port,
                "transceiver-mode": 1, "smsc-username": _NAME, "smsc-password": _NAME, "system-type": _NAME,
                "max-pending-submits": in_flight,
            },
            {
                "group": "smsbox", "bearerbox-host": _LOCAL, "sendsms-port": self.port, "sendsms-interface": _LOCAL,
                "max-pending-requests": _CALLS_AT_ONCE,
            },
            {"group": "sendsms-user", "username": _NAME, "password": _NAME},
        ]  # fmt: skip

    def __enter__(self) -> Self:
        try:
            self._start(BEARERBOX)
            self._wait_until(lambda: listens(self._box_port) and "(online" in self._states())
            self._start(SMSBOX)
            self._wait_until(lambda: "smsbox:" in self._states())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def cpu_seconds(self) -> list[float]:
        """Return the processor time that each of its programs has used, bearerbox first."""
        return [_cpu_seconds(process.pid) for process in self._processes]

    def errors(self) -> str:
        """Return the last errors that it logged."""
        return " ".join(path.read_text(errors="replace")[-_ERROR_CHARACTERS:] for path in self._folder.glob("*.log"))

    def _start(self, program: str) -> None:
        with (self._folder / f"{Path(program).name}.log").open("wb") as log:
            command = [program, "-v", _ERRORS_ONLY, str(self._configuration)]
            self._processes.append(subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log))

    def _wait_until(self, so: Callable[[], bool]) -> None:
        for _ in range(_LOOKS):
            try:
                self._processes[-1].wait(_LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                if so():
                    return
            else:
                break
        raise ChildFailed(f"Kannel ended or was never ready. {self.errors()}")

    def _states(self) -> str:
        try:
            with urlopen(f"http://{_LOCAL}:{self._admin_port}/status.txt?password={_NAME}", timeout=5) as answer:
                return bytes(answer.read()).decode(errors="replace")
        except OSError:
            return ""

    def _end(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def written(groups: Sequence[Group]) -> str:
    """Return groups of settings as Kannel reads them: one empty line between two groups, and none within."""
    return "\n".join("".join(f'{name} = "{value}"\n' for name, value in group.items()) for group in groups)


def listens(port: int) -> bool:
    """Say whether a program listens on a port of this machine's, without a connection that it would count (Linux).

    Bearerbox may be bound to its SMSC before it listens for smsbox, which ends at once where nothing listens.
    """
    entries = map(str.split, Path("/proc/net/tcp").read_text().splitlines()[1:])
    return any(int(entry[1].rpartition(":")[2], 16) == port and entry[3] == _LISTEN for entry in entries)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server((_LOCAL, 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


def _cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used, with its threads that have ended."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = int(after_name[11]), int(after_name[12])
    return (user + system) / os.sysconf("SC_CLK_TCK")
