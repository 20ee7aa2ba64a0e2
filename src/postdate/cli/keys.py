"""`postdate keys`: API keys, a second way to sign in for an account, each of which can be taken away by itself."""

from typing import Annotated

import typer

from postdate.cli.command import command
from postdate.cli.reach import Reach
from postdate.cli.record import Record
from postdate.cli.screen import full_time, listing, say, show_fields, show_list

app = typer.Typer(help="API keys: a second way to sign in, one for each program.", no_args_is_help=True)

Sid = Annotated[str, typer.Argument(metavar="SK", help="The key: SK and 32 hex digits.")]


@app.command("list")
@command
def list_all(reach: Reach) -> None:
    """List the account's keys."""
    reach.show(lambda client: client.get_all(client.path("Keys"), "keys"), _show_list)


def _show_list(page: Record) -> None:
    table = listing("SID", "NAME", "CREATED")
    for key in page.records("keys"):
        table.add_row(key.text("sid"), key.text("friendly_name"), full_time(key.text("date_created")))
    show_list(table, "No keys yet: postdate keys create --name NAME")


@app.command()
@command
def create(
    name: Annotated[str, typer.Option("--name", metavar="TEXT", help="What it is for.")],
    reach: Reach,
) -> None:
    """Make a key; its secret is shown now and never again."""
    reach.show(lambda client: client.post(client.path("Keys"), [("FriendlyName", name)]), _show_new)


def _show_new(key: Record) -> None:
    show_fields([("key", key.text("sid")), ("name", key.text("friendly_name")), ("secret", key.text("secret"))])
    say("", ["The secret is shown this once. Sign in with the key as user name and the secret as password."])


@app.command()
@command
def rename(
    sid: Sid, name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for, from now on.")], reach: Reach
) -> None:
    """Rename a key; its secret stays."""
    reach.show(
        lambda client: client.post(client.path("Keys", sid), [("FriendlyName", name)]),
        lambda key: say(f"{key.text('sid')} is called {key.text('friendly_name')}."),
    )


@app.command()
@command
def remove(sid: Sid, reach: Reach) -> None:
    """Remove a key: from now on it signs nobody in."""
    reach.do(lambda client: client.delete(client.path("Keys", sid)), f"{sid} is removed.")
