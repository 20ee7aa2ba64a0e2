"""Lengths of time in words."""

from functools import partial

import pytest

from postdate.console.languages import translate
from postdate.console.spans import roughly, shortly
from postdate.core.instant import DAY, HOUR, MILLISECOND, MINUTE, SECOND


@pytest.mark.parametrize(
    ("micros", "english", "japanese"),
    [
        (0, "1 second", "1 秒"),
        (40 * SECOND, "40 seconds", "40 秒"),
        (119 * SECOND, "119 seconds", "119 秒"),
        (150 * SECOND, "2 minutes", "2 分"),
        (90 * MINUTE, "90 minutes", "90 分"),
        (26 * HOUR, "26 hours", "26 時間"),
        (3 * DAY + HOUR, "3 days", "3 日"),
        (9_000 * DAY, "9,000 days", "9,000 日"),
    ],
)
def test_a_length_is_said_roughly(micros: int, english: str, japanese: str) -> None:
    assert roughly(partial(translate, "en"), micros) == english
    assert roughly(partial(translate, "ja"), micros) == japanese


@pytest.mark.parametrize(
    ("micros", "said"),
    [
        (0, "0 ms"),
        (35 * MILLISECOND, "35 ms"),
        (1_234 * MILLISECOND, "1.2 s"),
        (90 * SECOND, "90.0 s"),
        (5 * MINUTE, "5 minutes"),
    ],
)
def test_a_short_length_is_said_exactly_enough(micros: int, said: str) -> None:
    assert shortly(partial(translate, "en"), micros) == said
