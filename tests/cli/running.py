"""A node over real HTTP for the tests of the command line, and the command line itself.

The node runs in a thread of the test process on a frozen test clock, so it ends with the process at the latest.
`Commands` runs commands as a person would whose data folder is that node's and whose environment says nothing else.
"""

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import typer.testing

from postdate.cli.app import app
from postdate.cli.credentials import Credentials, write_credentials
from postdate.clock import SystemClock, TestClock
from postdate.core.instant import DAY, HOUR, Instant
from postdate.node import Node
from postdate.settings import load

# What a developer's shell may have set.
SILENT: Mapping[str, str | None] = {
    name: None
    for name in ("POSTDATE_URL", "POSTDATE_DATA", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "FORCE_COLOR", "NO_COLOR")
}


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Return the JSON that it printed."""
        assert self.code == 0, self
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Commands:
    """Runs commands in a data folder."""

    data: Path
    environment: Mapping[str, str | None] = field(default_factory=dict)

    def run(self, *arguments: str, given: str = "", columns: int = 80) -> Ran:
        """Run one command; `given` is its standard input."""
        environment = {**SILENT, "POSTDATE_DATA": str(self.data), "COLUMNS": str(columns), **self.environment}
        result = typer.testing.CliRunner().invoke(app, list(arguments), input=given, env=environment)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return Ran(result.exit_code, result.stdout, result.stderr)

    def sid(self, *arguments: str) -> str:
        """Run a command that makes something; return its SID."""
        sid: str = self.run(*arguments, "--json").json["sid"]
        return sid


@dataclass(slots=True)
class Running:
    """A node that runs in a thread."""

    data: Path
    url: str = ""
    account_sid: str = ""
    auth_token: str = ""

    @property
    def commands(self) -> Commands:
        """Return the command line of its owner."""
        return Commands(self.data)

    def commands_of(self, account_sid: str, auth_token: str) -> Commands:
        """Return the command line of whoever has these credentials in the environment."""
        return Commands(self.data, {"TWILIO_ACCOUNT_SID": account_sid, "TWILIO_AUTH_TOKEN": auth_token})


@cache
def today_at_nine() -> Instant:
    """Return where the nodes' clocks begin: on one day for all tests, though midnight may come between two."""
    return Instant(SystemClock().now() // DAY * DAY + 9 * HOUR)


@contextlib.contextmanager
def running_node(data: Path, *, test_clock: bool = True) -> Iterator[Running]:
    """Run a node on a free port of this machine; its credentials are in its data folder, as `serve` leaves them."""
    running = Running(data)
    ready, ended = threading.Event(), threading.Event()

    async def run() -> None:
        settings = load(data=data, port=0, host="127.0.0.1", test_clock=test_clock)
        clock = TestClock(today_at_nine(), frozen=True) if test_clock else None
        async with Node(settings, clock) as node:
            running.url = f"http://127.0.0.1:{await node.listen()}"
            account, running.auth_token = node.first_account()
            running.account_sid = account.sid
            write_credentials(data, Credentials(running.url, account.sid, running.auth_token))
            ready.set()
            await asyncio.get_running_loop().run_in_executor(None, ended.wait)

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    try:
        assert ready.wait(100), "the node did not start"
        yield running
    finally:
        ended.set()
        thread.join(30)
