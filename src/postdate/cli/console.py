"""`postdate console`: the way back in for an owner who lost the password."""

import typer

from postdate.cli.command import command
from postdate.cli.reach import Reach
from postdate.cli.record import Record
from postdate.cli.screen import say

app = typer.Typer(help="The web console of a running node.", no_args_is_help=True)


@app.command()
@command
def link(reach: Reach) -> None:
    """Make a one-time link by which the account's owner chooses a new password; a link made before ends."""
    reach.show(lambda client: client.post("/postdate/v1/Console/Link"), _show)


def _show(made: Record) -> None:
    say(made.text("url"), ["It works once, for an hour. Whoever has it becomes an owner: keep it to yourself."])
