"""The README is run as it is written: against a real node, by a shell, by Python and by Node.js."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.processes import environment, run, serving
from tests.cli.running import Commands
from tests.docs.pages import README, README_JA, ROOT, blocks, manual

NODE_PACKAGES = ROOT / "tests" / "node" / "node_modules"


@dataclass(frozen=True, slots=True)
class Reader:
    """Someone who reads the README in a folder of their own, where a node runs."""

    folder: Path

    @property
    def commands(self) -> Commands:
        """Return the command line, for looking at what became of it."""
        return Commands(self.folder / "data")

    def runs(self, *command: str, given: str | None = None, **variables: str) -> str:
        """Run a program; return what it printed, and fail where it fails."""
        ran = subprocess.run(
            command,
            cwd=self.folder,
            env=environment(variables),
            input=given,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert ran.returncode == 0, ran
        return ran.stdout

    def messages(self) -> list[dict[str, Any]]:
        """Return all messages there are."""
        found: list[dict[str, Any]] = self.commands.run("messages", "list", "--json").json["messages"]
        return found

    def credentials(self) -> dict[str, str]:
        """Return what `eval "$(postdate env)"` puts into the environment."""
        words = re.findall(r"(\w+)=(\S+)", run("env", cwd=self.folder).stdout)
        return dict(words)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A reader with a node on a test clock, and with what `make` installs in `.venv`."""
    folder = tmp_path_factory.mktemp("reader")
    activate = folder / ".venv" / "bin" / "activate"
    activate.parent.mkdir(parents=True)
    activate.write_text(f'PATH="{Path(sys.executable).parent}:$PATH"\n')
    with serving("--test-clock", cwd=folder):
        yield Reader(folder)


def test_the_walk_through_does_what_it_says(reader: Reader) -> None:
    if shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    shell = "\n".join(blocks(README, "sh"))
    before = {message["sid"] for message in reader.messages()}
    shown = reader.runs("sh", "-eu", given=shell)
    messages = [message for message in reader.messages() if message["sid"] not in before]
    by_body = {message["body"]: message for message in messages}
    reminder = by_body["This is a reminder about your appointment tomorrow at 3PM with Dr. Strange"]
    check_in, later = by_body["Show this code to check in"], by_body["See you at 3PM"]
    assert len(messages) == 3
    assert (reminder["status"], reminder["from"]) == ("delivered", "+15005550006")
    assert (check_in["status"], check_in["num_media"], check_in["sid"][:2]) == ("canceled", "1", "MM")
    assert later["status"] == "scheduled"
    assert reminder["sid"] in shown
    assert later["sid"] in shown.splitlines()[-1]


def test_the_walk_through_uses_the_announcements_commands() -> None:
    """Nothing about them is ours but the base URL and the quiet of curl."""
    commands = [
        "curl -X POST https://api.twilio.com/2010-04-01/Accounts/$TWILIO_ACCOUNT_SID/Messages.json \\\n"
        '--data-urlencode "Body=This is a reminder about your appointment tomorrow at 3PM with Dr. Strange" \\\n'
        '--data-urlencode "MessagingServiceSid=$SERVICE" \\\n'
        '--data-urlencode "To=+14155550101" \\\n'
        '--data-urlencode "ScheduleType=fixed" \\\n'
        '--data-urlencode "SendAt=$DAY_BEFORE" \\\n'
        "-u $TWILIO_ACCOUNT_SID:$TWILIO_AUTH_TOKEN",
        "curl -X POST https://api.twilio.com/2010-04-01/Accounts/$TWILIO_ACCOUNT_SID/Messages/$MESSAGE \\\n"
        '--data-urlencode "Status=canceled" \\\n'
        "-u $TWILIO_ACCOUNT_SID:$TWILIO_AUTH_TOKEN",
    ]
    shell = (
        "\n".join(blocks(README, "sh")).replace("curl -sS ", "curl ").replace("$POSTDATE_URL", "https://api.twilio.com")
    )
    assert [command for command in commands if command not in shell] == []


def test_the_python_sample_runs(reader: Reader) -> None:
    pytest.importorskip("twilio")
    (code,) = blocks(README, "python")
    shown = reader.runs(sys.executable, "-", given=code, **reader.credentials())
    assert re.fullmatch(r"SM[0-9a-f]{32} scheduled\ncanceled\n", shown)


def test_the_node_sample_runs(reader: Reader) -> None:
    if shutil.which("node") is None or not (NODE_PACKAGES / "twilio").is_dir():
        pytest.skip("there is no Node.js here, or no twilio package for it")
    (code,) = blocks(README, "js")
    path = str(NODE_PACKAGES)
    shown = reader.runs("node", "-", given=code, NODE_PATH=path, **reader.credentials())
    assert re.fullmatch(r"SM[0-9a-f]{32} scheduled\ncanceled\n", shown)


def test_the_test_clocks_sample_runs(reader: Reader) -> None:
    if shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    (code,) = blocks(manual("test-clock"), "sh")
    assert '"frozen":false' in reader.runs("sh", "-eu", given=code, **reader.credentials())


def test_what_serve_says_is_what_it_says(reader: Reader) -> None:
    (shown,) = [block for block in blocks(README, "console") if "make serve" in block]
    with serving("--test-clock", "--data", "other", cwd=reader.folder) as node:
        _, out, _ = node.end()
    told = re.sub(r"(?<=key=)\S+", "...", out).splitlines()[:5]
    said = [re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8080", line).split()[:2] for line in told]
    assert [line.split()[:2] for line in shown.splitlines()[1:]][1:] == [
        words if words[0] != "data" else ["data", "/home/you/postdate/data"] for words in said[1:]
    ]
    assert said[0] == ["Postdate", shown.splitlines()[1].split()[1]]


@pytest.mark.parametrize("page", [README, README_JA], ids=["english", "japanese"])
def test_every_make_target_that_is_named_exists(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"\bmake ([a-z]+)\b", "\n".join(blocks(page, "console"))))
    assert {"demo", "test", "serve"} <= named
    assert [target for target in named if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


# -- Japanese --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["sh", "python", "js"])
def test_the_japanese_page_has_the_same_code(language: str) -> None:
    assert blocks(README_JA, language) == blocks(README, language)


def test_the_japanese_page_has_the_same_parts() -> None:
    def shape(page: str) -> list[str]:
        return re.findall(r"^(#+|\d+\.|```\w*|\|---.*)", page, re.MULTILINE)

    assert shape(README_JA) == shape(README)
    assert re.findall(r"POSTDATE_\w+", README_JA) == re.findall(r"POSTDATE_\w+", README)


def test_the_pages_lead_to_each_other() -> None:
    assert "(README.ja.md)" in README
    assert "(README.md)" in README_JA
