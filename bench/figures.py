"""A figure: what was measured in each run, its median, what was aimed at, and its ratio to something in the same run.

Figures of one machine say little on another; a ratio to what the same machine did in the same minutes says more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure is held to: `at_most` a bound (a time, a size), else at least (a rate)."""

    bound: float
    at_most: bool = True

    def met_by(self, value: float) -> bool:
        """Say whether a value is within the bound."""
        return value <= self.bound if self.at_most else value >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {shown(self.bound)}"


@dataclass(frozen=True, slots=True)
class Yardstick:
    """Something measured in the same run that a figure is divided by, in the figure's unit."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. A target holds for the median, or with `in_every_run` for each run."""

    part: str
    name: str
    unit: str
    runs: tuple[float, ...]
    target: Target | None = None
    yardstick: Yardstick | None = None
    note: str = ""
    in_every_run: bool = False

    @property
    def value(self) -> float:
        """Return the median of the runs."""
        return median(self.runs)

    @property
    def met(self) -> bool | None:
        """Say whether the target was met; None where there is none."""
        if self.target is None:
            return None
        return all(map(self.target.met_by, self.runs)) if self.in_every_run else self.target.met_by(self.value)

    @property
    def ratio(self) -> float | None:
        """Return the figure divided by its yardstick."""
        return self.value / self.yardstick.value if self.yardstick is not None and self.yardstick.value else None

    def cells(self) -> tuple[str, ...]:
        """Return the line as the table shows it."""
        spread = f"{shown(min(self.runs))} – {shown(max(self.runs))}" if len(self.runs) > 1 else ""
        ratio = f"{shown(self.ratio)} × {self.yardstick.name}" if self.ratio is not None and self.yardstick else ""
        verdict = {None: "", True: "met", False: "NOT met"}[self.met]
        name = f"{self.name} ({self.note})" if self.note else self.name
        return (
            self.part, name, f"{shown(self.value)} {self.unit}".strip(), spread,
            str(self.target) if self.target is not None else "", verdict, ratio,
        )  # fmt: skip

    def as_json(self) -> dict[str, object]:
        """Return the figure for the results file."""
        return {
            "part": self.part,
            "name": self.name,
            "note": self.note,
            "unit": self.unit,
            "median": self.value,
            "runs": list(self.runs),
            "target": None if self.target is None else str(self.target),
            "met": self.met,
            "ratio": self.ratio,
            "ratio_to": None if self.yardstick is None else self.yardstick.name,
            "yardstick": None if self.yardstick is None else self.yardstick.value,
        }


COLUMNS = ("part", "figure", "median", "runs", "target", "", "ratio in this run")


def shown(value: float) -> str:
    """Return a number for people: three digits that matter, thousands apart."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    for bound, digits in ((10, 1), (1, 2), (0.1, 3)):
        if size >= bound:
            return f"{value:.{digits}f}"
    return f"{value:.3g}"


def share(values: Sequence[float], part: float) -> float:
    """Return the value that `part` (0 to 1) of the values are not above: 0.99 is p99."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]
