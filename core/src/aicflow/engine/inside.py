"""Reading what is inside of steps with a body: the steps of an item, and the items themselves.

A step inside is called by its way from the outside: `each[17].get`, `each[3].inner[2].sum`, in a group `g.get`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from aicflow.engine.history import fold
from aicflow.engine.log import read_events
from aicflow.events import event_type
from aicflow.kernel.errors import NotFound
from aicflow.kernel.execution import TERMINAL_STATUSES, Execution, Step
from aicflow.kernel.ports.executions import ExecutionStore

type ItemStatus = Literal["running", "waiting", "succeeded", "failed"]
ITEM_STATUSES: Final = frozenset({"running", "waiting", "succeeded", "failed"})
_NODE_MARK: Final = b'"node_id":"'


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a map, or a pass of a repeat. `key` is known once it has ended; `output` and `error` are encoded."""

    index: int
    status: ItemStatus
    key: str | None = None
    output: bytes | None = None
    error: bytes | None = None


def owner_of(step_id: str) -> tuple[str, str]:
    """What the step is directly inside of: the run of the body (`each[17]`) and the step it belongs to (`each`); empty
    when it is inside of none."""
    run = step_id.rpartition(".")[0]
    return run, run.rpartition("[")[0] if run.endswith("]") else run


async def read_steps(
    store: ExecutionStore,
    execution_id: str,
    *,
    outputs: bool = True,
    parent: str | None = None,
    around: str | None = None,
) -> list[Step]:
    """Steps in the order they began: all, those directly inside of `parent`, or `around` one."""
    near = around if parent is None else parent
    events: Iterable[bytes] = await read_events(store, execution_id)
    if near is not None:  # reading an event costs more than looking at its name
        events = (event for event in events if _is_near(event, near))
    stored = await store.outputs(execution_id) if outputs else None
    steps = list(fold(events, stored).steps.values())
    return steps if parent is None else [step for step in steps if parent in owner_of(step.node_id)]


def _is_near(event: bytes, near: str) -> bool:
    """Whether it is of this step, of one inside of it or around it; without one, whether it is of an outer step."""
    if not event_type(event).startswith("step."):
        return True
    start = event.index(_NODE_MARK) + len(_NODE_MARK)
    step_id = event[start : event.index(b'"', start)].decode()
    return step_id.startswith(near) or near.startswith(step_id) if near else "." not in step_id


async def read_items(
    store: ExecutionStore, execution: Execution, step_id: str, *, after: int, limit: int, statuses: frozenset[str]
) -> Sequence[Item]:
    """A page of items. Raises NotFound when there is no such step."""
    begun: dict[int, ItemStatus] = {}
    if execution.status not in TERMINAL_STATUSES and statuses & {"running", "waiting"}:
        begun = _begun(await read_steps(store, execution.id, outputs=False, around=step_id), step_id)
    found: dict[int, Item] = {}
    ended = statuses & {"succeeded", "failed"}
    if ended:
        succeeded = None if len(ended) == 2 else "succeeded" in ended
        for one in await store.items(execution.id, step_id, after=after, limit=limit, succeeded=succeeded):
            status: ItemStatus = "succeeded" if one.succeeded else "failed"
            found[one.index] = Item(one.index, status, one.key, one.output, one.error)
    # what has not ended was read first: where it has since, it is among these now
    open_ = [index for index in sorted(begun) if index > after and index not in found and begun[index] in statuses]
    for index in open_[:limit]:
        if len(ended) < 2 and await _has_ended(store, execution.id, step_id, index):
            continue
        found[index] = Item(index, begun[index])
    if not found and after < 0:
        steps = await read_steps(store, execution.id, outputs=False, around=step_id)
        if all(step.node_id != step_id for step in steps):
            raise NotFound("step", step_id, hint=f"Execution {execution.id} has no such step, or it has not begun.")
    return [found[index] for index in sorted(found)[:limit]]


async def _has_ended(store: ExecutionStore, execution_id: str, step_id: str, index: int) -> bool:
    return any(one.index == index for one in await store.items(execution_id, step_id, after=index - 1, limit=1))


def _begun(steps: Iterable[Step], step_id: str) -> dict[int, ItemStatus]:
    """Items with a step that has not ended; `waiting` when all of these wait."""
    left = [step for step in steps if step.finished_at is None and step.node_id.startswith(step_id + "[")]
    owners = {owner for step in left for owner in _owners(step.node_id)}
    begun: dict[int, ItemStatus] = {}
    for step in left:
        if step.node_id in owners:
            continue  # what is inside of it says more
        index = int(step.node_id[len(step_id) + 1 :].partition("]")[0])
        waits = step.status in ("waiting", "retrying") and begun.get(index) != "running"
        begun[index] = "waiting" if waits else "running"
    return begun


def _owners(step_id: str) -> Iterable[str]:
    run, owner = owner_of(step_id)
    while owner:
        yield owner
        run, owner = owner_of(run)
