"""Running the bodies of nodes: the items of a map, the passes of a repeat, a group.

They run inside the execution, by the rule of the graph, within the time limit of their node.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from aicflow.engine.nodes.attempt import Failed, Interrupted, Outcome
from aicflow.engine.nodes.params import resolved, step_params
from aicflow.engine.run.frames import BodyState, Frames, body_failure
from aicflow.engine.run.maps import MapBody
from aicflow.engine.run.open_steps import OpenStep
from aicflow.engine.run.step import StepRunner
from aicflow.kernel.clock import iso
from aicflow.kernel.document import Delay, Group, Map, Repeat
from aicflow.kernel.errors import NodeError, StepTimeout, TransientError
from aicflow.kernel.ports.executions import ItemResult
from aicflow.kernel.values import loads
from aicflow.language.plan import PlannedBody


class Bodies(BodyState):
    """Runs the bodies of one turn of an execution."""

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

    def _begin(self, frame: StepRunner, step: OpenStep, deadline: float | None) -> Frames:
        planned = step.node.body
        assert planned is not None
        match planned.entry:
            case Map() as entry:
                body: Frames = MapBody(self, frame, step, planned, entry)
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

    async def _within(self, body: Frames, frame: StepRunner, step: OpenStep) -> Outcome | None:
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


class _GroupBody(Frames):
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


class _RepeatBody(Frames):
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
                    return Failed(body_failure("Pass", "pass-failed", passes, None, cause))
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
