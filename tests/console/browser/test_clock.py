"""The test clock in a real browser: in every look, moved to the next message, and in the frame of every page."""

import pytest
from playwright.async_api import expect

from postdate.core.instant import HOUR
from postdate.core.resources import Role
from tests.console.browser.conftest import OpenWindow
from tests.console.browser.watching import LOOKS, Look
from tests.console.reminders import a_clinic
from tests.console.visiting import Place


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
async def test_the_clock_is_right_in_every_look(place: Place, window: OpenWindow, look: Look) -> None:
    one = await window(Role.OPERATOR, look)
    await one.open("/clock")
    await one.shoot("clock-none")
    await one.check()
    async with a_clinic(place) as clinic:
        await clinic.write("Your check-up is tomorrow.", ahead=26 * HOUR)
        await one.open("/clock")
        await one.shoot("clock")
        await one.check()


async def test_the_clock_is_moved_to_the_next_message(place: Place, window: OpenWindow) -> None:
    async with a_clinic(place) as clinic:
        message = await clinic.write("Your check-up is tomorrow.", ahead=26 * HOUR)
        one = await window(Role.OPERATOR)
        page = one.page
        await one.open("/clock")
        await page.get_by_role("button", name="Go to it").click()
        await expect(page.locator("#flash")).to_contain_text("The clock has moved")
        assert clinic.now == message.due_at
        assert (await clinic.now_of(message.sid)).sent_at is not None
        await page.get_by_role("button", name="1 hour").click()
        await expect(page.locator("#flash")).to_contain_text("The clock has moved")
        assert clinic.now == message.due_at + HOUR
        await one.open("/profile")
        await expect(page.locator("#clock-strip")).to_contain_text("This node runs on a test clock")
        await expect(page.locator("#clock-strip")).to_contain_text("UTC")
        await one.check()
