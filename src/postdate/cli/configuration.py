"""The settings of a node, as a command reads them."""

from collections.abc import Mapping
from pathlib import Path

from postdate.cli.command import Exit, Trouble
from postdate.settings import InvalidSettings, Settings, load


def read_settings(config: Path | None, given: Mapping[str, object]) -> Settings:
    """Return the settings in force; raise Trouble naming each one that is wrong."""
    try:
        return load(config, **{name: value for name, value in given.items() if value is not None})
    except InvalidSettings as error:
        raise Trouble(f"These settings cannot be used:\n{error}", Exit.MISUSED) from None
