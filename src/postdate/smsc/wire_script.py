"""What the SMSC does wrong on the wire, beside what its carrier does to messages (`connectors/sandbox_script`). Pure.

Faults go by the number of the submit_sm, counted over all links. Receipts that overtake the answer, come twice or in
another order are the carrier's doing, so they are in the carrier's script.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from postdate.connectors.sandbox_fields import Fields, InvalidScript, Unfit, shown
from postdate.core.errors import MEANINGS
from postdate.smpp.codes import Status
from postdate.smsc.odd_octets import ODD

_MOST_FAULTS: Final = 1_000
_MOST_OCTETS: Final = 65_552
_LAST_STATUS: Final = 0xFFFFFFFF

# What a customer's error code is as a status of submit_sm_resp; all of them are final, none asks to come again.
_REFUSALS: Final[Mapping[int, int]] = MappingProxyType(
    {
        30005: Status.RINVDSTADR,
        30007: Status.RX_R_APPN,
        30006: Status.RINVDSTADR,
        30036: Status.RINVEXPIRY,
        30003: Status.RDELIVERYFAILURE,
        30008: Status.RDELIVERYFAILURE,
    }
)


class Act(StrEnum):
    """What goes wrong at a submit_sm; `taken` says whether the carrier has the message all the same."""

    KILL = "kill"  # the link is cut, without an answer
    SILENCE = "silence"  # the link stays open, and nothing is read or said on it any more
    NO_ANSWER = "no_answer"
    ANSWER_TWICE = "answer_twice"
    ANSWER_LATE = "answer_late"
    STATUS = "status"  # a status of the script's choice, and nothing is taken
    SEND = "send"  # octets that make no sense, before the answer


class Ids(StrEnum):
    """How a message's number is written."""

    HEX = "hex"
    DECIMAL = "decimal"


class BusyStatus(StrEnum):
    """How the SMSC says that it is busy."""

    THROTTLED = "throttled"
    QUEUE_FULL = "queue_full"


_MAY_LOSE: Final = frozenset({Act.KILL, Act.SILENCE, Act.NO_ANSWER})


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: at the submit_sm number `at` (1 is the first) and, with `every`, at each so many after it."""

    act: Act
    at: int = 1
    every: int | None = None
    taken: bool = True
    delay: int = 0
    status: int = 0
    octets: bytes = b""

    def __post_init__(self) -> None:
        if self.at < 1 or (self.every is not None and self.every < 1):
            raise Unfit("at and every count submit_sm; write 1 or more.")
        if not self.taken and self.act not in _MAY_LOSE:
            raise Unfit(f"taken is for kill, silence and no_answer, not {self.act}: take it out.")
        if (self.delay > 0) != (self.act is Act.ANSWER_LATE):
            raise Unfit("delay is how late answer_late is: write it there, such as 5s, and nowhere else.")
        if (self.status > 0) != (self.act is Act.STATUS) or self.status > _LAST_STATUS:
            raise Unfit("status is what the act status answers: write it there, 1 to 4294967295, and nowhere else.")
        if bool(self.octets) != (self.act is Act.SEND):
            raise Unfit("octets is what the act send sends: write it there, and nowhere else.")

    def is_due(self, count: int) -> bool:
        """Say whether it happens at the submit_sm with this number."""
        if count == self.at:
            return True
        return self.every is not None and count > self.at and (count - self.at) % self.every == 0


@dataclass(frozen=True, slots=True)
class WireScript:
    """Faults, the first that is due decides; and how ids and refusals are written."""

    faults: tuple[Fault, ...] = ()
    response_ids: Ids = Ids.HEX
    receipt_ids: Ids = Ids.HEX
    busy: BusyStatus = BusyStatus.THROTTLED
    refusals: Mapping[int, int] = field(default_factory=dict)

    @property
    def busy_status(self) -> int:
        """Return the status that says busy."""
        return Status.RTHROTTLED if self.busy is BusyStatus.THROTTLED else Status.RMSGQFUL

    def refusal(self, code: int) -> int:
        """Return the status for a customer's error code."""
        return self.refusals.get(code) or _REFUSALS.get(code, Status.RX_P_APPN)

    def due(self, count: int) -> Fault | None:
        """Return what goes wrong at the submit_sm with this number."""
        for fault in self.faults:
            if fault.is_due(count):
                return fault
        return None

    @classmethod
    def parse(cls, written: Mapping[str, object]) -> "WireScript":
        """Read a script as JSON holds it, its fields named as here (an act is `do`); raise InvalidScript."""
        fields = Fields(written, "the wire script")
        listed = fields.take("faults") or []
        response_ids, receipt_ids = fields.one_of("response_ids", Ids.HEX), fields.one_of("receipt_ids", Ids.HEX)
        busy = fields.one_of("busy", BusyStatus.THROTTLED)
        refusals = _refusals(fields.take("refusals"))
        fields.end()
        if not isinstance(listed, list | tuple):
            raise InvalidScript(f"faults is {shown(listed)}; write a list of faults.")
        if len(listed) > _MOST_FAULTS:
            raise InvalidScript(f"faults has {len(listed)} faults; a script holds at most {_MOST_FAULTS}.")
        faults = tuple(_fault(fault, f"faults[{index}]") for index, fault in enumerate(listed))
        return cls(faults, response_ids, receipt_ids, busy, refusals)


def _fault(written: object, place: str) -> Fault:
    fields = Fields(written, place)
    if isinstance(written, Mapping) and "do" not in written:
        raise InvalidScript(f"{place} says nothing to do; write one of {', '.join(Act)}.")
    try:
        fault = Fault(
            act=fields.one_of("do", Act.KILL),
            at=fields.whole("at", 1),
            every=fields.number("every"),
            taken=fields.flag("taken", True),
            delay=fields.span("delay") or 0,
            status=fields.whole("status", 0),
            octets=_octets(fields.text("octets", ""), place),
        )
    except Unfit as wrong:
        raise InvalidScript(f"{place}: {wrong}") from None
    fields.end()
    return fault


def _octets(written: str, place: str) -> bytes:
    """Return what a name stands for, or what `hex:` is followed by."""
    if not written:
        return b""
    if (known := ODD.get(written)) is not None:
        return known
    try:
        octets = bytes.fromhex(written.removeprefix("hex:")) if written.startswith("hex:") else b""
    except ValueError:
        octets = b""
    if not 0 < len(octets) <= _MOST_OCTETS:
        raise InvalidScript(
            f"{place}: octets is {shown(written)}; write one of {', '.join(ODD)}, "
            f"or hex: and up to {_MOST_OCTETS} octets."
        )
    return octets


def _refusals(written: object) -> Mapping[int, int]:
    if written is None:
        return {}
    if not isinstance(written, Mapping):
        raise InvalidScript(f'refusals is {shown(written)}; write error codes and statuses, such as {{"30007": 1040}}.')
    found: dict[int, int] = {}
    for code, status in written.items():
        if not (isinstance(code, str) and code.isascii() and code.isdigit() and int(code[:9]) in MEANINGS):
            raise InvalidScript(f"refusals: {shown(code)} is no error code; write one such as 30007.")
        if isinstance(status, bool) or not isinstance(status, int) or not 0 < status <= _LAST_STATUS:
            raise InvalidScript(f"refusals: {code} is {shown(status)}; write a status, 1 to {_LAST_STATUS}.")
        found[int(code[:9])] = status
    return found
