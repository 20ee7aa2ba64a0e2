"""`postdate demo`: what it shows is true, and it says so where it is not."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.cli.processes import run

ACCOUNT = "$POSTDATE_URL/2010-04-01/Accounts/$TWILIO_ACCOUNT_SID"
SIGNED_IN = "-u $TWILIO_ACCOUNT_SID:$TWILIO_AUTH_TOKEN"


def without_curl(folder: Path) -> str:
    """Return a PATH that has what the demo needs, but no curl."""
    folder.mkdir()
    for name in ("sh", "env", "timeout"):
        found = shutil.which(name)
        if found is not None:
            (folder / name).symlink_to(found)
    return str(folder)


@pytest.mark.parametrize("curl", ["with curl", "without curl"])
def test_the_story_is_as_it_should_be(tmp_path: Path, curl: str) -> None:
    if curl == "with curl" and shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    path = os.environ["PATH"] if curl == "with curl" else without_curl(tmp_path / "bin")
    ran = run("demo", "--json", cwd=tmp_path, PATH=path)
    assert (ran.returncode, ran.stderr) == (0, "")
    story = json.loads(ran.stdout)
    assert story["ok"]
    assert all(check["holds"] for check in story["checks"])
    called_off, kept = story["handsets"]["+14155550101"], story["handsets"]["+14155550102"]
    assert [one["sid"][:2] for one in called_off] == ["SM"]
    assert [one["sid"][:2] for one in kept] == ["MM"]
    assert [medium["content_type"] for medium in kept[0]["media"]] == ["image/png"]
    statuses = [(change["name"], change["status"], change["verified"]) for change in story["timeline"]]
    assert statuses == [
        ("SMS reminder", "scheduled", None),
        ("MMS check-in", "scheduled", None),
        ("SMS reminder", "queued", True),
        ("SMS reminder", "sent", True),
        ("SMS reminder", "delivered", True),
        ("MMS check-in", "canceled", True),
        ("MMS check-in", "scheduled", None),
        ("MMS check-in", "queued", True),
        ("MMS check-in", "sent", True),
        ("MMS check-in", "delivered", True),
    ]
    assert list(tmp_path.glob("data*")) == []


def test_its_commands_are_the_announcements_but_for_the_base_url(tmp_path: Path) -> None:
    commands = [
        step["command"].split(" \\\n") for step in json.loads(run("demo", "--json", cwd=tmp_path).stdout)["steps"]
    ]
    sms, mms, cancel = commands[3:6]
    assert sms[0] == mms[0] == f"curl -X POST {ACCOUNT}/Messages.json"
    assert (
        sms[1] == '--data-urlencode "Body=This is a reminder about your appointment tomorrow at 3PM with Dr. Strange"'
    )
    assert [line.partition("=")[0] for line in mms[1:-1]] == [
        f'--data-urlencode "{name}'
        for name in ("MediaUrl", "Body", "MessagingServiceSid", "To", "ScheduleType", "SendAt")
    ]
    assert [line.partition("=")[0] for line in sms[1:-1]] == [line.partition("=")[0] for line in mms[2:-1]]
    assert cancel[0].startswith(f"curl -X POST {ACCOUNT}/Messages/MM")
    assert ".json" not in cancel[0]
    assert cancel[1:] == ['--data-urlencode "Status=canceled"', SIGNED_IN]
    assert all(command[-1] == SIGNED_IN for command in commands)


def test_people_see_the_statuses_the_handsets_and_the_code(tmp_path: Path) -> None:
    ran = run("demo", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    for part in ("callback, verified", "handset +14155550101", "image/png", "█▀", "never arrived", "What to try next"):
        assert part in ran.stdout
    assert "✗" not in ran.stdout
    drawn = [line for line in ran.stdout.splitlines() if line[:1] in "╭│├╰"]
    assert drawn
    assert max(map(len, drawn)) <= 80


def test_it_does_not_depend_on_a_persons_settings(tmp_path: Path) -> None:
    ran = run(
        "demo", "--json", cwd=tmp_path, POSTDATE_SCHEDULE_WINDOW="5m..1h", POSTDATE_PORT="1", POSTDATE_DATA="mine",
        http_proxy="http://127.0.0.1:9", TWILIO_AUTH_TOKEN="somebody's",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert not (tmp_path / "mine").exists()


def test_a_curl_that_does_not_work_is_a_reason(tmp_path: Path) -> None:
    path = without_curl(tmp_path / "bin")
    broken = tmp_path / "bin" / "curl"
    broken.write_text("#!/bin/sh\necho 'curl: (7) Failed to connect' >&2\nexit 7\n")
    broken.chmod(0o755)
    ran = run("demo", cwd=tmp_path, PATH=path)
    assert ran.returncode == 1
    assert "curl brought no answer" in ran.stderr
    assert "curl: (7) Failed to connect" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_it_notices_what_is_not_as_it_should_be(tmp_path: Path) -> None:
    """A cancel that says yes and does nothing: the MMS arrives, and the demo must not call that a success."""
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("there is no curl here")
    path = without_curl(tmp_path / "bin")
    false_friend = tmp_path / "bin" / "curl"
    answer = '{"sid": "MM", "status": "canceled"}'
    false_friend.write_text(
        f'#!/bin/sh\ncase "$*" in *Status=canceled*) echo \'{answer}\' ;; *) exec {curl} "$@" ;; esac\n'
    )
    false_friend.chmod(0o755)
    ran = run("demo", cwd=tmp_path, PATH=path)
    assert ran.returncode == 1
    assert ran.stderr.startswith("The demo is not as it should be: ")
    for wrong in (
        "The canceled MMS never arrived",
        "Its picture was never fetched",
        "The MMS was canceled, and nothing",
    ):
        assert wrong in ran.stderr
        assert f"✗ {wrong}" in ran.stdout
    assert json.loads(run("demo", "--json", cwd=tmp_path, PATH=path).stdout)["ok"] is False
