"""The limits that no tool has: sizes, names, the width of the two contracts, and what the repository may say.

Ruff, mypy and import-linter hold the rest. A limit is raised here, with its reason, or not at all.
"""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "postdate"

MODULE_LINES = 400
STORE_LINES = 600
STORES = {SOURCE / "store" / "sqlite.py", SOURCE / "store" / "postgres.py"}
FUNCTION_LINES = 60
BLIND_EXCEPTS = 3
# 25, and two for the audit log: rows by the thousand cannot be resources, which are all in memory; and five for what
# people look at: pages in bounded time, an overview, a message's trail, the calls made, and their word on a doubt.
STORE_METHODS = 32
CONNECTOR_METHODS = 4

VAGUE_NAMES = {"base", "common", "helper", "helpers", "manager", "managers", "misc", "models", "util", "utils"}
BLIND = {"Exception", "BaseException"}

# Words that the glossary replaces: PhoneNumber, Account, canceled. CancelledError is asyncio's name, not ours.
FORBIDDEN_WORDS = re.compile(r"msisdn|tenant|cancelled(?!error)", re.IGNORECASE)
# What a carrier writes on the wire stands there as a string, whatever our word for it is.
WIRE_WORDS = SOURCE / "connectors" / "providers"

PURE = ("postdate.core", "postdate.smpp", "postdate.connectors.providers", "postdate.api.twilio")
SHELL = ("postdate.clock", "postdate.settings")

PINNING_FILES = {"constraints.txt", "package.json", "package-lock.json", "npm-shrinkwrap.json", ".npmrc", "pip.conf"}
# Joined here so that this file, too, names none of them.
REGISTRY_HOSTS = [
    ".".join(labels)
    for labels in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("deb", "debian", "org"),
        ("security", "debian", "org"),
    )
]


def modules() -> list[Path]:
    """Every Python file of the package."""
    return sorted(SOURCE.rglob("*.py"))


def parse(path: Path) -> ast.Module:
    """The syntax tree of one file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def place(path: Path, node: ast.stmt | ast.expr | ast.excepthandler | ast.arg) -> str:
    """Where a finding is, in the form editors jump to."""
    return f"{path.relative_to(ROOT)}:{node.lineno}"


def lines(path: Path) -> int:
    """How many lines a file has."""
    return len(path.read_text(encoding="utf-8").splitlines())


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method below a node."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def is_blind(node: ast.AST | None) -> bool:
    """Whether an expression in an `except` or a `suppress` names every exception there is."""
    if isinstance(node, ast.Tuple):
        return any(is_blind(one) for one in node.elts)
    return (isinstance(node, ast.Name) and node.id in BLIND) or (isinstance(node, ast.Attribute) and node.attr in BLIND)


def blind_excepts(tree: ast.AST) -> Iterator[ast.excepthandler | ast.expr]:
    """Every `except:`, `except Exception` and `suppress(Exception)` below a node."""
    for node in ast.walk(tree):
        match node:
            case ast.ExceptHandler(type=caught) if caught is None or is_blind(caught):
                yield node
            case ast.Call(func=ast.Name(id="suppress") | ast.Attribute(attr="suppress"), args=caught):
                yield from (one for one in caught if is_blind(one))


def named_here(tree: ast.AST) -> Iterator[tuple[ast.stmt | ast.expr | ast.arg, str]]:
    """Every name that a file gives to something, with the node that gives it; names it only uses may be others'."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node, name
            case ast.arg(arg=name):
                yield node, name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node, name


def strings(tree: ast.AST) -> Iterator[tuple[ast.expr, str]]:
    """Every string of a file, docstrings included."""
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)):
                yield node, text


def imported(tree: ast.AST) -> Iterator[tuple[ast.stmt, str]]:
    """Every dotted name that a file imports, with its statement."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node, one.name) for one in names)
            case ast.ImportFrom(module=str(origin), names=names):
                yield from ((node, f"{origin}.{one.name}") for one in names)


def contract_methods(path: Path, name: str) -> list[str]:
    """The methods that a Protocol asks for, those of its bases in the same file included."""
    classes = {node.name: node for node in parse(path).body if isinstance(node, ast.ClassDef)}
    assert name in classes, f"{path.relative_to(ROOT)} has no class {name}"
    bases = [ast.unparse(base).split("[")[0].rpartition(".")[2] for base in classes[name].bases]
    assert "Protocol" in bases, f"{name} in {path.relative_to(ROOT)} is not a Protocol"
    elsewhere = [base for base in bases if base not in classes and base not in {"Protocol", "Generic"}]
    assert not elsewhere, f"{name} takes methods from another file, where they are not counted: {elsewhere}"
    own = [node.name for node in classes[name].body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return own + [method for base in bases if base in classes for method in contract_methods(path, base)]


def files_in_git() -> list[Path]:
    """Every file under git or about to be; none where the project is not a git clone."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git clone: nothing to look through")
    listing = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [path for path in (ROOT / name for name in listing.split("\0") if name) if path.is_file()]


def exists(module: str) -> bool:
    """Whether a dotted name is a module or package of ours yet."""
    path = ROOT / "src" / Path(*module.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def test_there_is_something_to_look_at() -> None:
    assert SOURCE / "core" / "instant.py" in modules()


def test_no_module_is_too_long() -> None:
    too_long = {
        str(path.relative_to(ROOT)): lines(path)
        for path in modules()
        if lines(path) > (STORE_LINES if path in STORES else MODULE_LINES)
    }
    assert not too_long, f"split what has two subjects: {too_long}"


def test_no_function_is_too_long() -> None:
    too_long = [
        f"{place(path, function)} {function.name}"
        for path in modules()
        for function in functions(parse(path))
        if (function.end_lineno or function.lineno) - function.lineno + 1 > FUNCTION_LINES
    ]
    assert not too_long, f"more than {FUNCTION_LINES} lines: {too_long}"


def test_every_module_is_named_for_what_it_holds() -> None:
    names = [path for path in SOURCE.rglob("*") if path.stem in VAGUE_NAMES]
    assert not names, f"name them for what they hold: {[str(path.relative_to(ROOT)) for path in names]}"


def test_almost_nothing_catches_every_exception() -> None:
    found = [place(path, node) for path in modules() for node in blind_excepts(parse(path))]
    assert len(found) <= BLIND_EXCEPTS, f"name the exceptions that can come; {BLIND_EXCEPTS} places in all: {found}"


def test_nothing_is_left_for_later_in_the_source() -> None:
    later = re.compile(r"\b(TODO|FIXME)\b")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sorted(SOURCE.rglob("*"))
        if path.suffix in {".py", ".sql", ".html", ".css", ".js"}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if later.search(line)
    ]
    assert not found, f"do it now, or file an issue: {found}"


@pytest.mark.parametrize(
    ("path", "name", "most"),
    [
        pytest.param(SOURCE / "store" / "contract.py", "Store", STORE_METHODS, id="store"),
        pytest.param(SOURCE / "connectors" / "contract.py", "Connector", CONNECTOR_METHODS, id="connector"),
    ],
)
def test_a_contract_stays_narrow(path: Path, name: str, most: int) -> None:
    methods = contract_methods(path, name)
    assert 0 < len(methods) <= most, f"{name} asks for {len(methods)} methods, {most} at most: {methods}"


def test_names_are_those_of_the_glossary() -> None:
    found = [
        f"{place(path, node)} {name}"
        for path in modules()
        for node, name in named_here(parse(path))
        if FORBIDDEN_WORDS.search(name)
    ]
    assert not found, f"the glossary has another word: {found}"


def test_texts_use_the_words_of_the_glossary() -> None:
    found = [
        f"{place(path, node)} {text!r}"
        for path in modules()
        if not path.is_relative_to(WIRE_WORDS)
        for node, text in strings(parse(path))
        if FORBIDDEN_WORDS.search(text)
    ]
    assert not found, f"the glossary has another word: {found}"


def test_the_schema_uses_the_words_of_the_glossary() -> None:
    found = [
        str(path.relative_to(ROOT))
        for path in SOURCE.rglob("*.sql")
        if FORBIDDEN_WORDS.search(path.read_text(encoding="utf-8"))
    ]
    assert not found, f"the glossary has another word: {found}"


def test_nothing_loads_the_geocoder() -> None:
    found = [
        place(path, statement)
        for path in modules()
        for statement, name in imported(parse(path))
        if name.startswith("phonenumbers.geocoder")
    ]
    assert not found, f"it takes a quarter of a second and 100 MB: {found}"


def test_every_pure_place_is_held_to_it() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = {one["name"]: one for one in config["tool"]["importlinter"]["contracts"]}
    pure = contracts["Pure code does no I/O and reads no clock"]
    missing = [name for name in PURE if exists(name) and name not in pure["source_modules"]]
    missing += [name for name in SHELL if exists(name) and name not in pure["forbidden_modules"]]
    assert not missing, f"pyproject.toml, [tool.importlinter], contract of the pure code: add {missing}"


def test_pinned_versions_name_no_place_to_fetch_from() -> None:
    place_named = re.compile(r"://|\s@\s|--(extra-)?index-url|--find-links|^registry\s*=", re.MULTILINE)
    found = [
        str(path.relative_to(ROOT))
        for path in files_in_git()
        if path.name in PINNING_FILES or path.suffix == ".lock"
        if place_named.search(path.read_text(encoding="utf-8"))
    ]
    assert not found, f"only names and versions: {found}"


def test_constraints_are_names_and_versions() -> None:
    pinned = [
        line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if not line.startswith("#")
    ]
    odd = [line for line in pinned if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line)]
    assert pinned
    assert not odd


def test_no_file_names_a_registry() -> None:
    hosts = [host.encode() for host in REGISTRY_HOSTS]
    found = [str(path.relative_to(ROOT)) for path in files_in_git() if any(host in path.read_bytes() for host in hosts)]
    assert not found, f"whose registry is asked is for the machine to say: {found}"
