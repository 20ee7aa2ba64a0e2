"""`postdate senders` against a real node: senders on WhatsApp, registered, joined to a service, and given up."""

import pytest

from tests.cli.running import Commands


def test_register_show_update_remove(commands: Commands) -> None:
    made = commands.run(
        "senders", "register", "whatsapp:+14155550121", "--name", "Front", "--mps", "2.5", "--json"
    ).json
    sid = made["sid"]
    assert (made["sender"], made["friendly_name"], made["mps"]) == ("whatsapp:+14155550121", "Front", 2.5)
    assert (sid[:2], made["sender_type"], made["connection"]) == ("XE", "WhatsApp", "sandbox")

    shown = commands.run("senders", "show", sid)
    for part in (sid, "whatsapp:+14155550121", "Front", "WhatsApp", "2.5 segments per second", "sandbox"):
        assert part in shown.out

    unlimited = commands.run("senders", "update", sid, "--mps", "0")
    assert "as fast as the carrier takes them" in unlimited.out
    assert "Front" in unlimited.out

    removed = commands.run("senders", "remove", sid)
    assert (removed.code, removed.out) == (0, f"{sid} is removed.\n")
    assert commands.run("senders", "show", sid).code == 1


def test_a_whatsapp_number_goes_out_by_its_connection_and_sends_for_a_service(commands: Commands) -> None:
    sender = "whatsapp:+14155550122"
    settings = ("--set", "phone_number_id=1", "--set", "access_token=hush")
    assert commands.run("connections", "add", "waba", "--kind", "whatsapp", *settings).code == 0
    made = commands.run("senders", "register", sender, "--connection", "waba")
    assert "Next, a service for it: postdate services add-sender MG... whatsapp:+14155550122" in made.out
    sid = commands.run("senders", "show", sender, "--json").json["sid"]
    assert commands.run("senders", "show", sender, "--json").json["connection"] == "waba"

    service = commands.sid("services", "create", "--name", "Pool")
    added = commands.run("services", "add-sender", service, sender)
    assert (added.code, added.out) == (0, f"{sender} ({sid}) sends for {service}.\n")
    assert sender in commands.run("services", "show", service).out
    left = commands.run("services", "remove-sender", service, sender)
    assert (left.code, left.out) == (0, f"{sender} sends for {service} no longer.\n")
    assert sender not in commands.run("services", "show", service).out


def test_list_fits_80_columns(commands: Commands) -> None:
    sid = commands.sid("senders", "register", "whatsapp:+442071838751", "--name", "A name that is as long as it may be")
    ran = commands.run("senders", "list")
    assert sid in ran.out
    assert "whatsapp:+442071838751" in ran.out
    assert "CONNECTION" in ran.out
    assert max(len(line.rstrip()) for line in ran.out.splitlines()) <= 80


def test_a_name_that_nobody_gave_is_not_listed(commands: Commands) -> None:
    commands.sid("senders", "register", "whatsapp:+14155550123")
    assert commands.run("senders", "list").out.count("+14155550123") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("register", "+15005550129"), "Error 20001"),
        (("register", "whatsapp:+14155550129", "--connection", "unknown"), "Connection"),
        (("register", "whatsapp:Clinic"), "Error 20001"),
        (("show", "XE" + "0" * 32), "Error 20404"),
    ],
    ids=["no channel", "no connection", "no number", "nobody's"],
)
def test_what_cannot_be_is_refused(commands: Commands, words: tuple[str, ...], said: str) -> None:
    ran = commands.run("senders", *words)
    assert (ran.code, ran.out) == (1, "")
    assert said in ran.err


def test_update_wants_something_to_change(commands: Commands) -> None:
    ran = commands.run("senders", "update", "XE" + "0" * 32)
    assert ran.code == 2
    assert "say what to change" in ran.err


@pytest.mark.parametrize(
    "words",
    [
        ("senders", "show"),
        ("senders", "update", "--mps", "1"),
        ("senders", "remove"),
        ("services", "add-sender", "MG" + "0" * 32),
    ],
    ids=" ".join,
)
def test_a_sender_that_is_not_registered_is_named(commands: Commands, words: tuple[str, ...]) -> None:
    sender = "whatsapp:+14155550198"
    ran = commands.run(*words, sender)
    assert (ran.code, ran.err) == (1, f"{sender} is not registered: postdate senders register {sender}\n")


def test_without_senders_the_list_says_how_to_register_one(commands: Commands) -> None:
    made = commands.run("accounts", "create", "--name", "Senderless", "--json").json
    theirs = Commands(commands.data, {"TWILIO_ACCOUNT_SID": made["sid"], "TWILIO_AUTH_TOKEN": made["auth_token"]})
    assert theirs.run("senders", "list").out.startswith("No senders yet: postdate senders register whatsapp:+")
