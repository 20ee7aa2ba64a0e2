"""Keeps the configured connections open, each as it is configured now; a change needs no restart.

What changes on the way to the carrier closes the old connector, which answers for what it holds, and then opens a new
one: a carrier that allows one bind of ours never sees two. Meanwhile its senders' messages wait in their lanes, and the
old one still hears what the carrier reports. A rate, a policy or a pause changes in place. A connection whose settings
cannot be used is down, and its messages wait.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from postdate.clock import Clock
from postdate.connectors.contract import CarrierEvent, Condition, Connector, State
from postdate.core.pace import Pace
from postdate.core.resources import Connection
from postdate.flow.directory import Directory
from postdate.flow.open_connection import OpenConnection

DRAIN_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Built:
    """A connector made from a connection's settings, how many media a message there can carry, and if it knows keys."""

    connector: Connector
    media: int
    knows_key: bool = False


@dataclass(frozen=True, slots=True)
class ConnectionTools:
    """What a node gives: how connectors are built (ValueError says why one cannot be), and who uses them."""

    build: Callable[[Connection], Built]
    take: Callable[[str, CarrierEvent], Awaitable[None]]
    use: Callable[[OpenConnection], None]
    leave: Callable[[str], None]
    wake: Callable[[], None]


@dataclass(slots=True)
class _Place:
    """One name: what is open there, or being closed, as which resource, or why nothing is."""

    resource: Connection
    pace: Pace
    opened: OpenConnection | None = None
    closing: OpenConnection | None = None
    fault: str = ""


class Connections:
    """All configured connections of a node. `follow` is told of every change, after it is on disk."""

    def __init__(self, directory: Directory, clock: Clock, tools: ConnectionTools) -> None:
        self._directory = directory
        self._clock = clock
        self._tools = tools
        self._places: dict[str, _Place] = {}
        self._changing: dict[str, asyncio.Lock] = {}  # by name, and not in its place: it outlives a removal
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def idle(self) -> bool:
        """Say whether nothing is being opened or closed."""
        return not self._tasks

    async def open(self) -> None:
        """Open all that are configured; does not wait for their links."""
        for resource in self._directory.every(Connection):
            await self._become(resource.name)

    def follow(self, name: str) -> None:
        """Hear that a connection was added, changed or removed."""
        task = asyncio.get_running_loop().create_task(self._become(name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Return when every change has been carried out."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self, seconds: float = DRAIN_SECONDS) -> None:
        """Close all, after so many seconds for what they hold."""
        await self.settled()
        await asyncio.gather(*(self._shut(place, seconds) for place in self._places.values()))

    def find(self, name: str) -> OpenConnection | None:
        """Return what is open under a name."""
        place = self._places.get(name)
        return place.opened if place is not None else None

    def closing(self, name: str) -> OpenConnection | None:
        """Return what is being closed under a name: it is given no message any more, and hears its carrier still."""
        place = self._places.get(name)
        return place.closing if place is not None else None

    def condition(self, name: str) -> Condition:
        """Return how a connection is doing."""
        place = self._places.get(name)
        if place is not None and place.opened is not None:
            return place.opened.connector.condition
        condition = Condition(State.DOWN if place is not None and place.fault else State.CONNECTING)
        condition.last_error = place.fault if place is not None else ""
        return condition

    # -- changing ----------------------------------------------------------------------------------------------------

    async def _become(self, name: str) -> None:
        """Make what is open what is configured: the newest wins, however many changes come at once."""
        async with self._changing.setdefault(name, asyncio.Lock()):
            resource, place = self._directory.connection(name), self._places.get(name)
            if place is not None and (resource is None or _is_another_way(place.resource, resource)):
                await self._shut(place)
                resource = self._directory.connection(name)  # it may be another by now: closing takes a while
            if resource is None:
                self._places.pop(name, None)
            elif place is None:
                place = self._places[name] = _Place(resource, Pace(resource.mps, self._clock.monotonic()))
                await self._open(place)
            elif place.opened is None:
                self._repace(place, resource.mps)
                place.resource = resource
                await self._open(place)
            else:
                self._adjust(place, place.opened, resource)

    def _adjust(self, place: _Place, opened: OpenConnection, resource: Connection) -> None:
        self._repace(place, resource.mps)
        opened.doubt, opened.paused = resource.doubt, resource.paused
        place.resource = resource
        self._tools.wake()

    def _repace(self, place: _Place, mps: float) -> None:
        if mps != place.resource.mps:
            place.pace.change(mps, self._clock.monotonic())

    async def _open(self, place: _Place) -> None:
        resource = place.resource
        try:
            built = self._tools.build(resource)
        except ValueError as error:
            place.fault = str(error)
            return
        place.fault = ""

        def on_event(event: CarrierEvent) -> Awaitable[None]:
            return self._tools.take(resource.sid, event)

        opened = OpenConnection(
            resource.name, built.connector, resource.doubt, place.pace, built.media, resource.paused
        )
        opened.identity, opened.knows_key = resource.sid, built.knows_key
        built.connector.condition.on_change = self._tools.wake
        try:
            await built.connector.open(on_event)
        except OSError as error:
            place.fault = f"it cannot be opened: {error.strerror or 'a file that it needs cannot be used'}"
            return
        place.opened = opened
        self._tools.use(opened)

    async def _shut(self, place: _Place, seconds: float = DRAIN_SECONDS) -> None:
        opened, place.opened = place.opened, None
        if opened is not None:
            place.closing = opened
            self._tools.leave(opened.name)
            await close_connector(opened.connector, seconds)
            place.closing = None


def _is_another_way(before: Connection, after: Connection) -> bool:
    return (before.sid, before.settings, before.sealed) != (after.sid, after.settings, after.sealed)


async def close_connector(connector: Connector, seconds: float = DRAIN_SECONDS) -> None:
    """Let a connector answer for what it holds, for some seconds; then close it, which says what is left."""
    try:
        async with asyncio.timeout(seconds):
            await connector.drain()
    except TimeoutError:
        pass  # `close` says what is still open, truthfully
    await connector.close()
