"""Media are fetched at `SendAt`, not before, in order and once; trouble of a server fails a message in the end only."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from postdate.core.address import SenderKind
from postdate.core.instant import MILLISECOND, SECOND, Instant
from postdate.core.message import Message, Status
from postdate.core.outcome import Accepted, Busy
from postdate.flow.media import ATTEMPTS, MOST_AT_ONCE
from postdate.store.contract import StoreError, StoreFull, StoreUnavailable
from tests.flow.building import (
    START,
    Customer,
    Flow,
    JumpingClock,
    Serve,
    a_sender,
    after,
    flowing,
    hang_up,
    recipient,
    until,
)

PNG = b"\x89PNG\r\n\x1a\n"
AWAY = StoreUnavailable("the store cannot be reached")


def picture(number: int = 1) -> bytes:
    """Return a picture that no other number has."""
    return PNG + bytes([number]) * 40


async def pictures(request: web.BaseRequest) -> web.StreamResponse:
    """Serve /1 to /9, each its own picture."""
    return web.Response(body=picture(int(request.path.strip("/"))), content_type="image/png")


# The client itself makes a request that was hung up on once more: two of them are one attempt.
AWAY_ONCE = (hang_up, hang_up)


def answering(status: int) -> Serve:
    async def serve(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=status)

    return serve


def in_turn(*serves: Serve) -> Serve:
    """Serve in these ways in turn, then pictures."""
    left = list(serves)

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        return await (left.pop(0) if left else pictures)(request)

    return serve


@pytest.fixture
def customer(customer: Customer) -> Customer:
    """Give a customer's web server with pictures."""
    customer.serve = pictures
    return customer


async def send(flow: Flow, customer: Customer, *numbers: int, seconds: float = 60.0, **changes: object) -> Message:
    """Schedule a message with the pictures of these numbers."""
    urls = tuple(f"{customer.url}/{number}" for number in numbers or (1,))
    return await flow.send(after(seconds), **({"media_urls": urls} | changes))


def handed(flow: Flow) -> list[list[bytes]]:
    """Return the bytes of the media of each submission."""
    return [[one.body for one in submitted.submission.attachments] for submitted in flow.carrier.submitted]


# --- at SendAt -------------------------------------------------------------------------------------------------------


async def test_media_are_fetched_at_send_at_and_not_before(flow: Flow, customer: Customer) -> None:
    message = await send(flow, customer)
    await flow.advance_to(Instant(after(60) - 1))
    assert customer.calls == []
    assert (await flow.read(message)).status is Status.SCHEDULED
    await flow.advance_to(after(60))
    assert len(customer.calls) == 1
    assert handed(flow) == [[picture(1)]]
    assert flow.carrier.submitted[0].at == after(60)
    assert (await flow.read(message)).status is Status.SENT


async def test_a_picture_that_changed_meanwhile_goes_as_it_is_then(flow: Flow, customer: Customer) -> None:
    await send(flow, customer)

    async def another(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=picture(9), content_type="image/png")

    await flow.advance_to(after(59))
    customer.serve = another
    await flow.advance_to(after(61))
    assert handed(flow) == [[picture(9)]]


async def test_a_message_at_once_has_its_media_fetched_at_once(flow: Flow, customer: Customer) -> None:
    await flow.send(media_urls=(f"{customer.url}/1",))
    await flow.settle()
    await flow.advance(0.1)
    assert handed(flow) == [[picture(1)]]


async def test_several_media_keep_their_order(flow: Flow, customer: Customer) -> None:
    await send(flow, customer, 5, 1, 9, 3, 7, 2, 8, 4, 6)
    await flow.advance_to(after(61))
    assert handed(flow) == [[picture(n) for n in (5, 1, 9, 3, 7, 2, 8, 4, 6)]]


async def test_the_same_picture_twice_goes_twice_and_is_kept_once(flow: Flow, customer: Customer) -> None:
    message = await send(flow, customer, 1, 2, 1)
    await flow.advance_to(after(61))
    assert handed(flow) == [[picture(1), picture(2), picture(1)]]
    rows = await flow.store.real.media(message.sid)
    assert [row.digest == rows[0].digest for row in rows] == [True, False, True]
    assert [row.size for row in rows] == [len(picture())] * 3


async def test_a_carrier_gets_a_link_to_each_medium(flow: Flow, customer: Customer) -> None:
    message = await send(flow, customer, 1, 2)
    await flow.advance_to(after(61))
    rows = await flow.store.real.media(message.sid)
    (submitted,) = flow.carrier.submitted
    assert [one.url for one in submitted.submission.attachments] == [f"http://node/{row.sid}" for row in rows]
    assert [one.content_type for one in submitted.submission.attachments] == ["image/png"] * 2


async def test_a_message_with_media_counts_as_one_segment(flow: Flow, customer: Customer) -> None:
    message = await send(flow, customer, body="x" * 1_000)
    await flow.advance_to(after(61))
    assert (await flow.read(message)).num_segments == 1
    assert flow.carrier.submitted[0].submission.segments == 1


async def test_a_message_that_is_canceled_has_nothing_fetched(flow: Flow, customer: Customer) -> None:
    message = await send(flow, customer)
    await flow.ingest.cancel(flow.account, message.sid)
    await flow.advance_to(after(61))
    assert customer.calls == []


async def test_one_that_opted_out_has_nothing_fetched(flow: Flow, customer: Customer) -> None:
    message = await send(flow, customer, validity=10)
    await flow.kill()
    await flow.clock.advance_to(after(75), flow.settle)
    await flow.start()
    await flow.advance(1)
    assert (await flow.read(message)).error_code == 30036
    assert customer.calls == []


# --- trouble of the server -------------------------------------------------------------------------------------------


async def large(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=PNG + b"x" * (5 * 1024 * 1024), content_type="image/png")


async def no_picture(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=b"<html>", content_type="image/png")


FINAL_FAILURES = {
    "not there": (answering(404), 11200),
    "not allowed": (answering(403), 11200),
    "too large": (large, 30019),
    "no picture": (no_picture, 11200),
}


@pytest.mark.parametrize(("serve", "code"), FINAL_FAILURES.values(), ids=FINAL_FAILURES.keys())
async def test_what_will_not_pass_fails_at_once(flow: Flow, customer: Customer, serve: Serve, code: int) -> None:
    customer.serve = serve
    message = await send(flow, customer)
    await flow.advance_to(after(60))
    failed = await flow.read(message)
    assert (failed.status, failed.error_code) == (Status.FAILED, code)
    await flow.advance(600)
    assert len(customer.calls) == 1
    assert flow.carrier.submitted == []


async def test_on_whatsapp_the_code_is_another(tmp_path: Path, customer: Customer) -> None:
    chat = a_sender(1, kind=SenderKind.CHANNEL, address="whatsapp:+12125550001")
    async with flowing(tmp_path, chat) as flow:
        customer.serve = answering(404)
        message = await send(flow, customer, recipient=f"whatsapp:{recipient()}")
        await flow.advance_to(after(61))
        assert (await flow.read(message)).error_code == 63019


async def test_a_private_address_is_not_fetched(flow: Flow) -> None:
    message = await flow.send(after(60), media_urls=("http://192.168.0.1/picture.png",))
    await flow.advance_to(after(61))
    assert (await flow.read(message)).error_code == 11200


async def test_one_medium_of_several_that_cannot_be_had_fails_the_message(flow: Flow, customer: Customer) -> None:
    customer.serve = in_turn(pictures, answering(404))
    message = await send(flow, customer, 1, 2, 3)
    await flow.advance_to(after(61))
    assert (await flow.read(message)).status is Status.FAILED
    assert await flow.store.real.media(message.sid) == []


async def test_a_server_that_cannot_be_reached_is_tried_again_and_the_message_goes(
    flow: Flow, customer: Customer
) -> None:
    customer.serve = in_turn(*AWAY_ONCE, *AWAY_ONCE)
    message = await send(flow, customer)
    await flow.advance_to(after(60))
    assert len(customer.calls) == 2
    assert (await flow.read(message)).status is Status.SCHEDULED
    await flow.advance_to(after(61))
    assert len(customer.calls) == 4
    await flow.advance_to(after(63))
    assert len(customer.calls) == 5
    assert handed(flow) == [[picture(1)]]


async def test_a_server_that_stays_away_fails_the_message_in_the_end(flow: Flow, customer: Customer) -> None:
    customer.serve = hang_up
    message = await send(flow, customer)
    await flow.advance_to(after(3600))
    failed = await flow.read(message)
    assert (failed.status, failed.error_code) == (Status.FAILED, 11200)
    assert len(customer.calls) == ATTEMPTS * len(AWAY_ONCE)


async def test_a_server_in_trouble_is_tried_again(flow: Flow, customer: Customer) -> None:
    customer.serve = in_turn(answering(503))
    await send(flow, customer)
    await flow.advance_to(after(120))
    assert handed(flow) == [[picture(1)]]


async def test_while_it_is_tried_again_it_can_be_canceled(flow: Flow, customer: Customer) -> None:
    customer.serve = in_turn(*AWAY_ONCE)
    message = await send(flow, customer)
    await flow.advance_to(after(60.5))
    assert (await flow.ingest.cancel(flow.account, message.sid)).status is Status.CANCELED
    await flow.advance_to(after(120))
    assert flow.carrier.submitted == []
    assert (await flow.read(message)).status is Status.CANCELED


async def test_while_it_is_tried_again_it_can_expire(flow: Flow, customer: Customer) -> None:
    customer.serve = in_turn(*AWAY_ONCE, *AWAY_ONCE)
    message = await send(flow, customer, validity=2)
    await flow.advance_to(after(120))
    assert (await flow.read(message)).error_code == 30036
    assert flow.carrier.submitted == []


async def test_while_it_is_tried_again_it_can_be_moved_and_is_fetched_at_the_new_time(
    flow: Flow, customer: Customer
) -> None:
    customer.serve = in_turn(*AWAY_ONCE)
    message = await send(flow, customer)
    await flow.advance_to(after(60.5))
    await flow.ingest.reschedule(flow.account, message.sid, after(600))
    await flow.advance_to(after(599))
    fetched = len(customer.calls)
    assert flow.carrier.submitted == []
    await flow.advance_to(after(601))
    assert len(customer.calls) > fetched
    assert handed(flow) == [[picture(1)]]


async def test_a_message_that_is_moved_while_its_media_are_fetched_goes_once_at_the_new_time(
    flow: Flow, customer: Customer
) -> None:
    customer.serve = in_turn(*AWAY_ONCE)
    message = await send(flow, customer)
    await flow.advance_to(after(60.5))
    await flow.ingest.reschedule(flow.account, message.sid, after(600))
    await flow.advance_to(after(1_200))
    assert [(one.sid, one.at) for one in flow.carrier.submitted] == [(message.sid, after(600))]


async def test_a_slow_server_holds_up_no_message_without_media(flow: Flow, customer: Customer) -> None:
    let = asyncio.Event()

    async def slow(request: web.BaseRequest) -> web.StreamResponse:
        await let.wait()
        return await pictures(request)

    customer.serve = slow
    await send(flow, customer)
    plain = await flow.send(after(60), recipient=recipient(2))
    advancing = asyncio.create_task(flow.advance_to(after(60)))
    await until(lambda: plain.sid in flow.carrier.sids)
    let.set()
    await advancing
    assert len(flow.carrier.submitted) == 2


async def test_no_more_are_fetched_at_once_than_may_be(flow: Flow, customer: Customer) -> None:
    let = asyncio.Event()

    async def slow(request: web.BaseRequest) -> web.StreamResponse:
        await let.wait()
        return await pictures(request)

    customer.serve = slow
    for number in range(MOST_AT_ONCE + 8):
        await send(flow, customer, recipient=recipient(number))
    advancing = asyncio.create_task(flow.advance_to(after(60)))
    await until(lambda: len(customer.calls) >= MOST_AT_ONCE)
    assert len(customer.calls) == MOST_AT_ONCE
    let.set()
    await advancing
    assert len(flow.carrier.submitted) == MOST_AT_ONCE + 8


# --- trouble of the store --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [AWAY, StoreFull("no room")], ids=["unavailable", "full"])
async def test_media_that_cannot_be_kept_are_kept_a_second_later(
    flow: Flow, customer: Customer, error: StoreError
) -> None:
    flow.store.fail("add_media", error, error)
    await send(flow, customer)
    await flow.advance_to(after(60))
    assert flow.carrier.submitted == []
    await flow.advance_to(after(63))
    assert handed(flow) == [[picture(1)]]
    assert len(customer.calls) == 1


async def test_media_are_not_doubled_where_the_store_cannot_decide(flow: Flow, customer: Customer) -> None:
    message = await send(flow, customer, 1, 2)
    await flow.advance_to(after(59.9))
    failed = False

    async def fail_once_kept(name: str) -> None:
        nonlocal failed
        if name == "dispatch" and "add_media" in flow.store.calls and not failed:
            failed = True
            raise AWAY

    flow.store.before = fail_once_kept
    await flow.advance_to(after(70))
    assert failed
    assert handed(flow) == [[picture(1), picture(2)]]
    assert len(await flow.store.real.media(message.sid)) == 2


async def test_a_refusal_that_cannot_be_recorded_is_recorded_later(flow: Flow, customer: Customer) -> None:
    customer.serve = answering(404)
    message = await send(flow, customer)

    async def fail_now(name: str) -> None:
        if name == "dispatch" and customer.calls and flow.clock.now() < after(63):
            raise AWAY

    flow.store.before = fail_now
    await flow.advance_to(after(70))
    assert (await flow.read(message)).error_code == 11200


@pytest.mark.parametrize("name", ["media", "medium"])
async def test_a_message_whose_media_cannot_be_read_waits_for_the_store(
    flow: Flow, customer: Customer, name: str
) -> None:
    flow.store.fail(name, AWAY)
    with_media = await send(flow, customer)
    await flow.advance_to(after(70))
    assert flow.carrier.sids == [with_media.sid]
    assert (await flow.read(with_media)).status is Status.SENT


async def test_a_message_that_comes_back_goes_with_its_media_again(flow: Flow, customer: Customer) -> None:
    flow.carrier.script = lambda submission: Busy() if submission.attempt == 1 else Accepted("their-id")
    await send(flow, customer, 1, 2)
    await flow.advance_to(after(70))
    assert handed(flow) == [[picture(1), picture(2)]] * 2
    assert len(customer.calls) == 2


# --- crashes and clocks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "where"), [("add_media", "before"), ("add_media", "after"), ("dispatch", "before")])
async def test_a_crash_in_the_middle_loses_and_doubles_nothing(
    flow: Flow, customer: Customer, name: str, where: str
) -> None:
    await send(flow, customer, 1, 2)

    async def cut(call: str) -> None:
        if call == name and customer.calls:
            flow.power.cut()

    setattr(flow.store, where, cut)
    advancing = asyncio.create_task(flow.advance_to(after(60)))
    await flow.power.went_off.wait()
    await flow.kill()
    await asyncio.wait([advancing])
    await flow.start()
    await flow.advance(5)
    assert handed(flow) == [[picture(1), picture(2)]]
    kept = (name, where) != ("add_media", "before")
    assert len(customer.calls) == (2 if kept else 4)  # what is on disk is not fetched again


async def test_stopping_gives_up_a_fetch_and_the_next_start_makes_it(flow: Flow, customer: Customer) -> None:
    let = asyncio.Event()

    async def slow(request: web.BaseRequest) -> web.StreamResponse:
        await let.wait()
        return await pictures(request)

    customer.serve = slow
    await send(flow, customer)
    advancing = asyncio.create_task(flow.advance_to(after(60)))
    await until(lambda: bool(customer.calls))
    await asyncio.wait_for(flow.media.stop(), 60)
    await flow.kill()
    advancing.cancel()
    await asyncio.wait([advancing])
    let.set()
    await flow.start()
    await flow.advance(1)
    assert handed(flow) == [[picture(1)]]


async def test_a_wall_clock_that_is_set_back_during_a_fetch_delays_and_loses_nothing(
    tmp_path: Path, customer: Customer
) -> None:
    clock = JumpingClock(START)
    async with flowing(tmp_path, clock=clock) as flow:

        async def meanwhile(request: web.BaseRequest) -> web.StreamResponse:
            if len(customer.calls) == 1:
                clock.jump(-10 * SECOND)
            return await pictures(request)

        customer.serve = meanwhile
        await send(flow, customer)
        await flow.advance(61)
        assert flow.carrier.submitted == []
        await flow.advance(20)
        assert handed(flow) == [[picture(1)]]


async def test_many_messages_with_media_all_go(flow: Flow, customer: Customer) -> None:
    for number in range(100):
        await send(flow, customer, 1 + number % 9, recipient=recipient(number), seconds=60 + number % 3)
    await flow.advance_to(after(70))
    assert await flow.statuses() == {Status.SENT: 100}
    assert len(customer.calls) == 100


async def test_media_wait_their_turn_in_a_lane(tmp_path: Path, customer: Customer) -> None:
    async with flowing(tmp_path, a_sender(1, mps=1.0)) as flow:
        for number in range(4):
            await send(flow, customer, 1 + number, recipient=recipient(number))
        await flow.advance_to(Instant(after(62) + 500 * MILLISECOND))
        assert len(flow.carrier.submitted) == 3
        assert len(customer.calls) == 4
