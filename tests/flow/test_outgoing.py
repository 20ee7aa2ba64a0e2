"""The outgoing client against real servers on 127.0.0.1: the gate, the time-outs, the caps, what is told apart."""

import asyncio
import base64
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path

import pytest
import uvloop
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from postdate.clock import breathe
from postdate.core.callback import Answered, CallbackPolicy, Forbidden, NotConnected, TimedOut
from postdate.core.callback_form import sign, sign_get, url_with_params
from postdate.core.instant import MILLISECOND, SECOND
from postdate.flow.outgoing import ANSWER_LIMIT, Gate, Media, MediaFailure, MediaFault, Network, Outgoing, is_public
from tests.serving_http import Handler, serving_http

LOOPBACK: tuple[Network, ...] = (ip_network("127.0.0.0/8"),)
FORM = (("MessageSid", "SM1"), ("MessageStatus", "sent"), ("Body", "Grüße & mehr = 100%"))
PATIENT = CallbackPolicy(100 * SECOND, 100 * SECOND, 100 * SECOND)
PNG = b"\x89PNG\r\n\x1a\n"

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def peering(peer: Peer, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Run a server that speaks bytes on a free port of 127.0.0.1 and give the port."""

    async def until_done(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await peer(reader, writer)
        except ConnectionError:
            pass  # the client has gone
        finally:
            writer.close()

    server = await asyncio.start_server(until_done, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def outgoing(
    allow: tuple[Network, ...] = LOOPBACK,
    ports: frozenset[int] | None = None,
    media_policy: CallbackPolicy = PATIENT,
) -> AsyncIterator[Outgoing]:
    client = Outgoing(allow, ports, media_policy)
    try:
        yield client
    finally:
        await client.close()


async def post(client: Outgoing, url: str, policy: CallbackPolicy = PATIENT) -> object:
    return await client.call("POST", url, FORM, {}, policy)


def answering(status: int = 200, body: bytes = b"", **headers: str) -> Handler:
    async def handler(_: web.BaseRequest) -> web.Response:
        return web.Response(
            status=status, body=body, headers={name.replace("_", "-"): headers[name] for name in headers}
        )

    return handler


def redirecting(to: str, status: int = 302) -> Handler:
    return answering(status, Location=to)


# --- which addresses are public --------------------------------------------------------------------------------------

PUBLIC = ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e", "::ffff:8.8.8.8"]
NOT_PUBLIC = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:7f00:1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::7f00:1",
    "100::1",
    "2001::1",
    "2001:2::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_called(address: str) -> None:
    assert is_public(ip_address(address))
    assert Gate().admits(address, 443)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_other_addresses_are_not(address: str) -> None:
    assert not is_public(ip_address(address))
    assert not Gate().admits(address, 443)


@given(st.ip_addresses(v=4))
def test_a_mapped_address_is_judged_as_what_it_stands_for(plain: IPv4Address) -> None:
    mapped = IPv6Address(f"::ffff:{plain}")
    assert is_public(mapped) == is_public(plain)
    allowing = Gate([ip_network(f"{plain}/32")])
    assert allowing.admits(str(mapped), 80)


@given(st.ip_addresses(v=6), st.sampled_from(["64:ff9b::/96", "2002::/16", "2001::/32", "::/96", "fec0::/10"]))
def test_nothing_in_a_tunnel_is_public(address: IPv6Address, network: str) -> None:
    tunnel = ip_network(network)
    inside = IPv6Address(int(tunnel.network_address) | int(address) & int(tunnel.hostmask))
    assert not is_public(inside)


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f.1", "", "127.0.0.1 "])
def test_the_gate_takes_addresses_only(host: str) -> None:
    assert not Gate([ip_network("0.0.0.0/0"), ip_network("::/0")]).admits(host, 80)


def test_an_allowed_network_opens_itself_alone() -> None:
    gate = Gate([ip_network("10.1.0.0/16"), ip_network("fd00::/8")])
    asked = ["10.1.2.3", "fd12::1", "10.2.0.1", "127.0.0.1", "fe80::1", "8.8.8.8"]
    assert [host for host in asked if gate.admits(host, 80)] == ["10.1.2.3", "fd12::1", "8.8.8.8"]


def test_a_port_list_closes_every_other_port_even_of_allowed_networks() -> None:
    gate = Gate(LOOPBACK, frozenset({443, 8443}))
    assert [port for port in (80, 443, 6379, 8443) if gate.admits("127.0.0.1", port)] == [443, 8443]
    assert [port for port in (80, 443, 6379, 8443) if gate.admits("8.8.8.8", port)] == [443, 8443]


# --- the gate on the wire --------------------------------------------------------------------------------------------

LOOPBACK_FORMS = [
    "127.0.0.1",
    "localhost",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "127.1",
    "127.0.1",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.1.",
    "127.000.000.001",
    "0.0.0.0",
    "0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:0:0:1]",
]


@pytest.mark.asyncio
@pytest.mark.parametrize("host", LOOPBACK_FORMS)
@pytest.mark.parametrize("user_info", ["", "example.com:80@"], ids=["plain", "with-user-info"])
async def test_no_spelling_of_loopback_is_connected_to(host: str, user_info: str) -> None:
    reached = []

    async def peer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(writer.get_extra_info("peername"))

    async with peering(peer) as port, outgoing(allow=()) as client:
        url = f"http://{user_info}{host}:{port}/"
        called = await post(client, url)
        fetched = await client.fetch_media(url)
    assert isinstance(called, Forbidden)
    assert isinstance(fetched, MediaFailure)
    assert fetched.fault is MediaFault.FORBIDDEN
    assert reached == []


@pytest.mark.asyncio
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_the_same_host_is_called_once_its_network_is_allowed(host: str) -> None:
    async with serving_http(answering()) as url, outgoing() as client:
        assert isinstance(await post(client, url.replace("127.0.0.1", host)), Answered)


@pytest.mark.asyncio
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_from_an_allowed_host_does_not_reach_a_forbidden_one(status: int) -> None:
    reached = []

    async def secret(request: web.BaseRequest) -> web.Response:
        reached.append(request.raw_path)
        return web.Response(body=PNG, content_type="image/png")

    async with (
        serving_http(secret, "127.0.0.3") as inside,
        serving_http(redirecting(f"{inside}/secret", status), "127.0.0.2") as outside,
        outgoing(allow=(ip_network("127.0.0.2/32"),)) as client,
    ):
        fetched = await client.fetch_media(f"{outside}/a.png")
    assert isinstance(fetched, MediaFailure)
    assert fetched.fault is MediaFault.FORBIDDEN
    assert reached == []


@pytest.mark.asyncio
async def test_a_port_that_is_not_listed_is_not_connected_to() -> None:
    async with serving_http(answering()) as url, outgoing(ports=frozenset({443})) as client:
        assert isinstance(await post(client, url), Forbidden)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "url",
    [
        pytest.param("ftp://127.0.0.1/", id="ftp"),
        pytest.param("tcp://127.0.0.1:80/", id="tcp"),
        pytest.param("ws://127.0.0.1/", id="ws"),
        pytest.param("file:///etc/passwd", id="file"),
        pytest.param("http://", id="no-host"),
        pytest.param("http://[::1/", id="open-bracket"),
        pytest.param("http://127.0.0.1:99999/", id="port-too-high"),
        pytest.param("http://a..example/", id="empty-label"),
        pytest.param(f"http://{'a' * 64}.example/", id="long-label"),
        pytest.param("no url", id="words"),
        pytest.param("", id="empty"),
    ],
)
async def test_what_is_no_http_url_is_refused_without_an_exception(url: str) -> None:
    async with outgoing() as client:
        called = await post(client, url)
        fetched = await client.fetch_media(url)
    assert isinstance(called, Forbidden)
    assert isinstance(fetched, MediaFailure)
    assert fetched.fault is MediaFault.FORBIDDEN


# --- callbacks -------------------------------------------------------------------------------------------------------


def twilio_accepts(url: str, params: dict[str, str], signature: str) -> bool:
    return bool(RequestValidator("12345").validate(url, params, signature))


class Recorder:
    """A customer's server that keeps what it is sent, as a framework would rebuild it."""

    def __init__(self) -> None:
        self.url = ""
        self.form: dict[str, str] = {}
        self.request: web.BaseRequest | None = None

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        self.request = request
        self.url = f"http://{request.headers['Host']}{request.raw_path}"
        self.form = {name: str(value) for name, value in (await request.post()).items()}
        return web.Response(text="<Response/>", content_type="text/xml", headers={"Set-Cookie": "a=b; Path=/"})

    def header(self, name: str) -> str | None:
        assert self.request is not None
        return self.request.headers.get(name)


ODD_PATHS = [
    "",
    "?a=b",
    "/",
    "/a/../b/./c",
    "/a//b",
    "/%7euser/%7Euser?x=%20y&z=a+b&q='",
    "/a%2Fb?u=http://c/?d",
    "/{a}|b",
]


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ODD_PATHS)
async def test_a_post_arrives_whole_and_its_signature_holds(path: str) -> None:
    server = Recorder()
    async with serving_http(server) as base, outgoing() as client:
        url = f"{base}{path}#rc=3&rp=all"
        headers = {"X-Twilio-Signature": sign(url, FORM, "12345"), "I-Twilio-Idempotency-Token": "t-1"}
        result = await client.call("POST", url, FORM, headers, PATIENT)
    assert result == Answered(200, "text/xml", b"<Response/>", whole=True)
    assert server.request is not None
    assert server.request.method == "POST"
    assert server.form == dict(FORM)
    assert server.header("I-Twilio-Idempotency-Token") == "t-1"
    assert "#" not in server.url
    assert twilio_accepts(server.url, server.form, server.header("X-Twilio-Signature") or "")


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ODD_PATHS)
async def test_a_get_carries_the_parameters_in_its_query_and_its_signature_holds(path: str) -> None:
    server = Recorder()
    async with serving_http(server) as base, outgoing() as client:
        url = f"{base}{path}"
        headers = {"X-Twilio-Signature": sign_get(url_with_params(url, FORM), "12345")}
        result = await client.call("GET", url, FORM, headers, PATIENT)
    assert isinstance(result, Answered)
    assert server.request is not None
    assert server.request.method == "GET"
    assert server.request.query["Body"] == dict(FORM)["Body"]
    assert server.header("Content-Type") is None
    assert twilio_accepts(server.url, {}, server.header("X-Twilio-Signature") or "")


@pytest.mark.asyncio
async def test_user_info_is_sent_as_a_header_and_nowhere_else() -> None:
    server = Recorder()
    async with serving_http(server) as base, outgoing() as client:
        url = base.replace("http://", "http://anna:s3cr%C3%A9t@") + "/a"
        headers = {"X-Twilio-Signature": sign(url, FORM, "12345")}
        await client.call("POST", url, FORM, headers, PATIENT)
    assert server.header("Authorization") == "Basic " + base64.b64encode("anna:s3crét".encode()).decode()
    assert "anna" not in server.url
    assert twilio_accepts(server.url, server.form, server.header("X-Twilio-Signature") or "")


@pytest.mark.asyncio
async def test_no_cookie_is_kept() -> None:
    server = Recorder()
    async with serving_http(server) as url, outgoing() as client:
        await post(client, url)
        await post(client, url)
    assert server.header("Cookie") is None


@pytest.mark.asyncio
async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    reached = []

    async def proxy(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(writer.get_extra_info("peername"))

    async with peering(proxy) as port, serving_http(answering()) as url, outgoing() as client:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        assert isinstance(await post(client, url), Answered)
    assert reached == []


@pytest.mark.asyncio
@pytest.mark.parametrize("status", [200, 204, 301, 302, 307, 404, 429, 500, 503])
async def test_every_answer_is_told_by_its_status_and_no_redirect_is_followed(status: int) -> None:
    server = Recorder()
    async with (
        serving_http(server) as elsewhere,
        serving_http(redirecting(elsewhere, status)) as url,
        outgoing() as client,
    ):
        result = await post(client, url)
    assert isinstance(result, Answered)
    assert result.status == status
    assert server.request is None


async def endless(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "image/png"})
    await response.prepare(request)
    await response.write(PNG)
    while True:
        await response.write(b"x" * 10_000)


@pytest.mark.asyncio
async def test_of_an_endless_answer_only_the_beginning_is_read() -> None:
    async with serving_http(endless) as url, outgoing() as client:
        result = await post(client, url)
    assert isinstance(result, Answered)
    assert result.status == 200
    assert not result.whole
    assert len(result.body) == ANSWER_LIMIT


@pytest.mark.asyncio
async def test_an_answer_of_exactly_the_limit_is_whole() -> None:
    async with serving_http(answering(body=b"x" * ANSWER_LIMIT)) as url, outgoing() as client:
        result = await post(client, url)
    assert isinstance(result, Answered)
    assert result.whole
    assert len(result.body) == ANSWER_LIMIT


@pytest.mark.asyncio
async def test_a_compressed_answer_is_not_unpacked() -> None:
    async with serving_http(answering(body=b"\x1f\x8b\x08", Content_Encoding="gzip")) as url, outgoing() as client:
        assert await post(client, url) == Answered(200, "application/octet-stream", whole=False)


# --- time-outs and broken connections --------------------------------------------------------------------------------

# A second where something must happen before the time is up, on a busy machine too; a tenth where nothing does.
SILENT_READ = CallbackPolicy(100 * SECOND, 1 * SECOND, 100 * SECOND)
FAIR_TOTAL = CallbackPolicy(100 * SECOND, 100 * SECOND, 1 * SECOND)
SHORT_TOTAL = CallbackPolicy(100 * SECOND, 100 * SECOND, 100 * MILLISECOND)
SHORT_CONNECT = CallbackPolicy(100 * MILLISECOND, 100 * SECOND, 100 * SECOND)


@pytest.mark.asyncio
@pytest.mark.parametrize("policy", [SILENT_READ, FAIR_TOTAL], ids=["read", "total"])
async def test_a_server_that_never_answers_times_out(policy: CallbackPolicy) -> None:
    over = asyncio.Event()

    async def handler(_: web.BaseRequest) -> web.Response:
        await over.wait()
        return web.Response()

    async with serving_http(handler) as url, outgoing(media_policy=policy) as client:
        async with asyncio.timeout(50):  # half of the patient time-outs
            called = await post(client, url, policy)
            fetched = await client.fetch_media(url)
        over.set()
    assert isinstance(called, TimedOut)
    assert isinstance(fetched, MediaFailure)
    assert fetched.fault is MediaFault.UNREACHABLE


@pytest.mark.asyncio
@pytest.mark.parametrize("policy", [SHORT_CONNECT, SHORT_TOTAL], ids=["connect", "total"])
async def test_a_handshake_that_does_not_end_is_no_connection(policy: CallbackPolicy) -> None:
    over = asyncio.Event()

    async def peer(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await over.wait()

    async with peering(peer) as port, outgoing() as client:
        async with asyncio.timeout(50):  # half of the patient time-outs
            result = await post(client, f"https://127.0.0.1:{port}/", policy)
        over.set()
    assert isinstance(result, NotConnected)


@pytest.mark.asyncio
@pytest.mark.parametrize("policy", [SILENT_READ, FAIR_TOTAL], ids=["read", "total"])
async def test_an_answer_that_began_is_an_answer_even_if_its_body_never_ends(policy: CallbackPolicy) -> None:
    over = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"some")
        await over.wait()
        return response

    async with serving_http(handler) as url, outgoing() as client:
        result = await post(client, url, policy)
        over.set()
    assert isinstance(result, Answered)
    assert result.status == 200
    assert not result.whole


@pytest.mark.asyncio
async def test_a_refused_connection_is_no_connection() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, not listening: nobody else takes the port meanwhile
        async with outgoing() as client:
            called = await post(client, f"http://127.0.0.1:{held.getsockname()[1]}/")
            fetched = await client.fetch_media(f"http://127.0.0.1:{held.getsockname()[1]}/")
    assert called == NotConnected("connection refused")
    assert fetched == MediaFailure(MediaFault.UNREACHABLE, "connection refused")


def self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2099, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


async def hanging_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def chattering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"220 mail.example ESMTP\r\n\r\n")
    await writer.drain()


@pytest.mark.asyncio
async def test_a_certificate_that_nobody_vouches_for_is_no_connection(tmp_path: Path) -> None:
    async with peering(hanging_up, self_signed(tmp_path)) as port, outgoing() as client:
        result = await post(client, f"https://127.0.0.1:{port}/")
    assert isinstance(result, NotConnected)
    assert "certificate" in result.why
    assert "self-signed" in result.why


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("scheme", "peer", "why"),
    [
        pytest.param("http", hanging_up, "closed the connection", id="hangs-up"),
        pytest.param("http", chattering, "not HTTP", id="speaks-something-else"),
        pytest.param("https", chattering, "TLS", id="speaks-no-tls"),
    ],
)
async def test_a_server_that_gives_no_answer_counts_as_no_connection(scheme: str, peer: Peer, why: str) -> None:
    connections = []

    async def counting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer.get_extra_info("peername"))
        if scheme == "https":
            writer.write(b"220 mail.example ESMTP\r\n")
            return
        await peer(reader, writer)

    async with peering(counting) as port, outgoing() as client:
        result = await post(client, f"{scheme}://127.0.0.1:{port}/")
    assert isinstance(result, NotConnected)
    assert why in result.why
    assert len(connections) == 1


@pytest.mark.asyncio
async def test_a_kept_connection_that_the_server_closes_is_replaced_at_once() -> None:
    connections = []

    async def one_answer_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer.get_extra_info("peername"))
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await reader.readuntil(b"\r\n\r\n")  # the second request, which gets no answer here

    async with peering(one_answer_each) as port, outgoing() as client:
        first = await post(client, f"http://127.0.0.1:{port}/")
        second = await post(client, f"http://127.0.0.1:{port}/")
    assert isinstance(first, Answered)
    assert isinstance(second, Answered)
    assert len(connections) == 2


# --- HTTP as servers write it -----------------------------------------------------------------------------------------

ENDS = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
AS_WRITTEN: dict[str, tuple[str, Answered, bool]] = {  # what is sent, the answer, and whether the connection is kept
    "a length": (f"{ENDS}Content-Length: 2\r\n\r\nok", Answered(200, "text/plain", b"ok"), True),
    "chunks": (
        f"{ENDS}Transfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
        Answered(200, "text/plain", b"ok"),
        True,
    ),
    "no content": ("HTTP/1.1 204 No Content\r\n\r\n", Answered(204, "application/octet-stream"), True),
    "until the end": (f"{ENDS}\r\nok", Answered(200, "text/plain", b"ok"), False),
    "close": (f"{ENDS}Connection: close\r\nContent-Length: 2\r\n\r\nok", Answered(200, "text/plain", b"ok"), False),
    "HTTP/1.0": ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", Answered(200, "application/octet-stream"), False),
    "on the way": (
        f"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n{ENDS}Content-Length: 0\r\n\r\n",
        Answered(200, "text/plain"),
        True,
    ),
    "two answers": (f"{ENDS}Content-Length: 0\r\n\r\n" * 2, Answered(200, "text/plain"), False),
    "more than was announced": (f"{ENDS}Content-Length: 1\r\n\r\nok", Answered(200, "text/plain", b"o"), False),
    "cut off": (f"{ENDS}Content-Length: 9\r\n\r\nok", Answered(200, "text/plain", b"ok", whole=False), False),
    "another protocol": (
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n",
        Answered(101, "application/octet-stream"),
        False,
    ),
}


def saying(text: str, connections: list[object], pieces: int) -> Peer:
    """Answer every request with this text, in so many pieces, and hang up where it does not say how long it is."""
    octets = text.encode()
    size = -(-len(octets) // pieces)

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer.get_extra_info("peername"))
        while (head := await reader.readuntil(b"\r\n\r\n")) and not writer.is_closing():
            length = next(
                int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length")
            )
            await reader.readexactly(length)
            for start in range(0, len(octets), size):
                writer.write(octets[start : start + size])
                await writer.drain()
                if pieces > 1:
                    await breathe(0.001)
            if "Content-Length: 9" in text or ("Length" not in text and "chunked" not in text and "204" not in text):
                return

    return peer


@pytest.mark.asyncio
@pytest.mark.parametrize("pieces", [1, 7])
@pytest.mark.parametrize(("text", "answer", "kept"), AS_WRITTEN.values(), ids=AS_WRITTEN.keys())
async def test_an_answer_is_read_as_it_is_written(text: str, answer: Answered, kept: bool, pieces: int) -> None:
    connections: list[object] = []
    async with peering(saying(text, connections, pieces)) as port, outgoing() as client:
        results = [await post(client, f"http://127.0.0.1:{port}/") for _ in range(2)]
    assert results == [answer, answer]
    assert len(connections) == (1 if kept else 2)


@pytest.mark.asyncio
@pytest.mark.parametrize("endless", ["X: y\r\n", "HTTP/1.1 100 Continue\r\n\r\n"], ids=["head", "continuations"])
async def test_a_head_without_an_end_is_given_up(endless: str) -> None:
    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"" if endless.startswith("HTTP") else b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(endless.encode() * 100)
            await writer.drain()

    async with peering(peer) as port, outgoing() as client:
        async with asyncio.timeout(60):
            result = await post(client, f"http://127.0.0.1:{port}/", SHORT_TOTAL)
    assert isinstance(result, NotConnected | TimedOut)


@pytest.mark.asyncio
async def test_what_nobody_asked_for_ends_a_kept_connection() -> None:
    connections, spoke = [], asyncio.Event()

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer.get_extra_info("peername"))
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        await breathe(0.01)
        writer.write(b"HTTP/1.1 500 Not Yours\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await reader.read()
        spoke.set()

    async with peering(peer) as port, outgoing() as client:
        first = await post(client, f"http://127.0.0.1:{port}/")
        await asyncio.wait_for(spoke.wait(), 60)
        second = await post(client, f"http://127.0.0.1:{port}/")
    assert first == second == Answered(204, "application/octet-stream")
    assert len(connections) == 2


@pytest.mark.asyncio
async def test_calls_at_once_have_a_connection_each_and_the_next_ones_share_them() -> None:
    connections: list[object] = []
    async with peering(saying(AS_WRITTEN["a length"][0], connections, 1)) as port, outgoing() as client:
        for _ in range(3):
            results = await asyncio.gather(*(post(client, f"http://127.0.0.1:{port}/") for _ in range(5)))
            assert results == [AS_WRITTEN["a length"][1]] * 5
    assert len(connections) == 5


@pytest.mark.asyncio
async def test_a_call_that_is_called_off_leaves_no_connection_to_the_next_one() -> None:
    connections, asked = [], asyncio.Event()

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer.get_extra_info("peername"))
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        if len(connections) == 1:
            await reader.read()
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()

    async with peering(peer) as port, outgoing() as client:
        call = asyncio.create_task(post(client, f"http://127.0.0.1:{port}/"))
        await asked.wait()
        call.cancel()
        await asyncio.wait([call])
        assert await post(client, f"http://127.0.0.1:{port}/") == Answered(204, "application/octet-stream")
    assert len(connections) == 2


# --- media -----------------------------------------------------------------------------------------------------------


def media_server(body: bytes, content_type: str) -> Handler:
    return answering(body=body, Content_Type=content_type)


@pytest.mark.asyncio
async def test_media_are_fetched_with_their_type() -> None:
    body = PNG + b"picture"
    async with serving_http(media_server(body, "image/png; name=x")) as url, outgoing() as client:
        assert await client.fetch_media(f"{url}/größe 1.png?key=1#top") == Media("image/png", body)


@pytest.mark.asyncio
async def test_media_that_come_twice_are_not_the_next_ones() -> None:
    again, said = asyncio.Event(), asyncio.Event()

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1]
        answer = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 12\r\n\r\n" + PNG + path
        writer.write(answer)
        await again.wait()
        writer.write(answer)
        said.set()
        await reader.read()

    async with peering(peer) as port, outgoing() as client:
        assert await client.fetch_media(f"http://127.0.0.1:{port}/ann") == Media("image/png", PNG + b"/ann")
        again.set()
        await said.wait()
        await breathe()  # what was written is there at once: the loop reads it in its next turn
        assert await client.fetch_media(f"http://127.0.0.1:{port}/bob") == Media("image/png", PNG + b"/bob")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("content_type", "body", "limit", "other_limit", "fits"),
    [
        pytest.param("image/png", PNG + b"x" * 92, 100, 50, True, id="image-at-its-limit"),
        pytest.param("image/png", PNG + b"x" * 93, 100, 50, False, id="image-over-it"),
        pytest.param("application/pdf", b"%PDF-" + b"x" * 45, 100, 50, True, id="other-at-its-limit"),
        pytest.param("application/pdf", b"%PDF-" + b"x" * 46, 100, 50, False, id="other-over-it"),
        pytest.param("application/octet-stream", b"%PDF-" + b"x" * 46, 100, 50, False, id="untyped-other-over-it"),
        pytest.param("application/octet-stream", PNG + b"x" * 92, 100, 50, True, id="untyped-image-at-its-limit"),
        pytest.param("application/pdf", b"%PDF-" + b"x" * 46, 50, 100, False, id="the-first-limit-binds-both"),
    ],
)
async def test_media_are_limited_by_their_kind(
    content_type: str, body: bytes, limit: int, other_limit: int, fits: bool
) -> None:
    async with serving_http(media_server(body, content_type)) as url, outgoing() as client:
        result = await client.fetch_media(url, limit, other_limit)
    if fits:
        assert isinstance(result, Media)
        assert result.body == body
    else:
        assert isinstance(result, MediaFailure)
        assert result.fault is MediaFault.TOO_LARGE


@pytest.mark.asyncio
async def test_endless_media_are_given_up_at_the_limit() -> None:
    async with serving_http(endless) as url, outgoing() as client:
        result = await client.fetch_media(url, 100_000)
    assert isinstance(result, MediaFailure)
    assert result.fault is MediaFault.TOO_LARGE


@pytest.mark.asyncio
async def test_media_that_are_announced_as_too_large_are_not_waited_for() -> None:
    over = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "image/png", "Content-Length": "101"})
        await response.prepare(request)
        await over.wait()
        return response

    async with serving_http(handler) as url, outgoing() as client:
        async with asyncio.timeout(60):
            result = await client.fetch_media(url, 100)
        over.set()
    assert isinstance(result, MediaFailure)
    assert result.fault is MediaFault.TOO_LARGE


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("handler", "fault", "status"),
    [
        pytest.param(media_server(b"<html>", "text/html"), MediaFault.WRONG_TYPE, None, id="a-page"),
        pytest.param(media_server(b"<html>", "image/png"), MediaFault.WRONG_TYPE, None, id="a-page-as-image"),
        pytest.param(media_server(b"", "image/png"), MediaFault.WRONG_TYPE, None, id="empty"),
        pytest.param(
            answering(body=PNG, Content_Type="image/png", Content_Encoding="gzip"),
            MediaFault.WRONG_TYPE,
            None,
            id="compressed",
        ),
        pytest.param(answering(404), MediaFault.REFUSED, 404, id="not-found"),
        pytest.param(answering(503), MediaFault.REFUSED, 503, id="unavailable"),
        pytest.param(answering(204), MediaFault.REFUSED, 204, id="no-content"),
        pytest.param(redirecting("ftp://127.0.0.1/a.png"), MediaFault.FORBIDDEN, None, id="redirect-to-ftp"),
        pytest.param(redirecting("http://a..b/a.png"), MediaFault.FORBIDDEN, None, id="redirect-to-no-host"),
        pytest.param(redirecting("http://[::1/"), MediaFault.FORBIDDEN, None, id="redirect-to-no-url"),
        pytest.param(redirecting("http://127.0.0.1:99999/"), MediaFault.FORBIDDEN, None, id="redirect-to-no-port"),
        pytest.param(redirecting(f"http://{'a' * 64}.b/"), MediaFault.FORBIDDEN, None, id="redirect-to-long-label"),
        pytest.param(redirecting("http://10.0.0.1/"), MediaFault.FORBIDDEN, None, id="redirect-to-private"),
    ],
)
async def test_media_that_cannot_be_used_are_told_apart(
    handler: Handler, fault: MediaFault, status: int | None
) -> None:
    async with serving_http(handler) as url, outgoing() as client:
        result = await client.fetch_media(url)
    assert isinstance(result, MediaFailure)
    assert (result.fault, result.status) == (fault, status)
    assert result.why


@pytest.mark.asyncio
@pytest.mark.parametrize(("redirects", "follows"), [(1, True), (3, True), (4, False), (9, False)])
async def test_at_most_three_redirects_are_followed(redirects: int, follows: bool) -> None:
    asked = []

    async def handler(request: web.BaseRequest) -> web.Response:
        asked.append(request.raw_path)
        if len(asked) <= redirects:
            return web.Response(status=302, headers={"Location": f"/{len(asked)}"})
        return web.Response(body=PNG, content_type="image/png")

    async with serving_http(handler) as url, outgoing() as client:
        result = await client.fetch_media(url)
    assert len(asked) == min(redirects, 3) + 1
    if follows:
        assert result == Media("image/png", PNG)
    else:
        assert isinstance(result, MediaFailure)
        assert result.fault is MediaFault.REFUSED


@pytest.mark.asyncio
async def test_credentials_do_not_follow_a_redirect_to_another_host() -> None:
    server = Recorder()
    async with (
        serving_http(server, "127.0.0.3") as other,
        serving_http(redirecting(other), "127.0.0.2") as url,
        outgoing() as client,
    ):
        await client.fetch_media(url.replace("http://", "http://anna:s3cret@"))
    assert server.request is not None
    assert server.header("Authorization") is None


# --- what is never told, and the end ---------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "a..b", "2130706433", "127.0.0.1:{closed}", "127.0.0.1:{silent}", "127.0.0.1:{rude}"],
)
@pytest.mark.parametrize("scheme", ["http", "https", "gopher"])
async def test_no_failure_repeats_secrets_of_the_url(scheme: str, address: str) -> None:
    over = asyncio.Event()

    async def silent(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await over.wait()

    async with (
        peering(silent) as silent_port,
        peering(chattering) as rude_port,
        outgoing(media_policy=SHORT_TOTAL) as client,
    ):
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            host = address.format(closed=held.getsockname()[1], silent=silent_port, rude=rude_port)
            url = f"{scheme}://anna:s3cret@{host}/s3cret?key=s3cret"
            results = [await post(client, url, SHORT_TOTAL), await client.fetch_media(url)]
        over.set()
    assert not any(isinstance(result, Answered | Media) for result in results)
    assert "s3cret" not in repr(results)
    assert "anna" not in repr(results)


@pytest.mark.asyncio
async def test_after_close_nothing_is_called() -> None:
    client = Outgoing(LOOPBACK)
    await client.close()
    await client.close()
    with pytest.raises(RuntimeError, match="closed"):
        await post(client, "http://127.0.0.1:9/")
    with pytest.raises(RuntimeError, match="closed"):
        await client.fetch_media("http://127.0.0.1:9/")


def test_what_a_server_says_before_it_is_asked_is_no_answer() -> None:
    # uvloop, as a node has it, reads before it does what was put off to the next turn.
    uvloop.run(_call_over_a_connection_that_is_closed_in_words())


async def _call_over_a_connection_that_is_closed_in_words() -> None:
    asked: list[bytes] = []
    writers: list[asyncio.StreamWriter] = []

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                asked.append(await reader.readexactly(3))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async with peering(peer) as port:
        outgoing = Outgoing(LOOPBACK)
        url = f"http://127.0.0.1:{port}/"
        await outgoing.post(url, "a=1", {}, PATIENT)
        goodbye = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        os.write(writers[0].get_extra_info("socket").fileno(), goodbye)
        result = await outgoing.post(url, "b=2", {}, PATIENT)
        assert isinstance(result, Answered)
        assert (result.status, asked) == (200, [b"a=1", b"b=2"])
        await outgoing.close()
