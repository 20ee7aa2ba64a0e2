"""Receipts and replies as deliver_sm: what the carrier tells, in the words of SMPP. Pure."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from postdate.connectors.contract import Inbound
from postdate.connectors.smpp_text import Coding, LongMode, write_text
from postdate.core.instant import MINUTE, Instant
from postdate.smpp import receipt
from postdate.smpp.codes import Tag
from postdate.smpp.pdu import DeliverSm
from postdate.smpp.receipt import MessageState
from postdate.smpp.when import in_receipt
from postdate.smsc.addresses import WireAddress, write_address
from postdate.smsc.messages import Taken, write_id
from postdate.smsc.wire_script import Ids

_FIRST_CODE: Final = 30_000
_LAST_CODE: Final = 30_999
_WANTED: Final = 0x03  # bits of registered_delivery: none, always, only of failures, only of successes (SMPP 5)
_ALWAYS, _OF_FAILURES, _OF_SUCCESSES = 1, 2, 3


def error_of(code: int | None) -> int:
    """Return the three digits of a receipt's `err` for a customer's error code: 30005 is 005."""
    return code - _FIRST_CODE if code is not None and _FIRST_CODE <= code <= _LAST_CODE else 0


def is_wanted(taken: Taken) -> bool:
    """Say whether whoever sent a message asked to be told what became of it."""
    wanted = taken.receipts & _WANTED
    if wanted == _ALWAYS:
        return True
    return wanted == (_OF_SUCCESSES if taken.state is MessageState.DELIVERED else _OF_FAILURES)


def receipt_of(taken: Taken, ids: Ids) -> DeliverSm:
    """Return the receipt of a message that is final: as text, and the same in parameters."""
    told = receipt.Receipt(
        message_id=write_id(taken.number, ids),
        state=taken.state,
        error=f"{taken.error:03d}",
        submitted=_minute(taken.at),
        done=_minute(taken.done_at or taken.at),
        text=taken.text,
    )
    tlvs = receipt.receipt_tlvs(told)
    if (reference := taken.reference) is not None:
        tlvs = (*tlvs, (Tag.USER_MESSAGE_REFERENCE, reference))
    source, destination = taken.destination, taken.source
    return DeliverSm(
        source_addr_ton=source.ton,
        source_addr_npi=source.npi,
        source_addr=source.text,
        dest_addr_ton=destination.ton,
        dest_addr_npi=destination.npi,
        destination_addr=destination.text,
        esm_class=receipt.RECEIPT,
        short_message=receipt.format_receipt(told),
        tlvs=tlvs,
    )


def replies_of(event: Inbound, to: WireAddress | None, ref: int) -> list[DeliverSm]:
    """Return what a handset wrote; `to` is its recipient as the ESME writes it, `ref` joins the parts of a long one."""
    source, destination = write_address(event.sender), to or write_address(event.recipient)
    return [
        DeliverSm(
            source_addr_ton=source.ton,
            source_addr_npi=source.npi,
            source_addr=source.text,
            dest_addr_ton=destination.ton,
            dest_addr_npi=destination.npi,
            destination_addr=destination.text,
            esm_class=piece.esm_class,
            data_coding=piece.data_coding,
            short_message=piece.short_message,
            tlvs=piece.tlvs,
        )
        for piece in write_text(event.body, Coding.GSM7, LongMode.UDH8, ref)
    ]


def _minute(at: Instant) -> str:
    return _text_of_minute(at // MINUTE)


@lru_cache(maxsize=64)
def _text_of_minute(minute: int) -> str:
    return in_receipt(datetime.fromtimestamp(minute * 60, UTC))
