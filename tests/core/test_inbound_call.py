"""Whom a message that came in is told to, and in which words: Twilio's."""

from typing import Any

import pytest

from postdate.core.inbound_call import InboundWebhook, after_failure, inbound_params, webhook_of
from postdate.core.resources import Application, Webhooks
from tests.flow.building import START, a_sender, a_service
from tests.store.building import an_inbound_message

APPLICATION = "AP" + "1" * 32
OF_SERVICE = {
    "inbound_request_url": "https://a.example/service", "inbound_method": "GET",
    "fallback_url": "https://a.example/else", "fallback_method": "POST",
}  # fmt: skip
OF_NUMBER = {
    "sms_url": "https://a.example/number", "sms_method": "POST", "sms_fallback_url": None, "sms_fallback_method": "GET",
}  # fmt: skip
SERVICE_HOOK = InboundWebhook("https://a.example/service", "GET", "https://a.example/else", "POST")
NUMBER_HOOK = InboundWebhook("https://a.example/number", "POST", None, "GET")
APPLICATION_HOOK = InboundWebhook("https://a.example/app", "POST", None, "POST")


@pytest.mark.parametrize(
    ("service", "defers", "number", "application", "expected"),
    [
        (OF_SERVICE, False, OF_NUMBER, None, SERVICE_HOOK),
        (OF_SERVICE, True, OF_NUMBER, None, NUMBER_HOOK),
        ({}, False, OF_NUMBER, None, None),
        (OF_SERVICE, True, {}, None, None),
        (None, False, OF_NUMBER, None, NUMBER_HOOK),
        (None, False, {}, None, None),
        (None, False, OF_NUMBER, {"sms_url": "https://a.example/app"}, APPLICATION_HOOK),
        (None, False, OF_NUMBER, {}, None),
    ],
)
def test_whom_to_tell(
    service: dict[str, Any] | None,
    defers: bool,
    number: dict[str, Any],
    application: dict[str, Any] | None,
    expected: InboundWebhook | None,
) -> None:
    named = {"sms_application_sid": APPLICATION} if application is not None else {}
    found = Application(
        sid=APPLICATION, account_sid="AC", friendly_name="App", webhooks=Webhooks(**(application or {})),
        created_at=START, updated_at=START,
    )  # fmt: skip
    assert expected == webhook_of(
        a_sender(webhooks=Webhooks(**number, **named)),
        a_service(**service, use_inbound_webhook_on_number=defers) if service is not None else None,
        found if application is not None else None,
    )


def test_an_application_that_is_gone_takes_the_numbers_own_url_with_it() -> None:
    hooks = Webhooks(sms_url="https://a.example/number", sms_application_sid=APPLICATION)
    assert webhook_of(a_sender(webhooks=hooks), None, None) is None


def test_what_is_told() -> None:
    message = an_inbound_message(
        body="予約 & 確認", sender="+819012345678", recipient="+12125550001", num_segments=2, service_sid="MG1",
        media_urls=("https://a.example/1", "https://a.example/2"),
    )  # fmt: skip
    assert dict(inbound_params(message)) == {
        "MessageSid": message.sid, "SmsSid": message.sid, "SmsMessageSid": message.sid, "SmsStatus": "received",
        "AccountSid": message.account_sid, "MessagingServiceSid": "MG1", "From": "+819012345678", "To": "+12125550001",
        "Body": "予約 & 確認", "NumSegments": "2", "NumMedia": "2", "MediaUrl0": "https://a.example/1",
        "MediaUrl1": "https://a.example/2", "FromCountry": "JP", "ToCountry": "US", "ApiVersion": "2010-04-01",
    }  # fmt: skip


@pytest.mark.parametrize(("body", "word"), [("stop", "STOP"), ("Start.", "START"), ("HELP", "HELP"), ("Stop it", None)])
def test_the_words_that_opt_out_and_in_are_named(body: str, word: str | None) -> None:
    assert dict(inbound_params(an_inbound_message(body=body))).get("OptOutType") == word


def test_over_whatsapp_the_writers_id_is_told_and_no_media_are_counted_as_none() -> None:
    message = an_inbound_message(sender="whatsapp:+4915123456789", recipient="whatsapp:+12125550001", media_urls=())
    told = dict(inbound_params(message))
    assert (told["WaId"], told["From"], told["FromCountry"]) == ("4915123456789", "whatsapp:+4915123456789", "DE")
    assert (told["NumMedia"], told["Body"]) == ("0", message.body)
    assert "MessagingServiceSid" not in told or message.service_sid is not None


def test_a_short_code_has_no_country_and_is_told_all_the_same() -> None:
    told = dict(inbound_params(an_inbound_message(sender="40404", service_sid=None)))
    assert told["From"] == "40404"
    assert not {"FromCountry", "MessagingServiceSid", "WaId", "OptOutType"} & told.keys()


def test_a_fallback_hears_why() -> None:
    params = inbound_params(an_inbound_message())
    assert after_failure(params, 11200, "https://a.example/in") == (
        *params, ("ErrorCode", "11200"), ("ErrorUrl", "https://a.example/in"),
    )  # fmt: skip
