"""What an SMSC delivers: receipts and messages from handsets, as `deliver_sm` or `data_sm`, to carrier events.

A receipt that is not the last word on a message says nothing that a customer sees, and is no event.
"""

import re
from collections.abc import Mapping
from typing import Final

from postdate.connectors.contract import Inbound, Receipt
from postdate.connectors.smpp_settings import SmppSettings, receipt_error
from postdate.connectors.smpp_text import read_text
from postdate.core.message import Event
from postdate.smpp.codes import Tag
from postdate.smpp.pdu import DataSm, DeliverSm
from postdate.smpp.receipt import IdForm, MessageState, normal_id, read_receipt

_FAILED: Final = frozenset(
    {
        MessageState.EXPIRED,
        MessageState.DELETED,
        MessageState.UNDELIVERABLE,
        MessageState.UNKNOWN,
        MessageState.REJECTED,
        MessageState.SKIPPED,
    }
)
# How ids are written in receipts, by `id_format`.
_IN_RECEIPTS: Final[Mapping[str, IdForm]] = {
    "as_is": IdForm.AS_IS,
    "hex": IdForm.HEX,
    "dec": IdForm.DECIMAL,
    "hex_to_dec": IdForm.DECIMAL,
    "dec_to_hex": IdForm.HEX,
}
_INTERNATIONAL: Final = 1
_UNKNOWN: Final = 0
_DIGITS: Final = re.compile(r"[1-9][0-9]{6,14}")
_WITH_COUNTRY: Final = 10  # digits from which a number of unknown type is taken to begin with its country


class Told:
    """A final receipt, with what else it says about whose it is."""

    __slots__ = ("handset", "receipt", "reference")

    def __init__(self, receipt: Receipt, reference: bytes | None, handset: str) -> None:
        self.receipt = receipt
        self.reference = reference
        self.handset = handset


def read(body: DeliverSm | DataSm, settings: SmppSettings) -> Told | Inbound | None:
    """Return what a delivery means; None for a receipt that is not final, or of no message."""
    receipt = read_receipt(body, settings.unmarked_receipts)
    if receipt is None:
        heard = read_text(body, settings.coding)
        return Inbound(_address(body, source=True), _address(body, source=False), heard.text, part=heard.part)
    reference = body.tlv(Tag.USER_MESSAGE_REFERENCE)
    if receipt.intermediate or not (receipt.message_id or reference):
        return None
    carrier_ref = normal_id(receipt.message_id, _IN_RECEIPTS[settings.id_format])
    if receipt.state is MessageState.DELIVERED:
        return Told(Receipt(carrier_ref, Event.DELIVER), reference, body.source_addr)
    if receipt.state not in _FAILED:
        return None
    code = receipt_error(settings, receipt.state, receipt.error)
    return Told(Receipt(carrier_ref, Event.UNDELIVER, code), reference, body.source_addr)


def _address(body: DeliverSm | DataSm, *, source: bool) -> str:
    """Return an address in our spelling: a number with its country has a plus; short codes and names have none."""
    ton = body.source_addr_ton if source else body.dest_addr_ton
    address = (body.source_addr if source else body.destination_addr).strip()
    digits = address.removeprefix("+")
    if digits != address or address.startswith("00"):
        digits = digits.lstrip("0")
        return f"+{digits}" if _DIGITS.fullmatch(digits) else address
    numbered = _DIGITS.fullmatch(digits) is not None
    if numbered and (ton == _INTERNATIONAL or (ton == _UNKNOWN and len(digits) >= _WITH_COUNTRY)):
        return f"+{digits}"
    return address
