"""A connection in use: its connector, what follows an unknown outcome there, its pace and what went over it."""

from dataclasses import dataclass, field

from postdate.connectors.contract import Connector, State
from postdate.core.instant import Monotonic
from postdate.core.outcome import DoubtPolicy
from postdate.core.pace import Pace
from postdate.core.traffic import Traffic

MOST_MEDIA = 10


@dataclass(slots=True)
class OpenConnection:
    """A way to a carrier that lanes use. `media`: how many one message can carry, 0 for text only.

    `identity` is what messages and references remember: it stays through a change of settings, and is never used again,
    as a name may be. `knows_key`: a carrier that says no to a second attempt never took the first. The lanes write
    `pace` and `traffic`; whoever opened it writes `paused` and `doubt`.
    """

    name: str
    connector: Connector
    doubt: DoubtPolicy = DoubtPolicy.HOLD
    pace: Pace = field(default_factory=lambda: Pace(0, Monotonic(0)))
    media: int = MOST_MEDIA
    paused: bool = False
    traffic: Traffic = field(default_factory=Traffic)
    identity: str = ""
    knows_key: bool = False

    def __post_init__(self) -> None:
        self.identity = self.identity or self.name

    @property
    def is_usable(self) -> bool:
        """Say whether messages may be handed to it now."""
        return not self.paused and self.connector.condition.state in (State.READY, State.FAILING)
