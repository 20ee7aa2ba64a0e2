"""The store that the conformance suite is run against: once for each kind there is."""

import itertools
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from postdate.store.contract import Store
from tests.store.building import STORES


@pytest.fixture
def news() -> list[int]:
    """Hold the thread of each time that the store said it has news."""
    return []


@pytest.fixture(params=list(STORES))
async def store(request: pytest.FixtureRequest, tmp_path: Path, news: list[int]) -> AsyncIterator[Store]:
    """Give an open and empty store."""
    opened = STORES[request.param](tmp_path, lambda: news.append(threading.get_ident()))
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def numbers() -> Iterator[int]:
    """Give numbers that no other example of the same test has."""
    return itertools.count(1)
