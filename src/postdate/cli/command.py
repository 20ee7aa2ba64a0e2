"""What makes a function a command: its parameters become options, its errors become exit codes.

A parameter whose type is a dataclass stands for the options that its fields describe, so that commands share groups of
options and stay short. Exit codes: 0 done, 1 refused or gone wrong, 2 used wrongly, 3 no node reached.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from enum import IntEnum
from typing import Annotated, get_args, get_origin, get_type_hints

import typer


class Exit(IntEnum):
    """The exit codes."""

    DONE = 0
    REFUSED = 1
    MISUSED = 2
    UNREACHED = 3


class Trouble(Exception):
    """Why a command ends without having done it: a sentence for stderr, and the exit code."""

    def __init__(self, sentence: str, code: Exit = Exit.REFUSED) -> None:
        super().__init__(sentence)
        self.code = code


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Return the function as typer takes it: groups of options spread out, troubles told in plain words."""
    hints = get_type_hints(function, include_extras=True)
    groups = {name: kind for name, kind in hints.items() if _is_group(kind)}

    @functools.wraps(function)
    def run(**given: object) -> None:
        for name, kind in groups.items():
            given[name] = kind(**{field.name: given.pop(field.name) for field in dataclasses.fields(kind)})
        try:
            function(**given)
        except Trouble as trouble:
            typer.echo(str(trouble), err=True)
            raise typer.Exit(trouble.code) from None

    # Typer reads the signature; what `wraps` copied is that of the function with its groups.
    vars(run).pop("__wrapped__")
    vars(run)["__signature__"] = inspect.Signature(_parameters(function, hints))
    run.__annotations__ = {}
    return run


def _is_group(kind: object) -> bool:
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def _parameters(function: Callable[..., None], hints: dict[str, type]) -> list[inspect.Parameter]:
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        kind = hints[name]
        if _is_group(kind):
            parameters.extend(_fields(kind))
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=kind))
    return parameters


def _fields(group: type) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    parameters = []
    for field in dataclasses.fields(group):
        assert get_origin(hints[field.name]) is Annotated, f"{group.__name__}.{field.name} says no option"
        assert len(get_args(hints[field.name])) == 2
        default = inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default
        parameters.append(
            inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[field.name])
        )
    return parameters
