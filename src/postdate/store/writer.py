"""The one thread that writes the SQLite file, and the connections that read beside it.

Whatever waits when the thread comes round shares one transaction and one fsync; a piece of work that fails is rolled
back alone. Results are given out only after the commit. The pieces are few large statements, because each statement
gives up the interpreter's lock once (`docs/decisions/0003`).
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import apsw

from postdate.store.contract import AlreadyExists, CallbackRow, StoreFull, StoreUnavailable

T = TypeVar("T")
Work = Callable[[apsw.Connection], Any]
_Job = tuple[Work, "asyncio.Future[Any]"]

_BUSY_MS = 5_000
_PAGE = 8_192  # a message is about 500 bytes: a B-tree page holds a dozen of them
_CACHE_KIB = 32 * 1024
_CHECKPOINT_PAGES = 2_000
_READERS = 2


def connect(path: Path, *, writer: bool) -> apsw.Connection:
    """Open the file as the writer or as a reader."""
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE if writer else apsw.SQLITE_OPEN_READONLY
    connection = apsw.Connection(str(path), flags=flags)
    connection.set_busy_timeout(_BUSY_MS)
    if writer:
        connection.pragma("page_size", _PAGE)
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "FULL")
        connection.pragma("wal_autocheckpoint", _CHECKPOINT_PAGES)
        connection.pragma("secure_delete", True)  # what is redacted or deleted is overwritten
    connection.pragma("cache_size", -_CACHE_KIB)
    connection.pragma("temp_store", "memory")  # what a savepoint may have to undo: else a file for each large one
    return connection


def as_store_error(error: Exception, path: Path) -> Exception:
    """Return what the flow is told: an error of SQLite in its terms, with what to do; any other as it is."""
    if not isinstance(error, apsw.Error):
        return error
    if isinstance(error, apsw.FullError):
        return StoreFull(f"no room on the disk of {path}: free some space; nothing was changed")
    if isinstance(error, apsw.ConstraintError):
        return AlreadyExists("another resource has this unique key")
    return StoreUnavailable(f"{path}: {error}; nothing was changed")


class Writer:
    """Runs work on the writing connection, in batches, off the event loop."""

    def __init__(self, path: Path, on_news: Callable[[Sequence[CallbackRow]], None]) -> None:
        self._path = path
        self._on_news = on_news
        self._connection = connect(path, writer=True)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="postdate-writer")
        self.in_flight = 0  # written by the event loop only
        self.news: list[CallbackRow] = []  # what the present transaction wrote to the outbox; the thread's own
        self._thread.start()

    async def run(self, work: Callable[[apsw.Connection], T]) -> T:
        """Return what `work` returned, once it is on disk."""
        done: asyncio.Future[T] = self._loop.create_future()
        self.in_flight += 1
        self._jobs.put((work, done))
        # A caller that goes away does not take the work back: it may be committed already.
        return await asyncio.shield(done)

    async def close(self) -> None:
        """Finish what is queued, then close."""
        self._jobs.put(None)
        await self._loop.run_in_executor(None, self._thread.join)

    def _run(self) -> None:
        open_ = True
        while open_:
            batch: list[_Job] = []
            job = self._jobs.get()
            while job is not None:
                batch.append(job)
                if self._jobs.empty():
                    break
                job = self._jobs.get()
            open_ = job is not None
            if batch:
                self._transact(batch)
        self._connection.close()

    def _transact(self, batch: list[_Job]) -> None:
        db = self._connection
        try:
            db.execute("BEGIN IMMEDIATE")
            results = [(done, self._one(work, alone=len(batch) == 1)) for work, done in batch]
            db.execute("COMMIT")
        except Exception as error:  # noqa: BLE001  whoever waits for this transaction hears of it; the thread goes on
            if db.in_transaction:
                db.execute("ROLLBACK")
            results = [(done, as_store_error(error, self._path)) for _, done in batch]
            self.news = []
        news, self.news = self.news, []
        self._loop.call_soon_threadsafe(self._settle, results, news)

    def _one(self, work: Work, alone: bool) -> Any:
        """Run one piece; return its result, or the exception that it alone has to hear of."""
        db = self._connection
        if alone:  # the usual case: the transaction itself is its savepoint
            return work(db)
        told = len(self.news)
        db.execute("SAVEPOINT piece")
        try:
            result = work(db)
        except (apsw.FullError, apsw.IOError):
            raise  # SQLite may have rolled back the whole transaction
        except Exception as error:  # noqa: BLE001  a piece that fails must not fail its neighbours
            db.execute("ROLLBACK TO piece")
            del self.news[told:]
            result = as_store_error(error, self._path)
        db.execute("RELEASE piece")
        return result

    def _settle(self, results: list[tuple[asyncio.Future[Any], Any]], news: list[CallbackRow]) -> None:
        if news:
            self._on_news(news)
        for done, result in results:
            self.in_flight -= 1
            if done.cancelled():
                continue
            if isinstance(result, BaseException):
                done.set_exception(result)
            else:
                done.set_result(result)


class Readers:
    """A few connections for reading, each on a thread of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._opened: list[apsw.Connection] = []
        self._pool = ThreadPoolExecutor(_READERS, thread_name_prefix="postdate-reader")
        self.in_flight = 0

    async def run(self, work: Callable[[apsw.Connection], T]) -> T:
        """Return what `work` returned on a consistent snapshot."""
        self.in_flight += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._one, work)
        except apsw.Error as error:
            raise as_store_error(error, self._path) from error
        finally:
            self.in_flight -= 1

    async def close(self) -> None:
        """Close every connection."""
        await asyncio.get_running_loop().run_in_executor(None, self._pool.shutdown)
        for connection in self._opened:
            connection.close()

    def _one(self, work: Callable[[apsw.Connection], T]) -> T:
        connection: apsw.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = connect(self._path, writer=False)
            self._local.connection = connection
            self._opened.append(connection)
        connection.execute("BEGIN")  # or each statement would see a moment of its own
        try:
            return work(connection)
        finally:
            connection.execute("COMMIT")
