"""The wire of plain HTTP by itself: what is written, what an answer means, what events are taken and refused."""

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.connectors.contract import Attachment, CarrierEvent, Inbound, Receipt, Submission
from postdate.connectors.providers.contract import Answer, BadEvent
from postdate.connectors.providers.plain_http import PlainHttp, Settings, read_events, write_handover
from postdate.connectors.providers.reading import EVENTS_LIMIT, LONGEST_RETRY_AFTER, MOST_EVENTS, read_retry_after
from postdate.core.address import Channel
from postdate.core.instant import DAY, HOUR, SECOND, Instant, parse_instant
from postdate.core.message import Event
from postdate.core.outcome import Accepted, Busy, InDoubt, Outcome, Refused

NOW = parse_instant("2030-01-01T12:00:00Z")
TAKEN = b'{"id": "gw-17"}'


def a_submission() -> Submission:
    link = "https://node.example/media/ab12"
    return Submission(
        sid="SM00000000000000000000000000000001",
        attempt=2,
        sender="+15550001111",
        recipient="whatsapp:+15550002222",
        channel=Channel.WHATSAPP,
        body='Grüße "🙂"\n',
        segments=1,
        not_before=NOW,
        expires_at=Instant(NOW + 4 * HOUR + 250_000),
        attachments=(Attachment("image/png", b"\x89PNG", link),),
    )


def read_answer(status: int, asked: str, body: bytes, at: Instant) -> Outcome:
    gateway = PlainHttp(Settings(url="https://gateway.example/messages"))
    return gateway.outcome(a_submission(), Answer(status, {"retry-after": asked}, body, at))


# --- what goes out ---------------------------------------------------------------------------------------------------


def test_a_handover_is_written_in_the_documented_words() -> None:
    assert json.loads(write_handover(a_submission())) == {
        "sid": "SM00000000000000000000000000000001",
        "attempt": 2,
        "from": "+15550001111",
        "to": "whatsapp:+15550002222",
        "channel": "whatsapp",
        "body": 'Grüße "🙂"\n',
        "segments": 1,
        "expires_at": "2030-01-01T16:00:00.250000Z",
        "media": ["https://node.example/media/ab12"],
    }


# --- what an answer means --------------------------------------------------------------------------------------------

ANSWERS: list[tuple[int, bytes, Outcome | type[Outcome]]] = [
    (200, TAKEN, Accepted("gw-17")),
    (201, TAKEN, Accepted("gw-17")),
    (202, b'{"queued": true, "code": "none", "id": "\\u00fc-1"}', Accepted("ü-1")),
    (200, b"", InDoubt),
    (204, b"", InDoubt),
    (200, b"OK", InDoubt),
    (200, b"{}", InDoubt),
    (200, b'{"id": 17}', InDoubt),
    (200, b'{"id": null}', InDoubt),
    (200, b'{"id": ""}', InDoubt),
    (200, b'{"id": "a\\u0000b"}', InDoubt),
    (200, b'{"id": "a\\n"}', InDoubt),
    (200, b'{"id": "%s"}' % (b"x" * 256), InDoubt),
    (200, b'["gw-17"]', InDoubt),
    (200, b'{"id": "gw-17"', InDoubt),
    (200, b'{"id": "\xff"}', InDoubt),
    (200, b"[" * 100_000, InDoubt),
    (100, TAKEN, InDoubt),
    (301, TAKEN, InDoubt),
    (307, TAKEN, InDoubt),
    (400, b"", Refused(30008, "the carrier answered 400")),
    (400, b'{"code": 30005, "id": 7}', Refused(30005, "the carrier answered 400")),
    (401, b'{"code": 20003}', Refused(20003, "the carrier answered 401")),
    (404, b"<html>", Busy),
    (401, b"{}", Busy),
    (402, b"", Busy),
    (403, b"", Busy),
    (413, b'{"code": "30019"}', Refused(30008, "the carrier answered 413")),
    (422, b'{"code": -1}', Refused(30008, "the carrier answered 422")),
    (422, b'{"code": 100000}', Refused(30008, "the carrier answered 422")),
    (422, b'{"code": true}', Refused(30008, "the carrier answered 422")),
    (422, b'{"code": 1e999}', Refused(30008, "the carrier answered 422")),
    (499, b"", Refused(30008, "the carrier answered 499")),
    (408, b'{"code": 30005}', InDoubt),
    (409, b'{"code": 30005}', InDoubt),
    (425, b"", Busy(None, "the carrier answered 425")),
    (429, TAKEN, Busy(None, "the carrier answered 429")),
    (503, b"", Busy(None, "the carrier answered 503")),
    (500, TAKEN, InDoubt),
    (502, b"", InDoubt),
    (504, b'{"code": 30005}', InDoubt),
    (599, b"", InDoubt),
    (999, TAKEN, InDoubt),
]


@pytest.mark.parametrize(("status", "body", "expected"), ANSWERS, ids=[f"{a[0]}-{a[1][:24]!r}" for a in ANSWERS])
def test_an_answer_means(status: int, body: bytes, expected: Outcome | type[Outcome]) -> None:
    outcome = read_answer(status, "", body, NOW)
    if isinstance(expected, type):
        assert type(outcome) is expected
    else:
        assert outcome == expected


@given(st.integers(100, 999), st.text(max_size=40), st.one_of(st.binary(), st.just(TAKEN)))
def test_every_answer_means_one_thing_and_only_2xx_is_a_yes(status: int, asked: str, body: bytes) -> None:
    outcome = read_answer(status, asked, body, NOW)
    assert type(outcome) in get_args(Outcome)
    assert isinstance(outcome, Accepted) <= (200 <= status <= 299)
    assert isinstance(outcome, Refused) <= (400 <= status <= 499)


RETRY_AFTER: list[tuple[str, int | None]] = [
    ("0", 0),
    ("7", 7 * SECOND),
    ("0120", 120 * SECOND),
    ("86400", DAY),
    ("999999999999", DAY),
    ("Tue, 01 Jan 2030 12:01:30 GMT", 90 * SECOND),
    ("Tuesday, 01-Jan-30 12:01:30 GMT", 90 * SECOND),
    ("Tue Jan  1 12:01:30 2030", 90 * SECOND),
    ("Tue, 01 Jan 2030 13:01:30 +0100", 90 * SECOND),
    ("Tue, 01 Jan 2030 11:59:00 GMT", 0),
    ("Tue, 01 Jan 2040 12:00:00 GMT", DAY),
    ("", None),
    ("-5", None),
    ("1.5", None),
    ("٣", None),  # a digit to Python, not to HTTP
    ("soon", None),
    ("9" * 13, None),
    ("Tue, 99 Jan 2030 12:00:00 GMT", None),
    ("Tue, 01 Jan 99999 12:00:00 GMT", None),
    ("Tue, 01 Jan 2030 12:00:00 +9999999", None),
]


@pytest.mark.parametrize(("text", "expected"), RETRY_AFTER)
def test_retry_after_is_read(text: str, expected: int | None) -> None:
    assert read_retry_after(text, NOW) == expected
    assert read_answer(429, text, b"", NOW) == Busy(expected, "the carrier answered 429")


@given(st.one_of(st.text(), st.datetimes().map(lambda at: at.strftime("%a, %d %b %Y %H:%M:%S GMT"))), st.integers(0))
def test_no_retry_after_asks_for_less_than_nothing_or_more_than_a_day(text: str, at: int) -> None:
    wait = read_retry_after(text, Instant(at))
    assert wait is None or 0 <= wait <= LONGEST_RETRY_AFTER


# --- events ----------------------------------------------------------------------------------------------------------

EVENTS: list[tuple[object, list[CarrierEvent]]] = [
    ([], []),
    ({"id": "gw-1", "status": "delivered"}, [Receipt("gw-1", Event.DELIVER)]),
    ({"id": "gw-1", "status": "delivered", "code": 30003}, [Receipt("gw-1", Event.DELIVER)]),
    ({"id": "gw-1", "sid": "SM1", "status": "read"}, [Receipt("gw-1", Event.READ, None, "SM1")]),
    ({"id": "gw-1", "status": "undelivered", "code": 30005}, [Receipt("gw-1", Event.UNDELIVER, 30005)]),
    ({"id": "gw-1", "status": "undelivered"}, [Receipt("gw-1", Event.UNDELIVER, 30008)]),
    ({"from": "+1555", "to": "12345", "body": "STOP"}, [Inbound("+1555", "12345", "STOP")]),
    ({"from": "+1555", "to": "12345", "body": "", "when": [1]}, [Inbound("+1555", "12345", "")]),
    ({"id": "in-1", "from": "+1555", "to": "12345", "body": "1"}, [Inbound("+1555", "12345", "1", carrier_ref="in-1")]),
    (
        [{"from": "a", "to": "b", "body": "1"}, {"id": "x", "status": "read"}, {"from": "a", "to": "b", "body": "2"}],
        [Inbound("a", "b", "1"), Receipt("x", Event.READ), Inbound("a", "b", "2")],
    ),
]


@pytest.mark.parametrize(("given_", "expected"), EVENTS, ids=[json.dumps(e[0])[:50] for e in EVENTS])
def test_events_are_read(given_: object, expected: list[CarrierEvent]) -> None:
    assert read_events(json.dumps(given_).encode()) == expected


RECEIPT = b'{"id": "gw-1", "status": "delivered"}'
BAD_EVENTS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "truncated"),
    "no JSON": (b"status=delivered", "malformed"),
    "a broken list": (b"[" + RECEIPT, "truncated"),
    "a number": (b"17", "Expected `object | array`"),
    "null": (b"null", "Expected `object | array`"),
    "no UTF-8": (b'{"id": "\xff", "status": "read"}', "UTF-8"),
    "half a surrogate pair": (b'{"id": "\\ud800", "status": "read"}', "cannot be read"),
    "nested without end": (b'{"x":' + b"[" * 500_000, "nested"),
    "a list in a list": (b"[[]]", "Expected `object`"),
    "an unknown status": (b'{"id": "gw-1", "status": "sent"}', "known - at `$.status`"),
    "no status": (b'{"id": "gw-1"}', "Event 0"),
    "no id": (b'[{"id": "gw-1", "status": "read"}, {"status": "read"}]', "Event 1"),
    "an id that is a number": (b'[{"id": 17, "status": "read"}]', "$[0].id"),
    "an empty id": (b'{"id": "", "status": "read"}', "$.id"),
    "an endless id": (b'{"id": "%s", "status": "read"}' % (b"x" * 256), "$.id"),
    "a NUL in an id": (b'{"id": "a\\u0000", "status": "read"}', "$.id"),
    "an endless sid": (b'{"id": "a", "sid": "%s", "status": "read"}' % (b"x" * 256), "$.sid"),
    "a code that is none": (b'{"id": "a", "status": "undelivered", "code": 5}', "$.code"),
    "a code beyond all": (b'{"id": "a", "status": "undelivered", "code": 1%s}' % (b"0" * 40), "$.code"),
    "both in one": (b'{"id": "a", "status": "read", "from": "b", "to": "c", "body": "d"}', "Event 0"),
    "no body": (b'{"from": "b", "to": "c"}', "Event 0"),
    "a NUL in a body": (b'{"from": "b", "to": "c", "body": "\\u0000"}', "$.body"),
    "an endless body": (b'{"from": "b", "to": "c", "body": "%s"}' % (b"x" * 65_537), "$.body"),
    "an empty from": (b'{"from": "", "to": "c", "body": "d"}', "$.from"),
    "an endless to": (b'{"from": "b", "to": "%s", "body": "d"}' % (b"1" * 161), "$.to"),
    "a line break in a from": (b'{"from": "b\\n", "to": "c", "body": "d"}', "$.from"),
    "too many": (b"[" + b",".join([RECEIPT] * (MOST_EVENTS + 1)) + b"]", "fewer"),
    "too much": (b" " * EVENTS_LIMIT + RECEIPT, "fewer"),
}


@pytest.mark.parametrize(("body", "told"), BAD_EVENTS.values(), ids=BAD_EVENTS.keys())
def test_bad_events_are_refused_with_a_reason(body: bytes, told: str) -> None:
    with pytest.raises(BadEvent) as refusal:
        read_events(body)
    assert told in str(refusal.value)
    assert len(str(refusal.value)) < 200


def test_as_many_events_as_allowed_are_taken() -> None:
    assert len(read_events(b"[" + b",".join([RECEIPT] * MOST_EVENTS) + b"]")) == MOST_EVENTS


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "sid", "status", "code", "from", "to", "body"]),
            inner | st.sampled_from(["delivered", "read"]),
        )
    ),
    max_leaves=12,
)


@given(st.one_of(st.binary(), JSON.map(lambda value: json.dumps(value).encode())))
def test_whatever_comes_is_events_or_a_bad_event(body: bytes) -> None:
    try:
        events = read_events(body)
    except BadEvent:
        return
    assert all(isinstance(event, Receipt | Inbound) for event in events)
