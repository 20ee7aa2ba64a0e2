"""The official Python library, unmodified: pointed at a node by base URL and by HTTP client, in both its styles.

The synchronous client blocks, so it runs in a thread while the node answers on the event loop.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.request_validator import RequestValidator
from twilio.rest import Client
from twilio.twiml.messaging_response import MessagingResponse

from postdate.core.instant import DAY, SECOND
from tests.api.serving import FROM, LONG_ENOUGH, TAKEN, TO, instant
from tests.clients.conftest import PNG, Surroundings

T = TypeVar("T")


def naive(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> datetime:
    """Return a time without a zone, as most customers write it."""
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC).replace(tzinfo=None)


Call = Callable[..., Any]


# --- two ways to point the library at a node, in two styles -----------------------------------------------------------


def redirected(url: str, base: str) -> str:
    """Return a URL of Twilio's as one of the node's."""
    parts = urlsplit(url)
    assert parts.netloc.endswith(".twilio.com"), url
    return f"{base}{parts.path}" + (f"?{parts.query}" if parts.query else "")


class Local(TwilioHttpClient):
    """An HTTP client that takes every call to a node."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self._base = base

    def request(self, method: str, url: str, *args: Any, **named: Any) -> Response:  # type: ignore[override]
        """Make a call, to the node."""
        return super().request(method, redirected(url, self._base), *args, **named)


class AsyncLocal(AsyncTwilioHttpClient):
    """The same for the asynchronous style."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self._base = base

    async def request(  # type: ignore[override]
        self, method: str, url: str, *args: Any, **named: Any
    ) -> Response:
        """Make a call, to the node."""
        return await super().request(method, redirected(url, self._base), *args, **named)


def point(client: Client, base: str) -> Client:
    """Point a client at a node by its base URLs."""
    client.api.base_url = client.messaging.base_url = base
    return client


@contextmanager
def a_client(around: Surroundings, user: str = "", secret: str = "", account: str | None = None) -> Iterator[Any]:
    """Give a synchronous client of the first account, or of whoever's credentials these are."""
    customer = around.site.customer
    transport: Any = TwilioHttpClient()
    client = Client(user or customer.user, secret or customer.secret, account, http_client=transport, environment={})
    try:
        yield point(client, around.url)
    finally:
        transport.session.close()


async def threaded(call: Callable[..., T], *args: Any, **named: Any) -> T:
    """Run what blocks in a thread."""
    return await asyncio.to_thread(call, *args, **named)


class Style:
    """A client, and how its methods are called: `await style.do(client.messages, "create", ...)`."""

    def __init__(self, client: Client, is_async: bool) -> None:
        self.client: Any = client
        self._is_async = is_async

    async def do(self, resource: Any, method: str, **named: Any) -> Any:
        """Call a method of a resource."""
        if self._is_async:
            return await getattr(resource, f"{method}_async")(**named)
        return await threaded(getattr(resource, method), **named)


@asynccontextmanager
async def styled(around: Surroundings, way: str, is_async: bool) -> AsyncIterator[Style]:
    """Give a client that reaches the node in this way and this style."""
    customer = around.site.customer
    if is_async:
        transport: Any = AsyncLocal(around.url) if way == "http client" else AsyncTwilioHttpClient()
    else:
        transport = Local(around.url) if way == "http client" else TwilioHttpClient()
    client = Client(customer.user, customer.secret, http_client=transport, environment={})
    try:
        yield Style(client if way == "http client" else point(client, around.url), is_async)
    finally:
        if is_async:
            await transport.close()
        else:
            transport.session.close()


# --- the whole story -------------------------------------------------------------------------------------------------


# How the library calls aiohttp is on its way out there.
@pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The 'auth' parameter is deprecated:DeprecationWarning")
@pytest.mark.parametrize("way", ["base url", "http client"])
@pytest.mark.parametrize("is_async", [False, True], ids=["blocking", "async"])
async def test_the_announcements_story(around: Surroundings, way: str, is_async: bool) -> None:
    await around.site.node.advance_to(instant(datetime(2030, 1, 1, tzinfo=UTC)))
    async with styled(around, way, is_async) as style:
        client, do = style.client, style.do
        # 1. A messaging service with a number.
        service = await do(client.messaging.v1.services, "create", friendly_name="Clinic")
        number = await do(client.incoming_phone_numbers, "create", phone_number="+15005550011")
        pooled = await do(
            client.messaging.v1.services(service.sid).phone_numbers, "create", phone_number_sid=number.sid
        )
        assert (pooled.phone_number, pooled.service_sid) == ("+15005550011", service.sid)
        pool = await do(client.messaging.v1.services(service.sid).phone_numbers, "list")
        assert [one.sid for one in pool] == [number.sid]
        # 2. A reminder the day before, and one with a picture three hours before.
        schedule = {"messaging_service_sid": service.sid, "to": TO, "schedule_type": "fixed"}
        first = await do(
            client.messages,
            "create",
            body="Tomorrow at 3PM",
            send_at=naive(2030, 1, 2, 15),
            status_callback=around.status_url,
            **schedule,
        )
        second = await do(
            client.messages,
            "create",
            body="In three hours",
            media_url=[around.media_url],
            send_at=naive(2030, 1, 3, 12),
            status_callback=around.status_url,
            **schedule,
        )
        assert (first.status, first.from_, first.num_segments, first.error_code) == ("scheduled", None, "0", None)
        assert (first.sid[:2], second.sid[:2], second.num_media) == ("SM", "MM", "1")
        assert first.date_created == datetime(2030, 1, 1, tzinfo=UTC)
        # 3. The first goes out, the second is canceled.
        await around.site.node.advance_to(instant(datetime(2030, 1, 2, 15, 0, 10, tzinfo=UTC)))
        canceled = await do(client.messages(second.sid), "update", status="canceled")
        assert canceled.status == "canceled"
        await around.site.advance(2 * DAY)
        fetched = await do(client.messages(first.sid), "fetch")
        assert (fetched.status, fetched.from_, fetched.num_segments) == ("delivered", "+15005550011", "1")
        assert fetched.date_sent == datetime(2030, 1, 2, 15, tzinfo=UTC)
        assert (await do(client.messages(second.sid), "fetch")).status == "canceled"
        assert [m.body for m in around.site.node.sandbox.inbox(TO)] == ["Tomorrow at 3PM"]
        # 4. What was told on the way is signed; then nothing is left.
        told = [(heard.params["MessageSid"], heard.status) for heard in around.heard]
        expected = [(first.sid, status) for status in ("queued", "sent", "delivered")]
        assert told == [*expected, (second.sid, "canceled")]
        validator = RequestValidator(around.site.customer.secret)
        for heard in around.heard:
            assert heard.url == around.status_url
            assert validator.validate(heard.url, heard.params, heard.signature)
            assert not validator.validate(heard.url, heard.params | {"MessageStatus": "failed"}, heard.signature)
            assert not RequestValidator("wrong").validate(heard.url, heard.params, heard.signature)
        redacted = await do(client.messages(first.sid), "update", body="")
        assert (redacted.body, redacted.status) == ("", "delivered")
        for sid in (first.sid, second.sid):
            assert await do(client.messages(sid), "delete") is True
        assert await do(client.messages, "list") == []


# --- SendAt ----------------------------------------------------------------------------------------------------------


SEND_ATS: list[tuple[Any, str | None]] = [
    (naive(2030, 1, 1, 14), "2030-01-01T14:00:00Z"),
    (datetime(2030, 1, 1, 14, tzinfo=UTC), "2030-01-01T14:00:00Z"),
    ("2030-01-01T14:00:00Z", "2030-01-01T14:00:00Z"),
    ("2030-01-01T23:00:00+09:00", "2030-01-01T14:00:00Z"),
    (datetime(2030, 1, 1, 14, tzinfo=UTC).isoformat(), "2030-01-01T14:00:00Z"),
    # The library writes the hour of an aware time and Z behind it: nine hours late, and nobody can tell.
    (datetime(2030, 1, 1, 14, tzinfo=timezone(timedelta(hours=9))), "2030-01-01T14:00:00Z"),
    (date(2030, 1, 2), "2030-01-02T00:00:00Z"),
    ("2030-01-01T14:00:00", None),
    ("2030-01-01", None),
    ("tomorrow", None),
]


async def test_send_at_as_the_library_writes_it(around: Surroundings) -> None:
    site = around.site
    await site.node.advance_to(instant(datetime(2029, 12, 31, tzinfo=UTC)))
    named = {"to": TO, "body": "Hi", "messaging_service_sid": site.service, "schedule_type": "fixed"}
    with a_client(around) as client:
        for send_at, understood in SEND_ATS:
            if understood is None:
                with pytest.raises(TwilioRestException) as caught:
                    await threaded(client.messages.create, send_at=send_at, **named)
                assert (caught.value.code, caught.value.status) == (20001, 400), send_at
                assert repr(send_at) in caught.value.msg
            else:
                message = await threaded(client.messages.create, send_at=send_at, **named)
                assert (await site.customer.fetch(message.sid))["send_at"] == understood, send_at


# --- what is wrong ---------------------------------------------------------------------------------------------------

FAULTS: list[tuple[dict[str, Any], int, int]] = [
    ({"to": "hello"}, 21211, 400),
    ({"from_": "+15005550019"}, 21606, 400),
    ({"from_": None}, 21603, 400),
    ({"body": None}, 21602, 400),
    ({"body": "x" * 1_601}, 21617, 400),
    ({"media_url": ["x"]}, 21620, 400),
    ({"media_url": ["https://example.com/1"] * 11}, 21623, 400),
    ({"messaging_service_sid": "MG" + "0" * 32}, 21701, 404),
    ({"validity_period": 0}, 21624, 400),
    ({"status_callback": "x"}, 21609, 400),
    ({"schedule_type": "fixed"}, 35111, 400),
    ({"schedule_type": "fixed", "send_at": "2030-01-01T14:00:00Z"}, 35118, 400),
    ({"content_sid": "HX" + "0" * 32}, 21655, 400),
    ({"address_retention": "x"}, 30030, 400),
    ({"content_retention": "x"}, 30029, 400),
]


async def test_a_fault_is_raised_as_the_library_raises_it(around: Surroundings) -> None:
    with a_client(around) as client:
        for changes, code, status in FAULTS:
            named = {"to": TO, "from_": FROM, "body": "Hi", **changes}
            with pytest.raises(TwilioRestException) as caught:
                await threaded(client.messages.create, **{k: v for k, v in named.items() if v is not None})
            error = caught.value
            assert type(error) is TwilioRestException, changes
            assert (error.code, error.status, error.method) == (code, status, "POST"), changes
            assert error.msg.startswith("Unable to create record: "), changes
            assert error.uri.endswith("/Messages.json"), changes


async def test_faults_of_other_calls(around: Surroundings) -> None:
    site = around.site
    sid = str((await site.customer.send(From=FROM)).json["sid"])
    nothing = "SM" + "0" * 32
    with a_client(around) as client:
        calls: list[tuple[Call, dict[str, Any], tuple[int, int]]] = [
            (client.messages(nothing).fetch, {}, (20404, 404)),
            (client.messages(nothing).update, {"status": "canceled"}, (20404, 404)),
            (client.messages(nothing).delete, {}, (20404, 404)),
            (client.messages(sid).update, {"status": "canceled"}, (30409, 409)),
            (client.messages(sid).update, {"body": "Another"}, (20001, 400)),
            (client.messages(sid).media("ME" + "0" * 32).fetch, {}, (20404, 404)),
        ]
        for call, named, expected in calls:
            with pytest.raises(TwilioRestException) as caught:
                await threaded(call, **named)
            assert (caught.value.code, caught.value.status) == expected
        with pytest.raises(TwilioException, match="Unable to fetch page"):
            await threaded(client.messages.list, date_sent="yesterday")


async def test_wrong_credentials(around: Surroundings) -> None:
    with a_client(around, secret="wrong") as client, pytest.raises(TwilioRestException) as caught:
        await threaded(client.messages.create, to=TO, from_=FROM, body="Hi")
    assert (caught.value.code, caught.value.status) == (20003, 401)


# --- lists -----------------------------------------------------------------------------------------------------------


async def test_lists_and_their_limits(around: Surroundings) -> None:
    site, wanted = around.site, []
    for number in range(7):
        wanted.append(str((await site.customer.send(From=FROM, Body=str(number))).json["sid"]))
        await site.advance(SECOND)
    wanted.reverse()
    with a_client(around) as client:

        def sids(**named: Any) -> list[str]:
            return [str(message.sid) for message in client.messages.list(**named)]

        assert await threaded(sids) == wanted
        assert await threaded(sids, page_size=2) == wanted  # all pages, by their links
        assert await threaded(sids, page_size=3, limit=5) == wanted[:5]
        assert await threaded(sids, limit=5_000) == wanted
        assert await threaded(sids, limit=1) == wanted[:1]
        assert await threaded(lambda: [str(m.sid) for m in client.messages.stream(page_size=1)]) == wanted

        page: Any = await threaded(client.messages.page, page_size=3)
        assert [message.sid for message in page] == wanted[:3]
        following: Any = await threaded(page.next_page)
        assert [message.sid for message in following] == wanted[3:6]
        last: Any = await threaded(following.next_page)
        assert [message.sid for message in last] == wanted[6:]
        assert await threaded(last.next_page) is None
        back: Any = await threaded(last.previous_page)
        assert [message.sid for message in back] == wanted[3:6]


async def test_filters_as_the_library_writes_them(around: Surroundings) -> None:
    site = around.site
    await site.add_sender("+15005550011")
    days: dict[int, str] = {}
    for day in (10, 11, 12):
        await site.node.advance_to(instant(datetime(2030, 6, day, 22, 5, 25, tzinfo=UTC)))
        sender = FROM if day != 11 else "+15005550011"
        days[day] = (await site.customer.send(From=sender, To=f"+141555501{day}")).json["sid"]
        await site.advance(TAKEN)
    with a_client(around) as client:

        async def found(**named: Any) -> list[int]:
            messages = await threaded(client.messages.list, **named)
            return sorted(day for day, sid in days.items() if sid in [message.sid for message in messages])

        assert await found() == [10, 11, 12]
        assert await found(to="+14155550111") == [11]
        assert await found(from_=FROM) == [10, 12]
        assert await found(from_=FROM, to="+14155550111") == []
        assert await found(date_sent=date(2030, 6, 11)) == []  # written as midnight, which is one second
        assert await found(date_sent="2030-06-11") == [11]
        assert await found(date_sent=naive(2030, 6, 11, 22, 5, 25)) == [11]
        assert await found(date_sent_after=naive(2030, 6, 11)) == [11, 12]
        assert await found(date_sent_before=naive(2030, 6, 11, 22, 5, 25)) == [10, 11]
        assert await found(date_sent_before=naive(2030, 6, 11, 22, 5, 24)) == [10]
        assert await found(date_sent_after=naive(2030, 6, 11), date_sent_before=naive(2030, 6, 12)) == [11]


# --- media and feedback ----------------------------------------------------------------------------------------------


async def test_media_and_feedback(around: Surroundings) -> None:
    site = around.site
    with a_client(around) as client:
        message = await threaded(
            client.messages.create, to=TO, from_=FROM, media_url=[around.media_url] * 2, provide_feedback=True
        )
        sid = str(message.sid)
        await site.advance(LONG_ENOUGH)
        one, two = await threaded(client.messages(sid).media.list)
        assert (one.parent_sid, one.content_type, one.account_sid) == (sid, "image/png", site.customer.account)
        fetched = await threaded(client.messages(sid).media(str(two.sid)).fetch)
        assert fetched.uri == two.uri
        response = await threaded(client.request, "GET", around.url + str(one.uri).removesuffix(".json"))
        assert (response.status_code, response.text.encode("latin-1", "replace")[-5:]) == (200, PNG[-5:])
        assert await threaded(client.messages(sid).media(str(one.sid)).delete) is True
        assert [medium.sid for medium in await threaded(client.messages(sid).media.list)] == [two.sid]
        feedback = await threaded(client.messages(sid).feedback.create, outcome="confirmed")
        assert (feedback.message_sid, feedback.outcome) == (sid, "confirmed")


# --- what a customer sets up -----------------------------------------------------------------------------------------


async def test_services_and_their_senders(around: Surroundings) -> None:
    with a_client(around) as client:
        services = client.messaging.v1.services
        made = await threaded(
            services.create,
            friendly_name="Clinic",
            sticky_sender=False,
            validity_period=3_600,
            usecase="notifications",
            status_callback=around.status_url,
        )
        sid = str(made.sid)
        assert (made.sticky_sender, made.validity_period, made.usecase) == (False, 3_600, "notifications")
        assert made.date_created == datetime.fromtimestamp(around.site.now // SECOND, UTC)
        updated = await threaded(services(sid).update, friendly_name="Another")
        assert (updated.friendly_name, updated.validity_period) == ("Another", 3_600)
        listed = await threaded(services.list, page_size=1)  # absolute links, followed as they are
        assert {one.sid for one in listed} == {sid, around.site.service}
        numbers = [
            await threaded(client.incoming_phone_numbers.create, phone_number=f"+1500555001{n}") for n in range(3)
        ]
        pool = services(sid).phone_numbers
        for number in numbers:
            await threaded(pool.create, phone_number_sid=str(number.sid))
        pooled = [one.sid for one in await threaded(pool.list, page_size=1)]
        assert sorted(pooled) == sorted(one.sid for one in numbers)
        assert await threaded(pool(str(numbers[0].sid)).delete) is True
        assert len(await threaded(pool.list)) == 2
        alpha = await threaded(services(sid).alpha_senders.create, alpha_sender="Clinic")
        assert [one.sid for one in await threaded(services(sid).alpha_senders.list)] == [alpha.sid]
        assert await threaded(services(sid).delete) is True
        with pytest.raises(TwilioRestException) as caught:
            await threaded(services(sid).fetch)
        assert (caught.value.code, caught.value.status) == (20404, 404)


async def test_numbers(around: Surroundings) -> None:
    with a_client(around) as client:
        number = await threaded(client.incoming_phone_numbers.create, phone_number="+15005550011", friendly_name="Desk")
        sid = str(number.sid)
        assert (number.phone_number, number.friendly_name) == ("+15005550011", "Desk")
        assert number.capabilities == {"voice": False, "sms": True, "mms": True, "fax": False}
        updated = await threaded(client.incoming_phone_numbers(sid).update, friendly_name="Door")
        assert updated.friendly_name == "Door"
        listed = await threaded(client.incoming_phone_numbers.list, phone_number="+15005550011")
        assert [one.sid for one in listed] == [sid]
        assert len(await threaded(client.incoming_phone_numbers.list, page_size=1)) == 2
        assert await threaded(client.incoming_phone_numbers(sid).delete) is True
        assert len(await threaded(client.incoming_phone_numbers.list)) == 1


async def test_keys(around: Surroundings) -> None:
    account = around.site.customer.account
    with a_client(around) as client:
        key = await threaded(client.new_keys.create, friendly_name="Backend")
        assert [one.sid for one in await threaded(client.keys.list)] == [key.sid]
        with a_client(around, str(key.sid), str(key.secret), account) as keyed:
            message = await threaded(keyed.messages.create, to=TO, from_=FROM, body="Hi")
            assert message.account_sid == account
        assert await threaded(client.keys(str(key.sid)).delete) is True
        with a_client(around, str(key.sid), str(key.secret), account) as keyed:
            with pytest.raises(TwilioRestException) as caught:
                await threaded(keyed.messages(str(message.sid)).fetch)
            assert caught.value.status == 401


async def test_subaccounts(around: Surroundings) -> None:
    with a_client(around) as client:
        branch = await threaded(client.api.v2010.accounts.create, friendly_name="Branch")
        sid, token = str(branch.sid), str(branch.auth_token)
        assert (branch.friendly_name, branch.status) == ("Branch", "active")
        assert {one.sid for one in await threaded(client.api.v2010.accounts.list)} == {
            sid,
            around.site.customer.account,
        }
        with a_client(around, sid, token) as child:
            number = await threaded(child.incoming_phone_numbers.create, phone_number="+15005550011")
            assert number.account_sid == sid
        with a_client(around, account=sid) as parent:  # the parent's credentials on the subaccount
            message = await threaded(parent.messages.create, to=TO, from_="+15005550011", body="Hi")
            assert message.account_sid == sid
        assert await threaded(client.messages.list) == []
        suspended = await threaded(client.api.v2010.accounts(sid).update, status="suspended")
        assert suspended.status == "suspended"
        with a_client(around, sid, token) as child, pytest.raises(TwilioRestException) as caught:
            await threaded(child.messages.create, to=TO, from_=FROM, body="Hi")
        assert caught.value.status == 403


async def test_times_of_a_message_are_read_as_utc(around: Surroundings) -> None:
    site = around.site
    at = datetime(2030, 3, 31, 1, 30, 59, tzinfo=UTC)  # an hour that some places do not have
    await site.node.advance_to(instant(at))
    with a_client(around) as client:
        message = await threaded(client.messages.create, to=TO, from_=FROM, body="Hi")
        assert (message.date_created, message.date_updated, message.date_sent) == (at, at, None)


# --- what comes in ----------------------------------------------------------------------------------------------------


async def test_what_a_handset_writes_is_told_and_answered(around: Surroundings) -> None:
    site, number = around.site, "+12125550777"
    response = MessagingResponse()
    response.message("At 3PM <3").media(around.media_url)
    around.says = str(response)
    with a_client(around) as client:
        await threaded(client.incoming_phone_numbers.create, phone_number=number, sms_url=around.status_url)
        written = {"To": number, "Body": "When?"}
        assert (await site.customer.call("POST", f"/postdate/v1/Handsets/{TO}/Messages", written)).status == 201
        await site.advance(LONG_ENOUGH)
        (told,) = around.heard
        assert RequestValidator(site.customer.secret).validate(told.url, told.params, told.signature)
        assert (told.params["From"], told.params["To"], told.params["Body"]) == (TO, number, "When?")
        (reply,) = await threaded(client.messages.list, from_=number)
        assert (reply.body, reply.to, reply.direction) == ("At 3PM <3", TO, "outbound-reply")
        assert (reply.status, reply.num_media) == ("delivered", "1")
        (question,) = await threaded(client.messages.list, to=number)
        assert (question.direction, question.status, question.sid) == ("inbound", "received", told.params["MessageSid"])
