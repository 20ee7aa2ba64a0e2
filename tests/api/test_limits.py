"""What the API does with requests that are too large, malformed, or by nobody it knows: over sockets where it matters.

The same cases without a socket would leave out who reads them first: the web server.
"""

import asyncio
import base64
import contextlib
import itertools
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from urllib.parse import quote, urlencode

import pytest

from postdate.api.app import PATHS, PUBLIC_PATHS
from postdate.core.resources import Account, AccountStatus
from postdate.flow.directory import changed
from tests.api.serving import API, FROM, KEY_SECRET, TO, Customer, Site, a_site, basic, exchange

MOST_BODY = 65_536
MOST_HEAD = 16_384
MOST_PARAMETERS = 200
FORM = b"application/x-www-form-urlencoded"


# --- credentials -----------------------------------------------------------------------------------------------------


def odd_headers(site: Site) -> dict[str, str | None]:
    user, secret = site.customer.user, site.customer.secret
    pair = base64.b64encode(f"{user}:{secret}".encode()).decode()
    return {
        "none": None,
        "empty": "",
        "scheme only": "Basic",
        "scheme and blank": "Basic ",
        "no base64": "Basic !!!!",
        "cut": f"Basic {pair[:-2]}",
        "cut by one": f"Basic {pair[:-1]}",
        "not utf-8": "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(),
        "no colon": "Basic " + base64.b64encode(user.encode()).decode(),
        "empty pair": "Basic " + base64.b64encode(b":").decode(),
        "nul secret": basic(user, "\0"),
        "nul user": basic("\0", "\0"),
        "wrong secret": basic(user, "wrong"),
        "empty secret": basic(user, ""),
        "secret with a blank": basic(user, secret + " "),
        "secret cut": basic(user, secret[:-1]),
        "small user": basic(user.lower(), secret),
        "unknown user": basic("AC" + "0" * 32, secret),
        "service as user": basic(site.service, secret),
        "emoji": basic("🔑", "🔑"),
        "endless": basic(user, "x" * 5_000),
        "bearer": f"Bearer {secret}",
        "digest": f'Digest username="{user}"',
        "pair without scheme": pair,
        "pair twice": f"Basic {pair}{pair}",
        "raw pair": f"Basic {user}:{secret}",
        "url-safe": "Basic " + base64.urlsafe_b64encode(f"{user}:ÿÿ{secret}".encode()).decode(),
    }


@pytest.mark.parametrize("name", [
    "none", "empty", "scheme only", "scheme and blank", "no base64", "cut", "cut by one", "not utf-8", "no colon",
    "empty pair", "nul secret", "nul user", "wrong secret", "empty secret", "secret with a blank", "secret cut",
    "small user", "unknown user", "service as user", "emoji", "endless", "bearer", "digest", "pair without scheme",
    "pair twice", "raw pair", "url-safe",
])  # fmt: skip
async def test_whoever_does_not_sign_in_is_sent_away(site: Site, name: str) -> None:
    header = odd_headers(site)[name]
    headers = [] if header is None else [(b"authorization", header.encode("latin-1"))]
    body = urlencode({"To": TO, "From": FROM, "Body": "Hi"}).encode()
    for method in ("GET", "POST"):
        reply = await exchange(site.app, method, f"{API}/{site.customer.account}/Messages.json", headers, [body])
        assert reply.error == (20003, 401)
        assert reply.headers["www-authenticate"].startswith("Basic realm=")
        assert site.customer.secret not in reply.body.decode()
    assert (await site.customer.list())["messages"] == []


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
async def test_the_scheme_is_read_in_any_case(site: Site, scheme: str) -> None:
    header = basic(site.customer.user, site.customer.secret).replace("Basic", scheme)
    reply = await site.customer.on("GET", "/Messages.json", authorization=header)
    assert reply.status == 200


async def test_an_api_key_signs_in(site: Site) -> None:
    key = await site.add_key()
    reply = await key.send(From=FROM)
    assert (reply.status, reply.json["account_sid"]) == (201, site.customer.account)
    assert (await Customer(site.app, key.account, key.user, KEY_SECRET + "x").send(From=FROM)).error == (20003, 401)
    assert (await Customer(site.app, key.account, key.user, site.customer.secret).send(From=FROM)).error == (20003, 401)
    # Its SID is no account's: the URL names the account.
    assert (await Customer(site.app, key.user, key.user, KEY_SECRET).send(From=FROM)).error == (20003, 401)
    await site.node.directory.remove(key.user)
    assert (await key.send(From=FROM)).error == (20003, 401)


async def test_a_key_of_the_parent_acts_on_the_subaccount_and_not_the_other_way(site: Site) -> None:
    child = await site.add_account(site.customer.account)
    parents, childs = await site.add_key(), await site.add_key(child.account)
    assert (await Customer(site.app, child.account, parents.user, KEY_SECRET).list())["messages"] == []
    upward = Customer(site.app, site.customer.account, childs.user, KEY_SECRET)
    assert (await upward.send(From=FROM)).error == (20003, 401)


@pytest.mark.parametrize("status", [AccountStatus.SUSPENDED, AccountStatus.CLOSED])
async def test_an_account_that_is_not_active_can_do_nothing(site: Site, status: AccountStatus) -> None:
    sid, key = await site.scheduled(), await site.add_key()
    account = site.node.directory.find(Account, site.customer.account)
    assert account is not None
    await site.node.directory.put(changed(account, status=status))
    for customer in (site.customer, key):
        assert (await customer.send(From=FROM)).error == (20005, 403)
        assert (await customer.on("GET", "/Messages.json")).error == (20005, 403)
        assert (await customer.on("POST", f"/Messages/{sid}", b"Status=canceled")).error == (20005, 403)
    await site.node.directory.put(account)
    assert (await site.customer.on("GET", "/Messages.json")).status == 200


async def test_the_subaccounts_of_a_suspended_account_can_do_nothing(site: Site) -> None:
    child = await site.add_account(site.customer.account)
    account = site.node.directory.find(Account, site.customer.account)
    assert account is not None
    await site.node.directory.put(changed(account, status=AccountStatus.SUSPENDED))
    downward = Customer(site.app, child.account, site.customer.user, site.customer.secret)
    for customer in (child, downward):
        assert (await customer.on("GET", "/Messages.json")).error == (20005, 403)


@pytest.mark.parametrize("account", ["AC" + "0" * 32, "AC", "%00", "x" * 5_000, "%F0%9F%98%80", ".."])
async def test_an_account_that_is_none(site: Site, account: str) -> None:
    assert (await Customer(site.app, account, site.customer.user, site.customer.secret).send()).error == (20003, 401)


# --- methods ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "resource"),
    [
        pytest.param(method, resource, id=f"{method} {resource}")
        for resource, allowed in {
            "/Messages.json": "GET HEAD POST",
            "/Messages/{sid}.json": "GET HEAD POST DELETE",
            "/Messages/{sid}/Media.json": "GET HEAD",
            "/Messages/{sid}/Media/{sid}": "GET HEAD DELETE",
            "/Messages/{sid}/Feedback.json": "POST",
        }.items()
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "X")
        if method not in allowed.split()
    ],
)
async def test_another_method(site: Site, method: str, resource: str) -> None:
    sid = await site.scheduled()
    reply = await site.customer.on(method, resource.format(sid=sid), b"Status=canceled")
    assert reply.error == (20004, 405)
    assert method in reply.json["message"]
    assert (await site.customer.fetch(sid))["status"] == "scheduled"


async def test_another_method_by_nobody_is_nobody(site: Site) -> None:
    assert (await exchange(site.app, "PUT", f"{API}/x/Messages.json", [], [b""])).error == (20003, 401)


# --- bodies ----------------------------------------------------------------------------------------------------------


def padded(length: int) -> bytes:
    """A create whose form is exactly so long."""
    form = urlencode({"To": TO, "From": FROM, "Body": "Hi", "Padding": ""}).encode()
    return form + b"x" * (length - len(form))


@pytest.mark.parametrize(("length", "status"), [(MOST_BODY, 201), (MOST_BODY + 1, 413), (10 * MOST_BODY, 413)], ids=str)
@pytest.mark.parametrize("chunk", [10**9, 60_000, 1_000])
@pytest.mark.parametrize("announced", [True, False], ids=["with-length", "without-length"])
async def test_how_long_a_body_may_be(site: Site, length: int, status: int, chunk: int, announced: bool) -> None:
    body = padded(length)
    headers = [(b"authorization", basic(site.customer.user, site.customer.secret).encode())]
    if announced:
        headers.append((b"content-length", str(length).encode()))
    chunks = [body[start : start + chunk] for start in range(0, length, chunk)]
    reply = await exchange(site.app, "POST", f"{API}/{site.customer.account}/Messages.json", headers, chunks)
    assert reply.status == status
    if status == 413:
        assert reply.error == (20413, 413)
        assert str(MOST_BODY) in reply.json["message"]
    assert len((await site.customer.list())["messages"]) == (status == 201)


async def test_the_limits_are_settings(tmp_path: Path) -> None:
    async with a_site(tmp_path, max_body_bytes=2_000, max_parameters=10) as site:
        assert (await site.customer.on("POST", "/Messages.json", padded(2_000))).status == 201
        assert (await site.customer.on("POST", "/Messages.json", padded(2_001))).error == (20413, 413)
        assert (await site.customer.on("GET", "/Messages.json", query=b"&".join([b"a=1"] * 10))).status == 200
        assert (await site.customer.on("GET", "/Messages.json", query=b"&".join([b"a=1"] * 11))).error == (20422, 422)


@pytest.mark.parametrize("where", ["form", "query"])
@pytest.mark.parametrize(("count", "fits"), [(MOST_PARAMETERS, True), (MOST_PARAMETERS + 1, False), (5_000, False)])
async def test_how_many_parameters_there_may_be(site: Site, where: str, count: int, fits: bool) -> None:
    pairs = [("To", TO), ("From", FROM), ("Body", "Hi")]
    encoded = urlencode(pairs + [("a", "")] * (count - len(pairs))).encode()
    if where == "form":
        reply = await site.customer.on("POST", "/Messages.json", encoded)
    else:
        reply = await site.customer.on("GET", "/Messages.json", query=encoded)
    if fits:
        assert reply.status == (201 if where == "form" else 200)
    else:
        assert reply.error == (20422, 422)
        assert str(MOST_PARAMETERS) in reply.json["message"]


@pytest.mark.parametrize("where", ["form", "query"])
@pytest.mark.parametrize("text", [b"%FF", b"\xff", b"%ED%A0%80", b"%C0%AF", b"%F0%9F", "é".encode("latin-1")])
async def test_text_that_is_not_utf_8(site: Site, where: str, text: bytes) -> None:
    encoded = urlencode({"To": TO, "From": FROM}).encode() + b"&Body=" + text
    if where == "form":
        reply = await site.customer.on("POST", "/Messages.json", encoded)
    else:
        reply = await site.customer.on("GET", "/Messages.json", query=encoded)
    assert reply.error == (20422, 422)
    assert (await site.customer.list())["messages"] == []


@pytest.mark.parametrize(
    ("encoded", "body"),
    [
        pytest.param(b"100%", "100%", id="percent-at-the-end"),
        pytest.param(b"100%2", "100%2", id="percent-and-one-digit"),
        pytest.param(b"%zz%ZZ", "%zz%ZZ", id="percent-without-hex"),
        pytest.param(b"%2525", "%25", id="decoded-once"),
        pytest.param(b"a%2Bb+c", "a+b c", id="plus"),
        pytest.param(b"a%0D%0Ab", "a\r\nb", id="line-break"),
        pytest.param(b"a%26b%3Dc", "a&b=c", id="separators"),
        pytest.param(b"%f0%9f%98%80", "😀", id="small-hex"),
    ],
)
async def test_odd_percent_signs(site: Site, encoded: bytes, body: str) -> None:
    form = urlencode({"To": TO, "From": FROM}).encode() + b"&Body=" + encoded
    assert (await site.customer.on("POST", "/Messages.json", form)).json["body"] == body


NO_FORMS = [
    pytest.param("application/json", '{"To": "%s", "From": "%s", "Body": "&To=x", "Status": "canceled"}', id="json"),
    pytest.param("Application/JSON; charset=utf-8", '{"Status": "canceled"}', id="json-in-capitals"),
    pytest.param(
        "multipart/form-data; boundary=x",
        '--x\r\nContent-Disposition: form-data; name="Status"\r\n\r\ncanceled\r\n--x--',
        id="multipart",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("content_type", "body"), NO_FORMS)
async def test_what_is_no_form_is_refused_not_ignored(site: Site, content_type: str, body: str) -> None:
    # A cancel that is answered 200 because nothing in it was understood would be taken for one.
    sid = await site.scheduled()
    before = await site.customer.fetch(sid)
    for resource in ("/Messages.json", f"/Messages/{sid}.json", f"/Messages/{sid}/Feedback.json"):
        reply = await site.customer.on("POST", resource, body.encode(), Content_Type=content_type)
        assert reply.error == (20422, 422)
        assert "application/x-www-form-urlencoded" in reply.json["message"]
    reply = await site.customer.call(
        "POST", "/postdate/v1/TestClock", body.encode(), headers={"Content-Type": content_type}
    )
    assert reply.error == (20422, 422)
    assert (await site.customer.list())["messages"] == [before]


async def test_a_get_may_name_any_content_type(site: Site) -> None:
    for content_type in ("application/json", FORM.decode()):
        assert (await site.customer.on("GET", "/Messages.json", Content_Type=content_type)).status == 200


async def test_a_form_without_its_content_type_is_a_form(site: Site) -> None:
    form = {"To": TO, "From": FROM, "Body": "Hi"}
    for content_type in ("", FORM.decode(), f"{FORM.decode()}; charset=utf-8", "text/plain"):
        reply = await site.customer.on("POST", "/Messages.json", form, Content_Type=content_type)
        assert reply.status == 201


@pytest.mark.parametrize("chunks", [[b"To=%2B14155550100&From=%2B15005550006&Body=Half a mess"], [b"To=%2B141"], [b""]])
async def test_half_a_request_is_not_carried_out(site: Site, chunks: list[bytes]) -> None:
    """A customer hangs up in the middle of the body: what came is no message, however well it reads."""
    left = list(chunks)
    path = f"{API}/{site.customer.account}/Messages"
    sent: list[object] = []

    async def receive() -> dict[str, object]:
        if left:
            return {"type": "http.request", "body": left.pop(0), "more_body": True}
        return {"type": "http.disconnect"}

    async def send(message: object) -> None:
        sent.append(message)

    headers = [(b"authorization", basic(site.customer.user, site.customer.secret).encode())]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers, "root_path": ""}
    await site.app(scope, receive, send)
    assert sent == []
    assert (await site.customer.list())["messages"] == []


# --- over a socket ---------------------------------------------------------------------------------------------------


class Line:
    """One connection to a node, spoken to in bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, site: Site) -> None:
        self._reader = reader
        self._writer = writer
        self._site = site

    def head(self, method: str, resource: str, *headers: bytes) -> bytes:
        """Return the head of a request by the customer."""
        customer = self._site.customer
        first = [
            f"{method} {API}/{customer.account}{resource} HTTP/1.1".encode(),
            b"Host: 127.0.0.1",
            f"Authorization: {basic(customer.user, customer.secret)}".encode(),
        ]
        return b"\r\n".join([*first, *headers]) + b"\r\n\r\n"

    def post(self, body: bytes) -> bytes:
        """Return a whole request to create a message."""
        return self.head("POST", "/Messages.json", b"Content-Type: " + FORM, b"Content-Length: %d" % len(body)) + body

    async def write(self, *pieces: bytes) -> None:
        """Send bytes, piece by piece."""
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()

    async def answer(self, *, to_head: bool = False) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of the next answer; one to HEAD has none."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = 0 if to_head else int(headers.get("content-length", "0"))
        return int(first.split()[1]), headers, await self._reader.readexactly(length)

    async def ended(self) -> bool:
        """Say whether the server closed the connection."""
        try:
            return await self._reader.read(1) == b""
        except ConnectionResetError:  # it did not wait for what we were still sending
            return True

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


@asynccontextmanager
async def line_to(site: Site) -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.node.port)
    line = Line(reader, writer, site)
    try:
        yield line
    finally:
        line.close()


@pytest.fixture
async def line(site: Site) -> AsyncIterator[Line]:
    await site.node.listen()
    async with line_to(site) as opened:
        yield opened


CREATE = urlencode({"To": TO, "From": FROM, "Body": "Hi"}).encode()
EMOJI = urlencode({"To": TO, "From": FROM, "Body": "😀" * 1_600}).encode()
assert MOST_HEAD < len(EMOJI) < MOST_BODY


async def test_many_requests_on_one_connection(site: Site, line: Line) -> None:
    for _ in range(60):  # together far more than one head may have
        await line.write(line.post(CREATE))
        assert (await line.answer())[0] == 201


async def test_requests_that_do_not_wait_for_their_answers(site: Site, line: Line) -> None:
    await line.write(line.post(CREATE) * 20)
    assert [(await line.answer())[0] for _ in range(20)] == [201] * 20


@pytest.mark.parametrize("apart", [True, False], ids=["head-and-body-apart", "in-one-piece"])
async def test_a_body_that_is_longer_than_a_head_may_be(site: Site, line: Line, apart: bool) -> None:
    request = line.post(EMOJI)
    cut = len(request) - len(EMOJI)
    for _ in range(3):
        await line.write(*((request[:cut], request[cut:]) if apart else (request,)))
        status, _, body = await line.answer()
        assert (status, json.loads(body)["body"]) == (201, "😀" * 1_600)


async def test_a_body_byte_by_byte(site: Site, line: Line) -> None:
    await line.write(*(bytes([byte]) for byte in line.post(CREATE)))
    assert (await line.answer())[0] == 201


async def test_a_body_in_chunks(site: Site, line: Line) -> None:
    half = len(CREATE) // 2
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (CREATE[:half], CREATE[half:], b""))
    await line.write(line.head("POST", "/Messages.json", b"Transfer-Encoding: chunked"), chunks)
    assert (await line.answer())[0] == 201


@pytest.mark.parametrize("pieces", [1, 7])
async def test_a_body_in_chunks_that_is_too_long(site: Site, line: Line, pieces: int) -> None:
    part = b"%x\r\n%s\r\n" % (20_000, b"x" * 20_000)
    await line.write(line.head("POST", "/Messages.json", b"Transfer-Encoding: chunked"))
    for _ in range(pieces):
        await line.write(part * (7 // pieces))
    await line.write(b"0\r\n\r\n")
    assert (await line.answer())[0] == 413


async def test_a_body_that_is_announced_too_long(site: Site, line: Line) -> None:
    await line.write(line.head("POST", "/Messages.json", b"Content-Length: 10000000"), b"To=")
    status, _, body = await line.answer()
    assert (status, json.loads(body)["code"]) == (413, 20413)


async def test_a_customer_who_hangs_up_in_the_body_sends_nothing(site: Site, line: Line) -> None:
    await line.write(line.post(CREATE)[:-1])
    await asyncio.wait_for(_seen(site), 60)
    line.close()
    async with line_to(site) as another:
        await another.write(another.head("GET", "/Messages.json"))
        assert (await another.answer())[0] == 200
    await site.node.settle()
    assert (await site.customer.list())["messages"] == []


async def _seen(site: Site) -> None:
    """Return when the node has answered somebody else: then it has read what came before."""
    async with line_to(site) as another:
        await another.write(another.head("GET", "/Messages.json"))
        await another.answer()


@pytest.mark.parametrize("shape", ["one-header", "many-headers", "path"])
async def test_how_long_a_head_may_be(site: Site, line: Line, shape: str) -> None:
    lengths = [(MOST_HEAD // 2, 200), (MOST_HEAD + 1, 431), (MOST_HEAD * 3, 431)]
    for (length, wanted), piece in itertools.product(lengths, (10**9, 1_000)):
        request = {
            "path": line.head("GET", "/Messages.json?x=" + "y" * length),
            "one-header": line.head("GET", "/Messages.json", b"X-Padding: " + b"y" * length),
            "many-headers": line.head("GET", "/Messages.json", *(b"X-%05d: y" % n for n in range(length // 12))),
        }[shape]
        async with line_to(site) as fresh:
            with contextlib.suppress(ConnectionError):  # it need not wait for the rest of what it refuses
                await fresh.write(*(request[start : start + piece] for start in range(0, len(request), piece)))
            status, _, _ = await fresh.answer()
            assert status == wanted, (length, piece)
            assert status == 200 or await fresh.ended(), (length, piece)
    await _seen(site)  # the others are not concerned


async def test_a_head_that_begins_in_the_piece_of_another_request(site: Site, line: Line) -> None:
    before = line.head("GET", "/Messages.json")
    too_long = line.head("GET", "/Messages.json", b"X-Padding: " + b"y" * MOST_HEAD)
    await line.write(before + too_long[: len(too_long) - 1_000])
    assert (await line.answer())[0] == 200  # so the rest comes in a piece of its own
    await line.write(too_long[-1_000:])
    assert (await line.answer())[0] == 431
    await _seen(site)


async def test_a_head_that_never_ends(site: Site, line: Line) -> None:
    await line.write(line.head("GET", "/Messages.json")[:-2])
    with contextlib.suppress(ConnectionError):  # once it has had enough
        for _ in range(1_000_000):
            await line.write(b"X-More: " + b"y" * 100 + b"\r\n")
        pytest.fail("a hundred megabytes of headers were taken")
    await _seen(site)


@pytest.mark.parametrize("piece", [10**9, 1_000])
async def test_a_create_whose_head_is_too_long_creates_nothing(site: Site, line: Line, piece: int) -> None:
    # Refused and yet carried out, it would be sent again by whoever reads the answer.
    length = b"Content-Length: %d" % len(CREATE)
    request = line.head("POST", "/Messages.json", length, b"X-Padding: " + b"y" * MOST_HEAD) + CREATE
    await line.write(*(request[start : start + piece] for start in range(0, len(request), piece)))
    assert (await line.answer())[0] == 431
    await _seen(site)
    await site.node.settle()
    assert (await site.customer.list())["messages"] == []


async def test_what_is_not_http(site: Site, line: Line) -> None:
    await line.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n")
    status, _, _ = await line.answer()
    assert status == 400
    await _seen(site)


async def test_a_head_is_answered_without_a_body(site: Site, line: Line) -> None:
    await line.write(line.head("HEAD", "/Messages.json"), line.head("GET", "/Messages.json"))
    status, headers, _ = await line.answer(to_head=True)
    assert (status, headers["content-type"]) == (200, "application/json; charset=utf-8")
    get_status, get_headers, body = await line.answer()
    assert (get_status, get_headers["content-length"]) == (200, headers["content-length"])
    assert json.loads(body)["messages"] == []


async def test_a_deleted_message_is_answered_without_a_body(site: Site, line: Line) -> None:
    sid = await site.scheduled()
    await site.customer.on("POST", f"/Messages/{sid}", b"Status=canceled")
    await line.write(line.head("DELETE", f"/Messages/{sid}.json"), line.head("GET", "/Messages.json"))
    assert (await line.answer())[0] == 204
    assert (await line.answer())[0] == 200


async def test_paths_over_the_socket(site: Site, line: Line) -> None:
    for path in ("/%FF%FE", "/%00", "/\xff", "/%", "//", "/?%", "*"):
        async with line_to(site) as fresh:
            await fresh.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode("latin-1"))
            status, _, body = await fresh.answer()
        assert status in (400, 404), path
        assert status == 400 or json.loads(body)["code"] == 20404, path
    await _seen(site)


async def test_an_unknown_method_over_the_socket(site: Site, line: Line) -> None:
    await line.write(line.head("PATCH", "/Messages.json"))
    status, _, body = await line.answer()
    assert (status, json.loads(body)["code"]) == (405, 20004)


async def test_a_wait_for_continue(site: Site, line: Line) -> None:
    length = b"Content-Length: %d" % len(CREATE)
    await line.write(line.head("POST", "/Messages.json", length, b"Expect: 100-continue"))
    assert (await line.answer())[0] == 100
    await line.write(CREATE)
    assert (await line.answer())[0] == 201


async def test_no_answer_is_a_redirect(site: Site, line: Line) -> None:
    account = site.customer.account
    for path in (f"/2010-04-01/Accounts/{account}/Messages/", "//2010-04-01/Accounts", "/2010-04-01", f"{API}/"):
        await line.write(f"GET {quote(path)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert (await line.answer())[0] in (401, 404)


# --- anything at all --------------------------------------------------------------------------------------------------

ODD = [
    "", "a", "\0", "💥" * 50, "'", "%", "-1", "0", "9" * 12, "9" * 13, "²", "null", "[]", '{"a":"b"}', "\u202e",
    "x" * 2_000, "true", "fixed", "canceled", "GET", "2030-01-01T14:00:00Z", "9999-12-31T23:59:59Z", "..", "*",
    "0001-01-01T00:00:00Z", "0s..", "P1D", "https://example.com/", "http://[::1]:99999/", "whatsapp:" + TO, TO, FROM,
    "12345", "US", "sent", "PASM" + "0" * 32 + "1", "PBSM" + "f" * 32 + "9" * 18,
]  # fmt: skip
NAMES = [
    "To", "From", "Body", "MessagingServiceSid", "MediaUrl", "SendAt", "ScheduleType", "StatusCallback", "Outcome",
    "ValidityPeriod", "Status", "PageSize", "Page", "PageToken", "DateSent", "DateSent<", "DateSent>", "SendAt<",
    "SendAt>", "Tags", "FriendlyName", "PhoneNumber", "PhoneNumberSid", "AlphaSender", "ShortCodeSid", "Sid",
    "ApplicationSid", "ScheduleWindow", "SmsUrl", "SmsMethod", "StickySender", "Usecase", "PersistentAction",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_is_asked_the_answer_is_a_resource_or_a_documented_error(site: Site, seed: int) -> None:
    chance = Random(seed)
    own = [
        site.customer.account,
        site.service,
        await site.scheduled(),
        (await site.customer.send(From=FROM)).json["sid"],
    ]
    values, seen = ODD + own * 3, set()

    def pairs(most: int) -> list[tuple[str, str]]:
        return [(chance.choice(NAMES), chance.choice(values)) for _ in range(chance.randrange(most))]

    for _ in range(400):
        template = chance.choice([*PATHS, *PUBLIC_PATHS])
        path = re.sub(
            r"\{\w+\}", lambda _: quote(chance.choice(values), safe=""), template.replace("{account_sid}", own[0])
        )
        ending = chance.choice(["", ".json"])
        method = chance.choice(["GET", "POST", "POST", "DELETE"])
        reply = await site.customer.call(method, path + ending, pairs(6), pairs(4))
        seen.add(reply.status)
        assert reply.status < 500, (method, path, reply)
        assert reply.status < 400 or reply.error
    assert seen >= {200, 201, 400, 404, 405}
