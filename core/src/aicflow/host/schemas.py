"""What the API gives, as models: the shapes of answers in the OpenAPI document."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from aicflow.kernel.execution import ExecutionStatus

__all__ = [
    "ApiKey",
    "ApiKeyCreated",
    "BulkResult",
    "Delivery",
    "Event",
    "Events",
    "Execution",
    "ExpressionPreview",
    "FailureReport",
    "Fires",
    "Issue",
    "NodeHealth",
    "NodeType",
    "Plugin",
    "ProblemDocument",
    "Ready",
    "Step",
    "Steps",
    "Trigger",
    "TriggerType",
    "ValidationResult",
    "Why",
    "Workflow",
    "WorkflowChange",
    "WorkflowDiff",
    "WorkflowSummary",
    "WorkflowVersion",
    "page_of",
]

type StepStatusName = Literal["running", "waiting", "retrying", "succeeded", "failed", "skipped", "cancelled"]


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Issue(_Given):
    """A finding of validation at a JSON pointer into the document."""

    code: str
    severity: Literal["error", "warning"]
    pointer: str
    message: str
    hint: str | None = None
    span: list[int] | None = None
    related: list[dict[str, str]] | None = None


class ProblemEntry(BaseModel):
    """One thing that is wrong."""

    code: str
    pointer: str
    message: str
    hint: str | None = None
    severity: str | None = None
    span: list[int] | None = None
    line: int | None = None
    column: int | None = None


class ProblemDocument(BaseModel):
    """An RFC 9457 problem document."""

    type: str = Field(examples=["urn:aicflow:problem:not-found"])
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[ProblemEntry]
    hint: str | None = None


class WorkflowSummary(_Given):
    """A workflow without its document."""

    id: str
    name: str
    description: str | None
    labels: dict[str, str]
    version: int
    revision: int
    enabled: bool
    created_at: datetime
    updated_at: datetime


class Workflow(WorkflowSummary):
    """A workflow. `issues` are the warnings of validation, given when it was saved."""

    document: dict[str, Any]
    issues: list[Issue] | None = None


class WorkflowVersion(_Given):
    """One immutable version; the list leaves the document out."""

    workflow_id: str
    version: int
    created_at: datetime
    document: dict[str, Any] | None = None


class WorkflowChange(_Given):
    """One difference. `name` is the id (of an edge `from -> to`, of a node its new one), `path` leads to what changed
    inside, with dots. The pointers say where it stands in each document, null where there is nothing."""

    kind: Literal["added", "removed", "changed", "renamed"]
    what: Literal["workflow", "node", "edge", "trigger", "var", "setting"]
    name: str
    path: str
    old: Any
    new: Any
    old_pointer: str | None
    new_pointer: str | None


class WorkflowDiff(_Given):
    """What changed in meaning from one version to another; nothing when `changes` is empty."""

    workflow_id: str
    old: int = Field(alias="from")
    new: int = Field(alias="to")
    changes: list[WorkflowChange]


class ValidationResult(_Given):
    """All findings, in document order; `valid` when none is an error."""

    valid: bool
    issues: list[Issue]


class PreviewError(_Given):
    """Why there is no value. `span` counts characters of the expression as it was given."""

    code: str
    message: str
    span: list[int]
    hint: str | None = None


class ExpressionPreview(_Given):
    """The value and its JSON type, or the error."""

    ok: bool
    value: Any = None
    type: str | None = None
    error: PreviewError | None = None


class FailureReport(_Given):
    """Why an execution or a step failed."""

    code: str
    message: str
    node_id: str | None = None
    attempt: int | None = None
    error_type: str | None = None
    pointer: str | None = None
    hint: str | None = None
    line: int | None = None
    excerpt: str | None = None
    details: dict[str, Any] | None = None


class TriggerInfo(_Given):
    """What started an execution."""

    kind: str
    trigger_id: str | None
    type_id: str | None
    key: str | None
    scheduled_for: datetime | None
    parent_execution_id: str | None
    parent_node_id: str | None
    payload: Any = None


class Execution(_Given):
    """One running of one version of a workflow. `input`, `output` and `trigger.payload` are left out in lists and for
    API keys without the scope `read`."""

    id: str
    workflow_id: str
    version: int
    status: ExecutionStatus
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    input: Any = None
    output: Any = None
    error: FailureReport | None
    trigger: TriggerInfo
    engine: str | None
    priority: int
    last_seq: int
    cancel_requested: bool
    wake_at: datetime | None
    rerun_of: str | None


class Step(_Given):
    """One node's turn in one execution. `logs` counts its log lines."""

    node_id: str
    status: StepStatusName
    attempt: int
    started_at: datetime | None
    finished_at: datetime | None
    port: str | None
    output: Any = None
    error: FailureReport | None
    retry_at: datetime | None
    wait: dict[str, Any] | None
    logs: int


class Steps(_Given):
    """The steps of one execution, in the order they first appeared."""

    data: list[Step]


class Event(BaseModel):
    """An immutable, numbered fact about an execution."""

    seq: int
    time: datetime
    type: str
    execution_id: str
    node_id: str | None = None
    attempt: int | None = None
    data: dict[str, Any]


class StreamEvent(BaseModel):
    """What a stream sends: an event; a `step.delta`, which has no `seq`, since it is not stored; or, from the stream of
    all executions to a reader that fell behind, a `stream.lost` with nothing but `data`: `{"events": N}`."""

    seq: int | None = None
    time: datetime | None = None
    type: str
    execution_id: str | None = None
    node_id: str | None = None
    attempt: int | None = None
    data: Any


class Events(_Given):
    """Events after the asked one; `last_seq` is the last of these, or the asked one when there are none."""

    data: list[Event]
    last_seq: int


class Why(_Given):
    """What an execution is doing or why it ended, in a sentence."""

    sentence: str


class BulkError(_Given):
    """Why nothing could be done to one execution."""

    code: str
    message: str
    hint: str | None


class BulkItem(_Given):
    """What came of one execution; `started` is the new one of a rerun."""

    execution_id: str
    status: Literal["done", "failed"]
    started: str | None
    error: BulkError | None


class BulkResult(_Given):
    """What came of each execution, newest first. `has_more`: more meet the conditions than the limit allows."""

    done: int
    failed: int
    has_more: bool
    results: list[BulkItem]


class Provider(_Given):
    """Where a type comes from."""

    plugin: str
    distribution: str | None
    version: str | None


class NodeType(_Given):
    """An installed node type and how it is configured."""

    type_id: str
    version: int
    versions: list[int]
    title: str
    category: str
    summary: str
    documentation: str
    ports: list[str]
    errors: dict[str, str] | None
    pure: bool
    params_schema: dict[str, Any]
    output_schema: dict[str, Any] | None
    provider: Provider
    enabled: bool
    default_params: dict[str, Any]


class TriggerType(_Given):
    """An installed trigger type."""

    type_id: str
    version: int
    title: str
    summary: str
    documentation: str
    params_schema: dict[str, Any]
    payload_schema: dict[str, Any] | None
    provider: Provider


class PluginProblem(_Given):
    """Why a plugin, or a part of it, is not in use."""

    code: str
    message: str


class Plugin(_Given):
    """What became of an installed plugin."""

    name: str
    distribution: str | None
    version: str | None
    status: Literal["loaded", "partial", "failed", "blocked"]
    node_types: list[str]
    trigger_types: list[str]
    problems: list[PluginProblem]


class Trigger(_Given):
    """One trigger of a saved, enabled workflow. `problem` says why it cannot fire."""

    id: str
    workflow_id: str
    trigger_id: str
    type_id: str
    version: int
    status: Literal["active", "paused", "failed"]
    params: dict[str, Any]
    problem: str | None


class Fires(_Given):
    """When a trigger will fire next, as its type tells it."""

    data: list[dict[str, Any]]


class Delivery(_Given):
    """Something that arrived for a trigger; `error` says why it started nothing. The list leaves the payload out."""

    id: str
    binding_id: str
    received_at: datetime
    key: str | None
    execution_id: str | None
    error: str | None
    payload: Any = None


class ApiKey(_Given):
    """An API key; never the key itself."""

    id: str
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class ApiKeyCreated(ApiKey):
    """A new API key. `key` is shown this once."""

    key: str


class NodeHealth(BaseModel):
    """What a node type says of itself: `ready` is null while it is not known, `reason` says why it is false, `note`
    what is weaker than it might be. Types add fields of their own. Without an API key only `ready` is told."""

    ready: bool | None
    reason: str | None = None
    note: str | None = None


class Ready(_Given):
    """Whether executions can be accepted and run. `degraded` names the node types whose steps cannot run here,
    `stuck` says with how many executions the engine itself fails now."""

    status: Literal["ready", "not-ready"]
    checks: dict[str, str]
    plugins: dict[str, int]
    degraded: list[str]
    stuck: int
    node_types: dict[str, NodeHealth]


def page_of(model: type[BaseModel], name: str) -> type[BaseModel]:
    """The model of one page of a list."""
    from pydantic import create_model

    return create_model(
        name,
        __doc__="One page; `next_cursor` is null at the end.",
        data=(list[model], ...),  # type: ignore[valid-type]
        next_cursor=(str | None, ...),
    )
