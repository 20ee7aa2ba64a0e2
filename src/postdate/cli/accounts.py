"""`postdate accounts`: the account that signs in, and its subaccounts."""

from typing import Annotated

import typer

from postdate.cli.client import accounts
from postdate.cli.command import command
from postdate.cli.reach import Reach
from postdate.cli.record import Record
from postdate.cli.screen import Row, full_time, listing, say, show_fields, show_list, status_text

app = typer.Typer(
    help="Your account and its subaccounts, each of which sees its own messages only.", no_args_is_help=True
)

Sid = Annotated[str, typer.Argument(metavar="AC", help="The account: AC and 32 hex digits.")]


@app.command("list")
@command
def list_all(reach: Reach) -> None:
    """List your account and its subaccounts."""
    reach.show(lambda client: client.get_all(accounts(), "accounts"), _show_list)


def _show_list(page: Record) -> None:
    table = listing("SID", "STATUS", "NAME")
    for account in page.records("accounts"):
        table.add_row(account.text("sid"), status_text(account), account.text("friendly_name"))
    show_list(table, "No accounts.")


@app.command()
@command
def show(sid: Sid, reach: Reach) -> None:
    """Show an account; its auth token only with --json."""
    reach.show(lambda client: client.get(accounts(sid)), lambda account: show_fields(_fields(account)))


def _fields(account: Record) -> list[Row]:
    owner = account.text("owner_account_sid")
    return [
        ("account", account.text("sid")),
        ("name", account.text("friendly_name")),
        ("status", status_text(account)),
        ("parent", owner if owner != account.text("sid") else ""),
        ("created", full_time(account.text("date_created"))),
    ]


@app.command()
@command
def create(
    name: Annotated[str, typer.Option("--name", metavar="TEXT", help="What you call it.")],
    reach: Reach,
) -> None:
    """Make a subaccount; this shows its auth token."""
    reach.show(lambda client: client.post(accounts(), [("FriendlyName", name)]), _show_new)


def _show_new(account: Record) -> None:
    show_fields([*_fields(account), ("auth token", account.text("auth_token"))])
    say("", ["Whoever has the token acts as this account: keep it like a password."])


@app.command()
@command
def suspend(sid: Sid, reach: Reach) -> None:
    """Suspend a subaccount: it can neither sign in nor send."""
    _set_status(sid, "suspended", reach)


@app.command()
@command
def activate(sid: Sid, reach: Reach) -> None:
    """Activate a suspended subaccount again."""
    _set_status(sid, "active", reach)


def _set_status(sid: str, status: str, reach: Reach) -> None:
    reach.show(
        lambda client: client.post(accounts(sid), [("Status", status)]),
        lambda account: say(f"{account.text('sid')} is {account.text('status')}."),
    )
