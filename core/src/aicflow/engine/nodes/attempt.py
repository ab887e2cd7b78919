"""One attempt of one step: params resolved and checked, the node run in the right place, its output checked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from aicflow.engine.nodes.context import StepContext, StepRun
from aicflow.engine.nodes.disabled import node_type_disabled
from aicflow.engine.nodes.outputs import checked_output
from aicflow.engine.nodes.params import step_params
from aicflow.engine.secrets import SecretNotLoaded
from aicflow.kernel.context import Answer
from aicflow.kernel.errors import OutputInvalid, PermanentError, StaleClaim, StepTimeout
from aicflow.kernel.node import Exit, StartChild, Wait
from aicflow.language.plan import PlannedNode


@dataclass(slots=True)
class Succeeded:
    """The output as JSON values and as bytes, and the port it leaves by."""

    port: str
    output: Any
    encoded: bytes


@dataclass(slots=True)
class Failed:
    """The node raised, or returned what it must not."""

    error: Exception


@dataclass(slots=True)
class Interrupted:
    """The execution is being stopped; the attempt has no result."""


type Outcome = Succeeded | Failed | Interrupted | Wait | StartChild


class Frame(Protocol):
    """The run of a body that a step belongs to."""

    scope: dict[str, Any]
    """What references see, by root."""

    def stops(self, node: PlannedNode) -> bool:
        """Whether the node has to stop."""
        ...


@dataclass(slots=True, eq=False)
class Attempt:
    """One attempt of the step `step_id`, and what it is given: the answer to its last wait and what became of the
    executions that it has started. `deadline` is when the whole step must be over, by the event loop's clock. `task` is
    what may be interrupted, while the node's own code runs and only then."""

    node: PlannedNode
    step_id: str
    number: int
    answer: Answer | None
    children: Sequence[Mapping[str, Any]]
    deadline: float | None
    frame: Frame
    task: asyncio.Task[Any] | None = None

    async def run(self, run: StepRun) -> Outcome:
        """Run it."""
        node = self.node
        cls = node.cls
        try:
            if not node.enabled:
                raise node_type_disabled(PermanentError, cls.type_id)
            scope = self.frame.scope
            scope["execution"]["attempt"] = self.number
            try:
                params = step_params(node, scope, run.secrets.value)
            except SecretNotLoaded:
                params = await self._interruptible(run.secrets.resolve(partial(step_params, node, scope)))
            run.used.add(cls)
            ctx = StepContext(run, self.step_id, self.number, self.answer, self.children)
            timeout = node.timeout
            if self.deadline is not None:
                left = max(self.deadline - asyncio.get_running_loop().time(), 0.0)
                timeout = left if timeout is None else min(timeout, left)
            if timeout is None:
                result = await self._interruptible(run.nodes.invoke(cls, ctx, params))
            else:
                result = await self._within(run, ctx, params, timeout)
            return _result(node, result, run.options.max_output)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            assert task is not None
            if self.frame.stops(node):
                task.uncancel()
                return Interrupted()
            if task.cancelling():
                raise
            return Failed(
                PermanentError("The node cancelled itself.", hint="It let a CancelledError of its own escape.")
            )
        except SystemExit as error:
            return Failed(PermanentError(f"The node tried to end the process: SystemExit({error.code!r})."))
        except StaleClaim:
            raise
        except Exception as error:
            if self.frame.stops(node):
                return Interrupted()
            return Failed(error)

    async def _interruptible[T](self, work: Awaitable[T]) -> T:
        self.task = asyncio.current_task()
        try:
            return await work
        finally:
            self.task = None

    async def _within(self, run: StepRun, ctx: StepContext, params: Any, timeout: float) -> Any:
        """Run with a time limit, in a task of its own: a node that does not stop when asked is left behind."""
        task = self.task = asyncio.get_running_loop().create_task(run.nodes.invoke(self.node.cls, ctx, params))
        try:
            done, _ = await asyncio.wait({task}, timeout=timeout)
            if not done:
                task.cancel()
                done, _ = await asyncio.wait({task}, timeout=run.options.cancel_grace)
                ctx.cancelled = True
                if not done:
                    task.add_done_callback(_forget)
                elif not task.cancelled() and task.exception() is None and not self.frame.stops(self.node):
                    return task.result()  # it finished while it was being asked to stop
                raise StepTimeout(
                    f"The attempt did not end within {timeout:g} s.",
                    hint="Raise the node's timeout, or make its work smaller.",
                )
            return task.result()
        finally:
            self.task = None
            if not task.done():
                task.cancel()


def _forget(task: asyncio.Task[Any]) -> None:
    """Take the result of an abandoned task, so that asyncio does not log that it was never retrieved."""
    if not task.cancelled():
        task.exception()


def _result(node: PlannedNode, result: Any, most: int) -> Succeeded | Wait | StartChild:
    if isinstance(result, Wait | StartChild):
        return result
    port, value = (result.port, result.output) if isinstance(result, Exit) else (None, result)
    ports = node.cls.ports_for(node.entry.type_params)
    if port is None:
        port = ports[0]
    elif port not in ports:
        raise OutputInvalid(f"{node.cls.type_id} returned unknown port {port!r}. Available ports: {', '.join(ports)}.")
    output, encoded = checked_output(node, value, most)
    return Succeeded(port, output, encoded)
