"""What an SMSC that has gone wrong puts on the wire: whole frames and worse, each by a name. Pure."""

from collections.abc import Mapping
from struct import pack
from types import MappingProxyType
from typing import Final

_DELIVER_SM: Final = 0x00000005
_SEQUENCE: Final = 0x7EADBEEF  # far from the numbers of our own requests, so that no answer is taken for theirs

_RECEIPT: Final = b"id:1 sub:001 dlvrd:001 submit date:2611010000 done date:2611010000 stat:DELIVRD err:000 text:"


def _frame(command: int, body: bytes, status: int = 0) -> bytes:
    return pack(">IIII", 16 + len(body), command, status, _SEQUENCE) + body


def _deliver(text: bytes = b"odd", after: bytes = b"", source: bytes = b"14155550101", coding: int = 0) -> bytes:
    esm_class = 4 if text is _RECEIPT else 0
    addresses = b"\0\1\1" + source + b"\0\1\1" + b"15005550006\0"
    return _frame(_DELIVER_SM, addresses + bytes([esm_class, 0, 0, 0, 0, 0, 0, coding, 0, len(text)]) + text + after)


ODD: Final[Mapping[str, bytes]] = MappingProxyType(
    {
        "garbage": bytes(range(255, 191, -1)),  # read as a length, it is one that cannot be
        "length_too_short": pack(">IIII", 8, _DELIVER_SM, 0, _SEQUENCE),
        "length_too_long": pack(">IIII", 0x7FFFFFFF, _DELIVER_SM, 0, _SEQUENCE),
        "unknown_command": _frame(0x00000777, b"who knows"),
        "unknown_response": _frame(0x80000777, b"", 0x0410),
        "latin1_sender": _deliver(source=b"Caf\xe9"),
        "long_sender": _deliver(source=b"1234567890123456789012345"),
        "trailing_octet": _deliver(after=b"\0"),
        "parameter_overrun": _deliver(after=pack(">HH", 0x0427, 200) + b"\2"),
        "text_overrun": _frame(_DELIVER_SM, _deliver()[16:-1]),  # shorter by one than its length says
        "short_body": _frame(_DELIVER_SM, b"\0\1\1"),
        "half_a_character": _deliver(b"\x00H\xd8", coding=8),
        "empty_state": _deliver(_RECEIPT, pack(">HH", 0x0427, 0)),
        "vendor_parameter": _deliver(_RECEIPT, pack(">HH", 0x1403, 3) + b"\1\2\3"),
    }
)
