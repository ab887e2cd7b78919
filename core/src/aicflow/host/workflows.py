"""Saving workflows: validated as a whole, free of conflicts, and with their triggers active once it returns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

from aicflow.engine.ids import new_id
from aicflow.engine.secrets import Secrets
from aicflow.host.calls import Calls
from aicflow.host.following import Follower
from aicflow.host.triggers import ActiveTrigger, TriggerService
from aicflow.kernel.clock import Clock
from aicflow.kernel.errors import WorkflowInvalid
from aicflow.kernel.issues import Issue
from aicflow.kernel.ports.audit import pending_audit
from aicflow.kernel.ports.executions import Idempotency, WorkflowLimit
from aicflow.kernel.ports.store import Store
from aicflow.kernel.ports.workflows import WorkflowRecord, WorkflowVersion
from aicflow.kernel.registry import Registry
from aicflow.language.diff import Diff, diff
from aicflow.language.validation import Limits, validate

_CHECKS_AT_ONCE: Final = 4


class WorkflowService:
    """Changes to workflows, one at a time, so that two saves cannot both pass the check for conflicting triggers."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        secrets: Secrets,
        triggers: TriggerService,
        following: Follower,
        clock: Clock,
        limits: Limits | None = None,
        *,
        prepare: Callable[[WorkflowRecord], None],
    ) -> None:
        self._store = store
        self._registry = registry
        self._secrets = secrets
        self._triggers = triggers
        self._following = following
        self._clock = clock
        self._limits = limits
        self._prepare = prepare
        self._lock = asyncio.Lock()
        self._threads = ThreadPoolExecutor(_CHECKS_AT_ONCE, thread_name_prefix="aicflow-check")
        self.calls = Calls(store.workflows, registry, limits, self._threads)

    def close(self) -> None:
        """Let go of the threads; checks under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def check(
        self, document: Any, workflow_id: str | None = None, within: WorkflowLimit | None = None
    ) -> list[Issue]:
        """All findings about a document, with those of workflows that call it when it is to be that of `workflow_id`;
        nothing is said of workflows that are not `within` what the caller reaches.
        In a thread: a large one takes a second, and a node type's own check may take several. Not in the event loop's
        threads, which other work (looking up names) cannot wait for."""
        labels = document.get("labels") if isinstance(document, dict) else None
        labels = {key: value for key, value in labels.items() if type(value) is str} if isinstance(labels, dict) else {}
        if within is not None:  # which names of secrets are known must not be asked for labels that it cannot choose
            labels = await self.calls.labels_of(workflow_id, within)
        names = await self._secrets.of(workflow_id, labels).names()
        around = await self.calls.around(document, workflow_id, within)
        call = partial(validate, document, self._registry, secret_names=names, limits=self._limits, workflows=around)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, call)
        if within is not None:
            found += await self.calls.beyond(document, workflow_id, within)
        if workflow_id is not None and all(issue.severity != "error" for issue in found):
            found += await self.calls.broken_by(workflow_id, document, within)
        return found

    async def compare(self, old: Any, new: Any) -> Diff:
        """What changed in meaning between two documents. In a thread: for large ones it takes seconds."""
        call = partial(diff, old, new, self._registry)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def _checked(self, document: Any, workflow_id: str | None, within: WorkflowLimit | None) -> list[Issue]:
        """The warnings of a document without errors. Raises WorkflowInvalid."""
        issues = await self.check(document, workflow_id, within)
        if any(issue.severity == "error" for issue in issues):
            raise WorkflowInvalid(issues)
        return issues

    def _free_of_conflicts(self, workflow_id: str, document: Mapping[str, Any]) -> None:
        conflicts = self._triggers.conflicts(workflow_id, document)
        if conflicts:
            raise WorkflowInvalid(conflicts)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Nobody else changes a workflow meanwhile, on any host; what others changed before is taken over."""
        async with self._lock, self._store.workflows.exclusive():
            await self._following.look()
            yield

    async def create(
        self,
        document: Any,
        *,
        workflow_id: str | None = None,
        enabled: bool = True,
        idempotency: Idempotency | None = None,
        within: WorkflowLimit | None = None,
    ) -> tuple[WorkflowRecord, list[Issue]]:
        """Save a new workflow. Raises WorkflowInvalid, Conflict, KeyUsed."""
        issues = await self._checked(document, workflow_id, within)
        now = self._clock.now()
        workflow_id = workflow_id or new_id("wf", now)
        if (pending := pending_audit.get()) is not None:
            pending.made = workflow_id
        async with self._alone():
            if enabled:
                self._free_of_conflicts(workflow_id, document)
            record = await self._store.workflows.create(
                workflow_id, document, now=now, enabled=enabled, idempotency=idempotency
            )
            await self._triggers.apply(record)
        self._following.tell("workflow", record.id)
        self._threads.submit(self._prepare, record)
        return record, issues

    async def replace(
        self,
        workflow_id: str,
        document: Any,
        expected_revision: int | None,
        within: WorkflowLimit | None = None,
    ) -> tuple[WorkflowRecord, list[Issue]]:
        """Save a new version. Raises NotFound, WorkflowInvalid, Conflict."""
        issues = await self._checked(document, workflow_id, within)
        async with self._alone():
            current = await self._store.workflows.get(workflow_id)
            if current.enabled:
                self._free_of_conflicts(workflow_id, document)
            record = await self._store.workflows.update(
                workflow_id, now=self._clock.now(), document=document, expected_revision=expected_revision
            )
            await self._triggers.apply(record)
        self._following.tell("workflow", record.id)
        self._threads.submit(self._prepare, record)
        return record, issues

    async def add_draft(
        self,
        workflow_id: str,
        document: Any,
        *,
        idempotency: Idempotency | None = None,
        within: WorkflowLimit | None = None,
    ) -> WorkflowVersion:
        """Keep a new version that does not become the current one. Raises NotFound, WorkflowInvalid, KeyUsed."""
        await self._checked(document, workflow_id, within)
        return await self._store.workflows.add_draft(
            workflow_id, document, now=self._clock.now(), idempotency=idempotency
        )

    async def restore(
        self,
        workflow_id: str,
        version: int,
        expected_revision: int | None = None,
        within: WorkflowLimit | None = None,
    ) -> tuple[WorkflowRecord, list[Issue]]:
        """Make an old version's document the newest version. It must be valid today. Raises as `replace`."""
        await self._store.workflows.get(workflow_id)  # versions outlive their workflow, but cannot revive it
        old = await self._store.workflows.version(workflow_id, version)
        return await self.replace(workflow_id, old.document, expected_revision, within)

    async def set_enabled(self, workflow_id: str, enabled: bool, expected_revision: int | None) -> WorkflowRecord:
        """Switch on or off. Raises NotFound, WorkflowInvalid (conflicting triggers), Conflict."""
        async with self._alone():
            current = await self._store.workflows.get(workflow_id)
            if enabled and not current.enabled:
                self._free_of_conflicts(workflow_id, current.document)
            record = await self._store.workflows.update(
                workflow_id, now=self._clock.now(), enabled=enabled, expected_revision=expected_revision
            )
            await self._triggers.apply(record)
        self._following.tell("workflow", record.id)
        return record

    async def delete(self, workflow_id: str, expected_revision: int | None) -> None:
        """Delete. Raises NotFound, Conflict."""
        async with self._alone():
            await self._store.workflows.delete(workflow_id, expected_revision=expected_revision)
            await self._triggers.remove(workflow_id)
        self._following.tell("workflow", workflow_id)

    async def pause_trigger(self, binding_id: str, paused: bool) -> ActiveTrigger:
        """Pause a trigger or let it go on, in turn with saves of its workflow. Raises NotFound."""
        async with self._alone():
            active = await self._triggers.set_paused(binding_id, paused)
        self._following.tell("trigger", binding_id)
        return active
