"""The table of a message's life: against Twilio's own words, and never backwards."""

from itertools import product

import msgspec
import pytest

from postdate.core.instant import Instant
from postdate.core.message import (
    FINAL,
    PENDING,
    TRANSITIONS,
    Direction,
    Event,
    IllegalTransition,
    Message,
    Options,
    Status,
    advance,
    after,
    is_undecided,
)

# What Twilio documents to follow each status, and what our carriers add: a receipt can be quicker than the answer,
# and an RCS or WhatsApp message can be known to be read before it is known to be delivered.
NEXT: dict[Status, set[Status]] = {
    Status.ACCEPTED: {Status.QUEUED, Status.FAILED},
    Status.SCHEDULED: {Status.QUEUED, Status.FAILED, Status.CANCELED},
    Status.QUEUED: {Status.SENDING, Status.FAILED},
    Status.SENDING: {Status.SENT, Status.FAILED, Status.DELIVERED, Status.UNDELIVERED, Status.READ},
    Status.SENT: {Status.DELIVERED, Status.UNDELIVERED, Status.READ},
    Status.DELIVERED: {Status.READ},
    Status.UNDELIVERED: set(),
    Status.READ: set(),
    Status.FAILED: set(),
    Status.CANCELED: set(),
    Status.RECEIVING: {Status.RECEIVED},
    Status.RECEIVED: set(),
    Status.PARTIALLY_DELIVERED: set(),
}
EVERY_PAIR = list(product(Status, Event))


def test_statuses_are_twilios_words() -> None:
    waiting = {"accepted", "scheduled", "queued", "sending", "receiving"}
    told = {"sent", "delivered", "undelivered", "read", "failed", "canceled", "received", "partially_delivered"}
    assert set(Status) == waiting | told


@pytest.mark.parametrize("status", Status)
def test_what_follows_a_status(status: Status) -> None:
    assert set(TRANSITIONS[status].values()) - {status} == NEXT[status]


@pytest.mark.parametrize("status", Status)
def test_no_way_leads_back(status: Status) -> None:
    ahead, found = list(NEXT[status]), set(NEXT[status])
    while ahead:
        steps = set(TRANSITIONS[ahead.pop()].values()) - found
        found |= steps
        ahead += steps
    assert status not in found


def test_only_a_scheduled_message_can_be_canceled() -> None:
    assert [status for status in Status if Event.CANCEL in TRANSITIONS[status]] == [Status.SCHEDULED]


def test_a_status_stays_only_while_it_waits_or_is_handed_over() -> None:
    stays = {(status, event) for status, event in EVERY_PAIR if TRANSITIONS[status].get(event) is status}
    assert stays == {
        (Status.QUEUED, Event.ASSIGN),
        (Status.SENDING, Event.CLAIM),
        (Status.SENDING, Event.RETURN),
    }


@pytest.mark.parametrize("status", sorted(FINAL))
def test_nothing_is_handed_over_or_refused_once_it_is_final(status: Status) -> None:
    receipts = {Event.DELIVER, Event.UNDELIVER, Event.READ}
    assert set(TRANSITIONS[status]) <= receipts
    assert set(TRANSITIONS[status].values()) <= FINAL


def test_a_message_of_ours_is_pending_in_hand_or_final() -> None:
    others = set(Status) - FINAL - PENDING
    assert others == {Status.QUEUED, Status.SENDING, Status.RECEIVING, Status.PARTIALLY_DELIVERED}
    assert all(Event.ASSIGN in TRANSITIONS[status] and Event.CLAIM not in TRANSITIONS[status] for status in PENDING)


@pytest.mark.parametrize(("status", "event"), EVERY_PAIR, ids=[f"{s}, {e}" for s, e in EVERY_PAIR])
def test_after_raises_where_advance_says_none(status: Status, event: Event) -> None:
    moved = advance(status, event)
    if moved is None:
        with pytest.raises(IllegalTransition, match=f"{status} knows no {event}") as refusal:
            after(status, event)
        assert (refusal.value.status, refusal.value.event) == (status, event)
    else:
        assert after(status, event) is moved


# --- the value -------------------------------------------------------------------------------------------------------

MESSAGE = Message(
    sid="SM" + "0" * 32,
    bucket=1,
    account_sid="AC" + "0" * 32,
    service_sid="MG" + "0" * 32,
    direction=Direction.OUTBOUND_API,
    status=Status.SCHEDULED,
    sender=None,
    sender_sid=None,
    recipient="+14155550100",
    body="Hello",
    media_urls=("https://example.com/a.png",),
    num_segments=0,
    send_at=Instant(2),
    due_at=Instant(2),
    expires_at=Instant(3),
    callback_url=None,
    attempts=0,
    claim=None,
    doubt_at=None,
    carrier_ref=None,
    error_code=None,
    created_at=Instant(1),
    updated_at=Instant(1),
    sent_at=None,
    listed_at=Instant(1),
    options=Options(tags={"kind": "reminder"}),
)


def test_a_message_travels_as_an_array_in_the_order_of_its_fields() -> None:
    array = msgspec.json.decode(msgspec.json.encode(MESSAGE))
    assert len(array) == len(Message.__struct_fields__)
    assert array[Message.__struct_fields__.index("recipient")] == "+14155550100"
    assert msgspec.json.decode(msgspec.json.encode(MESSAGE), type=Message) == MESSAGE


def test_options_that_were_not_asked_for_take_no_room() -> None:
    assert msgspec.json.encode(Options()) == b"{}"
    assert msgspec.json.encode(Options(validity=60)) == b'{"validity":60}'


UNDECIDED = {
    Status.ACCEPTED: (True, True),
    Status.SCHEDULED: (True, True),
    Status.QUEUED: (False, True),
}


@pytest.mark.parametrize("status", Status)
def test_what_still_needs_a_decision(status: Status) -> None:
    of_a_service = msgspec.structs.replace(MESSAGE, status=status)
    direct = msgspec.structs.replace(of_a_service, service_sid=None)
    assert (is_undecided(of_a_service), is_undecided(direct)) == UNDECIDED.get(status, (False, False))
