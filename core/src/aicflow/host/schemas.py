"""What the API returns: records of the kernel as they are, and models for what is put together for a response."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import chain
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from aicflow.host.calls import Caller
from aicflow.kernel.context import StateEntry
from aicflow.kernel.execution import Event, Execution, FailureReport, Step
from aicflow.kernel.ports.access import ApiKeyRecord
from aicflow.kernel.ports.files import FileRecord
from aicflow.kernel.ports.sent import SentEvent
from aicflow.kernel.ports.workflows import WorkflowRecord, WorkflowVersion
from aicflow.kernel.registry import Provider
from aicflow.kernel.trigger import Delivery


class _Response(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Issue(_Response):
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


class WorkflowChange(_Response):
    """One difference. `name` is the id (of an edge `from -> to`, of a node its new one), `path` leads to what changed
    inside, with dots. The pointers say where it is in each document, null where there is nothing."""

    kind: Literal["added", "removed", "changed", "renamed"]
    what: Literal["workflow", "node", "edge", "trigger", "var", "setting"]
    name: str
    path: str
    old: Any
    new: Any
    old_pointer: str | None
    new_pointer: str | None


class WorkflowDiff(_Response):
    """What changed in meaning from one version to another; nothing when `changes` is empty."""

    workflow_id: str
    old: int = Field(alias="from")
    new: int = Field(alias="to")
    changes: list[WorkflowChange]


class Callers(_Response):
    """The enabled workflows that name a workflow, by their ids."""

    workflow_id: str
    callers: list[Caller]


class ValidationResult(_Response):
    """All findings, in document order; `valid` when none is an error."""

    valid: bool
    issues: list[Issue]


class PreviewError(_Response):
    """Why there is no value. `span` counts characters of the expression as it was given."""

    code: str
    message: str
    span: list[int]
    hint: str | None = None


class ExpressionPreview(_Response):
    """The value and its JSON type, or the error."""

    ok: bool
    value: Any = None
    type: str | None = None
    error: PreviewError | None = None


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


class Events(_Response):
    """Events after the asked one; `last_seq` is the last of these, or the asked one when there are none."""

    data: list[Event]
    last_seq: int


class Item(_Response):
    """An item of a map, or a pass of a repeat. `id` is where it stands, such as `each[17]`; the steps inside of it are
    those with this parent. `key` is its key as text, where the map has keys and it has ended. `output` is left out
    unless asked for, and null where the map does not collect it."""

    id: str
    index: int
    key: str | None
    status: Literal["running", "waiting", "succeeded", "failed"]
    error: FailureReport | None
    output: Any = None


class Ticket(_Response):
    """What opens one stream or one session, once, before it expires."""

    ticket: str
    expires_at: datetime


class Session(_Response):
    """Who calls: `id` and `name` are those of the key or token. `limited`: to some workflows. `session`: by a browser's
    session. `expires_at` is when the first of them ends, null when nothing does."""

    id: str
    name: str
    scopes: list[str]
    limited: bool
    session: bool
    expires_at: datetime | None


class Layout(_Response):
    """Where a client drew the nodes of a workflow, as it was put; null before that."""

    layout: Any


class Why(_Response):
    """What an execution is doing or why it ended, in a sentence."""

    sentence: str


class AuditEntry(_Response):
    """Something that was changed or refused. `hash` is made of the hash before it and of the entry. `count` equal ones
    of a second are one entry, with `many` ids of what they made. `address`, `user` and the keys of state stand beside
    the chain; where they were erased, a keyed hash (`h:…`) is shown. `through`, `head` and `mac` sign the chain."""

    seq: int
    hash: str
    at: datetime
    actor: str = Field(description="`key:ID`, `token:ISSUER#SUBJECT`, `trigger:ID`, `cli`, `system` or `anonymous`")
    action: str
    target: str
    outcome: Literal["done", "repeated", "dry-run", "refused", "failed"]
    status: int | None = None
    made: str | None = None
    many: list[str] | None = None
    count: int | None = None
    address: str | None = None
    user: str | None = None
    request_id: str | None = None
    through: int | None = None
    head: str | None = None
    mac: str | None = None
    details: dict[str, Any] | None = None


class AuditReport(_Response):
    """Whether the audit chain is whole. `hash` is that of its end, `seq` the number of its last entry."""

    entries: int
    checkpoints: int
    seq: int
    hash: str
    problems: list[str]


class SubjectHolding(_Response):
    """Something that holds data of a person."""

    kind: Literal["execution", "file", "delivery", "event", "state", "key"]
    id: str
    status: str | None


class SubjectFound(_Response):
    """What is kept about a person, with how many of each kind. `mentions` are about others too, and stay."""

    counts: dict[str, int]
    mentions: list[str]
    holdings: list[SubjectHolding]


class SubjectItem(_Response):
    """One thing that is kept about a person, with all that is in it."""

    kind: Literal["execution", "file", "delivery", "event", "state", "key", "mention"]
    id: str
    data: Any


class SubjectExport(_Response):
    """Everything that is kept about a person."""

    data: list[SubjectItem]


class SubjectErased(_Response):
    """What was erased. `traces` are places where the value can still be read, such as backups; `active` executions that
    have not ended; `mentions` are about others too, and stay."""

    counts: dict[str, int]
    mentions: list[str]
    erased: int
    active: list[str]
    traces: list[str]
    dry_run: bool


class ProcessingActivity(_Response):
    """What a workflow does with personal data: whom it is about, where data comes from, which nodes pass it on."""

    workflow_id: str
    name: str
    description: str | None
    labels: dict[str, str]
    subject: Any
    input_fields: list[str]
    sources: list[str]
    node_types: list[str]
    passes_on: list[str]


class ProcessingRecord(_Response):
    """The record of processing, and how long each kind of data is kept."""

    workflows: list[ProcessingActivity]
    retention: dict[str, str]


class BulkError(_Response):
    """Why nothing could be done to one execution."""

    code: str
    message: str
    hint: str | None


class BulkItem(_Response):
    """What came of one execution; `started` is the new one of a rerun."""

    execution_id: str
    status: Literal["done", "failed"]
    started: str | None
    error: BulkError | None


class BulkResult(_Response):
    """What came of each execution, newest first. `has_more`: more meet the conditions than the limit allows."""

    done: int
    failed: int
    has_more: bool
    results: list[BulkItem]


class SecretUse(_Response):
    """A place in the current version of a workflow that names the secret: of a node, or of a trigger."""

    workflow_id: str
    workflow: str
    version: int
    node_id: str | None
    trigger_id: str | None
    pointer: str


class Secret(_Response):
    """A secret; never its value. `version`, `created_at` and `updated_at` are null where the source is not the store.
    With `workflows` or `labels` it is for those workflows only."""

    name: str
    source: str
    version: int | None
    description: str | None
    workflows: list[str]
    labels: dict[str, str]
    created_at: datetime | None
    updated_at: datetime | None
    last_used_at: datetime | None
    used_by: list[SecretUse]


class UnresolvedSecret(SecretUse):
    """A place in a workflow that names a secret which no source has for it: in its current version, or in one that
    executions still run. `executions` are those under way, at most 20."""

    name: str
    executions: list[str]


class SecretsCheck(_Response):
    """Whether all is well with secrets: the key that counts, how many secrets are stored, how many of them wait to be
    wrapped with it, the keys that some need and the server does not have, and what workflows name in vain."""

    key: str | None
    secrets: int
    waiting: int
    missing_keys: list[str]
    unresolved: list[UnresolvedSecret]


class SecretRotation(_Response):
    """What came of a rotation: the key that counts now, how many secrets were wrapped anew, how many there are."""

    key: str | None
    rotated: int
    secrets: int


class _Type(_Response):
    type_id: str
    version: int
    title: str
    summary: str
    documentation: str
    params_schema: dict[str, Any]
    provider: Provider


class NodeType(_Type):
    """An installed node type and how it is configured."""

    versions: list[int]
    category: str
    ports: list[str]
    errors: dict[str, str] | None
    pure: bool
    output_schema: dict[str, Any] | None
    enabled: bool
    default_params: dict[str, Any]


class TriggerType(_Type):
    """An installed trigger type."""

    payload_schema: dict[str, Any] | None


class PluginProblem(_Response):
    """Why a plugin, or a part of it, is not in use."""

    code: str
    message: str


class PluginProvenance(_Response):
    """Where a plugin comes from: `hashes` compares every file with the distribution's RECORD, `key` is the public key
    that signed it."""

    installer: str | None
    editable: bool
    hashes: Literal["intact", "changed"]
    signature: Literal["trusted", "unknown-key", "invalid", "none"]
    key: str | None


class Plugin(_Response):
    """What became of an installed plugin."""

    name: str
    distribution: str | None
    version: str | None
    status: Literal["loaded", "partial", "failed", "blocked", "refused"]
    node_types: list[str]
    trigger_types: list[str]
    provenance: PluginProvenance | None
    problems: list[PluginProblem]


class Trigger(_Response):
    """One trigger of a saved, enabled workflow. `problem` says why it cannot fire."""

    id: str
    workflow_id: str
    trigger_id: str
    type_id: str
    version: int
    status: Literal["active", "paused", "failed"]
    params: dict[str, Any]
    problem: str | None


class Fires(_Response):
    """When a trigger will fire next, as its type reports it."""

    data: list[dict[str, Any]]


class NodeHealth(BaseModel):
    """What a node type says of itself: `ready` is null while it is not known, `reason` says why it is false, `note`
    what is weaker than it might be. Types add fields of their own. Without an API key only `ready` is shown."""

    ready: bool | None
    reason: str | None = None
    note: str | None = None


class Ready(_Response):
    """Whether executions can be accepted and run. `degraded` names the node types whose steps cannot run here,
    `stuck` says with how many executions the engine itself fails now."""

    status: Literal["ready", "not-ready"]
    checks: dict[str, str]
    plugins: dict[str, int]
    degraded: list[str]
    stuck: int
    node_types: dict[str, NodeHealth]


class DoctorFinding(_Response):
    """One thing that was looked at, with what to do about it."""

    state: Literal["ok", "note", "problem"]
    subject: str
    text: str


class DoctorReport(_Response):
    """Whether the installation is sound: `ok` when nothing is a problem."""

    ok: bool
    findings: list[DoctorFinding]


class QueueScaling(_Response):
    """The figures of one queue."""

    queue: str
    queued: int
    queue_seconds: float
    running: int
    wanted_workers: int


class Scaling(_Response):
    """What an autoscaler needs. `queued` could be run now, the first of them for `queue_seconds`; `running` are under
    way on all hosts, of which one runs `max_running` at most; `wanted_workers` of this size would run them all."""

    queued: int
    queue_seconds: float
    running: int
    max_running: int
    wanted_workers: int
    queues: list[QueueScaling]


class Worker(_Response):
    """A worker that is alive. `queues`: those it takes from, null for all. `types`: the node types that it has, each
    also with its versions as `http.request@1`, and engines as `engine:native`."""

    id: str
    name: str
    host: str
    pid: int
    version: str
    queues: list[str] | None
    max_running: int
    running: int
    types: list[str]
    started_at: datetime
    seen_at: datetime


class EndedFigures(_Response):
    """How executions ended: how many, and the seconds from start to end that half (`p50`) and 95 in 100 (`p95`) of
    those that succeeded did not exceed; null when none did."""

    succeeded: int
    failed: int
    cancelled: int
    p50: float | None
    p95: float | None


class EndedPoint(EndedFigures):
    """What ended from `start` on, until the next point."""

    start: datetime


class EndedWorkflow(EndedFigures):
    """What ended of one workflow."""

    workflow_id: str


class FailureCount(_Response):
    """Failures of a workflow with one code at one node, of the newest 10,000."""

    workflow_id: str
    node_id: str | None
    code: str
    count: int
    last_execution_id: str


class Statistics(EndedFigures):
    """How executions ended from `since` to `until`: together, in steps of `step` seconds, by workflow (most failures
    first), and the most frequent failures."""

    since: datetime
    until: datetime
    step: int
    series: list[EndedPoint]
    workflows: list[EndedWorkflow]
    failures: list[FailureCount]


PAGES: Final = {
    "ApiKeyPage": "ApiKey",
    "DeliveryPage": "Delivery",
    "ExecutionPage": "Execution",
    "NodeTypePage": "NodeType",
    "PluginPage": "Plugin",
    "AuditPage": "AuditEntry",
    "SecretPage": "Secret",
    "SentEventPage": "SentEvent",
    "StatePage": "StateEntry",
    "StoredFilePage": "StoredFile",
    "TriggerPage": "Trigger",
    "TriggerTypePage": "TriggerType",
    "WorkerPage": "Worker",
    "WorkflowPage": "WorkflowSummary",
    "WorkflowVersionPage": "WorkflowVersion",
    "Steps": "Step",
    "Items": "Item",
}
"""The lists that come in pages, and what they are of."""
_RESPONSES: Final[tuple[type, ...]] = (
    ApiKeyRecord, AuditEntry, AuditReport, BulkResult, Callers, Delivery, DoctorReport, Event, Events, Execution,
    ExpressionPreview, FileRecord, Fires, Issue, Item, Layout, NodeType, Plugin, ProblemDocument,
    ProcessingRecord, Ready, Scaling, Secret, SecretRotation, SecretsCheck, SentEvent, Session, StateEntry, Statistics,
    Step, StreamEvent, SubjectErased, SubjectExport, SubjectFound, Ticket, Trigger, TriggerType,
    ValidationResult, Why, Worker, WorkflowDiff, WorkflowRecord, WorkflowVersion,
)  # fmt: skip


def response_schemas() -> dict[str, Any]:
    """The schemas of all responses by name."""
    _, found = TypeAdapter.json_schemas(
        [(model, "serialization", TypeAdapter(model)) for model in _RESPONSES],
        ref_template="#/components/schemas/{model}",
    )
    schemas: dict[str, Any] = found["$defs"]
    for field in chain.from_iterable(schema.get("properties", {}).values() for schema in schemas.values()):
        field.pop("default", None)  # which is for what is sent
    schemas["ApiKey"] = key = _variant(schemas.pop("ApiKeyRecord"), "ApiKey")
    text = "A new API key. `key` is shown this once."
    schemas["ApiKeyCreated"] = _variant(key, "ApiKeyCreated", text, {"key": {"type": "string", "title": "Key"}})
    text = "A file. `file` is what an input names it by; it is kept until `expires_at` and while `executions` hold it."
    named = {"file": {"type": "object", "title": "File", "additionalProperties": True}}
    schemas["StoredFile"] = _variant(schemas.pop("FileRecord"), "StoredFile", text, named)
    workflow = schemas.pop("WorkflowRecord")
    listed = {"type": "array", "items": {"$ref": "#/components/schemas/Issue"}}
    issues = {"anyOf": [listed, {"type": "null"}], "title": "Issues"}
    text = "A workflow. `issues` are the warnings of validation, present when it was just saved."
    schemas["Workflow"] = saved = _variant(workflow, "Workflow", text, {"issues": issues})
    saved["required"] = [*workflow["required"], "document"]
    summary = schemas["WorkflowSummary"] = _variant(workflow, "WorkflowSummary", "A workflow without its document.")
    del summary["properties"]["document"]
    for name, item in PAGES.items():
        items = {"type": "array", "items": {"$ref": f"#/components/schemas/{item}"}, "title": "Data"}
        cursor = {"anyOf": [{"type": "string"}, {"type": "null"}], "title": "Next Cursor"}
        schemas[name] = {
            "type": "object",
            "title": name,
            "description": "One page; `next_cursor` is null at the end.",
            "properties": {"data": items, "next_cursor": cursor},
            "required": ["data", "next_cursor"],
        }
    return schemas


def _variant(
    schema: dict[str, Any], title: str, description: str | None = None, more: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The schema of a record under the API's name for it, with what a response adds."""
    properties = {**schema["properties"], **(more or {})}
    required = [*schema["required"], *(name for name in more or {} if name != "issues")]
    description = description or schema["description"]
    return {**schema, "title": title, "description": description, "properties": properties, "required": required}
