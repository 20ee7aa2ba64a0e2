"""Telnyx's wire: what goes out, what answers and events mean, and whose signature counts."""

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from postdate.clock import SystemClock
from postdate.connectors.contract import Attachment, CarrierEvent, Inbound, Receipt
from postdate.connectors.providers.contract import BadEvent, Call, Request, Untrusted
from postdate.connectors.providers.telnyx import KIND, TOLERANCE, Settings, Telnyx
from postdate.core.address import Channel
from postdate.core.instant import MINUTE, SECOND, Instant
from postdate.core.message import Event
from postdate.core.outcome import Accepted, Busy, InDoubt, Outcome, Refused
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

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = base64.b64encode(KEY.public_key().public_bytes_raw()).decode()
PLAIN = Settings(api_key="KEY0123")
PROVIDER = Telnyx(PLAIN)
CHECKED = Telnyx(msgspec.structs.replace(PLAIN, public_key=PUBLIC))
THEIRS = "40385f64-5717-4562-b3fc-2c963f66afa6"
WHATSAPP = {"channel": Channel.WHATSAPP, "sender": f"whatsapp:{SENDER}", "recipient": f"whatsapp:{RECIPIENT}"}
SOUND = Attachment("audio/ogg", b"OggS", "https://node.example/media/cd34.ogg")


def content(request: Request | Any) -> Any:
    """The JSON that a request posts."""
    assert isinstance(request, Request)
    assert request.body is not None
    return json.loads(request.body)


def signed(body: object, *, key: Ed25519PrivateKey = KEY, at: Instant = NOW, **changes: Any) -> Call:
    """A call as Telnyx signs it at `at`."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    stamp = str(at // SECOND)
    signature = base64.b64encode(key.sign(stamp.encode() + b"|" + raw)).decode()
    made = call(raw, {"telnyx-timestamp": stamp, "telnyx-signature-ed25519": signature})
    return replace(made, **changes)


# --- what goes out ---------------------------------------------------------------------------------------------------


def test_a_message_is_posted_in_telnyxs_words() -> None:
    request = PROVIDER.request(submission(), context())
    assert isinstance(request, Request)
    assert (request.method, request.url) == ("POST", "https://api.telnyx.com/v2/messages")
    assert request.headers == {
        "Authorization": "Bearer KEY0123",
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Idempotency-Key": SID,
    }
    assert content(request) == {
        "text": 'Grüße "🙂"',
        "use_profile_webhooks": False,
        "from": SENDER,
        "to": RECIPIENT,
        "webhook_url": EVENTS_URL,
    }


def test_a_later_attempt_is_the_same_to_the_byte() -> None:
    first = PROVIDER.request(submission(), context())
    second = PROVIDER.request(
        replace(submission(), attempt=2), replace(context(at=Instant(NOW + MINUTE)), chance=b"x" * 16)
    )
    assert first == second


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sender": "Clinic"}, {"from": "Clinic"}),
        ({"sender": "12345"}, {"from": "12345"}),
        ({"attachments": (PICTURE, PICTURE)}, {"type": "MMS", "media_urls": [PICTURE.url, PICTURE.url]}),
        (WHATSAPP, {"type": "WHATSAPP", "from": SENDER, "to": RECIPIENT}),
        (WHATSAPP, {"whatsapp_message": {"type": "text", "text": {"body": 'Grüße "🙂"'}}}),
        (
            WHATSAPP | {"attachments": (PICTURE,), "body": "Here"},
            {"whatsapp_message": {"type": "image", "image": {"link": PICTURE.url, "caption": "Here"}}},
        ),
        (
            WHATSAPP | {"attachments": (SOUND,), "body": ""},
            {"whatsapp_message": {"type": "audio", "audio": {"link": SOUND.url}}},
        ),
        (
            WHATSAPP | {"attachments": (SOUND,), "body": "Here"},
            {"whatsapp_message": {"type": "document", "document": {"link": SOUND.url, "caption": "Here"}}},
        ),
    ],
)
def test_a_variant_goes_out_as(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    request = PROVIDER.request(submission(**changes), context())
    assert content(request).items() >= expected.items()
    assert isinstance(request, Request)
    assert request.url.endswith("/whatsapp") == ("channel" in changes)


def test_media_need_no_text_and_a_profile_is_named() -> None:
    provider = Telnyx(msgspec.structs.replace(PLAIN, messaging_profile_id="profile", base_url="http://127.0.0.1:1/"))
    request = provider.request(submission(body="", attachments=(PICTURE,)), context())
    assert isinstance(request, Request)
    assert request.url == "http://127.0.0.1:1/v2/messages"
    assert "text" not in content(request)
    assert content(request)["messaging_profile_id"] == "profile"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"channel": Channel.RCS}, 21612),
        ({"channel": Channel.MESSENGER}, 21612),
        (WHATSAPP | {"attachments": (PICTURE, PICTURE)}, 21623),
    ],
)
def test_what_it_cannot_carry_is_refused(changes: dict[str, Any], code: int) -> None:
    refused = PROVIDER.request(submission(**changes), context())
    assert isinstance(refused, Refused)
    assert refused.code == code


@pytest.mark.parametrize("key", ["", "AAAA", "not base64!", "ü", base64.b64encode(bytes(33)).decode()])
def test_a_public_key_that_is_none_is_refused(key: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"api_key": "KEY0123", "public_key": key}, Settings)


# --- what an answer means --------------------------------------------------------------------------------------------


def errors(*codes: str | int) -> dict[str, object]:
    """A refusal in Telnyx's form."""
    return {"errors": [{"code": code, "title": "x", "detail": "y"} for code in codes]}


LOCKED_OUT = Busy(60 * SECOND, "the carrier did not accept the credentials")
ANSWERS: list[tuple[int, object, Mapping[str, str], int, Outcome | type[Outcome]]] = [
    (200, {"data": {"id": THEIRS, "to": [{"status": "queued"}]}}, {}, 1, Accepted(THEIRS)),
    (201, {"data": {"id": THEIRS}}, {}, 1, Accepted(THEIRS)),
    (200, {"data": {"id": ""}}, {}, 1, InDoubt),
    (200, {"data": None}, {}, 1, InDoubt),
    (200, b"", {}, 1, InDoubt),
    (302, {"data": {"id": THEIRS}}, {}, 1, InDoubt),
    (400, errors("40310"), {}, 1, Refused(21211, "the carrier answered 400")),
    (400, errors(40310), {}, 1, Refused(21211, "the carrier answered 400")),
    (403, errors("40300"), {}, 1, Refused(21610, "the carrier answered 403")),
    (400, errors("99999"), {}, 1, Refused(30008, "the carrier answered 400")),
    (422, errors("99999"), {}, 1, Refused(30008, "the carrier answered 422")),
    (422, errors("40322"), {}, 2, Refused(30007, "the carrier answered 422")),
    (422, errors("99999"), {}, 2, InDoubt),  # another body under a key that is known: the carrier may have it
    (409, errors("40310"), {}, 1, InDoubt),
    (400, errors(), {}, 1, InDoubt),
    (400, b"<html>", {}, 1, InDoubt),
    (401, b"", {}, 1, LOCKED_OUT),
    (401, errors("10009"), {}, 1, LOCKED_OUT),
    (403, errors("10010"), {}, 1, LOCKED_OUT),
    (402, errors("20100"), {}, 1, LOCKED_OUT),
    (404, errors("10005"), {}, 1, Busy),
    (400, errors("40312"), {}, 1, LOCKED_OUT),
    (429, errors("10011"), {"retry-after": "2"}, 1, Busy(2 * SECOND, "the carrier answered 429")),
    (429, b"", {}, 1, Busy(None, "the carrier answered 429")),
    (400, errors("40318"), {}, 1, Busy(None, "the carrier answered 400")),
    (500, errors("10007"), {}, 1, InDoubt),
    (503, b"", {}, 1, InDoubt),
]


@pytest.mark.parametrize(("status", "body", "headers", "attempt", "expected"), ANSWERS)
def test_an_answer_means(
    status: int, body: object, headers: Mapping[str, str], attempt: int, expected: Outcome | type[Outcome]
) -> None:
    outcome = PROVIDER.outcome(replace(submission(), attempt=attempt), answer(status, body, headers))
    assert outcome == expected if not isinstance(expected, type) else type(outcome) is expected


@given(st.integers(100, 999), json_of("data", "id", "errors", "code", "40310"))
def test_every_answer_means_one_thing_and_only_2xx_is_a_yes(status: int, body: bytes) -> None:
    outcome = PROVIDER.outcome(submission(), answer(status, body))
    assert type(outcome) in get_args(Outcome)
    assert isinstance(outcome, Accepted) <= (200 <= status <= 299)
    assert isinstance(outcome, Refused) <= (400 <= status <= 499)


# --- what an event means ---------------------------------------------------------------------------------------------


def event(kind: str, **payload: object) -> dict[str, object]:
    """An event in Telnyx's form."""
    return {"data": {"record_type": "event", "id": "1", "event_type": kind, "payload": {"id": THEIRS, **payload}}}


def finalized(status: str, *codes: str) -> dict[str, object]:
    """The last news of a message."""
    return event("message.finalized", to=[{"phone_number": RECIPIENT, "status": status}], **errors(*codes))


ARRIVED = {"from": {"phone_number": RECIPIENT}, "to": [{"phone_number": SENDER}], "text": "Yes 🙂", "type": "SMS"}
EVENTS: list[tuple[dict[str, object], list[CarrierEvent]]] = [
    (finalized("delivered"), [Receipt(THEIRS, Event.DELIVER, None, SID)]),
    (finalized("delivery_failed", "40001"), [Receipt(THEIRS, Event.UNDELIVER, 30006, SID)]),
    (finalized("delivery_failed", "40008"), [Receipt(THEIRS, Event.UNDELIVER, 30008, SID)]),
    (finalized("sending_failed", "40300"), [Receipt(THEIRS, Event.UNDELIVER, 21610, SID)]),
    (finalized("expired"), [Receipt(THEIRS, Event.UNDELIVER, 30008, SID)]),
    (finalized("delivery_unconfirmed"), []),
    (event("message.read", to=[{"status": "read"}]), [Receipt(THEIRS, Event.READ, None, SID)]),
    (event("message.sent", to=[{"status": "sent"}]), []),
    (event("message.finalized", to=[]), []),
    (event("message.finalized"), []),
    (event("call.initiated", to="x", id=7), []),
    ({"data": {"event_type": "of a later year"}}, []),
    (event("message.received", **ARRIVED), [Inbound(RECIPIENT, SENDER, "Yes 🙂", carrier_ref=THEIRS)]),
    (
        event("message.received", **ARRIVED | {"text": None, "media": [{"url": "https://m.example/a"}, {"url": None}]}),
        [Inbound(RECIPIENT, SENDER, "", media_urls=("https://m.example/a",), carrier_ref=THEIRS)],
    ),
    (
        event(
            "message.received",
            **ARRIVED | {"type": "WHATSAPP", "to": SENDER, "text": None, "body": {"text": {"body": "Yes"}}},
        ),
        [Inbound(f"whatsapp:{RECIPIENT}", f"whatsapp:{SENDER}", "Yes", carrier_ref=THEIRS)],
    ),
]


@pytest.mark.parametrize(("body", "expected"), EVENTS)
def test_an_event_means(body: dict[str, object], expected: list[CarrierEvent]) -> None:
    assert list(CHECKED.events(signed(body, sid=SID)).events) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        b'{"data": "\xff"}',
        event("message.received"),
        event("message.received", **ARRIVED | {"to": []}),
        event("message.received", **ARRIVED | {"text": "hidden\0"}),
        event("message.finalized", id="", to=[{"status": "hidden"}]),
    ],
)
def test_an_event_that_says_nothing_is_refused_without_a_word_of_it(body: object) -> None:
    with pytest.raises(BadEvent) as refused:
        PROVIDER.events(call(body))
    assert "hidden" not in str(refused.value)


@given(json_of("data", "event_type", "payload", "id", "to", "from", "message.received", "message.finalized"))
def test_whatever_comes_is_read_or_refused(body: bytes) -> None:
    for made in (call(body), signed(body)):
        try:
            CHECKED.events(made)
            PROVIDER.events(made)
        except BadEvent:
            continue


# --- whose signature counts ------------------------------------------------------------------------------------------

DELIVERED = finalized("delivered")


def headed(name: str, value: str) -> Call:
    """A call that Telnyx signed, but for one header."""
    made = signed(DELIVERED)
    return replace(made, headers={**made.headers, name: value})


OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
FORGED = [
    ("another key", signed(DELIVERED, key=OTHER)),
    ("another body", replace(signed(DELIVERED), body=json.dumps(finalized("expired")).encode())),
    ("too old", signed(DELIVERED, at=Instant(NOW - TOLERANCE - SECOND))),
    ("from the future", signed(DELIVERED, at=Instant(NOW + TOLERANCE + SECOND))),
    ("another time", headed("telnyx-timestamp", str(NOW // SECOND + 1))),
    ("no time", headed("telnyx-timestamp", "-5")),
    ("no base64", headed("telnyx-signature-ed25519", "ü")),
    ("nothing", replace(signed(DELIVERED), headers={})),
]


@pytest.mark.parametrize("made", [f[1] for f in FORGED], ids=[f[0] for f in FORGED])
def test_what_is_not_signed_so_is_not_believed(made: Call) -> None:
    with pytest.raises(Untrusted):
        CHECKED.events(made)


@pytest.mark.parametrize("apart", [-TOLERANCE, 0, TOLERANCE])
def test_clocks_may_differ_by_five_minutes(apart: int) -> None:
    assert CHECKED.events(signed(DELIVERED, at=Instant(NOW + apart))).events


@pytest.mark.parametrize("changes", [{}, {"body": b'{"data": {}}'}], ids=["whole", "changed"])
def test_telnyxs_library_and_ours_agree(changes: dict[str, Any]) -> None:
    pytest.importorskip("nacl.signing", reason="Telnyx's library checks signatures with PyNaCl, which is not installed")
    from telnyx import Telnyx as Theirs

    now = SystemClock().now()
    made = replace(signed(DELIVERED, at=now), at=now, **changes)
    theirs = Theirs(api_key="KEY0123", public_key=PUBLIC)
    if changes:
        with pytest.raises(Untrusted):
            CHECKED.events(made)
        with pytest.raises(ValueError, match="Signature verification failed"):
            theirs.webhooks.unwrap(made.body.decode(), headers=dict(made.headers))
    else:
        assert CHECKED.events(made).events
        assert theirs.webhooks.unwrap(made.body.decode(), headers=dict(made.headers))


def test_no_secret_is_shown_and_the_key_makes_retries_harmless() -> None:
    assert "KEY0123" not in repr(PLAIN)
    assert "KEY0123" not in repr(PROVIDER.request(submission(), context()))
    assert KIND.knows_key
