"""Fetching a customer's media over aiohttp: few redirects, bounded, and of a type that agrees with its bytes."""

import asyncio
import os
import ssl
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final

import aiohttp

from postdate.core.callback import CallbackPolicy, split_credentials, url_to_call
from postdate.core.instant import SECOND
from postdate.core.media_type import IMAGES, agreed_type
from postdate.flow.outgoing.gate import NOT_HTTP, ForbiddenAddress, Gate, http_url

IMAGE_LIMIT: Final = 5 * 1024 * 1024
OTHER_MEDIA_LIMIT: Final = 500 * 1024
MEDIA_REDIRECTS: Final = 3
MEDIA_POLICY: Final = CallbackPolicy(total_timeout=60 * SECOND, retries=0)
_CHUNK: Final = 16 * 1024


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


class MediaClient:
    """Fetches media; `headers` go with every request."""

    def __init__(self, gate: Gate, policy: CallbackPolicy, headers: dict[str, str]) -> None:
        self._gate = gate
        self._policy = policy
        self._headers = headers
        self._opened: aiohttp.ClientSession | None = None
        self._closed = False

    async def close(self) -> None:
        """Close all connections; calls after it raise RuntimeError."""
        self._closed = True
        if self._opened is not None:
            await self._opened.close()

    async def fetch(self, url: str, limit_bytes: int, other_limit_bytes: int) -> Media | MediaFailure:
        """Fetch media; `limit_bytes` for JPEG, PNG and GIF, the lesser of both for others."""
        target, authorization = split_credentials(url_to_call(url))
        limits = (limit_bytes, min(limit_bytes, other_limit_bytes))
        place = http_url(target, as_written=False)
        if place is None:
            return MediaFailure(MediaFault.FORBIDDEN, NOT_HTTP)
        try:
            async with (
                asyncio.timeout(self._policy.total_timeout / SECOND),
                self._session().get(
                    place,
                    headers=self._headers | ({} if authorization is None else {"Authorization": authorization}),
                    # aiohttp counts the request that would be one too many.
                    max_redirects=MEDIA_REDIRECTS + 1,
                    timeout=_timeout(self._policy),
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
            self._opened = aiohttp.ClientSession(
                # A connection for each: what a server says twice on a kept one would be the next recipient's picture.
                connector=aiohttp.TCPConnector(limit=0, force_close=True, socket_factory=self._gate.open_socket),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
            )
        return self._opened


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
            return NOT_HTTP
        case aiohttp.ClientResponseError():
            return "what the server sent is not HTTP"
        case _:
            return "the server closed the connection before it answered"


def _certificate_fault(error: Exception) -> str:
    return error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else "not valid"
