"""How late messages are handed over: a steady thousand a second, and ten thousand at one instant."""

from contextlib import ExitStack
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

from bench.child import Child
from bench.figures import Figure, Target, Yardstick
from bench.machine import bare_claim_seconds
from bench.plan import Plan
from postdate.core.instant import MILLISECOND, SECOND

LATENESS = "lateness"
BURST = "burst"
PER_SECOND = 1_000
P99_MS = 15
BURST_SECONDS = 0.6
_LEAD = 3  # seconds before the first is due, and one more for each thousand messages that are accepted first
_ACCEPTED_PER_SECOND = 2_000


@dataclass(frozen=True, slots=True)
class Case:
    """One row: who sends, what the carrier reports, and whether the customer is told."""

    name: str
    receipts: str = "none"
    callbacks: bool = False
    senders: int = 1
    mps: float = 0
    target: bool = True


STEADY = (
    Case("one unlimited sender, no receipts"),
    Case("20 senders of 100 mps, no receipts", senders=20, mps=100),
    Case("one unlimited sender, receipts", receipts="default"),
    Case("one unlimited sender, receipts and callbacks", receipts="default", callbacks=True),
)
AT_ONCE = (
    Case("receipts 0.5 to 2 s later", receipts="default"),
    Case("receipts at once", receipts="at once", target=False),
    Case("receipts and callbacks", receipts="default", callbacks=True, target=False),
)


def lateness(plan: Plan) -> list[Figure]:
    """Return how late a steady thousand a second is handed over."""
    figures: list[Figure] = []
    sync = Yardstick("fdatasync", plan.fdatasync_ms)
    for case in STEADY:
        told = _runs(plan, LATENESS, case, PER_SECOND * plan.due_seconds, SECOND // PER_SECOND)
        target = Target(P99_MS) if case.target else None
        figures += [
            Figure(LATENESS, "p99", "ms", _each(told, "p99"), target, sync, case.name),
            Figure(LATENESS, "p50", "ms", _each(told, "p50"), None, sync, case.name),
            Figure(LATENESS, "latest", "ms", _each(told, "last"), None, sync, case.name),
            _earliest(LATENESS, told, case),
            Figure(LATENESS, "processor per message", "µs", tuple(t["processor"] for t in told), note=case.name),
        ]
        figures += _callbacks(LATENESS, told, case)
    return figures


def burst(plan: Plan) -> list[Figure]:
    """Return how long ten thousand take that are due at one instant."""
    plan.say("burst: SQLite alone, claiming as many rows")
    claims = tuple(bare_claim_seconds(plan.folder, plan.burst) for _ in range(plan.runs))
    bare = Figure(BURST, f"SQLite alone claims {plan.burst:,} rows", "s", claims)
    yardstick = Yardstick("SQLite alone", bare.value)
    figures = [bare]
    for case in AT_ONCE:
        told = _runs(plan, BURST, case, plan.burst, 0)
        target = Target(BURST_SECONDS) if case.target else None
        handed = tuple(t["last"] / SECOND for t in told)
        delivered = tuple(t["all_delivered"] / SECOND for t in told)
        figures += [
            Figure(BURST, f"last of {plan.burst:,} handed over", "s", handed, target, yardstick, case.name),
            Figure(BURST, "all delivered", "s", delivered, None, yardstick, case.name),
            _earliest(BURST, told, case),
            Figure(BURST, "processor per message", "µs", tuple(t["processor"] for t in told), note=case.name),
            *_callbacks(BURST, told, case),
        ]
    return figures


def _earliest(part: str, told: list[dict[str, Any]], case: Case) -> Figure:
    never = Target(0, at_most=False)
    return Figure(part, "earliest", "ms", _each(told, "first"), never, None, case.name, in_every_run=True)


def _each(told: list[dict[str, Any]], name: str) -> tuple[float, ...]:
    return tuple(one[name] / MILLISECOND for one in told)


def _runs(plan: Plan, part: str, case: Case, count: int, gap: int) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    for number in range(plan.runs):
        plan.say(f"{part}, run {number + 1} of {plan.runs}: {case.name}")
        told.append(_send(plan, case, count, gap))
    return told


def _callbacks(part: str, told: list[dict[str, Any]], case: Case) -> list[Figure]:
    """Return what the customer was told by the time the node had stopped: at least once is promised, once is wanted."""
    if not case.callbacks:
        return []
    once = tuple(float(t["distinct"]) for t in told)
    again = tuple(float(t["calls"] - t["distinct"]) for t in told)
    return [
        Figure(part, "callbacks, without repeats, when the last receipt was in", "", once, note=case.name),
        Figure(part, "callbacks repeated", "", again, Target(0), None, case.name, in_every_run=True),
    ]


def _send(plan: Plan, case: Case, count: int, gap: int) -> dict[str, Any]:
    lead = _LEAD + count // _ACCEPTED_PER_SECOND
    with ExitStack() as stack:
        data = stack.enter_context(TemporaryDirectory(dir=plan.folder))
        arguments = {"data": data, "count": count, "gap": gap, "lead": lead, "senders": case.senders, "mps": case.mps}
        if not case.callbacks:
            node = stack.enter_context(Child("send", receipts=case.receipts, callback=None, **arguments))
            return node.hear()
        customer = stack.enter_context(Child("customer"))
        callback = f"http://127.0.0.1:{customer.hear()['port']}/status"
        with Child("send", receipts=case.receipts, callback=callback, **arguments) as node:
            told = node.hear()
        return told | customer.last_words()
