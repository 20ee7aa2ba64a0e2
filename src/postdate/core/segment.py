"""How a body is cut into SMS segments: its encoding, its parts and their sizes.

One segment holds 1,120 bits. A body that needs more goes out in parts of 1,072 bits, each behind a header of six
octets that tells the handset how to join them. Parts are filled from the front, and a cut never falls inside what a
person sees as one character: an escape pair in GSM-7, a grapheme cluster in UCS-2. So 153 and 67 are ceilings, and
only cutting gives the count. The one exception is a cluster that alone is larger than a part.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final, cast

from postdate.core import gsm7
from postdate.core.smart_encoding import smart_encode

HEADER_BITS: Final = 48
_SEGMENT_BITS: Final = 1120

# Units in a body of one segment, and in each part of a longer one: 1,120 and 1,072 bits of 7 or 16 bits each.
_GSM7_ALONE: Final = 160
_GSM7_PART: Final = 153
_UCS2_ALONE: Final = 70
_UCS2_PART: Final = 67
_LAST_OF_ONE_UNIT: Final = "\uffff"  # a code point above it is a surrogate pair

# Characters that are one UTF-16 unit and never join a neighbour, whatever stands beside them in a text of only such
# characters: Latin, Greek, Cyrillic, Hebrew, Arabic letters, punctuation, symbols, Chinese, Japanese, Korean. Such a
# text is cut by arithmetic, forty times faster than by searching it for clusters. Left out: marks, joiners, jamo.
_STANDALONE: Final = (
    "\n\r -~\u00a1-\u00ac\u00ae-\u02ff\u0370-\u0482\u048a-\u052f\u05d0-\u05ea\u0620-\u064a\u0660-\u066f"
    "\u1e00-\u1fff\u2010-\u2027\u202f-\u205e\u20a0-\u20cf\u2100-\u2bff"
    "\u3000-\u3029\u3030-\u3098\u309b-\u30ff\u3400-\u9fff\uac00-\ud7a3\uff01-\uff9d"
)
_JOINING: Final = re.compile(f"[^{_STANDALONE}]")


class Encoding(StrEnum):
    """How the characters of a body are written in its segments."""

    GSM7 = "GSM-7"
    UCS2 = "UCS-2"


@dataclass(frozen=True, slots=True)
class Segmentation:
    """A body cut into its parts; `characters` and `units` are counted over all of them."""

    encoding: Encoding
    segments: tuple[str, ...]
    """The text of each part, in order; joined they are the text as sent (after Smart Encoding, if that was on)."""
    characters: int
    """What Twilio shows as the number of characters: septets in GSM-7, grapheme clusters in UCS-2."""
    units: int
    """Septets in GSM-7, UTF-16 units in UCS-2."""

    @property
    def count(self) -> int:
        """Number of segments, at least 1: what is billed and what a sender's rate is spent on."""
        return len(self.segments)

    @property
    def scalars(self) -> int:
        """Code points of the text as sent."""
        return sum(map(len, self.segments))

    @property
    def message_bits(self) -> int:
        """Size of the text in bits, without headers."""
        return self.units * (7 if self.encoding is Encoding.GSM7 else 16)

    @property
    def total_bits(self) -> int:
        """Size in bits with the header of each part, if there is more than one part."""
        return self.message_bits + (HEADER_BITS * self.count if self.count > 1 else 0)


def segment(body: str, smart_encoded: bool = False) -> Segmentation:
    """Cut the body into segments, after Smart Encoding if asked; an empty body is one empty GSM-7 segment."""
    text = smart_encode(body) if smart_encoded else body
    if gsm7.is_gsm7(text):
        septets = gsm7.units(text)
        return Segmentation(Encoding.GSM7, _gsm7_parts(text), characters=septets, units=septets)
    clusters = _clusters(text)
    units = _utf16_units(text)
    return Segmentation(Encoding.UCS2, _ucs2_parts(text, clusters, units), characters=len(clusters), units=units)


def cut(text: str, encoding: Encoding, header_octets: int = HEADER_BITS // 8) -> tuple[str, ...]:
    """The text of each part, as `segment` cuts it, with another header than its or in UCS-2 although GSM-7 would do.

    `encoding` is GSM-7 only if the text `is_gsm7`.
    """
    bits = _SEGMENT_BITS - 8 * header_octets
    if encoding is Encoding.GSM7:
        return _gsm7_parts(text, bits // 7)
    return _ucs2_parts(text, _clusters(text), _utf16_units(text), bits // 16)


def count_segments(body: str) -> int:
    """Number of segments of a body as it stands (`smart_encode` it first if that is on); the same as `segment`'s."""
    if gsm7.is_gsm7(body):
        if 2 * len(body) <= _GSM7_ALONE:
            return 1
        septets = gsm7.units(body)
        if septets <= _GSM7_ALONE:
            return 1
        return -(-septets // _GSM7_PART) if septets == len(body) else len(_gsm7_parts(body))
    units = _utf16_units(body)
    if units <= _UCS2_ALONE:
        return 1
    return -(-units // _UCS2_PART) if _JOINING.search(body) is None else len(_ucs2_parts(body, _clusters(body), units))


def concatenation_udh(ref: int, total: int, index: int) -> bytes:
    """Header of part `index` (from 1) of `total`, in the form with an 8-bit reference: six octets.

    Parts are joined by sender and `ref` (0..255), so consecutive messages to one recipient need different ones.
    """
    if not 0 <= ref <= 0xFF:
        raise ValueError(f"reference {ref} is not in 0..255: pass it modulo 256")
    if not 1 <= index <= total <= 0xFF:
        raise ValueError(f"part {index} of {total} cannot be written: parts count from 1 and are at most 255")
    return bytes([0x05, 0x00, 0x03, ref, total, index])


def _gsm7_parts(text: str, most: int = _GSM7_PART) -> tuple[str, ...]:
    septets = gsm7.with_escapes(text)
    if len(septets) <= _GSM7_ALONE:
        return (text,)
    parts = []
    start = 0
    while start < len(septets):
        end = start + most
        if septets[end - 1 : end] == gsm7.ESCAPE:
            end -= 1
        parts.append(septets[start:end].replace(gsm7.ESCAPE, ""))
        start = end
    return tuple(parts)


def _ucs2_parts(text: str, clusters: Sequence[str], units: int, most: int = _UCS2_PART) -> tuple[str, ...]:
    if units <= _UCS2_ALONE:
        return (text,)
    if len(clusters) == units:
        return tuple(text[start : start + most] for start in range(0, units, most))
    parts = []
    start = end = filled = 0
    for length, size in _pieces(clusters, most):
        if filled + size > most:
            parts.append(text[start:end])
            start, filled = end, 0
        filled += size
        end += length
    return (*parts, text[start:])


def _pieces(clusters: Iterable[str], most: int) -> Iterator[tuple[int, int]]:
    """Code points and UTF-16 units of each stretch to keep whole: a cluster, or a code point of one too large."""
    for cluster in clusters:
        if len(cluster) == 1:
            yield 1, 1 + (cluster > _LAST_OF_ONE_UNIT)
            continue
        units = _utf16_units(cluster)
        if units <= most:
            yield len(cluster), units
        else:
            yield from _pieces(cluster, most)


def _utf16_units(text: str) -> int:
    # "surrogatepass" only so that a text which holds half a pair is counted instead of raising here.
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _clusters(text: str) -> Sequence[str]:
    """Grapheme clusters in order; CR LF is two, as the carriers count it."""
    return text if _JOINING.search(text) is None else _cluster_search()(text)


@cache
def _cluster_search() -> Callable[[str], list[str]]:
    # Imported here because it takes 20 ms, and most processes and all bodies in plain scripts do without it.
    import regex

    return cast(Callable[[str], list[str]], regex.compile(r"\r|\X").findall)
