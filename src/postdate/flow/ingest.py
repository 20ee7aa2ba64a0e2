"""The first step: a command becomes a message on disk.

The 201 is answered when `accept` returns, and `accept` returns when the message is on disk. Requests that arrive while
the disk is busy share the next transaction. Cancel and reschedule live here too: they are what a customer asks of a
message before it is due.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from postdate.clock import Clock
from postdate.core.commands import Context, SendMessage, check_window, to_message, validity_of
from postdate.core.content import with_content
from postdate.core.doubt import Verdict
from postdate.core.errors import Rejected
from postdate.core.instant import Instant, ScheduleWindow
from postdate.core.message import Direction, Message, Status
from postdate.core.resources import Account, Application, Content, Sender, Service
from postdate.core.sid import CHANCE_BYTES
from postdate.flow.directory import Directory
from postdate.flow.group_commit import GroupCommit
from postdate.store.contract import Added, AddResult, Cursor, New, NotAdded, Repeated, Reschedule, Store, StoreError

MOST_IN_A_COMMIT = 512
_ANY_TIME = ScheduleWindow(0, None)
_DRAWN_AT_ONCE = 256  # SIDs: to ask the system for the chance of each is dear where threads wait for the interpreter
_replace = msgspec.structs.replace


class IngestRules:
    """The node's settings that accepting depends on."""

    __slots__ = ("scheduled_cap", "send_at_once_without_service", "window")

    def __init__(self, window: ScheduleWindow, scheduled_cap: int, send_at_once_without_service: bool) -> None:
        self.window = window
        self.scheduled_cap = scheduled_cap
        self.send_at_once_without_service = send_at_once_without_service


class Ingest:
    """Accepts commands. `notice` is told of every timer that came to be, once it is on disk."""

    def __init__(self, store: Store, directory: Directory, clock: Clock, rules: IngestRules) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock
        self._rules = rules
        self._adds: GroupCommit[New, AddResult] = GroupCommit(self._add, MOST_IN_A_COMMIT)
        self.notice: Callable[[Cursor], None] = lambda timer: None
        self.has_room: Callable[[Sender, int], bool] = lambda sender, segments: True
        self._chances = _chances()
        self._moving: set[asyncio.Task[Any]] = set()
        self.refusing: str | None = None  # why nothing new is accepted at present; set by housekeeping

    @property
    def idle(self) -> bool:
        """Say whether nothing is being added."""
        return self._adds.idle

    async def accept(self, account: Account, command: SendMessage) -> Message:
        """Return the message once it is on disk; raise Rejected where it cannot be."""
        return await self._accept(account, command, Direction.OUTBOUND_API)

    async def accept_reply(self, account: Account, command: SendMessage) -> Message:
        """Accept what a customer's server answered a message with that came in."""
        return await self._accept(account, command, Direction.OUTBOUND_REPLY)

    async def _accept(self, account: Account, command: SendMessage, direction: Direction) -> Message:
        if self.refusing is not None:
            raise Rejected(20503, self.refusing)
        message, refusal = self._make(account, command, direction)
        sender = self._directory.find(Sender, message.sender_sid)
        if message.service_sid is None and sender is not None and not self.has_room(sender, message.num_segments):
            refusal = Rejected(21611)
            if command.idempotency_key is None:
                raise refusal
        new = New(
            message,
            self._rules.scheduled_cap,
            command.idempotency_key,
            _fingerprint(command),
            refusal.code if refusal else None,
        )
        try:
            result = await self._adds.add(new)
        except StoreError as error:
            raise Rejected(20503, str(error)) from error
        match result:
            case Added():
                return message
            case Repeated(sid, same_request):
                return await self._first_answer(account, sid, same_request)
            case NotAdded(code):
                raise refusal or Rejected(code)

    async def _first_answer(self, account: Account, sid: str, same_request: bool) -> Message:
        if not same_request:
            raise Rejected(20409, "This Idempotency-Key came before with another request: use a new key.")
        first = await self._store.message(account.sid, sid)
        if first is None:
            raise Rejected(20404, f"The message {sid} made with this Idempotency-Key was deleted since.")
        return first

    async def _add(self, new: Sequence[New]) -> Sequence[AddResult]:
        results = await self._store.add(new, self._clock.now())
        for n, result in zip(new, results, strict=True):
            if isinstance(result, Added):  # here, since whoever asked may be gone by now
                self.notice(Cursor(n.message.due_at, n.message.sid))
        return results

    def _make(self, account: Account, command: SendMessage, direction: Direction) -> tuple[Message, Rejected | None]:
        """Return the message, and why it may not be added unless the same request came before: its time may have
        come too near only since then, or its content have changed."""
        refusal: Rejected | None = None
        if command.options.content_sid is not None:
            try:
                command = with_content(command, self._content(account, command.options.content_sid))
            except Rejected as error:
                if command.idempotency_key is None:
                    raise
                refusal = error
        context, at, chance = self._context(account, command, direction), self._clock.now(), next(self._chances)
        try:
            return to_message(command, context, at, chance), refusal
        except Rejected as error:
            if command.idempotency_key is None or error.code != 35114:
                raise
            # It is never added with this time: only its key is looked for.
            message = to_message(_replace(command, send_at=at), _replace(context, window=_ANY_TIME), at, chance)
            return message, refusal or error

    def _context(self, account: Account, command: SendMessage, direction: Direction) -> Context:
        service = self._directory.find(Service, command.service_sid)
        if service is not None and service.account_sid != account.sid:
            service = None
        application = self._directory.find(Application, command.options.application_sid)
        if application is not None and application.account_sid != account.sid:
            application = None
        sender = self._sender(account, command)
        return Context(
            account.sid, service, sender, application, self.window_of(service),
            self._rules.send_at_once_without_service, direction,
        )  # fmt: skip

    def _content(self, account: Account, sid: str) -> Content | None:
        content = self._directory.find(Content, sid)
        return content if content is not None and content.account_sid == account.sid else None

    def _sender(self, account: Account, command: SendMessage) -> Sender | None:
        if command.sender is None:
            return None
        return self._directory.sender_at(account.sid, command.sender, command.service_sid)

    def window_of(self, service: Service | None) -> ScheduleWindow:
        """Return the schedule window of a service, or the node's."""
        if service is not None and service.schedule_window:
            return ScheduleWindow.parse(service.schedule_window)
        return self._rules.window

    async def cancel(self, account: Account, sid: str) -> Message:
        """Return the canceled message; raise Rejected 30409 where it can no longer be, 20404 where there is none."""
        at = self._clock.now()
        (message,) = await self._store.cancel(account.sid, [sid], at)
        if message is None:
            raise Rejected(20404, f"The message {sid[:40]} was not found.")
        if message.status is not Status.CANCELED:
            raise Rejected(30409, f"The message cannot be canceled: it is {message.status}, not scheduled.")
        return message

    async def reschedule(self, account: Account, sid: str, send_at: Instant) -> Message:
        """Return the moved message; raise Rejected where it is no longer scheduled or the time is not allowed."""
        before = await self._store.message(account.sid, sid)
        if before is None:
            raise Rejected(20404, f"The message {sid[:40]} was not found.")
        at = self._clock.now()
        check_window(send_at, self.window_of(self._directory.find(Service, before.service_sid)), at)
        change = Reschedule(send_at, Instant(send_at + validity_of(before)))
        # Whoever asked may go away meanwhile; the scheduler must hear of the new time all the same.
        moving = asyncio.get_running_loop().create_task(self._move(account.sid, sid, change, at))
        self._moving.add(moving)
        moving.add_done_callback(self._moving.discard)
        after = await asyncio.shield(moving)
        if after is None or after.status is not Status.SCHEDULED:
            raise Rejected(20409, "The message cannot be rescheduled: it is no longer scheduled.")
        return after

    async def _move(self, account_sid: str, sid: str, change: Reschedule, at: Instant) -> Message | None:
        after = await self._store.reschedule(account_sid, sid, change, at)
        if after is not None and after.status is Status.SCHEDULED:
            self.notice(Cursor(after.due_at, after.sid))
        return after

    async def resolve(self, account: Account, sid: str, verdict: Verdict) -> Message:
        """Return a message that was in doubt as a person's word leaves it; raise Rejected 20409 where it is not."""
        # Whoever asked may go away meanwhile; what goes again must be heard of all the same.
        resolving = asyncio.get_running_loop().create_task(self._resolve(account.sid, sid, verdict))
        self._moving.add(resolving)
        resolving.add_done_callback(self._moving.discard)
        message, was_in_doubt = await asyncio.shield(resolving)
        if message is None:
            raise Rejected(20404, f"The message {sid[:40]} was not found.")
        if not was_in_doubt:
            again = "being handed over again just now" if message.doubt_at is not None else message.status
            raise Rejected(20409, f"The message cannot be resolved: it is {again}.")
        return message

    async def _resolve(self, account_sid: str, sid: str, verdict: Verdict) -> tuple[Message | None, bool]:
        message, was_in_doubt = await self._store.resolve(account_sid, sid, verdict, self._clock.now())
        if message is not None and was_in_doubt and verdict is Verdict.RETRY:
            self.notice(Cursor(message.due_at, message.sid))
        return message, was_in_doubt

    async def drain(self) -> None:
        """Return when everything accepted so far is on disk."""
        await self._adds.settled()
        if self._moving:
            await asyncio.wait(self._moving)


def _chances() -> Iterator[bytes]:
    """Yield the chance of one SID after the other."""
    while True:
        drawn = secrets.token_bytes(CHANCE_BYTES * _DRAWN_AT_ONCE)
        yield from (drawn[at : at + CHANCE_BYTES] for at in range(0, len(drawn), CHANCE_BYTES))


def _fingerprint(command: SendMessage) -> str:
    if command.idempotency_key is None:
        return ""
    return hashlib.sha256(msgspec.json.encode(command)).hexdigest()
