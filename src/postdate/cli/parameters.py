"""What typer's parameters are asked to do otherwise, for the help and for the time that a command takes to start.

Typer reads what stands after a command with pydantic, whose import takes longer than the rest of a command: it is left
to that only where there is something to read. What is not given, and a text that is to stay one, is nothing to read.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

_READ: Final = (str, int, float, Path)


def adapt_all(command: Any, ctx: Any) -> None:
    """Adapt the parameters of a command and of all below it."""
    for parameter in command.get_params(ctx):
        adapt(parameter)
    for below in getattr(command, "commands", {}).values():
        adapt_all(below, ctx)


def adapt(parameter: Any) -> Any:
    """Return a parameter, adapted; to adapt it again changes nothing."""
    if getattr(parameter, "is_flag", False):
        # The help would say `<bool>` of it, as if a value were to follow.
        parameter.metavar = ""
    if "process_value" not in vars(parameter):
        parameter.process_value = functools.partial(_value, parameter, parameter.process_value)
    return parameter


def _value(parameter: Any, read: Callable[[Any, Any], Any], ctx: Any, value: Any) -> Any:
    """Do what typer's `process_value`, `read`, does; at once where nothing is to be read."""
    kind = getattr(getattr(parameter, "type_descriptor", None), "annotation", None)
    if value is None and not parameter.required:
        found = () if parameter.multiple or parameter.nargs == -1 else None
    elif kind in _READ and isinstance(value, kind):
        found = value
    else:
        return read(ctx, value)
    return found if parameter.callback is None else parameter.callback(ctx, parameter, found)
