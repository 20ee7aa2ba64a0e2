"""What people look at, in SQLite: pages of messages, the agenda, counts, trails, and calls that were made.

A page is made of a few walks, one over each part of the lists that what is asked for can stand in, merged by their
order. A walk looks at so many entries of its index at most; where it ends early, the page ends there too.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

import apsw
import msgspec

from postdate.core.instant import Instant
from postdate.core.message import Direction, Message, Status
from postdate.core.tally import Tally, hour_of
from postdate.store.contract import EPOCH
from postdate.store.shelf import OF_STATUS, Shelf
from postdate.store.views import AgendaQuery, Called, CallQuery, Cursor, DueCount, Found, MessageQuery, Overview

MOST_SIDS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is looked at for one answer, so that it comes in time."""

    walked: int = 100_000  # entries of one part of the lists, in the index alone
    read: int = 10_000  # the same, where each needs a look at its message
    counted: int = 250_000  # timers, between two bounds
    in_doubt: int = 10_000
    calls: int = 10_000


_LAST: Final = Instant(2**62)
_SID: Final = re.compile("(SM|MM)[0-9a-f]{6,32}")
_UNDONE: Final = (Shelf.OPEN, Shelf.IN_DOUBT)
# A message that goes out is never a reply here: Twilio's word for one is known, and finds nothing.
_OF_DIRECTION: Final = {
    Direction.INBOUND.value: {Shelf.RECEIVED},
    Direction.OUTBOUND_API.value: set(Shelf) - {Shelf.RECEIVED},
}

_Walked = tuple[Cursor | None, list[Cursor]]

_messages = msgspec.json.Decoder(list[Message])
_cursors = msgspec.json.Decoder(list[Cursor])
_walked = msgspec.json.Decoder(list[_Walked])
_tallies = msgspec.json.Decoder(list[Tally])
_counts = msgspec.json.Decoder(list[tuple[int, int]])
_numbers = msgspec.json.Decoder(dict[str, int])
_calls = msgspec.json.Decoder(list[Called])


class SqliteViews:
    """Answers `search`, `messages`, `overview`, `trail` and `calls_made`; runs on the readers' connections."""

    def __init__(self, get: Callable[..., Any], limits: Limits) -> None:
        self._get = get
        self._limits = limits

    # -- pages -------------------------------------------------------------------------------------------------------

    def every(self, db: apsw.Connection, query: MessageQuery) -> list[Message]:
        """Return a full page, however far it has to look."""
        found = self.search(db, query)
        messages = found.messages
        while found.next is not None and len(messages) < query.limit:
            found = self.search(db, replace(query, after=found.next, limit=query.limit - len(messages)))
            messages = messages + found.messages
        return messages

    def search(self, db: apsw.Connection, query: MessageQuery | AgendaQuery) -> Found:
        """Return what one page finds in bounded time."""
        if isinstance(query, AgendaQuery):
            return self._agenda(db, query)
        if query.search is not None and _SID.fullmatch(query.search):
            return self._by_sid(db, query, query.search)
        walks = self._walk(db, query, shelves_of(query))
        ends = [end for end, _ in walks if end is not None]
        rows = sorted((row for _, found in walks for row in found), reverse=not query.reverse)
        if not ends:
            return self._page(db, query, rows, None)
        # What one part was not walked over ends the page for all of them.
        end = min(ends) if query.reverse else max(ends)
        return self._page(db, query, [row for row in rows if (row <= end if query.reverse else row >= end)], end)

    def _page(
        self, db: apsw.Connection, query: MessageQuery | AgendaQuery, rows: Sequence[Cursor], end: Cursor | None
    ) -> Found:
        """Return the first of `rows` as a page; `end` is how far was looked, None where to the end."""
        if len(rows) > query.limit:
            rows = rows[: query.limit]
            return Found(self._read(db, query.account_sid, rows), rows[-1] if rows else query.after)
        return Found(self._read(db, query.account_sid, rows), end, cut=end is not None)

    def _read(self, db: apsw.Connection, account_sid: str, rows: Sequence[Cursor]) -> list[Message]:
        sids = _json([row.sid for row in rows])
        found = {m.sid: m for m in _messages.decode(self._get(db, "read_messages", sids, account_sid))}
        return [found[row.sid] for row in rows if row.sid in found]

    def _walk(self, db: apsw.Connection, query: MessageQuery, shelves: Sequence[Shelf]) -> list[_Walked]:
        """Walk parts; return of each how far it was looked, None where to the end, and what was found."""
        undone = [shelf for shelf in shelves if shelf in _UNDONE]
        done = [shelf for shelf in shelves if shelf not in _UNDONE]
        # The SQL asks for the status only where others stand in the same part.
        alone = query.status is None or query.status == Status.FAILED or query.status == Status.CANCELED
        status = None if alone or query.status == Status.UNDELIVERED else query.status
        given = (
            query.recipient, query.sender, query.service_sid, query.search, query.due_from, query.due_before, status,
        )  # fmt: skip
        walks: list[_Walked] = []
        if undone:
            name = "walk_open_back" if query.reverse else "walk_open"
            deep = (query.sender, status) != (None, None)
            place = _place(query, undone, self._most(deep), deep, query.created_before)
            walks += _walked.decode(self._get(db, name, *place, *given))
        if done:
            name = "walk_done_back" if query.reverse else "walk_done"
            deep = (query.due_from, query.due_before, status) != (None, None, None)
            more = (query.error_code, query.created_from, query.created_before)
            walks += _walked.decode(self._get(db, name, *_place(query, done, self._most(deep), deep), *given, *more))
        return [(rows[-1] if len(rows) > query.limit else end, rows) for end, rows in walks]

    def _most(self, deep: bool) -> int:
        return self._limits.read if deep else self._limits.walked

    def _agenda(self, db: apsw.Connection, query: AgendaQuery) -> Found:
        start = query.after or Cursor(Instant((query.due_from or EPOCH) - 1), "~")
        before = _LAST if query.due_before is None else query.due_before
        walked = self._get(
            db,
            "walk_timers",
            query.account_sid,
            *start,
            before,
            self._limits.walked,
            query.service_sid,
            query.limit + 1,
        )
        ((end, rows),) = _walked.decode(f"[{walked}]")
        found = self._page(db, query, rows, end)
        # A timer that its message no longer agrees with is nobody's.
        times = dict((sid, at) for at, sid in rows)
        return replace(found, messages=[m for m in found.messages if m.due_at == times[m.sid]])

    def _by_sid(self, db: apsw.Connection, query: MessageQuery, beginning: str) -> Found:
        rows = _cursors.decode(self._get(db, "sids_from", query.account_sid, beginning, f"{beginning}g", MOST_SIDS))
        rows.sort(reverse=not query.reverse)
        if query.after is not None:
            after = query.after
            rows = [row for row in rows if (row > after if query.reverse else row < after)]
        return self._page(db, query, rows, None)

    # -- counts ------------------------------------------------------------------------------------------------------

    def overview(
        self, db: apsw.Connection, account_sid: str, at: Instant, since: Instant, bounds: Sequence[Instant]
    ) -> Overview:
        """Return how an account stands."""
        spans = [(EPOCH, at), *pairwise(bounds)]
        counts = _counts.decode(self._get(db, "count_due", _json(spans), self._limits.counted, account_sid))
        overdue, *due = [DueCount(mine, looked_at == self._limits.counted) for mine, looked_at in counts]
        in_doubt = self._get(db, "count_in_doubt", account_sid, self._limits.in_doubt)
        return Overview(
            scheduled=_numbers.decode(self._get(db, "scheduled_counts", _json([account_sid]))).get(account_sid, 0),
            overdue=overdue,
            in_doubt=DueCount(in_doubt, in_doubt == self._limits.in_doubt),
            due=due,
            tallies=_tallies.decode(self._get(db, "tallies", account_sid, hour_of(since))),
        )

    # -- one message, and calls --------------------------------------------------------------------------------------

    def trail(self, db: apsw.Connection, account_sid: str, sid: str) -> str | None:
        """Return where a message has been."""
        found: str | None = self._get(db, "trail", sid, account_sid)
        return found

    def calls(self, db: apsw.Connection, query: CallQuery) -> list[Called]:
        """Return a page of calls."""
        before = _LAST if query.after is None else query.after
        if query.message_sid is not None:
            about = (query.message_sid, query.account_sid, before, query.limit, int(query.failed))
            return _calls.decode(self._get(db, "calls_of_message", *about))
        of_account = (query.account_sid, before, int(query.failed), query.limit, self._limits.calls)
        return _calls.decode(self._get(db, "calls_of_account", *of_account))


def shelves_of(query: MessageQuery) -> list[Shelf]:
    """Return the parts of the lists that what is asked for can stand in."""
    shelves = set(Shelf)
    if query.status is not None:
        shelves &= _shelves_of_status(query.status)
    if query.direction is not None:
        shelves &= _OF_DIRECTION.get(query.direction, set())
    if query.in_doubt:
        shelves &= {Shelf.IN_DOUBT}
    if query.error_code is not None:
        shelves &= {Shelf.FAILED, Shelf.UNDELIVERED}
    if query.sent_from is not None or query.sent_before is not None:
        shelves -= {*_UNDONE, Shelf.FAILED, Shelf.CANCELED}
    return sorted(shelves)


def _shelves_of_status(status: str) -> set[Shelf]:
    if status == Status.SENDING:
        return {Shelf.OPEN, Shelf.IN_DOUBT}
    return {OF_STATUS[Status(status)]} if status in set(Status) else set()


def _place(
    query: MessageQuery, shelves: Sequence[Shelf], most: int, deep: bool, created_before: Instant | None = None
) -> tuple[Any, ...]:
    """Return where to walk and how far. `deep`: what is asked for is not in the index alone.

    Nothing is listed earlier than it was created, and what is not done yet is listed by when it was created.
    """
    low = max(at for at in (EPOCH, query.listed_from, query.sent_from, query.created_from) if at is not None)
    high = min(at for at in (_LAST, query.listed_before, query.sent_before, created_before) if at is not None)
    if query.reverse:
        start, bound = max(query.after or Cursor(Instant(-1), ""), Cursor(Instant(low - 1), "~")), high
    else:
        start, bound = min(query.after or Cursor(_LAST, "~"), Cursor(high, "")), low
    filtered = deep or any(one is not None for one in _filters(query))
    return (
        query.account_sid, _json(shelves), *start, most, int(filtered), query.limit + 1, bound, 1 if deep else None,
    )  # fmt: skip


def _filters(query: MessageQuery) -> tuple[object, ...]:
    """Return what may leave out entries that a walk comes by."""
    return (
        query.recipient, query.sender, query.service_sid, query.search, query.error_code, query.created_from,
        query.created_before, query.due_from, query.due_before,
    )  # fmt: skip


def _json(items: Any) -> str:
    return msgspec.json.encode(items).decode()
