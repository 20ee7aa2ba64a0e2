"""Connections over the API: for the main account only, changed while they run, and no secret of theirs is ever seen."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from postdate.api.app import App
from postdate.api.connections import HIDDEN
from postdate.clock import breathe
from postdate.connectors.kinds import KINDS, secret_names, setting_fields
from postdate.core.instant import SECOND
from postdate.core.resources import Connection
from postdate.flow.directory import changed
from postdate.node import Node
from postdate.settings import load
from tests.api.serving import LONG_ENOUGH, TAKEN, TO, Customer, Reply, Site, a_site, exchange
from tests.serving_http import serving_http

# Apprise's plugins import what Python will drop.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:apprise", "ignore:'imghdr':DeprecationWarning")

PATH = "/postdate/v1/Connections"
NAME = "acme"
SENDER = "+12125550001"
HUSH = "hush-4711"  # every secret here begins so

EXAMPLES: Mapping[str, dict[str, Any]] = {
    "smpp": {"host": "127.0.0.1", "port": 1, "system_id": "us", "password": HUSH},
    "twilio": {"account_sid": f"AC{1:032}", "auth_token": HUSH, "key_sid": f"SK{1:032}", "key_secret": HUSH + "b"},
    "vonage": {"api_key": "abcd1234", "api_secret": HUSH, "signature_secret": HUSH + "b"},
    "telnyx": {"api_key": HUSH},
    "plivo": {"auth_id": "MAXXXXXXXXXXXXXXXXXX", "auth_token": HUSH, "main_token": HUSH + "b"},
    "sinch": {"service_plan_id": "plan", "api_token": HUSH, "events_secret": HUSH + "b"},
    "infobip": {"api_key": HUSH, "callback_user": "user", "callback_password": HUSH + "b"},
    "bird": {"access_key": HUSH, "workspace_id": f"{1:032x}", "channel_id": f"{1:032x}", "sender": "+14155550123"},
    "messagebird": {"access_key": HUSH, "signing_key": HUSH + "b"},
    "bandwidth": {"account_id": "1", "username": "user", "password": HUSH, "application_id": "app"},
    "aws": {"access_key_id": "AKIDEXAMPLEEXAMPLE00", "secret_access_key": HUSH, "region": "us-east-1"},
    "whatsapp": {"access_token": HUSH, "phone_number_id": "1", "app_secret": HUSH + "b", "verify_token": HUSH + "c"},
    "smsgate": {"username": "user", "password": HUSH, "signing_key": HUSH + "b"},
    "httpsms": {"api_key": HUSH, "signing_key": HUSH + "b"},
    "generic": {"url": "https://gateway.example/", "body": "to={to}&text={body}&key={token}", "token": HUSH},
    "plain-http": {"url": "https://gateway.example/", "token": HUSH},
    "apprise": {"url": f"json://user:{HUSH}@127.0.0.1:1/{{to|digits}}"},
}


class Gateway:
    """A carrier on this machine: writes down what it is given and answers as `answer` says."""

    def __init__(self) -> None:
        self.url = ""
        self.given: list[tuple[Mapping[str, str], Any]] = []
        self.answer: tuple[int, Any] | None = None
        self.answers = asyncio.Event()  # not set, it keeps who writes waiting
        self.answers.set()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.given.append((dict(request.headers), json.loads(await request.read())))
        await self.answers.wait()
        status, told = self.answer or (201, {"id": f"ref-{len(self.given)}"})
        return web.json_response(told, status=status)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Gateway"]:
        """Serve on a free port."""
        async with serving_http(self._handle) as url:
            self.url = f"{url}/messages"
            yield self


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    """Give a carrier that takes everything."""
    async with Gateway().serving() as serving:
        yield serving


@pytest.fixture
def owner(site: Site) -> Customer:
    """Give whoever runs the node."""
    return site.customer


def form(kind: str = "plain-http", settings: Mapping[str, Any] | None = None, **more: str) -> dict[str, str]:
    """Return the form that adds a connection."""
    given = EXAMPLES[kind] if settings is None else settings
    return {"Kind": kind, "Name": NAME, "Settings": json.dumps(given), **more}


async def make(owner: Customer, kind: str = "plain-http", **more: Any) -> dict[str, Any]:
    """Add a connection."""
    reply = await owner.call("POST", PATH, form(kind, **more))
    assert reply.status == 201, reply
    made: dict[str, Any] = reply.json
    return made


async def change(owner: Customer, name: str = NAME, **parameters: str) -> Reply:
    """Change a connection."""
    return await owner.call("POST", f"{PATH}/{name}", parameters)


async def show(owner: Customer, name: str = NAME) -> dict[str, Any]:
    """Return a connection as it is now."""
    reply = await owner.call("GET", f"{PATH}/{name}")
    assert reply.status == 200, reply
    found: dict[str, Any] = reply.json
    return found


async def settled(site: Site) -> None:
    """Wait until what was changed is open."""
    await site.node.connections.settled()


async def to_gateway(site: Site, gateway: Gateway, **more: Any) -> dict[str, Any]:
    """Add a connection to the gateway, and a sender that goes out by it."""
    made = await make(site.customer, settings={"url": gateway.url, "token": HUSH}, **more)
    await site.add_sender(SENDER, connection=NAME)
    await settled(site)
    return made


def check_files(folder: Path) -> None:
    """Fail where a secret is in a file of the node's, or the connection in none."""
    found = {file.name: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert any(NAME.encode() in content for name, content in found.items() if name.startswith("postdate.db"))
    assert [name for name, content in found.items() if HUSH.encode() in content] == []


# --- the life of a connection ----------------------------------------------------------------------------------------


def test_every_kind_is_tried_here() -> None:
    assert EXAMPLES.keys() == KINDS.keys()


@pytest.mark.parametrize("kind", EXAMPLES)
async def test_the_life_of_a_connection_and_none_of_its_secrets_is_ever_seen(
    tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    async with a_site(tmp_path, log_level="debug") as site:
        owner, seen = site.customer, []
        created = await owner.call("POST", PATH, form(kind, Mps="5", Doubt="retry"))
        assert created.status == 201, created
        made = created.json
        await settled(site)
        assert (made["name"], made["kind"], made["title"]) == (NAME, kind, KINDS[kind].title)
        assert (made["mps"], made["doubt"], made["paused"]) == (5.0, "retry", False)
        secrets = secret_names(KINDS[kind])
        shown = {name: HIDDEN if name in secrets else value for name, value in EXAMPLES[kind].items()}
        assert made["settings"] == shown
        assert made["url"].endswith(f"{PATH}/{made['sid']}")
        assert (made["events_url"] is not None) == KINDS[kind].calls_us

        for path in (f"{PATH}/{NAME}", f"{PATH}/{made['sid']}"):
            fetched = await owner.call("GET", path)
            assert fetched.json["sid"] == made["sid"]
            seen.append(fetched)
        seen += [created, await owner.call("GET", PATH), await change(owner, Paused="true")]
        assert seen[-1].json["state"] == "paused"
        await settled(site)
        opened, kept = site.node.connections.find(NAME), site.node.directory.connection(NAME)
        assert opened is not None
        texts = [repr(kept), repr(opened.connector), opened.connector.condition.last_error]

        gone = await owner.call("DELETE", f"{PATH}/{NAME}")
        assert (gone.status, gone.body) == (204, b"")
        assert (await owner.call("GET", f"{PATH}/{NAME}")).error == (20404, 404)
        await settled(site)
        assert site.node.connections.find(NAME) is None
        assert (await owner.call("POST", PATH, form(kind))).status == 201, "the name is free again"
        assert all(HUSH.encode() not in reply.body for reply in seen)
        assert all(HUSH not in text for text in texts)
    check_files(tmp_path)
    assert HUSH not in "".join(capfd.readouterr())


async def test_no_secret_is_in_the_files_of_a_node_that_runs(site: Site, owner: Customer, tmp_path: Path) -> None:
    await make(owner)
    await change(owner, Settings=json.dumps({"token": HUSH + "-another"}))
    check_files(tmp_path)


async def test_connections_outlive_the_node(tmp_path: Path) -> None:
    async with a_site(tmp_path) as site:
        made = await make(site.customer, Mps="3")
        account, token = site.node.first_account()
    async with a_site_again(tmp_path) as site:
        owner = Customer(site.app, account.sid, account.sid, token)
        found = await show(owner)
        assert found == made | {"state": "ready", "url": found["url"], "events_url": found["events_url"]}
        opened = site.node.connections.find(NAME)
        assert opened is not None
        assert opened.pace.limit == 3.0
        assert "********" in json.dumps(found["settings"])


@asynccontextmanager
async def a_site_again(folder: Path) -> AsyncIterator[Site]:
    """Run a node in the folder of another; what a site makes at its start is there already."""
    async with Node(load(data=folder, port=0, test_clock=True)) as node:
        account, token = node.first_account()
        app = App(node.parts())
        yield Site(node, app, Customer(app, account.sid, account.sid, token), "")


async def test_the_list_has_all_in_pages(site: Site, owner: Customer) -> None:
    for number in range(3):
        await make(owner, Name=f"c{number}")
        await site.advance(SECOND)
    page = (await owner.call("GET", PATH, query={"PageSize": "2"})).json
    assert [found["name"] for found in page["connections"]] == ["c0", "c1"]
    assert page["meta"]["next_page_url"]


async def test_the_kinds_say_what_can_be_set(owner: Customer) -> None:
    told = (await owner.call("GET", f"{PATH}/Kinds")).json["kinds"]
    assert [kind["kind"] for kind in told] == list(KINDS)
    for kind in told:
        fields = setting_fields(KINDS[kind["kind"]])
        assert [(s["name"], s["secret"], s["required"]) for s in kind["settings"]] == [
            (field.name, field.secret, field.default is None) for field in fields
        ]
        assert all(s["description"] for s in kind["settings"]), kind
        assert all(s["default"] is None for s in kind["settings"] if s["required"])


# --- what is refused -------------------------------------------------------------------------------------------------

WRONG: Mapping[str, tuple[dict[str, str], str]] = {
    "no kind": ({"Kind": ""}, "the kinds are smpp, twilio"),
    "an unknown kind": ({"Kind": HUSH}, "the kinds are smpp, twilio"),
    "no name": ({"Name": ""}, "A Name has up to 32"),
    "capitals": ({"Name": "Acme"}, "A Name has up to 32"),
    "a blank": ({"Name": "a b"}, "A Name has up to 32"),
    "a slash": ({"Name": "a/b"}, "A Name has up to 32"),
    "a hyphen first": ({"Name": "-a"}, "A Name has up to 32"),
    "33 characters": ({"Name": "a" * 33}, "A Name has up to 32"),
    "a line's end": ({"Name": "acme\n"}, "A Name has up to 32"),
    "a built-in name": ({"Name": "sandbox"}, "none of sandbox, http"),
    "the other one": ({"Name": "http"}, "none of sandbox, http"),
    "settings that are no JSON": ({"Settings": f"token={HUSH}"}, "Settings must be a JSON object"),
    "a list": ({"Settings": f'["{HUSH}"]'}, "Settings must be a JSON object"),
    "JSON without an end": ({"Settings": '{"token": "' + HUSH}, "Settings must be a JSON object"),
    "JSON of great depth": ({"Settings": '{"a":' * 5_000}, "Settings must be a JSON object"),
    "half a character": ({"Settings": '{"token": "\\ud800"}'}, "Settings"),
    "what is missing": ({"Settings": f'{{"token": "{HUSH}"}}'}, "missing required field `url`"),
    "what there is not": ({"Settings": f'{{"url": "https://a.example/", "tokn": "{HUSH}"}}'}, "unknown field `tokn`"),
    "a user in a URL": ({"Settings": f'{{"url": "https://user:{HUSH}@a.example/"}}'}, "`$.url`"),
    "no URL": ({"Settings": f'{{"url": "{HUSH}"}}'}, "`$.url`"),
    "no text": ({"Settings": '{"url": 5}'}, "`$.url`"),
    "asterisks where nothing was": ({"Kind": "telnyx", "Settings": f'{{"api_key": "{HIDDEN}"}}'}, "`api_key`"),
    "no number": ({"Settings": f'{{"url": "https://a.example/", "in_flight": "{HUSH}"}}'}, "`$.in_flight`"),
    "too many": ({"Settings": '{"url": "https://a.example/", "in_flight": 100000}'}, "`$.in_flight`"),
    "no choice": ({"Kind": "sinch", "Settings": f'{{"region": "{HUSH}"}}'}, "`$.region`"),
    "a token of two lines": ({"Settings": f'{{"url": "https://a.example/", "token": "{HUSH}\\n"}}'}, "token"),
    "no key": ({"Kind": "vonage", "Settings": f'{{"application_id": "a", "private_key": "{HUSH}"}}'}, "private_key"),
    "no policy": ({"Doubt": "perhaps"}, "hold, query, retry"),
    "a policy that it cannot keep": ({"Doubt": "query"}, "cannot be asked"),
    "no rate": ({"Mps": "-1"}, "Mps"),
    "no flag": ({"Paused": "perhaps"}, "Paused"),
}


@pytest.mark.parametrize(("parameters", "told"), WRONG.values(), ids=WRONG.keys())
async def test_what_cannot_be_is_refused_with_what_is_expected_and_without_what_was_given(
    site: Site, owner: Customer, parameters: dict[str, str], told: str
) -> None:
    reply = await owner.call("POST", PATH, form() | parameters)
    assert reply.error == (20001, 400)
    assert told in reply.json["message"]
    assert HUSH not in reply.json["message"] or parameters.get("Kind") == HUSH
    assert site.node.directory.every(Connection) == []


async def test_a_name_is_of_one_connection(owner: Customer) -> None:
    await make(owner)
    assert (await owner.call("POST", PATH, form("telnyx"))).error == (20001, 400)
    assert (await show(owner))["kind"] == "plain-http"


async def test_a_change_that_cannot_be_changes_nothing(site: Site, owner: Customer) -> None:
    await make(owner)
    before = site.node.directory.connection(NAME)
    for parameters in ({"Settings": '{"url": "x"}'}, {"Settings": '{"url": null}'}, {"Doubt": "query"}, {"Mps": "x"}):
        assert (await change(owner, **{"Paused": "true"} | parameters)).error == (20001, 400)
    assert site.node.directory.connection(NAME) == before


@pytest.mark.parametrize(("method", "below"), [("GET", ""), ("POST", ""), ("DELETE", ""), ("POST", "/Test")])
async def test_what_there_is_not_is_not_found(owner: Customer, method: str, below: str) -> None:
    for name in ("nobody", f"CX{0:032}"):
        assert (await owner.call(method, f"{PATH}/{name}{below}", {"To": TO})).error == (20404, 404)


# --- changes ---------------------------------------------------------------------------------------------------------

MERGED: Mapping[str, tuple[dict[str, Any], dict[str, Any], str | None]] = {
    "what is given changes and the rest stays": ({"in_flight": 7}, {"in_flight": 7, "token": HIDDEN}, HUSH),
    "a number may be a text": ({"in_flight": "7"}, {"in_flight": 7, "token": HIDDEN}, HUSH),
    "asterisks change nothing": ({"token": HIDDEN}, {"token": HIDDEN}, HUSH),
    "another secret": ({"token": HUSH + "b"}, {"token": HIDDEN}, HUSH + "b"),
    "null takes away": ({"token": None}, {}, None),
    "nothing": ({}, {"token": HIDDEN}, HUSH),
}


@pytest.mark.parametrize(("given", "shown", "token"), MERGED.values(), ids=MERGED.keys())
async def test_settings_are_merged(
    site: Site, gateway: Gateway, given: dict[str, Any], shown: dict[str, Any], token: str | None
) -> None:
    await to_gateway(site, gateway)
    reply = await change(site.customer, Settings=json.dumps(given))
    assert reply.status == 200, reply
    assert reply.json["settings"] == {"url": gateway.url} | shown
    await settled(site)
    await site.customer.send(From=SENDER)
    await site.advance(TAKEN)
    ((headers, _),) = gateway.given
    assert headers.get("Authorization") == (f"Bearer {token}" if token else None)


async def test_only_another_way_is_opened_anew(site: Site, owner: Customer) -> None:
    await make(owner)
    await settled(site)

    async def connector_after(**parameters: str) -> object:
        assert (await change(owner, **parameters)).status == 200
        await settled(site)
        opened = site.node.connections.find(NAME)
        assert opened is not None
        return opened.connector

    first = await connector_after()
    same = {"Mps": "9", "Doubt": "retry", "Paused": "true", "Settings": json.dumps(EXAMPLES["plain-http"])}
    assert await connector_after(**same) is first
    assert await connector_after(Settings=json.dumps({"token": HIDDEN})) is first
    assert await connector_after(Settings=json.dumps({"token": HUSH + "b"})) is not first
    found = await show(owner)
    assert (found["mps"], found["limit"], found["doubt"], found["state"]) == (9.0, 9.0, "retry", "paused")


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.can_ask])
async def test_who_can_be_asked_may_have_the_policy_query(owner: Customer, kind: str) -> None:
    assert (await make(owner, kind, Doubt="query"))["doubt"] == "query"


# --- whose they are --------------------------------------------------------------------------------------------------

CALLS = [
    ("GET", ""), ("POST", ""), ("GET", f"/{NAME}"), ("POST", f"/{NAME}"), ("DELETE", f"/{NAME}"),
    ("POST", f"/{NAME}/Test"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "below"), CALLS)
async def test_they_are_the_main_accounts_only(site: Site, owner: Customer, method: str, below: str) -> None:
    made = await make(owner)
    before = site.node.directory.every(Connection)
    sub = await site.add_account(owner.account)
    key_of_sub = await site.add_key(sub.account)
    for customer in (sub, key_of_sub):
        for path in (below, below.replace(NAME, made["sid"])):
            assert (await customer.call(method, PATH + path, form(Paused="true", To=TO))).error == (20003, 403)
    assert site.node.directory.every(Connection) == before


async def test_another_account_sees_nothing_of_them(site: Site, owner: Customer, stranger: Customer) -> None:
    made = await make(owner)
    assert (await stranger.call("GET", PATH)).json["connections"] == []
    for name in (NAME, made["sid"]):
        for method, below in (("GET", ""), ("POST", ""), ("DELETE", ""), ("POST", "/Test")):
            reply = await stranger.call(method, f"{PATH}/{name}{below}", {"Paused": "true", "To": TO})
            assert reply.error == (20404, 404)
    assert not (await show(owner))["paused"]


async def test_a_key_of_the_account_will_do(site: Site, owner: Customer) -> None:
    await make(owner)
    key = await site.add_key()
    assert (await show(key))["name"] == NAME


async def test_nobody_without_credentials(site: Site, owner: Customer) -> None:
    await make(owner)
    for user, secret in (("", ""), (owner.account, "wrong")):
        reply = await Customer(site.app, owner.account, user, secret).call("GET", f"{PATH}/{NAME}")
        assert reply.error == (20003, 401)


# --- senders ---------------------------------------------------------------------------------------------------------


async def test_a_sender_goes_out_by_one_of_its_account_or_its_parent(
    site: Site, owner: Customer, stranger: Customer
) -> None:
    await make(owner)
    sub = await site.add_account(owner.account)
    number = {"PhoneNumber": "+14155550123", "Connection": NAME}
    for customer in (owner, sub):
        made = await customer.on("POST", "/IncomingPhoneNumbers.json", number)
        assert (made.status, made.json["connection"]) == (201, NAME)
        await customer.on("DELETE", f"/IncomingPhoneNumbers/{made.json['sid']}.json")
    for customer, name in ((stranger, NAME), (owner, "nobody"), (owner, f"CX{0:032}")):
        reply = await customer.on("POST", "/IncomingPhoneNumbers.json", number | {"Connection": name})
        assert reply.error == (20001, 400)
    code = await owner.on("POST", "/SMS/ShortCodes.json", {"ShortCode": "12345", "Connection": NAME})
    assert (code.status, code.json["connection"]) == (201, NAME)


async def test_one_that_a_sender_goes_out_by_is_not_removed(site: Site, owner: Customer) -> None:
    await make(owner)
    sid = await site.add_sender(SENDER, connection=NAME)
    refused = await owner.call("DELETE", f"{PATH}/{NAME}")
    assert refused.error == (20001, 400)
    assert SENDER in refused.json["message"]
    await owner.on("POST", f"/IncomingPhoneNumbers/{sid}.json", {"Connection": "sandbox"})
    assert (await owner.call("DELETE", f"{PATH}/{NAME}")).status == 204


# --- a test, end to end ----------------------------------------------------------------------------------------------


async def report(site: Site, path: str, told: Any, token: str | None = HUSH, query: str = "") -> Reply:
    """Report as a carrier does."""
    headers = [(b"content-type", b"application/json")]
    if token is not None:
        headers.append((b"authorization", f"Bearer {token}".encode()))
    return await exchange(site.app, "POST", path, headers, [json.dumps(told).encode()], query.encode())


async def try_out(site: Site, **parameters: str) -> str:
    """Send a test; return the SID of its message, which the carrier has by now."""
    reply = await site.customer.call("POST", f"{PATH}/{NAME}/Test", {"To": TO, **parameters})
    assert reply.status == 201, reply
    await site.advance(TAKEN)
    sid: str = reply.json["sid"]
    return sid


async def test_a_test_goes_to_the_carrier_and_its_receipt_comes_back(site: Site, gateway: Gateway) -> None:
    made = await to_gateway(site, gateway)
    sid = await try_out(site)
    ((headers, given),) = gateway.given
    assert (headers["Idempotency-Key"], headers["Authorization"]) == (sid, f"Bearer {HUSH}")
    assert (given["sid"], given["from"], given["to"]) == (sid, SENDER, TO)
    assert given["body"] == "Postdate: a test of this connection."
    assert (await site.customer.fetch(sid))["status"] == "sent"
    path = urlsplit(made["events_url"]).path
    delivered = {"id": "ref-1", "status": "delivered"}
    last = "0" if path[-1] != "0" else "1"
    for wrong in (path[:-1] + last, path[:-1], f"{PATH}/{NAME}/Events/", f"{PATH}/other/Events/{path.split('/')[-1]}"):
        assert (await report(site, wrong, delivered)).error == (20404, 404)
    assert (await report(site, path, delivered, token="another")).error == (20003, 403)
    assert (await report(site, path, delivered, token=None)).error == (20003, 403)
    assert (await site.customer.fetch(sid))["status"] == "sent"
    assert (await report(site, path, delivered)).status == 204
    assert (await site.customer.fetch(sid))["status"] == "delivered"
    found = await show(site.customer)
    assert (found["state"], found["in_flight"], found["outcomes"]) == ("ready", 0, {"Accepted": 1})


async def test_what_a_handset_writes_comes_in_there_too(site: Site, gateway: Gateway) -> None:
    made = await to_gateway(site, gateway)
    path = urlsplit(made["events_url"]).path
    assert (await report(site, path, {"from": TO, "to": SENDER, "body": "Hello"})).status == 204
    page = await site.customer.list(From=TO)
    assert [(m["body"], m["direction"], m["to"]) for m in page["messages"]] == [("Hello", "inbound", SENDER)]


async def test_a_paused_one_holds_messages_and_still_takes_receipts(site: Site, gateway: Gateway) -> None:
    made = await to_gateway(site, gateway)
    sid = await try_out(site)
    await change(site.customer, Paused="true")
    waiting = await try_out(site)
    await site.advance(LONG_ENOUGH)
    assert len(gateway.given) == 1
    assert (await site.customer.fetch(waiting))["status"] == "queued"
    path = urlsplit(made["events_url"]).path
    assert (await report(site, path, {"id": "ref-1", "status": "delivered"})).status == 204
    assert (await site.customer.fetch(sid))["status"] == "delivered"
    await change(site.customer, Paused="false")
    await site.node.settle()
    assert [given["sid"] for _, given in gateway.given] == [sid, waiting]


@pytest.mark.parametrize("later", [{"Paused": "true"}, {"Mps": "3"}, {"Settings": '{"in_flight": 9}'}])
async def test_its_url_stays_whatever_is_changed(site: Site, gateway: Gateway, later: dict[str, str]) -> None:
    made = await to_gateway(site, gateway)
    assert (await change(site.customer, **later)).json["events_url"] == made["events_url"]


async def test_one_that_is_changed_still_hears_its_carrier(site: Site, gateway: Gateway) -> None:
    made = await to_gateway(site, gateway)
    path = urlsplit(made["events_url"]).path
    sid = await try_out(site)
    gateway.answers.clear()
    held = asyncio.create_task(try_out(site))
    while len(gateway.given) < 2:
        await breathe()
    await change(site.customer, Settings=json.dumps({"token": HUSH + "b"}))
    while site.node.connections.closing(NAME) is None:
        await breathe()
    assert (await show(site.customer))["state"] == "connecting"
    assert (await report(site, path, {"id": "ref-1", "status": "delivered"})).status == 204
    assert (await site.customer.fetch(sid))["status"] == "delivered"
    later = await report(site, path, {"from": TO, "to": SENDER, "body": "STOP"}, token=HUSH + "b")
    assert (later.error, later.headers["retry-after"]) == ((20503, 503), "10")
    assert (await report(site, f"{path}0", {})).error == (20404, 404)
    gateway.answers.set()
    await held
    await settled(site)
    assert (await report(site, path, {"from": TO, "to": SENDER, "body": "STOP"}, token=HUSH + "b")).status == 204
    assert site.node.connections.closing(NAME) is None


async def test_the_carrier_of_one_that_is_down_is_told_to_come_again(site: Site, owner: Customer) -> None:
    path = urlsplit((await make(owner))["events_url"]).path
    found = site.node.directory.connection(NAME)
    assert found is not None
    await site.node.directory.put(changed(found, settings={"url": "nowhere"}))
    await settled(site)
    assert (await show(owner))["state"] == "down"
    later = await report(site, path, {"from": TO, "to": SENDER, "body": "STOP"})
    assert (later.error, later.headers["retry-after"]) == ((20503, 503), "10")
    assert (await report(site, f"{path}0", {})).error == (20404, 404)


async def test_a_removed_one_has_no_way_in_and_one_of_the_same_name_another(site: Site, owner: Customer) -> None:
    made = await make(owner)
    await settled(site)
    path = urlsplit(made["events_url"]).path
    told = {"id": "1", "status": "delivered"}
    assert (await report(site, path, told)).status == 204
    await owner.call("DELETE", f"{PATH}/{NAME}")
    await settled(site)
    assert (await report(site, path, told)).error == (20404, 404)
    again = await make(owner)
    await settled(site)
    assert again["events_url"] != made["events_url"]
    assert (await report(site, path, told)).error == (20404, 404)


GENERIC = {
    "body_type": "json",
    "body": '{"to":"{to}","text":"{body}","report":"{events_url}"}',
    "id_pointer": "/id",
    "event_status": "/state",
    "statuses": {"ok": "delivered", "lost": "undelivered"},
}


async def test_the_url_of_a_message_is_of_that_message_only(site: Site, gateway: Gateway) -> None:
    await make(site.customer, "generic", settings={"url": gateway.url, **GENERIC})
    await site.add_sender(SENDER, connection=NAME)
    await settled(site)
    first, second = [await try_out(site) for _ in range(2)]
    url, other = (urlsplit(given["report"]) for _, given in gateway.given)
    assert (first in url.query, second in other.query) == (True, True)
    for query in (
        url.query.replace(first, second),
        url.query[:-1] + ("0" if url.query[-1] != "0" else "1"),
        f"sid={second}&" + url.query.partition("&")[2],
    ):
        assert (await report(site, url.path, {"state": "ok"}, None, query)).error == (20404, 404)
    assert [(await site.customer.fetch(sid))["status"] for sid in (first, second)] == ["sent", "sent"]
    assert (await report(site, url.path, {"state": "ok"}, None, url.query)).status == 204
    assert (await report(site, url.path, {"state": "lost"}, None, other.query)).status == 204
    found = [(await site.customer.fetch(sid))["status"] for sid in (first, second)]
    assert found == ["delivered", "undelivered"]


async def test_a_test_says_what_it_wants_and_takes_what_it_is_given(site: Site, gateway: Gateway) -> None:
    await make(site.customer, settings={"url": gateway.url})
    reply = await site.customer.call("POST", f"{PATH}/{NAME}/Test", {"To": TO})
    assert reply.error == (20001, 400)
    assert f"Connection={NAME}" in reply.json["message"]
    for number in (1, 2):
        await site.add_sender(f"+1212555000{number}", connection=NAME)
    await settled(site)
    assert (await site.customer.call("POST", f"{PATH}/{NAME}/Test")).error == (20001, 400)
    for unknown in ("+15005550006", "+12125550003"):
        reply = await site.customer.call("POST", f"{PATH}/{NAME}/Test", {"To": TO, "From": unknown})
        assert reply.error == (20001, 400)
    assert (await site.customer.call("POST", f"{PATH}/{NAME}/Test", {"To": "nobody"})).error == (21211, 400)
    assert (await site.customer.call("POST", f"{PATH}/{NAME}/Test", {"To": f"whatsapp:{TO}"})).error == (20001, 400)
    assert gateway.given == []
    await try_out(site, From="+12125550002", Body="Hi")
    ((_, given),) = gateway.given
    assert (given["from"], given["body"]) == ("+12125550002", "Hi")


async def test_a_carrier_that_is_away_shows_and_its_message_waits_for_it(site: Site, gateway: Gateway) -> None:
    await to_gateway(site, gateway)
    gateway.answer = (503, {})
    sid = await try_out(site)
    found = await show(site.customer)
    assert (found["outcomes"], found["throttled"], found["limit"]) == ({"Busy": 1}, True, 1.0)
    gateway.answer = None
    await site.advance(5 * SECOND)
    assert (await site.customer.fetch(sid))["status"] == "sent"
    await change(site.customer, Settings=json.dumps({"url": "http://127.0.0.1:1/"}))
    await settled(site)
    waiting = await try_out(site)
    found = await show(site.customer)
    assert (found["state"], found["outcomes"].keys()) == ("failing", {"Unreachable"})
    assert found["last_error"]
    assert HUSH not in json.dumps(found)
    await change(site.customer, Settings=json.dumps({"url": gateway.url}))
    await settled(site)
    await site.advance(LONG_ENOUGH)
    assert (await site.customer.fetch(waiting))["status"] == "sent"
