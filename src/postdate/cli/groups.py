"""The commands of `postdate`, each of which is imported when it is asked for: one file for each, of the same name.

So a command pays for its own imports and for nobody else's; the list of all of them (`--help`) loads all.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final, cast

import typer
from typer.core import TyperGroup
from typer.main import get_group

from postdate.cli.parameters import adapt, adapt_all

_RUN, _USE = "Run a node", "Use a running node"

# In the order of the help, each in its panel there.
PANELS: Final = MappingProxyType(
    {
        **dict.fromkeys(("serve", "env", "demo", "smsc"), _RUN),
        **dict.fromkeys(("messages", "services", "numbers", "senders", "contents", "connections"), _USE),
        **dict.fromkeys(("accounts", "keys", "console", "clock", "handsets"), _USE),
    }
)


class Commands(TyperGroup):
    """The group of all commands, as typer sees it."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = cast(Any, _Loaded())

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands, without loading them."""
        return list(self.commands)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, its parameters adapted; None where there is none of that name."""
        found = self.commands.get(cmd_name)
        if found is not None:
            adapt_all(found, ctx)
        return found

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options that stand before the commands."""
        return [adapt(option) for option in super().get_params(ctx)]


class _Loaded(Mapping[str, Any]):
    """The commands by their names."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._known:
            self._known[name] = _load(name, PANELS[name])
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(PANELS)

    def __len__(self) -> int:
        return len(PANELS)


def _load(name: str, panel: str) -> Any:
    """Return what the file of that name has: a group, `app`, or a command, a function of that name."""
    module = import_module(f"postdate.cli.{name}")
    around = typer.Typer(rich_markup_mode="rich", pretty_exceptions_enable=False)
    if hasattr(module, "app"):
        around.add_typer(module.app, name=name, rich_help_panel=panel)
    else:
        around.command(rich_help_panel=panel)(getattr(module, name))
    return get_group(around).commands[name]
