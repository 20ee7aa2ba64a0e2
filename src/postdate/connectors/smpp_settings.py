"""What an SMPP connection is set up with, and what its carrier's numbers mean to a customer.

Statuses and receipt errors are data: carriers misuse both, so either map can be overridden for one connection. Names of
statuses are the standard's, with or without `ESME_`; numbers may be decimal or hexadecimal (`88`, `0x58`).
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from postdate.connectors.providers.contract import UNKNOWN_FAILURE
from postdate.connectors.smpp_text import Coding, LongMode
from postdate.core.errors import MEANINGS
from postdate.smpp.codes import Status
from postdate.smpp.receipt import STATES, MessageState

_MOST_IN_A_MAP: Final = 500


class Reaction(StrEnum):
    """What to do where a status is no final answer to a customer; a number is a final one."""

    BUSY = "busy"  # the whole link is asked to slow down: nothing was taken
    RETRY = "retry"  # this message could not be taken just now
    FAIL = "fail"  # it was refused, nobody knows why


# Every other status is a failure without a known reason.
STATUSES: Final[Mapping[int, Reaction | int]] = MappingProxyType(
    {
        Status.RTHROTTLED: Reaction.BUSY,
        Status.RMSGQFUL: Reaction.BUSY,
        Status.RSYSERR: Reaction.RETRY,
        Status.RSUBMITFAIL: Reaction.RETRY,
        Status.RX_T_APPN: Reaction.RETRY,
        Status.RINVBNDSTS: Reaction.RETRY,  # their side of the link forgot that it is bound
        Status.RINVMSGLEN: 30019,
        Status.RINVSRCADR: 21606,
        Status.RINVSRCTON: 21606,
        Status.RINVSRCNPI: 21606,
        Status.RINVDSTADR: 30005,
        Status.RINVDSTTON: 30005,
        Status.RINVDSTNPI: 30005,
        Status.RX_R_APPN: 30007,
        Status.RINVEXPIRY: 30036,
    }
)
_STATES: Final[Mapping[MessageState, int]] = MappingProxyType(
    {MessageState.EXPIRED: 30003, MessageState.REJECTED: 30007}
)
_SPELLINGS: Final = {state: [word for word in STATES if STATES[word] is state] for state in MessageState}

# --- fields ----------------------------------------------------------------------------------------------------------

_Path = Annotated[str, Meta(min_length=1, max_length=4096, pattern=r"^[^\x00]+\Z")]
_Octet = Annotated[int, Meta(ge=0, le=255)]
_Numbering = _Octet | Literal["auto"]


class SmppSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A carrier's SMSC: where it is, who we are there, how fast, and its habits. ValueError for maps that are wrong."""

    host: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=253,
            pattern=r"^[A-Za-z0-9._:\-]+\Z",
            description="Host name or address of the SMSC.",
        ),
    ]
    port: Annotated[int, Meta(ge=1, le=65535, description="Its port.")] = 2775
    system_id: Annotated[
        str, Meta(min_length=1, max_length=15, pattern=r"^[!-~]+\Z", description="Who we are, as the carrier named us.")
    ]
    password: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=64,
            pattern=r"^[ -~]+\Z",
            description="The password that goes with it; the standard allows 8 characters, some carriers give more.",
            extra={"secret": True},
        ),
    ]
    system_type: Annotated[
        str, Meta(max_length=12, pattern=r"^[!-~]*\Z", description="Only where the carrier asks for one.")
    ] = ""
    tls: Annotated[bool, Meta(description="Speak TLS.")] = False
    verify: Annotated[bool, Meta(description="Check the SMSC's certificate and its name; off only for a test.")] = True
    ca_file: Annotated[_Path | None, Meta(description="PEM file with the authorities to trust for it.")] = None
    certificate_file: Annotated[_Path | None, Meta(description="PEM file with our certificate, if it wants one.")] = (
        None
    )
    key_file: Annotated[_Path | None, Meta(description="PEM file with the key, if it is not in the same file.")] = None
    bind: Annotated[
        Literal["transceiver", "transmitter_receiver"],
        Meta(description="transceiver: one link both ways; transmitter_receiver: one to send and one to receive."),
    ] = "transceiver"
    links: Annotated[int, Meta(ge=1, le=16, description="Links (or pairs of links) to hold open at once.")] = 1
    in_flight: Annotated[
        int, Meta(ge=1, le=1000, description="Most requests of one link that wait for their answer (the window).")
    ] = 10
    enquire_link: Annotated[float, Meta(ge=0.05, le=3600, description="Seconds of silence after which we ask.")] = 30.0
    answer_timeout: Annotated[
        float, Meta(ge=0.05, le=120, description="Seconds to wait for an answer; then a message is in doubt.")
    ] = 10.0
    bind_timeout: Annotated[float, Meta(ge=0.05, le=120, description="Seconds to connect, and again to bind.")] = 10.0
    reconnect_first: Annotated[
        float, Meta(ge=0.01, le=3600, description="Seconds before the first attempt to connect again; then doubling.")
    ] = 1.0
    reconnect_longest: Annotated[
        float, Meta(ge=0.01, le=3600, description="Most seconds between attempts; the pause after a wrong password.")
    ] = 60.0
    source_ton: Annotated[_Numbering, Meta(description="Type of number of senders; auto goes by the address.")] = "auto"
    source_npi: Annotated[_Numbering, Meta(description="Numbering plan of senders; auto goes by the address.")] = "auto"
    destination_ton: Annotated[_Numbering, Meta(description="Type of number of recipients; auto is 1.")] = "auto"
    destination_npi: Annotated[_Numbering, Meta(description="Numbering plan of recipients; auto is 1.")] = "auto"
    service_type: Annotated[
        str, Meta(max_length=5, pattern=r"^[!-~]*\Z", description="Only where the carrier asks for one.")
    ] = ""
    coding: Annotated[
        Coding, Meta(description="What data_coding 0 means there: gsm7, gsm7-packed, latin1 or ascii.")
    ] = Coding.GSM7
    long_messages: Annotated[
        LongMode, Meta(description="How a text of several segments is written: udh8, udh16, sar or payload.")
    ] = LongMode.UDH8
    part_receipts: Annotated[
        Literal["failures", "none"],
        Meta(description="Receipts to ask for of all parts of a long message but the last: failures or none."),
    ] = "failures"
    id_format: Annotated[
        Literal["as_is", "hex", "dec", "hex_to_dec", "dec_to_hex"],
        Meta(
            description="How ids are written in answers and then in receipts: as_is, hex or dec (both, but with other "
            "zeros or capitals), hex_to_dec or dec_to_hex."
        ),
    ] = "as_is"
    unmarked_receipts: Annotated[
        bool,
        Meta(
            description="The carrier does not mark receipts as such: take what reads like one as one. "
            "Off where it is not needed, since a handset can send such a text."
        ),
    ] = False
    validity: Annotated[bool, Meta(description="Tell the carrier until when a message may be delivered.")] = True
    status_map: Annotated[
        dict[str, Reaction | int],
        Meta(
            max_length=_MOST_IN_A_MAP,
            description="Status (name or number) to busy, retry, fail, or the error code the customer gets.",
        ),
    ] = {}
    receipt_errors: Annotated[
        dict[str, int],
        Meta(
            max_length=_MOST_IN_A_MAP,
            description="What a receipt says after err:, or its state (EXPIRED, UNDELIV, REJECTD), "
            "to the error code the customer gets.",
        ),
    ] = {}
    reference: Annotated[
        bool, Meta(description="Send user_message_reference; off for a carrier that takes no optional parameters.")
    ] = True
    query_by_reference: Annotated[
        bool,
        Meta(
            description="The carrier finds a message by user_message_reference in query_sm; "
            "without it a message in doubt cannot be asked about."
        ),
    ] = False

    def __post_init__(self) -> None:
        statuses(self)
        wrong = [code for code in self.receipt_errors.values() if code not in MEANINGS]
        if wrong:
            raise ValueError("receipt_errors: one of its numbers is no error code that a customer knows")
        if self.query_by_reference and not self.reference:
            raise ValueError("query_by_reference: it needs reference")
        if self.key_file is not None and self.certificate_file is None:
            raise ValueError("key_file: it needs a certificate_file")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.host}:{self.port})"  # the fields hold a secret


def statuses(settings: SmppSettings) -> Mapping[int, Reaction | int]:
    """Return what each status means at this carrier; ValueError where its own map has an unknown name or code."""
    return {**STATUSES, **{_status(name): _reaction(value) for name, value in settings.status_map.items()}}


def receipt_error(settings: SmppSettings, state: MessageState, error: str) -> int:
    """Return the customer's code for a receipt of failure; what the carrier's own map says comes first."""
    named = settings.receipt_errors
    for name in (error, *_SPELLINGS[state]):
        if name in named:
            return named[name]
    return _STATES.get(state, UNKNOWN_FAILURE)


def _status(text: str) -> int:
    name = text.upper().removeprefix("ESME_")
    if name in Status.__members__:
        return Status[name]
    try:
        number = int(text, 0)
    except ValueError:
        number = -1
    if not 0 < number <= 0xFFFFFFFF:
        raise ValueError("status_map: write statuses as ESME_RTHROTTLED, RTHROTTLED, 0x58 or 88")
    return number


def _reaction(value: Reaction | int) -> Reaction | int:
    if isinstance(value, Reaction) or value in MEANINGS:
        return value
    raise ValueError("status_map: write busy, retry, fail, or an error code that a customer knows")
