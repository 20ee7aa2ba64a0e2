"""Bird by itself: the request to the byte, what answers mean, and its signed events."""

import base64
import hashlib
import hmac
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.connectors.contract import Attachment, CarrierEvent, Inbound, Receipt
from postdate.connectors.providers.bird import KIND, Bird, Settings
from postdate.connectors.providers.contract import BadEvent, Call, Request, Untrusted
from postdate.core.address import Channel
from postdate.core.instant import SECOND
from postdate.core.message import Event
from postdate.core.outcome import Accepted, Busy, InDoubt, Refused
from tests.connectors.providers.building import (
    EVENTS_URL,
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

KEY = "s1gning-key"
SETTINGS = Settings(access_key="l1ve", workspace_id="w/1", channel_id="ch", sender=SENDER, signing_key=KEY)
bird = Bird(SETTINGS)
open_bird = Bird(Settings(access_key="l1ve", workspace_id="w", channel_id="ch", sender=SENDER))
REF = "96a0b5fa-a986-453d-be5c-3117f989f025"


def sent(request: object) -> dict[str, Any]:
    assert isinstance(request, Request)
    assert request.body is not None
    return dict(json.loads(request.body))


# --- requests --------------------------------------------------------------------------------------------------------


def test_a_text_goes_through_the_channel() -> None:
    request = bird.request(submission(), context())
    assert isinstance(request, Request)
    assert (request.method, request.url) == ("POST", "https://api.bird.com/workspaces/w%2F1/channels/ch/messages")
    assert request.headers == {"Authorization": "AccessKey l1ve", "Content-Type": "application/json"}
    assert sent(request) == {
        "receiver": {"contacts": [{"identifierValue": RECIPIENT, "identifierKey": "phonenumber"}]},
        "body": {"type": "text", "text": {"text": 'Grüße "🙂"'}},
        "reference": SID,
    }


def test_whatsapp_goes_to_the_number() -> None:
    sender = f"whatsapp:{SENDER}"
    channel = Bird(Settings(access_key="l1ve", workspace_id="w", channel_id="ch", sender=sender))
    message = submission(sender=sender, recipient=f"whatsapp:{RECIPIENT}", channel=Channel.WHATSAPP)
    assert sent(channel.request(message, context()))["receiver"]["contacts"][0]["identifierValue"] == RECIPIENT


@pytest.mark.parametrize(("body", "text"), [("Look", {"text": "Look"}), ("", {})])
def test_pictures_go_by_their_links(body: str, text: dict[str, str]) -> None:
    message = sent(bird.request(submission(body=body, attachments=(PICTURE,)), context()))
    pictures = [{"mediaUrl": PICTURE.url, "altText": "picture"}]
    assert message["body"] == {"type": "image", "image": {"images": pictures, **text}}


@pytest.mark.parametrize(
    ("impossible", "code"),
    [
        ({"sender": "+15550009999"}, 21612),
        ({"attachments": (PICTURE,) * 11}, 21623),
        ({"attachments": (Attachment("video/mp4", b"", "https://node.example/1"),)}, 21612),
    ],
)
def test_what_cannot_be_carried_is_refused(impossible: dict[str, Any], code: int) -> None:
    refused = bird.request(submission(**impossible), context())
    assert isinstance(refused, Refused)
    assert refused.code == code


# --- answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (202, {"id": REF, "status": "accepted"}, Accepted(REF)),
        (200, {"id": REF}, Accepted(REF)),
        (202, b"", InDoubt),
        (202, {"id": 5}, InDoubt),
        (400, {"code": "InvalidPayload", "message": "Nope"}, Refused(30008, "the carrier answered 400")),
        (422, {"code": "InvalidPayload", "message": "Nope"}, Refused(30008, "the carrier answered 422")),
        (401, b"", Busy(60 * SECOND, "the carrier did not accept the credentials")),
        (403, b"", Busy(60 * SECOND, "the carrier did not accept the credentials")),
        (404, {"message": "workspace not found"}, Busy),
        (400, b"<html>", InDoubt),
        (402, b"", Busy),
        (408, b"", InDoubt),
        (409, b"", InDoubt),
        (429, b"", Busy(None, "the carrier answered 429")),
        (500, b"", InDoubt),
        (503, b"", InDoubt),
    ],
)
def test_only_an_answer_that_says_what_happened_is_believed(status: int, body: object, expected: Any) -> None:
    outcome = bird.outcome(submission(), answer(status, body))
    assert outcome == expected if not isinstance(expected, type) else isinstance(outcome, expected)
    assert "Nope" not in repr(outcome)


# --- events ----------------------------------------------------------------------------------------------------------


def news(event: str, service: str = "channels", **payload: Any) -> dict[str, object]:
    return {"service": service, "event": event, "payload": {"id": REF, "channelId": "ch", **payload}}


def outbound(status: str, reference: str | None = SID, **more: Any) -> dict[str, object]:
    return news("sms.outbound", status=status, reference=reference, direction="outgoing", **more)


def failure(code: int, name: str = "sms-messagebird", source: str = "") -> dict[str, object]:
    return {"code": code, "source": {"name": name, "code": source}}


def inbound(event: str = "sms.inbound", number: str | None = None, **body: object) -> dict[str, Any]:
    connector = {"id": "86cc4dc0"} if number is None else {"id": "86cc4dc0", "identifierValue": number}
    contact = {"id": "32cf", "identifierKey": "phonenumber", "identifierValue": RECIPIENT}
    return news(
        event,
        sender={"contact": contact},
        receiver={"connector": connector},
        body=body or {"type": "text", "text": {"text": "STOP"}},
        status="delivered",
        direction="incoming",
    )


PICTURES = {"images": [{"mediaUrl": "https://media.example/1"}, {"altText": "none"}], "text": "See"}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (outbound("delivered"), [Receipt(REF, Event.DELIVER, None, SID)]),
        (outbound("delivered", None), [Receipt(REF, Event.DELIVER)]),
        (outbound("delivery_failed", failure=failure(15005, source="1")), [Receipt(REF, Event.UNDELIVER, 30005, SID)]),
        (outbound("delivery_failed", failure=failure(15001, source="34")), [Receipt(REF, Event.UNDELIVER, 30008, SID)]),
        (
            outbound("delivery_failed", failure=failure(12003, "other", "1")),
            [Receipt(REF, Event.UNDELIVER, 30006, SID)],
        ),
        (outbound("sending_failed"), [Receipt(REF, Event.UNDELIVER, 30008, SID)]),
        (outbound("rejected", failure={"code": 1}), [Receipt(REF, Event.UNDELIVER, 30008, SID)]),
        (outbound("accepted"), []),
        (outbound("sent"), []),
        (inbound(), [Inbound(RECIPIENT, SENDER, "STOP", carrier_ref=REF)]),
        (inbound(number="54321"), [Inbound(RECIPIENT, "54321", "STOP", carrier_ref=REF)]),
        (
            inbound("whatsapp.inbound", SENDER),
            [Inbound(f"whatsapp:{RECIPIENT}", f"whatsapp:{SENDER}", "STOP", carrier_ref=REF)],
        ),
        (
            inbound(type="image", image=PICTURES),
            [Inbound(RECIPIENT, SENDER, "See", media_urls=("https://media.example/1",), carrier_ref=REF)],
        ),
        (inbound(type="location", location={}), [Inbound(RECIPIENT, SENDER, "", carrier_ref=REF)]),
        (news("sms.interaction"), []),
        (news("email.inbound"), []),
        (news("sms.outbound", "numbers"), []),
        (outbound("delivered", channelId="another"), []),
        (inbound() | {"payload": inbound()["payload"] | {"channelId": "another"}}, []),
        (
            inbound() | {"payload": inbound()["payload"] | {"channelId": None}},
            [Inbound(RECIPIENT, SENDER, "STOP", carrier_ref=REF)],
        ),
    ],
)
def test_events_are_understood(body: dict[str, object], expected: list[CarrierEvent]) -> None:
    assert list(open_bird.events(call(body)).events) == expected


@pytest.mark.parametrize(
    "body", [b"", b"[]", {"service": "channels"}, news("sms.inbound"), news("sms.outbound", id="")]
)
def test_what_is_no_event_is_refused(body: object) -> None:
    with pytest.raises(BadEvent):
        open_bird.events(call(body))


BODY = json.dumps(inbound()).encode()


def signed(body: bytes = BODY, *, url: str = EVENTS_URL, stamp: str = "1893499200", key: str = KEY) -> Call:
    """Sign as the documentation says: time, URL and hash, each on a line of its own."""
    mac = hmac.new(key.encode(), f"{stamp}\n{url}\n".encode() + hashlib.sha256(body).digest(), "sha256").digest()
    headers = {"messagebird-signature": base64.b64encode(mac).decode(), "messagebird-request-timestamp": stamp}
    return call(body, headers)


def test_what_is_signed_is_taken() -> None:
    assert len(bird.events(signed()).events) == 1


@pytest.mark.parametrize("place", range(0, len(BODY), 37))
def test_a_changed_byte_is_not(place: int) -> None:
    changed = BODY[:place] + bytes([BODY[place] ^ 1]) + BODY[place + 1 :]
    with pytest.raises(Untrusted):
        bird.events(call(changed, signed().headers))


@pytest.mark.parametrize(
    "told",
    [
        call(BODY),
        signed(url=EVENTS_URL + "&x=1"),
        signed(key="other"),
        signed(stamp=""),
        call(BODY, dict(signed().headers) | {"messagebird-request-timestamp": "1893499201"}),
        call(BODY, dict(signed().headers) | {"messagebird-signature": "é"}),
    ],
)
def test_all_else_is_not(told: Call) -> None:
    with pytest.raises(Untrusted):
        bird.events(told)


# --- enemies ---------------------------------------------------------------------------------------------------------

WORDS = ("service", "channels", "event", "sms.inbound", "sms.outbound", "payload", "id", "status", "failure", "code")
MORE = ("source", "sender", "receiver", "contact", "connector", "identifierValue", "body", "type", "text", "image")


@given(json_of(*WORDS, *MORE), st.integers(min_value=100, max_value=599))
def test_nothing_breaks_it(body: bytes, status: int) -> None:
    bird.outcome(submission(), answer(status, body))
    for provider in (bird, open_bird):
        with suppress(BadEvent):
            provider.events(call(body))


def test_no_secret_is_shown() -> None:
    shown = repr(SETTINGS) + repr(bird.request(submission(), context())) + repr(KIND)
    assert "l1ve" not in shown
    assert KEY not in shown
