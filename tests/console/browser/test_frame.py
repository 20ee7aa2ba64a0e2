"""The frame and the first screens in a real browser: every look, keyboard, phone, dialogs, copying, and a story."""

import re

import pytest
from playwright.async_api import expect

from postdate.core.resources import ApiKey, Role, User
from tests.console.browser.conftest import OpenWindow
from tests.console.browser.watching import LOOKS, NARROW, Look
from tests.console.visiting import PASSWORD, Place

PATHS = {"profile": "/profile", "users": "/users", "audit": "/audit", "keys": "/keys", "settings": "/settings"}
LONG = "Dr. Wolfeschlegelsteinhausenbergerdorff-Kanagawa & Söhne, 新宿中央"


async def furnished(place: Place) -> None:
    """Give the account what fills its screens: people in every state, keys, a subaccount, entries in the log."""
    await place.user(LONG, Role.VIEWER)
    await place.user("bob@clinic.example", Role.OPERATOR, disabled=True)
    await place.user("New", Role.OPERATOR, password_hash=None)
    await place.subaccount("Branch in Shinjuku")
    person = await place.signed_in(name="Kenji")
    await person.do("/keys", FriendlyName=LONG)
    await person.do("/keys", FriendlyName="x" * 70)
    await person.send("/profile", "/profile", Name="Kenji Tanaka", Hide="false")


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
async def test_every_screen_is_right_in_every_look(place: Place, window: OpenWindow, look: Look) -> None:
    await furnished(place)
    one = await window(Role.OWNER, look)
    for name, path in PATHS.items():
        await one.open(path)
        await one.shoot(name)
        await one.check()
    await one.open("/nothing")
    await one.shoot("nothing")
    await one.check()


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
async def test_what_is_shown_before_signing_in_is_right(place: Place, window: OpenWindow, look: Look) -> None:
    link = place.console.way_in(place.account.sid).removeprefix("/console")
    one = await window(None, look)
    for name, path in {"sign-in": "/sign-in", "welcome": link, "no-longer": "/welcome?key=x"}.items():
        await one.open(path)
        await one.shoot(name)
        await one.check()
    await one.page.goto(place.url)
    await one.shoot("landing")
    await one.check()


async def test_empty_screens_say_what_will_be_there(place: Place, window: OpenWindow) -> None:
    one = await window()
    for path in ("/keys", "/audit"):
        await one.open(path)
        await expect(one.page.locator(".empty .title")).to_be_visible()
        await one.shoot(f"empty{path.replace('/', '-')}")
        await one.check()


async def test_from_the_first_link_to_a_second_person(place: Place, window: OpenWindow) -> None:
    one = await window(None)
    page = one.page
    await one.open(place.console.way_in(place.account.sid).removeprefix("/console"))
    await page.get_by_label("Name or email").fill("Ann")
    await page.get_by_label("Password", exact=True).fill("short")
    await page.get_by_label("The password again").fill(PASSWORD)
    await page.get_by_role("button", name="Set the password").click()
    assert "/welcome" in page.url, "the browser itself says that it is too short"
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Set the password").click()
    await expect(page.get_by_text("Your password is set.")).to_be_visible()
    await one.open("/users")
    await page.get_by_label("Name or email").fill("Bob")
    await page.get_by_role("button", name="Invite").click()
    link = await page.locator("code").first.inner_text()
    await one.shoot("invited")
    await one.check()
    other = await window(None)
    await other.page.goto(link)
    await other.page.get_by_label("Password", exact=True).fill(PASSWORD)
    await other.page.get_by_label("The password again").fill(PASSWORD)
    await other.page.get_by_role("button", name="Set the password").click()
    await other.open("/users")
    await expect(other.page.get_by_role("heading", name="Not for your role")).to_be_visible()
    await one.open("/users")
    await page.get_by_label("Role of Bob").select_option("owner")
    await expect(page.get_by_text("Bob is now: Owner.")).to_be_visible()
    assert {user.name for user in place.node.directory.every(User)} == {"Ann", "Bob"}
    assert one.wrong == []


async def test_a_key_is_made_copied_and_removed_after_asking(place: Place, window: OpenWindow) -> None:
    one = await window()
    page = one.page
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await one.open("/keys")
    await page.get_by_label("Name").fill("Clinic")
    await page.get_by_role("button", name="Create a key").click()
    await one.shoot("key-made")
    await one.check()
    await page.get_by_role("button", name="Copy the secret").click()
    await expect(page.get_by_text("Copied")).to_be_visible()
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert re.fullmatch("[A-Za-z0-9]{32}", copied)
    await page.get_by_role("button", name="Remove").click()
    dialog = page.get_by_role("dialog", name="Remove Clinic?")
    await expect(dialog).to_be_visible()
    await one.shoot("dialog")
    await one.check()
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    assert len(place.node.directory.every(ApiKey)) == 1
    await page.get_by_role("button", name="Remove").click()
    await dialog.get_by_role("button", name="Remove").click()
    await expect(page.get_by_text("The key is removed")).to_be_visible()
    assert place.node.directory.every(ApiKey) == []


async def test_on_a_phone_the_menu_opens_and_leads_on(place: Place, window: OpenWindow) -> None:
    one = await window(Role.OWNER, Look(width=NARROW))
    await one.open("/profile")
    users = one.page.get_by_role("link", name="Users")
    await expect(users).to_be_hidden()
    await one.page.get_by_role("button", name="Menu").click()
    await expect(users).to_be_visible()
    await one.shoot("menu")
    await one.check()
    await one.page.keyboard.press("Escape")
    await expect(users).to_be_hidden()
    await one.page.get_by_role("button", name="Menu").click()
    await users.click()
    await expect(one.page.get_by_role("heading", name="Users")).to_be_visible()


async def test_it_can_be_used_by_keyboard(place: Place, window: OpenWindow) -> None:
    one = await window()
    await one.open("/profile")
    await one.page.keyboard.press("Tab")
    skip = one.page.get_by_role("link", name="Skip to content")
    await expect(skip).to_be_focused()
    await expect(skip).to_be_in_viewport()
    await one.page.keyboard.press("Enter")
    await one.page.keyboard.press("Tab")
    assert await one.page.evaluate("document.activeElement.closest('main') !== null"), "past the navigation"
    outline = await one.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


async def test_light_and_dark_language_and_menus(place: Place, window: OpenWindow) -> None:
    one = await window()
    page = one.page
    await one.open("/profile")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    light = await page.evaluate(ground)
    await page.get_by_role("button", name="Light or dark").click()
    dark = await page.evaluate(ground)
    assert dark != light
    await page.reload()
    assert await page.evaluate(ground) == dark, "it is remembered"
    await page.locator("summary[aria-label=Language]").click()
    await one.shoot("languages")
    await one.check()
    await page.get_by_role("button", name="日本語").click()
    await expect(page.get_by_role("heading", name="プロフィール")).to_be_visible()
    assert page.url.endswith("/console/profile")


async def test_times_are_shown_in_the_browsers_zone(place: Place, window: OpenWindow) -> None:
    one = await window()
    await one.open("/profile")
    await one.open("/profile")
    await expect(one.page.get_by_text("Times are shown in Asia/Tokyo")).to_be_visible()
    await expect(one.page.locator(".table time").first).to_have_text("18 Mar 2030 02:46")


async def test_two_accounts_can_be_switched(place: Place, window: OpenWindow) -> None:
    await place.subaccount("Branch in Shinjuku")
    one = await window()
    await one.open("/keys")
    await one.page.locator("details.accounts > summary").click()
    await one.shoot("accounts")
    await one.check()
    await one.page.get_by_role("button", name="Branch in Shinjuku").click()
    await one.open("/users")
    await expect(one.page.get_by_text("Who may use the console for Branch in Shinjuku")).to_be_visible()
    await one.check()
