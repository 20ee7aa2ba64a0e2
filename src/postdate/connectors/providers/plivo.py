"""Plivo's Message API: SMS, MMS and WhatsApp.

Checked against: Plivo's Python library (the request, answers, the signatures V2 and V3 both ways) and its documentation
(callbacks, error codes). Plivo keeps no reference of ours: the SID is in the callback's URL alone. Numbers go without
their plus sign and come back so. Refusals have a text and no code; 403 to a message means a country that the account
may not write to. Messages are signed by V2, over the URL and a nonce only; a V3 signature, over the fields too, is
asked for where one came. No time is signed, so an old event cannot be told from a new one: it changes nothing.
"""

import base64
import hmac
from collections.abc import Sequence
from typing import Annotated, Final
from urllib.parse import parse_qsl, urlsplit

import msgspec
from msgspec import Meta

from postdate.connectors.contract import CarrierEvent, Inbound, Receipt, Submission
from postdate.connectors.providers.contract import (
    UNKNOWN_FAILURE,
    Answer,
    BadEvent,
    Call,
    Context,
    Heard,
    HttpSettings,
    ProviderKind,
    Request,
    Secret,
    Untrusted,
    Url,
)
from postdate.connectors.providers.reading import (
    Address,
    Id,
    LongText,
    basic,
    by_status,
    decode,
    digits,
    e164,
    fit_event,
    known_sid,
    links,
    read_form,
    refused,
    same,
    seconds_left,
    unclear,
)
from postdate.core.address import Channel
from postdate.core.message import Event
from postdate.core.outcome import Accepted, Outcome, Refused

MOST_MEDIA: Final = 10
SHORTEST_EXPIRY: Final = 5
LONGEST_EXPIRY: Final = 10_800  # after three hours Plivo's queue drops a message by itself
_COUNTRY_BARRED: Final = 21408
_WRONG_CHANNEL: Final = 21612
_TOO_MANY_MEDIA: Final = 21623

# Plivo's codes of failed messages to Twilio's.
_CODES: Final = {
    "20": 30006,  # the other network is away
    "30": 30007,
    "40": 21606,
    "50": 30005,
    "70": 30005,
    "80": 30003,
    "90": 30006,
    "100": 30006,
    "110": 30019,
    "200": 21610,  # STOP
    "201": _WRONG_CHANNEL,
    "420": 30036,
    "450": _COUNTRY_BARRED,
    "910": 30002,
}
_RECEIPTS: Final = {
    "delivered": Event.DELIVER,
    "undelivered": Event.UNDELIVER,
    "failed": Event.UNDELIVER,
    "rejected": Event.UNDELIVER,
    "read": Event.READ,
}


class Settings(HttpSettings, frozen=True, kw_only=True):
    """An account with Plivo."""

    auth_id: Annotated[str, Meta(pattern=r"^[A-Z0-9]{20}\Z", description="The account's auth id, MA… or SA….")]
    auth_token: Annotated[Secret, Meta(description="Its auth token: signs in, and checks the signature of callbacks.")]
    main_token: Annotated[
        Secret | None, Meta(description="The main account's auth token, where events are to be checked with that one.")
    ] = None
    base_url: Annotated[Url, Meta(description="Where the API is.")] = "https://api.plivo.com"


class _Taken(msgspec.Struct, frozen=True):
    message_uuid: Annotated[list[Id], Meta(min_length=1, max_length=1)]


class _Refusal(msgspec.Struct, frozen=True):
    error: str | dict[str, object]


class _Told(msgspec.Struct, frozen=True, rename="pascal"):
    """A status callback, which has a `Status`, or an inbound message; the text of media and WhatsApp is `Body`."""

    message_uuid: Id = msgspec.field(name="MessageUUID")
    status: str | None = None
    error_code: str = ""
    from_: Address | None = msgspec.field(name="From", default=None)
    to: Address | None = None
    type: str = "sms"
    text: LongText | None = None
    body: LongText | None = None


class Plivo:
    """Hands messages to Plivo."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._messages = f"{settings.base_url.rstrip('/')}/v1/Account/{settings.auth_id}/Message/"
        self._headers = {
            "Authorization": basic(settings.auth_id, settings.auth_token),
            "Content-Type": "application/json",
            "Accept": "application/json",
        }

    def request(self, submission: Submission, context: Context) -> Request | Refused:
        """Return the POST of the message."""
        if submission.channel not in KIND.channels:
            return Refused(_WRONG_CHANNEL, "this carrier has no such channel")
        media = [attachment.url for attachment in submission.attachments]
        if submission.channel is Channel.WHATSAPP:
            if len(media) > 1:
                return Refused(_TOO_MANY_MEDIA, "this carrier takes one media file in a WhatsApp message")
            kind = "whatsapp"
        else:
            kind = "mms" if media else "sms"
        content: dict[str, object] = {
            "src": digits(submission.sender),
            "dst": digits(submission.recipient),
            "type": kind,
            "url": context.events_url,
            "method": "POST",
            "message_expiry": seconds_left(submission.expires_at, context.at, SHORTEST_EXPIRY, LONGEST_EXPIRY),
        }
        if submission.body:
            content["text"] = submission.body
        if media:
            content["media_urls"] = media
        return Request("POST", self._messages, self._headers, msgspec.json.encode(content))

    def outcome(self, submission: Submission, answer: Answer) -> Outcome:
        """Believe a 2xx with the id of one message, and a 4xx with an error in it."""
        if 200 <= answer.status <= 299:
            taken = decode(answer.body, _Taken)
            return Accepted(taken.message_uuid[0]) if taken is not None else unclear(answer)
        is_no = decode(answer.body, _Refusal) is not None
        if answer.status == 403 and is_no:
            return refused(answer, _COUNTRY_BARRED)
        return by_status(answer) or (refused(answer) if is_no else unclear(answer))

    def events(self, call: Call) -> Heard:
        """Read one status callback or inbound message; other statuses than the last ones are no news."""
        fields = read_form(call.body)
        if not any(_is_signed(token, call, fields) for token in (self._settings.auth_token, self._settings.main_token)):
            raise Untrusted("The event is not signed with the connection's auth token.")
        told = fit_event(dict(fields), _Told)
        if told.from_ is not None and told.to is not None and (told.text is not None or told.body is not None):
            return Heard([_inbound(told, dict(fields))])
        if told.status is None:
            raise BadEvent("The event is neither a status callback nor an inbound message.")
        return Heard(_receipts(told, call.sid))


def _receipts(told: _Told, sid: str | None) -> list[CarrierEvent]:
    event = _RECEIPTS.get((told.status or "").lower())
    if event is None:
        return []
    failure = _CODES.get(told.error_code.lstrip("0"), UNKNOWN_FAILURE) if event is Event.UNDELIVER else None
    return [Receipt(told.message_uuid, event, failure, known_sid(sid))]


def _inbound(told: _Told, fields: dict[str, str]) -> Inbound:
    prefix = "whatsapp:" if told.type == "whatsapp" else ""
    # Counted from 1 in one page of the documentation, from 0 in another.
    media = links(fields.get(f"Media{number}") for number in range(MOST_MEDIA + 1))
    return Inbound(
        prefix + e164(told.from_ or ""),
        prefix + e164(told.to or ""),
        told.text if told.text is not None else told.body or "",
        media_urls=media,
        carrier_ref=told.message_uuid,
    )


# --- signatures ------------------------------------------------------------------------------------------------------


def _is_signed(token: str | None, call: Call, fields: Sequence[tuple[str, str]]) -> bool:
    """Say whether one of the call's signatures is right by this token; the weaker one counts where it is alone."""
    if token is None:
        return False
    is_v3 = not call.headers.keys().isdisjoint(("x-plivo-signature-v3", "x-plivo-signature-ma-v3"))
    version, text = ("v3", _v3_text(call.url, fields)) if is_v3 else ("v2", _base(call.url))
    nonce = call.headers.get(f"x-plivo-signature-{version}-nonce", "")
    joint = "." if is_v3 else ""
    signed = f"{text}{joint}{nonce}".encode(errors="replace")
    right = base64.b64encode(hmac.digest(token.encode(), signed, "sha256")).decode()
    given = ",".join(call.headers.get(f"x-plivo-signature-{ma}{version}", "") for ma in ("", "ma-"))
    return any([same(right, one.strip()) for one in given.split(",")])


def _base(url: str) -> str:
    return urlsplit(url)._replace(query="", fragment="").geturl()


def _v3_text(url: str, fields: Sequence[tuple[str, str]]) -> str:
    query = "&".join(
        f"{name}={value}" for name, value in sorted(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    )
    text = _base(url)
    if query or fields:
        text += f"?{query}"
    if query and fields:
        text += "."
    return text + "".join(name + value for name, value in sorted(fields))


KIND = ProviderKind(
    name="plivo",
    title="Plivo",
    settings=Settings,
    make=Plivo,
    channels=frozenset({Channel.SMS, Channel.WHATSAPP}),
    media=MOST_MEDIA,
    checked="Plivo's Python library and documentation",
)
