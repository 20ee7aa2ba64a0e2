"""The SMSC's handsets over HTTP: the same JSON as a node's, without accounts."""

from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlencode

import pytest

from postdate.api.server import CannotListen
from postdate.clock import SystemClock
from postdate.smsc.server import Smsc
from postdate.smsc.settings import SmscSettings
from postdate.smsc.web import HandsetPages
from tests.api.serving import Reply, exchange
from tests.api.test_handsets import HANDSETS
from tests.smsc.esme import HANDSET, SENDER, Trial, a_trial, text


@pytest.fixture
async def trial() -> AsyncIterator[Trial]:
    async with a_trial(first_id=0xABC) as running:
        yield running


async def call(trial: Trial, method: str, path: str, form: Mapping[str, str] | None = None, query: str = "") -> Reply:
    pages = HandsetPages(trial.smsc)
    pages.base_url = "http://127.0.0.1:2776"
    return await exchange(pages, method, path, [], [urlencode(form or {}).encode()], query.encode())


async def test_handsets_and_a_conversation(trial: Trial) -> None:
    assert (await call(trial, "GET", HANDSETS)).json["handsets"] == []
    esme = await trial.bind()
    await esme.submit(text("See you at 3PM", registered_delivery=0))
    (handset,) = (await call(trial, "GET", f"{HANDSETS}.json")).json["handsets"]
    assert (handset["number"], handset["received"]) == (f"+{HANDSET}", 1)
    assert handset["url"] == f"http://127.0.0.1:2776{HANDSETS}/+{HANDSET}"
    written = await call(trial, "POST", f"{HANDSETS}/+{HANDSET}/Messages", {"To": f"+{SENDER}", "Body": "Thanks"})
    assert written.status == 201
    (delivered,) = await esme.receives(1)
    assert (delivered.short_message, delivered.destination_addr) == (b"Thanks", SENDER)
    shown: dict[str, Any] = (await call(trial, "GET", f"{HANDSETS}/+{HANDSET}")).json
    assert [(m["direction"], m["body"], m["sid"]) for m in shown["messages"]] == [
        ("received", "See you at 3PM", "abc"),
        ("written", "Thanks", None),
    ]
    latest = (await call(trial, "GET", f"{HANDSETS}/+{HANDSET}", query="PageSize=1")).json
    assert [m["body"] for m in latest["messages"]] == ["Thanks"]


@pytest.mark.parametrize(
    ("method", "path", "form", "error"),
    [
        ("GET", "/", {}, (20404, 404)),
        ("GET", f"{HANDSETS}x", {}, (20404, 404)),
        ("GET", f"{HANDSETS}/1/2/3", {}, (20404, 404)),
        ("GET", f"{HANDSETS}/{'1' * 21}", {}, (20404, 404)),
        ("GET", f"{HANDSETS}/%E4", {}, (20404, 404)),
        ("POST", HANDSETS, {}, (20004, 405)),
        ("DELETE", f"{HANDSETS}/1", {}, (20004, 405)),
        ("GET", f"{HANDSETS}/1/Messages", {}, (20004, 405)),
        ("POST", f"{HANDSETS}/1/Messages", {"Body": "Hi"}, (20001, 400)),
        ("POST", f"{HANDSETS}/1/Messages", {"To": "1"}, (20001, 400)),
        ("POST", f"{HANDSETS}/1/Messages", {"To": "\u20ac", "Body": "Hi"}, (20404, 404)),
        ("POST", f"{HANDSETS}/1/Messages", {"To": "1", "Body": "x" * 70_000}, (20413, 413)),
    ],
)
async def test_what_is_not_there_is_an_error_in_the_apis_shape(
    trial: Trial, method: str, path: str, form: dict[str, str], error: tuple[int, int]
) -> None:
    assert (await call(trial, method, path, form)).error == error


async def test_its_health(trial: Trial) -> None:
    assert (await call(trial, "GET", "/health")).json == {"status": "ok"}


async def test_a_port_that_is_taken_is_an_error_that_says_what_to_do(trial: Trial) -> None:
    with pytest.raises(CannotListen, match=f"cannot listen on 127.0.0.1:{trial.smsc.port}: .* choose another --port"):
        await Smsc(SmscSettings(port=trial.smsc.port), SystemClock()).start()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"passwords": {}}, "nobody could bind"),
        ({"passwords": {"": "x"}}, "1 to 15 ASCII"),
        ({"passwords": {"x" * 16: "x"}}, "1 to 15 ASCII"),
        ({"passwords": {"x": "\u20ac"}}, "password of x"),
        ({"passwords": {"x": "y" * 65}}, "up to 64"),
        ({"window": 0}, "window is 0; write 1 or more"),
        ({"rate": -1.0}, "rate is -1.0"),
        ({"rate": float("nan")}, "rate is nan"),
    ],
)
def test_settings_that_cannot_be(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as raised:
        SmscSettings(**changes)
    assert "\u20ac" not in str(raised.value)


def test_passwords_are_in_no_repr() -> None:
    assert "secret" not in repr(SmscSettings(passwords={"x": "secret"}))
