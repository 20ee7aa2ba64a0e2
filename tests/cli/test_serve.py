"""`postdate serve` as a process: how it starts, what it says, how it stops, and what it says where it cannot start."""

import contextlib
import json
import re
import signal
import socket
import sqlite3
import urllib.request
from pathlib import Path

import pytest

from postdate.cli.credentials import read_credentials
from tests.cli.processes import run, serving
from tests.cli.running import Commands


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with serving(cwd=tmp_path) as node:
        code, out, err = node.end(number)
    assert (code, err) == (0, "")
    assert out.endswith("Stopped. What was accepted is on disk.\n")


def test_it_stops_though_nobody_reads_what_it_says(tmp_path: Path) -> None:
    with serving(cwd=tmp_path) as node:
        assert node.process.stdout is not None
        node.process.stdout.close()
        node.process.terminate()
        assert node.process.wait(timeout=60) == 0


def test_what_was_accepted_is_there_after_a_restart(tmp_path: Path) -> None:
    commands = Commands(tmp_path / "data")
    with serving("--test-clock", cwd=tmp_path) as node:
        service = commands.sid("services", "create", "--name", "Clinic")
        sid = commands.sid(
            "messages", "schedule", "--to", "+14155550101", "--service", service, "--in", "2d", "--body", "Hi"
        )
        first = read_credentials(commands.data)
        assert node.end()[0] == 0
    with serving(cwd=tmp_path):
        assert commands.run("messages", "show", sid, "--json").json["status"] == "scheduled"
        second = read_credentials(commands.data)
    assert first is not None
    assert second is not None
    assert (first.account_sid, first.auth_token) == (second.account_sid, second.auth_token)


def test_it_says_where_it_listens_and_how_to_get_credentials_but_no_token(tmp_path: Path) -> None:
    folder = tmp_path / "my data"
    with serving("--data", str(folder), "--test-clock", cwd=tmp_path) as node:
        _, out, err = node.end()
    credentials = read_credentials(folder)
    assert credentials is not None
    assert f"""eval "$(postdate env --data '{folder}')\"""" in out
    assert str(folder) in out
    assert credentials.auth_token not in out + err


def test_two_nodes_do_not_share_a_data_folder(tmp_path: Path) -> None:
    with serving(cwd=tmp_path):
        kept = read_credentials(tmp_path / "data")
        second = run("serve", "--port", "0", cwd=tmp_path)
        assert read_credentials(tmp_path / "data") == kept
    assert second.returncode == 1
    assert second.stderr == ("Another process has data/postdate.db open: stop it, or choose another --data folder.\n")


def test_a_port_that_is_taken_is_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = run("serve", "--port", str(port), cwd=tmp_path)
    assert ran.returncode == 1
    assert re.fullmatch(rf"Cannot listen on 127\.0\.0\.1:{port}: .+: choose another --port or --host\.\n", ran.stderr)


def test_settings_that_cannot_be_used_are_all_named(tmp_path: Path) -> None:
    ran = run(
        "serve", cwd=tmp_path, POSTDATE_PORT="http", POSTDATE_SCHEDULE_WINDOW="7d", POSTDATE_AUTH_TOKEN="short-secret"
    )
    assert ran.returncode == 2
    lines = ran.stderr.splitlines()
    assert lines[0] == "These settings cannot be used:"
    assert [line.partition(" ")[0] for line in lines[1:]] == ["port", "auth_token", "schedule_window"]
    assert "Traceback" not in ran.stderr
    assert "short-secret" not in ran.stderr
    assert not (tmp_path / "data").exists()


def test_a_settings_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    ran = run("serve", "--config", "nowhere.toml", cwd=tmp_path)
    assert ran.returncode == 2
    assert "nowhere.toml: there is no such file" in ran.stderr


def test_the_command_line_comes_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "postdate.toml").write_text('host = "192.0.2.1"\nlog_level = "debug"\ntest_clock = true\n')
    with serving("--log-level", "error", cwd=tmp_path, POSTDATE_HOST="127.0.0.1", POSTDATE_LOG_LEVEL="info") as node:
        assert Commands(tmp_path / "data").run("clock", "show").code == 0
        code, _, err = node.end()
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        pytest.param('{"rules": [{"answr": "busy"}]}', "rules[0] has no 'answr'", id="wrong field"),
        pytest.param("{", "script.json cannot be followed: ", id="no json"),
        pytest.param(None, "script.json: No such file or directory.", id="no file"),
    ],
)
def test_a_script_that_cannot_be_followed_is_a_sentence(tmp_path: Path, script: str | None, complaint: str) -> None:
    if script is not None:
        (tmp_path / "script.json").write_text(script)
    ran = run("serve", "--port", "0", cwd=tmp_path, POSTDATE_SANDBOX_SCRIPT="script.json")
    assert ran.returncode == 1
    assert complaint in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_a_data_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = run("serve", "--port", "0", "--data", "file/data", cwd=tmp_path)
    assert ran.returncode == 1
    assert "choose a --data folder that can be written" in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_a_file_that_is_no_store_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "postdate.db").write_bytes(b"not a database at all, but long enough to be one" * 100)
    ran = run("serve", "--port", "0", cwd=tmp_path)
    assert ran.returncode == 1
    assert "postdate.db" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_part_that_fails_ends_the_node_and_says_why(tmp_path: Path) -> None:
    """Spoil a message behind the node's back: a part of it then fails, and the process must not live on half dead."""
    commands = Commands(tmp_path / "data")
    with serving("--test-clock", cwd=tmp_path) as node:
        service = commands.sid("services", "create", "--name", "Clinic")
        commands.sid("messages", "schedule", "--to", "+14155550101", "--service", service, "--in", "2d", "--body", "x")
        with contextlib.closing(sqlite3.connect(tmp_path / "data" / "postdate.db", isolation_level=None)) as store:
            store.execute("""UPDATE messages SET options = '{"validity": "a day"}'""")
        commands.run("clock", "advance", "3d")
        code, _, err = node.end(None)
    assert code == 1
    assert "The node stopped because a part of it failed: " in err
    logged = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    assert any("Traceback" in line.get("exception", "") for line in logged)


def test_the_first_start_prints_a_one_time_link_and_logs_nothing_of_it(tmp_path: Path) -> None:
    links = []
    for _ in range(2):
        with serving("--log-level", "debug", cwd=tmp_path) as node:
            (link,) = re.findall(
                r"console +(http://127\.0\.0\.1:\d+/console/welcome\?key=[\w-]{43})  \(once:", node.head
            )
            links.append(link.partition("key=")[2])
            with urllib.request.urlopen(link) as answer:
                assert answer.status == 200
            _, out, err = node.end()
            assert links[-1] not in err
            assert out.count(links[-1]) == 1
    assert links[0] != links[1], "it is made anew while nobody has signed in"
    kept = [path.read_bytes() for path in (tmp_path / "data").iterdir() if path.is_file()]
    assert not [link for link in links for content in kept if link.encode() in content]
