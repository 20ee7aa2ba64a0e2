"""MessageBird by itself: the request to the byte, what answers mean, and calls held against its library's verifier."""

import base64
import hashlib
import hmac
import json
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.connectors.contract import CarrierEvent, Inbound, Receipt
from postdate.connectors.providers.contract import BadEvent, Call, Request, Untrusted
from postdate.connectors.providers.messagebird import KIND, MessageBird, Settings
from postdate.core.address import Channel
from postdate.core.instant import HOUR, SECOND, Instant
from postdate.core.message import Event
from postdate.core.outcome import Accepted, Busy, InDoubt, Refused
from tests.connectors.providers.building import (
    EVENTS_URL,
    NOW,
    PICTURE,
    RECIPIENT,
    SENDER,
    SID,
    answer,
    call,
    context,
    json_of,
    submission,
)

KEY = "s1gning-key" * 6
SETTINGS = Settings(access_key="l1ve", signing_key=KEY)
bird = MessageBird(SETTINGS)
open_bird = MessageBird(Settings(access_key="l1ve"))
REF = "f28bbe526fc14974b3e7e663a6139b53"


def sent(request: object) -> dict[str, Any]:
    assert isinstance(request, Request)
    assert request.body is not None
    return dict(json.loads(request.body))


# --- requests --------------------------------------------------------------------------------------------------------


def test_a_text_has_our_reference_and_url() -> None:
    request = bird.request(submission(), context())
    assert isinstance(request, Request)
    assert (request.method, request.url) == ("POST", "https://rest.messagebird.com/messages")
    assert request.headers == {"Authorization": "AccessKey l1ve", "Content-Type": "application/json"}
    assert sent(request) == {
        "originator": SENDER[1:],
        "recipients": [RECIPIENT[1:]],
        "body": 'Grüße "🙂"',
        "reference": SID,
        "datacoding": "auto",
        "reportUrl": EVENTS_URL,
        "validity": 4 * 3600,
    }


def test_a_text_that_it_might_cut_off_is_refused() -> None:
    assert isinstance(bird.request(replace(submission(), segments=9), context()), Request)
    assert isinstance(bird.request(replace(submission(), segments=10), context()), Refused)


def test_media_go_by_their_links() -> None:
    request = bird.request(submission(sender="Clinic", attachments=(PICTURE,)), context())
    assert isinstance(request, Request)
    assert request.url == "https://rest.messagebird.com/mms"
    assert sent(request) == {
        "originator": "Clinic",
        "recipients": [RECIPIENT[1:]],
        "body": 'Grüße "🙂"',
        "reference": SID,
        "mediaUrls": [PICTURE.url],
    }


@pytest.mark.parametrize(("left", "written"), [(-HOUR, 60), (90 * SECOND, 90), (1000 * HOUR, 48 * 3600)])
def test_validity_is_passed_on(left: int, written: int) -> None:
    assert sent(bird.request(submission(expires_at=Instant(NOW + left)), context()))["validity"] == written


@pytest.mark.parametrize(
    ("impossible", "code"), [({"channel": Channel.WHATSAPP}, 21612), ({"attachments": (PICTURE,) * 11}, 21623)]
)
def test_what_cannot_be_carried_is_refused(impossible: dict[str, Any], code: int) -> None:
    refused = bird.request(submission(**impossible), context())
    assert isinstance(refused, Refused)
    assert refused.code == code


# --- answers ---------------------------------------------------------------------------------------------------------

WAIT = Busy(60 * SECOND, "the carrier did not accept the credentials")


def errors(code: int, parameter: str | None = None) -> dict[str, object]:
    return {"errors": [{"code": code, "description": "Nope", "parameter": parameter}]}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (201, {"id": REF, "recipients": {"totalCount": 1}}, Accepted(REF)),
        (201, b"", InDoubt),
        (202, {"id": REF}, InDoubt),
        (401, errors(2, "access_key"), WAIT),
        (403, b"", WAIT),
        (422, errors(2, "access_key"), WAIT),
        (422, errors(25), Busy(60 * SECOND, "the account with the carrier has no credit left, or its plan is used up")),
        (422, errors(9, "recipient"), Refused(21211, "the carrier answered 422")),
        (422, errors(10, "originator"), Refused(21606, "the carrier answered 422")),
        (422, errors(10), Refused(30008, "the carrier answered 422")),
        (400, b"<html>", InDoubt),
        (400, {}, Refused(30008, "the carrier answered 400")),
        (402, b"", Busy),
        (404, b"", Busy),
        (408, b"", InDoubt),
        (500, errors(99), InDoubt),
        (502, b"", InDoubt),
    ],
)
def test_only_an_answer_that_says_what_happened_is_believed(status: int, body: object, expected: Any) -> None:
    outcome = bird.outcome(submission(), answer(status, body))
    assert outcome == expected if not isinstance(expected, type) else isinstance(outcome, expected)
    assert "Nope" not in repr(outcome)


def test_too_many_requests_wait_as_asked() -> None:
    outcome = bird.outcome(submission(), answer(429, headers={"retry-after": "7"}))
    assert outcome == Busy(7 * SECOND, "the carrier answered 429")


# --- calls -----------------------------------------------------------------------------------------------------------


def report(status: str, code: str = "", reference: str = SID) -> Call:
    query = {"id": REF, "reference": reference, "recipient": RECIPIENT[1:], "status": status, "statusErrorCode": code}
    return call(method="GET", query=tuple({**query, "statusReason": "said"}.items()))


def form(**fields: str) -> Call:
    return call(urlencode(fields).encode())


SMS = {"id": "3b53", "recipient": SENDER[1:], "originator": RECIPIENT[1:], "body": "Grüße", "createdDatetime": "x"}
SHORT = {"mid": "3b54", "shortcode": "51515", "originator": RECIPIENT[1:], "message": "YES", "keyword": "YES"}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (report("delivered"), [Receipt(REF, Event.DELIVER, None, SID)]),
        (report("delivered", reference="order 5"), [Receipt(REF, Event.DELIVER)]),
        (report("delivery_failed", "1"), [Receipt(REF, Event.UNDELIVER, 30005, SID)]),
        (report("delivery_failed", "27"), [Receipt(REF, Event.UNDELIVER, 30003, SID)]),
        (report("delivery_failed", "103"), [Receipt(REF, Event.UNDELIVER, 21610, SID)]),
        (report("delivery_failed", "x"), [Receipt(REF, Event.UNDELIVER, 30008, SID)]),
        (report("delivery_failed"), [Receipt(REF, Event.UNDELIVER, 30008, SID)]),
        (report("expired"), [Receipt(REF, Event.UNDELIVER, 30036, SID)]),
        (report("expired", "27"), [Receipt(REF, Event.UNDELIVER, 30003, SID)]),
        (report("sent"), []),
        (report("buffered"), []),
        (form(**SMS), [Inbound(RECIPIENT, SENDER, "Grüße", carrier_ref="3b53")]),
        (form(**SHORT), [Inbound(RECIPIENT, "51515", "YES", carrier_ref="3b54")]),
        (
            form(**SMS, **{"mediaUrls[0]": "https://media.example/1", "mediaURLs[1]": "https://media.example/2"}),
            [
                Inbound(
                    RECIPIENT,
                    SENDER,
                    "Grüße",
                    media_urls=("https://media.example/1", "https://media.example/2"),
                    carrier_ref="3b53",
                )
            ],
        ),
    ],
)
def test_a_call_is_understood(told: Call, expected: list[CarrierEvent]) -> None:
    heard = open_bird.events(told)
    assert list(heard.events) == expected
    assert (heard.status, heard.body) == (200, b"OK")


@pytest.mark.parametrize(
    "told", [call(), call(b"\xff"), call(method="GET"), call(method="GET", query=(("status", "sent"),)), form(body="x")]
)
def test_what_is_no_call_of_theirs_is_refused(told: Call) -> None:
    with pytest.raises(BadEvent):
        open_bird.events(told)


# --- signatures ------------------------------------------------------------------------------------------------------


def token(url: str, body: bytes, *, key: str = KEY, alg: str = "HS256", **other: object) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    second = NOW // SECOND
    claims: dict[str, object] = {"iss": "MessageBird", "nbf": second, "exp": second + 60, "jti": "1"}
    claims["url_hash"] = hashlib.sha256(url.encode()).hexdigest()
    if body:
        claims["payload_hash"] = hashlib.sha256(body).hexdigest()
    signed = f"{part({'alg': alg, 'typ': 'JWT'})}.{part(claims | other)}"
    digest = {"HS256": "sha256", "HS512": "sha512"}.get(alg, "sha256")
    mac = hmac.new(key.encode(), signed.encode(), digest).digest()
    return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


BODY = urlencode(SMS).encode()


def signed(body: bytes, jwt: str, *, at: Instant = NOW) -> Call:
    if body:
        return call(body, {"messagebird-signature-jwt": jwt}, at=at)
    return call(b"", {"messagebird-signature-jwt": jwt}, method="GET", query=tuple(report("delivered").query), at=at)


@pytest.mark.parametrize("body", [BODY, b""])
@pytest.mark.parametrize("alg", ["HS256", "HS512"])
def test_what_is_signed_is_taken(body: bytes, alg: str) -> None:
    assert len(bird.events(signed(body, token(EVENTS_URL, body, alg=alg))).events) == 1


@pytest.mark.parametrize("later", [-1, 0, 30, 60])
def test_a_token_is_good_for_its_time(later: int) -> None:
    at = Instant(NOW + later * SECOND)
    assert bird.events(signed(BODY, token(EVENTS_URL, BODY), at=at)).events


@pytest.mark.parametrize("later", [-2, 61, 3600])
def test_a_token_is_good_for_no_longer(later: int) -> None:
    with pytest.raises(Untrusted):
        bird.events(signed(BODY, token(EVENTS_URL, BODY), at=Instant(NOW + later * SECOND)))


@pytest.mark.parametrize(
    ("body", "jwt"),
    [
        (BODY, ""),
        (BODY, "é.é.é"),
        (BODY, "a.b.c.d"),
        (BODY, token(EVENTS_URL, BODY) + "A"),
        (BODY, token(EVENTS_URL, BODY, key="other")),
        (BODY, token(EVENTS_URL, BODY, alg="none")),
        (BODY, token(EVENTS_URL, BODY, iss="Bird")),
        (BODY, token(EVENTS_URL + "&x=1", BODY)),
        (BODY, token(EVENTS_URL, BODY + b"&x=1")),
        (BODY, token(EVENTS_URL, b"")),
        (b"", token(EVENTS_URL, BODY)),
        (BODY, token(EVENTS_URL, BODY, exp="soon")),
        (BODY, token(EVENTS_URL, BODY, pad="x" * 4096)),
    ],
)
def test_all_else_is_not(body: bytes, jwt: str) -> None:
    with pytest.raises(Untrusted):
        bird.events(signed(body, jwt))


def test_the_library_takes_the_same_and_refuses_the_same() -> None:
    library = pytest.importorskip("messagebird.request_validator").RequestValidator(KEY)
    refused = pytest.importorskip("messagebird.error").ValidationError
    # The library looks at the clock of the machine, so this token is good for long.
    timeless: dict[str, Any] = {"nbf": 0, "exp": 9_999_999_999}
    for body in (BODY, b""):
        jwt = token(EVENTS_URL, body, **timeless)
        assert library.validate_signature(jwt, EVENTS_URL, body)["iss"] == "MessageBird"
        assert bird.events(signed(body, jwt)).events
    for url, body, other in ((EVENTS_URL + "1", BODY, BODY), (EVENTS_URL, BODY + b"1", BODY), (EVENTS_URL, BODY, b"")):
        jwt = token(url, body, **timeless)
        with pytest.raises(refused):
            library.validate_signature(jwt, EVENTS_URL, other)
        with pytest.raises(Untrusted):
            bird.events(signed(other, jwt))


# --- enemies ---------------------------------------------------------------------------------------------------------

NAMES = ("id", "status", "reference", "originator", "recipient", "body", "statusErrorCode", "shortcode", "mediaUrls[0]")


@given(json_of("id", "errors", "code", "parameter"), st.integers(min_value=100, max_value=599))
def test_no_answer_breaks_it(body: bytes, status: int) -> None:
    bird.outcome(submission(), answer(status, body))


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.text(max_size=12))), st.binary(max_size=64), st.text(max_size=64))
def test_no_call_breaks_it(query: list[tuple[str, str]], body: bytes, jwt: str) -> None:
    headers = {"messagebird-signature-jwt": jwt}
    for provider in (bird, open_bird):
        for told in (call(method="GET", query=tuple(query), headers=headers), call(body, headers)):
            with suppress(BadEvent):
                provider.events(told)


def test_no_secret_is_shown() -> None:
    shown = repr(SETTINGS) + repr(bird.request(submission(), context())) + repr(KIND)
    assert "l1ve" not in shown
    assert KEY not in shown
