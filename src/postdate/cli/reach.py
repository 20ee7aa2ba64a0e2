"""The options that every command for a running node has: which node, as whom, and for whom the answer is.

The URL comes from --url or POSTDATE_URL, account and token from TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN; what is not
said there comes from the file that `postdate serve` keeps in its data folder. A token is no option: a command line is
for every user of a machine to see.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from postdate.cli.client import Client, NotReached, Refused
from postdate.cli.command import Trouble
from postdate.cli.credentials import ACCOUNT_SID, AUTH_TOKEN, URL, Credentials, read_credentials
from postdate.cli.record import Record

_PANEL = "Which node, and how it answers"


@dataclass(frozen=True, slots=True)
class Reach:
    """Which node is spoken to, and whether the answer is for a person or a script."""

    url: Annotated[
        str | None,
        typer.Option("--url", envvar=URL, metavar="URL", help="Where the node is.", rich_help_panel=_PANEL),
    ] = None
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            envvar="POSTDATE_DATA",
            metavar="DIR",
            help="Its data folder, for what the environment does not say.",
            rich_help_panel=_PANEL,
        ),
    ] = Path("data")
    json: Annotated[bool, typer.Option("--json", help="Print the API's JSON as it is.", rich_help_panel=_PANEL)] = False

    def client(self) -> Client:
        """Return the way to the node; raise Trouble where nothing says which, or as whom."""
        return Client(self._credentials())

    def _credentials(self) -> Credentials:
        kept = read_credentials(self.data)
        url = self.url or (kept.url if kept is not None else None)
        if url is None:
            raise NotReached(
                f"No node is known: {self.data} holds no credentials.\n"
                'Start one with `postdate serve`, or say where it is: eval "$(postdate env --data DIR)".'
            )
        if "://" not in url:
            url = f"http://{url}"
        sid, token = os.environ.get(ACCOUNT_SID), os.environ.get(AUTH_TOKEN)
        if sid and token:
            return Credentials(url, sid, token)
        if kept is None:
            raise NotReached(
                f'No credentials: set {ACCOUNT_SID} and {AUTH_TOKEN}, on the node\'s machine by eval "$(postdate env)".'
            )
        return Credentials(url, kept.account_sid, kept.auth_token)

    def show(self, ask: Callable[[Client], bytes], show: Callable[[Record], None]) -> None:
        """Ask the node, then print its answer: its JSON for a script, else what `show` makes of it."""
        try:
            body = ask(self.client())
        except Refused as refused:
            raise self._explained(refused) from None
        if self.json:
            typer.echo(body.decode())
        else:
            show(Record.parse(body))

    def do(self, ask: Callable[[Client], None], done: str) -> None:
        """Ask for something that has no answer but that it is done; a script hears nothing."""
        try:
            ask(self.client())
        except Refused as refused:
            raise self._explained(refused) from None
        if not self.json:
            typer.echo(done)

    def _explained(self, refused: Refused) -> Trouble:
        if self.json:
            return Trouble(refused.body.decode())
        if refused.status == 401 and os.environ.get(ACCOUNT_SID):
            return Trouble(
                f"{refused}\n{ACCOUNT_SID} and {AUTH_TOKEN} are set in this shell, and this node does not know them:\n"
                'eval "$(postdate env)" takes the node\'s own.'
            )
        return refused
