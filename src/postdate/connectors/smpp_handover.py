"""One submission on its way over SMPP: what is known of each of its parts, and what follows from all of them.

A message of one part is the common case of a list of one. Nothing here waits or sends: whoever does tells it what
happened, and asks for the verdict.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from postdate.connectors.contract import LateAnswer, Submission
from postdate.core.instant import Monotonic
from postdate.core.outcome import Accepted, Busy, InDoubt, Outcome, Refused, Unreachable
from postdate.smpp.pdu import SubmitSm


@dataclass(slots=True, eq=False)
class Exchange:
    """One batch: the outcomes that nobody has taken yet."""

    ready: deque[tuple[Submission, Outcome]] = field(default_factory=deque)
    more: asyncio.Event = field(default_factory=asyncio.Event)
    given_up: bool = False


@dataclass(slots=True, eq=False)
class Handover:
    """How far a submission has come.

    Every part is in one place: `unsent` (not written, or written and not taken), `out` (written, no answer yet),
    `unknown` (written, and no answer will come, or not in time), or taken, with its id in `ids`.
    """

    submission: Submission
    exchange: Exchange
    bodies: Sequence[SubmitSm] = ()
    ids: list[str | None] = field(default_factory=list)
    unsent: deque[int] = field(default_factory=deque)
    unknown: dict[int, str] = field(default_factory=dict)  # with the reason
    out: int = 0
    refusal: Refused | None = None
    setback: Busy | Unreachable | None = None  # why a part in `unsent` did not go through
    give_up_at: Monotonic | None = None
    queued: bool = False  # parts of it are next in line on a link
    early: bool = False  # it waits for its `not_before`
    settled: bool = False
    in_doubt: bool = False  # settled so, and nothing was heard since

    def begin(self, bodies: Sequence[SubmitSm], give_up_at: Monotonic | None) -> None:
        """Start with all parts unsent; until `give_up_at` some may be sent again."""
        self.bodies = bodies
        self.ids = [None] * len(bodies)
        self.unsent.extend(range(len(bodies)))
        self.give_up_at = give_up_at

    @property
    def begun(self) -> bool:
        """Say whether a part was on a link."""
        return bool(self.bodies)

    @property
    def partly_out(self) -> bool:
        """Say whether the carrier has or may have a part of it."""
        return bool(self.unknown) or any(self.ids)

    def answered(self, index: int, outcome: Accepted | Refused | Busy) -> None:
        """Note the answer to a part; after a refusal no part more is sent."""
        self.unknown.pop(index, None)
        match outcome:
            case Accepted(carrier_ref):
                self.ids[index] = carrier_ref
            case Refused():
                self.refusal = outcome
                self.unsent.clear()
            case Busy():
                self.put_back(index, outcome)

    def put_back(self, index: int, why: Busy | Unreachable) -> None:
        """Note that the carrier has not got a part."""
        self.setback = why
        if self.refusal is None:
            self.unsent.append(index)

    def verdict(self, can_wait: bool) -> Outcome | None:
        """Say what became of the message once no part is out; None: the rest is to be sent again, if `can_wait`."""
        if self.refusal is not None:
            return self.refusal
        if self.unsent:
            if not self.partly_out:
                return self.setback or Unreachable("it was not sent")
            return None if can_wait else InDoubt("some of its parts were sent, and the rest could not be")
        if self.unknown:
            return InDoubt(next(iter(self.unknown.values())))
        return Accepted(self.carrier_ref)

    @property
    def carrier_ref(self) -> str:
        """The id of the last part: the one that every receipt is asked for."""
        return self.ids[-1] or ""

    def answered_late(self, index: int, outcome: Accepted | Refused | Busy) -> LateAnswer | None:
        """Note an answer that came after its time; return what it changes about a message in doubt."""
        self.answered(index, outcome)
        if not self.in_doubt:
            return None
        sid = self.submission.sid
        if self.refusal is not None:
            self.in_doubt = False
            return LateAnswer(sid, self.refusal)
        if self.unsent and not self.partly_out:
            self.in_doubt = False
            return LateAnswer(sid, Unreachable("the carrier could not take it, and said so late"))
        if not self.unsent and not self.unknown and all(self.ids):
            self.in_doubt = False
            return LateAnswer(sid, Accepted(self.carrier_ref))
        return None
