"""Vonage's wire: what goes out, what answers and events mean, and whose signature counts."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from vonage_jwt import JwtClient, verify_signature  # type: ignore[import-untyped]

from postdate.connectors.contract import Attachment, CarrierEvent, Inbound, Receipt
from postdate.connectors.providers.contract import BadEvent, Call, Request, Untrusted
from postdate.connectors.providers.vonage import LEEWAY, TOKEN_SECONDS, Settings, Vonage
from postdate.core.address import Channel
from postdate.core.instant import DAY, SECOND, Instant
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


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    """A private key as Vonage hands it out."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


KEY = rsa.generate_private_key(65537, 2048)
SECRET = "a signature secret that is long enough for any of the hashes"
APPLICATION = "78d335fa-323d-0114-9c3d-d6f0d48968cf"
PLAIN = Settings(api_key="abcd1234", api_secret="s3cret")
PROVIDER = Vonage(PLAIN)
CHECKED = Vonage(msgspec.structs.replace(PLAIN, signature_secret=SECRET))
BY_TOKEN = Settings(application_id=APPLICATION, private_key=pem(KEY))
THEIRS = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"
WHATSAPP = {"channel": Channel.WHATSAPP, "sender": f"whatsapp:{SENDER}", "recipient": f"whatsapp:{RECIPIENT}"}
SOUND = Attachment("audio/ogg", b"OggS", "https://node.example/media/cd34.ogg")
CARD = Attachment("text/vcard", b"BEGIN", "https://node.example/media/ef56.vcf")


def content(request: Request | Any) -> Any:
    """The JSON that a request posts."""
    assert isinstance(request, Request)
    assert request.body is not None
    return json.loads(request.body)


def signed(body: object, *, secret: str = SECRET, algorithm: str = "HS256", **claims: object) -> Call:
    """A call as Vonage signs it, by the library that Vonage's own checks with."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    told = {"iat": NOW // SECOND, "iss": "Vonage", "payload_hash": hashlib.sha256(raw).hexdigest()} | claims
    return call(raw, {"authorization": f"Bearer {jwt.encode(told, secret, algorithm)}"}, sid=None)


# --- what goes out ---------------------------------------------------------------------------------------------------


def test_a_message_is_posted_in_vonages_words() -> None:
    request = PROVIDER.request(submission(), context())
    assert isinstance(request, Request)
    assert (request.method, request.url) == ("POST", "https://api.nexmo.com/v1/messages")
    assert base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode() == "abcd1234:s3cret"
    assert content(request) == {
        "channel": "sms",
        "message_type": "text",
        "text": 'Grüße "🙂"',
        "to": RECIPIENT[1:],
        "from": SENDER[1:],
        "client_ref": SID,
        "webhook_url": EVENTS_URL,
        "webhook_version": "v1",
        "ttl": 14_400,
    }


TEXT = 'Grüße "🙂"'
MMS_OF_ONE = {"channel": "mms", "message_type": "image", "image": {"url": PICTURE.url, "caption": TEXT}, "ttl": 14_400}
MMS_OF_TWO = [{"type": "image", "url": PICTURE.url, "caption": TEXT}, {"type": "vcard", "url": CARD.url}]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sender": "Clinic"}, {"from": "Clinic"}),
        ({"sender": "12345"}, {"from": "12345"}),
        ({"expires_at": NOW}, {"ttl": 20}),
        ({"expires_at": Instant(NOW + 8 * DAY)}, {"ttl": 604_800}),
        ({"attachments": (PICTURE,)}, MMS_OF_ONE),
        ({"attachments": (PICTURE,), "expires_at": NOW}, {"ttl": 300}),
        ({"attachments": (PICTURE,), "expires_at": Instant(NOW + 4 * DAY)}, {"ttl": 259_200}),
        ({"attachments": (PICTURE, CARD)}, {"channel": "mms", "message_type": "content", "content": MMS_OF_TWO}),
        ({"attachments": (SOUND,), "body": ""}, {"message_type": "audio", "audio": {"url": SOUND.url}}),
        (WHATSAPP, {"channel": "whatsapp", "message_type": "text", "to": RECIPIENT[1:], "from": SENDER[1:]}),
        (WHATSAPP | {"attachments": (PICTURE,)}, {"channel": "whatsapp", "image": MMS_OF_ONE["image"]}),
        (WHATSAPP | {"attachments": (SOUND,), "body": ""}, {"message_type": "audio", "audio": {"url": SOUND.url}}),
        (WHATSAPP | {"attachments": (SOUND,)}, {"message_type": "file", "file": {"url": SOUND.url, "caption": TEXT}}),
        (WHATSAPP | {"attachments": (CARD,), "body": ""}, {"message_type": "file", "file": {"url": CARD.url}}),
    ],
)
def test_a_variant_goes_out_as(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    posted = content(PROVIDER.request(submission(**changes), context()))
    assert posted.items() >= expected.items()
    assert ("ttl" in posted) == ("channel" not in changes)
    assert ("text" in posted) == ("attachments" not in changes)


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


def test_an_application_signs_in_with_a_token_that_says_what_vonages_library_says() -> None:
    request = Vonage(BY_TOKEN).request(submission(), context())
    assert isinstance(request, Request)
    token = request.headers["Authorization"].removeprefix("Bearer ")
    theirs = JwtClient(APPLICATION, pem(KEY)).generate_application_jwt({"iat": NOW // SECOND}).decode()
    options: Any = {"verify_iat": False}
    ours_told, theirs_told = (jwt.decode(one, KEY.public_key(), ["RS256"], options) for one in (token, theirs))
    assert jwt.get_unverified_header(token) == jwt.get_unverified_header(theirs)
    assert ours_told.pop("jti") != theirs_told.pop("jti")
    assert ours_told == theirs_told
    assert ours_told["exp"] - ours_told["iat"] == TOKEN_SECONDS


def test_each_token_has_an_id_of_its_own() -> None:
    tokens = {
        jwt.decode(request.headers["Authorization"][7:], options={"verify_signature": False})["jti"]
        for chance in (bytes(16), b"\xff" * 16)
        if isinstance(request := Vonage(BY_TOKEN).request(submission(), replace(context(), chance=chance)), Request)
    }
    assert len(tokens) == 2


@pytest.mark.parametrize(
    "given_settings",
    [
        {},
        {"api_key": "k"},
        {"application_id": APPLICATION},
        {"application_id": APPLICATION, "private_key": "hidden, not a PEM"},
        {"application_id": APPLICATION, "private_key": pem(ec.generate_private_key(ec.SECP256R1()))},
        {"private_key": pem(KEY)},
    ],
)
def test_settings_that_cannot_work_are_refused_without_a_secret_in_the_text(given_settings: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert(given_settings, Settings)
    assert "hidden" not in str(refused.value)
    assert "BEGIN" not in str(refused.value)


# --- what an answer means --------------------------------------------------------------------------------------------


def problem(code: int | str) -> dict[str, str]:
    """A refusal in Vonage's form."""
    return {
        "type": f"https://developer.vonage.com/api-errors/messages#{code}",
        "title": "x",
        "detail": "y",
        "instance": "z",
    }


LOCKED_OUT = Busy(60 * SECOND, "the carrier did not accept the credentials")
ANSWERS: list[tuple[int, object, Mapping[str, str], Outcome | type[Outcome]]] = [
    (202, {"message_uuid": THEIRS}, {}, Accepted(THEIRS)),
    (202, {"message_uuid": THEIRS, "workflow_id": "w"}, {}, Accepted(THEIRS)),
    (202, {"message_uuid": ""}, {}, InDoubt),
    (202, {}, {}, InDoubt),
    (202, b"<html>", {}, InDoubt),
    (302, {"message_uuid": THEIRS}, {}, InDoubt),
    (422, problem(1170), {}, Refused(21211, "the carrier answered 422")),
    (422, problem(1240), {}, Refused(21610, "the carrier answered 422")),
    (403, problem(1120), {}, Refused(21606, "the carrier answered 403")),
    (422, problem(1150), {}, Refused(30008, "the carrier answered 422")),
    (422, problem("invalid-params"), {}, Refused(30008, "the carrier answered 422")),
    (422, {"type": "about:blank", "title": 1170}, {}, Refused(21211, "the carrier answered 422")),
    (422, problem(1030), {}, InDoubt),
    (422, problem(1320), {}, InDoubt),
    (422, {}, {}, InDoubt),
    (404, b"<html>", {}, Busy),
    (404, problem("not-found"), {}, Busy),
    (409, problem(1170), {}, InDoubt),
    (401, problem("unauthorized"), {}, LOCKED_OUT),
    (401, b"", {}, LOCKED_OUT),
    (402, problem("low-balance"), {}, Busy),
    (403, problem("forbidden"), {}, LOCKED_OUT),
    (422, problem(1070), {}, LOCKED_OUT),
    (429, problem(1000), {"retry-after": "1"}, Busy(SECOND, "the carrier answered 429")),
    (429, b"", {}, Busy(None, "the carrier answered 429")),
    (422, problem(1000), {}, Busy(None, "the carrier answered 422")),
    (422, problem(1241), {}, Busy(None, "the carrier answered 422", this_only=True)),
    (500, problem(1030), {}, InDoubt),
    (503, b"", {}, InDoubt),
]


@pytest.mark.parametrize(("status", "body", "headers", "expected"), ANSWERS)
def test_an_answer_means(
    status: int, body: object, headers: Mapping[str, str], expected: Outcome | type[Outcome]
) -> None:
    outcome = PROVIDER.outcome(submission(), answer(status, body, headers))
    assert outcome == expected if not isinstance(expected, type) else type(outcome) is expected


@given(st.integers(100, 999), json_of("message_uuid", "type", "title", "#1170"))
def test_every_answer_means_one_thing_and_only_2xx_is_a_yes(status: int, body: bytes) -> None:
    outcome = PROVIDER.outcome(submission(), answer(status, body))
    assert type(outcome) in get_args(Outcome)
    assert isinstance(outcome, Accepted) <= (200 <= status <= 299)
    assert isinstance(outcome, Refused) <= (400 <= status <= 499)


# --- what an event means ---------------------------------------------------------------------------------------------

STATUS: dict[str, object] = {"message_uuid": THEIRS, "to": RECIPIENT[1:], "from": SENDER[1:], "channel": "sms"}
ARRIVED: dict[str, object] = {"message_uuid": THEIRS, "to": SENDER[1:], "from": RECIPIENT[1:], "channel": "sms"}
EVENTS: list[tuple[dict[str, object], str | None, list[CarrierEvent]]] = [
    (STATUS | {"status": "delivered", "client_ref": SID}, None, [Receipt(THEIRS, Event.DELIVER, None, SID)]),
    (STATUS | {"status": "delivered"}, SID, [Receipt(THEIRS, Event.DELIVER, None, SID)]),
    (STATUS | {"status": "delivered", "client_ref": "another's"}, None, [Receipt(THEIRS, Event.DELIVER)]),
    (STATUS | {"status": "read"}, None, [Receipt(THEIRS, Event.READ)]),
    (STATUS | {"status": "rejected", "error": problem(1180)}, None, [Receipt(THEIRS, Event.UNDELIVER, 30003)]),
    (STATUS | {"status": "rejected", "error": {"title": 1210}}, None, [Receipt(THEIRS, Event.UNDELIVER, 30007)]),
    (STATUS | {"status": "undeliverable", "error": problem(1330)}, None, [Receipt(THEIRS, Event.UNDELIVER, 30008)]),
    (STATUS | {"status": "undeliverable"}, None, [Receipt(THEIRS, Event.UNDELIVER, 30008)]),
    (STATUS | {"status": "submitted"}, None, []),
    (STATUS | {"status": "of a later year"}, None, []),
    (
        ARRIVED | {"message_type": "text", "text": "Yes 🙂"},
        None,
        [Inbound(RECIPIENT, SENDER, "Yes 🙂", carrier_ref=THEIRS)],
    ),
    (
        ARRIVED | {"to": "12345", "message_type": "text", "text": ""},
        None,
        [Inbound(RECIPIENT, "12345", "", carrier_ref=THEIRS)],
    ),
    (
        ARRIVED
        | {"channel": "whatsapp", "message_type": "image", "image": {"url": "https://m.example/1", "caption": "Look"}},
        None,
        [Inbound(f"whatsapp:{RECIPIENT}", f"whatsapp:{SENDER}", "Look", (), ("https://m.example/1",), THEIRS)],
    ),
    (
        ARRIVED | {"channel": "mms", "message_type": "content", "content": [{"url": "https://m.example/1"}, {}]},
        None,
        [Inbound(RECIPIENT, SENDER, "", (), ("https://m.example/1",), THEIRS)],
    ),
]


@pytest.mark.parametrize(("body", "sid", "expected"), EVENTS)
def test_an_event_means(body: dict[str, object], sid: str | None, expected: list[CarrierEvent]) -> None:
    heard = CHECKED.events(replace(signed(body), sid=sid))
    assert (list(heard.events), heard.status) == (expected, 200)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        STATUS,
        ARRIVED | {"message_type": "text", "from": None},
        STATUS | {"status": ["hidden"]},
    ],
)
def test_an_event_that_says_nothing_is_refused_without_a_word_of_it(body: object) -> None:
    with pytest.raises(BadEvent) as refused:
        PROVIDER.events(call(body))
    assert "hidden" not in str(refused.value)


@given(json_of("message_uuid", "status", "delivered", "message_type", "from", "to", "image", "url"))
def test_whatever_comes_is_read_or_refused(body: bytes) -> None:
    for provider, made in ((PROVIDER, call(body)), (CHECKED, signed(body))):
        try:
            provider.events(made)
        except BadEvent:
            continue


# --- whose signature counts ------------------------------------------------------------------------------------------

DELIVERED = STATUS | {"status": "delivered"}


def theirs_says(made: Call) -> bool:
    """What Vonage's own library says of a call's token."""
    return bool(verify_signature(made.headers["authorization"].removeprefix("Bearer "), SECRET))


def test_vonages_library_and_ours_agree() -> None:
    made = signed(DELIVERED, iat=0)
    assert theirs_says(made)
    assert CHECKED.events(made).events
    other = signed(DELIVERED, iat=0, secret="another secret, also of thirty-two bytes")
    assert not theirs_says(other)
    with pytest.raises(Untrusted):
        CHECKED.events(other)


HALF = signed(DELIVERED).headers["authorization"].rpartition(".")[0]
NONE = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
FORGED = [
    ("another body", replace(signed(DELIVERED), body=json.dumps(STATUS | {"status": "read"}).encode())),
    ("no hash", signed(DELIVERED, payload_hash=None)),
    ("ended", signed(DELIVERED, exp=(NOW - LEEWAY) // SECOND - 1)),
    ("another algorithm", signed(DELIVERED, algorithm="HS384")),
    ("no algorithm", replace(signed(DELIVERED), headers={"authorization": f"Bearer {NONE}.e30."})),
    ("no signature", replace(signed(DELIVERED), headers={"authorization": f"{HALF}."})),
    ("half a token", replace(signed(DELIVERED), headers={"authorization": HALF})),
    ("not ascii", replace(signed(DELIVERED), headers={"authorization": "Bearer ü.ü.ü"})),
    ("nothing", replace(signed(DELIVERED), headers={})),
]


@pytest.mark.parametrize("made", [f[1] for f in FORGED], ids=[f[0] for f in FORGED])
def test_what_is_not_signed_so_is_not_believed(made: Call) -> None:
    with pytest.raises(Untrusted) as refused:
        CHECKED.events(made)
    assert SECRET not in str(refused.value)


@given(st.text(max_size=40))
def test_any_token_is_read_or_refused(text: str) -> None:
    with pytest.raises(Untrusted):
        CHECKED.events(replace(signed(DELIVERED), headers={"authorization": text}))


def test_no_secret_is_shown() -> None:
    for settings in (PLAIN, BY_TOKEN):
        shown = repr(settings) + repr(Vonage(settings).request(submission(), context()))
        assert "s3cret" not in shown
        assert "BEGIN" not in shown
