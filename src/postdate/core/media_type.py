"""Which type a media item is of: what its Content-Type says, if its bytes agree.

Carriers refuse media whose header and bytes differ, so such media stop here. The types are those that Twilio takes
for MMS; anything else has no name here.
"""

from collections.abc import Mapping
from types import MappingProxyType

IMAGES = frozenset({"image/jpeg", "image/png", "image/gif"})  # carriers shrink these, so they may be large

_UNTYPED = frozenset({"", "application/octet-stream", "binary/octet-stream"})
_ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "image/jpg": "image/jpeg",
        "image/pjpeg": "image/jpeg",
        "audio/mp3": "audio/mpeg",
        "text/x-vcard": "text/vcard",
    }
)
_PLAIN_TEXT = "text/plain"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_HEAD = 64
_MP4 = ((4, b"ftyp"),)
# At which place a type's bytes hold what: any one of the pairs will do. The order matters for untyped bytes only.
_SIGNATURES: Mapping[str, tuple[tuple[int, bytes], ...]] = MappingProxyType(
    {
        "image/jpeg": ((0, b"\xff\xd8\xff"),),
        "image/png": ((0, b"\x89PNG\r\n\x1a\n"),),
        "image/gif": ((0, b"GIF87a"), (0, b"GIF89a")),
        "image/bmp": ((0, b"BM"),),
        "image/tiff": ((0, b"II*\x00"), (0, b"MM\x00*")),
        "audio/mpeg": ((0, b"ID3"), (0, b"\xff\xfb"), (0, b"\xff\xfa"), (0, b"\xff\xf3"), (0, b"\xff\xf2")),
        "audio/ogg": ((0, b"OggS"),),
        "audio/amr": ((0, b"#!AMR"),),
        "video/webm": ((0, b"\x1a\x45\xdf\xa3"),),
        "video/mp4": _MP4,
        "video/3gpp": _MP4,
        "video/quicktime": (*_MP4, (4, b"moov"), (4, b"mdat"), (4, b"wide"), (4, b"free")),
        "audio/mp4": _MP4,
        "audio/3gpp": _MP4,
        "application/pdf": ((0, b"%PDF-"),),
        "text/vcard": ((0, b"BEGIN:VCARD"),),
        "text/calendar": ((0, b"BEGIN:VCALENDAR"),),
    }
)


def agreed_type(declared: str, body: bytes) -> str | None:
    """Return the type that the Content-Type and the bytes agree on; None if they do not, or if no carrier takes it."""
    name = declared.partition(";")[0].strip().lower()
    name = _ALIASES.get(name, name)
    if not body:
        return None
    if name in _UNTYPED:
        return next((known for known in _SIGNATURES if _looks_like(known, body)), None)
    return name if _looks_like(name, body) else None


def _looks_like(content_type: str, body: bytes) -> bool:
    if content_type == _PLAIN_TEXT:
        return b"\x00" not in body
    head = body[:_HEAD]
    if content_type.startswith("text/"):
        head = head.removeprefix(_BYTE_ORDER_MARK).lstrip().upper()
    return any(head.startswith(mark, place) for place, mark in _SIGNATURES.get(content_type, ()))
