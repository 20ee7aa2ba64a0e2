"""URLs for carriers: only those that were given out are good, and each for its own connection and message alone."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.core.events_url import events_key, events_path, is_events_key, is_message_code, message_query

SECRET = b"a secret of the node"
CONNECTION = "CN00000000000000000000000000000001"
OTHER = "CN00000000000000000000000000000002"
MESSAGE = "SM00000000000000000000000000000001"


def code_of(secret: bytes, connection: str, message: str) -> str:
    found = re.fullmatch(r"\?sid=([^&]*)&mac=([0-9a-f]{32})", message_query(secret, connection, message), re.DOTALL)
    assert found is not None
    assert found[1] == message
    return found[2]


def test_what_was_given_out_is_good() -> None:
    key = events_key(SECRET, CONNECTION)
    assert re.fullmatch("[0-9a-f]{32}", key)
    assert events_path("my-sms", key) == f"/postdate/v1/Connections/my-sms/Events/{key}"
    assert is_events_key(SECRET, CONNECTION, key)
    assert is_message_code(SECRET, CONNECTION, MESSAGE, code_of(SECRET, CONNECTION, MESSAGE))


@pytest.mark.parametrize("given_", ["", "0" * 32, "é", "\ud800", MESSAGE])
def test_what_was_not_is_not(given_: str) -> None:
    assert not is_events_key(SECRET, CONNECTION, given_)
    assert not is_message_code(SECRET, CONNECTION, MESSAGE, given_)


def test_one_for_another_is_not_good() -> None:
    key, code = events_key(SECRET, CONNECTION), code_of(SECRET, CONNECTION, MESSAGE)
    assert not is_events_key(SECRET, OTHER, key)
    assert not is_events_key(b"another secret", CONNECTION, key)
    assert not is_events_key(SECRET, CONNECTION, key[:-1])
    assert not is_events_key(SECRET, CONNECTION, key.upper())
    assert not is_events_key(SECRET, CONNECTION, code)
    assert not is_message_code(SECRET, OTHER, MESSAGE, code)
    assert not is_message_code(SECRET, CONNECTION, MESSAGE[:-1] + "2", code)
    assert not is_message_code(b"another secret", CONNECTION, MESSAGE, code)


@given(st.tuples(st.text(), st.text()), st.tuples(st.text(), st.text()))
def test_no_two_pairs_have_one_code(first: tuple[str, str], second: tuple[str, str]) -> None:
    code = message_query(SECRET, *first).rpartition("=")[2]
    assert is_message_code(SECRET, *second, code) == (first == second)
