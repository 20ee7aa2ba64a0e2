"""The command line, `postdate`: one file for each group of commands.

Whatever is slow to import is imported inside a command, so that `postdate --help` answers at once.
"""

from typing import Annotated

import typer

from postdate import __version__
from postdate.cli.groups import Commands

app = typer.Typer(
    name="postdate",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"postdate {__version__}")
        raise typer.Exit


@app.callback()
def postdate(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Scheduled messages on your own machine, spoken to in Twilio's API."""


def main() -> None:
    """Run the command line."""
    app()
