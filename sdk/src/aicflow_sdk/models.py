"""What the server returns, as frozen dataclasses. Instants are aware datetimes; unknown fields are left out.

`sdk/generate_models.py` writes the fields from the OpenAPI document; what they can do besides is written by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

type ExecutionStatus = Literal["queued", "running", "waiting", "succeeded", "failed", "cancelled"]
type StepStatus = Literal["running", "waiting", "retrying", "succeeded", "failed", "skipped", "cancelled"]
type Json = Mapping[str, Any]

ENDED: Final[frozenset[str]] = frozenset({"succeeded", "failed", "cancelled"})
"""The statuses of executions that have ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Related:
    """Another place that an issue is about."""

    pointer: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """A finding of validation at a JSON pointer into the document; `span` is (start, end) in the string there.
    `line` and `column` are known when a file was read."""

    code: str
    severity: Literal["error", "warning"]
    pointer: str
    message: str
    hint: str | None = None
    related: tuple[Related, ...] = ()
    span: tuple[int, ...] | None = None
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        text = f"{self.severity} {self.code} at {self.pointer or '/'}: {self.message}"
        return f"{text}\n    {self.hint}" if self.hint else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """All findings in document order; `valid` when none is an error."""

    valid: bool
    issues: tuple[Issue, ...]

    def __str__(self) -> str:
        return "\n".join(["valid" if self.valid else "not valid", *map(str, self.issues)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A place in an enabled workflow that names another: to call it (`call`), or to be started when it ends
    (`trigger`)."""

    workflow_id: str
    name: str
    pointer: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Callers:
    """The enabled workflows that name a workflow, by their ids."""

    workflow_id: str
    callers: tuple[Caller, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A saved workflow. Lists leave `document` and `etag` out; `issues` are the warnings when it was saved;
    `outcome` is what `deploy` did."""

    id: str
    name: str
    description: str | None = None
    version: int
    revision: int
    enabled: bool
    created_at: datetime
    updated_at: datetime
    labels: Mapping[str, str]
    document: Json | None = None
    issues: tuple[Issue, ...] = ()
    etag: str | None = None
    outcome: Literal["created", "updated", "unchanged"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowVersion:
    """One immutable version; the list leaves the document out."""

    workflow_id: str
    version: int
    created_at: datetime
    created_by: str | None = None
    document: Json | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureReport:
    """Why an execution or a step failed. `pointer` leads into the node's params; `line` and `excerpt` into its code."""

    code: str
    message: str
    attempt: int | None = None
    details: Json | None = None
    error_type: str | None = None
    excerpt: str | None = None
    hint: str | None = None
    line: int | None = None
    node_id: str | None = None
    pointer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerInfo:
    """What started an execution."""

    kind: str
    trigger_id: str | None = None
    type_id: str | None = None
    key: str | None = None
    scheduled_for: datetime | None = None
    parent_execution_id: str | None = None
    parent_node_id: str | None = None
    started_by: str | None = None
    payload: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One node's turn in one execution. `port` is the exit it left by; `logs` counts its log lines. `output` is None
    unless it was asked for."""

    node_id: str
    status: StepStatus
    attempt: int
    started_at: datetime | None = None
    finished_at: datetime | None = None
    port: str | None = None
    error: FailureReport | None = None
    retry_at: datetime | None = None
    wait: Json | None = None
    logs: int
    output: Any = None
    progress: Json | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An item of a map, or a pass of a repeat. `id` is where it stands, such as "each[17]"; `steps(parent=item.id)` are
    the steps inside of it. `key` is its key as text, where the map has keys and it has ended. `output` is None unless
    it was asked for."""

    id: str
    index: int
    key: str | None = None
    status: Literal["running", "waiting", "succeeded", "failed"]
    error: FailureReport | None = None
    output: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A numbered fact about an execution. Live-only ones (`step.delta`: what a node emits while it runs) have neither
    `seq` nor `time`. `stream.lost` in the stream of all executions counts the events that were left out, and belongs to
    no execution."""

    type: str
    data: Any = None
    attempt: int | None = None
    execution_id: str | None = None
    node_id: str | None = None
    seq: int | None = None
    time: datetime | None = None

    @property
    def ends(self) -> bool:
        """Whether it is the last event of its execution."""
        return self.type in ("execution.succeeded", "execution.failed", "execution.cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkError:
    """Why nothing could be done to one execution."""

    code: str
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkItem:
    """What came of one execution: `done` or `failed`; `started` is the id of the new one of a rerun."""

    execution_id: str
    status: Literal["done", "failed"]
    started: str | None = None
    error: BulkError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkResult:
    """What came of each execution, newest first. `has_more`: more meet the conditions than the limit allows."""

    done: int
    failed: int
    has_more: bool
    results: tuple[BulkItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Where a type comes from."""

    plugin: str
    distribution: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeType:
    """An installed node type and how it is configured."""

    type_id: str
    version: int
    title: str
    summary: str
    documentation: str
    params_schema: Json
    provider: Provider
    versions: tuple[int, ...]
    category: str
    ports: tuple[str, ...]
    errors: Mapping[str, str] | None = None
    pure: bool
    output_schema: Json | None = None
    enabled: bool
    default_params: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerType:
    """An installed trigger type."""

    type_id: str
    version: int
    title: str
    summary: str
    documentation: str
    params_schema: Json
    provider: Provider
    payload_schema: Json | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginProblem:
    """Why a plugin, or a part of it, is not in use."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginProvenance:
    """Where a plugin comes from: whether every file has the hash in its RECORD, and the public key that signed it."""

    installer: str | None = None
    editable: bool
    hashes: Literal["intact", "changed"]
    signature: Literal["trusted", "unknown-key", "invalid", "none"]
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """What became of an installed plugin: loaded, partial, failed, blocked by name, or refused by the policy."""

    name: str
    distribution: str | None = None
    version: str | None = None
    status: Literal["loaded", "partial", "failed", "blocked", "refused"]
    node_types: tuple[str, ...]
    trigger_types: tuple[str, ...]
    provenance: PluginProvenance | None = None
    problems: tuple[PluginProblem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """One trigger of a saved, enabled workflow; `id` is `workflow_id:trigger_id`. `problem` says why it cannot fire."""

    id: str
    workflow_id: str
    trigger_id: str
    type_id: str
    version: int
    status: Literal["active", "paused", "failed"]
    params: Json
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Something that arrived for a trigger; `error` says why it started nothing. The list leaves the payload out."""

    id: str
    binding_id: str
    received_at: datetime
    key: str | None = None
    execution_id: str | None = None
    error: str | None = None
    payload: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StateEntry:
    """A value that a workflow keeps under a key. `version` is 1 at first and grows with each change."""

    key: str
    value: Any = None
    version: int
    updated_at: datetime
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretUse:
    """A place in the current version of a workflow that names a secret: of a node, or of a trigger."""

    workflow_id: str
    workflow: str
    version: int
    node_id: str | None = None
    trigger_id: str | None = None
    pointer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A secret; never its value. `version`, `created_at` and `updated_at` are None where the source is not the store.
    With `workflows` (ids) or `labels` it is for those workflows only."""

    name: str
    source: str
    version: int | None = None
    description: str | None = None
    workflows: tuple[str, ...]
    labels: Mapping[str, str]
    created_at: datetime | None = None
    updated_at: datetime | None = None
    last_used_at: datetime | None = None
    used_by: tuple[SecretUse, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnresolvedSecret:
    """A place in a workflow that names a secret which no source has for it: in its current version, or in one that
    executions still run. `executions` are those under way, at most 20."""

    workflow_id: str
    workflow: str
    version: int
    node_id: str | None = None
    trigger_id: str | None = None
    pointer: str
    name: str
    executions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretsCheck:
    """Whether all is well with secrets: the key that counts, how many secrets are stored, how many of them wait to be
    wrapped with it, the keys that some need and the server does not have, and what workflows name in vain."""

    key: str | None = None
    secrets: int
    waiting: int
    missing_keys: tuple[str, ...]
    unresolved: tuple[UnresolvedSecret, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretRotation:
    """What came of a rotation: the key that counts now, how many secrets were wrapped anew, how many there are."""

    key: str | None = None
    rotated: int
    secrets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SentEvent:
    """An event from outside. Waits that begin before `expires_at` find it; `received` says by how many waits it was."""

    id: str
    name: str
    key: str | None = None
    data: Any = None
    received_at: datetime
    expires_at: datetime
    received: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file on the server. In an input it stands for itself; `file` is what is sent. It is kept until `expires_at`,
    and as long as `executions` hold it."""

    sha256: str
    size: int
    type: str
    name: str | None = None
    created_at: datetime
    expires_at: datetime
    executions: int
    file: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """An API key; never the key itself."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    workflows: tuple[str, ...]
    labels: Mapping[str, str]
    addresses: tuple[str, ...]
    previous_expires_at: datetime | None = None
    max_queued: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedApiKey(ApiKey):
    """A new API key. `key` is shown this once."""

    key: str

    def __repr__(self) -> str:
        return f"CreatedApiKey(id={self.id!r}, name={self.name!r}, scopes={self.scopes!r}, key='…')"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What opens one stream, once, before it expires."""

    ticket: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"Ticket(ticket='…', expires_at={self.expires_at!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedFigures:
    """How executions ended: how many, and the seconds from start to end that half (`p50`) and 95 in 100 (`p95`) of
    those that succeeded did not exceed; None when none did."""

    succeeded: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedPoint(EndedFigures):
    """What ended from `start` on, until the next point."""

    failed: int
    cancelled: int
    p50: float | None = None
    p95: float | None = None
    start: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedWorkflow(EndedFigures):
    """What ended of one workflow."""

    failed: int
    cancelled: int
    p50: float | None = None
    p95: float | None = None
    workflow_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureCount:
    """Failures of a workflow with one code at one node, of the newest 10,000."""

    workflow_id: str
    node_id: str | None = None
    code: str
    count: int
    last_execution_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics(EndedFigures):
    """How executions ended from `since` to `until`: together, in steps of `step` seconds, by workflow (most failures
    first), and the most frequent failures."""

    failed: int
    cancelled: int
    p50: float | None = None
    p95: float | None = None
    since: datetime
    until: datetime
    step: int
    series: tuple[EndedPoint, ...]
    workflows: tuple[EndedWorkflow, ...]
    failures: tuple[FailureCount, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueScaling:
    """The figures of one queue."""

    queue: str
    queued: int
    queue_seconds: float
    running: int
    wanted_workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A worker that is alive. `queues`: those it takes from, None for all. `types`: what it has."""

    id: str
    name: str
    host: str
    pid: int
    version: str
    queues: tuple[str, ...] | None = None
    max_running: int
    running: int
    types: tuple[str, ...]
    started_at: datetime
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorFinding:
    """One thing that was looked at, with what to do about it."""

    state: Literal["ok", "note", "problem"]
    subject: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorReport:
    """Whether the installation is sound: `ok` when nothing is a problem."""

    ok: bool
    findings: tuple[DoctorFinding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """For an autoscaler: `queued` could be run now, the first of them for `queue_seconds`; `wanted_workers`, each
    for `max_running` executions, would run these and those that are `running`."""

    queued: int
    queue_seconds: float
    running: int
    max_running: int
    wanted_workers: int
    queues: tuple[QueueScaling, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeHealth:
    """The health of a node type: `ready` is None while unknown, `reason` explains false, `note` tells a limitation."""

    ready: bool | None = None
    note: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether executions can be accepted and run. `degraded` names the node types whose steps cannot run there, `stuck`
    counts the executions with which the engine itself fails now."""

    status: Literal["ready", "not-ready"]
    checks: Mapping[str, str]
    plugins: Mapping[str, int]
    degraded: tuple[str, ...]
    stuck: int
    node_types: Mapping[str, NodeHealth]

    @property
    def ready(self) -> bool:
        """Whether it can accept and run executions."""
        return self.status == "ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page[T]:
    """One page of a list; `next_cursor` is None at the end."""

    data: tuple[T, ...]
    next_cursor: str | None


SavedWorkflow = Workflow
"""What the package calls it, beside the one that is built."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Something that was changed or refused. `hash` is made of the hash before it and of the entry; `count` equal ones
    of a second are one entry, with `many` ids of what they made."""

    seq: int
    hash: str
    at: datetime
    actor: str
    action: str
    target: str
    outcome: Literal["done", "repeated", "dry-run", "refused", "failed"]
    address: str | None = None
    count: int | None = None
    details: Json | None = None
    head: str | None = None
    mac: str | None = None
    made: str | None = None
    many: tuple[str, ...] | None = None
    request_id: str | None = None
    status: int | None = None
    through: int | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """Whether the audit chain is whole: `problems` is empty then. `hash` is that of its end."""

    entries: int
    checkpoints: int
    seq: int
    hash: str
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectHolding:
    """Something that holds data of a person."""

    kind: Literal["execution", "file", "delivery", "event", "state", "key"]
    id: str
    status: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectFound:
    """What is kept about a person; `mentions` are about others too, and stay."""

    counts: Mapping[str, int]
    mentions: tuple[str, ...]
    holdings: tuple[SubjectHolding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectItem:
    """One thing that is kept about a person, with all that is in it."""

    kind: Literal["execution", "file", "delivery", "event", "state", "key", "mention"]
    id: str
    data: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectExport:
    """Everything that is kept about a person."""

    data: tuple[SubjectItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectErased:
    """What was erased; `traces` are places where the value can still be read."""

    counts: Mapping[str, int]
    mentions: tuple[str, ...]
    erased: int
    active: tuple[str, ...]
    traces: tuple[str, ...]
    dry_run: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessingActivity:
    """What a workflow does with personal data."""

    workflow_id: str
    name: str
    description: str | None = None
    labels: Mapping[str, str]
    subject: Any = None
    input_fields: tuple[str, ...]
    sources: tuple[str, ...]
    node_types: tuple[str, ...]
    passes_on: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessingRecord:
    """The record of processing, and how long each kind of data is kept."""

    workflows: tuple[ProcessingActivity, ...]
    retention: Mapping[str, str]
