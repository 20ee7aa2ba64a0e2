"""The SMSC over real sockets, with our own session as the ESME: binds, messages, receipts, replies, questions."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from postdate.clock import SystemClock, TestClock, breathe
from postdate.connectors.smpp_text import Coding, LongMode, read_text, write_text
from postdate.core.instant import MINUTE, SECOND, Instant
from postdate.smpp.codes import Status, Tag
from postdate.smpp.pdu import (
    Bind,
    BindMode,
    BindResp,
    CancelSm,
    DataSm,
    DataSmResp,
    EnquireLink,
    Pdu,
    QuerySm,
    QuerySmResp,
    ReplaceSm,
    SubmitSm,
    Unbind,
)
from postdate.smpp.receipt import IdForm, MessageState, normal_id, read_receipt
from postdate.smpp.session import RequestReceived
from postdate.smpp.when import absolute
from tests.smsc.certificate import a_certificate
from tests.smsc.esme import HANDSET, SENDER, Esme, Trial, a_trial, eventually, text, tlv

LONG = "Please bring your insurance card and a list of your medicines. " * 5
KANJI = "予約は明日の午後三時です。" * 12


@pytest.fixture
async def trial() -> AsyncIterator[Trial]:
    """Give an SMSC as it is without any settings; receipts come at once."""
    async with a_trial() as running:
        yield running


@pytest.fixture
async def still() -> AsyncIterator[Trial]:
    """Give an SMSC on a clock that stands still."""
    async with a_trial(clock=TestClock(SystemClock().now(), frozen=True)) as running:
        yield running


async def advance(trial: Trial, micros: int) -> None:
    """Let time pass, with what happens on the wire in it."""
    assert isinstance(trial.clock, TestClock)

    async def settle() -> None:
        for _ in range(20):
            await breathe(0.001)

    await trial.clock.advance_to(Instant(trial.clock.now() + micros), settle)


def on_handset(trial: Trial, number: str = HANDSET) -> list[str]:
    return [received.body for received in trial.smsc.sandbox.inbox(f"+{number}")]


def parts(body: str, mode: LongMode, **changes: Any) -> list[SubmitSm]:
    """Return the submit_sm of a long text."""
    return [
        text(
            short_message=piece.short_message,
            data_coding=piece.data_coding,
            esm_class=piece.esm_class,
            tlvs=piece.tlvs,
            **changes,
        )
        for piece in write_text(body, Coding.GSM7, mode, 7)
    ]


# --- binding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", BindMode)
async def test_a_bind_is_answered_in_its_mode(trial: Trial, mode: BindMode) -> None:
    esme = await trial.connect()
    (answer,) = await esme.ask(Bind(mode, "postdate", "postdate"))
    assert answer.body == BindResp(mode, "postdate", ((Tag.SC_INTERFACE_VERSION, b"\x34"),))
    assert trial.smsc.links == 1


@pytest.mark.parametrize(
    ("system_id", "password", "status"),
    [("postdate", "wrong", Status.RINVPASWD), ("nobody", "postdate", Status.RINVSYSID), ("", "", Status.RINVSYSID)],
)
async def test_who_may_not_bind_is_told_why_and_can_do_nothing(
    trial: Trial, system_id: str, password: str, status: int
) -> None:
    esme = await trial.connect()
    (answer,) = await esme.ask(Bind(BindMode.TRANSCEIVER, system_id, password))
    assert answer.status == status
    assert trial.smsc.links == 0
    other = await trial.bind()
    frame = other.session.request(text())[1]
    esme.write(frame)
    await eventually(lambda: esme.octets.endswith(b"\x00\x00\x00\x04" + frame[12:16]))  # RINVBNDSTS
    assert on_handset(trial) == []


async def test_each_system_id_has_its_own_links_up_to_a_number() -> None:
    async with a_trial(passwords={"one": "1", "two": "2"}, most_links=2) as trial:
        for system_id, password in (("one", "1"), ("one", "1"), ("two", "2")):
            await trial.bind(BindMode.TRANSMITTER, system_id, password)
        esme = await trial.connect()
        (answer,) = await esme.ask(Bind(BindMode.TRANSMITTER, "one", "1"))
        assert answer.status == Status.RBINDFAIL
        trial.links[0].close()
        await eventually(lambda: trial.smsc.links == 2)
        (answer,) = await esme.ask(Bind(BindMode.TRANSMITTER, "one", "1"))
        assert answer.status == Status.ROK


async def test_who_does_not_bind_is_cut(still: Trial) -> None:
    esme, bound = await still.connect(), await still.bind()
    await advance(still, 12 * SECOND)
    await esme.closes()
    assert not bound.closed


async def test_too_many_connections_are_cut() -> None:
    async with a_trial(most_connections=2) as trial:
        bound = [await trial.bind(), await trial.bind()]
        await (await trial.connect()).closes()
        assert not any(esme.closed for esme in bound)


async def test_tls(tmp_path: Path) -> None:
    server, client = a_certificate(tmp_path)
    async with a_trial(tls=server) as trial:
        esme = await trial.bind(tls=client)
        assert (await esme.submit(text()))[0][0] == Status.ROK
        plain = await trial.connect()
        plain.write(plain.session.request(Bind(BindMode.TRANSMITTER, "postdate", "postdate"))[1])
        await plain.closes()
        with pytest.raises(ssl.SSLError):
            await trial.connect(ssl.create_default_context())


# --- messages and receipts -------------------------------------------------------------------------------------------


async def test_a_message_arrives_and_its_receipt_says_so_twice(trial: Trial) -> None:
    esme = await trial.bind()
    reference = (Tag.USER_MESSAGE_REFERENCE, b"\x12\x34")
    ((status, message_id),) = await esme.submit(text("See you at 3PM", tlvs=(reference,)))
    (receipt,) = await esme.receives(1)
    assert status == Status.ROK
    assert on_handset(trial) == ["See you at 3PM"]
    assert receipt.esm_class == 0x04
    assert (receipt.source_addr, receipt.destination_addr) == (HANDSET, SENDER)
    read = read_receipt(msgspec.structs.replace(receipt, tlvs=()))
    assert read is not None
    assert (read.message_id, read.state, read.error, read.text) == (
        message_id, MessageState.DELIVERED, "000", "See you at 3PM",
    )  # fmt: skip
    assert tlv(receipt, Tag.RECEIPTED_MESSAGE_ID) == message_id.encode() + b"\0"
    assert tlv(receipt, Tag.MESSAGE_STATE) == bytes([MessageState.DELIVERED])
    assert tlv(receipt, Tag.USER_MESSAGE_REFERENCE) == b"\x12\x34"


@pytest.mark.parametrize(
    ("last", "status", "stat"),
    [
        ("0001", Status.ROK, b"stat:UNDELIV err:005"),
        ("0002", Status.ROK, b"stat:UNDELIV err:003"),
        ("0003", Status.RX_P_APPN, None),
        ("0005", Status.RTHROTTLED, None),
        ("0006", Status.ROK, b"stat:DELIVRD err:000"),
        ("0008", Status.ROK, None),
    ],
)
async def test_the_recipients_that_misbehave_do_so_here(last: str, status: int, stat: bytes | None) -> None:
    async with a_trial({"rules": []}) as trial:
        esme = await trial.bind()
        assert (await esme.submit(text(destination_addr=f"1500555{last}")))[0][0] == status
        if stat is not None:
            assert stat in (await esme.receives(1))[0].short_message


async def test_a_busy_carrier_takes_the_third_attempt(trial: Trial) -> None:
    async with a_trial({"rules": []}) as trial:
        esme = await trial.bind()
        again = [await esme.submit(text(destination_addr="15005550005")) for _ in range(4)]
        assert [answer[0][0] for answer in again] == [Status.RTHROTTLED, Status.RTHROTTLED, 0, Status.RTHROTTLED]
        other = text(destination_addr="15005550005", tlvs=((Tag.USER_MESSAGE_REFERENCE, b"\0\1"),))
        assert [(await esme.submit(other))[0][0] for _ in range(3)] == [Status.RTHROTTLED, Status.RTHROTTLED, 0]


@pytest.mark.parametrize(
    ("wanted", "recipient", "comes"),
    [
        (0, HANDSET, False), (1, HANDSET, True), (2, HANDSET, False), (3, HANDSET, True),
        (0, "15005550001", False), (1, "15005550001", True), (2, "15005550001", True), (3, "15005550001", False),
    ],
)  # fmt: skip
async def test_a_receipt_comes_where_it_is_wanted(wanted: int, recipient: str, comes: bool) -> None:
    script = {"rules": [{"recipient": "+15005550001", "receipt": {"report": "undelivered", "delay": 0}},
                        {"receipt": {"delay": 0}}]}  # fmt: skip
    async with a_trial(script) as trial:
        esme = await trial.bind()
        await esme.submit(text(registered_delivery=wanted, destination_addr=recipient))
        await esme.submit(text("the mark"))
        marks = [b"the mark" in receipt.short_message for receipt in await esme.receives(1 + comes)]
        assert marks == [False] * comes + [True]


@pytest.mark.parametrize("body", [LONG, KANJI], ids=["gsm7", "ucs2"])
@pytest.mark.parametrize("mode", LongMode)
async def test_a_long_message_arrives_joined(trial: Trial, mode: LongMode, body: str) -> None:
    esme = await trial.bind()
    pieces = parts(body, mode)
    answers = await esme.submit(*reversed(pieces))
    assert {status for status, _ in answers} == {Status.ROK}
    assert on_handset(trial) == [body]
    receipts = await esme.receives(len(pieces))
    assert sorted(tlv(receipt, Tag.RECEIPTED_MESSAGE_ID)[:-1].decode() for receipt in receipts) == sorted(
        message_id for _, message_id in answers
    )
    (received,) = trial.smsc.sandbox.inbox(f"+{HANDSET}")
    assert received.segments == len(write_text(body, Coding.GSM7, LongMode.UDH8, 7))


async def test_parts_of_different_messages_are_kept_apart(trial: Trial) -> None:
    esme, other = await trial.bind(), await trial.bind()
    ours, theirs = parts(LONG, LongMode.UDH8), parts(LONG.upper(), LongMode.UDH8, source_addr="15005550007")
    await esme.submit(*ours[:-1])
    assert on_handset(trial) == []
    await other.submit(*theirs)
    await other.submit(*ours[-1:])  # the last part may come over another link
    assert on_handset(trial) == [LONG.upper(), LONG]


async def test_a_last_part_that_found_the_carrier_busy_comes_again_alone() -> None:
    async with a_trial({"rules": [{"attempt": 1, "answer": "busy"}, {"receipt": {"delay": 0}}]}) as trial:
        esme = await trial.bind()
        *first, last = parts(LONG, LongMode.UDH8)
        assert [status for status, _ in await esme.submit(*first, last)] == [0] * len(first) + [Status.RTHROTTLED]
        assert (await esme.submit(last))[0][0] == Status.ROK
        assert on_handset(trial) == [LONG]
        await esme.receives(len(first) + 1)


async def test_a_data_sm_is_a_message_too(trial: Trial) -> None:
    esme = await trial.bind()
    (answer,) = await esme.ask(
        DataSm(
            source_addr_ton=1,
            source_addr=SENDER,
            dest_addr_ton=1,
            destination_addr=HANDSET,
            registered_delivery=1,
            tlvs=((Tag.MESSAGE_PAYLOAD, b"By data"),),
        )
    )
    assert isinstance(answer.body, DataSmResp)
    assert on_handset(trial) == ["By data"]
    (receipt,) = await esme.receives(1)
    assert tlv(receipt, Tag.RECEIPTED_MESSAGE_ID)[:-1].decode() == answer.body.message_id


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"destination_addr": ""}, Status.RINVDSTADR),
        ({"destination_addr": "1" * 21}, Status.RINVDSTADR),
        ({"source_addr": "1" * 21}, Status.RINVSRCADR),
        ({"short_message": b"", "tlvs": ((Tag.MESSAGE_PAYLOAD, bytes(8_193)),)}, Status.RINVMSGLEN),
        ({"schedule_delivery_time": "tomorrow"}, Status.RINVSCHED),
        ({"validity_period": "99"}, Status.RINVEXPIRY),
        ({"validity_period": "200101000000000+"}, Status.RINVEXPIRY),
    ],
)
async def test_what_cannot_be_is_refused(trial: Trial, changes: dict[str, Any], status: int) -> None:
    esme = await trial.bind()
    assert (await esme.submit(text(**changes)))[0][0] == status
    assert (await esme.submit(text()))[0][0] == Status.ROK
    assert on_handset(trial) == ["Hi"]


async def test_a_receiver_cannot_send_and_a_transmitter_hears_nothing(trial: Trial) -> None:
    sender, receiver = await trial.bind(BindMode.TRANSMITTER), await trial.bind(BindMode.RECEIVER)
    await sender.submit(text())
    await receiver.receives(1)
    await trial.is_quiet(sender)
    assert sender.delivered == []
    receiver.write(sender.session.request(text())[1])
    await eventually(lambda: Status.RINVBNDSTS in receiver.octets[-16:][8:12])
    assert on_handset(trial) == ["Hi"]


# --- what is kept until somebody has it ------------------------------------------------------------------------------


async def test_receipts_wait_until_somebody_is_bound(trial: Trial) -> None:
    sender = await trial.bind(BindMode.TRANSMITTER)
    answers = await sender.submit(*(text(str(number)) for number in range(300)))
    await eventually(lambda: trial.smsc.waiting == 300)
    receiver = await trial.bind(BindMode.RECEIVER)
    got = [tlv(one, Tag.RECEIPTED_MESSAGE_ID)[:-1].decode() for one in await receiver.receives(300)]
    assert got == [message_id for _, message_id in answers]
    assert trial.smsc.waiting == 0


async def test_what_was_not_acknowledged_goes_out_again_when_the_link_is_lost(trial: Trial) -> None:
    deaf = await trial.bind()
    deaf.answers = lambda pdu: None
    await deaf.submit(*(text(str(number)) for number in range(3)))
    await deaf.receives(3)
    deaf.close()
    await eventually(lambda: trial.smsc.waiting == 3)
    again = await (await trial.bind()).receives(3)
    assert [one.tlvs for one in again] == [one.tlvs for one in deaf.delivered]


@pytest.mark.parametrize(
    ("status", "times"),
    [
        (Status.RX_T_APPN, 3), (Status.RMSGQFUL, 3), (Status.RSYSERR, 3),
        (Status.RX_P_APPN, 1), (Status.RX_R_APPN, 1), (Status.ROK, 1), (None, 3),
    ],
)  # fmt: skip
async def test_an_answer_says_whether_it_comes_again(still: Trial, status: int | None, times: int) -> None:
    esme = await still.bind()

    def answers(pdu: Pdu) -> int | None:
        return status if len(esme.delivered) < 3 else Status.ROK

    esme.answers = lambda pdu: answers(pdu) if not isinstance(pdu.body, EnquireLink) else Status.ROK
    await esme.submit(text())
    await advance(still, MINUTE)
    assert len(await esme.receives(times)) == times
    assert still.smsc.waiting == 0


async def test_a_late_answer_ends_it_all_the_same(still: Trial) -> None:
    """Nobody is asked to take a receipt again that he has, if he says so in time."""
    esme = await still.bind()
    esme.answers = lambda pdu: None if isinstance(pdu.body, type(esme.delivered[0])) else Status.ROK
    await esme.submit(text())
    await esme.receives(1)
    (asked,) = [e.pdu for e in esme.heard if isinstance(e, RequestReceived)]
    await advance(still, 11 * SECOND + 500_000)  # given up, and due again in half a second
    esme.write(esme.session.respond(asked, Status.ROK))
    await advance(still, MINUTE)
    await esme.receives(1)


async def test_no_more_are_on_their_way_than_the_window_allows() -> None:
    async with a_trial(deliver_window=10) as trial:
        esme = await trial.bind()
        held: list[Pdu] = []

        def hold(pdu: Pdu) -> None:
            held.append(pdu)

        esme.answers = hold
        await esme.submit(*(text(str(number)) for number in range(25)))
        await eventually(lambda: len(held) == 10)
        await trial.is_quiet(esme)
        assert (len(held), trial.smsc.waiting) == (10, 15)
        esme.answers = lambda pdu: Status.ROK
        for pdu in held:
            esme.write(esme.session.respond(pdu, Status.ROK))
        await esme.receives(25)


async def test_the_links_of_a_system_id_share_its_receipts(trial: Trial) -> None:
    links = [await trial.bind() for _ in range(3)]
    await links[0].submit(*(text(str(number)) for number in range(30)))
    await eventually(lambda: sum(len(esme.delivered) for esme in links) == 30)
    assert [len(esme.delivered) for esme in links] == [10, 10, 10]


# --- what handsets write ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("body", "count"), [("Thanks", 1), (LONG, 3), (KANJI, 3), ("", 1)])
async def test_a_handset_writes_back(trial: Trial, body: str, count: int) -> None:
    esme = await trial.bind()
    await esme.submit(text(registered_delivery=0))
    await trial.smsc.sandbox.reply(f"+{HANDSET}", f"+{SENDER}", body)
    pieces = await esme.receives(count)
    reads = [read_text(piece, Coding.GSM7) for piece in pieces]
    assert "".join(read.text for read in reads) == body
    assert {(piece.source_addr_ton, piece.source_addr, piece.destination_addr) for piece in pieces} == {
        (1, HANDSET, SENDER)
    }
    assert {read.part.total if read.part else 1 for read in reads} == {count}
    assert not any(read_receipt(piece) for piece in pieces)


async def test_a_reply_goes_to_whoever_sent_last_and_is_kept_until_he_comes() -> None:
    async with a_trial(passwords={"one": "1", "two": "2"}) as trial:
        two = await trial.bind(BindMode.TRANSMITTER, "two", "2")
        code: dict[str, Any] = {
            "source_addr": "12345",
            "source_addr_ton": 6,
            "source_addr_npi": 0,
            "registered_delivery": 0,
        }
        await two.submit(text(**code))
        await trial.smsc.sandbox.reply(f"+{HANDSET}", "12345", "to two")
        await trial.smsc.sandbox.reply(f"+{HANDSET}", "+15005550099", "to the first")
        one = await trial.bind(BindMode.RECEIVER, "one", "1")
        (first,) = await one.receives(1)
        assert (first.short_message, first.dest_addr_ton, first.destination_addr) == (b"to the first", 1, "15005550099")
        receiver = await trial.bind(BindMode.RECEIVER, "two", "2")
        (reply,) = await receiver.receives(1)
        assert (reply.short_message, reply.dest_addr_ton, reply.destination_addr) == (b"to two", 6, "12345")


# --- questions -------------------------------------------------------------------------------------------------------


async def query(esme: Esme, message_id: str, **more: Any) -> tuple[int, QuerySmResp]:
    (answer,) = await esme.ask(QuerySm(message_id, 1, 1, SENDER, **more))
    assert isinstance(answer.body, QuerySmResp)
    return answer.status, answer.body


async def test_a_message_can_be_asked_for(still: Trial) -> None:
    async with a_trial({"rules": [{"receipt": {"delay": "5s"}}]}, clock=still.clock) as trial:
        esme = await trial.bind()
        reference = ((Tag.USER_MESSAGE_REFERENCE, b"\x77\x01"),)
        ((_, message_id),) = await esme.submit(text(tlvs=reference))
        assert await query(esme, message_id) == (0, QuerySmResp(message_id, "", MessageState.ENROUTE, 0))
        await advance(trial, 6 * SECOND)
        status, told = await query(esme, "", tlvs=reference)
        assert (status, told.message_id, told.message_state) == (0, message_id, MessageState.DELIVERED)
        assert len(told.final_date) == 16
        for unknown in (("ffff", ()), ("no id", ()), ("", ()), ("", ((Tag.USER_MESSAGE_REFERENCE, b"\0\0"),))):
            (answer,) = await esme.ask(QuerySm(unknown[0], tlvs=unknown[1]))
            assert answer.status == Status.RINVMSGID


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ({"answer": "timeout", "taken": True}, True),
        ({"answer": "timeout", "taken": False}, False),
        ({"answer": "refuse", "code": 30007}, False),
        ({"answer": "busy"}, False),
    ],
)
async def test_a_question_by_reference_tells_whether_a_message_in_doubt_was_taken(
    rule: dict[str, Any], found: bool
) -> None:
    async with a_trial({"rules": [rule]}) as trial:
        esme = await trial.bind()
        reference = ((Tag.USER_MESSAGE_REFERENCE, b"\1\2"),)
        esme.send(text(tlvs=reference))
        status, told = await query(esme, "", tlvs=reference)
        assert (status == Status.ROK, bool(told.message_id)) == (found, found)


async def test_each_part_is_found_by_its_own_reference(trial: Trial) -> None:
    esme = await trial.bind()
    pieces = parts(LONG, LongMode.UDH8)
    references = [(Tag.USER_MESSAGE_REFERENCE, bytes([0, index])) for index in range(len(pieces))]
    pieces = [
        msgspec.structs.replace(piece, tlvs=(*piece.tlvs, reference))
        for piece, reference in zip(pieces, references, strict=True)
    ]
    answers = await esme.submit(*pieces[:-1])
    assert (await query(esme, "", tlvs=(references[-1],)))[0] == Status.RINVMSGID
    answers += await esme.submit(pieces[-1])
    await esme.receives(len(pieces))
    for reference, (_, message_id) in zip(references, answers, strict=True):
        _, told = await query(esme, "", tlvs=(reference,))
        assert (told.message_id, told.message_state) == (message_id, MessageState.DELIVERED)


async def test_one_system_id_can_do_nothing_with_the_messages_of_another() -> None:
    async with a_trial(passwords={"one": "1", "two": "2"}) as trial:
        one, two = await trial.bind(BindMode.TRANSCEIVER, "one", "1"), await trial.bind(system_id="two", password="2")
        reference = ((Tag.USER_MESSAGE_REFERENCE, b"\1\2"),)
        ((_, message_id),) = await one.submit(text(schedule_delivery_time="000000000100000R", tlvs=reference))
        assert (await query(two, message_id))[0] == Status.RINVMSGID
        assert (await query(two, "", tlvs=reference))[0] == Status.RINVMSGID
        (answer,) = await two.ask(CancelSm(message_id=message_id))
        assert answer.status == Status.RINVMSGID
        assert (await query(one, message_id))[1].message_state == MessageState.SCHEDULED
        await one.submit(text())
        await one.receives(1)
        await trial.is_quiet(two)
        assert two.delivered == []


# --- scheduled by the ESME -------------------------------------------------------------------------------------------


def in_a_minute(trial: Trial) -> str:
    return absolute(datetime.fromtimestamp(trial.clock.now() / SECOND, UTC) + timedelta(minutes=1))


async def test_a_message_waits_for_its_time(still: Trial) -> None:
    esme = await still.bind()
    ((status, message_id),) = await esme.submit(text("Later", schedule_delivery_time=in_a_minute(still)))
    assert status == Status.ROK
    assert (await query(esme, message_id))[1].message_state == MessageState.SCHEDULED
    await advance(still, 59 * SECOND)
    assert on_handset(still) == []
    await advance(still, 2 * SECOND)
    assert on_handset(still) == ["Later"]
    (receipt,) = await esme.receives(1)
    assert b"DELIVRD" in receipt.short_message


async def test_a_message_can_be_called_off_before_its_time_and_not_after(still: Trial) -> None:
    esme = await still.bind()
    pieces = parts(LONG, LongMode.UDH8, schedule_delivery_time=in_a_minute(still))
    answers = await esme.submit(*pieces, text("Later", schedule_delivery_time=in_a_minute(still)))
    for message_id in (answers[0][1], answers[-1][1]):
        (answer,) = await esme.ask(CancelSm(message_id=message_id))
        assert answer.status == Status.ROK
        assert (await query(esme, message_id))[1].message_state == MessageState.DELETED
    await advance(still, 61 * SECOND)
    assert on_handset(still) == []
    assert {b"stat:DELETED" in receipt.short_message for receipt in await esme.receives(len(pieces) + 1)} == {True}
    ((_, message_id),) = await esme.submit(text("Now"))
    for late in (answers[0][1], message_id):
        (answer,) = await esme.ask(CancelSm(message_id=late))
        assert answer.status == Status.RCANCELFAIL
    (answer,) = await esme.ask(ReplaceSm(message_id=message_id))
    assert answer.status == Status.RREPLACEFAIL


async def test_a_scheduled_message_that_is_refused_in_the_end_is_reported(still: Trial) -> None:
    script = {"rules": [{"attempt": 1, "answer": "busy"}, {"answer": "refuse", "code": 30007}]}
    async with a_trial(script, clock=still.clock) as trial:
        esme = await trial.bind()
        await esme.submit(text(schedule_delivery_time=in_a_minute(trial)))
        await advance(trial, 62 * SECOND)
        (receipt,) = await esme.receives(1)
        assert b"stat:REJECTD err:007" in receipt.short_message


# --- limits ----------------------------------------------------------------------------------------------------------


async def test_more_than_the_rate_is_throttled(still: Trial) -> None:
    async with a_trial(rate=5, clock=still.clock) as trial:
        esme, second = await trial.bind(), await trial.bind()
        statuses = [status for status, _ in await esme.submit(*(text(str(number)) for number in range(7)))]
        assert statuses == [0] * 5 + [Status.RTHROTTLED] * 2
        assert (await second.submit(text()))[0][0] == Status.RTHROTTLED  # a system id has one rate on all its links
        await advance(trial, SECOND)
        assert (await second.submit(text()))[0][0] == Status.ROK
        assert len(on_handset(trial)) == 6


async def test_who_keeps_to_the_rate_is_never_throttled(still: Trial) -> None:
    async with a_trial(rate=20, clock=still.clock) as trial:
        esme = await trial.bind()
        for number in range(50):
            assert (await esme.submit(text(str(number))))[0][0] == Status.ROK
            await advance(trial, SECOND // 20 - (20_000 if number % 2 else -20_000))  # a network's jitter


async def test_more_than_the_window_is_refused() -> None:
    rules = [{"body_contains": "slow", "answer": "timeout", "delay": "100s"}, {"receipt": {"delay": 0}}]
    async with a_trial({"rules": rules}, window=3) as trial:
        esme, other = await trial.bind(), await trial.bind()
        esme.send(*(text("slow") for _ in range(3)))
        assert (await esme.submit(text()))[0][0] == Status.RMSGQFUL
        assert (await other.submit(text()))[0][0] == Status.ROK


# --- the link itself -------------------------------------------------------------------------------------------------


async def test_a_link_that_says_nothing_is_asked_and_then_cut(still: Trial) -> None:
    esme, dead = await still.bind(), await still.bind()
    dead.answers = lambda pdu: None
    await advance(still, 35 * SECOND)
    for link in (esme, dead):
        await eventually(lambda link=link: any(isinstance(e, RequestReceived) for e in link.heard))  # type: ignore[misc]
        assert [type(e.pdu.body) for e in link.heard if isinstance(e, RequestReceived)] == [EnquireLink]
    await still.is_quiet(esme)
    await advance(still, 12 * SECOND)
    await dead.closes()
    assert not esme.closed
    assert still.smsc.links == 1


async def test_an_unbind_is_answered_and_ends_the_link(trial: Trial) -> None:
    esme = await trial.bind()
    await esme.ask(Unbind())
    await esme.closes()
    await eventually(lambda: trial.smsc.links == 0)


async def test_the_smsc_unbinds_before_it_ends_and_waits_for_nobody_for_long(trial: Trial) -> None:
    polite, rude = await trial.bind(), await trial.bind()
    rude.answers = lambda pdu: None
    async with asyncio.timeout(20):
        await trial.smsc.stop()
    for esme in (polite, rude):
        assert Unbind in [type(e.pdu.body) for e in esme.heard if isinstance(e, RequestReceived)]
        await esme.closes()
    assert polite.session.ended


async def test_a_length_that_cannot_be_ends_only_that_link(trial: Trial) -> None:
    esme, other = await trial.bind(), await trial.bind()
    esme.write(b"\xff" * 64)
    await esme.closes()
    assert (await other.submit(text()))[0][0] == Status.ROK


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"\0\0\0\x10\0\0\7\x77\0\0\0\0\0\0\0\x63", id="unknown command"),
        pytest.param(b"\0\0\0\x12\0\0\0\4\0\0\0\0\0\0\0\x63\0\1", id="submit_sm cut short"),
        pytest.param(b"\0\0\0\x10\x80\0\0\5\0\0\0\0\0\0\0\x63", id="answer to nothing"),
    ],
)
async def test_what_cannot_be_read_ends_nothing(trial: Trial, octets: bytes) -> None:
    esme = await trial.bind()
    esme.write(octets)
    assert (await esme.submit(text()))[0][0] == Status.ROK


async def test_who_does_not_read_is_not_answered_without_end(trial: Trial) -> None:
    """A link whose answers nobody takes is not read from either, so that its answers cannot fill our memory."""
    esme, other = await trial.bind(), await trial.bind()
    assert esme.transport is not None
    esme.transport.pause_reading()
    batch = b"".join(esme.session.request(EnquireLink())[1] for _ in range(2_000))
    for _ in range(1_000):  # 32 MB at most: more than all the buffers between
        esme.write(batch)
        await breathe()
        if esme.transport.get_write_buffer_size() > 2 * len(batch):
            break
    unsent, before = esme.transport.get_write_buffer_size(), -1
    while unsent != before:  # what it has begun to read it may finish
        assert (await other.submit(text()))[0][0] == Status.ROK
        unsent, before = esme.transport.get_write_buffer_size(), unsent
    assert unsent > 0
    esme.transport.resume_reading()
    await eventually(lambda: esme.transport is not None and esme.transport.get_write_buffer_size() == 0)


# --- the carrier's script --------------------------------------------------------------------------------------------


async def test_a_receipt_overtakes_its_answer() -> None:
    async with a_trial({"rules": [{"receipt": {"delay": 0, "before_answer": True}}]}) as trial:
        esme = await trial.bind()
        ((_, message_id),) = await esme.submit(text())
        kinds = [type(event).__name__ for event in esme.heard[1:]]
        assert kinds == ["RequestReceived", "ResponseReceived"]
        assert tlv(esme.delivered[0], Tag.RECEIPTED_MESSAGE_ID)[:-1].decode() == message_id


async def test_a_receipt_comes_twice() -> None:
    async with a_trial({"rules": [{"receipt": {"delay": 0, "copies": 2}}]}) as trial:
        esme = await trial.bind()
        await esme.submit(text())
        first, second = await esme.receives(2)
        assert first == second


async def test_receipts_come_in_another_order() -> None:
    async with a_trial({"rules": [{"receipt": {"delay": "0ms..50ms"}}]}, first_id=1) as trial:
        esme = await trial.bind()
        answers = await esme.submit(*(text(str(number)) for number in range(50)))
        order = [tlv(one, Tag.RECEIPTED_MESSAGE_ID)[:-1].decode() for one in await esme.receives(50)]
        assert sorted(order) == sorted(message_id for _, message_id in answers)
        assert order != [message_id for _, message_id in answers]


async def test_a_carrier_that_knows_the_key_takes_a_message_once() -> None:
    async with a_trial({"rules": [{"receipt": {"delay": 0}}], "dedupe": True}) as trial:
        esme = await trial.bind()
        keyed = text(tlvs=((Tag.USER_MESSAGE_REFERENCE, b"\1\2"),))
        first, again = await esme.submit(keyed), await esme.submit(keyed)
        assert first == again
        await esme.submit(text(), text())
        assert len(on_handset(trial)) == 3
        await esme.receives(3)


async def test_ids_are_written_in_two_ways() -> None:
    async with a_trial(wire={"response_ids": "hex", "receipt_ids": "decimal"}, first_id=0xABCDEF) as trial:
        esme = await trial.bind()
        ((_, message_id),) = await esme.submit(text())
        (receipt,) = await esme.receives(1)
        assert (message_id, tlv(receipt, Tag.RECEIPTED_MESSAGE_ID)) == ("abcdef", b"11259375\0")
        assert normal_id(message_id, IdForm.HEX) == "11259375"
        assert (await query(esme, message_id))[0] == Status.ROK
