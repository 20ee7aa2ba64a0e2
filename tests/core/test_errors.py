"""The table of error codes: complete, consistent with Twilio's, and every code that the source uses is in it."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from postdate.core.errors import MEANINGS, Rejected

SOURCE = Path(__file__).parents[2] / "src" / "postdate"
# Where a number is a customer's code: these calls, these keywords, the constants named so, and what carriers' codes are
# translated to. Twilio's codes begin above this; what is below is a number of another kind.
LOWEST = 10_000
CALLS = {"Rejected", "Refuse", "Refused", "NotAdded", "Failed", "InvalidCallbackUrl"}
KEYWORDS = {"code", "error_code"}

# What Twilio documents, where it documents it: the HTTP status of each refusal.
DOCUMENTED = {
    20001: 400, 20003: 401, 20004: 405, 20005: 403, 20006: 403, 20009: 409, 20404: 404, 20409: 409, 20422: 422,
    20429: 429, 20500: 500, 21211: 400, 21212: 400, 21420: 400, 21421: 400, 21602: 400, 21603: 400, 21604: 400,
    21606: 400, 21609: 400, 21610: 400, 21611: 400, 21617: 400, 21620: 400, 21621: 400, 21623: 400, 21624: 400,
    21654: 400, 21655: 400, 21656: 400, 21701: 404, 21705: 400, 21710: 409, 21711: 404, 21712: 409, 21713: 400,
    21714: 400, 30029: 400, 30030: 400, 30409: 409, 35111: 400, 35114: 400, 35118: 400, 35125: 400, 35126: 400,
}  # fmt: skip
# What only ever arrives on a message.
ON_A_MESSAGE = {
    21703, 21704, 30001, 30002, 30003, 30004, 30005, 30006, 30007, 30008, 30011, 30017, 30019, 30020, 30022, 30023,
    30032, 30034, 30036, 63003, 63019, 63034,
}  # fmt: skip


def numbers(node: ast.AST, named: Mapping[str, ast.expr]) -> Iterator[int]:
    """Every code written in an expression or in the constants that it names, outside of calls in it."""
    match node:
        case ast.Constant(value=int(number)) if not isinstance(number, bool) and number > LOWEST:
            yield number
        case ast.IfExp(body=body, orelse=other):
            yield from numbers(body, named)
            yield from numbers(other, named)
        case ast.Name(id=name) if name in named:
            yield from numbers(named[name], {})


def constants(tree: ast.Module) -> dict[str, ast.expr]:
    """What a module's constants are."""
    return {
        node.target.id: node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None
    }


def expressions(node: ast.AST) -> Iterator[ast.expr]:
    """The expressions in a node that stand where a customer's code does."""
    match node:
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
            found = list(args) if name in CALLS else []
            # The code comes first, or second where the SID does.
            yield from (found + [keyword.value for keyword in keywords if keyword.arg in KEYWORDS])[:2]
        case ast.Dict(values=values):
            yield from values
        case (
            ast.Assign(targets=[ast.Name(id=name)], value=value) | ast.AnnAssign(target=ast.Name(id=name), value=value)
        ):
            if value is not None and (name == "code" or "INVALID" in name or "FAILURE" in name):
                yield value
        case ast.arguments(args=arguments, defaults=defaults):
            pairs = zip(arguments[::-1], defaults[::-1], strict=False)
            yield from (default for argument, default in pairs if argument.arg == "code")


def codes(tree: ast.Module) -> Iterator[tuple[int, int]]:
    """Every error code that a file uses, with its line."""
    named = constants(tree)
    for node in ast.walk(tree):
        for expression in expressions(node):
            yield from ((number, expression.lineno) for number in numbers(expression, named))


def test_every_code_in_the_source_has_a_meaning() -> None:
    used = {
        (code, f"{path.relative_to(SOURCE)}:{line}")
        for path in sorted(SOURCE.rglob("*.py"))
        if path.name != "errors.py"
        for code, line in codes(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert len(used) > 30, "the search finds next to nothing: the code is written differently now"
    assert [place for place in sorted(used) if place[0] not in MEANINGS] == []


def test_the_search_finds_codes() -> None:
    source = """
raise Rejected(20001, f"x")
return Refuse(21704 if message else 21606)
return Failed(entry.sid, 30036)
parse(url("StatusCallback", 5), code=30030)
def f(a, code: int = 21609): ...
code = 11200 if sms else 63019
INVALID_URL: Final = 21610
INVALID_ANSWER: Final = 404
_GONE: Final = 30005
return Refused(_GONE if code == 1061 else answer.code)
_BY_CODE: Final = {40300: 30034, 6: _LANDLINE}
_LANDLINE: Final = 30006
_MOST: Final = 10_800
range(36_000)
"""
    found = {code for code, _ in codes(ast.parse(source))}
    assert found == {20001, 21704, 21606, 30036, 30030, 21609, 11200, 63019, 21610, 30005, 30034, 30006}


@pytest.mark.parametrize(("code", "status"), sorted(DOCUMENTED.items()))
def test_http_statuses_are_twilios(code: int, status: int) -> None:
    assert MEANINGS[code].http_status == status


@pytest.mark.parametrize("code", sorted(ON_A_MESSAGE))
def test_what_arrives_on_a_message_has_no_http_status(code: int) -> None:
    assert MEANINGS[code].http_status == 0


@pytest.mark.parametrize("code", sorted(MEANINGS))
def test_a_meaning_is_a_sentence_for_a_person(code: int) -> None:
    status, sentence = MEANINGS[code]
    assert status == 0 or 400 <= status <= 599
    assert sentence[0].isupper()
    assert sentence.endswith(".")
    assert sentence == sentence.strip()
    assert str(code) not in sentence, "the code stands beside it"


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        MEANINGS[1] = MEANINGS[20001]  # type: ignore[index]


def test_a_rejection_says_what_the_table_says() -> None:
    error = Rejected(21701)
    assert (error.code, error.http_status, error.detail) == (21701, 404, MEANINGS[21701].sentence)
    assert str(error) == error.detail


def test_a_rejection_may_say_it_better() -> None:
    error = Rejected(20003, "Another sentence.", 403)
    assert (error.code, error.http_status, error.detail, str(error)) == (20003, 403, *["Another sentence."] * 2)


@pytest.mark.parametrize("code", sorted(ON_A_MESSAGE))
def test_a_code_of_messages_refuses_a_request_with_400(code: int) -> None:
    assert Rejected(code).http_status == 400


@pytest.mark.parametrize("code", [0, 1, 99999, -1])
def test_an_unknown_code_is_a_mistake_of_ours(code: int) -> None:
    with pytest.raises(KeyError):
        Rejected(code)
