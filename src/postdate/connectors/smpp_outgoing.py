"""What a message is on an SMPP link, and what the answers to it mean: submissions to `submit_sm`, answers to outcomes.

Every part of a message carries a reference in `user_message_reference`: the last 16 bits of its SID, and one more for
each further part. That is what a carrier can be asked by, for an unanswered `submit_sm` has no id.

Only the last part of a long message asks for every receipt: with it the carrier has all of them. The parts before it
ask to be told of failures only (or of nothing), so that a lost one is heard of without a receipt for each.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from postdate.connectors.contract import Submission
from postdate.connectors.providers.contract import UNKNOWN_FAILURE
from postdate.connectors.smpp_settings import Reaction, SmppSettings, statuses
from postdate.connectors.smpp_text import write_text
from postdate.core.address import Channel
from postdate.core.instant import SECOND, Instant
from postdate.core.outcome import Accepted, Busy, Refused
from postdate.smpp import when
from postdate.smpp.codes import Tag, status_name
from postdate.smpp.pdu import Pdu, SubmitSm, SubmitSmResp
from postdate.smpp.receipt import IdForm, normal_id

EVERY_RECEIPT: Final = 1
FAILURES_ONLY: Final = 2
_SURELY_ALONE: Final = 70  # characters that fit into one part, whatever they are
_LONGEST_ADDRESS: Final = 21  # 20 characters after the plus, which is not written
_PAIRS_KNOWN: Final = 10_000
_REFERENCES: Final = 0x10000

_LONGEST_VALIDITY: Final = int(when.LONGEST_RELATIVE.total_seconds())
_relative = lru_cache(maxsize=64)(when.relative)  # messages of one moment mostly expire in another

# Type of number, numbering plan.
_INTERNATIONAL: Final = (1, 1)
_SHORT_CODE: Final = (3, 0)
_ALPHANUMERIC: Final = (5, 0)

# How ids are written in answers, by `id_format`.
_IN_ANSWERS: Final = {
    "as_is": IdForm.AS_IS,
    "hex": IdForm.HEX,
    "dec": IdForm.DECIMAL,
    "hex_to_dec": IdForm.HEX,
    "dec_to_hex": IdForm.DECIMAL,
}


class Outgoing:
    """Writes submissions and reads answers for one connection."""

    def __init__(self, settings: SmppSettings, chance: Callable[[], float]) -> None:
        self._settings = settings
        self._chance = chance
        self._statuses = statuses(settings)
        self._id_form = _IN_ANSWERS[settings.id_format]
        self._joined: OrderedDict[tuple[str, str], int] = OrderedDict()

    def write(self, submission: Submission, at: Instant) -> Sequence[SubmitSm] | Refused:
        """Return the PDUs of a message, in order; Refused where SMPP has no form for it."""
        if submission.channel is not Channel.SMS:
            return Refused(UNKNOWN_FAILURE, "an SMPP connection carries SMS only")
        if max(len(submission.sender), len(submission.recipient)) > _LONGEST_ADDRESS:
            return Refused(UNKNOWN_FAILURE, "one of its addresses is longer than SMPP has room for")
        settings = self._settings
        body = submission.body
        if submission.attachments:
            body = "\n".join(filter(None, (body, *(one.url for one in submission.attachments))))
        join = self._next_join(submission) if len(body) > _SURELY_ALONE else 0
        parts = write_text(body, settings.coding, settings.long_messages, join)
        source_ton, source_npi, source = self._source(submission.sender)
        dest_ton, dest_npi, destination = self._destination(submission.recipient)
        validity = self._validity(submission, at)
        reference = first_reference(submission.sid)
        last = len(parts) - 1
        early = FAILURES_ONLY if settings.part_receipts == "failures" else 0
        return [
            SubmitSm(
                service_type=settings.service_type,
                source_addr_ton=source_ton,
                source_addr_npi=source_npi,
                source_addr=source,
                dest_addr_ton=dest_ton,
                dest_addr_npi=dest_npi,
                destination_addr=destination,
                esm_class=part.esm_class,
                validity_period=validity,
                registered_delivery=EVERY_RECEIPT if index == last else early,
                data_coding=part.data_coding,
                short_message=part.short_message,
                tlvs=(*part.tlvs, _reference_tlv(reference + index)) if settings.reference else part.tlvs,
            )
            for index, part in enumerate(parts)
        ]

    def outcome(self, answer: Pdu, sid: str) -> Accepted | Refused | Busy:
        """Say what the answer to a `submit_sm` means."""
        body = answer.body
        if answer.status == 0 and isinstance(body, SubmitSmResp):
            return Accepted(self.carrier_ref(body.message_id, sid))
        detail = f"the carrier answered {status_name(answer.status)}"
        match self._statuses.get(answer.status, Reaction.FAIL):
            case Reaction.BUSY:
                return Busy(None, detail)
            case Reaction.RETRY:
                return Busy(None, detail, this_only=True)
            case Reaction.FAIL:
                return Refused(UNKNOWN_FAILURE, detail)
            case code:
                return Refused(int(code), detail)

    def carrier_ref(self, message_id: str, sid: str) -> str:
        """Return the reference that an id in an answer is kept as; one that no other message has, if there is no id."""
        return normal_id(message_id.strip(), self._id_form) or f"no-id-{sid}"

    def _source(self, sender: str) -> tuple[int, int, str]:
        if sender.startswith("+"):
            ton, npi = _INTERNATIONAL
        else:
            ton, npi = _SHORT_CODE if sender.isdigit() else _ALPHANUMERIC
        settings = self._settings
        return (
            ton if settings.source_ton == "auto" else settings.source_ton,
            npi if settings.source_npi == "auto" else settings.source_npi,
            sender.removeprefix("+"),
        )

    def _destination(self, recipient: str) -> tuple[int, int, str]:
        settings = self._settings
        return (
            _INTERNATIONAL[0] if settings.destination_ton == "auto" else settings.destination_ton,
            _INTERNATIONAL[1] if settings.destination_npi == "auto" else settings.destination_npi,
            recipient.removeprefix("+"),
        )

    def _validity(self, submission: Submission, at: Instant) -> str:
        if not self._settings.validity:
            return ""
        seconds = -((at - submission.expires_at) // SECOND)
        return _relative(max(1, min(seconds, _LONGEST_VALIDITY)))

    def _next_join(self, submission: Submission) -> int:
        """Return the number that joins the parts of a message: the next one of this sender and recipient.

        It begins by chance, so that a restart does not repeat the number of a message that is still on its way.
        """
        pair = (submission.sender, submission.recipient)
        known = self._joined.pop(pair, None)
        number = int(self._chance() * _REFERENCES) if known is None else (known + 1) % _REFERENCES
        self._joined[pair] = number
        if len(self._joined) > _PAIRS_KNOWN:
            self._joined.popitem(last=False)
        return number


def first_reference(sid: str) -> int:
    """Return the reference of the first part of a message."""
    return int(sid[-4:], 16)


def reference_octets(reference: int) -> bytes:
    """Return a reference as its parameter holds it."""
    return (reference % _REFERENCES).to_bytes(2, "big")


def _reference_tlv(reference: int) -> tuple[int, bytes]:
    return Tag.USER_MESSAGE_REFERENCE, reference_octets(reference)
