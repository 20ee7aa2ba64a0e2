"""The writing thread hands over what a transaction wrote to the outbox: all of what was committed, and nothing else."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from postdate.clock import breathe
from postdate.core.instant import Instant
from postdate.core.message import Status
from postdate.store.contract import CallbackRow, StoreFull
from postdate.store.writer import Writer

_PATIENCE = 10


def row(number: int) -> CallbackRow:
    """Return the row of that number."""
    return CallbackRow(
        Instant(number), f"id-{number}", "AC1", f"SM{number}", Status.SENT, "https://example.com/", 0, Instant(number),
        "+14155550100", "+14155550101", None, None,
    )  # fmt: skip


class Broken(Exception):
    """What a piece of work fails with."""


def writes(writer: Writer, number: int, error: Exception | None = None) -> Callable[[apsw.Connection], int]:
    """Return a piece of work that writes a row, and then fails if it should."""

    def work(_: apsw.Connection) -> int:
        writer.news.append(row(number))
        if error is not None:
            raise error
        return number

    return work


@pytest.mark.parametrize(
    ("error", "handed", "failures"),
    [
        pytest.param(None, [1, 2, 3], [], id="all committed"),
        pytest.param(Broken(), [1, 3], [Broken], id="one piece rolled back"),
        pytest.param(apsw.FullError(), [], [StoreFull] * 3, id="the transaction rolled back"),
    ],
)
async def test_only_what_is_committed_is_handed_over(
    tmp_path: Path, error: Exception | None, handed: list[int], failures: list[type[Exception]]
) -> None:
    given: list[CallbackRow] = []
    writer = Writer(tmp_path / "store.db", given.extend)
    busy, together = threading.Event(), threading.Event()

    def keep_busy(_: apsw.Connection) -> None:
        busy.set()
        together.wait(_PATIENCE)

    first = asyncio.create_task(writer.run(keep_busy))
    while not busy.is_set():
        await breathe()
    pieces = [asyncio.create_task(writer.run(writes(writer, n, error if n == 2 else None))) for n in (1, 2, 3)]
    await breathe()  # they are queued while the thread is busy, and so share one transaction
    together.set()
    results = await asyncio.gather(first, *pieces, return_exceptions=True)
    assert [one.due_at for one in given] == handed
    assert [type(one) for one in results if isinstance(one, Exception)] == failures
    await writer.run(writes(writer, 4))
    assert [one.due_at for one in given] == [*handed, 4], "what was rolled back is not handed over later either"
    await writer.close()
