"""WhatsApp templates all the way: from a content over the API to the request that Meta gets, held to its description.

Quirks of the description: a button's `index` there is a pattern of footnotes that "0" is not in, and `copy_code` is no
kind of button, though Meta's API has both; so those are left out where the description judges.
"""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from postdate.connectors.contract import Attachment
from postdate.connectors.providers.contract import Answer, Request
from postdate.connectors.providers.whatsapp import Settings, WhatsApp
from postdate.core.address import Channel
from postdate.core.instant import HOUR
from postdate.core.message import Template, TemplateButton
from postdate.core.outcome import Accepted, Refused
from tests.api.serving import FROM, LONG_ENOUGH, TO, Site, a_site
from tests.connectors.providers.building import PICTURE, context, submission
from tests.connectors.providers.prism import DESCRIPTIONS, asked, needs, serving
from tests.serving_http import serving_http

DESCRIPTION = DESCRIPTIONS / "meta_whatsapp_v23.yaml"
PATIENT, CLINIC = f"whatsapp:{TO}", f"whatsapp:{FROM}"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)
ACTIONS = [
    {"type": "PHONE_NUMBER", "title": "Call", "phone": "+14155550111"},
    {"type": "URL", "title": "Open", "url": "https://a.example/{{2}}"},
    {"type": "QUICK_REPLY", "title": "Yes", "id": "yes"},
]
LOOK = {"body": "Hi {{1}}, see you at {{2}}", "media": ["{{picture}}"], "actions": ACTIONS}
CONTENT = {"language": "en_US", "variables": {"1": "there"}, "types": {"whatsapp/card": LOOK}}
TEXT, URL_BUTTON = {"type": "text", "text": "3PM"}, {"type": "button", "sub_type": "url", "index": "1"}


class Meta:
    """Meta's API and the customer's pictures, on a free port."""

    def __init__(self) -> None:
        self.url = ""
        self.orders: list[dict[str, Any]] = []

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Take a message, or give a picture."""
        if request.method == "GET":
            return web.Response(body=PNG, content_type="image/png")
        assert request.path == "/v23.0/7/messages"
        self.orders.append(json.loads(await request.read()))
        return web.json_response({"messages": [{"id": f"wamid.{len(self.orders)}"}]})


@pytest.fixture
async def meta() -> AsyncIterator[Meta]:
    """Give a server in Meta's place."""
    given = Meta()
    async with serving_http(given.answer) as given.url:
        yield given


@pytest.fixture
async def site(tmp_path: Path, meta: Meta) -> AsyncIterator[Site]:
    """Give a node whose WhatsApp sender goes out by Meta."""
    async with a_site(tmp_path) as site:
        settings = {"access_token": "EAAB", "phone_number_id": "7", "base_url": meta.url}
        connection = {"Kind": "whatsapp", "Name": "meta", "Settings": json.dumps(settings)}
        assert (await site.customer.call("POST", "/postdate/v1/Connections", connection)).status == 201
        sender = {"Sender": CLINIC, "Connection": "meta", "Mps": "0"}
        made = await site.customer.call("POST", "/postdate/v1/ChannelSenders", sender)
        assert made.status == 201, made
        path = f"/v1/Services/{site.service}/ChannelSenders"
        assert (await site.customer.call("POST", path, {"Sid": made.json["sid"]})).status == 201
        yield site


async def post(site: Site, path: str, given: object) -> Any:
    """Send JSON; return what came back."""
    reply = await site.customer.call(
        "POST", path, json.dumps(given).encode(), headers={"content-type": "application/json"}
    )
    assert reply.status == 201, reply
    return reply.json


async def sent(site: Site, meta: Meta, content: dict[str, Any], approved: bool) -> dict[str, Any]:
    """Schedule a message with a content; return the one order that came to Meta for it."""
    sid = (await post(site, "/v1/Content", content))["sid"]
    if approved:
        given = {"name": "reminder", "category": "UTILITY", "status": "approved"}
        await post(site, f"/v1/Content/{sid}/ApprovalRequests/whatsapp", given)
    values = json.dumps({"2": "3PM", "picture": f"{meta.url}/1.png"})
    message = await site.scheduled(To=PATIENT, ContentSid=sid, ContentVariables=values)
    await site.advance(HOUR)
    assert meta.orders == []
    await site.advance(HOUR + LONG_ENOUGH)
    assert (await site.customer.fetch(message))["status"] == "sent"
    (order,) = meta.orders
    assert order.pop("biz_opaque_callback_data") == message
    return order


async def test_an_approved_template_goes_to_meta(site: Site, meta: Meta) -> None:
    order = await sent(site, meta, CONTENT, approved=True)
    link = order["template"]["components"][0]["parameters"][0]["image"]["link"]
    assert link.startswith(f"{site.node.parts().base_url()}/media/ME")
    assert order == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": TO,
        "type": "template",
        "template": {
            "name": "reminder",
            "language": {"policy": "deterministic", "code": "en_US"},
            "components": [
                {"type": "header", "parameters": [{"type": "image", "image": {"link": link}}]},
                {"type": "body", "parameters": [{"type": "text", "text": "there"}, TEXT]},
                {**URL_BUTTON, "parameters": [TEXT]},
                {
                    "type": "button",
                    "sub_type": "quick_reply",
                    "index": "2",
                    "parameters": [{"type": "payload", "payload": "yes"}],
                },
            ],
        },
    }


async def test_what_is_not_approved_goes_as_a_message_of_the_session(site: Site, meta: Meta) -> None:
    content = {"language": "en", "types": {"twilio/text": {"body": "See you at {{2}}"}}}
    order = await sent(site, meta, content, approved=False)
    assert (order["type"], order["text"]["body"]) == ("text", "See you at 3PM")


# --- what Meta's description says of it -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prism() -> Iterator[str]:
    """The URL of a Prism that all tests here share."""
    with serving(DESCRIPTION) as url:
        yield url


def provider(base_url: str = "https://graph.facebook.com") -> WhatsApp:
    return WhatsApp(Settings(access_token="EAAB", phone_number_id="106540352242922", base_url=base_url))


async def told(base_url: str, order: dict[str, Any]) -> Answer:
    """Return what Prism says of an order."""
    plain = provider(base_url).request(submission(recipient=PATIENT, channel=Channel.WHATSAPP), context())
    assert isinstance(plain, Request)
    return await asked(replace(plain, body=json.dumps(order).encode()))


class TestDescription:
    """With Prism."""

    pytestmark = needs(DESCRIPTION)

    async def test_what_comes_to_meta_fits(self, site: Site, meta: Meta, prism: str) -> None:
        order = await sent(site, meta, CONTENT, approved=True)
        reply = await told(prism, order)
        assert reply.status == 200, reply.body
        assert isinstance(provider().outcome(submission(), reply), Accepted)

    @pytest.mark.parametrize("part", ["header", "body", "button"])
    async def test_what_would_not_fit_is_noticed(self, site: Site, meta: Meta, prism: str, part: str) -> None:
        order = await sent(site, meta, CONTENT, approved=True)
        for component in order["template"]["components"]:
            if component["type"] == part:
                component["type"] = "footer"
        assert (await told(prism, order)).status == 422


# --- what the description does not know -------------------------------------------------------------------------------


def components(template: Template, *attachments: Attachment) -> Any:
    """Return the parts of a template as they are asked for."""
    plain = submission(recipient=PATIENT, channel=Channel.WHATSAPP, attachments=attachments)
    request = provider().request(replace(plain, template=template), context())
    if isinstance(request, Refused):
        return request.code
    order = json.loads(request.body or b"")
    assert (order["type"], order["to"]) == ("template", TO)
    return order["template"].get("components")


VIDEO, PDF, SOUND = (replace(PICTURE, content_type=kind) for kind in ("video/mp4", "application/pdf", "audio/ogg"))
CODE, ANN = ({"type": "text", "text": text} for text in ("123", "Ann"))
PARTS: list[tuple[Template, tuple[Attachment, ...], Any]] = [
    (Template("t", "en"), (), None),
    *(
        (Template("t", "en", header={name: "Ann"}), (), [{"type": "header", "parameters": [{**ANN, **named}]}])
        for name, named in (("1", {}), ("who", {"parameter_name": "who"}))
    ),
    *(
        (Template("t", "en"), (one,), [{"type": "header", "parameters": [{"type": kind, kind: {"link": one.url}}]}])
        for kind, one in (("image", PICTURE), ("video", VIDEO), ("document", PDF))
    ),
    (Template("t", "en"), (SOUND,), 63021),
    (
        Template("t", "en", {"1": "123"}, buttons=(TemplateButton(0, "url", "123"),)),
        (),
        [
            {"type": "body", "parameters": [CODE]},
            {"type": "button", "sub_type": "url", "index": "0", "parameters": [CODE]},
        ],
    ),
    (
        Template("t", "en", buttons=(TemplateButton(3, "copy_code", "SALE"),)),
        (),
        [
            {
                "type": "button",
                "sub_type": "copy_code",
                "index": "3",
                "parameters": [{"type": "coupon_code", "coupon_code": "SALE"}],
            }
        ],
    ),
]


@pytest.mark.parametrize(("template", "attachments", "expected"), PARTS)
def test_the_parts_of_a_template(template: Template, attachments: tuple[Attachment, ...], expected: Any) -> None:
    assert components(template, *attachments) == expected
