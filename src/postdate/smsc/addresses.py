"""Addresses as handsets know them, and as SMPP writes them. Pure."""

from typing import Final, NamedTuple

_UNKNOWN: Final = 0
_INTERNATIONAL: Final = 1
_NETWORK: Final = 3
_ALPHANUMERIC: Final = 5
_ISDN: Final = 1
_SHORTEST_NUMBER: Final = 9  # digits from which on a number of unknown type is no short code


class WireAddress(NamedTuple):
    """Type of number, numbering plan and digits or letters, as a PDU has them."""

    ton: int
    npi: int
    text: str


def read_address(ton: int, text: str) -> str:
    """Return an address as handsets show it: numbers in E.164 with a plus, short codes and names as they are."""
    if not (text.isascii() and text.isdigit()):
        return text
    if ton == _INTERNATIONAL or (ton == _UNKNOWN and len(text) >= _SHORTEST_NUMBER):
        return f"+{text}"
    return text


def write_address(address: str) -> WireAddress:
    """Return an address as a PDU has it."""
    if address.startswith("+"):
        return WireAddress(_INTERNATIONAL, _ISDN, address[1:])
    if address.isascii() and address.isdigit():
        return WireAddress(_NETWORK, 0, address)
    return WireAddress(_ALPHANUMERIC, 0, address)
