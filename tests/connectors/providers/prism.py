"""Prism in a process of its own: a server that answers as a vendor's own description of its API says."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from postdate import __version__
from postdate.connectors.providers.contract import Answer, Request
from tests.connectors.providers.building import NOW

ROOT = Path(__file__).parents[3]
DESCRIPTIONS = ROOT.parent / "shared" / "oai"
LONGEST_SECONDS = 600
_PRISM = ROOT / "tests" / "node" / "node_modules" / ".bin" / "prism"
_NODE = shutil.which("node")


def needs(description: Path) -> list[pytest.MarkDecorator]:
    """Return the marks that skip a module where Prism or a description is missing."""
    return [
        pytest.mark.skipif(_NODE is None, reason="Node.js is not installed: install it to ask Prism"),
        pytest.mark.skipif(
            not _PRISM.exists(), reason="Prism is missing: npm install --prefix tests/node --no-package-lock"
        ),
        pytest.mark.skipif(not description.exists(), reason=f"../shared/oai/{description.name} is absent"),
    ]


@contextmanager
def serving(description: Path) -> Iterator[str]:
    """Run Prism on a free port of 127.0.0.1 and give its URL; it ends by itself if nobody ends it."""
    timeout = shutil.which("timeout")
    bound = [] if timeout is None else [timeout, "--foreground", str(LONGEST_SECONDS)]
    process = subprocess.Popen(
        [*bound, str(_PRISM), "mock", "-h", "127.0.0.1", "-p", "0", str(description)],
        env={"PATH": str(Path(str(_NODE)).parent)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        found = (re.search(r"listening on (http://127\.0\.0\.1:[0-9]+)", line) for line in process.stdout)
        listening = next((one for one in found if one is not None), None)
        assert listening is not None, "Prism ended before it listened"
        yield listening[1]
    finally:
        process.terminate()
        process.communicate(timeout=60)


async def asked(request: Request) -> Answer:
    """Send a request as the node does, and return what came back."""
    headers = {"User-Agent": f"Postdate/{__version__}", **request.headers}
    async with (
        aiohttp.ClientSession() as session,
        session.request(request.method, request.url, data=request.body, headers=headers) as response,
    ):
        named = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, named, await response.read(), NOW)
