"""The sandbox carrier on a clock that is moved by hand: outcomes, receipts, handsets, the end of a connection."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postdate.clock import SystemClock, TestClock, Timer, breathe
from postdate.connectors.contract import Attachment, CarrierEvent, Connector, Inbound, Receipt, Submission
from postdate.connectors.sandbox import Sandbox
from postdate.connectors.sandbox_handsets import Handsets, Received, Written
from postdate.connectors.sandbox_script import Script
from postdate.core.address import Channel
from postdate.core.instant import DAY, MILLISECOND, MINUTE, SECOND, Instant, Monotonic
from postdate.core.message import Event
from postdate.core.outcome import Accepted, Busy, InDoubt, Outcome, Refused, Unreachable

START = Instant(1_893_456_000_000_000)
HANDSET = "+14155550199"
QR = Attachment("image/png", b"\x89PNG qr", "https://media.example/qr")


def message(sid: str = "SM1", **changes: object) -> Submission:
    plain = Submission(
        sid=sid,
        attempt=1,
        sender="+14155550100",
        recipient=HANDSET,
        channel=Channel.SMS,
        body="Your table is ready",
        segments=1,
        not_before=START,
        expires_at=Instant(START + DAY),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def messages(count: int) -> list[Submission]:
    return [message(f"SM{number}") for number in range(count)]


@dataclass
class Trial:
    """A sandbox on a frozen clock and all that was seen of it, each with the time since START in microseconds."""

    sandbox: Sandbox
    clock: TestClock
    outcomes: list[tuple[int, Submission, Outcome]] = field(default_factory=list)
    events: list[tuple[int, CarrierEvent]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    consumers: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def since(self) -> int:
        return self.clock.now() - START

    async def on_event(self, event: CarrierEvent) -> None:
        await breathe()
        self.events.append((self.since, event))
        self.log.append("event")

    async def consume(self, batch: Sequence[Submission]) -> None:
        async for submission, outcome in self.sandbox.submit(batch):
            self.outcomes.append((self.since, submission, outcome))
            self.log.append("outcome")

    async def submit(self, *batch: Submission) -> None:
        self.consumers.append(asyncio.create_task(self.consume(batch)))
        await self.settle()

    async def settle(self) -> None:
        for _ in range(10):
            await breathe()
        while not self.sandbox.idle:
            await breathe()

    async def advance(self, span: int) -> None:
        await self.clock.advance_to(Instant(self.clock.now() + span), self.settle)

    def is_idle(self) -> bool:
        return self.sandbox.idle

    def receipts(self) -> list[tuple[int, Event, int | None]]:
        return [(at, event.event, event.error_code) for at, event in self.events if isinstance(event, Receipt)]

    def said(self) -> list[tuple[int, Outcome]]:
        return [(at, outcome) for at, _, outcome in self.outcomes]


async def clock_at_start() -> TestClock:
    """A clock that stands at START to the microsecond."""
    clock = TestClock(Instant(START - DAY), frozen=True)
    await clock.advance_to(START, breathe)
    return clock


async def trial(*rules: dict[str, object], dedupe: bool = False, seed: int = 1, keep: int = 10_000) -> Trial:
    clock = await clock_at_start()
    sandbox = Sandbox(clock, seed, Script.parse({"rules": list(rules), "dedupe": dedupe}), keep)
    made = Trial(sandbox, clock)
    await sandbox.open(made.on_event)
    return made


def sids(received: Sequence[Received]) -> list[str]:
    return [one.sid for one in received]


def test_it_is_a_connector() -> None:
    connector: Connector = Sandbox(TestClock(START, frozen=True))
    assert callable(connector.submit)


# --- outcomes --------------------------------------------------------------------------------------------------------

ANSWERS: list[tuple[str, dict[str, object], int, type[Outcome], int]] = [
    ("accepted at once", {}, 0, Accepted, 1),
    ("accepted later", {"delay": "250ms"}, 250 * MILLISECOND, Accepted, 1),
    ("refused", {"answer": "refuse"}, 0, Refused, 0),
    ("refused later", {"answer": "refuse", "delay": "1s"}, SECOND, Refused, 0),
    ("busy", {"answer": "busy"}, 0, Busy, 0),
    ("unreachable", {"answer": "unreachable", "delay": "2s"}, 2 * SECOND, Unreachable, 0),
    ("no answer, but taken", {"answer": "timeout", "delay": "10s"}, 10 * SECOND, InDoubt, 1),
    ("no answer, not taken", {"answer": "timeout", "delay": "10s", "taken": False}, 10 * SECOND, InDoubt, 0),
]


@pytest.mark.parametrize(("rule", "at", "kind", "taken"), [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS])
async def test_the_answer_is_the_scripts(rule: dict[str, object], at: int, kind: type[Outcome], taken: int) -> None:
    tried = await trial(rule)
    await tried.submit(message())
    await tried.advance(MINUTE)
    assert [(when, type(outcome)) for when, outcome in tried.said()] == [(at, kind)]
    assert len(tried.sandbox.inbox(HANDSET)) == tried.sandbox.received_total == taken


async def test_refusals_carry_their_code_and_busy_its_wish() -> None:
    tried = await trial(
        {"recipient": "*1", "answer": "refuse", "code": 30004},
        {"recipient": "*2", "answer": "refuse"},
        {"recipient": "*3", "answer": "busy", "retry_after": "90s"},
        {"recipient": "*4", "answer": "busy"},
    )
    await tried.submit(*(message(f"SM{last}", recipient=f"+1415555010{last}") for last in (1, 2, 3, 4)))
    found = [
        outcome.code if isinstance(outcome, Refused) else outcome.retry_after if isinstance(outcome, Busy) else outcome
        for _, outcome in tried.said()
    ]
    assert found == [30004, 30008, 90 * SECOND, None]


async def test_the_first_rule_that_matches_decides_and_attempts_differ() -> None:
    tried = await trial({"attempt": "1..2", "answer": "busy"}, {"attempt": 3, "answer": "unreachable"})
    for attempt in (1, 2, 3, 4):
        await tried.submit(message(attempt=attempt))
    assert [type(outcome) for _, outcome in tried.said()] == [Busy, Busy, Unreachable, Accepted]


async def test_every_third_that_matches() -> None:
    tried = await trial({"recipient": HANDSET, "every": 3, "answer": "busy"})
    await tried.submit(message("SM0", recipient="+14155550111"), *messages(7))
    kinds = [type(outcome) for _, outcome in tried.said()]
    assert kinds == [Accepted, Accepted, Accepted, Busy, Accepted, Accepted, Busy, Accepted]


@pytest.mark.parametrize(("probability", "least", "most"), [(0, 0, 0), (0.25, 400, 600), (1, 2000, 2000)])
async def test_a_rule_holds_as_often_as_it_says(probability: float, least: int, most: int) -> None:
    tried = await trial({"probability": probability, "answer": "unreachable"})
    await tried.submit(*messages(2000))
    assert least <= sum(isinstance(outcome, Unreachable) for _, outcome in tried.said()) <= most


async def test_a_fast_answer_does_not_wait_for_a_slow_one() -> None:
    tried = await trial({"recipient": "*1", "delay": "5s"}, {"recipient": "*2", "delay": "1s"})
    await tried.submit(*(message(f"SM{last}", recipient=f"+1415555010{last}") for last in (1, 2, 3)))
    await tried.advance(MINUTE)
    assert [(at, submission.sid) for at, submission, _ in tried.outcomes] == [
        (0, "SM3"),
        (SECOND, "SM2"),
        (5 * SECOND, "SM1"),
    ]


async def test_what_has_expired_is_refused() -> None:
    tried = await trial()
    await tried.submit(message("SM1", expires_at=START), message("SM2", expires_at=Instant(START + 1)))
    (_, refused), (_, accepted) = tried.said()
    assert isinstance(refused, Refused)
    assert refused.code == 30036
    assert isinstance(accepted, Accepted)
    assert sids(tried.sandbox.inbox(HANDSET)) == ["SM2"]


async def test_a_new_script_holds_from_the_next_submission_on() -> None:
    tried = await trial({"every": 2, "answer": "busy", "delay": "1s"})
    await tried.submit(message("SM0"), message("SM2"), message("SM1"))
    tried.sandbox.set_script(Script.parse({"rules": [{"every": 2, "answer": "unreachable"}]}))
    await tried.submit(message("SM3"), message("SM4"))
    await tried.advance(SECOND)
    assert [(submission.sid, type(outcome)) for _, submission, outcome in tried.outcomes] == [
        ("SM0", Accepted),
        ("SM1", Accepted),
        ("SM3", Accepted),
        ("SM4", Unreachable),
        ("SM2", Busy),
    ]


# --- never early -----------------------------------------------------------------------------------------------------


async def test_nothing_leaves_before_its_time() -> None:
    tried = await trial()
    await tried.submit(message("SM1", not_before=Instant(START + 100)), message("SM2"))
    assert sids(tried.sandbox.inbox(HANDSET)) == ["SM2"]
    await tried.advance(99)
    assert sids(tried.sandbox.inbox(HANDSET)) == ["SM2"]
    await tried.advance(1)
    assert [(one.sid, one.at) for one in tried.sandbox.inbox(HANDSET)] == [("SM2", START), ("SM1", START + 100)]
    assert [at for at, _ in tried.said()] == [0, 100]


class JumpyClock:
    """A clock whose wall time can be set apart from its waiting time."""

    longest_wait: int | None = 1 * SECOND

    def __init__(self, inner: TestClock) -> None:
        self.inner = inner
        self.ahead = 0

    def now(self) -> Instant:
        return Instant(self.inner.now() + self.ahead)

    def monotonic(self) -> Monotonic:
        return self.inner.monotonic()

    def call_at(self, when: Monotonic, callback: Callable[[], None]) -> Timer:
        return self.inner.call_at(when, callback)


@pytest.mark.parametrize(
    ("jump", "taken_after"),
    [(0, 60 * SECOND), (-30 * SECOND, 90 * SECOND), (45 * SECOND, 15 * SECOND)],
    ids=["steady", "the wall clock is set back", "the wall clock is set forward"],
)
async def test_its_time_is_the_wall_clocks(jump: int, taken_after: int) -> None:
    inner = await clock_at_start()
    clock = JumpyClock(inner)
    tried = Trial(Sandbox(clock), inner)
    await tried.sandbox.open(tried.on_event)
    await tried.submit(message(not_before=Instant(START + MINUTE)))
    clock.ahead = jump
    await tried.advance(taken_after - 1)
    assert tried.sandbox.received_total == 0
    await tried.advance(1)
    assert [one.at for one in tried.sandbox.inbox(HANDSET)] == [START + MINUTE]


# --- receipts --------------------------------------------------------------------------------------------------------

RECEIPTS: list[tuple[str, dict[str, object], list[tuple[int, Event, int | None]]]] = [
    ("delivered", {"receipt": {"delay": "3s"}}, [(3, Event.DELIVER, None)]),
    ("after the answer", {"delay": "2s", "receipt": {"delay": "3s"}}, [(5, Event.DELIVER, None)]),
    ("at once", {"receipt": {"delay": 0}}, [(0, Event.DELIVER, None)]),
    ("lost", {"receipt": "none"}, []),
    (
        "undelivered",
        {"receipt": {"report": "undelivered", "code": 30003, "delay": "1s"}},
        [(1, Event.UNDELIVER, 30003)],
    ),
    ("undelivered, why unknown", {"receipt": {"report": "undelivered", "delay": "1s"}}, [(1, Event.UNDELIVER, 30008)]),
    (
        "read",
        {"receipt": {"delay": "1s", "read_after": "4s"}},
        [(1, Event.DELIVER, None), (5, Event.READ, None)],
    ),
    (
        "read, delivery never told",
        {"receipt": {"report": "none", "delay": "1s", "read_after": "4s"}},
        [(5, Event.READ, None)],
    ),
    ("three times", {"receipt": {"delay": "1s", "copies": 3}}, [(1, Event.DELIVER, None)] * 3),
    ("no answer", {"answer": "timeout", "delay": "9s", "receipt": {"delay": "1s"}}, [(1, Event.DELIVER, None)]),
    ("no answer, not taken", {"answer": "timeout", "taken": False}, []),
    ("refused", {"answer": "refuse"}, []),
    ("busy", {"answer": "busy"}, []),
    ("unreachable", {"answer": "unreachable"}, []),
]


@pytest.mark.parametrize(("rule", "expected"), [row[1:] for row in RECEIPTS], ids=[row[0] for row in RECEIPTS])
async def test_receipts_come_as_told(rule: dict[str, object], expected: list[tuple[int, Event, int | None]]) -> None:
    tried = await trial(rule)
    await tried.submit(message())
    await tried.advance(MINUTE)
    assert tried.receipts() == [(at * SECOND, event, code) for at, event, code in expected]


async def test_by_default_a_receipt_comes_within_two_seconds() -> None:
    tried = await trial()
    await tried.submit(*messages(500))
    await tried.advance(500 * MILLISECOND - 1)
    assert tried.events == []
    await tried.advance(1500 * MILLISECOND + 1)
    whens = {at for at, event, _ in tried.receipts() if event is Event.DELIVER}
    assert len(tried.events) == 500
    assert 10 < len(whens) < 50  # spread out, yet many at one time


async def test_copies_come_each_at_its_own_time() -> None:
    tried = await trial({"receipt": {"delay": "1s..9s", "copies": 5}})
    await tried.submit(message())
    await tried.advance(MINUTE)
    whens = [at for at, _, _ in tried.receipts()]
    assert len(whens) == 5
    assert len(set(whens)) > 1
    assert min(whens) >= SECOND
    assert max(whens) <= 9 * SECOND


@pytest.mark.parametrize("repeats", [True, False])
async def test_a_receipt_names_the_carriers_reference_and_maybe_our_sid(repeats: bool) -> None:
    tried = await trial({"receipt": {"repeats_sid": repeats}})
    await tried.submit(message())
    await tried.advance(MINUTE)
    ((_, outcome),) = tried.said()
    ((_, receipt),) = tried.events
    assert isinstance(outcome, Accepted)
    assert isinstance(receipt, Receipt)
    assert receipt.carrier_ref == outcome.carrier_ref
    assert receipt.sid == ("SM1" if repeats else None)


@pytest.mark.parametrize("delay", [0, 2 * SECOND])
async def test_a_receipt_can_overtake_the_answer(delay: int) -> None:
    tried = await trial(
        {"recipient": HANDSET, "delay": delay, "receipt": {"delay": "1s", "before_answer": True, "copies": 2}},
        {"delay": "9s", "receipt": "none"},
    )
    await tried.submit(message(), message("SM2", recipient="+14155550111"))
    await tried.advance(MINUTE)
    assert tried.receipts() == [(SECOND, Event.DELIVER, None)] * 2
    assert [(at, submission.sid) for at, submission, _ in tried.outcomes] == [
        (SECOND + delay, "SM1"),
        (9 * SECOND, "SM2"),
    ]
    assert tried.log == ["event", "event", "outcome", "outcome"]


async def test_a_receipt_that_overtakes_was_taken_before_the_answer_is_given() -> None:
    tried = await trial({"receipt": {"delay": 0, "before_answer": True}})
    gate = asyncio.Event()

    async def slow(event: CarrierEvent) -> None:
        await gate.wait()
        tried.log.append("taken")

    await tried.sandbox.open(slow)
    consumer = asyncio.create_task(tried.consume([message()]))
    for _ in range(20):
        await breathe()
    assert tried.log == []
    assert not tried.is_idle()
    gate.set()
    await consumer
    assert tried.log == ["taken", "outcome"]


# --- magic recipients ------------------------------------------------------------------------------------------------

MAGIC: list[tuple[str, int, type[Outcome], list[int | None], int]] = [
    ("0001", 1, Accepted, [30005], 0),
    ("0002", 1, Accepted, [30003], 0),
    ("0003", 1, Refused, [], 0),
    ("0004", 1, Accepted, [30007], 0),
    ("0005", 1, Busy, [], 0),
    ("0005", 2, Busy, [], 0),
    ("0005", 3, Accepted, [None], 1),
    ("0006", 1, Accepted, [None], 1),
    ("0007", 1, InDoubt, [], 1),
    ("0007", 2, Accepted, [None], 1),
    ("0008", 1, Accepted, [], 1),
    ("0009", 1, Accepted, [30006], 0),
    ("0010", 1, Accepted, [None], 1),
]


@pytest.mark.parametrize("prefix", ["", "whatsapp:"])
@pytest.mark.parametrize(("last", "attempt", "kind", "codes", "taken"), MAGIC)
async def test_magic_recipients(
    last: str, attempt: int, kind: type[Outcome], codes: list[int | None], taken: int, prefix: str
) -> None:
    number = f"{prefix}+1500555{last}"
    tried = await trial()
    await tried.submit(message(recipient=number, attempt=attempt))
    await tried.advance(MINUTE)
    assert [type(outcome) for _, outcome in tried.said()] == [kind]
    assert [code for _, _, code in tried.receipts()] == codes
    assert len(tried.sandbox.inbox(number)) == taken


async def test_a_script_comes_before_magic() -> None:
    tried = await trial({"recipient": "+15005550003", "answer": "unreachable"})
    await tried.submit(message(recipient="+15005550003"), message("SM2", recipient="+15005550005"))
    assert [type(outcome) for _, outcome in tried.said()] == [Unreachable, Busy]


# --- handsets --------------------------------------------------------------------------------------------------------


async def test_a_handset_shows_what_was_sent_media_included() -> None:
    tried = await trial()
    sent = message(attempt=2, body="Your QR code", segments=3, attachments=(QR,))
    await tried.advance(SECOND)
    await tried.submit(sent)
    assert tried.sandbox.inbox(HANDSET) == (
        Received("SM1", 2, "+14155550100", HANDSET, "Your QR code", 3, (QR,), Instant(START + SECOND)),
    )
    assert tried.sandbox.handsets() == (HANDSET,)
    assert tried.sandbox.inbox("+14155550111") == ()


async def test_a_handset_does_not_get_what_is_undelivered() -> None:
    tried = await trial({"receipt": "undelivered"})
    await tried.submit(message())
    assert tried.sandbox.handsets() == ()
    assert tried.sandbox.received_total == 0


@pytest.mark.parametrize(("dedupe", "shown"), [(False, [1, 2]), (True, [1])])
async def test_a_second_attempt_shows_unless_the_carrier_knows_the_key(dedupe: bool, shown: list[int]) -> None:
    tried = await trial({"attempt": 1, "answer": "timeout", "delay": "1s", "receipt": {"delay": "5s"}}, dedupe=dedupe)
    await tried.submit(message(attempt=1))
    await tried.advance(2 * SECOND)
    await tried.submit(message(attempt=2))
    await tried.advance(MINUTE)
    assert [one.attempt for one in tried.sandbox.inbox(HANDSET)] == shown
    assert len(tried.events) == tried.sandbox.received_total == len(shown)
    accepted = tried.said()[-1][1]
    told = [event.carrier_ref for _, event in tried.events if isinstance(event, Receipt)]
    assert isinstance(accepted, Accepted)
    assert accepted.carrier_ref in told
    assert len(set(told)) == len(shown)


async def test_what_was_not_taken_is_no_duplicate() -> None:
    tried = await trial({"attempt": 1, "answer": "timeout", "taken": False}, dedupe=True)
    await tried.submit(message(attempt=1))
    await tried.submit(message(attempt=2))
    assert [one.attempt for one in tried.sandbox.inbox(HANDSET)] == [2]


async def test_a_carrier_knows_the_last_ten_thousand_keys() -> None:
    tried = await trial(dedupe=True)
    batch = messages(10_000)
    await tried.submit(*batch, batch[0])
    assert tried.sandbox.received_total == 10_000
    await tried.submit(message("SM"), batch[0], batch[-1])
    assert tried.sandbox.received_total == 10_002


@given(st.integers(0, 8), st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([0, 1, 30, 70])), max_size=30))
def test_handsets_keep_the_newest_in_bounded_memory(keep: int, sent: list[tuple[str, int]]) -> None:
    handsets = Handsets(keep)
    mebibytes = {size: Attachment("image/png", bytes(size << 20), "") for size in (0, 1, 30, 70)}
    shown: list[Received] = []
    for number, (handset, size) in enumerate(sent):
        shown.append(Received(f"SM{number}", 1, "x", handset, "", 1, (mebibytes[size],), START))
        handsets.add(shown[-1])
        shown = shown[max(len(shown) - keep, 0) :]
        while len(shown) > 1 and sum(len(one.attachments[0].body) for one in shown) > 64 << 20:
            shown = shown[1:]
        for name in "abc":
            assert sids(handsets.inbox(name)) == [one.sid for one in shown if one.recipient == name]
        assert set(handsets.numbers()) == {one.recipient for one in shown}
    assert handsets.total == len(sent)


async def test_the_count_goes_on_where_memory_ends() -> None:
    tried = await trial(keep=3)
    await tried.submit(*messages(10))
    assert sids(tried.sandbox.inbox(HANDSET)) == ["SM7", "SM8", "SM9"]
    assert tried.sandbox.received_total == 10


def test_less_than_nothing_cannot_be_kept() -> None:
    with pytest.raises(ValueError, match="keep is -1"):
        Sandbox(TestClock(START, frozen=True), keep=-1)


# --- replies ---------------------------------------------------------------------------------------------------------


async def test_a_handset_replies() -> None:
    tried = await trial()
    await tried.sandbox.reply(HANDSET, "+14155550100", "STOP")
    await tried.sandbox.reply(HANDSET, "+14155550100", "look", (QR,))
    assert [event for _, event in tried.events] == [
        Inbound(HANDSET, "+14155550100", "STOP"),
        Inbound(HANDSET, "+14155550100", "look", (QR,)),
    ]


async def test_a_handset_shows_what_it_wrote_beside_what_it_received() -> None:
    tried = await trial(keep=3)
    await tried.submit(message())
    await tried.advance(SECOND)
    written = await tried.sandbox.reply(HANDSET, "+14155550100", "look", (QR,))
    assert written == Written(HANDSET, "+14155550100", "look", (QR,), Instant(START + SECOND))
    (received,) = tried.sandbox.inbox(HANDSET)
    assert tried.sandbox.conversation(HANDSET) == (received, written)
    assert tried.sandbox.received_total == 1
    await tried.submit(message("SM2"), message("SM3"))
    assert [type(one) for one in tried.sandbox.conversation(HANDSET)] == [Written, Received, Received]


async def test_a_reply_has_gone_only_when_it_was_taken() -> None:
    tried = await trial()
    gate = asyncio.Event()

    async def full(event: CarrierEvent) -> None:
        await gate.wait()
        raise OSError("no room on the disk")

    await tried.sandbox.open(full)
    reply = asyncio.create_task(tried.sandbox.reply(HANDSET, "+14155550100", "hello"))
    await breathe()
    assert not reply.done()
    assert not tried.is_idle()
    gate.set()
    with pytest.raises(OSError, match="no room"):
        await reply
    assert tried.sandbox.conversation(HANDSET) == ()
    assert tried.is_idle()
    await tried.sandbox.close()
    with pytest.raises(RuntimeError, match="open it first"):
        await tried.sandbox.reply(HANDSET, "+14155550100", "hello")


# --- carrier events --------------------------------------------------------------------------------------------------


async def test_many_events_are_in_flight_at_once_but_not_all() -> None:
    tried = await trial({"receipt": {"delay": "1s"}})
    running, peak = 0, 0
    gate = asyncio.Event()

    async def counted(event: CarrierEvent) -> None:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await gate.wait()
        running -= 1
        await tried.on_event(event)

    async def some_rounds() -> None:
        for _ in range(20):
            await breathe()

    await tried.sandbox.open(counted)
    await tried.submit(*messages(1000))
    assert tried.is_idle()
    await tried.clock.advance_to(Instant(START + SECOND), some_rounds)
    assert running == 256
    assert not tried.is_idle()
    gate.set()
    await tried.settle()
    assert len(tried.events) == 1000
    assert peak == 256


async def test_a_receipt_that_could_not_be_taken_is_told_again() -> None:
    tried = await trial({"receipt": {"delay": "1s"}})
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context.get("exception")))
    full = OSError("no room on the disk")
    left = {"SM0": 3}

    async def at_times(event: CarrierEvent) -> None:
        assert isinstance(event, Receipt)
        assert event.sid is not None
        if left.get(event.sid, 0):
            left[event.sid] -= 1
            raise full
        await tried.on_event(event)

    await tried.sandbox.open(at_times)
    await tried.submit(*messages(2))
    await tried.advance(MINUTE)
    assert [(at // SECOND, event.sid) for at, event in tried.events if isinstance(event, Receipt)] == [
        (1, "SM1"),
        (1 + 1 + 2 + 4, "SM0"),
    ]
    assert faults == [full] * 3


async def test_a_receipt_that_is_never_taken_is_given_up() -> None:
    tried = await trial({"receipt": {"delay": "1s", "before_answer": True}})
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context["message"]))

    async def never(event: CarrierEvent) -> None:
        raise OSError("no room on the disk")

    await tried.sandbox.open(never)
    await tried.submit(message())
    await tried.advance(DAY)
    assert len(faults) == 20
    assert "tells it again" in str(faults[0])
    assert "gives it up" in str(faults[-1])
    assert [type(outcome) for _, outcome in tried.said()] == [Accepted]  # it waited for the first try only


class CountedTimer:
    """A timer that counts as long as it may ring."""

    def __init__(self, live: set["CountedTimer"]) -> None:
        self.live = live
        self.inner: Timer | None = None
        live.add(self)

    def cancel(self) -> None:
        self.live.discard(self)
        if self.inner is not None:
            self.inner.cancel()


class CountedClock(TestClock):
    """A test clock that counts its timers: all there ever were, and those that may still ring."""

    def __init__(self) -> None:
        super().__init__(Instant(START - DAY), frozen=True)
        self.timers = 0
        self.live: set[CountedTimer] = set()

    def call_at(self, when: Monotonic, callback: Callable[[], None]) -> Timer:
        timer = CountedTimer(self.live)

        def ring() -> None:
            self.live.discard(timer)
            callback()

        self.timers += 1
        timer.inner = super().call_at(when, ring)
        return timer


async def test_a_thousand_messages_share_a_few_timers() -> None:
    clock = CountedClock()
    tried = Trial(Sandbox(clock), clock)
    await tried.sandbox.open(tried.on_event)
    await tried.submit(*(replace(one, not_before=clock.now()) for one in messages(1000)))
    assert clock.timers == 1
    await tried.advance(MINUTE)
    assert len(tried.events) == 1000
    assert clock.timers < 50


async def test_there_is_one_timer_at_a_time_and_none_when_closed() -> None:
    clock = CountedClock()
    tried = Trial(Sandbox(clock), clock)
    await tried.sandbox.open(tried.on_event)
    for later in (30, 20, 10, 40):
        tried.sandbox.set_script(Script.parse({"rules": [{"receipt": {"delay": f"{later}s"}}]}))
        await tried.submit(message(f"SM{later}", not_before=clock.now()))
        assert len(clock.live) == 1
    await tried.advance(15 * SECOND)
    assert len(tried.events) == 1
    await tried.sandbox.close()
    assert clock.live == set()


async def test_on_the_machines_clock() -> None:
    sandbox = Sandbox(SystemClock(), script=Script.parse({"rules": [{"delay": "2ms", "receipt": {"delay": "3ms"}}]}))
    told = asyncio.Event()

    async def on_event(event: CarrierEvent) -> None:
        told.set()

    await sandbox.open(on_event)
    clock = SystemClock()
    begun = clock.monotonic()
    batch = [message(not_before=clock.now(), expires_at=Instant(clock.now() + DAY))]
    outcomes = [outcome async for _, outcome in sandbox.submit(batch)]
    assert clock.monotonic() - begun >= 2 * MILLISECOND
    assert [type(outcome) for outcome in outcomes] == [Accepted]
    await asyncio.wait_for(told.wait(), 30)
    assert clock.monotonic() - begun >= 5 * MILLISECOND
    await sandbox.close()


# --- idle, drain, close ----------------------------------------------------------------------------------------------


async def test_it_is_not_idle_while_an_outcome_lies_untaken() -> None:
    tried = await trial()
    outcomes = tried.sandbox.submit(messages(2)).__aiter__()
    assert tried.is_idle()
    await anext(outcomes)
    assert not tried.is_idle()
    await anext(outcomes)
    assert tried.is_idle()


async def test_drain_waits_for_the_last_outcome() -> None:
    tried = await trial({"recipient": "*1", "delay": "5s"}, {"recipient": "*2", "answer": "timeout", "delay": "9s"})
    await tried.submit(message("SM1", recipient="+14155550101"), message("SM2", recipient="+14155550102"))
    await tried.submit(message("SM3", not_before=Instant(START + 7 * SECOND)))
    drained = asyncio.create_task(tried.sandbox.drain())
    await tried.advance(9 * SECOND - 1)
    assert not drained.done()
    await tried.advance(1)
    assert drained.done()
    assert len(tried.outcomes) == 3
    await tried.sandbox.drain()


async def test_a_batch_that_nobody_listens_to_holds_nothing_up() -> None:
    tried = await trial({"delay": "5s"})
    await tried.submit(message("SM1"), message("SM2", not_before=Instant(START + SECOND)))
    drained = asyncio.create_task(tried.sandbox.drain())
    tried.consumers[0].cancel()
    await tried.settle()
    assert drained.done()
    assert tried.is_idle()
    await tried.advance(MINUTE)
    assert sids(tried.sandbox.inbox(HANDSET)) == ["SM1"]  # the other had not left yet
    again = asyncio.create_task(tried.sandbox.drain())
    await tried.settle()
    assert again.done()


async def test_an_outcome_that_nobody_takes_is_forgotten_with_its_batch() -> None:
    tried = await trial()
    outcomes = tried.sandbox.submit(messages(2))
    await anext(outcomes)
    assert isinstance(outcomes, AsyncGenerator)
    await outcomes.aclose()
    assert tried.is_idle()


async def test_drain_asks_for_outcomes_not_for_their_taking() -> None:
    tried = await trial({"delay": "1s"})
    outcomes = tried.sandbox.submit([message(not_before=Instant(START + SECOND))])
    first = asyncio.ensure_future(anext(outcomes))
    drained = asyncio.create_task(tried.sandbox.drain())
    await tried.advance(2 * SECOND - 1)
    assert not drained.done()
    await tried.advance(1)
    assert first.done()
    assert drained.done()


CLOSED: list[tuple[str, dict[str, object], int, type[Outcome], int]] = [
    ("not left yet", {}, 60, Unreachable, 0),
    ("accepted, not said", {"delay": "5s"}, 0, InDoubt, 1),
    ("refused, not said", {"answer": "refuse", "delay": "5s"}, 0, InDoubt, 0),
    ("busy, not said", {"answer": "busy", "delay": "5s"}, 0, InDoubt, 0),
    ("not reached so far", {"answer": "unreachable", "delay": "5s"}, 0, Unreachable, 0),
    ("no answer so far", {"answer": "timeout", "delay": "5s"}, 0, InDoubt, 1),
    ("waits for a receipt", {"receipt": {"delay": "5s", "before_answer": True}}, 0, InDoubt, 1),
]


@pytest.mark.parametrize(("rule", "later", "kind", "taken"), [r[1:] for r in CLOSED], ids=[r[0] for r in CLOSED])
async def test_what_is_open_at_the_end_ends_truthfully(
    rule: dict[str, object], later: int, kind: type[Outcome], taken: int
) -> None:
    tried = await trial(rule)
    await tried.submit(message(not_before=Instant(START + later * SECOND)))
    await tried.advance(SECOND)
    assert tried.outcomes == []
    await tried.sandbox.close()
    await tried.sandbox.drain()
    await tried.settle()
    assert [type(outcome) for _, outcome in tried.said()] == [kind]
    await tried.advance(DAY)
    assert len(tried.outcomes) == 1
    assert tried.events == []
    assert tried.sandbox.received_total == taken


async def test_closed_nothing_leaves() -> None:
    tried = await trial()
    await tried.sandbox.close()
    await tried.submit(*messages(2))
    assert [type(outcome) for _, outcome in tried.said()] == [Unreachable, Unreachable]
    assert tried.sandbox.received_total == 0


async def test_receipts_of_a_closed_connection_are_told_once_it_is_opened_again() -> None:
    tried = await trial({"receipt": {"delay": "1s", "read_after": "1h"}})
    await tried.submit(message())
    await tried.sandbox.close()
    await tried.advance(10 * SECOND)
    assert tried.events == []
    await tried.sandbox.open(tried.on_event)
    await tried.settle()
    assert tried.receipts() == [(10 * SECOND, Event.DELIVER, None)]
    await tried.advance(DAY)
    assert tried.receipts()[1:] == [(3601 * SECOND, Event.READ, None)]


async def test_close_waits_for_calls_that_run_and_begins_no_other() -> None:
    tried = await trial({"receipt": {"delay": 0, "before_answer": True}})
    gate = asyncio.Event()

    async def slow(event: CarrierEvent) -> None:
        await gate.wait()
        await tried.on_event(event)

    await tried.sandbox.open(slow)
    consumer = asyncio.create_task(tried.consume(messages(300)))
    for _ in range(10):
        await breathe()
    closing = asyncio.create_task(tried.sandbox.close())
    for _ in range(10):
        await breathe()
    assert not closing.done()
    gate.set()
    await closing
    await consumer
    assert len(tried.events) == 256
    assert Counter(type(outcome) for _, outcome in tried.said()) == {InDoubt: 300}
    await tried.sandbox.open(tried.on_event)
    await tried.settle()
    assert Counter(event.sid for _, event in tried.events if isinstance(event, Receipt)) == Counter(
        submission.sid for submission in messages(300)
    )


# --- for any script --------------------------------------------------------------------------------------------------

DELAYS = st.sampled_from([0, 1, "0s..5ms", "1s", "1s..3s", "20s"])
TAKEN_ANSWERS = st.fixed_dictionaries(
    {
        "answer": st.sampled_from(["accept", "timeout"]),
        "receipt": st.one_of(
            st.sampled_from(["delivered", "undelivered", "none"]),
            st.fixed_dictionaries(
                {"delay": DELAYS, "copies": st.integers(1, 3), "before_answer": st.booleans()},
                optional={"read_after": DELAYS},
            ),
        ),
    }
)
OTHER_ANSWERS = st.one_of(
    st.just({"answer": "timeout", "taken": False}),
    st.sampled_from(["refuse", "busy", "unreachable"]).map(lambda answer: {"answer": answer}),
)
CONDITIONS = st.fixed_dictionaries(
    {"delay": DELAYS},
    optional={
        "recipient": st.sampled_from(["*1", "*[0-4]", "+14155550102"]),
        "probability": st.sampled_from([0, 0.3, 0.9, 1]),
        "attempt": st.sampled_from([1, 2, "2.."]),
    },
)
RULES = st.tuples(CONDITIONS, st.one_of(TAKEN_ANSWERS, OTHER_ANSWERS)).map(lambda parts: parts[0] | parts[1])
NUMBERED = st.tuples(RULES, st.integers(1, 3)).map(lambda parts: parts[0] | {"every": parts[1]})
SCRIPTS = st.fixed_dictionaries({"rules": st.lists(RULES, max_size=4), "dedupe": st.booleans()})
BATCHES = st.lists(
    st.builds(
        lambda number, attempt, last, later, lives: message(
            f"SM{number}",
            attempt=attempt,
            recipient=f"+1415555010{last}",
            not_before=Instant(START + later),
            expires_at=Instant(START + later + lives),
        ),
        st.integers(0, 10**6),
        st.integers(1, 3),
        st.integers(0, 9),
        st.sampled_from([0, 0, 0, 5, 2 * SECOND]),
        st.sampled_from([0, 1, DAY, DAY, DAY]),
    ),
    max_size=12,
    unique_by=lambda submission: submission.sid,
)


def run(scenario: Awaitable[None]) -> None:
    async def whole() -> None:
        await scenario

    asyncio.run(whole())


@settings(max_examples=60)
@given(SCRIPTS, BATCHES, st.integers(0, 1000), st.randoms(use_true_random=False))
def test_the_same_seed_gives_the_same_in_any_order(
    script: dict[str, object], batch: list[Submission], seed: int, order: random.Random
) -> None:
    async def seen(batches: list[list[Submission]]) -> tuple[object, ...]:
        clock = await clock_at_start()
        tried = Trial(Sandbox(clock, seed, Script.parse(script)), clock)
        await tried.sandbox.open(tried.on_event)
        for part in batches:
            await tried.submit(*part)
        await tried.advance(5 * MINUTE)
        return (
            sorted((at, submission.sid, str(outcome)) for at, submission, outcome in tried.outcomes),
            sorted((at, str(event)) for at, event in tried.events),
            sorted(str(one) for number in tried.sandbox.handsets() for one in tried.sandbox.inbox(number)),
        )

    async def compare() -> None:
        shuffled = order.sample(batch, len(batch))
        cut = order.randint(0, len(batch))
        assert await seen([batch]) == await seen([batch]) == await seen([shuffled[:cut], shuffled[cut:]])

    run(compare())


def test_another_seed_gives_another_result() -> None:
    async def refused(seed: int) -> list[str]:
        tried = await trial({"probability": 0.5, "answer": "refuse"}, seed=seed)
        await tried.submit(*messages(64))
        return [submission.sid for _, submission, outcome in tried.outcomes if isinstance(outcome, Refused)]

    async def compare() -> None:
        assert await refused(1) == await refused(1)
        assert len({tuple(await refused(seed)) for seed in range(10)}) == 10

    run(compare())


@settings(max_examples=80)
@given(
    st.fixed_dictionaries({"rules": st.lists(NUMBERED, max_size=4), "dedupe": st.booleans()}),
    st.lists(BATCHES, max_size=3),
    st.none() | st.sampled_from([0, 1, 3 * MILLISECOND, SECOND, 2 * SECOND, 10 * SECOND]),
)
def test_each_submission_has_exactly_one_outcome(
    script: dict[str, object], written: list[list[Submission]], close_after: int | None
) -> None:
    async def scenario() -> None:
        clock = await clock_at_start()
        tried = Trial(Sandbox(clock, script=Script.parse(script)), clock)
        await tried.sandbox.open(tried.on_event)
        batches = [
            [replace(submission, sid=f"{submission.sid}-{number}") for submission in batch]
            for number, batch in enumerate(written)
        ]
        for batch in batches:
            await tried.submit(*batch)
        if close_after is not None:
            await tried.advance(close_after)
            await tried.sandbox.close()
        await tried.advance(5 * MINUTE)
        await tried.sandbox.drain()
        await asyncio.gather(*tried.consumers)
        due = Counter(submission for batch in batches for submission in batch)
        assert Counter(submission for _, submission, _ in tried.outcomes) == due
        may_be_taken = {
            (submission.sid, submission.attempt): submission.not_before
            for _, submission, outcome in tried.outcomes
            if isinstance(outcome, Accepted | InDoubt)
        }
        for number in tried.sandbox.handsets():
            for one in tried.sandbox.inbox(number):
                assert one.at >= may_be_taken[one.sid, one.attempt]

    run(scenario())
