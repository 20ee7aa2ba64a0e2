"""The gate: every page and action of the table against every role, forms of other sites, headers, and error pages."""

import re

import pytest

from postdate.console.app import SCREENS
from postdate.console.page import Action, Page
from postdate.core.resources import ApiKey, Role
from tests.console.visiting import Person, Place

SID = "US" + "0" * 32
STEPS: list[tuple[str, Page | Action]] = [
    *((f"GET {page.path}", page) for screen in SCREENS for page in screen.pages),
    *((f"POST {action.path}", action) for screen in SCREENS for action in screen.actions),
]
GUARDED = [pytest.param(step, id=name) for name, step in STEPS if not step.public]
ACTIONS = [pytest.param(step, id=name) for name, step in STEPS if isinstance(step, Action)]


def aimed(step: Page | Action) -> str:
    """Return a path with something in place of its names."""
    return re.sub(r"\{[^}]*\}", SID, step.path)


async def tried(person: Person, step: Page | Action) -> int:
    """Try a step, with a form of one's own; return the status."""
    if isinstance(step, Page):
        return (await person.get(aimed(step))).status
    return (await person.do(aimed(step))).status


@pytest.mark.parametrize("step", GUARDED)
async def test_a_step_is_for_its_role_and_those_above(place: Place, step: Page | Action) -> None:
    for role in Role:
        person = await place.signed_in(role)
        status = await tried(person, step)
        if role.covers(step.role):
            assert status != 403, (role, status)
        else:
            assert status == 403, (role, status)


@pytest.mark.parametrize("step", GUARDED)
async def test_nobody_gets_in_without_signing_in(place: Place, step: Page | Action) -> None:
    person = place.somebody()
    seen = await person.get(aimed(step)) if isinstance(step, Page) else await person.do(aimed(step))
    assert seen.location.startswith("/sign-in")


async def test_public_are_only_the_ways_in() -> None:
    assert {step.path for _, step in STEPS if step.public} == {"/sign-in", "/welcome", "/sign-out", "/language"}


# -- forms of others --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ACTIONS)
async def test_an_action_without_the_forms_token_does_nothing(place: Place, step: Action) -> None:
    person = await place.signed_in()
    assert (await person.post(aimed(step), {})).status == 419
    assert (await person.post(aimed(step), {"_token": "0" * 64})).status == 419
    assert (await person.get("/profile")).status == 200


async def test_a_token_is_of_one_browser_and_of_one_account(place: Place) -> None:
    branch = await place.subaccount()
    person, other = await place.signed_in(), await place.signed_in(name="Bob")
    token = await person.token()
    assert (await other.post("/keys", {"_token": token, "FriendlyName": "x"})).status == 419
    await person.do("/account", AccountSid=branch.sid)
    assert (await person.post("/keys", {"_token": token, "FriendlyName": "x"})).status == 419
    assert place.node.directory.every(ApiKey) == []
    assert (await person.do("/keys", FriendlyName="x")).status == 200


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "null"}, False),
    ],
)
async def test_a_form_comes_from_the_console_itself(place: Place, headers: dict[str, str], passes: bool) -> None:
    person = await place.signed_in()
    form = (await person.get("/keys")).hidden("/keys")
    seen = await person.post("/keys", {**form, "FriendlyName": "x"}, headers)
    assert seen.status == (200 if passes else 419)
    assert len(place.node.directory.every(ApiKey)) == passes


async def test_htmx_sends_the_token_as_a_header(place: Place) -> None:
    person = await place.signed_in()
    page = (await person.get("/profile")).text
    assert "{&#34;X-Form-Token&#34;: &#34;" in page
    form = {"Hide": "true"}
    assert (await person.ask("POST", "/profile/hide", form, {"x-form-token": await person.token()})).status == 303


async def test_signing_in_needs_a_form_of_this_browser(place: Place) -> None:
    await place.user("Ann")
    form = (await place.somebody().get("/sign-in")).hidden("/sign-in")
    victim = place.somebody()
    await victim.get("/sign-in")
    assert (await victim.post("/sign-in", {**form, "Name": "Ann", "Password": "x"})).status == 419


# -- what every answer has --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/sign-in", "/profile", "/nothing", "/", "/static/nothing.css"])
async def test_every_answer_keeps_other_sites_out(place: Place, path: str) -> None:
    person = await place.signed_in()
    headers = (await person.get(path)).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == policy["form-action"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"


async def test_pages_name_nothing_elsewhere_and_hold_no_script_or_style(place: Place) -> None:
    person = await place.signed_in()
    paths = [step.path for name, step in STEPS if name.startswith("GET") and "{" not in step.path]
    for path in paths:
        page = (await person.get(path)).text
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?! src=\"/console/static/)", page), path
        linked = re.findall(r"(?:src|href|action)=\"([^\"#]+)", page)
        assert [one for one in linked if not one.startswith("/console/")] == [], path


async def test_files_are_kept_for_ever_under_the_name_of_their_content(place: Place) -> None:
    person = place.somebody()
    page = (await person.get("/sign-in")).text
    files = re.findall(r"/console(/static/[^\"]+)", page)
    assert len(files) >= 5
    for path in files:
        seen = await person.get(path)
        assert seen.status == 200
        assert seen.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert re.search(r"\.[0-9a-f]{12}\.(css|js|svg)$", path)
        assert (await person.get(path.replace(path.split(".")[-2], "0" * 12))).status == 404


@pytest.mark.parametrize("path", ["/static/..%2fapp.py", "/static/../app.py", "/static/LICENSE.pico.txt"])
async def test_nothing_but_the_files_is_given_out(place: Place, path: str) -> None:
    assert (await place.somebody().get(path)).status in (303, 404)


async def test_errors_are_shown_in_the_frame(place: Place) -> None:
    person = await place.signed_in(Role.VIEWER)
    for path, status, title in (("/nothing", 404, "Nothing here"), ("/users", 403, "Not for your role")):
        seen = await person.get(path)
        assert seen.status == status
        assert title in seen.text
        assert 'id="navigation"' in seen.text


async def test_other_methods_do_nothing(place: Place) -> None:
    person = await place.signed_in()
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        assert (await person.ask(method, "/keys")).status == 405


async def test_a_form_that_is_too_large_is_refused(place: Place) -> None:
    person = await place.signed_in()
    form = {"_token": await person.token(), "FriendlyName": "x" * 70_000}
    assert (await person.post("/keys", form)).status == 413
    many = {f"p{number}": "x" for number in range(300)}
    assert (await person.post("/keys", {**many, "_token": await person.token()})).status == 422


# -- beside the API ---------------------------------------------------------------------------------------------------


async def test_the_root_points_a_browser_to_the_console_and_tells_a_program_there_is_nothing(place: Place) -> None:
    browser = place.somebody().browser
    async with browser.get(f"{place.url}/", headers={"accept": "text/html,*/*"}) as answer:
        assert answer.status == 200
        assert 'href="/console/"' in await answer.text()
        assert "content-security-policy" in answer.headers
    async with browser.get(f"{place.url}/", headers={"accept": "application/json"}) as answer:
        assert answer.status == 404
        assert (await answer.json())["code"] == 20404
    async with browser.get(f"{place.url}/consoles", headers={"accept": "text/html"}) as answer:
        assert (await answer.json())["code"] == 20404


async def test_the_console_opens_nothing_of_the_api(place: Place) -> None:
    person = await place.signed_in()
    async with person.browser.get(f"{place.url}/2010-04-01/Accounts.json") as answer:
        assert answer.status == 401
