"""`postdate env`: what a shell needs to speak to the node of a data folder."""

import sys

import typer

from postdate.cli.command import command
from postdate.cli.serve import Config, Data


@command
def env(data: Data = None, config: Config = None) -> None:
    """Print how to reach the node, for eval "$(postdate env)".

    The node may be running or not. In a data folder that was never used, this makes its first account.
    """
    from postdate.cli.process import find_credentials, read_settings

    typer.echo(find_credentials(read_settings(config, {"data": data})).exports())
    if sys.stdout.isatty():
        typer.echo('# These lines are for a shell: eval "$(postdate env)"')
