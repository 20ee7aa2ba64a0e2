"""Our request as Twilio's own description of its API sees it: Prism, in a process of its own, answers as it says.

It takes a while to start, so one serves all tests here. Where it or the description is missing, these are skipped.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import aiohttp
import pytest

from postdate.connectors.providers.contract import Answer, Request
from postdate.connectors.providers.twilio import Settings, Twilio
from postdate.core.outcome import Accepted, Busy, InDoubt
from postdate.core.sid import is_sid
from tests.connectors.providers.building import NOW, context, submission

ROOT = Path(__file__).parents[3]
DESCRIPTION = ROOT.parent / "shared" / "oai" / "twilio_api_v2010.json"
PRISM = ROOT / "tests" / "node" / "node_modules" / ".bin" / "prism"
NODE = shutil.which("node")
LONGEST_SECONDS = 100

pytestmark = [
    pytest.mark.skipif(NODE is None, reason="Node.js is not installed: install it to ask Prism"),
    pytest.mark.skipif(
        not PRISM.exists(), reason="Prism is missing: npm install --prefix tests/node --no-package-lock"
    ),
    pytest.mark.skipif(not DESCRIPTION.exists(), reason="../shared/oai is absent: Twilio's description was not asked"),
]


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    """Run Prism on a free port, and give its URL."""
    timeout = shutil.which("timeout")
    bound = [] if timeout is None else [timeout, "--foreground", str(LONGEST_SECONDS)]
    process = subprocess.Popen(
        [*bound, str(PRISM), "mock", "-h", "127.0.0.1", "-p", "0", str(DESCRIPTION)],
        env={"PATH": str(Path(str(NODE)).parent)},
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
        process.communicate(timeout=20)


def provider(base_url: str) -> Twilio:
    """Ours, with Prism for Twilio."""
    return Twilio(Settings(account_sid="AC" + "a" * 32, auth_token="token", base_url=base_url))


def posted(base_url: str) -> Request:
    """Our request, but without media: Prism reads no list in a form, which Twilio's own libraries send just so."""
    settings = Settings(
        account_sid="AC" + "a" * 32, auth_token="token", messaging_service_sid="MG" + "b" * 32, base_url=base_url
    )
    request = Twilio(settings).request(submission(), context())
    assert isinstance(request, Request)
    return request


async def asked(request: Request) -> Answer:
    """Send a request, and return what came back."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(request.method, request.url, data=request.body, headers=request.headers) as response,
    ):
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, headers, await response.read(), NOW)


async def test_what_we_post_fits(base_url: str) -> None:
    answer = await asked(posted(base_url))
    assert answer.status == 201, answer.body
    outcome = provider(base_url).outcome(submission(), answer)
    assert isinstance(outcome, Accepted)
    assert is_sid(outcome.carrier_ref, "SM")


async def test_without_a_recipient_it_does_not_fit(base_url: str) -> None:
    request = posted(base_url)
    fields = [(name, value) for name, value in parse_qsl((request.body or b"").decode()) if name != "To"]
    answer = await asked(replace(request, body=urlencode(fields).encode()))
    assert answer.status == 422
    # Prism's words, not Twilio's: no code of Twilio's, so nothing is concluded.
    assert isinstance(provider(base_url).outcome(submission(), answer), InDoubt)


async def test_without_credentials_nobody_is_let_in(base_url: str) -> None:
    request = posted(base_url)
    headers = {name: value for name, value in request.headers.items() if name != "Authorization"}
    answer = await asked(replace(request, headers=headers))
    assert answer.status == 401
    assert isinstance(provider(base_url).outcome(submission(), answer), Busy)


async def test_what_we_ask_fits_and_is_read(base_url: str) -> None:
    answer = await asked(provider(base_url).question(submission(), context()))
    assert answer.status == 200, answer.body
    # The list of the description's example holds other messages than ours.
    assert isinstance(provider(base_url).verdict(submission(), answer), InDoubt)
