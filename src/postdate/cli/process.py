"""A node as a process: settings, signals, logs, and the file that says how to reach it.

Stopping is finishing: on SIGINT or SIGTERM nothing new is accepted, what is claimed is handed over and recorded, and
only then the process ends. A second signal ends it at once; a claim that is left open then is in doubt, not lost.
"""

import asyncio
import shlex
import sys
from pathlib import Path

import msgspec
import structlog
import uvloop

from postdate import __version__, telemetry
from postdate.cli.command import Trouble
from postdate.cli.credentials import Credentials, local_url, write_credentials
from postdate.cli.foreground import in_plain_words, listen_for_signals, say
from postdate.connectors.sandbox_fields import InvalidScript
from postdate.connectors.sandbox_script import Script
from postdate.core.resources import Account
from postdate.node import Node
from postdate.settings import Settings


def run_process(settings: Settings) -> None:
    """Run a node until a signal comes; raise Trouble where it cannot start or cannot go on."""
    telemetry.configure(settings.log_level, sys.stderr, people=sys.stderr.isatty())
    with in_plain_words():
        _check_script(settings)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(settings))


def _check_script(settings: Settings) -> None:
    """Raise Trouble where the sandbox has a script that cannot be followed."""
    if settings.sandbox_script is None:
        return
    try:
        Script.parse(msgspec.json.decode(settings.sandbox_script.read_bytes()))
    except (InvalidScript, msgspec.DecodeError) as error:
        raise Trouble(f"{settings.sandbox_script} cannot be followed: {error}") from None


async def _run(settings: Settings) -> None:
    told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    listen_for_signals(told)
    async with Node(settings) as node:
        port = await node.listen()
        write_credentials(settings.data, _credentials(node, settings, port))
        _announce(settings, port, _console(node, settings, port))
        assert node.failed is not None
        await asyncio.wait((told, node.failed), return_when=asyncio.FIRST_COMPLETED)
        failure = node.failed.exception() if node.failed.done() else None
    if failure is not None:
        structlog.get_logger("postdate.node").error("a part of the node failed", exc_info=failure)
        raise Trouble(
            f"The node stopped because a part of it failed: {type(failure).__name__}: {failure}\n"
            "What was accepted is on disk. Start it again: postdate serve"
        ) from failure
    say("Stopped. What was accepted is on disk.")


def _console(node: Node, settings: Settings, port: int) -> str:
    """Return where people sign in; while nobody can, the one-time link for the first of them."""
    url = (settings.public_url or local_url(settings.host, port)).rstrip("/")
    if node.has_users:
        return f"{url}/console"
    account, _ = node.first_account()
    return f"{url}{node.console.way_in(account.sid)}  (once: choose your password)"


def _announce(settings: Settings, port: int, console: str) -> None:
    data = "" if settings.data == Path("data") else f" --data {shlex.quote(str(settings.data))}"
    clock = ", on a test clock" if settings.test_clock else ""
    say(
        f"Postdate {__version__} listens on {local_url(settings.host, port)}{clock}\n"
        f"  console       {console}\n"
        f'  credentials   eval "$(postdate env{data})"\n'
        f"  data          {settings.data.resolve()}\n"
        "  to stop       Ctrl-C"
    )


def make_first_account(settings: Settings) -> Credentials:
    """Make the store of a data folder that was never used, with its first account; raise Trouble where it cannot be."""
    with asyncio.Runner() as runner, in_plain_words():
        return runner.run(_make_first_account(settings))


async def _make_first_account(settings: Settings) -> Credentials:
    async with Node(settings) as node:  # with nothing to send, so nothing is sent
        credentials = _credentials(node, settings, settings.port)
        write_credentials(settings.data, credentials)
        return credentials


def _credentials(node: Node, settings: Settings, port: int) -> Credentials:
    account, token = node.first_account()
    chosen = node.directory.find(Account, settings.account_sid)
    if chosen is not None:
        account, token = chosen, node.directory.token_of(chosen.sid)
    return Credentials(local_url(settings.host, port), account.sid, token)
