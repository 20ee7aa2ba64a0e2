"""`postdate console`: the way back in for an owner, and for nobody else."""

import re

from tests.cli.running import Commands, Running


def test_a_link_is_made_by_the_auth_token(commands: Commands, node: Running) -> None:
    ran = commands.run("console", "link")
    assert ran.code == 0, ran
    assert re.match(r"http://127\.0\.0\.1:\d+/console/welcome\?key=[\w-]{43}\n", ran.out)
    again = commands.run("console", "link", "--json").json
    assert set(again) == {"account_sid", "url"}
    assert again["url"] not in ran.out, "each time another"


def test_a_key_makes_none(commands: Commands, node: Running) -> None:
    key = commands.run("keys", "create", "--name", "Program", "--json").json
    other = Commands(
        commands.data,
        {**commands.environment, "TWILIO_ACCOUNT_SID": key["sid"], "TWILIO_AUTH_TOKEN": key["secret"]},
    )
    ran = other.run("console", "link")
    assert (ran.code, ran.out) == (1, "")
    assert "20003" in ran.err
