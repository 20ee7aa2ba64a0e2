"""The three commands of Twilio's announcement of scheduled messages, run by a shell, with nothing changed but the host.

What stands there in angle brackets is filled in, as the announcement asks its readers to.
"""

import asyncio
import json
import shutil
from datetime import UTC, datetime
from typing import Any

import pytest

from postdate.core.instant import DAY, HOUR, SECOND, Instant, format_iso
from tests.api.serving import TO
from tests.clients.conftest import Surroundings

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed: install it to test it")

HOST = "https://api.twilio.com"

REMIND = r"""curl -X POST https://api.twilio.com/2010-04-01/Accounts/$TWILIO_ACCOUNT_SID/Messages.json \
--data-urlencode "Body=This is a reminder about your appointment tomorrow at 3PM with Dr. Strange" \
--data-urlencode "MessagingServiceSid=<service>" \
--data-urlencode "To=<recipient>" \
--data-urlencode "ScheduleType=fixed" \
--data-urlencode "SendAt=<time>" \
-u $TWILIO_ACCOUNT_SID:$TWILIO_AUTH_TOKEN"""

REMIND_WITH_PICTURE = r"""curl -X POST https://api.twilio.com/2010-04-01/Accounts/$TWILIO_ACCOUNT_SID/Messages.json \
--data-urlencode "MediaUrl=https://i.ibb.co/D7fKNxw/frame.png" \
--data-urlencode "Body=This is a reminder about your appointment tomorrow at 3PM with Dr. Strange" \
--data-urlencode "MessagingServiceSid=<service>" \
--data-urlencode "To=<recipient>" \
--data-urlencode "ScheduleType=fixed" \
--data-urlencode "SendAt=<time>" \
-u $TWILIO_ACCOUNT_SID:$TWILIO_AUTH_TOKEN"""

CANCEL = r"""curl -X POST https://api.twilio.com/2010-04-01/Accounts/$TWILIO_ACCOUNT_SID/Messages/<message> \
--data-urlencode "Status=canceled" \
-u $TWILIO_ACCOUNT_SID:$TWILIO_AUTH_TOKEN"""


async def shell(around: Surroundings, command: str, **blanks: str) -> str:
    """Run a command with its blanks filled in, the host changed, and the customer's variables set."""
    assert HOST in command
    for name, value in blanks.items():
        assert f"<{name}>" in command
        command = command.replace(f"<{name}>", value)
    customer = around.site.customer
    process = await asyncio.create_subprocess_exec(
        "sh",
        "-c",
        command.replace(HOST, around.url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "NO_PROXY": "127.0.0.1",
            "TWILIO_ACCOUNT_SID": customer.account,
            "TWILIO_AUTH_TOKEN": customer.secret,
        },
    )
    said, complained = await process.communicate()
    assert process.returncode == 0, complained.decode()
    return said.decode()


async def as_json(around: Surroundings, command: str, **blanks: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await shell(around, command, **blanks))
    return found


async def test_the_announcements_commands(around: Surroundings) -> None:
    site = around.site
    appointment = Instant(site.now // SECOND * SECOND + 3 * DAY)
    day_before, hours_before = Instant(appointment - DAY), Instant(appointment - 3 * HOUR)

    reminder = await as_json(around, REMIND, service=site.service, recipient=TO, time=format_iso(day_before))
    account, sid = site.customer.account, reminder["sid"]
    uri = f"/2010-04-01/Accounts/{account}/Messages/{sid}"
    shown = {
        "date_sent": None,
        "account_sid": account,
        "to": TO,
        "from": None,
        "messaging_service_sid": site.service,
        "body": "This is a reminder about your appointment tomorrow at 3PM with Dr. Strange",
        "status": "scheduled",
        "num_segments": "0",
        "num_media": "0",
        "direction": "outbound-api",
        "api_version": "2010-04-01",
        "price": None,
        "price_unit": None,
        "error_code": None,
        "error_message": None,
        "uri": f"{uri}.json",
        "subresource_uris": {"media": f"{uri}/Media.json"},
    }
    assert {name: reminder[name] for name in shown} == shown
    assert sid.startswith("SM")
    for date in (reminder["date_created"], reminder["date_updated"]):
        assert datetime.strptime(date, "%a, %d %b %Y %H:%M:%S %z") == datetime.fromtimestamp(site.now // SECOND, UTC)

    picture = await as_json(
        around, REMIND_WITH_PICTURE, service=site.service, recipient=TO, time=format_iso(hours_before)
    )
    assert (picture["status"], picture["num_media"], picture["sid"][:2]) == ("scheduled", "1", "MM")

    # The appointment is called off: without `.json`, and more than once, as people do.
    for _ in range(2):
        canceled = await as_json(around, CANCEL, message=picture["sid"])
        assert (canceled["sid"], canceled["status"], canceled["date_sent"]) == (picture["sid"], "canceled", None)

    await site.node.advance_to(Instant(day_before - 1))
    assert site.node.sandbox.received_total == 0
    await site.node.advance_to(Instant(appointment + DAY))
    assert [(m.sid, m.body, m.at) for m in site.node.sandbox.inbox(TO)] == [(sid, shown["body"], day_before)]
    assert (await site.customer.fetch(sid))["status"] == "delivered"
    assert (await site.customer.fetch(picture["sid"]))["status"] == "canceled"


@pytest.mark.parametrize(
    ("blanks", "code", "told"),
    [
        pytest.param({"service": "<Your Messaging Service SID From Step 1>"}, 21705, "<Your Messaging", id="service"),
        pytest.param({"recipient": "<xxxxxxxxx>"}, 21211, "<xxxxxxxxx>", id="recipient"),
        pytest.param({"time": "<UTC Date Time in ISO-8601 Format>"}, 20001, "2030-01-01T14:00:00Z", id="time"),
        pytest.param({"time": "2022-01-01T14:00:00Z"}, 35114, "1h..7d", id="the-announcements-time"),
    ],
)
async def test_a_blank_that_was_left_in_is_told(
    around: Surroundings, blanks: dict[str, str], code: int, told: str
) -> None:
    given = {"service": around.site.service, "recipient": TO, "time": around.site.ahead(DAY), **blanks}
    error = await as_json(around, REMIND, **given)
    assert (error["code"], error["status"]) == (code, 400)
    assert told in error["message"]


async def test_a_forgotten_token_is_told(around: Surroundings) -> None:
    error = await as_json(around, CANCEL.replace(":$TWILIO_AUTH_TOKEN", ":"), message="SM" + "0" * 32)
    assert (error["code"], error["status"]) == (20003, 401)


async def test_a_list_with_an_unescaped_comparison(around: Surroundings) -> None:
    messages = f'curl -s -u $TWILIO_ACCOUNT_SID:$TWILIO_AUTH_TOKEN "{HOST}/2010-04-01/Accounts/$TWILIO_ACCOUNT_SID'
    sent = await around.site.scheduled()
    await around.site.advance(DAY)
    for compared, found in [("DateSent<=2016-07-31", []), ("DateSent>=2016-07-31", [sent])]:
        page = await as_json(around, f'{messages}/Messages.json?{compared}"')
        assert [message["sid"] for message in page["messages"]] == found


async def test_a_form_in_many_parts_cancels_nothing_and_says_so(around: Surroundings) -> None:
    sid = await around.site.scheduled()
    error = await as_json(around, CANCEL.replace("--data-urlencode", "-F"), message=sid)
    assert (error["code"], error["status"]) == (20422, 422)
    assert (await around.site.customer.fetch(sid))["status"] == "scheduled"


async def test_a_head_request(around: Surroundings) -> None:
    sid = await around.site.scheduled()
    command = CANCEL.partition(" \\")[0].replace("-X POST", "-I -s -u $TWILIO_ACCOUNT_SID:$TWILIO_AUTH_TOKEN")
    head = await shell(around, command, message=sid)
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    assert "content-type: application/json" in head
