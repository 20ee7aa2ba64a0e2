"""The one outgoing HTTP client of a node: a call to a customer as bytes, or media, through the gate.

The request line, the host and what is constant beside them are made once for a URL and kept for the next call to it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from postdate import __version__
from postdate.core.callback import CallbackPolicy, CallbackResult, Forbidden, split_credentials, url_to_call
from postdate.core.callback_form import Params, form_body, url_with_params
from postdate.flow.outgoing.calls import Calls, Place
from postdate.flow.outgoing.gate import NOT_HTTP, Gate, Network, http_url
from postdate.flow.outgoing.media import (
    IMAGE_LIMIT,
    MEDIA_POLICY,
    OTHER_MEDIA_LIMIT,
    Media,
    MediaClient,
    MediaFailure,
)

# Compressed answers are neither asked for nor unpacked: a small one can unpack to any size.
_HEADERS: Final = {"User-Agent": f"Postdate/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}
_KNOWN_URLS: Final = 4_096
_VISIBLE: Final = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a URL leads, and the head of a request to it as far as it is the same each time."""

    place: Place
    head: str = field(repr=False)


class Outgoing:
    """Calls customers' servers and fetches their media. One per node; call `close` at the end."""

    def __init__(
        self,
        allow: Sequence[Network] = (),
        ports: frozenset[int] | None = None,
        media_policy: CallbackPolicy = MEDIA_POLICY,
    ) -> None:
        gate = Gate(allow, ports)
        self._calls = Calls(gate)
        self._media = MediaClient(gate, media_policy, _HEADERS)

    async def close(self) -> None:
        """Close all connections; calls after it raise RuntimeError."""
        self._calls.close()
        await self._media.close()

    async def call(
        self, method: str, url: str, params: Params, headers: Mapping[str, str], policy: CallbackPolicy
    ) -> CallbackResult:
        """Make one attempt and say how it ended; never follows a redirect. POST sends a form, GET a query.

        The request goes out byte for byte as `url_to_call` or `url_with_params` has it, so its signature holds.
        `headers` are ours: their values are not checked.
        """
        if method.upper() != "GET":
            return await self.post(url, form_body(params), headers, policy)
        target = _target("GET", url_with_params(url, params))
        if target is None:
            return Forbidden(NOT_HTTP)
        return await self._calls.ask(target.place, _request("GET", target, headers, ""), policy)

    async def post(self, url: str, form: str, headers: Mapping[str, str], policy: CallbackPolicy) -> CallbackResult:
        """Make one attempt as `call` does; the form is one that `form_body` made."""
        target = _known_target("POST", url)
        if target is None:
            return Forbidden(NOT_HTTP)
        return await self._calls.ask(target.place, _request("POST", target, headers, form), policy)

    async def fetch_media(
        self, url: str, limit_bytes: int = IMAGE_LIMIT, other_limit_bytes: int = OTHER_MEDIA_LIMIT
    ) -> Media | MediaFailure:
        """Fetch media over at most three redirects; `limit_bytes` for JPEG, PNG and GIF, the lesser one for others."""
        return await self._media.fetch(url, limit_bytes, other_limit_bytes)


def _request(method: str, target: _Target, headers: Mapping[str, str], body: str) -> bytes:
    own = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if method == "GET":
        return f"{target.head}{own}\r\n".encode()
    return (  # a form is ASCII: its length in characters is its length
        f"{target.head}{own}Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def _target(method: str, url: str) -> _Target | None:
    """Return where the URL leads; None where it is none for HTTP."""
    bare, authorization = split_credentials(url_to_call(url))
    parsed = http_url(bare, as_written=True)
    if parsed is None or parsed.host is None or parsed.port is None or not _VISIBLE.fullmatch(bare):
        return None
    path = bare.split("/", 3)[3]  # after the scheme, an empty part and the authority
    headers = {"Host": parsed.host_port_subcomponent} | _HEADERS
    if authorization is not None:
        headers["Authorization"] = authorization
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    place = Place(parsed.scheme == "https", _without_dot(parsed.host), parsed.port)
    return _Target(place, f"{method} /{path} HTTP/1.1\r\n{lines}")


def _without_dot(host: str) -> str:
    """Return an address that ends in a dot without it; a name keeps it: there it means something."""
    return host[:-1] if host[-2:-1].isdigit() and host.endswith(".") else host


_known_target = lru_cache(maxsize=_KNOWN_URLS)(_target)
