"""`python -m bench [all|PART] [--quick]`: measures, prints a table, and keeps whole runs; `--help` names the parts."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench import accept, carriers, console, kannel, load, machine, pending, sending
from bench.child import ChildFailed
from bench.figures import Figure
from bench.plan import Plan
from bench.results import Results
from postdate.clock import SystemClock

PARTS: Mapping[str, Callable[[Plan], list[Figure]]] = {
    accept.PART: accept.measure,
    sending.LATENESS: sending.lateness,
    sending.BURST: sending.burst,
    pending.PART: pending.measure,
    carriers.PART: carriers.measure,
    console.PART: console.measure,
}
ALL = "all"


def main() -> int:
    """Measure what was asked for; return 1 where a part could not be measured."""
    given = _arguments()
    console = Console(width=None if sys.stdout.isatty() else 160)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    given.folder.mkdir(parents=True, exist_ok=True)
    with (
        TemporaryDirectory(dir=given.folder, prefix="bench-") as folder,
        Progress(*columns, console=console) as progress,
    ):
        bar = progress.add_task("floors", total=None)
        plan = Plan(
            folder=Path(folder),
            fdatasync_ms=machine.fdatasync_ms(Path(folder)),
            say=lambda text: progress.update(bar, description=text, total=None, completed=0),
            progress=lambda text, done, total: progress.update(bar, description=text, total=total, completed=done),
        )
        if given.quick:
            plan = replace(
                plan, runs=1, load_seconds=2, alone_seconds=1, due_seconds=3, burst=2_000, pending=100_000,
                settle_seconds=2, idle_seconds=5,
            )  # fmt: skip
        try:
            results = _measure(plan, given.part)
        except ChildFailed as error:
            console.print(f"[red]{error}[/]")
            return 1
    results.show(console)
    if given.part == ALL and plan.is_whole:
        for path in results.write():
            console.print(f"written: {os.path.relpath(path)}", highlight=False)
    else:
        console.print("Not kept: bench/results/ has whole measurements only (python -m bench, without --quick).")
    return 0


def _measure(plan: Plan, part: str) -> Results:
    at = SystemClock().now()
    facts = machine.facts(plan.folder) | {
        "load": load.tool(),
        "Kannel": kannel.version(),
        "fdatasync": f"{plan.fdatasync_ms:.3f} ms (median, 8 KiB)",
        "load average at the start": f"{os.getloadavg()[0]:.2f}",
    }
    figures: list[Figure] = []
    for name in PARTS if part == ALL else (part,):
        found, noise = machine.with_noise(partial(PARTS[name], plan))
        figures += found
        facts[f"others' share of the processors during {name}"] = f"{noise.share:.0%}"
    return Results(at, facts, figures)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Postdate on this machine.")
    parser.add_argument("part", nargs="?", default=ALL, choices=(ALL, *PARTS), help="what to measure (default: all)")
    parser.add_argument("--quick", action="store_true", help="one short run of each, too small for the targets")
    parser.add_argument(
        "--folder",
        type=Path,
        default=machine.ROOT / "build",
        help="a folder on the disk to be measured; what is made there is removed (default: build)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
