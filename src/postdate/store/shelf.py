"""The parts of the lists that messages stand in: pure, and the same for every store.

A message stands in one of them, so that a list of what failed reads nothing else, and only what ends a message's way
moves it. The numbers are on disk, and in the migrations.
"""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType

from postdate.core.instant import Instant
from postdate.core.message import Status


class Shelf(IntEnum):
    """OPEN and IN_DOUBT are not done yet; GONE is with its carrier or farther; the others are as their status says."""

    OPEN = 0
    IN_DOUBT = 1
    GONE = 2
    FAILED = 3
    UNDELIVERED = 4
    CANCELED = 5
    RECEIVED = 6


OF_STATUS: Mapping[Status, Shelf] = MappingProxyType(
    {
        Status.ACCEPTED: Shelf.OPEN,
        Status.SCHEDULED: Shelf.OPEN,
        Status.QUEUED: Shelf.OPEN,
        Status.SENDING: Shelf.OPEN,
        Status.SENT: Shelf.GONE,
        Status.DELIVERED: Shelf.GONE,
        Status.READ: Shelf.GONE,
        Status.PARTIALLY_DELIVERED: Shelf.GONE,
        Status.FAILED: Shelf.FAILED,
        Status.UNDELIVERED: Shelf.UNDELIVERED,
        Status.CANCELED: Shelf.CANCELED,
        Status.RECEIVING: Shelf.RECEIVED,
        Status.RECEIVED: Shelf.RECEIVED,
    }
)


def shelf_of(status: Status, doubt_at: Instant | None) -> Shelf:
    """Return where a message stands."""
    shelf = OF_STATUS[status]
    return Shelf.IN_DOUBT if shelf is Shelf.OPEN and doubt_at is not None else shelf
