"""The last step: tell the customer. Calls wait in the outbox, written with the change that they announce.

At least once, signed, and in the order of a message's life: of one message only one call is under way, and the next
one begins when it is settled. A slow server holds up nobody else's calls.

What a transaction wrote is handed over with its commit, so that the outbox is read only for what was written before
this run of the node, and for what found no room: each server has a share of the memory, and what is over it stays on
disk until there is room again.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from postdate.clock import Clock
from postdate.core.callback import CallbackPolicy, CallbackResult, is_delivered, next_attempt, policy_after
from postdate.core.instant import MILLISECOND, SECOND, Instant, Monotonic
from postdate.core.message import Status
from postdate.flow.alarm import Alarm
from postdate.flow.callback_rows import called_of, policy_of, request_of, server_of
from postdate.flow.directory import Directory
from postdate.flow.inbound_calls import InboundCalls, NotNow, Stopping
from postdate.flow.outgoing import Outgoing
from postdate.store.contract import CallbackRow, Settled, Store, StoreError

MOST_AT_ONCE = 128
MOST_TO_ONE_SERVER = 32
MOST_TO_A_SLOW_ONE = 4  # while half of all places are taken: one customer may have many servers
SLOW = 5 * SECOND  # a call that takes so long
MOST_KEPT = 50_000  # calls in memory, mostly of 700 bytes; those that wait for their next attempt come on top
MOST_KEPT_OF_ONE_SERVER = 10_000
MOST_READ = 2_500
MOST_IN_A_COMMIT = 1_024
GATHER = 10 * MILLISECOND  # settlements are in no hurry: a few more share each transaction
_FAR = Instant(2**62)
_AFTER_TROUBLE = 1 * SECOND
_NOT_NOW = 60 * SECOND  # so long the store's trouble is left to others


@dataclass(slots=True)
class _Server:
    """Where calls go: those whose turn it is, how many are kept in memory, and whether more are on disk only."""

    waiting: deque[CallbackRow] = field(default_factory=deque)
    under_way: int = 0
    kept: int = 0
    behind: bool = False
    quick: bool = False  # as its last call was; not known of one that is new


class Callbacks:
    """Makes the calls of the outbox. `run` reads; what is handed over with its commit begins at once."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        outgoing: Outgoing,
        inbound: InboundCalls,
        clock: Clock,
        chance: Callable[[], float],
    ) -> None:
        self._store = store
        self._directory = directory
        self._outgoing = outgoing
        self._inbound = inbound
        self._clock = clock
        self._chance = chance
        self._alarm = Alarm(clock)
        self._lines: dict[str, list[CallbackRow]] = {}  # by message, in its order; the first one's turn is now
        self._servers: dict[str, _Server] = {}
        self._ready: dict[str, None] = {}  # servers that only the limit of all calls holds up, in turn
        self._again: list[tuple[Instant, str, CallbackRow]] = []  # a heap: those to be tried again, later
        self._kept = 0
        self._under_way = 0
        self._calling: set[asyncio.Task[None]] = set()
        self._behind = True  # calls may be on disk that are not in memory, of servers that have room
        self._full = False  # there is no room for any; until a quarter of it is free again nothing is read
        self._reading = False
        self._arrived: list[CallbackRow] = []  # written while the outbox was read
        self._settled_of_late: set[str] = set()  # while the outbox is read
        self._unsettled: list[tuple[CallbackRow, Settled]] = []
        self._settling: asyncio.Task[None] | None = None
        self._settling_alarm = Alarm(clock)
        self._read_at: Monotonic | None = None  # not before, after the store was in trouble
        self._stopping = False
        self.patience = 2.0  # seconds that a stop waits for calls under way: a slow server's are made again
        self.delivered = self.given_up = 0

    @property
    def idle(self) -> bool:
        """Say whether no call is under way, or only for the store to recover, and none is due."""
        at_rest = self._settling is None or self._settling_alarm.idle
        return self._alarm.idle and len(self._calling) == self._inbound.paused and at_rest

    @property
    def kept(self) -> int:
        """Return how many calls are in memory, without those that wait for their next attempt."""
        return self._kept

    def take(self, rows: Sequence[CallbackRow]) -> None:
        """Take calls that are on disk now; those that there is no room for are read later."""
        for row in rows:
            if self._reading:
                self._arrived.append(row)  # what was on disk before comes first
            elif self._behind:
                return  # on disk, to be read with what came before
            elif not self._is_known(row):  # a read may have found it just before its commit was heard of
                self._find_room(row)

    def wake(self) -> None:
        """Look into the outbox: something may have been written."""
        self._read_on()

    def stop(self) -> None:
        """Begin no more calls; `run` returns soon, when those that ended by then are settled."""
        self._stopping = True
        self._inbound.stop()
        self._alarm.wake()

    async def run(self) -> None:
        """Call until stopped."""
        while not self._stopping:
            self._begin_again()
            if self._may_read():
                await self._read()
            else:
                await self._alarm.wait(self._next_wake())
        if self._calling:
            _, slow = await asyncio.wait(self._calling, timeout=self.patience)
            for task in slow:
                task.cancel()
            await asyncio.gather(*slow, return_exceptions=True)
        if self._settling is not None:
            self._settling_alarm.wake()
            await asyncio.wait([self._settling])

    # -- what is kept in memory --------------------------------------------------------------------------------------

    def _server(self, url: str) -> _Server:
        key = server_of(url)
        server = self._servers.get(key)
        if server is None:
            server = self._servers[key] = _Server()
        return server

    def _is_full(self, row: CallbackRow) -> bool:
        """Say whether its server's share of the memory is used up; then it stays on disk."""
        server = self._servers.get(server_of(row.url))
        if server is None or not (server.behind or server.kept >= MOST_KEPT_OF_ONE_SERVER):
            return False
        server.behind = True
        return True

    def _find_room(self, row: CallbackRow) -> None:
        """Keep a call where there is room; else it stays on disk, to be read later."""
        if self._kept >= MOST_KEPT:
            self._full = True
            self._read_on()
        elif not self._is_full(row):
            self._keep(row)

    def _keep(self, row: CallbackRow) -> None:
        line = self._lines.get(row.message_sid)
        if line is not None:
            line.append(row)
            self._count(self._server(row.url), 1)
            return
        self._lines[row.message_sid] = [row]
        if row.attempts and row.due_at > self._clock.now():
            heapq.heappush(self._again, (row.due_at, row.id, row))
            return
        self._count(self._server(row.url), 1)
        self._enqueue(row)

    def _count(self, server: _Server, change: int) -> None:
        server.kept += change
        self._kept += change

    def _forget(self, row: CallbackRow) -> None:
        """Make room of one call; read on where that is worth it."""
        key = server_of(row.url)
        server = self._servers[key]
        self._count(server, -1)
        if server.behind:
            if 4 * server.kept <= MOST_KEPT_OF_ONE_SERVER:  # what is in memory is read again, too
                self._read_on()
        elif not server.kept:
            del self._servers[key]
        if self._full and 4 * self._kept <= 3 * MOST_KEPT:
            self._full = False
            self._alarm.wake()

    # -- reading -----------------------------------------------------------------------------------------------------

    def _read_on(self) -> None:
        self._behind = True
        self._alarm.wake()

    def _may_read(self) -> bool:
        if not self._behind or self._full:
            return False
        return self._read_at is None or self._read_at <= self._clock.monotonic()

    async def _read(self) -> None:
        """Read what is not in memory, but nothing to servers whose share of it is used up."""
        self._behind, self._read_at = False, None
        busy: list[str] = []
        for key, server in list(self._servers.items()):
            server.behind = server.kept >= MOST_KEPT_OF_ONE_SERVER
            if server.behind:
                busy += [key + end for end in "/?#"]  # not the server whose port begins alike
            elif not server.kept:
                del self._servers[key]
        # What is in memory is on disk too, and is read again, but for that of servers whose share is used up.
        known = len(self._again) + sum(server.kept for server in self._servers.values() if not server.behind)
        limit = MOST_READ + known
        self._reading = True
        try:
            rows = await self._store.due_callbacks(_FAR, busy, limit)
        except StoreError:
            self._behind, self._read_at = True, Monotonic(self._clock.monotonic() + _AFTER_TROUBLE)
            return
        finally:
            self._reading = False
            arrived, self._arrived = self._arrived, []
        for row in sorted(rows, key=lambda row: row.id):  # of a message in its order: one to be tried again is due late
            if not self._is_known(row):
                self._find_room(row)
        self._behind |= len(rows) == limit
        self.take([row for row in arrived if not self._is_known(row)])
        self._settled_of_late.clear()

    def _is_known(self, row: CallbackRow) -> bool:
        line = self._lines.get(row.message_sid, ())
        return any([row.id == one.id for one in line]) or row.id in self._settled_of_late

    # -- whose turn it is --------------------------------------------------------------------------------------------

    def _enqueue(self, row: CallbackRow) -> None:
        key = server_of(row.url)
        self._servers[key].waiting.append(row)
        self._begin(key)

    def _begin(self, key: str) -> None:
        """Begin the calls to a server that are allowed now."""
        server = self._servers.get(key)
        while server is not None and server.waiting and self._may_begin(server):
            if self._under_way >= MOST_AT_ONCE:
                self._ready[key] = None
                return
            server.under_way += 1
            self._under_way += 1
            task = asyncio.get_running_loop().create_task(self._work(server.waiting.popleft(), server, key))
            self._calling.add(task)
            task.add_done_callback(self._calling.discard)

    def _may_begin(self, server: _Server) -> bool:
        held_back = not server.quick and 2 * self._under_way >= MOST_AT_ONCE
        return server.under_way < (MOST_TO_A_SLOW_ONE if held_back else MOST_TO_ONE_SERVER) and not self._stopping

    async def _work(self, row: CallbackRow, server: _Server, key: str) -> None:
        """Make a call, and those to the same server that come next while nobody else waits for the place."""
        try:
            await self._call_or_put_off(row, server)
            while server.waiting and not self._ready and not self._stopping:
                await self._call_or_put_off(server.waiting.popleft(), server)
        except Stopping:
            pass  # on disk still, and made again at the next start
        except asyncio.CancelledError:
            self._stopping = True  # the process ends: nothing takes its place
            raise
        finally:
            self._ended(server, key)

    def _ended(self, server: _Server, key: str) -> None:
        server.under_way -= 1
        self._under_way -= 1
        if not self._ready:
            self._begin(key)
            return
        if server.waiting:
            self._ready[key] = None
        while self._ready and self._under_way < MOST_AT_ONCE:  # each server in its turn; some have nothing left
            key = next(iter(self._ready))
            del self._ready[key]
            self._begin(key)

    def _begin_again(self) -> None:
        """Begin those whose time has come to be tried again."""
        now = self._clock.now()
        while self._again and self._again[0][0] <= now:
            row = heapq.heappop(self._again)[2]
            self._count(self._server(row.url), 1)
            self._enqueue(row)

    # -- one call ----------------------------------------------------------------------------------------------------

    async def _call_or_put_off(self, row: CallbackRow, server: _Server) -> None:
        began = self._clock.monotonic()
        try:
            await self._call(row)
        except NotNow:  # on disk it stays as it is
            self._forget(row)
            heapq.heappush(self._again, (Instant(self._clock.now() + _NOT_NOW), row.id, row))
            self._alarm.wake()
        was_quick, server.quick = server.quick, self._clock.monotonic() - began < SLOW
        if not (was_quick and server.quick):  # it may have more places now
            self._begin(server_of(row.url))

    async def _call(self, row: CallbackRow) -> None:
        """Make one attempt and settle it."""
        policy, token = policy_of(row.url), self._directory.find_token(row.account_sid)
        if policy is None or token is None:  # an account that is gone: nobody could check the signature
            self.given_up += 1
            self._settle(row, Settled(row.due_at, row.id, None))
            return
        began = self._clock.now()
        first_at = row.first_at if row.attempts else began
        left = policy_after(policy, began - first_at) if row.attempts else policy
        form, result = await self._tell(row, token, left)
        now = self._clock.now()
        made = called_of(row, form, began, now, result)
        wait = next_attempt(policy, row.attempts + 1, result, self._chance(), now - first_at)
        if wait is None:
            if row.status is Status.RECEIVED and not is_delivered(result):
                await self._inbound.give_up(row, token, result)
            self.delivered += is_delivered(result)
            self.given_up += not is_delivered(result)
            self._settle(row, Settled(row.due_at, row.id, None, None, made))
        else:
            self._settle(row, Settled(row.due_at, row.id, Instant(now + wait), first_at, made))

    async def _tell(self, row: CallbackRow, token: str, policy: CallbackPolicy) -> tuple[str, CallbackResult]:
        if row.status is Status.RECEIVED:
            return await self._inbound.tell(row, token, policy)
        form, headers = request_of(row, token)
        return form, await self._outgoing.post(row.url, form, headers, policy)

    # -- settling ----------------------------------------------------------------------------------------------------

    def _settle(self, row: CallbackRow, settled: Settled) -> None:
        self._unsettled.append((row, settled))
        if self._settling is None:
            self._settling = asyncio.get_running_loop().create_task(self._settle_all())

    async def _settle_all(self) -> None:
        try:
            while self._unsettled:
                if self._may_gather():
                    await self._settling_alarm.wait(Monotonic(self._clock.monotonic() + GATHER))
                batch = self._unsettled[:MOST_IN_A_COMMIT]
                try:
                    await self._store.settle_callbacks([settled for _, settled in batch])
                except StoreError:
                    if self._stopping:
                        return  # told but not recorded: the customer is told again at the next start
                    await self._settling_alarm.wait(Monotonic(self._clock.monotonic() + _AFTER_TROUBLE))
                    continue
                del self._unsettled[: len(batch)]
                for row, settled in batch:
                    self._after(row, settled)
        finally:
            self._settling = None

    def _may_gather(self) -> bool:
        # A clock that is moved by hand stands still meanwhile: there, nothing more would come.
        moves = self._clock.longest_wait is not None
        return moves and len(self._unsettled) < MOST_IN_A_COMMIT and not self._stopping

    def _after(self, row: CallbackRow, settled: Settled) -> None:
        """Go on with the message: its next call, or the same one later."""
        line = self._lines[row.message_sid]
        self._forget(row)
        if settled.retry_at is not None:
            first_at = row.first_at if settled.first_at is None else settled.first_at
            later = msgspec.structs.replace(row, due_at=settled.retry_at, attempts=row.attempts + 1, first_at=first_at)
            line[0] = later
            heapq.heappush(self._again, (later.due_at, later.id, later))
            self._alarm.wake()
            return
        if self._reading:
            self._settled_of_late.add(row.id)
        del line[0]
        if line:
            self._enqueue(line[0])
        else:
            del self._lines[row.message_sid]

    def _next_wake(self) -> Monotonic | None:
        now, wakes = self._clock.monotonic(), []
        if self._again:
            wakes.append(now + max(self._again[0][0] - self._clock.now(), 0))
        if self._behind and self._read_at is not None:
            wakes.append(self._read_at)
        return Monotonic(min(wakes)) if wakes else None
