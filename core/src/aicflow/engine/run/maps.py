"""Running a map: a window of items, `concurrency` tasks at once. An item that waits for long holds none."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from aicflow.engine.nodes.attempt import Failed, Interrupted, Outcome
from aicflow.engine.run.failure import report_of, report_to_json
from aicflow.engine.run.frames import BodyState, Frames, body_failure
from aicflow.engine.run.items import read_items
from aicflow.engine.run.open_steps import OpenStep
from aicflow.engine.run.recovery import settlement_of
from aicflow.engine.run.step import StepRunner
from aicflow.kernel.document import Map
from aicflow.kernel.errors import NodeError
from aicflow.kernel.graph import Walk
from aicflow.kernel.ports.executions import ItemResult
from aicflow.kernel.values import dumps, loads
from aicflow.language.plan import Body, PlannedBody

_COMPACT_ABOVE = 1_000


class MapBody(Frames):
    """One turn of a map."""

    def __init__(self, bodies: BodyState, frame: StepRunner, step: OpenStep, body: PlannedBody, entry: Map) -> None:
        super().__init__(bodies, frame, step, body)
        self._entry = entry
        self._items: Sequence[Any] = ()
        self._keys: list[str | float] | None = None
        self._values: dict[int, Any] = {}
        self._failures: dict[int, dict[str, Any]] = {}
        self._ready: deque[int] = deque()
        self._fresh: Iterator[int] = iter(())
        self._more = True
        self._resting: dict[int, StepRunner | None] = {}
        """Items all of whose steps wait; None for one that this turn has not taken up."""
        self._queued: dict[int, StepRunner | None] = {}
        """Those that go on as soon as a worker is free."""
        self._woken: set[int] = set()
        """Items that are at work and go on at once when they come to rest."""
        self._workers: set[asyncio.Task[None]] = set()
        self._ended = 0
        self._failed = 0
        self._quiet = False
        self._has_begun = self._runs = False
        self._error: NodeError | None = None
        self._fault: BaseException | None = None

    async def run(self) -> Outcome | None:
        if not self._has_begun:
            self._has_begun = True
            if (outcome := await self._begin()) is not None:
                return outcome
        self._runs = True
        try:
            if self._frame.woken is None:
                await self._work_to_the_end()
            else:
                while (self._ready or self._more) and self._ended < len(self._items) and not self._is_over:
                    await self._work_to_the_end()  # until all that is left of its items waits
        finally:
            self._runs = False
            for worker in self._workers:
                worker.cancel()
        return await self._outcome()

    async def _begin(self) -> Outcome | None:
        step = self._step
        try:
            await self._read_items()
        except NodeError as error:
            return Failed(error)
        ended = self._bodies.ended.get(step.id, {})
        begun = self._bodies.begun.pop(step.id, set()) - ended.keys()
        self._ended, self._failed = len(ended), sum(not succeeded for succeeded in ended.values())
        if self._failed and self._is_too_many():
            failed = (await self._earlier(-1, succeeded=False))[-1]  # a crash came between its end and the map's
            self._fail(failed.index, loads(failed.error or b"{}"))
            return await self._outcome()
        self._ready.extend(index for index in sorted(begun) if not self._rests(index))
        self._fresh = (index for index in range(len(self._items)) if index not in ended and index not in begun)
        return None

    async def _work_to_the_end(self) -> None:
        if self._ended < len(self._items) and not self._stops:
            self._fill()
            woken = await self._frame.sleepers.sleep(self._step.id, None, listed=False)
            if woken == "stopped":
                self.stop()
        while self._workers:
            await asyncio.wait(self._workers)

    async def _read_items(self) -> None:
        """The list and its keys. Raises NodeError."""
        self._items, self._keys = await read_items(self._node, self._frame.scope, self._run.secrets.value)
        history = self._run.plan.document.settings.history
        self._quiet = history == "compact" or (history is None and len(self._items) > _COMPACT_ABOVE)

    def _names(self, index: int) -> dict[str, Any]:
        return {self._entry.as_: self._items[index], "index": index}

    def _prefix(self, index: int) -> str:
        return f"{self._step.id}[{index}]."

    def _rests(self, index: int) -> bool:
        """Whether all that is left of an item of an earlier turn waits; then it is left alone until something comes."""
        prefix, sleepers, steps = self._prefix(index), self._frame.sleepers, self._frame.open
        left = self._asleep(prefix, self._body)
        if not left:
            return False
        wake = partial(self._wake, index)
        for step_id, until in left.items():
            sleepers.doze(step_id, until, wake)
        steps.idle[prefix] = wake
        self._resting[index] = None
        return True

    def _asleep(self, prefix: str, body: Body) -> dict[str, float | None]:
        """The steps of an earlier turn in a run of a body that are left, and until when they wait; none when something
        can go on before."""
        steps = self._bodies.inside.get(prefix, {})
        walk = Walk(body.graph)
        found: dict[str, float | None] = {}
        ready = walk.start()
        for at in ready:  # grows while it is read
            node = body.nodes[at]
            step = steps.get(node.id)
            if step is None:
                return {}  # its turn had come
            if (ports := settlement_of(step)) is not None:
                ready += walk.settle(at, ports)[0]
                continue
            step_id, wait = prefix + node.id, step.wait or {}
            if node.body is not None and not (node.timeout is None is node.step_timeout):
                return {}  # its time goes on
            if step.status == "running" and node.body is not None:
                inner = self._asleep(self._bodies.run_in(step_id, node.body), node.body)
                if not inner:
                    return {}
                found |= inner
                continue
            until = step.retry_at if step.status == "retrying" else wait.get("until_seconds")
            watched = wait.get("child") is not None and not self._run.env.store.exclusive
            if step.status not in ("waiting", "retrying") or watched or step_id in self._frame.open.early:
                return {}
            if not self._frame.sleepers.is_long(until):
                return {}
            found[step_id] = until
        return found

    # The window

    def _fill(self) -> None:
        """Have as many workers as there is work for."""
        while len(self._workers) < self._entry.concurrency and (self._ready or self._more) and not self._is_over:
            if not self._ready:
                index = next(self._fresh, None)
                self._more = index is not None
                if index is None:
                    return
                self._ready.append(index)
            self._frame.sleepers.begin()
            worker = asyncio.get_running_loop().create_task(self._work(self._ready.popleft()))
            self._workers.add(worker)

    @property
    def _is_over(self) -> bool:
        return self._stops or self._fault is not None or self._frame.sleepers.parking

    def _next(self) -> int | None:
        if self._is_over:
            return None
        if self._ready:
            return self._ready.popleft()
        index = next(self._fresh, None)
        self._more = index is not None
        return index

    async def _work(self, first: int) -> None:
        """Run items, one after another."""
        worker = asyncio.current_task()
        index: int | None = first
        try:
            while index is not None:
                await self._run_item(index)
                index = self._next()
        except BaseException as error:
            self._fault = self._fault or error
            self.stop()
        finally:
            self._frame.sleepers.end()
            self._workers.discard(worker)
            is_over = self._ended == len(self._items) or self._stopped or self._fault is not None
            if not self._workers and (is_over or self._frame.woken is not None):
                self._frame.sleepers.finish(self._step.id)

    def _wake(self, index: int) -> None:
        """Something that the item waited for has come."""
        if index in self._resting:
            self._queue(index, self._resting.pop(index))
        elif index not in self._queued:
            self._woken.add(index)  # it is about to rest

    def _queue(self, index: int, inner: StepRunner | None) -> None:
        self._frame.open.idle.pop(self._prefix(index), None)
        self._queued[index] = inner
        self._ready.append(index)
        if self._runs:
            self._fill()
        elif self._frame.woken is not None:
            self._frame.woken()  # it rests in an item, which goes on with it

    async def _run_item(self, index: int) -> None:
        prefix = self._prefix(index)
        inner = self._queued.pop(index, None)
        self._woken.discard(index)
        if inner is None:
            wake = partial(self._wake, index)
            inner = await self._start(prefix, self._names(index), quiet=self._quiet, woken=wake)
        await self._walk(inner)
        if self._stops:
            return
        if (cause := self._cause(inner)) is not None:
            if not inner.is_settled:
                await self._close(prefix)
            self._item_failed(index, cause)
        elif inner.is_settled:
            try:
                self._item_succeeded(index, *self._output(inner))
            except NodeError as error:
                report = report_of(error, prefix[:-1], 1)
                self._item_failed(index, report_to_json(report, self._run.mask, hide=False))
        elif not inner.postponed:
            if index in self._woken:
                self._queue(index, inner)
            else:
                self._resting[index] = inner

    def _item_succeeded(self, index: int, output: Any, encoded: bytes) -> None:
        collect = self._entry.collect
        kept = collect == "items" or (collect == "last" and index == len(self._items) - 1)
        if kept:
            self._values[index] = output
        self._keep(index, ItemResult(self._step.id, index, True, self._key(index), encoded if kept else None))

    def _item_failed(self, index: int, cause: dict[str, Any]) -> None:
        self._failures[index] = cause
        self._failed += 1
        self._keep(index, ItemResult(self._step.id, index, False, self._key(index), error=dumps(cause)))
        if self._error is None and self._is_too_many():
            self._fail(index, cause)

    def _is_too_many(self) -> bool:
        """Whether more items have failed than may."""
        rule = self._entry.on_item_error
        if isinstance(rule, str):
            return rule == "fail"
        count, percent = rule.tolerate.count, rule.tolerate.percent
        return (count is not None and self._failed > count) or (
            percent is not None and self._failed * 100 > percent * len(self._items)
        )

    def _fail(self, index: int, cause: dict[str, Any]) -> None:
        """The map fails because of this item."""
        failed = None if self._entry.on_item_error == "fail" else self._failed
        key = None if self._keys is None else self._keys[index]
        self._error = body_failure("Item", "item-failed", index, key, cause, failed)
        self.stop()

    def _keep(self, index: int, result: ItemResult) -> None:
        self._ended += 1
        self._run.log.keep_item(result)
        progress = {"count": len(self._items), "ended": self._ended, "failed": self._failed}
        self._run.log.show_progress(self._step.id, self._step.attempt, progress)

    def _key(self, index: int) -> str | None:
        return None if self._keys is None else str(self._keys[index])

    def stop(self) -> None:
        """Interrupt everything inside."""
        super().stop()
        if not self._workers:
            self._frame.sleepers.finish(self._step.id)

    # The end

    async def _outcome(self) -> Outcome | None:
        if self._fault is not None:
            raise self._fault
        if self._error is not None or self._stops:
            await self._close(self._step.id + "[")
            return Failed(self._error) if self._error is not None else Interrupted()
        if self._ended < len(self._items):
            if self._ready or next(self._fresh, None) is not None:
                self._frame.sleepers.postponed = True
            return None
        return self._done(await self._collected())

    async def _collected(self) -> dict[str, Any]:
        """The map's output; what earlier turns have done is read from the store."""
        values, failures, total = self._values, self._failures, len(self._items)
        if len(values) + len(failures) < (total if self._entry.collect == "items" else min(total, 1)):
            after = -1
            while page := await self._earlier(after):
                for item in page:
                    if item.succeeded and item.output is not None:
                        values.setdefault(item.index, loads(item.output))
                    elif not item.succeeded and item.error is not None:
                        failures.setdefault(item.index, loads(item.error))
                after = page[-1].index
        match self._entry.collect:
            case "items":
                items = [values.get(index) for index in range(total)]
            case "last":
                items = [values.get(total - 1)] if total else []
            case _:
                items = []
        keys = self._keys
        failed = [
            {"index": index, "key": None if keys is None else keys[index], "error": error}
            for index, error in sorted(failures.items())
        ]
        return {"items": items, "failed": failed, "count": total, "succeeded": total - len(failures)}
