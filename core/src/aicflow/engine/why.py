"""What an execution waits for, in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from aicflow.engine.log import read_history
from aicflow.engine.worker.worker import WorkerStatus
from aicflow.events import progress_text
from aicflow.kernel.clock import iso
from aicflow.kernel.execution import TERMINAL_STATUSES, Execution, Step
from aicflow.kernel.ports.store import Store
from aicflow.workers import DEFAULT_QUEUE

_TOLD = 3
"""So many steps of a map that do the same are told one by one."""


async def explain(execution: Execution, store: Store, worker: WorkerStatus) -> str:
    """The sentence."""
    fault = worker.faults.get(execution.id)
    if fault is not None and execution.finished_at is None:
        return (
            f"The engine failed with {fault}. It is tried again, and fails after {worker.max_faults} times without "
            "progress."
        )
    if execution.status == "queued":
        return await _queued(execution, store, worker)
    if execution.status in TERMINAL_STATUSES:
        because = f": {execution.error.message}" if execution.error is not None else "."
        return f"It has {execution.status if execution.status != 'cancelled' else 'been cancelled'}{because}"
    if execution.cancel_requested:
        return "Its cancel was requested; it is being stopped."
    history = await read_history(store.executions, execution.id)
    sentences = _steps([step for step in history.steps.values() if step.finished_at is None])
    sentences = sentences or ["its next step is about to start"]
    where = "" if execution.status != "running" else await _where(execution, store, worker)
    return f"It is {execution.status}{where}: " + "; ".join(sentences) + "."


async def _where(execution: Execution, store: Store, worker: WorkerStatus) -> str:
    """The worker that runs it, where there may be several."""
    holder = None if store.exclusive else (await store.workers.requirement(execution.id))[1]
    if holder is None:
        return ""
    known = next((one for one in await store.workers.live() if one.id == holder), None)
    if known is None and holder != worker.id:
        return f" on worker {holder}, which is not alive: another goes on when its lease has run out"
    return f" on worker {holder}" + (f" ({known.name})" if known is not None and known.name != known.host else "")


async def _queued(execution: Execution, store: Store, worker: WorkerStatus) -> str:
    for limit in await store.executions.limits_of(execution.id):
        holders = [holder for holder in await store.executions.slot_holders(limit.key) if holder != execution.id]
        if len(holders) >= limit.limit:
            what = _holder(limit.key)
            names = ", ".join(holders[:3]) + (" and others" if len(holders) > 3 else "")
            return f"It is queued: {what} allows {limit.limit} at once, held by {names}."
    if not store.exclusive:
        return await _unclaimed(execution, store)
    if not worker.has_room:
        return f"It is queued: the worker is full, {worker.running} executions are running."
    return "It is queued and will be claimed by the next free worker."


async def _unclaimed(execution: Execution, store: Store) -> str:
    """Which of the live workers could take it."""
    requirement, _ = await store.workers.requirement(execution.id)
    queue = requirement.queue if requirement is not None else DEFAULT_QUEUE
    taking = [one for one in await store.workers.live() if one.queues is None or queue in one.queues]
    if not taking:
        return f"It is queued: no live worker takes from queue {queue!r}."
    if requirement is not None:
        lacking = [requirement.types - one.types for one in taking]
        if all(lacking):
            # what the one lacks that has most of it
            fewest = min(len(types) for types in lacking)
            names = ", ".join(sorted(next(types for types in lacking if len(types) == fewest)))
            return f"It is queued: no live worker of queue {queue!r} has {names}."
        taking = [one for one, lacks in zip(taking, lacking, strict=True) if not lacks]
    if all(one.running >= one.max_running for one in taking):
        return f"It is queued: all {len(taking)} workers that could take it are full."
    return "It is queued and will be claimed by the next free worker."


def _holder(key: str) -> str:
    """What a limit belongs to: `workflow:ID`, `trigger:BINDING` or `key:WORKFLOW:VALUE`."""
    kind, _, rest = key.partition(":")
    value = rest.partition(":")[2]
    if kind == "trigger":
        return f"its trigger {value!r}"
    return f"the concurrency key {value!r}" if kind == "key" and value else "its workflow"


def _steps(steps: Sequence[Step]) -> list[str]:
    """A sentence for each, or for many of one map that do the same."""
    alike: dict[tuple[str, str], list[Step]] = {}
    for step in steps:
        outer, bracket, _ = step.node_id.partition("[")
        what = _does(step) if bracket else step.node_id
        alike.setdefault((outer, what), []).append(step)
    sentences: list[str] = []
    for (outer, what), found in alike.items():
        if len(found) <= _TOLD:
            sentences.extend(map(_step, found))
            continue
        items = len({step.node_id[len(outer) :].partition("]")[0] for step in found})
        verb = what if items > 1 else what.replace("wait ", "waits ", 1).replace("run", "runs", 1)
        sentences.append(f"{outer}: {items:,} item{'s' * (items > 1)} {verb}, such as {found[0].node_id}")
    return sentences


def _does(step: Step) -> str:
    """What steps of several items do."""
    if step.status == "retrying":
        return "wait to be tried again"
    if step.status != "waiting":
        return "run"
    wait = step.wait or {}
    if wait.get("child"):
        return "wait for executions"
    if wait.get("reason") == "recovery":
        return "were interrupted by a crash and wait for retry, skip or fail"
    return "wait for an answer" if wait.get("reason") == "answer" else "wait for their time"


def _step(step: Step) -> str:
    if step.status == "retrying" and step.retry_at is not None:
        because = f" after: {step.error.message}" if step.error is not None else ""
        return f"{step.node_id} is tried again at {iso(step.retry_at)} (attempt {step.attempt + 1}){because}"
    if step.status == "waiting":
        wait = step.wait or {}
        if wait.get("child"):
            return f"{step.node_id} waits for execution {wait['child']}"
        if wait.get("reason") == "recovery":
            return f"{step.node_id} was interrupted by a crash and waits for retry, skip or fail"
        until = f" until {wait['until']}" if wait.get("until") else ""
        what = "an answer" if wait.get("reason") == "answer" else "its time"
        if (event := wait.get("event")) is not None:
            key = "" if event["key"] is None else f" with key {event['key']}"
            what = f"event {event['name']}{key}"
        return f"{step.node_id} waits for {what}{until}"
    done = f"{progress_text(step.progress)}, " if step.progress else ""
    return f"{step.node_id} runs ({done}attempt {step.attempt}, since {step.started_at})"
