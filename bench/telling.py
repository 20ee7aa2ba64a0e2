"""How a process of the benchmark tells its parent what it has to tell: a JSON line each."""

import sys

import msgspec


def tell(**what: object) -> None:
    """Write one line for the parent."""
    sys.stdout.write(msgspec.json.encode(what).decode() + "\n")
    sys.stdout.flush()
