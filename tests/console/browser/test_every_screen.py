"""Every page of the console in a real browser, found by walking SCREENS: a page that is added is looked at here, too.

Both languages, wide and on a phone, light and dark: no serious finding of axe, nothing wider than the window, no word
left untranslated, one heading, a title, a focus that can be seen, nothing wrong in the browser's console. And for each
role: what is offered on a page can be done by whoever it is offered to.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.async_api import Page

from postdate.console.app import SCREENS
from postdate.console.languages import LANGUAGES
from postdate.console.page import Action
from postdate.console.page import Page as Shown
from postdate.core.message import Message
from postdate.core.resources import Account, ApiKey, Role, Sender, Service, User
from tests.console.browser.conftest import OpenWindow
from tests.console.browser.watching import NARROW, WIDE, Look, Window
from tests.console.clinic import Clinic, set_up_clinic
from tests.console.reminders import NUMBER, Reminders
from tests.console.visiting import Place

FILES = {"/messages.csv", "/messages/{sid}/media/{media_sid}", "/handset/media/{sid}", "/clock/strip"}
PUBLIC = {"/sign-in", "/welcome"}
PAGES = {page.path: page for screen in SCREENS for page in screen.pages}
ACTIONS = {action.path: action for screen in SCREENS for action in screen.actions}
# What a sentence in English looks like where it is not marked as English, and is nobody's name.
ENGLISH = re.compile(r"[A-Za-z]{2,} [a-z]{2,}")
TEXTS = """() => {
  const own = 'code, pre, noscript, #f-Zone, [lang=en], .body, .mono, .bubble';
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walk.nextNode()) {
    const text = walk.currentNode.textContent.trim();
    if (text && !walk.currentNode.parentElement.closest(own)) found.push(text);
  }
  return found;
}"""
CONTRAST = """async () => {
  const found = await axe.run(document, {runOnly: ['color-contrast'], resultTypes: ['violations']});
  return found.violations.flatMap(one => one.nodes.map(node => node.html.slice(0, 160)));
}"""
UNSEEN_FOCUS = """() => {
  const bad = [];
  for (const one of document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')) {
    if (one.disabled || !one.checkVisibility({visibilityProperty: true}) || one.type === 'hidden') continue;
    one.focus();
    if (document.activeElement !== one) continue;
    const look = getComputedStyle(one);
    const outlined = look.outlineStyle !== 'none' && parseFloat(look.outlineWidth) > 0;
    const shadowed = look.boxShadow !== 'none';
    const beside = [...(one.labels ?? [])].some(label => getComputedStyle(label).outlineStyle !== 'none');
    if (!outlined && !shadowed && !beside) bad.push(one.outerHTML.slice(0, 120));
  }
  return bad;
}"""


@dataclass(frozen=True, slots=True)
class Furnished:
    """A node with something on every screen, and where each page is that needs to be told what it is of."""

    place: Place
    setup: Clinic
    messages: Mapping[str, Message]

    def names(self) -> set[str]:
        """Return the names that people gave to things: they are in no language."""
        every = self.place.node.directory.every
        named = {one.friendly_name for one in every(Service)} | {one.friendly_name for one in every(Sender)}
        named |= {one.friendly_name for one in every(ApiKey)} | {one.friendly_name for one in every(Account)}
        return named | {user.name for user in every(User)}

    def paths(self) -> dict[str, Sequence[str]]:
        """Return the addresses of each page of SCREENS, by its path in the table."""
        service, sender = self.setup.service().sid, self.setup.sender("+14155550100").sid
        gateway, smpp = self.setup.connection("clinic-gateway").sid, self.setup.connection("acme-smpp").sid
        shown = ("scheduled", "canceled", "failed", "doubt", "picture", "long")
        of_one: dict[str, Sequence[str]] = {
            "/messages": ["/messages", "/messages?Status=delivered&Since=x"],
            "/messages/{sid}": [f"/messages/{self.messages[name].sid}" for name in shown],
            "/agenda": ["/agenda", "/agenda?Day=2030-04-15"],
            "/numbers/new": ["/numbers/new", "/numbers/new?Kind=short_code", "/numbers/new?Kind=channel"],
            "/numbers/{sid}": [f"/numbers/{sender}", f"/numbers/{self.setup.sender('CLINIC').sid}"],
            "/connections/new/{kind}": ["/connections/new/smpp"],
            "/connections/{sid}": [f"/connections/{gateway}", f"/connections/{smpp}"],
            "/connections/{sid}/edit": [f"/connections/{smpp}/edit"],
        }
        paths: dict[str, Sequence[str]] = {}
        for path in PAGES.keys() - FILES - PUBLIC:
            of_a_service = [path.replace("{sid}", service)] if path.startswith("/services/") else [path]
            paths[path] = of_one.get(path, of_a_service)
        return {path: paths[path] for path in PAGES if path in paths}


async def furnish(clinic: Reminders) -> Furnished:
    """Let a clinic have everything that a screen can show."""
    place = clinic.place
    setup = await set_up_clinic(place)
    await clinic.sent("Told in vain", callback_url=f"{clinic.clinic.url}/nowhere")
    messages = await clinic.day()
    await clinic.answer("Thank you, see you tomorrow!")
    await place.node.sandbox.reply("+14155550177", NUMBER, "STOP")
    await setup.owner.do("/keys", FriendlyName="reminders.py")
    await place.user("Bob Miller", Role.OPERATOR)
    await place.user("Carol", Role.VIEWER, disabled=True)
    await place.user("Dan", Role.VIEWER, password_hash=None)
    await place.subaccount("Shinjuku")
    assert place.node.directory.every(ApiKey)
    return Furnished(place, setup, messages)


def test_every_page_can_be_looked_at() -> None:
    assert PAGES.keys() >= FILES | PUBLIC
    assert not [path for path in PUBLIC if not PAGES[path].public]


async def faults(window: Window, colours_only: bool) -> list[Any]:
    """Return what is wrong with the page that is open, whatever it is of; `colours_only` where axe saw the rest."""
    page, found = window.page, list[Any]()
    over = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    if over > 0:
        found.append(f"{over} px wider than the window")
    found += await page.evaluate(CONTRAST) if colours_only else await window.findings()
    found += [f"console: {one}" for one in window.wrong]
    window.wrong.clear()
    return found


async def once(window: Window, status: int, names: set[str]) -> list[Any]:
    """Return what is wrong with the page that is open and does not depend on width or colours."""
    page, found = window.page, list[Any]()
    if status != 200:
        found.append(f"answered {status}")
    if (headings := await page.locator("h1:visible").count()) != 1:
        found.append(f"{headings} headings of the first level")
    title = await page.title()
    if not title.endswith(" · Postdate") or title.startswith(" ·"):
        found.append(f"title {title!r}")
    if (language := await page.locator("html").get_attribute("lang")) != window.look.language:
        found.append(f"in the language {language}")
    if window.look.language != "en":
        texts = [re.sub("|".join(map(re.escape, names)) or "$^", "", text) for text in await page.evaluate(TEXTS)]
        found += [f"not translated: {text}" for text in texts if ENGLISH.search(text)]
    await page.keyboard.press("Tab")
    found += [f"focus is not seen on {one}" for one in await page.evaluate(UNSEEN_FOCUS)]
    await page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    return found


async def looked_at(window: Window, path: str, name: str, names: set[str]) -> list[Any]:
    """Open a page and return what is wrong with it, wide and narrow, light and dark."""
    page, language = window.page, window.look.language
    await page.set_viewport_size({"width": WIDE, "height": 800})
    await page.emulate_media(color_scheme="light", reduced_motion="reduce")
    answer = await page.goto(f"{window.url}/console{path}")
    found = await once(window, answer.status if answer else 0, names)
    wide, narrow = (
        (Look(language), Look(language, scheme="dark")),
        (Look(language, NARROW, "dark"), Look(language, NARROW)),
    )
    for number, look in enumerate((*wide, *narrow)):
        await page.set_viewport_size({"width": look.width, "height": 800})
        await page.emulate_media(color_scheme=look.scheme)
        window.look = look
        await window.shoot(name)
        found += [(look.name, fault) for fault in await faults(window, colours_only=number % 2 == 1)]
    return found


def named(path: str, number: int) -> str:
    """Return a name for pictures of a page."""
    return "every-" + (re.sub(r"[^a-z]+", "-", path).strip("-") or "overview") + (f"-{number}" if number else "")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_page_is_right(clinic: Reminders, window: OpenWindow, language: str) -> None:
    furnished = await furnish(clinic)
    names = furnished.names()
    one = await window(Role.OWNER, Look(language))
    await one.open("/")  # the browser's zone is known from now on
    wrong: list[Any] = []
    for path, addresses in furnished.paths().items():
        for number, address in enumerate(addresses):
            wrong += [(address, fault) for fault in await looked_at(one, address, named(path, number), names)]
    assert not wrong, "\n".join(map(str, wrong))
    nobody = await window(None, Look(language))
    link = clinic.place.console.way_in(clinic.place.account.sid).removeprefix("/console")
    for address in ("/sign-in", link):
        found = await looked_at(nobody, address, named(address.partition("?")[0], 0), set())
        assert found == [], address


# -- what each role is offered ----------------------------------------------------------------------------------------


def meant(path: str, table: Mapping[str, Action] | Mapping[str, Shown]) -> Action | Shown | None:
    """Return what of the table an address is of: first the one that is written just so."""
    if path in table:
        return table[path]
    for pattern, step in table.items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", pattern), path):
            return step
    return None


async def offered(page: Page) -> list[tuple[str, str]]:
    """Return where the forms and links of a page lead, below /console."""
    places = await page.evaluate(
        """() => [
          ...[...document.querySelectorAll('form[method=post]')]
            .filter(form => form.querySelector('button:not([disabled]), select:not([disabled])')
                            && !form.querySelector(':scope > fieldset[disabled]'))
            .map(form => ['POST', new URL(form.action).pathname]),
          ...[...document.querySelectorAll('a[href]:not([href^="#"])')]
            .map(link => ['GET', new URL(link.href).pathname])
        ]"""
    )
    return [(how, path.removeprefix("/console") or "/") for how, path in places if path.startswith("/console")]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.OWNER])
async def test_nobody_is_offered_what_the_role_may_not_do(clinic: Reminders, window: OpenWindow, role: Role) -> None:
    furnished = await furnish(clinic)
    one = await window(role)
    page = one.page
    wrong, done = list[Any](), set[str]()
    for path, addresses in furnished.paths().items():
        for address in addresses:
            answer = await page.goto(f"{one.url}/console{address}")
            allowed = role.covers(PAGES[path].role)
            if answer is None or (answer.status == 200) is not allowed:
                wrong.append((address, "answered", answer and answer.status))
            for how, place in await offered(page):
                step = meant(place, ACTIONS if how == "POST" else PAGES)
                if step is None or not role.covers(step.role):
                    wrong.append((address, how, place))
                elif isinstance(step, Action):
                    done.add(f"{step.path}")
    assert not wrong, "\n".join(map(str, wrong))
    assert one.wrong == []
    needed = {path for path, action in ACTIONS.items() if action.role is role and role is not Role.VIEWER}
    assert needed - done == ELSEWHERE[role], "what the role may do is offered to it somewhere"


# What no form offers: what is asked for while somebody types.
ELSEWHERE: Mapping[Role, set[str]] = {
    Role.VIEWER: set(),
    Role.OPERATOR: {"/compose/look"},
    Role.OWNER: set(),
}
