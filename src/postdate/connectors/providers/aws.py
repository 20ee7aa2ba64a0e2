"""AWS End User Messaging (the API PinpointSMSVoiceV2): SMS by SendTextMessage.

Checked against: botocore's description of the API (the request, the answers, the errors) and botocore's signer; events
against the documentation alone. AWS knows no key of ours, so a message in doubt stays so until an event tells: our SID
goes out as context and comes back in it. MMS is left out: AWS takes media from a bucket of the operator's only, never
from a link, so links go into the text.

Events and inbound SMS come by Amazon SNS topics that are subscribed to the connection's URL; a subscription is
confirmed by itself. `account_id` says whose topics are listened to. Successful is not delivered: the network took it.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from postdate.connectors.contract import CarrierEvent, Inbound, Receipt, Submission
from postdate.connectors.providers import sns
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
    Text,
    Untrusted,
    Url,
)
from postdate.connectors.providers.reading import (
    Address,
    Id,
    LongText,
    busy,
    by_status,
    decode,
    decode_event,
    known_sid,
    locked_out,
    misaddressed,
    refused,
    seconds_left,
    unclear,
)
from postdate.connectors.providers.sigv4 import Signer
from postdate.core.address import Channel
from postdate.core.instant import HOUR, MINUTE
from postdate.core.message import Event
from postdate.core.outcome import Accepted, Busy, Outcome, Refused

_FEWEST_SECONDS: Final = 5
_MOST_SECONDS: Final = 259_200
_ORIGIN: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_:/+-")

_THROTTLED: Final = frozenset({"ThrottlingException", "Throttling", "TooManyRequestsException"})
_CREDENTIALS: Final = frozenset(
    {
        "AccessDeniedException",
        "ExpiredTokenException",
        "IncompleteSignatureException",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "NotAuthorizedException",
        "UnrecognizedClientException",
    }
)
# Reasons of ConflictException and ValidationException.
REASONS: Final = {
    "DESTINATION_PHONE_NUMBER_OPTED_OUT": 21610,
    "DESTINATION_COUNTRY_BLOCKED": 30004,
    "DESTINATION_COUNTRY_BLOCKED_BY_PROTECT_CONFIGURATION": 30004,
    "DESTINATION_PHONE_NUMBER_BLOCKED_BY_PROTECT_NUMBER_OVERRIDE": 30004,
    "COUNTRY_NOT_ENABLED": 21612,
    "INTERNATIONAL_SENDING_NOT_SUPPORTED": 21612,
    "INVALID_IDENTITY_FOR_DESTINATION_COUNTRY": 21612,
    "NO_ORIGINATION_IDENTITIES_FOUND": 21612,
    "NUMBER_CAPABILITIES_MISMATCH": 21612,
    "SENDER_ID_NOT_REGISTERED": 21612,
    "SENDER_ID_NOT_SUPPORTED": 21612,
    "SENDER_ID_REQUIRES_REGISTRATION": 21612,
    "MAXIMUM_SIZE_EXCEEDED": 30019,
}
FAILURES: Final = {
    "TEXT_BLOCKED": 30004,
    "TEXT_CARRIER_BLOCKED": 30007,
    "TEXT_CARRIER_UNREACHABLE": 30017,
    "TEXT_INVALID": 30005,
    "TEXT_INVALID_MESSAGE": 30008,
    "TEXT_PROTECT_BLOCKED": 30004,
    "TEXT_SPAM": 30007,
    "TEXT_TTL_EXPIRED": 30036,
    "TEXT_UNKNOWN": 30008,
    "TEXT_UNREACHABLE": 30003,
}


class Settings(HttpSettings, frozen=True, kw_only=True):
    """An AWS account's End User Messaging in one region."""

    access_key_id: Annotated[Text, Meta(description="Access key of a user who may call SendTextMessage.")]
    secret_access_key: Annotated[Secret, Meta(description="Secret of the access key.")]
    session_token: Annotated[Secret, Meta(description="Session token of temporary credentials.")] | None = None
    region: Annotated[str, Meta(pattern=r"^[a-z0-9-]{3,32}\Z", description="Region, such as us-east-1.")]
    account_id: (
        Annotated[str, Meta(pattern=r"^[0-9]{12}\Z", description="Only topics of this account are listened to.")] | None
    ) = None
    origination_identity: (
        Annotated[Text, Meta(description="Pool, number or sender ID (id or ARN) to send from in place of From.")] | None
    ) = None
    configuration_set: Annotated[Text, Meta(description="Configuration set whose events come to us.")] | None = None
    message_type: Annotated[
        Literal["TRANSACTIONAL", "PROMOTIONAL"], Meta(description="What kind of messages these are.")
    ] = "TRANSACTIONAL"
    base_url: Annotated[Url, Meta(description="Another endpoint than the region's own.")] | None = None


class _Taken(msgspec.Struct):
    id: Id = msgspec.field(name="MessageId")


class _Fault(msgspec.Struct):
    kind: str = msgspec.field(name="__type", default="")
    reason: str | None = msgspec.field(name="Reason", default=None)
    resource: str | None = msgspec.field(name="ResourceType", default=None)


class _Published(msgspec.Struct, rename="camel"):
    event_type: str | None = None
    message_id: Id | None = None
    is_final: bool = True
    context: dict[str, str] | None = None
    origination_number: Address | None = None
    destination_number: Address | None = None
    message_body: LongText | None = None
    inbound_message_id: Id | None = None


class Aws:
    """One AWS account in one region."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._url = (settings.base_url or f"https://sms-voice.{settings.region}.amazonaws.com").rstrip("/") + "/"
        self._signer = Signer(
            settings.access_key_id,
            settings.secret_access_key,
            settings.region,
            "sms-voice",
            settings.session_token,
        )

    def request(self, submission: Submission, context: Context) -> Request | Refused:
        """Return a SendTextMessage."""
        origin = self._settings.origination_identity or submission.sender
        if submission.channel is not Channel.SMS or submission.attachments:
            return Refused(21612, "AWS takes SMS only")
        if not _ORIGIN.issuperset(origin):
            return Refused(21612, "a sender of AWS has letters, digits, _ and - only")
        order: dict[str, Any] = {
            "DestinationPhoneNumber": submission.recipient,
            "OriginationIdentity": origin,
            "MessageBody": submission.body,
            "MessageType": self._settings.message_type,
            "TimeToLive": seconds_left(submission.expires_at, context.at, _FEWEST_SECONDS, _MOST_SECONDS),
            "Context": {"sid": submission.sid},
        }
        if self._settings.configuration_set is not None:
            order["ConfigurationSetName"] = self._settings.configuration_set
        body = msgspec.json.encode(order)
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": "PinpointSMSVoiceV2.SendTextMessage",
        }
        return Request("POST", self._url, self._signer.sign("POST", self._url, headers, body, context.at), body)

    def outcome(self, submission: Submission, answer: Answer) -> Outcome:
        """Believe 200 with an id, and refusals by the name of their error."""
        if answer.status == 200:
            taken = decode(answer.body, _Taken)
            return Accepted(taken.id) if taken is not None else unclear(answer)
        if not 400 <= answer.status <= 499 or answer.status in (408, 409):
            return unclear(answer)
        fault = decode(answer.body, _Fault) or _Fault()
        kind = (fault.kind or answer.headers.get("x-amzn-errortype", "")).rpartition("#")[2].partition(":")[0]
        if kind in _THROTTLED or answer.status == 429:
            return busy(answer)
        if kind in _CREDENTIALS or answer.status in (401, 403):
            return locked_out()
        if kind == "ServiceQuotaExceededException":
            return _over_quota(fault)
        if answer.status in (402, 404, 405, 407):
            return by_status(answer) or unclear(answer)
        if kind == "ResourceNotFoundException":
            # A pool or a configuration set is the operator's; only a sender can be the message's.
            theirs = self._settings.origination_identity is None and fault.resource in (
                None,
                "phone-number",
                "sender-id",
            )
            return refused(answer, 21606) if theirs else misaddressed()
        return refused(answer, REASONS.get(fault.reason or "", UNKNOWN_FAILURE)) if kind else unclear(answer)

    def events(self, call: Call) -> Heard:
        """Read what SNS delivers: an event of a message, an inbound SMS, or a subscription to confirm."""
        envelope = decode_event(call.body, sns.Envelope)
        if self._settings.account_id not in (None, envelope.account):
            raise Untrusted("The topic belongs to another account than account_id.")
        sns.check(envelope, call.documents, call.at)
        if not envelope.is_notification:
            return Heard(follow=sns.confirmation(envelope))
        event = _event(decode_event(envelope.Message.encode(), _Published), call.sid)
        return Heard((event,) if event is not None else ())


def _over_quota(fault: _Fault) -> Busy:
    if fault.reason == "DAILY_DESTINATION_CALL_LIMIT":
        return Busy(HOUR, "the recipient has had as many messages today as AWS allows", this_only=True)
    return Busy(MINUTE, "a quota or the spend limit of the AWS account is used up")


def _event(told: _Published, sid: str | None) -> CarrierEvent | None:
    match told:
        case _Published(event_type=str(kind), message_id=str(ref)):
            ours = known_sid(sid, (told.context or {}).get("sid"))
            if kind == "TEXT_DELIVERED":
                return Receipt(ref, Event.DELIVER, None, ours)
            if kind in FAILURES and told.is_final:
                return Receipt(ref, Event.UNDELIVER, FAILURES[kind], ours)
            return None
        case _Published(origination_number=str(sender), destination_number=str(recipient), message_body=str(body)):
            return Inbound(sender, recipient, body, carrier_ref=told.inbound_message_id)
    raise BadEvent("The notification is neither an event of a message nor an inbound SMS.")


KIND = ProviderKind(
    name="aws",
    title="AWS End User Messaging",
    settings=Settings,
    make=Aws,
    channels=frozenset({Channel.SMS}),
    media=0,
    checked="botocore's description of the API and its signer; events: documentation",
)
