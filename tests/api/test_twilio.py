"""Twilio's wire format, pure: what forms are read as, which code each fault has, and what a message looks like.

Whatever arrives, the answer is a command or a documented code: the properties below try to get anything else.
"""

from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from postdate.api.twilio import (
    API_VERSION,
    Form,
    error_json,
    message_json,
    parse_send,
    read_form,
    shown,
)
from postdate.core.commands import LONGEST_BODY, MOST_MEDIA, SendMessage
from postdate.core.errors import MEANINGS, Rejected
from postdate.core.instant import Instant
from postdate.core.message import Direction, Message, Options, Status
from tests.store.building import ACCOUNT, SEND_AT, SERVICE, START, a_message

MOST = 200
TO = "+14155550100"
FROM = "+15005550006"
CONTENT = "HX" + "0" * 32
APPLICATION = "AP" + "0" * 32

HOSTILE = {
    "emoji": "👩🏽\u200d🚀 launches 🚀",
    "right-to-left": "\u202eevil\u202c شكرا",
    "quotes": "\"'`<script>alert(1)</script>",
    "control": "\a\b\t\r\n\x1b[31m\x7f\x85\u2028",
    "noncharacter": "\ufdd0\uffff\U0010ffff",
    "combining": "e\u0301" * 20,
    "backslash": "\\u0000 \\x00 %00 {0} %s ${HOME}",
    "byte-order-mark": "\ufeffBody",
}
hostile = pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in HOSTILE.items()])


def form(**values: str | list[str]) -> Form:
    return Form({name: [value] if isinstance(value, str) else value for name, value in values.items()})


def sending(**values: str | list[str] | None) -> Form:
    """A form that is accepted, with `values` changed; None takes a parameter out."""
    given_values: dict[str, str | list[str] | None] = {"To": TO, "From": FROM, "Body": "Hi", **values}
    return form(**{name: value for name, value in given_values.items() if value is not None})


def rejection(given_form: Form) -> Rejected:
    with pytest.raises(Rejected) as caught:
        parse_send(given_form)
    return caught.value


# --- forms -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "name", "values"),
    [
        pytest.param(b"To=%2B1415&Body=a", "To", ("+1415",), id="escaped-plus"),
        pytest.param(b"To=+1415", "To", (" 1415",), id="bare-plus-is-a-space"),
        pytest.param(b"Body=a+b%20c", "Body", ("a b c",), id="both-spaces"),
        pytest.param(b"Body=", "Body", ("",), id="empty"),
        pytest.param(b"Body", "Body", ("",), id="no-equals-sign"),
        pytest.param(b"Body=a=b=c", "Body", ("a=b=c",), id="equals-in-value"),
        pytest.param(b"Body=1&Body=2", "Body", ("1", "2"), id="repeated-in-order"),
        pytest.param(b"MediaUrl=b&Body=x&MediaUrl=a", "MediaUrl", ("b", "a"), id="repeated-apart"),
        pytest.param(b"&&Body=1&&", "Body", ("1",), id="empty-pairs"),
        pytest.param(b"DateSent<=2016-07-31", "DateSent<", ("2016-07-31",), id="curl-before"),
        pytest.param(b"DateSent>=2016-07-31", "DateSent>", ("2016-07-31",), id="curl-after"),
        pytest.param(b"DateSent%3C=2016-07-31", "DateSent<", ("2016-07-31",), id="escaped-before"),
        pytest.param("Body=café".encode(), "Body", ("café",), id="bare-utf-8"),
        pytest.param(b"Body=caf%C3%A9", "Body", ("café",), id="escaped-utf-8"),
        pytest.param(b"Body=%F0%9F%98%80", "Body", ("😀",), id="astral"),
        pytest.param(b"Body=100%", "Body", ("100%",), id="percent-at-the-end"),
        pytest.param(b"Body=100%25", "Body", ("100%",), id="escaped-percent"),
        pytest.param(b"Body=%zz%4", "Body", ("%zz%4",), id="percent-without-hex"),
        pytest.param(b"Body=%u00e9", "Body", ("%u00e9",), id="percent-u"),
        pytest.param(b"Body=a%00b", "Body", ("a\0b",), id="nul"),
        pytest.param(b"Body=a;To=b", "Body", ("a;To=b",), id="semicolon-parts-nothing"),
        pytest.param(b"Body=%26%3D", "Body", ("&=",), id="escaped-separators"),
        pytest.param(b"body=a", "Body", (), id="names-are-exact"),
        pytest.param(b"", "Body", (), id="nothing"),
    ],
)
def test_a_form_is_read(body: bytes, name: str, values: tuple[str, ...]) -> None:
    assert read_form(body, MOST).all(name) == values


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"Body=\xff", id="bare-byte"),
        pytest.param(b"Body=%FF", id="escaped-byte"),
        pytest.param(b"Body=%C3", id="half-a-character"),
        pytest.param(b"Body=%C0%80", id="overlong-nul"),
        pytest.param(b"Body=%ED%A0%80", id="lone-high-surrogate"),
        pytest.param(b"Body=%ED%B0%80", id="lone-low-surrogate"),
        pytest.param(b"Body=%ED%A0%BD%ED%B8%80", id="surrogate-pair-as-utf-8"),
        pytest.param(b"Body=%F4%90%80%80", id="beyond-unicode"),
        pytest.param(b"%FF=a", id="in-a-name"),
        pytest.param("Body=café".encode("latin-1"), id="latin-1"),
        pytest.param("Body=café".encode("utf-16-le"), id="utf-16"),
    ],
)
def test_a_form_that_is_not_utf_8_is_refused(body: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        read_form(body, MOST)
    assert (caught.value.code, caught.value.http_status) == (20422, 422)
    assert "UTF-8" in caught.value.detail


@pytest.mark.parametrize(
    ("count", "separator", "allowed"),
    [
        pytest.param(MOST, b"a=1", True, id="as-many-as-allowed"),
        pytest.param(MOST + 1, b"a=1", False, id="one-too-many"),
        pytest.param(MOST + 1, b"", False, id="empty-ones-count"),
        pytest.param(60_000, b"a", False, id="a-flood"),
    ],
)
def test_parameters_are_bounded(count: int, separator: bytes, allowed: bool) -> None:
    body = b"&".join([separator] * count)
    if allowed:
        assert len(read_form(body, MOST).all("a")) == count
        return
    with pytest.raises(Rejected) as caught:
        read_form(body, MOST)
    assert (caught.value.code, caught.value.http_status) == (20422, 422)
    assert str(MOST) in caught.value.detail


TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.lists(st.tuples(TEXT.filter(bool), TEXT), max_size=20))
def test_what_a_client_encodes_is_what_is_read(pairs: list[tuple[str, str]]) -> None:
    for encoded in (urlencode(pairs), urlencode(pairs, quote_via=quote)):
        read = read_form(encoded.encode(), MOST)
        for name, _ in pairs:
            assert list(read.all(name)) == [value for other, value in pairs if other == name]


@given(st.binary(max_size=200))
@example(b"%")
@example(b"=&=%&%=")
def test_any_bytes_are_a_form_or_refused_as_such(body: bytes) -> None:
    try:
        read: Form | Rejected = read_form(body, 5)
    except Rejected as error:
        read = error
    assert "" not in read if isinstance(read, Form) else read.code == 20422


@pytest.mark.parametrize(
    ("value", "expected"),
    [("true", True), ("True", True), ("TRUE", True), ("1", True), ("false", False), ("False", False), ("0", False)],
)
def test_flags(value: str, expected: bool) -> None:
    assert form(Flag=value).flag("Flag") is expected


def test_a_flag_that_is_missing_is_neither() -> None:
    assert form().flag("Flag") is None


@pytest.mark.parametrize("value", ["maybe", "2", "tru", "ｔｒｕｅ", "true ", "\0"])
def test_a_flag_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(Rejected) as caught:
        form(Flag=value).flag("Flag")
    assert caught.value.code == 20001
    assert repr(value) in caught.value.detail
    assert "Flag" in caught.value.detail


@pytest.mark.parametrize("value", ["-1", "1.0", "1e3", "²", "١٢", " 1", "1" * 13, "0x10", "NaN", "\0"])
def test_a_number_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(Rejected) as caught:
        form(Number=value).number("Number")
    assert caught.value.code == 20001


@pytest.mark.parametrize(("value", "expected"), [("0", 0), ("007", 7), ("9" * 12, 10**12 - 1), ("", None)])
def test_numbers(value: str, expected: int | None) -> None:
    assert form(Number=value).number("Number") == expected


@pytest.mark.parametrize("url", ["", None])
def test_an_absent_url_is_none(url: str | None) -> None:
    assert (form() if url is None else form(Url=url)).url("Url") is None


@given(st.text(max_size=300))
def test_what_was_received_is_shown_short_and_harmless(text: str) -> None:
    told = shown(text)
    assert len(told) <= 12 * 64
    assert told.isprintable()


# --- sending: what is read -------------------------------------------------------------------------------------------


def test_the_least_that_is_sent() -> None:
    assert parse_send(sending()) == SendMessage(recipient=TO, sender=FROM, body="Hi")


def test_everything_that_can_be_said_is_kept() -> None:
    command = parse_send(
        sending(
            MessagingServiceSid=SERVICE,
            MediaUrl=["https://example.com/1.png", "https://example.com/2.png"],
            StatusCallback="https://example.com/cb?x=1&y=2#rc=3",
            ScheduleType="fixed",
            SendAt="2030-01-01T14:00:00Z",
            ValidityPeriod="14400",
            SmartEncoded="true",
            ProvideFeedback="true",
            SendAsMms="true",
            ApplicationSid=APPLICATION,
            AddressRetention="obfuscate",
            ContentRetention="discard",
            MessageIntent="notifications",
            PersistentAction=["geo:1,2|x", "second"],
            Tags='{"campaign": "spring 🌷"}',
        ),
        "key",
    )
    assert command == SendMessage(
        recipient=TO,
        sender=FROM,
        service_sid=SERVICE,
        body="Hi",
        media_urls=("https://example.com/1.png", "https://example.com/2.png"),
        send_at=NOON,
        callback_url="https://example.com/cb?x=1&y=2#rc=3",
        validity=14_400,
        idempotency_key="key",
        options=Options(
            smart_encoded=True,
            provide_feedback=True,
            send_as_mms=True,
            application_sid=APPLICATION,
            address_retention="obfuscate",
            content_retention="discard",
            message_intent="notifications",
            persistent_action=("geo:1,2|x", "second"),
            tags={"campaign": "spring 🌷"},
            validity=14_400,
        ),
    )


@pytest.mark.parametrize(
    "ignored",
    [
        pytest.param({name: value}, id=name)
        for name, value in {
            "MaxPrice": "0.01",
            "Attempt": "3",
            "ForceDelivery": "true",
            "TrafficType": "free",
            "RiskCheck": "disable",
            "ShortenUrls": "true",
            "FallbackFrom": FROM,
            "Nonsense": "\0",
            "to": "+1",
            "Body[]": "x",
        }.items()
    ],
)
def test_parameters_without_effect_are_ignored(ignored: dict[str, str]) -> None:
    assert parse_send(sending(**ignored)) == parse_send(sending())


@pytest.mark.parametrize(
    "name",
    [
        "MessagingServiceSid", "StatusCallback", "ScheduleType", "SendAt", "ValidityPeriod", "ApplicationSid",
        "AddressRetention", "ContentRetention", "MessageIntent", "Tags", "ContentSid", "ContentVariables",
    ],
)  # fmt: skip
def test_an_empty_value_is_the_same_as_none(name: str) -> None:
    assert parse_send(sending(**{name: ""})) == parse_send(sending())


@pytest.mark.parametrize(
    ("values", "sender", "service"),
    [
        pytest.param({"From": SERVICE}, None, SERVICE, id="service-as-from"),
        pytest.param({"From": None, "MessagingServiceSid": SERVICE}, None, SERVICE, id="service"),
        pytest.param({"MessagingServiceSid": SERVICE}, FROM, SERVICE, id="service-and-sender"),
        pytest.param({"From": "", "MessagingServiceSid": SERVICE}, None, SERVICE, id="service-and-empty-from"),
        pytest.param(
            {"From": "MG" + "f" * 32, "MessagingServiceSid": SERVICE}, None, SERVICE, id="service-twice-named-one-wins"
        ),
        pytest.param({"From": "Postdate"}, "Postdate", None, id="alpha"),
        pytest.param({"From": "12345"}, "12345", None, id="short-code"),
        pytest.param({"From": " 15005550006"}, FROM, None, id="plus-became-a-space"),
        pytest.param({"From": "+1 (500) 555-0006"}, FROM, None, id="american"),
        pytest.param({"From": "whatsapp:+15005550006"}, "whatsapp:+15005550006", None, id="whatsapp"),
    ],
)
def test_whom_it_is_from(values: dict[str, str | None], sender: str | None, service: str | None) -> None:
    command = parse_send(sending(**values))
    assert (command.sender, command.service_sid) == (sender, service)


@pytest.mark.parametrize(
    ("body", "media", "fits"),
    [
        pytest.param("x" * LONGEST_BODY, [], True, id="as-long-as-allowed"),
        pytest.param("é" * LONGEST_BODY, [], True, id="as-long, two bytes each"),
        pytest.param("😀" * LONGEST_BODY, [], True, id="as-long, four bytes each"),
        pytest.param("x" * (LONGEST_BODY + 1), [], False, id="one-too-long"),
        pytest.param("x" * (LONGEST_BODY + 1), ["https://example.com/1"], False, id="one-too-long-with-media"),
        pytest.param("", ["https://example.com/1"] * MOST_MEDIA, True, id="only-media"),
    ],
)
def test_how_long_a_body_may_be(body: str, media: list[str], fits: bool) -> None:
    values = sending(Body=body, MediaUrl=media)
    if fits:
        assert parse_send(values).body == body
    else:
        assert rejection(values).code == 21617


def test_the_fragment_of_a_media_url_is_nothing_to_anybody() -> None:
    command = parse_send(sending(MediaUrl="https://example.com/1.png#rp=whatever"))
    assert command.media_urls == ("https://example.com/1.png",)


@hostile
def test_hostile_text_is_only_text(text: str) -> None:
    command = parse_send(sending(Body=text, MessageIntent=text, Tags=msgspec.json.encode({text: text}).decode()))
    assert command.body == text
    assert command.options.message_intent == text
    assert command.options.tags == {text: text}


# --- sending: SendAt -------------------------------------------------------------------------------------------------


def instant(at: datetime) -> Instant:
    return Instant((at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1))


NOON = instant(datetime(2030, 1, 1, 14, tzinfo=UTC))

SPELLINGS = [
    pytest.param("2030-01-01T14:00:00Z", 0, id="python-naive, announcement, php, ruby"),
    pytest.param("2030-01-01T23:00:00+09:00", 0, id="string-with-offset, go"),
    pytest.param("2030-01-01T23:00:00 09:00", 0, id="offset-whose-plus-became-a-space"),
    pytest.param("2030-01-01T23:00:00+0900", 0, id="offset-without-colon"),
    pytest.param("2030-01-01T23:00:00+09", 0, id="offset-in-hours"),
    pytest.param("2030-01-01T19:30:00+05:30", 0, id="offset-with-half-an-hour"),
    pytest.param("2030-01-01T04:00:00-10:00", 0, id="west"),
    pytest.param("2029-12-31T22:00:00-16:00", 0, id="the-day-before"),
    pytest.param("2030-01-01T14:00:00.000Z", 0, id="javascript-toISOString"),
    pytest.param("2030-01-01T14:00:00.250Z", 250_000, id="milliseconds"),
    pytest.param("2030-01-01T14:00:00.000001Z", 1, id="microseconds"),
    pytest.param("2030-01-01T14:00:00.0000001Z", 1, id="finer-than-we-keep-is-never-early"),
    pytest.param("2030-01-01T14:00:00.123456789Z", 123_457, id="java-instant-of-old"),
    pytest.param("2030-01-01T14:00:00,5Z", 500_000, id="comma"),
    pytest.param("2030-01-01T14:00Z", 0, id="no-seconds"),
    pytest.param("2030-01-01T14:00Z[UTC]", 0, id="java-11-utc"),
    pytest.param("2030-01-01T23:00+09:00[Asia/Tokyo]", 0, id="java-11-zoned"),
    pytest.param("2030-01-01T23:00 09:00[Asia/Tokyo]", 0, id="java-11-zoned, plus became a space"),
    pytest.param("2030-01-01t14:00:00z", 0, id="small-letters"),
    pytest.param("2030-01-01 14:00:00Z", 0, id="space-for-T"),
]

NOT_SPELLINGS = [
    pytest.param("2030-01-01T14:00:00", "zone", id="no-zone"),
    pytest.param("2030-01-01 14:00", "zone", id="no-zone-no-seconds"),
    pytest.param("2030-01-01T14:00:00.000", "zone", id="no-zone-with-fraction"),
    pytest.param("2016-07-31", "time of day", id="cli-date"),
    pytest.param("2030-01-01T14.44.47Z", "", id="csharp-culture"),
    pytest.param("14.44.47", "", id="csharp-culture-time"),
    pytest.param("Tue, 01 Jan 2030 14:00:00 +0000", "", id="rfc-2822"),
    pytest.param("01/01/2030 14:00:00 MST", "", id="american"),
    pytest.param("1893506400", "", id="epoch"),
    pytest.param("1893506400000", "", id="epoch-in-milliseconds"),
    pytest.param("2030-02-30T14:00:00Z", "", id="no-such-day"),
    pytest.param("2030-13-01T14:00:00Z", "", id="no-such-month"),
    pytest.param("2030-01-01T24:00:00Z", "", id="24:00"),
    pytest.param("2030-06-30T23:59:60Z", "", id="leap-second"),
    pytest.param("2030-01-01T14:00:00+19:00", "", id="no-such-offset"),
    pytest.param("2030-01-01T14:00:00 JST", "", id="zone-by-letters"),
    pytest.param("2030-01-01T14:00:00[Asia/Tokyo]", "", id="zone-without-offset"),
    pytest.param("30-01-01T14:00:00Z", "", id="two-digit-year"),
    pytest.param("+12030-01-01T14:00:00Z", "", id="far-year"),
    pytest.param("0000-01-01T14:00:00Z", "", id="year-nought"),
    pytest.param("２０３０-01-01T14:00:00Z", "", id="full-width-digits"),
    pytest.param("2030-01-01T14:00:00Z\n", "", id="newline-behind"),
    pytest.param("2030-01-01T14:00:00Z2030-01-01T14:00:00Z", "", id="twice"),
    pytest.param("tomorrow at 3pm", "", id="words"),
    pytest.param("<2030-01-01T14:00:00Z>", "", id="placeholder-left-in"),
    pytest.param("\0", "", id="nul"),
    pytest.param("9" * 10_000, "", id="long"),
]


def scheduled(send_at: str) -> Form:
    return sending(From=None, MessagingServiceSid=SERVICE, ScheduleType="fixed", SendAt=send_at)


@pytest.mark.parametrize(("text", "micros"), SPELLINGS)
def test_send_at_as_the_clients_spell_it(text: str, micros: int) -> None:
    assert parse_send(scheduled(text)).send_at == NOON + micros


@pytest.mark.parametrize(("text", "reason"), NOT_SPELLINGS)
def test_send_at_that_means_no_instant(text: str, reason: str) -> None:
    error = rejection(scheduled(text))
    assert (error.code, error.http_status) == (20001, 400)
    assert error.detail.startswith("SendAt: ")
    received = repr(text) if len(text) <= 64 else repr(text[:61])[:-1]
    assert received in error.detail
    assert "2030-01-01T14:00:00Z" in error.detail
    assert "+09:00" in error.detail
    assert reason in error.detail
    assert len(error.detail) < 400


@pytest.mark.parametrize("kind", ["fixed", "Fixed", "FIXED"])
def test_the_schedule_type_in_any_case(kind: str) -> None:
    assert parse_send(sending(ScheduleType=kind, SendAt="2030-01-01T14:00:00Z")).send_at == NOON


def test_neither_schedule_type_nor_send_at_sends_at_once() -> None:
    assert parse_send(sending()).send_at is None


# --- sending: what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "code", "told"),
    [
        pytest.param({"To": None}, 21604, "To", id="no-to"),
        pytest.param({"To": ""}, 21604, "To", id="empty-to"),
        pytest.param({"To": "hello"}, 21211, "'hello'", id="to-word"),
        pytest.param({"To": "4155550100"}, 21211, "E.164", id="to-without-plus"),
        pytest.param({"To": "12345"}, 21211, "'12345'", id="to-short-code"),
        pytest.param({"To": "+1415555010"}, 21211, "few digits", id="to-too-short"),
        pytest.param({"To": "+999123456789"}, 21211, "country", id="to-no-country"),
        pytest.param({"To": "fax:+14155550100"}, 21211, "channel", id="to-unknown-channel"),
        pytest.param({"To": "+14155550100,+14155550101"}, 21211, "", id="to-two"),
        pytest.param({"To": "<xxxxxxxxx>"}, 21211, "'<xxxxxxxxx>'", id="to-placeholder-left-in"),
        pytest.param({"To": "+1415555\x000100"}, 21211, "\\x00", id="to-nul"),
        pytest.param({"To": "+" + "1" * 10_000}, 21211, "...", id="to-endless"),
        pytest.param({"From": "Acme Incorporated"}, 21212, "11 letters", id="from-long-name"),
        pytest.param({"From": "a\nb"}, 21212, "\\n", id="from-newline"),
        pytest.param({"From": "1"}, 21212, "", id="from-one-digit"),
        pytest.param({"From": "whatsapp:hello"}, 21212, "", id="from-whatsapp-word"),
        pytest.param({"From": "mg" + "0" * 32}, 21212, "", id="from-small-mg"),
        pytest.param({"From": "MG123"}, None, "", id="from-short-mg-is-a-name"),
        pytest.param({"From": None}, None, "", id="no-from-is-for-the-account-to-judge"),
        pytest.param({"Body": None}, 21602, "Body", id="no-content"),
        pytest.param({"Body": ""}, 21602, "Body", id="empty-body"),
        pytest.param({"Body": "a\0b"}, 20001, "NUL", id="body-nul"),
        pytest.param({"StatusCallback": "example.com"}, 21609, "https://", id="callback-without-scheme"),
        pytest.param({"StatusCallback": "ftp://example.com"}, 21609, "https://", id="callback-ftp"),
        pytest.param({"StatusCallback": "https://a_b.example.com/"}, 21609, "underscore", id="callback-underscore"),
        pytest.param({"StatusCallback": "https:///x"}, 21609, "host", id="callback-without-host"),
        pytest.param({"StatusCallback": "https://example.com/a b"}, 21609, "blank", id="callback-blank"),
        pytest.param({"StatusCallback": "javascript:alert(1)"}, 21609, "https://", id="callback-javascript"),
        pytest.param({"StatusCallback": "https://bücher.example/"}, 21609, "xn--", id="callback-not-ascii"),
        pytest.param({"StatusCallback": "https://example.com:0/"}, 21609, "port", id="callback-port"),
        pytest.param({"StatusCallback": "https://example.com/#rc=x"}, 21609, "rc", id="callback-retries-no-number"),
        pytest.param({"StatusCallback": "https://example.com/#rp=x"}, 11243, "rp", id="callback-retry-policy"),
        pytest.param({"StatusCallback": "https://example.com/" + "x" * 4_000}, 21609, "4,000", id="callback-long"),
        pytest.param({"MediaUrl": "example.com/1.png"}, 21620, "MediaUrl: The URL must", id="media-without-scheme"),
        pytest.param({"MediaUrl": "file:///etc/passwd"}, 21620, "MediaUrl", id="media-file"),
        pytest.param({"MediaUrl": ["https://example.com/1", "x"]}, 21620, "MediaUrl", id="one-of-two-media"),
        pytest.param({"MediaUrl": ["https://example.com/1"] * 11}, 21623, "10", id="eleven-media"),
        pytest.param({"ContentSid": "HX1"}, 21655, "HX1", id="content-malformed"),
        pytest.param({"ContentSid": CONTENT.replace("HX", "MG")}, 21655, "MG", id="content-other-prefix"),
        pytest.param({"ContentVariables": "{}"}, 21654, "ContentSid", id="variables-without-content"),
        pytest.param({"MessagingServiceSid": "MG1"}, 21705, "MG1", id="service-short"),
        pytest.param({"MessagingServiceSid": "AC" + "0" * 32}, 21705, "AC", id="service-other-prefix"),
        pytest.param({"MessagingServiceSid": "MG" + "g" * 32}, 21705, "hex", id="service-no-hex"),
        pytest.param({"MessagingServiceSid": "<Your SID>"}, 21705, "<Your SID>", id="service-placeholder-left-in"),
        pytest.param({"ScheduleType": "fixed"}, 35111, "SendAt", id="no-send-at"),
        pytest.param({"ScheduleType": "fixed", "SendAt": ""}, 35111, "SendAt", id="empty-send-at"),
        pytest.param({"ScheduleType": "optimize", "SendAt": "x"}, 35126, "fixed", id="schedule-type"),
        pytest.param({"SendAt": "2030-01-01T14:00:00Z"}, 20001, "ScheduleType", id="no-schedule-type"),
        *(
            pytest.param({"ValidityPeriod": value}, 21624, "36000", id=f"validity {value}")
            for value in ("0", "36001", "-1", "1.5", "soon", "９", "1" * 30)
        ),
        pytest.param({"AddressRetention": "drop"}, 30030, "obfuscate", id="address-retention"),
        pytest.param({"ContentRetention": "drop"}, 30029, "discard", id="content-retention"),
        pytest.param({"ApplicationSid": "AP1"}, 21420, "AP1", id="application-malformed"),
        pytest.param({"ProvideFeedback": "perhaps"}, 20001, "ProvideFeedback", id="feedback-flag"),
        pytest.param({"SmartEncoded": "perhaps"}, 20001, "SmartEncoded", id="smart-flag"),
        pytest.param({"SendAsMms": "perhaps"}, 20001, "SendAsMms", id="mms-flag"),
        pytest.param({"Tags": "spring"}, 20001, "JSON", id="tags-no-json"),
        pytest.param({"Tags": "[]"}, 20001, "JSON", id="tags-list"),
        pytest.param({"Tags": '{"a": 1}'}, 20001, "JSON", id="tags-number"),
        pytest.param({"Tags": '{"a": "\\ud800"}'}, 20001, "JSON", id="tags-lone-surrogate"),
        pytest.param({"Tags": "[" * 30_000}, 20001, "JSON", id="tags-deep"),
    ],
)
def test_what_a_create_says_wrong(values: dict[str, str | list[str] | None], code: int | None, told: str) -> None:
    if code is None:
        parse_send(sending(**values))
        return
    error = rejection(sending(**values))
    assert error.code == code
    assert error.http_status == 400
    assert told in error.detail
    assert len(error.detail) < 500


PARAMETERS = [
    "To", "From", "MessagingServiceSid", "Body", "MediaUrl", "StatusCallback", "ApplicationSid", "ScheduleType",
    "SendAt", "ValidityPeriod", "ProvideFeedback", "SmartEncoded", "SendAsMms", "ContentRetention", "AddressRetention",
    "MessageIntent", "PersistentAction", "Tags", "ContentSid", "ContentVariables",
]  # fmt: skip
VALUES = st.one_of(
    TEXT,
    st.sampled_from([TO, FROM, SERVICE, "fixed", "2030-01-01T14:00:00Z", "https://example.com/", "true", "{}", "60"]),
)


@given(st.dictionaries(st.sampled_from(PARAMETERS), st.lists(VALUES, max_size=3)))
def test_a_create_is_a_command_or_a_documented_code(values: dict[str, list[str]]) -> None:
    try:
        result: SendMessage | Rejected = parse_send(Form(values))
    except Rejected as error:
        result = error
    if isinstance(result, Rejected):
        assert result.code in MEANINGS
        assert 400 <= result.http_status < 500
        assert msgspec.json.encode(error_json(result))
    else:
        assert result.body or result.media_urls or result.options.content_sid
        assert "\0" not in result.body + result.recipient + (result.sender or "")
        assert msgspec.json.encode(result)


# --- the resource ----------------------------------------------------------------------------------------------------

SENT = Instant(START + 5_000_001)


def test_a_scheduled_message_as_the_announcement_shows_it() -> None:
    sid = "SM" + "1" * 32
    at = instant(datetime(2021, 12, 31, 7, 56, 51, 999_999, UTC))
    body = "This is a reminder about your appointment tomorrow at 3PM with Dr. Strange"
    message = a_message(sid=sid, recipient="+17815367324", body=body, created_at=at, updated_at=at)
    uri = f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid}"
    shown_json = message_json(message)
    assert {name: value for name, value in shown_json.items() if name in TWILIO_FIELDS} == {
        "sid": sid,
        "date_created": "Fri, 31 Dec 2021 07:56:51 +0000",
        "date_updated": "Fri, 31 Dec 2021 07:56:51 +0000",
        "date_sent": None,
        "account_sid": ACCOUNT,
        "to": "+17815367324",
        "from": None,
        "messaging_service_sid": SERVICE,
        "body": body,
        "status": "scheduled",
        "num_segments": "0",
        "num_media": "0",
        "direction": "outbound-api",
        "api_version": "2010-04-01",
        "price": None,
        "price_unit": None,
        "error_code": None,
        "error_message": None,
        "uri": f"{uri}.json",
        "subresource_uris": {"media": f"{uri}/Media.json"},
    }


TWILIO_FIELDS = {
    "sid", "account_sid", "messaging_service_sid", "from", "to", "body", "status", "direction", "num_segments",
    "num_media", "price", "price_unit", "error_code", "error_message", "api_version", "date_created", "date_updated",
    "date_sent", "uri", "subresource_uris",
}  # fmt: skip


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(
            a_message(status=Status.SENT, sender=FROM, num_segments=3, sent_at=SENT, media_urls=("https://a/", "b")),
            {"status": "sent", "from": FROM, "num_segments": "3", "num_media": "2", "due_at": None},
            id="sent",
        ),
        pytest.param(
            a_message(status=Status.FAILED, error_code=30036),
            {"error_code": 30036, "error_message": MEANINGS[30036].sentence},
            id="failed",
        ),
        pytest.param(
            a_message(status=Status.FAILED, error_code=39999), {"error_code": 39999, "error_message": None},
            id="code-of-a-carrier",
        ),
        pytest.param(a_message(send_at=None, status=Status.QUEUED), {"send_at": None, "due_at": None}, id="at-once"),
        pytest.param(a_message(due_at=Instant(SEND_AT + 7_000_000)), {"send_at": "2030-03-17T18:46:40Z",
                     "due_at": "2030-03-17T18:46:47Z"}, id="held"),
        pytest.param(a_message(doubt_at=SENT, status=Status.SENDING), {"in_doubt": True, "status": "sending"},
                     id="doubt"),
        pytest.param(a_message(options=Options(tags={"a": "b"})), {"tags": {"a": "b"}, "in_doubt": False}, id="tags"),
        pytest.param(a_message(direction=Direction.INBOUND, status=Status.RECEIVED), {"direction": "inbound"},
                     id="inbound"),
        pytest.param(a_message(service_sid=None), {"messaging_service_sid": None}, id="no-service"),
        pytest.param(a_message(body="\u202e\"\\👩🏽‍🚀"), {"body": "\u202e\"\\👩🏽‍🚀"}, id="hostile-body"),
    ],
)  # fmt: skip
def test_a_message_is_shown(message: Message, expected: dict[str, object]) -> None:
    shown_json = message_json(message)
    assert {name: shown_json[name] for name in expected} == expected
    assert set(shown_json) >= TWILIO_FIELDS
    assert msgspec.json.decode(msgspec.json.encode(shown_json))["sid"] == message.sid


@pytest.mark.parametrize("asked", [True, False])
def test_feedback_is_linked_where_it_was_asked_for(asked: bool) -> None:
    message = a_message(options=Options(provide_feedback=asked))
    uri = f"/{API_VERSION}/Accounts/{ACCOUNT}/Messages/{message.sid}"
    links = {"media": f"{uri}/Media.json"} | ({"feedback": f"{uri}/Feedback.json"} if asked else {})
    assert message_json(message)["subresource_uris"] == links


@pytest.mark.parametrize("code", sorted(MEANINGS))
def test_an_error_has_the_four_keys_of_twilio_and_no_other(code: int) -> None:
    # A `type` and a `title` beside them would make the clients raise another exception.
    error = Rejected(code)
    assert error_json(error) == {
        "code": code,
        "message": MEANINGS[code].sentence,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": MEANINGS[code].http_status or 400,
    }
