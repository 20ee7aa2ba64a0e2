"""The command line, `postdate`: one file for each group of commands.

Whatever is slow to import is imported inside a command, so that `postdate --help` answers at once.
"""

from typing import Annotated

import typer

from postdate import __version__
from postdate.cli import (
    accounts,
    clock,
    connections,
    console,
    contents,
    demo,
    env,
    handsets,
    keys,
    messages,
    numbers,
    serve,
    services,
    smsc,
)

app = typer.Typer(
    name="postdate",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_RUN, _USE = "Run a node", "Use a running node"

app.command(rich_help_panel=_RUN)(serve.serve)
app.command(rich_help_panel=_RUN)(env.env)
app.command(rich_help_panel=_RUN)(demo.demo)
app.command(rich_help_panel=_RUN)(smsc.smsc)
app.add_typer(messages.app, name="messages", rich_help_panel=_USE)
app.add_typer(services.app, name="services", rich_help_panel=_USE)
app.add_typer(numbers.app, name="numbers", rich_help_panel=_USE)
app.add_typer(contents.app, name="contents", rich_help_panel=_USE)
app.add_typer(connections.app, name="connections", rich_help_panel=_USE)
app.add_typer(accounts.app, name="accounts", rich_help_panel=_USE)
app.add_typer(keys.app, name="keys", rich_help_panel=_USE)
app.add_typer(console.app, name="console", rich_help_panel=_USE)
app.add_typer(clock.app, name="clock", rich_help_panel=_USE)
app.add_typer(handsets.app, name="handsets", rich_help_panel=_USE)


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
