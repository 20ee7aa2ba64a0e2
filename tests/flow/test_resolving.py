"""A person settles a message in doubt; and what people see of hand-offs and calls is what happened."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from postdate.clock import breathe
from postdate.connectors.contract import LateAnswer, Receipt
from postdate.core.doubt import FAILED_CODE, Verdict
from postdate.core.errors import Rejected
from postdate.core.instant import HOUR, MILLISECOND, SECOND
from postdate.core.message import Event, Message, Status
from postdate.core.outcome import Accepted, Busy, InDoubt, Outcome, Refused, Unreachable
from postdate.core.tally import lateness
from postdate.core.trail import Kind, steps
from postdate.flow.export import export_pages
from postdate.store.contract import CallQuery, MessageQuery, StoreFull
from tests.flow.building import ACCOUNT, TOKEN, Customer, Flow, after, flowing, recipient

LONG_AFTER = 20 * HOUR // SECOND  # when what was due is long past its validity


@pytest.fixture
async def flow(tmp_path: Path) -> AsyncIterator[Flow]:
    async with flowing(tmp_path) as running:
        yield running


async def doubted(flow: Flow, **changes: object) -> Message:
    """Return a message that its carrier never answered for; what is sent after it is taken."""
    flow.carrier.script = lambda s: InDoubt("no answer")
    message = await flow.send(after(60), **changes)
    await flow.advance_to(after(61))
    flow.carrier.script = lambda s: Accepted(f"ref-{s.sid}")
    found = await flow.read(message)
    assert found.doubt_at is not None
    return found


async def kinds(flow: Flow, message: Message) -> list[Kind]:
    text = await flow.store.real.trail(ACCOUNT, message.sid)
    return [step.kind for step in steps(await flow.read(message), text or "")]


@pytest.mark.parametrize(
    ("verdict", "status", "attempts"),
    [(Verdict.SENT, "sent", 1), (Verdict.FAILED, "failed", 1), (Verdict.RETRY, "sent", 2)],
)
async def test_a_word_settles_it_and_the_customer_is_told(
    flow: Flow, customer: Customer, verdict: Verdict, status: str, attempts: int
) -> None:
    message = await doubted(flow, callback_url=customer.url)
    await flow.ingest.resolve(flow.account, message.sid, verdict)
    await flow.settle()
    found = await flow.read(message)
    assert (found.status, found.attempts, found.doubt_at) == (status, attempts, None)
    assert found.error_code == (FAILED_CODE if verdict is Verdict.FAILED else None)
    assert customer.statuses(message) == ["queued", status]
    assert flow.carrier.sids == [message.sid] * attempts


async def test_what_goes_again_long_after_it_was_due_still_goes(flow: Flow) -> None:
    message = await doubted(flow)
    await flow.advance(LONG_AFTER)
    await flow.ingest.resolve(flow.account, message.sid, Verdict.RETRY)
    await flow.settle()
    assert (await flow.read(message)).status is Status.SENT
    assert await kinds(flow, message) == [
        Kind.SCHEDULED, Kind.ASSIGNED, Kind.CLAIMED, Kind.DOUBTED, Kind.RESOLVED, Kind.CLAIMED, Kind.HANDED,
    ]  # fmt: skip


@pytest.mark.parametrize("kill", [True, False])
async def test_what_goes_again_is_not_forgotten_by_a_restart(flow: Flow, kill: bool) -> None:
    message = await doubted(flow)
    flow.carrier.script = lambda s: Unreachable()
    await flow.ingest.resolve(flow.account, message.sid, Verdict.RETRY)
    await flow.settle()
    await flow.restart(kill=kill)
    flow.carrier.script = lambda s: Accepted(f"ref-{s.sid}")
    await flow.advance(120)
    assert (await flow.read(message)).status is Status.SENT


async def test_a_late_receipt_after_a_retry_ends_it_once(flow: Flow) -> None:
    message = await doubted(flow)
    flow.carrier.script = lambda s: Busy(60 * SECOND)
    await flow.ingest.resolve(flow.account, message.sid, Verdict.RETRY)
    await flow.settle()
    await flow.carrier.report(Receipt("", Event.DELIVER, None, message.sid))
    await flow.advance(300)
    assert (await flow.read(message)).status is Status.DELIVERED
    assert len(flow.carrier.sids) == 2  # what was delivered is not handed over again


async def test_a_late_not_now_hands_it_over_again(flow: Flow, customer: Customer) -> None:
    message = await doubted(flow, callback_url=customer.url)
    await flow.carrier.report(LateAnswer(message.sid, Unreachable()))
    await flow.settle()
    found = await flow.read(message)
    assert (found.status, found.attempts, found.doubt_at) == (Status.SENT, 2, None)
    assert customer.statuses(message) == ["queued", "sent"]
    assert await kinds(flow, message) == [
        Kind.SCHEDULED, Kind.ASSIGNED, Kind.CLAIMED, Kind.DOUBTED, Kind.LATE_RETURN, Kind.CLAIMED, Kind.HANDED,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "status", "attempts"),
    [(Unreachable(), Status.SENT, 2), (Refused(30007), Status.FAILED, 1), (Accepted("late"), Status.SENT, 1)],
    ids=["not now", "refused", "accepted"],
)
async def test_an_answer_that_comes_before_its_doubt_is_on_disk_ends_it(
    flow: Flow, answer: Accepted | Refused | Unreachable, status: Status, attempts: int
) -> None:
    """A carrier may answer in the moment in which it is given up."""
    outcomes: list[Outcome] = [InDoubt("no answer in time"), Accepted("again")]
    flow.carrier.script = lambda submission: outcomes.pop(0)
    hold = flow.store.hold("record", "before")
    message = await flow.send()
    await hold.reached.wait()
    reporting = asyncio.create_task(flow.carrier.report(LateAnswer(message.sid, answer)))
    for _ in range(50):
        await breathe(0.0005)
    hold.opened.set()
    await reporting
    await flow.settle()
    found = await flow.read(message)
    assert (found.status, found.attempts, found.doubt_at) == (status, attempts, None)


async def test_a_late_not_now_that_comes_after_its_validity_fails_it(flow: Flow) -> None:
    message = await doubted(flow)
    await flow.advance(LONG_AFTER)
    await flow.carrier.report(LateAnswer(message.sid, Unreachable()))
    await flow.settle()
    found = await flow.read(message)
    assert (found.status, found.error_code, found.doubt_at) == (Status.FAILED, 30036, None)
    assert flow.carrier.sids == [message.sid]


async def test_two_people_at_once_and_one_wins(flow: Flow) -> None:
    message = await doubted(flow)
    asked = [flow.ingest.resolve(flow.account, message.sid, verdict) for verdict in (Verdict.SENT, Verdict.FAILED)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    refused = [one for one in answers if isinstance(one, Rejected)]
    assert [one.code for one in refused] == [20409]
    assert (await flow.read(message)).status in (Status.SENT, Status.FAILED)


async def test_only_what_is_in_doubt_and_ones_own_can_be_resolved(flow: Flow) -> None:
    message = await flow.send(after(60))
    for sid, code in ((message.sid, 20409), ("SM" + "0" * 32, 20404)):
        with pytest.raises(Rejected) as refused:
            await flow.ingest.resolve(flow.account, sid, Verdict.SENT)
        assert refused.value.code == code
    assert (await flow.read(message)).status is Status.SCHEDULED


async def test_where_the_store_cannot_nothing_is_changed(flow: Flow) -> None:
    message = await doubted(flow)
    flow.store.fail("resolve", StoreFull("no room"))
    with pytest.raises(StoreFull):
        await flow.ingest.resolve(flow.account, message.sid, Verdict.RETRY)
    assert await flow.read(message) == message


# --- what people see -------------------------------------------------------------------------------------------------


async def test_a_trail_says_why_it_came_back(flow: Flow) -> None:
    answers: list[Outcome] = [Busy(), Unreachable()]
    flow.carrier.script = lambda s: answers.pop(0) if answers else Accepted("ref")
    message = await flow.send(after(60))
    await flow.advance_to(after(120))
    assert await kinds(flow, message) == [
        Kind.SCHEDULED, Kind.ASSIGNED, Kind.CLAIMED, Kind.BUSY, Kind.CLAIMED, Kind.UNREACHABLE, Kind.CLAIMED,
        Kind.HANDED,
    ]  # fmt: skip


@pytest.mark.parametrize(("away", "p50"), [(0, 1), (30, 32_768)])
async def test_lateness_counts_from_when_a_message_was_due(flow: Flow, away: int, p50: int) -> None:
    flow.carrier.script = lambda s: Accepted("ref") if flow.clock.now() >= after(60 + away) else Busy(SECOND)
    await flow.send(after(60))
    await flow.advance_to(after(200))
    found = await flow.store.real.overview(ACCOUNT, flow.clock.now(), after(0))
    late = lateness(found.tallies)
    assert late is not None
    assert late.number == 1
    assert p50 * MILLISECOND <= late.p50 <= 2 * p50 * MILLISECOND


async def test_every_call_is_kept_without_what_signs_in(flow: Flow) -> None:
    answers = [web.Response(status=503, text="busy " * 900), web.Response(status=200, text="thanks")]

    async def serve(_: web.BaseRequest) -> web.StreamResponse:
        return answers.pop(0) if answers else web.Response()

    async with Customer(serve).serving() as customer:
        url = customer.url.replace("http://", "http://user:secret@") + "/told?a=1#rp=all&rc=1"
        message = await flow.send(after(60), callback_url=url)
        await flow.advance_to(after(90))
        calls = await flow.store.real.calls_made(CallQuery(account_sid=ACCOUNT, message_sid=message.sid))
    queued = [call for call in calls if call.status is Status.QUEUED]
    assert [(call.attempt, call.code, call.answer) for call in queued] == [
        (2, 200, "thanks"),
        (1, 503, ("busy " * 900)[:1024]),
    ]
    for call in calls:
        assert call.url.startswith(f"{customer.url}/told?a=1")
        assert f"MessageSid={message.sid}" in call.request
        assert call.took >= 0
        assert "secret" not in str(call)
        assert TOKEN not in str(call)


async def test_a_call_that_reached_nobody_says_why(flow: Flow) -> None:
    async with Customer().serving() as customer:
        url = customer.url
    message = await flow.send(after(60), callback_url=url)
    await flow.advance_to(after(61))
    (last, *_) = await flow.store.real.calls_made(CallQuery(account_sid=ACCOUNT, message_sid=message.sid))
    assert (last.code, last.answer) == (None, "")
    assert last.fault


@pytest.mark.parametrize(("most", "pages"), [(1_000_000, [1_000, 205]), (1_003, [1_000, 3]), (0, [])])
async def test_a_list_is_exported_in_pages(flow: Flow, most: int, pages: list[int]) -> None:
    await asyncio.gather(*(flow.send(after(60 + n), recipient=recipient(n)) for n in range(1, 1_206)))
    query = MessageQuery(account_sid=ACCOUNT)
    found = [list(page) async for page in export_pages(flow.store, query, most)]
    assert [len(page) for page in found] == pages
    exported = [message.sid for page in found for message in page]
    assert exported == [message.sid for message in await flow.everything()][: len(exported)]
