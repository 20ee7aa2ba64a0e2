"""Every store: whole lives of a few messages, drawn by hypothesis, against a model of plain dictionaries.

After every step the status, claim and due time of each message and all timers are compared. Time often stands still
between two steps, as it does under a test clock, so that nothing may hang on instants being different.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from postdate.core.claim import run_of
from postdate.core.decision import Assign, Decision, Fetch, Hold, Refuse
from postdate.core.instant import HOUR, Instant
from postdate.core.message import PENDING, Event, Message, Status, advance
from postdate.store.contract import (
    Added,
    Cursor,
    Doubted,
    Due,
    Failed,
    Handed,
    MessageQuery,
    NotAdded,
    ReceiptNews,
    Reschedule,
    Result,
    Returned,
    Store,
)
from tests.store.building import (
    ACCOUNT,
    CONNECTION,
    OTHER_RUN,
    RECEIPTS,
    RUN,
    SEND_AT,
    SERVICE,
    STORES,
    a_message,
    a_sender,
    later,
    new,
    ref_of,
    sid_of,
    timers,
)

T = TypeVar("T")

CAP = 3
MESSAGES = 4

picks = st.integers(0, MESSAGES - 1)
some = st.sets(picks, min_size=1).map(sorted)  # many at a time, so that lives go on within few steps
runs = st.sampled_from([RUN, OTHER_RUN])
decisions = st.sampled_from(["assign", "hold", "fetch", "refuse"])
outcomes = st.sampled_from(["handed", "failed", "returned", "doubted"])
ways = st.sampled_from(["our SID", "the carrier's id"])


@dataclass
class Life:
    """What the model knows of a message."""

    status: Status
    is_direct: bool = False  # without a service: it begins as queued and is decided about from there
    due_at: Instant = SEND_AT
    claim: str | None = None
    in_doubt: bool = False
    attempts: int = 0

    def move(self, event: Event) -> bool:
        """Apply an event; say whether it changed anything."""
        moved = advance(self.status, event)
        if moved is not None:
            self.status = moved
        return moved is not None

    @property
    def is_undecided(self) -> bool:
        return self.status in PENDING or (self.status is Status.QUEUED and self.is_direct)

    @property
    def waits_in_lane(self) -> bool:
        return self.status is Status.QUEUED or (
            self.status is Status.SENDING and self.claim is None and not self.in_doubt
        )

    @property
    def is_timed(self) -> bool:
        waiting = self.status in (Status.ACCEPTED, Status.SCHEDULED, Status.QUEUED, Status.SENDING)
        return waiting and not self.in_doubt

    def seen(self) -> tuple[Status, str | None, bool, Instant, int]:
        return self.status, self.claim, self.in_doubt, self.due_at, self.attempts


@dataclass
class Model:
    """All that should be in the store."""

    lives: dict[str, Life] = field(default_factory=dict)
    refs: set[str] = field(default_factory=set)
    parked: dict[str, list[Event]] = field(default_factory=dict)

    def scheduled(self) -> int:
        return sum(life.status is Status.SCHEDULED for life in self.lives.values())

    def receive(self, sid: str, event: Event) -> None:
        life = self.lives[sid]
        if life.move(event):
            life.in_doubt = False

    def hand_over(self, sid: str) -> None:
        life = self.lives[sid]
        life.move(Event.ACCEPT)
        life.claim, life.in_doubt = None, False
        self.refs.add(sid)
        for event in self.parked.pop(sid, []):
            self.receive(sid, event)

    def record(self, kind: str, sid: str, run: str) -> None:
        life = self.lives.get(sid)
        if life is None:
            return
        overtaken = life.status in (Status.DELIVERED, Status.UNDELIVERED, Status.READ)
        mine = run_of(life.claim) == run
        held = mine and life.status is Status.SENDING
        if kind == "handed" and (held or (overtaken and mine)):
            self.hand_over(sid)
        elif kind == "failed" and (held or life.waits_in_lane):
            life.move(Event.REFUSE)
            life.claim, life.in_doubt = None, False
        elif kind == "returned" and held and not life.in_doubt:
            life.claim = None
        elif kind == "doubted" and held:
            life.in_doubt, life.claim = True, f"-{run}"


def result(kind: str, sid: str) -> Result:
    """Return the outcome of that kind."""
    match kind:
        case "handed":
            return Handed(sid, CONNECTION, ref_of(sid))
        case "failed":
            return Failed(sid, 30008)
        case "returned":
            return Returned(sid)
        case _:
            return Doubted(sid)


class Lives(RuleBasedStateMachine):
    """Messages of one account and two runs that hand them over."""

    kind = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = TemporaryDirectory()
        self.store: Store = STORES[self.kind](Path(self.folder.name), lambda rows: None)
        self.model = Model()
        self.at = SEND_AT

    def do(self, work: Coroutine[None, None, T]) -> T:
        return self.runner.run(work)

    @initialize()
    def open(self) -> None:
        self.do(self.store.open())
        for number in range(CAP):
            self.add(number, Status.SCHEDULED)

    def teardown(self) -> None:
        self.do(self.store.close())
        self.runner.close()
        self.folder.cleanup()

    @rule(seconds=st.integers(1, 60))
    def time_passes(self, seconds: int) -> None:
        self.at = Instant(self.at + seconds)

    @rule(number=picks, status=st.sampled_from([Status.SCHEDULED, Status.ACCEPTED, Status.QUEUED]))
    @precondition(lambda self: len(self.model.lives) < MESSAGES)
    def add(self, number: int, status: Status) -> None:
        is_direct = status is Status.QUEUED
        message = a_message(number, status=status, service_sid=None if is_direct else SERVICE)
        if message.sid in self.model.lives:
            return
        full = status is Status.SCHEDULED and self.model.scheduled() >= CAP
        added = self.do(self.store.add([new(message, CAP)], self.at))
        assert added == [NotAdded(35125) if full else Added()]
        if not full:
            self.model.lives[message.sid] = Life(status, is_direct)

    @rule(numbers=some)
    def cancel(self, numbers: list[int]) -> None:
        sids = [sid_of(n) for n in numbers]
        found = self.do(self.store.cancel(ACCOUNT, sids, self.at))
        for sid in sids:
            if sid in self.model.lives:
                self.model.lives[sid].move(Event.CANCEL)
        expected = [self.model.lives[sid].status if sid in self.model.lives else None for sid in sids]
        assert [m and m.status for m in found] == expected

    @rule(number=picks, minutes=st.integers(-5, 5))
    def reschedule(self, number: int, minutes: int) -> None:
        send_at = later(60 * minutes)
        found = self.do(
            self.store.reschedule(ACCOUNT, sid_of(number), Reschedule(send_at, Instant(send_at + HOUR)), self.at)
        )
        life = self.model.lives.get(sid_of(number))
        assert (found is None) is (life is None)
        if life is not None and life.status is Status.SCHEDULED:
            life.due_at = send_at

    @rule(numbers=some, kind=decisions)
    def dispatch(self, numbers: list[int], kind: str) -> None:
        lives = {sid_of(n): self.model.lives[sid_of(n)] for n in numbers if sid_of(n) in self.model.lives}
        until = Instant(self.at + HOUR)
        self.at = max([self.at, *(life.due_at for life in lives.values())])  # all of them are due
        known: dict[str, Decision] = {
            "assign": Assign(a_sender(), 1),
            "hold": Hold(until, "quiet hours"),
            "fetch": Fetch(),
            "refuse": Refuse(30036),
        }
        decision = known[kind]
        asked: set[str] = set()

        def decide(due: Due) -> Decision:
            asked.add(due.message.sid)
            return decision

        found = self.do(self.store.dispatch([sid_of(n) for n in numbers], decide, self.at))
        assert asked == {sid for sid, life in lives.items() if life.is_undecided}
        decided_before = {sid for sid, life in lives.items() if life.status in (Status.QUEUED, Status.SENDING)} - asked
        assert {d.message.sid for d in found if d.decision is None} == decided_before
        for sid in asked:
            if kind == "hold":
                lives[sid].due_at = until
            elif kind != "fetch":
                lives[sid].move(Event.ASSIGN if kind == "assign" else Event.REFUSE)

    @rule(numbers=some, run=runs)
    def claim(self, numbers: list[int], run: str) -> None:
        sids = [sid_of(n) for n in numbers]
        won = self.do(self.store.claim(sids, run, [], self.at))
        expected = {sid for sid in sids if sid in self.model.lives and self.model.lives[sid].waits_in_lane}
        assert {m.sid for m in won} == expected
        for sid in expected:
            life = self.model.lives[sid]
            life.move(Event.CLAIM)
            life.claim, life.attempts = run, life.attempts + 1

    @rule(drawn=st.lists(st.tuples(picks, outcomes), min_size=1, max_size=3, unique_by=lambda x: x[0]), run=runs)
    def record(self, drawn: list[tuple[int, str]], run: str) -> None:
        self.do(self.store.record([result(kind, sid_of(n)) for n, kind in drawn], run, self.at))
        for n, kind in drawn:
            self.model.record(kind, sid_of(n), run)

    @rule(drawn=st.lists(st.tuples(picks, st.sampled_from(RECEIPTS), ways), min_size=1, max_size=3))
    def receipts(self, drawn: list[tuple[int, Event, str]]) -> None:
        named = [(sid_of(n), event, way == "our SID") for n, event, way in drawn]
        news = [ReceiptNews(CONNECTION, ref_of(s), event, None, s if by_sid else None) for s, event, by_sid in named]
        self.do(self.store.apply_receipts(news, self.at))
        for sid, event, by_sid in named:
            if sid in self.model.refs or (by_sid and sid in self.model.lives):
                self.model.receive(sid, event)
            elif not by_sid:
                self.model.parked.setdefault(sid, []).append(event)

    @invariant()
    def the_store_agrees(self) -> None:
        found: list[Message] = self.do(self.store.messages(MessageQuery(account_sid=ACCOUNT, limit=100)))
        seen = {m.sid: (m.status, m.claim, m.doubt_at is not None, m.due_at, m.attempts) for m in found}
        assert seen == {sid: life.seen() for sid, life in self.model.lives.items()}
        timed = sorted(Cursor(life.due_at, sid) for sid, life in self.model.lives.items() if life.is_timed)
        assert self.do(timers(self.store)) == timed


@pytest.mark.timeout(400)  # hypothesis takes up to five minutes to shrink what it finds
@pytest.mark.parametrize("kind", STORES)
def test_the_store_lives_as_the_model_does(kind: str) -> None:
    machine = type("Lives", (Lives,), {"kind": kind})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=40, stateful_step_count=50, report_multiple_bugs=False)
    )
