"""Scheduling by the API: when a SendAt is allowed, what it is understood as, and what happens when it comes.

The clock is frozen, so that an edge is an edge: one microsecond beyond it is another answer.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from postdate.core.instant import DAY, HOUR, MILLISECOND, MINUTE, SECOND, Instant, format_iso, format_iso_exact
from postdate.core.resources import Account, AccountStatus
from tests.api.serving import FROM, LONG_ENOUGH, TO, Customer, Reply, Site, a_site, instant

EVE = instant(datetime(2029, 12, 31, 12, tzinfo=UTC))
NOON = instant(datetime(2030, 1, 1, 14, tzinfo=UTC))


@asynccontextmanager
async def site_at(folder: Path, at: Instant, **settings: Any) -> AsyncIterator[Site]:
    async with a_site(folder, **settings) as running:
        await running.node.advance_to(at)
        yield running


async def cancel(customer: Customer, sid: str) -> Reply:
    return await customer.on("POST", f"/Messages/{sid}.json", {"Status": "canceled"})


async def move(customer: Customer, sid: str, send_at: str) -> Reply:
    return await customer.on("POST", f"/Messages/{sid}.json", {"SendAt": send_at})


# --- the window ------------------------------------------------------------------------------------------------------

EDGES = [
    pytest.param("60m..7d", 60 * MINUTE, True, id="default: nearest"),
    pytest.param("60m..7d", 60 * MINUTE - 1, False, id="default: too near by a microsecond"),
    pytest.param("60m..7d", 7 * DAY, True, id="default: farthest"),
    pytest.param("60m..7d", 7 * DAY + 1, False, id="default: too far by a microsecond"),
    pytest.param("60m..7d", 0, False, id="default: now"),
    pytest.param("60m..7d", -1, False, id="default: past"),
    pytest.param("60m..7d", 30 * MINUTE, False, id="default: the announcement's thirty minutes"),
    pytest.param("60m..7d", 10 * DAY, False, id="default: the announcement's ten days"),
    pytest.param("5m..35d", 5 * MINUTE, True, id="twilio's today: nearest"),
    pytest.param("5m..35d", 5 * MINUTE - 1, False, id="twilio's today: too near"),
    pytest.param("5m..35d", 35 * DAY, True, id="twilio's today: farthest"),
    pytest.param("5m..35d", 35 * DAY + 1, False, id="twilio's today: too far"),
    pytest.param("0s..", 0, True, id="open: now"),
    pytest.param("0s..", -1, False, id="open: past"),
    pytest.param("0s..", 3_650 * DAY, True, id="open: ten years"),
]
edges = pytest.mark.parametrize(("window", "ahead", "allowed"), EDGES)


def judge(reply: Reply, allowed: bool, window: str, send_at: str) -> None:
    if allowed:
        assert (reply.status, reply.json["status"]) == (201, "scheduled")
    else:
        assert reply.error == (35114, 400)
        assert format_window(window) in reply.json["message"]
        assert send_at[:19] in reply.json["message"]


def format_window(window: str) -> str:
    return {"60m..7d": "1h..7d"}.get(window, window)


@edges
async def test_the_window_of_the_node(tmp_path: Path, window: str, ahead: int, allowed: bool) -> None:
    async with a_site(tmp_path, schedule_window=window) as site:
        send_at = site.ahead(ahead)
        judge(await site.schedule(SendAt=send_at), allowed, window, send_at)


@edges
async def test_the_window_of_a_service_beats_that_of_the_node(
    tmp_path: Path, window: str, ahead: int, allowed: bool
) -> None:
    other = "60m..7d" if window != "60m..7d" else "0s.."
    async with a_site(tmp_path, schedule_window=other) as site:
        service = await site.add_service(schedule_window=window)
        send_at = site.ahead(ahead)
        judge(await site.schedule(MessagingServiceSid=service, SendAt=send_at), allowed, window, send_at)


@edges
async def test_the_window_of_a_move(tmp_path: Path, window: str, ahead: int, allowed: bool) -> None:
    async with a_site(tmp_path, schedule_window=window) as site:
        sid = await site.scheduled()
        send_at = site.ahead(ahead)
        reply = await move(site.customer, sid, send_at)
        if allowed:
            assert reply.status == 200
            assert reply.json["send_at"] == send_at[:19] + "Z"
        else:
            assert reply.error == (35114, 400)
            assert (await site.customer.fetch(sid))["send_at"] == format_iso(Instant(site.now + 2 * HOUR))


async def test_the_default_window_is_that_of_the_announcement(site: Site) -> None:
    for ahead, status in [(HOUR, 201), (HOUR - 1, 400), (7 * DAY, 201), (7 * DAY + 1, 400)]:
        assert (await site.schedule(SendAt=site.ahead(ahead))).status == status


# --- what SendAt is understood as ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spelling",
    [
        "2030-01-01T14:00:00Z",
        "2030-01-01T23:00:00+09:00",
        "2030-01-01T23:00:00+0900",
        "2030-01-01T14:00:00.000Z",
        "2030-01-01T14:00Z[UTC]",
        "2030-01-01T23:00+09:00[Asia/Tokyo]",
        "2030-01-01T04:00:00-10:00",
    ],
)
async def test_every_spelling_is_sent_at_the_same_instant(tmp_path: Path, spelling: str) -> None:
    async with site_at(tmp_path, EVE) as site:
        reply = await site.schedule(SendAt=spelling)
        assert (reply.status, reply.json["send_at"], reply.json["due_at"]) == (201, *["2030-01-01T14:00:00Z"] * 2)
        await site.node.advance_to(Instant(NOON - 1))
        assert site.node.sandbox.received_total == 0
        await site.node.advance_to(NOON)
        assert [m.at for m in site.node.sandbox.inbox(TO)] == [NOON]


async def test_an_offset_whose_plus_nobody_escaped(tmp_path: Path) -> None:
    async with site_at(tmp_path, EVE) as site:
        form = f"To=%2B14155550100&Body=Hi&MessagingServiceSid={site.service}&ScheduleType=fixed"
        body = f"{form}&SendAt=2030-01-01T23:00:00+09:00".encode()
        reply = await site.customer.on("POST", "/Messages.json", body)
        assert (reply.status, reply.json["send_at"]) == (201, "2030-01-01T14:00:00Z")


@pytest.mark.parametrize(
    "text",
    ["2030-01-01T14:00:00", "2030-01-01", "14.44.47", "2030-02-30T14:00:00Z", "tomorrow", "1893506400",
     "Tue, 01 Jan 2030 14:00:00 +0000", "2030-01-01T14:00:00[Asia/Tokyo]", "\u202e2030-01-01T14:00:00Z", "\0"],
)  # fmt: skip
async def test_a_send_at_that_is_none_is_told_so(site: Site, text: str) -> None:
    reply = await site.schedule(SendAt=text)
    assert reply.error == (20001, 400)
    assert repr(text) in reply.json["message"]
    assert "2030-01-01T14:00:00Z" in reply.json["message"]
    assert (await site.customer.list())["messages"] == []


async def test_a_fraction_of_a_second_is_kept(site: Site) -> None:
    send_at = Instant(site.now // SECOND * SECOND + 2 * HOUR + 123_457)
    await site.scheduled(SendAt=format_iso_exact(send_at))
    await site.advance(3 * HOUR)
    assert [m.at for m in site.node.sandbox.inbox(TO)] == [send_at]


# --- what else a schedule needs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "code"),
    [
        pytest.param({"SendAt": None}, 35111, id="no-send-at"),
        pytest.param({"SendAt": ""}, 35111, id="empty-send-at"),
        pytest.param({"ScheduleType": "optimize"}, 35126, id="another-schedule-type"),
        pytest.param({"ScheduleType": None}, 20001, id="no-schedule-type"),
        pytest.param({"MessagingServiceSid": None}, 21603, id="no-service-and-no-sender"),
        pytest.param({"MessagingServiceSid": None, "From": FROM}, 35118, id="no-service"),
        pytest.param({"MessagingServiceSid": None, "From": "+15005550019"}, 21606, id="no-service-and-foreign-sender"),
        pytest.param({"MessagingServiceSid": "MG1"}, 21705, id="malformed-service"),
        pytest.param({"MessagingServiceSid": "MG" + "f" * 32}, 21701, id="unknown-service"),
        pytest.param({"Body": None}, 21602, id="nothing-to-send"),
        pytest.param({"To": None}, 21604, id="nobody-to-send-to"),
    ],
)
async def test_a_schedule_is_refused(site: Site, params: dict[str, str | None], code: int) -> None:
    reply = await site.schedule(**params)
    assert reply.error[0] == code
    assert (await site.customer.list())["messages"] == []
    await site.advance(3 * HOUR)
    assert site.node.sandbox.received_total == 0


@pytest.mark.parametrize("ahead", [2 * HOUR, -DAY, 400 * DAY])
async def test_without_a_service_it_is_sent_at_once_where_the_operator_wants_so(tmp_path: Path, ahead: int) -> None:
    async with a_site(tmp_path, schedule_without_service="send") as site:
        message = (await site.schedule(MessagingServiceSid=None, From=FROM, SendAt=site.ahead(ahead))).json
        assert (message["status"], message["send_at"], message["from"]) == ("queued", None, FROM)
        await site.advance(LONG_ENOUGH)
        assert (await site.customer.fetch(message["sid"]))["status"] == "delivered"
        # With a service nothing is different.
        assert (await site.schedule()).json["status"] == "scheduled"
        assert (await site.schedule(SendAt=site.ahead(1))).error == (35114, 400)


async def test_a_service_as_from_is_a_service(site: Site) -> None:
    message = (await site.schedule(MessagingServiceSid=None, From=site.service)).json
    assert (message["status"], message["messaging_service_sid"], message["from"]) == ("scheduled", site.service, None)


async def test_a_fixed_sender_of_the_pool(site: Site) -> None:
    await site.add_sender("+15005550011", site.service)
    message = (await site.schedule(From="+15005550011")).json
    assert (message["status"], message["from"], message["num_segments"]) == ("scheduled", "+15005550011", "0")
    await site.advance(3 * HOUR)
    assert [m.sender for m in site.node.sandbox.inbox(TO)] == ["+15005550011"]


async def test_a_sender_of_another_pool_is_refused(site: Site) -> None:
    await site.add_sender("+15005550011", await site.add_service())
    assert (await site.schedule(From="+15005550011")).error == (21606, 400)


# --- the cap ---------------------------------------------------------------------------------------------------------


async def test_the_cap_of_scheduled_messages(tmp_path: Path) -> None:
    async with a_site(tmp_path, scheduled_cap=3) as site:
        sids = [await site.scheduled() for _ in range(3)]
        assert (await site.schedule()).error == (35125, 400)
        # What is sent at once does not count, and neither does another account.
        assert (await site.customer.send(From=FROM)).status == 201
        other = await site.add_account()
        service = await site.add_service(other.account)
        form = {"MessagingServiceSid": service, "ScheduleType": "fixed", "SendAt": site.ahead(2 * HOUR)}
        assert (await other.send(**form)).status == 201
        # A cancel makes room for one, and its repetition for no more.
        for _ in range(3):
            assert (await cancel(site.customer, sids[0])).status == 200
        assert (await site.schedule()).status == 201
        assert (await site.schedule()).error == (35125, 400)
        # A move takes no room; what was sent gives it back.
        assert (await move(site.customer, sids[1], site.ahead(DAY))).status == 200
        await site.advance(3 * HOUR)
        assert (await site.customer.fetch(sids[2]))["status"] == "delivered"
        assert [(await site.schedule()).status for _ in range(3)] == [201, 201, 400]


# --- when it comes ---------------------------------------------------------------------------------------------------


async def test_from_scheduled_to_delivered(site: Site) -> None:
    created = (await site.schedule(Body="Tomorrow at 3PM")).json
    await site.advance(2 * HOUR - SECOND)
    assert await site.customer.fetch(created["sid"]) == created
    await site.advance(LONG_ENOUGH)
    message = await site.customer.fetch(created["sid"])
    assert (message["status"], message["from"], message["num_segments"]) == ("delivered", FROM, "1")
    assert (message["send_at"], message["due_at"]) == (created["send_at"], None)
    assert message["date_created"] == created["date_created"]
    assert message["date_sent"] is not None


async def test_nothing_leaves_early_and_nothing_late(site: Site) -> None:
    send_ats = [Instant(site.now + 2 * HOUR + step) for step in (0, 1, 999, 10 * MILLISECOND, 300 * MILLISECOND)]
    for number, send_at in enumerate(send_ats):
        await site.scheduled(SendAt=format_iso_exact(send_at), Body=str(number))
    for number, send_at in enumerate(send_ats):
        await site.node.advance_to(Instant(send_at - 1))
        assert len(site.node.sandbox.inbox(TO)) == number
        await site.node.advance_to(send_at)
        assert len(site.node.sandbox.inbox(TO)) == number + 1
    assert [(m.body, m.at) for m in site.node.sandbox.inbox(TO)] == [
        (str(number), send_at) for number, send_at in enumerate(send_ats)
    ]


async def test_they_go_out_in_the_order_of_their_times_not_of_their_making(site: Site) -> None:
    for hours in (5, 3, 4, 2):
        await site.scheduled(SendAt=site.ahead(hours * HOUR), Body=str(hours))
    await site.advance(6 * HOUR)
    assert [m.body for m in site.node.sandbox.inbox(TO)] == ["2", "3", "4", "5"]


async def test_a_cancel_wins_until_the_last_quarter_second(site: Site) -> None:
    sid = await site.scheduled()
    await site.advance(2 * HOUR - 250 * MILLISECOND - 1)
    assert (await cancel(site.customer, sid)).status == 200
    await site.advance(DAY)
    assert site.node.sandbox.received_total == 0


async def test_a_cancel_that_comes_too_late_says_so(site: Site) -> None:
    sid = await site.scheduled()
    await site.advance(2 * HOUR)
    reply = await cancel(site.customer, sid)
    assert reply.error == (30409, 409)
    await site.advance(LONG_ENOUGH)
    assert (await site.customer.fetch(sid))["status"] == "delivered"


async def test_the_sender_is_chosen_at_send_at(site: Site) -> None:
    service = await site.add_service()
    sid = await site.scheduled(MessagingServiceSid=service)  # its pool is still empty
    await site.add_sender("+15005550011", service)
    await site.advance(2 * HOUR + LONG_ENOUGH)
    message = await site.customer.fetch(sid)
    assert (message["status"], message["from"]) == ("delivered", "+15005550011")


async def _stop(site: Site) -> None:
    await site.node.sandbox.reply(TO, FROM, "STOP")


async def _stop_and_start(site: Site) -> None:
    await site.node.sandbox.reply(TO, FROM, "STOP")
    await site.node.sandbox.reply(TO, FROM, "START")


async def _empty_pool(site: Site) -> None:
    sender = site.node.directory.sender_at(site.customer.account, FROM)
    assert sender is not None
    await site.node.directory.remove(sender.sid)


async def _suspend(site: Site) -> None:
    account = site.node.directory.find(Account, site.customer.account)
    assert account is not None
    await site.node.directory.put(msgspec.structs.replace(account, status=AccountStatus.SUSPENDED))


@pytest.mark.parametrize(
    ("meanwhile", "status", "code"),
    [
        pytest.param(_stop, "failed", 21610, id="stop"),
        pytest.param(_stop_and_start, "delivered", None, id="stop-and-start"),
        pytest.param(_empty_pool, "failed", 21704, id="pool-emptied"),
        pytest.param(_suspend, "failed", 30002, id="account-suspended"),
    ],
)
async def test_what_holds_is_what_holds_at_send_at(site: Site, meanwhile: Any, status: str, code: int | None) -> None:
    sid = await site.scheduled()
    await meanwhile(site)
    await site.advance(2 * HOUR + LONG_ENOUGH)
    message = await site.node.store.message(site.customer.account, sid)
    assert message is not None
    assert (message.status, message.error_code) == (status, code)
    assert bool([m for m in site.node.sandbox.inbox(TO) if m.sid == sid]) == (status == "delivered")


async def test_a_stopped_recipient_can_still_be_scheduled_for(site: Site) -> None:
    # Only at SendAt does it matter, and until then the recipient may say START.
    await _stop(site)
    assert (await site.schedule()).status == 201


async def test_the_validity_of_a_scheduled_message_begins_at_its_send_at(site: Site) -> None:
    service = await site.add_service()
    await site.add_sender("+15005550011", service, mps=0.1)  # one segment in ten seconds
    sids = [await site.scheduled(MessagingServiceSid=service, ValidityPeriod="15", Body=str(n)) for n in range(4)]
    await site.advance(3 * HOUR)
    messages = [await site.customer.fetch(sid) for sid in sids]
    assert sorted(message["status"] for message in messages) == ["delivered", "delivered", "failed", "failed"]
    assert {message["error_code"] for message in messages} == {None, 30036}


# --- moving ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [1, 5])
async def test_a_moved_message_goes_out_at_its_new_time_only(site: Site, hours: int) -> None:
    sid = await site.scheduled()
    before, send_at = await site.customer.fetch(sid), Instant(site.now + hours * HOUR)
    await site.advance(SECOND)
    reply = await move(site.customer, sid, format_iso_exact(Instant(send_at + SECOND)))
    expected = format_iso(Instant(send_at + SECOND))
    changed = {"send_at": expected, "due_at": expected, "date_updated": reply.json["date_updated"]}
    assert (reply.status, reply.json) == (200, before | changed)
    assert await site.customer.fetch(sid) == reply.json
    await site.node.advance_to(send_at)
    assert site.node.sandbox.received_total == 0
    await site.advance(DAY)
    assert [(m.sid, m.at) for m in site.node.sandbox.inbox(TO)] == [(sid, send_at + SECOND)]


async def test_a_message_moved_again_and_again_goes_out_once(site: Site) -> None:
    sid = await site.scheduled()
    for hours in (5, 2, 2, 7, 3, 2):
        assert (await move(site.customer, sid, site.ahead(hours * HOUR))).status == 200
    await site.advance(DAY)
    assert len(site.node.sandbox.inbox(TO)) == 1


async def test_a_move_keeps_how_long_the_message_is_worth_sending(site: Site) -> None:
    sid = await site.scheduled(ValidityPeriod="60")
    await move(site.customer, sid, site.ahead(5 * HOUR))
    message = await site.node.store.message(site.customer.account, sid)
    assert message is not None
    assert message.expires_at - message.due_at == 60 * SECOND


async def test_what_is_no_longer_scheduled_cannot_be_moved(site: Site) -> None:
    canceled, at_once = await site.scheduled(), (await site.customer.send(From=FROM)).json["sid"]
    await cancel(site.customer, canceled)
    sent = await site.scheduled()
    await site.advance(2 * HOUR + LONG_ENOUGH)
    for sid in (canceled, at_once, sent):
        before = await site.customer.fetch(sid)
        assert (await move(site.customer, sid, site.ahead(2 * HOUR))).error == (20409, 409)
        assert await site.customer.fetch(sid) == before
    await site.advance(DAY)
    assert [m.sid for m in site.node.sandbox.inbox(TO)] == [at_once, sent]


# --- whatever a customer does, and whenever ---------------------------------------------------------------------------


class Hasty:
    """A customer who creates, cancels and moves by chance; what was confirmed is kept."""

    def __init__(self, site: Site, seed: int) -> None:
        self._site = site
        self.chance = Random(seed)
        self.kept: dict[str, Instant] = {}  # when each is to go, as last confirmed
        self.canceled: set[str] = set()

    async def act(self) -> None:
        """Do one thing, most likely to one of the newest messages."""
        send_at = Instant(
            self._site.now + self.chance.choice([0, 240, 251, 300, 1_000, 5_000, 20_000, 60_000]) * MILLISECOND
        )
        newest = [sid for sid in self.kept if sid not in self.canceled][-4:]
        what = self.chance.choice(["create", "cancel", "move"]) if newest else "create"
        if what == "create":
            self.kept[await self._site.scheduled(SendAt=format_iso_exact(send_at))] = send_at
            return
        sid = self.chance.choice(newest)
        if what == "cancel":
            if (await cancel(self._site.customer, sid)).status == 200:
                self.canceled.add(sid)
        elif (await move(self._site.customer, sid, format_iso_exact(send_at))).status == 200:
            self.kept[sid] = send_at


@pytest.mark.parametrize("seed", range(6))
async def test_what_is_canceled_never_goes_out_and_all_else_does_once(tmp_path: Path, seed: int) -> None:
    """Cancels, moves and the passing of time in any order, some of them at once, around the very times of sending."""
    async with a_site(tmp_path, schedule_window="0s..") as site:
        hasty = Hasty(site, seed)
        for _ in range(120):
            await asyncio.gather(*(hasty.act() for _ in range(hasty.chance.choice([1, 1, 3]))))
            await site.advance(hasty.chance.choice([0, 1, 10, 100, 249, 250, 1_000]) * MILLISECOND)
        await site.advance(DAY)
        received = site.node.sandbox.inbox(TO)
        assert len(hasty.canceled) > 5
        assert len(received) > 5
        assert sorted(m.sid for m in received) == sorted(set(hasty.kept) - hasty.canceled)
        assert [m.sid for m in received if m.at < hasty.kept[m.sid]] == []
        for sid in hasty.kept:
            expected = "canceled" if sid in hasty.canceled else "delivered"
            assert (await site.customer.fetch(sid))["status"] == expected
