"""What is set, and shown, of a number and of a sender on a channel alike."""

from dataclasses import dataclass
from typing import Annotated

import typer

from postdate.cli.record import Record
from postdate.cli.screen import full_time, rate_text


@dataclass(frozen=True, slots=True)
class Properties:
    """What a number or a sender on a channel is like; an empty URL takes one away."""

    name: Annotated[str | None, typer.Option("--name", metavar="TEXT", help="What you call it.")] = None
    mps: Annotated[
        float | None, typer.Option("--mps", metavar="RATE", min=0, help="Segments per second; 0 is unlimited.")
    ] = None
    connection: Annotated[
        str | None, typer.Option("--connection", metavar="NAME", help="The connection that it goes out by.")
    ] = None
    sms_url: Annotated[str | None, typer.Option("--sms-url", metavar="URL", help="Whom to tell what comes in.")] = None

    def fields(self) -> list[tuple[str, str]]:
        """Return those that were given as the API's parameters."""
        given = {
            "FriendlyName": self.name,
            "Mps": None if self.mps is None else f"{self.mps:g}",
            "Connection": self.connection,
            "SmsUrl": self.sms_url,
        }
        return [(name, value) for name, value in given.items() if value is not None]


def settings_of(sender: Record) -> list[tuple[str, str]]:
    """Return what is shown of it, each with its name."""
    return [
        ("rate", rate_text(sender.text("mps"))),
        ("connection", sender.text("connection")),
        ("service", sender.text("messaging_service_sid")),
        ("inbound to", sender.text("sms_url")),
        ("created", full_time(sender.text("date_created"))),
    ]
