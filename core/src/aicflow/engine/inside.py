"""Reading what is inside of steps with a body: the steps of an item, and the items themselves.

A step inside is called by its way from the outside: `each[17].get`, `each[3].inner[2].sum`, in a group `g.get`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from aicflow.engine.history import fold
from aicflow.engine.log import read_events
from aicflow.engine.needed import items_of, step_of
from aicflow.events import event_type
from aicflow.kernel.errors import NotFound
from aicflow.kernel.execution import TERMINAL_STATUSES, Execution, Step
from aicflow.kernel.ports.executions import ExecutionStore, ItemResult

type ItemStatus = Literal["running", "waiting", "succeeded", "failed"]
ITEM_STATUSES: Final = frozenset({"running", "waiting", "succeeded", "failed"})
_PAGE: Final = 2_000
_ITEMS: Final = 200


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
    """Steps in the order they began: all, those directly inside of `parent`, or `around` one: it, what it is inside
    of, and what is inside of it, but for items that have ended."""
    if parent is not None:
        events = await _events_inside(store, execution_id, parent)
    elif around is not None:
        events = [event for event in await _events_of(store, execution_id, around) if _is_near(event, around)]
    else:
        events = await read_events(store, execution_id)
    stored = await store.outputs(execution_id) if outputs else None
    steps = list(fold(events, stored).steps.values())
    return steps if parent is None else [step for step in steps if parent in owner_of(step.node_id)]


async def _events_inside(store: ExecutionStore, execution_id: str, parent: str) -> list[bytes]:
    if parent and await store.items(execution_id, parent, limit=1):
        events = await read_events(store, execution_id)
    else:
        events = await _events_of(store, execution_id, parent)
    return [event for event in events if _is_near(event, parent)]


async def _events_of(store: ExecutionStore, execution_id: str, step_id: str) -> list[bytes]:
    """At least the events of the step and of what it is inside of."""
    for at, index in reversed(list(items_of(step_id))):
        found = await store.items(execution_id, at, after=index - 1, limit=1)
        if found and found[0].index == index and found[0].first_seq is not None and found[0].last_seq is not None:
            return await _range(store, execution_id, found[0].first_seq, found[0].last_seq)
    return list(await store.needed(execution_id))


async def _range(store: ExecutionStore, execution_id: str, first: int, last: int) -> list[bytes]:
    events: list[bytes] = []
    while first <= last:
        page = await store.events(execution_id, after=first - 1, limit=min(last + 1 - first, _PAGE))
        if not page:
            break
        events += page[: last + 1 - first]
        first += len(page)
    return events


async def read_page(
    store: ExecutionStore,
    execution: Execution,
    parent: str,
    *,
    after: str | None,
    limit: int,
    statuses: frozenset[str] | None,
) -> list[Step]:
    """Up to `limit` steps directly inside of `parent` that come after this one: in the order they began, those of items
    or passes by index. Without outputs that are kept outside the events. Raises NotFound when `after` is not there."""
    known = await store.needed(execution.id)
    found: list[Step] = []
    is_past = after is None
    start = max(0, _index(after or "", parent))
    async for steps in _pages(store, execution, parent, known, start):
        for step in steps:
            if not is_past:
                is_past = step.node_id == after
            elif statuses is None or step.status in statuses:
                found.append(step)
        if len(found) >= limit:
            break
    if not is_past:
        raise NotFound("step", after or "")
    return found[:limit]


async def _pages(
    store: ExecutionStore, execution: Execution, parent: str, known: Sequence[bytes], start: int
) -> AsyncIterator[list[Step]]:
    """All steps inside of `parent`; where it has items and its log is long, part by part from the item `start` on."""
    is_whole = len(known) >= execution.last_seq
    if is_whole or not parent or not await store.items(execution.id, parent, limit=1):
        events = known if is_whole else await _events_of(store, execution.id, parent)
        yield _in_order(_steps_by_item(events, parent))
        return
    at_work = _steps_by_item(known, parent)
    after: int | None = start - 1
    while after is not None:
        ended = await store.items(execution.id, parent, after=after, limit=_ITEMS)
        last = ended[-1].index if ended else None
        inside = {index: steps for index, steps in at_work.items() if index > after and (last is None or index <= last)}
        wanted = {item.index for item in ended}
        events = [
            event
            for first, end in _merged(ended)
            for event in await _range(store, execution.id, first, end)
            if _index(step_of(event), parent) in wanted
        ]
        yield _in_order(inside | _steps_by_item(events, parent))
        after = last


def _merged(items: Iterable[ItemResult]) -> list[tuple[int, int]]:
    """Where the events of the items stand; items that ran side by side have theirs in between each other."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted((item.first_seq, item.last_seq or 0) for item in items if item.first_seq is not None):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(merged[-1][1], last)
        else:
            merged.append((first, last))
    return merged


def _steps_by_item(events: Iterable[bytes], parent: str) -> dict[int, list[Step]]:
    """The steps directly inside of `parent` by the item of its own that they are in; -1 without one."""
    found: dict[int, list[Step]] = {}
    for step in fold(event for event in events if _is_near(event, parent)).steps.values():
        if parent in owner_of(step.node_id):
            found.setdefault(_index(step.node_id, parent), []).append(step)
    return found


def _index(step_id: str, parent: str) -> int:
    return next((index for at, index in items_of(step_id) if at == parent), -1)


def _in_order(steps: Mapping[int, list[Step]]) -> list[Step]:
    return [step for index in sorted(steps) for step in steps[index]]


def _is_near(event: bytes, near: str) -> bool:
    """Whether it is of this step, of one inside of it or around it; without one, whether it is of an outer step."""
    if not event_type(event).startswith("step."):
        return True
    step_id = step_of(event)
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
