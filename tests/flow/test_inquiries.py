"""What is in doubt is asked about, where its carrier can be asked; it goes again only where that is certain."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from postdate.connectors.contract import Receipt, Submission
from postdate.core.instant import SECOND
from postdate.core.message import Event, Message, Status
from postdate.core.outcome import Accepted, DoubtPolicy, InDoubt, Unreachable
from postdate.core.resources import Resource
from postdate.flow.inquiries import ANSWER_SECONDS, ASK_AFTER, MOST_AT_ONCE, Inquiries
from postdate.flow.open_connection import OpenConnection
from postdate.store.contract import StoreUnavailable
from tests.flow.building import (
    Flow,
    Keeps,
    RecordingCarrier,
    Setup,
    WatchedStore,
    a_sender,
    a_service,
    accept,
    is_idle,
    recipient,
    until,
)

Verdict = Accepted | Unreachable | InDoubt
NOBODY_KNOWS = InDoubt("nobody knows")
ASKED_AFTER = [sum(ASK_AFTER[: n + 1]) / SECOND for n in range(len(ASK_AFTER))]
IN_THE_END = ASKED_AFTER[-1] + 10
_ASKING = Setup(doubt=DoubtPolicy.QUERY)


class AskedCarrier(RecordingCarrier):
    """A carrier that can be asked: `verdicts` are its answers in turn, and then it does not know."""

    def __init__(self, flow: Flow) -> None:
        super().__init__(flow.clock, flow.power, lambda submission: InDoubt("no answer"))
        self._now = flow.clock.now
        self.verdicts: list[Verdict] = []
        self.asked: list[tuple[str, int]] = []  # of which message, and when
        self.at_once = 0
        self.gate: asyncio.Event | None = None
        self.breaks: Exception | None = None

    async def ask(self, submission: Submission) -> Verdict:
        """Answer a question."""
        self.asked.append((submission.sid, self._now()))
        if self.breaks is not None:
            raise self.breaks
        if self.gate is not None:
            self.at_once += 1
            await self.gate.wait()
        return self.verdicts.pop(0) if self.verdicts else NOBODY_KNOWS


class AskingFlow(Flow):
    """A flow that asks about what is in doubt."""

    def __init__(self, folder: Path, setup: Setup) -> None:
        super().__init__(folder, setup=setup)
        self.asked = AskedCarrier(self)
        self.carrier = self.asked

    async def start(self, *resources: Resource, watch: Callable[[WatchedStore], None] | None = None) -> None:
        """Start a run of the node."""
        await super().start(*resources, watch=watch)
        self.inquiries = Inquiries(self.store, self.clock)
        self.lanes.inquire, self.inquiries.again = self.inquiries.begin, self.lanes.again
        self.inquiries.find = self.lanes.find

    async def stop(self) -> None:
        """Stop as a node does."""
        await self.inquiries.stop()
        await super().stop()

    async def kill(self) -> None:
        """End as a killed process does: what is asked about is just not asked about any more."""
        self.power.cut()
        await self.inquiries.stop()
        await super().kill()

    @property
    def quiet(self) -> bool:
        """Say whether all that could happen now has happened."""
        return super().quiet and self.inquiries.idle

    async def doubt(self, count: int = 1) -> list[Message]:
        """Send messages whose outcome nobody knows."""
        messages = await self.send_many(count)
        await self.settle()
        assert sorted(self.carrier.sids) == sorted(message.sid for message in messages)
        return messages


@asynccontextmanager
async def asking(folder: Path, setup: Setup = _ASKING) -> AsyncIterator[AskingFlow]:
    """Run a flow whose one connection is to be asked."""
    flow = AskingFlow(folder, setup)
    await flow.start(flow.account, a_service(), a_sender())
    try:
        yield flow
    finally:
        await flow.kill()


@pytest.fixture
async def flow(tmp_path: Path) -> AsyncIterator[AskingFlow]:
    """Give a flow whose connection's policy is to ask."""
    async with asking(tmp_path) as running:
        yield running


async def is_in_doubt(flow: Flow, message: Message) -> bool:
    """Say whether a message shows as in doubt."""
    found = await flow.read(message)
    return found.status is Status.SENDING and found.doubt_at is not None


# --- the three answers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unknown", range(len(ASK_AFTER)))
async def test_what_the_carrier_has_was_handed_over(flow: AskingFlow, unknown: int) -> None:
    flow.asked.verdicts = [*[NOBODY_KNOWS] * unknown, Accepted("found")]
    (message,) = await flow.doubt()
    at = flow.clock.now()
    await flow.advance(IN_THE_END)
    found = await flow.read(message)
    assert (found.status, found.carrier_ref, found.doubt_at) == (Status.SENT, "found", None)
    assert flow.asked.asked == [(message.sid, at + round(after * SECOND)) for after in ASKED_AFTER[: unknown + 1]]
    assert flow.carrier.sids == [message.sid]
    await flow.carrier.report(Receipt("found", Event.DELIVER))
    assert (await flow.read(message)).status is Status.DELIVERED


NOT_THERE = Unreachable("not there")
GOES_AGAIN: list[tuple[list[Verdict], int | None]] = [
    ([NOT_THERE, NOT_THERE, NOT_THERE], 2),
    ([NOBODY_KNOWS, NOT_THERE, NOT_THERE], 2),
    ([NOBODY_KNOWS, NOBODY_KNOWS, NOT_THERE, NOT_THERE], 3),
    ([NOT_THERE, NOBODY_KNOWS, NOT_THERE, NOBODY_KNOWS, NOT_THERE], None),
    ([NOT_THERE, NOT_THERE, NOBODY_KNOWS], None),  # twice, and too soon: a slow carrier may have it yet
    ([NOBODY_KNOWS, NOBODY_KNOWS, NOBODY_KNOWS, NOBODY_KNOWS, NOT_THERE], None),
]


@pytest.mark.parametrize(("verdicts", "when"), GOES_AGAIN)
async def test_what_it_has_not_for_certain_goes_again_under_the_same_sid(
    flow: AskingFlow, verdicts: list[Verdict], when: int | None
) -> None:
    flow.asked.verdicts = list(verdicts)
    (message,) = await flow.doubt()
    flow.carrier.script = accept
    await flow.advance(ASKED_AFTER[-1 if when is None else when] - 1)
    assert flow.carrier.sids == [message.sid], "not before it is certain"
    await flow.advance(IN_THE_END)
    found = await flow.read(message)
    if when is None:
        assert flow.carrier.sids == [message.sid]
        assert await is_in_doubt(flow, message)
    else:
        assert (found.status, found.doubt_at, found.attempts) == (Status.SENT, None, 2)
        assert [(one.sid, one.submission.attempt) for one in flow.carrier.submitted] == [
            (message.sid, 1),
            (message.sid, 2),
        ]


async def test_what_goes_again_is_in_doubt_until_that_attempt_is_answered(flow: AskingFlow) -> None:
    flow.asked.verdicts = [NOT_THERE] * len(ASK_AFTER)
    (message,) = await flow.doubt()
    flow.carrier.script = lambda submission: Keeps()
    await flow.advance(ASKED_AFTER[2] + 5)
    assert flow.carrier.kept == [message.sid]
    assert await is_in_doubt(flow, message)
    flow.carrier.tell(message.sid, Accepted("second"))
    await flow.advance(1)
    found = await flow.read(message)
    assert (found.status, found.doubt_at, found.carrier_ref) == (Status.SENT, None, "second")


async def test_what_goes_again_and_is_in_doubt_again_is_asked_about_again(flow: AskingFlow) -> None:
    flow.asked.verdicts = [NOT_THERE, NOT_THERE, NOT_THERE, Accepted("found")]
    (message,) = await flow.doubt()
    await flow.advance(IN_THE_END)
    assert (await flow.read(message)).carrier_ref == "found"
    assert (len(flow.asked.asked), flow.carrier.sids) == (4, [message.sid] * 2)


async def test_what_nobody_ever_knows_stays_in_doubt_and_never_goes_again(flow: AskingFlow) -> None:
    (message,) = await flow.doubt()
    await flow.advance(1)
    assert await is_in_doubt(flow, message), "also while it is asked about"
    await flow.advance(86_400)
    assert await is_in_doubt(flow, message)
    assert len(flow.asked.asked) == len(ASK_AFTER)
    assert flow.carrier.sids == [message.sid]
    await flow.restart()
    await flow.advance(86_400)
    assert len(flow.asked.asked) == len(ASK_AFTER)
    assert await is_in_doubt(flow, message)


async def test_others_go_on_while_one_is_asked_about(flow: AskingFlow) -> None:
    await flow.doubt()
    flow.carrier.script = accept
    other = await flow.send(recipient=recipient(2))
    await flow.advance(1)
    assert (await flow.read(other)).status is Status.SENT


async def test_a_receipt_while_it_is_asked_about_counts_and_nothing_goes_again(flow: AskingFlow) -> None:
    flow.asked.verdicts = [NOT_THERE] * len(ASK_AFTER)
    (message,) = await flow.doubt()
    await flow.carrier.report(Receipt("x", Event.DELIVER, sid=message.sid))
    await flow.advance(IN_THE_END)
    assert (await flow.read(message)).status is Status.DELIVERED
    assert flow.carrier.sids == [message.sid]


async def test_what_expired_meanwhile_does_not_go_again_and_is_never_called_failed(flow: AskingFlow) -> None:
    flow.asked.verdicts = [NOT_THERE] * len(ASK_AFTER)
    message = await flow.send(validity=60)
    await flow.advance(IN_THE_END)
    assert flow.carrier.sids == [message.sid]
    assert await is_in_doubt(flow, message)


async def test_what_has_lost_its_sender_meanwhile_does_not_go_again(flow: AskingFlow) -> None:
    flow.asked.verdicts = [NOT_THERE] * len(ASK_AFTER)
    (message,) = await flow.doubt()
    await flow.directory.remove(a_sender().sid)
    await flow.advance(IN_THE_END)
    assert flow.carrier.sids == [message.sid]
    assert await is_in_doubt(flow, message)


@pytest.mark.parametrize("restarted", [False, True])
async def test_what_its_connection_had_never_goes_to_another(flow: AskingFlow, restarted: bool) -> None:
    flow.asked.verdicts = [NOT_THERE] * len(ASK_AFTER)
    (message,) = await flow.doubt()
    other = RecordingCarrier(flow.clock, flow.power)
    await flow.directory.put(a_sender(connection="other"))
    if restarted:
        await flow.restart()
        other.power = flow.power
    flow.lanes.use(OpenConnection("other", other, DoubtPolicy.RETRY))
    await flow.advance(IN_THE_END)
    assert other.sids == []
    assert flow.carrier.sids == [message.sid]
    assert await is_in_doubt(flow, message)


async def test_a_connection_that_is_gone_cannot_be_asked(flow: AskingFlow) -> None:
    (message,) = await flow.doubt()
    flow.lanes.leave("sandbox")
    await flow.advance(IN_THE_END)
    assert flow.asked.asked == []
    assert await is_in_doubt(flow, message)


async def test_the_connection_as_it_is_now_is_asked(flow: AskingFlow) -> None:
    (message,) = await flow.doubt()
    newer = AskedCarrier(flow)
    newer.verdicts = [Accepted("found")]
    flow.lanes.use(OpenConnection("sandbox", newer, DoubtPolicy.QUERY))
    await flow.advance(IN_THE_END)
    assert (await flow.read(message)).carrier_ref == "found"
    assert (len(flow.asked.asked), len(newer.asked)) == (0, 1)


@pytest.mark.parametrize("doubt", [DoubtPolicy.HOLD, DoubtPolicy.RETRY])
async def test_other_policies_ask_nobody(tmp_path: Path, doubt: DoubtPolicy) -> None:
    async with asking(tmp_path, Setup(doubt=doubt)) as flow:
        flow.carrier.script = lambda submission: Keeps()
        await flow.doubt()
        flow.carrier.script = accept
        await flow.restart()
        await flow.advance(IN_THE_END)
        assert flow.asked.asked == []


async def test_a_carrier_that_cannot_be_asked_leaves_it_in_doubt(tmp_path: Path) -> None:
    async with asking(tmp_path) as flow:
        flow.lanes.connections["sandbox"].connector = RecordingCarrier(
            flow.clock, flow.power, lambda submission: InDoubt("no answer")
        )
        message = await flow.send()
        await flow.advance(1)
        assert await is_in_doubt(flow, message)


# --- trouble ---------------------------------------------------------------------------------------------------------

VERDICTS: Sequence[tuple[Verdict, int]] = [(Accepted("found"), 1), (NOT_THERE, 2), (NOBODY_KNOWS, 1)]


@pytest.mark.parametrize(("verdict", "times"), VERDICTS, ids=["has it", "has it not", "nobody knows"])
@pytest.mark.parametrize("failures", [1, 3])
async def test_what_cannot_be_recorded_is_recorded_later(
    flow: AskingFlow, verdict: Verdict, times: int, failures: int
) -> None:
    flow.asked.verdicts = [verdict] * len(ASK_AFTER)
    (message,) = await flow.doubt()
    flow.carrier.script = accept
    flow.store.fail("record", *[StoreUnavailable("away")] * failures)
    await flow.advance(IN_THE_END)
    assert flow.carrier.sids == [message.sid] * times
    assert await is_in_doubt(flow, message) == (verdict is NOBODY_KNOWS)


@pytest.mark.parametrize("asked", range(len(ASK_AFTER)))
@pytest.mark.parametrize(("verdict", "times"), VERDICTS[:2], ids=["has it", "has it not"])
@pytest.mark.parametrize("kill", [True, False], ids=["crash", "stop"])
async def test_who_is_interrupted_asks_again_at_the_next_start(
    flow: AskingFlow, kill: bool, verdict: Verdict, times: int, asked: int
) -> None:
    (message,) = await flow.doubt()
    await flow.advance(([0, *ASKED_AFTER])[asked] + 0.5)
    assert len(flow.asked.asked) == asked
    await asyncio.wait_for(flow.restart(kill), ANSWER_SECONDS - 5)
    flow.carrier.script, flow.asked.verdicts = accept, [verdict] * len(ASK_AFTER)
    await flow.advance(IN_THE_END)
    assert len(flow.asked.asked) == asked + (1 if verdict is not NOT_THERE else 3)
    assert (await flow.read(message)).status is Status.SENT
    assert flow.carrier.sids == [message.sid] * times


async def test_a_crash_before_the_answer_is_a_doubt_that_is_asked_about(flow: AskingFlow) -> None:
    flow.carrier.script = lambda submission: Keeps()
    (message,) = await flow.doubt()
    await flow.restart()
    flow.asked.verdicts = [Accepted("found")]
    await flow.advance(IN_THE_END)
    found = await flow.read(message)
    assert (found.status, found.carrier_ref, flow.carrier.sids) == (Status.SENT, "found", [message.sid])


async def test_a_question_that_breaks_leaves_it_in_doubt_and_others_are_asked_about(flow: AskingFlow) -> None:
    (broken,) = await flow.doubt()
    flow.asked.breaks = LookupError("a bug")
    await flow.advance(3)
    flow.asked.breaks = None
    flow.asked.verdicts = [Accepted("found")]
    other = await flow.send(recipient=recipient(2))
    await flow.advance(IN_THE_END)
    assert await is_in_doubt(flow, broken)
    assert (await flow.read(other)).carrier_ref == "found"


async def test_stopping_in_the_middle_of_a_question_ends_it_and_nothing_is_asked_after(flow: AskingFlow) -> None:
    flow.asked.gate = asyncio.Event()
    (message,) = await flow.doubt()
    advancing = asyncio.create_task(flow.advance(5))
    await until(lambda: flow.asked.at_once == 1)
    assert not is_idle(flow.inquiries)
    await asyncio.wait_for(flow.inquiries.stop(), ANSWER_SECONDS - 5)
    assert is_idle(flow.inquiries)
    await advancing
    assert await is_in_doubt(flow, message)
    await flow.send(recipient=recipient(2))
    await flow.advance(IN_THE_END)
    assert len(flow.asked.asked) == 1


async def test_only_so_many_are_asked_about_at_once(flow: AskingFlow) -> None:
    flow.asked.gate = asyncio.Event()
    count = MOST_AT_ONCE + 5
    flow.asked.verdicts = [Accepted(str(number)) for number in range(count)]
    await flow.doubt(count)
    advancing = asyncio.create_task(flow.advance(IN_THE_END))
    await until(lambda: flow.asked.at_once == MOST_AT_ONCE)
    flow.asked.gate.set()
    await advancing
    assert await flow.statuses() == {Status.SENT: count}
    assert len(flow.asked.asked) == count
