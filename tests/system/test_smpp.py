"""A node and an SMSC that fails: what was created over the API is at its handset once, or shown as in doubt.

The SMSC counts what it took; the node is asked what it says of each message. The two are compared when nothing moves.
"""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.api.serving import Customer, a_site
from tests.smsc.esme import HANDSET, Trial, a_trial

COUNT = 120
SENDER = "+12125550001"
RECEIPTS_SOON = {"receipt": {"delay": "0ms..20ms"}}
BUSY_AT_FIRST = {"attempt": 1, "answer": "busy"}
LINK = {
    "system_id": "postdate",
    "password": "postdate",
    "in_flight": 10,
    "answer_timeout": 1.5,
    "reconnect_first": 0.05,
}

Messages = list[dict[str, Any]]


async def set_up(owner: Customer, smsc: Trial, **more: object) -> None:
    """Add a connection to the SMSC and a sender that goes out by it."""
    settings = json.dumps({"host": "127.0.0.1", "port": smsc.smsc.port, **LINK, **more})
    made = await owner.call("POST", "/postdate/v1/Connections", {"Kind": "smpp", "Name": "smsc", "Settings": settings})
    assert made.status == 201, made
    number = {"PhoneNumber": SENDER, "Connection": "smsc", "Mps": "0"}
    made = await owner.on("POST", "/IncomingPhoneNumbers.json", number)
    assert made.status == 201, made


async def create(owner: Customer) -> list[str]:
    """Create messages, each with a text of its own; return the texts."""
    bodies = [f"Number {number}" for number in range(COUNT)]
    sent = [owner.send(From=SENDER, To=f"+{HANDSET}", Body=body) for body in bodies]
    assert {reply.status for reply in await asyncio.gather(*sent)} == {201}
    return bodies


async def messages(owner: Customer) -> Messages:
    page = await owner.list(PageSize="1000", From=SENDER)
    found: Messages = page["messages"]
    assert len(found) == COUNT
    return found


async def at_rest(owner: Customer, may_doubt: bool) -> Messages:
    """Return the messages once each is delivered, or in doubt where that `may` last."""
    async with asyncio.timeout(100):
        while True:
            found = await messages(owner)
            if all(message["status"] == "delivered" or (may_doubt and message["in_doubt"]) for message in found):
                return found


def fault(do: str, every: int, **more: object) -> dict[str, Any]:
    return {"faults": [{"do": do, "at": 7, "every": every, **more}]}


# What the links do, what the carrier does, how the connection is set, and whether there are doubts that last.
TROUBLE: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], bool]] = {
    "links cut, the carrier has it": (fault("kill", 53), {}, {}, True),
    "links cut, the carrier has it not": (fault("kill", 53, taken=False), {}, {}, True),
    "half-open links": (fault("silence", 80), {}, {"enquire_link": 0.2}, True),
    "no answers": (fault("no_answer", 29), {}, {}, True),
    "two answers": (fault("answer_twice", 7), {}, {}, False),
    "late answers": (fault("answer_late", 29, delay="2s"), {}, {}, False),
    "late answers that it was not taken": (fault("answer_late", 29, delay="2s"), BUSY_AT_FIRST, {}, False),
    "throttling": ({}, BUSY_AT_FIRST, {}, False),
    "a full queue": ({"busy": "queue_full"}, BUSY_AT_FIRST, {}, False),
    "garbage": (fault("send", 53, octets="garbage"), {}, {}, True),
}


@pytest.mark.parametrize("name", TROUBLE)
async def test_nothing_is_lost_or_doubled(tmp_path: Path, name: str) -> None:
    wire, busy, link, may_doubt = TROUBLE[name]
    script = {"rules": [*([busy] if busy else []), RECEIPTS_SOON]}
    async with a_trial(script, wire) as smsc, a_site(tmp_path, test_clock=False) as site:
        await set_up(site.customer, smsc, **link)
        bodies = await create(site.customer)
        found = await at_rest(site.customer, may_doubt)
        arrived = Counter(one.body for one in smsc.smsc.sandbox.inbox(f"+{HANDSET}"))
    doubted = {message["body"] for message in found if message["in_doubt"]}
    assert set(arrived.values()) == {1}
    assert set(bodies) - arrived.keys() <= doubted
    assert len(doubted) <= (COUNT / 2 if may_doubt else 0)
