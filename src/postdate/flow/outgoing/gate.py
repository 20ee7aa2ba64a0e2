"""The gate: which addresses may be connected to, judged by the very address that is about to be.

That is after DNS, after each redirect, and for literal addresses too, which never pass a resolver. Only globally
routable unicast addresses get through, and the networks that the operator allows.
"""

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

from yarl import URL

Network = IPv4Network | IPv6Network
Target = tuple[int, int, int, str, Any]  # as socket.getaddrinfo gives them

NOT_HTTP: Final = "the URL does not begin with http:// or https://, or its host cannot be read"
_SCHEMES: Final = frozenset({"http", "https"})
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

    def open_socket(self, target: Target) -> socket.socket:
        """Return a socket for the address that is about to be connected; ForbiddenAddress where it is not open."""
        family, kind, protocol, _, place = target
        if not self.admits(str(place[0]), int(place[1])):
            raise ForbiddenAddress
        return socket.socket(family, kind, protocol)


def http_url(text: str, *, as_written: bool) -> URL | None:
    """Return the URL to connect to, not re-encoded if `as_written`; None where it is none for HTTP."""
    try:
        url = URL(text, encoded=as_written)
        usable = url.scheme in _SCHEMES and bool(url.host) and bool(url.port)
    except ValueError:
        return None
    return url if usable else None
