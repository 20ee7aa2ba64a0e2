"""Tokens that carriers sign with a shared secret, held against PyJWT: which claims are read, and which never are."""

import base64
import hashlib
import hmac
import json

import jwt
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.connectors.providers.jwt import LONGEST, claims_of, is_current, packed
from postdate.core.instant import SECOND, Instant

SECRET = "a shared secret of more than thirty-two bytes"
ALL = frozenset({"HS256", "HS384", "HS512"})


class Claims(msgspec.Struct):
    who: str


def made(head: object, claims: object, secret: str = SECRET, digest: str = "sha256") -> str:
    signed = ".".join(packed(json.dumps(part).encode()) for part in (head, claims))
    return f"{signed}.{packed(hmac.digest(secret.encode(), signed.encode(), digest))}"


GOOD = jwt.encode({"who": "ann"}, SECRET)
HEAD, CLAIMS, MAC = GOOD.split(".")


@pytest.mark.parametrize("algorithm", sorted(ALL))
def test_what_another_library_signs_is_read_where_the_algorithm_is_allowed(algorithm: str) -> None:
    token = jwt.encode({"who": "ann"}, SECRET * 2, algorithm)
    assert claims_of(token, SECRET * 2, Claims, ALL) == Claims("ann")
    assert (claims_of(token, SECRET * 2, Claims) is not None) == (algorithm == "HS256")


FORGED = {
    "nothing": "",
    "another secret": jwt.encode({"who": "ann"}, SECRET[::-1]),
    "no algorithm": jwt.encode({"who": "ann"}, "", "none"),
    "no algorithm, signed": made({"alg": "none"}, {"who": "ann"}),
    "no algorithm named": made({}, {"who": "ann"}),
    "another algorithm named": made({"alg": "HS512"}, {"who": "ann"}),
    "a list of algorithms": made({"alg": ["HS256"]}, {"who": "ann"}),
    "no signature": f"{HEAD}.{CLAIMS}.",
    "two parts": f"{HEAD}.{CLAIMS}",
    "four parts": f"{GOOD}.{MAC}",
    "padded": f"{GOOD}=",
    "claims of another": f"{HEAD}.{packed(b'{}')}.{MAC}",
    "claims that do not fit": made({"alg": "HS256"}, {"who": 1}),
    "claims that are no JSON": made({"alg": "HS256"}, {"who": 1})[:-1],
    "half a character": f"{HEAD}.{CLAIMS}.\ud83d",
    "too long": made({"alg": "HS256"}, {"who": "x" * LONGEST}),
}


@pytest.mark.parametrize("token", FORGED.values(), ids=FORGED.keys())
def test_nothing_else_is(token: str) -> None:
    assert claims_of(token, SECRET, Claims) is None


@given(st.text(max_size=80))
def test_whatever_comes_is_not(text: str) -> None:
    assert claims_of(text, SECRET, Claims) is None


@pytest.mark.parametrize(("at", "expected"), [(8, False), (9, True), (10, True), (20, True), (21, False), (1e9, False)])
def test_a_token_has_its_time(at: float, expected: bool) -> None:
    assert is_current(10, 20, Instant(int(at * SECOND)), 1 * SECOND) == expected


@given(st.binary(max_size=64))
def test_base64_is_as_in_the_standard(raw: bytes) -> None:
    assert base64.urlsafe_b64decode(packed(raw) + "=" * (-len(packed(raw)) % 4)) == raw
    assert "=" not in packed(raw)


def test_a_digest_of_another_length_is_not_taken_for_one() -> None:
    assert claims_of(f"{HEAD}.{CLAIMS}.{packed(hashlib.sha1(b'').digest())}", SECRET, Claims) is None
