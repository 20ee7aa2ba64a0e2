"""Twilio's OpenAPI documents as judges of our answers.

The documents lie in a folder beside the repository and are no part of it; where they are absent, the test that asks for
them is skipped. They are OpenAPI 3.0, whose `nullable` JSON Schema does not know, and name no field as required,
although Twilio sends all of them: both are made good here. Dates and phone numbers are held to Twilio's spelling.
"""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest

FOLDER: Final = Path(__file__).parents[3] / "shared" / "oai"
API: Final = "twilio_api_v2010"
MESSAGING: Final = "twilio_messaging_v1"

_FORMATS: Final = {
    "date-time-rfc-2822": re.compile(r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} \+0000"),
    "date-time": re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z"),
    "phone-number": re.compile(r"\+[1-9][0-9]{6,14}"),
}


def _checker() -> jsonschema.FormatChecker:
    checker = jsonschema.FormatChecker(())
    for name, pattern in _FORMATS.items():
        checker.checks(name)(lambda value, wanted=pattern: not isinstance(value, str) or bool(wanted.fullmatch(value)))
    return checker


def as_json_schema(schema: Any) -> Any:
    """Return a schema of OpenAPI 3.0 as JSON Schema: `nullable` as a type, and every property required."""
    if isinstance(schema, list):
        return [as_json_schema(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: as_json_schema(value) for name, value in schema.items() if name not in ("nullable", "properties")}
    if "properties" in schema:
        made["properties"] = {name: as_json_schema(value) for name, value in schema["properties"].items()}
        made["required"] = sorted(schema["properties"])
    if schema.get("nullable"):
        return {"anyOf": [made, {"type": "null"}]}
    return made


@cache
def _document(name: str) -> dict[str, Any]:
    path = FOLDER / f"{name}.json"
    if not path.exists():
        pytest.skip(f"{name}.json of Twilio's OpenAPI documents is not here: put it into {FOLDER.name} to compare with")
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


@cache
def _components(name: str) -> Any:
    return as_json_schema(_document(name)["components"]["schemas"])


@cache
def _validator(name: str, method: str, template: str, status: int) -> jsonschema.Draft202012Validator | None:
    operation = _document(name)["paths"][template][method.lower()]
    responses = operation["responses"]
    assert str(status) in responses, f"{method} {template} answers {sorted(responses)}, not {status}"
    content = responses[str(status)].get("content")
    if content is None:
        return None
    schema = as_json_schema(content["application/json"]["schema"])
    whole = {"allOf": [schema], "components": {"schemas": _components(name)}}
    return jsonschema.Draft202012Validator(whole, format_checker=_checker())


def check(document: str, method: str, template: str, status: int, found: Any) -> None:
    """Fail where an answer is not what the document promises; `template` is a path as it stands in the document."""
    validator = _validator(document, method, template, status)
    if validator is None:
        assert found is None, f"{method} {template} {status} has no body"
        return
    faults = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(found)]
    assert not faults, faults


def documented(document: str, method: str, template: str) -> set[str]:
    """Return the names of the form's parameters that an operation has."""
    operation = _document(document)["paths"][template][method.lower()]
    schema = operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
    return set(schema["properties"])
