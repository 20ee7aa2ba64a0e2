"""Writing a message: to one and several, now and later, never twice, with every input kept where it cannot be sent."""

import re
from html import unescape

import pytest

from postdate.core.instant import DAY, HOUR, MINUTE, Instant, format_iso
from postdate.core.message import Message, Status
from postdate.core.resources import Role, Sender, Service
from postdate.flow.directory import changed
from postdate.store.contract import MessageQuery
from tests.console.reminders import HOSTILE, NUMBER, PATIENT, Reminders
from tests.console.visiting import Person, Place, Seen

OTHER = "+819012345678"
LATER = {"When": "later", "Zone": "UTC", "Day": "2030-03-18", "Time": "09:00"}


async def messages(clinic: Reminders) -> list[Message]:
    """Return all messages of the clinic."""
    query = MessageQuery(account_sid=clinic.place.account.sid, limit=100)
    return (await clinic.place.node.store.search(query)).messages


async def written(person: Person, clinic: Reminders, **form: str) -> Seen:
    """Send the form as it stands in the page, filled in."""
    given = {"From": clinic.service.sid, "To": PATIENT, "Body": "Hi", "When": "now", **form}
    return await person.send("/compose", "/compose", **given)


async def test_one_message_is_sent_and_linked(clinic: Reminders) -> None:
    person = await clinic.place.signed_in(Role.OPERATOR)
    seen = await written(person, clinic, Body="one\r\ntwo")
    (message,) = await messages(clinic)
    assert (message.recipient, message.body, message.service_sid) == (PATIENT, "one\ntwo", clinic.service.sid)
    page = (await person.get(seen.location)).text
    assert f'href="/console/messages/{message.sid}"' in page
    assert "1 message accepted." in page
    assert 'name="Body" rows="6" maxlength="1600" class="grows" dir="auto">\n</textarea>' in page


async def test_several_are_sent_each_once(clinic: Reminders) -> None:
    person = await clinic.place.signed_in(Role.OPERATOR)
    seen = await written(person, clinic, To=f" {PATIENT}\r\n{OTHER}, {PATIENT};\r\n\r\n", MediaUrl="", SmartEncoded="")
    assert sorted(one.recipient for one in await messages(clinic)) == [PATIENT, OTHER]
    assert (await person.get(seen.location)).text.count('class="outcomes"') == 1


async def test_what_was_rejected_stays_to_be_mended_and_nothing_goes_twice(clinic: Reminders) -> None:
    person = await clinic.place.signed_in(Role.OPERATOR)
    form = (await person.get("/compose")).hidden("/compose")
    given = {**form, "From": clinic.service.sid, "Body": "Hi <b>", "When": "now"}
    seen = await person.post("/compose", {**given, "To": f"{PATIENT}\n12\n{OTHER}"})
    assert seen.status == 200
    assert "2 of 3 were accepted" in seen.text
    assert re.search(r'name="To"[^>]*>\n12</textarea>', seen.text)
    assert "Hi &lt;b&gt;" in seen.text
    assert "21211" in seen.text
    assert seen.hidden("/compose")["Once"] == form["Once"]
    # Sent again as it was, and with the number mended: those that were accepted are not sent again.
    await person.post("/compose", {**given, "To": f"{PATIENT}\n12\n{OTHER}"})
    await person.post("/compose", {**given, "To": f"{PATIENT}\n+14155550112\n{OTHER}"})
    assert {one.recipient for one in await messages(clinic)} == {PATIENT, OTHER, "+14155550112"}
    assert len(await messages(clinic)) == 3
    # Another text is another message, and so is a form that was opened anew.
    await person.post("/compose", {**given, "To": PATIENT, "Body": "Hi again"})
    await written(person, clinic, Body="Hi <b>")
    assert len(await messages(clinic)) == 5


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"To": ""}, 21604),
        ({"To": "nobody"}, 21211),
        ({"Body": ""}, 21602),
        ({"Body": "a" * 1601}, 21617),
        ({"From": ""}, 21603),
        ({"From": "+15005550009"}, 21606),
        ({"MediaUrl": "ftp://clinic.example/x"}, 21620),
        ({"MediaUrl": "https://clinic.example/x\n" * 11}, 21623),
        ({"To": "\n".join(f"+1415555{n:04}" for n in range(51))}, 20001),
        ({"From": NUMBER, **LATER}, 35118),
        ({**LATER, "Day": "2030-03-17", "Time": "18:00"}, 35114),
        ({**LATER, "Day": "2031-01-01"}, 35114),
        ({**LATER, "Day": "2030-02-30"}, 20001),
        ({**LATER, "Day": ""}, 20001),
        ({**LATER, "Time": "9 o'clock"}, 20001),
    ],
)
async def test_what_cannot_be_sent_is_explained_and_kept(clinic: Reminders, form: dict[str, str], code: int) -> None:
    for language in ("en", "ja"):
        person = await clinic.place.signed_in(Role.OPERATOR, name=language, language=language)
        seen = await written(person, clinic, **{"Body": "Kept <i>", **form})
        assert seen.status == 400, seen
        assert f"{code}" in re.findall(r'<p class="code">[^<]*', seen.text)[0]
        if "Body" not in form:
            assert "Kept &lt;i&gt;" in seen.text
        for name in ("Day", "Time"):
            if name in form:
                assert f'name="{name}" type="{"date" if name == "Day" else "time"}" value="{form[name]}"' in unescape(
                    seen.text
                ).replace("\n", "")
    assert await messages(clinic) == []


async def test_a_time_is_never_sent_at_once_though_the_node_may_be_set_so(clinic: Reminders) -> None:
    clinic.place.node.ingest._rules.send_at_once_without_service = True
    person = await clinic.place.signed_in(Role.OPERATOR)
    assert (await written(person, clinic, From=NUMBER, **LATER)).status == 400
    assert await messages(clinic) == []


@pytest.mark.parametrize(
    ("zone", "day", "clock", "turn", "at"),
    [
        ("UTC", "2030-03-18", "09:00", "", "2030-03-18T09:00:00Z"),
        ("Asia/Tokyo", "2030-03-18", "09:00", "", "2030-03-18T00:00:00Z"),
        ("America/New_York", "2030-11-03", "01:30", "first", "2030-11-03T05:30:00Z"),
        ("America/New_York", "2030-11-03", "01:30", "second", "2030-11-03T06:30:00Z"),
        ("Australia/Lord_Howe", "2030-04-07", "01:45", "first", "2030-04-06T14:45:00Z"),
        ("Australia/Lord_Howe", "2030-04-07", "01:45", "second", "2030-04-06T15:15:00Z"),
        ("Not/AZone", "2030-03-18", "09:00", "", "2030-03-18T00:00:00Z"),
    ],
)
async def test_it_is_scheduled_for_the_time_that_was_chosen(
    clinic: Reminders, zone: str, day: str, clock: str, turn: str, at: str
) -> None:
    await clinic.place.node.directory.put(changed(clinic.service, schedule_window="1m..1000d"))
    person = await clinic.place.signed_in(Role.OPERATOR, zone="Asia/Tokyo")
    await written(person, clinic, When="later", Zone=zone, Day=day, Time=clock, Turn=turn)
    (message,) = await messages(clinic)
    assert message.send_at is not None
    assert (message.status, format_iso(message.send_at)) == (Status.SCHEDULED, at)


@pytest.mark.parametrize(
    ("zone", "day", "clock", "said"),
    [
        ("America/New_York", "2031-03-09", "02:30", "skips 02:30 on this day: it goes on at 03:30"),
        ("Australia/Lord_Howe", "2030-10-06", "02:15", "skips 02:15 on this day: it goes on at 02:45"),
        ("America/New_York", "2030-11-03", "01:30", "shows 01:30 twice on this day"),
    ],
)
async def test_a_time_that_is_none_or_two_is_asked_back(
    clinic: Reminders, zone: str, day: str, clock: str, said: str
) -> None:
    person = await clinic.place.signed_in(Role.OPERATOR)
    later = {"When": "later", "Zone": zone, "Day": day, "Time": clock}
    seen = await written(person, clinic, **later)
    assert seen.status == 400
    assert said in seen.text
    assert ('name="Turn"' in seen.text) is ("twice" in said)
    looked = await person.do("/compose/look", From=clinic.service.sid, **later)
    assert said in looked.text
    assert await messages(clinic) == []


async def test_what_would_be_sent_is_shown_while_it_is_written(clinic: Reminders) -> None:
    person = await clinic.place.signed_in(Role.OPERATOR)
    look = {"From": clinic.service.sid, "To": f"{PATIENT}\n{OTHER}", "Body": "It\u2019s \u201cyou\u201d " * 20, **LATER}
    seen = (await person.do("/compose/look", **look)).text
    for said in ("2 segments", "GSM-7", "2 recipients, 4 segments in all", "Smart encoding replaces:", "This saves 2"):
        assert said in seen, said
    assert "1 hour to 7 days ahead" in seen
    assert "2030-03-18 09:00:00 UTC" in seen
    assert "outside" not in seen
    plain = (await person.do("/compose/look", **{**look, "SmartEncoded": "false"})).text
    assert "UCS-2" in plain
    assert "U+2019" in plain
    assert "outside" in (await person.do("/compose/look", **{**look, "Day": "2031-01-01"})).text
    alone = (await person.do("/compose/look", **{**look, "From": NUMBER})).text
    assert "Choose a messaging service" in alone
    media = (await person.do("/compose/look", **{**look, "MediaUrl": "https://a.example/1\nhttps://a.example/2"})).text
    assert "2 media" in media
    assert "Media message" in media
    assert "1 character too many" in (await person.do("/compose/look", Body="a" * 1601)).text
    assert await messages(clinic) == []


@pytest.mark.parametrize("body", HOSTILE)
async def test_hostile_texts_are_shown_as_text(clinic: Reminders, body: str) -> None:
    sender = clinic.place.node.directory.every(Sender)[0]
    await clinic.place.node.directory.put(changed(sender, friendly_name=body[:64]))
    await clinic.place.node.directory.put(changed(clinic.service, friendly_name=body[:64]))
    person = await clinic.place.signed_in(Role.OPERATOR)
    for seen in (
        await person.get("/compose"),
        await person.do("/compose/look", Body=body, From=NUMBER),
        await written(person, clinic, Body=body, To=f"{body}\n{PATIENT}"),
    ):
        assert not re.search(r"<script(?! src)|<img|onerror=alert\(1\)>[^&]", seen.text)


async def test_the_page_of_sent_ones_shows_this_accounts_alone(clinic: Reminders) -> None:
    message = await clinic.sent("Secret of the main account")
    branch = await clinic.place.subaccount()
    person = await clinic.place.signed_in(Role.OWNER)
    assert message.sid in (await person.get(f"/compose?Sent={message.sid}")).text
    await person.do("/account", AccountSid=branch.sid)
    seen = await person.get(f"/compose?Sent={message.sid}&Sent=x&Sent=SM{'0' * 32}")
    assert 'class="outcomes"' not in seen.text
    assert "Nothing to send from yet" in seen.text
    assert (await person.do("/compose", From=clinic.service.sid, To=PATIENT, Body="Hi", When="now")).status == 404


async def test_numbers_are_hidden_where_the_viewer_hides_them(clinic: Reminders) -> None:
    person = await clinic.place.signed_in(Role.OPERATOR, hide_numbers=True)
    seen = await written(person, clinic, To=f"{PATIENT}\n{OTHER}")
    page = (await person.get(seen.location)).text
    assert PATIENT not in page
    assert "••••00" in page
    assert f">{NUMBER}" not in page


async def test_what_was_sent_is_in_the_audit_log(clinic: Reminders) -> None:
    person = await clinic.place.signed_in(Role.OWNER)
    await written(person, clinic)
    await written(person, clinic, To=f"{PATIENT}\n12")
    await written(person, clinic, To="12")
    page = (await person.get("/audit")).text
    assert page.count("Sent messages") >= 3
    for detail in ("1/1", "1/2", "21211"):
        assert detail in page
    assert "Looked at" not in re.sub(r"<option.*?</option>", "", page)


async def test_a_service_without_an_end_of_its_window_can_be_scheduled(place: Place, clinic: Reminders) -> None:
    service = place.node.directory.find(Service, clinic.service.sid)
    assert service is not None
    await place.node.directory.put(changed(service, schedule_window="0s.."))
    person = await place.signed_in(Role.OPERATOR)
    at = Instant(clinic.now + 30 * DAY + 10 * MINUTE)
    day, clock = format_iso(at)[:10], format_iso(at)[11:16]
    await written(person, clinic, When="later", Zone="UTC", Day=day, Time=clock)
    (message,) = await messages(clinic)
    assert 0 <= at - message.due_at < HOUR
