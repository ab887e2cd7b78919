"""The public face of store, engine, secret-source and observer authors: the ports, their records, and parts that every
store needs. Node and trigger authors need `aicflow` only.

A store implements `Store` and is offered by `aicflow_stores`; an engine implements `Engine` (`aicflow_engines`), a
secret source `SecretSource` (`aicflow_secrets`), an observer `Observer` (`aicflow_observers`). The conformance
suites are in `aicflow.testing`."""

from aicflow.kernel.clock import Clock, iso
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
    TERMINAL_STATUSES,
    Event,
    Execution,
    ExecutionStatus,
    FailureReport,
    Step,
    TriggerInfo,
)
from aicflow.kernel.graph import Graph
from aicflow.kernel.hookspecs import hookimpl
from aicflow.kernel.ports.engine import Engine, RunStep, Settlement, Skip
from aicflow.kernel.ports.executions import (
    Answered,
    Appended,
    Claimed,
    Created,
    EventBatch,
    ExecutionFilter,
    ExecutionStore,
    Fire,
    Idempotency,
    Labels,
    NewExecution,
    Page,
    Projection,
    SlotLimit,
)
from aicflow.kernel.ports.maintenance import Maintenance, RetentionRule, SizeReport, WorkflowSize
from aicflow.kernel.ports.store import Store
from aicflow.kernel.ports.tables import (
    ApiKeyRecord,
    IdempotencyStore,
    KeyStore,
    NodeSetting,
    NodeSettingStore,
    TriggerStore,
    WorkflowRecord,
    WorkflowStore,
    WorkflowVersion,
)
from aicflow.kernel.records import EngineType, Observer, Runtime, SecretSource, StoreType
from aicflow.kernel.trigger import Delivery
from aicflow.kernel.values import dumps, loads

__all__ = [
    "TERMINAL_STATUSES",
    "AICFlowError",
    "Answered",
    "ApiKeyRecord",
    "Appended",
    "Claimed",
    "Clock",
    "Conflict",
    "Created",
    "Delivery",
    "Engine",
    "EngineType",
    "Event",
    "EventBatch",
    "EventsDamaged",
    "Execution",
    "ExecutionFilter",
    "ExecutionStatus",
    "ExecutionStore",
    "FailureReport",
    "Fire",
    "Graph",
    "Idempotency",
    "IdempotencyStore",
    "KeyStore",
    "KeyUsed",
    "Labels",
    "Maintenance",
    "NewExecution",
    "NodeSetting",
    "NodeSettingStore",
    "NotFound",
    "Observer",
    "Page",
    "Projection",
    "RecordDamaged",
    "RetentionRule",
    "RunStep",
    "Runtime",
    "SecretSource",
    "Settlement",
    "SizeReport",
    "Skip",
    "SlotLimit",
    "StaleClaim",
    "Step",
    "Store",
    "StoreType",
    "StoreUnavailable",
    "TriggerInfo",
    "TriggerStore",
    "WorkflowRecord",
    "WorkflowSize",
    "WorkflowStore",
    "WorkflowVersion",
    "dumps",
    "hookimpl",
    "iso",
    "loads",
]
