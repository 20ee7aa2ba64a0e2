"""Submissions over SMPP against an SMSC that does what each test needs: one true outcome for each, whatever happens."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from postdate.clock import SystemClock, TestClock
from postdate.connectors.contract import Attachment, CarrierEvent, LateAnswer
from postdate.connectors.smpp import SmppConnector
from postdate.core.address import Channel
from postdate.core.instant import HOUR, SECOND, Instant, parse_instant
from postdate.core.outcome import Accepted, Busy, InDoubt, Refused, Unreachable
from postdate.smpp.codec import encode
from postdate.smpp.codes import Status, Tag
from postdate.smpp.pdu import EnquireLink, GenericNack, Pdu, SubmitSm, SubmitSmResp, Unbind
from tests.connectors.smpp_peer import (
    Smsc,
    SmscLink,
    begin,
    connected,
    outcome_of,
    outcomes,
    pass_by,
    refuse,
    say_nothing,
    serving,
    settings_for,
    some_turns,
    still_wire,
    submission,
    take,
    until,
)

START = parse_instant("2030-01-01T12:00:00Z")
LONG = "abcdefghi " * 40  # 400 septets: three parts of 153, 153 and 94
ONCE: dict[str, Any] = {"reconnect_first": 60, "reconnect_longest": 60}
PATIENCE = 10.0  # seconds for which an answer is waited for


# --- what an answer means --------------------------------------------------------------------------------------------


async def test_a_message_is_accepted_with_its_id() -> None:
    async with serving(Smsc()) as smsc, connected(smsc) as connector:
        assert await outcome_of(connector, submission()) == Accepted("id-1")
        assert connector.idle


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (Status.RTHROTTLED, Busy(None, "the carrier answered ESME_RTHROTTLED")),
        (Status.RMSGQFUL, Busy(None, "the carrier answered ESME_RMSGQFUL")),
        (Status.RSYSERR, Busy(None, "the carrier answered ESME_RSYSERR", this_only=True)),
        (Status.RSUBMITFAIL, Busy(None, "the carrier answered ESME_RSUBMITFAIL", this_only=True)),
        (Status.RX_T_APPN, Busy(None, "the carrier answered ESME_RX_T_APPN", this_only=True)),
        (Status.RINVDSTADR, Refused(30005, "the carrier answered ESME_RINVDSTADR")),
        (Status.RINVSRCADR, Refused(21606, "the carrier answered ESME_RINVSRCADR")),
        (Status.RINVMSGLEN, Refused(30019, "the carrier answered ESME_RINVMSGLEN")),
        (Status.RX_R_APPN, Refused(30007, "the carrier answered ESME_RX_R_APPN")),
        (Status.RUNKNOWNERR, Refused(30008, "the carrier answered ESME_RUNKNOWNERR")),
        (0x0410, Refused(30008, "the carrier answered 0x00000410")),
        (0xFFFFFFFF, Refused(30008, "the carrier answered 0xFFFFFFFF")),
    ],
)
async def test_a_status_has_its_outcome(status: int, expected: object) -> None:
    async with serving(Smsc(on_submit=refuse(status))) as smsc, connected(smsc) as connector:
        assert await outcome_of(connector, submission()) == expected


@pytest.mark.parametrize(
    ("status_map", "status", "expected"),
    [
        ({"0x410": "busy"}, 0x410, Busy(None, "the carrier answered 0x00000410")),
        ({"1040": 30004}, 0x410, Refused(30004, "the carrier answered 0x00000410")),
        ({"ESME_RINVDSTADR": "retry"}, 0x0B, Busy(None, "the carrier answered ESME_RINVDSTADR", this_only=True)),
        ({"rthrottled": "fail"}, 0x58, Refused(30008, "the carrier answered ESME_RTHROTTLED")),
    ],
)
async def test_a_carriers_own_map_comes_first(status_map: dict[str, Any], status: int, expected: object) -> None:
    async with serving(Smsc(on_submit=refuse(status))) as smsc, connected(smsc, status_map=status_map) as connector:
        assert await outcome_of(connector, submission()) == expected


async def test_a_nack_is_no_success_whatever_its_status() -> None:
    def nack(link: SmscLink, request: Pdu) -> None:
        link.write(encode(Pdu(GenericNack(), request.sequence, 0)))

    async with serving(Smsc(on_submit=nack)) as smsc, connected(smsc) as connector:
        assert await outcome_of(connector, submission()) == Refused(30008, "the carrier answered ESME_RUNKNOWNERR")


async def test_a_message_without_an_id_is_accepted_and_has_a_reference_of_its_own() -> None:
    def without_id(link: SmscLink, request: Pdu) -> None:
        link.answer(request, SubmitSmResp(""))

    async with serving(Smsc(on_submit=without_id)) as smsc, connected(smsc) as connector:
        first, second = await outcomes(connector, [submission(1), submission(2)])
        assert isinstance(first, Accepted)
        assert isinstance(second, Accepted)
        assert first != second


@pytest.mark.parametrize(
    ("id_format", "given", "kept"),
    [
        ("as_is", "0A1f", "0A1f"),
        ("hex_to_dec", "0A1f", "2591"),
        ("dec_to_hex", "0042", "42"),
        ("hex", "0A1F", "2591"),
        ("dec", "042", "42"),
    ],
)
async def test_ids_are_kept_in_one_spelling(id_format: str, given: str, kept: str) -> None:
    smsc = Smsc(on_submit=lambda link, request: link.answer(request, SubmitSmResp(given)))
    async with serving(smsc), connected(smsc, id_format=id_format) as connector:
        assert await outcome_of(connector, submission()) == Accepted(kept)


# --- what is written -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "settings", "expected"),
    [
        ({}, {}, {"source_addr_ton": 1, "source_addr_npi": 1, "source_addr": "15550001111"}),
        ({}, {}, {"dest_addr_ton": 1, "dest_addr_npi": 1, "destination_addr": "15550002222"}),
        ({"sender": "12345"}, {}, {"source_addr_ton": 3, "source_addr_npi": 0, "source_addr": "12345"}),
        ({"sender": "Clinic 7"}, {}, {"source_addr_ton": 5, "source_addr_npi": 0, "source_addr": "Clinic 7"}),
        ({"sender": "12345"}, {"source_ton": 0, "source_npi": 1}, {"source_addr_ton": 0, "source_addr_npi": 1}),
        ({}, {"destination_ton": 2, "destination_npi": 8}, {"dest_addr_ton": 2, "dest_addr_npi": 8}),
        ({}, {}, {"schedule_delivery_time": "", "registered_delivery": 1, "data_coding": 0, "esm_class": 0}),
        ({}, {"service_type": "CMT"}, {"service_type": "CMT"}),
        ({"body": "你好"}, {}, {"data_coding": 8, "short_message": "你好".encode("utf-16-be")}),
        ({"body": "{a}"}, {}, {"short_message": b"\x1b\x28a\x1b\x29"}),
        ({}, {"validity": False}, {"validity_period": ""}),
        ({"sid": "SM" + "0" * 28 + "beef"}, {}, {"tlvs": ((Tag.USER_MESSAGE_REFERENCE, b"\xbe\xef"),)}),
        ({}, {"reference": False}, {"tlvs": ()}),
    ],
)
async def test_a_message_is_written_as_the_settings_say(
    changes: dict[str, Any], settings: dict[str, Any], expected: dict[str, Any]
) -> None:
    async with serving(Smsc()) as smsc, connected(smsc, **settings) as connector:
        assert isinstance(await outcome_of(connector, submission(**changes)), Accepted)
        assert {name: getattr(smsc.submits[0], name) for name in expected} == expected


async def test_the_carrier_is_told_until_when_a_message_is_worth_delivering() -> None:
    clock = TestClock(START, frozen=True)
    one = submission(not_before=START, expires_at=Instant(START + 2 * HOUR + 90 * SECOND))
    async with serving(Smsc()) as smsc, connected(smsc, clock=clock) as connector:
        await outcome_of(connector, one)
        assert smsc.submits[0].validity_period == "000000020130000R"


@pytest.mark.parametrize(
    "changes",
    [
        {"channel": Channel.WHATSAPP, "recipient": "whatsapp:+15550002222"},
        {"sender": "ネーム"},  # no form in Latin-1
        {"sender": "x" * 70},
    ],
)
async def test_what_has_no_form_in_smpp_is_refused_and_nothing_is_sent(changes: dict[str, Any]) -> None:
    async with serving(Smsc()) as smsc, connected(smsc) as connector:
        refused, accepted = await outcomes(connector, [submission(1, **changes), submission(2)])
        assert isinstance(refused, Refused)
        assert accepted == Accepted("id-1")


async def test_links_to_media_stand_below_the_text() -> None:
    one = submission(body="See", attachments=(Attachment("image/png", b"x", "https://postdate.example/m/1"),))
    async with serving(Smsc()) as smsc, connected(smsc) as connector:
        await outcome_of(connector, one)
        assert smsc.submits[0].short_message == b"See\nhttps://postdate.example/m/1"


# --- long messages ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "reports"), [({}, [2, 2, 1]), ({"part_receipts": "none"}, [0, 0, 1])], ids=["failures", "none"]
)
async def test_the_parts_of_a_long_message_go_in_order_and_the_last_gives_the_reference(
    settings: dict[str, Any], reports: list[int]
) -> None:
    async with serving(Smsc()) as smsc, connected(smsc, **settings) as connector:
        assert await outcome_of(connector, submission(0x10, LONG)) == Accepted("id-3")
        headers = [one.short_message[:6] for one in smsc.submits]
        assert [header[4:] for header in headers] == [b"\x03\x01", b"\x03\x02", b"\x03\x03"]
        assert len({header[3] for header in headers}) == 1
        assert "".join(one.short_message[6:].decode("ascii") for one in smsc.submits) == LONG
        assert [one.esm_class for one in smsc.submits] == [0x40] * 3
        assert [one.registered_delivery for one in smsc.submits] == reports
        assert [one.tlv(Tag.USER_MESSAGE_REFERENCE) for one in smsc.submits] == [b"\0\x10", b"\0\x11", b"\0\x12"]


@pytest.mark.parametrize(("mode", "count"), [("udh16", 3), ("sar", 3), ("payload", 1)])
async def test_long_messages_are_written_as_the_carrier_wants_them(mode: str, count: int) -> None:
    async with serving(Smsc()) as smsc, connected(smsc, long_messages=mode) as connector:
        assert await outcome_of(connector, submission(1, LONG)) == Accepted(f"id-{count}")
        assert [one.esm_class for one in smsc.submits] == [0x40 if mode == "udh16" else 0] * count


async def test_two_long_messages_to_one_handset_are_joined_by_different_numbers() -> None:
    async with serving(Smsc()) as smsc, connected(smsc) as connector:
        await outcomes(connector, [submission(number, LONG) for number in range(3)])
        assert len({one.short_message[3] for one in smsc.submits}) == 3


async def test_a_long_message_keeps_to_a_window_smaller_than_itself() -> None:
    async with serving(Smsc()) as smsc, connected(smsc, in_flight=2) as connector:
        found = await outcomes(connector, [submission(number, LONG) for number in range(5)])
        assert found == [Accepted(f"id-{3 * number}") for number in range(1, 6)]


async def test_parts_that_were_throttled_are_sent_again_and_only_they() -> None:
    def throttle_second(link: SmscLink, request: Pdu) -> None:
        link.answer(request, Status.RTHROTTLED) if len(link.smsc.submits) == 2 else take(link, request)

    wire = TestClock(START, frozen=True)
    async with serving(Smsc(on_submit=throttle_second)) as smsc, connected(smsc, wire=wire) as connector:
        task = begin(connector, [submission(1, LONG)])
        await until(lambda: len(smsc.submits) == 3)
        await some_turns()
        assert not task.done()
        await wire.advance_to(Instant(START + SECOND), some_turns)
        assert await task == [Accepted("id-3")]
        assert [one.short_message[5] for one in smsc.submits] == [1, 2, 3, 2]


async def test_a_message_stays_in_doubt_if_a_part_of_it_is_throttled_for_too_long() -> None:
    def throttle_last(link: SmscLink, request: Pdu) -> None:
        body = request.body
        assert isinstance(body, SubmitSm)
        link.answer(request, Status.RTHROTTLED) if body.short_message[5] == 3 else take(link, request)

    wire = TestClock(START, frozen=True)
    async with serving(Smsc(on_submit=throttle_last)) as smsc, connected(smsc, wire=wire) as connector:
        task = begin(connector, [submission(1, LONG)])
        await until(lambda: len(smsc.submits) == 3)
        await some_turns()
        await wire.advance_to(Instant(START + 31 * SECOND), some_turns)
        (outcome,) = await task
        assert isinstance(outcome, InDoubt)
        assert 3 <= len(smsc.submits) <= 3 + 31


async def test_a_long_message_of_which_nothing_was_taken_is_busy() -> None:
    async with serving(Smsc(on_submit=refuse(Status.RTHROTTLED))) as smsc, connected(smsc) as connector:
        assert isinstance(await outcome_of(connector, submission(1, LONG)), Busy)


async def test_a_refused_part_refuses_the_message_and_the_rest_stays_here() -> None:
    def refuse_second(link: SmscLink, request: Pdu) -> None:
        link.answer(request, Status.RINVDSTADR) if len(link.smsc.submits) == 2 else take(link, request)

    async with serving(Smsc(on_submit=refuse_second)) as smsc, connected(smsc, in_flight=1) as connector:
        assert await outcome_of(connector, submission(1, LONG)) == Refused(
            30005, "the carrier answered ESME_RINVDSTADR"
        )
        assert len(smsc.submits) == 2


async def test_a_long_message_whose_last_part_is_not_answered_is_in_doubt() -> None:
    def forget_last(link: SmscLink, request: Pdu) -> None:
        if len(link.smsc.submits) < 3:
            take(link, request)

    wire = still_wire()
    async with serving(Smsc(on_submit=forget_last)) as smsc, connected(smsc, wire=wire) as connector:
        task = begin(connector, [submission(1, LONG)])
        await until(lambda: len(smsc.submits) == 3)
        await pass_by(wire, PATIENCE)
        (outcome,) = await task
        assert isinstance(outcome, InDoubt)


# --- when ------------------------------------------------------------------------------------------------------------


async def test_no_byte_leaves_before_its_time() -> None:
    clock = TestClock(START, frozen=True)
    later = submission(1, not_before=Instant(START + HOUR), expires_at=Instant(START + 2 * HOUR))
    async with serving(Smsc()) as smsc, connected(smsc, clock=clock) as connector:
        task = begin(connector, [later, replace(later, sid="SM" + "0" * 31 + "2", not_before=START)])
        await until(lambda: smsc.submits and connector.idle)
        assert len(smsc.submits) == 1
        await clock.advance_to(Instant(START + HOUR - 1), some_turns)
        assert len(smsc.submits) == 1
        await clock.advance_to(Instant(START + HOUR), some_turns)
        assert await task == [Accepted("id-2"), Accepted("id-1")]


async def test_what_expires_while_it_waits_for_room_is_refused() -> None:
    clock = TestClock(START, frozen=True)
    held: list[tuple[SmscLink, Pdu]] = []
    smsc = Smsc(on_submit=lambda link, request: held.append((link, request)))
    batch = [submission(n, not_before=START, expires_at=Instant(START + SECOND)) for n in range(2)]
    async with serving(smsc), connected(smsc, clock=clock, in_flight=1) as connector:
        task = begin(connector, batch)
        await until(lambda: held)
        await clock.advance_to(Instant(START + SECOND), some_turns)
        take(*held[0])
        first, second = await task
        assert first == Accepted("id-1")
        assert isinstance(second, Refused)
        assert second.code == 30036
        assert len(held) == 1


# --- the window ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("links", "in_flight"), [(1, 1), (1, 10), (3, 4), (10, 2)])
async def test_no_more_than_a_window_is_in_flight_on_each_link_and_all_links_are_used(
    links: int, in_flight: int
) -> None:
    held: dict[SmscLink, list[Pdu]] = {}
    most: Counter[SmscLink] = Counter()

    def hold(link: SmscLink, request: Pdu) -> None:
        waiting = held.setdefault(link, [])
        waiting.append(request)
        most[link] = max(most[link], len(waiting))

    async with serving(Smsc(on_submit=hold)) as smsc, connected(smsc, links=links, in_flight=in_flight) as connector:
        count = 5 * links * in_flight
        task = begin(connector, [submission(number) for number in range(count)])
        while not task.done():
            await until(lambda: task.done() or sum(map(len, held.values())) > 0)
            await some_turns()
            for link, waiting in held.items():
                while waiting:
                    link.answer(waiting.pop(), SubmitSmResp(f"id-{link.session}"))
        assert all(isinstance(outcome, Accepted) for outcome in await task)
        assert len(smsc.submits) == count
        assert most == dict.fromkeys(smsc.links, in_flight)


async def test_answers_may_come_in_any_order() -> None:
    held: list[tuple[SmscLink, Pdu]] = []
    smsc = Smsc(on_submit=lambda link, request: held.append((link, request)))
    async with serving(smsc), connected(smsc) as connector:
        task = begin(connector, [submission(number) for number in range(8)])
        await until(lambda: len(held) == 8)
        for index in (3, 7, 0, 1, 6, 2, 5, 4):
            link, request = held[index]
            link.answer(request, SubmitSmResp(f"for-{index}"))
        assert await task == [Accepted(f"for-{index}") for index in range(8)]


async def test_a_thousand_messages_leave_in_few_writes() -> None:
    async with serving(Smsc()) as smsc, connected(smsc, in_flight=1000) as connector:
        found = await outcomes(connector, [submission(number) for number in range(1000)])
        assert all(isinstance(outcome, Accepted) for outcome in found)


# --- faults ----------------------------------------------------------------------------------------------------------


async def test_a_link_killed_in_mid_burst_leaves_what_was_written_in_doubt_and_the_rest_unreachable_at_once() -> None:
    def kill_at_30(link: SmscLink, request: Pdu) -> None:
        link.kill() if len(link.smsc.submits) == 30 else take(link, request)

    # On a wire that stands still: what waits there for a time would wait for ever.
    async with serving(Smsc(on_submit=kill_at_30)) as smsc, connected(smsc, wire=still_wire(), **ONCE) as connector:
        found = await outcomes(connector, [submission(number) for number in range(60)])
        kinds = Counter(type(outcome) for outcome in found)
        written = len(smsc.submits)
        assert kinds[Accepted] <= 29
        assert kinds[InDoubt] >= written - kinds[Accepted] > 0
        assert kinds[InDoubt] <= 10  # the window
        assert kinds[Unreachable] == 60 - kinds[Accepted] - kinds[InDoubt] >= 60 - 30 - 10
        assert all(isinstance(o, Accepted | InDoubt) for o in found[:written])


async def test_an_smsc_that_unbinds_leaves_what_it_has_not_answered_in_doubt() -> None:
    def unbind(link: SmscLink, request: Pdu) -> None:
        if len(link.smsc.submits) == 3:
            link.send(Unbind())

    async with serving(Smsc(on_submit=unbind)) as smsc, connected(smsc, in_flight=3, **ONCE) as connector:
        found = await outcomes(connector, [submission(number) for number in range(5)])
        assert [type(outcome) for outcome in found] == [InDoubt] * 3 + [Unreachable] * 2


async def test_with_a_second_link_what_waits_goes_on_when_one_is_lost() -> None:
    def kill_once(link: SmscLink, request: Pdu) -> None:
        link.kill() if len(link.smsc.submits) == 10 else take(link, request)

    async with serving(Smsc(on_submit=kill_once)) as smsc, connected(smsc, links=2, in_flight=5, **ONCE) as connector:
        found = await outcomes(connector, [submission(number) for number in range(60)])
        kinds = Counter(type(outcome) for outcome in found)
        assert 1 <= kinds[InDoubt] <= 5
        assert kinds[Unreachable] == 0
        assert kinds[Accepted] == 60 - kinds[InDoubt]


async def test_an_answer_that_never_comes_leaves_only_its_message_in_doubt() -> None:
    def forget_every_20th(link: SmscLink, request: Pdu) -> None:
        if len(link.smsc.submits) % 20:
            take(link, request)

    wire = still_wire()
    async with serving(Smsc(on_submit=forget_every_20th)) as smsc, connected(smsc, wire=wire) as connector:
        task = begin(connector, [submission(number) for number in range(60)])
        await until(lambda: len(smsc.submits) == 60)
        await pass_by(wire, PATIENCE)
        found = await task
        assert [number for number, outcome in enumerate(found) if isinstance(outcome, InDoubt)] == [19, 39, 59]
        assert sum(isinstance(outcome, Accepted) for outcome in found) == 57


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (SubmitSmResp("late-1"), Accepted("late-1")),
        (Status.RINVDSTADR, Refused(30005, "the carrier answered ESME_RINVDSTADR")),
        (Status.RTHROTTLED, Unreachable("the carrier could not take it, and said so late")),
        (Status.RMSGQFUL, Unreachable("the carrier could not take it, and said so late")),
    ],
)
async def test_an_answer_that_comes_late_is_told_as_an_event(
    answer: Any, told: Accepted | Refused | Unreachable
) -> None:
    held: list[tuple[SmscLink, Pdu]] = []
    events: list[CarrierEvent] = []

    async def keep(event: CarrierEvent) -> None:
        events.append(event)

    smsc = Smsc(on_submit=lambda link, request: held.append((link, request)))
    wire = still_wire()
    async with serving(smsc), connected(smsc, keep, wire=wire) as connector:
        one = submission()
        task = begin(connector, [one])
        await until(lambda: held)
        await pass_by(wire, PATIENCE)
        (outcome,) = await task
        assert isinstance(outcome, InDoubt)
        link, request = held[0]
        link.answer(request, answer)
        await until(lambda: events)
        link.answer(request, answer)  # and once more
        await until(lambda: connector.condition.details.get("stray answers") == "1")
        assert events == [LateAnswer(one.sid, told)]


async def test_a_late_answer_is_told_until_it_is_kept() -> None:
    held: list[tuple[SmscLink, Pdu]] = []
    told: list[CarrierEvent] = []

    async def fail_twice(event: CarrierEvent) -> None:
        told.append(event)
        if len(told) < 3:
            raise OSError("the disk is full")

    wire = still_wire()
    smsc = Smsc(on_submit=lambda link, request: held.append((link, request)))
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    async with serving(smsc), connected(smsc, fail_twice, wire=wire) as connector:
        one = submission()
        task = begin(connector, [one])
        await until(lambda: held)
        await pass_by(wire, PATIENCE)
        await task
        link, request = held[0]
        take(link, request)
        await until(lambda: told)
        await pass_by(wire, 10)
        assert told == [LateAnswer(one.sid, Accepted("id-1"))] * 3


async def test_a_late_answer_to_the_missing_part_completes_a_long_message() -> None:
    held: list[tuple[SmscLink, Pdu]] = []
    events: list[CarrierEvent] = []

    async def keep(event: CarrierEvent) -> None:
        events.append(event)

    def hold_second(link: SmscLink, request: Pdu) -> None:
        held.append((link, request)) if len(link.smsc.submits) == 2 else take(link, request)

    wire = still_wire()
    async with serving(Smsc(on_submit=hold_second)) as smsc, connected(smsc, keep, wire=wire) as connector:
        one = submission(1, LONG)
        task = begin(connector, [one])
        await until(lambda: len(smsc.submits) == 3)
        await pass_by(wire, PATIENCE)
        (outcome,) = await task
        assert isinstance(outcome, InDoubt)
        held[0][0].answer(held[0][1], SubmitSmResp("late"))
        await until(lambda: events)
        assert events == [LateAnswer(one.sid, Accepted("id-3"))]


async def test_an_answer_that_comes_twice_counts_once() -> None:
    def answer_twice(link: SmscLink, request: Pdu) -> None:
        link.answer(request, SubmitSmResp("first"))
        link.answer(request, SubmitSmResp("second"))

    async with serving(Smsc(on_submit=answer_twice)) as smsc, connected(smsc) as connector:
        assert await outcomes(connector, [submission(n) for n in range(3)]) == [Accepted("first")] * 3
        await until(lambda: connector.condition.details.get("stray answers") == "3")


async def test_a_half_open_link_is_given_up_and_everything_has_its_outcome() -> None:
    smsc = Smsc(on_submit=say_nothing, silent=True)
    wire = still_wire()
    async with serving(smsc), connected(smsc, wire=wire, in_flight=5, **ONCE) as connector:
        smsc.links[0].transport.pause_reading()
        task = begin(connector, [submission(number) for number in range(30)])
        await until(lambda: not connector.idle)
        await pass_by(wire, 30 + PATIENCE)
        found = await task
        assert all(isinstance(outcome, InDoubt) for outcome in found[:5])
        assert {type(outcome) for outcome in found} == {InDoubt, Unreachable}
        assert connector.condition.last_error == "the SMSC does not answer enquire_link"


async def test_an_smsc_that_talks_and_does_not_read_is_given_up() -> None:
    smsc = Smsc(on_submit=say_nothing)
    wire = still_wire()
    many: dict[str, Any] = {"in_flight": 1000, "long_messages": "payload", **ONCE}
    async with serving(smsc), connected(smsc, wire=wire, **many) as connector:
        link = smsc.links[0]
        link.transport.pause_reading()
        task = begin(connector, [submission(number, "x" * 60_000) for number in range(400)])
        while not task.done():
            link.write(encode(Pdu(EnquireLink(), 1)))  # it is alive, then
            await pass_by(wire, 1)
        assert {type(outcome) for outcome in await task} <= {InDoubt, Unreachable}
        assert connector.condition.last_error == "the SMSC does not read what it is sent"


GARBAGE: list[tuple[str, bytes]] = [
    ("too short a length", b"\0\0\0\x08\0\0\0\x04" * 2),
    ("too long a length", b"\x80\0\0\0\x80\0\0\x04\0\0\0\0\0\0\0\x01"),
    ("a web server", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
]


@pytest.mark.parametrize("octets", [octets for _, octets in GARBAGE], ids=[name for name, _ in GARBAGE])
async def test_a_stream_out_of_step_ends_the_link_and_another_is_made(octets: bytes) -> None:
    def answer_with_garbage(link: SmscLink, request: Pdu) -> None:
        link.write(octets) if len(link.smsc.submits) == 1 else take(link, request)

    async with serving(Smsc(on_submit=answer_with_garbage)) as smsc, connected(smsc) as connector:
        assert isinstance(await outcome_of(connector, submission(1)), InDoubt)
        await until(lambda: len(smsc.bound) == 1 and connector.condition.links == 1 and len(smsc.links) == 2)
        assert await outcome_of(connector, submission(2)) == Accepted("id-2")


HARMLESS: list[tuple[str, str]] = [
    ("an unknown command", "00000010000009990000000000000007"),
    ("an unknown response", "00000010800009990000000000000007"),
    ("a response to nothing", "00000012800000040000000000FFFFFF3100"),
    ("an alert", "0000001a0000010200000000000000070101310001013200"),
]


@pytest.mark.parametrize("frame", [frame for _, frame in HARMLESS], ids=[name for name, _ in HARMLESS])
async def test_what_is_unknown_does_not_end_the_link(frame: str) -> None:
    octets = bytes.fromhex(frame)
    octets = len(octets).to_bytes(4, "big") + octets[4:]

    def garnish(link: SmscLink, request: Pdu) -> None:
        link.write(octets)
        take(link, request)

    async with serving(Smsc(on_submit=garnish)) as smsc, connected(smsc) as connector:
        assert await outcomes(connector, [submission(n) for n in range(3)]) == [Accepted(f"id-{n}") for n in (1, 2, 3)]
        assert len(smsc.links) == 1


async def test_without_a_link_everything_is_unreachable_at_once() -> None:
    async with serving(Smsc(bind_status=Status.RINVPASWD)) as smsc, connected(smsc) as connector:
        await until(lambda: connector.condition.last_error)
        (outcome,) = await outcomes(connector, [submission()])
        assert outcome == Unreachable("the SMSC does not accept the password: check password")


# --- nobody asks any more, and the end --------------------------------------------------------------------------------


async def test_what_has_not_begun_when_nobody_asks_any_more_never_leaves() -> None:
    held: list[tuple[SmscLink, Pdu]] = []
    events: list[CarrierEvent] = []

    async def keep(event: CarrierEvent) -> None:
        events.append(event)

    smsc = Smsc(on_submit=lambda link, request: held.append((link, request)))
    async with serving(smsc), connected(smsc, keep, in_flight=1) as connector:
        task = begin(connector, [submission(1), submission(2), submission(3)])
        await until(lambda: held)
        task.cancel()
        await asyncio.wait([task])
        take(*held[0])
        # The one that had left was noted as in doubt by whoever stopped waiting: now it is known.
        await until(lambda: events)
        assert events == [LateAnswer(submission(1).sid, Accepted("id-1"))]
        await connector.drain()
        assert len(held) == 1


async def test_close_waits_for_open_answers_and_unbinds() -> None:
    held: list[tuple[SmscLink, Pdu]] = []
    smsc = Smsc(on_submit=lambda link, request: held.append((link, request)))
    early = submission(3, not_before=Instant(SystemClock().now() + HOUR))
    async with serving(smsc), connected(smsc, in_flight=1) as connector:
        task = begin(connector, [submission(1), submission(2), early])
        await until(lambda: held)
        closing = asyncio.get_running_loop().create_task(connector.close())
        await some_turns()
        take(*held[0])
        await closing
        assert await task == [
            Accepted("id-1"),
            Unreachable("the connection is closed"),
            Unreachable("the connection is closed"),
        ]
        assert smsc.unbinds == 1
        assert await outcome_of(connector, submission(4)) == Unreachable("the connection is closed")


async def test_close_ends_in_doubt_what_is_not_answered_within_two_seconds() -> None:
    wire = TestClock(START, frozen=True)
    async with serving(Smsc(on_submit=say_nothing, silent=True)) as smsc, connected(smsc, wire=wire) as connector:
        task = begin(connector, [submission(1)])
        await until(lambda: smsc.submits)
        closing = asyncio.get_running_loop().create_task(connector.close())
        await some_turns()
        await wire.advance_to(Instant(START + 4 * SECOND), some_turns)
        await closing
        (outcome,) = await task
        assert isinstance(outcome, InDoubt)
        assert smsc.unbinds == 1


async def test_a_connector_that_is_not_open_sends_nothing() -> None:
    connector = SmppConnector(settings_for(1), SystemClock(), lambda: 0.0)
    (outcome,) = await outcomes(connector, [submission()])
    assert isinstance(outcome, Unreachable)


def test_it_runs_on_uvloop_too() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def story() -> None:
        async with serving(Smsc()) as smsc, connected(smsc, links=2) as connector:
            found = await outcomes(connector, [submission(number, LONG) for number in range(20)])
            assert all(isinstance(outcome, Accepted) for outcome in found)

    run: Callable[[Any], None] = uvloop.run
    run(story())
