"""Plans are kept by their size: many small workflows stay compiled, and a few huge ones cannot fill the memory."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

from aicflow import node
from aicflow.engine.worker.plans import PlanCache
from aicflow.kernel.registry import Registry
from aicflow.store.memory import MemoryStore


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
