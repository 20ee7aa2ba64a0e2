"""Puts outcomes on disk, many to a transaction, and never forgets one: where the store cannot, it tries again."""

import asyncio
from collections.abc import Callable

from postdate.clock import Clock
from postdate.core.instant import MILLISECOND, SECOND, Monotonic
from postdate.flow.alarm import Alarm
from postdate.store.contract import Result, Store, StoreError

MOST_IN_A_COMMIT = 1_024
GATHER = 5 * MILLISECOND  # outcomes are in no hurry: a few more share each transaction
_AFTER_TROUBLE = 1 * SECOND


class Recorder:
    """Collects results; `then` of each is called once it is on disk. Its own task runs only while there is work."""

    def __init__(self, store: Store, clock: Clock, run: str) -> None:
        self._store = store
        self._clock = clock
        self._run = run
        self._alarm = Alarm(clock)
        self._waiting: list[tuple[Result, Callable[[], None] | None]] = []
        self._catching_up: asyncio.Future[None] | None = None  # with what is the last put so far
        self._task: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Say whether nothing waits to be recorded, or only for the store to recover."""
        return self._task is None or self._alarm.idle

    def put(self, result: Result, then: Callable[[], None] | None = None) -> None:
        """Record a result soon."""
        self._waiting.append((result, then))
        self._catching_up = None
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._record())

    async def caught_up(self) -> None:
        """Return when everything put so far is on disk, whatever is put meanwhile."""
        if not self._waiting:
            return
        if self._catching_up is None:  # one for all who ask before the next is put: a carrier may answer in thousands
            self._catching_up = self._with_the_last()
        await asyncio.shield(self._catching_up)

    def _with_the_last(self) -> "asyncio.Future[None]":
        """Return what is done once the last result put so far is on disk."""
        known: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        result, then = self._waiting[-1]

        def tell() -> None:
            known.set_result(None)
            if then is not None:
                then()

        self._waiting[-1] = result, tell
        return known

    async def settled(self, seconds: float | None = None) -> None:
        """Return when everything put so far is on disk, or after `seconds`: what is not then is in doubt afterwards."""
        while self._task is not None:
            done, _ = await asyncio.wait([self._task], timeout=seconds)
            if not done and self._task is not None:
                self._task.cancel()
                await asyncio.wait([self._task])
                return

    async def _gather(self) -> None:
        # A clock that is moved by hand stands still meanwhile: there, nothing more would come.
        if len(self._waiting) < MOST_IN_A_COMMIT and self._clock.longest_wait is not None:
            await self._alarm.wait(Monotonic(self._clock.monotonic() + GATHER))

    async def _record(self) -> None:
        try:
            while self._waiting:
                await self._gather()
                batch = [result for result, _ in self._waiting[:MOST_IN_A_COMMIT]]
                try:
                    await self._store.record(batch, self._run, self._clock.now())
                except StoreError:
                    await self._alarm.wait(Monotonic(self._clock.monotonic() + _AFTER_TROUBLE))
                    continue
                recorded = self._waiting[: len(batch)]
                del self._waiting[: len(batch)]
                for _, then in recorded:
                    if then is not None:
                        then()
        finally:
            self._task = None
