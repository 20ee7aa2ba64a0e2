"""Sinch: SMS, and MMS in North America, by its SMS REST API ("XMS").

Shapes taken from Sinch's own Python library, codes from its documentation and its Java library; the signature is held
against the Python library's verifier. Credentials are either a service plan with its API token, or a project with an
access key, which a bearer token is got for. Our SID is the `client_reference`. No idempotency key is known.

Receipts are asked for one by one and in their final state alone. `Unknown` is final too: the network has it and will
say no more, so the message stays sent. Sinch documents no age beyond which an event is to be refused, and keeps trying
for a day: the signature is checked, its time is not. What is sent twice is harmless, for it is taken once.
"""

import base64
import hashlib
import hmac
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote

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
    Provider,
    ProviderKind,
    Request,
    Secret,
    Text,
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
    decode_event,
    e164,
    known_sid,
    links,
    locked_out,
    refused,
    same,
    seconds_left,
    unclear,
)
from postdate.core.address import Channel
from postdate.core.instant import SECOND, Instant, format_iso
from postdate.core.message import Event
from postdate.core.outcome import Accepted, Busy, Outcome, Refused

_FEWEST_SECONDS: Final = 60
_MOST_SECONDS: Final = 3 * 24 * 3600
_JSON: Final = "application/json"
_EXPIRED: Final = 30036

# What a 403 is about, where it is about the message and not about the account.
_REFUSALS: Final = {"illegal_number_type": 30006}
_FAILED: Final = frozenset({"aborted", "cancelled", "rejected", "deleted", "failed", "expired"})
_BY_STATUS: Final = {"expired": _EXPIRED, "deleted": 30005}
_BY_CODE: Final = {402: 30006, 406: _EXPIRED, 412: 30006, 413: 30002, 414: 63019, 415: 30004, 416: 30006, 417: 30003}


class Settings(HttpSettings, frozen=True, kw_only=True):
    """A service plan with its token, or a project with an access key."""

    service_plan_id: Annotated[Text, Meta(description="Service plan ID, beside the API token.")] | None = None
    api_token: Annotated[Secret, Meta(description="API token of the service plan.")] | None = None
    project_id: Annotated[Text, Meta(description="Project ID, beside its access key.")] | None = None
    key_id: Annotated[Text, Meta(description="Access key ID of the project.")] | None = None
    key_secret: Annotated[Secret, Meta(description="Access key secret of the project.")] | None = None
    region: Annotated[Literal["us", "eu", "au", "br", "ca"], Meta(description="Where the account is.")] = "us"
    base_url: Annotated[Url, Meta(description="Another address than the region's.")] | None = None
    auth_url: Annotated[Url, Meta(description="Where tokens of a project are got.")] = "https://auth.sinch.com"
    events_secret: Annotated[Secret, Meta(description="Secret that Sinch signs its callbacks with.")] | None = None

    def __post_init__(self) -> None:
        plan = (self.service_plan_id, self.api_token)
        project = (self.project_id, self.key_id, self.key_secret)
        if not (all(plan) and not any(project)) and not (all(project) and not any(plan)):
            raise ValueError("Give either service_plan_id and api_token, or project_id, key_id and key_secret.")


class _Taken(msgspec.Struct):
    id: Id


class _Problem(msgspec.Struct):
    code: str


class _Token(msgspec.Struct):
    access_token: Annotated[str, Meta(min_length=1, max_length=8192, pattern=r"^[!-~]+\Z")]
    expires_in: Annotated[int, Meta(ge=1, le=10_000_000)]


class _Kind(msgspec.Struct):
    type: str


class _Delivery(msgspec.Struct):
    batch_id: Id
    status: str
    code: int = 0
    client_reference: str | None = None


class _Text(msgspec.Struct):
    id: Id
    sender: Address = msgspec.field(name="from")
    to: Address
    body: LongText


class _Medium(msgspec.Struct):
    url: Annotated[str, Meta(max_length=4096)] | None = None


class _MediaBody(msgspec.Struct):
    subject: LongText | None = None
    message: LongText | None = None
    media: Annotated[list[_Medium], Meta(max_length=50)] | None = None


class _Media(msgspec.Struct):
    id: Id
    sender: Address = msgspec.field(name="from")
    to: Address
    body: _MediaBody


class SinchPlan:
    """A service plan: its token never changes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._batches = _batches(settings, f"https://{settings.region}.sms.api.sinch.com", settings.service_plan_id)

    def request(self, submission: Submission, context: Context) -> Request | Refused:
        """Return the request for a batch of one message."""
        if submission.channel is not Channel.SMS:
            return Refused(21612, "this connection carries SMS and MMS only")
        if len(submission.attachments) > 1:
            return Refused(21623, "the carrier takes one medium in a message")
        left = seconds_left(submission.expires_at, context.at, _FEWEST_SECONDS, _MOST_SECONDS)
        batch: dict[str, Any] = {
            "from": submission.sender,
            "to": [submission.recipient],
            "type": "mt_text",
            "body": submission.body,
            "delivery_report": "per_recipient_final",
            "expire_at": format_iso(Instant(context.at + left * SECOND)),
            "callback_url": context.events_url,
            "client_reference": submission.sid,
        }
        if submission.attachments:
            batch |= {"type": "mt_media", "body": _media_body(submission)}
        headers = {"Authorization": f"Bearer {self._token(context)}", "Content-Type": _JSON}
        return Request("POST", self._batches, headers, msgspec.json.encode(batch))

    def outcome(self, submission: Submission, answer: Answer) -> Outcome:
        """Believe 200 and 201 with an id, and refusals."""
        if answer.status == 401:
            return self._no_access()
        problem = decode(answer.body, _Problem)
        code = _REFUSALS.get(problem.code) if problem is not None and answer.status == 403 else None
        outcome = by_status(answer, 200, 201) if code is None else refused(answer, code)
        if outcome is not None:
            return outcome
        if answer.status <= 299:
            taken = decode(answer.body, _Taken)
            return Accepted(taken.id) if taken is not None else unclear(answer)
        return refused(answer)

    def events(self, call: Call) -> Heard:
        """Read one callback; reports on whole batches and binary messages are no news."""
        if self._settings.events_secret is not None:
            _check(self._settings.events_secret, call)
        match decode_event(call.body, _Kind).type:
            case "recipient_delivery_report_sms" | "recipient_delivery_report_mms":
                return Heard(_receipt(decode_event(call.body, _Delivery), call.sid))
            case "mo_text":
                text = decode_event(call.body, _Text)
                return Heard([Inbound(e164(text.sender), e164(text.to), text.body, carrier_ref=text.id)])
            case "mo_media":
                return Heard([_inbound_media(decode_event(call.body, _Media))])
            case "delivery_report_sms" | "delivery_report_mms" | "mo_binary":
                return Heard()
        raise BadEvent("The callback is of a type that is not known.")

    def _token(self, context: Context) -> str:
        return self._settings.api_token or ""

    def _no_access(self) -> Busy:
        return locked_out()


class SinchProject(SinchPlan):
    """A project: a token is got with its access key, for about an hour."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._batches = _batches(settings, f"https://zt.{settings.region}.sms.api.sinch.com", settings.project_id)

    def token_request(self, context: Context) -> Request:
        """Return the request for a token."""
        access = basic(self._settings.key_id or "", self._settings.key_secret or "")
        headers = {"Authorization": access, "Content-Type": "application/x-www-form-urlencoded"}
        url = f"{self._settings.auth_url.rstrip('/')}/oauth2/token"
        return Request("POST", url, headers, b"grant_type=client_credentials")

    def read_token(self, answer: Answer) -> tuple[str, Instant] | None:
        """Return the token and until when it can be used."""
        token = decode(answer.body, _Token) if answer.status == 200 else None
        return (token.access_token, Instant(answer.at + token.expires_in * SECOND)) if token is not None else None

    def _token(self, context: Context) -> str:
        return context.token or ""

    def _no_access(self) -> Busy:
        # The token ended early: another is got for the next attempt. If none is to be had, nothing is sent at all.
        return Busy(None, "the carrier did not accept the token")


def _batches(settings: Settings, region_url: str, account: str | None) -> str:
    return f"{(settings.base_url or region_url).rstrip('/')}/xms/v1/{quote(account or '', safe='')}/batches"


def _media_body(submission: Submission) -> dict[str, str]:
    body = {"url": submission.attachments[0].url}
    return body | {"message": submission.body} if submission.body else body


def _receipt(told: _Delivery, sid: str | None) -> list[CarrierEvent]:
    status = told.status.lower()
    ours = known_sid(sid, told.client_reference)
    if status == "delivered":
        return [Receipt(told.batch_id, Event.DELIVER, None, ours)]
    if status not in _FAILED:
        return []  # queued, dispatched, unknown
    code = _BY_CODE.get(told.code, _BY_STATUS.get(status, UNKNOWN_FAILURE))
    return [Receipt(told.batch_id, Event.UNDELIVER, code, ours)]


def _inbound_media(told: _Media) -> Inbound:
    text = told.body.message or told.body.subject or ""
    media = links(medium.url for medium in told.body.media or ())
    return Inbound(e164(told.sender), e164(told.to), text, media_urls=media, carrier_ref=told.id)


def _check(secret: str, call: Call) -> None:
    nonce = call.headers.get("x-sinch-webhook-signature-nonce", "")
    stamp = call.headers.get("x-sinch-webhook-signature-timestamp", "")
    given = call.headers.get("x-sinch-webhook-signature", "")
    signed = b".".join((call.body, nonce.encode(errors="replace"), stamp.encode(errors="replace")))
    right = base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()
    if not (nonce and stamp and same(right, given)):
        raise Untrusted("The callback is not signed with the connection's events_secret.")


def _make(settings: Settings) -> Provider:
    return SinchPlan(settings) if settings.service_plan_id else SinchProject(settings)


KIND = ProviderKind(
    name="sinch",
    title="Sinch",
    settings=Settings,
    make=_make,
    channels=frozenset({Channel.SMS}),
    media=1,
    checked="Sinch's Python library (shapes, signature) and documentation",
)
