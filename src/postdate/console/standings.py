"""How a connection is doing, as pages show it: what the API says of it too, read from the same parts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from postdate.connectors.kinds import KINDS
from postdate.console.carrier_words import title_of
from postdate.console.view import View
from postdate.core.instant import Instant
from postdate.core.resources import Connection, Sender

OUTCOMES: Final = ("Accepted", "Refused", "Busy", "Unreachable", "InDoubt")


@dataclass(frozen=True, slots=True)
class Standing:
    """One connection now. `rate` and `limit` in segments per second; a limit of 0 is none."""

    connection: Connection
    title: str
    state: str
    links: int
    last_error: str
    last_error_at: Instant | None
    details: Mapping[str, str]
    in_flight: int
    rate: float
    limit: float
    slowed: bool
    outcomes: Mapping[str, int]
    senders: int


def may_have_connections(view: View) -> bool:
    """Say whether the account that is shown can have connections: they are the main account's."""
    return view.account.owner_sid == view.account.sid


def connections_of(view: View) -> list[Connection]:
    """Return the connections of the account that is shown, by name."""
    mine = [found for found in view.parts.directory.every(Connection) if found.account_sid == view.account.sid]
    return sorted(mine, key=lambda found: found.name)


def senders_by_connection(view: View) -> dict[str, list[Sender]]:
    """Return who goes out by which connection, subaccounts' senders among them."""
    accounts = {account.sid for account in view.accounts} | {view.account.sid}
    found: dict[str, list[Sender]] = {}
    for sender in view.parts.directory.every(Sender):
        if sender.account_sid in accounts:
            found.setdefault(sender.connection, []).append(sender)
    return found


def standing_of(view: View, found: Connection, senders: int) -> Standing:
    """Return how a connection is doing."""
    connections, kind = view.parts.connections, KINDS.get(found.kind)
    condition, opened = connections.condition(found.name), connections.find(found.name)
    return Standing(
        connection=found,
        title=title_of(view.language, kind) if kind is not None else found.kind,
        state="paused" if found.paused else str(condition.state),
        links=condition.links,
        last_error=condition.last_error,
        last_error_at=condition.last_error_at,
        details=dict(condition.details),
        in_flight=opened.traffic.in_flight if opened is not None else 0,
        rate=opened.traffic.rate(view.parts.clock.monotonic()) if opened is not None else 0.0,
        limit=opened.pace.limit if opened is not None else found.mps,
        slowed=opened is not None and opened.pace.is_slowed,
        outcomes=dict(opened.traffic.outcomes) if opened is not None else {},
        senders=senders,
    )
