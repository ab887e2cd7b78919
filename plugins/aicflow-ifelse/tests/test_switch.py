"""The switch node: the first case that matches, ports from the written names, and a default."""

from __future__ import annotations

from typing import Any

import pytest
from aicflow import Exit, PermanentError
from aicflow.testing import run_node
from aicflow_ifelse import Switch, aicflow_nodes

ROUTE: dict[str, Any] = {
    "cases": [
        {"name": "home", "equals": "NL"},
        {"name": "near", "conditions": [{"left": "DE", "operator": "in", "right": ["BE", "DE"]}]},
        {"name": "vip", "condition": True},
    ]
}


@pytest.mark.parametrize(("value", "case"), [("NL", "home"), ("DE", "near"), (None, "near")])
async def test_the_first_case_that_matches_is_taken(value: Any, case: str) -> None:
    assert await run_node(Switch, {"value": value, **ROUTE}) == Exit(case, {"case": case})


async def test_no_case_is_the_default() -> None:
    cases = [{"name": "one", "equals": 1}, {"name": "no", "condition": False}]
    assert await run_node(Switch, {"value": True, "cases": cases}) == Exit("default", {"case": "default"})


async def test_null_is_a_value_to_match() -> None:
    assert (await run_node(Switch, {"value": None, "cases": [{"name": "none", "equals": None}]})).port == "none"


async def test_the_side_that_cannot_be_compared_is_pointed_at() -> None:
    cases = [
        {"name": "a", "condition": False},
        {"name": "b", "conditions": [{"left": 1, "operator": "less", "right": "2"}]},
    ]
    with pytest.raises(PermanentError) as caught:
        await run_node(Switch, {"cases": cases})
    assert caught.value.pointer == "/cases/1/conditions/0/right"


@pytest.mark.parametrize("condition", [1, "true", None])
async def test_a_case_condition_is_strictly_boolean(condition: Any) -> None:
    with pytest.raises(PermanentError, match="params/cases/0/condition"):
        await run_node(Switch, {"cases": [{"name": "a", "condition": condition}]})


@pytest.mark.parametrize(
    "cases",
    [
        [],
        [{"name": "a"}],
        [{"name": "a", "equals": 1, "condition": True}],
        [{"name": "error", "condition": True}],
        [{"name": "default", "condition": True}],
        [{"name": "two words", "condition": True}],
        [{"name": "a\n", "condition": True}],
        [{"name": "", "condition": True}],
        [{"name": "é", "condition": True}],
        [{"name": "a" * 65, "condition": True}],
        [{"name": "a", "condition": True}, {"name": "a", "condition": False}],
        [{"name": "a", "equals": 1}],
    ],
)
async def test_cases_that_cannot_be(cases: list[Any]) -> None:
    with pytest.raises(PermanentError, match="params"):
        await run_node(Switch, {"cases": cases})


def test_ports_are_the_written_names() -> None:
    assert Switch.ports_for({"value": "${{ input.x }}", **ROUTE}) == ("home", "near", "vip", "default")
    assert Switch.ports_for({"cases": "${{ input.cases }}"}) == ("default",)
    assert Switch.ports_for({"cases": [{"name": "error"}, {"name": 3}, None, {"name": "a b"}, {"name": "ok"}]}) == (
        "ok",
        "default",
    )
    assert Switch.ports_for({}) == ("default",)


def test_the_output_names_one_of_the_ports() -> None:
    schema = Switch.output_schema_for(ROUTE)
    assert schema["properties"]["case"]["enum"] == ["home", "near", "vip", "default"]
    assert schema["additionalProperties"] is False


def test_what_is_written_is_checked_before_any_execution() -> None:
    assert list(Switch.check({"value": "${{ input.x }}", **ROUTE})) == []
    assert [issue.pointer for issue in Switch.check({"cases": "${{ input.cases }}"})] == ["/cases"]
    reference = "${{ input.x }}"
    wrong = [
        {"name": "a", "equals": reference},
        {"name": "a", "condition": reference},
        {"name": "error", "condition": reference},
        {"name": "b", "conditions": [], "equals": reference},
        "c",
    ]
    found = [issue.pointer for issue in Switch.check({"cases": wrong})]
    assert found == ["/cases/0/equals", "/cases/1/name", "/cases/2/name", "/cases/3/equals", "/cases/3"]


def test_what_the_model_sees_is_not_said_twice() -> None:
    wrong = [{"name": "error", "condition": True}, {"name": "a"}, {"name": "a", "equals": "$${{ no reference }}"}]
    assert list(Switch.check({"cases": wrong})) == []
    assert [issue.pointer for issue in Switch.check({"cases": wrong, "value": "${{ input.x }}"})] == ["/cases/2/name"]


def test_the_plugin_brings_both_nodes() -> None:
    assert [node.type_id for node in aicflow_nodes()] == ["logic.if_else", "logic.switch"]
    assert all(node.pure for node in aicflow_nodes())
