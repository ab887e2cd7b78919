"""Plans are kept by their size: many small workflows stay compiled, and a few huge ones cannot fill the memory."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Barrier
from typing import Any

import pytest
from aicflow import node
from aicflow.engine.builtins import GroupNode
from aicflow.engine.worker.plans import PlanCache
from aicflow.kernel.registry import Registry
from aicflow.language.plan import build_plan
from aicflow.store.memory import MemoryStore
from aicflow_language.expr.compiler import Compiler


@node("t.next", pure=True)
async def following(n: int) -> int:
    return n + 1


def chain(size: int, text: str = "") -> dict[str, Any]:
    nodes = [
        {"id": f"n{i}", "type": "t.next", "params": {"n": f"${{{{ nodes.n{i - 1}.output }}}}" if i else 0}}
        for i in range(size)
    ]
    edges = [{"from": a["id"], "to": b["id"]} for a, b in pairwise(nodes)]
    return {"aicflow": 1, "name": "chain", "vars": {"text": text}, "nodes": nodes, "edges": edges}


async def test_a_thousand_small_workflows_stay_compiled_and_large_ones_push_the_oldest_out():
    store, registry = MemoryStore(), Registry()
    await store.open()
    registry.register(following)
    plans = PlanCache(store.workflows, registry, limit=16_000_000)
    small = [await store.workflows.create(f"w{i}", chain(2), now=time.time()) for i in range(1_000)]
    made = [plans.current(record) for record in small]
    assert all(plans.current(record) is plan for record, plan in zip(small, made, strict=True))
    many_nodes = await store.workflows.create("nodes", chain(1_500), now=time.time())
    long_text = await store.workflows.create("text", chain(1, "x" * 3_000_000), now=time.time())
    large = [plans.current(record) for record in (many_nodes, long_text)]
    assert [plans.current(record) for record in (many_nodes, long_text)] == large
    assert plans.current(small[-1]) is made[-1]
    assert plans.current(small[0]) is not made[0]


async def test_a_workflow_larger_than_the_cache_is_kept_until_the_next():
    store, registry = MemoryStore(), Registry()
    await store.open()
    registry.register(following)
    plans = PlanCache(store.workflows, registry, limit=10)
    first, second = [await store.workflows.create(name, chain(2), now=time.time()) for name in "ab"]
    plan = plans.current(first)
    assert plans.current(first) is plan
    plans.current(second)
    assert plans.current(first) is not plan


def grouped(size: int) -> dict[str, Any]:
    """A chain whose last node has a body with an output."""
    inner = {"id": "in", "type": "t.next", "params": {"n": "${{ nodes.n0.output + 7 }}"}}
    group = {"id": "g", "group": {"nodes": [inner], "output": "${{ nodes['in'].output - 7 }}"}}
    document = chain(size) | {"output": "${{ nodes.n0.output * 7 }}"}
    return document | {"nodes": [*document["nodes"], group], "edges": [*document["edges"], {"from": "n0", "to": "g"}]}


async def test_a_prepared_plan_has_nothing_left_to_compile(monkeypatch: pytest.MonkeyPatch):
    store, registry = MemoryStore(), Registry()
    await store.open()
    for cls in (following, GroupNode):
        registry.register(cls)
    plans = PlanCache(store.workflows, registry)
    record = await store.workflows.create("w", grouped(3), now=time.time())
    plans.prepare(record)

    def late(*args: Any) -> None:
        raise AssertionError("it was left for the first execution")

    monkeypatch.setattr(Compiler, "compile", late)
    monkeypatch.setattr("aicflow.language.plan.compile_template", late)
    plan = plans.current(record)
    scope = {"nodes": {"n0": {"output": 1}, "n1": {"output": 2}, "in": {"output": 9}}}
    body = plan.nodes[3].body
    assert body is not None
    assert body.output is not None
    assert plan.output is not None
    assert [node.params.resolve(scope) for node in plan.nodes[:3]] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert [body.nodes[0].params.resolve(scope), body.output.resolve(scope)] == [{"n": 8}, 2]
    assert plan.output.resolve(scope) == 7


async def test_threads_that_ask_at_once_share_one_plan(monkeypatch: pytest.MonkeyPatch):
    store, registry = MemoryStore(), Registry()
    await store.open()
    registry.register(following)
    plans = PlanCache(store.workflows, registry)
    record = await store.workflows.create("w", chain(40), now=time.time())
    both = Barrier(2, timeout=20)

    def build(*args: Any, **more: Any) -> Any:
        both.wait()  # neither finds the other's
        return build_plan(*args, **more)

    def use(compiles: bool) -> Any:
        plan = plans.current(record)
        if compiles:
            plan.compile()
        scope = {"nodes": {f"n{i}": {"output": i} for i in range(40)}}
        assert [node.params.resolve(scope)["n"] for node in plan.nodes] == [0, *range(39)]
        return plan

    monkeypatch.setattr("aicflow.engine.worker.plans.build_plan", build)
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(use, (True, False))
    assert one is other
