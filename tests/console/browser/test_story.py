"""The whole story of the announcement in a real browser, in both languages, as a person would live it.

From the one-time link to signing out: a messaging service and its SID, a number in its pool, reminders with a QR code
that are scheduled, canceled, delivered and answered, an opt-out, a doubt settled by hand, and what the logs say of it.
The person goes by what is to be read: roles, labels and texts, taken from the catalogue of the language.
"""

import asyncio
import csv
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Locator, expect

from postdate.cli.demo_clinic import Clinic
from postdate.console.languages import LANGUAGES, explain, translate
from tests.api.serving import basic
from tests.console.browser.conftest import OpenWindow
from tests.console.browser.watching import Look, Window
from tests.console.visiting import PASSWORD, Place

NUMBER, ANN, BEN, DOUBTED = "+14155550142", "+819012345678", "+819087654321", "+15005550007"
# The node's clock begins on Monday, the 18th of March 2030, at 02:46 in Tokyo, where the browser is.
DAY_BEFORE, LATER = "2030-03-19", "2030-03-21"
REMINDER = "Your check-up is tomorrow at 15:00. Show this code at the desk."
THANKS, QUESTION = "See you tomorrow!", "How was your check-up?"


@dataclass(slots=True)
class Visit:
    """Somebody at the console, in a language."""

    place: Place
    window: Window
    clinic: Clinic
    folder: Path

    def say(self, key: str, **values: object) -> str:
        """Return what the console says at a key of the catalogue."""
        return translate(self.window.look.language, key, **values)

    @property
    def main(self) -> Locator:
        """Return what is beside the navigation."""
        return self.window.page.get_by_role("main")

    def field(self, key: str) -> Locator:
        """Return the field with a label; behind it may stand that it is optional."""
        optional = re.escape(self.say("frame.optional"))
        return self.main.get_by_label(re.compile(rf"^{re.escape(self.say(key))}\s*({optional})?$"))

    async def fill(self, key: str, text: str) -> None:
        """Fill in a field."""
        await self.field(key).fill(text)

    async def press(self, key: str, inside: Locator | None = None) -> None:
        """Press a button, or a link that looks like one."""
        await (inside or self.main).get_by_role("button", name=self.say(key), exact=True).first.click()

    async def go(self, title: str) -> None:
        """Follow the navigation to a screen."""
        navigation = self.window.page.get_by_role("navigation", name=self.say("frame.navigation"))
        await navigation.get_by_role("link", name=self.say(f"{title}.title"), exact=True).click()
        await expect(self.main.get_by_role("heading", level=1, name=self.say(f"{title}.title"))).to_be_visible()

    async def sees(self, key: str, **values: object) -> None:
        """Hold the page to saying something."""
        await expect(self.main.get_by_text(self.say(key, **values)).first).to_be_visible()

    def row(self, text: str) -> Locator:
        """Return the latest row of the log with a text in it."""
        return self.main.get_by_role("row").filter(has_text=text).first

    async def status_is(self, text: str, status: str) -> None:
        """Hold the log to showing a status of the latest message with a text or a number."""
        await self.go("messages")
        await expect(self.row(text)).to_contain_text(self.say(f"frame.status.{status}"))

    async def copied(self, key: str) -> str:
        """Press a button that copies something, and return it."""
        page, text = self.window.page, ""
        await page.evaluate("navigator.clipboard.writeText('')")
        await self.press(key)
        while not text:  # it comes there a while after the click
            text = str(await page.evaluate("navigator.clipboard.readText()"))
        return text


async def sign_up(visit: Visit) -> None:
    """Open the one-time link, choose a password."""
    await visit.window.open(visit.place.console.way_in(visit.place.account.sid).removeprefix("/console"))
    await visit.fill("welcome.name", "Aiko")
    await visit.fill("welcome.password", PASSWORD)
    await visit.fill("welcome.again", PASSWORD)
    await visit.press("welcome.go")
    await visit.sees("welcome.done")


async def set_up(visit: Visit) -> None:
    """Create a messaging service, register a number, put it into the pool, and copy the service's SID."""
    await visit.go("services")
    await visit.press("services.create")
    await visit.fill("services.name", "Appointment reminders")
    await visit.press("services.create")
    await visit.sees("services.pool_empty")
    await visit.press("numbers.register")
    await visit.fill("numbers.number", NUMBER)
    await visit.fill("numbers.name", "Reception")
    await visit.fill("numbers.rate", "0")
    await visit.press("numbers.register")
    await visit.sees("numbers.created")
    await visit.go("services")
    await visit.main.get_by_role("link", name="Appointment reminders").click()
    await visit.main.get_by_role("link", name=visit.say("services.tabs.senders")).click()
    await visit.main.get_by_role("checkbox", name=NUMBER).check()
    await visit.press("services.add_chosen")
    await expect(visit.main.get_by_role("region", name=visit.say("services.tabs.senders"))).to_contain_text(NUMBER)
    await visit.main.get_by_role("link", name=visit.say("services.tabs.properties")).click()
    assert re.fullmatch("MG[0-9a-f]{32}", await visit.copied("services.copy_sid"))
    await visit.window.shoot("story-properties")


async def write(visit: Visit, to: str, body: str, day: str = "", picture: str = "") -> None:
    """Write a message, for three in the afternoon of a day or for now."""
    await visit.go("compose")
    await visit.fill("compose.to", to)
    await visit.fill("compose.body", body)
    if picture:
        await visit.main.get_by_text(visit.say("compose.media"), exact=True).click()
        await visit.fill("compose.media_urls", picture)
    if day:
        await visit.main.get_by_text(visit.say("compose.later"), exact=True).click()
        await visit.fill("when.day", day)
        await visit.fill("when.time", "15:00")
        await expect(visit.main.get_by_text("06:00:00 UTC").first).to_be_visible()
    await visit.press("compose.schedule" if day else "compose.send")
    await visit.sees("compose.done", count=1)


async def cancel(visit: Visit) -> None:
    """See what goes out next, and cancel Ben's reminder there."""
    await visit.go("agenda")
    days = visit.main.get_by_role("navigation", name=visit.say("agenda.days"))
    await days.get_by_role("link").filter(has_text="19").click()
    await expect(visit.main.get_by_text(ANN)).to_be_visible()
    await visit.main.get_by_role("checkbox", name=BEN).check()
    await visit.window.shoot("story-agenda")
    await visit.press("agenda.cancel")
    await visit.press("agenda.cancel_yes", visit.window.page.get_by_role("dialog"))
    await visit.sees("agenda.done", count=1)
    await visit.status_is(BEN, "canceled")
    await visit.status_is(ANN, "scheduled")
    await visit.window.shoot("story-log")


async def let_days_pass(visit: Visit) -> None:
    """Move the clock to the reminder and a minute on."""
    await visit.go("clock")
    await visit.press("clock.to_next")
    await visit.sees("clock.moved")
    await visit.press("clock.step.PT1M")
    await visit.sees("clock.moved")


async def answer(visit: Visit) -> None:
    """Find the QR code on Ann's phone, answer from there, and opt out."""
    await visit.go("handset")
    picture = visit.main.get_by_role("img", name=visit.say("handset.picture"))
    await expect(picture).to_be_visible()
    await picture.scroll_into_view_if_needed()
    await picture.evaluate("image => image.decode()")
    await visit.window.shoot("story-handset")
    await scanned(visit, picture)
    for text, told in ((THANKS, THANKS), ("STOP", visit.say("handset.stopped"))):
        await visit.fill("handset.text", text)
        await visit.press("handset.write")
        await expect(visit.main.get_by_text(told).first).to_be_visible()
    await visit.status_is(THANKS, "received")


async def scanned(visit: Visit, picture: Locator) -> None:
    """Hold a picture of the screen to being a code that a scanner reads, where there is one."""
    scanner, file = shutil.which("zbarimg"), visit.folder / "code.png"
    await picture.screenshot(path=file)
    if scanner is not None:
        scan = await asyncio.create_subprocess_exec(
            scanner, "--quiet", "--raw", str(file), stdout=asyncio.subprocess.PIPE
        )
        assert (await scan.communicate())[0].decode().strip() == "https://clinic.example/in/7Q4M"


async def refused(visit: Visit) -> None:
    """See the next reminder to Ann fail, with its code explained and what to do."""
    await let_days_pass(visit)
    await visit.status_is(QUESTION, "failed")
    await visit.row(QUESTION).get_by_role("link").first.click()
    language = visit.window.look.language
    fault = visit.main.get_by_text(explain(language, 21610))
    await expect(fault.first).to_be_visible()
    await visit.sees("frame.code", code="21610")
    await visit.sees("remedies.21610")
    await visit.window.shoot("story-failed")


async def settle_a_doubt(visit: Visit) -> None:
    """Find what is in doubt on the overview, and say that it was sent."""
    await write(visit, DOUBTED, "Your crown is ready.")
    await visit.go("clock")
    await visit.press("clock.step.PT1M")
    await visit.sees("clock.moved")
    await visit.go("overview")
    term = visit.main.get_by_role("term").filter(has_text=visit.say("overview.in_doubt"))
    await term.locator("xpath=..").get_by_role("link", name="1").click()
    await visit.row(DOUBTED).get_by_role("link").first.click()
    await visit.sees("message.doubt.title")
    await visit.window.shoot("story-doubt")
    await visit.press("message.doubt.sent.do")
    await visit.press("message.doubt.sent.do", visit.window.page.get_by_role("dialog"))
    await visit.sees("message.resolved.sent")
    await expect(visit.main.get_by_text(visit.say("message.doubt.title"))).to_be_hidden()


async def call_a_program(visit: Visit) -> None:
    """Make an API key, let the clinic's program send with it, and find the call to the clinic in the webhook log."""
    await visit.go("keys")
    await visit.fill("keys.name", "reminders.py")
    await visit.press("keys.create")
    await visit.sees("keys.once")
    secret = await visit.copied("keys.copy_secret")
    key, account = await visit.copied("keys.copy_sid"), visit.place.account.sid
    form = {"To": BEN, "From": NUMBER, "Body": "From a program", "StatusCallback": visit.clinic.status_url}
    async with aiohttp.ClientSession(headers={"Authorization": basic(key, secret)}) as program:
        messages = f"{visit.place.url}/2010-04-01/Accounts/{account}/Messages.json"
        async with program.post(messages, data=form) as created:
            assert created.status == 201
            sid = (await created.json())["sid"]
    await visit.go("clock")
    await visit.press("clock.step.PT1M")
    await visit.sees("clock.moved")
    await visit.go("webhooks")
    call = visit.main.get_by_role("listitem").filter(has_text=visit.say("frame.status.delivered"))
    await expect(call).to_contain_text("204")
    await expect(call.get_by_title(sid)).to_be_visible()
    assert all(one.verified for one in visit.clinic.told)
    assert visit.clinic.told


async def export(visit: Visit) -> None:
    """Take the log along as a file."""
    await visit.go("messages")
    async with visit.window.page.expect_download() as coming:
        await visit.press("messages.export")
    file = visit.folder / "log.csv"
    await (await coming.value).save_as(file)
    rows = list(csv.reader(file.read_text(encoding="utf-8-sig").splitlines()))
    text = "\n".join(",".join(row) for row in rows)
    assert len(rows) == await visit.main.get_by_role("row").count()
    for said in (REMINDER, THANKS, "canceled", "21610"):
        assert said in text


DONE = (
    "sign_in.did.welcome", "services.did.create", "numbers.did.create", "services.did.add_senders", "compose.did.send",
    "agenda.did.cancel", "clock.did.advance", "handset.did.write", "messages.did.resolve", "keys.did.create",
)  # fmt: skip


async def look_back(visit: Visit) -> None:
    """Find all of it in the audit log, and sign out."""
    await visit.go("audit_log")
    table = visit.main.get_by_role("table")
    for done in DONE:
        await expect(table.get_by_text(visit.say(done), exact=True).first).to_be_visible()
    await expect(table.get_by_text("Aiko").first).to_be_visible()
    await visit.window.shoot("story-audit")
    await visit.window.check()
    banner = visit.window.page.get_by_role("banner")
    await banner.get_by_label(visit.say("frame.you")).click()
    await visit.press("sign_in.out", banner)
    await visit.sees("sign_in.signed_out")
    await visit.window.open("/messages")
    await expect(visit.main.get_by_role("heading", level=1, name=visit.say("sign_in.title"))).to_be_visible()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_clinic_from_the_first_link_to_signing_out(
    place: Place, window: OpenWindow, tmp_path: Path, language: str
) -> None:
    one = await window(None, Look(language))
    await one.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    async with Clinic(place.node.clock) as clinic:
        clinic.auth_token = place.node.first_account()[1]
        visit = Visit(place, one, clinic, tmp_path)
        await sign_up(visit)
        await set_up(visit)
        await write(visit, ANN, REMINDER, DAY_BEFORE, picture=clinic.picture_url)
        await visit.status_is(ANN, "scheduled")
        await write(visit, BEN, REMINDER, DAY_BEFORE)
        await write(visit, ANN, QUESTION, LATER)
        await cancel(visit)
        await let_days_pass(visit)
        await visit.status_is(ANN, "delivered")
        await answer(visit)
        await refused(visit)
        await settle_a_doubt(visit)
        await call_a_program(visit)
        await export(visit)
        await look_back(visit)
    assert one.wrong == []
