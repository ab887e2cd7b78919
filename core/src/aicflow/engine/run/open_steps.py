"""The steps of an execution that began and are not settled, in the workflow itself and inside of bodies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aicflow.engine.log import ExecutionLog
from aicflow.engine.nodes.attempt import Attempt, Frame
from aicflow.engine.run.recovery import Waits
from aicflow.engine.run.waiting import Sleepers
from aicflow.kernel.clock import Clock
from aicflow.kernel.execution import Step
from aicflow.kernel.ports.executions import StoredAnswer
from aicflow.language.plan import PlannedNode


@dataclass(slots=True, eq=False)
class OpenStep:
    """A step that is not settled, of a node of `frame`. `begun` is what was written of it before it was left, `attempt`
    the last one that began (0: none has), `current` the one that runs now, `answer` an answer that it has not taken
    yet. `is_announced`: the start of its first attempt is durable already."""

    id: str
    node: PlannedNode
    frame: Frame
    waits: Waits = field(default_factory=Waits)
    begun: Step | None = None
    attempt: int = 0
    current: Attempt | None = None
    answer: StoredAnswer | None = None
    is_announced: bool = False

    @property
    def running(self) -> asyncio.Task[Any] | None:
        """The task of its node's code."""
        return self.current.task if self.current is not None else None

    def take_answer(self) -> StoredAnswer | None:
        """The answer that it has not taken yet; afterwards it has."""
        answer, self.answer = self.answer, None
        return answer

    def begin_again(self) -> None:
        """The next attempt runs from the step's beginning."""
        self.attempt += 1
        self.waits.forget()


class OpenSteps:
    """All of them by id, and which of them sleep. `early` are answers for steps inside of bodies that are not taken up
    yet; `idle` are bodies that wait to be, by what the ids of their steps begin with, and how each is woken."""

    def __init__(self, log: ExecutionLog, clock: Clock, park_after: float) -> None:
        self._log = log
        self.since_yield = 0
        self.by_id: dict[str, OpenStep] = {}
        self.early: dict[str, StoredAnswer] = {}
        self.idle: dict[str, Callable[[], None]] = {}
        self.sleepers = Sleepers(clock, park_after)

    def running(self) -> list[OpenStep]:
        """Those whose code runs now."""
        return [step for step in self.by_id.values() if step.running is not None]

    def deliver(self, answer: StoredAnswer) -> None:
        """An answer for a step that waits here, or that is about to. One for a wait that is over is dropped."""
        step = self.by_id.get(answer.node_id)
        if step is None and "." in answer.node_id:
            self.early[answer.node_id] = answer
            if (wake := self._idle(answer.node_id)) is not None:
                wake()
        elif step is None or not step.waits.takes(answer.call):
            self._log.consume_answer(answer.node_id, answer.call)
        else:
            step.answer = answer
            if self.sleepers.wake(answer.node_id, answer):
                step.answer = None

    def _idle(self, step_id: str) -> Callable[[], None] | None:
        """How the body is woken that the step is in."""
        end = len(step_id)
        while (end := step_id.rfind(".", 0, end)) >= 0:
            if (wake := self.idle.get(step_id[: end + 1])) is not None:
                return wake
        return None

    def add(self, step: OpenStep) -> OpenStep:
        """The step has begun, or is taken up again."""
        self.by_id[step.id] = step
        if (answer := self.early.pop(step.id, None)) is not None:
            self.deliver(answer)
        return step

    def interrupt(self) -> None:
        """Interrupt what runs and wake what waits, where it has to stop."""
        steps = list(self.by_id.values())
        for step in steps:
            if (task := step.running) is not None and step.frame.stops(step.node):
                task.cancel()
        self.sleepers.stop({step.id for step in steps if not step.frame.stops(step.node)})

    def interrupt_inside(self, prefix: str) -> list[OpenStep]:
        """Interrupt the steps whose ids begin with this, and return them."""
        steps = [step for step in self.by_id.values() if step.id.startswith(prefix)]
        for step in steps:
            self._log.unsubscribe(step.id)
            if (task := step.running) is not None:
                task.cancel()
        self.sleepers.stop_inside(prefix)
        return steps
