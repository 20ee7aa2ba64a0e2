"""Bandwidth by itself: the request to the byte, what answers mean, and its lists of callbacks."""

import base64
import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.connectors.contract import CarrierEvent, Inbound, Receipt
from postdate.connectors.providers.bandwidth import KIND, Bandwidth, Settings
from postdate.connectors.providers.contract import BadEvent, Request, Untrusted
from postdate.core.address import Channel
from postdate.core.errors import MEANINGS
from postdate.core.instant import HOUR, SECOND, Instant
from postdate.core.message import Event
from postdate.core.outcome import Accepted, Busy, InDoubt, Refused
from tests.connectors.providers.building import (
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

APPLICATION = "93de2206-9669-4e07-948d-329f4b722ee2"
OPEN = {"account_id": "55/66", "username": "user", "password": "pa55", "application_id": APPLICATION}
SETTINGS = msgspec.convert(OPEN | {"callback_user": "bw", "callback_password": "c4ll"}, Settings)
bandwidth = Bandwidth(SETTINGS)
open_bandwidth = Bandwidth(msgspec.convert(OPEN, Settings))
REF = "1589228074636lm4k2je7j7jklbn2"


def sent(request: object) -> dict[str, Any]:
    assert isinstance(request, Request)
    assert request.body is not None
    return dict(json.loads(request.body))


# --- requests --------------------------------------------------------------------------------------------------------


def test_a_text_is_tagged_with_our_sid() -> None:
    request = bandwidth.request(submission(), context())
    assert isinstance(request, Request)
    assert (request.method, request.url) == ("POST", "https://messaging.bandwidth.com/api/v2/users/55%2F66/messages")
    assert request.headers == {
        "Authorization": "Basic " + base64.b64encode(b"user:pa55").decode(),
        "Content-Type": "application/json; charset=utf-8",
    }
    assert sent(request) == {
        "applicationId": APPLICATION,
        "to": [RECIPIENT],
        "from": SENDER,
        "text": 'Grüße "🙂"',
        "tag": SID,
        "expiration": "2030-01-01T16:00:00Z",
    }


@pytest.mark.parametrize(("body", "text"), [("Look", {"text": "Look"}), ("", {})])
def test_media_go_by_their_links(body: str, text: dict[str, str]) -> None:
    order = sent(bandwidth.request(submission(body=body, attachments=(PICTURE, PICTURE)), context()))
    assert order["media"] == [PICTURE.url, PICTURE.url]
    assert {name: order[name] for name in order if name == "text"} == text


@pytest.mark.parametrize(
    ("left", "written"),
    [(-HOUR, "2030-01-01T12:01:00Z"), (90 * SECOND, "2030-01-01T12:01:30Z"), (1000 * HOUR, "2030-01-11T12:00:00Z")],
)
def test_the_expiration_is_always_ahead(left: int, written: str) -> None:
    assert sent(bandwidth.request(submission(expires_at=Instant(NOW + left)), context()))["expiration"] == written


@pytest.mark.parametrize(
    ("impossible", "code"),
    [
        ({"channel": Channel.WHATSAPP}, 21612),
        ({"attachments": (PICTURE,) * 11}, 21623),
        ({"body": "x" * 2049}, 21617),
    ],
)
def test_what_cannot_be_carried_is_refused(impossible: dict[str, Any], code: int) -> None:
    refused = bandwidth.request(submission(**impossible), context())
    assert isinstance(refused, Refused)
    assert refused.code == code


@pytest.mark.parametrize("half", ["callback_user", "callback_password"])
def test_name_and_password_come_together(half: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(OPEN | {half: "x"}, Settings)


# --- answers ---------------------------------------------------------------------------------------------------------

WAIT = Busy(60 * SECOND, "the carrier did not accept the credentials")


def problem(kind: str, *fields: str) -> dict[str, object]:
    errors = [{"fieldName": name, "description": "Nope"} for name in fields]
    return {"type": kind, "description": "Nope", "fieldErrors": errors}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (202, {"id": REF, "owner": SENDER, "segmentCount": 1, "tag": SID}, Accepted(REF)),
        (202, b"", InDoubt),
        (202, {"id": ""}, InDoubt),
        (201, {"id": REF}, InDoubt),
        (400, problem("request-validation"), Refused(30008, "the carrier answered 400")),
        (400, problem("request-validation", "from"), Refused(21606, "the carrier answered 400")),
        (400, problem("request-validation", "x", "to"), Refused(21211, "the carrier answered 400")),
        (400, b"", InDoubt),
        (400, {"error": "a proxy's"}, InDoubt),
        (402, b"", Busy),
        (401, problem("unauthorized"), WAIT),
        (403, problem("forbidden"), WAIT),
        (404, {"timestamp": "2019", "status": 404, "error": "Not Found"}, Busy),
        (408, b"", InDoubt),
        (415, problem("unsupported-content-type"), Refused(30008, "the carrier answered 415")),
        (500, problem("internal-server-error"), Busy(None, "the carrier answered 500")),
        (503, problem("unavailable"), Busy(None, "the carrier answered 503")),
        (500, b"", InDoubt),
        (502, b"<html>", InDoubt),
        (504, {"message": "Endpoint request timed out"}, InDoubt),
    ],
)
def test_only_an_answer_that_says_what_happened_is_believed(status: int, body: object, expected: Any) -> None:
    outcome = bandwidth.outcome(submission(), answer(status, body))
    assert outcome == expected if not isinstance(expected, type) else isinstance(outcome, expected)
    assert "Nope" not in repr(outcome)


def test_a_full_queue_waits_as_asked() -> None:
    full = answer(429, problem("max-message-queue-size-exceeded"), {"retry-after": "7"})
    assert bandwidth.outcome(submission(), full) == Busy(7 * SECOND, "the carrier answered 429")


# --- callbacks -------------------------------------------------------------------------------------------------------


def told(kind: str, error: int | None = None, **more: object) -> dict[str, object]:
    event = {"type": kind, "time": "2030-01-01T12:00:05Z", "to": RECIPIENT, "description": "ok"}
    code = {} if error is None else {"errorCode": error}
    known = {"id": REF, "owner": SENDER, "applicationId": APPLICATION, "time": "2030-01-01T12:00:00Z"}
    sides = {"segmentCount": 1, "direction": "out", "to": [RECIPIENT], "from": SENDER, "text": "", "tag": SID}
    return {**event, **code, "message": {**known, **sides, **more}}


def received(**more: object) -> dict[str, object]:
    event = {"type": "message-received", "time": "2030-01-01T12:00:05Z", "to": SENDER, "description": "in"}
    known = {"id": "147", "owner": SENDER, "applicationId": APPLICATION, "time": "2030-01-01T12:00:00Z"}
    sides = {"segmentCount": 1, "direction": "in", "to": [SENDER], "from": RECIPIENT, "text": "STOP"}
    return {**event, "message": {**known, **sides, **more}}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ([told("message-delivered")], [Receipt(REF, Event.DELIVER, None, SID)]),
        ([told("message-delivered", tag="lunch")], [Receipt(REF, Event.DELIVER)]),
        ([told("message-read")], [Receipt(REF, Event.READ, None, SID)]),
        ([told("message-failed", 4720)], [Receipt(REF, Event.UNDELIVER, 30005, SID)]),
        ([told("message-failed", 4770)], [Receipt(REF, Event.UNDELIVER, 30007, SID)]),
        ([told("message-failed", 4360)], [Receipt(REF, Event.UNDELIVER, 30036, SID)]),
        ([told("message-failed", 9999)], [Receipt(REF, Event.UNDELIVER, 30008, SID)]),
        ([told("message-failed")], [Receipt(REF, Event.UNDELIVER, 30008, SID)]),
        ([told("message-failed", 9902)], []),
        ([told("message-sending")], []),
        ([told("message-sent")], []),
        ([told("suggestion-response")], []),
        ([received()], [Inbound(RECIPIENT, SENDER, "STOP", carrier_ref="147")]),
        (
            [received(text="", media=["https://messaging.bandwidth.com/1.png"])],
            [Inbound(RECIPIENT, SENDER, "", media_urls=("https://messaging.bandwidth.com/1.png",), carrier_ref="147")],
        ),
        (
            [told("message-delivered"), received()],
            [Receipt(REF, Event.DELIVER, None, SID), Inbound(RECIPIENT, SENDER, "STOP", carrier_ref="147")],
        ),
        ([], []),
    ],
)
def test_callbacks_are_understood(body: list[object], expected: list[CarrierEvent]) -> None:
    assert list(open_bandwidth.events(call(body)).events) == expected


@pytest.mark.parametrize("body", [b"", {}, ["x"], [{"type": "message-failed"}], [received(**{"from": None})]])
def test_what_is_no_callback_is_refused(body: object) -> None:
    with pytest.raises(BadEvent):
        open_bandwidth.events(call(body))


def test_the_application_shows_name_and_password() -> None:
    trusted = {"authorization": "Basic " + base64.b64encode(b"bw:c4ll").decode()}
    assert bandwidth.events(call([received()], trusted)).events
    for headers in ({}, {"authorization": "Basic x"}, {"authorization": "é"}):
        with pytest.raises(Untrusted):
            # Not even the URL of one message replaces them: Bandwidth is never given one.
            bandwidth.events(call([received()], headers, sid=SID))


def test_all_codes_have_a_meaning() -> None:
    for number in range(4000, 6000):
        [receipt] = open_bandwidth.events(call([told("message-failed", number)])).events
        assert isinstance(receipt, Receipt)
        assert receipt.error_code in MEANINGS


# --- enemies ---------------------------------------------------------------------------------------------------------

WORDS = (
    "type",
    "message",
    "id",
    "message-received",
    "message-failed",
    "to",
    "from",
    "text",
    "tag",
    "media",
    "errorCode",
)


@given(json_of(*WORDS, "description", "fieldErrors", "fieldName"), st.integers(min_value=100, max_value=599))
def test_nothing_breaks_it(body: bytes, status: int) -> None:
    bandwidth.outcome(submission(), answer(status, body))
    with suppress(BadEvent):
        open_bandwidth.events(call(body))


def test_no_secret_is_shown() -> None:
    shown = repr(SETTINGS) + repr(bandwidth.request(submission(), context())) + repr(KIND)
    assert "pa55" not in shown
    assert "c4ll" not in shown
