"""Accounts and subaccounts: who sees which, whose token is shown to whom, and who may change a status."""

import pytest

from postdate.core.resources import Account, AccountStatus
from tests.api.listing import check_walk
from tests.api.openapi import API as DOCUMENT
from tests.api.openapi import check
from tests.api.serving import API, Customer, Site

ACCOUNTS = f"{API}.json"
ONE = "/2010-04-01/Accounts/{Sid}.json"


async def make(customer: Customer, **form: str) -> Customer:
    """Make a subaccount and return whoever signs in with its token."""
    reply = await customer.call("POST", ACCOUNTS, form)
    assert reply.status == 201, reply
    made = reply.json
    return Customer(customer.app, made["sid"], made["sid"], made["auth_token"])


async def status_of(customer: Customer, sid: str) -> str:
    reply = await customer.call("GET", f"{API}/{sid}.json")
    assert reply.status == 200, reply
    status: str = reply.json["status"]
    return status


async def test_a_subaccount_is_made_and_can_sign_in(customer: Customer) -> None:
    reply = await customer.call("POST", ACCOUNTS, {"FriendlyName": "Branch"})
    check(DOCUMENT, "POST", "/2010-04-01/Accounts.json", reply.status, reply.json)
    made = reply.json
    assert (made["friendly_name"], made["status"], made["type"]) == ("Branch", "active", "Full")
    assert made["owner_account_sid"] == customer.account
    assert len(made["auth_token"]) == 32
    assert int(made["auth_token"], 16) >= 0
    branch = Customer(customer.app, made["sid"], made["sid"], made["auth_token"])
    assert (await branch.on("GET", "/Messages.json")).status == 200


async def test_each_subaccount_has_its_own_token_which_is_sealed_at_rest(site: Site, customer: Customer) -> None:
    one, two = await make(customer), await make(customer)
    assert one.secret != two.secret
    kept = repr(await site.node.store.resources())
    assert one.secret not in kept
    stored = b"".join(path.read_bytes() for path in site.node.settings.data.glob("postdate.db*"))
    assert one.account.encode() in stored
    assert one.secret.encode() not in stored


async def test_a_subaccount_without_a_name_is_named_after_its_time(customer: Customer) -> None:
    reply = await customer.call("POST", ACCOUNTS)
    assert reply.json["friendly_name"].startswith("SubAccount created at 20")


async def test_an_account_sees_itself(customer: Customer) -> None:
    reply = await customer.call("GET", f"{API}/{customer.account}.json")
    check(DOCUMENT, "GET", ONE, reply.status, reply.json)
    assert reply.json["sid"] == reply.json["owner_account_sid"] == customer.account
    assert reply.json["auth_token"] == customer.secret
    assert reply.json["uri"] == f"{API}/{customer.account}.json"


async def test_a_parent_sees_its_subaccounts_and_their_tokens(customer: Customer) -> None:
    branch = await make(customer)
    reply = await customer.call("GET", f"{API}/{branch.account}.json")
    assert reply.json["auth_token"] == branch.secret


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_subaccount_sees_neither_its_parent_nor_its_siblings(customer: Customer, method: str) -> None:
    one, two = await make(customer, FriendlyName="One"), await make(customer)
    for other in (customer.account, two.account):
        reply = await one.call(method, f"{API}/{other}.json", {"FriendlyName": "Mine"} if method == "POST" else b"")
        assert reply.error == (20003, 401)
    listed = (await one.call("GET", ACCOUNTS)).json["accounts"]
    assert [account["sid"] for account in listed] == [one.account]


async def test_an_account_that_is_not_there_looks_like_one_of_others(customer: Customer, stranger: Customer) -> None:
    missing = await customer.call("GET", f"{API}/AC{'f' * 32}.json")
    foreign = await customer.call("GET", f"{API}/{stranger.account}.json")
    assert missing.body == foreign.body


async def test_the_list_has_the_account_and_its_subaccounts_in_order(site: Site, customer: Customer) -> None:
    sids = [customer.account]
    for number in range(7):
        await site.advance(1_000_000)
        sids.append((await make(customer, FriendlyName=f"Branch {number}")).account)
    reply = await customer.call("GET", ACCOUNTS, query={"PageSize": "50"})
    check(DOCUMENT, "GET", "/2010-04-01/Accounts.json", reply.status, reply.json)
    for size in (1, 3, 4, 50):
        await check_walk(customer, f"{ACCOUNTS}?PageSize={size}", "accounts", sids)


async def test_the_list_can_be_filtered_and_the_links_keep_the_filter(customer: Customer) -> None:
    made = [await make(customer, FriendlyName="Same") for _ in range(3)]
    await make(customer, FriendlyName="Other")
    await customer.call("POST", f"{API}/{made[1].account}.json", {"Status": "suspended"})
    wanted = sorted(branch.account for branch in made)
    await check_walk(customer, f"{ACCOUNTS}?FriendlyName=Same&PageSize=2", "accounts", wanted)
    listed = (await customer.call("GET", ACCOUNTS, query={"Status": "suspended"})).json["accounts"]
    assert [account["sid"] for account in listed] == [made[1].account]
    assert (await customer.call("GET", ACCOUNTS, query={"Status": "asleep"})).error == (20001, 400)


async def test_an_account_is_renamed_and_dated(site: Site, customer: Customer) -> None:
    before = (await customer.call("GET", f"{API}/{customer.account}.json")).json
    await site.advance(5_000_000)
    reply = await customer.call("POST", f"{API}/{customer.account}.json", {"FriendlyName": "Renamed"})
    check(DOCUMENT, "POST", ONE, reply.status, reply.json)
    assert reply.json["friendly_name"] == "Renamed"
    assert reply.json["date_created"] == before["date_created"]
    assert reply.json["date_updated"] != before["date_updated"]
    assert (await customer.call("GET", f"{API}/{customer.account}.json")).json == reply.json


async def test_a_suspended_subaccount_signs_in_again_once_it_is_active(customer: Customer) -> None:
    branch = await make(customer)
    assert (await customer.call("POST", f"{API}/{branch.account}.json", {"Status": "suspended"})).status == 200
    assert (await branch.on("GET", "/Messages.json")).error == (20005, 403)
    assert await status_of(customer, branch.account) == "suspended"
    assert (await customer.call("POST", f"{API}/{branch.account}.json", {"Status": "active"})).status == 200
    assert (await branch.on("GET", "/Messages.json")).status == 200


async def test_a_closed_subaccount_stays_closed(customer: Customer) -> None:
    branch = await make(customer)
    assert (await customer.call("POST", f"{API}/{branch.account}.json", {"Status": "closed"})).status == 200
    for status in ("active", "suspended"):
        reply = await customer.call("POST", f"{API}/{branch.account}.json", {"Status": status})
        assert reply.error == (21479, 400)
    assert await status_of(customer, branch.account) == "closed"
    assert (await branch.on("GET", "/Messages.json")).error == (20005, 403)


@pytest.mark.parametrize("status", ["suspended", "closed"])
async def test_a_main_account_cannot_lock_itself_out(customer: Customer, status: str) -> None:
    reply = await customer.call("POST", f"{API}/{customer.account}.json", {"Status": status})
    assert reply.error == (21477, 400)
    assert await status_of(customer, customer.account) == "active"


async def test_a_status_that_is_so_already_is_no_change(customer: Customer) -> None:
    reply = await customer.call("POST", f"{API}/{customer.account}.json", {"Status": "active"})
    assert (reply.status, reply.json["status"]) == (200, "active")


async def test_a_subaccount_cannot_change_its_own_status(customer: Customer) -> None:
    branch = await make(customer)
    reply = await branch.call("POST", f"{API}/{branch.account}.json", {"Status": "closed"})
    assert reply.error == (20006, 403)
    assert await status_of(customer, branch.account) == "active"


async def test_a_subaccount_has_no_subaccounts(customer: Customer) -> None:
    branch = await make(customer)
    assert (await branch.call("POST", ACCOUNTS, {"FriendlyName": "Twig"})).error == (20006, 403)


@pytest.mark.parametrize(
    ("form", "code"),
    [
        pytest.param({"Status": "gone"}, 21475, id="status"),
        pytest.param({"FriendlyName": "x" * 65}, 20002, id="name"),
    ],
)
async def test_what_an_account_cannot_be_changed_to(customer: Customer, form: dict[str, str], code: int) -> None:
    assert (await customer.call("POST", f"{API}/{customer.account}.json", form)).error == (code, 400)


async def test_a_key_may_not_manage_accounts(site: Site, customer: Customer) -> None:
    branch = await make(customer)
    key = await site.add_key(customer.account)
    assert (await key.on("GET", "/Messages.json")).status == 200
    for method, path in (
        ("GET", ACCOUNTS),
        ("POST", ACCOUNTS),
        ("GET", f"{API}/{customer.account}.json"),
        ("POST", f"{API}/{customer.account}.json"),
        ("GET", f"{API}/{branch.account}.json"),
    ):
        reply = await key.call(method, path)
        assert reply.error == (20003, 403), (method, path)
        assert "www-authenticate" not in reply.headers, "other credentials are needed, not these again"
        assert customer.secret not in reply.body.decode()


async def test_changes_are_still_there_after_a_restart(site: Site, customer: Customer) -> None:
    branch = await make(customer, FriendlyName="Branch")
    await customer.call("POST", f"{API}/{branch.account}.json", {"Status": "closed"})
    kept = [found for found in await site.node.store.resources() if found.sid == branch.account]
    assert kept == [site.node.directory.find(Account, branch.account)]
    assert [found.status for found in kept if isinstance(found, Account)] == [AccountStatus.CLOSED]


async def test_balance(customer: Customer) -> None:
    reply = await customer.on("GET", "/Balance.json")
    check(DOCUMENT, "GET", "/2010-04-01/Accounts/{AccountSid}/Balance.json", reply.status, reply.json)
    assert reply.json == {"account_sid": customer.account, "balance": "0.00", "currency": "USD"}
