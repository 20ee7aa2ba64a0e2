"""The sandbox's phones in the console: what an account may see, pictures, answering, keywords, and news."""

import re

import pytest

from postdate.core.errors import Rejected
from postdate.core.resources import Role
from postdate.flow.directory import changed
from tests.console.reminders import HOSTILE, NUMBER, PATIENT, Reminders
from tests.console.visiting import Person, Place

OTHER = "+819012345678"


def live(page: str) -> str:
    """Return the address at which the page asks for news."""
    found = re.search(r'data-live hx-get="/console([^"]*)" hx-trigger="every 5s"', page)
    assert found is not None
    return found[1].replace("&amp;", "&")


async def answered(person: Person, body: str, number: str = PATIENT) -> str:
    """Write on a phone; return the page that follows."""
    seen = await person.do("/handset", Number=number, To=NUMBER, Body=body)
    return (await person.get(seen.location)).text


async def test_without_any_the_page_says_how_there_will_be_some(place: Place) -> None:
    person = await place.signed_in(Role.OPERATOR)
    page = (await person.get("/handset")).text
    assert "No phone has received anything yet" in page
    assert 'href="/console/compose"' in page
    assert 'href="/console/compose"' not in (await (await place.signed_in(Role.VIEWER)).get("/handset")).text


async def test_phones_are_listed_the_latest_first_and_shown(clinic: Reminders) -> None:
    await clinic.sent("To the first", PATIENT)
    long = await clinic.sent("To the other " * 30, OTHER)
    person = await clinic.place.signed_in(Role.VIEWER)
    page = (await person.get("/handset")).text
    assert page.index(OTHER) < page.index(PATIENT)
    assert "To the other" in page
    assert "To the first" not in page
    assert f'href="/console/messages/{long.sid}"' in page
    assert "3 segments" in page
    assert "To the first" in (await person.get(f"/handset?Number=%2B{PATIENT[1:]}")).text
    assert 'action="/console/handset" class="answer"' not in page


@pytest.mark.parametrize("number", ["", "nobody", "%2B", "1" * 300, "<script>", "..%2F..%2F", "whatsapp:+1"])
async def test_what_is_no_number_is_said_and_harms_nothing(clinic: Reminders, number: str) -> None:
    await clinic.sent("Hi")
    person = await clinic.place.signed_in()
    seen = await person.get(f"/handset?Number={number}")
    assert seen.status == (404 if number else 200)
    assert PATIENT in seen.text
    assert "<script>" not in seen.text


async def test_a_phone_answers_and_keywords_are_explained(clinic: Reminders) -> None:
    await clinic.sent("Reply YES to confirm.")
    person = await clinic.place.signed_in(Role.OPERATOR)
    assert "one\ntwo" in await answered(person, "one\r\ntwo")
    page = await answered(person, " Stop! ")
    assert "STOP was taken" in page
    assert "Opted out. Messages from this sender and its service fail with code 21610" in page
    with pytest.raises(Rejected, match="opted out"):
        await clinic.write("More")
    assert "START was taken" in await answered(person, "START")
    assert (await clinic.sent("More")).status == "delivered"
    assert "HELP was taken" in await answered(person, "help")
    inbound = [one.body for one in clinic.place.node.sandbox.conversation(PATIENT) if not hasattr(one, "sid")]
    assert inbound == ["one\ntwo", " Stop! ", "START", "help"]


@pytest.mark.parametrize(
    ("form", "code"),
    [({"Body": ""}, 20001), ({"Body": "a" * 1601}, 20001), ({"To": "+15005550009"}, 20001), ({"Number": "x"}, 20404)],
)
async def test_what_cannot_be_written_is_said_and_kept(clinic: Reminders, form: dict[str, str], code: int) -> None:
    await clinic.sent("Hi")
    person = await clinic.place.signed_in(Role.OPERATOR)
    seen = await person.do("/handset", **{"Number": PATIENT, "To": NUMBER, "Body": "Kept <i>", **form})
    assert seen.status == (404 if code == 20404 else 400)
    assert f"Code {code}" in seen.text
    if "To" in form:
        assert "Kept &lt;i&gt;" in seen.text


async def test_a_picture_comes_through_the_console_for_its_account_alone(clinic: Reminders) -> None:
    await clinic.sent("Show this.", media_urls=(clinic.clinic.picture_url,))
    person = await clinic.place.signed_in(Role.OWNER)
    page = (await person.get("/handset")).text
    found = re.search(r'<img src="/console(/handset/media/ME[0-9a-f]{32})" alt="Picture in the message"', page)
    assert found is not None
    async with person.browser.get(f"{person.url}/console{found[1]}") as answer:
        assert (answer.status, answer.content_type) == (200, "image/png")
        assert await answer.read() == clinic.clinic.picture
        assert "sandbox" in ", ".join(answer.headers.getall("content-security-policy"))
        assert answer.headers["x-content-type-options"] == "nosniff"
    branch = await clinic.place.subaccount()
    await person.do("/account", AccountSid=branch.sid)
    assert (await person.get(found[1])).status == 404
    assert (await person.get("/handset/media/ME" + "0" * 32)).status == 404
    assert (await person.get("/handset/media/..%2fx")).status == 404
    assert (await clinic.place.somebody().get(found[1])).location.startswith("/sign-in")


async def test_nobody_sees_the_phones_of_another_account(clinic: Reminders) -> None:
    await clinic.sent("Secret of the main account")
    branch = await clinic.place.subaccount()
    person = await clinic.place.signed_in(Role.OWNER)
    await person.do("/account", AccountSid=branch.sid)
    page = (await person.get("/handset")).text
    assert "No phone has received anything yet" in page
    asked = (await person.get(f"/handset?Number=%2B{PATIENT[1:]}")).text
    assert "Secret" not in asked
    assert "Nothing on this phone yet" in asked
    assert "No sender of this account can be written to" in asked


async def test_numbers_bodies_and_pictures_are_hidden_where_the_viewer_hides_them(clinic: Reminders) -> None:
    await clinic.sent("Your test was positive", media_urls=(clinic.clinic.picture_url,))
    person = await clinic.place.signed_in(Role.OPERATOR, hide_numbers=True)
    page = re.sub(r'(?:value|href|hx-get)="[^"]*"', "", (await person.get("/handset")).text)
    for secret in ("positive", PATIENT, NUMBER, "<img"):
        assert secret not in page
    assert "A picture is hidden" in page


@pytest.mark.parametrize("body", HOSTILE)
async def test_hostile_texts_are_shown_as_text(clinic: Reminders, body: str) -> None:
    sender = clinic.place.node.directory.sender_at(clinic.place.account.sid, NUMBER)
    assert sender is not None
    await clinic.place.node.directory.put(changed(sender, friendly_name=body[:64]))
    await clinic.sent(body)
    person = await clinic.place.signed_in(Role.OPERATOR)
    page = await answered(person, body)
    assert not re.search(r"<script(?! src)|<img", page)
    assert page.count('dir="auto"') >= 3


async def test_news_come_when_there_are_some(clinic: Reminders) -> None:
    await clinic.sent("First")
    person = await clinic.place.signed_in(Role.VIEWER)
    address = live((await person.get("/handset")).text)
    asked = {"hx-request": "true"}
    assert (await person.get(address, asked)).status == 204
    await clinic.sent("Second")
    seen = await person.get(address, asked)
    assert seen.status == 200
    assert seen.text.lstrip().startswith('<div id="phones"')
    assert "Second" in seen.text
    assert (await person.get(live(seen.text), asked)).status == 204


async def test_long_conversations_come_in_pages(clinic: Reminders) -> None:
    for n in range(60):
        await clinic.write(f"Number {n}.")
    await clinic.wait()
    person = await clinic.place.signed_in(Role.VIEWER)
    page = (await person.get("/handset")).text
    assert "Number 59." in page
    assert "Number 9." not in page
    earlier = re.search(r'href="/console(/handset\?[^"]*Page=1)"', page)
    assert earlier is not None
    before = (await person.get(earlier[1].replace("&amp;", "&"))).text
    assert "Number 9." in before
    assert "Number 59." not in before
    assert "Later messages" in before
    assert 'hx-trigger="every 5s"' not in before
