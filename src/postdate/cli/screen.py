"""How answers look to people: tables without boxes that survive 80 columns, statuses in colour, times in UTC.

What goes to a pipe has no colours; whoever reads it with a program takes --json.
"""

from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from postdate.cli.record import Record
from postdate.core.instant import DAY, Instant, InvalidInstant, format_iso, parse_date_filter

ROOMY: Final = 110  # columns from which on a list shows what a message says

STATUS_STYLES: Final = MappingProxyType(
    {
        "scheduled": "cyan",
        "accepted": "bright_blue",
        "queued": "bright_blue",
        "sending": "yellow",
        "sent": "green",
        "delivered": "bold green",
        "read": "bold green",
        "undelivered": "bold red",
        "failed": "bold red",
        "canceled": "magenta",
        "received": "green",
        "active": "green",
        "suspended": "bold red",
        "closed": "bold red",
    }
)
_HALF_A_YEAR: Final = 183 * DAY
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def console() -> Console:
    """Return the screen that answers go to; what stands in brackets or between colons is text like any other."""
    return Console(highlight=False, soft_wrap=False, markup=False, emoji=False)


def status_text(record: Record) -> Text:
    """Return a status in its colour, with what a person should know about it."""
    status = record.text("status")
    text = Text(status, style=STATUS_STYLES.get(status, ""))
    if record.flag("in_doubt"):
        text.append(" in doubt", style="bold yellow")
    if "error_code" in record:
        text.append(f" {record.text('error_code')}", style="red")
    return text


def short_time(text: str, now: Instant) -> str:
    """Return a time of the API as `26 Nov 14:00`, or with its year where that is half a year away or more."""
    try:
        at = parse_date_filter(text)[0]
    except InvalidInstant:
        return text
    year, month, day = format_iso(at)[:10].split("-")
    time_of_day = format_iso(at)[11:16]
    return f"{day} {_MONTHS[int(month) - 1]} {time_of_day if abs(at - now) < _HALF_A_YEAR else year:>5}"


def full_time(text: str) -> str:
    """Return a time of the API as `2026-11-26 14:00:00 UTC`."""
    try:
        at = parse_date_filter(text)[0]
    except InvalidInstant:
        return text
    return f"{format_iso(at)[:10]} {format_iso(at)[11:19]} UTC"


def speed_text(rate: str) -> str:
    """Return how fast something goes as `2.5 segments per second`; empty where that is not known."""
    return rate and f"{rate} segment{'' if rate == '1' else 's'} per second"


def rate_text(rate: str) -> str:
    """Return how fast something may go, where 0 is without a limit."""
    return "as fast as the carrier takes them" if rate == "0" else speed_text(rate)


def listing(*heads: str) -> Table:
    """Return an empty table: the first column is the SID, which is never cut."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for place, head in enumerate(heads):
        table.add_column(head, no_wrap=place == 0, overflow="fold" if place else "ignore")
    return table


def show_list(table: Table, nothing: str, more: str = "") -> None:
    """Print a table, or what to do where it is empty."""
    if not table.row_count:
        console().print(nothing, soft_wrap=True)
        return
    console().print(table)
    if more:
        console().print(Text(more, style="dim"), soft_wrap=True)


Row = tuple[str, str | Text]


def show_fields(rows: Iterable[Row]) -> None:
    """Print names and values; what is empty is left out."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        if value:
            grid.add_row(name, value if isinstance(value, Text) else Text(value))
    console().print(grid)


def say(sentence: str, *after: Sequence[str]) -> None:
    """Print a sentence as it is, however long."""
    console().print(Text(sentence), soft_wrap=True)
    for lines in after:
        for line in lines:
            console().print(Text(line, style="dim"), soft_wrap=True)
