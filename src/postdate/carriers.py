"""What configured connections need of a node: their settings opened, their URLs, and how their connectors are built."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from postdate.api.parts import CarrierWay, TakeCall
from postdate.clock import Clock
from postdate.connectors.http import HttpConnector
from postdate.connectors.http_calls import NotNow
from postdate.connectors.kinds import KINDS, Surroundings, kind_of, read_settings
from postdate.connectors.providers.contract import BadEvent, Call, Heard
from postdate.core.events_url import events_key, events_path, message_query
from postdate.core.outcome import DoubtPolicy
from postdate.core.resources import Connection
from postdate.flow.connections import Built, Connections
from postdate.flow.directory import Directory
from postdate.flow.open_connection import MOST_MEDIA, OpenConnection


@dataclass(frozen=True, slots=True)
class Carriers:
    """The configured connections, as the directory has them; `secret` makes the keys of their URLs."""

    directory: Directory
    clock: Clock
    chance: Callable[[], float]
    base_url: Callable[[], str]
    secret: bytes = field(repr=False)

    def build(self, resource: Connection) -> Built:
        """Return the connector for a connection; ValueError says why it cannot be used."""
        kind = kind_of(resource.kind)
        hidden = msgspec.json.decode(self.directory.unseal(resource.sealed))
        settings = read_settings(kind, {**resource.settings, **hidden})
        around = Surroundings(
            clock=self.clock,
            chance=self.chance,
            some_bytes=lambda: secrets.token_bytes(16),
            events_url=lambda sid: self.events_url(resource) + message_query(self.secret, resource.sid, sid),
        )
        return Built(kind.build(resource.name, settings, around), kind.media, kind.knows_key)

    def events_url(self, resource: Connection) -> str:
        """Return the URL at which the carrier of a connection reports; the port is known once the node listens."""
        return self.base_url() + events_path(resource.name, events_key(self.secret, resource.sid))

    def way_in(self, name: str, connections: Connections) -> CarrierWay | None:
        """Return who takes what the carrier of the connection of this name reports by HTTP, if anybody does.

        Its URLs stay while it is changed and where it is down: a 404 would be the end of what many carriers report.
        """
        resource = self.directory.connection(name)
        kind = KINDS.get(resource.kind) if resource is not None else None
        if resource is None or kind is None or not kind.calls_us:
            return None
        take = _take_of(connections.find(name), resource)
        return CarrierWay(resource.sid, self.secret, take or _until_open(_take_of(connections.closing(name), resource)))

    def policy_of(self, sid: str) -> DoubtPolicy | None:
        """Return what follows an unknown outcome at a connection, None where there is no such connection."""
        resource = self.directory.find(Connection, sid)
        return resource.doubt if resource is not None else None

    def media_of(self, name: str) -> int:
        """Return how many media a message by the connection of this name can carry, open or not."""
        resource = self.directory.connection(name)
        return KINDS[resource.kind].media if resource is not None and resource.kind in KINDS else MOST_MEDIA


def _take_of(found: OpenConnection | None, resource: Connection) -> TakeCall | None:
    if found is None or found.identity != resource.sid or not isinstance(found.connector, HttpConnector):
        return None
    return found.connector.take


def _until_open(before: TakeCall | None) -> TakeCall:
    """Return what takes calls while nothing is open: what was open before may not know what the new settings will."""

    async def take(call: Call) -> Heard:
        try:
            if before is not None:
                return await before(call)
        except BadEvent:
            pass
        raise NotNow("The connection is not open at the moment: try again.")

    return take
