"""Links to an SMSC: bound, watched, made again, ended; refused without a hammer; over TLS; what people see of them."""

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from postdate.clock import SystemClock, TestClock
from postdate.connectors.contract import Asks, State
from postdate.connectors.smpp import SmppConnector
from postdate.connectors.smpp_settings import SmppSettings
from postdate.core.instant import SECOND, Instant, parse_instant
from postdate.core.outcome import Accepted
from postdate.smpp.codes import Status
from postdate.smpp.pdu import BindMode, BindResp, EnquireLink, EnquireLinkResp, Pdu, SubmitSmResp, Unbind
from postdate.smpp.session import ResponseReceived
from tests.connectors.smpp_peer import (
    PASSWORD,
    Smsc,
    SmscLink,
    connected,
    forget,
    outcome_of,
    outcomes,
    pass_by,
    say_nothing,
    serving,
    settings_for,
    some_turns,
    still_wire,
    submission,
    until,
)
from tests.held_ports import held_ports

START = parse_instant("2030-01-01T12:00:00Z")
ONCE: dict[str, Any] = {"reconnect_first": 60, "reconnect_longest": 60}


# --- bind ------------------------------------------------------------------------------------------------------------


async def test_a_transceiver_is_bound_with_what_the_carrier_gave() -> None:
    async with serving(Smsc()) as smsc, connected(smsc, system_type="VMS") as connector:
        bind = smsc.links[0].bind
        assert bind is not None
        assert (bind.mode, bind.system_id, bind.password) == (BindMode.TRANSCEIVER, "postdate", PASSWORD)
        assert (bind.system_type, bind.interface_version) == ("VMS", 0x34)
        assert (connector.condition.state, connector.condition.links) == (State.READY, 1)
        assert connector.condition.at_once == 10
        assert connector.condition.details == {"bind": "transceiver", "links": "1 of 1"}


async def test_a_pair_of_links_sends_over_one_and_receives_over_the_other() -> None:
    async with serving(Smsc()) as smsc, connected(smsc, bind="transmitter_receiver", links=2) as connector:
        modes = sorted(link.bind.mode for link in smsc.links if link.bind is not None)
        assert modes == [BindMode.RECEIVER] * 2 + [BindMode.TRANSMITTER] * 2
        assert (connector.condition.links, connector.condition.at_once) == (4, 20)
        found = await outcomes(connector, [submission(number) for number in range(40)])
        assert all(isinstance(outcome, Accepted) for outcome in found)
        for link in smsc.links:
            if link.bind is not None and link.bind.mode is BindMode.TRANSMITTER:
                link.kill()
        await until(lambda: connector.condition.state is State.DOWN)  # it cannot send over what is left


@pytest.mark.parametrize(
    ("status", "named", "pause"),
    [
        (Status.RINVPASWD, "password", 60),
        (Status.RINVSYSID, "system_id", 60),
        (Status.RALYBND, "bound already", 60),
        (Status.RBINDFAIL, "refuses to bind", 60),
        (Status.RSYSERR, "ESME_RSYSERR", 1),
    ],
)
async def test_a_refused_bind_is_explained_and_not_hammered(status: int, named: str, pause: int) -> None:
    wire = TestClock(START, frozen=True)
    smsc = Smsc(bind_status=status)
    spans: dict[str, Any] = {"reconnect_first": 1, "reconnect_longest": 60}
    async with serving(smsc), connected(smsc, wire=wire, **spans) as connector:
        await until(lambda: connector.condition.last_error)
        assert named in connector.condition.last_error
        assert connector.condition.last_error_at is not None
        assert connector.condition.state is State.DOWN
        await wire.advance_to(Instant(START + pause * SECOND - 1), some_turns)
        assert len(smsc.links) == 1
        await wire.advance_to(Instant(START + pause * SECOND), some_turns)
        await until(lambda: len(smsc.links) == 2)


@pytest.mark.parametrize("host", ["a..b", ".", "x" * 64 + ".example"])
async def test_what_is_no_host_name_is_explained(host: str) -> None:
    connector = SmppConnector(settings_for(1, host=host), SystemClock(), lambda: 0.0)
    await connector.open(forget)
    try:
        await until(lambda: connector.condition.last_error)
        assert connector.condition.last_error == "this is not a host name: check host"
        assert connector.condition.state is State.DOWN
    finally:
        await connector.close()


async def test_attempts_come_further_and_further_apart_and_jitter_spreads_them() -> None:
    wire = TestClock(START, frozen=True)
    at: list[int] = []
    smsc = Smsc(bind_status=Status.RSYSERR)

    async def settle() -> None:
        await some_turns()
        await until(lambda: all(link.closed for link in smsc.links))
        await some_turns()
        at.extend([(wire.now() - START) // 1000] * (len(smsc.links) - len(at)))

    async with serving(smsc):
        settings = settings_for(smsc.port, reconnect_first=1, reconnect_longest=8)
        connector = SmppConnector(settings, SystemClock(), lambda: 0.5, wire)
        await connector.open(forget)
        await until(lambda: smsc.links)
        await wire.advance_to(Instant(START + 30 * SECOND), settle)
        await connector.close()
    assert [later - one for one, later in pairwise(at)] == [1125, 2250, 4500, 9000, 9000]


async def test_a_bind_without_an_answer_is_given_up() -> None:
    smsc = Smsc()
    async with serving(smsc):
        wire, asked = still_wire(), list[Pdu]()
        smsc.handle = lambda link, request: asked.append(request)  # type: ignore[method-assign]
        connector = SmppConnector(settings_for(smsc.port, **ONCE), SystemClock(), lambda: 0.0, wire)
        await connector.open(forget)
        await until(lambda: asked)
        await pass_by(wire, 10)
        await until(lambda: connector.condition.last_error)
        assert connector.condition.last_error == "the link was not bound: no answer within 10 s"
        await until(lambda: smsc.links[0].closed)
        await connector.close()


async def test_an_smsc_that_is_not_there_is_named_as_the_trouble() -> None:
    with held_ports(1) as (port,):
        connector = SmppConnector(settings_for(port, **ONCE), SystemClock(), lambda: 0.0)
        await connector.open(forget)
        await until(lambda: connector.condition.last_error)
    assert connector.condition.last_error == "no connection (connection refused): check that the SMSC can be reached"
    await connector.close()
    assert connector.condition.state is State.CLOSED


# --- watched and made again ------------------------------------------------------------------------------------------


async def test_a_link_is_made_again_and_used_again() -> None:
    async with serving(Smsc()) as smsc, connected(smsc) as connector:
        smsc.links[0].kill()
        await until(lambda: len(smsc.bound) == 1 and len(smsc.links) == 2 and connector.condition.links == 1)
        assert connector.condition.state is State.READY
        assert await outcome_of(connector, submission()) == Accepted("id-1")


async def test_a_link_that_takes_nothing_does_not_get_all_there_is() -> None:
    def only_over_the_second(link: SmscLink, request: Pdu) -> None:
        link.answer(request, Status.RTHROTTLED if link is smsc.links[0] else SubmitSmResp("taken"))

    smsc = Smsc(on_submit=only_over_the_second)
    async with serving(smsc), connected(smsc, links=2) as connector:
        found = [await outcome_of(connector, submission(number)) for number in range(8)]
        assert found.count(Accepted("taken")) == 4


async def test_ten_links_come_back_after_all_were_lost() -> None:
    async with serving(Smsc()) as smsc, connected(smsc, links=10) as connector:
        for link in list(smsc.links):
            link.kill()
        await until(lambda: connector.condition.links == 10 and len(smsc.links) == 20)
        found = await outcomes(connector, [submission(number) for number in range(200)])
        assert all(isinstance(outcome, Accepted) for outcome in found)


async def test_silence_is_asked_about_and_an_answer_keeps_the_link() -> None:
    async with serving(Smsc()) as smsc, connected(smsc, enquire_link=0.05) as connector:
        await until(lambda: sum(isinstance(request.body, EnquireLink) for request in smsc.requests) >= 3)
        assert len(smsc.links) == 1
        assert connector.condition.links == 1


async def test_their_question_is_answered() -> None:
    async with serving(Smsc()) as smsc, connected(smsc):
        smsc.links[0].send(EnquireLink())
        await until(lambda: any(isinstance(event, ResponseReceived) for event in smsc.events))
        (event,) = [event for event in smsc.events if isinstance(event, ResponseReceived)]
        assert isinstance(event.pdu.body, EnquireLinkResp)


async def test_a_silent_smsc_is_dead_after_no_answer_and_its_link_is_made_again() -> None:
    smsc = Smsc(silent=True)
    async with serving(smsc), connected(smsc, enquire_link=0.05, answer_timeout=0.1) as connector:
        await until(lambda: smsc.links[0].closed)
        assert "enquire_link" in connector.condition.last_error
        await until(lambda: len(smsc.links) >= 2)


async def test_an_smsc_that_unbinds_is_answered_and_bound_again() -> None:
    smsc = Smsc(on_submit=say_nothing)
    async with serving(smsc), connected(smsc) as connector:
        smsc.links[0].send(Unbind())
        await until(lambda: smsc.links[0].closed and connector.condition.links == 1 and len(smsc.links) == 2)
        assert any(isinstance(event, ResponseReceived) for event in smsc.events)


async def test_close_unbinds_every_link() -> None:
    async with serving(Smsc()) as smsc, connected(smsc, links=3) as connector:
        await connector.close()
        assert smsc.unbinds == 3
        await until(lambda: all(link.closed for link in smsc.links))
        assert (connector.condition.state, connector.condition.links) == (State.CLOSED, 0)
        assert connector.condition.last_error == ""
        await connector.open(forget)
        await until(lambda: connector.condition.links == 3)


async def test_what_people_see_holds_no_secret_and_no_strange_word() -> None:
    def answer(link: SmscLink, request: Pdu) -> None:
        link.answer(request, BindResp(BindMode.TRANSCEIVER, "\x1b[31mSMSC<script>-1"))

    smsc = Smsc()
    smsc.handle = answer  # type: ignore[method-assign]
    async with serving(smsc), connected(smsc) as connector:
        assert connector.condition.details["smsc"] == "31mSMSCscript-1"
        assert PASSWORD not in repr(connector.condition)
        smsc.links[0].kill()
        await until(lambda: connector.condition.last_error)


async def test_logs_name_the_trouble_and_no_secret() -> None:
    with structlog.testing.capture_logs() as logs:
        async with serving(Smsc(bind_status=Status.RINVPASWD)) as smsc, connected(smsc) as connector:
            await until(lambda: len(smsc.links) >= 3 and connector.condition.last_error)
    assert len(logs) == 1  # once, not at every attempt
    assert "password" in logs[0]["why"]
    assert PASSWORD not in repr(logs)


def test_a_connector_can_be_asked() -> None:
    assert isinstance(SmppConnector(settings_for(2775), SystemClock(), lambda: 0.0), Asks)


# --- TLS -------------------------------------------------------------------------------------------------------------


def certificate(folder: Path, name: str) -> tuple[str, str]:
    """Make a certificate that signs itself, for 127.0.0.1, and return its file and its key's."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    today = datetime(2020, 1, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today)
        .not_valid_after(today + timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = (folder / f"{name}.pem", folder / f"{name}.key")
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(files[0]), str(files[1])


def server_context(files: Sequence[str], client: str | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    if client is not None:
        context.load_verify_locations(client)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def test_tls_with_certificates_on_both_sides(tmp_path: Path) -> None:
    theirs, ours = certificate(tmp_path, "smsc"), certificate(tmp_path, "postdate")
    files: dict[str, Any] = {"ca_file": theirs[0], "certificate_file": ours[0], "key_file": ours[1]}
    smsc = Smsc()
    async with serving(smsc, server_context(theirs, ours[0])):
        async with connected(smsc, host="localhost", tls=True, **files) as connector:
            found = await outcomes(connector, [submission(number) for number in range(50)])
            assert all(isinstance(outcome, Accepted) for outcome in found)
        assert smsc.unbinds == 1


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"tls": True}, "certificate was not accepted"),
        ({"tls": True, "host": "127.0.0.1", "trust": True}, "certificate was not accepted"),  # it names another host
        ({"tls": False}, "was not bound"),
    ],
    ids=["unknown authority", "wrong name", "no TLS"],
)
async def test_a_link_that_cannot_be_trusted_is_not_bound(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    theirs = certificate(tmp_path, "smsc")
    if changes.pop("trust", False):
        changes = {**changes, "ca_file": theirs[0]}
    smsc = Smsc()
    async with serving(smsc, server_context(theirs)):
        settings = settings_for(smsc.port, **{"host": "localhost", **ONCE, **changes})
        connector = SmppConnector(settings, SystemClock(), lambda: 0.0)
        await connector.open(forget)
        await until(lambda: connector.condition.last_error)
        assert named in connector.condition.last_error
        await connector.close()
        assert not smsc.bound


async def test_verify_can_be_off_for_a_test(tmp_path: Path) -> None:
    smsc = Smsc()
    context = server_context(certificate(tmp_path, "smsc"))
    async with serving(smsc, context), connected(smsc, tls=True, verify=False) as connector:
        assert await outcome_of(connector, submission()) == Accepted("id-1")


async def test_tls_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    settings = settings_for(2775, tls=True, ca_file=str(tmp_path / "none.pem"))
    connector = SmppConnector(settings, SystemClock(), lambda: 0.0)
    await connector.open(forget)
    assert connector.condition.state is State.DOWN
    assert "ca_file" in connector.condition.last_error
    await connector.close()


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"status_map": {"ESME_RNONSENSE": "busy"}}, "status_map"),
        ({"status_map": {"0": "busy"}}, "status_map"),
        ({"status_map": {"0x58": 12}}, "status_map"),
        ({"status_map": {"0x58": "panic"}}, "status_map"),
        ({"receipt_errors": {"001": 12}}, "receipt_errors"),
        ({"query_by_reference": True, "reference": False}, "query_by_reference"),
        ({"key_file": "/etc/key.pem"}, "key_file"),
        ({"system_id": "a" * 16}, "system_id"),
        ({"system_id": ""}, "system_id"),
        ({"password": ""}, "password"),
        ({"links": 17}, "links"),
        ({"in_flight": 0}, "in_flight"),
        ({"host": "smsc.example/evil"}, "host"),
        ({"port": 70_000}, "port"),
        ({"coding": "ebcdic"}, "coding"),
        ({"bind": "both"}, "bind"),
        ({"source_ton": 256}, "source_ton"),
        ({"source_ton": "guess"}, "source_ton"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_settings_that_cannot_be_used_are_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=named):
        settings_for(**{"port": 2775, **changes})


def test_settings_show_no_secret_and_describe_every_field() -> None:
    settings = settings_for(2775)
    assert PASSWORD not in repr(settings)
    described = msgspec.json.schema(SmppSettings)["$defs"]["SmppSettings"]["properties"]
    assert [name for name, field in described.items() if "description" not in repr(field)] == []
