"""The demo's customer: a clinic whose web server hears status callbacks and has QR codes for checking in.

It checks every callback's signature as Twilio's libraries do, and remembers when by the node's clock it was called.
"""

import io
from dataclasses import dataclass
from typing import Final

import segno
from aiohttp import web

from postdate.clock import Clock
from postdate.core.callback_form import sign
from postdate.core.instant import Instant

_CHECK_IN: Final = "https://clinic.example/in/7Q4M"


@dataclass(frozen=True, slots=True)
class Told:
    """One status callback as it arrived."""

    at: Instant
    message_sid: str
    status: str
    verified: bool


class Clinic:
    """The web server; `async with Clinic(clock)`. `auth_token` is what callbacks are signed with."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.auth_token = ""
        self.url = ""
        self.told: list[Told] = []
        self.fetched_at: list[Instant] = []
        self.qr = segno.make(_CHECK_IN, error="l", boost_error=False, micro=False)
        self.picture = _png(self.qr)
        application = web.Application()
        application.router.add_post("/status", self._hear)
        application.router.add_get("/check-in.png", self._show)
        self._runner = web.AppRunner(application, access_log=None)

    async def __aenter__(self) -> "Clinic":
        """Listen on a free port of this machine."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *error: object) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    @property
    def status_url(self) -> str:
        """Return where statuses are told."""
        return f"{self.url}/status"

    @property
    def picture_url(self) -> str:
        """Return where the QR code is."""
        return f"{self.url}/check-in.png"

    async def _hear(self, request: web.Request) -> web.Response:
        form = await request.post()
        params = [(name, str(value)) for name, value in form.items()]
        expected = sign(self.status_url, params, self.auth_token)
        self.told.append(
            Told(
                at=self._clock.now(),
                message_sid=str(form["MessageSid"]),
                status=str(form["MessageStatus"]),
                verified=request.headers.get("X-Twilio-Signature") == expected,
            )
        )
        return web.Response(status=204)

    async def _show(self, request: web.Request) -> web.Response:
        self.fetched_at.append(self._clock.now())
        return web.Response(body=self.picture, content_type="image/png")


def _png(qr: segno.QRCode) -> bytes:
    file = io.BytesIO()
    qr.save(file, kind="png", scale=8)
    return file.getvalue()
