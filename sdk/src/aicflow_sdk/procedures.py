"""Methods that make several calls, as functions that give the program for it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from aicflow_sdk.call import query
from aicflow_sdk.calls import executions as calls
from aicflow_sdk.calls import workflows
from aicflow_sdk.calls.executions import Statuses
from aicflow_sdk.diff import Diff
from aicflow_sdk.diff import diff as compare
from aicflow_sdk.documents import WorkflowSource, document_of
from aicflow_sdk.effects import Emit, Program
from aicflow_sdk.errors import BuildError, Conflict, NotFound, RevisionMismatch
from aicflow_sdk.follow import follow, follow_all, wait_for
from aicflow_sdk.follow import run as start_and_wait
from aicflow_sdk.models import Event, Execution, Workflow
from aicflow_sdk.programs import Toolbox, perform

__all__ = ["deploy", "diff", "events", "run", "stream", "stream_all", "wait"]

type Plan[T] = Callable[[Toolbox], Program[T]]

_EVENTS_PAGE = 1000
_DEPLOY_ATTEMPTS = 3


def deploy(document: WorkflowSource, *, id: str | None = None) -> Plan[Workflow]:
    """Save a workflow under its id, whether it exists or not; `outcome` of the result says what was done: `created`,
    `updated` or `unchanged`. Without `id`, the id is the workflow's name with `-` for what no id may hold (a Path needs
    an `id`); a saved workflow of that id with another name is left alone. A workflow that is switched off stays so.
    Raises WorkflowInvalid, BuildError."""
    name = None if isinstance(document, Path) else document_of(document).get("name")
    workflow_id = id or re.sub(r"^(?=\d)", "_", re.sub(r"[^A-Za-z0-9_-]+", "-", str(name or "")).strip("-"))[:64]
    if not workflow_id:
        raise BuildError(f"No id follows from {document if name is None else repr(name)}.", hint="Give id=….")

    def program(tools: Toolbox) -> Program[Workflow]:
        for left in reversed(range(_DEPLOY_ATTEMPTS)):
            try:
                try:
                    before: Workflow = yield from perform(workflows.get(workflow_id), tools)
                except NotFound:
                    made: Workflow = yield from perform(workflows.create(document, id=workflow_id), tools)
                    return replace(made, outcome="created")
                if id is None and before.name != name:
                    raise BuildError(
                        f"The workflow {workflow_id!r} is there already and has another name: {before.name!r}.",
                        hint=f"Give id={workflow_id!r} to replace it, or another id.",
                    )
                after: Workflow = yield from perform(workflows.update(before, document), tools)
                return replace(after, outcome="unchanged" if after.version == before.version else "updated")
            except (Conflict, RevisionMismatch):  # somebody else saves it at this moment
                if not left:
                    raise
        raise AssertionError("the last attempt returns or raises")

    return program


def run(
    workflow: str | Workflow,
    input: Any = None,
    *,
    timeout: float | None = None,
    version: int | None = None,
    priority: int = 0,
    engine: str | None = None,
    idempotency_key: str | None = None,
) -> Plan[Execution]:
    """Start an execution and wait for its end, however it ends: `.result()` gives its output or raises. Raises
    WaitTimeout when it has not ended after `timeout` seconds; it goes on then."""
    options = {"version": version, "priority": priority, "engine": engine, "idempotency_key": idempotency_key}
    return lambda tools: start_and_wait(workflow, input, timeout, tools, **options)


def wait(execution_id: str, *, timeout: float | None = None) -> Plan[Execution]:
    """The execution once it has ended. Raises WaitTimeout after `timeout` seconds."""

    def program(tools: Toolbox) -> Program[Execution]:
        execution = yield from perform(calls.get(execution_id), tools)
        return (yield from wait_for(execution, timeout, tools))

    return program


def stream(execution_id: str, *, after: int = 0, live: bool = True) -> Plan[Event]:
    """The events with a seq above `after`: stored ones, then new ones as they happen, until the execution's last. A
    broken connection is opened again where it stood: no event is missing, none comes twice. `live=False` leaves out
    what nodes emit while they run (`step.delta`), which is not stored and not repeated."""

    def program(tools: Toolbox) -> Program[Any]:
        events = follow(execution_id, after, tools)
        return events if live else _stored(events)

    return program


def _stored(program: Program[None]) -> Program[None]:
    outcome: Any = None
    while True:
        try:
            effect = program.send(outcome)
        except StopIteration:
            return
        hidden = isinstance(effect, Emit) and effect.item.seq is None
        outcome = None if hidden else (yield effect)


def stream_all(*, workflow_id: str | None = None, status: Statuses | None = None) -> Plan[Event]:
    """What happens to all executions from now on, without an end. What is missed while a broken connection is opened
    again, or by a slow reader, is lost: an event `stream.lost` stands in its place."""
    where = query(workflow_id=workflow_id, status=status)

    def program(tools: Toolbox) -> Program[Any]:
        return follow_all(where, tools)

    return program


def events(execution_id: str, *, after: int = 0) -> Plan[Event]:
    """The events so far with a seq above `after`, page by page."""

    def program(tools: Toolbox) -> Program[Any]:
        last = after
        while True:
            page = yield from perform(calls.events_page(execution_id, last, _EVENTS_PAGE), tools)
            for event in page.data:
                yield Emit(event)
            if len(page.data) < _EVENTS_PAGE:
                return
            last = page.last_seq

    return program


def diff(workflow: str | Workflow, old: int, new: int | None = None) -> Plan[Diff]:
    """What has changed in meaning between two versions of a workflow; `new` is the newest unless given."""

    def program(tools: Toolbox) -> Program[Diff]:
        before = yield from perform(workflows.version(workflow, old), tools)
        if new is None:
            after = (yield from perform(workflows.get(workflows.id_of(workflow)), tools)).document
        else:
            after = (yield from perform(workflows.version(workflow, new), tools)).document
        return compare(before.document or {}, after or {})

    return program
