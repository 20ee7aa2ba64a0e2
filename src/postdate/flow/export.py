"""Reads a whole list, page by page: what is exported never stands in memory at once."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from postdate.core.message import Message
from postdate.store.contract import MessageQuery, Store

PAGE = 1_000


async def export_pages(store: Store, query: MessageQuery, most: int = 1_000_000) -> AsyncIterator[Sequence[Message]]:
    """Yield the messages of a query in pages, `most` in all; a page can be empty where much was left out."""
    left = most
    while left > 0:
        found = await store.search(replace(query, limit=min(PAGE, left)))
        yield found.messages
        left -= len(found.messages)
        if found.next is None:
            return
        query = replace(query, after=found.next)
