"""Params that cannot work are found before anything runs, at the place where they stand."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from aicflow_agent import Agent, AgentParams, aicflow_nodes
from pydantic import ValidationError

GOOD: dict[str, Any] = {"prompt": "x"}


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({}, ""),
        ({"prompt": "x", "messages": [{"role": "user", "content": "y"}]}, ""),
        ({**GOOD, "max_cost": 1}, "/max_cost"),
        ({**GOOD, "tools": [{"node": "a.b"}, {"node": "a.b"}]}, "/tools/1"),
        ({**GOOD, "tools": [{"node": "a.b"}, {"node": "c.d", "name": "a_b"}]}, "/tools/1"),
        ({**GOOD, "tools": [{"node": "${{ input.node }}"}]}, "/tools/0/node"),
        ({**GOOD, "tools": [{"node": "a.b", "params": {"x": 1}, "expose": ["x"]}]}, "/tools/0/expose"),
        ({**GOOD, "tools": [{"node": "ai.agent", "expose": ["prompt", "tools"]}]}, "/tools/0/expose"),
    ],
)
def test_problems_have_a_place(params: dict[str, Any], pointer: str) -> None:
    (issue,) = Agent.check(params)
    assert (issue.pointer, issue.severity) == (pointer, "error")


def test_good_params_have_none() -> None:
    assert not Agent.check(GOOD)
    assert not Agent.check(
        {**GOOD, "tools": [{"node": "a.b"}, {"node": "a.b", "name": "again"}], "output_schema": None}
    )
    assert not Agent.check({"prompt": "${{ input.question }}", "output_schema": "${{ input.schema }}"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"prompts": "x"},
        {"tools": [{"node": "a.b", "name": "has space"}]},
        {"temperature": 3},
        {"max_model_calls": 0},
        {"timeout": 0},
        {"output_method": "magic"},
        {"prompt": ""},
    ],
)
def test_the_model_of_the_params_refuses(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AgentParams.model_validate({**GOOD, **wrong})


def test_the_plugin_offers_one_node_type_with_a_closed_output() -> None:
    (node,) = aicflow_nodes()
    assert node.type_id == "ai.agent"
    assert node.in_langgraph_task
    assert not node.pure
    schema = node.output_schema()
    assert schema is not None
    assert schema["additionalProperties"] is False


def test_loading_the_plugin_does_not_load_langchain_nor_switch_tracing_on() -> None:
    code = (
        "import sys, os; before = dict(os.environ); import aicflow_agent; "
        "aicflow_agent.Agent.check({'prompt': 'x'}); aicflow_agent.Agent.output_schema_for({'prompt': 'x'}); "
        "assert dict(os.environ) == before; "
        "print([m for m in sys.modules if m.split('.')[0] in ('langchain', 'langchain_core', 'langgraph', 'openai')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
