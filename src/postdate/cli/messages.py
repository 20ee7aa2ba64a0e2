"""`postdate messages`: what goes out, what went out, and what is changed about it before it does."""

import json
import sys
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.text import Text

from postdate.cli.client import Client, Fields, Refused
from postdate.cli.command import command
from postdate.cli.contents import variables
from postdate.cli.reach import Reach
from postdate.cli.record import Record
from postdate.cli.screen import ROOMY, console, full_time, listing, say, short_time, show_fields, show_list, status_text
from postdate.core.doubt import Verdict
from postdate.core.instant import Instant, InvalidDuration, format_iso_exact, parse_duration, parse_instant

app = typer.Typer(help="Send, schedule, move, cancel and look up messages.", no_args_is_help=True)

Sid = Annotated[str, typer.Argument(metavar="SID", help="The message: SM or MM and 32 hex digits.")]
To = Annotated[str, typer.Option("--to", metavar="NUMBER", help="Who it is for, such as +15005550006.")]


@dataclass(frozen=True, slots=True)
class Content:
    """What a message says."""

    body: Annotated[
        str | None, typer.Option("--body", metavar="TEXT", help="What it says; - reads it from standard input.")
    ] = None
    media_url: Annotated[
        list[str] | None,
        typer.Option("--media-url", metavar="URL", help="A picture or file, fetched when it is sent; up to 10 times."),
    ] = None
    content: Annotated[
        str | None, typer.Option("--content", metavar="HX", help="A content that says it, in place of a body.")
    ] = None
    variable: Annotated[
        list[str] | None, typer.Option("--variable", metavar="NAME=VALUE", help="A variable of the content.")
    ] = None
    status_callback: Annotated[
        str | None, typer.Option("--status-callback", metavar="URL", help="Whom to tell of its statuses.")
    ] = None
    validity: Annotated[
        int | None, typer.Option("--validity", metavar="SECONDS", help="How long it is worth sending once it is due.")
    ] = None
    key: Annotated[
        str | None,
        typer.Option("--idempotency-key", metavar="KEY", help="The same key makes the same message once only."),
    ] = None

    def fields(self) -> list[tuple[str, str]]:
        """Return them as the API's parameters."""
        body = sys.stdin.read().removesuffix("\n") if self.body == "-" else self.body
        fields = [("MediaUrl", url) for url in self.media_url or ()]
        if body is not None:
            fields.append(("Body", body))
        if self.content is not None:
            fields.append(("ContentSid", self.content))
        if self.variable:
            fields.append(("ContentVariables", json.dumps(variables(self.variable))))
        if self.status_callback is not None:
            fields.append(("StatusCallback", self.status_callback))
        if self.validity is not None:
            fields.append(("ValidityPeriod", str(self.validity)))
        return fields

    def headers(self) -> dict[str, str]:
        """Return the headers that go with them."""
        return {} if self.key is None else {"Idempotency-Key": self.key}


@dataclass(frozen=True, slots=True)
class When:
    """When a message is to be sent."""

    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="When: 2030-01-01T14:00:00Z, or 2030-01-01T23:00:00+09:00."),
    ] = None
    wait: Annotated[
        str | None, typer.Option("--in", metavar="SPAN", help="How long from now: 90m, 2h, 3d; by a test clock's now.")
    ] = None

    def send_at(self, client: Client) -> str:
        """Return it as the API takes it: a time goes there as it was written."""
        if self.at is not None:
            return self.at
        assert self.wait is not None
        return format_iso_exact(Instant(_now(client) + parse_duration(self.wait)))

    def check(self) -> None:
        """Raise where not exactly one of the two is given, or the span is none."""
        if (self.at is None) == (self.wait is None):
            raise typer.BadParameter("say when: one of --at and --in")
        try:
            parse_duration(self.wait or "1h")
        except InvalidDuration as error:
            raise typer.BadParameter(str(error), param_hint="--in") from None


def _now(client: Client) -> Instant:
    """Return the node's time where it has a clock of its own, else this machine's."""
    try:
        return parse_instant(Record.parse(client.get("/postdate/v1/TestClock")).text("now"))
    except Refused:
        return _here_and_now()


def _here_and_now() -> Instant:
    # Brings asyncio with it, which `--help` has no use for.
    from postdate.clock import SystemClock

    return SystemClock().now()


@dataclass(frozen=True, slots=True)
class Filters:
    """Which messages a list shows."""

    to: Annotated[str | None, typer.Option("--to", metavar="NUMBER", help="Those to this recipient.")] = None
    sender: Annotated[str | None, typer.Option("--from", metavar="NUMBER", help="Those from this sender.")] = None
    status: Annotated[
        str | None, typer.Option("--status", help="Those that stand so: scheduled, sent, delivered, canceled, ...")
    ] = None
    service: Annotated[str | None, typer.Option("--service", metavar="MG", help="Those of this service.")] = None
    after: Annotated[str | None, typer.Option("--after", metavar="TIME", help="Scheduled for this time or later.")] = (
        None
    )
    before: Annotated[str | None, typer.Option("--before", metavar="TIME", help="Scheduled for before this time.")] = (
        None
    )
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many at most.")] = 50

    def query(self) -> Fields:
        """Return them as the API's parameters."""
        given = {
            "To": self.to,
            "From": self.sender,
            "Status": self.status,
            "MessagingServiceSid": self.service,
            "SendAt>": self.after,
            "SendAt<": self.before,
            "PageSize": str(self.limit),
        }
        return [(name, value) for name, value in given.items() if value is not None]


@app.command("list")
@command
def list_all(filters: Filters, reach: Reach) -> None:
    """List messages, the newest first."""
    reach.show(lambda client: client.get(client.path("Messages"), filters.query()), _show_list)


def _show_list(page: Record) -> None:
    roomy = console().width >= ROOMY
    table = listing("SID", "STATUS", "TO", "WHEN (UTC)", *(["BODY"] if roomy else []))
    if roomy:
        for column in table.columns[:-1]:
            column.no_wrap = True  # what a message says gives way, and nothing else does
    now = _here_and_now()
    for message in page.records("messages"):
        when = next(message.text(name) for name in ("due_at", "date_sent", "date_created") if name in message)
        said = Text(" ".join(message.text("body").split()), no_wrap=True, overflow="ellipsis")
        body = [said] if roomy else []
        table.add_row(message.text("sid"), status_text(message), message.text("to"), short_time(when, now), *body)
    more = "There are more: raise --limit, or narrow the list with --status, --to, --service."
    show_list(table, "No messages.", more if "next_page_uri" in page else "")


@app.command()
@command
def show(sid: Sid, reach: Reach) -> None:
    """Show one message."""
    reach.show(lambda client: client.get(client.path("Messages", sid)), _show)


def _show(message: Record) -> None:
    tags = message.record("tags") if "tags" in message else None
    show_fields(
        [
            ("message", message.text("sid")),
            ("status", status_text(message)),
            ("problem", message.text("error_message")),
            ("to", message.text("to")),
            ("from", message.text("from")),
            ("service", message.text("messaging_service_sid")),
            ("send at", full_time(message.text("send_at"))),
            ("sent", full_time(message.text("date_sent"))),
            ("created", full_time(message.text("date_created"))),
            ("segments", _count(message.text("num_segments"))),
            ("media", _count(message.text("num_media"))),
            ("tags", message.text("tags") if tags is not None else ""),
            ("body", message.text("body")),
        ]
    )


def _count(number: str) -> str:
    return "" if number == "0" else number


@app.command()
@command
def send(
    to: To,
    content: Content,
    reach: Reach,
    sender: Annotated[str | None, typer.Option("--from", metavar="NUMBER", help="The sender.")] = None,
    service: Annotated[
        str | None, typer.Option("--service", metavar="MG", help="The messaging service that finds a sender.")
    ] = None,
) -> None:
    """Send a message at once, from a number or through a messaging service."""
    if sender is None and service is None:
        raise typer.BadParameter("say who sends it: --from or --service")
    given = {"To": to, "From": sender, "MessagingServiceSid": service}
    fields = [(name, value) for name, value in given.items() if value is not None] + content.fields()
    reach.show(lambda client: client.post(client.path("Messages"), fields, content.headers()), _show_new)


@app.command()
@command
def schedule(
    to: To,
    service: Annotated[str, typer.Option("--service", metavar="MG", help="The messaging service it goes through.")],
    when: When,
    content: Content,
    reach: Reach,
    sender: Annotated[
        str | None, typer.Option("--from", metavar="NUMBER", help="The sender, where it is to be this one.")
    ] = None,
) -> None:
    """Schedule a message: it is safe on disk now and leaves at its time, unless it is canceled before."""
    when.check()
    fields = [("To", to), ("MessagingServiceSid", service), ("ScheduleType", "fixed"), *content.fields()]
    if sender is not None:
        fields.append(("From", sender))

    def ask(client: Client) -> bytes:
        timed = [*fields, ("SendAt", when.send_at(client))]
        return client.post(client.path("Messages"), timed, content.headers())

    reach.show(ask, _show_new)


def _show_new(message: Record) -> None:
    _show(message)
    if message.text("status") == "scheduled":
        say("", [f"To call it off: postdate messages cancel {message.text('sid')}"])


@app.command()
@command
def reschedule(sid: Sid, when: When, reach: Reach) -> None:
    """Move a scheduled message to another time; its SID stays."""
    when.check()

    def ask(client: Client) -> bytes:
        return client.post(client.path("Messages", sid), [("SendAt", when.send_at(client))])

    reach.show(ask, _show_new)


@app.command()
@command
def cancel(sid: Sid, reach: Reach) -> None:
    """Cancel a scheduled message: once this says so, it is never sent."""
    reach.show(
        lambda client: client.post(client.path("Messages", sid), [("Status", "canceled")]),
        lambda message: say(f"{message.text('sid')} is {message.text('status')}: it is never sent."),
    )


@app.command()
@command
def resolve(
    sid: Sid,
    verdict: Annotated[
        Verdict,
        typer.Option("--as", help="sent: the carrier has it; failed: it has it not; retry: hand it over again."),
    ],
    reach: Reach,
) -> None:
    """Settle by hand a message that is in doubt: nobody knows whether its carrier has it."""
    reach.show(
        lambda client: client.post(client.path("Messages", sid), [("InDoubt", verdict.value)]),
        lambda message: say(f"{message.text('sid')} is in doubt no more: it is {message.text('status')}."),
    )


@app.command()
@command
def delete(sid: Sid, reach: Reach) -> None:
    """Delete a message that is final, with its media."""
    reach.do(lambda client: client.delete(client.path("Messages", sid)), f"{sid} is deleted.")
