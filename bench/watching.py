"""A node that notes when its messages were handed over and when their receipts were on disk."""

import asyncio
import secrets
from array import array
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import msgspec

from postdate.clock import Clock, breathe
from postdate.connectors.contract import CarrierEvent, Connector, OnEvent, State, Submission
from postdate.core.address import SenderKind
from postdate.core.instant import Instant
from postdate.core.outcome import Outcome
from postdate.core.resources import Connection, Sender, Service
from postdate.flow.open_connection import OpenConnection
from postdate.node import Node
from postdate.settings import Settings

_BIND_SECONDS = 10
_LOOK_SECONDS = 0.01


class Watch:
    """What was seen: how late each message was handed over, in microseconds, and when it all was done."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.lateness = array("q")
        self.receipts = 0
        self.last_handed_at = Instant(0)
        self.last_receipt_at = Instant(0)
        self.on_first: Callable[[Instant], None] = lambda at: None
        self._waiting: list[tuple[Callable[[], bool], asyncio.Event]] = []

    def hand_over(self, batch: Sequence[Submission]) -> None:
        """Note a batch that goes to the carrier now."""
        at = self._clock.now()
        if not self.lateness:
            self.on_first(at)
        self.lateness.extend(at - submission.not_before for submission in batch)
        self.last_handed_at = at
        self._look()

    def receipt(self) -> None:
        """Note a receipt that is on disk now."""
        self.receipts += 1
        self.last_receipt_at = self._clock.now()
        self._look()

    async def until(self, handed: int, receipts: int) -> None:
        """Return when so many were handed over and so many receipts are on disk."""
        reached = asyncio.Event()
        self._waiting.append((lambda: len(self.lateness) >= handed and self.receipts >= receipts, reached))
        self._look()
        await reached.wait()

    def _look(self) -> None:
        for done, reached in self._waiting:
            if done():
                reached.set()


class Watched:
    """A connector that tells a watch, and is otherwise the one it stands before."""

    def __init__(self, inner: Connector, watch: Watch) -> None:
        self._inner = inner
        self._watch = watch
        self.condition = inner.condition

    async def open(self, on_event: OnEvent) -> None:
        """Open the inner one; an event counts when the node has it on disk."""

        async def noted(event: CarrierEvent) -> None:
            await on_event(event)
            self._watch.receipt()

        await self._inner.open(noted)

    def submit(self, batch: Sequence[Submission]) -> AsyncIterator[tuple[Submission, Outcome]]:
        """Note the time, and hand over."""
        self._watch.hand_over(batch)
        return self._inner.submit(batch)

    async def drain(self) -> None:
        """Drain the inner one."""
        await self._inner.drain()

    async def close(self) -> None:
        """Close the inner one."""
        await self._inner.close()


class WatchedNode(Node):
    """A node whose connections are watched from before the first message goes."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.seen = Watch(self.clock)

    async def _open(self, connection: OpenConnection) -> None:
        await super()._open(replace(connection, connector=Watched(connection.connector, self.seen)))


def settings_for(data: Path, **more: Any) -> Settings:
    """Return the settings of a node to be measured: any port, any time ahead, no cap that matters, local callbacks."""
    return Settings(
        data=data,
        port=0,
        schedule_window="0s..",
        scheduled_cap=100_000_000,
        allow_networks=(ip_network("127.0.0.0/8"),),
        **more,
    )


@dataclass(frozen=True, slots=True)
class Place:
    """Where a customer sends from."""

    account: str
    token: str
    service: str


async def furnish(node: Node, senders: int = 1, mps: float = 0, connection: str = "sandbox") -> Place:
    """Make a messaging service with numbers in its pool, unless there is one already; return who may use it."""
    account, token = node.first_account()
    at = node.clock.now()
    known = node.directory.every(Service)
    if not known:
        service = Service(
            sid=_sid("MG"), account_sid=account.sid, friendly_name="Benchmark", created_at=at, updated_at=at
        )
        await node.directory.put(service)
        known = [service]
        for number in range(senders):
            await node.directory.put(
                Sender(
                    sid=_sid("PN"),
                    account_sid=account.sid,
                    kind=SenderKind.PHONE_NUMBER,
                    address=address_of(number),
                    friendly_name=f"Number {number}",
                    country="US",
                    mps=mps,
                    connection=connection,
                    service_sid=service.sid,
                    added_at=at,
                    created_at=at,
                    updated_at=at,
                )
            )
    return Place(account.sid, token, known[0].sid)


async def connect(node: Node, port: int, in_flight: int) -> str:
    """Configure a connection to an SMSC on this machine, and return its name once it is bound."""
    account, _ = node.first_account()
    at = node.clock.now()
    hidden = node.directory.seal(msgspec.json.encode({"password": "bench"}).decode())
    settings = {"host": "127.0.0.1", "port": port, "system_id": "bench", "in_flight": in_flight}
    await node.directory.put(
        Connection(
            sid=_sid("CX"), account_sid=account.sid, name="carrier", kind="smpp", settings=settings, sealed=hidden,
            created_at=at, updated_at=at,
        )
    )  # fmt: skip
    async with asyncio.timeout(_BIND_SECONDS):
        while node.connections.condition("carrier").state is not State.READY:
            await breathe(_LOOK_SECONDS)
    return "carrier"


def address_of(number: int) -> str:
    """Return the address of a sender that `furnish` makes, by its number from 0."""
    return f"+1415555{number:04}"


def recipient(number: int) -> str:
    """Return a phone number for each number below ten million: one that the plans allow, but that nobody need have."""
    return f"+1415{2_000_000 + number % 8_000_000}"


def _sid(prefix: str) -> str:
    return prefix + secrets.token_hex(16)
