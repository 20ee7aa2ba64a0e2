"""Senders on WhatsApp and other channels, registered by a POST of ours."""

import pytest

from tests.api.listing import check_walk
from tests.api.serving import Customer, Site

PATH = "/postdate/v1/ChannelSenders"
SENDER = "whatsapp:+14155550123"


async def test_the_life_of_a_channel_sender(site: Site, customer: Customer) -> None:
    made = (await customer.call("POST", PATH, {"Sender": SENDER, "Mps": "80", "FriendlyName": "Clinic"})).json
    assert made["sid"].startswith("XE")
    assert (made["sender"], made["sender_type"], made["country_code"]) == (SENDER, "WhatsApp", "US")
    assert (made["mps"], made["connection"], made["friendly_name"]) == (80.0, "sandbox", "Clinic")
    assert made["account_sid"] == customer.account
    assert made["url"].endswith(f"{PATH}/{made['sid']}")
    path = f"{PATH}/{made['sid']}"
    assert (await customer.call("GET", path)).json == made
    await site.advance(2_000_000)
    updated = (await customer.call("POST", path, {"Mps": "8", "SmsUrl": "https://customer.example/in"})).json
    assert {name for name in made if made[name] != updated[name]} == {"mps", "sms_url", "date_updated"}
    assert updated["sms_url"] == "https://customer.example/in"
    assert (await customer.call("GET", PATH)).json["senders"] == [updated]
    deleted = await customer.call("DELETE", path)
    assert (deleted.status, deleted.body) == (204, b"")
    for method in ("GET", "POST", "DELETE"):
        assert (await customer.call(method, path)).error == (20404, 404)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("+14155550123", id="no-channel"),
        pytest.param("12345", id="short-code"),
        pytest.param("pigeon:+14155550123", id="unknown-channel"),
        pytest.param("whatsapp:12", id="bad-number"),
        pytest.param("messenger:", id="no-id"),
    ],
)
async def test_what_is_no_channel_sender(customer: Customer, text: str) -> None:
    assert (await customer.call("POST", PATH, {"Sender": text})).error == (20001, 400)


async def test_a_channel_sender_is_of_one_account_only(customer: Customer, stranger: Customer) -> None:
    await customer.call("POST", PATH, {"Sender": SENDER})
    own = await customer.call("POST", PATH, {"Sender": SENDER})
    foreign = await stranger.call("POST", PATH, {"Sender": SENDER})
    assert own.error == foreign.error == (21422, 400)
    assert (await stranger.call("GET", PATH)).json["senders"] == []
    assert (await stranger.on("POST", "/IncomingPhoneNumbers.json", {"PhoneNumber": SENDER[9:]})).status == 201


async def test_many_channel_senders_are_paged_both_ways(customer: Customer) -> None:
    replies = [await customer.call("POST", PATH, {"Sender": f"{SENDER[:-1]}{number}"}) for number in range(10)]
    sids = sorted(reply.json["sid"] for reply in replies)
    for size in (1, 4, 10):
        await check_walk(customer, f"{PATH}?PageSize={size}", "senders", sids)
