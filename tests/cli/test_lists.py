"""Lists have all there is, however many pages the node gives them in."""

import pytest

from postdate.api import handset_view, paging
from postdate.cli.client import Client
from postdate.cli.credentials import read_credentials
from tests.cli.running import Commands

WABA = ("--kind", "whatsapp", "--set", "phone_number_id=1", "--set", "access_token=hush")

# What is made three times, {n} being another each time, and by which field of which key the list shows it.
LISTS = {
    "accounts": (("accounts", "create", "--name", "Listed {n}"), "accounts", "friendly_name", "Listed {n}"),
    "connections": (("connections", "add", "way-{n}", *WABA), "connections", "name", "way-{n}"),
    "contents": (("contents", "add", "--name", "Text {n}", "--body", "Hi"), "contents", "friendly_name", "Text {n}"),
    "keys": (("keys", "create", "--name", "Key {n}"), "keys", "friendly_name", "Key {n}"),
    "numbers": (("numbers", "register", "+1415555010{n}"), "incoming_phone_numbers", "phone_number", "+1415555010{n}"),
    "senders": (("senders", "register", "whatsapp:+1415555020{n}"), "senders", "sender", "whatsapp:+1415555020{n}"),
    "services": (("services", "create", "--name", "Service {n}"), "services", "friendly_name", "Service {n}"),
}


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the node give two at a time."""
    monkeypatch.setattr(paging, "LARGEST_SIZE", 2)
    monkeypatch.setattr(handset_view, "LARGEST_SIZE", 2)


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize(("what", "made", "key", "field", "shown"), [(what, *one) for what, one in LISTS.items()])
def test_a_list_of_several_pages_is_whole(
    commands: Commands, what: str, made: tuple[str, ...], key: str, field: str, shown: str
) -> None:
    for n in range(5):
        assert commands.run(*(word.format(n=n) for word in made)).code == 0
    wanted = [shown.format(n=n) for n in range(5)]
    listed = commands.run(what, "list", "--json").json
    assert sorted(one[field] for one in listed[key] if one[field] in wanted) == wanted
    assert (listed["next_page_uri"] if "next_page_uri" in listed else listed["meta"]["next_page_url"]) is None
    seen = commands.run(what, "list", columns=160).out
    assert [one for one in wanted if one not in seen] == []


@pytest.mark.usefixtures("small_pages")
def test_the_handsets_are_listed_whole(commands: Commands, service: str) -> None:
    wanted = {f"+1415555030{n}" for n in range(5)}
    for number in sorted(wanted):
        assert commands.run("messages", "send", "--to", number, "--service", service, "--body", "Hi").code == 0
    assert commands.run("clock", "advance", "1m").code == 0
    listed = commands.run("handsets", "list", "--json").json
    assert {one["number"] for one in listed["handsets"]} == wanted


@pytest.mark.usefixtures("small_pages")
def test_the_pool_of_a_service_is_shown_whole(commands: Commands) -> None:
    sid = commands.sid("services", "create", "--name", "Pool")
    numbers = [f"+1415555040{n}" for n in range(5)]
    for number in numbers:
        assert commands.run("numbers", "register", number).code == 0
        assert commands.run("services", "add-sender", sid, number).code == 0
    shown = commands.run("services", "show", sid).out
    assert [number for number in numbers if number not in shown] == []


@pytest.mark.usefixtures("small_pages")
def test_a_sender_of_a_later_page_is_found_by_its_number(commands: Commands) -> None:
    for n in range(5):
        commands.run("senders", "register", f"whatsapp:+1415555050{n}")
    assert commands.run("senders", "show", "whatsapp:+14155550504").code == 0


def test_a_list_of_one_page_is_as_the_node_sent_it(commands: Commands) -> None:
    kept = read_credentials(commands.data)
    assert kept is not None
    sent = Client(kept).get("/v1/ContentAndApprovals", [("PageSize", "1000")])
    assert commands.run("contents", "list", "--json").out == f"{sent.decode()}\n"
