"""The if/else node: what it decides, what it refuses, and how it points at what is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from aicflow import Exit, PermanentError
from aicflow.testing import run_node
from aicflow_ifelse import IfElse, Switch


async def decide(left: Any, operator: str, *right: Any, **more: Any) -> bool:
    condition = {"left": left, "operator": operator, **({"right": right[0]} if right else {}), **more}
    result = await run_node(IfElse, {"conditions": [condition]})
    assert result.port == ("true" if result.output["result"] else "false")
    return bool(result.output["result"])


@pytest.mark.parametrize("condition", [True, False])
async def test_a_boolean_decides(condition: bool) -> None:
    result = await run_node(IfElse, {"condition": condition})
    assert result == Exit("true" if condition else "false", {"result": condition})


@pytest.mark.parametrize("condition", [1, 0, "true", "", None, [], [True], {}, 1.0])
async def test_only_a_boolean_decides(condition: Any) -> None:
    with pytest.raises(PermanentError, match=r"params/condition: .*boolean"):
        await run_node(IfElse, {"condition": condition})


@pytest.mark.parametrize(
    ("left", "operator", "right", "expected"),
    [
        (1, "equals", 1.0, True),
        (1, "equals", True, False),
        ([1, {"a": 0}], "equals", [1, {"a": False}], False),
        ({"a": 1, "b": [None]}, "equals", {"b": [None], "a": 1}, True),
        (None, "not_equals", "x", True),
        (2, "greater", 1, True),
        (2, "greater", 2, False),
        (2, "greater_or_equal", 2, True),
        (1.5, "less", 2, True),
        ("a", "less_or_equal", "b", True),
        (2**60 + 1, "greater", 2**60, True),
        ("hello", "contains", "ell", True),
        ([1, 2], "contains", True, False),
        ([1, 2], "contains", 2.0, True),
        ([[1]], "contains", [1], True),
        ("hello", "not_contains", "x", True),
        ("a", "in", ["a", "b"], True),
        (1, "in", [True], False),
        ("ell", "in", "hello", True),
        (3, "not_in", [1, 2], True),
        ("hello", "starts_with", "he", True),
        ("hello", "ends_with", "lo", True),
        ("invoice-12.pdf", "like", "invoice-*.pdf", True),
        ("invoice-12.pdf.exe", "like", "invoice-*.pdf", False),
        ("abc", "like", "*", True),
        ("ab", "like", "ab*b", False),
        ("invoice-12.pdf", "matches", r"^invoice-\d+\.pdf$", True),
        ("an invoice-12.pdf", "matches", r"\d+\.pdf", True),
        ("invoice-x.pdf", "matches", r"-\d+", False),
        ("é\ud800", "matches", r"^\p{L}.$", True),
        ("a" * 100_000 + "!", "matches", "^(a+)+$", False),
        ("abc", "not_matches", "^b", True),
        ("a-b-c", "like", "a*b*c", True),
        ("a.c", "like", "abc", False),
        ("x", "not_like", "y*", True),
        ("2026-01-01T00:00:00Z", "before", "2026-01-01T02:00:00+01:00", True),
        ("2026-01-01T03:00:00+02:00", "after", "2026-01-01T00:59:59Z", True),
        ("2026-01-01", "before", "2026-01-02T00:00:00", True),
        ({"a": None}, "has_key", "a", True),
        ({}, "has_key", "a", False),
        (2.0, "type_is", "integer", True),
        (2.5, "type_is", "integer", False),
        (True, "type_is", "number", False),
        (None, "type_is", "null", True),
        ({}, "type_is", "object", True),
    ],
)
async def test_two_sides(left: Any, operator: str, right: Any, expected: bool) -> None:
    assert await decide(left, operator, right) is expected


@pytest.mark.parametrize(
    ("left", "operator", "expected"),
    [
        (True, "is_true", True),
        (False, "is_false", True),
        (None, "is_null", True),
        (0, "is_null", False),
        (0, "exists", True),
        (None, "exists", False),
        ("", "is_empty", True),
        (None, "is_empty", True),
        ([0], "is_empty", False),
        ({}, "is_not_empty", False),
    ],
)
async def test_one_side(left: Any, operator: str, expected: bool) -> None:
    assert await decide(left, operator) is expected


async def test_case_is_ignored_only_when_asked() -> None:
    assert not await decide("STRASSE", "equals", "straße")
    assert await decide("STRASSE", "equals", "straße", ignore_case=True)
    assert await decide("A", "in", ["a"], ignore_case=True)
    assert await decide("Hello", "like", "h*O", ignore_case=True)


@pytest.mark.parametrize(
    ("left", "operator", "right", "side"),
    [
        ("10", "greater", 9, "right"),
        (None, "less", 9, "left"),
        (True, "greater", False, "left"),
        ([1], "less", [2], "left"),
        (5, "contains", 5, "left"),
        ({"a": 1}, "contains", "a", "left"),
        ("abc", "contains", 1, "right"),
        (1, "in", "123", "left"),
        (1, "in", 1, "right"),
        (1, "starts_with", "1", "left"),
        ("1", "ends_with", 1, "right"),
        (1, "like", "*", "left"),
        ("soon", "before", "2026-01-01", "left"),
        ("2026-01-01", "after", "2026-02-30", "right"),
        ("2026-01-01T00:00:00", "before", "2026-01-01T00:00:00Z", "left"),
        (1, "before", "2026-01-01", "left"),
        ([], "has_key", "a", "left"),
        (1, "type_is", "float", "right"),
        (1, "type_is", ["integer"], "right"),
    ],
)
async def test_what_cannot_be_compared_is_pointed_at(left: Any, operator: str, right: Any, side: str) -> None:
    params = {
        "conditions": [
            {"left": 1, "operator": "exists"},
            {"left": left, "operator": operator, "right": right},
        ]
    }
    with pytest.raises(PermanentError, match=r"^Condition 2: .*\.$") as caught:
        await run_node(IfElse, params)
    assert caught.value.pointer == f"/conditions/1/{side}"
    assert caught.value.code == "condition-type"


@pytest.mark.parametrize(
    ("left", "operator"), [(1, "is_true"), ("false", "is_false"), (0, "is_empty"), (1, "is_not_empty")]
)
async def test_one_sided_operators_take_only_their_types(left: Any, operator: str) -> None:
    with pytest.raises(PermanentError) as caught:
        await decide(left, operator)
    assert caught.value.pointer == "/conditions/0/left"


async def test_all_and_any_stop_when_the_answer_is_known() -> None:
    broken = {"left": "x", "operator": "greater", "right": 1}
    false = {"left": None, "operator": "exists"}
    true = {"left": 1, "operator": "exists"}
    assert (await run_node(IfElse, {"conditions": [false, broken]})).port == "false"
    assert (await run_node(IfElse, {"conditions": [true, true]})).port == "true"
    assert (await run_node(IfElse, {"match": "any", "conditions": [true, broken]})).port == "true"
    assert (await run_node(IfElse, {"match": "any", "conditions": [false, false]})).port == "false"
    with pytest.raises(PermanentError):
        await run_node(IfElse, {"match": "any", "conditions": [false, broken]})


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"condition": True, "conditions": [{"left": 1, "operator": "exists"}]},
        {"conditions": []},
        {"conditions": None},
        {"conditions": [{"left": 1, "operator": "equals"}]},
        {"conditions": [{"left": 1, "operator": "exists", "right": 1}]},
        {"conditions": [{"left": 1, "operator": "resembles", "right": 1}]},
        {"conditions": [{"operator": "exists"}]},
        {"condition": True, "match": "most"},
        {"condition": True, "otherwise": 1},
    ],
)
async def test_params_that_say_nothing_or_too_much(params: dict[str, Any]) -> None:
    with pytest.raises(PermanentError, match="params"):
        await run_node(IfElse, params)


def test_what_is_written_is_checked_before_any_execution() -> None:
    assert IfElse.check({"condition": "${{ input.a }}"}) == ()
    reference = "${{ input.a }}"
    assert [issue.code for issue in IfElse.check({"match": reference})] == ["param.missing"]
    assert [i.pointer for i in IfElse.check({"condition": reference, "conditions": []})] == ["/conditions"]
    assert IfElse.check({}) == ()  # the model has said so


def test_the_schemas_are_closed_and_say_boolean() -> None:
    schema = IfElse.params_schema()
    assert schema["properties"]["condition"]["type"] == "boolean"
    assert "default" not in schema["properties"]["condition"]
    assert schema["additionalProperties"] is False
    assert IfElse.output_schema() == {
        "title": "IfElseOutput",
        "description": "What was decided; the port says the same.",
        "type": "object",
        "properties": {"result": {"title": "Result", "type": "boolean"}},
        "required": ["result"],
        "additionalProperties": False,
    }


async def test_a_pattern_may_disregard_case_and_keeps_its_classes() -> None:
    condition = {"left": "ORDER 7", "operator": "matches", "right": r"^order\D\d$", "ignore_case": True}
    assert (await run_node(IfElse, {"conditions": [condition]})).port == "true"


@pytest.mark.parametrize("pattern", ["[", "(?=a)b", r"(a)\1", "(a{1000}){1000}"])
async def test_what_is_no_pattern_is_told_when_the_workflow_is_saved_and_when_it_comes_late(pattern: str) -> None:
    conditions = [{"left": "${{ input.a }}", "operator": "matches", "right": pattern}]
    (issue,) = IfElse.check({"conditions": conditions})
    assert (issue.severity, issue.pointer) == ("error", "/conditions/0/right")
    (issue,) = Switch.check({"cases": [{"name": "a", "conditions": conditions}]})
    assert issue.pointer == "/cases/0/conditions/0/right"
    assert IfElse.check({"conditions": [{**conditions[0], "right": "${{ vars.pattern }}"}]}) == ()
    with pytest.raises(PermanentError, match="is not a regular expression") as caught:
        await run_node(IfElse, {"conditions": [{**conditions[0], "left": "abc"}]})
    assert (caught.value.code, caught.value.pointer) == ("condition-type", "/conditions/0/right")
