"""The manual has every command, option, setting and behaviour, and nothing that is not so."""

import json
import re
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

from postdate.cli.command import Exit
from postdate.connectors.sandbox_script import ReceiptPlan, Rule, Script
from postdate.settings import Settings, load
from tests.cli.running import Commands, running_node
from tests.cli.tree import COMMANDS, Command
from tests.docs.pages import MANUAL, README, README_JA, ROOT, blocks, manual, rows

SETTINGS = manual("settings")
COMMAND_LINE = manual("command-line")
SANDBOX = manual("sandbox")
EVERYWHERE = {"--url", "--data", "--json"}

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def default_of(field: FieldInfo) -> str:
    """Return a default as the manual writes it."""
    default = field.default
    if default is None or default == ():
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


# -- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_in_the_manual(name: str) -> None:
    field = Settings.model_fields[name]
    row = (f"`{name}`", f"`POSTDATE_{name.upper()}`", default_of(field), field.description or "")
    assert row in rows(SETTINGS), f"docs/manual/settings.md: write | {' | '.join(row)} |"


def test_the_manual_has_no_setting_that_does_not_exist() -> None:
    described = [row[0].strip("`") for row in rows(SETTINGS) if len(row) == 4 and row[1].startswith("`POSTDATE_")]
    assert described == list(Settings.model_fields)


def test_the_settings_of_the_readme_are_those_of_the_manual() -> None:
    shown = [row for row in rows(README) if row[0].startswith("`POSTDATE_")]
    assert shown
    for variable, default, what in shown:
        field = Settings.model_fields[variable.strip("`").removeprefix("POSTDATE_").lower()]
        assert (default, what) == (default_of(field), field.description)


def test_the_japanese_readme_has_the_same_defaults() -> None:
    def defaults(page: str) -> list[tuple[str, ...]]:
        return [row[:2] for row in rows(page) if row[0].startswith("`POSTDATE_")]

    assert defaults(README_JA) == defaults(README)


def test_the_settings_files_of_the_manual_can_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POSTDATE_HOST", raising=False)
    loaded = []
    for text in blocks(SETTINGS, "toml"):
        (tmp_path / "postdate.toml").write_text(text)
        loaded.append(load(tmp_path / "postdate.toml"))
    usual, proxied = loaded
    assert (usual.host, usual.public_url) == ("0.0.0.0", "https://messages.example.com")
    assert str(usual.window) == "5m..35d"
    assert (proxied.public_url, proxied.trusted_proxies) == (usual.public_url, (IPv4Network("127.0.0.1"),))


# -- commands --------------------------------------------------------------------------------------------------------


def section(command: Command) -> str:
    """Return the part of the manual about one command."""
    found = re.search(rf"^### `{command.name}`$\n(.*?)(?=^##|\Z)", COMMAND_LINE, re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/manual/command-line.md has no part ### `{command.name}`"
    return found[1]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_and_option_is_in_the_manual(command: Command) -> None:
    text = section(command)
    assert text.strip()
    like = re.search(r"options are those of `(\w+)`|Takes `--at` or `--in`|as for `send`", text)
    if like is not None and like[1] is not None:
        text += section(next(one for one in COMMANDS if one.words == (command.words[0], like[1])))
    described = set(re.findall(r"`(--[a-z-]+)", text))
    own = {name for name, _ in command.options}
    shared = EVERYWHERE if own >= EVERYWHERE else set()
    assert own - shared - described == set()
    assert described <= own, "the manual has options that the command does not have"


def test_the_manual_has_no_command_that_does_not_exist() -> None:
    described = re.findall(r"^### `(.+)`$", COMMAND_LINE, re.MULTILINE)
    assert sorted(described) == sorted(command.name for command in COMMANDS)


@pytest.mark.parametrize("page", [README, README_JA], ids=["english", "japanese"])
def test_the_readme_names_every_command(page: str) -> None:
    named: set[tuple[str, ...]] = set()
    for group, names, *_ in [row for row in rows(page) if row[0].startswith("`postdate ")]:
        first, *more = re.findall(r"`([a-z -]+)`", group)
        inside = re.findall(r"`([a-z-]+)`", names)
        word = first.removeprefix("postdate ")
        named |= {(word, one) for one in inside} if inside else {(one,) for one in (word, *more)}
    assert named == {command.words for command in COMMANDS}


def test_the_exit_codes_are_those_of_the_manual() -> None:
    assert {row[0] for row in rows(COMMAND_LINE) if row[0].isdigit()} == {str(int(code)) for code in Exit}


# -- the simulated carrier -------------------------------------------------------------------------------------------

RECIPIENTS = [row for row in rows(SANDBOX) if row[0].startswith(("`+1500555", "any other"))]


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """What became of a message to each recipient of the manual's table, ten minutes later."""
    with running_node(tmp_path_factory.mktemp("data")) as node:
        commands: Commands = node.commands
        commands.run("numbers", "register", "+15005550006", "--mps", "0")
        sids = {}
        for row in RECIPIENTS:
            to = row[0].strip("`") if row[0].startswith("`") else "+14155550101"
            sids[row[0]] = commands.sid("messages", "send", "--to", to, "--from", "+15005550006", "--body", "Hi")
        commands.run("clock", "advance", "10m")
        return {name: commands.run("messages", "show", sid, "--json").json for name, sid in sids.items()}


def test_every_special_recipient_is_in_the_manual() -> None:
    assert {row[0] for row in RECIPIENTS} == {*(f"`+1500555000{digit}`" for digit in range(1, 10)), "any other"}


@pytest.mark.parametrize("row", RECIPIENTS, ids=lambda row: row[0].strip("`"))
def test_a_recipient_does_what_the_manual_says(row: tuple[str, ...], sent: dict[str, dict[str, object]]) -> None:
    message = sent[row[0]]
    told = [part.strip() for part in row[2].split(",")]
    assert message["status"] == told[0]
    assert message["error_code"] == next((int(part) for part in told if part.isdigit()), None)
    assert message["in_doubt"] == ("in doubt" in told)


def test_the_script_of_the_manual_can_be_followed() -> None:
    (text,) = blocks(SANDBOX, "json")
    assert len(Script.parse(json.loads(text)).rules) == 4


def test_every_field_of_a_script_is_in_the_manual() -> None:
    described = {name for row in rows(SANDBOX) for name in re.findall(r"`([a-z_]+)`", row[0])}
    fields = {*Rule.__dataclass_fields__, *ReceiptPlan.__dataclass_fields__}
    # A range of attempts is written as one field.
    assert described == (fields - {"attempt_from", "attempt_to"}) | {"attempt"}


# -- all pages -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_inside_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    inside = [link for link in links if "://" not in link]
    assert [link for link in inside if not (page.parent / link).exists()] == []


def test_every_page_of_the_manual_is_linked_from_the_readme() -> None:
    assert [page.name for page in MANUAL.glob("*.md") if f"docs/manual/{page.name}" not in README] == []
