"""Running the steps of one execution: resolve, check, run, retry, wait, and say how each one settled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from aicflow.engine.nodes.attempt import Attempt, Failed, Interrupted, Outcome, Succeeded
from aicflow.engine.nodes.context import StepRun
from aicflow.engine.nodes.outputs import as_event
from aicflow.engine.run.failure import backoff, forget_frames, report_of, report_to_json, retryable
from aicflow.engine.run.open_steps import OpenStep, OpenSteps
from aicflow.engine.run.recovery import FrameState, Waits, frame_state
from aicflow.engine.run.step_waits import Decided, Left, StepWaits, TryAgain, Waited, WaitingRun
from aicflow.kernel.clock import iso
from aicflow.kernel.context import Answer
from aicflow.kernel.execution import FailureReport, Step
from aicflow.kernel.node import StartChild, Wait
from aicflow.kernel.ports.engine import RunStep, Settlement, Skip
from aicflow.kernel.values import dumps
from aicflow.language.plan import Body, Plan, PlannedNode

_YIELD_EVERY = 64


class SteppedRun(StepRun, WaitingRun, Protocol):
    """What the steps of an execution need of it."""

    plan: Plan

    @property
    def is_stopping(self) -> bool: ...

    def end_deltas(self, node_id: str, attempt: int) -> None:
        """The attempt is over: show what was held back of its deltas."""
        ...

    def stops(self, node: PlannedNode) -> bool:
        """Whether a node of the workflow itself has to stop."""
        ...

    @property
    def waits(self) -> dict[str, Waits]:
        """What an earlier turn wrote of the waits of steps that are not settled, by step id."""
        ...

    async def run_body(self, frame: StepRunner, step: OpenStep, deadline: float | None) -> Outcome | None:
        """Run the body of a step of this frame: its outcome, None when it is parked."""
        ...

    def forget_body(self, prefix: str) -> None:
        """A body runs from its beginning: steps whose ids begin so, and what they did, count no more."""
        ...

    async def walk(self, body: Body, run: RunStep, skip: Skip, prefix: str) -> None:
        """Run the nodes of a body as the execution's engine does."""
        ...

    def fail_fast(self) -> None:
        """A step has failed, and nothing is to go on beside it."""
        ...


class Layered(dict[str, Any]):
    """The entries of `nodes` inside a body, over those outside."""

    def __init__(self, inner: Mapping[str, Any], outer: Mapping[str, Any]) -> None:
        super().__init__(inner)
        self._outer = outer

    def __missing__(self, key: str) -> Any:
        return self._outer[key]


class StepRunner:
    """The steps of one run of a body: of the workflow itself, or of what is inside of a node, whose steps' ids begin
    with `prefix`. Which are settled, which run, which wait. Its `run` and `skip` are what the engine calls."""

    def __init__(
        self,
        run: SteppedRun,
        body: Body,
        steps: OpenSteps,
        state: FrameState,
        scope: dict[str, Any],
        *,
        prefix: str = "",
        outer: tuple[StepRunner, PlannedNode] | None = None,
        quiet: bool = False,
        woken: Callable[[], None] | None = None,
    ) -> None:
        self._run = run
        self.body = body
        self.open = steps
        self.sleepers = steps.sleepers
        self.scope = scope
        self.prefix = prefix
        self.failures = state.failures
        self.ran = set(state.outputs)
        self.stopped = False
        self.postponed = False
        self._settled = state.settled
        self._skipped = state.skipped
        self._outer = outer
        self.woken = woken
        self._quiet = quiet
        self._waiting = StepWaits(run, steps.sleepers, woken)
        self._effects_pending = False
        self._teardown: dict[int, asyncio.Task[Settlement]] = {}
        for node_id, begun in state.open.items():
            node, step_id = body.nodes[body.index[node_id]], prefix + node_id
            waits = run.waits.pop(step_id, None) or Waits()
            steps.add(OpenStep(step_id, node, self, waits, begun, begun.attempt))

    def inside(
        self,
        node: PlannedNode,
        body: Body,
        prefix: str,
        names: Mapping[str, Any],
        steps: Mapping[str, Step],
        *,
        quiet: bool = False,
        woken: Callable[[], None] | None = None,
    ) -> StepRunner:
        """A run of the body of `node`, where expressions see `names` too, and `steps` are what was written of it by
        node id. `quiet`: pure steps are not written down. With `woken` a step that waits for long does not hold it; it
        ends for now, and `woken` is called when it can go on."""
        state = frame_state(body, steps)
        scope = {**self.scope, **names, "nodes": Layered(state.outputs, self.scope["nodes"])}
        return StepRunner(
            self._run, body, self.open, state, scope, prefix=prefix, outer=(self, node), quiet=quiet, woken=woken
        )

    # For the execution

    def announce(self, node_ids: Sequence[str]) -> None:
        """The starts of these steps are durable already."""
        for node_id in node_ids:
            self.open.add(
                OpenStep(node_id, self.body.nodes[self.body.index[node_id]], self, attempt=1, is_announced=True)
            )

    def leave(self) -> None:
        """Wait for nothing any more."""
        for task in self._teardown.values():
            task.cancel()

    def teardown(self) -> list[int]:
        """The nodes that always run and have not, in the order of the graph; none when no step has begun."""
        if not (self.ran or self.open.by_id):
            return []
        graph = self.body.graph
        return [index for index in graph.order if index in graph.always and self._settled[index] is None]

    def stops(self, node: PlannedNode) -> bool:
        """Whether the node has to stop."""
        if self.stopped:
            return True
        return self._run.stops(node) if self._outer is None else self._outer[0].stops(self._outer[1])

    def _begins_no_more(self, node: PlannedNode) -> bool:
        # what always runs of the workflow itself is the teardown's when the execution stops
        return self._run.is_stopping if self._outer is None else self.stops(node)

    @property
    def is_settled(self) -> bool:
        """Whether nothing of it is left to run."""
        by_id, prefix = self.open.by_id, self.prefix
        return not self.postponed and not any(prefix + node.id in by_id for node in self.body.nodes)

    # For the engine

    def skip(self, index: int) -> None:
        """The node is skipped."""
        node = self.body.nodes[index]
        if not (self._quiet or node.id in self._skipped or self._begins_no_more(node)):
            self._skipped.add(node.id)
            self._run.log.add("step.skipped", self.prefix + node.id)

    async def run(self, index: int) -> Settlement:
        """Run the node's step to its settlement. What settled before a recovery settles at once."""
        settled = self._settled[index]
        if settled is not None:
            return settled
        if self._begins_no_more(self.body.nodes[index]):
            return ()
        if self.sleepers.parking:
            self.sleepers.postponed = self.postponed = True
            return None
        self.open.since_yield += 1
        if self.open.since_yield >= _YIELD_EVERY:
            # a long chain of quick nodes would keep everybody else off the event loop
            self.open.since_yield = 0
            await asyncio.sleep(0)
        return await self.settle(index)

    async def settle(self, index: int) -> Settlement:
        """Run the node's step, or join in waiting for it when it runs."""
        node = self.body.nodes[index]
        if not node.always:
            return await self._settle(node)
        task = self._teardown.get(index)
        if task is None:
            # a task of its own: it outlives the walk that an execution's stop ends
            task = self._teardown[index] = asyncio.get_running_loop().create_task(self._settle(node))
        return await asyncio.shield(task)

    async def _settle(self, node: PlannedNode) -> Settlement:
        step_id = self.prefix + node.id
        step = self.open.by_id.get(step_id)
        if step is None:
            step = self.open.add(OpenStep(step_id, node, self))
        self.sleepers.begin()
        try:
            end = self._run_to_its_end if node.body is None else self._run_body
            settlement = self._settled[node.index] = await end(step)
            return settlement
        finally:
            self.sleepers.end()

    async def _run_body(self, step: OpenStep) -> Settlement:
        node, run = step.node, self._run
        if step.begun is None and not step.is_announced:
            step.attempt = 1
            run.log.add("step.started", step.id, step.attempt)
            step.begun = Step(step.id, "running", step.attempt, iso(run.env.clock.now()))
        deadline = None if node.step_timeout is None else self._deadline(node.step_timeout, step.begun)
        if step.begun is not None and step.begun.status == "retrying":
            if isinstance(woken := await self._waiting.sleep(step, step.begun.retry_at), Left):
                return woken.settlement
            self._begin_body_again(step)
        while True:
            outcome = await run.run_body(self, step, deadline)
            match outcome:
                case None:
                    return None
                case Succeeded():
                    return self._succeeded(step, outcome)
                case Failed(error):
                    waited = await self._after_failure(step, error, deadline)
                case _:
                    return ()
            if isinstance(waited, Left | Decided):
                return self._leave(step, waited)
            self._begin_body_again(step)

    def _begin_body_again(self, step: OpenStep) -> None:
        step.begin_again()
        step.begun = Step(step.id, "running", step.attempt)
        self._run.forget_body(step.id + ".")
        self._run.log.add("step.started", step.id, step.attempt, {"again": True})

    async def _run_to_its_end(self, step: OpenStep) -> Settlement:
        node, waits, begun = step.node, step.waits, step.begun
        answer: Answer | None = None
        if begun is None:
            step.attempt = 1
        else:
            resumed = await self._waiting.resume(step, begun)
            if isinstance(resumed, Left | Decided):
                return self._leave(step, resumed)
            answer = resumed
        deadline = None if node.step_timeout is None else self._deadline(node.step_timeout, begun)
        while True:
            outcome = await self._attempt(step, answer, deadline)
            goes_on = isinstance(outcome, Wait | StartChild) and answer is not None and answer.kind == "timeout"
            if answer is not None and not goes_on and not isinstance(outcome, Interrupted):
                # not before: what was answered must not be lost with the attempt that it was given to, nor an answer
                # that has just come to a question that is asked again
                self._run.log.consume_answer(step.id, waits.woken.get("call", waits.number))
            if isinstance(outcome, Succeeded):
                return self._succeeded(step, outcome)
            if isinstance(outcome, Interrupted):
                return ()
            if isinstance(outcome, Wait | StartChild):
                since = asyncio.get_running_loop().time()
                waited: Waited | Failed = await self._waiting.wait(step, outcome)
                if deadline is not None:
                    deadline += asyncio.get_running_loop().time() - since  # waiting is no work
                if isinstance(waited, Answer):
                    answer = waited
                    continue
            else:
                waited = outcome
            if isinstance(waited, Failed):
                waited = await self._after_failure(step, waited.error, deadline)
            if isinstance(waited, Left | Decided):
                return self._leave(step, waited)
            step.begin_again()
            answer = None

    def _deadline(self, seconds: float, begun: Step | None) -> float:
        """When the whole step must be over, by the event loop's clock, which does not jump. What passed before a
        restart counts, unless the step waited."""
        if begun is not None and begun.status in ("running", "retrying") and begun.started_at is not None:
            began = datetime.fromisoformat(begun.started_at).timestamp()
            seconds -= max(0.0, self._run.env.clock.now() - began)
        return asyncio.get_running_loop().time() + seconds

    async def _attempt(self, step: OpenStep, answer: Answer | None, deadline: float | None) -> Outcome:
        run, node, waits = self._run, step.node, step.waits
        if step.is_announced:
            step.is_announced = must_flush = False
        elif self._is_quiet(step):
            must_flush = False
        else:
            run.log.add("step.started", step.id, step.attempt, waits.woken if answer is not None else b"{}")
            must_flush = not node.pure
        if self._effects_pending or must_flush:
            # before a step with effects everything is durable, and its result before anything after it
            self._effects_pending = False
            await run.log.flush()
            if self.stops(node):
                return Interrupted()
        step.current = Attempt(node, step.id, step.attempt, answer, waits.children, deadline, self)
        outcome = await step.current.run(run)
        run.end_deltas(step.id, step.attempt)
        if not node.pure:
            self._effects_pending = True
            if len(self.open.by_id) > 1:
                run.log.flush_soon()  # what runs beside it may take long; alone, what comes next flushes at once
        return outcome

    # How a step ends

    async def _after_failure(
        self, step: OpenStep, error: BaseException, deadline: float | None
    ) -> Left | Decided | TryAgain:
        """Wait for the next attempt when there is to be one; else the step has failed."""
        run, retry = self._run, step.node.retry
        if retry is None or step.attempt >= retry.max_attempts or not retryable(error, retry.on):
            return Decided(error)
        delay = backoff(retry, step.attempt, error, run.env.chance)
        if deadline is not None and asyncio.get_running_loop().time() + delay >= deadline:
            return Decided(error)
        retry_at = run.env.clock.now() + delay
        report = report_to_json(report_of(error, step.id, step.attempt), run.mask)
        data = {"retry_at": retry_at, "delay": round(delay, 3), "error": report}
        run.log.add("step.retrying", step.id, step.attempt, data)
        forget_frames(error)
        step.begun = Step(step.id, "retrying", step.attempt, retry_at=retry_at)
        if delay > 0 and isinstance(woken := await self._waiting.sleep(step, retry_at, delay), Left):
            return woken
        return TryAgain()

    def _leave(self, step: OpenStep, because: Left | Decided) -> Settlement:
        """The step is left for this turn, or settled without its node."""
        if isinstance(because, Left):
            return because.settlement
        if because.error is not None:
            settlement = self._failed(step, because.error)
            forget_frames(because.error)
            return settlement
        port = step.node.only_port or "main"
        data = {"port": port, "output": None, "reason": "skipped by an answer"}
        self._run.log.add("step.skipped", step.id, step.attempt, data)
        self._close(step, {"output": None})
        return (port,)

    def _succeeded(self, step: OpenStep, outcome: Succeeded) -> Settlement:
        run = self._run
        if self._is_quiet(step):
            self._close(step, {"output": outcome.output})
            return (outcome.port,)
        data, large, real = as_event(outcome.port, outcome.encoded, run.mask, run.options)
        if large is not None:
            run.log.keep_output(step.id, large)
        run.log.add("step.succeeded", step.id, step.attempt, data, real)
        self._close(step, {"output": outcome.output})
        return (outcome.port,)

    def _failed(self, step: OpenStep, error: BaseException) -> Settlement:
        run, node = self._run, step.node
        report = report_of(error, step.id, step.attempt)
        port: str | None = None
        if node.has_error_edge:
            port = "error"
        elif node.entry.on_error == "continue":
            port = node.only_port  # several: no way on is better than a wrong one
        real, shown = report_to_json(report, run.mask, hide=False), report_to_json(report, run.mask)
        rest: dict[str, Any] = {} if port is None else {"port": port, "output": None}
        real_data = None if shown == real else dumps({"error": real, **rest})
        run.log.add("step.failed", step.id, step.attempt, {"error": shown, **rest}, real_data)
        self._close(step, {"output": None, "error": real})
        if port is not None:
            return (port,)
        self.failures.append(Step(step.id, "failed", step.attempt, error=FailureReport(**shown)))
        if self._outer is None and run.plan.document.settings.fail_fast:
            run.fail_fast()
        return ()

    def _close(self, step: OpenStep, entry: dict[str, Any]) -> None:
        """The step is settled; `entry` is what `nodes.<id>` is from now on."""
        self.scope["nodes"][step.node.id] = entry
        self.ran.add(step.node.id)
        del self.open.by_id[step.id]

    def _is_quiet(self, step: OpenStep) -> bool:
        """Whether nothing is written of the step: it can run again, and nothing has happened to it."""
        return self._quiet and step.node.pure and step.attempt == 1 and not step.waits.number
