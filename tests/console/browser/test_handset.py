"""The sandbox's phones in a real browser: in every look, a picture that scans, answering, and what comes meanwhile."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.async_api import expect

from postdate.core.errors import Rejected
from postdate.core.resources import Role
from tests.console.browser.conftest import OpenWindow
from tests.console.browser.watching import LOOKS, Look
from tests.console.reminders import HOSTILE, NUMBER, PATIENT, a_clinic
from tests.console.visiting import Place


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
async def test_phones_are_right_in_every_look(place: Place, window: OpenWindow, look: Look) -> None:
    one = await window(Role.OPERATOR, look)
    await one.open("/handset")
    await one.shoot("handset-none")
    await one.check()
    async with a_clinic(place) as clinic:
        await clinic.sent("佐藤様、ご予約は明日です。", "+819012345678")
        await clinic.sent("Hi Dmitri, your crown is ready.", "+14155550177")
        await clinic.sent("Hi Ann, your check-up is tomorrow at 14:00. Show this code at the desk.",
                          media_urls=(clinic.clinic.picture_url,))  # fmt: skip
        await place.node.sandbox.reply(PATIENT, NUMBER, "Thank you, see you tomorrow!")
        await clinic.sent("See you tomorrow, Ann. " * 12)
        await place.node.sandbox.reply(PATIENT, NUMBER, "STOP")
        await one.open("/handset")
        await expect(one.page.locator(".bubble img")).to_be_visible()
        await one.page.locator(".bubble img").scroll_into_view_if_needed()
        await one.shoot("handset-picture")
        await one.check()
        await one.open("/handset")
        await one.shoot("handset")
        for number, body in enumerate(HOSTILE):
            await clinic.sent(body, "+14155550188")
            if number % 2:
                await place.node.sandbox.reply("+14155550188", NUMBER, body)
        await one.open("/handset?Number=%2B14155550188")
        await one.shoot("handset-hostile")
        await one.check()
        assert await one.page.locator(".bubble script, .bubble img").count() == 0


@pytest.mark.skipif(shutil.which("zbarimg") is None, reason="zbarimg reads the code: .ci/run installs it")
async def test_the_code_on_the_phone_scans(place: Place, window: OpenWindow, tmp_path: Path) -> None:
    async with a_clinic(place) as clinic:
        await clinic.sent("Show this code.", media_urls=(clinic.clinic.picture_url,))
        one = await window(Role.VIEWER)
        await one.open("/handset")
        picture = tmp_path / "screen.png"
        await one.page.locator(".screen").screenshot(path=picture)
        read = await asyncio.create_subprocess_exec("zbarimg", "--quiet", "--raw", picture, stdout=subprocess.PIPE)
        assert (await read.communicate())[0].decode().strip() == "https://clinic.example/in/7Q4M"


async def test_somebody_answers_and_sees_what_comes(place: Place, window: OpenWindow) -> None:
    async with a_clinic(place) as clinic:
        await clinic.sent("Your check-up is tomorrow.")
        one = await window(Role.OPERATOR)
        page = one.page
        await one.open("/handset")
        await page.get_by_label("Message from this phone").fill("Can I come at 15:00?")
        await page.get_by_role("button", name="Send", exact=True).click()
        await expect(page.locator(".written .bubble")).to_have_text("Can I come at 15:00?")
        await page.get_by_label("Message from this phone").fill("half a sen")
        await clinic.sent("Yes, 15:00 is free.")
        await expect(page.locator(".received .bubble").last).to_have_text("Yes, 15:00 is free.")
        await expect(page.get_by_label("Message from this phone")).to_have_value("half a sen")
        await page.get_by_label("Message from this phone").fill("stop")
        await page.get_by_label("Message from this phone").press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.locator("#flash")).to_contain_text("STOP was taken")
        await expect(page.locator(".said.stop")).to_contain_text("21610")
        await one.check()
        with pytest.raises(Rejected, match="opted out"):
            await clinic.sent("One more thing")
