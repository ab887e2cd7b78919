"""Small executions to store: how the store suite makes, runs and ends them."""

from __future__ import annotations

from typing import Any

from aicflow.kernel.ports.executions import (
    Appended,
    Claimed,
    Created,
    EventBatch,
    ExecutionStore,
    Fire,
    Idempotency,
    NewExecution,
    Projection,
    SlotLimit,
)
from aicflow.kernel.values import dumps, loads

NOW = 1_800_000_000.0
LEASE = 30.0


def batch(first_seq: int, *types: str, node: str | None = None) -> EventBatch:
    """A batch of events of these types, of a node."""
    more = {"data": {"text": "é\n"}} if node is None else {"node_id": node, "data": {}}
    return EventBatch(
        first_seq, [dumps({"seq": seq, "type": kind, **more}) for seq, kind in enumerate(types, first_seq)]
    )


def new(
    id: str,
    *,
    workflow: str = "wf_a",
    at: float = NOW,
    input: Any = None,
    trigger: dict[str, Any] | None = None,
    priority: int = 0,
    available_at: float = 0.0,
    limits: tuple[SlotLimit, ...] = (),
    fire: Fire | None = None,
    idempotency: Idempotency | None = None,
    **more: Any,
) -> NewExecution:
    """An accepted execution with its first event."""
    return NewExecution(
        id,
        workflow,
        1,
        at,
        batch(1, "execution.queued"),
        input=dumps(input),
        trigger=dumps(trigger or {"kind": "api"}),
        priority=priority,
        available_at=available_at,
        limits=limits,
        fire=fire,
        idempotency=idempotency,
        **more,
    )


async def create(store: ExecutionStore, id: str, **more: Any) -> Created:
    """Accept an execution that waits in the queue."""
    return await store.create(new(id, **more))


async def start(store: ExecutionStore, id: str, *, worker: str = "w1", **more: Any) -> Created:
    """Accept an execution that `worker` holds from the start."""
    made = new(id, **more)
    return await store.create(made, worker=worker, lease=LEASE, at=made.created_at)


async def end(
    store: ExecutionStore,
    id: str,
    *,
    epoch: int = 1,
    seq: int = 2,
    status: Any = "succeeded",
    at: float = NOW + 1,
    output: Any = None,
) -> Appended:
    """Append the event that ends a running execution."""
    projection = Projection(status, started_at=NOW, finished_at=at, output=dumps(output))
    return await store.append(id, epoch, batch(seq, f"execution.{status}"), projection)


async def park(
    store: ExecutionStore, id: str, *, epoch: int = 1, seq: int = 2, wake_at: float | None = None, consumed: Any = ()
) -> Appended:
    """Append the event that lets a running execution wait."""
    projection = Projection("waiting", started_at=NOW, wake_at=wake_at)
    return await store.append(id, epoch, batch(seq, "execution.waiting"), projection, consumed=consumed)


async def claim(store: ExecutionStore, *, worker: str = "w1", limit: int = 100, now: float = NOW) -> list[Claimed]:
    """Claim what can be claimed."""
    return [*await store.claim(worker, limit, lease=LEASE, at=now)]


async def claimed_ids(store: ExecutionStore, *, worker: str = "w1", limit: int = 100, now: float = NOW) -> list[str]:
    """The ids of what can be claimed, in the order in which it is."""
    return [claimed.execution.id for claimed in await claim(store, worker=worker, limit=limit, now=now)]


def numbers(events: Any) -> list[int]:
    """The sequence numbers of encoded events."""
    return [loads(event)["seq"] for event in events]
