"""What becomes of due messages in SQLite: read with the facts about them, decided, and written in one transaction."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import apsw
import msgspec

from postdate.core.decision import Assign, Decision, Hold, Refuse
from postdate.core.instant import Instant
from postdate.core.message import Message, Status, is_undecided
from postdate.core.tally import Count
from postdate.core.trail import MOST, MOST_BACK, Kind, entry, time_field
from postdate.store.contract import Decide, Dispatched, Doubted, Due, Failed, Result
from postdate.store.decided import decided_message, is_sticky, leaving
from postdate.store.standing import can_be_claimed, told

_Decided = tuple[Due, Decision, Message]  # as it was, and as it is now

_due = msgspec.json.Decoder(list[Due])
_messages = msgspec.json.Decoder(list[Message])
_sids = msgspec.json.Decoder(list[str])


class SqliteDispatch:
    """The part of the store that dispatches; runs inside its transactions, and tells and counts through it."""

    def __init__(
        self,
        do: Callable[..., int],
        get: Callable[..., Any],
        tell: Callable[[apsw.Connection, Sequence[tuple[str, Status, int]], Instant], None],
        count: Callable[[apsw.Connection, dict[str, int]], None],
        tally: Callable[[apsw.Connection, Counter[tuple[str, str]], Instant], None],
    ) -> None:
        self._do = do
        self._get = get
        self._tell = tell
        self._count = count
        self._tally = tally

    def dispatch(
        self, db: apsw.Connection, sids: Sequence[str], decide: Decide, at: Instant, ahead: int
    ) -> list[Dispatched]:
        """Read, decide and write those of `sids` that are due within `ahead` microseconds of `at`."""
        answer: list[Dispatched] = []
        decided: list[_Decided] = []
        for due in _due.decode(self._get(db, "read_due", _json(list(dict.fromkeys(sids))))):
            if due.message.due_at > at + ahead or not is_undecided(due.message):
                answer.append(Dispatched(due.message, None))
                continue
            decision = decide(due)
            now = decided_message(due.message, decision, at)
            decided.append((due, decision, now))
            answer.append(Dispatched(now, decision))
        self._write_assigned(db, decided, at)
        self._write_refused(db, decided, at)
        self._write_holds(db, decided, at)
        self._count(db, leaving(decided))
        sticky = [
            (now.service_sid, now.recipient, decision.sender.sid, now.bucket)
            for due, decision, now in decided
            if isinstance(decision, Assign) and is_sticky(due, decision)
        ]
        if sticky:
            self._do(db, "keep_sticky", _json(sticky))
        return answer

    def claim(
        self, db: apsw.Connection, sids: Sequence[str], run: str, at: Instant, may_send: Callable[[str], bool]
    ) -> tuple[list[Message], list[Result]]:
        """Claim those of `sids` that may go; return them as they are now, and what becomes of those that may not."""
        found = _messages.decode(self._get(db, "read_batch", _json(list(dict.fromkeys(sids)))))
        free = [m for m in found if can_be_claimed(m.status, m.claim)]
        codes = self._stopped(db, free, may_send)
        won = [m for m in free if m.sid not in codes]
        self._do(db, "claim", _json([m.sid for m in won]), run, at, entry(Kind.CLAIMED, at), MOST_BACK)
        stopped: list[Result] = [
            Failed(m.sid, codes[m.sid]) if m.doubt_at is None else Doubted(m.sid) for m in free if m.sid in codes
        ]
        return [
            msgspec.structs.replace(m, status=Status.SENDING, claim=run, attempts=m.attempts + 1, updated_at=at)
            for m in won
        ], stopped

    def _stopped(
        self, db: apsw.Connection, messages: Sequence[Message], may_send: Callable[[str], bool]
    ) -> dict[str, int]:
        """Return which may not go any more for what happened while they waited, and why."""
        opted_out = _sids.decode(self._get(db, "opted_out_of", _json([m.sid for m in messages])))
        return dict.fromkeys(opted_out, 21610) | {m.sid: 30002 for m in messages if not may_send(m.account_sid)}

    def _write_assigned(self, db: apsw.Connection, decided: Sequence[_Decided], at: Instant) -> None:
        assigned = [now for due, decision, now in decided if isinstance(decision, Assign) and now is not due.message]
        if assigned:
            rows = [(m.sid, m.status, m.sender, m.sender_sid, m.num_segments) for m in assigned]
            self._do(db, "assign", _json(rows), at, entry(Kind.ASSIGNED, at))
            self._tell(db, [told(m.sid, m.status) for m in assigned], at)

    def _write_refused(self, db: apsw.Connection, decided: Sequence[_Decided], at: Instant) -> None:
        refused = [m for _, decision, m in decided if isinstance(decision, Refuse)]
        if refused:
            rows = [(m.sid, m.error_code, entry(Kind.REFUSED, at, m.error_code)) for m in refused]
            self._do(db, "refuse", _json(rows), at)
            self._tell(db, [told(m.sid, m.status) for m in refused], at)
            self._do(db, "drop_timers", _json([(m.due_at, m.sid) for m in refused]))
            self._tally(db, Counter((m.account_sid, Count.FAILED) for m in refused), at)

    def _write_holds(self, db: apsw.Connection, decided: Sequence[_Decided], at: Instant) -> None:
        held = [(due.message.due_at, now) for due, decision, now in decided if isinstance(decision, Hold)]
        if held:
            rows = [(m.sid, m.due_at, entry(Kind.HELD, at, time_field(m.due_at))) for _, m in held]
            self._do(db, "hold", _json(rows), at, MOST)
            self._do(db, "drop_timers", _json([(old, m.sid) for old, m in held]))
            self._do(db, "add_timer_items", _json([timer_of(m) for _, m in held]))


def timer_of(message: Message) -> tuple[Instant, str, int, str, str | None]:
    """Return a timer for a batch of `add_timer_items`."""
    return message.due_at, message.sid, message.bucket, message.account_sid, message.service_sid


def _json(items: Any) -> str:
    return msgspec.json.encode(items).decode()
