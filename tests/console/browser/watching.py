"""Looking at the console with a real browser, Debian's Chromium: fixtures and checks for every screen's tests.

`Window` is one signed-in page in a language, width and colour scheme; what its console says wrong fails the test. Where
POSTDATE_SHOTS names a folder, `shoot` leaves pictures there to look at.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from postdate.console.languages import LANGUAGES
from postdate.console.roles import accounts_of
from postdate.core.resources import User
from tests.console.visiting import Place

CHROMIUM = Path("/usr/bin/chromium")
AXE = Path(__file__).parents[2] / "node" / "node_modules" / "axe-core" / "axe.min.js"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Milliseconds for anything that must come, pages that ask for news every five seconds among it, on a busy machine.
PATIENCE = 60_000
WIDE, NARROW = 1280, 400
HEIGHT = 800
SERIOUS = ("serious", "critical")
# What Chromium says of every page that is answered with an error on purpose, and htmx of a question that nobody waits
# for any more because the page was left meanwhile. One that failed it calls by another name beside the first of these.
EXPECTED = (
    "Failed to load resource: the server responded with a status of 4",
    "htmx:afterRequest",
    "htmx:sendAbort",
)


@dataclass(frozen=True, slots=True)
class Look:
    """How a page is looked at."""

    language: str = "en"
    width: int = WIDE
    scheme: Literal["light", "dark"] = "light"

    @property
    def name(self) -> str:
        """Return a name for pictures and tests."""
        return f"{self.language}-{self.width}-{self.scheme}"


LOOKS = (
    *(Look(language) for language in LANGUAGES),
    *(Look(language, scheme="dark") for language in LANGUAGES),
    *(Look(language, NARROW) for language in LANGUAGES),
)


@dataclass(slots=True)
class Window:
    """One page of a browser."""

    page: Page
    url: str
    look: Look
    wrong: list[str] = field(default_factory=list)

    async def open(self, path: str) -> None:
        """Open a page of the console."""
        await self.page.goto(f"{self.url}/console{path}")

    async def shoot(self, name: str) -> None:
        """Leave a picture of the whole page, where a folder for them is named."""
        folder = os.environ.get("POSTDATE_SHOTS")
        if folder is not None:
            await self.page.screenshot(path=f"{folder}/{name}-{self.look.name}.png", full_page=True)

    async def check(self) -> None:
        """Fail where the page is wider than the window, hard to use for some, or its console says that it is wrong."""
        over = await self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert over <= 0, f"{self.page.url} is {over} px wider than the window"
        found = await self.findings()
        assert not found, f"{self.page.url}: {found}"
        assert not self.wrong, f"{self.page.url}: {self.wrong}"

    async def findings(self) -> list[dict[str, Any]]:
        """Return what axe finds of the serious and critical kind."""
        await self.page.evaluate(_axe())
        found = await self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            {"rule": one["id"], "where": [node["html"][:160] for node in one["nodes"][:3]]}
            for one in found["violations"]
            if one["impact"] in SERIOUS
        ]


def _axe() -> str:
    return AXE.read_text(encoding="utf-8")


@asynccontextmanager
async def a_browser() -> AsyncIterator[Browser]:
    """Run Chromium without a window."""
    expect.set_options(timeout=PATIENCE)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, timeout=PATIENCE)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def a_window(browser: Browser, place: Place, user: User | None, look: Look) -> AsyncIterator[Window]:
    """Open a window in which a user is signed in, or nobody."""
    context = await browser.new_context(
        viewport={"width": look.width, "height": HEIGHT},
        locale={"en": "en-US", "ja": "ja-JP"}[look.language],
        timezone_id="Asia/Tokyo",
        color_scheme=look.scheme,
    )
    context.set_default_timeout(PATIENCE)
    if user is not None:
        account = accounts_of(place.node.directory, user)[0]
        token = await place.console.tools.sessions.begin(user, account.sid, "127.0.0.1")
        await context.add_cookies([{"name": "postdate-session", "value": token, "url": place.url}])
    page = await context.new_page()
    window = Window(page, place.url, look)

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(EXPECTED):
            window.wrong.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: window.wrong.append(str(error)))
    try:
        yield window
    finally:
        await context.close()
