"""What every way to a carrier looks like: four methods, and events that come back.

A connector turns submissions into outcomes and reports receipts and inbound messages. It never retries by itself, never
reads the store, and says `InDoubt` whenever bytes may have left without an answer. `submit` yields each outcome as soon
as it is known, in any order, exactly one for each submission. An event is acknowledged to the carrier only after
`on_event` has returned: by then it is on disk.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from postdate.core.address import Channel
from postdate.core.instant import Instant
from postdate.core.message import Event
from postdate.core.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Attachment:
    """A medium as it was fetched at `SendAt`; `url` is a public unguessable link to it."""

    content_type: str
    body: bytes
    url: str


@dataclass(frozen=True, slots=True)
class Submission:
    """One message to hand over. `sid` is the idempotency key; no byte leaves before `not_before`."""

    sid: str
    attempt: int
    sender: str
    recipient: str
    channel: Channel
    body: str
    segments: int
    not_before: Instant
    expires_at: Instant
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Receipt:
    """A carrier's word on a message: delivered, undelivered or read, with a customer's error code where it failed."""

    carrier_ref: str
    event: Event
    error_code: int | None = None
    sid: str | None = None


@dataclass(frozen=True, slots=True)
class Inbound:
    """A message from a handset to one of our senders."""

    sender: str
    recipient: str
    body: str
    attachments: tuple[Attachment, ...] = ()


CarrierEvent = Receipt | Inbound
OnEvent = Callable[[CarrierEvent], Awaitable[None]]


class Connector(Protocol):
    """One configured way to a carrier."""

    async def open(self, on_event: OnEvent) -> None:
        """Start; carrier events go to `on_event`."""

    def submit(self, batch: Sequence[Submission]) -> AsyncIterator[tuple[Submission, Outcome]]:
        """Hand over a batch; yield an outcome for each submission as it is known."""

    async def drain(self) -> None:
        """Return when nothing that was submitted is without an outcome."""

    async def close(self) -> None:
        """Stop; what is still open ends as InDoubt or Unreachable, whichever is true."""
