"""The test clock in the console: only where there is one, moved by the API's own handler, and never back."""

from pathlib import Path

import pytest

from postdate.clock import SystemClock, TestClock
from postdate.console.app import Console
from postdate.core.instant import DAY, HOUR, MINUTE, SECOND, Instant, format_iso
from postdate.core.resources import Role
from postdate.node import Node
from postdate.settings import load
from tests.console.reminders import Reminders
from tests.console.visiting import START, Place


@pytest.mark.parametrize(("step", "micros"), [("PT1M", MINUTE), ("PT1H", HOUR), ("P1D", DAY), ("P7D", 7 * DAY)])
async def test_the_clock_goes_ahead_by_a_step(place: Place, step: str, micros: int) -> None:
    person = await place.signed_in(Role.OPERATOR)
    seen = await person.do("/clock/advance", By=step)
    assert seen.location == "/clock"
    assert place.node.clock.now() == START + micros
    page = (await person.get("/clock")).text
    assert f"{format_iso(Instant(START + micros))[11:19]} UTC</time>" in page
    assert (await person.get("/profile")).status == 200, "nobody is signed out by it"


async def test_the_clock_goes_to_the_next_message_of_the_account(clinic: Reminders) -> None:
    first = await clinic.write("Soon", ahead=2 * HOUR)
    await clinic.write("Later", ahead=5 * HOUR)
    person = await clinic.place.signed_in(Role.OPERATOR)
    page = (await person.get("/clock")).text
    assert f'href="/console/messages/{first.sid}"' in page
    assert "In 2 hours" in page
    await person.do("/clock/advance", By="next")
    assert clinic.now == first.due_at
    assert (await clinic.now_of(first.sid)).sent_at == first.due_at
    await person.do("/clock/advance", By="next")
    seen = await person.do("/clock/advance", By="next")
    assert seen.status == 400
    assert "No message of this account waits" in seen.text


async def test_the_clock_goes_to_a_chosen_time_and_never_back(place: Place) -> None:
    person = await place.signed_in(Role.OPERATOR, zone="Asia/Tokyo")
    seen = await person.do("/clock/advance", Day="2030-03-19", Time="09:00", Zone="Asia/Tokyo")
    assert seen.location == "/clock"
    assert format_iso(place.node.clock.now()) == "2030-03-19T00:00:00Z"
    for form in (
        {"Day": "2030-03-18", "Time": "09:00"},
        {"Day": "2030-02-30", "Time": "09:00"},
        {"By": "-PT1H"},
        {"By": "P99999999D"},
        {},
    ):
        seen = await person.do("/clock/advance", **form)
        assert seen.status == 400, form
        if "Day" in form:
            assert f'value="{form["Day"]}"' in seen.text
    assert format_iso(place.node.clock.now()) == "2030-03-19T00:00:00Z"


async def test_the_clock_stands_still_and_runs(place: Place) -> None:
    person, clock = await place.signed_in(Role.OPERATOR), place.node.clock
    assert isinstance(clock, TestClock)
    assert "Standing still" in (await person.get("/clock")).text
    await person.do("/clock/freeze", Freeze="false")
    assert not clock.frozen
    assert "Running" in (await person.get("/clock")).text
    await person.do("/clock/freeze", Freeze="true")
    assert clock.frozen


async def test_whoever_only_looks_cannot_move_it(place: Place) -> None:
    person = await place.signed_in(Role.VIEWER)
    page = (await person.get("/clock")).text
    assert "17:46:40" in page
    assert "/clock/advance" not in page
    assert (await person.do("/clock/advance", By="P1D")).status == 403
    assert place.node.clock.now() == START


async def test_every_page_says_that_the_clock_is_one_for_tests(place: Place) -> None:
    for language, said in (("en", "This node runs on a test clock"), ("ja", "テストクロックで動作しています")):
        person = await place.signed_in(Role.VIEWER, name=language, language=language)
        for path in ("/profile", "/clock", "/", "/nothing"):
            assert said in (await person.get(path)).text
        strip = (await person.get("/clock/strip")).text
        assert strip.strip().startswith('<p class="clock-strip"')
        assert said not in (await place.somebody().get("/sign-in")).text


async def test_a_node_on_the_real_clock_has_no_such_screen(tmp_path: Path) -> None:
    async with Node(load(data=tmp_path, port=0)) as node:
        node.watch = SystemClock()
        port = await node.listen()
        place = Place(node, f"http://127.0.0.1:{port}", TestClock(node.clock.now()))
        person = await place.signed_in()
        try:
            assert (await person.get("/clock")).status == 404
            assert (await person.do("/clock/advance", By="P1D")).status == 404
            page = (await person.get("/profile")).text
            assert "clock-strip" not in page
            assert "/console/clock" not in page
        finally:
            await person.browser.close()


async def test_moving_it_is_in_the_audit_log(place: Place) -> None:
    person = await place.signed_in()
    await person.do("/clock/advance", By="PT1H")
    await person.do("/clock/freeze", Freeze="true")
    page = (await person.get("/audit")).text
    assert "Moved the test clock" in page
    assert format_iso(Instant(START + HOUR)) in page
    assert "Stopped or started the test clock" in page
    assert place.node.clock.now() - START < HOUR + SECOND
    assert isinstance(place.console, Console)
