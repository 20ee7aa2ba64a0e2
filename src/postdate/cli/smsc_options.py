"""The options of `postdate smsc`, in two groups."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

PASSWORD = "POSTDATE_SMSC_PASSWORD"


@dataclass(frozen=True, slots=True)
class Places:
    """Where it listens, and who may bind."""

    host: Annotated[str, typer.Option("--host", help="Address to listen on for SMPP.")] = "127.0.0.1"
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port to listen on for SMPP; 0 takes a free one.")
    ] = 2775
    http_port: Annotated[
        int,
        typer.Option(
            "--http-port", min=0, max=65535, help="Port of this machine for the handsets; 0 takes a free one."
        ),
    ] = 2776
    system_id: Annotated[
        list[str] | None,
        typer.Option("--system-id", metavar="NAME", help="Who may bind; once for each.", show_default="postdate"),
    ] = None
    password: Annotated[
        str | None,
        typer.Option(
            "--password",
            envvar=PASSWORD,
            metavar="TEXT",
            help="Their password; better in the environment, for all can see a command line.",
            show_default="postdate",
        ),
    ] = None
    tls_cert: Annotated[
        Path | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate chain (PEM): speak TLS.")
    ] = None
    tls_key: Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="Its private key (PEM).")] = None


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What its carrier and its links do."""

    script: Annotated[
        Path | None, typer.Option("--script", metavar="FILE", help="JSON: what its carrier does to messages.")
    ] = None
    wire_script: Annotated[
        Path | None, typer.Option("--wire-script", metavar="FILE", help="JSON: what goes wrong on its links.")
    ] = None
    rate: Annotated[
        float, typer.Option("--rate", min=0, help="Messages a second that a system id may send; 0 is unlimited.")
    ] = 0.0
    window: Annotated[
        int, typer.Option("--window", min=1, max=100_000, help="Messages of a link that may be without an answer.")
    ] = 1_000
    first_id: Annotated[
        int | None,
        typer.Option(
            "--first-id", min=1, metavar="NUMBER", help="Id of the first message; also fixes what chance brings."
        ),
    ] = None
