"""The store that the conformance suite is run against: once for each kind there is."""

import itertools
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from postdate.store.contract import CallbackRow, Store
from tests.store.building import STORES


@dataclass
class News:
    """What the store handed over: the rows in their order, and the thread of each time."""

    rows: list[CallbackRow] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)

    def take(self, rows: Sequence[CallbackRow]) -> None:
        """Be handed rows."""
        self.rows += rows
        self.threads.add(threading.get_ident())

    def clear(self) -> None:
        """Forget what was handed over."""
        self.rows.clear()
        self.threads.clear()


@pytest.fixture
def news() -> News:
    """Give what the store hands over from now on."""
    return News()


@pytest.fixture(params=list(STORES))
async def store(request: pytest.FixtureRequest, tmp_path: Path, news: News) -> AsyncIterator[Store]:
    """Give an open and empty store."""
    opened = STORES[request.param](tmp_path, news.take)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def numbers() -> Iterator[int]:
    """Give numbers that no other example of the same test has."""
    return itertools.count(1)
