"""Messages of handsets in SQLite: the same told twice is kept once, and parts are joined when all are there."""

import hashlib
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, Final, Protocol

import apsw
import msgspec

from postdate.core.instant import MINUTE, Instant
from postdate.core.message import Message
from postdate.store.contract import OptOutChange, Source, opt_outs_of

_Whole = tuple[str, str, str, int, int]  # connection, sender, recipient, ref, total

TOLD_AGAIN_FOR: Final = 10 * MINUTE  # so long a carrier may repeat a part; later the same text is said anew

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
        wanted = list(changes)
        if sources:
            places = self._new(db, messages, sources, at)
            if not places:
                return ()
            messages, joined = self._whole(db, [(messages[i], sources[i]) for i in places], at)
            wanted += [change for message in joined for change in opt_outs_of(message)]
        if messages:
            self._do(db, "add_messages", _json(messages))
        for change in wanted:  # in order: a STOP and a START in one batch are not the same as START and STOP
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
        self, db: apsw.Connection, pairs: Sequence[tuple[Message, Source]], at: Instant
    ) -> tuple[list[Message], list[Message]]:
        """Return all that are whole now that these are there, and those among them that were joined just now."""
        whole = [message for message, source in pairs if source.total == 1]
        joined: list[Message] = []
        for message, source in pairs:
            if source.total > 1:
                joined += self._take_part(db, message, source, at)
        return whole + joined, joined

    def _take_part(self, db: apsw.Connection, message: Message, source: Source, at: Instant) -> list[Message]:
        """Keep a part, unless it came lately; return what is complete by it.

        Another text at a place that is taken begins another message under a reference that is used again: what is there
        of the first becomes a message as it is, so that nothing is lost.
        """
        key = _whole_of(message, source)
        told = hashlib.blake2b(message.body.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        name = _json([(source.connection, f"part {':'.join(map(str, (*key[1:], source.place)))} {told}")])
        if _pairs.decode(self._get(db, "lately_inbound", name, at - TOLD_AGAIN_FOR)):
            return []
        self._do(db, "keep_inbound", name, at)
        part = _json([(*key, source.place, _json(message))])
        ended: list[Message] = []
        if not self._do(db, "keep_parts", part, at):
            ended = self._join(db, [key], complete=False)
            self._do(db, "keep_parts", part, at)
        return ended + self._join(db, [key], complete=True)

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
