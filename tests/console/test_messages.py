"""The log of messages: filters, search, pages, news, the file for a spreadsheet, and what is hostile in it."""

import csv
import io
import re
from html import unescape

import pytest

from postdate.console.screens.messages import PAGE_SIZE
from postdate.core.instant import HOUR
from postdate.core.resources import Role
from tests.console.reminders import DOUBTED, HOSTILE, NUMBER, PATIENT, REFUSED, UNREACHABLE, Reminders
from tests.console.visiting import Place, Seen

HTMX = {"hx-request": "true"}
_ROW = re.compile(r'id="m-([A-Z]{2}[0-9a-f]{32})"')
_LIVE = re.compile(r'hx-get="/console(/messages[^"]*)"')


def listed(seen: Seen) -> list[str]:
    """Return the SIDs of the rows, in order."""
    assert seen.status == 200, seen
    return _ROW.findall(seen.text)


def link(seen: Seen, rel: str) -> str:
    """Return where the pager leads."""
    found = re.search(rf'rel="{rel}" href="/console([^"]*)"', seen.text)
    return unescape(found[1]) if found else ""


async def many(clinic: Reminders, number: int) -> list[str]:
    """Send messages, one after the other; return their SIDs, newest first."""
    made = []
    for n in range(number):
        made.append((await clinic.write(f"No. {n}")).sid)
        await clinic.wait(1_000_000)
    return made[::-1]


# -- filters ----------------------------------------------------------------------------------------------------------


async def test_an_empty_log_says_what_will_be_there(place: Place) -> None:
    seen = await (await place.signed_in(Role.VIEWER)).get("/messages")
    assert "No messages yet" in seen.text
    assert "No message matches" in (await (await place.signed_in(name="B")).get("/messages?Status=failed")).text


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"failed", "undelivered", "doubt", "scheduled", "delivered", "received"}),
        ("Status=failed", {"failed"}),
        ("Status=scheduled", {"scheduled"}),
        ("Direction=inbound", {"received"}),
        ("Direction=outbound-api&Status=delivered", {"delivered"}),
        ("ErrorCode=30003", {"undelivered"}),
        ("InDoubt=true", {"doubt"}),
        (f"To={PATIENT.replace('+', '%2B')}", {"delivered", "scheduled"}),
        ("To=%2B1+415-555-0100", {"delivered", "scheduled"}),
        (f"From={PATIENT.replace('+', '%2B')}", {"received"}),
        ("Search=5550002", {"undelivered"}),
        ("Search=555-0002", {"undelivered"}),
        ("Since=2030-03-17&Until=2030-03-17", {"failed", "undelivered", "doubt", "scheduled", "delivered", "received"}),
        ("Since=2030-03-18", set()),
        ("Until=2030-03-16", set()),
        ("Status=failed&ErrorCode=30003", set()),
        # What means nothing is left out, and said.
        ("Status=nothing", {"failed", "undelivered", "doubt", "scheduled", "delivered", "received"}),
    ],
)
async def test_filters_find_what_they_say(clinic: Reminders, query: str, expected: set[str]) -> None:
    made = {
        "delivered": await clinic.write(),
        "failed": await clinic.write("Crown", REFUSED),
        "undelivered": await clinic.write("Results", UNREACHABLE),
        "doubt": await clinic.write("Call", DOUBTED),
        "scheduled": await clinic.write("Tomorrow", ahead=2 * HOUR),
    }
    await clinic.wait()
    await clinic.answer("Yes")
    seen = await (await clinic.place.signed_in(Role.VIEWER)).get(f"/messages?{query}")
    names = {message.sid: name for name, message in made.items()}
    assert {names.get(sid, "received") for sid in listed(seen)} == expected


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("Search=zz", "neither a SID nor a number"),
        ("Search=SM12", "first 8 characters"),
        ("Search=123", "at least 4 digits"),
        ("Status=perhaps", "not one of the choices"),
        ("Direction=up", "not one of the choices"),
        ("Service=x", "not one of the choices"),
        ("Since=2026-02-30", "is not a day"),
        ("Until=tomorrow", "is not a day"),
        ("ErrorCode=x1", "not an error code"),
    ],
)
async def test_a_filter_that_means_nothing_is_said_kept_and_left_out(clinic: Reminders, query: str, said: str) -> None:
    message = await clinic.write()
    seen = await (await clinic.place.signed_in()).get(f"/messages?{query}")
    assert said in unescape(seen.text)
    assert query.partition("=")[2] in seen.text, "what was given stays in its field"
    assert listed(seen) == [message.sid]


async def test_a_whole_sid_leads_to_its_message_and_its_beginning_finds_it(clinic: Reminders) -> None:
    message = await clinic.write()
    person = await clinic.place.signed_in()
    assert (await person.get(f"/messages?Search={message.sid}")).location == f"/messages/{message.sid}"
    assert listed(await person.get(f"/messages?Search={message.sid[:12]}")) == [message.sid]
    assert listed(await person.get(f"/messages?Search={message.sid[:12].lower()}")) == [message.sid]
    assert listed(await person.get(f"/messages?Search=SM{'0' * 32}")) == []


async def test_days_are_those_of_the_viewers_zone(clinic: Reminders) -> None:
    message = await clinic.write()  # at 17:46 UTC, which is the next day in Tokyo
    days = {}
    for zone in ("UTC", "Asia/Tokyo"):
        person = await clinic.place.signed_in(name=zone, zone=zone)
        days[zone] = [
            day for day in (17, 18) if listed(await person.get(f"/messages?Since=2030-03-{day}&Until=2030-03-{day}"))
        ]
    assert days == {"UTC": [17], "Asia/Tokyo": [18]}
    assert message.listed_at == clinic.now


# -- pages ------------------------------------------------------------------------------------------------------------


async def test_pages_lead_back_and_forth_and_keep_their_filters(clinic: Reminders) -> None:
    newest_first = await many(clinic, 2 * PAGE_SIZE + 7)
    await clinic.wait()
    person = await clinic.place.signed_in()
    first = await person.get("/messages?Direction=outbound-api")
    second = await person.get(link(first, "next"))
    third = await person.get(link(second, "next"))
    pages = [listed(first), listed(second), listed(third)]
    assert pages == [newest_first[:PAGE_SIZE], newest_first[PAGE_SIZE : 2 * PAGE_SIZE], newest_first[2 * PAGE_SIZE :]]
    assert (link(first, "prev"), link(third, "next")) == ("", "")
    assert all("Direction=outbound-api" in link(page, rel) for page, rel in ((second, "prev"), (third, "prev")))
    back = await person.get(link(third, "prev"))
    assert listed(back) == pages[1]
    assert (await person.get(link(back, "prev"))).location == "/messages?Direction=outbound-api"


@pytest.mark.parametrize("after", ["x", "1-SM", "-1-SM" + "0" * 32, "9" * 30 + "-SM" + "0" * 32])
async def test_a_place_that_is_none_is_the_first_page(clinic: Reminders, after: str) -> None:
    message = await clinic.write()
    assert listed(await (await clinic.place.signed_in()).get(f"/messages?After={after}")) == [message.sid]


# -- news -------------------------------------------------------------------------------------------------------------


async def test_news_come_as_rows_alone_and_only_where_there_are_any(clinic: Reminders) -> None:
    first = await clinic.sent()
    person = await clinic.place.signed_in()
    page = await person.get("/messages?Direction=outbound-api")
    live = _LIVE.search(page.text)
    assert live is not None
    path = unescape(live[1])
    quiet = await person.get(path, HTMX)
    assert (quiet.status, quiet.text) == (204, "")
    second = await clinic.sent("New")
    news = await person.get(path, HTMX)
    assert listed(news) == [second.sid, first.sid]
    assert "<html" not in news.text
    assert news.text.lstrip().startswith('<div id="log"')
    again = _LIVE.search(news.text)
    assert again is not None
    assert (await person.get(unescape(again[1]), HTMX)).status == 204


async def test_only_the_first_page_is_live(clinic: Reminders) -> None:
    await many(clinic, PAGE_SIZE + 1)
    await clinic.wait()
    person = await clinic.place.signed_in()
    first = await person.get("/messages")
    assert _LIVE.search(first.text)
    assert not _LIVE.search((await person.get(link(first, "next"))).text)


# -- the file ---------------------------------------------------------------------------------------------------------


def rows(seen: Seen) -> list[dict[str, str]]:
    """Return the lines of a CSV file."""
    assert seen.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert seen.headers["Content-Disposition"].startswith('attachment; filename="messages-')
    assert seen.text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(seen.text.removeprefix("\ufeff"), newline=""), strict=True))


async def test_the_file_has_what_the_filters_find_over_all_pages(clinic: Reminders) -> None:
    newest_first = await many(clinic, PAGE_SIZE + 3)
    await clinic.sent("Crown", REFUSED)
    person = await clinic.place.signed_in(Role.VIEWER)
    found = rows(await person.get("/messages.csv?Status=delivered"))
    assert [row["sid"] for row in found] == newest_first
    assert found[0] | {"body": "", "date_sent": ""} == found[0] | {
        "status": "delivered", "direction": "outbound-api", "from": f"'{NUMBER}", "to": f"'{PATIENT}", "error_code": "",
        "messaging_service_sid": clinic.service.sid, "num_segments": "1", "body": "", "date_sent": "",
    }  # fmt: skip
    (failed,) = rows(await person.get("/messages.csv?ErrorCode=30004"))
    assert (failed["status"], failed["error_code"]) == ("failed", "30004")


async def test_the_file_holds_no_formula_and_keeps_hostile_bodies_whole(clinic: Reminders) -> None:
    for body in HOSTILE:
        await clinic.write(body)
    await clinic.wait()
    found = rows(await (await clinic.place.signed_in()).get("/messages.csv"))
    bodies = [row["body"] for row in found]
    assert {body.removeprefix("'") for body in bodies} == set(HOSTILE)
    assert not [body for body in bodies if body.startswith(("=", "+", "-", "@"))]


async def test_filters_that_mean_nothing_make_no_file(clinic: Reminders) -> None:
    assert (await (await clinic.place.signed_in()).get("/messages.csv?Since=x")).location == "/messages?Since=x"


# -- what is hostile, hidden, and others' -----------------------------------------------------------------------------


async def test_hostile_bodies_are_shown_as_they_are(clinic: Reminders) -> None:
    for body in HOSTILE:
        await clinic.write(body)
    text = (await (await clinic.place.signed_in()).get("/messages")).text
    assert "<script>alert" not in text
    assert "<img" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "{{ 7*7 }}" in text


async def test_numbers_and_bodies_are_hidden_from_whoever_hides_them(clinic: Reminders) -> None:
    await clinic.sent("Your results are in")
    person = await clinic.place.signed_in(hide_numbers=True)
    text = (await person.get("/messages")).text
    assert "Your results" not in text
    assert PATIENT not in text
    assert "••••00" in text


async def test_an_account_sees_its_own_messages_only(clinic: Reminders) -> None:
    message = await clinic.sent()
    branch = await clinic.place.subaccount()
    user = await clinic.place.user("Stranger", None, roles={branch.sid: Role.OWNER})
    person = await clinic.place.browser_of(user)
    assert listed(await person.get("/messages")) == []
    assert message.sid not in (await person.get("/messages.csv")).text
    assert (await person.get(f"/messages?Search={message.sid}")).status == 200
    assert (await person.get(f"/messages/{message.sid}")).status == 404


async def test_times_are_in_the_viewers_zone_with_utc_beside(clinic: Reminders) -> None:
    await clinic.write()
    text = (await (await clinic.place.signed_in(zone="Asia/Tokyo", language="ja")).get("/messages")).text
    assert "2030/03/18 02:46:40" in text
    assert '<span class="utc">2030-03-17 17:46:40 UTC</span>' in text
    assert "メッセージログ" in text
