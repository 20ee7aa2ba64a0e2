"""Who a message is for and who it is from: reading, writing and sorting the addresses of Twilio's `To` and `From`.

A phone number is kept as E.164 in its one canonical spelling, so that opt-outs and sticky senders find it again.
A number that cannot exist is refused; one that merely is in no list of assigned ranges is not, for new ranges are in
service before the lists know them. MMS is no channel of an address: media decide it.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, PhoneNumberType, ValidationResult

_CACHED = 16_384
_LONGEST_TEXT = 160
_NANP_LENGTH = 12
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
# What the lists would say of it too, at a twentieth of the cost: every such number can exist and is canonical.
_NANP = re.compile(r"\+1[2-9][0-9]{9}", re.ASCII)
_SHORT_CODE = re.compile(r"[0-9]{3,8}")
_ALPHA = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 +\-_&]{1,11}")
_CHANNEL_ID = re.compile(r"[A-Za-z0-9._:@\-]{1,128}")
# Spaces, dashes, dots and parentheses, also the typographic ones and the invisible marks that address books copy along.
_FILLERS = dict.fromkeys(map(ord, " \t-.()\u00a0\u2010\u2011\u2012\u2013\u2014\u202a\u202c\u200e"))

_PLACELESS = frozenset(
    {
        PhoneNumberType.TOLL_FREE,
        PhoneNumberType.PREMIUM_RATE,
        PhoneNumberType.SHARED_COST,
        PhoneNumberType.PERSONAL_NUMBER,
        PhoneNumberType.UAN,
        PhoneNumberType.VOIP,
    }
)

_REASONS = {
    ValidationResult.TOO_SHORT: "it has too few digits for its country",
    ValidationResult.TOO_LONG: "it has too many digits for its country",
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "its area code is missing",
}


class Channel(StrEnum):
    """The medium that an address belongs to; its value is the prefix before the colon, which SMS goes without."""

    SMS = "sms"
    WHATSAPP = "whatsapp"
    RCS = "rcs"
    MESSENGER = "messenger"


_PREFIXES = {"whatsapp": Channel.WHATSAPP, "rcs": Channel.RCS, "messenger": Channel.MESSENGER}


class SenderKind(StrEnum):
    """What a sender is, as far as its address tells."""

    PHONE_NUMBER = "phone_number"
    SHORT_CODE = "short_code"
    ALPHA = "alpha"
    CHANNEL = "channel"


class InvalidAddress(ValueError):
    """A text that is no address; its message says what was received and what is expected."""


@dataclass(frozen=True, slots=True)
class Address:
    """A place on a channel; `str()` is Twilio's spelling (`+14155550100`, `whatsapp:+14155550100`)."""

    channel: Channel
    value: str

    @classmethod
    def stored(cls, text: str) -> "Address":
        """Read back what `str()` wrote, trusting it: a number once accepted stays one, whatever the lists say later."""
        prefix, colon, value = text.partition(":")
        return cls(Channel(prefix), value) if colon else cls(Channel.SMS, text)

    def __str__(self) -> str:
        return self.value if self.channel is Channel.SMS else f"{self.channel}:{self.value}"


@dataclass(frozen=True, slots=True)
class SenderAddress:
    """The address of a sender and what kind it is; `str()` is Twilio's spelling."""

    kind: SenderKind
    address: Address

    def __str__(self) -> str:
        return str(self.address)


def parse_recipient(text: str) -> Address:
    """Read a `To`: a phone number, also after `whatsapp:` or `rcs:`, or `messenger:` and an id; or InvalidAddress."""
    return _recipient(text)


def parse_sender(text: str) -> SenderAddress:
    """Read a `From`: a phone number, short code, alphanumeric name or channel address, or raise InvalidAddress."""
    return _sender(text)


def country_code(e164: str) -> str:
    """Return the ISO 3166 code of a number's country; the plan's main country if the range is new, "" if unknown."""
    if e164.startswith("+1") and len(e164) == _NANP_LENGTH:
        return _nanp(e164[2:5])[0]
    return _country(e164)


def area_code(e164: str) -> str | None:
    """Return the area code of a number of the North American plan (+1), None for toll-free ones and all other plans."""
    if e164.startswith("+1") and len(e164) == _NANP_LENGTH:
        return _nanp(e164[2:5])[1]
    return None


@lru_cache(maxsize=1_000)
def _nanp(area: str) -> tuple[str, str | None]:
    """Return the country of an area code of the North American plan, and the code itself where it is a place's.

    One number stands for the whole area code: the lists are slow, and know nothing finer here.
    """
    number = phonenumbers.parse(f"+1{area}2345678", None)
    in_service = phonenumbers.region_code_for_number(number) not in (None, "001")
    placeless = phonenumbers.number_type(number) in _PLACELESS
    return _country(f"+1{area}2345678"), area if in_service and not placeless else None


def _country(e164: str) -> str:
    number = _parsed(e164)
    if number is None:
        return ""
    # A plan of several countries lists its main one first; 001 stands for the numbers of no country.
    region = phonenumbers.region_code_for_number(number)
    if region is None and number.country_code is not None:
        region = phonenumbers.region_code_for_country_code(number.country_code)
    return "" if region in (None, "001") else region


def bucket_of(account_sid: str, to: str) -> int:
    """Return the bucket, 0 to 255, of an account's recipient (`str()` of the address): the same on every machine."""
    return blake2b(f"{account_sid}\0{to}".encode(), digest_size=1).digest()[0]


@lru_cache(maxsize=_CACHED)
def _recipient(text: str) -> Address:
    if _NANP.fullmatch(text):
        return Address(Channel.SMS, text)
    _check_length(text)
    if ":" not in text:
        return Address(Channel.SMS, _canonical(text))
    channel, value = _split(text)
    if channel is Channel.MESSENGER:
        return Address(channel, _channel_id(text, value))
    return Address(channel, _whatsapp(value) if channel is Channel.WHATSAPP else _canonical(value))


@lru_cache(maxsize=_CACHED)
def _sender(text: str) -> SenderAddress:
    _check_length(text)
    if ":" in text:
        return SenderAddress(SenderKind.CHANNEL, _channel_sender(text))
    name = text.strip()
    if _SHORT_CODE.fullmatch(name):
        return SenderAddress(SenderKind.SHORT_CODE, Address(Channel.SMS, name))
    if _ALPHA.fullmatch(name):
        return SenderAddress(SenderKind.ALPHA, Address(Channel.SMS, name))
    if name.translate(_FILLERS).lstrip("+").isdigit():
        return SenderAddress(SenderKind.PHONE_NUMBER, Address(Channel.SMS, _canonical(text)))
    raise InvalidAddress(
        f"{_shown(text)} is not a sender. Write a phone number such as +14155550100, a short code of 3 to 8 digits, "
        "or a name of at most 11 letters, digits, spaces and - + _ & with at least one letter."
    )


def _channel_sender(text: str) -> Address:
    channel, value = _split(text)
    if channel is Channel.WHATSAPP:
        return Address(channel, _whatsapp(value))
    return Address(channel, _channel_id(text, value))


def _split(text: str) -> tuple[Channel, str]:
    prefix, _, value = text.partition(":")
    channel = _PREFIXES.get(prefix.strip().lower())
    if channel is None:
        raise InvalidAddress(f"{_shown(text)} names no channel. The channels are whatsapp:, rcs: and messenger:.")
    return channel, value


def _channel_id(text: str, value: str) -> str:
    name = value.strip()
    if not _CHANNEL_ID.fullmatch(name):
        raise InvalidAddress(f"{_shown(text)} has no id after the channel, of letters, digits and . _ : @ -.")
    return name


def _canonical(text: str) -> str:
    """The one spelling of a phone number in E.164."""
    digits = _digits(text)
    canonical = _formatted(text, digits)
    # A trunk prefix, as in +44 (0)20, is taken out once; what then still has one, or is too short, is garbage.
    if canonical != digits and not (_E164.fullmatch(canonical) and _formatted(text, canonical) == canonical):
        raise _no_number(text, "its digits are in no country's order")
    return canonical


def _formatted(text: str, digits: str) -> str:
    number = _possible(text, digits, ValidationResult.IS_POSSIBLE)
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def _whatsapp(text: str) -> str:
    """A number as WhatsApp spells it, which keeps digits that a country has dropped (+52 1): it is not rewritten."""
    digits = _digits(text)
    _possible(text, digits, ValidationResult.IS_POSSIBLE, ValidationResult.TOO_LONG)
    return digits


def _possible(text: str, digits: str, *allowed: int) -> PhoneNumber:
    number = _parsed(digits)
    if number is None:
        raise _no_number(text, "no country has its first digits")
    found = phonenumbers.is_possible_number_with_reason(number)
    if found not in allowed:
        raise _no_number(text, _REASONS.get(found, "its country has no numbers of that length"))
    return number


def _digits(text: str) -> str:
    """The number without fillers; a leading space was a plus that nobody escaped in the form."""
    bare = text.translate(_FILLERS).strip()
    if text.startswith(" ") and not bare.startswith("+"):
        bare = "+" + bare
    if not _E164.fullmatch(bare):
        raise _no_number(text, "it is not a plus sign and 7 to 15 digits with the country code first")
    return bare


def _parsed(e164: str) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(e164, None)
    except NumberParseException:
        return None


def _check_length(text: str) -> None:
    if len(text) > _LONGEST_TEXT:
        raise InvalidAddress(f"{_shown(text)} is longer than any address. Write a phone number such as +14155550100.")


def _no_number(text: str, reason: str) -> InvalidAddress:
    return InvalidAddress(f"{_shown(text)} is not a phone number: {reason}. Write it in E.164, such as +14155550100.")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 64 else text[:61] + "...")
