"""Asks carriers about messages in doubt, where the connection's policy is `query` and its carrier can be asked.

A few times, further and further apart. The carrier has it: it was handed over. It has it not, and says so twice, a
minute and more after the doubt: it goes again, and stays in doubt until that attempt is answered; a carrier that was
slow may know it by then. Nobody knows: it stays in doubt and is left alone. The message is on disk as one in doubt that
may be handed over again, so that a crash or a stop forgets nothing: the next run asks again.
"""

import asyncio
from collections.abc import Callable
from typing import Final, assert_never

import msgspec
import structlog

from postdate.clock import Clock
from postdate.connectors.contract import Asks, Submission
from postdate.core.instant import MINUTE, SECOND, Monotonic
from postdate.core.message import Message
from postdate.core.outcome import Accepted, InDoubt, Unreachable
from postdate.flow.alarm import Alarm
from postdate.flow.open_connection import OpenConnection
from postdate.store.contract import Doubted, Handed, Result, Store, StoreError

ASK_AFTER: Final = (2 * SECOND, 10 * SECOND, 1 * MINUTE, 5 * MINUTE, 15 * MINUTE)
BELIEVED_AFTER: Final = 1 * MINUTE  # since the doubt: a carrier that has it not any earlier may only be slow
MOST_AT_ONCE: Final = 16
ANSWER_SECONDS: Final = 30.0
_AFTER_TROUBLE: Final = 1 * SECOND
_NOBODY: Final = ""  # the run that has what waits in doubt

_log = structlog.get_logger("postdate.inquiries")


class Inquiries:
    """One short task for each message in doubt that is asked about; there are few, or something is very wrong."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._alarms: dict[str, Alarm] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(MOST_AT_ONCE)
        self._stopping = False
        self.again: Callable[[Message], None] = lambda message: None  # told what goes again
        self.find: Callable[[str], OpenConnection | None] = lambda identity: None

    def begin(self, message: Message, submission: Submission, identity: str) -> None:
        """Ask the connection of this identity about a message that is on disk as one in doubt, with nobody's claim."""
        if self._stopping or message.sid in self._tasks:
            return
        self._alarms[message.sid] = Alarm(self._clock)
        task = asyncio.get_running_loop().create_task(self._settle(message, submission, identity))
        self._tasks[message.sid] = task
        task.add_done_callback(lambda _: self._ended(message.sid))

    @property
    def idle(self) -> bool:
        """Say whether all that is asked about waits for its next question."""
        return all(alarm.idle for alarm in self._alarms.values())

    async def stop(self) -> None:
        """Ask no more; what is unknown is asked about at the next start."""
        self._stopping = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, sid: str) -> None:
        self._alarms.pop(sid, None)
        task = self._tasks.pop(sid)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a question about a message in doubt failed: it stays in doubt", sid=sid, error=repr(error))

    async def _settle(self, message: Message, submission: Submission, identity: str) -> None:
        verdict: Accepted | Unreachable | InDoubt = InDoubt()
        try:
            verdict = await self._ask(message, submission, identity)
        finally:
            if not self._stopping:
                await self._conclude(message, verdict, identity)

    async def _ask(self, message: Message, submission: Submission, identity: str) -> Accepted | Unreachable | InDoubt:
        """Return what the carrier says in the end."""
        began, absent = self._clock.monotonic(), 0
        for wait in ASK_AFTER:
            await self._sleep(message.sid, wait)
            verdict = await self._question(submission, identity)
            absent = absent + 1 if isinstance(verdict, Unreachable) else 0
            believed = absent > 1 and self._clock.monotonic() - began >= BELIEVED_AFTER
            if isinstance(verdict, Accepted) or believed:
                return verdict
        return InDoubt()

    async def _question(self, submission: Submission, identity: str) -> Accepted | Unreachable | InDoubt:
        connection = self.find(identity)
        if connection is None or not isinstance(connection.connector, Asks):
            return InDoubt()
        async with self._places:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    return await connection.connector.ask(submission)
            except TimeoutError:
                return InDoubt()

    async def _conclude(self, message: Message, verdict: Accepted | Unreachable | InDoubt, identity: str) -> None:
        match verdict:
            case Accepted(carrier_ref):
                await self._record(message, Handed(message.sid, identity, carrier_ref))
            case Unreachable():
                self.again(msgspec.structs.replace(message, doubt_at=message.doubt_at or self._clock.now()))
            case InDoubt():
                await self._record(message, Doubted(message.sid))
            case _:
                assert_never(verdict)

    async def _sleep(self, sid: str, wait: int) -> None:
        until = self._clock.monotonic() + wait
        while self._clock.monotonic() < until:
            await self._alarms[sid].wait(Monotonic(until))

    async def _record(self, message: Message, result: Result) -> None:
        while True:
            try:
                await self._store.record([result], _NOBODY, self._clock.now())
                return
            except StoreError:
                await self._sleep(message.sid, _AFTER_TROUBLE)
