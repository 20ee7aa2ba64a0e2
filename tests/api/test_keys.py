"""API keys: a secret shown once, a way to sign in until it is deleted, and no way to more keys."""

import pytest

from tests.api.listing import check_walk
from tests.api.openapi import API as DOCUMENT
from tests.api.openapi import check
from tests.api.serving import API, Customer, Site

KINDS = pytest.mark.parametrize(("kind", "listed_as"), [("Keys", "keys"), ("SigningKeys", "signing_keys")])


def template(kind: str, one: bool = False) -> str:
    """Return the path of a kind of key as the document writes it."""
    return f"/2010-04-01/Accounts/{{AccountSid}}/{kind}{'/{Sid}' if one else ''}.json"


async def make(customer: Customer, kind: str = "Keys", **form: str) -> Customer:
    """Make a key and return whoever signs in with it."""
    made = (await customer.on("POST", f"/{kind}.json", form)).json
    return Customer(customer.app, customer.account, made["sid"], made["secret"])


@KINDS
async def test_the_life_of_a_key(site: Site, customer: Customer, kind: str, listed_as: str) -> None:
    made = await customer.on("POST", f"/{kind}.json", {"FriendlyName": "Backend"})
    check(DOCUMENT, "POST", template(kind), made.status, made.json)
    sid, secret = made.json["sid"], made.json["secret"]
    assert len(secret) == 32
    fetched = await customer.on("GET", f"/{kind}/{sid}.json")
    check(DOCUMENT, "GET", template(kind, one=True), fetched.status, fetched.json)
    assert fetched.json == {name: value for name, value in made.json.items() if name != "secret"}
    await site.advance(2_000_000)
    renamed = await customer.on("POST", f"/{kind}/{sid}.json", {"FriendlyName": "Front"})
    check(DOCUMENT, "POST", template(kind, one=True), renamed.status, renamed.json)
    assert renamed.json["friendly_name"] == "Front"
    assert renamed.json["date_updated"] != fetched.json["date_updated"]
    listed = await customer.on("GET", f"/{kind}.json")
    check(DOCUMENT, "GET", template(kind), listed.status, listed.json)
    assert listed.json[listed_as] == [renamed.json]
    deleted = await customer.on("DELETE", f"/{kind}/{sid}.json")
    assert (deleted.status, deleted.body) == (204, b"")
    assert (await customer.on("GET", f"/{kind}/{sid}.json")).error == (20404, 404)
    assert (await customer.on("DELETE", f"/{kind}/{sid}.json")).error == (20404, 404)


async def test_a_key_signs_in_until_it_is_deleted(customer: Customer) -> None:
    key, other = await make(customer), await make(customer)
    assert (await key.on("GET", "/Messages.json")).status == 200
    await customer.on("DELETE", f"/Keys/{key.user}.json")
    assert (await key.on("GET", "/Messages.json")).error == (20003, 401)
    assert (await other.on("GET", "/Messages.json")).status == 200


async def test_a_key_needs_its_own_secret(customer: Customer) -> None:
    one, two = await make(customer), await make(customer)
    assert one.secret != two.secret
    for secret in (two.secret, customer.secret, "", one.secret[:-1]):
        wrong = Customer(customer.app, customer.account, one.user, secret)
        assert (await wrong.on("GET", "/Messages.json")).error == (20003, 401)


async def test_the_secret_is_kept_nowhere(site: Site, customer: Customer) -> None:
    key = await make(customer)
    assert key.secret not in repr(site.node.directory.__dict__)
    stored = b"".join(path.read_bytes() for path in site.node.settings.data.glob("postdate.db*"))
    assert key.user.encode() in stored
    assert key.secret.encode() not in stored


async def test_a_key_may_not_manage_keys(customer: Customer) -> None:
    key, other = await make(customer), await make(customer)
    for method, path in (
        ("GET", "/Keys.json"),
        ("POST", "/Keys.json"),
        ("GET", f"/Keys/{other.user}.json"),
        ("POST", f"/Keys/{other.user}.json"),
        ("DELETE", f"/Keys/{other.user}.json"),
        ("DELETE", f"/SigningKeys/{key.user}.json"),
    ):
        assert (await key.on(method, path)).error == (20003, 403), (method, path)
    assert (await other.on("GET", "/Messages.json")).status == 200


async def test_a_parent_makes_keys_for_its_subaccount(site: Site, customer: Customer) -> None:
    branch = await site.add_account(owner=customer.account)
    made = (await customer.call("POST", f"{API}/{branch.account}/Keys.json")).json
    key = Customer(customer.app, branch.account, made["sid"], made["secret"])
    assert (await key.on("GET", "/Messages.json")).status == 200
    assert (await key.call("GET", f"{API}/{customer.account}/Messages.json")).error == (20003, 401)
    assert (await customer.on("GET", f"/Keys/{made['sid']}.json")).error == (20404, 404)


@KINDS
async def test_many_keys_are_paged_both_ways(site: Site, customer: Customer, kind: str, listed_as: str) -> None:
    sids = []
    for number in range(11):
        await site.advance(1_000_000 if number % 3 else 0)
        sids.append((await make(customer, kind)).user)
    for size in (1, 4, 11, 12):  # SIDs begin with their time
        await check_walk(customer, f"{API}/{customer.account}/{kind}.json?PageSize={size}", listed_as, sorted(sids))


async def test_a_name_has_its_limit(customer: Customer) -> None:
    assert (await customer.on("POST", "/Keys.json", {"FriendlyName": "x" * 64})).status == 201
    assert (await customer.on("POST", "/Keys.json", {"FriendlyName": "x" * 65})).error == (20002, 400)
