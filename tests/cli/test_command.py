"""How a function becomes a command: groups of options, and troubles that end it."""

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
import typer.testing

from postdate.cli.command import Exit, Trouble, command


@dataclass(frozen=True, slots=True)
class Size:
    """A group of options."""

    width: Annotated[int, typer.Option("--width", help="How wide.")] = 3
    name: Annotated[str | None, typer.Option("--name", help="What to call it.")] = None


@dataclass(frozen=True, slots=True)
class Place:
    """A group with an option that must be given."""

    where: Annotated[str, typer.Option("--where", help="Where.")]


def run(*arguments: str) -> typer.testing.Result:
    """Run a command that has an argument and two groups."""
    app = typer.Typer()

    @app.command()
    @command
    def build(what: str, size: Size, place: Place) -> None:
        """Build something."""
        typer.echo(f"{what} {size} {place}")

    return typer.testing.CliRunner().invoke(app, list(arguments))


def test_groups_are_filled_from_their_options() -> None:
    assert run("hut", "--where", "here", "--width", "5").stdout == "hut Size(width=5, name=None) Place(where='here')\n"


def test_help_has_the_options_of_all_groups() -> None:
    shown = run("--help").stdout
    assert [
        part for part in ("Build something.", "--width", "--name", "--where", "How wide.") if part not in shown
    ] == []


def test_what_must_be_given_must_be_given() -> None:
    ran = run("hut")
    assert ran.exit_code == Exit.MISUSED
    assert "--where" in ran.stderr


@pytest.mark.parametrize("code", list(Exit)[1:])
def test_a_trouble_is_a_sentence_on_stderr_and_an_exit_code(code: Exit) -> None:
    app = typer.Typer()

    @app.command()
    @command
    def fail() -> None:
        raise Trouble("It [rained]: take an umbrella.", code)

    ran = typer.testing.CliRunner().invoke(app, [])
    assert (ran.exit_code, ran.stdout, ran.stderr) == (code, "", "It [rained]: take an umbrella.\n")
