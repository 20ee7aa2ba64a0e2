"""Requests whose body is still on its way when who signed in loses the right to: nothing is carried out for him."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import pytest
from starlette.types import Message

from postdate.core.resources import Account, AccountStatus, ApiKey
from postdate.flow.directory import changed
from tests.api.serving import API, FROM, TO, Customer, Site, basic, encoded

BODY: Final = encoded({"To": TO, "From": FROM, "Body": "Hi"})


async def held_back(
    customer: Customer, change: Callable[[], Awaitable[None]], account: str = ""
) -> tuple[int, int | None]:
    """Send a message whose body comes after a change; return the status, and Twilio's code where it is refused."""
    sent: list[Message] = []

    async def receive() -> Message:
        await change()
        return {"type": "http.request", "body": BODY, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    path = f"{API}/{account or customer.account}/Messages.json"
    headers = [(b"authorization", basic(customer.user, customer.secret).encode())]
    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
    await customer.app({**scope, "root_path": "", "client": ("127.0.0.1", 1)}, receive, send)
    return sent[0]["status"], msgspec.json.decode(sent[1]["body"]).get("code")


async def put(site: Site, sid: str, **fields: object) -> None:
    """Change an account."""
    account = site.node.directory.find(Account, sid)
    assert account is not None
    await site.node.directory.put(changed(account, **fields))


async def test_a_key_that_is_removed_meanwhile_sends_nothing(site: Site) -> None:
    key = await site.add_key()
    assert await held_back(key, lambda: site.node.directory.remove(key.user)) == (401, 20003)
    assert (await site.customer.list())["messages"] == []


async def test_a_token_that_is_replaced_meanwhile_sends_nothing(site: Site) -> None:
    customer, sealed = site.customer, site.node.directory.seal("another token of it")
    assert await held_back(customer, lambda: put(site, customer.account, sealed_token=sealed)) == (401, 20003)


@pytest.mark.parametrize("whose", ["its own", "its parent's"])
async def test_an_account_that_is_suspended_meanwhile_sends_nothing(site: Site, whose: str) -> None:
    branch = await site.add_account(site.customer.account)
    gone = branch.account if whose == "its own" else site.customer.account
    suspended = await held_back(branch, lambda: put(site, gone, status=AccountStatus.SUSPENDED))
    assert suspended == (403, 20005)


async def test_a_parent_acts_on_a_branch_no_more_that_is_given_away_meanwhile(site: Site) -> None:
    branch = await site.add_account(site.customer.account)
    other = await site.add_account()
    refused = await held_back(
        site.customer, lambda: put(site, branch.account, owner_sid=other.account), account=branch.account
    )
    assert refused == (401, 20003)


@pytest.mark.parametrize("by", ["token", "key"])
async def test_another_name_changes_nothing(site: Site, by: str) -> None:
    customer = site.customer if by == "token" else await site.add_key()

    async def rename() -> None:
        await put(site, site.customer.account, friendly_name="Clinic")
        for key in site.node.directory.every(ApiKey):
            await site.node.directory.put(changed(key, friendly_name="Backend"))

    assert await held_back(customer, rename) == (201, None)
