"""Ports for programs that are told theirs and cannot choose one: held until they listen, and while they are dead."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

LOCAL = "127.0.0.1"


@contextmanager
def held_port(port: int = 0) -> Iterator[int]:
    """Give a port of 127.0.0.1, bound here and not listened on: a free one, or that which is named, or OSError.

    Whoever asks for a free port meanwhile gets another one, and a connection to this one is refused. A program that is
    told it can listen on it all the same, if it sets SO_REUSEADDR as servers do (on Linux).
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((LOCAL, port))
        yield held.getsockname()[1]


@contextmanager
def held_ports(count: int) -> Iterator[list[int]]:
    """Give so many of them."""
    with ExitStack() as stack:
        yield [stack.enter_context(held_port()) for _ in range(count)]
