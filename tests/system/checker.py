"""Says what a history breaks of the promises: a pure function, `violations`, from a history to what is wrong in it.

It believes the carrier's log, the customer's calls and the store's last state; the node's own word only where it is
checked against these. It is tested itself, with histories made by hand (`test_checker.py`).
`python -m tests.system.checker FILE` checks a written history again and tells the stories of what is wrong.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

from postdate.core.instant import MILLISECOND, SECOND, Instant
from postdate.core.message import TRANSITIONS, Status
from tests.system.history import Case, End, History, Reply, Submission, cases, numbers_of, read, story

NOT_CANCELABLE = 30409
NOT_FOUND = 20404
# From when a message is due in a life that is ready, to the carrier: for senders without a rate.
RECOVERY = 5 * SECOND
# How long a busy machine may stop a life between booking a slot and logging the claim of it.
STALL = 250 * MILLISECOND
TAKEN = frozenset({Status.SENT, Status.DELIVERED, Status.UNDELIVERED, Status.READ})
CALLED_BACK = TAKEN | {Status.CANCELED, Status.FAILED}


class Rule(StrEnum):
    """What can be broken."""

    LOST = "nothing is lost"
    GHOST = "nothing is sent that nobody asked for"
    EARLY = "never early"
    CANCEL = "a canceled message is never handed over"
    CLAIM = "claimed on disk before its first byte"
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


Found = Iterator[tuple[Rule, str]]


def violations(history: History) -> list[Violation]:
    """Return all that is wrong in a history; nothing wrong is an empty list."""
    found = [Violation(Rule.GHOST, None, text) for text in _strangers(history)]
    for case in cases(history):
        for check in CHECKS:
            found += [Violation(rule, case.order.number, text) for rule, text in check(case, history)]
    found += [Violation(Rule.RATE, None, text) for text in _rates(history)]
    found += [Violation(Rule.BOOKS, None, text) for text in _books(history)]
    return found


# --- one order -------------------------------------------------------------------------------------------------------


def _lost(case: Case, history: History) -> Found:
    if case.accepted and not case.kept:
        yield Rule.LOST, "it was answered 201, and the store does not have it"
    known_at = min((c.completed_at for c in case.accepted), default=None)
    if known_at is not None and any(r.status is None and r.invoked_at >= known_at for r in case.reads):
        yield Rule.LOST, "it was answered 201, and could not be read later"
    if any(c.code == NOT_FOUND for c in case.cancels):
        yield Rule.LOST, "it was answered 201, and a cancel did not find it"
    for kept in case.kept:
        if not kept.in_doubt and kept.status not in CALLED_BACK:
            yield Rule.LOST, f"it never came to an end: at the end it is {kept.status}"
        if kept.status is Status.FAILED and kept.error_code is None:
            yield Rule.LOST, "it failed without a reason"


def _repeated(case: Case, history: History) -> Found:
    if len({c.sid for c in case.accepted}) > 1:
        yield Rule.REPEAT, "one Idempotency-Key was answered with several messages"
    if len(case.kept) > 1:
        yield Rule.REPEAT, f"one request made {len(case.kept)} messages"
    for before, after in pairwise(case.creates):
        if before.reply is Reply.UNKNOWN and after.reply is Reply.REFUSED and after.code is not None and case.kept:
            yield Rule.REPEAT, f"it had been accepted, and its repetition was refused with {after.code}"


def _ghost(case: Case, history: History) -> Found:
    order, known = case.order, {kept.sid for kept in case.kept}
    if (case.submissions or case.kept) and not case.possible:
        yield Rule.GHOST, "every attempt to create it was refused, and it exists"
    for s in case.submissions:
        if s.sid not in known:
            yield Rule.GHOST, f"the carrier has {s.sid}, which the store does not know"
        if s.body_sha256 != order.body_sha256:
            yield Rule.GHOST, "the carrier has it with another body"
        if s.recipient != order.recipient:
            yield Rule.GHOST, f"the carrier has it for {s.recipient} in place of {order.recipient}"
        if s.sender not in order.senders:
            yield Rule.GHOST, f"the carrier has it from {s.sender}, which is none of {order.senders}"


def _early(case: Case, history: History) -> Found:
    due_at = _due_at(case)
    for s in case.submissions:
        if s.received_at < due_at:
            yield Rule.EARLY, f"the carrier had it {due_at - s.received_at} microseconds early"


def _due_at(case: Case) -> Instant:
    if case.order.send_at is not None:
        return case.order.send_at
    return min((c.invoked_at for c in case.creates), default=Instant(0))


def _cancel(case: Case, history: History) -> Found:
    won_at = min((c.completed_at for c in case.cancels if c.reply is Reply.OK), default=None)
    if won_at is None:
        yield from _not_canceled(case)
        return
    if case.submissions:
        yield Rule.CANCEL, "its cancel was answered 200, and the carrier has it"
    if any(c.reply is Reply.REFUSED and c.invoked_at >= won_at for c in case.cancels):
        yield Rule.CANCEL, "its cancel was answered 200, and a second one was refused"
    if any(kept.status is not Status.CANCELED for kept in case.kept):
        yield Rule.CANCEL, "its cancel was answered 200, and it is not canceled"


def _not_canceled(case: Case) -> Found:
    """Where no cancel was answered 200, only one whose answer was lost can have canceled it."""
    if not any(kept.status is Status.CANCELED for kept in case.kept):
        return
    if any(c.code == NOT_CANCELABLE for c in case.cancels):
        yield Rule.CANCEL, "its cancel was refused, and it is canceled"
    if not any(c.reply is Reply.UNKNOWN for c in case.cancels):
        yield Rule.CANCEL, "nobody canceled it, and it is canceled"


def _claimed(case: Case, history: History) -> Found:
    for s in case.submissions:
        if not any(c.done_at is not None and c.done_at <= s.received_at and s.sid in c.sids for c in case.claims):
            yield Rule.CLAIM, "the carrier had it before a claim of it was on disk"


def _twice(case: Case, history: History) -> Found:
    submissions = case.submissions
    if any(s.key != s.sid for s in submissions):
        yield Rule.TWICE, "its idempotency key is not its SID"
    by_attempt = Counter((s.sid, s.attempt) for s in submissions)
    if any(count > 1 for count in by_attempt.values()):
        yield Rule.TWICE, "it was handed over twice in one attempt"
    by_life = Counter(c.life for c in case.claims)
    if any(count > 1 for count in by_life.values()):
        yield Rule.TWICE, "one life claimed it twice"
    if len(submissions) < 2:
        return
    if history.doubt == "hold":
        yield Rule.TWICE, f"it was handed over {len(submissions)} times, and the policy is hold"
    elif len(submissions) > 1 + len(by_life.keys() & _killed(history)):
        yield Rule.TWICE, "it was handed over again without a kill"


def _killed(history: History) -> set[int]:
    return {life.number for life in history.lives if life.end is End.KILLED}


def _doubted(case: Case, history: History) -> Found:
    in_doubt = any(kept.in_doubt for kept in case.kept)
    if in_doubt and history.doubt == "retry":
        yield Rule.DOUBT, "it was left in doubt, and the policy is retry"
    if not in_doubt and not any(r.in_doubt for r in case.reads):
        return
    if not any(c.life in _killed(history) for c in case.claims):
        yield Rule.DOUBT, "it is in doubt, and no life that was killed had claimed it"


def _true(case: Case, history: History) -> Found:
    first = min((s.received_at for s in case.submissions), default=None)
    for r in case.reads:
        if r.status in TAKEN and (first is None or first > r.completed_at):
            yield Rule.STATUS, f"it was read as {r.status} before the carrier had it"
    for kept in case.kept:
        if kept.status in TAKEN and first is None:
            yield Rule.STATUS, f"it is {kept.status}, and the carrier never had it"
        if first is not None and kept.status is not Status.DELIVERED:
            yield Rule.STATUS, f"the carrier reported its delivery, and it is {kept.status}"


def _forward(case: Case, history: History) -> Found:
    seen = [(c.invoked_at, c.completed_at, c.status) for c in case.creates if c.status is not None]
    seen += [(r.invoked_at, r.completed_at, r.status) for r in case.reads if r.status is not None]
    seen += [(c.invoked_at, c.completed_at, Status.CANCELED) for c in case.cancels if c.reply is Reply.OK]
    announced = [(t.at, t.at, t.status) for t in case.told]
    for _, before_at, before in [*seen, *announced]:
        for after_at, _, after in seen:
            if before_at < after_at and after not in REACHABLE[before]:
                yield Rule.STATUS, f"it was {before}, and then {after}"
        for kept in case.kept:
            if kept.status not in REACHABLE[before]:
                yield Rule.STATUS, f"it was {before}, and is {kept.status} at the end"


def _called_back(case: Case, history: History) -> Found:
    statuses = [told.status for told in case.told]
    first = min((s.received_at for s in case.submissions), default=None)
    for told in case.told:
        if not told.signed:
            yield Rule.CALLBACK, f"{told.status} was signed wrongly"
        if told.status in TAKEN and (first is None or first > told.at):
            yield Rule.CALLBACK, f"{told.status} was told before the carrier had it"
    for before, after in pairwise(statuses):
        if after not in REACHABLE[before]:
            yield Rule.CALLBACK, f"{after} was told after {before}"
    for kept in case.kept:
        queued = {Status.QUEUED} if kept.status in TAKEN and case.order.service else set()
        for status in ({kept.status} & CALLED_BACK | queued).difference(statuses):
            yield Rule.CALLBACK, f"it is {kept.status}, and {status} was never told"


def _recovered(case: Case, history: History) -> Found:
    if not case.submissions or case.submissions[0].sender in history.rates:
        return
    received_at = case.submissions[0].received_at
    known_at = min((c.completed_at for c in case.accepted), default=case.creates[0].invoked_at if case.creates else 0)
    ready_at = max((r for life in history.lives if (r := life.ready_at) is not None and r <= received_at), default=0)
    late = received_at - max(_due_at(case), known_at, ready_at)
    if late > RECOVERY:
        yield Rule.RECOVERY, f"it was handed over {late / SECOND:.1f} s late"


CHECKS: tuple[Callable[[Case, History], Found], ...] = (
    _lost, _repeated, _ghost, _early, _cancel, _claimed, _twice, _doubted, _true, _forward, _called_back, _recovered,
)  # fmt: skip


def _reachable(start: Status) -> frozenset[Status]:
    """Return every status that can follow, at once or later, and the status itself."""
    found, ahead = {start}, [start]
    while ahead:
        following = set(TRANSITIONS[ahead.pop()].values()) - found
        found |= following
        ahead += following
    return frozenset(found)


REACHABLE = {status: _reachable(status) for status in Status}


# --- all of them -----------------------------------------------------------------------------------------------------


def _strangers(history: History) -> Iterator[str]:
    numbers = numbers_of(history)
    for kind, sids in (
        ("the carrier has", {s.sid for s in history.submissions}),
        ("a callback told of", {t.sid for t in history.told}),
        ("the store has", {k.sid for k in history.kept}),
    ):
        for sid in sorted(sids - numbers.keys()):
            yield f"{kind} {sid}, which nobody ordered"


def _rates(history: History) -> Iterator[str]:
    """Find senders for which no slots within their rate exist, each between its claim and its arrival."""
    segments = {order.body_sha256: order.segments for order in history.orders}
    for sender, mps in history.rates.items():
        mine = sorted((s for s in history.submissions if s.sender == sender), key=lambda s: s.received_at)
        slots: list[tuple[float, int]] = []
        for submission in mine:
            size = segments.get(submission.body_sha256, 1)
            slot = max(_not_before(submission, history), _allowed_from(slots, size, mps))
            if slot > submission.received_at:
                over = (slot - submission.received_at) / SECOND
                yield f"{submission.sid} from {sender} was {over:.3f} s too soon for {mps:g} segments a second"
            slots.append((min(slot, submission.received_at), size))


def _not_before(submission: Submission, history: History) -> int:
    """Return the earliest moment its slot can have been: shortly before it was claimed."""
    claims = [c.at for c in history.claims if c.at <= submission.received_at and submission.sid in c.sids]
    return max(claims, default=submission.received_at) - STALL


def _allowed_from(slots: Sequence[tuple[float, int]], size: int, mps: float) -> float:
    """Return when `size` segments more may go: evenly spaced, and no second over the rate but for one message alone."""
    if not slots:
        return 0.0
    last, last_size = slots[-1]
    allowed, held = last + last_size * SECOND / mps, size
    for slot, of in reversed(slots):
        held += of
        if held > mps:
            return max(allowed, slot + SECOND)
    return allowed


def _books(history: History) -> Iterator[str]:
    books, statuses = history.books, Counter(kept.status for kept in history.kept)
    open_ = {k.sid for k in history.kept if k.status not in CALLED_BACK and not k.in_doubt}
    if Counter(books.timers) != Counter(open_):
        yield f"{len(books.timers)} timers stand against {len(open_)} messages that wait or are under way"
    if books.scheduled_count != statuses[Status.SCHEDULED]:
        yield f"the count of scheduled messages is {books.scheduled_count}, and {statuses[Status.SCHEDULED]} are"
    if books.outbox:
        yield f"{books.outbox} callbacks are in the outbox though all was settled"
    if books.listed != dict(statuses):
        yield f"the API listed {books.listed}, and the store has {dict(statuses)}"


# --- told ------------------------------------------------------------------------------------------------------------


def report(history: History, found: Sequence[Violation], most: int = 10) -> str:
    """Tell what is wrong, with the stories of the first few orders concerned."""
    numbers = list(dict.fromkeys(v.number for v in found if v.number is not None))
    counts = Counter(v.rule for v in found)
    lines = [f"seed {history.seed}: {len(found)} violations", *(f"  {n} x {rule}" for rule, n in counts.items())]
    lines += [str(violation) for violation in found[: 5 * most]]
    return "\n".join(lines) + "\n\n" + "\n\n".join(story(history, number) for number in numbers[:most])


def main() -> None:
    """Check the history in a file; the exit status says whether it is clean."""
    history = read(Path(sys.argv[1]))
    found = violations(history)
    print(report(history, found) if found else "nothing is wrong")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
