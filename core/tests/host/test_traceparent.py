"""The trace context of a request goes with what it starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from aicflow import Context, node
from aicflow.engine.starting import valid_traceparent
from aicflow.host.wiring import installed_plugins

from .conftest import run_host

GOOD = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@node("test.trace")
async def trace(ctx: Context) -> str | None:
    """Returns its trace context."""
    return ctx.traceparent


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (GOOD, GOOD),
        ("cc" + GOOD[2:] + "-what-comes", "cc" + GOOD[2:]),
        (GOOD + "-more", None),
        (GOOD + "0", None),
        ("ff" + GOOD[2:], None),
        (GOOD.upper(), None),
        (GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32), None),
        (GOOD.replace("00f067aa0ba902b7", "0" * 16), None),
        ("", None),
        (None, None),
    ],
)
def test_only_valid_ones_are_kept(header: str | None, kept: str | None) -> None:
    assert valid_traceparent(header) == kept


def test_it_reaches_nodes_and_children(tmp_path: Path) -> None:
    plugins = installed_plugins()
    plugins.registry.register(trace)
    with run_host(tmp_path / "data", store="memory://", plugins=plugins) as host:
        nodes = [{"id": "t", "type": "test.trace"}]
        host.save({"aicflow": 1, "name": "in", "nodes": nodes, "output": "${{ nodes.t.output }}"}, id="in")
        nodes = [*nodes, {"id": "c", "type": "workflow.call", "params": {"workflow": "in"}}]
        output = "${{ [nodes.t.output, nodes.c.output.output] }}"
        host.save({"aicflow": 1, "name": "out", "nodes": nodes, "output": output}, id="out")
        for header, seen in ((GOOD, GOOD), ("nonsense", None)):
            reply = host.client.post(
                "/executions", params={"wait": 20}, json={"workflow_id": "out"}, headers={"traceparent": header}
            )
            assert reply.json()["output"] == [seen, seen], reply.text

        hook = {"id": "h", "type": "trigger.webhook", "params": {"path": "traced"}}
        document = {"aicflow": 1, "name": "hooked", "nodes": nodes[:1], "output": "${{ nodes.t.output }}"}
        host.save({**document, "triggers": [hook]}, id="hooked")
        with host.bare() as client:
            called = client.post(f"{host.url}/hooks/traced", json={}, headers={"traceparent": GOOD})
        execution = called.json()["execution_id"]
        while (found := host.client.get(f"/executions/{execution}").json())["finished_at"] is None:
            pass
        assert found["output"] == GOOD
