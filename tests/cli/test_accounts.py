"""`postdate accounts` and `postdate keys` against a real node."""

import base64
import http.client
import re
from urllib.parse import urlsplit

import pytest

from tests.cli.running import Commands, Running


def sign_in(node: Running, name: str, secret: str) -> int:
    """Return what a node answers to somebody who signs in so and lists messages."""
    place = urlsplit(node.url)
    channel = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    try:
        pair = base64.b64encode(f"{name}:{secret}".encode()).decode()
        path = f"/2010-04-01/Accounts/{node.account_sid}/Messages.json"
        channel.request("GET", path, headers={"Authorization": f"Basic {pair}"})
        return channel.getresponse().status
    finally:
        channel.close()


def test_a_subaccount_is_made_suspended_and_activated(node: Running, commands: Commands) -> None:
    made = commands.run("accounts", "create", "--name", "Branch")
    (sid,) = set(re.findall(r"AC[0-9a-f]{32}", made.out)) - {node.account_sid}
    (token,) = re.findall(r"auth token\s+(\S+)", made.out)
    theirs = node.commands_of(sid, token)
    assert theirs.run("messages", "list").code == 0

    assert commands.run("accounts", "suspend", sid).out == f"{sid} is suspended.\n"
    refused = theirs.run("messages", "list")
    assert refused.code == 1
    assert "Error 20005" in refused.err

    assert commands.run("accounts", "activate", sid).out == f"{sid} is active.\n"
    assert theirs.run("messages", "list").code == 0


def test_a_token_is_shown_to_scripts_only_once_it_is_made(commands: Commands) -> None:
    made = commands.run("accounts", "create", "--name", "Quiet", "--json").json
    shown = commands.run("accounts", "show", made["sid"])
    assert "Quiet" in shown.out
    assert made["auth_token"] not in shown.out
    assert made["auth_token"] not in commands.run("accounts", "list").out
    assert commands.run("accounts", "show", made["sid"], "--json").json["auth_token"] == made["auth_token"]


def test_list_has_the_account_and_its_subaccounts(node: Running, commands: Commands) -> None:
    sub = commands.sid("accounts", "create", "--name", "Listed")
    listed = commands.run("accounts", "list").out
    assert node.account_sid in listed
    assert sub in listed


def test_the_first_account_cannot_suspend_itself(node: Running, commands: Commands) -> None:
    ran = commands.run("accounts", "suspend", node.account_sid)
    assert ran.code == 1
    assert "Error 21477" in ran.err


def test_a_key_is_made_listed_and_removed(commands: Commands) -> None:
    made = commands.run("keys", "create", "--name", "ci")
    (sid,) = set(re.findall(r"SK[0-9a-f]{32}", made.out))
    (secret,) = re.findall(r"secret\s+(\S{32})", made.out)
    listed = commands.run("keys", "list").out
    assert sid in listed
    assert secret not in listed
    assert commands.run("keys", "remove", sid).out == f"{sid} is removed.\n"
    assert sid not in commands.run("keys", "list").out


def test_a_key_is_renamed_and_its_secret_stays(node: Running, commands: Commands) -> None:
    made = commands.run("keys", "create", "--name", "ci", "--json").json
    sid = made["sid"]
    renamed = commands.run("keys", "rename", sid, "Reminders [all]")
    assert (renamed.code, renamed.out) == (0, f"{sid} is called Reminders [all].\n")
    assert "Reminders [all]" in commands.run("keys", "list").out
    assert commands.run("keys", "rename", sid, "Night", "--json").json["friendly_name"] == "Night"
    assert sign_in(node, sid, made["secret"]) == 200


@pytest.mark.parametrize(
    ("sid", "name", "error"), [("SK" + "0" * 32, "Night", "20404"), ("", "n" * 65, "20002")], ids=["unknown", "long"]
)
def test_what_cannot_be_renamed_so_is_refused(commands: Commands, sid: str, name: str, error: str) -> None:
    ran = commands.run("keys", "rename", sid or commands.sid("keys", "create", "--name", "kept"), name)
    assert (ran.code, ran.out) == (1, "")
    assert f"Error {error}" in ran.err


def test_without_keys_the_list_says_how_to_make_one(node: Running, commands: Commands) -> None:
    other = commands.run("accounts", "create", "--name", "Keyless", "--json").json
    ran = node.commands_of(other["sid"], other["auth_token"]).run("keys", "list")
    assert (ran.code, ran.out) == (0, "No keys yet: postdate keys create --name NAME\n")
