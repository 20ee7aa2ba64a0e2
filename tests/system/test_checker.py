"""The checker itself: a history in which all is well, and each way of breaking it that the checker has to see."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from postdate.core.instant import SECOND, Instant
from postdate.core.message import Status
from tests.system.checker import Rule, Violation, report, violations
from tests.system.history import (
    Books,
    Cancel,
    Claim,
    Create,
    End,
    History,
    Kept,
    Life,
    Order,
    Read,
    Reply,
    Submission,
    Told,
    digest,
    read,
    story,
    write,
)

FREE, PACED = "+14155550111", "+14155550121"
TO = "+14152000001"
# Orders of the good history: SENT goes, is read and told; CALLED is canceled; DOUBT dies with its life, claimed.
SENT, CALLED, DOUBT = 1, 2, 3
QUEUED, DELIVERED = Status.QUEUED, Status.DELIVERED


def at(seconds: float) -> Instant:
    return Instant(1_900_000_000 * SECOND + round(seconds * SECOND))


def sid(number: int) -> str:
    return f"SM{number:032x}"


def order(number: int, **changes: Any) -> Order:
    return replace(Order(number, TO, (FREE,), digest(f"{number}"), 1, at(10), service=True), **changes)


def create(number: int, **changes: Any) -> Create:
    made = Create(number, f"key-{number}", at(1), at(1.1), Reply.OK, None, sid(number), Status.SCHEDULED)
    return replace(made, **changes)


def submission(number: int, when: float = 10.1, **changes: Any) -> Submission:
    return replace(Submission(sid(number), 1, at(when), TO, FREE, digest(f"{number}"), sid(number)), **changes)


def claim(number: int, life: int = 2, when: float = 10.0, done: float | None = 10.01) -> Claim:
    return Claim(life, at(when), None if done is None else at(done), (sid(number),))


def told(number: int, status: Status, when: float) -> Told:
    return Told(sid(number), status, at(when), signed=True)


def seen(number: int, status: Status | None, when: float, in_doubt: bool = False) -> Read:
    return Read(sid(number), at(when), at(when + 0.01), status, in_doubt)


def kept(number: int, status: Status, **changes: Any) -> Kept:
    return replace(Kept(sid(number), status, False, None, TO, FREE, digest(f"{number}")), **changes)


def books(*statuses: Status, **changes: Any) -> Books:
    listed = {status: statuses.count(status) for status in statuses}
    return replace(Books((), 0, 0, listed), **changes)


GOOD = History(
    seed=1,
    doubt="hold",
    rates={PACED: 5.0},
    orders=(order(SENT), order(CALLED), order(DOUBT, send_at=at(4))),
    creates=(create(SENT), create(CALLED), create(DOUBT)),
    cancels=(Cancel(sid(CALLED), at(8), at(8.1), Reply.OK),),
    reads=(seen(SENT, Status.SCHEDULED, 2), seen(SENT, Status.SENT, 10.2), seen(DOUBT, Status.SENDING, 7, True)),
    told=(
        told(SENT, QUEUED, 9.9),
        told(SENT, Status.SENT, 10.2),
        told(SENT, DELIVERED, 10.3),
        told(CALLED, Status.CANCELED, 8.2),
        told(DOUBT, QUEUED, 3.9),
    ),
    submissions=(submission(SENT),),
    claims=(claim(SENT), claim(DOUBT, life=1, when=4.0, done=None)),
    lives=(
        Life(1, at(0), at(0.1), at(5), End.KILLED),
        Life(2, at(5), at(5.1), at(20), End.STOPPED),
    ),
    kept=(kept(SENT, DELIVERED), kept(CALLED, Status.CANCELED), kept(DOUBT, Status.SENDING, in_doubt=True)),
    books=books(DELIVERED, Status.CANCELED, Status.SENDING),
)

Change = Callable[[History], History]


def having(**changes: Any) -> Change:
    """Return a change that puts these in the place of what there is."""
    return lambda history: replace(history, **changes)


def more(**added: Sequence[Any]) -> Change:
    """Return a change that adds these to what there is."""

    def change(history: History) -> History:
        longer: dict[str, Any] = {name: (*getattr(history, name), *events) for name, events in added.items()}
        return replace(history, **longer)

    return change


def without(number: int, *names: str) -> Change:
    """Return a change that takes out what concerns an order."""

    def concerns(event: Any) -> bool:
        return sid(number) in (event.sids if isinstance(event, Claim) else (event.sid,))

    def change(history: History) -> History:
        left: dict[str, Any] = {name: tuple(e for e in getattr(history, name) if not concerns(e)) for name in names}
        return replace(history, **left)

    return change


def both(*changes: Change) -> Change:
    """Return one change after the other."""

    def change(history: History) -> History:
        for one in changes:
            history = one(history)
        return history

    return change


def again(number: int, life: int = 2, when: float = 12.0, **changes: Any) -> Change:
    """Return a change in which it is handed over a second time, claimed by a life."""
    second = submission(number, when, **({"attempt": 2} | changes))
    return more(submissions=[second], claims=[claim(number, life, when - 0.1, when - 0.05)])


def now_kept(number: int, status: Status, **changes: Any) -> Change:
    """Return a change in which the store has the order otherwise, and the API lists it so."""

    def change(history: History) -> History:
        rows = tuple(kept(number, status, **changes) if row.sid == sid(number) else row for row in history.kept)
        return replace(history, kept=rows, books=books(*(row.status for row in rows)))

    return change


def paced(number: int, when: float, segments: int = 1) -> Change:
    """Return a change in which one more order goes from the sender that is limited to 5 segments a second."""
    return more(
        orders=[order(number, senders=(PACED,), segments=segments, send_at=None, service=False)],
        creates=[create(number, status=QUEUED)],
        claims=[claim(number, when=when - 0.05, done=when - 0.04)],
        submissions=[submission(number, when, sender=PACED)],
        told=[told(number, DELIVERED, when + 0.1)],
        kept=[kept(number, DELIVERED, sender=PACED)],
    )


def listed_as_kept(history: History) -> History:
    return replace(history, books=books(*(row.status for row in history.kept)))


def paced_all(*whens: float, segments: int = 1) -> Change:
    return both(*(paced(100 + n, when, segments) for n, when in enumerate(whens)), listed_as_kept)


RETRY = both(
    having(doubt="retry"),
    without(DOUBT, "reads"),
    more(submissions=[submission(DOUBT, 6, attempt=2)], claims=[claim(DOUBT, 2, 5.8, 5.9)]),
    more(told=[told(DOUBT, DELIVERED, 7)]),
    now_kept(DOUBT, DELIVERED),
)
LOST_ANSWER = {"reply": Reply.UNKNOWN, "sid": None, "status": None}


def test_a_history_in_which_all_is_well_is_clean() -> None:
    assert violations(GOOD) == []


FINE = {
    "a create that was not answered came to nothing": more(orders=[order(9)], creates=[create(9, **LOST_ANSWER)]),
    "a create that was not answered was done": having(creates=(create(SENT, **LOST_ANSWER), *GOOD.creates[1:])),
    "a create that was not answered was repeated": more(
        creates=[create(SENT, invoked_at=at(0.5), completed_at=at(0.6), **LOST_ANSWER)]
    ),
    "a create that never reached the node": more(
        orders=[order(9)], creates=[create(9, reply=Reply.REFUSED, sid=None, status=None)]
    ),
    "a cancel that was not answered won": having(cancels=(Cancel(sid(CALLED), at(8), at(8.1), Reply.UNKNOWN),)),
    "a cancel that was not answered lost": more(cancels=[Cancel(sid(SENT), at(9.9), at(10), Reply.UNKNOWN)]),
    "a cancel that came too late": more(cancels=[Cancel(sid(SENT), at(9.9), at(10), Reply.REFUSED, 30409)]),
    "a cancel that was repeated": more(cancels=[Cancel(sid(CALLED), at(9), at(9.1), Reply.OK)]),
    "a callback that came twice in a row": more(told=[told(SENT, QUEUED, 9.95)]),
    "a claim that died before its commit": more(claims=[claim(SENT, 1, 4.9, None)]),
    "a read at the same time as a change": more(reads=[seen(SENT, QUEUED, 10.195)]),
    "in doubt and told by a receipt": both(
        more(submissions=[submission(DOUBT, 4.2)], told=[told(DOUBT, DELIVERED, 7.5)]),
        having(claims=(claim(SENT), claim(DOUBT, 1, 4.0, 4.1))),
        now_kept(DOUBT, DELIVERED),
    ),
    "handed over again after a kill, where the carrier knows our keys": RETRY,
    "at its rate": paced_all(11.0, 11.2, 11.4, 11.6, 11.8, 12.0, 12.2),
    "at its rate, arriving in a lump": paced_all(11.0, 11.3, 11.35, 11.6),
    "one message of more segments than a second may have": paced_all(11.0, 13.0, 15.0, segments=10),
}


@pytest.mark.parametrize("change", FINE.values(), ids=FINE)
def test_what_may_happen_is_no_violation(change: Change) -> None:
    assert violations(change(GOOD)) == []


BROKEN: dict[str, tuple[Rule, str, Change]] = {
    "acknowledged and not in the store": (
        Rule.LOST,
        "the store does not have it",
        both(without(SENT, "kept"), listed_as_kept),
    ),
    "acknowledged and not found": (Rule.LOST, "could not be read later", more(reads=[seen(SENT, None, 3)])),
    "acknowledged and not found by its cancel": (
        Rule.LOST,
        "a cancel did not find it",
        more(cancels=[Cancel(sid(SENT), at(3), at(3.1), Reply.REFUSED, 20404)]),
    ),
    "still scheduled": (Rule.LOST, "it is scheduled", now_kept(CALLED, Status.SCHEDULED)),
    "still queued": (Rule.LOST, "it is queued", now_kept(DOUBT, QUEUED)),
    "being sent for ever, without a doubt": (Rule.LOST, "it is sending", now_kept(DOUBT, Status.SENDING)),
    "failed without a reason": (Rule.LOST, "without a reason", now_kept(DOUBT, Status.FAILED)),
    "two messages of one key": (
        Rule.REPEAT,
        "with several messages",
        more(creates=[create(SENT, invoked_at=at(2), sid=sid(77))]),
    ),
    "two rows of one order": (
        Rule.REPEAT,
        "made 2 messages",
        both(more(kept=[kept(77, DELIVERED, body_sha256=digest(f"{SENT}"))]), listed_as_kept),
    ),
    "a repetition refused": (
        Rule.REPEAT,
        "refused with 35114",
        having(
            creates=(
                create(SENT, **LOST_ANSWER),
                create(SENT, invoked_at=at(2), reply=Reply.REFUSED, code=35114, sid=None, status=None),
                *GOOD.creates[1:],
            )
        ),
    ),
    "refused and sent": (
        Rule.GHOST,
        "every attempt to create it was refused",
        having(creates=(create(SENT, reply=Reply.REFUSED, sid=None, status=None), *GOOD.creates[1:])),
    ),
    "sent, not in the store": (
        Rule.GHOST,
        "which the store does not know",
        both(without(SENT, "kept"), listed_as_kept),
    ),
    "another body": (Rule.GHOST, "another body", having(submissions=(submission(SENT, body_sha256=digest("3")),))),
    "another recipient": (
        Rule.GHOST,
        "for +14152000002",
        having(submissions=(submission(SENT, recipient="+14152000002"),)),
    ),
    "another sender": (Rule.GHOST, "which is none of", having(submissions=(submission(SENT, sender=PACED),))),
    "ordered by nobody": (
        Rule.GHOST,
        "the carrier has",
        more(submissions=[submission(66, body_sha256=digest("what?"))]),
    ),
    "told of nothing": (Rule.GHOST, "a callback told of", more(told=[told(66, QUEUED, 9)])),
    "a row that nobody ordered": (Rule.GHOST, "the store has", both(more(kept=[kept(66, DELIVERED)]), listed_as_kept)),
    "a microsecond early": (Rule.EARLY, "1 microseconds early", having(submissions=(submission(SENT, 9.999999),))),
    "canceled and sent": (
        Rule.CANCEL,
        "the carrier has it",
        more(submissions=[submission(CALLED)], claims=[claim(CALLED)]),
    ),
    "canceled and not canceled": (Rule.CANCEL, "it is not canceled", now_kept(CALLED, DELIVERED)),
    "canceled, then not cancelable": (
        Rule.CANCEL,
        "a second one was refused",
        more(cancels=[Cancel(sid(CALLED), at(9), at(9.1), Reply.REFUSED, 30409)]),
    ),
    "not cancelable, and canceled": (
        Rule.CANCEL,
        "its cancel was refused",
        having(cancels=(Cancel(sid(CALLED), at(8), at(8.1), Reply.REFUSED, 30409),)),
    ),
    "canceled by nobody": (Rule.CANCEL, "nobody canceled it", having(cancels=())),
    "never claimed": (Rule.CLAIM, "before a claim", without(SENT, "claims")),
    "claimed after it was sent": (
        Rule.CLAIM,
        "before a claim",
        having(claims=(claim(SENT, 2, 10.2, 10.3), *GOOD.claims[1:])),
    ),
    "sent before its claim was on disk": (
        Rule.CLAIM,
        "before a claim",
        having(claims=(claim(SENT, 2, 10, 10.2), *GOOD.claims[1:])),
    ),
    "twice, held": (Rule.TWICE, "2 times, and the policy is hold", again(SENT)),
    "twice in one attempt": (
        Rule.TWICE,
        "twice in one attempt",
        both(having(doubt="retry"), more(submissions=[submission(SENT, 11)])),
    ),
    "again without a kill": (
        Rule.TWICE,
        "again without a kill",
        both(RETRY, again(SENT, life=3), more(lives=[Life(3, at(20), None, at(30), End.STOPPED)])),
    ),
    "again in the same life": (Rule.TWICE, "one life claimed it twice", both(RETRY, again(SENT))),
    "again with another key": (
        Rule.TWICE,
        "idempotency key",
        both(RETRY, lambda h: replace(h, submissions=tuple(replace(s, key="another") for s in h.submissions))),
    ),
    "claimed twice in one life": (Rule.TWICE, "one life claimed it twice", more(claims=[claim(SENT, 2, 10.02, 10.03)])),
    "left in doubt where it could be tried again": (Rule.DOUBT, "the policy is retry", having(doubt="retry")),
    "in doubt without a claim": (Rule.DOUBT, "no life that was killed", without(DOUBT, "claims")),
    "in doubt in a life that was not killed": (
        Rule.DOUBT,
        "no life that was killed",
        having(claims=(claim(SENT), claim(DOUBT, 2, 6.0, 6.1))),
    ),
    "sent, and never at the carrier": (Rule.STATUS, "the carrier never had it", having(submissions=())),
    "read as sent too soon": (
        Rule.STATUS,
        "before the carrier had it",
        having(reads=(seen(SENT, Status.SENT, 10.05),)),
    ),
    "its receipt forgotten": (Rule.STATUS, "reported its delivery", now_kept(SENT, Status.SENT)),
    "failed, and at the carrier": (
        Rule.STATUS,
        "reported its delivery",
        now_kept(SENT, Status.FAILED, error_code=30008),
    ),
    "read backwards": (Rule.STATUS, "and then queued", more(reads=[seen(SENT, QUEUED, 10.4)])),
    "told, then read as before it": (Rule.STATUS, "and then sent", more(reads=[seen(SENT, Status.SENT, 10.4)])),
    "forgotten at the end": (Rule.STATUS, "queued at the end", both(now_kept(SENT, QUEUED))),
    "signed wrongly": (
        Rule.CALLBACK,
        "signed wrongly",
        lambda h: replace(h, told=(*h.told[1:], replace(h.told[0], signed=False))),
    ),
    "told backwards": (Rule.CALLBACK, "queued was told after delivered", more(told=[told(SENT, QUEUED, 10.4)])),
    "told before it was so": (
        Rule.CALLBACK,
        "before the carrier had it",
        having(told=(told(SENT, Status.SENT, 10.05), *GOOD.told)),
    ),
    "told of a cancel that never was": (
        Rule.CALLBACK,
        "queued was told after canceled",
        more(told=[told(SENT, Status.CANCELED, 9)]),
    ),
    "a delivery not told": (
        Rule.CALLBACK,
        "delivered was never told",
        lambda h: replace(h, told=h.told[:2] + h.told[3:]),
    ),
    "a cancel not told": (Rule.CALLBACK, "canceled was never told", without(CALLED, "told")),
    "a queueing not told": (Rule.CALLBACK, "queued was never told", lambda h: replace(h, told=h.told[1:])),
    "too close together": (Rule.RATE, "too soon", paced_all(11.0, 11.2, 11.25, 11.3, 11.35, 11.4)),
    "too soon after a long one": (Rule.RATE, "too soon", paced_all(11.0, 12.5, segments=10)),
    "too many in a second": (Rule.RATE, "too soon", paced_all(11.0, 11.6, 11.8, segments=3)),
    "a timer left": (Rule.BOOKS, "1 timers", having(books=replace(GOOD.books, timers=(sid(SENT),)))),
    "a wrong count": (Rule.BOOKS, "the count of scheduled", having(books=replace(GOOD.books, scheduled_count=1))),
    "a callback left": (Rule.BOOKS, "1 callbacks", having(books=replace(GOOD.books, outbox=1))),
    "a message not listed": (Rule.BOOKS, "the API listed", having(books=books(DELIVERED, Status.CANCELED))),
    "a timer missing": (Rule.BOOKS, "0 timers", now_kept(DOUBT, QUEUED)),
    "late after a restart": (
        Rule.RECOVERY,
        "5.1 s late",
        having(submissions=(submission(SENT, 15.1),), claims=(claim(SENT, 2, 15.0, 15.05), *GOOD.claims[1:])),
    ),
}


@pytest.mark.parametrize(("rule", "text", "change"), BROKEN.values(), ids=BROKEN)
def test_what_breaks_a_promise_is_found(rule: Rule, text: str, change: Change) -> None:
    found = violations(change(GOOD))
    assert any(violation.rule is rule and text in violation.text for violation in found), found


def test_every_rule_can_be_broken() -> None:
    assert {rule for rule, _, _ in BROKEN.values()} == set(Rule)


# --- told ------------------------------------------------------------------------------------------------------------


def test_a_story_is_told_in_order() -> None:
    lines = story(GOOD, SENT).splitlines()
    expected = ["create ...", "create: ok", "read: scheduled", "SendAt", "claimed by life 2", "AT THE CARRIER", "sent"]
    places = [next(n for n, line in enumerate(lines) if part in line) for part in expected if part != "SendAt"]
    assert places == sorted(places)
    assert "delivered" in lines[-1]


def test_a_report_names_the_seed_the_rule_and_the_order() -> None:
    broken = having(submissions=(submission(SENT, 9.5),))(GOOD)
    text = report(broken, violations(broken))
    assert "seed 1" in text
    assert str(Violation(Rule.EARLY, SENT, "the carrier had it 500000 microseconds early")) in text
    assert "AT THE CARRIER" in text


def test_a_history_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    write(GOOD, tmp_path / "history.json")
    assert read(tmp_path / "history.json") == GOOD
