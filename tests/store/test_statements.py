"""The `.sql` files: every statement has a name, a purpose and a use, fits the schema, and reads no whole table."""

import ast
import re
from pathlib import Path

import apsw
import pytest

import postdate.store.sqlite
import postdate.store.sqlite_audit
import postdate.store.sqlite_dispatch
import postdate.store.sqlite_inbound
import postdate.store.sqlite_media
import postdate.store.sqlite_views
from postdate.store.statements import load_migrations, load_statements

PARTS = (
    postdate.store.sqlite,
    postdate.store.sqlite_audit,
    postdate.store.sqlite_dispatch,
    postdate.store.sqlite_inbound,
    postdate.store.sqlite_media,
    postdate.store.sqlite_views,
)
DIALECTS = {"sqlite": tuple(Path(str(part.__file__)) for part in PARTS)}
FOLDER = Path(postdate.store.sqlite.__file__).parent / "sql"
STATEMENTS = load_statements("sqlite")

# Run seldom or over little: at the start, when something is removed, or to forget what is old.
MAY_SCAN = {
    "lanes": {"lanes"},
    "resources": {"resources"},
    "drop_unused_blobs": {"blobs"},
    "drop_sticky": {"sticky"},
    "prune_parked": {"parked_receipts"},
    "prune_keys": {"idempotency"},
    "prune_inbound": {"inbound_refs"},
    "stale_parts": {"inbound_parts"},
    "prune_tallies": {"tallies"},
    "prune_calls": {"calls"},
}

PAGED = [
    "due",
    "due_callbacks",
    "list_audit",
    "walk_open",
    "walk_open_back",
    "walk_done",
    "walk_done_back",
    "walk_timers",
    "sids_from",
    "calls_of_account",
    "calls_of_message",
]


def names_used(source: Path) -> set[str]:
    """Return the names that a store runs statements by: what it gives to `_do` and `_get`, and looks up in `_sql`."""
    used: set[str] = set()
    for function in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        given: list[ast.expr] = []
        for node in ast.walk(function):
            match node:
                case ast.Call(func=ast.Attribute(attr="_do" | "_get"), args=[_, name, *_]):
                    given.append(name)
                case ast.Subscript(value=ast.Attribute(attr="_sql"), slice=name):
                    given.append(name)
        used |= {text for name in given for text in texts(name, function)}
    return used


def texts(name: ast.expr, function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """Return what a name given to a statement's runner can be: itself, a choice, or what it was set to."""
    match name:
        case ast.Constant(value=str(text)):
            return {text}
        case ast.IfExp(body=body, orelse=other):
            return texts(body, function) | texts(other, function)
        case ast.Name(id=variable):
            assigned = [n for n in ast.walk(function) if isinstance(n, ast.Assign)]
            values = [n.value for n in assigned if any(isinstance(t, ast.Name) and t.id == variable for t in n.targets)]
            return {text for value in values for text in texts(value, function)}
        case _:
            return set()


@pytest.fixture
def empty() -> apsw.Connection:
    """Give a database with the newest schema and nothing in it."""
    connection = apsw.Connection(":memory:")
    for _, script in load_migrations("sqlite"):
        connection.execute(script)
    return connection


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_statement_is_used_and_every_name_that_is_used_exists(dialect: str) -> None:
    used = set[str]().union(*map(names_used, DIALECTS[dialect]))
    assert used == set(load_statements(dialect))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_statement_says_what_it_is_for(dialect: str) -> None:
    text = (FOLDER / dialect / "statements.sql").read_text(encoding="utf-8")
    purposes = re.findall(r"^-- name: (\w+)\n(.*)$", text, re.MULTILINE)
    assert [name for name, _ in purposes] == list(load_statements(dialect))
    for name, purpose in purposes:
        assert re.fullmatch(r"-- [A-Z].{10,}", purpose), f"{name} begins with {purpose!r}"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_nothing_in_a_statement_reads_a_clock(dialect: str) -> None:
    clocks = re.compile(r"\b(now|current_time\w*|current_date|datetime|strftime|julianday|unixepoch|random)\b", re.I)
    for name, sql in load_statements(dialect).items():
        code = re.sub(r"--.*", "", sql)
        assert not clocks.search(code), f"{name} asks for the time or for chance: both are arguments"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_migrations_are_numbered_from_one_without_a_gap(dialect: str) -> None:
    numbers = [number for number, _ in load_migrations(dialect)]
    assert numbers == list(range(1, len(numbers) + 1))


def plan(connection: apsw.Connection, sql: str) -> list[str]:
    """Return how SQLite would run a statement, one line a step."""
    parameters = max((int(n) for n in re.findall(r"\?(\d+)", sql)), default=0)
    return [str(step[3]) for step in connection.execute("EXPLAIN QUERY PLAN " + sql, (None,) * parameters)]


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_fits_the_schema_and_reads_no_whole_table(empty: apsw.Connection, name: str) -> None:
    steps = plan(empty, STATEMENTS[name])
    scanned = {step.split()[1] for step in steps if step.startswith("SCAN") and "VIRTUAL TABLE" not in step}
    limited = {step.split()[1] for step in steps if step.startswith(("CO-ROUTINE", "MATERIALIZE"))}
    assert scanned - limited == MAY_SCAN.get(name, set())
    assert not [step for step in steps if "AUTOMATIC" in step], "it makes an index of its own on every run"


@pytest.mark.parametrize("name", PAGED)
def test_a_page_is_read_in_the_order_of_an_index(empty: apsw.Connection, name: str) -> None:
    # Sorting would read all that is due, or all an account has, for one page of it.
    assert not [step for step in plan(empty, STATEMENTS[name]) if "TEMP B-TREE" in step]
