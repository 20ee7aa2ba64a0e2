"""The way in for carriers: only with the key that was given out, and answered only once it is on disk."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import pytest
from starlette.types import ASGIApp

from postdate.api.app import App
from postdate.api.parts import CarrierWay
from postdate.connectors.http_calls import NotNow
from postdate.connectors.providers.contract import BadEvent, Call, Heard, Untrusted
from postdate.connectors.providers.reading import EVENTS_LIMIT
from postdate.core.events_url import events_key, events_path, message_query
from postdate.store.contract import StoreUnavailable
from tests.api.serving import Reply, Site, exchange

SECRET = b"a secret of the node"
CONNECTION = "CN00000000000000000000000000000001"
MESSAGE = "SM00000000000000000000000000000001"
KEY = events_key(SECRET, CONNECTION)
PATH = events_path("my-sms", KEY)
QUERY = message_query(SECRET, CONNECTION, MESSAGE)[1:]


@dataclass
class Way:
    """A connection's way in, and whoever calls it."""

    app: ASGIApp
    calls: list[Call] = field(default_factory=list)
    heard: Heard | Exception = field(default_factory=Heard)

    async def take(self, call: Call) -> Heard:
        self.calls.append(call)
        if isinstance(self.heard, Exception):
            raise self.heard
        return self.heard

    async def call(
        self,
        path: str = PATH,
        query: str = "",
        body: Iterable[bytes] = (b"",),
        method: str = "POST",
        headers: Iterable[tuple[bytes, bytes]] = (),
    ) -> Reply:
        return await exchange(self.app, method, path, headers, list(body), query.encode())


@pytest.fixture
def way(site: Site) -> Way:
    """Give the way in of the connection `my-sms`; `paused` is one that takes nothing."""
    made = Way(site.app)

    def find(name: str) -> CarrierWay | None:
        return CarrierWay(CONNECTION, SECRET, made.take) if name == "my-sms" else None

    made.app = App(replace(site.node.parts(), carrier_way=find))
    return made


async def test_a_call_is_passed_on_as_it_came(way: Way, site: Site) -> None:
    query = f"{QUERY}&a=1%20+&a=&b=%C3%BC"
    headers = [(b"X-Signature", b"abc"), (b"Content-Type", b"application/json")]
    reply = await way.call(query=query, body=[b'{"a":', b"1}"], headers=headers)
    assert (reply.status, reply.body) == (204, b"")
    (call,) = way.calls
    assert call.method == "POST"
    assert call.url == f"{site.node.parts().base_url()}{PATH}?{query}"
    assert list(call.query)[2:] == [("a", "1  "), ("a", ""), ("b", "ü")]
    assert call.headers == {"x-signature": "abc", "content-type": "application/json"}
    assert call.body == b'{"a":1}'
    assert call.at == site.now
    assert call.sid == MESSAGE


async def test_the_url_of_a_connection_is_that_of_no_message(way: Way, site: Site) -> None:
    await way.call(method="GET")
    await way.call(method="GET", query="sid=SM5&status=delivered")  # a carrier's own word
    assert [call.sid for call in way.calls] == [None, None]
    assert [call.url for call in way.calls] == [
        f"{site.node.parts().base_url()}{PATH}",
        f"{site.node.parts().base_url()}{PATH}?sid=SM5&status=delivered",
    ]


async def test_what_a_carrier_adds_behind_our_query_changes_nothing(way: Way) -> None:
    await way.call(query=f"{QUERY}&sid=SM2&mac=0")
    assert way.calls[0].sid == MESSAGE


ELSEWHERE = {
    "another key": (events_path("my-sms", "0" * 32), ""),
    "no key": (events_path("my-sms", ""), ""),
    "part of the key": (events_path("my-sms", KEY[:-1]), ""),
    "the key of another connection": (events_path("my-sms", events_key(SECRET, "CN2")), ""),
    "an unknown or paused connection": (events_path("paused", KEY), ""),
    "another message": (PATH, QUERY.replace("1&", "2&")),
    "another code": (PATH, f"sid={MESSAGE}&mac={'0' * 32}"),
    "a code for no message": (PATH, QUERY.partition("&")[2]),
    "a key that is no text": (events_path("my-sms", "%ED%A0%80"), ""),
}


@pytest.mark.parametrize(("path", "query"), ELSEWHERE.values(), ids=ELSEWHERE.keys())
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_whatever_was_not_given_out_is_not_there(way: Way, path: str, query: str, method: str) -> None:
    reply = await way.call(path, query, method=method)
    assert reply.error == (20404, 404)
    assert way.calls == []


async def test_nobody_learns_which_of_it_was_wrong(way: Way) -> None:
    replies = [await way.call(path, query) for path, query in ELSEWHERE.values() if path != events_path("my-sms", "")]
    assert len({reply.body for reply in replies}) == 1


async def test_no_body_of_a_stranger_is_read(way: Way) -> None:
    # Read, it would be too large.
    assert (await way.call(events_path("my-sms", "0" * 32), body=[b"x" * EVENTS_LIMIT, b"x"])).error == (20404, 404)


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "PATCH"])
async def test_only_get_and_post_are_taken(way: Way, method: str) -> None:
    assert (await way.call(method=method)).error == (20004, 405)
    assert way.calls == []


async def test_a_body_is_bounded(way: Way) -> None:
    assert (await way.call(body=[b"x" * EVENTS_LIMIT])).status == 204
    assert (await way.call(body=[b"x" * EVENTS_LIMIT, b"x"])).error == (20413, 413)
    length = [(b"content-length", str(EVENTS_LIMIT + 1).encode())]
    assert (await way.call(headers=length)).error == (20413, 413)
    assert len(way.calls) == 1


@pytest.mark.parametrize("query", ["a=%ff", "&".join(["a=1"] * 201), "a=é"])
async def test_a_query_that_cannot_be_read_is_refused(way: Way, query: str) -> None:
    assert (await way.call(query=query)).error == (20001, 400)
    assert way.calls == []


ANSWERS: list[tuple[Heard | Exception, tuple[int, int]]] = [
    (BadEvent("It is no form."), (20001, 400)),
    (Untrusted("It is not signed."), (20003, 403)),
    (NotNow("Later."), (20503, 503)),
    (StoreUnavailable("The disk is full."), (20503, 503)),
]


@pytest.mark.parametrize(("heard", "expected"), ANSWERS)
async def test_what_is_not_taken_is_answered_so(way: Way, heard: Exception, expected: tuple[int, int]) -> None:
    way.heard = heard
    reply = await way.call()
    assert reply.error == expected
    assert reply.json["message"] == str(heard)


async def test_a_carrier_gets_the_answer_that_it_wants(way: Way) -> None:
    way.heard = Heard(status=202, body=b"<Response/>", content_type="text/xml")
    reply = await way.call()
    assert (reply.status, reply.body, reply.headers["content-type"]) == (202, b"<Response/>", "text/xml")
    way.heard = Heard(status=200)
    reply = await way.call()
    assert (reply.status, reply.body) == (200, b"")


async def test_without_connections_there_is_nothing(site: Site) -> None:
    reply = await exchange(site.app, "POST", PATH, [], [b""])
    assert reply.error == (20404, 404)
