"""What the SMSC remembers of messages: for receipts, for query_sm and cancel_sm, and parts until they are whole.

All of it is bounded; the oldest is forgotten first. A message is found for its own system id only. Pure.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from postdate.connectors.contract import Part
from postdate.core.instant import MINUTE, Instant
from postdate.smpp.receipt import MessageState
from postdate.smsc.addresses import WireAddress
from postdate.smsc.wire_script import Ids

_MOST_GROUPS: Final = 1_000
_PARTS_WAIT: Final = 10 * MINUTE
_LONGEST_ID: Final = 20
_WORDS_KEPT: Final = 20

Value = TypeVar("Value")
Key = TypeVar("Key", bound=Hashable)


@dataclass(slots=True, eq=False)
class Taken:
    """One submit_sm: a message, or a part of one. It holds nothing of the PDU that could be long but its text."""

    number: int
    owner: str  # the system id
    source: WireAddress
    destination: WireAddress
    sender: str  # both addresses as handsets show them
    recipient: str
    receipts: int  # registered_delivery
    reference: bytes | None  # the ESME's own, user_message_reference
    text: str = field(repr=False)
    at: Instant
    state: MessageState = MessageState.ENROUTE
    error: int = 0
    done_at: Instant | None = None
    whole: "Whole" = ()  # while it waits for its time: all parts of the message


Whole = tuple[Taken, ...]
"""The parts of one message in their order; one of them where it is short."""


class Messages:
    """The messages that were taken, `keep` of them."""

    def __init__(self, keep: int, ids: Ids) -> None:
        self._keep = keep
        self._ids = ids
        self._parts: OrderedDict[int, Taken] = OrderedDict()
        self._wholes: OrderedDict[str, Whole] = OrderedDict()
        self._references: OrderedDict[tuple[str, str, bytes], Taken] = OrderedDict()

    def add_part(self, part: Taken) -> None:
        """Keep a part: it has an id of its own, and may have a reference of its own."""
        _put(self._parts, part.number, part, self._keep)
        if part.reference is not None:
            _put(self._references, (part.owner, part.sender, part.reference), part, self._keep)

    def add(self, carrier_ref: str, whole: Whole) -> None:
        """Keep a message that the carrier has; of what it says only the beginning, for its receipts."""
        for part in whole:
            part.text = part.text[:_WORDS_KEPT]
            self.add_part(part)
        _put(self._wholes, carrier_ref, whole, self._keep)

    def of(self, carrier_ref: str) -> Whole:
        """Return the parts of a message that the carrier reports on; none where it is forgotten."""
        return self._wholes.get(carrier_ref, ())

    def find(self, owner: str, message_id: str) -> Taken | None:
        """Return the part with this id."""
        number = parse_id(message_id, self._ids)
        found = self._parts.get(number) if number is not None else None
        return found if found is not None and found.owner == owner else None

    def find_by_reference(self, owner: str, sender: str, reference: bytes) -> Taken | None:
        """Return the latest message, or part of one, with the ESME's own reference."""
        return self._references.get((owner, sender, reference))


def _put(table: OrderedDict[Key, Value], key: Key, value: Value, most: int) -> None:
    table[key] = value
    if len(table) > most:
        table.popitem(last=False)


def write_id(number: int, ids: Ids) -> str:
    """Return a message's number as its id."""
    return f"{number:x}" if ids is Ids.HEX else str(number)


def parse_id(text: str, ids: Ids) -> int | None:
    """Return the number of a message from its id; None where it is no id of ours."""
    if not (text.isascii() and text.isalnum() and len(text) <= _LONGEST_ID):
        return None
    try:
        return int(text, 16 if ids is Ids.HEX else 10)
    except ValueError:
        return None


@dataclass(slots=True)
class _Group:
    since: Instant
    parts: dict[int, Taken] = field(default_factory=dict)


class Joiner:
    """Parts of long messages that wait for the others, a thousand messages for ten minutes each."""

    def __init__(self) -> None:
        self._groups: OrderedDict[tuple[str, str, str, int, int], _Group] = OrderedDict()

    def add(self, taken: Taken, part: Part) -> Whole | None:
        """Add a part; return the whole message, in order, once nothing is missing.

        It stays here until `done`: a last part that the carrier had no time for comes again alone.
        """
        key = _place(taken, part)
        group = self._groups.get(key)
        if group is None or taken.at - group.since > _PARTS_WAIT:
            self._groups.pop(key, None)
            group = _Group(taken.at)
            _put(self._groups, key, group, _MOST_GROUPS)
        group.parts[part.index] = taken
        if len(group.parts) < part.total:
            return None
        return tuple(group.parts[index] for index in sorted(group.parts))

    def done(self, taken: Taken, part: Part) -> None:
        """Forget the message that this is a part of."""
        self._groups.pop(_place(taken, part), None)


def _place(taken: Taken, part: Part) -> tuple[str, str, str, int, int]:
    return taken.owner, taken.sender, taken.recipient, part.ref, part.total
