"""The machine and what bare code does on it: facts for the report, and the floors that figures are compared with.

The floors use the same disk as the node: one `fdatasync`, and SQLite claiming rows with nothing around it.
"""

import os
import platform
import resource
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import apsw

from bench.figures import share
from postdate.clock import SystemClock
from postdate.core.instant import SECOND

T = TypeVar("T")

ROOT = Path(__file__).parent.parent
PACKAGES = ("postdate", "apsw", "httptools", "msgspec", "phonenumbers", "starlette", "uvicorn", "uvloop")

_PAGE = 8_192
_SYNCS = 400
_CLAIMED_AT_ONCE = 1_024


def facts(folder: Path) -> dict[str, str]:
    """Return what a reader needs to know of the machine and the versions."""
    return {
        "CPU": f"{_cpu_model()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}, file system {_file_system(folder)}",
        "Python": platform.python_version(),
        "packages": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        "SQLite": apsw.sqlite_lib_version(),
        "commit": _commit(),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _file_system(folder: Path) -> str:
    here = folder.resolve()
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    above = [(point, kind) for point, kind in mounts if here.is_relative_to(point)]
    return max(above, key=lambda mount: len(mount[0]))[1] if above else "unknown"


def _commit() -> str:
    def git(*arguments: str) -> str:
        command = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    try:
        changed = " with changes" if git("status", "--porcelain", "--", "src") else ""
        return git("rev-parse", "--short", "HEAD") + changed
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


# -- floors ------------------------------------------------------------------------------------------------------------


def fdatasync_ms(folder: Path) -> float:
    """Return the median time of one `fdatasync` after a page was written, in milliseconds."""
    clock = SystemClock()
    taken: list[float] = []
    with TemporaryDirectory(dir=folder) as scratch:
        handle = os.open(Path(scratch) / "page", os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            for number in range(_SYNCS):
                os.pwrite(handle, bytes(_PAGE), number * _PAGE)
                start = clock.monotonic()
                os.fdatasync(handle)
                taken.append((clock.monotonic() - start) / 1_000)
        finally:
            os.close(handle)
    return share(taken, 0.5)


def bare_claim_seconds(folder: Path, count: int) -> float:
    """Return how long SQLite alone takes to claim `count` rows, 1,024 to a transaction, each one on disk."""
    clock = SystemClock()
    with TemporaryDirectory(dir=folder) as scratch:
        db = apsw.Connection(str(Path(scratch) / "claims.db"))
        db.pragma("page_size", _PAGE)
        db.pragma("journal_mode", "wal")
        db.pragma("synchronous", "FULL")
        db.execute("CREATE TABLE rows (sid TEXT PRIMARY KEY, status TEXT, claim TEXT, body TEXT) STRICT, WITHOUT ROWID")
        rows = [(f"SM{number:032x}", "queued", None, "x" * 400) for number in range(count)]
        with db:
            db.executemany("INSERT INTO rows VALUES (?, ?, ?, ?)", rows)
        start = clock.monotonic()
        for first in range(0, count, _CLAIMED_AT_ONCE):
            sids = [(row[0],) for row in rows[first : first + _CLAIMED_AT_ONCE]]
            with db:
                db.executemany("UPDATE rows SET status = 'sending', claim = 'run' WHERE sid = ?", sids)
        taken = (clock.monotonic() - start) / SECOND
        db.close()
    return taken


# -- noise -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Noise:
    """How much of the machine others used while something ran, as a share of all cores."""

    share: float


def with_noise(run: Callable[[], T]) -> tuple[T, Noise]:
    """Run something whose processes have all ended when it returns; say how busy the machine was beside it."""
    clock = SystemClock()
    start, busy, own = clock.monotonic(), _busy_seconds(), _own_seconds()
    result = run()
    elapsed = (clock.monotonic() - start) / SECOND
    others = (_busy_seconds() - busy) - (_own_seconds() - own)
    return result, Noise(max(others, 0.0) / (elapsed * (os.cpu_count() or 1)))


def _busy_seconds() -> float:
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
