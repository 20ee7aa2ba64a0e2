"""The audit log in SQLite: entries are added and read, never changed."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import apsw
import msgspec

from postdate.core.instant import Instant
from postdate.store.contract import AuditQuery, AuditRow, Cursor
from postdate.store.writer import Readers, Writer

_rows = msgspec.json.Decoder(list[AuditRow])
_NEWEST = Cursor(Instant(2**62), "~")


class SqliteAudit(ABC):
    """The part of the store that keeps the audit log."""

    _writer: Writer
    _readers: Readers

    @abstractmethod
    def _do(self, db: apsw.Connection, name: str, *parameters: Any) -> int:
        """Run a statement; return how many rows it changed."""

    @abstractmethod
    def _get(self, db: apsw.Connection, name: str, *parameters: Any) -> Any:
        """Run a statement that answers one row; return its first column."""

    async def add_audit(self, rows: Sequence[AuditRow]) -> None:
        """Keep entries of the audit log."""
        await self._writer.run(lambda db: self._do(db, "add_audit", msgspec.json.encode(rows).decode()))

    async def audit(self, query: AuditQuery) -> list[AuditRow]:
        """Return a page of the audit log."""
        start = query.before or _NEWEST
        parameters = (query.account_sid, start.due_at, start.sid, query.actor_sid, query.deed, query.limit)
        return await self._readers.run(lambda db: _rows.decode(self._get(db, "list_audit", *parameters)))
