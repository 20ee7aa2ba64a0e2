"""A node that listens, and a customer's server that hears its callbacks: what an official client needs around it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from aiohttp import web

from tests.api.serving import Site, a_site
from tests.serving_http import serving_http

PNG = b"\x89PNG\r\n\x1a\nbytes"


@dataclass(frozen=True, slots=True)
class Heard:
    """A callback as it came in."""

    url: str
    signature: str
    params: dict[str, str]

    @property
    def status(self) -> str:
        """Return which status it tells of."""
        return self.params["MessageStatus"]


@dataclass(slots=True)
class Surroundings:
    """A node on a frozen clock that listens at `url`; callbacks to `status_url` are in `heard`."""

    site: Site
    url: str
    own_url: str
    heard: list[Heard] = field(default_factory=list)
    says: str = ""  # what is answered, as TwiML

    @property
    def status_url(self) -> str:
        """Return where callbacks are heard; its query is a part of what is signed."""
        return f"{self.own_url}/status?customer=1&visit=caf%C3%A9"

    @property
    def media_url(self) -> str:
        """Return where there is a picture."""
        return f"{self.own_url}/qr.png"

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Answer the node as the customer's server."""
        if request.method == "GET":
            return web.Response(body=PNG, content_type="image/png")
        params = dict(parse_qsl(await request.text(), keep_blank_values=True, strict_parsing=True))
        signature = request.headers["X-Twilio-Signature"]
        self.heard.append(Heard(f"{self.own_url}{request.raw_path}", signature, params))
        return web.Response(text=self.says, content_type="text/xml")


@asynccontextmanager
async def surrounded(folder: Path) -> AsyncIterator[Surroundings]:
    """Run a node and a customer's server, each on a free port of 127.0.0.1."""
    async with a_site(folder) as site:
        port = await site.node.listen()
        around = Surroundings(site, f"http://127.0.0.1:{port}", "")
        async with serving_http(around.answer) as around.own_url:
            yield around


@pytest.fixture
async def around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Surroundings]:
    """Give a node that listens, and a customer's server; no setting of this machine turns a client elsewhere."""
    for name in ("TWILIO_EDGE", "TWILIO_REGION", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    async with surrounded(tmp_path) as given:
        yield given
