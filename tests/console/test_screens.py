"""The first screens: profile, users, keys, settings, the audit log, accounts; and what is hostile in them."""

import re
from pathlib import Path

import pytest

from postdate.core.resources import ApiKey, ConsoleSession, Role, User
from postdate.store.contract import AuditQuery, AuditRow, Cursor
from tests.api.serving import basic
from tests.console.visiting import PASSWORD, Person, Place, a_place

NEW = "another good password"
HOSTILE = "<script>alert('&\"')</script>{{ 7*7 }}"


async def entries(place: Place, account_sid: str = "") -> list[AuditRow]:
    """Return the audit log of an account, newest first."""
    return await place.node.store.audit(AuditQuery(account_sid=account_sid or place.account.sid, limit=1_000))


async def deeds(place: Place) -> list[tuple[str, str, int]]:
    """Return who did what with what outcome, newest first."""
    return [(row.actor_name, row.deed, row.outcome) for row in await entries(place)]


# -- profile ----------------------------------------------------------------------------------------------------------


async def test_a_profile_is_kept(place: Place) -> None:
    person = await place.signed_in(name="Ann")
    form = {"Name": "Ann B", "Language": "ja", "Zone": "Asia/Tokyo", "Hide": "true"}
    assert (await person.send("/profile", "/profile", **form)).location == "/profile"
    assert person.user is not None
    now = place.find(person.user)
    assert (now.name, now.language, now.zone, now.hide_numbers) == ("Ann B", "ja", "Asia/Tokyo", True)
    page = (await person.get("/profile")).text
    assert '<html lang="ja"' in page
    assert "保存しました。" in page
    assert "保存しました。" not in (await person.get("/profile")).text, "a note is told once"
    assert await deeds(place) == [("Ann", "profile.save", 0)]


@pytest.mark.parametrize(
    "wrong", [{"Name": ""}, {"Name": "bob"}, {"Zone": "Mars/Base"}, {"Language": "xx"}, {"Hide": "perhaps"}]
)
async def test_a_wrong_profile_is_shown_again_with_what_was_sent(place: Place, wrong: dict[str, str]) -> None:
    await place.user("Bob")
    person = await place.signed_in(name="Ann")
    form = {"Name": "Annabel", "Language": "", "Zone": "Asia/Tokyo", "Hide": "false", **wrong}
    seen = await person.send("/profile", "/profile", **form)
    assert seen.status == 400
    assert 'role="alert"' in seen.text
    assert f'value="{form["Name"]}"' in seen.text
    assert person.user is not None
    assert place.find(person.user) == person.user
    assert await deeds(place) == [("Ann", "profile.save", 20001)]


async def test_a_password_is_changed_for_the_current_one_and_elsewhere_one_is_signed_out(place: Place) -> None:
    user = await place.user("Ann")
    here, there = await place.browser_of(user), await place.browser_of(user)
    form = {"Password": NEW, "Again": NEW}
    assert (await here.send("/profile", "/profile/password", Current="wrong", **form)).status == 400
    assert place.find(user) == user
    assert (await here.send("/profile", "/profile/password", Current=PASSWORD, **form)).status == 303
    assert (await here.get("/profile")).status == 200
    assert (await there.get("/profile")).status == 303
    assert (await place.somebody().sign_in("Ann", NEW)).status == 303
    assert [row[1:] for row in await deeds(place)][1:] == [("profile.password", 0), ("profile.password", 20001)]


async def test_the_current_password_cannot_be_guessed_in_a_session_either(place: Place) -> None:
    person = await place.signed_in()
    token = await person.token()
    form = {"_token": token, "Current": "wrong", "Password": NEW, "Again": NEW}
    statuses = [(await person.post("/profile/password", form)).status for _ in range(7)]
    assert statuses == [400] * 5 + [429] * 2


async def test_the_language_can_be_chosen_before_signing_in_and_after(place: Place) -> None:
    person = place.somebody()
    assert '<html lang="en"' in (await person.get("/sign-in")).text
    await person.do("/language", Language="ja")
    assert '<html lang="ja"' in (await person.get("/sign-in")).text
    ann = await place.signed_in(name="Ann")
    seen = await ann.post(
        "/language", {"_token": await ann.token(), "Language": "ja"}, {"referer": f"{place.url}/console/keys"}
    )
    assert seen.location == "/keys"
    assert '<html lang="ja"' in (await ann.get("/keys")).text
    assert '<html lang="ja"' in (await place.somebody().get("/sign-in", {"accept-language": "ja-JP"})).text


async def test_theme_comes_from_the_cookie_and_nothing_else_does(place: Place) -> None:
    person = await place.signed_in()
    for cookie, shown in (("dark", ' data-theme="dark"'), ("light", ' data-theme="light"'), ('"><script>', "")):
        page = (await person.get("/profile", {"cookie": f"postdate-theme={cookie}; " + cookies_of(person)})).text
        assert f'<html lang="en"{shown}>' in page


def cookies_of(person: Person) -> str:
    """Return the cookies of a browser as a header."""
    return "; ".join(f"{cookie.key}={cookie.value}" for cookie in person.browser.cookie_jar)


# -- users ------------------------------------------------------------------------------------------------------------


async def invited(person: Person, name: str, role: Role) -> str:
    """Invite somebody; return the path of the link."""
    seen = await person.send("/users", "/users", Name=name, Role=role)
    assert seen.status == 200, seen.text
    (link,) = re.findall(r'data-copy="[^"]*/console(/welcome\?key=[\w-]+)"', seen.text)
    return str(link)


async def accept(place: Place, link: str, password: str = PASSWORD) -> int:
    """Follow an invitation; return the status."""
    person = place.somebody()
    opened = await person.get(link)
    if opened.status != 200:
        return opened.status
    return (
        await person.post("/welcome", {**opened.hidden("/welcome"), "Password": password, "Again": password})
    ).status


async def test_an_invitation_gives_a_role_and_works_once(place: Place) -> None:
    owner = await place.signed_in(name="Ann")
    link = await invited(owner, "bob@clinic.example", Role.VIEWER)
    assert link not in (await owner.get("/users")).text, "it is shown once"
    assert (await place.somebody().sign_in("bob@clinic.example")).status == 403
    assert await accept(place, link) == 303
    assert await accept(place, link) == 404
    (bob,) = [user for user in place.node.directory.every(User) if user.name == "bob@clinic.example"]
    assert bob.roles == {place.account.sid: Role.VIEWER}
    assert ("Ann", "users.invite", 0) in await deeds(place)
    assert ("bob@clinic.example", "sign_in.welcome", 0) in await deeds(place)


async def test_an_invitation_ends_after_seven_days_and_a_new_one_ends_the_old(place: Place) -> None:
    owner = await place.signed_in()
    first = await invited(owner, "Bob", Role.OPERATOR)
    await place.pass_time(1)
    (bob,) = [user for user in place.node.directory.every(User) if user.name == "Bob"]
    seen = await owner.do(f"/users/{bob.sid}/link")
    (second,) = re.findall(r"/console(/welcome\?key=[\w-]+)\"", seen.text)
    assert (await place.somebody().get(first)).status == 404
    await place.pass_time(7 * 24 * 3_600_000_000)
    assert (await place.somebody().get(str(second))).status == 404


async def test_roles_change_and_users_end(place: Place) -> None:
    owner, bob = await place.signed_in(name="Ann"), await place.user("Bob", Role.VIEWER)
    browser = await place.browser_of(bob)
    assert (await owner.do(f"/users/{bob.sid}/role", Role="owner")).status == 303
    assert (await browser.get("/users")).status == 200, "a role counts at once"
    assert (await owner.do(f"/users/{bob.sid}/disable", Disabled="true")).status == 303
    assert (await browser.get("/profile")).status == 303
    assert (await place.somebody().sign_in("Bob")).status == 403
    assert (await owner.do(f"/users/{bob.sid}/disable", Disabled="false")).status == 303
    assert (await place.somebody().sign_in("Bob")).status == 303
    assert (await owner.do(f"/users/{bob.sid}/remove")).status == 303
    assert place.node.directory.find(User, bob.sid) is None
    assert bob.sid not in {session.user_sid for session in place.node.directory.every(ConsoleSession)}
    rows = [row for row in await entries(place) if row.actor_name == "Ann"]
    assert [row.deed for row in rows] == ["users.remove", "users.disable", "users.disable", "users.role"]
    assert {row.subject for row in rows} == {bob.sid}
    assert rows[-1].detail == "Bob: owner"


@pytest.mark.parametrize("deed", ["role", "disable", "remove", "link"])
async def test_nobody_changes_himself_or_those_of_other_accounts(place: Place, deed: str) -> None:
    branch = await place.subaccount()
    main = await place.signed_in(name="Ann")
    assert main.user is not None
    both = await place.user("Both", roles={place.account.sid: Role.VIEWER, branch.sid: Role.VIEWER})
    chief = await place.user("Chief", roles={branch.sid: Role.OWNER})
    for person, target in ((main, main.user), (await place.browser_of(chief), both)):
        seen = await person.do(f"/users/{target.sid}/{deed}", Role="viewer", Disabled="true")
        assert seen.status == 403
        assert place.find(target) == target


async def test_a_role_for_the_main_account_covers_its_subaccounts(place: Place) -> None:
    branch = await place.subaccount("Branch")
    viewer, chief = await place.signed_in(Role.VIEWER, "Vic"), await place.user("Chief", roles={branch.sid: Role.OWNER})
    person = await place.browser_of(chief)
    assert branch.sid in (await person.get("/keys")).text
    assert (await person.do("/account", AccountSid=place.account.sid)).status == 404, "not the other way round"
    assert (await viewer.do("/account", AccountSid=branch.sid)).status == 303
    assert (await viewer.get("/keys")).status == 403
    assert "Branch" in (await viewer.get("/profile")).text


# -- keys -------------------------------------------------------------------------------------------------------------


async def test_a_key_is_made_shown_once_signs_in_and_is_removed(place: Place) -> None:
    person = await place.signed_in(name="Ann")
    seen = await person.send("/keys", "/keys", FriendlyName="Clinic")
    sid, secret = re.findall(r'data-copy="(SK[0-9a-f]{32}|[A-Za-z0-9]{32})"', seen.text)[:2]
    assert secret not in (await person.get("/keys")).text
    url = f"{place.url}/v1/Services"
    async with person.browser.get(url, headers={"authorization": basic(sid, secret)}) as answer:
        assert answer.status == 200
    assert (await person.send("/keys", f"/keys/{sid}", FriendlyName=" Branch ")).status == 303
    assert "Branch" in (await person.get("/keys")).text
    assert (await person.do(f"/keys/{sid}/remove")).status == 303
    async with person.browser.get(url, headers={"authorization": basic(sid, secret)}) as answer:
        assert answer.status == 401
    rows = await entries(place)
    assert [(row.deed, row.subject, row.detail) for row in rows] == [
        ("keys.remove", sid, "Branch"),
        ("keys.rename", sid, "Branch"),
        ("keys.create", sid, "Clinic"),
    ]
    assert secret not in str(rows)


async def test_what_the_api_rejects_is_told_with_its_code_and_the_input_kept(place: Place) -> None:
    person = await place.signed_in()
    name = "x" * 65
    seen = await person.send("/keys", "/keys", FriendlyName=name)
    assert seen.status == 400
    assert "Code 20002" in seen.text
    assert "at most 64 characters" in seen.text
    assert f'value="{name}"' in seen.text
    person.language = "ja"
    assert "64 文字以内" in (await person.send("/keys", "/keys", FriendlyName=name)).text
    assert (await person.do("/keys/SK1/remove")).status == 404


@pytest.mark.parametrize(("name", "told"), [(" ", "Name the key"), ("x" * 65, "at most 64 characters")])
async def test_a_key_keeps_its_name_where_the_new_one_cannot_be(place: Place, name: str, told: str) -> None:
    person = await place.signed_in()
    await person.do("/keys", FriendlyName="Clinic")
    (key,) = place.node.directory.every(ApiKey)
    seen = await person.send("/keys", f"/keys/{key.sid}", FriendlyName=name)
    assert seen.status == 400
    assert told in seen.text
    assert f'value="{name}"' not in seen.text  # not in the form for a new key, which it was not for
    assert place.node.directory.find(ApiKey, key.sid) == key


async def test_keys_of_other_accounts_are_not_there(place: Place) -> None:
    branch = await place.subaccount()
    owner = await place.signed_in(name="Ann")
    await owner.do("/keys", FriendlyName="Of the main account")
    (key,) = place.node.directory.every(ApiKey)
    chief = await place.browser_of(await place.user("Chief", roles={branch.sid: Role.OWNER}))
    assert key.sid not in (await chief.get("/keys")).text
    assert (await chief.do(f"/keys/{key.sid}/remove")).status == 404
    assert place.node.directory.every(ApiKey) == [key]


# -- settings ---------------------------------------------------------------------------------------------------------


LINES = """
default_mps = 7.5
carrier_url = "http://127.0.0.1:9/x?key=hush"
public_url = "http://me:hush@sms.example"
"""


async def test_settings_are_shown_as_they_are_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "postdate.toml").write_text(LINES)
    monkeypatch.setenv("POSTDATE_AUTH_TOKEN", "a token that nobody sees")
    monkeypatch.setenv("POSTDATE_CARRIER_TOKEN", "another-hush")
    async with a_place(folder, log_level="warning") as place:
        page = (await (await place.signed_in()).get("/settings")).text
    rows = {
        found[0]: (found[1], found[2])
        for found in re.findall(
            r"<code>(\w+)</code>.*?<td class=\"mono body\"[^>]*>(.*?)</td>.*?<span class=\"badge \w+\">(.*?)</span>",
            page,
            re.S,
        )
    }
    assert rows["default_mps"] == ("7.5", "postdate.toml")
    assert rows["log_level"] == ("warning", "Command line")
    assert rows["auth_token"] == ("••••••••", "Environment")
    assert rows["carrier_url"] == ("http://127.0.0.1:9/x?••••••••", "postdate.toml")
    assert rows["public_url"] == ("http://••••••••@sms.example", "postdate.toml")
    assert rows["schedule_window"][1] == "Default"
    assert "hush" not in page
    assert "nobody sees" not in page


# -- the audit log ----------------------------------------------------------------------------------------------------


async def test_the_log_tells_who_did_what_from_where(place: Place) -> None:
    person = await place.signed_in(name="Ann")
    await person.do("/keys", FriendlyName="Clinic")
    row = (await entries(place))[0]
    assert (row.actor_name, row.address, row.deed, row.at) == (
        "Ann",
        "127.0.0.1",
        "keys.create",
        place.node.clock.now(),
    )
    page = (await person.get("/audit")).text
    assert "Created an API key" in page
    assert "Clinic" in page


async def test_the_log_has_changes_through_the_api_and_no_messages(place: Place) -> None:
    account, token = place.node.first_account()
    browser = place.somebody().browser
    headers = {"authorization": basic(account.sid, token)}
    async with browser.post(f"{place.url}/v1/Services", data={"FriendlyName": "Clinic"}, headers=headers) as answer:
        service = (await answer.json())["sid"]
    async with browser.post(f"{place.url}/v1/Services", data={}, headers=headers) as answer:
        assert answer.status == 400
    async with browser.get(f"{place.url}/v1/Services", headers=headers) as answer:
        assert answer.status == 200
    messages = f"{place.url}/2010-04-01/Accounts/{account.sid}/Messages.json"
    async with browser.post(messages, data={"To": "+14155550100", "Body": "x"}, headers=headers) as answer:
        assert answer.status in (201, 400)
    (row,) = await entries(place)
    assert (row.deed, row.subject, row.actor_sid) == ("api.services.create", service, account.sid)
    page = (await (await place.signed_in()).get("/audit?Kind=api.")).text
    assert "services.create" in page


async def test_the_log_is_filtered_and_paged(place: Place) -> None:
    ann, bob = await place.signed_in(name="Ann"), await place.signed_in(name="Bob")
    for number in range(60):
        await ann.do("/keys", FriendlyName=f"Key {number}")
    await bob.do("/profile/hide", Hide="true")
    await bob.send("/profile", "/profile", Name="Bobby", Hide="false")
    assert bob.user is not None
    assert ann.user is not None
    first = (await ann.get(f"/audit?Person={ann.user.sid}&Kind=keys.")).text
    assert first.count("<tr>") == 51
    (further,) = re.findall(r'rel="next" href="/console([^"]+)"', first)
    second = (await ann.get(further.replace("&amp;", "&"))).text
    assert second.count("<tr>") == 11
    assert [name for name in re.findall(r"<span class=\"body\">(Key \d+)", first + second)] == [
        f"Key {n}" for n in range(59, -1, -1)
    ]
    of_bob = (await ann.get(f"/audit?Person={bob.user.sid}")).text
    assert of_bob.count("<tr>") == 2
    assert "Nothing was changed yet" in (await ann.get("/audit?Kind=users.")).text


@pytest.mark.parametrize(
    "query", ["Before=x", "Before=99999999999999999999-AU1", "Kind=%00", "Person=%ff", "Kind=nope."]
)
async def test_a_strange_query_shows_the_first_page(place: Place, query: str) -> None:
    person = await place.signed_in()
    await person.do("/keys", FriendlyName="Clinic")
    seen = await person.get(f"/audit?{query}")
    assert seen.status == 200
    assert "Clinic" in seen.text


async def test_a_guess_at_signing_in_is_kept_for_known_names_alone(place: Place) -> None:
    await place.user("Ann")
    person = place.somebody()
    await person.sign_in("Ann", "wrong wrong wrong")
    await person.sign_in("nobody", "wrong wrong wrong")
    await person.sign_in("Ann")
    assert await deeds(place) == [("Ann", "sign_in.in", 0), ("Ann", "sign_in.in", 20003)]
    rows = await place.node.store.audit(AuditQuery(account_sid="", before=Cursor(place.node.clock.now(), "~")))
    assert rows == []


# -- what is hostile, and what is hidden ------------------------------------------------------------------------------


async def test_hostile_names_are_escaped_everywhere(place: Place) -> None:
    owner = await place.signed_in(name=HOSTILE)
    await place.subaccount(HOSTILE)
    bob = await place.user(HOSTILE + "2", Role.VIEWER)
    await owner.do("/keys", FriendlyName=HOSTILE)
    await owner.do(f"/users/{bob.sid}/role", Role="owner")
    for path in ("/profile", "/users", "/keys", "/audit", "/settings"):
        page = (await owner.get(path)).text
        assert "<script>alert" not in page, path
        assert "&lt;script&gt;alert" in page, path
        assert "49" not in re.findall(r"script&gt;([^<]{0,9})", page), path
    seen = await owner.send("/users", "/users", Name=HOSTILE, Role="viewer")
    assert seen.status == 400
    assert "<script>alert" not in seen.text


async def test_the_eye_hides_numbers_and_goes_back_to_where_one_was(place: Place) -> None:
    person = await place.signed_in()
    token = await person.token()
    seen = await person.post(
        "/profile/hide", {"_token": token, "Hide": "true"}, {"referer": f"{place.url}/console/audit?Kind=keys."}
    )
    assert seen.location == "/audit?Kind=keys."
    assert person.user is not None
    assert place.find(person.user).hide_numbers
    assert 'aria-pressed="true"' in (await person.get("/profile")).text
    elsewhere = await person.post("/profile/hide", {"_token": token, "Hide": "x"}, {"referer": "https://evil.example/"})
    assert elsewhere.status == 400
