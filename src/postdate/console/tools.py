"""What the console's pages work with: the parts that the API has too, and what only people with browsers need."""

from dataclasses import dataclass, field

from postdate.api.parts import Parts
from postdate.clock import Clock
from postdate.console.attempts import Attempts
from postdate.console.links import Links
from postdate.console.passwords import Passwords
from postdate.console.sessions import Sessions


@dataclass(frozen=True, slots=True)
class Tools:
    """One for each console. `watch` is the machine's clock: sessions and limits do not follow a test clock."""

    parts: Parts
    watch: Clock
    sessions: Sessions
    passwords: Passwords
    attempts: Attempts
    links: Links
    exporting: set[str] = field(default_factory=set)  # the users to whom the whole log is being written

    @classmethod
    def make(cls, parts: Parts, watch: Clock) -> "Tools":
        """Return the tools over the parts of a node."""
        directory = parts.directory
        return cls(
            parts=parts,
            watch=watch,
            sessions=Sessions(directory, watch),
            passwords=Passwords(),
            attempts=Attempts(watch),
            links=Links(directory, watch),
        )

    def is_secure(self, scheme: str) -> bool:
        """Say whether a browser reaches the node by https: as its public URL says, or the scheme of the request."""
        return scheme == "https" or (self.parts.settings.public_url or "").startswith("https://")
