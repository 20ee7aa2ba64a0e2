"""A line: the place of one link, which is connected and bound, and connected again whenever it ends.

The pause before the next attempt doubles up to a limit, with jitter, so that many lines do not come back at once. A
refusal that the next attempt cannot change (a wrong password, say) is followed by the longest pause at once.
"""

import asyncio
import os
import ssl
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Final, Protocol

from postdate.clock import Clock
from postdate.connectors.smpp_link import Link, LinkLost, Owner
from postdate.connectors.smpp_settings import SmppSettings
from postdate.connectors.smpp_waiting import pause, within
from postdate.core.instant import SECOND
from postdate.smpp.codes import Status, status_name
from postdate.smpp.pdu import BindMode

_REFUSALS: Final[Mapping[int, str]] = {
    Status.RINVPASWD: "the SMSC does not accept the password: check password",
    Status.RINVSYSID: "the SMSC does not know this system id: check system_id",
    Status.RALYBND: "the SMSC says that this system id is bound already: close the other link, or lower links",
    Status.RINVSYSTYP: "the SMSC does not accept this system type: check system_type",
    Status.RBINDFAIL: "the SMSC refuses to bind: check system_id, password and bind",
}


class LineOwner(Owner, Protocol):
    """Who a line works for."""

    def trouble(self, why: str) -> None:
        """Hear why there is no link, in words of ours."""


class Line:
    """Keeps one link up from `start` to `stop`."""

    def __init__(
        self, settings: SmppSettings, mode: BindMode, tls: ssl.SSLContext | None, wire: Clock, owner: LineOwner
    ) -> None:
        self.link: Link | None = None
        self._settings = settings
        self._mode = mode
        self._tls = tls
        self._wire = wire
        self._owner = owner
        self._task: asyncio.Task[None] | None = None

    def start(self, chance: Callable[[], float]) -> None:
        """Begin to connect; `chance` gives the jitter."""
        self._task = asyncio.get_running_loop().create_task(self._run(chance))

    async def stop(self, span: int) -> None:
        """End the link politely, within `span` microseconds."""
        if self.link is not None and self.link.bound:
            await self.link.leave(span)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self, chance: Callable[[], float]) -> None:
        longest = int(self._settings.reconnect_longest * SECOND)
        attempt = 0
        while True:
            started = self._wire.monotonic()
            is_final = await self._once()
            # A link that held for a while was a good one; one that never holds must not be made twice a second.
            attempt = 1 if self._wire.monotonic() - started > longest else attempt + 1
            wait = min(int(self._settings.reconnect_first * SECOND) << min(attempt - 1, 32), longest)
            wait = longest if is_final else wait
            await pause(self._wire, wait + int(wait * chance() / 4))

    async def _once(self) -> bool:
        """Hold one link from connecting to its end; say whether it was refused in a way that will not change soon."""
        try:
            link = await self._connect()
        except TimeoutError:
            self._owner.trouble(f"no connection within {self._settings.bind_timeout:g} s: check host and port")
            return False
        except UnicodeError:  # a part of the name is empty, or longer than 63 characters
            self._owner.trouble("this is not a host name: check host")
            return True
        except OSError as error:
            self._owner.trouble(_why(error))
            return False
        self.link = link
        try:
            return await self._hold(link)
        finally:
            self.link = None
            link.abort("the link was closed")

    async def _connect(self) -> Link:
        settings = self._settings
        link = Link(settings, self._mode, self._wire, self._owner)
        work = asyncio.get_running_loop().create_connection(lambda: link, settings.host, settings.port, ssl=self._tls)
        with ExitStack() as undo:
            undo.callback(link.abort, "the link was closed")  # it may have been connected just as it was given up
            await within(self._wire, int(settings.bind_timeout * SECOND), work)
            undo.pop_all()
        return link

    async def _hold(self, link: Link) -> bool:
        try:
            status = await link.bind()
        except LinkLost as lost:
            self._owner.trouble(f"the link was not bound: {lost}")
            return False
        if status:
            self._owner.trouble(_REFUSALS.get(status, f"the SMSC refuses to bind ({status_name(status)})"))
            return status in _REFUSALS
        await link.ended.wait()
        return False


def tls_context(settings: SmppSettings) -> ssl.SSLContext | None:
    """Return what TLS goes by, None without it; OSError or ssl.SSLError where the files cannot be used."""
    if not settings.tls:
        return None
    context = ssl.create_default_context(cafile=settings.ca_file)
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.certificate_file is not None:
        # Without a password it would ask for one on the terminal.
        context.load_cert_chain(settings.certificate_file, settings.key_file, password="")
    return context


def _why(error: OSError) -> str:
    """Return what went wrong in words of ours; those of TLS hold what the other side sent."""
    match error:
        case ssl.SSLCertVerificationError():
            return "its certificate was not accepted: check host and ca_file"
        case ssl.SSLError():
            return "TLS could not be agreed on: check tls and port"
        case _ if error.errno is not None and error.errno > 0:
            return f"no connection ({os.strerror(error.errno).lower()}): check that the SMSC can be reached"
        case _:
            return "the host name does not resolve, or no address of it can be reached: check host and port"
