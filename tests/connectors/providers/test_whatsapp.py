"""WhatsApp: what is sent to Meta, what its answers mean, and what its webhooks say and which are believed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.connectors.contract import Attachment, CarrierEvent, Inbound, Receipt
from postdate.connectors.providers.contract import BadEvent, Call, Heard, Request, Untrusted
from postdate.connectors.providers.reading import MOST_EVENTS
from postdate.connectors.providers.whatsapp import Settings, WhatsApp, template_message
from postdate.connectors.providers.whatsapp_events import CODES
from postdate.core.address import Channel
from postdate.core.errors import MEANINGS
from postdate.core.instant import SECOND
from postdate.core.message import Event, Template
from postdate.core.outcome import Accepted, Busy, InDoubt, Outcome, Refused
from tests.connectors.providers.building import PICTURE, SID, answer, call, context, json_of, submission
from tests.connectors.providers.whatsapp_samples import (
    SECRET,
    WAMID,
    failed,
    message,
    signed,
    status,
    webhook,
)

META = WhatsApp(Settings(access_token="EAAB", phone_number_id="106540352242922"))
BOUND = WhatsApp(
    Settings(
        access_token="EAAB",
        phone_number_id="7",
        app_secret=SECRET,
        verify_token="vt",
        version="v24.0",
        base_url="http://127.0.0.1:4010/",
    )
)


def to_whatsapp(**parts: Any) -> Any:
    known = {"sender": "whatsapp:+15550001111", "recipient": "whatsapp:+15550002222", "channel": Channel.WHATSAPP}
    return submission(**(known | parts))


def order_of(request: Request | Refused) -> dict[str, Any]:
    assert isinstance(request, Request)
    return dict(json.loads(request.body or b""))


# --- what goes out ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("meta", "url"),
    [
        (META, "https://graph.facebook.com/v23.0/106540352242922/messages"),
        (BOUND, "http://127.0.0.1:4010/v24.0/7/messages"),
    ],
)
def test_a_text_is_sent(meta: WhatsApp, url: str) -> None:
    asked = meta.request(to_whatsapp(), context())
    assert isinstance(asked, Request)
    assert (asked.method, asked.url) == ("POST", url)
    assert asked.headers == {"Authorization": "Bearer EAAB", "Content-Type": "application/json"}
    assert order_of(asked) == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "+15550002222",
        "biz_opaque_callback_data": SID,
        "type": "text",
        "text": {"body": 'Grüße "🙂"', "preview_url": False},
    }


def test_a_link_in_a_text_is_previewed_and_json_in_it_is_text() -> None:
    assert order_of(META.request(to_whatsapp(body="see https://a.example"), context()))["text"]["preview_url"] is True
    written = '{"template": {"name": "hello"}}'
    assert order_of(META.request(to_whatsapp(body=written), context()))["text"]["body"] == written


MEDIA = [
    ("image/png", "image"),
    ("image/jpeg", "image"),
    ("IMAGE/JPEG; q=1", "image"),
    ("image/gif", "document"),
    ("video/mp4", "video"),
    ("video/3gpp", "video"),
    ("video/quicktime", "document"),
    ("audio/ogg", "audio"),
    ("audio/mpeg", "audio"),
    ("application/pdf", "document"),
    ("text/vcard", "document"),
]


@pytest.mark.parametrize(("content_type", "kind"), MEDIA)
def test_a_medium_goes_as_a_link(content_type: str, kind: str) -> None:
    attachment = Attachment(content_type, b"", "https://node.example/media/1")
    order = order_of(META.request(to_whatsapp(body="", attachments=(attachment,)), context()))
    assert (order["type"], order[kind]) == (kind, {"link": "https://node.example/media/1"})
    if kind != "audio":
        order = order_of(META.request(to_whatsapp(body="x" * 1024, attachments=(attachment,)), context()))
        assert order[kind]["caption"] == "x" * 1024


SOUND = Attachment("audio/ogg", b"", "https://node.example/media/2")


@pytest.mark.parametrize(
    ("impossible", "code"),
    [
        ({"channel": Channel.SMS}, 21612),
        ({"attachments": (PICTURE, PICTURE)}, 63021),
        ({"attachments": (SOUND,), "body": "listen"}, 63021),
        ({"attachments": (PICTURE,), "body": "x" * 1025}, 63021),
    ],
)
def test_what_whatsapp_cannot_carry_is_refused(impossible: dict[str, Any], code: int) -> None:
    refusal = META.request(to_whatsapp(**impossible), context())
    assert isinstance(refusal, Refused)
    assert refusal.code == code


TEMPLATES: list[tuple[dict[str, str], list[dict[str, str]] | None]] = [
    ({}, None),
    (
        {"2": "10:30", "1": "Ann", "10": "z"},
        [{"type": "text", "text": "Ann"}, {"type": "text", "text": "10:30"}, {"type": "text", "text": "z"}],
    ),
    (
        {"name": "Ann", "1": "x"},
        [
            {"type": "text", "text": "Ann", "parameter_name": "name"},
            {"type": "text", "text": "x", "parameter_name": "1"},
        ],
    ),
    ({"²": "x"}, [{"type": "text", "text": "x", "parameter_name": "²"}]),
]


@pytest.mark.parametrize(("parameters", "expected"), TEMPLATES)
def test_a_template_is_named_with_its_values(parameters: dict[str, str], expected: list[dict[str, str]] | None) -> None:
    assert template_message(Template("reminder", "en_US", parameters)) == {
        "type": "template",
        "template": {"name": "reminder", "language": {"policy": "deterministic", "code": "en_US"}}
        | ({} if expected is None else {"components": [{"type": "body", "parameters": expected}]}),
    }


# --- what an answer means ---------------------------------------------------------------------------------------------


def fault(code: object, subcode: int | None = None) -> dict[str, object]:
    details = {"messaging_product": "whatsapp", "details": "word"}
    return {"error": {"message": "word", "code": code, "error_subcode": subcode, "error_data": details}}


TAKEN = {"messaging_product": "whatsapp", "contacts": [{"wa_id": "1"}], "messages": [{"id": WAMID}]}
LOCKED_OUT = Busy(60 * SECOND, "the carrier did not accept the credentials")
HELD_BACK = Busy(60 * SECOND, "Meta holds the WhatsApp account back: look into its manager")
ANSWERS: list[tuple[int, object, Outcome | type[Outcome]]] = [
    (200, TAKEN, Accepted(WAMID)),
    (200, {"messages": []}, InDoubt),
    (200, {"messages": [{"id": ""}]}, InDoubt),
    (200, {}, InDoubt),
    (200, b"[" * 100_000, InDoubt),
    (201, TAKEN, InDoubt),
    (400, fault(130429), Busy(None, "the carrier answered 400")),
    (429, fault(130429), Busy(None, "the carrier answered 429")),
    (429, b"", Busy(None, "the carrier answered 429")),
    (400, fault(4), Busy(None, "the carrier answered 400")),
    (400, fault(80007), Busy(None, "the carrier answered 400")),
    (400, fault(131048), Busy(None, "the carrier answered 400")),
    (400, fault(131056), Busy(None, "the carrier answered 400", this_only=True)),
    (429, fault(131056), Busy(None, "the carrier answered 429", this_only=True)),
    (503, fault(131016), Busy(None, "the carrier answered 503")),
    (503, fault(2), Busy(None, "the carrier answered 503")),
    (503, b"", InDoubt),
    (500, fault(131000), InDoubt),
    (500, fault(131047), InDoubt),
    (401, fault(190), LOCKED_OUT),
    (401, b"", LOCKED_OUT),
    (403, fault(10), LOCKED_OUT),
    (403, fault(200), LOCKED_OUT),
    (400, fault(190), LOCKED_OUT),
    (403, fault(131031), HELD_BACK),
    (400, fault(131042), HELD_BACK),
    (400, fault(100, 33), Busy),
    (404, b"", Busy),
    (400, fault(131047), Refused(63016, "the carrier answered 400")),
    (400, fault(131026), Refused(63024, "the carrier answered 400")),
    (400, fault(130472), Refused(63032, "the carrier answered 400")),
    (400, fault(131051), Refused(63021, "the carrier answered 400")),
    (400, fault(132000), Refused(63028, "the carrier answered 400")),
    (404, fault(132001), Refused(63027, "the carrier answered 404")),
    (400, fault(132001), Refused(63027, "the carrier answered 400")),
    (400, fault(100), Refused(30008, "the carrier answered 400")),
    (400, fault("131047"), InDoubt),
    (400, b"<html>", InDoubt),
    (402, b"", Busy),
    (408, fault(131047), InDoubt),
    (302, TAKEN, InDoubt),
]


@pytest.mark.parametrize(("code", "body", "expected"), ANSWERS, ids=[f"{a[0]}-{a[1]!r:.60}" for a in ANSWERS])
def test_an_answer_means(code: int, body: object, expected: Outcome | type[Outcome]) -> None:
    outcome = META.outcome(to_whatsapp(), answer(code, body))
    assert type(outcome) is expected if isinstance(expected, type) else outcome == expected
    assert "word" not in repr(outcome)


@given(st.integers(100, 599), json_of("error", "code", "error_subcode", "messages", "id"))
def test_every_answer_means_one_thing(code: int, body: bytes) -> None:
    outcome = META.outcome(to_whatsapp(), answer(code, body))
    assert isinstance(outcome, Accepted) <= (code == 200)
    assert isinstance(outcome, Refused) <= (400 <= code <= 499)


def test_every_code_has_a_meaning() -> None:
    assert set(CODES.values()) <= set(MEANINGS)


def test_every_number_of_an_error_is_one_that_pywa_knows() -> None:
    known: Any = pytest.importorskip("pywa.errors")._all_exceptions()
    assert set(CODES) - set(known) == {33}


# --- webhooks ---------------------------------------------------------------------------------------------------------

FROM_HANDSET = ("whatsapp:+16505551234", "whatsapp:+15550783881")


def heard_as(body: str, *media_urls: str) -> list[CarrierEvent]:
    return [Inbound(*FROM_HANDSET, body, media_urls=media_urls, carrier_ref=WAMID)]


LINK = "http://127.0.0.1:4010/v24.0/m1"  # what answers with where the medium is


MEDIUM = {"mime_type": "image/jpeg", "sha256": "x", "id": "m1"}
EVENTS: dict[str, tuple[dict[str, Any], list[CarrierEvent]]] = {
    "sent": (webhook(status("sent")), []),
    "delivered": (webhook(status("delivered")), [Receipt(WAMID, Event.DELIVER)]),
    "of ours": (
        webhook(status("delivered", biz_opaque_callback_data=SID)),
        [Receipt(WAMID, Event.DELIVER, None, SID)],
    ),
    "of others": (webhook(status("read", biz_opaque_callback_data="order-7")), [Receipt(WAMID, Event.READ)]),
    "read": (webhook(status("read")), [Receipt(WAMID, Event.READ)]),
    "played": (webhook(status("played")), [Receipt(WAMID, Event.READ)]),
    "deleted": (webhook(status("deleted")), []),
    "failed": (webhook(failed(131047)), [Receipt(WAMID, Event.UNDELIVER, 63016)]),
    "failed of what is not known": (webhook(failed(1)), [Receipt(WAMID, Event.UNDELIVER, 30008)]),
    "failed without a reason": (webhook(status("failed")), [Receipt(WAMID, Event.UNDELIVER, 30008)]),
    "two of them": (
        webhook(status("read"), status("delivered")),
        [Receipt(WAMID, Event.READ), Receipt(WAMID, Event.DELIVER)],
    ),
    "a text": (webhook(message("text", text={"body": "STOP"})), heard_as("STOP")),
    "a button": (webhook(message("button", button={"payload": "p", "text": "Yes"})), heard_as("Yes")),
    "a reply": (
        webhook(
            message("interactive", interactive={"type": "button_reply", "button_reply": {"id": "1", "title": "A"}})
        ),
        heard_as("A"),
    ),
    "a choice": (
        webhook(
            message(
                "interactive",
                interactive={"type": "list_reply", "list_reply": {"id": "1", "title": "Ten", "description": "d"}},
            )
        ),
        heard_as("Ten"),
    ),
    "a picture": (webhook(message("image", image=MEDIUM | {"caption": "look"})), heard_as("look", LINK)),
    "a picture whose id is none": (webhook(message("image", image=MEDIUM | {"id": "../m1"})), heard_as("")),
    "a document": (webhook(message("document", document=MEDIUM | {"filename": "a.pdf"})), heard_as("", LINK)),
    "a sticker": (webhook(message("sticker", sticker=MEDIUM | {"animated": False})), heard_as("", LINK)),
    "a reaction": (webhook(message("reaction", reaction={"message_id": WAMID, "emoji": "🙂"})), []),
    "a place": (webhook(message("location", location={"latitude": 1, "longitude": 2})), []),
    "nothing that is supported": (webhook(message("unsupported", errors=[{"code": 131051}])), []),
    "a sender without a number": (webhook({**message("text", text={"body": "x"}), "from": "US.1349120865"}), []),
    "another field": (
        {"object": "whatsapp_business_account", "entry": [{"changes": [{"field": "account_alerts", "value": 7}]}]},
        [],
    ),
    "nothing": ({"object": "whatsapp_business_account", "entry": []}, []),
}


@pytest.mark.parametrize(("body", "expected"), EVENTS.values(), ids=EVENTS.keys())
def test_a_webhook_is_read(body: dict[str, Any], expected: list[CarrierEvent]) -> None:
    heard = BOUND.events(signed(body))
    assert (list(heard.events), heard.status) == (expected, 200)


def test_a_url_of_one_message_names_it() -> None:
    heard = META.events(call(webhook(status("delivered")), sid=SID))
    assert heard.events == [Receipt(WAMID, Event.DELIVER, None, SID)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        [],
        {"entry": {}},
        {"entry": [{"changes": [{"field": "messages"}]}]},
        {"entry": [{"changes": [{"field": "messages", "value": []}]}]},
        webhook({"status": "read"}),
        webhook(status("read") | {"id": ""}),
        webhook(message("text", text={"body": 7})),
        webhook(message("text", text={"body": "a\x00b"})),
        webhook(*[status("read")] * (MOST_EVENTS + 1)),
    ],
)
def test_a_webhook_that_says_nothing_is_refused(body: object) -> None:
    with pytest.raises(BadEvent):
        BOUND.events(signed(body))


BODY = webhook(status("read"))


@pytest.mark.parametrize(
    "forged",
    [
        call(BODY),
        signed(BODY, secret="other"),
        call(webhook(status("delivered")), signed(BODY).headers),
        call(BODY, {"x-hub-signature-256": signed(BODY).headers["x-hub-signature-256"].removeprefix("sha256=")}),
        call(BODY, {"x-hub-signature-256": "sha256="}),
        call(BODY, {"x-hub-signature-256": "sha256=é"}),
        call(BODY, {"x-hub-signature": signed(BODY).headers["x-hub-signature-256"]}),
    ],
)
def test_what_meta_did_not_sign_is_not_believed(forged: Call) -> None:
    with pytest.raises(Untrusted):
        BOUND.events(forged)


def is_believed(secret: str, body: bytes, signature: str) -> bool:
    meta = WhatsApp(Settings(access_token="t", phone_number_id="7", app_secret=secret))
    try:
        meta.events(call(body, {"x-hub-signature-256": signature}))
    except Untrusted:
        return False
    except BadEvent:
        return True  # it was read, and says nothing
    return True


@given(st.binary(max_size=200), st.text(min_size=1, max_size=40))
def test_pywa_believes_the_same_signatures(body: bytes, secret: str) -> None:
    theirs: Any = pytest.importorskip("pywa.utils").webhook_updates_validator
    right = signed(body, secret=secret).headers["x-hub-signature-256"]
    wrong = right[:-1] + ("0" if right[-1] != "0" else "1")
    assert is_believed(secret, body, right) is theirs(secret, body, right) is True
    assert is_believed(secret, body, wrong) is theirs(secret, body, wrong) is False


def handshake(**query: str) -> Call:
    known = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": "vt"}
    renamed = {f"hub.{name}": value for name, value in query.items()}
    return call(method="GET", query=tuple((known | renamed).items()))


def test_a_subscription_is_answered_with_its_challenge() -> None:
    assert BOUND.events(handshake()) == Heard(status=200, body=b"1158201444")


@pytest.mark.parametrize("wrong", [{"verify_token": "other"}, {"verify_token": ""}, {"verify_token": "é"}])
def test_a_subscription_with_another_token_is_not_believed(wrong: dict[str, str]) -> None:
    with pytest.raises(Untrusted):
        BOUND.events(handshake(**wrong))
    with pytest.raises(Untrusted):
        META.events(handshake(verify_token=""))


@pytest.mark.parametrize(
    "wrong", [{"mode": "other"}, {"challenge": ""}, {"challenge": "<script>"}, {"challenge": "1" * 257}]
)
def test_a_subscription_that_makes_no_sense_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(BadEvent):
        BOUND.events(handshake(**wrong))


@given(json_of("entry", "changes", "field", "messages", "value", "statuses", "id", "status", "read", "text", "from"))
def test_whatever_comes_is_heard_or_a_bad_event(body: bytes) -> None:
    try:
        heard = BOUND.events(signed(body))
    except BadEvent:
        return
    assert all(isinstance(event, Receipt | Inbound) for event in heard.events)


@given(st.lists(json_of("id", "status", "errors", "code", "type", "text", "body", "from").map(bytes), max_size=3))
def test_whatever_comes_in_a_webhook_is_heard_or_a_bad_event(values: list[bytes]) -> None:
    items = b",".join(values)
    body = b'{"entry":[{"changes":[{"field":"messages","value":{"statuses":[%s],"messages":[%s]}}]}]}' % (items, items)
    try:
        heard = BOUND.events(signed(body))
    except BadEvent:
        return
    assert all(isinstance(event, Receipt | Inbound) for event in heard.events)


def test_secrets_do_not_show() -> None:
    settings = Settings(
        access_token="EAAB-secret", phone_number_id="7", app_secret="as-secret", verify_token="vt-secret"
    )
    assert "secret" not in repr(settings) + repr(WhatsApp(settings).request(to_whatsapp(), context()))
