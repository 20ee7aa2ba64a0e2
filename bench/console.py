"""How long people wait for what the console shows, with a million messages of every status in the store."""

import http.client
from tempfile import TemporaryDirectory
from typing import Any

from bench.child import Child
from bench.figures import Figure, Target
from bench.plan import Plan
from postdate.clock import SystemClock
from postdate.core.instant import MILLISECOND

PART = "console"
PAGE_MS = 200.0
_RUNS = 5
_PATHS = {
    "page: messaging logs": "/console/messages",
    "page: messaging logs, failed": "/console/messages?status=failed",
    "page: what goes out next": "/console/agenda",
    "page: overview": "/console",
}


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
        plan.say("console: asking for pages over HTTP")
        with Child("serve console", data=data, account=told["account"]) as child:
            figures += _pages(child.hear())
    return figures


def _pages(place: dict[str, Any]) -> list[Figure]:
    """Return how long whole pages take, as a browser asks for them."""
    figures: list[Figure] = []
    clock = SystemClock()
    channel = http.client.HTTPConnection("127.0.0.1", place["port"], timeout=60)
    for name, path in _PATHS.items():
        took = []
        for _ in range(_RUNS + 1):
            begun = clock.monotonic()
            channel.request("GET", path, headers={"Cookie": place["cookie"], "Accept": "text/html"})
            answer = channel.getresponse()
            body = answer.read()
            took.append((clock.monotonic() - begun) / MILLISECOND)
            if answer.status != 200 or b"<h1" not in body:
                raise SystemExit(f"the console answered {answer.status} to {path}")
        figures.append(Figure(PART, name, "ms", tuple(took[1:]), Target(PAGE_MS), note="over HTTP"))
    channel.close()
    return figures


def _fill(plan: Plan, data: str) -> dict[str, str]:
    with Child("fill mixed", data=data, count=plan.pending) as child:
        heard = child.hear()
        while "added" in heard:
            plan.progress("console: filling the store", heard["added"], plan.pending)
            heard = child.hear()
    return heard
