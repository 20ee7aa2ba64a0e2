"""SIDs: Twilio's shape, in order of time, with their bucket in them, and told from everything else."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.core.instant import MILLISECOND, Instant
from postdate.core.sid import BUCKETS, CHANCE_BYTES, bucket_of_sid, is_sid, new_sid

AT = Instant(1_900_000_000_123_456)
CHANCE = bytes(range(CHANCE_BYTES))

instants = st.integers(0, 4_102_444_800_000_000).map(Instant)  # until 2100
buckets = st.integers(0, BUCKETS - 1)
chances = st.binary(min_size=CHANCE_BYTES, max_size=CHANCE_BYTES)


def test_a_sid_is_time_bucket_and_chance_in_hex() -> None:
    assert new_sid("SM", AT, 0xAB, CHANCE) == "SM" + "01ba60d3387b" + "ab" + "000102030405060708"


@given(at=instants, bucket=buckets, chance=chances)
def test_every_sid_has_twilios_shape(at: Instant, bucket: int, chance: bytes) -> None:
    sid = new_sid("SM", at, bucket, chance)
    assert re.fullmatch(r"SM[0-9a-f]{32}", sid)
    assert is_sid(sid, "SM")


@given(at=instants, bucket=buckets, chance=chances)
def test_a_sid_names_its_bucket(at: Instant, bucket: int, chance: bytes) -> None:
    assert bucket_of_sid(new_sid("MM", at, bucket, chance)) == bucket


@given(one=st.tuples(instants, buckets, chances), other=st.tuples(instants, buckets, chances))
def test_sids_are_in_order_of_their_milliseconds(
    one: tuple[Instant, int, bytes], other: tuple[Instant, int, bytes]
) -> None:
    if one[0] // MILLISECOND != other[0] // MILLISECOND:
        assert (new_sid("SM", *one) < new_sid("SM", *other)) is (one[0] < other[0])


@given(first=chances, second=chances, bucket=buckets)
def test_other_chance_is_another_sid(first: bytes, second: bytes, bucket: int) -> None:
    assert (new_sid("SM", AT, bucket, first) == new_sid("SM", AT, bucket, second)) is (first == second)


GOOD = new_sid("SM", AT, 1, CHANCE)
SIDS = {
    "ours": (GOOD, ("SM",), True),
    "one of several prefixes": (GOOD, ("MM", "SM"), True),
    "Twilio's": ("SM" + "ff" * 16, ("SM",), True),
    "in capitals": ("SM" + "ABCDEF01" * 4, ("SM",), True),
    "another prefix": (GOOD, ("MM", "AC"), False),
    "no prefix asked for": (GOOD, (), False),
    "prefix in small letters": ("sm" + GOOD[2:], ("SM",), False),
    "too short": (GOOD[:-1], ("SM",), False),
    "too long": (GOOD + "0", ("SM",), False),
    "empty": ("", ("SM",), False),
    "prefix only": ("SM", ("SM",), False),
    "no hex": ("SM" + "g" * 32, ("SM",), False),
    "digits of another script": ("SM" + "٣" * 32, ("SM",), False),
    "full-width digits": ("SM" + "\uff10" * 32, ("SM",), False),
    "end of line": (GOOD[:-1] + "\n", ("SM",), False),
    "NUL": (GOOD[:-1] + "\0", ("SM",), False),
    "a path": ("SM" + "../" * 10 + "..", ("SM",), False),
    "a sign": ("SM" + "+" + "1" * 31, ("SM",), False),
    "an underscore": ("SM" + "1_" * 16, ("SM",), False),
}


@pytest.mark.parametrize(("text", "prefixes", "expected"), SIDS.values(), ids=SIDS.keys())
def test_what_is_a_sid(text: str, prefixes: tuple[str, ...], expected: bool) -> None:
    assert is_sid(text, *prefixes) is expected


@pytest.mark.parametrize("digits", ["00", "7f", "FF", "aB"])
def test_the_bucket_of_a_foreign_sid_is_read_at_its_place(digits: str) -> None:
    assert bucket_of_sid("SM" + "1" * 12 + digits + "2" * 18) == int(digits, 16)
