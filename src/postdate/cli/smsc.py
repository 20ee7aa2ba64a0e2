"""`postdate smsc`: an SMSC with a simulated carrier, until it is told to stop."""

from typing import Annotated

import typer

from postdate.cli.command import command
from postdate.cli.smsc_options import Behaviour, Places


@command
def smsc(
    places: Places,
    behaviour: Behaviour,
    log_level: Annotated[str, typer.Option("--log-level", help="debug, info, warning or error.")] = "info",
) -> None:
    """Run an SMSC with a simulated carrier, to try programs that speak SMPP.

    What arrives is on its handsets: `postdate handsets list --url` shows them. Nothing is kept when it ends.
    """
    # A server is slow to import, and `--help` has no use for one.
    from postdate.cli.smsc_process import run_smsc

    run_smsc(places, behaviour, log_level)
