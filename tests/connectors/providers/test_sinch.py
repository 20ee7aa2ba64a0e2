"""Sinch by itself: the request to the byte, what answers mean, and callbacks held against its library's verifier."""

import base64
import hashlib
import hmac
import json
from contextlib import suppress
from copy import deepcopy
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.connectors.contract import CarrierEvent, Inbound, Receipt
from postdate.connectors.providers.contract import BadEvent, Call, Request, Untrusted, WithToken
from postdate.connectors.providers.sinch import KIND, Settings
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

SECRET = "s3cret-of-events"
PLAN = Settings(service_plan_id="plan1", api_token="t0ken", events_secret=SECRET)
PROJECT = Settings(project_id="proj/1", key_id="key", key_secret="s", region="eu")
sinch = KIND.make(PLAN)
open_sinch = KIND.make(Settings(service_plan_id="plan1", api_token="t0ken"))


def sent(request: object) -> dict[str, Any]:
    assert isinstance(request, Request)
    assert request.body is not None
    return dict(json.loads(request.body))


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"service_plan_id": "p"},
        {"project_id": "p", "key_id": "k"},
        {"service_plan_id": "p", "api_token": "t", "project_id": "p", "key_id": "k", "key_secret": "s"},
        {"service_plan_id": "p", "api_token": "t", "region": "moon"},
    ],
)
def test_settings_are_a_plan_or_a_project_and_nothing_between(given: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(given, Settings)


# --- requests --------------------------------------------------------------------------------------------------------


def test_a_text_is_a_batch_of_one() -> None:
    request = sinch.request(submission(), context())
    assert isinstance(request, Request)
    assert (request.method, request.url) == ("POST", "https://us.sms.api.sinch.com/xms/v1/plan1/batches")
    assert request.headers == {"Authorization": "Bearer t0ken", "Content-Type": "application/json"}
    assert sent(request) == {
        "from": SENDER,
        "to": [RECIPIENT],
        "type": "mt_text",
        "body": 'Grüße "🙂"',
        "delivery_report": "per_recipient_final",
        "expire_at": "2030-01-01T16:00:00Z",
        "callback_url": EVENTS_URL,
        "client_reference": SID,
    }


@pytest.mark.parametrize(
    ("body", "written"),
    [
        ("Look", {"url": PICTURE.url, "message": "Look"}),
        ("", {"url": PICTURE.url}),
    ],
)
def test_a_medium_goes_by_its_link(body: str, written: dict[str, str]) -> None:
    batch = sent(sinch.request(submission(body=body, attachments=(PICTURE,)), context()))
    assert (batch["type"], batch["body"]) == ("mt_media", written)


def test_the_library_knows_our_requests() -> None:
    shared = pytest.importorskip("sinch.domains.sms.models.v1.shared")
    shared.TextRequest.model_validate(sent(sinch.request(submission(), context())))
    shared.MediaRequest.model_validate(sent(sinch.request(submission(attachments=(PICTURE,)), context())))


@pytest.mark.parametrize(
    ("expires_at", "written"),
    [
        (Instant(NOW - HOUR), "2030-01-01T12:01:00Z"),
        (Instant(NOW + 90 * SECOND), "2030-01-01T12:01:30Z"),
        (Instant(NOW + 1000 * HOUR), "2030-01-04T12:00:00Z"),
    ],
)
def test_validity_is_within_three_days(expires_at: Instant, written: str) -> None:
    assert sent(sinch.request(submission(expires_at=expires_at), context()))["expire_at"] == written


def test_what_cannot_be_carried_is_refused() -> None:
    whatsapp = submission(channel=Channel.WHATSAPP, recipient=f"whatsapp:{RECIPIENT}")
    assert isinstance(refused := sinch.request(whatsapp, context()), Refused)
    assert refused.code == 21612
    assert isinstance(refused := sinch.request(submission(attachments=(PICTURE, PICTURE)), context()), Refused)
    assert refused.code == 21623


def test_a_project_asks_for_a_token_first() -> None:
    project = KIND.make(PROJECT)
    assert not isinstance(sinch, WithToken)
    assert isinstance(project, WithToken)
    asked = project.token_request(context())
    assert (asked.method, asked.url) == ("POST", "https://auth.sinch.com/oauth2/token")
    assert asked.headers["Authorization"] == "Basic a2V5OnM="
    assert asked.body == b"grant_type=client_credentials"
    token = {"access_token": "abc", "expires_in": 3599, "scope": "", "token_type": "bearer"}
    assert project.read_token(answer(200, token)) == ("abc", NOW + 3599 * SECOND)
    request = project.request(submission(), context(token="abc"))
    assert isinstance(request, Request)
    assert request.url == "https://zt.eu.sms.api.sinch.com/xms/v1/proj%2F1/batches"
    assert request.headers["Authorization"] == "Bearer abc"
    # The token may have ended early: the next attempt gets another, so nobody waits a minute.
    assert project.outcome(submission(), answer(401)) == Busy(None, "the carrier did not accept the token")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, {"access_token": "abc", "expires_in": 3599}),
        (200, b"{"),
        (200, {"access_token": "a\nb", "expires_in": 3599}),
        (200, {"access_token": "abc", "expires_in": -1}),
        (200, {"expires_in": 3599}),
    ],
)
def test_a_token_is_believed_only_whole(status: int, body: object) -> None:
    project = KIND.make(PROJECT)
    assert isinstance(project, WithToken)
    assert project.read_token(answer(status, body)) is None


# --- answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (201, {"id": "01FC66621XXXXX119Z8PMV1QPQ", "to": [RECIPIENT]}, Accepted("01FC66621XXXXX119Z8PMV1QPQ")),
        (200, {"id": "x"}, Accepted("x")),
        (201, b"", InDoubt),
        (201, {"id": "a\x00b"}, InDoubt),
        (400, {"code": "syntax_invalid_parameter_format", "text": "Nope"}, Refused(30008, "the carrier answered 400")),
        (401, b"", Busy(60 * SECOND, "the carrier did not accept the credentials")),
        (
            403,
            {"code": "blocked_account", "text": "Nope"},
            Busy(60 * SECOND, "the carrier did not accept the credentials"),
        ),
        (403, b"", Busy(60 * SECOND, "the carrier did not accept the credentials")),
        (403, {"code": "illegal_number_type", "text": ""}, Refused(30006, "the carrier answered 403")),
        (400, b"<html>", InDoubt),
        (402, b"", Busy),
        (404, b"", Busy),
        (409, b"", InDoubt),
        (500, b"", InDoubt),
        (503, b"", InDoubt),
        (302, b"", InDoubt),
    ],
)
def test_only_an_answer_that_says_what_happened_is_believed(status: int, body: object, expected: Any) -> None:
    outcome = sinch.outcome(submission(), answer(status, body))
    assert outcome == expected if not isinstance(expected, type) else isinstance(outcome, expected)
    assert "Nope" not in repr(outcome)


def test_too_many_requests_wait_as_asked() -> None:
    assert sinch.outcome(submission(), answer(429, headers={"retry-after": "7"})) == Busy(
        7 * SECOND, "the carrier answered 429"
    )


# --- callbacks -------------------------------------------------------------------------------------------------------


def report(status: str, code: int, **more: object) -> dict[str, object]:
    told = {"type": "recipient_delivery_report_sms", "batch_id": "01FC66621", "recipient": RECIPIENT[1:]}
    return told | {"at": "2030-01-01T12:00:05.123Z", "status": status, "code": code} | more


def text(**more: object) -> dict[str, object]:
    told = {"type": "mo_text", "id": "01XYZ", "from": RECIPIENT[1:], "to": "54321", "body": "STOP"}
    return told | {"received_at": "2030-01-01T12:00:05.123Z"} | more


MMS = {
    "type": "mo_media",
    "id": "01M",
    "from": RECIPIENT[1:],
    "to": SENDER[1:],
    "received_at": "2030-01-01T12:00:05Z",
    "body": {
        "message": "See",
        "media": [
            {"url": "https://media.example/1", "content_type": "image/jpeg", "status": "Uploaded", "code": 0},
            {"content_type": "image/jpeg", "status": "Failed", "code": 1},
        ],
    },
}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (report("Delivered", 0, client_reference=SID), [Receipt("01FC66621", Event.DELIVER, None, SID)]),
        (report("DELIVERED", 0), [Receipt("01FC66621", Event.DELIVER)]),
        (report("DELIVERED", 0, client_reference="order 5"), [Receipt("01FC66621", Event.DELIVER)]),
        (report("Failed", 1), [Receipt("01FC66621", Event.UNDELIVER, 30008)]),
        (report("Aborted", 402), [Receipt("01FC66621", Event.UNDELIVER, 30006)]),
        (report("Aborted", 413), [Receipt("01FC66621", Event.UNDELIVER, 30002)]),
        (report("Expired", 999), [Receipt("01FC66621", Event.UNDELIVER, 30036)]),
        (report("Deleted", 999), [Receipt("01FC66621", Event.UNDELIVER, 30005)]),
        (report("Cancelled", 407), [Receipt("01FC66621", Event.UNDELIVER, 30008)]),
        (report("Rejected", 417), [Receipt("01FC66621", Event.UNDELIVER, 30003)]),
        (report("Queued", 400), []),
        (report("Dispatched", 401), []),
        (report("Unknown", 0), []),
        (text(), [Inbound(RECIPIENT, "54321", "STOP", carrier_ref="01XYZ")]),
        (MMS, [Inbound(RECIPIENT, SENDER, "See", media_urls=("https://media.example/1",), carrier_ref="01M")]),
        ({"type": "mo_binary", "id": "1", "from": "1", "to": "2", "body": "AAA=", "udh": "00"}, []),
        ({"type": "delivery_report_sms", "batch_id": "1", "statuses": [], "total_message_count": 0}, []),
    ],
)
def test_a_callback_is_understood(body: dict[str, object], expected: list[CarrierEvent]) -> None:
    assert list(open_sinch.events(call(body)).events) == expected


def test_the_url_of_a_message_says_whose_receipt_it_is() -> None:
    assert open_sinch.events(call(report("Delivered", 0), sid=SID)).events == [
        Receipt("01FC66621", Event.DELIVER, None, SID)
    ]


def test_the_library_reads_the_same_callbacks() -> None:
    library = pytest.importorskip("sinch.domains.sms.sinch_events.v1").SmsSinchEvent(SECRET)
    told = library.parse_event(report("DELIVERED", 0, client_reference=SID))
    assert (told.batch_id, told.status, told.client_reference) == ("01FC66621", "DELIVERED", SID)
    assert (library.parse_event(text()).from_, library.parse_event(deepcopy(MMS)).body.message) == (
        RECIPIENT[1:],
        "See",
    )


@pytest.mark.parametrize("body", [b"", b"[]", {"type": "news"}, {"type": "mo_text"}, text(body="a\x00"), text(id="")])
def test_what_is_no_callback_is_refused(body: object) -> None:
    with pytest.raises(BadEvent):
        open_sinch.events(call(body))


def signed(body: bytes, *, nonce: str = "01FJA8B4", stamp: str = "1893499200") -> Call:
    text_to_sign = body + f".{nonce}.{stamp}".encode()
    signature = base64.b64encode(hmac.new(SECRET.encode(), text_to_sign, hashlib.sha256).digest()).decode()
    return call(
        body,
        {
            "x-sinch-webhook-signature": signature,
            "x-sinch-webhook-signature-nonce": nonce,
            "x-sinch-webhook-signature-timestamp": stamp,
            "x-sinch-webhook-signature-algorithm": "HmacSHA256",
        },
    )


BODY = json.dumps(text(body="Grüße 🙂"), ensure_ascii=False).encode()


def test_what_is_signed_is_taken() -> None:
    assert len(sinch.events(signed(BODY)).events) == 1


def test_the_library_takes_and_makes_the_same_signatures() -> None:
    library = pytest.importorskip("sinch.domains.authentication.sinch_events.v1.authentication_validation")
    told = signed(BODY)
    assert library.validate_sinch_event_signature_with_nonce(SECRET, dict(told.headers), BODY.decode())
    text_to_sign = library.compute_signed_data(BODY.decode(), "01FJA8B4", "1893499200")
    signature = library.calculate_sinch_event_signature(text_to_sign, SECRET)
    assert len(sinch.events(call(BODY, dict(told.headers) | {"x-sinch-webhook-signature": signature})).events) == 1


@pytest.mark.parametrize("place", range(0, len(BODY), 7))
def test_a_changed_byte_is_not(place: int) -> None:
    changed = BODY[:place] + bytes([BODY[place] ^ 1]) + BODY[place + 1 :]
    with pytest.raises(Untrusted):
        sinch.events(call(changed, signed(BODY).headers))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-sinch-webhook-signature-nonce": "other"},
        {"x-sinch-webhook-signature-timestamp": "1893499201"},
        {"x-sinch-webhook-signature": "é"},
        {"x-sinch-webhook-signature": ""},
    ],
)
def test_other_headers_are_not(headers: dict[str, str]) -> None:
    with pytest.raises(Untrusted):
        sinch.events(call(BODY, dict(signed(BODY).headers) | headers if headers else {}))


# --- enemies ---------------------------------------------------------------------------------------------------------

NAMES = ("type", "mo_text", "mo_media", "recipient_delivery_report_sms", "batch_id", "status", "code", "id", "from")
WORDS = (*NAMES, "to", "body", "media", "url", "message", "client_reference", "access_token")


@given(json_of(*WORDS), st.integers(min_value=100, max_value=599))
def test_nothing_breaks_it(body: bytes, status: int) -> None:
    sinch.outcome(submission(), answer(status, body))
    for provider in (sinch, open_sinch):
        with suppress(BadEvent):
            provider.events(call(body))


def test_no_secret_is_shown() -> None:
    request = sinch.request(submission(), context())
    assert "t0ken" not in repr(PLAN) + repr(request)
    assert SECRET not in repr(PLAN)
