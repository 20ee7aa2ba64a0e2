"""What keeps a message out of doubt, and a doubt true: an SMSC that goes, is silent, or speaks of parts too early."""

import asyncio
from typing import Any

import pytest

from postdate.clock import breathe
from postdate.connectors.contract import CarrierEvent, Inbound, LateAnswer, Receipt
from postdate.core.message import Event
from postdate.core.outcome import Accepted, InDoubt, Refused, Unreachable
from postdate.smpp.codec import encode
from postdate.smpp.codes import Status
from postdate.smpp.pdu import DeliverSm, EnquireLinkResp, Pdu, SubmitSmResp, Unbind
from tests.connectors.smpp_peer import (
    Smsc,
    SmscLink,
    begin,
    connected,
    outcome_of,
    pass_by,
    say_nothing,
    serving,
    some_turns,
    still_wire,
    submission,
    take,
    until,
)

LONG = "abcdefghi " * 40  # three parts
ONCE: dict[str, Any] = {"reconnect_first": 60, "reconnect_longest": 60}
PATIENCE = 10.0  # seconds for which an answer is waited for


class Heard:
    """What was told, in order."""

    def __init__(self) -> None:
        self.events: list[CarrierEvent] = []

    async def keep(self, event: CarrierEvent) -> None:
        self.events.append(event)


def receipt(message_id: str, state: str) -> DeliverSm:
    return DeliverSm(esm_class=4, source_addr="15550002222", short_message=f"id:{message_id} stat:{state}".encode())


# --- an SMSC that goes, or says nothing ------------------------------------------------------------------------------


async def test_answers_that_come_with_the_smscs_unbind_still_count() -> None:
    waiting: list[Pdu] = []
    smsc = Smsc(on_submit=lambda link, request: waiting.append(request))
    async with serving(smsc), connected(smsc, **ONCE) as connector:
        task = begin(connector, [submission(1), submission(2), submission(3)])
        await until(lambda: len(waiting) == 3)
        link = smsc.links[0]
        link.send(Unbind())
        for number in (0, 1):
            await breathe(0.005)
            link.answer(waiting[number], SubmitSmResp(f"id-{number}"))
        await breathe(0.005)
        assert not link.closed
        link.answer(waiting[2], Status.RINVDSTADR)
        found = await task
        assert found[:2] == [Accepted("id-0"), Accepted("id-1")]
        assert isinstance(found[2], Refused)
        await until(lambda: link.closed)
        assert isinstance(await outcome_of(connector, submission(4)), Unreachable)
        assert connector.condition.last_error == "the SMSC unbound"


async def test_an_smsc_that_unbinds_and_answers_nothing_more_is_not_waited_for_long() -> None:
    smsc = Smsc(on_submit=say_nothing)
    wire = still_wire()
    async with serving(smsc), connected(smsc, wire=wire, **ONCE) as connector:
        task = begin(connector, [submission(1)])
        await until(lambda: smsc.submits)
        smsc.links[0].send(Unbind())
        await pass_by(wire, 4)
        assert await task == [InDoubt("the SMSC unbound")]


async def test_no_more_come_into_doubt_over_a_link_that_says_nothing() -> None:
    smsc = Smsc(on_submit=say_nothing, silent=True)
    wire = still_wire()
    async with serving(smsc), connected(smsc, wire=wire, in_flight=2, **ONCE) as connector:
        task = begin(connector, [submission(number) for number in range(1, 21)])
        await until(lambda: len(smsc.submits) == 2)
        await pass_by(wire, 2 * PATIENCE)
        found = await task
        assert [isinstance(one, InDoubt) for one in found] == [True] * 2 + [False] * 18
        assert all(isinstance(one, Unreachable) for one in found[2:])
        assert len(smsc.submits) == 2


async def test_an_smsc_that_lives_and_answers_no_message_gets_one_at_a_time() -> None:
    smsc = Smsc(on_submit=say_nothing)
    wire = still_wire()
    async with serving(smsc), connected(smsc, wire=wire, in_flight=5, enquire_link=5, **ONCE) as connector:
        task = begin(connector, [submission(number) for number in range(1, 31)])
        await until(lambda: len(smsc.submits) == 5)
        for number in (6, 7, 8):
            await pass_by(wire, PATIENCE)
            assert len(smsc.submits) == number  # one at a time
        assert len({one.short_message for one in smsc.submits}) == 8
        smsc.on_submit = take
        await pass_by(wire, PATIENCE)
        found = await task
        assert sum(isinstance(one, InDoubt) for one in found) == 8
        assert sum(isinstance(one, Accepted) for one in found) == 22


async def test_a_link_that_was_only_slow_goes_on() -> None:
    waiting: list[Pdu] = []
    smsc = Smsc(on_submit=lambda link, request: waiting.append(request), silent=True)
    heard = Heard()
    wire = still_wire()
    async with serving(smsc), connected(smsc, heard.keep, wire=wire, in_flight=1, **ONCE) as connector:
        task = begin(connector, [submission(1), submission(2)])
        await until(lambda: smsc.submits)
        await pass_by(wire, PATIENCE)
        await until(lambda: len(smsc.requests) == 3)  # bind, message, enquiry
        smsc.on_submit = take
        link = smsc.links[0]
        link.write(encode(Pdu(EnquireLinkResp(), smsc.requests[-1].sequence)))
        assert await task == [InDoubt("no answer within 10 s"), Accepted("id-2")]
        link.answer(waiting[0], SubmitSmResp("late"))
        await until(lambda: heard.events)
        assert heard.events == [LateAnswer(submission(1).sid, Accepted("late"))]


@pytest.mark.parametrize("how", ["silent", "stuck on disk", "both"])
async def test_closing_takes_no_more_than_three_seconds(how: str) -> None:
    smsc = Smsc(on_submit=say_nothing, silent=how != "stuck on disk")

    async def stuck(event: CarrierEvent) -> None:
        await until(lambda: False, 1_000_000)

    wire = still_wire()
    async with serving(smsc), connected(smsc, stuck, wire=wire) as connector:
        task = begin(connector, [submission(1)] if how != "stuck on disk" else [])
        await until(lambda: smsc.submits or how == "stuck on disk")
        if how != "silent":
            smsc.links[0].send(receipt("7", "DELIVRD"))
            await until(lambda: not connector.idle)
        closing = asyncio.create_task(connector.close())
        await some_turns()
        assert not closing.done()
        await pass_by(wire, 3)
        await closing
        assert all(isinstance(one, InDoubt) for one in await task)


# --- parts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before_its_answer", [False, True])
async def test_the_failure_of_an_early_part_counts_while_others_are_on_their_way(before_its_answer: bool) -> None:
    waiting: list[Pdu] = []
    smsc = Smsc(on_submit=lambda link, request: waiting.append(request))
    heard = Heard()
    one = submission(1, LONG)
    failed = Receipt("id-0", Event.UNDELIVER, 30008, one.sid)
    async with serving(smsc), connected(smsc, heard.keep) as connector:
        task = begin(connector, [one])
        await until(lambda: len(waiting) == 3)
        link = smsc.links[0]
        if before_its_answer:
            link.send(receipt("id-0", "UNDELIV"))
            await until(lambda: heard.events)
        link.answer(waiting[0], SubmitSmResp("id-0"))
        if not before_its_answer:
            link.send(receipt("id-0", "UNDELIV"))
        await until(lambda: failed in heard.events)
        link.send(receipt("id-0", "DELIVRD"))  # it is no word on the whole message
        for index in (1, 2):
            link.answer(waiting[index], SubmitSmResp(f"id-{index}"))
        assert await task == [Accepted("id-2")]
        await until(lambda: len(link.answers) == 2)
        assert [event for event in heard.events if isinstance(event, Receipt) and event.event is Event.DELIVER] == []


async def test_the_failure_of_a_part_is_told_of_a_message_in_doubt() -> None:
    def first_only(link: SmscLink, request: Pdu) -> None:
        if len(smsc.submits) == 1:
            link.answer(request, SubmitSmResp("first"))

    smsc = Smsc(on_submit=first_only)
    heard = Heard()
    one = submission(1, LONG)
    wire = still_wire()
    async with serving(smsc), connected(smsc, heard.keep, wire=wire) as connector:
        task = begin(connector, [one])
        await until(lambda: len(smsc.submits) == 3)
        await pass_by(wire, PATIENCE)
        (outcome,) = await task
        assert isinstance(outcome, InDoubt)
        await until(lambda: smsc.bound)
        smsc.bound[0].send(receipt("first", "UNDELIV"))
        await until(lambda: heard.events)
        assert heard.events == [Receipt("first", Event.UNDELIVER, 30008, one.sid)]


# --- what a late answer may say --------------------------------------------------------------------------------------


@pytest.mark.parametrize("old", [SubmitSmResp("old"), Status.RINVDSTADR, Status.RTHROTTLED])
async def test_a_late_no_says_nothing_once_the_message_was_handed_over_again(old: SubmitSmResp | Status) -> None:
    waiting: list[Pdu] = []
    smsc = Smsc(on_submit=lambda link, request: waiting.append(request))
    heard = Heard()
    wire = still_wire()
    async with serving(smsc), connected(smsc, heard.keep, wire=wire) as connector:
        for attempt in (1, 2):
            task = begin(connector, [submission(1, attempt=attempt)])
            while len(waiting) < attempt:
                await breathe()
            await pass_by(wire, PATIENCE)
            (outcome,) = await task
            assert isinstance(outcome, InDoubt)
        link = smsc.bound[0]
        link.answer(waiting[0], old)
        link.answer(waiting[1], SubmitSmResp("new"))
        await until(lambda: LateAnswer(submission(1).sid, Accepted("new")) in heard.events)
        assert all(isinstance(event, LateAnswer) and isinstance(event.outcome, Accepted) for event in heard.events)


# --- told again ------------------------------------------------------------------------------------------------------


async def test_a_message_whose_acknowledgement_was_lost_is_told_once() -> None:
    """The link goes after the message is on disk and before that could be said: the SMSC delivers it again."""
    smsc, told, on_disk = Smsc(), [], False

    async def slow(event: CarrierEvent) -> None:
        assert isinstance(event, Inbound)
        told.append(event.body)
        await until(lambda: on_disk)

    reply = DeliverSm(
        source_addr_ton=1, source_addr="15550002222", destination_addr="15550001111", short_message=b"Yes"
    )
    async with serving(smsc), connected(smsc, slow) as connector:
        smsc.links[0].send(reply)
        await until(lambda: told)
        smsc.links[0].kill()
        await until(lambda: connector.condition.links == 0)
        on_disk = True
        await until(lambda: connector.idle and smsc.bound)
        again = smsc.bound[0]
        again.send(reply)
        await until(lambda: again.answers)
        assert (again.answers, told) == ([Status.ROK], ["Yes"])
        again.send(reply)  # and who says the same again is heard
        await until(lambda: len(again.answers) == 2)
        assert told == ["Yes", "Yes"]
