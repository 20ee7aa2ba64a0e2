"""Templates to HTML: Jinja2, everything escaped, nothing undefined passed over."""

from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from postdate.console.assets import asset_path
from postdate.console.languages import LANGUAGES

PREFIX = "/console"


def _address(path: str) -> str:
    """Return the address of a page of the console."""
    return f"{PREFIX}{path}"


def _asset(name: str) -> str:
    return f"{PREFIX}{asset_path(name)}"


@cache
def environment() -> Environment:
    """Return what templates are read and filled in by."""
    folder = files("postdate.console") / "templates"
    made = Environment(
        loader=FileSystemLoader(str(folder)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    sprite = (folder / "icons.svg").read_text(encoding="utf-8")
    made.globals.update(
        url=_address, asset=_asset, sprite=Markup(sprite), languages=tuple(LANGUAGES.items())
    )  # the sprite is our own file
    return made


def _with_macros(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values with `ui`, the macros, which see them too."""
    return {**values, "ui": environment().get_template("macros.html").make_module(values)}


def render(template: str, values: dict[str, Any]) -> str:
    """Return a whole page."""
    return environment().get_template(template).render(_with_macros(values))


def render_block(template: str, block: str, values: dict[str, Any]) -> str:
    """Return one block of a page, for htmx to put in place."""
    found = environment().get_template(template)
    return "".join(found.blocks[block](found.new_context(_with_macros(values))))
