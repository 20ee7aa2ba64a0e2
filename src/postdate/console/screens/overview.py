"""The first page: what waits, what is due within the hour, what the last day brought, and how the ways out are doing.

Lateness is of the last day too. A subaccount sees its own senders and the names of the connections they use; what went
wrong with a carrier is for the main account, whose connections they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from starlette.responses import Response

from postdate.connectors.contract import Condition, State
from postdate.console.page import Nav, Page, Screen
from postdate.console.spans import roughly, shortly
from postdate.console.times import local
from postdate.console.view import View
from postdate.core.instant import HOUR, MINUTE, SECOND, Instant
from postdate.core.resources import Connection, Sender
from postdate.core.tally import Totals, by_hour, lateness, totals
from postdate.store.contract import DueCount

MINUTES, HOURS = 60, 24
MOST_QUEUES = 12
_PATH = "/"
_NOTHING = Totals()


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: what stands below it, what it says, and its two parts, the lower first."""

    tick: str
    label: str
    lower: int
    upper: int = 0
    more: bool = False  # it is at least so many

    @property
    def total(self) -> int:
        """Return its height."""
        return self.lower + self.upper


@dataclass(frozen=True, slots=True)
class Queue:
    """A sender's queue, in segments, and how long it takes at the sender's rate; `mps` 0 is without limit."""

    sender: Sender
    segments: int
    mps: float
    clear_in: str


@dataclass(frozen=True, slots=True)
class Way:
    """A connection and how it is doing: `state` is paused, or one of the connector's."""

    name: str
    kind: str
    state: str
    rate: float
    limit: float
    in_flight: int
    links: int
    error: str
    error_at: Instant | None


async def show(view: View) -> Response:
    """Show how the account stands."""
    now = view.now
    minutes = _minutes(now)
    since = Instant(now - (HOURS - 1) * HOUR)
    overview = await view.parts.store.overview(view.account.sid, at=now, since=since, bounds=minutes)
    day, late = totals(overview.tallies), lateness(overview.tallies)
    queues = _queues(view)
    values: dict[str, Any] = {
        "scheduled": overview.scheduled,
        "overdue": overview.overdue,
        "in_doubt": overview.in_doubt,
        "due": _summed(overview.due),
        "load": _load(view, minutes, overview.due),
        "day": day,
        "hours": _by_hour(view, since, by_hour(overview.tallies)),
        "late": (shortly(view.t, late.p50), shortly(view.t, late.p99), late.number) if late is not None else None,
        "queues": queues[:MOST_QUEUES],
        "more_queues": max(len(queues) - MOST_QUEUES, 0),
        "waiting": sum(queue.segments for queue in queues),
        "ways": _ways(view),
    }
    if view.by_htmx:
        return view.fragment("overview.html", "figures", **values)
    return view.render("overview.html", **values)


# -- charts ------------------------------------------------------------------------------------------------------------


def _minutes(now: Instant) -> list[Instant]:
    """Return what is left of this minute, and the minutes after it: 60 in all."""
    begin = now - now % MINUTE
    return [now, *(Instant(begin + n * MINUTE) for n in range(1, MINUTES + 1))]


def _summed(counts: Sequence[DueCount]) -> DueCount:
    return DueCount(sum(count.number for count in counts), any(count.more for count in counts))


def _load(view: View, minutes: Sequence[Instant], counts: Sequence[DueCount]) -> list[Bar]:
    bars = []
    for (begin, _), count in zip(pairwise(minutes), counts, strict=True):
        clock = f"{local(begin, view.zone):%H:%M}"
        bars.append(Bar(clock, clock, count.number, more=count.more))
    return bars


def _by_hour(view: View, since: Instant, found: Any) -> list[Bar]:
    first = since - since % HOUR
    bars = []
    for begin in (Instant(first + n * HOUR) for n in range(HOURS)):
        sums: Totals = found.get(begin, _NOTHING)
        there = local(begin, view.zone)
        wrong = sums.undelivered + sums.failed
        bars.append(Bar(f"{there:%H:%M}", f"{there:%H:%M}", sums.sent, wrong))
    return bars


# -- the ways out ------------------------------------------------------------------------------------------------------


def _queues(view: View) -> list[Queue]:
    """Return the queues of the account's senders, the longest to wait for first."""
    waiting = view.parts.waiting
    senders = [one for one in view.parts.directory.every(Sender) if one.account_sid == view.account.sid]
    found = [_queue(view, sender, waiting(sender.sid)) for sender in senders]
    return sorted(found, key=lambda queue: (-queue.segments / (queue.mps or 1_000.0), queue.sender.address))


def _queue(view: View, sender: Sender, segments: int) -> Queue:
    seconds = segments / sender.mps if sender.mps else 0.0
    clear_in = roughly(view.t, round(seconds * SECOND)) if seconds >= 1 else ""
    return Queue(sender, segments, sender.mps, clear_in)


def _ways(view: View) -> list[Way]:
    """Return the connections that are the account's, and those that its senders use."""
    directory = view.parts.directory
    used = {one.connection for one in directory.every(Sender) if one.account_sid == view.account.sid}
    own = {one.name for one in directory.every(Connection) if one.account_sid == view.account.sid}
    return [_way(view, name) for name in sorted(used | own)]


def _way(view: View, name: str) -> Way:
    parts = view.parts
    resource, opened = parts.directory.connection(name), parts.way(name)
    condition = opened.connector.condition if opened is not None else parts.connections.condition(name)
    paused = (opened is not None and opened.paused) or (resource is not None and resource.paused)
    shown = view.account.sid == view.account.owner_sid
    return Way(
        name=name,
        kind=resource.kind if resource is not None else name,
        state="paused" if paused else _state(condition),
        rate=opened.traffic.rate(parts.clock.monotonic()) if opened is not None and shown else 0.0,
        limit=opened.pace.limit if opened is not None else 0.0,
        in_flight=opened.traffic.in_flight if opened is not None and shown else 0,
        links=condition.links,
        error=condition.last_error if shown else "",
        error_at=condition.last_error_at if shown else None,
    )


def _state(condition: Condition) -> str:
    return State(condition.state).value


SCREEN = Screen("overview", pages=(Page(_PATH, show),), nav=Nav("overview"))
