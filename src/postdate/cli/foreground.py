"""A process in the foreground: signals, what it says, and errors that an operator can put right as sentences.

Stopping is finishing: the first SIGINT or SIGTERM says so and lets go on what is under way; a second one ends the
process at once.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterator

from postdate.api.server import CannotListen
from postdate.cli.command import Trouble
from postdate.store.contract import StoreError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def in_plain_words() -> Iterator[None]:
    """Turn what an operator can put right into a sentence."""
    try:
        yield
    except (StoreError, CannotListen) as error:
        raise Trouble(_sentence(str(error))) from None
    except OSError as error:
        if error.filename is None:
            raise
        raise Trouble(_sentence(f"{error.filename}: {error.strerror}")) from None


def _sentence(text: str) -> str:
    """Return a text that ends as a sentence does, and begins as one unless its first word is a name."""
    begun = f"{text[:1].upper()}{text[1:]}" if text.partition(" ")[0].isalpha() else text
    return begun if begun.endswith(".") else f"{begun}."


def listen_for_signals(told: asyncio.Future[None]) -> None:
    """Set `told` when the process is to stop."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
        told.set_result(None)
        say("\nStopping: what is under way is finished first. (Once more to stop at once.)")

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)


def say(text: str) -> None:
    """Print to whoever listens; where nobody does any more, a node goes on, or stops, all the same."""
    try:
        print(text, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
