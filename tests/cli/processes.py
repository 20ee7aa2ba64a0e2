"""`postdate` as a process of its own, for what only a process has: signals, exit codes, an environment, standard error.

Each is ended by the test at the latest; where the machine has `timeout`, also if the test is killed.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LONGEST_SECONDS: Final = 600  # a node may serve all tests of a file
HEAD_LINES: Final = 5  # what `serve` says once it listens


@dataclass(frozen=True, slots=True)
class Serving:
    """A node in the background; `head` is what it said when it listened."""

    process: subprocess.Popen[str]
    head: str

    def end(self, number: signal.Signals | None = signal.SIGTERM) -> tuple[int, str, str]:
        """Send a signal, if any, and wait for the end; return exit code, standard output and standard error."""
        if number is not None:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, self.head + out, err


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return this environment without what a developer's shell may have set, and with `given`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("POSTDATE_", "TWILIO_"))}
    return {**kept, "COLUMNS": "80", **given}


def _command(*arguments: str) -> list[str]:
    timeout = shutil.which("timeout")
    bound = [] if timeout is None else [timeout, "--foreground", str(LONGEST_SECONDS)]
    return [*bound, sys.executable, "-m", "postdate", *arguments]


def run(*arguments: str, cwd: Path, **given: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        _command(*arguments),
        cwd=cwd,
        env=environment(given),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )


@contextlib.contextmanager
def serving(*arguments: str, cwd: Path, **given: str) -> Iterator[Serving]:
    """Run `postdate serve` on a free port in the background; it listens when this is entered."""
    process = subprocess.Popen(
        _command("serve", "--port", "0", *arguments),
        cwd=cwd,
        env=environment(given),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        head = "".join(process.stdout.readline() for _ in range(HEAD_LINES))
        assert " listens on http://" in head, (head, process.communicate())
        yield Serving(process, head)
    finally:
        process.terminate()
        process.communicate(timeout=LONGEST_SECONDS)
