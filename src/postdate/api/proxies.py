"""Who really asks where a reverse proxy stands before the node: told by the proxies that are trusted, by nobody else.

uvicorn's middleware reads the headers: of X-Forwarded-For the address nearest to the node that is no trusted proxy, of
X-Forwarded-Proto http or https. It takes any text for an address; what is none is not believed here, and the proxy's
own address stands.
"""

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any, Final, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from postdate.settings import Network

_PEER: Final = "postdate.peer"  # who is connected to the node, as the web server saw it


class BehindProxies:
    """An ASGI application that sees the clients of trusted proxies instead of the proxies."""

    def __init__(self, app: ASGIApp, trusted: Sequence[Network]) -> None:
        self._app = app
        self._told = ProxyHeadersMiddleware(cast(Any, self._checked), [str(network) for network in trusted])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        scope[_PEER] = scope.get("client")
        await self._told(cast(Any, scope), cast(Any, receive), cast(Any, send))

    async def _checked(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer, client = scope[_PEER], scope.get("client")
        if client is not None and client is not peer:
            address = _address(client[0])
            scope["client"] = (address, client[1]) if address else peer
        await self._app(scope, receive, send)


def _address(text: str) -> str:
    """Return an address as it is usually written; an empty text where it is none, or has a zone, which is any text."""
    try:
        return "" if "%" in text else str(ip_address(text))
    except ValueError:
        return ""
