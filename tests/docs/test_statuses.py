"""The manual's picture of a message's life is the table in the code, and what it says is kept is kept."""

import re
from pathlib import Path

from postdate.core.message import TRANSITIONS, Status
from tests.api.serving import FROM, LONG_ENOUGH, TO, a_site
from tests.docs.pages import README, README_JA

PAGE = (Path(__file__).parents[2] / "docs" / "statuses.md").read_text(encoding="utf-8")


def test_the_diagram_has_exactly_the_moves_of_the_table() -> None:
    drawn = re.findall(r"^    (\w+) --> (\w+): (\w+)$", PAGE, re.MULTILINE)
    moves = [(before, after, event) for before, events in TRANSITIONS.items() for event, after in events.items()]
    assert sorted(drawn) == sorted((str(a), str(b), str(e)) for a, b, e in moves)


def test_every_status_is_explained() -> None:
    explained = set(re.findall(r"`(\w+)`", "\n".join(line.split("|")[1] for line in PAGE.splitlines() if "|" in line)))
    assert explained == {str(status) for status in Status}


async def test_what_is_said_to_be_kept_is_kept_until_it_is_taken_away(tmp_path: Path) -> None:
    asked = {"ContentRetention": "discard", "AddressRetention": "obfuscate"}
    _, _, kept = PAGE.partition("## What is kept of it")
    for name, value in asked.items():
        assert f"`{name}={value}`" in kept
        assert f"`{name}`" in README
        assert f"`{name}`" in README_JA
    async with a_site(tmp_path) as site:
        sent = await site.customer.send(From=FROM, Body="Hello", **asked)
        await site.advance(LONG_ENOUGH)
        found = await site.customer.fetch(sent.json["sid"])
        assert (found["status"], found["body"], found["to"]) == ("delivered", "Hello", TO)
        await site.customer.on("POST", f"/Messages/{found['sid']}.json", {"Body": ""})
        found = await site.customer.fetch(found["sid"])
        assert (found["body"], found["to"]) == ("", TO)
