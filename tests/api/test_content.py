"""Contents over the API: the resource, its approval and its lists as Twilio documents them, and messages of them."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from postdate.core.address import SenderKind
from postdate.core.instant import DAY, HOUR
from postdate.core.message import Message, Template
from postdate.core.resources import Content
from tests.api.listing import check_walk
from tests.api.openapi import check
from tests.api.serving import FROM, LONG_ENOUGH, TO, Customer, Reply, Site

V1, V2 = "twilio_content_v1", "twilio_content_v2"
ALL, ONE = "/v1/Content", "/v1/Content/{Sid}"
APPROVAL = "/v1/Content/{Sid}/ApprovalRequests"
REQUEST = "/v1/Content/{ContentSid}/ApprovalRequests/whatsapp"
TYPES = {"twilio/text": {"body": "Hi {{1}}, see you at {{2}}"}}
GIVEN = {"friendly_name": "Reminder", "language": "en", "variables": {"1": "there"}, "types": TYPES}
TEMPLATE = {"name": "reminder", "category": "UTILITY"}
PATIENT, CLINIC = f"whatsapp:{TO}", f"whatsapp:{FROM}"


async def post(customer: Customer, path: str, given: object, method: str = "POST") -> Reply:
    """Send JSON as the official libraries do."""
    body = given if isinstance(given, bytes) else json.dumps(given).encode()
    return await customer.call(method, path, body, headers={"content-type": "application/json"})


async def make(customer: Customer, **changes: object) -> dict[str, Any]:
    """Make a content."""
    reply = await post(customer, ALL, GIVEN | changes)
    check(V1, "POST", ALL, reply.status, reply.json)
    made: dict[str, Any] = reply.json
    return made


async def request_approval(customer: Customer, sid: str, **given: str) -> Reply:
    """Name a content's template, or say how it stands."""
    reply = await post(customer, f"{ALL}/{sid}/ApprovalRequests/whatsapp", {**TEMPLATE, **given})
    if reply.status == 201:
        check(V1, "POST", REQUEST, reply.status, reply.json)
    return reply


async def approval_of(customer: Customer, sid: str) -> dict[str, Any]:
    """Return how a content's template stands."""
    reply = await customer.call("GET", f"{ALL}/{sid}/ApprovalRequests")
    check(V1, "GET", APPROVAL, reply.status, reply.json)
    found: dict[str, Any] = reply.json["whatsapp"]
    return found


# --- the resource -----------------------------------------------------------------------------------------------------


async def test_the_life_of_a_content(site: Site, customer: Customer) -> None:
    made = await make(customer)
    url = f"{site.node.parts().base_url()}{ALL}/{made['sid']}"
    assert made | GIVEN == made
    assert (made["sid"][:2], made["account_sid"], made["url"]) == ("HX", customer.account, url)
    assert made["links"] == {
        "approval_create": f"{url}/ApprovalRequests/whatsapp",
        "approval_fetch": f"{url}/ApprovalRequests",
    }
    fetched = await customer.call("GET", f"{ALL}/{made['sid']}")
    check(V1, "GET", ONE, fetched.status, fetched.json)
    assert fetched.json == made
    listed = await customer.call("GET", ALL)
    check(V1, "GET", ALL, listed.status, listed.json)
    assert (listed.json["contents"], listed.json["meta"]["key"]) == ([made], "contents")
    await site.advance(HOUR)
    other = {"twilio/text": {"body": "Bye"}}
    changed = await post(customer, f"{ALL}/{made['sid']}", {"types": other}, "PUT")
    check(V1, "PUT", ONE, changed.status, changed.json)
    assert {name for name in made if made[name] != changed.json[name]} == {"types", "date_updated"}
    deleted = await customer.call("DELETE", f"{ALL}/{made['sid']}")
    assert (deleted.status, deleted.body) == (204, b"")
    for method in ("GET", "PUT", "DELETE"):
        assert (await post(customer, f"{ALL}/{made['sid']}", GIVEN, method)).error == (20404, 404)


async def test_names_of_variables_stay_as_they_are_in_any_spelling(customer: Customer) -> None:
    given = {"friendlyName": "Reminder", "variables": {"firstName": "Ann"}, "types": {"twilioText": {"body": "Hi"}}}
    made = (await post(customer, ALL, {"language": "en", **given})).json
    assert (made["friendly_name"], made["variables"]) == ("Reminder", {"firstName": "Ann"})
    assert made["types"] == {"twilio/text": {"body": "Hi"}}


@pytest.mark.parametrize("language", ["en", "ja", "fil", "pt_BR", "zh_Hant"])
async def test_languages(customer: Customer, language: str) -> None:
    assert (await make(customer, language=language))["language"] == language


@pytest.mark.parametrize(
    ("given", "code", "status"),
    [
        (b"", 20422, 422),
        (b"[]", 20422, 422),
        (b"language=en", 20422, 422),
        (b"\xff", 20422, 422),
        (b"[" * 50_000, 20422, 422),
        (b'{"types": ' * 1_000 + b"1" + b"}" * 1_000, 20422, 422),
        ({"types": TYPES}, 92003, 400),
        (GIVEN | {"language": None}, 92003, 400),
        (GIVEN | {"language": "English"}, 92004, 400),
        (GIVEN | {"language": ["en"]}, 92004, 400),
        (GIVEN | {"variables": {"1": 1}}, 92007, 400),
        (GIVEN | {"variables": "1"}, 92007, 400),
        (GIVEN | {"variables": {str(n): "" for n in range(101)}}, 92002, 400),
        ({"language": "en"}, 20001, 400),
        (GIVEN | {"types": {"twilio/text": {}}}, 20001, 400),
        (GIVEN | {"types": {"twilio/text": {"body": "\0"}}}, 20001, 400),
        (GIVEN | {"friendly_name": "x" * 257}, 20001, 400),
        (GIVEN | {"friendly_name": 1}, 20001, 400),
    ],
)
async def test_what_a_content_cannot_be(customer: Customer, given: object, code: int, status: int) -> None:
    assert (await post(customer, ALL, given)).error == (code, status)
    made = await make(customer)
    if given != {"types": TYPES} and given != GIVEN | {"language": None}:  # an update keeps its language
        assert (await post(customer, f"{ALL}/{made['sid']}", given, "PUT")).error == (code, status)
    assert [one["sid"] for one in (await customer.call("GET", ALL)).json["contents"]] == [made["sid"]]


async def test_a_content_is_on_disk_as_it_is_in_memory(site: Site, customer: Customer) -> None:
    sid = (await make(customer))["sid"]
    await request_approval(customer, sid, status="approved")
    found = site.node.directory.find(Content, sid)
    assert found is not None
    assert found.approval is not None
    assert [one for one in await site.node.store.resources() if one.sid == sid] == [found]


# --- approval ---------------------------------------------------------------------------------------------------------


async def test_an_approval_is_asked_for_and_then_stated(customer: Customer) -> None:
    sid = (await make(customer))["sid"]
    assert (await approval_of(customer, sid))["status"] == "unsubmitted"
    asked = (await request_approval(customer, sid)).json
    assert (asked["name"], asked["category"], asked["content_type"]) == ("reminder", "UTILITY", "twilio/text")
    assert (asked["status"], asked["rejection_reason"]) == ("received", "")
    assert await approval_of(customer, sid) == {"type": "whatsapp", **asked}
    path = f"{ALL}/{sid}/ApprovalRequests/whatsapp"
    stated = (await post(customer, path, {"status": "rejected", "rejectionReason": "No"})).json
    assert stated == asked | {"status": "rejected", "rejection_reason": "No"}
    assert (await post(customer, path, {"status": "approved"})).json == asked | {"status": "approved"}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, "approved"),
        ({"friendly_name": "Another", "variables": {"1": "you"}}, "approved"),
        ({"language": "en_US"}, "received"),
        ({"types": {"twilio/text": {"body": "Bye"}}}, "received"),
    ],
)
async def test_other_words_are_to_be_approved_again(customer: Customer, change: dict[str, Any], status: str) -> None:
    sid = (await make(customer))["sid"]
    await request_approval(customer, sid, status="approved")
    assert (await post(customer, f"{ALL}/{sid}", GIVEN | change, "PUT")).status == 200
    after = await approval_of(customer, sid)
    assert (after["status"], after["name"]) == (status, "reminder")


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Reminder"},
        {"name": ""},
        {"name": "x" * 513},
        {"category": "SPAM"},
        {"status": "great"},
        {"status": "unsubmitted"},
        {"status": "rejected", "rejection_reason": "x" * 257},
    ],
)
async def test_what_an_approval_cannot_be(customer: Customer, wrong: dict[str, str]) -> None:
    sid = (await make(customer))["sid"]
    assert (await request_approval(customer, sid, **wrong)).error == (20001, 400)
    assert (await approval_of(customer, sid))["status"] == "unsubmitted"


async def test_a_type_that_is_never_sent_as_a_template_is_told(customer: Customer) -> None:
    sid = (await make(customer, types={"twilio/location": {"latitude": 1, "longitude": 2}}))["sid"]
    assert (await request_approval(customer, sid)).error == (20001, 400)


async def test_the_main_account_alone_says_how_templates_stand(site: Site, customer: Customer) -> None:
    branch = await site.add_account(owner=customer.account)
    sid = (await make(branch))["sid"]
    assert (await request_approval(branch, sid, status="approved")).error == (20003, 403)
    assert (await request_approval(branch, sid)).json["status"] == "received"
    assert (await request_approval(customer, sid, status="approved")).json["status"] == "approved"
    assert (await approval_of(branch, sid))["status"] == "approved"
    own = (await make(customer))["sid"]
    assert (await request_approval(branch, own)).error == (20404, 404)
    # The rest of a subaccount's content is its own.
    assert (await customer.call("DELETE", f"{ALL}/{sid}")).error == (20404, 404)


# --- lists ------------------------------------------------------------------------------------------------------------

LISTS = [
    (V1, "/v1/Content"),
    (V1, "/v1/ContentAndApprovals"),
    (V1, "/v1/LegacyContent"),
    (V2, "/v2/Content"),
    (V2, "/v2/ContentAndApprovals"),
]


async def several(site: Site, customer: Customer) -> dict[str, str]:
    """Make contents on four days; return their SIDs by their names."""
    text, reply = TYPES["twilio/text"], {"body": "Come?", "actions": [{"title": "Yes"}]}
    made = {}
    for name, language, types in (
        ("b", "en", {"twilio/text": text}),
        ("A", "ja", {"twilio/text": text, "twilio/quick-reply": reply}),
        ("d", "en", {"twilio/quick-reply": reply}),
        ("C", "fr", {"twilio/text": {"body": "Bonjour"}}),
    ):
        made[name] = (await make(customer, friendly_name=name, language=language, types=types))["sid"]
        await request_approval(customer, made[name], **({"status": "approved"} if name in "Ad" else {}))
        await site.advance(DAY)
    return made


@pytest.mark.parametrize(("document", "path"), LISTS)
async def test_lists_are_walked_forth_and_back(site: Site, customer: Customer, document: str, path: str) -> None:
    made = await several(site, customer)
    page = (await customer.call("GET", path, query={"PageSize": "3"})).json
    check(document, "GET", path, 200, page)
    assert page["meta"]["next_page_url"].startswith(f"{site.node.parts().base_url()}{path}?")
    await check_walk(customer, f"{path}?PageSize=3", "contents", list(made.values()))


async def test_what_lists_show_of_templates(site: Site, customer: Customer) -> None:
    sid = (await make(customer))["sid"]
    (one,) = (await customer.call("GET", "/v1/ContentAndApprovals")).json["contents"]
    assert one["approval_requests"]["status"] == "unsubmitted"
    assert (await customer.call("GET", "/v1/LegacyContent")).json["contents"] == []
    await request_approval(customer, sid)
    (one,) = (await customer.call("GET", "/v2/ContentAndApprovals")).json["contents"]
    assert (one["approval_requests"]["status"], one["approval_requests"]["name"]) == ("received", "reminder")
    (one,) = (await customer.call("GET", "/v1/LegacyContent")).json["contents"]
    assert (one["legacy_template_name"], one["legacy_body"]) == ("reminder", TYPES["twilio/text"]["body"])


SEARCHES: list[tuple[list[tuple[str, str]], str]] = [
    ([], "bAdC"),
    ([("ContentName", "a")], "A"),
    ([("Content", "SEE YOU")], "bA"),
    ([("Content", "come?")], "Ad"),
    ([("Language", "en")], "bd"),
    ([("Language", "en"), ("Language", "fr")], "bdC"),
    ([("ContentType", "twilio/quick-reply")], "Ad"),
    ([("ContentType", "twilio/quick-reply"), ("Language", "ja")], "A"),
    ([("ChannelEligibility", "whatsapp:approved")], "Ad"),
    ([("ChannelEligibility", "whatsapp:approved"), ("ChannelEligibility", "whatsapp:received")], "bAdC"),
    ([("ChannelEligibility", "sms:approved")], ""),
    ([("SortByContentName", "asc")], "AbCd"),
    ([("SortByContentName", "desc")], "dCbA"),
    ([("SortByDate", "asc")], "bAdC"),
    ([("SortByDate", "desc")], "CdAb"),
    ([("SortByDate", "desc"), ("Language", "en")], "db"),
]


@pytest.mark.parametrize("path", ["/v2/Content", "/v2/ContentAndApprovals"])
async def test_searches_and_their_links(site: Site, customer: Customer, path: str) -> None:
    made = await several(site, customer)
    for query, wanted in SEARCHES:
        written = "&".join(f"{name}={quote(value)}" for name, value in [*query, ("PageSize", "1")])
        await check_walk(customer, f"{path}?{written}", "contents", [made[name] for name in wanted])


async def test_searches_by_day(site: Site, customer: Customer) -> None:
    made = await several(site, customer)
    dates = [(await customer.call("GET", f"{ALL}/{sid}")).json["date_created"] for sid in made.values()]
    for query, wanted in (
        ({"DateCreatedAfter": dates[1]}, "AdC"),
        ({"DateCreatedBefore": dates[1]}, "bA"),
        ({"DateCreatedAfter": dates[1][:10], "DateCreatedBefore": dates[2][:10]}, "Ad"),
    ):
        found = (await customer.call("GET", "/v2/Content", query=query)).json["contents"]
        assert [one["sid"] for one in found] == [made[name] for name in wanted]
    for wrong in ({"DateCreatedAfter": "soon"}, {"SortByDate": "up"}):
        assert (await customer.call("GET", "/v2/Content", query=wrong)).error == (20001, 400)


# --- messages ---------------------------------------------------------------------------------------------------------


async def kept(site: Site, sid: str) -> Message:
    """Return a message as the store has it."""
    found = await site.node.store.message(site.customer.account, sid)
    assert found is not None
    return found


async def test_a_message_says_what_its_content_says(site: Site) -> None:
    sid = (await make(site.customer))["sid"]
    reply = await site.customer.send(From=FROM, ContentSid=sid, ContentVariables='{"2": "3PM"}', Body=None)
    assert (reply.status, reply.json["body"], reply.json["num_segments"]) == (201, "Hi there, see you at 3PM", "1")
    await site.advance(LONG_ENOUGH)
    assert [m.body for m in site.node.sandbox.inbox(TO)] == ["Hi there, see you at 3PM"]


async def test_what_is_scheduled_stays_as_it_was(site: Site) -> None:
    customer = site.customer
    sid = (await make(customer))["sid"]
    message = await site.scheduled(ContentSid=sid, ContentVariables='{"1": "Ann", "2": "3PM"}')
    await post(customer, f"{ALL}/{sid}", {"types": {"twilio/text": {"body": "Bye"}}}, "PUT")
    await customer.call("DELETE", f"{ALL}/{sid}")
    await site.advance(2 * HOUR + LONG_ENOUGH)
    assert (await customer.fetch(message))["status"] == "delivered"
    assert [m.body for m in site.node.sandbox.inbox(TO)] == ["Hi Ann, see you at 3PM"]
    assert (await kept(site, message)).options.content_sid == sid


async def test_media_make_it_an_mms(site: Site) -> None:
    media = {"twilio/media": {"body": "{{1}}", "media": ["https://customer.example/{{id}}.png"]}}
    sid = (await make(site.customer, types=media))["sid"]
    message = await site.scheduled(ContentSid=sid, ContentVariables='{"id": "7"}')
    found = await kept(site, message)
    assert (message[:2], found.body, found.media_urls) == ("MM", "there", ("https://customer.example/7.png",))


async def test_what_cannot_be_said_is_refused(site: Site, stranger: Customer) -> None:
    customer = site.customer
    sid, theirs = (await make(customer))["sid"], (await make(stranger))["sid"]
    wrong: list[tuple[dict[str, str], int]] = [
        ({"ContentSid": "HX" + "0" * 32}, 21655),
        ({"ContentSid": theirs}, 21655),
        ({"ContentSid": sid}, 21656),
        ({"ContentSid": sid, "ContentVariables": "Ann"}, 21656),
        ({"ContentVariables": '{"2": "x"}'}, 21654),
    ]
    for given, code in wrong:
        assert (await customer.send(From=FROM, **given)).error == (code, 400), given
    assert (await customer.list())["messages"] == []


async def test_the_same_request_is_the_same_though_its_content_was_edited(site: Site) -> None:
    customer = site.customer
    sid = (await make(customer))["sid"]
    given = {"From": FROM, "To": TO, "ContentSid": sid, "ContentVariables": '{"2": "3PM"}'}
    first = await customer.on("POST", "/Messages.json", given, Idempotency_Key="k")
    await post(customer, f"{ALL}/{sid}", {"types": {"twilio/text": {"body": "Bye"}}}, "PUT")
    again = await customer.on("POST", "/Messages.json", given, Idempotency_Key="k")
    assert (again.status, again.json["sid"], again.json["body"]) == (201, first.json["sid"], first.json["body"])
    other = given | {"ContentVariables": '{"2": "4PM"}'}
    assert (await customer.on("POST", "/Messages.json", other, Idempotency_Key="k")).error == (20409, 409)


@pytest.mark.parametrize("body", [None, "Now with {{3}}"])
async def test_a_repeated_request_has_its_answer_though_its_content_is_no_more(site: Site, body: str | None) -> None:
    customer = site.customer
    sid = (await make(customer))["sid"]
    given = {"From": FROM, "To": TO, "ContentSid": sid, "ContentVariables": '{"2": "3PM"}'}
    first = await customer.on("POST", "/Messages.json", given, Idempotency_Key="k")
    if body is None:
        await customer.call("DELETE", f"{ALL}/{sid}")
    else:
        await post(customer, f"{ALL}/{sid}", {"types": {"twilio/text": {"body": body}}}, "PUT")
    again = await customer.on("POST", "/Messages.json", given, Idempotency_Key="k")
    assert (again.status, again.json["sid"], again.json["body"]) == (201, first.json["sid"], first.json["body"])
    for key in ("another", ""):
        reply = await customer.on("POST", "/Messages.json", given, Idempotency_Key=key)
        assert reply.error == ((21655 if body is None else 21656), 400)
    assert [one["sid"] for one in (await customer.list())["messages"]] == [first.json["sid"]]


async def test_a_template_is_kept_with_the_message_until_it_is_redacted(site: Site) -> None:
    customer = site.customer
    await site.add_sender(CLINIC, site.service, kind=SenderKind.CHANNEL, sid=site.sid("XE"))
    sid = (await make(customer))["sid"]
    early = await site.scheduled(To=PATIENT, ContentSid=sid, ContentVariables='{"2": "3PM"}')
    await request_approval(customer, sid, status="approved")
    message = await site.scheduled(To=PATIENT, ContentSid=sid, ContentVariables='{"2": "3PM"}')
    await request_approval(customer, sid, name="another", status="disabled")
    template = Template("reminder", "en", {"1": "there", "2": "3PM"})
    assert (await kept(site, message)).options.template == template
    assert (await kept(site, early)).options.template is None
    await site.advance(2 * HOUR + LONG_ENOUGH)
    assert [m.body for m in site.node.sandbox.inbox(PATIENT)] == ["Hi there, see you at 3PM"] * 2
    assert (await kept(site, message)).options.template == template
    redacted = await customer.on("POST", f"/Messages/{message}.json", {"Body": ""})
    assert (redacted.status, redacted.json["body"]) == (200, "")
    after = await kept(site, message)
    assert after.options.template is None
    assert "3PM" not in repr(after)
    assert after.options.content_sid == sid
