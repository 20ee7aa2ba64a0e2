"""One process at a time has a store's file open."""

import fcntl
import os
from pathlib import Path

from postdate.store.contract import StoreUnavailable


def locked(path: Path) -> int:
    """Return the handle of the lock that keeps other processes out; StoreUnavailable where one is in."""
    handle: int | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # SQLite alone would let others read it
        return handle
    except BlockingIOError:
        if handle is not None:
            os.close(handle)
        raise StoreUnavailable(f"another process has {path} open: stop it, or choose another --data folder") from None
    except OSError as error:
        raise StoreUnavailable(f"{path}: {error.strerror}: choose a --data folder that can be written") from None
