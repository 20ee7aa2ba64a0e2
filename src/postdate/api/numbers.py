"""Phone numbers and short codes: `/2010-04-01/Accounts/{AC}/IncomingPhoneNumbers` and `/SMS/ShortCodes`.

Where Twilio sells a number, Postdate registers one that a carrier gave: same request, same answer, origin `hosted`.
Short codes are registered likewise, by a POST and a DELETE that Twilio does not have.
"""

import re
from typing import Any

import msgspec
import phonenumbers
from phonenumbers import PhoneNumberType

from postdate.api.configuration import all_owned, dates_rfc2822, page_v2010
from postdate.api.endpoint import Answer, Request
from postdate.api.senders import (
    extension_json,
    found_sender,
    new_sender,
    register,
    remove_sender,
    update_sender,
)
from postdate.api.twilio import API_VERSION, shown
from postdate.core.address import InvalidAddress, SenderKind, area_code, country_code, parse_sender
from postdate.core.errors import Rejected
from postdate.core.resources import Sender

_NUMBER = SenderKind.PHONE_NUMBER
_CODE = SenderKind.SHORT_CODE
_COUNTRY = re.compile(r"[A-Za-z]{2}")
_LONGEST_PATTERN = 32
_TYPES = {PhoneNumberType.TOLL_FREE: "tollfree", PhoneNumberType.MOBILE: "mobile"}


def type_of(e164: str) -> str:
    """Return Twilio's type of a number; where a country's mobile numbers look like its local ones, `local`."""
    return _TYPES.get(phonenumbers.number_type(phonenumbers.parse(e164, None)), "local")


def _number_json(sender: Sender) -> dict[str, Any]:
    return {
        "sid": sender.sid,
        "account_sid": sender.account_sid,
        "friendly_name": sender.friendly_name,
        "phone_number": sender.address,
        "api_version": API_VERSION,
        "origin": "hosted",
        "status": "in-use",
        "type": type_of(sender.address),
        "beta": False,
        "capabilities": {"voice": False, "sms": True, "mms": sender.mms, "fax": False},
        **msgspec.structs.asdict(sender.webhooks),
        "address_requirements": "none",
        "address_sid": None,
        "bundle_sid": None,
        "identity_sid": None,
        "trunk_sid": None,
        "emergency_status": "Inactive",
        "emergency_address_sid": None,
        "emergency_address_status": "unregistered",
        "voice_receive_mode": "voice",
        "voice_application_sid": None,
        "voice_caller_id_lookup": None,
        "voice_url": None,
        "voice_method": None,
        "voice_fallback_url": None,
        "voice_fallback_method": None,
        **dates_rfc2822(sender),
        "uri": f"/{API_VERSION}/Accounts/{sender.account_sid}/IncomingPhoneNumbers/{sender.sid}.json",
        **extension_json(sender),
    }


# -- phone numbers ---------------------------------------------------------------------------------------------------

_FILTERS = ("PhoneNumber", "FriendlyName", "Origin", "Beta")


async def list_numbers(request: Request) -> Answer:
    """Return the account's phone numbers; below `/Local`, `/Mobile` or `/TollFree` those of that type."""
    query = request.query
    query.flag("Beta")  # leaves out numbers that are new to the platform: none is
    from_twilio = query.choice("Origin", "hosted", "twilio") == "twilio"  # and none is bought there
    pattern = _pattern(query.text("PhoneNumber") or "")
    name = query.text("FriendlyName")
    kind = request.path.rpartition("/")[2].lower()
    rows = [
        sender
        for sender in all_owned(request, Sender)
        if sender.kind is _NUMBER
        and not from_twilio
        and pattern.search(sender.address)
        and name in (None, sender.friendly_name)
        and (kind == "incomingphonenumbers" or type_of(sender.address) == kind)
    ]
    return page_v2010(request, "incoming_phone_numbers", rows, _number_json, _FILTERS)


def _pattern(text: str) -> re.Pattern[str]:
    """Return what finds a number by a part of it, in which `*` stands for any digit."""
    if len(text) > _LONGEST_PATTERN:
        raise Rejected(20001, f"The PhoneNumber to look for has at most {_LONGEST_PATTERN} characters.")
    # A space in front is a plus sign that nobody escaped.
    wanted = "+" + text[1:] if text.startswith(" ") else text
    return re.compile("".join("[0-9]" if letter == "*" else re.escape(letter) for letter in wanted))


async def create_number(request: Request) -> Answer:
    """Register a phone number that a carrier gave the account."""
    text = request.form.text("PhoneNumber")
    if text is None:
        if request.form.text("AreaCode") is not None:
            raise Rejected(21452)
        raise Rejected(21421, "A PhoneNumber is missing: give the number to register, such as +14155550100.")
    number = _phone_number(text)
    sender = new_sender(request, _NUMBER, number, country_code(number), area_code(number))
    await register(request, sender)
    return Answer(201, _number_json(sender))


def _phone_number(text: str) -> str:
    try:
        found = parse_sender(text)
    except InvalidAddress as error:
        raise Rejected(21421, str(error)) from None
    match found.kind:
        case SenderKind.PHONE_NUMBER:
            return str(found)
        case SenderKind.SHORT_CODE:
            raise Rejected(21421, f"{shown(text)} is a short code: register it at /SMS/ShortCodes.")
        case SenderKind.CHANNEL:
            raise Rejected(21421, f"{shown(text)} is a channel's sender: register it at /postdate/v1/ChannelSenders.")
        case _:
            raise Rejected(21421, f"{shown(text)} is a name: add it to a messaging service, as an alpha sender.")


async def fetch_number(request: Request) -> Answer:
    """Return one phone number."""
    return Answer(200, _number_json(found_sender(request, _NUMBER, "phone number")))


async def update_number(request: Request) -> Answer:
    """Change a phone number's name, URLs, rate or connection."""
    other = request.form.text("AccountSid")
    if other not in (None, request.account.sid):
        raise Rejected(20001, "A phone number stays with its account: remove it here and register it in the other one.")
    return Answer(200, _number_json(await update_sender(request, _NUMBER, "phone number")))


async def delete_number(request: Request) -> Answer:
    """Remove a phone number from the account and from its messaging service."""
    await remove_sender(request, _NUMBER, "phone number")
    return Answer(204)


# -- short codes -----------------------------------------------------------------------------------------------------


def _code_json(sender: Sender) -> dict[str, Any]:
    hooks = sender.webhooks
    return {
        "sid": sender.sid,
        "account_sid": sender.account_sid,
        "friendly_name": sender.friendly_name,
        "short_code": sender.address,
        "api_version": API_VERSION,
        "sms_url": hooks.sms_url,
        "sms_method": hooks.sms_method,
        "sms_fallback_url": hooks.sms_fallback_url,
        "sms_fallback_method": hooks.sms_fallback_method,
        **dates_rfc2822(sender),
        "uri": f"/{API_VERSION}/Accounts/{sender.account_sid}/SMS/ShortCodes/{sender.sid}.json",
        "country_code": sender.country,
        "capabilities": {"sms": True, "mms": sender.mms},
        **extension_json(sender),
    }


async def list_codes(request: Request) -> Answer:
    """Return the account's short codes."""
    name, code = request.query.text("FriendlyName"), request.query.text("ShortCode")
    rows = [
        sender
        for sender in all_owned(request, Sender)
        if sender.kind is _CODE and name in (None, sender.friendly_name) and code in (None, sender.address)
    ]
    return page_v2010(request, "short_codes", rows, _code_json, ("FriendlyName", "ShortCode"))


async def create_code(request: Request) -> Answer:
    """Register a short code (ours): `ShortCode`, and `IsoCountry` for the country that it works in."""
    text = request.form.text("ShortCode") or ""
    country = request.form.text("IsoCountry") or "US"
    try:
        found = parse_sender(text)
    except InvalidAddress:
        found = None
    if found is None or found.kind is not _CODE:
        raise Rejected(20001, f"A ShortCode has 3 to 8 digits, such as 12345, not {shown(text)}.")
    if not _COUNTRY.fullmatch(country):
        raise Rejected(20001, f"An IsoCountry has two letters, such as US, not {shown(country)}.")
    sender = new_sender(request, _CODE, str(found), country.upper())
    await register(request, sender)
    return Answer(201, _code_json(sender))


async def fetch_code(request: Request) -> Answer:
    """Return one short code."""
    return Answer(200, _code_json(found_sender(request, _CODE, "short code")))


async def update_code(request: Request) -> Answer:
    """Change a short code's name, URLs, rate or connection."""
    return Answer(200, _code_json(await update_sender(request, _CODE, "short code")))


async def delete_code(request: Request) -> Answer:
    """Remove a short code (ours) from the account and from its messaging service."""
    await remove_sender(request, _CODE, "short code")
    return Answer(204)
