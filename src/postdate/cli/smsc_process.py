"""An SMSC as a process: its scripts read and checked, its certificate loaded, and two servers until a signal comes."""

import asyncio
import ssl
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import uvloop

from postdate import __version__, telemetry
from postdate.api.server import WebServer
from postdate.cli.command import Exit, Trouble
from postdate.cli.credentials import local_url
from postdate.cli.foreground import in_plain_words, listen_for_signals, say
from postdate.cli.smsc_options import PASSWORD, Behaviour, Places
from postdate.clock import SystemClock
from postdate.connectors.sandbox_fields import InvalidScript
from postdate.connectors.sandbox_script import Script
from postdate.smsc.server import Smsc
from postdate.smsc.settings import USUAL_PASSWORD, USUAL_SYSTEM_ID, SmscSettings
from postdate.smsc.web import MOST_HEAD, HandsetPages
from postdate.smsc.wire_script import WireScript

_LEVELS: Final = ("debug", "info", "warning", "error")
_LARGEST_SCRIPT: Final = 1024 * 1024

Parsed = TypeVar("Parsed")


def run_smsc(places: Places, behaviour: Behaviour, log_level: str) -> None:
    """Run an SMSC until a signal comes; raise Trouble where it cannot start."""
    if log_level not in _LEVELS:
        raise Trouble(f"--log-level is {log_level!r}; write one of {', '.join(_LEVELS)}.", Exit.MISUSED)
    telemetry.configure(log_level, sys.stderr, people=sys.stderr.isatty())
    with in_plain_words():
        script = _read(behaviour.script, Script.parse, Script())
        wire_script = _read(behaviour.wire_script, WireScript.parse, WireScript())
        settings = _settings(places, behaviour)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(Smsc(settings, SystemClock(), script, wire_script), places))


def _read(path: Path | None, parse: Callable[[Mapping[str, object]], Parsed], otherwise: Parsed) -> Parsed:
    if path is None:
        return otherwise
    with path.open("rb") as file:
        octets = file.read(_LARGEST_SCRIPT + 1)
    if len(octets) > _LARGEST_SCRIPT:
        raise Trouble(f"{path} cannot be followed: a script has at most {_LARGEST_SCRIPT} octets.", Exit.MISUSED)
    try:
        return parse(msgspec.json.decode(octets))
    except (InvalidScript, msgspec.DecodeError) as error:
        raise Trouble(f"{path} cannot be followed: {error}", Exit.MISUSED) from None


def _settings(places: Places, behaviour: Behaviour) -> SmscSettings:
    password = USUAL_PASSWORD if places.password is None else places.password
    try:
        return SmscSettings(
            host=places.host,
            port=places.port,
            passwords=dict.fromkeys(places.system_id or [USUAL_SYSTEM_ID], password),
            tls=_tls(places),
            rate=behaviour.rate,
            window=behaviour.window,
            first_id=behaviour.first_id,
        )
    except ValueError as error:
        raise Trouble(f"The SMSC cannot be set up: {error}.", Exit.MISUSED) from None


def _tls(places: Places) -> ssl.SSLContext | None:
    if places.tls_cert is None:
        if places.tls_key is not None:
            raise Trouble("--tls-key is of use only with its certificate: give --tls-cert too.", Exit.MISUSED)
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(places.tls_cert, places.tls_key)
    except ssl.SSLError:
        raise Trouble(
            f"{places.tls_cert} cannot be used: give a certificate chain in PEM, and its key with --tls-key.",
            Exit.MISUSED,
        ) from None
    return context


async def _run(smsc: Smsc, places: Places) -> None:
    told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    listen_for_signals(told)
    pages = HandsetPages(smsc)
    web = WebServer(pages, "127.0.0.1", places.http_port, MOST_HEAD)
    pages.base_url = local_url("127.0.0.1", web.port)
    await web.start()
    try:
        await smsc.start()
        _announce(smsc, places, pages.base_url)
        await told
    finally:
        await smsc.stop()
        await web.stop()
    counts = smsc.counts
    say(f"Stopped. {counts.submitted} messages came, {counts.accepted} were taken, {smsc.waiting} receipts are lost.")


def _announce(smsc: Smsc, places: Places, url: str) -> None:
    names = ", ".join(places.system_id or [USUAL_SYSTEM_ID])
    password = USUAL_PASSWORD if places.password is None else f"as --password or {PASSWORD} says"
    tls = " with TLS" if places.tls_cert is not None else ""
    say(
        f"Postdate {__version__} SMSC listens on {places.host}:{smsc.port}{tls}\n"
        f"  system id     {names}\n"
        f"  password      {password}\n"
        f"  handsets      postdate handsets list --url {url}\n"
        "  to stop       Ctrl-C"
    )
