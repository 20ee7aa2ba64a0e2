"""What a connector remembers of submissions whose outcome is out: whose a receipt is, and what a late answer may say.

The store finds a message by its reference, which is the id of the last part. An early part's id is known here alone,
from its own answer on, and its failure is the failure of the message even while other parts are on their way; a
failure that comes before that answer waits for it, for a minute. Nothing here outlives the process. All is bounded.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, TypeVar

from postdate.clock import Clock
from postdate.connectors.contract import LateAnswer, Receipt, Submission
from postdate.connectors.smpp_handover import Handover
from postdate.connectors.smpp_outgoing import first_reference, reference_octets
from postdate.core.instant import MINUTE, Monotonic
from postdate.core.message import Event
from postdate.core.outcome import Accepted

_PARTS: Final = 65_536
_DOUBTS: Final = 20_000
_STRANGERS: Final = 2_000
_STRANGE_FOR: Final = 1 * MINUTE

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Known:
    """The memory of one connection; what it finds out later goes to `tell`."""

    def __init__(self, wire: Clock, tell: Callable[[LateAnswer | Receipt], None]) -> None:
        self._wire = wire
        self._tell = tell
        self._early_parts: OrderedDict[str, str] = OrderedDict()  # SIDs
        self._in_doubt: OrderedDict[tuple[bytes, str], str] = OrderedDict()  # SIDs
        self._attempts: OrderedDict[str, int] = OrderedDict()  # the latest of each message that was in doubt
        self._strangers: OrderedDict[str, tuple[Receipt, Monotonic]] = OrderedDict()

    def begun(self, submission: Submission) -> None:
        """Take note that a message is handed over."""
        if submission.sid in self._attempts:
            self._attempts[submission.sid] = submission.attempt

    def part_taken(self, handover: Handover, index: int, carrier_ref: str) -> None:
        """Take note of the id of a part of a long message."""
        sid, ids = handover.submission.sid, handover.ids
        if index == len(ids) - 1:
            # Where a carrier gives all parts one id, its receipts are about the message.
            if self._early_parts.get(carrier_ref) == sid:
                del self._early_parts[carrier_ref]
            return
        if carrier_ref == ids[-1]:
            return
        _put(self._early_parts, carrier_ref, sid, _PARTS)
        receipt, at = self._strangers.pop(carrier_ref, (None, Monotonic(0)))
        if receipt is not None and self._wire.monotonic() - at <= _STRANGE_FOR:
            self._tell(Receipt(receipt.carrier_ref, receipt.event, receipt.error_code, sid))

    def doubted(self, handover: Handover) -> None:
        """Take note of a message that ended in doubt: its receipt may hold its reference."""
        submission = handover.submission
        reference = reference_octets(first_reference(submission.sid) + len(handover.bodies) - 1)
        _put(self._in_doubt, (reference, submission.recipient.removeprefix("+")), submission.sid, _DOUBTS)
        _put(self._attempts, submission.sid, submission.attempt, _DOUBTS)

    def is_out_of_date(self, handover: Handover, news: LateAnswer) -> bool:
        """Say whether a late answer tells nothing of the message any more: another attempt may have been taken."""
        submission = handover.submission
        latest = self._attempts.get(submission.sid, submission.attempt)
        return not isinstance(news.outcome, Accepted) and latest > submission.attempt

    def owner_of(self, carrier_ref: str, reference: bytes | None, handset: str) -> tuple[str | None, bool]:
        """Return the SID that a receipt belongs to, if it is known here, and whether it is of an early part."""
        early = self._early_parts.get(carrier_ref)
        if early is not None:
            return early, True
        if reference is None or not self._in_doubt:
            return None, False
        return self._in_doubt.get((reference, handset.removeprefix("+"))), False

    def note_stranger(self, receipt: Receipt) -> None:
        """Keep a failure that may be an early part's whose answer is still to come."""
        if receipt.event is Event.UNDELIVER and receipt.carrier_ref:
            _put(self._strangers, receipt.carrier_ref, (receipt, self._wire.monotonic()), _STRANGERS)


def _put(table: OrderedDict[_Key, _Value], key: _Key, value: _Value, most: int) -> None:
    table[key] = value
    if len(table) > most:
        table.popitem(last=False)
