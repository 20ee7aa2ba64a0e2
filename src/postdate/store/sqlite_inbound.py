"""Messages of handsets in SQLite: the same told twice is kept once, and parts are joined when all are there."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, Protocol

import apsw
import msgspec

from postdate.core.instant import Instant
from postdate.core.message import Message
from postdate.store.contract import OptOutChange, Source

_Whole = tuple[str, str, str, int, int]  # connection, sender, recipient, ref, total

_pairs = msgspec.json.Decoder(list[tuple[str, str]])
_wholes = msgspec.json.Decoder(list[_Whole])
_parts = msgspec.json.Decoder(list[tuple[str, str, str, int, int, Message]])


class _Do(Protocol):
    def __call__(self, db: apsw.Connection, name: str, *parameters: Any) -> int: ...


class SqliteInbound:
    """The part of the store that `add_inbound` and `prune` share; runs inside their transactions."""

    def __init__(self, do: _Do, get: Callable[..., Any]) -> None:
        self._do = do
        self._get = get

    def add(
        self,
        db: apsw.Connection,
        messages: Sequence[Message],
        changes: Sequence[OptOutChange],
        at: Instant,
        sources: Sequence[Source],
    ) -> Sequence[Message]:
        """Add what did not come before, and return it; where all of it did, its opt-outs are known, and perhaps taken
        back since."""
        if sources:
            places = self._new(db, messages, sources, at)
            if not places:
                return ()
            messages = self._whole(db, [messages[i] for i in places], [sources[i] for i in places], at)
        if messages:
            self._do(db, "add_messages", _json(messages))
        for change in changes:  # in order: a STOP and a START in one batch are not the same as START and STOP
            items = _json([change[:4]])
            if change.opted_out:
                self._do(db, "opt_out", items, at)
            else:
                self._do(db, "opt_in", items)
        return messages

    def join_stale(self, db: apsw.Connection, before: Instant) -> Sequence[Message]:
        """Make messages of what is there of those whose first part came before `before`, and return them."""
        stale = _wholes.decode(self._get(db, "stale_parts", before))
        joined = self._join(db, stale, complete=False) if stale else []
        if joined:
            self._do(db, "add_messages", _json(joined))
        return joined

    def _new(
        self, db: apsw.Connection, messages: Sequence[Message], sources: Sequence[Source], at: Instant
    ) -> list[int]:
        """Return the places of those that did not come before."""
        named = [(source.connection, source.carrier_ref) for source in sources if source.carrier_ref is not None]
        seen = set(_pairs.decode(self._get(db, "known_inbound", _json(named)))) if named else set()
        places: list[int] = []
        for place, source in enumerate(sources):
            if source.carrier_ref is not None:
                if (source.connection, source.carrier_ref) in seen:
                    continue
                seen.add((source.connection, source.carrier_ref))
            places.append(place)
        if named:
            self._do(db, "keep_inbound", _json(named), at)
        return places

    def _whole(
        self, db: apsw.Connection, messages: Sequence[Message], sources: Sequence[Source], at: Instant
    ) -> list[Message]:
        """Return those that are whole, now that these are there."""
        pairs = list(zip(messages, sources, strict=True))
        whole = [message for message, source in pairs if source.total == 1]
        parts = [(*_whole_of(m, s), s.place, _json(m)) for m, s in pairs if s.total > 1]
        if parts:
            self._do(db, "keep_parts", _json(parts), at)
            whole += self._join(db, list({part[:5]: None for part in parts}), complete=True)
        return whole

    def _join(self, db: apsw.Connection, wholes: Sequence[Sequence[Any]], *, complete: bool) -> list[Message]:
        """Return messages made of their parts, which are removed; with `complete` only those that are all there."""
        joined: list[Message] = []
        done: list[_Whole] = []
        rows = _parts.decode(self._get(db, "parts", _json(wholes)))
        for key, group in groupby(rows, key=lambda row: row[:5]):
            parts = [row[5] for row in group]
            if complete and len(parts) < key[4]:
                continue
            done.append(key)
            first = parts[0]
            joined.append(
                msgspec.structs.replace(
                    first,
                    body="".join(part.body for part in parts),
                    media_urls=tuple(url for part in parts for url in part.media_urls),
                    num_segments=key[4],
                )
            )
        if done:
            self._do(db, "drop_parts", _json(done))
        return joined


def _whole_of(message: Message, source: Source) -> _Whole:
    return source.connection, message.sender or "", message.recipient, source.ref, source.total


def _json(items: Any) -> str:
    return msgspec.json.encode(items).decode()
