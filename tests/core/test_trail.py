"""Where a message has been: what is written can be read, is bounded, and believes nobody's text."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.core.instant import DAY, HOUR, MILLISECOND, SECOND, Instant
from postdate.core.message import Direction, Message
from postdate.core.trail import Kind, Step, entry, steps, time_field
from tests.store.building import SEND_AT, START, a_message, an_inbound_message

AT = Instant(START + 5 * SECOND)
BEGUN = Step(at=START, kind=Kind.SCHEDULED, until=SEND_AT)

ENTRIES: dict[str, tuple[str, Step]] = {
    "assigned": (entry(Kind.ASSIGNED, AT), Step(at=AT, kind=Kind.ASSIGNED)),
    "held": (
        entry(Kind.HELD, AT, time_field(Instant(AT + HOUR))),
        Step(at=AT, kind=Kind.HELD, until=Instant(AT + HOUR)),
    ),
    "refused": (entry(Kind.REFUSED, AT, 30036), Step(at=AT, kind=Kind.REFUSED, code=30036)),
    "claimed": (entry(Kind.CLAIMED, AT), Step(at=AT, kind=Kind.CLAIMED, attempt=1)),
    "failed": (entry(Kind.FAILED, AT, 30008), Step(at=AT, kind=Kind.FAILED, code=30008)),
    "busy": (entry(Kind.BUSY, AT), Step(at=AT, kind=Kind.BUSY)),
    "unreachable": (entry(Kind.UNREACHABLE, AT), Step(at=AT, kind=Kind.UNREACHABLE)),
    "returned": (entry(Kind.RETURNED, AT), Step(at=AT, kind=Kind.RETURNED)),
    "doubted": (entry(Kind.DOUBTED, AT), Step(at=AT, kind=Kind.DOUBTED)),
    "retried": (entry(Kind.RETRIED, AT), Step(at=AT, kind=Kind.RETRIED)),
    "handed": (
        entry(Kind.HANDED, AT, "alpha"),
        Step(at=AT, kind=Kind.HANDED, connection="alpha", carrier_ref="ref-1"),
    ),
    "accepted late": (
        entry(Kind.LATE_ACCEPT, AT, "alpha"),
        Step(at=AT, kind=Kind.LATE_ACCEPT, connection="alpha", carrier_ref="ref-1"),
    ),
    "refused late": (entry(Kind.LATE_REFUSE, AT, 30003), Step(at=AT, kind=Kind.LATE_REFUSE, code=30003)),
    "returned late": (entry(Kind.LATE_RETURN, AT), Step(at=AT, kind=Kind.LATE_RETURN)),
    "delivered": (entry(Kind.DELIVERED, AT), Step(at=AT, kind=Kind.DELIVERED)),
    "undelivered": (entry(Kind.UNDELIVERED, AT, 30005), Step(at=AT, kind=Kind.UNDELIVERED, code=30005)),
    "read": (entry(Kind.READ, AT), Step(at=AT, kind=Kind.READ)),
    "canceled": (entry(Kind.CANCELED, AT), Step(at=AT, kind=Kind.CANCELED)),
    "resolved": (entry(Kind.RESOLVED, AT, "retry"), Step(at=AT, kind=Kind.RESOLVED, verdict="retry")),
    "redacted": (entry(Kind.REDACTED, AT), Step(at=AT, kind=Kind.REDACTED)),
}


def a_traveler(**changes: object) -> Message:
    return a_message(1, **({"attempts": 1, "carrier_ref": "ref-1"} | changes))


@pytest.mark.parametrize("name", ENTRIES)
def test_what_is_written_can_be_read(name: str) -> None:
    written, step = ENTRIES[name]
    without = 1 if step.kind is Kind.CLAIMED else 0
    assert steps(a_traveler(attempts=without), written) == [BEGUN, step]


def test_every_kind_can_be_written_but_those_that_a_message_says_itself() -> None:
    unwritten = {Kind.ACCEPTED, Kind.SCHEDULED, Kind.RECEIVED, Kind.SKIPPED}
    written = {step.kind for _, step in ENTRIES.values()} | {Kind.MOVED}
    assert written | unwritten == set(Kind)
    for kind in unwritten:
        with pytest.raises(KeyError):
            entry(kind, AT)


def test_a_message_that_was_moved_began_with_the_time_it_was_moved_from() -> None:
    to = Instant(SEND_AT + DAY)
    moved = entry(Kind.MOVED, AT, time_field(SEND_AT), time_field(to))
    again = entry(Kind.MOVED, Instant(AT + SECOND), time_field(to), time_field(Instant(to + DAY)))
    first, *rest = steps(a_traveler(send_at=Instant(to + DAY), attempts=0), moved + again)
    assert first == BEGUN
    assert [(step.was, step.until) for step in rest] == [(SEND_AT, to), (to, to + DAY)]


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (a_message(send_at=None), Kind.ACCEPTED),
        (a_message(), Kind.SCHEDULED),
        (an_inbound_message(direction=Direction.INBOUND), Kind.RECEIVED),
    ],
)
def test_how_it_began_is_said_by_the_message(message: Message, kind: Kind) -> None:
    (first,) = steps(message, "")
    assert (first.kind, first.at) == (kind, message.created_at)


def test_attempts_are_numbered_and_those_that_were_not_kept_are_said_to_be_so() -> None:
    written = "".join(entry(kind, AT) for kind in (Kind.CLAIMED, Kind.BUSY, Kind.CLAIMED, Kind.UNREACHABLE))
    found = steps(a_traveler(attempts=90), written + entry(Kind.HANDED, AT, "alpha"))
    assert [(step.kind, step.attempt) for step in found[1:]] == [
        (Kind.CLAIMED, 1),
        (Kind.BUSY, None),
        (Kind.CLAIMED, 2),
        (Kind.UNREACHABLE, None),
        (Kind.SKIPPED, 90),
        (Kind.HANDED, None),
    ]


def test_the_carriers_reference_is_that_of_the_last_hand_off() -> None:
    twice = entry(Kind.HANDED, AT, "alpha") + entry(Kind.LATE_ACCEPT, AT, "beta")
    found = steps(a_traveler(attempts=0), twice)
    assert [step.carrier_ref for step in found] == [None, None, "ref-1"]


@given(st.text(max_size=200), st.integers(0, 2**50))
def test_no_text_of_others_breaks_out_of_its_entry(text: str, at: int) -> None:
    written = entry(Kind.HANDED, Instant(at), text)
    assert len(written) < 90
    _, step, last = steps(a_traveler(attempts=0), written + entry(Kind.DELIVERED, AT))
    assert step.kind is Kind.HANDED
    assert step.at == at - at % MILLISECOND
    assert last == Step(at=AT, kind=Kind.DELIVERED)


@given(st.text(max_size=100))
def test_what_cannot_be_read_is_left_out(text: str) -> None:
    found = steps(a_traveler(attempts=0), text)
    assert found[0].kind is Kind.SCHEDULED
    assert msgspec.json.encode(found)
