"""Wall time and waiting time, as two types that cannot be mixed up.

`Instant` is stored and compared with `SendAt`: microseconds since 1970-01-01T00:00:00Z. `Monotonic` is waited on and
paced by: microseconds since an arbitrary start, never stepping back. Nothing in this module reads a clock.
"""

from typing import NewType

Instant = NewType("Instant", int)
Monotonic = NewType("Monotonic", int)

MICROSECOND = 1
MILLISECOND = 1_000
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
