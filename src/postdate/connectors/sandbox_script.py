"""What the simulated carrier is told to do: an ordered list of rules, the first that matches decides. Pure.

Behind a script's own rules stand those of the magic recipients, +1 500 555 and four digits, then "deliver it":
  0001 unknown number (30005)           0002 handset not reachable (30003)
  0003 refused by the carrier (30004)   0004 filtered by the carrier (30007)
  0005 busy for the first two attempts  0006 delivered, as any other number is
  0007 first attempt: taken, in doubt   0008 delivered, but the receipt is lost
  0009 landline (30006)                 The numbers mean the same after a prefix such as `whatsapp:`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from hashlib import blake2b
from types import MappingProxyType
from typing import Final

from postdate.connectors.contract import Receipt, Submission
from postdate.connectors.sandbox_fields import Between, Fields, InvalidScript, Unfit, shown
from postdate.core.errors import MEANINGS
from postdate.core.instant import MILLISECOND, SECOND, Instant
from postdate.core.message import Event
from postdate.core.outcome import Accepted, Busy, InDoubt, Outcome, Refused, Unreachable

_MOST_RULES: Final = 1_000
_MOST_COPIES: Final = 100
_UNKNOWN_FAILURE: Final = 30008


class Chance:
    """The luck of one attempt: drawn from seed, SID and attempt alone, so that the order of attempts is no matter."""

    __slots__ = ("_key",)

    def __init__(self, seed: int, submission: Submission) -> None:
        self._key = f"{seed}/{submission.sid}/{submission.attempt}/"

    def draw(self, what: str) -> float:
        """Return a number in [0, 1): for the same `what` always the same."""
        digest = blake2b((self._key + what).encode(), digest_size=8).digest()
        return (int.from_bytes(digest) >> 11) * 2.0**-53

    def length(self, between: Between, start: Instant, what: str) -> int:
        """Return how long a wait that begins at `start` is, in microseconds."""
        return between.length(start, self.draw(what)) if between.least < between.most else between.least


def _check_code(code: int | None, fits: bool, place: str) -> None:
    if code is None:
        return
    if not fits:
        raise Unfit(f"code is for {place}: take it out.")
    if code not in MEANINGS:
        raise Unfit(f"code is {code}, which customers do not know; write one such as {_UNKNOWN_FAILURE} or 30003.")


class Answer(StrEnum):
    """What the carrier says to a submission."""

    ACCEPT = "accept"
    REFUSE = "refuse"
    BUSY = "busy"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"  # nothing at all: the attempt is in doubt once the delay is over


class Report(StrEnum):
    """What the carrier reports about a message it took; `none` is a handset that has it and a receipt that is lost."""

    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    NONE = "none"


AT_ONCE: Final = Between(0, 0)
_SOON: Final = Between(500 * MILLISECOND, 2 * SECOND)


@dataclass(frozen=True, slots=True)
class ReceiptPlan:
    """The receipts of a message. `delay` counts from the answer, or from the submission if that is never answered.

    Each of the `copies` draws its own delay. With `before_answer` the delay counts from the submission too, and the
    answer waits for the first copy. `repeats_sid` False is a carrier that knows only its own reference.
    """

    report: Report = Report.DELIVERED
    code: int | None = None
    delay: Between = _SOON
    copies: int = 1
    read_after: Between | None = None
    before_answer: bool = False
    repeats_sid: bool = True

    def __post_init__(self) -> None:
        _check_code(self.code, self.report is Report.UNDELIVERED, "a receipt that says undelivered")
        if not 1 <= self.copies <= _MOST_COPIES:
            raise Unfit(f"copies is {self.copies}; a receipt comes 1 to {_MOST_COPIES} times.")
        if self.read_after is not None and self.report is Report.UNDELIVERED:
            raise Unfit("read_after is for a message that arrives: take it out, or report delivered or none.")
        if self.before_answer and self.report is Report.NONE:
            raise Unfit("before_answer needs a receipt: take it out, or report delivered or undelivered.")

    def receipts(
        self, submission: Submission, carrier_ref: str, start: Instant, chance: Chance
    ) -> list[tuple[int, Receipt]]:
        """Return the receipts that come, each with its delay after `start` in microseconds; the first one first."""
        sid = submission.sid if self.repeats_sid else None
        if self.report is Report.UNDELIVERED:
            receipt = Receipt(carrier_ref, Event.UNDELIVER, self.code or _UNKNOWN_FAILURE, sid)
        else:
            receipt = Receipt(carrier_ref, Event.DELIVER, None, sid)
        delays = [chance.length(self.delay, start, "receipt")]
        if self.copies > 1:
            delays += [chance.length(self.delay, start, f"receipt {copy}") for copy in range(1, self.copies)]
            delays.sort()
        come = [] if self.report is Report.NONE else [(delay, receipt) for delay in delays]
        if self.read_after is not None:
            delivered = delays[0]
            read = delivered + chance.length(self.read_after, Instant(start + delivered), "read")
            come.append((read, Receipt(carrier_ref, Event.READ, None, sid)))
        return come


@dataclass(frozen=True, slots=True)
class Rule:
    """What happens to the submissions that match. Patterns are globs (`+1415*`) of the whole address.

    `every` counts the submissions that match otherwise, in order of arrival: the only thing here that order decides.
    """

    recipient: str = "*"
    sender: str = "*"
    body_contains: str = ""
    attempt_from: int = 1
    attempt_to: int | None = None
    every: int = 1
    probability: float = 1.0
    answer: Answer = Answer.ACCEPT
    code: int | None = None
    retry_after: int | None = None
    taken: bool = True
    delay: Between = AT_ONCE
    receipt: ReceiptPlan = ReceiptPlan()

    def __post_init__(self) -> None:
        if self.attempt_from < 1 or (self.attempt_to is not None and self.attempt_to < self.attempt_from):
            raise Unfit("attempt is no range of attempts; 1 is the first: write 1, 1..2 or 3..")
        if self.every < 1:
            raise Unfit(f"every is {self.every}; write 1 for each submission, 3 for every third.")
        if not 0 <= self.probability <= 1:
            raise Unfit(f"probability is {self.probability}; it goes from 0 (never) to 1 (always).")
        _check_code(self.code, self.answer is Answer.REFUSE, "the answer refuse")
        if self.retry_after is not None and self.answer is not Answer.BUSY:
            raise Unfit(f"retry_after is for the answer busy, not {self.answer}: take it out.")
        if not self.taken and self.answer is not Answer.TIMEOUT:
            raise Unfit(f"taken is for the answer timeout, not {self.answer}: take it out.")
        if self.receipt != ReceiptPlan() and not self.takes:
            raise Unfit("a receipt is for a message that the carrier took: take it out, or change the answer.")

    @property
    def takes(self) -> bool:
        """Say whether the carrier has the message afterwards."""
        return self.answer is Answer.ACCEPT or (self.answer is Answer.TIMEOUT and self.taken)

    def matches(self, submission: Submission) -> bool:
        """Say whether the submission is one of those meant, before `every` and `probability` are asked."""
        return (
            self.attempt_from <= submission.attempt
            and (self.attempt_to is None or submission.attempt <= self.attempt_to)
            and (self.recipient == "*" or fnmatchcase(submission.recipient, self.recipient))
            and (self.sender == "*" or fnmatchcase(submission.sender, self.sender))
            and self.body_contains in submission.body
        )

    def outcome(self, carrier_ref: str) -> Outcome:
        """Return what the connector says; `carrier_ref` is the carrier's id where it accepts."""
        match self.answer:
            case Answer.ACCEPT:
                return Accepted(carrier_ref)
            case Answer.REFUSE:
                return Refused(self.code or _UNKNOWN_FAILURE, "the script refuses it")
            case Answer.BUSY:
                return Busy(self.retry_after, "the script says busy")
            case Answer.UNREACHABLE:
                return Unreachable("the script says unreachable")
            case Answer.TIMEOUT:
                return InDoubt("the script gives no answer")


@dataclass(frozen=True, slots=True)
class Script:
    """Rules in order. `dedupe`: the carrier knows the SID as idempotency key and takes a message once."""

    rules: tuple[Rule, ...] = ()
    dedupe: bool = False

    @classmethod
    def parse(cls, written: Mapping[str, object]) -> "Script":
        """Read a script as JSON holds it, its fields named as in `Rule` and `ReceiptPlan`; raise InvalidScript.

        `attempt` is 1, "1..2" or "3.."; a `receipt` may be its `report` alone. Times are as `Between` reads them.
        """
        fields = Fields(written, "the script")
        listed = fields.take("rules")
        if listed is None:
            listed = []
        dedupe = fields.flag("dedupe", False)
        fields.end()
        if not isinstance(listed, list | tuple):
            raise InvalidScript(f"rules is {shown(listed)}; write a list of rules.")
        if len(listed) > _MOST_RULES:
            raise InvalidScript(f"rules has {len(listed)} rules; a script holds at most {_MOST_RULES}.")
        return cls(tuple(_rule(rule, f"rules[{index}]") for index, rule in enumerate(listed)), dedupe)


AS_USUAL: Final = Rule()
_MAGIC: Final[Mapping[str, tuple[Rule, ...]]] = MappingProxyType(
    {
        "+15005550001": (Rule(receipt=ReceiptPlan(Report.UNDELIVERED, 30005)),),
        "+15005550002": (Rule(receipt=ReceiptPlan(Report.UNDELIVERED, 30003)),),
        "+15005550003": (Rule(answer=Answer.REFUSE, code=30004),),
        "+15005550004": (Rule(receipt=ReceiptPlan(Report.UNDELIVERED, 30007)),),
        "+15005550005": (Rule(attempt_to=2, answer=Answer.BUSY, retry_after=1 * SECOND),),
        "+15005550007": (
            Rule(
                attempt_to=1,
                answer=Answer.TIMEOUT,
                delay=Between(1 * SECOND, 1 * SECOND),
                receipt=ReceiptPlan(Report.NONE),
            ),
        ),
        "+15005550008": (Rule(receipt=ReceiptPlan(Report.NONE)),),
        "+15005550009": (Rule(receipt=ReceiptPlan(Report.UNDELIVERED, 30006)),),
    }
)


def usual_rule(submission: Submission) -> Rule:
    """Return what happens where no rule of the script matches: that of a magic recipient, else AS_USUAL."""
    for rule in _MAGIC.get(submission.recipient.rpartition(":")[2], ()):
        if rule.matches(submission):
            return rule
    return AS_USUAL


def _rule(written: object, place: str) -> Rule:
    fields = Fields(written, place)
    attempt_from, attempt_to = fields.attempts()
    try:
        rule = Rule(
            recipient=fields.text("recipient", "*"),
            sender=fields.text("sender", "*"),
            body_contains=fields.text("body_contains", ""),
            attempt_from=attempt_from,
            attempt_to=attempt_to,
            every=fields.whole("every", 1),
            probability=fields.share("probability"),
            answer=fields.one_of("answer", Answer.ACCEPT),
            code=fields.number("code"),
            retry_after=fields.span("retry_after"),
            taken=fields.flag("taken", True),
            delay=fields.between("delay") or AT_ONCE,
            receipt=_receipt_plan(fields.take("receipt"), f"{place}.receipt"),
        )
    except Unfit as wrong:
        raise InvalidScript(f"{place}: {wrong}") from None
    fields.end()
    return rule


def _receipt_plan(written: object, place: str) -> ReceiptPlan:
    if written is None:
        return ReceiptPlan()
    fields = Fields({"report": written} if isinstance(written, str) else written, place)
    try:
        plan = ReceiptPlan(
            report=fields.one_of("report", Report.DELIVERED),
            code=fields.number("code"),
            delay=fields.between("delay") or _SOON,
            copies=fields.whole("copies", 1),
            read_after=fields.between("read_after"),
            before_answer=fields.flag("before_answer", False),
            repeats_sid=fields.flag("repeats_sid", True),
        )
    except Unfit as wrong:
        raise InvalidScript(f"{place}: {wrong}") from None
    fields.end()
    return plan
