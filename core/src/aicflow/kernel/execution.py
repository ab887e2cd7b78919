"""What an execution, a step and an event are, and their statuses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal, get_args

from pydantic import ConfigDict

from aicflow.kernel.serialization import Instant, Internal, Record, Timestamp

type ExecutionStatus = Literal["queued", "running", "waiting", "succeeded", "failed", "cancelled"]
type TriggerKind = Literal["api", "trigger", "rerun", "workflow", "failure", "item"]
type StepStatus = Literal["running", "waiting", "retrying", "succeeded", "failed", "skipped", "cancelled"]

STATUSES: Final[tuple[ExecutionStatus, ...]] = get_args(ExecutionStatus.__value__)
TRIGGER_KINDS: Final[tuple[TriggerKind, ...]] = get_args(TriggerKind.__value__)
TERMINAL_STATUSES: Final = frozenset({"succeeded", "failed", "cancelled"})
ACTIVE_STATUSES: Final = frozenset({"queued", "running", "waiting"})
TERMINAL_EVENTS: Final = frozenset({"execution.succeeded", "execution.failed", "execution.cancelled"})
SETTLED_EVENTS: Final = frozenset({"step.succeeded", "step.failed", "step.skipped", "step.cancelled"})

WhenFull = Literal["queue", "skip", "cancel_oldest"]
"""What becomes of an execution that is accepted while a concurrency limit is full."""


@dataclass(slots=True)
class Event(Record):
    """An immutable, numbered fact about an execution. `seq` is gapless per execution from 1, `time` RFC 3339 UTC."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict()  # events may get fields that older readers do not know
    may_be_absent: ClassVar = frozenset({"node_id", "attempt"})

    seq: int
    time: Timestamp
    type: str
    execution_id: str
    node_id: str | None = None
    attempt: int | None = None
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class FailureReport(Record):
    """Why an execution or a step failed, so that a person can act on it."""

    may_be_absent: ClassVar = frozenset(
        {"node_id", "attempt", "error_type", "pointer", "hint", "line", "excerpt", "details"}
    )

    code: str
    message: str
    node_id: str | None = None
    attempt: int | None = None
    error_type: str | None = None
    pointer: str | None = None
    hint: str | None = None
    line: int | None = None
    excerpt: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class TriggerInfo(Record):
    """What started an execution: `kind` is one of TriggerKind; `payload` is a trigger's."""

    may_be_absent: ClassVar = frozenset({"payload"})

    kind: str = "api"
    trigger_id: str | None = None
    type_id: str | None = None
    key: str | None = None
    scheduled_for: Instant | None = None
    parent_execution_id: str | None = None
    parent_node_id: str | None = None
    parent_call: Internal[int | None] = None
    depth: Internal[int | None] = None
    """How many executions called each other before it."""
    traceparent: Internal[str | None] = None
    """The W3C trace context of the request that started it, or started what started it."""
    started_by: str | None = None
    """Whose request started it, as the audit names who acts: `key:ID` or `token:…`."""
    payload: Any = None


@dataclass(slots=True)
class Execution(Record):
    """One running of one version of a workflow. `input`, `output` and `trigger.payload` are left out in lists, for
    API keys without the scope `read`, and when retention has `removed` them."""

    may_be_absent: ClassVar = frozenset({"input", "output"})

    id: str
    workflow_id: str
    version: int
    status: ExecutionStatus
    created_at: Instant
    input: Any = None
    trigger: TriggerInfo = field(default_factory=TriggerInfo)
    engine: str | None = None
    started_at: Instant | None = None
    finished_at: Instant | None = None
    output: Any = None
    error: FailureReport | None = None
    last_seq: int = 0
    epoch: Internal[int] = 0
    priority: int = 0
    cancel_requested: bool = False
    wake_at: Instant | None = None
    concurrency_key: Internal[str | None] = None
    rerun_of: str | None = None
    idempotency_key: Internal[str | None] = None
    removed: tuple[Literal["events", "payloads"], ...] = ()


@dataclass(frozen=True, slots=True)
class Started:
    """What came of a start. `duplicate`: the key was used before and `execution_id` is that earlier execution, with
    the fingerprint it was started with. `execution` is the new one where this process runs it already."""

    execution_id: str
    duplicate: bool = False
    fingerprint: str | None = None
    execution: Execution | None = None


@dataclass(slots=True)
class Step(Record):
    """One node's turn in one execution, made from its events. `logs` counts its log lines."""

    may_be_absent: ClassVar = frozenset({"output", "progress"})

    node_id: str
    status: StepStatus
    attempt: int = 1
    started_at: Timestamp | None = None
    finished_at: Timestamp | None = None
    port: str | None = None
    output: Any = None
    error: FailureReport | None = None
    retry_at: Instant | None = None
    wait: dict[str, Any] | None = None
    progress: dict[str, Any] | None = None
    """Of a map: how many items there are (`count`), have `ended`, have `failed`; of a repeat: how many `passes`."""
    logs: int = 0
    masked: Internal[bool] = False
    stored: Internal[int] = 0
    """Bytes of an output that is kept outside the events."""
