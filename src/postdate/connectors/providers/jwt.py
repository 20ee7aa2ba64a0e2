"""JSON Web Tokens that carriers sign with a secret which they share with us (RFC 7515, HMAC), and their Base64.

The algorithm is ours to say: a token that names another, or none, is not signed. What it claims is read only when its
signature is right.
"""

import base64
import binascii
import hmac
from collections.abc import Collection
from typing import Final, TypeVar

import msgspec

from postdate.connectors.providers.reading import decode, same
from postdate.core.instant import SECOND, Instant

LONGEST: Final = 4096
_HASHES: Final = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}

_Form = TypeVar("_Form")


class _Head(msgspec.Struct, frozen=True):
    alg: str


def claims_of(
    token: str, secret: str, form: type[_Form], algorithms: Collection[str] = frozenset({"HS256"})
) -> _Form | None:
    """Return what a token claims; None where it is not signed with the secret, or its claims do not fit the form."""
    parts = token.split(".")
    if len(token) > LONGEST or len(parts) != 3:
        return None
    head = decode(_unpacked(parts[0]), _Head)
    if head is None or head.alg not in algorithms:
        return None
    signed = f"{parts[0]}.{parts[1]}".encode(errors="replace")
    if not same(packed(hmac.digest(secret.encode(), signed, _HASHES[head.alg])), parts[2]):
        return None
    return decode(_unpacked(parts[1]), form)


def is_current(not_before: float, expires: float, at: Instant, leeway: int) -> bool:
    """Say whether a token is good at `at`; its times in seconds, `leeway` between the clocks in microseconds."""
    return not_before * SECOND - leeway <= at < expires * SECOND + leeway


def packed(raw: bytes) -> str:
    """Write Base64 as tokens have it: for URLs, and without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _unpacked(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return b""
