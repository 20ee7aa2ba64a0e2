"""The first page in a real browser: in every look, empty, and renewing itself."""

import pytest
from playwright.async_api import expect

from postdate.core.instant import HOUR, MINUTE, SECOND, Instant
from postdate.core.resources import Role
from postdate.flow.directory import changed
from tests.console.browser.conftest import OpenWindow
from tests.console.browser.watching import LOOKS, Look
from tests.console.reminders import NUMBER, Reminders, a_clinic
from tests.console.visiting import Place


async def busy(clinic: Reminders) -> None:
    """Let the clinic have a day behind it, an hour before it, and a queue."""
    await clinic.day()
    for hour in range(14):
        for n in range((hour * 7) % 11 + 1):
            await clinic.write(f"Reminder {hour}.{n}", f"+1415555{hour:02}{n:02}")
        await clinic.wait(HOUR)
    for minute in range(5, 60, 3):
        for n in range((minute * 5) % 9 + 1):
            await clinic.write("Hi, see you soon.", f"+1415556{minute:02}{n:02}", ahead=(60 + minute) * MINUTE)
    await clinic.wait(HOUR)
    directory = clinic.place.node.directory
    sender = directory.sender_at(clinic.place.account.sid, NUMBER)
    assert sender is not None
    await directory.put(changed(sender, mps=0.5))
    for n in range(40):
        await clinic.write("Hi, the clinic opens at 10 today.", f"+14155571{n:02}")
    await clinic.wait(SECOND)


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
async def test_the_first_page_is_right_in_every_look(place: Place, window: OpenWindow, look: Look) -> None:
    one = await window(Role.OPERATOR, look)
    await one.open("/")
    await one.shoot("overview-none")
    await one.check()
    async with a_clinic(place) as clinic:
        await busy(clinic)
        await one.open("/")
        await one.shoot("overview")
        await one.check()
        await place.node.advance_to(Instant(clinic.now + 2 * MINUTE))


async def test_the_first_page_renews_itself_and_keeps_what_is_open(place: Place, window: OpenWindow) -> None:
    async with a_clinic(place) as clinic:
        await clinic.sent("Hi")
        one = await window(Role.VIEWER)
        await one.open("/")
        scheduled = one.page.locator(".stat", has_text="Scheduled").locator("dd")
        await expect(scheduled).to_have_text("0")
        await one.page.locator("#hours-table summary").click()
        await clinic.write("Later", ahead=2 * HOUR)
        await expect(scheduled).to_have_text("1")
        await expect(one.page.locator("#hours-table table")).to_be_visible()
        await one.check()
