"""What the API is given of a node: nothing here is built by the API itself."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from postdate.clock import Clock
from postdate.connectors.sandbox import Sandbox
from postdate.core.instant import Instant
from postdate.core.resources import Account
from postdate.flow.directory import Directory
from postdate.flow.ingest import Ingest
from postdate.settings import Settings
from postdate.store.contract import Store

TakeEvents = Callable[[bytes, Mapping[str, str]], Awaitable[None]]


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
    carrier_events: Mapping[str, TakeEvents]
