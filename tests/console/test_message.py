"""A message's page: what it shows, its timeline, its pictures, and everything that can be done from there."""

import re
from html import unescape
from typing import Any

import pytest

from postdate.core.doubt import Verdict
from postdate.core.instant import DAY, HOUR, MINUTE, Instant, format_iso
from postdate.core.message import Message, Status
from postdate.core.resources import Role
from postdate.store.contract import AuditQuery
from tests.console.reminders import BUSY, DOUBTED, HOSTILE, NUMBER, PATIENT, REFUSED, UNREACHABLE, Reminders
from tests.console.visiting import Person, Seen

HTMX = {"hx-request": "true"}
_LIVE = re.compile(r'hx-get="/console(/messages/[^"]*)"')
_STEP = re.compile(r'<p class="name">([^<]*)')


def steps(seen: Seen) -> list[str]:
    """Return what the timeline says, in order."""
    assert seen.status == 200, seen
    return [unescape(name).strip() for name in _STEP.findall(seen.text)]


async def page(clinic: Reminders, message: Message, role: Role = Role.OWNER, **user: Any) -> Seen:
    """Return a message's page as somebody sees it."""
    return await (await clinic.place.signed_in(role, **user)).get(f"/messages/{message.sid}")


async def deeds(clinic: Reminders) -> list[tuple[str, str, str, int]]:
    """Return what the audit log has: deed, subject, detail, outcome."""
    rows = await clinic.place.node.store.audit(AuditQuery(account_sid=clinic.place.account.sid))
    return [(row.deed, row.subject, row.detail, row.outcome) for row in rows]


# -- what is shown ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "named"),
    [
        (PATIENT, ["Accepted", "The carrier took it", "Delivered to the handset", "Your server was told “Delivered”"]),
        (REFUSED, ["Accepted", "The carrier refused it", "Your server was told “Failed”"]),
        (UNREACHABLE, ["The carrier took it", "Not delivered", "Your server was told “Undelivered”"]),
        (BUSY, ["it waits and goes again", "The carrier took it", "Delivered to the handset"]),
        (DOUBTED, ["Accepted", "No answer: nobody knows whether the carrier has it"]),
    ],
)
async def test_the_timeline_tells_what_happened_in_its_order(clinic: Reminders, to: str, named: list[str]) -> None:
    told = steps(await page(clinic, await clinic.sent(to=to)))
    places = [next((place for place, one in enumerate(told) if name in one), -1) for name in named]
    assert -1 not in places, told
    assert places == sorted(places), told


async def test_a_scheduled_message_tells_when_it_goes_and_how_it_was_moved(clinic: Reminders) -> None:
    message = await clinic.write(ahead=2 * HOUR)
    await clinic.place.node.ingest.reschedule(clinic.place.account, message.sid, Instant(message.due_at + DAY))
    seen = await page(clinic, message, zone="Asia/Tokyo")
    assert steps(seen) == ["Scheduled", "Moved to another time"]
    assert "19 Mar 2030 04:46" in seen.text
    assert "18 Mar 2030 04:46" in seen.text


async def test_a_call_is_shown_with_what_was_sent_and_answered(clinic: Reminders) -> None:
    message = await clinic.sent()
    text = unescape((await page(clinic, message)).text)
    assert "<code>MessageStatus</code>" in text
    assert clinic.clinic.status_url in text
    assert "204" in text


async def test_segments_are_counted_and_shown_part_by_part(clinic: Reminders) -> None:
    body = "Dear Ann, thank you for your visit today. " * 5
    text = (await page(clinic, await clinic.sent(body))).text
    assert "2 segments" in text
    assert "GSM-7" in text
    assert "153 characters" in text
    assert "UCS-2" in (await page(clinic, await clinic.sent("ご予約は明日です。"), name="B")).text


@pytest.mark.parametrize("language", ["en", "ja"])
async def test_an_error_is_explained_with_its_remedy(clinic: Reminders, language: str) -> None:
    message = await clinic.sent(to=UNREACHABLE)
    text = (await page(clinic, message, language=language)).text
    assert "30003" in text
    assert {"en": "The handset could not be reached", "ja": "端末"}[language] in text
    assert {"en": "Try again later", "ja": "時間をおいて再送してください"}[language] in text


async def test_the_api_s_own_view_is_there(clinic: Reminders) -> None:
    message = await clinic.sent("Hi & bye")
    text = unescape((await page(clinic, message)).text)
    assert f'"sid": "{message.sid}"' in text
    assert '"body": "Hi & bye"' in text


async def test_neighbours_are_the_other_messages_of_the_recipient(clinic: Reminders) -> None:
    first, second = await clinic.sent("One"), await clinic.sent("Two")
    await clinic.sent("Three", to="+14155550101")
    person = await clinic.place.signed_in()
    found = re.search(r'href="/console(/messages\?To=[^"]*)"', (await person.get(f"/messages/{first.sid}")).text)
    assert found is not None
    listed = (await person.get(unescape(found[1]))).text
    assert re.findall(r'id="m-(\w+)"', listed) == [second.sid, first.sid]


@pytest.mark.parametrize("body", HOSTILE)
async def test_a_hostile_body_is_shown_as_it_is(clinic: Reminders, body: str) -> None:
    text = (await page(clinic, await clinic.sent(body))).text
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert body.replace("\r\n", "\n") in unescape(text).replace("\r\n", "\n")


async def test_what_is_hidden_is_nowhere_in_the_page(clinic: Reminders) -> None:
    message = await clinic.sent("Your results are in", options=clinic.tagged(patient="Ann"))
    text = unescape((await page(clinic, message, hide_numbers=True)).text)
    assert "results are in" not in text
    assert '"Ann"' not in text
    assert NUMBER not in text
    assert text.count(PATIENT) == 0, "not in the calls either"


async def test_a_stranger_s_message_is_not_there(clinic: Reminders) -> None:
    message = await clinic.sent()
    branch = await clinic.place.subaccount()
    stranger = await clinic.place.browser_of(await clinic.place.user("S", None, roles={branch.sid: Role.OWNER}))
    for path in ("", "/media/ME" + "0" * 32):
        assert (await stranger.get(f"/messages/{message.sid}{path}")).status == 404
    for deed in ("cancel", "redact", "delete", "resolve", "reschedule"):
        form = {"SendAt": "2030-03-19T14:00", "InDoubt": "sent"}
        assert (await stranger.do(f"/messages/{message.sid}/{deed}", **form)).status in (400, 404)
    assert await clinic.now_of(message.sid) == message


async def test_news_come_only_where_there_are_any(clinic: Reminders) -> None:
    message = await clinic.write(ahead=2 * HOUR)
    person = await clinic.place.signed_in()
    live = _LIVE.search((await person.get(f"/messages/{message.sid}")).text)
    assert live is not None
    assert (await person.get(unescape(live[1]), HTMX)).status == 204
    await clinic.place.node.ingest.cancel(clinic.place.account, message.sid)
    news = await person.get(unescape(live[1]), HTMX)
    assert "Canceled" in news.text
    assert news.text.lstrip().startswith('<div id="message"')
    assert not _LIVE.search(news.text), "nothing more is to come"


# -- media ------------------------------------------------------------------------------------------------------------


async def test_a_picture_is_shown_with_headers_that_let_it_do_nothing(clinic: Reminders) -> None:
    message = await clinic.sent("Your code", media_urls=(clinic.clinic.picture_url,))
    person = await clinic.place.signed_in(Role.VIEWER)
    text = (await person.get(f"/messages/{message.sid}")).text
    found = re.search(r'<img src="/console(/messages/\w+/media/\w+)"', text)
    assert found is not None
    async with person.browser.get(f"{person.url}/console{found[1]}") as answer:
        assert await answer.read() == clinic.clinic.picture
        assert answer.headers["Content-Type"] == "image/png"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'; sandbox" in answer.headers.getall("Content-Security-Policy")
    assert "<img" not in (await page(clinic, message, name="Shy", hide_numbers=True)).text
    other = await clinic.sent()
    assert (await person.get(found[1].replace(message.sid, other.sid))).status == 404


async def test_media_that_are_to_be_fetched_are_named(clinic: Reminders) -> None:
    message = await clinic.write("Your code", ahead=2 * HOUR, media_urls=(clinic.clinic.picture_url,))
    text = (await page(clinic, message)).text
    assert "when the message is sent" in text
    assert clinic.clinic.picture_url in text


# -- what is done -----------------------------------------------------------------------------------------------------


async def do(person: Person, message: Message, deed: str, **form: str) -> Seen:
    """Send a form of the message's page."""
    return await person.do(f"/messages/{message.sid}/{deed}", **form)


async def test_a_scheduled_message_is_canceled_and_never_sent(clinic: Reminders) -> None:
    message = await clinic.write(ahead=2 * HOUR)
    person = await clinic.place.signed_in(Role.OPERATOR)
    path = f"/messages/{message.sid}"
    assert (await person.send(path, f"{path}/cancel")).location == path
    assert "It will not be sent" in (await person.get(path)).text
    await clinic.wait(3 * HOUR)
    assert (await clinic.now_of(message.sid)).status is Status.CANCELED
    assert not clinic.place.node.sandbox.inbox(PATIENT)
    assert await deeds(clinic) == [("messages.cancel", message.sid, "", 0)]


async def test_what_was_sent_meanwhile_is_said_to_be_too_late(clinic: Reminders) -> None:
    message = await clinic.write(ahead=2 * HOUR)
    person = await clinic.place.signed_in(Role.OPERATOR)
    await clinic.wait(3 * HOUR)
    seen = await do(person, message, "cancel")
    assert seen.status == 409
    assert "cannot be canceled" in seen.text
    assert await deeds(clinic) == [("messages.cancel", message.sid, "", 30409)]


async def test_a_message_is_moved_to_a_time_of_the_viewers_zone(clinic: Reminders) -> None:
    message = await clinic.write(ahead=2 * HOUR)
    person = await clinic.place.signed_in(Role.OPERATOR, zone="Asia/Tokyo")
    path = f"/messages/{message.sid}"
    seen = await person.send(path, f"{path}/reschedule", SendAt="2030-03-19T14:00")
    assert seen.location == path
    assert format_iso((await clinic.now_of(message.sid)).due_at) == "2030-03-19T05:00:00Z"
    assert await deeds(clinic) == [("messages.reschedule", message.sid, "2030-03-19T05:00:00Z", 0)]


@pytest.mark.parametrize(
    ("text", "zone", "said"),
    [
        ("", "Asia/Tokyo", "not a date and time"),
        ("soon", "Asia/Tokyo", "not a date and time"),
        ("2030-03-18T03:00", "Asia/Tokyo", "schedule window"),  # 13 minutes ahead
        ("2030-05-18T03:00", "Asia/Tokyo", "schedule window"),
        ("2030-03-31T02:30", "Europe/Berlin", "no such time in Europe/Berlin"),
    ],
)
async def test_a_time_that_cannot_be_is_kept_with_the_reason(
    clinic: Reminders, text: str, zone: str, said: str
) -> None:
    message = await clinic.write(ahead=2 * HOUR)
    seen = await do(await clinic.place.signed_in(zone=zone), message, "reschedule", SendAt=text)
    assert seen.status == 400
    assert said in unescape(seen.text)
    assert f'value="{text}"' in seen.text
    assert '<details id="move" open>' in seen.text
    assert (await clinic.now_of(message.sid)).due_at == message.due_at


@pytest.mark.parametrize(
    ("choice", "status", "code"),
    [
        (Verdict.SENT, Status.SENT, None),
        (Verdict.FAILED, Status.FAILED, 30008),
        (Verdict.RETRY, Status.DELIVERED, None),
    ],
)
async def test_a_message_in_doubt_is_resolved_by_hand(
    clinic: Reminders, choice: Verdict, status: Status, code: int | None
) -> None:
    message = await clinic.sent(to=DOUBTED)
    assert message.doubt_at is not None
    person = await clinic.place.signed_in(Role.OPERATOR)
    path = f"/messages/{message.sid}"
    shown = (await person.get(path)).text
    assert "Nobody knows whether this message was sent" in shown
    assert "gets it twice" in shown
    assert (await person.do(f"{path}/resolve", InDoubt=choice)).location == path
    await clinic.wait()
    after = await clinic.now_of(message.sid)
    assert (after.status, after.error_code, after.doubt_at) == (status, code, None)
    assert "Resolved by hand" in steps(await person.get(path))
    assert await deeds(clinic) == [("messages.resolve", message.sid, str(choice), 0)]


async def test_only_what_is_in_doubt_is_resolved_and_only_by_a_choice(clinic: Reminders) -> None:
    message = await clinic.sent()
    person = await clinic.place.signed_in()
    assert (await do(person, message, "resolve", InDoubt="sent")).status == 409
    for wrong in ({}, {"InDoubt": ""}, {"InDoubt": "perhaps"}):
        assert (await do(person, message, "resolve", **wrong)).status == 400
    assert await clinic.now_of(message.sid) == message


async def test_the_text_is_emptied_and_the_message_deleted(clinic: Reminders) -> None:
    message = await clinic.sent("Your results are in")
    person = await clinic.place.signed_in(Role.OPERATOR)
    path = f"/messages/{message.sid}"
    assert (await person.send(path, f"{path}/redact")).location == path
    assert "results are in" not in (await person.get(path)).text
    assert (await clinic.now_of(message.sid)).body == ""
    assert (await person.send(path, f"{path}/delete")).location == "/messages"
    assert "The message was deleted." in (await person.get("/messages")).text
    assert (await person.get(path)).status == 404


@pytest.mark.parametrize("deed", ["redact", "delete"])
async def test_what_is_not_final_is_neither_emptied_nor_deleted(clinic: Reminders, deed: str) -> None:
    message = await clinic.write(ahead=2 * HOUR)
    assert (await do(await clinic.place.signed_in(), message, deed)).status == 409
    assert await clinic.now_of(message.sid) == message


@pytest.mark.parametrize(
    ("to", "ahead", "offered"),
    [
        (PATIENT, 2 * HOUR, {"cancel", "reschedule"}),
        (PATIENT, 0, {"redact", "delete"}),
        (DOUBTED, 0, {"resolve"}),
    ],
)
async def test_what_can_be_done_is_offered_to_those_who_may(
    clinic: Reminders, to: str, ahead: int, offered: set[str]
) -> None:
    message = await clinic.write(to=to, ahead=ahead)
    await clinic.wait(MINUTE)
    found = {}
    for role in Role:
        text = (await page(clinic, message, role)).text
        found[role] = set(re.findall(rf'action="/console/messages/{message.sid}/(\w+)"', text))
    assert found == {Role.VIEWER: set(), Role.OPERATOR: offered, Role.OWNER: offered}
