"""What holds for every test: hypothesis sets no deadline, because a shared machine may stall any one example.

`make test` runs several tests at once, each worker a process of its own with whatever a session or a file shares;
`pytest` alone runs one after the other. Everything else a test needs stands in its own folder.
"""

import os
import random

import pytest
from hypothesis import settings

MOST_WORKERS = 8  # with more, the longest test is what is waited for

settings.register_profile("postdate", settings(deadline=None))
settings.load_profile("postdate")


def pytest_configure() -> None:
    """Let all workers go through sets in one order, another one each time: they must find the same tests."""
    os.environ.setdefault("PYTHONHASHSEED", str(random.SystemRandom().randrange(2**32)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return how many workers `-n auto` is: one more than there are processors, since many tests wait."""
    return min((os.cpu_count() or 1) + 1, MOST_WORKERS)
