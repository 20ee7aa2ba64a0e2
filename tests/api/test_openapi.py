"""The judge of our answers can judge: a wrong answer is found, whatever is wrong with it."""

from typing import Any

import pytest

from tests.api.openapi import API, as_json_schema, check

PATH = "/2010-04-01/Accounts/{AccountSid}/Keys/{Sid}.json"
DATE = "Mon, 13 Jun 2016 22:50:08 +0000"
GOOD = {"sid": "SK" + "a" * 32, "friendly_name": None, "date_created": DATE, "date_updated": DATE}


def test_a_good_answer_passes() -> None:
    check(API, "GET", PATH, 200, GOOD | {"ours": "is harmless"})
    check(API, "DELETE", PATH, 204, None)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"sid": "SK1"}, id="pattern"),
        pytest.param({"friendly_name": 1}, id="type"),
        pytest.param({"date_created": "2016-06-13T22:50:08Z"}, id="date"),
    ],
)
def test_a_wrong_value_is_found(wrong: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match=next(iter(wrong))):
        check(API, "GET", PATH, 200, GOOD | wrong)


def test_a_missing_field_is_found() -> None:
    with pytest.raises(AssertionError, match="date_updated"):
        check(API, "GET", PATH, 200, {name: value for name, value in GOOD.items() if name != "date_updated"})


def test_an_undocumented_status_is_found() -> None:
    with pytest.raises(AssertionError, match="201"):
        check(API, "GET", PATH, 201, GOOD)


def test_nullable_is_a_type_and_a_property_may_be_called_so() -> None:
    schema = {"type": "object", "nullable": True, "properties": {"nullable": {"type": "string"}}}
    assert as_json_schema(schema) == {
        "anyOf": [
            {"type": "object", "properties": {"nullable": {"type": "string"}}, "required": ["nullable"]},
            {"type": "null"},
        ]
    }
