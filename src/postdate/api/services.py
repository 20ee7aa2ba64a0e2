"""Messaging services: `/v1/Services` of Twilio's messaging API. They are of the account that signed in.

Ours beside Twilio's parameters: `ScheduleWindow` (such as `5m..35d`), how far ahead this service may be scheduled; an
empty one takes the node's again. It comes back as `schedule_window`.
"""

from typing import Any

from postdate.api.configuration import (
    all_owned,
    dates_iso,
    owned,
    page_v1,
    read_flag,
    read_method,
    read_name,
    read_url,
    sid_for,
)
from postdate.api.endpoint import Answer, Request
from postdate.api.twilio import LONGEST_VALIDITY, Form, shown
from postdate.core.errors import Rejected
from postdate.core.instant import Instant, InvalidDuration, ScheduleWindow
from postdate.core.resources import Service
from postdate.flow.directory import changed

_USECASES = {
    "notifications": ("Tell my users what happened.", "Alerts about an account, an order, a delivery or a date."),
    "marketing": ("Offer my products.", "News, offers and invitations for people who asked for them."),
    "verification": ("Verify my users.", "One-time codes for signing in and confirming."),
    "discussion": ("Talk with my customers.", "Conversations between people and a business, in both directions."),
    "poll": ("Ask my users.", "Surveys and votes."),
    "undeclared": ("Something else.", "Nothing was declared."),
}
_LINKS = {
    "phone_numbers": "PhoneNumbers",
    "short_codes": "ShortCodes",
    "alpha_senders": "AlphaSenders",
    "destination_alpha_senders": "DestinationAlphaSenders",
    "channel_senders": "ChannelSenders",
    "messages": "Messages",
    "us_app_to_person": "Compliance/Usa2p",
    "us_app_to_person_usecases": "Compliance/Usa2p/Usecases",
}


def service_url(request: Request, sid: str) -> str:
    """Return the absolute URL of a messaging service."""
    return f"{request.parts.base_url()}/v1/Services/{sid}"


def found_service(request: Request, sid: str) -> Service:
    """Return the account's messaging service; raise Rejected (20404) where it has none with this SID."""
    return owned(request, Service, sid, "messaging service")


def _service_json(request: Request, service: Service) -> dict[str, Any]:
    url = service_url(request, service.sid)
    return {
        "sid": service.sid,
        "account_sid": service.account_sid,
        "friendly_name": service.friendly_name,
        "inbound_request_url": service.inbound_request_url,
        "inbound_method": service.inbound_method,
        "fallback_url": service.fallback_url,
        "fallback_method": service.fallback_method,
        "status_callback": service.status_callback,
        "sticky_sender": service.sticky_sender,
        "mms_converter": service.mms_converter,
        "smart_encoding": service.smart_encoding,
        "scan_message_content": service.scan_message_content,
        "fallback_to_long_code": service.fallback_to_long_code,
        "area_code_geomatch": service.area_code_geomatch,
        "synchronous_validation": service.synchronous_validation,
        "validity_period": service.validity_period,
        "usecase": service.usecase,
        "us_app_to_person_registered": False,
        "use_inbound_webhook_on_number": service.use_inbound_webhook_on_number,
        **dates_iso(service.created_at, service.updated_at),
        "url": url,
        "links": {name: f"{url}/{path}" for name, path in _LINKS.items()},
        "schedule_window": service.schedule_window,
    }


# -- reading ---------------------------------------------------------------------------------------------------------


def _amended(form: Form, before: Service, at: Instant) -> Service:
    """Return the service as the form leaves it."""
    return changed(
        before,
        friendly_name=_read_name(form, before.friendly_name),
        inbound_request_url=read_url(form, "InboundRequestUrl", before.inbound_request_url),
        inbound_method=read_method(form, "InboundMethod", before.inbound_method),
        fallback_url=read_url(form, "FallbackUrl", before.fallback_url),
        fallback_method=read_method(form, "FallbackMethod", before.fallback_method),
        status_callback=read_url(form, "StatusCallback", before.status_callback),
        sticky_sender=read_flag(form, "StickySender", before.sticky_sender),
        mms_converter=read_flag(form, "MmsConverter", before.mms_converter),
        smart_encoding=read_flag(form, "SmartEncoding", before.smart_encoding),
        scan_message_content=_read_scan(form, before.scan_message_content),
        fallback_to_long_code=read_flag(form, "FallbackToLongCode", before.fallback_to_long_code),
        area_code_geomatch=read_flag(form, "AreaCodeGeomatch", before.area_code_geomatch),
        synchronous_validation=read_flag(form, "SynchronousValidation", before.synchronous_validation),
        validity_period=_read_validity(form, before.validity_period),
        usecase=form.choice("Usecase", *_USECASES, code=21713) or before.usecase,
        use_inbound_webhook_on_number=read_flag(
            form, "UseInboundWebhookOnNumber", before.use_inbound_webhook_on_number
        ),
        schedule_window=_read_window(form, before.schedule_window),
        updated_at=at,
    )


def _read_name(form: Form, before: str) -> str:
    name = read_name(form, before)
    if not name:
        raise Rejected(20001, "A FriendlyName is missing: name the messaging service.")
    return name


def _read_scan(form: Form, before: str) -> str:
    return form.choice("ScanMessageContent", "inherit", "enable", "disable") or before


def _read_validity(form: Form, before: int) -> int:
    text = form.text("ValidityPeriod")
    if text is None:
        return before
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(LONGEST_VALIDITY))):
        raise Rejected(21624)
    if not 1 <= int(text) <= LONGEST_VALIDITY:
        raise Rejected(21624)
    return int(text)


def _read_window(form: Form, before: str | None) -> str | None:
    if "ScheduleWindow" not in form:
        return before
    text = form.text("ScheduleWindow")
    if text is None:
        return None
    try:
        return str(ScheduleWindow.parse(text))
    except InvalidDuration as error:
        raise Rejected(20001, f"The ScheduleWindow {shown(text)} cannot be used: {error}") from None


# -- handlers --------------------------------------------------------------------------------------------------------


async def list_all(request: Request) -> Answer:
    """Return the account's messaging services."""
    return page_v1(request, "services", all_owned(request, Service), lambda service: _service_json(request, service))


async def create(request: Request) -> Answer:
    """Make a messaging service, with an empty sender pool."""
    directory, at = request.parts.directory, request.parts.clock.now()
    plain = Service(
        sid=sid_for("MG", at), account_sid=request.account.sid, friendly_name="", created_at=at, updated_at=at
    )
    service = _amended(request.form, plain, at)
    async with directory.changing:
        await directory.put(service)
    return Answer(201, _service_json(request, service))


async def fetch(request: Request) -> Answer:
    """Return one messaging service."""
    return Answer(200, _service_json(request, found_service(request, request.params["sid"])))


async def update(request: Request) -> Answer:
    """Change a messaging service; what is scheduled with it is sent by its new rules."""
    directory, at = request.parts.directory, request.parts.clock.now()
    async with directory.changing:
        after = _amended(request.form, found_service(request, request.params["sid"]), at)
        await directory.put(after)
    return Answer(200, _service_json(request, after))


async def delete(request: Request) -> Answer:
    """Remove a messaging service: its numbers are free for another, its alpha senders go with it."""
    directory = request.parts.directory
    async with directory.changing:
        await directory.remove(found_service(request, request.params["sid"]).sid)
    return Answer(204)


async def usecases(request: Request) -> Answer:
    """Return what a messaging service can be declared to be for."""
    rows = [
        {"usecase": name, "purpose": purpose, "description": description}
        for name, (purpose, description) in _USECASES.items()
    ]
    return Answer(200, {"usecases": rows})
