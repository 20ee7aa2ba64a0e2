"""A node with its console for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.console.reminders import Reminders, a_clinic
from tests.console.visiting import Place, a_place


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """Give a node on frozen clocks, without a user."""
    async with a_place(tmp_path) as running:
        yield running


@pytest.fixture
async def clinic(place: Place) -> AsyncIterator[Reminders]:
    """Give a clinic that sends reminders through the node."""
    async with a_clinic(place) as running:
        yield running
