"""Help: every command and option has one, and a mistyped command is told from what there is."""

import subprocess
import sys

import pytest
import typer.testing

from postdate import __version__
from postdate.cli.app import app
from tests.cli.tree import COMMANDS, Command


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_explains_itself(command: Command) -> None:
    ran = typer.testing.CliRunner().invoke(app, [*command.words, "--help"], env={"COLUMNS": "80"})
    assert ran.exit_code == 0
    assert command.help.endswith(".")
    assert command.help.split("\n")[0].split()[0] in ran.stdout
    assert max(map(len, ran.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    "words", [(), ("messages",), *(command.words for command in COMMANDS)], ids=lambda words: " ".join(words)
)
def test_a_flag_is_shown_as_taking_nothing(words: tuple[str, ...]) -> None:
    ran = typer.testing.CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "80"})
    assert "--help" in ran.stdout
    assert "<bool>" not in ran.stdout
    assert "…" not in ran.stdout, "an option is cut off"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_option_explains_itself(command: Command) -> None:
    assert all(help_text for _, help_text in command.options), command.options


def test_without_a_command_help_is_shown() -> None:
    ran = typer.testing.CliRunner().invoke(app, [])
    assert "Usage" in ran.output


def test_the_version_is_shown() -> None:
    ran = typer.testing.CliRunner().invoke(app, ["--version"])
    assert (ran.exit_code, ran.stdout) == (0, f"postdate {__version__}\n")


def test_the_module_is_the_command() -> None:
    ran = subprocess.run([sys.executable, "-m", "postdate", "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout == f"postdate {__version__}\n"


def test_an_unknown_command_is_a_misuse() -> None:
    ran = typer.testing.CliRunner().invoke(app, ["message"])
    assert ran.exit_code == 2
    assert "Did you mean 'messages'?" in ran.stderr
