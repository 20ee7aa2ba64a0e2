"""The token of a provider whose requests carry one that is asked for first: kept, and renewed before it expires."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from postdate.clock import Clock
from postdate.connectors.providers.contract import Answer, Context, Request, WithToken
from postdate.core.instant import SECOND, Instant

# A token that expires on the way is refused: it is renewed this long before, or at half its life if that is shorter.
RENEWED_BEFORE: Final = 60 * SECOND


class Token:
    """One provider's token. However many ask for it at once, it is fetched once."""

    def __init__(
        self,
        provider: WithToken,
        fetch: Callable[[Request], Awaitable[Answer | None]],
        context: Callable[[], Context],
        clock: Clock,
    ) -> None:
        self._provider = provider
        self._fetch = fetch
        self._context = context
        self._clock = clock
        self._token: str | None = None
        self._renew_at = Instant(0)
        self._until = Instant(0)
        self._fetching: asyncio.Task[None] | None = None

    async def get(self) -> str | None:
        """Return a token that can be used now, or None where none can be had."""
        if self._token is None or self._clock.now() >= self._renew_at:
            if self._fetching is None:
                self._fetching = asyncio.create_task(self._renew())
            await asyncio.wait([self._fetching])  # whoever is called off does not call off the others
        return self._token if self._clock.now() < self._until else None

    def drop(self, token: str | None) -> None:
        """Forget a token that was not accepted."""
        if token == self._token:
            self._token = None

    async def close(self) -> None:
        """Stop fetching and forget."""
        self._token = None
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])

    async def _renew(self) -> None:
        try:
            answer = await self._fetch(self._provider.token_request(self._context()))
            had = None if answer is None else self._provider.read_token(answer)
            if had is not None:
                now = self._clock.now()
                self._token, self._until = had
                self._renew_at = Instant(self._until - min(RENEWED_BEFORE, (self._until - now) // 2))
        finally:
            self._fetching = None
