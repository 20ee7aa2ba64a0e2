"""The one outgoing HTTP client: callbacks to customers and the fetching of media, behind a gate.

The gate sees the very address that is about to be connected: after DNS, after each redirect, and for literal
addresses too, which never pass a resolver. Only globally routable unicast addresses get through, and the networks
that the operator allows. No cookies, no proxies from the environment, no endless answers, and no text of an error or
a result that holds user info or a query of the URL. The number of calls in flight is the caller's to bound: a limit
here would let one slow server use up the connect time of the others.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from types import SimpleNamespace
from typing import Final

import aiohttp
from yarl import URL

from postdate import __version__
from postdate.core.callback import (
    Answered,
    CallbackPolicy,
    CallbackResult,
    Forbidden,
    NotConnected,
    Params,
    TimedOut,
    form_body,
    split_credentials,
    url_to_call,
    url_with_params,
)
from postdate.core.instant import SECOND
from postdate.core.media_type import IMAGES, agreed_type

Network = IPv4Network | IPv6Network

ANSWER_LIMIT: Final = 64 * 1024
IMAGE_LIMIT: Final = 5 * 1024 * 1024
OTHER_MEDIA_LIMIT: Final = 500 * 1024
MEDIA_REDIRECTS: Final = 3
MEDIA_POLICY: Final = CallbackPolicy(total_timeout=60 * SECOND, retries=0)

_USER_AGENT: Final = f"Postdate/{__version__}"
_SCHEMES: Final = frozenset({"http", "https"})
_NOT_HTTP: Final = "the URL does not begin with http:// or https://, or its host cannot be read"
_CHUNK: Final = 16 * 1024


# --- the gate --------------------------------------------------------------------------------------------------------

_GLOBAL_UNICAST: Final = ip_network("2000::/3")
# Routable by the letter, yet each of them leads to another address than it shows, to nobody, or to whoever is nearest.
_NOT_PUBLIC: Final = tuple(
    ip_network(text) for text in ("192.88.99.0/24", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)


class ForbiddenAddress(OSError):
    """The gate's refusal. One text for every address: it tells nobody how names resolve inside."""

    def __init__(self) -> None:
        super().__init__(
            "the address or port of this host is not open to calls; "
            "whoever runs the node can allow its network in the settings"
        )


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether the address is globally routable unicast; tunnels to IPv4 are not, mapped IPv4 counts as IPv4."""
    plain = _unmapped(address)
    if isinstance(plain, IPv6Address) and plain not in _GLOBAL_UNICAST:
        return False
    return plain.is_global and not plain.is_multicast and not any(plain in network for network in _NOT_PUBLIC)


def _unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


class Gate:
    """Which addresses and ports may be connected to; `ports` None means every port."""

    def __init__(self, allow: Sequence[Network] = (), ports: frozenset[int] | None = None) -> None:
        self._allow = tuple(allow)
        self._ports = ports

    def admits(self, host: str, port: int) -> bool:
        """Tell whether this address (text of an IP address, never a name) and port may be connected to."""
        try:
            address = _unmapped(ip_address(host))
        except ValueError:
            return False
        if self._ports is not None and port not in self._ports:
            return False
        return is_public(address) or any(address in network for network in self._allow)

    def open_socket(self, target: aiohttp.AddrInfoType) -> socket.socket:
        """Return a socket for the address that is about to be connected; ForbiddenAddress where it is not open."""
        family, kind, protocol, _, place = target
        if not self.admits(str(place[0]), int(place[1])):
            raise ForbiddenAddress
        return socket.socket(family, kind, protocol)


# --- media -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Media:
    """A fetched media item; `content_type` agrees with its bytes."""

    content_type: str
    body: bytes


class MediaFault(StrEnum):
    """Why media could not be fetched; only `unreachable` and a `refused` of 5xx may pass by themselves."""

    FORBIDDEN = "forbidden"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    TOO_LARGE = "too_large"
    WRONG_TYPE = "wrong_type"


@dataclass(frozen=True, slots=True)
class MediaFailure:
    """Why there is no media, in a sentence for the customer; `status` is the server's, if it refused."""

    fault: MediaFault
    why: str
    status: int | None = None


# --- the client ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Trip:
    """How far one call has come."""

    reused: bool = False
    sent: bool = False
    answered: Answered | None = None


async def _note_reuse(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    if isinstance(context.trace_request_ctx, _Trip):
        context.trace_request_ctx.reused = True


async def _note_sent(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    if isinstance(context.trace_request_ctx, _Trip):
        context.trace_request_ctx.sent = True


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: URL
    headers: Mapping[str, str]
    body: bytes | None
    timeout: aiohttp.ClientTimeout


class Outgoing:
    """Calls customers' servers and fetches their media. One per node; call `close` at the end."""

    def __init__(
        self,
        allow: Sequence[Network] = (),
        ports: frozenset[int] | None = None,
        media_policy: CallbackPolicy = MEDIA_POLICY,
    ) -> None:
        self._gate = Gate(allow, ports)
        self._media_policy = media_policy
        self._opened: aiohttp.ClientSession | None = None
        self._closed = False

    async def close(self) -> None:
        """Close all connections; calls after it raise RuntimeError."""
        self._closed = True
        if self._opened is not None:
            await self._opened.close()

    async def call(
        self, method: str, url: str, params: Params, headers: Mapping[str, str], policy: CallbackPolicy
    ) -> CallbackResult:
        """Make one attempt and say how it ended; never follows a redirect. POST sends a form, GET a query.

        The request goes out byte for byte as `url_to_call` or `url_with_params` has it, so its signature holds.
        """
        posts = method.upper() != "GET"
        target, authorization = split_credentials(url_to_call(url) if posts else url_with_params(url, params))
        place = _http_url(target, as_written=True)
        if place is None:
            return Forbidden(_NOT_HTTP)
        sent_headers = _headers(authorization) | dict(headers)
        if posts:
            sent_headers["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8"
        body = form_body(params).encode() if posts else None
        return await self._attempt(_Request(method, place, sent_headers, body, _timeout(policy)), policy)

    async def _attempt(self, request: _Request, policy: CallbackPolicy) -> CallbackResult:
        trip = _Trip()
        try:
            async with asyncio.timeout(policy.total_timeout / SECOND):
                return await self._exchange(request, trip)
        except TimeoutError:
            result: CallbackResult = (
                TimedOut("the server did not answer in time") if trip.sent else NotConnected("no connection in time")
            )
        except (aiohttp.ClientError, UnicodeError) as error:
            result = Forbidden(_why(error)) if _is_forbidden(error) else NotConnected(_why(error))
        # An answer that began is an answer, even if its body broke off: to repeat would be to tell twice.
        return trip.answered or result

    async def _exchange(self, request: _Request, trip: _Trip) -> Answered:
        while True:
            trip.reused = trip.sent = False
            try:
                async with self._session().request(
                    request.method,
                    request.url,
                    data=request.body,
                    headers=request.headers,
                    allow_redirects=False,
                    timeout=request.timeout,
                    trace_request_ctx=trip,
                ) as response:
                    trip.answered = Answered(response.status, response.content_type, whole=False)
                    body, whole = await _read(response, ANSWER_LIMIT)
                    if _is_encoded(response):
                        return trip.answered
                    return Answered(response.status, response.content_type, body, whole)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                # A kept connection that the server was just closing says nothing about the server: take another.
                if trip.answered is not None or not trip.reused:
                    raise

    async def fetch_media(
        self, url: str, limit_bytes: int = IMAGE_LIMIT, other_limit_bytes: int = OTHER_MEDIA_LIMIT
    ) -> Media | MediaFailure:
        """Fetch media over at most three redirects; `limit_bytes` for JPEG, PNG and GIF, the lesser one for others."""
        target, authorization = split_credentials(url_to_call(url))
        limits = (limit_bytes, min(limit_bytes, other_limit_bytes))
        place = _http_url(target, as_written=False)
        if place is None:
            return MediaFailure(MediaFault.FORBIDDEN, _NOT_HTTP)
        try:
            async with (
                asyncio.timeout(self._media_policy.total_timeout / SECOND),
                self._session().get(
                    place,
                    headers=_headers(authorization),
                    # aiohttp counts the request that would be one too many.
                    max_redirects=MEDIA_REDIRECTS + 1,
                    timeout=_timeout(self._media_policy),
                ) as response,
            ):
                return await _take_media(response, limits)
        except TimeoutError:
            return MediaFailure(MediaFault.UNREACHABLE, "the server did not send the media in time")
        except aiohttp.TooManyRedirects:
            return MediaFailure(MediaFault.REFUSED, f"the server redirects more than {MEDIA_REDIRECTS} times")
        except (aiohttp.ClientError, UnicodeError) as error:
            fault = MediaFault.FORBIDDEN if _is_forbidden(error) else MediaFault.UNREACHABLE
            return MediaFailure(fault, _why(error))

    def _session(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError("the outgoing client is closed")
        if self._opened is None:
            tracing = aiohttp.TraceConfig()
            tracing.on_connection_reuseconn.append(_note_reuse)
            tracing.on_request_headers_sent.append(_note_sent)
            self._opened = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, socket_factory=self._gate.open_socket),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                trace_configs=[tracing],
            )
        return self._opened


def _http_url(text: str, *, as_written: bool) -> URL | None:
    """Return the URL to connect to, not re-encoded if `as_written`; None where it is none for HTTP."""
    try:
        url = URL(text, encoded=as_written)
        usable = url.scheme in _SCHEMES and bool(url.host) and bool(url.port)
    except ValueError:
        return None
    return url if usable else None


def _headers(authorization: str | None) -> dict[str, str]:
    # Compressed answers are neither asked for nor unpacked: a small one can unpack to any size.
    headers = {"User-Agent": _USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}
    return headers if authorization is None else headers | {"Authorization": authorization}


def _timeout(policy: CallbackPolicy) -> aiohttp.ClientTimeout:
    # The total is kept around the whole attempt, so that it also covers a second connection.
    return aiohttp.ClientTimeout(
        total=None, connect=policy.connect_timeout / SECOND, sock_read=policy.read_timeout / SECOND
    )


def _is_encoded(response: aiohttp.ClientResponse) -> bool:
    return response.headers.get("Content-Encoding", "identity").lower() != "identity"


async def _read(response: aiohttp.ClientResponse, limit: int) -> tuple[bytes, bool]:
    """Return at most `limit` bytes of the body, and whether that was all; what is more is never taken."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        body += chunk
        if len(body) > limit:
            response.close()
            return bytes(body[:limit]), False
    return bytes(body), True


async def _take_media(response: aiohttp.ClientResponse, limits: tuple[int, int]) -> Media | MediaFailure:
    if response.status != HTTPStatus.OK:
        why = f"the server answered {response.status} in place of the media"
        return MediaFailure(MediaFault.REFUSED, why, response.status)
    if _is_encoded(response):
        return MediaFailure(MediaFault.WRONG_TYPE, "the server sends the media compressed; serve it without encoding")
    largest = limits[0]
    if (response.content_length or 0) > largest:
        return _too_large(largest)
    body, whole = await _read(response, largest)
    if not whole:
        return _too_large(largest)
    content_type = agreed_type(response.headers.get("Content-Type", ""), body)
    if content_type is None:
        return MediaFailure(
            MediaFault.WRONG_TYPE,
            "the media is empty, of a type that carriers do not take, or not what its Content-Type says",
        )
    limit = limits[0] if content_type in IMAGES else limits[1]
    return Media(content_type, body) if len(body) <= limit else _too_large(limit)


def _too_large(limit: int) -> MediaFailure:
    return MediaFailure(MediaFault.TOO_LARGE, f"the media is larger than {limit:,} bytes; serve a smaller one")


def _is_forbidden(error: Exception) -> bool:
    if isinstance(error, aiohttp.ClientConnectorError):
        return isinstance(error.os_error, ForbiddenAddress)
    # Besides aiohttp's own complaints: a label of a host name that is empty or too long is a UnicodeError of Python's.
    return isinstance(error, UnicodeError | aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError)


def _why(error: Exception) -> str:
    """Return what went wrong in words of ours: aiohttp's own texts hold the URL."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return f"its certificate was not accepted ({_certificate_fault(error.certificate_error)})"
        case aiohttp.ClientConnectorSSLError():
            return "TLS could not be agreed on"
        case aiohttp.ClientConnectorDNSError():
            return "the host name does not resolve"
        case aiohttp.ClientConnectorError(os_error=ForbiddenAddress() as refusal):
            return str(refusal)
        case aiohttp.ClientConnectorError():
            return os.strerror(error.os_error.errno).lower() if error.os_error.errno else "no address could be reached"
        case UnicodeError() | aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return _NOT_HTTP
        case aiohttp.ClientResponseError():
            return "what the server sent is not HTTP"
        case _:
            return "the server closed the connection before it answered"


def _certificate_fault(error: Exception) -> str:
    return error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else "not valid"
