"""How a screen says what it has: its pages, its actions, who may use them, and its place in the navigation.

A page shows something (GET) and changes nothing; an action changes something (POST) and is in the audit log. The least
role of each stands here and is checked in one place, `gate.py`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.responses import Response

from postdate.api.parts import Parts
from postdate.console.view import View
from postdate.core.resources import Role

Show = Callable[[View], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Page:
    """Something to look at, at `path` below /console. A public page is shown to whoever has not signed in, too.

    What a page about the `node` shows is every account's: it takes a role for a main account, not for a subaccount.
    """

    path: str
    show: Show
    role: Role = Role.VIEWER
    public: bool = False
    node: bool = False


@dataclass(frozen=True, slots=True)
class Action:
    """Something to do. `name` is its word in the audit log: the catalogue says it at `<screen>.did.<name>`.

    What the API rejects is shown by `back`, the page with the form; without one on a page of its own.
    """

    name: str
    path: str
    do: Show
    role: Role = Role.OWNER
    back: Show | None = None
    public: bool = False
    audited: bool = True


@dataclass(frozen=True, slots=True)
class Nav:
    """A place in the navigation: the icon of `templates/icons.svg`, and the group that it stands in.

    Its title is in the catalogue at `<screen>.title`; it leads to the first page of the screen.
    """

    icon: str
    group: str = "messages"


def everywhere(parts: Parts) -> bool:
    """Say that every node has the screen."""
    return True


@dataclass(frozen=True, slots=True)
class Screen:
    """One screen: `name` is its catalogue, and the beginning of its words in the audit log.

    `on` says whether a node has it.
    """

    name: str
    pages: tuple[Page, ...]
    actions: tuple[Action, ...] = ()
    nav: Nav | None = None
    on: Callable[[Parts], bool] = everywhere
