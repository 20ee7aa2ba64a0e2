"""The test clock by the API: what it moves by, what it refuses, and that all that lies between happens in order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from aiohttp import web

from postdate.core.instant import DAY, HOUR, MINUTE, SECOND, Instant, format_iso_exact, parse_instant
from tests.api.serving import Customer, Reply, Site, a_site, exchange

CLOCK = "/postdate/v1/TestClock"


async def move(customer: Customer, **form: str) -> Reply:
    return await customer.call("POST", CLOCK, form)


async def shown(customer: Customer) -> tuple[Instant, bool]:
    reply = await customer.call("GET", CLOCK)
    assert reply.status == 200, reply
    assert set(reply.json) == {"now", "frozen"}
    return parse_instant(reply.json["now"]), reply.json["frozen"]


async def test_it_shows_its_time(site: Site) -> None:
    assert await shown(site.customer) == (site.now, True)


@pytest.mark.parametrize("ending", ["", ".json"])
async def test_it_goes_with_json_behind_it_and_without(site: Site, ending: str) -> None:
    assert (await site.customer.call("GET", CLOCK + ending)).status == 200


@pytest.mark.parametrize(
    ("by", "micros"),
    [
        pytest.param("PT2H", 2 * HOUR, id="hours"),
        pytest.param("P3D", 3 * DAY, id="days"),
        pytest.param("P1W", 7 * DAY, id="week"),
        pytest.param("PT1H30M", 90 * MINUTE, id="hours-and-minutes"),
        pytest.param("PT0.5S", SECOND // 2, id="half-a-second"),
        pytest.param("90s", 90 * SECOND, id="span-seconds"),
        pytest.param("7d", 7 * DAY, id="span-days"),
        pytest.param("1us", 1, id="span-microsecond"),
        pytest.param("0s", 0, id="nothing"),
    ],
)
async def test_it_is_advanced_by_a_length_of_time(site: Site, by: str, micros: int) -> None:
    start = site.now
    reply = await move(site.customer, AdvanceBy=by)
    assert (reply.status, reply.json) == (200, {"now": format_iso_exact(Instant(start + micros)), "frozen": True})
    assert site.now == start + micros


@pytest.mark.parametrize("spelling", ["2030-01-01T14:00:00Z", "2030-01-01T23:00:00+09:00", "2030-01-01T23:00 09:00"])
async def test_it_is_advanced_to_an_instant(site: Site, spelling: str) -> None:
    reply = await move(site.customer, AdvanceTo=spelling)
    assert reply.json == {"now": "2030-01-01T14:00:00Z", "frozen": True}
    # There it is already: to go there again is no way back.
    assert (await move(site.customer, AdvanceTo="2030-01-01T14:00:00Z")).status == 200
    assert (await move(site.customer, AdvanceTo="2030-01-01T13:59:59.999999Z")).error == (20001, 400)


@pytest.mark.parametrize(
    ("form", "told"),
    [
        pytest.param({}, "AdvanceBy", id="nothing"),
        pytest.param({"AdvanceBy": "", "AdvanceTo": ""}, "AdvanceBy", id="empty"),
        pytest.param({"AdvanceBy": "PT1H", "AdvanceTo": "2030-01-01T14:00:00Z"}, "not both", id="both"),
        pytest.param({"AdvanceBy": "soon"}, "'soon'", id="by-words"),
        pytest.param({"AdvanceBy": "-PT1H"}, "'-PT1H'", id="by-back"),
        pytest.param({"AdvanceBy": "-1h"}, "'-1h'", id="by-span-back"),
        pytest.param({"AdvanceBy": "P1M"}, "month", id="by-month"),
        pytest.param({"AdvanceBy": "P36501D"}, "36500", id="by-more-than-a-century"),
        pytest.param({"AdvanceBy": "9" * 5_000}, "...", id="by-endless"),
        pytest.param({"AdvanceBy": "\0"}, "\\x00", id="by-nul"),
        pytest.param({"AdvanceTo": "2030-01-01"}, "time of day", id="to-a-date"),
        pytest.param({"AdvanceTo": "2030-01-01T14:00:00"}, "zone", id="to-no-zone"),
        pytest.param({"AdvanceTo": "2001-01-01T00:00:00Z"}, "never goes back", id="to-the-past"),
        pytest.param({"Freeze": "perhaps"}, "'perhaps'", id="freeze"),
        pytest.param({"freeze": "true"}, "Freeze", id="small-name"),
        pytest.param({"Freeze": "false", "AdvanceTo": "2001-01-01T00:00:00Z"}, "never goes back", id="resume-and-past"),
    ],
)
async def test_a_move_that_is_refused_moves_nothing(site: Site, form: dict[str, str], told: str) -> None:
    before = await shown(site.customer)
    reply = await move(site.customer, **form)
    assert reply.error == (20001, 400)
    assert told in reply.json["message"]
    assert len(reply.json["message"]) < 400
    assert await shown(site.customer) == before


async def test_the_end_of_time_cannot_be_passed(site: Site) -> None:
    # What is shown of a later time would have a year of five digits, which nobody reads.
    assert (await move(site.customer, AdvanceTo="9999-12-31T23:59:59.999999Z")).status == 200
    assert (await move(site.customer, AdvanceBy="1us")).error == (20001, 400)
    assert (await shown(site.customer))[0] == parse_instant("9999-12-31T23:59:59.999999Z")


async def test_it_stands_still_and_runs(site: Site) -> None:
    reply = await move(site.customer, Freeze="false")
    assert reply.json["frozen"] is False
    first, _ = await shown(site.customer)
    now = first
    while now <= first:  # the machine's clock moves it
        now, frozen = await shown(site.customer)
        assert not frozen
    assert (await move(site.customer, Freeze="true")).json["frozen"] is True
    stood, _ = await shown(site.customer)
    assert stood >= now
    for _ in range(50):
        assert await shown(site.customer) == (stood, True)


async def test_it_runs_on_after_an_advance_where_it_ran_before(site: Site) -> None:
    start = site.now
    assert (await move(site.customer, Freeze="false", AdvanceBy="PT1H")).json["frozen"] is False
    assert site.now >= start + HOUR
    reply = await move(site.customer, AdvanceBy="PT1H")
    assert reply.json["frozen"] is False
    assert start + 2 * HOUR <= site.now < start + 2 * HOUR + MINUTE
    assert (await move(site.customer, Freeze="true", AdvanceBy="PT1H")).json["frozen"] is True
    assert site.now >= start + 3 * HOUR


# --- what happens on the way -----------------------------------------------------------------------------------------


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[str, list[dict[str, str]]]]:
    """Run a customer's server; give its URL and the forms that it is sent."""
    heard: list[dict[str, str]] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        heard.append(dict(parse_qsl(await request.text(), keep_blank_values=True, strict_parsing=True)))
        return web.Response(status=204)

    runner = web.ServerRunner(web.Server(answer), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/status", heard
    finally:
        await runner.cleanup()


async def test_all_that_lies_between_has_happened_in_order_when_it_answers(site: Site) -> None:
    async with listening() as (url, heard):
        sids = {hours: await site.scheduled(SendAt=site.ahead(hours * HOUR), StatusCallback=url) for hours in (4, 2, 3)}
        canceled = await site.scheduled(SendAt=site.ahead(5 * HOUR), StatusCallback=url)
        await site.customer.on("POST", f"/Messages/{canceled}", b"Status=canceled")
        assert (await move(site.customer, AdvanceBy="P1D")).status == 200
        told = [(form["MessageSid"], form["MessageStatus"]) for form in heard]
        assert told == [
            (canceled, "canceled"),
            *((sids[hours], status) for hours in (2, 3, 4) for status in ("queued", "sent", "delivered")),
        ]


async def test_an_advance_stops_short_of_what_is_due_later(site: Site) -> None:
    sid = await site.scheduled(SendAt=site.ahead(2 * HOUR))
    await move(site.customer, AdvanceBy="PT1H59M")
    assert (await site.customer.fetch(sid))["status"] == "scheduled"
    await move(site.customer, AdvanceBy="PT2M")
    assert (await site.customer.fetch(sid))["status"] == "delivered"


async def test_a_century_passes_while_one_waits(site: Site) -> None:
    sid = await site.scheduled()
    assert (await move(site.customer, AdvanceBy="P36500D")).status == 200
    assert (await site.customer.fetch(sid))["status"] == "delivered"


async def test_two_who_move_it_at_once_both_get_where_they_wanted(site: Site) -> None:
    await move(site.customer, Freeze="false")
    start = site.now
    sids = [await site.scheduled(SendAt=site.ahead(hours * HOUR)) for hours in range(2, 7)]
    replies = await asyncio.gather(
        *(move(site.customer, AdvanceTo=format_iso_exact(Instant(start + DAY + n * MINUTE))) for n in range(4))
    )
    assert {reply.status for reply in replies} <= {200, 400}  # who comes last may find it past already
    assert any(reply.status == 200 for reply in replies)
    await move(site.customer, Freeze="true", AdvanceBy="PT1H")
    for sid in sids:
        assert (await site.customer.fetch(sid))["status"] == "delivered"


# --- who may, and where ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_it_is_there_only_on_a_node_with_a_test_clock(tmp_path: Path, method: str) -> None:
    async with a_site(tmp_path, test_clock=False) as site:
        reply = await site.customer.call(method, CLOCK, {"AdvanceBy": "PT1H"} if method == "POST" else b"")
        assert reply.error == (20404, 404)
        assert "--test-clock" in reply.json["message"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_other_methods_are_refused(site: Site, method: str) -> None:
    assert (await site.customer.call(method, CLOCK)).error == (20004, 405)


async def test_nobody_moves_it_without_signing_in(site: Site) -> None:
    before = site.now
    assert (await exchange(site.app, "POST", CLOCK, [], [b"AdvanceBy=PT1H"])).error == (20003, 401)
    assert site.now == before
