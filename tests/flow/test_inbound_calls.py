"""What a handset writes is told to its customer's server, and what that answers is sent: once, whatever happens."""

import asyncio

import pytest
from aiohttp import web
from twilio.request_validator import RequestValidator

from postdate.connectors.contract import Inbound, Part
from postdate.core.instant import SECOND, Instant
from postdate.core.message import Direction, Message, Status
from postdate.core.outcome import Accepted
from postdate.core.resources import Application, Webhooks
from postdate.flow.callbacks import MOST_TO_ONE_SERVER
from postdate.flow.inbound_calls import LONGEST, MOST_DOCUMENTS, MOST_OF_A_PAIR, MOST_PAUSED, OF_A_PAIR_WITHIN
from postdate.store.contract import CallQuery, StoreFull, StoreUnavailable
from tests.flow.building import (
    ACCOUNT,
    SERVICE,
    START,
    TOKEN,
    Customer,
    Flow,
    Serve,
    a_sender,
    a_service,
    after,
    hang_up,
    recipient,
    until,
)

OURS, THEIRS = a_sender().address, recipient()
OTHER = "+14155550188"
AWAY = StoreUnavailable("the store cannot be reached")


def saying(verbs: str, status: int = 200, kind: str = "text/xml") -> Serve:
    """Serve this TwiML."""
    text = f"<Response>{verbs}</Response>" if kind == "text/xml" else verbs

    async def serve(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=status, text=text, content_type=kind)

    return serve


def by_path(**serves: Serve) -> Serve:
    """Serve each path in its own way."""

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        return await serves[request.path.strip("/")](request)

    return serve


async def hanging(_: web.BaseRequest) -> web.StreamResponse:
    """Never answer."""
    await asyncio.Event().wait()
    raise AssertionError


async def listen(flow: Flow, url: str, **more: object) -> None:
    """Tell what comes in for the service to this URL."""
    service = a_service(inbound_request_url=url, use_inbound_webhook_on_number=False, **more)
    await flow.directory.put(service)


async def write(flow: Flow, body: str = "When?", **more: object) -> Message:
    """Let a handset write, and return the message once all that follows has happened."""
    await flow.carrier.report(Inbound(THEIRS, OURS, body, **more))  # type: ignore[arg-type]
    await flow.settle()
    return [m for m in await flow.everything() if m.direction is Direction.INBOUND][-1]


async def replies(flow: Flow) -> list[Message]:
    found = [m for m in await flow.everything() if m.direction is not Direction.INBOUND]
    return sorted(found, key=lambda message: message.body)


@pytest.fixture(autouse=True)
def taking(flow: Flow) -> None:
    """Let the carrier take everything."""
    flow.carrier.script = lambda s: Accepted(f"ref-{s.sid}")


# --- what is told ----------------------------------------------------------------------------------------------------


async def test_it_is_told_once_and_signed(flow: Flow, customer: Customer) -> None:
    await listen(flow, f"{customer.url}/in?who=1#rc=0")
    message = await write(flow)
    (call,) = customer.calls
    assert call.path == "/in?who=1"
    assert {name: call.form[name] for name in ("MessageSid", "From", "To", "Body", "SmsStatus", "NumMedia")} == {
        "MessageSid": message.sid, "From": THEIRS, "To": OURS, "Body": "When?", "SmsStatus": "received",
        "NumMedia": "0",
    }  # fmt: skip
    assert "MessageStatus" not in call.form
    signature = call.headers["X-Twilio-Signature"]
    assert RequestValidator(TOKEN).validate(f"{customer.url}/in?who=1", dict(call.form), signature)
    assert call.headers["I-Twilio-Idempotency-Token"]
    assert await replies(flow) == []


async def test_a_get_is_signed_with_its_query(flow: Flow, customer: Customer) -> None:
    await listen(flow, f"{customer.url}/in", inbound_method="GET")
    await write(flow, "A & B")
    (call,) = customer.calls
    assert call.form == {}
    assert "Body=A+%26+B" in call.path
    assert RequestValidator(TOKEN).validate(customer.url + call.path, {}, call.headers["X-Twilio-Signature"])


async def test_the_number_is_asked_where_the_service_defers_to_it(flow: Flow, customer: Customer) -> None:
    await flow.directory.put(a_sender(webhooks=Webhooks(sms_url=f"{customer.url}/number")))
    await flow.directory.put(a_service(inbound_request_url=f"{customer.url}/service"))
    await write(flow)
    assert [call.path for call in customer.calls] == ["/number"]


async def test_an_application_answers_for_its_numbers(flow: Flow, customer: Customer) -> None:
    sid = "AP" + "1" * 32
    hooks = Webhooks(sms_url=f"{customer.url}/app", sms_method="GET")
    await flow.directory.put(
        Application(sid=sid, account_sid=ACCOUNT, friendly_name="", webhooks=hooks, created_at=START, updated_at=START)
    )
    await flow.directory.put(a_sender(webhooks=Webhooks(sms_application_sid=sid)))
    await write(flow)
    assert [call.path.partition("?")[0] for call in customer.calls] == ["/app"]


async def test_what_nobody_wants_to_hear_is_kept_and_a_status_callback_is_not_for_it(
    flow: Flow, customer: Customer
) -> None:
    await flow.directory.put(a_service(status_callback=customer.url))
    message = await write(flow)
    assert (message.status, message.body) == (Status.RECEIVED, "When?")
    assert customer.calls == []


async def test_a_long_message_is_told_when_it_is_whole(flow: Flow, customer: Customer) -> None:
    await listen(flow, customer.url)
    await flow.carrier.report(Inbound(THEIRS, OURS, "When", part=Part(7, 2, 1)))
    await flow.settle()
    assert customer.calls == []
    await write(flow, " ever?", part=Part(7, 2, 2))
    assert [(call.form["Body"], call.form["NumSegments"]) for call in customer.calls] == [("When ever?", "2")]


async def test_what_there_is_of_a_long_message_is_told_in_the_end(flow: Flow, customer: Customer) -> None:
    await listen(flow, customer.url)
    await flow.carrier.report(Inbound(THEIRS, OURS, "When", part=Part(7, 2, 1)))
    await flow.advance(1)
    await flow.store.prune(START, flow.clock.now())
    await flow.settle()
    assert [call.form["Body"] for call in customer.calls] == ["When"]


async def test_what_was_deleted_meanwhile_is_not_told(flow: Flow, customer: Customer) -> None:
    await listen(flow, customer.url)
    hold = flow.store.hold("message", "before")
    reporting = asyncio.create_task(flow.carrier.report(Inbound(THEIRS, OURS, "When?")))
    await hold.reached.wait()
    (message,) = await flow.everything()
    await flow.store.real.delete(ACCOUNT, message.sid)
    hold.opened.set()
    await reporting
    await flow.settle()
    assert customer.calls == []
    assert flow.callbacks.given_up == 1


async def test_the_text_is_not_kept_with_the_call(flow: Flow, customer: Customer) -> None:
    customer.serve = saying("<Message>My secret</Message>")
    await listen(flow, customer.url)
    message = await write(flow, "Your secret")
    (made,) = await flow.store.real.calls_made(CallQuery(account_sid=ACCOUNT, message_sid=message.sid))
    assert (made.status, made.code) == (Status.RECEIVED, 200)
    assert message.sid in made.request
    assert "secret" not in made.request + made.answer


# --- replies ---------------------------------------------------------------------------------------------------------


async def test_a_reply_is_sent_from_the_number_that_was_written_to(flow: Flow, customer: Customer) -> None:
    customer.serve = saying("<Message>At 3PM</Message>")
    await listen(flow, customer.url)
    await write(flow)
    (reply,) = await replies(flow)
    assert (reply.body, reply.sender, reply.recipient, reply.service_sid) == ("At 3PM", OURS, THEIRS, SERVICE)
    assert (reply.direction, reply.status) == (Direction.OUTBOUND_REPLY, Status.SENT)
    assert flow.carrier.sids == [reply.sid]


async def test_plain_text_is_one_reply(flow: Flow, customer: Customer) -> None:
    customer.serve = saying("At 3PM", kind="text/plain")
    await listen(flow, customer.url)
    await write(flow)
    assert [reply.body for reply in await replies(flow)] == ["At 3PM"]


async def test_a_reply_may_go_elsewhere_and_its_status_is_told_where_it_says(flow: Flow, customer: Customer) -> None:
    customer.serve = by_path(**{
        "a/in": saying(f'<Message to="{OTHER}" action="../status">At 3PM</Message><Message>Told them</Message>'),
        "status": saying(""),
    })  # fmt: skip
    await listen(flow, f"{customer.url}/a/in")
    await write(flow)
    assert [(r.recipient, r.body) for r in await replies(flow)] == [(OTHER, "At 3PM"), (THEIRS, "Told them")]
    assert [call.form["MessageStatus"] for call in customer.calls if call.path == "/status"] == ["queued", "sent"]


REFUSED = {
    "nothing in it": "<Message/>",
    "too long": f"<Message>{'x' * 1601}</Message>",
    "to nobody": '<Message to="nobody">Hi</Message>',
    "from nobody": '<Message from="+12125559999">Hi</Message>',
    "from what is none": '<Message from="?">Hi</Message>',
    "media that cannot be": "<Message>Hi<Media>ftp://a.example/1.png</Media></Message>",
    "media at no place": "<Message>Hi<Media>http://[::1/1.png</Media></Message>",
    "too many media": f"<Message>Hi{'<Media>/1.png</Media>' * 11}</Message>",
    "a callback that cannot be": '<Message action="ftp://a.example/">Hi</Message>',
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_reply_that_cannot_be_sent_holds_up_no_other(flow: Flow, customer: Customer, name: str) -> None:
    customer.serve = saying(REFUSED[name] + "<Message>At 3PM</Message>")
    await listen(flow, customer.url)
    await write(flow)
    assert [reply.body for reply in await replies(flow)] == ["At 3PM"]
    assert flow.callbacks.delivered == 1


async def test_whoever_opted_out_gets_no_reply(flow: Flow, customer: Customer) -> None:
    customer.serve = saying("<Message>Sorry to see you go</Message>")
    await listen(flow, customer.url)
    await write(flow, "STOP")
    assert [call.form["OptOutType"] for call in customer.calls] == ["STOP"]
    assert await replies(flow) == []


async def test_a_redirect_is_followed_and_told_the_same(flow: Flow, customer: Customer) -> None:
    customer.serve = by_path(
        **{"in": saying('<Message>One</Message><Redirect method="GET">next</Redirect>')},
        next=saying("<Message>Two</Message>"),
    )
    await listen(flow, f"{customer.url}/in")
    message = await write(flow)
    assert [reply.body for reply in await replies(flow)] == ["One", "Two"]
    assert [call.path.partition("?")[0] for call in customer.calls] == ["/in", "/next"]
    assert message.sid in customer.calls[1].path


@pytest.mark.parametrize("writer", ["AMAZON", "12345", "", "+1", "x" * 200])
async def test_who_could_not_be_written_to_over_the_api_gets_no_reply_either(
    flow: Flow, customer: Customer, writer: str
) -> None:
    customer.serve = saying("<Message>At 3PM</Message>")
    await listen(flow, customer.url)
    await flow.carrier.report(Inbound(writer, OURS, "When?"))
    await flow.settle()
    assert len(customer.calls) == 1
    assert flow.carrier.sids == []
    assert flow.callbacks.delivered == 1


async def test_two_numbers_that_answer_each_other_come_to_an_end(flow: Flow, customer: Customer) -> None:
    await flow.directory.put(a_sender(2))
    customer.serve = saying("<Message>I am away</Message>")
    await listen(flow, customer.url)
    ends = a_sender(1).address, a_sender(2).address
    await flow.carrier.report(Inbound(*ends, "When?"))
    for _ in range(3 * MOST_OF_A_PAIR):
        await flow.settle()
        if len(flow.carrier.submitted) < len(customer.calls):
            break
        last = flow.carrier.submitted[-1].submission
        await flow.carrier.report(Inbound(last.sender, last.recipient, last.body))
    assert len(await replies(flow)) == 2 * MOST_OF_A_PAIR
    assert flow.callbacks.kept == 0


async def test_a_pair_has_so_many_replies_within_half_a_minute_and_others_are_not_held_up(
    flow: Flow, customer: Customer
) -> None:
    customer.serve = saying("<Message>Hi</Message>" * 9 + f'<Message to="{OTHER}">Told</Message>')
    await listen(flow, customer.url)
    for _ in range(2):
        await write(flow)
    assert [reply.recipient for reply in await replies(flow)].count(THEIRS) == MOST_OF_A_PAIR
    assert [reply.recipient for reply in await replies(flow)].count(OTHER) == 2
    await flow.advance(OF_A_PAIR_WITHIN // SECOND - 1)
    await write(flow)
    assert len(await replies(flow)) == MOST_OF_A_PAIR + 3
    await flow.advance(1)
    await write(flow)
    assert len(await replies(flow)) == MOST_OF_A_PAIR + 13


async def test_redirects_come_to_an_end(flow: Flow, customer: Customer) -> None:
    customer.serve = saying("<Redirect/>")
    await listen(flow, customer.url)
    await write(flow)
    assert len(customer.calls) == MOST_DOCUMENTS + 1
    assert flow.callbacks.kept == 0


async def test_documents_have_ten_replies_together_and_the_fallback_as_many_again(
    flow: Flow, customer: Customer
) -> None:
    six = "".join(f'<Message to="{recipient(number)}">Hi</Message>' for number in range(10, 16))
    customer.serve = by_path(**{
        "in": saying(f"{six}<Redirect>on</Redirect>"), "on": saying(six), "else": saying("<Message>Later</Message>" * 9)
    })  # fmt: skip
    await listen(flow, f"{customer.url}/in", fallback_url=f"{customer.url}/else")
    await write(flow)
    assert customer.calls[-1].form["ErrorCode"] == "14109"
    assert customer.calls[-1].form["ErrorUrl"] == f"{customer.url}/on"
    assert [reply.body for reply in await replies(flow)] == ["Hi"] * 6 + ["Later"] * 9


async def test_documents_share_one_time_and_the_fallback_has_as_much_again(flow: Flow, customer: Customer) -> None:
    async def slow(request: web.BaseRequest) -> web.StreamResponse:
        async def rest() -> None:
            pass

        await flow.clock.advance_to(Instant(flow.clock.now() + LONGEST // 3), rest)
        return await saying("<Redirect/>")(request)

    customer.serve = slow
    await listen(flow, f"{customer.url}/in", fallback_url=f"{customer.url}/else")
    await write(flow)
    assert [call.path for call in customer.calls] == ["/in"] * 3 + ["/else"] * 3
    assert customer.calls[3].form["ErrorCode"] == "11200"
    assert flow.callbacks.kept == 0


# --- what fails ------------------------------------------------------------------------------------------------------

FAILURES: dict[str, tuple[Serve, str, int]] = {
    "an error": (saying("", 500), "11200", 1),
    "not found": (saying("", 404), "11200", 1),
    "no answer": (hang_up, "11205", 2),  # which is tried once more
    "nonsense": (saying("Hello", kind="text/html"), "12100", 1),
    "JSON": (saying("{}", kind="application/json"), "12300", 1),
    "too many replies": (saying("<Message>Hi</Message>" * 11), "14109", 1),
    "a redirect that fails": (saying("<Redirect>/in?gone=1</Redirect>"), "14106", MOST_DOCUMENTS + 1),
    "a redirect to nowhere": (saying("<Redirect>http://[::1</Redirect>"), "11205", 1),
    "a redirect to a file": (saying("<Redirect>file:///etc/passwd</Redirect>"), "11205", 1),
    "a redirect that is too long": (saying(f"<Redirect>/in?{'x' * 5_000}</Redirect>"), "11205", 1),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_the_fallback_is_told_why_and_answers_instead(flow: Flow, customer: Customer, name: str) -> None:
    serve, code, attempts = FAILURES[name]
    customer.serve = by_path(**{"in": serve, "else": saying("<Message>Later</Message>")})
    await listen(flow, f"{customer.url}/in", fallback_url=f"{customer.url}/else")
    await write(flow)
    await flow.advance(60)
    paths = [call.path.partition("?")[0] for call in customer.calls]
    assert paths == ["/in"] * attempts + ["/else"]
    last = customer.calls[-1]
    assert last.form["ErrorCode"] == code
    assert last.form["ErrorUrl"].startswith(f"{customer.url}/in")
    assert last.form["Body"] == "When?"
    signature = last.headers["X-Twilio-Signature"]
    assert RequestValidator(TOKEN).validate(f"{customer.url}/else", dict(last.form), signature)
    assert [reply.body for reply in await replies(flow)] == ["Later"]


async def test_the_replies_before_a_failure_and_those_of_the_fallback_are_all_sent(
    flow: Flow, customer: Customer
) -> None:
    customer.serve = by_path(**{
        "in": saying("<Message>One</Message><Redirect>gone</Redirect>"), "gone": saying("", 500),
        "else": saying("<Message>Two</Message>"),
    })  # fmt: skip
    await listen(flow, f"{customer.url}/in", fallback_url=f"{customer.url}/else")
    flow.store.fail("settle_callbacks", *[AWAY] * 50)
    message = await write(flow)
    await flow.restart()
    await flow.advance(5)
    assert len(customer.calls) == 6
    assert [reply.body for reply in await replies(flow)] == ["One", "Two"]
    (made,) = await flow.store.real.calls_made(CallQuery(account_sid=ACCOUNT, message_sid=message.sid))
    assert "One" not in made.answer


async def test_a_fallback_does_not_learn_how_to_sign_in_where_it_failed(flow: Flow, customer: Customer) -> None:
    customer.serve = by_path(**{"in": saying("", 500), "else": saying("")})
    at = customer.url.replace("http://", "http://me:secret@")
    await listen(flow, f"{at}/in?a=1#rc=0", fallback_url=f"{customer.url}/else")
    await write(flow)
    assert customer.calls[-1].form["ErrorUrl"] == f"{customer.url}/in?a=1"


@pytest.mark.parametrize("status", [500, 200], ids=["fails", "answers"])
async def test_a_fallback_is_asked_once(flow: Flow, customer: Customer, status: int) -> None:
    customer.serve = by_path(**{"in": saying("", 500), "else": saying("?" if status == 500 else "", status)})
    await listen(flow, f"{customer.url}/in", fallback_url=f"{customer.url}/else")
    await write(flow)
    await flow.advance(60)
    assert [call.path for call in customer.calls] == ["/in", "/else"]
    assert flow.callbacks.kept == 0


async def test_without_a_fallback_what_fails_is_given_up(flow: Flow, customer: Customer) -> None:
    customer.serve = saying("", 500)
    await listen(flow, customer.url)
    message = await write(flow)
    assert len(customer.calls) == 1
    assert (await flow.read(message)).status is Status.RECEIVED
    assert flow.callbacks.given_up == 1


# --- a store in trouble, a crash -------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [AWAY, StoreFull("no room")])
@pytest.mark.parametrize("method", ["message", "add"])
async def test_what_the_store_cannot_do_now_is_done_later_and_nobody_is_asked_twice(
    flow: Flow, customer: Customer, method: str, error: StoreFull | StoreUnavailable
) -> None:
    customer.serve = saying("<Message>At 3PM</Message>")
    await listen(flow, customer.url)
    flow.store.fail(method, error, error)
    await write(flow)
    await flow.advance(5)
    assert [reply.body for reply in await replies(flow)] == ["At 3PM"]
    assert len(customer.calls) == 1


async def test_a_call_that_is_made_again_after_a_crash_sends_no_reply_twice(flow: Flow, customer: Customer) -> None:
    customer.serve = saying("<Message>At 3PM</Message><Message>Sharp</Message>")
    await listen(flow, customer.url)
    flow.store.fail("settle_callbacks", *[AWAY] * 50)
    await write(flow)
    await flow.restart()
    await flow.advance(5)
    assert len(customer.calls) == 2
    tokens = {call.headers["I-Twilio-Idempotency-Token"] for call in customer.calls}
    assert len(tokens) == 1
    assert sorted(reply.body for reply in await replies(flow)) == ["At 3PM", "Sharp"]


async def test_a_stop_while_the_store_takes_nothing_leaves_the_call_for_the_next_start(
    flow: Flow, customer: Customer
) -> None:
    customer.serve = saying("<Message>At 3PM</Message>")
    await listen(flow, customer.url)
    flow.store.fail("add", *[AWAY] * 50)
    await write(flow)
    await flow.restart(kill=False)
    await flow.advance(5)
    assert len(customer.calls) == 2
    assert [reply.body for reply in await replies(flow)] == ["At 3PM"]


async def test_a_reply_that_was_sent_and_cannot_be_read_just_now_holds_up_nothing(
    flow: Flow, customer: Customer
) -> None:
    customer.serve = saying("<Message>At 3PM</Message>")
    await listen(flow, customer.url)
    flow.store.fail("settle_callbacks", *[AWAY] * 50)
    await write(flow)

    async def cannot_read_replies(name: str) -> None:
        if name == "message" and flow.store.calls.count("message") == 1:
            flow.store.fail("message", AWAY)
            flow.store.before = flow.store.after

    await flow.restart(watch=lambda store: setattr(store, "before", cannot_read_replies))
    await flow.advance(5)
    assert flow.callbacks.delivered == 1
    assert await flow.outbox() == []
    assert [reply.body for reply in await replies(flow)] == ["At 3PM"]


async def test_who_waits_until_something_is_taken_again_leaves_places_to_others(flow: Flow, customer: Customer) -> None:
    customer.serve = by_path(**{"in": saying("<Message>At 3PM</Message>"), "status": saying("")})
    await listen(flow, f"{customer.url}/in")
    await flow.send(after(10), recipient=OTHER, callback_url=f"{customer.url}/status")
    flow.ingest.refusing = "The disk is nearly full."
    many = MOST_TO_ONE_SERVER + 4
    for number in range(many):
        await flow.carrier.report(Inbound(recipient(number), OURS, "When?"))
    await flow.settle()
    assert flow.inbound_calls.paused == MOST_PAUSED
    await flow.advance(10)
    told = [call.form["MessageStatus"] for call in customer.calls if call.path == "/status"]
    assert told == ["queued", "sent"]
    flow.ingest.refusing = None
    await flow.advance(120)
    assert [reply.body for reply in await replies(flow)].count("At 3PM") == many
    assert await flow.outbox() == []


async def test_a_stop_waits_for_no_slow_server_and_the_call_is_made_at_the_next_start(
    flow: Flow, customer: Customer
) -> None:
    customer.serve = by_path(**{"in": saying("<Message>One</Message><Redirect>on</Redirect>"), "on": hanging})
    await listen(flow, f"{customer.url}/in")
    await flow.carrier.report(Inbound(THEIRS, OURS, "When?"))
    await until(lambda: len(customer.calls) == 2)
    flow.callbacks.patience = 0.0
    await flow.restart(kill=False)
    customer.serve = saying("<Message>One</Message><Message>Two</Message>")
    await flow.settle()
    assert [reply.body for reply in await replies(flow)] == ["One", "Two"]
    assert await flow.outbox() == []
