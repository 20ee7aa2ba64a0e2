"""The connector over Apprise, with Apprise itself and an HTTP server of ours as the service: a yes is all it tells."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib.util import find_spec

import msgspec
import pytest
from aiohttp import web

from postdate.clock import TestClock, breathe
from postdate.connectors.apprise import AppriseConnector, AppriseSettings
from postdate.connectors.contract import Asks, Attachment, CarrierEvent, Connector, State, Submission
from postdate.core.address import Channel
from postdate.core.instant import HOUR, MINUTE, Instant, parse_instant
from postdate.core.outcome import Accepted, InDoubt, Outcome, Refused, Unreachable

pytestmark = [
    pytest.mark.skipif(find_spec("apprise") is None, reason="the extra apprise is not installed"),
    # Its plugins import what Python will drop.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

START = parse_instant("2030-01-01T12:00:00Z")
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"json://user:hush-hush@127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def connected(url: str, wait: float = 20.0, in_flight: int = 4) -> AsyncIterator[AppriseConnector]:
    async def never(event: CarrierEvent) -> None:
        raise AssertionError(event)

    clock = TestClock(START, frozen=True)
    connector = AppriseConnector(AppriseSettings(url=url, timeout=wait, in_flight=in_flight), clock)
    await connector.open(never)
    try:
        yield connector
    finally:
        await connector.close()


def submission(number: int = 1, body: str = "Grüße 🙂") -> Submission:
    sid = f"SM{number:032x}"
    expires = Instant(START + 4 * HOUR)
    return Submission(sid, 1, "+15550001111", "+15550002222", Channel.SMS, body, 1, START, expires)


async def outcomes(connector: AppriseConnector, *batch: Submission) -> list[Outcome]:
    seen = {one.sid: outcome async for one, outcome in connector.submit(batch)}
    assert "hush" not in repr(seen)
    return [seen[one.sid] for one in batch]


async def test_a_yes_is_accepted_with_our_own_reference() -> None:
    came: list[tuple[str, dict[str, str]]] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        came.append((request.raw_path, json.loads(await request.read())))
        return web.Response()

    with_media = replace(submission(2), attachments=(Attachment("image/png", b"", "https://node.example/media/x"),))
    async with serving(handler) as url, connected(f"{url}/{{to}}/{{from|digits}}?rto=5") as connector:
        plain: Connector = connector
        assert not isinstance(plain, Asks)
        first, second = await outcomes(connector, submission(1), with_media)
        assert connector.condition.state is State.READY
    assert (first, second) == (Accepted(submission(1).sid), Accepted(submission(2).sid))
    assert {path for path, _ in came} == {"/+15550002222/15550001111"}
    assert {told["message"] for _, told in came} == {"Grüße 🙂", "Grüße 🙂\nhttps://node.example/media/x"}


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
async def test_a_no_of_apprise_is_a_doubt(status: int, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(status=status, text="hush-hush")

    async with serving(handler) as url, connected(f"{url}/{{to}}") as connector:
        (outcome,) = await outcomes(connector, submission())
        assert connector.condition.last_error_at == START
    assert isinstance(outcome, InDoubt)
    assert outcome.detail == connector.condition.last_error
    assert "hush" not in caplog.text
    assert "15550002222" not in caplog.text


async def test_a_service_that_fails_may_have_sent_and_leaves_it_in_doubt(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import apprise

    def fail(*_: object, **__: object) -> None:
        raise TypeError("hush-hush")

    monkeypatch.setattr(apprise.Apprise, "notify", fail)
    async with connected("json://127.0.0.1/{to}") as connector:
        assert [type(one) for one in await outcomes(connector, submission(1), submission(2))] == [InDoubt] * 2
        assert "Apprise failed" in connector.condition.last_error
    gc.collect()  # what nobody looked at is told only now
    assert "hush" not in caplog.text


async def test_what_is_not_answered_in_time_is_in_doubt_and_what_waits_for_a_thread_is_not_sent() -> None:
    released = asyncio.Event()
    came = []

    async def handler(request: web.BaseRequest) -> web.Response:
        came.append(request.path)
        await released.wait()
        return web.Response()

    patient = "?cto=60&rto=60"  # so the thread is: it waits until the handler is released
    async with serving(handler) as url, connected(f"{url}/{{to}}{patient}", wait=2.0, in_flight=1) as connector:
        assert isinstance((await outcomes(connector, submission(1)))[0], InDoubt)
        # The one thread still waits for the first.
        assert isinstance((await outcomes(connector, submission(2)))[0], Unreachable)
        released.set()
        while not isinstance((await outcomes(connector, submission(3)))[0], Accepted):
            await breathe()
    assert len(came) == 2


async def test_close_leaves_in_doubt_what_apprise_has() -> None:
    released, arrived = asyncio.Event(), asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.Response:
        arrived.set()
        await released.wait()
        return web.Response()

    later = replace(submission(2), not_before=Instant(START + MINUTE))
    async with serving(handler) as url, connected(f"{url}/{{to}}", in_flight=1) as connector:
        lane = asyncio.create_task(outcomes(connector, submission(1), later, submission(3)))
        await arrived.wait()
        assert not connector.idle
        await connector.close()
        assert [type(one) for one in await lane] == [InDoubt, Unreachable, Unreachable]
        await connector.drain()
        released.set()
    assert connector.condition.state is State.CLOSED


async def test_what_apprise_does_not_take_was_not_sent() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response()

    async with serving(handler) as url, connected(f"{url}/{{to}}") as connector:
        (outcome,) = await outcomes(connector, submission(body="half of \ud83d"))
    assert isinstance(outcome, Refused)
    async with connected("json://127.0.0.1/{to}") as connector:
        (outcome,) = await outcomes(connector, replace(submission(), channel=Channel.WHATSAPP))
    assert isinstance(outcome, Refused)
    sid, token = f"AC{'0' * 32}", "0" * 32
    # Found out by Apprise before it sends: a sender that Twilio's plugin does not take.
    async with connected(f"twilio://{sid}:{token}@{{from}}/{{to}}") as connector:
        (outcome,) = await outcomes(connector, replace(submission(), sender="Clinic"))
    assert isinstance(outcome, Refused)


WRONG = {
    "no recipient": ("json://127.0.0.1/", "{to}"),
    "another value": ("json://127.0.0.1/{to}/{body}", "is not known"),
    "no URL": ("{to}", "none that Apprise knows"),
    "an unknown service": ("nothing://hush-hush/{to}", "none that Apprise knows"),
    "two services": ("json://127.0.0.1/{to}, json://127.0.0.2/{to}", "none that Apprise knows"),
}


@pytest.mark.parametrize(("url", "told"), WRONG.values(), ids=WRONG.keys())
def test_settings_that_cannot_work_are_refused(url: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as refusal:
        AppriseConnector(msgspec.convert({"url": url}, AppriseSettings), TestClock(START))
    assert "hush" not in str(refusal.value)


async def test_before_open_everything_is_unreachable() -> None:
    connector = AppriseConnector(AppriseSettings(url="json://127.0.0.1/{to}"), TestClock(START, frozen=True))
    assert {type(one) for one in await outcomes(connector, submission(1), submission(2))} == {Unreachable}
    await connector.close()
