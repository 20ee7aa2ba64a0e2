"""httpSMS: what is asked of the phone, what its answers mean, what its webhooks say and whose token is believed."""

import json
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.connectors.contract import CarrierEvent, Inbound, Receipt
from postdate.connectors.providers.contract import BadEvent, Call, Request, Untrusted
from postdate.connectors.providers.httpsms import HttpSms, Settings
from postdate.core.address import Channel
from postdate.core.instant import SECOND
from postdate.core.message import Event
from postdate.core.outcome import Accepted, Busy, InDoubt, Outcome, Refused
from tests.connectors.providers.building import (
    EVENTS_URL,
    NOW,
    PICTURE,
    SID,
    answer,
    call,
    context,
    json_of,
    submission,
)

ID = "32343a19-da5e-4b1b-a767-3298a73703cb"
KEY = "a-signing-key-of-enough-bytes-for-HS256-and-for-HS512-as-well-1234567890"
PHONE = HttpSms(Settings(api_key="uk_1"))
SIGNED = HttpSms(Settings(api_key="uk_1", signing_key=KEY, base_url="http://127.0.0.1:9/"))


@pytest.mark.parametrize(
    ("phone", "url"),
    [(PHONE, "https://api.httpsms.com/v1/messages/send"), (SIGNED, "http://127.0.0.1:9/v1/messages/send")],
)
def test_a_message_is_queued_with_our_sid(phone: HttpSms, url: str) -> None:
    asked = phone.request(submission(), context())
    assert isinstance(asked, Request)
    assert (asked.method, asked.url) == ("POST", url)
    assert asked.headers == {"x-api-key": "uk_1", "Content-Type": "application/json"}
    assert json.loads(asked.body or b"") == {
        "from": "+15550001111",
        "to": "+15550002222",
        "content": 'Grüße "🙂"',
        "request_id": SID,
    }


def test_media_go_as_links() -> None:
    asked = PHONE.request(submission(attachments=(PICTURE,)), context())
    assert isinstance(asked, Request)
    assert json.loads(asked.body or b"")["attachments"] == [PICTURE.url]


@pytest.mark.parametrize(
    ("impossible", "code"),
    [
        ({"channel": Channel.WHATSAPP}, 21612),
        ({"sender": "CLINIC"}, 21612),
        ({"sender": "12345"}, 21612),
        ({"body": "", "attachments": (PICTURE,)}, 21602),
    ],
)
def test_what_a_phone_cannot_send_is_refused(impossible: dict[str, Any], code: int) -> None:
    refusal = PHONE.request(submission(**impossible), context())
    assert isinstance(refusal, Refused)
    assert refusal.code == code


TAKEN = {"status": "success", "message": "message added to queue", "data": {"id": ID, "request_id": SID}}
LOCKED_OUT = Busy(60 * SECOND, "the carrier did not accept the credentials")


def fault(*fields: str) -> dict[str, object]:
    return {"status": "error", "message": "validation", "data": {field: ["no"] for field in fields}}


ANSWERS: list[tuple[int, object, Outcome | type[Outcome]]] = [
    (200, TAKEN, Accepted(ID)),
    (202, TAKEN, Accepted(ID)),
    (200, {"data": {}}, InDoubt),
    (200, {"data": [TAKEN]}, InDoubt),
    (200, b"", InDoubt),
    (200, b"[" * 100_000, InDoubt),
    (301, TAKEN, InDoubt),
    (400, b"<html>", InDoubt),
    (400, {}, Refused(30008, "the carrier answered 400")),
    (422, fault("from"), Refused(21606, "the carrier answered 422")),
    (422, fault("to", "from"), Refused(21606, "the carrier answered 422")),
    (422, fault("to"), Refused(21211, "the carrier answered 422")),
    (422, fault("attachments"), Refused(63021, "the carrier answered 422")),
    (422, fault("content"), Refused(21617, "the carrier answered 422")),
    (422, fault("request_id"), Refused(30008, "the carrier answered 422")),
    (422, {"data": "from"}, Refused(30008, "the carrier answered 422")),
    (401, b"", LOCKED_OUT),
    (403, b"", LOCKED_OUT),
    (
        402,
        {"message": "upgrade"},
        Busy(60 * SECOND, "the account with the carrier has no credit left, or its plan is used up"),
    ),
    (404, b"", Busy),
    (408, TAKEN, InDoubt),
    (409, TAKEN, InDoubt),
    (429, b"", Busy(None, "the carrier answered 429")),
    (500, TAKEN, InDoubt),
    (503, b"", InDoubt),
]


@pytest.mark.parametrize(("status", "body", "expected"), ANSWERS, ids=[f"{a[0]}-{a[1]!r:.40}" for a in ANSWERS])
def test_an_answer_means(status: int, body: object, expected: Outcome | type[Outcome]) -> None:
    outcome = PHONE.outcome(submission(), answer(status, body))
    assert type(outcome) is expected if isinstance(expected, type) else outcome == expected


@given(st.integers(100, 599), json_of("data", "id", "from"))
def test_every_answer_means_one_thing(status: int, body: bytes) -> None:
    outcome = PHONE.outcome(submission(), answer(status, body))
    assert isinstance(outcome, Accepted) <= (200 <= status <= 202)
    assert isinstance(outcome, Refused) <= (400 <= status <= 499)


def webhook(kind: str, **data: object) -> dict[str, object]:
    return {"specversion": "1.0", "id": "ce-1", "source": "/v1/x", "type": kind, "data": data}


LONG_URL = "https://a.example/x?signed=" + "1" * 500
EVENTS: list[tuple[dict[str, object], list[CarrierEvent]]] = [
    (webhook("message.phone.delivered", id=ID, request_id=SID), [Receipt(ID, Event.DELIVER, None, SID)]),
    (webhook("message.phone.delivered", id=ID, request_id=None), [Receipt(ID, Event.DELIVER)]),
    (webhook("message.phone.delivered", id=ID, request_id="order-7"), [Receipt(ID, Event.DELIVER)]),
    (webhook("message.send.failed", id=ID, request_id=SID), [Receipt(ID, Event.UNDELIVER, 30008, SID)]),
    (
        webhook("message.send.expired", message_id=ID, request_id=SID, is_final=True),
        [Receipt(ID, Event.UNDELIVER, 30036, SID)],
    ),
    (webhook("message.send.expired", message_id=ID, request_id=SID, is_final=False), []),
    (webhook("message.phone.sent", id=ID, request_id=SID), []),
    (webhook("message.call.missed", message_id=ID, owner="+1", contact="+2"), []),
    (
        webhook("message.phone.received", message_id=ID, owner="+15550001111", contact="+15550002222", content="STOP"),
        [Inbound("+15550002222", "+15550001111", "STOP", carrier_ref=ID)],
    ),
    (
        webhook(
            "message.phone.received",
            owner="+1",
            contact="BANK",
            content="",
            attachments=[LONG_URL, "file:///etc/passwd"],
        ),
        [Inbound("BANK", "+1", "", media_urls=(LONG_URL,))],
    ),
]


def token(key: str = KEY, alg: str = "HS256", **claims: object) -> str:
    """A token as the server makes it: good from ten minutes ago for ten minutes to come."""
    at = NOW // SECOND
    usual = {"aud": [EVENTS_URL], "exp": at + 600, "iat": at, "iss": "api.httpsms.com", "nbf": at - 600, "sub": "u"}
    return jwt.encode(usual | claims, key, algorithm=alg)


def signed(body: object, **how: Any) -> Call:
    return call(body, {"authorization": f"Bearer {token(**how)}", "x-event-type": "any"})


@pytest.mark.parametrize(("body", "expected"), EVENTS, ids=[f"{e[0]['type']}" for e in EVENTS])
def test_a_webhook_is_read(body: dict[str, object], expected: list[CarrierEvent]) -> None:
    heard = SIGNED.events(signed(body))
    assert (list(heard.events), heard.status) == (expected, 204)


def test_a_url_of_one_message_names_it() -> None:
    heard = PHONE.events(call(webhook("message.phone.delivered", id=ID), sid=SID))
    assert heard.events == (Receipt(ID, Event.DELIVER, None, SID),)


@pytest.mark.parametrize(
    "body",
    [
        webhook("message.phone.delivered"),
        webhook("message.send.failed", id=""),
        webhook("message.phone.received", owner="+1", content="hi"),
        webhook("message.phone.received", contact="+1", content="hi"),
        webhook("message.phone.received", owner="+1", contact="+2", attachments=["https://a.example/"] * 11),
        {"type": "message.phone.sent"},
        {"type": 7, "data": {}},
        [],
        b"",
        b"\xff",
    ],
)
def test_a_webhook_that_says_nothing_is_refused(body: object) -> None:
    with pytest.raises(BadEvent):
        SIGNED.events(signed(body))


BODY = webhook("message.phone.delivered", id=ID)
HEAD, CLAIMS, MAC = token().split(".")


@pytest.mark.parametrize(
    "forged",
    [
        call(BODY),
        signed(BODY, key="x" * 64),
        signed(BODY, alg="HS512"),
        call(BODY, {"authorization": f"Bearer {jwt.encode({'exp': NOW // SECOND + 9}, '', algorithm='none')}"}),
        call(BODY, {"authorization": f"Basic {token()}"}),
        call(BODY, {"authorization": token()}),
        call(BODY, {"authorization": f"Bearer {HEAD}.{CLAIMS}."}),
        call(BODY, {"authorization": f"Bearer {HEAD}.{CLAIMS}x.{MAC}"}),
        call(BODY, {"authorization": "Bearer é.é.é"}),
        signed(BODY, exp=NOW // SECOND - 61),
        signed(BODY, nbf=NOW // SECOND + 61),
        signed(BODY, exp="never"),
        signed(BODY, exp=None),
    ],
)
def test_a_token_that_is_not_theirs_or_not_current_is_not_believed(forged: Call) -> None:
    with pytest.raises(Untrusted):
        SIGNED.events(forged)


@given(json_of("type", "data", "id", "message.phone.delivered", "message.phone.received", "owner", "contact"))
def test_whatever_comes_is_heard_or_a_bad_event(body: bytes) -> None:
    try:
        heard = SIGNED.events(signed(body))
    except BadEvent:
        return
    assert all(isinstance(event, Receipt | Inbound) for event in heard.events)


@given(st.text(max_size=80), st.text(max_size=20))
def test_whatever_token_comes_is_not_believed(text: str, scheme: str) -> None:
    with pytest.raises(Untrusted):
        SIGNED.events(call(BODY, {"authorization": f"{scheme} {text}"}))
