"""A carrier in a process of its own, which the crash tests do not kill: it remembers all that reached it.

`python tests/system/carrier.py --port 0 --log FILE` speaks the plain HTTP protocol on 127.0.0.1 and prints its port as
the first line. Every submission is a line of JSON in FILE before it is answered; the log is never rewritten, and the
same key gets the same id again. It ends by itself after --max-seconds or when its stdin closes, so give it a pipe.
It imports nothing of ours: what it saw does not depend on the code under test.
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web

MOST_RECEIPTS = 200
SHORTEST_WAIT = 0.2


@dataclass(frozen=True, slots=True)
class Arguments:
    """The command line."""

    port: int
    log: Path
    slow_ms: int
    receipts: str | None
    token: str | None
    max_seconds: float


@dataclass(frozen=True, slots=True)
class Submission:
    """A line of the log; `received_at` in microseconds of the wall clock, taken before the body was read."""

    sid: str
    attempt: int
    received_at: int
    to: str
    sender: str
    body_sha256: str
    idempotency_key: str
    id: str

    def line(self) -> bytes:
        """Return it as it is logged."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        fields["from"] = fields.pop("sender")
        return json.dumps(fields).encode() + b"\n"


def read_submission(content: bytes, key: str, received_at: int) -> Submission:
    """Read a POSTed submission; ValueError, KeyError or TypeError where it is none."""
    given = json.loads(content)
    return Submission(
        sid=str(given["sid"]),
        attempt=int(given["attempt"]),
        received_at=received_at,
        to=str(given["to"]),
        sender=str(given["from"]),
        body_sha256=hashlib.sha256(str(given["body"]).encode()).hexdigest(),
        idempotency_key=key,
        id="C" + hashlib.sha256(key.encode()).hexdigest()[:32],
    )


class Carrier:
    """Logs and answers; receipts are told to `receipts`, if anywhere, as often as it takes."""

    def __init__(self, arguments: Arguments, log: int, ended: asyncio.Event) -> None:
        self._arguments = arguments
        self._log = log
        self._ended = ended
        self._receipts: asyncio.Queue[dict[str, str]] = asyncio.Queue()

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Log one submission, then take it."""
        # A process of its own has no Clock of ours, and is to be no echo of it.
        received_at = time.time_ns() // 1_000  # noqa: TID251
        try:
            key = request.headers["Idempotency-Key"]
            submission = read_submission(await request.read(), key, received_at)
        except (ValueError, KeyError, TypeError):
            return web.json_response({"code": 30008}, status=400)
        line = submission.line()
        if os.write(self._log, line) != len(line):
            raise OSError("the log cannot be written in full")
        if self._arguments.slow_ms:
            await self.rest(self._arguments.slow_ms / 1_000)
        if self._arguments.receipts is not None:
            self._receipts.put_nowait({"id": submission.id, "sid": submission.sid, "status": "delivered"})
        return web.json_response({"id": submission.id})

    async def rest(self, seconds: float) -> None:
        """Let time pass, but not beyond the end."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), seconds)

    async def tell_receipts(self, url: str) -> None:
        """POST what was taken to `url`, in batches; a node that is down is told again, one that refuses is not."""
        token = self._arguments.token
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
            while True:
                batch = [await self._receipts.get()]
                while len(batch) < MOST_RECEIPTS and not self._receipts.empty():
                    batch.append(self._receipts.get_nowait())
                while not await told(session, url, batch):
                    await self.rest(SHORTEST_WAIT)


async def told(session: aiohttp.ClientSession, url: str, batch: list[dict[str, str]]) -> bool:
    """Say whether a node has heard this batch, whatever it thought of it."""
    try:
        async with session.post(url, json=batch) as response:
            return response.status < 500
    except (aiohttp.ClientError, TimeoutError):
        return False


def watch_stdin(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    """Set `ended` when whoever started us has gone, from a thread: stdin may be of any kind."""

    def read() -> None:
        while os.read(0, 4_096):
            pass
        with contextlib.suppress(RuntimeError):  # the loop has ended before
            loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=read, daemon=True).start()


@contextlib.asynccontextmanager
async def serving(carrier: Carrier, port: int) -> AsyncIterator[int]:
    """Serve on 127.0.0.1 and give the port."""
    runner = web.ServerRunner(web.Server(carrier.answer), shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def run(arguments: Arguments, log: int) -> None:
    """Be a carrier until the time is up, stdin closes or a signal comes."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    watch_stdin(loop, ended)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    carrier = Carrier(arguments, log, ended)
    async with serving(carrier, arguments.port) as port:
        print(port, flush=True)
        teller = None if arguments.receipts is None else asyncio.create_task(carrier.tell_receipts(arguments.receipts))
        await carrier.rest(arguments.max_seconds)
        if teller is not None:
            teller.cancel()
            await asyncio.wait([teller])


def read_arguments() -> Arguments:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="A carrier that logs every submission before it answers.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--log", type=Path, required=True, help="file that lines of JSON are appended to")
    parser.add_argument("--slow-ms", type=int, default=0, help="wait so long before each answer")
    parser.add_argument("--receipts", help="URL that is told of deliveries")
    parser.add_argument("--token", help="bearer token that goes with the receipts")
    parser.add_argument("--max-seconds", type=float, default=300.0, help="end by itself after so long")
    return Arguments(**vars(parser.parse_args()))


def main() -> None:
    """Open the log and run."""
    arguments = read_arguments()
    log = os.open(arguments.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        asyncio.run(run(arguments, log))
    finally:
        os.close(log)


if __name__ == "__main__":
    main()
