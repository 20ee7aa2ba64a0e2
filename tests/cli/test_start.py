"""What a command imports: what it needs itself, nothing that only a node needs, and nothing of other commands."""

import subprocess
import sys
from pathlib import Path

import pytest

from postdate.cli.groups import PANELS
from tests.cli.processes import environment
from tests.cli.running import Running

# What only a node, a demo or an SMSC has a use for.
NODE = {
    "aiohttp", "apsw", "argon2", "cryptography", "jinja2", "msgspec", "phonenumbers", "postdate.api",
    "postdate.carriers", "postdate.connectors", "postdate.console", "postdate.flow", "postdate.node",
    "postdate.smsc", "postdate.store", "prometheus_client", "segno", "starlette", "structlog",
    "urllib.request", "uvicorn", "uvloop",
}  # fmt: skip
SETTINGS = {"postdate.settings", "pydantic_settings"}
HTTP = {"http.client", "ssl"}
# Typer takes pydantic to read what stands after a command.
READING = {"pydantic"}
ASYNC = {"asyncio"}

LIGHT = [
    (("--version",), NODE | SETTINGS | HTTP | READING | ASYNC),
    (("--help",), NODE | SETTINGS | HTTP | READING | ASYNC),
    (("messages", "--help"), NODE | SETTINGS | HTTP | ASYNC),
    (("serve", "--help"), NODE | SETTINGS | HTTP | ASYNC),
    (("smsc", "--help"), NODE | SETTINGS | HTTP | ASYNC),
    (("demo", "--help"), NODE | SETTINGS | HTTP | ASYNC),
    (("env",), NODE),
    (("messages", "list"), NODE | SETTINGS),
    (("keys", "list"), NODE | SETTINGS | ASYNC),
    (("numbers", "list", "--json"), NODE | SETTINGS | ASYNC),
    (("connections", "kinds"), NODE | SETTINGS | ASYNC),
]


def loaded_by(*words: str, data: Path) -> set[str]:
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
        env=environment({"POSTDATE_DATA": str(data)}),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(ran.stdout.rpartition("loaded:")[2].split())


@pytest.mark.parametrize(("words", "unwanted"), LIGHT, ids=[" ".join(words) for words, _ in LIGHT])
def test_a_command_imports_nothing_that_only_a_node_needs(
    node: Running, words: tuple[str, ...], unwanted: set[str]
) -> None:
    loaded = loaded_by(*words, data=node.data)
    assert "postdate.cli.app" in loaded
    assert not loaded & unwanted


def test_a_command_imports_no_file_of_another(node: Running) -> None:
    loaded = loaded_by("keys", "list", data=node.data)
    assert {name for name in PANELS if f"postdate.cli.{name}" in loaded} == {"keys"}
