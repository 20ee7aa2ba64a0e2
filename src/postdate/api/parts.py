"""What the API is given of a node: nothing here is built by the API itself."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from postdate.clock import Clock
from postdate.connectors.providers.contract import Call, Heard
from postdate.connectors.sandbox import Sandbox
from postdate.core.errors import Rejected
from postdate.core.instant import Instant
from postdate.core.resources import Account, Connection
from postdate.flow.connections import Connections
from postdate.flow.directory import Directory
from postdate.flow.ingest import Ingest
from postdate.flow.open_connection import OpenConnection
from postdate.settings import Settings
from postdate.store.contract import Store

TakeCall = Callable[[Call], Awaitable[Heard]]


@dataclass(frozen=True, slots=True)
class CarrierWay:
    """The way in for one connection's carrier: who made its URLs, and who takes what comes there."""

    connection_sid: str
    secret: bytes = field(repr=False)
    take: TakeCall


def no_carrier_way(name: str) -> CarrierWay | None:
    """Say that there is no connection of this name whose carrier may report."""
    return None


def no_console_link(account_sid: str) -> str:
    """Say that this node has no console."""
    raise Rejected(20404, "This node has no console.")


def nothing_waits(sender_sid: str) -> int:
    """Say that no segment waits for this sender."""
    return 0


def no_way(name: str) -> OpenConnection | None:
    """Say that nothing is open under this name."""
    return None


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a node that handlers use. `nobody` stands in where no one signs in."""

    settings: Settings
    clock: Clock
    store: Store
    directory: Directory
    ingest: Ingest
    sandbox: Sandbox
    nobody: Account
    base_url: Callable[[], str]
    advance_to: Callable[[Instant], Awaitable[None]]
    carrier_events: Mapping[str, TakeCall]  # those with a token of their own, at the path without a key
    connections: Connections
    events_url: Callable[[Connection], str]  # where the connection's carrier reports
    carrier_way: Callable[[str], CarrierWay | None] = no_carrier_way  # by the connection's name
    console_link: Callable[[str], str] = no_console_link  # a new one-time link for the owner of an account
    waiting: Callable[[str], int] = nothing_waits  # segments in a sender's lane, waiting or in flight, by its SID
    way: Callable[[str], OpenConnection | None] = no_way  # what is open under a connection's name
