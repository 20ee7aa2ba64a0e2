"""Connections in the console: forms made from the kinds, secrets that are never shown, a test that is followed."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from postdate.connectors.kinds import KINDS, secret_names, setting_fields
from postdate.console.carrier_words import checked_of, description_of, title_of
from postdate.console.setting_forms import Shape, setting_inputs
from postdate.core.instant import MILLISECOND, Instant
from postdate.core.outcome import DoubtPolicy
from postdate.core.resources import Connection, Role
from tests.api.test_connections import EXAMPLES, HUSH, Gateway
from tests.console.clinic import add_connection, add_sender
from tests.console.visiting import Person, Place, Seen

# Apprise's plugins import what Python will drop.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:apprise", "ignore:'imghdr':DeprecationWarning")

NUMBER, PHONE = "+14155550100", "+14155550199"
PATH = "/connections"
JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


@pytest.fixture
async def owner(place: Place) -> Person:
    """Give an owner."""
    return await place.signed_in(name="Ann")


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    """Give a carrier that takes everything."""
    async with Gateway().serving() as serving:
        yield serving


def found(place: Place, sid: str) -> Connection:
    """Return a connection as it is now."""
    one = place.node.directory.find(Connection, sid)
    assert one is not None
    return one


def hidden(place: Place, sid: str) -> dict[str, Any]:
    """Return the secrets of a connection."""
    secrets: dict[str, Any] = json.loads(place.node.directory.unseal(found(place, sid).sealed))
    return secrets


async def pass_time(place: Place) -> None:
    """Let the node hand over what is due, and put the answers on disk."""
    await place.node.settle()
    await place.node.advance_to(Instant(place.node.clock.now() + 100 * MILLISECOND))


# -- the forms ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_has_a_form_by_which_it_is_added(place: Place, owner: Person, kind: str) -> None:
    page = (await owner.get(f"{PATH}/new/{kind}")).text
    names = [field.name for field in setting_fields(KINDS[kind])]
    assert [name for name in names if f'name="Settings.{name}"' not in page] == []
    given = {name: value if isinstance(value, str) else json.dumps(value) for name, value in EXAMPLES[kind].items()}
    sid = await add_connection(owner, kind, "acme", **given)
    made = found(place, sid)
    secrets = secret_names(KINDS[kind])
    assert hidden(place, sid) == {name: value for name, value in EXAMPLES[kind].items() if name in secrets}
    assert made.settings == {name: value for name, value in EXAMPLES[kind].items() if name not in secrets}
    for path in (PATH, f"{PATH}/{sid}", f"{PATH}/{sid}/edit"):
        seen = await owner.get(path)
        assert seen.status == 200
        assert HUSH not in seen.text, "a secret is never in a page"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_and_setting_is_described_in_japanese(kind: str) -> None:
    one = KINDS[kind]
    assert JAPANESE.search(checked_of("ja", one))
    for field in setting_fields(one):
        assert JAPANESE.search(description_of("ja", one, field)), field.name
        assert description_of("en", one, field) == field.description
    assert title_of("en", one) == one.title


def test_settings_have_the_fields_that_fit_them() -> None:
    shapes = {one.name: one.shape for one in setting_inputs("en", KINDS["smpp"], {})}
    assert shapes["host"] is shapes["source_ton"] is Shape.TEXT
    assert shapes["tls"] is Shape.FLAG
    assert shapes["port"] is shapes["enquire_link"] is Shape.NUMBER
    assert shapes["coding"] is shapes["bind"] is Shape.CHOICE
    assert shapes["status_map"] is Shape.JSON
    assert shapes["password"] is Shape.SECRET
    generic = {one.name: one for one in setting_inputs("en", KINDS["generic"], {"headers": {"A": "b"}, "token": HUSH})}
    assert generic["body"].shape is Shape.LONG
    assert json.loads(generic["headers"].value) == {"A": "b"}
    assert (generic["token"].value, generic["token"].is_set) == ("", True)
    assert {one.name for one in setting_inputs("en", KINDS["vonage"], {}) if one.shape is Shape.SECRET_LINES} == {
        "private_key"
    }


SMPP = {"host": "smsc.example", "system_id": "us", "password": HUSH}


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ({"port": ""}, {}),
        ({"port": "2775"}, {}),
        ({"port": "02776"}, {"port": 2776}),
        ({"enquire_link": "0.5"}, {"enquire_link": 0.5}),
        ({"tls": "true"}, {"tls": True}),
        ({"verify": "true", "validity": "false"}, {"validity": False}),
        ({"source_ton": "5"}, {"source_ton": 5}),
        ({"coding": "latin1", "bind": "transceiver"}, {"coding": "latin1"}),
        ({"status_map": '{"RTHROTTLED":\r\n "busy"}'}, {"status_map": {"RTHROTTLED": "busy"}}),
        ({"status_map": ""}, {}),
        ({"ca_file": "/etc/ca.pem"}, {"ca_file": "/etc/ca.pem"}),
    ],
)
async def test_only_what_somebody_chose_is_kept(
    place: Place, owner: Person, typed: dict[str, str], kept: dict[str, Any]
) -> None:
    sid = await add_connection(owner, "smpp", "acme", **SMPP, **typed)
    expected = {"host": "smsc.example", "system_id": "us", **kept}
    got = found(place, sid).settings
    assert {name: got[name] for name in expected if name != "status_map"} == {
        name: value for name, value in expected.items() if name != "status_map"
    }
    assert set(got) == set(expected)


@pytest.mark.parametrize(
    "wrong",
    [
        {"Settings.port": "many"},
        {"Settings.port": "70000"},
        {"Settings.host": ""},
        {"Settings.status_map": "{no json"},
        {"Settings.status_map": "[" * 5_000},
        {"Settings.links": "-1"},
        {"Settings.coding": "morse"},
        {"Name": "Capital"},
        {"Name": "sandbox"},
        {"Name": ""},
        {"Mps": "x"},
        {"Doubt": "guess"},
    ],
)
async def test_what_is_wrong_is_shown_again_without_the_secret(
    place: Place, owner: Person, wrong: dict[str, str]
) -> None:
    given = {f"Settings.{name}": value for name, value in SMPP.items()}
    form = {"Name": "acme", "Doubt": "hold", "Mps": "0", **given, "Settings.in_flight": "17", **wrong}
    seen = await owner.do(f"{PATH}/new/smpp", **form)
    assert seen.status == 400
    assert 'role="alert"' in seen.text
    assert 'value="17"' in seen.text
    assert "secrets are not kept in a page" in seen.text
    assert HUSH not in seen.text
    assert place.node.directory.every(Connection) == []


async def test_it_is_changed_and_a_secret_stays_unless_another_is_given(place: Place, owner: Person) -> None:
    sid = await add_connection(owner, "twilio", "acme", **EXAMPLES["twilio"])
    edit = f"{PATH}/{sid}/edit"
    account = EXAMPLES["twilio"]["account_sid"]
    same = {"Doubt": "query", "Mps": "5", "Settings.account_sid": account, "Settings.auth_token": ""}
    assert (await owner.do(edit, **same)).location == f"{PATH}/{sid}"
    now = found(place, sid)
    assert (now.doubt, now.mps) == (DoubtPolicy.QUERY, 5.0)
    assert hidden(place, sid) == {"auth_token": HUSH, "key_secret": HUSH + "b"}
    await owner.do(edit, **same, **{"Settings.key_sid": "", "Settings.key_secret.clear": "true"})
    assert hidden(place, sid) == {"auth_token": HUSH}
    assert "key_sid" not in found(place, sid).settings
    await owner.do(edit, **{**same, "Settings.auth_token": HUSH + "new"})
    assert hidden(place, sid) == {"auth_token": HUSH + "new"}


async def test_only_carriers_that_can_be_asked_offer_it(place: Place, owner: Person) -> None:
    asked = {kind for kind in KINDS if 'name="Doubt" value="query"' in (await owner.get(f"{PATH}/new/{kind}")).text}
    assert asked == {kind.name for kind in KINDS.values() if kind.can_ask}
    assert (await owner.get(f"{PATH}/new/pigeon")).status == 404


# -- how it is doing ---------------------------------------------------------------------------------------------------


async def test_the_list_says_how_each_is_doing_and_tells_news_only(place: Place, owner: Person) -> None:
    assert "No connections yet" in (await owner.get(PATH)).text
    sid = await add_connection(owner, "plain-http", "acme", url="http://127.0.0.1:1/")
    await place.node.connections.settled()
    page = (await owner.get(PATH)).text
    assert "Ready" in page
    (live,) = re.findall(r'id="ways"[^>]* hx-get="/console([^"]*)"', page)
    assert (await owner.get(live, {"hx-request": "true"})).status == 204
    assert (await owner.do(f"{PATH}/{sid}/pause", Paused="true")).location == f"{PATH}/{sid}"
    news = await owner.get(live, {"hx-request": "true"})
    assert news.status == 200
    assert "Paused" in news.text
    assert "<html" not in news.text
    assert found(place, sid).paused
    await owner.do(f"{PATH}/{sid}/pause", Paused="false")
    assert not found(place, sid).paused


async def test_a_connection_in_use_is_not_removed_and_says_who_uses_it(place: Place, owner: Person) -> None:
    sid = await add_connection(owner, "plain-http", "acme", url="http://127.0.0.1:1/")
    number = await add_sender(owner, PhoneNumber=NUMBER, Connection="acme")
    seen = await owner.do(f"{PATH}/{sid}/remove")
    assert seen.status == 400
    assert f"{NUMBER} goes out by it" in seen.text
    shy = await place.signed_in(name="Bob", hide_numbers=True)
    assert "••••00 goes out by it" in (await shy.do(f"{PATH}/{sid}/remove")).text
    await owner.do(f"/numbers/{number}", Connection="sandbox")
    assert (await owner.do(f"{PATH}/{sid}/remove")).location == PATH
    assert place.node.directory.every(Connection) == []


# -- a test ------------------------------------------------------------------------------------------------------------


async def part(owner: Person, page: Seen) -> Seen:
    """Ask for how a test is doing, as its page does."""
    ((_, live),) = re.findall(r'id="(test-state)"[^>]* hx-get="/console([^"]*)"', page.text)
    return await owner.get(live.replace("&amp;", "&"), {"hx-request": "true"})


async def test_a_test_is_followed_to_its_receipt(place: Place, owner: Person, gateway: Gateway) -> None:
    sid = await add_connection(owner, "plain-http", "acme", url=gateway.url)
    assert "A test needs a sender" in (await owner.get(f"{PATH}/{sid}")).text
    await add_sender(owner, PhoneNumber=NUMBER, Connection="acme")
    await place.node.connections.settled()
    sent = await owner.do(f"{PATH}/{sid}/test", From=NUMBER, To=PHONE, Body="")
    page = await owner.get(sent.location.partition("#")[0])
    await pass_time(place)
    assert [given["body"] for _, given in gateway.given] == ["Postdate: a test of this connection."]
    waits = await part(owner, page)
    assert "Sent" in waits.text
    assert "<html" not in waits.text
    assert "every 2s" in waits.text
    (url,) = re.findall(r'data-copy="([^"]*/Events/[^"]*)"', page.text)
    async with owner.browser.post(f"{place.url}{urlsplit(url).path}", json={"id": "ref-1", "status": "delivered"}) as a:
        assert a.status == 204
    await place.node.settle()
    ended = await part(owner, page)
    assert "Delivered" in ended.text
    assert "hx-trigger" not in ended.text
    assert "Accepted" in (await owner.get(f"{PATH}/{sid}")).text


async def test_a_test_from_a_channel_shows_how_its_recipient_is_written(place: Place, owner: Person) -> None:
    sid = await add_connection(owner, "plain-http", "acme", url="http://127.0.0.1:1/")
    await add_sender(owner, Kind="channel", Channel="whatsapp", Address=NUMBER, Connection="acme")
    assert 'placeholder="whatsapp:+14155550100"' in (await owner.get(f"{PATH}/{sid}")).text


@pytest.mark.parametrize("form", [{}, {"To": "nobody"}, {"To": PHONE, "From": "+14155550111"}])
async def test_a_test_that_cannot_be_sent_says_why(place: Place, owner: Person, form: dict[str, str]) -> None:
    sid = await add_connection(owner, "plain-http", "acme", url="http://127.0.0.1:1/")
    await add_sender(owner, PhoneNumber=NUMBER, Connection="acme")
    seen = await owner.do(f"{PATH}/{sid}/test", **form)
    assert seen.status == 400
    assert 'role="alert"' in seen.text


async def test_a_test_of_somebody_else_is_not_shown(place: Place, owner: Person) -> None:
    sid = await add_connection(owner, "plain-http", "acme", url="http://127.0.0.1:1/")
    for other in ("SM" + "0" * 32, "x", "SM<script>"):
        page = await owner.get(f"{PATH}/{sid}?Test={other}")
        assert page.status == 200
        assert 'class="told"' not in page.text


# -- who may -----------------------------------------------------------------------------------------------------------


async def test_operators_pause_and_test_and_viewers_look(place: Place, owner: Person) -> None:
    sid = await add_connection(owner, "plain-http", "acme", url="http://gateway.example/private", token=HUSH)
    await add_sender(owner, PhoneNumber=NUMBER, Connection="acme")
    for role, may in ((Role.OPERATOR, True), (Role.VIEWER, False)):
        person = await place.signed_in(role)
        page = (await person.get(f"{PATH}/{sid}")).text
        assert "gateway.example" not in page
        assert "/Events/" not in page, "the carrier's way in is the owner's"
        assert ("/pause" in page, "/test" in page) == (may, may)
        assert (await person.do(f"{PATH}/{sid}/pause", Paused="true")).status == (303 if may else 403)
        assert (await person.do(f"{PATH}/{sid}/test", To=PHONE)).status == (303 if may else 403)
        for below in ("/edit", "/remove"):
            assert (await person.do(f"{PATH}/{sid}{below}", Mps="9")).status == 403
        for path in (f"{PATH}/new", f"{PATH}/new/smpp", f"{PATH}/{sid}/edit"):
            assert (await person.get(path)).status == 403
    assert found(place, sid).mps == 0.0


async def test_a_subaccount_has_none_and_can_use_the_main_accounts(place: Place, owner: Person) -> None:
    sid = await add_connection(owner, "plain-http", "acme", url="http://127.0.0.1:1/")
    branch = await place.subaccount()
    person = await place.browser_of(await place.user("Bea", None, roles={branch.sid: Role.OWNER}))
    page = (await person.get(PATH)).text
    assert "the main account" in page
    assert "acme" not in page
    for path in (f"{PATH}/{sid}", f"{PATH}/{sid}/edit"):
        assert (await person.get(path)).status == 404
    form = {"Name": "mine", "Doubt": "hold", "Mps": "0", "Settings.url": "http://127.0.0.1:1/"}
    assert (await person.do(f"{PATH}/new/plain-http", **form)).status == 403
    for below in ("/pause", "/test", "/remove", "/edit"):
        assert (await person.do(f"{PATH}/{sid}{below}", Paused="true", To=PHONE)).status == 404
    assert '<option value="acme"' in (await person.get("/numbers/new")).text
    assert place.node.directory.every(Connection) == [found(place, sid)]


async def test_the_audit_log_says_what_was_done_and_no_secret(place: Place, owner: Person) -> None:
    sid = await add_connection(owner, "smpp", "acme", **SMPP)
    await owner.do(f"{PATH}/{sid}/pause", Paused="true")
    page = (await owner.get("/audit")).text
    assert "Added a connection" in page
    assert "Paused or resumed a connection" in page
    assert "acme" in page
    assert HUSH not in page


async def test_the_setting_that_is_refused_is_named_and_marked(place: Place, owner: Person) -> None:
    cases: list[tuple[dict[str, str], str, str]] = [
        ({"port": "many"}, "port", "cannot be used as it is"),
        ({"host": ""}, "host", "is missing: fill it in"),
        ({"password": ""}, "password", "is missing: fill it in"),
    ]
    for typed, name, wrong in cases:
        given = {f"Settings.{key}": value for key, value in {**SMPP, **typed}.items()}
        text = (await owner.do(f"{PATH}/new/smpp", Name="acme", Doubt="hold", Mps="0", **given)).text
        assert f"The setting {name} {wrong}." in text
        marked = re.findall(r'<input id="f-Settings\.(\w+)"[^>]*aria-invalid', text)
        assert marked == [name]
