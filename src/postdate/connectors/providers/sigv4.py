"""AWS Signature Version 4: the headers that sign one HTTP request, with the time as an argument.

Held against botocore's signer in the tests. Paths are signed as AWS does it for all services but S3: each part is
escaped once more than it is in the URL. Dots in a path are not resolved; no URL of ours has them.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, urlsplit

from postdate.core.instant import Instant, format_iso

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Signer:
    """Whose requests to which service; `token` goes with temporary credentials."""

    key_id: str
    secret: str = field(repr=False)
    region: str
    service: str
    token: str | None = field(default=None, repr=False)

    def sign(self, method: str, url: str, headers: Mapping[str, str], body: bytes, at: Instant) -> dict[str, str]:
        """Return the headers and those that date and sign the request; `at` is cut to the second."""
        moment = format_iso(at).replace("-", "").replace(":", "")
        signed = {**headers, "X-Amz-Date": moment}
        if self.token is not None:
            signed["X-Amz-Security-Token"] = self.token
        names, canonical = _canonical(method, url, signed, body)
        steps = (moment[:8], self.region, self.service, "aws4_request")
        scope = "/".join(steps)
        text = "\n".join((_ALGORITHM, moment, scope, hashlib.sha256(canonical.encode()).hexdigest()))
        key = f"AWS4{self.secret}".encode()
        for step in steps:
            key = _mac(key, step)
        credential = f"Credential={self.key_id}/{scope}"
        signature = f"{_ALGORITHM} {credential}, SignedHeaders={names}, Signature={_mac(key, text).hex()}"
        return {**signed, "Authorization": signature}


def _canonical(method: str, url: str, headers: Mapping[str, str], body: bytes) -> tuple[str, str]:
    """Return the names of the signed headers and the request in the one form that both sides hash."""
    parts = urlsplit(url)
    plain = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    plain["host"] = _host(parts.scheme, parts.hostname or "", parts.port)
    names = ";".join(sorted(plain))
    lines = [
        method,
        quote(parts.path or "/", safe="/~"),
        _query(parts.query),
        *(f"{name}:{plain[name]}" for name in sorted(plain)),
        "",
        names,
        hashlib.sha256(body).hexdigest(),
    ]
    return names, "\n".join(lines)


def _query(query: str) -> str:
    pairs = sorted(pair.partition("=")[::2] for pair in query.split("&") if query)
    return "&".join(f"{name}={value}" for name, value in pairs)


def _host(scheme: str, host: str, port: int | None) -> str:
    name = f"[{host}]" if ":" in host else host
    return name if port is None or port == _DEFAULT_PORTS.get(scheme) else f"{name}:{port}"


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
