"""Two ways to wait by a clock: for some work, but not too long; and for time to pass."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from postdate.clock import Clock
from postdate.core.instant import Monotonic

_T = TypeVar("_T")


async def within(clock: Clock, span: int, work: Coroutine[Any, Any, _T]) -> _T:
    """Return what `work` returns; TimeoutError if it is not done within `span` microseconds."""
    task = asyncio.get_running_loop().create_task(work)
    late = False

    def give_up() -> None:
        nonlocal late
        late = task.cancel()

    timer = clock.call_at(Monotonic(clock.monotonic() + span), give_up)
    try:
        return await task
    except asyncio.CancelledError:
        if late:
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()
        task.cancel()


async def pause(clock: Clock, span: int) -> None:
    """Return after `span` microseconds."""
    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end() -> None:
        if not over.done():
            over.set_result(None)

    timer = clock.call_at(Monotonic(clock.monotonic() + span), end)
    try:
        await over
    finally:
        timer.cancel()
