"""The account's senders on WhatsApp and other channels: `/postdate/v1/ChannelSenders`.

Ours: Twilio has its customers register them in forms of each channel. Here a POST with `Sender=whatsapp:+…` gives it a
SID (XE), with which it is added to a messaging service as at Twilio.
"""

from typing import Any

from postdate.api.configuration import all_owned, dates_iso, page_v1
from postdate.api.endpoint import Answer, Request
from postdate.api.senders import extension_json, found_sender, new_sender, register, remove_sender, update_sender
from postdate.api.twilio import shown
from postdate.core.address import Channel, InvalidAddress, SenderKind, country_code, parse_sender
from postdate.core.errors import Rejected
from postdate.core.resources import Sender
from postdate.core.sender import channel_of, number_of

_WHAT = "channel sender"
_TYPES = {Channel.WHATSAPP: "WhatsApp", Channel.RCS: "RCS", Channel.MESSENGER: "Messenger"}


def type_of(sender: Sender) -> str:
    """Return Twilio's name for the channel of a sender."""
    return _TYPES[channel_of(sender.address)]


def _sender_json(request: Request, sender: Sender) -> dict[str, Any]:
    return {
        "sid": sender.sid,
        "account_sid": sender.account_sid,
        "friendly_name": sender.friendly_name,
        "sender": sender.address,
        "sender_type": type_of(sender),
        "country_code": sender.country,
        "sms_url": sender.webhooks.sms_url,
        "sms_method": sender.webhooks.sms_method,
        "sms_fallback_url": sender.webhooks.sms_fallback_url,
        "sms_fallback_method": sender.webhooks.sms_fallback_method,
        "sms_application_sid": sender.webhooks.sms_application_sid,
        **dates_iso(sender.created_at, sender.updated_at),
        "url": f"{request.parts.base_url()}/postdate/v1/ChannelSenders/{sender.sid}",
        **extension_json(sender),
    }


async def list_all(request: Request) -> Answer:
    """Return the account's channel senders."""
    rows = [sender for sender in all_owned(request, Sender) if sender.kind is SenderKind.CHANNEL]
    return page_v1(request, "senders", rows, lambda sender: _sender_json(request, sender))


async def create(request: Request) -> Answer:
    """Register a sender on a channel."""
    text = request.form.text("Sender") or ""
    try:
        found = parse_sender(text)
    except InvalidAddress as error:
        raise Rejected(20001, f"Sender: {error}") from None
    if found.kind is not SenderKind.CHANNEL:
        raise Rejected(20001, f"A Sender names its channel, such as whatsapp:+14155550100; {shown(text)} does not.")
    sender = new_sender(request, SenderKind.CHANNEL, str(found), country_code(number_of(str(found))))
    await register(request, sender)
    return Answer(201, _sender_json(request, sender))


async def fetch(request: Request) -> Answer:
    """Return one channel sender."""
    return Answer(200, _sender_json(request, found_sender(request, SenderKind.CHANNEL, _WHAT)))


async def update(request: Request) -> Answer:
    """Change a channel sender's name, rate, connection or webhooks."""
    return Answer(200, _sender_json(request, await update_sender(request, SenderKind.CHANNEL, _WHAT)))


async def delete(request: Request) -> Answer:
    """Remove a channel sender from the account and from its messaging service."""
    await remove_sender(request, SenderKind.CHANNEL, _WHAT)
    return Answer(204)
