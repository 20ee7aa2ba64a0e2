"""A store of an earlier schema is brought to the newest one with what is in it: every message stands in its list."""

from pathlib import Path

import apsw
import msgspec
import pytest

from postdate.core.message import Status
from postdate.store.contract import AgendaQuery, MessageQuery
from postdate.store.shelf import OF_STATUS, shelf_of
from postdate.store.sqlite import SqliteStore
from postdate.store.statements import load_migrations
from tests.store.building import ACCOUNT, SERVICE, a_message, bring, later, sid_of

BEFORE_SHELVES = 3
STATUSES = list(Status)
UNDONE = [Status.ACCEPTED, Status.SCHEDULED, Status.QUEUED, Status.SENDING]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Give a store of the schema before there were shelves, with a message of every status, and one in doubt."""
    path = tmp_path / "postdate.db"
    db = apsw.Connection(str(path))
    for number, script in load_migrations("sqlite"):
        if number <= BEFORE_SHELVES:
            db.execute(script)
    db.pragma("user_version", BEFORE_SHELVES)
    messages = [a_message(n, status=status, due_at=later(n)) for n, status in enumerate(STATUSES)]
    messages.append(a_message(99, status=Status.SENDING, doubt_at=later(1), due_at=later(99)))
    for m in messages:
        row = [
            v if v is None or isinstance(v, str | int) else msgspec.json.encode(v).decode()
            for v in msgspec.to_builtins(m)
        ]
        db.execute(f"INSERT INTO messages VALUES ({','.join('?' * len(row))})", row)
        if m.status in UNDONE and m.doubt_at is None:
            db.execute("INSERT INTO timers VALUES (?, ?, ?)", (m.due_at, m.sid, m.bucket))
    db.close()
    return path


async def test_what_is_in_an_older_store_is_found_in_its_list(old: Path) -> None:
    store = SqliteStore(old)
    await store.open()
    everything = await store.messages(MessageQuery(account_sid=ACCOUNT, limit=100))
    assert len(everything) == len(STATUSES) + 1
    for n, status in enumerate(STATUSES):
        found = await store.messages(MessageQuery(account_sid=ACCOUNT, status=status))
        assert sid_of(n) in [m.sid for m in found]
        assert {m.status for m in found} == {status}
    doubtful = await store.messages(MessageQuery(account_sid=ACCOUNT, in_doubt=True))
    assert [m.sid for m in doubtful] == [sid_of(99)]
    agenda = await store.search(AgendaQuery(account_sid=ACCOUNT, service_sid=SERVICE))
    assert [m.status for m in agenda.messages] == UNDONE
    await store.close()


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.PARTIALLY_DELIVERED])
async def test_the_shelf_on_disk_is_the_one_that_the_status_says(tmp_path: Path, status: Status) -> None:
    store = SqliteStore(tmp_path / "postdate.db")
    await store.open()
    message = await bring(store, a_message(), status)
    await store.close()
    db = apsw.Connection(str(tmp_path / "postdate.db"))
    assert list(db.execute("SELECT shelf FROM messages")) == [(shelf_of(message.status, message.doubt_at),)]
    db.close()


def test_every_status_has_a_shelf() -> None:
    assert set(OF_STATUS) == set(Status)
