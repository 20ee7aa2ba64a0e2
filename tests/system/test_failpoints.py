"""The node dies before, within and after the commit of each method of its store that writes, and keeps its promises.

One life after another, each with the next failpoint and a small story of its own, on the same data: what a life leaves
half done the next one takes up, and dies in that. The last one has no failpoint and finishes.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pytest

from postdate.clock import SystemClock
from postdate.core.instant import MILLISECOND, Instant
from tests.system.customer import Wish, recipient, until, wish
from tests.system.history import End
from tests.system.node_process import METHODS, MOMENTS
from tests.system.trial import FREE, Trial, check, trying

CALLS = (1, 2, 3)
DUE_IN = 120 * MILLISECOND
# A life that has not met its failpoint by then will not: its story is over. What must be met and was not, because the
# machine is slow, is met by a life that has longer.
OVER_IN = 700 * MILLISECOND
LONGER = (3 * OVER_IN, 10 * OVER_IN)
FIRST_START = [f"put:1:{moment}" for moment in MOMENTS]
POINTS = [f"{method}:{call}:{moment}" for method, call, moment in product(METHODS, CALLS, MOMENTS) if method != "put"]


class Stories:
    """The customer's part of each life."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._clock = SystemClock()
        self._number = 0
        self.under_way: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        """Begin one more: two are due together, two at once, one is canceled; one after the other."""
        self.under_way.append(asyncio.create_task(self._tell()))

    async def _tell(self) -> None:
        now = self._clock.now()
        service = {"MessagingServiceSid": self._trial.service}
        together = Instant(now + DUE_IN)
        for source, send_at in ((service, together), (service, together), ({"From": FREE[0]}, None), (service, None)):
            await self._trial.have(self._wish(source, send_at))
        for send_at in (together, Instant(now + 4 * DUE_IN), Instant(now + 4 * DUE_IN)):
            sid = await self._trial.have(self._wish(service, send_at))
            if sid is not None:
                await self._trial.cancel(sid, tries=3)
                await self._trial.customer.read(sid)

    def _wish(self, source: dict[str, str], send_at: Instant | None) -> Wish:
        self._number += 1
        number, senders = self._number, FREE if send_at or "From" not in source else (source["From"],)
        made = wish(number, recipient(number), source, senders, self._trial.url, send_at, key=f"key-{number}")
        self._trial.diary.orders.append(made.order)
        return made


async def die_at(trial: Trial, failpoint: str, stories: Stories | None, over_in: int = OVER_IN) -> bool:
    """Live until the failpoint, or until it is clear that it is not met; say whether it was."""
    life = await trial.nursery.begin(failpoint)
    if await trial.nursery.ready(life) and stories is not None:
        stories.begin()
        over = asyncio.create_task(until(Instant(SystemClock().now() + over_in)))
        ended = asyncio.create_task(trial.nursery.ended(life))
        await asyncio.wait((over, ended), return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        await asyncio.wait((over,))
        met = ended.done()
        await trial.kill(life)
        await ended
        return met
    met = life.ended_at is not None
    await trial.kill(life)
    return met


def must_be_met(point: str) -> bool:
    """Say whether a failpoint is at the first call of its method: in each story every method is called."""
    return ":1:" in point


def enough(met: Sequence[str]) -> bool:
    """Say whether as many failpoints were met as prove something."""
    return len(met) > 0.8 * len(POINTS)


@pytest.mark.timeout(600)
async def test_death_at_any_commit_breaks_no_promise(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)
    points = random.Random(seed).sample(POINTS, len(POINTS))
    met: list[str] = []
    async with trying(tmp_path, "hold", seed) as trial:
        met += [point for point in FIRST_START if await die_at(trial, point, None)]
        await trial.configure()
        stories = Stories(trial)
        met += [point for point in points if await die_at(trial, point, stories)]
        for over_in, point in product(LONGER, points):
            if (
                point not in met
                and (must_be_met(point) or not enough(met))
                and await die_at(trial, point, stories, over_in)
            ):
                met.append(point)
        last = await trial.nursery.begin()
        assert await trial.nursery.ready(last), trial.nursery.errors()
        await asyncio.gather(*stories.under_way)
        history = await trial.finish(last)
    missed = sorted({*FIRST_START, *POINTS} - set(met))
    print(f"{len(met)} failpoints met, not met: {missed}; {dict(Counter(k.status.value for k in history.kept))}")
    check(trial, history)
    assert set(filter(must_be_met, (*FIRST_START, *POINTS))) <= set(met)
    assert enough(met)
    assert sum(life.end is End.KILLED for life in history.lives) >= len(POINTS)
