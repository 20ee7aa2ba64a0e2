"""How an SMSC of ours is set up. Times are microseconds; passwords are never in a repr."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

from postdate.core.instant import SECOND

LONGEST_NAME = 15
LONGEST_PASSWORD = 64  # the standard has 8, and carriers give out longer ones
USUAL_PORT = 2775
USUAL_SYSTEM_ID = "postdate"
USUAL_PASSWORD = "postdate"  # fits the standard's eight characters; the SMSC shows it when it starts


@dataclass(frozen=True, slots=True, kw_only=True)
class SmscSettings:
    """Where it listens, who may bind, and how much it takes."""

    host: str = "127.0.0.1"
    port: int = USUAL_PORT
    passwords: Mapping[str, str] = field(default_factory=lambda: {USUAL_SYSTEM_ID: USUAL_PASSWORD}, repr=False)
    """By system id; what handsets write to unknown senders goes to the first."""
    tls: ssl.SSLContext | None = None
    rate: float = 0.0
    """How many submit_sm a second a system id may send; what comes faster is throttled, 0 is no limit."""
    window: int = 1_000
    """How many submit_sm of one link may be without an answer."""
    deliver_window: int = 100
    """How many deliver_sm to one link may be without an answer."""
    most_links: int = 64
    """How many links a system id may have at a time."""
    most_connections: int = 1_024
    keep: int = 50_000
    """How many messages can be asked for, and how many deliveries wait for a link of one system id."""
    bind_within: int = 10 * SECOND
    enquire_after: int = 30 * SECOND
    answer_within: int = 10 * SECOND
    seed: int = 1
    first_id: int | None = None
    """The number of the first message; None goes by the clock, so that a new start uses no number again."""

    def __post_init__(self) -> None:
        if not self.passwords:
            raise ValueError("nobody could bind: give at least one system id with its password")
        for system_id, password in self.passwords.items():
            if not (0 < len(system_id) <= LONGEST_NAME and system_id.isascii() and system_id.isprintable()):
                raise ValueError(f"a system id has 1 to {LONGEST_NAME} ASCII characters, and {system_id!r} has not")
            if not (len(password) <= LONGEST_PASSWORD and password.isascii() and password.isprintable()):
                raise ValueError(f"the password of {system_id} is not of up to {LONGEST_PASSWORD} ASCII characters")
        for name in ("window", "deliver_window", "most_links", "most_connections", "keep"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; write 1 or more")
        if not 0 <= self.rate < float("inf"):
            raise ValueError(f"rate is {self.rate}; write submit_sm a second, or 0 for no limit")
