"""From the HTTP create to the customer's callback, with an SMSC on the same machine; and one sender's rate.

A message goes the whole way: created over HTTP, on disk, handed to the SMSC over one SMPP link, answered, reported
delivered, and the customer told of both, signed. Everything shares the machine's processors: the load, the node, the
SMSC and the customer's server. What each of them costs stands beside the rate.

Where Kannel is installed it goes the same way in the same minutes, and we are held to so many times what it does: this
machine's speed changes from hour to hour, so a figure of another hour compares nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import apsw

from bench import kannel, load
from bench.child import Child, ChildFailed
from bench.figures import Figure, Target, Yardstick
from bench.load import Load
from bench.plan import Plan
from bench.watching import Place
from postdate.clock import SystemClock
from postdate.core.instant import MILLISECOND, SECOND

PART = "carriers"
CONNECTIONS = 128
IN_FLIGHT = 100
RATE = 20
_RATE_SECONDS = 15
_PATIENCE = 100  # words of the customer without news, before it is given up
_WAY = f"receipts and callbacks, {IN_FLIGHT} in flight"


@dataclass(frozen=True, slots=True)
class _Run:
    """One run: messages a second, and processor seconds of each process for a thousand messages."""

    per_second: float
    calls: int
    node: float
    loop: float
    smsc: float
    customer: float
    trivial: float


@dataclass(frozen=True, slots=True)
class _Round:
    """Everything once: our way, and that of Kannel with each of its stores, where it is installed."""

    ours: _Run
    kannel: Mapping[str, kannel.Run]


def measure(plan: Plan) -> list[Figure]:
    """Return the rate and the cost of the whole way, of Kannel's too, and how well a sender's own rate is kept."""
    stores = kannel.STORES if not kannel.missing() else ()
    rounds = [_round(plan, number, stores) for number in range(plan.runs)]
    runs = [one.ours for one in rounds]
    each = {name: tuple(getattr(run, name) for run in runs) for name in _Run.__slots__}
    trivial = Figure(PART, "trivial route, same web server", "/s", each["trivial"])
    rate, processor = Yardstick("trivial route", trivial.value), None
    if stores:
        best = [one.kannel[kannel.BEST] for one in rounds]
        rate = Yardstick(f"Kannel, {kannel.BEST}", median(run.per_second for run in best))
        processor = Yardstick(rate.name, median(run.processor for run in best))
    figures = [
        Figure(PART, "created to told", "/s", each["per_second"], Target(2_500, at_most=False), rate, _WAY),
        Figure(PART, "processor of the node per 1,000", "s", each["node"], Target(0.6), processor, _WAY),
        Figure(PART, "of which its event loop", "s", each["loop"], note=_WAY),
        Figure(PART, "processor of the SMSC per 1,000", "s", each["smsc"], note=_WAY),
        Figure(PART, "processor of the customer per 1,000", "s", each["customer"], note=_WAY),
        trivial,
        Figure(PART, "created to told : trivial route", "", tuple(run.per_second / run.trivial for run in runs)),
    ]
    for store in stores:
        figures += _beside(store, runs, [one.kannel[store] for one in rounds])
    return figures + _paced(plan)


def _beside(store: str, ours: Sequence[_Run], kannels: Sequence[kannel.Run]) -> list[Figure]:
    """Return what Kannel did with a store, and what we did to that."""
    refused = sum(run.refused for run in kannels)
    note = f"{store}; {refused} creates refused" if refused else store
    rates = tuple(one.per_second / other.per_second for one, other in zip(ours, kannels, strict=True))
    costs = tuple(one.node / other.processor for one, other in zip(ours, kannels, strict=True))
    return [
        Figure(PART, "Kannel, created to told", "/s", tuple(run.per_second for run in kannels), note=note),
        Figure(PART, "Kannel, processor of bearerbox and smsbox per 1,000", "s",
               tuple(run.processor for run in kannels), note=note),
        Figure(PART, "Kannel, of which bearerbox", "s", tuple(run.bearerbox for run in kannels), note=note),
        Figure(PART, "created to told : Kannel's", "", rates, note=store),
        Figure(PART, "processor per message : Kannel's", "", costs, note=store),
    ]  # fmt: skip


def _round(plan: Plan, number: int, stores: Iterable[str]) -> _Round:
    ours = _run(plan, number)
    beside: dict[str, kannel.Run] = {}
    for store in stores:
        plan.say(f"carriers, run {number + 1} of {plan.runs}: Kannel, {store}")
        beside[store] = kannel.run(plan, store, CONNECTIONS, IN_FLIGHT)
    return _Round(ours, beside)


def _run(plan: Plan, number: int) -> _Run:
    plan.say(f"carriers, run {number + 1} of {plan.runs}: trivial route")
    with Child("trivial") as server:
        trivial = load.run(Load(server.hear()["port"], CONNECTIONS, plan.load_seconds)).per_second
    plan.say(f"carriers, run {number + 1} of {plan.runs}: the whole way")
    with ExitStack() as stack:
        data = Path(stack.enter_context(TemporaryDirectory(dir=plan.folder)))
        customer = stack.enter_context(Child("customers"))
        callback = f"http://127.0.0.1:{customer.hear()['port']}/status"
        smsc = stack.enter_context(Child("smsc"))
        node = stack.enter_context(Child("carry", data=str(data), smsc=smsc.hear()["port"], in_flight=IN_FLIGHT))
        told = node.hear()
        parts = (node, smsc, customer)
        before, loop = [part.cpu_seconds() for part in parts], node.loop_seconds()
        begun = SystemClock().monotonic()
        place = Place(told["account"], told["token"], "")
        seen = load.run(
            Load(told["port"], CONNECTIONS, plan.load_seconds, place, sender=told["sender"], callback=callback)
        )
        if seen.refused or seen.broken:
            raise ChildFailed(f"{seen.refused} creates were refused and {seen.broken} broke: this run measures nothing")
        count, calls, last_at = _all_told(customer, data, seen.requests)
        spent = [part.cpu_seconds() - one for part, one in zip(parts, before, strict=True)]
        loop = node.loop_seconds() - loop
        thousands = count / 1_000
        if calls != 2 * count:
            raise ChildFailed(f"{count} messages have {2 * count} callbacks, but {calls} came")
    return _Run(
        per_second=count * SECOND / (last_at - begun),
        calls=calls,
        node=spent[0] / thousands,
        loop=loop / thousands,
        smsc=spent[1] / thousands,
        customer=spent[2] / thousands,
        trivial=trivial,
    )


def _all_told(customer: Child, data: Path, answered: int) -> tuple[int, int, int]:
    """Return once all are told: how many messages there are, how many calls came, and when the last was delivered."""
    calls = quiet = delivered = count = 0
    while quiet < _PATIENCE:
        told = customer.hear()
        quiet = quiet + 1 if told["calls"] == calls else 0
        calls, delivered = told["calls"], told["delivered"]
        if quiet and delivered >= (count := _created(data, answered)):
            return count, calls, told["last_at"]
    raise ChildFailed(f"of {count} messages the customer was told of {delivered} only")


def _created(data: Path, answered: int) -> int:
    """Return how many messages there are: at the end each connection had one more request under way."""
    with closing(apsw.Connection(str(data / "postdate.db"))) as db:
        rows = int(next(iter(db.execute("SELECT count(*) FROM messages")))[0])
    if not answered <= rows <= answered + CONNECTIONS + 1:
        raise ChildFailed(f"{answered} creates were answered 201, but {rows} messages are on disk")
    return rows


def _paced(plan: Plan) -> list[Figure]:
    """Return how a sender's rate arrives at the SMSC: a thousand times as many wait as may go."""
    plan.say(f"carriers: a sender of {RATE} per second")
    expected = RATE * _RATE_SECONDS + 1
    with TemporaryDirectory(dir=plan.folder) as data, Child("smsc", expected=expected) as smsc:
        port = smsc.hear()["port"]
        with Child("carry", data=data, smsc=port, in_flight=IN_FLIGHT, mps=RATE, count=expected + RATE) as node:
            node.hear()
            told = smsc.hear()
    note = f"a sender of {RATE} per second, over {_RATE_SECONDS} s"
    rate = (told["count"] - 1) * SECOND / told["over"]
    even = SECOND / RATE / MILLISECOND
    return [
        Figure(PART, "handed over, worst second", "", (float(told["worst_second"]),), Target(RATE), None, note),
        Figure(PART, "rate", "/s", (rate,), Target(19.8, at_most=False), None, note),
        Figure(PART, "gap, p50", "ms", (told["gap_p50"] / MILLISECOND,), None, Yardstick("even", even), note),
        Figure(PART, "gap, p99", "ms", (told["gap_p99"] / MILLISECOND,), None, Yardstick("even", even), note),
    ]
