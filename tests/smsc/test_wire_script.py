"""The wire script: what it says of a script that cannot be followed, and each fault as an ESME sees it."""

import json
from typing import Any

import pytest

from postdate.clock import SystemClock, TestClock, breathe
from postdate.connectors.sandbox_fields import InvalidScript
from postdate.core.instant import SECOND, Instant
from postdate.smpp.codes import Status
from postdate.smpp.pdu import EnquireLink
from postdate.smpp.session import ProtocolError, RequestReceived, RequestRejected, ResponseReceived, StrayResponse
from postdate.smsc.odd_octets import ODD
from postdate.smsc.wire_script import Act, Fault, WireScript
from tests.docs.pages import blocks, manual, rows
from tests.smsc.esme import HANDSET, Esme, Trial, a_trial, eventually, text

PAGE = manual("smsc")
ENDS_THE_LINK = {"garbage", "length_too_short", "length_too_long"}


def on_handset(trial: Trial) -> list[str]:
    return [received.body for received in trial.smsc.sandbox.inbox(f"+{HANDSET}")]


# --- reading ---------------------------------------------------------------------------------------------------------


def test_the_script_of_the_manual_can_be_followed() -> None:
    (written,) = blocks(PAGE, "json")
    script = WireScript.parse(json.loads(written))
    assert [fault.act for fault in script.faults] == [Act.KILL, Act.ANSWER_LATE, Act.STATUS, Act.SEND]
    assert script.refusal(30007) == 1041


def test_every_field_act_and_name_of_octets_is_in_the_manual() -> None:
    described = {row[0].strip("`") for row in rows(PAGE)}
    assert {field for field in Fault.__dataclass_fields__ if field != "act"} | {"do", *Act} <= described
    assert [name for name in ODD if f"`{name}`" not in PAGE] == []
    assert [name for name in WireScript.__dataclass_fields__ if f"`{name}`" not in PAGE and name != "faults"] == []


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ([], "the wire script is []; write an object"),
        ({"fault": []}, "the wire script has no 'fault'; it has faults, response_ids"),
        ({"faults": "kill"}, "faults is 'kill'; write a list of faults."),
        ({"faults": [{}] * 1_001}, "faults has 1001 faults; a script holds at most 1000."),
        ({"faults": [{}]}, "faults[0] says nothing to do; write one of kill, silence"),
        ({"faults": [{"do": "explode"}]}, "faults[0]: do is 'explode'; write one of kill, silence"),
        ({"faults": [{"do": "kill", "at": 0}]}, "faults[0]: at and every count submit_sm; write 1 or more."),
        ({"faults": [{"do": "kill", "every": 0}]}, "at and every count submit_sm"),
        ({"faults": [{"do": "kill", "delay": "5s"}]}, "delay is how late answer_late is"),
        ({"faults": [{"do": "answer_late"}]}, "delay is how late answer_late is"),
        ({"faults": [{"do": "status"}]}, "status is what the act status answers"),
        ({"faults": [{"do": "status", "status": 1 << 32}]}, "1 to 4294967295"),
        ({"faults": [{"do": "kill", "status": 8}]}, "and nowhere else"),
        ({"faults": [{"do": "send"}]}, "octets is what the act send sends"),
        ({"faults": [{"do": "send", "octets": "rubbish"}]}, "octets is 'rubbish'; write one of garbage"),
        ({"faults": [{"do": "send", "octets": "hex:0"}]}, "or hex: and up to 65552 octets"),
        ({"faults": [{"do": "answer_twice", "taken": False}]}, "taken is for kill, silence and no_answer"),
        ({"faults": [{"do": "kill", "when": 1}]}, "faults[0] has no 'when'"),
        ({"response_ids": "octal"}, "response_ids is 'octal'; write one of hex, decimal"),
        ({"busy": "asleep"}, "busy is 'asleep'; write one of throttled, queue_full"),
        ({"refusals": [1]}, "refusals is [1]; write error codes and statuses"),
        ({"refusals": {"1": 8}}, "refusals: '1' is no error code"),
        ({"refusals": {"30007": 0}}, "refusals: 30007 is 0; write a status"),
        ({"refusals": {"30007": True}}, "refusals: 30007 is True; write a status"),
    ],
)
def test_what_cannot_be_followed_says_where_and_what_is_expected(written: Any, complaint: str) -> None:
    with pytest.raises(InvalidScript) as raised:
        WireScript.parse(written)
    assert complaint in str(raised.value)


@pytest.mark.parametrize(
    ("at", "every", "due"), [(1, None, [1]), (3, None, [3]), (1, 2, [1, 3, 5, 7, 9]), (4, 3, [4, 7, 10])]
)
def test_a_fault_is_due_when_it_says(at: int, every: int | None, due: list[int]) -> None:
    assert [count for count in range(1, 11) if Fault(Act.KILL, at, every).is_due(count)] == due


# --- on the wire -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("taken", "arrived"), [(True, ["0", "1", "2"]), (False, ["0", "1"])])
async def test_the_link_is_cut_in_the_middle(taken: bool, arrived: list[str]) -> None:
    async with a_trial(wire={"faults": [{"do": "kill", "at": 3, "taken": taken}]}) as trial:
        esme = await trial.bind()
        for number in "01":
            await esme.submit(text(number, registered_delivery=0))
        (last,) = esme.send(text("2", registered_delivery=0))
        await esme.closes()
        assert esme.answer_to(last) is None
        assert on_handset(trial) == arrived
        again = await trial.bind()
        assert (await again.submit(text("3")))[0][0] == Status.ROK


@pytest.mark.parametrize("taken", [True, False])
async def test_the_link_stays_open_and_nobody_is_there(taken: bool) -> None:
    async with a_trial(wire={"faults": [{"do": "silence", "at": 2, "taken": taken}]}) as trial:
        esme, other = await trial.bind(), await trial.bind()
        numbers = esme.send(text("0", registered_delivery=0), text("1", registered_delivery=0), EnquireLink())
        await eventually(lambda: esme.answer_to(numbers[0]))
        await other.submit(text("2", registered_delivery=0))
        assert (esme.answer_to(numbers[1]), esme.closed) == (None, False)
        assert ("1" in on_handset(trial)) == taken
        esme.close()
        await eventually(lambda: trial.smsc.links == 1)


async def test_receipts_of_a_silent_link_go_over_another() -> None:
    async with a_trial(wire={"faults": [{"do": "silence", "at": 2}]}) as trial:
        esme = await trial.bind()
        esme.send(text("0"), text("1"))
        await eventually(lambda: len(on_handset(trial)) == 2)
        other = await trial.bind()
        await eventually(lambda: b"text:1" in b"".join(one.short_message for one in other.delivered))


async def test_a_message_has_no_answer() -> None:
    wire = {"faults": [{"do": "no_answer", "every": 2}, {"do": "no_answer", "at": 4, "taken": False}]}
    async with a_trial(wire=wire) as trial:
        esme = await trial.bind()
        numbers = esme.send(*(text(str(number), registered_delivery=0) for number in range(1, 5)))
        await trial.is_quiet(esme)
        assert [esme.answer_to(number) is not None for number in numbers] == [False, True, False, False]
        assert on_handset(trial) == ["1", "2", "3"]


async def test_a_message_has_two_answers() -> None:
    async with a_trial(wire={"faults": [{"do": "answer_twice"}]}) as trial:
        esme = await trial.bind()
        await esme.submit(text(registered_delivery=0))
        await trial.is_quiet(esme)
        kinds = [type(event) for event in esme.heard[1:3]]
        assert kinds == [ResponseReceived, StrayResponse]
        assert on_handset(trial) == ["Hi"]


async def test_an_answer_comes_late() -> None:
    clock = TestClock(SystemClock().now(), frozen=True)

    async def settle() -> None:
        await breathe(0.005)

    async with a_trial(wire={"faults": [{"do": "answer_late", "delay": "5s"}]}, clock=clock) as trial:
        esme = await trial.bind()
        (number,) = esme.send(text(registered_delivery=0))
        await trial.is_quiet(esme)
        await clock.advance_to(Instant(clock.now() + 5 * SECOND - 1), settle)
        assert esme.answer_to(number) is None
        await clock.advance_to(Instant(clock.now() + 1), settle)
        await eventually(lambda: esme.answer_to(number))


async def test_a_status_of_the_scripts_choice() -> None:
    async with a_trial(wire={"faults": [{"do": "status", "status": 0x0410}]}) as trial:
        esme = await trial.bind()
        assert [status for status, _ in await esme.submit(text("1"), text("2"))] == [0x0410, 0]
        assert on_handset(trial) == ["2"]


@pytest.mark.parametrize("name", ODD)
async def test_odd_octets_are_survived_or_end_the_link(name: str) -> None:
    async with a_trial(wire={"faults": [{"do": "send", "octets": name}]}) as trial:
        esme: Esme = await trial.bind()
        before = len(esme.octets)
        esme.send(text(registered_delivery=0))
        await eventually(lambda: len(esme.octets) > before)
        assert esme.octets[before:].startswith(ODD[name])
        met = esme.heard[1]
        assert isinstance(met, ProtocolError) == (name in ENDS_THE_LINK)
        if name not in ENDS_THE_LINK:
            assert isinstance(met, RequestReceived | RequestRejected | StrayResponse)
            await trial.is_quiet(esme)
        assert on_handset(trial) == ["Hi"]


async def test_octets_can_be_written_out() -> None:
    octets = "0000001000000015000000000000abcd"
    async with a_trial(wire={"faults": [{"do": "send", "octets": f"hex:{octets}"}]}) as trial:
        esme = await trial.bind()
        await esme.submit(text(registered_delivery=0))
        (asked,) = [event for event in esme.heard if isinstance(event, RequestReceived)]
        assert (asked.pdu.sequence, asked.pdu.body) == (0xABCD, EnquireLink())


async def test_busy_and_refused_as_the_script_says() -> None:
    script = {"rules": [{"body_contains": "1", "answer": "busy"}, {"answer": "refuse", "code": 30004}]}
    async with a_trial(script, {"busy": "queue_full", "refusals": {"30004": 0x0410}}) as trial:
        esme = await trial.bind()
        assert [status for status, _ in await esme.submit(text("1"), text("2"))] == [Status.RMSGQFUL, 0x0410]
