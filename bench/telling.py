"""How a process of the benchmark tells its parent what it has to tell: a JSON line each."""

import asyncio
import sys

import msgspec


def tell(**what: object) -> None:
    """Write one line for the parent."""
    sys.stdout.write(msgspec.json.encode(what).decode() + "\n")
    sys.stdout.flush()


async def input_closed() -> None:
    """Return when the parent has closed our input, or is gone."""
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
