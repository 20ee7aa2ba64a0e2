"""What carriers tell: on disk before it is acknowledged, forward only, and a STOP is obeyed."""

import asyncio
import itertools
from pathlib import Path

import pytest

from postdate.clock import breathe
from postdate.connectors.contract import Attachment, Inbound, Receipt
from postdate.core.address import SenderKind
from postdate.core.errors import Rejected
from postdate.core.message import Direction, Event, Message, Status
from postdate.core.outcome import Accepted, InDoubt
from postdate.flow.receipts import MOST_IN_A_COMMIT
from postdate.store.contract import StoreFull, StoreUnavailable
from tests.flow.building import (
    ACCOUNT,
    SERVICE,
    Customer,
    Flow,
    Keeps,
    a_sender,
    after,
    flowing,
    is_idle,
    recipient,
)

DELIVERED = Event.DELIVER
STRANGER = "AC" + "9" * 32


async def sent(flow: Flow, count: int = 1, **changes: object) -> list[Message]:
    """Return messages that the carrier took."""
    messages = await flow.send_many(count, None, **changes)
    await flow.settle()
    await flow.advance(0.02)
    assert await flow.statuses() == {Status.SENT: count}
    return messages


def receipt(message: Message, event: Event = DELIVERED, code: int | None = None, by_sid: bool = False) -> Receipt:
    """Return a receipt that names the carrier's id of a message, or our SID."""
    return Receipt("another-id" if by_sid else f"ref-{message.sid}", event, code, message.sid if by_sid else None)


async def inbound(flow: Flow) -> list[Message]:
    """Return what handsets wrote."""
    return [message for message in await flow.everything() if message.direction is Direction.INBOUND]


# --- receipts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_sid", [False, True], ids=["by the carrier's id", "by our SID"])
@pytest.mark.parametrize(
    ("event", "code", "status"),
    [
        (Event.DELIVER, None, Status.DELIVERED),
        (Event.UNDELIVER, 30005, Status.UNDELIVERED),
        (Event.READ, None, Status.READ),
    ],
)
async def test_a_receipt_moves_the_message_on(
    flow: Flow, by_sid: bool, event: Event, code: int | None, status: Status
) -> None:
    (message,) = await sent(flow)
    await flow.carrier.report(receipt(message, event, code, by_sid))
    found = await flow.read(message)
    assert (found.status, found.error_code) == (status, code)


async def test_a_receipt_is_acknowledged_when_it_is_on_disk_and_not_before(flow: Flow) -> None:
    (message,) = await sent(flow)
    hold = flow.store.hold("apply_receipts", "after")
    reporting = asyncio.create_task(flow.carrier.report(receipt(message)))
    await hold.reached.wait()
    assert (await flow.read(message)).status is Status.DELIVERED
    assert not reporting.done()
    assert not is_idle(flow.receipts)
    hold.opened.set()
    await asyncio.wait_for(reporting, 60)
    assert is_idle(flow.receipts)


@pytest.mark.parametrize("error", [StoreFull("no room"), StoreUnavailable("away")], ids=["full", "unavailable"])
async def test_a_receipt_that_cannot_be_kept_is_not_acknowledged_and_can_be_told_again(
    flow: Flow, error: Exception
) -> None:
    (message,) = await sent(flow)
    flow.store.fail("apply_receipts", error)
    with pytest.raises(type(error)):
        await flow.carrier.report(receipt(message))
    assert (await flow.read(message)).status is Status.SENT
    await flow.carrier.report(receipt(message))
    assert (await flow.read(message)).status is Status.DELIVERED


async def test_receipts_that_come_together_share_a_transaction(flow: Flow) -> None:
    messages = await sent(flow, 60)
    hold = flow.store.hold("apply_receipts", "before")
    reporting = [asyncio.create_task(flow.carrier.report(receipt(message))) for message in messages]
    await hold.reached.wait()
    await breathe()
    hold.opened.set()
    await asyncio.gather(*reporting)
    assert flow.store.calls.count("apply_receipts") <= 2
    assert await flow.statuses() == {Status.DELIVERED: 60}


async def test_a_transaction_takes_no_more_receipts_than_it_may(flow: Flow) -> None:
    (message,) = await sent(flow)
    await asyncio.gather(*(flow.carrier.report(receipt(message)) for _ in range(MOST_IN_A_COMMIT + 1)))
    assert flow.store.calls.count("apply_receipts") == 2


LIFE = [Event.DELIVER, Event.READ, Event.UNDELIVER]
RANK = {Status.SENT: 0, Status.DELIVERED: 1, Status.UNDELIVERED: 2, Status.READ: 2}


@pytest.mark.parametrize("order", list(itertools.permutations(LIFE)), ids=lambda order: "-".join(order))
async def test_a_status_never_moves_back_whatever_order_receipts_come_in(flow: Flow, order: tuple[Event, ...]) -> None:
    (message,) = await sent(flow)
    ranks = [0]
    for event in (*order, *order):
        await flow.carrier.report(receipt(message, event))
        ranks.append(RANK[(await flow.read(message)).status])
    assert ranks == sorted(ranks)
    assert ranks[-1] > 0


async def test_a_receipt_that_comes_again_changes_nothing(flow: Flow) -> None:
    (message,) = await sent(flow)
    await flow.carrier.report(receipt(message))
    found = await flow.read(message)
    await flow.advance(10)
    await flow.carrier.report(receipt(message))
    assert await flow.read(message) == found


@pytest.mark.parametrize("by_sid", [False, True], ids=["by the carrier's id", "by our SID"])
async def test_a_receipt_that_overtakes_the_answer_counts(flow: Flow, by_sid: bool) -> None:
    flow.carrier.script = lambda submission: Keeps()
    message = await flow.send()
    await flow.settle()
    await flow.carrier.report(receipt(message, by_sid=by_sid))
    flow.carrier.tell(message.sid, Accepted(f"ref-{message.sid}"))
    await flow.advance(1)
    found = await flow.read(message)
    assert (found.status, found.carrier_ref) == (Status.DELIVERED, f"ref-{message.sid}")


async def test_a_receipt_that_overtakes_the_answer_is_told_after_it(flow: Flow, customer: Customer) -> None:
    flow.carrier.script = lambda submission: Keeps()
    message = await flow.send(callback_url=customer.url)
    await flow.settle()
    await flow.carrier.report(receipt(message))
    flow.carrier.tell(message.sid, Accepted(f"ref-{message.sid}"))
    await flow.advance(1)
    assert customer.statuses(message) == ["queued", "sent", "delivered"]


async def test_a_receipt_after_a_crash_settles_the_doubt(flow: Flow) -> None:
    flow.carrier.script = lambda submission: Keeps()
    message = await flow.send()
    await flow.settle()
    await flow.restart()
    await flow.advance(1)
    assert (await flow.read(message)).doubt_at is not None
    await flow.carrier.report(receipt(message, by_sid=True))
    found = await flow.read(message)
    assert (found.status, found.doubt_at) == (Status.DELIVERED, None)


async def test_a_receipt_for_a_doubt_that_is_told_by_an_id_we_never_had_is_kept_for_later(flow: Flow) -> None:
    flow.carrier.script = lambda submission: InDoubt("no answer")
    message = await flow.send()
    await flow.advance(1)
    await flow.carrier.report(receipt(message))
    assert (await flow.read(message)).doubt_at is not None


async def test_a_receipt_that_means_nobody_changes_nothing(flow: Flow) -> None:
    (message,) = await sent(flow)
    found = await flow.read(message)
    await flow.carrier.report(Receipt("unknown", DELIVERED))
    await flow.carrier.report(Receipt("unknown", DELIVERED, sid="SM" + "0" * 32))
    assert await flow.everything() == [found]


async def test_settled_means_that_all_is_on_disk(flow: Flow) -> None:
    (message,) = await sent(flow)
    hold = flow.store.hold("apply_receipts", "before")
    reporting = asyncio.create_task(flow.carrier.report(receipt(message)))
    await hold.reached.wait()
    settled = asyncio.create_task(flow.receipts.settled())
    await breathe()
    assert not settled.done()
    hold.opened.set()
    await asyncio.wait_for(settled, 60)
    assert (await flow.read(message)).status is Status.DELIVERED
    await reporting


# --- inbound ---------------------------------------------------------------------------------------------------------


def written(body: str, to: str = a_sender().address, number: int = 1) -> Inbound:
    """Return what a handset wrote to one of our senders."""
    return Inbound(recipient(number), to, body)


async def test_what_a_handset_writes_is_kept(flow: Flow) -> None:
    await flow.carrier.report(written("Hello!"))
    (message,) = await inbound(flow)
    assert (message.sender, message.recipient, message.body) == (recipient(), a_sender().address, "Hello!")
    assert (message.account_sid, message.service_sid) == (ACCOUNT, SERVICE)
    assert (message.status, message.num_segments, message.sid[:2]) == (Status.RECEIVED, 1, "SM")


async def test_what_a_handset_sends_with_a_picture_is_one_message_with_media(flow: Flow) -> None:
    picture = Attachment("image/png", b"\x89PNG\r\n\x1a\n", "https://carrier.example.com/picture")
    await flow.carrier.report(Inbound(recipient(), a_sender().address, "Look", (picture,)))
    (message,) = await inbound(flow)
    assert (message.sid[:2], message.media_urls, message.num_segments) == ("MM", (picture.url,), 1)


async def test_what_is_written_to_nobody_here_is_acknowledged_and_forgotten(flow: Flow) -> None:
    await flow.carrier.report(written("Hello!", "+12125559999"))
    assert await flow.everything() == []


async def test_it_belongs_to_whoever_has_the_number(tmp_path: Path) -> None:
    theirs = a_sender(2, account_sid=STRANGER, service_sid=None)
    async with flowing(tmp_path, a_sender(1), theirs) as flow:
        await flow.carrier.report(written("Hello!", theirs.address))
        assert await flow.everything() == []


async def test_what_a_handset_writes_is_acknowledged_when_it_is_on_disk(flow: Flow) -> None:
    flow.store.fail("add_inbound", StoreFull("no room"))
    with pytest.raises(StoreFull):
        await flow.carrier.report(written("STOP"))
    assert await flow.everything() == []
    await flow.send(recipient=recipient())
    hold = flow.store.hold("add_inbound", "after")
    reporting = asyncio.create_task(flow.carrier.report(written("Hello!")))
    await hold.reached.wait()
    assert len(await inbound(flow)) == 1
    assert not reporting.done()
    hold.opened.set()
    await asyncio.wait_for(reporting, 60)


# --- stop and start --------------------------------------------------------------------------------------------------


async def is_refused(flow: Flow, **changes: object) -> bool:
    """Say whether a message at once is refused because its recipient opted out."""
    try:
        await flow.send(None, **changes)
    except Rejected as refusal:
        if refusal.code != 21610:
            raise
        return True
    return False


@pytest.mark.parametrize(
    "word", ["STOP", "stop", " Stop. ", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", '"quit"']
)
async def test_who_writes_stop_is_written_to_no_more(flow: Flow, word: str) -> None:
    scheduled = await flow.send(after(60))
    await flow.carrier.report(written(word))
    assert await is_refused(flow)
    await flow.advance_to(after(61))
    failed = await flow.read(scheduled)
    assert (failed.status, failed.error_code) == (Status.FAILED, 21610)
    assert flow.carrier.submitted == []


@pytest.mark.parametrize("body", ["Please stop", "STOP it", "", "HELP", "no"])
async def test_other_words_opt_nobody_out(flow: Flow, body: str) -> None:
    await flow.carrier.report(written(body))
    assert not await is_refused(flow)


@pytest.mark.parametrize("word", ["START", "yes", "UNSTOP"])
async def test_who_writes_start_is_written_to_again(flow: Flow, word: str) -> None:
    await flow.carrier.report(written("STOP"))
    await flow.carrier.report(written(word))
    assert not await is_refused(flow)


async def test_a_stop_is_remembered_over_a_restart(flow: Flow) -> None:
    await flow.carrier.report(written("STOP"))
    await flow.restart()
    assert await is_refused(flow)


async def test_a_stop_is_of_one_recipient_to_one_service(tmp_path: Path) -> None:
    other = "MG" + "d" * 32
    async with flowing(tmp_path, a_sender(1), a_sender(2, service_sid=other), a_sender(3)) as flow:
        await flow.carrier.report(written("STOP"))
        assert not await is_refused(flow, recipient=recipient(2))
        assert await is_refused(flow, sender=a_sender(3).address)  # the same service
        assert not await is_refused(flow, service_sid=None, sender=a_sender(2).address)


async def test_without_a_service_a_stop_is_to_the_number(tmp_path: Path) -> None:
    async with flowing(tmp_path, a_sender(1), a_sender(2, service_sid=None), a_sender(3, service_sid=None)) as flow:
        await flow.carrier.report(written("STOP", a_sender(2).address))
        assert await is_refused(flow, service_sid=None, sender=a_sender(2).address)
        assert not await is_refused(flow, service_sid=None, sender=a_sender(3).address)
        assert not await is_refused(flow)


async def test_who_stopped_a_number_gets_nothing_from_it_by_name_either(flow: Flow) -> None:
    await flow.carrier.report(written("STOP"))
    assert await is_refused(flow, service_sid=None, sender=a_sender().address)


async def test_who_stopped_a_number_gets_nothing_from_it_once_it_is_in_a_pool(tmp_path: Path) -> None:
    async with flowing(tmp_path, a_sender(1, service_sid=None)) as flow:
        await flow.carrier.report(written("STOP"))
        await flow.directory.put(a_sender(1))
        assert await is_refused(flow, sender=a_sender(1).address)


async def test_a_stop_on_another_channel_is_of_that_channel(tmp_path: Path) -> None:
    chat = a_sender(2, kind=SenderKind.CHANNEL, address="whatsapp:+12125550002")
    async with flowing(tmp_path, a_sender(1), chat) as flow:
        await flow.carrier.report(Inbound(f"whatsapp:{recipient()}", chat.address, "STOP"))
        assert not await is_refused(flow)
        assert await is_refused(flow, recipient=f"whatsapp:{recipient()}")
