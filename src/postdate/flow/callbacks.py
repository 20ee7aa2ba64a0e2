"""The last step: tell the customer. Calls wait in the outbox, written with the change that they announce.

At least once, signed, and in the order of a message's life: of one message only one call is under way. A slow server
holds up nobody else's calls. A call that is settled leaves the outbox; one to be tried again moves to a later time.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Sequence

from postdate.clock import Clock
from postdate.core.callback import (
    InvalidCallbackUrl,
    StatusChange,
    is_delivered,
    next_attempt,
    parse_overrides,
    policy_after,
    sign,
    status_params,
)
from postdate.core.instant import SECOND, Instant, Monotonic
from postdate.flow.alarm import Alarm
from postdate.flow.directory import Directory
from postdate.flow.group_commit import GroupCommit
from postdate.flow.outgoing import Outgoing
from postdate.store.contract import CallbackRow, Settled, Store, StoreError

MOST_AT_ONCE = 128
MOST_TO_ONE_SERVER = 32
MOST_IN_A_COMMIT = 1_024
_FAR = Instant(2**62)
_AFTER_TROUBLE = 1 * SECOND


class Callbacks:
    """Makes the calls of the outbox. Owned by one task: `run`."""

    def __init__(
        self, store: Store, directory: Directory, outgoing: Outgoing, clock: Clock, chance: Callable[[], float]
    ) -> None:
        self._store = store
        self._directory = directory
        self._outgoing = outgoing
        self._clock = clock
        self._chance = chance
        self._alarm = Alarm(clock)
        self._settlements: GroupCommit[Settled, None] = GroupCommit(self._settle, MOST_IN_A_COMMIT)
        self._calling: dict[str, asyncio.Task[None]] = {}  # by message
        self._to_server: Counter[str] = Counter()
        self._settled_of_late: set[tuple[Instant, str]] = set()  # since the present read of the outbox began
        self._later: dict[str, str] = {}  # by message: the call that is to be tried again, before the ones after it
        self._stuck = 0  # calls whose settlement waits for the store
        self._next: Instant | None = None
        self._stopping = False
        self.delivered = 0
        self.given_up = 0

    @property
    def idle(self) -> bool:
        """Say whether no call is under way and none is due."""
        return self._alarm.idle and len(self._calling) == self._stuck

    def wake(self) -> None:
        """Look into the outbox: something may have been written."""
        self._alarm.wake()

    def stop(self) -> None:
        """Begin no more calls; `run` returns when those under way have ended."""
        self._stopping = True
        self._alarm.wake()

    async def run(self) -> None:
        """Call until stopped."""
        while not self._stopping:
            try:
                await self._begin_due()
            except StoreError:
                self._next = Instant(self._clock.now() + _AFTER_TROUBLE)
            await self._alarm.wait(self._next_wake())
        if self._calling:
            await asyncio.wait(list(self._calling.values()))

    async def _begin_due(self) -> None:
        """Begin every call that is due and allowed; leave `_next` at when the following one is due."""
        self._next = None
        while len(self._calling) < MOST_AT_ONCE and not self._stopping:
            now = self._clock.now()
            full = [server for server, count in self._to_server.items() if count >= MOST_TO_ONE_SERVER]
            busy = [server + end for server in full for end in "/?#"]  # not the server whose port begins alike
            # What is under way, and what waits behind it, is still in the outbox: read past it.
            limit = MOST_AT_ONCE + 8 * (len(self._calling) + len(self._later))
            self._settled_of_late.clear()
            rows = await self._store.due_callbacks(Instant(now + 1), busy, limit)
            if not any([self._begin(row) for row in rows]):
                break
        ahead = await self._store.due_callbacks(_FAR, [], 1, Instant(self._clock.now() + 1))
        self._next = ahead[0].due_at if ahead else None

    def _begin(self, row: CallbackRow) -> bool:
        server = _server(row.url)
        if len(self._calling) >= MOST_AT_ONCE or self._to_server[server] >= MOST_TO_ONE_SERVER:
            return False
        if row.message_sid in self._calling or (row.due_at, row.id) in self._settled_of_late:
            return False
        if self._later.get(row.message_sid, row.id) != row.id:
            return False
        task = asyncio.get_running_loop().create_task(self._call(row))
        self._calling[row.message_sid] = task
        self._to_server[server] += 1
        task.add_done_callback(lambda _: self._ended(row, server))
        return True

    def _ended(self, row: CallbackRow, server: str) -> None:
        del self._calling[row.message_sid]
        self._to_server[server] -= 1
        if not self._to_server[server]:
            del self._to_server[server]
        self._settled_of_late.add((row.due_at, row.id))
        self._alarm.wake()

    async def _call(self, row: CallbackRow) -> None:
        """Make one attempt and settle it."""
        try:
            policy = parse_overrides(row.url)
        except InvalidCallbackUrl:
            self.given_up += 1
            await self._settlements.add(Settled(row.due_at, row.id, None))
            return
        params = status_params(_change(row))
        headers = {
            "X-Twilio-Signature": sign(row.url, params, self._directory.token_of(row.account_sid)),
            "I-Twilio-Idempotency-Token": row.id,
        }
        began = self._clock.now()
        first_at = row.first_at if row.attempts else began
        policy_now = policy_after(policy, began - first_at)
        result = await self._outgoing.call("POST", row.url, params, headers, policy_now)
        now = self._clock.now()
        wait = next_attempt(policy, row.attempts + 1, result, self._chance(), now - first_at)
        if wait is None:
            self.delivered += is_delivered(result)
            self.given_up += not is_delivered(result)
            self._later.pop(row.message_sid, None)
            await self._keep(Settled(row.due_at, row.id, None))
        else:
            self._later[row.message_sid] = row.id
            await self._keep(Settled(row.due_at, row.id, Instant(now + wait), first_at))

    async def _keep(self, settled: Settled) -> None:
        while True:
            try:
                await self._settlements.add(settled)
                return
            except StoreError:
                # Told but not recorded: keep trying, or the customer is told again at the next start.
                self._stuck += 1
                await Alarm(self._clock).wait(Monotonic(self._clock.monotonic() + _AFTER_TROUBLE))
                self._stuck -= 1

    async def _settle(self, settled: Sequence[Settled]) -> Sequence[None]:
        await self._store.settle_callbacks(settled)
        return [None] * len(settled)

    def _next_wake(self) -> Monotonic | None:
        if self._next is None:
            return None
        return Monotonic(self._clock.monotonic() + max(self._next - self._clock.now(), 0))


def _server(url: str) -> str:
    """Return the beginning of a URL up to its path: calls to one server share its places."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{re.split('[/?#]', rest, maxsplit=1)[0]}"


def _change(row: CallbackRow) -> StatusChange:
    return StatusChange(
        account_sid=row.account_sid,
        message_sid=row.message_sid,
        status=row.status,
        to=row.recipient,
        from_=row.sender,
        messaging_service_sid=row.service_sid,
        error_code=row.error_code,
    )
