"""Lists of messages: the filters in every form they are written in, and pages that stay true while messages change."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from postdate.core.instant import HOUR, MINUTE, SECOND, Instant
from tests.api.listing import check_walk, links_of, page_at
from tests.api.openapi import API as DOCUMENT
from tests.api.openapi import check
from tests.api.serving import API, FROM, LONG_ENOUGH, TAKEN, Customer, Site, instant

MESSAGES = f"{API}/{{AccountSid}}/Messages.json"
# The keys that Twilio's clients know of a page; there may be one more, which is then the list.
PAGING = {
    "end", "first_page_uri", "next_page_uri", "last_page_uri", "page", "page_size", "previous_page_uri", "total",
    "num_pages", "start", "uri",
}  # fmt: skip
DAYS = datetime(2030, 6, 11, tzinfo=UTC)


def sids(page: dict[str, Any]) -> list[str]:
    return [message["sid"] for message in page["messages"]]


async def listed(customer: Customer, **query: str) -> list[str]:
    return sids(await customer.list(**query))


async def sent(site: Site, count: int, every: int = SECOND, **params: str) -> list[str]:
    """Send messages, time passing between them; return their SIDs, the newest first."""
    made = []
    for number in range(count):
        reply = await site.customer.send(**{"From": FROM, "Body": str(number), **params})
        assert reply.status == 201, reply
        made.append(reply.json["sid"])
        await site.advance(every)
    return made[::-1]


# --- the shape of a page ---------------------------------------------------------------------------------------------


async def test_a_page_has_one_key_beside_those_of_paging(site: Site) -> None:
    await sent(site, 3)
    page = await site.customer.list()
    assert set(page) - PAGING == {"messages"}
    check(DOCUMENT, "GET", MESSAGES, 200, page)


async def test_an_empty_list_is_a_page(site: Site) -> None:
    page = await site.customer.list()
    assert (page["messages"], page["page"], page["page_size"], page["start"], page["end"]) == ([], 0, 50, 0, 0)
    assert links_of(page) == (None, None)
    assert sids(await page_at(site.customer, page["first_page_uri"])) == []
    check(DOCUMENT, "GET", MESSAGES, 200, page)


async def test_the_numbers_of_a_page(site: Site) -> None:
    await sent(site, 5, every=0)
    found = []
    page = await site.customer.list(PageSize="2")
    while True:
        found.append((page["page"], page["page_size"], page["start"], page["end"], len(page["messages"])))
        if page["next_page_uri"] is None:
            break
        page = await page_at(site.customer, page["next_page_uri"])
    assert found == [(0, 2, 0, 1, 2), (1, 2, 2, 3, 2), (2, 2, 4, 4, 1)]
    assert page["previous_page_uri"] is not None


@pytest.mark.parametrize(
    ("asked", "used"),
    [("1", 1), ("50", 50), ("1000", 1_000), ("1001", 1_000), ("5000", 1_000), ("999999999999", 1_000), ("0", 50),
     ("", 50), (None, 50)],
)  # fmt: skip
async def test_the_size_of_a_page(site: Site, asked: str | None, used: int) -> None:
    page = await site.customer.list(**({} if asked is None else {"PageSize": asked}))
    assert page["page_size"] == used
    assert f"PageSize={used}&" in page["first_page_uri"]


async def test_a_page_of_five_thousand_is_one_of_a_thousand(site: Site) -> None:
    # The clients send their limit as the size of a page: it is brought down, not refused.
    wanted = await sent(site, 3)
    page = await site.customer.list(PageSize="5000")
    assert (sids(page), page["page_size"], page["next_page_uri"]) == (wanted, 1_000, None)


@pytest.mark.parametrize(
    "query",
    [
        {"PageSize": "-1"},
        {"PageSize": "many"},
        {"PageSize": "²"},
        {"Page": "x"},
        {"Page": "-1"},
        {"PageToken": "x"},
        {"PageToken": "PA"},
        {"PageToken": "PASM" + "0" * 32},
        {"PageToken": "PASM" + "0" * 32 + "²"},
        {"PageToken": "PASM" + "0" * 32 + "-1"},
        {"PageToken": "PASM" + "0" * 32 + "9" * 19},
        {"PageToken": "PASM" + "0" * 32 + "1" * 5_000},
        {"PageToken": "PXSM" + "0" * 32 + "1"},
        {"PageToken": "\0" * 40},
        {"DateSent": "yesterday"},
        {"DateSent<": "2019-02-30"},
        {"DateSent>": "2019-06-11T25:00:00Z"},
        {"DateSent": "06/11/2019 22:05:25 XYZ"},
        {"DateSent": "\0"},
        {"Status": "Scheduled"},
        {"Status": "waiting"},
        {"Status": "\0"},
        {"SendAt>": "2030-01-01"},
        {"SendAt<": "soon"},
    ],
    ids=str,
)
async def test_a_list_that_is_asked_for_wrongly(site: Site, query: dict[str, str]) -> None:
    reply = await site.customer.on("GET", "/Messages.json", query=query)
    assert reply.error == (20001, 400)
    assert next(iter(query)).rstrip("<>") in reply.json["message"]


@pytest.mark.parametrize("token", ["PASM" + "0" * 32 + "0", "PBSM" + "f" * 32 + "9" * 18, "PA" + "'" * 34 + "1"])
async def test_a_token_of_nothing_is_an_empty_page(site: Site, token: str) -> None:
    await sent(site, 1)
    assert await listed(site.customer, PageToken=token, Page="7") == []


# --- filters ---------------------------------------------------------------------------------------------------------


async def test_by_whom_it_is_to_and_from(site: Site) -> None:
    await site.add_sender("+15005550011")
    a = await sent(site, 1, To="+14155550101")
    b = await sent(site, 1, To="+14155550102")
    c = await sent(site, 1, To="+14155550101", From="+15005550011")
    assert await listed(site.customer, To="+14155550101") == c + a
    assert await listed(site.customer, To=" 14155550101") == c + a
    assert await listed(site.customer, To="+1 (415) 555-0101") == c + a
    assert await listed(site.customer, From=FROM) == b + a
    assert await listed(site.customer, From="+15005550011", To="+14155550101") == c
    assert await listed(site.customer, From="+15005550011", To="+14155550102") == []
    assert await listed(site.customer, To="+1415555010") == []
    assert await listed(site.customer, To="") == c + b + a


async def test_messages_that_were_received_are_listed_too(site: Site) -> None:
    await site.node.sandbox.reply("+14155550101", FROM, "Hello")
    page = await site.customer.list(From="+14155550101", To=FROM)
    assert [(m["direction"], m["status"], m["body"]) for m in page["messages"]] == [("inbound", "received", "Hello")]
    assert await listed(site.customer, From=FROM) == []


async def test_by_status_and_by_service(site: Site) -> None:
    other = await site.add_service()
    scheduled, elsewhere = await site.scheduled(), await site.scheduled(MessagingServiceSid=other)
    canceled = await site.scheduled()
    await site.customer.on("POST", f"/Messages/{canceled}.json", b"Status=canceled")
    at_once = await sent(site, 1, every=TAKEN)
    assert set(await listed(site.customer, Status="scheduled")) == {scheduled, elsewhere}
    assert await listed(site.customer, Status="canceled") == [canceled]
    assert await listed(site.customer, Status="scheduled", MessagingServiceSid=other) == [elsewhere]
    assert set(await listed(site.customer, MessagingServiceSid=site.service)) == {scheduled, canceled}
    assert await listed(site.customer, MessagingServiceSid="MG" + "f" * 32) == []
    assert await listed(site.customer, Status="sent") == at_once
    await site.advance(LONG_ENOUGH)
    assert await listed(site.customer, Status="delivered") == at_once
    assert await listed(site.customer, Status="sent") == []


async def test_by_when_it_will_be_sent(site: Site) -> None:
    start = site.now // SECOND * SECOND + SECOND
    await site.node.advance_to(Instant(start))
    two, three, four = [await site.scheduled(SendAt=site.ahead(hours * HOUR)) for hours in (2, 3, 4)]
    only = {"Status": "scheduled"}
    assert set(await listed(site.customer, **{"SendAt>": site.ahead(3 * HOUR)}, **only)) == {three, four}
    assert set(await listed(site.customer, **{"SendAt>": site.ahead(3 * HOUR + 1)}, **only)) == {four}
    assert set(await listed(site.customer, **{"SendAt<": site.ahead(3 * HOUR - 1)}, **only)) == {two}
    both = {"SendAt>": site.ahead(2 * HOUR + MINUTE), "SendAt<": site.ahead(4 * HOUR - MINUTE)}
    assert await listed(site.customer, **both, **only) == [three]


# Sent at 22:05:25 and 23:59:59 of the first day, at 00:00:00 and 12:00:00 of the second.
TIMES = {
    "a": DAYS.replace(hour=22, minute=5, second=25),
    "b": DAYS.replace(hour=23, minute=59, second=59, microsecond=800_000),
    "c": DAYS.replace(day=12),
    "d": DAYS.replace(day=12, hour=12),
}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        pytest.param({"DateSent": "2030-06-11"}, "ba", id="a day"),
        pytest.param({"DateSent": "2030-06-12"}, "dc", id="the day after"),
        pytest.param({"DateSent": "2030-06-10"}, "", id="the day before"),
        pytest.param({"DateSent<": "2030-06-11"}, "ba", id="on or before a day"),
        pytest.param({"DateSent<": "2030-06-10"}, "", id="before them all"),
        pytest.param({"DateSent>": "2030-06-12"}, "dc", id="on or after a day"),
        pytest.param({"DateSent>": "2030-06-11"}, "dcba", id="from their day on"),
        pytest.param({"DateSent>": "2030-06-13"}, "", id="after them all"),
        pytest.param({"DateSent>": "2030-06-11", "DateSent<": "2030-06-11"}, "ba", id="between"),
        pytest.param({"DateSent>": "2030-06-12", "DateSent<": "2030-06-11"}, "", id="between nothing"),
        pytest.param({"DateSent": "2030-06-11", "DateSent>": "2030-06-11T23:00:00Z"}, "b", id="day and hour"),
        pytest.param({"DateSent": "2030-06-12", "DateSent<": "2030-06-11"}, "", id="day and another day"),
        pytest.param({"DateSent": "2030-06-12", "DateSent>": "2030-06-11"}, "dc", id="day and from a day before it"),
        pytest.param({"DateSent": "2030-06-11", "DateSent<": "2030-06-12"}, "ba", id="day and up to a day after it"),
        pytest.param({"DateSent": "2030-06-11T22:05:25Z"}, "a", id="python and node: a second"),
        pytest.param({"DateSent": "2030-06-11T22:05:26Z"}, "", id="another second"),
        pytest.param({"DateSent": "2030-06-11T22:05:25"}, "a", id="java: without Z"),
        pytest.param({"DateSent": "2030-06-11T22:05:25.000Z"}, "a", id="milliseconds"),
        pytest.param({"DateSent": "2030-06-11 22:05:25.000"}, "a", id="twilio's example: space"),
        pytest.param({"DateSent": "06/11/2030 22:05:25 GMT"}, "a", id="twilio's example: american"),
        pytest.param({"DateSent": "06/11/2030 15:05:25 MST"}, "a", id="twilio's example: american, MST"),
        pytest.param({"DateSent": "Tue, 11 Jun 2030 22:05:25 +0000"}, "a", id="twilio's example: RFC 2822"),
        pytest.param({"DateSent": "Tue, 11 Jun 2030 22:05:25  0000"}, "a", id="RFC 2822 whose plus became a space"),
        pytest.param({"DateSent": "2030-06-12T07:05:25+09:00"}, "a", id="offset"),
        pytest.param({"DateSent": "2030-06-12T07:05:25 09:00"}, "a", id="offset whose plus became a space"),
        pytest.param({"DateSent<": "2030-06-11T22:05:25Z"}, "a", id="up to a second, inclusive"),
        pytest.param({"DateSent<": "2030-06-11T22:05:24Z"}, "", id="up to the second before"),
        pytest.param({"DateSent>": "2030-06-11T23:59:59Z"}, "dcb", id="from a second on, inclusive"),
        pytest.param({"DateSent>": "2030-06-12T00:00:00Z"}, "dc", id="from midnight on"),
        pytest.param({"DateSent<": "9999-12-31", "DateSent>": "0001-01-01"}, "dcba", id="all of time"),
        pytest.param({"DateSent": ""}, None, id="empty is none"),
    ],
)
async def test_by_when_it_was_sent(site: Site, query: dict[str, str], found: str | None) -> None:
    names = {}
    for name, at in TIMES.items():
        await site.node.advance_to(instant(at))
        (sid,) = await sent(site, 1, every=TAKEN)
        names[sid] = name
    never_sent = await site.scheduled()
    reply = await site.customer.on("GET", "/Messages.json", query=query)
    if found is None:
        assert never_sent in sids(reply.json)
    else:
        assert "".join(names[sid] for sid in sids(reply.json)) == found


@pytest.mark.parametrize(
    ("query", "count"),
    [
        pytest.param(b"DateSent<=2030-06-11", 1, id="curl-before"),
        pytest.param(b"DateSent>=2030-06-11", 1, id="curl-after"),
        pytest.param(b"DateSent%3C=2030-06-10", 0, id="client-before"),
        pytest.param(b"DateSent%3E=2030-06-12T00%3A00%3A00Z", 0, id="client-after"),
        pytest.param(b"To=%2B14155550100&Nonsense=1&%3D=2", 1, id="unknown-ones-are-ignored"),
        pytest.param(b"To=%2B14155550199&To=%2B14155550100", 1, id="the-last-one-counts"),
    ],
)
async def test_filters_as_they_stand_in_a_url(site: Site, query: bytes, count: int) -> None:
    await site.node.advance_to(instant(DAYS))
    await sent(site, 1)
    reply = await site.customer.on("GET", "/Messages.json", query=query)
    assert len(reply.json["messages"]) == count


# --- order -----------------------------------------------------------------------------------------------------------


async def test_the_newest_come_first_by_when_they_were_sent_or_else_made(site: Site) -> None:
    scheduled = await site.scheduled()
    await site.advance(MINUTE)
    first = await sent(site, 1)
    waiting = await site.scheduled(SendAt=site.ahead(5 * HOUR))
    await site.advance(MINUTE)
    last = await sent(site, 1)
    assert await listed(site.customer) == [*last, waiting, *first, scheduled]
    await site.advance(3 * HOUR)
    assert await listed(site.customer) == [scheduled, *last, waiting, *first]


# --- pages -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 4, 11, 12])
@pytest.mark.parametrize("every", [SECOND, 0], ids=["apart", "at-one-instant"])
async def test_every_message_is_on_one_page_forth_and_back(site: Site, size: int, every: int) -> None:
    wanted = await sent(site, 11, every=every)
    if not every:
        wanted = await listed(site.customer)  # of one instant in the order of their SIDs
        assert wanted == sorted(wanted, reverse=True)
    first = (await site.customer.list(PageSize=str(size)))["uri"]
    await check_walk(site.customer, first, "messages", wanted)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("To", "+1 (415) 555-0101"),
        ("From", "Clinic & Co"),
        ("DateSent", "06/12/2030 00:00:00 GMT"),
        ("DateSent<", "2030-06-11"),
        ("DateSent>", "2030-06-11T23:00:00+09:00"),
        ("Status", "delivered"),
        ("MessagingServiceSid", "MG" + "0" * 32),
        ("SendAt<", "2030-06-11T23:00:00+09:00"),
        ("SendAt>", "2030-06-11T23:00:00Z"),
    ],
)
async def test_every_filter_is_in_the_links_as_it_was_given(site: Site, name: str, value: str) -> None:
    page = await site.customer.list(**{name: value})
    for link in (page["uri"], page["first_page_uri"]):
        assert parse_qs(urlsplit(link).query)[name] == [value]


async def test_the_filters_stay_with_the_pages(site: Site) -> None:
    await site.node.advance_to(instant(DAYS))
    wanted = []
    for _ in range(5):
        await sent(site, 1, To="+14155550199")
        wanted += await sent(site, 1, To="+14155550101")
    query = {"To": "+1 (415) 555-0101", "From": FROM, "DateSent>": "2030-06-11", "DateSent<": "06/12/2030 00:00:00 GMT"}
    query |= {"Status": "delivered", "PageSize": "2"}
    await site.advance(LONG_ENOUGH)
    first = (await site.customer.list(**query))["uri"]
    await check_walk(site.customer, first, "messages", wanted[::-1])


async def test_walking_on_while_messages_come_and_go(site: Site) -> None:
    wanted = await sent(site, 10)
    await site.advance(LONG_ENOUGH)
    page = await site.customer.list(PageSize="3")
    seen = sids(page)
    while (following := page["next_page_uri"]) is not None:
        # New ones come to the front, and of those that were seen one goes: the next page is not moved by either.
        await sent(site, 2)
        assert (await site.customer.on("DELETE", f"/Messages/{seen[-1]}.json")).status == 204
        page = await page_at(site.customer, following)
        seen += sids(page)
    assert seen == wanted


async def test_walking_back_while_messages_come_and_go(site: Site) -> None:
    wanted = await sent(site, 10)
    await site.advance(LONG_ENOUGH)
    page = await site.customer.list(PageSize="3")
    while page["next_page_uri"] is not None:
        page = await page_at(site.customer, page["next_page_uri"])
    seen = sids(page)
    while (before := page["previous_page_uri"]) is not None and len(seen) < len(wanted):
        assert (await site.customer.on("DELETE", f"/Messages/{seen[0]}.json")).status == 204
        page = await page_at(site.customer, before)
        seen = sids(page) + seen
    assert seen == wanted


async def test_a_page_can_be_read_again_by_its_own_link(site: Site) -> None:
    await sent(site, 7)
    page = await site.customer.list(PageSize="2")
    for _ in range(3):
        assert await page_at(site.customer, page["uri"]) == page
        page = await page_at(site.customer, page["next_page_uri"])
    assert sids(await page_at(site.customer, page["first_page_uri"])) == sids(await site.customer.list(PageSize="2"))


async def test_a_page_of_another_account_shows_only_ones_own(site: Site) -> None:
    await sent(site, 5)
    other = await site.add_account()
    page = await site.customer.list(PageSize="2")
    link = page["next_page_uri"].replace(site.customer.account, other.account)
    assert sids(await page_at(other, link)) == []
    reply = await other.call("GET", page["next_page_uri"].partition("?")[0])
    assert reply.error == (20003, 401)
