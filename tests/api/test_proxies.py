"""Who asks, behind reverse proxies: what the trusted ones say of it counts, what anybody else says does not."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from postdate.api.proxies import BehindProxies

PROXY = "10.0.0.1"
TRUSTED = [ip_network("10.0.0.0/24"), ip_network("fd00::1/128"), ip_network("::ffff:10.9.0.0/112")]
VISITOR = "203.0.113.9"


async def seen(peer: str, *headers: tuple[str, str]) -> tuple[str, str]:
    """Return the address and the scheme that an application sees of a request."""
    found: list[tuple[str, str]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found.append((scope["client"][0], scope["scheme"]))

    async def receive() -> Message:
        raise AssertionError("nothing is read of a body")

    async def send(message: Message) -> None:
        raise AssertionError("nothing is answered")

    scope = {
        "type": "http",
        "scheme": "http",
        "client": (peer, 4711),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
    }
    await BehindProxies(app, TRUSTED)(scope, receive, send)
    (one,) = found
    return one


FOR = {
    "nothing": (PROXY, [], PROXY),
    "one": (PROXY, [VISITOR], VISITOR),
    "from the end of the network": ("10.0.0.255", [VISITOR], VISITOR),
    "from just outside of it": ("10.0.1.0", [VISITOR], "10.0.1.0"),
    "from nobody we know": ("198.51.100.1", [VISITOR], "198.51.100.1"),
    "from this machine": ("127.0.0.1", [VISITOR], "127.0.0.1"),
    "over IPv6": ("fd00::1", ["2001:db8::7"], "2001:db8::7"),
    "over IPv6, from nobody we know": ("fd00::2", [VISITOR], "fd00::2"),
    "what the visitor wrote before it": (PROXY, [f"192.0.2.1, {VISITOR}"], VISITOR),
    "a trusted address that the visitor wrote": (PROXY, [f"10.0.0.7, {VISITOR}"], VISITOR),
    "in two headers": (PROXY, ["192.0.2.1", VISITOR], VISITOR),
    "through two proxies": (PROXY, [f"192.0.2.1, {VISITOR}, 10.0.0.2"], VISITOR),
    "from a proxy itself": (PROXY, ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
    "with a port": (PROXY, [f"{VISITOR}:50000"], VISITOR),
    "with brackets": (PROXY, ["[2001:db8::7]:50000"], "2001:db8::7"),
    "from a proxy in IPv6's form": ("::ffff:10.0.0.1", [VISITOR], VISITOR),
    "from a proxy in IPv6's form, in hex": ("::ffff:a00:1", [VISITOR], VISITOR),
    "from just outside, in IPv6's form": ("::ffff:10.0.1.0", [VISITOR], "10.0.1.0"),
    "from a network in IPv6's form": ("10.9.0.1", [VISITOR], VISITOR),
    "from both in IPv6's form": ("::ffff:10.9.0.1", [VISITOR], VISITOR),
    "from beside a network in IPv6's form": ("10.10.0.1", [VISITOR], "10.10.0.1"),
    "through a proxy in IPv6's form": (PROXY, [f"{VISITOR}, ::ffff:10.0.0.2"], VISITOR),
    "a visitor in IPv6's form": (PROXY, [f"::ffff:{VISITOR}"], VISITOR),
    "an IPv6 address that ends like a proxy's": ("fd00::a00:1", [VISITOR], "fd00::a00:1"),
    "written long": (PROXY, ["2001:0DB8:0:0::0007"], "2001:db8::7"),
    "an unknown one": (PROXY, ["unknown"], PROXY),
    "an unknown one, nearer than one that is known": (PROXY, [f"{VISITOR}, unknown"], PROXY),
    "an empty header": (PROXY, [""], PROXY),
    "commas": (PROXY, [",,,"], PROXY),
    "a name": (PROXY, ["localhost"], PROXY),
    "a page": (PROXY, ["<script>alert(1)</script>"], PROXY),
    "a zone": (PROXY, ["fe80::1%<b>"], PROXY),
    "leading zeros": (PROXY, ["010.000.000.009"], PROXY),
    "a long list": (PROXY, [", ".join(["192.0.2.1"] * 1_000)], "192.0.2.1"),
    "a long text": (PROXY, ["9" * 10_000], PROXY),
}


@pytest.mark.parametrize(("peer", "told", "address"), FOR.values(), ids=FOR.keys())
async def test_the_nearest_address_that_is_no_trusted_proxys_asks(peer: str, told: list[str], address: str) -> None:
    assert await seen(peer, *(("x-forwarded-for", one) for one in told)) == (address, "http")


PROTO = {
    "https": (PROXY, ["https"], "https"),
    "http": (PROXY, ["http"], "http"),
    "from nobody we know": ("198.51.100.1", ["https"], "http"),
    "what the proxy adds counts": (PROXY, ["https", "http"], "http"),
    "another": (PROXY, ["gopher"], "http"),
    "a list": (PROXY, ["https, http"], "http"),
    "nothing": (PROXY, [""], "http"),
}


@pytest.mark.parametrize(("peer", "told", "scheme"), PROTO.values(), ids=PROTO.keys())
async def test_the_scheme_is_what_a_trusted_proxy_says(peer: str, told: list[str], scheme: str) -> None:
    assert await seen(peer, *(("x-forwarded-proto", one) for one in told)) == (peer, scheme)


@given(st.text(st.characters(max_codepoint=255), max_size=60), st.sampled_from([PROXY, "198.51.100.1"]))
async def test_who_asks_is_an_address_whatever_is_told(told: str, peer: str) -> None:
    address, _ = await seen(peer, ("x-forwarded-for", told))
    assert address == str(ip_address(address))
    assert peer == PROXY or address == peer


@pytest.mark.parametrize("header", ["forwarded", "x-real-ip", "x-forwarded-host", "x-forwarded-port"])
async def test_other_headers_say_nothing(header: str) -> None:
    assert await seen(PROXY, (header, VISITOR)) == (PROXY, "http")
