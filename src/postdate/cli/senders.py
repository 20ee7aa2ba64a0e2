"""`postdate senders`: the account's senders on WhatsApp and other channels.

A phone number for SMS is registered with `postdate numbers`; here a sender has its channel before it, `whatsapp:+…`.
"""

from typing import Annotated

import typer

from postdate.cli.client import Client, channel_senders
from postdate.cli.command import Trouble, command
from postdate.cli.reach import Reach
from postdate.cli.record import Record
from postdate.cli.screen import listing, say, show_fields, show_list
from postdate.cli.sender_settings import Properties, settings_of

app = typer.Typer(help="Your senders on WhatsApp and other channels.", no_args_is_help=True)

Sender = Annotated[
    str, typer.Argument(metavar="SENDER", help="The sender, such as whatsapp:+14155550100, or its SID (XE...).")
]


@app.command("list")
@command
def list_all(reach: Reach) -> None:
    """List the senders on channels."""
    reach.show(lambda client: client.get_all(channel_senders(), "senders"), _show_list)


def _show_list(page: Record) -> None:
    table = listing("SID", "SENDER", "CONNECTION", "NAME")
    table.columns[1].no_wrap = True
    table.columns[2].min_width = len("CONNECTION")
    for sender in page.records("senders"):
        address, name = sender.text("sender"), sender.text("friendly_name")
        table.add_row(sender.text("sid"), address, sender.text("connection"), "" if name == address else name)
    show_list(table, "No senders yet: postdate senders register whatsapp:+14155550100 --connection NAME")


@app.command()
@command
def show(sender: Sender, reach: Reach) -> None:
    """Show a sender."""
    reach.show(lambda client: client.get(_path(client, sender)), _show)


def _show(sender: Record) -> None:
    show_fields(
        [
            ("sender", sender.text("sender")),
            ("sid", sender.text("sid")),
            ("name", sender.text("friendly_name")),
            ("channel", sender.text("sender_type")),
            *settings_of(sender),
        ]
    )


@app.command()
@command
def register(
    sender: Annotated[
        str, typer.Argument(metavar="SENDER", help="The sender with its channel, such as whatsapp:+14155550100.")
    ],
    properties: Properties,
    reach: Reach,
) -> None:
    """Register a sender that its channel lets you send from."""
    fields = [("Sender", sender), *properties.fields()]
    reach.show(lambda client: client.post(channel_senders(), fields), _show_new)


def _show_new(sender: Record) -> None:
    _show(sender)
    say("", [f"Next, a service for it: postdate services add-sender MG... {sender.text('sender')}"])


@app.command()
@command
def update(sender: Sender, properties: Properties, reach: Reach) -> None:
    """Change a sender; what is not said stays."""
    fields = properties.fields()
    if not fields:
        raise typer.BadParameter("say what to change, such as --connection NAME")
    reach.show(lambda client: client.post(_path(client, sender), fields), _show)


@app.command()
@command
def remove(sender: Sender, reach: Reach) -> None:
    """Give a sender up: it leaves its service, and nothing is sent from it any more."""
    reach.do(lambda client: client.delete(_path(client, sender)), f"{sender} is removed.")


def sid_of_sender(client: Client, sender: str) -> str:
    """Return the SID of a sender given with its channel; what is none stays. Raise Trouble where it is a stranger's."""
    if ":" not in sender:
        return sender
    for found in Record.parse(client.get_all(channel_senders(), "senders")).records("senders"):
        if found.text("sender") == sender:
            return found.text("sid")
    raise Trouble(f"{sender} is not registered: postdate senders register {sender}")


def _path(client: Client, sender: str) -> str:
    return channel_senders(sid_of_sender(client, sender))
