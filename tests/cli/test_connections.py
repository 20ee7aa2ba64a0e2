"""`postdate connections` against a real node, and a test message followed to its receipt over real HTTP."""

import contextlib
import json
import socket
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from postdate.connectors.kinds import KINDS, setting_fields
from tests.cli.running import Commands, Ran, running_node

HUSH = "hush-4711"
TO = "+14155550100"
FROM = "+12125550001"
ALL_GO = ["Accepted", "sent", "delivered"]


def add(commands: Commands, name: str, *more: str) -> Ran:
    """Add a connection to a gateway, whose token is in the environment."""
    known = Commands(commands.data, {**commands.environment, "POSTDATE_SECRET_TOKEN": HUSH})
    url = [] if any(one.startswith("url=") for one in more) else ["--set", "url=https://gateway.example/"]
    return known.run("connections", "add", name, "--kind", "plain-http", *url, "--secret", "token", *more)


def test_a_whatsapp_connection_leads_on_to_a_channel_sender(commands: Commands) -> None:
    known = Commands(commands.data, {**commands.environment, "POSTDATE_SECRET_ACCESS_TOKEN": HUSH})
    settings = ("--set", "phone_number_id=1", "--secret", "access_token")
    added = known.run("connections", "add", "meta", "--kind", "whatsapp", *settings, columns=200)
    assert added.code == 0, added
    assert "postdate senders register whatsapp:+NUMBER --connection meta" in added.out
    assert "numbers register" not in added.out


def test_add_show_update_remove(commands: Commands) -> None:
    added = add(commands, "front", "--mps", "2.5", "--doubt", "retry", "--set", "in_flight=7")
    assert added.code == 0, added
    assert "numbers register NUMBER --connection front" in added.out
    shown = commands.run("connections", "show", "front", columns=200)
    for part in ("front", "2.5 segments per second", "retry", "https://gateway.example/", "********", "/Events/"):
        assert part in shown.out
    assert HUSH not in added.out + added.err + shown.out
    # Settings stand as --set takes them, and nothing is JSON where a person reads.
    lines = [line.split() for line in shown.out.splitlines()]
    assert ["settings", "url=https://gateway.example/"] in lines
    assert ["in_flight=7"] in lines
    assert not {"{", "}", '"'} & set(shown.out)
    assert "outcomes" not in shown.out
    found = commands.run("connections", "show", "front", "--json").json
    assert found["settings"] == {"url": "https://gateway.example/", "in_flight": 7, "token": "********"}

    assert "as fast as the carrier takes them" in commands.run("connections", "update", "front", "--mps", "0").out
    commands.run("connections", "update", found["sid"], "--set", "in_flight=", "--set", "timeout=3", "--doubt", "hold")
    changed = commands.run("connections", "show", "front", "--json").json
    assert (changed["doubt"], changed["settings"]) == (
        "hold", {"url": "https://gateway.example/", "timeout": 3.0, "token": "********"}
    )  # fmt: skip

    removed = commands.run("connections", "remove", "front")
    assert (removed.code, removed.out) == (0, "front is removed.\n")
    assert "Error 20404" in commands.run("connections", "show", "front").err


def test_pause_and_resume(commands: Commands) -> None:
    add(commands, "pausing")
    assert "paused" in commands.run("connections", "pause", "pausing").out
    assert commands.run("connections", "show", "pausing", "--json").json["paused"] is True
    commands.run("connections", "resume", "pausing")
    assert commands.run("connections", "show", "pausing", "--json").json["paused"] is False


def test_list_fits_80_columns(commands: Commands) -> None:
    add(commands, "a-name-as-long-as-a-name-may-be-1")
    add(commands, "a-name-as-long-as-a-name-may-be-")
    ran = commands.run("connections", "list")
    assert "a-name-as-long-as-a-name-may-be-" in ran.out
    assert max(len(line.rstrip()) for line in ran.out.splitlines()) <= 80


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_shows_what_can_be_set(commands: Commands, kind: str) -> None:
    ran = commands.run("connections", "kinds", kind, columns=200)
    assert ran.code == 0
    words = set(ran.out.split())
    assert {one.name for one in setting_fields(KINDS[kind])} <= words
    secrets = [line.split()[0] for line in ran.out.splitlines() if "a secret" in line]
    assert secrets == [one.name for one in setting_fields(KINDS[kind]) if one.secret]


def test_all_kinds_are_listed(commands: Commands) -> None:
    ran = commands.run("connections", "kinds", columns=200)
    assert [line.split()[0] for line in ran.out.splitlines()[1:] if line.strip()][: len(KINDS)] == list(KINDS)
    unknown = commands.run("connections", "kinds", "pigeon")
    assert (unknown.code, "There is no kind pigeon" in unknown.err) == (1, True)


def test_a_secret_is_asked_for_where_the_environment_has_it_not(commands: Commands) -> None:
    added = commands.run(
        "connections", "add", "asked", "--kind", "telnyx", "--secret", "api_key", "--json", given=f"{HUSH}\n"
    )
    assert added.code == 0
    assert HUSH not in added.out + added.err
    assert '"api_key":"********"' in added.out


def test_a_setting_may_be_a_files_content_or_json(commands: Commands, tmp_path: Path) -> None:
    body = '{"to": "{to}", "text": "{body}"}'
    (tmp_path / "body.json").write_text(body)
    made = commands.run(
        "connections", "add", "described", "--kind", "generic", "--set", "url=https://gateway.example/",
        "--set-file", f"body={tmp_path / 'body.json'}", "--set", "body_type=json", "--set", "busy=[429, 503]",
        "--set", 'error_codes={"7": 30005}', "--json",
    ).json  # fmt: skip
    assert (made["settings"]["body"], made["settings"]["busy"]) == (body, [429, 503])
    assert made["settings"]["error_codes"] == {"7": 30005}


USAGE = {
    "nothing to change": (["update", "front"], 2, "say what to change"),
    "no value": (["update", "front", "--set", "url"], 2, "NAME=VALUE"),
    "no name": (["update", "front", "--set", "=x"], 2, "NAME=VALUE"),
    "JSON without an end": (["update", "front", "--set", "busy=[1"], 2, "begins like JSON"),
    "a file that is not there": (["update", "front", "--set-file", "body=/nowhere/body"], 1, "cannot be read"),
    "a rate below nothing": (["update", "front", "--mps", "-1"], 2, "--mps"),
    "no kind": (["add", "front"], 2, "--kind"),
    "an unknown kind": (["add", "front", "--kind", "pigeon"], 1, "Error 20001"),
    "a name that is none": (["add", "Front Desk", "--kind", "telnyx"], 1, "A Name has up to 32"),
    "what there is not": (["pause", "nobody"], 1, "Error 20404"),
    "a test to nobody": (["test", "front"], 2, "--to"),
}


@pytest.mark.parametrize(("arguments", "code", "told"), USAGE.values(), ids=USAGE.keys())
def test_what_cannot_be_is_refused(commands: Commands, arguments: list[str], code: int, told: str) -> None:
    ran = commands.run("connections", *arguments, columns=200)
    assert ran.code == code, ran
    assert told in ran.err


def test_one_that_a_number_goes_out_by_is_not_removed(commands: Commands) -> None:
    add(commands, "used")
    sid = commands.sid("numbers", "register", "+12125550077", "--connection", "used")
    refused = commands.run("connections", "remove", "used")
    assert (refused.code, "+12125550077" in refused.err) == (1, True)
    commands.run("numbers", "update", sid, "--connection", "sandbox")
    assert commands.run("connections", "remove", "used").code == 0


# --- a test, end to end ----------------------------------------------------------------------------------------------


@dataclass
class Gateway:
    """A carrier on this machine that takes a message as `status` says, and reports `reports` on it."""

    url: str = ""
    events_url: str = ""
    status: int = 201
    reports: str | None = "delivered"
    given: list[dict[str, Any]] = field(default_factory=list)

    def _report(self, ref: str) -> None:
        if self.reports is None:
            return
        body = json.dumps({"id": ref, "status": self.reports, "code": 30005}).encode()
        headers = {"Authorization": f"Bearer {HUSH}", "Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(self.events_url, body, headers), timeout=60):
            pass

    @contextlib.contextmanager
    def serving(self) -> Iterator["Gateway"]:
        """Serve on a free port."""
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                gateway.given.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                ref = f"ref-{len(gateway.given)}"
                told = json.dumps({"id": ref} if gateway.status < 400 else {"code": 30007}).encode()
                self.send_response(gateway.status)
                self.send_header("Content-Length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)
                self.wfile.flush()
                if gateway.status < 400:
                    gateway._report(ref)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            self.url = f"http://127.0.0.1:{server.server_port}/messages"
            yield self
        finally:
            server.shutdown()
            thread.join(10)
            server.server_close()


@pytest.fixture
def on_air(tmp_path: Path) -> Iterator[tuple[Commands, Gateway]]:
    """A node by the machine's clock, with a connection to a gateway and a number that goes out by it.

    Each test has its own: a gateway that was busy in one is left alone for a while, and others would wait for it.
    """
    with Gateway().serving() as gateway, running_node(tmp_path, test_clock=False) as node:
        commands = node.commands
        assert add(commands, "air", "--set", f"url={gateway.url}").code == 0
        gateway.events_url = commands.run("connections", "show", "air", "--json").json["events_url"]
        commands.run("numbers", "register", FROM, "--connection", "air", "--mps", "0")
        yield commands, gateway


def test_a_test_is_followed_to_its_receipt(on_air: tuple[Commands, Gateway]) -> None:
    commands, gateway = on_air
    gateway.status, gateway.reports = 201, "delivered"
    ran = commands.run("connections", "test", "air", "--to", TO, "--from", FROM, "--body", "Hello")
    assert ran.code == 0, ran
    assert "air works: the carrier took the message, and its receipt came back." in ran.out
    assert "delivered" in ran.out
    assert (gateway.given[-1]["to"], gateway.given[-1]["body"]) == (TO, "Hello")
    assert gateway.given[-1]["sid"] in ran.out


def test_its_json_is_the_message_in_the_end(on_air: tuple[Commands, Gateway]) -> None:
    commands, gateway = on_air
    gateway.status, gateway.reports = 201, "delivered"
    message = commands.run("connections", "test", "air", "--to", TO, "--json").json
    assert (message["status"], message["to"]) == ("delivered", TO)


# The last is for how many seconds what comes is waited for; where nothing comes they pass.
OUTCOMES: list[tuple[int, str | None, int, str, int]] = [
    (201, None, 0, "no receipt came within the time", 8),
    (201, "undelivered", 1, "The message is undelivered", 60),
    (400, None, 1, "The message is failed", 60),
    (503, None, 1, "postdate connections show air", 3),
]


@pytest.mark.parametrize(("status", "reports", "code", "told", "wait"), OUTCOMES, ids=lambda value: str(value))
def test_a_test_says_how_far_it_came(
    on_air: tuple[Commands, Gateway], status: int, reports: str | None, code: int, told: str, wait: int
) -> None:
    commands, gateway = on_air
    gateway.status, gateway.reports = status, reports
    ran = commands.run("connections", "test", "air", "--to", TO, "--wait", str(wait), columns=200)
    gateway.status, gateway.reports = 201, None
    assert ran.code == code, ran
    assert told in ran.out + ran.err


def test_a_test_without_a_number_says_how_to_have_one(commands: Commands) -> None:
    add(commands, "lonely")
    ran = commands.run("connections", "test", "lonely", "--to", TO, columns=200)
    assert (ran.code, "Connection=lonely" in ran.err) == (1, True)


def test_what_became_of_messages_is_told_in_words(on_air: tuple[Commands, Gateway]) -> None:
    commands, gateway = on_air
    add(commands, "counted", "--set", f"url={gateway.url}")
    commands.run("numbers", "register", "+12125550002", "--connection", "counted", "--mps", "0")
    gateway.events_url = commands.run("connections", "show", "counted", "--json").json["events_url"]
    for status, code in ((201, 0), (400, 1), (201, 0)):
        gateway.status, gateway.reports = status, "delivered"
        ran = commands.run("connections", "test", "counted", "--to", TO, columns=200)
        assert ran.code == code, ran
    shown = commands.run("connections", "show", "counted").out
    assert ["outcomes", "2", "accepted,", "1", "refused"] in [line.split() for line in shown.splitlines()]


def test_the_links_of_smpp_are_told_once(commands: Commands) -> None:
    with socket.socket() as deaf:  # bound, so that nobody else has the port, and not listening
        deaf.bind(("127.0.0.1", 0))
        added = commands.run(
            "connections", "add", "bound", "--kind", "smpp", "--set", "host=127.0.0.1",
            "--set", f"port={deaf.getsockname()[1]}", "--set", "system_id=clinic", "--set", f"password={HUSH[:8]}",
        )  # fmt: skip
        assert added.code == 0, added
        looks = (commands.run("connections", "show", "bound").out for _ in range(500))
        told = [line.split() for line in next(shown for shown in looks if "last error" in shown).splitlines()]
    assert [line for line in told if line and line[0] == "links"] == [["links", "0", "of", "1"]]
    assert ["bind", "transceiver"] in told
