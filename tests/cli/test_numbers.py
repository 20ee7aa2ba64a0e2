"""`postdate numbers` against a real node."""

import pytest

from tests.cli.running import Commands


def test_register_show_update_remove(commands: Commands) -> None:
    made = commands.run(
        "numbers", "register", "+15005550021", "--name", "Front", "--mps", "2.5", "--sms-url", "https://a.example/in",
        "--json",
    ).json  # fmt: skip
    sid = made["sid"]
    assert (made["phone_number"], made["friendly_name"], made["mps"]) == ("+15005550021", "Front", 2.5)
    assert (made["connection"], made["sms_url"]) == ("sandbox", "https://a.example/in")

    shown = commands.run("numbers", "show", sid)
    for part in (sid, "+15005550021", "Front", "2.5 segments per second", "sandbox"):
        assert part in shown.out

    unlimited = commands.run("numbers", "update", sid, "--mps", "0")
    assert "as fast as the carrier takes them" in unlimited.out
    assert "Front" in unlimited.out

    removed = commands.run("numbers", "remove", sid)
    assert (removed.code, removed.out) == (0, f"{sid} is removed.\n")
    assert commands.run("numbers", "show", sid).code == 1


def test_list_fits_80_columns(commands: Commands) -> None:
    sid = commands.sid("numbers", "register", "+442071838750", "--name", "A name that is as long as a name may be " * 1)
    ran = commands.run("numbers", "list")
    assert sid in ran.out
    assert "+442071838750" in ran.out
    assert max(len(line.rstrip()) for line in ran.out.splitlines()) <= 80


def test_a_number_can_be_registered_once(commands: Commands) -> None:
    assert commands.run("numbers", "register", "+15005550022").code == 0
    again = commands.run("numbers", "register", "+15005550022")
    assert again.code == 1
    assert "Error 21422" in again.err


def test_a_connection_that_is_not_set_up_is_refused(commands: Commands) -> None:
    ran = commands.run("numbers", "register", "+15005550023", "--connection", "http")
    assert ran.code == 1
    assert "Connection" in ran.err


def test_update_wants_something_to_change(commands: Commands) -> None:
    ran = commands.run("numbers", "update", "PN" + "0" * 32)
    assert ran.code == 2
    assert "say what to change" in ran.err


def test_a_rate_below_nothing_is_no_rate(commands: Commands) -> None:
    assert commands.run("numbers", "register", "+15005550024", "--mps", "-1").code == 2


def test_a_number_goes_by_itself_as_well_as_by_its_sid(commands: Commands) -> None:
    number = "+15005550025"
    sid = commands.sid("numbers", "register", number)
    assert commands.run("numbers", "show", number, "--json").json["sid"] == sid
    assert commands.run("numbers", "update", number, "--name", "Desk", "--json").json["friendly_name"] == "Desk"
    removed = commands.run("numbers", "remove", number)
    assert (removed.code, removed.out) == (0, f"{number} is removed.\n")
    assert commands.run("numbers", "show", sid).code == 1


@pytest.mark.parametrize("arguments", [["show"], ["update", "--mps", "1"], ["remove"]], ids=lambda given: given[0])
def test_a_number_that_is_not_registered_is_named(commands: Commands, arguments: list[str]) -> None:
    ran = commands.run("numbers", *arguments, "+15005550099")
    assert (ran.code, ran.err) == (1, "+15005550099 is not registered: postdate numbers register +15005550099\n")
