"""Twilio-shaped identifiers that carry their time and their shard.

A SID is a two-letter prefix and 32 hex digits: 48 bits of milliseconds since the epoch, 8 bits of bucket, 72 bits of
chance. Keys made in time order keep the B-tree warm, and any SID names its bucket without a look-up. Chance is an
argument: nothing here reads a clock or a random source.
"""

from postdate.core.instant import MILLISECOND, Instant

CHANCE_BYTES = 9
BUCKETS = 256
_HEX = frozenset("0123456789abcdefABCDEF")


def new_sid(prefix: str, at: Instant, bucket: int, chance: bytes) -> str:
    """Return a new SID made at `at` in `bucket`; `chance` is 9 random bytes."""
    return f"{prefix}{at // MILLISECOND:012x}{bucket:02x}{chance.hex()}"


def is_sid(text: str, *prefixes: str) -> bool:
    """Say whether `text` is a SID with one of `prefixes`."""
    return len(text) == 34 and text[:2] in prefixes and _HEX.issuperset(text[2:])


def bucket_of_sid(sid: str) -> int:
    """Return the bucket that a SID of ours names; any 34-character SID is understood."""
    return int(sid[14:16], 16)
