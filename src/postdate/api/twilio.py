"""Twilio's wire format, pure: forms become commands, messages become the JSON that Twilio's clients read.

Unknown parameters are ignored, as Twilio does. Everything from outside is hostile until it has passed through here.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from postdate.core.address import InvalidAddress, parse_recipient
from postdate.core.callback import INVALID_RETRY_POLICY, InvalidCallbackUrl, parse_callback_url
from postdate.core.commands import LONGEST_BODY, MOST_MEDIA, SendMessage, read_sender
from postdate.core.errors import MEANINGS, MORE_INFO, Rejected
from postdate.core.instant import Instant, InvalidInstant, format_iso, format_rfc2822, parse_instant
from postdate.core.message import Message, Options, Status
from postdate.core.sid import is_sid

API_VERSION = "2010-04-01"
LONGEST_VALIDITY = 36_000
_KEPT = 128  # bytes of a text that is kept for the next request
_TRUE = frozenset({"true", "1", "yes"})
_FALSE = frozenset({"false", "0", "no", ""})


class Form:
    """The parameters of a request: names are exact, values are lists in the order they came."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Sequence[str]]) -> None:
        self._values = values

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def has_any(self, names: frozenset[str]) -> bool:
        """Say whether one of these names was given."""
        return not names.isdisjoint(self._values)

    def one(self, name: str) -> str | None:
        """Return the last value given, or None."""
        values = self._values.get(name)
        return values[-1] if values else None

    def text(self, name: str) -> str | None:
        """Return the last value given, or None where it is missing or empty."""
        values = self._values.get(name)
        return (values[-1] or None) if values else None

    def all(self, name: str) -> tuple[str, ...]:
        """Return every value given."""
        return tuple(self._values.get(name, ()))

    def flag(self, name: str) -> bool | None:
        """Return a boolean, None where it is missing; raise Rejected (20001) where it is none."""
        value = self.one(name)
        if value is None:
            return None
        if value.lower() in _TRUE:
            return True
        if value.lower() in _FALSE:
            return False
        raise Rejected(20001, f"{name} must be true or false, not {shown(value)}.")

    def number(self, name: str) -> int | None:
        """Return a whole number, None where it is missing; raise Rejected (20001) where it is none."""
        value = self.text(name)
        if value is None:
            return None
        if not (value.isascii() and value.isdigit() and len(value) <= 12):
            raise Rejected(20001, f"{name} must be a whole number, not {shown(value)}.")
        return int(value)

    def choice(self, name: str, *allowed: str, code: int = 20001) -> str | None:
        """Return one of `allowed`, None where it is missing; raise Rejected where it is another."""
        value = self.text(name)
        if value is None or value in allowed:
            return value
        raise Rejected(code, f"{name} must be one of {', '.join(allowed)}, not {shown(value)}.")

    def url(self, name: str, code: int = 20001) -> str | None:
        """Return a URL that can be called, None where it is missing or empty; raise Rejected where it is none."""
        value = self.text(name)
        if value is None:
            return None
        try:
            return parse_callback_url(value)
        except InvalidCallbackUrl as error:
            kept = error.code if error.code == INVALID_RETRY_POLICY else code
            raise Rejected(kept, f"{name}: {error}") from None


class NoForm(Form):
    """A body of another kind: whoever asks it for a parameter is refused (20422), so that none is silently ignored."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__({})

    def __contains__(self, name: str) -> bool:
        raise _no_form()

    def has_any(self, names: frozenset[str]) -> bool:
        """Raise Rejected (20422)."""
        raise _no_form()

    def one(self, name: str) -> str | None:
        """Raise Rejected (20422)."""
        raise _no_form()

    def text(self, name: str) -> str | None:
        """Raise Rejected (20422)."""
        raise _no_form()

    def all(self, name: str) -> tuple[str, ...]:
        """Raise Rejected (20422)."""
        raise _no_form()


def _no_form() -> Rejected:
    return Rejected(20422, "Send a form, application/x-www-form-urlencoded: JSON and multipart are not read here.")


def read_form(body: bytes, most: int) -> Form:
    """Return the parameters of a form or a query; raise Rejected where there are more than `most` or not UTF-8."""
    values: dict[str, list[str]] = {}
    if not body:
        return Form(values)
    pairs = body.split(b"&", most)
    if len(pairs) > most:
        raise Rejected(20422, f"A request has at most {most} parameters.")
    try:
        for pair in pairs:
            name, _, value = pair.partition(b"=")
            values.setdefault(_unquoted(name), []).append(_unquoted(value))
    except UnicodeDecodeError:
        raise Rejected(20422, "The parameters are not UTF-8: encode them as UTF-8, then percent-encode.") from None
    values.pop("", None)
    return Form(values)


def _unquoted(text: bytes) -> str:
    if b"%" not in text:
        return text.replace(b"+", b" ").decode()
    if b"+" in text or len(text) > _KEPT:  # a blank: somebody's words, and other words each time
        return unquote_to_bytes(text.replace(b"+", b" ")).decode()
    if text.startswith(b"%2B") and b"%" not in text[3:]:  # a phone number
        return "+" + text[3:].decode()
    return _as_before(text)


@lru_cache(maxsize=1_024)
def _as_before(text: bytes) -> str:
    """Return a short text that may well come with the next request: the address of a server."""
    return unquote_to_bytes(text).decode()


def shown(value: str) -> str:
    """Return what was received, short and harmless, for an error text."""
    return repr(value if len(value) <= 64 else value[:61] + "...")


# -- sending ---------------------------------------------------------------------------------------------------------


def parse_send(form: Form, idempotency_key: str | None = None) -> SendMessage:
    """Return what a create asks for; raise Rejected with Twilio's code."""
    body = _body(form)
    media_urls = _media_urls(form)
    _check_content(form, body, media_urls)
    sender, service_sid = _from(form)
    return SendMessage(
        recipient=_recipient(form),
        body=body,
        media_urls=media_urls,
        sender=sender,
        service_sid=service_sid,
        send_at=_send_at(form),
        callback_url=form.url("StatusCallback", 21609),
        validity=_validity(form),
        options=_options(form),
        idempotency_key=idempotency_key,
    )


def _recipient(form: Form) -> str:
    to = form.text("To")
    if to is None:
        raise Rejected(21604)
    try:
        return str(parse_recipient(to))
    except InvalidAddress as error:
        raise Rejected(21211, str(error)) from None


def _body(form: Form) -> str:
    body = form.one("Body") or ""
    if len(body) > LONGEST_BODY:
        raise Rejected(21617, f"The body has {len(body)} characters; it may have {LONGEST_BODY}.")
    if "\0" in body:
        raise Rejected(20001, "The Body has a NUL character (U+0000), which no handset can show: remove it.")
    return body


def _media_urls(form: Form) -> tuple[str, ...]:
    urls = form.all("MediaUrl")
    if len(urls) > MOST_MEDIA:
        raise Rejected(21623)
    try:
        # What stands behind a # is never sent, and sets no retries here: it is taken off.
        return tuple(parse_callback_url(url.partition("#")[0]) for url in urls)
    except InvalidCallbackUrl as error:
        raise Rejected(21620, f"MediaUrl: {error}") from None


def _check_content(form: Form, body: str, media_urls: tuple[str, ...]) -> None:
    content = form.text("ContentSid")
    if content is not None:
        if not is_sid(content, "HX"):
            raise Rejected(21655, f"The ContentSid is HX and 32 hex digits, not {shown(content)}.")
        return  # it says what is sent, in place of the rest
    if form.text("ContentVariables") is not None:
        raise Rejected(21654)
    if not body and not media_urls:
        raise Rejected(21602)


def _from(form: Form) -> tuple[str | None, str | None]:
    """Return the sender's address and the service: a service's SID as From counts as the service."""
    sender, service_sid = form.text("From"), form.text("MessagingServiceSid")
    if sender is not None and is_sid(sender, "MG"):
        sender, service_sid = None, service_sid or sender
    if service_sid is not None and not is_sid(service_sid, "MG"):
        raise Rejected(21705, f"The MessagingServiceSid is MG and 32 hex digits, not {shown(service_sid)}.")
    return (str(read_sender(sender)) if sender is not None else None), service_sid


def _send_at(form: Form) -> Instant | None:
    kind, send_at = form.text("ScheduleType"), form.text("SendAt")
    if kind is None:
        if send_at is not None:
            raise Rejected(20001, "A SendAt needs ScheduleType=fixed beside it; leave both out to send at once.")
        return None
    if kind.lower() != "fixed":
        raise Rejected(35126, f"The ScheduleType must be 'fixed', not {shown(kind)}.")
    if send_at is None:
        raise Rejected(35111)
    return read_instant("SendAt", send_at)


def read_instant(name: str, text: str) -> Instant:
    """Return an instant given with its zone; raise Rejected (20001) saying what was received and what is expected."""
    try:
        return parse_instant(text)
    except InvalidInstant as error:
        raise Rejected(20001, f"{name}: {error}") from None


def _validity(form: Form) -> int | None:
    if form.text("ValidityPeriod") is None:
        return None
    try:
        validity = form.number("ValidityPeriod")
    except Rejected:
        raise Rejected(21624) from None
    if validity is None or not 1 <= validity <= LONGEST_VALIDITY:
        raise Rejected(21624)
    return validity


_PLAIN = Options()
_OPTIONAL = frozenset((
    "SmartEncoded", "ProvideFeedback", "SendAsMms", "ApplicationSid", "AddressRetention", "ContentRetention",
    "MessageIntent", "PersistentAction", "Tags", "ValidityPeriod", "ContentSid",
))  # fmt: skip


def _options(form: Form) -> Options:
    if not form.has_any(_OPTIONAL):
        return _PLAIN
    application = form.text("ApplicationSid")
    if application is not None and not is_sid(application, "AP"):
        raise Rejected(21420, f"The ApplicationSid is AP and 32 hex digits, not {shown(application)}.")
    return Options(
        smart_encoded=form.flag("SmartEncoded"),
        provide_feedback=form.flag("ProvideFeedback") or False,
        send_as_mms=form.flag("SendAsMms") or False,
        application_sid=application,
        content_sid=form.text("ContentSid"),
        content_variables=form.text("ContentVariables"),
        address_retention=form.choice("AddressRetention", "retain", "obfuscate", code=30030),
        content_retention=form.choice("ContentRetention", "retain", "discard", code=30029),
        message_intent=form.text("MessageIntent"),
        persistent_action=form.all("PersistentAction"),
        tags=_tags(form.text("Tags")),
        validity=_validity(form),
    )


def _tags(text: str | None) -> dict[str, str] | None:
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except (msgspec.DecodeError, UnicodeError):
        raise Rejected(20001, 'Tags must be a JSON object of strings, such as {"campaign": "spring"}.') from None


# -- answering -------------------------------------------------------------------------------------------------------


def message_json(message: Message) -> dict[str, Any]:
    """Return the Message resource: Twilio's fields, then ours (`send_at`, `due_at`, `in_doubt`, `tags`)."""
    uri = f"/{API_VERSION}/Accounts/{message.account_sid}/Messages/{message.sid}"
    code = message.error_code
    links = {"media": f"{uri}/Media.json"}
    if message.options.provide_feedback:
        links["feedback"] = f"{uri}/Feedback.json"
    return {
        "sid": message.sid,
        "account_sid": message.account_sid,
        "messaging_service_sid": message.service_sid,
        "from": message.sender,
        "to": message.recipient,
        "body": message.body,
        "status": message.status,
        "direction": message.direction,
        "num_segments": str(message.num_segments),
        "num_media": str(len(message.media_urls)),
        "price": None,
        "price_unit": None,
        "error_code": code,
        "error_message": MEANINGS[code].sentence if code is not None and code in MEANINGS else None,
        "api_version": API_VERSION,
        "date_created": format_rfc2822(message.created_at),
        "date_updated": format_rfc2822(message.updated_at),
        "date_sent": format_rfc2822(message.sent_at) if message.sent_at is not None else None,
        "uri": f"{uri}.json",
        "subresource_uris": links,
        "send_at": format_iso(message.send_at) if message.send_at is not None else None,
        "due_at": format_iso(message.due_at) if message.status is Status.SCHEDULED else None,
        "in_doubt": message.doubt_at is not None,
        "tags": message.options.tags,
    }


def error_json(error: Rejected) -> dict[str, Any]:
    """Return an error in Twilio's shape."""
    return {
        "code": error.code,
        "message": error.detail,
        "more_info": f"{MORE_INFO}{error.code}",
        "status": error.http_status,
    }
