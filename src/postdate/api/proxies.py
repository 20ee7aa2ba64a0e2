"""Who really asks where a reverse proxy stands before the node: told by the proxies that are trusted, by nobody else.

uvicorn's middleware reads the headers: of X-Forwarded-For the address nearest to the node that is no trusted proxy, of
X-Forwarded-Proto http or https. It takes any text for an address; what is none is not believed here, and the proxy's
own address stands.

A program that listens on both sorts of addresses writes an IPv4 one as `::ffff:10.0.0.1`. It is the same address: a
network in either form is a network of both, and whoever asks is known by the plain form.
"""

from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address
from typing import Any, Final, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from postdate.settings import MAPPED_BITS, Network, plain_network

_PEER: Final = "postdate.peer"  # who is connected to the node, as the web server saw it
_MAPPED: Final = "::ffff:"


class BehindProxies:
    """An ASGI application that sees the clients of trusted proxies instead of the proxies."""

    def __init__(self, app: ASGIApp, trusted: Sequence[Network]) -> None:
        self._app = app
        both = [form for network in trusted for form in _forms(network)]
        self._told = ProxyHeadersMiddleware(cast(Any, self._checked), both)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        scope[_PEER] = scope["client"] = _plain(scope.get("client"))
        await self._told(cast(Any, scope), cast(Any, receive), cast(Any, send))

    async def _checked(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer, client = scope[_PEER], scope.get("client")
        if client is not None and client is not peer:
            address = _address(client[0])
            scope["client"] = (address, client[1]) if address else peer
        await self._app(scope, receive, send)


def _plain(client: Any) -> Any:
    """Return who is connected, with the plain form of an IPv4 address."""
    if client is not None and client[0].startswith(_MAPPED):
        return (_address(client[0]) or client[0], client[1])
    return client


def _forms(network: Network) -> list[str]:
    """Return the forms in which the addresses of a network may come."""
    plain = plain_network(network)
    mapped = [f"{_MAPPED}{plain.network_address}/{MAPPED_BITS + plain.prefixlen}"] if plain.version == 4 else []
    return [str(plain), *mapped]


def _address(text: str) -> str:
    """Return an address as it is usually written; an empty text where it is none, or has a zone, which is any text."""
    try:
        found = None if "%" in text else ip_address(text)
    except ValueError:
        return ""
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return "" if found is None else str(found)
