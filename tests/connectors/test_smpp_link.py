"""One link by itself, where the connector would hide what it does: what was written, what is stuck, who is alive."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from postdate.clock import Clock, SystemClock, breathe
from postdate.connectors.smpp_link import Link
from postdate.connectors.smpp_outgoing import Outgoing
from postdate.core.instant import Instant
from postdate.smpp.pdu import BindMode, EnquireLink, Pdu, SubmitSm
from postdate.smpp.session import RequestRejected, ResponseReceived, StrayResponse
from tests.connectors.smpp_peer import (
    Smsc,
    pass_by,
    say_nothing,
    serving,
    settings_for,
    still_wire,
    submission,
    until,
)


class Ear:
    """Hears what a link tells, and does nothing."""

    def __init__(self) -> None:
        self.unwritten: list[object] = []
        self.unknown: list[object] = []
        self.why = ""

    def bound(self, link: Link) -> None:
        pass

    def ended(self, link: Link, why: str) -> None:
        self.why = why

    def answered(self, link: Link, token: object, answer: Pdu, late: bool) -> None:
        pass

    def unanswered(self, link: Link, token: object, why: str, written: bool) -> None:
        (self.unknown if written else self.unwritten).append(token)

    def delivered(self, link: Link, request: Pdu) -> None:
        pass

    def odd(self, link: Link, event: RequestRejected | StrayResponse) -> None:
        pass

    def has_room(self, link: Link) -> None:
        pass


@asynccontextmanager
async def linked(smsc: Smsc, ear: Ear, wire: Clock | None = None, **changes: Any) -> AsyncIterator[Link]:
    link = Link(settings_for(smsc.port, **changes), BindMode.TRANSCEIVER, wire or SystemClock(), ear)
    await asyncio.get_running_loop().create_connection(lambda: link, "127.0.0.1", smsc.port)
    assert await link.bind() == 0
    try:
        yield link
    finally:
        link.abort("the test is over")
        await link.ended.wait()


def answers(smsc: Smsc) -> list[ResponseReceived]:
    return [event for event in smsc.events if isinstance(event, ResponseReceived)]


def written(body: str = "Hi", **changes: Any) -> SubmitSm:
    parts = Outgoing(settings_for(2775, **changes), lambda: 0.0).write(submission(body=body), Instant(0))
    assert isinstance(parts, list)
    (part,) = parts
    assert isinstance(part, SubmitSm)
    return part


async def test_what_was_not_given_to_the_socket_is_told_as_unwritten() -> None:
    ear = Ear()
    async with serving(Smsc(on_submit=say_nothing)) as smsc, linked(smsc, ear) as link:
        link.submit(written(), "first")
        await until(lambda: smsc.submits)
        link.submit(written(), "second")
        link.abort("it broke")  # in the same turn
        await link.ended.wait()
        assert (ear.unknown, ear.unwritten, ear.why) == (["first"], ["second"], "it broke")
        assert len(smsc.submits) == 1


async def test_a_link_is_given_up_when_a_request_times_out_while_nothing_can_be_written() -> None:
    ear = Ear()
    wire = still_wire()
    big = written("x" * 60_000, long_messages="payload")
    async with serving(Smsc(on_submit=say_nothing)) as smsc, linked(smsc, ear, wire, in_flight=1000) as link:
        smsc.links[0].transport.pause_reading()
        for number in range(900):
            if link.room == 0:
                break
            link.submit(big, number)
            await breathe()
        assert link.room == 0
        while not ear.why:
            smsc.links[0].send(EnquireLink())  # it is alive, and talks
            await pass_by(wire, 1)
        assert ear.why == "the SMSC does not read what it is sent"
        assert ear.unwritten == []


async def test_a_question_without_an_answer_is_no_death_while_the_smsc_talks() -> None:
    ear = Ear()
    wire = still_wire()
    async with serving(Smsc(silent=True)) as smsc, linked(smsc, ear, wire):
        await pass_by(wire, 30)
        await until(lambda: any(isinstance(request.body, EnquireLink) for request in smsc.requests))
        for asked in range(1, 31):
            smsc.links[0].send(EnquireLink())
            while len(answers(smsc)) < asked:
                await breathe()
            await pass_by(wire, 1)
        assert ear.why == ""
        await pass_by(wire, 60)
        assert ear.why == "the SMSC does not answer enquire_link"
