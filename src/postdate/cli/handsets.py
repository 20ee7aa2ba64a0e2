"""`postdate handsets`: what the simulated carrier's handsets show, of a node or of `postdate smsc`."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote

import typer
from rich.text import Text

from postdate.cli.client import NotReached
from postdate.cli.command import command
from postdate.cli.credentials import Credentials
from postdate.cli.reach import Reach
from postdate.cli.record import Record
from postdate.cli.screen import full_time, listing, say, show_fields, show_list

app = typer.Typer(help="The simulated carrier's handsets: what they received, and replies.", no_args_is_help=True)

_PATH = "/postdate/v1/Handsets"

Number = Annotated[str, typer.Argument(metavar="NUMBER", help="The handset's number, such as +14155550101.")]


@dataclass(frozen=True, slots=True)
class _Reach(Reach):
    """As for every command, but for an SMSC, which asks nobody who they are."""

    def _credentials(self) -> Credentials:
        try:
            return Reach._credentials(self)
        except NotReached:
            if self.url is None:
                raise
            return Credentials(self.url if "://" in self.url else f"http://{self.url}", "", "")


@app.command("list")
@command
def list_all(reach: _Reach) -> None:
    """List the handsets that show something, the one with the latest message first."""
    reach.show(lambda client: client.get_all(_PATH, "handsets"), _show_list)


def _show_list(page: Record) -> None:
    table = listing("NUMBER", "RECEIVED", "WRITTEN", "LAST")
    for handset in page.records("handsets"):
        counts = (handset.text(name) for name in ("number", "received", "written"))
        table.add_row(*counts, full_time(handset.text("last_at")))
    show_list(table, "Nothing was sent to a handset yet: postdate messages send --to +14155550101 ...")


@app.command()
@command
def show(
    number: Number,
    reach: _Reach,
    limit: Annotated[
        int, typer.Option("--limit", metavar="COUNT", min=1, max=1000, help="How many messages, the latest.")
    ] = 50,
) -> None:
    """Show what a handset received, and what was written on it."""
    reach.show(lambda client: client.get(_path(number), [("PageSize", str(limit))]), _show)


def _show(handset: Record) -> None:
    messages = handset.records("messages")
    if not messages:
        say(f"{handset.text('number')} shows nothing yet.")
    for message in messages:
        _show_message(message)


def _show_message(message: Record) -> None:
    written = message.text("direction") == "written"
    who = Text(f"to {message.text('to')}" if written else message.text("from"), style="cyan" if written else "green")
    media = [(medium.text("content_type"), medium.text("url")) for medium in message.records("media")]
    show_fields(
        [
            (full_time(message.text("at")), who),
            ("", message.text("body")),
            *media,
            ("sid", message.text("sid")),
        ]
    )


@app.command()
@command
def reply(
    number: Number,
    to: Annotated[str, typer.Option("--to", metavar="SENDER", help="The sender that the handset writes to.")],
    body: Annotated[str, typer.Option("--body", metavar="TEXT", help="What is written.")],
    reach: _Reach,
) -> None:
    """Write on a handset to one of your senders; STOP and START do what they do on a real one."""
    fields = [("To", to), ("Body", body)]
    reach.show(lambda client: client.post(f"{_path(number)}/Messages", fields), _show_message)


def _path(number: str) -> str:
    return f"{_PATH}/{quote(number, safe='')}"
