"""Takes the pictures of the README and the manual, where POSTDATE_PICTURES names the folder that they go to.

Without that variable this file is left out (`conftest`): what it shows is held to its promises elsewhere.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import expect

from postdate.core.instant import DAY, HOUR, MINUTE
from postdate.core.resources import Role
from tests.api.test_connections import Gateway
from tests.console.browser.conftest import OpenWindow
from tests.console.browser.test_overview import busy
from tests.console.browser.watching import Look, Window
from tests.console.clinic import add_connection, add_sender
from tests.console.reminders import UNREACHABLE, Reminders

FOLDER = os.environ.get("POSTDATE_PICTURES")
ANN, BEN, EVE = "+14155550117", "+14155550123", "+14155550181"
WORDS = {
    "en": (
        "Hi Ann, your check-up is tomorrow at 15:00. Show this code at the desk.",
        "Hi Ben, your appointment with Dr. Mori is on Thursday at 9:30.",
        "Hi Eve, your results are in. Please call us at 555-0100.",
        "Thank you, see you tomorrow!",
    ),
    "ja": (
        "佐藤様、ご予約は明日 15:00 です。受付でこのコードをご提示ください。",
        "田中様、森医師の診察は木曜日 9:30 のご予約です。",
        "鈴木様、検査結果が届きました。お電話ください。",
        "ありがとうございます。よろしくお願いします。",
    ),
}


@pytest_asyncio.fixture(loop_scope="module")
async def gateway() -> AsyncIterator[Gateway]:
    """Give a carrier that takes everything."""
    async with Gateway().serving() as serving:
        yield serving


async def reminded(clinic: Reminders, language: str) -> None:
    """Let the clinic have what a log of a few days shows."""
    check_up, visit, results, thanks = WORDS[language]
    await clinic.write(results, EVE)
    await clinic.write(results, UNREACHABLE)
    await clinic.wait(MINUTE)
    await clinic.write(check_up, ANN, media_urls=(clinic.clinic.picture_url,))
    await clinic.wait(MINUTE)
    await clinic.answer(thanks, ANN)
    await clinic.wait(HOUR)
    await clinic.write(visit, BEN, ahead=2 * DAY)
    await clinic.wait(MINUTE)
    called_off = await clinic.write(visit, BEN, ahead=3 * DAY)
    await clinic.place.node.ingest.cancel(clinic.place.account, called_off.sid)
    await clinic.wait(MINUTE)
    await clinic.write(check_up, ANN, ahead=DAY, media_urls=(clinic.clinic.picture_url,))
    await clinic.wait(MINUTE)


async def take(window: Window, name: str) -> None:
    """Take a picture of what the window shows, without what waits for a pointer."""
    assert FOLDER is not None
    language = "" if window.look.language == "en" else f".{window.look.language}"
    await window.page.evaluate("scrollTo(0, 0); document.activeElement.blur()")
    await window.page.screenshot(path=Path(FOLDER) / f"{name}{language}.png")


async def compose(window: Window) -> None:
    """Take a picture of a message being written, for a day and hour."""
    page = window.page
    await window.open("/compose")
    await page.locator("#f-To").fill(f"{ANN}\n{BEN}")
    await page.locator("#f-Body").fill(
        "Hi, it\u2019s time for your check-up: tomorrow at 15:00. Reply \u201cYES\u201d to confirm."
    )
    await page.locator("label:has(#when-later)").click()
    await expect(page.locator("#look .when-look time").first).to_be_visible()
    await take(window, "compose")


async def connection(window: Window, clinic: Reminders, gateway: Gateway) -> None:
    """Take a picture of a connection to a carrier after a test."""
    owner = await clinic.place.signed_in(name="Kenji Mori")
    sid = await add_connection(owner, "plain-http", "clinic-gateway", url=gateway.url, token="hush")
    await add_sender(owner, PhoneNumber="+14155550100", FriendlyName="Reception", Connection="clinic-gateway", Mps="10")
    await owner.do(f"/connections/{sid}/test", From="+14155550100", To=ANN, Body=WORDS["en"][1])
    await clinic.wait(MINUTE)
    await window.open(f"/connections/{sid}")
    await take(window, "connection")


@pytest.mark.parametrize("language", ["en", "ja"])
async def test_pictures_are_taken(clinic: Reminders, window: OpenWindow, gateway: Gateway, language: str) -> None:
    await reminded(clinic, language)
    one = await window(Role.OWNER, Look(language))
    await one.page.set_viewport_size({"width": 1280, "height": 760})
    await one.open("/")
    await one.open("/messages")
    await take(one, "log")
    if language == "en":
        await one.page.set_viewport_size({"width": 1280, "height": 960})
        await one.open(f"/handset?Number={ANN.replace('+', '%2B')}")
        await expect(one.page.locator(".bubble img")).to_be_visible()
        await one.page.locator(".bubble img").evaluate("image => image.decode()")
        await take(one, "handset")
        await one.page.set_viewport_size({"width": 1280, "height": 860})
        await compose(one)
        await connection(one, clinic, gateway)
        await busy(clinic)
        await one.open("/")
        await take(one, "overview")
    assert one.wrong == []
