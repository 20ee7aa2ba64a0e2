"""The webhook log in a real browser: every look, details, and news that leave open what is open."""

import pytest
from playwright.async_api import expect

from postdate.core.resources import Role
from tests.console.browser.conftest import OpenWindow
from tests.console.browser.watching import LOOKS, Look
from tests.console.reminders import Reminders


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
async def test_the_webhook_log_is_right_in_every_look(clinic: Reminders, window: OpenWindow, look: Look) -> None:
    one = await window(Role.VIEWER, look)
    await one.open("/webhooks")
    await one.shoot("webhooks-empty")
    await one.check()
    await clinic.sent("Good")
    await clinic.sent("<b>Bad</b>", callback_url=f"{clinic.clinic.url}/{'nowhere' * 30}")
    for name, path in {"webhooks": "/webhooks", "webhooks-failed": "/webhooks?Failed=true&Message=x"}.items():
        await one.open(path)
        for details in await one.page.locator("details.exchange").all():
            await details.locator("summary").click()
        await one.shoot(name)
        await one.check()


async def test_news_leave_open_what_is_open(clinic: Reminders, window: OpenWindow) -> None:
    await clinic.sent()
    one = await window()
    await one.open("/webhooks")
    calls = one.page.locator(".calls > li")
    before = await calls.count()
    first = await calls.first.locator("details").get_attribute("id")
    await one.page.locator(f"#{first} summary").click()
    await clinic.sent("More")
    await expect(calls).not_to_have_count(before)
    await expect(one.page.locator(f"#{first}")).to_have_attribute("open", "")
    assert one.wrong == []
