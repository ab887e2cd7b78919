"""Running the steps of one execution: resolve, check, run, retry, wait, and say how each one settled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from aicflow.engine.environment import Environment
from aicflow.engine.log import ExecutionLog
from aicflow.engine.nodes.attempt import Attempt, Failed, Interrupted, Outcome, Succeeded
from aicflow.engine.nodes.context import StepRun
from aicflow.engine.nodes.outputs import as_event
from aicflow.engine.run.children import Children
from aicflow.engine.run.failure import backoff, forget_frames, report_of, report_to_json, retryable
from aicflow.engine.run.open_steps import OpenStep, OpenSteps
from aicflow.engine.run.recovery import FrameState, Waits, frame_state
from aicflow.kernel.clock import iso
from aicflow.kernel.context import Answer
from aicflow.kernel.errors import NodeError, PermanentError
from aicflow.kernel.execution import Execution, FailureReport, Step
from aicflow.kernel.node import StartChild, Wait
from aicflow.kernel.ports.engine import RunStep, Settlement, Skip
from aicflow.kernel.ports.executions import StoredAnswer, Subscription
from aicflow.kernel.values import dumps, loads
from aicflow.language.plan import Body, Plan, PlannedNode

__all__ = ["StepRunner", "SteppedRun"]

_YIELD_EVERY = 64
_CHILD_CHECK = 60.0


class SteppedRun(StepRun, Protocol):
    """What the steps of an execution need of it."""

    env: Environment
    plan: Plan
    execution: Execution
    children: Children
    log: ExecutionLog

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


@dataclass(frozen=True, slots=True)
class _Ended:
    """A step that is over for this turn: settled, parked (None), or to be tried `again`."""

    settlement: Settlement
    again: bool = False


class _Layered(dict[str, Any]):
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
        self._quiet = quiet
        self._woken = woken
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
        scope = {**self.scope, **names, "nodes": _Layered(state.outputs, self.scope["nodes"])}
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
        deadline = None if node.step_timeout is None else self._deadline(node.step_timeout, step.begun)
        if step.begun is not None and step.begun.status == "retrying":
            if isinstance(woken := await self._sleep(step, step.begun.retry_at), _Ended):
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
                    ended = await self._after_failure(step, error, deadline)
                case _:
                    return ()
            if not ended.again:
                return ended.settlement
            self._begin_body_again(step)

    def _begin_body_again(self, step: OpenStep) -> None:
        self._begin_again(step)
        step.begun = Step(step.id, "running", step.attempt)
        self._run.forget_body(step.id + ".")
        self._run.log.add("step.started", step.id, step.attempt, {"again": True})

    async def _run_to_its_end(self, step: OpenStep) -> Settlement:
        node, waits, begun = step.node, step.waits, step.begun
        answer: Answer | None = None
        if begun is None:
            step.attempt = 1
        else:
            resumed = await self._resume(step, begun)
            if isinstance(resumed, _Ended):
                return resumed.settlement
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
                waited = await self._wait(step, outcome)
                if deadline is not None:
                    deadline += asyncio.get_running_loop().time() - since  # waiting is no work
                if isinstance(waited, Answer):
                    answer = waited
                    continue
            else:
                waited = outcome
            if isinstance(waited, Failed):
                error = waited.error
                waited = await self._after_failure(step, error, deadline)
                forget_frames(error)
            if not waited.again:
                return waited.settlement
            self._begin_again(step)
            answer = None

    def _begin_again(self, step: OpenStep) -> None:
        """The next attempt runs from the step's beginning."""
        step.attempt += 1
        step.waits.forget()

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

    # Going on after a restart or a wait

    async def _resume(self, step: OpenStep, begun: Step) -> Answer | _Ended | None:
        """Go on with a step that began in an earlier turn: what its next attempt is given, or how it settles."""
        waits, on_recovery = step.waits, step.node.on_recovery
        self.sleepers.rouse(step.id)
        if begun.status == "retrying":
            woken = await self._sleep(step, begun.retry_at)
            if isinstance(woken, _Ended):
                return woken
            step.attempt += 1
            return None
        for child, detached in waits.started.items() if not waits.children else ():
            result = None if detached else await self._run.children.result(child)
            waits.children.append(result or _detached(child))
        wait = begun.wait if begun.status == "waiting" else None
        if wait is None:
            before = self._answered_before(step)
            if on_recovery == "retry":
                step.attempt += 1
                return before
            self._run.log.consume_answer(step.id, waits.number)
            if on_recovery == "fail":
                error = PermanentError(
                    "The worker went away while this step ran; whether it had its effect is unknown.",
                    code="outcome-unknown",
                    hint="Check the other system, then rerun from this node. on_recovery: retry runs it again by "
                    "itself.",
                )
                return _Ended(self._failed(step, error))
            waits.number += 1
            wait = {
                "reason": "recovery",
                "message": "Did this step have its effect? Answer retry, skip or fail.",
                "call": waits.number,
            }
            self._run.log.add("step.waiting", step.id, step.attempt, wait)
        waited = await self._resume_wait(step, wait)
        if isinstance(waited, Answer) or not waited.again:
            return waited
        if wait.get("reason") == "recovery":
            step.attempt += 1
            return self._answered_before(step)
        self._begin_again(step)
        return None

    def _answered_before(self, step: OpenStep) -> Answer | None:
        """What had ended the wait after which the interrupted attempt ran; the next one is given it again."""
        waits = step.waits
        match waits.woken.get("woken"):
            case "timeout":
                return Answer("timeout")
            case "child" | "detached":
                return Answer("answered", waits.children[-1])
            case "answer" if (kept := step.take_answer()) is not None and kept.kind == "answered":
                return Answer("answered", loads(kept.value))
        return None

    async def _resume_wait(self, step: OpenStep, wait: dict[str, Any]) -> Answer | _Ended:
        answer = step.take_answer()
        if "event" in wait:
            self._run.log.subscribed(step.id, wait["call"])
        if wait.get("child") is not None:
            return await self._follow_child(step, wait["child"], answer)
        if answer is not None:
            return self._take(step, answer)
        return await self._until(step, wait.get("until_seconds"))

    async def _wait(self, step: OpenStep, wanted: Wait | StartChild) -> Answer | Failed | _Ended:
        run, waits = self._run, step.waits
        waits.number += 1
        if isinstance(wanted, StartChild):
            try:
                child = await run.children.start(run.execution, step.id, waits.number, wanted)
            except NodeError as error:
                return Failed(error)
            if wanted.detach:
                waits.wake("detached", _detached(child))
                return Answer("answered", waits.children[-1])
            waits.asked = 0
            data: dict[str, Any] = {"reason": "child", "child": child, "call": waits.number}
            run.log.add("step.waiting", step.id, step.attempt, data)
            step.begun = Step(step.id, "waiting", step.attempt, wait=data)
            return await self._follow_child(step, child)
        data = {"reason": "time" if wanted.answer_schema is None else "answer", "call": waits.number}
        if not (wanted.again and waits.asked):
            waits.asked = waits.number
        if waits.asked != waits.number:
            data["asked"] = waits.asked
        if wanted.event is not None:
            data |= {"reason": "event", "event": dict(zip(("name", "key"), wanted.event, strict=True))}
        until = wanted.until
        if wanted.seconds is not None:
            until = run.env.clock.now() + wanted.seconds
        if until is not None:
            data["until"], data["until_seconds"] = iso(until), until
        if wanted.answer_schema is not None:
            data["answer_schema"] = wanted.answer_schema
        if wanted.message is not None:
            data["message"] = wanted.message
        run.log.add("step.waiting", step.id, step.attempt, data)
        if wanted.event is not None:
            run.log.subscribe(Subscription(step.id, waits.number, *wanted.event, at=run.env.clock.now()))
            run.log.flush_soon()
        step.begun = Step(step.id, "waiting", step.attempt, wait=data)
        return await self._until(step, until, wanted.seconds)

    async def _follow_child(self, step: OpenStep, child: str, answer: StoredAnswer | None = None) -> Answer | _Ended:
        run = self._run
        while True:
            if answer is not None and answer.kind in ("skip", "fail"):
                await run.children.cancel(run.execution_id, step.id)
                return self._take(step, answer)
            result = await run.children.result(child)
            if result is not None:
                step.waits.wake("child", result)
                return Answer("answered", result)
            if answer is not None:
                run.log.consume_answer(step.id, answer.call)  # `retry`: the child is at work already
            # the child's end wakes this step; with a shared store it may end in another process while this one holds
            # the parent, and is looked for now and then
            held_elsewhere = not run.env.store.exclusive
            woken = await self._sleep(step, run.env.clock.now() + _CHILD_CHECK if held_elsewhere else None)
            if isinstance(woken, _Ended):
                return woken
            answer = woken

    async def _until(self, step: OpenStep, until: float | None, seconds: float | None = None) -> Answer | _Ended:
        woken = await self._sleep(step, until, seconds)
        if isinstance(woken, _Ended):
            return woken
        if woken is not None:
            return self._take(step, woken)
        step.waits.wake("timeout")
        self._run.log.unsubscribe(step.id)
        return Answer("timeout")

    def _take(self, step: OpenStep, answer: StoredAnswer) -> Answer | _Ended:
        """What an answer means: the value for the node, another attempt, or a settlement."""
        if answer.kind == "answered":
            step.waits.wake("answer", call=answer.call)
            self._run.log.received(step.id)
            return Answer("answered", loads(answer.value))
        self._run.log.consume_answer(step.id, answer.call)
        self._run.log.unsubscribe(step.id)
        if answer.kind == "retry":
            return _Ended((), again=True)
        if answer.kind == "fail":
            message = loads(answer.value)
            error = PermanentError(
                message if isinstance(message, str) else "Answered with fail.", code="failed-by-answer"
            )
            return _Ended(self._failed(step, error))
        port = step.node.only_port or "main"
        data = {"port": port, "output": None, "reason": "skipped by an answer"}
        self._run.log.add("step.skipped", step.id, step.attempt, data)
        self._close(step, {"output": None})
        return _Ended((port,))

    async def _sleep(
        self, step: OpenStep, until: float | None, seconds: float | None = None
    ) -> StoredAnswer | _Ended | None:
        """Wait for an instant or an answer: None when the time came."""
        answer = step.take_answer()
        if answer is not None and (answer.call == 0 or step.waits.takes(answer.call)):
            return answer
        if self.stops(step.node):
            return _Ended(())
        if self._woken is not None and not self.sleepers.parking and self.sleepers.is_long(until):
            self.sleepers.doze(step.id, until, self._woken)
            return _Ended(None)
        woken = await self.sleepers.sleep(step.id, until, seconds)
        if isinstance(woken, StoredAnswer):
            return woken
        return None if woken == "due" else _Ended(None if woken == "parked" else ())

    # How a step ends

    async def _after_failure(self, step: OpenStep, error: BaseException, deadline: float | None) -> _Ended:
        """Wait for the next attempt when there is to be one; else the step has failed."""
        run, retry = self._run, step.node.retry
        if retry is None or step.attempt >= retry.max_attempts or not retryable(error, retry.on):
            return _Ended(self._failed(step, error))
        delay = backoff(retry, step.attempt, error, run.env.chance)
        if deadline is not None and asyncio.get_running_loop().time() + delay >= deadline:
            return _Ended(self._failed(step, error))
        retry_at = run.env.clock.now() + delay
        report = report_to_json(report_of(error, step.id, step.attempt), run.mask)
        data = {"retry_at": retry_at, "delay": round(delay, 3), "error": report}
        run.log.add("step.retrying", step.id, step.attempt, data)
        step.begun = Step(step.id, "retrying", step.attempt, retry_at=retry_at)
        if delay > 0 and isinstance(woken := await self._sleep(step, retry_at, delay), _Ended):
            return woken
        return _Ended((), again=True)

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


def _detached(child: str) -> dict[str, Any]:
    """The result, for a step, of a child that it does not wait for."""
    return {"execution_id": child, "status": "queued", "output": None, "error": None}
