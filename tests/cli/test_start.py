"""What a command imports before it does its work: nothing that only a node needs, and nothing of other commands."""

import subprocess
import sys

import pytest

from postdate.cli.groups import PANELS
from tests.cli.processes import environment
from tests.cli.running import Commands, Running

# What only a node, a demo or an SMSC has a use for.
NODE = {
    "aiohttp", "apsw", "argon2", "cryptography", "jinja2", "msgspec", "phonenumbers", "postdate.api",
    "postdate.carriers", "postdate.connectors", "postdate.console", "postdate.flow", "postdate.node",
    "postdate.smsc", "postdate.store", "prometheus_client", "segno", "starlette", "structlog",
    "urllib.request", "uvicorn", "uvloop",
}  # fmt: skip
SETTINGS = {"postdate.settings", "pydantic_settings"}
HTTP = {"http.client", "ssl"}
READING = {"pydantic"}
ASYNC = {"asyncio"}

LIGHT = [
    (("--version",), NODE | SETTINGS | HTTP | READING | ASYNC),
    (("--help",), NODE | SETTINGS | HTTP | READING | ASYNC),
    (("messages", "--help"), NODE | SETTINGS | HTTP | READING | ASYNC),
    (("serve", "--help"), NODE | SETTINGS | HTTP | READING | ASYNC),
    (("smsc", "--help"), NODE | SETTINGS | HTTP | READING | ASYNC),
    (("demo", "--help"), NODE | SETTINGS | HTTP | READING | ASYNC),
    (("messages", "list", "--status", "scheduled"), NODE | SETTINGS | READING),
    (("keys", "list"), NODE | SETTINGS | READING | ASYNC),
    (("numbers", "list", "--json"), NODE | SETTINGS | READING | ASYNC),
    (("connections", "kinds", "twilio"), NODE | SETTINGS | READING | ASYNC),
    (("services", "create", "--name", "Light", "--no-sticky-sender"), NODE | SETTINGS | READING | ASYNC),
    (("messages", "list", "--limit", "5"), NODE | SETTINGS),
]


def loaded_by(*words: str, **given: str) -> set[str]:
    """Return the modules that are loaded once a command has run to its end."""
    script = (
        "import sys\n"
        "from postdate.cli.app import app\n"
        "try:\n"
        "    app(sys.argv[1:])\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "print('loaded:', *sys.modules)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, *words],
        env=environment(given),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(ran.stdout.rpartition("loaded:")[2].split())


def signed_in(node: Running) -> dict[str, str]:
    """Return the environment of the node's owner, as `postdate env` gives it."""
    return {
        "POSTDATE_URL": node.url,
        "TWILIO_ACCOUNT_SID": node.account_sid,
        "TWILIO_AUTH_TOKEN": node.auth_token,
    }


@pytest.mark.parametrize(("words", "unwanted"), LIGHT, ids=[" ".join(words) for words, _ in LIGHT])
def test_a_command_imports_nothing_that_only_a_node_needs(
    node: Running, words: tuple[str, ...], unwanted: set[str]
) -> None:
    loaded = loaded_by(*words, **signed_in(node))
    assert "postdate.cli.app" in loaded
    assert not loaded & unwanted


def test_env_needs_no_node_where_the_folder_was_used_before(node: Running) -> None:
    loaded = loaded_by("env", POSTDATE_DATA=str(node.data))
    assert "postdate.settings" in loaded
    assert not loaded & NODE


def test_a_command_imports_no_file_of_another(node: Running) -> None:
    loaded = loaded_by("keys", "list", **signed_in(node))
    assert {name for name in PANELS if f"postdate.cli.{name}" in loaded} == {"keys"}


# Without pydantic or with it, what is read is the same.
MISUSED = {
    "an argument is missing": ("keys", "remove"),
    "an option is missing": ("keys", "create"),
    "no number": ("messages", "list", "--limit", "many"),
    "too large a number": ("messages", "list", "--limit", "1001"),
    "too small a number": ("numbers", "register", "+15005550099", "--mps", "-1"),
    "no choice": ("messages", "resolve", "SM" + "0" * 32, "--as", "lost"),
    "a value too many": ("keys", "list", "more"),
    "an option without its value": ("keys", "create", "--name"),
    "a flag with a value": ("keys", "list", "--json=yes"),
}


@pytest.mark.parametrize("words", MISUSED.values(), ids=MISUSED.keys())
def test_what_cannot_be_read_is_a_misuse(commands: Commands, words: tuple[str, ...]) -> None:
    ran = commands.run(*words)
    assert (ran.code, ran.out) == (2, "")
    assert "Error" in ran.err


def test_options_that_may_come_again_are_all_read(commands: Commands) -> None:
    pairs = ("--variable", "1=Ann", "--variable", "2=9")
    made = commands.run("contents", "add", "--body", "{{1}} at {{2}}", *pairs, "--json").json
    assert made["variables"] == {"1": "Ann", "2": "9"}
