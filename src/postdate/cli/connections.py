"""`postdate connections`: the ways to carriers. A sender names its own: `postdate numbers update PN --connection`."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import typer

from postdate.cli.client import Client, connections
from postdate.cli.command import Exit, Trouble, command
from postdate.cli.reach import Reach
from postdate.cli.record import Record
from postdate.cli.screen import full_time, listing, rate_text, say, show_fields, show_list, speed_text, status_text

app = typer.Typer(help="The ways to carriers: SMPP, providers' APIs, a SIM in a phone.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The connection's name, or its SID.")]
SECRET_VARIABLE = "POSTDATE_SECRET_"
_FINAL = frozenset({"delivered", "undelivered", "read", "failed", "canceled"})
_LOOK_EVERY_SECONDS = 0.5
_OUTCOMES = MappingProxyType(
    {"Accepted": "accepted", "Refused": "refused", "Busy": "busy", "Unreachable": "not reached", "InDoubt": "in doubt"}
)


@dataclass(frozen=True, slots=True)
class Properties:
    """What a connection is like beside its kind."""

    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of its kind; NAME= takes one away. Repeatable."),
    ] = None
    files: Annotated[
        list[str] | None,
        typer.Option("--set-file", metavar="NAME=FILE", help="A setting that is a file's content, such as a key."),
    ] = None
    secrets: Annotated[
        list[str] | None,
        typer.Option(
            "--secret",
            metavar="NAME",
            help=f"A secret setting: asked for, or taken from {SECRET_VARIABLE}NAME. Repeatable.",
        ),
    ] = None
    doubt: Annotated[
        str | None,
        typer.Option("--doubt", metavar="POLICY", help="What follows an unknown outcome: hold, query or retry."),
    ] = None
    mps: Annotated[
        float | None,
        typer.Option("--mps", metavar="RATE", min=0, help="Segments per second of all its senders; 0 is unlimited."),
    ] = None

    def fields(self) -> list[tuple[str, str]]:
        """Return those that were given as the API's parameters."""
        given = {
            "Doubt": self.doubt,
            "Mps": None if self.mps is None else f"{self.mps:g}",
            "Settings": json.dumps(settings) if (settings := self._settings()) else None,
        }
        return [(name, value) for name, value in given.items() if value is not None]

    def _settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = {}
        for text in self.settings or ():
            name, value = _pair(text, "--set")
            settings[name] = _value(value)
        for text in self.files or ():
            name, value = _pair(text, "--set-file")
            try:
                settings[name] = Path(value).read_text(encoding="utf-8")
            except (OSError, UnicodeError):
                raise Trouble(f"{value} cannot be read as a text: say a file with the content of {name}.") from None
        for name in self.secrets or ():
            kept = os.environ.get(SECRET_VARIABLE + name.upper())
            settings[name] = kept if kept is not None else typer.prompt(name, hide_input=True)
        return settings


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise typer.BadParameter(f"{option} takes NAME=VALUE, such as --set host=smsc.example")
    return name, value


def _value(text: str) -> Any:
    """Read a list or an object as JSON; all else is a text, which the node reads, and nothing takes a setting away."""
    if not text.startswith(("{", "[")):
        return text or None
    try:
        return json.loads(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} begins like JSON, and is none") from None


@app.command("list")
@command
def list_all(reach: Reach) -> None:
    """List the connections and how they are doing."""
    reach.show(lambda client: client.get_all(connections(), "connections"), _show_list)


def _show_list(page: Record) -> None:
    table = listing("NAME", "KIND", "STATE", "RATE", "IN FLIGHT", "LAST ERROR")
    for found in page.records("connections"):
        table.add_row(*(found.text(name) for name in ("name", "title", "state", "rate", "in_flight", "last_error")))
    show_list(table, "No connections yet: postdate connections kinds, then postdate connections add NAME --kind KIND")


@app.command()
@command
def kinds(
    reach: Reach,
    kind: Annotated[str | None, typer.Argument(metavar="KIND", help="One of them, with its settings.")] = None,
) -> None:
    """List the kinds of connections, or the settings of one."""
    reach.show(lambda client: client.get(connections("Kinds")), lambda page: _show_kinds(page, kind))


def _show_kinds(page: Record, wanted: str | None) -> None:
    if wanted is None:
        table = listing("KIND", "CARRIER", "CHANNELS", "MEDIA", "RECEIPTS", "INBOUND")
        for kind in page.records("kinds"):
            shown = {name: kind.text(name) for name in ("kind", "title", "channels", "media", "receipts", "inbound")}
            shown["channels"] = ", ".join(kind.texts("channels"))
            table.add_row(*shown.values())
        show_list(table, "No kinds.", "The settings of one: postdate connections kinds KIND")
        return
    found = next((kind for kind in page.records("kinds") if kind.text("kind") == wanted), None)
    if found is None:
        raise Trouble(f"There is no kind {wanted}: postdate connections kinds lists them.")
    table = listing("SETTING", "DEFAULT", "WHAT IT IS")
    for setting in found.records("settings"):
        default = "required" if setting.flag("required") else setting.text("default")
        table.add_row(
            setting.text("name"), "a secret" if setting.flag("secret") else default, setting.text("description")
        )
    show_list(table, "Nothing is to be set.")


@app.command()
@command
def show(name: Name, reach: Reach) -> None:
    """Show a connection: how it is doing, and its settings without the secrets."""
    reach.show(lambda client: client.get(connections(name)), _show)


def _show(found: Record) -> None:
    show_fields(
        [
            ("connection", found.text("name")),
            ("sid", found.text("sid")),
            ("kind", found.text("title")),
            ("state", found.text("state")),
            ("last error", _when(found)),
            ("in flight", found.text("in_flight")),
            ("rate now", speed_text(found.text("rate"))),
            ("limit", f"slowed by the carrier to {found.text('limit')}" if found.flag("throttled") else ""),
            ("rate", rate_text(found.text("mps"))),
            ("in doubt", found.text("doubt")),
            ("outcomes", ", ".join(_outcomes(found))),
            ("settings", "\n".join(f"{name}={value}" for name, value in found.pairs("settings"))),
            *found.pairs("details"),
            ("events to", found.text("events_url")),
            ("created", full_time(found.text("date_created"))),
        ]
    )


def _outcomes(found: Record) -> list[str]:
    counts = dict(found.pairs("outcomes"))
    return [f"{counts[name]} {word}" for name, word in _OUTCOMES.items() if name in counts]


def _when(found: Record) -> str:
    at = full_time(found.text("last_error_at"))
    return f"{found.text('last_error')} ({at})" if at else found.text("last_error")


@app.command()
@command
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What senders call it: small letters, digits and -.")],
    kind: Annotated[str, typer.Option("--kind", metavar="KIND", help="One of: postdate connections kinds.")],
    properties: Properties,
    reach: Reach,
) -> None:
    """Add a connection; the node opens it at once."""
    fields = [("Name", name), ("Kind", kind), *properties.fields()]
    reach.show(lambda client: client.post(connections(), fields), lambda found: _show_new(found, name))


def _show_new(found: Record, name: str) -> None:
    _show(found)
    if found.text("kind") == "whatsapp":
        way = f"postdate senders register whatsapp:+NUMBER --connection {name}"
        say("", [f"Next, a sender that goes out by it: {way}"])
    else:
        say("", [f"Next, a number that goes out by it: postdate numbers register NUMBER --connection {name}"])


@app.command()
@command
def update(name: Name, properties: Properties, reach: Reach) -> None:
    """Change a connection; what is not said stays."""
    fields = properties.fields()
    if not fields:
        raise typer.BadParameter("say what to change, such as --mps 10")
    reach.show(lambda client: client.post(connections(name), fields), _show)


@app.command()
@command
def pause(name: Name, reach: Reach) -> None:
    """Hand nothing more over to a connection; receipts still come in, and its messages wait."""
    _set_paused(reach, name, "true")


@app.command()
@command
def resume(name: Name, reach: Reach) -> None:
    """Go on with a connection that was paused."""
    _set_paused(reach, name, "false")


def _set_paused(reach: Reach, name: str, paused: str) -> None:
    reach.show(lambda client: client.post(connections(name), [("Paused", paused)]), _show)


@app.command()
@command
def remove(name: Name, reach: Reach) -> None:
    """Remove a connection that no sender goes out by any more."""
    reach.do(lambda client: client.delete(connections(name)), f"{name} is removed.")


@app.command("test")
@command
def send_test(
    name: Name,
    to: Annotated[str, typer.Option("--to", metavar="NUMBER", help="Whom the test goes to.")],
    reach: Reach,
    sender: Annotated[str | None, typer.Option("--from", metavar="NUMBER", help="From which of its senders.")] = None,
    body: Annotated[str | None, typer.Option("--body", metavar="TEXT", help="What it says.")] = None,
    wait: Annotated[float, typer.Option("--wait", metavar="SECONDS", min=0, help="How long to wait for it.")] = 60.0,
) -> None:
    """Send one message by a connection and follow it to its receipt."""
    given = {"To": to, "From": sender, "Body": body}
    fields = [(key, value) for key, value in given.items() if value is not None]
    seen: list[str] = []

    def follow(client: Client) -> bytes:
        body = client.post(connections(name, "Test"), fields)
        message = Record.parse(body)
        path = client.path("Messages", message.text("sid"))
        for pause in _pauses(wait):
            _tell(message, seen, quiet=reach.json)
            if message.text("status") in _FINAL:
                break
            _sleep(pause)
            body = client.get(path)
            message = Record.parse(body)
        _tell(message, seen, quiet=reach.json)
        return body

    reach.show(follow, lambda message: _conclude(message, name))


def _pauses(wait: float) -> Sequence[float]:
    return [_LOOK_EVERY_SECONDS] * max(round(wait / _LOOK_EVERY_SECONDS), 1)


def _sleep(seconds: float) -> None:
    from threading import Event

    Event().wait(seconds)


def _tell(message: Record, seen: list[str], *, quiet: bool) -> None:
    if quiet:
        return
    text = str(status_text(message))
    if not seen or seen[-1] != text:
        seen.append(text)
        say(f"{message.text('sid')}  {text}")


def _conclude(message: Record, name: str) -> None:
    status = message.text("status")
    if status in ("delivered", "read"):
        say(f"{name} works: the carrier took the message, and its receipt came back.")
    elif status == "sent":
        say(f"The carrier took the message; no receipt came within the time. See: postdate connections show {name}")
    elif message.flag("in_doubt"):
        sid = message.text("sid")
        raise Trouble(
            f"Nobody knows whether the carrier has it: it is in doubt. Once you do: postdate messages resolve {sid}",
            Exit.REFUSED,
        )
    else:
        told = message.text("error_message") or f"see postdate connections show {name}"
        raise Trouble(f"The message is {status}: {told}", Exit.REFUSED)
