"""What is kept of a call: bounded, text, and of what came only."""

import pytest

from postdate.core.call_shown import MOST, shown_request, shown_result
from postdate.core.callback import Answered, CallbackResult, Forbidden, NotConnected, TimedOut


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        (Answered(200, "text/plain", b"ok"), (200, None, "ok")),
        (Answered(500, "", b"<b>" + b"x" * 5_000), (500, None, "<b>" + "x" * (MOST - 3))),
        (Answered(200, "", b"\xff\x00\xe3\x81"), (200, None, "\ufffd\ufffd\ufffd")),
        (NotConnected("no route"), (None, "no route", "")),
        (TimedOut("too slow"), (None, "too slow", "")),
        (Forbidden("private"), (None, "private", "")),
    ],
)
def test_a_result(result: CallbackResult, shown: tuple[int | None, str | None, str]) -> None:
    assert shown_result(result) == shown


def test_a_request() -> None:
    assert shown_request("To=%2B1&Body=%C3%A9") == "To=%2B1&Body=%C3%A9"
    assert len(shown_request("Body=" + "x" * 5_000)) == MOST
