"""`postdate numbers`: the phone numbers that messages leave from."""

from typing import Annotated

import typer

from postdate.cli.client import Client
from postdate.cli.command import Trouble, command
from postdate.cli.reach import Reach
from postdate.cli.record import Record
from postdate.cli.screen import listing, say, show_fields, show_list
from postdate.cli.sender_settings import Properties, settings_of

app = typer.Typer(help="The phone numbers that messages leave from.", no_args_is_help=True)

Number = Annotated[str, typer.Argument(metavar="NUMBER", help="The number, such as +15005550006, or its SID (PN...).")]


@app.command("list")
@command
def list_all(reach: Reach) -> None:
    """List the numbers."""
    reach.show(lambda client: client.get_all(client.path("IncomingPhoneNumbers"), "incoming_phone_numbers"), _show_list)


def _show_list(page: Record) -> None:
    table = listing("SID", "NUMBER", "MPS", "CONNECTION", "NAME")
    table.columns[1].no_wrap = True
    for number in page.records("incoming_phone_numbers"):
        table.add_row(*(number.text(name) for name in ("sid", "phone_number", "mps", "connection", "friendly_name")))
    show_list(table, "No numbers yet: postdate numbers register +15005550006")


@app.command()
@command
def show(number: Number, reach: Reach) -> None:
    """Show a number."""
    reach.show(lambda client: client.get(_path(client, number)), _show)


def _show(number: Record) -> None:
    show_fields(
        [
            ("number", number.text("phone_number")),
            ("sid", number.text("sid")),
            ("name", number.text("friendly_name")),
            *settings_of(number),
        ]
    )


@app.command()
@command
def register(
    number: Annotated[str, typer.Argument(metavar="NUMBER", help="The number in E.164, such as +15005550006.")],
    properties: Properties,
    reach: Reach,
) -> None:
    """Register a number that your carrier lets you send from."""
    fields = [("PhoneNumber", number), *properties.fields()]
    reach.show(lambda client: client.post(client.path("IncomingPhoneNumbers"), fields), _show_new)


def _show_new(number: Record) -> None:
    _show(number)
    say("", [f"Next, a service for it: postdate services add-sender MG... {number.text('phone_number')}"])


@app.command()
@command
def update(number: Number, properties: Properties, reach: Reach) -> None:
    """Change a number; what is not said stays."""
    fields = properties.fields()
    if not fields:
        raise typer.BadParameter("say what to change, such as --mps 10")
    reach.show(lambda client: client.post(_path(client, number), fields), _show)


@app.command()
@command
def remove(number: Number, reach: Reach) -> None:
    """Give a number up: it leaves its service, and nothing is sent from it any more."""
    reach.do(lambda client: client.delete(_path(client, number)), f"{number} is removed.")


def sid_of(client: Client, number: str) -> str:
    """Return the SID of a number that was given as one; what is none stays as it is. Raise Trouble for a stranger's."""
    if not number.startswith("+"):
        return number
    page = Record.parse(client.get(client.path("IncomingPhoneNumbers"), [("PhoneNumber", number)]))
    for found in page.records("incoming_phone_numbers"):
        if found.text("phone_number") == number:
            return found.text("sid")
    raise Trouble(f"{number} is not registered: postdate numbers register {number}")


def _path(client: Client, number: str) -> str:
    return client.path("IncomingPhoneNumbers", sid_of(client, number))
