"""Signing in: the one-time link, sessions and their ends, limits, and what the browser is given to keep."""

import re
from pathlib import Path

import msgspec
import pytest

from postdate.console.attempts import FREE_OF_ADDRESS, FREE_OF_NAME, LONGEST_WAIT
from postdate.console.sessions import LONGEST, LONGEST_IDLE, TOUCH_EVERY
from postdate.core.instant import DAY, HOUR, MINUTE, SECOND
from postdate.core.resources import Account, AccountStatus, ConsoleSession, Role, User
from tests.console.visiting import PASSWORD, Person, Place, a_place


def way_in(place: Place) -> str:
    """Return the path of a new one-time link for the main account."""
    return place.console.way_in(place.account.sid).removeprefix("/console")


async def choose(person: Person, link: str, name: str, password: str = PASSWORD, again: str = "") -> int:
    """Follow a one-time link and choose a password; return the status."""
    form = {"Name": name, "Password": password, "Again": again or password}
    opened = await person.get(link)
    return (await person.post("/welcome", {**opened.hidden("/welcome"), **form})).status


# -- the one-time link ------------------------------------------------------------------------------------------------


async def test_the_first_link_makes_an_owner_who_is_signed_in(place: Place) -> None:
    person = place.somebody()
    assert await choose(person, way_in(place), " Ann ") == 303
    (user,) = place.node.directory.every(User)
    assert (user.name, user.roles) == ("Ann", {place.account.sid: Role.OWNER})
    assert (await person.get("/profile")).status == 200
    assert (await place.somebody().sign_in("ann")).location == "/"


async def test_a_link_is_good_once_and_only_the_last_one_made(place: Place) -> None:
    first, second = way_in(place), way_in(place)
    assert (await place.somebody().get(first)).status == 404
    form = (await place.somebody().get(second)).hidden("/welcome")
    assert await choose(place.somebody(), second, "Ann") == 303
    assert (await place.somebody().get(second)).status == 404
    late = place.somebody()
    token = await late.token()
    answer = await late.post(
        "/welcome", {**form, "_token": token, "Name": "Eve", "Password": PASSWORD, "Again": PASSWORD}
    )
    assert answer.status == 404
    assert [user.name for user in place.node.directory.every(User)] == ["Ann"]


async def test_a_link_that_was_asked_for_ends_and_the_first_does_not(place: Place) -> None:
    first = way_in(place)
    await place.pass_time(30 * DAY)
    assert await choose(place.somebody(), first, "Ann") == 303
    second = way_in(place)
    await place.pass_time(1 * HOUR - SECOND)
    assert (await place.somebody().get(second)).status == 200
    await place.pass_time(SECOND)
    assert (await place.somebody().get(second)).status == 404


async def test_a_lost_password_is_replaced_and_other_browsers_are_signed_out(place: Place) -> None:
    lost = await place.signed_in(name="Ann", disabled=False)
    assert await choose(place.somebody(), way_in(place), "ANN", "another good password") == 303
    assert (await lost.get("/profile")).location.startswith("/sign-in")
    assert (await place.somebody().sign_in("Ann")).status == 403
    assert (await place.somebody().sign_in("Ann", "another good password")).status == 303
    assert len(place.node.directory.every(User)) == 1


async def test_a_subaccounts_link_takes_nobody_over_who_has_a_role_elsewhere(place: Place) -> None:
    branch = await place.subaccount()
    both = await place.user("Ann", roles={place.account.sid: Role.OWNER, branch.sid: Role.OWNER})
    link = place.console.way_in(branch.sid).removeprefix("/console")
    assert await choose(place.somebody(), link, "Ann", "another good password") == 400
    assert place.find(both) == both


@pytest.mark.parametrize(
    ("name", "password", "again"),
    [
        pytest.param("Ann", "elevenchars", "", id="short"),
        pytest.param("Ann", "x" * 201, "", id="long"),
        pytest.param("Ann", PASSWORD, PASSWORD + "!", id="differ"),
        pytest.param("ann.at.clinic.example", "Ann.at.clinic.example", "", id="the name"),
        pytest.param("Ann", "aaaaaaaaaaaaaaaa", "", id="one letter"),
        pytest.param("", PASSWORD, "", id="no name"),
        pytest.param("a" * 65, PASSWORD, "", id="long name"),
        pytest.param("An\x07n", PASSWORD, "", id="a bell in the name"),
    ],
)
async def test_a_choice_that_cannot_be_is_refused_and_the_link_stays_good(
    place: Place, name: str, password: str, again: str
) -> None:
    link = way_in(place)
    assert await choose(place.somebody(), link, name, password, again) == 400
    assert place.node.directory.every(User) == []
    assert await choose(place.somebody(), link, "Ann") == 303


# -- passwords and limits ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Ann", "nobody", "Disabled", "Nowhere", ""])
async def test_what_does_not_sign_in_all_looks_the_same(place: Place, name: str) -> None:
    await place.user("Ann")
    await place.user("Disabled", disabled=True)
    await place.user("Nowhere", role=None)
    person = place.somebody()
    wrong = PASSWORD if name in ("Disabled", "Nowhere") else "wrong wrong wrong"
    seen = await person.sign_in(name, wrong)
    assert seen.status == 403
    assert "Name and password do not go together" in seen.text
    assert (await person.get("/profile")).location.startswith("/sign-in")


async def test_who_fails_often_waits_longer_and_longer(place: Place) -> None:
    await place.user("Ann")
    person = place.somebody()
    for _ in range(FREE_OF_NAME):
        assert (await person.sign_in("Ann", "wrong wrong wrong")).status == 403
    assert (await person.sign_in("ann", PASSWORD)).status == 429, "the right password does not help"
    assert (await person.sign_in("Bob", "wrong wrong wrong")).status == 403, "another name may be tried"
    waits = []
    for _ in range(12):
        seen = await person.sign_in("Ann", "wrong wrong wrong")
        waits.append(int(re.findall(r"wait (\d[\d,]*) second", seen.text)[0].replace(",", "")))
        await place.pass_time(waits[-1] * SECOND)
        assert (await person.sign_in("Ann", "wrong wrong wrong")).status == 403
    assert waits == sorted(waits)
    assert waits[0] == 2
    assert waits[-1] == LONGEST_WAIT // SECOND


async def test_an_address_that_tries_many_names_waits_too(place: Place) -> None:
    person = place.somebody()
    for number in range(FREE_OF_ADDRESS):
        assert (await person.sign_in(f"Ann {number}", "wrong wrong wrong")).status == 403
    assert (await person.sign_in("somebody else", "wrong wrong wrong")).status == 429


async def test_signing_in_forgets_the_failures_of_the_name(place: Place) -> None:
    await place.user("Ann")
    person = place.somebody()
    for _ in range(3):
        for _ in range(FREE_OF_NAME - 1):
            await person.sign_in("Ann", "wrong wrong wrong")
        assert (await place.somebody().sign_in("Ann")).status == 303


# -- sessions ---------------------------------------------------------------------------------------------------------


async def test_a_session_ends_after_twelve_hours_without_use(place: Place) -> None:
    person = await place.signed_in()
    await place.pass_time(LONGEST_IDLE - SECOND)
    assert (await person.get("/profile")).status == 200
    await place.pass_time(LONGEST_IDLE)
    assert (await person.get("/profile")).location == "/sign-in?next=%2Fprofile"


async def test_a_session_in_use_ends_after_seven_days(place: Place) -> None:
    person = await place.signed_in()
    step = 6 * HOUR
    for _ in range(LONGEST // step - 1):
        await place.pass_time(step)
        assert (await person.get("/profile")).status == 200
    await place.pass_time(step)
    assert (await person.get("/profile")).status == 303


async def test_use_is_written_at_most_every_five_minutes(place: Place) -> None:
    person = await place.signed_in()
    (before,) = place.node.directory.every(ConsoleSession)
    await place.pass_time(TOUCH_EVERY - MINUTE)
    await person.get("/profile")
    assert place.node.directory.every(ConsoleSession) == [before]
    await place.pass_time(MINUTE)
    await person.get("/profile")
    (after,) = place.node.directory.every(ConsoleSession)
    assert after.seen_at == before.seen_at + TOUCH_EVERY


async def test_a_test_clock_that_moves_days_signs_nobody_out(place: Place) -> None:
    person = await place.signed_in()
    await place.node.advance_to(place.node.clock.now() + 30 * DAY)  # type: ignore[arg-type]
    assert (await person.get("/profile")).status == 200


async def test_signing_out_ends_the_session_itself(place: Place) -> None:
    person = await place.signed_in()
    (kept,) = [cookie.value for cookie in person.browser.cookie_jar if cookie.key == "postdate-session"]
    assert (await person.do("/sign-out")).location == "/sign-in"
    assert place.node.directory.every(ConsoleSession) == []
    thief = place.somebody()
    assert (await thief.get("/profile", {"cookie": f"postdate-session={kept}"})).status == 303


async def test_signing_out_everywhere_ends_every_session_of_the_user_alone(place: Place) -> None:
    user = await place.user("Ann")
    here, there, other = await place.browser_of(user), await place.browser_of(user), await place.signed_in(name="Bob")
    assert (await here.do("/sign-out/everywhere")).location == "/sign-in"
    assert (await there.get("/profile")).status == 303
    assert (await other.get("/profile")).status == 200


@pytest.mark.parametrize("change", [{"disabled": True}, {"roles": {}}], ids=["disabled", "without a role"])
async def test_who_is_taken_off_loses_a_running_session(place: Place, change: dict[str, object]) -> None:
    person = await place.signed_in()
    assert person.user is not None
    await place.node.directory.put(msgspec.structs.replace(person.user, **change))
    assert (await person.get("/profile")).status in (303, 403)


async def test_a_closed_account_is_left_for_one_that_is_open(place: Place) -> None:
    branch = await place.subaccount()
    person = await place.signed_in()
    await person.do("/account", AccountSid=branch.sid)
    assert branch.sid in (await person.get("/keys")).text
    await place.node.directory.put(msgspec.structs.replace(branch, status=AccountStatus.CLOSED))
    seen = (await person.get("/keys")).text
    assert branch.sid not in seen
    assert place.account.sid in seen


def everything_in(folder: Path) -> bytes:
    """Return the bytes of every file below a folder."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_what_is_kept_is_no_token_and_no_password(place: Place, tmp_path: Path) -> None:
    person = await place.signed_in(name="Ann")
    (token,) = [cookie.value for cookie in person.browser.cookie_jar if cookie.key == "postdate-session"]
    key = way_in(place).partition("key=")[2]
    kept = everything_in(tmp_path)
    assert b"Ann" in kept
    assert not [secret for secret in (token, PASSWORD, key) if secret.encode() in kept]
    (session,) = place.node.directory.every(ConsoleSession)
    assert session.token_digest not in repr(session)
    user = place.node.directory.every(User)[0]
    assert user.password_hash is not None
    assert user.password_hash.startswith("$argon2id$")
    assert user.password_hash not in repr(user)


# -- cookies and ways back --------------------------------------------------------------------------------------------


async def test_the_session_cookie_is_for_the_server_alone(place: Place) -> None:
    await place.user("Ann")
    (cookie,) = [one for one in (await place.somebody().sign_in("Ann")).cookies if "session" in one]
    assert re.fullmatch(r"postdate-session=[\w-]{43}; HttpOnly; Path=/; SameSite=lax", cookie)


async def test_by_https_cookies_belong_to_this_host(tmp_path: Path) -> None:
    async with a_place(tmp_path / "data", public_url="https://sms.example") as place:
        user = await place.user("Ann")
        token = await place.console.tools.sessions.begin(user, place.account.sid, "")
        person = place.somebody()
        opened = await person.get("/sign-in")
        (visit,) = opened.cookies
        assert re.fullmatch(r"__Host-postdate-visit=[\w-]+; HttpOnly; Path=/; SameSite=lax; Secure", visit)
        plain = await person.get("/profile", {"cookie": f"postdate-session={token}"})
        assert plain.status == 303, "a cookie that another host may have set is none"
        assert (await person.get("/profile", {"cookie": f"__Host-postdate-session={token}"})).status == 200


@pytest.mark.parametrize(
    ("goal", "location"),
    [
        ("?next=%2Fkeys", "/keys"),
        ("?next=%2Faudit%3FKind%3Dkeys.", "/audit?Kind=keys."),
        ("", "/"),
        ("?next=https%3A%2F%2Fevil.example", "/"),
        ("?next=%2F%2Fevil.example", "/"),
        ("?next=%2F%5Cevil.example", "/"),
        ("?next=%2Fa%0D%0ALocation%3A+x", "/"),
    ],
)
async def test_after_signing_in_one_goes_where_one_wanted_within_the_console(
    place: Place, goal: str, location: str
) -> None:
    await place.user("Ann")
    assert (await place.somebody().sign_in("Ann", goal=goal)).location == location


async def test_whoever_is_not_signed_in_is_sent_to_sign_in_and_back(place: Place) -> None:
    person = place.somebody()
    assert (await person.get("/audit?Kind=keys.")).location == "/sign-in?next=%2Faudit%3FKind%3Dkeys."
    assert (await person.get("/nothing")).location == "/sign-in"
    assert (await person.post("/keys", {})).location == "/sign-in"
    by_htmx = await person.get("/audit", {"hx-request": "true"})
    assert (by_htmx.status, by_htmx.headers["hx-redirect"]) == (204, "/console/sign-in")


async def test_a_suspended_main_account_lets_nobody_in(place: Place) -> None:
    person = await place.signed_in()
    account = msgspec.structs.replace(place.account, status=AccountStatus.SUSPENDED)
    await place.node.directory.put(account)
    assert (await person.get("/profile")).status == 403
    assert isinstance(account, Account)
    assert (await place.somebody().sign_in("Owner")).status == 403
