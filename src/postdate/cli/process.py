"""A node as a process: settings, signals, logs, and the file that says how to reach it.

Stopping is finishing: on SIGINT or SIGTERM nothing new is accepted, what is claimed is handed over and recorded, and
only then the process ends. A second signal ends it at once; a claim that is left open then is in doubt, not lost.
"""

import asyncio
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import structlog
import uvloop

from postdate import __version__, telemetry
from postdate.cli.command import Exit, Trouble
from postdate.cli.credentials import Credentials, read_credentials, write_credentials
from postdate.cli.foreground import in_plain_words, listen_for_signals, local_url, say
from postdate.connectors.sandbox_fields import InvalidScript
from postdate.connectors.sandbox_script import Script
from postdate.core.resources import Account
from postdate.node import Node
from postdate.settings import InvalidSettings, Settings, load

_STORE = "postdate.db"


def read_settings(config: Path | None, given: Mapping[str, object]) -> Settings:
    """Return the settings in force; raise Trouble naming each one that is wrong."""
    try:
        return load(config, **{name: value for name, value in given.items() if value is not None})
    except InvalidSettings as error:
        raise Trouble(f"These settings cannot be used:\n{error}", Exit.MISUSED) from None


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


# -- credentials -----------------------------------------------------------------------------------------------------


def find_credentials(settings: Settings) -> Credentials:
    """Return how to reach the node of a data folder, as whom; raise Trouble where nobody can know."""
    kept = read_credentials(settings.data)
    url = kept.url if kept is not None else local_url(settings.host, settings.port)
    if settings.account_sid is not None and settings.auth_token is not None:
        return Credentials(url, settings.account_sid, settings.auth_token.get_secret_value())
    if kept is not None:
        return kept
    if settings.port == 0 or (settings.data / _STORE).exists():
        raise Trouble(
            f"{settings.data} holds no credentials yet: `postdate serve` writes them there when it starts.\n"
            "Start it once, then try again."
        )
    with asyncio.Runner() as runner, in_plain_words():
        return runner.run(_make_first_account(settings))


async def _make_first_account(settings: Settings) -> Credentials:
    """Make the store of a new data folder with its first account: it has nothing to send, so nothing is sent."""
    async with Node(settings) as node:
        credentials = _credentials(node, settings, settings.port)
        write_credentials(settings.data, credentials)
        return credentials


def _credentials(node: Node, settings: Settings, port: int) -> Credentials:
    account, token = node.first_account()
    chosen = node.directory.find(Account, settings.account_sid)
    if chosen is not None:
        account, token = chosen, node.directory.token_of(chosen.sid)
    return Credentials(local_url(settings.host, port), account.sid, token)
