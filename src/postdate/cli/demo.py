"""`postdate demo`: see Postdate at work in a few seconds, with nothing set up and nothing left behind."""

import json
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from postdate.cli.command import Trouble, command

_VENV = Path(".venv/bin/activate")
_NEXT = (
    ("postdate serve", "run a node; its data is kept in ./data"),
    ('eval "$(postdate env)"', "in another terminal: credentials for this shell"),
    ("postdate messages --help", "send, schedule, move and cancel from there"),
    ("README.md", "the same with curl and Twilio's libraries"),
)


@command
def demo(
    as_json: Annotated[bool, typer.Option("--json", help="Print what happened as JSON.")] = False,
) -> None:
    """Watch a clinic's reminders: scheduled, canceled, delivered, days of it in seconds.

    Runs a node in a temporary folder with a simulated carrier and a test clock, and checks all that happens.
    """
    # A node is slow to import, and `--help` has no use for one.
    import asyncio

    import uvloop
    from rich.console import Console

    from postdate import telemetry
    from postdate.cli.demo_report import Report
    from postdate.cli.demo_story import tell_story
    from postdate.clock import SystemClock
    from postdate.core.instant import SECOND

    telemetry.configure("error", sys.stderr, people=True)
    report = Report(Console(highlight=False, quiet=as_json))
    started = SystemClock().monotonic()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(tell_story(report))
    seconds = (SystemClock().monotonic() - started) / SECOND
    if as_json:
        typer.echo(json.dumps(report.as_json(seconds), indent=2, ensure_ascii=False))
    else:
        report.part("What was checked")
        report.verdict(seconds)
        report.part("What to try next")
        report.next_steps([*_on_path(), *_NEXT])
    if report.wrong:
        raise Trouble("The demo is not as it should be: " + "; ".join(report.wrong))


def _on_path() -> list[tuple[str, str]]:
    """Return how to have `postdate` on the PATH, where it is not: what `make` installs is in .venv."""
    if shutil.which("postdate") is not None or not _VENV.exists():
        return []
    return [(f". {_VENV}", "puts `postdate` on the PATH of this shell")]
