"""Compiled plans, kept per workflow version until the registry changes."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from aicflow.kernel.document import WorkflowDocument
from aicflow.kernel.ports.tables import WorkflowRecord, WorkflowStore
from aicflow.kernel.registry import Registry
from aicflow.language.plan import Plan, build_plan

__all__ = ["PlanCache"]


class PlanCache:
    """The plans used lately. A version never changes, so a plan holds until the registry does."""

    def __init__(self, workflows: WorkflowStore, registry: Registry, size: int = 256) -> None:
        self._workflows = workflows
        self._registry = registry
        self._size = size
        self._plans: OrderedDict[tuple[str, int], Plan] = OrderedDict()
        self._generation = registry.generation

    async def get(self, workflow_id: str, version: int) -> Plan:
        """The plan of a version. Raises NotFound: no such version, or a node type that is not installed any more."""
        plan = self._known(workflow_id, version)
        if plan is None:
            stored = await self._workflows.version(workflow_id, version)
            # who asked at the same time may have made it meanwhile
            plan = self._known(workflow_id, version) or self._make(workflow_id, version, stored.document)
        return plan

    def current(self, record: WorkflowRecord) -> Plan:
        """The plan of a workflow's current version. Raises NotFound for a node type that is not installed any more."""
        return self._known(record.id, record.version) or self._make(record.id, record.version, record.document)

    def _known(self, workflow_id: str, version: int) -> Plan | None:
        if self._generation != self._registry.generation:
            self._plans.clear()
            self._generation = self._registry.generation
        plan = self._plans.get((workflow_id, version))
        if plan is not None:
            self._plans.move_to_end((workflow_id, version))
        return plan

    def _make(self, workflow_id: str, version: int, content: dict[str, Any]) -> Plan:
        document = WorkflowDocument.model_validate(content)
        plan = build_plan(document, self._registry, workflow_id=workflow_id, version=version)
        self._plans[workflow_id, version] = plan
        if len(self._plans) > self._size:
            self._plans.popitem(last=False)
        return plan
