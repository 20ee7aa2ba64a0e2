"""Which sender a message leaves with: who can reach whom, then sticky, kind, country, area code and turn."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.core.address import Channel, SenderKind
from postdate.core.instant import Instant
from postdate.core.resources import Sender
from postdate.core.sender import can_send, channel_of, choose_sender, number_of

SAN_FRANCISCO = "+14155550100"
NEW_YORK = "+12125550100"
TORONTO = "+14165550100"
LONDON = "+447400123456"
TOKYO = "+819012345678"


def sender(name: str, kind: SenderKind, country: str = "", area: str | None = None, mms: bool = True) -> Sender:
    """Return a sender whose SID is its name; a channel's address carries its prefix."""
    return Sender(
        sid=name,
        account_sid="AC",
        kind=kind,
        address=name,
        friendly_name=name,
        country=country,
        area_code=area,
        mms=mms,
        created_at=Instant(0),
        updated_at=Instant(0),
    )


def number(name: str, country: str, area: str | None = None, mms: bool = True) -> Sender:
    return sender(name, SenderKind.PHONE_NUMBER, country, area, mms)


SHORT_US = sender("12345", SenderKind.SHORT_CODE, "US")
SHORT_US_TEXT_ONLY = sender("54321", SenderKind.SHORT_CODE, "US", mms=False)
SHORT_GB = sender("67890", SenderKind.SHORT_CODE, "GB")
ALPHA = sender("ACME", SenderKind.ALPHA)
ALPHA_2 = sender("ACME News", SenderKind.ALPHA)
US_415 = number("us-415", "US", "415")
US_415_B = number("us-415-b", "US", "415")
US_212 = number("us-212", "US", "212")
US_TEXT_ONLY = number("us-text-only", "US", "415", mms=False)
CA_416 = number("ca-416", "CA", "416")
GB = number("gb", "GB")
GB_B = number("gb-b", "GB")
DE = number("de", "DE")
WHATSAPP = sender("whatsapp:+14155550001", SenderKind.CHANNEL, "US")
MESSENGER = sender("messenger:acme", SenderKind.CHANNEL)
RCS = sender("rcs:acme", SenderKind.CHANNEL)

# --- addresses -------------------------------------------------------------------------------------------------------

ADDRESSES = {
    SAN_FRANCISCO: (Channel.SMS, SAN_FRANCISCO),
    "whatsapp:+14155550100": (Channel.WHATSAPP, SAN_FRANCISCO),
    "rcs:+14155550100": (Channel.RCS, SAN_FRANCISCO),
    "messenger:1234": (Channel.MESSENGER, "1234"),
    "12345": (Channel.SMS, "12345"),
    "ACME": (Channel.SMS, "ACME"),
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_is_a_channel_and_a_number(address: str) -> None:
    assert (channel_of(address), number_of(address)) == ADDRESSES[address]


# --- who can reach whom ----------------------------------------------------------------------------------------------

CAN: dict[str, tuple[Sender, str, str, bool, bool]] = {
    "number, home": (US_415, SAN_FRANCISCO, "US", False, True),
    "number, abroad": (US_415, LONDON, "GB", False, True),
    "number, media": (US_415, SAN_FRANCISCO, "US", True, True),
    "number without media, media": (US_TEXT_ONLY, SAN_FRANCISCO, "US", True, False),
    "number without media, text": (US_TEXT_ONLY, SAN_FRANCISCO, "US", False, True),
    "number, WhatsApp": (US_415, "whatsapp:" + SAN_FRANCISCO, "US", False, False),
    "short code, home": (SHORT_US, SAN_FRANCISCO, "US", False, True),
    "short code, abroad": (SHORT_US, LONDON, "GB", False, False),
    "short code, other country of +1": (SHORT_US, TORONTO, "CA", False, False),
    "short code, media": (SHORT_US, SAN_FRANCISCO, "US", True, True),
    "short code without media, media": (SHORT_US_TEXT_ONLY, SAN_FRANCISCO, "US", True, False),
    "short code, WhatsApp": (SHORT_US, "whatsapp:" + SAN_FRANCISCO, "US", False, False),
    "alpha, Britain": (ALPHA, LONDON, "GB", False, True),
    "alpha, media": (ALPHA, LONDON, "GB", True, False),
    "alpha, US": (ALPHA, SAN_FRANCISCO, "US", False, False),
    "alpha, Canada": (ALPHA, TORONTO, "CA", False, False),
    "alpha, WhatsApp": (ALPHA, "whatsapp:" + LONDON, "GB", False, False),
    "WhatsApp, its channel": (WHATSAPP, "whatsapp:" + LONDON, "GB", False, True),
    "WhatsApp, media": (WHATSAPP, "whatsapp:" + LONDON, "GB", True, True),
    "WhatsApp, SMS": (WHATSAPP, LONDON, "GB", False, False),
    "WhatsApp, Messenger": (WHATSAPP, "messenger:1234", "", False, False),
    "Messenger, its channel": (MESSENGER, "messenger:1234", "", False, True),
    "RCS, its channel": (RCS, "rcs:" + LONDON, "GB", False, True),
    "RCS, SMS": (RCS, LONDON, "GB", False, False),
}


@pytest.mark.parametrize(("by", "to", "country", "media", "expected"), CAN.values(), ids=CAN.keys())
def test_who_can_reach_whom(by: Sender, to: str, country: str, media: bool, expected: bool) -> None:
    assert can_send(by, to, country, media) is expected


# --- the choice ------------------------------------------------------------------------------------------------------


def chosen(
    pool: Sequence[Sender],
    to: str,
    *,
    media: bool = False,
    sticky: Sender | None = None,
    geomatch: bool = True,
    turn: int = 0,
) -> Sender | None:
    return choose_sender(pool, to, media, None if sticky is None else sticky.sid, geomatch, turn)


EVERY_KIND = [GB, ALPHA, SHORT_GB, WHATSAPP, US_415]
BY_KIND: dict[str, tuple[Sequence[Sender], str, Sender | None]] = {
    "short code before all": (EVERY_KIND, LONDON, SHORT_GB),
    "alpha before numbers": ([GB, ALPHA, US_415], LONDON, ALPHA),
    "number where alpha is not carried": ([ALPHA, US_415], SAN_FRANCISCO, US_415),
    "number where the short code is of another country": ([SHORT_GB, US_415], SAN_FRANCISCO, US_415),
    "the channel's own": (EVERY_KIND, "whatsapp:" + LONDON, WHATSAPP),
    "nobody on that channel": (EVERY_KIND, "messenger:1234", None),
    "nobody able": ([ALPHA, SHORT_GB], SAN_FRANCISCO, None),
    "nobody": ([], SAN_FRANCISCO, None),
}


@pytest.mark.parametrize(("pool", "to", "expected"), BY_KIND.values(), ids=BY_KIND.keys())
def test_kinds_have_an_order(pool: Sequence[Sender], to: str, expected: Sender | None) -> None:
    assert chosen(pool, to) == expected
    assert chosen(pool[::-1], to) == expected


def test_media_leave_with_who_carries_them() -> None:
    pool = [SHORT_US_TEXT_ONLY, ALPHA, US_TEXT_ONLY, US_212]
    assert chosen(pool, SAN_FRANCISCO) == SHORT_US_TEXT_ONLY
    assert chosen(pool, SAN_FRANCISCO, media=True) == US_212
    assert chosen(pool[:-1], SAN_FRANCISCO, media=True) is None


BY_PLACE: dict[str, tuple[Sequence[Sender], str, bool, set[str]]] = {
    "own country": ([US_415, GB, DE], LONDON, True, {"gb"}),
    "else a US number": ([DE, US_415, US_212], TOKYO, True, {"us-415", "us-212"}),
    "else any": ([DE, GB], TOKYO, True, {"de", "gb"}),
    "own country before area code": ([US_415, CA_416], TORONTO, True, {"ca-416"}),
    "own area code": ([US_212, US_415, US_415_B], SAN_FRANCISCO, True, {"us-415", "us-415-b"}),
    "area code not asked for": ([US_212, US_415], SAN_FRANCISCO, False, {"us-212", "us-415"}),
    "nobody of the area code": ([US_415, US_415_B], NEW_YORK, True, {"us-415", "us-415-b"}),
    "no area code outside +1": ([GB, GB_B], LONDON, True, {"gb", "gb-b"}),
}


@pytest.mark.parametrize(("pool", "to", "geomatch", "expected"), BY_PLACE.values(), ids=BY_PLACE.keys())
def test_nearest_of_a_kind_evenly(pool: Sequence[Sender], to: str, geomatch: bool, expected: set[str]) -> None:
    turns = 12
    found = Counter(s.sid for turn in range(turns) if (s := chosen(pool, to, geomatch=geomatch, turn=turn)))
    assert found == {sid: turns // len(expected) for sid in expected}


STICKY: dict[str, tuple[Sequence[Sender], str, Sender, Sender]] = {
    "stays": ([US_415, US_415_B, US_212], SAN_FRANCISCO, US_212, US_212),
    "before a better kind": ([SHORT_US, US_415], SAN_FRANCISCO, US_415, US_415),
    "from abroad, nobody nearer": ([US_415, DE], LONDON, DE, DE),
    "from abroad, one nearer now": ([US_415, DE, GB], LONDON, DE, GB),
    "no longer in the pool": ([US_415], SAN_FRANCISCO, US_212, US_415),
    "not of the channel": ([US_415, WHATSAPP], "whatsapp:" + SAN_FRANCISCO, US_415, WHATSAPP),
    "a name is from nowhere, not from abroad": ([ALPHA_2, ALPHA, GB], LONDON, ALPHA, ALPHA),
}


@pytest.mark.parametrize(("pool", "to", "sticky", "expected"), STICKY.values(), ids=STICKY.keys())
def test_the_sender_a_recipient_had_last(pool: Sequence[Sender], to: str, sticky: Sender, expected: Sender) -> None:
    assert [chosen(pool, to, sticky=sticky, turn=turn) for turn in range(6)] == [expected] * 6


def test_the_sender_a_recipient_had_last_cannot_carry_these_media() -> None:
    assert chosen([US_TEXT_ONLY, US_212], SAN_FRANCISCO, sticky=US_TEXT_ONLY, media=True) == US_212


EVERYBODY = [SHORT_US, SHORT_GB, ALPHA, US_415, US_212, US_TEXT_ONLY, CA_416, GB, DE, WHATSAPP, MESSENGER, RCS]
recipients = st.sampled_from(
    [SAN_FRANCISCO, TORONTO, LONDON, TOKYO, "whatsapp:" + TOKYO, "messenger:1", "rcs:" + TOKYO]
)


@given(
    pool=st.lists(st.sampled_from(EVERYBODY), unique_by=lambda s: s.sid),
    to=recipients,
    media=st.booleans(),
    sticky=st.none() | st.sampled_from(EVERYBODY),
    geomatch=st.booleans(),
    turn=st.integers(0, 2**40),
)
def test_somebody_able_is_chosen_whenever_there_is_one(
    pool: list[Sender], to: str, media: bool, sticky: Sender | None, geomatch: bool, turn: int
) -> None:
    countries = {SAN_FRANCISCO: "US", TORONTO: "CA", LONDON: "GB", TOKYO: "JP"}
    able = [s for s in pool if can_send(s, to, countries.get(number_of(to), ""), media)]
    found = chosen(pool, to, media=media, sticky=sticky, geomatch=geomatch, turn=turn)
    assert found in able if able else found is None
