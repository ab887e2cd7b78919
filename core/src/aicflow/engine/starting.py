"""Accepting executions: what is checked before one exists, and the row and first events that it starts with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from aicflow_language.template import compile_template

from aicflow.engine.nodes.params import resolved
from aicflow.kernel.clock import Clock
from aicflow.kernel.errors import Conflict, InputInvalid, ReferenceFailed
from aicflow.kernel.events import encode_event
from aicflow.kernel.execution import Execution, TriggerInfo
from aicflow.kernel.ids import new_id
from aicflow.kernel.ports.executions import EventBatch, Fire, Idempotency, NewExecution, SlotLimit
from aicflow.kernel.values import dumps
from aicflow.language.plan import Plan

__all__ = ["KEEP", "Started", "accept", "as_claimed", "slot_limits"]


class _Keep:
    """The type of KEEP."""

    def __repr__(self) -> str:
        return "KEEP"


KEEP: Final = _Keep()
"""Rerun with the input as it was."""


@dataclass(frozen=True, slots=True)
class Started:
    """What came of a start. `duplicate`: the key was used before and `execution_id` is that earlier execution, with
    the fingerprint it was started with."""

    execution_id: str
    duplicate: bool = False
    fingerprint: str | None = None


def accept(
    plan: Plan,
    input: Any,
    trigger: TriggerInfo,
    clock: Clock,
    *,
    engine: str | None = None,
    priority: int = 0,
    idempotency: Idempotency | None = None,
    fire: Fire | None = None,
    rerun_of: str | None = None,
    reused: Mapping[str, tuple[str, bytes]] | None = None,
    inline_output: int = 32_768,
) -> NewExecution:
    """Check an input and make the execution that is to be created. `reused` are outputs taken over from another
    execution: node id → (port, encoded output). Raises InputInvalid, Conflict, ReferenceFailed."""
    disabled = [node.entry.type for node in plan.nodes if not node.enabled]
    if disabled:
        raise Conflict(
            f"Node type {disabled[0]!r} is disabled, so this workflow cannot run.",
            code="node-type-disabled",
            hint="An operator can enable it: PATCH /api/v1/node-types/" + disabled[0],
        )
    if plan.input_validator is not None:
        violations = plan.input_validator.validate(input, limit=20)
        if violations:
            raise InputInvalid([(violation.pointer, violation.message) for violation in violations])
    now = round(clock.now(), 6)  # as fine as stores keep it, so that it reads the same from everywhere
    execution_id = new_id("ex", now)
    data: dict[str, Any] = {"workflow_id": plan.workflow_id, "version": plan.version, "trigger": trigger.kind}
    events = [encode_event(1, now, "execution.queued", execution_id, data=data)]
    outputs: dict[str, bytes] = {}
    for node_id, (port, encoded) in (reused or {}).items():
        head = b'{"reused_from":' + dumps(rerun_of) + b',"port":' + dumps(port)
        if len(encoded) <= inline_output:
            body = head + b',"output":' + encoded + b"}"
        else:
            outputs[node_id] = encoded
            body = head + b',"output_stored":true,"output_size":' + str(len(encoded)).encode() + b"}"
        events.append(encode_event(len(events) + 1, now, "step.succeeded", execution_id, node_id, 1, body))
    settings = plan.document.settings
    return NewExecution(
        id=execution_id,
        workflow_id=plan.workflow_id,
        version=plan.version,
        created_at=now,
        events=EventBatch(1, events),
        input=dumps(input),
        trigger=dumps({key: value for key, value in asdict(trigger).items() if value is not None}),
        engine=engine or settings.engine,
        priority=priority,
        available_at=now,
        limits=slot_limits(plan, input, trigger),
        fire=fire,
        idempotency=idempotency,
        rerun_of=rerun_of,
        parent_execution_id=trigger.parent_execution_id,
        parent_node_id=trigger.parent_node_id,
        parent_call=trigger.parent_call or 0,
        outputs=outputs,
    )


def slot_limits(plan: Plan, input: Any, trigger: TriggerInfo) -> tuple[SlotLimit, ...]:
    """The concurrency limits that an execution with this input falls under. Raises ReferenceFailed."""
    settings = plan.document.settings
    limits: list[SlotLimit] = []
    if settings.max_concurrency is not None:
        limits.append(SlotLimit(f"workflow:{plan.workflow_id}", settings.max_concurrency))
    rule = settings.concurrency
    if rule is not None:
        scope = {"input": input, "trigger": trigger.payload, "vars": plan.vars}
        key = resolved(compile_template(rule.key), scope, None, "settings.concurrency.key")
        if isinstance(key, dict | list):
            raise ReferenceFailed(
                "settings.concurrency.key must be text or a number.", pointer="/settings/concurrency/key"
            )
        text = f"key:{plan.workflow_id}:{key}"
        when_full: Literal["queue", "skip", "cancel_oldest"] = rule.when_full
        limits.append(SlotLimit(text, rule.limit, when_full))
    return tuple(limits)


def as_claimed(new: NewExecution, trigger: TriggerInfo, input: Any, epoch: int) -> Execution:
    """The row of an execution that was born claimed, as the store would give it."""
    return Execution(
        id=new.id,
        workflow_id=new.workflow_id,
        version=new.version,
        status="running",
        created_at=new.created_at,
        input=input,
        trigger=trigger,
        engine=new.engine,
        last_seq=new.events.last_seq,
        epoch=epoch,
        priority=new.priority,
        rerun_of=new.rerun_of,
        idempotency_key=new.idempotency.key if new.idempotency else None,
    )
