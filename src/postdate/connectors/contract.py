"""What every way to a carrier looks like: four methods, and events that come back.

A connector turns submissions into outcomes and reports receipts and inbound messages. It never retries by itself, never
reads the store, and says `InDoubt` whenever bytes may have left without an answer. `submit` yields each outcome as soon
as it is known, in any order, exactly one for each submission. An event is acknowledged to the carrier only after
`on_event` has returned: by then it is on disk.

Beside the four methods a connector shows its `condition`, which it alone writes. One that can ask its carrier about a
message in doubt is an `Asks` too.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

import msgspec

from postdate.core.address import Channel
from postdate.core.instant import Instant
from postdate.core.message import Event, Template
from postdate.core.outcome import Accepted, InDoubt, Outcome, Refused, Unreachable


@dataclass(frozen=True, slots=True)
class Attachment:
    """A medium as it was fetched at `SendAt`; `url` is a public unguessable link to it."""

    content_type: str
    body: bytes
    url: str


@dataclass(frozen=True, slots=True)
class Submission:
    """One message to hand over. `sid` is the idempotency key; no byte leaves before `not_before`.

    A WhatsApp `template` stands for the body where the carrier knows templates; to others the body says the same.
    """

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
    template: Template | None = None


class Receipt(msgspec.Struct, frozen=True):
    """A carrier's word on a message: delivered, undelivered or read, with a customer's error code where it failed."""

    carrier_ref: str
    event: Event
    error_code: int | None = None
    sid: str | None = None


@dataclass(frozen=True, slots=True)
class LateAnswer:
    """An answer that came after its submission had ended in doubt: the carrier has the message, refused it, or has not
    taken it for now (Unreachable)."""

    sid: str
    outcome: Accepted | Refused | Unreachable


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a long message this is: `index` counts from 1; `ref` joins the parts of one sender."""

    ref: int
    total: int
    index: int


@dataclass(frozen=True, slots=True)
class Inbound:
    """A message from a handset to one of our senders, or a part of one.

    `carrier_ref` is the carrier's own id for it, where it has one: the same told twice is kept once. Media come as
    bytes or as links.
    """

    sender: str
    recipient: str
    body: str
    attachments: tuple[Attachment, ...] = ()
    media_urls: tuple[str, ...] = ()
    carrier_ref: str | None = None
    part: Part | None = None


CarrierEvent = Receipt | LateAnswer | Inbound
OnEvent = Callable[[CarrierEvent], Awaitable[None]]


class State(StrEnum):
    """Whether a way to a carrier can be used."""

    READY = "ready"  # bound, or as far as can be known without a link
    FAILING = "failing"  # the last attempt failed, and the next one may not
    CONNECTING = "connecting"
    DOWN = "down"
    CLOSED = "closed"


class Condition:
    """How a connector is doing, for people to look at; texts hold no secret and no word of the carrier's.

    The connector alone writes it. `links` are TCP links that are bound, 0 where there is no such thing. `at_once` is
    how many messages can be with the carrier without an answer, 0 where nobody knows: more only wait. `on_change` is
    called when the state becomes another.
    """

    __slots__ = ("_state", "at_once", "details", "last_error", "last_error_at", "links", "on_change")

    def __init__(self, state: State = State.CLOSED) -> None:
        self._state = state
        self.links = 0
        self.at_once = 0
        self.last_error = ""
        self.last_error_at: Instant | None = None
        self.details: dict[str, str] = {}
        self.on_change: Callable[[], None] = lambda: None

    @property
    def state(self) -> State:
        """Say whether the way to the carrier can be used."""
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        if state is not self._state:
            self._state = state
            self.on_change()


class Connector(Protocol):
    """One configured way to a carrier."""

    condition: Condition

    async def open(self, on_event: OnEvent) -> None:
        """Start; carrier events go to `on_event`. Does not wait for a link: `condition` says when there is one."""

    def submit(self, batch: Sequence[Submission]) -> AsyncIterator[tuple[Submission, Outcome]]:
        """Hand over a batch; yield an outcome for each submission as it is known."""

    async def drain(self) -> None:
        """Return when nothing that was submitted is without an outcome."""

    async def close(self) -> None:
        """Stop; what is still open ends as InDoubt or Unreachable, whichever is true."""


@runtime_checkable
class Asks(Protocol):
    """A connector that can find out what became of a submission in doubt."""

    async def ask(self, submission: Submission) -> Accepted | Unreachable | InDoubt:
        """Return Accepted: the carrier has it. Unreachable: it has not, for certain. InDoubt: nobody knows yet."""
