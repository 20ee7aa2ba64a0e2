"""Delivery receipts: what the SMSC says became of a message, in a `deliver_sm` or `data_sm`.

The parameters `receipted_message_id` and `message_state` are believed first. Else the text is read: `id:.. sub:..
dlvrd:.. submit date:.. done date:.. stat:.. err:.. text:..`, in any order and case, with any of them missing. The
standard only suggests that text, and every carrier has its own idea of it. The first of each field counts: behind
`text:` stand the words of the message, which anybody can choose.
"""

import re
from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Final

import msgspec

from postdate.smpp.codes import Tag
from postdate.smpp.pdu import DataSm, DeliverSm, Tlv

RECEIPT: Final = 0x04  # in esm_class
INTERMEDIATE: Final = 0x20  # in esm_class: not final, more will follow
HAS_HEADER: Final = 0x40  # in esm_class: the text begins with a user data header
_KIND: Final = 0x3C  # in esm_class: none is a message, others acknowledgements by the handset or its owner

_LONGEST_TEXT: Final = 1024
_LONGEST_ID: Final = 65  # octets, what query_sm can take
_WORDS_SHOWN: Final = 20
_CLEARLY: Final = frozenset({"id", "stat", "donedate"})


class MessageState(IntEnum):
    """What a message is: the numbers of `message_state`. 0 and 9 are SMPP 5's, some carriers use them in 3.4."""

    SCHEDULED = 0
    ENROUTE = 1
    DELIVERED = 2
    EXPIRED = 3
    DELETED = 4
    UNDELIVERABLE = 5
    ACCEPTED = 6
    UNKNOWN = 7
    REJECTED = 8
    SKIPPED = 9


class IdForm(StrEnum):
    """How a carrier writes its ids in one place; responses and receipts may differ."""

    AS_IS = "as-is"
    DECIMAL = "decimal"
    HEX = "hex"


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """What became of one message; texts are the carrier's, empty where it says nothing.

    `submitted` and `done` are `YYMMDDhhmm` in the carrier's own time, sometimes with seconds; `text` is the beginning
    of the message.
    """

    message_id: str
    state: MessageState
    error: str = ""
    submitted: str = ""
    done: str = ""
    text: str = ""
    intermediate: bool = False


def read_receipt(body: DeliverSm | DataSm, unmarked: bool = True) -> Receipt | None:
    """The receipt that a body is; None if it is a message from a handset.

    One that says no state is taken as underway, since it is no word on the end; a word that nobody knows is as good as
    UNKNOWN. The text is not read where the parameters say that the message was delivered: it could add nothing.

    Some carriers do not mark their receipts in `esm_class`. With `unmarked` a body that has both parameters, or reads
    as a whole receipt, is one too; leave it off where it is not needed, since a handset can send such a text.
    """
    marked = body.esm_class & (RECEIPT | INTERMEDIATE)
    if not marked and (not unmarked or body.esm_class & _KIND):
        return None
    told = dict(reversed(body.tlvs))  # the first of each counts
    state = _state_of_number(told.get(Tag.MESSAGE_STATE))
    message_id = _id_of_tlv(told.get(Tag.RECEIPTED_MESSAGE_ID))
    intermediate = bool(body.esm_class & INTERMEDIATE)
    if state is MessageState.DELIVERED and message_id:
        return Receipt(message_id, state, intermediate=intermediate)  # nearly all there are: the text adds nothing
    written = _fields(_text(body))
    if not marked and (state is None or not message_id) and not written.keys() >= _CLEARLY:
        return None
    return Receipt(
        message_id=message_id or written.get("id", "")[:_LONGEST_ID],
        state=_state_of_word(written.get("stat", "")) if state is None else state,
        error=written.get("err", "") or _network_error(told.get(Tag.NETWORK_ERROR_CODE)),
        submitted=written.get("submitdate", ""),
        done=written.get("donedate", ""),
        text=written.get("text", ""),
        intermediate=intermediate,
    )


def format_receipt(receipt: Receipt) -> bytes:
    """The text of a receipt, as the standard suggests it; what is not ASCII in the words of the message becomes `?`."""
    delivered = "001" if receipt.state is MessageState.DELIVERED else "000"
    text = (
        f"id:{receipt.message_id} sub:001 dlvrd:{delivered} submit date:{receipt.submitted} done date:{receipt.done} "
        f"stat:{_WORDS[receipt.state]} err:{receipt.error or '000'} text:{receipt.text[:_WORDS_SHOWN]}"
    )
    return text.encode("ascii", "replace")


def receipt_tlvs(receipt: Receipt) -> tuple[Tlv, ...]:
    """The parameters that say the same as the text."""
    return (
        (Tag.RECEIPTED_MESSAGE_ID, receipt.message_id.encode("latin-1") + b"\0"),
        (Tag.MESSAGE_STATE, bytes([receipt.state])),
    )


def normal_id(text: str, form: IdForm) -> str:
    """An id in the one form in which two spellings of it are equal: decimal, without zeros in front.

    `form` is how it is written here. An id that is not a number of that form, and any in `IdForm.AS_IS`, stays.
    """
    if form is IdForm.DECIMAL and _DECIMAL.fullmatch(text):
        return str(int(text))
    if form is IdForm.HEX and _HEX.fullmatch(text):
        return str(int(text, 16))
    return text


_NUMBERED: Final = tuple(MessageState)  # by their numbers
_DECIMAL: Final = re.compile(r"[0-9]{1,64}")
_HEX: Final = re.compile(r"(?:0[xX])?[0-9a-fA-F]{1,64}")

_WORDS: Final[Mapping[MessageState, str]] = {
    MessageState.SCHEDULED: "SCHEDULED",
    MessageState.ENROUTE: "ENROUTE",
    MessageState.DELIVERED: "DELIVRD",
    MessageState.EXPIRED: "EXPIRED",
    MessageState.DELETED: "DELETED",
    MessageState.UNDELIVERABLE: "UNDELIV",
    MessageState.ACCEPTED: "ACCEPTD",
    MessageState.UNKNOWN: "UNKNOWN",
    MessageState.REJECTED: "REJECTD",
    MessageState.SKIPPED: "SKIPPED",
}
STATES: Final[Mapping[str, MessageState]] = {
    **{state.name: state for state in MessageState},
    **{word: state for state, word in _WORDS.items()},
    "UNDELIVERED": MessageState.UNDELIVERABLE,
    # What carriers say on the way, though the standard has no such words: none of it is the end.
    **dict.fromkeys(
        ("BUFFERED", "BUFFRED", "BUFFERD", "PENDING", "QUEUED", "SENT", "SUBMITD", "SUBMITTED"), MessageState.ENROUTE
    ),
}

_FIELD: Final = re.compile(
    r"(?<![^\s;,|])(id|sub|dlvrd|submit[ _]?date|done[ _]?date|stat|err|text)[ ]?:[ ]?", re.IGNORECASE
)

# As the standard suggests it, and most carriers write it: the same is read from it, and faster.
_USUAL: Final = re.compile(
    r"id:(?P<id>[^\s;,|]+) sub:(?P<sub>[^\s;,|]+) dlvrd:(?P<dlvrd>[^\s;,|]+) submit date:(?P<submitdate>[0-9]+) "
    r"done date:(?P<donedate>[0-9]+) stat:(?P<stat>[A-Za-z]+) err:(?P<err>[^\s;,|]+) text:(?P<text>.*)",
    re.DOTALL,
)


def _fields(text: str) -> Mapping[str, str]:
    """The first of each field by its name; each but `text` is one word."""
    usual = _USUAL.fullmatch(text)
    if usual is not None:
        return {**usual.groupdict(), "text": usual["text"].strip()}
    found: dict[str, str] = {}
    fields = list(_FIELD.finditer(text))
    ends = [*(one.start() for one in fields), len(text)][1:]
    for one, end in zip(fields, ends, strict=True):
        name = one[1].lower().replace(" ", "").replace("_", "")
        if name == "text":
            found.setdefault(name, text[one.end() :].strip())
            continue
        words = text[one.end() : end].split(maxsplit=1)
        found.setdefault(name, words[0].strip(";,|") if words else "")
    return found


def _text(body: DeliverSm | DataSm) -> str:
    octets = body.tlv(Tag.MESSAGE_PAYLOAD) or b""
    if isinstance(body, DeliverSm):
        octets = body.short_message or octets
    if body.esm_class & HAS_HEADER and octets:
        octets = octets[1 + octets[0] :]
    # Some say UCS-2 and write ASCII all the same; in UCS-2 the name of the first field would begin with a zero.
    wide = body.data_coding == 0x08 and octets[:1] == b"\0"
    text = octets.decode("utf-16-be", "replace") if wide else octets.decode("latin-1")
    return text[:_LONGEST_TEXT].replace("\0", "")


def _id_of_tlv(value: bytes | None) -> str:
    return "" if value is None else value.split(b"\0")[0][:_LONGEST_ID].decode("latin-1").strip()


def _state_of_number(value: bytes | None) -> MessageState | None:
    """Empty in some carriers' receipts, and as good as missing then."""
    if not value:
        return None
    number = int.from_bytes(value[-4:], "big")
    return _NUMBERED[number] if number < len(_NUMBERED) else None


def _state_of_word(word: str) -> MessageState:
    return STATES.get(word.upper(), MessageState.UNKNOWN) if word else MessageState.ENROUTE


def _network_error(value: bytes | None) -> str:
    """Network type and code, where the text has no error."""
    return str(int.from_bytes(value[1:], "big")) if value is not None and len(value) == 3 else ""
