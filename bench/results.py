"""What a measurement found: on the screen, and in `bench/results/` as JSON and Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from bench.figures import COLUMNS, Figure
from postdate.core.instant import Instant, format_iso

FOLDER = Path(__file__).parent / "results"
LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Results:
    """All figures of one measurement, and what to know about it."""

    at: Instant
    facts: Mapping[str, str]
    figures: Sequence[Figure]

    def show(self, console: Console) -> None:
        """Print the facts and the table."""
        for name, fact in self.facts.items():
            console.print(f"[bold]{name}[/]: {fact}", highlight=False)
        table = Table(*COLUMNS)
        for before, figure in zip([None, *self.figures], self.figures, strict=False):
            if before is not None and before.part != figure.part:
                table.add_section()
            style = {None: "", True: "green", False: "red"}[figure.met]
            table.add_row(*figure.cells(), style=style)
        console.print(table)

    def write(self) -> list[Path]:
        """Write the dated files and the latest ones; return the paths."""
        FOLDER.mkdir(exist_ok=True)
        texts = {".md": self._markdown(), ".json": self._json()}
        written: list[Path] = []
        for name in (format_iso(self.at)[:10], LATEST):
            for ending, text in texts.items():
                path = FOLDER / f"{name}{ending}"
                path.write_text(text, encoding="utf-8")
                written.append(path)
        return written

    def _markdown(self) -> str:
        lines = [f"# Benchmark of {format_iso(self.at)}", ""]
        lines += [f"- **{name}**: {fact}" for name, fact in self.facts.items()]
        lines += ["", _row(COLUMNS), _row(["---"] * len(COLUMNS))]
        lines += [_row(figure.cells()) for figure in self.figures]
        return "\n".join(lines) + "\n"

    def _json(self) -> str:
        document = {
            "at": format_iso(self.at),
            "facts": dict(self.facts),
            "figures": [figure.as_json() for figure in self.figures],
        }
        return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
