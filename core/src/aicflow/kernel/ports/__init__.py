"""The kernel's ports: what an engine and a store must do, whoever makes them."""

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
    NewExecution,
    Page,
    Projection,
    SlotLimit,
)
from aicflow.kernel.ports.maintenance import Maintenance, RetentionRule, SizeReport, WorkflowSize
from aicflow.kernel.ports.store import Store
from aicflow.kernel.ports.tables import (
    ApiKeyRecord,
    KeyStore,
    NodeSetting,
    NodeSettingStore,
    TriggerStore,
    WorkflowRecord,
    WorkflowStore,
    WorkflowVersion,
)

__all__ = [
    "Answered",
    "ApiKeyRecord",
    "Appended",
    "Claimed",
    "Created",
    "Engine",
    "EventBatch",
    "ExecutionFilter",
    "ExecutionStore",
    "Fire",
    "Idempotency",
    "KeyStore",
    "Maintenance",
    "NewExecution",
    "NodeSetting",
    "NodeSettingStore",
    "Page",
    "Projection",
    "RetentionRule",
    "RunStep",
    "Settlement",
    "SizeReport",
    "Skip",
    "SlotLimit",
    "Store",
    "TriggerStore",
    "WorkflowRecord",
    "WorkflowSize",
    "WorkflowStore",
    "WorkflowVersion",
]
