"""What an SMSC delivers, and what it knows: receipts, messages from handsets, and questions about messages in doubt."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.clock import breathe
from postdate.connectors.contract import CarrierEvent, Inbound, Part, Receipt
from postdate.connectors.smpp_incoming import read
from postdate.connectors.smpp_news import CALLS_AT_ONCE
from postdate.core.message import Event
from postdate.core.outcome import Accepted, InDoubt, Outcome, Unreachable
from postdate.smpp.codes import Status, Tag
from postdate.smpp.pdu import DataSm, DeliverSm, Pdu, QuerySm, QuerySmResp, SubmitSm, SubmitSmResp
from tests.connectors.smpp_peer import (
    Smsc,
    SmscLink,
    begin,
    connected,
    outcome_of,
    outcomes,
    pass_by,
    say_nothing,
    serving,
    settings_for,
    still_wire,
    submission,
    take,
    until,
)

LONG = "abcdefghi " * 40
HANDSET = "15550002222"
US = "15550001111"
TEXT = "id:{id} sub:001 dlvrd:001 submit date:3001011200 done date:3001011201 stat:{stat} err:{err} text:Hello"


def receipt(message_id: str, stat: str = "DELIVRD", err: str = "000", **changes: Any) -> DeliverSm:
    text = TEXT.format(id=message_id, stat=stat, err=err)
    given = {"esm_class": 4, "source_addr": HANDSET, "destination_addr": US, "short_message": text.encode(), **changes}
    return DeliverSm(**given)


def inbound(**changes: Any) -> DeliverSm:
    given = {
        "source_addr_ton": 1,
        "source_addr": HANDSET,
        "dest_addr_ton": 1,
        "destination_addr": US,
        "short_message": b"Hi",
        **changes,
    }
    return DeliverSm(**given)


class Keeper:
    """Takes events as the node does."""

    def __init__(self) -> None:
        self.events: list[CarrierEvent] = []

    async def __call__(self, event: CarrierEvent) -> None:
        self.events.append(event)


# --- receipts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "body", "expected"),
    [
        ({}, receipt("7"), Receipt("7", Event.DELIVER)),
        ({}, receipt("7", "EXPIRED"), Receipt("7", Event.UNDELIVER, 30003)),
        ({}, receipt("7", "UNDELIV"), Receipt("7", Event.UNDELIVER, 30008)),
        ({}, receipt("7", "REJECTD"), Receipt("7", Event.UNDELIVER, 30007)),
        ({}, receipt("7", "DELETED"), Receipt("7", Event.UNDELIVER, 30008)),
        ({}, receipt("7", "UNKNOWN"), Receipt("7", Event.UNDELIVER, 30008)),
        ({"receipt_errors": {"012": 30006}}, receipt("7", "UNDELIV", "012"), Receipt("7", Event.UNDELIVER, 30006)),
        ({"receipt_errors": {"REJECTED": 30004}}, receipt("7", "REJECTD"), Receipt("7", Event.UNDELIVER, 30004)),
        ({"receipt_errors": {"REJECTD": 30004}}, receipt("7", "REJECTD"), Receipt("7", Event.UNDELIVER, 30004)),
        ({"id_format": "hex_to_dec"}, receipt("0026"), Receipt("26", Event.DELIVER)),
        ({"id_format": "dec_to_hex"}, receipt("1A"), Receipt("26", Event.DELIVER)),
        ({"id_format": "hex"}, receipt("001a"), Receipt("26", Event.DELIVER)),
        ({"id_format": "dec"}, receipt("0026"), Receipt("26", Event.DELIVER)),
        ({}, receipt("7", "BLOCKED"), Receipt("7", Event.UNDELIVER, 30008)),
        (
            {},
            receipt("no", tlvs=((Tag.RECEIPTED_MESSAGE_ID, b"7\0"), (Tag.MESSAGE_STATE, b"\x05"))),
            Receipt("7", Event.UNDELIVER, 30008),
        ),
        ({}, receipt("7", tlvs=((0x1403, b"vendor"),)), Receipt("7", Event.DELIVER)),
        ({"unmarked_receipts": True}, receipt("7", esm_class=0), Receipt("7", Event.DELIVER)),
        (
            {},
            DataSm(
                esm_class=4,
                source_addr=HANDSET,
                destination_addr=US,
                tlvs=((Tag.RECEIPTED_MESSAGE_ID, b"7\0"), (Tag.MESSAGE_STATE, b"\x02")),
            ),
            Receipt("7", Event.DELIVER),
        ),
    ],
)
async def test_a_receipt_is_told_and_acknowledged(
    settings: dict[str, Any], body: DeliverSm | DataSm, expected: Receipt
) -> None:
    keeper = Keeper()
    async with serving(Smsc()) as smsc, connected(smsc, keeper, **settings):
        smsc.links[0].send(body)
        await until(lambda: smsc.links[0].answers)
        assert keeper.events == [expected]
        assert smsc.links[0].answers == [Status.ROK]


@pytest.mark.parametrize(
    "body",
    [
        receipt("7", "ENROUTE"),
        receipt("7", "ACCEPTD"),
        receipt("7", "SUBMITD"),
        DeliverSm(esm_class=4, source_addr=HANDSET, destination_addr=US, short_message=b"id:7 err:000"),
        receipt("7", esm_class=0x20),
        receipt("7", tlvs=((Tag.MESSAGE_STATE, b"\x01"),)),
        DeliverSm(esm_class=4, source_addr=HANDSET, destination_addr=US, short_message=b"what is this"),
    ],
)
async def test_what_is_not_the_last_word_is_acknowledged_and_no_event(body: DeliverSm) -> None:
    keeper = Keeper()
    async with serving(Smsc()) as smsc, connected(smsc, keeper):
        smsc.links[0].send(body)
        await until(lambda: smsc.links[0].answers)
        assert smsc.links[0].answers == [Status.ROK]
        assert keeper.events == []


@pytest.mark.parametrize("order", ["before", "after", "twice", "backwards"])
async def test_receipts_may_come_in_any_order_and_none_is_lost(order: str) -> None:
    keeper = Keeper()
    basket: list[DeliverSm] = []

    def answer(link: SmscLink, request: Pdu) -> None:
        told = receipt(f"id-{len(link.smsc.submits)}")
        if order == "before":
            link.send(told)
        take(link, request)
        if order in ("after", "twice"):
            for _ in range(1 + (order == "twice")):
                link.send(told)
        basket.append(told)
        if order == "backwards" and len(basket) == 40:
            for one in reversed(basket):
                link.send(one)

    async with serving(Smsc(on_submit=answer)) as smsc, connected(smsc, keeper) as connector:
        found = await outcomes(connector, [submission(number) for number in range(40)])
        assert found == [Accepted(f"id-{number}") for number in range(1, 41)]
        count = 80 if order == "twice" else 40
        await until(lambda: len(smsc.links[0].answers) == count)
        assert {event for event in keeper.events if isinstance(event, Receipt)} == {
            Receipt(f"id-{number}", Event.DELIVER) for number in range(1, 41)
        }
        assert len(keeper.events) == count


async def test_a_receipt_is_acknowledged_only_when_it_is_kept() -> None:
    gate = asyncio.Event()

    async def keep(event: CarrierEvent) -> None:
        await gate.wait()

    async with serving(Smsc()) as smsc, connected(smsc, keep) as connector:
        smsc.links[0].send(receipt("7"))
        await until(lambda: not connector.idle)
        for _ in range(20):
            await breathe(0.001)
        assert smsc.links[0].answers == []
        gate.set()
        await until(lambda: smsc.links[0].answers == [Status.ROK])


async def test_what_could_not_be_kept_is_refused_so_that_it_comes_again() -> None:
    told: list[CarrierEvent] = []
    complaints: list[dict[str, Any]] = []

    async def fail_once(event: CarrierEvent) -> None:
        told.append(event)
        if len(told) == 1:
            raise OSError("the disk is full")

    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
    async with serving(Smsc()) as smsc, connected(smsc, fail_once):
        link = smsc.links[0]
        link.send(receipt("7"))
        await until(lambda: link.answers == [Status.RX_T_APPN])
        link.send(receipt("7"))
        await until(lambda: link.answers == [Status.RX_T_APPN, Status.ROK])
        assert told == [Receipt("7", Event.DELIVER)] * 2
        assert len(complaints) == 1


async def test_many_events_are_kept_at_once_and_no_more_than_256() -> None:
    at_once = most = 0
    gate = asyncio.Event()

    async def keep(event: CarrierEvent) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await gate.wait()
        at_once -= 1

    async with serving(Smsc()) as smsc, connected(smsc, keep):
        for number in range(600):
            smsc.links[0].send(receipt(str(number)))
        await until(lambda: at_once == CALLS_AT_ONCE)
        gate.set()
        await until(lambda: len(smsc.links[0].answers) == 600)
        assert most == CALLS_AT_ONCE
        assert set(smsc.links[0].answers) == {Status.ROK}


async def test_a_flood_of_events_is_refused_for_now_instead_of_filling_the_memory() -> None:
    gate = asyncio.Event()

    async def keep(event: CarrierEvent) -> None:
        await gate.wait()

    async with serving(Smsc()) as smsc, connected(smsc, keep):
        link = smsc.links[0]
        for number in range(6_000):
            link.send(receipt(str(number)))
        await until(lambda: link.answers)
        assert set(link.answers) == {Status.RX_T_APPN}
        gate.set()
        await until(lambda: len(link.answers) == 6_000)
        assert link.answers.count(Status.ROK) >= 5_000


async def test_a_failed_part_of_a_long_message_is_told_as_the_messages() -> None:
    keeper = Keeper()
    async with serving(Smsc()) as smsc, connected(smsc, keeper) as connector:
        one = submission(1, LONG)
        assert await outcome_of(connector, one) == Accepted("id-3")
        link = smsc.links[0]
        for body in (receipt("id-1"), receipt("id-2", "UNDELIV"), receipt("id-3")):
            link.send(body)
        await until(lambda: len(link.answers) == 3)
        assert keeper.events == [
            Receipt("id-2", Event.UNDELIVER, 30008, one.sid),
            Receipt("id-3", Event.DELIVER),
        ]


@pytest.mark.parametrize("reference", [True, False])
async def test_an_id_that_is_given_anew_is_the_latest_messages(reference: bool) -> None:
    """An SMSC that forgot all may begin its ids again: what was the id of an early part is that of another message."""
    keeper = Keeper()
    smsc = Smsc(on_submit=lambda link, request: link.answer(request, SubmitSmResp(next(ids))))
    ids = iter(["id-1", "id-2", "id-3", "id-1", "id-2"])
    async with serving(smsc), connected(smsc, keeper, reference=reference) as connector:
        assert await outcome_of(connector, submission(1, LONG)) == Accepted("id-3")
        assert await outcome_of(connector, submission(2)) == Accepted("id-1")
        assert await outcome_of(connector, submission(3)) == Accepted("id-2")
        link = smsc.links[0]
        for body in (receipt("id-1"), receipt("id-2", "UNDELIV")):
            link.send(body)
        await until(lambda: len(link.answers) == 2)
        assert keeper.events == [Receipt("id-1", Event.DELIVER), Receipt("id-2", Event.UNDELIVER, 30008)]


@pytest.mark.parametrize(("handset", "known"), [(HANDSET, True), ("+" + HANDSET, True), ("15550009999", False)])
async def test_a_receipt_finds_a_message_in_doubt_by_its_reference(handset: str, known: bool) -> None:
    keeper = Keeper()
    smsc = Smsc(on_submit=say_nothing)
    wire = still_wire()
    async with serving(smsc), connected(smsc, keeper, wire=wire) as connector:
        one = submission(0xBEEF)
        task = begin(connector, [one])
        await until(lambda: smsc.submits)
        await pass_by(wire, 10)
        (outcome,) = await task
        assert isinstance(outcome, InDoubt)
        reference = (Tag.USER_MESSAGE_REFERENCE, b"\xbe\xef")
        smsc.links[0].send(receipt("never-heard", source_addr=handset, tlvs=(reference,)))
        await until(lambda: keeper.events)
        assert keeper.events == [Receipt("never-heard", Event.DELIVER, None, one.sid if known else None)]


async def test_the_receipt_of_another_message_with_the_same_reference_ends_no_doubt() -> None:
    """References have 16 bits: two messages to a handset may share one, and its own id says whose a receipt is."""
    keeper = Keeper()
    smsc = Smsc(on_submit=lambda link, request: take(link, request) if len(smsc.submits) == 1 else None)
    wire = still_wire()
    async with serving(smsc), connected(smsc, keeper, wire=wire) as connector:
        assert await outcome_of(connector, submission(0x10005)) == Accepted("id-1")
        task = begin(connector, [submission(0x20005)])
        await until(lambda: len(smsc.submits) == 2)
        await pass_by(wire, 10)
        (outcome,) = await task
        assert isinstance(outcome, InDoubt)
        smsc.links[0].send(receipt("id-1", tlvs=((Tag.USER_MESSAGE_REFERENCE, b"\0\5"),)))
        await until(lambda: keeper.events)
        assert keeper.events == [Receipt("id-1", Event.DELIVER)]


# --- messages from handsets ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (inbound(), Inbound("+15550002222", "+15550001111", "Hi")),
        (inbound(source_addr_ton=0, dest_addr_ton=0), Inbound("+15550002222", "+15550001111", "Hi")),
        (inbound(source_addr="0015550002222", source_addr_ton=0), Inbound("+15550002222", "+15550001111", "Hi")),
        (inbound(source_addr="+15550002222"), Inbound("+15550002222", "+15550001111", "Hi")),
        (inbound(source_addr="4155550100", source_addr_ton=2), Inbound("4155550100", "+15550001111", "Hi")),
        (inbound(destination_addr="12345", dest_addr_ton=3), Inbound("+15550002222", "12345", "Hi")),
        (inbound(destination_addr="12345", dest_addr_ton=0), Inbound("+15550002222", "12345", "Hi")),
        (inbound(source_addr="Bank", source_addr_ton=5), Inbound("Bank", "+15550001111", "Hi")),
        (
            inbound(data_coding=8, short_message="やあ".encode("utf-16-be")),
            Inbound("+15550002222", "+15550001111", "やあ"),
        ),
        (
            inbound(esm_class=0x40, short_message=b"\x05\x00\x03\x2a\x03\x02part two"),
            Inbound("+15550002222", "+15550001111", "part two", part=Part(0x2A, 3, 2)),
        ),
        (
            inbound(short_message=b"", tlvs=((Tag.MESSAGE_PAYLOAD, b"x" * 300),)),
            Inbound("+15550002222", "+15550001111", "x" * 300),
        ),
        # What reads like a receipt and is not marked as one may come from anybody's handset.
        (
            inbound(short_message=b"id:7 stat:DELIVRD done date:3001011201"),
            Inbound("+15550002222", "+15550001111", "id:7 stat:DELIVRD done date:3001011201"),
        ),
        (
            DataSm(
                source_addr_ton=1,
                source_addr=HANDSET,
                dest_addr_ton=1,
                destination_addr=US,
                tlvs=((Tag.MESSAGE_PAYLOAD, b"Hi"),),
            ),
            Inbound("+15550002222", "+15550001111", "Hi"),
        ),
    ],
)
async def test_a_message_from_a_handset_is_told_and_acknowledged(body: DeliverSm | DataSm, expected: Inbound) -> None:
    keeper = Keeper()
    async with serving(Smsc()) as smsc, connected(smsc, keeper):
        smsc.links[0].send(body)
        await until(lambda: smsc.links[0].answers)
        assert keeper.events == [expected]
        assert smsc.links[0].answers == [Status.ROK]


BAD: list[tuple[str, str]] = [
    ("short body", "0000001400000005000000000000000700313233"),
    ("nothing in it", "00000010000000050000000000000007"),
    ("text longer than the frame", "000000220000000500000000000000070000003100000032000000000000000000ff61"),
    ("data_sm cut short", "000000120000010300000000000000070031"),
]


@pytest.mark.parametrize("frame", [frame for _, frame in BAD], ids=[name for name, _ in BAD])
async def test_a_delivery_that_cannot_be_read_is_acknowledged_once_and_counted(frame: str) -> None:
    keeper = Keeper()
    octets = bytes.fromhex(frame)
    octets = len(octets).to_bytes(4, "big") + octets[4:]
    async with serving(Smsc()) as smsc, connected(smsc, keeper) as connector:
        smsc.links[0].write(octets)
        await until(lambda: connector.condition.details.get("unusable requests") == "1")
        assert await outcome_of(connector, submission()) == Accepted("id-1")
        assert keeper.events == []
        assert len(smsc.links) == 1


octet = st.integers(0, 255)
name = st.text(st.characters(max_codepoint=255, exclude_characters="\0"), max_size=30)


@given(
    st.builds(
        DeliverSm,
        source_addr_ton=octet,
        source_addr=name,
        dest_addr_ton=octet,
        destination_addr=name,
        esm_class=octet,
        data_coding=octet,
        short_message=st.binary(max_size=254),
        tlvs=st.lists(st.tuples(st.sampled_from([*Tag, 0x1403]), st.binary(max_size=20))).map(tuple),
    ),
    st.booleans(),
)
def test_whatever_is_delivered_is_read_without_an_error(body: DeliverSm, unmarked: bool) -> None:
    read(body, settings_for(2775, unmarked_receipts=unmarked, id_format="hex_to_dec"))


# --- questions -------------------------------------------------------------------------------------------------------


def found(*known: bytes) -> Callable[[QuerySm], Any]:
    """An SMSC that knows these references."""

    def answer(query: QuerySm) -> Any:
        reference = query.tlv(Tag.USER_MESSAGE_REFERENCE)
        return QuerySmResp(f"m-{known.index(reference)}", "", 2, 0) if reference in known else Status.RQUERYFAIL

    return answer


@pytest.mark.parametrize(
    ("body", "answer", "expected"),
    [
        ("", found(b"\0\x10"), Accepted("m-0")),
        ("", found(), Unreachable("the carrier does not know it")),
        ("", lambda query: Status.RINVMSGID, Unreachable("the carrier does not know it")),
        ("", lambda query: Status.RSYSERR, InDoubt("the carrier has some of its parts only, or could not say")),
        ("", lambda query: Status.RINVCMDID, InDoubt("the carrier has some of its parts only, or could not say")),
        (LONG, found(b"\0\x10", b"\0\x11", b"\0\x12"), Accepted("m-2")),
        (LONG, found(b"\0\x12"), InDoubt("the carrier has some of its parts only, or could not say")),
        (LONG, found(), Unreachable("the carrier does not know it")),
    ],
)
async def test_a_carrier_that_knows_references_is_asked(body: str, answer: Any, expected: Outcome) -> None:
    smsc = Smsc(on_query=answer)
    async with serving(smsc), connected(smsc, query_by_reference=True) as connector:
        assert await connector.ask(submission(0x10, body)) == expected
        assert {(query.message_id, query.source_addr) for query in smsc.queries} == {("", US)}


async def test_what_was_written_to_a_lost_link_is_found_by_its_reference() -> None:
    taken: list[SubmitSm] = []

    def take_and_die(link: SmscLink, request: Pdu) -> None:
        assert isinstance(request.body, SubmitSm)
        taken.append(request.body)
        link.kill()

    def know(query: QuerySm) -> Any:
        references = [one.tlv(Tag.USER_MESSAGE_REFERENCE) for one in taken]
        return QuerySmResp("m-1") if query.tlv(Tag.USER_MESSAGE_REFERENCE) in references else Status.RINVMSGID

    smsc = Smsc(on_submit=take_and_die, on_query=know)
    async with serving(smsc), connected(smsc, query_by_reference=True) as connector:
        one = submission(5)
        assert isinstance(await outcome_of(connector, one), InDoubt)
        await until(lambda: connector.condition.links == 1)
        assert await connector.ask(one) == Accepted("m-1")
        assert await connector.ask(submission(6)) == Unreachable("the carrier does not know it")


async def test_another_message_with_the_same_reference_is_not_mistaken_for_it() -> None:
    smsc = Smsc(on_query=lambda query: QuerySmResp("id-1"))
    async with serving(smsc), connected(smsc, query_by_reference=True) as connector:
        assert await outcome_of(connector, submission(0x10005)) == Accepted("id-1")
        assert isinstance(await connector.ask(submission(0x20005)), InDoubt)
        assert await connector.ask(submission(0x10005)) == Accepted("id-1")


async def test_without_the_setting_nobody_is_asked() -> None:
    async with serving(Smsc()) as smsc, connected(smsc) as connector:
        assert isinstance(await connector.ask(submission()), InDoubt)
        assert smsc.queries == []


async def test_without_a_link_or_an_answer_nobody_knows() -> None:
    smsc = Smsc()
    async with serving(smsc), connected(smsc, query_by_reference=True, answer_timeout=0.1) as connector:
        smsc.handle = lambda link, request: None  # type: ignore[method-assign]
        assert isinstance(await connector.ask(submission()), InDoubt)
        await connector.close()
        assert isinstance(await connector.ask(submission()), InDoubt)
