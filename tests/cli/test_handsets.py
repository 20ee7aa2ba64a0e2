"""`postdate handsets`: what people read, and what a script gets."""

from tests.cli.running import Commands, Running

HANDSET = "+14155550123"
SENDER = "+15005550007"


def test_a_conversation(node: Running, commands: Commands) -> None:
    assert "Nothing was sent to a handset yet" in commands.run("handsets", "list").out
    assert "shows nothing yet" in commands.run("handsets", "show", HANDSET).out
    commands.run("numbers", "register", SENDER, "--mps", "0")
    sid = commands.sid("messages", "send", "--to", HANDSET, "--from", SENDER, "--body", "See you [at] 3PM")
    commands.run("clock", "advance", "1s")
    replied = commands.run("handsets", "reply", HANDSET, "--to", SENDER, "--body", "Thanks")
    assert replied.code == 0, replied
    listed = commands.run("handsets", "list").out
    assert listed.splitlines()[1].split()[:3] == [HANDSET, "1", "1"]
    shown = commands.run("handsets", "show", HANDSET).out
    assert shown.index("See you [at] 3PM") < shown.index("Thanks")
    assert sid in shown
    assert f"to {SENDER}" in shown
    told = commands.run("handsets", "show", HANDSET, "--limit", "1", "--json").json
    assert [message["body"] for message in told["messages"]] == ["Thanks"]


def test_a_reply_to_nobody_is_refused(commands: Commands) -> None:
    ran = commands.run("handsets", "reply", HANDSET, "--to", "+15005550099", "--body", "Hi")
    assert ran.code == 1
    assert "20001" in ran.err


def test_without_credentials_a_url_is_enough_to_ask(node: Running, nowhere: Commands) -> None:
    """An SMSC asks nobody who they are; a node does, and says so."""
    assert nowhere.run("handsets", "list").code == 3
    ran = nowhere.run("handsets", "list", "--url", node.url)
    assert ran.code == 1
    assert "20003" in ran.err
