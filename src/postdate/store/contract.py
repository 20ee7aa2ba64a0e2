"""What the flow asks of a store. SQLite is one; PostgreSQL will be the other. Both pass the same conformance suite.

Rules every method keeps: it returns when its change is on disk; times are arguments; a status moves only as
`core.message.TRANSITIONS` allows; a callback row is written in the transaction of the change it announces, and the
`on_news` that a store is made with is given those rows, in their order, on the event loop after the commit. Batches are
all or nothing.
`StoreFull` and `StoreUnavailable` say that nothing was changed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import msgspec

from postdate.core.decision import Decision
from postdate.core.doubt import Verdict
from postdate.core.instant import Instant
from postdate.core.keywords import Keyword, keyword
from postdate.core.message import Event, Message, Status
from postdate.core.resources import Resource
from postdate.core.trail import Kind
from postdate.store.views import AgendaQuery as AgendaQuery
from postdate.store.views import Called as Called
from postdate.store.views import CallQuery as CallQuery
from postdate.store.views import Cursor as Cursor
from postdate.store.views import DueCount as DueCount
from postdate.store.views import Found as Found
from postdate.store.views import MessageQuery as MessageQuery
from postdate.store.views import Overview as Overview


class StoreError(Exception):
    """The store could not do it, and changed nothing."""


class StoreFull(StoreError):
    """No room on the disk: free some, or give the store a larger one."""


class StoreUnavailable(StoreError):
    """The store cannot be reached or opened; the text says what to do."""


class AlreadyExists(StoreError):
    """Another resource has this unique key."""


EPOCH = Instant(0)
BEGINNING = Cursor(Instant(-1), "")


class New(msgspec.Struct, frozen=True):
    """A message to add, with the cap on its account's scheduled ones and the key that makes a repeat harmless."""

    message: Message
    scheduled_cap: int
    idempotency_key: str | None = None
    fingerprint: str = ""
    refusal: int | None = None  # why it may not be added, unless it was already under its key


class Added(msgspec.Struct, frozen=True):
    """It is on disk."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """The same key came before: this is the message made then."""

    sid: str
    same_request: bool


@dataclass(frozen=True, slots=True)
class NotAdded:
    """It was not added; `code` is the customer's error code."""

    code: int


AddResult = Added | Repeated | NotAdded


class Due(msgspec.Struct, frozen=True, array_like=True):
    """A due message and what the store knows about it."""

    message: Message
    opted_out: tuple[str, ...]  # from which services and addresses
    sticky: str | None
    media: int


class Dispatched(msgspec.Struct, frozen=True):
    """What became of a due message; `message` is as it stands now. `decision` is None where it was decided before."""

    message: Message
    decision: Decision | None


class Handed(msgspec.Struct, frozen=True):
    """The carrier took it, `late` microseconds after it was due, where that is known."""

    sid: str
    connection: str
    carrier_ref: str
    late: int | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """It will not be sent."""

    sid: str
    code: int


@dataclass(frozen=True, slots=True)
class Returned:
    """Nothing was taken: it waits in its lane again. `why` says what the carrier was, where it was asked."""

    sid: str
    why: Kind = Kind.RETURNED


@dataclass(frozen=True, slots=True)
class Doubted:
    """Nobody knows whether the carrier has it; `again`: it waits in its lane to be handed over with the same key."""

    sid: str
    again: bool = False


Result = Handed | Failed | Returned | Doubted


class ReceiptNews(msgspec.Struct, frozen=True):
    """What a carrier said about a message: by its id there, or by our SID where the carrier repeats it.

    ACCEPT, REFUSE and RETURN (not taken for now) are answers that came too late for their submission: they end a doubt.
    """

    connection: str
    carrier_ref: str
    event: Event
    error_code: int | None = None
    sid: str | None = None


class CallbackRow(msgspec.Struct, frozen=True, array_like=True):
    """A call to a customer that is due."""

    due_at: Instant
    id: str
    account_sid: str
    message_sid: str
    status: Status
    url: str
    attempts: int
    first_at: Instant
    sender: str | None
    recipient: str
    service_sid: str | None
    error_code: int | None


class Settled(NamedTuple):
    """What became of a call: done, or to be tried again at `retry_at`; and the attempt, to be kept."""

    due_at: Instant
    id: str
    retry_at: Instant | None
    first_at: Instant | None = None  # when its first attempt began
    made: Called | None = None


class MediaRow(msgspec.Struct, frozen=True, array_like=True):
    """A stored medium of a message, without its bytes."""

    sid: str
    message_sid: str
    account_sid: str
    content_type: str
    digest: str
    size: int
    created_at: Instant


@dataclass(frozen=True, slots=True)
class Amendment:
    """A change to a message that is not a move: redaction of the body, or the recipient's feedback."""

    redact: bool = False
    feedback: str | None = None


@dataclass(frozen=True, slots=True)
class Reschedule:
    """A new time for a scheduled message."""

    send_at: Instant
    expires_at: Instant


class OptOutChange(NamedTuple):
    """A recipient's STOP (`opted_out`) or START towards a scope."""

    account_sid: str
    scope: str
    recipient: str
    bucket: int
    opted_out: bool


def opt_outs_of(message: Message) -> list[OptOutChange]:
    """Return what a handset's message changes: a STOP or a START to the service and to the number by itself."""
    word = keyword(message.body)
    if word not in (Keyword.STOP, Keyword.START):
        return []
    scopes = filter(None, (message.service_sid, message.recipient))
    stopped = word is Keyword.STOP
    return [OptOutChange(message.account_sid, scope, message.sender or "", message.bucket, stopped) for scope in scopes]


class Source(NamedTuple):
    """Where a message from a handset came in; `place` of `total` parts that `ref` joins.

    What has the same `carrier_ref` as another before is not added again.
    """

    connection: str
    carrier_ref: str | None = None
    ref: int = 0
    total: int = 1
    place: int = 1


class AuditRow(msgspec.Struct, frozen=True, array_like=True):
    """Who did what for an account: `deed` is `screen.action`, `outcome` 0 or the error code it was rejected with."""

    account_sid: str
    at: Instant
    sid: str
    actor_sid: str
    actor_name: str
    deed: str
    subject: str
    detail: str
    address: str
    outcome: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditQuery:
    """A page of an account's audit log, newest first, older than `before`; `deed` is how the deeds begin."""

    account_sid: str
    actor_sid: str | None = None
    deed: str | None = None
    before: Cursor | None = None
    limit: int = 50


Decide = Callable[[Due], Decision]


class Store(Protocol):
    """Durable messages, timers, outbox and configuration."""

    async def open(self) -> None:
        """Open, migrate and lock the store; StoreUnavailable says why it cannot be."""

    async def close(self) -> None:
        """Finish what is under way and close."""

    async def add(self, new: Sequence[New], at: Instant) -> list[AddResult]:
        """Add messages with their timers: one result each, in order."""

    async def cancel(self, account_sid: str, sids: Sequence[str], at: Instant) -> list[Message | None]:
        """Cancel the scheduled ones among `sids`; return each message as it is now, None where there is none."""

    async def reschedule(self, account_sid: str, sid: str, change: Reschedule, at: Instant) -> Message | None:
        """Move a scheduled message; return it as it is now (unmoved if no longer scheduled)."""

    async def due(self, after: Cursor, before: Instant, limit: int) -> list[Cursor]:
        """Return timers after `after` and before `before`, in order."""

    async def dispatch(self, sids: Sequence[str], decide: Decide, at: Instant, ahead: int = 0) -> list[Dispatched]:
        """Read, decide and write those of `sids` that are due within `ahead` microseconds of `at`.

        Those decided before come back as they are. A message that was moved to a later time is not due: an old timer
        of it changes nothing.
        """

    async def claim(
        self,
        sids: Sequence[str],
        run: str,
        free_at: Sequence[tuple[str, Instant]],
        at: Instant,
        may_send: Callable[[str], bool] = lambda account_sid: True,
    ) -> list[Message]:
        """Claim hand-offs for `run` and keep when each sender is free again; return the messages that were won.

        What its recipient has opted out of since it was decided fails with 21610, what its account may not send any
        more with 30002; is it in doubt, it stays so. `may_send` is asked in the transaction, maybe on another thread.
        """

    async def record(self, results: Sequence[Result], run: str, at: Instant) -> None:
        """Record outcomes of claims that `run` still holds; a stale one changes nothing."""

    async def lanes(self) -> dict[str, Instant]:
        """Return when each sender is free, as last kept by a claim."""

    async def apply_receipts(self, news: Sequence[ReceiptNews], at: Instant) -> list[Cursor]:
        """Move messages forward; what matches no message yet is kept until its answer comes. Return what goes again."""

    async def add_inbound(
        self,
        messages: Sequence[Message],
        changes: Sequence[OptOutChange],
        at: Instant,
        sources: Sequence[Source] = (),
    ) -> None:
        """Add inbound messages and the opt-outs they express; one source for each message, or none at all.

        A part of a long message is kept until all parts are there, and they become one message.
        """

    async def due_callbacks(
        self, before: Instant, busy: Sequence[str], limit: int, since: Instant = EPOCH
    ) -> list[CallbackRow]:
        """Return calls due before `before` and not before `since`, oldest first; none to URLs that begin as `busy`."""

    async def settle_callbacks(self, settled: Sequence[Settled]) -> None:
        """Remove calls that are done and move those to be tried again."""

    async def message(self, account_sid: str, sid: str) -> Message | None:
        """Return one message of an account."""

    async def messages(self, query: MessageQuery) -> list[Message]:
        """Return a page of messages, however far it has to look."""

    async def search(self, query: MessageQuery | AgendaQuery) -> Found:
        """Return a page of messages soon: what was found by then, and where to go on."""

    async def trail(self, account_sid: str, sid: str) -> str | None:
        """Return where a message has been, for `core.trail.steps`."""

    async def overview(self, account_sid: str, at: Instant, since: Instant, bounds: Sequence[Instant] = ()) -> Overview:
        """Return how an account stands at `at`: tallies from the hour of `since` on, and what is due between bounds."""

    async def calls_made(self, query: CallQuery) -> list[Called]:
        """Return a page of calls that were made."""

    async def resolve(self, account_sid: str, sid: str, verdict: Verdict, at: Instant) -> tuple[Message | None, bool]:
        """Do as a person says with a message in doubt; return it as it is now, and whether it was in doubt before."""

    async def amend(self, account_sid: str, sid: str, change: Amendment, at: Instant) -> Message | None:
        """Redact a body or keep feedback; return the message as it is now."""

    async def delete(self, account_sid: str, sid: str) -> bool:
        """Delete a final message with its media; False where it is missing or not final."""

    async def add_media(self, rows: Sequence[MediaRow], bodies: Sequence[bytes]) -> None:
        """Keep fetched media of a message, each body once by its digest."""

    async def media(self, message_sid: str) -> list[MediaRow]:
        """Return the stored media of a message, in the order they were given."""

    async def medium(self, sid: str) -> tuple[MediaRow, bytes] | None:
        """Return one medium with its bytes."""

    async def put(self, resource: Resource) -> None:
        """Add or replace a resource; AlreadyExists where another has its unique key."""

    async def remove(self, sid: str) -> None:
        """Remove a resource, or a medium, and what depends on it alone (sticky choices, bytes no other medium has)."""

    async def resources(self) -> list[Resource]:
        """Return every resource."""

    async def add_audit(self, rows: Sequence[AuditRow]) -> None:
        """Keep entries of the audit log; they are never changed."""

    async def audit(self, query: AuditQuery) -> list[AuditRow]:
        """Return a page of the audit log."""

    async def prune(self, before: Instant, unjoined_before: Instant = EPOCH, counted_before: Instant = EPOCH) -> None:
        """Forget parked receipts, idempotency keys, ids of inbound messages and calls made from before `before`.

        Of long messages whose first part came before `unjoined_before` what is there becomes a message. Counts are
        forgotten from before `counted_before`.
        """
