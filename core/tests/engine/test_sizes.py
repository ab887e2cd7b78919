"""How large outputs may be: of a step, of a body, of the execution."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from aicflow.engine import EngineOptions

LARGE = {"id": "a", "type": "lab.effect", "params": {"name": "${{ input }}"}}


@pytest.fixture
def options() -> EngineOptions:
    return replace(EngineOptions(engine="native", cancel_grace=0.1, park_after=0.05, grace=0.2), max_output=1_000)


async def test_an_output_that_is_too_large_fails_its_step(lab: Any) -> None:
    execution = await lab.run([LARGE], input="x" * 998)
    assert execution.status == "succeeded"
    execution = await lab.run([LARGE], input="x" * 999)
    assert (execution.status, execution.error.code, execution.error.node_id) == ("failed", "output-too-large", "a")
    assert "1,001 bytes as JSON; at most 1,000" in execution.error.message
    assert "AICFLOW_MAX_OUTPUT_BYTES" in execution.error.hint


async def test_what_a_map_collects_counts_and_what_it_does_not_collect_does_not(lab: Any) -> None:
    body = {"over": "${{ input }}", "nodes": [{**LARGE, "params": {"name": "${{ item }}"}}], "output": "${{ item }}"}
    items = ["x" * 200] * 6
    execution = await lab.run([{"id": "each", "map": body}], input=items)
    assert (execution.error.code, execution.error.node_id) == ("output-too-large", "each")
    assert "collect: none" in execution.error.hint
    execution = await lab.run([{"id": "each", "map": {**body, "collect": "none"}}], input=items)
    assert execution.status == "succeeded"
    item = {**body, "output": {"twice": "${{ item + item }}"}}
    execution = await lab.run([{"id": "each", "map": item}], input=["x" * 600])
    assert "each[0]" in execution.error.message


async def test_an_execution_s_output_counts(lab: Any) -> None:
    execution = await lab.run([LARGE], input="x" * 600, output=["${{ nodes.a.output }}", "${{ nodes.a.output }}"])
    assert execution.error.code == "output-failed"
    assert "at most 1,000" in execution.error.message
