"""An account can see and touch nothing of another: every route with a SID, every list, every parameter that names one.

The routes are those that the API has: one that is added is tried too, and fails here until this page knows its SIDs.
"""

from collections.abc import Mapping
from typing import Any

import pytest

from postdate.api.app import PATHS
from postdate.store.contract import MediaRow
from tests.api.serving import API, Customer, Site

# What is lost or wrong, and never whose it is.
HIDDEN = {20404, 21711}
OWNER_IN_URL = "{account_sid}"
ROUTES = [(method, path) for path, methods in PATHS.items() for method in methods]
WITH_A_SID = [(method, path) for method, path in ROUTES if "sid}" in path.replace(OWNER_IN_URL, "")]
LISTS = [path for method, path in ROUTES if method == "GET" and "{" not in path.replace(OWNER_IN_URL, "")]

# The form that would do harm, where an empty one would not.
HARM: Mapping[str, dict[str, str]] = {
    "POST": {
        "FriendlyName": "Mine",
        "AlphaSender": "Thief",
        "Status": "canceled",
        "Body": "",
        "Outcome": "unconfirmed",
        "SmsUrl": "https://thief.example/",
        "MessageStatusCallback": "https://thief.example/",
        "StatusCallback": "https://thief.example/",
    }
}


def named(routes: list[tuple[str, str]]) -> list[Any]:
    return [pytest.param(method, path, id=f"{method} {path}") for method, path in routes]


async def belongings(site: Site, owner: Customer) -> dict[str, str]:
    """Give an account one of everything; return the SIDs by the place in a path that they stand at."""
    service = (await owner.call("POST", "/v1/Services", {"FriendlyName": "Clinic"})).json["sid"]
    found = {"service_sid": service, "Services": service}
    for kind, path, form, parameter in (
        ("PhoneNumbers", "/IncomingPhoneNumbers", {"PhoneNumber": "+14155550123"}, "PhoneNumberSid"),
        ("ShortCodes", "/SMS/ShortCodes", {"ShortCode": "12345"}, "ShortCodeSid"),
    ):
        found[kind] = (await owner.on("POST", f"{path}.json", form)).json["sid"]
        await owner.call("POST", f"/v1/Services/{service}/{kind}", {parameter: found[kind]})
    found["IncomingPhoneNumbers"] = found["PhoneNumbers"]
    channel = await owner.call("POST", "/postdate/v1/ChannelSenders", {"Sender": "whatsapp:+14155550123"})
    found["ChannelSenders"] = channel.json["sid"]
    await owner.call("POST", f"/v1/Services/{service}/ChannelSenders", {"Sid": found["ChannelSenders"]})
    alpha = await owner.call("POST", f"/v1/Services/{service}/AlphaSenders", {"AlphaSender": "Clinic"})
    found["AlphaSenders"] = found["DestinationAlphaSenders"] = alpha.json["sid"]
    found["Keys"] = found["SigningKeys"] = (await owner.on("POST", "/Keys.json")).json["sid"]
    found["Applications"] = (await owner.on("POST", "/Applications.json")).json["sid"]
    made = (
        await owner.call("POST", "/v1/Content", b'{"language": "en", "types": {"twilio/text": {"body": "Hi"}}}')
    ).json
    found["Content"] = made["sid"]
    connection = {"Kind": "plain-http", "Name": "clinic", "Settings": '{"url": "https://gateway.example/"}'}
    made = (await owner.call("POST", "/postdate/v1/Connections", connection)).json
    found["Connections"] = made.get("sid", f"CX{0:032}")  # a subaccount has none
    form = {"MessagingServiceSid": service, "ScheduleType": "fixed", "SendAt": site.ahead(7_200_000_000)}
    found["Messages"] = (await owner.send(**form, MediaUrl="https://customer.example/1.png")).json["sid"]
    found["media_sid"] = await add_media(site, owner, found["Messages"])
    found["Usa2p"] = "QE" + "0" * 32
    assert all(len(sid) == 34 for sid in found.values()), found
    return found


async def add_media(site: Site, owner: Customer, message: str) -> str:
    """Keep a medium of a message as if it had been fetched."""
    row = MediaRow(site.sid("ME"), message, owner.account, "image/png", "digest", 3, site.now)
    await site.node.store.add_media([row], [b"png"])
    return row.sid


def aimed(path: str, account: str, sids: Mapping[str, str]) -> str:
    """Return a path with an account's SIDs in it: `{sid}` is of the kind that the word before it names."""
    parts = path.split("/")
    for place, part in enumerate(parts):
        if part == OWNER_IN_URL:
            parts[place] = account
        elif part == "{sid}":
            parts[place] = sids[parts[place - 1]]
        elif part.startswith("{"):
            parts[place] = sids[part[1:-1]]
    return "/".join(parts)


async def everything(site: Site, owner: Customer, sids: Mapping[str, str]) -> object:
    """Return all that there is of an account in the store."""
    store = site.node.store
    kept = [found for found in await store.resources() if owner.account in repr(found) or found.sid in sids.values()]
    message = await store.message(owner.account, sids["Messages"])
    media = await store.media(sids["Messages"])
    assert message is not None
    assert media
    return kept, message, media


@pytest.mark.parametrize(("method", "path"), named(WITH_A_SID))
async def test_a_stranger_finds_nothing_behind_a_sid(
    site: Site, customer: Customer, stranger: Customer, method: str, path: str
) -> None:
    sids = await belongings(site, customer)
    before = await everything(site, customer, sids)
    reply = await stranger.call(method, aimed(path, stranger.account, sids), HARM.get(method, b""))
    assert reply.status == 404, reply
    assert reply.error[0] in HIDDEN
    assert await everything(site, customer, sids) == before


@pytest.mark.parametrize(
    ("method", "path"), named([(method, path) for method, path in WITH_A_SID if "{service_sid}" in path])
)
async def test_a_stranger_finds_nothing_behind_a_sid_in_his_own_service(
    site: Site, customer: Customer, stranger: Customer, method: str, path: str
) -> None:
    sids = await belongings(site, customer)
    for kind in ("PhoneNumbers", "ShortCodes", "ChannelSenders"):  # and free to be taken
        await customer.call("DELETE", f"/v1/Services/{sids['service_sid']}/{kind}/{sids[kind]}")
    own = (await stranger.call("POST", "/v1/Services", {"FriendlyName": "Own"})).json["sid"]
    before = await everything(site, customer, sids)
    aim = aimed(path, stranger.account, {**sids, "service_sid": own})
    for sid in sids.values():
        form = {"PhoneNumberSid": sid, "ShortCodeSid": sid, "Sid": sid} if method == "POST" else b""
        reply = await stranger.call(method, aim, form)
        assert reply.status >= 400 or "{sid}" not in path, reply
        assert not any(theirs in reply.body.decode() for theirs in sids.values() if theirs not in aim + sid), reply
    assert await everything(site, customer, sids) == before
    assert site.node.directory.pool(own) == ()


@pytest.mark.parametrize(("method", "path"), named([(method, path) for method, path in ROUTES if OWNER_IN_URL in path]))
async def test_a_stranger_cannot_name_another_account(
    site: Site, customer: Customer, stranger: Customer, method: str, path: str
) -> None:
    sids = await belongings(site, customer)
    before = await everything(site, customer, sids)
    reply = await stranger.call(method, aimed(path, customer.account, sids), HARM.get(method, b""))
    assert reply.error == (20003, 401)
    assert await everything(site, customer, sids) == before


@pytest.mark.parametrize("path", LISTS)
async def test_lists_show_nothing_of_others(site: Site, customer: Customer, stranger: Customer, path: str) -> None:
    sids = await belongings(site, customer)
    reply = await stranger.call("GET", aimed(path, stranger.account, {}))
    assert reply.status == 200, reply
    told = reply.body.decode()
    assert customer.account not in told
    assert not any(sid in told for sid in sids.values())


async def test_the_owner_does_find_them(site: Site, customer: Customer) -> None:
    sids = await belongings(site, customer)
    for method, path in WITH_A_SID:
        if method == "GET" and "{sid}" in path and "Usa2p" not in path:
            reply = await customer.call("GET", aimed(path, customer.account, sids))
            assert reply.status == 200, (path, reply)


async def test_nothing_of_others_can_be_named_in_a_message(site: Site, customer: Customer, stranger: Customer) -> None:
    sids = await belongings(site, customer)
    assert (await stranger.send(MessagingServiceSid=sids["Services"])).status in (400, 404)
    assert (await stranger.send(From="+14155550123")).error == (21606, 400)
    assert (await stranger.on("GET", f"/Messages/{sids['Messages']}.json")).error == (20404, 404)


async def test_a_parent_acts_on_its_subaccount_and_not_the_other_way_round(site: Site, customer: Customer) -> None:
    branch = await site.add_account(owner=customer.account)
    sids = await belongings(site, branch)
    url = f"{API}/{branch.account}/Applications/{sids['Applications']}.json"
    assert (await customer.call("GET", url)).json["sid"] == sids["Applications"]
    own = (await customer.on("POST", "/Applications.json")).json["sid"]
    assert (await branch.call("GET", f"{API}/{customer.account}/Applications/{own}.json")).error == (20003, 401)
