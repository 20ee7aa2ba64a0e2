"""Messaging services, senders and connections in a real browser: every look, and what an owner does there."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from postdate.core.instant import MILLISECOND, Instant
from postdate.core.resources import Connection, Role, Service
from tests.api.test_connections import Gateway
from tests.console.browser.conftest import OpenWindow
from tests.console.browser.watching import LOOKS, NARROW, Look, Window
from tests.console.clinic import Clinic, add_sender, add_service, set_up_clinic
from tests.console.visiting import Place

NUMBER, PHONE = "+14155550100", "+14155550199"


def paths_of(clinic: Clinic) -> dict[str, str]:
    """Return every page of these screens."""
    service, gateway, smpp = (
        clinic.service().sid,
        clinic.connection("clinic-gateway").sid,
        clinic.connection("acme-smpp"),
    )
    tabs = ("senders", "integration", "content", "compliance", "schedule")
    return {
        "services": "/services",
        "service-new": "/services/new",
        "service": f"/services/{service}",
        **{f"service-{tab}": f"/services/{service}/{tab}" for tab in tabs},
        "numbers": "/numbers",
        "number-new": "/numbers/new",
        "number-new-channel": "/numbers/new?Kind=channel",
        "number": f"/numbers/{clinic.sender(NUMBER).sid}",
        "number-alpha": f"/numbers/{clinic.sender('CLINIC').sid}",
        "connections": "/connections",
        "kinds": "/connections/new",
        "connection-new": "/connections/new/vonage",
        "connection": f"/connections/{gateway}",
        "connection-down": f"/connections/{smpp.sid}",
        "connection-edit": f"/connections/{smpp.sid}/edit",
    }


@pytest_asyncio.fixture(loop_scope="module")
async def gateway() -> AsyncIterator[Gateway]:
    """Give a carrier that takes everything."""
    async with Gateway().serving() as serving:
        yield serving


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
async def test_every_page_is_right_in_every_look(place: Place, window: OpenWindow, look: Look) -> None:
    clinic = await set_up_clinic(place)
    one = await window(Role.OWNER, look)
    for name, path in paths_of(clinic).items():
        await one.open(path)
        await expect(one.page.get_by_role("heading", level=1)).to_be_visible()
        await one.shoot(name)
        await one.check()


@pytest.mark.parametrize("look", [Look("en"), Look("ja", NARROW, "dark")], ids=lambda look: look.name)
async def test_what_is_empty_says_what_to_do_next(place: Place, window: OpenWindow, look: Look) -> None:
    one = await window(Role.OWNER, look)
    for name in ("services", "numbers", "connections"):
        await one.open(f"/{name}")
        await expect(one.page.locator(".empty a[role=button]")).to_have_attribute("href", f"/console/{name}/new")
        await one.shoot(f"{name}-empty")
        await one.check()


WORDS = {
    "en": ("Create a messaging service", "Name", "Sender pool", "Add the chosen senders", "Copy the SID", "Remove"),
    "ja": ("メッセージングサービスを作成", "名前", "送信者プール", "選択した送信者を追加", "SID をコピー", "外す"),
}


@pytest.mark.parametrize("language", WORDS)
async def test_a_service_is_created_filled_and_its_sid_copied(place: Place, window: OpenWindow, language: str) -> None:
    create, name, pool, add, copy, take_out = WORDS[language]
    owner = await place.signed_in(name="Ann")
    for number in (NUMBER, "+14155550101"):
        await add_sender(owner, PhoneNumber=number)
    one = await window(Role.OWNER, Look(language))
    page = one.page
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await one.open("/services")
    await page.locator(".empty").get_by_role("button", name=create).click()
    await page.get_by_label(name, exact=True).fill("Appointment reminders")
    await page.get_by_role("button", name=create).click()
    (service,) = place.node.directory.every(Service)
    for box in await page.get_by_role("checkbox").all():
        await box.check()
    await page.get_by_role("button", name=add).click()
    await expect(page.get_by_role("region", name=pool)).to_be_visible()
    assert len(place.node.directory.pool(service.sid)) == 2
    await one.shoot("pool-filled")
    await one.check()
    await page.get_by_role("button", name=take_out, exact=True).first.click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    await one.shoot("pool-dialog")
    await one.check()
    await page.get_by_role("dialog").get_by_role("button", name=take_out).click()
    await expect(page.locator("#flash p")).to_be_visible()
    assert len(place.node.directory.pool(service.sid)) == 1
    await one.open(f"/services/{service.sid}")
    await page.get_by_role("button", name=copy).click()
    await expect(page.locator(".toast")).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == service.sid
    assert one.wrong == []


async def test_a_connection_is_added_tested_and_followed_to_its_receipt(
    place: Place, window: OpenWindow, gateway: Gateway
) -> None:
    one = await window()
    page = one.page
    await one.open("/connections/new")
    await page.get_by_role("link", name="A gateway of your own").click()
    await page.get_by_label("Name", exact=True).fill("clinic-gateway")
    await page.get_by_label("url").fill("nonsense")
    await page.get_by_label("token").fill("hush")
    await page.get_by_role("button", name="Add a connection").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    await expect(page.get_by_label("url")).to_have_value("nonsense")
    await expect(page.get_by_label("token")).to_have_value("")
    await one.shoot("connection-wrong")
    await one.check()
    await page.get_by_label("url").fill(gateway.url)
    await page.get_by_label("token").fill("hush")
    await page.get_by_role("button", name="Add a connection").click()
    await expect(page.locator("#state").get_by_text("Ready")).to_be_visible()
    (made,) = place.node.directory.every(Connection)
    owner = await place.signed_in(name="Bob")
    reminders = await add_service(owner, "Appointment reminders")
    await add_sender(owner, PhoneNumber=NUMBER, Connection=made.name, MessagingServiceSid=reminders)
    await one.open(f"/connections/{made.sid}")
    await page.get_by_label("To", exact=True).fill(PHONE)
    await page.get_by_role("button", name="Send the test").click()
    await expect(page.locator("#test-state .told")).to_be_visible()
    await place.node.settle()
    await place.node.advance_to(Instant(place.node.clock.now() + 100 * MILLISECOND))
    await expect(page.locator("#test-state").get_by_text("Sent", exact=True)).to_be_visible()
    await one.shoot("connection-test")
    url = await page.get_by_role("button", name="Copy the address").get_attribute("data-copy")
    assert url is not None
    sign = {"Authorization": "Bearer hush"}
    async with owner.browser.post(url, json={"id": "ref-1", "status": "delivered"}, headers=sign) as answer:
        assert answer.status == 204
    await place.node.settle()
    await expect(page.locator("#test-state").get_by_text("Delivered", exact=True)).to_be_visible()
    await one.shoot("connection-tested")
    await one.check()
    await paused_and_not_removed(one, page)


async def paused_and_not_removed(one: Window, page: Page) -> None:
    """Pause the connection that is shown, after asking; try to remove it, which its sender forbids."""
    await page.get_by_role("button", name="Pause").click()
    await one.shoot("connection-pause")
    await page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    await expect(page.locator("#state").get_by_text("Paused", exact=True)).to_be_visible()
    await page.get_by_role("button", name="Remove this connection").click()
    await page.get_by_role("dialog").get_by_role("button", name="Remove this connection").click()
    await expect(page.get_by_role("alert")).to_contain_text("goes out by it")
    await one.shoot("connection-refused")
    await one.check()
