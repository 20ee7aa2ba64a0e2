"""What goes out next: days and hours, choosing, canceling, and an answer that is true."""

import re
from html import unescape

import pytest

from postdate.console.screens import agenda
from postdate.core.instant import DAY, HOUR, MINUTE
from postdate.core.message import Status
from postdate.core.resources import Role
from postdate.store.contract import AuditQuery
from tests.console.reminders import HOSTILE, PATIENT, Reminders
from tests.console.visiting import Person, Seen

HTMX = {"hx-request": "true"}
_SID = re.compile(r'name="Sid" value="(\w+)"')
_HOUR = re.compile(r'name="Hour" value="(\d+-\d+)"[^>]*data-count="(\d+)"')
_DAY = re.compile(
    r'<a href="/console(/agenda[^"]*)" class="day[^"]*"(?: aria-current="date")?>.*?<strong>([^<]*)</strong>'
)
_LIVE = re.compile(r'hx-get="/console(/agenda[^"]*)"')


def chosen_from(seen: Seen) -> list[str]:
    """Return the SIDs that can be chosen, in order."""
    assert seen.status == 200, seen
    return _SID.findall(seen.text)


def hours(seen: Seen) -> dict[str, int]:
    """Return the hours that can be chosen, with their counts."""
    return {key: int(count) for key, count in _HOUR.findall(seen.text)}


async def choose(person: Person, page: Seen, **chosen: list[str]) -> Seen:
    """Send the agenda's form with some of it chosen."""
    pairs = [*page.hidden("/agenda").items(), *((name, value) for name, values in chosen.items() for value in values)]
    url = f"{person.url}/console/agenda"
    async with person.browser.post(url, data=pairs, headers={"accept": "text/html"}, allow_redirects=False) as answer:
        return Seen(answer.status, answer.headers, await answer.text(), [])


async def test_an_empty_day_says_what_will_be_there(clinic: Reminders) -> None:
    seen = await (await clinic.place.signed_in(Role.VIEWER)).get("/agenda")
    assert "Nothing goes out on this day" in seen.text
    assert len(_DAY.findall(seen.text)) == agenda.DAYS


async def test_messages_stand_in_the_days_and_hours_of_the_viewers_zone(clinic: Reminders) -> None:
    # It is 17:46:40 UTC, 02:46:40 of the next day in Tokyo.
    soon = await clinic.write("Soon", ahead=2 * HOUR)  # 04:46 in Tokyo
    later = await clinic.write("Later", ahead=2 * HOUR + 20 * MINUTE)  # 05:06
    morrow = await clinic.write("Tomorrow", ahead=DAY + 2 * HOUR)
    person = await clinic.place.signed_in(zone="Asia/Tokyo")
    today = await person.get("/agenda")
    assert chosen_from(today) == [soon.sid, later.sid]
    assert re.findall(r'<h3 id="hour-\d+">([^<]*)</h3>', today.text) == ["04:00 – 05:00", "05:00 – 06:00"]
    assert list(hours(today).values()) == [1, 1]
    days = [(unescape(path), count) for path, count in _DAY.findall(today.text)][:3]
    assert days == [("/agenda", "2"), ("/agenda?Day=2030-03-19", "1"), ("/agenda?Day=2030-03-20", "0")]
    assert chosen_from(await person.get("/agenda?Day=2030-03-19")) == [morrow.sid]
    elsewhere = await clinic.place.signed_in(name="B", zone="America/New_York")  # 13:46 of the day before
    assert chosen_from(await elsewhere.get("/agenda")) == [soon.sid, later.sid]
    assert chosen_from(await elsewhere.get("/agenda?Day=2030-03-19")) == []


@pytest.mark.parametrize(("zone", "named"), [("Asia/Tokyo", ["Asia/Tokyo"]), ("UTC", [])])
async def test_the_zone_is_named_once(clinic: Reminders, zone: str, named: list[str]) -> None:
    page = (await (await clinic.place.signed_in(zone=zone)).get("/agenda")).text
    (head,) = re.findall(r"<h2>(<time.*?)</h2>", page)
    assert re.findall(r"<small[^>]*>(.*?)</small>", head) == named


async def test_a_service_s_messages_alone(clinic: Reminders) -> None:
    await clinic.write(ahead=2 * HOUR)
    person = await clinic.place.signed_in()
    assert len(chosen_from(await person.get(f"/agenda?Service={clinic.service.sid}"))) == 1
    assert chosen_from(await person.get(f"/agenda?Service=MG{'0' * 32}")) == []


@pytest.mark.parametrize(
    "query", ["Day=x", "Day=0000-00-00", "Day=99999-01-01", "Service=x", "After=x", "Day=9999-12-31"]
)
async def test_what_means_nothing_shows_today(clinic: Reminders, query: str) -> None:
    message = await clinic.write(ahead=2 * HOUR)
    assert chosen_from(await (await clinic.place.signed_in()).get(f"/agenda?{query}")) == [message.sid]


async def test_the_answer_says_how_many_were_canceled_and_which_were_too_late(clinic: Reminders) -> None:
    kept = await clinic.write("Kept", ahead=2 * HOUR)
    gone = [await clinic.write(f"No. {n}", f"+1415555020{n}", 2 * HOUR + MINUTE) for n in range(3)]
    late = await clinic.write("Too late", "+14155550300", ahead=61 * MINUTE)
    person = await clinic.place.signed_in(Role.OPERATOR)
    page = await person.get("/agenda")
    await clinic.wait(70 * MINUTE)
    sids = [*(message.sid for message in gone), late.sid, "SM" + "0" * 32]
    seen = await choose(person, page, Sid=[*sids, gone[0].sid])
    text = unescape(seen.text)
    assert seen.status == 200
    assert ("3 canceled" in text, "1 was too late" in text, "1 is not there any more" in text) == (True, True, True)
    assert f"/console/messages/{late.sid}" in text
    assert [(await clinic.now_of(message.sid)).status for message in gone] == [Status.CANCELED] * 3
    assert (await clinic.now_of(late.sid)).status is Status.DELIVERED
    assert (await clinic.now_of(kept.sid)).status is Status.SCHEDULED
    rows = await clinic.place.node.store.audit(AuditQuery(account_sid=clinic.place.account.sid))
    assert [(row.deed, row.detail, row.outcome) for row in rows] == [("agenda.cancel", "3/5", 0)]


async def test_an_hour_is_all_of_its_messages_as_they_were_when_it_was_shown(
    clinic: Reminders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agenda, "PAGE_SIZE", 3)
    ahead = 2 * HOUR + 20 * MINUTE  # the hour begins at 20:00 UTC
    inside = [await clinic.write(f"No. {n}", f"+1415555020{n}", ahead + n * MINUTE) for n in range(8)]
    outside = await clinic.write("After", ahead=4 * HOUR)
    person = await clinic.place.signed_in(Role.OPERATOR)
    page = await person.get("/agenda")
    assert chosen_from(page) == [message.sid for message in inside[:3]]
    assert list(hours(page).values()) == [8]
    await clinic.wait(1)
    new = await clinic.write("New", ahead=ahead)
    seen = await choose(person, page, Hour=list(hours(page)))
    assert "8 canceled" in seen.text
    assert {(await clinic.now_of(message.sid)).status for message in inside} == {Status.CANCELED}
    assert {(await clinic.now_of(message.sid)).status for message in (outside, new)} == {Status.SCHEDULED}


async def test_what_is_chosen_in_two_ways_is_canceled_once(clinic: Reminders) -> None:
    message = await clinic.write(ahead=2 * HOUR)
    person = await clinic.place.signed_in()
    page = await person.get("/agenda")
    assert "1 canceled" in (await choose(person, page, Sid=[message.sid], Hour=list(hours(page)))).text


async def test_more_than_is_done_at_once_is_said(clinic: Reminders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agenda, "MOST_AT_ONCE", 4)
    for n in range(6):
        await clinic.write(f"No. {n}", f"+1415555020{n}", 2 * HOUR + 20 * MINUTE)
    person = await clinic.place.signed_in()
    page = await person.get("/agenda")
    seen = await choose(person, page, Hour=list(hours(page)))
    assert ("4 canceled" in seen.text, "Stopped" in seen.text) == (True, True)
    assert "2 canceled" in (await choose(person, seen, Hour=list(hours(seen)))).text


@pytest.mark.parametrize(
    "chosen", [{}, {"Hour": ["x"]}, {"Hour": ["0-99999999999999"]}, {"Hour": ["5-4"]}, {"Sid": []}]
)
async def test_nothing_is_canceled_where_nothing_is_chosen(clinic: Reminders, chosen: dict[str, list[str]]) -> None:
    message = await clinic.write(ahead=2 * HOUR)
    person = await clinic.place.signed_in()
    seen = await choose(person, await person.get("/agenda"), **chosen)
    assert seen.status == 400
    assert 'role="alert"' in seen.text
    assert (await clinic.now_of(message.sid)).status is Status.SCHEDULED


async def test_a_viewer_chooses_nothing(clinic: Reminders) -> None:
    await clinic.write(ahead=2 * HOUR)
    text = (await (await clinic.place.signed_in(Role.VIEWER)).get("/agenda")).text
    assert PATIENT in text
    assert 'type="checkbox"' not in text


async def test_pages_go_on_where_the_last_one_ended(clinic: Reminders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agenda, "PAGE_SIZE", 3)
    made = [(await clinic.write(f"No. {n}", ahead=2 * HOUR + n * MINUTE)).sid for n in range(5)]
    person = await clinic.place.signed_in()
    first = await person.get("/agenda")
    further = re.search(r'rel="next" href="/console([^"]*)"', first.text)
    assert further is not None
    second = await person.get(unescape(further[1]))
    assert chosen_from(first) + chosen_from(second) == made
    assert 'rel="prev" href="/console/agenda"' in second.text


async def test_news_come_only_where_there_are_any(clinic: Reminders) -> None:
    await clinic.write(ahead=2 * HOUR)
    person = await clinic.place.signed_in()
    live = _LIVE.search((await person.get("/agenda")).text)
    assert live is not None
    assert (await person.get(unescape(live[1]), HTMX)).status == 204
    new = await clinic.write(ahead=3 * HOUR)
    news = await person.get(unescape(live[1]), HTMX)
    assert new.sid in news.text
    assert news.text.lstrip().startswith('<div id="plan"')


async def test_hostile_and_hidden_bodies(clinic: Reminders) -> None:
    for n, body in enumerate(HOSTILE):
        await clinic.write(body, ahead=2 * HOUR + n * MINUTE)
    text = (await (await clinic.place.signed_in()).get("/agenda")).text
    assert "<script>alert" not in text
    assert "<img" not in text
    shy = (await (await clinic.place.signed_in(name="Shy", hide_numbers=True)).get("/agenda")).text
    assert "alert(1)" not in shy
    assert PATIENT not in shy


async def test_an_account_s_agenda_is_its_own(clinic: Reminders) -> None:
    message = await clinic.write(ahead=2 * HOUR)
    branch = await clinic.place.subaccount()
    person = await clinic.place.browser_of(await clinic.place.user("S", None, roles={branch.sid: Role.OWNER}))
    assert chosen_from(await person.get("/agenda")) == []
    own = await person.do("/agenda", Sid=message.sid)
    assert "1 is not there any more" in own.text
    assert (await clinic.now_of(message.sid)).status is Status.SCHEDULED
