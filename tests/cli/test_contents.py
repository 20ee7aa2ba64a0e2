"""`postdate contents` against a real node, and messages that are made of contents."""

import json
from pathlib import Path

import pytest

from tests.cli.running import Commands

REPLY = {"language": "ja", "types": {"twilio/quick-reply": {"body": "{{1}}?", "actions": [{"title": "Yes"}]}}}


def test_add_show_list_remove(commands: Commands) -> None:
    words = ("--name", "Reminder", "--body", "Hi {{1}}, see you at {{2}}", "--variable", "1=there")
    made = commands.run("contents", "add", *words, "--json").json
    sid = made["sid"]
    assert (made["friendly_name"], made["language"], made["variables"]) == ("Reminder", "en", {"1": "there"})
    assert made["types"] == {"twilio/text": {"body": "Hi {{1}}, see you at {{2}}"}}
    shown = commands.run("contents", "show", sid)
    for part in (sid, "Reminder", "Hi {{1}}, see you at {{2}}", "{{1}}", "there", "unsubmitted"):
        assert part in shown.out
    listed = commands.run("contents", "list", columns=120)
    for part in (sid, "Reminder", "twilio/text", "unsubmitted"):
        assert part in listed.out
    assert commands.run("contents", "show", sid, "--json").json == made
    removed = commands.run("contents", "remove", sid)
    assert (removed.code, removed.out) == (0, f"{sid} is removed.\n")
    assert commands.run("contents", "show", sid).code == 1


def test_add_says_what_comes_next(commands: Commands) -> None:
    ran = commands.run("contents", "add", "--body", "Hi")
    assert ran.code == 0
    assert "postdate messages send --content HX" in ran.out


def test_media_make_it_a_content_with_media(commands: Commands) -> None:
    media = ("--media-url", "https://a.example/{{id}}.png", "--media-url", "https://a.example/2.png")
    made = commands.run("contents", "add", "--language", "pt_BR", *media, "--json").json
    assert made["language"] == "pt_BR"
    assert made["types"] == {"twilio/media": {"media": ["https://a.example/{{id}}.png", "https://a.example/2.png"]}}


def test_all_of_it_comes_from_a_file_or_from_standard_input(commands: Commands, tmp_path: Path) -> None:
    file = tmp_path / "reply.json"
    file.write_text(json.dumps(REPLY), encoding="utf-8")
    for ran in (
        commands.run("contents", "add", "--file", str(file), "--json"),
        commands.run("contents", "add", "--file", "-", "--json", given=json.dumps(REPLY)),
    ):
        assert ran.json["types"] == REPLY["types"]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ((), 2, "say what it says"),
        (("--body", "Hi", "--variable", "1"), 2, "NAME=VALUE"),
        (("--file", "nowhere.json"), 1, "cannot be read as JSON"),
        (("--file", "-"), 1, "no JSON object"),
        (("--body", "Hi", "--language", "English"), 1, "92004"),
    ],
)
def test_what_is_wrong_is_said(commands: Commands, words: tuple[str, ...], code: int, told: str) -> None:
    ran = commands.run("contents", "add", *words, given="[]")
    assert ran.code == code
    assert told in ran.err


def test_a_template_is_approved_and_then_paused(commands: Commands) -> None:
    sid = commands.sid("contents", "add", "--body", "Hi")
    first = commands.run("contents", "approve", sid)
    assert first.code == 1
    assert "name" in first.err
    named = ("--template", "reminder", "--category", "UTILITY")
    assert commands.run("contents", "approve", sid, *named).out == (
        f"{sid} is the template reminder (twilio/text): approved.\n"
    )
    paused = commands.run("contents", "approve", sid, "--status", "paused", "--json").json
    assert (paused["name"], paused["category"], paused["status"]) == ("reminder", "UTILITY", "paused")
    assert "paused" in commands.run("contents", "show", sid).out


def test_a_message_is_made_of_a_content(commands: Commands, service: str) -> None:
    sid = commands.sid("contents", "add", "--body", "Hi {{1}}, see you at {{time}}", "--variable", "1=there")
    said = ("--content", sid, "--variable", "time=3 = 15")
    to = ("--to", "+14155550101", "--service", service)
    assert commands.run("messages", "send", *to, *said, "--json").json["body"] == "Hi there, see you at 3 = 15"
    scheduled = commands.run("messages", "schedule", *to, "--in", "2h", *said, "--variable", "1=Ann", "--json").json
    assert (scheduled["status"], scheduled["body"]) == ("scheduled", "Hi Ann, see you at 3 = 15")


def test_a_file_that_is_too_deep_is_no_json(commands: Commands, tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000)
    ran = commands.run("contents", "add", "--file", str(path))
    assert (ran.code, "cannot be read as JSON" in ran.err) == (1, True)
