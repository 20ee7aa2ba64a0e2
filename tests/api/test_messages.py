"""Messages by the API: creating, fetching, cancelling, redacting, deleting, and who may do it to what.

A refusal is checked by its code and HTTP status, and by what it leaves behind: nothing.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import web

from postdate.connectors.sandbox_script import Script
from postdate.core.address import SenderKind
from postdate.core.message import FINAL, Status
from postdate.core.resources import AccountStatus
from postdate.core.sid import is_sid
from tests.api.openapi import API as DOCUMENT
from tests.api.openapi import check
from tests.api.serving import API, FROM, LONG_ENOUGH, TAKEN, TO, Customer, Site

NOBODY = "SM" + "0" * 32


async def count(customer: Customer) -> int:
    return len((await customer.list())["messages"])


# --- creating ---------------------------------------------------------------------------------------------------------


async def test_a_message_through_a_service_waits_for_its_sender(site: Site) -> None:
    reply = await site.customer.send(MessagingServiceSid=site.service)
    assert reply.status == 201
    message = reply.json
    assert is_sid(message["sid"], "SM")
    assert (message["status"], message["from"], message["num_segments"]) == ("accepted", None, "0")
    assert (message["messaging_service_sid"], message["to"], message["body"]) == (site.service, TO, "Hi")
    assert (message["date_sent"], message["send_at"], message["direction"]) == (None, None, "outbound-api")


async def test_a_message_from_a_number_is_queued(site: Site) -> None:
    message = (await site.customer.send(From=FROM)).json
    assert (message["status"], message["from"], message["num_segments"]) == ("queued", FROM, "1")
    assert message["messaging_service_sid"] is None


async def test_a_message_goes_out_and_arrives(site: Site) -> None:
    sid = (await site.customer.send(From=FROM, Body="On its way")).json["sid"]
    await site.advance(LONG_ENOUGH)
    message = await site.customer.fetch(sid)
    assert (message["status"], message["from"], message["error_code"]) == ("delivered", FROM, None)
    assert message["date_sent"] is not None
    assert [(m.sid, m.body) for m in site.node.sandbox.inbox(TO)] == [(sid, "On its way")]


@pytest.mark.parametrize(
    ("params", "prefix", "num_media"),
    [
        pytest.param({}, "SM", "0", id="text"),
        pytest.param({"MediaUrl": "http://127.0.0.1:1/a.png"}, "MM", "1", id="media"),
        pytest.param({"MediaUrl": "http://127.0.0.1:1/a.png", "Body": None}, "MM", "1", id="only-media"),
        pytest.param({"MediaUrl": ["http://127.0.0.1:1/a"] * 10}, "MM", "10", id="ten-media"),
        pytest.param({"SendAsMms": "true"}, "MM", "0", id="text-as-mms"),
        pytest.param({"SendAsMms": "false"}, "SM", "0", id="text-not-as-mms"),
    ],
)
async def test_the_sid_says_whether_there_are_media(
    site: Site, params: dict[str, str], prefix: str, num_media: str
) -> None:
    message = (await site.schedule(**params)).json
    assert is_sid(message["sid"], prefix)
    assert message["num_media"] == num_media


@pytest.mark.parametrize(
    ("body", "smart", "segments"),
    [
        pytest.param("x" * 160, None, "1", id="one"),
        pytest.param("x" * 161, None, "2", id="two"),
        pytest.param("x" * 307, None, "3", id="three"),
        pytest.param("€" * 80, None, "1", id="escaped-fits"),
        pytest.param("€" * 81, None, "2", id="escaped-does-not"),
        pytest.param("“" * 70, None, "1", id="quotes-one"),
        pytest.param("“" * 71, "false", "2", id="quotes-plain"),
        pytest.param("“" * 71, "true", "1", id="quotes-smart"),
        pytest.param("“" * 161, "true", "2", id="quotes-smart-two"),
        pytest.param("😀" * 71, "true", "3", id="emoji-are-never-smart"),
    ],
)
async def test_segments_of_a_message_from_a_number(site: Site, body: str, smart: str | None, segments: str) -> None:
    message = (await site.customer.send(From=FROM, Body=body, SmartEncoded=smart)).json
    assert message["num_segments"] == segments


@pytest.mark.parametrize(
    ("smart_service", "smart_message", "segments", "text"),
    [
        pytest.param(True, None, "1", '"' * 71, id="as-the-service-says"),
        pytest.param(False, None, "2", "“" * 71, id="as-the-service-says-not"),
        pytest.param(True, "false", "2", "“" * 71, id="the-message-says-no"),
        pytest.param(False, "true", "1", '"' * 71, id="the-message-says-yes"),
    ],
)
async def test_segments_through_a_service_are_counted_once_it_is_sent(
    site: Site, smart_service: bool, smart_message: str | None, segments: str, text: str
) -> None:
    service = await site.add_service(smart_encoding=smart_service)
    await site.add_sender("+15005550011", service)
    reply = await site.customer.send(MessagingServiceSid=service, Body="“" * 71, SmartEncoded=smart_message)
    assert reply.json["num_segments"] == "0"
    await site.advance(LONG_ENOUGH)
    message = await site.customer.fetch(reply.json["sid"])
    assert (message["status"], message["num_segments"]) == ("delivered", segments)
    assert message["body"] == "“" * 71
    assert [m.body for m in site.node.sandbox.inbox(TO)] == [text]


@pytest.mark.parametrize("spelling", ["+1 (415) 555-0100", " 14155550100", "+1.415.555.0100"])
async def test_a_recipient_has_one_spelling(site: Site, spelling: str) -> None:
    assert (await site.customer.send(From=FROM, To=spelling)).json["to"] == TO


async def test_parameters_in_the_query_of_a_create_are_not_the_message(site: Site) -> None:
    form = {"From": FROM, "Body": "Hi"}
    reply = await site.customer.on("POST", "/Messages.json", form, query={"To": TO})
    assert reply.error == (21604, 400)


HOSTILE = {
    "emoji": "👩🏽\u200d🚀 🇯🇵 e\u0301",
    "right-to-left": "\u202eevil\u202c شكرا \u2066x\u2069",
    "quotes": "\"'`</script><script>alert(1)</script>&amp;",
    "control": "\x01\a\b\t\r\n\x1b[31m\x7f\x85\u2028\u2029",
    "sql": "'); DROP TABLE messages; --",
    "format": "%s %n {0.__class__} ${HOME} $(id) \\u0000 %00",
    "noncharacter": "\ufdd0\uffff\U0010ffff\ufeff",
    "form": "a=b&c=d;e+f %2B",
}


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in HOSTILE.items()])
async def test_hostile_text_comes_back_as_it_went_in(site: Site, text: str) -> None:
    tags = msgspec.json.encode({text: text}).decode()
    reply = await site.schedule(Body=text, Tags=tags, MessageIntent=text)
    assert reply.status == 201
    message = await site.customer.fetch(reply.json["sid"])
    assert (message["body"], message["tags"]) == (text, {text: text})
    assert (await site.customer.list())["messages"] == [message]
    for name in ("To", "From", "MessagingServiceSid"):
        assert (await site.customer.list(**{name: text}))["messages"] == []


async def test_a_nul_where_it_may_stand_cuts_nothing_off(site: Site) -> None:
    reply = await site.schedule(Tags='{"a\\u0000b": "c\\u0000d"}', MessageIntent="a\0b", Body="Hi")
    assert (await site.customer.fetch(reply.json["sid"]))["tags"] == {"a\0b": "c\0d"}


HOSTILE_SIDS = [
    "SM", "sm" + "0" * 32, "SM" + "0" * 31, "SM" + "g" * 32, "AC" + "0" * 32, "%00", "%F0%9F%98%80", "%FF", "%E2%80%AE",
    "'%20OR%201=1%20--", "%2e%2e", "..%2fMessages", "%25", "null", "%22%5D",
    "x" * 5_000,
]  # fmt: skip


@pytest.mark.parametrize("sid", HOSTILE_SIDS)
async def test_a_sid_that_is_none_is_not_found(site: Site, sid: str) -> None:
    await site.scheduled()
    for method, form in [("GET", b""), ("DELETE", b""), ("POST", b"Status=canceled"), ("POST", b"Body=")]:
        reply = await site.customer.on(method, f"/Messages/{sid}.json", form)
        assert reply.error == (20404, 404)
        assert len(reply.json["message"]) < 400
    assert await count(site.customer) == 1


# --- what a create is refused for, by what the account has ------------------------------------------------------------

Prepare = Callable[[Site], Awaitable[Mapping[str, str]]]


async def _unknown_service(site: Site) -> Mapping[str, str]:
    return {"MessagingServiceSid": site.sid("MG")}


async def _foreign_service(site: Site) -> Mapping[str, str]:
    other = await site.add_account()
    return {"MessagingServiceSid": await site.add_service(other.account)}


async def _removed_service(site: Site) -> Mapping[str, str]:
    service = await site.add_service()
    await site.node.directory.remove(service)
    return {"MessagingServiceSid": service}


async def _foreign_service_as_from(site: Site) -> Mapping[str, str]:
    return {"From": (await _foreign_service(site))["MessagingServiceSid"]}


async def _sender_as_service(site: Site) -> Mapping[str, str]:
    return {"MessagingServiceSid": await site.add_sender("+15005550011")}


async def _foreign_sender(site: Site) -> Mapping[str, str]:
    other = await site.add_account()
    await site.add_sender("+15005550011", account_sid=other.account)
    return {"From": "+15005550011"}


async def _removed_sender(site: Site) -> Mapping[str, str]:
    await site.node.directory.remove(await site.add_sender("+15005550011"))
    return {"From": "+15005550011"}


async def _sender_of_no_pool(site: Site) -> Mapping[str, str]:
    await site.add_sender("+15005550011")
    return {"From": "+15005550011", "MessagingServiceSid": site.service}


async def _sender_of_another_pool(site: Site) -> Mapping[str, str]:
    await site.add_sender("+15005550011", await site.add_service())
    return {"From": "+15005550011", "MessagingServiceSid": site.service}


async def _alpha_to_america(site: Site) -> Mapping[str, str]:
    await site.add_sender("Postdate", kind=SenderKind.ALPHA, country="")
    return {"From": "Postdate"}


async def _short_code_abroad(site: Site) -> Mapping[str, str]:
    await site.add_sender("12345", kind=SenderKind.SHORT_CODE)
    return {"From": "12345", "To": "+819012345678"}


async def _no_mms(site: Site) -> Mapping[str, str]:
    await site.add_sender("+15005550011", mms=False)
    return {"From": "+15005550011", "MediaUrl": "https://example.com/1.png"}


async def _no_mms_for_text_as_mms(site: Site) -> Mapping[str, str]:
    await site.add_sender("+15005550011", mms=False)
    return {"From": "+15005550011", "SendAsMms": "true"}


async def _foreign_application(site: Site) -> Mapping[str, str]:
    other = await site.add_account()
    return {"From": FROM, "ApplicationSid": await site.add_application(account_sid=other.account)}


async def _unknown_application(site: Site) -> Mapping[str, str]:
    return {"From": FROM, "ApplicationSid": site.sid("AP")}


async def _opted_out_of_a_number(site: Site) -> Mapping[str, str]:
    await site.add_sender("+15005550011")
    await site.node.sandbox.reply(TO, "+15005550011", "STOP")
    return {"From": "+15005550011"}


async def _opted_out_of_a_service(site: Site) -> Mapping[str, str]:
    await site.node.sandbox.reply(TO, FROM, " stop ")
    return {"MessagingServiceSid": site.service}


async def _full_queue(site: Site) -> Mapping[str, str]:
    await site.add_sender("+15005550011", mps=0.0001)  # its queue, ten hours of it, holds three segments
    for _ in range(4):
        assert (await site.customer.send(From="+15005550011")).status == 201
        await site.node.settle()
    return {"From": "+15005550011", "Body": "x" * 1_000}


async def _nothing(site: Site) -> Mapping[str, str]:
    return {}


def _plain(**params: str) -> Prepare:
    async def prepare(site: Site) -> Mapping[str, str]:
        return params

    return prepare


@pytest.mark.parametrize(
    ("prepare", "code", "status"),
    [
        pytest.param(_nothing, 21603, 400, id="no-sender-and-no-service"),
        pytest.param(_plain(From=""), 21603, 400, id="empty-from"),
        pytest.param(_plain(From="+15005550019"), 21606, 400, id="from-unknown"),
        pytest.param(_plain(From="Postdate"), 21606, 400, id="from-unknown-name"),
        pytest.param(_plain(From="whatsapp:" + FROM), 21606, 400, id="from-unknown-on-whatsapp"),
        pytest.param(_plain(From=FROM, To="whatsapp:" + TO), 21606, 400, id="channels-differ"),
        pytest.param(_plain(From="+1"), 21212, 400, id="from-malformed"),
        pytest.param(_plain(To="hello", From=FROM), 21211, 400, id="to-malformed"),
        pytest.param(_foreign_sender, 21606, 400, id="from-of-another-account"),
        pytest.param(_removed_sender, 21606, 400, id="from-removed"),
        pytest.param(_sender_of_no_pool, 21606, 400, id="from-in-no-pool"),
        pytest.param(_sender_of_another_pool, 21606, 400, id="from-in-another-pool"),
        pytest.param(_alpha_to_america, 21606, 400, id="alpha-to-america"),
        pytest.param(_short_code_abroad, 21606, 400, id="short-code-abroad"),
        pytest.param(_no_mms, 21621, 400, id="from-without-mms"),
        pytest.param(_no_mms_for_text_as_mms, 21621, 400, id="text-as-mms-from-without-mms"),
        pytest.param(_unknown_service, 21701, 404, id="service-unknown"),
        pytest.param(_foreign_service, 21701, 404, id="service-of-another-account"),
        pytest.param(_foreign_service_as_from, 21701, 404, id="service-of-another-account-as-from"),
        pytest.param(_removed_service, 21701, 404, id="service-removed"),
        pytest.param(_sender_as_service, 21705, 400, id="service-is-a-number"),
        pytest.param(_foreign_application, 21420, 400, id="application-of-another-account"),
        pytest.param(_unknown_application, 21420, 400, id="application-unknown"),
        pytest.param(_opted_out_of_a_number, 21610, 400, id="opted-out-of-the-number"),
        pytest.param(_opted_out_of_a_service, 21610, 400, id="opted-out-of-the-service"),
        pytest.param(_full_queue, 21611, 400, id="queue-full"),
    ],
)
async def test_a_create_is_refused(site: Site, prepare: Prepare, code: int, status: int) -> None:
    params = await prepare(site)
    before = await count(site.customer)
    assert (await site.customer.send(**params)).error == (code, status)
    assert await count(site.customer) == before


async def test_what_was_refused_is_taken_once_the_cause_is_gone(site: Site) -> None:
    await site.node.sandbox.reply(TO, FROM, "STOP")
    assert (await site.customer.send(MessagingServiceSid=site.service)).error == (21610, 400)
    assert (await site.customer.send(MessagingServiceSid=site.service, To="+14155550101")).status == 201
    await site.node.sandbox.reply(TO, FROM, "START")
    assert (await site.customer.send(MessagingServiceSid=site.service)).status == 201


async def test_a_service_as_from(site: Site) -> None:
    message = (await site.customer.send(From=site.service)).json
    assert (message["status"], message["from"], message["messaging_service_sid"]) == ("accepted", None, site.service)


async def test_a_sender_of_the_pool_with_its_service(site: Site) -> None:
    await site.add_sender("+15005550011", site.service)
    message = (await site.customer.send(From="+15005550011", MessagingServiceSid=site.service)).json
    assert (message["status"], message["from"]) == ("accepted", "+15005550011")
    await site.advance(LONG_ENOUGH)
    assert [m.sender for m in site.node.sandbox.inbox(TO)] == ["+15005550011"]


async def test_an_alpha_sender_abroad(site: Site) -> None:
    await site.add_sender("Postdate", kind=SenderKind.ALPHA, country="")
    message = (await site.customer.send(From="Postdate", To="+819012345678")).json
    assert (message["status"], message["from"]) == ("queued", "Postdate")


@pytest.mark.parametrize(
    ("to", "code"),
    [
        pytest.param("+15005550001", 30005, id="unknown"),
        pytest.param("+15005550003", 30004, id="refused"),
        pytest.param("+15005550009", 30006, id="landline"),
    ],
)
async def test_what_failed_says_why(site: Site, to: str, code: int) -> None:
    sid = (await site.customer.send(From=FROM, To=to)).json["sid"]
    await site.advance(LONG_ENOUGH)
    message = await site.customer.fetch(sid)
    assert message["error_code"] == code
    assert message["error_message"]


# --- as Twilio's own document describes it ---------------------------------------------------------------------------

MESSAGES = f"{API}/{{AccountSid}}/Messages.json"
MESSAGE = f"{API}/{{AccountSid}}/Messages/{{Sid}}.json"


@pytest.mark.parametrize(
    "params",
    [
        pytest.param({"From": FROM}, id="from-a-number"),
        pytest.param({"MessagingServiceSid": "service"}, id="through-a-service"),
        pytest.param({"From": FROM, "MediaUrl": "http://127.0.0.1:1/1.png"}, id="media"),
        pytest.param({"From": FROM, "ProvideFeedback": "true", "Tags": '{"a": "b"}'}, id="with-feedback-and-tags"),
    ],
)
async def test_a_created_message_is_as_documented(site: Site, params: dict[str, str]) -> None:
    given = {name: site.service if value == "service" else value for name, value in params.items()}
    reply = await site.customer.send(**given)
    check(DOCUMENT, "POST", MESSAGES, reply.status, reply.json)


async def test_a_scheduled_message_is_as_documented_all_its_life(site: Site) -> None:
    reply = await site.schedule()
    check(DOCUMENT, "POST", MESSAGES, reply.status, reply.json)
    path = f"/Messages/{reply.json['sid']}.json"
    canceled = await site.customer.on("POST", path, b"Status=canceled")
    check(DOCUMENT, "POST", MESSAGE, canceled.status, canceled.json)
    redacted = await site.customer.on("POST", path, b"Body=")
    check(DOCUMENT, "POST", MESSAGE, redacted.status, redacted.json)
    deleted = await site.customer.on("DELETE", path)
    check(DOCUMENT, "DELETE", MESSAGE, deleted.status, None)


# --- callbacks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "application", "service", "told"),
    [
        pytest.param("/own", "/application", "/service", "/own", id="its-own-first"),
        pytest.param(None, "/application", "/service", "/application", id="then-its-applications"),
        pytest.param(None, None, "/service", "/service", id="then-its-services"),
        pytest.param("", None, "/service", "/service", id="an-empty-one-is-none"),
        pytest.param("/own#rc=5&rp=all", None, None, "/own", id="without-its-fragment"),
        pytest.param(None, None, None, None, id="nobody"),
    ],
)
async def test_who_is_told(
    site: Site, own: str | None, application: str | None, service: str | None, told: str | None
) -> None:
    paths: list[str] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        paths.append(request.raw_path)
        return web.Response()

    runner = web.ServerRunner(web.Server(answer), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"

    def url(path: str | None) -> str | None:
        return path and base + path

    mg = await site.add_service(status_callback=url(service))
    ap = await site.add_application(message_status_callback=url(application))
    sid = await site.scheduled(MessagingServiceSid=mg, StatusCallback=url(own), ApplicationSid=ap)
    await site.customer.on("POST", f"/Messages/{sid}", b"Status=canceled")
    await site.advance(LONG_ENOUGH)
    await runner.cleanup()
    assert paths == ([] if told is None else [told])


# --- paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["", ".json"])
async def test_every_path_goes_with_json_behind_it_and_without(site: Site, ending: str) -> None:
    on = site.customer.on
    created = await on("POST", f"/Messages{ending}", {"To": TO, "From": FROM, "Body": "Hi", "ProvideFeedback": "true"})
    assert created.status == 201
    sid = created.json["sid"]
    assert created.json["uri"].endswith(f"/Messages/{sid}.json")
    await site.advance(LONG_ENOUGH)
    assert (await on("GET", f"/Messages{ending}")).json["messages"][0]["sid"] == sid
    assert (await on("GET", f"/Messages/{sid}{ending}")).json["sid"] == sid
    assert (await on("POST", f"/Messages/{sid}{ending}", {"Body": ""})).json["body"] == ""
    assert (await on("GET", f"/Messages/{sid}/Media{ending}")).json["media_list"] == []
    assert (await on("POST", f"/Messages/{sid}/Feedback{ending}")).json["outcome"] == "confirmed"
    assert (await on("DELETE", f"/Messages/{sid}{ending}")).status == 204


async def test_the_paths_that_a_message_names_lead_somewhere(site: Site) -> None:
    message = (await site.customer.send(From=FROM, ProvideFeedback="true")).json
    links = message["subresource_uris"]
    assert (await site.customer.call("GET", message["uri"])).json["sid"] == message["sid"]
    assert (await site.customer.call("GET", links["media"])).json["media_list"] == []
    assert (await site.customer.call("POST", links["feedback"])).json["message_sid"] == message["sid"]


@pytest.mark.parametrize(
    "path",
    ["", "/", "/2010-04-01", "/2010-04-01/Accounts/{ac}/Messages/", "/2010-04-01/Accounts/{ac}/Messages/x/y",
     "/2010-04-01/Accounts/{ac}/messages.json", "/2008-08-01/Accounts/{ac}/Messages.json", "/%00", "/%FF.json",
     "/2010-04-01/Accounts/{ac}/Messages.json.json", "/2010-04-01/Accounts/{ac}/Messages.xml"],
)  # fmt: skip
async def test_what_is_nowhere_is_not_found(site: Site, path: str) -> None:
    reply = await site.customer.call("GET", path.format(ac=site.customer.account))
    assert reply.error == (20404, 404)


# --- a message in every status ----------------------------------------------------------------------------------------

Bring = Callable[[Site], Awaitable[str]]


async def _created(site: Site, **params: str) -> str:
    reply = await site.customer.send(**{"From": FROM, **params})
    assert reply.status == 201, reply
    sid: str = reply.json["sid"]
    return sid


@asynccontextmanager
async def silent_server() -> AsyncIterator[str]:
    """Run a server that takes connections and says nothing."""
    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/1.png"
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await server.wait_closed()


async def _accepted(site: Site) -> str:
    return await _created(site, From=site.service, MediaUrl="http://127.0.0.1:9/hangs")


async def _scheduled(site: Site) -> str:
    return await site.scheduled()


async def _queued(site: Site) -> str:
    await site.add_sender("+15005550011", mps=0.001)
    await _created(site, From="+15005550011")
    await site.advance(TAKEN)
    return await _created(site, From="+15005550011")


async def _sending(site: Site) -> str:
    return await _created(site, To="+15005550007")


async def _sent(site: Site) -> str:
    return await _created(site, To="+15005550008")


async def _delivered(site: Site) -> str:
    sid = await _created(site)
    await site.advance(LONG_ENOUGH)
    return sid


async def _undelivered(site: Site) -> str:
    sid = await _created(site, To="+15005550001")
    await site.advance(LONG_ENOUGH)
    return sid


async def _read(site: Site) -> str:
    site.node.sandbox.set_script(Script.parse({"rules": [{"receipt": {"read_after": "1s"}}]}))
    return await _delivered(site)


async def _failed(site: Site) -> str:
    return await _created(site, To="+15005550003")


async def _canceled(site: Site) -> str:
    sid = await site.scheduled()
    assert (await site.customer.on("POST", f"/Messages/{sid}.json", {"Status": "canceled"})).status == 200
    return sid


async def _received(site: Site) -> str:
    await site.node.sandbox.reply(TO, FROM, "Hello")
    (message,) = (await site.customer.list(Status="received"))["messages"]
    sid: str = message["sid"]
    return sid


BRING: Mapping[Status, Bring] = {
    Status.SCHEDULED: _scheduled,
    Status.QUEUED: _queued,
    Status.SENDING: _sending,
    Status.SENT: _sent,
    Status.DELIVERED: _delivered,
    Status.UNDELIVERED: _undelivered,
    Status.READ: _read,
    Status.FAILED: _failed,
    Status.CANCELED: _canceled,
    Status.RECEIVED: _received,
}
every_status = pytest.mark.parametrize("status", list(BRING))


async def brought(site: Site, status: Status) -> dict[str, Any]:
    """Return a message that is in this status."""
    sid = await BRING[status](site)
    await site.advance(TAKEN)
    message = await site.customer.fetch(sid)
    assert message["status"] == status
    return message


def unchanged(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    return dict(before) == dict(now)


def without_date(message: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name != "date_updated"}


@every_status
async def test_a_message_in_every_status_is_as_documented(site: Site, status: Status) -> None:
    message = await brought(site, status)
    check(DOCUMENT, "GET", MESSAGE, 200, message)
    check(DOCUMENT, "GET", MESSAGES, 200, await site.customer.list())
    assert message["num_segments"] == ("0" if status in (Status.SCHEDULED, Status.CANCELED) else "1")
    handed_over = status in (Status.SENT, Status.DELIVERED, Status.UNDELIVERED, Status.READ)
    assert (message["date_sent"] is not None) == (handed_over or status is Status.RECEIVED)


@every_status
async def test_cancelling(site: Site, status: Status) -> None:
    before = await brought(site, status)
    reply = await site.customer.on("POST", f"/Messages/{before['sid']}.json", {"Status": "canceled"})
    now = await site.customer.fetch(before["sid"])
    if status is Status.SCHEDULED:
        assert reply.status == 200
        assert reply.json == now
        assert without_date(now) == {**without_date(before), "status": "canceled", "due_at": None}
    elif status is Status.CANCELED:
        assert reply.status == 200
        assert reply.json == now
        assert unchanged(before, now)
    else:
        assert reply.error == (30409, 409)
        assert status in reply.json["message"]
        assert unchanged(before, now)


async def test_a_message_whose_media_are_being_fetched_cannot_be_canceled(site: Site) -> None:
    async with silent_server() as url:
        sid = await _created(site, From=site.service, MediaUrl=url)
        assert (await site.customer.fetch(sid))["status"] == "accepted"
        for form, error in [("Status=canceled", (30409, 409)), ("Body=", (20009, 409))]:
            assert (await site.customer.on("POST", f"/Messages/{sid}.json", form.encode())).error == error
        assert (await site.customer.on("DELETE", f"/Messages/{sid}.json")).error == (20009, 409)
        assert (await site.customer.fetch(sid))["status"] == "accepted"


async def test_of_many_deletes_at_once_one_finds_it(site: Site) -> None:
    sid = await _canceled(site)
    replies = await asyncio.gather(*(site.customer.on("DELETE", f"/Messages/{sid}.json") for _ in range(20)))
    assert sorted(reply.status for reply in replies) == [204] + [404] * 19


async def test_what_was_canceled_is_never_sent(site: Site) -> None:
    canceled, kept = await site.scheduled(Body="No"), await site.scheduled(Body="Yes")
    for _ in range(3):
        reply = await site.customer.on("POST", f"/Messages/{canceled}", {"Status": "canceled"})
        assert (reply.status, reply.json["status"]) == (200, "canceled")
    await site.advance(24 * 3_600_000_000)
    assert [m.body for m in site.node.sandbox.inbox(TO)] == ["Yes"]
    assert (await site.customer.fetch(canceled))["status"] == "canceled"
    assert (await site.customer.fetch(canceled))["date_sent"] is None
    assert (await site.customer.fetch(kept))["status"] == "delivered"


async def test_many_cancels_at_once_all_hear_the_same(site: Site) -> None:
    sid = await site.scheduled()
    form = {"Status": "canceled"}
    replies = await asyncio.gather(*(site.customer.on("POST", f"/Messages/{sid}.json", form) for _ in range(20)))
    assert {reply.status for reply in replies} == {200}
    assert len({reply.body for reply in replies}) == 1


@every_status
async def test_redacting(site: Site, status: Status) -> None:
    before = await brought(site, status)
    reply = await site.customer.on("POST", f"/Messages/{before['sid']}.json", {"Body": ""})
    now = await site.customer.fetch(before["sid"])
    if status in FINAL:
        assert reply.status == 200
        assert reply.json == now
        assert without_date(now) == {**without_date(before), "body": ""}
    else:
        assert reply.error == (20009, 409)
        assert unchanged(before, now)


@every_status
async def test_deleting(site: Site, status: Status) -> None:
    before = await brought(site, status)
    path = f"/Messages/{before['sid']}.json"
    reply = await site.customer.on("DELETE", path)
    if status in FINAL:
        assert (reply.status, reply.body) == (204, b"")
        for method, form in [("GET", b""), ("DELETE", b""), ("POST", b"Status=canceled"), ("POST", b"Body=")]:
            assert (await site.customer.on(method, path, form)).error == (20404, 404)
        assert before["sid"] not in [m["sid"] for m in (await site.customer.list())["messages"]]
    else:
        assert reply.error == (20009, 409)
        assert unchanged(before, await site.customer.fetch(before["sid"]))


@every_status
async def test_feedback(site: Site, status: Status) -> None:
    before = await brought(site, status)
    reply = await site.customer.on("POST", f"/Messages/{before['sid']}/Feedback.json", {"Outcome": "unconfirmed"})
    assert reply.status == 200
    told = reply.json
    dates = {told.pop("date_created"), told.pop("date_updated")}
    assert told == {
        "account_sid": site.customer.account,
        "message_sid": before["sid"],
        "outcome": "unconfirmed",
        "uri": f"/2010-04-01/Accounts/{site.customer.account}/Messages/{before['sid']}/Feedback.json",
    }
    assert all(date.endswith(" +0000") for date in dates)
    assert (await site.customer.fetch(before["sid"]))["status"] == status


async def test_feedback_is_as_documented(site: Site) -> None:
    sid = await _created(site)
    reply = await site.customer.on("POST", f"/Messages/{sid}/Feedback.json", {"Outcome": "confirmed"})
    template = f"{API}/{{AccountSid}}/Messages/{{MessageSid}}/Feedback.json"
    check(DOCUMENT, "POST", template, reply.status, reply.json)


async def test_feedback_is_confirmed_by_default_and_nothing_else(site: Site) -> None:
    sid = await _created(site)
    assert (await site.customer.on("POST", f"/Messages/{sid}/Feedback.json")).json["outcome"] == "confirmed"
    assert (await site.customer.on("POST", f"/Messages/{sid}/Feedback.json", b"Outcome=great")).error == (20001, 400)
    assert (await site.customer.on("POST", f"/Messages/{NOBODY}/Feedback.json")).error == (20404, 404)


# --- updates that are none --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "code", "told"),
    [
        pytest.param({"Status": "cancelled"}, 20001, "'canceled'", id="british"),
        pytest.param({"Status": "Canceled"}, 20001, "'canceled'", id="capital"),
        pytest.param({"Status": ""}, 20001, "'canceled'", id="empty"),
        pytest.param({"Status": "sent"}, 20001, "'canceled'", id="sent"),
        pytest.param({"Status": "\0" * 5_000}, 20001, "...", id="hostile"),
        pytest.param({"Body": "Another text"}, 20001, "redacts", id="another-body"),
        pytest.param({"Body": " "}, 20001, "redacts", id="blank-body"),
        pytest.param({"SendAt": "tomorrow"}, 20001, "'tomorrow'", id="no-time"),
        pytest.param({"Status": "paused", "Body": ""}, 20001, "'canceled'", id="status-first"),
    ],
)
async def test_an_update_that_is_refused_changes_nothing(
    site: Site, form: dict[str, str], code: int, told: str
) -> None:
    sid = await site.scheduled()
    before = await site.customer.fetch(sid)
    reply = await site.customer.on("POST", f"/Messages/{sid}.json", form)
    assert reply.error == (code, 400)
    assert told in reply.json["message"]
    assert len(reply.json["message"]) < 400
    assert unchanged(before, await site.customer.fetch(sid))


@pytest.mark.parametrize("form", [{}, {"To": "+14155550199"}, {"MediaUrl": "https://example.com/"}, {"Nonsense": "1"}])
async def test_an_update_of_nothing_answers_the_message(site: Site, form: dict[str, str]) -> None:
    sid = await site.scheduled()
    before = await site.customer.fetch(sid)
    reply = await site.customer.on("POST", f"/Messages/{sid}.json", form)
    assert (reply.status, reply.json) == (200, before)
    assert unchanged(before, await site.customer.fetch(sid))


# --- whose message it is ----------------------------------------------------------------------------------------------

CHANGES: Sequence[tuple[str, str, bytes]] = [
    ("GET", "", b""),
    ("POST", "", b"Status=canceled"),
    ("POST", "", b"Body="),
    ("POST", "", b"SendAt=2099-01-01T00:00:00Z"),
    ("POST", "", b""),
    ("DELETE", "", b""),
    ("GET", "/Media", b""),
    ("POST", "/Feedback", b""),
]
changes = pytest.mark.parametrize(
    ("method", "below", "form"), [pytest.param(*case, id=f"{case[0]} {case[1]} {case[2].decode()}") for case in CHANGES]
)


@changes
async def test_another_account_sees_nothing(site: Site, method: str, below: str, form: bytes) -> None:
    sid = await site.scheduled()
    before = await site.customer.fetch(sid)
    other = await site.add_account()
    assert (await other.on(method, f"/Messages/{sid}{below}.json", form)).error == (20404, 404)
    intruder = Customer(site.app, site.customer.account, other.user, other.secret)
    assert (await intruder.on(method, f"/Messages/{sid}{below}.json", form)).error == (20003, 401)
    assert unchanged(before, await site.customer.fetch(sid))
    assert await count(other) == 0


@changes
async def test_a_parent_acts_on_its_subaccount_and_not_the_other_way(
    site: Site, method: str, below: str, form: bytes
) -> None:
    child = await site.add_account(site.customer.account)
    service = await site.add_service(child.account)
    reply = await child.send(MessagingServiceSid=service, ScheduleType="fixed", SendAt=site.ahead(7_200_000_000))
    sid = reply.json["sid"]
    # Under the parent's own path there is no such message, and the child has no say over its parent.
    assert (await site.customer.on(method, f"/Messages/{sid}{below}", form)).error == (20404, 404)
    upward = Customer(site.app, site.customer.account, child.user, child.secret)
    assert (await upward.on(method, f"/Messages/{sid}{below}", form)).error == (20003, 401)
    parent = Customer(site.app, child.account, site.customer.user, site.customer.secret)
    expected = {"GET": {200}, "POST": {200, 400, 409}, "DELETE": {409}}[method]
    assert (await parent.on(method, f"/Messages/{sid}{below}", form)).status in expected
    assert (await child.fetch(sid))["account_sid"] == child.account


async def test_a_parent_sends_for_its_subaccount(site: Site) -> None:
    child = await site.add_account(site.customer.account)
    await site.add_sender("+15005550011", account_sid=child.account)
    parent = Customer(site.app, child.account, site.customer.user, site.customer.secret)
    message = (await parent.send(From="+15005550011")).json
    assert message["account_sid"] == child.account
    assert (await child.fetch(message["sid"]))["sid"] == message["sid"]
    assert await count(site.customer) == 0
    # The subaccount's number is not the parent's.
    assert (await site.customer.send(From="+15005550011")).error == (21606, 400)


async def test_nobody_sends_for_a_suspended_account(site: Site) -> None:
    child = await site.add_account(site.customer.account, status=AccountStatus.SUSPENDED)
    await site.add_sender("+15005550011", account_sid=child.account)
    assert (await child.send(From="+15005550011")).error == (20005, 403)
    parent = Customer(site.app, child.account, site.customer.user, site.customer.secret)
    assert (await parent.send(From="+15005550011")).error == (20005, 403)
    assert (await parent.list())["messages"] == []


# --- Idempotency-Key --------------------------------------------------------------------------------------------------


def with_key(customer: Customer, key: str, **params: str) -> Awaitable[Any]:
    form = {"To": TO, "From": FROM, "Body": "Hi", **params}
    return customer.on("POST", "/Messages.json", form, Idempotency_Key=key)


async def test_a_repeated_request_answers_the_first_message(site: Site) -> None:
    first = await with_key(site.customer, "k1")
    await site.advance(LONG_ENOUGH)
    again = await with_key(site.customer, "k1")
    assert (first.status, again.status) == (201, 201)
    assert again.json["sid"] == first.json["sid"]
    assert again.json["status"] == "delivered"
    assert await count(site.customer) == 1
    assert len(site.node.sandbox.inbox(TO)) == 1


async def test_many_of_the_same_request_at_once_make_one_message(site: Site) -> None:
    replies = await asyncio.gather(*(with_key(site.customer, "k1") for _ in range(30)))
    assert {reply.status for reply in replies} == {201}
    assert len({reply.json["sid"] for reply in replies}) == 1
    assert await count(site.customer) == 1


async def test_different_requests_at_once_with_one_key_make_one_message(site: Site) -> None:
    replies = await asyncio.gather(*(with_key(site.customer, "k1", Body=str(i % 2)) for i in range(20)))
    won = [reply for reply in replies if reply.status == 201]
    assert {reply.error for reply in replies if reply not in won} == {(20409, 409)}
    assert len({reply.json["sid"] for reply in won}) == 1
    assert len(won) == 10
    assert await count(site.customer) == 1


@pytest.mark.parametrize(
    "other",
    [{"Body": "Ho"}, {"To": "+14155550101"}, {"StatusCallback": "https://example.com/"}, {"Tags": '{"a": "b"}'}],
)
async def test_another_request_with_the_same_key_is_refused(site: Site, other: dict[str, str]) -> None:
    assert (await with_key(site.customer, "k1")).status == 201
    assert (await with_key(site.customer, "k1", **other)).error == (20409, 409)
    assert await count(site.customer) == 1


async def test_keys_are_told_apart_by_every_character_and_by_account(site: Site) -> None:
    other = await site.add_account()
    await site.add_sender("+15005550011", account_sid=other.account)
    sids = {(await with_key(site.customer, key)).json["sid"] for key in ("k1", "K1", "k1 ", "é", "x" * 255, "")}
    sids.add((await with_key(site.customer, "")).json["sid"])
    sids.add((await with_key(other, "k1", From="+15005550011")).json["sid"])
    assert len(sids) == 8


async def test_a_key_that_is_too_long_is_refused_not_cut(site: Site) -> None:
    assert (await with_key(site.customer, "x" * 256)).error == (20001, 400)
    assert await count(site.customer) == 0


async def test_a_refused_request_leaves_its_key_unused(site: Site) -> None:
    assert (await with_key(site.customer, "k1", From="+15005550019")).error == (21606, 400)
    assert (await with_key(site.customer, "k1")).status == 201


async def test_a_key_whose_message_was_deleted_sends_nothing_again(site: Site) -> None:
    sid = (await with_key(site.customer, "k1")).json["sid"]
    await site.advance(LONG_ENOUGH)
    assert (await site.customer.on("DELETE", f"/Messages/{sid}")).status == 204
    assert (await with_key(site.customer, "k1")).error == (20404, 404)
    assert await count(site.customer) == 0


async def test_a_late_repeat_of_a_schedule_hears_of_its_message(site: Site) -> None:
    # The first answer was lost on the way; by the time of the repeat the SendAt is nearer than one may schedule.
    form = {"MessagingServiceSid": site.service, "ScheduleType": "fixed", "SendAt": site.ahead(3_600_000_000)}
    form |= {"To": TO, "Body": "Hi"}
    first = await site.customer.on("POST", "/Messages.json", form, Idempotency_Key="k1")
    await site.advance(1_000_000)
    again = await site.customer.on("POST", "/Messages.json", form, Idempotency_Key="k1")
    assert (again.status, again.json["sid"]) == (201, first.json["sid"])


async def test_a_repeat_is_answered_though_the_queue_is_full_by_now(site: Site) -> None:
    await site.add_sender("+15005550011", mps=0.0001)  # its queue, ten hours of it, holds three segments
    first = await with_key(site.customer, "k1", From="+15005550011")
    reply = first
    while reply.status == 201:
        await site.node.settle()
        reply = await site.customer.send(From="+15005550011")
    assert reply.error == (21611, 400)
    again = await with_key(site.customer, "k1", From="+15005550011")
    assert (again.status, again.json.get("sid")) == (201, first.json["sid"])


async def test_a_repeat_is_answered_though_the_recipient_said_stop_by_now(site: Site) -> None:
    first = await with_key(site.customer, "k1")
    await site.advance(LONG_ENOUGH)
    await site.node.sandbox.reply(TO, FROM, "STOP")
    again = await with_key(site.customer, "k1")
    assert (again.status, again.json.get("sid")) == (201, first.json["sid"])


async def test_five_hundred_at_once(site: Site) -> None:
    replies = await asyncio.gather(*(site.customer.send(From=FROM, Body=str(n)) for n in range(500)))
    assert {reply.status for reply in replies} == {201}
    sids = {reply.json["sid"]: reply.json["body"] for reply in replies}
    assert sorted(sids.values(), key=int) == [str(n) for n in range(500)]
    page = await site.customer.list(PageSize="1000")
    assert {message["sid"]: message["body"] for message in page["messages"]} == sids
    await site.advance(LONG_ENOUGH)
    assert sorted(m.sid for m in site.node.sandbox.inbox(TO)) == sorted(sids)


async def test_a_receipt_for_a_message_that_was_deleted_is_nobodys(site: Site) -> None:
    deleted, kept = await _created(site), await _created(site)
    await site.advance(TAKEN)
    assert (await site.customer.fetch(deleted))["status"] == "sent"
    assert (await site.customer.on("DELETE", f"/Messages/{deleted}")).status == 204
    await site.advance(LONG_ENOUGH)
    assert [(m["sid"], m["status"]) for m in (await site.customer.list())["messages"]] == [(kept, "delivered")]


async def test_sids_are_unique_and_in_order(site: Site) -> None:
    sids = []
    for _ in range(20):
        sids.append(await _created(site))
        await site.advance(1_000)
    assert len(set(sids)) == 20
    assert [a[:14] <= b[:14] for a, b in itertools.pairwise(sids)] == [True] * 19
