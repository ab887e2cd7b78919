"""One turn of one execution: from its claim until it ends, waits, or is handed back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, Literal

from aicflow.engine.environment import Environment
from aicflow.engine.files import StepFiles
from aicflow.engine.history import History, report_from_json
from aicflow.engine.log import INPUT, SEALED, TRIGGER, ExecutionLog
from aicflow.engine.masking import DeltaMask, Mask
from aicflow.engine.native import walk_graph
from aicflow.engine.needed import NeededEvents
from aicflow.engine.nodes.attempt import Outcome
from aicflow.engine.nodes.outputs import within
from aicflow.engine.run.bodies import Bodies
from aicflow.engine.run.children import Children
from aicflow.engine.run.failure import report_of, report_to_json
from aicflow.engine.run.isolated import Outside
from aicflow.engine.run.open_steps import OpenStep, OpenSteps
from aicflow.engine.run.outcome import body_output
from aicflow.engine.run.recovery import first_failure, resume_from
from aicflow.engine.run.step import Layered, StepRunner
from aicflow.engine.secrets import SecretsView
from aicflow.kernel.clock import iso
from aicflow.kernel.errors import NodeError, StaleClaim
from aicflow.kernel.node import NodeType
from aicflow.kernel.ports.engine import RunStep, Skip
from aicflow.kernel.ports.executions import Claimed, Projection, StoredAnswer
from aicflow.kernel.values import dumps, loads
from aicflow.language.plan import Body, Plan, PlannedNode

_logger = logging.getLogger("aicflow.engine")

type Stop = Literal["cancelled", "timeout", "failed", "shutdown", "lost"]
_TORN_DOWN: Final = frozenset(("cancelled", "timeout", "failed"))
"""The stops after which nodes that always run do."""


class ExecutionRun:
    """An execution while this worker holds it. `advance` is called once; `stop` may come at any time."""

    def __init__(
        self,
        env: Environment,
        claimed: Claimed,
        plan: Plan,
        children: Children,
        begun: Sequence[str] | None = None,
        outside: Outside | None = None,
    ) -> None:
        """`outside` is what an item of a map sees of the execution that the map is in."""
        self.env = env
        self.nodes, self.registry, self.options = env.nodes, env.registry, env.options
        self.secrets = env.secrets.of(claimed.execution.workflow_id, plan.document.labels)
        self.workflows, self.state, self.seal, self.vault = env.store.workflows, env.store.state, env.seal, env.vault
        self.plan = plan
        self.children = children
        self.execution = execution = claimed.execution
        self.execution_id = execution.id
        self.files = StepFiles(env.files, execution.id)
        self.workflow_id = execution.workflow_id
        self.traceparent = execution.trigger.traceparent
        self.stop_reason: Stop | None = None
        self.used: set[NodeType] = set()
        self.mask = Mask(parent=env.secrets.mask)
        self.log = ExecutionLog(env, execution, self.mask, self._lost)
        self.log.on_cancel = partial(self.stop, "cancelled")
        self.log.on_answer = self.deliver
        self._resumption = resume_from(plan, claimed, env.seal)
        self.mask.add(*self._resumption.hidden)
        if any(node.body is not None for node in plan.nodes):
            self.log.needed = NeededEvents(claimed)
        self.stalled = self._resumption.stalled
        self.waits = self._resumption.waits
        self._bodies = Bodies(self, self._resumption, claimed.items)
        self.fault: Exception | None = None
        self._again = asyncio.Event()
        self._ending = False
        self._finishing = False
        self._tearing_down = True
        self._draining = False
        self._finished = asyncio.Event()
        self._deltas: dict[str, DeltaMask] = {}
        self.on_abandoned: Callable[[], None] | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._background: set[asyncio.Task[None]] = set()
        real = (self._resumption.items.pop(name.removeprefix(f"{SEALED}:"), None) for name in (INPUT, TRIGGER))
        real_input, real_payload = real
        scope: dict[str, Any] = {
            "input": execution.input if real_input is None else loads(real_input),
            "trigger": execution.trigger.payload if real_payload is None else loads(real_payload),
            "nodes": self._resumption.state.outputs,
            "vars": plan.vars,
            "secrets": SecretsView(),
            "execution": {"id": execution.id, "started_at": None, "attempt": 1},
        }
        if outside is not None:
            self.mask.add(*outside.hidden)
            scope |= zip(outside.names, scope["input"], strict=True)
            nodes = Layered(scope["nodes"], outside.scope["nodes"])
            scope.update({**outside.scope, "nodes": nodes})
        self._started = begun is not None
        self.open = OpenSteps(self.log, env.clock, self.options.park_after)
        self.steps = StepRunner(self, plan, self.open, self._resumption.state, scope)
        self.steps.announce(begun or ())
        for answer in claimed.answers:
            self.open.deliver(answer)

    async def advance(self) -> None:
        """Go on until the execution ends, waits or is handed back. Raises nothing: what goes wrong outside a node is
        logged and left in `fault`."""
        try:
            self._begin()
            if self.stop_reason is None:
                engine = self.env.engine(self.execution.engine or self.options.engine)
                await engine.run(
                    self.plan.graph,
                    self.steps.run,
                    self.steps.skip,
                    thread_id=self.execution_id,
                    tasks=self.plan.tasks,
                )
            if self._ending:
                await self._finished.wait()  # it was given up waiting for this walk
            else:
                await self._tear_down_and_finish()
        except StaleClaim:
            _logger.info("Execution %s is another worker's now", self.execution_id)
        except asyncio.CancelledError:
            if self.stop_reason != "lost" and not self._finishing:
                raise
        except Exception as error:
            _logger.exception("Execution %s could not go on", self.execution_id)
            self.fault = error
        finally:
            self.log.close()
            self._tearing_down = False
            self.steps.leave()
            for timer in self._timers:
                timer.cancel()
            await self._release()
            self._finished.set()

    def _begin(self) -> None:
        execution, history = self.execution, self._resumption.history
        now = round(self.env.clock.now(), 6)
        if execution.started_at is None:
            execution.started_at = now
            self.log.opening = Projection("running", started_at=now)
            self.log.add(
                "execution.started",
                data={"engine": execution.engine or self.options.engine, "claim": execution.epoch},
            )
        elif not self._started:
            self.log.add(
                "execution.resumed",
                data={"reason": "recovered" if self._was_running(history) else "due", "claim": execution.epoch},
            )
        self.steps.scope["execution"]["started_at"] = iso(execution.started_at)
        if execution.cancel_requested:
            self.stop("cancelled")
            return
        if self._resumption.state.failures and self.plan.document.settings.fail_fast:
            self.stop("failed")  # a crash came between the failure and the end
            return
        timeout = self.plan.document.settings.timeout
        if timeout is not None:
            left = execution.started_at + timeout - now
            if left <= 0:
                self.stop("timeout")
            else:
                self._timers.append(asyncio.get_running_loop().call_later(left, self.stop, "timeout"))

    def _was_running(self, history: History) -> bool:
        """Whether a node was at work when the execution was left; one with a body is only while what is inside is."""
        inside = (prefix[:-1] for prefix in self._resumption.inside)
        bodies = {name[: name.rindex("[")] if name.endswith("]") else name for name in inside}
        return any(step.status == "running" and step.node_id not in bodies for step in history.steps.values())

    # What steps ask of their execution

    def add_event(self, event_type: str, node_id: str, attempt: int, data: bytes | Mapping[str, Any]) -> None:
        """An event of a step; dropped when the execution has gone on without it."""
        self.log.add(event_type, node_id, attempt, data)

    def emit(self, node_id: str, attempt: int, delta: Any) -> None:
        """A delta of a step, for those who watch now."""
        if self._finishing:
            return
        mask = self._deltas.get(node_id) or self._deltas.setdefault(node_id, DeltaMask(self.mask))
        for shown in mask.shown(delta):
            self.env.hub.delta(self.execution_id, node_id, attempt, shown)

    def end_deltas(self, node_id: str, attempt: int) -> None:
        """The attempt is over: show what was held back of its deltas."""
        if (mask := self._deltas.pop(node_id, None)) is not None and not self._finishing:
            for shown in mask.rest():
                self.env.hub.delta(self.execution_id, node_id, attempt, shown)

    # Stopping

    def stop(self, reason: Stop) -> None:
        """Interrupt the steps under way. The first reason counts. A node that does not stop in time is abandoned."""
        if reason == "cancelled":
            self.execution.cancel_requested = True
        self._again.set()
        if self._finished.is_set():
            return
        if self.stop_reason in _TORN_DOWN and reason == "shutdown" and not self._finishing:
            self.stop_reason, self._tearing_down = reason, False  # the next start goes on with the teardown
            self.open.interrupt()
            return
        if self.stop_reason is not None or self._finishing:
            return
        self.stop_reason = reason
        self.open.interrupt()
        loop = asyncio.get_running_loop()
        self._timers.append(loop.call_later(self.options.cancel_grace, self._abandon))

    @property
    def is_stopping(self) -> bool:
        return self.stop_reason is not None

    async def run_body(self, frame: StepRunner, step: OpenStep, deadline: float | None) -> Outcome | None:
        """Run the body of a step of this frame: its outcome, None when it is parked."""
        return await self._bodies.run(frame, step, deadline)

    def forget_body(self, prefix: str) -> None:
        """A body runs from its beginning: steps whose ids begin so, and what they did, count no more."""
        self._bodies.forget(prefix)

    async def walk(self, body: Body, run: RunStep, skip: Skip, prefix: str) -> None:
        """Run the nodes of a body as the execution's engine does."""
        if not body.tasks:
            await walk_graph(body.graph, run, skip)
            return
        engine = self.env.engine(self.execution.engine or self.options.engine)
        await engine.run(body.graph, run, skip, thread_id=f"{self.execution_id}:{prefix}", tasks=body.tasks)

    def fail_fast(self) -> None:
        """A step has failed, and nothing is to go on beside it."""
        self.stop("failed")

    def stops(self, node: PlannedNode) -> bool:
        """Whether the node has to stop. What always runs goes on after a stop, for a time."""
        return self.stop_reason is not None and not (
            node.always and self._tearing_down and self.stop_reason in _TORN_DOWN
        )

    def _abandon(self) -> None:
        """The nodes had their time: end the execution without them."""
        if self._ending:
            return
        if stuck := [step.id for step in self.open.running() if step.frame.stops(step.node)]:
            names = ", ".join(stuck)
            _logger.warning("Execution %s ends without waiting for %s, which did not stop", self.execution_id, names)
        self._spawn(self._finish_alone())

    async def _finish_alone(self) -> None:
        try:
            await self._tear_down_and_finish()
        except StaleClaim:
            pass
        except Exception as error:
            _logger.exception("Execution %s could not be ended", self.execution_id)
            self.fault = error
        finally:
            self.log.close()
            self._finished.set()
            if self.on_abandoned is not None:
                self.on_abandoned()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _lost(self, error: BaseException) -> None:
        """The log cannot be written any more: stop, and write nothing."""
        if isinstance(error, Exception) and not isinstance(error, StaleClaim):
            self.fault = error
        if self.stop_reason is None:
            self.stop_reason = "lost"
            self.open.interrupt()

    def clock_moved(self) -> None:
        """The wall clock was moved: look again at when what waits is due."""
        self.open.sleepers.clock_moved()

    def drain(self) -> None:
        """Let the steps under way end and begin no other; what is left is handed back."""
        self._draining = True
        self.open.sleepers.park()

    def adopt(self, epoch: int) -> bool:
        """This worker claimed the execution again while it holds it, because its lease had run out unnoticed: go on
        under the new claim. False when this turn is ending: what it parked or handed back was claimed anew before it
        learned that its last batch is committed, and a new turn must take it up."""
        if self._finishing or self.log.closed or self.stop_reason == "lost":
            return False
        self.execution.epoch = epoch
        return True

    async def pause(self, seconds: float) -> None:
        """Wait before the execution is tried again; a stop, for whatever reason, ends the wait."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._again.wait()

    async def finished(self) -> None:
        """Returns when this turn is over, though an abandoned node may still be running."""
        await self._finished.wait()

    # Ending

    async def _tear_down_and_finish(self) -> None:
        if self._ending:
            return
        self._ending = True
        if self.stop_reason in _TORN_DOWN:
            await self._tear_down()
        await self._finish()

    async def _tear_down(self) -> None:
        """Run what always runs of a stopped execution, in the order of the graph. It is left behind when its time is
        over."""
        nodes = self.steps.teardown()
        if not nodes:
            return
        for step in list(self.open.by_id.values()):
            if step.frame.stops(step.node):
                await self.children.cancel(self.execution_id, step.id)

        async def settle_all() -> None:
            for index in nodes:
                if not self.stops(self.plan.nodes[index]):
                    await self.steps.settle(index)

        task = asyncio.get_running_loop().create_task(settle_all())
        try:
            done, _ = await asyncio.wait({task}, timeout=self.options.teardown)
            if not done:
                left = ", ".join(step.id for step in self.open.running())
                _logger.warning("The teardown of execution %s took too long: %s", self.execution_id, left)
                self._tearing_down = False
                self.open.interrupt()
                done, _ = await asyncio.wait({task}, timeout=self.options.cancel_grace)
            if done:
                task.result()
            if self._draining and self.steps.teardown():
                self.stop_reason = "shutdown"
        finally:
            self._tearing_down = False
            task.cancel()

    async def _finish(self) -> None:
        if self._finishing:
            return
        self._finishing = True
        reason = self.stop_reason
        if reason == "lost":
            return
        if reason == "shutdown" or (reason is None and self._draining and self.open.sleepers.postponed):
            await self.log.flush()
            await self.env.store.executions.hand_back(self.env.worker, self.execution_id, self.execution.epoch)
            return
        if reason is None and self.open.sleepers.left:
            await self._park()
            return
        if reason is not None:
            await self.children.cancel(self.execution_id)
        if reason == "cancelled":
            await self._end("cancelled", {}, None, None)
            return
        report = self._failure(reason)
        if report is None:
            try:
                output = body_output(self.plan, self.steps.scope, self.steps.ran)
                encoded = within(dumps(output), self.options.max_output, "The output")
            except NodeError as error:
                report = report_to_json(report_of(error, "", 1), self.mask)
                report.pop("node_id")
                report["code"] = "output-failed"
            except ValueError as error:
                report = {"code": "output-failed", "message": f"The output is not JSON: {error}"}
            else:
                shown = self.mask.json(encoded)
                if shown is not encoded:
                    output = loads(shown)
                    if self.execution.trigger.parent_node_id is not None:
                        self.log.keep_sealed_output(encoded)
                small = len(shown) <= self.options.inline_output
                data = b'{"output":' + shown + b"}" if small else dumps({"output_size": len(shown)})
                self.execution.output = output
                await self._end("succeeded", data, shown, None)
                return
        report = self.mask.report(report)
        on_failure = self.plan.document.settings.on_failure
        if on_failure is not None and self.execution.trigger.kind != "failure":
            # the failed steps are durable first, so that a crash after the start comes to the same end
            await self.log.flush()
            await self.children.start_on_failure(self.execution, on_failure, report)
        self.execution.error = report_from_json(report)
        await self._end("failed", {"error": report}, None, dumps(report))

    def _failure(self, reason: Stop | None) -> dict[str, Any] | None:
        if reason == "timeout":
            seconds = self.plan.document.settings.timeout
            return {
                "code": "execution-timeout",
                "message": f"The execution did not end within its timeout of {seconds:g} s.",
                "pointer": "/settings/timeout",
                "hint": "Raise settings.timeout, or look at which step took so long.",
            }
        failures = self.steps.failures
        found = first_failure(failures)
        if found is None:
            return None
        report = dict(found)
        if len(failures) > 1:
            report["details"] = {**report.get("details", {}), "also_failed": [step.node_id for step in failures[1:]]}
        return report

    async def _end(
        self,
        status: Literal["succeeded", "failed", "cancelled"],
        data: bytes | Mapping[str, Any],
        output: bytes | None,
        error: bytes | None,
    ) -> None:
        execution = self.execution
        finished = round(self.env.clock.now(), 6)
        # in one batch with the end: a crash leaves both or none
        for step in self.open.by_id.values():
            self.log.add("step.cancelled", step.id, step.attempt)
        for left in self._bodies.left():
            self.log.add("step.cancelled", left.node_id, left.attempt)
        self.log.add(f"execution.{status}", data=data)
        announce = execution.trigger.kind != "item" and self.env.announces(execution.workflow_id)
        appended = await self.log.flush(
            Projection(status, execution.started_at, finished, output=output, error=error, announce=announce)
        )
        if announce:
            self.env.announced()
        execution.status, execution.finished_at, execution.last_seq = status, finished, self.log.last_seq
        if appended is not None and appended.admitted:
            self.env.wake()
        self.children.ended(execution)

    async def _park(self) -> None:
        wake_at, nodes = self.open.sleepers.due()
        deadline = self.plan.document.settings.timeout
        if deadline is not None and self.execution.started_at is not None:
            end = self.execution.started_at + deadline
            wake_at = end if wake_at is None else min(wake_at, end)
        self.log.add(
            "execution.waiting",
            data={"nodes": nodes, "until": None if wake_at is None else iso(wake_at)},
        )
        await self.log.flush(Projection("waiting", started_at=self.execution.started_at, wake_at=wake_at))
        self.execution.status = "waiting"
        self.env.wake()

    async def _release(self) -> None:
        for cls in self.used:
            await self.nodes.release(cls, self.execution_id)

    def dispose(self) -> None:
        """It is over, and nobody calls it any more. Without what refers back to it, the values of its steps are freed
        now; the garbage collector would find them after some hundred executions, and stop the loop for it."""
        if not self._background:
            self.open.by_id.clear()
            self.open.idle.clear()
            del self.steps, self.open, self._bodies
        self.on_abandoned = None

    def deliver(self, answer: StoredAnswer) -> None:
        """An answer to a waiting step arrived while this worker holds the execution."""
        self.open.deliver(answer)
