"""Every store: what a handset wrote is kept once and whole; a doubt ends with the answer that comes late."""

from collections.abc import Sequence
from itertools import permutations

import msgspec
import pytest

from postdate.core.instant import HOUR, Instant
from postdate.core.message import Direction, Event, Message, Status
from postdate.store.contract import (
    Added,
    Doubted,
    Failed,
    Handed,
    MessageQuery,
    NotAdded,
    OptOutChange,
    ReceiptNews,
    Source,
    Store,
)
from tests.store.building import (
    ACCOUNT,
    CONNECTION,
    OTHER_RUN,
    RECIPIENT,
    RUN,
    SERVICE,
    START,
    a_message,
    add,
    an_inbound_message,
    announced,
    bring,
    later,
    new,
    read,
    timers,
)

OURS = "+12125550001"
AT = later(60)
Given = tuple[Message, Source]


def written(number: int, body: str, ref: str | None = None, connection: str = CONNECTION) -> Given:
    """Return what a handset wrote, and the carrier's id of it."""
    return an_inbound_message(number, sender=RECIPIENT, recipient=OURS, body=body), Source(connection, ref)


def part(number: int, body: str, place: int, total: int = 3, ref: int = 7, carrier_ref: str | None = None) -> Given:
    """Return a part of what it wrote."""
    message, _ = written(number, body)
    return message, Source(CONNECTION, carrier_ref, ref, total, place)


async def take(store: Store, *given: Given, changes: Sequence[OptOutChange] = (), at: Instant = AT) -> None:
    """Add what came, in one transaction."""
    await store.add_inbound([message for message, _ in given], changes, at, [source for _, source in given])


async def bodies(store: Store) -> list[str]:
    """Return what was kept, sorted."""
    found = await store.messages(MessageQuery(account_sid=ACCOUNT, limit=1_000))
    return sorted(message.body for message in found if message.direction is Direction.INBOUND)


def says(stop: bool) -> OptOutChange:
    """Return a STOP to the service, or a START."""
    return OptOutChange(ACCOUNT, SERVICE, RECIPIENT, a_message().bucket, stop)


async def is_opted_out(store: Store, number: int) -> bool:
    """Say whether a message at once is refused because its recipient opted out."""
    (result,) = await store.add([new(a_message(number, status=Status.ACCEPTED))], AT)
    assert result in (Added(), NotAdded(21610))
    return result == NotAdded(21610)


# --- the same told twice ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("together", [True, False], ids=["together", "one after the other"])
async def test_the_same_told_twice_is_kept_once(store: Store, together: bool) -> None:
    told = [written(1, "Hello", "a"), written(2, "Hello again", "a"), written(3, "Other", "b")]
    for batch in [told] if together else [[one] for one in told]:
        await take(store, *batch)
    assert await bodies(store) == ["Hello", "Other"]
    await take(store, written(4, "Hello", "a"), written(5, "New", "c"))
    assert await bodies(store) == ["Hello", "New", "Other"]


async def test_without_an_id_or_through_another_connection_it_is_another(store: Store) -> None:
    await take(store, written(1, "Hello", "a"))
    await take(store, written(2, "Hello", None), written(3, "Hello", None))
    await take(store, written(4, "Hello", "a", "another"))
    assert await bodies(store) == ["Hello"] * 4


async def test_a_stop_told_again_after_a_start_is_not_obeyed_again(store: Store) -> None:
    await take(store, written(1, "STOP", "a"), changes=[says(True)])
    assert await is_opted_out(store, 10)
    await take(store, written(2, "START", "b"), changes=[says(False)])
    await take(store, written(3, "STOP", "a"), changes=[says(True)])
    assert not await is_opted_out(store, 11)
    await take(store, written(4, "STOP", "c"), changes=[says(True)])
    assert await is_opted_out(store, 12)


async def test_ids_are_remembered_until_they_are_pruned(store: Store) -> None:
    await take(store, written(1, "Old", "a"), at=START)
    await take(store, written(2, "Young", "b"), at=AT)
    await store.prune(Instant(START + 1))
    await take(store, written(3, "Old", "a"), written(4, "Young", "b"))
    assert await bodies(store) == ["Old", "Old", "Young"]


# --- parts of a long message -----------------------------------------------------------------------------------------

PARTS = [part(1, "one ", 1), part(2, "two ", 2), part(3, "three", 3)]


@pytest.mark.parametrize("together", [True, False], ids=["together", "one after the other"])
@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
async def test_parts_in_any_order_become_one_message_when_all_are_there(
    store: Store, order: tuple[int, ...], together: bool
) -> None:
    ordered = [PARTS[place] for place in order]
    for batch in [ordered[:2]] if together else [[one] for one in ordered[:2]]:
        await take(store, *batch)
    assert await bodies(store) == []
    await take(store, ordered[2])
    (found,) = await store.messages(MessageQuery(account_sid=ACCOUNT))
    assert (found.body, found.num_segments, found.status) == ("one two three", 3, Status.RECEIVED)
    assert (found.sid, found.sender, found.recipient) == (PARTS[0][0].sid, RECIPIENT, OURS)


async def test_all_parts_in_one_transaction_with_others(store: Store) -> None:
    await take(store, PARTS[2], written(9, "Short"), PARTS[0], PARTS[1])
    assert await bodies(store) == ["Short", "one two three"]


async def test_parts_told_twice_count_once(store: Store) -> None:
    await take(store, PARTS[0], PARTS[0])
    await take(store, PARTS[0], PARTS[2])
    assert await bodies(store) == []
    await take(store, PARTS[1])
    assert await bodies(store) == ["one two three"]


async def test_a_part_with_an_id_told_again_after_the_whole_begins_no_other(store: Store) -> None:
    parts = [part(n, str(n), n, total=2, carrier_ref=f"id-{n}") for n in (1, 2)]
    await take(store, *parts)
    await take(store, part(3, "1", 1, total=2, carrier_ref="id-1"))
    await store.prune(START, later(10 * 3600))
    assert await bodies(store) == ["12"]


async def test_a_part_without_an_id_told_again_after_the_whole_begins_no_other(store: Store) -> None:
    await take(store, *PARTS)
    await take(store, *[part(20 + n, message.body, n) for n, (message, _) in enumerate(PARTS, 1)])
    await store.prune(START, later(10 * 3600))
    assert await bodies(store) == ["one two three"]


async def test_a_reference_that_is_used_again_loses_nothing(store: Store) -> None:
    await take(store, PARTS[0])
    await take(store, *[part(20 + n, f"{n}", n) for n in (1, 2, 3)])
    assert await bodies(store) == ["123", "one "]
    much_later = later(10 * 3600)
    await take(store, *[part(30 + n, f"{n}", n) for n in (1, 2, 3)], at=much_later)
    assert await bodies(store) == ["123", "123", "one "], "said anew"


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
async def test_a_stop_in_parts_is_obeyed_when_it_is_whole(store: Store, order: tuple[int, int]) -> None:
    for place in order:
        assert not await is_opted_out(store, 10 + place)
        message, source = part(place, ("ST", "OP")[place - 1], place, total=2)
        await take(store, (message, source))
    assert await is_opted_out(store, 20)


APART = {
    "another reference": {"ref": 8},
    "another count": {"total": 2},
}


@pytest.mark.parametrize("change", APART.values(), ids=APART.keys())
async def test_two_long_messages_at_once_are_kept_apart(store: Store, change: dict[str, int]) -> None:
    total = change.get("total", 3)
    other = [part(10 + n, f"{n}", n, total, change.get("ref", 7)) for n in range(1, total + 1)]
    for first, second in zip(PARTS, [*other, written(20, "x")], strict=False):
        await take(store, first)
        await take(store, second)
    assert {"one two three", "".join(str(n) for n in range(1, total + 1))} <= set(await bodies(store))


async def test_parts_of_other_handsets_and_to_other_numbers_are_kept_apart(store: Store) -> None:
    message, source = PARTS[1]
    others = [
        (an_inbound_message(11, sender="+14155550199", recipient=OURS, body="x"), source),
        (an_inbound_message(12, sender=RECIPIENT, recipient="+12125550002", body="y"), source),
        (message, source._replace(connection="another")),
    ]
    await take(store, PARTS[0], PARTS[2], *others)
    assert await bodies(store) == []
    await take(store, PARTS[1])
    assert await bodies(store) == ["one two three"]


async def test_media_of_all_parts_are_the_messages(store: Store) -> None:
    parts = [
        (an_inbound_message(n, sender=RECIPIENT, recipient=OURS, body="", media_urls=(f"https://a.example/{n}",)), s)
        for n, (_, s) in enumerate(PARTS, 1)
    ]
    await take(store, *reversed(parts))
    (found,) = await store.messages(MessageQuery(account_sid=ACCOUNT))
    assert found.media_urls == tuple(f"https://a.example/{n}" for n in (1, 2, 3))


async def test_what_is_never_whole_becomes_a_message_of_what_is_there(store: Store) -> None:
    await take(store, PARTS[2], at=START)
    await take(store, PARTS[0], at=later(3600))
    await take(store, part(10, "young", 1, ref=8), at=later(3600))
    await store.prune(START, START)
    assert await bodies(store) == [], "its first part is not old enough"
    await store.prune(START, Instant(START + 1))
    assert await bodies(store) == ["one three"]
    await store.prune(START, Instant(later(3600) + HOUR))
    assert await bodies(store) == ["one three", "young"]
    await store.prune(START, Instant(later(3600) + HOUR))
    assert await bodies(store) == ["one three", "young"]


# --- in doubt, and what ends it --------------------------------------------------------------------------------------


async def doubted(store: Store, again: bool = False, number: int = 1) -> Message:
    """Return a message of whose hand-off nobody knows; `again`: it waits to be handed over with the same key."""
    message = await bring(store, a_message(number), Status.SENDING)
    await store.record([Doubted(message.sid, again)], RUN, later(10))
    return await read(store, message)


def late(message: Message, event: Event, code: int | None = None, ref: str = "late") -> ReceiptNews:
    """Return an answer that came after its submission had ended in doubt."""
    return ReceiptNews(CONNECTION, ref if event is Event.ACCEPT else "", event, code, message.sid)


async def test_what_may_go_again_can_be_claimed_again_and_keeps_its_doubt(store: Store) -> None:
    message = await doubted(store, again=True)
    assert [timer.sid for timer in await timers(store)] == [message.sid], "found again after a restart"
    (claimed,) = await store.claim([message.sid], RUN, [], later(20))
    assert (claimed.attempts, claimed.doubt_at) == (2, later(10))
    await store.record([Doubted(message.sid, again=True)], RUN, later(30))
    assert (await read(store, message)).doubt_at == later(10), "in doubt since the first time"
    await store.claim([message.sid], RUN, [], later(40))
    await store.record([Handed(message.sid, CONNECTION, "r")], RUN, later(50))
    found = await read(store, message)
    assert (found.status, found.doubt_at, found.carrier_ref) == (Status.SENT, None, "r")
    assert await timers(store) == []


async def test_what_may_go_again_and_expires_is_left_in_doubt(store: Store) -> None:
    message = await doubted(store, again=True)
    await store.record([Doubted(message.sid)], RUN, later(20))
    found = await read(store, message)
    assert (found.status, found.doubt_at) == (Status.SENDING, later(10))
    assert await timers(store) == []
    assert await store.claim([message.sid], RUN, [], later(30)) == []
    before = await announced(store)
    await store.apply_receipts([late(message, Event.ACCEPT)], later(40))
    assert (await read(store, message)).status is Status.SENT
    assert await announced(store) == sorted([*before, (message.sid, Status.SENT)])


@pytest.mark.parametrize("again", [True, False], ids=["may go again", "held"])
async def test_a_late_yes_ends_the_doubt_and_its_reference_is_known_from_then_on(store: Store, again: bool) -> None:
    message = await doubted(store, again)
    await store.apply_receipts([late(message, Event.ACCEPT)], later(20))
    found = await read(store, message)
    assert (found.status, found.doubt_at, found.sent_at) == (Status.SENT, None, later(20))
    assert (message.sid, Status.SENT) in await announced(store)
    assert await store.claim([message.sid], RUN, [], later(25)) == []
    assert await timers(store) == []
    await store.apply_receipts([ReceiptNews(CONNECTION, "late", Event.DELIVER)], later(30))
    assert (await read(store, message)).status is Status.DELIVERED


async def test_a_receipt_that_came_before_the_late_yes_is_not_lost(store: Store) -> None:
    message = await doubted(store)
    await store.apply_receipts([ReceiptNews(CONNECTION, "late", Event.DELIVER)], later(15))
    assert (await read(store, message)).status is Status.SENDING
    await store.apply_receipts([late(message, Event.ACCEPT)], later(20))
    assert (await read(store, message)).status is Status.DELIVERED


@pytest.mark.parametrize("again", [True, False], ids=["may go again", "held"])
async def test_a_late_no_ends_the_doubt_with_its_reason(store: Store, again: bool) -> None:
    message = await doubted(store, again)
    await store.apply_receipts([late(message, Event.REFUSE, 30003)], later(20))
    found = await read(store, message)
    assert (found.status, found.error_code, found.doubt_at, found.sent_at) == (Status.FAILED, 30003, None, None)
    assert (message.sid, Status.FAILED) in await announced(store)
    assert await store.claim([message.sid], RUN, [], later(25)) == []
    assert await timers(store) == []


async def test_a_late_not_now_ends_the_doubt_and_it_goes_again(store: Store) -> None:
    message = await doubted(store)
    before = await announced(store)
    assert await store.apply_receipts([late(message, Event.RETURN)], later(20)) == [(message.due_at, message.sid)]
    found = await read(store, message)
    assert (found.status, found.error_code, found.doubt_at, found.sent_at) == (Status.SENDING, None, None, None)
    assert await announced(store) == before
    assert await timers(store) == [(message.due_at, message.sid)]
    (claimed,) = await store.claim([message.sid], OTHER_RUN, [], later(25))
    assert claimed.attempts == 2


async def test_a_late_not_now_says_nothing_of_what_goes_again_anyway(store: Store) -> None:
    message = await doubted(store, again=True)
    assert await store.apply_receipts([late(message, Event.RETURN)], later(20)) == []
    assert await read(store, message) == message


async def test_what_came_in_is_told_once_when_it_is_whole(store: Store) -> None:
    url = "https://customer.example/in"
    pieces = [part(number, str(number), number) for number in (1, 2, 3)]
    given = [(msgspec.structs.replace(message, callback_url=url), source) for message, source in pieces]
    await take(store, given[0], given[2])
    assert await announced(store) == []
    await take(store, given[1])
    await take(store, *given)
    ((sid, status),) = await announced(store)
    assert (sid in {message.sid for message, _ in given}, status) == (True, Status.RECEIVED)


@pytest.mark.parametrize("event", [Event.ACCEPT, Event.REFUSE, Event.RETURN])
@pytest.mark.parametrize("status", [Status.QUEUED, Status.SENT, Status.DELIVERED, Status.FAILED, Status.CANCELED])
async def test_a_late_answer_ends_a_doubt_only(store: Store, status: Status, event: Event) -> None:
    message = await bring(store, a_message(), status)
    before = await announced(store)
    await store.apply_receipts([late(message, event, 30003)], AT)
    found = await read(store, message)
    assert (found.status, found.error_code) == (status, message.error_code)
    assert await announced(store) == before


async def test_a_late_yes_and_a_receipt_in_one_batch_both_count(store: Store) -> None:
    message = await doubted(store)
    news = [late(message, Event.ACCEPT), ReceiptNews(CONNECTION, "late", Event.UNDELIVER, 30005, message.sid)]
    await store.apply_receipts(news, later(20))
    found = await read(store, message)
    assert (found.status, found.error_code) == (Status.UNDELIVERED, 30005)
    told = [status for sid, status in await announced(store) if sid == message.sid]
    assert {Status.SENT, Status.UNDELIVERED} <= set(told)


async def test_after_a_late_no_nothing_the_run_says_counts(store: Store) -> None:
    message = await doubted(store, again=True)
    await store.apply_receipts([late(message, Event.REFUSE, 30003)], later(20))
    failed = await read(store, message)
    await store.record([Handed(message.sid, CONNECTION, "r")], RUN, later(30))
    await store.record([Failed(message.sid, 30036)], RUN, later(31))
    await store.record([Doubted(message.sid)], RUN, later(32))
    assert await read(store, message) == failed


async def test_a_late_answer_about_nobody_harms_nobody(store: Store) -> None:
    await add(store, a_message(1))
    nobody = a_message(9)
    await store.apply_receipts([late(nobody, Event.ACCEPT), late(nobody, Event.REFUSE, 30003)], AT)
    assert (await read(store, a_message(1))).status is Status.SCHEDULED
    assert await store.message(ACCOUNT, nobody.sid) is None
