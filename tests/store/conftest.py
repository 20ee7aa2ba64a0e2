"""The store that the conformance suite is run against: once for each kind there is."""

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from postdate.store.contract import Store
from tests.store.building import STORES


@pytest.fixture(params=list(STORES))
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Give an open and empty store."""
    opened = STORES[request.param](tmp_path)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def numbers() -> Iterator[int]:
    """Give numbers that no other example of the same test has."""
    return itertools.count(1)
