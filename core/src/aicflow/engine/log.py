"""The log of one execution: read as a whole, and written in batches while a worker runs it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from aicflow.engine.environment import Environment
from aicflow.engine.files import files_in
from aicflow.engine.history import History, fold
from aicflow.engine.masking import Mask
from aicflow.engine.needed import NEEDED, NeededEvents
from aicflow.engine.sealing import Seal
from aicflow.engine.unavailable import retry_while_unavailable
from aicflow.events import encode_event
from aicflow.kernel.errors import StaleClaim
from aicflow.kernel.execution import SETTLED_EVENTS, Execution
from aicflow.kernel.ports.executions import (
    Appended,
    EventBatch,
    ExecutionStore,
    ItemResult,
    Projection,
    StoredAnswer,
    Subscription,
)
from aicflow.kernel.values import dumps, loads

_logger = logging.getLogger("aicflow.engine")
SEALED = "$sealed"
INPUT = f"{SEALED}:/input"
TRIGGER = f"{SEALED}:/trigger"
_PAGE = 2_000
# What goes on after a crash needs of these what the node really said; the others are only read by people.
_NEEDED = frozenset({"step.succeeded", "step.failed", "step.waiting"})


async def read_events(store: ExecutionStore, execution_id: str) -> list[bytes]:
    """Every event of an execution, encoded."""
    events: list[bytes] = []
    while page := await store.events(execution_id, after=len(events), limit=_PAGE):
        events.extend(page)
    return events


async def read_history(store: ExecutionStore, execution_id: str) -> History:
    """What the events of an execution tell, without those in items that have ended, and with outputs of the steps
    outside of bodies that are kept outside of the events."""
    history = fold(await store.needed(execution_id))
    stored = [step_id for step_id, step in history.steps.items() if step.stored and "." not in step_id]
    for step_id, output in (await store.outputs(execution_id, stored)).items() if stored else ():
        history.steps[step_id].output = loads(output)
    return history


def sealed_value(
    seal: Seal, execution_id: str, name: str, hidden: Collection[str], real: bytes, seq: int = 0
) -> tuple[str, bytes]:
    """The name and the sealed form of a real value of which people see a masked one; of event `seq`. The values that
    were hidden go along: the worker that goes on must hide them too."""
    body = dumps(sorted(hidden)) + b"\n" + real
    return name, b"%d:%b" % (seq, seal.close(body, f"{execution_id} {name} {seq}"))


class ExecutionLog:
    """Pending events of one claimed execution. `add` is cheap and synchronous; `flush` returns once everything added
    before it is durable, and tells the hub. A store that cannot write is asked again until it can: nothing is dropped.
    Events hold what people may see: secrets are masked. Where recovery needs the real data, it is kept sealed beside.
    """

    def __init__(
        self, env: Environment, execution: Execution, mask: Mask, lost: Callable[[BaseException], None] | None = None
    ) -> None:
        """`lost` is called with the reason when a flush in the background cannot write any more."""
        self._env = env
        self._execution = execution
        self._lost = lost
        self.mask = mask
        self.last_seq = self.committed = execution.last_seq
        self.opening: Projection | None = None
        """The row to write with the first flush that says nothing of it: when the execution started."""
        self.needed: NeededEvents | None = None
        """Where it has items, the events that a claim needs."""
        self.closed = False
        self.on_cancel: Callable[[], None] | None = None
        self._pending: list[bytes] = []
        self._outputs: dict[str, bytes] = {}
        self._consumed: list[tuple[str, int]] = []
        self._items: list[ItemResult] = []
        self.on_answer: Callable[[StoredAnswer], None] | None = None
        self._subscribed: dict[str, int] = {}
        self._subscriptions: list[Subscription] = []
        self._early: set[tuple[str, int]] = set()
        self._progress: dict[str, tuple[int, Mapping[str, Any]]] = {}
        self._projection: Projection | None = None
        self._sealed = False
        self._appended: Appended | None = None
        self._busy: asyncio.Future[None] | None = None
        self._timer: asyncio.Handle | None = None
        self._task: asyncio.Task[None] | None = None

    def add(
        self,
        event_type: str,
        node_id: str | None = None,
        attempt: int | None = None,
        data: Mapping[str, Any] | bytes = b"{}",
        real: bytes | None = None,
    ) -> None:
        """Number and encode an event; it is committed by the next flush, at the latest after `flush_after` seconds.
        `real` is what stands behind `data` when that is masked already."""
        if self.closed or self._sealed:
            return
        if self._progress:
            self._say_progress(event_type, node_id)
        body = data if type(data) is bytes else dumps(data)
        shown = self.mask.event(body)
        self.last_seq += 1
        if (shown is not body or real is not None) and event_type in _NEEDED:
            self._keep_sealed(f"{SEALED}:{node_id}", real or body, self.last_seq)
            shown = shown[:-1] + b',"masked":true}'
        self._pending.append(
            encode_event(self.last_seq, self._env.clock.now(), event_type, self._execution.id, node_id, attempt, shown)
        )
        if self.needed is not None:
            self.needed.add(self.last_seq, event_type, node_id)
        self._flush_later()

    def _flush_later(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._env.options.flush_after, self._due)

    def keep_item(self, item: ItemResult) -> None:
        """Commit the result of an item beside the pending events. Where it held a secret, what is kept is masked, and
        the real output sealed beside it."""
        if self.closed or self._sealed:
            return
        if item.output is not None and (shown := self.mask.json(item.output)) is not item.output:
            self._keep_sealed(f"{SEALED}:{item.step_id}[{item.index}]", item.output, 0)
            item = replace(item, output=shown, masked=True)
        if item.key is not None and (key := self._env.vault.key(item.key, self.mask)) != item.key:
            item = replace(item, key=key)
        if item.error is not None:
            item = replace(item, error=self.mask.json(item.error))
        if self.needed is not None and (seqs := self.needed.end(item.step_id, item.index)) is not None:
            item = replace(item, first_seq=seqs[0], last_seq=seqs[1])
        self._items.append(item)
        self._flush_later()

    def forget_items(self, prefix: str) -> None:
        """What items of steps whose ids begin so came to counts no more."""
        self._progress = {name: value for name, value in self._progress.items() if not name.startswith(prefix)}
        if self.needed is not None:
            self.needed.forget(prefix)
        self.keep_item(ItemResult(prefix, -1, False))

    def show_progress(self, step_id: str, attempt: int, data: Mapping[str, Any]) -> None:
        """Say how far the step is, with the next flush; what was to be said before is not."""
        self._progress[step_id] = (attempt, data)
        self._flush_later()

    def _say_progress(self, before: str = "execution.", step_id: str | None = None) -> None:
        """What comes before the turn's last event, and before an outer step is settled; an inner one says no more."""
        if before in SETTLED_EVENTS and step_id is not None:
            last = self._progress.pop(step_id, None)
            if last is not None and "." not in step_id:
                self.add("step.progress", step_id, *last)
        if before.startswith("execution."):
            progress, self._progress = self._progress, {}
            for name, (attempt, data) in progress.items():
                self.add("step.progress", name, attempt, data)

    def keep_output(self, node_id: str, encoded: bytes) -> None:
        """Commit this output beside the pending events: it is too large to stand in one."""
        self._outputs[node_id] = encoded

    def keep_sealed_output(self, encoded: bytes) -> None:
        """Keep the execution's real output for the step of its parent that waits for it."""
        self._keep_sealed(SEALED, encoded, 0)

    def _keep_sealed(self, name: str, real: bytes, seq: int) -> None:
        name, body = sealed_value(self._env.seal, self._execution.id, name, self.mask.values, real, seq)
        self._outputs[name] = body

    def consume_answer(self, node_id: str, call: int) -> None:
        """The pending events carry what the answer to this wait led to; forget it when they are committed."""
        self._consumed.append((node_id, call))

    def subscribe(self, wait: Subscription) -> None:
        """Let the step's wait for an event begin with the pending events; one that came before is told to `on_answer`
        when they are committed."""
        self._subscribed[wait.node_id] = wait.call
        self._subscriptions.append(wait)

    def subscribed(self, node_id: str, call: int) -> None:
        """An earlier turn had begun the step's wait for an event."""
        self._subscribed[node_id] = call

    def received(self, node_id: str) -> None:
        """The step has the event that it waited for, if it did for one."""
        self._subscribed.pop(node_id, None)

    def unsubscribe(self, node_id: str) -> None:
        """The step waits no more, and had no event: one that comes at this moment is left for the next wait."""
        if (call := self._subscribed.pop(node_id, None)) is not None:
            self._subscriptions.append(Subscription(node_id, call))

    def flush_soon(self) -> None:
        """Flush when the running task next yields."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_soon(self._due)

    def _due(self) -> None:
        self._timer = None
        if (self._pending or self._items) and not self.closed and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._flush_in_background())

    async def _flush_in_background(self) -> None:
        try:
            await self.flush()
        except (StaleClaim, asyncio.CancelledError) as error:
            self._give_up(error)
        except Exception as error:
            _logger.exception("Committing events of execution %s failed", self._execution.id)
            self._give_up(error)
        finally:
            self._task = None
            if self._timer is None:
                self._due()  # what was added meanwhile found this flush under way and set no timer of its own

    async def flush(self, projection: Projection | None = None) -> Appended | None:
        """Commit every pending event, with `projection` as the execution's row after them; then no event is taken any
        more. Raises StaleClaim."""
        self._say_progress()
        if projection is not None:
            # whichever flush takes the pending events takes it along: an end and its status are never apart
            self._projection, self._sealed = projection, True
        target = self.last_seq
        while self._busy is not None:
            await asyncio.shield(self._busy)
            if self.committed >= target and self._projection is None:
                return self._appended
        if self.closed:
            raise StaleClaim(self._execution.id)
        projection, self._projection = self._projection, None
        if not self._pending and not self._items and projection is None:
            return None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if projection is None:
            projection = self.opening
        self.opening = None
        if self.needed is not None and self.needed.is_due(self.last_seq):
            self._outputs[NEEDED] = self.needed.written(self.last_seq)
        events, self._pending = self._pending, []
        outputs, self._outputs = self._outputs, {}
        consumed, self._consumed = self._consumed, []
        items, self._items = self._items, []
        subscriptions, self._subscriptions = self._subscriptions, []
        last = projection.output if projection is not None and projection.output is not None else b""
        busy = self._busy = asyncio.get_running_loop().create_future()
        try:
            batch = EventBatch(self.committed + 1, events)
            append = partial(
                self._env.store.executions.append,
                self._execution.id,
                self._execution.epoch,
                batch,
                projection,
                outputs,
                consumed,
                items,
                subscriptions,
                files_in(*events, *outputs.values(), *(item.output for item in items if item.output is not None), last),
            )
            appended = await retry_while_unavailable(append, self._execution.id)
        except BaseException:
            self.closed = True
            raise
        finally:
            self._busy = None
            busy.set_result(None)
        first = self.committed + 1
        self.committed += len(events)
        self._appended = appended
        if appended.cancel_requested and self.on_cancel is not None:
            self.on_cancel()
        self._env.hub.publish(self._execution.id, self._execution.workflow_id, first, events)
        for answer in appended.answers:
            wait = answer.node_id, answer.call
            if self._subscribed.get(answer.node_id) == answer.call and wait not in self._early and self.on_answer:
                self._early.add(wait)
                self.on_answer(answer)
        return appended

    def _give_up(self, error: BaseException) -> None:
        if self._lost is not None:
            self._lost(error)

    def close(self) -> None:
        """Take no more events: what is added from now on is dropped."""
        self.closed = True
        self._lost = self.on_cancel = self.on_answer = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
