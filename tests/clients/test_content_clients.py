"""Twilio's official Python and Node.js libraries, unmodified, against the content API."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client
from twilio.rest.content.v1.content import ContentList
from twilio.rest.content.v1.content.approval_create import ApprovalCreateList

from tests.api.serving import FROM, TAKEN, TO
from tests.clients.conftest import Surroundings

PACKAGE = Path(__file__).parents[1] / "node" / "package.json"
CUSTOMER = Path(__file__).with_name("content_customer.mjs")
INSTALLED = (PACKAGE.parent / "node_modules" / "twilio" / "package.json").exists()
NODE = shutil.which("node")

TYPES: dict[str, Any] = {
    "twilio/text": {"body": "Hi {{1}}, see you at {{2}}"},
    "twilio/quick-reply": {"body": "Hi {{1}}, come at {{2}}?", "actions": [{"title": "Yes", "id": "yes"}]},
    "whatsapp/card": {"body": "At {{2}}", "header_text": "Clinic"},
}
GIVEN = {"friendly_name": "Reminder", "language": "en", "variables": {"1": "there"}, "types": TYPES}


def story(base: str, user: str, secret: str) -> dict[str, Any]:
    """What a customer does with the Python library."""
    transport: Any = TwilioHttpClient()
    client: Any = Client(user, secret, http_client=transport, environment={})
    client.api.base_url = client.content.base_url = base
    contents = client.content.v1.contents
    try:
        made = contents.create(content_create_request=ContentList.ContentCreateRequest(GIVEN))
        request = ApprovalCreateList.ContentApprovalRequest({"name": "reminder", "category": "UTILITY"})
        asked = contents(made.sid).approval_create.create(content_approval_request=request)
        other = ContentList.ContentUpdateRequest({"types": {"twilio/text": {"body": "Come at {{2}}"}}})
        message = client.messages.create(to=TO, from_=FROM, content_sid=made.sid, content_variables='{"2": "3PM"}')
        told = {
            "made": made,
            "asked": asked,
            "approval": contents(made.sid).approval_fetch().fetch().whatsapp,
            "listed": [one.sid for one in contents.list()],
            "approvals": client.content.v1.content_and_approvals.list()[0].approval_requests["status"],
            "legacy": client.content.v1.legacy_contents.list()[0].legacy_template_name,
            "searched": [
                [one.sid for one in client.content.v2.contents.list(language=language, content_type=["twilio/text"])]
                for language in (["fr", "en"], ["fr"])
            ],
            "eligible": client.content.v2.content_and_approvals.list(channel_eligibility=["whatsapp:received"])[0].sid,
            "updated": contents(made.sid).update(content_update_request=other),
            "body": message.body,
            "removed": contents(made.sid).delete(),
        }
        with pytest.raises(TwilioRestException) as caught:
            contents(made.sid).fetch()
        return told | {"code": caught.value.code}
    finally:
        transport.session.close()


async def test_the_python_library(around: Surroundings) -> None:
    customer = around.site.customer
    told = await asyncio.to_thread(story, around.url, customer.user, customer.secret)
    made = told["made"]
    assert (made.friendly_name, made.language, made.variables, made.types) == ("Reminder", "en", {"1": "there"}, TYPES)
    assert made.date_created is not None
    assert (told["asked"].status, told["asked"].content_type) == ("received", "whatsapp/card")
    assert told["approval"]["name"] == told["legacy"] == "reminder"
    assert told["approvals"] == "received"
    assert told["listed"] == told["searched"][0] == [told["eligible"]] == [made.sid]
    assert told["searched"][1] == []
    assert told["updated"].types == {"twilio/text": {"body": "Come at {{2}}"}}
    assert (told["updated"].language, told["updated"].friendly_name) == ("en", "Reminder")
    assert (told["body"], told["removed"], told["code"]) == ("Hi there, see you at 3PM", True, 20404)
    await around.site.advance(TAKEN)
    assert [m.body for m in around.site.node.sandbox.inbox(TO)] == ["Hi there, see you at 3PM"]


@pytest.mark.skipif(NODE is None, reason="Node.js is not installed: install it to test its Twilio library")
@pytest.mark.skipif(
    not INSTALLED, reason="Twilio's Node.js library is missing: npm install --prefix tests/node --no-package-lock"
)
async def test_the_node_library(around: Surroundings) -> None:
    customer = around.site.customer
    asked = {"base": around.url, "account": customer.account, "token": customer.secret, "to": TO, "from": FROM}
    process = await asyncio.create_subprocess_exec(
        str(NODE),
        str(CUSTOMER),
        str(PACKAGE),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": str(Path(str(NODE)).parent)},
    )
    said, complained = await process.communicate(json.dumps(asked).encode())
    assert process.returncode == 0, complained.decode()
    told = json.loads(said)
    made = told["made"]
    assert (made["friendlyName"], made["language"], made["variables"]) == ("Reminder", "en", {"firstName": "there"})
    assert made["types"] == {
        "twilio/text": {"body": "Hi {{firstName}}, see you at {{2}}"},
        "twilio/call-to-action": {
            "body": "See {{2}}",
            "actions": [{"type": "URL", "title": "Open", "url": "https://a.example/{{2}}"}],
        },
        "whatsapp/authentication": {
            "add_security_recommendation": True,
            "actions": [{"type": "COPY_CODE", "copy_code_text": "Copy"}],
        },
    }
    assert (told["asked"]["status"], told["asked"]["contentType"]) == ("received", "whatsapp/authentication")
    assert told["approval"]["name"] == told["legacy"] == "reminder"
    assert told["listed"] == told["approvals"] == told["searched"] == [made["sid"]]
    assert told["updated"]["types"] == {"twilio/text": {"body": "Come at {{2}}"}}
    assert (told["body"], told["removed"], told["code"]) == ("Hi there, see you at 3PM", True, 20404)
