"""What is handed over of a message: its text as it is sent, and its media or the links to them."""

from collections.abc import Sequence

from postdate.connectors.contract import Attachment, Submission
from postdate.core.message import Message
from postdate.core.sender import channel_of
from postdate.core.smart_encoding import smart_encode


def with_links(body: str, attachments: Sequence[Attachment]) -> str:
    """Return a text for a carrier that takes no media, or not so many: the links stand below the body."""
    return "\n".join(filter(None, (body, *(attachment.url for attachment in attachments))))


def submission_of(message: Message, smart: bool, attachments: tuple[Attachment, ...] = ()) -> Submission:
    """Return what is handed over of a message; `smart`: look-alike characters are replaced."""
    return Submission(
        sid=message.sid,
        attempt=message.attempts,
        sender=message.sender or "",
        recipient=message.recipient,
        channel=channel_of(message.recipient),
        body=smart_encode(message.body) if smart else message.body,
        segments=max(message.num_segments, 1),
        not_before=message.due_at,
        expires_at=message.expires_at,
        attachments=attachments,
    )
