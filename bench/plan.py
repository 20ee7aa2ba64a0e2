"""How much is measured, where, and who hears how far it is."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Plan:
    """One measurement; `folder` is on the disk to be measured, and `fdatasync_ms` is what that disk takes."""

    folder: Path
    fdatasync_ms: float
    say: Callable[[str], None]
    progress: Callable[[str, int, int], None]
    runs: int = 3
    load_seconds: int = 5
    alone_seconds: int = 3
    due_seconds: int = 10
    burst: int = 10_000
    pending: int = 1_000_000
    settle_seconds: int = 5
    idle_seconds: int = 20

    @property
    def is_whole(self) -> bool:
        """Say whether the targets were made for this much."""
        return self.runs >= 3 and self.pending >= 1_000_000 and self.burst >= 10_000
