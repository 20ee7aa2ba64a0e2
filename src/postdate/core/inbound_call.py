"""What a customer's server is told of a message that came in, and which server that is: Twilio's inbound webhook."""

from typing import NamedTuple

from postdate.core.address import Channel, country_code
from postdate.core.callback import split_credentials, url_to_call
from postdate.core.callback_form import API_VERSION, Params
from postdate.core.keywords import keyword
from postdate.core.message import Message
from postdate.core.resources import Application, Sender, Service, Webhooks
from postdate.core.sender import channel_of, number_of


class InboundWebhook(NamedTuple):
    """Where a message that came in is told, and where else if that fails."""

    url: str
    method: str
    fallback_url: str | None
    fallback_method: str


def webhook_of(sender: Sender, service: Service | None, application: Application | None) -> InboundWebhook | None:
    """Return whom to tell what came in for a sender: its service, unless that defers to the number; None: nobody."""
    if service is not None and not service.use_inbound_webhook_on_number:
        return _webhook(
            service.inbound_request_url, service.inbound_method, service.fallback_url, service.fallback_method
        )
    if sender.webhooks.sms_application_sid is not None:
        hooks = application.webhooks if application is not None else Webhooks()
    else:
        hooks = sender.webhooks
    return _webhook(hooks.sms_url, hooks.sms_method, hooks.sms_fallback_url, hooks.sms_fallback_method)


def _webhook(url: str | None, method: str, fallback_url: str | None, fallback_method: str) -> InboundWebhook | None:
    return InboundWebhook(url, method, fallback_url or None, fallback_method) if url else None


def inbound_params(message: Message) -> Params:
    """Return what is told of a message that came in, with Twilio's names; what is not known is left out."""
    ours, theirs = message.recipient, message.sender or ""
    word = keyword(message.body)
    given: list[tuple[str, str | None]] = [
        ("ToCountry", country_code(number_of(ours)) or None),
        ("FromCountry", country_code(number_of(theirs)) or None),
        ("MessageSid", message.sid),
        ("SmsSid", message.sid),
        ("SmsMessageSid", message.sid),
        ("SmsStatus", message.status),
        ("AccountSid", message.account_sid),
        ("MessagingServiceSid", message.service_sid),
        ("From", theirs),
        ("To", ours),
        ("Body", message.body),
        ("NumSegments", str(message.num_segments)),
        ("NumMedia", str(len(message.media_urls))),
        *((f"MediaUrl{place}", url) for place, url in enumerate(message.media_urls)),
        ("WaId", number_of(theirs).removeprefix("+") if channel_of(theirs) is Channel.WHATSAPP else None),
        ("OptOutType", word.value if word is not None else None),
        ("ApiVersion", API_VERSION),
    ]
    return tuple([(name, value) for name, value in given if value is not None])


def after_failure(params: Params, code: int, url: str) -> Params:
    """Return what a fallback URL is told beside: why the one before it did not do, and which, without user info."""
    return (*params, ("ErrorCode", str(code)), ("ErrorUrl", split_credentials(url_to_call(url))[0]))
