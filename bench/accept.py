"""Durable creates over HTTP, beside the trivial route of the same web server in the same minutes."""

from contextlib import closing
from pathlib import Path
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


def measure(plan: Plan) -> list[Figure]:
    """Return the rate of creates, the rate of the trivial route, their ratio, and the latency of a lone client."""
    rates: list[float] = []
    trivial_rates: list[float] = []
    alone: list[Loaded] = []
    for number in range(plan.runs):
        plan.say(f"accept, run {number + 1} of {plan.runs}: the trivial route, then creates")
        trivial_rates.append(_trivial(plan))
        busy, lone = _creates(plan)
        rates.append(busy.per_second)
        alone.append(lone)
    trivial_rate = Yardstick("trivial route", sum(trivial_rates) / len(trivial_rates))
    sync = Yardstick("fdatasync", plan.fdatasync_ms)
    ratios = tuple(rate / trivial for rate, trivial in zip(rates, trivial_rates, strict=True))
    return [
        Figure(PART, f"durable creates, {CONNECTIONS} connections", "/s", tuple(rates), yardstick=trivial_rate),
        Figure(PART, f"trivial route, {CONNECTIONS} connections", "/s", tuple(trivial_rates)),
        Figure(PART, "creates : trivial route", "", ratios, Target(RATIO, at_most=False)),
        Figure(PART, "create, 1 connection, p50", "ms", tuple(one.p50_ms for one in alone), yardstick=sync),
        Figure(PART, "create, 1 connection, p99", "ms", tuple(one.p99_ms for one in alone), yardstick=sync),
    ]


def _trivial(plan: Plan) -> float:
    with Child("trivial") as server:
        seen = load.run(Load(server.hear()["port"], CONNECTIONS, plan.load_seconds))
    _insist_all_answered(seen)
    return seen.per_second


def _creates(plan: Plan) -> tuple[Loaded, Loaded]:
    """Return what 64 clients saw and what one alone saw; what they were told is then counted on disk."""
    with TemporaryDirectory(dir=plan.folder) as data:
        server = Child("serve", data=data)
        try:
            told = server.hear()
            place = Place(told["account"], told["token"], told["service"])
            alone = load.run(Load(told["port"], 1, plan.alone_seconds, place))
            busy = load.run(Load(told["port"], CONNECTIONS, plan.load_seconds, place))
        finally:
            server.kill()  # as a crash: what was answered has to be on disk already
        _insist_all_answered(alone)
        _insist_all_answered(busy)
        _insist_on_disk(Path(data), alone.requests + busy.requests)
    return busy, alone


def _insist_all_answered(seen: Loaded) -> None:
    if seen.refused or seen.broken:
        raise ChildFailed(f"{seen.refused} requests were refused and {seen.broken} broke: this run measures nothing")


def _insist_on_disk(data: Path, answered: int) -> None:
    """Compare the rows with the answers; at the end of a run each connection had one more request under way."""
    with closing(apsw.Connection(str(data / "postdate.db"))) as db:
        rows = next(iter(db.execute("SELECT count(*) FROM messages")))[0]
        timers = next(iter(db.execute("SELECT count(*) FROM timers")))[0]
    if not answered <= rows <= answered + CONNECTIONS + 1 or timers != rows:
        raise ChildFailed(f"{answered} creates were answered 201, but {rows} messages and {timers} timers are on disk")
