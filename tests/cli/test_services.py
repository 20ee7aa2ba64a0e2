"""`postdate services` against a real node."""

import pytest

from tests.cli.running import Commands


def test_create_show_update_remove(commands: Commands) -> None:
    properties = ("--status-callback", "https://a.example/status", "--schedule-window", "5m..35d", "--validity", "600")
    flags = ("--no-sticky-sender", "--smart-encoding")
    made = commands.run("services", "create", "--name", "Front desk", *properties, *flags, "--json").json
    sid = made["sid"]
    assert made["friendly_name"] == "Front desk"
    assert (made["status_callback"], made["schedule_window"]) == ("https://a.example/status", "5m..35d")
    assert (made["validity_period"], made["sticky_sender"], made["smart_encoding"]) == (600, False, True)

    shown = commands.run("services", "show", sid)
    for part in (sid, "Front desk", "https://a.example/status", "5m..35d", "Its pool is empty"):
        assert part in shown.out

    changed = commands.run("services", "update", sid, "--name", "Desk", "--status-callback", "", "--json").json
    assert (changed["friendly_name"], changed["status_callback"]) == ("Desk", None)
    assert (changed["validity_period"], changed["sticky_sender"]) == (600, False)

    removed = commands.run("services", "remove", sid)
    assert (removed.code, removed.out) == (0, f"{sid} is removed.\n")
    assert commands.run("services", "show", sid).code == 1


def test_create_says_what_comes_next(commands: Commands) -> None:
    ran = commands.run("services", "create", "--name", "Next")
    assert ran.code == 0
    assert "postdate services add-sender MG" in ran.out


def test_list_has_every_service(commands: Commands) -> None:
    sids = {commands.sid("services", "create", "--name", f"Service {number}") for number in range(3)}
    ran = commands.run("services", "list")
    assert all(sid in ran.out for sid in sids)
    assert sids <= {service["sid"] for service in commands.run("services", "list", "--json").json["services"]}


def test_an_inbound_url_is_asked_for_before_the_numbers_own(commands: Commands) -> None:
    made = commands.run("services", "create", "--name", "In", "--inbound-url", "https://a.example/in", "--json").json
    assert made["inbound_request_url"] == "https://a.example/in"
    assert made["use_inbound_webhook_on_number"] is False
    emptied = commands.run("services", "update", made["sid"], "--inbound-url", "", "--json").json
    assert (emptied["inbound_request_url"], emptied["use_inbound_webhook_on_number"]) == (None, True)


def test_update_wants_something_to_change(commands: Commands) -> None:
    ran = commands.run("services", "update", "MG" + "0" * 32)
    assert ran.code == 2
    assert "say what to change" in ran.err


@pytest.mark.parametrize("by", ["number", "sid"])
def test_a_number_joins_and_leaves_a_pool(commands: Commands, by: str) -> None:
    number = "+15005550010" if by == "number" else "+15005550011"
    service = commands.sid("services", "create", "--name", "Pool")
    number_sid = commands.sid("numbers", "register", number)
    added = commands.run("services", "add-sender", service, number if by == "number" else number_sid)
    assert (added.code, added.out) == (0, f"{number} ({number_sid}) sends for {service}.\n")
    assert number in commands.run("services", "show", service).out
    left = commands.run("services", "remove-sender", service, number if by == "number" else number_sid)
    assert (left.code, left.out) == (0, f"{number if by == 'number' else number_sid} sends for {service} no longer.\n")
    assert number not in commands.run("services", "show", service).out


def test_a_name_joins_a_pool_as_an_alpha_sender(commands: Commands) -> None:
    service = commands.sid("services", "create", "--name", "Alpha")
    added = commands.run("services", "add-sender", service, "Clinic", "--json").json
    assert (added["alpha_sender"], added["sid"][:2]) == ("Clinic", "AI")
    assert "Clinic" in commands.run("services", "show", service).out
    assert commands.run("services", "remove-sender", service, added["sid"]).code == 0


def test_a_number_that_nobody_registered_says_what_to_do(commands: Commands) -> None:
    service = commands.sid("services", "create", "--name", "Unregistered")
    ran = commands.run("services", "add-sender", service, "+14155550123")
    assert (ran.code, ran.err) == (
        1,
        "+14155550123 is not registered: postdate numbers register +14155550123\n",
    )


def test_a_part_of_a_number_is_not_that_number(commands: Commands) -> None:
    service = commands.sid("services", "create", "--name", "Part")
    commands.sid("numbers", "register", "+15005550012")
    assert commands.run("services", "add-sender", service, "+1500555001").code == 1
