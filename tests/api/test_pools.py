"""The sender pool of a messaging service: who may join, how often, and what is left when one leaves."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from postdate.core.resources import Sender
from tests.api.listing import check_walk
from tests.api.openapi import MESSAGING as DOCUMENT
from tests.api.openapi import check
from tests.api.serving import TO, Customer, Site

SERVICES = "/v1/Services"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of sender that exists apart from a service: how it is registered, added, and shown."""

    segment: str
    key: str
    parameter: str
    register: str
    field: str
    owner: str = "ServiceSid"

    def template(self, one: bool = False) -> str:
        """Return the path as the document writes it."""
        return f"/v1/Services/{{{self.owner}}}/{self.segment}{'/{Sid}' if one else ''}"


NUMBERS = Kind("PhoneNumbers", "phone_numbers", "PhoneNumberSid", "PhoneNumber", "phone_number")
CODES = Kind("ShortCodes", "short_codes", "ShortCodeSid", "ShortCode", "short_code")
CHANNELS = Kind("ChannelSenders", "senders", "Sid", "Sender", "sender", "MessagingServiceSid")
KINDS = pytest.mark.parametrize("kind", [NUMBERS, CODES, CHANNELS], ids=lambda kind: kind.segment)
ALPHAS = pytest.mark.parametrize("segment", ["AlphaSenders", "DestinationAlphaSenders"])


def address(kind: Kind, number: int) -> str:
    """Return the address of a number, in the spelling of its kind."""
    if kind is CODES:
        return f"{20_000 + number}"
    return f"{'whatsapp:' if kind is CHANNELS else ''}+1415555{100 + number:04}"


async def register(customer: Customer, kind: Kind, number: int = 1, **form: str) -> str:
    """Register a sender and return its SID."""
    given = {kind.register: address(kind, number), **form}
    if kind is CHANNELS:
        reply = await customer.call("POST", "/postdate/v1/ChannelSenders", given)
    else:
        reply = await customer.on(
            "POST", "/IncomingPhoneNumbers.json" if kind is NUMBERS else "/SMS/ShortCodes.json", given
        )
    assert reply.status == 201, reply
    sid: str = reply.json["sid"]
    return sid


async def new_service(customer: Customer) -> str:
    """Make a messaging service and return its path."""
    made = (await customer.call("POST", SERVICES, {"FriendlyName": "Clinic"})).json
    return f"{SERVICES}/{made['sid']}"


async def listed(customer: Customer, path: str, key: str) -> list[Any]:
    """Return the items on the first page of a list."""
    found: list[Any] = (await customer.call("GET", path)).json[key]
    return found


# -- senders that exist apart from the service -------------------------------------------------------------------------


@KINDS
async def test_a_sender_joins_and_leaves(site: Site, customer: Customer, kind: Kind) -> None:
    service, sid = await new_service(customer), await register(customer, kind)
    path = f"{service}/{kind.segment}"
    await site.advance(5_000_000)
    added = await customer.call("POST", path, {kind.parameter: sid})
    check(DOCUMENT, "POST", kind.template(), added.status, added.json)
    assert (added.status, added.json["sid"], added.json[kind.field]) == (201, sid, address(kind, 1))
    assert added.json["country_code"] == "US"
    assert added.json["url"].endswith(f"{path}/{sid}")
    assert added.json["url"].startswith("http://")
    fetched = await customer.call("GET", f"{path}/{sid}")
    check(DOCUMENT, "GET", kind.template(one=True), fetched.status, fetched.json)
    page = await customer.call("GET", path)
    check(DOCUMENT, "GET", kind.template(), page.status, page.json)
    assert page.json[kind.key] == [fetched.json] == [added.json]
    deleted = await customer.call("DELETE", f"{path}/{sid}")
    assert (deleted.status, deleted.body) == (204, b"")
    assert await listed(customer, path, kind.key) == []
    for method in ("GET", "DELETE"):
        assert (await customer.call(method, f"{path}/{sid}")).error == (21711, 404)


@KINDS
async def test_adding_twice_is_no_fault_and_no_change(site: Site, customer: Customer, kind: Kind) -> None:
    service, sid = await new_service(customer), await register(customer, kind)
    path = f"{service}/{kind.segment}"
    first = await customer.call("POST", path, {kind.parameter: sid})
    await site.advance(5_000_000)
    again = await customer.call("POST", path, {kind.parameter: sid})
    assert (first.status, again.status) == (201, 200)
    assert again.json == first.json
    if kind is not CHANNELS:  # whose repetition is not documented
        check(DOCUMENT, "POST", kind.template(), again.status, again.json)
    assert len(await listed(customer, path, kind.key)) == 1


@KINDS
async def test_a_sender_is_in_one_service_only(customer: Customer, kind: Kind) -> None:
    one, two, sid = await new_service(customer), await new_service(customer), await register(customer, kind)
    await customer.call("POST", f"{one}/{kind.segment}", {kind.parameter: sid})
    assert (await customer.call("POST", f"{two}/{kind.segment}", {kind.parameter: sid})).error == (21712, 409)
    assert (await customer.call("GET", f"{two}/{kind.segment}/{sid}")).error == (21711, 404)
    assert (await customer.call("DELETE", f"{two}/{kind.segment}/{sid}")).error == (21711, 404)
    assert len(await listed(customer, f"{one}/{kind.segment}", kind.key)) == 1
    await customer.call("DELETE", f"{one}/{kind.segment}/{sid}")
    assert (await customer.call("POST", f"{two}/{kind.segment}", {kind.parameter: sid})).status == 201


@KINDS
async def test_of_two_services_that_want_a_sender_at_once_one_gets_it(customer: Customer, kind: Kind) -> None:
    services = [await new_service(customer) for _ in range(4)]
    sid = await register(customer, kind)
    calls = (customer.call("POST", f"{service}/{kind.segment}", {kind.parameter: sid}) for service in services)
    replies = await asyncio.gather(*calls)
    assert sorted(reply.status for reply in replies) == [201, 409, 409, 409]


@KINDS
async def test_a_service_that_goes_while_a_sender_joins_keeps_none(site: Site, customer: Customer, kind: Kind) -> None:
    service = await new_service(customer)
    sids = [await register(customer, kind, number) for number in range(1, 6)]
    joins = [customer.call("POST", f"{service}/{kind.segment}", {kind.parameter: sid}) for sid in sids]
    replies = await asyncio.gather(*joins[:3], customer.call("DELETE", service), *joins[3:])
    assert replies[3].status == 204
    assert {reply.status for reply in replies} <= {201, 204, 404}
    another = await new_service(customer)
    for sid in sids:
        assert (await customer.call("POST", f"{another}/{kind.segment}", {kind.parameter: sid})).status == 201


@KINDS
async def test_a_sender_that_is_not_there(customer: Customer, kind: Kind) -> None:
    service = await new_service(customer)
    other = await register(customer, CODES if kind is NUMBERS else NUMBERS)
    wanted = (21421, 400) if kind is NUMBERS else (20404, 404)
    assert (await customer.call("POST", f"{service}/{kind.segment}")).error == (20001, 400)
    for sid in ("", "PN1", other, customer.account, other[:2] + "f" * 32):
        reply = await customer.call("POST", f"{service}/{kind.segment}", {kind.parameter: sid})
        assert reply.error == (wanted if sid else (20001, 400)), sid


@KINDS
async def test_each_kind_is_in_its_own_list(customer: Customer, kind: Kind) -> None:
    service = await new_service(customer)
    others = [other for other in (NUMBERS, CODES, CHANNELS) if other is not kind]
    for other in others:
        sid = await register(customer, other)
        await customer.call("POST", f"{service}/{other.segment}", {other.parameter: sid})
        assert (await customer.call("GET", f"{service}/{kind.segment}/{sid}")).error == (21711, 404)
        assert (await customer.call("DELETE", f"{service}/{kind.segment}/{sid}")).error == (21711, 404)
        assert len(await listed(customer, f"{service}/{other.segment}", other.key)) == 1
    assert await listed(customer, f"{service}/{kind.segment}", kind.key) == []


@KINDS
async def test_many_senders_are_paged_both_ways_in_the_order_they_joined(
    site: Site, customer: Customer, kind: Kind
) -> None:
    service = await new_service(customer)
    sids = [await register(customer, kind, number) for number in range(10)]
    sids.reverse()
    for sid in sids:
        await site.advance(1_000_000)
        await customer.call("POST", f"{service}/{kind.segment}", {kind.parameter: sid})
    for size in (1, 3, 10):
        await check_walk(customer, f"{service}/{kind.segment}?PageSize={size}", kind.key, sids)


@pytest.mark.parametrize(("mms", "wanted"), [("true", ["SMS", "MMS"]), ("false", ["SMS"])])
@pytest.mark.parametrize("kind", [NUMBERS, CODES], ids=lambda kind: kind.segment)
async def test_capabilities(customer: Customer, kind: Kind, mms: str, wanted: list[str]) -> None:
    service, sid = await new_service(customer), await register(customer, kind, Mms=mms)
    added = await customer.call("POST", f"{service}/{kind.segment}", {kind.parameter: sid})
    assert added.json["capabilities"] == wanted


@pytest.mark.parametrize(
    ("sender", "kind", "country"),
    [
        pytest.param("whatsapp:+14155550101", "WhatsApp", "US", id="whatsapp"),
        pytest.param("whatsapp:+819012345678", "WhatsApp", "JP", id="whatsapp-abroad"),
        pytest.param("messenger:104794531907950", "Messenger", "", id="messenger"),
        pytest.param("rcs:clinic_agent", "RCS", "", id="rcs"),
    ],
)
async def test_types_of_channel_senders(customer: Customer, sender: str, kind: str, country: str) -> None:
    service = await new_service(customer)
    sid = (await customer.call("POST", "/postdate/v1/ChannelSenders", {"Sender": sender})).json["sid"]
    added = (await customer.call("POST", f"{service}/ChannelSenders", {"Sid": sid})).json
    assert (added["sender"], added["sender_type"], added["country_code"]) == (sender, kind, country)
    assert added["messaging_service_sid"] == service.rpartition("/")[2]
    assert "service_sid" not in added


async def test_a_full_pool_takes_no_more_numbers(site: Site, customer: Customer) -> None:
    service = await new_service(customer)
    in_it = service.rpartition("/")[2]
    fields = {"account_sid": customer.account}
    for place in range(399):
        await site.add_sender(f"+1415556{place:04}", in_it, **fields)
    number, code, channel = [await register(customer, kind) for kind in (NUMBERS, CODES, CHANNELS)]
    assert (await customer.call("POST", f"{service}/ShortCodes", {"ShortCodeSid": code})).status == 201
    assert (await customer.call("POST", f"{service}/PhoneNumbers", {"PhoneNumberSid": number})).error == (21714, 400)
    assert (await customer.call("POST", f"{service}/ChannelSenders", {"Sid": channel})).status == 201
    assert (await customer.call("POST", f"{service}/AlphaSenders", {"AlphaSender": "Clinic"})).status == 201
    assert (await customer.call("DELETE", f"{service}/ShortCodes/{code}")).status == 204
    assert (await customer.call("POST", f"{service}/PhoneNumbers", {"PhoneNumberSid": number})).status == 201


# -- alpha senders -----------------------------------------------------------------------------------------------------


@ALPHAS
async def test_the_life_of_an_alpha_sender(customer: Customer, segment: str) -> None:
    path = f"{await new_service(customer)}/{segment}"
    template = f"/v1/Services/{{ServiceSid}}/{segment}"
    added = await customer.call("POST", path, {"AlphaSender": "Clinic & Co"})
    check(DOCUMENT, "POST", template, added.status, added.json)
    assert (added.json["alpha_sender"], added.json["capabilities"]) == ("Clinic & Co", ["SMS"])
    sid = added.json["sid"]
    fetched = await customer.call("GET", f"{path}/{sid}")
    check(DOCUMENT, "GET", f"{template}/{{Sid}}", fetched.status, fetched.json)
    page = await customer.call("GET", path)
    check(DOCUMENT, "GET", template, page.status, page.json)
    assert page.json["alpha_senders"] == [fetched.json] == [added.json]
    assert (await customer.call("POST", path, {"AlphaSender": "Clinic & Co"})).error == (21710, 409)
    assert (await customer.call("DELETE", f"{path}/{sid}")).status == 204
    assert (await customer.call("GET", f"{path}/{sid}")).error == (21711, 404)
    assert (await customer.call("POST", path, {"AlphaSender": "Clinic & Co"})).status == 201


@ALPHAS
@pytest.mark.parametrize(
    ("name", "code"),
    [
        pytest.param("", 21708, id="missing"),
        pytest.param("TwelveLetters", 21709, id="too-long"),
        pytest.param("12345", 21709, id="digits"),
        pytest.param("Café", 21709, id="accent"),
        pytest.param("a.b", 21709, id="dot"),
        pytest.param("+14155550100", 21709, id="number"),
        pytest.param("whatsapp:abc", 21709, id="channel"),
        pytest.param("+ -", 21709, id="no-letter"),
    ],
)
async def test_what_is_no_alpha_sender(customer: Customer, segment: str, name: str, code: int) -> None:
    path = f"{await new_service(customer)}/{segment}"
    assert (await customer.call("POST", path, {"AlphaSender": name})).error == (code, 400)
    assert await listed(customer, path, "alpha_senders") == []


@ALPHAS
async def test_an_alpha_sender_has_a_rate_and_a_connection(site: Site, customer: Customer, segment: str) -> None:
    path = f"{await new_service(customer)}/{segment}"
    form = {"AlphaSender": "Clinic", "Mps": "30", "Connection": "sandbox", "Mms": "true"}
    added = (await customer.call("POST", path, form)).json
    sender = site.node.directory.find(Sender, added["sid"])
    assert sender is not None
    assert (sender.mps, sender.connection, sender.mms) == (30.0, "sandbox", False)
    assert added["capabilities"] == ["SMS"]
    form = {"AlphaSender": "Other", "Connection": "pigeon"}
    assert (await customer.call("POST", path, form)).error == (20001, 400)


async def test_two_services_may_carry_the_same_name(customer: Customer, stranger: Customer) -> None:
    for who in (customer, customer, stranger):
        path = f"{await new_service(who)}/AlphaSenders"
        assert (await who.call("POST", path, {"AlphaSender": "Clinic"})).status == 201
        assert len(await listed(who, path, "alpha_senders")) == 1


async def test_the_same_name_in_two_services_is_found_in_each(site: Site, customer: Customer) -> None:
    one, two = await new_service(customer), await new_service(customer)
    for service in (one, two):
        await customer.call("POST", f"{service}/AlphaSenders", {"AlphaSender": "Clinic"})
    for service in (one, two):
        sid = service.rpartition("/")[2]
        found = site.node.directory.sender_at(customer.account, "Clinic", sid)
        assert found is not None
        assert found.service_sid == sid
    await customer.call("DELETE", one)
    left = site.node.directory.sender_at(customer.account, "Clinic")
    assert left is not None
    assert left.service_sid == two.rpartition("/")[2]


async def test_an_alpha_sender_for_one_country(customer: Customer) -> None:
    service = await new_service(customer)
    path = f"{service}/DestinationAlphaSenders"
    for country in ("fr", "DE", ""):
        added = await customer.call("POST", path, {"AlphaSender": "Clinic", "IsoCountryCode": country})
        assert (added.status, added.json["iso_country_code"]) == (201, country.upper())
    assert (await customer.call("POST", path, {"AlphaSender": "Clinic", "IsoCountryCode": "FR"})).error == (21710, 409)
    assert (await customer.call("POST", path, {"AlphaSender": "Clinic", "IsoCountryCode": "FRA"})).error == (20001, 400)
    everywhere = await listed(customer, path, "alpha_senders")
    assert sorted(sender["iso_country_code"] for sender in everywhere) == ["", "DE", "FR"]
    filtered = await customer.call("GET", path, query={"IsoCountryCode": "FR"})
    assert [sender["iso_country_code"] for sender in filtered.json["alpha_senders"]] == ["FR"]
    assert "IsoCountryCode=FR" in filtered.json["meta"]["url"]
    plain = await listed(customer, f"{service}/AlphaSenders", "alpha_senders")
    assert [sender["alpha_sender"] for sender in plain] == ["Clinic"]


@ALPHAS
async def test_many_alpha_senders_are_paged_both_ways(site: Site, customer: Customer, segment: str) -> None:
    path = f"{await new_service(customer)}/{segment}"
    sids = []
    for number in range(7):
        await site.advance(1_000_000)
        sids.append((await customer.call("POST", path, {"AlphaSender": f"Name{number}"})).json["sid"])
    for size in (1, 3, 7):
        await check_walk(customer, f"{path}?PageSize={size}", "alpha_senders", sids)


async def test_an_alpha_sender_is_chosen_to_send(site: Site, customer: Customer) -> None:
    service = await new_service(customer)
    await customer.call("POST", f"{service}/AlphaSenders", {"AlphaSender": "Clinic"})
    sent = await customer.send(To="+442079460958", MessagingServiceSid=service.rpartition("/")[2])
    await site.advance(10_000_000)
    assert (await customer.fetch(sent.json["sid"]))["from"] == "Clinic"


# -- sending, campaigns ------------------------------------------------------------------------------------------------


async def test_what_joins_is_sent_from_and_what_left_is_not(site: Site, customer: Customer) -> None:
    service, sid = await new_service(customer), await register(customer, NUMBERS)
    in_it = service.rpartition("/")[2]
    await customer.call("POST", f"{service}/PhoneNumbers", {"PhoneNumberSid": sid})
    first = (await customer.send(To=TO, MessagingServiceSid=in_it)).json["sid"]
    await site.advance(10_000_000)
    assert (await customer.fetch(first))["from"] == address(NUMBERS, 1)
    await customer.call("DELETE", f"{service}/PhoneNumbers/{sid}")
    second = (await customer.send(To=TO, MessagingServiceSid=in_it)).json["sid"]
    await site.advance(10_000_000)
    failed = await customer.fetch(second)
    assert (failed["status"], failed["error_code"]) == ("failed", 21704)


async def test_there_are_no_campaigns(customer: Customer) -> None:
    path = f"{await new_service(customer)}/Compliance/Usa2p"
    template = "/v1/Services/{MessagingServiceSid}/Compliance/Usa2p"
    reply = await customer.call("GET", path)
    check(DOCUMENT, "GET", template, reply.status, reply.json)
    assert reply.json["compliance"] == []
    usecases = await customer.call("GET", f"{path}/Usecases")
    check(DOCUMENT, "GET", f"{template}/Usecases", usecases.status, usecases.json)
    for method in ("GET", "DELETE"):
        assert (await customer.call(method, f"{path}/QE{'0' * 32}")).error == (20404, 404)
    assert (await customer.call("POST", path)).error == (20004, 405)
