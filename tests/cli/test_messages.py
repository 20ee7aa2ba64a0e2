"""`postdate messages` against a real node: what is asked for, what is shown, and how it ends."""

import json
import re
from collections.abc import Callable

import pytest

from postdate.core.instant import HOUR, Instant, format_iso
from tests.cli.running import Commands, Running, today_at_nine

TO = "+14155550101"
NEVER = "SM" + "0" * 32
SIDS = re.compile(r"\b(?:SM|MM)[0-9a-f]{32}\b")


def later(hours: int) -> str:
    """Return a time so many hours after the node's clock began."""
    return format_iso(Instant(today_at_nine() + hours * HOUR))


@pytest.fixture
def scheduled(commands: Commands, service: str) -> Callable[..., str]:
    """Schedule a message; return its SID."""

    def schedule(*more: str) -> str:
        said = () if "--body" in more else ("--body", "See you")
        timed = () if "--in" in more else ("--at", later(100))
        return commands.sid("messages", "schedule", "--to", TO, "--service", service, *said, *timed, *more)

    return schedule


def test_schedule_gives_the_time_to_the_api_as_it_is_written(commands: Commands, service: str) -> None:
    written = later(30).replace("Z", "+00:00")
    made = commands.run(
        "messages", "schedule", "--to", TO, "--service", service, "--at", written, "--body", "Hi", "--json"
    ).json
    assert (made["status"], made["send_at"], made["to"], made["body"]) == ("scheduled", later(30), TO, "Hi")


def test_schedule_counts_a_span_by_the_nodes_test_clock(commands: Commands, service: str) -> None:
    ran = commands.run("messages", "schedule", "--to", TO, "--service", service, "--in", "2h", "--body", "x", "--json")
    now = commands.run("clock", "show", "--json").json["now"]
    assert ran.json["send_at"] == format_iso(Instant(today_at_nine() + 2 * HOUR)) or now != format_iso(today_at_nine())


def test_schedule_counts_a_span_by_this_machine_where_the_node_has_no_test_clock(real: Running) -> None:
    service = real.commands.sid("services", "create", "--name", "Real time")
    made = real.commands.run(
        "messages", "schedule", "--to", TO, "--service", service, "--in", "PT2H", "--body", "x", "--json"
    ).json
    from email.utils import parsedate_to_datetime

    created = parsedate_to_datetime(made["date_created"]).strftime("%Y-%m-%dT%H")
    assert made["status"] == "scheduled"
    assert made["send_at"] > created
