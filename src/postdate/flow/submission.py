"""What is handed over of a message: its text as it is sent, and its media or the links to them."""

from collections.abc import Callable, Iterable

import msgspec

from postdate.connectors.contract import Attachment, Submission
from postdate.core.message import Message
from postdate.core.sender import channel_of
from postdate.core.smart_encoding import smart_encode
from postdate.store.contract import Store


def with_links(body: str, links: Iterable[str]) -> str:
    """Return a text for a carrier that takes no media, or not so many: the links stand below the body."""
    return "\n".join(filter(None, (body, *links)))


async def attachments_of(store: Store, media_url: Callable[[str], str], message: Message) -> tuple[Attachment, ...]:
    """Return the media of a message as they were fetched; StoreError where they cannot be read now."""
    if not message.media_urls:
        return ()
    found = [await store.medium(row.sid) for row in await store.media(message.sid)]
    return tuple(Attachment(row.content_type, body, media_url(row.sid)) for row, body in filter(None, found))


def submission_of(message: Message, smart: bool, attachments: tuple[Attachment, ...], media: int) -> Submission:
    """Return what is handed over of a message to a connection that carries so many media: more go as links.

    `smart`: look-alike characters are replaced.
    """
    if len(attachments) > media:
        message = msgspec.structs.replace(message, body=with_links(message.body, (one.url for one in attachments)))
        attachments = ()
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
        template=message.options.template,
    )
