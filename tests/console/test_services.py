"""Messaging services in the console: made, changed and removed by the API's own handlers, and shown as they are."""

import pytest

from postdate.core.resources import Role, Sender, Service
from tests.console.clinic import HOSTILE, HOSTILE_TOO, Clinic, add_sender, add_service, set_up_clinic
from tests.console.visiting import Person, Place

TABS = ("", "/senders", "/integration", "/content", "/compliance", "/schedule")
URL = "https://clinic.example/hook"


def service_of(place: Place, name: str = "Reminders") -> Service:
    """Return a messaging service by its name."""
    return next(one for one in place.node.directory.every(Service) if one.friendly_name == name)


@pytest.fixture
async def owner(place: Place) -> Person:
    """Give an owner who has created one service."""
    person = await place.signed_in(name="Ann")
    await add_service(person, "Reminders")
    return person


async def test_a_service_is_created_and_its_sid_can_be_copied(place: Place, owner: Person) -> None:
    service = service_of(place)
    assert (service.usecase, service.account_sid) == ("notifications", place.account.sid)
    page = (await owner.get(f"/services/{service.sid}")).text
    assert f'data-copy="{service.sid}"' in page
    assert "Reminders" in (await owner.get("/services")).text


async def test_an_empty_list_says_what_to_do(place: Place) -> None:
    owner, viewer = await place.signed_in(name="Ann"), await place.signed_in(Role.VIEWER, name="Vic")
    assert 'href="/console/services/new"' in (await owner.get("/services")).text
    seen = (await viewer.get("/services")).text
    assert "No messaging services yet" in seen
    assert "/services/new" not in seen


@pytest.mark.parametrize(
    ("tab", "form", "field", "kept"),
    [
        ("", {"FriendlyName": "New", "Usecase": "poll"}, "friendly_name", "New"),
        ("", {"StickySender": "false"}, "sticky_sender", False),
        ("", {"AreaCodeGeomatch": "false"}, "area_code_geomatch", False),
        ("", {"ValidityPeriod": "600"}, "validity_period", 600),
        ("/integration", {"InboundRequestUrl": URL}, "inbound_request_url", URL),
        ("/integration", {"FallbackUrl": URL, "FallbackMethod": "GET"}, "fallback_method", "GET"),
        ("/integration", {"StatusCallback": URL}, "status_callback", URL),
        ("/integration", {"UseInboundWebhookOnNumber": "false"}, "use_inbound_webhook_on_number", False),
        ("/content", {"SmartEncoding": "false"}, "smart_encoding", False),
        ("/content", {"MmsConverter": "false"}, "mms_converter", False),
        ("/content", {"ScanMessageContent": "enable"}, "scan_message_content", "enable"),
        ("/schedule", {"ScheduleWindow": "5m..35d"}, "schedule_window", "5m..35d"),
    ],
)
async def test_each_tab_changes_what_it_has(
    place: Place, owner: Person, tab: str, form: dict[str, str], field: str, kept: object
) -> None:
    path = f"/services/{service_of(place).sid}{tab}"
    assert (await owner.do(path, **form)).location == path
    service = place.node.directory.every(Service)[0]
    assert getattr(service, field) == kept
    if isinstance(kept, str):
        assert kept in (await owner.get(path)).text


@pytest.mark.parametrize(
    ("tab", "wrong"),
    [
        ("", {"FriendlyName": "", "ValidityPeriod": "600"}),
        ("", {"FriendlyName": "Kept as typed", "ValidityPeriod": "36001"}),
        ("/integration", {"InboundRequestUrl": "not a URL"}),
        ("/schedule", {"ScheduleWindow": "tomorrow"}),
        ("/schedule", {"ScheduleWindow": "7d..1h"}),
    ],
)
async def test_what_is_rejected_is_shown_again_with_what_was_typed(
    place: Place, owner: Person, tab: str, wrong: dict[str, str]
) -> None:
    before = service_of(place)
    seen = await owner.do(f"/services/{before.sid}{tab}", **wrong)
    assert seen.status == 400
    assert 'role="alert"' in seen.text
    for value in wrong.values():
        assert f'value="{value}"' in seen.text
    assert 'aria-current="page"' in seen.text.partition('class="tabs"')[2]
    assert service_of(place) == before


async def test_an_empty_window_takes_the_nodes_again(place: Place, owner: Person) -> None:
    sid = service_of(place).sid
    path = f"/services/{sid}/schedule"
    assert "1 hour to 7 days ahead" in (await owner.get(path)).text
    await owner.do(path, ScheduleWindow="0s..")
    assert "Any time, without a limit" in (await owner.get(path)).text
    await owner.do(path, ScheduleWindow="")
    assert service_of(place).schedule_window is None


# -- the sender pool ---------------------------------------------------------------------------------------------------


async def test_senders_of_every_kind_join_and_leave(place: Place, owner: Person) -> None:
    path = f"/services/{service_of(place).sid}/senders"
    assert "The sender pool is empty" in (await owner.get(path)).text
    sids = [
        await add_sender(owner, PhoneNumber="+14155550100"),
        await add_sender(owner, Kind="short_code", ShortCode="72345", IsoCountry="US"),
        await add_sender(owner, Kind="channel", Channel="whatsapp", Address="+14155550100"),
    ]
    page = (await owner.get(path)).text
    assert all(f'value="{sid}"' in page for sid in sids), "they are free to be added"
    token = {"_token": await owner.token()}
    for sid in sids:
        assert (await owner.post(path, {**token, "SenderSid": sid})).location == path
    assert (await owner.do(f"{path}/alpha", AlphaSender="CLINIC", IsoCountryCode="gb", Mps="5")).location == path
    pool = place.node.directory.pool(service_of(place).sid)
    assert {one.address for one in pool} == {"+14155550100", "72345", "whatsapp:+14155550100", "CLINIC"}
    alpha = next(one for one in pool if one.address == "CLINIC")
    assert (alpha.country, alpha.mps) == ("GB", 5.0)
    for one in pool:
        assert (await owner.do(f"{path}/remove", SenderSid=one.sid)).location == path
    assert place.node.directory.pool(service_of(place).sid) == ()
    assert {one.sid for one in place.node.directory.every(Sender)} == set(sids), "the alpha sender ended with that"


async def test_what_cannot_join_is_said_and_changes_nothing(place: Place, owner: Person) -> None:
    other = await add_service(owner, "Other")
    taken = await add_sender(owner, PhoneNumber="+14155550100", MessagingServiceSid=other)
    path = f"/services/{service_of(place).sid}/senders"
    before = place.node.directory.every(Sender)
    for form in ({}, {"SenderSid": taken}, {"SenderSid": "PN" + "0" * 32}, {"SenderSid": "x"}):
        seen = await owner.do(path, **form)
        assert seen.status in (400, 404, 409)
        assert 'role="alert"' in seen.text
    assert (await owner.do(f"{path}/alpha", AlphaSender="123")).status == 400
    assert (await owner.do(f"{path}/remove", SenderSid=taken)).status == 404
    assert place.node.directory.every(Sender) == before


async def test_a_service_is_removed_and_its_numbers_are_free(place: Place, owner: Person) -> None:
    sid = service_of(place).sid
    number = await add_sender(owner, PhoneNumber="+14155550100", MessagingServiceSid=sid)
    assert (await owner.do(f"/services/{sid}/remove")).location == "/services"
    assert place.node.directory.every(Service) == []
    found = place.node.directory.find(Sender, number)
    assert found is not None
    assert found.service_sid is None
    assert (await owner.get(f"/services/{sid}")).status == 404


# -- who may, and what is hostile --------------------------------------------------------------------------------------


async def test_who_may_only_look_can_change_nothing(place: Place, owner: Person) -> None:
    sid = service_of(place).sid
    for role in (Role.VIEWER, Role.OPERATOR):
        person = await place.signed_in(role)
        for tab in TABS:
            page = await person.get(f"/services/{sid}{tab}")
            assert page.status == 200
            changing = [part for part in page.text.split("<form ")[1:] if f'action="/console/services/{sid}' in part]
            assert all("<fieldset" in part and " disabled>" in part for part in changing)
            assert (await person.do(f"/services/{sid}{tab}", FriendlyName="Mine")).status in (403, 405)
        assert (await person.do(f"/services/{sid}/remove")).status == 403
    assert service_of(place).friendly_name == "Reminders"


async def test_another_accounts_service_is_not_there(place: Place, owner: Person) -> None:
    sid = service_of(place).sid
    branch = await place.subaccount()
    other = await place.user("Bea", None, roles={branch.sid: Role.OWNER})
    person = await place.browser_of(other)
    for tab in TABS:
        assert (await person.get(f"/services/{sid}{tab}")).status == 404
    assert (await person.do(f"/services/{sid}", FriendlyName="Mine")).status == 404
    assert "Reminders" not in (await person.get("/services")).text


@pytest.mark.parametrize("language", ["en", "ja"])
async def test_hostile_names_are_text_everywhere(place: Place, language: str) -> None:
    clinic: Clinic = await set_up_clinic(place)
    person = await place.signed_in(name="Bob", language=language)
    paths = ["/services", "/numbers", "/numbers/new", "/connections"]
    for name in (HOSTILE, "Appointment reminders"):
        paths += [f"/services/{clinic.service(name).sid}{tab}" for tab in TABS]
    paths += [f"/numbers/{one.sid}" for one in clinic.senders]
    for path in paths:
        text = (await person.get(path)).text
        assert HOSTILE not in text, path
        assert HOSTILE_TOO not in text, path
        assert f'<html lang="{language}"' in text
    assert "&lt;script&gt;" in (await person.get("/services")).text


async def test_changes_are_in_the_audit_log_with_the_service(place: Place, owner: Person) -> None:
    sid = service_of(place).sid
    await owner.do(f"/services/{sid}", FriendlyName="Renamed")
    page = (await owner.get("/audit")).text
    assert "Changed a messaging service" in page
    assert "Renamed" in page
