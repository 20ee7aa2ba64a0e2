"""What is special to SQLite: one owner of the file, its schema, shared transactions, a full disk, and its syncs.

`Disk` is a layer of SQLite's own file interface under the store: it sees every write and sync, and can be full. Other
processes are real ones, and `kill -9` is one.
"""

import asyncio
import os
import re
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
import pytest

from postdate.core.decision import Decision, Fetch
from postdate.core.instant import Instant
from postdate.core.message import Direction, Event, Message, Status
from postdate.store.contract import (
    Added,
    AlreadyExists,
    Amendment,
    Due,
    Failed,
    Handed,
    MessageQuery,
    OptOutChange,
    Reschedule,
    Settled,
    Store,
    StoreFull,
    StoreUnavailable,
)
from postdate.store.sqlite import SqliteStore
from postdate.store.statements import load_migrations
from postdate.store.writer import Readers
from tests.store.building import (
    ACCOUNT,
    CONNECTION,
    FAR,
    RECIPIENT,
    RUN,
    SERVICE,
    START,
    a_medium,
    a_message,
    a_sender,
    a_service,
    add,
    an_inbound_message,
    assign,
    bring,
    callbacks,
    everything,
    later,
    new,
    read,
    receipt,
    sid_of,
    timers,
)

AT = later(60)


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteStore]:
    """Open a store and close it again."""
    store = SqliteStore(path)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def open_and_close(path: Path) -> None:
    async with opened(path):
        pass


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Say where the store's file is."""
    return tmp_path / "data" / "postdate.db"


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


def content(path: Path) -> bytes:
    return path.read_bytes()


def remove(path: Path) -> None:
    path.unlink()


# --- another process -------------------------------------------------------------------------------------------------

_CHILD = """
import asyncio, itertools, sys
from pathlib import Path
from postdate.store.contract import StoreError
from postdate.store.sqlite import SqliteStore
from tests.store.building import ACCOUNT, START, a_message, add

async def opens(store):
    print("open", flush=True)
    await asyncio.Event().wait()

async def adds(store):
    async def one(number):
        await add(store, a_message(number))
        print("added", number, flush=True)
    for start in itertools.count(0, 10):
        await asyncio.gather(*(one(n) for n in range(start, start + 10)))

async def cancels(store):
    await add(store, *(a_message(n) for n in range(1_000)))
    for n in range(1_000):
        await store.cancel(ACCOUNT, [a_message(n).sid], START)
        print("canceled", n, flush=True)
    await asyncio.Event().wait()

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    try:
        await store.open()
    except StoreError as refusal:
        print("refused:", refusal, flush=True)
    else:
        await {"opens": opens, "adds": adds, "cancels": cancels}[sys.argv[2]](store)

asyncio.run(main())
"""


@asynccontextmanager
async def child(path: Path, what: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run another process on the file, and end it with SIGKILL unless it has ended."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _CHILD, str(path), what,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


async def killed_after(process: asyncio.subprocess.Process, lines: int) -> list[int]:
    """Kill it once it has said something so often; return every number it has said."""
    said = [await line(process) for _ in range(lines)]
    process.kill()
    while last := await line(process):
        said.append(last)
    return [int(text.split()[1]) for text in said if len(text.split()) == 2]


# --- one owner -------------------------------------------------------------------------------------------------------


async def test_a_second_store_in_this_process_is_refused(path: Path) -> None:
    async with opened(path) as first:
        with pytest.raises(StoreUnavailable, match=rf"another process has {re.escape(str(path))} open.*--data"):
            await open_and_close(path)
        assert await add(first, a_message(1)) == [Added()]
    async with opened(path) as store:
        assert await read(store, a_message(1)) == a_message(1)


async def test_a_second_process_is_refused_and_the_lock_dies_with_its_owner(path: Path) -> None:
    async with child(path, "opens") as owner:
        assert await line(owner) == "open"
        with pytest.raises(StoreUnavailable, match="another process"):
            await open_and_close(path)
        async with child(path, "opens") as other:
            assert (await line(other)).startswith("refused: another process")
            async with asyncio.timeout(60):
                assert await other.wait() == 0
    async with opened(path) as store:
        assert await timers(store) == []


async def test_a_closed_store_can_be_opened_again_at_once(path: Path) -> None:
    for number in range(3):
        async with opened(path) as store:
            assert len(await timers(store)) == number
            await add(store, a_message(number))


async def test_the_folder_is_made_for_its_owner_only(path: Path) -> None:
    async with opened(path):
        assert path.parent.stat().st_mode & 0o777 == 0o700


async def test_a_place_that_is_no_folder_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="--data"):
        await open_and_close(tmp_path / "file" / "postdate.db")


async def test_a_file_of_another_kind_is_refused_and_left_alone(path: Path) -> None:
    letter = b"a letter, not a database\n" * 1_000
    write(path, letter)
    with pytest.raises(StoreUnavailable, match=re.escape(str(path))):
        await open_and_close(path)
    assert content(path) == letter
    # The refusal holds no lock: once the file is out of the way, the same process can go on.
    remove(path)
    async with opened(path) as store:
        assert await add(store, a_message(1)) == [Added()]


# --- the schema ------------------------------------------------------------------------------------------------------


def asked(path: Path, sql: str) -> list[tuple[object, ...]]:
    """Ask a file that nobody has open."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        return list(connection.execute(sql))
    finally:
        connection.close()


def schema(path: Path) -> list[tuple[object, ...]]:
    return asked(path, "SELECT type, name, sql FROM sqlite_schema ORDER BY name")


@pytest.fixture
async def made(path: Path) -> Path:
    """Make a store with a message in it, and close it."""
    async with opened(path) as store:
        await add(store, a_message(1))
    return path


async def test_an_empty_file_is_brought_to_the_newest_schema_once(made: Path) -> None:
    numbers = [number for number, _ in load_migrations("sqlite")]
    assert numbers == list(range(1, len(numbers) + 1))
    before = schema(made)
    assert asked(made, "PRAGMA user_version") == [(numbers[-1],)]
    async with opened(made) as store:
        assert await read(store, a_message(1)) == a_message(1)
    assert schema(made) == before
    assert asked(made, "PRAGMA user_version") == [(numbers[-1],)]


async def test_a_newer_schema_is_refused_with_what_to_do(made: Path) -> None:
    asked(made, "PRAGMA user_version = 9999")
    before = content(made)
    async with child(made, "opens") as process:
        refusal = await line(process)
        assert refusal.startswith("refused:")
        assert "newer" in refusal
        assert "9999" in refusal
        assert "install" in refusal
        # Nothing is left running: the process ends by itself.
        async with asyncio.timeout(60):
            assert await process.wait() == 0
    assert content(made) == before


@pytest.mark.parametrize(("column", "words"), [("status", Status), ("direction", Direction)])
async def test_a_check_knows_the_words_that_the_core_knows(
    made: Path, column: str, words: type[Status] | type[Direction]
) -> None:
    ((sql,),) = asked(made, "SELECT sql FROM sqlite_schema WHERE name = 'messages'")
    found = re.search(rf"CHECK \({column} IN \(([^)]*)\)\)", str(sql))
    assert found is not None
    assert sorted(re.findall(r"'([^']*)'", found[1])) == sorted(words)


async def test_the_columns_of_messages_are_the_fields_of_message_in_order(made: Path) -> None:
    columns = [name for _, name, *_ in asked(made, "PRAGMA table_info(messages)")]
    assert columns == [*Message.__struct_fields__, "trail", "shelf"]  # the last two are no part of a message


async def test_the_file_is_sound_after_use(made: Path) -> None:
    assert asked(made, "PRAGMA integrity_check") == [("ok",)]
    assert asked(made, "PRAGMA journal_mode") == [("wal",)]


# --- the disk under it -----------------------------------------------------------------------------------------------


class DiskFile(apsw.VFSFile):
    """One file of SQLite's, seen by the disk."""

    def __init__(self, disk: "Disk", name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("unix", name, flags)
        self._disk = disk
        filename = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._is_log = filename is not None and filename.endswith("-wal")

    def xWrite(self, data: bytes, offset: int) -> None:
        if self._is_log:
            if self._disk.is_full:
                raise apsw.FullError("no space left on device")
            self._disk.unsynced = True
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        if self._is_log:
            self._disk.unsynced = False
            self._disk.syncs += 1


class Disk(apsw.VFS):
    """Watches the write-ahead log: what was written and not synced, how many syncs there were; can be full."""

    def __init__(self) -> None:
        super().__init__("disk", "unix", makedefault=True)
        self.is_full = False
        self.unsynced = False
        self.syncs = 0

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        return DiskFile(self, name, flags)


@pytest.fixture
def disk() -> Iterator[Disk]:
    """Put a watched disk under every file that is opened from now on."""
    watched = Disk()
    yield watched
    watched.unregister()


@pytest.fixture
async def store(disk: Disk, path: Path) -> AsyncIterator[SqliteStore]:
    """Give an open and empty store on the watched disk."""
    async with opened(path) as fresh:
        yield fresh


def refuse_to_decide(due: Due) -> Decision:
    raise ZeroDivisionError("the facts could not be used")


Write = Callable[[Store], Awaitable[object]]
WRITES: dict[str, Write] = {
    "add": lambda s: add(s, a_message(50)),
    "cancel": lambda s: s.cancel(ACCOUNT, [sid_of(1)], AT),
    "reschedule": lambda s: s.reschedule(ACCOUNT, sid_of(1), Reschedule(later(99), FAR), AT),
    "dispatch": lambda s: s.dispatch([sid_of(1)], assign(), AT),
    "claim": lambda s: s.claim([sid_of(2)], RUN, [("PN1", AT)], AT),
    "record handed": lambda s: s.record([Handed(sid_of(3), CONNECTION, "r")], RUN, AT),
    "record failed": lambda s: s.record([Failed(sid_of(3), 30008)], RUN, AT),
    "apply receipts": lambda s: s.apply_receipts([receipt(sid_of(4), Event.DELIVER)], AT),
    "add inbound": lambda s: s.add_inbound(
        [an_inbound_message(51)], [OptOutChange(ACCOUNT, SERVICE, RECIPIENT, 7, True)], AT
    ),
    "settle callbacks": lambda s: s.settle_callbacks([Settled(later(0), f"{sid_of(2)}:2:queued", None)]),
    "amend": lambda s: s.amend(ACCOUNT, sid_of(4), Amendment(redact=True), AT),
    "delete": lambda s: s.delete(ACCOUNT, sid_of(4)),
    "add media": lambda s: s.add_media([a_medium(1)], [b"bytes"]),
    "put": lambda s: s.put(a_sender(1)),
    "remove": lambda s: s.remove(SERVICE),
}


async def fill(store: Store) -> None:
    """Put a message into each of the statuses that WRITES work on."""
    statuses = {1: Status.SCHEDULED, 2: Status.QUEUED, 3: Status.SENDING, 4: Status.SENT}
    for number, status in statuses.items():
        await bring(store, a_message(number), status)
    await store.put(a_service())


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
async def test_a_change_is_synced_before_it_is_answered(store: SqliteStore, disk: Disk, write: Write) -> None:
    await fill(store)
    before, syncs = await everything(store), disk.syncs
    await write(store)
    assert not disk.unsynced
    assert disk.syncs > syncs
    if write is not WRITES["add media"]:
        assert await everything(store) != before


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
async def test_a_full_disk_is_said_and_nothing_is_changed(
    store: SqliteStore, disk: Disk, path: Path, write: Write
) -> None:
    await fill(store)
    before = await everything(store)
    disk.is_full = True
    for _ in range(2):
        with pytest.raises(StoreFull, match=rf"{re.escape(str(path))}.*free"):
            await write(store)
        assert await everything(store) == before
    disk.is_full = False
    await write(store)
    if write is not WRITES["add media"]:
        assert await everything(store) != before


async def test_a_full_disk_is_said_to_everybody_who_shared_the_transaction(store: SqliteStore, disk: Disk) -> None:
    await fill(store)
    before = await everything(store)
    disk.is_full = True
    told = await asyncio.gather(*(write(store) for write in WRITES.values()), return_exceptions=True)
    assert [type(answer) for answer in told] == [StoreFull] * len(WRITES)
    disk.is_full = False
    assert await everything(store) == before
    assert await add(store, a_message(99)) == [Added()]


@pytest.fixture
def page_limit(path: Path) -> Iterator[Callable[[int], None]]:
    """Let the file hold few pages, so that SQLite finds no room within a statement; call it with another limit."""
    connections: list[apsw.Connection] = []

    def limit(connection: apsw.Connection) -> None:
        connections.append(connection)
        connection.pragma("max_page_count", 60)

    def change(pages: int) -> None:
        for connection in connections:
            connection.pragma("max_page_count", pages)

    apsw.connection_hooks.append(limit)
    yield change
    apsw.connection_hooks.remove(limit)


async def test_a_file_that_may_not_grow_is_a_full_disk(path: Path, page_limit: Callable[[int], None]) -> None:
    async with opened(path) as store:
        await fill(store)
        before = await everything(store)
        large = [a_message(100 + n, body="x" * 1600) for n in range(2_000)]
        asked_at_once = [add(store, *large), add(store, a_message(5)), store.put(a_sender(1))]
        told = await asyncio.gather(*asked_at_once, return_exceptions=True)
        assert isinstance(told[0], StoreFull)
        # Who shared its transaction was told the same; who did not was answered. Nobody was told what is not so.
        kept = [answer for answer in told[1:] if not isinstance(answer, BaseException)]
        assert all(isinstance(answer, StoreFull) for answer in told[1:] if isinstance(answer, BaseException))
        assert (await everything(store) == before) is (not kept)
        assert await store.message(ACCOUNT, sid_of(100)) is None
        page_limit(1_000_000)
        assert await add(store, *large) == [Added()] * len(large)


# --- durability ------------------------------------------------------------------------------------------------------


async def test_what_was_answered_survives_kill_9(path: Path) -> None:
    async with child(path, "adds") as process:
        said = await killed_after(process, 200)
    assert len(said) >= 200
    async with opened(path) as store:
        due = {timer.sid for timer in await timers(store)}
        for number in said:
            assert await store.message(ACCOUNT, sid_of(number)) == a_message(number)
            assert sid_of(number) in due
    assert asked(path, "PRAGMA integrity_check") == [("ok",)]


async def test_a_cancel_that_was_answered_survives_kill_9(path: Path) -> None:
    async with child(path, "cancels") as process:
        said = await killed_after(process, 100)
    async with opened(path) as store:
        for number in said:
            assert (await read(store, a_message(number))).status is Status.CANCELED
        assert await store.dispatch([sid_of(number) for number in said], assign(), AT) == []
        assert {sid_of(number) for number in said} <= {row.message_sid for row in await callbacks(store)}


async def test_what_is_only_in_the_log_is_there_after_a_power_cut(path: Path, tmp_path: Path) -> None:
    async with opened(path) as store:
        await fill(store)
        await store.cancel(ACCOUNT, [sid_of(1)], AT)
        before = await everything(store)
        # The files as they lie on the disk this moment: not closed, not checkpointed, without the shared memory.
        found = tmp_path / "found" / "postdate.db"
        for suffix in ("", "-wal"):
            write(found.with_name(found.name + suffix), content(path.with_name(path.name + suffix)))
        assert content(found.with_name(found.name + "-wal"))
    async with opened(found) as again:
        assert await everything(again) == before


async def test_everything_is_there_after_closing(path: Path) -> None:
    async with opened(path) as store:
        await fill(store)
        before = await everything(store)
    async with opened(path) as again:
        assert await everything(again) == before


async def test_closing_finishes_what_is_under_way(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    *added, _ = await asyncio.gather(*(add(store, a_message(n)) for n in range(50)), store.close())
    assert added == [[Added()]] * 50
    async with opened(path) as again:
        assert len(await timers(again)) == 50


async def test_a_caller_that_goes_away_does_not_take_its_change_back(store: SqliteStore) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await add(store, a_message(1))
    await add(store, a_message(2))
    assert [timer.sid for timer in await timers(store)] == [sid_of(1), sid_of(2)]
    assert store.idle


NO_TEXT = UnicodeEncodeError

# --- shared transactions ---------------------------------------------------------------------------------------------


async def test_many_at_once_share_few_transactions(store: SqliteStore, disk: Disk) -> None:
    await fill(store)
    before = disk.syncs
    results = await asyncio.gather(*(add(store, a_message(100 + n)) for n in range(300)))
    assert results == [[Added()]] * 300
    assert disk.syncs - before < 60
    assert not disk.unsynced


async def test_a_piece_that_fails_does_not_harm_its_neighbours(store: SqliteStore, disk: Disk) -> None:
    await fill(store)
    pieces: list[tuple[Awaitable[object], type[Exception] | None]] = []
    for n in range(100, 200, 10):
        pieces += [
            (add(store, a_message(n)), None),
            (store.put(a_sender(n)), None),
            # Another with its address; a SID that is taken behind one that is not; a decision that fails; no text.
            (store.put(a_sender(n + 1, address=a_sender(n).address)), AlreadyExists),
            (add(store, a_message(n + 2), a_message(n)), AlreadyExists),
            (store.dispatch([sid_of(n)], refuse_to_decide, AT), ZeroDivisionError),
            (add(store, a_message(n + 3), a_message(n + 4, body="\ud83d")), NO_TEXT),
            # It has written a message already when it meets what is no text.
            (
                store.add_inbound([an_inbound_message(n + 6)], [OptOutChange(ACCOUNT, "\ud83d", "", 7, True)], AT),
                NO_TEXT,
            ),
            (store.cancel(ACCOUNT, [sid_of(n)], AT), None),
            (add(store, a_message(n + 5)), None),
        ]
    before = disk.syncs
    told = await asyncio.gather(*(piece for piece, _ in pieces), return_exceptions=True)
    assert disk.syncs - before < len(pieces) / 2, "they did not share"
    for answer, (_, expected) in zip(told, pieces, strict=True):
        assert isinstance(answer, expected or object)
        assert expected is not None or not isinstance(answer, BaseException)
    found = await store.messages(MessageQuery(account_sid=ACCOUNT, limit=1_000))
    fresh = {m.sid: m.status for m in found if m.sid > sid_of(99)}
    added = {sid_of(n): Status.CANCELED for n in range(100, 200, 10)}
    assert fresh == added | {sid_of(n + 5): Status.SCHEDULED for n in range(100, 200, 10)}
    assert {r.sid for r in await store.resources()} == {SERVICE, *(a_sender(n).sid for n in range(100, 200, 10))}


async def test_a_piece_alone_that_fails_leaves_the_store_usable(store: SqliteStore) -> None:
    await fill(store)
    before = await everything(store)
    for failing, expected in (
        (add(store, a_message(5), a_message(1)), AlreadyExists),
        (store.dispatch([sid_of(1)], refuse_to_decide, AT), ZeroDivisionError),
    ):
        with pytest.raises(expected):
            await failing
        assert await everything(store) == before
    assert await add(store, a_message(6)) == [Added()]


async def test_a_reader_sees_what_was_answered(store: SqliteStore) -> None:
    for number in range(50):
        await add(store, a_message(number))
        assert await store.message(ACCOUNT, sid_of(number)) is not None


async def test_the_cap_holds_across_shared_transactions(store: SqliteStore) -> None:
    async def one(number: int) -> bool:
        await store.add([new(a_message(number), cap=10)], START)
        await store.cancel(ACCOUNT, [sid_of(number)], Instant(START + number))
        return await store.message(ACCOUNT, sid_of(number)) is not None

    await asyncio.gather(*(one(n) for n in range(40)))
    results = await store.add([new(a_message(100 + n), cap=10) for n in range(12)], START)
    assert results.count(Added()) == 10


def is_idle(store: SqliteStore) -> bool:
    return store.idle


async def test_readers_do_not_wait_for_the_writer_and_idle_means_both(store: SqliteStore) -> None:
    await add(store, a_message(1))
    may_decide = threading.Event()

    def decide(due: Due) -> Decision:
        may_decide.wait(timeout=20)
        return Fetch()

    assert is_idle(store)
    dispatch = asyncio.create_task(store.dispatch([sid_of(1)], decide, AT))
    assert await store.message(ACCOUNT, sid_of(1)) == a_message(1)
    assert not is_idle(store)
    may_decide.set()
    await dispatch
    assert is_idle(store)


async def test_all_that_one_reading_looks_at_is_of_one_moment(store: SqliteStore, path: Path) -> None:
    readers, looked, written = Readers(path), threading.Event(), threading.Event()

    def count(db: apsw.Connection) -> int:
        ((found,),) = db.execute("SELECT count(*) FROM messages")
        assert isinstance(found, int)
        return found

    def look_twice(db: apsw.Connection) -> tuple[int, int]:
        before = count(db)
        looked.set()
        written.wait(timeout=20)
        return before, count(db)

    try:
        reading = asyncio.create_task(readers.run(look_twice))
        await asyncio.to_thread(looked.wait, 20)
        await add(store, a_message(1))
        written.set()
        assert await reading == (0, 0)
        assert await readers.run(count) == 1
    finally:
        await readers.close()


@pytest.mark.parametrize("how", ["redacted", "deleted"])
async def test_what_is_redacted_or_deleted_is_not_left_in_the_file(tmp_path: Path, how: str) -> None:
    path = tmp_path / "postdate.db"
    store = SqliteStore(path)
    await store.open()
    words = [f"Private words of {number}, which nobody shall find" for number in range(40)]
    messages = [a_message(number, body=body) for number, body in enumerate(words, start=1)]
    for message in messages:
        await bring(store, message, Status.DELIVERED)
    gone = messages[::2]
    for message in gone:
        if how == "redacted":
            await store.amend(ACCOUNT, message.sid, Amendment(redact=True), later(1))
        else:
            assert await store.delete(ACCOUNT, message.sid)
    await store.close()  # which moves everything from the log into the file
    left = path.read_bytes()
    assert [words[n] for n in range(0, 40, 2) if words[n].encode() in left] == []
    assert all(words[n].encode() in left for n in range(1, 40, 2))
