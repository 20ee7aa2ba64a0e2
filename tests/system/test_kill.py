"""`kill -9` again and again, at random moments of a burst, and all that was promised still holds.

A customer schedules, cancels, sends and reads without end; the node dies, is started at once, and dies again, sometimes
before it is ready. What came of it is checked against the log of a carrier that was not killed.
POSTDATE_KILL_SEED repeats a run as far as its chances go; POSTDATE_KILLS sets how often the node is killed. On a slow
machine a burst lasts longer: what dies before it could do anything proves nothing.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from postdate.clock import SystemClock
from postdate.core.instant import MILLISECOND, SECOND, Instant
from postdate.core.message import Status
from tests.system.customer import Wish, gathered, recipient, until, wish
from tests.system.history import Diary, End, History, Reply
from tests.system.trial import FREE, LONG, LONG_SEGMENTS, PACED, SLOW, Trial, check, trying

KILLS = int(os.environ.get("POSTDATE_KILLS", "54"))
BEFORE_READY = 0.15  # of the lives die before they answer requests, as often as not
BURST, LONGEST_BURST = 300 * MILLISECOND, 3 * SECOND
CREATED, CANCELED = 8, 0.5  # messages for each kill, at least, were created, and so many of them canceled
LONGEST_AHEAD = 1_500 * MILLISECOND


class Siege:
    """What the customer does in the lives of a node, by chance."""

    def __init__(self, trial: Trial, chance: random.Random) -> None:
        self._trial = trial
        self._chance = chance
        self._clock = SystemClock()
        self._number = 0
        self._known: list[str] = []
        self._span: int = BURST
        self.under_way: set[asyncio.Task[None]] = set()

    async def run(self, kills: int) -> None:
        """Kill the node so many times, and up to twice as often while that would prove nothing."""
        for number in range(2 * kills):
            if number >= kills and was_hard(self._trial.diary, kills):
                return
            life = await self._trial.nursery.begin()
            if self._chance.random() < BEFORE_READY:
                await until(Instant(life.began_at + self._within(BURST // 3)))
            else:
                assert await self._trial.nursery.ready(life), self._trial.nursery.errors()
                self.burst(number)
                await until(Instant(self._clock.now() + self._within(self._span)))
            await self._trial.kill(life)
            self._keep_up(number + 1)

    def _keep_up(self, lives: int) -> None:
        """Let bursts last longer while less was created or canceled than should be, a quarter more than needed."""
        created = sum(create.reply is Reply.OK for create in self._trial.diary.creates)
        canceled = sum(cancel.reply is Reply.OK for cancel in self._trial.diary.cancels)
        longer = created < 1.25 * CREATED * lives or canceled < 1.25 * CANCELED * lives
        self._span = min(self._span * 5 // 4, LONGEST_BURST) if longer else max(self._span * 4 // 5, BURST)

    def burst(self, number: int) -> None:
        """Begin to do much at once, each thing at its own moment."""
        now, ahead = self._clock.now(), LONGEST_AHEAD + 2 * (self._span - BURST)
        together = Instant(now + self._within(ahead))
        for _ in range(6):
            self._soon(self._free_wish(together))
        for _ in range(6):
            self._soon(self._free_wish(Instant(now + self._within(ahead))))
        for _ in range(3):
            self._soon(self._free_wish(None))
            self._soon(self._new_wish({"From": self._chance.choice(FREE)}, None))
        for _ in range(5):
            self._soon(self._new_wish({"MessagingServiceSid": self._trial.paced_service}, together))
        if number % 3 == 0:
            self._soon(self._new_wish({"From": SLOW}, None))
        for sid in self._known[-6:] + self._chance.sample(self._known, min(6, len(self._known))):
            self._begin(self._read(sid, Instant(now + self._within(self._span))))

    def _within(self, span: int) -> int:
        return self._chance.randrange(span)

    def _free_wish(self, send_at: Instant | None) -> Wish:
        return self._new_wish({"MessagingServiceSid": self._trial.service}, send_at)

    def _new_wish(self, source: dict[str, str], send_at: Instant | None) -> Wish:
        self._number += 1
        number, key = self._number, f"key-{self._number}" if self._chance.random() < 0.7 else None
        address = source.get("From")
        paced = source.get("MessagingServiceSid") == self._trial.paced_service
        senders = (address,) if address is not None else (PACED,) if paced else FREE
        body, segments = (LONG, LONG_SEGMENTS) if address == SLOW else ("", 1)
        made = wish(number, recipient(number), source, senders, self._trial.url, send_at, body, segments, key)
        self._trial.diary.orders.append(made.order)
        return made

    def _begin(self, doing: Coroutine[Any, Any, None]) -> None:
        self.under_way.add(asyncio.create_task(doing))

    def _soon(self, made: Wish) -> None:
        self._begin(self._create(made, Instant(self._clock.now() + self._within(self._span * 2 // 3))))

    # -- what is done ------------------------------------------------------------------------------------------------

    async def _create(self, made: Wish, at: Instant) -> None:
        """Ask for a message; cancel some around their time, and of these some again, which changes nothing."""
        await until(at)
        sid = await self._trial.have(made)
        if sid is None:
            return
        self._known.append(sid)
        if made.order.send_at is not None and self._chance.random() < 0.4:
            await until(Instant(made.order.send_at - self._chance.randrange(-50 * MILLISECOND, 450 * MILLISECOND)))
            for _ in range(self._chance.choice((1, 1, 1, 2))):
                await self._trial.cancel(sid, tries=self._chance.choice((1, 5)))

    async def _read(self, sid: str, at: Instant) -> None:
        await until(at)
        if self._trial.nursery.up.is_set():
            await self._trial.customer.read(sid)


async def besieged(folder: Path, doubt: str, kills: int) -> tuple[Trial, History]:
    """Return the history of a node that was killed so many times, and then left to finish."""
    seed = int(os.environ.get("POSTDATE_KILL_SEED") or random.SystemRandom().randrange(2**32))
    print(f"POSTDATE_KILL_SEED={seed}")
    chance = random.Random(seed)
    async with trying(folder, doubt, seed) as trial:
        for _ in range(3):  # before there is anything: the first start ever
            life = await trial.nursery.begin()
            await until(Instant(life.began_at + chance.randrange(BURST // 3)))
            await trial.kill(life)
        await trial.configure()
        siege = Siege(trial, chance)
        await siege.run(kills)
        last = await trial.nursery.begin()
        assert await trial.nursery.ready(last), trial.nursery.errors()
        await gathered(siege.under_way)
        return trial, await trial.finish(last)


def told_of(history: History) -> str:
    """Say in a few lines what the history holds."""
    creates, cancels = (Counter(c.reply.value for c in events) for events in (history.creates, history.cancels))
    late = sorted(recoveries(history))
    shown = f"median {late[len(late) // 2] / SECOND:.3f} s, longest {late[-1] / SECOND:.3f} s" if late else "none seen"
    return (
        f"{sum(life.end is End.KILLED for life in history.lives)} kills, policy {history.doubt}\n"
        f"creates {dict(creates)}, cancels {dict(cancels)}, {len(history.reads)} reads, {len(history.told)} callbacks\n"
        f"at the carrier {len(history.submissions)}, at the end {dict(Counter(k.status.value for k in history.kept))}, "
        f"in doubt {sum(kept.in_doubt for kept in history.kept)}\n"
        f"from readiness to the first hand-over: {shown}"
    )


def recoveries(history: History) -> list[int]:
    """Return how long after readiness each life handed over its first message, where it did at all."""
    return [
        min(times) - life.ready_at
        for life in history.lives
        if life.ready_at is not None
        and (times := [s.received_at for s in history.submissions if life.ready_at <= s.received_at <= life.ended_at])
    ]


def was_hard(noted: Diary | History, kills: int) -> bool:
    """Say whether enough was created and canceled, and some of it in the moment of a death or too late."""
    creates, cancels = (Counter(c.reply for c in events) for events in (noted.creates, noted.cancels))
    enough = creates[Reply.OK] > CREATED * kills and cancels[Reply.OK] > CANCELED * kills
    return enough and creates[Reply.UNKNOWN] > 0 and cancels[Reply.REFUSED] > 0


def check_it_was_hard(history: History, kills: int) -> None:
    """Fail where the node was hardly besieged: such a run proves nothing."""
    assert sum(life.end is End.KILLED for life in history.lives) >= kills
    assert was_hard(history, kills), told_of(history)
    assert len(history.submissions) > 6 * kills
    assert len(history.told) > 6 * kills
    assert {kept.status for kept in history.kept} <= {Status.DELIVERED, Status.CANCELED, Status.SENDING}


@pytest.mark.timeout(600)
async def test_kills_lose_double_hurry_and_uncancel_nothing(tmp_path: Path) -> None:
    trial, history = await besieged(tmp_path, "hold", KILLS)
    print(told_of(history))
    check(trial, history)
    check_it_was_hard(history, KILLS)
    assert {s.sender for s in history.submissions} == {*FREE, PACED, SLOW}
    # Some were claimed and never sent: held, and shown.
    assert any(kept.in_doubt for kept in history.kept)


@pytest.mark.timeout(600)
async def test_kills_with_a_carrier_that_knows_our_keys_lose_nothing_and_leave_no_doubt(tmp_path: Path) -> None:
    kills = KILLS // 3
    trial, history = await besieged(tmp_path, "retry", kills)
    print(told_of(history))
    check(trial, history)
    check_it_was_hard(history, kills)
    assert any(submission.attempt > 1 for submission in history.submissions)
