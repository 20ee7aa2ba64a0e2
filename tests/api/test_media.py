"""Media of messages: fetched at SendAt from the customer's server, kept, listed, shown at a public link, deleted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from postdate.core.instant import DAY, HOUR
from postdate.core.sid import is_sid
from tests.api.listing import check_walk
from tests.api.openapi import API as DOCUMENT
from tests.api.openapi import check
from tests.api.serving import API, FROM, LONG_ENOUGH, TO, Customer, Reply, Site, exchange
from tests.serving_http import serving_http

PNG = b"\x89PNG\r\n\x1a\n"
MEDIA_LIST = f"{API}/{{AccountSid}}/Messages/{{MessageSid}}/Media.json"
MEDIA = f"{API}/{{AccountSid}}/Messages/{{MessageSid}}/Media/{{Sid}}.json"
NOBODY = "ME" + "0" * 32


@dataclass(slots=True)
class Gallery:
    """A customer's server of media; `serves` is what each path holds: a type and bytes, or a status."""

    url: str = ""
    serves: dict[str, tuple[str, bytes] | int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def show(self, path: str, body: bytes, content_type: str = "image/png") -> str:
        """Serve a medium and return its URL."""
        self.serves[path] = (content_type, body)
        return self.url + path

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Answer a request."""
        self.asked.append(request.path)
        served = self.serves.get(request.path, 404)
        if isinstance(served, int):
            return web.Response(status=served)
        return web.Response(body=served[1], headers={"Content-Type": served[0]})


@asynccontextmanager
async def opened() -> AsyncIterator[Gallery]:
    shown = Gallery()
    async with serving_http(shown.answer) as shown.url:
        yield shown


@pytest.fixture
async def gallery() -> AsyncIterator[Gallery]:
    async with opened() as shown:
        yield shown


async def sent(site: Site, *urls: str, **params: str) -> str:
    """Send a message with media and return its SID once it has arrived."""
    reply = await site.customer.send(**{"From": FROM, "MediaUrl": urls, **params})
    assert reply.status == 201, reply
    await site.advance(LONG_ENOUGH)
    sid: str = reply.json["sid"]
    return sid


async def media_of(customer: Customer, sid: str) -> list[dict[str, Any]]:
    reply = await customer.on("GET", f"/Messages/{sid}/Media.json")
    check(DOCUMENT, "GET", MEDIA_LIST, reply.status, reply.json)
    found: list[dict[str, Any]] = reply.json["media_list"]
    return found


async def public(site: Site, path: str, method: str = "GET") -> Reply:
    """Call a path as anybody: without credentials."""
    return await exchange(site.app, method, path, [], [b""])


# --- fetching --------------------------------------------------------------------------------------------------------


async def test_media_are_fetched_when_the_message_is_due_and_not_before(site: Site, gallery: Gallery) -> None:
    url = gallery.show("/qr.png", PNG + b"first")
    sid = await site.scheduled(MediaUrl=url)
    assert await media_of(site.customer, sid) == []
    gallery.show("/qr.png", PNG + b"changed since")
    await site.advance(2 * HOUR - 1_000_000)
    assert gallery.asked == []
    await site.advance(LONG_ENOUGH)
    assert gallery.asked == ["/qr.png"]
    assert (await site.customer.fetch(sid))["status"] == "delivered"
    (received,) = site.node.sandbox.inbox(TO)
    assert [(a.content_type, a.body) for a in received.attachments] == [("image/png", PNG + b"changed since")]


async def test_media_of_a_canceled_message_are_never_fetched(site: Site, gallery: Gallery) -> None:
    sid = await site.scheduled(MediaUrl=gallery.show("/1", PNG))
    await site.customer.on("POST", f"/Messages/{sid}", b"Status=canceled")
    await site.advance(DAY)
    assert gallery.asked == []
    assert await media_of(site.customer, sid) == []


async def test_ten_media_keep_their_order(site: Site, gallery: Gallery) -> None:
    urls = [gallery.show(f"/{n}", PNG + str(n).encode()) for n in (3, 1, 4, 0, 5, 9, 2, 6, 8, 7)]
    sid = await sent(site, *urls, Body="")
    (received,) = site.node.sandbox.inbox(TO)
    assert "".join(a.body[-1:].decode() for a in received.attachments) == "3140592687"
    bodies = [
        (await site.customer.on("GET", f"/Messages/{sid}/Media/{medium['sid']}")).body
        for medium in await media_of(site.customer, sid)
    ]
    assert b"".join(body[-1:] for body in bodies) == b"3140592687"
    assert (await site.customer.fetch(sid))["num_media"] == "10"


@pytest.mark.parametrize(
    ("served", "code"),
    [
        pytest.param(404, 11200, id="not-found"),
        pytest.param(403, 11200, id="forbidden"),
        pytest.param(("image/png", b""), 11200, id="empty"),
        pytest.param(("text/html", b"<script>alert(1)</script>"), 11200, id="html"),
        pytest.param(("image/svg+xml", b"<svg onload='alert(1)'/>"), 11200, id="svg"),
        pytest.param(("image/png", b"<script>alert(1)</script>"), 11200, id="html-as-png"),
        pytest.param(("image/png", PNG + b"x" * (5 * 2**20)), 30019, id="picture-too-large"),
        pytest.param(("application/pdf", b"%PDF-" + b"x" * (500 * 2**10)), 30019, id="document-too-large"),
    ],
)
async def test_media_that_cannot_be_had_fail_the_message(
    site: Site, gallery: Gallery, served: tuple[str, bytes] | int, code: int
) -> None:
    gallery.serves["/1"] = served
    sid = await sent(site, gallery.url + "/1")
    await site.advance(DAY)
    message = await site.customer.fetch(sid)
    assert (message["status"], message["error_code"]) == ("failed", code)
    assert message["error_message"]
    assert site.node.sandbox.received_total == 0
    assert await media_of(site.customer, sid) == []


async def test_a_server_that_cannot_be_reached_is_tried_again(site: Site) -> None:
    async with opened() as gone:
        url = gone.url + "/1"
    sid = (await site.customer.send(From=FROM, MediaUrl=url)).json["sid"]
    await site.advance(0)
    assert (await site.customer.fetch(sid))["status"] == "queued"
    await site.advance(DAY)
    message = await site.customer.fetch(sid)
    assert (message["status"], message["error_code"]) == ("failed", 11200)


async def test_media_inside_the_operators_network_are_not_fetched(site: Site) -> None:
    sid = await sent(site, "http://10.0.0.1/1.png")
    message = await site.customer.fetch(sid)
    assert (message["status"], message["error_code"]) == ("failed", 11200)


# --- lists and single media ------------------------------------------------------------------------------------------


async def test_a_list_of_media(site: Site, gallery: Gallery) -> None:
    sid = await sent(site, gallery.show("/1", PNG), gallery.show("/2", b"%PDF-1", "application/pdf"))
    listed = await media_of(site.customer, sid)
    assert [medium["content_type"] for medium in listed] == ["image/png", "application/pdf"]
    for medium in listed:
        assert is_sid(medium["sid"], "ME")
        assert (medium["account_sid"], medium["parent_sid"]) == (site.customer.account, sid)
        one = await site.customer.call("GET", medium["uri"])
        check(DOCUMENT, "GET", MEDIA, one.status, one.json)
        assert one.json == medium


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_media_are_paged_forth_and_back(site: Site, gallery: Gallery, size: int) -> None:
    sid = await sent(site, *(gallery.show(f"/{n}", PNG + bytes([n])) for n in range(7)))
    wanted = [medium["sid"] for medium in await media_of(site.customer, sid)]
    assert len(wanted) == 7
    page = await site.customer.on("GET", f"/Messages/{sid}/Media.json", query={"PageSize": str(size)})
    assert set(page.json) - {"end", "first_page_uri", "next_page_uri", "page", "page_size", "previous_page_uri",
                             "start", "uri"} == {"media_list"}  # fmt: skip
    await check_walk(site.customer, page.json["uri"], "media_list", wanted)


async def test_the_bytes_of_a_medium_cannot_run_in_a_browser(site: Site, gallery: Gallery) -> None:
    sid = await sent(site, gallery.show("/1", PNG + b"bytes"))
    (medium,) = await media_of(site.customer, sid)
    bare = urlsplit(medium["uri"]).path.removesuffix(".json")
    for reply in (await site.customer.call("GET", bare), await public(site, f"/media/{medium['sid']}")):
        assert (reply.status, reply.body) == (200, PNG + b"bytes")
        assert reply.headers["content-type"] == "image/png"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in reply.headers["content-security-policy"]


async def test_the_link_that_the_carrier_gets_is_open_and_leads_to_the_bytes(site: Site, gallery: Gallery) -> None:
    await sent(site, gallery.show("/1", PNG + b"bytes"))
    (received,) = site.node.sandbox.inbox(TO)
    link = urlsplit(received.attachments[0].url)
    assert f"{link.scheme}://{link.netloc}" == site.node.settings.base_url
    assert (await public(site, link.path)).body == PNG + b"bytes"


@pytest.mark.parametrize("sid", [NOBODY, "ME", "x", "%00", "..", "SM" + "0" * 32, "%FF", "x" * 5_000])
async def test_a_medium_that_is_none_is_not_found(site: Site, gallery: Gallery, sid: str) -> None:
    message = await sent(site, gallery.show("/1", PNG))
    for ending in ("", ".json"):
        assert (await site.customer.on("GET", f"/Messages/{message}/Media/{sid}{ending}")).error == (20404, 404)
        assert (await site.customer.on("DELETE", f"/Messages/{message}/Media/{sid}{ending}")).error == (20404, 404)
    assert (await public(site, f"/media/{sid}")).error == (20404, 404)


async def test_a_message_without_media_has_an_empty_list(site: Site) -> None:
    assert await media_of(site.customer, await site.scheduled()) == []


# --- whose they are --------------------------------------------------------------------------------------------------


async def test_media_are_found_under_their_own_message_and_account_only(site: Site, gallery: Gallery) -> None:
    sid = await sent(site, gallery.show("/1", PNG))
    another = await sent(site, gallery.show("/2", PNG))
    (medium,) = await media_of(site.customer, sid)
    other = await site.add_account()
    for ending in ("", ".json"):
        path = f"/Media/{medium['sid']}{ending}"
        for method in ("GET", "DELETE"):
            assert (await site.customer.on(method, f"/Messages/{another}{path}")).error == (20404, 404)
            assert (await other.on(method, f"/Messages/{sid}{path}")).error == (20404, 404)
            assert (await public(site, f"{API}/{site.customer.account}/Messages/{sid}{path}", method)).error == (
                20003,
                401,
            )
    assert (await other.on("GET", f"/Messages/{sid}/Media.json")).error == (20404, 404)
    assert await media_of(site.customer, sid) == [medium]


# --- deleting --------------------------------------------------------------------------------------------------------


async def test_a_medium_is_deleted_and_the_others_stay(site: Site, gallery: Gallery) -> None:
    sid = await sent(site, *(gallery.show(f"/{n}", PNG + bytes([n])) for n in range(3)))
    one, two, three = await media_of(site.customer, sid)
    reply = await site.customer.call("DELETE", two["uri"])
    assert (reply.status, reply.body) == (204, b"")
    assert await media_of(site.customer, sid) == [one, three]
    assert (await site.customer.call("DELETE", two["uri"])).error == (20404, 404)
    assert (await site.customer.call("GET", two["uri"])).error == (20404, 404)
    assert (await public(site, f"/media/{two['sid']}")).error == (20404, 404)
    assert (await public(site, f"/media/{three['sid']}")).body == PNG + bytes([2])


async def test_the_same_bytes_in_two_messages_are_deleted_one_by_one(site: Site, gallery: Gallery) -> None:
    first, second = await sent(site, gallery.show("/1", PNG)), await sent(site, gallery.show("/2", PNG))
    (one,), (two,) = await media_of(site.customer, first), await media_of(site.customer, second)
    assert (await site.customer.call("DELETE", one["uri"])).status == 204
    assert (await public(site, f"/media/{two['sid']}")).body == PNG
    assert (await site.customer.on("DELETE", f"/Messages/{second}")).status == 204
    assert (await public(site, f"/media/{two['sid']}")).error == (20404, 404)


async def test_media_go_with_their_message(site: Site, gallery: Gallery) -> None:
    sid = await sent(site, gallery.show("/1", PNG))
    (medium,) = await media_of(site.customer, sid)
    assert (await site.customer.on("DELETE", f"/Messages/{sid}.json")).status == 204
    assert (await public(site, f"/media/{medium['sid']}")).error == (20404, 404)
    assert (await site.customer.call("GET", medium["uri"])).error == (20404, 404)
