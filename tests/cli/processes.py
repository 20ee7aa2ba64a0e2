"""`postdate` as a process of its own, for what only a process has: signals, exit codes, an environment, standard error.

Each is ended by the test at the latest; where the machine has `timeout`, also if the test is killed.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

LONGEST_SECONDS: Final = 120


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
def serving(*arguments: str, cwd: Path, **given: str) -> Iterator[subprocess.Popen[str]]:
    """Run `postdate serve` on a free port in the background; it listens when this is entered."""
    with subprocess.Popen(
        _command("serve", "--port", "0", *arguments),
        cwd=cwd,
        env=environment(given),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            announced = process.stdout.readline()
            assert " listens on http://" in announced, (announced, process.communicate())
            yield process
        finally:
            process.terminate()
