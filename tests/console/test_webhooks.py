"""The webhook log: what was told to whom, what came back, and what is hostile in it."""

import re
from html import unescape

import pytest

from postdate.console.screens import webhooks
from postdate.core.resources import Role
from tests.console.reminders import PATIENT, Reminders

HTMX = {"hx-request": "true"}
_CALL = re.compile(r'<details id="call-(\d+)"')
_LIVE = re.compile(r'hx-get="/console(/webhooks[^"]*)"')


async def test_an_empty_log_says_what_will_be_there(clinic: Reminders) -> None:
    person = await clinic.place.signed_in(Role.VIEWER)
    assert "No calls yet" in (await person.get("/webhooks")).text
    assert "No call matches" in (await person.get("/webhooks?Failed=true")).text


async def test_calls_are_listed_with_what_was_told_and_answered(clinic: Reminders) -> None:
    message = await clinic.sent()
    text = unescape((await (await clinic.place.signed_in(Role.VIEWER)).get("/webhooks")).text)
    assert len(_CALL.findall(text)) == len(clinic.clinic.told)
    assert clinic.clinic.status_url in text
    assert "<code>MessageStatus</code>" in text
    assert f"/console/messages/{message.sid}" in text
    assert "204" in text
    assert "attempt 1" in text


async def test_failed_calls_and_those_of_one_message(clinic: Reminders) -> None:
    good = await clinic.sent("Good")
    bad = await clinic.sent("Bad", callback_url=f"{clinic.clinic.url}/nowhere")
    lost = await clinic.sent("Lost", callback_url="http://127.0.0.1:9/status")
    person = await clinic.place.signed_in()
    about = {
        name: set(re.findall(r'href="/console/messages/(\w+)"', (await person.get(f"/webhooks{query}")).text))
        for name, query in {"all": "", "failed": "?Failed=true", "one": f"?Message={good.sid}"}.items()
    }
    assert about == {"all": {good.sid, bad.sid, lost.sid}, "failed": {bad.sid, lost.sid}, "one": {good.sid}}
    failed = (await person.get("/webhooks?Failed=true")).text
    assert "404" in failed
    assert "No answer" in failed
    wrong = await person.get("/webhooks?Message=<b>")
    assert "This is not the SID of a message" in wrong.text
    assert "<b>" not in wrong.text


async def test_pages_go_on_where_the_last_one_ended(clinic: Reminders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "PAGE_SIZE", 3)
    for n in range(3):
        await clinic.sent(f"No. {n}")
    person = await clinic.place.signed_in()
    path, seen = "/webhooks", []
    while path:
        page = await person.get(path)
        ids = [int(one) for one in _CALL.findall(page.text)]
        assert len(ids) <= 3
        seen += ids
        further = re.search(r'rel="next" href="/console([^"]*)"', page.text)
        path = unescape(further[1]) if further else ""
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == len(set(seen)) == len(clinic.clinic.told)


async def test_news_come_only_where_there_are_any(clinic: Reminders) -> None:
    await clinic.sent()
    person = await clinic.place.signed_in()
    live = _LIVE.search((await person.get("/webhooks")).text)
    assert live is not None
    assert (await person.get(unescape(live[1]), HTMX)).status == 204
    await clinic.sent("More")
    assert (await person.get(unescape(live[1]), HTMX)).text.lstrip().startswith('<div id="calls"')


async def test_numbers_and_secrets_of_addresses_are_hidden(clinic: Reminders) -> None:
    url = clinic.clinic.status_url.replace("http://", "http://user:hush@") + "?key=secret"
    await clinic.sent("Results", callback_url=url)
    text = (await (await clinic.place.signed_in()).get("/webhooks")).text
    assert ("hush" in text, "secret" in text) == (False, False)
    assert PATIENT.replace("+", "") in text
    shy = (await (await clinic.place.signed_in(name="Shy", hide_numbers=True)).get("/webhooks")).text
    assert PATIENT.replace("+", "") not in shy


async def test_an_account_s_calls_are_its_own(clinic: Reminders) -> None:
    await clinic.sent()
    branch = await clinic.place.subaccount()
    person = await clinic.place.browser_of(await clinic.place.user("S", None, roles={branch.sid: Role.OWNER}))
    assert "No calls yet" in (await person.get("/webhooks")).text
