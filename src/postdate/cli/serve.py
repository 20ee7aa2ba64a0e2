"""`postdate serve`: run a node until it is told to stop."""

from pathlib import Path
from typing import Annotated

import typer

from postdate.cli.command import command

Data = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="Folder for the store and its key.", show_default="data")
]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings file, instead of postdate.toml in the data folder."),
]


@command
def serve(
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[
        int | None, typer.Option("--port", help="Port to listen on; 0 takes a free one.", show_default="8080")
    ] = None,
    data: Data = None,
    config: Config = None,
    test_clock: Annotated[
        bool | None, typer.Option("--test-clock", help="Use a clock that `postdate clock advance` can move.")
    ] = None,
    log_level: Annotated[
        str | None, typer.Option("--log-level", help="debug, info, warning or error.", show_default="info")
    ] = None,
) -> None:
    """Run a node: accept messages, keep them, send them on time.

    Every setting can also be given as an environment variable POSTDATE_* or in postdate.toml in the data folder;
    what stands here comes first, then the environment, then the file.
    """
    # A node is slow to import, and `--help` has no use for one.
    from postdate.cli.configuration import read_settings
    from postdate.cli.process import run_process

    given = {
        "host": host,
        "port": port,
        "data": data,
        "test_clock": test_clock,
        "log_level": log_level,
    }
    run_process(read_settings(config, given))
