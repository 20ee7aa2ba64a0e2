"""Media of messages in SQLite: rows in the order a message gave them, and each body once, by its digest."""

from collections.abc import Callable, Sequence
from typing import Any

import apsw
import msgspec

from postdate.store.contract import MediaRow

_media = msgspec.json.Decoder(list[MediaRow])
_medium = msgspec.json.Decoder(MediaRow)


class SqliteMedia:
    """The part of the store that keeps media; runs inside the store's transactions."""

    def __init__(self, do: Callable[..., int], get: Callable[..., Any], sql: dict[str, str]) -> None:
        self._do = do
        self._get = get
        self._sql = sql

    def add(self, db: apsw.Connection, rows: Sequence[MediaRow], bodies: Sequence[bytes]) -> None:
        """Keep media, each body once."""
        for row, body in zip(rows, bodies, strict=True):
            self._do(db, "add_blob", row.digest, body)
        self._do(db, "add_media", msgspec.json.encode(rows).decode())

    def of(self, db: apsw.Connection, message_sid: str) -> list[MediaRow]:
        """Return the media of a message, in the order they were given."""
        return _media.decode(self._get(db, "media", message_sid))

    def one(self, db: apsw.Connection, sid: str) -> tuple[MediaRow, bytes] | None:
        """Return one medium with its bytes."""
        for row, body in db.execute(self._sql["medium"], (sid,)):
            return _medium.decode(row), body
        return None

    def drop_of(self, db: apsw.Connection, message_sid: str) -> None:
        """Remove the media of a message, and bytes that no medium has any more."""
        if self._do(db, "drop_media_of", message_sid):
            self._do(db, "drop_unused_blobs")

    def drop(self, db: apsw.Connection, sid: str) -> None:
        """Remove one medium, and bytes that no medium has any more."""
        self._do(db, "drop_medium", sid)
        self._do(db, "drop_unused_blobs")
