"""What the sandbox's handsets have received, media included.

Memory is bounded, by number of messages and by bytes of media: the oldest message goes first, whoever has it. What is
no longer shown was still received: the total counts it.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from postdate.connectors.contract import Attachment
from postdate.core.instant import Instant

_MOST_MEDIA: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Received:
    """A message as a handset shows it; `at` is when the carrier took it."""

    sid: str
    attempt: int
    sender: str
    recipient: str
    body: str
    segments: int
    attachments: tuple[Attachment, ...]
    at: Instant


class Handsets:
    """What was received, by recipient; the oldest goes where there are more than `keep`, or too many bytes of media."""

    def __init__(self, keep: int) -> None:
        if keep < 0:
            raise ValueError(f"keep is {keep}; it is how many messages the sandbox shows, 0 or more")
        self._keep = keep
        self._inboxes: dict[str, deque[Received]] = {}
        self._order: deque[Received] = deque()
        self._media = 0
        self.total = 0

    def add(self, received: Received) -> None:
        """Show a message on its handset."""
        self.total += 1
        self._order.append(received)
        inbox = self._inboxes.get(received.recipient)
        if inbox is None:
            inbox = self._inboxes[received.recipient] = deque()
        inbox.append(received)
        if received.attachments:
            self._media += _weight(received)
        while len(self._order) > self._keep or (self._media > _MOST_MEDIA and len(self._order) > 1):
            self._drop_oldest()

    def inbox(self, number: str) -> Sequence[Received]:
        """Return what one handset shows, oldest first."""
        return tuple(self._inboxes.get(number, ()))

    def numbers(self) -> Sequence[str]:
        """Return the handsets that show something."""
        return tuple(self._inboxes)

    def _drop_oldest(self) -> None:
        oldest = self._order.popleft()
        self._media -= _weight(oldest)
        inbox = self._inboxes[oldest.recipient]
        inbox.popleft()
        if not inbox:
            del self._inboxes[oldest.recipient]


def _weight(received: Received) -> int:
    return sum(len(attachment.body) for attachment in received.attachments)
