"""Running the steps of one execution: resolve, check, run, retry, wait, and say how each one settled."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aicflow.engine.nodes.attempt import Failed, Interrupted, Succeeded, attempt_step
from aicflow.engine.nodes.outputs import as_event
from aicflow.engine.run.failure import report_of, report_to_json, retryable
from aicflow.engine.run.recovery import Resumption, Waits
from aicflow.engine.run.retry import backoff
from aicflow.engine.run.waiting import Parked, Sleepers, Woken
from aicflow.kernel.clock import iso
from aicflow.kernel.context import Answer
from aicflow.kernel.errors import NodeError, PermanentError
from aicflow.kernel.execution import FailureReport, Step
from aicflow.kernel.node import StartChild, Wait
from aicflow.kernel.ports.engine import Settlement
from aicflow.kernel.ports.executions import Answered
from aicflow.kernel.values import dumps, loads
from aicflow.language.plan import PlannedNode

if TYPE_CHECKING:
    from aicflow.engine.run.execution_run import ExecutionRun

__all__ = ["StepRunner"]

_YIELD_EVERY = 64
_CHILD_CHECK = 60.0


class StepRunner:
    """The steps of one execution: which are settled, which run, which wait. Its `run` and `skip` are what the engine
    calls."""

    def __init__(self, run: ExecutionRun, resumption: Resumption, answers: Sequence[Answered]) -> None:
        self._run = run
        self._settled = resumption.settled
        self._open = resumption.open
        self._waits = resumption.waits
        self._told_skipped = resumption.told_skipped
        self._answers: dict[str, Answered] = {}
        self._attempts: dict[str, int] = {}
        self._since_yield = 0
        self._effects_pending = False
        self.failures = resumption.failures
        self.ran = set(resumption.outputs)
        self.active: dict[str, asyncio.Task[Any]] = {}
        self._teardown: dict[int, asyncio.Task[Settlement]] = {}
        self.sleepers = Sleepers(run.env.clock, run.env.options.park_after)
        for answer in answers:
            self.deliver(answer)

    # For the execution

    @property
    def is_parked(self) -> bool:
        """Whether steps are left that wait, or that did not begin because the others do."""
        return self.sleepers.left

    def parked(self) -> tuple[float | None, list[str]]:
        """When the earliest parked step is due (None: only an answer wakes it), and which steps wait."""
        return self.sleepers.due()

    def running_ids(self) -> list[str]:
        """Ids of the nodes whose code runs now."""
        return list(self.active)

    def unfinished(self) -> list[tuple[str, int]]:
        """Steps that began and have not settled, with their attempts."""
        begun = {node_id: step.attempt for node_id, step in self._open.items()}
        return list({**begun, **self._attempts}.items())

    def interrupt(self) -> None:
        """Interrupt what runs and wake what waits; `run.stop_reason` is set already, which nodes that always run may
        outlive."""
        spared = {node.id for node in self._run.plan.nodes if not self._run.stops(node)}
        for node_id, task in list(self.active.items()):
            if node_id not in spared:
                task.cancel()
        self.sleepers.stop(spared)

    def leave(self) -> None:
        """Wait for nothing any more."""
        for task in self._teardown.values():
            task.cancel()

    def teardown(self) -> list[int]:
        """The nodes that always run and have not, in the order of the graph; none when no step has begun."""
        if not (self.ran or self._open or self._attempts):
            return []
        graph = self._run.plan.graph
        return [index for index in graph.order if index in graph.always and self._settled[index] is None]

    def deliver(self, answer: Answered) -> None:
        """An answer for a step that waits here, or that is about to. One for a wait that is over is dropped."""
        waits = self._waits.get(answer.node_id)
        if waits is None or waits.number != answer.call:
            self._run.log.consume_answer(answer.node_id, answer.call)
        elif not self.sleepers.wake(answer.node_id, answer):
            self._answers[answer.node_id] = answer

    # For the engine

    def skip(self, index: int) -> None:
        """The node is skipped."""
        run = self._run
        node_id = run.plan.nodes[index].id
        if run.stop_reason is None and node_id not in self._told_skipped:
            self._told_skipped.add(node_id)
            run.log.add("step.skipped", node_id)

    async def run(self, index: int) -> Settlement:
        """Run the node's step to its settlement. What settled before a recovery settles at once."""
        settled = self._settled[index]
        if settled is not None:
            return settled
        if self._run.stop_reason is not None:
            return ()  # what always runs is the teardown's then
        if self.sleepers.parking:
            self.sleepers.held_back = True
            return None
        self._since_yield += 1
        if self._since_yield >= _YIELD_EVERY:
            # a long chain of quick nodes would keep everybody else off the event loop
            self._since_yield = 0
            await asyncio.sleep(0)
        return await self.settle(index)

    async def settle(self, index: int) -> Settlement:
        """Run the node's step, or join in waiting for it when it runs."""
        node = self._run.plan.nodes[index]
        if not node.always:
            return await self._settle_busily(node)
        task = self._teardown.get(index)
        if task is None:
            # a task of its own: it outlives the walk that an execution's stop ends
            task = self._teardown[index] = asyncio.get_running_loop().create_task(self._settle_busily(node))
        return await asyncio.shield(task)

    async def _settle_busily(self, node: PlannedNode) -> Settlement:
        with self.sleepers.busy():
            settlement = await self._settle(node)
        self._settled[node.index] = settlement
        return settlement

    async def _settle(self, node: PlannedNode) -> Settlement:
        begun = self._open.get(node.id)
        attempt, answer = 1, None
        if begun is not None:
            resumed = await self._resume(node, begun)
            if not isinstance(resumed, tuple):
                return resumed.settlement
            attempt, answer = resumed
        waits = self._waits.setdefault(node.id, Waits())
        deadline = None if node.step_timeout is None else self._deadline(node.step_timeout, begun)
        while True:
            self._attempts[node.id] = attempt
            outcome = await self._attempt(node, attempt, answer, deadline)
            if answer is not None and not isinstance(outcome, Interrupted):
                # not before: what was answered must not be lost with the attempt that it was given to
                self._run.log.consume_answer(node.id, waits.number)
            if isinstance(outcome, Succeeded):
                return self._succeeded(node, attempt, outcome)
            if isinstance(outcome, Interrupted):
                return ()
            if isinstance(outcome, Wait | StartChild):
                since = asyncio.get_running_loop().time()
                woken = await self._wait(node, attempt, outcome)
                if deadline is not None:
                    deadline += asyncio.get_running_loop().time() - since  # waiting is no work
                if isinstance(woken, Answer):
                    answer = woken
                    continue
                if isinstance(woken, _Over) and not woken.again:
                    return woken.settlement
                if isinstance(woken, _Over):
                    waits.forget()
                    attempt, answer = attempt + 1, None
                    continue
                outcome = woken
            delay = self._retry_delay(node, attempt, outcome.error, deadline)
            if delay is None:
                return self._failed(node, attempt, outcome.error)
            over = await self._back_off(node, attempt, outcome.error, delay)
            if over is not None:
                return over.settlement
            waits.forget()
            attempt, answer = attempt + 1, None

    def _deadline(self, seconds: float, begun: Step | None) -> float:
        """When the whole step must be over, by the event loop's clock, which does not jump. What passed before a
        restart counts, unless the step waited."""
        if begun is not None and begun.status in ("running", "retrying") and begun.started_at is not None:
            began = datetime.fromisoformat(begun.started_at).timestamp()
            seconds -= max(0.0, self._run.env.clock.now() - began)
        return asyncio.get_running_loop().time() + seconds

    async def _attempt(
        self, node: PlannedNode, attempt: int, answer: Answer | None, deadline: float | None
    ) -> Succeeded | Failed | Interrupted | Wait | StartChild:
        run, waits = self._run, self._waits[node.id]
        run.log.add("step.started", node.id, attempt, waits.woken if answer is not None else {})
        if self._effects_pending or not node.pure:
            # before a step with effects everything is durable, and its result before anything after it
            self._effects_pending = False
            await run.log.flush()
            if run.stops(node):
                return Interrupted()
        outcome = await attempt_step(run, self.active, node, attempt, answer, waits.children, deadline)
        run.end_deltas(node.id, attempt)
        if not node.pure:
            self._effects_pending = True
            run.log.flush_soon()
        return outcome

    # Going on after a restart or a wait

    async def _resume(self, node: PlannedNode, begun: Step) -> tuple[int, Answer | None] | _Over:
        """What to do with a step that began in an earlier turn: its next attempt, or how it settles."""
        waits = self._waits[node.id]
        self._attempts[node.id] = begun.attempt
        if begun.status == "retrying":
            over = await self._sleep(node, begun.retry_at)
            return over if isinstance(over, _Over) else (begun.attempt + 1, None)
        for child, detached in waits.started.items():
            told = _detached(child) if detached else await self._run.env.children.child_result(child)
            waits.children.append(told or _detached(child))
        wait = begun.wait if begun.status == "waiting" else None
        if wait is None:
            given = self._given_before(node)
            if node.on_recovery == "retry":
                return begun.attempt + 1, given
            self._run.log.consume_answer(node.id, waits.number)
            if node.on_recovery == "fail":
                error = PermanentError(
                    "The worker went away while this step ran; whether it had its effect is unknown.",
                    code="outcome-unknown",
                    hint="Check the other system, then rerun from this node. on_recovery: retry runs it again by "
                    "itself.",
                )
                return _Over(self._failed(node, begun.attempt, error))
            waits.number += 1
            wait = {
                "reason": "recovery",
                "message": "Did this step have its effect? Answer retry, skip or fail.",
                "call": waits.number,
            }
            self._run.log.add("step.waiting", node.id, begun.attempt, wait)
        woken = await self._resume_wait(node, begun, wait)
        if isinstance(woken, Answer):
            return begun.attempt, woken
        if not woken.again:
            return woken
        if wait.get("reason") == "recovery":
            return begun.attempt + 1, self._given_before(node)
        waits.forget()
        return begun.attempt + 1, None

    def _given_before(self, node: PlannedNode) -> Answer | None:
        """What had ended the wait after which the interrupted attempt ran; the next one is given it again."""
        waits = self._waits[node.id]
        match waits.woken.get("woken"):
            case "timeout":
                return Answer("timeout")
            case "child" | "detached":
                return Answer("answered", waits.children[-1])
            case "answer" if (kept := self._answers.pop(node.id, None)) is not None and kept.kind == "answered":
                return Answer("answered", loads(kept.value))
        return None

    async def _resume_wait(self, node: PlannedNode, begun: Step, wait: dict[str, Any]) -> Answer | _Over:
        answer = self._answers.pop(node.id, None)
        if wait.get("child") is not None:
            return await self._follow_child(node, begun.attempt, wait["child"], answer)
        if answer is not None:
            return self._take(node, begun.attempt, answer)
        return await self._until(node, begun.attempt, wait.get("until_seconds"))

    async def _wait(self, node: PlannedNode, attempt: int, wanted: Wait | StartChild) -> Answer | Failed | _Over:
        run, waits = self._run, self._waits[node.id]
        waits.number += 1
        if isinstance(wanted, StartChild):
            try:
                child = await run.env.children.start_child(run.execution, node.id, waits.number, wanted)
            except NodeError as error:
                return Failed(error)
            if wanted.detach:
                waits.wake("detached", _detached(child))
                return Answer("answered", waits.children[-1])
            data: dict[str, Any] = {"reason": "child", "child": child, "call": waits.number}
            run.log.add("step.waiting", node.id, attempt, data)
            return await self._follow_child(node, attempt, child)
        data = {"reason": "time" if wanted.answer_schema is None else "answer", "call": waits.number}
        until = wanted.until
        if wanted.seconds is not None:
            until = run.env.clock.now() + wanted.seconds
        if until is not None:
            data["until"], data["until_seconds"] = iso(until), until
        if wanted.answer_schema is not None:
            data["answer_schema"] = wanted.answer_schema
        if wanted.message is not None:
            data["message"] = wanted.message
        run.log.add("step.waiting", node.id, attempt, data)
        return await self._until(node, attempt, until, wanted.seconds)

    async def _follow_child(
        self, node: PlannedNode, attempt: int, child: str, answer: Answered | None = None
    ) -> Answer | _Over:
        run = self._run
        while True:
            if answer is not None and answer.kind in ("skip", "fail"):
                await run.env.children.cancel_children(run.execution_id, node.id)
                return self._take(node, attempt, answer)
            result = await run.env.children.child_result(child)
            if result is not None:
                self._waits[node.id].wake("child", result)
                return Answer("answered", result)
            if answer is not None:
                run.log.consume_answer(node.id, answer.call)  # `retry`: the child is at work already
            # the child's end wakes this step; with a shared store it may end in another process while this one holds
            # the parent, and is looked for now and then
            held_elsewhere = not run.env.store.exclusive
            woken = await self._sleep(node, run.env.clock.now() + _CHILD_CHECK if held_elsewhere else None)
            if isinstance(woken, _Over):
                return woken
            answer = woken

    async def _until(
        self, node: PlannedNode, attempt: int, until: float | None, seconds: float | None = None
    ) -> Answer | _Over:
        woken = await self._sleep(node, until, seconds)
        if isinstance(woken, _Over):
            return woken
        if woken is not None:
            return self._take(node, attempt, woken)
        self._waits[node.id].wake("timeout")
        return Answer("timeout")

    def _take(self, node: PlannedNode, attempt: int, answer: Answered) -> Answer | _Over:
        """What an answer means: the value for the node, another attempt, or a settlement."""
        if answer.kind == "answered":
            self._waits[node.id].wake("answer")
            return Answer("answered", loads(answer.value))
        self._run.log.consume_answer(node.id, answer.call)
        if answer.kind == "retry":
            return _Over((), again=True)
        if answer.kind == "fail":
            message = loads(answer.value)
            error = PermanentError(
                message if isinstance(message, str) else "Answered with fail.", code="failed-by-answer"
            )
            return _Over(self._failed(node, attempt, error))
        port = node.only_port or "main"
        data = {"port": port, "output": None, "reason": "skipped by an answer"}
        self._run.log.add("step.skipped", node.id, attempt, data)
        self._settle_entry(node, {"output": None})
        return _Over((port,))

    async def _sleep(
        self, node: PlannedNode, until: float | None, seconds: float | None = None
    ) -> Answered | _Over | None:
        """Wait for an instant or an answer: None when the time came."""
        early = self._answers.pop(node.id, None)
        if early is not None:
            return early
        woken = await self.sleepers.sleep(node.id, until, seconds)
        if isinstance(woken, Woken):
            return woken.answer
        return _Over(None) if isinstance(woken, Parked) else _Over(())

    # How a step ends

    def _retry_delay(
        self, node: PlannedNode, attempt: int, error: BaseException, deadline: float | None
    ) -> float | None:
        retry = node.retry
        if retry is None or attempt >= retry.max_attempts or not retryable(error, retry.on):
            return None
        delay = backoff(retry, attempt, error, self._run.env.chance)
        if deadline is not None and asyncio.get_running_loop().time() + delay >= deadline:
            return None
        return delay

    async def _back_off(self, node: PlannedNode, attempt: int, error: BaseException, delay: float) -> _Over | None:
        retry_at = self._run.env.clock.now() + delay
        report = report_to_json(report_of(error, node.id, attempt), self._run.log.mask)
        data = {"retry_at": retry_at, "delay": round(delay, 3), "error": report}
        self._run.log.add("step.retrying", node.id, attempt, data)
        if delay > 0:
            woken = await self._sleep(node, retry_at, delay)
            if isinstance(woken, _Over):
                return woken
        return None

    def _succeeded(self, node: PlannedNode, attempt: int, outcome: Succeeded) -> Settlement:
        run = self._run
        data, large, real = as_event(outcome.port, outcome.encoded, run.log.mask, run.env.options)
        if large is not None:
            run.log.keep_output(node.id, large)
        run.log.add("step.succeeded", node.id, attempt, data, real)
        self._settle_entry(node, {"output": outcome.output})
        return (outcome.port,)

    def _failed(self, node: PlannedNode, attempt: int, error: BaseException) -> Settlement:
        run = self._run
        report = report_of(error, node.id, attempt)
        port: str | None = None
        if node.has_error_edge:
            port = "error"
        elif node.entry.on_error == "continue":
            port = node.only_port  # several: no way on is better than a wrong one
        real, shown = report_to_json(report), report_to_json(report, run.log.mask)
        rest: dict[str, Any] = {} if port is None else {"port": port, "output": None}
        real_data = None if shown == real else dumps({"error": real, **rest})
        run.log.add("step.failed", node.id, attempt, {"error": shown, **rest}, real_data)
        self._settle_entry(node, {"output": None, "error": real})
        if port is not None:
            return (port,)
        self.failures.append(Step(node.id, "failed", attempt, error=FailureReport(**shown)))
        if run.plan.document.settings.fail_fast:
            run.stop("failed")
        return ()

    def _settle_entry(self, node: PlannedNode, entry: dict[str, Any]) -> None:
        self._run.scope["nodes"][node.id] = entry
        self.ran.add(node.id)
        self._attempts.pop(node.id, None)
        self._open.pop(node.id, None)
        self._waits.pop(node.id, None)


def _detached(child: str) -> dict[str, Any]:
    """What a step is told of a child that it does not wait for."""
    return {"execution_id": child, "status": "queued", "output": None, "error": None}


class _Over:
    """A step that is over for this turn: settled, parked (None), or to be tried `again`."""

    __slots__ = ("again", "settlement")

    def __init__(self, settlement: Settlement, *, again: bool = False) -> None:
        self.settlement = settlement
        self.again = again
