"""The load: wrk where it is installed, else a generator of our own that sends the same requests, and says so.

One thread, keep-alive, one request at a time on each connection.
"""

import asyncio
import base64
import shutil
import subprocess
import sys
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import urlencode

import msgspec
import uvloop

from bench.figures import share
from bench.machine import ROOT
from bench.watching import Place, recipient
from postdate.clock import SystemClock, breathe
from postdate.core.instant import DAY, SECOND, Instant, format_iso

HERE = Path(__file__).parent
CREATE = "create.lua"
SEND = "send.lua"
GET = "get.lua"


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What the clients saw: `refused` are answers of 400 and above, `broken` are requests without an answer."""

    requests: int
    seconds: float
    refused: int
    broken: int
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Return answers per second."""
        return self.requests / self.seconds


@dataclass(frozen=True, slots=True)
class Load:
    """Requests to be made: creates where there is a place to create in, else GETs of `path`.

    Creates are of scheduled messages; with a `sender` they go at once, and `callback` is told.
    """

    port: int
    connections: int
    seconds: int
    place: Place | None = None
    path: str = "/"
    sender: str = ""
    callback: str = ""


def tool() -> str:
    """Return what makes the load on this machine."""
    if shutil.which("wrk") is None:
        return "own generator (bench/load.py); wrk is not installed"
    told = subprocess.run(["wrk", "-v"], check=False, capture_output=True, text=True).stdout
    return " ".join(told.split()[:2])


def run(load: Load) -> Loaded:
    """Make the load and return what it saw."""
    command = _wrk(load) if shutil.which("wrk") is not None else _own(load)
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return msgspec.json.decode(done.stdout.strip().splitlines()[-1], type=Loaded)


def _wrk(load: Load) -> list[str]:
    script = GET if load.place is None else SEND if load.sender else CREATE
    url = f"http://127.0.0.1:{load.port}{load.path}"
    command = ["wrk", "-t1", f"-c{load.connections}", f"-d{load.seconds}s", "--timeout", "10s"]
    command += ["-s", str(HERE / script), url]
    if load.place is not None:
        place = load.place
        command += ["--", _path(place), _authorization(place)]
        command += [load.sender, load.callback] if load.sender else [place.service, str(_first_send_at() // SECOND)]
    return command


def _own(load: Load) -> list[str]:
    return [sys.executable, "-m", "bench.load", msgspec.json.encode(load).decode()]


def _path(place: Place) -> str:
    return f"/2010-04-01/Accounts/{place.account}/Messages.json"


def _authorization(place: Place) -> str:
    return "Basic " + base64.b64encode(f"{place.account}:{place.token}".encode()).decode()


def _first_send_at() -> Instant:
    return Instant(SystemClock().now() + DAY)


# -- the generator where there is no wrk -------------------------------------------------------------------------------


class _Requests:
    """Makes the bytes of one request after the other."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._place = load.place
        self._count = 0
        self._first = _first_send_at()
        host = f"Host: 127.0.0.1:{load.port}\r\n"
        self._get = f"GET {load.path} HTTP/1.1\r\n{host}\r\n".encode()
        if load.place is not None:
            self._head = (
                f"POST {_path(load.place)} HTTP/1.1\r\n{host}Authorization: {_authorization(load.place)}\r\n"
                "Content-Type: application/x-www-form-urlencoded\r\nAccept: application/json\r\n"
                "Accept-Charset: utf-8\r\nAccept-Encoding: gzip, deflate\r\nX-Twilio-Client: python-9.13.0\r\n"
                "User-Agent: twilio-python/9.13.0 (Linux x86_64) Python/3.11.7\r\n"
            )

    def next(self) -> bytes:
        """Return the next request."""
        if self._place is None:
            return self._get
        self._count += 1
        body = (
            f"To=%2B{recipient(self._count)[1:]}"
            f"&Body=Your+appointment+is+tomorrow+at+10+o%27clock.+Reference+{self._count}&{self._way()}"
        )
        return f"{self._head}Content-Length: {len(body)}\r\n\r\n{body}".encode()

    def _way(self) -> str:
        assert self._place is not None
        if self._load.sender:
            return urlencode({"From": self._load.sender, "StatusCallback": self._load.callback})
        send_at = format_iso(Instant(self._first + self._count * 7 % 86_400 * SECOND)).replace(":", "%3A")
        return f"MessagingServiceSid={self._place.service}&ScheduleType=fixed&SendAt={send_at}"


class _Seen:
    def __init__(self) -> None:
        self.clock = SystemClock()
        self.taken = array("q")
        self.refused = 0
        self.broken = 0
        self.stopping = False


class _Connection(asyncio.Protocol):
    """One connection: a request, its answer, the next request."""

    def __init__(self, requests: _Requests, seen: _Seen) -> None:
        self._requests = requests
        self._seen = seen
        self._received = b""
        self._began = seen.clock.monotonic()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return
        self._received = b""
        self._seen.taken.append(self._seen.clock.monotonic() - self._began)
        self._seen.refused += head[9:10] not in b"23"
        if self._seen.stopping:
            self._transport.close()
        else:
            self._send()

    def connection_lost(self, error: Exception | None) -> None:
        self._seen.broken += not self._seen.stopping

    def _send(self) -> None:
        self._began = self._seen.clock.monotonic()
        self._transport.write(self._requests.next())


def _length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"content-length:")
    return int(rest.split(b"\r\n", 1)[0]) if found else 0


async def _generate(load: Load) -> Loaded:
    requests, seen = _Requests(load), _Seen()
    loop = asyncio.get_running_loop()
    for _ in range(load.connections):
        await loop.create_connection(lambda: _Connection(requests, seen), "127.0.0.1", load.port)
    start = seen.clock.monotonic()
    await breathe(load.seconds)
    seen.stopping = True
    elapsed = (seen.clock.monotonic() - start) / SECOND
    taken = list(seen.taken) or [0]
    return Loaded(
        requests=len(seen.taken),
        seconds=elapsed,
        refused=seen.refused,
        broken=seen.broken,
        p50_ms=share(taken, 0.5) / 1_000,
        p99_ms=share(taken, 0.99) / 1_000,
    )


if __name__ == "__main__":
    wanted = msgspec.json.decode(sys.argv[1], type=Load)
    sys.stdout.write(msgspec.json.encode(uvloop.run(_generate(wanted))).decode() + "\n")
