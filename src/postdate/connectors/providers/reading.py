"""What all providers read alike: bounded JSON and forms, ids and texts without control characters, Retry-After."""

import base64
import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Annotated, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec

from postdate.connectors.providers.contract import UNKNOWN_FAILURE, Answer, BadEvent
from postdate.core.instant import DAY, SECOND, Instant
from postdate.core.outcome import Busy, InDoubt, Outcome, Refused
from postdate.core.sid import is_sid

EVENTS_LIMIT: Final = 1024 * 1024
MOST_EVENTS: Final = 1_000
LONGEST_RETRY_AFTER: Final = 1 * DAY
_CREDENTIALS_PAUSE: Final = 60 * SECOND
_MOST_FIELDS: Final = 200
# About the connection and not about the message, unless a code says otherwise: credentials, credit, address, a proxy.
OPERATORS_STATUSES: Final = frozenset({401, 402, 403, 404, 405, 407})

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS: Final = re.compile(r"[0-9]{1,12}")
_LINK: Final = re.compile(r"https?://[!-~]{1,4088}")
_MOST_LINKS: Final = 50
_NUMBER: Final = re.compile(r"[1-9][0-9]{8,14}")

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
Address = Annotated[str, msgspec.Meta(min_length=1, max_length=160, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
# Not every database takes a NUL in a text.
LongText = Annotated[str, msgspec.Meta(max_length=65_536, pattern=r"^[^\x00]*\Z")]

_Form = TypeVar("_Form")


def decode(body: bytes, form: type[_Form]) -> _Form | None:
    """Read JSON into a form that msgspec knows; None where it does not fit."""
    try:
        return msgspec.json.decode(body, type=form)
    except (ValueError, RecursionError):
        return None


def decode_event(body: bytes, form: type[_Form]) -> _Form:
    """Read JSON of a carrier's call; BadEvent, with the place but no word of the body, where it does not fit."""
    if len(body) > EVENTS_LIMIT:
        raise BadEvent(f"The events take more than {EVENTS_LIMIT:,} bytes; send fewer at a time.")
    try:
        return msgspec.json.decode(body, type=form)
    except RecursionError:
        raise BadEvent("The events cannot be read: they are nested too deeply.") from None
    except ValueError as wrong:
        raise BadEvent(f"The events cannot be read: {_why(wrong)}.") from None


def read_form(body: bytes) -> list[tuple[str, str]]:
    """Read a form of a carrier's call, in its order; BadEvent where it is none."""
    if len(body) > EVENTS_LIMIT:
        raise BadEvent(f"The event takes more than {EVENTS_LIMIT:,} bytes.")
    try:
        text = body.decode("ascii")
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise BadEvent("The event is not a form that can be read.") from None


def fit_event(fields: Mapping[str, str], form: type[_Form]) -> _Form:
    """Fit the fields of a call's form or query into a form that msgspec knows; BadEvent where they do not fit."""
    try:
        return msgspec.convert(fields, form)
    except ValueError as wrong:
        raise BadEvent(f"The event cannot be read: {_why(wrong)}.") from None


def _why(wrong: ValueError) -> str:
    if isinstance(wrong, UnicodeError):
        return "they are not UTF-8"
    text = str(wrong)
    if not text.startswith("Invalid enum value"):
        return text
    # Of msgspec's texts this one alone repeats what was given; the place that it names at its end is ours.
    return f"one of the values is not known - at {text.rpartition(' - at ')[2]}"


def same(right: str, given: str) -> bool:
    """Compare a signature with the one that was given, in a time that tells nothing of where they differ."""
    return hmac.compare_digest(right.encode(), given.encode(errors="replace"))


def by_status(answer: Answer, *yes: int) -> Outcome | None:
    """Return what a status says by itself, where all carriers mean the same by it; None for a yes, and for a no.

    `yes` are the statuses with which this one takes a message.
    Credentials, credit and addresses are for the operator to mend, and meanwhile the message waits. A no is only a no
    where the carrier says it: its own answers are JSON, and a page is that of some proxy on the way.
    """
    match answer.status:
        case 401 | 403 | 407:
            return locked_out()
        case 402:
            return out_of_credit()
        case 404 | 405:
            return misaddressed()
        case 429:
            return busy(answer)
        case 408 | 409 | 425:
            return unclear(answer)
        case status if status in yes:
            return None
        case status if 400 <= status <= 499 and decode(answer.body, dict[str, msgspec.Raw]) is not None:
            return None
    return unclear(answer)


def refused(answer: Answer, code: int = UNKNOWN_FAILURE) -> Refused:
    """Return the outcome of an answer that refuses the message for good."""
    return Refused(code, f"the carrier answered {answer.status}")


def busy(answer: Answer, *, this_only: bool = False) -> Busy:
    """Return the outcome of an answer that asks us to come back, as its Retry-After says."""
    asked = read_retry_after(answer.headers.get("retry-after", ""), answer.at)
    return Busy(asked, f"the carrier answered {answer.status}", this_only)


def locked_out() -> Busy:
    """Return the outcome of an answer that refuses our credentials: the operator mends that, and nothing is lost."""
    return Busy(_CREDENTIALS_PAUSE, "the carrier did not accept the credentials")


def out_of_credit() -> Busy:
    """Return the outcome of an answer that wants to be paid first: the operator mends that."""
    return Busy(_CREDENTIALS_PAUSE, "the account with the carrier has no credit left, or its plan is used up")


def misaddressed() -> Busy:
    """Return the outcome of an answer from a place that is none: the operator mends that too."""
    return Busy(_CREDENTIALS_PAUSE, "the carrier does not know the account, or this is not its address")


def unclear(answer: Answer) -> InDoubt:
    """Return the outcome of an answer that does not say what happened."""
    return InDoubt(f"the carrier answered {answer.status}, which does not say whether it took the message")


def basic(user: str, password: str) -> str:
    """Return the value of an Authorization header with a name and a password."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def e164(number: str) -> str:
    """Return a carrier's spelling of a number in ours: with a plus, unless it is a short code or a name."""
    return f"+{number}" if _NUMBER.fullmatch(number) else number


def digits(address: str) -> str:
    """Return a number without its plus or channel, for carriers that want it so; a short code or a name as it is."""
    plain = address.removeprefix("whatsapp:")
    return plain[1:] if plain[:1] == "+" and plain[1:].isdigit() else plain


def seconds_left(expires_at: Instant, at: Instant, fewest: int, most: int) -> int:
    """Return the whole seconds that a message is still worth delivering for, within what a carrier takes."""
    return max(fewest, min(most, (expires_at - at) // SECOND))


def links(told: Iterable[str | None]) -> tuple[str, ...]:
    """Return those of what a carrier gives as media of a received message that are links; the text counts without."""
    return tuple(one for one in told if one is not None and _LINK.fullmatch(one))[:_MOST_LINKS]


def known_sid(*told: str | None) -> str | None:
    """Return the first of these that can be a SID of a message of ours, None where none can.

    That of the call's URL comes first, for it is proven; what the carrier repeats is only its word.
    """
    return next((text for text in told if text is not None and is_sid(text, "SM", "MM")), None)


def read_retry_after(text: str, at: Instant) -> int | None:
    """Read seconds or an HTTP date as microseconds from `at`, at most a day; None where it is neither."""
    if _SECONDS.fullmatch(text):
        return min(int(text) * SECOND, LONGEST_RETRY_AFTER)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    # The oldest form of an HTTP date names no zone; all forms are GMT.
    since_epoch = (date if date.tzinfo else date.replace(tzinfo=UTC)) - _EPOCH
    return min(max(since_epoch // timedelta(microseconds=1) - at, 0), LONGEST_RETRY_AFTER)
