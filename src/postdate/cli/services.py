"""`postdate services`: messaging services, and the senders in their pools."""

from dataclasses import dataclass
from typing import Annotated

import typer

from postdate.cli.client import Client, services
from postdate.cli.command import command
from postdate.cli.numbers import sid_of
from postdate.cli.reach import Reach
from postdate.cli.record import Record
from postdate.cli.screen import full_time, listing, say, show_fields, show_list
from postdate.cli.senders import sid_of_sender

app = typer.Typer(help="Messaging services and their sender pools.", no_args_is_help=True)

Sid = Annotated[str, typer.Argument(metavar="MG", help="The messaging service: MG and 32 hex digits.")]
Name = Annotated[str, typer.Option("--name", metavar="TEXT", help="What you call it.")]

# By the prefix of what is added: the path below a service, the parameter it is added with, and its name in the answer.
_POOLS = (
    ("PN", "PhoneNumbers", "PhoneNumberSid", "phone_numbers", "phone_number"),
    ("SC", "ShortCodes", "ShortCodeSid", "short_codes", "short_code"),
    ("XE", "ChannelSenders", "Sid", "senders", "sender"),
    ("AI", "AlphaSenders", "AlphaSender", "alpha_senders", "alpha_sender"),
)


@dataclass(frozen=True, slots=True)
class Properties:
    """What a messaging service is like; an empty URL takes one away."""

    status_callback: Annotated[
        str | None, typer.Option("--status-callback", metavar="URL", help="Whom to tell of every message's statuses.")
    ] = None
    inbound_url: Annotated[
        str | None, typer.Option("--inbound-url", metavar="URL", help="Whom to tell what comes in.")
    ] = None
    schedule_window: Annotated[
        str | None,
        typer.Option("--schedule-window", metavar="SPANS", help="How far ahead SendAt may be, such as 5m..35d."),
    ] = None
    validity: Annotated[
        int | None,
        typer.Option("--validity", metavar="N", help="How many seconds messages are worth sending once due."),
    ] = None
    sticky_sender: Annotated[
        bool | None, typer.Option("--sticky-sender/--no-sticky-sender", help="Keep to one sender for each recipient.")
    ] = None
    smart_encoding: Annotated[
        bool | None,
        typer.Option("--smart-encoding/--no-smart-encoding", help="Replace typographic characters that cost segments."),
    ] = None

    def fields(self) -> list[tuple[str, str]]:
        """Return those that were given as the API's parameters."""
        given = {
            "StatusCallback": self.status_callback,
            "InboundRequestUrl": self.inbound_url,
            "ScheduleWindow": self.schedule_window,
            "ValidityPeriod": None if self.validity is None else str(self.validity),
            "StickySender": _flag(self.sticky_sender),
            "SmartEncoding": _flag(self.smart_encoding),
        }
        fields = [(name, value) for name, value in given.items() if value is not None]
        if self.inbound_url is not None:  # without one the URLs of the numbers count again
            fields.append(("UseInboundWebhookOnNumber", "false" if self.inbound_url else "true"))
        return fields


def _flag(value: bool | None) -> str | None:
    return None if value is None else str(value).lower()


@app.command("list")
@command
def list_all(reach: Reach) -> None:
    """List the messaging services."""
    reach.show(lambda client: client.get_all(services(), "services"), _show_list)


def _show_list(page: Record) -> None:
    table = listing("SID", "NAME", "STATUS CALLBACK")
    for service in page.records("services"):
        table.add_row(service.text("sid"), service.text("friendly_name"), service.text("status_callback"))
    show_list(table, "No messaging services yet: postdate services create --name NAME")


@app.command()
@command
def show(sid: Sid, reach: Reach) -> None:
    """Show a messaging service and the senders in its pool."""
    if reach.json:
        reach.show(lambda client: client.get(services(sid)), _show)
        return
    reach.show(lambda client: client.get(services(sid)), _show)
    client = reach.client()
    senders = listing("SENDER", "ADDRESS", "COUNTRY")
    for _, path, _, key, address in _POOLS:
        for sender in Record.parse(client.get_all(services(sid, path), key)).records(key):
            senders.add_row(sender.text("sid"), sender.text(address), sender.text("country_code"))
    say("")
    show_list(senders, f"Its pool is empty: postdate services add-sender {sid} NUMBER")


def _show(service: Record) -> None:
    show_fields(
        [
            ("service", service.text("sid")),
            ("name", service.text("friendly_name")),
            ("status callback", service.text("status_callback")),
            ("inbound to", service.text("inbound_request_url")),
            ("schedule window", service.text("schedule_window")),
            ("validity", f"{service.text('validity_period')} s"),
            ("sticky sender", service.text("sticky_sender")),
            ("smart encoding", service.text("smart_encoding")),
            ("created", full_time(service.text("date_created"))),
        ]
    )


@app.command()
@command
def create(name: Name, properties: Properties, reach: Reach) -> None:
    """Make a messaging service: scheduled messages go through one."""
    fields = [("FriendlyName", name), *properties.fields()]
    reach.show(lambda client: client.post(services(), fields), _show_new)


def _show_new(service: Record) -> None:
    _show(service)
    say("", [f"Next, a sender for it: postdate services add-sender {service.text('sid')} NUMBER"])


@app.command()
@command
def update(
    sid: Sid,
    properties: Properties,
    reach: Reach,
    name: Annotated[str | None, typer.Option("--name", metavar="TEXT", help="What you call it.")] = None,
) -> None:
    """Change a messaging service; what is not said stays."""
    fields = properties.fields() + ([("FriendlyName", name)] if name is not None else [])
    if not fields:
        raise typer.BadParameter("say what to change, such as --status-callback URL")
    reach.show(lambda client: client.post(services(sid), fields), _show)


@app.command()
@command
def remove(sid: Sid, reach: Reach) -> None:
    """Remove a messaging service; the numbers of its pool stay yours."""
    reach.do(lambda client: client.delete(services(sid)), f"{sid} is removed.")


@app.command()
@command
def add_sender(
    sid: Sid,
    sender: Annotated[
        str,
        typer.Argument(
            metavar="SENDER",
            help="A registered number, whatsapp:+NUMBER, a SID (PN..., SC..., XE...), or an alpha sender.",
        ),
    ],
    reach: Reach,
) -> None:
    """Add a sender to the pool of a messaging service."""

    def ask(client: Client) -> bytes:
        known = _sid(client, sender)
        _, path, parameter, _, _ = _pool_of(known)
        return client.post(services(sid, path), [(parameter, known)])

    def show_added(added: Record) -> None:
        address = next((added.text(name) for *_, name in _POOLS if name in added), "")
        say(f"{address} ({added.text('sid')}) sends for {sid}.")

    reach.show(ask, show_added)


@app.command()
@command
def remove_sender(
    sid: Sid,
    sender: Annotated[
        str,
        typer.Argument(
            metavar="SENDER", help="A registered number, whatsapp:+NUMBER, or a SID: PN..., SC..., XE..., AI..."
        ),
    ],
    reach: Reach,
) -> None:
    """Take a sender out of the pool of a messaging service."""

    def ask(client: Client) -> None:
        known = _sid(client, sender)
        client.delete(services(sid, _pool_of(known)[1], known))

    reach.do(ask, f"{sender} sends for {sid} no longer.")


def _sid(client: Client, sender: str) -> str:
    """Return the SID of a sender; what is neither registered nor a SID is the name of an alpha sender."""
    return sid_of_sender(client, sender) if ":" in sender else sid_of(client, sender)


def _pool_of(sender: str) -> tuple[str, str, str, str, str]:
    """Return the pool that a SID belongs in; what is no SID is the name of an alpha sender."""
    is_sid = len(sender) == 34
    return next((pool for pool in _POOLS if is_sid and sender.startswith(pool[0])), _POOLS[-1])
