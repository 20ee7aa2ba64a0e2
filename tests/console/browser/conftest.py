"""A browser for the tests of each file, and windows of it; without Chromium or axe these tests are skipped, and say so.

To start a browser takes longer than most tests. It lives in one event loop, so all tests of a file share that too, and
their nodes run in it. Nothing else is shared: each window has its own cookies, storage and cache, each test its node.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from postdate.core.resources import Role
from tests.console.browser.watching import AXE, CHROMIUM, Look, Window, a_browser, a_window
from tests.console.reminders import Reminders, a_clinic
from tests.console.visiting import Place, a_place

# It takes the pictures of the manual, and tests nothing.
collect_ignore = [] if "POSTDATE_PICTURES" in os.environ else ["test_pictures.py"]

LONGEST = 300  # seconds

OpenWindow = Callable[..., Awaitable[Window]]


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Run all tests of a file in the loop that its browser lives in; one that looks at many pages may take long."""
    for item in items:
        if item.path.parent == Path(__file__).parent and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(LONGEST))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Give a browser."""
    for needed in (CHROMIUM, AXE):
        if not needed.exists():
            pytest.skip(f"{needed} is not there: .ci/run installs it")
    async with a_browser() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """Give a node on frozen clocks, without a user, in the browser's loop."""
    async with a_place(tmp_path) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def clinic(place: Place) -> AsyncIterator[Reminders]:
    """Give a clinic that sends reminders through the node."""
    async with a_clinic(place) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def window(browser: Browser, place: Place) -> AsyncIterator[OpenWindow]:
    """Give what opens windows: `await window(Role.OPERATOR, Look("ja"))`; without a role nobody is signed in."""
    async with AsyncExitStack() as stack:

        async def open_one(role: Role | None = Role.OWNER, look: Look | None = None) -> Window:
            user = await place.user(f"Ann {role.title()}", role) if role is not None else None
            return await stack.enter_async_context(a_window(browser, place, user, look or Look()))

        yield open_one
