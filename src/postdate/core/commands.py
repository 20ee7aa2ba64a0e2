"""What a customer asks for, and how a request becomes a message: pure.

`SendMessage` is what was asked, already well-formed; `to_message` checks it against what the account has and makes the
`Message`, or raises `Rejected` with the documented code.
"""

import msgspec

from postdate.core.address import (
    InvalidAddress,
    SenderAddress,
    SenderKind,
    bucket_of,
    country_code,
    parse_sender,
)
from postdate.core.errors import Rejected
from postdate.core.instant import SECOND, Instant, ScheduleWindow, format_iso
from postdate.core.message import Direction, Message, Options, Status
from postdate.core.resources import Application, Sender, Service
from postdate.core.segment import count_segments
from postdate.core.sender import can_send, number_of
from postdate.core.sid import new_sid
from postdate.core.smart_encoding import smart_encode

DEFAULT_VALIDITY = 36_000  # seconds; the longest Twilio allows too
LONGEST_BODY = 1_600
MOST_MEDIA = 10


class SendMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A well-formed request to send: `send_at` None sends at once, `validity` is in seconds."""

    recipient: str
    body: str = ""
    media_urls: tuple[str, ...] = ()
    sender: str | None = None
    service_sid: str | None = None
    send_at: Instant | None = None
    callback_url: str | None = None
    validity: int | None = None
    options: Options = Options()
    idempotency_key: str | None = None


class Context(msgspec.Struct, frozen=True):
    """What the account has that the request names; None where it names nothing or nothing was found."""

    account_sid: str
    service: Service | None
    sender: Sender | None
    application: Application | None
    window: ScheduleWindow
    send_at_once_without_service: bool = False
    direction: Direction = Direction.OUTBOUND_API


def to_message(command: SendMessage, context: Context, at: Instant, chance: bytes) -> Message:
    """Return the message that the command asks for, made at `at`; raise Rejected where it cannot be."""
    service = _service(command, context)
    sender = _sender(command, context, service)
    send_at = _send_at(command, context, at)
    if command.options.application_sid is not None and context.application is None:
        raise Rejected(21420)
    due_at = at if send_at is None else send_at
    has_media = bool(command.media_urls) or command.options.send_as_mms
    validity = command.validity or (service.validity_period if service else DEFAULT_VALIDITY)
    bucket = bucket_of(context.account_sid, command.recipient)
    status = Status.QUEUED if service is None else Status.ACCEPTED
    return Message(
        sid=new_sid("MM" if has_media else "SM", at, bucket, chance),
        bucket=bucket,
        account_sid=context.account_sid,
        service_sid=service.sid if service else None,
        direction=context.direction,
        status=Status.SCHEDULED if send_at is not None else status,
        sender=sender.address if sender else None,
        sender_sid=sender.sid if sender else None,
        recipient=command.recipient,
        body=command.body,
        media_urls=command.media_urls,
        num_segments=0 if service else segments_of(command.body, has_media, bool(command.options.smart_encoded)),
        send_at=send_at,
        due_at=due_at,
        expires_at=Instant(due_at + validity * SECOND),
        callback_url=command.callback_url,
        attempts=0,
        claim=None,
        doubt_at=None,
        carrier_ref=None,
        error_code=None,
        created_at=at,
        updated_at=at,
        sent_at=None,
        listed_at=at,
        options=command.options,
    )


def _service(command: SendMessage, context: Context) -> Service | None:
    if command.service_sid is not None and context.service is None:
        raise Rejected(21701, f"The messaging service {command.service_sid} does not exist in this account.")
    if command.service_sid is None and command.sender is None:
        raise Rejected(21603)
    return context.service


def _sender(command: SendMessage, context: Context, service: Service | None) -> Sender | None:
    if command.sender is None:
        return None
    sender = context.sender
    if sender is None:
        raise Rejected(
            21606, f"The 'From' address {command.sender} is not a sender of this account: register it first."
        )
    if service is not None and sender.service_sid != service.sid:
        raise Rejected(21606, f"The 'From' address {command.sender} is not in the sender pool of {service.sid}.")
    has_media = bool(command.media_urls) or command.options.send_as_mms
    if has_media and sender.kind is not SenderKind.CHANNEL and not sender.mms:
        raise Rejected(21621)
    if not can_send(sender, command.recipient, country_code(number_of(command.recipient)), has_media):
        raise Rejected(21606, f"The 'From' address {command.sender} cannot send this message to {command.recipient}.")
    return sender


def _send_at(command: SendMessage, context: Context, at: Instant) -> Instant | None:
    if command.send_at is None:
        return None
    if context.service is None:
        if context.send_at_once_without_service:
            return None
        raise Rejected(35118)
    check_window(command.send_at, context.window, at)
    return command.send_at


def check_window(send_at: Instant, window: ScheduleWindow, at: Instant) -> None:
    """Raise Rejected (35114) where `send_at` is outside the window that begins at `at`."""
    if not window.contains(send_at, at):
        raise Rejected(
            35114, f"The SendAt {format_iso(send_at)} is outside the schedule window of {window} from {format_iso(at)}."
        )


def validity_of(message: Message) -> int:
    """Return how long a message is worth sending once due, in microseconds."""
    return message.expires_at - message.due_at


def read_sender(text: str) -> SenderAddress:
    """Return a From address; raise Rejected (21212) where it is none."""
    try:
        return parse_sender(text)
    except InvalidAddress as error:
        raise Rejected(21212, str(error)) from None


def segments_of(body: str, has_media: bool, smart_encoded: bool) -> int:
    """Return how many segments a message counts as towards its sender's rate; one with media counts as one."""
    if has_media:
        return 1
    return count_segments(smart_encode(body) if smart_encoded else body)
