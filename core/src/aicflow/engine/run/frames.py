"""What maps, repeats and groups share: what an earlier turn left of them, and the frames in which their bodies run.

Each item, pass or run of a group is a frame of its own, whose steps are called `each[17].get`.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from aicflow.engine.nodes.attempt import Failed, Outcome, Succeeded
from aicflow.engine.nodes.outputs import checked_output, within
from aicflow.engine.run.failure import report_to_json
from aicflow.engine.run.open_steps import OpenStep
from aicflow.engine.run.outcome import body_output
from aicflow.engine.run.recovery import Resumption, settlement_of
from aicflow.engine.run.step import SteppedRun, StepRunner
from aicflow.engine.unavailable import retry_while_unavailable
from aicflow.kernel.document import Repeat
from aicflow.kernel.errors import NodeError, OutputInvalid, PermanentError
from aicflow.kernel.execution import Step
from aicflow.kernel.ports.engine import Settlement
from aicflow.kernel.ports.executions import ItemResult
from aicflow.kernel.values import dumps, loads
from aicflow.language.plan import PlannedBody

_PAGE = 1_000


class BodyState:
    """What one turn of an execution knows of its bodies: steps inside that an earlier turn began, items that ended."""

    def __init__(self, run: SteppedRun, resumption: Resumption, ended: dict[str, dict[int, bool]]) -> None:
        self.run_of = run
        self.inside = resumption.inside
        self.begun = resumption.begun
        self.ended = ended
        self.real = resumption.items
        self.resting: dict[str, Frames] = {}
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


class Frames(ABC):
    """What the kinds of bodies share: making frames, stopping them, and what one run of the body gives."""

    def __init__(self, bodies: BodyState, frame: StepRunner, step: OpenStep, body: PlannedBody) -> None:
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


def body_failure(
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
