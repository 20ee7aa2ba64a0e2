"""Behind a reverse proxy: limits, the audit log and cookies go by who asks, where the proxy is trusted to say so."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from postdate.console.attempts import FREE_OF_ADDRESS
from postdate.store.contract import AuditQuery
from tests.api.serving import basic
from tests.console.visiting import PASSWORD, Person, Place, Seen, a_place


@pytest.fixture
async def proxied(tmp_path: Path) -> AsyncIterator[Place]:
    """Give a node that trusts proxies on this machine."""
    async with a_place(tmp_path, trusted_proxies="127.0.0.1") as running:
        yield running


async def sign_in(person: Person, name: str, password: str, told: dict[str, str]) -> Seen:
    """Sign in through a proxy that says what is told."""
    form = (await person.get("/sign-in", told)).hidden("/sign-in")
    return await person.post("/sign-in", {**form, "Name": name, "Password": password}, told)


def fail_often(place: Place, address: str) -> None:
    """Make an address wait: the limits themselves are told, since a password costs time to check."""
    for number in range(FREE_OF_ADDRESS):
        place.console.tools.attempts.failed(f"Eve {number}", address)


async def test_who_tries_many_names_makes_nobody_else_behind_the_proxy_wait(proxied: Place) -> None:
    await proxied.user("Ann")
    fail_often(proxied, "203.0.113.66")
    assert (await sign_in(proxied.somebody(), "Ann", PASSWORD, {"x-forwarded-for": "203.0.113.66"})).status == 429
    assert (await sign_in(proxied.somebody(), "Ann", PASSWORD, {"x-forwarded-for": "203.0.113.9"})).status == 303


async def test_who_writes_another_address_before_the_proxys_waits_all_the_same(proxied: Place) -> None:
    fail_often(proxied, "203.0.113.66")
    told = {"x-forwarded-for": "203.0.113.9, 203.0.113.66"}
    assert (await sign_in(proxied.somebody(), "Ann", PASSWORD, told)).status == 429


async def test_without_trusted_proxies_a_header_is_nobodys_address(place: Place) -> None:
    await place.user("Ann")
    fail_often(place, "127.0.0.1")
    told = {"x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https"}
    seen = await sign_in(place.somebody(), "Ann", PASSWORD, told)
    assert seen.status == 429
    assert not any("Secure" in cookie for cookie in (await place.somebody().get("/sign-in", told)).cookies)


@pytest.mark.parametrize(
    ("trusted", "known"), [("127.0.0.1", {"203.0.113.9", "2001:db8::7"}), ("10.0.0.0/8", {"127.0.0.1"})]
)
async def test_the_audit_log_has_the_address_of_who_asked(tmp_path: Path, trusted: str, known: set[str]) -> None:
    async with a_place(tmp_path, trusted_proxies=trusted) as place:
        await place.user("Ann")
        assert (await sign_in(place.somebody(), "Ann", PASSWORD, {"x-forwarded-for": "203.0.113.9"})).status == 303
        account, token = place.node.first_account()
        headers = {"authorization": basic(account.sid, token), "x-forwarded-for": "2001:db8::7"}
        url = f"{place.url}/v1/Services"
        async with (
            aiohttp.ClientSession() as program,
            program.post(url, data={"FriendlyName": "Clinic"}, headers=headers) as answer,
        ):
            assert answer.status == 201
        rows = await place.node.store.audit(AuditQuery(account_sid=account.sid, limit=100))
    assert len(rows) == 2
    assert {row.address for row in rows} == known


async def test_cookies_are_for_https_where_the_proxy_says_so(proxied: Place) -> None:
    await proxied.user("Ann")
    person, https = proxied.somebody(), {"x-forwarded-proto": "https"}
    opened = await person.get("/sign-in", https)
    (visit,) = opened.cookies
    assert (visit[:15], visit[-8:]) == ("__Host-postdate", "; Secure")
    # The browser of this test speaks http, and sends by itself nothing that is for https only.
    form = {**opened.hidden("/sign-in"), "Name": "Ann", "Password": PASSWORD}
    entered = await person.post("/sign-in", form, {**https, "cookie": visit.partition(";")[0]})
    (session,) = [cookie for cookie in entered.cookies if "session" in cookie]
    assert (session[:24], session[-8:]) == ("__Host-postdate-session=", "; Secure")
    kept = {"cookie": session.partition(";")[0]}
    assert (await person.get("/profile", {**https, **kept})).status == 200
    assert (await person.get("/profile", kept)).status == 303, "over http nobody has such a cookie"


async def test_cookies_are_for_http_too_where_the_proxy_says_nothing(proxied: Place) -> None:
    await proxied.user("Ann")
    entered = await sign_in(proxied.somebody(), "Ann", PASSWORD, {"x-forwarded-proto": "http"})
    assert entered.status == 303
    assert not any("Secure" in cookie for cookie in entered.cookies)
