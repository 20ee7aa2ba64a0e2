"""The log and a message's page in a real browser: every look, live news, keyboard, without script, and the QR code."""

import asyncio
import shutil
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from postdate.console.languages import LANGUAGES
from postdate.core.instant import HOUR
from postdate.core.message import Status
from postdate.core.resources import Role
from tests.console.browser.conftest import OpenWindow
from tests.console.browser.watching import LOOKS, NARROW, Look
from tests.console.reminders import Reminders

SHOWN = ("undelivered", "failed", "busy", "doubt", "picture", "long", "scheduled", "canceled", "hostile-0", "hostile-3")


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
async def test_log_and_messages_are_right_in_every_look(clinic: Reminders, window: OpenWindow, look: Look) -> None:
    made = await clinic.day()
    await clinic.answer("ありがとうございます。")
    one = await window(Role.OWNER, look)
    for name, path in {"log": "/messages", "log-filtered": "/messages?Status=failed&To=x&InDoubt=true&Since=x"}.items():
        await one.open(path)
        await one.shoot(name)
        await one.check()
    for name in SHOWN:
        await one.open(f"/messages/{made[name].sid}")
        await one.shoot(f"message-{name}")
        await one.check()


@pytest.mark.parametrize("language", LANGUAGES)
async def test_times_in_utc_fit_their_column(clinic: Reminders, window: OpenWindow, language: str) -> None:
    await clinic.day()
    one = await window(Role.OWNER, Look(language))
    await one.open("/messages")  # the zone of the browser is not known yet
    cells = one.page.locator("#log td.when")
    assert "UTC" in await cells.first.inner_text()
    assert await cells.evaluate_all("cells => cells.filter(one => one.scrollWidth > one.clientWidth).length") == 0


async def test_nothing_hostile_runs(clinic: Reminders, window: OpenWindow) -> None:
    made = await clinic.day()
    one = await window()
    asked = []
    one.page.on("dialog", lambda dialog: asked.append(dialog.message))
    for path in ("/messages", *(f"/messages/{made[name].sid}" for name in made if name.startswith("hostile"))):
        await one.open(path)
    assert (asked, one.wrong) == ([], [])


@pytest.mark.parametrize(("language", "labels"), [("en", ("Error code", "Find")), ("ja", ("エラーコード", "検索"))])
async def test_filters_stand_in_the_address_and_in_their_fields(
    clinic: Reminders, window: OpenWindow, language: str, labels: tuple[str, str]
) -> None:
    made = await clinic.day()
    one = await window(Role.OWNER, Look(language))
    await one.open("/messages")
    await one.page.locator(".rarer summary").click()
    await one.page.get_by_label(labels[0]).fill("30003")
    await one.page.get_by_role("button", name=labels[1]).click()
    await expect(one.page.locator("#log tbody tr")).to_have_count(1)
    await expect(one.page.locator(f"#m-{made['undelivered'].sid}")).to_be_visible()
    assert "ErrorCode=30003" in one.page.url
    await expect(one.page.get_by_label(labels[0])).to_have_value("30003")
    await one.page.locator(f"#m-{made['undelivered'].sid}").click()
    await expect(one.page.locator("h1")).to_contain_text(made["undelivered"].recipient)
    await one.page.go_back()
    await expect(one.page.locator("#log tbody tr")).to_have_count(1)


async def test_news_come_by_themselves_and_leave_the_focus_where_it_is(clinic: Reminders, window: OpenWindow) -> None:
    first = await clinic.sent()
    one = await window()
    await one.open("/messages")
    await one.page.locator(f"#m-{first.sid}").focus()
    second = await clinic.sent("New")
    await expect(one.page.locator(f"#m-{second.sid}")).to_be_visible()
    await expect(one.page.locator(f"#m-{first.sid}")).to_be_focused()
    assert one.wrong == []


async def test_a_message_is_canceled_after_asking_and_by_keyboard(clinic: Reminders, window: OpenWindow) -> None:
    message = await clinic.write("Tomorrow at 14:00", ahead=2 * HOUR)
    one = await window(Role.OPERATOR)
    await one.open(f"/messages/{message.sid}")
    await one.page.get_by_role("button", name="Cancel the message").focus()
    await one.page.keyboard.press("Enter")
    dialog = one.page.get_by_role("dialog", name="Cancel this message?")
    await expect(dialog).to_be_visible()
    await one.shoot("message-cancel-dialog")
    await one.check()
    await one.page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    assert (await clinic.now_of(message.sid)).status is Status.SCHEDULED
    await one.page.get_by_role("button", name="Cancel the message").click()
    await dialog.get_by_role("button", name="Cancel the message").click()
    await expect(one.page.get_by_text("The message is canceled. It will not be sent.")).to_be_visible()
    await expect(one.page.locator(".under .badge").first).to_have_text("Canceled")
    assert (await clinic.now_of(message.sid)).status is Status.CANCELED


async def test_a_message_is_moved_on_a_phone(clinic: Reminders, window: OpenWindow) -> None:
    message = await clinic.write("Tomorrow at 14:00", ahead=2 * HOUR)
    one = await window(Role.OPERATOR, Look("ja", NARROW, "dark"))
    await one.open("/messages")
    await one.open(f"/messages/{message.sid}")  # the browser's zone is known by now
    await one.page.locator("#move summary").click()
    await one.page.get_by_label("新しい時刻（Asia/Tokyo）").fill("2030-03-20T09:30")
    await one.shoot("message-move")
    await one.check()
    await one.page.get_by_role("button", name="この時刻に変更する").click()
    await expect(one.page.locator(".schedule strong time")).to_have_text("09:30:00")
    assert (await clinic.now_of(message.sid)).due_at == 1_900_197_000_000_000


async def test_what_is_in_doubt_is_resolved(clinic: Reminders, window: OpenWindow) -> None:
    made = await clinic.day()
    one = await window(Role.OPERATOR)
    await one.open("/messages?InDoubt=true")
    await one.page.locator("#log tbody a").click()
    await one.page.get_by_role("button", name="It was not sent").click()
    dialog = one.page.get_by_role("dialog", name="Was it not sent?")
    await dialog.get_by_role("button", name="It was not sent").click()
    await expect(one.page.get_by_text("Noted: the message was not sent.")).to_be_visible()
    assert (await clinic.now_of(made["doubt"].sid)).status is Status.FAILED
    await one.check()


async def test_the_qr_code_is_visible_and_scans(clinic: Reminders, window: OpenWindow, tmp_path: Path) -> None:
    zbarimg = shutil.which("zbarimg")
    if zbarimg is None:
        pytest.skip("zbarimg is not there: .ci/run installs it")
    message = await clinic.sent("Show this code at the desk.", media_urls=(clinic.clinic.picture_url,))
    one = await window(Role.VIEWER, Look(width=NARROW))
    await one.open(f"/messages/{message.sid}")
    picture = one.page.get_by_role("img", name="Picture 1")
    await picture.scroll_into_view_if_needed()
    await expect(picture).to_be_visible()
    await picture.evaluate("image => image.decode()")
    await picture.screenshot(path=tmp_path / "qr.png")
    scan = await asyncio.create_subprocess_exec(
        zbarimg, "--quiet", "--raw", str(tmp_path / "qr.png"), stdout=asyncio.subprocess.PIPE
    )
    read, _ = await scan.communicate()
    assert read.decode().strip() == "https://clinic.example/in/7Q4M"


async def test_everything_works_without_script(clinic: Reminders, window: OpenWindow, browser: Browser) -> None:
    message = await clinic.write("Tomorrow at 14:00", ahead=2 * HOUR)
    one = await window(Role.OPERATOR)
    plain = await browser.new_context(java_script_enabled=False)
    try:
        await plain.add_cookies(await one.page.context.cookies())  # type: ignore[arg-type]
        page = await plain.new_page()
        await page.goto(f"{one.url}/console/messages?Status=scheduled")
        await page.locator("#log tbody a").click()
        await page.get_by_role("button", name="Cancel the message").click()
        await expect(page.get_by_text("The message is canceled. It will not be sent.")).to_be_visible()
    finally:
        await plain.close()
    assert (await clinic.now_of(message.sid)).status is Status.CANCELED
