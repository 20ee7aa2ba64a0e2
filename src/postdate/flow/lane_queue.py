"""The queue of one lane: first in, first out; what comes back has its place again; what expires is found in time.

And what the lane has in hand: given to a connector, and without an outcome. A hand-off is claimed before it is given,
and after a crash what was claimed is in doubt, though it may have waited in the connector. So a lane gives twice what
the carrier takes at once, no more, and not before half of it is answered: then the carrier never waits for a claim, and
claims come many together.
"""

import heapq
from collections.abc import Callable

from postdate.core.instant import Instant
from postdate.flow.lane_tools import Entry
from postdate.flow.open_connection import OpenConnection

_MOST_GONE = 1_000
_TIMES_AT_ONCE = 2


class LaneQueue:
    """Entries that wait: those that may go, and those that may go later. Owned by its lane."""

    def __init__(self, ahead: int) -> None:
        """Count as due what is due within `ahead` microseconds."""
        self._ahead = ahead
        self._ready: list[Entry] = []
        self._later: list[tuple[Instant, Entry]] = []
        self._ends: list[tuple[Instant, str]] = []
        self._here: dict[str, Entry] = {}

    def __len__(self) -> int:
        return len(self._here)

    def push(self, entry: Entry) -> None:
        """Add an entry at its place."""
        self._enter(entry)
        heapq.heappush(self._ready, entry)

    def push_later(self, entry: Entry) -> None:
        """Add an entry that may go when it is due."""
        self._enter(entry)
        heapq.heappush(self._later, (entry.due_at, entry))

    def head(self, wall: Instant) -> Entry | None:
        """Return who goes next, None where nobody may yet."""
        while self._later and self._later[0][0] <= wall + self._ahead:
            heapq.heappush(self._ready, heapq.heappop(self._later)[1])
        while self._ready:
            entry = self._ready[0]
            if self._here.get(entry.sid) is not entry:
                heapq.heappop(self._ready)
            elif entry.due_at > wall + self._ahead:  # the clock was set back: it holds up nobody
                heapq.heappush(self._later, (entry.due_at, heapq.heappop(self._ready)))
            else:
                return entry
        return None

    def pop(self) -> Entry:
        """Take out who `head` returned."""
        entry = heapq.heappop(self._ready)
        del self._here[entry.sid]
        return entry

    def take_expired(self, wall: Instant) -> list[Entry]:
        """Take out what has expired, wherever in the queue it stands."""
        expired: list[Entry] = []
        while self._ends and self._ends[0][0] <= wall:
            entry = self._here.get(heapq.heappop(self._ends)[1])
            if entry is not None and entry.expires_at <= wall:
                expired.append(self._here.pop(entry.sid))
        return expired

    def take_all(self) -> list[Entry]:
        """Take out everything."""
        everything = list(self._here.values())
        for heap in (self._ready, self._later, self._ends, self._here):
            heap.clear()
        return everything

    def hurry(self) -> None:
        """Let what waits for a later time go now: what it waited for has gone."""
        waiting = [entry for _, entry in self._later if self._here.get(entry.sid) is entry]
        self._later.clear()
        for entry in waiting:
            self.push(entry._replace(due_at=entry.sendable_at))

    def next_time(self) -> Instant | None:
        """Return when something that is not at the head may go, or expires."""
        while self._ends and self._ends[0][1] not in self._here:
            heapq.heappop(self._ends)
        times = [Instant(self._later[0][0] - self._ahead)] if self._later else []
        times += [self._ends[0][0]] if self._ends else []
        return min(times) if times else None

    def _enter(self, entry: Entry) -> None:
        self._here[entry.sid] = entry
        if len(self._ends) > 2 * len(self._here) + _MOST_GONE:  # most of them have gone long before their end
            self._ends = [(one.expires_at, sid) for sid, one in self._here.items()]
            heapq.heapify(self._ends)
        else:
            heapq.heappush(self._ends, (entry.expires_at, entry.sid))


class InHand:
    """Counts for one lane; how much a carrier takes at once is its connection's `at_once`, 0 where nobody knows."""

    __slots__ = ("_count", "_most", "_wake", "_was_full")

    def __init__(self, most: int, wake: Callable[[], None]) -> None:
        """Begin; `most` messages are given at once, whatever the carrier takes; `wake` is told of room after none."""
        self._most = most
        self._wake = wake
        self._count = 0
        self._was_full = False

    def room(self, connection: OpenConnection | None) -> int:
        """Return how many messages may be given now."""
        if connection is None:
            return 0
        at_once = connection.connector.condition.at_once
        if not at_once:
            return self._most
        self._was_full = self._count > at_once
        return 0 if self._was_full else min(self._most, _TIMES_AT_ONCE * at_once - self._count)

    def given(self, messages: int) -> None:
        """Count what was given."""
        self._count += messages

    def answered(self, connection: OpenConnection, outcome: str) -> None:
        """Count an outcome, here and for the connection."""
        connection.traffic.answered(outcome)
        self._count -= 1
        if self._was_full and self._count <= connection.connector.condition.at_once:
            self._was_full = False
            self._wake()
