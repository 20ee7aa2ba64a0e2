"""Every store: what a customer configures is kept as it was put, its unique keys are its own, and it can go."""

import asyncio

import pytest

from postdate.core.address import SenderKind
from postdate.core.decision import Assign, Decision, Fetch
from postdate.core.resources import Account, AccountStatus, ApiKey, Resource, Webhooks
from postdate.store.contract import AlreadyExists, Due, Store
from tests.store.building import (
    ACCOUNT,
    OTHER_ACCOUNT,
    SEND_AT,
    SERVICE,
    START,
    a_message,
    a_sender,
    a_service,
    add,
    an_application,
    everything,
    later,
    sid_of,
)

HOSTILE = "it's \"quoted\" 🎉 '); DROP TABLE resources; -- \\"
RESOURCES: dict[str, Resource] = {
    "account": Account(
        sid=ACCOUNT,
        owner_sid=ACCOUNT,
        friendly_name=HOSTILE,
        status=AccountStatus.SUSPENDED,
        sealed_token="sealed",
        created_at=START,
        updated_at=START,
    ),
    "key": ApiKey(
        sid=sid_of(1, "SK"),
        account_sid=ACCOUNT,
        friendly_name=HOSTILE,
        secret_digest="digest",
        created_at=START,
        updated_at=START,
    ),
    "sender": a_sender(mps=0.5, added_at=START, webhooks=Webhooks(sms_url="https://example.com/?a=1&b='2'")),
    "service": a_service(friendly_name=HOSTILE, sticky_sender=False, validity_period=60, schedule_window="5m..35d"),
    "application": an_application(friendly_name=HOSTILE, message_status_callback="https://example.com/"),
}


async def kept(store: Store) -> dict[str, Resource]:
    return {resource.sid: resource for resource in await store.resources()}


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=RESOURCES.keys())
async def test_a_resource_comes_back_as_it_was_put(store: Store, resource: Resource) -> None:
    await store.put(resource)
    assert await store.resources() == [resource]


async def test_all_kinds_are_kept_beside_each_other(store: Store) -> None:
    assert await store.resources() == []
    for resource in RESOURCES.values():
        await store.put(resource)
    assert await kept(store) == {resource.sid: resource for resource in RESOURCES.values()}


async def test_a_put_replaces(store: Store) -> None:
    await store.put(a_service(status_callback="https://example.com/old"))
    await store.put(a_service(friendly_name="New"))
    assert await store.resources() == [a_service(friendly_name="New")]


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=RESOURCES.keys())
async def test_a_removed_resource_is_gone_and_the_others_stay(store: Store, resource: Resource) -> None:
    for each in RESOURCES.values():
        await store.put(each)
    await store.remove(resource.sid)
    await store.remove(resource.sid)
    assert await kept(store) == {r.sid: r for r in RESOURCES.values() if r.sid != resource.sid}


async def test_an_address_belongs_to_one_sender(store: Store) -> None:
    first, second = a_sender(1), a_sender(2, address=a_sender(1).address, account_sid=OTHER_ACCOUNT)
    await store.put(first)
    before = await everything(store)
    with pytest.raises(AlreadyExists):
        await store.put(second)
    assert await everything(store) == before


async def test_a_change_cannot_take_anothers_address(store: Store) -> None:
    await store.put(a_sender(1))
    await store.put(a_sender(2))
    before = await everything(store)
    with pytest.raises(AlreadyExists):
        await store.put(a_sender(2, address=a_sender(1).address))
    assert await everything(store) == before


async def test_a_sender_may_be_put_again_with_its_own_address(store: Store) -> None:
    await store.put(a_sender(1))
    await store.put(a_sender(1, friendly_name="New"))
    assert await store.resources() == [a_sender(1, friendly_name="New")]


async def test_an_address_is_free_once_its_sender_has_gone_or_changed(store: Store) -> None:
    await store.put(a_sender(1))
    await store.put(a_sender(1, address="+14155559999"))
    await store.put(a_sender(2, address=a_sender(1).address))
    await store.remove(a_sender(2).sid)
    await store.put(a_sender(3, address=a_sender(1).address))
    assert set(await kept(store)) == {a_sender(1).sid, a_sender(3).sid}


async def test_one_address_may_be_of_two_kinds(store: Store) -> None:
    await store.put(a_sender(1, kind=SenderKind.SHORT_CODE, address="12345"))
    await store.put(a_sender(2, kind=SenderKind.PHONE_NUMBER, address="12345"))
    assert len(await store.resources()) == 2


async def test_an_alpha_name_is_nobodys_own(store: Store) -> None:
    for n in (1, 2):
        await store.put(a_sender(n, kind=SenderKind.ALPHA, address="ACME"))
    assert len(await store.resources()) == 2


async def test_one_of_many_that_want_an_address_gets_it(store: Store) -> None:
    async def wins(number: int) -> bool:
        try:
            await store.put(a_sender(number, address="+14155550001"))
        except AlreadyExists:
            return False
        return True

    won = await asyncio.gather(*(wins(n) for n in range(10)))
    assert sum(won) == 1
    assert list(await kept(store)) == [a_sender(won.index(True)).sid]


# --- what depends on a resource alone --------------------------------------------------------------------------------


async def sticky(store: Store, number: int, decision: Decision) -> str | None:
    """Add and dispatch a message; return the sender its recipient had last."""
    asked: list[Due] = []

    def decide(due: Due) -> Decision:
        asked.append(due)
        return decision

    await add(store, a_message(number))
    await store.dispatch([sid_of(number)], decide, SEND_AT)
    (due,) = asked
    return due.sticky


GONE = {"its sender": a_sender(1).sid, "its service": SERVICE}


@pytest.mark.parametrize("sid", GONE.values(), ids=GONE.keys())
async def test_a_sticky_choice_goes_with(store: Store, sid: str) -> None:
    await store.put(a_service())
    await store.put(a_sender(1))
    await sticky(store, 1, Assign(a_sender(1), 1))
    assert await sticky(store, 2, Fetch()) == a_sender(1).sid
    await store.remove(sid)
    assert await sticky(store, 3, Fetch()) is None


async def test_a_sticky_choice_stays_when_another_goes(store: Store) -> None:
    for resource in (a_service(), a_sender(1), a_sender(2)):
        await store.put(resource)
    await sticky(store, 1, Assign(a_sender(1), 1))
    await store.remove(a_sender(2).sid)
    assert await sticky(store, 2, Fetch()) == a_sender(1).sid


async def test_messages_outlive_the_service_they_were_made_for(store: Store) -> None:
    await store.put(a_service())
    await add(store, a_message(1))
    await store.remove(SERVICE)
    assert await store.message(ACCOUNT, sid_of(1)) == a_message(1)
    (canceled,) = await store.cancel(ACCOUNT, [sid_of(1)], later(1))
    assert canceled is not None
