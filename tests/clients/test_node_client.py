"""The official Node.js library, unmodified: a customer in a process of its own tells in JSON what it saw.

It is installed apart from us; where it is not, these tests are skipped and say how it is.
"""

import asyncio
import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from postdate.core.instant import SECOND
from tests.api.serving import FROM, TAKEN, TO, instant
from tests.clients.conftest import Heard, Surroundings

PACKAGE = Path(__file__).parents[1] / "node" / "package.json"
CUSTOMER = Path(__file__).with_name("customer.mjs")
INSTALLED = (PACKAGE.parent / "node_modules" / "twilio" / "package.json").exists()
NODE = shutil.which("node")

pytestmark = [
    pytest.mark.skipif(NODE is None, reason="Node.js is not installed: install it to test its Twilio library"),
    pytest.mark.skipif(
        not INSTALLED, reason="Twilio's Node.js library is missing: npm install --prefix tests/node --no-package-lock"
    ),
]
ways = pytest.mark.parametrize("way", ["base url", "http client"])


async def asked(around: Surroundings, what: str, **details: Any) -> Any:
    """Have the customer in Node.js do something, and return what it says."""
    customer = around.site.customer
    given = {"do": what, "base": around.url, "account": customer.account, "token": customer.secret, "to": TO, **details}
    process = await asyncio.create_subprocess_exec(
        str(NODE),
        str(CUSTOMER),
        str(PACKAGE),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": str(Path(str(NODE)).parent)},  # no proxy, no edge, no region of this machine
    )
    said, complained = await process.communicate(json.dumps(given).encode())
    assert process.returncode == 0, complained.decode()
    return json.loads(said)


def as_json(heard: Heard) -> Mapping[str, object]:
    return {"url": heard.url, "signature": heard.signature, "params": heard.params}


@ways
async def test_the_announcements_story(around: Surroundings, way: str) -> None:
    await around.site.node.advance_to(instant(datetime(2030, 1, 1, tzinfo=UTC)))
    told = await asked(around, "story", way=way, statusUrl=around.status_url, mediaUrl=around.media_url)
    first, second = told["first"], told["second"]
    assert [one["sid"] for one in told["pooled"]] == [told["number"]["sid"]]
    assert (first["status"], first["from"], first["numSegments"], first["errorCode"]) == ("scheduled", None, "0", None)
    assert (first["messagingServiceSid"], first["dateSent"]) == (told["service"], None)
    assert (first["dateCreated"], told["created"]) == ("2030-01-01T00:00:00.000Z", True)
    assert (first["sid"][:2], second["sid"][:2], second["numMedia"]) == ("SM", "MM", "1")
    assert (told["canceled"]["status"], told["canceled"]["sid"]) == ("canceled", second["sid"])
    assert (told["delivered"]["status"], told["delivered"]["from"]) == ("delivered", "+15005550011")
    assert told["delivered"]["dateSent"] == "2030-01-02T15:00:00.000Z"
    assert (told["tooLate"]["code"], told["tooLate"]["status"]) == (30409, 409)
    assert (told["redacted"]["body"], told["feedback"]["outcome"]) == ("", "confirmed")
    assert (told["removed"], told["left"]) == ([True, True], [])
    assert [m.body for m in around.site.node.sandbox.inbox(TO)] == ["Tomorrow at 3PM"]
    expected = [(first["sid"], status) for status in ("queued", "sent", "delivered")]
    expected.append((second["sid"], "canceled"))
    assert [(heard.params["MessageSid"], heard.status) for heard in around.heard] == expected


async def test_the_library_believes_our_signatures_and_no_others(around: Surroundings) -> None:
    site = around.site
    sid = await site.scheduled(StatusCallback=around.status_url)
    await site.customer.on("POST", f"/Messages/{sid}", b"Status=canceled")
    await site.advance(SECOND)
    (heard,) = around.heard
    honest = as_json(heard)
    forged: list[Mapping[str, object]] = [
        {**honest, "params": {**heard.params, "MessageStatus": "delivered"}},
        {**honest, "params": {**heard.params, "More": ""}},
        {**honest, "url": heard.url + "&x=1"},
        {**honest, "url": heard.url.partition("?")[0]},
        {**honest, "signature": heard.signature.swapcase()},
    ]
    assert await asked(around, "validate", heard=[honest, *forged]) == [True] + [False] * len(forged)
    assert await asked(around, "validate", heard=[honest], token="wrong") == [False]


SEND_ATS = [
    ({"date": "2030-01-01T14:00:00Z"}, "2030-01-01T14:00:00Z"),
    ({"date": "2030-01-01T14:00:00.999Z"}, "2030-01-01T14:00:00Z"),  # the library cuts the milliseconds
    ({"date": "2030-01-01T23:00:00+09:00"}, "2030-01-01T14:00:00Z"),
    ({"text": "2030-01-01T14:00:00Z"}, "2030-01-01T14:00:00Z"),
    ({"text": "2030-01-01T14:00:00.000Z"}, "2030-01-01T14:00:00Z"),  # what toISOString writes
    ({"text": "2030-01-01T23:00:00+09:00"}, "2030-01-01T14:00:00Z"),
    ({"text": "2030-01-01T14:00:00"}, None),
    ({"text": "2030-01-01"}, None),
    ({"text": "Tue Jan 01 2030 14:00:00 GMT+0000"}, None),
]


async def test_send_at_as_the_library_writes_it(around: Surroundings) -> None:
    site = around.site
    await site.node.advance_to(instant(datetime(2029, 12, 31, tzinfo=UTC)))
    made = await asked(around, "sendAt", service=site.service, sendAts=[given for given, _ in SEND_ATS])
    for (given, understood), told in zip(SEND_ATS, made, strict=True):
        if understood is None:
            assert (told["sid"], told["failed"]["code"], told["failed"]["status"]) == (None, 20001, 400), given
            assert repr(given["text"]) in told["failed"]["message"]
        else:
            assert told["failed"] is None, given
            assert (await site.customer.fetch(told["sid"]))["send_at"] == understood, given


CREATES: list[tuple[dict[str, object], int, int]] = [
    ({"to": "hello", "from": FROM, "body": "Hi"}, 21211, 400),
    ({"to": TO, "from": "+15005550019", "body": "Hi"}, 21606, 400),
    ({"to": TO, "body": "Hi"}, 21603, 400),
    ({"to": TO, "from": FROM}, 21602, 400),
    ({"to": TO, "messagingServiceSid": "MG" + "0" * 32, "body": "Hi"}, 21701, 404),
    ({"to": TO, "from": FROM, "body": "Hi", "validityPeriod": 0}, 21624, 400),
    ({"to": TO, "from": FROM, "body": "Hi", "scheduleType": "fixed"}, 35111, 400),
]


@ways
async def test_a_fault_is_raised_as_the_library_raises_it(around: Surroundings, way: str) -> None:
    raised = await asked(around, "faults", way=way, creates=[params for params, _, _ in CREATES])
    expected = [(code, status) for _, code, status in CREATES] + [(20404, 404), (20001, 400), (20003, 401)]
    assert [(fault["code"], fault["status"]) for fault in raised] == expected
    for fault in raised:
        assert fault["kind"] == "RestException"
        assert fault["message"]
        assert fault["moreInfo"] == f"https://www.twilio.com/docs/errors/{fault['code']}"


@ways
async def test_lists(around: Surroundings, way: str) -> None:
    site, made = around.site, []
    for day in range(10, 17):
        await site.node.advance_to(instant(datetime(2030, 6, day, 22, 5, 25, tzinfo=UTC)))
        made.append((await site.customer.send(From=FROM, To=f"+141555501{day}")).json["sid"])
        await site.advance(TAKEN)
    wanted = made[::-1]
    filters: list[tuple[dict[str, object], list[str]]] = [
        ({"to": "+14155550111"}, [made[1]]),
        ({"from": FROM, "to": "+14155550111"}, [made[1]]),
        ({"from": "+15005550019"}, []),
        ({"dates": {"dateSentAfter": "2030-06-15T00:00:00Z"}}, [made[6], made[5]]),
        ({"dates": {"dateSentBefore": "2030-06-11T22:05:25Z"}}, [made[1], made[0]]),
        ({"dates": {"dateSent": "2030-06-12T22:05:25Z"}}, [made[2]]),
        ({"dateSent": "2030-06-12"}, [made[2]]),
    ]
    told = await asked(around, "lists", way=way, filters=[given for given, _ in filters])
    assert told["all"] == told["each"] == told["large"] == wanted
    assert told["limited"] == wanted[:5]
    assert told["pages"] == [wanted[:3], wanted[3:6], wanted[6:], wanted[3:6]]
    assert told["end"] is None
    assert told["filtered"] == [expected for _, expected in filters]
