"""What a decision makes of a due message: pure, and the same for every store."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from postdate.core.decision import Assign, Decision, Fetch, Hold, Refuse
from postdate.core.instant import Instant
from postdate.core.message import Event, Message, Status, after
from postdate.core.resources import Sender
from postdate.store.contract import Due


def _is_as_assigned(message: Message, sender: Sender, segments: int) -> bool:
    """Say whether a decision changes nothing: a message with a From is queued for its sender from the beginning."""
    now = (message.status, message.sender, message.sender_sid, message.num_segments)
    return now == (Status.QUEUED, sender.address, sender.sid, segments)


def is_sticky(due: Due, decision: Assign) -> bool:
    """Say whether a choice is worth keeping: it was a free one, and another than the last."""
    free = due.message.sender_sid is None and due.message.service_sid is not None
    return free and due.sticky != decision.sender.sid


def leaving(decided: Sequence[tuple[Due, Decision, Message]]) -> dict[str, int]:
    """Return by how much each account's count of scheduled messages changes."""
    left = Counter(
        now.account_sid
        for due, _, now in decided
        if due.message.status is Status.SCHEDULED and now.status is not Status.SCHEDULED
    )
    return {account: -count for account, count in left.items()}


def decided_message(message: Message, decision: Decision, at: Instant) -> Message:
    """Return the message as the decision leaves it: the same object where nothing changes."""
    match decision:
        case Assign(sender, segments) if _is_as_assigned(message, sender, segments):
            return message
        case Assign(sender, segments):
            return msgspec.structs.replace(
                message, status=after(message.status, Event.ASSIGN), sender=sender.address, sender_sid=sender.sid,
                num_segments=segments, updated_at=at,
            )  # fmt: skip
        case Hold(until, _):
            return msgspec.structs.replace(message, due_at=until, updated_at=at)
        case Refuse(code):
            return msgspec.structs.replace(
                message, status=after(message.status, Event.REFUSE), error_code=code, updated_at=at
            )
        case Fetch():
            return message
