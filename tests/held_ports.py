"""Ports for programs that are told theirs and cannot choose one: held until they listen, and while they are dead."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

LOCAL = "127.0.0.1"


@contextmanager
def held_ports(count: int) -> Iterator[list[int]]:
    """Give free ports of 127.0.0.1, each bound here and not listened on.

    Whoever asks for a free port meanwhile gets another one, and a connection to one of these is refused. A program that
    is told one can listen on it all the same, if it sets SO_REUSEADDR as servers do (on Linux).
    """
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in held:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((LOCAL, 0))
        yield [one.getsockname()[1] for one in held]
