"""The first page: figures that are true, charts with words beside them, queues, connections, and nobody else's."""

import re

import pytest

from postdate.api.configuration import sid_for
from postdate.connectors.contract import State
from postdate.console.screens import overview
from postdate.core.instant import HOUR, MINUTE, SECOND, Instant
from postdate.core.resources import Connection, Role, Sender
from postdate.flow.directory import changed
from tests.console.reminders import HOSTILE, NUMBER, REFUSED, UNREACHABLE, Reminders
from tests.console.visiting import Person, Place


async def figures(person: Person) -> dict[str, str]:
    """Return the figures of the page by their names."""
    page = (await person.get("/")).text
    found = re.findall(r'<div class="stat[^"]*"><dt>([^<]*)</dt><dd>(.*?)</dd></div>', page, re.S)
    return {name: re.sub(r"<small>(?!half|99).*|<[^>]*>", "", figure, flags=re.S).strip() for name, figure in found}


async def queue_of_forty(clinic: Reminders) -> Sender:
    """Let the clinic's number have a queue of forty segments at half a segment a second; 39 wait."""
    directory = clinic.place.node.directory
    sender = directory.sender_at(clinic.place.account.sid, NUMBER)
    assert sender is not None
    slow = changed(sender, mps=0.5)
    await directory.put(slow)
    for n in range(40):
        await clinic.write("Hi", f"+141555710{n:02}")
    await clinic.wait(SECOND)
    return slow


async def test_an_empty_account_has_words_for_it(place: Place) -> None:
    person = await place.signed_in(Role.VIEWER)
    seen = await person.get("/")
    assert seen.status == 200
    for said in ("Nothing is due in the next hour.", "Nothing was sent in the last 24 hours.", "No senders yet"):
        assert said in seen.text
    assert await figures(person) == {
        "Scheduled": "0",
        "Due within the hour": "0",
        "Waiting for their turn": "0",
        "In doubt": "0",
        "Sent": "0",
        "Delivered": "0",
        "Undelivered": "0",
        "Failed": "0",
        "Canceled": "0",
        "Received": "0",
        "Lateness of hand-offs": "–",
    }


async def test_the_figures_are_those_of_the_day(clinic: Reminders) -> None:
    await clinic.day()
    await clinic.place.node.sandbox.reply("+14155550100", NUMBER, "Thanks")
    person = await clinic.place.signed_in(Role.VIEWER)
    seen = await figures(person)
    # Four that fail in their own ways, a picture, a long one, the hostile ones; the last of the busy one comes later.
    assert seen["Undelivered"] == "1"
    assert seen["Failed"] == "1"
    assert seen["In doubt"] == "1"
    assert seen["Canceled"] == "1"
    assert seen["Scheduled"] == "13"
    assert seen["Received"] == "1"
    assert int(seen["Sent"]) >= len(HOSTILE) + 2
    assert re.fullmatch(r"[0-9.]+ m?shalf at most[0-9.]+ m?s99 % at most", seen["Lateness of hand-offs"])
    page = (await person.get("/")).text
    for link in ("/agenda", "/messages?InDoubt=true", "/messages?Status=failed", "/messages?Status=undelivered"):
        assert f'href="/console{link}"' in page


async def test_the_load_of_the_next_hour_is_by_minute_in_the_viewers_zone(clinic: Reminders) -> None:
    await clinic.write("First", ahead=90 * MINUTE)
    await clinic.write("Second", ahead=90 * MINUTE + SECOND)
    await clinic.wait(HOUR)
    person = await clinic.place.signed_in(Role.VIEWER, zone="Asia/Kolkata")
    page = (await person.get("/")).text
    assert (await figures(person))["Due within the hour"] == "2"
    # 17:46:40 UTC and an hour and a half: 19:16 UTC, 00:46 in Kolkata.
    assert "<title>00:46 · Messages 2</title>" in page
    assert '<tr><th scope="row">00:46</th><td class="num">2</td></tr>' in page


async def test_hours_show_what_went_well_and_what_did_not(clinic: Reminders) -> None:
    await clinic.sent("Fine")
    await clinic.sent("Not there", UNREACHABLE)
    await clinic.sent("Not wanted", REFUSED)
    await clinic.wait(3 * HOUR)
    await clinic.sent("Later")
    person = await clinic.place.signed_in(Role.VIEWER)
    page = (await person.get("/")).text
    assert "<title>17:00 · Sent 2 · Undelivered or failed 2</title>" in page
    assert "<title>20:00 · Sent 1 · Undelivered or failed 0</title>" in page
    await clinic.wait(25 * HOUR)
    assert "Nothing was sent in the last 24 hours." in (await person.get("/")).text


async def test_a_queue_is_shown_against_its_rate(clinic: Reminders) -> None:
    await queue_of_forty(clinic)
    person = await clinic.place.signed_in(Role.VIEWER)
    page = (await person.get("/")).text
    row = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.partition('id="queues"')[2].partition("</table>")[0]))
    assert "+15005550006 Front desk 39 0.5/s 78 seconds" in row
    assert (await figures(person))["Waiting for their turn"] == "39"
    await clinic.wait(2 * MINUTE)
    assert (await figures(person))["Waiting for their turn"] == "0"


async def test_only_the_longest_queues_are_listed(clinic: Reminders) -> None:
    slow = await queue_of_forty(clinic)
    for n in range(20):
        await clinic.place.node.directory.put(
            changed(slow, sid=sid_for("PN", clinic.now), address=f"+1415666{n:04}", service_sid=None)
        )
    page = (await (await clinic.place.signed_in(Role.VIEWER)).get("/")).text
    assert len(re.findall('<span class="num">[+]1(?:500555|415666)', page)) == overview.MOST_QUEUES
    assert page.index(NUMBER) < page.index("+14156660000")
    assert "9 more senders" in page
    await clinic.wait(2 * MINUTE)


@pytest.mark.parametrize(
    ("state", "paused", "said"),
    [(State.READY, False, "Ready"), (State.FAILING, False, "Failing"), (State.DOWN, False, "Down"),
     (State.READY, True, "Paused")],
)  # fmt: skip
async def test_connections_are_shown_as_they_are(clinic: Reminders, state: State, paused: bool, said: str) -> None:
    opened = clinic.place.node.lanes.connections["sandbox"]
    opened.paused = paused
    condition = opened.connector.condition
    condition.state, condition.last_error, condition.last_error_at = state, "refused <b>", clinic.now
    person = await clinic.place.signed_in(Role.OWNER)
    ways = (await person.get("/")).text.partition('id="ways"')[2]
    assert f"</svg>{said}</span>" in ways
    assert "refused &lt;b&gt;" in ways
    assert "0/s" in ways
    assert "0.0/s" not in ways
    condition.state, opened.paused = State.READY, False


async def test_a_configured_connection_that_nobody_uses_is_shown_and_others_are_not(clinic: Reminders) -> None:
    place = clinic.place
    branch = await place.subaccount()
    at = clinic.now
    for name, account in (("carrier-one", place.account), ("theirs", branch)):
        made = Connection(
            sid=sid_for("CX", at), account_sid=account.sid, name=name, kind="x",
            sealed=place.node.directory.seal("{}"), created_at=at, updated_at=at,
        )  # fmt: skip
        await place.node.directory.put(made)
    await place.node.settle()
    person = await place.signed_in(Role.OWNER)
    page = (await person.get("/")).text
    assert "<strong>carrier-one</strong>" in page
    assert "<strong>theirs</strong>" not in page


async def test_a_subaccount_sees_its_own_figures_alone(clinic: Reminders) -> None:
    await clinic.day()
    opened = clinic.place.node.lanes.connections["sandbox"]
    opened.connector.condition.last_error = "of the main account"
    branch = await clinic.place.subaccount()
    person = await clinic.place.signed_in(Role.OWNER)
    await person.do("/account", AccountSid=branch.sid)
    assert set((await figures(person)).values()) == {"0", "–"}
    page = (await person.get("/")).text
    assert "of the main account" not in page
    assert NUMBER not in page


async def test_numbers_are_hidden_where_the_viewer_hides_them(clinic: Reminders) -> None:
    person = await clinic.place.signed_in(Role.VIEWER, hide_numbers=True)
    page = (await person.get("/")).text
    assert NUMBER not in page
    assert "••••06" in page


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_names_are_shown_as_text(clinic: Reminders, name: str) -> None:
    directory, account = clinic.place.node.directory, clinic.place.account
    sender = directory.sender_at(account.sid, NUMBER)
    assert sender is not None
    await directory.put(changed(sender, friendly_name=name[:64]))
    await directory.put(changed(account, friendly_name=name[:64]))
    page = (await (await clinic.place.signed_in()).get("/")).text
    assert not re.search(r"<script(?! src)|<img", page)


async def test_the_page_renews_its_figures_alone(clinic: Reminders) -> None:
    person = await clinic.place.signed_in(Role.VIEWER)
    seen = await person.get("/", {"hx-request": "true"})
    assert seen.text.lstrip().startswith('<div id="figures"')
    assert "<html" not in seen.text
    assert "Scheduled" in seen.text


async def test_it_is_where_people_come_to(place: Place) -> None:
    await place.user("Ann")
    person = place.somebody()
    assert (await person.sign_in("Ann")).location == "/"
    assert (await person.get("")).status == 200
    assert 'aria-current="page"' in (await person.get("/")).text


def test_the_minutes_are_an_hour_and_begin_now() -> None:
    now = Instant(17 * MINUTE + 3)
    minutes = overview._minutes(now)
    assert (minutes[0], minutes[1], minutes[-1]) == (now, 18 * MINUTE, 77 * MINUTE)
    assert len(minutes) == overview.MINUTES + 1
