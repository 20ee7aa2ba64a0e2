"""`postdate env`: whether a shell that evaluates it can speak to the node, running or not."""

import subprocess
import sys
from pathlib import Path

import pytest

from postdate.cli.credentials import FILE
from tests.cli.processes import environment, run, serving

SID = "AC" + "1" * 32
TOKEN = "a token with 'quotes' and $HOME"


def evaluated(output: str, cwd: Path, script: str) -> str:
    """Return what `script` prints in a shell that evaluated `output`."""
    given = environment({"OUTPUT": output, "PYTHON": sys.executable})
    command = f'eval "$OUTPUT" && {script}'
    return subprocess.run(["sh", "-c", command], cwd=cwd, env=given, capture_output=True, text=True, check=True).stdout


def test_what_it_prints_makes_commands_work_from_anywhere(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with serving(cwd=tmp_path):
        printed = run("env", cwd=tmp_path)
        assert printed.returncode == 0
        assert printed.stderr == ""
        assert evaluated(printed.stdout, elsewhere, '"$PYTHON" -m postdate messages list') == "No messages.\n"


def test_an_unused_folder_gets_its_account_and_a_node_takes_it_over(tmp_path: Path) -> None:
    before = run("env", cwd=tmp_path, POSTDATE_PORT="9123").stdout
    assert "export POSTDATE_URL=http://127.0.0.1:9123\n" in before
    assert run("env", cwd=tmp_path, POSTDATE_PORT="9123").stdout == before
    with serving(cwd=tmp_path):
        during = run("env", cwd=tmp_path).stdout
    assert during.splitlines()[0] == before.splitlines()[0]
    assert during.splitlines()[1] != before.splitlines()[1]
    assert run("env", cwd=tmp_path).stdout == during


def test_settings_that_give_both_are_printed_as_they_are(tmp_path: Path) -> None:
    given = {"POSTDATE_ACCOUNT_SID": SID, "POSTDATE_AUTH_TOKEN": TOKEN}
    printed = run("env", cwd=tmp_path, **given)
    show = 'printf "%s|%s" "$TWILIO_ACCOUNT_SID" "$TWILIO_AUTH_TOKEN"'
    assert evaluated(printed.stdout, tmp_path, show) == f"{SID}|{TOKEN}"
    assert not (tmp_path / "data").exists()


def test_the_account_of_the_settings_is_the_one_that_signs_in(tmp_path: Path) -> None:
    given = {"POSTDATE_ACCOUNT_SID": SID, "POSTDATE_AUTH_TOKEN": TOKEN}
    with serving(cwd=tmp_path, **given):
        printed = run("env", cwd=tmp_path)
        shown = evaluated(printed.stdout, tmp_path, '"$PYTHON" -m postdate accounts list')
    assert SID in shown


@pytest.mark.parametrize("given", [("--data", "other"), ("--config", "settings.toml")], ids=["data", "config"])
def test_it_finds_another_folder(tmp_path: Path, given: tuple[str, str]) -> None:
    (tmp_path / "settings.toml").write_text('data = "other"\n')
    with serving("--data", "other", cwd=tmp_path):
        printed = run("env", *given, cwd=tmp_path)
    assert (tmp_path / "other" / FILE).exists()
    assert printed.returncode == 0
    assert "export TWILIO_ACCOUNT_SID=AC" in printed.stdout


@pytest.mark.parametrize("case", ["a store without the file", "a port that is not known yet"])
def test_where_nobody_can_know_it_says_what_to_do(tmp_path: Path, case: str) -> None:
    if case == "a store without the file":
        assert run("env", cwd=tmp_path).returncode == 0
        (tmp_path / "data" / FILE).unlink()
        ran = run("env", cwd=tmp_path)
    else:
        ran = run("env", cwd=tmp_path, POSTDATE_PORT="0")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "`postdate serve`" in ran.stderr
    assert "Traceback" not in ran.stderr
