"""A node without sockets for each test of the API, and the customers that the tests of resources call with."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.serving import Customer, Site, a_site


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """Give a node on a frozen clock, whose first account has a service with one number in it."""
    async with a_site(tmp_path) as running:
        yield running


@pytest.fixture
async def customer(site: Site) -> Customer:
    """Give a customer who has nothing yet."""
    return await site.add_account()


@pytest.fixture
async def stranger(site: Site) -> Customer:
    """Give a customer who has nothing to do with the other one."""
    return await site.add_account()
