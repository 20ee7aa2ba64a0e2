"""Phone numbers and short codes: registering what a carrier gave, each address for one account only."""

from typing import Any

import pytest

from tests.api.listing import check_walk
from tests.api.openapi import API as DOCUMENT
from tests.api.openapi import check, documented
from tests.api.serving import API, FROM, Customer, Site, a_site

NUMBERS = "/IncomingPhoneNumbers"
CODES = "/SMS/ShortCodes"
NUMBER = "+14155550123"
URL = "https://customer.example/path?a=1&b=2#rc=2"


def template(resource: str, one: bool = False) -> str:
    """Return the path of a resource as the document writes it."""
    return f"/2010-04-01/Accounts/{{AccountSid}}{resource}{'/{Sid}' if one else ''}.json"


async def make(customer: Customer, number: str = NUMBER, **form: str) -> dict[str, Any]:
    """Register a number."""
    reply = await customer.on("POST", f"{NUMBERS}.json", {"PhoneNumber": number, **form})
    assert reply.status == 201, reply
    made: dict[str, Any] = reply.json
    return made


async def make_code(customer: Customer, code: str = "12345", **form: str) -> dict[str, Any]:
    """Register a short code."""
    reply = await customer.on("POST", f"{CODES}.json", {"ShortCode": code, **form})
    assert reply.status == 201, reply
    made: dict[str, Any] = reply.json
    return made


# -- phone numbers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("below", ["", "/Local", "/Mobile", "/TollFree"])
async def test_a_number_is_registered(customer: Customer, below: str) -> None:
    reply = await customer.on("POST", f"{NUMBERS}{below}.json", {"PhoneNumber": NUMBER})
    check(DOCUMENT, "POST", template(NUMBERS + below), reply.status, reply.json)
    made = reply.json
    assert (made["phone_number"], made["friendly_name"], made["origin"]) == (NUMBER, NUMBER, "hosted")
    assert made["account_sid"] == customer.account
    assert made["capabilities"] == {"voice": False, "sms": True, "mms": True, "fax": False}
    assert made["uri"] == f"{API}/{customer.account}{NUMBERS}/{made['sid']}.json"
    assert {name for name in made if name.startswith("voice_") and made[name] is not None} == {"voice_receive_mode"}


async def test_the_life_of_a_number(site: Site, customer: Customer) -> None:
    made = await make(customer)
    path = f"{NUMBERS}/{made['sid']}.json"
    fetched = await customer.on("GET", path)
    check(DOCUMENT, "GET", template(NUMBERS, one=True), fetched.status, fetched.json)
    assert fetched.json == made
    await site.advance(2_000_000)
    updated = await customer.on("POST", path, {"FriendlyName": "Front desk", "SmsUrl": URL})
    check(DOCUMENT, "POST", template(NUMBERS, one=True), updated.status, updated.json)
    changed = {name for name in made if made[name] != updated.json[name]}
    assert changed == {"friendly_name", "sms_url", "date_updated"}
    assert (await customer.on("GET", path)).json == updated.json
    deleted = await customer.on("DELETE", path)
    assert (deleted.status, deleted.body) == (204, b"")
    assert (await customer.on("GET", path)).error == (20404, 404)
    assert (await customer.on("DELETE", path)).error == (20404, 404)
    assert (await make(customer))["sid"] != made["sid"], "the number is free again"


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        pytest.param("+1 (415) 555-0123", "+14155550123", id="fillers"),
        pytest.param(" 14155550123", "+14155550123", id="plus-not-escaped"),
        pytest.param("+44 (0)20 7946 0958", "+442079460958", id="trunk-prefix"),
        pytest.param("+819012345678", "+819012345678", id="japan"),
    ],
)
async def test_a_number_is_kept_in_its_one_spelling(customer: Customer, written: str, kept: str) -> None:
    assert (await make(customer, written))["phone_number"] == kept
    assert (await customer.on("POST", f"{NUMBERS}.json", {"PhoneNumber": kept})).error == (21422, 400)


async def test_a_registered_number_can_send(customer: Customer) -> None:
    assert (await customer.send(From=NUMBER)).error == (21606, 400)
    await make(customer)
    assert (await customer.send(From=NUMBER)).status == 201


@pytest.mark.parametrize(
    ("form", "code"),
    [
        pytest.param({}, 21421, id="nothing"),
        pytest.param({"PhoneNumber": "0123"}, 21421, id="short-code"),
        pytest.param({"PhoneNumber": "+1415"}, 21421, id="too-short"),
        pytest.param({"PhoneNumber": "ACME"}, 21421, id="name"),
        pytest.param({"PhoneNumber": "whatsapp:+14155550123"}, 21421, id="channel"),
        pytest.param({"PhoneNumber": "+99900000000000000000000"}, 21421, id="too-long"),
        pytest.param({"AreaCode": "415"}, 21452, id="area-code"),
        pytest.param({"PhoneNumber": NUMBER, "FriendlyName": "x" * 65}, 20002, id="name-too-long"),
        pytest.param({"PhoneNumber": NUMBER, "SmsUrl": "ftp://x.example/"}, 21402, id="url"),
        pytest.param({"PhoneNumber": NUMBER, "SmsMethod": "PUT"}, 21403, id="method"),
        pytest.param({"PhoneNumber": NUMBER, "SmsApplicationSid": "AP" + "0" * 32}, 21420, id="application"),
        pytest.param({"PhoneNumber": NUMBER, "Mms": "maybe"}, 20001, id="mms"),
        pytest.param({"PhoneNumber": NUMBER, "Connection": "http"}, 20001, id="connection-not-configured"),
        pytest.param({"PhoneNumber": NUMBER, "Mps": "-1"}, 20001, id="mps-negative"),
        pytest.param({"PhoneNumber": NUMBER, "Mps": "nan"}, 20001, id="mps-nan"),
        pytest.param({"PhoneNumber": NUMBER, "Mps": "1e3"}, 20001, id="mps-exponent"),
        pytest.param({"PhoneNumber": NUMBER, "Mps": "100001"}, 20001, id="mps-too-high"),
        pytest.param({"PhoneNumber": NUMBER, "Mps": "\u0661"}, 20001, id="mps-arabic-digit"),
    ],
)
async def test_what_cannot_be_registered(site: Site, customer: Customer, form: dict[str, str], code: int) -> None:
    before = await site.node.store.resources()
    assert (await customer.on("POST", f"{NUMBERS}.json", form)).error == (code, 400)
    assert await site.node.store.resources() == before


async def test_area_code_alone_says_that_nothing_is_for_sale(customer: Customer) -> None:
    reply = await customer.on("POST", f"{NUMBERS}.json", {"AreaCode": "415"})
    assert "sells no numbers" in reply.json["message"]


async def test_a_number_is_of_one_account_only_and_nobody_learns_whose(
    site: Site, customer: Customer, stranger: Customer
) -> None:
    made = await make(customer)
    own = await customer.on("POST", f"{NUMBERS}.json", {"PhoneNumber": NUMBER})
    foreign = await stranger.on("POST", f"{NUMBERS}.json", {"PhoneNumber": NUMBER})
    assert own.error == foreign.error == (21422, 400)
    assert own.body == foreign.body
    await customer.on("DELETE", f"{NUMBERS}/{made['sid']}.json")
    assert (await make(stranger))["account_sid"] == stranger.account


async def test_a_parent_registers_for_its_subaccount(site: Site, customer: Customer) -> None:
    branch = await site.add_account(owner=customer.account)
    reply = await customer.call("POST", f"{API}/{branch.account}{NUMBERS}.json", {"PhoneNumber": NUMBER})
    assert reply.json["account_sid"] == branch.account
    assert (await branch.send(From=NUMBER)).status == 201
    assert (await customer.send(From=NUMBER)).error == (21606, 400)


async def test_every_parameter_of_messaging_is_kept(site: Site, customer: Customer) -> None:
    application = await site.add_application(account_sid=customer.account)
    form = {
        "FriendlyName": "Front desk",
        "SmsUrl": URL,
        "SmsMethod": "GET",
        "SmsFallbackUrl": "https://customer.example/fallback",
        "SmsFallbackMethod": "GET",
        "SmsApplicationSid": application,
        "StatusCallback": "https://customer.example/status",
        "StatusCallbackMethod": "GET",
    }
    assert set(form) <= documented(DOCUMENT, "POST", template(NUMBERS))
    made = await make(customer, **form)
    names = {
        "FriendlyName": "friendly_name",
        "SmsUrl": "sms_url",
        "SmsMethod": "sms_method",
        "SmsFallbackUrl": "sms_fallback_url",
        "SmsFallbackMethod": "sms_fallback_method",
        "SmsApplicationSid": "sms_application_sid",
        "StatusCallback": "status_callback",
        "StatusCallbackMethod": "status_callback_method",
    }
    assert {name: made[name] for name in names.values()} == {names[name]: value for name, value in form.items()}
    emptied = await customer.on(
        "POST", f"{NUMBERS}/{made['sid']}.json", {"SmsUrl": "", "SmsApplicationSid": "", "StatusCallback": ""}
    )
    check(DOCUMENT, "POST", template(NUMBERS, one=True), emptied.status, emptied.json)
    assert [emptied.json[name] for name in ("sms_url", "sms_application_sid", "status_callback")] == [None] * 3
    assert emptied.json["sms_fallback_url"] == form["SmsFallbackUrl"]


async def test_an_application_of_another_account_is_none(site: Site, customer: Customer, stranger: Customer) -> None:
    foreign = await site.add_application(account_sid=stranger.account)
    form = {"PhoneNumber": NUMBER, "SmsApplicationSid": foreign}
    assert (await customer.on("POST", f"{NUMBERS}.json", form)).error == (21420, 400)


async def test_our_own_parameters(customer: Customer) -> None:
    plain = await make(customer, "+14155550124")
    assert (plain["mps"], plain["connection"], plain["messaging_service_sid"]) == (1.0, "sandbox", None)
    made = await make(customer, Mps="2.5", Connection="sandbox", Mms="false")
    assert (made["mps"], made["capabilities"]["mms"]) == (2.5, False)
    updated = await customer.on("POST", f"{NUMBERS}/{made['sid']}.json", {"Mps": "0", "Mms": "true"})
    assert (updated.json["mps"], updated.json["capabilities"]["mms"]) == (0.0, True)
    reply = await customer.on("POST", f"{NUMBERS}/{made['sid']}.json", {"Mps": "fast"})
    assert reply.error == (20001, 400)


async def test_defaults_are_the_nodes(tmp_path: Any) -> None:
    settings = {"default_mps": 12.5, "default_connection": "http", "carrier_url": "http://127.0.0.1:9/"}
    async with a_site(tmp_path, **settings) as site:
        made = await make(site.customer)
        assert (made["mps"], made["connection"]) == (12.5, "http")
        assert (await make(site.customer, "+14155550124", Connection="sandbox"))["connection"] == "sandbox"


async def test_a_number_does_not_move_to_another_account(site: Site, customer: Customer) -> None:
    branch = await site.add_account(owner=customer.account)
    made = await make(customer)
    path = f"{NUMBERS}/{made['sid']}.json"
    assert (await customer.on("POST", path, {"AccountSid": branch.account})).error == (20001, 400)
    assert (await customer.on("POST", path, {"AccountSid": customer.account})).status == 200


async def test_unknown_parameters_are_ignored(customer: Customer) -> None:
    made = await make(customer, VoiceUrl="https://customer.example/", Nonsense="1", TrunkSid="TK1")
    assert made["voice_url"] is None


@pytest.mark.parametrize(
    ("query", "found"),
    [
        pytest.param({}, "abcd", id="all"),
        pytest.param({"PhoneNumber": "+14155550101"}, "a", id="whole"),
        pytest.param({"PhoneNumber": "+1415*"}, "ab", id="star-at-the-end"),
        pytest.param({"PhoneNumber": "*0101"}, "ad", id="star-at-the-start"),
        pytest.param({"PhoneNumber": "+1***5550102"}, "b", id="stars-within"),
        pytest.param({"PhoneNumber": "+1*5550102"}, "", id="a-star-is-one-digit"),
        pytest.param({"PhoneNumber": "80055"}, "c", id="part"),
        pytest.param({"PhoneNumber": " 1415"}, "ab", id="plus-not-escaped"),
        pytest.param({"PhoneNumber": "(.*"}, "", id="no-pattern-of-ours"),
        pytest.param({"FriendlyName": "Support"}, "b", id="name"),
        pytest.param({"FriendlyName": "Supp"}, "", id="part-of-a-name"),
        pytest.param({"Origin": "hosted"}, "abcd", id="hosted"),
        pytest.param({"Origin": "twilio"}, "", id="twilio"),
        pytest.param({"Beta": "false"}, "abcd", id="beta"),
        pytest.param({"Beta": "true"}, "abcd", id="with-beta"),
        pytest.param({"PhoneNumber": "+1415*", "FriendlyName": "Support"}, "b", id="both"),
    ],
)
async def test_filters(customer: Customer, query: dict[str, str], found: str) -> None:
    numbers = {"a": "+14155550101", "b": "+14155550102", "c": "+18005550103", "d": "+442079460101"}
    sids = {
        (await make(customer, number, FriendlyName="Support" if letter == "b" else "Other"))["sid"]: letter
        for letter, number in numbers.items()
    }
    reply = await customer.on("GET", f"{NUMBERS}.json", query=query)
    check(DOCUMENT, "GET", template(NUMBERS), reply.status, reply.json)
    assert sorted(sids[number["sid"]] for number in reply.json["incoming_phone_numbers"]) == sorted(found)


@pytest.mark.parametrize(
    "query", [{"Origin": "mars"}, {"Beta": "maybe"}, {"PhoneNumber": "1" * 33}], ids=["origin", "beta", "number"]
)
async def test_filters_that_cannot_be(customer: Customer, query: dict[str, str]) -> None:
    assert (await customer.on("GET", f"{NUMBERS}.json", query=query)).error == (20001, 400)


@pytest.mark.parametrize(
    ("below", "number", "kind"),
    [
        pytest.param("Local", "+14155550101", "local", id="local"),
        pytest.param("Mobile", "+447400123456", "mobile", id="mobile"),
        pytest.param("TollFree", "+18005550103", "tollfree", id="toll-free"),
    ],
)
async def test_numbers_by_type(customer: Customer, below: str, number: str, kind: str) -> None:
    for one in ("+14155550101", "+447400123456", "+18005550103"):
        await make(customer, one)
    reply = await customer.on("GET", f"{NUMBERS}/{below}.json")
    check(DOCUMENT, "GET", template(f"{NUMBERS}/{below}"), reply.status, reply.json)
    assert [(n["phone_number"], n["type"]) for n in reply.json["incoming_phone_numbers"]] == [(number, kind)]
    assert reply.json["uri"].startswith(f"{API}/{customer.account}{NUMBERS}/{below}.json?")


async def test_many_numbers_are_paged_both_ways_within_a_filter(site: Site, customer: Customer) -> None:
    sids = []
    for number in range(23):
        await site.advance(1_000_000 if number % 2 else 0)
        made = await make(customer, f"+1415555{100 + number:04}", FriendlyName=f"{number % 2}")
        sids += [made["sid"]] if number % 2 else []
    first = f"{API}/{customer.account}{NUMBERS}.json?FriendlyName=1&PhoneNumber=%2B1415*"
    for size in (1, 5, 11, 1000):
        await check_walk(customer, f"{first}&PageSize={size}", "incoming_phone_numbers", sorted(sids))


async def test_a_deleted_number_leaves_its_service(site: Site) -> None:
    customer = site.customer
    listed = (await customer.on("GET", f"{NUMBERS}.json")).json["incoming_phone_numbers"]
    assert [(n["phone_number"], n["messaging_service_sid"]) for n in listed] == [(FROM, site.service)]
    assert (await customer.on("DELETE", f"{NUMBERS}/{listed[0]['sid']}.json")).status == 204
    assert site.node.directory.pool(site.service) == ()
    assert site.node.directory.owner_of(FROM) is None


# -- short codes -------------------------------------------------------------------------------------------------------


async def test_the_life_of_a_short_code(site: Site, customer: Customer) -> None:
    made = await make_code(customer, IsoCountry="ca", Mps="100")
    assert (made["short_code"], made["country_code"], made["mps"]) == ("12345", "CA", 100.0)
    path = f"{CODES}/{made['sid']}.json"
    fetched = await customer.on("GET", path)
    check(DOCUMENT, "GET", template(CODES, one=True), fetched.status, fetched.json)
    assert fetched.json == made
    await site.advance(2_000_000)
    updated = await customer.on("POST", path, {"FriendlyName": "Alerts", "SmsUrl": URL, "SmsMethod": "GET"})
    check(DOCUMENT, "POST", template(CODES, one=True), updated.status, updated.json)
    assert {name for name in made if made[name] != updated.json[name]} == {
        "friendly_name",
        "sms_url",
        "sms_method",
        "date_updated",
    }
    listed = await customer.on("GET", f"{CODES}.json")
    check(DOCUMENT, "GET", template(CODES), listed.status, listed.json)
    assert listed.json["short_codes"] == [updated.json]
    assert (await customer.on("DELETE", path)).status == 204
    assert (await customer.on("GET", path)).error == (20404, 404)


async def test_a_short_code_works_in_the_us_unless_it_says_where(customer: Customer) -> None:
    assert (await make_code(customer))["country_code"] == "US"


@pytest.mark.parametrize(
    "form",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"ShortCode": "12"}, id="too-short"),
        pytest.param({"ShortCode": "123456789"}, id="too-long"),
        pytest.param({"ShortCode": "12a45"}, id="letter"),
        pytest.param({"ShortCode": "+14155550100"}, id="number"),
        pytest.param({"ShortCode": "12345", "IsoCountry": "USA"}, id="country"),
    ],
)
async def test_what_is_no_short_code(customer: Customer, form: dict[str, str]) -> None:
    assert (await customer.on("POST", f"{CODES}.json", form)).error == (20001, 400)


async def test_a_short_code_is_of_one_account_only(customer: Customer, stranger: Customer) -> None:
    await make_code(customer)
    own = await customer.on("POST", f"{CODES}.json", {"ShortCode": "12345"})
    foreign = await stranger.on("POST", f"{CODES}.json", {"ShortCode": "12345"})
    assert own.error == foreign.error == (21422, 400)


async def test_short_codes_are_filtered_and_paged_both_ways(customer: Customer) -> None:
    sids = sorted([(await make_code(customer, f"{code}", FriendlyName="Same"))["sid"] for code in range(500, 507)])
    other = await make_code(customer, "99999", FriendlyName="Other")
    first = f"{API}/{customer.account}{CODES}.json?FriendlyName=Same"
    for size in (2, 7):
        await check_walk(customer, f"{first}&PageSize={size}", "short_codes", sids)
    listed = (await customer.on("GET", f"{CODES}.json", query={"ShortCode": "99999"})).json["short_codes"]
    assert [code["sid"] for code in listed] == [other["sid"]]


async def test_a_short_code_is_no_phone_number(customer: Customer) -> None:
    number, code = await make(customer), await make_code(customer)
    assert (await customer.on("GET", f"{NUMBERS}/{code['sid']}.json")).error == (20404, 404)
    assert (await customer.on("DELETE", f"{CODES}/{number['sid']}.json")).error == (20404, 404)
    assert [n["sid"] for n in (await customer.on("GET", f"{NUMBERS}.json")).json["incoming_phone_numbers"]] == [
        number["sid"]
    ]
