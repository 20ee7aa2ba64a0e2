"""AWS End User Messaging: what is sent and signed, what answers mean, and which notifications of SNS are believed."""

import base64
import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from postdate.connectors.contract import CarrierEvent, Inbound, Receipt
from postdate.connectors.providers.aws import FAILURES, REASONS, Aws, Settings
from postdate.connectors.providers.contract import BadEvent, Call, Heard, NeedsDocument, Request, Untrusted
from postdate.connectors.providers.sigv4 import Signer
from postdate.core.address import Channel
from postdate.core.errors import MEANINGS
from postdate.core.instant import DAY, HOUR, SECOND, Instant
from postdate.core.message import Event
from postdate.core.outcome import Accepted, Busy, InDoubt, Outcome, Refused
from tests.connectors.providers.building import NOW, PICTURE, SID, answer, call, context, json_of, submission

KEYS: dict[str, Any] = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "the-secret", "region": "eu-west-1"}
AWS = Aws(Settings(**KEYS))
OWN = Aws(Settings(**KEYS, account_id="123456789012"))
SIGNER = Signer("AKIDEXAMPLE", "the-secret", "eu-west-1", "sms-voice")


def body_of(request: Request | Refused) -> dict[str, Any]:
    assert isinstance(request, Request)
    return dict(json.loads(request.body or b""))


def test_a_message_is_sent_and_signed() -> None:
    asked = AWS.request(submission(), context())
    assert isinstance(asked, Request)
    url = "https://sms-voice.eu-west-1.amazonaws.com/"
    assert (asked.method, asked.url) == ("POST", url)
    target = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "PinpointSMSVoiceV2.SendTextMessage"}
    assert asked.headers == SIGNER.sign("POST", url, target, asked.body or b"", NOW)
    assert body_of(asked) == {
        "DestinationPhoneNumber": "+15550002222",
        "OriginationIdentity": "+15550001111",
        "MessageBody": 'Grüße "🙂"',
        "MessageType": "TRANSACTIONAL",
        "TimeToLive": 4 * 3600,
        "Context": {"sid": SID},
    }


def test_an_account_can_be_set_up_otherwise() -> None:
    settings = Settings(
        **KEYS,
        session_token="the-token",
        origination_identity="pool-1",
        configuration_set="set-1",
        message_type="PROMOTIONAL",
        base_url="http://127.0.0.1:4566",
    )
    asked = Aws(settings).request(submission(sender="ACME & CO"), context())
    assert isinstance(asked, Request)
    assert asked.url == "http://127.0.0.1:4566/"
    assert asked.headers["X-Amz-Security-Token"] == "the-token"
    order = body_of(asked)
    assert (order["OriginationIdentity"], order["ConfigurationSetName"]) == ("pool-1", "set-1")
    assert order["MessageType"] == "PROMOTIONAL"
    assert "the-" not in repr(settings) + repr(asked)


@pytest.mark.parametrize("sender", ["+15550001111", "12345", "CLINIC", "A-B_c"])
def test_every_sender_that_aws_knows_goes_out_as_it_is(sender: str) -> None:
    assert body_of(AWS.request(submission(sender=sender), context()))["OriginationIdentity"] == sender


@pytest.mark.parametrize("left", [-HOUR, 0, SECOND, 80 * HOUR, 400 * DAY])
def test_the_request_is_one_that_aws_describes(left: int) -> None:
    asked = AWS.request(submission(expires_at=Instant(NOW + left)), context())
    jsonschema.validate(body_of(asked), described("SendTextMessageRequest"))


def shapes() -> dict[str, Any]:
    """botocore's description of the API."""
    botocore: Any = pytest.importorskip("botocore")
    folder = Path(botocore.__file__).parent / "data" / "pinpoint-sms-voice-v2" / "2022-03-31"
    return dict(json.loads(gzip.decompress((folder / "service-2.json.gz").read_bytes()))["shapes"])


LIMITS = {
    "string": {"min": "minLength", "max": "maxLength", "enum": "enum"},
    "integer": {"min": "minimum", "max": "maximum"},
}


def described(name: str) -> dict[str, Any]:
    """A structure of that description as a JSON schema; its members' limits, not what is inside of maps."""
    known = shapes()
    members = {}
    for key, member in known[name]["members"].items():
        shape = known[member["shape"]]
        words = LIMITS.get(shape["type"], {})
        members[key] = {words[word]: shape[word] for word in words if word in shape}
    required = known[name].get("required", [])
    return {"type": "object", "properties": members, "required": required, "additionalProperties": False}


@pytest.mark.parametrize(
    "impossible",
    [{"channel": Channel.WHATSAPP}, {"attachments": (PICTURE,)}, {"sender": "ACME CO"}, {"sender": "A&B"}],
)
def test_what_aws_cannot_send_is_refused(impossible: dict[str, Any]) -> None:
    refusal = AWS.request(submission(**impossible), context())
    assert isinstance(refusal, Refused)
    assert refusal.code == 21612


def fault(kind: str, reason: str | None = None) -> dict[str, object]:
    return {"__type": f"com.amazonaws.pinpoint#{kind}", "Message": "word", "Reason": reason}


LOCKED_OUT = Busy(60 * SECOND, "the carrier did not accept the credentials")
ANSWERS: list[tuple[int, object, Outcome | type[Outcome]]] = [
    (200, {"MessageId": "m-1"}, Accepted("m-1")),
    (200, {"MessageId": ""}, InDoubt),
    (200, {}, InDoubt),
    (200, b"", InDoubt),
    (200, b"[" * 100_000, InDoubt),
    (202, {"MessageId": "m-1"}, InDoubt),
    (400, fault("ThrottlingException"), Busy(None, "the carrier answered 400")),
    (429, b"", Busy(None, "the carrier answered 429")),
    (400, fault("AccessDeniedException", "ACCOUNT_DISABLED"), LOCKED_OUT),
    (400, fault("UnrecognizedClientException"), LOCKED_OUT),
    (400, {"__type": "InvalidSignatureException"}, LOCKED_OUT),
    (403, b"", LOCKED_OUT),
    (404, b"", Busy),
    (400, fault("ServiceQuotaExceededException", "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT"), Busy),
    (
        400,
        fault("ServiceQuotaExceededException", "DAILY_DESTINATION_CALL_LIMIT"),
        Busy(HOUR, "the recipient has had as many messages today as AWS allows", this_only=True),
    ),
    (400, fault("ConflictException", "DESTINATION_PHONE_NUMBER_OPTED_OUT"), Refused(21610, "the carrier answered 400")),
    (400, fault("ValidationException", "SENDER_ID_NOT_SUPPORTED"), Refused(21612, "the carrier answered 400")),
    (400, fault("ValidationException", "DESTINATION_COUNTRY_BLOCKED"), Refused(30004, "the carrier answered 400")),
    (400, fault("ValidationException", "word"), Refused(30008, "the carrier answered 400")),
    (400, fault("ValidationException"), Refused(30008, "the carrier answered 400")),
    (400, fault("ResourceNotFoundException"), Refused(21606, "the carrier answered 400")),
    (400, b"<html>", InDoubt),
    (402, b"", Busy),
    (400, fault("ResourceNotFoundException") | {"ResourceType": "configuration-set"}, Busy),
    (
        400,
        fault("ResourceNotFoundException") | {"ResourceType": "phone-number"},
        Refused(21606, "the carrier answered 400"),
    ),
    (408, b"", InDoubt),
    (409, b"", InDoubt),
    (500, fault("InternalServerException"), InDoubt),
    (503, fault("ThrottlingException"), InDoubt),
    (301, b"", InDoubt),
]


@pytest.mark.parametrize(("status", "body", "expected"), ANSWERS, ids=[f"{a[0]}-{a[1]!r:.70}" for a in ANSWERS])
def test_an_answer_means(status: int, body: object, expected: Outcome | type[Outcome]) -> None:
    outcome = AWS.outcome(submission(), answer(status, body))
    assert type(outcome) is expected if isinstance(expected, type) else outcome == expected
    assert "word" not in repr(outcome)


def test_an_error_may_be_named_in_a_header() -> None:
    headers = {"x-amzn-errortype": "ThrottlingException:http://internal.amazon.com/coral/"}
    assert isinstance(AWS.outcome(submission(), answer(400, b"{}", headers)), Busy)


@given(st.integers(100, 599), json_of("__type", "Reason", "MessageId"))
def test_every_answer_means_one_thing(status: int, body: bytes) -> None:
    outcome = AWS.outcome(submission(), answer(status, body))
    assert isinstance(outcome, Accepted) <= (status == 200)
    assert isinstance(outcome, Refused) <= (400 <= status <= 499)


def test_every_code_has_a_meaning_and_every_reason_is_theirs() -> None:
    assert {*REASONS.values(), *FAILURES.values()} <= set(MEANINGS)
    known = shapes()
    listed = {*known["ConflictExceptionReason"]["enum"], *known["ValidationExceptionReason"]["enum"]}
    assert set(REASONS) <= listed


# --- notifications ----------------------------------------------------------------------------------------------------

CERTIFICATE_URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"
CONFIRM_URL = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:x:1:t&Token=ab12"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
TODAY = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=NOW)


def certificate(
    key: Any = RSA_KEY, since: timedelta = timedelta(days=-1), until: timedelta = timedelta(days=1)
) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
    built = x509.CertificateBuilder(name, name, key.public_key(), 1, TODAY + since, TODAY + until)
    return built.sign(key, SHA256()).public_bytes(Encoding.PEM)


DOCUMENTS = {CERTIFICATE_URL: certificate()}


def notification(message: object, version: str = "2", **fields: object) -> dict[str, Any]:
    """What SNS POSTs, signed as its documentation says."""
    envelope: dict[str, Any] = {
        "Type": "Notification",
        "MessageId": "n-1",
        "TopicArn": "arn:aws:sns:eu-west-1:123456789012:events",
        "Message": message if isinstance(message, str) else json.dumps(message),
        "Timestamp": "2030-01-01T11:59:59.000Z",
        "SignatureVersion": version,
        "SigningCertURL": CERTIFICATE_URL,
        "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
        **fields,
    }
    plain = envelope["Type"] == "Notification"
    names = ["Message", "MessageId", *(["Subject"] if plain else ["SubscribeURL"]), "Timestamp"]
    names += ["TopicArn", "Type"] if plain else ["Token", "TopicArn", "Type"]
    text = "".join(f"{name}\n{envelope[name]}\n" for name in names if name in envelope)
    signature = RSA_KEY.sign(text.encode(), PKCS1v15(), SHA1() if version == "1" else SHA256())
    return {**envelope, "Signature": base64.b64encode(signature).decode()}


def told(kind: str, **fields: object) -> dict[str, object]:
    known = {"eventType": kind, "messageId": "m-1", "isFinal": True, "context": {"sid": SID}, "totalMessageParts": 1}
    return known | fields


def undelivered(code: int) -> list[CarrierEvent]:
    return [Receipt("m-1", Event.UNDELIVER, code, SID)]


REPLY: dict[str, object] = {
    "originationNumber": "+15550002222",
    "destinationNumber": "+15550001111",
    "messageKeyword": "KEYWORD_12345",
    "messageBody": "STOP",
    "inboundMessageId": "in-1",
    "previousPublishedMessageId": "m-1",
}
EVENTS: list[tuple[dict[str, object], list[CarrierEvent]]] = [
    (told("TEXT_DELIVERED"), [Receipt("m-1", Event.DELIVER, None, SID)]),
    (told("TEXT_DELIVERED", context={"sid": "order-7"}), [Receipt("m-1", Event.DELIVER)]),
    (told("TEXT_DELIVERED", context=None), [Receipt("m-1", Event.DELIVER)]),
    (told("TEXT_SUCCESSFUL"), []),
    (told("TEXT_QUEUED", isFinal=False), []),
    (told("TEXT_PENDING", isFinal=False), []),
    (told("TEXT_UNREACHABLE"), undelivered(30003)),
    (told("TEXT_UNREACHABLE", isFinal=False), []),
    (told("TEXT_CARRIER_UNREACHABLE"), undelivered(30017)),
    (told("TEXT_INVALID"), undelivered(30005)),
    (told("TEXT_INVALID_MESSAGE"), undelivered(30008)),
    (told("TEXT_BLOCKED"), undelivered(30004)),
    (told("TEXT_PROTECT_BLOCKED"), undelivered(30004)),
    (told("TEXT_CARRIER_BLOCKED"), undelivered(30007)),
    (told("TEXT_SPAM"), undelivered(30007)),
    (told("TEXT_TTL_EXPIRED"), undelivered(30036)),
    (told("TEXT_UNKNOWN"), undelivered(30008)),
    (told("VOICE_COMPLETED"), []),
    (told("TEXT_OF_TOMORROW"), []),
    (REPLY, [Inbound("+15550002222", "+15550001111", "STOP", carrier_ref="in-1")]),
]


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize(("message", "expected"), EVENTS, ids=[str(e[0].get("eventType", "reply")) for e in EVENTS])
def test_a_notification_is_read(message: dict[str, object], expected: list[CarrierEvent], version: str) -> None:
    heard = OWN.events(call(notification(message, version), documents=DOCUMENTS))
    assert (list(heard.events), heard.status, heard.follow) == (expected, 204, None)


def test_a_subject_is_signed_too() -> None:
    signed = notification(REPLY, Subject="Reply")
    assert AWS.events(call(signed, documents=DOCUMENTS)).events
    with pytest.raises(Untrusted):
        AWS.events(call({**signed, "Subject": "Other"}, documents=DOCUMENTS))


def test_every_event_that_can_be_subscribed_is_known() -> None:
    listed = {kind for kind in shapes()["EventType"]["enum"] if kind.startswith("TEXT_")} - {"TEXT_ALL", "TEXT_SENT"}
    assert listed == {str(message["eventType"]) for message, _ in EVENTS if "eventType" in message} - {
        "VOICE_COMPLETED",
        "TEXT_OF_TOMORROW",
    }


def subscription(**fields: Any) -> dict[str, Any]:
    known: dict[str, Any] = {"Type": "SubscriptionConfirmation", "Token": "ab12", "SubscribeURL": CONFIRM_URL}
    return notification("You have chosen to subscribe.", **(known | fields))


def test_a_subscription_is_confirmed() -> None:
    assert OWN.events(call(subscription(), documents=DOCUMENTS)) == Heard(follow=CONFIRM_URL)


def test_the_end_of_a_subscription_is_heard() -> None:
    ended = subscription(Type="UnsubscribeConfirmation")
    assert OWN.events(call(ended, documents=DOCUMENTS)) == Heard()


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=a",
        "https://sns.eu-west-1.amazonaws.com.evil.example/?Action=ConfirmSubscription&Token=a",
        "https://sns.eu-west-1.amazonaws.com@evil.example/?Action=ConfirmSubscription&Token=a",
        "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe&Token=a",
        "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=a\n",
        "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=a#b",
        "https://sqs.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=a",
        "https://127.0.0.1/?Action=ConfirmSubscription&Token=a",
        "",
    ],
)
def test_nothing_else_is_confirmed(url: str) -> None:
    with pytest.raises(BadEvent):
        AWS.events(call(subscription(SubscribeURL=url), documents=DOCUMENTS))


def test_the_certificate_is_asked_for() -> None:
    with pytest.raises(NeedsDocument) as needed:
        AWS.events(call(notification(REPLY)))
    assert needed.value.url == CERTIFICATE_URL


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/a.pem",
        "https://evil.example/sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com:444/a.pem",
        "https://sns.eu-west-1.amazonaws.com/../a.pem",
        "https://sns.eu-west-1.amazonaws.com/a.pem?x.pem",
        "https://sns.eu-west-1.amazonaws.com/a.pem\n",
        "https://bucket.s3.amazonaws.com/a.pem",
    ],
)
def test_a_certificate_from_elsewhere_is_not_asked_for(url: str) -> None:
    with pytest.raises(BadEvent):
        AWS.events(call(notification(REPLY, SigningCertURL=url)))


@pytest.mark.parametrize("name", ["MessageId", "Subject", "Timestamp", "TopicArn", "Type"])
def test_no_field_holds_the_lines_of_others(name: str) -> None:
    with pytest.raises(BadEvent, match="cannot be read"):
        AWS.events(call(notification(REPLY, **{name: "a\nType\nNotification"}), documents=DOCUMENTS))


SIGNED = notification(REPLY)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.mark.parametrize(
    "forged",
    [
        call({**SIGNED, "Message": json.dumps(REPLY | {"messageBody": "START"})}, documents=DOCUMENTS),
        call({**SIGNED, "MessageId": "n-2"}, documents=DOCUMENTS),
        call({**SIGNED, "Timestamp": "2031-01-01T00:00:00.000Z"}, documents=DOCUMENTS),
        call({**SIGNED, "Type": "Other"}, documents=DOCUMENTS),
        call({**SIGNED, "SignatureVersion": "1"}, documents=DOCUMENTS),
        call({**SIGNED, "SignatureVersion": "3"}, documents=DOCUMENTS),
        call({**SIGNED, "Signature": "no base64"}, documents=DOCUMENTS),
        call({**SIGNED, "Signature": ""}, documents=DOCUMENTS),
        call(SIGNED, documents={CERTIFICATE_URL: certificate(OTHER)}),
        call(SIGNED, documents={CERTIFICATE_URL: certificate(ec.generate_private_key(ec.SECP256R1()))}),
        call(SIGNED, documents={CERTIFICATE_URL: certificate(until=timedelta(hours=-1))}),
        call(SIGNED, documents={CERTIFICATE_URL: certificate(since=timedelta(hours=1))}),
        call(SIGNED, documents={CERTIFICATE_URL: b"no certificate"}),
        call(SIGNED, documents={CERTIFICATE_URL: b""}),
    ],
)
def test_what_sns_did_not_sign_is_not_believed(forged: Call) -> None:
    with pytest.raises(Untrusted):
        AWS.events(forged)


@pytest.mark.parametrize(
    "arn",
    ["arn:aws:sns:eu-west-1:999999999999:events", "arn:aws:sqs:eu-west-1:123456789012:events", "123456789012", ""],
)
def test_topics_of_others_are_not_believed(arn: str) -> None:
    with pytest.raises(Untrusted):
        OWN.events(call(notification(REPLY, TopicArn=arn), documents=DOCUMENTS))


@pytest.mark.parametrize("message", ["", "[]", "{}", '{"eventType": "TEXT_DELIVERED"}', '{"messageBody": "x"}', "\x00"])
def test_a_notification_that_says_nothing_is_refused(message: str) -> None:
    with pytest.raises(BadEvent):
        AWS.events(call(notification(message), documents=DOCUMENTS))


@given(json_of("eventType", "TEXT_DELIVERED", "messageId", "context", "messageBody", "originationNumber"))
def test_whatever_is_published_is_heard_or_a_bad_event(published: bytes) -> None:
    signed = notification(published.decode("latin-1"))
    try:
        heard = AWS.events(call(signed, documents=DOCUMENTS))
    except BadEvent:
        return
    assert all(isinstance(event, Receipt | Inbound) for event in heard.events)


@given(json_of(*SIGNED))
def test_whatever_comes_is_not_believed(body: bytes) -> None:
    with pytest.raises((BadEvent, NeedsDocument)):
        AWS.events(call(body))
