"""Twilio's Programmable Messaging, and whatever else speaks its API, another Postdate among them.

Checked against: Twilio's OpenAPI document (the request), Twilio's Python library (signatures, both ways), and a node of
ours as the other side. Twilio keeps no reference of ours: the SID is in the status callback's URL alone. Its own
scheduler is never used. Codes of Twilio's go to the customer as they are, except those about the operator's account.

A question is answered by what the message looks like: one message in the list, made since `SendAt`, that agrees in
sender, recipient, text and number of media. Two messages alike in all of it and in time cannot be told apart, so one
found may be the other's; none found proves nothing, for the list can lag. So the verdict is never Unreachable.
"""

import re
from typing import Annotated, Final
from urllib.parse import urlencode, urlsplit

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
    OPERATORS_STATUSES,
    Address,
    Id,
    LongText,
    basic,
    busy,
    by_status,
    decode,
    fit_event,
    known_sid,
    links,
    locked_out,
    read_form,
    same,
    seconds_left,
    unclear,
)
from postdate.core.address import Channel
from postdate.core.callback_form import sign
from postdate.core.instant import MINUTE, SECOND, Instant, InvalidInstant, format_iso, parse_date_filter
from postdate.core.message import Event
from postdate.core.outcome import Accepted, Busy, InDoubt, Outcome, Refused
from postdate.core.sid import is_sid

MOST_MEDIA: Final = 10
LONGEST_VALIDITY: Final = 36_000

_CODES: Final = range(10_000, 100_000)
# About the operator's account with Twilio: no fault of the customer's, so the message waits.
_OPERATORS: Final = frozenset({20003, 20005, 20006, 20403, 20404, 90010})
# About what the operator has set here: our URL for status callbacks, and the messaging service.
_SETTINGS: Final = frozenset({21609, 21701, 21705})
_LATER: Final = frozenset({14107, 20429, 21611, 21702, 63017, 63018})  # too fast, a full queue, a service that is away
_UNCERTAIN: Final = frozenset({408, 409})
_RECEIPTS: Final = {
    "delivered": Event.DELIVER,
    "undelivered": Event.UNDELIVER,
    "failed": Event.UNDELIVER,
    "read": Event.READ,
}
_CODE: Final = re.compile(r"[0-9]{5}")
_FORM: Final = "application/x-www-form-urlencoded"


class Settings(HttpSettings, frozen=True, kw_only=True):
    """An account with Twilio; with an API key the token may be left out, and then callbacks are not checked."""

    account_sid: Annotated[str, Meta(pattern=r"^AC[0-9a-fA-F]{32}\Z", description="The account's SID, AC….")]
    auth_token: Annotated[
        Secret | None, Meta(description="The account's auth token: signs in, and checks the signature of callbacks.")
    ] = None
    key_sid: Annotated[
        Annotated[str, Meta(pattern=r"^SK[0-9a-fA-F]{32}\Z")] | None,
        Meta(description="An API key's SID, SK…, to sign in with instead of the auth token."),
    ] = None
    key_secret: Annotated[Secret | None, Meta(description="The API key's secret.")] = None
    messaging_service_sid: Annotated[
        Annotated[str, Meta(pattern=r"^MG[0-9a-fA-F]{32}\Z")] | None,
        Meta(description="A messaging service of Twilio's, MG…, whose pool holds the senders: its features apply."),
    ] = None
    base_url: Annotated[Url, Meta(description="Where the API is; another region, or another Postdate.")] = (
        "https://api.twilio.com"
    )

    def __post_init__(self) -> None:
        if (self.key_sid is None) != (self.key_secret is None):
            raise ValueError("key_sid and key_secret belong together")
        if self.key_sid is None and self.auth_token is None:
            raise ValueError("auth_token is missing, or key_sid and key_secret")


class _Taken(msgspec.Struct, frozen=True):
    sid: str


class _Refusal(msgspec.Struct, frozen=True):
    code: int


class _Listed(msgspec.Struct, frozen=True):
    """A message as Twilio lists it."""

    sid: str
    to: str | None = None
    sender: str | None = msgspec.field(name="from", default=None)
    body: str | None = None
    direction: str | None = None
    num_media: str | int = "0"
    date_created: str | None = None


class _Page(msgspec.Struct, frozen=True):
    messages: list[_Listed]
    next_page_uri: str | None = None


class _Told(msgspec.Struct, frozen=True, rename="pascal"):
    """A status callback, which has a `MessageStatus`, or an inbound message, which has a `Body`."""

    message_sid: Id
    message_status: str | None = None
    error_code: str = ""
    from_: Address | None = msgspec.field(name="From", default=None)
    to: Address | None = None
    body: LongText | None = None
    num_media: str = "0"


class Twilio:
    """Hands messages to Twilio."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._messages = f"{settings.base_url.rstrip('/')}/2010-04-01/Accounts/{settings.account_sid}/Messages.json"
        user, password = settings.key_sid or settings.account_sid, settings.key_secret or settings.auth_token or ""
        self._headers = {"Authorization": basic(user, password), "Accept": "application/json"}

    def request(self, submission: Submission, context: Context) -> Request | Refused:
        """Return the POST of the message; a sender of a messaging service is named beside it."""
        validity = seconds_left(submission.expires_at, context.at, 1, LONGEST_VALIDITY)
        fields = [("To", submission.recipient), ("From", submission.sender)]
        if self._settings.messaging_service_sid is not None:
            fields.append(("MessagingServiceSid", self._settings.messaging_service_sid))
        if submission.body:
            fields.append(("Body", submission.body))
        fields += [("MediaUrl", attachment.url) for attachment in submission.attachments]
        fields += [("StatusCallback", context.events_url), ("ValidityPeriod", str(validity))]
        return Request("POST", self._messages, self._headers | {"Content-Type": _FORM}, urlencode(fields).encode())

    def outcome(self, submission: Submission, answer: Answer) -> Outcome:
        """Believe a 2xx with a message's SID, and a 4xx with a code of Twilio's."""
        if 200 <= answer.status <= 299:
            taken = decode(answer.body, _Taken)
            return Accepted(taken.sid) if taken is not None and is_sid(taken.sid, "SM", "MM") else unclear(answer)
        refusal = decode(answer.body, _Refusal)
        code = refusal.code if refusal is not None else None
        if answer.status == 429 or code in _LATER:
            return busy(answer)
        if code in _OPERATORS:
            return locked_out()
        if code in _SETTINGS:
            return Busy(MINUTE, "the carrier cannot use this node's URL, or does not know the messaging service")
        if answer.status in OPERATORS_STATUSES and (answer.status == 401 or code not in _CODES):
            return by_status(answer) or unclear(answer)
        if code is not None and 400 <= answer.status <= 499 and answer.status not in _UNCERTAIN:
            return Refused(code if code in _CODES else UNKNOWN_FAILURE, f"the carrier answered {answer.status}")
        return unclear(answer)

    def events(self, call: Call) -> Heard:
        """Read one status callback or inbound message; other statuses than the last ones are no news."""
        fields = read_form(call.body)
        self._check(call, fields)
        told = fit_event(dict(fields), _Told)
        if told.message_status is not None:
            return Heard(_receipts(told, call.sid))
        if told.from_ is None or told.to is None or told.body is None:
            raise BadEvent("The event is neither a status callback nor an inbound message.")
        media = links(map(dict(fields).get, map("MediaUrl{}".format, range(MOST_MEDIA))))
        return Heard([Inbound(told.from_, told.to, told.body, media_urls=media, carrier_ref=told.message_sid)])

    def question(self, submission: Submission, context: Context) -> Request:
        """Return the GET of what was sent from this sender to this recipient since the day of `SendAt`."""
        day = format_iso(submission.not_before)[:10]
        query = {"To": submission.recipient, "From": submission.sender, "DateSent>": day, "PageSize": "50"}
        return Request("GET", f"{self._messages}?{urlencode(query)}", self._headers)

    def verdict(self, submission: Submission, answer: Answer) -> Accepted | InDoubt:
        """Believe exactly one message that looks like ours, in a list that is whole."""
        page = decode(answer.body, _Page) if answer.status == 200 else None
        if page is None or page.next_page_uri is not None:
            return InDoubt("the carrier's list does not say whether it took the message")
        alike = [one.sid for one in page.messages if is_sid(one.sid, "SM", "MM") and _is_alike(one, submission)]
        if len(alike) != 1:
            return InDoubt("not exactly one message in the carrier's list is like this one")
        return Accepted(alike[0])

    def _check(self, call: Call, fields: list[tuple[str, str]]) -> None:
        token = self._settings.auth_token
        if token is None:
            return
        given = call.headers.get("x-twilio-signature", "")
        # Twilio signs the URL with its port or without, whichever the URL had.
        if not any([same(sign(url, fields, token), given) for url in _spellings(call.url)]):
            raise Untrusted("The event is not signed with the connection's auth token.")


def _receipts(told: _Told, sid: str | None) -> list[CarrierEvent]:
    event = _RECEIPTS.get(told.message_status or "")
    if event is None:
        return []
    code = int(told.error_code) if _CODE.fullmatch(told.error_code) else 0
    failure = (code if code in _CODES else UNKNOWN_FAILURE) if event is Event.UNDELIVER else None
    return [Receipt(told.message_sid, event, failure, known_sid(sid))]


def _spellings(url: str) -> list[str]:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    bare = host[: host.rindex(":")] if parts.port is not None else host
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return [url, parts._replace(netloc=bare).geturl(), parts._replace(netloc=f"{bare}:{port}").geturl()]


def _is_alike(one: _Listed, submission: Submission) -> bool:
    """Say whether a message of the list looks like ours and is not from before its `SendAt`, by the second."""
    made = _made(one.date_created)
    return (
        made is not None
        and made >= submission.not_before // SECOND * SECOND
        and (one.to, one.sender) == (submission.recipient, submission.sender)
        and (one.body or "") == submission.body
        and str(one.num_media) == str(len(submission.attachments))
        and one.direction in ("outbound-api", "outbound-reply")
    )


def _made(date: str | None) -> Instant | None:
    try:
        return parse_date_filter(date or "")[0]
    except InvalidInstant:
        return None


KIND = ProviderKind(
    name="twilio",
    title="Twilio",
    settings=Settings,
    make=Twilio,
    channels=frozenset(Channel),
    media=MOST_MEDIA,
    checked="Twilio's OpenAPI document and Python library, and another Postdate",
)
