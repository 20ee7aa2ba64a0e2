"""WhatsApp by Meta's Cloud API: text, one medium by link, and templates, from one phone number.

Checked against: Meta's own OpenAPI document (requests through a validating proxy, samples of events by its schemas),
and pywa (the signature, the numbers of errors). Our SID goes out as `biz_opaque_callback_data` and comes back in
statuses; it is no key, so a message in doubt waits for a status. WhatsApp knows no validity of a message.

A body is sent as text, unless the submission has a template: then Meta has the text, and is given the values.
What comes back is read in `whatsapp_events`.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from postdate.connectors.contract import Attachment, Submission
from postdate.connectors.providers.contract import (
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
    Id,
    busy,
    by_status,
    decode,
    locked_out,
    misaddressed,
    refused,
    same,
    unclear,
)
from postdate.connectors.providers.whatsapp_events import CODES, GraphError, read_webhook
from postdate.core.address import Channel
from postdate.core.instant import MINUTE
from postdate.core.message import Template, TemplateButton
from postdate.core.outcome import Accepted, Busy, Outcome, Refused

LONGEST_CAPTION: Final = 1024

_IMAGES: Final = frozenset({"image/jpeg", "image/png"})
_VIDEOS: Final = frozenset({"video/mp4", "video/3gpp"})
_SOUNDS: Final = frozenset({"audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg"})
_CHALLENGE: Final = re.compile(r"[0-9A-Za-z_.-]{1,256}")

_CREDENTIALS: Final = frozenset({0, 3, 10, 190, *range(200, 300), 131005, 131045})
_HELD_BACK: Final = frozenset({368, 131031, 131037, 131042, 131057})  # locked, unnamed, unpaid or in maintenance
_THROTTLED: Final = frozenset({4, 80007, 130429, 131048})
_TOO_MANY_FOR_ONE: Final = 131056
_AWAY: Final = frozenset({2, 131016})  # says itself that it did not take the message: temporarily not available
_BUTTONS: Final = {"url": "text", "quick_reply": "payload", "copy_code": "coupon_code"}  # what each is given
_NO_SUCH_OBJECT: Final = 33  # subcode: the phone_number_id is not one that the token may use


class Settings(HttpSettings, frozen=True, kw_only=True):
    """One phone number of a WhatsApp Business account."""

    access_token: Annotated[Secret, Meta(description="Token of a system user with whatsapp_business_messaging.")]
    phone_number_id: Annotated[str, Meta(pattern=r"^[0-9]{1,32}\Z", description="Id of the number, not the number.")]
    app_secret: Annotated[Secret, Meta(description="App secret: checks the signature of events.")] | None = None
    verify_token: Annotated[Secret, Meta(description="Verify token, as given for the webhook.")] | None = None
    version: Annotated[str, Meta(pattern=r"^v[0-9]{2,3}\.[0-9]\Z", description="Version of the Graph API.")] = "v23.0"
    base_url: Annotated[Url, Meta(description="Address of the Graph API.")] = "https://graph.facebook.com"


class _Sent(msgspec.Struct):
    id: Id


class _Taken(msgspec.Struct):
    messages: Annotated[list[_Sent], Meta(min_length=1)]


class _Failed(msgspec.Struct):
    error: GraphError


def template_message(template: Template, header: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what makes a message one of a template, with the values of its variables; `header` is its medium.

    Variables of a part that are all numbers stand in their order, `{"1": "Ann", "2": "10:30"}`; else they go by their
    names.
    """
    order: dict[str, Any] = {
        "name": template.name,
        "language": {"policy": "deterministic", "code": template.language},
    }
    parts: list[dict[str, Any]] = []
    if template.header:
        parts.append({"type": "header", "parameters": _values(template.header)})
    elif header is not None:
        parts.append({"type": "header", "parameters": [header]})
    if template.body:
        parts.append({"type": "body", "parameters": _values(template.body)})
    parts += [_button(button) for button in template.buttons]
    if parts:
        order["components"] = parts
    return {"type": "template", "template": order}


def _values(given: Mapping[str, str]) -> list[dict[str, str]]:
    by_number = all(key.isascii() and key.isdigit() for key in given)
    keys = sorted(given, key=int) if by_number else list(given)
    return [{"type": "text", "text": given[key]} | ({} if by_number else {"parameter_name": key}) for key in keys]


def _button(button: TemplateButton) -> dict[str, Any]:
    kind = _BUTTONS[button.kind]
    value = {"type": kind, kind: button.value}
    return {"type": "button", "sub_type": button.kind, "index": str(button.index), "parameters": [value]}


class WhatsApp:
    """One phone number at Meta's Cloud API."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._graph = f"{settings.base_url.rstrip('/')}/{settings.version}"
        self._url = f"{self._graph}/{settings.phone_number_id}/messages"
        self._headers = {
            "Authorization": f"Bearer {settings.access_token}",
            "Content-Type": "application/json",
        }

    def request(self, submission: Submission, context: Context) -> Request | Refused:
        """Return the request that sends a template, a text or one medium."""
        if submission.channel is not Channel.WHATSAPP:
            return Refused(21612, "this number sends WhatsApp messages only")
        if len(submission.attachments) > 1:
            return Refused(63021, "a WhatsApp message holds one medium")
        content = _content(submission)
        if isinstance(content, Refused):
            return content
        order = {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": submission.recipient.removeprefix("whatsapp:"),
            "biz_opaque_callback_data": submission.sid,
            **content,
        }
        return Request("POST", self._url, self._headers, msgspec.json.encode(order))

    def outcome(self, submission: Submission, answer: Answer) -> Outcome:
        """Believe 200 with an id, and errors by their number."""
        if answer.status == 200:
            taken = decode(answer.body, _Taken)
            return Accepted(taken.messages[0].id) if taken is not None else unclear(answer)
        failed = decode(answer.body, _Failed)
        if failed is not None and failed.error.code in _AWAY and answer.status >= 400:
            return busy(answer)
        if not 400 <= answer.status <= 499 or answer.status in (408, 409):
            return unclear(answer)
        return _refusal(failed.error if failed is not None else None, answer)

    def events(self, call: Call) -> Heard:
        """Read a webhook, or answer the question that subscribes to it."""
        if call.method == "GET":
            return self._subscribed(call)
        if self._settings.app_secret is not None:
            right = hmac.new(self._settings.app_secret.encode(), call.body, hashlib.sha256).hexdigest()
            if not same(f"sha256={right}", call.headers.get("x-hub-signature-256", "")):
                raise Untrusted("The webhook is not signed with this connection's app_secret.")
        return Heard(read_webhook(call.body, call.sid, self._graph), status=200)

    def _subscribed(self, call: Call) -> Heard:
        asked = dict(call.query)
        token, challenge = self._settings.verify_token, asked.get("hub.challenge", "")
        if token is None or not same(token, asked.get("hub.verify_token", "")):
            raise Untrusted("The verify token is not that of this connection.")
        if asked.get("hub.mode") != "subscribe" or not _CHALLENGE.fullmatch(challenge):
            raise BadEvent("The subscription asks for nothing that can be answered.")
        return Heard(status=200, body=challenge.encode())


def _content(submission: Submission) -> dict[str, Any] | Refused:
    if submission.template is not None:
        return _of_template(submission.template, submission.attachments)
    return _medium(submission) if submission.attachments else _text(submission.body)


def _of_template(template: Template, attachments: Sequence[Attachment]) -> dict[str, Any] | Refused:
    if not attachments:
        return template_message(template)
    kind = _kind(attachments[0].content_type)
    if kind == "audio":
        return Refused(63021, "the header of a WhatsApp template holds no sound")
    return template_message(template, {"type": kind, kind: {"link": attachments[0].url}})


def _text(body: str) -> dict[str, Any]:
    return {"type": "text", "text": {"body": body, "preview_url": "https://" in body or "http://" in body}}


def _medium(submission: Submission) -> dict[str, Any] | Refused:
    attachment = submission.attachments[0]
    kind = _kind(attachment.content_type)
    medium = {"link": attachment.url}
    if submission.body:
        if kind == "audio":
            return Refused(63021, "WhatsApp takes no text beside a sound")
        if len(submission.body) > LONGEST_CAPTION:
            return Refused(63021, f"WhatsApp takes at most {LONGEST_CAPTION:,} characters beside a medium")
        medium["caption"] = submission.body
    return {"type": kind, kind: medium}


def _kind(content_type: str) -> str:
    plain = content_type.partition(";")[0].strip().lower()
    known = {"image": _IMAGES, "video": _VIDEOS, "audio": _SOUNDS}
    return next((kind for kind, types in known.items() if plain in types), "document")


def _refusal(error: GraphError | None, answer: Answer) -> Outcome:
    code = error.code if error is not None else None
    if code == _TOO_MANY_FOR_ONE:
        return busy(answer, this_only=True)
    if code in _THROTTLED:
        return busy(answer)
    if code in _HELD_BACK:
        return Busy(MINUTE, "Meta holds the WhatsApp account back: look into its manager")
    if code in CODES:  # whatever the status is: a template that is not there has 404
        return refused(answer, CODES[code])
    if code in _CREDENTIALS:
        return locked_out()
    if error is not None and error.error_subcode == _NO_SUCH_OBJECT:
        return misaddressed()
    return by_status(answer) or (refused(answer) if error is not None else unclear(answer))


KIND = ProviderKind(
    name="whatsapp",
    title="WhatsApp (Meta's Cloud API)",
    settings=Settings,
    make=WhatsApp,
    channels=frozenset({Channel.WHATSAPP}),
    media=1,
    checked="Meta's OpenAPI document, and pywa for signatures",
)
