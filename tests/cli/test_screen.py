"""How times and statuses look to people."""

import pytest

from postdate.cli.record import Record
from postdate.cli.screen import (
    STATUS_STYLES,
    full_time,
    listing,
    rate_text,
    short_time,
    show_list,
    speed_text,
    status_text,
)
from postdate.core.instant import Instant, parse_instant
from postdate.core.message import Status

NOW: Instant = parse_instant("2026-11-23T09:00:00Z")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("2026-11-26T14:00:59Z", "26 Nov 14:00", id="iso, days ahead"),
        pytest.param("Mon, 23 Nov 2026 08:05:00 +0000", "23 Nov 08:05", id="rfc 2822, an hour ago"),
        pytest.param("2027-06-30T14:00:00Z", "30 Jun  2027", id="more than half a year ahead"),
        pytest.param("2025-11-23T09:00:00Z", "23 Nov  2025", id="a year ago"),
        pytest.param("", "", id="never"),
        pytest.param("some day", "some day", id="no time"),
    ],
)
def test_a_time_in_a_list_is_12_characters(text: str, shown: str) -> None:
    assert short_time(text, NOW) == shown


def test_a_time_by_itself_has_all_of_it() -> None:
    assert full_time("Thu, 26 Nov 2026 14:00:59 +0000") == "2026-11-26 14:00:59 UTC"


@pytest.mark.parametrize(
    ("rate", "speed", "limit"),
    [
        ("1", "1 segment per second", "1 segment per second"),
        ("2.5", "2.5 segments per second", "2.5 segments per second"),
        ("0", "0 segments per second", "as fast as the carrier takes them"),
        ("", "", ""),
    ],
)
def test_a_rate_is_told_in_words(rate: str, speed: str, limit: str) -> None:
    assert (speed_text(rate), rate_text(rate)) == (speed, limit)


def test_every_status_that_is_used_has_a_colour() -> None:
    unused = {Status.RECEIVING, Status.PARTIALLY_DELIVERED}
    assert set(Status) - unused <= STATUS_STYLES.keys()


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"status": "scheduled", "error_code": None, "in_doubt": False}, "scheduled"),
        ({"status": "failed", "error_code": 30004}, "failed 30004"),
        ({"status": "sending", "in_doubt": True}, "sending in doubt"),
        ({}, ""),
    ],
)
def test_a_status_says_what_else_there_is_to_know(fields: dict[str, object], shown: str) -> None:
    assert status_text(Record(fields)).plain == shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "yes"),
        (False, "no"),
        (1.0, "1"),
        (2.5, "2.5"),
        (7, "7"),
        ("x", "x"),
        ({"a": "ü"}, '{"a": "ü"}'),
    ],
)
def test_a_field_is_read_as_a_person_does(value: object, text: str) -> None:
    assert Record({"field": value}).text("field") == text


@pytest.mark.parametrize("body", [b"[]", b"", b"<html>", b'"x"', b"\xff"])
def test_what_is_no_object_is_no_record(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Record.parse(body)


@pytest.mark.parametrize("said", ["[/] [red]x", "[bold]", ":smile:", "a[1]"])
def test_what_looks_like_markup_is_text(said: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = listing("SID", "NAME")
    table.add_row("SM1", said)
    show_list(table, "nothing")
    assert capsys.readouterr().out.splitlines()[1].split(maxsplit=1)[1].strip() == said


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("\x1b]0;x\x07\x1b[2J", "\ufffd]0;x\ufffd\ufffd[2J"),
        ("\x9b31m", "\ufffd31m"),
        ("paid\rdue", "paid\ufffddue"),
        ("a\r\nb\n\tc", "a\r\nb\n\tc"),
        ({"body": "\x9b2J"}, '{"body": "\ufffd2J"}'),
        ("é 日本 😀", "é 日本 😀"),
    ],
)
def test_nobody_steers_the_terminal_of_who_reads(said: object, shown: str) -> None:
    assert Record({"body": said}).text("body") == shown
