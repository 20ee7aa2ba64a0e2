"""`postdate messages` against a real node: what is asked for, what is shown, and how it ends."""

import json
import re
from collections.abc import Callable, Iterator

import pytest

from postdate.core.instant import HOUR, MINUTE, SECOND, Instant, format_iso, parse_date_filter, parse_instant
from tests.cli.running import Commands, Running, running_node, today_at_nine

TO = "+14155550101"
NEVER = "SM" + "0" * 32
SIDS = re.compile(r"\b(?:SM|MM)[0-9a-f]{32}\b")

Schedule = Callable[..., str]


def later(hours: int) -> str:
    """Return a time so many hours after the nodes' clocks began."""
    return format_iso(Instant(today_at_nine() + hours * HOUR))


@pytest.fixture
def schedule(commands: Commands, service: str) -> Schedule:
    """Schedule a message; return its SID."""

    def make(*more: str, to: str = TO) -> str:
        said = ("--to", to, "--service", service, "--at", later(100), "--body", "See you at 3PM")
        return commands.sid("messages", "schedule", *said, *more)

    return make


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A node on the machine's clock."""
    with running_node(tmp_path_factory.mktemp("real"), test_clock=False) as running:
        yield running


# -- scheduling ------------------------------------------------------------------------------------------------------


def test_schedule_gives_the_time_to_the_api_as_it_is_written(commands: Commands, service: str) -> None:
    written = later(30).replace("Z", "+00:00")
    said = ("--to", TO, "--service", service, "--at", written, "--body", "Hi")
    made = commands.run("messages", "schedule", *said, "--json").json
    assert (made["status"], made["send_at"], made["to"], made["body"]) == ("scheduled", later(30), TO, "Hi")


def test_schedule_leaves_it_to_the_node_to_refuse_a_time(commands: Commands, service: str) -> None:
    without_zone = later(30).rstrip("Z")
    ran = commands.run("messages", "schedule", "--to", TO, "--service", service, "--at", without_zone, "--body", "Hi")
    assert ran.code == 1
    assert "Error 20001" in ran.err
    assert "names no time zone" in ran.err


@pytest.mark.parametrize("span", ["2h", "120m", "PT2H"])
def test_schedule_counts_a_span_by_the_nodes_test_clock(commands: Commands, service: str, span: str) -> None:
    now = parse_instant(commands.run("clock", "show", "--json").json["now"])
    said = ("--to", TO, "--service", service, "--in", span, "--body", "Hi")
    made = commands.run("messages", "schedule", *said, "--json").json
    assert made["send_at"] == format_iso(Instant(now + 2 * HOUR))


def test_schedule_counts_a_span_by_this_machine_where_the_node_has_no_clock_of_its_own(real: Running) -> None:
    service = real.commands.sid("services", "create", "--name", "Clinic")
    said = ("--to", TO, "--service", service, "--in", "2h", "--body", "Hi")
    made = real.commands.run("messages", "schedule", *said, "--json").json
    ahead = parse_instant(made["send_at"]) - parse_date_filter(made["date_created"])[0]
    assert 2 * HOUR - 1 * MINUTE < ahead <= 2 * HOUR + 1 * SECOND


@pytest.mark.parametrize(
    ("timed", "complaint"),
    [
        pytest.param((), "one of --at and --in", id="no time"),
        pytest.param(("--in", "2h", "--at", "2030-01-01T00:00:00Z"), "one of --at and --in", id="two times"),
        pytest.param(("--in", "soon"), "is not a length of time", id="no span"),
    ],
)
def test_schedule_wants_one_time(commands: Commands, timed: tuple[str, ...], complaint: str) -> None:
    ran = commands.run("messages", "schedule", "--to", TO, "--service", "MG" + "0" * 32, "--body", "Hi", *timed)
    assert ran.code == 2
    assert complaint in ran.err


def test_schedule_shows_what_was_made_and_how_to_call_it_off(commands: Commands, service: str) -> None:
    ran = commands.run("messages", "schedule", "--to", TO, "--service", service, "--at", later(48), "--body", "Hi")
    assert ran.code == 0
    (sid,) = set(SIDS.findall(ran.out))
    assert f"postdate messages cancel {sid}" in ran.out
    assert f"{later(48)[:10]} {later(48)[11:19]} UTC" in ran.out


def test_a_picture_makes_an_mms(schedule: Schedule) -> None:
    assert schedule("--media-url", "https://clinic.example/1.png").startswith("MM")


def test_a_body_comes_from_standard_input_without_its_last_newline(commands: Commands, service: str) -> None:
    said = ("--to", TO, "--service", service, "--at", later(20), "--body", "-", "--json")
    made = commands.run("messages", "schedule", *said, given="two\nlines\n").json
    assert made["body"] == "two\nlines"


def test_an_idempotency_key_makes_one_message_of_two_commands(schedule: Schedule) -> None:
    assert schedule("--idempotency-key", "k-1") == schedule("--idempotency-key", "k-1")
    assert schedule("--idempotency-key", "k-1") != schedule("--idempotency-key", "k-2")


# -- sending ---------------------------------------------------------------------------------------------------------


def test_send_from_a_number(commands: Commands, service: str) -> None:
    made = commands.run("messages", "send", "--to", TO, "--from", "+15005550006", "--body", "Hi", "--json").json
    assert (made["status"], made["from"], made["messaging_service_sid"]) == ("queued", "+15005550006", None)


def test_send_through_a_service(commands: Commands, service: str) -> None:
    made = commands.run("messages", "send", "--to", TO, "--service", service, "--body", "Hi", "--json").json
    assert (made["status"], made["from"], made["messaging_service_sid"]) == ("accepted", None, service)


def test_send_wants_a_sender(commands: Commands) -> None:
    ran = commands.run("messages", "send", "--to", TO, "--body", "Hi")
    assert ran.code == 2
    assert "--from or --service" in ran.err


# -- changing --------------------------------------------------------------------------------------------------------


def test_cancel_says_so_and_says_it_again(commands: Commands, schedule: Schedule) -> None:
    sid = schedule()
    for _ in range(2):
        ran = commands.run("messages", "cancel", sid)
        assert (ran.code, ran.out) == (0, f"{sid} is canceled: it is never sent.\n")


def test_cancel_is_refused_with_code_sentence_and_link(commands: Commands, service: str) -> None:
    sid = commands.sid("messages", "send", "--to", TO, "--service", service, "--body", "Hi")
    ran = commands.run("messages", "cancel", sid)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("Error 30409: ")
    assert ran.err.endswith("\n  https://www.twilio.com/docs/errors/30409\n")


def test_a_refusal_is_json_for_a_script(commands: Commands) -> None:
    ran = commands.run("messages", "cancel", NEVER, "--json")
    assert (ran.code, ran.out) == (1, "")
    assert json.loads(ran.err)["code"] == 20404


def test_reschedule_moves_a_message_and_keeps_its_sid(commands: Commands, schedule: Schedule) -> None:
    sid = schedule()
    moved = commands.run("messages", "reschedule", sid, "--at", later(50), "--json").json
    assert (moved["sid"], moved["send_at"], moved["status"]) == (sid, later(50), "scheduled")


def test_resolve_settles_what_is_in_doubt_and_nothing_else(
    commands: Commands, service: str, schedule: Schedule
) -> None:
    refused = commands.run("messages", "resolve", schedule(), "--as", "sent")
    assert refused.code == 1
    assert "Error 20409" in refused.err
    assert commands.run("messages", "resolve", NEVER, "--as", "lost").code == 2
    said = ("--to", "+15005550007", "--service", service, "--body", "Hi")
    sid = commands.sid("messages", "send", *said)
    commands.run("clock", "advance", "2m")
    ran = commands.run("messages", "resolve", sid, "--as", "failed")
    assert (ran.code, ran.out) == (0, f"{sid} is in doubt no more: it is failed.\n")


def test_delete_removes_what_is_final_and_nothing_else(commands: Commands, schedule: Schedule) -> None:
    sid = schedule()
    refused = commands.run("messages", "delete", sid)
    assert refused.code == 1
    assert "Error 20009" in refused.err
    commands.run("messages", "cancel", sid)
    deleted = commands.run("messages", "delete", sid)
    assert (deleted.code, deleted.out) == (0, f"{sid} is deleted.\n")
    assert commands.run("messages", "show", sid).code == 1


# -- looking up ------------------------------------------------------------------------------------------------------


def test_show_has_what_a_person_asks_about(commands: Commands, service: str, schedule: Schedule) -> None:
    sid = schedule("--media-url", "https://clinic.example/1.png")
    shown = commands.run("messages", "show", sid).out
    for part in (sid, "scheduled", TO, service, "See you at 3PM", f"{later(100)[:10]} {later(100)[11:19]} UTC"):
        assert part in shown
    assert "None" not in shown
    assert "null" not in shown


def test_show_json_is_the_apis(commands: Commands, schedule: Schedule) -> None:
    sid = schedule()
    shown = commands.run("messages", "show", sid, "--json").json
    assert shown["sid"] == sid
    assert {"subresource_uris", "api_version", "direction", "price_unit"} <= shown.keys()


def test_a_message_of_another_account_is_not_found(node: Running, commands: Commands, schedule: Schedule) -> None:
    other = commands.run("accounts", "create", "--name", "Other", "--json").json
    theirs = node.commands_of(other["sid"], other["auth_token"])
    sid = schedule()
    ran = theirs.run("messages", "show", sid)
    assert ran.code == 1
    assert "Error 20404" in ran.err
    assert sid not in theirs.run("messages", "list").out


def test_a_list_fits_80_columns_and_cuts_no_sid(commands: Commands, schedule: Schedule) -> None:
    sid = schedule(to="+442071838750")
    ran = commands.run("messages", "list", "--status", "scheduled")
    assert sid in ran.out
    assert max(len(line.rstrip()) for line in ran.out.splitlines()) <= 80
    assert "See you" not in ran.out


def test_a_wide_list_shows_what_messages_say(commands: Commands, schedule: Schedule) -> None:
    schedule("--body", "very long " * 40)
    ran = commands.run("messages", "list", columns=130)
    assert "very long" in ran.out
    assert max(len(line.rstrip()) for line in ran.out.splitlines()) <= 130
    assert len(ran.out.splitlines()) == 1 + len(SIDS.findall(ran.out))


def test_a_list_takes_filters(commands: Commands, schedule: Schedule) -> None:
    mine, canceled = schedule(to="+14155550199"), schedule(to="+14155550199")
    commands.run("messages", "cancel", canceled)

    def listed(*filters: str) -> set[str]:
        return set(SIDS.findall(commands.run("messages", "list", "--to", "+14155550199", *filters).out))

    assert listed() == {mine, canceled}
    assert listed("--status", "scheduled") == {mine}
    assert listed("--status", "canceled") == {canceled}
    assert listed("--status", "scheduled", "--after", later(99)) == {mine}
    assert listed("--status", "scheduled", "--before", later(99)) == set()
    assert listed("--from", "+15005550006") == set()
    assert listed("--service", "MG" + "0" * 32) == set()


def test_a_list_says_that_there_are_more(commands: Commands, schedule: Schedule) -> None:
    schedule(), schedule()
    ran = commands.run("messages", "list", "--limit", "1")
    assert len(SIDS.findall(ran.out)) == 1
    assert "--limit" in ran.out


def test_an_empty_list_is_a_sentence(commands: Commands) -> None:
    ran = commands.run("messages", "list", "--to", "+14155550188")
    assert (ran.code, ran.out) == (0, "No messages.\n")


def test_an_unknown_status_is_refused_by_the_node(commands: Commands) -> None:
    ran = commands.run("messages", "list", "--status", "waiting")
    assert ran.code == 1
    assert "scheduled" in ran.err


def test_a_sid_with_slashes_reaches_no_other_resource(commands: Commands) -> None:
    ran = commands.run("messages", "show", "../Keys")
    assert ran.code == 1
    assert "Error 20404" in ran.err
