"""The embedded store: SQLite in one file, written by one thread, owned by one process.

Every batch goes in and comes out as one JSON text, so that a statement is one step for a thousand rows. Times are
arguments; the SQL beside this file is the source of every statement.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import apsw
import msgspec

from postdate.core.doubt import Verdict
from postdate.core.instant import Instant
from postdate.core.message import Event, Message, Status, after
from postdate.core.resources import Resource, unique_key
from postdate.core.tally import Count, hour_of, late
from postdate.core.trail import MOST, Kind, entry, time_field
from postdate.store.contract import (
    EPOCH,
    Added,
    AddResult,
    AgendaQuery,
    Amendment,
    CallbackRow,
    Called,
    CallQuery,
    Cursor,
    Decide,
    Dispatched,
    Found,
    Handed,
    MediaRow,
    MessageQuery,
    New,
    NotAdded,
    OptOutChange,
    Overview,
    ReceiptNews,
    Repeated,
    Reschedule,
    Result,
    Settled,
    Source,
    StoreUnavailable,
)
from postdate.store.lock import locked
from postdate.store.sqlite_audit import SqliteAudit
from postdate.store.sqlite_dispatch import SqliteDispatch, timer_of
from postdate.store.sqlite_inbound import SqliteInbound
from postdate.store.sqlite_media import SqliteMedia
from postdate.store.sqlite_views import Limits, SqliteViews
from postdate.store.standing import Standing, news, told
from postdate.store.statements import load_migrations, load_statements
from postdate.store.writer import Readers, Writer

_encode = msgspec.json.Encoder().encode
_messages = msgspec.json.Decoder(list[Message])
_cursors = msgspec.json.Decoder(list[Cursor])
_callbacks = msgspec.json.Decoder(list[CallbackRow])
_resources = msgspec.json.Decoder(list[Resource])
_standings = msgspec.json.Decoder(list[Standing])
_numbers = msgspec.json.Decoder(dict[str, int])
_parked = msgspec.json.Decoder(list[tuple[str, Event, int | None]])
_rows_of_text = msgspec.json.Decoder(list[tuple[str, str, str]])
_known = msgspec.json.Decoder(list[tuple[str, str, str, str]])
_sids = msgspec.json.Decoder(list[str])

_NONE = "[]"
_LIMITS = Limits()
KEPT_CALLS = 100_000  # calls that were made: the newest
_PRUNED_AT_ONCE = 2_000


def _json(items: Any) -> str:
    return _encode(items).decode()


class SqliteStore(SqliteAudit):
    """`store.contract.Store` over one SQLite file."""

    def __init__(
        self,
        path: Path,
        on_news: Callable[[Sequence[CallbackRow]], None] = lambda rows: None,
        limits: Limits = _LIMITS,
    ) -> None:
        self._path = path
        self._on_news = on_news
        self._sql = load_statements("sqlite")
        self._inbound = SqliteInbound(self._do, self._get)
        self._media = SqliteMedia(self._do, self._get, self._sql)
        self._views = SqliteViews(self._get, limits)
        self._dispatches = SqliteDispatch(self._do, self._get, self._tell, self._count, self._tally)
        self._lock: int | None = None
        self._writer: Writer
        self._readers: Readers

    @property
    def idle(self) -> bool:
        """Say whether no work is under way."""
        return self._writer.in_flight == 0 and self._readers.in_flight == 0

    async def open(self) -> None:
        """Lock, open and migrate the file; where that fails nothing is left behind."""
        async with AsyncExitStack() as undo:
            self._lock = locked(self._path)
            undo.callback(self._unlock)
            try:
                self._writer = Writer(self._path, self._on_news)
            except apsw.Error as error:
                raise StoreUnavailable(f"{self._path} cannot be opened as a SQLite file: {error}") from None
            undo.push_async_callback(self._writer.close)
            await self._writer.run(self._migrate)
            self._readers = Readers(self._path)
            undo.pop_all()

    async def close(self) -> None:
        """Finish what is under way and close."""
        await self._readers.close()
        await self._writer.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _migrate(self, db: apsw.Connection) -> None:
        version = int(db.pragma("user_version"))
        migrations = load_migrations("sqlite")
        if migrations and version > migrations[-1][0]:
            raise StoreUnavailable(
                f"{self._path} was written by a newer Postdate (schema {version}, this one knows {migrations[-1][0]}): "
                "install that version again"
            )
        for number, script in migrations:
            if number > version:
                db.execute(script)
                db.pragma("user_version", number)

    # -- one step and one row at most: what every batch goes through ------------------------------------------------

    def _do(self, db: apsw.Connection, name: str, *parameters: Any) -> int:
        """Run a statement; return how many rows it changed."""
        db.execute(self._sql[name], parameters)
        return db.changes()

    def _get(self, db: apsw.Connection, name: str, *parameters: Any) -> Any:
        """Run a statement that answers one row; return its first column."""
        for row in db.execute(self._sql[name], parameters):
            return row[0]
        return None

    # -- accept ----------------------------------------------------------------------------------------------------

    async def add(self, new: Sequence[New], at: Instant) -> list[AddResult]:
        """Add messages with their timers: one result each, in order."""
        return await self._writer.run(lambda db: self._add(db, new, at))

    def _add(self, db: apsw.Connection, new: Sequence[New], at: Instant) -> list[AddResult]:
        results: list[AddResult] = [Added()] * len(new)
        self._find_repeats(db, new, results)
        self._find_opted_out(db, new, results)
        for i, n in enumerate(new):
            if n.refusal is not None and isinstance(results[i], Added):
                results[i] = NotAdded(n.refusal)
        self._find_over_cap(db, new, results)
        _follow_first(results, new)
        added = [n for n, result in zip(new, results, strict=True) if isinstance(result, Added)]
        if not added:
            return results
        rows = _json([n.message for n in added])
        self._do(db, "add_messages", rows)
        self._do(db, "add_timers", rows)
        keys = [
            (n.message.account_sid, n.idempotency_key, n.fingerprint, n.message.sid, at)
            for n in added
            if n.idempotency_key is not None
        ]
        if keys:
            self._do(db, "add_keys", _json(keys))
        counts = Counter(n.message.account_sid for n in added if n.message.status is Status.SCHEDULED)
        self._count(db, counts)
        self._tally(db, Counter((n.message.account_sid, Count.ACCEPTED) for n in added), at)
        return results

    def _find_repeats(self, db: apsw.Connection, new: Sequence[New], results: list[AddResult]) -> None:
        keyed = [(n.message.account_sid, n.idempotency_key) for n in new if n.idempotency_key is not None]
        if not keyed:
            return
        known = {
            (account, key): (sid, fingerprint)
            for account, key, sid, fingerprint in _known.decode(self._get(db, "known_keys", _json(keyed)))
        }
        for i, n in enumerate(new):
            if n.idempotency_key is None:
                continue
            where = (n.message.account_sid, n.idempotency_key)
            if where in known:
                sid, fingerprint = known[where]
                results[i] = Repeated(sid, fingerprint == n.fingerprint)
            else:  # the same key twice in one batch: the first wins
                known[where] = (n.message.sid, n.fingerprint)

    def _find_opted_out(self, db: apsw.Connection, new: Sequence[New], results: list[AddResult]) -> None:
        asked = [
            (m.sid, m.account_sid, scope, m.recipient)
            for m in (n.message for n in new)
            if m.status is not Status.SCHEDULED
            for scope in (m.service_sid, m.sender)
            if scope is not None
        ]
        if not asked:
            return
        opted_out = set(_sids.decode(self._get(db, "opted_out", _json(asked))))
        for i, n in enumerate(new):
            if n.message.sid in opted_out and isinstance(results[i], Added):
                results[i] = NotAdded(21610)

    def _find_over_cap(self, db: apsw.Connection, new: Sequence[New], results: list[AddResult]) -> None:
        accounts = list({n.message.account_sid for n in new if n.message.status is Status.SCHEDULED})
        if not accounts:
            return
        counts = _numbers.decode(self._get(db, "scheduled_counts", _json(accounts)))
        for i, n in enumerate(new):
            if n.message.status is not Status.SCHEDULED or not isinstance(results[i], Added):
                continue
            have = counts.get(n.message.account_sid, 0)
            if have >= n.scheduled_cap:
                results[i] = NotAdded(35125)
            else:
                counts[n.message.account_sid] = have + 1

    def _count(self, db: apsw.Connection, counts: dict[str, int]) -> None:
        if counts:
            self._do(db, "count_scheduled", _json(counts))

    def _tally(self, db: apsw.Connection, counts: Counter[tuple[str, str]], at: Instant) -> None:
        """Count what messages of accounts did at `at`."""
        if counts:
            hour = hour_of(at)
            self._do(db, "count", _json([(account, hour, what, n) for (account, what), n in counts.items()]))

    # -- cancel, reschedule ------------------------------------------------------------------------------------------

    async def cancel(self, account_sid: str, sids: Sequence[str], at: Instant) -> list[Message | None]:
        """Cancel the scheduled ones among `sids`; return each message as it is now."""
        return await self._writer.run(lambda db: self._cancel(db, account_sid, sids, at))

    def _cancel(self, db: apsw.Connection, account_sid: str, sids: Sequence[str], at: Instant) -> list[Message | None]:
        found = {m.sid: m for m in _messages.decode(self._get(db, "read_messages", _json(sids), account_sid))}
        won = [m for m in found.values() if m.status is Status.SCHEDULED]
        if won:
            gone = _json([m.sid for m in won])
            self._do(db, "cancel", gone, account_sid, at, entry(Kind.CANCELED, at))
            self._do(db, "drop_timers", _json([(m.due_at, m.sid) for m in won]))
            self._tell(db, [told(m.sid, Status.CANCELED) for m in won], at)
            self._count(db, {account_sid: -len(won)})
            self._tally(db, Counter({(account_sid, Count.CANCELED): len(won)}), at)
            for m in won:
                found[m.sid] = msgspec.structs.replace(m, status=after(m.status, Event.CANCEL), updated_at=at)
        return [found.get(sid) for sid in sids]

    async def reschedule(self, account_sid: str, sid: str, change: Reschedule, at: Instant) -> Message | None:
        """Move a scheduled message; return it as it is now."""
        return await self._writer.run(lambda db: self._reschedule(db, account_sid, sid, change, at))

    def _reschedule(
        self, db: apsw.Connection, account_sid: str, sid: str, change: Reschedule, at: Instant
    ) -> Message | None:
        before = self._read(db, account_sid, sid)
        if before is None or before.status is not Status.SCHEDULED:
            return before
        moved = entry(Kind.MOVED, at, time_field(before.send_at or before.due_at), time_field(change.send_at))
        self._do(db, "reschedule", sid, account_sid, change.send_at, change.expires_at, at, moved, MOST)
        self._do(db, "drop_timers", _json([(before.due_at, sid)]))
        self._do(db, "add_timer_items", _json([timer_of(msgspec.structs.replace(before, due_at=change.send_at))]))
        return self._read(db, account_sid, sid)

    def _read(self, db: apsw.Connection, account_sid: str, sid: str) -> Message | None:
        found = _messages.decode(self._get(db, "read_messages", _json([sid]), account_sid))
        return found[0] if found else None

    # -- due, dispatch -----------------------------------------------------------------------------------------------

    async def due(self, after: Cursor, before: Instant, limit: int) -> list[Cursor]:
        """Return timers after `after` and before `before`, in order."""
        return await self._readers.run(
            lambda db: _cursors.decode(self._get(db, "due", after.due_at, after.sid, before, limit))
        )

    async def dispatch(self, sids: Sequence[str], decide: Decide, at: Instant, ahead: int = 0) -> list[Dispatched]:
        """Read, decide and write those of `sids` that are due within `ahead` microseconds of `at`."""
        return await self._writer.run(lambda db: self._dispatches.dispatch(db, sids, decide, at, ahead))

    # -- claim, record -------------------------------------------------------------------------------------------------

    async def claim(
        self,
        sids: Sequence[str],
        run: str,
        free_at: Sequence[tuple[str, Instant]],
        at: Instant,
        may_send: Callable[[str], bool] = lambda account_sid: True,
    ) -> list[Message]:
        """Claim hand-offs for `run`; return the messages that were won."""

        def claim(db: apsw.Connection) -> list[Message]:
            won, stopped = self._dispatches.claim(db, sids, run, at, may_send)
            if stopped:
                self._record(db, stopped, "", at)
            if free_at:
                self._do(db, "keep_lanes", _json(free_at))
            return won

        return await self._writer.run(claim)

    def _standings(self, db: apsw.Connection, sids: Iterable[str]) -> dict[str, Standing]:
        return {s.sid: s for s in _standings.decode(self._get(db, "standings", _json(list(sids))))}

    async def lanes(self) -> dict[str, Instant]:
        """Return when each sender is free."""
        found = await self._readers.run(lambda db: _numbers.decode(self._get(db, "lanes")))
        return {sender: Instant(free_at) for sender, free_at in found.items()}

    async def record(self, results: Sequence[Result], run: str, at: Instant) -> None:
        """Record outcomes of claims that `run` still holds."""
        await self._writer.run(lambda db: self._record(db, results, run, at))

    def _record(self, db: apsw.Connection, results: Sequence[Result], run: str, at: Instant) -> None:
        standings = self._standings(db, [r.sid for r in results])
        counted = [r for r in results if r.sid in standings and standings[r.sid].record(r, run, at)]
        handed = [(r.sid, r.connection, r.carrier_ref) for r in counted if isinstance(r, Handed)]
        self._take_refs(db, handed, standings, at)
        self._write_standings(db, standings.values(), at)
        lateness = [(r.sid, r.late) for r in counted if isinstance(r, Handed) and r.late is not None]
        self._tally(db, Counter((standings[sid].account_sid, late(by)) for sid, by in lateness), at)

    def _write_standings(self, db: apsw.Connection, standings: Iterable[Standing], at: Instant) -> None:
        changed = [s for s in standings if s.changed]
        if not changed:
            return
        # To write what the lists hold of a message costs as much again: only where it changes.
        rows: dict[tuple[str, int], list[tuple[object, ...]]] = {}
        for one in changed:
            kind, row = one.row()
            rows.setdefault((kind, one.longest_trail), []).append(row)
        for (kind, longest), some in rows.items():
            name = "record" if kind == "record" else "record_sent" if kind == "record_sent" else "record_moved"
            self._do(db, name, _json(some), at, longest)
        self._tally(db, Counter((s.account_sid, what) for s in changed for what in s.counts), at)
        self._tell(db, news(changed), at)
        if over := [(s.due_at, s.sid) for s in changed if s.was_timed and not s.is_timed]:
            self._do(db, "drop_timers", _json(over))
        if again := [s.sid for s in changed if s.goes_again]:
            self._do(db, "restore_timers", _json(again))

    def _tell(self, db: apsw.Connection, changes: Sequence[tuple[str, Status, int]], at: Instant) -> None:
        if not changes:
            return
        rows = self._get(db, "callback_rows", _json(changes), at)
        if rows != _NONE:
            self._do(db, "add_callbacks", rows)
            self._writer.news += _callbacks.decode(rows)

    # -- receipts, inbound -----------------------------------------------------------------------------------------

    async def apply_receipts(self, news: Sequence[ReceiptNews], at: Instant) -> list[Cursor]:
        """Move messages forward; what matches no message yet is kept. Return what goes again."""
        return await self._writer.run(lambda db: self._apply_receipts(db, news, at))

    def _apply_receipts(self, db: apsw.Connection, heard: Sequence[ReceiptNews], at: Instant) -> list[Cursor]:
        standings = self._standings(db, {n.sid for n in heard if n.sid is not None})
        # An answer that came late brings a reference: first of all, for receipts may be by it.
        late = [n for n in heard if n.event is Event.ACCEPT and n.sid in standings]
        for n in late:
            standings[n.sid or ""].hear(n, at)
        taken = [(n.sid or "", n.connection, n.carrier_ref) for n in late]
        self._take_refs(db, [t for t in taken if standings[t[0]].carrier_ref == t[2]], standings, at)
        refs = _json([(n.connection, n.carrier_ref) for n in heard if n.sid is None])
        known = {(c, r): sid for c, r, sid in _rows_of_text.decode(self._get(db, "find_refs", refs))}
        standings |= self._standings(db, set(known.values()) - set(standings))
        early: list[tuple[str, str, Event, int | None]] = []
        for n in (n for n in heard if n.event is not Event.ACCEPT):
            sid = n.sid or known.get((n.connection, n.carrier_ref))
            if sid in standings:
                standings[sid].hear(n, at)
            elif sid is None and n.carrier_ref:
                early.append((n.connection, n.carrier_ref, n.event, n.error_code))
        if early:
            self._do(db, "park", _json(early), at)
        self._write_standings(db, standings.values(), at)
        return [Cursor(s.due_at, s.sid) for s in standings.values() if s.goes_again]

    def _take_refs(
        self,
        db: apsw.Connection,
        accepted: Sequence[tuple[str, str, str]],
        standings: Mapping[str, Standing],
        at: Instant,
    ) -> None:
        """Keep the references that carriers gave, and apply the receipts that came before them."""
        if not accepted:
            return
        refs = _json(accepted)
        self._do(db, "keep_refs", refs, at)
        parked = _parked.decode(self._get(db, "take_parked", refs))
        where = {sid: (connection, carrier_ref) for sid, connection, carrier_ref in accepted}
        for sid, event, code in parked:
            standings[sid].hear(ReceiptNews(*where[sid], event, code, sid), at)
        if parked:
            self._do(db, "drop_parked", refs)

    async def add_inbound(
        self,
        messages: Sequence[Message],
        changes: Sequence[OptOutChange],
        at: Instant,
        sources: Sequence[Source] = (),
    ) -> None:
        """Add inbound messages and the opt-outs they express; what came before, or is a part, as `Source` says."""

        def add(db: apsw.Connection) -> None:
            self._received(db, self._inbound.add(db, messages, changes, at, sources), at)

        await self._writer.run(add)

    def _received(self, db: apsw.Connection, messages: Sequence[Message], at: Instant) -> None:
        self._tally(db, Counter((m.account_sid, Count.RECEIVED) for m in messages), at)
        self._tell(db, [told(m.sid, m.status) for m in messages if m.callback_url], at)

    # -- callbacks ---------------------------------------------------------------------------------------------------

    async def due_callbacks(
        self, before: Instant, busy: Sequence[str], limit: int, since: Instant = EPOCH
    ) -> list[CallbackRow]:
        """Return calls that are due before `before` and not before `since`, oldest first."""
        return await self._readers.run(
            lambda db: _callbacks.decode(self._get(db, "due_callbacks", before, _json(busy), limit, since))
        )

    async def settle_callbacks(self, settled: Sequence[Settled]) -> None:
        """Remove calls that are done and move those to be tried again; keep what was called."""
        done = _json([s[:2] for s in settled if s.retry_at is None])
        later = _json([s[:4] for s in settled if s.retry_at is not None])
        made = [msgspec.structs.astuple(s.made)[1:] for s in settled if s.made is not None]

        def settle(db: apsw.Connection) -> None:
            if done != _NONE:
                self._do(db, "drop_callbacks", done)
            if later != _NONE:
                self._do(db, "retry_callbacks", later)
            if made:
                self._do(db, "add_calls", _json(made))
                self._do(db, "trim_calls", KEPT_CALLS)

        await self._writer.run(settle)

    # -- messages and media ------------------------------------------------------------------------------------------

    async def message(self, account_sid: str, sid: str) -> Message | None:
        """Return one message of an account."""
        return await self._readers.run(lambda db: self._read(db, account_sid, sid))

    async def messages(self, query: MessageQuery) -> list[Message]:
        """Return a page of messages, however far it has to look."""
        return await self._readers.run(lambda db: self._views.every(db, query))

    async def search(self, query: MessageQuery | AgendaQuery) -> Found:
        """Return a page of messages soon: what was found by then, and where to go on."""
        return await self._readers.run(lambda db: self._views.search(db, query))

    async def trail(self, account_sid: str, sid: str) -> str | None:
        """Return where a message has been."""
        return await self._readers.run(lambda db: self._views.trail(db, account_sid, sid))

    async def overview(self, account_sid: str, at: Instant, since: Instant, bounds: Sequence[Instant] = ()) -> Overview:
        """Return how an account stands at `at`."""
        return await self._readers.run(lambda db: self._views.overview(db, account_sid, at, since, bounds))

    async def calls_made(self, query: CallQuery) -> list[Called]:
        """Return a page of calls that were made."""
        return await self._readers.run(lambda db: self._views.calls(db, query))

    async def resolve(self, account_sid: str, sid: str, verdict: Verdict, at: Instant) -> tuple[Message | None, bool]:
        """Do as a person says with a message in doubt; return it as it is now, and whether it was in doubt before."""

        def resolve(db: apsw.Connection) -> tuple[Message | None, bool]:
            message = self._read(db, account_sid, sid)
            standings = self._standings(db, [sid] if message is not None else [])
            if message is None or not standings[sid].resolve(verdict, at):
                return message, False
            if verdict is Verdict.RETRY:
                self._do(db, "extend", sid, at)
            self._write_standings(db, standings.values(), at)
            return self._read(db, account_sid, sid), True

        return await self._writer.run(resolve)

    async def amend(self, account_sid: str, sid: str, change: Amendment, at: Instant) -> Message | None:
        """Redact a body or keep feedback; return the message as it is now."""

        def amend(db: apsw.Connection) -> Message | None:
            if change.redact:
                self._do(db, "redact", sid, account_sid, at, entry(Kind.REDACTED, at), MOST)
            if change.feedback is not None:
                self._do(db, "keep_feedback", sid, account_sid, at, change.feedback)
            return self._read(db, account_sid, sid)

        return await self._writer.run(amend)

    async def delete(self, account_sid: str, sid: str) -> bool:
        """Delete a final message with its media; False where it is missing or not final."""

        def delete(db: apsw.Connection) -> bool:
            if not self._do(db, "delete_message", sid, account_sid):
                return False
            self._media.drop_of(db, sid)
            return True

        return await self._writer.run(delete)

    async def add_media(self, rows: Sequence[MediaRow], bodies: Sequence[bytes]) -> None:
        """Keep fetched media of a message, each body once by its digest."""
        await self._writer.run(lambda db: self._media.add(db, rows, bodies))

    async def media(self, message_sid: str) -> list[MediaRow]:
        """Return the stored media of a message, in the order they were given."""
        return await self._readers.run(lambda db: self._media.of(db, message_sid))

    async def medium(self, sid: str) -> tuple[MediaRow, bytes] | None:
        """Return one medium with its bytes."""
        return await self._readers.run(lambda db: self._media.one(db, sid))

    # -- configuration ----------------------------------------------------------------------------------------------

    async def put(self, resource: Resource) -> None:
        """Add or replace a resource; AlreadyExists where another has its unique key."""
        await self._writer.run(
            lambda db: self._do(db, "put_resource", resource.sid, unique_key(resource), _json(resource))
        )

    async def remove(self, sid: str) -> None:
        """Remove a resource, or a medium, and what depends on it alone."""

        def remove(db: apsw.Connection) -> None:
            if sid.startswith("ME"):
                self._media.drop(db, sid)
            else:
                self._do(db, "drop_resource", sid)
                self._do(db, "drop_sticky", sid)

        await self._writer.run(remove)

    async def resources(self) -> list[Resource]:
        """Return every resource."""
        return await self._readers.run(lambda db: _resources.decode(self._get(db, "resources")))

    async def prune(self, before: Instant, unjoined_before: Instant = EPOCH, counted_before: Instant = EPOCH) -> None:
        """Forget what is past use; join what is there of long messages that waited too long."""

        def prune(db: apsw.Connection) -> None:
            self._do(db, "prune_parked", before)
            self._do(db, "prune_inbound", before)
            self._do(db, "prune_keys", before)
            self._do(db, "prune_tallies", counted_before)
            self._received(db, self._inbound.join_stale(db, unjoined_before), unjoined_before)

        await self._writer.run(prune)
        # A little at a time: others write in between.
        while await self._writer.run(lambda db: self._do(db, "prune_calls", before, _PRUNED_AT_ONCE)):
            pass


def _follow_first(results: list[AddResult], new: Sequence[New]) -> None:
    """A repeat within a batch of what was not added was not added either, for the same reason."""
    by_sid = {n.message.sid: result for n, result in zip(new, results, strict=True)}
    for i, result in enumerate(results):
        if isinstance(result, Repeated) and isinstance(first := by_sid.get(result.sid), NotAdded):
            results[i] = first
