"""Connections are open as they are configured now, one at a time for a carrier, and no message is lost meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from postdate.clock import Clock, breathe
from postdate.connectors.contract import OnEvent, Receipt, State, Submission
from postdate.core.instant import SECOND
from postdate.core.message import Event, Message, Status
from postdate.core.outcome import Accepted, Busy, DoubtPolicy, InDoubt
from postdate.core.resources import Connection, Sender
from postdate.flow.connections import Built, Connections, ConnectionTools
from postdate.flow.directory import changed
from tests.flow.building import (
    ACCOUNT,
    NEVER,
    START,
    Answer,
    Flow,
    Keeps,
    Power,
    RecordingCarrier,
    a_sender,
    accept,
    after,
    check_rate,
    flowing,
    recipient,
    until,
)

NAME = "acme"
MEDIA = 3


def a_connection(**changes: object) -> Connection:
    """Return a configured connection, with `changes`."""
    name = str(changes.get("name", NAME))
    plain = Connection(
        sid=f"CX{name:0>32}",
        account_sid=ACCOUNT,
        name=name,
        kind="test",
        settings={"host": "one"},
        sealed="",
        created_at=START,
        updated_at=START,
    )
    return changed(plain, **changes)


class Carrier(RecordingCarrier):
    """A carrier that writes in a diary when it is opened and closed."""

    def __init__(self, clock: Clock, power: Power, diary: list[str], host: str) -> None:
        super().__init__(clock, power)
        self._diary = diary
        self.host = host

    async def open(self, on_event: OnEvent) -> None:
        self._diary.append(f"open {self.host}")
        await super().open(on_event)

    async def drain(self) -> None:
        self._diary.append(f"drain {self.host}")
        await super().drain()

    async def close(self) -> None:
        await super().close()
        self._diary.append(f"close {self.host}")


class House:
    """A flow whose connections are those of its directory; `diary` says what was opened and closed, in order."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.diary: list[str] = []
        self.built: list[Carrier] = []
        self.script: Callable[[Submission], Answer] = accept
        lanes = flow.lanes
        tools = ConnectionTools(self._build, flow.receipts.take, lanes.use, lanes.leave, lanes.wake)
        self.connections = Connections(flow.directory, flow.clock, tools)
        flow.directory.connection_changed = self.connections.follow

    def _build(self, resource: Connection) -> Built:
        if resource.settings.get("host") == "nowhere":
            raise ValueError("Settings: host is nowhere.")
        carrier = Carrier(self.flow.clock, self.flow.power, self.diary, resource.settings["host"])
        carrier.script = lambda submission: self.script(submission)
        self.built.append(carrier)
        return Built(carrier, MEDIA)

    @property
    def carrier(self) -> Carrier:
        """Return the carrier that was built last."""
        return self.built[-1]

    @property
    def submitted(self) -> Sequence[str]:
        """Return the SIDs that any carrier was given."""
        return [sid for carrier in self.built for sid in carrier.sids]

    async def put(self, **changes: object) -> None:
        """Change the connection, and wait until that is carried out."""
        await self.flow.directory.put(a_connection(**changes))
        await self.connections.settled()
        await self.flow.settle()

    async def send(self, count: int = 1) -> list[Message]:
        """Send messages at once, one after the other: of one instant they go in the order of their SIDs."""
        return await self.flow.send_in_turn(range(1, count + 1))


@asynccontextmanager
async def a_house(folder: Path, *resources: Sender | Connection) -> AsyncIterator[House]:
    """Run a flow with one sender, which goes out by the connection, where no other is given."""
    senders = [] if any(isinstance(one, Sender) for one in resources) else [a_sender(connection=NAME)]
    async with flowing(folder, *senders, *resources) as flow:
        house = House(flow)
        await house.connections.open()
        yield house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Give a flow with one open connection, and a sender that goes out by it."""
    async with a_house(tmp_path, a_connection()) as running:
        yield running


# --- opening and closing ---------------------------------------------------------------------------------------------


async def test_what_is_configured_is_open_from_the_start(tmp_path: Path) -> None:
    configured = a_connection(mps=5.0, doubt=DoubtPolicy.RETRY, paused=True)
    async with a_house(tmp_path, configured, a_connection(name="other", settings={"host": "two"})) as house:
        assert sorted(house.diary) == ["open one", "open two"]
        opened = house.connections.find(NAME)
        assert opened is not None
        assert (opened.name, opened.doubt, opened.paused, opened.media) == (NAME, DoubtPolicy.RETRY, True, MEDIA)
        assert opened.pace.limit == 5.0
        assert house.flow.lanes.connections[NAME] is opened
        assert house.connections.find("another") is None


async def test_its_messages_go_to_it_and_its_receipts_come_back(house: House) -> None:
    (message,) = await house.send()
    await house.flow.advance(1)
    assert house.carrier.sids == [message.sid]
    await house.carrier.report(Receipt(f"ref-{message.sid}", Event.DELIVER))
    assert (await house.flow.read(message)).status is Status.DELIVERED


async def test_one_that_is_added_takes_what_waited_for_it_at_once(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        (message,) = await house.send()
        assert house.built == []
        assert (await house.flow.read(message)).status is Status.QUEUED
        await house.put()
        assert house.submitted == [message.sid]


CHANGES = {"the settings": {"settings": {"host": "two"}}, "a secret": {"sealed": "another"}}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
async def test_another_way_closes_the_old_one_before_it_opens_the_new(house: House, change: dict[str, object]) -> None:
    await house.put(**change)
    assert house.diary == ["open one", "drain one", "close one", f"open {house.carrier.host}"]
    assert len(house.built) == 2
    (message,) = await house.send()
    assert house.carrier.sids == [message.sid]


async def test_what_the_old_one_holds_is_answered_and_what_comes_meanwhile_waits_for_the_new(house: House) -> None:
    house.script = lambda submission: Keeps()
    (first,) = await house.send()
    old = house.carrier
    await house.flow.directory.put(a_connection(settings={"host": "two"}))
    await until(lambda: "drain one" in house.diary)
    assert not house.connections.idle
    closing = house.connections.closing(NAME)
    assert closing is not None
    assert (closing.connector, house.connections.find(NAME)) == (old, None)
    house.script = accept
    (second,) = await house.send()
    assert house.submitted == [first.sid]
    old.tell(first.sid, Accepted("late"))
    await house.connections.settled()
    await house.flow.advance(1)
    assert house.diary == ["open one", "drain one", "close one", "open two"]
    assert house.connections.closing(NAME) is None
    assert (old.sids, house.carrier.sids) == ([first.sid], [second.sid])
    assert [(await house.flow.read(one)).carrier_ref for one in (first, second)] == ["late", f"ref-{second.sid}"]


async def test_changes_in_quick_succession_end_with_the_newest_and_never_two_at_once(house: House) -> None:
    house.script = lambda submission: Keeps()
    (first,) = await house.send()
    for host in ("two", "three", "four"):
        await house.flow.directory.put(a_connection(settings={"host": host}))
    await until(lambda: "drain one" in house.diary)
    house.built[0].tell(first.sid, Accepted("late"))
    await house.connections.settled()
    open_now = 0
    for entry in house.diary:
        open_now += entry.startswith("open") - entry.startswith("close")
        assert 0 <= open_now <= 1
    assert house.diary[-1] == "open four"
    assert "open two" not in house.diary


async def test_a_name_that_is_given_away_and_given_again_is_open_once(house: House) -> None:
    house.script = lambda submission: Keeps()
    (first,) = await house.send()
    directory = house.flow.directory
    await directory.remove(a_connection().sid)
    await until(lambda: "drain one" in house.diary)
    await directory.put(a_connection(sid="CX" + "9" * 32, settings={"host": "two"}))
    await breathe()
    house.built[0].tell(first.sid, Accepted("late"))
    await house.connections.settled()
    await directory.put(a_connection(sid="CX" + "9" * 32, settings={"host": "three"}))
    await house.connections.settled()
    assert house.diary == [
        "open one", "drain one", "close one", "open two", "drain two", "close two", "open three",
    ]  # fmt: skip
    opened = house.connections.find(NAME)
    assert opened is not None
    assert opened.connector is house.carrier
    await house.connections.close()
    assert house.diary[-1] == "close three"


async def test_one_that_is_removed_is_closed_and_its_messages_wait(house: House) -> None:
    await house.flow.directory.remove(a_connection().sid)
    await house.connections.settled()
    assert house.diary == ["open one", "drain one", "close one"]
    assert house.connections.find(NAME) is None
    (message,) = await house.send()
    await house.flow.advance(600)
    found = await house.flow.read(message)
    assert (found.status, found.attempts, house.submitted) == (Status.QUEUED, 0, [])
    await house.put()
    assert house.submitted == [message.sid]


async def test_closing_closes_all_and_waits_for_what_they_hold(tmp_path: Path) -> None:
    async with a_house(tmp_path, a_connection(), a_connection(name="other", settings={"host": "two"})) as house:
        house.script = lambda submission: Keeps()
        (message,) = await house.send()
        closing = asyncio.create_task(house.connections.close(NEVER))
        await until(lambda: "close two" in house.diary)
        assert "close one" not in house.diary
        house.built[0].tell(message.sid, Accepted("late"))
        await asyncio.wait_for(closing, 60)
        assert {"close one", "close two"} <= set(house.diary)
        assert house.flow.lanes.connections.keys() == {"sandbox"}


# --- changes in place ------------------------------------------------------------------------------------------------


async def test_what_is_not_the_way_itself_changes_without_closing(house: House) -> None:
    await house.put(mps=7.0, doubt=DoubtPolicy.RETRY, paused=True, updated_at=after(1))
    opened = house.connections.find(NAME)
    assert opened is not None
    assert (opened.pace.limit, opened.doubt, opened.paused) == (7.0, DoubtPolicy.RETRY, True)
    assert house.diary == ["open one"]


async def test_all_its_senders_together_keep_its_rate(tmp_path: Path) -> None:
    senders = [a_sender(n, connection=NAME, mps=0.0) for n in (1, 2, 3)]
    async with a_house(tmp_path, *senders, a_connection(mps=4.0)) as house:
        for number in range(12):
            await house.flow.send(sender=senders[number % 3].address, recipient=recipient(number))
        await house.flow.advance(2.9)
        check_rate(house.carrier.submitted, 4.0)
        assert len(house.submitted) == 12
        assert house.carrier.submitted[-1].waited - house.carrier.submitted[0].waited == 11 * SECOND // 4


@pytest.mark.parametrize("change", [{"mps": 4.0}, {"settings": {"host": "two"}}], ids=["in place", "anew"])
async def test_its_rate_holds_over_a_change(tmp_path: Path, change: dict[str, object]) -> None:
    async with a_house(tmp_path, a_connection(mps=5.0)) as house:
        await house.send(10)
        await house.flow.advance(0.9)
        await house.put(**({"mps": 5.0} | change))
        await house.flow.advance(10)
        submitted = [one for carrier in house.built for one in carrier.submitted]
        assert len(submitted) == 10
        check_rate(submitted, 5.0)


async def test_a_new_policy_counts_for_the_next_doubt(house: House) -> None:
    house.script = lambda submission: InDoubt("no answer")
    (held,) = await house.send()
    await house.put(doubt=DoubtPolicy.RETRY)
    (again,) = await house.send()
    await house.flow.advance(3)
    assert house.submitted.count(held.sid) == 1
    assert house.submitted.count(again.sid) > 1


async def test_a_throttled_answer_slows_the_connection_for_all_its_senders(tmp_path: Path) -> None:
    senders = [a_sender(n, connection=NAME, mps=0.0) for n in (1, 2)]
    async with a_house(tmp_path, *senders, a_connection(mps=8.0)) as house:
        house.script = lambda submission: Busy() if submission.attempt == 1 else accept(submission)
        await house.flow.send(sender=senders[0].address)
        await house.flow.settle()
        opened = house.connections.find(NAME)
        assert opened is not None
        assert (opened.pace.limit, opened.pace.is_slowed) == (4.0, True)
        house.script = accept
        for number in range(8):
            await house.flow.send(sender=senders[1].address, recipient=recipient(number))
        await house.flow.advance(0.9)
        assert len(house.submitted) <= 5
        await house.flow.advance(3)
        assert len(house.submitted) == 10


async def test_what_went_over_it_is_counted(house: House) -> None:
    house.script = lambda submission: Keeps()
    first, second = await house.send(2)
    opened = house.connections.find(NAME)
    assert opened is not None
    assert opened.traffic.in_flight == 2
    house.carrier.tell(first.sid, Accepted("a"))
    house.carrier.tell(second.sid, InDoubt("no answer"))
    await house.flow.advance(1)
    assert (opened.traffic.in_flight, dict(opened.traffic.outcomes)) == (0, {"Accepted": 1, "InDoubt": 1})


# --- pausing, and being down -----------------------------------------------------------------------------------------


async def test_a_pause_holds_what_comes_and_a_resume_lets_it_go_at_once(house: House) -> None:
    scheduled = await house.flow.send(after(30))
    await house.put(paused=True)
    (message,) = await house.send()
    await house.flow.advance(60)
    held = [await house.flow.read(one) for one in (message, scheduled)]
    assert [(one.status, one.attempts, one.claim) for one in held] == [(Status.QUEUED, 0, None)] * 2
    assert house.submitted == []
    at = house.flow.clock.now()
    await house.put(paused=False)
    assert {one.at for one in house.carrier.submitted} == {at}
    assert sorted(house.submitted) == sorted([message.sid, scheduled.sid])
    assert house.diary == ["open one"]


async def test_a_paused_one_still_takes_receipts(house: House) -> None:
    (message,) = await house.send()
    await house.flow.advance(1)
    await house.put(paused=True)
    await house.carrier.report(Receipt(f"ref-{message.sid}", Event.DELIVER))
    assert (await house.flow.read(message)).status is Status.DELIVERED


async def test_what_expires_while_it_waits_has_failed(house: House) -> None:
    await house.put(paused=True)
    message = await house.flow.send(validity=60)
    await house.flow.advance(61)
    found = await house.flow.read(message)
    assert (found.status, found.error_code, house.submitted) == (Status.FAILED, 30036, [])


@pytest.mark.parametrize("state", [State.DOWN, State.CONNECTING, State.CLOSED])
async def test_one_that_is_not_up_holds_its_messages_without_claims_and_lets_them_go_when_it_is(
    house: House, state: State
) -> None:
    house.carrier.condition.state = state
    messages = await house.send(3)
    await house.flow.advance(600)
    assert house.submitted == []
    assert "claim" not in house.flow.store.calls
    assert {(m.status, m.attempts, m.claim) for m in await house.flow.everything()} == {(Status.QUEUED, 0, None)}
    at = house.flow.clock.now()
    house.carrier.condition.state = State.READY
    await house.flow.settle()
    assert [(one.sid, one.at) for one in house.carrier.submitted] == [(message.sid, at) for message in messages]


async def test_one_whose_last_attempt_failed_is_still_tried(house: House) -> None:
    house.carrier.condition.state = State.FAILING
    (message,) = await house.send()
    assert house.submitted == [message.sid]


async def test_one_that_is_down_holds_up_no_other(tmp_path: Path) -> None:
    senders = [a_sender(1, connection=NAME), a_sender(2, connection="other")]
    async with a_house(
        tmp_path, *senders, a_connection(), a_connection(name="other", settings={"host": "two"})
    ) as house:
        house.built[0].condition.state = State.DOWN
        waiting = await house.flow.send(sender=senders[0].address)
        going = await house.flow.send(sender=senders[1].address)
        await house.flow.settle()
        assert house.submitted == [going.sid]
        assert (await house.flow.read(waiting)).status is Status.QUEUED


# --- settings that cannot be used ------------------------------------------------------------------------------------


async def test_settings_that_cannot_be_used_show_as_down_with_the_reason_and_messages_wait(tmp_path: Path) -> None:
    async with a_house(tmp_path, a_connection(settings={"host": "nowhere"})) as house:
        condition = house.connections.condition(NAME)
        assert (condition.state, condition.last_error) == (State.DOWN, "Settings: host is nowhere.")
        (message,) = await house.send()
        await house.flow.advance(60)
        assert (await house.flow.read(message)).status is Status.QUEUED
        await house.put()
        assert house.submitted == [message.sid]
        assert house.connections.condition(NAME) is house.carrier.condition


async def test_a_change_to_settings_that_cannot_be_used_closes_what_was_open(house: House) -> None:
    await house.put(settings={"host": "nowhere"})
    assert house.diary == ["open one", "drain one", "close one"]
    assert house.connections.condition(NAME).state is State.DOWN
    assert house.connections.find(NAME) is None
    await house.put(settings={"host": "nowhere"}, mps=3.0)
    await house.put(mps=3.0)
    opened = house.connections.find(NAME)
    assert opened is not None
    assert opened.pace.limit == 3.0


async def test_one_that_is_not_open_yet_is_connecting(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        condition = house.connections.condition(NAME)
        assert (condition.state, condition.last_error) == (State.CONNECTING, "")
