"""The URLs at which carriers report: unguessable, and one for each message where a carrier knows no reference of ours.

A connection's URL holds a key that only this node can make. A message's own URL adds its SID and a code over it, so
that whoever knows one such URL cannot make up another. Both are made from one secret of the node and compared in
constant time.
"""

import hmac
from hashlib import sha256
from typing import Final

# 128 bits: nobody tries them all, and a URL stays short enough for carriers that limit it.
_HEX_DIGITS: Final = 32


def events_key(secret: bytes, connection_sid: str) -> str:
    """Return the part of a connection's URL that nobody can guess."""
    return _code(secret, "connection", connection_sid)


def events_path(name: str, key: str) -> str:
    """Return the path at which the carrier of the connection of this name reports."""
    return f"/postdate/v1/Connections/{name}/Events/{key}"


def message_query(secret: bytes, connection_sid: str, message_sid: str) -> str:
    """Return the query that makes a connection's URL that of one message."""
    return f"?sid={message_sid}&mac={_message_code(secret, connection_sid, message_sid)}"


def is_events_key(secret: bytes, connection_sid: str, given: str) -> bool:
    """Say whether a key is the connection's."""
    return _same(events_key(secret, connection_sid), given)


def is_message_code(secret: bytes, connection_sid: str, message_sid: str, given: str) -> bool:
    """Say whether a `mac` was made for this message and connection."""
    return _same(_message_code(secret, connection_sid, message_sid), given)


def _message_code(secret: bytes, connection_sid: str, message_sid: str) -> str:
    return _code(secret, "message", connection_sid, message_sid)


def _code(secret: bytes, *about: str) -> str:
    # The length before each, so that no two lists of texts are one.
    told = b"".join(b"%d:%s" % (len(part), part) for part in (one.encode("utf-8", "surrogatepass") for one in about))
    return hmac.new(secret, told, sha256).hexdigest()[:_HEX_DIGITS]


def _same(ours: str, given: str) -> bool:
    return hmac.compare_digest(ours.encode(), given.encode("utf-8", "surrogatepass"))
