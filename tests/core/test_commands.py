"""From a command to a message: what is copied, what is computed, what is refused and in which order. Pure."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.core.address import SenderKind, bucket_of
from postdate.core.commands import (
    DEFAULT_VALIDITY,
    Context,
    SendMessage,
    check_window,
    read_sender,
    segments_of,
    to_message,
    validity_of,
)
from postdate.core.errors import Rejected
from postdate.core.instant import DAY, HOUR, MINUTE, SECOND, Instant, ScheduleWindow
from postdate.core.message import Direction, Message, Options, Status
from postdate.core.resources import Application, Sender, Service
from postdate.core.sid import CHANCE_BYTES, bucket_of_sid, is_sid

AT = Instant(1_900_000_000_000_000)
CHANCE = bytes(range(CHANCE_BYTES))
ACCOUNT = "AC" + "a" * 32
TO = "+14155550100"
FROM = "+15005550006"
WINDOW = ScheduleWindow(HOUR, 7 * DAY)
OPEN = ScheduleWindow(0, None)

SERVICE = Service(
    sid="MG" + "c" * 32,
    account_sid=ACCOUNT,
    friendly_name="Reminders",
    validity_period=60,
    created_at=AT,
    updated_at=AT,
)
SENDER = Sender(
    sid="PN" + "d" * 32,
    account_sid=ACCOUNT,
    kind=SenderKind.PHONE_NUMBER,
    address=FROM,
    friendly_name="",
    country="US",
    service_sid=SERVICE.sid,
    created_at=AT,
    updated_at=AT,
)
APPLICATION = Application(sid="AP" + "e" * 32, account_sid=ACCOUNT, friendly_name="App", created_at=AT, updated_at=AT)


def context(**changes: Any) -> Context:
    given_values: dict[str, Any] = {
        "account_sid": ACCOUNT, "service": None, "sender": None, "application": None, "window": WINDOW,
    }  # fmt: skip
    return Context(**(given_values | changes))


def through_service(**changes: Any) -> SendMessage:
    return SendMessage(**{"recipient": TO, "body": "Hi", "service_sid": SERVICE.sid, **changes})


def from_number(**changes: Any) -> SendMessage:
    return SendMessage(**{"recipient": TO, "body": "Hi", "sender": FROM, **changes})


def made(command: SendMessage, **having: Any) -> Message:
    return to_message(command, context(**having), AT, CHANCE)


def rejection(command: SendMessage, **having: Any) -> Rejected:
    with pytest.raises(Rejected) as caught:
        made(command, **having)
    return caught.value


# --- what becomes of a command ---------------------------------------------------------------------------------------


def test_at_once_through_a_service() -> None:
    message = made(through_service(callback_url="https://example.com/"), service=SERVICE)
    assert message == Message(
        sid=message.sid,
        bucket=bucket_of(ACCOUNT, TO),
        account_sid=ACCOUNT,
        service_sid=SERVICE.sid,
        direction=Direction.OUTBOUND_API,
        status=Status.ACCEPTED,
        sender=None,
        sender_sid=None,
        recipient=TO,
        body="Hi",
        media_urls=(),
        num_segments=0,
        send_at=None,
        due_at=AT,
        expires_at=Instant(AT + 60 * SECOND),
        callback_url="https://example.com/",
        attempts=0,
        claim=None,
        doubt_at=None,
        carrier_ref=None,
        error_code=None,
        created_at=AT,
        updated_at=AT,
        sent_at=None,
        listed_at=AT,
        options=Options(),
    )


@pytest.mark.parametrize(
    ("command", "having", "status", "sender", "segments"),
    [
        pytest.param(from_number(), {"sender": SENDER}, Status.QUEUED, FROM, 1, id="from-a-number"),
        pytest.param(through_service(), {"service": SERVICE}, Status.ACCEPTED, None, 0, id="service"),
        pytest.param(
            through_service(sender=FROM), {"service": SERVICE, "sender": SENDER}, Status.ACCEPTED, FROM, 0, id="both"
        ),
        pytest.param(
            through_service(send_at=Instant(AT + DAY)), {"service": SERVICE}, Status.SCHEDULED, None, 0, id="scheduled"
        ),
        pytest.param(
            through_service(send_at=Instant(AT + DAY), sender=FROM),
            {"service": SERVICE, "sender": SENDER},
            Status.SCHEDULED,
            FROM,
            0,
            id="scheduled-with-sender",
        ),
        pytest.param(
            from_number(send_at=Instant(AT + DAY)),
            {"sender": SENDER, "send_at_once_without_service": True},
            Status.QUEUED,
            FROM,
            1,
            id="schedule-dropped",
        ),
        pytest.param(
            from_number(send_at=Instant(AT - DAY)),
            {"sender": SENDER, "send_at_once_without_service": True},
            Status.QUEUED,
            FROM,
            1,
            id="past-schedule-dropped",
        ),
    ],
)
def test_how_a_message_begins(
    command: SendMessage, having: dict[str, Any], status: Status, sender: str | None, segments: int
) -> None:
    message = made(command, **having)
    assert (message.status, message.sender, message.num_segments) == (status, sender, segments)
    assert message.sender_sid == (SENDER.sid if sender else None)
    assert message.send_at == (command.send_at if status is Status.SCHEDULED else None)
    assert message.due_at == (message.send_at or AT)
    assert message.listed_at == message.created_at == AT


@pytest.mark.parametrize(
    ("asked", "service", "seconds"),
    [
        pytest.param(None, SERVICE, 60, id="of-the-service"),
        pytest.param(5, SERVICE, 5, id="of-the-message"),
        pytest.param(36_000, SERVICE, 36_000, id="longer-than-the-service"),
        pytest.param(None, None, DEFAULT_VALIDITY, id="default"),
        pytest.param(1, None, 1, id="shortest"),
    ],
)
@pytest.mark.parametrize("send_at", [None, Instant(AT + 3 * DAY)])
def test_how_long_it_is_worth_sending(
    asked: int | None, service: Service | None, seconds: int, send_at: Instant | None
) -> None:
    # From when it is due, not from when it was accepted.
    if service is None and send_at is not None:
        return
    command = SendMessage(
        recipient=TO, body="Hi", validity=asked, send_at=send_at,
        service_sid=service.sid if service else None, sender=None if service else FROM,
    )  # fmt: skip
    message = made(command, service=service, sender=None if service else SENDER)
    assert message.expires_at - (send_at or AT) == seconds * SECOND
    assert validity_of(message) == seconds * SECOND


@pytest.mark.parametrize(
    ("changes", "prefix"),
    [
        pytest.param({}, "SM", id="text"),
        pytest.param({"media_urls": ("https://example.com/1",)}, "MM", id="media"),
        pytest.param({"media_urls": ("https://example.com/1",), "body": ""}, "MM", id="only-media"),
        pytest.param({"options": Options(send_as_mms=True)}, "MM", id="text-as-mms"),
    ],
)
def test_its_sid(changes: dict[str, Any], prefix: str) -> None:
    message = made(from_number(**changes), sender=SENDER)
    assert is_sid(message.sid, prefix)
    assert message.sid.endswith(CHANCE.hex())
    assert int(message.sid[2:14], 16) == AT // 1_000
    assert bucket_of_sid(message.sid) == message.bucket == bucket_of(ACCOUNT, TO)


@pytest.mark.parametrize(
    ("body", "has_media", "smart", "segments"),
    [
        pytest.param("x" * 160, False, False, 1, id="one"),
        pytest.param("x" * 161, False, False, 2, id="two"),
        pytest.param("“" * 71, False, False, 2, id="quotes"),
        pytest.param("“" * 71, False, True, 1, id="quotes-smart"),
        pytest.param("x" * 1_600, True, False, 1, id="mms-is-one"),
        pytest.param("", True, False, 1, id="only-media"),
    ],
)
def test_segments(body: str, has_media: bool, smart: bool, segments: int) -> None:
    assert segments_of(body, has_media, smart) == segments
    media = ("https://example.com/1",) if has_media else ()
    message = made(from_number(body=body, media_urls=media, options=Options(smart_encoded=smart)), sender=SENDER)
    assert message.num_segments == segments


# --- what is refused -------------------------------------------------------------------------------------------------

ELSEWHERE = msgspec.structs.replace(SENDER, service_sid="MG" + "f" * 32)
FREE = msgspec.structs.replace(SENDER, service_sid=None)
NO_MMS = msgspec.structs.replace(SENDER, mms=False)
ALPHA = msgspec.structs.replace(SENDER, kind=SenderKind.ALPHA, address="Postdate", country="")
SHORT = msgspec.structs.replace(SENDER, kind=SenderKind.SHORT_CODE, address="12345", mms=False)
WHATSAPP = msgspec.structs.replace(SENDER, kind=SenderKind.CHANNEL, address="whatsapp:" + FROM, mms=False)
MEDIA = ("https://example.com/1",)
SOON = Instant(AT + 2 * HOUR)


@pytest.mark.parametrize(
    ("command", "having", "code"),
    [
        pytest.param(SendMessage(recipient=TO, body="Hi"), {}, 21603, id="no-sender-no-service"),
        pytest.param(through_service(), {}, 21701, id="service-not-found"),
        pytest.param(through_service(sender=FROM), {"sender": SENDER}, 21701, id="service-not-found-sender-found"),
        pytest.param(from_number(), {}, 21606, id="sender-not-found"),
        pytest.param(through_service(sender=FROM), {"service": SERVICE}, 21606, id="sender-not-found-service-found"),
        pytest.param(
            through_service(sender=FROM), {"service": SERVICE, "sender": ELSEWHERE}, 21606, id="sender-in-another-pool"
        ),
        pytest.param(through_service(sender=FROM), {"service": SERVICE, "sender": FREE}, 21606, id="sender-in-no-pool"),
        pytest.param(from_number(media_urls=MEDIA), {"sender": NO_MMS}, 21621, id="no-mms"),
        pytest.param(from_number(options=Options(send_as_mms=True)), {"sender": NO_MMS}, 21621, id="no-mms-for-text"),
        pytest.param(from_number(media_urls=MEDIA), {"sender": SHORT}, 21621, id="no-mms-of-a-short-code"),
        pytest.param(from_number(), {"sender": ALPHA}, 21606, id="alpha-to-america"),
        pytest.param(from_number(recipient="+819012345678"), {"sender": SHORT}, 21606, id="short-code-abroad"),
        pytest.param(from_number(recipient="whatsapp:" + TO), {"sender": SENDER}, 21606, id="number-to-whatsapp"),
        pytest.param(from_number(), {"sender": WHATSAPP}, 21606, id="whatsapp-to-number"),
        pytest.param(from_number(send_at=SOON), {"sender": SENDER}, 35118, id="schedule-without-service"),
        pytest.param(
            through_service(send_at=Instant(AT + HOUR - 1)), {"service": SERVICE}, 35114, id="schedule-too-near"
        ),
        pytest.param(
            through_service(send_at=Instant(AT + 7 * DAY + 1)), {"service": SERVICE}, 35114, id="schedule-too-far"
        ),
        pytest.param(
            from_number(options=Options(application_sid=APPLICATION.sid)), {"sender": SENDER}, 21420, id="application"
        ),
        # The first fault that a customer has to mend is the one that is told.
        pytest.param(from_number(send_at=SOON), {}, 21606, id="sender-before-schedule"),
        pytest.param(through_service(send_at=AT), {}, 21701, id="service-before-window"),
        pytest.param(from_number(send_at=AT), {"sender": SENDER}, 35118, id="service-missing-before-window"),
    ],
)
def test_what_is_refused(command: SendMessage, having: dict[str, Any], code: int) -> None:
    assert rejection(command, **having).code == code


@pytest.mark.parametrize(
    ("command", "having"),
    [
        pytest.param(from_number(media_urls=MEDIA, recipient="whatsapp:" + TO), {"sender": WHATSAPP}, id="whatsapp"),
        pytest.param(from_number(recipient="+819012345678"), {"sender": ALPHA}, id="alpha-abroad"),
        pytest.param(from_number(), {"sender": SHORT}, id="short-code-at-home"),
        pytest.param(from_number(), {"sender": FREE}, id="a-number-in-no-pool"),
        pytest.param(from_number(), {"sender": ELSEWHERE}, id="a-number-of-a-pool-without-its-service"),
        pytest.param(
            from_number(options=Options(application_sid=APPLICATION.sid)),
            {"sender": SENDER, "application": APPLICATION},
            id="application",
        ),
    ],
)
def test_what_is_not_refused(command: SendMessage, having: dict[str, Any]) -> None:
    assert made(command, **having).recipient == command.recipient


# --- the window ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "ahead", "inside"),
    [
        pytest.param(WINDOW, HOUR, True, id="nearest"),
        pytest.param(WINDOW, HOUR - 1, False, id="nearer"),
        pytest.param(WINDOW, 7 * DAY, True, id="farthest"),
        pytest.param(WINDOW, 7 * DAY + 1, False, id="farther"),
        pytest.param(OPEN, 0, True, id="open-now"),
        pytest.param(OPEN, -1, False, id="open-past"),
        pytest.param(OPEN, 100_000 * DAY, True, id="open-far"),
        pytest.param(ScheduleWindow(MINUTE, MINUTE), MINUTE, True, id="one-point"),
        pytest.param(ScheduleWindow(MINUTE, MINUTE), MINUTE + 1, False, id="beside-one-point"),
    ],
)
def test_the_window_begins_when_the_request_is_taken(window: ScheduleWindow, ahead: int, inside: bool) -> None:
    command = through_service(send_at=Instant(AT + ahead))
    if inside:
        check_window(Instant(AT + ahead), window, AT)
        assert made(command, service=SERVICE, window=window).status is Status.SCHEDULED
    else:
        with pytest.raises(Rejected) as caught:
            check_window(Instant(AT + ahead), window, AT)
        assert caught.value.code == 35114
        assert str(window) in caught.value.detail
        assert rejection(command, service=SERVICE, window=window).code == 35114


@given(st.integers(0, 10 * DAY), st.integers(0, 10 * DAY), st.integers(-DAY, 30 * DAY))
def test_a_message_is_never_due_outside_the_window(earliest: int, length: int, ahead: int) -> None:
    window = ScheduleWindow(earliest, earliest + length)
    command = through_service(send_at=Instant(AT + ahead))
    try:
        message = made(command, service=SERVICE, window=window)
    except Rejected:
        assert not earliest <= ahead <= earliest + length
    else:
        assert AT + earliest <= message.due_at <= AT + earliest + length


# --- small readers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("+1 500 555 0006", FROM),
        ("12345", "12345"),
        (" Postdate ", "Postdate"),
        ("whatsapp:" + FROM, "whatsapp:" + FROM),
    ],
)
def test_a_sender_is_read(text: str, shown: str) -> None:
    assert str(read_sender(text)) == shown


@pytest.mark.parametrize("text", ["", " ", "+", "twelve letters", "ünïcode", "a\0b", "fax:1", "x" * 10_000])
def test_a_sender_that_is_none(text: str) -> None:
    with pytest.raises(Rejected) as caught:
        read_sender(text)
    assert (caught.value.code, caught.value.http_status) == (21212, 400)
