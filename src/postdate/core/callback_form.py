"""What a callback says: its form, and the signature `X-Twilio-Signature` over it.

What is signed is byte for byte what the receiver can see: no fragment, no user info, `/` for an empty path.
"""

import base64
import hmac
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import quote_plus

import msgspec

from postdate.core.callback import split_credentials, url_to_call
from postdate.core.message import Status

API_VERSION: Final = "2010-04-01"
_KNOWN_URLS: Final = 1_024
_KNOWN_TOKENS: Final = 256

Params = Sequence[tuple[str, str]]


class StatusChange(msgspec.Struct, frozen=True):
    """What a status callback tells; `raw_dlr_done_date` is the carrier's own YYMMDDhhmm, `channel` as `whatsapp`."""

    account_sid: str
    message_sid: str
    status: str
    to: str
    from_: str | None = None
    messaging_service_sid: str | None = None
    error_code: int | None = None
    error_message: str | None = None
    raw_dlr_done_date: str | None = None
    channel: str | None = None


_UNSUCCESSFUL: Final = frozenset({Status.FAILED, Status.UNDELIVERED})
_RECEIPTED: Final = frozenset({Status.DELIVERED, Status.UNDELIVERED})


def status_params(change: StatusChange) -> tuple[tuple[str, str], ...]:
    """Return the form parameters of a status callback, in Twilio's order; what is not known is left out."""
    given: list[tuple[str, str | None]] = [
        ("AccountSid", change.account_sid),
        ("MessageSid", change.message_sid),
        ("SmsSid", change.message_sid),
        ("MessageStatus", change.status),
        ("SmsStatus", change.status),
        ("From", change.from_),
        ("To", change.to),
        ("ApiVersion", API_VERSION),
        ("MessagingServiceSid", change.messaging_service_sid),
    ]
    if _says_more(change):
        given += _rarer(change)
    return tuple([(name, value) for name, value in given if value is not None])


def status_form(change: StatusChange) -> tuple[str, str]:
    """Return the form of a status callback, and its `signed_text`: those of its `status_params`, sooner.

    SIDs, statuses and names are letters and digits, and need no quoting.
    """
    if _says_more(change):
        params = status_params(change)
        return form_body(params), signed_text(params)
    account, sid, status, to = change.account_sid, change.message_sid, change.status, change.to
    sender = from_ = service = in_service = ""
    if change.from_ is not None:
        sender, from_ = f"&From={_quoted(change.from_)}", f"From{change.from_}"
    if change.messaging_service_sid is not None:
        service = f"&MessagingServiceSid={change.messaging_service_sid}"
        in_service = f"MessagingServiceSid{change.messaging_service_sid}"
    form = (
        f"AccountSid={account}&MessageSid={sid}&SmsSid={sid}&MessageStatus={status}&SmsStatus={status}"
        f"{sender}&To={_quoted(to)}&ApiVersion={API_VERSION}{service}"
    )
    return form, (
        f"AccountSid{account}ApiVersion{API_VERSION}{from_}MessageSid{sid}MessageStatus{status}{in_service}"
        f"SmsSid{sid}SmsStatus{status}To{to}"
    )


def _says_more(change: StatusChange) -> bool:
    return change.status in _UNSUCCESSFUL or change.raw_dlr_done_date is not None or change.channel is not None


def _rarer(change: StatusChange) -> list[tuple[str, str | None]]:
    """Return what most callbacks have nothing of."""
    failed = change.status in _UNSUCCESSFUL
    error_message = change.error_message if failed else None
    return [
        ("ErrorCode", str(change.error_code) if failed and change.error_code is not None else None),
        ("ErrorMessage", error_message),
        ("RawDlrDoneDate", change.raw_dlr_done_date if change.status in _RECEIPTED else None),
        ("ChannelPrefix", change.channel),
        ("ChannelStatusMessage", error_message if change.channel else None),
        ("EventType", "READ" if change.channel and change.status == Status.READ else None),
    ]


_AS_IT_IS: Final = re.compile(r"[A-Za-z0-9_.~-]*")


def form_body(params: Params) -> str:
    """Return the parameters as application/x-www-form-urlencoded, UTF-8, in the order given."""
    return "&".join([f"{_quoted(name)}={_quoted(value)}" for name, value in params])


def _quoted(text: str) -> str:
    # Most of what a form holds is SIDs, words and phone numbers: to look is cheaper than to quote.
    if (text.isalnum() and text.isascii()) or _AS_IT_IS.fullmatch(text):
        return text
    return "%2B" + text[1:] if text[0] == "+" and _AS_IT_IS.fullmatch(text, 1) else quote_plus(text)


def url_with_params(url: str, params: Params) -> str:
    """Return the URL of a GET: the parameters behind its own query, no fragment. Sign this with `sign_get`."""
    called = url_to_call(url)
    if not params:
        return called
    joint = "?" if "?" not in called else "" if called.endswith(("?", "&")) else "&"
    return called + joint + form_body(params)


# --- the signature ---------------------------------------------------------------------------------------------------


def sign(url: str, params: Params, auth_token: str) -> str:
    """Return X-Twilio-Signature of a POST of `params` to `url`."""
    return sign_text(url, signed_text(params), auth_token)


def sign_get(url: str, auth_token: str) -> str:
    """Return X-Twilio-Signature of a GET of a whole URL, which says what is told: nothing of it is remembered."""
    return _signature(_signed_url(url), auth_token)


def signed_text(params: Params) -> str:
    """Return the parameters as they are signed: in the order of their names, a value that is given twice once."""
    return "".join([name + value for name, value in sorted(set(params))])


def sign_text(url: str, text: str, auth_token: str) -> str:
    """Return X-Twilio-Signature of a POST to `url` of parameters with this `signed_text`."""
    return _signature(_known_signed_url(url) + text, auth_token)


def _signature(signed: str, auth_token: str) -> str:
    signature = _keyed(auth_token).copy()
    signature.update(signed.encode())
    return base64.b64encode(signature.digest()).decode()


@lru_cache(maxsize=_KNOWN_TOKENS)
def _keyed(auth_token: str) -> hmac.HMAC:
    return hmac.new(auth_token.encode(), digestmod="sha1")


def _signed_url(url: str) -> str:
    return split_credentials(url_to_call(url))[0]


_known_signed_url = lru_cache(maxsize=_KNOWN_URLS)(_signed_url)
