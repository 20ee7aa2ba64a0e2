"""Fetches a message's media at `SendAt`: never before, so that a picture the customer still changes is not frozen.

What is fetched is kept by its SHA-256 and the message is decided again. A server that cannot be reached is tried again
a few times; then the message fails with the documented code.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from postdate.clock import Clock
from postdate.core.address import Channel
from postdate.core.decision import Refuse
from postdate.core.instant import SECOND, Instant, Monotonic
from postdate.core.message import Message, is_undecided
from postdate.core.outcome import retry_at
from postdate.core.sender import channel_of
from postdate.core.sid import CHANCE_BYTES, new_sid
from postdate.flow.alarm import Alarm
from postdate.flow.outgoing import Media, MediaFailure, MediaFault, Outgoing
from postdate.store.contract import MediaRow, Store, StoreError

MOST_AT_ONCE = 32
ATTEMPTS = 4
_AFTER_TROUBLE = 1 * SECOND


@dataclass(frozen=True, slots=True)
class _Given:
    """What was fetched, or why it could not be."""

    media: tuple[Media, ...]
    failure: MediaFailure | None = None


class MediaFetcher:
    """Fetches for messages that were decided to need it; `take` decides about them again."""

    def __init__(
        self,
        store: Store,
        outgoing: Outgoing,
        clock: Clock,
        take: Callable[[Sequence[str]], Awaitable[None]],
    ) -> None:
        self._store = store
        self._outgoing = outgoing
        self._clock = clock
        self._take = take
        self._places = asyncio.Semaphore(MOST_AT_ONCE)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._waiting: set[str] = set()

    @property
    def idle(self) -> bool:
        """Say whether nothing is being fetched."""
        return len(self._waiting) == len(self._tasks)

    def fetch(self, message: Message) -> None:
        """Fetch the media of a message once it is due."""
        if message.sid not in self._tasks:
            task = asyncio.get_running_loop().create_task(self._run(message))
            self._tasks[message.sid] = task
            task.add_done_callback(lambda _: self._tasks.pop(message.sid))

    async def stop(self) -> None:
        """Give up what is under way: it is due again at the next start."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _run(self, message: Message) -> None:
        await self._until(message.sid, message.due_at)
        for attempt in range(1, ATTEMPTS + 1):
            if not await self._is_wanted(message):
                return
            async with self._places:
                given = await self._fetch_all(message.media_urls)
            if given.failure is None:
                return await self._keep(message, given.media)
            if not _may_pass(given.failure) or attempt == ATTEMPTS:
                return await self._persist(message.sid, partial(self._refuse, message, given.failure.fault))
            await self._until(message.sid, retry_at(self._clock.now(), attempt, None, 0.0))

    async def _is_wanted(self, message: Message) -> bool:
        """Say whether the message still waits for its media: what was moved meanwhile is fetched at its new time."""
        now: list[Message | None] = []

        async def read() -> None:
            now.append(await self._store.message(message.account_sid, message.sid))

        await self._persist(message.sid, read)
        return now[0] is not None and is_undecided(now[0]) and now[0].due_at == message.due_at

    async def _keep(self, message: Message, media: Sequence[Media]) -> None:
        if not await self._is_wanted(message):
            return
        await self._persist(message.sid, lambda: self._store.add_media(*_rows(message, media, self._clock.now())))
        await self._persist(message.sid, lambda: self._take([message.sid]))

    async def _persist(self, sid: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do something with the store, as often as it takes."""
        while True:
            try:
                return await work()
            except StoreError:
                await self._until(sid, Instant(self._clock.now() + _AFTER_TROUBLE))

    async def _fetch_all(self, urls: Sequence[str]) -> _Given:
        media: list[Media] = []
        for url in urls:
            fetched = await self._outgoing.fetch_media(url)
            if isinstance(fetched, MediaFailure):
                return _Given((), fetched)
            media.append(fetched)
        return _Given(tuple(media))

    async def _refuse(self, message: Message, fault: MediaFault) -> None:
        code = 11200 if channel_of(message.recipient) is Channel.SMS else 63019
        refusal = Refuse(30019 if fault is MediaFault.TOO_LARGE else code)
        await self._store.dispatch([message.sid], lambda due: refusal, self._clock.now())

    async def _until(self, sid: str, at: Instant) -> None:
        alarm = Alarm(self._clock)
        self._waiting.add(sid)
        try:
            while (wait := at - self._clock.now()) > 0:
                await alarm.wait(Monotonic(self._clock.monotonic() + wait))
        finally:
            self._waiting.discard(sid)


def _may_pass(failure: MediaFailure) -> bool:
    """Say whether the same request may succeed a little later."""
    trouble = failure.fault is MediaFault.REFUSED and failure.status is not None and failure.status >= 500
    return trouble or failure.fault is MediaFault.UNREACHABLE


def _rows(message: Message, media: Sequence[Media], at: Instant) -> tuple[list[MediaRow], list[bytes]]:
    rows = []
    for place, medium in enumerate(media):
        # The place comes first in the chance, so that SIDs of one instant sort in the order the media were given.
        chance = bytes([place]) + secrets.token_bytes(CHANCE_BYTES - 1)
        rows.append(
            MediaRow(
                sid=new_sid("ME", at, message.bucket, chance),
                message_sid=message.sid,
                account_sid=message.account_sid,
                content_type=medium.content_type,
                digest=hashlib.sha256(medium.body).hexdigest(),
                size=len(medium.body),
                created_at=at,
            )
        )
    return rows, [medium.body for medium in media]
