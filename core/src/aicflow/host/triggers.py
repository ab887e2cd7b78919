"""Triggers of saved workflows: which are active, and making it so after every change, without a restart."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from aicflow.engine.params import resolved
from aicflow.engine.secrets import Secrets, SecretsView
from aicflow.host.trigger_runtime import HostTriggerRuntime
from aicflow.kernel.document import TriggerEntry, WorkflowDocument
from aicflow.kernel.errors import NotFound
from aicflow.kernel.issues import Issue, Related
from aicflow.kernel.node import Params
from aicflow.kernel.ports.store import Store
from aicflow.kernel.ports.tables import WorkflowRecord
from aicflow.kernel.records import DraftTrigger
from aicflow.kernel.registry import Registry
from aicflow.kernel.template import compile_template
from aicflow.kernel.trigger import Binding, Trigger, TriggerType
from aicflow.kernel.values import pointer

__all__ = ["ActiveTrigger", "TriggerService"]

_log = logging.getLogger("aicflow.triggers")


@dataclass(slots=True)
class ActiveTrigger:
    """A binding and what it is made of. `problem` says why it is not active."""

    binding: Binding
    entry: TriggerEntry
    workflow_name: str
    params: Params | None
    instance: Trigger[Any, Any] | None
    problem: str | None = None

    @property
    def status(self) -> str:
        """active, paused or failed."""
        if self.problem is not None:
            return "failed"
        return "paused" if self.binding.paused else "active"


class TriggerService:
    """Every trigger of every enabled workflow of one host."""

    def __init__(self, store: Store, registry: Registry, runtime: HostTriggerRuntime, secrets: Secrets) -> None:
        self._store = store
        self._secrets = secrets
        self._registry = registry
        self._active: dict[str, ActiveTrigger] = {}
        self._instances: dict[TriggerType, Trigger[Any, Any]] = {}
        self._broken: dict[TriggerType, str] = {}
        self._paused: frozenset[str] = frozenset()
        self.runtime = runtime

    def trigger_type(self, type_id: str) -> Trigger[Any, Any]:
        """This process's instance of a trigger type, its newest version. Raises NotFound."""
        return self._instance(self._registry.trigger(type_id).cls)

    def _instance(self, cls: TriggerType) -> Trigger[Any, Any]:
        instance = self._instances.get(cls)
        if instance is None:
            instance = self._instances[cls] = cls()
        return instance

    async def start(self) -> None:
        """Start every installed trigger type, then activate the triggers of every enabled workflow."""
        for registered in self._registry.triggers():
            await self._start_type(registered.cls)
        self._paused = await self._store.triggers.paused()
        for record in await self._store.workflows.active():
            await self.apply(record)

    async def _start_type(self, cls: TriggerType) -> None:
        try:
            await self._instance(cls).start(self.runtime)
        except Exception as error:
            _log.exception("Trigger type %s could not start", cls.type_id)
            self._broken[cls] = f"The trigger type {cls.type_id} could not start: {type(error).__name__}: {error}"

    async def stop(self) -> None:
        """Stop firing."""
        self._active.clear()
        for cls, instance in self._instances.items():
            try:
                await instance.stop()
            except Exception:
                _log.exception("Trigger type %s could not stop", cls.type_id)

    def get(self, binding_id: str) -> ActiveTrigger:
        """The trigger. Raises NotFound."""
        found = self._active.get(binding_id)
        if found is None:
            raise NotFound("trigger", binding_id, hint="Triggers of disabled workflows are not active.")
        return found

    def all(self, workflow_id: str | None = None) -> Sequence[ActiveTrigger]:
        """The triggers, by id."""
        return [
            self._active[binding_id]
            for binding_id in sorted(self._active)
            if workflow_id is None or self._active[binding_id].binding.workflow_id == workflow_id
        ]

    def conflicts(self, workflow_id: str, document: Mapping[str, Any]) -> list[Issue]:
        """Errors for triggers of a valid document that cannot be active beside others: in it, or of other workflows."""
        issues: list[Issue] = []
        own: list[tuple[int, TriggerEntry, TriggerType, Params]] = []
        for index, entry in enumerate(WorkflowDocument.model_validate(document).triggers):
            if not entry.enabled:
                continue
            try:
                cls = self._registry.trigger(entry.type, entry.version).cls
                params = cls.params_model.model_validate(entry.params)
            except (NotFound, ValidationError):
                continue  # validation says this better
            place = pointer("triggers", index, "params")
            for other_index, other, other_cls, other_params in own:
                if other_cls is cls and (why := cls.conflict(params, other_params)) is not None:
                    related = (Related(pointer("triggers", other_index, "params"), f"trigger {other.id!r}"),)
                    issues.append(Issue("trigger.conflict", "error", place, why, related=related))
            for active in self._active.values():
                if active.binding.workflow_id == workflow_id or type(active.instance) is not cls:
                    continue
                if active.params is not None and (why := cls.conflict(params, active.params)) is not None:
                    hint = f"It is trigger {active.binding.trigger_id!r} of workflow {active.workflow_name!r}."
                    issues.append(Issue("trigger.conflict", "error", place, why, hint))
            own.append((index, entry, cls, params))
        return issues

    async def apply(self, record: WorkflowRecord) -> None:
        """Make what is active follow a saved workflow: new triggers begin, changed ones change, removed ones stop."""
        document = WorkflowDocument.model_validate(record.document) if record.enabled else None
        wanted = {f"{record.id}:{e.id}": e for e in document.triggers if e.enabled} if document else {}
        await self._deactivate_others(record.id, wanted)
        for binding_id, entry in wanted.items():
            binding = Binding(
                binding_id, record.id, entry.id, entry.type, record.version, paused=binding_id in self._paused
            )
            before = self._active.get(binding_id)
            if before is not None and before.problem is None and (before.binding, before.entry) == (binding, entry):
                continue
            assert document is not None
            await self._activate(binding, entry, document)

    async def remove(self, workflow_id: str) -> None:
        """The workflow was deleted."""
        await self._deactivate_others(workflow_id, {})

    async def _deactivate_others(self, workflow_id: str, wanted: Mapping[str, TriggerEntry]) -> None:
        """Stop the workflow's triggers that are not wanted any more, or are of another type now."""
        for active in self.all(workflow_id):
            entry = wanted.get(active.binding.id)
            same_type = entry is not None and (entry.type, entry.version) == (active.entry.type, active.entry.version)
            if not same_type:
                await self._deactivate(active)

    async def _deactivate(self, active: ActiveTrigger) -> None:
        del self._active[active.binding.id]
        if active.instance is not None and active.problem is None:
            try:
                await active.instance.deactivate(active.binding)
            except Exception:
                _log.exception("Trigger %s could not be deactivated", active.binding.id)

    async def _activate(self, binding: Binding, entry: TriggerEntry, document: WorkflowDocument) -> None:
        active = ActiveTrigger(binding, entry, document.name, None, None)
        try:
            cls = self._registry.trigger(entry.type, entry.version).cls
            active.instance = self._instance(cls)
            if cls in self._broken:
                active.problem = self._broken[cls]
            else:
                active.params = self._params(cls, entry, document)
                await active.instance.activate(binding, active.params)
        except Exception as error:
            _log.exception("Trigger %s could not be activated", binding.id)
            active.problem = f"{type(error).__name__}: {error}"
        self._active[binding.id] = active

    def _params(self, cls: TriggerType, entry: TriggerEntry, document: WorkflowDocument) -> Params:
        """The trigger's params with their references to `vars` and `secrets` resolved. Raises AICFlowError."""
        template = compile_template(entry.params, cls.params_schema())
        scope = {"vars": document.vars, "secrets": SecretsView()}
        return cls.params_model.model_validate(resolved(template, scope, self._secrets.value, "params"))

    async def draft(self, workflow_id: str, trigger_id: str, type_id: str) -> DraftTrigger:
        """A trigger as the newest version of its workflow has it, active or not. Raises NotFound."""
        page = await self._store.workflows.versions(workflow_id, limit=1)
        newest = await self._store.workflows.version(workflow_id, page.items[0].version)
        document = WorkflowDocument.model_validate(newest.document)
        for entry in document.triggers:
            if entry.id == trigger_id and entry.type == type_id:
                binding = Binding(f"{workflow_id}:{entry.id}", workflow_id, entry.id, entry.type, newest.version)
                cls = self._registry.trigger(entry.type, entry.version).cls
                return DraftTrigger(binding, self._params(cls, entry, document), newest.version)
        raise NotFound("trigger", f"{workflow_id}:{trigger_id}", hint=f"Its version {newest.version} has none.")

    async def set_paused(self, binding_id: str, paused: bool) -> ActiveTrigger:
        """Pause a trigger or let it go on; kept over restarts. Raises NotFound."""
        active = self.get(binding_id)
        if active.binding.paused == paused:
            return active
        await self._store.triggers.set_paused(binding_id, paused)
        self._paused = self._paused | {binding_id} if paused else self._paused - {binding_id}
        active.binding = replace(active.binding, paused=paused)
        if active.instance is not None and active.params is not None:
            await active.instance.activate(active.binding, active.params)
        return active
