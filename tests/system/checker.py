"""Says what a history breaks of the promises: a pure function, `violations`, from a history to what is wrong in it.

It believes the carrier's log, the customer's calls and the store's last state; the node's own word only where it is
checked against these. It is tested itself, with histories made by hand (`test_checker.py`).
`python -m tests.system.checker FILE` checks a written history again and tells the stories of what is wrong.
"""

import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

from postdate.core.instant import SECOND, Instant
from postdate.core.message import TRANSITIONS, Status
from tests.system.history import (
    Cancel,
    Claim,
    Create,
    End,
    History,
    Kept,
    Order,
    Read,
    Reply,
    Submission,
    Told,
    numbers_of,
    read,
    story,
)

NOT_CANCELABLE = 30409
NOT_FOUND = 20404
# From a life's readiness, or from when a message is due in it, to the carrier: for senders without a rate.
RECOVERY = 5 * SECOND
TAKEN = frozenset({Status.SENT, Status.DELIVERED, Status.UNDELIVERED, Status.READ})
CALLED_BACK = frozenset({Status.CANCELED, Status.FAILED, Status.SENT, *TAKEN})


class Rule(StrEnum):
    """What can be broken."""

    LOST = "nothing is lost"
    GHOST = "nothing is sent that nobody asked for"
    EARLY = "never early"
    CANCEL = "a canceled message is never handed over"
    TWICE = "never twice, unless in doubt and the policy is retry"
    DOUBT = "in doubt only after a kill"
    STATUS = "the status is true and moves forward only"
    CALLBACK = "callbacks are signed, in order, true and complete"
    RATE = "a rate is never exceeded"
    BOOKS = "the store's tables agree"
    RECOVERY = "sending goes on soon after a restart"
    REPEAT = "a repeated request gets the first answer"


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is wrong, with the order it is about, if it is about one."""

    rule: Rule
    number: int | None
    text: str

    def __str__(self) -> str:
        return f"{self.rule}: {'' if self.number is None else f'order {self.number}: '}{self.text}"


@dataclass(frozen=True, slots=True)
class Case:
    """All about one order."""

    order: Order
    creates: Sequence[Create]
    cancels: Sequence[Cancel]
    reads: Sequence[Read]
    told: Sequence[Told]
    submissions: Sequence[Submission]
    claims: Sequence[Claim]
    kept: Sequence[Kept]

    @property
    def accepted(self) -> list[Create]:
        """Return the attempts that were answered 201."""
        return [c for c in self.creates if c.reply is Reply.OK]

    @property
    def possible(self) -> bool:
        """Say whether the order may have been accepted."""
        return any(c.reply is not Reply.REFUSED for c in self.creates)


Found = Iterator[tuple[Rule, str]]
Check = Callable[[Case, History], Found]


def violations(history: History) -> list[Violation]:
    """Return all that is wrong in a history, one by one; nothing wrong is an empty list."""
    found = [Violation(Rule.GHOST, None, text) for text in _strangers(history)]
    for case in cases(history):
        for check in CHECKS:
            found += [Violation(rule, case.order.number, text) for rule, text in check(case, history)]
    found += [Violation(Rule.RATE, None, text) for text in _rates(history)]
    found += [Violation(Rule.BOOKS, None, text) for text in _books(history)]
    return found


def cases(history: History) -> list[Case]:
    """Return the history sorted by order."""
    numbers = numbers_of(history)
    creates: dict[int, list[Create]] = defaultdict(list)
    for create in history.creates:
        creates[create.number].append(create)
    cancels = _sorted_by_number(history.cancels, numbers)
    reads = _sorted_by_number(history.reads, numbers)
    told = _sorted_by_number(history.told, numbers)
    submissions = _sorted_by_number(history.submissions, numbers)
    kept = _sorted_by_number(history.kept, numbers)
    claims: dict[int, list[Claim]] = defaultdict(list)
    for claim in history.claims:
        for number in {numbers[sid] for sid in claim.sids if sid in numbers}:
            claims[number].append(claim)
    return [
        Case(
            order,
            creates[order.number],
            cancels[order.number],
            reads[order.number],
            sorted(told[order.number], key=lambda t: t.at),
            sorted(submissions[order.number], key=lambda s: s.received_at),
            sorted(claims[order.number], key=lambda c: c.at),
            kept[order.number],
        )
        for order in history.orders
    ]


def _sorted_by_number[T: (Cancel, Read, Told, Submission, Kept)](
    things: Sequence[T], numbers: Mapping[str, int]
) -> dict[int, list[T]]:
    found: dict[int, list[T]] = defaultdict(list)
    for thing in things:
        if thing.sid in numbers:
            found[numbers[thing.sid]].append(thing)
    return found
