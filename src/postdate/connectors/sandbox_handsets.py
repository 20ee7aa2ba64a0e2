"""What the sandbox's handsets have received, media included, and what was written back on them.

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

    @property
    def handset(self) -> str:
        """Return the number of the handset that shows it."""
        return self.recipient


@dataclass(frozen=True, slots=True)
class Written:
    """A message that was written on a handset to one of our senders; `at` is when it had been taken."""

    handset: str
    sender: str
    body: str
    attachments: tuple[Attachment, ...]
    at: Instant


Shown = Received | Written


class Handsets:
    """All that handsets show; the oldest goes where there are more than `keep`, or too many bytes of media."""

    def __init__(self, keep: int) -> None:
        if keep < 0:
            raise ValueError(f"keep is {keep}; it is how many messages the sandbox shows, 0 or more")
        self._keep = keep
        self._conversations: dict[str, deque[Shown]] = {}
        self._order: deque[Shown] = deque()
        self._media = 0
        self.total = 0

    def add(self, shown: Shown) -> None:
        """Show a message on its handset."""
        if isinstance(shown, Received):
            self.total += 1
        self._order.append(shown)
        conversation = self._conversations.get(shown.handset)
        if conversation is None:
            conversation = self._conversations[shown.handset] = deque()
        conversation.append(shown)
        if shown.attachments:
            self._media += _weight(shown)
        while len(self._order) > self._keep or (self._media > _MOST_MEDIA and len(self._order) > 1):
            self._drop_oldest()

    def inbox(self, number: str) -> Sequence[Received]:
        """Return what one handset has received, oldest first."""
        return tuple(shown for shown in self._conversations.get(number, ()) if isinstance(shown, Received))

    def conversation(self, number: str) -> Sequence[Shown]:
        """Return all that one handset shows, what was written on it included, oldest first."""
        return tuple(self._conversations.get(number, ()))

    def numbers(self) -> Sequence[str]:
        """Return the handsets that show something."""
        return tuple(self._conversations)

    def _drop_oldest(self) -> None:
        oldest = self._order.popleft()
        self._media -= _weight(oldest)
        conversation = self._conversations[oldest.handset]
        conversation.popleft()
        if not conversation:
            del self._conversations[oldest.handset]


def _weight(shown: Shown) -> int:
    return sum(len(attachment.body) for attachment in shown.attachments)
