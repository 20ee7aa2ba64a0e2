"""What the shell of HTTP providers does beside handing over: tokens, questions, documents, and the condition it shows.

The provider here is a small one with all the wishes a provider can have; its carrier listens on 127.0.0.1 over TLS.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from postdate.clock import TestClock, breathe
from postdate.connectors.contract import Asks, CarrierEvent, Inbound, LateAnswer, Receipt, State, Submission
from postdate.connectors.http import HttpConnector, HttpWay, http_connector
from postdate.connectors.http_calls import MOST_DOCUMENTS, NotNow
from postdate.connectors.http_token import RENEWED_BEFORE
from postdate.connectors.providers.contract import (
    Answer,
    BadEvent,
    Call,
    Context,
    Heard,
    HttpSettings,
    NeedsDocument,
    Request,
    Untrusted,
)
from postdate.core.address import Channel
from postdate.core.instant import HOUR, MINUTE, SECOND, Instant, parse_instant
from postdate.core.message import Event
from postdate.core.outcome import Accepted, Busy, InDoubt, Outcome, Refused, Unreachable

START = parse_instant("2030-01-01T12:00:00Z")
SECRET = "hush-hush"

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


# --- a provider, and its carrier -------------------------------------------------------------------------------------


@dataclass
class Plain:
    """A provider that wants nothing beside a request."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)
    heard: Heard = field(default_factory=Heard)
    needs: Sequence[str] = ()

    def request(self, submission: Submission, context: Context) -> Request | Refused:
        if submission.body == "never":
            return Refused(30006, "this carrier has no such channel")
        body = f"{submission.sid} {context.at} {context.chance.hex()} {context.events_url}"
        headers = {**self.headers, "X-Token": context.token or "none"}
        return Request("PUT", f"{self.url}/send?a=%41+'b", headers, body.encode())

    def outcome(self, submission: Submission, answer: Answer) -> Outcome:
        return answered(answer)

    def events(self, call: Call) -> Heard:
        if call.body == b"untrusted":
            raise Untrusted("not signed")
        for url in self.needs:
            if url not in call.documents:
                raise NeedsDocument(url)
        if self.needs:
            return replace(self.heard, body=b"".join(call.documents[url] for url in self.needs), status=200)
        return self.heard


@dataclass
class Asked(Plain):
    """One that can be asked."""

    def question(self, submission: Submission, context: Context) -> Request:
        return Request("GET", f"{self.url}/ask/{submission.sid}", {"X-Token": context.token or "none"})

    def verdict(self, submission: Submission, answer: Answer) -> Accepted | Unreachable | InDoubt:
        return Unreachable("it has it not") if answer.status == 404 else Accepted(answer.body.decode())


@dataclass
class WithTokens(Asked):
    """One whose requests need a token, which lives for ten minutes."""

    def token_request(self, context: Context) -> Request:
        return Request("POST", f"{self.url}/token", {"X-Chance": context.chance.hex()}, SECRET.encode())

    def read_token(self, answer: Answer) -> tuple[str, Instant] | None:
        if answer.status != 200 or not answer.body:
            return None
        return answer.body.decode(), Instant(answer.at + 10 * MINUTE)


def answered(answer: Answer) -> Outcome:
    if answer.status in (401, 429):
        return Busy(None, f"the carrier answered {answer.status}")
    if answer.status == 200 and answer.body:
        return Accepted(answer.body.decode())
    return InDoubt(f"the carrier answered {answer.status}")


@dataclass
class Carrier:
    """Answers as it is told, and remembers what came."""

    seen: list[str] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, str], str]] = field(default_factory=list)
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    tokens: int = 0
    held: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.held.set()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        kind = request.path.split("/")[1]
        self.seen.append(kind)
        body = (await request.read()).decode()
        self.requests.append((request.method, request.raw_path, dict(request.headers), body))
        if kind == "token":
            await self.held.wait()
            self.tokens += 1
        status, said = self.answers.get(request.path, self.answers.get(f"/{kind}", (200, b"ref")))
        if kind == "token" and status == 200:
            said = f"token-{self.tokens}".encode()
        if status == 302:
            return web.Response(status=302, headers={"Location": "/elsewhere"})
        return web.Response(status=status, body=said)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Give the contexts of a server at 127.0.0.1 and of a client that believes it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    first, last = (datetime.fromisoformat(f"{year}-01-01") for year in (2000, 2100))
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), first, last)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False)
    pem: Path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(secret + builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(cafile=pem)


@asynccontextmanager
async def serving(handler: Handler, context: ssl.SSLContext) -> AsyncIterator[str]:
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@dataclass
class Shell:
    """A connector with its carrier, its clock and what it was told."""

    connector: HttpConnector
    carrier: Carrier
    clock: TestClock
    url: str
    provider: Plain
    events: list[CarrierEvent]

    async def send(self, *sids: int, body: str = "Hello") -> list[Outcome]:
        batch = [submission(sid, body) for sid in sids or (1,)]
        outcomes = {one.sid: outcome async for one, outcome in self.connector.submit(batch)}
        assert SECRET not in repr(outcomes)
        return [outcomes[one.sid] for one in batch]

    async def ask(self, sid: int = 1) -> Outcome:
        assert isinstance(self.connector, Asks)
        return await self.connector.ask(submission(sid))

    async def advance(self, micros: int) -> None:
        await self.clock.advance_to(Instant(self.clock.now() + micros), breathe)


@asynccontextmanager
async def shell(
    make: Callable[[str], Plain],
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
    in_flight: int = 100,
) -> AsyncIterator[Shell]:
    carrier, clock, events = Carrier(), TestClock(START, frozen=True), list[CarrierEvent]()

    async def on_event(event: CarrierEvent) -> None:
        if event == Receipt("full", Event.READ):
            raise OSError("the disk is full")
        await breathe()
        events.append(event)

    async with serving(carrier, tls[0]) as url:
        provider = make(url)
        settings = HttpSettings(timeout=20.0, in_flight=in_flight)
        way = HttpWay("gateway", provider, settings, lambda sid: f"https://node.example/e?sid={sid}", tls[1])
        connector = http_connector(way, clock, lambda: bytes(range(16)))
        await connector.open(on_event)
        try:
            yield Shell(connector, carrier, clock, url, provider, events)
        finally:
            await connector.close()


def submission(number: int = 1, body: str = "Hello") -> Submission:
    sid = f"SM{number:032x}"
    return Submission(sid, 1, "+15550001111", "+15550002222", Channel.SMS, body, 1, START, Instant(START + 4 * HOUR))


def call(body: bytes = b"") -> Call:
    return Call("POST", "https://node.example/e", (), {}, body, START)


Tls = tuple[ssl.SSLContext, ssl.SSLContext]


# --- requests --------------------------------------------------------------------------------------------------------


async def test_a_request_is_sent_to_the_byte_with_what_the_context_gives(tls: Tls) -> None:
    async with shell(lambda url: Plain(url, {"X-Own": "yes"}), tls) as at:
        assert await at.send(7) == [Accepted("ref")]
    ((method, path, headers, body),) = at.carrier.requests
    assert (method, path) == ("PUT", "/send?a=%41+'b")
    sid = submission(7).sid
    assert body == f"{sid} {START} 000102030405060708090a0b0c0d0e0f https://node.example/e?sid={sid}"
    assert headers["X-Own"] == "yes"
    assert headers["User-Agent"].startswith("Postdate/")
    assert headers["Accept-Encoding"] == "identity"
    assert not {"Authorization", "Cookie", "Content-Type"} & set(headers)


async def test_what_a_provider_refuses_never_leaves(tls: Tls) -> None:
    async with shell(Plain, tls) as at:
        assert await at.send(body="never") == [Refused(30006, "this carrier has no such channel")]
    assert at.carrier.seen == []


BROKEN = {
    "a line break in a header": ("", {"X": "a\r\nY: b"}),
    "a NUL in a header": ("", {"X": "a\0"}),
    "half a character in a header": ("", {"X": "\ud83d"}),
    "a name that is none": ("", {"X Y": "a"}),
    "no host": ("https://", {}),
    "another scheme": ("ftp://127.0.0.1", {}),
    "no URL": ("https://[", {}),
    "user info": ("https://user:word@127.0.0.1", {}),
}


@pytest.mark.parametrize(("url", "headers"), BROKEN.values(), ids=BROKEN.keys())
async def test_what_cannot_be_sent_never_leaves_and_waits_for_the_operator(
    tls: Tls, url: str, headers: dict[str, str]
) -> None:
    async with shell(lambda real: Plain(url or real, headers), tls) as at:
        (outcome,) = await at.send()
    assert isinstance(outcome, Busy)
    assert outcome.this_only
    assert "check the connection's" in outcome.detail
    assert at.connector.condition.last_error == outcome.detail
    assert at.carrier.seen == []


# --- tokens ----------------------------------------------------------------------------------------------------------


def tokens_sent(at: Shell) -> list[str]:
    return [headers["X-Token"] for method, _, headers, _ in at.carrier.requests if method == "PUT"]


async def test_a_token_is_fetched_once_for_all_and_kept_until_it_must_be_renewed(tls: Tls) -> None:
    async with shell(WithTokens, tls) as at:
        at.carrier.held.clear()
        sending = asyncio.create_task(at.send(*range(20)))
        while at.carrier.seen != ["token"]:
            await breathe()
        for _ in range(20):
            await breathe()
        at.carrier.held.set()
        assert await sending == [Accepted("ref")] * 20
        await at.advance(10 * MINUTE - RENEWED_BEFORE - 1)
        assert await at.send(30) == [Accepted("ref")]
        assert at.carrier.tokens == 1
        await at.advance(1)
        assert await at.send(31) == [Accepted("ref")]
    assert tokens_sent(at) == ["token-1"] * 21 + ["token-2"]


async def test_a_token_that_cannot_be_renewed_is_used_until_it_ends(tls: Tls) -> None:
    async with shell(WithTokens, tls) as at:
        await at.send(1)
        at.carrier.answers["/token"] = (503, b"")
        await at.advance(10 * MINUTE - 1)
        assert await at.send(2) == [Accepted("ref")]
        await at.advance(1)
        (outcome,) = await at.send(3)
        assert isinstance(outcome, Unreachable)
        assert "credentials" in outcome.detail
        assert at.connector.condition.last_error == outcome.detail
        at.carrier.answers.clear()
        assert await at.send(4) == [Accepted("ref")]
    assert tokens_sent(at) == ["token-1", "token-1", "token-4"]  # two were asked for in vain


@pytest.mark.parametrize(("status", "body"), [(500, b""), (401, b"no"), (302, b""), (200, b"x" * 70_000)])
async def test_without_a_token_nothing_leaves(tls: Tls, status: int, body: bytes) -> None:
    class Strict(WithTokens):
        def read_token(self, answer: Answer) -> tuple[str, Instant] | None:
            assert len(answer.body) <= 65_536
            return None

    async with shell(Strict, tls) as at:
        at.carrier.answers["/token"] = (status, body)
        assert {type(outcome) for outcome in await at.send(1, 2, 3)} == {Unreachable}
    assert set(at.carrier.seen) == {"token"}


async def test_a_token_that_is_not_accepted_is_dropped(tls: Tls) -> None:
    async with shell(WithTokens, tls) as at:
        at.carrier.answers["/send"] = (401, b"")
        assert await at.send(1) == [Busy(None, "the carrier answered 401")]
        at.carrier.answers.clear()
        assert await at.send(2) == [Accepted("ref")]
    assert tokens_sent(at) == ["token-1", "token-2"]


async def test_close_while_a_token_is_fetched_leaves_nothing_in_doubt(tls: Tls) -> None:
    async with shell(WithTokens, tls) as at:
        at.carrier.held.clear()
        sending = asyncio.create_task(at.send(1, 2))
        while at.carrier.seen != ["token"]:
            await breathe()
        await at.connector.close()
        at.carrier.held.set()
        assert {type(outcome) for outcome in await sending} == {Unreachable}
    assert at.carrier.seen == ["token"]


async def test_one_that_is_called_off_does_not_call_off_the_token(tls: Tls) -> None:
    async with shell(WithTokens, tls, in_flight=1) as at:
        at.carrier.held.clear()
        asked = asyncio.create_task(at.ask())
        while at.carrier.seen != ["token"]:
            await breathe()
        sending = asyncio.create_task(at.send(1))
        await breathe()
        asked.cancel()
        await asyncio.wait([asked])
        at.carrier.held.set()
        assert await sending == [Accepted("ref")]
    assert at.carrier.tokens == 1


# --- questions -------------------------------------------------------------------------------------------------------


async def test_only_one_whose_provider_can_be_asked_is_an_asks(tls: Tls) -> None:
    async with shell(Plain, tls) as at:
        assert not isinstance(at.connector, Asks)
    async with shell(Asked, tls) as at:
        assert isinstance(at.connector, Asks)


@pytest.mark.parametrize("make", [Asked, WithTokens])
async def test_a_question_is_answered_by_the_provider(tls: Tls, make: Callable[[str], Plain]) -> None:
    async with shell(make, tls) as at:
        assert await at.ask(1) == Accepted("ref")
        at.carrier.answers["/ask"] = (404, b"")
        assert await at.ask(2) == Unreachable("it has it not")
        assert at.connector.idle
    asked = [path for _, path, _, _ in at.carrier.requests if path.startswith("/ask")]
    assert asked == [f"/ask/{submission(1).sid}", f"/ask/{submission(2).sid}"]


async def test_a_question_without_an_answer_leaves_it_in_doubt(tls: Tls) -> None:
    async with shell(WithTokens, tls) as at:
        at.carrier.answers["/token"] = (500, b"")
        assert isinstance(await at.ask(), InDoubt)
    assert isinstance(await at.ask(), InDoubt)
    async with shell(lambda _: Asked("https://127.0.0.1:9"), tls) as at:
        assert isinstance(await at.ask(), InDoubt)
    async with shell(lambda _: Asked("ftp://127.0.0.1"), tls) as at:
        assert isinstance(await at.ask(), InDoubt)


async def test_half_an_answer_to_a_question_says_nothing(tls: Tls) -> None:
    async def cut_off(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(status=404, headers={"Content-Length": "9"})
        await response.prepare(request)
        assert request.transport is not None
        request.transport.close()
        return response

    async with serving(cut_off, tls[0]) as url, shell(lambda _: Asked(url), tls) as at:
        assert isinstance(await at.ask(), InDoubt)


# --- calls of the carrier --------------------------------------------------------------------------------------------

MO_1, MO_2 = Inbound("+1555", "12345", "STOP"), Inbound("+1555", "12345", "START")
DLR, LATE = Receipt("gw-1", Event.DELIVER), LateAnswer("SM1", Accepted("gw-2"))


async def test_events_are_kept_before_the_answer_and_inbound_ones_in_order(tls: Tls) -> None:
    async with shell(Plain, tls) as at:
        at.provider.heard = Heard([MO_1, DLR, LATE, MO_2], 201, b"<ok/>", "text/xml")
        assert await at.connector.take(call()) == at.provider.heard
        assert sorted(map(repr, at.events[:2])) == sorted(map(repr, [DLR, LATE]))
        assert at.events[2:] == [MO_1, MO_2]


async def test_what_cannot_be_kept_is_not_followed(tls: Tls) -> None:
    async with shell(Plain, tls) as at:
        at.provider.heard = Heard([Receipt("full", Event.READ), DLR], follow=f"{at.url}/confirm")
        with pytest.raises(OSError, match="disk is full"):
            await at.connector.take(call())
        assert at.events == [DLR]
    assert at.carrier.seen == []


async def test_an_untrusted_call_is_not_taken(tls: Tls) -> None:
    async with shell(Plain, tls) as at:
        with pytest.raises(Untrusted):
            await at.connector.take(call(b"untrusted"))


async def test_a_confirmation_is_fetched_after_the_events_are_kept(tls: Tls) -> None:
    async with shell(Plain, tls) as at:
        at.provider.heard = Heard([DLR], follow=f"{at.url}/confirm?x=1")
        assert (await at.connector.take(call())).status == 204
    assert at.events == [DLR]
    assert [(method, path) for method, path, _, _ in at.carrier.requests] == [("GET", "/confirm?x=1")]


@pytest.mark.parametrize("status", [302, 404, 500])
async def test_a_confirmation_that_fails_is_tried_again_by_the_carrier(tls: Tls, status: int) -> None:
    async with shell(Plain, tls) as at:
        at.carrier.answers["/confirm"] = (status, b"")
        at.provider.heard = Heard(follow=f"{at.url}/confirm")
        with pytest.raises(NotNow):
            await at.connector.take(call())
    assert at.carrier.seen == ["confirm"]  # and no redirect was followed


async def test_nothing_that_is_not_https_is_fetched(tls: Tls) -> None:
    async with shell(Plain, tls) as at:
        insecure = at.url.replace("https:", "http:")
        at.provider.heard = Heard(follow=f"{insecure}/confirm")
        with pytest.raises(BadEvent):
            await at.connector.take(call())
        at.provider.needs = [f"{insecure}/certificate"]
        with pytest.raises(BadEvent):
            await at.connector.take(call())
    assert at.carrier.seen == []


async def test_a_document_is_fetched_once_and_kept(tls: Tls) -> None:
    async with shell(Plain, tls) as at:
        at.carrier.answers |= {"/pem/a": (200, b"A"), "/pem/b": (200, b"B")}
        at.provider.needs = [f"{at.url}/pem/a", f"{at.url}/pem/b"]
        together = await asyncio.gather(*(at.connector.take(call()) for _ in range(5)))
        assert {heard.body for heard in together} == {b"AB"}
        assert (await at.connector.take(call())).body == b"AB"
    assert [path for _, path, _, _ in at.carrier.requests] == ["/pem/a", "/pem/b"]


async def test_only_a_few_documents_are_kept_and_fewer_needed_at_once(tls: Tls) -> None:
    async with shell(Plain, tls) as at:
        for number in range(MOST_DOCUMENTS + 1):
            at.provider.needs = [f"{at.url}/pem/{number}"]
            await at.connector.take(call())
        for number in (MOST_DOCUMENTS, 0):  # the newest is kept, the oldest is not
            at.provider.needs = [f"{at.url}/pem/{number}"]
            await at.connector.take(call())
        assert len(at.carrier.seen) == MOST_DOCUMENTS + 2
        at.provider.needs = [f"{at.url}/more/{number}" for number in range(4)]
        with pytest.raises(BadEvent, match="more documents"):
            await at.connector.take(call())
    assert at.carrier.seen.count("more") == 3


@pytest.mark.parametrize(("status", "body"), [(404, b"no"), (200, b""), (302, b""), (200, b"x" * 70_000)])
async def test_a_document_that_cannot_be_had_makes_the_carrier_try_again(tls: Tls, status: int, body: bytes) -> None:
    async with shell(Plain, tls) as at:
        at.carrier.answers["/pem"] = (status, body)
        at.provider.needs = [f"{at.url}/pem"]
        with pytest.raises(NotNow):
            await at.connector.take(call())
        at.carrier.answers["/pem"] = (200, b"C")
        assert (await at.connector.take(call())).body == b"C"


# --- the condition ---------------------------------------------------------------------------------------------------


async def test_the_condition_tells_how_it_is_in_words_of_ours(tls: Tls) -> None:
    async with shell(Plain, tls) as at:
        condition = at.connector.condition
        assert (condition.state, condition.last_error, condition.last_error_at) == (State.READY, "", None)
        await at.send(1)
        assert (condition.state, condition.last_error) == (State.READY, "")
        at.carrier.answers["/send"] = (429, json.dumps({"error": SECRET}).encode())
        await at.advance(SECOND)
        await at.send(2)
        assert (condition.state, condition.last_error) == (State.READY, "the carrier answered 429")
        assert condition.last_error_at == START + SECOND
        real, at.provider.url = at.provider.url, "https://127.0.0.1:9"
        await at.send(3)
        assert (condition.state, condition.last_error.partition(" (")[0]) == (State.FAILING, "no connection")
        at.provider.url = real
        await at.send(4)
        assert str(condition.state) == "ready"
    assert str(condition.state) == "closed"
