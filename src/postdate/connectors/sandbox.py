"""The sandbox: a carrier inside the process that does as its script says, and remembers what handsets received.

Nothing here depends on luck: what happens to an attempt follows from the seed, its SID and its number (and, for rules
with `every`, from the order of arrival). A message is on its handset when the carrier takes it; answers and receipts
follow by the clock. The carrier outlives its connection: receipts that come due while it is closed are told when it
is opened again, and a receipt that could not be taken is told again. Rules and magic recipients: `sandbox_script`.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, assert_never

from postdate.clock import Clock
from postdate.connectors.contract import Attachment, Condition, Inbound, OnEvent, Receipt, State, Submission
from postdate.connectors.sandbox_agenda import Agenda
from postdate.connectors.sandbox_handsets import Handsets, Received, Shown, Written
from postdate.connectors.sandbox_script import Answer, Chance, Report, Rule, Script, usual_rule
from postdate.core.instant import Instant, Monotonic
from postdate.core.outcome import InDoubt, Outcome, Refused, Unreachable, retry_at

_CALLS_AT_ONCE: Final = 256  # calls of on_event in flight: a group commit takes them in one go
_KNOWN_SIDS: Final = 10_000
_MOST_TRIES: Final = 20
_NO_RULES: Final = Script()
_CLOSED: Final = "the sandbox is not open"


# --- what waits for the clock ----------------------------------------------------------------------------------------


class _Moment(NamedTuple):
    at: Instant
    waited: Monotonic


@dataclass(slots=True, eq=False)
class Exchange:
    """Batches of one caller: outcomes that nobody has taken yet, and how many are still to come."""

    ready: deque[tuple[Submission, Outcome]] = field(default_factory=deque)
    unanswered: int = 0
    more: asyncio.Event = field(default_factory=asyncio.Event)
    given_up: bool = False


@dataclass(slots=True, eq=False)
class _Early:
    """A submission that must not leave yet."""

    exchange: Exchange
    submission: Submission


@dataclass(slots=True, eq=False)
class _Answering:
    """An answer on its way, `delay` microseconds after what it waits for."""

    exchange: Exchange
    submission: Submission
    outcome: Outcome
    delay: int


@dataclass(slots=True, eq=False)
class _Telling:
    """A receipt on its way, and the answer that waits for it."""

    receipt: Receipt
    then: _Answering | None = None
    tries: int = 0


_Waiting = _Early | _Answering | _Telling


# --- the carrier -----------------------------------------------------------------------------------------------------


class Sandbox:
    """The simulated carrier: one heap of times and one timer for all that waits. Owned by one event loop."""

    def __init__(self, clock: Clock, seed: int = 1, script: Script = _NO_RULES, keep: int = 10_000) -> None:
        self.condition = Condition()
        self._clock = clock
        self._seed = seed
        self._script = script
        self._counts = [0] * len(script.rules)
        self._handsets = Handsets(keep)
        self._taken: OrderedDict[str, str] = OrderedDict()
        self._on_event: OnEvent | None = None
        self._exchanges: set[Exchange] = set()
        self._unanswered = 0
        self._drainers: list[asyncio.Future[None]] = []
        self._agenda: Agenda[_Waiting] = Agenda(clock, self._happen)
        self._news: deque[_Telling] = deque()
        self._feeding: asyncio.Task[None] | None = None
        self._replies = 0

    @property
    def idle(self) -> bool:
        """Say whether all that is still to happen waits for the clock: no call runs, no outcome lies untaken."""
        if self._feeding is not None or self._replies:
            return False
        return not any(exchange.ready for exchange in self._exchanges)

    @property
    def received_total(self) -> int:
        """Return how many messages handsets have received, those no longer shown included."""
        return self._handsets.total

    def inbox(self, number: str) -> Sequence[Received]:
        """Return what the handset of `number` (the recipient as submitted) has received, oldest first."""
        return self._handsets.inbox(number)

    def conversation(self, number: str) -> Sequence[Shown]:
        """Return all that a handset shows, its replies included, oldest first."""
        return self._handsets.conversation(number)

    def reference_of(self, sid: str) -> str | None:
        """Return the carrier's reference of a message that it has, as far as it remembers: ten thousand."""
        return self._taken.get(sid)

    def handsets(self) -> Sequence[str]:
        """Return the numbers of the handsets that show something."""
        return self._handsets.numbers()

    def set_script(self, script: Script) -> None:
        """Follow `script` from the next submission on; what was submitted goes on as it began."""
        self._script = script
        self._counts = [0] * len(script.rules)

    async def reply(
        self, from_handset: str, to_sender: str, body: str, attachments: tuple[Attachment, ...] = ()
    ) -> Written:
        """Send a message from a handset to one of our senders; it is on disk when this returns. Raise as its taker."""
        if self._on_event is None:
            raise RuntimeError(f"{_CLOSED}: a reply has nobody to go to; open it first")
        self._replies += 1
        try:
            await self._on_event(Inbound(from_handset, to_sender, body, attachments))
            written = Written(from_handset, to_sender, body, attachments, self._clock.now())
            self._handsets.add(written)
            return written
        finally:
            self._replies -= 1

    async def open(self, on_event: OnEvent) -> None:
        """Start, or go on with another receiver; carrier events go to `on_event`, up to 256 at once."""
        self._on_event = on_event
        self.condition.state = State.READY
        self._agenda.start()
        self._feed_news()

    async def submit(self, batch: Sequence[Submission]) -> AsyncIterator[tuple[Submission, Outcome]]:
        """Hand over the whole batch when first asked; yield each outcome as it is known."""
        exchange = Exchange()
        try:
            self.hand_over(batch, exchange)
            ready = exchange.ready
            for _ in range(len(batch)):
                while not ready:
                    exchange.more.clear()
                    await exchange.more.wait()
                yield ready.popleft()
        finally:
            exchange.given_up = True
            self._exchanges.discard(exchange)
            self._count_off(exchange, exchange.unanswered)

    async def drain(self) -> None:
        """Return when nothing that was submitted is without an outcome."""
        while self._unanswered:
            answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._drainers.append(answered)
            await answered

    async def close(self) -> None:
        """Stop: what the carrier has or may have ends as InDoubt, what never left as Unreachable.

        Calls of on_event that run are waited for; receipts not told yet wait for the next `open`.
        """
        self._on_event = None
        self.condition.state = State.CLOSED
        for when, entry in self._agenda.stop():
            self._break_off(when, entry)
        for telling in self._news:
            self._forgo_answer(telling)
        if self._feeding is not None:
            await asyncio.wait([self._feeding])

    # --- taking submissions ---

    def hand_over(self, batch: Sequence[Submission], exchange: Exchange) -> None:
        """Hand over a batch for a caller without a loop of his own: what is known at once is `ready` on return."""
        self._exchanges.add(exchange)
        if self._on_event is None:
            exchange.ready.extend((submission, Unreachable(_CLOSED)) for submission in batch)
            return
        moment = self._moment()
        for submission in batch:
            if submission.not_before > moment.at:
                self._count_on(exchange)
                self._keep_back(_Early(exchange, submission), moment)
                continue
            outcome = self._take(submission, exchange, moment)
            if outcome is not None:
                exchange.ready.append((submission, outcome))
        self._agenda.catch_up()

    def _keep_back(self, early: _Early, moment: _Moment) -> None:
        wait = early.submission.not_before - moment.at
        if self._clock.longest_wait is not None:
            wait = min(wait, self._clock.longest_wait)
        self._agenda.add(Monotonic(moment.waited + wait), early)

    def _take(self, submission: Submission, exchange: Exchange, moment: _Moment) -> Outcome | None:
        """Return the outcome, or None where it comes later: then it is counted as unanswered."""
        if submission.expires_at <= moment.at:
            return Refused(30036, "it had expired when it reached the carrier")
        chance = Chance(self._seed, submission)
        rule = self._choose(submission, chance)
        delay = chance.length(rule.delay, moment.at, "answer")
        carrier_ref = f"SB{submission.sid}-{submission.attempt}"
        known = self._taken.get(submission.sid) if self._script.dedupe else None
        outcome = rule.outcome(known or carrier_ref)
        fresh = rule.takes and known is None
        receipt_first = fresh and rule.receipt.before_answer
        answering: _Answering | None = None
        if delay or receipt_first:
            self._count_on(exchange)
            answering = _Answering(exchange, submission, outcome, delay)
        if fresh:
            self._show(submission, rule, carrier_ref, moment.at)
            # What is never answered is reported from when it was taken.
            pause = 0 if receipt_first or rule.answer is Answer.TIMEOUT else delay
            receipts = rule.receipt.receipts(submission, carrier_ref, Instant(moment.at + pause), chance)
            self._report(receipts, Monotonic(moment.waited + pause), answering if receipt_first else None)
        if answering is None:
            return outcome
        if not receipt_first:
            self._agenda.add(Monotonic(moment.waited + delay), answering)
        return None

    def _choose(self, submission: Submission, chance: Chance) -> Rule:
        for index, rule in enumerate(self._script.rules):
            if not rule.matches(submission):
                continue
            self._counts[index] += 1
            if self._counts[index] % rule.every:
                continue
            if rule.probability < 1 and chance.draw(f"rule {index}") >= rule.probability:
                continue
            return rule
        return usual_rule(submission)

    def _show(self, submission: Submission, rule: Rule, carrier_ref: str, at: Instant) -> None:
        self._taken[submission.sid] = carrier_ref
        if len(self._taken) > _KNOWN_SIDS:
            self._taken.popitem(last=False)
        if rule.receipt.report is not Report.UNDELIVERED:
            self._handsets.add(
                Received(
                    submission.sid,
                    submission.attempt,
                    submission.sender,
                    submission.recipient,
                    submission.body,
                    submission.segments,
                    submission.attachments,
                    at,
                )
            )

    def _report(self, receipts: Sequence[tuple[int, Receipt]], since: Monotonic, then: _Answering | None) -> None:
        for delay, receipt in receipts:
            self._agenda.add(Monotonic(since + delay), _Telling(receipt, then))
            then = None

    # --- outcomes ---

    def _count_on(self, exchange: Exchange) -> None:
        exchange.unanswered += 1
        self._unanswered += 1

    def _count_off(self, exchange: Exchange, answered: int) -> None:
        exchange.unanswered -= answered
        self._unanswered -= answered
        if not self._unanswered:
            drainers, self._drainers = self._drainers, []
            for drainer in drainers:
                if not drainer.done():
                    drainer.set_result(None)

    def _answer(self, exchange: Exchange, submission: Submission, outcome: Outcome) -> None:
        if not exchange.given_up:
            exchange.ready.append((submission, outcome))
            exchange.more.set()
            self._count_off(exchange, 1)

    def _cut_short(self, answering: _Answering) -> None:
        outcome = answering.outcome
        if not isinstance(outcome, Unreachable):
            outcome = InDoubt("the sandbox was closed before it answered")
        self._answer(answering.exchange, answering.submission, outcome)

    def _break_off(self, when: Monotonic, entry: _Waiting) -> None:
        match entry:
            case _Early():
                self._answer(entry.exchange, entry.submission, Unreachable(_CLOSED))
            case _Answering():
                self._cut_short(entry)
            case _Telling():
                self._forgo_answer(entry)
                self._agenda.add(when, entry)
            case _:
                assert_never(entry)

    def _forgo_answer(self, telling: _Telling) -> None:
        if telling.then is not None:
            self._cut_short(telling.then)
            telling.then = None

    # --- the clock ---

    def _moment(self) -> _Moment:
        return _Moment(self._clock.now(), self._clock.monotonic())

    def _happen(self, entry: _Waiting) -> None:
        match entry:
            case _Early():
                self._try_early(entry)
            case _Answering():
                self._answer(entry.exchange, entry.submission, entry.outcome)
            case _Telling():
                self._news.append(entry)
                self._feed_news()
            case _:
                assert_never(entry)

    def _try_early(self, early: _Early) -> None:
        moment = self._moment()
        if early.exchange.given_up:
            return
        if early.submission.not_before > moment.at:  # the wall clock went back, or was not asked to the end
            self._keep_back(early, moment)
            return
        outcome = self._take(early.submission, early.exchange, moment)
        if outcome is not None:
            self._answer(early.exchange, early.submission, outcome)
        else:
            self._count_off(early.exchange, 1)  # what comes later was counted anew

    # --- carrier events ---

    def _feed_news(self) -> None:
        if self._news and self._feeding is None and self._on_event is not None:
            self._feeding = asyncio.create_task(self._feed())

    async def _feed(self) -> None:
        try:
            while self._news and (on_event := self._on_event) is not None:
                chunk = [self._news.popleft() for _ in range(min(len(self._news), _CALLS_AT_ONCE))]
                results = await asyncio.gather(
                    *(on_event(telling.receipt) for telling in chunk), return_exceptions=True
                )
                for telling, result in zip(chunk, results, strict=True):
                    self._told(telling, result)
                self._agenda.catch_up()
        finally:
            self._feeding = None

    def _told(self, telling: _Telling, result: BaseException | None) -> None:
        moment = self._moment()
        then, telling.then = telling.then, None
        if result is not None:
            self._tell_again(telling, result, moment)
        if then is None:
            return
        if self._on_event is None:
            self._cut_short(then)
        else:
            self._agenda.add(Monotonic(moment.waited + then.delay), then)

    def _tell_again(self, telling: _Telling, error: BaseException, moment: _Moment) -> None:
        telling.tries += 1
        again = telling.tries < _MOST_TRIES
        message = "a receipt could not be taken; the sandbox " + ("tells it again" if again else "gives it up")
        asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})
        if again:
            pause = retry_at(moment.at, telling.tries, None, 0.0) - moment.at
            self._agenda.add(Monotonic(moment.waited + pause), telling)
