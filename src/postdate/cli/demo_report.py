"""How the demo tells its story: on the screen as it happens, or as JSON when it has ended.

Times are those of the test clock, in UTC. What is checked is counted; what is not as it should be is told at the end.
"""

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Final

import segno
from rich import box
from rich.align import Align
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from postdate.cli.demo_curl import Post
from postdate.cli.record import Record
from postdate.cli.screen import STATUS_STYLES
from postdate.connectors.sandbox_handsets import Received
from postdate.core.instant import MILLISECOND, SECOND, Instant, format_iso_exact

_WIDEST: Final = 100
_HANDSET: Final = 44


def day_and_time(at: Instant) -> str:
    """Return an instant as `Wed 25 Nov 15:00:00`."""
    return datetime.fromtimestamp(at // SECOND, UTC).strftime("%a %d %b %H:%M:%S")


@dataclass(frozen=True, slots=True)
class Step:
    """A request of the story and what came back."""

    at: str
    command: str
    sid: str
    status: str


@dataclass(frozen=True, slots=True)
class Change:
    """A status as the clinic learned of it: from the answer, or by a callback whose signature was right or not."""

    at: Instant
    sid: str
    name: str
    status: str
    verified: bool | None


@dataclass(frozen=True, slots=True)
class Check:
    """Something that must be so."""

    sentence: str
    holds: bool


@dataclass(slots=True)
class Report:
    """The story so far; `console` is quiet where it ends as JSON."""

    console: Console
    steps: list[Step] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    handsets: dict[str, list[dict[str, object]]] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)

    # -- telling ---------------------------------------------------------------------------------------------------

    def part(self, title: str) -> None:
        """Begin a part of the story."""
        self.console.print(Rule(Text(title, style="bold"), align="left", style="cyan"), width=self._width)
        self.console.print()

    def note(self, sentence: str) -> None:
        """Say something."""
        self.console.print(Text(sentence), width=self._width)
        self.console.print()

    def ran(self, at: Instant, post: Post, answer: Record) -> None:
        """Tell of a request and its answer."""
        command = post.command()
        status = answer.text("status")
        self.steps.append(Step(format_iso_exact(at), command, answer.text("sid"), status))
        lines = Text()
        for place, line in enumerate(command.split("\n")):
            lines.append("$ " if place == 0 else "    ", style="bold green")
            lines.append(f"{line}\n")
        lines.rstrip()
        self.console.print(lines, soft_wrap=True)
        told = Text().append("→ ", style="bold green")
        told.append(answer.text("sid") or answer.text("now"))
        if status in STATUS_STYLES:
            told.append("  ").append(status, style=STATUS_STYLES[status])
        if "send_at" in answer and status == "scheduled":
            told.append(f" for {answer.text('send_at')}", style="dim")
        self.console.print(told, soft_wrap=True)
        self.console.print()

    def moved(self, before: Instant, after: Instant, why: str) -> None:
        """Tell that time passed."""
        line = Text().append("clock  ", style="bold yellow")
        line.append(f"{day_and_time(before)} → ").append(day_and_time(after), style="bold yellow")
        self.console.print(line.append(f"  {why}", style="dim"), soft_wrap=True)
        self.console.print()

    def timeline(self, changes: Sequence[Change]) -> None:
        """Show what the clinic learned, in order."""
        self.changes.extend(changes)
        table = Table(box=box.ROUNDED, header_style="bold", border_style="cyan")
        for head in ("BY THE TEST CLOCK", "MESSAGE", "STATUS", "TOLD BY"):
            table.add_column(head, no_wrap=True)
        for change in changes:
            how = Text("the answer", style="dim")
            if change.verified is not None:
                how = Text("callback, ")
                how.append(*(("verified", "green") if change.verified else ("NOT SIGNED RIGHT", "bold red")))
            status = Text(change.status, style=STATUS_STYLES.get(change.status, ""))
            thousandth = f".{change.at % SECOND // MILLISECOND:03}"
            table.add_row(day_and_time(change.at) + thousandth, change.name, status, how)
        self.console.print(table)
        self.console.print()

    def handset(self, number: str, inbox: Sequence[Received], qr: segno.QRCode) -> None:
        """Show what a handset received."""
        self.handsets[number] = [_as_json(received) for received in inbox]
        parts = [part for received in inbox for part in _bubbles(received, qr)]
        shown = Group(*parts) if parts else Text("nothing", style="dim")
        title = Text(f"handset {number}", style="bold")
        self.console.print(Panel(shown, title=title, border_style="cyan", padding=(0, 1), width=_HANDSET))
        self.console.print()

    def check(self, sentence: str, holds: bool) -> None:
        """Count something that must be so."""
        self.checks.append(Check(sentence, holds))

    def verdict(self, seconds: float) -> None:
        """Tell what was checked, and what to try next."""
        for check in self.checks:
            line = Text().append("✓ ", style="bold green") if check.holds else Text("✗ ", style="bold red")
            self.console.print(line.append(check.sentence), soft_wrap=True)
        self.console.print()
        self.console.print(Text(f"Four days passed in {seconds:.1f} seconds.", style="bold"))
        self.console.print()

    def next_steps(self, steps: Sequence[tuple[str, str]]) -> None:
        """Tell what to try next."""
        grid = Table.grid(padding=(0, 3, 0, 0))
        for command, why in steps:
            grid.add_row(Text(command, style="bold"), Text(why))
        self.console.print(Padding(grid, (0, 0, 1, 2)))

    @property
    def _width(self) -> int:
        return min(self.console.width, _WIDEST)

    # -- the end -----------------------------------------------------------------------------------------------------

    @property
    def wrong(self) -> list[str]:
        """Return what is not as it should be."""
        return [check.sentence for check in self.checks if not check.holds]

    def as_json(self, seconds: float) -> dict[str, object]:
        """Return the whole story."""
        changes = [
            {**asdict(change), "at": format_iso_exact(change.at), "callback": change.verified is not None}
            for change in self.changes
        ]
        return {
            "ok": not self.wrong,
            "seconds": round(seconds, 3),
            "steps": [asdict(step) for step in self.steps],
            "timeline": changes,
            "handsets": self.handsets,
            "checks": [asdict(check) for check in self.checks],
        }


def _as_json(received: Received) -> dict[str, object]:
    return {
        "sid": received.sid,
        "at": format_iso_exact(received.at),
        "from": received.sender,
        "body": received.body,
        "media": [
            {"content_type": attachment.content_type, "bytes": len(attachment.body)}
            for attachment in received.attachments
        ],
    }


def _bubbles(received: Received, qr: segno.QRCode) -> list[RenderableType]:
    parts: list[RenderableType] = [
        Text(f"{day_and_time(received.at)[:-3]}  from {received.sender}", style="dim"),
        Text(received.body),
    ]
    for attachment in received.attachments:
        parts.append(Text(f"{attachment.content_type}, {len(attachment.body)} bytes", style="dim"))
        parts.append(Align.center(_drawn(qr)))
    return parts


def _drawn(qr: segno.QRCode) -> Text:
    """Return the QR code in half blocks: in its own colours, so that a phone reads it from any terminal."""
    file = io.StringIO()
    qr.terminal(out=file, compact=True, border=2)
    return Text(file.getvalue().rstrip("\n"), style="bright_white on black")
