"""What the SMSC keeps is bounded: deliveries, messages that can be asked for, parts that wait for the others."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from postdate.connectors.contract import Part
from postdate.core.instant import MINUTE, Instant
from postdate.smpp.codes import Status
from postdate.smpp.pdu import DeliverSm
from postdate.smsc.addresses import WireAddress, read_address, write_address
from postdate.smsc.messages import Joiner, Messages, Taken, parse_id, write_id
from postdate.smsc.outbox import MOST_TRIES, Delivery, Outbox
from postdate.smsc.wire_script import Ids

AT = Instant(1_893_456_000_000_000)
ADDRESS = WireAddress(1, 1, "14155550101")


def taken(number: int, at: Instant = AT, text: str = "Hi", reference: bytes | None = None) -> Taken:
    return Taken(number, "postdate", ADDRESS, ADDRESS, "+1", "+2", 1, reference, text, at)


def numbered(number: int) -> Delivery:
    return Delivery(DeliverSm(short_message=str(number).encode()))


@dataclass
class Receiver:
    """A link that takes so many at a time."""

    room: int
    got: list[Delivery] = field(default_factory=list)

    def has_room(self) -> bool:
        return len(self.got) < self.room

    def deliver(self, delivery: Delivery) -> None:
        self.got.append(delivery)


def test_an_outbox_keeps_the_latest() -> None:
    outbox = Outbox(3)
    sent = [numbered(number) for number in range(5)]
    for delivery in sent:
        outbox.add(delivery)
    receiver = Receiver(10)
    outbox.join(receiver)
    assert receiver.got == sent[2:]
    assert outbox.dropped == 2


@given(st.lists(st.integers(0, 5), max_size=4), st.integers(0, 30))
def test_an_outbox_fills_every_link_and_loses_nothing(rooms: list[int], count: int) -> None:
    outbox, receivers = Outbox(100), [Receiver(room) for room in rooms]
    for receiver in receivers:
        outbox.join(receiver)
    sent = [numbered(number) for number in range(count)]
    for delivery in sent:
        outbox.add(delivery)
    got = [delivery for receiver in receivers for delivery in receiver.got]
    assert len(got) == min(count, sum(rooms))
    assert len(outbox) == count - len(got)
    for receiver in receivers:
        outbox.leave(receiver, receiver.got)
    last = Receiver(100)
    outbox.join(last)
    assert sorted(map(id, last.got)) == sorted(map(id, sent))


def test_what_nobody_ever_takes_is_given_up() -> None:
    outbox, delivery = Outbox(10), numbered(1)
    waits = [outbox.answered(delivery, Status.RX_T_APPN, AT) for _ in range(MOST_TRIES)]
    assert waits[-1] is None
    assert all(earlier is not None for earlier in waits[:-1])
    assert outbox.dropped == 1


def test_messages_that_can_be_asked_for_are_bounded() -> None:
    messages = Messages(3, Ids.HEX)
    for number in range(5):
        messages.add(f"ref {number}", (taken(number, text="x" * 100, reference=bytes([number])),))
    assert [bool(messages.of(f"ref {number}")) for number in range(5)] == [False, False, True, True, True]
    assert [messages.find("postdate", f"{number}") is not None for number in (1, 2)] == [False, True]
    assert messages.find_by_reference("postdate", "+1", b"\1") is None
    (kept,) = messages.of("ref 4")
    assert messages.find_by_reference("postdate", "+1", b"\4") is kept
    assert len(kept.text) == 20


def test_parts_wait_ten_minutes_for_the_others() -> None:
    joiner = Joiner()
    first, late = taken(1), taken(2, Instant(AT + 10 * MINUTE + 1))
    assert joiner.add(first, Part(7, 2, 1)) is None
    assert joiner.add(late, Part(7, 2, 2)) is None
    again = taken(3, Instant(AT + 11 * MINUTE))
    assert joiner.add(again, Part(7, 2, 1)) == (again, late)


def test_a_thousand_messages_wait_for_their_parts() -> None:
    joiner = Joiner()
    for ref in range(1_001):
        joiner.add(taken(ref), Part(ref, 2, 1))
    assert joiner.add(taken(9_000), Part(0, 2, 2)) is None  # the oldest was forgotten
    assert joiner.add(taken(9_001), Part(1_000, 2, 2)) is not None


@given(st.integers(0, 1 << 60), st.sampled_from(Ids))
def test_an_id_is_read_as_it_was_written(number: int, ids: Ids) -> None:
    assert parse_id(write_id(number, ids), ids) == number


@given(st.text(max_size=30), st.sampled_from(Ids))
def test_no_text_is_too_odd_for_an_id(text: str, ids: Ids) -> None:
    found = parse_id(text, ids)
    assert found is None or found >= 0


@given(st.one_of(st.from_regex(r"\+[1-9][0-9]{8,14}", fullmatch=True), st.sampled_from(["12345", "Clinic", "Café"])))
def test_an_address_comes_back(address: str) -> None:
    written = write_address(address)
    assert read_address(written.ton, written.text) == address


def test_addresses_as_esmes_write_them() -> None:
    told = [
        (1, "4155550101", "+4155550101"), (0, "14155550101", "+14155550101"), (0, "12345", "12345"),
        (3, "12345", "12345"), (2, "4155550101", "4155550101"), (5, "Clinic", "Clinic"), (1, "+1415", "+1415"),
    ]  # fmt: skip
    assert [read_address(ton, text) for ton, text, _ in told] == [address for _, _, address in told]
