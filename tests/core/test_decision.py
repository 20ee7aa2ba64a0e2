"""The heart, line by line: what becomes of a due message, which reason is named first, where there is room."""

from collections.abc import Callable, Sequence
from itertools import product
from typing import TypedDict, Unpack

import msgspec
import pytest

from postdate.core.address import SenderKind
from postdate.core.decision import Assign, Decision, Facts, Fetch, Refuse, decide
from postdate.core.errors import MEANINGS
from postdate.core.instant import SECOND, Instant
from postdate.core.message import Direction, Message, Options, Status
from postdate.core.resources import AccountStatus, Sender, Service

AT = Instant(1_900_000_000_000_000)
TO = "+14155550100"

MESSAGE = Message(
    sid="SM1", bucket=1, account_sid="AC1", service_sid="MG1", direction=Direction.OUTBOUND_API,
    status=Status.SCHEDULED, sender=None, sender_sid=None, recipient=TO, body="Hello", media_urls=(), num_segments=0,
    send_at=AT, due_at=AT, expires_at=Instant(AT + SECOND), callback_url=None, attempts=0, claim=None, doubt_at=None,
    carrier_ref=None, error_code=None, created_at=AT, updated_at=AT, sent_at=None, listed_at=AT, options=Options(),
)  # fmt: skip
MEDIA = ("https://example.com/a.png",)


def sender(sid: str, kind: SenderKind = SenderKind.PHONE_NUMBER, area_code: str | None = None) -> Sender:
    return Sender(
        sid=sid, account_sid="AC1", kind=kind, address=sid, friendly_name=sid, country="US", area_code=area_code,
        created_at=AT, updated_at=AT,
    )  # fmt: skip


FIRST, SECOND_ONE, NEAR = sender("PN1"), sender("PN2"), sender("PN3", area_code="415")
ALPHA = sender("ACME", SenderKind.ALPHA)
SERVICE = Service(sid="MG1", account_sid="AC1", friendly_name="Reminders", created_at=AT, updated_at=AT)


def message(**changes: object) -> Message:
    return msgspec.structs.replace(MESSAGE, **changes)


class Known(TypedDict, total=False):
    """What a test says about the facts."""

    account_status: AccountStatus
    service: Service | None
    pool: Sequence[Sender]
    opted_out: bool
    sticky: str | None
    media_fetched: bool
    turn: int
    segments: int
    has_room: Callable[[Sender, int], bool]


def facts(**changes: Unpack[Known]) -> Facts:
    """Return facts under which the message goes, with `changes`."""
    good: Known = {
        "account_status": AccountStatus.ACTIVE,
        "service": SERVICE,
        "pool": (FIRST,),
        "segments": 2,
    }
    return Facts(**(good | changes))


# --- one line each ---------------------------------------------------------------------------------------------------

CHOSEN = {"sender": "PN1", "sender_sid": "PN1"}
ROWS: dict[str, tuple[Message, Facts, Decision]] = {
    "goes": (MESSAGE, facts(), Assign(FIRST, 2)),
    "expires this very instant": (message(expires_at=AT), facts(), Refuse(30036)),
    "expired before": (message(expires_at=Instant(AT - 1)), facts(), Refuse(30036)),
    "expires the next instant": (message(expires_at=Instant(AT + 1)), facts(), Assign(FIRST, 2)),
    "suspended": (MESSAGE, facts(account_status=AccountStatus.SUSPENDED), Refuse(30002)),
    "closed": (MESSAGE, facts(account_status=AccountStatus.CLOSED), Refuse(30002)),
    "opted out": (MESSAGE, facts(opted_out=True), Refuse(21610)),
    "media to fetch": (message(media_urls=MEDIA), facts(), Fetch()),
    "media fetched": (message(media_urls=MEDIA), facts(media_fetched=True), Assign(FIRST, 2)),
    "sent as MMS, nothing to fetch": (message(options=Options(send_as_mms=True)), facts(), Assign(FIRST, 2)),
    "empty pool": (MESSAGE, facts(pool=()), Refuse(21704)),
    "nobody in the pool can": (MESSAGE, facts(pool=(ALPHA,)), Refuse(21703)),
    "the chosen sender": (message(**CHOSEN), facts(), Assign(FIRST, 2)),
    "the chosen sender has gone": (message(**CHOSEN), facts(pool=()), Refuse(21606)),
    "the chosen sender cannot": (message(sender="ACME", sender_sid="ACME"), facts(pool=(ALPHA,)), Refuse(21606)),
    "without a service": (message(service_sid=None, **CHOSEN), facts(service=None), Assign(FIRST, 2)),
}


@pytest.mark.parametrize(("given", "known", "expected"), ROWS.values(), ids=ROWS.keys())
def test_what_becomes_of_it(given: Message, known: Facts, expected: Decision) -> None:
    assert decide(given, known, AT) == expected


def test_every_refusal_has_a_meaning_for_the_customer() -> None:
    codes = {decision.code for _, _, decision in ROWS.values() if isinstance(decision, Refuse)}
    assert codes <= set(MEANINGS)


# --- the first reason is the one that is named -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expired", "suspended", "opted_out", "unfetched", "alone"), list(product([False, True], repeat=5))
)
def test_reasons_have_an_order(expired: bool, suspended: bool, opted_out: bool, unfetched: bool, alone: bool) -> None:
    given = message(expires_at=AT if expired else MESSAGE.expires_at, media_urls=MEDIA)
    known = facts(
        account_status=AccountStatus.SUSPENDED if suspended else AccountStatus.ACTIVE,
        opted_out=opted_out,
        media_fetched=not unfetched,
        pool=() if alone else (FIRST,),
    )
    reasons: list[tuple[bool, Decision]] = [
        (expired, Refuse(30036)),
        (suspended, Refuse(30002)),
        (opted_out, Refuse(21610)),
        (unfetched, Fetch()),
        (alone, Refuse(21704)),
        (True, Assign(FIRST, 2)),
    ]
    assert decide(given, known, AT) == next(decision for holds, decision in reasons if holds)


# --- the choice of a sender ------------------------------------------------------------------------------------------


def who(**changes: Unpack[Known]) -> str | None:
    """Return the SID of the sender that is assigned."""
    decision = decide(MESSAGE, facts(**changes), AT)
    return decision.sender.sid if isinstance(decision, Assign) else None


def test_the_sender_a_recipient_had_last_is_asked_for_unless_the_service_says_no() -> None:
    pool = (FIRST, SECOND_ONE)
    forgetful = msgspec.structs.replace(SERVICE, sticky_sender=False)
    assert [who(pool=pool, sticky="PN2", turn=turn) for turn in range(2)] == ["PN2", "PN2"]
    assert [who(pool=pool, sticky="PN2", turn=turn, service=forgetful) for turn in range(2)] == ["PN1", "PN2"]


def test_area_codes_are_looked_at_unless_the_service_says_no() -> None:
    pool = (FIRST, NEAR)
    anywhere = msgspec.structs.replace(SERVICE, area_code_geomatch=False)
    assert [who(pool=pool, turn=turn) for turn in range(2)] == ["PN3", "PN3"]
    assert [who(pool=pool, turn=turn, service=anywhere) for turn in range(2)] == ["PN1", "PN3"]


def test_media_choose_another_sender() -> None:
    text_only = msgspec.structs.replace(FIRST, mms=False)
    known = facts(pool=(text_only, SECOND_ONE), media_fetched=True)
    for given in (message(media_urls=MEDIA), message(options=Options(send_as_mms=True))):
        assert [decide(given, known, AT)] == [Assign(SECOND_ONE, 2)]
    assert decide(MESSAGE, known, AT) == Assign(text_only, 2)


# --- room in the lanes -----------------------------------------------------------------------------------------------


def but(*sids: str) -> Callable[[Sender, int], bool]:
    """Return that there is room with everybody else."""
    return lambda sender, segments: sender.sid not in sids


def test_a_full_lane_gives_way_to_one_with_room() -> None:
    pool = (FIRST, SECOND_ONE)
    assert who(pool=pool, sticky="PN1") == "PN1"
    assert who(pool=pool, sticky="PN1", has_room=but("PN1")) == "PN2"


def test_no_room_anywhere_is_said_so() -> None:
    pool = (FIRST, SECOND_ONE)
    assert decide(MESSAGE, facts(pool=pool, has_room=but("PN1", "PN2")), AT) == Refuse(30001)
    assert decide(message(**CHOSEN), facts(has_room=but("PN1")), AT) == Refuse(30001)


def test_room_with_somebody_who_cannot_send_it_is_no_room() -> None:
    assert decide(MESSAGE, facts(pool=(FIRST, ALPHA), has_room=but("PN1")), AT) == Refuse(30001)


def test_room_is_asked_for_all_its_segments() -> None:
    asked: list[tuple[str, int]] = []

    def has_room(sender: Sender, segments: int) -> bool:
        asked.append((sender.sid, segments))
        return True

    assert decide(MESSAGE, facts(segments=7, has_room=has_room), AT) == Assign(FIRST, 7)
    assert asked == [("PN1", 7)]
