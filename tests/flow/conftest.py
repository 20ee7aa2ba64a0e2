"""A flow that is stepped by hand, and a customer's web server, for every test of the flow."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.flow.building import Customer, Flow, flowing


@pytest.fixture
async def flow(tmp_path: Path) -> AsyncIterator[Flow]:
    """Give a running flow with one account, one messaging service and one sender without a limit to its rate."""
    async with flowing(tmp_path) as running:
        yield running


@pytest.fixture
async def customer() -> AsyncIterator[Customer]:
    """Give a customer's web server that answers 200."""
    async with Customer().serving() as serving:
        yield serving
