"""Numbers and senders in the console: registered, changed, moved between services, removed; and hidden where asked."""

import pytest

from postdate.console.languages import LANGUAGES, translate
from postdate.core.address import SenderKind
from postdate.core.resources import Role, Sender
from tests.console.clinic import add_sender, add_service, set_up_clinic
from tests.console.visiting import Person, Place

NUMBER = "+14155550100"


@pytest.fixture
async def owner(place: Place) -> Person:
    """Give an owner."""
    return await place.signed_in(name="Ann")


def sender_of(place: Place, sid: str) -> Sender:
    """Return a sender as it is now."""
    found = place.node.directory.find(Sender, sid)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("form", "kind", "address", "country"),
    [
        ({"PhoneNumber": " +1 (415) 555-0100 "}, SenderKind.PHONE_NUMBER, NUMBER, "US"),
        ({"Kind": "short_code", "ShortCode": "72345", "IsoCountry": "gb"}, SenderKind.SHORT_CODE, "72345", "GB"),
        (
            {"Kind": "channel", "Channel": "whatsapp", "Address": NUMBER},
            SenderKind.CHANNEL,
            f"whatsapp:{NUMBER}",
            "US",
        ),
        ({"Kind": "channel", "Channel": "rcs", "Address": "clinic_agent"}, SenderKind.CHANNEL, "rcs:clinic_agent", ""),
    ],
)
async def test_senders_are_registered(
    place: Place, owner: Person, form: dict[str, str], kind: SenderKind, address: str, country: str
) -> None:
    made = sender_of(place, await add_sender(owner, FriendlyName="Reception", Mps="12.5", **form))
    assert (made.kind, made.address, made.country) == (kind, address, country)
    assert (made.friendly_name, made.mps, made.connection) == ("Reception", 12.5, "sandbox")
    page = (await owner.get("/numbers")).text
    assert address in page
    assert "Reception" in page


@pytest.mark.parametrize(
    "wrong",
    [
        {"PhoneNumber": ""},
        {"PhoneNumber": "12345"},
        {"PhoneNumber": NUMBER, "Mps": "fast"},
        {"PhoneNumber": NUMBER, "Connection": "nowhere"},
        {"Kind": "short_code", "ShortCode": "12"},
        {"Kind": "short_code", "ShortCode": "12345", "IsoCountry": "USA"},
        {"Kind": "channel", "Channel": "whatsapp", "Address": "x y"},
        {"Kind": "channel", "Channel": "sms", "Address": NUMBER},
        {"Kind": "channel", "Channel": "whatsapp", "Address": ""},
    ],
)
async def test_what_cannot_be_registered_is_shown_again(place: Place, owner: Person, wrong: dict[str, str]) -> None:
    seen = await owner.do("/numbers/new", **{"Kind": "phone_number", "FriendlyName": "As typed", **wrong})
    assert seen.status == 400
    assert 'role="alert"' in seen.text
    assert 'value="As typed"' in seen.text
    for name in ("PhoneNumber", "ShortCode", "Address"):
        if wrong.get(name):
            assert f'value="{wrong[name]}"' in seen.text
    assert place.node.directory.every(Sender) == []


async def test_a_number_that_is_taken_is_said_to_be(place: Place, owner: Person) -> None:
    await add_sender(owner, PhoneNumber=NUMBER)
    seen = await owner.do("/numbers/new", Kind="phone_number", PhoneNumber=NUMBER)
    assert seen.status >= 400
    assert "21422" in seen.text


async def test_a_sender_is_changed_and_an_empty_name_keeps_the_one_it_has(place: Place, owner: Person) -> None:
    sid = await add_sender(owner, PhoneNumber=NUMBER, FriendlyName="Reception")
    url = "https://clinic.example/sms"
    form = {"FriendlyName": "", "Mps": "0", "Mms": "false", "SmsUrl": url, "SmsMethod": "GET", "StatusCallback": url}
    assert (await owner.do(f"/numbers/{sid}", **form)).location == f"/numbers/{sid}"
    now = sender_of(place, sid)
    assert (now.friendly_name, now.mps, now.mms) == ("Reception", 0.0, False)
    assert (now.webhooks.sms_url, now.webhooks.sms_method, now.webhooks.status_callback) == (url, "GET", url)
    page = (await owner.get(f"/numbers/{sid}")).text
    assert "Unlimited" in page
    seen = await owner.do(f"/numbers/{sid}", FriendlyName="x", SmsUrl="nonsense", Mps="3")
    assert seen.status == 400
    assert 'value="nonsense"' in seen.text
    assert sender_of(place, sid) == now


async def test_a_sender_moves_from_service_to_service_and_out(place: Place, owner: Person) -> None:
    first, second = await add_service(owner, "First"), await add_service(owner, "Second")
    sid = await add_sender(owner, PhoneNumber=NUMBER, MessagingServiceSid=first)
    assert sender_of(place, sid).service_sid == first
    for wanted, then in ((second, second), (second, second), ("", None), (first, first)):
        assert (await owner.do(f"/numbers/{sid}/service", MessagingServiceSid=wanted)).status == 303
        assert sender_of(place, sid).service_sid == then


async def test_a_sender_that_may_not_join_stays_where_it_was(
    place: Place, owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await add_service(owner, "First"), await add_service(owner, "Second")
    sid = await add_sender(owner, PhoneNumber=NUMBER, MessagingServiceSid=first)
    await add_sender(owner, PhoneNumber="+14155550101", MessagingServiceSid=second)
    monkeypatch.setattr("postdate.api.pools.MOST_NUMBERS", 1)
    seen = await owner.do(f"/numbers/{sid}/service", MessagingServiceSid=second)
    assert "21714" in seen.text
    assert sender_of(place, sid).service_sid == first
    assert (await owner.do(f"/numbers/{sid}/service", MessagingServiceSid="MG" + "0" * 32)).status == 404
    assert sender_of(place, sid).service_sid == first
    seen = await owner.do("/numbers/new", Kind="phone_number", PhoneNumber="+14155550102", MessagingServiceSid=second)
    assert seen.status == 303, "it is registered, though it could not join"
    assert "could not join" in (await owner.get(seen.location)).text


async def test_a_sender_is_removed_an_alpha_sender_too(place: Place, owner: Person) -> None:
    service = await add_service(owner, "Reminders")
    sid = await add_sender(owner, PhoneNumber=NUMBER, MessagingServiceSid=service)
    await owner.do(f"/services/{service}/senders/alpha", AlphaSender="CLINIC")
    alpha = next(one for one in place.node.directory.every(Sender) if one.kind is SenderKind.ALPHA)
    page = (await owner.get(f"/numbers/{alpha.sid}")).text
    assert 'name="Mps"' not in page
    assert (await owner.do(f"/numbers/{alpha.sid}", Mps="9")).status == 400
    assert (await owner.do(f"/numbers/{alpha.sid}/service", MessagingServiceSid="")).status == 400
    for one in (sid, alpha.sid):
        assert (await owner.do(f"/numbers/{one}/remove")).location == "/numbers"
        assert (await owner.get(f"/numbers/{one}")).status == 404
    assert place.node.directory.every(Sender) == []


async def test_the_list_is_found_in_filtered_and_paged(place: Place, owner: Person) -> None:
    clinic = await set_up_clinic(place)
    seen = await owner.get("/numbers?Kind=short_code")
    assert "72345" in seen.text
    assert "+819012345678" not in seen.text
    for search, found in (("reception", NUMBER), ("8190", "+819012345678"), ("渋谷", "+819012345678")):
        page = (await owner.get(f"/numbers?Search={search}")).text
        assert found in page
        assert "72345" not in page
    assert "Nothing fits" in (await owner.get("/numbers?Search=nobody")).text
    assert (await owner.get("/numbers?Page=999999&Kind=x")).status == 200
    await owner.do("/services/new", FriendlyName="Big")
    for number in range(50):
        await add_sender(owner, PhoneNumber=f"+1212555{number:04}")
    first, second = (await owner.get("/numbers")).text, (await owner.get("/numbers?Page=1")).text
    assert "/console/numbers?Page=1" in first
    shown = [one for one in place.node.directory.every(Sender) if f"/numbers/{one.sid}" in first]
    rest = [one for one in place.node.directory.every(Sender) if f"/numbers/{one.sid}" in second]
    assert len(shown) == 50
    assert len(shown) + len(rest) == len(clinic.senders) + 50


async def test_numbers_are_hidden_where_the_viewer_hides_them(place: Place) -> None:
    clinic = await set_up_clinic(place)
    person = await place.signed_in(name="Bob", hide_numbers=True)
    for path in ("/numbers", f"/services/{clinic.service().sid}/senders", f"/numbers/{clinic.sender(NUMBER).sid}"):
        text = (await person.get(path)).text
        assert NUMBER not in text, path
        assert "••••00" in text
    assert "CLINIC" in (await person.get("/numbers")).text, "a name is no number"
    page = (await person.get(f"/connections/{clinic.connection('clinic-gateway').sid}")).text
    assert f">{NUMBER}" not in page


async def test_who_may_only_look_can_change_nothing(place: Place, owner: Person) -> None:
    sid = await add_sender(owner, PhoneNumber=NUMBER)
    before = sender_of(place, sid)
    for role in (Role.VIEWER, Role.OPERATOR):
        person = await place.signed_in(role)
        assert (await person.get(f"/numbers/{sid}")).status == 200
        assert "/numbers/new" not in (await person.get("/numbers")).text
        for action in ("/new", f"/{sid}", f"/{sid}/service", f"/{sid}/remove"):
            assert (await person.do(f"/numbers{action}", PhoneNumber="+14155550101", Mps="9")).status == 403
    assert sender_of(place, sid) == before
    assert len(place.node.directory.every(Sender)) == 1


async def test_another_accounts_sender_is_not_there(place: Place, owner: Person) -> None:
    sid = await add_sender(owner, PhoneNumber=NUMBER)
    branch = await place.subaccount()
    person = await place.browser_of(await place.user("Bea", None, roles={branch.sid: Role.OWNER}))
    assert (await person.get(f"/numbers/{sid}")).status == 404
    for action in ("", "/service", "/remove"):
        assert (await person.do(f"/numbers/{sid}{action}", Mps="9")).status == 404
    assert NUMBER not in (await person.get("/numbers")).text
    assert sender_of(place, sid).mps == 1.0


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_webhooks_of_a_number_name_the_switch_of_its_service(language: str) -> None:
    assert translate(language, "services.on_number") in translate(language, "numbers.urls_kept")


@pytest.mark.parametrize(("mps", "said"), [("1", "1 segment/s"), ("0.5", "0.5 segments/s"), ("10", "10 segments/s")])
async def test_a_rate_is_said_in_segments(owner: Person, mps: str, said: str) -> None:
    sid = await add_sender(owner, PhoneNumber=NUMBER, Mps=mps)
    assert said in (await owner.get(f"/numbers/{sid}")).text
