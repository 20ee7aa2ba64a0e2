"""A message and its life.

`TRANSITIONS` is the one table of that life: the schema's CHECK, the callbacks, the moves that the stores make in SQL
and the diagram in the manual are tested against it. A status never moves backwards: a message that the carrier was too
busy for stays `sending` with no claim, and a receipt that comes late or twice changes nothing.

`Message` is stored field by field in this order; `store/sql` lists the same columns in the same order.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

import msgspec

from postdate.core.instant import Instant


class Status(StrEnum):
    """Where a message stands: Twilio's words."""

    ACCEPTED = "accepted"
    SCHEDULED = "scheduled"
    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    READ = "read"
    FAILED = "failed"
    CANCELED = "canceled"
    RECEIVING = "receiving"
    RECEIVED = "received"
    PARTIALLY_DELIVERED = "partially_delivered"  # Twilio's, deprecated; a message of ours is never in it

    __hash__ = str.__hash__  # an Enum's own runs in Python, several times for each move of a message


class Event(StrEnum):
    """What can happen to a message."""

    CANCEL = "cancel"
    ASSIGN = "assign"
    CLAIM = "claim"
    RETURN = "return"
    REFUSE = "refuse"
    ACCEPT = "accept"
    DELIVER = "deliver"
    UNDELIVER = "undeliver"
    READ = "read"
    RECEIVE = "receive"

    __hash__ = str.__hash__


class Direction(StrEnum):
    """Which way a message goes: Twilio's words."""

    INBOUND = "inbound"
    OUTBOUND_API = "outbound-api"
    OUTBOUND_REPLY = "outbound-reply"


_RECEIPTS = {Event.DELIVER: Status.DELIVERED, Event.UNDELIVER: Status.UNDELIVERED, Event.READ: Status.READ}
_WAITING = {Event.CANCEL: Status.CANCELED, Event.ASSIGN: Status.QUEUED, Event.REFUSE: Status.FAILED}

TRANSITIONS: Mapping[Status, Mapping[Event, Status]] = MappingProxyType(
    {
        Status.ACCEPTED: {Event.ASSIGN: Status.QUEUED, Event.REFUSE: Status.FAILED},
        Status.SCHEDULED: _WAITING,
        # Without a messaging service a message begins as queued, and is decided about from there.
        Status.QUEUED: {Event.ASSIGN: Status.QUEUED, Event.CLAIM: Status.SENDING, Event.REFUSE: Status.FAILED},
        # A receipt can overtake the carrier's answer, and can be the only answer there ever is.
        Status.SENDING: {
            Event.CLAIM: Status.SENDING,
            Event.RETURN: Status.SENDING,
            Event.REFUSE: Status.FAILED,
            Event.ACCEPT: Status.SENT,
            **_RECEIPTS,
        },
        Status.SENT: _RECEIPTS,
        Status.DELIVERED: {Event.READ: Status.READ},
        Status.UNDELIVERED: {},
        Status.READ: {},
        Status.FAILED: {},
        Status.CANCELED: {},
        Status.RECEIVING: {Event.RECEIVE: Status.RECEIVED},
        Status.RECEIVED: {},
        Status.PARTIALLY_DELIVERED: {},
    }
)

# Settled for the customer: it can be deleted, and no hand-off is to come.
FINAL = frozenset(
    {Status.DELIVERED, Status.UNDELIVERED, Status.READ, Status.FAILED, Status.CANCELED, Status.RECEIVED, Status.SENT}
)
PENDING = frozenset({Status.ACCEPTED, Status.SCHEDULED})


class IllegalTransition(Exception):
    """An event that the message's status does not know."""

    def __init__(self, status: Status, event: Event) -> None:
        super().__init__(f"a message that is {status} knows no {event}")
        self.status = status
        self.event = event


def after(status: Status, event: Event) -> Status:
    """Return the status that follows; raise IllegalTransition where the table has no such move."""
    try:
        return TRANSITIONS[status][event]
    except KeyError:
        raise IllegalTransition(status, event) from None


def advance(status: Status, event: Event) -> Status | None:
    """Return the status that follows, or None where the event comes too late to matter."""
    return TRANSITIONS[status].get(event)


class TemplateButton(msgspec.Struct, frozen=True):
    """What a button of a template is given: `index` counts from 0; `kind` is url, copy_code or quick_reply."""

    index: int
    kind: str
    value: str


class Template(msgspec.Struct, frozen=True, omit_defaults=True):
    """A WhatsApp template as it is asked for: its name at Meta's, and the values of its variables, part by part.

    `body` and `header` have them by their names, in the order they stand in; a medium in the header is the message's
    own.
    """

    name: str
    language: str
    body: dict[str, str] = {}
    header: dict[str, str] = {}
    buttons: tuple[TemplateButton, ...] = ()


class Options(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a customer asked for beside the essentials; absent means the default."""

    smart_encoded: bool | None = None
    provide_feedback: bool = False
    send_as_mms: bool = False
    application_sid: str | None = None
    content_sid: str | None = None
    content_variables: str | None = None
    address_retention: str | None = None
    content_retention: str | None = None
    message_intent: str | None = None
    persistent_action: tuple[str, ...] = ()
    tags: dict[str, str] | None = None
    feedback: str | None = None
    validity: int | None = None  # seconds, as asked
    template: Template | None = None  # of the content, as it was when the message was accepted


class Message(msgspec.Struct, frozen=True, array_like=True):
    """A text to or from a handset; instants in microseconds, lengths in segments."""

    sid: str
    bucket: int
    account_sid: str
    service_sid: str | None
    direction: Direction
    status: Status
    sender: str | None
    sender_sid: str | None
    recipient: str
    body: str
    media_urls: tuple[str, ...]
    num_segments: int
    send_at: Instant | None
    due_at: Instant
    expires_at: Instant
    callback_url: str | None
    attempts: int
    claim: str | None
    doubt_at: Instant | None
    carrier_ref: str | None
    error_code: int | None
    created_at: Instant
    updated_at: Instant
    sent_at: Instant | None
    listed_at: Instant
    options: Options


def is_undecided(message: Message) -> bool:
    """Say whether a due message still needs a decision: what it waits for may have changed since it was accepted."""
    return message.status in PENDING or (message.status is Status.QUEUED and message.service_sid is None)
