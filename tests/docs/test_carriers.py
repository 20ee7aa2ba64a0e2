"""What the README says of real carriers: its commands are run against an SMSC, and its kinds are those there are."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from postdate.connectors.kinds import KINDS
from tests.cli.processes import run, serving
from tests.cli.test_smsc import Running, an_smsc
from tests.docs.pages import README, README_JA, blocks, rows

SMSC: Final = "$ postdate smsc\n"
PAGES: Final = pytest.mark.parametrize("page", [README, README_JA], ids=["english", "japanese"])


def samples(page: str) -> list[str]:
    """Return the samples with connections: with the carrier's own SMSC, and with ours."""
    return [block for block in blocks(page, "console") if "$ postdate connections add" in block]


def conversation(sample: str) -> Iterator[tuple[list[str], list[str]]]:
    """Yield each command of a sample and the lines that it is shown to end with."""
    for part in re.split(r"^\$ ", sample, flags=re.MULTILINE)[1:]:
        line, *shown = part.splitlines()
        yield shlex.split(line)[1:], shown


def adapted(words: list[str], smsc: Running) -> list[str]:
    """Return a command with the invented SMSC, and the usual ports, replaced by those of the test."""
    there = {
        "host=smsc.example": f"host=127.0.0.1 --set port={smsc.port}",
        "host=127.0.0.1": f"host=127.0.0.1 --set port={smsc.port}",
        "http://127.0.0.1:2776": smsc.url,
    }
    return [one for word in words for one in (there[word].split() if word in there else [word])]


def test_the_samples_do_what_they_show(tmp_path: Path) -> None:
    secrets = {"POSTDATE_SECRET_PASSWORD": "postdate", "POSTDATE_SECRET_API_KEY": "KEY-invented"}
    with an_smsc("--system-id", "clinic", "--system-id", "postdate", cwd=tmp_path) as smsc, serving(cwd=tmp_path):
        shown_last = ""
        for sample in samples(README):
            for words, shown in conversation(sample.replace(SMSC, "")):
                ran = run(*adapted(words, smsc), cwd=tmp_path, **secrets)
                assert ran.returncode == 0, (words, ran)
                assert ran.stdout.splitlines()[-len(shown) :] == shown or not shown, (words, ran.stdout)
                shown_last = ran.stdout
    assert "Postdate: a test of this connection." in shown_last


def test_our_smsc_listens_where_the_sample_looks_for_it(tmp_path: Path) -> None:
    (sample,) = [one for one in samples(README) if SMSC in one]
    told = run("smsc", "--help", cwd=tmp_path).stdout
    defaults = re.findall(r"\[default: ([^\]]+)\]", told)
    assert {"2775", "2776", "(postdate)"} <= set(defaults)
    assert "system_id=postdate" in sample
    assert "http://127.0.0.1:2776" in sample


@PAGES
def test_every_kind_is_in_the_table(page: str) -> None:
    named = [name for row in rows(page) for name in re.findall(r"`([a-z-]+)`", row[1] if len(row) == 2 else "")]
    assert [name for name in named if name in KINDS] == list(KINDS)


@PAGES
def test_which_carriers_can_be_asked_and_know_a_key_is_so(page: str) -> None:
    (told,) = re.findall(r"^\*\*[^*]+\*\* (.*?`query`.*?)$\n^$", page, re.MULTILINE | re.DOTALL)
    asked, known = told.split("`query`")[1].split("`retry`", 1)

    def kinds(text: str) -> set[str]:
        return {name for name in re.findall(r"`([a-z-]+)`", text) if name in KINDS}

    assert kinds(asked) == {kind.name for kind in KINDS.values() if kind.can_ask}
    assert kinds(known) == {kind.name for kind in KINDS.values() if kind.knows_key}


def test_the_japanese_page_has_the_same_samples() -> None:
    assert samples(README_JA) == samples(README)
