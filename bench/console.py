"""How long people wait for what the console shows, with a million messages of every status in the store."""

from tempfile import TemporaryDirectory

from bench.child import Child
from bench.figures import Figure, Target
from bench.plan import Plan

PART = "console"
PAGE_MS = 200.0
_RUNS = 5


def measure(plan: Plan) -> list[Figure]:
    """Return how long the store takes for a page of the log by each filter, for the agenda and for the overview."""
    figures: list[Figure] = []
    with TemporaryDirectory(dir=plan.folder) as data:
        told = _fill(plan, data)
        plan.say("console: asking for pages")
        with Child("look", data=data, runs=_RUNS, **told) as child:
            while (heard := child.hear())["name"] != "end":
                note = "searched as far as its bound" if heard["cut"] else ""
                figures.append(Figure(PART, heard["name"], "ms", tuple(heard["took"]), Target(PAGE_MS), note=note))
    return figures


def _fill(plan: Plan, data: str) -> dict[str, str]:
    with Child("fill mixed", data=data, count=plan.pending) as child:
        heard = child.hear()
        while "added" in heard:
            plan.progress("console: filling the store", heard["added"], plan.pending)
            heard = child.hear()
    return heard
