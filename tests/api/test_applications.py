"""Applications: every URL is kept, an empty one is taken away, and messages may point at one."""

from typing import Any

import pytest

from tests.api.listing import check_walk
from tests.api.openapi import API as DOCUMENT
from tests.api.openapi import check
from tests.api.serving import API, FROM, Customer, Site

ALL = "/2010-04-01/Accounts/{AccountSid}/Applications.json"
ONE = "/2010-04-01/Accounts/{AccountSid}/Applications/{Sid}.json"
CALLBACK = "https://customer.example/status"
FORM = {
    "FriendlyName": "Clinic",
    "MessageStatusCallback": CALLBACK,
    "SmsUrl": "https://customer.example/in",
    "SmsMethod": "GET",
    "SmsFallbackUrl": "https://customer.example/fallback",
    "SmsFallbackMethod": "GET",
    "StatusCallback": "https://customer.example/voice-status",
    "StatusCallbackMethod": "GET",
}
SHOWN = {
    "friendly_name": "Clinic",
    "message_status_callback": CALLBACK,
    "sms_status_callback": CALLBACK,
    "sms_url": "https://customer.example/in",
    "sms_method": "GET",
    "sms_fallback_url": "https://customer.example/fallback",
    "sms_fallback_method": "GET",
    "status_callback": "https://customer.example/voice-status",
    "status_callback_method": "GET",
}


async def make(customer: Customer, **form: str) -> dict[str, Any]:
    """Make an application."""
    reply = await customer.on("POST", "/Applications.json", form)
    check(DOCUMENT, "POST", ALL, reply.status, reply.json)
    made: dict[str, Any] = reply.json
    return made


async def test_the_life_of_an_application(site: Site, customer: Customer) -> None:
    made = await make(customer, **FORM)
    assert {name: made[name] for name in SHOWN} == SHOWN
    assert made["account_sid"] == customer.account
    path = f"/Applications/{made['sid']}.json"
    fetched = await customer.on("GET", path)
    check(DOCUMENT, "GET", ONE, fetched.status, fetched.json)
    assert fetched.json == made
    await site.advance(2_000_000)
    updated = await customer.on("POST", path, {"SmsMethod": "POST"})
    check(DOCUMENT, "POST", ONE, updated.status, updated.json)
    assert {name for name in made if made[name] != updated.json[name]} == {"sms_method", "date_updated"}
    deleted = await customer.on("DELETE", path)
    assert (deleted.status, deleted.body) == (204, b"")
    assert (await customer.on("GET", path)).error == (20404, 404)


async def test_nothing_is_required_and_voice_is_null(customer: Customer) -> None:
    made = await make(customer, VoiceUrl="https://customer.example/", VoiceMethod="GET")
    assert made["friendly_name"]
    assert [made[name] for name in made if name.startswith("voice_")] == [None] * 5
    assert (made["sms_url"], made["sms_method"], made["message_status_callback"]) == (None, "POST", None)


async def test_an_empty_url_is_taken_away_and_a_missing_one_stays(customer: Customer) -> None:
    made = await make(customer, **FORM)
    emptied = (await customer.on("POST", f"/Applications/{made['sid']}.json", {"SmsUrl": ""})).json
    assert (emptied["sms_url"], emptied["sms_fallback_url"]) == (None, made["sms_fallback_url"])


@pytest.mark.parametrize(
    ("form", "wanted"),
    [
        pytest.param({"SmsStatusCallback": "https://old.example/"}, "https://old.example/", id="older-name"),
        pytest.param(
            {"SmsStatusCallback": "https://old.example/", "MessageStatusCallback": CALLBACK}, CALLBACK, id="both"
        ),
    ],
)
async def test_the_older_name_of_the_callback(customer: Customer, form: dict[str, str], wanted: str) -> None:
    made = await make(customer, **form)
    assert made["message_status_callback"] == made["sms_status_callback"] == wanted


@pytest.mark.parametrize(
    ("form", "code"),
    [
        pytest.param({"MessageStatusCallback": "not a url"}, 21402, id="callback"),
        pytest.param({"SmsUrl": "javascript:alert(1)"}, 21402, id="scheme"),
        pytest.param({"SmsFallbackUrl": "https://"}, 21402, id="host"),
        pytest.param({"SmsMethod": "PATCH"}, 21403, id="method"),
        pytest.param({"StatusCallbackMethod": "get"}, 21403, id="lower-case"),
        pytest.param({"FriendlyName": "x" * 65}, 20002, id="name"),
    ],
)
async def test_what_an_application_cannot_have(site: Site, customer: Customer, form: dict[str, str], code: int) -> None:
    made = await make(customer, **FORM)
    before = await site.node.store.resources()
    assert (await customer.on("POST", "/Applications.json", form)).error == (code, 400)
    assert (await customer.on("POST", f"/Applications/{made['sid']}.json", form)).error == (code, 400)
    assert await site.node.store.resources() == before


async def test_many_applications_are_filtered_and_paged_both_ways(site: Site, customer: Customer) -> None:
    sids = []
    for number in range(9):
        await site.advance(1_000_000)
        made = await make(customer, FriendlyName="Same" if number % 3 else "Other")
        sids += [made["sid"]] if number % 3 else []
    reply = await customer.on("GET", "/Applications.json", query={"FriendlyName": "Same"})
    check(DOCUMENT, "GET", ALL, reply.status, reply.json)
    first = f"{API}/{customer.account}/Applications.json?FriendlyName=Same"
    for size in (1, 4, 6):
        await check_walk(customer, f"{first}&PageSize={size}", "applications", sids)


async def test_a_message_may_point_at_an_application_while_it_is_there(site: Site) -> None:
    made = await make(site.customer, **FORM)
    assert (await site.customer.send(From=FROM, ApplicationSid=made["sid"])).status == 201
    await site.customer.on("DELETE", f"/Applications/{made['sid']}.json")
    assert (await site.customer.send(From=FROM, ApplicationSid=made["sid"])).error == (21420, 400)
