"""Reads the named statements of a `.sql` file: `-- name: x`, a line of purpose, the statement."""

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load_statements(dialect: str) -> dict[str, str]:
    """Return the statements of a dialect by name; raise ValueError where a name stands twice."""
    text = (files("postdate.store") / "sql" / dialect / "statements.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)[1:]
    statements: dict[str, str] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        if name in statements:
            raise ValueError(f"statement {name} stands twice")
        statements[name] = body.strip()
    return statements


def load_migrations(dialect: str) -> list[tuple[int, str]]:
    """Return the numbered migrations of a dialect, in order."""
    folder = files("postdate.store") / "sql" / dialect
    found = [(int(f.name[:4]), f.read_text(encoding="utf-8")) for f in folder.iterdir() if f.name[:4].isdigit()]
    return sorted(found)
