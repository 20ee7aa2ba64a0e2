"""A browser for each test, and windows of it; without Chromium or axe these tests are skipped, and say so."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from playwright.async_api import Browser

from postdate.core.resources import Role
from tests.console.browser.watching import AXE, CHROMIUM, Look, Window, a_browser, a_window
from tests.console.visiting import Place

# It takes the pictures of the manual, and tests nothing.
collect_ignore = [] if "POSTDATE_PICTURES" in os.environ else ["test_pictures.py"]

OpenWindow = Callable[..., Awaitable[Window]]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Give a browser."""
    for needed in (CHROMIUM, AXE):
        if not needed.exists():
            pytest.skip(f"{needed} is not there: .ci/run installs it")
    async with a_browser() as running:
        yield running


@pytest.fixture
async def window(browser: Browser, place: Place) -> AsyncIterator[OpenWindow]:
    """Give what opens windows: `await window(Role.OPERATOR, Look("ja"))`; without a role nobody is signed in."""
    async with AsyncExitStack() as stack:

        async def open_one(role: Role | None = Role.OWNER, look: Look | None = None) -> Window:
            user = await place.user(f"Ann {role.title()}", role) if role is not None else None
            return await stack.enter_async_context(a_window(browser, place, user, look or Look()))

        yield open_one
