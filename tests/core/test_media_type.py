"""Media are taken for what they are only if header and bytes say the same."""

import pytest

from postdate.core.media_type import agreed_type

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 20
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF"
MP4 = b"\x00\x00\x00\x18ftypmp42"
HTML = b"<!doctype html><title>Sign in</title>"


@pytest.mark.parametrize(
    ("declared", "body", "expected"),
    [
        pytest.param("image/png", PNG, "image/png", id="png"),
        pytest.param("Image/PNG; q=1", PNG, "image/png", id="case-and-parameters"),
        pytest.param("image/jpg", JPEG, "image/jpeg", id="alias"),
        pytest.param("image/gif", b"GIF89a....", "image/gif", id="gif"),
        pytest.param("", JPEG, "image/jpeg", id="undeclared"),
        pytest.param("application/octet-stream", PNG, "image/png", id="octets"),
        pytest.param("video/mp4", MP4, "video/mp4", id="mp4"),
        pytest.param("audio/mp4", MP4, "audio/mp4", id="mp4-audio"),
        pytest.param("video/quicktime", b"\x00\x00\x00\x08wide", "video/quicktime", id="quicktime"),
        pytest.param("application/pdf", b"%PDF-1.7", "application/pdf", id="pdf"),
        pytest.param("text/x-vcard", b"\xef\xbb\xbf\r\nbegin:vcard\r\n", "text/vcard", id="vcard"),
        pytest.param("text/calendar", b"BEGIN:VCALENDAR\r\n", "text/calendar", id="calendar"),
        pytest.param("text/plain; charset=utf-8", "Grüße".encode(), "text/plain", id="text"),
        pytest.param("image/png", JPEG, None, id="png-that-is-jpeg"),
        pytest.param("image/jpeg", HTML, None, id="jpeg-that-is-a-page"),
        pytest.param("video/mp4", PNG, None, id="mp4-that-is-png"),
        pytest.param("text/plain", PNG, None, id="text-that-is-png"),
        pytest.param("text/html", HTML, None, id="page"),
        pytest.param("application/zip", b"PK\x03\x04", None, id="zip"),
        pytest.param("application/octet-stream", HTML, None, id="octets-of-no-known-kind"),
        pytest.param("image/png", b"", None, id="empty"),
        pytest.param("text/plain", b"", None, id="empty-text"),
        pytest.param("", b"", None, id="nothing"),
    ],
)
def test_header_and_bytes_must_agree(declared: str, body: bytes, expected: str | None) -> None:
    assert agreed_type(declared, body) == expected
