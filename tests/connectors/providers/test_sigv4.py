"""AWS signatures, held against botocore's signer on the same requests."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postdate.connectors.providers.sigv4 import Signer
from postdate.core.instant import Instant
from tests.connectors.providers.building import NOW

auth: Any = pytest.importorskip("botocore.auth")
awsrequest: Any = pytest.importorskip("botocore.awsrequest")
credentials: Any = pytest.importorskip("botocore.credentials")

TARGET = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "PinpointSMSVoiceV2.SendTextMessage"}


def theirs(
    monkeypatch: pytest.MonkeyPatch,
    signer: Signer,
    method: str,
    url: str,
    headers: dict[str, str],
    body: bytes,
    at: Instant,
) -> dict[str, str]:
    """The headers as botocore signs them."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)
    monkeypatch.setattr(auth, "get_current_datetime", lambda: moment)
    request = awsrequest.AWSRequest(method=method, url=url, data=body, headers=headers)
    whose = credentials.Credentials(signer.key_id, signer.secret, signer.token)
    auth.SigV4Auth(whose, signer.service, signer.region).add_auth(request)
    return dict(request.headers)


CASES: dict[str, tuple[str, str, dict[str, str], bytes]] = {
    "a message": ("POST", "https://sms-voice.us-east-1.amazonaws.com/", TARGET, b'{"DestinationPhoneNumber":"+1"}'),
    "no path": ("POST", "https://sms-voice.us-east-1.amazonaws.com", TARGET, b"{}"),
    "no body": ("GET", "https://sns.eu-west-1.amazonaws.com/", {}, b""),
    "a port": ("POST", "http://127.0.0.1:4566/", TARGET, b"{}"),
    "the port it has anyway": ("POST", "https://sms-voice.us-east-1.amazonaws.com:443/", TARGET, b"{}"),
    "an IPv6 address": ("POST", "http://[::1]:4566/", TARGET, b"{}"),
    "a path that is escaped": ("GET", "https://a.example/x%20y/%C3%A9/~z", {}, b""),
    "a query in any order": ("GET", "https://a.example/?b=2&a=2&a-b=1&a=1&c", {}, b""),
    "blanks in a header": ("POST", "https://a.example/", {"X-Amz-Target": "  a   b "}, b"{}"),
}


@pytest.mark.parametrize("token", [None, "a/session+token=="])
@pytest.mark.parametrize(("method", "url", "headers", "body"), CASES.values(), ids=CASES.keys())
def test_it_signs_as_botocore_does(
    method: str, url: str, headers: dict[str, str], body: bytes, token: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer = Signer("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1", "sms-voice", token)
    at = Instant(NOW + 999_999)
    assert signer.sign(method, url, headers, body, at) == theirs(monkeypatch, signer, method, url, headers, body, at)


VISIBLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(VISIBLE, VISIBLE, st.binary(max_size=200), st.integers(0, 4_102_444_800_000_000))
def test_whatever_the_key_the_body_and_the_time(
    monkeypatch: pytest.MonkeyPatch, key: str, region: str, body: bytes, at: int
) -> None:
    signer = Signer("AKID", key, region, "sms-voice")
    url = "https://sms-voice.us-east-1.amazonaws.com/"
    ours = signer.sign("POST", url, TARGET, body, Instant(at))
    assert ours == theirs(monkeypatch, signer, "POST", url, TARGET, body, Instant(at))


def test_secrets_do_not_show() -> None:
    shown = repr(Signer("AKID", "the-secret", "us-east-1", "sms-voice", "the-token"))
    assert "the-" not in shown
