"""The pages of the documentation, and the code in them."""

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
README: Final = (ROOT / "README.md").read_text(encoding="utf-8")
README_JA: Final = (ROOT / "README.ja.md").read_text(encoding="utf-8")
MANUAL: Final = ROOT / "docs" / "manual"

_FENCED: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def manual(name: str) -> str:
    """Return a page of the manual."""
    return (MANUAL / f"{name}.md").read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    """Return the code of a page that is in this language."""
    return [code for named, code in _FENCED.findall(page) if named == language]


def rows(page: str) -> list[tuple[str, ...]]:
    """Return the rows of all tables of a page."""
    lines = [line for line in page.splitlines() if line.startswith("|")]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]
