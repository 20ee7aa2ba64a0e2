"""What somebody tries who should not: slow forms, ended sessions, guessed names, other accounts' things, odd input."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest
from starlette.requests import Request as HttpRequest
from yarl import URL

from postdate.api.configuration import sid_for
from postdate.clock import TestClock, breathe
from postdate.console.app import SCREENS
from postdate.console.attempts import FREE_OF_ADDRESS, FREE_OF_NAME, MOST_REMEMBERED, Attempts
from postdate.console.gate import look
from postdate.console.page import Action, Page
from postdate.console.screens import agenda
from postdate.console.screens.profile import hide
from postdate.console.sessions import LONGEST_IDLE, MOST, TOUCH_EVERY
from postdate.core.errors import Rejected
from postdate.core.instant import HOUR, SECOND
from postdate.core.message import Status
from postdate.core.resources import (
    Account,
    AccountStatus,
    ApiKey,
    Connection,
    ConsoleSession,
    Resource,
    Role,
    Sender,
    Service,
    User,
)
from postdate.store.contract import MediaRow
from tests.console.clinic import set_up_clinic
from tests.console.reminders import Reminders
from tests.console.visiting import PASSWORD, START, Person, Place, Seen

POLL = {"hx-request": "true", "hx-trigger": "figures"}
WRONG = "wrong wrong wrong"
EVERY: list[Page | Action] = [
    *(page for screen in SCREENS for page in screen.pages),
    *(action for screen in SCREENS for action in screen.actions),
]
OF_ONE = [step for step in EVERY if "{sid}" in step.path]


def sessions_of(place: Place) -> list[ConsoleSession]:
    """Return every session that is kept."""
    return place.node.directory.every(ConsoleSession)


async def amend(place: Place, user: User, **changes: Any) -> None:
    """Change a user as somebody else would."""
    await place.node.directory.put(msgspec.structs.replace(user, **changes))


# -- sessions ---------------------------------------------------------------------------------------------------------


async def test_a_page_that_renews_itself_keeps_nobody_signed_in(place: Place) -> None:
    person = await place.signed_in()
    for _ in range(LONGEST_IDLE // HOUR - 1):
        await place.pass_time(HOUR)
        assert (await person.get("/", POLL)).status == 200
    await place.pass_time(HOUR)
    gone = await person.get("/", POLL)
    assert (gone.status, gone.headers["hx-redirect"]) == (204, "/console/sign-in")


async def slowly(person: Person, action: str, form: str, meanwhile: Callable[[], Awaitable[None]]) -> int:
    """Send a form of which something happens halfway; return the status."""

    async def halves() -> AsyncIterator[bytes]:
        yield form[:10].encode()
        for _ in range(100):
            await breathe()
        await meanwhile()
        yield form[10:].encode()

    url = f"{person.url}/console{action}"
    async with person.browser.post(url, data=halves(), allow_redirects=False) as answer:
        return answer.status


@pytest.mark.parametrize(
    ("change", "status"),
    [
        pytest.param({"disabled": True}, 303, id="disabled"),
        pytest.param({"roles": {}}, 403, id="no role"),
        pytest.param(None, 303, id="removed"),
        pytest.param("role", 403, id="a lesser role"),
    ],
)
async def test_what_counts_is_who_one_is_when_the_form_is_whole(place: Place, change: Any, status: int) -> None:
    person = await place.signed_in()
    user = person.user
    assert user is not None
    form = f"_token={await person.token()}&FriendlyName=x"

    async def meanwhile() -> None:
        if change is None:
            await place.node.directory.remove(user.sid)
            return
        await amend(place, user, **({"roles": {place.account.sid: Role.OPERATOR}} if change == "role" else change))

    assert await slowly(person, "/keys", form, meanwhile) == status
    assert place.node.directory.every(ApiKey) == []


async def test_who_was_removed_is_not_brought_back_by_what_he_still_does(place: Place) -> None:
    person = await place.signed_in()
    assert person.user is not None
    (kept,) = [one.value for one in person.browser.cookie_jar if one.key == "postdate-session"]
    headers = [(b"cookie", f"postdate-session={kept}".encode())]
    http = HttpRequest(
        {"type": "http", "scheme": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
    )
    view = look(place.console.tools, http, SCREENS, "profile")
    assert view.user == person.user
    await place.node.directory.remove(person.user.sid)
    with pytest.raises(Rejected):
        await hide(view)
    assert place.node.directory.every(User) == []


async def test_a_session_that_ended_stays_ended_and_one_that_moved_stays_there(place: Place) -> None:
    branch, sessions = await place.subaccount(), place.console.tools.sessions
    await place.signed_in()
    (before,) = sessions_of(place)
    await sessions.look_at(before, branch.sid)
    await place.pass_time(TOUCH_EVERY)
    await sessions.touch(before)  # by a request that began before the move
    (now,) = sessions_of(place)
    assert now.account_sid == branch.sid
    assert now.seen_at == before.seen_at + TOUCH_EVERY
    await sessions.end(before)
    await sessions.look_at(before, branch.sid)
    await sessions.touch(before)
    assert sessions_of(place) == []


async def test_of_one_user_there_are_only_so_many_sessions_and_the_oldest_ends(place: Place) -> None:
    first = await place.signed_in()
    assert first.user is not None
    others = []
    for _ in range(MOST):
        await place.pass_time(1)
        others.append(await place.browser_of(first.user))
    assert len(sessions_of(place)) == MOST
    assert (await first.get("/profile")).status == 303
    assert (await others[0].get("/profile")).status == 200


# -- signing in -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Ann", "nobody"])
async def test_the_form_after_a_failure_tells_nothing_of_the_name_and_can_be_sent_again(
    place: Place, name: str
) -> None:
    await place.user("Ann")
    person = place.somebody()
    token = await person.token()
    again = await person.sign_in(name, WRONG)
    assert again.status == 403
    assert again.hidden("/sign-in")["_token"] == token
    seen = await person.post("/sign-in", {**again.hidden("/sign-in"), "Name": "Ann", "Password": PASSWORD})
    assert seen.status == 303


async def test_an_address_from_which_many_sign_in_does_not_wait(place: Place) -> None:
    await place.user("Ann")
    for _ in range(FREE_OF_ADDRESS + 2):
        assert (await place.somebody().sign_in("Ann")).status == 303


def attempts() -> Attempts:
    """Return a new count."""
    return Attempts(TestClock(START, frozen=True))


def test_ones_own_account_opens_no_address_for_guessing() -> None:
    tried = attempts()
    for number in range(FREE_OF_ADDRESS):
        tried.failed(f"name {number}", "192.0.2.1")
        tried.failed("own", "192.0.2.1")
        tried.succeeded("own", "192.0.2.1")
    assert tried.wait("another", "192.0.2.1") == 2
    assert tried.wait("another", "192.0.2.2") == 0


@pytest.mark.parametrize(
    ("address", "same"),
    [
        ("2001:db8::{}", "2001:db8:0:0:ffff::1"),
        ("fe80::{}%eth0", "fe80::1%eth1"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
    ],
)
def test_addresses_that_are_one_visitors_count_together(address: str, same: str) -> None:
    tried = attempts()
    for number in range(FREE_OF_ADDRESS):
        tried.failed(f"name {number}", address.format(number))
    assert tried.wait("another", same) == 2
    assert tried.wait("another", "2001:db8:0:1::1") == 0


def test_nobody_shakes_a_wait_off_by_trying_many_other_names() -> None:
    tried = attempts()
    for _ in range(FREE_OF_NAME):
        tried.failed("ann", "192.0.2.1")
    for number in range(MOST_REMEMBERED + 1):
        tried.failed(f"name {number}", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert tried.wait("ann", "192.0.2.2") == 2


async def test_without_a_link_no_password_is_worked_on(place: Place) -> None:
    person = place.somebody()
    form = {"Key": "x" * 43, "Name": "Eve", "Password": PASSWORD, "Again": PASSWORD, "_token": await person.token()}
    turn = place.console.tools.passwords._turn
    async with turn, turn, asyncio.timeout(60):  # who wanted a password worked on would wait for these
        assert (await person.post("/welcome", form)).status == 404


async def test_a_link_of_an_account_that_is_suspended_signs_nobody_in(place: Place) -> None:
    branch = await place.subaccount()
    link = place.console.way_in(branch.sid).removeprefix("/console")
    person = place.somebody()
    form = (await person.get(link)).hidden("/welcome")
    await place.node.directory.put(msgspec.structs.replace(branch, status=AccountStatus.SUSPENDED))
    seen = await person.post("/welcome", {**form, "Name": "Ann", "Password": PASSWORD, "Again": PASSWORD})
    assert seen.location == "/sign-in"
    assert sessions_of(place) == []


async def test_a_way_on_by_htmx_is_an_address_in_plain_letters(place: Place) -> None:
    await place.user("Ann")
    person = place.somebody()
    form = {"_token": await person.token(), "Name": "Ann", "Password": PASSWORD, "Next": "/keys?x=日本%20"}
    answer = await person.post("/sign-in", form, {"hx-request": "true"})
    assert answer.headers["hx-redirect"] == "/console/keys?x=%E6%97%A5%E6%9C%AC%20"


# -- other accounts ---------------------------------------------------------------------------------------------------


async def stranger_in(place: Place) -> Person:
    """Return the owner of a subaccount, who has no role for the main account."""
    branch = await place.subaccount()
    return await place.browser_of(await place.user("Stranger", None, roles={branch.sid: Role.OWNER}))


def everything_of(place: Place) -> list[Resource]:
    """Return all that is configured."""
    every = place.node.directory.every
    return [*every(Account), *every(ApiKey), *every(Connection), *every(Sender), *every(Service), *every(User)]


async def test_nothing_of_the_parent_is_seen_or_done_by_its_sid(place: Place) -> None:
    clinic = await set_up_clinic(place)
    await clinic.owner.do("/keys", FriendlyName="ledger")
    stranger = await stranger_in(place)
    token, before = await stranger.token(), everything_of(place)
    sids = {type(one): one.sid for one in before if stranger.user is not None and one.sid != stranger.user.sid}
    for step in OF_ONE:
        for sid in sids.values():
            path = re.sub(r"\{[^}]*\}", sid, step.path)
            seen = await (stranger.post(path, {"_token": token}) if isinstance(step, Action) else stranger.get(path))
            assert seen.status in ((400, 403, 404) if "/users/" in path else (400, 404)), (path, seen.status)
            assert not re.search(r"acme-smpp|clinic-gateway|Reception|ledger|\+14155550100", seen.text), path
    assert everything_of(place) == before
    assert (await stranger.do("/account", AccountSid=place.account.sid)).status == 404


async def test_the_nodes_settings_are_for_owners_of_a_main_account(place: Place) -> None:
    stranger = await stranger_in(place)
    assert (await stranger.get("/settings")).status == 403
    assert "/console/settings" not in (await stranger.get("/keys")).text
    owner = await place.signed_in()
    await owner.do("/account", AccountSid=next(iter(stranger.user.roles)) if stranger.user is not None else "")
    assert (await owner.get("/settings")).status == 200


# -- secrets ----------------------------------------------------------------------------------------------------------


async def test_secrets_in_the_urls_of_webhooks_are_for_owners(place: Place) -> None:
    url = "https://user:hush@clinic.example/in?key=hush"
    clinic = await set_up_clinic(place)
    service, sender = clinic.service(), clinic.sender("+14155550100")
    pages = {
        f"/services/{service.sid}/integration": {"InboundRequestUrl": url, "FallbackUrl": url, "StatusCallback": url},
        f"/numbers/{sender.sid}": {"SmsUrl": url, "SmsFallbackUrl": url, "StatusCallback": url},
    }
    for path, form in pages.items():
        assert (await clinic.owner.do(path, **form)).status == 303
        assert (await clinic.owner.get(path)).text.count("hush@") == 3
        for role in (Role.OPERATOR, Role.VIEWER):
            text = (await (await place.signed_in(role, name=f"{role} of {path}")).get(path)).text
            assert "hush" not in text
            assert text.count("https://clinic.example/in?key=***") == 3


@pytest.mark.parametrize(("kind", "saved"), [("image/png", False), ("application/pdf", True), ("image/svg+xml", True)])
async def test_a_browser_keeps_no_media_and_opens_only_pictures(clinic: Reminders, kind: str, saved: bool) -> None:
    message, account = await clinic.sent(), clinic.place.account
    sid = sid_for("ME", message.created_at)
    row = MediaRow(sid, message.sid, account.sid, kind, "0" * 64, 3, message.created_at)
    await clinic.place.node.store.add_media([row], [b"abc"])
    person = await clinic.place.signed_in(Role.VIEWER)
    for path in (f"/handset/media/{sid}", f"/messages/{message.sid}/media/{sid}"):
        seen = await person.get(path)
        assert (seen.status, seen.text) == (200, "abc")
        assert seen.headers["cache-control"] == "no-store"
        assert ("content-disposition" in seen.headers) is saved


# -- odd input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "note",
    [
        b'{"key":"users.removed","values":{}}',
        b'{"key":"users.removed","values":{"key":"x","self":"y","language":"z"}}',
        b'{"key":"users.removed","values":{"name":"x","self":"y","key":"z"}}',
        b'{"key":"frame","values":{}}',
        b'{"key":"services.added","values":{"count":"many"}}',
    ],
)
async def test_a_note_that_somebody_else_wrote_breaks_no_page(place: Place, note: bytes) -> None:
    person = await place.signed_in()
    cookie = base64.urlsafe_b64encode(note).decode()
    person.browser.cookie_jar.update_cookies({"postdate-note": cookie}, URL(person.url))
    assert (await person.get("/profile")).status == 200


ODD = (
    "%FF%FE", "%00", "%ED%A0%80", "9" * 18, "-1", "x" * 3_000, "%E2%80%AE", "999999999999999999-SM" + "f" * 32,
    "0-SM" + "0" * 32, "9999-12-31", "0001-01-01", "1971-01-01", "2030-02-30", "%3Cscript%3E",
    "'%22%3E%3Cb%3E", "%F0%9F%98%80",
)  # fmt: skip
NAMES = (
    "Search", "Status", "Direction", "From", "To", "Service", "Since", "Until", "ErrorCode", "InDoubt", "After",
    "Before", "Towards", "Seen", "Day", "Page", "PageSize", "Number", "Person", "Kind", "Message", "Failed", "Sent",
    "Test", "key", "next",
)  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
async def test_odd_addresses_are_pages_too_and_nothing_of_them_is_markup(clinic: Reminders, odd: str) -> None:
    await clinic.sent()
    person = await clinic.place.signed_in()
    query = "&".join(f"{name}={odd}" for name in NAMES)
    towards = query.replace(f"Towards={odd}", "Towards=newer")
    paths = [page.path for screen in SCREENS for page in screen.pages if "{" not in page.path]
    for path in paths:
        for asked in (
            f"{path}?{query}",
            f"{path}?{towards}",
            f"{path}?After={odd}",
            f"{path}?After={odd}&Towards=newer",
        ):
            seen = await odd_get(person, asked)
            assert seen.status < 500, asked
            assert not re.search(r"<script>|<b>", seen.text), asked


async def odd_get(person: Person, path: str) -> Seen:
    """Open an address just so, without its escapes being put right."""
    url = URL(f"{person.url}/console{path}", encoded=True)
    async with person.browser.get(url, allow_redirects=False) as answer:
        return Seen(answer.status, answer.headers, await answer.text(), [])


# -- what costs much --------------------------------------------------------------------------------------------------


async def test_a_person_exports_one_at_a_time_and_a_head_reads_nothing(clinic: Reminders) -> None:
    await clinic.sent()
    person = await clinic.place.signed_in(Role.VIEWER)
    head = await person.ask("HEAD", "/messages.csv")
    assert (head.status, head.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    assert person.user is not None
    exporting = clinic.place.console.tools.exporting
    exporting.add(person.user.sid)
    busy = await person.get("/messages.csv?Status=sent")
    assert busy.location == "/messages?Status=sent"
    assert "still being written" in (await person.get(busy.location)).text
    assert (await (await clinic.place.signed_in(name="Bob")).get("/messages.csv")).status == 200
    exporting.clear()
    for _ in range(2):
        assert (await person.get("/messages.csv")).status == 200
    assert exporting == set()


async def test_every_framed_page_stops_asking_where_nobody_looks(place: Place) -> None:
    person = await place.signed_in()
    for screen in SCREENS:
        if screen.nav is not None:
            page = (await person.get(screen.pages[0].path)).text
            assert len(re.findall(r'<script src="/console/static/live\.[0-9a-f]{12}\.js"', page)) == 1, screen.name


async def test_hours_that_hold_nothing_to_cancel_are_not_read_for_ever(
    clinic: Reminders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agenda, "MOST_LOOKED_AT", 5)
    begin = clinic.now - clinic.now % HOUR + 4 * HOUR
    messages = [await clinic.write(ahead=begin - clinic.now + number * SECOND) for number in range(3)]
    person = await clinic.place.signed_in()
    hours = [f"{begin - number}-{begin - number + HOUR}" for number in range(50)]
    form = "&".join([f"_token={await person.token()}", "Seen=1", *(f"Hour={hour}" for hour in hours)])
    headers = {"content-type": "application/x-www-form-urlencoded"}
    async with person.browser.post(f"{person.url}/console/agenda", data=form, headers=headers) as answer:
        text = await answer.text()
    assert "Stopped: at most" in text
    assert [(await clinic.now_of(message.sid)).status for message in messages] == [Status.SCHEDULED] * 3
