"""The wire of callbacks: signature against Twilio's own validator, URL settings, retry rules, parameters, redaction."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from postdate.core.callback import (
    Answered,
    CallbackPolicy,
    CallbackResult,
    Forbidden,
    InvalidCallbackUrl,
    NotConnected,
    RetryOn,
    TimedOut,
    is_delivered,
    next_attempt,
    parse_callback_url,
    parse_overrides,
    policy_after,
    redacted,
    split_credentials,
    url_to_call,
)
from postdate.core.callback_form import (
    StatusChange,
    form_body,
    sign,
    sign_get,
    status_form,
    status_params,
    url_with_params,
)
from postdate.core.instant import MILLISECOND, SECOND
from postdate.core.message import Status

EVERY_KIND = frozenset({RetryOn.CONNECT, RetryOn.READ, RetryOn.CLIENT_ERROR, RetryOn.SERVER_ERROR})


class ManyValues:
    """A form as web frameworks hand it to Twilio's validator: several values under one name."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self._pairs])

    def __len__(self) -> int:
        return len(self._pairs)

    def getall(self, wanted: str) -> list[str]:
        return [value for name, value in self._pairs if name == wanted]


def twilio_accepts(token: str, url: str, params: ManyValues | Mapping[str, str], signature: str) -> bool:
    return bool(RequestValidator(token).validate(url, params, signature))


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
forms = st.lists(st.tuples(texts, texts), max_size=8)
hosts = st.sampled_from(["example.com", "example.com:8443", "a.b-c.example", "192.0.2.1:80", "xn--nxasmq6b.example"])
# No ";": Twilio's validator loses one at the end of a path, because urlparse takes it for empty parameters.
path_texts = st.text(st.sampled_from("abz09-._~!$&'()*+,=:@%/"), max_size=20)
urls = st.builds(
    lambda scheme, host, path, query: f"{scheme}://{host}/{path}" + (f"?{query}" if query else ""),
    st.sampled_from(["http", "https"]),
    hosts,
    path_texts,
    path_texts,
)


# --- the signature ---------------------------------------------------------------------------------------------------


def test_twilios_documented_example_is_signed_alike() -> None:
    params = [
        ("To", "+18005551212"),
        ("CallSid", "CA1234567890ABCDE"),
        ("From", "+14158675310"),
        ("Digits", "1234"),
        ("Caller", "+14158675310"),
    ]
    assert sign("https://mycompany.com/myapp.php?foo=1&bar=2", params, "12345") == "GvWf1cFY/Q7PnoempGyD5oXAezc="


@given(url=urls, params=forms, token=texts)
def test_twilios_validator_accepts_every_post(url: str, params: list[tuple[str, str]], token: str) -> None:
    assert twilio_accepts(token, url, ManyValues(params), sign(url, params, token))


@given(url=urls, params=forms)
def test_twilios_validator_accepts_every_get_at_its_whole_url(url: str, params: list[tuple[str, str]]) -> None:
    whole = url_with_params(url, params)
    assert twilio_accepts("12345", whole, {}, sign_get(whole, "12345"))


@given(url=urls, params=forms)
def test_the_receiver_of_a_form_reads_what_was_signed(url: str, params: list[tuple[str, str]]) -> None:
    received = parse_qsl(form_body(params), keep_blank_values=True)
    assert received == params
    assert twilio_accepts("12345", url, ManyValues(received), sign(url, params, "12345"))


@given(params=st.lists(st.tuples(texts, texts | st.from_regex(r"\+?[0-9a-z+:/ ]{0,9}", fullmatch=True))))
def test_a_form_is_encoded_as_everybody_does(params: list[tuple[str, str]]) -> None:
    assert form_body(params) == urlencode(params)


@pytest.mark.parametrize(
    ("configured", "seen"),
    [
        pytest.param("https://example.com/a#rc=3&rp=all", "https://example.com/a", id="fragment"),
        pytest.param("https://user:pass@example.com/a", "https://example.com/a", id="user-info"),
        pytest.param("https://example.com", "https://example.com/", id="empty-path"),
        pytest.param("https://example.com?a=b", "https://example.com/?a=b", id="empty-path-and-query"),
    ],
)
def test_what_is_signed_is_what_the_receiver_sees(configured: str, seen: str) -> None:
    signature = sign(configured, [("MessageStatus", "sent")], "12345")
    assert twilio_accepts("12345", seen, {"MessageStatus": "sent"}, signature)


@pytest.mark.parametrize(
    "other",
    [
        sign("https://example.com/b", [("A", "1")], "12345"),
        sign("https://example.com/a", [("A", "2")], "12345"),
        sign("https://example.com/a", [("A", "1")], "12346"),
    ],
    ids=["url", "params", "token"],
)
def test_anything_else_is_signed_otherwise(other: str) -> None:
    assert sign("https://example.com/a", [("A", "1")], "12345") != other


_SIDS = st.from_regex(r"[A-Z]{2}[0-9a-f]{32}", fullmatch=True)
_PLACES = st.one_of(st.from_regex(r"\+?[0-9]{1,15}", fullmatch=True), st.text(min_size=1))


@given(
    st.builds(
        StatusChange,
        account_sid=_SIDS,
        message_sid=_SIDS,
        status=st.sampled_from(Status),
        to=_PLACES,
        from_=st.none() | _PLACES,
        messaging_service_sid=st.none() | _SIDS,
        error_code=st.none() | st.integers(30000, 63999),
        error_message=st.none() | st.text(min_size=1),
        channel=st.none() | st.just("whatsapp"),
    )
)
def test_the_form_of_a_status_is_the_form_of_its_parameters(change: StatusChange) -> None:
    params = status_params(change)
    assert status_form(change) == (form_body(params), "".join(name + value for name, value in sorted(params)))


def test_repeated_names_are_signed_once_per_value_in_order() -> None:
    scattered = [("M", "b"), ("A", "x"), ("M", "a"), ("M", "b")]
    tidy = [("A", "x"), ("M", "a"), ("M", "b")]
    assert sign("https://example.com/", scattered, "t") == sign("https://example.com/", tidy, "t")


# --- the URL ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/status",
        "http://example.com",
        "HTTPS://Example.COM/Status?x=%20y&z=a+b#rc=3&rp=5xx,ct",
        "https://user:p%40ss@example.com:8443/status",
        "http://localhost:8080/",
        "http://127.0.0.1/",
        "http://[::1]:9000/a",
        "https://example.com./a",
        "https://example.com/" + "a" * 3_980,
    ],
)
def test_a_callable_url_is_taken_as_it_is(url: str) -> None:
    assert parse_callback_url(f"  {url}\n") == url


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        pytest.param("", "empty", id="empty"),
        pytest.param("example.com/status", "https://", id="no-scheme"),
        pytest.param("ftp://example.com/", "https://", id="other-scheme"),
        pytest.param("https:/example.com", "https://", id="one-slash"),
        pytest.param("https://", "names no host", id="no-host"),
        pytest.param("https:///status", "names no host", id="empty-host"),
        pytest.param("https://user:pass@/status", "names no host", id="user-info-only"),
        pytest.param("https://my_host.example/", "underscore", id="underscore"),
        pytest.param("https://a..example/", "host name", id="empty-label"),
        pytest.param(f"https://{'a' * 64}.example/", "63", id="long-label"),
        pytest.param(f"https://{'a.' * 127}example/", "host name", id="long-host"),
        pytest.param("https://-a.example/", "host name", id="hyphen-first"),
        pytest.param("https://a%2eexample/", "host name", id="encoded-host"),
        pytest.param("http://[fe80::1%25eth0]/", "host name", id="zone"),
        pytest.param("http://[::1/", "cannot be read", id="open-bracket"),
        pytest.param("https://example.com:99999/", "cannot be read", id="port-too-high"),
        pytest.param("https://example.com:http/", "cannot be read", id="port-word"),
        pytest.param("https://example.com:0/", "port is 0", id="port-zero"),
        pytest.param("https://example.com/a b", "percent-encode", id="blank"),
        pytest.param("https://example.com/a\r\nX-Header: 1", "percent-encode", id="line-break"),
        pytest.param("https://example.com\\@other.example/", "percent-encode", id="backslash"),
        pytest.param("https://example.com/ä", "percent-encode", id="not-ascii"),
        pytest.param("https://例え.example/", "xn--", id="host-not-ascii"),
        pytest.param("https://example.com/" + "a" * 3_981, "4,000", id="too-long"),
    ],
)
def test_any_other_url_is_refused_with_advice(url: str, advice: str) -> None:
    with pytest.raises(InvalidCallbackUrl) as refused:
        parse_callback_url(url)
    assert advice in str(refused.value)
    assert refused.value.code == 21609


@pytest.mark.parametrize(
    "url",
    [
        "https://user:s3cret@my_host.example/?key=s3cret",
        "https://user:s3cret@example.com:0/?key=s3cret",
        "https://user:s3cret@example.com/ ?key=s3cret",
        "gopher://user:s3cret@example.com/?key=s3cret",
        "https://user:s3cret@example.com/?key=s3cret#rp=s3cret",
        "https://user:s3cret@example.com/?key=s3cret#ct=s3cret",
    ],
)
def test_a_refusal_does_not_repeat_secrets(url: str) -> None:
    with pytest.raises(InvalidCallbackUrl) as refused:
        parse_callback_url(url)
    assert "s3cret" not in str(refused.value) + repr(refused.value)


def test_a_bad_retry_policy_is_refused_when_the_url_is_given() -> None:
    with pytest.raises(InvalidCallbackUrl) as refused:
        parse_callback_url("https://example.com/#rp=3xx")
    assert refused.value.code == 11243


@given(url=urls, fragment=path_texts)
def test_the_fragment_is_never_called(url: str, fragment: str) -> None:
    assert url_to_call(f"{url}#{fragment}") == url


@given(url=urls, params=st.lists(st.tuples(texts, texts), min_size=1, max_size=5))
def test_a_get_appends_its_parameters_to_the_urls_own_query(url: str, params: list[tuple[str, str]]) -> None:
    whole = url_with_params(url + "#rc=1", params)
    assert whole.startswith(url)
    own = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    assert parse_qsl(urlsplit(whole).query, keep_blank_values=True) == own + params


@pytest.mark.parametrize(
    ("url", "bare", "authorization"),
    [
        pytest.param("https://example.com/a@b", "https://example.com/a@b", None, id="at-sign-in-the-path"),
        # RFC 7617, section 2
        pytest.param(
            "https://Aladdin:open%20sesame@example.com/",
            "https://example.com/",
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            id="rfc-example",
        ),
        # RFC 7617, section 2.1
        pytest.param("http://test:123%C2%A3@h:8080/x?y", "http://h:8080/x?y", "Basic dGVzdDoxMjPCow==", id="rfc-utf-8"),
        pytest.param("https://user@example.com/", "https://example.com/", "Basic dXNlcjo=", id="no-password"),
    ],
)
def test_user_info_becomes_a_header(url: str, bare: str, authorization: str | None) -> None:
    assert split_credentials(url) == (bare, authorization)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.com/status", "https://example.com/status"),
        ("https://user:s3cret@example.com:8443/a", "https://example.com:8443/a"),
        ("https://example.com/a?key=s3cret&flag&x=", "https://example.com/a?key=***&***&x=***"),
        ("https://example.com/a#rc=3&s3cret", "https://example.com/a"),
        ("https://example.com?s3cret", "https://example.com/?***"),
        ("user:s3cret@example.com", "(not a URL)"),
    ],
)
def test_a_url_in_a_log_holds_no_secret(url: str, shown: str) -> None:
    assert redacted(url) == shown


# --- the settings behind the # ---------------------------------------------------------------------------------------


def test_twilios_defaults_hold_without_a_fragment() -> None:
    assert parse_overrides("https://example.com/status?rc=5") == CallbackPolicy(
        connect_timeout=5 * SECOND,
        read_timeout=15 * SECOND,
        total_timeout=15 * SECOND,
        retries=1,
        retry_on=frozenset({RetryOn.CONNECT}),
    )


@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        ("ct=2000", CallbackPolicy(connect_timeout=2_000 * MILLISECOND)),
        ("rt=300&tt=900", CallbackPolicy(read_timeout=300 * MILLISECOND, total_timeout=900 * MILLISECOND)),
        ("ct=1&rt=1&tt=1", CallbackPolicy(100 * MILLISECOND, 100 * MILLISECOND, 100 * MILLISECOND)),
        ("ct=99999&rt=99999&tt=99999", CallbackPolicy(10 * SECOND, 15 * SECOND, 15 * SECOND)),
        ("rc=0", CallbackPolicy(retries=0)),
        ("rc=9", CallbackPolicy(retries=5)),
        ("rc=-1", CallbackPolicy(retries=0)),
        ("rp=5xx", CallbackPolicy(retry_on=frozenset({RetryOn.SERVER_ERROR}))),
        ("rp=rt,4XX", CallbackPolicy(retry_on=frozenset({RetryOn.READ, RetryOn.CLIENT_ERROR}))),
        ("rp=5xx%2Cct", CallbackPolicy(retry_on=frozenset({RetryOn.SERVER_ERROR, RetryOn.CONNECT}))),
        ("rp=all", CallbackPolicy(retry_on=EVERY_KIND)),
        ("rp=ct,all", CallbackPolicy(retry_on=EVERY_KIND)),
        ("e=ashburn,dublin&sni=n&colour=blue", CallbackPolicy()),
        ("top", CallbackPolicy()),
        ("", CallbackPolicy()),
    ],
)
def test_a_fragment_sets_the_policy_within_bounds(fragment: str, expected: CallbackPolicy) -> None:
    assert parse_overrides(f"https://example.com/#{fragment}") == expected


@pytest.mark.parametrize(
    ("fragment", "code"),
    [("rp=3xx", 11243), ("rp=", 11243), ("rp=ct,,rt", 11243), ("ct=fast", 21609), ("rc=", 21609), ("tt=1.5", 21609)],
)
def test_a_setting_that_cannot_be_read_is_refused(fragment: str, code: int) -> None:
    with pytest.raises(InvalidCallbackUrl) as refused:
        parse_overrides(f"https://example.com/#{fragment}")
    assert refused.value.code == code


# --- again? ----------------------------------------------------------------------------------------------------------

OUTCOMES: dict[str, CallbackResult] = {
    "200": Answered(200),
    "204": Answered(204),
    "302": Answered(302),
    "404": Answered(404),
    "500": Answered(500),
    "refused": NotConnected("connection refused"),
    "silent": TimedOut("no answer"),
    "private": Forbidden("not public"),
}


@pytest.mark.parametrize(
    ("retry_on", "again"),
    [
        (frozenset({RetryOn.CONNECT}), {"refused"}),
        (frozenset({RetryOn.READ}), {"silent"}),
        (frozenset({RetryOn.CLIENT_ERROR}), {"404"}),
        (frozenset({RetryOn.SERVER_ERROR}), {"500"}),
        (EVERY_KIND, {"404", "500", "refused", "silent"}),
    ],
    ids=["ct", "rt", "4xx", "5xx", "all"],
)
def test_only_what_the_policy_names_is_tried_again(retry_on: frozenset[RetryOn], again: set[str]) -> None:
    policy = CallbackPolicy(retry_on=retry_on)
    assert {name for name, result in OUTCOMES.items() if next_attempt(policy, 1, result, 0.5) is not None} == again


def test_a_500_is_not_tried_again_by_default_but_a_refused_connection_once() -> None:
    assert next_attempt(CallbackPolicy(), 1, Answered(500), 0.0) is None
    assert next_attempt(CallbackPolicy(), 1, NotConnected("refused"), 0.0) is not None
    assert next_attempt(CallbackPolicy(), 2, NotConnected("refused"), 0.0) is None


@given(retries=st.integers(0, 5), jitter=st.floats(0, 1, exclude_max=True))
def test_there_are_as_many_retries_as_asked_for_each_after_a_longer_wait(retries: int, jitter: float) -> None:
    policy = CallbackPolicy(retries=retries)
    waits = [next_attempt(policy, attempt, NotConnected(""), jitter) for attempt in range(1, 9)]
    assert [wait is not None for wait in waits] == [True] * retries + [False] * (8 - retries)
    kept = [wait for wait in waits if wait is not None]
    assert kept == sorted(set(kept))
    assert all(wait >= 100 * MILLISECOND for wait in kept)
    assert sum(kept) < policy.total_timeout


def test_chance_spreads_the_waits() -> None:
    waits = {next_attempt(CallbackPolicy(), 1, NotConnected(""), step / 10) for step in range(10)}
    assert len(waits) == 10


def test_no_attempt_begins_after_the_total() -> None:
    policy = CallbackPolicy(retries=5)
    wait = next_attempt(policy, 1, NotConnected(""), 0.0)
    assert wait is not None
    assert next_attempt(policy, 1, NotConnected(""), 0.0, elapsed=policy.total_timeout - wait - 1) == wait
    assert next_attempt(policy, 1, NotConnected(""), 0.0, elapsed=policy.total_timeout - wait) is None


@pytest.mark.parametrize("attempt", [0, -1])
def test_attempts_count_from_one(attempt: int) -> None:
    with pytest.raises(ValueError, match="from 1"):
        next_attempt(CallbackPolicy(), attempt, NotConnected(""), 0.0)


def test_a_later_attempt_has_what_is_left_of_the_total() -> None:
    policy = CallbackPolicy(total_timeout=15 * SECOND)
    assert policy_after(policy, 4 * SECOND).total_timeout == 11 * SECOND
    assert policy_after(policy, 4 * SECOND).read_timeout == policy.read_timeout
    assert policy_after(policy, 16 * SECOND).total_timeout == 0


def test_only_a_2xx_counts_as_delivered() -> None:
    assert {name for name, result in OUTCOMES.items() if is_delivered(result)} == {"200", "204"}


# --- what is told ----------------------------------------------------------------------------------------------------


def change(status: str, **more: Any) -> StatusChange:
    return StatusChange(account_sid="AC1", message_sid="SM1", status=status, to="+15005550006", **more)


def test_a_sent_message_tells_the_essentials_in_order() -> None:
    assert status_params(change("sent", from_="+15005550001", messaging_service_sid="MG1")) == (
        ("AccountSid", "AC1"),
        ("MessageSid", "SM1"),
        ("SmsSid", "SM1"),
        ("MessageStatus", "sent"),
        ("SmsStatus", "sent"),
        ("From", "+15005550001"),
        ("To", "+15005550006"),
        ("ApiVersion", "2010-04-01"),
        ("MessagingServiceSid", "MG1"),
    )


def test_a_canceled_message_without_a_sender_has_no_from() -> None:
    names = {name for name, _ in status_params(change("canceled"))}
    assert "From" not in names
    assert "MessagingServiceSid" not in names


FULL = {
    status: StatusChange(
        account_sid="AC1",
        message_sid="SM1",
        status=status,
        to="whatsapp:+15005550006",
        error_code=30005,
        error_message="unknown number",
        raw_dlr_done_date="2607171206",
        channel="whatsapp",
    )
    for status in Status
}


@pytest.mark.parametrize(
    ("name", "value", "statuses"),
    [
        ("ErrorCode", "30005", {"failed", "undelivered"}),
        ("ErrorMessage", "unknown number", {"failed", "undelivered"}),
        ("ChannelStatusMessage", "unknown number", {"failed", "undelivered"}),
        ("RawDlrDoneDate", "2607171206", {"delivered", "undelivered"}),
        ("EventType", "READ", {"read"}),
    ],
)
def test_a_parameter_is_told_only_with_its_statuses(name: str, value: str, statuses: set[str]) -> None:
    told = {status: dict(status_params(full)).get(name) for status, full in FULL.items()}
    assert {status for status, found in told.items() if found is not None} == statuses
    assert set(told.values()) == {None, value}


def test_an_sms_tells_nothing_of_channels() -> None:
    names = {name for status in Status for name, _ in status_params(change(status, error_message="x"))}
    assert not names & {"ChannelPrefix", "ChannelStatusMessage", "EventType"}


def test_a_receipt_without_a_date_tells_none() -> None:
    assert "RawDlrDoneDate" not in dict(status_params(change("delivered")))
