"""Every store: pages by any filters, the agenda, the overview, and what a search that ends early says."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postdate.core.decision import Hold
from postdate.core.instant import DAY, HOUR, SECOND, Instant
from postdate.core.message import Direction, Message, Status
from postdate.core.tally import lateness, totals
from postdate.store.contract import (
    AgendaQuery,
    Cursor,
    DueCount,
    Failed,
    Found,
    Handed,
    MessageQuery,
    New,
    Reschedule,
    Store,
)
from postdate.store.sqlite import SqliteStore
from postdate.store.sqlite_views import Limits
from tests.store.building import (
    ACCOUNT,
    CONNECTION,
    NO_CAP,
    OTHER_ACCOUNT,
    RUN,
    SEND_AT,
    SERVICE,
    START,
    a_message,
    add,
    always,
    assign,
    bring,
    later,
    new,
    sid_of,
)

AT = later(60)
TIMES = st.integers(0, 5).map(later)
SENDERS = ["+14155550001", "+14155550002"]
RECIPIENTS = ["+14155550100", "+14155550199"]
SERVICES = [SERVICE, "MG" + "d" * 32]
UNDONE = {Status.ACCEPTED, Status.SCHEDULED, Status.QUEUED, Status.SENDING}
UNSENT = UNDONE | {Status.FAILED, Status.CANCELED}

# --- pages -----------------------------------------------------------------------------------------------------------


@st.composite
def true_messages(draw: st.DrawFn) -> list[Message]:
    """Draw messages that can be: listed by when they were sent, where they were; codes only where it went wrong."""
    drawn: list[Message] = []
    for n in range(draw(st.integers(0, 25))):
        status = draw(st.sampled_from([s for s in Status if s not in (Status.RECEIVING, Status.PARTIALLY_DELIVERED)]))
        inbound = status is Status.RECEIVED
        created_at = draw(TIMES)
        sent_at = None if status in UNSENT else Instant(created_at + draw(st.integers(0, 3)) * SECOND)
        wrong = status in (Status.FAILED, Status.UNDELIVERED)
        drawn.append(
            a_message(
                n,
                account_sid=draw(st.sampled_from([ACCOUNT, ACCOUNT, ACCOUNT, OTHER_ACCOUNT])),
                direction=Direction.INBOUND if inbound else Direction.OUTBOUND_API,
                status=status,
                recipient=draw(st.sampled_from(RECIPIENTS)),
                sender=draw(st.sampled_from([*SENDERS, *([] if inbound else [None])])),
                service_sid=draw(st.sampled_from([None, *SERVICES])),
                error_code=draw(st.sampled_from([30003, 30005])) if wrong else None,
                doubt_at=draw(st.sampled_from([None, later(9)])) if status is Status.SENDING else None,
                due_at=draw(TIMES),
                created_at=created_at,
                sent_at=sent_at,
                listed_at=created_at if sent_at is None else sent_at,
            )
        )
    return drawn


FILTERS: dict[str, st.SearchStrategy[object]] = {
    "recipient": st.sampled_from(RECIPIENTS),
    "sender": st.sampled_from(SENDERS),
    "service_sid": st.sampled_from(SERVICES),
    "status": st.sampled_from([s.value for s in Status]),
    "direction": st.sampled_from([d.value for d in Direction]),
    "error_code": st.sampled_from([30003, 30005]),
    "in_doubt": st.just(True),
    "search": st.sampled_from(["5550199", "0001", "+1415", "404"]),
    **{f"{what}_{end}": TIMES for what in ("sent", "created", "listed", "due") for end in ("from", "before")},
}


def within(at: Instant | None, start: Instant | None, before: Instant | None) -> bool:
    if start is None and before is None:
        return True
    return at is not None and (start is None or at >= start) and (before is None or at < before)


def has_digits(m: Message, digits: str) -> bool:
    return digits in m.recipient or (m.status not in UNDONE and digits in (m.sender or ""))


def matches(m: Message, q: MessageQuery) -> bool:
    """Say in plain words what a query asks for."""
    return all(
        (
            m.account_sid == q.account_sid,
            q.recipient in (None, m.recipient),
            q.sender in (None, m.sender),
            q.service_sid in (None, m.service_sid),
            q.status in (None, m.status),
            q.direction in (None, m.direction),
            q.error_code in (None, m.error_code),
            not q.in_doubt or m.doubt_at is not None,
            q.search is None or has_digits(m, q.search),
            within(m.sent_at, q.sent_from, q.sent_before),
            within(m.created_at, q.created_from, q.created_before),
            within(m.listed_at, q.listed_from, q.listed_before),
            within(m.due_at, q.due_from, q.due_before),
        )
    )


@st.composite
def queries(draw: st.DrawFn) -> MessageQuery:
    asked = draw(st.sets(st.sampled_from(sorted(FILTERS)), max_size=3))
    given_values = {name: draw(FILTERS[name]) for name in sorted(asked)}
    return msgspec.convert({"account_sid": ACCOUNT, "limit": draw(st.integers(1, 4))} | given_values, MessageQuery)


async def follow(store: Store, query: MessageQuery) -> list[Message]:
    """Follow the pages to the end, as a person would; a page that is cut is never full."""
    found: list[Message] = []
    for _ in range(200):
        page = await store.search(query)
        assert len(page.messages) <= query.limit
        assert not page.cut or (len(page.messages) < query.limit + 1 and page.next is not None)
        assert page.cut or page.next is None or len(page.messages) == query.limit
        found += page.messages
        if page.next is None:
            return found
        query = replace(query, after=page.next)
    raise AssertionError("the pages do not end")


def of_this_turn(messages: Sequence[Message], turn: int) -> tuple[list[Message], str]:
    """Return them in accounts of their own: what earlier examples left belongs to others."""
    mine, others = f"AC{turn:032x}", f"AC{turn:031x}x"
    return [
        msgspec.structs.replace(m, sid=sid_of(turn * 100 + n), account_sid=mine if m.account_sid == ACCOUNT else others)
        for n, m in enumerate(messages)
    ], mine


async def keep(store: Store, messages: Sequence[Message]) -> None:
    """Add them as they are."""
    if messages:
        await store.add([New(m, NO_CAP) for m in messages], START)


async def check_pages(store: Store, turn: int, messages: Sequence[Message], query: MessageQuery) -> None:
    batch, mine = of_this_turn(messages, turn)
    await keep(store, batch)
    query = replace(query, account_sid=mine)
    expected = sorted((m for m in batch if matches(m, query)), key=lambda m: (m.listed_at, m.sid))
    assert await follow(store, query) == expected[::-1]
    assert await follow(store, replace(query, reverse=True)) == expected
    assert await store.messages(replace(query, limit=100)) == expected[::-1]


FIXTURES = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FIXTURES
@given(messages=true_messages(), query=queries())
async def test_pages_hold_what_matches(
    store: Store, numbers: Iterator[int], messages: list[Message], query: MessageQuery
) -> None:
    await check_pages(store, next(numbers), messages, query)


@pytest.fixture
async def short_sighted(tmp_path: Path) -> AsyncIterator[Store]:
    """Give a store that looks at next to nothing for one page."""
    store = SqliteStore(tmp_path / "postdate.db", limits=Limits(walked=3, read=2, counted=4, in_doubt=2, calls=3))
    await store.open()
    yield store
    await store.close()


@FIXTURES
@given(messages=true_messages(), query=queries())
async def test_pages_that_are_cut_hold_what_matches_in_the_end(
    short_sighted: Store, numbers: Iterator[int], messages: list[Message], query: MessageQuery
) -> None:
    await check_pages(short_sighted, next(numbers), messages, query)


async def test_a_page_that_is_cut_says_how_far_it_looked(short_sighted: Store) -> None:
    await add(short_sighted, *(a_message(n, listed_at=later(n), created_at=later(n)) for n in range(9)))
    query = MessageQuery(account_sid=ACCOUNT, recipient="+14155550999")
    assert await short_sighted.search(query) == Found([], Cursor(later(6), sid_of(6)), cut=True)
    back = await short_sighted.search(replace(query, reverse=True))
    assert back == Found([], Cursor(later(2), sid_of(2)), cut=True)
    assert await short_sighted.messages(query) == []
    whole = await short_sighted.search(MessageQuery(account_sid=ACCOUNT, limit=8))  # nothing to leave out: no bound
    assert (len(whole.messages), whole.cut) == (8, False)


# --- a SID -----------------------------------------------------------------------------------------------------------

BY_SID: dict[str, tuple[Callable[[str], str], list[int]]] = {
    "whole": (lambda sid: sid, [2]),
    "its beginning": (lambda sid: sid[:20], [3, 2, 1]),
    "too short a beginning": (lambda sid: sid[:7], []),
    "one too long": (lambda sid: sid + "0", []),
    "with a wildcard": (lambda sid: sid[:20] + "%", []),
}


@pytest.mark.parametrize("name", BY_SID)
async def test_a_message_is_found_by_its_sid(store: Store, name: str) -> None:
    cut, numbers = BY_SID[name]
    await add(store, *(a_message(n, listed_at=later(n)) for n in (1, 2, 3)))
    await add(store, a_message(4, account_sid=OTHER_ACCOUNT))
    query = MessageQuery(account_sid=ACCOUNT, search=cut(sid_of(2)), status="failed", limit=2)
    pages = await follow(store, query)
    assert [m.sid for m in pages] == [sid_of(n) for n in numbers]


# --- the agenda ------------------------------------------------------------------------------------------------------


async def agenda(store: Store, **asked: object) -> list[str]:
    query = msgspec.convert({"account_sid": ACCOUNT, "limit": 2} | asked, AgendaQuery)
    found: list[str] = []
    for _ in range(20):
        page = await store.search(query)
        found += [m.sid for m in page.messages]
        if page.next is None:
            return found
        query = replace(query, after=page.next)
    raise AssertionError("the pages do not end")


async def check_agenda(store: Store) -> None:
    other = SERVICES[1]
    batch = [a_message(n, due_at=later(-n), service_sid=SERVICES[n % 2]) for n in range(8)]
    await add(store, *batch, *(a_message(20 + n, account_sid=OTHER_ACCOUNT, due_at=later(-n)) for n in range(8)))
    await store.cancel(ACCOUNT, [sid_of(3)], START)
    await store.reschedule(ACCOUNT, sid_of(7), Reschedule(later(5), later(99)), START)
    await store.dispatch([sid_of(6)], always(Hold(later(2), "quiet hours")), SEND_AT)
    assert await agenda(store) == [sid_of(n) for n in (5, 4, 2, 1, 0, 6, 7)]
    assert await agenda(store, due_from=later(-2), due_before=later(2)) == [sid_of(n) for n in (2, 1, 0)]
    assert await agenda(store, service_sid=other) == [sid_of(n) for n in (5, 1, 7)]
    assert await agenda(store, account_sid="AC" + "9" * 32) == []


async def test_the_agenda_is_what_is_still_to_go_in_its_order(store: Store) -> None:
    await check_agenda(store)


async def test_an_agenda_whose_pages_are_cut_is_whole_in_the_end(short_sighted: Store) -> None:
    await check_agenda(short_sighted)


async def test_what_was_handed_over_is_on_the_agenda_no_more(store: Store) -> None:
    for n, status in enumerate(Status):
        await bring(store, a_message(n, send_at=SEND_AT if n % 2 else None), status)
    found = await store.search(AgendaQuery(account_sid=ACCOUNT))
    assert {m.status for m in found.messages} == UNDONE


# --- the overview ----------------------------------------------------------------------------------------------------


async def test_the_overview_counts_what_is_scheduled_overdue_in_doubt_and_due(store: Store) -> None:
    await add(store, *(a_message(n, due_at=later(n * 10)) for n in range(6)))
    await add(store, a_message(6, account_sid=OTHER_ACCOUNT, due_at=later(1)))
    await store.dispatch([sid_of(0)], assign(), AT)
    doubtful = await bring(store, a_message(7), Status.SENDING)
    await store.record([Failed(doubtful.sid, 1)], "another run", AT)
    bounds = [later(s) for s in (0, 20, 40, 90)]
    found = await store.overview(ACCOUNT, later(5), SEND_AT, bounds)
    assert found.scheduled == 5
    assert found.overdue == DueCount(2)  # assigned, and being sent
    assert found.in_doubt == DueCount(0)
    assert found.due == [DueCount(3), DueCount(2), DueCount(2)]
    assert (await store.overview(OTHER_ACCOUNT, later(5), SEND_AT)).due == []


async def test_a_count_that_takes_too_long_says_at_least(short_sighted: Store) -> None:
    await add(short_sighted, *(a_message(n, due_at=later(n)) for n in range(3)))
    await add(short_sighted, *(a_message(9 + n, account_sid=OTHER_ACCOUNT, due_at=later(3 + n)) for n in range(3)))
    await add(short_sighted, *(a_message(20 + n, status=Status.SENDING, doubt_at=AT) for n in range(3)))
    found = await short_sighted.overview(ACCOUNT, START, START, [later(0.5), later(2.5), later(99)])
    assert found.due == [DueCount(2), DueCount(0)]
    found = await short_sighted.overview(ACCOUNT, START, START, [later(0), later(99)])
    assert found.due == [DueCount(4, more=True)]
    assert found.in_doubt == DueCount(2, more=True)


async def test_what_messages_do_is_counted_in_its_hour_and_account(store: Store) -> None:
    for n, status in enumerate((Status.READ, Status.UNDELIVERED, Status.FAILED, Status.CANCELED, Status.RECEIVED)):
        await bring(store, a_message(n), status)
    await add(store, a_message(9, account_sid=OTHER_ACCOUNT))
    await store.cancel(OTHER_ACCOUNT, [sid_of(9)], Instant(SEND_AT + DAY))
    counted = (await store.overview(ACCOUNT, AT, START)).tallies
    assert totals(counted) == (4, 2, 1, 1, 1, 1, 1)
    assert {tally.hour % HOUR for tally in counted} == {0}
    assert totals((await store.overview(ACCOUNT, AT, SEND_AT)).tallies) == (0, 2, 1, 1, 1, 1, 0)
    assert totals((await store.overview(OTHER_ACCOUNT, AT, START)).tallies) == (1, 0, 0, 0, 0, 1, 0)


async def test_a_move_that_is_told_twice_is_counted_once(store: Store) -> None:
    message = await bring(store, a_message(), Status.SENDING)
    for _ in range(2):
        await store.record([Handed(message.sid, CONNECTION, "ref", 2_000)], RUN, AT)
        await store.cancel(ACCOUNT, [message.sid], AT)
    counted = (await store.overview(ACCOUNT, AT, START)).tallies
    assert totals(counted).sent == 1
    assert totals(counted).canceled == 0
    assert lateness(counted) == (1, 2_000, 2_000)


async def test_old_counts_are_forgotten(store: Store) -> None:
    await store.add([new(a_message(1))], START)
    await store.add([new(a_message(2))], Instant(START + DAY))
    await store.prune(START, START, Instant(START + HOUR))
    assert totals((await store.overview(ACCOUNT, AT, START)).tallies).accepted == 1
