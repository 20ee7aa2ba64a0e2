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
_TARGET = Target(0.183, at_most=False)  # 5,500 creates a second where the trivial route does 30,000
_MICRO = 1e6


@dataclass(frozen=True, slots=True)
class _Run:
    """What many clients saw, and what it took of the server, in microseconds of processor time for each request."""

    seen: Loaded
    loop: float
    other_threads: float


@dataclass(frozen=True, slots=True)
class _Round:
    """Everything once: two trivial routes without a node, one of a node, creates, and creates of a lone client."""

    plain: _Run
    trivial: _Run
    health: _Run
    creates: _Run
    alone: Loaded


def measure(plan: Plan) -> list[Figure]:
    """Return the rate of creates, the rates of trivial routes, their ratios, and the latency of a lone client."""
    rounds = [_round(plan, number) for number in range(plan.runs)]
    trivial = [one.trivial for one in rounds]
    creates = [one.creates for one in rounds]
    by_processor = tuple(one.trivial.loop / one.creates.loop for one in rounds)
    return [
        Figure(PART, f"durable creates, {CONNECTIONS} connections", "/s", _rates(creates)),
        Figure(PART, "trivial route, same web server", "/s", _rates(trivial)),
        Figure(PART, "trivial route, uvicorn as it comes", "/s", _rates([one.plain for one in rounds])),
        Figure(PART, "GET /health of the same node", "/s", _rates([one.health for one in rounds])),
        Figure(PART, "creates : trivial route, same web server", "", _ratios(creates, trivial), _TARGET),
        Figure(PART, "the same by processor time of the event loop", "", by_processor),
        Figure(PART, "creates : trivial route, uvicorn", "", _ratios(creates, [one.plain for one in rounds])),
        Figure(PART, "creates : GET /health", "", _ratios(creates, [one.health for one in rounds])),
        *_costs(trivial, creates),
        *_latency([one.alone for one in rounds], Yardstick("fdatasync", plan.fdatasync_ms)),
    ]


def _rates(runs: Sequence[_Run]) -> tuple[float, ...]:
    return tuple(run.seen.per_second for run in runs)


def _ratios(creates: Sequence[_Run], others: Sequence[_Run]) -> tuple[float, ...]:
    return tuple(one / other for one, other in zip(_rates(creates), _rates(others), strict=True))


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


def _round(plan: Plan, number: int) -> _Round:
    plan.say(f"accept, run {number + 1} of {plan.runs}: trivial routes")
    plain, trivial = _trivial(plan, plain=True), _trivial(plan)
    plan.say(f"accept, run {number + 1} of {plan.runs}: creates")
    with TemporaryDirectory(dir=plan.folder) as data:
        server = Child("serve", data=data)
        try:
            told = server.hear()
            port, place = told["port"], Place(told["account"], told["token"], told["service"])
            health = _busy(server, Load(port, CONNECTIONS, plan.load_seconds, path="/health"))
            alone = load.run(Load(port, 1, plan.alone_seconds, place))
            creates = _busy(server, Load(port, CONNECTIONS, plan.load_seconds, place))
        finally:
            server.kill()  # as a crash: what was answered has to be on disk already
        _insist_all_answered(alone)
        _insist_on_disk(Path(data), alone.requests + creates.seen.requests)
    return _Round(plain, trivial, health, creates, alone)


def _trivial(plan: Plan, plain: bool = False) -> _Run:
    with Child("trivial", plain=plain) as server:
        return _busy(server, Load(server.hear()["port"], CONNECTIONS, plan.load_seconds))


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
