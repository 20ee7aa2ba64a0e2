"""A carrier described in the connection's settings: templates of the request, and where things stand in what it says.

Its shapes are the operator's; what is ours is that a value never leaves its place in a template, that an answer is
believed only where the settings say what it means, and that patterns run on little text and for a short time. A
refusal that the settings know no code for is 30008; 401 to 405 and 407 are about the connection, not about the message.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import regex

from postdate.connectors.contract import CarrierEvent, Inbound, Receipt, Submission
from postdate.connectors.providers.contract import (
    UNKNOWN_FAILURE,
    Answer,
    BadEvent,
    Call,
    Context,
    Heard,
    ProviderKind,
    Request,
    Untrusted,
)
from postdate.connectors.providers.generic_settings import ANY, BODY_TYPES, HEADER_TEXT, VALUES, GenericSettings
from postdate.connectors.providers.pointing import field, pointed, text_of
from postdate.connectors.providers.reading import (
    MOST_EVENTS,
    OPERATORS_STATUSES,
    busy,
    by_status,
    decode,
    decode_event,
    links,
    read_form,
    refused,
    unclear,
)
from postdate.connectors.providers.template import Template
from postdate.core import gsm7
from postdate.core.address import Channel
from postdate.core.instant import MINUTE, SECOND, format_iso
from postdate.core.message import Event
from postdate.core.outcome import Accepted, InDoubt, Outcome, Refused
from postdate.core.sid import is_sid

_SEARCHED: Final = 4_096  # characters of an answer that patterns look at
_PATTERN_SECONDS: Final = 0.05  # a pattern that needs longer has found nothing
_MOST_MEDIA: Final = 10
_UNCERTAIN: Final = frozenset({408, 409, 425})
_EVENTS: Final = {"delivered": Event.DELIVER, "undelivered": Event.UNDELIVER, "read": Event.READ}
_ID: Final = re.compile(r"[^\x00-\x1f\x7f]{1,255}")
_ADDRESS: Final = re.compile(r"[^\x00-\x1f\x7f]{1,160}")
_BARE_NUMBER: Final = re.compile(r"[1-9][0-9]{7,14}")
_LONGEST_BODY: Final = 65_536

# Anything that gives the text at a place of an event.
Fields = Sequence[tuple[str, str]] | object


class Generic:
    """A carrier in the operator's words."""

    def __init__(self, settings: GenericSettings) -> None:
        self._settings = settings
        self._url = Template(settings.url, VALUES, "url")
        self._body = Template(settings.body, VALUES, settings.body_type) if settings.body else None
        self._headers = {name: Template(text, VALUES, "raw") for name, text in settings.headers.items()}
        asked = self._url.names | (self._body.names if self._body else set())
        self._carries_media = "media_url" in asked.union(*(one.names for one in self._headers.values()))
        self._type = None
        if self._body is not None and "content-type" not in {name.lower() for name in self._headers}:
            self._type = BODY_TYPES[settings.body_type]
        user, password = settings.user or "", settings.password or ""
        self._credentials = {
            "user": user,
            "password": password,
            "token": settings.token or "",
            "basic": base64.b64encode(f"{user}:{password}".encode()).decode(),
        }

    # --- what is sent ---

    def request(self, submission: Submission, context: Context) -> Request | Refused:
        """Fill the templates; media that they have no place for become links behind the text."""
        if submission.channel not in KIND.channels:
            return Refused(21612, "this connection carries SMS and MMS only")
        values = self._values(submission, context)
        headers = {} if self._type is None else {"Content-Type": self._type}
        headers |= {name: text.fill(values) for name, text in self._headers.items()}
        if not all(map(HEADER_TEXT.fullmatch, headers.values())):
            return Refused(UNKNOWN_FAILURE, "it cannot stand in a header, where this connection puts it")
        url = self._url.fill(values)
        if _dot_parts(url) != _dot_parts(self._settings.url):
            return Refused(UNKNOWN_FAILURE, "it cannot stand in the URL's path, where this connection puts it")
        body = None if self._body is None else self._body.fill(values).encode()
        return Request(self._settings.method, url, headers, body)

    def _values(self, submission: Submission, context: Context) -> Mapping[str, str]:
        media = [attachment.url for attachment in submission.attachments]
        behind = media[1:] if self._carries_media else media
        body = "\n".join(text for text in (submission.body, *behind) if text)
        left = max(submission.expires_at - context.at, 0)
        is_gsm7 = gsm7.is_gsm7(body)
        return {
            "to": submission.recipient,
            "from": submission.sender,
            "body": body,
            "sid": submission.sid,
            "media_url": media[0] if media else "",
            "events_url": context.events_url,
            "expires_at": format_iso(submission.expires_at),
            "expires_in": str(max(left // SECOND, 1)),
            "expires_in_minutes": str(max(left // MINUTE, 1)),
            "segments": str(submission.segments),
            "coding": "0" if is_gsm7 else "2",
            "unicode": "false" if is_gsm7 else "true",
            **self._credentials,
        }

    # --- what an answer means ---

    def outcome(self, submission: Submission, answer: Answer) -> Outcome:
        """Say what an answer means: only what the settings name is believed."""
        settings, status = self._settings, answer.status
        if status in settings.busy:
            return busy(answer)
        if status in settings.success:
            return self._yes(submission, answer)
        if status in settings.refusal:
            return self._no(answer)
        if status in OPERATORS_STATUSES:
            return by_status(answer) or unclear(answer)
        if not settings.refusal and 400 <= status <= 499 and status not in _UNCERTAIN:
            return self._no(answer)
        return unclear(answer)

    def _yes(self, submission: Submission, answer: Answer) -> Outcome:
        settings = self._settings
        text = answer.body.decode("utf-8", "replace")[:_SEARCHED]
        if settings.refusal_pattern is not None:
            try:
                is_no = regex.search(settings.refusal_pattern, text, timeout=_PATTERN_SECONDS)
            except TimeoutError:
                return InDoubt("the refusal_pattern takes too long on the carrier's answer")
            if is_no:
                return self._no(answer)
        if settings.success_pattern is not None and not _search(settings.success_pattern, text):
            return InDoubt(f"the carrier answered {answer.status} without what tells that it took the message")
        if settings.id_pointer is None and settings.id_pattern is None:
            return Accepted(submission.sid)
        if settings.id_pointer is not None:
            ref = text_of(pointed(decode(answer.body, object), settings.id_pointer))
        else:
            found = _search(settings.id_pattern or "", text)
            ref = found[1] if found else None
        if ref is None or not _ID.fullmatch(ref):
            return InDoubt(f"the carrier answered {answer.status} without an id that can be read")
        return Accepted(ref)

    def _no(self, answer: Answer) -> Refused:
        code = None
        if self._settings.error_pointer is not None:
            code = text_of(pointed(decode(answer.body, object), self._settings.error_pointer))
        return refused(answer, self._code(code))

    def _code(self, code: str | None) -> int:
        return self._settings.error_codes.get(code or "", UNKNOWN_FAILURE)

    # --- what the carrier tells us ---

    def events(self, call: Call) -> Heard:
        """Read receipts and inbound messages, all of them or BadEvent; what the settings do not know is ignored."""
        self._check(call)
        events = [event for place, one in enumerate(self._several(call)) for event in self._event(one, place, call)]
        answer = self._settings.event_answer
        return Heard(events, 200, answer.encode()) if answer else Heard(events)

    def _check(self, call: Call) -> None:
        settings = self._settings
        if settings.event_check == "none":
            return
        assert settings.event_header is not None
        assert settings.event_secret is not None
        given = call.headers.get(settings.event_header.lower(), "")
        expected = settings.event_prefix + self._signature(settings.event_secret, call.body)
        if settings.event_digest == "hex" and settings.event_check != "header":
            given, expected = given.lower(), expected.lower()
        if not hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode()):
            raise Untrusted("The event does not come with what this connection's event_check asks for.")

    def _signature(self, secret: str, body: bytes) -> str:
        if self._settings.event_check == "header":
            return secret
        hashed = hashlib.sha1 if self._settings.event_check == "hmac-sha1" else hashlib.sha256
        digest = hmac.new(secret.encode(), body, hashed).digest()
        return digest.hex() if self._settings.event_digest == "hex" else base64.b64encode(digest).decode()

    def _several(self, call: Call) -> Sequence[Fields]:
        match self._settings.event_source:
            case "query":
                return [call.query]
            case "form":
                return [read_form(call.body)]
        told = decode_event(call.body, object)
        if self._settings.event_list is None:
            return [told]
        several = pointed(told, self._settings.event_list)
        if not isinstance(several, list):
            raise BadEvent("There is no list of events where this connection's event_list points at.")
        if len(several) > MOST_EVENTS:
            raise BadEvent(f"There are more than {MOST_EVENTS:,} events; send fewer at a time.")
        return several

    def _event(self, fields: Fields, place: int, call: Call) -> list[CarrierEvent]:
        settings = self._settings
        status = self._text(fields, settings.event_status)
        means = settings.statuses.get(status, settings.statuses.get(ANY)) if status is not None else None
        if means in _EVENTS:
            return [self._receipt(fields, place, call, _EVENTS[means])]
        sender, recipient = self._number(fields, settings.event_from), self._number(fields, settings.event_to)
        body = self._text(fields, settings.event_body)
        if sender is not None and recipient is not None and body is not None:
            return [self._inbound(fields, place, sender, recipient, body)]
        if status is None:
            raise BadEvent(f"Event {place} is neither a receipt nor an inbound message, as the settings have it.")
        return []

    def _receipt(self, fields: Fields, place: int, call: Call, event: Event) -> Receipt:
        told = self._text(fields, self._settings.event_sid)
        sid = told if told is not None and is_sid(told, "SM", "MM") else call.sid
        ref = self._text(fields, self._settings.event_id) or sid
        if ref is None or not _ID.fullmatch(ref):
            raise BadEvent(f"Event {place} names no message.")
        code = self._code(self._text(fields, self._settings.event_error)) if event is Event.UNDELIVER else None
        return Receipt(ref, event, code, sid)

    def _inbound(self, fields: Fields, place: int, sender: str, recipient: str, body: str) -> Inbound:
        if not _ADDRESS.fullmatch(sender) or not _ADDRESS.fullmatch(recipient):
            raise BadEvent(f"Event {place} comes from or goes to what is no address.")
        if len(body) > _LONGEST_BODY or "\0" in body:
            raise BadEvent(f"Event {place} has a text that is too long or holds a NUL.")
        ref = self._text(fields, self._settings.event_id)
        if ref is not None and not _ID.fullmatch(ref):
            raise BadEvent(f"Event {place} has an id that cannot be used.")
        return Inbound(sender, recipient, body, media_urls=self._media(fields), carrier_ref=ref)

    def _media(self, fields: Fields) -> tuple[str, ...]:
        place = self._settings.event_media
        if place is None:
            return ()
        if self._settings.event_source == "json":
            found = pointed(fields, place)
            several = found if isinstance(found, list) else [found]
        else:
            several = [self._text(fields, place)]
        return links(one for one in several if isinstance(one, str))[:_MOST_MEDIA]

    def _number(self, fields: Fields, place: str | None) -> str | None:
        text = self._text(fields, place)
        if text is not None and self._settings.event_plus and _BARE_NUMBER.fullmatch(text):
            return f"+{text}"
        return text

    def _text(self, fields: Any, place: str | None) -> str | None:
        if place is None:
            return None
        if self._settings.event_source == "json":
            return text_of(pointed(fields, place))
        return field(fields, place)


def _dot_parts(url: str) -> int:
    """Return how many parts of a URL's path name another place than their own: no percent-encoding keeps them there."""
    return sum(part in (".", "..") for part in url.partition("?")[0].split("/"))


def _search(pattern: str, text: str) -> "regex.Match[str] | None":
    try:
        return regex.search(pattern, text, timeout=_PATTERN_SECONDS)
    except TimeoutError:
        return None


KIND: Final = ProviderKind(
    name="generic",
    title="Any carrier with an HTTP API, described by you",
    settings=GenericSettings,
    make=Generic,
    channels=frozenset({Channel.SMS}),
    media=1,
    checked="Kannel's smsbox itself; 46elks' and LOX24's documentation",
)
