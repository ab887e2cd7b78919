"""Maps with a long log: a claim and a page of steps read what they need of it, and miss nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aicflow.engine import needed
from aicflow.engine.history import fold
from aicflow.kernel.errors import NotFound
from aicflow.kernel.execution import Step

BODY = [
    {"id": "do", "type": "lab.effect", "params": {"name": "${{ 'do' + str(item) }}"}},
    {
        "id": "inner",
        "map": {
            "over": "${{ [item * 10, item * 10 + 1] }}",
            "as": "x",
            "nodes": [{"id": "in", "type": "lab.effect", "params": {"name": "${{ 'in' + str(x) }}"}}],
        },
    },
]


def each(**more: Any) -> dict[str, Any]:
    return {
        "id": "each",
        "map": {
            "over": "${{ input }}",
            "nodes": BODY,
            "edges": [{"from": "do", "to": "inner"}],
            "output": "${{ nodes.inner.output.items }}",
            **more,
        },
    }


@pytest.fixture(params=[2, 7])
def often(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """What is needed is written down every few events."""
    monkeypatch.setattr(needed, "_EVERY", request.param)
    return int(request.param)


async def test_what_a_claim_reads_is_all_that_matters(lab: Any, often: int) -> None:
    """Over crashes at many moments, what is needed tells the same of what is open as the whole log."""
    first = {"id": "first", "type": "lab.effect", "params": {"name": "first"}}
    count = 40
    execution_id = await lab.start([first, each(concurrency=6)], ["first > each"], input=list(range(count)))
    for _ in range(6):
        await asyncio.sleep(0.01)
        await lab.crash()
        read = await lab.store.executions.needed(execution_id)
        whole = fold((await lab.executions.events(execution_id))[: needed.number_of(read[-1])]).steps
        steps = fold(read).steps
        outside = [step for name, step in whole.items() if "." not in name]
        assert [steps[step.node_id] for step in outside] == outside
    execution = await lab.end(execution_id)
    assert execution.output["items"] == [[f"in{i * 10}", f"in{i * 10 + 1}"] for i in range(count)]
    effects = {"first", *(f"do{i}" for i in range(count)), *(f"in{i * 10 + k}" for i in range(count) for k in (0, 1))}
    assert set(lab.ledger.effects) == effects
    assert len(lab.ledger.effects) <= len(effects) + 6 * 12
    left = await lab.store.executions.needed(execution_id)
    assert len(left) < execution.last_seq / 4


async def _pages(lab: Any, execution_id: str, parent: str, limit: int, **more: Any) -> list[Step]:
    found: list[Step] = []
    while page := await lab.executions.steps_page(
        execution_id, parent, after=found[-1].node_id if found else None, limit=limit, **more
    ):
        assert len(page) <= limit
        found += page
    return found


async def test_pages_of_steps_are_what_the_whole_log_tells(lab: Any, often: int) -> None:
    fail = {"id": "odd", "type": "lab.take", "params": {"value": "${{ 10 // (item % 5) }}"}, "on_error": "continue"}
    hold = {"id": "last", "type": "lab.hold", "params": {"name": "${{ 'last' if item == 33 else 'open' }}"}}
    edges = [{"from": "do", "to": "inner"}, {"from": "do", "to": "odd"}, {"from": "odd", "to": "last"}]
    node = {"id": "each", "map": {"over": "${{ input }}", "nodes": [*BODY, fail, hold], "edges": edges}}
    execution_id = await lab.start([node], input=list(range(36)))
    lab.ledger.gates["open"].set()
    await lab.ledger.entered["last"].wait()

    async def all_but_one() -> bool:
        return len(await lab.store.executions.items(execution_id, "each")) == 35

    await lab.eventually(all_but_one)
    for at_the_end in (False, True):
        if at_the_end:
            lab.ledger.gates["last"].set()
            await lab.end(execution_id)
        whole = await lab.executions.steps(execution_id, outputs=False)
        for parent in ("", "each", "each[3]", "each[33]", "each[3].inner", "each[3].inner[1]", "none", "each[99]"):
            wanted = [step for step in whole if parent in _owner(step.node_id)] if parent else whole[:1]
            if parent in ("each", "each[3].inner"):
                wanted.sort(key=lambda step: int(step.node_id[len(parent) + 1 :].partition("]")[0]))
            for limit in (2, 7, 500):
                assert await _pages(lab, execution_id, parent, limit) == wanted, (parent, limit)
        failed = await _pages(lab, execution_id, "each", 3, statuses=frozenset({"failed"}))
        assert [step.node_id for step in failed] == [f"each[{i}].odd" for i in range(0, 36, 5)]
        [one] = [
            step
            for step in await lab.executions.steps(execution_id, around="each[3].do")
            if step.node_id.endswith("do")
        ]
        assert one.output == "do3"
    with pytest.raises(NotFound):
        await lab.executions.steps_page(execution_id, "each", after="each[3].none")


def _owner(step_id: str) -> tuple[str, str]:
    run = step_id.rpartition(".")[0]
    return run, run.rpartition("[")[0]


async def test_claims_that_only_ended_quiet_items_are_no_standstill(lab: Any, often: int) -> None:
    """Pure items write nothing but how many have ended; a host that dies again and again gets on nevertheless."""
    slow = {"id": "p", "type": "lab.add", "params": {"n": "${{ item }}"}}
    hold = {"id": "h", "type": "lab.hold", "params": {"name": "${{ str(item) }}"}}
    settings = {"history": "compact"}
    ok = {"id": "each", "map": {"over": "${{ input }}", "nodes": [slow, hold], "concurrency": 1}}
    execution_id = await lab.start([ok], input=list(range(12)), settings=settings)
    for i in range(12):
        await lab.ledger.entered[str(i)].wait()
        lab.ledger.gates[str(i)].set()

        async def ended(many: int = i + 1) -> bool:
            return len(await lab.store.executions.items(execution_id, "each")) == many

        await lab.eventually(ended)
        if i < 11:
            await lab.crash()
    execution = await lab.end(execution_id)
    assert (execution.status, execution.output["count"]) == ("succeeded", 12)
