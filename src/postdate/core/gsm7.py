"""GSM 03.38 (3GPP TS 23.038): the 7-bit default alphabet, its extension table, and their two forms on the wire.

A *septet* is one 7-bit unit. A character of the basic table costs one septet, one of the extension table two: the
escape and a septet. Octets here are either *unpacked* (one septet in each octet, as most SMPP carriers take them) or
*packed* (eight septets in seven octets, as a handset or modem takes them). Only `pack` and `unpack` know the second.
Decoding never refuses a septet, because a text already sent to us must be shown somehow.
"""

import re
from collections.abc import Mapping
from typing import Final

ESCAPE: Final = "\x1b"

# In the order of the standard: row by row, 16 to a row. Position 0x1B is the escape, not a character.
BASIC: Final = (
    "@£$¥èéùìòÇ\nØø\rÅå"
    "Δ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./"
    "0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNO"
    "PQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmno"
    "pqrstuvwxyzäöñüà"
)
EXTENSION: Final[Mapping[str, int]] = {
    "\f": 0x0A,
    "^": 0x14,
    "{": 0x28,
    "}": 0x29,
    "\\": 0x2F,
    "[": 0x3C,
    "~": 0x3D,
    "]": 0x3E,
    "|": 0x40,
    "€": 0x65,
}

_BASIC_CHARACTERS: Final = BASIC.replace(ESCAPE, "")
_EXTENDED: Final = re.compile(f"[{re.escape(''.join(EXTENSION))}]")
_FOREIGN: Final = re.compile(f"[^{re.escape(_BASIC_CHARACTERS + ''.join(EXTENSION))}]")

# Most texts: only characters whose septet is their number in ASCII.
_ALIKE: Final = re.compile(r"[\n\r -#%-?A-Za-z]*")

_ENCODED: Final[Mapping[int, str]] = {
    **{ord(character): chr(septet) for septet, character in enumerate(BASIC) if character != ESCAPE},
    **{ord(character): ESCAPE + chr(septet) for character, septet in EXTENSION.items()},
}

# Every septet and every pair that starts with the escape, so that decoding is one look-up. The standard: a pair that
# is not in the extension table shows the basic character, and an escape that stands for nothing shows a space.
_SYMBOL: Final = re.compile(rb"\x1b?.", re.DOTALL)
_DECODED: Final[Mapping[bytes, str]] = {
    **{bytes([septet]): character.replace(ESCAPE, " ") for septet, character in enumerate(BASIC)},
    **{bytes([0x1B, septet]): character.replace(ESCAPE, " ") for septet, character in enumerate(BASIC)},
    **{bytes([0x1B, septet]): character for character, septet in EXTENSION.items()},
}


def is_gsm7(text: str) -> bool:
    """Whether every character is in the basic or the extension table."""
    return _FOREIGN.search(text) is None


def units(text: str) -> int:
    """Septets that a GSM-7 text takes; for any other text the answer means nothing (`is_gsm7` first)."""
    return len(text) + len(_EXTENDED.findall(text))


def with_escapes(text: str) -> str:
    """The GSM-7 text with the escape written before each character that needs it: one character for each septet."""
    return _EXTENDED.sub(ESCAPE + r"\g<0>", text)


def encode(text: str) -> bytes:
    """Septets of the text, unpacked; ValueError at the first character that GSM-7 does not have."""
    if _ALIKE.fullmatch(text):
        return text.encode("ascii")
    foreign = _FOREIGN.search(text)
    if foreign:
        position = foreign.start()
        raise ValueError(f"U+{ord(foreign[0]):04X} at position {position} is not in GSM-7: send this text as UCS-2")
    return text.translate(_ENCODED).encode("ascii")


def decode(septets: bytes) -> str:
    """The text of unpacked septets; ValueError if an octet is above 127, which says that this is not GSM-7 at all."""
    if not septets.isascii():
        position = next(at for at, octet in enumerate(septets) if octet > 0x7F)
        raise ValueError(
            f"octet 0x{septets[position]:02X} at position {position} is above 7 bits: unpack it, or read it as Latin-1"
        )
    return "".join([_DECODED[symbol] for symbol in _SYMBOL.findall(septets)])


def pack(septets: bytes, fill_bits: int = 0) -> bytes:
    """Unpacked septets as 7-bit octets; `fill_bits` (0..6) zero bits come first, to end a header on a septet."""
    if not septets.isascii():
        raise ValueError("a septet is above 127: pass the octets that `encode` gives")
    bits = 0
    for septet in reversed(septets):
        bits = bits << 7 | septet
    return (bits << fill_bits).to_bytes((len(septets) * 7 + fill_bits + 7) // 8, "little")


def unpack(octets: bytes, count: int, fill_bits: int = 0) -> bytes:
    """The first `count` septets of 7-bit octets, unpacked; ValueError if the octets hold fewer.

    The count comes from the length field beside the octets: eight septets and seven can take the same seven octets.
    """
    if count * 7 + fill_bits > len(octets) * 8:
        raise ValueError(f"{len(octets)} octets cannot hold {count} septets: the text was cut short")
    bits = int.from_bytes(octets, "little") >> fill_bits
    return bytes([bits >> 7 * at & 0x7F for at in range(count)])
