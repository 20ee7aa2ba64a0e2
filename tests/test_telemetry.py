"""Logs: one way for all of them, in two forms, and without secrets."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from postdate.telemetry import REDACTED, configure, redact

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Put the root logger back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def logged(stream: io.StringIO) -> list[dict[str, object]]:
    """Return the lines as JSON."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_ours_and_others_are_json_lines_with_level_logger_and_time() -> None:
    stream = io.StringIO()
    configure("info", stream, people=False)
    structlog.get_logger("postdate.api").warning("request failed", code=20503)
    logging.getLogger("aiohttp").warning("odd %s", "thing", extra={"peer": "a"})
    ours, others = logged(stream)
    assert (ours["event"], ours["level"], ours["logger"], ours["code"]) == (
        "request failed", "warning", "postdate.api", 20503,
    )  # fmt: skip
    assert (others["event"], others["logger"], others["peer"]) == ("odd thing", "aiohttp", "a")
    assert str(ours["timestamp"]).endswith("Z")


def test_people_get_lines() -> None:
    stream = io.StringIO()
    configure("info", stream, people=True)
    structlog.get_logger("postdate").error("it rained", where="here")
    (line,) = stream.getvalue().splitlines()
    assert "it rained" in line
    assert "where=here" in line
    assert not line.startswith("{")
    assert "\x1b" not in line


@pytest.mark.parametrize(("level", "count"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_a_level_leaves_out_what_is_below(level: str, count: int) -> None:
    stream = io.StringIO()
    configure(level, stream, people=False)
    log = structlog.get_logger("postdate")
    for method in (log.debug, log.info, log.warning, log.error):
        method("something")
    assert len(logged(stream)) == count


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"auth_token": SECRET}, id="token"),
        pytest.param({"AuthToken": SECRET}, id="any case"),
        pytest.param({"secret_key": SECRET}, id="secret"),
        pytest.param({"password": SECRET}, id="password"),
        pytest.param({"headers": {"Authorization": f"Basic {SECRET}"}}, id="header within"),
        pytest.param({"headers": [("x", {"token": SECRET})]}, id="deep within"),
        pytest.param({"detail": f"they sent Authorization: Basic {SECRET}"}, id="credentials in a text"),
        pytest.param({"detail": f"bearer {SECRET} was refused"}, id="bearer in a text"),
        pytest.param({"url": f"https://user:{SECRET}@a.example/x"}, id="user info of a URL"),
        pytest.param({"credentials": (SECRET,)}, id="credentials"),
    ],
)
@pytest.mark.parametrize("people", [True, False], ids=["people", "json"])
def test_no_secret_is_written(fields: dict[str, object], people: bool) -> None:
    stream = io.StringIO()
    configure("info", stream, people=people)
    structlog.get_logger("postdate").warning("something", **fields)
    logging.getLogger("aiohttp").warning("something", extra=fields)
    assert SECRET not in stream.getvalue()
    assert stream.getvalue().count(REDACTED) == 2


def test_no_secret_is_written_with_an_exception() -> None:
    stream = io.StringIO()
    configure("info", stream, people=True)
    local = SECRET
    try:
        raise ValueError(f"cannot reach https://user:{local}@a.example")
    except ValueError:
        structlog.get_logger("postdate").exception("failed")
    assert "ValueError" in stream.getvalue()
    assert "https://[redacted]@a.example" in stream.getvalue()
    assert SECRET not in stream.getvalue()


def test_what_is_no_secret_stays() -> None:
    event = {
        "event": "sent",
        "sid": "SM1",
        "to": "+1",
        "url": "https://a.example/x@y",
        "count": 3,
        "basic": "basic facts",
    }
    assert redact(None, "info", dict(event)) == event
