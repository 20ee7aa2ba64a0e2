"""Our requests and our samples of webhooks as Meta's own description of the Cloud API sees them.

Quirks of it: it wants a `recipient_type` and a `policy` of the language, which the API takes too. It knows no
`biz_opaque_callback_data` beside typed messages, which the API has: that one is left out here. Its schema of an inbound
message refers to outbound ones of the same name: samples of those are held against the parts that are meant.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import jsonschema
import pytest

from postdate.connectors.contract import Attachment
from postdate.connectors.providers.contract import Request
from postdate.connectors.providers.whatsapp import Settings, WhatsApp, template_message
from postdate.core.address import Channel
from postdate.core.message import Template
from postdate.core.outcome import Accepted, InDoubt
from tests.connectors.providers.building import PICTURE, answer, context, submission
from tests.connectors.providers.prism import DESCRIPTIONS, asked, needs, serving
from tests.connectors.providers.whatsapp_samples import failed, message, status, webhook

DESCRIPTION = DESCRIPTIONS / "meta_whatsapp_v23.yaml"
pytestmark = needs(DESCRIPTION)


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    """The URL of a Prism that all tests here share."""
    with serving(DESCRIPTION) as url:
        yield url


def provider(base_url: str) -> WhatsApp:
    return WhatsApp(Settings(access_token="EAAB", phone_number_id="106540352242922", base_url=base_url))


def posted(base_url: str, more: dict[str, Any] | None = None, **parts: Any) -> Request:
    """Our request as the description knows it; `more` stands in for what it says of its content."""
    known = {"channel": Channel.WHATSAPP, "recipient": "whatsapp:+15550002222"}
    request = provider(base_url).request(submission(**(known | parts)), context())
    assert isinstance(request, Request)
    order = json.loads(request.body or b"")
    del order["biz_opaque_callback_data"]
    if more is not None:
        del order["type"], order["text"]
    return replace(request, body=json.dumps(order | (more or {})).encode())


PDF = Attachment("application/pdf", b"", "https://node.example/media/1")
SOUND = Attachment("audio/ogg", b"", "https://node.example/media/2")
VIDEO = Attachment("video/mp4", b"", "https://node.example/media/3")
FITS: dict[str, tuple[dict[str, Any] | None, dict[str, Any]]] = {
    "a text": (None, {}),
    "an image": (None, {"attachments": (PICTURE,)}),
    "a video": (None, {"attachments": (VIDEO,)}),
    "a sound": (None, {"attachments": (SOUND,), "body": ""}),
    "a document": (None, {"attachments": (PDF,)}),
    "a template": (template_message(Template("reminder", "en_US", {"1": "Ann", "2": "10:30"})), {}),
    "a template without variables": (template_message(Template("hello_world", "en_US")), {}),
}


@pytest.mark.parametrize(("more", "parts"), FITS.values(), ids=FITS.keys())
async def test_what_we_post_fits(more: dict[str, Any] | None, parts: dict[str, Any], base_url: str) -> None:
    reply = await asked(posted(base_url, more, **parts))
    assert reply.status == 200, reply.body
    assert isinstance(provider(base_url).outcome(submission(), reply), Accepted)


MISFITS: dict[str, dict[str, Any]] = {
    "a type that is none": {"type": "telegram", "telegram": {"body": "hi"}},
    "a text without its text": {"type": "text"},
    "an image without its link": {"type": "image", "image": {"caption": "look"}},
    "a template without its language": {"type": "template", "template": {"name": "reminder"}},
}


@pytest.mark.parametrize("more", MISFITS.values(), ids=MISFITS.keys())
async def test_what_does_not_fit_is_noticed(more: dict[str, Any], base_url: str) -> None:
    reply = await asked(posted(base_url, more))
    assert reply.status == 422, reply.body
    assert isinstance(provider(base_url).outcome(submission(), reply), InDoubt)  # it is not Meta who says it


# --- samples of webhooks ----------------------------------------------------------------------------------------------


@cache
def validator(name: str) -> Any:
    """What checks against one schema of the description."""
    yaml: Any = pytest.importorskip("yaml")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    components = yaml.load(DESCRIPTION.read_bytes(), loader)["components"]
    return jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": components})


MEDIUM = {"mime_type": "image/jpeg", "sha256": "x", "id": "m1", "caption": "look"}
STATUSES = [status("sent"), status("delivered"), status("read"), failed(131047)]
CONTEXT = {"from": "15550783881", "id": "wamid.y"}
BUTTON = {"type": "button_reply", "button_reply": {"id": "1", "title": "Yes"}}
MESSAGES = {
    "TextMessage_2": message("text", text={"body": "STOP"}),
    "ImageMessage_1": message("image", image=MEDIUM),
    "ButtonMessage": message("button", context=CONTEXT, button={"payload": "p", "text": "Yes"}),
    "InteractiveMessageReply": message("interactive", context=CONTEXT, interactive=BUTTON),
}


@pytest.mark.parametrize("sample", STATUSES, ids=[str(sample["status"]) for sample in STATUSES])
def test_our_samples_of_statuses_are_theirs(sample: dict[str, Any]) -> None:
    validator("Statuses").validate(sample)
    validator("WebhookPayload").validate(webhook(sample))


@pytest.mark.parametrize(("name", "sample"), MESSAGES.items(), ids=MESSAGES.keys())
def test_our_samples_of_messages_are_theirs(name: str, sample: dict[str, Any]) -> None:
    validator("BaseMessageProperties_1").validate(sample)
    validator(f"{name}/allOf/1").validate(sample)


def test_the_schema_notices_a_status_that_is_none() -> None:
    with pytest.raises(jsonschema.ValidationError):
        validator("Statuses").validate(status("eaten"))
    with pytest.raises(jsonschema.ValidationError):
        validator("Statuses").validate({"status": "read"})


def test_the_answer_of_the_description_is_read() -> None:
    example = {
        "messaging_product": "whatsapp",
        "contacts": [],
        "messages": [{"id": "wamid.x", "message_status": "accepted"}],
    }
    validator("MessageResponsePayload").validate(example)
    assert provider("http://127.0.0.1:1").outcome(submission(), answer(200, example)) == Accepted("wamid.x")
