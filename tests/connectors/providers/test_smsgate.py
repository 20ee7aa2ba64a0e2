"""sms-gate.app: what is asked of the phone, what its answers mean, what its webhooks say and which are believed."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.connectors.contract import CarrierEvent, Inbound, Receipt
from postdate.connectors.providers.contract import AsksProvider, BadEvent, Call, Request, Untrusted
from postdate.connectors.providers.smsgate import KIND, Settings, SmsGate
from postdate.core.address import Channel
from postdate.core.instant import DAY, HOUR, MINUTE, SECOND, Instant
from postdate.core.message import Event
from postdate.core.outcome import Accepted, Busy, InDoubt, Outcome, Refused, Unreachable
from tests.connectors.providers.building import NOW, PICTURE, SID, answer, call, context, json_of, submission

BASIC = "Basic " + base64.b64encode(b"phone:pa:ss").decode()
PHONE = SmsGate(Settings(username="phone", password="pa:ss"))
LOCAL = SmsGate(
    Settings(
        username="phone",
        password="pa:ss",
        base_url="http://192.0.2.7:8080/",
        signing_key="k",
        device_id="d1",
        sim_number=2,
        number="+15550001111",
    )
)


def test_a_message_is_queued_under_our_sid() -> None:
    asked = PHONE.request(submission(), context())
    assert isinstance(asked, Request)
    assert (asked.method, asked.url) == (
        "POST",
        "https://api.sms-gate.app/3rdparty/v1/messages?skipPhoneValidation=true",
    )
    assert asked.headers == {"Authorization": BASIC, "Content-Type": "application/json"}
    assert json.loads(asked.body or b"") == {
        "id": SID,
        "textMessage": {"text": 'Grüße "🙂"'},
        "phoneNumbers": ["+15550002222"],
        "ttl": 4 * 3600,
        "withDeliveryReport": True,
    }


def test_a_phone_and_a_sim_can_be_chosen() -> None:
    asked = LOCAL.request(submission(), context())
    assert isinstance(asked, Request)
    assert asked.url == "http://192.0.2.7:8080/messages?skipPhoneValidation=true"
    order = json.loads(asked.body or b"")
    assert (order["deviceId"], order["simNumber"]) == ("d1", 2)


@pytest.mark.parametrize(("left", "ttl"), [(-HOUR, 5), (0, 5), (7 * SECOND + 999_999, 7), (400 * DAY, 864_000)])
def test_what_is_left_of_the_validity_is_passed_on(left: int, ttl: int) -> None:
    asked = PHONE.request(submission(expires_at=Instant(NOW + left)), context())
    assert isinstance(asked, Request)
    assert json.loads(asked.body or b"")["ttl"] == ttl


@pytest.mark.parametrize(
    "impossible",
    [
        {"channel": Channel.WHATSAPP},
        {"sender": "CLINIC"},
        {"sender": "12345"},
        {"attachments": (PICTURE,)},
    ],
)
def test_what_a_phone_cannot_send_is_refused(impossible: dict[str, Any]) -> None:
    refusal = PHONE.request(submission(**impossible), context())
    assert isinstance(refusal, Refused)
    assert refusal.code == 21612


LOCKED_OUT = Busy(60 * SECOND, "the carrier did not accept the credentials")
FULL = {"message": "failed to enqueue message: queue limits exceeded"}
ANSWERS: list[tuple[int, object, Outcome | type[Outcome]]] = [
    (202, {"id": SID, "state": "Pending", "recipients": []}, Accepted(SID)),
    (201, {"id": "other"}, Accepted("other")),
    (202, {"state": "Pending"}, InDoubt),
    (202, b"", InDoubt),
    (202, {"id": 7}, InDoubt),
    (202, b"[" * 100_000, InDoubt),
    (204, {"id": SID}, InDoubt),
    (302, {"id": SID}, InDoubt),
    (409, {"message": "message with the same ID already exists"}, Accepted(SID)),
    (400, {"message": "invalid"}, Refused(30008, "the carrier answered 400")),
    (422, b"", Refused(30008, "the carrier answered 422")),
    (400, b"<html>The plain HTTP request was sent to HTTPS port</html>", InDoubt),
    (425, b"", InDoubt),
    (401, b"", LOCKED_OUT),
    (403, b"", LOCKED_OUT),
    (404, b"", Busy),
    (405, b"", Busy),
    (402, b"", Busy),
    (408, b"", InDoubt),
    (429, b"", Busy(None, "the carrier answered 429")),
    (503, FULL, Busy(None, "the carrier answered 503")),
    (503, {"message": "upstream away"}, InDoubt),
    (503, b"queue limits exceeded", InDoubt),
    (500, {"id": SID}, InDoubt),
    (502, b"", InDoubt),
]


@pytest.mark.parametrize(("status", "body", "expected"), ANSWERS, ids=[f"{a[0]}-{a[1]!r:.30}" for a in ANSWERS])
def test_an_answer_means(status: int, body: object, expected: Outcome | type[Outcome]) -> None:
    outcome = PHONE.outcome(submission(), answer(status, body))
    assert type(outcome) is expected if isinstance(expected, type) else outcome == expected


def test_a_full_queue_may_say_until_when() -> None:
    assert PHONE.outcome(submission(), answer(503, FULL, {"retry-after": "30"})) == Busy(
        30 * SECOND, "the carrier answered 503"
    )


@given(st.integers(100, 599), json_of("id", "state", "message"))
def test_every_answer_means_one_thing(status: int, body: bytes) -> None:
    outcome = PHONE.outcome(submission(), answer(status, body))
    assert isinstance(outcome, Accepted) <= (200 <= status <= 202 or status == 409)
    assert isinstance(outcome, Refused) <= (400 <= status <= 499)


def test_a_message_in_doubt_is_asked_for_by_its_sid() -> None:
    assert isinstance(PHONE, AsksProvider)
    assert PHONE.question(submission(), context()) == Request(
        "GET",
        f"https://api.sms-gate.app/3rdparty/v1/messages/{SID}",
        {"Authorization": BASIC, "Content-Type": "application/json"},
    )


VERDICTS: list[tuple[int, object, int, type[Outcome]]] = [
    (200, {"id": SID, "state": "Sent"}, HOUR, Accepted),
    (200, {"id": "other", "state": "Sent"}, HOUR, InDoubt),
    (200, b"<html>", HOUR, InDoubt),
    (404, b"", HOUR, Unreachable),
    (404, {"message": "message not found"}, HOUR, Unreachable),
    (404, {"message": "message not found"}, 12 * HOUR, InDoubt),
    (404, b"Cannot GET /messages", HOUR, InDoubt),
    (404, {"detail": "no such page"}, HOUR, InDoubt),
    (401, b"", HOUR, InDoubt),
    (500, {"message": "failed to get message state"}, HOUR, InDoubt),
]


@pytest.mark.parametrize(("status", "body", "later", "expected"), VERDICTS)
def test_a_verdict_is_only_what_is_certain(status: int, body: object, later: int, expected: type[Outcome]) -> None:
    verdict = PHONE.verdict(submission(), answer(status, body, at=Instant(NOW + later)))
    assert type(verdict) is expected
    if isinstance(verdict, Accepted):
        assert verdict.carrier_ref == SID


def webhook(event: str, **payload: object) -> dict[str, object]:
    return {"deviceId": "d1", "event": event, "id": "ev-1", "payload": payload, "webhookId": "w1"}


EVENTS: list[tuple[dict[str, object], list[CarrierEvent]]] = [
    (webhook("sms:delivered", messageId=SID, recipient="+1"), [Receipt(SID, Event.DELIVER, None, SID)]),
    (webhook("sms:delivered", messageId="other"), [Receipt("other", Event.DELIVER)]),
    (webhook("sms:failed", messageId=SID, reason="Send result: X"), [Receipt(SID, Event.UNDELIVER, 30008, SID)]),
    (webhook("sms:failed", messageId=SID, reason="TTL expired"), [Receipt(SID, Event.UNDELIVER, 30036, SID)]),
    (webhook("sms:cancelled", messageId=SID), [Receipt(SID, Event.UNDELIVER, 30008, SID)]),
    (webhook("sms:sent", messageId=SID, partsCount=1), []),
    (webhook("system:ping", health={"status": "pass"}), []),
    (webhook("mms:received", messageId="m", sender="+1", recipient=None, subject=None), []),
    (
        webhook("sms:received", messageId="abc", message="STOP", sender="+15550002222", recipient="+15550001111"),
        [Inbound("+15550002222", "+15550001111", "STOP", carrier_ref="ev-1")],
    ),
    (
        webhook("sms:received", message="hi", phoneNumber="6505551212", recipient=None, simNumber=None),
        [Inbound("6505551212", "+15550001111", "hi", carrier_ref="ev-1")],
    ),
    (webhook("sms:received", message="hi", phoneNumber="6505551212", recipient=None) | {"deviceId": "d2"}, []),
    (
        webhook("sms:received", message="hi", phoneNumber="6505551212", recipient="+15550003333") | {"deviceId": "d2"},
        [Inbound("6505551212", "+15550003333", "hi", carrier_ref="ev-1")],
    ),
    (
        webhook("mms:downloaded", sender="+1", recipient="+2", body="look", attachments=[{"data": "/9j/"}]),
        [Inbound("+1", "+2", "look", carrier_ref="ev-1")],
    ),
]  # fmt: skip


def signed(body: object, *, key: str = "k", at: Instant = NOW, stamp: str | None = None) -> Call:
    """A webhook as the app signs it: hex HMAC-SHA256 over the body and the second of its clock."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    stamp = str(at // SECOND) if stamp is None else stamp
    mac = hmac.new(key.encode(), raw + stamp.encode(), hashlib.sha256).hexdigest()
    return call(raw, {"x-timestamp": stamp, "x-signature": mac})


@pytest.mark.parametrize(("body", "expected"), EVENTS, ids=[str(e[0]["event"]) for e in EVENTS])
def test_a_webhook_is_read(body: dict[str, object], expected: list[CarrierEvent]) -> None:
    heard = LOCAL.events(signed(body))
    assert (list(heard.events), heard.status) == (expected, 204)


def test_a_url_of_one_message_names_it() -> None:
    heard = PHONE.events(call(webhook("sms:delivered", messageId="other"), sid=SID))
    assert heard.events == (Receipt("other", Event.DELIVER, None, SID),)


@pytest.mark.parametrize(
    "body",
    [
        webhook("sms:delivered"),
        webhook("sms:failed", messageId=""),
        webhook("sms:received", message="hi", recipient="+1"),
        webhook("mms:downloaded", sender="", recipient="+2", body="look"),
        {"event": "sms:sent", "payload": {}},
        {"event": "sms:sent", "id": "x", "payload": []},
        [],
        b"",
        b"\xff",
    ],
)
def test_a_webhook_that_says_nothing_is_refused(body: object) -> None:
    with pytest.raises(BadEvent):
        LOCAL.events(signed(body))


def test_without_the_phones_number_a_message_must_name_it() -> None:
    with pytest.raises(BadEvent, match="number"):
        PHONE.events(call(webhook("sms:received", message="hi", sender="+1", recipient=None)))


BODY = webhook("sms:delivered", messageId=SID)


@pytest.mark.parametrize(
    "forged",
    [
        call(BODY),
        signed(BODY, key="other"),
        signed(BODY, at=Instant(NOW - 5 * MINUTE - SECOND)),
        signed(BODY, at=Instant(NOW + 5 * MINUTE + SECOND)),
        signed(BODY, stamp="soon"),
        signed(BODY, stamp="٣"),
        call(webhook("sms:failed", messageId=SID), signed(BODY).headers),
        call(BODY, {**signed(BODY).headers, "x-timestamp": str(NOW // SECOND + 1)}),
        call(BODY, {**signed(BODY).headers, "x-signature": "é"}),
    ],
)
def test_what_the_phone_did_not_sign_just_now_is_not_believed(forged: Call) -> None:
    with pytest.raises(Untrusted):
        LOCAL.events(forged)


@pytest.mark.parametrize("apart", [-5 * MINUTE, 5 * MINUTE])
def test_clocks_may_differ_by_five_minutes(apart: int) -> None:
    assert LOCAL.events(signed(BODY, at=Instant(NOW + apart))).events


@given(
    json_of("id", "event", "payload", "sms:delivered", "sms:received", "messageId", "sender", "recipient", "message")
)
def test_whatever_comes_is_heard_or_a_bad_event(body: bytes) -> None:
    try:
        heard = LOCAL.events(signed(body))
    except BadEvent:
        return
    assert all(isinstance(event, Receipt | Inbound) for event in heard.events)


def test_secrets_do_not_show() -> None:
    shown = repr(Settings(username="phone", password="pa:ss", signing_key="kk")) + repr(
        LOCAL.request(submission(), context())
    )
    assert "pa:ss" not in shown
    assert BASIC not in shown
    assert KIND.name == "smsgate"
