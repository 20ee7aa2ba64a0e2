"""Messaging services: every parameter is kept and shown, nothing else is accepted, and the links are absolute."""

from typing import Any

import pytest

from postdate.core.instant import DAY, MINUTE, Instant, format_iso
from postdate.core.resources import Sender
from tests.api.listing import check_walk, links_of, page_at
from tests.api.openapi import MESSAGING as DOCUMENT
from tests.api.openapi import check, documented
from tests.api.serving import FROM, TO, Customer, Site, a_site

SERVICES = "/v1/Services"
ONE = "/v1/Services/{Sid}"
FORM = {
    "FriendlyName": "Clinic",
    "InboundRequestUrl": "https://customer.example/in",
    "InboundMethod": "GET",
    "FallbackUrl": "https://customer.example/fallback",
    "FallbackMethod": "GET",
    "StatusCallback": "https://customer.example/status",
    "StickySender": "false",
    "MmsConverter": "false",
    "SmartEncoding": "false",
    "ScanMessageContent": "disable",
    "FallbackToLongCode": "true",
    "AreaCodeGeomatch": "false",
    "ValidityPeriod": "3600",
    "SynchronousValidation": "true",
    "Usecase": "notifications",
    "UseInboundWebhookOnNumber": "false",
}
SHOWN = {
    "friendly_name": "Clinic",
    "inbound_request_url": "https://customer.example/in",
    "inbound_method": "GET",
    "fallback_url": "https://customer.example/fallback",
    "fallback_method": "GET",
    "status_callback": "https://customer.example/status",
    "sticky_sender": False,
    "mms_converter": False,
    "smart_encoding": False,
    "scan_message_content": "disable",
    "fallback_to_long_code": True,
    "area_code_geomatch": False,
    "validity_period": 3600,
    "synchronous_validation": True,
    "usecase": "notifications",
    "use_inbound_webhook_on_number": False,
}
DEFAULTS = {
    "inbound_request_url": None,
    "inbound_method": "POST",
    "fallback_url": None,
    "fallback_method": "POST",
    "status_callback": None,
    "sticky_sender": True,
    "mms_converter": True,
    "smart_encoding": True,
    "scan_message_content": "inherit",
    "fallback_to_long_code": False,
    "area_code_geomatch": True,
    "validity_period": 36_000,
    "synchronous_validation": False,
    "usecase": "undeclared",
    "use_inbound_webhook_on_number": True,
    "us_app_to_person_registered": False,
    "schedule_window": None,
}


async def make(customer: Customer, **form: str) -> dict[str, Any]:
    """Make a messaging service."""
    reply = await customer.call("POST", SERVICES, {"FriendlyName": "Clinic", **form})
    check(DOCUMENT, "POST", SERVICES, reply.status, reply.json)
    made: dict[str, Any] = reply.json
    return made


def test_these_are_all_the_parameters_there_are() -> None:
    assert set(FORM) == documented(DOCUMENT, "POST", SERVICES) == documented(DOCUMENT, "POST", ONE)


async def test_every_parameter_is_kept_at_creation(customer: Customer) -> None:
    made = await make(customer, **FORM)
    assert {name: made[name] for name in SHOWN} == SHOWN
    assert made["account_sid"] == customer.account


async def test_a_name_is_enough(customer: Customer) -> None:
    made = await make(customer)
    assert {name: made[name] for name in DEFAULTS} == DEFAULTS


@pytest.mark.parametrize("parameter", list(FORM))
async def test_each_parameter_can_be_changed_alone(site: Site, customer: Customer, parameter: str) -> None:
    shown_as = dict(zip(FORM, SHOWN, strict=True))[parameter]
    made = await make(customer, FriendlyName="Before")
    await site.advance(2_000_000)
    updated = await customer.call("POST", f"{SERVICES}/{made['sid']}", {parameter: FORM[parameter]})
    check(DOCUMENT, "POST", ONE, updated.status, updated.json)
    assert {name for name in made if made[name] != updated.json[name]} == {shown_as, "date_updated"}
    assert updated.json[shown_as] == SHOWN[shown_as]


async def test_the_life_of_a_service(customer: Customer) -> None:
    made = await make(customer, **FORM)
    fetched = await customer.call("GET", f"{SERVICES}/{made['sid']}")
    check(DOCUMENT, "GET", ONE, fetched.status, fetched.json)
    assert fetched.json == made
    listed = await customer.call("GET", SERVICES)
    check(DOCUMENT, "GET", SERVICES, listed.status, listed.json)
    assert listed.json["services"] == [made]
    deleted = await customer.call("DELETE", f"{SERVICES}/{made['sid']}")
    assert (deleted.status, deleted.body) == (204, b"")
    for method in ("GET", "POST", "DELETE"):
        assert (await customer.call(method, f"{SERVICES}/{made['sid']}")).error == (20404, 404)


async def test_urls_are_taken_away_by_empty_ones(customer: Customer) -> None:
    made = await make(customer, **FORM)
    form = {"InboundRequestUrl": "", "FallbackUrl": "", "StatusCallback": "", "ValidityPeriod": "", "Usecase": ""}
    emptied = (await customer.call("POST", f"{SERVICES}/{made['sid']}", form)).json
    assert [emptied[name] for name in ("inbound_request_url", "fallback_url", "status_callback")] == [None] * 3
    assert (emptied["validity_period"], emptied["usecase"]) == (3600, "notifications")


@pytest.mark.parametrize(
    ("form", "code"),
    [
        pytest.param({"FriendlyName": ""}, 20001, id="no-name"),
        pytest.param({"FriendlyName": "x" * 65}, 20002, id="name"),
        pytest.param({"InboundRequestUrl": "mailto:a@b.example"}, 21402, id="inbound"),
        pytest.param({"InboundMethod": "PUT"}, 21403, id="method"),
        pytest.param({"FallbackUrl": "https://two words.example"}, 21402, id="fallback"),
        pytest.param({"StatusCallback": "https://"}, 21402, id="callback"),
        pytest.param({"StickySender": "often"}, 20001, id="flag"),
        pytest.param({"ScanMessageContent": "maybe"}, 20001, id="scan"),
        pytest.param({"ValidityPeriod": "0"}, 21624, id="validity-zero"),
        pytest.param({"ValidityPeriod": "36001"}, 21624, id="validity-long"),
        pytest.param({"ValidityPeriod": "1.5"}, 21624, id="validity-fraction"),
        pytest.param({"ValidityPeriod": "-1"}, 21624, id="validity-negative"),
        pytest.param({"Usecase": "spam"}, 21713, id="usecase"),
        pytest.param({"ScheduleWindow": "soon"}, 20001, id="window"),
        pytest.param({"ScheduleWindow": "7d..5m"}, 20001, id="window-backwards"),
        pytest.param({"ScheduleWindow": "5m"}, 20001, id="window-one-end"),
    ],
)
async def test_what_a_service_cannot_have(site: Site, customer: Customer, form: dict[str, str], code: int) -> None:
    made = await make(customer)
    before = await site.node.store.resources()
    assert (await customer.call("POST", SERVICES, {"FriendlyName": "Clinic", **form})).error == (code, 400)
    assert (await customer.call("POST", f"{SERVICES}/{made['sid']}", form)).error == (code, 400)
    assert await site.node.store.resources() == before


async def test_a_name_is_required(customer: Customer) -> None:
    assert (await customer.call("POST", SERVICES)).error == (20001, 400)


async def test_links_are_absolute_and_lead_somewhere(tmp_path: Any) -> None:
    async with a_site(tmp_path, public_url="https://sms.customer.example/") as site:
        made = await make(site.customer)
        base = f"https://sms.customer.example{SERVICES}"
        assert made["url"] == f"{base}/{made['sid']}"
        assert set(made["links"]) == {
            "phone_numbers",
            "short_codes",
            "alpha_senders",
            "destination_alpha_senders",
            "channel_senders",
            "messages",
            "us_app_to_person",
            "us_app_to_person_usecases",
        }
        for name, link in made["links"].items():
            assert link.startswith(f"{made['url']}/")
            if name != "messages":  # Twilio links to it and has it not
                await page_at(site.customer, link)
        first = (await site.customer.call("GET", SERVICES, query={"PageSize": "1"})).json
        assert first["meta"]["url"] == first["meta"]["first_page_url"] == f"{base}?PageSize=1&Page=0"
        assert str(links_of(first)[0]).startswith(f"{base}?PageSize=1&Page=1&PageToken=")


async def test_many_services_are_paged_both_ways(site: Site, customer: Customer) -> None:
    sids = []
    for number in range(13):
        await site.advance(1_000_000 if number % 4 else 0)
        sids.append((await make(customer))["sid"])
    for size in (1, 6, 13, 14):
        await check_walk(customer, f"{SERVICES}?PageSize={size}", "services", sorted(sids))


async def test_services_are_of_the_credentials(site: Site, customer: Customer) -> None:
    branch = await site.add_account(owner=customer.account)
    key = await site.add_key(customer.account)
    made = await make(customer)
    assert (await key.call("GET", f"{SERVICES}/{made['sid']}")).json == made
    assert (await branch.call("GET", f"{SERVICES}/{made['sid']}")).error == (20404, 404)
    own = await make(branch)
    assert (await customer.call("GET", f"{SERVICES}/{own['sid']}")).error == (20404, 404)
    assert [s["sid"] for s in (await customer.call("GET", SERVICES)).json["services"]] == [made["sid"]]


@pytest.mark.parametrize(
    ("window", "kept"),
    [
        pytest.param("5m..35d", "5m..35d", id="as-it-is"),
        pytest.param("300s..5w", "5m..35d", id="other-units"),
        pytest.param("0s..", "0s..", id="open"),
        pytest.param("", None, id="the-nodes"),
    ],
)
async def test_the_schedule_window_is_kept(customer: Customer, window: str, kept: str | None) -> None:
    made = await make(customer, ScheduleWindow="1h..2h")
    updated = await customer.call("POST", f"{SERVICES}/{made['sid']}", {"ScheduleWindow": window})
    check(DOCUMENT, "POST", ONE, updated.status, updated.json)
    assert updated.json["schedule_window"] == kept


async def test_the_schedule_window_is_the_services_own(site: Site) -> None:
    ahead = {"SendAt": format_iso(Instant(site.now + 20 * DAY)), "To": TO}
    assert (await site.schedule(**ahead)).error == (35114, 400)
    await site.customer.call("POST", f"{SERVICES}/{site.service}", {"ScheduleWindow": "5m..35d"})
    assert (await site.schedule(**ahead)).status == 201
    assert (await site.schedule(SendAt=format_iso(Instant(site.now + 4 * MINUTE)))).error == (35114, 400)


async def test_a_deleted_service_frees_its_senders(site: Site) -> None:
    customer = site.customer
    await site.advance(1_000_000)
    await customer.call("POST", f"{SERVICES}/{site.service}/AlphaSenders", {"AlphaSender": "Clinic"})
    assert [sender.address for sender in site.node.directory.pool(site.service)] == [FROM, "Clinic"]
    assert (await customer.call("DELETE", f"{SERVICES}/{site.service}")).status == 204
    assert site.node.directory.pool(site.service) == ()
    listed = (await customer.on("GET", "/IncomingPhoneNumbers.json")).json["incoming_phone_numbers"]
    assert [(n["phone_number"], n["messaging_service_sid"]) for n in listed] == [(FROM, None)]
    another = await make(customer)
    form = {"PhoneNumberSid": listed[0]["sid"]}
    assert (await customer.call("POST", f"{SERVICES}/{another['sid']}/PhoneNumbers", form)).status == 201
    left = [found for found in await site.node.store.resources() if isinstance(found, Sender)]
    assert [(sender.address, sender.service_sid) for sender in left] == [(FROM, another["sid"])]


async def test_usecases(customer: Customer) -> None:
    reply = await customer.call("GET", f"{SERVICES}/Usecases")
    check(DOCUMENT, "GET", "/v1/Services/Usecases", reply.status, reply.json)
    names = {usecase["usecase"] for usecase in reply.json["usecases"]}
    assert names == {"notifications", "marketing", "verification", "discussion", "poll", "undeclared"}
    for name in names:
        assert (await make(customer, Usecase=name))["usecase"] == name
