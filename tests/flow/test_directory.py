"""The configuration in memory is what is on disk, never ahead of it; who may do what is asked of it alone."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from cryptography.fernet import Fernet

from postdate.core.address import SenderKind
from postdate.core.instant import Instant
from postdate.core.resources import Account, AccountStatus, ApiKey, Application, Resource, Sender, Service
from postdate.flow.directory import Directory, changed, digest_of
from postdate.store.contract import AlreadyExists, StoreFull, StoreUnavailable
from postdate.store.sqlite import SqliteStore
from tests.flow.building import ACCOUNT, SEALER, SERVICE, START, TOKEN, WatchedStore, a_sender, a_service, an_account

SUBACCOUNT = "AC" + "5" * 32
STRANGER = "AC" + "9" * 32
OTHER_SERVICE = "MG" + "d" * 32
KEY = "SK" + "7" * 32
SECRET = "the-secret-of-the-key"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[WatchedStore]:
    """Give an open and empty store."""
    opened = SqliteStore(tmp_path / "postdate.db")
    await opened.open()
    yield WatchedStore(opened)
    await opened.close()


async def directory_of(store: WatchedStore, *resources: Resource) -> Directory:
    """Return a directory into which the resources were put, in order."""
    directory = Directory(store, SEALER)
    await directory.load()
    for resource in resources:
        await directory.put(resource)
    return directory


async def reread(store: WatchedStore) -> Directory:
    """Return what another start of the node would know."""
    directory = Directory(store, SEALER)
    await directory.load()
    return directory


def on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


def subaccount(**changes: object) -> Account:
    return an_account(**({"sid": SUBACCOUNT, "friendly_name": "Branch"} | changes))


def stranger() -> Account:
    return an_account(sid=STRANGER, owner_sid=STRANGER)


def a_key(**changes: object) -> ApiKey:
    key = ApiKey(
        sid=KEY,
        account_sid=ACCOUNT,
        friendly_name="Key",
        secret_digest=digest_of(SECRET),
        created_at=START,
        updated_at=START,
    )
    return msgspec.structs.replace(key, **changes)


def an_alpha(number: int = 900, **changes: object) -> Sender:
    return a_sender(number, **({"kind": SenderKind.ALPHA, "address": "Postdate"} | changes))


# --- disk first ------------------------------------------------------------------------------------------------------


async def test_another_start_knows_the_same(store: WatchedStore) -> None:
    kept: list[Resource] = [an_account(), a_key(), a_service(), a_sender(1), a_sender(2, service_sid=None)]
    directory = await directory_of(store, *kept)
    again = await reread(store)
    for found in (directory, again):
        assert found.every(Account) == [an_account(sealed_token=found.every(Account)[0].sealed_token)]
        assert found.every(Sender) == [a_sender(1), a_sender(2, service_sid=None)]
        assert found.find(ApiKey, KEY) == a_key()
        assert found.find(Service, SERVICE) == a_service()
        assert found.pool(SERVICE) == (a_sender(1),)
        assert found.token_of(ACCOUNT) == TOKEN


async def test_a_change_is_not_seen_before_it_is_on_disk(store: WatchedStore) -> None:
    directory = await directory_of(store, an_account(), a_service())
    hold = store.hold("put", "before")
    putting = asyncio.create_task(directory.put(a_service(friendly_name="New")))
    await hold.reached.wait()
    assert directory.find(Service, SERVICE) == a_service()
    hold.opened.set()
    await putting
    assert directory.find(Service, SERVICE) == a_service(friendly_name="New")


async def test_a_change_that_does_not_reach_the_disk_is_none(store: WatchedStore) -> None:
    directory = await directory_of(store, an_account(), a_service(), a_sender(1))
    store.fail("put", StoreFull("no room"), StoreFull("no room"))
    for resource in (a_sender(2), a_sender(1, mps=5.0)):
        with pytest.raises(StoreFull):
            await directory.put(resource)
    assert directory.pool(SERVICE) == (a_sender(1),)
    assert directory.owner_of(a_sender(2).address) is None
    store.fail("remove", StoreFull("no room"))
    with pytest.raises(StoreFull):
        await directory.remove(a_sender(1).sid)
    assert directory.pool(SERVICE) == (a_sender(1),)


async def test_an_address_has_one_owner(store: WatchedStore) -> None:
    directory = await directory_of(store, an_account(), stranger(), a_sender(1))
    with pytest.raises(AlreadyExists):
        await directory.put(a_sender(2, address=a_sender(1).address, account_sid=STRANGER))
    assert directory.owner_of(a_sender(1).address) == a_sender(1)
    assert directory.sender_at(STRANGER, a_sender(1).address) is None


# --- senders and pools -----------------------------------------------------------------------------------------------


async def test_a_pool_is_in_the_order_its_senders_were_added_to_it(store: WatchedStore) -> None:
    senders = [a_sender(n, added_at=Instant(START + added)) for n, added in ((1, 30), (2, 10), (3, 20), (4, 10))]
    directory = await directory_of(store, *senders)
    expected = [a_sender(n).sid for n in (2, 4, 3, 1)]
    assert [sender.sid for sender in directory.pool(SERVICE)] == expected
    assert [sender.sid for sender in (await reread(store)).pool(SERVICE)] == expected


async def test_a_sender_that_moves_leaves_its_pool(store: WatchedStore) -> None:
    directory = await directory_of(store, a_sender(1), a_sender(2))
    await directory.put(a_sender(1, service_sid=OTHER_SERVICE))
    assert directory.pool(SERVICE) == (a_sender(2),)
    assert [sender.sid for sender in directory.pool(OTHER_SERVICE)] == [a_sender(1).sid]
    await directory.put(a_sender(1, service_sid=None, added_at=None))
    assert directory.pool(OTHER_SERVICE) == ()
    assert directory.sender_at(ACCOUNT, a_sender(1).address) == a_sender(1, service_sid=None, added_at=None)


async def test_a_sender_with_a_new_address_is_found_there_only(store: WatchedStore) -> None:
    directory = await directory_of(store, a_sender(1))
    moved = a_sender(1, address="+12125550777")
    await directory.put(moved)
    assert directory.owner_of(a_sender(1).address) is None
    assert directory.sender_at(ACCOUNT, a_sender(1).address) is None
    assert directory.owner_of(moved.address) == moved


async def test_a_sender_that_is_removed_is_found_nowhere(store: WatchedStore) -> None:
    directory = await directory_of(store, a_sender(1), a_sender(2))
    await directory.remove(a_sender(1).sid)
    for found in (directory, await reread(store)):
        assert found.find(Sender, a_sender(1).sid) is None
        assert found.sender_at(ACCOUNT, a_sender(1).address) is None
        assert found.owner_of(a_sender(1).address) is None
        assert found.pool(SERVICE) == (a_sender(2),)


async def test_its_address_is_free_again(store: WatchedStore) -> None:
    directory = await directory_of(store, a_sender(1))
    await directory.remove(a_sender(1).sid)
    await directory.put(a_sender(2, address=a_sender(1).address, account_sid=STRANGER))
    owner = directory.owner_of(a_sender(1).address)
    assert owner is not None
    assert owner.account_sid == STRANGER


async def test_a_service_that_goes_frees_its_numbers_and_takes_its_alpha_senders_along(store: WatchedStore) -> None:
    directory = await directory_of(store, a_service(), a_sender(1), a_sender(2), an_alpha())
    await directory.remove(SERVICE)
    for found in (directory, await reread(store)):
        assert found.find(Service, SERVICE) is None
        assert found.pool(SERVICE) == ()
        assert [(s.sid, s.service_sid, s.added_at) for s in found.every(Sender)] == [
            (a_sender(n).sid, None, None) for n in (1, 2)
        ]


async def test_a_service_whose_removal_is_broken_off_can_be_removed_again(store: WatchedStore) -> None:
    directory = await directory_of(store, a_service(), a_sender(1), a_sender(2), an_alpha())
    store.fail("remove", StoreFull("no room"))
    with pytest.raises(StoreFull):
        await directory.remove(SERVICE)
    assert directory.find(Service, SERVICE) is not None
    await directory.remove(SERVICE)
    again = await reread(store)
    assert (again.find(Service, SERVICE), again.pool(SERVICE)) == (None, ())


async def test_an_alpha_sender_may_have_the_name_of_another(store: WatchedStore) -> None:
    theirs = an_alpha(901, account_sid=STRANGER)
    elsewhere = an_alpha(902, service_sid=OTHER_SERVICE)
    directory = await directory_of(store, an_alpha(), theirs, elsewhere)
    assert directory.sender_at(ACCOUNT, "Postdate", SERVICE) == an_alpha()
    assert directory.sender_at(ACCOUNT, "Postdate", OTHER_SERVICE) == elsewhere
    assert directory.sender_at(ACCOUNT, "Postdate") == an_alpha()  # the oldest
    assert directory.sender_at(STRANGER, "Postdate") == theirs
    await directory.remove(an_alpha().sid)
    assert directory.sender_at(ACCOUNT, "Postdate") == elsewhere
    assert directory.sender_at(STRANGER, "Postdate") == theirs


async def test_nobody_can_write_to_a_name(store: WatchedStore) -> None:
    directory = await directory_of(store, an_alpha())
    assert directory.owner_of("Postdate") is None


async def test_what_is_asked_for_by_another_kind_is_not_found(store: WatchedStore) -> None:
    directory = await directory_of(store, a_sender(1), a_service())
    assert directory.find(Sender, SERVICE) is None
    assert directory.find(Service, a_sender(1).sid) is None
    assert directory.find(Application, None) is None
    assert directory.pool("MG" + "0" * 32) == ()


async def test_all_of_a_kind_come_in_the_order_they_were_made(store: WatchedStore) -> None:
    directory = await directory_of(
        store, *(a_sender(n, created_at=Instant(START + made)) for n, made in ((1, 5), (2, 3), (3, 5), (4, 1)))
    )
    assert [sender.sid for sender in directory.every(Sender)] == [a_sender(n).sid for n in (4, 2, 1, 3)]


async def test_many_senders_are_read_and_kept_apart(store: WatchedStore) -> None:
    for number in range(1, 401):
        await store.real.put(a_sender(number, service_sid=SERVICE if number % 2 else OTHER_SERVICE))
    directory = await reread(store)
    assert [s.sid for s in directory.pool(SERVICE)] == [a_sender(n).sid for n in range(1, 401, 2)]
    assert len(directory.every(Sender)) == 400


# --- signing in ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "secret", "is_in"),
    [
        pytest.param(ACCOUNT, TOKEN, True, id="sid and token"),
        pytest.param(ACCOUNT, "", False, id="no token"),
        pytest.param(ACCOUNT, TOKEN + "x", False, id="longer token"),
        pytest.param(ACCOUNT, "\0", False, id="zero byte"),
        pytest.param(ACCOUNT, "\ud800", False, id="no text at all"),
        pytest.param(KEY, SECRET, True, id="key and secret"),
        pytest.param(KEY, TOKEN, False, id="key and token"),
        pytest.param(KEY, digest_of(SECRET), False, id="key and digest"),
        pytest.param(ACCOUNT, SECRET, False, id="sid and secret"),
        pytest.param(STRANGER, "\0", False, id="unknown account"),
        pytest.param("", "", False, id="nothing"),
        pytest.param(SERVICE, "\0", False, id="not an account"),
    ],
)
async def test_who_signs_in(store: WatchedStore, user: str, secret: str, is_in: bool) -> None:
    directory = await directory_of(store, an_account(), a_key(), a_service())
    assert (directory.sign_in(user, secret) == directory.find(Account, ACCOUNT)) is is_in
    assert (directory.sign_in(user, secret) is None) is not is_in


async def test_a_new_token_replaces_the_old_one(store: WatchedStore) -> None:
    directory = await directory_of(store, an_account())
    await directory.put(an_account(sealed_token=directory.seal("another-token-of-the-account")))
    assert directory.sign_in(ACCOUNT, TOKEN) is None
    assert directory.sign_in(ACCOUNT, "another-token-of-the-account") is not None
    assert directory.token_of(ACCOUNT) == "another-token-of-the-account"


async def test_a_key_that_is_removed_opens_nothing(store: WatchedStore) -> None:
    directory = await directory_of(store, an_account(), a_key())
    await directory.remove(KEY)
    assert directory.sign_in(KEY, SECRET) is None


async def test_a_token_is_sealed_on_disk(store: WatchedStore, tmp_path: Path) -> None:
    await directory_of(store, an_account(), a_key())
    await store.real.close()
    everything = on_disk(tmp_path)
    await store.real.open()
    assert ACCOUNT.encode() in everything
    assert TOKEN.encode() not in everything
    assert SECRET.encode() not in everything


async def test_tokens_that_another_key_sealed_are_an_error_that_says_what_to_do(store: WatchedStore) -> None:
    await directory_of(store, an_account())
    with pytest.raises(StoreUnavailable, match="POSTDATE_SECRET_KEY") as refusal:
        await Directory(store, Fernet(Fernet.generate_key())).load()
    assert TOKEN not in str(refusal.value)


def test_no_repr_tells_a_secret() -> None:
    for resource in (an_account(), a_key()):
        assert resource.sid in repr(resource)
        for secret in (TOKEN, SECRET, digest_of(SECRET), an_account().sealed_token):
            assert secret not in repr(resource)


@pytest.mark.parametrize(
    ("actor", "target", "may"),
    [
        pytest.param(ACCOUNT, ACCOUNT, True, id="itself"),
        pytest.param(ACCOUNT, SUBACCOUNT, True, id="its subaccount"),
        pytest.param(SUBACCOUNT, ACCOUNT, False, id="its parent"),
        pytest.param(SUBACCOUNT, SUBACCOUNT, True, id="a subaccount itself"),
        pytest.param(ACCOUNT, STRANGER, False, id="a stranger"),
        pytest.param(STRANGER, SUBACCOUNT, False, id="a stranger's subaccount"),
        pytest.param(ACCOUNT, "AC" + "0" * 32, False, id="nobody"),
    ],
)
async def test_who_may_act_on_whom(store: WatchedStore, actor: str, target: str, may: bool) -> None:
    directory = await directory_of(store, an_account(), subaccount(), stranger())
    acting = directory.find(Account, actor)
    assert acting is not None
    assert directory.may_act_on(acting, target) == (directory.find(Account, target) if may else None)


@pytest.mark.parametrize("status", list(AccountStatus))
@pytest.mark.parametrize("parent", list(AccountStatus))
async def test_an_account_is_active_if_it_and_its_parent_are(
    store: WatchedStore, status: AccountStatus, parent: AccountStatus
) -> None:
    directory = await directory_of(store, an_account(status=parent), subaccount(status=status))
    branch = directory.find(Account, SUBACCOUNT)
    assert branch is not None
    assert directory.is_active(branch) is (status is parent is AccountStatus.ACTIVE)


def test_a_changed_resource_is_another() -> None:
    assert changed(a_service(), friendly_name="New") == a_service(friendly_name="New")
    assert a_service().friendly_name == "Reminders"
