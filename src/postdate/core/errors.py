"""The error codes customers see, in Twilio's numbers, each with its HTTP status and what to do about it.

`Rejected` is the one exception for input that is at fault; the API turns it into Twilio's JSON. Codes that arrive on a
message (`error_code`) have a status of 0: no request failed. `tests` hold every code used in the source to this table.
"""

from types import MappingProxyType
from typing import NamedTuple


class Meaning(NamedTuple):
    """HTTP status (0: only on a message) and the sentence that a person reads."""

    http_status: int
    sentence: str


MEANINGS = MappingProxyType(
    {
        20001: Meaning(400, "A parameter has a value that cannot be used."),
        20002: Meaning(400, "The FriendlyName is not valid: it has at most 64 characters."),
        20003: Meaning(401, "Authenticate with your account SID and auth token, or an API key and its secret."),
        20004: Meaning(405, "This method is not allowed on this resource."),
        20005: Meaning(403, "The account is not active: the operator can activate it again."),
        20006: Meaning(403, "These credentials have no access to this resource."),
        20009: Meaning(409, "The message is not final yet: cancel it or wait before you delete it."),
        20404: Meaning(404, "The requested resource was not found."),
        20409: Meaning(409, "The resource is in another state than this request needs."),
        20413: Meaning(413, "The request is too large."),
        20422: Meaning(422, "The request body could not be understood."),
        20429: Meaning(429, "Too many requests at once: try again shortly."),
        20500: Meaning(
            500, "The server failed to handle the request. Nothing was changed unless the resource shows it."
        ),
        20503: Meaning(503, "The node cannot take this now: try again shortly."),
        11243: Meaning(400, "The retry settings in the URL fragment are not valid."),
        11200: Meaning(0, "The media could not be fetched at the time of sending: check that its URL answers."),
        21211: Meaning(400, "The 'To' number is not a valid phone number. Use E.164, for example +15005550006."),
        21212: Meaning(400, "The 'From' address is not valid."),
        21402: Meaning(400, "A URL is not one that can be called."),
        21403: Meaning(400, "A method must be GET or POST."),
        21408: Meaning(400, "Messages to this region are not enabled at the carrier: ask the operator."),
        21420: Meaning(400, "The ApplicationSid names no application of this account."),
        21421: Meaning(400, "The phone number is not valid. Use E.164, for example +15005550006."),
        21422: Meaning(400, "The phone number is registered already."),
        21452: Meaning(400, "Postdate sells no numbers: register one that a carrier gave you with PhoneNumber."),
        21475: Meaning(400, "The Status of an account must be active, suspended or closed."),
        21477: Meaning(400, "A main account's status cannot be changed with its own credentials: ask the operator."),
        21479: Meaning(400, "The subaccount was closed, which is for good: create another."),
        21602: Meaning(400, "A message needs a Body, a MediaUrl or a ContentSid."),
        21603: Meaning(400, "A message needs a From or a MessagingServiceSid."),
        21604: Meaning(400, "A message needs a To."),
        21606: Meaning(400, "The 'From' address is not a sender of this account that can send this message."),
        21608: Meaning(400, "The account at the carrier is one for trials: it writes to verified numbers only."),
        21609: Meaning(400, "The StatusCallback is not a URL that can be called."),
        21610: Meaning(400, "The recipient has opted out of messages from this sender."),
        21611: Meaning(
            400, "The queue of this 'From' is full: send more slowly or add senders to a messaging service."
        ),
        21612: Meaning(400, "This recipient cannot be reached by this sender: send from another one."),
        21617: Meaning(400, "The body is longer than 1600 characters."),
        21620: Meaning(400, "A MediaUrl is not a URL that can be fetched."),
        21621: Meaning(400, "The 'From' address cannot send media."),
        21623: Meaning(400, "A message can carry at most 10 media."),
        21624: Meaning(400, "The ValidityPeriod must be a whole number of seconds from 1 to 36000."),
        21654: Meaning(400, "ContentVariables need a ContentSid."),
        21655: Meaning(400, "The ContentSid names no content of this account."),
        21656: Meaning(400, "The ContentVariables are not a JSON object of strings."),
        21701: Meaning(404, "The messaging service does not exist."),
        21703: Meaning(0, "No sender of the messaging service can reach this recipient: add one that can."),
        21704: Meaning(0, "The messaging service has no senders: add a number to its sender pool."),
        21705: Meaning(400, "The MessagingServiceSid is not valid: it must name a messaging service of this account."),
        21708: Meaning(400, "An AlphaSender is missing."),
        21709: Meaning(
            400, "An alpha sender has 1 to 11 letters, digits, spaces or + - _ &, with a letter among them."
        ),
        21710: Meaning(409, "The sender is in this messaging service already."),
        21711: Meaning(404, "The sender is not in this messaging service."),
        21712: Meaning(409, "The sender is in another messaging service: remove it there first."),
        21713: Meaning(400, "The Usecase is not one of those known."),
        21714: Meaning(400, "The sender pool is full: it holds at most 400 numbers and short codes."),
        30001: Meaning(0, "The queue of every sender that could take this message is full."),
        30002: Meaning(0, "The account was suspended before the message could be sent."),
        30003: Meaning(0, "The handset could not be reached: it may be off or out of service."),
        30004: Meaning(0, "The recipient's network blocks this message."),
        30005: Meaning(0, "The number is unknown to the network or no longer in use."),
        30006: Meaning(0, "The number is a landline or cannot receive this kind of message."),
        30007: Meaning(0, "The carrier filtered the message."),
        30008: Meaning(0, "The carrier reported a failure without a known reason."),
        30011: Meaning(
            0,
            "The sender's carrier takes no media like these, and its service puts no links in their place.",
        ),
        30017: Meaning(0, "The carrier's network is congested."),
        30019: Meaning(0, "The content is larger than the carrier takes."),
        30020: Meaning(0, "The schedule could not be carried out."),
        30022: Meaning(0, "The sender's rate at the carrier was exceeded: send more slowly."),
        30023: Meaning(0, "The sender has had as many messages today as the carrier allows: send the rest tomorrow."),
        30032: Meaning(0, "The toll-free number is not verified: the operator can have that done."),
        30034: Meaning(0, "The number is not registered for such messages: the operator can register it."),
        30036: Meaning(0, "The validity period ended before the message could be sent."),
        30029: Meaning(400, "The ContentRetention must be 'retain' or 'discard'."),
        30030: Meaning(400, "The AddressRetention must be 'retain' or 'obfuscate'."),
        30409: Meaning(409, "The message cannot be canceled: only a scheduled message that has not been sent can."),
        35111: Meaning(400, "ScheduleType=fixed needs a SendAt."),
        35114: Meaning(400, "The SendAt is outside the schedule window."),
        35118: Meaning(400, "Scheduling needs a MessagingServiceSid."),
        35125: Meaning(400, "The account has as many scheduled messages as it may have."),
        35126: Meaning(400, "The ScheduleType must be 'fixed'."),
        63003: Meaning(0, "The channel does not know this recipient: check the 'To' address."),
        63016: Meaning(0, "Only a template may be sent now: the recipient has not written in the last 24 hours."),
        63018: Meaning(0, "The channel takes no more messages of this sender now: send more slowly."),
        63019: Meaning(0, "The media could not be fetched at the time of sending: check that its URL answers."),
        63021: Meaning(0, "The channel does not take this content."),
        63024: Meaning(0, "The recipient cannot get messages on this channel."),
        63027: Meaning(0, "The template does not exist in this language."),
        63028: Meaning(0, "The template takes another number of parameters."),
        63032: Meaning(0, "The channel kept the message back from this recipient, as it does for some of them."),
        63034: Meaning(0, "The media are larger than the channel takes."),
        63049: Meaning(0, "The channel did not deliver this marketing message."),
        92002: Meaning(400, "A content has at most 100 variables."),
        92003: Meaning(400, "A content needs a language, such as en or pt_BR."),
        92004: Meaning(400, "The language is not a language code, such as en or pt_BR."),
        92007: Meaning(400, "The variables are not a JSON object of strings with names of letters, digits and _."),
    }
)

MORE_INFO = "https://www.twilio.com/docs/errors/"


class Rejected(Exception):
    """A request that cannot be carried out; `code` is in MEANINGS, `detail` overrides its sentence."""

    def __init__(self, code: int, detail: str | None = None, http_status: int | None = None) -> None:
        meaning = MEANINGS[code]
        super().__init__(detail or meaning.sentence)
        self.code = code
        self.detail = detail or meaning.sentence
        self.http_status = http_status or meaning.http_status or 400
