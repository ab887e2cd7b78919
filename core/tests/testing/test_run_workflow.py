"""Testing a workflow without a server: real nodes, fakes, secrets, and what it says about each step."""

from __future__ import annotations

from typing import Any

import pytest
from aicflow import Context, Exit, PermanentError, TransientError, node
from aicflow.kernel.errors import WorkflowInvalid
from aicflow.testing import run_workflow

DOCUMENT: dict[str, Any] = {
    "aicflow": 1,
    "name": "tested",
    "nodes": [
        {"id": "fetch", "type": "net.fetch", "params": {"url": "https://example.com/${{ input.id }}"}},
        {"id": "late", "type": "wait", "params": {"seconds": 3600}},
        {"id": "tell", "type": "net.fetch", "params": {"url": "${{ nodes.fetch.error.message }}"}},
    ],
    "edges": [{"from": "fetch", "to": "late"}, {"from": "fetch", "port": "error", "to": "tell"}],
    "output": "${{ nodes.fetch?.output }}",
}


@node("net.fetch")
async def fetch(url: str) -> str:
    """Would go out."""
    raise AssertionError("the test must not go out")


async def test_fakes_stand_for_nodes_and_see_their_params() -> None:
    fakes = {"fetch": lambda params: params["url"].upper(), "late": None}
    result = await run_workflow(DOCUMENT, {"id": 7}, fakes=fakes, nodes=[fetch])
    assert result.status == "succeeded"
    assert result.output == "HTTPS://EXAMPLE.COM/7"
    assert result.ran() == ["fetch", "late"]
    assert result.calls["fetch"] == [{"url": "https://example.com/7"}]


async def test_a_fake_may_fail_and_retries_are_real() -> None:
    tries = iter([TransientError("once"), "second"])
    document = {**DOCUMENT, "nodes": [{**DOCUMENT["nodes"][0], "retry": {"initial_delay": 0}}], "edges": []}
    result = await run_workflow(document, {"id": 1}, fakes={"fetch": lambda _: next(tries)}, nodes=[fetch])
    assert result.output == "second"
    assert [event.attempt for event in result.events if event.type == "step.started"] == [1, 2]


async def test_a_fake_may_choose_its_port_or_take_the_error_edge() -> None:
    document = {**DOCUMENT, "edges": [{"from": "fetch", "port": "error", "to": "tell"}], "output": "done"}
    document["nodes"] = [DOCUMENT["nodes"][0], {"id": "tell", "type": "net.fetch", "params": {"url": "x"}}]
    failed = await run_workflow(
        document, {"id": 1}, fakes={"fetch": PermanentError("no"), "tell": "told"}, nodes=[fetch]
    )
    assert failed.ran() == ["fetch", "tell"]
    gated = {
        **DOCUMENT,
        "nodes": [{"id": "gate", "type": "wait", "params": {"answer_schema": True, "seconds": 1}}, *document["nodes"]],
        "edges": [{"from": "gate", "to": "fetch"}, {"from": "gate", "port": "timeout", "to": "tell"}],
        "output": "done",
    }
    chosen = await run_workflow(
        gated, {"id": 1}, fakes={"gate": Exit("timeout", None), "fetch": 1, "tell": 2}, nodes=[fetch]
    )
    assert chosen.ran() == ["gate", "tell"]


async def test_fakes_stand_for_nodes_inside_of_maps_and_for_maps() -> None:
    get = {"id": "get", "type": "net.fetch", "params": {"url": "https://example.com/${{ item }}"}}
    document = {
        "aicflow": 1,
        "name": "mapped",
        "nodes": [{"id": "each", "map": {"over": [1, 2], "concurrency": 1, "nodes": [get]}}],
        "output": "${{ nodes.each.output.items }}",
    }
    result = await run_workflow(document, fakes={"get": lambda params: params["url"][-1]}, nodes=[fetch])
    assert result.output == ["1", "2"]
    assert [call["url"][-1] for call in result.calls["get"]] == ["1", "2"]
    assert "each[1].get" in result.steps
    whole = await run_workflow(document, fakes={"each": {"items": ["faked"]}}, nodes=[fetch])
    assert whole.output == ["faked"]


async def test_wrong_workflows_and_fakes_are_refused() -> None:
    with pytest.raises(WorkflowInvalid, match=r"net\.fetch"):
        await run_workflow(DOCUMENT, {"id": 1})
    with pytest.raises(ValueError, match="no node 'nobody'"):
        await run_workflow(DOCUMENT, {"id": 1}, fakes={"nobody": 1}, nodes=[fetch])
    with pytest.raises(TimeoutError, match="late waits for its time"):
        await run_workflow(DOCUMENT, {"id": 1}, fakes={"fetch": "x"}, nodes=[fetch], timeout=0.3)


async def test_secrets_and_the_fixtures(workflow_runner: Any, recording_context: Any) -> None:
    document = {
        "aicflow": 1,
        "name": "secret",
        "nodes": [{"id": "a", "type": "t.secret", "params": {}}],
    }

    @node("t.secret")
    async def secret(ctx: Context) -> int:
        return len(ctx.secret("TOKEN"))

    result = await workflow_runner(document, nodes=[secret], secrets={"TOKEN": "12345"})
    assert result.output == 5
    recording_context.log("hello")
    assert recording_context.logs[0].message == "hello"
