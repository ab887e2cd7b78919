"""Running the bodies of nodes: the items of a map, the passes of a repeat, a group.

They run inside the execution, by the rule of the graph, each as a frame of its own whose steps are called
`each[17].get`. A map holds a window of items: `concurrency` tasks, and one that waits for long holds none.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from aicflow.engine.nodes.attempt import Failed, Interrupted, Outcome, Succeeded
from aicflow.engine.nodes.outputs import checked_output, within
from aicflow.engine.nodes.params import resolved, step_params
from aicflow.engine.run.failure import report_of, report_to_json
from aicflow.engine.run.items import read_items
from aicflow.engine.run.open_steps import OpenStep
from aicflow.engine.run.outcome import body_output
from aicflow.engine.run.recovery import Resumption, settlement_of
from aicflow.engine.run.step import SteppedRun, StepRunner
from aicflow.engine.unavailable import retry_while_unavailable
from aicflow.kernel.clock import iso
from aicflow.kernel.document import Delay, Group, Map, Repeat
from aicflow.kernel.errors import NodeError, OutputInvalid, PermanentError, StepTimeout, TransientError
from aicflow.kernel.execution import Step
from aicflow.kernel.graph import Walk
from aicflow.kernel.ports.engine import Settlement
from aicflow.kernel.ports.executions import ItemResult
from aicflow.kernel.values import dumps, loads
from aicflow.language.plan import Body, PlannedBody

_COMPACT_ABOVE = 1_000
_PAGE = 1_000


class Bodies:
    """What one turn of an execution knows of its bodies: steps inside that an earlier turn began, items that ended."""

    def __init__(self, run: SteppedRun, resumption: Resumption, ended: dict[str, dict[int, bool]]) -> None:
        self.run_of = run
        self.inside = resumption.inside
        self.begun = resumption.begun
        self.ended = ended
        self.real = resumption.items
        self.resting: dict[str, _Frames] = {}
        """Bodies in items that this turn has begun and all of whose steps wait, by the id of their step."""

    def left(self, prefix: str = "") -> list[Step]:
        """Take away the steps of an earlier turn whose ids begin so; those that are not settled."""
        left: list[Step] = []
        for step_id in [step_id for step_id in self.resting if step_id.startswith(prefix)]:
            del self.resting[step_id]
        for at in [at for at in self.inside if at.startswith(prefix)]:
            steps = self.inside.pop(at).values()
            left += [step for step in steps if settlement_of(step) is None and step.status != "cancelled"]
        return left

    def run_in(self, step_id: str, body: PlannedBody) -> str:
        """What the ids begin with of the steps in the run that an earlier turn left a group or a repeat in."""
        if isinstance(body.entry, Repeat):
            return f"{step_id}[{len(self.ended.get(step_id, ()))}]."
        return step_id + "."

    def forget(self, prefix: str) -> None:
        """The body runs from its beginning: what is inside of it counts no more."""
        self.left(prefix)
        for known in (self.begun, self.ended, self.real):
            for name in [name for name in known if name.startswith(prefix)]:
                del known[name]
        self.run_of.log.forget_items(prefix)

    async def run(self, frame: StepRunner, step: OpenStep, deadline: float | None) -> Outcome | None:
        """Run the body of the step: its outcome, or None when it is parked. In an item it rests, and holds nothing,
        while all that is left of it waits: it is run again when something inside can go on, or its time is over."""
        frame.sleepers.rouse(step.id)
        body = self.resting.pop(step.id, None) or self._begin(frame, step, deadline)
        body.due = None
        outcome = await self._within(body, frame, step)
        if outcome is None and frame.woken is not None and not frame.sleepers.parking:
            self.resting[step.id] = body
            if times := [at for at in (body.ends, body.due) if at is not None]:
                frame.sleepers.doze(step.id, min(times), frame.woken)
        return outcome

    def _begin(self, frame: StepRunner, step: OpenStep, deadline: float | None) -> _Frames:
        planned = step.node.body
        assert planned is not None
        match planned.entry:
            case Map() as entry:
                body: _Frames = _MapBody(self, frame, step, planned, entry)
            case Repeat() as entry:
                body = _RepeatBody(self, frame, step, planned, entry)
            case Group() as entry:
                body = _GroupBody(self, frame, step, planned, entry)
            case _:
                raise AssertionError(planned.entry)
        # its time counts from when it began: it goes on while what is inside waits
        now = self.run_of.env.clock.now()
        seconds = body.limit = step.node.timeout
        if seconds is not None and step.begun is not None and step.attempt == 1 and step.begun.started_at is not None:
            seconds -= max(0.0, now - datetime.fromisoformat(step.begun.started_at).timestamp())
        if deadline is not None:
            left = deadline - asyncio.get_running_loop().time()
            if seconds is None or left < seconds:
                seconds, body.limit = left, step.node.step_timeout
        body.ends = None if seconds is None else now + max(0.0, seconds)
        return body

    async def _within(self, body: _Frames, frame: StepRunner, step: OpenStep) -> Outcome | None:
        """Run it within its time limit."""
        if body.ends is None:
            return await body.run()
        late = False

        def time_out() -> None:
            nonlocal late
            late = True
            body.stop()

        frame.sleepers.ends[step.id] = body.ends
        left = body.ends - self.run_of.env.clock.now()
        timer = asyncio.get_running_loop().call_later(max(0.0, left), time_out)
        if left <= 0:
            time_out()  # what rests would rest again before the timer has its turn
        try:
            outcome = await body.run()
        finally:
            timer.cancel()
        if outcome is not None:
            del frame.sleepers.ends[step.id]
        if late and isinstance(outcome, Interrupted | None):
            hint = "Raise its timeout, or make its work smaller."
            return Failed(StepTimeout(f"{step.id} did not end within {body.limit:g} s.", hint=hint))
        return outcome


class _Frames(ABC):
    """What the kinds of bodies share: making frames, stopping them, and what one run of the body gives."""

    def __init__(self, bodies: Bodies, frame: StepRunner, step: OpenStep, body: PlannedBody) -> None:
        self._bodies = bodies
        self._run = bodies.run_of
        self._frame = frame
        self._step = step
        self._node = step.node
        self._body = body
        self._live: set[StepRunner] = set()
        self._stopped = False
        self.ends: float | None = None
        """When it is over at the latest, by its time limit of `limit` seconds."""
        self.limit: float | None = None
        self.due: float | None = None
        """When it goes on by itself, if it rests until then."""

    @abstractmethod
    async def run(self) -> Outcome | None:
        """Go on: the outcome, or None when all that is left waits."""

    @property
    def _stops(self) -> bool:
        return self._stopped or self._frame.stops(self._node)

    async def _start(self, prefix: str, names: Mapping[str, Any], **options: Any) -> StepRunner:
        """A frame for one run of the body, going on where an earlier turn left it."""
        steps = self._bodies.inside.pop(prefix, {})
        # outputs too large for events are not read with a claim
        if stored := [prefix + node_id for node_id, step in steps.items() if _may_be_stored(step)]:
            read = partial(self._run.env.store.executions.outputs, self._run.execution_id, stored)
            for step_id, output in (await retry_while_unavailable(read)).items():
                steps[step_id.removeprefix(prefix)].output = loads(output)
        return self._frame.inside(self._node, self._body, prefix, names, steps, **options)

    async def _walk(self, inner: StepRunner, limit: int | None = None) -> None:
        """Run what can run of the frame. Only the steps inside count as busy meanwhile."""
        self._live.add(inner)
        inner.stopped = self._stopped
        run = inner.run
        if limit is not None:
            places = asyncio.Semaphore(limit)

            async def run(index: int) -> Settlement:
                async with places:
                    return await inner.run(index)

        try:
            with self._frame.sleepers.aside():
                await self._run.walk(self._body, run, inner.skip, inner.prefix)
        finally:
            self._live.discard(inner)

    def stop(self) -> None:
        """Interrupt everything inside."""
        self._stopped = True
        for inner in self._live:
            inner.stopped = True
        self._frame.open.interrupt_inside(self._step.id + ".")
        self._frame.open.interrupt_inside(self._step.id + "[")

    async def _close(self, prefix: str) -> None:
        """What is open inside will not go on."""
        for step in self._frame.open.interrupt_inside(prefix):
            self._run.log.add("step.cancelled", step.id, step.attempt)
            self._frame.open.by_id.pop(step.id, None)
            if step.begun is not None and (step.begun.wait or {}).get("child"):
                await self._run.children.cancel(self._run.execution_id, step.id)
        for left in self._bodies.left(prefix):
            self._run.log.add("step.cancelled", left.node_id, left.attempt)
            if (left.wait or {}).get("child"):
                await self._run.children.cancel(self._run.execution_id, left.node_id)

    def _cause(self, inner: StepRunner) -> dict[str, Any] | None:
        """The report of the failure in the frame that came first."""
        error = next((step.error for step in inner.failures if step.error is not None), None)
        return None if error is None else report_to_json(error)

    def _output(self, inner: StepRunner) -> tuple[Any, bytes]:
        """What the run of the body gives, and encoded. Raises NodeError."""
        output = body_output(self._body, inner.scope, inner.ran)
        try:
            encoded = dumps(output)
        except ValueError as error:
            raise OutputInvalid(f"The output of {inner.prefix[:-1]} is not JSON: {error}") from None
        return output, within(encoded, self._run.options.max_output, f"The output of {inner.prefix[:-1]}")

    def _done(self, value: Any) -> Outcome:
        try:
            output, encoded = checked_output(self._node, value, self._run.options.max_output)
        except NodeError as error:
            return Failed(error)
        return Succeeded("main", output, encoded)

    async def _earlier(self, after: int, succeeded: bool | None = None) -> Sequence[ItemResult]:
        """A page of items that ended in an earlier turn."""
        read = partial(
            self._run.env.store.executions.items,
            self._run.execution_id,
            self._step.id,
            after=after,
            limit=_PAGE,
            succeeded=succeeded,
        )
        page = await retry_while_unavailable(read)
        real, step_id = self._bodies.real, self._step.id
        return (
            [replace(item, output=real.get(f"{step_id}[{item.index}]", item.output)) for item in page] if real else page
        )


def _may_be_stored(step: Step) -> bool:
    return step.output is None and settlement_of(step) is not None and step.status == "succeeded"


class _GroupBody(_Frames):
    def __init__(self, bodies: Bodies, frame: StepRunner, step: OpenStep, body: PlannedBody, entry: Group) -> None:
        super().__init__(bodies, frame, step, body)
        self._concurrency = entry.concurrency
        self._inner: StepRunner | None = None

    async def run(self) -> Outcome | None:
        prefix = self._step.id + "."
        inner = self._inner = self._inner or await self._start(prefix, {}, woken=self._frame.woken)
        await self._walk(inner, self._concurrency)
        if self._stops:
            await self._close(prefix)
            return Interrupted()
        if (cause := self._cause(inner)) is not None:
            await self._close(prefix)
            message = f"{self._step.id} failed at {cause.get('node_id')}: {cause['message']}"
            details = {"error": cause}
            return Failed(TransientError(message, code="group-failed", hint=cause.get("hint"), details=details))
        if not inner.is_settled:
            return None
        try:
            return self._done(self._output(inner)[0])
        except NodeError as error:
            return Failed(error)


class _RepeatBody(_Frames):
    def __init__(self, bodies: Bodies, frame: StepRunner, step: OpenStep, body: PlannedBody, entry: Repeat) -> None:
        super().__init__(bodies, frame, step, body)
        self._entry = entry
        self._passes: int | None = None
        self._carry: Any = None
        self._inner: StepRunner | None = None

    async def run(self) -> Outcome | None:
        try:
            if self._passes is None:
                self._passes = len(self._bodies.ended.get(self._step.id, ()))
                if self._passes:
                    self._carry = loads((await self._earlier(self._passes - 2))[0].output or b"null")
                else:
                    params: Any = step_params(self._node, self._frame.scope, self._run.secrets.value)
                    self._carry = params.carry
            while True:
                passes, carry, inner = self._passes, self._carry, self._inner
                prefix = f"{self._step.id}[{passes}]."
                if inner is None:
                    done = passes > 0 and not self._goes_on(carry, passes)
                    if done or passes >= self._entry.max:
                        return self._done({"carry": carry, "passes": passes, "done": done})
                    if passes and (woken := await self._pause(passes)) is not None:
                        return None if woken == "parked" else Interrupted()
                    names = {"carry": carry, "index": passes}
                    inner = self._inner = await self._start(prefix, names, woken=self._frame.woken)
                await self._walk(inner)
                if self._stops:
                    await self._close(prefix)
                    return Interrupted()
                if (cause := self._cause(inner)) is not None:
                    await self._close(prefix)
                    return Failed(_failure("Pass", "pass-failed", passes, None, cause))
                if not inner.is_settled:
                    return None
                self._carry, encoded = self._output(inner)
                self._run.log.keep_item(ItemResult(self._step.id, passes, True, output=encoded))
                self._passes, self._inner = passes + 1, None
                self._run.log.show_progress(self._step.id, self._step.attempt, {"passes": self._passes})
        except NodeError as error:
            return Failed(error)

    def stop(self) -> None:
        """Interrupt everything inside, and the wait for the next pass."""
        super().stop()
        self._frame.sleepers.finish(self._step.id)

    def _goes_on(self, carry: Any, passes: int) -> bool:
        if self._body.rule is None:
            return bool(self._entry.while_)
        scope = {**self._frame.scope, "carry": carry, "index": passes - 1}
        return bool(resolved(self._body.rule, scope, None, "while"))

    async def _pause(self, passes: int) -> str | None:
        """Wait before the next pass: None when the time came."""
        step, sleepers, clock = self._step, self._frame.sleepers, self._run.env.clock
        if step.begun is not None and step.begun.status == "waiting" and step.begun.wait is not None:
            until, seconds = step.begun.wait.get("until_seconds"), None
            step.begun.status, step.begun.wait = "running", None
        else:
            delay = self._entry.delay
            if isinstance(delay, Delay):
                seconds = min(delay.max, delay.initial * min(delay.multiplier ** min(passes - 1, 64), 1e18))
            else:
                seconds = delay
            if seconds <= 0:
                return None
            until = clock.now() + seconds
            if sleepers.is_long(until):
                step.waits.number += 1
                wait = {"reason": "time", "call": step.waits.number, "until": iso(until), "until_seconds": until}
                self._run.log.add("step.waiting", step.id, step.attempt, wait)
        if self._stops:
            return "stopped"
        if step.take_answer() is None:
            rests = self._frame.woken is not None and not sleepers.parking
            if rests and step.begun is not None and sleepers.is_long(until):
                step.begun.status, step.begun.wait = "waiting", {"until_seconds": until}
                self.due = until
                return "parked"
            woken = await sleepers.sleep(step.id, until, seconds)
            if woken in ("parked", "stopped") or self._stops:
                return "parked" if woken == "parked" else "stopped"
        if step.waits.number:
            self._run.log.add("step.started", step.id, step.attempt, {"woken": "timeout", "call": step.waits.number})
        return None


class _MapBody(_Frames):
    def __init__(self, bodies: Bodies, frame: StepRunner, step: OpenStep, body: PlannedBody, entry: Map) -> None:
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
        self._error = _failure("Item", "item-failed", index, key, cause, failed)
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


def _failure(
    what: str, code: str, index: int, key: str | float | None, cause: dict[str, Any], failed: int | None = None
) -> PermanentError:
    """Why a map or a repeat failed: which item or pass, and what happened in it."""
    name = f"{what} {index}" + (f" (key {key!r})" if key is not None else "")
    where = f" at {cause['node_id']}" if cause.get("node_id") else ""
    before = f"{failed} items failed, more than are tolerated; the last one: " if failed is not None else ""
    details: dict[str, Any] = {"index": index, "error": cause}
    if key is not None:
        details["key"] = key
    return PermanentError(
        f"{before}{name} failed{where}: {cause['message']}", code=code, hint=cause.get("hint"), details=details
    )
