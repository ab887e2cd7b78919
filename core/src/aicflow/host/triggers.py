"""Triggers of saved workflows: which are active, and making it so after every change, without a restart."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Final

from aicflow_language.template import compile_template

from aicflow.engine.nodes.params import resolved
from aicflow.engine.secrets import Secrets, SecretsView, SecretUnavailable
from aicflow.host.trigger_runtime import HostTriggerRuntime
from aicflow.kernel.document import TriggerEntry, WorkflowDocument
from aicflow.kernel.errors import AICFlowError, Conflict, NotFound, StoreUnavailable
from aicflow.kernel.issues import Issue, Related
from aicflow.kernel.node import Params
from aicflow.kernel.ports.store import Store
from aicflow.kernel.ports.workflows import WorkflowRecord
from aicflow.kernel.records import DraftTrigger
from aicflow.kernel.registry import Registry
from aicflow.kernel.trigger import Binding, Trigger, TriggerType
from aicflow.kernel.values import dumps, pointer
from aicflow.language.params import checked_params, with_input_schema

_log = logging.getLogger("aicflow.triggers")
_RETRY_SECONDS: Final = 2.0
_PAGE: Final = 500
_ANY_SECRET: Final = "c2VjcmV0"  # noqa: S105 - stands for a value not needed; readable as text and as base64


@dataclass(slots=True)
class ActiveTrigger:
    """A binding and what it is made of. `problem` says why it is not active, `passing` that it is tried again soon;
    `live`: its type serves it, maybe still as it was before."""

    binding: Binding
    entry: TriggerEntry
    document: WorkflowDocument
    params: Params | None = None
    instance: Trigger[Any, Any] | None = None
    problem: str | None = None
    passing: bool = False
    live: bool = False
    declared: tuple[TriggerType, Params] | None = None

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
        self._applied: dict[str, tuple[float, int]] = {}
        self._lock = asyncio.Lock()
        self._retrying: asyncio.Task[None] | None = None
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
        if self._retrying is not None:
            self._retrying.cancel()
            with suppress(asyncio.CancelledError):
                await self._retrying
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
        """Errors for triggers of a valid document that cannot be active on this host, or beside others: in it, or of
        other workflows."""
        issues: list[Issue] = []
        own: list[tuple[int, TriggerEntry, TriggerType, Params]] = []
        whole = WorkflowDocument.model_validate(document)
        for index, entry in enumerate(whole.triggers):
            found = self._declared(entry, whole) if entry.enabled else None
            if found is None:
                continue
            cls, params = found
            place = pointer("triggers", index, "params")
            if cls not in self._broken:
                here = self._instance(cls).check_here(params)
                issues.extend(replace(issue, pointer=place + issue.pointer) for issue in here)
            for other_index, other, other_cls, other_params in own:
                if other_cls is cls and (why := cls.conflict(params, other_params)) is not None:
                    related = (Related(pointer("triggers", other_index, "params"), f"trigger {other.id!r}"),)
                    issues.append(Issue("trigger.conflict", "error", place, why, related=related))
            for active in self._active.values():
                if active.binding.workflow_id == workflow_id or active.entry.type != entry.type:
                    continue
                theirs = active.declared = active.declared or self._declared(active.entry, active.document)
                if theirs is None or theirs[0] is not cls:
                    continue
                if (why := cls.conflict(params, theirs[1])) is not None:
                    hint = f"It is trigger {active.binding.trigger_id!r} of workflow {active.document.name!r}."
                    issues.append(Issue("trigger.conflict", "error", place, why, hint))
            own.append((index, entry, cls, params))
        return issues

    def _declared(self, entry: TriggerEntry, document: WorkflowDocument) -> tuple[TriggerType, Params] | None:
        """A trigger's type and params whatever its secrets are; None when validation has more to say about it."""
        try:
            cls = self._registry.trigger(entry.type, entry.version).cls
            return cls, _params(cls, entry, document, lambda name: _ANY_SECRET)
        except AICFlowError:
            return None

    async def apply(self, record: WorkflowRecord) -> None:
        """Make what is active follow a saved workflow: new triggers begin, changed ones change, removed ones stop."""
        document = WorkflowDocument.model_validate(record.document) if record.enabled else None
        wanted = {f"{record.id}:{e.id}": e for e in document.triggers if e.enabled} if document else {}
        async with self._lock:
            if record.enabled:
                self._applied[record.id] = record.created_at, record.revision
            else:
                self._applied.pop(record.id, None)
            await self._deactivate_others(record.id, wanted)
            for binding_id, entry in wanted.items():
                binding = Binding(
                    binding_id, record.id, entry.id, entry.type, record.version, paused=binding_id in self._paused
                )
                before = self._active.get(binding_id)
                if before is not None and before.problem is None and (before.binding, before.entry) == (binding, entry):
                    continue
                assert document is not None
                await self._activate(ActiveTrigger(binding, entry, document))

    async def remove(self, workflow_id: str) -> None:
        """The workflow was deleted."""
        async with self._lock:
            self._applied.pop(workflow_id, None)
            await self._deactivate_others(workflow_id, {})

    async def follow(self) -> None:
        """Take over what other hosts saved, deleted, paused and let go on. Raises StoreUnavailable."""
        known = dict(self._applied)
        stored: dict[str, tuple[float, int]] = {}
        cursor: str | None = None
        while True:
            page = await self._store.workflows.list(limit=_PAGE, cursor=cursor, enabled=True)
            stored |= {record.id: (record.created_at, record.revision) for record in page.items}
            cursor = page.next_cursor
            if cursor is None:
                break
        for workflow_id in known.keys() | stored.keys():
            if known.get(workflow_id) == stored.get(workflow_id):
                continue
            try:
                await self.apply(await self._store.workflows.get(workflow_id))
            except NotFound:
                await self.remove(workflow_id)
        paused = await self._store.triggers.paused()
        async with self._lock:
            changed, self._paused = paused ^ self._paused, paused
            for active in [active for active in self._active.values() if active.binding.id in changed]:
                binding = replace(active.binding, paused=active.binding.id in paused)
                await self._activate(ActiveTrigger(binding, active.entry, active.document))

    async def _deactivate_others(self, workflow_id: str, wanted: Mapping[str, TriggerEntry]) -> None:
        """Stop the workflow's triggers that are not wanted any more, or are of another type now."""
        for active in self.all(workflow_id):
            entry = wanted.get(active.binding.id)
            same_type = entry is not None and (entry.type, entry.version) == (active.entry.type, active.entry.version)
            if not same_type:
                del self._active[active.binding.id]
                await self._deactivate(active)

    async def _deactivate(self, active: ActiveTrigger) -> None:
        active.live = False
        if active.instance is None or type(active.instance) in self._broken:
            return
        try:
            await active.instance.deactivate(active.binding)
        except Exception:
            _log.exception("Trigger %s could not be deactivated", active.binding.id)

    async def _activate(self, active: ActiveTrigger) -> None:
        """Activate a trigger, or find out why it cannot be. While only the store or a secret
        source is away, it goes on as it was."""
        before = self._active.get(active.binding.id)
        active.live = before is not None and before.live
        self._active[active.binding.id] = active
        try:
            cls = self._registry.trigger(active.entry.type, active.entry.version).cls
            active.instance = self._instance(cls)
            if cls in self._broken:
                active.problem = self._broken[cls]
                return
            secrets = self._secrets.of(active.binding.workflow_id, active.document.labels)
            active.params = await secrets.resolve(partial(_params, cls, active.entry, active.document))
            await active.instance.activate(active.binding, active.params)
            active.live = True
            return
        except (StoreUnavailable, SecretUnavailable) as error:
            _log.warning("Trigger %s could not be activated yet: %s", active.binding.id, error.message)
            active.problem, active.passing = error.message, True
            if self._retrying is None:
                self._retrying = asyncio.get_running_loop().create_task(self._retry(), name="aicflow-triggers")
            return
        except AICFlowError as error:
            active.problem = f"{error.message} {error.hint or ''}".rstrip()
            _log.warning("Trigger %s could not be activated: %s", active.binding.id, active.problem)
        except Exception as error:
            _log.exception("Trigger %s could not be activated", active.binding.id)
            active.problem = f"{type(error).__name__}: {error}"
        await self._set_aside(active)

    async def _set_aside(self, active: ActiveTrigger) -> None:
        """Let the type know of a trigger that cannot be activated; what it served under the binding before ends."""
        if active.live:
            await self._deactivate(active)
        if active.instance is not None:
            try:
                await active.instance.unavailable(active.binding, active.entry.params, active.problem or "")
            except Exception:
                _log.exception("Trigger %s could not be set aside", active.binding.id)

    async def _retry(self) -> None:
        """Activate what the store or a secret source was in the way of, until nothing is left."""
        while any(active.passing for active in self._active.values()):
            await asyncio.sleep(_RETRY_SECONDS)
            async with self._lock:
                for active in [one for one in self._active.values() if one.passing]:
                    await self._activate(ActiveTrigger(active.binding, active.entry, active.document))
        self._retrying = None

    async def follow_secrets(self, every: float) -> None:
        """Activate anew, for ever, what uses a secret whose value has changed since."""
        while True:
            await asyncio.sleep(every)
            await self.renew_secrets()

    async def renew_secrets(self) -> None:
        """Activate anew what uses a secret whose value is another one by now, or is there by now."""
        async with self._lock:
            for active in list(self._active.values()):
                if (
                    b"secrets" not in dumps(active.entry.params)
                    or active.passing
                    or type(active.instance) in self._broken
                ):
                    continue
                try:
                    cls = self._registry.trigger(active.entry.type, active.entry.version).cls
                    secrets = self._secrets.of(active.binding.workflow_id, active.document.labels)
                    params = await secrets.resolve(partial(_params, cls, active.entry, active.document))
                except SecretUnavailable:
                    continue  # it goes on as it was
                except AICFlowError:
                    params = None
                if params != active.params:
                    await self._activate(ActiveTrigger(active.binding, active.entry, active.document))

    async def draft(self, workflow_id: str, trigger_id: str, type_id: str) -> DraftTrigger:
        """A trigger as the newest version of its workflow has it, active or not. Raises NotFound; Conflict when its
        params cannot be resolved."""
        page = await self._store.workflows.versions(workflow_id, limit=1)
        newest = page.items[0].version
        binding, entry, document = await self._entry_of(workflow_id, trigger_id, newest)
        if entry.type != type_id:
            raise NotFound("trigger", binding.id, hint=f"In version {newest} it is a {entry.type}.")
        cls = self._registry.trigger(entry.type, entry.version).cls
        try:
            secrets = self._secrets.of(workflow_id, document.labels)
            params = await secrets.resolve(partial(_params, cls, entry, document))
            return DraftTrigger(binding, params, newest)
        except AICFlowError as error:
            raise Conflict(error.message, code="trigger-failed", hint=error.hint) from None

    async def binding(self, binding_id: str, version: int | None = None) -> Binding:
        """The binding of an active trigger, or of one that some version of its workflow has. Raises NotFound."""
        active = self._active.get(binding_id)
        if active is not None:
            return active.binding
        workflow_id, _, trigger_id = binding_id.rpartition(":")
        record = await self._store.workflows.get(workflow_id)
        return (await self._entry_of(workflow_id, trigger_id, version or record.version))[0]

    async def _entry_of(
        self, workflow_id: str, trigger_id: str, version: int
    ) -> tuple[Binding, TriggerEntry, WorkflowDocument]:
        found = await self._store.workflows.version(workflow_id, version)
        document = WorkflowDocument.model_validate(found.document)
        for entry in document.triggers:
            if entry.id == trigger_id:
                binding = Binding(f"{workflow_id}:{entry.id}", workflow_id, entry.id, entry.type, version)
                return binding, entry, document
        raise NotFound("trigger", f"{workflow_id}:{trigger_id}", hint=f"Version {version} has none of that id.")

    async def set_paused(self, binding_id: str, paused: bool) -> ActiveTrigger:
        """Pause a trigger or let it go on; kept over restarts. One that failed is tried again. Raises NotFound."""
        async with self._lock:
            active = self.get(binding_id)
            if active.binding.paused == paused and active.problem is None:
                return active
            await self._store.triggers.set_paused(binding_id, paused)
            self._paused = self._paused | {binding_id} if paused else self._paused - {binding_id}
            await self._activate(ActiveTrigger(replace(active.binding, paused=paused), active.entry, active.document))
        return self.get(binding_id)


@cache
def _schema(cls: TriggerType) -> dict[str, Any]:
    return cls.params_schema()


def _params(cls: TriggerType, entry: TriggerEntry, document: WorkflowDocument, reveal: Callable[[str], str]) -> Params:
    """The trigger's params with their references to `vars` and `secrets` resolved. Raises AICFlowError."""
    template = compile_template(entry.params, _schema(cls))
    scope = {"vars": document.vars, "secrets": SecretsView()}
    values = resolved(template, scope, reveal, "params")
    return checked_params(cls.params_model, with_input_schema(cls, values, document.input_schema))
