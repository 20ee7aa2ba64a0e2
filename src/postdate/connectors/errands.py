"""Submissions on their way, one piece of work for each: what the connectors that know no batches share.

Each is carried by a function that the connector gives, at most `in_flight` at once and none before its `not_before`.
What has not been begun when nobody asks for it any more, or when the connection closes, never leaves. No task waits
for its turn: there is one for each that is under way.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final

from postdate.clock import Clock, Timer
from postdate.connectors.contract import Condition, State, Submission
from postdate.core.instant import Instant, Monotonic
from postdate.core.outcome import Accepted, InDoubt, Outcome, Unreachable

CLOSED: Final = "the connection is closed"


@dataclass(slots=True, eq=False)
class Errand:
    """One submission and how far it has come; `left` from when bytes of it may be with somebody."""

    submission: Submission
    answers: asyncio.Queue[tuple[Submission, Outcome]]
    begun: bool = False
    left: bool = False
    settled: bool = False
    outcome: Outcome | None = None

    def broke_off(self, why: str) -> None:
        """Conclude from how far it had come, unless an answer has already said what happened."""
        if self.outcome is None:
            self.outcome = InDoubt(why) if self.left else Unreachable(why)


Carry = Callable[[Errand], Awaitable[None]]


class Errands:
    """The line of submissions of one connection; see the module for who goes when."""

    def __init__(self, clock: Clock, in_flight: int, carry: Carry) -> None:
        """Give each to `carry`, which sets its outcome or has it concluded from `left`; it raises nothing."""
        self._clock = clock
        self._in_flight = in_flight
        self._carry = carry
        self._open = False
        self._ready: deque[Errand] = deque()
        self._early: list[tuple[Instant, int, Errand]] = []
        self._order = itertools.count()
        self._timer: Timer | None = None
        self._workers: set[asyncio.Task[None]] = set()
        self._unsettled = 0
        self._all_settled = asyncio.Event()
        self._all_settled.set()

    @property
    def idle(self) -> bool:
        """Say whether nothing is under way or about to be; what waits for its `not_before` does not count."""
        return not self._workers and not self._ready

    def open(self) -> None:
        """Begin to carry."""
        self._open = True

    async def submit(self, batch: Sequence[Submission]) -> AsyncIterator[tuple[Submission, Outcome]]:
        """Hand over a batch; yield an outcome for each. What was not begun when nobody asks any more never leaves."""
        answers: asyncio.Queue[tuple[Submission, Outcome]] = asyncio.Queue()
        errands = [Errand(submission, answers) for submission in batch]
        if errands:
            self._unsettled += len(errands)
            self._all_settled.clear()
            self._put_in_line(errands)
        try:
            for _ in errands:
                yield await answers.get()
        finally:
            self._call_off([errand for errand in errands if not errand.begun], "it was called off before it left")

    async def drain(self) -> None:
        """Return when nothing that was submitted is without an outcome."""
        await self._all_settled.wait()

    async def close(self) -> None:
        """Stop; what may have left ends as InDoubt, all else as Unreachable. Submissions after it are Unreachable."""
        self._open = False
        if self._timer is not None:
            self._timer.cancel()
        waiting = [*self._ready, *(errand for _, _, errand in self._early)]
        self._ready.clear()
        self._early.clear()
        self._call_off(waiting, CLOSED)
        workers = tuple(self._workers)
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    def _put_in_line(self, errands: Sequence[Errand]) -> None:
        if not self._open:
            self._call_off(errands, CLOSED)
            return
        self._ready.extend(errands)
        self._staff(len(errands))

    def _staff(self, wanted: int) -> None:
        if not self._open:
            return
        for _ in range(min(wanted, self._in_flight - len(self._workers))):
            worker = asyncio.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._part_with)

    def _part_with(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        # What came in line after it had looked, or was left by a fault of ours, which asyncio reports.
        self._staff(min(len(self._ready), 1))

    async def _work(self) -> None:
        while self._ready:
            errand = self._ready.popleft()
            if errand.settled:
                continue
            if errand.submission.not_before > self._clock.now():
                self._put_off(errand)
                continue
            errand.begun = True
            try:
                await self._carry(errand)
            except asyncio.CancelledError:
                errand.broke_off(CLOSED)
                raise
            finally:
                errand.broke_off("the connector failed; the log says where")
                self._settle(errand)

    def _put_off(self, errand: Errand) -> None:
        heappush(self._early, (errand.submission.not_before, next(self._order), errand))
        if self._early[0][2] is errand:
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._early:
            wait = max(self._early[0][0] - self._clock.now(), 0)
            wait = wait if self._clock.longest_wait is None else min(wait, self._clock.longest_wait)
            self._timer = self._clock.call_at(Monotonic(self._clock.monotonic() + wait), self._ring)

    def _ring(self) -> None:
        due = []
        while self._early and self._early[0][0] <= self._clock.now():
            due.append(heappop(self._early)[2])
        self._put_in_line(due)
        self._arm()

    def _call_off(self, errands: Iterable[Errand], why: str) -> None:
        for errand in errands:
            errand.broke_off(why)
            self._settle(errand)

    def _settle(self, errand: Errand) -> None:
        if errand.settled:
            return
        assert errand.outcome is not None
        errand.settled = True
        errand.answers.put_nowait((errand.submission, errand.outcome))
        self._unsettled -= 1
        if not self._unsettled:
            self._all_settled.set()


def show(condition: Condition, outcome: Outcome, at: Instant) -> None:
    """Keep a condition by an outcome: whether the carrier can be reached, and what last went wrong."""
    if condition.state is not State.CLOSED:
        condition.state = State.FAILING if isinstance(outcome, Unreachable) else State.READY
    if not isinstance(outcome, Accepted) and outcome.detail:
        condition.last_error = outcome.detail
        condition.last_error_at = at
