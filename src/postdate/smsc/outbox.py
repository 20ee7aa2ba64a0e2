"""What waits to be delivered to one system id, whichever of its links takes it: receipts, and what handsets write.

A delivery is here until an ESME has said that it has it. It goes out again when the link is lost, when no answer comes,
and when the ESME says "later"; only "never" and too many tries end it. Bounded: the oldest goes first.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol

from postdate.core.instant import SECOND, Instant, Monotonic
from postdate.core.outcome import retry_at
from postdate.smpp.codes import Status
from postdate.smpp.pdu import DeliverSm

MOST_TRIES: Final = 20
_NEVER: Final = frozenset({Status.RX_P_APPN, Status.RX_R_APPN})


@dataclass(slots=True, eq=False)
class Delivery:
    """One deliver_sm on its way; `sent_at` is when it went out last, `had` says that the ESME has it after all."""

    body: DeliverSm
    had: bool = False
    tries: int = 0
    sent_at: Monotonic | None = None


class Receiver(Protocol):
    """A link that is bound for receiving."""

    def has_room(self) -> bool:
        """Say whether another deliver_sm may go out now."""

    def deliver(self, delivery: Delivery) -> None:
        """Send it."""


class Outbox:
    """The deliveries of one system id."""

    def __init__(self, keep: int) -> None:
        self._waiting: deque[Delivery] = deque()
        self._keep = keep
        self._receivers: deque[Receiver] = deque()
        self.dropped = 0

    def __len__(self) -> int:
        """Say how many wait for a link; those on their way are not counted."""
        return len(self._waiting)

    def add(self, delivery: Delivery) -> None:
        """Send it, or keep it until it can be sent."""
        self._waiting.append(delivery)
        if len(self._waiting) > self._keep:
            self._waiting.popleft()
            self.dropped += 1
        self.pump()

    def join(self, receiver: Receiver) -> None:
        """Use a link from now on."""
        self._receivers.append(receiver)
        self.pump()

    def leave(self, receiver: Receiver, unanswered: list[Delivery]) -> None:
        """Use a link no more; what it had not answered goes out again first."""
        if receiver in self._receivers:
            self._receivers.remove(receiver)
        self._waiting.extendleft(reversed(unanswered))
        self.pump()

    def pump(self) -> None:
        """Send what can be sent, over the links in turn."""
        waiting, receivers = self._waiting, self._receivers
        full = 0
        while waiting and full < len(receivers):
            if waiting[0].had:
                waiting.popleft()
                continue
            receiver = receivers[0]
            receivers.rotate(-1)
            if receiver.has_room():
                full = 0
                receiver.deliver(waiting.popleft())
            else:
                full += 1

    def answered(self, delivery: Delivery, status: int, now: Instant) -> int | None:
        """Note an ESME's answer; return after how many microseconds it goes out again, None where it does not."""
        if status == Status.ROK:
            return None
        delivery.tries += 1
        if status in _NEVER or delivery.tries >= MOST_TRIES:
            self.dropped += 1
            return None
        return max(retry_at(now, delivery.tries, None, 0.0) - now, SECOND)
