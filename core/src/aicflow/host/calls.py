"""Workflows that start each other: those that a document names, and those that name it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any, Final

from aicflow.engine.listening import WorkflowTrigger
from aicflow.kernel.errors import NotFound
from aicflow.kernel.issues import Issue
from aicflow.kernel.ports.executions import WorkflowLimit
from aicflow.kernel.ports.workflows import WorkflowRecord, WorkflowStore
from aicflow.kernel.registry import Registry
from aicflow.language.validation import Contract, Limits, Workflows, calls_of, contract_of, validate
from aicflow.store.checks import has_labels, is_within

_MOST_READ: Final = 200
_MOST_TOLD: Final = 20


@dataclass(frozen=True, slots=True)
class Caller:
    """A place in an enabled workflow that names another one: to call it (`call`), or to be started when it ends
    (`trigger`)."""

    workflow_id: str
    name: str
    pointer: str
    kind: str


class Calls:
    """What saved workflows say of each other. `within`: nothing is said of workflows that are not, as if they were not
    there."""

    def __init__(self, workflows: WorkflowStore, registry: Registry, limits: Limits | None, threads: Executor) -> None:
        self._workflows = workflows
        self._registry = registry
        self._limits = limits
        self._threads = threads

    async def around(self, document: Any, workflow_id: str | None, within: WorkflowLimit | None = None) -> Workflows:
        """The workflows that a document names, and those that they name; the document itself among them."""
        found: dict[str, Any] = {} if workflow_id is None else {workflow_id: document}
        missing: set[str] = set()
        waiting = [call.workflow for call in calls_of(document, self._registry)]
        for name in waiting:  # grows while it is read
            if name in found or name in missing:
                continue
            if len(found) + len(missing) >= _MOST_READ:
                return Workflows(found, complete=False, own=workflow_id)
            record = await self._find(name, within)
            if record is None:
                missing.add(name)
                continue
            found[name] = record.document
            waiting += [call.workflow for call in calls_of(found[name], self._registry)]
        return Workflows(found, own=workflow_id)

    async def _find(self, workflow_id: str, within: WorkflowLimit | None) -> WorkflowRecord | None:
        try:
            record = await self._workflows.get(workflow_id)
        except NotFound:
            return None
        return record if is_within(record.id, record.labels, within) else None

    async def labels_of(self, workflow_id: str | None, within: WorkflowLimit) -> dict[str, str]:
        """The labels that a document has once somebody with this limit saved it."""
        current = await self._find(workflow_id, within) if workflow_id is not None else None
        if current is not None:
            return dict(current.labels)
        return {name: value for name, value in within.labels if value is not None}

    async def callers(self, workflow_id: str, within: WorkflowLimit | None = None) -> list[Caller]:
        """Where enabled workflows name this one, by their ids. Raises NotFound."""
        await self._workflows.get(workflow_id)
        return [
            Caller(record.id, record.name, call.pointer, "call" if call.starts else "trigger")
            for record in await self._naming(workflow_id, within)
            for call in calls_of(record.document, self._registry)
            if call.workflow == workflow_id
        ]

    async def _naming(self, workflow_id: str, within: WorkflowLimit | None) -> list[WorkflowRecord]:
        records = await self._workflows.active()

        def those() -> list[WorkflowRecord]:
            found = [
                record
                for record in records
                if is_within(record.id, record.labels, within)
                and any(call.workflow == workflow_id for call in calls_of(record.document, self._registry))
            ]
            return sorted(found, key=lambda record: record.id)

        return await asyncio.get_running_loop().run_in_executor(self._threads, those)

    async def broken_by(self, workflow_id: str, document: Any, within: WorkflowLimit | None) -> list[Issue]:
        """Warnings for what other workflows find wrong only once this document is the workflow's."""
        current = await self._find(workflow_id, None)
        before = None if current is None else current.document
        if before == document:
            return []
        loop = asyncio.get_running_loop()
        known = await self.around(document, workflow_id, within)
        own = known if before is None else replace(known, documents={**known.documents, workflow_id: before})
        new = await loop.run_in_executor(self._threads, self._contract, document, known)
        old = None if before is None else await loop.run_in_executor(self._threads, self._contract, before, own)
        if old is not None and _same(old, new):
            return []
        at = "" if old is None else _changed(old, new, document)
        found: list[Issue] = []
        for record in await self._naming(workflow_id, within):
            if record.id == workflow_id:
                continue
            around = await self.around(record.document, record.id, within)
            issues = await loop.run_in_executor(
                self._threads, self._new_in, record, around, workflow_id, before, document
            )
            found += [
                Issue(
                    "call.broken-caller",
                    "warning",
                    at,
                    f"Workflow {record.name!r} ({record.id}) does not fit this: at {issue.pointer}: {issue.message}",
                    issue.hint,
                )
                for issue in issues
            ]
            if len(found) >= _MOST_TOLD:
                break
        return found[:_MOST_TOLD]

    async def beyond(self, document: Any, workflow_id: str | None, within: WorkflowLimit) -> list[Issue]:
        """Errors for the workflows that a document names and its limited author does not reach, whether they are there
        or not: what it calls would answer the author, and what it waits for would tell it. What the workflow names
        already may stay."""
        current = await self._find(workflow_id, within) if workflow_id is not None else None
        before = {} if current is None else current.document
        named = {call.workflow for call in calls_of(before, self._registry, open=True)} | {workflow_id}
        found = [
            _beyond(call.pointer, f"the workflow {call.workflow!r}" if call.workflow else "what a model may choose")
            for call in calls_of(document, self._registry, open=True)
            if call.workflow not in named and not await self._workflows.is_within(within, workflow_id=call.workflow)
        ]
        known = [labels for _, labels in _waited_for(before)]
        return found + [
            _beyond(at, "all workflows with these labels")
            for at, labels in _waited_for(document)
            if labels not in known and not (within.labels and has_labels(labels, within.labels))
        ]

    def _contract(self, document: Any, known: Workflows) -> Contract:
        return contract_of(document, self._registry, known, self._limits)

    def _new_in(
        self, record: WorkflowRecord, around: Workflows, workflow_id: str, before: Any, document: Any
    ) -> Sequence[Issue]:
        """What is wrong with a workflow once another has this document, and was not before."""
        others = {name: one for name, one in around.documents.items() if name != workflow_id}
        old = others if before is None else {**others, workflow_id: before}
        known = set(self._found(record, replace(around, documents=old)))
        now = self._found(record, replace(around, documents={**others, workflow_id: document}))
        return [issue for issue in now if issue not in known and issue.code != "call.circle"]

    def _found(self, record: WorkflowRecord, around: Workflows) -> list[Issue]:
        return validate(record.document, self._registry, limits=self._limits, workflows=around)


def _waited_for(document: Any) -> list[tuple[str, Mapping[str, Any]]]:
    """The labels of `trigger.workflow`, each with its place."""
    triggers = document.get("triggers") if isinstance(document, Mapping) else None
    found: list[tuple[str, Mapping[str, Any]]] = []
    for place, one in enumerate(triggers if isinstance(triggers, list) else ()):
        params = one.get("params") if isinstance(one, Mapping) and one.get("type") == WorkflowTrigger.type_id else None
        labels = params.get("labels") if isinstance(params, Mapping) else None
        if isinstance(labels, Mapping) and labels:
            found.append((f"/triggers/{place}/params/labels", labels))
    return found


def _beyond(at: str, what: str) -> Issue:
    hint = "Name workflows that the key reaches, or have this part saved with a key that has no limit."
    return Issue("ref.workflow-out-of-reach", "error", at, f"The API key does not reach {what}.", hint)


def _same(old: Contract, new: Contract) -> bool:
    return all(
        one.schema == other.schema and one.document.schema == other.document.schema
        for one, other in ((old.input, new.input), (old.output, new.output))
    )


def _changed(old: Contract, new: Contract, document: Any) -> str:
    """The part of the document that the difference stands in."""
    if old.output.schema == new.output.schema:
        return "/input_schema" if "input_schema" in document else ""
    return "/output" if old.input.schema == new.input.schema and "output" in document else ""
