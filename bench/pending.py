"""What waiting costs: memory, processor and the way back after a crash, with a million messages pending."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.child import Child, ChildFailed
from bench.figures import Figure, Target, Yardstick
from bench.plan import Plan
from postdate.clock import SystemClock, breathe
from postdate.core.instant import DAY, SECOND, Instant

PART = "pending"
CPU_PERCENT = 1.0
MORE_MB = 50.0
RESTART_SECONDS = 3.0
_DUE_IN = DAY // SECOND
_OVER = 5 * DAY // SECOND


def measure(plan: Plan) -> list[Figure]:
    """Return what a node costs while it waits, and how soon it sends after a crash."""
    with TemporaryDirectory(dir=plan.folder) as empty, TemporaryDirectory(dir=plan.folder) as full:
        _fill(plan, empty, 0)
        rate = _fill(plan, full, plan.pending)
        with_none, with_all = _rounds(plan, empty, full)
        plan.say("pending: a crash, then the first message that was due meanwhile")
        restarts = tuple(_restart(full) for _ in range(plan.runs))
        restarts_empty = tuple(_restart(empty) for _ in range(plan.runs))
        size = sum(path.stat().st_size for path in Path(full).iterdir()) / 1e6
    none, many = "none", f"{plan.pending:,}"
    more = tuple(high.megabytes - low.megabytes for low, high in zip(with_none, with_all, strict=True))
    memory_none = Figure(PART, f"resident memory with {none}", "MB", tuple(one.megabytes for one in with_none))
    restart_none = Figure(PART, f"crash to first send with {none}", "s", restarts_empty)
    cpu_none = Figure(PART, f"processor while idle with {none}", "% of a core", tuple(o.percent for o in with_none))
    cpu = tuple(one.percent for one in with_all)
    beside = Yardstick("with none", cpu_none.value)
    return [
        Figure(PART, f"processor while idle with {many}", "% of a core", cpu, Target(CPU_PERCENT), beside),
        cpu_none,
        Figure(
            PART, f"resident memory with {many}", "MB", tuple(one.megabytes for one in with_all), None,
            Yardstick("with none", memory_none.value),
        ),
        memory_none,
        Figure(PART, "more memory than with none", "MB", more, Target(MORE_MB)),
        Figure(
            PART, f"crash to first send with {many}", "s", restarts, Target(RESTART_SECONDS),
            Yardstick("with none", restart_none.value),
        ),
        restart_none,
        Figure(PART, f"adding {many} to the store, {size:,.0f} MB on disk", "/s", (rate,)),
    ]  # fmt: skip


class _Idle:
    """What a node used while it waited."""

    def __init__(self, megabytes: float, percent: float) -> None:
        self.megabytes = megabytes
        self.percent = percent


def _fill(plan: Plan, data: str, count: int) -> float:
    """Add messages that are due in days; return how many a second went in."""
    clock = SystemClock()
    start = clock.monotonic()
    child = Child("fill", data=data, count=count, due_in=_DUE_IN, over=_OVER)
    added = 0
    try:
        while added < count:
            added = child.hear()["added"]
            plan.progress("pending: filling the store", added, count)
    finally:
        child.stop()
    return count / ((clock.monotonic() - start) / SECOND)


def _rounds(plan: Plan, empty: str, full: str) -> tuple[list[_Idle], list[_Idle]]:
    with_none: list[_Idle] = []
    with_all: list[_Idle] = []
    for number in range(plan.runs):
        plan.say(f"pending, run {number + 1} of {plan.runs}: idle with none, then with {plan.pending:,}")
        with_none.append(_idle(plan, empty))
        with_all.append(_idle(plan, full))
    return with_none, with_all


def _idle(plan: Plan, data: str) -> _Idle:
    clock = SystemClock()
    with Child("serve", data=data) as node:
        node.hear()
        asyncio.run(breathe(plan.settle_seconds))
        megabytes = node.resident_mb()
        start, used = clock.monotonic(), node.cpu_seconds()
        asyncio.run(breathe(plan.idle_seconds))
        elapsed = (clock.monotonic() - start) / SECOND
        return _Idle(megabytes, 100 * (node.cpu_seconds() - used) / elapsed)


def _restart(data: str) -> float:
    """Crash right after a message was added; return the time from the next start until that message is handed over."""
    child = Child("fill", data=data, count=1, due_in=0, over=0)
    child.hear()
    child.kill()
    start = SystemClock().now()
    node = Child("serve", data=data, tell_first=True)
    try:
        told = node.hear()
        while "handed_at" not in told:
            told = node.hear()
    finally:
        node.kill()
    handed_at = Instant(told["handed_at"])
    if handed_at < start:
        raise ChildFailed("handed over before it was started: the clock of this machine was set meanwhile")
    return (handed_at - start) / SECOND
