"""The page about connections has every kind, every setting and every command as they are, and samples that work.

`python -m tests.docs.test_connections` prints the tables as they must stand on the page, to be pasted.
"""

import json
import re
import shlex
from itertools import pairwise
from typing import Final

import msgspec
import pytest

from postdate.connectors.contract import Inbound, Receipt
from postdate.connectors.kinds import KINDS, Kind, SettingField, kind_of, read_settings, setting_fields
from postdate.connectors.providers.contract import HttpSettings
from postdate.connectors.providers.plain_http import Handover, Refusal, Taken, read_events
from postdate.core.address import Channel
from postdate.core.instant import SECOND
from postdate.core.outcome import DoubtPolicy
from postdate.flow.inquiries import ASK_AFTER
from tests.cli.tree import COMMANDS
from tests.docs.pages import MANUAL, blocks, manual

PAGE: Final = manual("connections") if (MANUAL / "connections.md").exists() else ""
# Its settings have a page of their own, with tests of its own.
ELSEWHERE: Final = {"generic": "generic-provider.md"}
CHANNELS: Final = {
    Channel.SMS: "SMS",
    Channel.WHATSAPP: "WhatsApp",
    Channel.MESSENGER: "Messenger",
    Channel.RCS: "RCS",
}
SHARED: Final = {field.encode_name for field in msgspec.structs.fields(HttpSettings)}


def _table(*rows: tuple[str, ...]) -> str:
    head, *more = rows
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in more]
    return "\n".join(line.replace("|  |", "| |") for line in lines)


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"


def carriers() -> str:
    """Return the table of carriers."""
    return _table(
        (
            "kind",
            "carrier",
            "channels",
            "media",
            "receipts",
            "inbound",
            "knows our key",
            "can be asked",
            "checked against",
        ),
        *(
            (
                f"[`{kind.name}`](#{kind.name})",
                kind.title,
                ", ".join(CHANNELS[channel] for channel in Channel if channel in kind.channels),
                str(kind.media) if kind.media else "links",
                *map(_yes, (kind.receipts, kind.inbound, kind.knows_key, kind.can_ask)),
                kind.checked,
            )
            for kind in KINDS.values()
        ),
    )


def _row(field: SettingField) -> tuple[str, ...]:
    default = "" if field.default in (None, "null", '""') else f"`{field.default}`"
    words = ["required"] if field.default is None else [default] if default else []
    return f"`{field.name}`", ", ".join([*words, *(["secret"] if field.secret else [])]), field.description


def settings(fields: list[SettingField]) -> str:
    """Return a table of settings."""
    return _table(("setting", "default", "what it is"), *map(_row, fields))


def shared() -> list[SettingField]:
    """Return the settings of every connection over HTTP."""
    return [field for field in setting_fields(kind_of("plain-http")) if field.name in SHARED]


def own(kind: Kind) -> list[SettingField]:
    """Return the settings of a kind, without those that every connection over HTTP has as they are."""
    return [field for field in setting_fields(kind) if field not in shared()]


def section(name: str) -> str:
    """Return the part of the page about a kind."""
    found = re.search(rf"^### `{re.escape(name)}`$\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/manual/connections.md has no part ### `{name}`"
    return found[1]


def tables(text: str) -> list[str]:
    """Return the tables of a text."""
    return re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE)


def _paste(name: str, table: str) -> str:
    return f"docs/manual/connections.md, {name}: write\n\n{table}\n"


def test_the_carriers_are_those_there_are() -> None:
    assert carriers() in PAGE, _paste("the table of carriers", carriers())


def test_the_settings_of_all_over_http_are_there() -> None:
    assert settings(shared()) in PAGE, _paste("what every connection over HTTP has", settings(shared()))


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_every_kind_has_its_settings_and_no_others(kind: Kind) -> None:
    text = section(kind.name)
    if kind.name in ELSEWHERE:
        assert f"({ELSEWHERE[kind.name]})" in text
        return
    table = settings(own(kind))
    assert [one.strip() for one in tables(text)][:1] == [table], _paste(f"`{kind.name}`", table)


def test_there_is_no_part_about_a_kind_that_does_not_exist() -> None:
    assert re.findall(r"^### `(.+)`$", PAGE, re.MULTILINE) == list(KINDS)


def test_every_policy_is_explained() -> None:
    assert {row.split("|")[1].strip().strip("`") for row in PAGE.splitlines() if row.startswith("| `")} >= set(
        DoubtPolicy
    )


def test_when_carriers_are_asked_is_when_they_are() -> None:
    told = ", ".join(
        f"{wait // SECOND} s" if wait < 60 * SECOND else f"{wait // (60 * SECOND)} min" for wait in ASK_AFTER
    )
    assert told in PAGE, told


def test_every_command_of_a_sample_exists() -> None:
    lines = [line for block in blocks(PAGE, "console") for line in re.sub(r"\\\n", " ", block).splitlines()]
    said = [shlex.split(line[2:]) for line in lines if line.startswith("$ postdate ")]
    assert said
    known = {command.words: {name for name, _ in command.options} for command in COMMANDS}
    for words in said:
        assert tuple(words[1:3]) in known, words
        given = {word for word in words if word.startswith("--")}
        assert given <= known[words[1], words[2]], words


def test_the_settings_of_the_samples_can_be_used() -> None:
    lines = [line for block in blocks(PAGE, "console") for line in re.sub(r"\\\n", " ", block).splitlines()]
    added = [words for line in lines if "connections add" in line for words in [shlex.split(line[2:])]]
    assert added
    for words in added:
        kind = kind_of(words[words.index("--kind") + 1])
        pairs = [one.split("=", 1) for before, one in pairwise(words) if before == "--set"]
        secrets = [one for before, one in pairwise(words) if before == "--secret"]
        read_settings(kind, dict(pairs) | dict.fromkeys(secrets, "hush"))


def test_the_settings_that_samples_change_are_those_of_the_kind() -> None:
    joined = [line for block in blocks(PAGE, "console") for line in re.sub(r"\\\n", " ", block).splitlines()]
    lines = [shlex.split(line[2:]) for line in joined]
    kinds = {words[3]: words[words.index("--kind") + 1] for words in lines if words[1:3] == ["connections", "add"]}
    changed = [words for words in lines if words[1:3] == ["connections", "update"]]
    assert changed
    for words in changed:
        known = {field.name for field in setting_fields(kind_of(kinds[words[3]]))}
        assert {one.split("=", 1)[0] for before, one in pairwise(words) if before == "--set"} <= known, words


def test_what_a_gateway_is_given_and_answers_is_as_the_page_says() -> None:
    handover, taken, refusal, receipt, inbound = (json.loads(block) for block in blocks(section("plain-http"), "json"))
    assert json.loads(msgspec.json.encode(msgspec.convert(handover, Handover))) == handover
    msgspec.convert(taken, Taken)
    msgspec.convert(refusal, Refusal)
    assert handover.keys() == {field.encode_name for field in msgspec.structs.fields(Handover)}
    assert [type(event) for event in read_events(json.dumps([receipt, inbound]).encode())] == [Receipt, Inbound]


if __name__ == "__main__":
    print(carriers(), "", settings(shared()), sep="\n")
    for one in KINDS.values():
        print("", f"### `{one.name}`", "", "" if one.name in ELSEWHERE else settings(own(one)), sep="\n")
