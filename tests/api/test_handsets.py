"""The handsets of the simulated carrier over the API: what arrived, what is written back, and nobody else's."""

from typing import Any

import pytest

from postdate.core.address import SenderKind
from postdate.core.instant import SECOND
from tests.api.serving import FROM, LONG_ENOUGH, TAKEN, TO, Customer, Site

HANDSETS = "/postdate/v1/Handsets"
OTHER = "+15005550011"


async def numbers(customer: Customer, **query: str) -> list[dict[str, Any]]:
    reply = await customer.call("GET", HANDSETS, query=query)
    assert reply.status == 200, reply
    found: list[dict[str, Any]] = reply.json["handsets"]
    return found


async def conversation(customer: Customer, number: str = TO, **query: str) -> dict[str, Any]:
    reply = await customer.call("GET", f"{HANDSETS}/{number}", query=query)
    assert reply.status == 200, reply
    found: dict[str, Any] = reply.json
    return found


async def sent(site: Site, **params: str) -> str:
    sid: str = (await site.customer.send(From=FROM, **params)).json["sid"]
    await site.advance(TAKEN)
    return sid


async def test_a_message_is_on_its_handset(site: Site) -> None:
    assert await numbers(site.customer) == []
    sid = await sent(site, Body="Your table is ready")
    (handset,) = await numbers(site.customer)
    assert (handset["number"], handset["received"], handset["written"]) == (TO, 1, 0)
    assert handset["url"].endswith(f"{HANDSETS}/{TO}")
    shown = await conversation(site.customer)
    assert shown["messages"] == [
        {
            "direction": "received",
            "sid": sid,
            "from": FROM,
            "to": TO,
            "body": "Your table is ready",
            "media": [],
            "at": handset["last_at"],
            "num_segments": 1,
            "attempt": 1,
        }
    ]


async def test_a_reply_is_taken_and_shown(site: Site) -> None:
    await sent(site)
    reply = await site.customer.call("POST", f"{HANDSETS}/{TO}/Messages", {"To": FROM, "Body": "Thanks"})
    assert reply.status == 201, reply
    shown = await conversation(site.customer)
    assert [(m["direction"], m["from"], m["to"], m["body"]) for m in shown["messages"]] == [
        ("received", FROM, TO, "Hi"),
        ("written", TO, FROM, "Thanks"),
    ]
    assert shown["messages"][-1] == reply.json
    assert (shown["received"], shown["written"]) == (1, 1)
    inbound = [m for m in (await site.customer.list())["messages"] if m["direction"] == "inbound"]
    assert [(m["from"], m["to"], m["body"], m["status"]) for m in inbound] == [(TO, FROM, "Thanks", "received")]


async def test_a_handset_says_stop(site: Site) -> None:
    await site.customer.call("POST", f"{HANDSETS}/{TO}/Messages", {"To": FROM, "Body": "STOP"})
    assert (await site.customer.send(From=FROM)).error == (21610, 400)
    await site.advance(LONG_ENOUGH)
    assert [m["body"] for m in (await conversation(site.customer))["messages"]] == ["STOP"]


async def test_a_handset_of_nobody_shows_nothing(site: Site) -> None:
    shown = await conversation(site.customer, "+14155550177")
    assert (shown["messages"], shown["received"], shown["last_at"]) == ([], 0, None)


async def test_the_latest_come_first_page_by_page(site: Site) -> None:
    for text in "12345":
        await sent(site, Body=text)
    pages = [await conversation(site.customer, PageSize="2", Page=page) for page in "0123"]
    assert [[m["body"] for m in page["messages"]] for page in pages] == [["4", "5"], ["2", "3"], ["1"], []]
    links = [(bool(page["meta"]["previous_page_url"]), bool(page["meta"]["next_page_url"])) for page in pages]
    assert links == [(False, True), (True, True), (True, False), (True, False)]
    await sent(site, To="+14155550102")
    assert [one["number"] for one in await numbers(site.customer)] == ["+14155550102", TO]
    assert [one["number"] for one in await numbers(site.customer, PageSize="1", Page="1")] == [TO]


@pytest.mark.parametrize(
    ("number", "form", "wanted"),
    [
        (TO, {"To": FROM}, (20001, 400)),
        (TO, {"Body": "Hi"}, (20001, 400)),
        (TO, {"To": FROM, "Body": "x" * 1_601}, (20001, 400)),
        (TO, {"To": "+15005550099", "Body": "Hi"}, (20001, 400)),
        (f"whatsapp:{TO}", {"To": FROM, "Body": "Hi"}, (20001, 400)),
        ("nobody", {"To": FROM, "Body": "Hi"}, (20404, 404)),
    ],
)
async def test_a_reply_that_cannot_be(site: Site, number: str, form: dict[str, str], wanted: tuple[int, int]) -> None:
    reply = await site.customer.call("POST", f"{HANDSETS}/{number}/Messages", form)
    assert reply.error == wanted
    assert await numbers(site.customer) == []


# -- whose it is -----------------------------------------------------------------------------------------------------


async def test_an_account_sees_what_its_own_senders_sent(site: Site, stranger: Customer) -> None:
    await sent(site, Body="Secret")
    await site.add_sender(OTHER, account_sid=stranger.account)
    sid = (await stranger.send(From=OTHER, Body="Theirs")).json["sid"]
    await site.advance(TAKEN)
    assert [m["sid"] for m in (await conversation(stranger))["messages"]] == [sid]
    assert [m["body"] for m in (await conversation(site.customer))["messages"]] == ["Secret"]
    assert [(one["number"], one["received"]) for one in await numbers(stranger)] == [(TO, 1)]


async def test_a_handset_writes_to_nobody_elses_sender(site: Site, stranger: Customer) -> None:
    reply = await stranger.call("POST", f"{HANDSETS}/{TO}/Messages", {"To": FROM, "Body": "Hi"})
    assert reply.error == (20001, 400)
    assert (await site.customer.list())["messages"] == []


async def test_a_number_that_changes_hands_takes_no_messages_along(site: Site, stranger: Customer) -> None:
    await sent(site, Body="Secret")
    await site.customer.call("POST", f"{HANDSETS}/{TO}/Messages", {"To": FROM, "Body": "Mine"})
    (sender,) = (await site.customer.on("GET", "/IncomingPhoneNumbers.json")).json["incoming_phone_numbers"]
    await site.customer.on("DELETE", f"/IncomingPhoneNumbers/{sender['sid']}.json")
    await site.advance(SECOND)
    assert (await stranger.on("POST", "/IncomingPhoneNumbers.json", {"PhoneNumber": FROM})).status == 201
    assert await numbers(stranger) == []
    assert (await conversation(stranger))["messages"] == []


async def test_a_name_that_two_accounts_have_shows_each_its_own(site: Site, stranger: Customer) -> None:
    senders = {}
    for customer in (site.customer, stranger):
        service = await site.add_service(customer.account)
        alpha = {"kind": SenderKind.ALPHA, "account_sid": customer.account, "country": "", "sid": site.sid("AI")}
        await site.add_sender("Clinic", service, **alpha)
        reply = await customer.send(MessagingServiceSid=service, To="+447700900123", Body=customer.account)
        assert reply.status == 201, reply
        senders[customer.account] = reply.json["sid"]
    await site.advance(TAKEN)
    assert len(site.node.sandbox.inbox("+447700900123")) == 2
    for customer in (site.customer, stranger):
        shown = await conversation(customer, "+447700900123")
        assert [(m["from"], m["sid"]) for m in shown["messages"]] == [("Clinic", senders[customer.account])]
