"""Compiled plans, kept per workflow version until the registry changes."""

from __future__ import annotations

from collections import OrderedDict

from aicflow.kernel.document import WorkflowDocument
from aicflow.kernel.plan import Plan, build_plan
from aicflow.kernel.ports.tables import WorkflowStore
from aicflow.kernel.registry import Registry

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
        if self._generation != self._registry.generation:
            self._plans.clear()
            self._generation = self._registry.generation
        key = (workflow_id, version)
        plan = self._plans.get(key)
        if plan is None:
            stored = await self._workflows.version(workflow_id, version)
            document = WorkflowDocument.model_validate(stored.document)
            plan = build_plan(document, self._registry, workflow_id=workflow_id, version=version)
            self._plans[key] = plan
            if len(self._plans) > self._size:
                self._plans.popitem(last=False)
        else:
            self._plans.move_to_end(key)
        return plan
