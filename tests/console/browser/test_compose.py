"""Writing a message in a real browser: in every look, while typing, for later, and with what cannot be sent."""

import pytest
from playwright.async_api import expect

from postdate.core.instant import DAY
from postdate.core.resources import Role
from tests.console.browser.conftest import OpenWindow
from tests.console.browser.watching import LOOKS, Look
from tests.console.reminders import HOSTILE, NUMBER, PATIENT, a_clinic
from tests.console.visiting import Place

CURLY = "Hi Ann, it\u2019s time for your check-up \u2014 \u201ctomorrow\u201d at 14:00\u2026 Reply YES to confirm. "
JAPANESE = "佐藤様、ご予約は明日 14:00 です。変更をご希望の場合は、お手数ですが 03-1234-5678 までお電話ください。🦷 "


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
async def test_writing_is_right_in_every_look(place: Place, window: OpenWindow, look: Look) -> None:
    one = await window(Role.OPERATOR, look)
    page = one.page
    await one.open("/compose")
    await one.shoot("compose-none")
    await one.check()
    async with a_clinic(place):
        await one.open("/compose")
        await one.shoot("compose-empty")
        await one.check()
        await page.locator("#f-To").fill(f"{PATIENT}\n+819012345678\n+819012345679")
        await page.locator("#f-Body").fill(JAPANESE * 2)
        await expect(page.locator("#look .characters li").first).to_be_visible()
        await page.locator("label:has(#when-later)").click()
        await expect(page.locator("#look .when-look time").first).to_be_visible()
        await page.evaluate("scrollTo(0, 0)")
        await one.shoot("compose-japanese")
        await one.check()
        await page.locator("#f-Body").fill(CURLY * 3)
        await expect(page.locator("#look .characters")).to_contain_text("\u2019")
        await page.locator("details.media summary").click()
        await page.locator("#f-Time").fill("23:30")
        await page.locator("#f-Day").fill("2031-01-01")
        await expect(page.locator("#look .flash.bad")).to_be_visible()
        await page.evaluate("scrollTo(0, 0)")
        await one.shoot("compose-smart")
        await one.check()
        await page.locator("#f-To").fill(f"{PATIENT}\n12\nnobody")
        await page.locator("label:has(#when-now)").click()
        await page.locator(".go button").click()
        await expect(page.locator(".outcomes li")).to_have_count(3)
        await one.shoot("compose-partly")
        await one.check()


async def test_a_message_is_scheduled_and_its_page_is_at_hand(place: Place, window: OpenWindow) -> None:
    async with a_clinic(place) as clinic:
        one = await window(Role.OPERATOR)
        page = one.page
        await one.open("/profile")  # the first page hears the zone of the browser, the next one knows it
        await one.open("/compose")
        await page.get_by_label("To", exact=True).fill(PATIENT)
        await page.get_by_label("Message", exact=True).fill("Your check-up is tomorrow.")
        await page.get_by_text("At a time", exact=True).click()
        await page.get_by_label("Time", exact=True).fill("15:00")
        await expect(page.locator("#look")).to_contain_text("06:00:00 UTC")
        await page.get_by_role("button", name="Schedule").click()
        await expect(page.locator("#flash")).to_contain_text("1 message accepted.")
        await one.shoot("compose-sent")
        await one.check()
        await page.reload()
        (link,) = await page.locator(".outcomes a").all()
        sid = (await link.get_attribute("href") or "").rpartition("/")[2]
        message = await clinic.now_of(sid)
        assert (message.recipient, message.body, message.status) == (PATIENT, "Your check-up is tomorrow.", "scheduled")
        assert 0 < message.due_at - clinic.now < 2 * DAY


async def test_what_is_written_is_counted_while_it_is_written(place: Place, window: OpenWindow) -> None:
    async with a_clinic(place):
        one = await window(Role.OPERATOR)
        count, body = one.page.locator("#look .count"), one.page.locator("#f-Body")
        await one.open("/compose")
        await body.press_sequentially("a" * 10)
        await expect(count).to_contain_text("1 segment · GSM-7 · 10 characters · 150 left")
        await body.fill("a" * 161)
        await expect(count).to_contain_text("2 segments · GSM-7 · 161 characters · 145 left")
        await body.fill("Coffee あ")
        await expect(count).to_contain_text("1 segment · UCS-2 · 8 characters · 62 left")
        await expect(one.page.locator("#look .characters")).to_contain_text("U+3042")
        await expect(body).to_be_focused()
        for hostile in HOSTILE:
            await body.fill(hostile)
            await expect(one.page.locator("#look .bubble")).to_contain_text(hostile[:2].strip())
        await one.check()
        assert await one.page.locator("#look script, #look img").count() == 0


async def test_a_time_that_comes_twice_is_asked_back(place: Place, window: OpenWindow) -> None:
    async with a_clinic(place):
        one = await window(Role.OPERATOR)
        page = one.page
        await one.open("/compose")
        await page.get_by_text("At a time", exact=True).click()
        await page.locator("#f-Zone").select_option("America/New_York")
        await page.locator("#f-Day").fill("2030-11-03")
        await page.locator("#f-Time").fill("01:30")
        await expect(page.get_by_text("shows 01:30 twice")).to_be_visible()
        await one.shoot("compose-twice")
        await one.check()
        await page.get_by_text("The second", exact=False).click()
        await expect(page.locator("#look .when-look")).to_contain_text("06:30:00 UTC")
        await expect(page.locator("#turn-second")).to_be_checked()
        await page.locator("#f-Day").fill("2030-03-10")
        await page.locator("#f-Time").fill("02:30")
        await expect(page.get_by_text("skips 02:30 on this day: it goes on at 03:30")).to_be_visible()


async def test_numbers_to_choose_from_are_hidden_from_those_behind(place: Place, window: OpenWindow) -> None:
    async with a_clinic(place):
        one = await window(Role.OPERATOR)
        await one.open("/compose")
        await one.page.get_by_role("button", name="Hide numbers").click()
        await one.open("/compose")
        assert NUMBER not in await one.page.locator("#f-From").inner_text()
