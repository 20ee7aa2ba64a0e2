"""What carriers send us over HTTP: understood by the provider, put on disk, and only then answered.

Receipts of one call are kept together, inbound messages in their order. A document that the provider needs (the
certificate of a signature) is fetched once and kept. Nothing here is believed that the provider has not checked.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from postdate.connectors.contract import Inbound, OnEvent
from postdate.connectors.providers.contract import Answer, BadEvent, Call, Heard, NeedsDocument, Provider

MOST_DOCUMENTS: Final = 16  # kept
MOST_NEEDED: Final = 3  # by one call


class NotNow(RuntimeError):
    """A call cannot be taken at the moment: the carrier should try again. Nothing of it is lost by that."""


class Calls:
    """Takes the calls of one carrier; `get` fetches a URL, None where it cannot be had."""

    def __init__(self, provider: Provider, get: Callable[[str], Awaitable[Answer | None]]) -> None:
        self._provider = provider
        self._get = get
        self._documents: dict[str, bytes] = {}
        self._fetching: dict[str, asyncio.Task[None]] = {}

    async def take(self, call: Call, on_event: OnEvent) -> Heard:
        """Return the answer once every event is on disk; raise BadEvent (nothing was taken) or NotNow."""
        heard = await self._understand(call)
        # All are awaited before the first failure is raised: none goes on behind the back of an answer.
        together = [on_event(event) for event in heard.events if not isinstance(event, Inbound)]
        for result in await asyncio.gather(*together, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
        for event in heard.events:
            if isinstance(event, Inbound):
                await on_event(event)
        if heard.follow is not None:
            await self._follow(heard.follow)
        return heard

    async def _understand(self, call: Call) -> Heard:
        for _ in range(MOST_NEEDED):
            try:
                return self._provider.events(call)
            except NeedsDocument as need:
                call = replace(call, documents={**call.documents, need.url: await self._document(need.url)})
        try:
            return self._provider.events(call)
        except NeedsDocument:
            raise BadEvent("The event needs more documents than it may.") from None

    async def _document(self, url: str) -> bytes:
        _only_https(url)
        if url not in self._documents:
            if url not in self._fetching:
                self._fetching[url] = asyncio.create_task(self._fetch(url))
            await asyncio.wait([self._fetching[url]])
        if url not in self._documents:
            raise NotNow("A document that the event needs cannot be had now.")
        return self._documents[url]

    async def _fetch(self, url: str) -> None:
        try:
            answer = await self._get(url)
            if answer is not None and answer.status == 200 and answer.body:
                while len(self._documents) >= MOST_DOCUMENTS:
                    del self._documents[next(iter(self._documents))]
                self._documents[url] = answer.body
        finally:
            del self._fetching[url]

    async def _follow(self, url: str) -> None:
        _only_https(url)
        answer = await self._get(url)
        if answer is None or not 200 <= answer.status <= 299:
            raise NotNow("The carrier's confirmation cannot be given now.")


def _only_https(url: str) -> None:
    if not url.startswith("https://"):
        raise BadEvent("The event names a URL that is not https.")
