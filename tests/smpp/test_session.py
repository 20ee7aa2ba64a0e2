"""Two sessions that talk through bytes cut anywhere, and one that hears what no peer should say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from postdate.smpp.codec import LONGEST_FRAME, decode, encode
from postdate.smpp.codes import Command, Status
from postdate.smpp.pdu import (
    AlertNotification,
    Bind,
    BindMode,
    BindResp,
    CancelSm,
    CancelSmResp,
    DataSm,
    DataSmResp,
    DeliverSm,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Outbind,
    Pdu,
    QuerySm,
    QuerySmResp,
    ReplaceSm,
    ReplaceSmResp,
    Request,
    Response,
    SubmitSm,
    SubmitSmResp,
    Unbind,
    UnbindResp,
)
from postdate.smpp.session import (
    LAST_SEQUENCE,
    LATE_KEPT,
    Ended,
    Event,
    Nacked,
    NotAllowed,
    Outstanding,
    ProtocolError,
    RequestReceived,
    RequestRejected,
    ResponseReceived,
    Role,
    Session,
    StrayResponse,
)
from tests.smpp.pdus import bodies, bound, deliver_body, pdus, raw

TEXT = SubmitSm(source_addr="1500", destination_addr="4477", short_message=b"hi")
RECEIVED = DeliverSm(source_addr="4477", destination_addr="1500", short_message=b"hi")
TO_SMSC: list[Request] = [TEXT, DataSm(), QuerySm("1"), CancelSm(), ReplaceSm(message_id="1")]
TO_ESME: list[Request] = [RECEIVED, DataSm(), AlertNotification()]
TX, RX, TRX = BindMode.TRANSMITTER, BindMode.RECEIVER, BindMode.TRANSCEIVER


def feed(session: Session, octets: bytes, cuts: list[int]) -> list[Event]:
    """Let a session hear octets in pieces of these lengths, over and over."""
    events: list[Event] = []
    at = turn = 0
    while at < len(octets):
        size = cuts[turn % len(cuts)]
        events += session.receive(octets[at : at + size])
        at, turn = at + size, turn + 1
    return events


def answer(session: Session, received: Event, body: Response | int = Status.ROK) -> bytes:
    """The bytes of a session's answer to a request it received."""
    assert isinstance(received, RequestReceived)
    return session.respond(received.pdu, body)


chunkings = st.lists(st.integers(1, 90), min_size=1, max_size=5)


@given(st.lists(bodies(SubmitSm), max_size=8), chunkings, chunkings)
def test_requests_and_their_answers_find_each_other(texts: list[SubmitSm], there: list[int], back: list[int]) -> None:
    esme, smsc = bound()
    octets = b"".join(esme.request(body, token=at)[1] for at, body in enumerate(texts))
    asked = feed(smsc, octets, there)
    assert [one.pdu.body for one in asked if isinstance(one, RequestReceived)] == texts
    answers = [answer(smsc, one, SubmitSmResp(f"id-{at}")) for at, one in enumerate(asked)]
    answered = feed(esme, b"".join(reversed(answers)), back)
    told = [(one.sent.token, one.sent.request, one.pdu.body) for one in answered if isinstance(one, ResponseReceived)]
    assert told == [(at, body, SubmitSmResp(f"id-{at}")) for at, body in reversed(list(enumerate(texts)))]
    assert not any(one.late for one in answered if isinstance(one, ResponseReceived))
    assert not esme.outstanding


@given(st.lists(bodies(DeliverSm), max_size=8), chunkings)
def test_both_sides_may_ask_at_once(texts: list[DeliverSm], cuts: list[int]) -> None:
    esme, smsc = bound()
    down = b"".join(smsc.request(body, token=body)[1] for body in texts)
    up = b"".join(esme.request(TEXT, token=at)[1] for at in range(len(texts)))
    back = b"".join(answer(esme, one) for one in feed(esme, down, cuts))
    mixed = feed(smsc, back + up, cuts)
    answered, asked = mixed[: len(texts)], mixed[len(texts) :]
    assert [one.sent.token for one in answered if isinstance(one, ResponseReceived)] == texts
    assert [one.pdu.body for one in asked if isinstance(one, RequestReceived)] == [TEXT] * len(texts)


@pytest.mark.parametrize(
    ("request_body", "body"),
    [
        (TEXT, SubmitSmResp("1")),
        (DataSm(), DataSmResp("1")),
        (QuerySm("1"), QuerySmResp("1", "", 2, 0)),
        (CancelSm(), CancelSmResp()),
        (ReplaceSm(message_id="1"), ReplaceSmResp()),
        (EnquireLink(), EnquireLinkResp()),
    ],
    ids=lambda one: type(one).__name__,
)
def test_each_request_has_its_answer(request_body: Request, body: Response) -> None:
    esme, smsc = bound()
    sequence, octets = esme.request(request_body, "token")
    (asked,) = smsc.receive(octets)
    assert asked == RequestReceived(Pdu(request_body, sequence))
    sent = Outstanding(sequence, request_body, "token")
    assert esme.receive(answer(smsc, asked, body)) == [ResponseReceived(Pdu(body, sequence), sent)]


@pytest.mark.parametrize("status", [Status.RTHROTTLED, Status.RSYSERR, 0x0410, 0xFFFFFFFF])
@pytest.mark.parametrize("request_body", [*TO_SMSC, EnquireLink()], ids=lambda one: type(one).__name__)
def test_a_refusal_keeps_its_status(request_body: Request, status: int) -> None:
    esme, smsc = bound()
    (asked,) = smsc.receive(esme.request(request_body)[1])
    (answered,) = esme.receive(answer(smsc, asked, status))
    assert isinstance(answered, ResponseReceived)
    assert (answered.pdu.status, answered.sent.request) == (status, request_body)
    assert not esme.outstanding


# What may be sent, by whom, and how bound (None: not): every other pair is refused.
ALLOWED: list[tuple[Role, BindMode | None, list[Request]]] = [
    (Role.ESME, None, [Bind(TRX, "me", "pw"), EnquireLink()]),
    (Role.ESME, TX, [*TO_SMSC, Unbind(), EnquireLink()]),
    (Role.ESME, RX, [Unbind(), EnquireLink()]),
    (Role.ESME, TRX, [*TO_SMSC, Unbind(), EnquireLink()]),
    (Role.SMSC, None, [Outbind("smsc", "pw"), EnquireLink()]),
    (Role.SMSC, TX, [Unbind(), EnquireLink()]),
    (Role.SMSC, RX, [*TO_ESME, Unbind(), EnquireLink()]),
    (Role.SMSC, TRX, [*TO_ESME, Unbind(), EnquireLink()]),
]
EVERY_REQUEST = [*TO_SMSC, *TO_ESME, Bind(TRX, "me", "pw"), Outbind("smsc", "pw"), Unbind(), EnquireLink()]


def in_state(role: Role, mode: BindMode | None) -> Session:
    """A session of a role, bound or not."""
    if mode is None:
        return Session(role)
    return bound(mode)[0 if role is Role.ESME else 1]


@pytest.mark.parametrize(("role", "mode", "allowed"), ALLOWED)
@pytest.mark.parametrize("body", EVERY_REQUEST, ids=lambda one: type(one).__name__)
def test_what_may_be_sent_when(role: Role, mode: BindMode | None, allowed: list[Request], body: Request) -> None:
    session = in_state(role, mode)
    if type(body) in map(type, allowed):
        sequence, octets = session.request(body)
        assert decode(octets) == Pdu(body, sequence)
        return
    before = dict(session.outstanding)
    with pytest.raises(NotAllowed, match=type(body).__name__):
        session.request(body)
    assert session.outstanding == before


@pytest.mark.parametrize(
    ("role", "mode", "body", "status"),
    [
        pytest.param(Role.SMSC, None, TEXT, Status.RINVBNDSTS, id="submit_sm before the bind"),
        pytest.param(Role.SMSC, RX, TEXT, Status.RINVBNDSTS, id="submit_sm to a receiver"),
        pytest.param(Role.SMSC, RX, DataSm(), Status.RINVBNDSTS, id="data_sm to a receiver"),
        pytest.param(Role.SMSC, TRX, RECEIVED, Status.RINVBNDSTS, id="deliver_sm to the SMSC"),
        pytest.param(Role.SMSC, TRX, Bind(TX, "me", "pw"), Status.RALYBND, id="a second bind"),
        pytest.param(Role.ESME, None, RECEIVED, Status.RINVBNDSTS, id="deliver_sm before the bind"),
        pytest.param(Role.ESME, TRX, TEXT, Status.RINVBNDSTS, id="submit_sm to the ESME"),
        pytest.param(Role.ESME, None, Bind(TX, "me", "pw"), Status.RINVBNDSTS, id="a bind to the ESME"),
    ],
)
def test_what_may_not_come_now_is_refused(role: Role, mode: BindMode | None, body: Request, status: int) -> None:
    (event,) = in_state(role, mode).receive(encode(Pdu(body, 77)))
    assert isinstance(event, RequestRejected)
    assert (event.command, event.sequence, event.status) == (body.command, 77, status)
    refusal = decode(event.answer)
    assert isinstance(refusal, Pdu)
    assert (refusal.body.command, refusal.sequence, refusal.status) == (body.command | 0x80000000, 77, status)


@pytest.mark.parametrize("body", TO_ESME, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("mode", BindMode)
def test_the_esme_takes_deliveries_however_it_is_bound(mode: BindMode, body: Request) -> None:
    assert in_state(Role.ESME, mode).receive(encode(Pdu(body, 5))) == [RequestReceived(Pdu(body, 5))]


def test_a_refused_bind_can_be_tried_again() -> None:
    esme, smsc = Session(Role.ESME), Session(Role.SMSC)
    for password, status in (("wrong", Status.RINVPASWD), ("right", Status.ROK)):
        (asked,) = smsc.receive(esme.request(Bind(TX, "me", password))[1])
        with pytest.raises(NotAllowed):
            esme.request(Bind(TX, "me", password))  # one is under way
        (answered,) = esme.receive(answer(smsc, asked, status))
        assert isinstance(answered, ResponseReceived)
        assert answered.pdu.status == status
        assert (esme.mode, smsc.mode) == ((TX, TX) if status == Status.ROK else (None, None))


def test_nothing_is_taken_while_a_bind_is_looked_at() -> None:
    smsc = Session(Role.SMSC)
    asked, *others = smsc.receive(
        encode(Pdu(Bind(TRX, "me", "pw"), 1)) + encode(Pdu(TEXT, 2)) + encode(Pdu(Bind(TRX, "me", "pw"), 3))
    )
    assert [(one.status) for one in others if isinstance(one, RequestRejected)] == [Status.RINVBNDSTS, Status.RALYBND]
    answer(smsc, asked)
    assert smsc.mode is TRX


def test_a_bind_given_up_does_not_bind() -> None:
    esme = Session(Role.ESME)
    sequence, _ = esme.request(Bind(TRX, "me", "pw"))
    esme.forget(sequence)
    (late,) = esme.receive(encode(Pdu(BindResp(TRX), sequence)))
    assert isinstance(late, ResponseReceived)
    assert late.late
    assert esme.mode is None


def test_an_unbind_ends_both_sides_and_tells_what_is_left() -> None:
    esme, smsc = bound()
    left, _ = esme.request(TEXT, "left")
    (asked,) = smsc.receive(esme.request(Unbind())[1])
    with pytest.raises(NotAllowed):
        esme.request(TEXT)  # on the way out
    (still,) = esme.receive(smsc.request(RECEIVED)[1])  # they may
    assert smsc.receive(answer(esme, still)) != []
    octets = answer(smsc, asked)
    assert smsc.ended
    answered, ended = esme.receive(octets + b"what follows is nobody's")
    assert isinstance(answered, ResponseReceived)
    assert ended == Ended()
    assert esme.ended
    assert esme.receive(raw(Command.ENQUIRE_LINK)) == []
    with pytest.raises(NotAllowed):
        esme.request(EnquireLink())
    assert esme.end() == [Outstanding(left, TEXT, "left")]
    assert esme.end() == []


def test_a_refused_unbind_ends_nothing() -> None:
    esme, smsc = bound()
    (asked,) = smsc.receive(esme.request(Unbind())[1])
    answer(smsc, asked, Status.RSYSERR)
    assert not smsc.ended


def test_sequence_numbers_go_round_and_leave_out_those_that_wait() -> None:
    _, smsc = bound(first_sequence=LAST_SEQUENCE - 1)
    first = [smsc.request(RECEIVED)[0] for _ in range(4)]
    assert first == [LAST_SEQUENCE - 1, LAST_SEQUENCE, 1, 2]
    round_again = Session(Role.SMSC)
    assert [round_again.request(EnquireLink())[0] for _ in range(2)] == [1, 2]
    round_again.forget(2)
    round_again._next = 1  # after two thousand million requests
    assert round_again.request(EnquireLink())[0] == 3  # 1 waits, and the answer to 2 may still come


def test_a_late_answer_is_told_as_late_and_once() -> None:
    esme, smsc = bound()
    sequence, octets = esme.request(TEXT, "token")
    (asked,) = smsc.receive(octets)
    sent = Outstanding(sequence, TEXT, "token")
    assert esme.forget(sequence) == sent
    assert esme.forget(sequence) is None
    assert not esme.outstanding
    response = answer(smsc, asked, SubmitSmResp("1"))
    assert esme.receive(response) == [ResponseReceived(Pdu(SubmitSmResp("1"), sequence), sent, late=True)]
    assert esme.receive(response) == [StrayResponse(Command.SUBMIT_SM_RESP, 0, sequence)]


def test_an_answer_given_twice_is_told_once() -> None:
    esme, smsc = bound()
    (asked,) = smsc.receive(esme.request(TEXT)[1])
    response = answer(smsc, asked, SubmitSmResp("1"))
    first, second = esme.receive(response * 2)
    assert isinstance(first, ResponseReceived)
    assert isinstance(second, StrayResponse)


def test_the_late_are_kept_up_to_a_number() -> None:
    esme, _ = bound()
    numbers = [esme.request(EnquireLink())[0] for _ in range(LATE_KEPT + 1)]
    for sequence in numbers:
        esme.forget(sequence)
    oldest, second = (esme.receive(encode(Pdu(EnquireLinkResp(), sequence)))[0] for sequence in numbers[:2])
    assert isinstance(oldest, StrayResponse)
    assert isinstance(second, ResponseReceived)
    assert second.late


@pytest.mark.parametrize("body", [DataSmResp("1"), EnquireLinkResp(), BindResp(TRX), UnbindResp()], ids=repr)
def test_an_answer_of_another_kind_answers_nothing(body: Response) -> None:
    esme, smsc = bound()
    sequence, octets = esme.request(TEXT)
    assert esme.receive(encode(Pdu(body, sequence))) == [StrayResponse(body.command, 0, sequence)]
    (asked,) = smsc.receive(octets)
    (answered,) = esme.receive(answer(smsc, asked, SubmitSmResp("1")))
    assert isinstance(answered, ResponseReceived)


@pytest.mark.parametrize("late", [False, True])
def test_a_nack_answers_its_request(late: bool) -> None:
    esme, _ = bound()
    sequence, _ = esme.request(TEXT, "token")
    if late:
        esme.forget(sequence)
    nack = encode(Pdu(GenericNack(), sequence, Status.RINVCMDLEN))
    assert esme.receive(nack) == [Nacked(Status.RINVCMDLEN, Outstanding(sequence, TEXT, "token"), late)]
    assert esme.receive(nack) == [StrayResponse(Command.GENERIC_NACK, Status.RINVCMDLEN, sequence)]
    assert not esme.outstanding


@pytest.mark.parametrize("role", Role)
def test_an_unknown_request_is_nacked_and_the_session_goes_on(role: Role) -> None:
    session = in_state(role, TRX)
    frame = raw(0x00010203, 55, b"whatever")
    rejected, next_one = session.receive(frame + raw(Command.ENQUIRE_LINK, 56))
    nack = raw(Command.GENERIC_NACK, 55, status=Status.RINVCMDID)
    assert rejected == RequestRejected(0x00010203, 55, Status.RINVCMDID, nack, frame)
    assert next_one == RequestReceived(Pdu(EnquireLink(), 56))


def test_an_unknown_response_is_only_counted() -> None:
    esme, _ = bound()
    sequence, _ = esme.request(TEXT)
    assert esme.receive(raw(0x80010203, sequence)) == [StrayResponse(0x80010203, 0, sequence)]
    assert sequence in esme.outstanding


@pytest.mark.parametrize(
    ("role", "command", "answered"),
    [
        # Refused, a broken delivery would come again and hold up all behind it.
        pytest.param(Role.ESME, Command.DELIVER_SM, (Command.DELIVER_SM_RESP, Status.ROK), id="deliver_sm"),
        pytest.param(Role.ESME, Command.DATA_SM, (Command.DATA_SM_RESP, Status.ROK), id="data_sm to the ESME"),
        pytest.param(Role.SMSC, Command.SUBMIT_SM, (Command.SUBMIT_SM_RESP, Status.RINVCMDLEN), id="submit_sm"),
        pytest.param(Role.SMSC, Command.DATA_SM, (Command.DATA_SM_RESP, Status.RINVCMDLEN), id="data_sm to the SMSC"),
        pytest.param(Role.SMSC, Command.QUERY_SM, (Command.QUERY_SM_RESP, Status.RINVCMDLEN), id="query_sm"),
        pytest.param(Role.SMSC, Command.BIND_RECEIVER, (Command.BIND_RECEIVER_RESP, Status.RINVCMDLEN), id="bind"),
        pytest.param(Role.ESME, Command.ALERT_NOTIFICATION, None, id="alert_notification"),
    ],
)
def test_a_request_cut_short_is_answered_and_the_session_goes_on(
    role: Role, command: int, answered: tuple[int, int] | None
) -> None:
    session = in_state(role, TRX)
    frame = raw(command, 9, b"ab")
    rejected, next_one = session.receive(frame + raw(Command.ENQUIRE_LINK, 10))
    assert isinstance(rejected, RequestRejected)
    assert rejected.frame == frame
    if answered is None:
        assert rejected.answer == b""
    else:
        response = decode(rejected.answer)
        assert isinstance(response, Pdu)
        assert (response.body.command, response.status, response.sequence) == (*answered, 9)
    assert next_one == RequestReceived(Pdu(EnquireLink(), 10))


@pytest.mark.parametrize("length", [0, 8, 15, LONGEST_FRAME + 1, 0x80000000, 0xFFFFFFFF])
@pytest.mark.parametrize("cuts", [[1], [400]])
def test_a_length_that_cannot_be_ends_the_session(length: int, cuts: list[int]) -> None:
    esme, _ = bound()
    sequence, _ = esme.request(TEXT, "token")
    good, bad = raw(Command.ENQUIRE_LINK, 3), length.to_bytes(4, "big") + bytes(12)
    first, *rest = feed(esme, good + bad + good, cuts)
    assert first == RequestReceived(Pdu(EnquireLink(), 3))
    (error,) = rest
    assert isinstance(error, ProtocolError)
    assert decode(error.answer) == Pdu(GenericNack(), 0, Status.RINVCMDLEN)
    assert esme.ended
    assert esme.end() == [Outstanding(sequence, TEXT, "token")]


def test_the_longest_frame_is_taken_octet_by_octet() -> None:
    esme, _ = bound()
    body = deliver_body()
    size = LONGEST_FRAME - 16 - len(body) - 4
    body += b"\x04\x24" + size.to_bytes(2, "big") + bytes(size)
    frame = raw(Command.DELIVER_SM, 1, body)
    assert feed(esme, frame[:99], [1]) == []
    assert esme._needed == len(frame)  # so that what has come is not copied for each octet of the rest
    (event,) = feed(esme, frame[99:], [1])
    assert isinstance(event, RequestReceived)


@pytest.mark.parametrize("body", [Outbind("smsc", "pw"), AlertNotification()], ids=lambda one: type(one).__name__)
def test_what_has_no_answer_waits_for_none(body: Request) -> None:
    smsc = Session(Role.SMSC) if isinstance(body, Outbind) else bound()[1]
    before = len(smsc.outstanding)
    sequence, octets = smsc.request(body)
    assert len(smsc.outstanding) == before
    with pytest.raises(NotAllowed, match="no response"):
        Session(Role.ESME).respond(Pdu(body, sequence))
    assert decode(octets) == Pdu(body, sequence)


def test_a_request_that_cannot_be_written_waits_for_nothing() -> None:
    esme, _ = bound()
    with pytest.raises(ValueError, match="do not fit"):
        esme.request(SubmitSm(short_message=bytes(300)))
    assert not esme.outstanding


frames = st.builds(raw, st.sampled_from([*Command, 0x99]), st.integers(0, 9), st.binary(max_size=60))
streams = st.lists(st.binary(max_size=40) | frames | pdus.map(encode), max_size=8).map(b"".join)


@given(streams, chunkings, st.sampled_from(Role), st.sampled_from([None, *BindMode]))
def test_no_stream_is_an_error_and_cutting_changes_nothing(
    octets: bytes, cuts: list[int], role: Role, mode: BindMode | None
) -> None:
    def listening() -> Session:
        session = in_state(role, mode)
        for at in range(5):
            session.request(EnquireLink(), token=at)
        return session

    whole, cut = listening(), listening()
    events = whole.receive(octets)
    assert feed(cut, octets, cuts) == events
    assert len(events) <= len(octets) // 16 + 2
    assert (whole.ended, whole.mode, whole.outstanding) == (cut.ended, cut.mode, cut.outstanding)
    assert len(whole._buffer) < LONGEST_FRAME


class Talk(RuleBasedStateMachine):
    """Two bound sessions: what is asked is answered once, late or not, whatever is lost or sent twice on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.esme, self.smsc = bound()
        self.asked: list[tuple[int, RequestReceived]] = []
        self.waiting: dict[int, object] = {}
        self.given_up: set[object] = set()
        self.answers: list[bytes] = []
        self.told: list[object] = []
        self.count = 0

    @rule()
    def ask(self) -> None:
        self.count += 1
        sequence, octets = self.esme.request(TEXT, self.count)
        assert sequence not in self.waiting
        self.waiting[sequence] = self.count
        (received,) = self.smsc.receive(octets)
        assert isinstance(received, RequestReceived)
        self.asked.append((self.count, received))

    @rule(which=st.integers(0, 5))
    def reply(self, which: int) -> None:
        if self.asked:
            token, received = self.asked.pop(which % len(self.asked))
            self.answers.append(self.smsc.respond(received.pdu, SubmitSmResp(str(token))))

    @rule(which=st.integers(0, 5))
    def give_up(self, which: int) -> None:
        if self.waiting:
            sequence = list(self.waiting)[which % len(self.waiting)]
            sent = self.esme.forget(sequence)
            assert sent is not None
            self.given_up.add(self.waiting.pop(sequence))

    @rule(which=st.integers(0, 5), times=st.integers(1, 2))
    def hear(self, which: int, times: int) -> None:
        if not self.answers:
            return
        first, *again = self.esme.receive(self.answers.pop(which % len(self.answers)) * times)
        assert isinstance(first, ResponseReceived)
        assert first.pdu.body == SubmitSmResp(str(first.sent.token))
        assert first.late == (first.sent.token in self.given_up)
        assert first.sent.token not in self.told
        self.told.append(first.sent.token)
        self.waiting.pop(first.sent.sequence, None)
        assert all(isinstance(one, StrayResponse) for one in again)

    @invariant()
    def the_table_is_right(self) -> None:
        assert {sequence: one.token for sequence, one in self.esme.outstanding.items()} == self.waiting


TestTalk = Talk.TestCase
