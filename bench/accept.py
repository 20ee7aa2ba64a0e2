"""Durable creates over HTTP, beside the trivial route of the same web server in the same minutes.

Beside the rates stands the processor time that one request takes of the event loop's thread: it says the same, and on a
machine that is shared with others it says it more steadily.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import apsw

from bench import load
from bench.child import Child, ChildFailed
from bench.figures import Figure, Target, Yardstick
from bench.load import Load, Loaded
from bench.plan import Plan
from bench.watching import Place

PART = "accept"
CONNECTIONS = 64
RATIO = 0.183  # 5,500 creates a second where the trivial route does 30,000
_MICRO = 1e6


@dataclass(frozen=True, slots=True)
class _Run:
    """What many clients saw, and what it took of the server, in microseconds of processor time for each request."""

    seen: Loaded
    loop: float
    other_threads: float


def measure(plan: Plan) -> list[Figure]:
    """Return the rate of creates, the rate of the trivial route, their ratio, and the latency of a lone client."""
    trivial: list[_Run] = []
    creates: list[_Run] = []
    alone: list[Loaded] = []
    for number in range(plan.runs):
        plan.say(f"accept, run {number + 1} of {plan.runs}: the trivial route, then creates")
        trivial.append(_trivial(plan))
        busy, lone = _creates(plan)
        creates.append(busy)
        alone.append(lone)
    pairs = list(zip(creates, trivial, strict=True))
    ratios = tuple(one.seen.per_second / other.seen.per_second for one, other in pairs)
    by_processor = tuple(other.loop / one.loop for one, other in pairs)
    return [
        Figure(PART, f"durable creates, {CONNECTIONS} connections", "/s", _rates(creates)),
        Figure(PART, f"trivial route, {CONNECTIONS} connections", "/s", _rates(trivial)),
        Figure(PART, "creates : trivial route", "", ratios, Target(RATIO, at_most=False)),
        Figure(PART, "the same by processor time of the event loop", "", by_processor),
        *_costs(trivial, creates),
        *_latency(alone, Yardstick("fdatasync", plan.fdatasync_ms)),
    ]


def _rates(runs: Sequence[_Run]) -> tuple[float, ...]:
    return tuple(run.seen.per_second for run in runs)


def _costs(trivial: Sequence[_Run], creates: Sequence[_Run]) -> list[Figure]:
    least = Yardstick("trivial route", median(run.loop for run in trivial))
    return [
        Figure(PART, "event loop per trivial request", "µs", tuple(run.loop for run in trivial)),
        Figure(PART, "event loop per create", "µs", tuple(run.loop for run in creates), None, least),
        Figure(PART, "other threads per create", "µs", tuple(run.other_threads for run in creates), None, least),
    ]


def _latency(alone: Sequence[Loaded], sync: Yardstick) -> list[Figure]:
    return [
        Figure(PART, "create, 1 connection, p50", "ms", tuple(one.p50_ms for one in alone), None, sync),
        Figure(PART, "create, 1 connection, p99", "ms", tuple(one.p99_ms for one in alone), None, sync),
    ]


def _trivial(plan: Plan) -> _Run:
    with Child("trivial") as server:
        return _busy(server, Load(server.hear()["port"], CONNECTIONS, plan.load_seconds))


def _creates(plan: Plan) -> tuple[_Run, Loaded]:
    """Return what many clients saw and what one alone saw; what they were told is then counted on disk."""
    with TemporaryDirectory(dir=plan.folder) as data:
        server = Child("serve", data=data)
        try:
            told = server.hear()
            place = Place(told["account"], told["token"], told["service"])
            alone = load.run(Load(told["port"], 1, plan.alone_seconds, place))
            busy = _busy(server, Load(told["port"], CONNECTIONS, plan.load_seconds, place))
        finally:
            server.kill()  # as a crash: what was answered has to be on disk already
        _insist_all_answered(alone)
        _insist_on_disk(Path(data), alone.requests + busy.seen.requests)
    return busy, alone


def _busy(server: Child, wanted: Load) -> _Run:
    loop, everything = server.loop_seconds(), server.cpu_seconds()
    seen = load.run(wanted)
    _insist_all_answered(seen)
    loop, everything = server.loop_seconds() - loop, server.cpu_seconds() - everything
    return _Run(seen, loop * _MICRO / seen.requests, (everything - loop) * _MICRO / seen.requests)


def _insist_all_answered(seen: Loaded) -> None:
    if seen.refused or seen.broken or not seen.requests:
        raise ChildFailed(f"{seen.refused} requests were refused and {seen.broken} broke: this run measures nothing")


def _insist_on_disk(data: Path, answered: int) -> None:
    """Compare the rows with the answers; at the end of a run each connection had one more request under way."""
    with closing(apsw.Connection(str(data / "postdate.db"))) as db:
        rows = next(iter(db.execute("SELECT count(*) FROM messages")))[0]
        timers = next(iter(db.execute("SELECT count(*) FROM timers")))[0]
    if not answered <= rows <= answered + CONNECTIONS + 1 or timers != rows:
        raise ChildFailed(f"{answered} creates were answered 201, but {rows} messages and {timers} timers are on disk")
