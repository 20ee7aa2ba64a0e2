"""MessageBird: its first API, for SMS and, in North America, MMS. Accounts of Bird's newer platform: `bird`.

Shapes taken from MessageBird's own specification and its Python library, whose verifier the signatures are held
against; delivery errors from Bird's documentation. Nothing was tried against MessageBird itself. Our SID is the
`reference`, without which no receipt comes; for MMS it can be told no URL, so receipts come to the account's own.

Receipts are GETs with everything in the query; inbound messages are forms. Both carry a JWT (HMAC) over the whole URL
and the body, good for the time that it says.
"""

import hashlib
import re
from typing import Annotated, Any, Final

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
from postdate.connectors.providers.jwt import claims_of, is_current
from postdate.connectors.providers.reading import (
    Address,
    Id,
    LongText,
    by_status,
    decode,
    digits,
    e164,
    fit_event,
    known_sid,
    links,
    locked_out,
    out_of_credit,
    read_form,
    refused,
    same,
    seconds_left,
    unclear,
)
from postdate.core.address import Channel
from postdate.core.instant import SECOND
from postdate.core.message import Event
from postdate.core.outcome import Accepted, Outcome, Refused

_MOST_MEDIA: Final = 10
_MOST_SEGMENTS: Final = 9  # it does not say whether it cuts a longer text off
_FEWEST_SECONDS: Final = 60
_MOST_SECONDS: Final = 2 * 24 * 3600
_LEEWAY: Final = 1 * SECOND  # as the library has it
_EXPIRED: Final = 30036

_NO_BALANCE: Final = 25
_WRONG_KEY: Final = 2
# What a refusal complains of.
_BY_PARAMETER: Final = {"originator": 21606, "recipient": 21211, "recipients": 21211, "mediaurls": 21620}
# Codes of the networks and of MessageBird's own, which `bird` has too.
NETWORK_ERRORS: Final = {
    1: 30005, 2: 30005, 3: 30005, 5: 30005, 6: 30003, 8: 30003, 9: 30005, 10: 30005, 11: 30006, 12: 30005,
    26: 30003, 27: 30003, 31: 30003, 32: 30003, 103: 21610,
}  # fmt: skip
_MEDIA_FIELD: Final = re.compile(r"mediaurls(\[[0-9]{0,3}\])?", re.IGNORECASE)
_ALGORITHMS: Final = frozenset({"HS256", "HS384", "HS512"})


class Settings(HttpSettings, frozen=True, kw_only=True):
    """An account's keys."""

    access_key: Annotated[Secret, Meta(description="Live API access key.")]
    signing_key: Annotated[Secret, Meta(description="Signing key of the developer settings.")] | None = None
    base_url: Annotated[Url, Meta(description="Where the API is.")] = "https://rest.messagebird.com"


class _Taken(msgspec.Struct):
    id: Id


class _Error(msgspec.Struct):
    code: int = 0
    parameter: str | None = None


class _Problem(msgspec.Struct):
    errors: list[_Error]


class _Told(msgspec.Struct, rename="camel"):
    """A status report, which has a `status`; or an inbound message, with other names where it is to a short code."""

    id: Id | None = None
    mid: Id | None = None
    reference: str = ""
    status: str | None = None
    status_error_code: str = ""
    originator: Address | None = None
    recipient: Address | None = None
    shortcode: Address | None = None
    body: LongText | None = None
    message: LongText | None = None


class _Claims(msgspec.Struct):
    iss: str
    nbf: float
    exp: float
    url_hash: str
    payload_hash: str | None = None


class MessageBird:
    """One account."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._base = settings.base_url.rstrip("/")
        self._headers = {"Authorization": f"AccessKey {settings.access_key}", "Content-Type": "application/json"}

    def request(self, submission: Submission, context: Context) -> Request | Refused:
        """Return the request that sends the message."""
        if submission.channel is not Channel.SMS:
            return Refused(21612, "this connection carries SMS and MMS only")
        if len(submission.attachments) > _MOST_MEDIA:
            return Refused(21623, "too many media")
        message: dict[str, Any] = {
            "originator": digits(submission.sender),
            "recipients": [digits(submission.recipient)],
            "body": submission.body,
            "reference": submission.sid,
        }
        if submission.attachments:
            message["mediaUrls"] = [attachment.url for attachment in submission.attachments]
            return Request("POST", f"{self._base}/mms", self._headers, msgspec.json.encode(message))
        if submission.segments > _MOST_SEGMENTS:
            return Refused(30019, f"the carrier takes at most {_MOST_SEGMENTS} segments")
        message |= {
            "datacoding": "auto",
            "reportUrl": context.events_url,
            "validity": seconds_left(submission.expires_at, context.at, _FEWEST_SECONDS, _MOST_SECONDS),
        }
        return Request("POST", f"{self._base}/messages", self._headers, msgspec.json.encode(message))

    def outcome(self, submission: Submission, answer: Answer) -> Outcome:
        """Believe 200 and 201 with an id, and refusals."""
        outcome = by_status(answer, 200, 201)
        if outcome is not None:
            return outcome
        if answer.status <= 299:
            taken = decode(answer.body, _Taken)
            return Accepted(taken.id) if taken is not None else unclear(answer)
        return _refusal(answer)

    def events(self, call: Call) -> Heard:
        """Read one status report or inbound message."""
        fields = list(call.query) if call.method == "GET" else read_form(call.body)
        if self._settings.signing_key is not None:
            _check(self._settings.signing_key, call)
        told = fit_event(dict(fields), _Told)
        heard = _receipt(told, call.sid) if told.status is not None else [_inbound(told, fields)]
        return Heard(heard, 200, b"OK")


def _refusal(answer: Answer) -> Outcome:
    errors = (decode(answer.body, _Problem) or _Problem([])).errors
    codes = {error.code for error in errors}
    if _WRONG_KEY in codes:
        return locked_out()
    if _NO_BALANCE in codes:
        return out_of_credit()
    names = [(error.parameter or "").lower() for error in errors]
    code = next((_BY_PARAMETER[name] for name in names if name in _BY_PARAMETER), UNKNOWN_FAILURE)
    return refused(answer, code)


def _receipt(told: _Told, sid: str | None) -> list[CarrierEvent]:
    if told.id is None:
        raise BadEvent("The status report names no message.")
    ours = known_sid(sid, told.reference)
    match told.status:
        case "delivered":
            return [Receipt(told.id, Event.DELIVER, None, ours)]
        case "delivery_failed" | "expired":
            number = int(told.status_error_code) if re.fullmatch("[0-9]{1,9}", told.status_error_code) else 0
            other = _EXPIRED if told.status == "expired" else UNKNOWN_FAILURE
            return [Receipt(told.id, Event.UNDELIVER, NETWORK_ERRORS.get(number, other), ours)]
    return []  # scheduled, buffered, sent


def _inbound(told: _Told, fields: list[tuple[str, str]]) -> Inbound:
    recipient = told.shortcode or told.recipient
    if told.originator is None or recipient is None:
        raise BadEvent("The event is neither a status report nor an inbound message.")
    media = links(value for name, value in fields if _MEDIA_FIELD.fullmatch(name))
    text = told.body if told.body is not None else told.message
    ref = told.mid or told.id
    return Inbound(e164(told.originator), e164(recipient), text or "", media_urls=media, carrier_ref=ref)


def _check(key: str, call: Call) -> None:
    claims = claims_of(call.headers.get("messagebird-signature-jwt", ""), key, _Claims, _ALGORITHMS)
    if claims is None:
        raise Untrusted("The call is not signed with the connection's signing_key.")
    if claims.iss != "MessageBird" or not is_current(claims.nbf, claims.exp, call.at, _LEEWAY):
        raise Untrusted("The call's token is too old, or not yet good.")
    url = hashlib.sha256(call.url.encode()).hexdigest()
    body = hashlib.sha256(call.body).hexdigest() if call.body else ""
    if not same(url, claims.url_hash) or not same(body, claims.payload_hash or ""):
        raise Untrusted("The call's token was made for another call.")


KIND = ProviderKind(
    name="messagebird",
    title="MessageBird (rest.messagebird.com)",
    settings=Settings,
    make=MessageBird,
    channels=frozenset({Channel.SMS}),
    media=_MOST_MEDIA,
    checked="its own specification and Python library (shapes, signature)",
)
