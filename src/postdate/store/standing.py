"""Where a message stands while a batch of outcomes and receipts is applied to it: pure, and the same for every store.

A store reads the standings of a batch, lets these functions move them by `core.message.TRANSITIONS`, and writes back
what moved. What an earlier run left, or what comes too late to matter, changes nothing.
"""

from collections.abc import Iterable

import msgspec

from postdate.core.instant import Instant
from postdate.core.message import Event, Status, advance, after
from postdate.store.contract import Doubted, Failed, Handed, Result, Returned

_ANSWERS = (Event.ACCEPT, Event.REFUSE)
_SENT = (Status.SENT, Status.DELIVERED, Status.UNDELIVERED, Status.READ)
_RANK = {status: rank for rank, status in enumerate(Status)}


class Standing(msgspec.Struct, array_like=True):
    """A message's status, its claim and doubt, and the timer it agrees with; then what a batch adds to it."""

    sid: str
    status: Status
    claim: str | None
    doubt_at: Instant | None
    due_at: Instant
    carrier_ref: str | None = None
    error_code: int | None = None
    sent: bool = False
    changed: bool = False
    was_timed: bool = False  # before the batch
    was_sent: bool = False
    reached: list[Status] = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        self.was_timed = self.is_timed
        self.was_sent = self.status in _SENT

    @property
    def row(self) -> tuple[object, ...]:
        """Return what is written of it."""
        return self.sid, self.status, self.claim, self.doubt_at, self.carrier_ref, self.error_code

    @property
    def is_timed(self) -> bool:
        """Say whether its timer is still needed: to send it, or to find it after a restart."""
        waiting = self.status in (Status.ACCEPTED, Status.SCHEDULED, Status.QUEUED)
        return waiting or (self.status is Status.SENDING and (self.doubt_at is None or self.claim is None))

    @property
    def can_be_claimed(self) -> bool:
        """Say whether nobody has it. One in doubt keeps its claim, unless its carrier may be given it again."""
        return self.status is Status.QUEUED or (self.status is Status.SENDING and self.claim is None)

    def record(self, result: Result, run: str, at: Instant) -> bool:
        """Apply the outcome of a claim; say whether it counted. Only the run that holds the claim may bring it."""
        mine = self.claim == run
        match result:
            case Handed(_, _, carrier_ref) if mine and (self.status is Status.SENDING or self._was_overtaken()):
                self.carrier_ref, self.sent, self.claim, self.doubt_at = carrier_ref, True, None, None
                self._move(advance(self.status, Event.ACCEPT))
            case Failed(_, code) if self.status is Status.QUEUED or (
                self.status is Status.SENDING and (mine or self.claim is None)
            ):
                self.error_code, self.claim, self.doubt_at = code, None, None
                self._move(after(self.status, Event.REFUSE))
            case Returned(_) if mine and self.status is Status.SENDING and self.doubt_at is None:
                self.claim = None
                self._move(after(self.status, Event.RETURN))
            case Doubted(_, again) if self.status is Status.SENDING and (
                self.claim is None or (mine and (again or self.doubt_at is None))
            ):
                self.doubt_at = self.doubt_at or at
                self.claim = None if again else run
            case _:
                return False
        self.changed = True
        return True

    def hear(self, event: Event, error_code: int | None) -> None:
        """Apply a carrier's receipt, or its answer that came late, unless it comes too late to matter."""
        moved = advance(self.status, event)
        if moved is None or (event in _ANSWERS and self.doubt_at is None):
            return
        self.doubt_at = None
        self.claim = None if event in _ANSWERS else self.claim  # what a receipt overtook is still to be answered
        self.changed = True
        self.sent = event is not Event.REFUSE
        self.error_code = error_code if error_code is not None else self.error_code
        self._move(moved)

    def _was_overtaken(self) -> bool:
        return self.status in (Status.DELIVERED, Status.UNDELIVERED, Status.READ)

    def _move(self, status: Status | None) -> None:
        if status is not None and status is not self.status:
            self.status = status
            self.reached.append(status)


def news(standings: Iterable[Standing]) -> list[tuple[str, Status, int]]:
    """Return what is to be told: (SID, status, rank), where the rank keeps the order of a message's life."""
    return [told(s.sid, status) for s in standings for status in s.reached]


def told(sid: str, status: Status) -> tuple[str, Status, int]:
    """Return one change that is to be told."""
    return sid, status, _RANK[status]
