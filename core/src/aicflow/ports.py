"""The public face of store, engine, secret-source and observer authors: the ports, their records, and parts that every
store needs. Node and trigger authors need `aicflow` only.

A store implements `Store` and is offered by `aicflow_stores`; an engine implements `Engine` (`aicflow_engines`), a
secret source `SecretSource` (`aicflow_secrets`), an observer `Observer` (`aicflow_observers`). The conformance
suites are in `aicflow.testing`."""

from aicflow.engine.scoped import Scoped
from aicflow.kernel.clock import Clock, iso
from aicflow.kernel.context import StateEntry
from aicflow.kernel.errors import (
    AICFlowError,
    Conflict,
    EventsDamaged,
    KeyUsed,
    NotFound,
    RecordDamaged,
    StaleClaim,
    StoreUnavailable,
)
from aicflow.kernel.execution import (
    ACTIVE_STATUSES,
    TERMINAL_STATUSES,
    TRIGGER_KINDS,
    Event,
    Execution,
    ExecutionStatus,
    FailureReport,
    Step,
    TriggerInfo,
)
from aicflow.kernel.graph import Graph, Walk
from aicflow.kernel.hookspecs import hookimpl
from aicflow.kernel.ports.access import (
    ApiKeyRecord,
    IdempotencyStore,
    KeyStore,
    NodeSetting,
    NodeSettingStore,
    SecretRecord,
    SecretStore,
)
from aicflow.kernel.ports.audit import (
    GENESIS,
    AuditEntry,
    AuditFilter,
    AuditRow,
    AuditStore,
    PendingAudit,
    pending_audit,
)
from aicflow.kernel.ports.engine import Engine, RunStep, Settlement, Skip
from aicflow.kernel.ports.executions import (
    Appended,
    Claimed,
    Created,
    EventBatch,
    ExecutionFilter,
    ExecutionStore,
    Fire,
    Idempotency,
    ItemResult,
    Labels,
    NewExecution,
    Page,
    Projection,
    SlotLimit,
    StoredAnswer,
    Subscription,
    WorkflowLimit,
)
from aicflow.kernel.ports.files import FileRecord, FileStore
from aicflow.kernel.ports.maintenance import Maintenance, RetentionRule, SizeReport, WorkflowSize
from aicflow.kernel.ports.sent import EventStore, SentEvent
from aicflow.kernel.ports.signals import Signal, SignalBus
from aicflow.kernel.ports.store import Store
from aicflow.kernel.ports.subjects import DataSubject, Holding, HoldingKind, SubjectStore
from aicflow.kernel.ports.workflows import StateStore, TriggerStore, WorkflowRecord, WorkflowStore, WorkflowVersion
from aicflow.kernel.records import EngineType, KeyWrapper, Observer, Runtime, SecretRuntime, SecretSource, StoreType
from aicflow.kernel.trigger import Delivery
from aicflow.kernel.values import dumps, loads
from aicflow.store.checks import (
    check_append,
    check_events,
    check_limit,
    check_quota,
    check_secret_version,
    check_unmoved,
    file_in_use,
    next_state,
    rotated_key,
    spellings,
)
from aicflow.store.concurrency import Admission, ConcurrencyLimiter, limits_from_json, limits_to_json
from aicflow.store.copying import COPIED, CopiedRow, indexed
from aicflow.store.cursors import make_cursor, read_cursor
from aicflow.store.instants import micros, now, seconds
from aicflow.store.needed import NEEDED, events_within, needed_ranges
from aicflow.store.rows import event_answer, failure_from, trigger_from
from aicflow.store.signals import LocalSignals
from aicflow.store.tables import Table, TableStore

__all__ = [
    "ACTIVE_STATUSES",
    "COPIED",
    "GENESIS",
    "NEEDED",
    "TERMINAL_STATUSES",
    "TRIGGER_KINDS",
    "AICFlowError",
    "Admission",
    "ApiKeyRecord",
    "Appended",
    "AuditEntry",
    "AuditFilter",
    "AuditRow",
    "AuditStore",
    "Claimed",
    "Clock",
    "ConcurrencyLimiter",
    "Conflict",
    "CopiedRow",
    "Created",
    "DataSubject",
    "Delivery",
    "Engine",
    "EngineType",
    "Event",
    "EventBatch",
    "EventStore",
    "EventsDamaged",
    "Execution",
    "ExecutionFilter",
    "ExecutionStatus",
    "ExecutionStore",
    "FailureReport",
    "FileRecord",
    "FileStore",
    "Fire",
    "Graph",
    "Holding",
    "HoldingKind",
    "Idempotency",
    "IdempotencyStore",
    "ItemResult",
    "KeyStore",
    "KeyUsed",
    "KeyWrapper",
    "Labels",
    "LocalSignals",
    "Maintenance",
    "NewExecution",
    "NodeSetting",
    "NodeSettingStore",
    "NotFound",
    "Observer",
    "Page",
    "PendingAudit",
    "Projection",
    "RecordDamaged",
    "RetentionRule",
    "RunStep",
    "Runtime",
    "Scoped",
    "SecretRecord",
    "SecretRuntime",
    "SecretSource",
    "SecretStore",
    "SentEvent",
    "Settlement",
    "Signal",
    "SignalBus",
    "SizeReport",
    "Skip",
    "SlotLimit",
    "StaleClaim",
    "StateEntry",
    "StateStore",
    "Step",
    "Store",
    "StoreType",
    "StoreUnavailable",
    "StoredAnswer",
    "SubjectStore",
    "Subscription",
    "Table",
    "TableStore",
    "TriggerInfo",
    "TriggerStore",
    "Walk",
    "WorkflowLimit",
    "WorkflowRecord",
    "WorkflowSize",
    "WorkflowStore",
    "WorkflowVersion",
    "check_append",
    "check_events",
    "check_limit",
    "check_quota",
    "check_secret_version",
    "check_unmoved",
    "dumps",
    "event_answer",
    "events_within",
    "failure_from",
    "file_in_use",
    "hookimpl",
    "indexed",
    "iso",
    "limits_from_json",
    "limits_to_json",
    "loads",
    "make_cursor",
    "micros",
    "needed_ranges",
    "next_state",
    "now",
    "pending_audit",
    "read_cursor",
    "rotated_key",
    "seconds",
    "spellings",
    "trigger_from",
]
