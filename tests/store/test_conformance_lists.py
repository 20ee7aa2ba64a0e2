"""Every store: pages of messages in both directions with every filter, redaction, feedback, media and their bytes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postdate.core.message import Message, Options, Status
from postdate.store.contract import Amendment, Cursor, MediaRow, MessageQuery, Store
from tests.store.building import (
    ACCOUNT,
    FAR,
    OTHER_ACCOUNT,
    START,
    a_medium,
    a_message,
    add,
    bring,
    callbacks,
    everything,
    later,
    read,
    sid_of,
    timers,
)

AT = later(60)

# --- pages -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Listing:
    """Messages of two accounts, and the questions about the first one."""

    messages: Sequence[Message]
    query: MessageQuery


RECIPIENTS = ["+14155550100", "+14155550101", "whatsapp:+14155550100"]
SENDERS = ["+14155550001", "Quote'd"]
SERVICES = ["MG" + "c" * 32, "MG" + "d" * 32]
STATUSES = [Status.SCHEDULED, Status.SENT, Status.FAILED]
times = st.integers(0, 4).map(later)


@st.composite
def listings(draw: st.DrawFn) -> Listing:
    """Draw few values, so that filters match and places in the order are shared."""
    drawn: list[Message] = []
    for n in range(draw(st.integers(0, 20))):
        listed_at = draw(times)
        status = draw(st.sampled_from(STATUSES))
        drawn.append(
            a_message(
                n,
                account_sid=draw(st.sampled_from([ACCOUNT, ACCOUNT, OTHER_ACCOUNT])),
                recipient=draw(st.sampled_from(RECIPIENTS)),
                sender=draw(st.sampled_from([None, *SENDERS])),
                service_sid=draw(st.sampled_from([None, *SERVICES])),
                status=status,
                due_at=draw(times),
                listed_at=listed_at,
                sent_at=listed_at if status is Status.SENT else None,
            )
        )
    values: dict[str, st.SearchStrategy[object]] = {
        "recipient": st.sampled_from(RECIPIENTS),
        "sender": st.sampled_from(SENDERS),
        "status": st.sampled_from(STATUSES),
        "service_sid": st.sampled_from(SERVICES),
        "sent_from": times,
        "sent_before": times,
        "due_from": times,
        "due_before": times,
    }
    asked = draw(st.sets(st.sampled_from(sorted(values)), max_size=2))  # with more, hardly anything matches
    given_values = {name: draw(values[name]) for name in sorted(asked)}
    query = msgspec.convert({"account_sid": ACCOUNT, "limit": draw(st.integers(1, 5))} | given_values, MessageQuery)
    return Listing(drawn, query)


def within(value: int | None, start: int | None, before: int | None) -> bool:
    if start is None and before is None:
        return True
    return value is not None and (start is None or value >= start) and (before is None or value < before)


def matches(m: Message, q: MessageQuery) -> bool:
    """Say in plain words what a query asks for."""
    return (
        m.account_sid == q.account_sid
        and q.recipient in (None, m.recipient)
        and q.sender in (None, m.sender)
        and q.status in (None, m.status)
        and q.service_sid in (None, m.service_sid)
        and within(m.sent_at, q.sent_from, q.sent_before)
        and within(m.due_at, q.due_from, q.due_before)
    )


async def all_pages(store: Store, query: MessageQuery) -> list[Message]:
    """Follow the pages until one is empty."""
    found: list[Message] = []
    while page := await store.messages(query):
        assert len(page) <= query.limit
        found += page
        assert len(found) < 1_000, "the pages do not end"
        query = replace(query, after=Cursor(page[-1].listed_at, page[-1].sid))
    return found


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(listing=listings())
async def test_pages_hold_what_matches_newest_first_and_back(
    store: Store, numbers: Iterator[int], listing: Listing
) -> None:
    turn = next(numbers)
    mine, others = f"AC{turn:032x}", f"AC{turn:031x}x"  # what earlier examples left belongs to other accounts
    batch = [
        msgspec.structs.replace(m, sid=sid_of(turn * 100 + n), account_sid=mine if m.account_sid == ACCOUNT else others)
        for n, m in enumerate(listing.messages)
    ]
    await add(store, *batch)
    query = replace(listing.query, account_sid=mine)
    expected = sorted((m for m in batch if matches(m, query)), key=lambda m: (m.listed_at, m.sid))
    assert await all_pages(store, query) == expected[::-1]
    assert await all_pages(store, replace(query, reverse=True)) == expected
    for place, message in enumerate(expected):
        here = Cursor(message.listed_at, message.sid)
        newer = await store.messages(replace(query, after=here, reverse=True))
        older = await store.messages(replace(query, after=here))
        assert newer == expected[place + 1 :][: query.limit]
        assert older == expected[:place][::-1][: query.limit]


HOSTILE = ["' OR 1=1 --", '"; DROP TABLE messages; --', "%", "_", "+1415555010%", "[1]", "\\"]
BY_TEXT: dict[str, Callable[[str], MessageQuery]] = {
    "account": lambda text: MessageQuery(account_sid=text),
    "to": lambda text: MessageQuery(account_sid=ACCOUNT, recipient=text),
    "from": lambda text: MessageQuery(account_sid=ACCOUNT, sender=text),
    "status": lambda text: MessageQuery(account_sid=ACCOUNT, status=text),
    "service": lambda text: MessageQuery(account_sid=ACCOUNT, service_sid=text),
}


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("ask", BY_TEXT.values(), ids=BY_TEXT.keys())
async def test_a_filter_is_a_value_and_no_pattern(store: Store, ask: Callable[[str], MessageQuery], text: str) -> None:
    await add(store, *(a_message(n, sender="+14155550001") for n in range(3)))
    assert await store.messages(ask(text)) == []
    assert len(await store.messages(MessageQuery(account_sid=ACCOUNT))) == 3


async def test_what_is_sent_moves_to_the_time_it_was_sent(store: Store) -> None:
    sent = await bring(store, a_message(1), Status.SENT)
    await add(store, a_message(2, listed_at=START), a_message(3, listed_at=later(3600)))
    found = await store.messages(MessageQuery(account_sid=ACCOUNT))
    assert [m.sid for m in found] == [sid_of(3), sid_of(1), sid_of(2)]
    assert sent.listed_at == sent.sent_at
    by_time = MessageQuery(account_sid=ACCOUNT, sent_from=START, sent_before=FAR)
    assert await store.messages(by_time) == [sent]


async def test_a_page_holds_fifty_unless_told_otherwise(store: Store) -> None:
    await add(store, *(a_message(n) for n in range(60)))
    assert len(await store.messages(MessageQuery(account_sid=ACCOUNT))) == 50
    assert len(await store.messages(MessageQuery(account_sid=ACCOUNT, limit=1000))) == 60


# --- amend -----------------------------------------------------------------------------------------------------------


async def test_a_redacted_body_is_gone_and_all_else_stays(store: Store) -> None:
    message = await bring(store, a_message(1), Status.DELIVERED)
    other = await bring(store, a_message(2), Status.DELIVERED)
    redacted = msgspec.structs.replace(message, body="", updated_at=AT)
    assert await store.amend(ACCOUNT, message.sid, Amendment(redact=True), AT) == redacted
    assert await read(store, message) == redacted
    assert await read(store, other) == other


@pytest.mark.parametrize("feedback", ["confirmed", "unconfirmed", "'\"é🎉"])
async def test_feedback_is_kept_beside_the_other_options(store: Store, feedback: str) -> None:
    options = Options(provide_feedback=True, tags={"kind": "reminder"}, persistent_action=("a", "b"), validity=60)
    message = await bring(store, a_message(options=options), Status.DELIVERED)
    told = msgspec.structs.replace(message, updated_at=AT, options=msgspec.structs.replace(options, feedback=feedback))
    assert await store.amend(ACCOUNT, message.sid, Amendment(feedback=feedback), AT) == told
    assert await read(store, message) == told


async def test_feedback_replaces_feedback(store: Store) -> None:
    message = await bring(store, a_message(), Status.DELIVERED)
    for feedback in ("unconfirmed", "confirmed"):
        await store.amend(ACCOUNT, message.sid, Amendment(feedback=feedback), AT)
    assert (await read(store, message)).options == Options(feedback="confirmed")


async def test_both_at_once(store: Store) -> None:
    message = await bring(store, a_message(), Status.DELIVERED)
    after = await store.amend(ACCOUNT, message.sid, Amendment(redact=True, feedback="confirmed"), AT)
    assert after is not None
    assert (after.body, after.options.feedback) == ("", "confirmed")


@pytest.mark.parametrize("change", [Amendment(redact=True), Amendment(feedback="confirmed")], ids=repr)
async def test_nobody_amends_another_accounts_message(store: Store, change: Amendment) -> None:
    await bring(store, a_message(), Status.DELIVERED)
    before = await everything(store)
    assert await store.amend(OTHER_ACCOUNT, sid_of(1), change, AT) is None
    assert await store.amend(ACCOUNT, sid_of(2), change, AT) is None
    assert await everything(store) == before


async def test_an_empty_amendment_changes_nothing(store: Store) -> None:
    message = await bring(store, a_message(), Status.DELIVERED)
    assert await store.amend(ACCOUNT, message.sid, Amendment(), AT) == message
    assert await read(store, message) == message


# --- media -----------------------------------------------------------------------------------------------------------

BODIES = {
    "empty": b"",
    "all bytes": bytes(range(256)),
    "looks like text": "naïve 'text'".encode(),
    "a megabyte": bytes(1_000_000),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_a_medium_comes_back_with_its_bytes(store: Store, body: bytes) -> None:
    row = a_medium(size=len(body), content_type='image/png; name="é"')
    await store.add_media([row], [body])
    assert await store.medium(row.sid) == (row, body)
    assert await store.media(row.message_sid) == [row]
    assert await store.medium(sid_of(9, "ME")) is None
    assert await store.media(sid_of(9)) == []


def given_order(rows: list[MediaRow]) -> list[MediaRow]:
    return rows


def against_their_sids(rows: list[MediaRow]) -> list[MediaRow]:
    return rows[::-1]


@pytest.mark.parametrize("order", [given_order, against_their_sids])
async def test_media_come_in_the_order_they_were_given(
    store: Store, order: Callable[[list[MediaRow]], list[MediaRow]]
) -> None:
    rows = order([a_medium(n) for n in range(10)])
    await store.add_media(rows, [b"%d" % n for n in range(10)])
    await store.add_media([a_medium(20, message_number=2)], [b"x"])
    assert await store.media(sid_of(1)) == rows


async def test_media_need_a_body_each(store: Store) -> None:
    with pytest.raises(ValueError, match="zip"):
        await store.add_media([a_medium(1), a_medium(2)], [b"1"])
    assert await store.media(sid_of(1)) == []


async def are_kept(store: Store, digest: str) -> bool:
    """Say whether the store has bytes of this digest: what it has already is not replaced."""
    probe = a_medium(99, message_number=99, digest=digest)
    await store.add_media([probe], [b"probe"])
    found = await store.medium(probe.sid)
    await store.remove(probe.sid)
    assert found is not None
    return found[1] != b"probe"


async def test_a_deleted_message_takes_its_media_along(store: Store) -> None:
    message = await bring(store, a_message(1), Status.DELIVERED)
    await store.add_media([a_medium(1), a_medium(2)], [b"one", b"two"])
    assert await are_kept(store, "digest-1")
    assert await store.delete(ACCOUNT, message.sid)
    assert await store.media(message.sid) == []
    assert [await store.medium(sid_of(n, "ME")) for n in (1, 2)] == [None, None]
    assert not await are_kept(store, "digest-1")
    assert not await are_kept(store, "digest-2")


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.SENDING])
async def test_a_message_that_cannot_be_deleted_keeps_its_media(store: Store, status: Status) -> None:
    message = await bring(store, a_message(1), status)
    await store.add_media([a_medium(1)], [b"one"])
    assert not await store.delete(ACCOUNT, message.sid)
    assert await store.medium(sid_of(1, "ME")) == (a_medium(1), b"one")


async def test_bytes_that_two_messages_share_stay_for_the_other(store: Store) -> None:
    first, second = [await bring(store, a_message(n), Status.DELIVERED) for n in (1, 2)]
    shared = [a_medium(n, message_number=n, digest="shared") for n in (1, 2)]
    await store.add_media(shared[:1], [b"same"])
    await store.add_media(shared[1:], [b"same"])
    assert await store.delete(ACCOUNT, first.sid)
    assert await store.medium(shared[0].sid) is None
    assert await store.medium(shared[1].sid) == (shared[1], b"same")
    assert await store.delete(ACCOUNT, second.sid)
    assert not await are_kept(store, "shared")


async def test_one_medium_can_be_removed(store: Store) -> None:
    rows = [a_medium(1, digest="shared"), a_medium(2, digest="shared"), a_medium(3)]
    await store.add_media(rows, [b"same", b"same", b"three"])
    await store.remove(rows[0].sid)
    assert await store.media(sid_of(1)) == rows[1:]
    assert await store.medium(rows[1].sid) == (rows[1], b"same")
    await store.remove(rows[1].sid)
    assert not await are_kept(store, "shared")
    assert await store.medium(rows[2].sid) == (rows[2], b"three")


async def test_a_deleted_message_leaves_nothing_else_behind(store: Store) -> None:
    await bring(store, a_message(1, callback_url=None), Status.DELIVERED)
    assert await store.delete(ACCOUNT, sid_of(1))
    assert await store.messages(MessageQuery(account_sid=ACCOUNT)) == []
    assert await timers(store) == []
    assert await callbacks(store) == []
