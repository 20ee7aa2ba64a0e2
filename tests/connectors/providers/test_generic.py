"""The carrier that settings describe: the examples of the manual, each setting by itself, and what cannot work."""

import base64
import hashlib
import hmac
import json
from typing import Any, get_args
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.connectors.contract import CarrierEvent, Inbound, Receipt
from postdate.connectors.providers.contract import BadEvent, Call, HttpSettings, Request, Untrusted
from postdate.connectors.providers.generic import KIND, Generic
from postdate.connectors.providers.generic_settings import VALUES, GenericSettings
from postdate.connectors.providers.reading import MOST_EVENTS
from postdate.connectors.providers.template import CHANGES, WAYS
from postdate.core.address import Channel
from postdate.core.instant import HOUR, SECOND, Instant
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
from tests.docs.pages import blocks, manual, rows

PAGE = manual("generic-provider")
KANNEL, ELKS, LOX24 = (json.loads(block) for block in blocks(PAGE, "json"))
PLAIN = {"url": "https://gateway.example/send?to={to}&text={body}"}
SECRET = "hush-hush"


def settings(**changes: Any) -> GenericSettings:
    return msgspec.convert(PLAIN | changes, GenericSettings)


def carrier(**changes: Any) -> Generic:
    return Generic(settings(**changes))


def sent(described: dict[str, Any], **changes: Any) -> Request:
    request = Generic(msgspec.convert(described, GenericSettings)).request(submission(**changes), context())
    assert isinstance(request, Request)
    assert SECRET not in repr(request)
    return request


# --- the examples of the manual --------------------------------------------------------------------------------------


def test_kannel_is_asked_as_it_wants() -> None:
    request = sent(KANNEL)
    assert (request.method, request.headers, request.body) == ("GET", {}, None)
    url = urlsplit(request.url)
    assert url.netloc + url.path == "127.0.0.1:13013/cgi-bin/sendsms"
    assert dict(parse_qsl(url.query, strict_parsing=True)) == {
        "username": "postdate",
        "password": "hush",
        "from": SENDER,
        "to": RECIPIENT,
        "text": 'Grüße "🙂"',
        "charset": "UTF-8",
        "coding": "2",
        "validity": "240",
        "dlr-mask": "19",
        "dlr-url": f"{EVENTS_URL}&status=%d",
    }
    assert "coding=0" in sent(KANNEL, body="Hello").url


KANNEL_ANSWERS: list[tuple[int, bytes, Outcome]] = [
    (202, b"0: Accepted for delivery", Accepted(SID)),
    (202, b"3: Queued for later delivery", Accepted(SID)),
    (202, b"?", InDoubt("the carrier answered 202 without what tells that it took the message")),
    (400, b"Missing receiver number, rejected", Refused(30008, "the carrier answered 400")),
    (403, b"Authorization failed for sendsms", Busy(60 * SECOND, "the carrier did not accept the credentials")),
    (503, b"Temporal failure, try again later.", Busy(None, "the carrier answered 503")),
    (500, b"", InDoubt("the carrier answered 500, which does not say whether it took the message")),
]


@pytest.mark.parametrize(("status", "body", "expected"), KANNEL_ANSWERS)
def test_kannels_answers_mean(status: int, body: bytes, expected: Outcome) -> None:
    kannel = Generic(msgspec.convert(KANNEL, GenericSettings))
    assert kannel.outcome(submission(), answer(status, body)) == expected


def test_kannels_receipts_come_to_the_messages_own_url() -> None:
    kannel = Generic(msgspec.convert(KANNEL, GenericSettings))
    ours = tuple(parse_qsl(urlsplit(EVENTS_URL).query))
    for status, events in (
        ("1", [Receipt(SID, Event.DELIVER, None, SID)]),
        ("2", [Receipt(SID, Event.UNDELIVER, 30008, SID)]),
        ("16", [Receipt(SID, Event.UNDELIVER, 30008, SID)]),
        ("8", []),
    ):
        heard = kannel.events(call(method="GET", query=(*ours, ("status", status)), sid=SID))
        assert (heard.status, heard.events) == (204, events)
    inbound = (("id", "k-1"), ("from", "+1555"), ("to", "12345"), ("body", "STOP"))
    assert kannel.events(call(method="GET", query=inbound)).events == [
        Inbound("+1555", "12345", "STOP", carrier_ref="k-1")
    ]


def test_46elks_is_sent_a_form_and_reports_in_forms() -> None:
    request = sent(ELKS)
    assert (request.method, request.url) == ("POST", "https://api.46elks.com/a1/sms")
    assert request.headers == {
        "Content-Type": "application/x-www-form-urlencoded",
        "Authorization": "Basic " + base64.b64encode(b"u0123456789:hush").decode(),
    }
    form = parse_qs((request.body or b"").decode(), strict_parsing=True)
    assert form == {"from": [SENDER], "to": [RECIPIENT], "message": ['Grüße "🙂"'], "whendelivered": [EVENTS_URL]}
    elks = Generic(msgspec.convert(ELKS, GenericSettings))
    told = {"id": "s3633fa8e62f823e52fbc67ebf6925ab5", "direction": "outgoing", "status": "created"}
    assert elks.outcome(submission(), answer(200, told)) == Accepted(told["id"])
    assert isinstance(elks.outcome(submission(), answer(200, {"status": "created"})), InDoubt)

    def events(**fields: str) -> list[CarrierEvent]:
        return list(elks.events(call(urlencode(fields).encode(), sid=SID)).events)

    assert events(id="s1", status="delivered", delivered="2030-01-01T12:00:05") == [
        Receipt("s1", Event.DELIVER, None, SID)
    ]
    assert events(id="s1", status="failed") == [Receipt("s1", Event.UNDELIVER, 30008, SID)]
    assert events(id="s1", status="sent") == []
    inbound = {"direction": "incoming", "id": "s2", "from": "+46706861004", "to": "+46706860000", "message": "Hej å"}
    assert events(**inbound) == [Inbound("+46706861004", "+46706860000", "Hej å", carrier_ref="s2")]


def test_lox24_is_sent_json_and_reports_in_json() -> None:
    request = sent(LOX24)
    assert request.headers == {"Content-Type": "application/json", "X-LOX24-AUTH-TOKEN": "1234567:hush"}
    assert json.loads(request.body or b"") == {
        "sender_id": SENDER,
        "phone": RECIPIENT,
        "text": 'Grüße "🙂"',
        "service_code": "direct",
        "is_unicode": True,
        "callback_data": SID,
    }
    lox24 = Generic(msgspec.convert(LOX24, GenericSettings))
    assert lox24.outcome(submission(), answer(201, {"uuid": "d6c12ac4"})) == Accepted("d6c12ac4")

    def events(code: int, reference: str = SID) -> list[CarrierEvent]:
        data = {"id": "d6c12ac4", "key_id": 8207, "dlr_code": code, "status_code": 100, "callback_data": reference}
        return list(lox24.events(call({"id": "a3cd", "name": "sms.delivery", "data": data})).events)

    assert events(1) == [Receipt("d6c12ac4", Event.DELIVER, None, SID)]
    assert events(8) == [Receipt("d6c12ac4", Event.UNDELIVER, 30008, SID)]
    assert events(2) == []
    assert events(1, "of somebody else") == [Receipt("d6c12ac4", Event.DELIVER, None, None)]


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_has_every_value_filter_and_setting() -> None:
    table = rows(PAGE)
    values = [(f"`{{{name}}}`", what) for name, what in VALUES.items()]
    assert [row for row in table if row[0].startswith("`{")] == values
    shared = {one.name for one in msgspec.structs.fields(HttpSettings)}
    described = msgspec.json.schema(GenericSettings)["$defs"]["GenericSettings"]["properties"]
    expected = []
    for one in msgspec.structs.fields(GenericSettings):
        if one.name in shared:
            continue
        shape = described[one.name]
        what = next(part["description"] for part in [shape, *shape.get("anyOf", ())] if "description" in part)
        default = one.default if one.default is not msgspec.NODEFAULT else None
        default = one.default_factory() if one.default_factory is not msgspec.NODEFAULT else default
        told = "" if default is None else f"`{json.dumps(default, separators=(',', ':'))}`"
        expected.append((f"`{one.name}`", told, what))
    assert [row for row in table if len(row) == 3 and row[0] != "setting" and "---" not in row[0]] == expected
    named = {name.strip("`") for row in table if len(row) == 2 for name in row[0].split(", ")}
    assert {*CHANGES, *WAYS} <= named


# --- what is sent ----------------------------------------------------------------------------------------------------


def test_every_value_can_be_sent() -> None:
    described = settings(
        url="https://gateway.example/{sid}",
        body="\n".join(f"{name}={{{name}}}" for name in VALUES if name != "sid"),
        body_type="raw",
        user="me",
        password="hush",
        token="t",
    )
    request = Generic(described).request(submission(attachments=(PICTURE, PICTURE)), context())
    assert isinstance(request, Request)
    assert request.url == f"https://gateway.example/{SID}"
    assert request.headers == {"Content-Type": "text/plain; charset=utf-8"}
    assert (request.body or b"").decode().split("\n") == [
        f"to={RECIPIENT}",
        f"from={SENDER}",
        'body=Grüße "🙂"',
        PICTURE.url,  # the second has no place but behind the text
        f"media_url={PICTURE.url}",
        f"events_url={EVENTS_URL}",
        "expires_at=2030-01-01T16:00:00Z",
        "expires_in=14400",
        "expires_in_minutes=240",
        "segments=1",
        "coding=2",
        "unicode=true",
        "user=me",
        "password=hush",
        "token=t",
        "basic=" + base64.b64encode(b"me:hush").decode(),
    ]


def test_media_without_a_place_are_links_behind_the_text() -> None:
    request = sent(PLAIN, body="Look:", attachments=(PICTURE,))
    assert parse_qs(urlsplit(request.url).query)["text"] == [f"Look:\n{PICTURE.url}"]
    request = sent(PLAIN, body="", attachments=(PICTURE,))
    assert parse_qs(urlsplit(request.url).query)["text"] == [PICTURE.url]


@pytest.mark.parametrize(("left", "expected"), [(-HOUR, "1 1"), (0, "1 1"), (90 * SECOND, "90 1"), (HOUR, "3600 60")])
def test_what_is_left_is_never_less_than_one(left: int, expected: str) -> None:
    described = PLAIN | {"body": "{expires_in} {expires_in_minutes}", "body_type": "raw"}
    request = sent(described, expires_at=Instant(NOW + left))
    assert request.body == expected.encode()


def test_a_type_of_the_operators_own_is_kept() -> None:
    described = {"body": "{}", "body_type": "json", "headers": {"content-type": "application/vnd.x+json"}}
    assert sent(PLAIN | described).headers == {"content-type": "application/vnd.x+json"}


def test_half_a_character_cannot_be_sent() -> None:
    for described in (carrier(), carrier(url="https://gateway.example/{to}", body="{body}", body_type="json")):
        with pytest.raises(UnicodeEncodeError):
            described.request(submission(body="half of \ud83d"), context())


@pytest.mark.parametrize("text", [".", ".."])
@pytest.mark.parametrize("path", ["/a/{body}/{to}", "/{to}/{body}", "/a/../{to}/{body}?x=1"])
def test_no_text_names_another_place_than_its_own_in_a_path(path: str, text: str) -> None:
    described = carrier(url=f"https://gateway.example{path}")
    refused = described.request(submission(body=text), context())
    assert isinstance(refused, Refused)
    assert "path" in refused.detail
    for harmless in ("...", f"a{text}", f"{text}/{text}"):
        assert isinstance(described.request(submission(body=harmless), context()), Request)
    assert isinstance(carrier().request(submission(body=text), context()), Request)  # in the query it is a text


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"body": "two\r\nlines"}, 30008), ({"body": "half of \ud83d"}, 30008), ({"channel": Channel.WHATSAPP}, 21612)],
)
def test_what_this_carrier_can_never_take_is_refused(changes: dict[str, Any], code: int) -> None:
    described = carrier(url="https://gateway.example/{to}", headers={"X-Text": "{body}"})
    refused = described.request(submission(**changes), context())
    assert isinstance(refused, Refused)
    assert refused.code == code


# --- what answers mean -----------------------------------------------------------------------------------------------

CODES = {"error_pointer": "/error/code", "error_codes": {"21": 30003, "bad": 30005}}
ANSWERS: list[tuple[dict[str, Any], int, Any, Outcome | type[Outcome]]] = [
    ({}, 200, b"", Accepted(SID)),
    ({}, 202, b"\xff", Accepted(SID)),
    ({}, 204, b"", InDoubt),
    ({"success": [204]}, 204, b"", Accepted(SID)),
    ({"success": [204]}, 200, b"", InDoubt),
    ({"id_pointer": "/m/0/id"}, 200, {"m": [{"id": 17}]}, Accepted("17")),
    ({"id_pointer": "/m/0/id"}, 200, {"m": []}, InDoubt),
    ({"id_pointer": "/id"}, 200, {"id": ""}, InDoubt),
    ({"id_pointer": "/id"}, 200, {"id": "a\nb"}, InDoubt),
    ({"id_pointer": "/id"}, 200, {"id": "x" * 256}, InDoubt),
    ({"id_pointer": "/id"}, 200, {"id": 1.5}, InDoubt),
    ({"id_pointer": "/id"}, 200, {"id": True}, InDoubt),
    ({"id_pointer": "/id"}, 200, b"[" * 60_000, InDoubt),
    ({"id_pattern": "id=([0-9]+)"}, 200, b"OK id=42;", Accepted("42")),
    ({"id_pattern": "id=([0-9]+)"}, 200, b"OK", InDoubt),
    ({"id_pattern": "id=([0-9]+)"}, 200, b" " * 4_096 + b"id=42", InDoubt),
    ({"id_pattern": "^(x+x+)+y$"}, 200, b"x" * 4_000, InDoubt),  # would take for ever
    ({"success_pattern": "^OK"}, 200, b"OK", Accepted(SID)),
    ({"success_pattern": "^OK"}, 200, b"NO", InDoubt),
    ({"success_pattern": "^OK", "refusal_pattern": "^ERR"}, 200, b"ERR 5", Refused(30008, "the carrier answered 200")),
    ({"refusal_pattern": "error", **CODES}, 200, {"error": {"code": 21}}, Refused(30003, "the carrier answered 200")),
    (CODES, 400, {"error": {"code": "bad"}}, Refused(30005, "the carrier answered 400")),
    (CODES, 422, {"error": {"code": "new"}}, Refused(30008, "the carrier answered 422")),
    (CODES, 404, b"<html>", Busy),
    (CODES, 402, {"error": {"code": "bad"}}, Busy),
    ({"refusal": [404]}, 404, b"", Refused(30008, "the carrier answered 404")),
    ({"refusal_pattern": "^(x+x+)+y$"}, 200, b"x" * 4_000, InDoubt),
    ({}, 401, b"", Busy(60 * SECOND, "the carrier did not accept the credentials")),
    ({}, 403, b"", Busy(60 * SECOND, "the carrier did not accept the credentials")),
    ({"refusal": [403]}, 403, b"", Refused(30008, "the carrier answered 403")),
    ({"refusal": [403]}, 400, b"", InDoubt),
    ({"refusal": [500]}, 500, b"", Refused(30008, "the carrier answered 500")),
    ({}, 408, b"", InDoubt),
    ({}, 409, b"", InDoubt),
    ({}, 425, b"", InDoubt),
    ({}, 429, b"", Busy(None, "the carrier answered 429")),
    ({"busy": [503, 509]}, 509, b"", Busy(None, "the carrier answered 509")),
    ({"busy": []}, 429, b"", Refused(30008, "the carrier answered 429")),
    ({}, 302, b"", InDoubt),
    ({}, 500, b"", InDoubt),
    ({}, 503, b"", InDoubt),
]


@pytest.mark.parametrize(("changes", "status", "body", "expected"), ANSWERS)
def test_an_answer_means(changes: dict[str, Any], status: int, body: Any, expected: Outcome | type[Outcome]) -> None:
    outcome = carrier(**changes).outcome(submission(), answer(status, body))
    if isinstance(expected, type):
        assert type(outcome) is expected
    else:
        assert outcome == expected


def test_a_carrier_can_say_when_to_come_back() -> None:
    outcome = carrier().outcome(submission(), answer(429, b"", {"retry-after": "7"}))
    assert outcome == Busy(7 * SECOND, "the carrier answered 429")


@given(st.integers(100, 999), json_of("id", "error", "code"))
def test_every_answer_means_one_thing(status: int, body: bytes) -> None:
    for changes in ({"id_pointer": "/id/0"}, {"id_pattern": "(.)", "refusal_pattern": "9"}, CODES):
        assert type(carrier(**changes).outcome(submission(), answer(status, body))) in get_args(Outcome)


# --- what the carrier tells us ---------------------------------------------------------------------------------------

JSON_EVENTS: dict[str, Any] = {
    "event_list": "/events",
    "event_id": "/id",
    "event_status": "/state",
    "event_error": "/why",
    "event_from": "/from",
    "event_to": "/to",
    "event_body": "/text",
    "event_media": "/media",
    "event_plus": True,
    "statuses": {"ok": "delivered", "seen": "read", "queued": "ignored", "*": "undelivered"},
    "error_codes": {"7": 30007},
    "event_answer": "thanks",
}


def test_a_list_of_json_events_is_read() -> None:
    told = {
        "events": [
            {"id": 1, "state": "ok"},
            {"id": "2", "state": "seen"},
            {"id": "3", "state": "queued"},
            {"id": "4", "state": "nobody knows", "why": 7},
            {"id": "5", "from": "15550001111", "to": "12345", "text": "Hi", "media": ["https://a/b", "no link", 7]},
            {"from": "Clinic", "to": "+12345678", "text": "", "media": "https://a/c"},
        ]
    }
    heard = carrier(**JSON_EVENTS).events(call(told))
    assert heard.events == [
        Receipt("1", Event.DELIVER),
        Receipt("2", Event.READ),
        Receipt("4", Event.UNDELIVER, 30007),
        Inbound("+15550001111", "12345", "Hi", media_urls=("https://a/b",), carrier_ref="5"),
        Inbound("Clinic", "+12345678", "", media_urls=("https://a/c",)),
    ]
    assert (heard.status, heard.body) == (200, b"thanks")


BAD: dict[str, tuple[Any, str]] = {
    "no JSON": (b"state=ok", "malformed"),
    "no list": ({"events": {"id": 1}}, "no list"),
    "nothing": ({"events": [{}]}, "Event 0 is neither"),
    "no object": ({"events": [{"id": 1, "state": "ok"}, 7]}, "Event 1 is neither"),
    "no message": ({"events": [{"state": "ok"}]}, "names no message"),
    "an endless id": ({"events": [{"state": "ok", "id": "x" * 256}]}, "names no message"),
    "a control character": ({"events": [{"state": "ok", "id": "\x00"}]}, "names no message"),
    "too many": ({"events": [{"id": 1, "state": "ok"}] * (MOST_EVENTS + 1)}, "fewer"),
    "an endless text": ({"events": [{"from": "1", "to": "2", "text": "x" * 65_537}]}, "too long"),
    "a NUL in a text": ({"events": [{"from": "1", "to": "2", "text": "\x00"}]}, "NUL"),
    "no address": ({"events": [{"from": "", "to": "2", "text": "x"}]}, "no address"),
    "an endless address": ({"events": [{"from": "1", "to": "2" * 161, "text": "x"}]}, "no address"),
    "an inbound id with a line break": ({"events": [{"from": "1", "to": "2", "text": "x", "id": "\n"}]}, "id that"),
}


@pytest.mark.parametrize(("body", "told"), BAD.values(), ids=BAD.keys())
def test_bad_events_are_refused_with_a_reason(body: Any, told: str) -> None:
    with pytest.raises(BadEvent, match=told):
        carrier(**JSON_EVENTS).events(call(body))


def test_an_event_without_any_description_is_none() -> None:
    with pytest.raises(BadEvent, match="neither"):
        carrier().events(call({"id": 1}))


BODY = b'{"id": 1, "state": "ok"}'


def hmac_of(hashed: Any, body: bytes = BODY) -> bytes:
    return hmac.new(SECRET.encode(), body, hashed).digest()


CHECKS: list[tuple[dict[str, str], str]] = [
    ({"event_check": "header"}, SECRET),
    ({"event_check": "header", "event_prefix": "Bearer "}, f"Bearer {SECRET}"),
    ({"event_check": "hmac-sha256"}, hmac_of(hashlib.sha256).hex()),
    ({"event_check": "hmac-sha256"}, hmac_of(hashlib.sha256).hex().upper()),
    ({"event_check": "hmac-sha256", "event_prefix": "sha256="}, "sha256=" + hmac_of(hashlib.sha256).hex()),
    (
        {"event_check": "hmac-sha256", "event_digest": "base64"},
        base64.b64encode(hmac_of(hashlib.sha256)).decode(),
    ),
    ({"event_check": "hmac-sha1"}, hmac_of(hashlib.sha1).hex()),
    ({"event_check": "hmac-sha1", "event_digest": "base64"}, base64.b64encode(hmac_of(hashlib.sha1)).decode()),
]


@pytest.mark.parametrize(("check", "value"), CHECKS)
def test_an_event_must_come_with_what_the_check_asks_for(check: dict[str, str], value: str) -> None:
    described = carrier(**JSON_EVENTS | {"event_list": None, "event_header": "X-Check", "event_secret": SECRET} | check)
    assert described.events(call(BODY, {"x-check": value})).events == [Receipt("1", Event.DELIVER)]
    changed = value[:-3] + ("A" if value[-3] != "A" else "B") + value[-2:]
    for headers in ({}, {"x-check": ""}, {"x-check": changed}, {"x-check": value + " "}, {"x-other": value}):
        with pytest.raises(Untrusted) as refusal:
            described.events(call(BODY, headers))
        assert SECRET not in str(refusal.value)
    if "hmac" in check["event_check"]:
        with pytest.raises(Untrusted):
            described.events(call(BODY + b" ", {"x-check": value}))


@given(json_of("events", "id", "state", "from", "to", "text", "media", "ok"), st.booleans())
def test_whatever_comes_as_json_is_events_or_a_bad_event(body: bytes, listed: bool) -> None:
    changes = JSON_EVENTS if listed else JSON_EVENTS | {"event_list": None}
    _events_or_bad(carrier(**changes), call(body))


@given(st.binary(max_size=60) | st.lists(st.tuples(st.sampled_from("isft"), st.text(max_size=4))).map(urlencode))
def test_whatever_comes_as_a_form_is_events_or_a_bad_event(body: bytes | str) -> None:
    places = {"event_id": "i", "event_status": "s", "event_from": "f", "event_to": "t", "event_body": "i"}
    described = carrier(event_source="form", statuses={"": "read", "x": "delivered"}, **places)
    _events_or_bad(described, call(body.encode() if isinstance(body, str) else body))


def _events_or_bad(described: Generic, told: Call) -> None:
    try:
        heard = described.events(told)
    except BadEvent:
        return
    assert all(isinstance(event, Receipt | Inbound) for event in heard.events)


# --- settings that cannot work ---------------------------------------------------------------------------------------

URL = PLAIN["url"]
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no URL": ({"url": ""}, "url"),
    "another scheme": ({"url": "ftp://a/{to}{body}"}, "url must be like"),
    "a host that is filled in": ({"url": "https://{to}.example/{body}"}, "nothing filled in its host"),
    "a port that is filled in": ({"url": "https://a:{to}/{body}"}, "nothing filled in its host"),
    "a user in the URL": ({"url": f"https://me:{SECRET}@a/{{to}}{{body}}"}, "url must be like"),
    "a fragment": ({"url": f"{URL}#x"}, "url must be like"),
    "a blank in the URL": ({"url": f"{URL}&x=a b"}, "url must be like"),
    "an unknown value": ({"url": f"{URL}&x={{nothing}}"}, r"url: \{nothing\} is not known"),
    "an unknown filter": ({"body": "{to|nothing}"}, "body: |nothing is not known"),
    "no text": ({"url": "https://a/{to}"}, "must ask for {to} and {body}"),
    "no recipient": ({"url": "https://a/{body}"}, "must ask for {to} and {body}"),
    "no password": ({"url": f"{URL}&p={{password}}"}, "{password} is asked for, but not set: password"),
    "half of Basic": ({"headers": {"Authorization": "Basic {basic}"}, "user": "me"}, "not set: password"),
    "a body of a GET": ({"method": "GET", "body": "x"}, "body must be empty"),
    "another method": ({"method": "DELETE"}, "method"),
    "a header of ours": ({"headers": {"Host": "x"}}, "headers holds a name"),
    "a header with a blank": ({"headers": {"X Y": "x"}}, "headers holds a name"),
    "a header with a line break": ({"headers": {"X": "a\r\nY: b"}}, "line break"),
    "a header with an unknown value": ({"headers": {"X": "{nothing}"}}, r"headers \(X\)"),
    "two places of the id": ({"id_pointer": "/id", "id_pattern": "(.)"}, "cannot both be set"),
    "no pointer": ({"id_pointer": "id"}, "id_pointer must be a JSON pointer"),
    "no pattern": ({"success_pattern": "("}, "success_pattern is not a regular expression"),
    "no group": ({"id_pattern": "id"}, "id_pattern must hold a group"),
    "two meanings": ({"busy": [429, 200]}, "more: 200"),
    "no status": ({"success": [20]}, "success"),
    "no success": ({"success": []}, "success"),
    "no code": ({"error_codes": {"1": 7}}, "error_codes"),
    "an unknown outcome": ({"event_status": "/s", "statuses": {"x": "sent"}}, "statuses must map to one of"),
    "a place without statuses": ({"event_status": "/s"}, "go together"),
    "statuses without a place": ({"statuses": {"x": "read"}}, "go together"),
    "half an inbound message": ({"event_from": "/f", "event_to": "/t"}, "go together"),
    "a field where a pointer must be": ({"event_id": "id"}, "event_id must be a JSON pointer"),
    "a list of fields": ({"event_source": "form", "event_list": "/x"}, "event_list is for"),
    "a check of nothing": ({"event_check": "header", "event_header": "X"}, "event_secret"),
    "a check nowhere": ({"event_check": "hmac-sha1", "event_secret": SECRET}, "event_header"),
    "an unknown setting": ({"nothing": 1}, "nothing"),
}


@pytest.mark.parametrize(("changes", "told"), WRONG.values(), ids=WRONG.keys())
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(msgspec.ValidationError) as refusal:
        settings(**changes)
    assert told.replace("\\", "") in str(refusal.value)
    assert SECRET not in str(refusal.value)


def test_the_settings_tell_no_secret() -> None:
    described = settings(token=SECRET, body="{token}")
    assert SECRET not in f"{described!r}{Generic(described)!r}{KIND!r}"
