"""Where a message stands while a batch of outcomes and receipts is applied to it: pure, and the same for every store.

A store reads the standings of a batch, lets these functions move them by `core.message.TRANSITIONS`, and writes back
what moved. What an earlier run left, or what comes too late to matter, changes nothing.
"""

from collections.abc import Iterable

import msgspec

from postdate.core.claim import connection_of, freed, held, is_free, is_held, run_of
from postdate.core.doubt import FAILED_CODE, Verdict
from postdate.core.instant import Instant
from postdate.core.message import Event, Status, advance, after
from postdate.core.tally import Count, counted
from postdate.core.trail import COMES_BACK, HEARD, MOST, MOST_BACK, Kind, entry
from postdate.store.contract import Doubted, Failed, Handed, ReceiptNews, Result, Returned
from postdate.store.shelf import Shelf, shelf_of

_ANSWERS = (Event.ACCEPT, Event.REFUSE, Event.RETURN)
_SENT = (Status.SENT, Status.DELIVERED, Status.UNDELIVERED, Status.READ)
_RANK = {status: rank for rank, status in enumerate(Status)}


class Standing(msgspec.Struct, array_like=True):
    """A message's status, claim and doubt, the timer it agrees with, its account; then what a batch adds to it."""

    sid: str
    status: Status
    claim: str | None
    doubt_at: Instant | None
    due_at: Instant
    account_sid: str
    stood: Shelf  # in the lists, before the batch
    carrier_ref: str | None = None
    error_code: int | None = None
    sent: bool = False
    changed: bool = False
    was_timed: bool = False  # before the batch
    was_sent: bool = False
    reached: list[Status] = msgspec.field(default_factory=list)
    counts: list[Count] = msgspec.field(default_factory=list)
    trail: str = ""
    longest_trail: int = MOST  # so long, it does not grow

    def __post_init__(self) -> None:
        self.was_timed = self.is_timed
        self.was_sent = self.status in _SENT

    @property
    def shelf(self) -> Shelf:
        """Return the part of the lists it stands in."""
        return shelf_of(self.status, self.doubt_at)

    def row(self) -> tuple[str, tuple[object, ...]]:
        """Return what is written of it, and with which statement: the lists are left alone where they can be."""
        shelf = self.shelf
        where = self.sid, self.status, self.claim, self.doubt_at, self.carrier_ref, self.trail
        if self.sent and not self.was_sent:
            return "record_sent", (*where, shelf, self.error_code)
        if shelf is not self.stood or self.error_code is not None:
            return "record_moved", (*where, shelf, self.error_code)
        return "record", where

    @property
    def goes_again(self) -> bool:
        """Say whether a batch gave it the timer back that it had lost when it was left alone in doubt."""
        return self.is_timed and not self.was_timed

    @property
    def is_timed(self) -> bool:
        """Say whether its timer is still needed: to send it, or to find it after a restart."""
        waiting = self.status in (Status.ACCEPTED, Status.SCHEDULED, Status.QUEUED)
        return waiting or (self.status is Status.SENDING and not is_held(self.claim))

    def record(self, result: Result, run: str, at: Instant) -> bool:
        """Apply the outcome of a claim; say whether it counted. Only the run that holds the claim may bring it."""
        mine = self.claim is not None and run_of(self.claim) == run
        sending = self.status is Status.SENDING
        match result:
            case Handed(_, connection, ref) if mine and (sending or self._was_overtaken()):
                self.carrier_ref, self.sent, self.claim, self.doubt_at = ref, True, freed(self.claim), None
                self._move(advance(self.status, Event.ACCEPT))
                self._note(Kind.HANDED, at, connection)
            case Failed(_, code) if self.status is Status.QUEUED or (sending and (mine or is_free(self.claim))):
                self.error_code, self.claim, self.doubt_at = code, None, None
                self._move(after(self.status, Event.REFUSE))
                self._note(Kind.FAILED, at, code)
            case Returned(_, why) if mine and sending and self.doubt_at is None:
                self.claim = freed(self.claim)
                self._move(after(self.status, Event.RETURN))
                self._note(why, at)
            case Doubted(_, again) if sending and not is_held(self.claim) and (mine or self._waits_in_doubt()):
                self.doubt_at = self.doubt_at or at
                self.claim = freed(self.claim) if again else held(self.claim)
                self._note(Kind.RETRIED if again else Kind.DOUBTED, at)
            case _:
                return False
        self.changed = True
        return True

    def hear(self, news: ReceiptNews, at: Instant) -> None:
        """Apply a carrier's receipt, or its answer that came late, unless it comes too late to matter.

        Only the connection that the message was handed to is heard.
        """
        moved = advance(self.status, news.event)
        elsewhere = connection_of(self.claim) not in ("", news.connection)
        if moved is None or elsewhere or not self._is_answered(news.event):
            return
        if news.event in _ANSWERS:  # what a receipt overtook is still to be answered
            self.claim, self.carrier_ref = freed(self.claim), news.carrier_ref or None
        self.doubt_at = None
        self.changed = True
        self.sent = news.event not in (Event.REFUSE, Event.RETURN)
        self.error_code = news.error_code if news.error_code is not None else self.error_code
        self._move(moved)
        if news.event is Event.ACCEPT:
            self._note(Kind.LATE_ACCEPT, at, news.connection)
        elif news.error_code is None:
            self._note(HEARD[news.event], at)
        else:
            self._note(HEARD[news.event], at, news.error_code)

    def resolve(self, verdict: Verdict, at: Instant) -> bool:
        """Do as a person says; False where it is not in doubt (any more), or is being handed over again just now."""
        if self.shelf is not Shelf.IN_DOUBT or not (is_held(self.claim) or is_free(self.claim)):
            return False
        self.doubt_at, self.claim, self.changed = None, freed(self.claim), True
        match verdict:
            case Verdict.SENT:
                self.sent = True
                self._move(after(self.status, Event.ACCEPT))
            case Verdict.FAILED:
                self.error_code = FAILED_CODE
                self._move(after(self.status, Event.REFUSE))
            case Verdict.RETRY:
                self._move(after(self.status, Event.RETURN))
        self._note(Kind.RESOLVED, at, verdict)
        return True

    def _is_answered(self, event: Event) -> bool:
        """Say whether a late answer may count: a refusal only while no other attempt is under way.

        What waits in doubt goes again by itself: that it was not taken changes nothing about it.
        """
        if event not in _ANSWERS:
            return True
        if event is Event.RETURN:
            return is_held(self.claim)
        return is_held(self.claim) or self._waits_in_doubt() or (event is Event.ACCEPT and self.claim is not None)

    def _waits_in_doubt(self) -> bool:
        return self.doubt_at is not None and is_free(self.claim)

    def _was_overtaken(self) -> bool:
        return self.status in (Status.DELIVERED, Status.UNDELIVERED, Status.READ)

    def _move(self, status: Status | None) -> None:
        if status is not None and status is not self.status:
            self.counts += counted(self.status, status)
            self.status = status
            self.reached.append(status)

    def _note(self, kind: Kind, at: Instant, *fields: str | int) -> None:
        # A batch with anything else in it is kept whole.
        self.longest_trail = MOST_BACK if kind in COMES_BACK and not self.trail else MOST
        self.trail += entry(kind, at, *fields)


def can_be_claimed(status: Status, claim: str | None) -> bool:
    """Say whether nobody has a message, and it is not left alone because it is in doubt."""
    return status is Status.QUEUED or (status is Status.SENDING and is_free(claim))


def news(standings: Iterable[Standing]) -> list[tuple[str, Status, int]]:
    """Return what is to be told: (SID, status, rank), where the rank keeps the order of a message's life."""
    return [told(s.sid, status) for s in standings for status in s.reached]


def told(sid: str, status: Status) -> tuple[str, Status, int]:
    """Return one change that is to be told."""
    return sid, status, _RANK[status]
