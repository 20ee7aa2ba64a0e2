"""A process that the benchmark starts: it tells what it has to tell in JSON lines, and ends when its input does."""

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from bench.machine import ROOT

_KILOBYTE = 1_024


class ChildFailed(Exception):
    """A process of the benchmark ended before it had said what it should; the text has its last words."""


class Child:
    """`python -m bench.server ROLE` with its arguments as JSON; a context manager that ends it."""

    def __init__(self, role: str, **arguments: object) -> None:
        self._role = role
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.server", role, msgspec.json.encode(arguments).decode()],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))},
        )

    def __enter__(self) -> "Child":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def hear(self) -> dict[str, Any]:
        """Return the next thing it tells; raise ChildFailed where it ended instead."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ChildFailed(f"bench.server {self._role} ended with {self._process.wait()}: see its error above")
        told: dict[str, Any] = msgspec.json.decode(line)
        return told

    def last_words(self) -> dict[str, Any]:
        """Let it end, and return what it tells then."""
        self._close_input()
        return self.hear()

    def stop(self) -> None:
        """Let it end in order."""
        self._close_input()
        self._process.wait()
        self._close()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._process.kill()
        self._process.wait()
        self._close()

    def _close_input(self) -> None:
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()

    def _close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    # -- what it costs -----------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._process.pid

    def resident_mb(self) -> float:
        """Return its resident memory in MB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * _KILOBYTE / 1e6
        raise ChildFailed(f"bench.server {self._role} has no memory any more")

    def cpu_seconds(self) -> float:
        """Return the processor time its threads have used."""
        return sum(_thread_seconds(task) for task in Path(f"/proc/{self.pid}/task").iterdir())

    def loop_seconds(self) -> float:
        """Return the processor time that the thread of its event loop has used."""
        return _thread_seconds(Path(f"/proc/{self.pid}/task/{self.pid}"))


def _thread_seconds(task: Path) -> float:
    return int((task / "schedstat").read_text().split()[0]) / 1e9
