"""When the engine itself fails outside a node, the execution is tried again a bounded number of times and told about;
a cancel request ends it at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from aicflow.engine import EngineOptions
from aicflow.events import event_type

EFFECT = [{"id": "e", "type": "lab.effect", "params": {"name": "once"}}]


class Unwritable:
    """A store on which one kind of event cannot be written."""

    def __init__(self, inner: Any, kind: str) -> None:
        self._inner = inner
        self.kind: str | None = kind

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def append(self, execution_id: str, epoch: int, batch: Any, *rest: Any) -> Any:
        if any(event_type(event) == self.kind for event in batch.events):
            raise ValueError("a fault of the engine, with s3cr3t-value in it")
        return await self._inner.append(execution_id, epoch, batch, *rest)


@pytest.fixture
def options(options: EngineOptions) -> EngineOptions:
    return replace(options, max_faults=3, max_claims=4)


@pytest.fixture
async def unwritable(lab: Any) -> Unwritable:
    """The laboratory on a store that cannot write what a step gave."""
    lab.store.executions = Unwritable(lab.store.executions, "step.succeeded")
    await lab.crash()
    return lab.store.executions  # type: ignore[no-any-return]


async def test_it_fails_after_a_bounded_number_of_claims(lab: Any, unwritable: Unwritable) -> None:
    execution_id = await lab.start(EFFECT)
    while not (said := lab.executions.worker.faults.get(execution_id)):  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    assert said == "ValueError: a fault of the engine, with *** in it"
    assert "is tried again, and fails after 3 times" in await lab.executions.why(execution_id)
    execution = await lab.end(execution_id)
    assert (execution.status, execution.error.code) == ("failed", "no-progress")
    assert "3 times in a row" in execution.error.message
    assert "s3cr3t" not in execution.error.message
    assert lab.ledger.effects == ["once"] * 3
    assert (await lab.types(execution_id))[-2:] == ["step.cancelled e", "execution.failed"]
    assert lab.executions.worker.faults == {}
    assert lab.executions.worker.fault_count == 3


async def test_what_is_mended_meanwhile_goes_on(lab: Any, unwritable: Unwritable) -> None:
    execution_id = await lab.start(EFFECT)
    while not lab.executions.worker.faults:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    unwritable.kind = None
    assert (await lab.end(execution_id)).status == "succeeded"
    assert lab.executions.worker.faults == {}


async def test_a_cancel_request_ends_it_at_once(lab: Any, unwritable: Unwritable) -> None:
    execution_id = await lab.start(EFFECT)
    while not lab.executions.worker.faults:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    await lab.executions.cancel(execution_id)
    assert (await lab.end(execution_id, timeout=2)).status == "cancelled"
    assert len(lab.ledger.effects) < 3


async def test_a_cancel_request_ends_what_cannot_even_be_stopped_in_order(lab: Any, unwritable: Unwritable) -> None:
    execution_id = await lab.start([{"id": "h", "type": "lab.hold"}])
    await lab.ledger.entered["hold"].wait()
    unwritable.kind = "execution.cancelled"
    await lab.executions.cancel(execution_id)
    while not lab.executions.worker.fault_count:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    unwritable.kind = None
    assert (await lab.end(execution_id, timeout=5)).status == "cancelled"


async def test_an_engine_that_fails_is_bounded_too(lab: Any) -> None:
    class Broken:
        async def run(self, *args: Any, **kwargs: Any) -> None:
            raise RuntimeError("the graph is upside down")

    lab.executions._engines["native"] = Broken()
    execution = await lab.run(EFFECT)
    assert (execution.status, execution.error.code) == ("failed", "no-progress")
    assert "the graph is upside down" in execution.error.message
    assert lab.ledger.effects == []


async def test_an_execution_that_kills_its_workers_is_given_up(lab: Any) -> None:
    execution_id = await lab.start([{"id": "h", "type": "lab.hold"}])
    for _ in range(4):
        await lab.ledger.entered["hold"].wait()
        lab.ledger.entered["hold"].clear()
        await lab.crash()
    execution = await lab.end(execution_id)
    assert execution.error.code == "no-progress"
    assert lab.ledger.calls["hold"] == 4


async def test_progress_counts_the_claims_anew(lab: Any) -> None:
    nodes = [{"id": f"h{i}", "type": "lab.hold", "params": {"name": f"h{i}"}} for i in range(4)]
    execution_id = await lab.start(nodes, ["h0 > h1", "h1 > h2", "h2 > h3"])
    for i in range(4):
        for _ in range(2):
            await lab.ledger.entered[f"h{i}"].wait()
            lab.ledger.entered[f"h{i}"].clear()
            await lab.crash()
        lab.ledger.gates[f"h{i}"].set()
    assert (await lab.end(execution_id)).status == "succeeded"
