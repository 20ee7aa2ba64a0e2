"""What keeps a node healthy: forgets what is past use, and refuses new messages before the disk is full.

The room that is kept back is for outcomes and callbacks of what was accepted already.
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from postdate.clock import Clock
from postdate.core.instant import DAY, HOUR, MINUTE, SECOND, Instant, Monotonic
from postdate.flow.alarm import Alarm
from postdate.store.contract import Store, StoreError

EVERY = 5 * SECOND
PRUNE_EVERY = 10 * MINUTE
KEPT_FOR = 7 * DAY  # parked receipts, idempotency keys, ids of inbound messages, calls to customers
COUNTED_FOR = 35 * DAY  # how many messages did what in an hour
UNJOINED_FOR = 1 * HOUR  # the first part of an inbound message, while another is missing


class Housekeeping:
    """Runs now and then. Owned by one task: `run`."""

    def __init__(self, store: Store, clock: Clock, data: Path, min_free_bytes: int) -> None:
        self._store = store
        self._clock = clock
        self._data = data
        self._min_free = min_free_bytes
        self._alarm = Alarm(clock)
        self._pruned_at = Instant(0)
        self._stopping = False
        self.refuse: Callable[[str | None], None] = lambda reason: None

    def stop(self) -> None:
        """End `run`."""
        self._stopping = True
        self._alarm.wake()

    async def run(self) -> None:
        """Look after the node until stopped."""
        while not self._stopping:
            self.refuse(self._shortage())
            now = self._clock.now()
            if now - self._pruned_at >= PRUNE_EVERY:
                self._pruned_at = now
                with contextlib.suppress(StoreError):  # tried again next time; nothing depends on it
                    await self._store.prune(
                        Instant(now - KEPT_FOR), Instant(now - UNJOINED_FOR), Instant(now - COUNTED_FOR)
                    )
            # A clock that is moved by hand would have to stop at every one of these waits: there, once is enough.
            pause = None if self._clock.longest_wait is None else Monotonic(self._clock.monotonic() + EVERY)
            await self._alarm.wait(pause)

    def _shortage(self) -> str | None:
        found = os.statvfs(self._data)
        free = found.f_bavail * found.f_frsize
        if free >= self._min_free:
            return None
        return (
            f"The disk of {self._data} is nearly full ({free // 2**20} MiB left): free some space. "
            "What was accepted is safe and still goes out."
        )
