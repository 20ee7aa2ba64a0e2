"""The agenda in a real browser: every look, choosing by message and hour, asking first, and an answer that is true."""

import pytest
from playwright.async_api import Browser, expect

from postdate.core.instant import HOUR, MINUTE
from postdate.core.message import Status
from postdate.core.resources import Role
from tests.console.browser.conftest import OpenWindow
from tests.console.browser.watching import LOOKS, Look
from tests.console.reminders import Reminders

WORDS = {
    "en": ("Cancel…", "Cancel them", "2 canceled"),
    "ja": ("キャンセル…", "キャンセルする", "2 件をキャンセルしました"),
}


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
async def test_the_agenda_is_right_in_every_look(clinic: Reminders, window: OpenWindow, look: Look) -> None:
    await clinic.day()
    one = await window(Role.OWNER, look)
    await one.open("/agenda")
    await one.open("/agenda")  # the browser's zone is known by now
    await one.page.locator("[data-hour]").first.check()
    await one.shoot("agenda")
    await one.check()
    await one.open("/agenda?Day=2030-04-15")
    await one.shoot("agenda-empty")
    await one.check()


@pytest.mark.parametrize("language", ["en", "ja"])
async def test_many_are_chosen_and_canceled_after_asking(clinic: Reminders, window: OpenWindow, language: str) -> None:
    cancel, sure, done = WORDS[language]
    gone = [await clinic.write(f"No. {n}", f"+1415555020{n}", 2 * HOUR + 20 * MINUTE) for n in range(2)]
    late = await clinic.write("Too late", "+14155550300", 61 * MINUTE)
    kept = await clinic.write("Kept", "+14155550301", 4 * HOUR)
    one = await window(Role.OPERATOR, Look(language))
    await one.open("/agenda")
    await one.open("/agenda")
    button = one.page.get_by_role("button", name=cancel)
    await expect(button).to_be_disabled()
    await one.page.locator(f"#s-{gone[0].sid}").check()
    await expect(one.page.locator("#bar p")).to_contain_text("1")
    hour = one.page.locator(f".hour:has(#s-{gone[0].sid}) [data-hour]")
    assert await hour.evaluate("box => box.indeterminate")
    await hour.check()
    await expect(one.page.locator(f"#s-{gone[1].sid}")).to_be_checked()
    await expect(one.page.locator("#bar p")).to_contain_text("2")
    await one.page.locator(f"#s-{late.sid}").check()
    await expect(one.page.locator("#bar p")).to_contain_text("3")
    await clinic.wait(70 * MINUTE)
    await button.click()
    await one.shoot("agenda-dialog")
    await one.check()
    await one.page.get_by_role("dialog").get_by_role("button", name=sure).click()
    await expect(one.page.locator(".result")).to_contain_text(done)
    await expect(one.page.locator(".result .late a")).to_have_attribute("href", f"/console/messages/{late.sid}")
    await one.shoot("agenda-result")
    await one.check()
    statuses = [(await clinic.now_of(message.sid)).status for message in (*gone, late, kept)]
    assert statuses == [Status.CANCELED, Status.CANCELED, Status.DELIVERED, Status.SCHEDULED]


async def test_an_hour_loses_its_tick_with_one_of_its_messages(clinic: Reminders, window: OpenWindow) -> None:
    made = [await clinic.write(f"No. {n}", f"+1415555020{n}", 2 * HOUR + 20 * MINUTE) for n in range(2)]
    one = await window()
    await one.open("/agenda")
    hour = one.page.locator("[data-hour]")
    await hour.check()
    await one.page.locator(f"#s-{made[0].sid}").uncheck()
    await expect(hour).not_to_be_checked()
    await expect(one.page.locator("#bar p")).to_contain_text("1")


async def test_choosing_works_without_script(clinic: Reminders, window: OpenWindow, browser: Browser) -> None:
    made = [await clinic.write(f"No. {n}", f"+1415555020{n}", 2 * HOUR + 20 * MINUTE) for n in range(3)]
    one = await window(Role.OPERATOR)
    plain = await browser.new_context(java_script_enabled=False)
    try:
        await plain.add_cookies(await one.page.context.cookies())  # type: ignore[arg-type]
        page = await plain.new_page()
        await page.goto(f"{one.url}/console/agenda")
        await page.locator("[data-hour]").check()
        await page.get_by_role("button", name="Cancel them").click()
        await expect(page.locator(".result")).to_contain_text("3 canceled")
    finally:
        await plain.close()
    assert {(await clinic.now_of(message.sid)).status for message in made} == {Status.CANCELED}
