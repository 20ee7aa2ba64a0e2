"""The server that the crash tests kill: `python tests/system/node_process.py DATA PORT CARRIER_URL TOKEN DOUBT`.

It is a nursery: everything is imported once, then each line of JSON on stdin forks one life of the node, on the same
data folder and the same port, with the real clock. It tells `born`, `ready` and `ended` in JSON lines on stdout. A life
stops in order on SIGTERM. All of them end when stdin closes, or after MOST_SECONDS.

A life can be given a failpoint, such as `claim:2:after`: at the second call of that method of the store it kills itself
`before` the call, when the call's transaction is about to `commit`, or `after` it, when nobody has heard of it yet.
"""

import asyncio
import json
import os
import select
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast

import apsw
import uvloop

from postdate.clock import SystemClock
from postdate.node import Node
from postdate.settings import Settings, load
from postdate.store.sqlite import SqliteStore

ACCOUNT = "AC" + "c4a5" * 8
AUTH_TOKEN = "the-token-of-the-crash-tests"
MOST_SECONDS = 580
METHODS = ("add", "cancel", "dispatch", "claim", "record", "apply_receipts", "settle_callbacks", "put")
MOMENTS = ("before", "commit", "after")


@dataclass(frozen=True, slots=True)
class Orders:
    """What a life is told when it is born; `log` is where it notes its claims."""

    life: int
    failpoint: str | None
    log: str


def tell(pipe: int, **what: object) -> None:
    """Write one line for the test."""
    os.write(pipe, json.dumps(what).encode() + b"\n")


def die() -> NoReturn:
    """End as by `kill -9`."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("nobody survives that")


class CrashStore:
    """Stands before the store: dies at the failpoint, and notes each claim before it is asked for and when it is done.

    A line that is written survives the process, so the log is as true as the carrier's.
    """

    def __init__(self, inner: SqliteStore, orders: Orders) -> None:
        self._inner = inner
        self._orders = orders
        self._clock = SystemClock()
        self._log = os.open(orders.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._calls: Counter[str] = Counter()
        self._dies_at_commit = False
        method, call, self._moment = (orders.failpoint or "::").split(":")
        self._planned = (method, int(call or 0))
        if self._moment == "commit":
            apsw.connection_hooks.append(lambda connection: connection.set_commit_hook(self._on_commit))

    def __getattr__(self, name: str) -> Any:
        """Give the store's own, watched where it writes."""
        found = getattr(self._inner, name)
        return self._watched(name, found) if name in METHODS else found

    def _watched(self, name: str, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def call(*given: Any) -> Any:
            self._calls[name] += 1
            planned = (name, self._calls[name]) == self._planned
            if planned and self._moment == "before":
                die()
            self._dies_at_commit = self._dies_at_commit or (planned and self._moment == "commit")
            if name == "claim":
                self._note(at=self._clock.now(), sids=list(given[0]))
            answer = await method(*given)
            if planned and self._moment == "after":
                die()
            if name == "claim":
                self._note(done_at=self._clock.now(), sids=[message.sid for message in answer])
            return answer

        return call

    def _on_commit(self) -> bool:
        if self._dies_at_commit:
            die()
        return False

    def _note(self, **what: object) -> None:
        tell(self._log, life=self._orders.life, **what)


class CrashNode(Node):
    """A node whose store is a CrashStore; all else of it is as it is served."""

    def __init__(self, settings: Settings, orders: Orders) -> None:
        super().__init__(settings)
        self._orders = orders
        self._store: CrashStore

    @property
    def store(self) -> SqliteStore:
        """Return the store of the node, watched."""
        return cast(SqliteStore, self._store)

    @store.setter
    def store(self, plain: SqliteStore) -> None:
        self._store = CrashStore(plain, self._orders)


async def live(settings: Settings, orders: Orders, pipe: int) -> None:
    """Be a node until SIGTERM comes or a part of it fails."""
    told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set_result, None)
    async with CrashNode(settings, orders) as node:
        await node.listen()
        assert node.failed is not None
        tell(pipe, ready=orders.life)
        await asyncio.wait((told, node.failed), return_when=asyncio.FIRST_COMPLETED)
        if node.failed.done():
            node.failed.result()


def be_born(settings: Settings, orders: Orders, pipe: int) -> NoReturn:
    """Live in a process just forked; never return."""
    signal.alarm(MOST_SECONDS)
    status = 1
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(live(settings, orders, pipe))
        status = 0
    finally:
        if status:
            traceback.print_exc()
        os._exit(status)


def raise_lives(settings: Settings, pipe: int) -> None:
    """Fork one life after another, as stdin says; return when it closes."""
    for line in iter(sys.stdin.buffer.readline, b""):
        orders = Orders(**json.loads(line))
        if not (pid := os.fork()):
            be_born(settings, orders, pipe)
        tell(pipe, born=pid)
        ended = os.pidfd_open(pid)
        readable, _, _ = select.select([sys.stdin, ended], [], [])
        if ended not in readable:  # the test has gone: it says nothing more while a life lasts
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        os.close(ended)
        tell(pipe, ended=orders.life, status=os.waitstatus_to_exitcode(status))


def main() -> None:
    """Read the command line and raise lives."""
    data, port, carrier_url, token, doubt = sys.argv[1:]
    settings = load(
        data=Path(data),
        port=int(port),
        account_sid=ACCOUNT,
        auth_token=AUTH_TOKEN,
        carrier_url=carrier_url,
        carrier_token=token,
        carrier_doubt=doubt,
        default_connection="http",
        schedule_window="0s..",
        allow_networks="127.0.0.0/8",
    )
    pipe = os.dup(1)
    os.dup2(2, 1)  # what the node logs is not for the test to read
    signal.alarm(MOST_SECONDS)
    raise_lives(settings, pipe)


if __name__ == "__main__":
    main()
