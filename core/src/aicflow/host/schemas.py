"""What the API takes and gives, as models: the shapes in the OpenAPI document, and the checks of request bodies."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from aicflow.host.keys import SCOPES
from aicflow.kernel.execution import ExecutionStatus

__all__ = [
    "ApiKey",
    "ApiKeyCreated",
    "BulkRequest",
    "BulkResult",
    "CreateApiKey",
    "Delivery",
    "Event",
    "Events",
    "Execution",
    "FailureReport",
    "FireTrigger",
    "Fires",
    "Issue",
    "NodeType",
    "PatchNodeType",
    "PatchWorkflow",
    "Plugin",
    "ProblemDocument",
    "Ready",
    "RerunExecution",
    "ResumeExecution",
    "StartExecution",
    "Step",
    "Steps",
    "Trigger",
    "TriggerType",
    "ValidationResult",
    "Why",
    "Workflow",
    "WorkflowSummary",
    "WorkflowVersion",
    "page_of",
]  # fmt: skip

type StepStatusName = Literal["running", "waiting", "retrying", "succeeded", "failed", "skipped", "cancelled"]


class _Request(BaseModel):
    # strict: "3" is not 3; unknown keys are errors, never ignored
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid")


def _scopes(value: list[str]) -> list[str]:
    for scope in value:
        if scope not in SCOPES:
            raise ValueError(f"{scope!r} is not a scope; there are {', '.join(SCOPES)}")
    return value


def _no_control(value: str) -> str:
    if not value.isprintable():
        raise ValueError("it contains characters that cannot be shown")
    return value


Name = Annotated[
    str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True), AfterValidator(_no_control)
]


class StartExecution(_Request):
    """Start an execution. `version` is the newest one unless named; higher `priority` is claimed first."""

    workflow_id: str = Field(min_length=1, max_length=200)
    input: JsonValue = None
    version: int | None = Field(default=None, ge=1, le=2**53)
    priority: int = Field(default=0, ge=-1000, le=1000)
    engine: str | None = Field(default=None, max_length=64)


class PatchWorkflow(_Request):
    """Switch a workflow on or off."""

    enabled: bool


class ResumeExecution(_Request):
    """Answer a waiting step. `node_id` may be left out when one step waits."""

    node_id: str | None = Field(default=None, max_length=64)
    action: Literal["answered", "retry", "skip", "fail"] = "answered"
    value: JsonValue = None


class RerunExecution(_Request):
    """Make a new execution from an old one. `from_node` reuses the outputs of everything not downstream of it."""

    input: JsonValue = None
    version: Literal["pinned", "latest"] | int = "pinned"
    from_node: str | None = Field(default=None, max_length=64)


class BulkRequest(_Request):
    """Which executions; every given condition must hold, and at least one must be given."""

    workflow_id: str | None = Field(default=None, max_length=200)
    status: list[ExecutionStatus] | None = Field(default=None, min_length=1)
    created_after: AwareDatetime | None = None
    created_before: AwareDatetime | None = None
    limit: int = Field(default=100, ge=1, le=1000)


class PatchNodeType(_Request):
    """Configure a node type; effective at once and kept. What is left out stays as it is."""

    enabled: bool | None = None
    default_params: dict[str, JsonValue] | None = None


class FireTrigger(_Request):
    """Fire a trigger now, with this payload."""

    payload: JsonValue = None


class CreateApiKey(_Request):
    """A new API key. `admin` includes every other scope."""

    name: Name
    scopes: Annotated[list[str], AfterValidator(_scopes)] = Field(
        min_length=1, max_length=8, json_schema_extra={"items": {"type": "string", "enum": list(SCOPES)}}
    )
    expires_at: AwareDatetime | None = None


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


class ValidationResult(_Given):
    """All findings, in document order; `valid` when none is an error."""

    valid: bool
    issues: list[Issue]


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
    """One running of one version of a workflow. Lists leave `input` and `output` out."""

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


class Events(_Given):
    """Events after the asked one; `last_seq` is the last of these, or the asked one when there are none."""

    data: list[Event]
    last_seq: int


class Why(_Given):
    """What an execution is doing or why it ended, in a sentence."""

    sentence: str


class BulkResult(_Given):
    """What was done."""

    count: int
    execution_ids: list[str]


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


class Ready(_Given):
    """Whether executions can be accepted and run."""

    status: Literal["ready", "not-ready"]
    checks: dict[str, str]
    plugins: dict[str, int]


def page_of(model: type[BaseModel], name: str) -> type[BaseModel]:
    """The model of one page of a list."""
    from pydantic import create_model

    return create_model(
        name,
        __doc__="One page; `next_cursor` is null at the end.",
        data=(list[model], ...),  # type: ignore[valid-type]
        next_cursor=(str | None, ...),
    )


def instant(value: datetime | None) -> float | None:
    """A request's instant as seconds since 1970 UTC."""
    return value.astimezone(UTC).timestamp() if value is not None else None
