"""From the kernel's records to the JSON that the API returns."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Final

from aicflow.engine.bulk import BulkOutcome
from aicflow.engine.files import file_of
from aicflow.engine.inside import Item
from aicflow.engine.masking import Mask
from aicflow.engine.run.failure import report_to_json
from aicflow.engine.sealing import Vault
from aicflow.host.plugins import PluginInfo
from aicflow.host.shower import shower
from aicflow.kernel.context import StateEntry
from aicflow.kernel.errors import AICFlowError
from aicflow.kernel.execution import Execution, Step, TriggerInfo
from aicflow.kernel.issues import Issue
from aicflow.kernel.ports.access import ApiKeyRecord
from aicflow.kernel.ports.files import FileRecord
from aicflow.kernel.ports.sent import SentEvent
from aicflow.kernel.ports.workflows import WorkflowRecord, WorkflowVersion
from aicflow.kernel.registry import RegisteredNode, RegisteredTrigger, Registry
from aicflow.kernel.trigger import Delivery
from aicflow.kernel.values import loads
from aicflow.problems import problem_of

_EXECUTION: Final = shower(Execution)
_STEP: Final = shower(Step)
_DELIVERY: Final = shower(Delivery)
_SENT: Final = shower(SentEvent)
_TRIGGER: Final = shower(TriggerInfo)
_VERSION: Final = shower(WorkflowVersion)
_WORKFLOW: Final = shower(WorkflowRecord)
api_key_view: Final = shower(ApiKeyRecord)
_STATE: Final = shower(StateEntry)
_FILE: Final = shower(FileRecord)


def file_view(record: FileRecord) -> dict[str, Any]:
    """The file; `file` is what an input names it by."""
    return {**_FILE(record), "file": file_of(record).model_dump()}


def workflow_view(
    record: WorkflowRecord, *, document: bool = True, issues: Iterable[Issue] | None = None
) -> dict[str, Any]:
    """A workflow; `issues` are its warnings when it was just saved."""
    out = _WORKFLOW(record)
    if not document:
        del out["document"]
    if issues is not None:
        out["issues"] = [issue.to_dict() for issue in issues]
    return out


def state_view(entry: StateEntry, vault: Vault) -> dict[str, Any]:
    """An entry of a workflow's state, without the secrets in it."""
    return {**_STATE(entry), "value": vault.shown(entry.value)}


def sent_event_view(event: SentEvent, vault: Vault, *, values: bool = True) -> dict[str, Any]:
    """An event from outside; without `values` its data is left out."""
    out = _SENT(event)
    out["data"] = vault.shown(out["data"]) if values else None
    return out


def version_view(version: WorkflowVersion, *, document: bool = True) -> dict[str, Any]:
    """One version of a workflow."""
    out = _VERSION(version)
    if not document:
        del out["document"]
    return out


def execution_view(execution: Execution, *, values: bool = True, mask: Mask | None = None) -> dict[str, Any]:
    """An execution; without `values`, or when retention has removed them, its input, output and trigger payload are
    left out. `mask` hides secrets in what came from outside; what executions made is stored masked."""
    out = _EXECUTION(execution)
    out["trigger"] = _TRIGGER(execution.trigger)
    if execution.error is not None:
        out["error"] = report_to_json(execution.error)
    if not values or "payloads" in execution.removed:
        del out["input"], out["output"]
        out["trigger"]["payload"] = None
    elif mask is not None:
        out["input"] = mask.value(out["input"])
        out["trigger"]["payload"] = mask.value(out["trigger"]["payload"])
    return out


def bulk_view(outcome: BulkOutcome) -> dict[str, Any]:
    """What came of each execution of a bulk action."""
    results = [
        {"execution_id": one.execution_id, "started": one.started, **_failure(one.error)} for one in outcome.items
    ]
    failed = sum(one["status"] == "failed" for one in results)
    return {"done": len(results) - failed, "failed": failed, "has_more": outcome.has_more, "results": results}


def _failure(error: AICFlowError | None) -> dict[str, Any]:
    problem = problem_of(error) if error is not None else None
    if problem is None:
        return {"status": "done", "error": None}
    return {"status": "failed", "error": {"code": problem.code, "message": problem.detail, "hint": problem.hint}}


def step_view(step: Step, *, output: bool = True) -> dict[str, Any]:
    """A step, with its output unless `output` is false."""
    out = _STEP(step)
    if not output:
        del out["output"]
    if step.error is not None:
        out["error"] = report_to_json(step.error)
    return out


def item_view(step_id: str, item: Item, *, output: bool) -> dict[str, Any]:
    """An item of a map or a pass of a repeat, with what it returned if `output` says so."""
    error = None if item.error is None else loads(item.error)
    place = f"{step_id}[{item.index}]"
    out = {"id": place, "index": item.index, "key": item.key, "status": item.status, "error": error}
    if output:
        out["output"] = None if item.output is None else loads(item.output)
    return out


def _type_view(registered: RegisteredNode | RegisteredTrigger) -> dict[str, Any]:
    """What node and trigger types have in common. The summary is the first line of the docstring."""
    cls = registered.cls
    summary, _, documentation = inspect.cleandoc(cls.__doc__ or "").partition("\n")
    return {
        "type_id": registered.type_id,
        "version": cls.version,
        "title": cls.title or registered.type_id,
        "summary": summary.strip(),
        "documentation": documentation.strip(),
        "params_schema": cls.params_schema(),
        "provider": asdict(registered.provider),
    }


def node_type_view(node: RegisteredNode, registry: Registry) -> dict[str, Any]:
    """A node type."""
    return {
        **_type_view(node),
        "versions": registry.versions(node.type_id),
        "category": node.cls.category,
        "ports": list(node.cls.ports),
        "errors": node.cls.errors,
        "pure": node.cls.pure,
        "output_schema": node.cls.output_schema(),
        "enabled": node.setting.enabled,
        "default_params": node.setting.default_params,
    }


def trigger_type_view(trigger: RegisteredTrigger) -> dict[str, Any]:
    """A trigger type."""
    return {**_type_view(trigger), "payload_schema": trigger.cls.payload_schema()}


def plugin_view(info: PluginInfo) -> dict[str, Any]:
    """A plugin."""
    return {
        "name": info.name,
        "distribution": info.distribution,
        "version": info.version,
        "status": info.status,
        "node_types": info.node_types,
        "trigger_types": info.trigger_types,
        "provenance": info.provenance and info.provenance.to_dict(),
        "problems": [{"code": code, "message": message} for code, message in info.problems],
    }


def delivery_view(delivery: Delivery, vault: Vault | None = None) -> dict[str, Any]:
    """A delivery; with `vault` its payload too, without the secrets in it."""
    out = _DELIVERY(delivery)
    payload = out.pop("payload")
    if vault is not None:
        out["payload"] = vault.shown(payload)
    return out
