"""What all providers read alike: what statuses mean, whose word on a SID counts, and texts of enemies."""

import re
from collections.abc import Callable
from contextlib import suppress
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.connectors.contract import Receipt
from postdate.connectors.kinds import KINDS, kind_of, read_settings
from postdate.connectors.providers import (
    aws,
    bandwidth,
    bird,
    generic,
    httpsms,
    infobip,
    messagebird,
    plain_http,
    plivo,
    sinch,
    smsgate,
    telnyx,
    twilio,
    vonage,
    whatsapp,
)
from postdate.connectors.providers.contract import BadEvent, Provider
from postdate.connectors.providers.reading import (
    OPERATORS_STATUSES,
    by_status,
    decode_event,
    fit_event,
    links,
    read_form,
    read_retry_after,
)
from postdate.core.instant import DAY
from postdate.core.outcome import Busy, InDoubt, Outcome, Refused
from tests.connectors.providers.building import NOW, SID, answer, call, submission

OTHER = "SM000000000000000000000000000000ff"


@given(st.integers(100, 599), st.binary(max_size=16) | st.sampled_from([b"{}", b"[]", b"<html>"]))
def test_a_status_is_a_yes_a_no_a_wait_or_a_doubt(status: int, body: bytes) -> None:
    outcome = by_status(answer(status, body), 200, 202)
    if status in (200, 202):
        assert outcome is None
    elif status in OPERATORS_STATUSES | {429}:
        assert isinstance(outcome, Busy)
    elif not 400 <= status <= 499 or status in (408, 409, 425):
        assert isinstance(outcome, InDoubt)
    else:
        assert (outcome is None) == (body == b"{}")


# What each carrier says of a message that it calls OTHER, to the URL that was given out for SID.
REPEATED: dict[str, tuple[Provider, object]] = {
    "vonage": (
        vonage.Vonage(vonage.Settings(api_key="k", api_secret="s")),
        {"message_uuid": "x", "status": "delivered", "client_ref": OTHER},
    ),
    "sinch": (
        sinch.SinchPlan(sinch.Settings(service_plan_id="p", api_token="t")),
        {
            "type": "recipient_delivery_report_sms", "batch_id": "x", "status": "Delivered", "client_reference": OTHER,
        },
    ),
    "infobip": (
        infobip.Infobip(infobip.Settings(api_key="k")),
        {"results": [{"messageId": OTHER, "status": {"groupName": "DELIVERED", "id": 5}, "callbackData": OTHER}]},
    ),
    "bandwidth": (
        bandwidth.Bandwidth(
            bandwidth.Settings(account_id="a", username="u", password="p", application_id="i")
        ),
        [{"type": "message-delivered", "message": {"id": "x", "tag": OTHER}}],
    ),
    "bird": (
        bird.Bird(bird.Settings(access_key="k", workspace_id="w", channel_id="c", sender="+15550001111")),
        {
            "service": "channels", "event": "sms.outbound",
            "payload": {"id": "x", "status": "delivered", "reference": OTHER},
        },
    ),
    "smsgate": (
        smsgate.SmsGate(smsgate.Settings(username="u", password="p")),
        {"id": "e", "event": "sms:delivered", "payload": {"messageId": OTHER}},
    ),
    "httpsms": (
        httpsms.HttpSms(httpsms.Settings(api_key="k")),
        {"type": "message.phone.delivered", "data": {"id": "x", "request_id": OTHER}},
    ),
}  # fmt: skip


PROVIDERS: tuple[ModuleType, ...] = (
    aws, bandwidth, bird, generic, httpsms, infobip, messagebird, plain_http, plivo, sinch, smsgate, telnyx, twilio,
    vonage, whatsapp,
)  # fmt: skip
SAMPLES: dict[str, dict[str, str]] = {
    "twilio": {"account_sid": "AC" + "0" * 32, "auth_token": "t"},
    "vonage": {"api_key": "k", "api_secret": "s"},
    "telnyx": {"api_key": "k"},
    "plivo": {"auth_id": "MA" + "0" * 18, "auth_token": "t"},
    "sinch": {"service_plan_id": "p", "api_token": "t"},
    "infobip": {"api_key": "k"},
    "bird": {"access_key": "k", "workspace_id": "w", "channel_id": "c", "sender": "+15550001111"},
    "messagebird": {"access_key": "k"},
    "bandwidth": {"account_id": "a", "username": "u", "password": "p", "application_id": "i"},
    "aws": {"access_key_id": "k", "secret_access_key": "s", "region": "us-east-1"},
    "whatsapp": {"access_token": "t", "phone_number_id": "1"},
    "smsgate": {"username": "u", "password": "p"},
    "httpsms": {"api_key": "k"},
    "generic": {"url": "https://gateway.example/?to={to}&text={body}"},
    "plain-http": {"url": "https://gateway.example/"},
}
# These have no words of their own for a refusal, or say it without any.
WORDLESS = {"generic", "plain-http"}


def outcome_of(kind: str, status: int, body: bytes) -> Outcome:
    settings = read_settings(kind_of(kind), SAMPLES[kind])
    (module,) = [one for one in PROVIDERS if one.KIND.name == kind]
    provider: Provider = module.KIND.make(settings)
    return provider.outcome(submission(), answer(status, body))


def test_every_carrier_is_among_the_samples() -> None:
    assert set(SAMPLES) == {one.KIND.name for one in PROVIDERS}
    assert all(re.fullmatch("[a-z]+(-[a-z]+)*", name) for name in KINDS)


@pytest.mark.parametrize("kind", SAMPLES)
@pytest.mark.parametrize("body", [b"", b"<html>", b"{}"])
@pytest.mark.parametrize("status", [*sorted(OPERATORS_STATUSES), 429])
def test_what_is_about_the_connection_fails_no_message(kind: str, status: int, body: bytes) -> None:
    assert isinstance(outcome_of(kind, status, body), Busy)


@pytest.mark.parametrize("kind", SAMPLES)
@pytest.mark.parametrize("status", [301, 400, 408, 409, 413, 431, 500, 502, 504])
def test_a_page_on_the_way_is_no_word_of_the_carriers(kind: str, status: int) -> None:
    outcome = outcome_of(kind, status, b"<html>the message was not sent")
    refuses = kind in WORDLESS and status in (400, 413, 431)
    assert isinstance(outcome, Refused if refuses else InDoubt)


@pytest.mark.parametrize(("provider", "told"), REPEATED.values(), ids=REPEATED.keys())
def test_the_sid_of_the_url_counts_before_what_the_body_repeats(provider: Provider, told: object) -> None:
    for sid, expected in ((SID, SID), (None, OTHER)):
        (receipt,) = provider.events(call(told, sid=sid)).events
        assert isinstance(receipt, Receipt)
        assert receipt.sid == expected


def test_the_sid_of_the_url_counts_in_a_query_too() -> None:
    provider = messagebird.MessageBird(messagebird.Settings(access_key="k"))
    query = (("id", "x"), ("status", "delivered"), ("reference", OTHER))
    (receipt,) = provider.events(call(method="GET", query=query, sid=SID)).events
    assert isinstance(receipt, Receipt)
    assert receipt.sid == SID


READERS: list[Callable[[bytes], object]] = [
    lambda raw: decode_event(raw, dict[str, int]),
    lambda raw: fit_event(dict(read_form(raw)), dict[str, int]),
]


@pytest.mark.parametrize("read", READERS)
@given(raw=st.binary(max_size=64) | st.text(max_size=64).map(str.encode))
def test_whatever_comes_is_read_or_a_bad_event(read: Callable[[bytes], object], raw: bytes) -> None:
    with suppress(BadEvent):
        read(raw)


@pytest.mark.parametrize(
    "told", ["", "x", "file:///etc/passwd", "javascript:x", "https://", "https://a b", "https://a\n", "https://é", None]
)
def test_what_is_no_link_is_no_medium(told: str | None) -> None:
    good = "https://user@a.example/x?signed=1#y"
    assert links([told, good, told, "http://b.example/" + "x" * 4096]) == (good,)
    assert len(links([good] * 51)) == 50


@given(
    st.text(max_size=40) | st.from_regex(r"[A-Z][a-z]{2}, [0-9]{1,9} [A-Z][a-z]{2} [0-9]{1,9} [0-9:]{1,9} ?[A-Z]{0,3}")
)
def test_whatever_asks_us_to_wait_is_a_day_at_most(text: str) -> None:
    wait = read_retry_after(text, NOW)
    assert wait is None or 0 <= wait <= DAY
