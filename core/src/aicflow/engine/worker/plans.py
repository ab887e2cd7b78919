"""Compiled plans, kept per workflow version until the registry changes."""

from __future__ import annotations

import json
from collections import OrderedDict
from threading import Lock
from typing import Any, Final

from aicflow.kernel.document import WorkflowDocument
from aicflow.kernel.ports.workflows import WorkflowRecord, WorkflowStore
from aicflow.kernel.registry import Registry
from aicflow.language.plan import Plan, build_plan

_BYTES: Final = 128 * 1024 * 1024
_NODE_BYTES: Final = 4_000  # a compiled node with its document entry, template and expressions, as measured
_PLAN_BYTES: Final = 2_000


class PlanCache:
    """The plans used lately, about `limit` bytes of them, and the newest always. Safe to share between threads.

    A version never changes, so a plan holds until the registry does."""

    def __init__(self, workflows: WorkflowStore, registry: Registry, limit: int = _BYTES) -> None:
        self._workflows = workflows
        self._registry = registry
        self._limit = limit
        self._plans: OrderedDict[tuple[str, int], tuple[Plan, int]] = OrderedDict()
        self._bytes = 0
        self._generation = registry.generation
        self._lock = Lock()

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

    def prepare(self, record: WorkflowRecord) -> None:
        """Make the plan of a workflow that was just saved, so that its first execution need not wait for it."""
        self.current(record).compile()

    def _known(self, workflow_id: str, version: int) -> Plan | None:
        with self._lock:
            if self._generation != self._registry.generation:
                self._plans.clear()
                self._bytes = 0
                self._generation = self._registry.generation
            found = self._plans.get((workflow_id, version))
            if found is None:
                return None
            self._plans.move_to_end((workflow_id, version))
            return found[0]

    def _make(self, workflow_id: str, version: int, content: dict[str, Any]) -> Plan:
        generation = self._registry.generation
        document = WorkflowDocument.model_validate(content)
        plan = build_plan(document, self._registry, workflow_id=workflow_id, version=version)
        size = _PLAN_BYTES + _NODE_BYTES * len(plan.nodes) + 2 * len(json.dumps(content))
        with self._lock:
            if generation != self._generation:
                return plan
            if (workflow_id, version) in self._plans:  # who asked at the same time was quicker
                return self._plans[workflow_id, version][0]
            self._plans[workflow_id, version] = plan, size
            self._bytes += size
            while self._bytes > self._limit and len(self._plans) > 1:
                self._bytes -= self._plans.popitem(last=False)[1][1]
        return plan
