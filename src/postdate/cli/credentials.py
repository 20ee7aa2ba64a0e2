"""The file that tells commands on this machine how to reach the node of a data folder: `credentials.env`, mode 0600.

`postdate serve` writes it at each start, so that it is right while the node runs and the node's lock on the store is no
matter. Its lines are those of an environment file: `. data/credentials.env` works in a shell.
"""

import os
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

FILE: Final = "credentials.env"
URL: Final = "POSTDATE_URL"
ACCOUNT_SID: Final = "TWILIO_ACCOUNT_SID"
AUTH_TOKEN: Final = "TWILIO_AUTH_TOKEN"

_ANYWHERE: Final = MappingProxyType({"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"})
_HEAD: Final = "# Written by `postdate serve` at each start. It holds the auth token: keep it to yourself.\n"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where a node is, and who signs in there."""

    url: str
    account_sid: str
    auth_token: str = field(repr=False)

    def exports(self) -> str:
        """Return the lines that a shell evaluates."""
        pair = f"{ACCOUNT_SID}={shlex.quote(self.account_sid)} {AUTH_TOKEN}={shlex.quote(self.auth_token)}"
        return f"export {pair}\nexport {URL}={shlex.quote(self.url)}"


def write_credentials(folder: Path, credentials: Credentials) -> None:
    """Keep them in the data folder, whole or not at all; nobody but the owner can read the file."""
    lines = {
        URL: credentials.url,
        ACCOUNT_SID: credentials.account_sid,
        AUTH_TOKEN: credentials.auth_token,
    }
    text = _HEAD + "".join(f"{name}={shlex.quote(value)}\n" for name, value in lines.items())
    fresh = folder / f"{FILE}.{os.getpid()}"
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(text.encode())
    fresh.replace(folder / FILE)


def read_credentials(folder: Path) -> Credentials | None:
    """Return what the data folder's file says; None where there is none, or it is not whole."""
    try:
        words = shlex.split((folder / FILE).read_bytes().decode(), comments=True)
    except (OSError, ValueError):
        return None
    found = dict(word.partition("=")[::2] for word in words)
    if not all(found.get(name) for name in (URL, ACCOUNT_SID, AUTH_TOKEN)):
        return None
    return Credentials(found[URL], found[ACCOUNT_SID], found[AUTH_TOKEN])


def local_url(host: str, port: int) -> str:
    """Return where this machine reaches a node that listens on `host`."""
    reached = _ANYWHERE.get(host, host)
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"
