"""`postdate clock`: the test clock of a node that was started with one (`postdate serve --test-clock`)."""

from typing import Annotated

import typer

from postdate.cli.client import ADVANCE_SECONDS, Fields
from postdate.cli.command import command
from postdate.cli.reach import Reach
from postdate.cli.record import Record
from postdate.cli.screen import full_time, say

app = typer.Typer(help="The test clock: let days pass in a moment.", no_args_is_help=True)

_PATH = "/postdate/v1/TestClock"


@app.command()
@command
def show(reach: Reach) -> None:
    """Show the time by the test clock."""
    reach.show(lambda client: client.get(_PATH), _show)


def _show(clock: Record) -> None:
    say(f"{full_time(clock.text('now'))}, {'frozen' if clock.flag('frozen') else 'running'}")


@app.command()
@command
def advance(
    reach: Reach,
    by: Annotated[
        str | None, typer.Argument(metavar="[SPAN]", help="How far: 90s, 2h, 3d, or PT2H.", show_default=False)
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Up to when, such as 2030-01-01T14:00:00Z.")
    ] = None,
) -> None:
    """Let time pass; what is due on the way has happened when this returns."""
    if (by is None) == (to is None):
        raise typer.BadParameter("say how far: a span such as 2h, or --to TIME")
    _move([("AdvanceBy", by)] if by is not None else [("AdvanceTo", to or "")], reach)


@app.command()
@command
def freeze(reach: Reach) -> None:
    """Let the test clock stand still."""
    _move([("Freeze", "true")], reach)


@app.command()
@command
def resume(reach: Reach) -> None:
    """Let the test clock run again."""
    _move([("Freeze", "false")], reach)


def _move(fields: Fields, reach: Reach) -> None:
    reach.show(lambda client: client.post(_PATH, fields, timeout=ADVANCE_SECONDS), _show)
