"""Our own two sides together: the SMPP connector hands messages to the SMSC, and hears of them and asks for them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from postdate.clock import SystemClock
from postdate.connectors.contract import CarrierEvent, Inbound, Receipt, State, Submission
from postdate.connectors.smpp import SmppConnector
from postdate.connectors.smpp_settings import SmppSettings
from postdate.connectors.smpp_text import LongMode
from postdate.core.address import Channel
from postdate.core.instant import DAY, Instant
from postdate.core.message import Event
from postdate.core.outcome import Accepted, Busy, InDoubt, Outcome, Refused, Unreachable
from postdate.core.segment import count_segments
from tests.smsc.esme import HANDSET, SENDER, Trial, a_trial, eventually

BODIES = ["See you at 3PM {today}", "Bring your card. " * 30, "予約は明日の午後三時です。" * 12]


def message(number: int, body: str = "Hi") -> Submission:
    """Return a message; its reference is as far from others' as its number, times eight."""
    now = SystemClock().now()
    return Submission(
        f"SM{8 * number:032x}", 1, f"+{SENDER}", f"+{HANDSET}", Channel.SMS, body, count_segments(body), now,
        Instant(now + DAY),
    )  # fmt: skip


@dataclass
class Customer:
    """A connector and all that it told."""

    connector: SmppConnector
    events: list[CarrierEvent] = field(default_factory=list)

    async def on_event(self, event: CarrierEvent) -> None:
        self.events.append(event)

    async def submit(self, batch: Sequence[Submission]) -> dict[str, Outcome]:
        return {submission.sid: outcome async for submission, outcome in self.connector.submit(batch)}

    def receipts(self) -> dict[str, tuple[Event, int | None]]:
        return {one.carrier_ref: (one.event, one.error_code) for one in self.events if isinstance(one, Receipt)}


@asynccontextmanager
async def a_customer(trial: Trial, **settings: Any) -> AsyncIterator[Customer]:
    given = SmppSettings(
        host="127.0.0.1", port=trial.smsc.port, system_id="postdate", password="postdate", reconnect_first=0.05,
        reference=True, query_by_reference=True, **{"answer_timeout": 30.0, **settings},
    )  # fmt: skip
    customer = Customer(SmppConnector(given, SystemClock(), lambda: 0.0))
    await customer.connector.open(customer.on_event)
    await eventually(lambda: customer.connector.condition.state is State.READY)
    try:
        yield customer
    finally:
        await customer.connector.close()


@pytest.mark.parametrize("bind", ["transceiver", "transmitter_receiver"])
@pytest.mark.parametrize("mode", LongMode)
async def test_messages_receipts_and_replies(mode: LongMode, bind: str) -> None:
    async with a_trial() as trial, a_customer(trial, long_messages=mode, bind=bind, links=2) as customer:
        await eventually(lambda: trial.smsc.links == (2 if bind == "transceiver" else 4))
        batch = [message(number, body) for number, body in enumerate(BODIES)]
        outcomes = await customer.submit(batch)
        assert {type(outcome) for outcome in outcomes.values()} == {Accepted}
        assert sorted(one.body for one in trial.smsc.sandbox.inbox(f"+{HANDSET}")) == sorted(BODIES)
        refs = {outcome.carrier_ref for outcome in outcomes.values() if isinstance(outcome, Accepted)}
        await eventually(lambda: customer.receipts().keys() >= refs)
        assert set(customer.receipts().values()) == {(Event.DELIVER, None)}
        await trial.smsc.sandbox.reply(f"+{HANDSET}", f"+{SENDER}", "Thanks")
        await eventually(lambda: any(isinstance(event, Inbound) for event in customer.events))
        (inbound,) = [event for event in customer.events if isinstance(event, Inbound)]
        assert (inbound.sender, inbound.recipient, inbound.body) == (f"+{HANDSET}", f"+{SENDER}", "Thanks")


async def test_a_thousand_messages_each_have_one_outcome_and_one_receipt() -> None:
    script = {"rules": [{"receipt": {"delay": "0ms..20ms"}}]}
    async with a_trial(script) as trial, a_customer(trial, in_flight=50) as customer:
        outcomes = await customer.submit([message(number) for number in range(1_000)])
        refs = {outcome.carrier_ref for outcome in outcomes.values() if isinstance(outcome, Accepted)}
        assert len(refs) == 1_000
        await eventually(lambda: len(customer.events) == 1_000)
        assert customer.receipts().keys() == refs


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [
        ({"answer": "refuse", "code": 30007}, Refused(30007)),
        ({"answer": "refuse", "code": 30005}, Refused(30005)),
        ({"answer": "busy"}, Busy()),
        ({"answer": "unreachable"}, Busy(this_only=True)),
        ({"answer": "timeout"}, InDoubt()),
    ],
)
async def test_what_the_script_says_is_what_the_connector_hears(rule: dict[str, Any], outcome: Outcome) -> None:
    patience = 0.3 if isinstance(outcome, InDoubt) else 30.0
    async with a_trial({"rules": [rule]}) as trial, a_customer(trial, answer_timeout=patience) as customer:
        ((_, heard),) = (await customer.submit([message(1)])).items()
        assert type(heard) is type(outcome)
        match heard, outcome:
            case Refused(code), Refused(wanted):
                assert code == wanted
            case Busy(this_only=only), Busy(this_only=alone):
                assert only == alone


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(("taken", "answer"), [(True, Accepted), (False, Unreachable)])
async def test_a_message_in_doubt_is_asked_about(taken: bool, answer: type[Outcome], body: str) -> None:
    faults = [{"do": "kill", "taken": taken, "every": 1}]
    async with a_trial(wire={"faults": faults}) as trial, a_customer(trial) as customer:
        sent = message(1, body)
        ((_, outcome),) = (await customer.submit([sent])).items()
        assert isinstance(outcome, InDoubt)
        await eventually(lambda: customer.connector.condition.state is State.READY and trial.smsc.links == 1)
        found = await customer.connector.ask(sent)
        whole = len(trial.smsc.sandbox.inbox(f"+{HANDSET}")) == 1
        assert whole or not taken or count_segments(body) > 1
        if whole or not taken:
            assert isinstance(found, answer)
        else:  # some of its parts
            assert isinstance(found, InDoubt)


async def test_no_message_is_lost_or_doubled_when_links_are_cut() -> None:
    faults = [{"do": "kill", "at": 20, "every": 37}, {"do": "kill", "at": 31, "every": 41, "taken": False}]
    async with a_trial(wire={"faults": faults}) as trial, a_customer(trial, links=2) as customer:
        waiting = [message(number, f"number {number}") for number in range(300)]
        while waiting:
            waiting = await not_taken(customer, waiting)
        arrived = [one.body for one in trial.smsc.sandbox.inbox(f"+{HANDSET}")]
        assert sorted(arrived) == sorted(f"number {number}" for number in range(300))


async def not_taken(customer: Customer, batch: Sequence[Submission]) -> list[Submission]:
    """Submit a batch, ask about what is in doubt, and return what must be submitted again."""
    outcomes = await customer.submit(batch)
    for sent in batch:
        while isinstance(outcomes[sent.sid], InDoubt):
            await eventually(lambda: customer.connector.condition.state is State.READY)
            outcomes[sent.sid] = await customer.connector.ask(sent)
    return [sent for sent in batch if not isinstance(outcomes[sent.sid], Accepted)]
