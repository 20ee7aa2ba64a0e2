"""Every command of the command line, found by walking it: what the tests of help and of the manual go through."""

from collections.abc import Iterator
from dataclasses import dataclass

import typer.main

from postdate.cli.app import app


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its words after `postdate`, its help, and its options with theirs."""

    words: tuple[str, ...]
    help: str
    options: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """Return it as it is typed."""
        return " ".join(("postdate", *self.words))


def _walk(command: object, words: tuple[str, ...]) -> Iterator[Command]:
    below = getattr(command, "commands", None)
    if below is not None:
        for name, one in sorted(below.items()):
            yield from _walk(one, (*words, name))
        return
    options = [
        (name, getattr(parameter, "help", None) or "")
        for parameter in getattr(command, "params", [])
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name.startswith("--") and name != "--help"
    ]
    yield Command(words, str(getattr(command, "help", "") or ""), tuple(options))


COMMANDS = tuple(_walk(typer.main.get_command(app), ()))
