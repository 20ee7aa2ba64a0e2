"""Asks carriers about messages in doubt, where the connection's policy is `query` and its carrier can be asked.

A few times, further and further apart. The carrier has it: it was handed over. It has it not, for certain: it goes
again. Nobody knows: it stays in doubt. Meanwhile the claim stays as it is, so that a crash or a stop forgets nothing:
the next run asks again.
"""

import asyncio
from collections.abc import Callable
from typing import Final, assert_never

from postdate.clock import Clock
from postdate.connectors.contract import Asks, Submission
from postdate.core.instant import MINUTE, SECOND, Monotonic
from postdate.core.message import Message
from postdate.core.outcome import Accepted, InDoubt, Unreachable
from postdate.flow.alarm import Alarm
from postdate.flow.open_connection import OpenConnection
from postdate.store.contract import Doubted, Handed, Result, Returned, Store, StoreError

ASK_AFTER: Final = (2 * SECOND, 10 * SECOND, 1 * MINUTE, 5 * MINUTE, 15 * MINUTE)
MOST_AT_ONCE: Final = 16
_AFTER_TROUBLE: Final = 1 * SECOND


class Inquiries:
    """One short task for each message in doubt that is asked about; there are few, or something is very wrong."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._alarms: dict[asyncio.Task[None], Alarm] = {}
        self._places = asyncio.Semaphore(MOST_AT_ONCE)
        self._stopping = False
        self.again: Callable[[Message], None] = lambda message: None  # told what goes again

    def begin(self, message: Message, submission: Submission, connection: OpenConnection) -> None:
        """Ask about a message whose hand-off `message.claim` left without an outcome."""
        if self._stopping:
            return
        alarm = Alarm(self._clock)
        task = asyncio.get_running_loop().create_task(self._ask(message, submission, connection, alarm))
        self._alarms[task] = alarm
        task.add_done_callback(self._alarms.pop)

    @property
    def idle(self) -> bool:
        """Say whether all that is asked about waits for its next question."""
        return all(alarm.idle for alarm in self._alarms.values())

    async def stop(self) -> None:
        """Ask no more; what is unknown keeps its claim, and is asked about at the next start."""
        self._stopping = True
        tasks = list(self._alarms)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, message: Message, submission: Submission, connection: OpenConnection, alarm: Alarm) -> None:
        connector = connection.connector
        assert isinstance(connector, Asks)
        for wait in ASK_AFTER:
            await self._sleep(alarm, wait)
            async with self._places:
                verdict = await connector.ask(submission)
            match verdict:
                case Accepted(carrier_ref):
                    await self._record(alarm, message, Handed(message.sid, connection.name, carrier_ref))
                    return
                case Unreachable():
                    await self._record(alarm, message, Returned(message.sid))
                    self.again(message)
                    return
                case InDoubt():
                    pass
                case _:
                    assert_never(verdict)
        await self._record(alarm, message, Doubted(message.sid))

    async def _sleep(self, alarm: Alarm, wait: int) -> None:
        until = self._clock.monotonic() + wait
        while self._clock.monotonic() < until:
            await alarm.wait(Monotonic(until))

    async def _record(self, alarm: Alarm, message: Message, result: Result) -> None:
        while True:
            try:
                await self._store.record([result], message.claim or "", self._clock.now())
                return
            except StoreError:
                await self._sleep(alarm, _AFTER_TROUBLE)
