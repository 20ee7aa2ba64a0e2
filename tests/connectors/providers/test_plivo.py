"""Plivo's wire: what goes out, what answers and callbacks mean, and whose signature counts."""

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args
from urllib.parse import parse_qs, urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plivo.utils import validate_signature  # type: ignore[import-untyped]
from plivo.utils.signature_v3 import (  # type: ignore[import-untyped]
    construct_post_url,
    get_signature_v3,
    validate_v3_signature,
)

from postdate.connectors.contract import CarrierEvent, Inbound, Receipt
from postdate.connectors.providers.contract import BadEvent, Call, Request, Untrusted
from postdate.connectors.providers.plivo import Plivo, Settings
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

ID = "MA" + "B" * 18
TOKEN = "the token of the account"
MAIN = "the token of the main account"
NONCE = "05429567804466091622"
PLAIN = Settings(auth_id=ID, auth_token=TOKEN)
PROVIDER = Plivo(PLAIN)
THEIRS = "db3ce55a-7f1d-11e1-8ea7-1231380bc196"
WHATSAPP = {"channel": Channel.WHATSAPP, "sender": f"whatsapp:{SENDER}", "recipient": f"whatsapp:{RECIPIENT}"}


def content(request: Request | Any) -> Any:
    """The JSON that a request posts."""
    assert isinstance(request, Request)
    assert request.body is not None
    return json.loads(request.body)


def v2(
    form: Mapping[str, str], *, token: str = TOKEN, url: str = EVENTS_URL, name: str = "x-plivo-signature-v2"
) -> Call:
    """A call as Plivo signs it by its second way, which its library checks but cannot make."""
    signature = hmac.digest(token.encode(), (url.partition("?")[0] + NONCE).encode(), "sha256")
    headers = {name: base64.b64encode(signature).decode(), "x-plivo-signature-v2-nonce": NONCE}
    return call(urlencode(form).encode(), headers)


def v3(form: Mapping[str, str], *, token: str = TOKEN, url: str = EVENTS_URL) -> Call:
    """A call as Plivo signs it by its third way, with its own library."""
    signature = get_signature_v3(token.encode(), construct_post_url(url, dict(form)).decode(), NONCE).decode()
    headers = {"x-plivo-signature-v3": f"of another token,{signature}", "x-plivo-signature-v3-nonce": NONCE}
    return call(urlencode(form).encode(), headers)


# --- what goes out ---------------------------------------------------------------------------------------------------


def test_a_message_is_posted_in_plivos_words() -> None:
    request = PROVIDER.request(submission(), context())
    assert isinstance(request, Request)
    assert (request.method, request.url) == ("POST", f"https://api.plivo.com/v1/Account/{ID}/Message/")
    assert base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode() == f"{ID}:{TOKEN}"
    assert content(request) == {
        "src": SENDER[1:],
        "dst": RECIPIENT[1:],
        "type": "sms",
        "url": EVENTS_URL,
        "method": "POST",
        "message_expiry": 10_800,
        "text": 'Grüße "🙂"',
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sender": "Clinic"}, {"src": "Clinic"}),
        ({"sender": "12345"}, {"src": "12345"}),
        ({"expires_at": NOW}, {"message_expiry": 5}),
        ({"expires_at": Instant(NOW + 61 * SECOND)}, {"message_expiry": 61}),
        ({"expires_at": Instant(NOW + DAY)}, {"message_expiry": 10_800}),
        ({"attachments": (PICTURE, PICTURE)}, {"type": "mms", "media_urls": [PICTURE.url, PICTURE.url]}),
        (WHATSAPP, {"type": "whatsapp", "src": SENDER[1:], "dst": RECIPIENT[1:]}),
        (WHATSAPP | {"attachments": (PICTURE,)}, {"type": "whatsapp", "media_urls": [PICTURE.url]}),
    ],
)
def test_a_variant_goes_out_as(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    assert content(PROVIDER.request(submission(**changes), context())).items() >= expected.items()


def test_media_need_no_text() -> None:
    assert "text" not in content(PROVIDER.request(submission(body="", attachments=(PICTURE,)), context()))


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


@pytest.mark.parametrize("auth_id", ["", "MA/../x", "ma" + "b" * 18, ID + "B"])
def test_an_auth_id_that_is_none_is_refused(auth_id: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"auth_id": auth_id, "auth_token": TOKEN}, Settings)


# --- what an answer means --------------------------------------------------------------------------------------------

LOCKED_OUT = Busy(60 * SECOND, "the carrier did not accept the credentials")
REFUSAL = {"api_id": "1", "error": "a word of theirs"}
ANSWERS: list[tuple[int, object, Mapping[str, str], Outcome | type[Outcome]]] = [
    (202, {"message": "message(s) queued", "message_uuid": [THEIRS], "api_id": "1"}, {}, Accepted(THEIRS)),
    (200, {"message_uuid": [THEIRS]}, {}, Accepted(THEIRS)),
    (202, {"message_uuid": []}, {}, InDoubt),
    (202, {"message_uuid": [THEIRS, THEIRS]}, {}, InDoubt),
    (202, {"message_uuid": THEIRS}, {}, InDoubt),
    (202, b"", {}, InDoubt),
    (302, {"message_uuid": [THEIRS]}, {}, InDoubt),
    (400, REFUSAL, {}, Refused(30008, "the carrier answered 400")),
    (400, {"error": {"error": "x"}}, {}, Refused(30008, "the carrier answered 400")),
    (422, REFUSAL, {}, Refused(30008, "the carrier answered 422")),
    (403, REFUSAL, {}, Refused(21408, "the carrier answered 403")),
    (403, b"<html>", {}, LOCKED_OUT),
    (400, b"<html>", {}, InDoubt),
    (409, REFUSAL, {}, InDoubt),
    (401, b"", {}, LOCKED_OUT),
    (402, REFUSAL, {}, Busy),
    (404, REFUSAL, {}, Busy),
    (405, b"", {}, Busy),
    (429, REFUSAL, {"retry-after": "2"}, Busy(2 * SECOND, "the carrier answered 429")),
    (429, b"", {}, Busy(None, "the carrier answered 429")),
    (500, REFUSAL, {}, InDoubt),
    (503, b"", {}, InDoubt),
]


@pytest.mark.parametrize(("status", "body", "headers", "expected"), ANSWERS)
def test_an_answer_means(
    status: int, body: object, headers: Mapping[str, str], expected: Outcome | type[Outcome]
) -> None:
    outcome = PROVIDER.outcome(submission(), answer(status, body, headers))
    assert outcome == expected if not isinstance(expected, type) else type(outcome) is expected


@given(st.integers(100, 999), json_of("message_uuid", "error"))
def test_every_answer_means_one_thing_and_only_2xx_is_a_yes(status: int, body: bytes) -> None:
    outcome = PROVIDER.outcome(submission(), answer(status, body))
    assert type(outcome) in get_args(Outcome)
    assert isinstance(outcome, Accepted) <= (200 <= status <= 299)
    assert isinstance(outcome, Refused) <= (400 <= status <= 499)


# --- what a callback means -------------------------------------------------------------------------------------------

STATUS = {"MessageUUID": THEIRS, "From": SENDER[1:], "To": RECIPIENT[1:], "Type": "sms", "Units": "1"}
TEXT = {"MessageUUID": THEIRS, "From": RECIPIENT[1:], "To": SENDER[1:], "Type": "sms", "Text": "Yes 🙂"}
MEDIA = {
    "Type": "mms",
    "Body": "Here",
    "MediaCount": "2",
    "Media1": "https://m.example/1",
    "Media2": "https://m.example/2",
}


def failed(code: str, status: str = "undelivered") -> dict[str, str]:
    """The callback of a message that failed."""
    return STATUS | {"Status": status, "ErrorCode": code}


CALLS: list[tuple[dict[str, str], str | None, list[CarrierEvent]]] = [
    (STATUS | {"Status": "delivered", "ErrorCode": "000"}, SID, [Receipt(THEIRS, Event.DELIVER, None, SID)]),
    (STATUS | {"Status": "delivered"}, None, [Receipt(THEIRS, Event.DELIVER)]),
    (STATUS | {"Status": "read"}, SID, [Receipt(THEIRS, Event.READ, None, SID)]),
    (failed("30"), SID, [Receipt(THEIRS, Event.UNDELIVER, 30007, SID)]),
    (failed("080"), SID, [Receipt(THEIRS, Event.UNDELIVER, 30003, SID)]),
    (failed("200", "failed"), SID, [Receipt(THEIRS, Event.UNDELIVER, 21610, SID)]),
    (failed("450", "rejected"), SID, [Receipt(THEIRS, Event.UNDELIVER, 21408, SID)]),
    (failed("1000"), SID, [Receipt(THEIRS, Event.UNDELIVER, 30008, SID)]),
    (failed("0" * 9999), SID, [Receipt(THEIRS, Event.UNDELIVER, 30008, SID)]),
    (STATUS | {"Status": "queued"}, SID, []),
    (STATUS | {"Status": "sent"}, SID, []),
    (STATUS | {"Status": "of a later year"}, SID, []),
    (TEXT, None, [Inbound(RECIPIENT, SENDER, "Yes 🙂", carrier_ref=THEIRS)]),
    (TEXT | {"To": "12345"}, None, [Inbound(RECIPIENT, "12345", "Yes 🙂", carrier_ref=THEIRS)]),
    (
        {name: value for name, value in TEXT.items() if name != "Text"} | MEDIA,
        None,
        [Inbound(RECIPIENT, SENDER, "Here", (), (MEDIA["Media1"], MEDIA["Media2"]), THEIRS)],
    ),
    (
        {name: value for name, value in TEXT.items() if name != "Text"} | {"Type": "whatsapp", "Body": "Yes"},
        None,
        [Inbound(f"whatsapp:{RECIPIENT}", f"whatsapp:{SENDER}", "Yes", carrier_ref=THEIRS)],
    ),
]


@pytest.mark.parametrize(("form", "sid", "expected"), CALLS)
def test_a_call_means(form: dict[str, str], sid: str | None, expected: list[CarrierEvent]) -> None:
    assert list(PROVIDER.events(replace(v2(form), sid=sid)).events) == expected
    assert list(PROVIDER.events(replace(v3(form), sid=sid)).events) == expected


@pytest.mark.parametrize(
    "form",
    [
        {"Status": "delivered"},
        {"MessageUUID": "", "Status": "delivered"},
        {"MessageUUID": THEIRS},
        {"MessageUUID": THEIRS, "From": RECIPIENT, "Text": "to nobody"},
        {"MessageUUID": THEIRS, "From": RECIPIENT, "To": SENDER, "Text": "hidden\0"},
    ],
)
def test_a_call_that_says_nothing_is_refused_without_a_word_of_it(form: dict[str, str]) -> None:
    with pytest.raises(BadEvent) as refused:
        PROVIDER.events(v2(form))
    assert not [value for value in form.values() if len(value) > 3 and value in str(refused.value)]


# --- whose signature counts ------------------------------------------------------------------------------------------

DELIVERED = STATUS | {"Status": "delivered"}


def theirs_says(made: Call, token: str = TOKEN) -> bool:
    """What Plivo's own library says of a call's signature."""
    headers = made.headers
    if "x-plivo-signature-v3" in headers:
        form = {name: values[0] for name, values in parse_qs(made.body.decode(), keep_blank_values=True).items()}
        given_nonce, given_v3 = headers["x-plivo-signature-v3-nonce"], headers["x-plivo-signature-v3"]
        return bool(validate_v3_signature("POST", made.url, given_nonce, token, given_v3, form))
    given_v2 = headers.get("x-plivo-signature-v2", headers.get("x-plivo-signature-ma-v2", ""))
    return bool(validate_signature(made.url, NONCE, given_v2, token))


@pytest.mark.parametrize("url", [EVENTS_URL, "https://node.example/events", "http://127.0.0.1:8080/e?b=2&a=1&a=0&c="])
@pytest.mark.parametrize("sign", [v2, v3])
def test_plivos_library_and_ours_agree(url: str, sign: Any) -> None:
    made = replace(sign(DELIVERED, url=url), url=url)
    assert theirs_says(made)
    assert PROVIDER.events(made).events
    for token in ("another", ""):
        other = replace(sign(DELIVERED, url=url, token=token), url=url)
        assert not theirs_says(other)
        with pytest.raises(Untrusted):
            PROVIDER.events(other)


@given(st.dictionaries(st.text(min_size=1, max_size=6), st.text(max_size=6), max_size=4))
def test_any_form_that_plivos_library_signs_is_taken_for_plivos(form: dict[str, str]) -> None:
    try:
        PROVIDER.events(v3(form))
    except Untrusted:
        pytest.fail("its signature was not believed")
    except BadEvent:
        pass


def test_the_main_accounts_signature_counts_where_its_token_is_set() -> None:
    made = v2(DELIVERED, token=MAIN, name="x-plivo-signature-ma-v2")
    assert theirs_says(made, MAIN)
    assert Plivo(msgspec.structs.replace(PLAIN, main_token=MAIN)).events(made).events
    with pytest.raises(Untrusted):
        PROVIDER.events(made)


@pytest.mark.parametrize(
    "made",
    [
        replace(v3(DELIVERED), body=urlencode(DELIVERED | {"Status": "failed"}).encode()),
        replace(v3(DELIVERED), url=EVENTS_URL + "&more=1"),
        replace(v2(DELIVERED), url="https://node.example/elsewhere"),
        replace(v2(DELIVERED), headers={**v2(DELIVERED).headers, "x-plivo-signature-v3": "wrong"}),
        replace(v2(DELIVERED), headers={**v2(DELIVERED).headers, "x-plivo-signature-v2": "ü"}),
        replace(v2(DELIVERED), headers={}),
    ],
    ids=["body", "query", "path", "the stronger one is wrong", "not ascii", "none"],
)
def test_what_is_not_signed_so_is_not_believed(made: Call) -> None:
    with pytest.raises(Untrusted) as refused:
        PROVIDER.events(made)
    assert TOKEN not in str(refused.value)


@given(st.binary() | json_of("MessageUUID").map(lambda raw: b"MessageUUID=" + raw))
def test_whatever_comes_is_read_or_refused(body: bytes) -> None:
    for made in (call(body), replace(v2({}), body=body)):
        try:
            PROVIDER.events(made)
        except BadEvent:
            continue


def test_no_secret_is_shown() -> None:
    assert TOKEN not in repr(PLAIN)
    assert TOKEN not in repr(PROVIDER.request(submission(), context()))
