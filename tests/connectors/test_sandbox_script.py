"""The script of the sandbox: what it reads, what it refuses and how it says so, what matches, how chance is drawn."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postdate.connectors.contract import Submission
from postdate.connectors.sandbox_fields import Between, InvalidScript
from postdate.connectors.sandbox_script import Answer, Chance, ReceiptPlan, Report, Rule, Script
from postdate.core.address import Channel
from postdate.core.instant import MILLISECOND, SECOND, Instant

SUBMISSION = Submission(
    sid="SM1",
    attempt=1,
    sender="+14155550100",
    recipient="+14155550199",
    channel=Channel.SMS,
    body="Your table is ready",
    segments=1,
    not_before=Instant(0),
    expires_at=Instant(10**18),
)

# --- reading ---------------------------------------------------------------------------------------------------------

EVERYTHING = """
{
  "dedupe": true,
  "rules": [
    {"recipient": "+1415*", "sender": "+1?????????0", "body_contains": "table", "attempt": "2..3", "every": 5,
     "probability": 0.25, "answer": "busy", "retry_after": "2s", "delay": "1ms..5ms"},
    {"answer": "timeout", "taken": false, "delay": 1500, "attempt": 4},
    {"answer": "refuse", "code": 30007, "attempt": "7.."},
    {"receipt": "none", "delay": null},
    {"receipt": {"report": "undelivered", "code": 30003, "delay": "1s", "copies": 2, "before_answer": true,
                 "repeats_sid": false}},
    {"receipt": {"read_after": "1m..2m"}},
    {}
  ]
}
"""


def test_everything_that_can_be_said_is_read() -> None:
    assert Script.parse(json.loads(EVERYTHING)) == Script(
        (
            Rule(
                recipient="+1415*",
                sender="+1?????????0",
                body_contains="table",
                attempt_from=2,
                attempt_to=3,
                every=5,
                probability=0.25,
                answer=Answer.BUSY,
                retry_after=2 * SECOND,
                delay=Between(1 * MILLISECOND, 5 * MILLISECOND),
            ),
            Rule(answer=Answer.TIMEOUT, taken=False, delay=Between(1500, 1500), attempt_from=4, attempt_to=4),
            Rule(answer=Answer.REFUSE, code=30007, attempt_from=7),
            Rule(receipt=ReceiptPlan(Report.NONE)),
            Rule(
                receipt=ReceiptPlan(
                    Report.UNDELIVERED,
                    30003,
                    delay=Between(SECOND, SECOND),
                    copies=2,
                    before_answer=True,
                    repeats_sid=False,
                )
            ),
            Rule(receipt=ReceiptPlan(read_after=Between(60 * SECOND, 120 * SECOND))),
            Rule(),
        ),
        dedupe=True,
    )


@pytest.mark.parametrize("written", [{}, {"rules": []}, {"rules": None, "dedupe": None}])
def test_an_empty_script_is_the_usual_one(written: Mapping[str, object]) -> None:
    assert Script.parse(written) == Script()


WRONG: list[tuple[str, object, str]] = [
    ("unknown field", {"rule": []}, "the script has no 'rule'; it has rules, dedupe"),
    ("rules no list", {"rules": {}}, "rules is {}; write a list"),
    ("rule no object", {"rules": ["accept"]}, "rules[0] is 'accept'; write an object"),
    ("too many", {"rules": [{}] * 1001}, "1001 rules; a script holds at most 1000"),
    ("dedupe no flag", {"dedupe": 1}, "dedupe is 1; write true or false"),
    ("unknown in second rule", {"rules": [{}, {"to": "+1"}]}, "rules[1] has no 'to'; it has attempt, recipient"),
    ("recipient no text", {"rules": [{"recipient": 1415}]}, "rules[0]: recipient is 1415; write a text"),
    ("answer unknown", {"rules": [{"answer": "no"}]}, "answer is 'no'; write one of accept, refuse, busy"),
    ("answer of no text", {"rules": [{"answer": ["busy"]}]}, "answer is ['busy']; write one of accept"),
    ("attempt zero", {"rules": [{"attempt": 0}]}, "1 is the first"),
    ("attempt backwards", {"rules": [{"attempt": "3..2"}]}, "attempt is no range"),
    ("attempt unread", {"rules": [{"attempt": "first"}]}, "attempt is 'first'; write 1 for the first"),
    ("attempt true", {"rules": [{"attempt": True}]}, "attempt is True; write 1"),
    ("every zero", {"rules": [{"every": 0}]}, "every is 0; write 1 for each"),
    ("every text", {"rules": [{"every": "3"}]}, "every is '3'; write a whole number"),
    ("every true", {"rules": [{"every": True}]}, "every is True; write a whole number"),
    ("probability above one", {"rules": [{"probability": 1.5}]}, "probability is 1.5; it goes from 0"),
    ("probability nan", {"rules": [{"probability": float("nan")}]}, "probability is nan; it goes from 0"),
    ("probability text", {"rules": [{"probability": "half"}]}, "probability is 'half'; write a number"),
    ("delay without unit", {"rules": [{"delay": "250"}]}, "rules[0]: delay: '250' is not a length of time"),
    ("delay backwards", {"rules": [{"delay": "2s..1s"}]}, "rules[0]: delay: 2000000..1000000 is no range"),
    ("delay negative", {"rules": [{"delay": -1}]}, "rules[0]: delay: '-1us' is not a length of time"),
    ("delay a list", {"rules": [{"delay": [1, 2]}]}, "rules[0]: delay: [1, 2] is no length of time"),
    ("retry_after a range", {"rules": [{"answer": "busy", "retry_after": "1s..2s"}]}, "retry_after is a range"),
    ("retry_after for accept", {"rules": [{"retry_after": "1s"}]}, "rules[0]: retry_after is for the answer busy"),
    ("taken for refuse", {"rules": [{"answer": "refuse", "taken": False}]}, "taken is for the answer timeout"),
    ("code for accept", {"rules": [{"code": 30003}]}, "rules[0]: code is for the answer refuse: take it out"),
    ("code unknown", {"rules": [{"answer": "refuse", "code": 99}]}, "code is 99, which customers do not know"),
    ("receipt of a refusal", {"rules": [{"answer": "refuse", "receipt": "none"}]}, "the carrier took: take it out"),
    ("receipt unknown", {"rules": [{"receipt": "lost"}]}, "rules[0].receipt: report is 'lost'; write one of delivered"),
    ("receipt a number", {"rules": [{"receipt": 3}]}, "rules[0].receipt is 3; write an object"),
    ("receipt field", {"rules": [{"receipt": {"copy": 2}}]}, "rules[0].receipt has no 'copy'; it has report"),
    ("no copies", {"rules": [{"receipt": {"copies": 0}}]}, "rules[0].receipt: copies is 0; a receipt comes 1 to 100"),
    ("receipt code", {"rules": [{"receipt": {"code": 30003}}]}, "code is for a receipt that says undelivered"),
    (
        "undelivered and read",
        {"rules": [{"receipt": {"report": "undelivered", "read_after": "1s"}}]},
        "read_after is for a message that arrives",
    ),
    (
        "lost first",
        {"rules": [{"receipt": {"report": "none", "before_answer": True}}]},
        "before_answer needs a receipt",
    ),
]


@pytest.mark.parametrize(("written", "said"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_what_cannot_be_followed_is_refused_with_its_place(written: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidScript) as refused:
        Script.parse(written)
    assert said in str(refused.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["recipient", "sender", "body_contains", "attempt", "every", "probability", "answer", "code", "retry_after"]
FIELDS += ["taken", "delay", "receipt"]
NEARLY = st.one_of(JSON, st.sampled_from(["accept", "busy", "1s", "1..2", "1s..2s", "delivered", 1, 30003]))


@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), NEARLY, max_size=4), max_size=3))
def test_whatever_is_written_is_read_or_refused(rules: list[dict[str, object]]) -> None:
    with suppress(InvalidScript):
        assert len(Script.parse({"rules": rules}).rules) == len(rules)


# --- matching --------------------------------------------------------------------------------------------------------

MATCHES: list[tuple[str, dict[str, object], bool]] = [
    ("anything", {}, True),
    ("recipient prefix", {"recipient": "+1415*"}, True),
    ("recipient whole", {"recipient": "+14155550199"}, True),
    ("recipient other", {"recipient": "+1416*"}, False),
    ("recipient is matched from its start", {"recipient": "415*"}, False),
    ("recipient with wild digits", {"recipient": "+1415555????"}, True),
    ("sender", {"sender": "*0100"}, True),
    ("sender other", {"sender": "SHOP"}, False),
    ("body", {"body_contains": "table"}, True),
    ("body in other case", {"body_contains": "TABLE"}, False),
    ("this attempt", {"attempt": 2}, True),
    ("another attempt", {"attempt": 1}, False),
    ("a range with it", {"attempt": "1..2"}, True),
    ("a range after it", {"attempt": "3..9"}, False),
    ("an open range", {"attempt": "2.."}, True),
    ("one of two fails", {"recipient": "+1415*", "attempt": 1}, False),
]


@pytest.mark.parametrize(("written", "expected"), [row[1:] for row in MATCHES], ids=[row[0] for row in MATCHES])
def test_a_rule_matches_what_it_says(written: dict[str, object], expected: bool) -> None:
    (rule,) = Script.parse({"rules": [written]}).rules
    assert rule.matches(replace(SUBMISSION, attempt=2)) is expected


# --- chance and time -------------------------------------------------------------------------------------------------


def test_chance_is_of_the_seed_the_sid_the_attempt_and_the_question() -> None:
    draws = {
        Chance(seed, replace(SUBMISSION, sid=sid, attempt=attempt)).draw(what)
        for seed in (1, 2)
        for sid in ("SM1", "SM2")
        for attempt in (1, 2)
        for what in ("answer", "receipt")
    }
    assert len(draws) == 16
    assert Chance(1, SUBMISSION).draw("answer") == Chance(1, replace(SUBMISSION, body="other")).draw("answer")


def test_chance_is_even() -> None:
    draws = [Chance(7, replace(SUBMISSION, sid=f"SM{number}")).draw("x") for number in range(10_000)]
    assert all(0 <= draw < 1 for draw in draws)
    for tenth in range(10):
        assert 800 < sum(tenth <= draw * 10 < tenth + 1 for draw in draws) < 1200


SPANS = st.integers(0, 10**13)
CHANCES = st.floats(0, 1, exclude_max=True)


@given(SPANS, SPANS, st.integers(0, 4 * 10**15), CHANCES)
def test_a_wait_keeps_within_its_ends(least: int, width: int, start: int, chance: float) -> None:
    between = Between(least, least + width)
    assert between.least <= between.length(Instant(start), chance) <= between.most


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.lists(CHANCES, min_size=60, max_size=60))
def test_waits_that_begin_together_end_at_few_times(least: int, width: int, chances: list[float]) -> None:
    between = Between(least, least + width)
    assert len({between.length(Instant(123_456_789), chance) for chance in chances}) <= 64


@pytest.mark.parametrize("chance", [0.0, 0.5, 1 - 2**-53])
def test_a_short_range_reaches_both_ends(chance: float) -> None:
    assert Between(10, 12).length(Instant(5), chance) == 10 + int(chance * 3)
