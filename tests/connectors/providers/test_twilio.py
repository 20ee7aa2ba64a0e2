"""Twilio's wire: what goes out, what answers and callbacks mean, what a question finds, and whose signature counts."""

import base64
from dataclasses import replace
from typing import Any, get_args
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from postdate.connectors.contract import CarrierEvent, Inbound, Receipt
from postdate.connectors.providers.contract import BadEvent, Call, Request, Untrusted
from postdate.connectors.providers.twilio import KIND, Settings, Twilio
from postdate.core.address import Channel
from postdate.core.instant import DAY, MILLISECOND, SECOND, Instant
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

ACCOUNT = "AC" + "a" * 32
TOKEN = "the token of the account"
THEIRS = "SM" + "b" * 32
MEDIA_SID = "MM" + "c" * 32
SERVICE = "MG" + "d" * 32
KEY = "SK" + "e" * 32
PLAIN = Settings(account_sid=ACCOUNT, auth_token=TOKEN)
PROVIDER = Twilio(PLAIN)
UNCHECKED = Twilio(Settings(account_sid=ACCOUNT, key_sid=KEY, key_secret="s3cret"))


def fields(request: Request | Any) -> list[tuple[str, str]]:
    """The form that a request posts."""
    assert isinstance(request, Request)
    assert request.body is not None
    return parse_qsl(request.body.decode("ascii"), keep_blank_values=True, strict_parsing=True)


def signed(form: dict[str, str], *, token: str = TOKEN, url: str = EVENTS_URL, **changes: Any) -> Call:
    """A call as Twilio signs it, by Twilio's own library."""
    signature = RequestValidator(token).compute_signature(url, form)
    return replace(call(urlencode(form).encode(), {"x-twilio-signature": signature}), **changes)


# --- what goes out ---------------------------------------------------------------------------------------------------


def test_a_message_is_posted_in_twilios_words() -> None:
    request = PROVIDER.request(submission(), context())
    assert isinstance(request, Request)
    assert (request.method, request.url) == (
        "POST",
        f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Messages.json",
    )
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert fields(request) == [
        ("To", RECIPIENT),
        ("From", SENDER),
        ("Body", 'Grüße "🙂"'),
        ("StatusCallback", EVENTS_URL),
        ("ValidityPeriod", "14400"),
    ]


WHATSAPP = {"channel": Channel.WHATSAPP, "sender": f"whatsapp:{SENDER}", "recipient": f"whatsapp:{RECIPIENT}"}
VARIANTS: list[tuple[str, dict[str, Any], tuple[str, str]]] = [
    ("alpha", {"sender": "Clinic"}, ("From", "Clinic")),
    ("short code", {"sender": "12345"}, ("From", "12345")),
    ("whatsapp", WHATSAPP, ("To", f"whatsapp:{RECIPIENT}")),
    ("nearly over", {"expires_at": Instant(NOW + 999 * MILLISECOND)}, ("ValidityPeriod", "1")),
    ("long", {"expires_at": Instant(NOW + 2 * DAY)}, ("ValidityPeriod", "36000")),
]


@pytest.mark.parametrize(("changes", "expected"), [v[1:] for v in VARIANTS], ids=[v[0] for v in VARIANTS])
def test_a_variant_goes_out_as(changes: dict[str, Any], expected: tuple[str, str]) -> None:
    assert expected in fields(PROVIDER.request(submission(**changes), context()))


def test_media_go_as_links_and_an_empty_body_is_left_out() -> None:
    form = fields(PROVIDER.request(submission(body="", attachments=(PICTURE,) * 10), context()))
    assert [value for name, value in form if name == "MediaUrl"] == [PICTURE.url] * 10
    assert "Body" not in dict(form)


def test_a_messaging_service_is_named_beside_the_sender() -> None:
    provider = Twilio(msgspec.structs.replace(PLAIN, messaging_service_sid=SERVICE))
    assert {("MessagingServiceSid", SERVICE), ("From", SENDER)} <= set(
        fields(provider.request(submission(), context()))
    )


@pytest.mark.parametrize(
    ("provider", "user"), [(PROVIDER, f"{ACCOUNT}:{TOKEN}"), (UNCHECKED, f"{KEY}:s3cret")], ids=["token", "key"]
)
def test_it_signs_in_with(provider: Twilio, user: str) -> None:
    request = provider.request(submission(), context())
    assert isinstance(request, Request)
    assert base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode() == user
    assert request.url.split("/")[-2] == ACCOUNT


@pytest.mark.parametrize(
    "given_settings",
    [
        {"account_sid": ACCOUNT},
        {"account_sid": ACCOUNT, "key_sid": KEY},
        {"account_sid": ACCOUNT, "auth_token": TOKEN, "key_secret": "x"},
        {"account_sid": "AC1", "auth_token": TOKEN},
        {"account_sid": ACCOUNT, "auth_token": TOKEN, "base_url": "ftp://api.twilio.com"},
        {"account_sid": ACCOUNT, "auth_token": TOKEN, "colour": "red"},
    ],
)
def test_settings_that_cannot_work_are_refused_without_a_secret_in_the_text(given_settings: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert(given_settings, Settings)
    assert TOKEN not in str(refused.value)


# --- what an answer means --------------------------------------------------------------------------------------------

LOCKED_OUT = Busy(60 * SECOND, "the carrier did not accept the credentials")
ANSWERS: list[tuple[int, object, dict[str, str], Outcome | type[Outcome]]] = [
    (201, {"sid": THEIRS, "status": "queued"}, {}, Accepted(THEIRS)),
    (201, {"sid": MEDIA_SID}, {}, Accepted(MEDIA_SID)),
    (200, {"sid": THEIRS}, {}, Accepted(THEIRS)),
    (201, {"sid": "CA" + "b" * 32}, {}, InDoubt),
    (201, {"sid": 7}, {}, InDoubt),
    (201, b"", {}, InDoubt),
    (201, b"<html>", {}, InDoubt),
    (302, {"sid": THEIRS}, {}, InDoubt),
    (400, {"code": 21211, "message": "x"}, {}, Refused(21211, "the carrier answered 400")),
    (400, {"code": 21610}, {}, Refused(21610, "the carrier answered 400")),
    (403, {"code": 21408}, {}, Refused(21408, "the carrier answered 403")),
    (400, {"code": 7}, {}, Refused(30008, "the carrier answered 400")),
    (400, {"code": "21211"}, {}, InDoubt),
    (400, b"<html>", {}, InDoubt),
    (404, b"", {}, Busy),
    (402, b"", {}, Busy),
    (408, {"code": 21211}, {}, InDoubt),
    (409, {"code": 20409}, {}, InDoubt),
    (401, {"code": 20003}, {}, LOCKED_OUT),
    (401, b"", {}, LOCKED_OUT),
    (403, b"", {}, LOCKED_OUT),
    (403, {"code": 20003}, {}, LOCKED_OUT),
    (404, {"code": 20404}, {}, LOCKED_OUT),
    (400, {"code": 21609}, {}, Busy),
    (404, {"code": 21701}, {}, Busy),
    (403, {"code": 90010}, {}, LOCKED_OUT),
    (429, {"code": 20429}, {"retry-after": "3"}, Busy(3 * SECOND, "the carrier answered 429")),
    (429, b"", {}, Busy(None, "the carrier answered 429")),
    (400, {"code": 21611}, {}, Busy(None, "the carrier answered 400")),
    (503, {"code": 21702}, {}, Busy(None, "the carrier answered 503")),
    (500, {"code": 20500}, {}, InDoubt),
    (503, b"", {}, InDoubt),
    (502, b"<html>", {}, InDoubt),
]


@pytest.mark.parametrize(("status", "body", "headers", "expected"), ANSWERS)
def test_an_answer_means(status: int, body: object, headers: dict[str, str], expected: Outcome | type[Outcome]) -> None:
    outcome = PROVIDER.outcome(submission(), answer(status, body, headers))
    assert outcome == expected if not isinstance(expected, type) else type(outcome) is expected


@given(st.integers(100, 999), json_of("sid", "code", "messages", THEIRS))
def test_every_answer_means_one_thing_and_only_2xx_is_a_yes(status: int, body: bytes) -> None:
    outcome = PROVIDER.outcome(submission(), answer(status, body))
    assert type(outcome) in get_args(Outcome)
    assert isinstance(outcome, Accepted) <= (200 <= status <= 299)
    assert isinstance(outcome, Refused) <= (400 <= status <= 499)
    assert isinstance(PROVIDER.verdict(submission(), answer(status, body)), Accepted | InDoubt)


# --- what a callback means -------------------------------------------------------------------------------------------

STATUS = {"MessageSid": THEIRS, "SmsSid": THEIRS, "AccountSid": ACCOUNT, "From": SENDER, "To": RECIPIENT}
TEXT = {
    "MessageSid": THEIRS,
    "From": RECIPIENT,
    "To": SENDER,
    "Body": "Yes 🙂",
    "NumMedia": "0",
    "SmsStatus": "received",
}
PICTURES = {"NumMedia": "2", "MediaUrl0": "https://api.twilio.com/a", "MediaUrl1": "https://api.twilio.com/b"}
CALLS: list[tuple[dict[str, str], str | None, list[CarrierEvent]]] = [
    (STATUS | {"MessageStatus": "delivered"}, SID, [Receipt(THEIRS, Event.DELIVER, None, SID)]),
    (STATUS | {"MessageStatus": "delivered", "ErrorCode": "30005"}, None, [Receipt(THEIRS, Event.DELIVER)]),
    (STATUS | {"MessageStatus": "read"}, SID, [Receipt(THEIRS, Event.READ, None, SID)]),
    (
        STATUS | {"MessageStatus": "undelivered", "ErrorCode": "30003"},
        SID,
        [Receipt(THEIRS, Event.UNDELIVER, 30003, SID)],
    ),
    (STATUS | {"MessageStatus": "failed", "ErrorCode": "21610"}, SID, [Receipt(THEIRS, Event.UNDELIVER, 21610, SID)]),
    (STATUS | {"MessageStatus": "failed"}, SID, [Receipt(THEIRS, Event.UNDELIVER, 30008, SID)]),
    (
        STATUS | {"MessageStatus": "failed", "ErrorCode": "1" * 5_000},
        SID,
        [Receipt(THEIRS, Event.UNDELIVER, 30008, SID)],
    ),
    (STATUS | {"MessageStatus": "failed", "ErrorCode": "٣٠٠٠٣"}, SID, [Receipt(THEIRS, Event.UNDELIVER, 30008, SID)]),
    (STATUS | {"MessageStatus": "queued"}, SID, []),
    (STATUS | {"MessageStatus": "sent"}, SID, []),
    (STATUS | {"MessageStatus": "of a later year"}, SID, []),
    (STATUS | {"MessageStatus": "delivered"}, "not a sid", [Receipt(THEIRS, Event.DELIVER)]),
    (TEXT, None, [Inbound(RECIPIENT, SENDER, "Yes 🙂", carrier_ref=THEIRS)]),
    (TEXT | {"Body": ""}, None, [Inbound(RECIPIENT, SENDER, "", carrier_ref=THEIRS)]),
    (
        TEXT | PICTURES,
        None,
        [Inbound(RECIPIENT, SENDER, "Yes 🙂", (), (PICTURES["MediaUrl0"], PICTURES["MediaUrl1"]), THEIRS)],
    ),
    (
        TEXT | {"From": f"whatsapp:{RECIPIENT}", "To": f"whatsapp:{SENDER}"},
        None,
        [Inbound(f"whatsapp:{RECIPIENT}", f"whatsapp:{SENDER}", "Yes 🙂", carrier_ref=THEIRS)],
    ),
]


@pytest.mark.parametrize(("form", "sid", "expected"), CALLS)
def test_a_call_means(form: dict[str, str], sid: str | None, expected: list[CarrierEvent]) -> None:
    assert list(PROVIDER.events(signed(form, sid=sid)).events) == expected


@pytest.mark.parametrize(
    "form",
    [
        {"MessageStatus": "delivered"},
        {"MessageSid": "", "MessageStatus": "delivered"},
        {"MessageSid": "x" * 256, "MessageStatus": "delivered"},
        {"MessageSid": "a\nb", "MessageStatus": "delivered"},
        {"MessageSid": THEIRS},
        {"MessageSid": THEIRS, "From": RECIPIENT, "Body": "to nobody"},
        {"MessageSid": THEIRS, "From": RECIPIENT, "To": SENDER, "Body": "a\0b"},
    ],
)
def test_a_call_that_says_nothing_is_refused_without_a_word_of_it(form: dict[str, str]) -> None:
    with pytest.raises(BadEvent) as refused:
        PROVIDER.events(signed(form))
    assert not [value for value in form.values() if len(value) > 3 and value in str(refused.value)]


# --- whose signature counts ------------------------------------------------------------------------------------------

DELIVERED = STATUS | {"MessageStatus": "delivered"}
WITH_PORT = EVENTS_URL.replace("node.example", "node.example:443")


@pytest.mark.parametrize("url", [EVENTS_URL, WITH_PORT])
@pytest.mark.parametrize("given_out", [EVENTS_URL, WITH_PORT])
def test_twilios_library_and_ours_agree_with_a_port_and_without(url: str, given_out: str) -> None:
    made = signed(DELIVERED, url=url)
    assert PROVIDER.events(replace(made, url=given_out)).events
    assert RequestValidator(TOKEN).validate(given_out, DELIVERED, made.headers["x-twilio-signature"])


@pytest.mark.parametrize(
    "changed",
    [
        signed(DELIVERED, token="another"),
        signed(DELIVERED, url=EVENTS_URL + "&more=1"),
        replace(signed(DELIVERED), body=urlencode(DELIVERED | {"MessageStatus": "failed"}).encode()),
        replace(signed(DELIVERED), body=urlencode(DELIVERED | {"More": ""}).encode()),
        replace(signed(DELIVERED), headers={}),
        replace(signed(DELIVERED), headers={"x-twilio-signature": "ü"}),
    ],
    ids=["token", "url", "value", "field", "none", "not ascii"],
)
def test_what_is_not_signed_so_is_not_believed(changed: Call) -> None:
    with pytest.raises(Untrusted) as refused:
        PROVIDER.events(changed)
    assert TOKEN not in str(refused.value)
    form = dict(parse_qsl(changed.body.decode(), keep_blank_values=True))
    assert not RequestValidator(TOKEN).validate(changed.url, form, changed.headers.get("x-twilio-signature", ""))


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=5))
def test_any_form_that_twilios_library_signs_is_taken_for_twilios(form: dict[str, str]) -> None:
    try:
        PROVIDER.events(signed(form))
    except Untrusted:
        pytest.fail("its signature was not believed")
    except BadEvent:
        pass


@given(st.binary() | json_of("MessageSid").map(lambda raw: b"MessageSid=" + raw))
def test_whatever_comes_is_read_or_refused(body: bytes) -> None:
    for provider in (PROVIDER, UNCHECKED):
        try:
            provider.events(call(body, sid=SID))
        except BadEvent:
            continue


# --- what a question finds -------------------------------------------------------------------------------------------

OURS = {
    "sid": THEIRS,
    "to": RECIPIENT,
    "from": SENDER,
    "body": submission().body,
    "direction": "outbound-api",
    "num_media": "0",
    "date_created": "Tue, 01 Jan 2030 12:00:00 +0000",
}


def test_the_question_is_the_list_of_the_day_between_the_two() -> None:
    request = PROVIDER.question(submission(), context())
    url = urlsplit(request.url)
    assert (request.method, request.body, url.path) == ("GET", None, f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json")
    assert dict(parse_qsl(url.query)) == {
        "To": RECIPIENT,
        "From": SENDER,
        "DateSent>": "2030-01-01",
        "PageSize": "50",
    }


VERDICTS: list[tuple[str, int, object, bool]] = [
    ("it", 200, {"messages": [OURS]}, True),
    ("it among others", 200, {"messages": [OURS | {"body": "another"}, OURS], "next_page_uri": None}, True),
    ("two alike", 200, {"messages": [OURS, OURS | {"sid": MEDIA_SID}]}, False),
    ("none", 200, {"messages": []}, False),
    ("more pages", 200, {"messages": [OURS], "next_page_uri": "/2010-04-01/more"}, False),
    ("another text", 200, {"messages": [OURS | {"body": "Hi"}]}, False),
    ("another recipient", 200, {"messages": [OURS | {"to": SENDER}]}, False),
    ("another sender", 200, {"messages": [OURS | {"from": "12345"}]}, False),
    ("from before", 200, {"messages": [OURS | {"date_created": "Tue, 01 Jan 2030 11:59:59 +0000"}]}, False),
    ("without a date", 200, {"messages": [OURS | {"date_created": None}]}, False),
    ("with media", 200, {"messages": [OURS | {"num_media": "1"}]}, False),
    ("inbound", 200, {"messages": [OURS | {"direction": "inbound"}]}, False),
    ("no sid", 200, {"messages": [OURS | {"sid": "x"}]}, False),
    ("locked out", 401, {"messages": [OURS]}, False),
    ("no list", 200, b"<html>", False),
]


@pytest.mark.parametrize(("status", "body", "found"), [v[1:] for v in VERDICTS], ids=[v[0] for v in VERDICTS])
def test_a_verdict_is_certain_for_exactly_one_message_alike(status: int, body: object, found: bool) -> None:
    verdict = PROVIDER.verdict(submission(), answer(status, body))
    assert verdict == Accepted(THEIRS) if found else type(verdict) is InDoubt


def test_no_secret_is_shown() -> None:
    assert TOKEN not in repr(PLAIN)
    assert TOKEN not in repr(PROVIDER.request(submission(), context()))
    assert KIND.settings is Settings
