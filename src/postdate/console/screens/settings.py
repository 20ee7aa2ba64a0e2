"""The settings as they are in force, and where each comes from; secrets are said to be set, and never shown."""

import re
from typing import Any

from pydantic import SecretStr
from starlette.responses import Response

from postdate.console import languages
from postdate.console.page import Nav, Page, Screen
from postdate.console.view import View
from postdate.core.resources import Role
from postdate.settings import Settings

HIDDEN = "••••••••"
_IN_URL = re.compile(r"(?<=://)[^/\s@]+(?=@)|(?<=\?).+")  # who signs in there, and a query, which may hold a token


async def show(view: View) -> Response:
    """Show every setting."""
    settings = view.parts.settings
    rows = [
        {
            "name": name,
            "variable": f"POSTDATE_{name.upper()}",
            "value": _shown(getattr(settings, name)),
            "source": settings.source_of(name),
            "says": languages.describe(view.language, name, field.description or ""),
        }
        for name, field in Settings.model_fields.items()
    ]
    return view.render("settings.html", rows=rows)


def _shown(value: Any) -> str:
    match value:
        case SecretStr():
            return HIDDEN
        case None:
            return ""
        case tuple():
            return ", ".join(str(one) for one in value)
        case bool():
            return str(value).lower()
        case _:
            return _IN_URL.sub(HIDDEN, str(value))


SCREEN = Screen("settings", pages=(Page("/settings", show, Role.OWNER, node=True),), nav=Nav("settings", "admin"))
