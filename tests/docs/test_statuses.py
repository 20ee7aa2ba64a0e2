"""The manual's picture of a message's life is the table in the code."""

import re
from pathlib import Path

from postdate.core.message import TRANSITIONS, Status

PAGE = (Path(__file__).parents[2] / "docs" / "statuses.md").read_text(encoding="utf-8")


def test_the_diagram_has_exactly_the_moves_of_the_table() -> None:
    drawn = re.findall(r"^    (\w+) --> (\w+): (\w+)$", PAGE, re.MULTILINE)
    moves = [(before, after, event) for before, events in TRANSITIONS.items() for event, after in events.items()]
    assert sorted(drawn) == sorted((str(a), str(b), str(e)) for a, b, e in moves)


def test_every_status_is_explained() -> None:
    explained = set(re.findall(r"`(\w+)`", "\n".join(line.split("|")[1] for line in PAGE.splitlines() if "|" in line)))
    assert explained == {str(status) for status in Status}
