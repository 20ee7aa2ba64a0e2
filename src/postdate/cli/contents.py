"""`postdate contents`: texts with variables that messages name by their SID, and their WhatsApp templates."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from postdate.cli.client import contents
from postdate.cli.command import Trouble, command
from postdate.cli.reach import Reach
from postdate.cli.record import Record
from postdate.cli.screen import full_time, listing, say, show_fields, show_list

app = typer.Typer(help="Texts with variables, and their WhatsApp templates.", no_args_is_help=True)

Sid = Annotated[str, typer.Argument(metavar="HX", help="The content: HX and 32 hex digits.")]


@dataclass(frozen=True, slots=True)
class Words:
    """What a content says: a text, with media or without, or a file with all of it."""

    name: Annotated[str | None, typer.Option("--name", metavar="TEXT", help="What you call it.")] = None
    language: Annotated[str, typer.Option("--language", metavar="CODE", help="Its language: en, ja, pt_BR.")] = "en"
    body: Annotated[
        str | None, typer.Option("--body", metavar="TEXT", help="Its text, with variables as {{1}} or {{name}}.")
    ] = None
    media_url: Annotated[
        list[str] | None, typer.Option("--media-url", metavar="URL", help="A picture or file; up to 10 times.")
    ] = None
    variable: Annotated[
        list[str] | None,
        typer.Option("--variable", metavar="NAME=VALUE", help="What a variable is where a message leaves it out."),
    ] = None
    file: Annotated[
        str | None, typer.Option("--file", metavar="FILE", help="JSON as the API takes it; - reads standard input.")
    ] = None

    def given(self) -> dict[str, Any]:
        """Return it as the API takes it."""
        if self.file is not None:
            return _read(self.file)
        if self.body is None and not self.media_url:
            raise typer.BadParameter("say what it says: --body, --media-url or --file")
        value = {name: one for name, one in (("body", self.body), ("media", self.media_url)) if one}
        return {
            "friendly_name": self.name,
            "language": self.language,
            "variables": variables(self.variable or ()),
            "types": {"twilio/media" if self.media_url else "twilio/text": value},
        }


def variables(pairs: Sequence[str]) -> dict[str, str]:
    """Return the variables that were given as NAME=VALUE."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise typer.BadParameter("--variable takes NAME=VALUE, such as --variable 1=Ann")
        found[name] = value
    return found


def _read(file: str) -> dict[str, Any]:
    try:
        found = json.loads(sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise Trouble(f"{file} cannot be read as JSON.") from None
    if not isinstance(found, dict):
        raise Trouble(f'{file} is no JSON object, such as {{"language": "en", "types": ...}}.')
    return found


@app.command("list")
@command
def list_all(reach: Reach) -> None:
    """List the contents, and how their WhatsApp templates stand."""
    reach.show(lambda client: client.get_all("/v1/ContentAndApprovals", "contents"), _show_list)


def _show_list(page: Record) -> None:
    table = listing("SID", "NAME", "LANGUAGE", "TYPES", "WHATSAPP")
    for content in page.records("contents"):
        approval = content.record("approval_requests")
        types = ", ".join(name for name, _ in content.pairs("types"))
        shown = (content.text(name) for name in ("sid", "friendly_name", "language"))
        table.add_row(*shown, types, approval.text("status"))
    show_list(table, 'No contents yet: postdate contents add --name NAME --body "See you at {{1}}"')


@app.command()
@command
def show(sid: Sid, reach: Reach) -> None:
    """Show a content."""
    reach.show(lambda client: client.get(contents(sid)), _show)
    if not reach.json:
        approval = Record.parse(reach.client().get(contents(sid, "ApprovalRequests"))).record("whatsapp")
        show_fields([("template", approval.text("name")), ("whatsapp", approval.text("status"))])


def _show(content: Record) -> None:
    show_fields(
        [
            ("content", content.text("sid")),
            ("name", content.text("friendly_name")),
            ("language", content.text("language")),
            *content.pairs("types"),
            *((f"{{{{{name}}}}}", value) for name, value in content.pairs("variables")),
            ("changed", full_time(content.text("date_updated"))),
        ]
    )


@app.command()
@command
def add(words: Words, reach: Reach) -> None:
    """Add a content."""
    given = words.given()
    reach.show(lambda client: client.post_json(contents(), given), _show_added)


def _show_added(content: Record) -> None:
    _show(content)
    say(f"\nA message with it: postdate messages send --content {content.text('sid')} --variable 1=... --to ...")


@app.command()
@command
def remove(sid: Sid, reach: Reach) -> None:
    """Remove a content; what is scheduled with it is sent all the same."""
    reach.do(lambda client: client.delete(contents(sid)), f"{sid} is removed.")


@app.command()
@command
def approve(
    sid: Sid,
    reach: Reach,
    template: Annotated[
        str | None, typer.Option("--template", metavar="NAME", help="The template's name at Meta's.")
    ] = None,
    category: Annotated[
        str | None, typer.Option("--category", help="Its category there: UTILITY, MARKETING or AUTHENTICATION.")
    ] = None,
    status: Annotated[
        str, typer.Option("--status", help="How it stands there, if not approved: rejected, paused, disabled, pending.")
    ] = "approved",
) -> None:
    """Say that Meta approved the WhatsApp template of a content, which you made there."""
    given = {"name": template, "category": category, "status": status}
    path = contents(sid, "ApprovalRequests", "whatsapp")
    reach.show(lambda client: client.post_json(path, given), lambda approval: _show_approval(sid, approval))


def _show_approval(sid: str, approval: Record) -> None:
    say(f"{sid} is the template {approval.text('name')} ({approval.text('content_type')}): {approval.text('status')}.")
