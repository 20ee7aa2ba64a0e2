"""`postdate clock` against a real node; every test leaves the clock frozen."""

from pathlib import Path

import pytest

from postdate.core.instant import HOUR, MINUTE, Instant, format_iso, parse_instant
from tests.cli.running import Commands, running_node

TO = "+14155550101"


def now(commands: Commands) -> Instant:
    """Return the node's time."""
    return parse_instant(commands.run("clock", "show", "--json").json["now"])


@pytest.mark.parametrize("span", ["90m", "PT1H30M"])
def test_advance_by_a_span(commands: Commands, span: str) -> None:
    before = now(commands)
    ran = commands.run("clock", "advance", span)
    assert ran.code == 0
    assert now(commands) == before + 90 * MINUTE
    assert ran.out.endswith(" UTC, frozen\n")


def test_advance_to_a_time(commands: Commands) -> None:
    target = format_iso(Instant(now(commands) + 5 * HOUR))
    assert commands.run("clock", "advance", "--to", target).code == 0
    assert now(commands) == parse_instant(target)


def test_what_is_due_on_the_way_has_happened(commands: Commands, service: str) -> None:
    sid = commands.sid("messages", "schedule", "--to", TO, "--service", service, "--in", "2h", "--body", "Hi")
    commands.run("clock", "advance", "3h")
    assert commands.run("messages", "show", sid, "--json").json["status"] == "delivered"


def test_a_clock_never_goes_back(commands: Commands) -> None:
    ran = commands.run("clock", "advance", "--to", "2020-01-01T00:00:00Z")
    assert ran.code == 1
    assert "never goes back" in ran.err


@pytest.mark.parametrize("given", [(), ("2h", "--to", "2099-01-01T00:00:00Z")], ids=["nothing", "both"])
def test_advance_wants_one_way_to_say_how_far(commands: Commands, given: tuple[str, ...]) -> None:
    assert commands.run("clock", "advance", *given).code == 2


def test_resume_and_freeze(commands: Commands) -> None:
    assert commands.run("clock", "resume").out.endswith(" UTC, running\n")
    assert commands.run("clock", "freeze").out.endswith(" UTC, frozen\n")
    assert now(commands) == now(commands)


def test_a_node_on_the_real_clock_has_none_to_move(tmp_path: Path) -> None:
    with running_node(tmp_path, test_clock=False) as real:
        ran = real.commands.run("clock", "advance", "2h")
    assert ran.code == 1
    assert "--test-clock" in ran.err
