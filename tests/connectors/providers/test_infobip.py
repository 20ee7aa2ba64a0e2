"""Infobip by itself: the request to the byte, what its statuses mean, what logs prove, and what it tells later."""

import base64
import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.connectors.contract import CarrierEvent, Inbound, Receipt
from postdate.connectors.providers.contract import AsksProvider, BadEvent, Request, Untrusted
from postdate.connectors.providers.infobip import KIND, Infobip, Settings
from postdate.core.address import Channel
from postdate.core.errors import MEANINGS
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

SETTINGS = Settings(
    api_key="k3y",
    base_url="https://abc123.api.infobip.com/",
    callback_user="infobip",
    callback_password="pa:ss",
)
infobip = Infobip(SETTINGS)
open_infobip = Infobip(Settings(api_key="k3y"))


def sent(request: object) -> dict[str, Any]:
    assert isinstance(request, Request)
    assert request.body is not None
    [message] = json.loads(request.body)["messages"]
    return dict(message)


# --- requests --------------------------------------------------------------------------------------------------------


def test_a_text_goes_under_our_id() -> None:
    request = infobip.request(submission(), context())
    assert isinstance(request, Request)
    assert (request.method, request.url) == ("POST", "https://abc123.api.infobip.com/sms/3/messages")
    assert request.headers == {
        "Authorization": "App k3y",
        "Accept": "application/json",
        "Content-Type": "application/json",
    }
    assert sent(request) == {
        "sender": SENDER[1:],
        "destinations": [{"to": RECIPIENT[1:], "messageId": SID}],
        "content": {"text": 'Grüße "🙂"'},
        "options": {"validityPeriod": {"amount": 4 * 3600, "timeUnit": "SECONDS"}},
        "webhooks": {"delivery": {"url": EVENTS_URL}, "contentType": "application/json", "callbackData": SID},
    }


@pytest.mark.parametrize(("sender", "written"), [("Clinic", "Clinic"), ("+Clinic", "+Clinic"), ("54321", "54321")])
def test_names_and_short_codes_stay_as_they_are(sender: str, written: str) -> None:
    assert sent(infobip.request(submission(sender=sender), context()))["sender"] == written


@pytest.mark.parametrize(("body", "first"), [("Look", [{"type": "TEXT", "text": "Look"}]), ("", [])])
def test_media_go_by_their_links(body: str, first: list[dict[str, str]]) -> None:
    request = infobip.request(submission(body=body, attachments=(PICTURE,)), context())
    assert isinstance(request, Request)
    assert request.url == "https://abc123.api.infobip.com/mms/2/messages"
    link = {"type": "LINK", "contentType": "image/png", "contentUrl": PICTURE.url}
    assert sent(request)["content"] == {"messageSegments": [*first, link]}


@pytest.mark.parametrize(("left", "written"), [(-HOUR, 60), (90 * SECOND, 90), (1000 * HOUR, 48 * 3600)])
def test_validity_is_within_two_days(left: int, written: int) -> None:
    message = sent(infobip.request(submission(expires_at=Instant(NOW + left)), context()))
    assert message["options"]["validityPeriod"]["amount"] == written


def test_what_cannot_be_carried_is_refused() -> None:
    whatsapp = submission(channel=Channel.WHATSAPP, recipient=f"whatsapp:{RECIPIENT}")
    assert isinstance(refused := infobip.request(whatsapp, context()), Refused)
    assert refused.code == 21612
    assert isinstance(refused := infobip.request(submission(attachments=(PICTURE,) * 11), context()), Refused)
    assert refused.code == 21623


@pytest.mark.parametrize("half", ["callback_user", "callback_password"])
def test_name_and_password_come_together(half: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"api_key": "k", half: "x"}, Settings)


# --- answers ---------------------------------------------------------------------------------------------------------


def status(group: str, number: int, ref: str | None = SID) -> dict[str, Any]:
    group_ids = {"PENDING": 1, "UNDELIVERABLE": 2, "DELIVERED": 3, "EXPIRED": 4, "REJECTED": 5}
    told = {"groupId": group_ids.get(group, 9), "groupName": group, "id": number, "name": "N", "description": "Nope"}
    return {"bulkId": "b", "messages": [{"messageId": ref, "status": told, "destination": RECIPIENT[1:]}]}


WAIT = Busy(60 * SECOND, "the carrier did not accept the credentials")


@pytest.mark.parametrize(
    ("code", "body", "expected"),
    [
        (200, status("PENDING", 26), Accepted(SID)),
        (200, status("PENDING", 7, "other"), Accepted("other")),
        (200, status("REJECTED", 23), Accepted(SID)),  # our id is there already
        (200, status("REJECTED", 6), Refused(30006, "the carrier refused the message")),
        (200, status("REJECTED", 12), Refused(30002, "the carrier refused the message")),
        (200, status("REJECTED", 52), Refused(21211, "the carrier refused the message")),
        (200, status("REJECTED", 21), Refused(30008, "the carrier refused the message")),
        (200, status("UNDELIVERABLE", 9), Refused(30008, "the carrier refused the message")),
        (200, status("PENDING", 26, None), InDoubt),
        (200, status("NEWS", 1), InDoubt),
        (200, {"messages": []}, InDoubt),
        (200, {"messages": [*status("PENDING", 26)["messages"], *status("PENDING", 26)["messages"]]}, InDoubt),
        (200, b"<html>", InDoubt),
        (202, status("PENDING", 26), InDoubt),
        (400, b"<html>", InDoubt),
        (400, {}, Refused(30008, "the carrier answered 400")),
        (402, b"", Busy),
        (400, {"errorCode": "E400", "violations": [{"property": "messages[0].sender", "violation": "Nope"}]},
         Refused(21606, "the carrier answered 400")),
        (400, {"violations": [{"property": "a" * 300_000 + "1"}]}, Refused(30008, "the carrier answered 400")),
        (400, {"violations": [{"property": "x[0]"}, {"property": "messages[0].destinations[0].to"}]},
         Refused(21211, "the carrier answered 400")),
        (401, b"", WAIT),
        (403, b"", WAIT),
        (404, b"", Busy),
        (408, b"", InDoubt),
        (500, {"errorCode": "E500"}, InDoubt),
        (503, b"", InDoubt),
    ],
)  # fmt: skip
def test_only_an_answer_that_says_what_happened_is_believed(code: int, body: object, expected: Any) -> None:
    outcome = infobip.outcome(submission(), answer(code, body))
    assert outcome == expected if not isinstance(expected, type) else isinstance(outcome, expected)
    assert "Nope" not in repr(outcome)


def test_too_many_requests_wait_as_asked() -> None:
    outcome = infobip.outcome(submission(), answer(429, headers={"retry-after": "7"}))
    assert outcome == Busy(7 * SECOND, "the carrier answered 429")


# --- what became of a message in doubt -------------------------------------------------------------------------------


@pytest.mark.parametrize(("attachments", "path"), [((), "sms/3"), ((PICTURE,), "mms/2")])
def test_the_logs_are_asked_for_our_id(attachments: tuple[Any, ...], path: str) -> None:
    assert isinstance(infobip, AsksProvider)
    asked = infobip.question(submission(attachments=attachments), context())
    assert (asked.method, asked.body) == ("GET", None)
    assert asked.url == f"https://abc123.api.infobip.com/{path}/logs?messageId={SID}&limit=1"


@pytest.mark.parametrize(
    ("code", "body", "expected"),
    [
        (200, {"results": [{"messageId": SID, "status": {"groupName": "DELIVERED"}}]}, Accepted(SID)),
        (200, {"results": [{"messageId": SID, "status": {"groupName": "REJECTED", "id": 12}}]}, InDoubt),
        (200, {"results": [{"messageId": "other"}]}, InDoubt),
        (200, {"results": []}, InDoubt),
        (200, b"", InDoubt),
        (404, {"results": [{"messageId": SID}]}, InDoubt),
        (401, b"", InDoubt),
    ],
)
def test_only_a_log_with_our_id_proves_anything(code: int, body: object, expected: Any) -> None:
    verdict = infobip.verdict(submission(), answer(code, body))
    assert verdict == expected if not isinstance(expected, type) else isinstance(verdict, expected)


# --- what it tells later ---------------------------------------------------------------------------------------------


def report(group: str, number: int, error: int = 0, **more: object) -> dict[str, object]:
    [told] = status(group, number)["messages"]
    rest = {"to": RECIPIENT[1:], "sender": "X", "error": {"id": error, "permanent": True}, "doneAt": "x"}
    return {**told, **rest, **more}


SMS = {"messageId": "8177", "from": RECIPIENT[1:], "to": "54321", "text": "QUIZ 1", "cleanText": "1", "keyword": "QUIZ"}
MMS = {
    "messageId": "8178",
    "from": RECIPIENT[1:],
    "to": SENDER[1:],
    "message": [
        {"contentType": "image/jpeg", "url": "https://media.example/1"},
        {"contentType": "text/plain", "value": "See"},
    ],
}
DELIVERED = Receipt(SID, Event.DELIVER, None, SID)


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([report("DELIVERED", 5)], [DELIVERED]),
        ([report("DELIVERED", 2)], []),  # to the operator alone
        ([report("PENDING", 7)], []),
        ([report("EXPIRED", 29)], []),  # nobody knows
        ([report("REJECTED", 23)], []),  # a second message with our id, the first is under way
        ([report("EXPIRED", 15)], [Receipt(SID, Event.UNDELIVER, 30036, SID)]),
        ([report("UNDELIVERABLE", 9, 27)], [Receipt(SID, Event.UNDELIVER, 30003, SID)]),
        ([report("UNDELIVERABLE", 9, 1)], [Receipt(SID, Event.UNDELIVER, 30005, SID)]),
        ([report("REJECTED", 6, 77777)], [Receipt(SID, Event.UNDELIVER, 30006, SID)]),
        ([report("UNDELIVERABLE", 4)], [Receipt(SID, Event.UNDELIVER, 30008, SID)]),
        ([report("DELIVERED", 5, messageId="theirs", callbackData=SID)], [Receipt("theirs", Event.DELIVER, None, SID)]),
        ([report("DELIVERED", 5, messageId="theirs")], [Receipt("theirs", Event.DELIVER)]),
        ([SMS], [Inbound(RECIPIENT, "54321", "QUIZ 1", carrier_ref="8177")]),
        ([MMS], [Inbound(RECIPIENT, SENDER, "See", media_urls=("https://media.example/1",), carrier_ref="8178")]),
        ([report("DELIVERED", 5), SMS], [DELIVERED, Inbound(RECIPIENT, "54321", "QUIZ 1", carrier_ref="8177")]),
        ([], []),
    ],
)
def test_results_are_understood(results: list[object], expected: list[CarrierEvent]) -> None:
    assert list(open_infobip.events(call({"results": results})).events) == expected


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", {}, {"results": [{"messageId": "1"}]}, {"results": [{"from": "1"}]}, {"results": [SMS] * 1001}],
)
def test_what_is_no_result_is_refused(body: object) -> None:
    with pytest.raises(BadEvent):
        open_infobip.events(call(body))


TRUSTED = {"authorization": "Basic " + base64.b64encode(b"infobip:pa:ss").decode()}


def test_a_subscription_shows_name_and_password() -> None:
    assert infobip.events(call({"results": [SMS]}, TRUSTED)).events
    for headers in ({}, {"authorization": "Basic x"}, {"authorization": "é"}):
        with pytest.raises(Untrusted):
            infobip.events(call({"results": [SMS]}, headers))


def test_the_url_of_a_message_is_proof_enough() -> None:
    assert infobip.events(call({"results": [report("DELIVERED", 5)]}, sid=SID)).events == [DELIVERED]


def test_all_codes_have_a_meaning() -> None:
    for number in range(6000):
        for group in ("REJECTED", "EXPIRED", "UNDELIVERABLE"):
            for event in open_infobip.events(call({"results": [report(group, number % 110, number)]})).events:
                assert isinstance(event, Receipt)
                assert event.error_code in MEANINGS


# --- enemies ---------------------------------------------------------------------------------------------------------

WORDS = (
    "results",
    "messages",
    "messageId",
    "status",
    "groupName",
    "id",
    "error",
    "from",
    "to",
    "text",
    "message",
    "url",
)


@given(json_of(*WORDS, "PENDING", "REJECTED"), st.integers(min_value=100, max_value=599))
def test_nothing_breaks_it(body: bytes, code: int) -> None:
    infobip.outcome(submission(), answer(code, body))
    infobip.verdict(submission(), answer(code, body))
    with suppress(BadEvent):
        open_infobip.events(call(body))


def test_no_secret_is_shown() -> None:
    assert "k3y" not in repr(SETTINGS) + repr(infobip.request(submission(), context())) + repr(KIND)
