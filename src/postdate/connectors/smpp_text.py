"""Texts in SMPP: a body to the `short_message` of each of its parts, and what a carrier sends us back to a text.

Out: a body is cut exactly where its segments were counted, and each part says how it is written (`data_coding`) and
how the parts are joined: by a header in front of the text, by parameters beside it, never by both. In: nothing raises,
because what cannot be read right must be shown somehow, and refusing it would only bring it again. Carriers write
Latin-1, UTF-8 and odd numbers of octets where the standard forbids it. No result holds a NUL or half a surrogate pair.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from postdate.connectors.contract import Part
from postdate.core import gsm7
from postdate.core.segment import Encoding, concatenation_udh, cut
from postdate.smpp.codes import Tag
from postdate.smpp.pdu import DataSm, DeliverSm, SubmitSm, Tlv
from postdate.smpp.receipt import HAS_HEADER

DEFAULT: Final = 0x00
IA5: Final = 0x01
LATIN1: Final = 0x03
UCS2: Final = 0x08

# Some write GSM-7 and call it IA5. Where it has one of these it can be seen: an @, a $, an escape, say; no text in IA5
# has control characters but a tab, ends of lines and of pages.
_NOT_IA5: Final = re.compile(rb"[^\t\n\f\r -~]")

_CONCATENATED_8: Final = 0x00  # information elements of a header
_CONCATENATED_16: Final = 0x08
_ALONE_GSM7: Final = 160  # septets of a text of one part
_ALONE_UCS2: Final = 70  # 16-bit units of one
_HEADER_8: Final = 6  # octets of a header with a reference of so many bits
_HEADER_16: Final = 7


class Coding(StrEnum):
    """What data_coding 0, "the SMSC's default alphabet", is at a carrier."""

    GSM7 = "gsm7"  # one septet in each octet
    GSM7_PACKED = "gsm7-packed"  # eight septets in seven octets
    LATIN1 = "latin1"
    ASCII = "ascii"


class LongMode(StrEnum):
    """How the parts of a long message are joined at a carrier."""

    UDH8 = "udh8"  # a header with an 8-bit reference
    UDH16 = "udh16"  # a header with a 16-bit reference: an octet less for the text
    SAR = "sar"  # the sar_* parameters
    PAYLOAD = "payload"  # not cut: all in one message_payload, and the carrier cuts


@dataclass(frozen=True, slots=True)
class Piece:
    """Fields of the `submit_sm` of one part."""

    short_message: bytes
    data_coding: int
    esm_class: int = 0
    tlvs: tuple[Tlv, ...] = ()


@dataclass(frozen=True, slots=True)
class Read:
    """What a message says; `part` tells which part of a longer one it is."""

    text: str
    part: Part | None = None


def write_text(text: str, coding: Coding, mode: LongMode, ref: int) -> tuple[Piece, ...]:
    """The parts of a text, in order; `ref` (cut to what the header can hold) should differ from message to message.

    Where data_coding 0 is Latin-1 or ASCII, a GSM-7 text that does not fit into it goes out as UCS-2, in more parts
    than its segments were counted as.
    """
    alphabet = _alphabet(text, coding)
    data_coding = UCS2 if alphabet is None else DEFAULT
    if 2 * len(text) <= (_ALONE_UCS2 if alphabet is None else _ALONE_GSM7):  # no character costs more than two
        return (Piece(_write(text, alphabet), data_coding),)
    header_octets = _HEADER_16 if mode is LongMode.UDH16 else _HEADER_8
    texts = cut(text, Encoding.UCS2 if alphabet is None else Encoding.GSM7, header_octets)
    if len(texts) == 1:
        return (Piece(_write(text, alphabet), data_coding),)
    if mode is LongMode.PAYLOAD:
        return (Piece(b"", data_coding, tlvs=((Tag.MESSAGE_PAYLOAD, _write(text, alphabet)),)),)
    total = len(texts)
    return tuple(_part(one, alphabet, mode, Part(ref, total, index)) for index, one in enumerate(texts, start=1))


def read_text(body: SubmitSm | DeliverSm | DataSm, coding: Coding) -> Read:
    """What a body says, where data_coding 0 is `coding`; never raises."""
    octets = body.tlv(Tag.MESSAGE_PAYLOAD) or b""
    if not isinstance(body, DataSm):
        octets = body.short_message or octets
    header = _header(octets) if body.esm_class & HAS_HEADER else b""
    text = _read(octets[len(header) :], body.data_coding, coding, _fill_bits(header))
    return Read(text.replace("\0", ""), _part_of_header(header) or _part_of_tlvs(body))


def _alphabet(text: str, coding: Coding) -> Coding | None:
    """In what the text is written: the default alphabet if it can be, else UCS-2, which is None here."""
    if not gsm7.is_gsm7(text):
        return None
    if coding in (Coding.LATIN1, Coding.ASCII) and not _fits(text, coding):
        return None
    return coding


def _fits(text: str, coding: Coding) -> bool:
    return text.isascii() or (coding is Coding.LATIN1 and max(text) <= "\xff")


def _part(text: str, alphabet: Coding | None, mode: LongMode, part: Part) -> Piece:
    data_coding = UCS2 if alphabet is None else DEFAULT
    if mode is LongMode.SAR:
        tlvs = (
            (Tag.SAR_MSG_REF_NUM, (part.ref & 0xFFFF).to_bytes(2, "big")),
            (Tag.SAR_TOTAL_SEGMENTS, bytes([part.total])),
            (Tag.SAR_SEGMENT_SEQNUM, bytes([part.index])),
        )
        return Piece(_write(text, alphabet), data_coding, tlvs=tlvs)
    header = concatenation_udh(part.ref & 0xFF, part.total, part.index)
    if mode is LongMode.UDH16:
        header = b"\x06\x08\x04" + (part.ref & 0xFFFF).to_bytes(2, "big") + header[-2:]
    return Piece(header + _write(text, alphabet, _fill_bits(header)), data_coding, esm_class=HAS_HEADER)


def _write(text: str, alphabet: Coding | None, fill_bits: int = 0) -> bytes:
    match alphabet:
        case None:
            return text.encode("utf-16-be", "replace")
        case Coding.GSM7:
            return gsm7.encode(text)
        case Coding.GSM7_PACKED:
            septets = gsm7.encode(text)
            # Seven spare bits would read as one more character, an @; the standard fills them with a line end.
            spare = -(len(septets) * 7 + fill_bits) % 8
            return gsm7.pack(septets + b"\r" if spare == 7 else septets, fill_bits)
        case Coding.LATIN1 | Coding.ASCII:
            return text.encode("latin-1")


def _fill_bits(header: bytes) -> int:
    """Zero bits behind a header, so that packed text begins on a septet."""
    return -8 * len(header) % 7


def _read(octets: bytes, data_coding: int, coding: Coding, fill_bits: int) -> str:
    if data_coding == IA5 and octets.isascii() and _NOT_IA5.search(octets.rstrip(b"\0")):
        return gsm7.decode(octets)
    codec = _CODECS.get(data_coding)
    if codec is not None:
        return octets.decode(codec, "replace")
    if data_coding == UCS2 or data_coding & 0xF0 == 0xE0:
        return _read_ucs2(octets)
    if data_coding >= 0xF0 and data_coding & 0x04:
        return octets.decode("latin-1")
    if 0x10 <= data_coding < 0x40:  # GSM 03.38's own numbers, with a message class
        kind = data_coding & 0x0C
        if kind == 0x08:
            return _read_ucs2(octets)
        if kind:
            return octets.decode("latin-1")
    return _read_default(octets, coding, fill_bits)


def _read_default(octets: bytes, coding: Coding, fill_bits: int) -> str:
    if coding is Coding.GSM7_PACKED and octets:  # nothing at all may stand behind a header
        septets = gsm7.unpack(octets, (len(octets) * 8 - fill_bits) // 7, fill_bits)
        ends_on_octet = (len(septets) * 7 + fill_bits) % 8 == 0
        return gsm7.decode(septets[:-1] if ends_on_octet and septets.endswith(b"\r") else septets)
    if coding is Coding.LATIN1:
        return octets.decode("latin-1")
    if octets.isascii():
        return octets.decode("ascii") if coding is Coding.ASCII else gsm7.decode(octets)
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def _read_ucs2(octets: bytes) -> str:
    """Big-endian unless a mark says otherwise; an odd octet at the end is dropped, half a pair becomes U+FFFD."""
    whole = octets[: len(octets) & ~1]
    codec = "utf-16" if whole[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-16-be"
    return whole.decode(codec, "replace")


def _header(octets: bytes) -> bytes:
    """The header in front of a text; empty if what says to be one is longer than all there is."""
    length = 1 + octets[0] if octets else 0
    return octets[:length] if length <= len(octets) else b""


def _part_of_header(header: bytes) -> Part | None:
    at = 1
    while at + 2 <= len(header):
        element, length = header[at], header[at + 1]
        value = header[at + 2 : at + 2 + length]
        at += 2 + length
        if (element, len(value)) in ((_CONCATENATED_8, 3), (_CONCATENATED_16, 4)):
            return _valid_part(int.from_bytes(value[:-2], "big"), value[-2], value[-1])
    return None


def _part_of_tlvs(body: SubmitSm | DeliverSm | DataSm) -> Part | None:
    ref, total, index = (body.tlv(tag) for tag in (Tag.SAR_MSG_REF_NUM, Tag.SAR_TOTAL_SEGMENTS, Tag.SAR_SEGMENT_SEQNUM))
    if not ref or not total or not index:
        return None
    return _valid_part(int.from_bytes(ref[-2:], "big"), total[-1], index[-1])


def _valid_part(ref: int, total: int, index: int) -> Part | None:
    """None for the only part of a message, and for numbers that cannot be."""
    return Part(ref, total, index) if total > 1 and 1 <= index <= total else None


# Alphabets with a fixed number. 2 and 4 are octets of any kind, shown as best can be; 5 and 10 are Japanese, 14 Korean.
_CODECS: Final[Mapping[int, str]] = {
    IA5: "latin-1",  # ASCII, with what some add to it
    0x02: "latin-1",
    LATIN1: "latin-1",
    0x04: "latin-1",
    0x05: "shift_jis",
    0x06: "iso8859-5",
    0x07: "iso8859-8",
    0x0A: "iso2022_jp",
    0x0E: "euc_kr",
}
