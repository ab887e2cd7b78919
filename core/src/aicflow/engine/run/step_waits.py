"""How a step waits, for a time, an answer, an event, a child or its next attempt, and goes on: in this turn or in a
later one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from aicflow.engine.environment import Environment
from aicflow.engine.log import ExecutionLog
from aicflow.engine.masking import Mask
from aicflow.engine.nodes.attempt import Failed
from aicflow.engine.run.children import Children
from aicflow.engine.run.open_steps import OpenStep
from aicflow.engine.run.waiting import Sleepers
from aicflow.kernel.clock import iso
from aicflow.kernel.context import Answer
from aicflow.kernel.errors import NodeError, PermanentError
from aicflow.kernel.execution import Execution, Step
from aicflow.kernel.node import StartChild, Wait
from aicflow.kernel.ports.engine import Settlement
from aicflow.kernel.ports.executions import StoredAnswer, Subscription
from aicflow.kernel.values import loads

_CHILD_CHECK = 60.0


@dataclass(frozen=True, slots=True)
class Left:
    """The step is left for this turn: it is parked (None), or has to stop (no ports)."""

    settlement: Settlement


@dataclass(frozen=True, slots=True)
class Decided:
    """The step ends without its node: it fails with the error, or is skipped when there is none."""

    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class TryAgain:
    """The step runs again from its beginning."""


type Waited = Answer | Left | Decided | TryAgain
"""What comes of a wait."""


class WaitingRun(Protocol):
    """What waiting needs of the execution."""

    env: Environment
    execution: Execution
    execution_id: str
    children: Children
    log: ExecutionLog
    mask: Mask


class StepWaits:
    """The waits of the steps of one frame. With `woken` a step that waits for long does not hold the frame."""

    def __init__(self, run: WaitingRun, sleepers: Sleepers, woken: Callable[[], None] | None) -> None:
        self._run = run
        self._sleepers = sleepers
        self._woken = woken

    async def resume(self, step: OpenStep, begun: Step) -> Answer | Left | Decided | None:
        """Go on with a step that began in an earlier turn: what its next attempt is given, or how it settles."""
        waits, on_recovery = step.waits, step.node.on_recovery
        self._sleepers.rouse(step.id)
        if begun.status == "retrying":
            woken = await self.sleep(step, begun.retry_at)
            if isinstance(woken, Left):
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
                return Decided(error)
            waits.number += 1
            wait = {
                "reason": "recovery",
                "message": "Did this step have its effect? Answer retry, skip or fail.",
                "call": waits.number,
            }
            self._run.log.add("step.waiting", step.id, step.attempt, wait)
        waited = await self._resume_wait(step, wait)
        if not isinstance(waited, TryAgain):
            return waited
        if wait.get("reason") == "recovery":
            step.attempt += 1
            return self._answered_before(step)
        step.begin_again()
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
                return Answer("answered", self._value(step, kept))
        return None

    async def _resume_wait(self, step: OpenStep, wait: dict[str, Any]) -> Waited:
        answer = step.take_answer()
        if "event" in wait:
            self._run.log.subscribed(step.id, wait["call"])
        if wait.get("child") is not None:
            return await self._follow_child(step, wait["child"], answer)
        if answer is not None:
            return self._take(step, answer)
        return await self._until(step, wait.get("until_seconds"))

    async def wait(self, step: OpenStep, wanted: Wait | StartChild) -> Waited | Failed:
        """Wait for what the node asked for."""
        run, waits = self._run, step.waits
        waits.number += 1
        if isinstance(wanted, StartChild):
            try:
                child = await run.children.start(
                    run.execution, step.id, waits.number, wanted, run.mask.values, isolates=step.node.isolates
                )
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

    async def _follow_child(self, step: OpenStep, child: str, answer: StoredAnswer | None = None) -> Waited:
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
            woken = await self.sleep(step, run.env.clock.now() + _CHILD_CHECK if held_elsewhere else None)
            if isinstance(woken, Left):
                return woken
            answer = woken

    async def _until(self, step: OpenStep, until: float | None, seconds: float | None = None) -> Waited:
        woken = await self.sleep(step, until, seconds)
        if isinstance(woken, Left):
            return woken
        if woken is not None:
            return self._take(step, woken)
        step.waits.wake("timeout")
        self._run.log.unsubscribe(step.id)
        return Answer("timeout")

    def _take(self, step: OpenStep, answer: StoredAnswer) -> Answer | TryAgain | Decided:
        """What an answer means: the value for the node, another attempt, or an end without it."""
        if answer.kind == "answered":
            step.waits.wake("answer", call=answer.call)
            self._run.log.received(step.id)
            try:
                return Answer("answered", self._value(step, answer))
            except PermanentError as error:  # what was sealed cannot be opened any more
                return Decided(error)
        self._run.log.consume_answer(step.id, answer.call)
        self._run.log.unsubscribe(step.id)
        if answer.kind == "retry":
            return TryAgain()
        if answer.kind == "skip":
            return Decided()
        message = self._value(step, answer)
        return Decided(
            PermanentError(message if isinstance(message, str) else "Answered with fail.", code="failed-by-answer")
        )

    def _value(self, step: OpenStep, answer: StoredAnswer) -> Any:
        """What was answered, as it really was. The answer by an event is the event, whose data was sealed with it."""
        vault = self._run.env.vault
        value = vault.real(f"answer {self._run.execution_id} {step.id}", loads(answer.value))
        if isinstance(value, dict) and {"id", "data"} <= value.keys():
            with suppress(PermanentError):  # somebody's answer that only looks like an event
                value["data"] = vault.real(f"event {value['id']}", value["data"])
        return value

    async def sleep(
        self, step: OpenStep, until: float | None, seconds: float | None = None
    ) -> StoredAnswer | Left | None:
        """Wait for an instant or an answer: None when the time came."""
        answer = step.take_answer()
        if answer is not None and (answer.call == 0 or step.waits.takes(answer.call)):
            return answer
        if step.frame.stops(step.node):
            return Left(())
        if self._woken is not None and not self._sleepers.parking and self._sleepers.is_long(until):
            self._sleepers.doze(step.id, until, self._woken)
            return Left(None)
        woken = await self._sleepers.sleep(step.id, until, seconds)
        if isinstance(woken, StoredAnswer):
            return woken
        return None if woken == "due" else Left(None if woken == "parked" else ())


def _detached(child: str) -> dict[str, Any]:
    """The result, for a step, of a child that it does not wait for."""
    return {"execution_id": child, "status": "queued", "output": None, "error": None}
