"""The words: every language has all of them, templates hold none of their own, and each key that is used exists."""

import re
import string
from pathlib import Path

import pytest
from jinja2 import Environment

import postdate.console
from postdate.console import languages
from postdate.console.app import SCREENS
from postdate.console.languages import LANGUAGES, catalogue, describe, explain, preferred, translate
from postdate.core.errors import MEANINGS
from postdate.core.message import Status
from postdate.core.resources import Role
from postdate.settings import Settings

FOLDER = Path(postdate.console.__file__).parent
TEMPLATES = sorted((FOLDER / "templates").glob("*.html"))
SOURCES = sorted(FOLDER.rglob("*.py"))
ENGLISH_ELSEWHERE = ("errors.", "setting_words.", "carrier_words.")  # what these say, the code says in English
SPOKEN_ATTRIBUTES = re.compile(r"\b(?:title|alt|aria-label|placeholder)=\"([^\"{]*[A-Za-z][^\"{]*)\"")
JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


def keys_of(language: str) -> set[str]:
    """Return the keys of a language that the other has to have too."""
    return {key for key in catalogue(language) if not key.startswith(ENGLISH_ELSEWHERE)}


def names_in(text: languages.Text) -> set[str]:
    """Return the names to fill in of a text, in all its forms."""
    texts = [text] if isinstance(text, str) else list(text.values())
    return {name for one in texts for _, name, _, _ in string.Formatter().parse(one) if name is not None}


def test_both_languages_say_the_same_things() -> None:
    assert keys_of("en") == keys_of("ja")
    assert len(keys_of("en")) > 100
    assert set(LANGUAGES) == {folder.name for folder in (FOLDER / "messages").iterdir()}


@pytest.mark.parametrize("key", sorted(keys_of("en")))
def test_both_languages_fill_in_the_same_values(key: str) -> None:
    assert names_in(catalogue("en")[key]) == names_in(catalogue("ja")[key])


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_in_the_navigation_is_called_like_something_else_there(language: str) -> None:
    screens = [screen for screen in SCREENS if screen.nav is not None]
    groups = {f"frame.group.{screen.nav.group}" for screen in screens if screen.nav is not None}
    names = [translate(language, key) for key in [*groups, *(f"{screen.name}.title" for screen in screens)]]
    assert sorted(set(names)) == sorted(names)


# What is written the same in Japanese: names, abbreviations, signs. Placeholders count for nothing.
SAME = {
    "API", "CSV", "GET", "GSM-7", "HTTP", "ID", "MMS", "Messenger", "POST", "Postdate", "QR", "RCS", "SID", "SMPP",
    "E.164", "SMS", "UCS-2", "URL", "UTC", "WhatsApp", "p50", "p99", "postdate.toml",
}  # fmt: skip


def test_japanese_is_japanese() -> None:
    left: set[str] = set()
    for key in keys_of("ja"):
        text = catalogue("ja")[key]
        for one in [text] if isinstance(text, str) else text.values():
            bare = re.sub(r"\{[^}]*\}", "", one).strip()
            if re.search(r"[A-Za-z]", bare) and not JAPANESE.search(bare) and bare not in SAME:
                left.add(f"{key}: {one}")
    assert left == set()


def test_every_code_and_setting_is_explained_in_japanese() -> None:
    assert {int(key.removeprefix("errors.")) for key in catalogue("ja") if key.startswith("errors.")} == set(MEANINGS)
    described = {key.removeprefix("setting_words.") for key in catalogue("ja") if key.startswith("setting_words.")}
    assert described == set(Settings.model_fields)
    assert explain("en", 21211) == MEANINGS[21211].sentence
    assert JAPANESE.search(explain("ja", 21211))
    assert explain("ja", 1) == ""
    assert describe("en", "host", "Address.") == "Address."


def test_every_screen_action_role_and_status_has_its_words() -> None:
    needed = {f"{screen.name}.title" for screen in SCREENS}
    needed |= {f"{screen.name}.did.{action.name}" for screen in SCREENS for action in screen.actions}
    needed |= {f"frame.role.{role}" for role in Role} | {f"frame.status.{status}" for status in Status}
    needed |= {f"frame.group.{screen.nav.group}" for screen in SCREENS if screen.nav is not None}
    assert needed <= set(catalogue("en"))


def test_no_two_screens_have_a_name_or_a_path_in_common() -> None:
    names = [screen.name for screen in SCREENS]
    assert len(names) == len(set(names))
    for kind in ("pages", "actions"):
        paths = [step.path for screen in SCREENS for step in getattr(screen, kind)]
        assert len(paths) == len(set(paths))


def literal_keys(text: str) -> set[str]:
    """Return the keys that stand in a template or a module, without those that are put together."""
    return set(re.findall(r"(?<![\w.])(?:view\.)?(?:t|rich)\(\s*f?[\"']([a-z_]+\.[\w.]+)[\"']\s*[,)]", text))


@pytest.mark.parametrize("path", [*TEMPLATES, *SOURCES], ids=lambda path: path.name)
def test_every_key_that_is_used_exists(path: Path) -> None:
    missing = {key for key in literal_keys(path.read_text(encoding="utf-8")) if not languages.knows(key)}
    assert not missing - {"numbers.title", "numbers.name", "numbers.count"}  # the example in app.py


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_text_stands_in_a_template(path: Path) -> None:
    source = re.sub(r"<!doctype html>|<svg class=\"mark\".*?</svg>", "", path.read_text(encoding="utf-8"))
    source = re.sub(r"<meta [^>]*>", "", source)
    data = "".join(
        value if kind == "data" else "\0"
        for _, kind, value in Environment(autoescape=True).lex(source)
        if kind != "comment"
    )
    spoken = [*SPOKEN_ATTRIBUTES.findall(data)]
    bare = re.sub(r"<[^>]*>", "", re.sub(r"\0+", "", data), flags=re.S)
    assert re.findall(r"[A-Za-z\u3040-\u30ff\u4e00-\u9fff]{2,}", bare) == []
    assert spoken == []


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("ja", "ja"),
        ("ja-JP,ja;q=0.9,en;q=0.8", "ja"),
        ("fr,en;q=0.5,ja;q=0.7", "ja"),
        ("en;q=0.1,ja;q=x", "en"),
        ("de", "en"),
        (",;q=;;q,ja;q=0", "en"),
        ("x," * 5_000 + "ja", "en"),
        ("ja;q=nan", "en"),
    ],
)
def test_the_language_is_the_one_the_browser_likes_best(header: str, language: str) -> None:
    assert preferred(header) == language


def test_numbers_and_plural_forms_are_filled_in() -> None:
    assert translate("en", "sign_in.wait", count=1).endswith("1 second.")
    assert translate("en", "sign_in.wait", count=1200).endswith("1,200 seconds.")
    assert "{x.__class__}" in translate("en", "users.removed", name="{x.__class__}")
    with pytest.raises(KeyError):
        translate("en", "there.is.none")
